// What must be true after every pass, whatever the policy and the world: broken once, the test fails with a sentence.
import { runEnded } from '../../reconciler/model/ledger.ts';
import { cordonAnnotation } from '../../reconciler/model/names.ts';
import { isUnderWay } from '../../reconciler/model/node-phase.ts';
import type { Plan } from '../../reconciler/model/plan.ts';
import { freezeAt, windowAt } from '../../reconciler/model/window.ts';
import { seatLimit } from '../../reconciler/plan/budget.ts';
import type { PlanInput } from '../../reconciler/plan/input.ts';
import { selectedNodes } from '../../reconciler/plan/select.ts';

/** Throws when a pass broke a promise. */
export function checkInvariants(input: PlanInput, plan: Plan): void {
  const { observed, now } = input;
  const broken: string[] = [];
  const must = (holds: boolean, sentence: string): void => void (holds || broken.push(sentence));
  const open = Object.values(plan.ledger.runs).filter((run) => !runEnded(run.state));
  const begun = open.filter((run) => run.startedAt !== undefined);
  must(begun.length <= 1, `at most one run is under way, found ${begun.map((run) => run.id).join(', ')}`);

  const before = new Map(
    Object.values(input.ledger?.runs ?? {}).flatMap((run) =>
      Object.values(run.nodes).map((record) => [`${run.id}/${record.node}/${record.uid}`, record] as const),
    ),
  );
  for (const run of begun) {
    const records = Object.values(run.nodes);
    const working = records.filter((record) => isUnderWay(record.phase));
    const limit = seatLimit(
      run.spec.policy.rollout.concurrency,
      Math.max(1, selectedNodes(run, observed.nodes).length),
    );
    const started = working.filter(
      (record) => !isUnderWay(before.get(`${run.id}/${record.node}/${record.uid}`)?.phase ?? 'Pending'),
    );
    if (started.length > 0) {
      must(working.length <= limit, `${working.length} nodes are under way and the budget is ${limit}`);
      for (const policy of [run.spec.policy, input.desired?.policy]) {
        if (!policy) continue;
        must(
          policy.windows.length === 0 || windowAt(policy.windows, now) !== undefined,
          `a node started outside the windows at ${new Date(now).toISOString()}`,
        );
      }
      must(
        input.desired?.frozen === undefined && observed.freeze === undefined,
        'a node started while FREEZE was there',
      );
      must(
        !input.desired?.policy || freezeAt(input.desired.policy.freezes, now) === undefined,
        'a node started in a freeze',
      );
      must(
        input.sourceHold === undefined && (input.desired?.problems.length ?? 0) === 0,
        'a node started while the configuration was not known to be good',
      );
      must(run.state === 'Running', `a node started in a run that is ${run.state}`);
      const { topologyKey } = run.spec.policy.rollout;
      must(
        topologyKey === undefined || new Set(working.map((record) => record.zone)).size <= 1,
        'nodes of two zones are under way',
      );
    }
    const controlPlane = working.filter((record) => record.controlPlane);
    must(controlPlane.length === 0 || working.length === 1, 'a control-plane node is not alone');
  }

  for (const action of plan.actions) {
    if (action.kind === 'createJob' && action.manifest.metadata.labels['oakum.dev/step'] === 'reboot') {
      const { frozen } = input.desired ?? {};
      must(
        frozen === undefined ||
          begun.some(
            (run) =>
              before.get(`${run.id}/${action.node}/${action.manifest.metadata.labels['oakum.dev/node-uid']}`)?.phase ===
              'Rebooting',
          ),
        `a reboot of ${action.node} was asked for in a freeze`,
      );
    }
    if (action.kind === 'uncordon') {
      const node = observed.nodes.find((one) => one.name === action.node);
      must(
        node?.annotations[cordonAnnotation] !== undefined,
        `the cordon of ${action.node} is not ours and would be lifted`,
      );
    }
    if (action.kind === 'cordon' || action.kind === 'evict') {
      must(
        begun.some((run) => isUnderWay(run.nodes[action.node]?.phase ?? 'Pending')),
        `${action.kind} on ${action.node}, which is not under way`,
      );
    }
  }

  for (const node of observed.nodes) {
    if (node.annotations[cordonAnnotation] === undefined) continue;
    const live = begun.some(
      (run) => run.nodes[node.name]?.uid === node.uid && isUnderWay(run.nodes[node.name]?.phase ?? 'Pending'),
    );
    const kept = plan.ledger.history[node.name]?.quarantine !== undefined;
    const leaving = plan.actions.some((action) => action.kind === 'uncordon' && action.node === node.name);
    must(
      live || kept || leaving || plan.holds[0]?.reason === 'LedgerLost',
      `the cordon of ${node.name} is ours and has neither a live step nor a quarantine`,
    );
  }

  must(plan.nodes.length === observed.nodes.length, `${observed.nodes.length} nodes and ${plan.nodes.length} verdicts`);
  for (const verdict of plan.nodes)
    must(verdict.message !== '' || verdict.phase !== 'Idle', `node ${verdict.node} waits without a sentence`);
  must(plan.wakeAt > now, 'the next look is not in the future');

  if (broken.length > 0) throw new Error(`broken at ${new Date(now).toISOString()}:\n  ${broken.join('\n  ')}`);
}
