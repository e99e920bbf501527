// First sight: since when each update is known in the cluster, and what that means for a node's list of pending updates.
import { digest } from '../model/digest.ts';
import type { LedgerDocument, NodeHistory, PendingUpdates, Sightings } from '../model/ledger.ts';
import { meaningOf, type PatchResult } from '../model/patch-result.ts';
import { noHistory } from './history.ts';
import type { PlanInput } from './input.ts';

const dayMs = 86_400_000;
/** An update that no node has had pending for so many days is forgotten; seen again, it is young again. */
const keptDays = 60;
/** Bounds of what is kept: the ledger is a ConfigMap of at most 1 MiB. What is dropped counts as never seen, so as young. */
const mostSightings = 4_000;
const mostListBytes = 300_000;

/** One pending update as the script names it. */
export interface Update {
  readonly name: string;
  readonly version: string;
}

/** As in the script's own check of a lock: what has no meaning for a shell, a pin file or a command line. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9.+_:@-]{0,199}$/;
const plainVersion = /^[A-Za-z0-9][A-Za-z0-9.+_:~^-]{0,199}$/;

/** `name from to` → the update; undefined for a line that is none, or that holds what no package has. */
export function readUpdate(line: string): Update | undefined {
  const [name, , version, ...more] = line.split(' ');
  if (name === undefined || version === undefined || more.length > 0) return undefined;
  return plainName.test(name) && plainVersion.test(version) ? { name, version } : undefined;
}

/** The updates of a result; undefined when it does not name them all. */
export function updatesOf(result: PatchResult): Update[] | undefined {
  if (result.packages === undefined) return result.pending === 0 ? [] : undefined;
  const updates = result.packages.map(readUpdate);
  const read = updates.filter((update) => update !== undefined);
  return read.length === updates.length && (read.length > 0 || result.pending === 0) ? read : undefined;
}

/** `<package> <version>`, as lists and locks keep it. */
export function spell({ name, version }: Update): string {
  return `${name} ${version}`;
}

/** When the update was first seen on any node of the cluster with this system; undefined: never, so it is young. */
export function firstSeen(sightings: Sightings | undefined, os: string, update: Update): number | undefined {
  const key = `${os} ${spell(update)}`;
  return sightings && Object.hasOwn(sightings.first, key) ? sightings.first[key]?.[0] : undefined;
}

/** Updates that were not seen long enough ago. */
export function youngOnes(
  sightings: Sightings | undefined,
  os: string,
  updates: readonly Update[],
  minAgeMs: number,
  now: number,
): Update[] {
  return updates.filter((update) => {
    const first = firstSeen(sightings, os, update);
    return first === undefined || now - first < minAgeMs;
  });
}

/** The name as a word of an exclude list: the package on every architecture. */
export function excludeName(update: Update): string {
  return update.name.split(':')[0] ?? update.name;
}

/**
 * Remembers what a scan or a download of a node saw: first sights for the whole cluster, and the node's pending updates. The age of an
 * update is the cluster's, not the node's: a node that joins today does not make last month's fix young.
 */
export function noteSeen(
  ledger: LedgerDocument,
  node: { readonly name: string; readonly uid: string },
  result: PatchResult,
  now: number,
): LedgerDocument {
  const updates = updatesOf(result);
  const known = ledger.history[node.name];
  const base = known?.uid === node.uid ? known : noHistory(node.uid);
  const sightings = updates ? withSights(ledger.sightings, result.os, updates, now) : ledger.sightings;
  const text = updates?.map(spell).sort();
  const list = text && text.length > 0 ? digest(text, 12) : undefined;
  const firsts = (updates ?? []).flatMap((update) => firstSeen(sightings, result.os, update) ?? []);
  const pending: PendingUpdates = {
    count: result.pending,
    since: result.pending === 0 ? undefined : firsts.length > 0 ? Math.min(...firsts) : (base.pending?.since ?? now),
    at: now,
    reboot: result.rebootRequired,
    installable: result.left,
    ...(list === undefined ? {} : { list }),
    kernel: result.kernel,
  };
  const history = { ...ledger.history, [node.name]: { ...base, pending } };
  if (!sightings) return { ...ledger, history };
  const lists = list && text ? { ...sightings.lists, [list]: text } : sightings.lists;
  return { ...ledger, history, sightings: { ...sightings, lists: keptLists(lists, history) } };
}

/** Remembers what the downloads (and scans) of runs saw in this pass. */
export function noteDownloads(ledger: LedgerDocument, input: Pick<PlanInput, 'ledger' | 'now'>): LedgerDocument {
  let next = ledger;
  for (const run of Object.values(ledger.runs)) {
    const before = input.ledger?.runs[run.id];
    if (before === run) continue;
    for (const record of Object.values(run.nodes)) {
      const { download } = record;
      if (!download || download === before?.nodes[record.node]?.download || !saw(download)) continue;
      // The patch of the same pass has had the last word about the node; what was seen is remembered all the same.
      const own = next.history[record.node];
      next = noteSeen(next, { name: record.node, uid: record.uid }, download, input.now);
      if (record.patch !== undefined && own) next = { ...next, history: { ...next.history, [record.node]: own } };
    }
  }
  return next;
}

/** Only an answer that worked has looked at everything. */
function saw(result: PatchResult): boolean {
  return meaningOf(result.code).severity === 'ok';
}

/** The node's list of pending updates as it was seen last; undefined when it is not kept. */
export function pendingList(ledger: LedgerDocument, history: NodeHistory | undefined): readonly string[] | undefined {
  const { pending } = history ?? {};
  if (!pending) return undefined;
  if (pending.count === 0) return [];
  return pending.list === undefined ? undefined : ledger.sightings?.lists[pending.list];
}

function withSights(
  known: Sightings | undefined,
  os: string,
  updates: readonly Update[],
  now: number,
): Sightings | undefined {
  const today = Math.floor(now / dayMs);
  const first = known?.first ?? {};
  const news = updates
    .map((update) => `${os} ${spell(update)}`)
    .filter((key) => !Object.hasOwn(first, key) || first[key]?.[1] !== today);
  if (news.length === 0) return known;
  const next: Record<string, readonly [number, number]> = { ...first };
  for (const key of news) next[key] = [next[key]?.[0] ?? now, today];
  let entries = Object.entries(next).filter(([, [, lastDay]]) => lastDay > today - keptDays);
  if (entries.length > mostSightings)
    entries = entries.sort((a, b) => b[1][1] - a[1][1] || a[1][0] - b[1][0]).slice(0, mostSightings);
  return { first: Object.fromEntries(entries), lists: known?.lists ?? {} };
}

/** Lists that some node still has; when they are too large together, those that the fewest nodes share go. */
function keptLists(
  lists: Sightings['lists'],
  history: Readonly<Record<string, NodeHistory>>,
): Record<string, readonly string[]> {
  const users = new Map<string, number>();
  for (const { pending } of Object.values(history))
    if (pending?.list !== undefined) users.set(pending.list, (users.get(pending.list) ?? 0) + 1);
  const used = Object.entries(lists)
    .filter(([hash]) => users.has(hash))
    .sort(([a], [b]) => (users.get(b) ?? 0) - (users.get(a) ?? 0) || (a < b ? -1 : 1));
  let bytes = 0;
  return Object.fromEntries(
    used.filter(([, list]) => {
      const size = list.reduce((sum, line) => sum + line.length + 3, 0);
      if (bytes + size > mostListBytes) return false;
      bytes += size;
      return true;
    }),
  );
}
