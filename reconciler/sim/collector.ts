// The garbage collector: dependents of what is gone, finalizers of propagation, namespaces that end, pods of nodes that are gone.
import { JOBS, NAMESPACES, NODES, PODS, type Resource } from './kinds.ts';
import { type KubeObject, type Pod, without } from './object.ts';
import { createQueue, splitKey } from './queue.ts';
import { FOREGROUND, ORPHAN, removeObject } from './removal.ts';
import type { World } from './world.ts';

/** Starts the garbage collector. */
export function startCollector(world: World): void {
  const { store, clock, settings } = world;

  const withFinalizers = (object: KubeObject, finalizers: string[]): KubeObject => {
    const metadata = without(object.metadata, 'finalizers');
    return { ...object, metadata: finalizers.length === 0 ? metadata : { ...metadata, finalizers } };
  };
  const work = new Map<string, () => void>();
  const queue = createQueue(clock, settings.controllerMs, (key) => {
    const run = work.get(key);
    work.delete(key);
    run?.();
  });
  const soon = (key: string, run: () => void): void => {
    work.set(key, run);
    queue.add(key);
  };

  const collect = (uid: string): void => {
    for (const { resource, object } of store.ownedBy(uid)) {
      const others = (object.metadata.ownerReferences ?? []).filter((owner) => owner.uid !== uid);
      if (others.length > 0)
        store.update(resource, { ...object, metadata: { ...object.metadata, ownerReferences: others } });
      else removeObject(world, resource, object, { propagationPolicy: 'Background', dryRun: false });
    }
  };
  const orphan = (resource: Resource, key: string): void => {
    const [namespace, name] = splitKey(key);
    const owner = store.get(resource, namespace, name);
    if (owner === undefined) return;
    for (const found of store.ownedBy(owner.metadata.uid)) {
      const others = (found.object.metadata.ownerReferences ?? []).filter((one) => one.uid !== owner.metadata.uid);
      const metadata = without(found.object.metadata, 'ownerReferences');
      store.update(found.resource, {
        ...found.object,
        metadata: others.length === 0 ? metadata : { ...metadata, ownerReferences: others },
      });
    }
    store.update(
      resource,
      withFinalizers(
        owner,
        (owner.metadata.finalizers ?? []).filter((one) => one !== ORPHAN),
      ),
    );
  };
  const foreground = (resource: Resource, key: string): void => {
    const [namespace, name] = splitKey(key);
    const owner = store.get(resource, namespace, name);
    if (owner === undefined) return;
    const dependents = store.ownedBy(owner.metadata.uid);
    for (const found of dependents)
      if (found.object.metadata.deletionTimestamp === undefined)
        removeObject(world, found.resource, found.object, { dryRun: false, propagationPolicy: 'Background' });
    if (store.ownedBy(owner.metadata.uid).length === 0)
      store.update(
        resource,
        withFinalizers(
          owner,
          (owner.metadata.finalizers ?? []).filter((one) => one !== FOREGROUND),
        ),
      );
    else
      clock.after(settings.controllerMs * 5, () => {
        foreground(resource, key);
      });
  };
  const empty = (name: string): void => {
    const namespace = store.get(NAMESPACES, undefined, name);
    if (namespace?.metadata.deletionTimestamp === undefined) return;
    let left = 0;
    for (const resource of world.resources) {
      if (!resource.namespaced) continue;
      for (const object of store.list(resource, name)) {
        const removal =
          resource.storage === JOBS.storage || object.metadata.deletionTimestamp === undefined
            ? removeObject(world, resource, object, { propagationPolicy: 'Background', dryRun: false })
            : { gone: false };
        if (!removal.gone) left++;
      }
    }
    if (left === 0) store.remove(NAMESPACES, namespace);
    else
      clock.after(settings.controllerMs * 5, () => {
        empty(name);
      });
  };

  store.subscribe((change) => {
    const { metadata } = change.object;
    const key = `${metadata.namespace ?? ''}/${metadata.name}`;
    if (change.type === 'DELETED') {
      if (store.ownedBy(metadata.uid).length > 0)
        soon(`gone ${metadata.uid}`, () => {
          collect(metadata.uid);
        });
      if (change.resource.storage === NODES.storage)
        clock.after(settings.orphanedPodMs, () => {
          if (store.get(NODES, undefined, metadata.name) !== undefined) return;
          for (const pod of store.podsOn(metadata.name)) dropPod(pod);
        });
      return;
    }
    // A dependent that was made after its owner had gone.
    if (change.type === 'ADDED')
      for (const owner of metadata.ownerReferences ?? []) {
        const resource = world.resources.find((one) => one.kind === owner.kind);
        if (resource !== undefined && store.get(resource, metadata.namespace, owner.name)?.metadata.uid !== owner.uid)
          soon(`gone ${owner.uid}`, () => {
            collect(owner.uid);
          });
      }
    if (metadata.deletionTimestamp === undefined) return;
    if (change.resource.storage === NAMESPACES.storage)
      soon(`empty ${metadata.name}`, () => {
        empty(metadata.name);
      });
    if (metadata.finalizers?.includes(ORPHAN) === true)
      soon(`orphan ${metadata.uid}`, () => {
        orphan(change.resource, key);
      });
    if (metadata.finalizers?.includes(FOREGROUND) === true)
      soon(`foreground ${metadata.uid}`, () => {
        foreground(change.resource, key);
      });
  });

  const dropPod = (pod: Pod): void => {
    const ended: Pod = {
      ...pod,
      status: { ...pod.status, phase: pod.status.phase === 'Succeeded' ? 'Succeeded' : 'Failed', reason: 'NodeLost' },
    };
    removeObject(world, PODS, store.update(PODS, ended), { gracePeriodSeconds: 0, dryRun: false });
  };
}
