// How the ledger lies in ConfigMaps: one JSON value per data key, nodes spread over shards, and back again.
import { digest } from '../model/digest.ts';
import { AdapterError } from '../model/failure.ts';
import type { LedgerDocument, NodeHistory, NodeRecord, RequestRecord, RunRecord, Sightings } from '../model/ledger.ts';
import { packLists, unpackLists } from './ledger-packing.ts';

/** Data of ConfigMaps by name: each a map from data key to JSON text. */
export type Image = Map<string, Map<string, string>>;

/** Names of the ConfigMaps. */
export interface LedgerNames {
  readonly head: string;
  readonly run: (hash: string) => string;
  readonly shard: (hash: string, index: number) => string;
  readonly history: (index: number) => string;
  /** True for every ConfigMap of this ledger. */
  readonly owns: (name: string) => boolean;
}

/** `oakum-ledger` gives `oakum-run-<hash>`, `oakum-run-<hash>-<k>` and `oakum-history-<k>`. */
export function ledgerNames(head: string): LedgerNames {
  const prefix = head.replace(/-ledger$/, '');
  const pattern = new RegExp(`^${prefix.replaceAll('.', '\\.')}-(run-[0-9a-f]+(-\\d+)?|history-\\d+)$`);
  return {
    head,
    run: (hash) => `${prefix}-run-${hash}`,
    shard: (hash, index) => `${prefix}-run-${hash}-${index}`,
    history: (index) => `${prefix}-history-${index}`,
    owns: (name) => name === head || pattern.test(name),
  };
}

/**
 * Nodes in one shard. Two lists of packages, each at most 16 KiB as packed base64 (model/result-log.ts), and the rest are at most about 35 KB
 * a node; a ConfigMap ends at 1 MiB.
 */
export const nodesPerShard = 25;
const historyPerShard = 400;

/** Data key of the head: everything that is one of its kind. */
export const headKey = 'ledger';
/** Data key of a run's ConfigMap. */
const runKey = 'run';
/** Data key of what scans saw, beside the head: it changes seldom and is large. */
const sightingsKey = 'sightings';
const requestPrefix = 'request.';
/** Data keys of ours among node names begin with an underscore, which no node name has. */
export const generationKey = '_generation';

/** What is one of its kind in a ledger: everything but requests, runs and history. */
type Single = Omit<LedgerDocument, 'requests' | 'runs' | 'history' | 'sightings'>;

interface Head extends Single {
  /** The runs that exist; a run's ConfigMap that is not listed here is rubbish of a save that was cut short. */
  readonly runs: readonly { readonly id: string; readonly hash: string }[];
  /** How many history shards count. */
  readonly history: number;
}

interface RunHeader {
  /** How many node shards count. */
  readonly shards: number;
  readonly run: Omit<RunRecord, 'nodes'>;
}

export function corrupt(where: string, what: string): AdapterError {
  return new AdapterError(
    'rejected',
    'LedgerCorrupt',
    `the ledger cannot be read: ${where} ${what}; restore the ConfigMap from a backup (nothing is done to the cluster until then)`,
  );
}

/** Texts are made once per value: a save compares everything, and almost nothing has changed. */
const textOf = new WeakMap<object, string>();

function json(value: object): string {
  return textBy(value, (plain) => plain);
}

/** The text of a node's record in a run. */
function recordText(record: NodeRecord): string {
  return textBy(record, packLists);
}

function textBy<Value extends object>(value: Value, form: (value: Value) => object): string {
  const known = textOf.get(value);
  if (known !== undefined) return known;
  const text = JSON.stringify(form(value));
  textOf.set(value, text);
  return text;
}

/**
 * The document as ConfigMaps. A node keeps the shard in which `present` has it; new nodes go to the first shard with room, so that a node never
 * moves and a save touches few ConfigMaps.
 */
export function layOut(document: LedgerDocument, names: LedgerNames, present: Image): Image {
  const image: Image = new Map();
  const { requests, runs, history: nodes, sightings, ...single } = document;
  const history = spread(nodes, json, historyPerShard, (index) => names.history(index), present, image);
  const head: Head = { ...single, runs: Object.values(runs).map(({ id, hash }) => ({ id, hash })), history };
  const headData = new Map([[headKey, JSON.stringify(head)]]);
  if (sightings) headData.set(sightingsKey, json(sightings));
  for (const [name, request] of Object.entries(requests)) headData.set(requestKey(name), json(request));
  image.set(names.head, headData);
  for (const { nodes: records, ...run } of Object.values(runs)) {
    const shards = spread(records, recordText, nodesPerShard, (index) => names.shard(run.hash, index), present, image);
    image.set(names.run(run.hash), new Map([[runKey, JSON.stringify({ shards, run } satisfies RunHeader)]]));
  }
  return image;
}

/** The longest data key of a ConfigMap. */
const longestKey = 253;

/** A request's name is a file's name; characters that a data key cannot have are written as `_` and their code, long names as a hash. */
function requestKey(name: string): string {
  const key = requestPrefix + name.replace(/[^A-Za-z0-9.-]/g, (char) => `_${char.charCodeAt(0).toString(16)}_`);
  return key.length <= longestKey ? key : `${requestPrefix}_${digest(name)}`;
}

function spread<Value extends object>(
  records: Readonly<Record<string, Value>>,
  write: (value: Value) => string,
  perShard: number,
  nameOf: (index: number) => string,
  present: Image,
  image: Image,
): number {
  const shards: Map<string, string>[] = [];
  const place = new Map<string, number>();
  for (let index = 0; present.has(nameOf(index)); index++) {
    shards.push(new Map());
    for (const key of present.get(nameOf(index))?.keys() ?? []) place.set(key, index);
  }
  let room = 0;
  const unplaced: [string, Value][] = [];
  for (const [key, record] of Object.entries(records)) {
    const at = place.get(key);
    if (at === undefined) unplaced.push([key, record]);
    else shards[at]?.set(key, write(record));
  }
  for (const [key, record] of unplaced) {
    while ((shards[room]?.size ?? 0) >= perShard) room++;
    const shard = shards[room] ?? new Map<string, string>();
    shards[room] = shard;
    shard.set(key, write(record));
  }
  shards.forEach((shard, index) => image.set(nameOf(index), shard));
  return shards.length;
}

/** Names of the ConfigMaps that count, as the head and the runs' headers say. Throws LedgerCorrupt. */
export function reachable(image: Image, names: LedgerNames): Set<string> {
  const found = new Set([names.head]);
  const head = parseHead(image, names);
  for (let index = 0; index < head.history; index++) found.add(names.history(index));
  for (const { hash } of head.runs) {
    found.add(names.run(hash));
    const { shards } = parse<RunHeader>(image, names.run(hash), runKey);
    for (let index = 0; index < shards; index++) found.add(names.shard(hash, index));
  }
  return found;
}

/** The document in ConfigMaps. Throws LedgerCorrupt when something that counts is missing or is not what it should be. */
export function takeUp(image: Image, names: LedgerNames): LedgerDocument {
  const head = parseHead(image, names);
  const runs: Record<string, RunRecord> = {};
  for (const { id, hash } of head.runs) {
    const { shards, run } = parse<RunHeader>(image, names.run(hash), runKey);
    if (run.id !== id) throw corrupt(`ConfigMap ${names.run(hash)}`, `holds run "${run.id}", not "${id}"`);
    const nodes: Record<string, NodeRecord> = {};
    for (let index = 0; index < shards; index++)
      gather<NodeRecord>(image, names.shard(hash, index), nodes, 'phase', (record) => unpackLists(record));
    runs[id] = { ...run, startedAt: run.startedAt, endedAt: run.endedAt, nodes };
  }
  const history: Record<string, NodeHistory> = {};
  for (let index = 0; index < head.history; index++)
    gather<NodeHistory>(image, names.history(index), history, 'uid', (value) => value);
  const requests: Record<string, RequestRecord> = {};
  for (const key of [...(image.get(names.head)?.keys() ?? [])].sort()) {
    if (!key.startsWith(requestPrefix)) continue;
    const request = parse<RequestRecord>(image, names.head, key);
    requests[request.name] = request;
  }
  const { runs: _runs, history: _history, ...single } = head;
  const seen = image.get(names.head)?.has(sightingsKey) ? parse<Sightings>(image, names.head, sightingsKey) : undefined;
  return {
    ...single,
    accepted: head.accepted,
    slot: head.slot,
    requests,
    runs,
    history,
    ...(seen ? { sightings: seen } : {}),
  };
}

function parseHead(image: Image, names: LedgerNames): Head {
  const head = parse<Head>(image, names.head, headKey);
  if (head.version !== 1)
    throw corrupt(
      `ConfigMap ${names.head}`,
      `has layout ${String(head.version)}, which this version of Oakum does not know`,
    );
  if (typeof head.clusterUid !== 'string' || !Array.isArray(head.runs))
    throw corrupt(`ConfigMap ${names.head}`, `lacks fields in key "${headKey}"`);
  return head;
}

function gather<Value extends object>(
  image: Image,
  name: string,
  into: Record<string, Value>,
  field: string,
  read: (value: Value) => Value,
): void {
  const data = image.get(name);
  if (data === undefined) throw corrupt(`ConfigMap ${name}`, 'is missing');
  for (const key of [...data.keys()].sort()) {
    if (key.startsWith('_')) continue;
    const value = parse<Value>(image, name, key);
    if (!(field in value)) throw corrupt(`ConfigMap ${name}`, `has an entry "${key}" without "${field}"`);
    try {
      into[key] = read(value);
    } catch {
      throw corrupt(`ConfigMap ${name}`, `has a list of packages in entry "${key}" that cannot be unpacked`);
    }
  }
}

function parse<Value>(image: Image, name: string, key: string): Value {
  const data = image.get(name);
  if (data === undefined) throw corrupt(`ConfigMap ${name}`, 'is missing');
  const text = data.get(key);
  if (text === undefined) throw corrupt(`ConfigMap ${name}`, `has no key "${key}"`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw corrupt(`ConfigMap ${name}`, `has no JSON in key "${key}"`);
  }
  if (typeof value !== 'object' || value === null) throw corrupt(`ConfigMap ${name}`, `has no object in key "${key}"`);
  return value as Value;
}
