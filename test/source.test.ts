// Which commit each cluster of a hub may go by: the tip must descend from the commit that this very cluster accepted last.
import { describe, expect, it } from 'vitest';
import { openMetrics } from '../reconciler/adapters/metrics.ts';
import { runService } from '../reconciler/loop.ts';
import type { Desired, Rewrite } from '../reconciler/model/desired.ts';
import { AdapterError } from '../reconciler/model/failure.ts';
import type { LedgerDocument } from '../reconciler/model/ledger.ts';
import { ClusterLoop } from '../reconciler/pass.ts';
import { emptyLedger } from '../reconciler/plan/plan.ts';
import type { Cluster, ConfigSnapshot, Git, Ledger, Log } from '../reconciler/ports.ts';
import { ConfigSource } from '../reconciler/source.ts';
import { aFleet, someSettings } from './support/policies.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** A repository whose commits know their parent; `tip` is what the branch points at. */
function aRepository(parents: Readonly<Record<string, string | undefined>>, tip: string) {
  let handed = '';
  const asked: (string | undefined)[] = [];
  const repository = {
    tip,
    asked,
    broken: false,
    sync: async ({ after }: Parameters<Git['sync']>[0]): ReturnType<Git['sync']> => {
      asked.push(after);
      if (repository.broken) throw new AdapterError('transient', 'GitDown', 'the remote does not answer');
      for (let one: string | undefined = repository.tip; after !== undefined && one !== after; one = parents[one])
        if (one === undefined)
          return { kind: 'rewritten', tip: repository.tip, after, message: `${after} is not in the history` };
      const snapshot: ConfigSnapshot = { commit: repository.tip, committedAt: 1, files: new Map(), changed: undefined };
      const kind = handed === repository.tip ? 'unchanged' : 'changed';
      handed = repository.tip;
      return { kind, snapshot };
    },
  };
  return repository;
}

const desire = ({ commit }: ConfigSnapshot): Desired => ({
  commit,
  committedAt: 1,
  fleet: aFleet,
  clusters: new Map(),
  problems: [],
});

const at = (source: ConfigSource, cluster: string): string => {
  const { commit, desired, hold } = source.current(cluster);
  return [commit ?? 'nothing', desired?.commit === commit ? '' : 'other wishes', hold?.reason ?? 'goes on']
    .filter((word) => word !== '')
    .join(', ');
};

const accepted = (commits: Readonly<Record<string, string | undefined>>) => new Map(Object.entries(commits));

it('holds the cluster whose accepted commit is lost, with what it knew, and no other', async () => {
  const repository = aRepository({ second: 'first', third: 'second', again: 'first' }, 'third');
  const source = new ConfigSource(repository, desire, silent);
  await source.pull(accepted({ east: 'second', north: undefined, west: 'second' }));
  expect(['east', 'north', 'west'].map((name) => at(source, name))).toEqual(Array(3).fill('third, goes on'));
  // The branch is rewound and goes on elsewhere. East saw the commit that is gone; west was out of reach all the time.
  repository.tip = 'again';
  await source.pull(accepted({ east: 'third', west: 'first' }));
  expect(at(source, 'east')).toBe('third, HistoryRewritten');
  expect(source.current('east').hold?.message).toContain('third is not in the history');
  expect(at(source, 'west')).toBe('again, goes on');
  expect(at(source, 'north')).toBe('third, goes on');
  // A person accepts the new history for east.
  await source.pull(accepted({ east: 'again', west: 'again' }));
  expect(at(source, 'east')).toBe('again, goes on');
});

it('asks the remote once while all clusters have accepted the same commit', async () => {
  const repository = aRepository({ second: 'first' }, 'second');
  const source = new ConfigSource(repository, desire, silent);
  await source.pull(accepted({ east: 'first', north: 'first', west: 'first' }));
  expect(repository.asked).toEqual(['first']);
  await source.pull(accepted({ east: 'second', north: 'first', west: 'second' }));
  expect(repository.asked.slice(1)).toEqual(['second', 'first']);
});

it('wakes only those for whom something is new', async () => {
  const repository = aRepository({ second: 'first', third: 'second' }, 'second');
  const source = new ConfigSource(repository, desire, silent);
  await source.pull(accepted({ east: 'second', west: 'lost' }));
  const woken: string[] = [];
  const stop = new AbortController();
  const waits = ['east', 'west'].map((name) =>
    source.changed(name, stop.signal).then(() => (stop.signal.aborted ? undefined : woken.push(name))),
  );
  repository.tip = 'third';
  await source.pull(accepted({ east: 'second', west: 'lost' }));
  await new Promise((resolve) => setImmediate(resolve));
  expect(woken).toEqual(['east']);
  stop.abort();
  await Promise.all(waits);
});

it('keeps what was read for all while the remote is down', async () => {
  const repository = aRepository({ second: 'first' }, 'second');
  const source = new ConfigSource(repository, desire, silent);
  await source.pull(accepted({ east: 'first', west: 'lost' }));
  repository.broken = true;
  await source.pull(accepted({ east: 'second', west: 'lost' }));
  expect(at(source, 'east')).toBe('second, GitUnavailable');
  expect(at(source, 'west')).toBe('nothing, GitUnavailable');
  repository.broken = false;
  await source.pull(accepted({ east: 'second', west: 'lost' }));
  expect(at(source, 'east')).toBe('second, goes on');
  expect(at(source, 'west')).toBe('nothing, HistoryRewritten');
});

/** Runs the service of a hub for one poll; the ledgers answer as given. What health was told about the config repository. */
async function pollOnce(
  source: ConfigSource,
  ledgers: Readonly<Record<string, (over: AbortSignal) => ReturnType<Ledger['load']>>>,
  health: (name: string, error: unknown) => void = () => undefined,
): Promise<unknown[]> {
  const stop = new AbortController();
  const told: unknown[] = [];
  const never = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));
  const cluster: Cluster = {
    // The passes themselves are not what is looked at.
    identity: async () => Promise.reject(new AdapterError('transient', 'Test', 'not reached')),
    observe: async () => Promise.reject(new Error('not reached')),
    act: async () => Promise.reject(new Error('not reached')),
    changed: (_, signal) => never(signal),
    close: async () => undefined,
  };
  const lease = { held: () => true, holder: () => undefined, release: async () => undefined };
  const save = async (): Promise<void> => Promise.reject(new Error('not reached'));
  const clusters = Object.entries(ledgers).map(([name, load]) => ({
    loop: new ClusterLoop(
      { name, cluster, ledger: { load: () => load(stop.signal), save }, lease },
      someSettings(),
      silent,
    ),
    cluster,
  }));
  let now = 0;
  await runService(
    {
      source,
      clusters,
      clock: {
        now: () => now,
        sleep: (ms, signal) => {
          // The sleep after the poll is the end; those of the passes last until then; the one for the ledgers is over in a moment.
          if (ms > 1e9) stop.abort();
          else if (ms !== 5_000 && signal) return never(signal);
          now += ms;
          return new Promise((resolve) => setImmediate(resolve));
        },
      },
      log: silent,
      pace: { pollMs: 1e12, restMs: 250, retryMs: 2_000 },
      random: () => 0.5,
      health: (name, error) => {
        health(name, error);
        if (name === 'config') told.push(error);
      },
      report: () => undefined,
    },
    stop.signal,
  );
  return told;
}

const ledgerAt = (commit: string): LedgerDocument => ({
  ...emptyLedger({ observed: { clusterUid: 'uid' }, now: 0 }),
  accepted: { commit, committedAt: 0 },
});

it('reads the config repository for the others when the ledger of one cluster fails or does not answer', async () => {
  const repository = aRepository({ second: 'first' }, 'second');
  const source = new ConfigSource(repository, desire, silent);
  const told = await pollOnce(source, {
    dead: async () => Promise.reject(new AdapterError('transient', 'Test', 'connection refused')),
    east: async () => ledgerAt('first'),
    silent: (over) =>
      new Promise((_, reject) =>
        over.addEventListener('abort', () => reject(new AdapterError('transient', 'Timeout', 'no answer within 40 s'))),
      ),
    west: async () => ledgerAt('lost'),
  });
  expect(told).toEqual([undefined]);
  expect(at(source, 'east')).toBe('second, goes on');
  expect(at(source, 'west')).toBe('nothing, HistoryRewritten');
  for (const name of ['dead', 'silent']) expect(at(source, name)).toBe('nothing, GitUnavailable');
  // What was rewritten is looked at once more: it may say of itself that it is meant.
  expect(repository.asked.toSorted()).toEqual(['first', 'lost', undefined]);
});

it('reads nothing while no ledger can be read: a rewritten history would pass for a new one', async () => {
  const repository = aRepository({ second: 'first' }, 'second');
  const source = new ConfigSource(repository, desire, silent);
  const [error] = await pollOnce(source, {
    dead: async () => Promise.reject(new AdapterError('transient', 'Test', 'connection refused')),
  });
  expect(error).toBeInstanceOf(AdapterError);
  expect(repository.asked).toEqual([]);
});

it('counts a failed look at the config repository once, however many clusters it was for', async () => {
  const repository = aRepository({ second: 'first' }, 'second');
  const source = new ConfigSource(repository, desire, silent);
  const metrics = openMetrics();
  const count = (name: string, error: unknown): void => metrics.observeFailure(name, error);
  const failures = async (): Promise<string[]> =>
    (await metrics.text()).split('\n').filter((line) => line.startsWith('oakum_config_failures_total'));
  const ledgers = {
    east: async () => ledgerAt('first'),
    north: async () => ledgerAt('first'),
    west: async () => ledgerAt('second'),
  };
  await pollOnce(source, ledgers, count);
  expect(await failures()).toEqual([]);
  repository.broken = true;
  await pollOnce(source, ledgers, count);
  expect(await failures()).toEqual(['oakum_config_failures_total{kind="transient"} 1']);
  expect(['east', 'west'].map((name) => at(source, name))).toEqual(Array(2).fill('second, GitUnavailable'));
  await pollOnce(source, ledgers, count);
  expect(await failures()).toEqual(['oakum_config_failures_total{kind="transient"} 2']);
});

it('goes by no commit that is not proven, by the keys of the one accepted last, and reads on from it all the same', async () => {
  const repository = aRepository({ second: 'first', third: 'second' }, 'first');
  const asked: string[] = [];
  const read: string[] = [];
  const source = new ConfigSource(
    repository,
    (snapshot) => (read.push(snapshot.commit), desire(snapshot)),
    silent,
    async ({ tip, after, keysAt }) => {
      asked.push(`${after ?? 'nothing'}..${tip} by ${keysAt}`);
      return tip === 'second' ? 'second is not signed' : undefined;
    },
  );
  await source.pull(accepted({ east: undefined }));
  repository.tip = 'second';
  await source.pull(accepted({ east: 'first' }));
  expect(source.current('east')).toMatchObject({
    commit: 'first',
    hold: { reason: 'UnsignedCommit', message: 'second is not signed' },
  });
  repository.tip = 'third';
  await source.pull(accepted({ east: 'first' }));
  expect(at(source, 'east')).toBe('third, goes on');
  expect(asked).toEqual(['nothing..first by first', 'first..second by first', 'first..third by first']);
  expect(read).toEqual(['first', 'second', 'third']);
});

describe('a rewritten branch that says of itself that it is meant', () => {
  const word = (from: readonly string[], to: string): Rewrite => ({
    file: 'accept-rewrite.yaml',
    oid: `${from.join()} ${to}`,
    from,
    to,
    reason: '',
  });

  /** `third` is lost; the branch goes on as `again`, and the word is in `meant`. */
  async function told(rewrite: Rewrite | undefined, tip = 'meant'): Promise<string[]> {
    const parents = { second: 'first', third: 'second', again: 'first', meant: 'again', other: 'second' };
    const repository = aRepository(parents, 'third');
    const says = (snapshot: ConfigSnapshot): Desired => ({ ...desire(snapshot), ...(rewrite ? { rewrite } : {}) });
    const source = new ConfigSource(repository, says, silent);
    await source.pull(accepted({ east: 'second' }));
    repository.tip = tip;
    await source.pull(accepted({ east: 'third' }));
    const { commit, hold, rewritten } = source.current('east');
    return [commit ?? '', hold?.reason ?? '', hold?.message ?? '', rewritten?.commit ?? 'nothing to agree to'];
  }

  it('is told with what it says, and still holds', async () => {
    expect(await told(word(['third'], 'again'))).toEqual([
      'third',
      'HistoryRewritten',
      'third is not in the history',
      'meant',
    ]);
  });

  it.each([
    ['no word', undefined, 'third is not in the history'],
    ['a word about other commits', word(['second'], 'again'), 'it does not speak of this rewrite'],
    ['a word about another branch', word(['third'], 'other'), 'goes on from other, and it does not'],
  ])('is not, with %s', async (_name, rewrite, message) => {
    const [, reason, said, what] = await told(rewrite);
    expect([reason, what]).toEqual(['HistoryRewritten', 'nothing to agree to']);
    expect(said).toContain(message);
  });
});
