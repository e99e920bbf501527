// What must be true of scans, ages and exact versions after every pass.
import { runEnded, type RunRecord } from '../../reconciler/model/ledger.ts';
import { isUnderWay } from '../../reconciler/model/node-phase.ts';
import type { Plan } from '../../reconciler/model/plan.ts';
import { excludeName, firstSeen, updatesOf } from '../../reconciler/plan/first-seen.ts';
import type { PlanInput } from '../../reconciler/plan/input.ts';
import { lockFor } from '../../reconciler/plan/lock.ts';
import { isBeside } from '../../reconciler/plan/records.ts';
import { scanRunId } from '../../reconciler/plan/scan.ts';
import { exclusion } from '../../reconciler/plan/select.ts';

type Must = (holds: boolean, sentence: string) => void;

/** Called with the others, for the same pass. */
export function checkUpdates(input: PlanInput, plan: Plan, must: Must): void {
  const open = Object.values(plan.ledger.runs).filter((run) => !runEnded(run.state));
  checkScans(input, plan, open, must);
  for (const run of open) {
    if (isBeside(run)) continue;
    checkLocks(input, run, must);
  }
  const bySla = open.filter((run) => run.triggers[0]?.kind === 'sla');
  must(bySla.length <= 1, `${bySla.length} runs were opened by age at one time`);
  for (const action of plan.actions) {
    if (action.kind !== 'createJob' || action.manifest.metadata.labels['oakum.dev/step'] !== 'patch') continue;
    const run = open.find((one) => isUnderWay(one.nodes[action.node]?.phase ?? 'Pending'));
    if (run) checkAge(input, plan, run, action.node, must);
  }
}

/** Nothing that a patch Job may install is younger than the policy of its run says. */
function checkAge(input: PlanInput, plan: Plan, run: RunRecord, node: string, must: Must): void {
  const { minAgeMs } = run.spec.policy.updates;
  const record = run.nodes[node];
  if (minAgeMs === 0 || !record?.download || lockFor(run, record)) return;
  const updates = updatesOf(record.download);
  must(updates !== undefined, `${node} is patched with a minAge and nobody knows with what`);
  for (const update of updates ?? []) {
    if (record.young?.includes(excludeName(update))) continue;
    const first = firstSeen(plan.ledger.sightings, record.download.os, update);
    must(
      first !== undefined && input.now - first >= minAgeMs,
      `${node} may install ${update.name} ${update.version}, which is too young`,
    );
  }
}

/** With a lock, one node of a kind goes alone until its list is there. */
function checkLocks(input: PlanInput, run: RunRecord, must: Must): void {
  if (!run.spec.policy.updates.lock) return;
  const alone = new Map<string, number>();
  for (const record of Object.values(run.nodes)) {
    if (record.startedAt !== input.now || !isUnderWay(record.phase) || lockFor(run, record)) continue;
    const system = record.system ?? '';
    const others = Object.values(run.nodes).filter((one) => isUnderWay(one.phase) && (one.system ?? '') === system);
    alone.set(system, others.length);
  }
  for (const [system, count] of alone) must(count === 1, `${count} nodes with ${system} go before there is a lock`);
}

function checkScans(input: PlanInput, plan: Plan, open: readonly RunRecord[], must: Must): void {
  const before = input.ledger?.history ?? {};
  const started = Object.entries(plan.ledger.history).filter(
    ([name, { scan }]) => scan !== undefined && scan.endedAt === undefined && scan.slot !== before[name]?.scan?.slot,
  );
  if (started.length === 0) return;
  const going = Object.values(plan.ledger.history).filter(
    ({ scan }) => scan !== undefined && scan.endedAt === undefined,
  );
  const most = input.settings.ceilings.scansAtOnce ?? 2;
  must(going.length <= most, `${going.length} scans go on, the deployment allows ${most}`);
  const policy = input.desired?.policy;
  must(input.observed.freeze === undefined, 'a scan began while the namespace was frozen by hand');
  must(
    policy !== undefined && !policy.suspend && policy.scan.everyMs > 0,
    'a scan began that the policy does not want',
  );
  must(input.sourceHold === undefined, 'a scan began while the wishes were not known');
  for (const [name] of started) {
    const node = input.observed.nodes.find((one) => one.name === name);
    must(node?.ready === true, `${name} is scanned although it is not Ready`);
    must(!node || !policy || exclusion(node, policy.nodes) === undefined, `${name} is scanned although it is left out`);
    must(
      !open.some((run) => run.nodes[name]?.uid === node?.uid && isUnderWay(run.nodes[name]?.phase ?? 'Pending')),
      `${name} is scanned while it is under way in a run`,
    );
  }
  for (const action of plan.actions) {
    const cordons = action.kind === 'cordon' || action.kind === 'evict';
    const scanned = started.some(([name]) => 'node' in action && action.node === name);
    must(!cordons || !scanned, `a node is disturbed in the pass in which its scan (${scanRunId}) begins`);
  }
}
