// How long the service rests after passes that fail, and when it looks at the config repository.
import { expect, it } from 'vitest';
import { openHints } from '../reconciler/adapters/hints.ts';
import { runService } from '../reconciler/loop.ts';
import { AdapterError, type AdapterErrorKind } from '../reconciler/model/failure.ts';
import { ClusterLoop } from '../reconciler/pass.ts';
import type { Cluster, Log } from '../reconciler/ports.ts';
import { ConfigSource } from '../reconciler/source.ts';
import { aFleet, someSettings } from './support/policies.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Rests between `count` passes that all fail so, in milliseconds of virtual time. */
async function restsAfter(kind: AdapterErrorKind, count: number, random = () => 0.5): Promise<number[]> {
  let now = 0;
  const passes: number[] = [];
  const stop = new AbortController();
  const fail = async (): Promise<never> => {
    passes.push(now);
    if (passes.length > count) stop.abort();
    throw new AdapterError(kind, 'test', 'the test says no');
  };
  const unused = async (): Promise<never> => Promise.reject(new Error('not reached'));
  const never = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
  const cluster: Cluster = {
    identity: fail,
    observe: unused,
    act: unused,
    changed: (_, signal) => never(signal),
    close: async () => undefined,
  };
  const ledger = { load: async () => undefined, save: unused };
  const lease = { held: () => true, holder: () => undefined, release: async () => undefined };
  const loop = new ClusterLoop({ name: 'prod', cluster, ledger, lease }, someSettings(), silent);
  const git = { sync: async () => ({ kind: 'empty', message: 'nothing yet' }) as const };
  const desired = { commit: '', committedAt: 0, fleet: aFleet, clusters: new Map(), problems: [] };
  await runService(
    {
      source: new ConfigSource(git, () => desired, silent),
      clusters: [{ loop, cluster }],
      clock: {
        now: () => now,
        sleep: async (ms, signal) => {
          // The poll of the config repository is not what is looked at.
          if (ms > 1e9 && signal) return never(signal);
          now += ms;
        },
      },
      log: silent,
      pace: { pollMs: 1e12, restMs: 250, retryMs: 2_000 },
      random,
      health: () => undefined,
      report: () => undefined,
    },
    stop.signal,
  );
  return passes.slice(1).map((at, index) => at - (passes[index] ?? 0));
}

it('half a minute at the most where the fault may pass: nodes may be cordoned meanwhile', async () => {
  const rests = await restsAfter('transient', 12);
  // The first two are cut short: the config repository is read meanwhile.
  expect(rests.slice(2, 4)).toEqual([8_000, 16_000]);
  expect(Math.max(...rests)).toBe(30_000);
});

it('half a minute where we are refused: an API server that has just started forbids everything for a while', async () => {
  expect(Math.max(...(await restsAfter('denied', 12)))).toBe(30_000);
});

it('up to five minutes where a person must change something', async () => {
  expect(Math.max(...(await restsAfter('rejected', 12)))).toBe(300_000);
});

it('and never in step with anything', async () => {
  let turn = 0;
  const rests = await restsAfter('transient', 12, () => (turn = (turn + 0.37) % 1));
  const longest = rests.slice(6);
  expect(new Set(longest).size).toBe(longest.length);
  for (const rest of longest) expect(rest).toBeGreaterThan(23_000);
  for (const rest of longest) expect(rest).toBeLessThan(37_000);
});

/** Instants of the looks at the config repository in a minute of virtual time, when hints come at these instants. */
async function looksWithHints(hintsAt: readonly number[]): Promise<number[]> {
  let now = 0;
  const looks: number[] = [];
  const sleepers = new Set<{ at: number; wake: () => void }>();
  const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return void resolve();
      const own = { at: now + ms, wake: resolve };
      sleepers.add(own);
      signal?.addEventListener('abort', () => {
        sleepers.delete(own);
        resolve();
      });
    });
  const unused = async (): Promise<never> => Promise.reject(new AdapterError('denied', 'test', 'the test says no'));
  const cluster: Cluster = {
    identity: unused,
    observe: unused,
    act: unused,
    changed: (ms, signal) => sleep(ms, signal),
    close: async () => undefined,
  };
  const ledger = { load: async () => undefined, save: unused };
  const lease = { held: () => true, holder: () => undefined, release: async () => undefined };
  const loop = new ClusterLoop({ name: 'prod', cluster, ledger, lease }, someSettings(), silent);
  const hints = openHints();
  const stop = new AbortController();
  const git = {
    sync: async () => {
      looks.push(now);
      return { kind: 'empty', message: 'nothing yet' } as const;
    },
  };
  const desired = { commit: '', committedAt: 0, fleet: aFleet, clusters: new Map(), problems: [] };
  const service = runService(
    {
      source: new ConfigSource(git, () => desired, silent),
      clusters: [{ loop, cluster }],
      clock: { now: () => now, sleep },
      log: silent,
      pace: { pollMs: 30_000, restMs: 250, retryMs: 2_000 },
      hinted: hints.listen(),
      random: () => 0.5,
      health: () => undefined,
      report: () => undefined,
    },
    stop.signal,
  );
  for (; now <= 60_000; now += 100) {
    if (hintsAt.includes(now)) hints.drop();
    for (const one of [...sleepers]) {
      if (one.at > now) continue;
      sleepers.delete(one);
      one.wake();
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  stop.abort();
  await service;
  return looks;
}

it('looks at the config repository at every poll, and at once after a hint', async () => {
  expect(await looksWithHints([])).toEqual([0, 30_000, 60_000]);
  expect(await looksWithHints([7_000])).toEqual([0, 7_000, 37_000]);
});

it('looks once a second in a flood of hints, and misses none that came while it looked', async () => {
  const flood = Array.from({ length: 50 }, (_, index) => index * 100);
  expect(await looksWithHints(flood)).toEqual([0, 1_000, 2_000, 3_000, 4_000, 5_000, 35_000]);
});
