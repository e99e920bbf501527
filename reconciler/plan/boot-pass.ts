// One pass over the boot runs: each moves its one node, within a time limit, and ends by its own failure rule.
import { spellDuration } from '../model/duration.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { onTheWay, over, visitAll, type BesideMoved, type Visit } from './beside.ts';
import { isUnpatched, noBoot, noteBoot } from './boot.ts';
import { loneControlPlane } from './budget.ts';
import { etcdHold } from './etcd.ts';
import { foreignMaintenance } from './foreign.ts';
import { frozen } from './gates.ts';
import type { PlanInput } from './input.ts';
import { pausedBy } from './pause.ts';
import { enter, isBootRun } from './records.ts';
import { endOf } from './runs.ts';
import { addRun } from './triggers.ts';

/** Nodes that are patched on boot at one time: a burst of the autoscaler must not become a burst on the package mirror. */
export const mostBoots = 10;

/** Moves every boot run, oldest first. `unknown` is why the wishes are not known now: then no node starts, and nodes under way go on. */
export function moveBootRuns(ledger: LedgerDocument, input: PlanInput, unknown: Hold | undefined): BesideMoved {
  return visitAll(ledger, input, {
    mine: isBootRun,
    word: 'the node is being patched',
    visit: (known, run, record, node) => visit(known, run, record, node, input, unknown),
    finish: (known, run) => finish(known, run, input.now),
  });
}

function visit(
  ledger: LedgerDocument,
  run: RunRecord,
  record: NodeRecord,
  node: NodeView,
  input: PlanInput,
  unknown: Hold | undefined,
): Visit {
  const { now } = input;
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
  const result = onTheWay(ledger, run, record, node, input);
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
  const wait = pausedBy(node, input) ?? foreignMaintenance(node);
  if (wait) return wait;
  if (!node.controlPlane) return undefined;
  const other = working.find(({ record }) => record.controlPlane);
  if (other)
    return {
      reason: 'ControlPlaneWaits',
      message: `control-plane node ${other.record.node} is under way, and they go one at a time`,
      until: undefined,
    };
  const { nodes } = input.observed;
  return loneControlPlane(node, nodes, true) ?? etcdHold(node, nodes, input.observed);
}

function failed(record: NodeRecord, node: NodeView, run: RunRecord, now: number, why: string): NodeRecord {
  const { onFailure } = run.spec.policy.onBoot;
  const then = onFailure === 'keep' ? 'the node keeps its taint' : 'its taint goes; it is due in the next run';
  return over(record, node, now, 'Failed', { reason: 'BootPatchFailed', message: `${why}; ${then}` });
}

/** The end of the run is the end of its node; how the patch on boot ended is remembered for the node's life. */
function finish(ledger: LedgerDocument, run: RunRecord, now: number): LedgerDocument {
  const ended = endOf({ ...run, reason: 'Working' }, now);
  let next = ledger;
  for (const record of Object.values(run.nodes)) {
    const skipped = record.phase === 'Skipped' && record.reason !== 'UpToDate' && record.reason !== 'NodeGone';
    const state = skipped ? ('Aborted' as const) : ended.state;
    const reason = record.phase === 'Patched' || record.reason === 'UpToDate' ? ended.reason : record.reason;
    next = addRun(next, { ...ended, state, reason, message: record.message });
    if (record.reason !== 'NodeGone')
      next = noteBoot(next, { name: record.node, uid: record.uid }, record, now, record.phase === 'Failed');
  }
  return next;
}
