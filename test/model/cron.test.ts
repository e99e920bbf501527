import { CronExpressionParser } from 'cron-parser';
import { Cron as Croner } from 'croner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cronOnWeekdays, nextWall, parseCron, previousWall } from '../../reconciler/model/cron.ts';
import type { Cron } from '../../reconciler/model/cron.ts';
import { DAY, HOUR, MINUTE } from '../../reconciler/model/duration.ts';
import { wallTime } from '../../reconciler/model/wall-clock.ts';

function cronOf(text: string, seed?: string): Cron {
  const result = parseCron(text, seed);
  if (!result.ok) throw new Error(result.message);
  return result.cron;
}

/** The first slots after a wall time, as `YYYY-MM-DDTHH:MM`. */
function slots(text: string, after: string, count: number): string[] {
  const shown: string[] = [];
  let wall: number | undefined = Date.parse(`${after}Z`);
  while (shown.length < count) {
    wall = nextWall(cronOf(text), wall);
    if (wall === undefined) break;
    shown.push(new Date(wall).toISOString().slice(0, 16));
  }
  return shown;
}

describe('what cron expressions name', () => {
  it.each([
    ['0 2 * * 2#2', '2026-01-01T00:00', ['2026-01-13T02:00', '2026-02-10T02:00', '2026-03-10T02:00']],
    ['0 2 * * TUE#2', '2026-01-01T00:00', ['2026-01-13T02:00', '2026-02-10T02:00', '2026-03-10T02:00']],
    ['30 3 L * *', '2028-01-31T03:30', ['2028-02-29T03:30', '2028-03-31T03:30', '2028-04-30T03:30']],
    ['0 0 L,15 * *', '2026-02-01T00:00', ['2026-02-15T00:00', '2026-02-28T00:00', '2026-03-15T00:00']],
    ['0 0 * * 5L', '2026-01-01T00:00', ['2026-01-30T00:00', '2026-02-27T00:00', '2026-03-27T00:00']],
    ['0 0 * * 7L', '2026-01-01T00:00', ['2026-01-25T00:00', '2026-02-22T00:00']],
    ['0 0 * * 7', '2026-01-01T00:00', ['2026-01-04T00:00', '2026-01-11T00:00']],
    [
      '0 0 * * fri-7',
      '2026-01-01T00:00',
      ['2026-01-02T00:00', '2026-01-03T00:00', '2026-01-04T00:00', '2026-01-09T00:00'],
    ],
    ['0 0 1 */2 *', '2026-01-01T00:00', ['2026-03-01T00:00', '2026-05-01T00:00']],
    ['*/20 22-23 * * *', '2026-01-01T22:10', ['2026-01-01T22:20', '2026-01-01T22:40', '2026-01-01T23:00']],
    ['0 0 13 * FRI', '2026-02-01T00:00', ['2026-02-06T00:00', '2026-02-13T00:00', '2026-02-20T00:00']],
    ['0 0 ? JAN-FEB MON', '2026-01-20T00:00', ['2026-01-26T00:00', '2026-02-02T00:00']],
    ['0 0 29 2 *', '2096-03-01T00:00', ['2104-02-29T00:00']],
    ['0 0 * 2 1#5', '2072-03-01T00:00', ['2112-02-29T00:00']],
    ['0 0 30 2 MON', '2026-01-31T00:00', ['2026-02-02T00:00']],
  ])('%s after %s', (text, after, expected) => {
    expect(slots(text, after, expected.length)).toEqual(expected);
  });

  it('draws H from the seed: the same for ever, different between clusters, inside its range', () => {
    const starts = new Set<number>();
    for (let cluster = 0; cluster < 100; cluster += 1) {
      const { times } = cronOf('H H(0-3) * * *', `cluster-${cluster}`);
      expect(times).toEqual(cronOf('H H(0-3) * * *', `cluster-${cluster}`).times);
      expect(times).toHaveLength(1);
      const [time = -1] = times;
      expect(time).toBeGreaterThanOrEqual(0);
      expect(time).toBeLessThan(4 * HOUR);
      starts.add(time);
    }
    expect(starts.size).toBeGreaterThan(50);
    // A library or a seed that changed would move every cluster's slots: this pins one of them.
    expect(cronOf('H H(0-3) * * *', 'prod').times).toEqual([78 * MINUTE]);
  });

  it('is plain data', () => {
    const cron = cronOf('0 2 L * 5L,1');
    expect(structuredClone(cron)).toEqual(cron);
    expect(cron).toMatchObject({
      text: '0 2 L * 5L,1',
      monthDays: { days: [], last: true },
      weekDays: { days: [1], last: [5] },
    });
  });

  it('can be made of parts', () => {
    const nights = cronOnWeekdays(22 * HOUR + 30 * MINUTE, [6, 0]);
    expect(nights).toEqual(cronOf('30 22 * * 0,6'));
    expect(cronOnWeekdays(0, undefined)).toEqual(cronOf('0 0 * * *'));
  });
});

describe('what is refused, and what is said', () => {
  it.each([
    ['* * * *', '4 fields, but it takes exactly five (minute, hour, day of month, month, day of week)'],
    ['0 0 2 * * *', '6 fields'],
    ['', '0 fields'],
    ['@monthly', 'shorthands are not read'],
    ['0 0 15W * *', 'W (nearest working day) is not supported'],
    ['0 0 LW * *', 'W (nearest working day) is not supported'],
    ['0 0 31 2 *', 'no date ever matches it'],
    ['0 0 31 4,6,9,11 *', 'no date ever matches it'],
    ['60 0 * * *', '"60" in the field for the minute is not understood; allowed: *, 0 to 59'],
    ['0 24 * * *', '"24" in the field for the hour is not understood; allowed: *, 0 to 23'],
    ['0 0 0 * *', '"0" in the field for the day of month is not understood; allowed: *, 1 to 31'],
    ['0 0 * 13 *', '"13" in the field for the month is not understood; allowed: *, 1 to 12'],
    ['0 0 * * 1,8,3', '"8" in the field for the day of week is not understood'],
    ['0 22-4 * * *', '"22-4" in the field for the hour runs backwards; write "22-23,0-4"'],
    [
      '0 0 * * FRI-SUN',
      '"FRI-SUN" in the field for the day of week runs backwards; allowed: 0 to 7 (Sunday is 0 or 7)',
    ],
    ['-1 0 * * *', '"-1" in the field for the minute is not understood'],
    ['0 0 * * 2#6', '"2#6" in the field for the day of week is not understood'],
    ['0 0 * * FOO', '"FOO" in the field for the day of week is not understood; allowed: *, 0 to 7'],
    ['*/0 * * * *', '"*/0" in the field for the minute is not understood'],
    ['a b c d e', 'cron "a b c d e"'],
  ])('%j', (text, said) => {
    const result = parseCron(text);
    expect(result.ok).toBe(false);
    expect(result.ok ? '' : result.message).toContain(said);
    expect(result.ok ? '' : result.message).toContain(`cron "${text}"`);
  });

  it('never throws, whatever it is given', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^([0-9*/,LHW#?-]{1,5} ){4}[0-9*/,LHW#?-]{1,5}$/)),
        (text) => {
          const result = parseCron(text, 'seed');
          if (result.ok) expect(nextWall(result.cron, 0)).toBeDefined();
          else expect(result.message).toMatch(/^cron "/);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

/** Fields as people write them. */
const field = (low: number, high: number) =>
  fc.oneof(
    { weight: 2, arbitrary: fc.constant('*') },
    fc.integer({ min: low, max: high }).map(String),
    fc.uniqueArray(fc.integer({ min: low, max: high }), { minLength: 1, maxLength: 3 }).map((list) => list.join()),
    fc
      .tuple(fc.integer({ min: low, max: high }), fc.integer({ min: low, max: high }))
      .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`),
    fc.integer({ min: 2, max: high }).map((step) => `*/${step}`),
  );

const expression = fc
  .tuple(
    field(0, 59),
    field(0, 23),
    fc.oneof(field(1, 28), fc.constantFrom('L', '31', 'L,10')),
    field(1, 12),
    fc.oneof(
      field(0, 6),
      fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 1, max: 4 })).map(([d, n]) => `${d}#${n}`),
      fc.integer({ min: 0, max: 6 }).map((d) => `${d}L`),
    ),
  )
  .map((fields) => fields.join(' '))
  .filter((text) => parseCron(text).ok);

const walls = fc
  .integer({ min: wallTime(2020, 1, 1) / MINUTE, max: wallTime(2040, 1, 1) / MINUTE })
  .map((minutes) => minutes * MINUTE);

describe('held against others', () => {
  it('names the same times as cron-parser in UTC', () => {
    fc.assert(
      fc.property(expression, walls, (text, wall) => {
        const theirs = CronExpressionParser.parse(text, { tz: 'UTC', currentDate: new Date(wall) });
        let ours: number | undefined = wall;
        for (let step = 0; step < 3; step += 1) {
          ours = nextWall(cronOf(text), ours ?? 0);
          expect(ours).toBe(theirs.next().getTime());
        }
      }),
      { numRuns: 400 },
    );
  });

  it('names the same times as croner in UTC', () => {
    fc.assert(
      fc.property(expression, walls, (text, wall) => {
        expect(nextWall(cronOf(text), wall)).toBe(
          new Croner(text, { timezone: 'UTC', paused: true }).nextRun(new Date(wall))?.getTime(),
        );
      }),
      { numRuns: 400 },
    );
  });

  it('goes back the way that it came', () => {
    fc.assert(
      fc.property(expression, walls, (text, wall) => {
        const cron = cronOf(text);
        const first = nextWall(cron, wall);
        const second = nextWall(cron, first ?? 0);
        expect(first).toBeGreaterThan(wall);
        expect(previousWall(cron, second ?? 0)).toBe(first);
        // Between the two there is nothing, seen from either side.
        expect(previousWall(cron, (first ?? 0) + 1)).toBe(first);
        expect(previousWall(cron, first ?? 0) ?? 0).toBeLessThanOrEqual(wall);
      }),
      { numRuns: 400 },
    );
  });

  it('finds the rarest day within its bound', () => {
    expect((nextWall(cronOf('0 0 29 2 *'), wallTime(2096, 3, 1)) ?? 0) - wallTime(2096, 3, 1)).toBeGreaterThan(
      7 * 365 * DAY,
    );
  });
});
