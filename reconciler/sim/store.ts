// The objects, the counter of versions, and the window of recent changes that watches are fed from.
import { NODES, PODS, type Resource } from './kinds.ts';
import { freeze, type KubeObject, type Pod } from './object.ts';

/** One write as watches see it. A deletion carries the object's last state under a new version. */
export interface Change {
  version: number;
  type: 'ADDED' | 'MODIFIED' | 'DELETED';
  resource: Resource;
  object: KubeObject;
  previous: KubeObject | undefined;
}

/** An object and what it is one of. */
export interface Found {
  resource: Resource;
  object: KubeObject;
}

/** The memory of the cluster. Everything handed out is frozen; every write hands back the new object. */
export interface Store {
  /** The version of the last write. */
  version(): number;
  /** Changes up to and including this version are forgotten. */
  forgotten(): number;
  get<T extends KubeObject>(resource: Resource<T>, namespace: string | undefined, name: string): T | undefined;
  /** All of one kind, sorted by namespace and name. */
  list<T extends KubeObject>(resource: Resource<T>, namespace?: string): T[];
  create<T extends KubeObject>(resource: Resource<T>, object: T): T;
  /** Replaces; an object that waits for deletion and has nothing left to wait for is removed instead. */
  update<T extends KubeObject>(resource: Resource<T>, object: T): T;
  remove(resource: Resource, object: KubeObject): void;
  /** The changes after that version, oldest first. */
  since(version: number): Change[];
  /** Forgets all changes so far: older versions are expired from here on. */
  compact(): void;
  /** Called after each write, in the order of subscription. */
  subscribe(listener: (change: Change) => void): () => void;
  podsOn(nodeName: string): Pod[];
  ownedBy(uid: string): Found[];
  count(resource: Resource): number;
}

const keyOf = (namespace: string | undefined, name: string): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

const keyOfObject = (object: KubeObject): string => keyOf(object.metadata.namespace, object.metadata.name);

interface Shelf {
  objects: Map<string, KubeObject>;
  sorted: string[] | undefined;
}

/** Keys sorted as etcd sorts them: by namespace, then by name. */
const byKey = (a: string, b: string): number => {
  const left = a.replace('/', '\u0000');
  const right = b.replace('/', '\u0000');
  return left < right ? -1 : left > right ? 1 : 0;
};

/** Whether nothing holds the object back any longer. A namespace is held by its content, which the collector knows. */
function mayGo(object: KubeObject): boolean {
  if (object.kind === 'Namespace') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  return deletionTimestamp !== undefined && (finalizers ?? []).length === 0 && (deletionGracePeriodSeconds ?? 0) === 0;
}

/** An empty store that remembers the given number of changes. */
export function createStore(windowSize: number): Store {
  const shelves = new Map<string, Shelf>();
  const listeners = new Set<(change: Change) => void>();
  const byNode = new Map<string, Set<string>>();
  const byOwner = new Map<string, Map<string, { resource: Resource; key: string }>>();
  let window: Change[] = [];
  let forgotten = 0;
  let version = 0;

  const shelf = (resource: Resource): Shelf => {
    const found = shelves.get(resource.storage);
    if (found !== undefined) return found;
    const fresh: Shelf = { objects: new Map(), sorted: undefined };
    shelves.set(resource.storage, fresh);
    return fresh;
  };

  const index = (resource: Resource, old: KubeObject | undefined, next: KubeObject | undefined): void => {
    const object = next ?? old;
    if (object === undefined) return;
    const key = keyOfObject(object);
    if (resource.storage === PODS.storage) {
      const from = (old as Pod | undefined)?.spec.nodeName;
      const to = (next as Pod | undefined)?.spec.nodeName;
      if (from !== to) {
        if (from !== undefined) byNode.get(from)?.delete(key);
        if (to !== undefined) byNode.set(to, (byNode.get(to) ?? new Set()).add(key));
      }
    }
    if (old?.metadata.ownerReferences === next?.metadata.ownerReferences) return;
    const entry = `${resource.storage} ${key}`;
    for (const owner of old?.metadata.ownerReferences ?? []) {
      const owned = byOwner.get(owner.uid);
      owned?.delete(entry);
      if (owned?.size === 0) byOwner.delete(owner.uid);
    }
    for (const owner of next?.metadata.ownerReferences ?? [])
      byOwner.set(
        owner.uid,
        (byOwner.get(owner.uid) ?? new Map<string, { resource: Resource; key: string }>()).set(entry, {
          resource,
          key,
        }),
      );
  };

  const record = (change: Change): void => {
    window.push(change);
    if (window.length > windowSize * 2) {
      forgotten = window[window.length - windowSize - 1]?.version ?? forgotten;
      window = window.slice(-windowSize);
    }
    for (const listener of [...listeners]) listener(change);
  };

  const write = <T extends KubeObject>(resource: Resource<T>, object: T, previous: KubeObject | undefined): T => {
    version++;
    const stored: T = freeze({
      ...object,
      metadata: { ...object.metadata, resourceVersion: String(version) },
    });
    const place = shelf(resource);
    place.objects.set(keyOfObject(stored), stored);
    if (previous === undefined) place.sorted = undefined;
    index(resource, previous, stored);
    record({ version, type: previous === undefined ? 'ADDED' : 'MODIFIED', resource, object: stored, previous });
    return stored;
  };

  const store: Store = {
    version: () => version,
    forgotten: () => forgotten,
    get: <T extends KubeObject>(resource: Resource<T>, namespace: string | undefined, name: string) =>
      shelf(resource).objects.get(keyOf(resource.namespaced ? (namespace ?? '') : undefined, name)) as T | undefined,
    list<T extends KubeObject>(resource: Resource<T>, namespace?: string) {
      const place = shelf(resource);
      place.sorted ??= [...place.objects.keys()].sort(byKey);
      const found: T[] = [];
      const prefix = namespace === undefined ? undefined : `${namespace}/`;
      for (const key of place.sorted) {
        if (prefix !== undefined && !key.startsWith(prefix)) continue;
        const object = place.objects.get(key);
        if (object !== undefined) found.push(object as T);
      }
      return found;
    },
    create: (resource, object) => write(resource, object, undefined),
    update(resource, object) {
      const previous = store.get(resource, object.metadata.namespace, object.metadata.name);
      if (!mayGo(object)) return write(resource, object, previous);
      store.remove(resource, object);
      return object;
    },
    remove(resource, object) {
      const place = shelf(resource);
      const key = keyOfObject(object);
      const previous = place.objects.get(key);
      if (previous === undefined) return;
      version++;
      place.objects.delete(key);
      place.sorted = undefined;
      index(resource, previous, undefined);
      const last = freeze({ ...object, metadata: { ...object.metadata, resourceVersion: String(version) } });
      record({ version, type: 'DELETED', resource, object: last, previous });
    },
    since(from) {
      let low = 0;
      let high = window.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((window[middle]?.version ?? 0) <= from) low = middle + 1;
        else high = middle;
      }
      return window.slice(low);
    },
    compact() {
      forgotten = version;
      window = [];
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    podsOn(nodeName) {
      const found: Pod[] = [];
      for (const key of byNode.get(nodeName) ?? []) {
        const pod = shelf(PODS).objects.get(key);
        if (pod !== undefined) found.push(pod as Pod);
      }
      return found;
    },
    ownedBy(uid) {
      const found: Found[] = [];
      for (const { resource, key } of byOwner.get(uid)?.values() ?? []) {
        const object = shelf(resource).objects.get(key);
        if (object !== undefined) found.push({ resource, object });
      }
      return found;
    },
    count: (resource) => shelf(resource).objects.size,
  };
  shelf(NODES);
  return store;
}
