// One pass over the boot runs: each moves its one node, within a time limit, and ends by its own failure rule.
import type { Action } from '../model/action.ts';
import { spellDuration } from '../model/duration.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isEnd, isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { isUnpatched, noBoot, noteBoot } from './boot.ts';
import { loneControlPlane } from './budget.ts';
import { foreignMaintenance } from './foreign.ts';
import { frozen } from './gates.ts';
import { remember, rememberReboot } from './history.ts';
import type { PlanInput } from './input.ts';
import { eventFor } from './marks.ts';
import { atEnd, enter, isBootRun } from './records.ts';
import { addRunIfChanged, endOf, withReason } from './runs.ts';
import { addRun } from './triggers.ts';
import { cordonIsOurs, release } from './step-context.ts';
import { advance } from './steps.ts';

/** Nodes that are patched on boot at one time: a burst of the autoscaler must not become a burst on the package mirror. */
export const mostBoots = 10;

export interface BootsMoved {
  readonly ledger: LedgerDocument;
  readonly actions: readonly Action[];
  readonly events: readonly Action[];
  readonly holds: ReadonlyMap<string, Hold>;
  readonly until: readonly (number | undefined)[];
  readonly again: boolean;
}

/** What became of one record in this pass, before it is written down. */
interface Visit {
  readonly record: NodeRecord;
  readonly actions: readonly Action[];
  readonly hold?: Hold | undefined;
  readonly until?: number | undefined;
  readonly rebooted?: number | undefined;
}

/** Moves every boot run, oldest first. `hold` is why the wishes are not known now: then no node starts, and nodes under way go on. */
export function moveBootRuns(ledger: LedgerDocument, input: PlanInput, hold: Hold | undefined): BootsMoved {
  const open = Object.values(ledger.runs)
    .filter((run) => isBootRun(run) && !runEnded(run.state))
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  const actions: Action[] = [];
  const events: Action[] = [];
  const holds = new Map<string, Hold>();
  const until: (number | undefined)[] = [];
  let next = ledger;
  let again = false;
  for (const run of open) {
    for (const record of Object.values(run.nodes)) {
      const visit = visitNode(next, run, record, input, hold);
      next = written(next, run, record, visit, input.now);
      actions.push(...visit.actions);
      const event = eventFor(run, record, visit.record);
      if (event) events.push(event);
      if (visit.hold) holds.set(record.node, visit.hold);
      until.push(visit.until, visit.hold?.until, run.validUntil);
      again ||= visit.until === input.now || (record.phase === 'Pending' && visit.record.phase === 'Preflight');
    }
  }
  return { ledger: next, actions, events, holds, until, again };
}

function visitNode(
  ledger: LedgerDocument,
  run: RunRecord,
  record: NodeRecord,
  input: PlanInput,
  unknown: Hold | undefined,
): Visit {
  const { now } = input;
  const node = input.observed.nodes.find((one) => one.name === record.node);
  if (node?.uid !== record.uid) return gone(record, input);
  if (isEnd(record.phase)) return { record, actions: [] };
  const stop = unknown ? undefined : stopped(record, node, run, input);
  if (stop) return { record: over(record, node, now, 'Skipped', stop), actions: [] };
  if (now >= run.validUntil && mayTimeOut(record)) {
    const limit = spellDuration(run.spec.policy.onBoot.timeoutMs);
    const why = `onBoot.timeout of ${limit} has passed in ${record.phase}: ${record.message}`;
    return { record: failed(record, node, run, now, why), actions: [] };
  }
  if (record.phase === 'Pending') {
    if (record.notBefore !== undefined && record.notBefore > now)
      return { record, actions: [], hold: { ...record, until: record.notBefore } };
    const wait = unknown ?? startHold(ledger, node, input);
    if (wait) return { record, actions: [], hold: wait };
    const started = { ...enter(record, 'Preflight', now, 'is being checked'), startedAt: now };
    return { record: started, actions: [] };
  }
  const result = advance({
    now,
    run,
    record,
    node,
    history: ledger.history[record.node],
    jobs: new Map(input.observed.jobs.map((job) => [job.name, job])),
    pods: input.observed.pods.get(record.node),
    budgets: input.observed.budgets,
    evictions: input.observed.evictions,
    refusal: input.observed.refusals.get(record.node),
    settings: input.settings,
    frozen: frozen(input),
  });
  const after = result.record;
  const bad =
    after.phase === 'Failed' ||
    after.phase === 'Quarantined' ||
    (after.phase === 'Skipped' && after.reason === 'DrainTimeout');
  if (bad && after.reason !== 'BootPatchFailed') {
    const why = `${after.reason}: ${after.message}`;
    return { ...result, record: failed(after, node, run, now, why) };
  }
  return result;
}

/** The reboot is on its way and has limits of its own; a cordon that is being taken away must go in any case. */
function mayTimeOut(record: NodeRecord): boolean {
  return record.phase !== 'Rebooting' && record.phase !== 'Rejoining' && record.phase !== 'Uncordoning';
}

/** Why a boot run ends before it has done anything that must be finished: a freeze, a change of mind, a person's hand. */
function stopped(record: NodeRecord, node: NodeView, run: RunRecord, input: PlanInput): Hold | undefined {
  const early = record.phase === 'Pending' || record.phase === 'Preflight' || record.phase === 'Downloading';
  if (early) {
    if (run.reason === 'Aborted') return { reason: 'Aborted', message: run.message, until: undefined };
    if (!isUnpatched(node))
      return {
        reason: 'SkippedByPerson',
        message: 'somebody took the taint away before the node was patched',
        until: undefined,
      };
    return noBoot(node, input.desired?.policy, input);
  }
  const freeze = record.phase === 'RebootPending' ? frozen(input) : undefined;
  return (
    freeze && { ...freeze, message: `updates are installed, the reboot is left to the next run: ${freeze.message}` }
  );
}

/** Why a node that waits does not start now. */
function startHold(ledger: LedgerDocument, node: NodeView, input: PlanInput): Hold | undefined {
  const working = Object.values(ledger.runs)
    .filter((run) => !runEnded(run.state))
    .flatMap((run) =>
      Object.values(run.nodes)
        .filter((record) => isUnderWay(record.phase))
        .map((record) => ({ record, boot: isBootRun(run) })),
    );
  const boots = working.filter(({ boot }) => boot).length;
  if (boots >= mostBoots)
    return { reason: 'NoRoomInBudget', message: `${boots} nodes are being patched on boot`, until: undefined };
  const foreign = foreignMaintenance(node);
  if (foreign) return foreign;
  if (!node.controlPlane) return undefined;
  const other = working.find(({ record }) => record.controlPlane);
  if (other)
    return {
      reason: 'ControlPlaneWaits',
      message: `control-plane node ${other.record.node} is under way, and they go one at a time`,
      until: undefined,
    };
  return loneControlPlane(node, input.observed.nodes, true);
}

function gone(record: NodeRecord, input: PlanInput): Visit {
  const jobs = input.observed.jobs.filter(
    (job) => job.nodeUid === record.uid && (job.state === 'waiting' || job.state === 'running'),
  );
  return {
    record: atEnd(record, 'Skipped', input.now, 'NodeGone', 'the node does not exist any more'),
    actions: jobs.map((job) => ({ kind: 'deleteJob', name: job.name, uid: job.uid })),
  };
}

function failed(record: NodeRecord, node: NodeView, run: RunRecord, now: number, why: string): NodeRecord {
  const { onFailure } = run.spec.policy.onBoot;
  const then = onFailure === 'keep' ? 'the node keeps its taint' : 'its taint goes; it is due in the next run';
  return over(record, node, now, 'Failed', { reason: 'BootPatchFailed', message: `${why}; ${then}` });
}

/** The end, by way of the uncordon where a cordon of ours is on the node. */
function over(
  record: NodeRecord,
  node: NodeView,
  now: number,
  phase: 'Skipped' | 'Failed',
  { reason, message }: Pick<Hold, 'reason' | 'message'>,
): NodeRecord {
  if (record.cordoned || cordonIsOurs(node)) return release(record, now, phase, reason, message);
  return atEnd(record, phase, now, reason, message);
}

/** The ledger with what the visit found: the record, the node's history, and the end of the run. */
function written(
  ledger: LedgerDocument,
  run: RunRecord,
  before: NodeRecord,
  visit: Visit,
  now: number,
): LedgerDocument {
  const { record, hold } = visit;
  let next = ledger;
  if (visit.rebooted !== undefined)
    next = withHistory(next, record, rememberReboot(next.history[record.node], record, visit.rebooted));
  const history = record === before ? undefined : remember(next.history[record.node], before, record, run, now);
  if (history) next = withHistory(next, record, history);
  const nodes = record === before ? run.nodes : { ...run.nodes, [record.node]: record };
  if (!isEnd(record.phase)) {
    const begun: RunRecord =
      record.startedAt !== undefined && run.startedAt === undefined
        ? { ...run, nodes, state: 'Running', startedAt: now }
        : nodes === run.nodes
          ? run
          : { ...run, nodes };
    const told = hold ?? { reason: 'Working' as const, message: 'the node is being patched' };
    return addRunIfChanged(next, withReason(begun, told.reason, told.message, now));
  }
  const ended = endOf({ ...run, nodes, reason: 'Working' }, now);
  const skipped = record.phase === 'Skipped' && record.reason !== 'UpToDate' && record.reason !== 'NodeGone';
  const state = skipped ? ('Aborted' as const) : ended.state;
  const reason = record.phase === 'Patched' || record.reason === 'UpToDate' ? ended.reason : record.reason;
  next = addRun(next, { ...ended, state, reason, message: record.message });
  if (record.reason === 'NodeGone') return next;
  return noteBoot(next, { name: record.node, uid: record.uid }, record, now, record.phase === 'Failed');
}

function withHistory(
  ledger: LedgerDocument,
  record: NodeRecord,
  history: LedgerDocument['history'][string],
): LedgerDocument {
  return { ...ledger, history: { ...ledger.history, [record.node]: history } };
}
