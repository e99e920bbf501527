// The disruption controller: how many pods each PodDisruptionBudget can spare.
import { BUDGETS, DEPLOYMENTS, PODS, REPLICA_SETS, STATEFUL_SETS } from './kinds.ts';
import {
  type Budget,
  controllerOf,
  type Pod,
  podEnded,
  podReady,
  same,
  withCondition,
  type Workload,
} from './object.ts';
import { createQueue, splitKey } from './queue.ts';
import { selects } from './selectors.ts';
import { instantOf, timeOf, type World } from './world.ts';

/** An eviction that was allowed counts as under way for so long when the pod does not go. */
const DISRUPTED_FOR_MS = 120_000;

function share(value: number | string, whole: number): number {
  if (typeof value === 'number') return value;
  return value.endsWith('%') ? Math.ceil((Number(value.slice(0, -1)) / 100) * whole) : Number(value);
}

/** How many pods the owners of these pods want; undefined when a pod has no owner that could tell. */
function expectedOf(world: World, pods: readonly Pod[]): number | undefined {
  const { store } = world;
  const scales = new Map<string, number>();
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (owner === undefined) return undefined;
    const { namespace } = pod.metadata;
    const set: Workload | undefined =
      owner.kind === 'ReplicaSet'
        ? store.get(REPLICA_SETS, namespace, owner.name)
        : owner.kind === 'StatefulSet'
          ? store.get(STATEFUL_SETS, namespace, owner.name)
          : undefined;
    if (set === undefined) return undefined;
    const above = controllerOf(set);
    const top = above?.kind === 'Deployment' ? (store.get(DEPLOYMENTS, namespace, above.name) ?? set) : set;
    scales.set(top.metadata.uid, top.spec.replicas ?? 1);
  }
  return [...scales.values()].reduce((sum, count) => sum + count, 0);
}

/** Starts the disruption controller. */
export function startBudgets(world: World): void {
  const { store, clock } = world;
  const sync = (key: string): void => {
    const [namespace, name] = splitKey(key);
    const budget = store.get(BUDGETS, namespace, name);
    if (budget === undefined) return;
    const pods = store
      .list(PODS, namespace)
      .filter((pod) => selects(budget.spec.selector, pod.metadata.labels) && !podEnded(pod));
    const { minAvailable, maxUnavailable } = budget.spec;
    const byScale = maxUnavailable !== undefined || typeof minAvailable === 'string';
    const scale = byScale ? expectedOf(world, pods) : pods.length;
    const expected = scale ?? 0;
    const desired =
      maxUnavailable !== undefined
        ? Math.max(0, expected - share(maxUnavailable, expected))
        : share(minAvailable ?? 1, expected);
    const disrupted: Record<string, string> = {};
    for (const [pod, since] of Object.entries(budget.status.disruptedPods ?? {})) {
      const current = pods.find((one) => one.metadata.name === pod);
      const left = instantOf(since) + DISRUPTED_FOR_MS - clock.now();
      if (current === undefined || current.metadata.deletionTimestamp !== undefined || left <= 0) continue;
      disrupted[pod] = since;
      queue.add(key, left);
    }
    const healthy = pods.filter(
      (pod) => podReady(pod) && pod.metadata.deletionTimestamp === undefined && !(pod.metadata.name in disrupted),
    ).length;
    const allowed = scale === undefined || expected <= 0 ? 0 : Math.max(0, healthy - desired);
    const status: Budget['status'] = {
      observedGeneration: budget.metadata.generation ?? 1,
      disruptionsAllowed: allowed,
      currentHealthy: healthy,
      desiredHealthy: desired,
      expectedPods: expected,
      ...(Object.keys(disrupted).length === 0 ? {} : { disruptedPods: disrupted }),
      conditions: withCondition(
        budget.status.conditions,
        {
          type: 'DisruptionAllowed',
          status: allowed > 0 ? 'True' : 'False',
          reason: scale === undefined ? 'SyncFailed' : allowed > 0 ? 'SufficientPods' : 'InsufficientPods',
          message: '',
        },
        timeOf(world),
      ),
    };
    if (!same(status, budget.status)) store.update(BUDGETS, { ...budget, status });
  };
  const queue = createQueue(clock, world.settings.controllerMs, sync);
  store.subscribe((change) => {
    const { namespace, name } = change.object.metadata;
    if (change.resource.storage === BUDGETS.storage) {
      if (change.type !== 'DELETED') queue.add(`${namespace ?? ''}/${name}`);
      return;
    }
    if (change.resource.storage !== PODS.storage || store.count(BUDGETS) === 0) return;
    for (const budget of store.list(BUDGETS, namespace))
      if (selects(budget.spec.selector, change.object.metadata.labels))
        queue.add(`${namespace ?? ''}/${budget.metadata.name}`);
  });
}
