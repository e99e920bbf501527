// Written times → meant times: durations, zones, schedules, windows and freezes, each with advice when it is not one.
import { parseCron } from '../model/cron.ts';
import type { Cron } from '../model/cron.ts';
import { DAY, formatDuration, HOUR, parseDuration } from '../model/duration.ts';
import { assertNever } from '../model/failure.ts';
import type { PolicySchedule } from '../model/policy.ts';
import { DEFAULT_ANCHOR, DEFAULT_AT } from '../model/schedule.ts';
import type { Schedule } from '../model/schedule.ts';
import { isTimeZone, parseDate } from '../model/wall-clock.ts';
import { parseBound, parseMonthDay } from '../model/window.ts';
import type { Freeze, Window } from '../model/window.ts';
import { didYouMean } from './nearest.ts';
import type { FieldPath } from './yaml.ts';
import type { WrittenFreeze, WrittenSchedule, WrittenWindow } from './written.ts';

/** Takes one finding at a field. */
export type Say = (path: FieldPath, message: string, rule: string) => void;

/** Zones that people mistype, offered when a name is near; any IANA name is accepted. */
const wellKnownZones =
  typeof Intl.supportedValuesOf === 'function' ? ['UTC', ...Intl.supportedValuesOf('timeZone')] : ['UTC'];

/** Milliseconds of a written duration that must lie in [least, most]; says so and gives the fallback otherwise. */
export function readDuration(
  text: string | undefined,
  fallback: number,
  path: FieldPath,
  say: Say,
  { least = 0, most = 36_525 * DAY }: { readonly least?: number; readonly most?: number } = {},
): number {
  if (text === undefined) return fallback;
  const length = parseDuration(text);
  if (length !== undefined && length >= least && length <= most) return length;
  say(path, `found "${text}"; must be from ${formatDuration(least)} to ${formatDuration(most)}`, 'duration');
  return fallback;
}

/** An IANA zone; UTC where it is none (and said). */
export function readZone(text: string | undefined, fallback: string, path: FieldPath, say: Say): string {
  if (text === undefined) return fallback;
  if (isTimeZone(text)) return text;
  say(path, `"${text}" is not a time zone of the IANA database${didYouMean(text, wellKnownZones)}`, 'time-zone');
  return 'UTC';
}

function readCron(text: string, seed: string, path: FieldPath, say: Say): Cron | undefined {
  const result = parseCron(text, seed);
  if (result.ok) return result.cron;
  say(path, result.message, 'cron');
  return undefined;
}

/**
 * `spec.schedule`. `seed` makes `H` in a cron expression differ between clusters. With `partial` a schedule may lack its preset, because
 * the policy that extends this one brings it.
 */
export function readSchedule(
  written: WrittenSchedule,
  { seed, partial }: { readonly seed: string; readonly partial: boolean },
  path: FieldPath,
  say: Say,
): PolicySchedule | undefined {
  const timeZone = readZone(written.timeZone, 'UTC', [...path, 'timeZone'], say);
  const startingDeadlineMs = readDuration(written.startingDeadline, 12 * HOUR, [...path, 'startingDeadline'], say);
  const validForMs =
    written.validFor === undefined
      ? undefined
      : readDuration(written.validFor, 7 * DAY, [...path, 'validFor'], say, { least: 60_000, most: 366 * DAY });
  const schedule = readRecurrence(written, timeZone, seed, partial, path, say);
  return schedule === undefined ? undefined : { schedule, startingDeadlineMs, validForMs };
}

function readRecurrence(
  written: WrittenSchedule,
  timeZone: string,
  seed: string,
  partial: boolean,
  path: FieldPath,
  say: Say,
): Schedule | undefined {
  const { preset, cron, at = DEFAULT_AT, anchor = DEFAULT_ANCHOR } = written;
  if (parseDate(anchor) === undefined) {
    say([...path, 'anchor'], `found "${anchor}"; there is no such day`, 'date');
    return undefined;
  }
  if (cron !== undefined && preset !== undefined && preset !== 'custom') {
    say(
      [...path, 'cron'],
      `preset "${preset}" and cron are both written; keep one, or write preset: custom`,
      'schedule',
    );
    return undefined;
  }
  if (cron !== undefined) {
    for (const field of ['at', 'anchor'] as const) {
      if (written[field] !== undefined)
        say([...path, field], `${field} belongs to a preset; the cron expression says it already`, 'schedule');
    }
    const read = readCron(cron, seed, [...path, 'cron'], say);
    return read && { kind: 'cron', cron: read, timeZone };
  }
  switch (preset) {
    case undefined:
      if (!partial) say(path, 'write preset (weekly, biweekly, monthly, bimonthly) or cron', 'schedule');
      return undefined;
    case 'custom':
      if (!partial) say([...path, 'preset'], 'preset custom needs cron, e.g. cron: "0 2 * * 2#2"', 'schedule');
      return undefined;
    case 'weekly':
    case 'monthly':
      if (written.anchor !== undefined)
        say([...path, 'anchor'], `preset ${preset} has no anchor; it belongs to biweekly and bimonthly`, 'schedule');
      return { kind: preset, at, timeZone };
    case 'biweekly':
    case 'bimonthly':
      return { kind: preset, at, anchor, timeZone };
    default:
      return assertNever(preset);
  }
}

/** One of `spec.windows`; undefined when it is not one (and said). */
export function readWindow(
  written: WrittenWindow,
  zone: string,
  seed: string,
  path: FieldPath,
  say: Say,
): Window | undefined {
  const timeZone = readZone(written.timeZone, zone, [...path, 'timeZone'], say);
  const durationMs = readDuration(written.duration, HOUR, [...path, 'duration'], say, { least: 60_000, most: 7 * DAY });
  if (written.cron !== undefined) {
    for (const field of ['days', 'start'] as const) {
      if (written[field] !== undefined)
        say([...path, field], `${field} and cron are both written; keep one of them`, 'window');
    }
    const cron = readCron(written.cron, seed, [...path, 'cron'], say);
    return cron && { cron, durationMs, timeZone };
  }
  if (written.start === undefined) {
    say([...path, 'start'], 'the window does not say when it opens; write start: "22:00" (or cron)', 'window');
    return undefined;
  }
  return { days: written.days, start: written.start, durationMs, timeZone };
}

/** One of `spec.freezes`; undefined when it is not one (and said). */
export function readFreeze(
  written: WrittenFreeze,
  zone: string,
  seed: string,
  path: FieldPath,
  say: Say,
): Freeze | undefined {
  const timeZone = readZone(written.timeZone, zone, [...path, 'timeZone'], say);
  const { from, to, cron, duration, reason = 'freeze' } = written;
  if (cron !== undefined) {
    for (const field of ['from', 'to'] as const) {
      if (written[field] !== undefined)
        say([...path, field], `${field} and cron are both written; keep one of them`, 'freeze');
    }
    if (duration === undefined)
      say([...path, 'duration'], 'a freeze by cron needs a duration, e.g. duration: 24h', 'freeze');
    const durationMs = readDuration(duration, DAY, [...path, 'duration'], say, { least: 60_000, most: 366 * DAY });
    const read = readCron(cron, seed, [...path, 'cron'], say);
    return read && { kind: 'cron', cron: read, durationMs, timeZone, reason };
  }
  if (duration !== undefined)
    say([...path, 'duration'], 'duration belongs to a freeze by cron; this one ends with `to`', 'freeze');
  if (from === undefined || to === undefined) {
    const missing = from === undefined ? 'from' : 'to';
    say(
      [...path, missing],
      `the freeze has no ${missing}; write from and to, e.g. from: 2026-12-18, to: 2027-01-04`,
      'freeze',
    );
    return undefined;
  }
  return readBounds(from, to, timeZone, reason, path, say);
}

const boundForms = '2026-12-18 (a day), 2026-12-18T12:00:00Z (an instant) or 12-18 (a day of every year)';

function readBounds(
  from: string,
  to: string,
  timeZone: string,
  reason: string,
  path: FieldPath,
  say: Say,
): Freeze | undefined {
  const yearly = { from: parseMonthDay(from), to: parseMonthDay(to) };
  if (yearly.from && yearly.to) return { kind: 'yearly', from, to, timeZone, reason };
  const once = { from: parseBound(from, timeZone, 'from'), until: parseBound(to, timeZone, 'to') };
  if (once.from === undefined && !yearly.from)
    say([...path, 'from'], `found "${from}"; allowed: ${boundForms}`, 'date');
  if (once.until === undefined && !yearly.to) say([...path, 'to'], `found "${to}"; allowed: ${boundForms}`, 'date');
  if ((yearly.from && once.until !== undefined) || (yearly.to && once.from !== undefined)) {
    say([...path, 'to'], `from is "${from}" and to is "${to}"; write both with a year or both without`, 'freeze');
  }
  if (once.from === undefined || once.until === undefined) return undefined;
  if (once.until <= once.from) {
    say([...path, 'to'], `the freeze ends ("${to}") before it begins ("${from}")`, 'freeze');
    return undefined;
  }
  return { kind: 'once', from: once.from, until: once.until, reason };
}
