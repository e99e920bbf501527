// The scheduler: puts pods on nodes by selector, affinity, taints, and the number of pods that are there already.
import { NODES, PODS } from './kinds.ts';
import { conditionOf, type NodeObject, type Pod, withCondition } from './object.ts';
import { createQueue, splitKey } from './queue.ts';
import { nodeFits, tolerates } from './selectors.ts';
import { emitEvent, timeOf, type World } from './world.ts';

const UNSCHEDULABLE = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

/** Why the node does not take the pod, or undefined when it does. */
function objection(pod: Pod, node: NodeObject): string | undefined {
  if (node.spec.unschedulable === true && !tolerates(pod.spec.tolerations, UNSCHEDULABLE))
    return 'node(s) were unschedulable';
  if (!nodeFits(pod.spec, node)) return "node(s) didn't match Pod's node affinity/selector";
  const taint = (node.spec.taints ?? []).find(
    (one) => one.effect !== 'PreferNoSchedule' && !tolerates(pod.spec.tolerations, one),
  );
  return taint === undefined ? undefined : `node(s) had untolerated taint(s)`;
}

/** Starts the scheduler. */
export function startScheduler(world: World): void {
  const { store } = world;
  const pending = new Set<string>();
  const schedule = (key: string): void => {
    const [namespace, name] = splitKey(key);
    const pod = store.get(PODS, namespace, name);
    if (pod === undefined || pod.spec.nodeName !== undefined || pod.metadata.deletionTimestamp !== undefined) {
      pending.delete(key);
      return;
    }
    const reasons = new Map<string, number>();
    let best: NodeObject | undefined;
    let fewest = Infinity;
    const nodes = store.list(NODES);
    for (const node of nodes) {
      const why = objection(pod, node);
      if (why !== undefined) {
        reasons.set(why, (reasons.get(why) ?? 0) + 1);
        continue;
      }
      const load = store.podsOn(node.metadata.name).length;
      if (load < fewest) [best, fewest] = [node, load];
    }
    const now = timeOf(world);
    if (best !== undefined) {
      pending.delete(key);
      const conditions = withCondition(pod.status.conditions, { type: 'PodScheduled', status: 'True' }, now);
      const bound = store.update(PODS, {
        ...pod,
        spec: { ...pod.spec, nodeName: best.metadata.name },
        status: { ...pod.status, conditions },
      });
      emitEvent(
        world,
        bound,
        'Normal',
        'Scheduled',
        `Successfully assigned ${key} to ${best.metadata.name}`,
        'default-scheduler',
      );
      return;
    }
    pending.add(key);
    const said = [...reasons].map(([why, count]) => `${count} ${why}`).join(', ');
    const message = `0/${nodes.length} nodes are available: ${said}.`;
    if (conditionOf(pod.status.conditions, 'PodScheduled')?.message === message) return;
    const conditions = withCondition(
      pod.status.conditions,
      { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message },
      now,
    );
    emitEvent(
      world,
      store.update(PODS, { ...pod, status: { ...pod.status, conditions } }),
      'Warning',
      'FailedScheduling',
      message,
      'default-scheduler',
    );
  };
  const queue = createQueue(world.clock, world.settings.schedulerMs, schedule);
  store.subscribe((change) => {
    if (change.resource.storage === PODS.storage && change.type === 'ADDED') {
      const pod = change.object as Pod;
      if (pod.spec.nodeName === undefined) queue.add(`${pod.metadata.namespace ?? ''}/${pod.metadata.name}`);
    }
    if (change.resource.storage !== NODES.storage || change.type === 'DELETED') return;
    const before = change.previous;
    if (
      before !== undefined &&
      before.spec === change.object.spec &&
      before.metadata.labels === change.object.metadata.labels
    )
      return;
    for (const key of pending) queue.add(key);
  });
}
