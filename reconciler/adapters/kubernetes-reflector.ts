// A local copy of one kind of object, kept by list and watch, as small projections only.
import { AdapterError } from '../model/failure.ts';
import type { Clock, Log } from '../ports.ts';
import { list, statusOf } from './kubernetes-calls.ts';
import type { KubeObject } from './kubernetes-calls.ts';
import type { Transport, WatchEvent } from './kubernetes-transport.ts';

export interface ReflectorOptions<View> {
  readonly transport: Transport;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly project: (raw: KubeObject) => View;
  /** True when the difference matters to nobody. */
  readonly same: (before: View, after: View) => boolean;
  readonly onChange: () => void;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** What a reflector holds and how fresh it is. */
export interface Reflector<View> {
  /** Waits for the first list; then the views. Throws AdapterError when the copy has not been kept up for a while. */
  values(): Promise<readonly View[]>;
  /** Waits until the copy includes a write: the object's version as answered, or its absence. Lists anew when that takes long. */
  caughtUp(write: Write): Promise<void>;
  /** Resolves when the work has ended, after the signal. */
  readonly ended: Promise<void>;
}

/** A write of ours, as the API server answered it. */
export interface Write {
  readonly uid: string;
  /** Undefined: deleted. */
  readonly resourceVersion: string | undefined;
}

/** Bookmarks come about once a minute; silence of this length means that nobody is there (or that our version lies in the future). */
const idleMs = 150_000;
/** The copy may be this long without a working watch before it is no longer served. */
const staleAfterMs = 10_000;
/** How long the first list may take. */
const firstListMs = 60_000;
/** How long to wait for a write of ours to come back on the watch before listing anew, and then for that list. */
const catchUpMs = 3_000;
const relistMs = 30_000;
const firstBackOffMs = 500;
const longestBackOffMs = 30_000;
/** So many versions are remembered, to know whether a write has come back already. */
const versionsKept = 2_000;

/** Errors of a watch after which its version is not trusted. */
const relistAfter = ['WatchSilent', 'WatchError', 'WatchFailed'];

interface Entry<View> {
  readonly view: View;
  readonly resourceVersion: string;
}

/** Starts listing and watching; ends when the signal fires. */
export function reflect<View>(options: ReflectorOptions<View>): Reflector<View> {
  const { transport, path, query, clock, log, random, signal } = options;
  let entries = new Map<string, Entry<View>>();
  const seen = new Set<string>();
  let version: string | undefined;
  let listed = false;
  /** Number of lists begun; a list that began after a write has it. */
  let listsBegun = 0;
  let listsDone = 0;
  let failure: { readonly error: AdapterError; readonly since: number } | undefined;
  let attempt = new AbortController();
  let waiters: (() => void)[] = [];

  const tell = (): void => {
    const waiting = waiters;
    waiters = [];
    for (const wake of waiting) wake();
  };

  /** The copy is kept up again. Whoever was refused it looks anew, even when nothing has changed meanwhile. */
  const recovered = (): void => {
    const wasRefused = failure !== undefined && clock.now() - failure.since > staleAfterMs;
    failure = undefined;
    if (wasRefused) options.onChange();
  };

  const remember = (resourceVersion: string): void => {
    seen.add(resourceVersion);
    if (seen.size > versionsKept) for (const oldest of seen) if (seen.size > versionsKept / 2) seen.delete(oldest);
  };

  const entryOf = (raw: KubeObject): [string, Entry<View>] => [
    raw.metadata.uid ?? raw.metadata.name,
    { view: options.project(raw), resourceVersion: raw.metadata.resourceVersion ?? '' },
  ];

  const relist = async (): Promise<void> => {
    let fresh = new Map<string, Entry<View>>();
    const number = ++listsBegun;
    const result = await list(
      transport,
      path,
      query,
      (raw) => fresh.set(...entryOf(raw)),
      () => (fresh = new Map()),
    );
    const changed =
      !listed ||
      fresh.size !== entries.size ||
      [...fresh].some(([uid, { view }]) => {
        const before = entries.get(uid);
        return before === undefined || !options.same(before.view, view);
      });
    entries = fresh;
    version = result.resourceVersion;
    listed = true;
    listsDone = number;
    recovered();
    tell();
    if (changed) options.onChange();
  };

  const take = (event: WatchEvent): void => {
    if (event.type === 'ERROR') {
      const expired = (event.object as { code?: number } | null)?.code === 410;
      version = undefined;
      if (expired) return attempt.abort();
      throw new AdapterError(
        'transient',
        'WatchError',
        statusOf(event.object)?.message ?? 'the watch reported an error',
      );
    }
    const raw = event.object as KubeObject;
    version = raw.metadata.resourceVersion ?? version;
    if (event.type === 'BOOKMARK') return;
    const [uid, entry] = entryOf(raw);
    const before = entries.get(uid);
    if (event.type === 'DELETED') entries.delete(uid);
    else entries.set(uid, entry);
    remember(entry.resourceVersion);
    tell();
    if (event.type === 'DELETED' || before === undefined || !options.same(before.view, entry.view)) options.onChange();
  };

  const follow = async (from: string): Promise<void> => {
    attempt = new AbortController();
    const stop = (): void => attempt.abort();
    signal.addEventListener('abort', stop, { once: true });
    // Spread, so that the watches of many clusters do not all end in the same second.
    const timeoutSeconds = String(300 + Math.floor(random() * 300));
    const parameters = new URLSearchParams({
      ...query,
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: from,
      timeoutSeconds,
    });
    try {
      const watch = { signal: attempt.signal, idleMs, onOpen: recovered };
      await transport.watch(`${path}?${parameters.toString()}`, take, watch);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    while (!signal.aborted) {
      const began = clock.now();
      try {
        if (version === undefined) await relist();
        if (version !== undefined && !signal.aborted) await follow(version);
        failures = 0;
        // A server that ends every watch at once must not be asked a thousand times a second.
        if (version !== undefined && clock.now() - began < 1_000) await clock.sleep(spread(firstBackOffMs), signal);
      } catch (error) {
        if (signal.aborted) return;
        const found = asAdapterError(error);
        failure = { error: found, since: failure?.since ?? clock.now() };
        failures = clock.now() - began > longestBackOffMs ? 1 : failures + 1;
        // Anything but a cut connection may mean that our version is not one that the server can go on from.
        if (found.kind !== 'transient' || relistAfter.includes(found.code)) version = undefined;
        log.debug({ path, code: found.code }, `watch interrupted: ${found.message}`);
        const backOff = Math.min(firstBackOffMs * 2 ** (failures - 1), longestBackOffMs);
        await clock.sleep(Math.max(spread(backOff), found.retryAfterMs ?? 0), signal);
      }
    }
  };

  const spread = (ms: number): number => ms * (0.5 + random());

  /** Waits for the next piece of news, at most `ms`. */
  const news = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const stop = new AbortController();
      const wake = (): void => {
        stop.abort();
        resolve();
      };
      waiters.push(wake);
      void clock.sleep(ms, stop.signal).then(resolve, resolve);
    });

  const ended = run().catch((error: unknown) =>
    log.error({ path, error: String(error) }, 'the watch has ended by itself'),
  );

  return {
    ended,
    values: async () => {
      const until = clock.now() + firstListMs;
      while (!listed && !signal.aborted) {
        if (failure !== undefined) throw failure.error;
        const left = until - clock.now();
        if (left <= 0)
          throw new AdapterError('transient', 'NotListed', `no list of ${path} after ${firstListMs / 1000} s`);
        await news(Math.min(left, 250));
      }
      if (failure !== undefined && clock.now() - failure.since > staleAfterMs) throw failure.error;
      return [...entries.values()].map(({ view }) => view);
    },
    caughtUp: async ({ uid, resourceVersion }) => {
      const listsBefore = listsBegun;
      const there = (): boolean => {
        if (listsDone > listsBefore) return true;
        if (resourceVersion === undefined) return !entries.has(uid);
        return seen.has(resourceVersion) || entries.get(uid)?.resourceVersion === resourceVersion;
      };
      const wait = async (ms: number): Promise<void> => {
        const until = clock.now() + ms;
        while (!there() && clock.now() < until && !signal.aborted) await news(until - clock.now());
      };
      await wait(catchUpMs);
      if (there() || signal.aborted) return;
      version = undefined;
      attempt.abort();
      await wait(relistMs);
      if (!there() && !signal.aborted)
        throw (
          failure?.error ?? new AdapterError('transient', 'NotCaughtUp', `${path}: our own write has not come back yet`)
        );
    },
  };
}

function asAdapterError(error: unknown): AdapterError {
  return error instanceof AdapterError
    ? error
    : new AdapterError('transient', 'WatchFailed', `the watch failed: ${String(error)}`, { cause: error });
}
