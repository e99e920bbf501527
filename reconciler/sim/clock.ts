// Two clocks for the simulation: one that a test advances by hand, one that follows the machine.

/** The only source of time in the simulation. */
export interface SimClock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs once after the delay; the answer cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

/** A clock that stands still until told to move; things due at the same moment run in the order in which they were asked for. */
export interface VirtualClock extends SimClock {
  /** Moves forward and runs everything that falls due on the way. */
  advance(ms: number): void;
  /** Moves from one due thing to the next until the condition holds; false when the limit was reached first. */
  runUntil(condition: () => boolean, limitMs: number): boolean;
  /** When the next thing is due, or undefined when nothing is. */
  nextAt(): number | undefined;
}

interface Due {
  at: number;
  order: number;
  run: (() => void) | undefined;
}

const before = (a: Due, b: Due): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

function push(heap: Due[], due: Due): void {
  let index = heap.push(due) - 1;
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !before(due, above)) break;
    heap[index] = above;
    index = parent;
  }
  heap[index] = due;
}

function pop(heap: Due[]): Due | undefined {
  const top = heap[0];
  const last = heap.pop();
  if (top === undefined || last === undefined || heap.length === 0) return top;
  let index = 0;
  for (;;) {
    let child = index * 2 + 1;
    const left = heap[child];
    if (left === undefined) break;
    const right = heap[child + 1];
    if (right !== undefined && before(right, left)) child++;
    const smaller = heap[child];
    if (smaller === undefined || !before(smaller, last)) break;
    heap[index] = smaller;
    index = child;
  }
  heap[index] = last;
  return top;
}

/** A virtual clock that starts at the given moment (milliseconds since 1970). */
export function virtualClock(startMs: number = Date.UTC(2026, 0, 1)): VirtualClock {
  const heap: Due[] = [];
  let now = startMs;
  let order = 0;
  const peek = (): Due | undefined => {
    for (;;) {
      const top = heap[0];
      if (top === undefined || top.run !== undefined) return top;
      pop(heap);
    }
  };
  const step = (): void => {
    const due = pop(heap);
    if (due?.run === undefined) return;
    now = Math.max(now, due.at);
    due.run();
  };
  return {
    now: () => now,
    after(delayMs, run) {
      const due: Due = { at: now + Math.max(0, delayMs), order: order++, run };
      push(heap, due);
      return () => {
        due.run = undefined;
      };
    },
    advance(ms) {
      const end = now + ms;
      for (let top = peek(); top !== undefined && top.at <= end; top = peek()) step();
      now = end;
    },
    runUntil(condition, limitMs) {
      const end = now + limitMs;
      while (!condition()) {
        const top = peek();
        if (top === undefined || top.at > end) {
          now = end;
          return condition();
        }
        step();
      }
      return true;
    },
    nextAt: () => peek()?.at,
  };
}

/** The longest delay that a timer of the platform takes. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock, or one that is ahead of it. Its timers do not keep the process alive. */
export function realClock(aheadMs = 0): SimClock {
  return {
    now: () => Date.now() + aheadMs,
    after(delayMs, run) {
      const timer = setTimeout(run, Math.min(delayMs, LONGEST_TIMER_MS));
      timer.unref();
      return () => {
        clearTimeout(timer);
      };
    },
  };
}
