// Wall times that recur, as instants of one time zone: the next one and the latest one, right on the days when clocks change.
import { LONGEST_JUMP, offsetAt, toInstant } from './wall-clock.ts';
import type { WallTime } from './wall-clock.ts';

/** A sequence of wall times, strictly increasing, that can be walked from any point. */
export interface Recurrence {
  readonly next: (after: WallTime) => WallTime | undefined;
  readonly previous: (before: WallTime) => WallTime | undefined;
  readonly timeZone: string;
}

// Skipped wall times are shifted past ones that were not (02:30 happens at 03:30, after 03:00), so instants do not come in the
// order of their wall times. What bounds the disorder: an instant is its wall time less the offset before or after the last jump.

/** The smallest and the largest offset that wall times which happen near this instant are read with. */
function offsetsNear(instant: number, zone: string): { readonly low: number; readonly high: number } {
  const now = offsetAt(instant, zone);
  const earlier = offsetAt(instant - LONGEST_JUMP, zone);
  return { low: Math.min(now, earlier), high: Math.max(now, earlier) };
}

/** The first instant strictly after this one; undefined if the sequence ends. */
export function nextInstant(recurrence: Recurrence, after: number): number | undefined {
  const zone = recurrence.timeZone;
  let best: number | undefined;
  let last = Number.POSITIVE_INFINITY;
  let wall = recurrence.next(after + offsetsNear(after, zone).low - 1);
  while (wall !== undefined && wall < last) {
    const instant = toInstant(wall, zone);
    if (instant > after && (best === undefined || instant < best)) {
      best = instant;
      // A later wall time comes first only if the clock showed it before `best`.
      last = instant + offsetAt(instant, zone);
    }
    wall = recurrence.next(wall);
  }
  return best;
}

/** The latest instant not after this one; undefined if the sequence has no earlier one. */
export function latestInstant(recurrence: Recurrence, to: number): number | undefined {
  const zone = recurrence.timeZone;
  let best: number | undefined;
  let last = Number.NEGATIVE_INFINITY;
  let wall = recurrence.previous(to + offsetsNear(to, zone).high + 1);
  while (wall !== undefined && wall > last) {
    const instant = toInstant(wall, zone);
    if (instant <= to && (best === undefined || instant > best)) {
      best = instant;
      // An earlier wall time comes later only if it was skipped and shifted past `best`.
      last = instant + offsetsNear(instant, zone).low;
    }
    wall = recurrence.previous(wall);
  }
  return best;
}
