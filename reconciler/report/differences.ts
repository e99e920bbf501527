// What a change of the config repository means for one cluster, field by field, for the comment on a pull request.
import { canonical } from '../model/digest.ts';
import type { ClusterDesired, Fleet } from '../model/desired.ts';
import { formatDuration } from '../model/duration.ts';
import { waveOf, type FleetRollout } from '../model/rollout.ts';
import { clean } from './clean.ts';
import { factTime } from './moment.ts';

/** One field whose meaning changes; a file whose content changes has the beginnings of its object ids. */
export interface Difference {
  readonly path: string;
  readonly before: string;
  readonly after: string;
}

/** What one commit asks of one cluster; `cluster` undefined: it has no folder there. */
export interface Wish {
  readonly cluster: ClusterDesired | undefined;
  readonly fleet: Fleet;
}

/** Longest value that is shown, in characters. */
const mostText = 200;
/** Digits of an object id that tell two files apart for people. */
const mostDigits = 10;

/**
 * What is different between two wishes for one cluster, in words that the files use. None: no file that takes part in what the planner judges is another one. Files with keys
 * and owners have no fields and stand for themselves; the others are named only when no field tells of the change.
 */
export function differencesBetween(before: Wish, after: Wish): Difference[] {
  const fields = between(fieldsOf(before), fieldsOf(after));
  if (!before.cluster || !after.cluster) return fields;
  const files = between(filesOf(before.cluster), filesOf(after.cluster));
  return fields.length === 0
    ? files
    : sorted([...fields, ...files.filter(({ path }) => /^signers\/|CODEOWNERS$/.test(path))]);
}

function between(old: ReadonlyMap<string, string>, next: ReadonlyMap<string, string>): Difference[] {
  const paths = [...new Set([...old.keys(), ...next.keys()])].filter((path) => old.get(path) !== next.get(path));
  return sorted(paths.map((path) => ({ path, ...cutPair(old.get(path) ?? '–', next.get(path) ?? '–') })));
}

function sorted(differences: readonly Difference[]): Difference[] {
  return [...differences].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
}

/** Both as they fit; of long texts that begin alike the part where they differ. */
function cutPair(before: string, after: string): Pick<Difference, 'before' | 'after'> {
  const [old, next] = [clean(before, mostText), clean(after, mostText)];
  if (before === after || old !== next) return { before: old, after: next };
  let same = 0;
  while (before[same] === after[same]) same++;
  const cut = (text: string): string => clean(`…${text.slice(Math.max(0, same - 20))}`, mostText);
  return { before: cut(before), after: cut(after) };
}

/** Object ids of everything that this cluster is made of, by path. */
function filesOf({ inputs, requests, runs, rollouts = [] }: ClusterDesired): Map<string, string> {
  const asked = [...requests, ...runs, ...rollouts].map(({ file, oid }) => ({ path: file, oid }));
  return new Map([...inputs, ...asked].map(({ path, oid }) => [path, oid.slice(0, mostDigits)]));
}

function fieldsOf({ cluster: desired, fleet }: Wish): Map<string, string> {
  const fields = new Map<string, string>();
  const put = (path: string, value: unknown): void => {
    if (value === undefined) return;
    if (typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string')
      fields.set(path, value.text);
    else if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [name, field] of Object.entries(value)) put(path === '' ? name : `${path}.${name}`, field);
    else fields.set(path, typeof value === 'string' ? value : canonical(value));
  };
  put('fleet', fleet);
  if (!desired) return fields;
  put('policy', desired.policy);
  put('cluster', desired.settings);
  if (desired.frozen) fields.set('FREEZE', desired.frozenTwice ? 'fleet and cluster' : desired.frozen);
  for (const { name, file: _file, oid: _oid, action, ...asked } of desired.requests) {
    const { notBefore, until, expiresAfterMs, nodes, ...rest } = asked;
    fields.set(`requests/${name}`, action);
    put(`requests/${name}`, {
      ...rest,
      nodes: nodes.length > 0 ? nodes.join(', ') : undefined,
      notBefore: notBefore === undefined ? undefined : factTime(notBefore),
      until: until === undefined ? undefined : factTime(until),
      expiresAfter: formatDuration(expiresAfterMs),
    });
  }
  for (const { name, digest } of desired.runs) fields.set(`runs/${name}`, digest.slice(0, mostDigits));
  for (const rollout of desired.rollouts ?? []) put(`rollouts/${rollout.name}`, rolloutFields(rollout, desired.name));
  return fields;
}

/** A rollout as the fields of its file, and which wave the cluster goes with. */
function rolloutFields(rollout: FleetRollout, cluster: string): Readonly<Record<string, unknown>> {
  const { suspend, schedule, start, waves, approved, skip, unclear } = rollout;
  return {
    wave: waves[waveOf(rollout, cluster)]?.name,
    suspend,
    schedule,
    start: start === undefined ? undefined : factTime(start),
    waves: waves.map(({ name }) => name).join(', '),
    ...Object.fromEntries(
      waves.map(({ name, clusters, soakMs, maxFailures, concurrency = 'all', approval }) => [
        `waves.${name}`,
        { clusters: clusters.join(', '), soak: formatDuration(soakMs), maxFailures, concurrency, approval },
      ]),
    ),
    approved: listed(approved.map(({ run, wave }) => `${run} ${wave}`)),
    skip: listed(skip.map((one) => `${one.run} ${one.cluster}${one.reason === '' ? '' : ` (${one.reason})`}`)),
    unclear: listed(unclear),
  };
}

function listed(words: readonly string[]): string | undefined {
  return words.length === 0 ? undefined : words.join(', ');
}
