// The node controller: taints that follow a node's state, silence that becomes Unknown, and pods that leave lost nodes.
import { NODES, PODS } from './kinds.ts';
import {
  conditionOf,
  type NodeObject,
  type Pod,
  podReady,
  same,
  type Taint,
  withCondition,
  without,
} from './object.ts';
import { noteUpdate } from './managers.ts';
import { createQueue } from './queue.ts';
import { removeObject } from './removal.ts';
import { tolerationFits } from './selectors.ts';
import { emitEvent, timeOf, type World } from './world.ts';

/** The ear of the node controller. */
export interface Heartbeats {
  /** The node has gone silent now. */
  lost(name: string): void;
  heard(name: string): void;
}

const OWN = ['unschedulable', 'not-ready', 'unreachable'].map((what) => `node.kubernetes.io/${what}`);

function wantedTaints(node: NodeObject, now: string): Taint[] {
  const taints: Taint[] = [];
  const add = (what: string, effect: string): void => {
    const key = `node.kubernetes.io/${what}`;
    const old = (node.spec.taints ?? []).find((taint) => taint.key === key && taint.effect === effect);
    taints.push(old ?? { key, effect, timeAdded: now });
  };
  if (node.spec.unschedulable === true) add('unschedulable', 'NoSchedule');
  const ready = conditionOf(node.status.conditions, 'Ready')?.status;
  if (ready === 'False' || ready === undefined)
    for (const effect of ['NoSchedule', 'NoExecute']) add('not-ready', effect);
  if (ready === 'Unknown') for (const effect of ['NoSchedule', 'NoExecute']) add('unreachable', effect);
  return taints;
}

/** Starts the node controller. */
export function startLifecycle(world: World): Heartbeats {
  const { store, clock, settings } = world;
  const silences = new Map<string, () => void>();

  const evictByTaint = (pod: Pod, node: NodeObject): void => {
    const taints = (node.spec.taints ?? []).filter((taint) => taint.effect === 'NoExecute');
    if (taints.length === 0 || pod.metadata.deletionTimestamp !== undefined) return;
    let seconds = Infinity;
    for (const taint of taints) {
      const fits = (pod.spec.tolerations ?? []).filter((toleration) => tolerationFits(toleration, taint));
      const stays =
        fits.length === 0 ? 0 : Math.min(...fits.map((toleration) => toleration.tolerationSeconds ?? Infinity));
      const age = taint.timeAdded === undefined ? 0 : (clock.now() - Date.parse(taint.timeAdded)) / 1000;
      seconds = Math.min(seconds, stays - age);
    }
    if (seconds === Infinity) return;
    if (seconds <= 0) {
      emitEvent(
        world,
        pod,
        'Normal',
        'TaintManagerEviction',
        `Marking for deletion Pod ${pod.metadata.namespace ?? ''}/${pod.metadata.name}`,
        'taint-eviction-controller',
      );
      removeObject(world, PODS, pod, { dryRun: false });
    } else queue.add(node.metadata.name, seconds * 1000 + 1);
  };

  const sync = (name: string): void => {
    const node = store.get(NODES, undefined, name);
    if (node === undefined) return;
    const wanted = wantedTaints(node, timeOf(world));
    const others = (node.spec.taints ?? []).filter((taint) => !OWN.includes(taint.key));
    const taints = [...others, ...wanted];
    let current = node;
    if (!same(taints, node.spec.taints ?? [])) {
      const spec = taints.length === 0 ? without(node.spec, 'taints') : { ...node.spec, taints };
      const next: NodeObject = { ...node, spec };
      const writer = { manager: 'kube-controller-manager', subresource: undefined, time: timeOf(world) };
      current = store.update(NODES, noteUpdate(node, next, writer) as NodeObject);
    }
    const ready = conditionOf(current.status.conditions, 'Ready')?.status;
    for (const pod of store.podsOn(name)) {
      if (ready === 'Unknown' && podReady(pod)) {
        const conditions = withCondition(
          pod.status.conditions,
          { type: 'Ready', status: 'False', reason: 'NodeNotReady' },
          timeOf(world),
        );
        store.update(PODS, { ...pod, status: { ...pod.status, conditions } });
      }
      evictByTaint(store.get(PODS, pod.metadata.namespace, pod.metadata.name) ?? pod, current);
    }
  };
  const queue = createQueue(clock, settings.controllerMs, sync);

  const declareLost = (name: string): void => {
    const node = store.get(NODES, undefined, name);
    if (node === undefined) return;
    const now = timeOf(world);
    const conditions = (node.status.conditions ?? []).map((condition) => ({
      ...condition,
      ...(condition.status === 'Unknown' ? {} : { lastTransitionTime: now }),
      status: 'Unknown',
      reason: 'NodeStatusUnknown',
      message: 'Kubelet stopped posting node status.',
    }));
    store.update(NODES, { ...node, status: { ...node.status, conditions } });
    emitEvent(world, node, 'Normal', 'NodeNotReady', `Node ${name} status is now: NodeNotReady`, 'node-controller');
  };

  store.subscribe((change) => {
    if (change.resource.storage === PODS.storage && change.type !== 'DELETED') {
      const pod = change.object as Pod;
      const moved = (change.previous as Pod | undefined)?.spec.nodeName !== pod.spec.nodeName;
      if (
        moved &&
        pod.spec.nodeName !== undefined &&
        store.get(NODES, undefined, pod.spec.nodeName)?.spec.taints?.some((taint) => taint.effect === 'NoExecute') ===
          true
      )
        queue.add(pod.spec.nodeName);
    }
    if (change.resource.storage !== NODES.storage || change.type === 'DELETED') return;
    const node = change.object as NodeObject;
    const before = change.previous as NodeObject | undefined;
    const ready = (one: NodeObject | undefined): string | undefined =>
      conditionOf(one?.status.conditions, 'Ready')?.status;
    if (before === undefined || before.spec !== node.spec || ready(before) !== ready(node))
      queue.add(node.metadata.name);
  });

  return {
    lost(name) {
      if (silences.has(name)) return;
      silences.set(
        name,
        clock.after(settings.unreachableAfterMs, () => {
          declareLost(name);
        }),
      );
    },
    heard(name) {
      silences.get(name)?.();
      silences.delete(name);
    },
  };
}
