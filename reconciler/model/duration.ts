// Durations as people write them (90s, 30m, 24h, 7d), as milliseconds and back.

const SECOND = 1000;

/** Milliseconds in one minute. */
export const MINUTE = 60 * SECOND;

/** Milliseconds in one hour. */
export const HOUR = 60 * MINUTE;

/** Milliseconds in 24 hours: elapsed time, not a calendar day. */
export const DAY = 24 * HOUR;

/** Largest first: the order in which a length is spelled out. */
const UNITS = [
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', SECOND],
] as const;

const WRITTEN = /^(0|[1-9]\d{0,9})([smhd])$/;

/** A century: longer ones are mistakes, and sums with a date would leave the range of dates. */
const LONGEST = 36_525 * DAY;

/**
 * Reads one whole number with one unit: `90s`, `30m`, `24h`, `7d`. A day is 24 hours. Returns milliseconds, or undefined
 * for anything else (no unit, fractions, signs, spaces, several units, more than a hundred years).
 */
export function parseDuration(text: string): number | undefined {
  const [, count, written] = WRITTEN.exec(text) ?? [];
  const unit = UNITS.find(([letter]) => letter === written);
  if (count === undefined || unit === undefined) return undefined;
  const length = Number(count) * unit[1];
  return length <= LONGEST ? length : undefined;
}

/**
 * The shortest exact form that `parseDuration` reads back: `90s`, `2h`, `7d`. Milliseconds below a second are dropped;
 * a negative length gets a sign (and is not read back).
 */
export function formatDuration(length: number): string {
  const seconds = Math.trunc(Math.abs(length) / SECOND) * SECOND;
  const [letter, size] = UNITS.find(([, unit]) => seconds >= unit && seconds % unit === 0) ?? (['s', SECOND] as const);
  return `${length < 0 && seconds > 0 ? '-' : ''}${seconds / size}${letter}`;
}

/** The form for sentences: the two largest units, rounded down: `1h 30m`, `2d 5h`, `45s`. */
export function spellDuration(length: number): string {
  const parts: string[] = [];
  let rest = Math.abs(length);
  for (const [letter, size] of UNITS) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    // The second unit is the neighbour of the first or nothing: "7d 3s" would claim a precision nobody asked for.
    if (count > 0) parts.push(`${count}${letter}`);
    if (parts.length === 2 || (parts.length === 1 && count === 0)) break;
  }
  return `${length < 0 && parts.length > 0 ? '-' : ''}${parts.join(' ') || '0s'}`;
}
