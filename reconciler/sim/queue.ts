// A controller's list of things to look at again: each key once, after a delay.
import type { SimClock } from './clock.ts';

/** Keys that wait for their turn. */
export interface Queue {
  /** Looks at the key after the delay (default: the controller's own), or sooner when that was asked for already. */
  add(key: string, delayMs?: number): void;
}

/** A queue that calls `sync` for each key that falls due. */
export function createQueue(clock: SimClock, usualMs: number, sync: (key: string) => void): Queue {
  const waiting = new Map<string, { at: number; cancel: () => void }>();
  return {
    add(key, delayMs = usualMs) {
      const at = clock.now() + delayMs;
      const old = waiting.get(key);
      if (old !== undefined && old.at <= at) return;
      old?.cancel();
      const cancel = clock.after(delayMs, () => {
        waiting.delete(key);
        sync(key);
      });
      waiting.set(key, { at, cancel });
    },
  };
}

/** The two halves of "namespace/name". */
export function splitKey(key: string): [namespace: string, name: string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}
