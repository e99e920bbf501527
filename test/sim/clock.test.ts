import { describe, expect, it } from 'vitest';
import { virtualClock } from '../../reconciler/sim/clock.ts';

describe('the virtual clock', () => {
  it('runs what falls due by time, and by order of asking within one moment', () => {
    const clock = virtualClock(0);
    const seen: string[] = [];
    clock.after(20, () => seen.push('late'));
    clock.after(10, () => {
      seen.push('first');
      clock.after(0, () => seen.push('between'));
    });
    clock.after(10, () => seen.push('second'));
    clock.after(15, () => seen.push('never'))();
    clock.advance(20);
    expect(seen).toEqual(['first', 'second', 'between', 'late']);
    expect(clock.now()).toBe(20);
    expect(clock.nextAt()).toBeUndefined();
  });

  it('stops at the condition or at the limit', () => {
    const clock = virtualClock(0);
    let count = 0;
    const again = (): void => {
      count++;
      clock.after(10, again);
    };
    clock.after(10, again);
    expect(clock.runUntil(() => count === 3, 1000)).toBe(true);
    expect(clock.now()).toBe(30);
    expect(clock.runUntil(() => count === 1000, 100)).toBe(false);
    expect(clock.now()).toBe(130);
  });
});
