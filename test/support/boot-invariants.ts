// What must be true of patch on boot after every pass.
import { runEnded } from '../../reconciler/model/ledger.ts';
import { unpatchedTaint } from '../../reconciler/model/names.ts';
import { isEnd, isUnderWay } from '../../reconciler/model/node-phase.ts';
import type { Plan } from '../../reconciler/model/plan.ts';
import { mostBoots } from '../../reconciler/plan/boot-pass.ts';
import type { PlanInput } from '../../reconciler/plan/input.ts';
import { isBootRun } from '../../reconciler/plan/records.ts';

/** What must be true of nodes that are patched on boot, and of their taint. */
export function checkBoots(input: PlanInput, plan: Plan, must: (holds: boolean, sentence: string) => void): void {
  const open = Object.values(plan.ledger.runs).filter((run) => !runEnded(run.state));
  const boots = open.filter((run) => isBootRun(run));
  const working = open.flatMap((run) => Object.values(run.nodes).filter((record) => isUnderWay(record.phase)));
  const uids = working.map((record) => record.uid);
  must(new Set(uids).size === uids.length, 'one node is under way in two runs');
  must(
    working.filter((record) => record.controlPlane).length <= 1,
    'two control-plane nodes are under way, one of them on boot',
  );
  const booting = boots.flatMap((run) => Object.values(run.nodes));
  const started = booting.filter((record) => isUnderWay(record.phase));
  must(started.length <= mostBoots, `${started.length} nodes are patched on boot and ${mostBoots} are allowed`);
  must(new Set(booting.map((record) => record.uid)).size === booting.length, 'two boot runs are about one node');
  const begunNow = boots.filter((run) => run.startedAt === input.now);
  if (begunNow.length > 0) {
    must(input.desired?.frozen === undefined && input.observed.freeze === undefined, 'a node booted into a FREEZE');
    must(input.desired?.policy?.onBoot.enabled === true, 'a node is patched on boot and the policy does not say so');
    must(
      input.sourceHold === undefined && (input.desired?.problems.length ?? 0) === 0,
      'a node is patched on boot while the configuration was not known to be good',
    );
  }
  for (const action of plan.actions) {
    if (action.kind !== 'removeTaint') continue;
    const node = input.observed.nodes.find((one) => one.name === action.node);
    must(action.key === unpatchedTaint, `the taint ${action.key} is not ours`);
    must(
      node !== undefined && !booting.some((record) => record.uid === node.uid && !isEnd(record.phase)),
      `the taint of ${action.node} goes while its boot run is open`,
    );
    const history = plan.ledger.history[action.node];
    const patched = Math.max(history?.lastChecked ?? 0, history?.lastPatched ?? 0);
    must(
      !(history?.boot?.failed === true && patched <= history.boot.at) ||
        input.desired?.policy?.onBoot.onFailure === 'release',
      `the taint of ${action.node} goes after a failure that keeps it`,
    );
  }
}
