// Events have two faces, core/v1 and events.k8s.io/v1, over the same stored objects.
import { NEW_EVENTS, type Resource } from './kinds.ts';
import { type KubeObject, without } from './object.ts';

const PAIRS: readonly [core: string, fresh: string][] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
];

/** The object as this resource shows it. */
export function present(resource: Resource, object: KubeObject): KubeObject {
  if (resource !== NEW_EVENTS) return object;
  const shown = without(object, ...PAIRS.map(([core]) => core));
  for (const [core, fresh] of PAIRS) if (object[core] !== undefined) shown[fresh] = object[core];
  return { ...shown, apiVersion: 'events.k8s.io/v1' };
}

/** The object as it is stored, whichever face it was written through. */
export function stored(resource: Resource, object: KubeObject): KubeObject {
  if (resource !== NEW_EVENTS) return object;
  const kept = without(object, ...PAIRS.map(([, fresh]) => fresh));
  for (const [core, fresh] of PAIRS) if (object[fresh] !== undefined) kept[core] = object[fresh];
  return { ...kept, apiVersion: 'v1' };
}
