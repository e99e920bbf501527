// What a run may install on a node: not what is too young (`updates.minAge`) or was not approved, and with a lock only what the lock names.
import { spellDuration } from '../model/duration.ts';
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import type { PatchResult } from '../model/patch-result.ts';
import { limitsPackages, notShown } from './ceiling.ts';
import { excludeName, spell, updatesOf, youngOnes, type Update } from './first-seen.ts';
import { lockFor } from './lock.ts';
import { installs } from '../model/ledger.ts';
import { atEnd } from './records.ts';
import { mostTries, retry, type StepContext, type StepResult } from './step-context.ts';

/** The node is looked at before anything is fetched: what is too young is found first. A lock holds only what was old enough for its first node. */
export function looksFirst(context: StepContext): boolean {
  return judgesAge(context) && context.record.young === undefined;
}

/** A lock that cannot be obeyed, because it could not be written down. */
export function brokenLock(context: StepContext): StepResult | undefined {
  const problem = lockFor(context.run, context.record)?.problem;
  if (problem === undefined) return undefined;
  return {
    record: atEnd(context.record, 'Failed', context.now, 'PackageListUnknown', `there is no lock: ${problem}`),
    actions: [],
  };
}

function judgesAge({ run, record }: StepContext): boolean {
  const judged = run.spec.policy.updates.minAgeMs > 0 || limitsPackages(run);
  return installs(run) && judged && lockFor(run, record) === undefined;
}

/** After the look: the young ones are known, and the download leaves them out. */
export function afterLook(context: StepContext, result: PatchResult): StepResult {
  const { record, now } = context;
  const known = { ...record, download: result };
  const young = youngIn(context, result);
  if (young === undefined) return unknown(context, known, result);
  return {
    record: { ...known, young: namesOf(young), attempt: record.attempt + 1, tries: 1 },
    actions: [],
    until: now,
  };
}

/**
 * After the download: everything that would be installed is old enough; undefined then. The repository may have changed since the look, so
 * what came in is left out too, and the download is done again.
 */
export function tooYoung(context: StepContext, result: PatchResult): StepResult | undefined {
  if (!judgesAge(context)) return undefined;
  const { record, now, run } = context;
  const known = { ...record, download: result };
  const young = youngIn(context, result);
  if (young === undefined) return unknown(context, known, result);
  const left = new Set(record.young);
  const fresh = young.filter((update) => !left.has(excludeName(update)));
  if (fresh.length === 0) return undefined;
  const { minAgeMs } = run.spec.policy.updates;
  const message = `${fresh.map(spell).slice(0, 5).join(', ')} came in since the node was looked at, and ${minAgeMs > 0 ? `updates must be known for ${spellDuration(minAgeMs)} (updates.minAge)` : 'only what was approved is installed'}`;
  if (record.tries >= mostTries)
    return {
      record: atEnd(known, 'Failed', now, 'PlanRefused', `${message}; the repository does not settle`),
      actions: [],
    };
  return retry({ ...context, record: { ...known, young: [...new Set([...left, ...namesOf(fresh)])].sort() } }, message);
}

function youngIn({ run, sightings, now }: StepContext, result: PatchResult): Update[] | undefined {
  const updates = updatesOf(result);
  if (!updates) return undefined;
  const { minAgeMs } = run.spec.policy.updates;
  const young = minAgeMs > 0 ? youngOnes(sightings, result.os, updates, minAgeMs, now) : [];
  return [...young, ...notShown(run, updates)];
}

function namesOf(updates: readonly Update[]): string[] {
  return [...new Set(updates.map(excludeName))].sort();
}

function unknown({ now }: StepContext, record: NodeRecord, result: PatchResult): StepResult {
  const message = `${result.pending} updates are pending and their list does not fit into the result, so it is not known whether they are old enough (updates.minAge) and were approved`;
  return { record: atEnd(record, 'Failed', now, 'PackageListUnknown', message), actions: [] };
}

/** What stays pending on the node and why, for people. */
export function keptText(run: RunRecord, record: NodeRecord, result: PatchResult): string {
  const young = new Set(record.young);
  const why = limitsPackages(run) ? 'not approved, or younger than updates.minAge' : 'younger than updates.minAge';
  const told = result.kept.map(([name, reason]) =>
    young.has(name.split(':')[0] ?? name) ? `${name}: ${why}` : `${name}: ${reason}`,
  );
  return told.join(', ') || 'kept';
}
