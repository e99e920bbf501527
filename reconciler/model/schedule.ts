// When runs are due: the presets and cron in a time zone, their slots, and the words for them.
import { nextWall, parseCron, previousWall } from './cron.ts';
import type { Cron } from './cron.ts';
import { DAY } from './duration.ts';
import { latestInstant, nextInstant } from './recurrence.ts';
import type { Recurrence } from './recurrence.ts';
import { parseDate, parseTimeOfDay } from './wall-clock.ts';
import type { WallTime } from './wall-clock.ts';

/**
 * A schedule as it is meant. `at` is a time of day on the wall, `HH:MM`; `anchor` a date, `YYYY-MM-DD`; both checked where
 * configuration is read. Plain data. Times that daylight saving skips happen later by the jump, repeated ones the first time.
 */
export type Schedule =
  /** Every Sunday. */
  | { readonly kind: 'weekly'; readonly at: string; readonly timeZone: string }
  /** Every second Sunday, counted from the first Sunday on or after `anchor`, before it as well as after it. */
  | { readonly kind: 'biweekly'; readonly at: string; readonly anchor: string; readonly timeZone: string }
  /** The 1st of every month. */
  | { readonly kind: 'monthly'; readonly at: string; readonly timeZone: string }
  /** The 1st of every second month, counted from the month of `anchor`. */
  | { readonly kind: 'bimonthly'; readonly at: string; readonly anchor: string; readonly timeZone: string }
  | { readonly kind: 'cron'; readonly cron: Cron; readonly timeZone: string };

/** When a preset says no time of day. */
export const DEFAULT_AT = '00:00';

/** When `biweekly` or `bimonthly` names no anchor: the first Sunday of a January, so also January, March, May and so on. */
export const DEFAULT_ANCHOR = '2026-01-04';

/** Schedules are values that live as long as a commit; what they mean is worked out once for each. */
const meanings = new WeakMap<Schedule, Recurrence>();

function recurrenceOf(schedule: Schedule): Recurrence {
  let recurrence = meanings.get(schedule);
  if (recurrence === undefined) {
    recurrence = meaningOf(schedule);
    meanings.set(schedule, recurrence);
  }
  return recurrence;
}

function meaningOf(schedule: Schedule): Recurrence {
  const { timeZone } = schedule;
  switch (schedule.kind) {
    case 'weekly':
      return walk(cronAt(schedule.at, '* * 0'), timeZone);
    case 'biweekly':
      return everySecondWeek(walk(cronAt(schedule.at, '* * 0'), timeZone), schedule.anchor);
    case 'monthly':
      return walk(cronAt(schedule.at, '1 * *'), timeZone);
    case 'bimonthly':
      // Twelve is even, so the months keep their parity from year to year.
      return walk(
        cronAt(
          schedule.at,
          new Date(anchorDate(schedule.anchor)).getUTCMonth() % 2 === 0 ? '1 1-11/2 *' : '1 2-12/2 *',
        ),
        timeZone,
      );
    case 'cron':
      return walk(schedule.cron, timeZone);
  }
}

function walk(cron: Cron, timeZone: string): Recurrence {
  return { next: (after) => nextWall(cron, after), previous: (before) => previousWall(cron, before), timeZone };
}

function cronAt(at: string, days: string): Cron {
  const time = parseTimeOfDay(at);
  if (time === undefined) throw new RangeError(`"${at}" is not a time of day (HH:MM)`);
  const clock = new Date(time);
  const result = parseCron(`${clock.getUTCMinutes()} ${clock.getUTCHours()} ${days}`);
  if (!result.ok) throw new RangeError(result.message);
  return result.cron;
}

function anchorDate(anchor: string): WallTime {
  const date = parseDate(anchor);
  if (date === undefined) throw new RangeError(`"${anchor}" is not a date (YYYY-MM-DD)`);
  return date;
}

/** Keeps the Sundays whose distance from the anchor's is a whole number of fortnights, counted in calendar days: no hour shifts them. */
function everySecondWeek(weekly: Recurrence, anchor: string): Recurrence {
  const date = anchorDate(anchor);
  const sunday = date + ((7 - new Date(date).getUTCDay()) % 7) * DAY;
  const counts = (wall: WallTime) => Math.floor((wall - sunday) / (7 * DAY)) % 2 === 0;
  const keep = (step: (from: WallTime) => WallTime | undefined) => (from: WallTime) => {
    const wall = step(from);
    return wall === undefined || counts(wall) ? wall : step(wall);
  };
  return { ...weekly, next: keep(weekly.next), previous: keep(weekly.previous) };
}

/** The first slot strictly after the instant; undefined only if a cron expression names no date for 41 years. */
export function nextSlot(schedule: Schedule, after: number): number | undefined {
  return nextInstant(recurrenceOf(schedule), after);
}

/**
 * The newest slot in (from, to]: what is due after a time in which nobody looked. It is searched from `to` backwards, so it costs the
 * same however long ago `from` is.
 */
export function slotSince(schedule: Schedule, from: number, to: number): number | undefined {
  const slot = latestInstant(recurrenceOf(schedule), to);
  return slot !== undefined && slot > from ? slot : undefined;
}

/** The slots in (from, to], ascending, the first `limit` of them. */
export function slotsBetween(schedule: Schedule, from: number, to: number, limit: number): number[] {
  const slots: number[] = [];
  let slot = nextSlot(schedule, from);
  while (slot !== undefined && slot <= to && slots.length < limit) {
    slots.push(slot);
    slot = nextSlot(schedule, slot);
  }
  return slots;
}

/** For people: `monthly on the 1st at 00:00 Europe/Berlin`, `cron "0 2 * * 2#2" UTC`. */
export function describeSchedule(schedule: Schedule): string {
  switch (schedule.kind) {
    case 'weekly':
      return `weekly on Sunday at ${schedule.at} ${schedule.timeZone}`;
    case 'biweekly':
      return `every two weeks on Sunday at ${schedule.at} ${schedule.timeZone}, counted from ${schedule.anchor}`;
    case 'monthly':
      return `monthly on the 1st at ${schedule.at} ${schedule.timeZone}`;
    case 'bimonthly':
      return `every two months on the 1st at ${schedule.at} ${schedule.timeZone}, counted from ${schedule.anchor.slice(0, 7)}`;
    case 'cron':
      return `cron "${schedule.cron.text}" ${schedule.timeZone}`;
  }
}
