// Who owns which field: server-side apply with its conflicts, and the bookkeeping of all other writes.
import {
  common,
  difference,
  type FieldTree,
  fieldsOf,
  minus,
  minusLeaves,
  pathText,
  prune,
  union,
  valueAt,
} from './fields.ts';
import { isRecord, type KubeObject, type ManagedFields, same, without } from './object.ts';
import { failure, Refusal } from './refusal.ts';
import { applyListKind, isAtomicMap } from './schema.ts';

/** Who writes, and through which part of the API. */
export interface Writer {
  manager: string;
  subresource: string | undefined;
  /** RFC 3339, whole seconds. */
  time: string;
}

/** Metadata that nobody owns. */
const NOT_OWNED = [
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'creationTimestamp',
  'generation',
  'managedFields',
  'selfLink',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
];

/** The part of an object that fields are owned of. */
function owned(object: object): Record<string, unknown> {
  const { metadata, ...rest }: Record<string, unknown> = { ...without(object, 'apiVersion', 'kind') };
  const kept = isRecord(metadata) ? without(metadata, ...NOT_OWNED) : {};
  return Object.keys(kept).length === 0 ? rest : { ...rest, metadata: kept };
}

const treeOf = (entry: ManagedFields): FieldTree => entry.fieldsV1 as FieldTree;

function withTree(entry: ManagedFields, tree: FieldTree): ManagedFields[] {
  return Object.keys(tree).length === 0 ? [] : [{ ...entry, fieldsV1: tree }];
}

/** The bookkeeping after a create, update or patch: what changed is the writer's now, and nobody else's. */
export function noteUpdate(before: KubeObject | undefined, after: KubeObject, writer: Writer): KubeObject {
  const changes = difference(before === undefined ? {} : owned(before), owned(after));
  const entries = before?.metadata.managedFields ?? [];
  if (changes === undefined) return withEntries(after, entries);
  const isMine = (entry: ManagedFields): boolean =>
    entry.manager === writer.manager && entry.operation === 'Update' && entry.subresource === writer.subresource;
  const taken = union(changes.changed, changes.gone);
  const others = entries
    .filter((entry) => !isMine(entry))
    .flatMap((entry) => withTree(entry, minus(treeOf(entry), taken)));
  const old = entries.find(isMine);
  const mine = union(minus(old === undefined ? {} : treeOf(old), changes.gone), changes.changed);
  return withEntries(after, [...others, ...withTree(entryOf(after, writer, 'Update'), mine)]);
}

function entryOf(object: KubeObject, writer: Writer, operation: string): ManagedFields {
  return {
    manager: writer.manager,
    operation,
    apiVersion: object.apiVersion,
    time: writer.time,
    fieldsType: 'FieldsV1',
    fieldsV1: {},
    ...(writer.subresource === undefined ? {} : { subresource: writer.subresource }),
  };
}

function withEntries(object: KubeObject, entries: ManagedFields[]): KubeObject {
  const metadata = without(object.metadata, 'managedFields');
  return { ...object, metadata: entries.length === 0 ? metadata : { ...metadata, managedFields: entries } };
}

/** Puts the configuration over the object: maps and keyed lists merge, everything else is replaced. */
function lay(old: unknown, config: unknown, field: string): unknown {
  if (Array.isArray(config)) {
    const items = config as unknown[];
    const before: unknown[] = Array.isArray(old) ? (old as unknown[]) : [];
    const list = applyListKind(field, items);
    if (list.kind === 'atomic') return items;
    if (list.kind === 'set') return [...new Set([...before, ...items])];
    const keyed = (item: unknown): string =>
      JSON.stringify(list.keys.map((key) => (isRecord(item) ? (item[key] ?? 'TCP') : '')));
    const result = before.map((item) => {
      const over = items.find((candidate) => keyed(candidate) === keyed(item));
      return over === undefined ? item : lay(item, over, '');
    });
    return [...result, ...items.filter((item) => !before.some((candidate) => keyed(candidate) === keyed(item)))];
  }
  if (!isRecord(config) || !isRecord(old) || isAtomicMap(field)) return config;
  const result: Record<string, unknown> = { ...old };
  for (const [key, value] of Object.entries(config)) result[key] = lay(result[key], value, key);
  return result;
}

/**
 * Server-side apply of a configuration onto an object (or nothing). Throws a Refusal (409 with FieldManagerConflict causes) when others own
 * fields that the configuration would change, unless forced.
 */
export function applyConfig(
  live: KubeObject | undefined,
  config: Record<string, unknown>,
  writer: Writer,
  force: boolean,
): Record<string, unknown> {
  const wanted = owned(config);
  const wantedFields = fieldsOf(wanted);
  const entries = live?.metadata.managedFields ?? [];
  const isMine = (entry: ManagedFields): boolean =>
    entry.manager === writer.manager && entry.operation === 'Apply' && entry.subresource === writer.subresource;
  const have = live === undefined ? {} : owned(live);
  const laid = lay(have, wanted, '');
  const contested: { entry: ManagedFields; path: string[] }[] = [];
  for (const entry of entries.filter((candidate) => !isMine(candidate)))
    for (const path of common(wantedFields, treeOf(entry)))
      if (!same(valueAt(have, path), valueAt(laid, path))) contested.push({ entry, path });
  if (contested.length > 0 && !force) throw fieldConflict(contested);

  let lost: FieldTree = {};
  for (const { path } of contested)
    lost = union(
      lost,
      path.reduceRight<FieldTree>((below, key) => ({ [key]: below }), {}),
    );
  const others = entries
    .filter((entry) => !isMine(entry))
    .flatMap((entry) => withTree(entry, Object.keys(lost).length === 0 ? treeOf(entry) : minus(treeOf(entry), lost)));
  const mine = entries.find(isMine);
  let dropped = minusLeaves(mine === undefined ? {} : treeOf(mine), wantedFields);
  for (const entry of others) dropped = minusLeaves(dropped, treeOf(entry));
  const base = live === undefined ? config : prune(laid, dropped);
  const result: Record<string, unknown> = isRecord(base) ? { ...base } : {};
  const metadata = isRecord(result['metadata']) ? result['metadata'] : {};
  const configMetadata = isRecord(config['metadata']) ? config['metadata'] : {};
  const entry = { ...entryOf((live ?? config) as KubeObject, writer, 'Apply'), fieldsV1: wantedFields };
  const unchanged = mine !== undefined && same(mine.fieldsV1, wantedFields) && contested.length === 0;
  return {
    ...result,
    apiVersion: config['apiVersion'],
    kind: config['kind'],
    metadata: {
      ...Object.fromEntries(Object.entries(live?.metadata ?? {}).filter(([key]) => NOT_OWNED.includes(key))),
      ...metadata,
      ...(configMetadata['uid'] === undefined ? {} : { uid: configMetadata['uid'] }),
      ...(configMetadata['resourceVersion'] === undefined
        ? {}
        : { resourceVersion: configMetadata['resourceVersion'] }),
      managedFields: unchanged ? entries : [...others, entry],
    },
  };
}

function fieldConflict(contested: { entry: ManagedFields; path: string[] }[]): Refusal {
  const causes = contested.map(({ entry, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with "${entry.manager}"${entry.subresource === undefined ? '' : ` with subresource "${entry.subresource}"`} using ${entry.apiVersion}`,
    field: pathText(path),
  }));
  const count = `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}: `;
  const [only] = causes;
  if (causes.length === 1 && only !== undefined)
    return new Refusal(failure(409, 'Conflict', `${count}${only.message}: ${only.field}`, { causes }));
  const groups = [...new Set(causes.map((cause) => cause.message))].map((message) => {
    const paths = causes.filter((cause) => cause.message === message).map((cause) => `- ${cause.field}`);
    return `${message.replace('conflict with', 'conflicts with')}:\n${paths.join('\n')}`;
  });
  return new Refusal(failure(409, 'Conflict', count + groups.join('\n'), { causes }));
}
