// The real clock and an abortable sleep.
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../ports.ts';

/** Longest timer that Node keeps exactly. */
const longestTimerMs = 2 ** 31 - 1;

/** The clock of this machine. */
export const realClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    if (ms <= 0 || signal?.aborted) return;
    // An aborted sleep is an ordinary end of it.
    await delay(Math.min(ms, longestTimerMs), undefined, signal ? { signal } : {}).catch(() => undefined);
  },
};
