// Instants for status: RFC 3339, or nothing when there is no such instant.
import { iso } from '../model/instant.ts';

/** The last instant that RFC 3339 has four digits for: 9999-12-31T23:59:59Z. */
const lastInstant = 253_402_300_799_000;

/** RFC 3339 in UTC; undefined for "unknown" and for the infinite instants that an endless freeze or window has. */
export function moment(instant: number | undefined): string | undefined {
  if (instant === undefined || !Number.isFinite(instant) || instant < 0 || instant > lastInstant) return undefined;
  return iso(instant);
}

/** The same for an instant that must be there: facts of the ledger always are. */
export function factTime(instant: number): string {
  return moment(instant) ?? iso(0);
}

/** `2026-12-06 22:00` in UTC, for tables whose heading says so; a dash for nothing. */
export function shortTime(time: string | undefined): string {
  return time === undefined || time === '' ? '–' : time.slice(0, 16).replace('T', ' ');
}
