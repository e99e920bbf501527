// How lists and maps of Kubernetes objects merge, told by the field's name.

/** For strategic merge patches: the key by which the items of a list are known. A list that is not here is replaced as a whole. */
const PATCH_KEYS: Record<string, string> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  imagePullSecrets: 'name',
  hostAliases: 'ip',
  conditions: 'type',
  addresses: 'type',
  taints: 'key',
  ownerReferences: 'uid',
  secrets: 'name',
  topologySpreadConstraints: 'topologyKey',
};

/** Lists of plain values that strategic merge patches add to. */
const PATCH_SETS = new Set(['finalizers', 'podCIDRs']);

/** For server-side apply: the keys of lists that are merged item by item. A list that is not here is atomic, `taints` above all. */
const APPLY_KEYS: Record<string, readonly string[]> = {
  containers: ['name'],
  initContainers: ['name'],
  ephemeralContainers: ['name'],
  env: ['name'],
  volumes: ['name'],
  volumeMounts: ['mountPath'],
  volumeDevices: ['devicePath'],
  imagePullSecrets: ['name'],
  hostAliases: ['ip'],
  conditions: ['type'],
  ownerReferences: ['uid'],
};

/** Lists of plain values whose items have owners of their own. */
const APPLY_SETS = new Set(['finalizers', 'podCIDRs']);

/** Maps that have one owner as a whole. */
const ATOMIC_MAPS = new Set([
  'selector',
  'labelSelector',
  'nodeSelector',
  'secretRef',
  'configMapKeyRef',
  'fieldRef',
  'involvedObject',
]);

/** The key by which a strategic merge patch knows the items of this list, if any. */
export function patchKeyOf(field: string, items: readonly unknown[]): string | undefined {
  if (field === 'ports') return items.some((item) => has(item, 'containerPort')) ? 'containerPort' : 'port';
  return PATCH_KEYS[field];
}

/** Whether a strategic merge patch adds to this list of plain values. */
export function isPatchSet(field: string): boolean {
  return PATCH_SETS.has(field);
}

/** How server-side apply treats a list: item by item with these keys, as a set, or as one value. */
export function applyListKind(
  field: string,
  items: readonly unknown[],
): { kind: 'map'; keys: readonly string[] } | { kind: 'set' } | { kind: 'atomic' } {
  if (APPLY_SETS.has(field)) return { kind: 'set' };
  if (field === 'ports')
    return {
      kind: 'map',
      keys: [items.some((item) => has(item, 'containerPort')) ? 'containerPort' : 'port', 'protocol'],
    };
  const keys = APPLY_KEYS[field];
  return keys === undefined ? { kind: 'atomic' } : { kind: 'map', keys };
}

/** Whether the map has one owner as a whole. */
export function isAtomicMap(field: string): boolean {
  return ATOMIC_MAPS.has(field);
}

function has(item: unknown, field: string): boolean {
  return typeof item === 'object' && item !== null && field in item;
}
