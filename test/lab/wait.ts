// Waiting with a limit and a sentence: every wait of the lab goes through here.
import { setTimeout as sleep } from 'node:timers/promises';

/** Limits are written for a machine that does nothing else. One that is shared may take so many times as long; it costs only whoever waits in vain. */
export const patience = 3;

/**
 * Calls `look` until it returns something other than undefined or false, and returns that. Throws after `limitMs`, times the patience, with
 * `what` and, when the last look threw, its error as the cause.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  limitMs = 90_000,
  everyMs = 50,
): Promise<T> {
  const endMs = limitMs * patience;
  const end = performance.now() + endMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found !== undefined && found !== false) return found;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (performance.now() > end)
      throw new Error(`waited ${Math.round(endMs / 1000)} s in vain: ${what}`, { cause: last });
    await sleep(everyMs);
  }
}
