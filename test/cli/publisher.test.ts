// The publisher against a false status branch, in virtual time.
import { describe, expect, it } from 'vitest';
import { createPublisher, type Publisher } from '../../reconciler/cli/publisher.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import type { PassResult } from '../../reconciler/pass.ts';
import type { Clock, Git, StatusCommit } from '../../reconciler/ports.ts';
import { statusYaml } from '../../reconciler/report/files.ts';
import { aFleet, aRequest } from '../support/policies.ts';
import { aWorld, documentOf, resultOf } from '../report/built.ts';
import type { TinyWorld } from '../support/tiny-world.ts';

/** Time that goes on only when the test says so. */
class StillClock implements Clock {
  private instant: number;
  private readonly sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();

  constructor(instant: number) {
    this.instant = instant;
  }

  now(): number {
    return this.instant;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (ms <= 0 || signal?.aborted) return resolve();
      const sleeper = {
        at: this.instant + ms,
        wake: () => {
          this.sleepers.delete(sleeper);
          resolve();
        },
      };
      this.sleepers.add(sleeper);
      signal?.addEventListener('abort', sleeper.wake, { once: true });
    });
  }

  async forward(ms: number): Promise<void> {
    const end = this.instant + ms;
    for (;;) {
      await settled();
      const [next] = [...this.sleepers].sort((a, b) => a.at - b.at);
      if (!next || next.at > end) break;
      this.instant = Math.max(this.instant, next.at);
      next.wake();
    }
    this.instant = end;
    await settled();
  }
}

/** Lets everything that needs no time happen. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

/** A status branch in memory that tells when it was written. */
class FalseBranch implements Pick<Git, 'publish' | 'readStatus'> {
  readonly files = new Map<string, string>();
  readonly commits: (StatusCommit & { readonly at: number })[] = [];
  readonly reads: string[] = [];
  fault: AdapterError | undefined;
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  async publish(commit: StatusCommit): Promise<{ commit: string; changed: boolean; attempts: number }> {
    if (this.fault) throw this.fault;
    this.commits.push({ ...commit, at: this.clock.now() });
    for (const [path, text] of commit.files) {
      if (text === undefined) this.files.delete(path);
      else this.files.set(path, text);
    }
    return { commit: `c${this.commits.length}`, changed: true, attempts: 1 };
  }

  async readStatus(prefix: string): Promise<{ commit: string; files: ReadonlyMap<string, string> }> {
    if (this.fault) throw this.fault;
    this.reads.push(prefix);
    return { commit: 'tip', files: new Map([...this.files].filter(([path]) => path.startsWith(prefix))) };
  }
}

interface Stage {
  readonly world: TinyWorld;
  readonly clock: StillClock;
  readonly branch: FalseBranch;
  readonly publisher: Publisher;
  readonly archived: string[];
  readonly outcomes: { ok: boolean; files: number }[];
  readonly offer: (given?: Partial<PassResult>) => Promise<void>;
}

function aStage(given: { branch?: FalseBranch; clusters?: string[]; world?: TinyWorld } = {}): Stage {
  const world = given.world ?? aWorld();
  const clock = new StillClock(world.now);
  const branch = given.branch ?? new FalseBranch(clock);
  const archived: string[] = [];
  const outcomes: { ok: boolean; files: number }[] = [];
  const publisher = createPublisher({
    git: branch,
    clock,
    log: silentLog,
    clusters: given.clusters ?? ['prod'],
    archived: (_cluster, ids) => void archived.push(...ids),
    onPublish: (outcome) => void outcomes.push(outcome),
  });
  const offer = async (fields: Partial<PassResult> = {}): Promise<void> => {
    const plan = await world.pass();
    publisher.offer(await resultOf(world, plan, fields));
    await settled();
  };
  return { world, clock, branch, publisher, archived, outcomes, offer };
}

const minute = 60_000;

describe('the publisher', () => {
  it('tells the first pass within two seconds, with the pages of the fleet', async () => {
    const { clock, branch, offer } = aStage();
    await offer();
    await clock.forward(2_000);
    expect([...branch.files.keys()].sort()).toEqual([
      'README.md',
      'clusters/prod/README.md',
      'clusters/prod/status.yaml',
      'compliance.csv',
      'fleet.svg',
      'fleet.yaml',
    ]);
    expect(branch.commits[0]?.message).toMatch(/^status: prod [^\n]+\n\nConfig-Commit: commit-1\n$/);
  });

  it('pushes nothing when a pass brings no news', async () => {
    const { clock, branch, offer, world } = aStage();
    await world.run(6 * 60 * minute);
    await offer();
    await clock.forward(5 * minute);
    const commits = branch.commits.length;
    for (let pass = 0; pass < 20; pass++) {
      world.now += minute;
      await offer();
      await clock.forward(minute);
    }
    // The archive was offered again and again, since this world's ledger never notes it; its bytes are there already.
    expect(branch.commits.length).toBe(commits);
  });

  it('keeps ordinary pushes an interval apart, and urgent ones five seconds', async () => {
    const { clock, branch, offer, world } = aStage();
    for (let second = 0; second < 900; second++) {
      world.now += 1_000;
      await offer();
      await clock.forward(1_000);
    }
    const gaps = branch.commits.slice(1).map((commit, index) => commit.at - (branch.commits[index]?.at ?? 0));
    expect(branch.commits.length).toBeGreaterThan(5);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5_000);
    expect(gaps.filter((gap) => gap < 30_000).length).toBeLessThan(10);
    expect(branch.files.get('clusters/prod/status.yaml')).toContain('state: Failed');
  });

  it('tells an answered request within six seconds though it has just pushed', async () => {
    const { clock, branch, offer, world } = aStage();
    world.change({ requests: [] });
    await offer();
    await clock.forward(2_000);
    world.now = clock.now();
    world.change({ requests: [aRequest('now')] });
    await offer();
    await clock.forward(6_000);
    expect(branch.files.get('clusters/prod/status.yaml')).toContain('name: now');
  });

  it('archives an ended run, says so only when it is pushed, and links it from the page', async () => {
    const { world, clock, branch, offer, archived } = aStage();
    await world.run(6 * 60 * minute);
    await offer();
    expect(archived).toEqual([]);
    await clock.forward(2_000);
    const { id } = world.theRun();
    expect(archived).toEqual([id]);
    expect(branch.files.get(`clusters/prod/runs/${id}.yaml`)).toContain('kind: PatchRunRecord');
    expect(branch.files.get('clusters/prod/README.md')).toContain(`(runs/${id}.yaml)`);
  });

  it('does not count an archive as kept while Git is down, and publishes once it is back', async () => {
    const { world, clock, branch, offer, archived, publisher, outcomes } = aStage();
    await world.run(6 * 60 * minute);
    branch.fault = new AdapterError('transient', 'GitUnreachable', 'the server is down');
    await offer();
    await clock.forward(2 * minute);
    expect(archived).toEqual([]);
    expect(publisher.state().lastError).toBe('the server is down');
    // Backs off: 5, 10, 20, 40 seconds, not every second.
    expect(outcomes.length).toBeLessThan(8);
    branch.fault = undefined;
    await clock.forward(5 * minute);
    expect(archived).toEqual([world.theRun().id]);
    expect(publisher.state().lastError).toBeUndefined();
    expect(branch.commits.length).toBe(1);
  });

  it('deletes archives that are out of retention', async () => {
    const { world, clock, branch, offer } = aStage();
    await world.run(6 * 60 * minute);
    const old = ['20260101-000000-a', '20260102-000000-b', '20260103-000000-c'];
    for (const id of old) branch.files.set(`clusters/prod/runs/${id}.yaml`, 'kind: PatchRunRecord\n');
    await offer({ fleet: { ...aFleet, status: { retentionRuns: 2, intervalMs: 30_000 } } });
    await clock.forward(2_000);
    expect([...branch.files.keys()].filter((path) => path.includes('/runs/')).sort()).toEqual([
      'clusters/prod/runs/20260103-000000-c.yaml',
      `clusters/prod/runs/${world.theRun().id}.yaml`,
    ]);
  });

  it('pushes nothing after a restart when the branch says it all', async () => {
    const first = aStage();
    await first.world.run(6 * 60 * minute);
    await first.offer();
    await first.publisher.close();
    expect(first.branch.commits.length).toBe(1);
    const again = aStage({ world: first.world, branch: first.branch });
    await again.offer();
    await again.clock.forward(5 * minute);
    expect(first.branch.commits.length).toBe(1);
    expect(again.archived).toEqual([first.world.theRun().id]);
  });

  it('says nothing for a cluster on which another Oakum acts', async () => {
    const { clock, branch, offer } = aStage();
    await offer({ acted: false });
    await clock.forward(5 * minute);
    expect(branch.commits).toEqual([]);
  });

  it('writes what waits when it is closed, and nothing afterwards', async () => {
    const { branch, offer, publisher } = aStage();
    await offer();
    await publisher.close();
    expect(branch.commits.length).toBe(1);
    await offer();
    expect(branch.commits.length).toBe(1);
  });

  describe('the pages of the fleet', () => {
    async function withPeer(publisherName: string | undefined): Promise<FalseBranch> {
      const peer = aWorld();
      const doc = { ...documentOf(await resultOf(peer, await peer.pass())), cluster: 'other' };
      const { branch, clock, offer } = aStage();
      branch.files.set('clusters/other/status.yaml', statusYaml(doc));
      await offer({ fleet: { ...aFleet, publisher: publisherName } });
      await clock.forward(2_000);
      return branch;
    }

    it('are left alone by an agent among others that nobody named', async () => {
      const branch = await withPeer(undefined);
      expect([...branch.files.keys()].filter((path) => !path.startsWith('clusters/'))).toEqual([]);
    });

    it('are left alone by an agent when another one is named, which then reads only its own folder', async () => {
      const branch = await withPeer('other');
      expect([...branch.files.keys()].filter((path) => !path.startsWith('clusters/'))).toEqual([]);
      expect(branch.reads).toEqual(['clusters/prod/']);
    });

    it.each([
      ['an agent that was there before it', 0],
      ['an agent that came later', 10 * minute],
    ])('tell by a hub of two what %s has published since', async (_who, comesAfter) => {
      const peer = aWorld();
      const before = await resultOf(peer, await peer.pass());
      await peer.run(6 * 60 * minute);
      const after = await resultOf(peer, await peer.pass());
      const { branch, clock, offer } = aStage({ clusters: ['dev', 'prod'] });
      const publishes = (result: PassResult): void =>
        void branch.files.set('clusters/other/status.yaml', statusYaml({ ...documentOf(result), cluster: 'other' }));
      const row = (): string | undefined => /^other,worker-1,.*$/m.exec(branch.files.get('compliance.csv') ?? '')?.[0];
      if (comesAfter === 0) publishes(before);
      for (const name of ['dev', 'prod']) await offer({ name });
      await clock.forward(2_000 + comesAfter);
      if (comesAfter > 0) publishes(before);
      // Nothing of the hub's own goes on meanwhile.
      await clock.forward(2 * minute + 2_000);
      const first = row();
      expect(first).toBeDefined();
      publishes(after);
      await clock.forward(2 * minute + 2_000);
      expect(row()).toBeDefined();
      expect(row()).not.toBe(first);
    });

    it('tell of all clusters when this agent is named', async () => {
      const branch = await withPeer('prod');
      expect(branch.files.get('README.md')).toContain('[other](clusters/other/README.md)');
      expect(branch.files.get('compliance.csv')).toContain('other,worker-1');
      expect([...branch.files.keys()].filter((path) => path.startsWith('clusters/other/'))).toEqual([
        'clusters/other/status.yaml',
      ]);
    });
  });
});
