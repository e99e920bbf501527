// Hints that something may be new: they wake whoever waits, and say nothing more than that.

/** Anybody may drop a hint; each listener hears of it once. */
export interface Hints {
  /** Something may be new. Many of them before anybody has listened are one. */
  drop(): void;
  /** A listener of its own: resolves at the next hint, at once when there was one since the last time, or when the signal fires. */
  listen(): (signal: AbortSignal) => Promise<void>;
}

export function openHints(): Hints {
  const listeners = new Set<{ heard: boolean; wake: (() => void) | undefined }>();
  return {
    drop() {
      for (const one of listeners) {
        one.heard = true;
        one.wake?.();
      }
    },
    listen() {
      const own: { heard: boolean; wake: (() => void) | undefined } = { heard: false, wake: undefined };
      listeners.add(own);
      return (signal) =>
        new Promise((resolve) => {
          const done = (): void => {
            own.heard = false;
            own.wake = undefined;
            signal.removeEventListener('abort', stop);
            resolve();
          };
          // Whoever stops waiting has not heard: the next wait ends at once.
          const stop = (): void => {
            own.wake = undefined;
            resolve();
          };
          if (signal.aborted) return void resolve();
          if (own.heard) return void done();
          own.wake = done;
          signal.addEventListener('abort', stop, { once: true });
        });
    },
  };
}
