// What every part of the simulation shares: the clock, the store, names, the settings, and the writing of Events.
import type { SimClock } from './clock.ts';
import type { Identity } from './identity.ts';
import { EVENTS, type Resource } from './kinds.ts';
import type { KubeObject } from './object.ts';
import type { Store } from './store.ts';

/** How fast the parts of the cluster are, in milliseconds, and how much it remembers. */
export interface Settings {
  /** Between a change and a controller's answer to it. */
  controllerMs: number;
  /** Between a pod's creation and the scheduler's choice. */
  schedulerMs: number;
  /** Between a change on the node and the kubelet's report of it. */
  kubeletMs: number;
  /** A node that has been silent for so long is declared unreachable. */
  unreachableAfterMs: number;
  /** How often a kubelet renews its node's status when nothing changes; 0 for never. */
  heartbeatMs: number;
  /** How often a watch that asked for bookmarks gets one. */
  bookmarkMs: number;
  /** How many changes watches can go back. */
  windowSize: number;
  /** How long Events are kept. */
  eventTtlMs: number;
  /** Pods of a node that is gone from the API are removed after so long. */
  orphanedPodMs: number;
}

/** The usual speeds: those of a small idle cluster, as measured on Kubernetes 1.36. */
export const DEFAULT_SETTINGS: Settings = {
  controllerMs: 40,
  schedulerMs: 20,
  kubeletMs: 60,
  unreachableAfterMs: 45_000,
  heartbeatMs: 300_000,
  bookmarkMs: 60_000,
  windowSize: 20_000,
  eventTtlMs: 3_600_000,
  orphanedPodMs: 40_000,
};

/** The shared parts. */
export interface World {
  readonly clock: SimClock;
  readonly store: Store;
  readonly identity: Identity;
  readonly settings: Settings;
  readonly resources: Resource[];
  /** Text that containers wrote, by "namespace/pod". */
  readonly logs: Map<string, string>;
}

/** Now, as the API writes a Time: whole seconds. */
export function timeOf(world: World, offsetMs = 0): string {
  return `${new Date(world.clock.now() + offsetMs).toISOString().slice(0, 19)}Z`;
}

/** Now, as the API writes a MicroTime: six digits. */
export function microTimeOf(world: World): string {
  return new Date(world.clock.now()).toISOString().replace('Z', '000Z');
}

/** Milliseconds since 1970 of a time in an object. */
export function instantOf(text: string): number {
  return Date.parse(text);
}

/** Writes an Event about the object, or counts one up that said the same. Old ones are forgotten on the way. */
export function emitEvent(
  world: World,
  about: KubeObject,
  type: 'Normal' | 'Warning',
  reason: string,
  message: string,
  component: string,
): void {
  const { store } = world;
  const namespace = about.metadata.namespace ?? 'default';
  const now = timeOf(world);
  const name = `${about.metadata.name}.${fingerprint(`${about.metadata.uid}${type}${reason}${message}${component}`)}`;
  const old = store.get(EVENTS, namespace, name);
  if (old !== undefined) {
    const count = typeof old['count'] === 'number' ? old['count'] : 1;
    store.update(EVENTS, { ...old, count: count + 1, lastTimestamp: now });
    return;
  }
  const event: KubeObject = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace, uid: world.identity.uid(), resourceVersion: '', creationTimestamp: now },
    involvedObject: {
      kind: about.kind,
      ...(about.metadata.namespace === undefined ? {} : { namespace }),
      name: about.metadata.name,
      uid: about.metadata.uid,
      apiVersion: about.apiVersion,
      resourceVersion: about.metadata.resourceVersion,
    },
    reason,
    message,
    source: { component },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
    type,
    eventTime: null,
    reportingComponent: component,
    reportingInstance: '',
  };
  store.create(EVENTS, event);
  world.clock.after(world.settings.eventTtlMs, () => {
    const last = store.get(EVENTS, namespace, name);
    if (last !== undefined) store.remove(EVENTS, last);
  });
}

/** Sixteen hexadecimal digits that differ for different texts (FNV-1a, twice). */
export function fingerprint(text: string): string {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    low = Math.imul(low ^ text.charCodeAt(i), 0x01000193) >>> 0;
    high = Math.imul(high ^ text.charCodeAt(i) ^ (low >>> 7), 0x01000193) >>> 0;
  }
  return low.toString(16).padStart(8, '0') + high.toString(16).padStart(8, '0');
}
