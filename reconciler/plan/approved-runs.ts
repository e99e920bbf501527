// Runs that need an approval: what is proposed, what was approved, and what must be asked of the forge for it.
import type { ApprovalQuestion, Ceiling } from '../model/approval.ts';
import { questionKey } from '../model/approval.ts';
import { canonical } from '../model/digest.ts';
import type { LedgerDocument, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { rolloutWithSchedule } from '../model/rollout.ts';
import { slotSince } from '../model/schedule.ts';
import { judgeFile, needsReview, questionAbout, requestNeedsReview, type Verdict } from './approval.ts';
import { unagreedFiles } from './approved-commit.ts';
import { unagreedRewrite } from './rewritten.ts';
import type { PlanInput } from './input.ts';
import type { NodeView } from '../model/observed.ts';
import { isBootRun, isMaintenance } from './records.ts';
import { withReason } from './runs.ts';
import { selectedNodes } from './select.ts';
import { addRun, ended, runDigest } from './triggers.ts';
import { waveHold } from './waves.ts';

/** What the planner must know of the forge for this pass; empty unless reviews are demanded. */
export function wantedApprovals(
  ledger: LedgerDocument | undefined,
  input: Omit<PlanInput, 'observed' | 'ledger'>,
): ApprovalQuestion[] {
  const { desired } = input;
  if (!ledger || !(desired ?? input.rewritten)) return [];
  const asking: PlanInput = { ...input, ledger, observed: nobody };
  if (!needsReview(ledger, asking)) return [];
  const files = [...unagreedFiles(ledger, asking)];
  const rewrite = unagreedRewrite(ledger, asking);
  if (rewrite) files.push({ path: rewrite.file, oid: rewrite.oid });
  for (const request of desired?.requests ?? []) {
    const known = ledger.requests[request.name];
    const open = known === undefined || known.state === 'Waiting';
    const run = known?.run === undefined ? undefined : ledger.runs[known.run];
    const waits = run !== undefined && run.startedAt === undefined && !runEnded(run.state);
    if ((open || waits) && requestNeedsReview(request, ledger, asking))
      files.push({ path: request.file, oid: request.oid });
  }
  for (const proposed of desired?.runs ?? []) {
    const run = ledger.runs[proposed.name];
    if (run && waitsForStart(run)) files.push({ path: proposed.file, oid: proposed.oid });
  }
  const questions = files.map(({ path, oid }) => questionAbout(path, oid, ledger, asking));
  return [...new Map(questions.map((question) => [questionKey(question), question])).values()];
}

/** Questions depend on wishes and ledger only. */
const nobody: PlanInput['observed'] = {
  nodes: [],
  jobs: [],
  pods: new Map(),
  budgets: [],
  freeze: undefined,
  clockSkewMs: undefined,
  clusterUid: '',
  evictions: new Map(),
  refusals: new Map(),
};

/** Brings every run that has not begun up to date with its approval. */
export function judgeRuns(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  let next = ledger;
  for (const run of Object.values(ledger.runs)) {
    if (!waitsForStart(run) || isBootRun(run)) continue;
    const judged = judgeRun(run, next, input);
    if (judged !== run) next = addRun(next, judged);
  }
  return next;
}

function waitsForStart(run: RunRecord): boolean {
  return run.startedAt === undefined && !runEnded(run.state);
}

function judgeRun(run: RunRecord, ledger: LedgerDocument, input: PlanInput): RunRecord {
  const { now } = input;
  const gone = outOfSchedule(run, input);
  if (gone) return ended(run, now, 'Superseded', 'Superseded', 'the schedule does not have this time any more');
  if (!needsReview(ledger, input)) {
    const current = isMaintenance(run) ? byPolicyNow(run, input) : run;
    return run.state === 'AwaitingApproval' ? released(current, now) : current;
  }
  // Consent is asked for when the clusters before have ended: people are to see how they fared, and what is pending then.
  if (waveHold(run, ledger, input)?.ready === false) return run;
  const verdict = verdictOn(run, ledger, input);
  if (verdict === undefined) return run;
  if (verdict.kind === 'approved') {
    if (run.approval?.digest === verdict.record.digest && run.state !== 'AwaitingApproval') return run;
    const by = verdict.record.by.map(({ name }) => name).join(', ');
    return {
      ...run,
      state: 'Scheduled',
      reason: 'Due',
      message: `approved by ${by}`,
      since: now,
      approval: verdict.record,
    };
  }
  const { approval: _void, ...bare } = run;
  const { reason, message } = verdict.hold;
  // Only a run that Oakum proposes is proposed anew; a request says by itself what it wants.
  const current = isMaintenance(run) ? bare : proposedAnew(bare, ledger, input);
  if (run.state !== 'AwaitingApproval' || run.approval !== undefined)
    return { ...current, state: 'AwaitingApproval', reason, message, since: now };
  const told = withReason(current, reason, message, now);
  return canonical(told) === canonical(run) ? run : told;
}

/** Undefined for a run whose approval is not asked about here. */
function verdictOn(run: RunRecord, ledger: LedgerDocument, input: PlanInput): Verdict | undefined {
  const proposed = input.desired?.runs.find((one) => one.name === run.id);
  if (proposed && run.proposal && !covers(run.proposal, proposed.ceiling))
    return {
      kind: 'held',
      hold: {
        reason: 'ApprovalOutdated',
        message: `${proposed.file} allows more than was proposed; it is proposed anew`,
        until: undefined,
      },
    };
  if (proposed && proposed.digest === run.digest)
    return judgeFile(
      { path: proposed.file, oid: proposed.oid },
      proposed.ceiling,
      ledger,
      input,
      run.proposal !== undefined,
    );
  for (const trigger of run.triggers) {
    if (trigger.kind !== 'request') continue;
    const request = input.desired?.requests.find(({ name }) => name === trigger.name);
    if (!request || !requestNeedsReview(request, ledger, input)) continue;
    // The run does what the file said when it was made; what the file says now is something else, whoever has agreed to it.
    if (request.oid !== ledger.requests[request.name]?.oid)
      return {
        kind: 'held',
        hold: {
          reason: 'ApprovalOutdated',
          message: `${request.file} was edited after the run was made of it; take it away and commit a request under another name`,
          until: undefined,
        },
      };
    return judgeFile({ path: request.file, oid: request.oid }, undefined, ledger, input);
  }
  const what = proposed
    ? `${proposed.file} was merged for other content than the run has now; the proposal is being renewed`
    : `clusters/${input.desired?.name ?? ''}/runs/${run.id}.yaml is not on the branch; review and merge the proposal`;
  return {
    kind: 'held',
    hold: { reason: proposed ? 'ApprovalOutdated' : 'AwaitingApproval', message: what, until: undefined },
  };
}

/** Nobody has reviewed how maintenance by hand is done: until its first node is taken out, the newest policy says it. */
function byPolicyNow(run: RunRecord, { desired }: PlanInput): RunRecord {
  const policy = desired?.policy;
  if (!policy || canonical(policy) === canonical(run.spec.policy)) return run;
  const spec = { ...run.spec, policy };
  return { ...run, spec, digest: runDigest(run.action, spec) };
}

/** What is proposed follows the policy until it is approved, and its ceiling grows with the cluster. */
function proposedAnew(run: RunRecord, ledger: LedgerDocument, input: PlanInput): RunRecord {
  const policy = input.desired?.policy;
  const spec = policy && canonical(policy) !== canonical(run.spec.policy) ? { ...run.spec, policy } : run.spec;
  const renewed = spec === run.spec ? run : { ...run, spec, digest: runDigest(run.action, spec) };
  const wanted = ceilingOf(renewed, ledger, input);
  const before = run.proposal;
  const proposal = before && covers(before, wanted) ? before : grown(before, wanted);
  return proposal === before && renewed === run ? run : { ...renewed, proposal };
}

/** What the run would do at the most, as far as it is known now. */
function ceilingOf(run: RunRecord, ledger: LedgerDocument, input: PlanInput): Ceiling {
  const nodes = selectedNodes(run, input.observed.nodes);
  return {
    nodes: nodes.length,
    packages: run.action === 'reboot' ? [] : packagesOf(nodes, ledger),
    reboots: run.action === 'patch' && run.spec.policy.reboot.when === 'never' ? 0 : nodes.length,
    force: run.spec.policy.drain.force || run.spec.policy.drain.onTimeout === 'force',
  };
}

/** Names of everything that is pending on these nodes; undefined when one of them has not told: then the policy's scope is the limit. */
function packagesOf(nodes: readonly NodeView[], ledger: LedgerDocument): string[] | undefined {
  const names = new Set<string>();
  for (const { name, uid } of nodes) {
    const history = ledger.history[name];
    const pending = history?.uid === uid ? history.pending : undefined;
    const list = pending?.list === undefined ? undefined : ledger.sightings?.lists[pending.list];
    if (pending === undefined || (pending.count > 0 && list === undefined)) return undefined;
    for (const line of list ?? []) names.add((line.split(' ')[0] ?? line).split(':')[0] ?? line);
  }
  return [...names].sort();
}

/** Whether nothing that is wanted goes beyond the ceiling; a ceiling without a list of packages covers any list. */
function covers(ceiling: Ceiling, wanted: Ceiling): boolean {
  return (
    ceiling.nodes >= wanted.nodes &&
    ceiling.reboots >= wanted.reboots &&
    (ceiling.force || !wanted.force) &&
    (ceiling.packages === undefined ||
      (wanted.packages !== undefined && wanted.packages.every((name) => ceiling.packages?.includes(name))))
  );
}

function grown(before: Ceiling | undefined, wanted: Ceiling): Ceiling {
  if (!before) return wanted;
  return {
    nodes: Math.max(before.nodes, wanted.nodes),
    // What was never listed cannot be narrowed without voiding an approval.
    packages: before.packages && wanted.packages && [...new Set([...before.packages, ...wanted.packages])].sort(),
    reboots: Math.max(before.reboots, wanted.reboots),
    force: before.force || wanted.force,
  };
}

/** A run for a slot that is still to come, of a schedule that was changed or taken away since. */
function outOfSchedule(run: RunRecord, input: PlanInput): boolean {
  const [trigger] = run.triggers;
  if (trigger?.kind !== 'schedule' || run.notBefore === undefined || run.notBefore <= input.now) return false;
  const policy = input.desired?.policy;
  if (!policy) return false;
  const schedule = rolloutWithSchedule(input.desired) ? undefined : policy.schedule?.schedule;
  return schedule === undefined || slotSince(schedule, trigger.at - 1, trigger.at) !== trigger.at;
}

function released(run: RunRecord, now: number): RunRecord {
  const { proposal: _proposal, ...bare } = run;
  return {
    ...bare,
    state: 'Scheduled',
    reason: 'Due',
    message: 'reviews are not demanded any more',
    since: now,
  };
}
