// Instants and what clocks on the wall show: time zones, and one written rule for the hours that daylight saving skips or repeats.
import { DAY, HOUR, MINUTE } from './duration.ts';

/**
 * What a clock on the wall shows, as the milliseconds since the epoch that the same reading would have in UTC: sums and
 * comparisons of dates are plain numbers, and `Date`'s UTC functions take it apart. An instant is the other kind of number:
 * real milliseconds since the epoch.
 */
export type WallTime = number;

/** Longer than any jump of a clock in the time zone database (a whole day: Samoa in 2011, Kwajalein in 1993). */
export const LONGEST_JUMP = 25 * HOUR;

const WEEKDAY_NAMES = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;

/** A day of the week as policies write it. */
export type Weekday = (typeof WEEKDAY_NAMES)[number];

/** The days of the week, Sunday first: the index is the number that cron and `Date` give the day. */
export const WEEKDAYS: readonly Weekday[] = WEEKDAY_NAMES;

/** Formatters are expensive to make (some 50 microseconds) and immutable; undefined marks a name that is no zone. */
const formatters = new Map<string, Intl.DateTimeFormat | undefined>();

function formatter(zone: string): Intl.DateTimeFormat | undefined {
  if (formatters.has(zone)) return formatters.get(zone);
  let made: Intl.DateTimeFormat | undefined;
  try {
    made = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch {
    made = undefined;
  }
  formatters.set(zone, made);
  return made;
}

/**
 * Whether the name is one of the IANA time zone database (`Europe/Berlin`, `UTC`; old names that still link count).
 * Bare offsets (`+01:00`) are refused: they know no daylight saving, which is never what a schedule means.
 */
export function isTimeZone(name: string): boolean {
  return /^[A-Za-z]/.test(name) && formatter(name) !== undefined;
}

/** Offsets of days on which nothing changes, by zone and day; NaN marks a day with a change. */
const calmDays = new Map<string, Map<number, number>>();

/** A bound on memory: about fifty years of days for each zone. */
const CACHED_DAYS = 20_000;

/**
 * How far the zone's clocks are ahead of UTC at an instant, in milliseconds. Throws RangeError for a name that `isTimeZone`
 * refuses (it is checked where configuration is read).
 */
export function offsetAt(instant: number, zone: string): number {
  let days = calmDays.get(zone);
  if (days === undefined) {
    days = new Map<number, number>();
    calmDays.set(zone, days);
  }
  const day = Math.floor(instant / DAY);
  let known = days.get(day);
  if (known === undefined) {
    const first = readOffset(day * DAY, zone);
    // No zone has ever changed twice within a day, so equal ends mean that nothing happened between them.
    known = first === readOffset((day + 1) * DAY, zone) ? first : Number.NaN;
    if (days.size >= CACHED_DAYS) days.clear();
    days.set(day, known);
  }
  return Number.isNaN(known) ? readOffset(instant, zone) : known;
}

function readOffset(instant: number, zone: string): number {
  const read = formatter(zone);
  if (read === undefined) throw new RangeError(`"${zone}" is not a time zone`);
  const shown = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of read.formatToParts(instant)) {
    if (type in shown) Object.assign(shown, { [type]: Number(value) });
  }
  const wall = Date.UTC(shown.year, shown.month - 1, shown.day, shown.hour, shown.minute, shown.second);
  return wall - Math.floor(instant / 1000) * 1000;
}

/** What clocks in the zone show at the instant. */
export function toWall(instant: number, zone: string): WallTime {
  return instant + offsetAt(instant, zone);
}

/**
 * The instant at which clocks in the zone show this. The rule for the two odd hours of a year: a time that is skipped
 * happens as much later as the clocks jumped (02:30 becomes 03:30), a time that happens twice means the first.
 */
export function toInstant(wall: WallTime, zone: string): number {
  // Offsets lie within 14 hours, so the day before and the day after are surely on either side of a change near this time.
  const before = offsetAt(wall - DAY, zone);
  const after = offsetAt(wall + DAY, zone);
  const first = wall - Math.max(before, after);
  if (before === after || offsetAt(first, zone) === wall - first) return first;
  // Either the one reading that the smaller offset gives, or a gap, where it is the reading of the clock before the jump.
  return wall - Math.min(before, after);
}

/** A wall time from its parts; month is 1 to 12, and parts past their end roll over as in `Date.UTC`. */
export function wallTime(year: number, month: number, day: number, hour = 0, minute = 0): WallTime {
  return Date.UTC(year, month - 1, day, hour, minute);
}

/** The hours and minutes of a time of day, `00:00` to `23:59`, as milliseconds since midnight; undefined if it is none. */
export function parseTimeOfDay(text: string): number | undefined {
  const [, hours, minutes] = /^([01]\d|2[0-3]):([0-5]\d)$/.exec(text) ?? [];
  return hours === undefined || minutes === undefined ? undefined : Number(hours) * HOUR + Number(minutes) * MINUTE;
}

/** Midnight of a calendar date `2026-12-18` as a wall time; undefined if there is no such day. */
export function parseDate(text: string): WallTime | undefined {
  const wall = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  // Engines differ on whether 31 February is refused or rolls over; only what reads back the same is a date.
  return !Number.isNaN(wall) && new Date(wall).toISOString().startsWith(text) ? wall : undefined;
}

/**
 * An instant for people: `Sun 2026-12-06 00:00 +01:00 (Europe/Berlin)`, in UTC `Sat 2026-12-05 23:00 UTC`. Offsets instead of
 * letters, because abbreviations depend on the machine's language data and some mean several zones. Seconds are dropped.
 * Infinite instants (a window without end) are `never`.
 */
export function formatInZone(instant: number, zone: string): string {
  if (!Number.isFinite(instant)) return 'never';
  const offset = offsetAt(instant, zone);
  const shown = new Date(instant + offset);
  const text = shown.toISOString();
  const day = WEEKDAYS[shown.getUTCDay()] ?? '';
  const clock = `${day} ${text.slice(0, 10)} ${text.slice(11, 16)}`;
  if (zone === 'UTC') return `${clock} UTC`;
  const size = new Date(Math.abs(offset)).toISOString().slice(11, 16);
  return `${clock} ${offset < 0 ? '-' : '+'}${size} (${zone})`;
}
