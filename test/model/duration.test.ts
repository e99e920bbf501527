import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DAY, formatDuration, HOUR, MINUTE, parseDuration, spellDuration } from '../../reconciler/model/duration.ts';

describe('durations', () => {
  it.each([
    ['90s', 90_000],
    ['30m', 30 * MINUTE],
    ['24h', DAY],
    ['7d', 7 * DAY],
    ['0s', 0],
  ])('reads %s', (text, length) => {
    expect(parseDuration(text)).toBe(length);
  });

  it.each(['', '5', 'm', '1.5h', '-1h', '1 h', '1h30m', '1H', '01h', '1w', '1ms', '١h', '999999999d', ' 1h', '1h\n'])(
    'refuses %j',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it.each([
    [90_000, '90s', '1m 30s'],
    [2 * HOUR, '2h', '2h'],
    [7 * DAY, '7d', '7d'],
    [90 * MINUTE, '90m', '1h 30m'],
    [DAY, '1d', '1d'],
    [36 * HOUR, '36h', '1d 12h'],
    [7 * DAY + 3_000, '604803s', '7d'],
    [0, '0s', '0s'],
    [999, '0s', '0s'],
    [-90_000, '-90s', '-1m 30s'],
  ])('writes %d as %s, and in sentences as %s', (length, short, spelled) => {
    expect(formatDuration(length)).toBe(short);
    expect(spellDuration(length)).toBe(spelled);
  });

  it('reads back every length that it writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 36_525 * 86_400 }), (seconds) => {
        expect(parseDuration(formatDuration(seconds * 1000))).toBe(seconds * 1000);
      }),
    );
  });
});
