// The Ledger port over ConfigMaps: compare-and-swap, and all of a save or nothing of it.
import { AdapterError } from '../model/failure.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import { fieldManager, managedBy, managedByLabel } from '../model/names.ts';
import type { Ledger } from '../ports.ts';
import { corrupt, generationKey, layOut, ledgerNames, reachable, takeUp } from './ledger-layout.ts';
import type { Image } from './ledger-layout.ts';
import { call, list, objectOf, refusal } from './kubernetes-calls.ts';
import type { KubeRequest, Transport } from './kubernetes-transport.ts';

export interface LedgerOptions {
  /** Oakum's own namespace (not that of the Jobs). */
  readonly namespace: string;
  /** Name of the first ConfigMap; default `oakum-ledger`. */
  readonly name?: string;
}

/** Changes to one ConfigMap's data; null removes a key. */
type Changes = Record<string, string | null>;

/** One write of a journal: changes to a ConfigMap. */
interface JournalEntry {
  readonly map: string;
  readonly changes: Changes;
}

/** Data key of the head: changes to other ConfigMaps that are decided and perhaps not carried out yet. */
const journalKey = '_journal';

/** A journal has to fit into the head beside everything else there; a ConfigMap ends at 1 MiB. */
const journalLimit = 600_000;

/**
 * Opens the ledger; nothing is read before the first call.
 *
 * A save may touch several ConfigMaps, and Oakum may be killed between any two writes. The rule that makes a save whole or void: the head alone decides.
 * 1. ConfigMaps that nothing refers to yet (new runs, new shards) are written first; until the head refers to them they do not exist.
 * 2. Changes to ConfigMaps that count already go into the head as a journal with a new generation, in the same write as the head's own changes. That
 *    write is the save, and since every save makes it, whoever has read an older state is refused.
 * 3. Then the journal is carried out, each write marked with the generation. `load` lays entries that were not carried out over what it reads; the
 *    next save carries them out first.
 * 4. What nothing refers to any more is deleted last, or by the next save.
 */
export function openLedger(transport: Transport, options: LedgerOptions): Ledger {
  const { namespace } = options;
  const names = ledgerNames(options.name ?? 'oakum-ledger');
  const collection = `/api/v1/namespaces/${encodeURIComponent(namespace)}/configmaps`;
  /** What the server has, as far as known: data and version by ConfigMap. Undefined: must be read (again). */
  let known: { readonly image: Image; readonly versions: Map<string, string> } | undefined;
  let unfinished: JournalEntry[] = [];
  let generation = 0;

  const load = async (): Promise<LedgerDocument | undefined> => {
    known = undefined;
    const image: Image = new Map();
    const versions = new Map<string, string>();
    // By name and not by label: a label that somebody took away must not make a ledger disappear. One list is one moment.
    await list(
      transport,
      collection,
      {},
      ({ metadata, data }) => {
        if (!names.owns(metadata.name)) return;
        image.set(metadata.name, new Map(Object.entries((data as Record<string, string> | undefined) ?? {})));
        versions.set(metadata.name, metadata.resourceVersion ?? '');
      },
      () => {
        image.clear();
        versions.clear();
      },
    );
    if (image.size === 0) {
      known = { image, versions };
      unfinished = [];
      generation = 0;
      return undefined;
    }
    const head = image.get(names.head);
    if (head === undefined)
      throw corrupt(`ConfigMap ${names.head}`, 'is missing, though others of the ledger are there');
    generation = generationOf(head);
    const pending = journalOf(head.get(journalKey), names.head).filter(({ map }) => {
      const target = image.get(map);
      if (target === undefined) throw corrupt(`ConfigMap ${map}`, 'is missing, though the journal names it');
      return generationOf(target) < generation;
    });
    for (const { map, changes } of pending) overlay(image.get(map), changes);
    const document = takeUp(image, names);
    known = { image, versions };
    unfinished = pending;
    return document;
  };

  const save = async (before: LedgerDocument | undefined, after: LedgerDocument): Promise<void> => {
    if (known === undefined) {
      if (before !== undefined)
        throw new AdapterError('conflict', 'LedgerStale', 'the ledger must be read again before it can be written');
      await load();
    }
    const state = known;
    if (state === undefined || state.image.has(names.head) !== (before !== undefined))
      throw new AdapterError(
        'conflict',
        'LedgerConflict',
        'somebody else has written or removed the ledger in the meantime',
      );
    // Until this save has gone through to its end, what is known may be wrong.
    known = undefined;
    await write(state, after);
    known = state;
  };

  type Known = NonNullable<typeof known>;

  const write = async (state: Known, after: LedgerDocument): Promise<void> => {
    for (const { map, changes } of unfinished)
      await patch(state, map, { ...changes, [generationKey]: String(generation) });
    unfinished = [];
    // A ledger that begins is an empty one first: a head refers to nothing that is not there.
    if (!state.image.has(names.head)) {
      const empty = { ...after, accepted: undefined, slot: undefined, requests: {}, runs: {}, history: {} };
      const fresh = layOut(empty, names, new Map());
      await create(state, names.head, fresh.get(names.head) ?? new Map<string, string>());
    }
    const counts = reachable(state.image, names);
    for (const name of [...state.image.keys()]) if (!counts.has(name)) await remove(state, name);

    const wanted = layOut(after, names, state.image);
    const visible: JournalEntry[] = [];
    for (const [name, data] of wanted) {
      if (!counts.has(name)) await create(state, name, new Map([...data, [generationKey, String(generation)]]));
      else if (name !== names.head) {
        const changes = difference(state.image.get(name), data);
        if (changes !== undefined) visible.push({ map: name, changes });
      }
    }
    const headChanges = difference(state.image.get(names.head), wanted.get(names.head) ?? new Map<string, string>());
    await commit(state, visible, headChanges);
    const counted = reachable(state.image, names);
    for (const name of [...state.image.keys()]) if (!counted.has(name)) await remove(state, name);
  };

  const commit = async (
    state: Known,
    visible: readonly JournalEntry[],
    headChanges: Changes | undefined,
  ): Promise<void> => {
    const spent = state.image.get(names.head)?.has(journalKey) ? { [journalKey]: null } : {};
    if (visible.length === 0) {
      // A new ConfigMap is named by the head, or by the header of a run that then changes too; else there is nothing to save.
      if (headChanges !== undefined) await patch(state, names.head, { ...headChanges, ...spent });
      return;
    }
    const journal = JSON.stringify(visible);
    if (journal.length > journalLimit) return commitInOrder(state, visible, headChanges);
    generation += 1;
    await patch(state, names.head, { ...headChanges, [journalKey]: journal, [generationKey]: String(generation) });
    for (const { map, changes } of visible)
      await patch(state, map, { ...changes, [generationKey]: String(generation) });
  };

  /**
   * Hundreds of nodes at once (an aborted run of a large cluster) do not fit into a journal. Then nodes that end are written before nodes
   * that begin, nodes before their run, and the head last: whatever a kill leaves, no more nodes are under way than the save allows.
   */
  const commitInOrder = async (
    state: Known,
    visible: readonly JournalEntry[],
    headChanges: Changes | undefined,
  ): Promise<void> => {
    const parts = visible.flatMap(({ map, changes }) => {
      const ends = Object.entries(changes).filter(([, value]) => value === null || /"endedAt":\d/.test(value));
      const rest = Object.entries(changes).filter(([key]) => !ends.some(([ending]) => ending === key));
      const shard = /-\d+$/.test(map);
      return [
        { map, rank: 0, entries: ends },
        { map, rank: shard ? 1 : 2, entries: rest },
      ];
    });
    // The head's version is the whole ledger's: whoever has read an older state is refused here, before anything is changed.
    const spent = state.image.get(names.head)?.has(journalKey) ? { [journalKey]: null } : {};
    generation += 1;
    await patch(state, names.head, { ...spent, [generationKey]: String(generation) });
    for (const { map, entries } of parts.sort((a, b) => a.rank - b.rank))
      if (entries.length > 0) await patch(state, map, Object.fromEntries(entries));
    if (headChanges !== undefined) await patch(state, names.head, headChanges);
  };

  const send = async (request: KubeRequest): Promise<{ version: string }> => {
    const response = await call(transport, request, [404, 409]);
    if (response.status < 300) return { version: objectOf(response).metadata.resourceVersion ?? '' };
    const why = refusal(request, response);
    // The namespace itself is missing: nothing that reading again would cure.
    if (response.status === 404 && request.method === 'POST') throw why;
    throw new AdapterError(
      'conflict',
      'LedgerConflict',
      `somebody else has written the ledger in the meantime: ${why.message}`,
      {
        cause: why,
      },
    );
  };

  const patch = async (state: Known, name: string, changes: Changes): Promise<void> => {
    const { version } = await send({
      method: 'PATCH',
      path: `${collection}/${name}?fieldManager=${fieldManager}`,
      contentType: 'application/merge-patch+json',
      body: { metadata: { resourceVersion: state.versions.get(name) }, data: changes },
    });
    state.versions.set(name, version);
    overlay(state.image.get(name), changes);
  };

  const create = async (state: Known, name: string, data: Map<string, string>): Promise<void> => {
    const metadata = { name, namespace, labels: { [managedByLabel]: managedBy } };
    const { version } = await send({
      method: 'POST',
      path: `${collection}?fieldManager=${fieldManager}`,
      body: { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: Object.fromEntries(data) },
    });
    state.versions.set(name, version);
    state.image.set(name, data);
  };

  const remove = async (state: Known, name: string): Promise<void> => {
    const preconditions = { resourceVersion: state.versions.get(name) };
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions };
    const request: KubeRequest = { method: 'DELETE', path: `${collection}/${name}`, body };
    const response = await call(transport, request, [404, 409]);
    if (response.status === 409)
      throw new AdapterError('conflict', 'LedgerConflict', refusal(request, response).message);
    state.image.delete(name);
    state.versions.delete(name);
  };

  return { load, save };
}

function generationOf(data: ReadonlyMap<string, string>): number {
  return Number(data.get(generationKey) ?? '0');
}

function journalOf(text: string | undefined, head: string): JournalEntry[] {
  if (text === undefined) return [];
  try {
    return JSON.parse(text) as JournalEntry[];
  } catch {
    throw corrupt(`ConfigMap ${head}`, `has no JSON in key "${journalKey}"`);
  }
}

function overlay(data: Map<string, string> | undefined, changes: Changes): void {
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) data?.delete(key);
    else data?.set(key, value);
  }
}

/** What has to change; undefined when nothing. Keys that begin with an underscore are the ledger's own and stay. */
function difference(
  present: ReadonlyMap<string, string> | undefined,
  wanted: ReadonlyMap<string, string>,
): Changes | undefined {
  const changes: Changes = {};
  for (const [key, value] of wanted) if (present?.get(key) !== value) changes[key] = value;
  for (const key of present?.keys() ?? []) if (!key.startsWith('_') && !wanted.has(key)) changes[key] = null;
  return Object.keys(changes).length === 0 ? undefined : changes;
}
