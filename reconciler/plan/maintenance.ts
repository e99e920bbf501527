// Maintenance by hand: a request takes nodes out, holds them out until its time or until its file is gone, and gives them back.
import { iso } from '../model/instant.ts';
import type { LedgerDocument, NodeRecord, RunRecord, RunState } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold, Reason } from '../model/reason.ts';
import { onTheWay, over, visitAll, type BesideMoved, type Visit } from './beside.ts';
import { loneControlPlane, seatLimit, unhealthy } from './budget.ts';
import { etcdHold } from './etcd.ts';
import { foreignMaintenance } from './foreign.ts';
import { gateHold } from './gates.ts';
import type { PlanInput } from './input.ts';
import { pausedBy } from './pause.ts';
import { atEnd, bootingNodes, enter, isBootRun, isMaintenance } from './records.ts';
import { closeRequests } from './runs.ts';
import { exclusion } from './select.ts';
import { addRun } from './triggers.ts';

/**
 * Moves every maintenance run. `holds` stop nodes that have not begun. `known` is false while the wishes cannot be read: then a missing
 * file means nothing, and only the time ends the maintenance.
 */
export function moveMaintenance(
  ledger: LedgerDocument,
  input: PlanInput,
  holds: readonly Hold[],
  known: boolean,
): BesideMoved {
  return visitAll(ledger, input, {
    mine: isMaintenance,
    word: 'nodes are taken out and held out',
    visit: (now, run, record, node) => visit(now, run, record, node, input, holds, known),
    finish: (now, run) => finish(now, run, input.now),
  });
}

function visit(
  ledger: LedgerDocument,
  run: RunRecord,
  record: NodeRecord,
  node: NodeView,
  input: PlanInput,
  holds: readonly Hold[],
  known: boolean,
): Visit {
  const { now } = input;
  const back = record.phase === 'Uncordoning' ? undefined : givenBack(run, input, known);
  if (back && record.phase === 'Pending') {
    const late = back.reason === 'MaintenanceOver' && now >= run.validUntil;
    return {
      record: late
        ? atEnd(record, 'Skipped', now, 'Expired', `${back.message} before its turn came`)
        : atEnd(record, 'Skipped', now, back.reason, back.message),
      actions: [],
    };
  }
  const left = record.phase === 'Pending' ? exclusion(node, run.spec.policy.nodes) : undefined;
  if (left !== undefined) return { record: atEnd(record, 'Skipped', now, 'Excluded', left), actions: [] };
  if (back) return { record: over(record, node, now, 'Skipped', back), actions: [] };
  if (record.phase !== 'Pending') return onTheWay(ledger, run, record, node, input);
  if (record.notBefore !== undefined && record.notBefore > now)
    return { record, actions: [], hold: { ...record, until: record.notBefore } };
  const wait =
    holds[0] ?? unapproved(run) ?? gateHold({ ...input, ledger }, run) ?? seatHold(ledger, run, record, node, input);
  if (wait) return { record, actions: [], hold: wait };
  const started = { ...enter(record, 'Cordoning', now, 'is taken out for maintenance'), startedAt: now };
  return { record: started, actions: [] };
}

/** An approval that was there when the run was made may be gone before its first node. */
function unapproved({ state, reason, message }: RunRecord): Hold | undefined {
  return state === 'AwaitingApproval' ? { reason, message, until: undefined } : undefined;
}

/** Why the nodes of the run come back; undefined while they are held out. */
function givenBack(run: RunRecord, input: PlanInput, known: boolean): Pick<Hold, 'reason' | 'message'> | undefined {
  if (run.reason === 'Aborted') return { reason: 'Aborted', message: run.message };
  if (input.now >= run.validUntil)
    return { reason: 'MaintenanceOver', message: `its time, until ${iso(run.validUntil)}, has passed` };
  const [trigger] = run.triggers;
  if (!known || trigger?.kind !== 'request') return undefined;
  if (input.desired?.requests.some((request) => request.name === trigger.name)) return undefined;
  return { reason: 'MaintenanceOver', message: `the request ${trigger.name} was taken away` };
}

/** Why the node may not be taken out now: the same budget, zones and care for the control plane as in a run that patches. */
function seatHold(
  ledger: LedgerDocument,
  run: RunRecord,
  record: NodeRecord,
  node: NodeView,
  input: PlanInput,
): Hold | undefined {
  const say = (reason: Reason, message: string): Hold => ({ reason, message, until: undefined });
  const { policy } = run.spec;
  const { rollout } = policy;
  const wait = pausedBy(node, input) ?? foreignMaintenance(node);
  if (wait) return wait;
  const booting = bootingNodes(ledger.runs);
  const working = Object.values(ledger.runs)
    .filter((one) => !runEnded(one.state) && !isBootRun(one))
    .flatMap((one) => Object.values(one.nodes).filter((other) => isUnderWay(other.phase)));
  if (booting.has(node.uid) || working.some((other) => other.uid === node.uid))
    return say('OtherRunActive', 'another run is at work on the node');
  if (node.controlPlane) {
    const other = [...working, ...booting.values()].find((one) => one.controlPlane && isUnderWay(one.phase));
    if (other) return say('ControlPlaneWaits', `control-plane node ${other.node} is out, and they go one at a time`);
    const lone = loneControlPlane(node, input.observed.nodes, rollout.allowSingleControlPlane);
    if (lone) return lone;
    const etcd = etcdHold(node, input.observed.nodes, input.observed);
    if (etcd) return etcd;
  }
  const chosen = input.observed.nodes.filter((one) => exclusion(one, policy.nodes) === undefined);
  const out = chosen.filter(
    (one) =>
      one.uid !== node.uid &&
      !booting.has(one.uid) &&
      (unhealthy(one) || ledger.history[one.name]?.quarantine !== undefined || foreignMaintenance(one) !== undefined),
  );
  const names = [...new Set([...working.map((other) => other.node), ...out.map((one) => one.name)])].sort();
  const limit = seatLimit(rollout.concurrency, chosen.length);
  if (names.length >= limit)
    return say('NoRoomInBudget', `${names.length} of ${limit} allowed out: ${names.slice(0, 5).join(', ')}`);
  const otherZone = rollout.topologyKey === undefined ? undefined : working.find((one) => one.zone !== record.zone);
  return otherZone && say('OtherZone', `${otherZone.node} of ${otherZone.zone || '(none)'} is out`);
}

function finish(ledger: LedgerDocument, run: RunRecord, now: number): LedgerDocument {
  const records = Object.values(run.nodes);
  const had = (...reasons: Reason[]): number => records.filter((record) => reasons.includes(record.reason)).length;
  const notDone =
    records.filter((record) => record.phase === 'Failed').length + had('DrainTimeout', 'Expired', 'Excluded');
  const held = had('MaintenanceOver', 'SkippedByPerson');
  const message = `${held} held out and given back${notDone > 0 ? `, ${notDone} not taken out` : ''}`;
  const end = (state: RunState, reason: Reason): RunRecord => ({
    ...run,
    state,
    reason,
    message,
    since: now,
    endedAt: now,
  });
  const ended =
    had('Aborted') > 0
      ? end('Aborted', 'Aborted')
      : notDone > 0
        ? end('Failed', 'RunFailed')
        : end('Succeeded', 'Completed');
  return closeRequests(addRun(ledger, ended), ended, now);
}
