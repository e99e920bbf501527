// One file of rollouts/ → the rollout as it is meant, before it is known which clusters have which labels.
import { DAY, formatDuration } from '../model/duration.ts';
import type { PolicySchedule } from '../model/policy.ts';
import { longestRolloutMs, type FleetRollout, type Wave } from '../model/rollout.ts';
import { nextSlot } from '../model/schedule.ts';
import type { Selector } from '../model/selector.ts';
import { didYouMean } from './nearest.ts';
import { readTime } from './objects.ts';
import { readSelector } from './policy.ts';
import { readDuration, readSchedule, type Say } from './times.ts';
import type { WrittenRollout } from './written.ts';

/** A rollout whose waves still name clusters by selector or by name. */
export interface RolloutFile extends Omit<FleetRollout, 'waves' | 'unclear'> {
  readonly waves: readonly WaveFile[];
}

/** One wave as its file says. Exactly one of `selector` and `names` is there in a file without problems. */
export interface WaveFile extends Omit<Wave, 'clusters'> {
  readonly selector: Selector | undefined;
  readonly names: readonly string[] | undefined;
}

/** Names that the ids of other runs end with. */
const reserved: readonly string[] = ['schedule', 'sla', 'boot'];

/** Reads a rollout. What needs the other files (which clusters there are) is judged in rollouts.ts. */
export function readRollout(
  written: WrittenRollout,
  file: { readonly path: string; readonly oid: string },
  say: Say,
): RolloutFile {
  const { name } = written.metadata;
  const { suspend, schedule, start, waves = [], approved, skip } = written.spec ?? {};
  if (reserved.includes(name))
    say(['metadata', 'name'], `a rollout cannot be called "${name}": other runs are named so`, 'name');
  const meant = schedule && readSchedule(schedule, { seed: name, partial: false }, ['spec', 'schedule'], say);
  const read = waves.map((wave, index): WaveFile => {
    const path = ['spec', 'waves', index];
    if ((wave.selector === undefined) === (wave.clusters === undefined))
      say(path, 'a wave has either selector or clusters: write one of them', 'wave');
    if (waves.findIndex((other) => other.name === wave.name) !== index)
      say([...path, 'name'], `there is another wave "${wave.name}"; names of waves differ`, 'wave');
    return {
      name: wave.name,
      selector: readSelector(wave.selector, [...path, 'selector'], say),
      names: wave.clusters,
      soakMs: readDuration(wave.soak, 0, [...path, 'soak'], say, { most: 30 * DAY }),
      maxFailures: wave.maxFailures ?? 1,
      concurrency: wave.concurrency,
      approval: wave.approval ?? false,
    };
  });
  for (const [index, { wave }] of (approved ?? []).entries())
    if (!waves.some((one) => one.name === wave))
      say(
        ['spec', 'approved', index, 'wave'],
        `there is no wave "${wave}"${didYouMean(
          wave,
          waves.map((one) => one.name),
        )}`,
        'wave',
      );
  sayTooLong(read, meant, say);
  return {
    name,
    file: file.path,
    oid: file.oid,
    suspend: suspend ?? false,
    schedule: meant,
    start: readTime(start, 'start', say),
    waves: read,
    approved: approved ?? [],
    skip: (skip ?? []).map((one) => ({ ...one, reason: one.reason ?? '' })),
  };
}

/** Soaks that add up to more than a run may wait: its last wave would never begin. */
function sayTooLong(waves: readonly WaveFile[], schedule: PolicySchedule | undefined, say: Say): void {
  const soaks = waves.slice(0, -1).reduce((sum, wave) => sum + wave.soakMs, 0);
  const longest = schedule?.validForMs ?? Math.min(longestRolloutMs, schedule ? shortestGap(schedule) : Infinity);
  if (soaks < longest) return;
  const what =
    schedule?.validForMs === undefined && longest < longestRolloutMs
      ? 'the time between two starts'
      : 'the time for which a run is valid';
  say(
    ['spec', 'waves'],
    `the soaks before the last wave add up to ${formatDuration(soaks)}, and ${what} is ${formatDuration(longest)}: the last wave would never begin`,
    'wave',
  );
}

/** The shortest time between two of the next starts, counted from a fixed instant so that the same file always reads the same. */
function shortestGap({ schedule }: PolicySchedule): number {
  let shortest = Number.POSITIVE_INFINITY;
  let at = nextSlot(schedule, Date.UTC(2026, 0, 1));
  for (let count = 0; count < 60 && at !== undefined; count++) {
    const next = nextSlot(schedule, at);
    if (next !== undefined) shortest = Math.min(shortest, next - at);
    at = next;
  }
  return shortest;
}
