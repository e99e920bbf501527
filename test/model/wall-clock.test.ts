import { describe, expect, it } from 'vitest';
import { DAY, HOUR, MINUTE } from '../../reconciler/model/duration.ts';
import {
  formatInZone,
  isTimeZone,
  LONGEST_JUMP,
  offsetAt,
  parseDate,
  parseTimeOfDay,
  toInstant,
  toWall,
  wallTime,
} from '../../reconciler/model/wall-clock.ts';
import { changesOf, zonesByRules } from './zones.ts';

const at = (text: string) => Date.parse(text);

describe('time zones', () => {
  it.each(['Europe/Berlin', 'UTC', 'America/Argentina/Buenos_Aires', 'Asia/Calcutta', 'Asia/Kolkata', 'Etc/GMT+5'])(
    'knows %s',
    (name) => {
      expect(isTimeZone(name)).toBe(true);
    },
  );
  it.each(['', 'Europe/Berlim', '+01:00', '-0500', 'Mars/Olympus', 'Europe/Berlin '])('refuses %j', (name) => {
    expect(isTimeZone(name)).toBe(false);
  });
  it('says which zone it does not know', () => {
    expect(() => offsetAt(0, 'Europe/Berlim')).toThrow('"Europe/Berlim" is not a time zone');
  });
});

describe('wall time to instant', () => {
  it.each([
    ['an ordinary day', 'Europe/Berlin', wallTime(2026, 12, 6), '2026-12-05T23:00:00Z'],
    ['a skipped time shifts by the gap', 'Europe/Berlin', wallTime(2026, 3, 29, 2, 30), '2026-03-29T01:30:00Z'],
    ['the end of the gap is not shifted', 'Europe/Berlin', wallTime(2026, 3, 29, 3, 0), '2026-03-29T01:00:00Z'],
    ['a repeated time is the first', 'Europe/Berlin', wallTime(2026, 10, 25, 2, 30), '2026-10-25T00:30:00Z'],
    ['west of Greenwich, gap', 'America/New_York', wallTime(2026, 3, 8, 2, 30), '2026-03-08T07:30:00Z'],
    ['west of Greenwich, overlap', 'America/New_York', wallTime(2026, 11, 1, 1, 30), '2026-11-01T05:30:00Z'],
    ['a midnight that does not exist', 'America/Santiago', wallTime(2026, 9, 6), '2026-09-06T04:00:00Z'],
    ['half an hour of gap', 'Australia/Lord_Howe', wallTime(2026, 10, 4, 2, 15), '2026-10-03T15:45:00Z'],
    ['a day that does not exist', 'Pacific/Apia', wallTime(2011, 12, 30, 12, 0), '2011-12-30T22:00:00Z'],
  ])('%s', (_name, zone, wall, instant) => {
    expect(new Date(toInstant(wall, zone)).toISOString()).toBe(new Date(at(instant)).toISOString());
  });

  it('holds its rule at every change of every zone from 2020 to 2040', () => {
    let changes = 0;
    for (const { zone } of zonesByRules()) {
      for (const change of changesOf(zone)) {
        changes += 1;
        const before = offsetAt(change - 1, zone);
        const after = offsetAt(change, zone);
        const jump = after - before;
        expect(Math.abs(jump)).toBeLessThan(LONGEST_JUMP);
        for (const step of [-MINUTE, 0, MINUTE, Math.abs(jump) - MINUTE, Math.abs(jump)]) {
          // Clocks that jump forward skip [change + before, change + after); clocks that fall back repeat the same, reversed.
          const wall = change + Math.min(before, after) + step;
          const odd = step >= 0 && step < Math.abs(jump);
          const expected = wall - (step < 0 || odd ? before : after);
          expect(toInstant(wall, zone)).toBe(expected);
          if (jump < 0 || !odd) expect(toWall(toInstant(wall, zone), zone)).toBe(wall);
          else expect(toWall(toInstant(wall, zone), zone)).toBe(wall + jump);
        }
      }
    }
    expect(changes).toBeGreaterThan(1000);
  });

  it('reads back what clocks show, in every zone and season', () => {
    for (const { zone } of zonesByRules()) {
      for (
        let instant = at('2020-01-01T00:00:00Z');
        instant < at('2040-01-01T00:00:00Z');
        instant += 97 * DAY + 7 * HOUR
      ) {
        const again = toInstant(toWall(instant, zone), zone);
        // Equal, except in the second pass through a repeated hour, where it is the first pass.
        expect([instant, instant - HOUR, instant - HOUR / 2, instant - 2 * HOUR]).toContain(again);
      }
    }
  });
});

describe('written dates and times', () => {
  it('reads times of day', () => {
    expect(parseTimeOfDay('00:00')).toBe(0);
    expect(parseTimeOfDay('23:59')).toBe(DAY - MINUTE);
    for (const wrong of ['24:00', '9:00', '09:60', '09:00:00', '']) expect(parseTimeOfDay(wrong)).toBeUndefined();
  });
  it('reads dates that exist', () => {
    expect(parseDate('2026-12-18')).toBe(wallTime(2026, 12, 18));
    expect(parseDate('2028-02-29')).toBe(wallTime(2028, 2, 29));
    for (const wrong of ['2026-02-29', '2026-2-1', '2026-13-01', '2026-12-18T00:00:00Z', '']) {
      expect(parseDate(wrong)).toBeUndefined();
    }
  });
  it.each([
    ['2026-12-05T23:00:00Z', 'Europe/Berlin', 'Sun 2026-12-06 00:00 +01:00 (Europe/Berlin)'],
    ['2026-07-05T22:00:59Z', 'Europe/Berlin', 'Mon 2026-07-06 00:00 +02:00 (Europe/Berlin)'],
    ['2026-12-05T23:00:00Z', 'UTC', 'Sat 2026-12-05 23:00 UTC'],
    ['2026-12-05T23:00:00Z', 'America/St_Johns', 'Sat 2026-12-05 19:30 -03:30 (America/St_Johns)'],
  ])('shows %s in %s', (instant, zone, text) => {
    expect(formatInZone(at(instant), zone)).toBe(text);
  });
  it('shows an end that never comes', () => {
    expect(formatInZone(Number.POSITIVE_INFINITY, 'UTC')).toBe('never');
  });
});
