// Deletion as the API does it: grace for pods, finalizers, propagation to dependents, preconditions.
import { JOBS, NAMESPACES, PODS, type Resource } from './kinds.ts';
import { isRecord, type KubeObject, type Pod, podEnded, without } from './object.ts';
import { conflict } from './refusal.ts';
import { timeOf, type World } from './world.ts';

/** How to delete. */
export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun: boolean;
}

/** Finalizers that the garbage collector works off. */
export const ORPHAN = 'orphan';
export const FOREGROUND = 'foregroundDeletion';

/** Reads DeleteOptions from a body and the query, as the server takes both. */
export function deleteOptionsOf(body: unknown, query: URLSearchParams): DeleteOptions {
  const written = isRecord(body) ? body : {};
  const preconditions = isRecord(written['preconditions']) ? written['preconditions'] : {};
  const { uid, resourceVersion } = preconditions;
  const grace =
    written['gracePeriodSeconds'] ??
    (query.has('gracePeriodSeconds') ? Number(query.get('gracePeriodSeconds')) : undefined);
  const orphan =
    written['orphanDependents'] ??
    (query.has('orphanDependents') ? query.get('orphanDependents') === 'true' : undefined);
  const policy =
    written['propagationPolicy'] ??
    query.get('propagationPolicy') ??
    (typeof orphan === 'boolean' ? (orphan ? 'Orphan' : 'Background') : undefined);
  return {
    ...(typeof grace === 'number' ? { gracePeriodSeconds: grace } : {}),
    ...(typeof policy === 'string' ? { propagationPolicy: policy } : {}),
    preconditions: {
      ...(typeof uid === 'string' ? { uid } : {}),
      ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
    },
    dryRun:
      (Array.isArray(written['dryRun']) && written['dryRun'].includes('All')) || query.getAll('dryRun').includes('All'),
  };
}

/** What became of a deletion. */
export interface Removal {
  /** True when nothing is left of the object. */
  gone: boolean;
  object: KubeObject;
}

function checkPreconditions(resource: Resource, object: KubeObject, options: DeleteOptions): void {
  const { name, uid, resourceVersion } = object.metadata;
  const wanted = options.preconditions ?? {};
  if (wanted.uid !== undefined && wanted.uid !== uid)
    throw conflict(
      resource,
      name,
      `Precondition failed: UID in precondition: ${wanted.uid}, UID in object meta: ${uid}`,
    );
  if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== resourceVersion)
    throw conflict(
      resource,
      name,
      `Precondition failed: ResourceVersion in precondition: ${wanted.resourceVersion}, ResourceVersion in object meta: ${resourceVersion}. The object might have been modified`,
    );
}

function graceOf(resource: Resource, object: KubeObject, options: DeleteOptions): number {
  if (resource.storage !== PODS.storage) return 0;
  const pod = object as Pod;
  if (pod.spec.nodeName === undefined || podEnded(pod)) return 0;
  const grace = options.gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
  return pod.metadata.deletionTimestamp === undefined
    ? grace
    : Math.min(grace, pod.metadata.deletionGracePeriodSeconds ?? grace);
}

/** Deletes, or starts to. Throws a Refusal (409) when a precondition does not hold. */
export function removeObject(world: World, resource: Resource, object: KubeObject, options: DeleteOptions): Removal {
  checkPreconditions(resource, object, options);
  const policy = options.propagationPolicy ?? (resource.storage === JOBS.storage ? 'Orphan' : 'Background');
  const grace = graceOf(resource, object, options);
  const { metadata } = object;
  let finalizers = metadata.finalizers ?? [];
  if (resource.storage !== PODS.storage && metadata.deletionTimestamp === undefined) {
    const has = world.store.ownedBy(metadata.uid).length > 0;
    finalizers = finalizers.filter((name) => name !== ORPHAN && name !== FOREGROUND);
    if (policy === 'Orphan' && has) finalizers = [...finalizers, ORPHAN];
    if (policy === 'Foreground') finalizers = [...finalizers, FOREGROUND];
  }
  const held = finalizers.length > 0 || resource.storage === NAMESPACES.storage;
  if (options.dryRun) return { gone: !held && grace === 0, object };
  if (!held && grace === 0) {
    world.store.remove(resource, object);
    return { gone: true, object };
  }
  const already = metadata.deletionTimestamp !== undefined;
  if (already && grace === (metadata.deletionGracePeriodSeconds ?? 0)) return { gone: false, object };
  const next: KubeObject = {
    ...object,
    metadata: {
      ...without(metadata, 'finalizers'),
      ...(finalizers.length === 0 ? {} : { finalizers }),
      deletionTimestamp:
        already && grace > 0 ? (metadata.deletionTimestamp ?? timeOf(world)) : timeOf(world, grace * 1000),
      deletionGracePeriodSeconds: grace,
    },
    ...(resource.storage === NAMESPACES.storage ? { status: { phase: 'Terminating' } } : {}),
  };
  return { gone: false, object: world.store.update(resource, next) };
}
