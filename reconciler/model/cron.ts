// Cron expressions: five fields read once into plain data, and the wall times that they name, forwards and backwards.
import { CronExpressionParser } from 'cron-parser';
import { DAY, HOUR, MINUTE } from './duration.ts';
import { wallTime } from './wall-clock.ts';
import type { WallTime } from './wall-clock.ts';

/** A cron expression as it is meant. Plain data: it survives JSON, and equal expressions are equal values. */
export interface Cron {
  /** As written, spaces tidied: for messages. */
  readonly text: string;
  /** Times of day in milliseconds since midnight, ascending, at least one. */
  readonly times: readonly number[];
  /** 1 to 12, ascending. */
  readonly months: readonly number[];
  /** Undefined: not restricted. `last` is the month's last day (`L`). */
  readonly monthDays: { readonly days: readonly number[]; readonly last: boolean } | undefined;
  /** Undefined: not restricted. 0 is Sunday; `last` are those that count only as the month's last of their kind (`5L`). */
  readonly weekDays:
    { readonly days: readonly number[]; readonly last: readonly number[]; readonly nth: number } | undefined;
}

/** What reading a cron expression gives: the expression, or a sentence that says what to write instead. */
export type ParsedCron = { readonly ok: true; readonly cron: Cron } | { readonly ok: false; readonly message: string };

const FIELDS = 'minute, hour, day of month, month, day of week';

const MONTHS: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/** A fifth Monday of February can be 40 years away (across 2100), nothing that exists is farther. */
const FARTHEST_MONTHS = 41 * 12;

const parsed = new Map<string, ParsedCron>();
const CACHED_EXPRESSIONS = 5_000;

/**
 * Reads exactly five fields (minute, hour, day of month, month, day of week) with lists, ranges, steps, names, `L` (last day),
 * `5L` (last Friday), `2#2` (second Tuesday), and `H` (a fixed value drawn from `seed`, so that clusters do not all start
 * at once). Day of month and day of week together mean either, as in every cron since Vixie's. Refused: seconds, `@daily`,
 * `W`, and days that never come (31 February).
 */
export function parseCron(text: string, seed = ''): ParsedCron {
  const tidy = text.trim().split(/\s+/).join(' ');
  // Only H looks at the seed; without it all clusters share one entry.
  const key = /H/.test(tidy) ? `${tidy}\n${seed}` : tidy;
  let result = parsed.get(key);
  if (result === undefined) {
    result = read(tidy, seed);
    if (parsed.size >= CACHED_EXPRESSIONS) parsed.clear();
    parsed.set(key, result);
  }
  return result;
}

function read(text: string, seed: string): ParsedCron {
  const refuse = (why: string): ParsedCron => ({ ok: false, message: `cron "${text}": ${why}` });
  const fields = text === '' ? [] : text.split(' ');
  if (text.startsWith('@')) return refuse(`shorthands are not read; write five fields (${FIELDS})`);
  if (fields.length !== 5) return refuse(`${fields.length} fields, but it takes exactly five (${FIELDS})`);
  if (/^(\d+W|LW|WL)$/.test(fields[2] ?? '')) {
    return refuse(
      'W (nearest working day) is not supported; a weekday such as "1#1" (first Monday) says it without surprises',
    );
  }
  const cron = understood(text, seed);
  if (cron === undefined) return refuse(faultOf(fields));
  return nextWall(cron, wallTime(2024, 1, 1)) === undefined ? refuse('no date ever matches it') : { ok: true, cron };
}

/** Undefined: the library refuses it. What it says then is about its own inside. */
function understood(text: string, seed: string): Cron | undefined {
  try {
    // A seed is always given: without one the library would draw H at random, and two controllers would disagree.
    return meaning(text, CronExpressionParser.parse(text, { tz: 'UTC', hashSeed: `oakum ${seed}` }).fields);
  } catch {
    return undefined;
  }
}

/** The five fields in their order: name, what may stand there, and the ends of its numbers. */
const fieldForms = [
  { name: 'minute', form: '0 to 59', least: 0, most: 59 },
  { name: 'hour', form: '0 to 23', least: 0, most: 23 },
  { name: 'day of month', form: '1 to 31, L (the last)', least: 1, most: 31 },
  { name: 'month', form: '1 to 12, JAN to DEC', least: 1, most: 12 },
  {
    name: 'day of week',
    form: '0 to 7 (Sunday is 0 or 7), SUN to SAT, 2#2 (second Tuesday), 5L (last Friday)',
    least: 0,
    most: 6,
  },
] as const;

/** Which part of which field of a refused expression is wrong, and what may stand there: each part is tried alone. */
function faultOf(fields: readonly string[]): string {
  const reads = (index: number, part: string): boolean =>
    understood(fieldForms.map((_, at) => (at === index ? part : '*')).join(' '), '') !== undefined;
  for (const [index, { name, form, least, most }] of fieldForms.entries()) {
    const field = fields[index] ?? '';
    if (reads(index, field)) continue;
    const part = field.split(',').find((one) => !reads(index, one)) ?? field;
    const [from = '', to = '', ...more] = part.split('-');
    if (more.length === 0 && from !== '' && to !== '' && reads(index, from) && reads(index, to)) {
      const split = /^\d+-\d+$/.test(part) ? `; write "${from}-${most},${least}-${to}"` : '';
      return `"${part}" in the field for the ${name} runs backwards${split || `; allowed: ${form}`}`;
    }
    return `"${part}" in the field for the ${name} is not understood; allowed: *, ${form}, lists ("1,3"), ranges ("1-5"), steps ("*/2")`;
  }
  return 'no date ever matches it';
}

type ParsedFields = ReturnType<typeof CronExpressionParser.parse>['fields'];

function meaning(text: string, { minute, hour, dayOfMonth, month, dayOfWeek }: ParsedFields): Cron {
  const times = numbers(hour.values).flatMap((hours) => numbers(minute.values).map((m) => hours * HOUR + m * MINUTE));
  const lastWeekDays = dayOfWeek.values.flatMap((value) =>
    typeof value === 'string' ? [Number.parseInt(value, 10) % 7] : [],
  );
  return {
    text,
    times,
    months: numbers(month.values),
    monthDays: dayOfMonth.isWildcard
      ? undefined
      : { days: numbers(dayOfMonth.values), last: dayOfMonth.values.some((value) => value === 'L') },
    weekDays: dayOfWeek.isWildcard
      ? undefined
      : {
          days: ascending(numbers(dayOfWeek.values).map((day) => day % 7)),
          last: ascending(lastWeekDays),
          nth: dayOfWeek.nthDay,
        },
  };
}

function numbers(values: readonly (number | string)[]): number[] {
  return ascending(
    values.flatMap((value) => (typeof value === 'number' ? [value] : /^\d+$/.test(value) ? [Number(value)] : [])),
  );
}

function ascending(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

/** An expression made of parts instead of text: one time of day on these days of the week (undefined: every day). */
export function cronOnWeekdays(time: number, weekDays: readonly number[] | undefined): Cron {
  const days = weekDays === undefined ? undefined : ascending(weekDays);
  return {
    text: `${(time / MINUTE) % 60} ${Math.floor(time / HOUR)} * * ${days?.join() ?? '*'}`,
    times: [time],
    months: MONTHS,
    monthDays: undefined,
    weekDays: days === undefined ? undefined : { days, last: [], nth: 0 },
  };
}

/** Whether the calendar day (month 1 to 12) is one that the expression names. */
function matches(cron: Cron, day: number, lastDay: number, weekday: number): boolean {
  const { monthDays, weekDays } = cron;
  const byMonth = monthDays !== undefined && (monthDays.days.includes(day) || (monthDays.last && day === lastDay));
  const byWeek =
    weekDays !== undefined &&
    ((weekDays.days.includes(weekday) && (weekDays.nth === 0 || Math.ceil(day / 7) === weekDays.nth)) ||
      (weekDays.last.includes(weekday) && day + 7 > lastDay));
  return byMonth || byWeek || (monthDays === undefined && weekDays === undefined);
}

/** The first wall time strictly after this one that the expression names; undefined if there is none in 41 years. */
export function nextWall(cron: Cron, after: WallTime): WallTime | undefined {
  return search(cron, after, 1);
}

/** The last wall time strictly before this one that the expression names; undefined if there is none in 41 years. */
export function previousWall(cron: Cron, before: WallTime): WallTime | undefined {
  return search(cron, before, -1);
}

function search(cron: Cron, from: WallTime, direction: 1 | -1): WallTime | undefined {
  const start = new Date(from);
  const startDay = start.getUTCDate();
  let year = start.getUTCFullYear();
  let month = start.getUTCMonth() + 1;
  for (let step = 0; step <= FARTHEST_MONTHS; step += 1) {
    if (cron.months.includes(month)) {
      const first = wallTime(year, month, 1);
      const lastDay = Math.round((wallTime(year, month + 1, 1) - first) / DAY);
      const firstWeekday = new Date(first).getUTCDay();
      let day = step === 0 ? startDay : direction === 1 ? 1 : lastDay;
      for (; day >= 1 && day <= lastDay; day += direction) {
        if (!matches(cron, day, lastDay, (firstWeekday + day - 1) % 7)) continue;
        const time = timeBeyond(cron.times, from - (first + (day - 1) * DAY), direction);
        if (time !== undefined) return first + (day - 1) * DAY + time;
      }
    }
    month += direction;
    if (month === 13 || month === 0) {
      year += direction;
      month = month === 0 ? 12 : 1;
    }
  }
  return undefined;
}

/** The time of day that comes next (or came last) from a point that may lie on another day. */
function timeBeyond(times: readonly number[], point: number, direction: 1 | -1): number | undefined {
  return direction === 1 ? times.find((time) => time > point) : times.findLast((time) => time < point);
}
