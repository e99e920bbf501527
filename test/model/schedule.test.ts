import { Cron as Croner } from 'croner';
import { describe, expect, it } from 'vitest';
import { parseCron } from '../../reconciler/model/cron.ts';
import { DAY, HOUR, MINUTE } from '../../reconciler/model/duration.ts';
import {
  DEFAULT_ANCHOR,
  DEFAULT_AT,
  describeSchedule,
  nextSlot,
  slotsBetween,
  slotSince,
} from '../../reconciler/model/schedule.ts';
import type { Schedule } from '../../reconciler/model/schedule.ts';
import { offsetAt, toInstant, toWall, wallTime } from '../../reconciler/model/wall-clock.ts';
import { changesOf, zonesByRules, zonesWithChanges } from './zones.ts';
import { cpuMs } from '../support/cpu.ts';

const at = (text: string) => Date.parse(text);

function cron(text: string, timeZone: string): Schedule {
  const result = parseCron(text);
  if (!result.ok) throw new Error(result.message);
  return { kind: 'cron', cron: result.cron, timeZone };
}

const weekly = (timeZone: string): Schedule => ({ kind: 'weekly', at: DEFAULT_AT, timeZone });
const biweekly = (timeZone: string, anchor = DEFAULT_ANCHOR): Schedule => ({
  kind: 'biweekly',
  at: DEFAULT_AT,
  anchor,
  timeZone,
});
const monthly = (timeZone: string): Schedule => ({ kind: 'monthly', at: DEFAULT_AT, timeZone });
const bimonthly = (timeZone: string, anchor = DEFAULT_ANCHOR): Schedule => ({
  kind: 'bimonthly',
  at: DEFAULT_AT,
  anchor,
  timeZone,
});

function shown(schedule: Schedule, after: string, count: number): string[] {
  return slotsBetween(schedule, at(after), Number.POSITIVE_INFINITY, count).map((slot) =>
    new Date(slot).toISOString().slice(0, 16),
  );
}

describe('presets', () => {
  it.each<[string, Schedule, string, string[]]>([
    ['weekly', weekly('UTC'), '2026-12-06T00:00Z', ['2026-12-13T00:00', '2026-12-20T00:00']],
    [
      'weekly, later',
      { kind: 'weekly', at: '22:30', timeZone: 'Europe/Berlin' },
      '2026-12-06T00:00Z',
      ['2026-12-06T21:30'],
    ],
    ['monthly', monthly('Europe/Berlin'), '2026-11-21T00:00Z', ['2026-11-30T23:00', '2026-12-31T23:00']],
    ['monthly across summer', monthly('Europe/Berlin'), '2026-03-01T00:00Z', ['2026-03-31T22:00', '2026-04-30T22:00']],
    ['bimonthly from January', bimonthly('UTC'), '2026-11-21T00:00Z', ['2027-01-01T00:00', '2027-03-01T00:00']],
    [
      'bimonthly from an even month',
      bimonthly('UTC', '2025-04-30'),
      '2026-11-21T00:00Z',
      ['2026-12-01T00:00', '2027-02-01T00:00'],
    ],
    ['biweekly', biweekly('UTC'), '2026-01-01T00:00Z', ['2026-01-04T00:00', '2026-01-18T00:00', '2026-02-01T00:00']],
    [
      'biweekly, anchor on a weekday',
      biweekly('UTC', '2026-03-11'),
      '2026-03-01T00:00Z',
      ['2026-03-15T00:00', '2026-03-29T00:00'],
    ],
    [
      'biweekly before its anchor',
      biweekly('UTC', '2030-01-06'),
      '2026-01-01T00:00Z',
      ['2026-01-11T00:00', '2026-01-25T00:00'],
    ],
    [
      'second Tuesday',
      cron('0 2 * * 2#2', 'America/New_York'),
      '2026-11-21T00:00Z',
      ['2026-12-08T07:00', '2027-01-12T07:00'],
    ],
  ])('%s', (_name, schedule, after, expected) => {
    expect(shown(schedule, after, expected.length)).toEqual(expected);
  });

  it.each<[Schedule, string]>([
    [weekly('UTC'), 'weekly on Sunday at 00:00 UTC'],
    [biweekly('UTC'), 'every two weeks on Sunday at 00:00 UTC, counted from 2026-01-04'],
    [monthly('Europe/Berlin'), 'monthly on the 1st at 00:00 Europe/Berlin'],
    [bimonthly('UTC'), 'every two months on the 1st at 00:00 UTC, counted from 2026-01'],
    [cron(' 0 2  * * 2#2', 'UTC'), 'cron "0 2 * * 2#2" UTC'],
  ])('is described: %#', (schedule, text) => {
    expect(describeSchedule(schedule)).toBe(text);
  });

  it('is exclusive at its start and inclusive at its end', () => {
    const slot = at('2026-12-06T00:00Z');
    expect(nextSlot(weekly('UTC'), slot - 1)).toBe(slot);
    expect(nextSlot(weekly('UTC'), slot)).toBe(slot + 7 * DAY);
    expect(slotSince(weekly('UTC'), slot - 1, slot)).toBe(slot);
    expect(slotSince(weekly('UTC'), slot, slot + 7 * DAY - 1)).toBeUndefined();
    expect(slotSince(weekly('UTC'), 0, slot + 100)).toBe(slot);
    expect(slotsBetween(weekly('UTC'), slot, slot + 14 * DAY, 9)).toEqual([slot + 7 * DAY, slot + 14 * DAY]);
  });
});

describe('days when clocks change', () => {
  it.each([
    ['skipped', '30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00Z', ['2026-03-29T01:30', '2026-03-30T00:30']],
    [
      'repeated: once, the first time',
      '30 2 * * *',
      'Europe/Berlin',
      '2026-10-24T12:00Z',
      ['2026-10-25T00:30', '2026-10-26T01:30'],
    ],
    [
      'skipped midnight',
      '0 0 * * *',
      'America/Santiago',
      '2026-09-05T12:00Z',
      ['2026-09-06T04:00', '2026-09-07T03:00'],
    ],
    [
      'shifted onto another slot: once',
      '0 2-3 * * *',
      'Europe/Berlin',
      '2026-03-28T12:00Z',
      ['2026-03-29T01:00', '2026-03-30T00:00'],
    ],
    [
      'shifted past another slot: in order',
      '0,40 2-3 * * *',
      'Europe/Berlin',
      '2026-03-28T12:00Z',
      ['2026-03-29T01:00', '2026-03-29T01:40', '2026-03-30T00:00'],
    ],
    [
      'half an hour',
      '15,45 2 * * *',
      'Australia/Lord_Howe',
      '2026-10-03T00:00Z',
      ['2026-10-03T15:45', '2026-10-04T15:15', '2026-10-04T15:45'],
    ],
    [
      'half an hour, shifted past another',
      '20,40 2 * * *',
      'Australia/Lord_Howe',
      '2026-10-03T00:00Z',
      ['2026-10-03T15:40', '2026-10-03T15:50', '2026-10-04T15:20'],
    ],
  ])('%s', (_name, text, zone, after, expected) => {
    expect(shown(cron(text, zone), after, expected.length)).toEqual(expected);
    // Backwards the same.
    let to = at(`${expected.at(-1) ?? ''}Z`);
    for (const slot of expected.toReversed()) {
      to = slotSince(cron(text, zone), 0, to) ?? 0;
      expect(new Date(to).toISOString().slice(0, 16)).toBe(slot);
      to -= 1;
    }
  });

  it('agrees forwards, backwards and with a plain count of all wall times, around every change of every zone', () => {
    const expressions = [
      '0 0 * * *',
      '30 1 * * *',
      '30 2 * * *',
      '*/20 * * * *',
      '10,50 0-3 * * *',
      '0 22 * * 5',
      '15 3 L * 0',
    ];
    for (const zone of zonesWithChanges()) {
      const schedules = expressions.map((text) => cron(text, zone));
      // The first, the last and two in the middle: rules seldom differ between.
      const changes = changesOf(zone);
      const some = new Set([0, 1, changes.length - 2, changes.length - 1].map((index) => changes[index]));
      for (const change of some) {
        if (change === undefined) continue;
        for (const schedule of schedules) agree(schedule, change - 30 * HOUR, change + 30 * HOUR);
      }
    }
  });

  function agree(schedule: Schedule, from: number, to: number): void {
    const slots = slotsBetween(schedule, from, to, 1000);
    const back: number[] = [];
    for (let slot = slotSince(schedule, from, to); slot !== undefined; slot = slotSince(schedule, from, slot - 1))
      back.unshift(slot);
    expect(back).toEqual(slots);
    for (const [index, slot] of slots.entries()) {
      expect(slot).toBeGreaterThan(slots[index - 1] ?? from);
      const middle = Math.floor((slot + (slots[index + 1] ?? to)) / 2);
      expect(slotSince(schedule, from, middle)).toBe(slot);
    }
    // The written rule, applied to every wall time of these days.
    if (schedule.kind !== 'cron') return;
    const inZone = slotsBetween({ ...schedule, timeZone: 'UTC' }, from - 30 * HOUR, to + 30 * HOUR, 20_000);
    const counted = new Set(
      inZone.map((wall) => toInstant(wall, schedule.timeZone)).filter((slot) => slot > from && slot <= to),
    );
    expect(slots).toEqual([...counted].sort((a, b) => a - b));
  }
});

describe('twenty years in every kind of zone', () => {
  const from = at('2020-01-01T00:00:00Z') - 1;
  const to = at('2040-01-01T00:00:00Z');

  it('never skips a month, nor a second month', () => {
    for (const { zone } of zonesByRules()) {
      for (const [schedule, count] of [
        [monthly(zone), 240],
        [bimonthly(zone), 120],
      ] as const) {
        const slots = slotsBetween(schedule, from + DAY, to - DAY, 1000);
        expect([count - 1, count]).toContain(slots.length);
        const months = slots.map((slot) => new Date(toWall(slot, zone)));
        for (const [index, month] of months.entries()) {
          expect(month.getUTCDate()).toBe(1);
          const earlier = months[index - 1];
          if (earlier === undefined) continue;
          const passed =
            (month.getUTCFullYear() - earlier.getUTCFullYear()) * 12 + month.getUTCMonth() - earlier.getUTCMonth();
          expect(passed).toBe(240 / count);
        }
        expect(slotSince(schedule, from, to - DAY)).toBe(slots.at(-1));
      }
    }
  });

  it('keeps the fortnights through every change of clocks', () => {
    for (const zone of zonesWithChanges()) {
      const even = slotsBetween(biweekly(zone), from, to, 1000);
      const odd = slotsBetween(biweekly(zone, '2026-01-11'), from, to, 1000);
      for (const [index, slot] of even.entries()) {
        const earlier = even[index - 1];
        const days = (instant: number) => Math.floor(toWall(instant, zone) / DAY);
        if (earlier !== undefined) expect(days(slot) - days(earlier)).toBe(14);
        expect(Math.abs(days(slot) * DAY - wallTime(2026, 1, 4)) % (14 * DAY)).toBe(0);
      }
      // Together the two fortnights are the weekly schedule.
      expect([...even, ...odd].sort((a, b) => a - b)).toEqual(slotsBetween(weekly(zone), from, to, 2000));
    }
  });

  it('says what croner says, but for times that are skipped', () => {
    for (const zone of zonesWithChanges()) {
      for (const text of ['0 22 * * 5', '30 2 1 * *', '0 4 * * 2#2', '0 0 L * *']) {
        const croner = new Croner(text, { timezone: zone, paused: true });
        const slots = slotsBetween(cron(text, zone), at('2026-01-01T00:00:00Z'), at('2027-01-01T00:00:00Z'), 100);
        for (const slot of slots) {
          const theirs = croner.nextRun(new Date(slot - 12 * HOUR))?.getTime() ?? 0;
          const skipped = offsetAt(slot, zone) > offsetAt(slot - 3 * HOUR, zone);
          if (!skipped)
            expect(`${zone} ${new Date(slot).toISOString()}`).toBe(`${zone} ${new Date(theirs).toISOString()}`);
          else expect(Math.abs(theirs - slot)).toBeLessThanOrEqual(3 * HOUR);
        }
      }
    }
  });
});

describe('cost', () => {
  it('finds a slot in well under a millisecond, however long nobody looked', () => {
    const schedules = [
      monthly('Europe/Berlin'),
      biweekly('America/New_York'),
      cron('0 2 * * 2#2', 'Australia/Lord_Howe'),
    ];
    const rounds = 2000;
    let now = at('2026-01-01T00:00:00Z');
    for (const schedule of schedules) nextSlot(schedule, now);
    const cost = cpuMs(() => {
      for (let round = 0; round < rounds; round += 1) {
        now += 61 * MINUTE;
        for (const schedule of schedules) {
          nextSlot(schedule, now);
          slotSince(schedule, 0, now);
        }
      }
    });
    const each = (cost * 1000) / (rounds * schedules.length * 2);
    // Typically 2 microseconds; the bound only catches a change of kind on a busy machine.
    expect(each).toBeLessThan(500);
  });
});
