import { describe, expect, it } from 'vitest';
import { DAY, HOUR, MINUTE } from '../../reconciler/model/duration.ts';
import { toInstant, toWall, wallTime } from '../../reconciler/model/wall-clock.ts';
import {
  freezeAt,
  nextAllowed,
  nextFreeze,
  nextOpening,
  nextOpenings,
  parseBound,
  parseMonthDay,
  windowAt,
} from '../../reconciler/model/window.ts';
import type { Freeze, Window } from '../../reconciler/model/window.ts';
import { changesOf, zonesWithChanges } from './zones.ts';

const at = (text: string) => Date.parse(text);
const friday = (timeZone: string): Window => ({ days: ['Fri'], start: '22:00', durationMs: 6 * HOUR, timeZone });
const daily = (start: string, hours: number): Window => ({
  days: undefined,
  start,
  durationMs: hours * HOUR,
  timeZone: 'UTC',
});

describe('windows', () => {
  it('belongs to the day it opens, and is half-open', () => {
    const opened = at('2026-11-20T22:00Z');
    const closes = at('2026-11-21T04:00Z');
    expect(windowAt([friday('UTC')], opened - 1)).toBeUndefined();
    for (const instant of [opened, opened + HOUR, closes - 1])
      expect(windowAt([friday('UTC')], instant)).toEqual({ opened, closes });
    expect(windowAt([friday('UTC')], closes)).toBeUndefined();
    expect(nextOpening([friday('UTC')], closes)).toBe(opened + 7 * DAY);
    expect(nextOpening([friday('UTC')], opened + 1)).toBe(opened + 1);
  });

  it('lasts its elapsed time on the nights when clocks change, in every kind of zone', () => {
    for (const zone of zonesWithChanges()) {
      for (const change of changesOf(zone).slice(-2)) {
        const nightly: Window = { days: undefined, start: '22:00', durationMs: 6 * HOUR, timeZone: zone };
        for (const window of [friday(zone), nightly]) {
          const opened = nextOpening([window], windowAt([window], change - 8 * DAY)?.closes ?? change - 8 * DAY) ?? 0;
          expect(windowAt([window], opened - 1)).toBeUndefined();
          expect(windowAt([window], opened)).toEqual({ opened, closes: opened + 6 * HOUR });
          expect(windowAt([window], opened + 6 * HOUR)).toBeUndefined();
          for (let instant = opened; instant < opened + 9 * DAY; instant += 5 * HOUR + 7 * MINUTE) {
            const open = windowAt([window], instant);
            const next = nextOpening([window], instant) ?? 0;
            if (open !== undefined) {
              expect(open.closes - open.opened).toBe(6 * HOUR);
              expect(next).toBe(instant);
            } else {
              expect(windowAt([window], next)?.opened).toBe(next);
              expect(windowAt([window], next - 1)).toBeUndefined();
              if (toWall(next, zone) - toWall(next - DAY, zone) === DAY)
                expect(new Date(toWall(next, zone)).getUTCHours()).toBe(22);
            }
          }
        }
      }
    }
  });

  it('merges windows that overlap or touch', () => {
    const windows = [daily('01:00', 2), daily('03:00', 1), daily('03:30', 2), daily('10:00', 1)];
    expect(windowAt(windows, at('2026-11-20T03:10Z'))).toEqual({
      opened: at('2026-11-20T01:00Z'),
      closes: at('2026-11-20T05:30Z'),
    });
    expect(nextOpenings(windows, at('2026-11-20T02:00Z'), 3)).toEqual([
      { opened: at('2026-11-20T02:00Z'), closes: at('2026-11-20T05:30Z') },
      { opened: at('2026-11-20T10:00Z'), closes: at('2026-11-20T11:00Z') },
      { opened: at('2026-11-21T01:00Z'), closes: at('2026-11-21T05:30Z') },
    ]);
  });

  it('is always open without windows, and with windows that never end', () => {
    const always = { opened: Number.NEGATIVE_INFINITY, closes: Number.POSITIVE_INFINITY };
    expect(windowAt([], 5)).toEqual(always);
    expect(nextOpening([], 5)).toBe(5);
    expect(windowAt([daily('00:00', 24)], at('2026-11-20T03:10Z'))).toEqual(always);
  });
});

describe('freezes', () => {
  const once: Freeze = {
    kind: 'once',
    from: at('2026-12-18T00:00Z'),
    until: at('2027-01-05T00:00Z'),
    reason: 'year-end',
  };
  const yearly: Freeze = { kind: 'yearly', from: '12-18', to: '01-04', timeZone: 'Europe/Berlin', reason: 'holidays' };

  it('is half-open and names its reason', () => {
    expect(freezeAt([once], once.from - 1)).toBeUndefined();
    expect(freezeAt([once], once.from)).toEqual({ until: once.until, reason: 'year-end' });
    expect(freezeAt([once], once.until)).toBeUndefined();
    expect(nextFreeze([once], 0)).toEqual({ from: once.from, until: once.until, reason: 'year-end' });
    expect(nextFreeze([once], once.from)).toBeUndefined();
  });

  it('comes back every year, over the new year, to the end of its last day', () => {
    const until = toInstant(wallTime(2027, 1, 5), 'Europe/Berlin');
    expect(freezeAt([yearly], at('2026-12-31T12:00Z'))).toEqual({ until, reason: 'holidays' });
    expect(freezeAt([yearly], until - 1)?.until).toBe(until);
    expect(freezeAt([yearly], until)).toBeUndefined();
    expect(nextFreeze([yearly], until)?.from).toBe(toInstant(wallTime(2027, 12, 18), 'Europe/Berlin'));
  });

  it('knows the leap day', () => {
    const leap: Freeze = { kind: 'yearly', from: '02-27', to: '02-29', timeZone: 'UTC', reason: '' };
    expect(freezeAt([leap], at('2027-02-28T12:00Z'))?.until).toBe(at('2027-03-01T00:00Z'));
    expect(freezeAt([leap], at('2028-02-28T12:00Z'))?.until).toBe(at('2028-03-01T00:00Z'));
    expect(parseMonthDay('02-29')).toEqual({ month: 2, day: 29 });
    expect(parseMonthDay('02-30')).toBeUndefined();
  });

  it('joins freezes that touch', () => {
    const more: Freeze = { kind: 'once', from: once.until, until: once.until + DAY, reason: 'inventory' };
    expect(freezeAt([once, more], once.from)).toEqual({ until: more.until, reason: 'year-end, inventory' });
  });

  it('reads bounds: a date is a whole day', () => {
    expect(parseBound('2026-12-18', 'Europe/Berlin', 'from')).toBe(at('2026-12-17T23:00Z'));
    expect(parseBound('2026-12-18', 'Europe/Berlin', 'to')).toBe(at('2026-12-18T23:00Z'));
    expect(parseBound('2026-12-18T10:00:00+02:00', 'UTC', 'to')).toBe(at('2026-12-18T08:00Z'));
    for (const wrong of ['', '2026-02-30', '2026-02-30T00:00:00Z', '2026-12-18T10:00:00', 'tomorrow'])
      expect(parseBound(wrong, 'UTC', 'to')).toBeUndefined();
  });

  it('finds the next instant that is allowed', () => {
    // The opening of Friday 18 December is frozen; Friday 1 January too; the first free one is 8 January.
    expect(nextAllowed([friday('UTC')], [once], at('2026-12-12T12:00Z'))).toBe(at('2027-01-08T22:00Z'));
    expect(nextAllowed([], [once], once.from)).toBe(once.until);
    expect(nextAllowed([], [], 7)).toBe(7);
    const forever: Freeze = { kind: 'yearly', from: '01-01', to: '12-31', timeZone: 'UTC', reason: 'closed' };
    expect(nextAllowed([friday('UTC')], [forever], at('2026-12-12T12:00Z'))).toBeUndefined();
  });
});
