// List and watch under everything that an API server is known to do, in time that the test moves by hand.
import { afterEach, describe, expect, it } from 'vitest';
import { reflect } from '../../reconciler/adapters/kubernetes-reflector.ts';
import type { Reflector } from '../../reconciler/adapters/kubernetes-reflector.ts';
import type { KubeResponse, Transport, WatchEvent } from '../../reconciler/adapters/kubernetes-transport.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { Clock } from '../../reconciler/ports.ts';
import { silent } from './kubernetes-suite.ts';

/** Lets everything that is ready run. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

/** A clock that stands still until it is moved. */
function handClock(): Clock & { advance(ms: number): Promise<void> } {
  let now = 1_000_000;
  let sleepers: { at: number; wake: () => void }[] = [];
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        sleepers.push({ at: now + ms, wake: resolve });
        signal?.addEventListener('abort', () => resolve(), { once: true });
      }),
    advance: async (ms) => {
      const until = now + ms;
      await settle();
      for (;;) {
        const next = sleepers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        sleepers = sleepers.filter((sleeper) => sleeper !== next);
        now = Math.max(now, next.at);
        next.wake();
        await settle();
      }
      now = until;
    },
  };
}

interface Watching {
  readonly from: string | null;
  readonly idleMs: number;
  emit(type: string, object: unknown): void;
  open(): void;
  end(): void;
  fail(error: AdapterError): void;
  over: boolean;
}

interface Item {
  readonly name: string;
  readonly beat: string;
}

const object = (name: string, version: number, beat = ''): object => ({
  metadata: { name, uid: `uid-${name}`, resourceVersion: String(version) },
  beat,
});
const page = (version: number, items: object[], next?: string): KubeResponse => ({
  status: 200,
  headers: {},
  body: {
    kind: 'List',
    metadata: { resourceVersion: String(version), ...(next === undefined ? {} : { continue: next }) },
    items,
  },
});
const gone = (next?: string): KubeResponse => ({
  status: 410,
  headers: {},
  body: { kind: 'Status', reason: 'Expired', code: 410, metadata: next === undefined ? {} : { continue: next } },
});
const expired = { kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' };

const clean: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of clean.splice(0)) await step();
});

function world(...answers: (KubeResponse | AdapterError)[]) {
  const clock = handClock();
  const lists: (string | null)[] = [];
  const watches: Watching[] = [];
  const stop = new AbortController();
  let changes = 0;
  const transport: Transport = {
    request: async ({ path }) => {
      lists.push(new URL(path, 'http://api').searchParams.get('continue'));
      const next = answers.length > 1 ? answers.shift() : answers[0];
      if (next === undefined || next instanceof AdapterError) throw next ?? new Error('nothing to answer');
      return next;
    },
    watch: (path, onEvent, { signal, idleMs, onOpen }) =>
      new Promise((resolve, reject) => {
        const parameters = new URL(path, 'http://api').searchParams;
        expect(parameters.get('allowWatchBookmarks')).toBe('true');
        expect(Number(parameters.get('timeoutSeconds'))).toBeGreaterThanOrEqual(300);
        const watching: Watching = {
          from: parameters.get('resourceVersion'),
          idleMs,
          over: false,
          open: () => onOpen?.(),
          emit: (type, found) => {
            if (watching.over) throw new Error('this watch is over');
            try {
              onEvent({ type, object: found } satisfies WatchEvent);
            } catch (error) {
              watching.over = true;
              reject(error instanceof Error ? error : new Error(String(error)));
            }
          },
          end: () => {
            watching.over = true;
            resolve();
          },
          fail: (error) => {
            watching.over = true;
            reject(error);
          },
        };
        signal.addEventListener('abort', () => watching.end(), { once: true });
        watches.push(watching);
      }),
    close: () => Promise.resolve(),
  };
  const reflector: Reflector<Item> = reflect({
    transport,
    path: '/api/v1/things',
    query: { labelSelector: 'a=b' },
    project: (raw) => ({ name: raw.metadata.name, beat: String(raw['beat']) }),
    same: (before, after) => before.name === after.name,
    onChange: () => (changes += 1),
    clock,
    log: silent,
    random: () => 0.5,
    signal: stop.signal,
  });
  clean.push(async () => {
    stop.abort();
    await settle();
    await reflector.ended;
  });
  return {
    clock,
    lists,
    watches,
    reflector,
    changes: () => changes,
    names: async () => (await reflector.values()).map(({ name }) => name).sort(),
    last: (): Watching => {
      const found = watches.at(-1);
      if (found === undefined) throw new Error('no watch yet');
      return found;
    },
  };
}

describe('a reflector', () => {
  it('lists page by page, then watches from the version of the list', async () => {
    const { lists, names, last } = world(page(10, [object('a', 1)], 'next'), page(10, [object('b', 2)]));
    await settle();
    expect(await names()).toEqual(['a', 'b']);
    expect(lists).toEqual([null, 'next']);
    expect(last().from).toBe('10');
    last().emit('ADDED', object('c', 11));
    last().emit('DELETED', object('a', 12));
    expect(await names()).toEqual(['b', 'c']);
  });

  it('begins a list anew when its continue token has expired, without doubles', async () => {
    const { names, lists } = world(
      page(10, [object('old', 1)], 'next'),
      gone('inconsistent'),
      page(20, [object('b', 2)]),
    );
    await settle();
    expect(await names()).toEqual(['b']);
    expect(lists).toEqual([null, 'next', null]);
  });

  it('tells of changes, and not of heartbeats', async () => {
    const { changes, last, reflector } = world(page(10, [object('a', 1, 'one')]));
    await settle();
    const before = changes();
    last().emit('MODIFIED', object('a', 11, 'two'));
    last().emit('BOOKMARK', { metadata: { resourceVersion: '12' } });
    expect(changes()).toBe(before);
    expect((await reflector.values())[0]?.beat).toBe('two');
    last().emit('ADDED', object('b', 13));
    expect(changes()).toBe(before + 1);
  });

  it('goes on from the last bookmark when the server ends the watch', async () => {
    const { clock, watches, last, lists } = world(page(10, []));
    await settle();
    last().emit('BOOKMARK', { metadata: { resourceVersion: '99' } });
    await clock.advance(300_000);
    last().end();
    await clock.advance(1_000);
    expect(watches).toHaveLength(2);
    expect(last().from).toBe('99');
    expect(lists).toHaveLength(1);
  });

  it('lists anew when its version has expired, and sees what is gone', async () => {
    const { clock, last, names, lists, changes } = world(
      page(10, [object('a', 1), object('b', 2)]),
      page(50, [object('b', 2)]),
    );
    await settle();
    const before = changes();
    last().emit('ERROR', expired);
    await clock.advance(2_000);
    expect(lists).toHaveLength(2);
    expect(last().from).toBe('50');
    expect(await names()).toEqual(['b']);
    expect(changes()).toBe(before + 1);
  });

  it('lists anew when a watch was silent, for its version may lie in the future', async () => {
    const { clock, last, lists } = world(page(1_000, []), page(5, []));
    await settle();
    expect(last().idleMs).toBeGreaterThan(120_000);
    last().fail(new AdapterError('transient', 'WatchSilent', 'silent'));
    await clock.advance(2_000);
    expect(lists).toHaveLength(2);
    expect(last().from).toBe('5');
  });

  it('goes on from where it was after a cut, with longer and longer rests', async () => {
    const { clock, watches, last, lists } = world(page(10, []));
    await settle();
    const starts: number[] = [];
    for (let cut = 0; cut < 9; cut++) {
      last().fail(new AdapterError('transient', 'ECONNRESET', 'cut'));
      const had = watches.length;
      const began = clock.now();
      while (watches.length === had) await clock.advance(100);
      starts.push(clock.now() - began);
    }
    expect(lists).toHaveLength(1);
    expect(starts.slice(0, 4)).toEqual([500, 1_000, 2_000, 4_000]);
    expect(Math.max(...starts)).toBe(30_000);
  });

  it('waits as long as it is asked to', async () => {
    const { clock, watches, last } = world(page(10, []));
    await settle();
    last().fail(new AdapterError('transient', 'Throttled', 'later', { retryAfterMs: 7_000 }));
    await clock.advance(6_900);
    expect(watches).toHaveLength(1);
    await clock.advance(200);
    expect(watches).toHaveLength(2);
  });

  it('does not ask a server without end that ends every watch at once', async () => {
    const { clock, watches, last } = world(page(10, []));
    await settle();
    for (let turn = 0; turn < 100; turn++) {
      if (!last().over) last().end();
      await clock.advance(100);
    }
    expect(watches.length).toBeLessThan(25);
  });

  it('says why there is no first list, and is well again by itself', async () => {
    const { clock, reflector, names } = world(
      new AdapterError('denied', 'Forbidden', 'no right to list'),
      page(10, [object('a', 1)]),
    );
    await settle();
    await expect(reflector.values()).rejects.toMatchObject({ kind: 'denied', message: 'no right to list' });
    await clock.advance(2_000);
    expect(await names()).toEqual(['a']);
  });

  it('serves no copy that has not been kept up, and wakes whoever was refused it once it is', async () => {
    const { clock, reflector, last, watches, changes } = world(page(10, [object('a', 1)]));
    await settle();
    last().fail(new AdapterError('transient', 'ECONNREFUSED', 'down'));
    expect(await reflector.values()).toHaveLength(1);
    for (let turn = 0; turn < 200; turn++) {
      await clock.advance(100);
      if (!last().over) last().fail(new AdapterError('transient', 'ECONNREFUSED', 'down'));
    }
    await expect(reflector.values()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const had = watches.length;
    while (watches.length === had) await clock.advance(1_000);
    await expect(reflector.values()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const before = changes();
    last().open();
    expect(await reflector.values()).toHaveLength(1);
    expect(changes()).toBe(before + 1);
    // A short cut wakes nobody.
    last().fail(new AdapterError('transient', 'ECONNREFUSED', 'down'));
    await clock.advance(2_000);
    last().open();
    expect(changes()).toBe(before + 1);
  });

  it('waits for a write of ours, and lists when the watch does not bring it', async () => {
    const { clock, last, lists, reflector } = world(page(10, [object('a', 1)]), page(40, [object('a', 40)]));
    await settle();
    let there = false;
    const waiting = reflector.caughtUp({ uid: 'uid-a', resourceVersion: '11' }).then(() => (there = true));
    await settle();
    expect(there).toBe(false);
    last().emit('MODIFIED', object('a', 11));
    last().emit('MODIFIED', object('a', 12));
    await settle();
    expect(there).toBe(true);
    await waiting;
    await reflector.caughtUp({ uid: 'uid-a', resourceVersion: '11' });
    const lost = reflector.caughtUp({ uid: 'uid-a', resourceVersion: '40' });
    await clock.advance(10_000);
    await lost;
    expect(lists).toHaveLength(2);
    const deleted = reflector.caughtUp({ uid: 'uid-a', resourceVersion: undefined });
    await settle();
    last().emit('DELETED', object('a', 41));
    await deleted;
  });
});
