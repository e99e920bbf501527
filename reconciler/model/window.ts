// Maintenance windows and freezes: when nodes may be touched, when nothing starts, and the next instant that is allowed.
import { cronOnWeekdays, nextWall, previousWall } from './cron.ts';
import type { Cron } from './cron.ts';
import { DAY } from './duration.ts';
import { latestInstant, nextInstant } from './recurrence.ts';
import type { Recurrence } from './recurrence.ts';
import { parseDate, parseTimeOfDay, toInstant, toWall, wallTime, WEEKDAYS } from './wall-clock.ts';
import type { Weekday } from './wall-clock.ts';

/**
 * A recurring stretch of time that opens on the wall clock and stays open for `durationMs` of elapsed time, whatever clocks do
 * meanwhile. It belongs to the day on which it opens: Friday 22:00 for six hours is open until Saturday 04:00. Half-open:
 * it is closed again at the instant of its end. `days` undefined means every day; `start` is `HH:MM`.
 */
export type Window =
  | {
      readonly days: readonly Weekday[] | undefined;
      readonly start: string;
      readonly durationMs: number;
      readonly timeZone: string;
    }
  | { readonly cron: Cron; readonly durationMs: number; readonly timeZone: string };

/** A stretch of time in which nothing starts, and why. Half-open: `until` is free again. */
export type Freeze =
  | { readonly kind: 'once'; readonly from: number; readonly until: number; readonly reason: string }
  /** Every year from one day to another, both inclusive, as `MM-DD`; it may run over the new year. */
  | {
      readonly kind: 'yearly';
      readonly from: string;
      readonly to: string;
      readonly timeZone: string;
      readonly reason: string;
    }
  | {
      readonly kind: 'cron';
      readonly cron: Cron;
      readonly durationMs: number;
      readonly timeZone: string;
      readonly reason: string;
    };

/** A stretch of open time; infinite ends mean that it has been open, or stays open, for longer than anyone looks. */
export interface Opening {
  readonly opened: number;
  readonly closes: number;
}

/** Intervals [start, end): all that windows and freezes need to know about each other. */
interface Spans {
  /** The latest end of those that hold the instant. */
  readonly end: (instant: number) => number | undefined;
  /** The earliest start of those that hold the instant or end at it, if it is before the instant. */
  readonly start: (instant: number) => number | undefined;
  /** The first start strictly after the instant. */
  readonly next: (instant: number) => number | undefined;
}

/** How far an unbroken chain of intervals is followed, and in how many steps, before it counts as endless. */
const LOOKS = { ms: 400 * DAY, steps: 10_000 };

/** How far ahead `nextAllowed` searches. */
const HORIZON = 5 * 366 * DAY;

const spansOfWindow = new WeakMap<Window, Spans>();
const spansOfFreeze = new WeakMap<Freeze, Spans>();

function remember<Key extends object>(memory: WeakMap<Key, Spans>, key: Key, make: (key: Key) => Spans): Spans {
  let spans = memory.get(key);
  if (spans === undefined) {
    spans = make(key);
    memory.set(key, spans);
  }
  return spans;
}

function windowSpans(window: Window): Spans {
  if ('cron' in window) return recurring(window.cron, window.timeZone, window.durationMs);
  const start = parseTimeOfDay(window.start);
  if (start === undefined) throw new RangeError(`"${window.start}" is not a time of day (HH:MM)`);
  const days = window.days?.map((day) => WEEKDAYS.indexOf(day));
  return recurring(cronOnWeekdays(start, days), window.timeZone, window.durationMs);
}

function recurring(cron: Cron, timeZone: string, length: number): Spans {
  const starts: Recurrence = {
    next: (after) => nextWall(cron, after),
    previous: (before) => previousWall(cron, before),
    timeZone,
  };
  return {
    end: (instant) => {
      const start = latestInstant(starts, instant);
      return start !== undefined && instant < start + length ? start + length : undefined;
    },
    start: (instant) => {
      const start = nextInstant(starts, instant - length - 1);
      return start !== undefined && start < instant ? start : undefined;
    },
    next: (instant) => nextInstant(starts, instant),
  };
}

function freezeSpans(freeze: Freeze): Spans {
  if (freeze.kind === 'cron') return recurring(freeze.cron, freeze.timeZone, freeze.durationMs);
  const near = freeze.kind === 'once' ? () => [freeze] : (instant: number) => yearsAround(freeze, instant);
  return {
    end: (instant) => near(instant).find(({ from, until }) => from <= instant && instant < until)?.until,
    start: (instant) => near(instant).find(({ from, until }) => from < instant && instant <= until)?.from,
    next: (instant) => near(instant).find(({ from, until }) => from > instant && from < until)?.from,
  };
}

/** The yearly freeze's stretches that start from the year before to nine years after: past a leap day at any distance. */
function yearsAround(freeze: Freeze & { kind: 'yearly' }, instant: number): { from: number; until: number }[] {
  const first = new Date(toWall(instant, freeze.timeZone)).getUTCFullYear() - 1;
  const from = parseMonthDay(freeze.from);
  const to = parseMonthDay(freeze.to);
  if (from === undefined || to === undefined)
    throw new RangeError(`"${freeze.from}" or "${freeze.to}" is not a day (MM-DD)`);
  const overNewYear = freeze.to < freeze.from;
  return Array.from({ length: 11 }, (_, index) => {
    const year = first + index;
    const lastYear = overNewYear ? year + 1 : year;
    // The 29th of February is, in a year without it, the 28th's end: a freeze that ends on it does not reach into March.
    const lastDay = Math.min(to.day, new Date(wallTime(lastYear, to.month + 1, 0)).getUTCDate());
    return {
      from: toInstant(wallTime(year, from.month, from.day), freeze.timeZone),
      until: toInstant(wallTime(lastYear, to.month, lastDay + 1), freeze.timeZone),
    };
  });
}

/** A day of every year, `12-18` (and `02-29`); undefined if there is no such day. */
export function parseMonthDay(text: string): { month: number; day: number } | undefined {
  const wall = /^\d{2}-\d{2}$/.test(text) ? parseDate(`2024-${text}`) : undefined;
  return wall === undefined ? undefined : { month: new Date(wall).getUTCMonth() + 1, day: new Date(wall).getUTCDate() };
}

/**
 * A bound of a freeze as people write it: an RFC 3339 time is that instant; a date is its midnight as a start, and the next
 * day's midnight as an end, because `to: 2027-01-04` includes that day. Undefined if it is neither.
 */
export function parseBound(text: string, timeZone: string, edge: 'from' | 'to'): number | undefined {
  const date = parseDate(text);
  if (date !== undefined) return toInstant(edge === 'from' ? date : date + DAY, timeZone);
  if (!/^\d{4}-\d{2}-\d{2}[Tt ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$/.test(text))
    return undefined;
  const instant =
    parseDate(text.slice(0, 10)) === undefined ? Number.NaN : Date.parse(text.toUpperCase().replace(' ', 'T'));
  return Number.isNaN(instant) ? undefined : instant;
}

function latest(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce(
    (best, value) => (value !== undefined && (best === undefined || value > best) ? value : best),
    undefined,
  );
}

function earliest(values: readonly (number | undefined)[]): number | undefined {
  return values.reduce(
    (best, value) => (value !== undefined && (best === undefined || value < best) ? value : best),
    undefined,
  );
}

/** The end of the unbroken stretch that holds the instant, following intervals that overlap or touch. */
function endOfChain(all: readonly Spans[], instant: number): number | undefined {
  let end = latest(all.map((spans) => spans.end(instant)));
  if (end === undefined) return undefined;
  for (let step = 0; step < LOOKS.steps && end - instant < LOOKS.ms; step += 1) {
    const reached: number = end;
    const further = latest(all.map((spans) => spans.end(reached)));
    if (further === undefined) return end;
    end = further;
  }
  return Number.POSITIVE_INFINITY;
}

function startOfChain(all: readonly Spans[], instant: number): number {
  let start = instant;
  // The instant itself is held, so the first step asks for what holds it even if it starts just here.
  let earlier = earliest(all.map((spans) => spans.start(instant + 1)));
  for (let step = 0; earlier !== undefined && earlier < start + (step === 0 ? 1 : 0); step += 1) {
    start = earlier;
    if (step >= LOOKS.steps || instant - start >= LOOKS.ms) return Number.NEGATIVE_INFINITY;
    earlier = earliest(all.map((spans) => spans.start(start)));
  }
  return start;
}

/**
 * The open stretch that holds the instant, undefined outside all windows. Windows that overlap or touch are one stretch. No windows
 * at all: always open, with infinite ends; so is a chain that is unbroken for more than 400 days or 10,000 openings.
 */
export function windowAt(windows: readonly Window[], instant: number): Opening | undefined {
  if (windows.length === 0) return { opened: Number.NEGATIVE_INFINITY, closes: Number.POSITIVE_INFINITY };
  const all = windows.map((window) => remember(spansOfWindow, window, windowSpans));
  const closes = endOfChain(all, instant);
  return closes === undefined ? undefined : { opened: startOfChain(all, instant), closes };
}

/** The first open instant that is not before `after` (so `after` itself in an open window); undefined if none will ever open. */
export function nextOpening(windows: readonly Window[], after: number): number | undefined {
  if (windows.length === 0) return after;
  const all = windows.map((window) => remember(spansOfWindow, window, windowSpans));
  if (all.some((spans) => spans.end(after) !== undefined)) return after;
  return earliest(all.map((spans) => spans.next(after)));
}

/** The next open stretches, in order, the first one cut to begin no earlier than `after`: for calendars. */
export function nextOpenings(windows: readonly Window[], after: number, count: number): Opening[] {
  const openings: Opening[] = [];
  let from: number | undefined = after;
  while (openings.length < count && from !== undefined && Number.isFinite(from)) {
    const opened = nextOpening(windows, from);
    const opening = opened === undefined ? undefined : windowAt(windows, opened);
    if (opened === undefined || opening === undefined) break;
    openings.push({ opened, closes: opening.closes });
    from = opening.closes;
  }
  return openings;
}

/**
 * Until when the instant is frozen and why, undefined if it is not. Freezes that overlap or touch are one, with all their reasons;
 * `until` is infinite if there is no end within 400 days.
 */
export function freezeAt(freezes: readonly Freeze[], instant: number): { until: number; reason: string } | undefined {
  const all = freezes.map((freeze) => ({ spans: remember(spansOfFreeze, freeze, freezeSpans), reason: freeze.reason }));
  const until = endOfChain(
    all.map(({ spans }) => spans),
    instant,
  );
  if (until === undefined) return undefined;
  const holds = all.filter(({ spans }) => spans.end(instant) !== undefined || (spans.next(instant) ?? until) < until);
  const reasons = holds.map(({ reason }) => reason).filter((reason) => reason !== '');
  return { until, reason: [...new Set(reasons)].join(', ') };
}

/** The next freeze that starts strictly after the instant; undefined if none is known. */
export function nextFreeze(
  freezes: readonly Freeze[],
  after: number,
): { from: number; until: number; reason: string } | undefined {
  const from = earliest(freezes.map((freeze) => remember(spansOfFreeze, freeze, freezeSpans).next(after)));
  const freeze = from === undefined ? undefined : freezeAt(freezes, from);
  return from === undefined || freeze === undefined ? undefined : { from, ...freeze };
}

/**
 * The first instant that is not before `after`, inside a window and outside every freeze; undefined if there is none within five
 * years.
 */
export function nextAllowed(windows: readonly Window[], freezes: readonly Freeze[], after: number): number | undefined {
  let instant: number | undefined = after;
  // Each turn jumps to the next opening or to the end of a freeze, so it only moves forwards; minute-long windows bound the turns.
  for (let turn = 0; turn < LOOKS.steps && instant !== undefined && instant - after <= HORIZON; turn += 1) {
    const open = nextOpening(windows, instant);
    const freeze = open === undefined ? undefined : freezeAt(freezes, open);
    if (freeze === undefined) return open !== undefined && open - after <= HORIZON ? open : undefined;
    instant = freeze.until;
  }
  return undefined;
}
