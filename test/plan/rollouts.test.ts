// Waves across clusters: who goes when, what holds the later ones, and how a person goes on.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rolloutFacts, type FleetRollout } from '../../reconciler/model/rollout.ts';
import type { Schedule } from '../../reconciler/model/schedule.ts';
import { aPolicy, aRequest } from '../support/policies.ts';
import { aRollout, aWave, FleetWorld } from '../support/fleet-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.UTC(2026, 5, 1, 12);
const runId = '20260601-130000-monthly';

/** dev, two of staging, prod; due an hour after the beginning. */
function threeWaves(given: Partial<FleetRollout> = {}): FleetRollout {
  return aRollout(
    [
      aWave('dev', ['dev'], { soakMs: 2 * hour }),
      aWave('staging', ['staging-1', 'staging-2'], { soakMs: day }),
      aWave('prod', ['prod']),
    ],
    { start: start + hour, ...given },
  );
}

function failing(fleet: FleetWorld, ...clusters: string[]): void {
  for (const name of clusters)
    fleet.world(name).cluster.machine(`${name}-worker-1`).behaviour.fail = { download: 'DISK_FULL_VAR' };
}

describe('a rollout', () => {
  it('takes the clusters wave after wave, each soak after the last end before it', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    await fleet.run(5 * minute);
    expect(fleet.states().every((state) => state.endsWith('none'))).toBe(true);
    await fleet.run(2 * hour);
    expect(fleet.states()).toEqual([
      'dev: Succeeded/Completed',
      'staging-1: Scheduled/WaveSoaking',
      'staging-2: Scheduled/WaveSoaking',
      'prod: Scheduled/WaveBefore',
    ]);
    expect(fleet.theRun('dev').id).toBe(runId);
    expect(fleet.theRun('prod').id).toBe(runId);
    expect(fleet.theRun('prod').message).toMatch(
      /^wave prod waits for wave staging: staging-1 \(Scheduled, WaveSoaking: /,
    );
    await fleet.run(3 * day);
    expect(fleet.states().map((state) => state.split(' ')[1])).toEqual(Array(4).fill('Succeeded/Completed'));
    const ended = Math.max(fleet.theRun('staging-1').endedAt ?? 0, fleet.theRun('staging-2').endedAt ?? 0);
    expect(fleet.theRun('staging-1').startedAt).toBeGreaterThanOrEqual((fleet.theRun('dev').endedAt ?? 0) + 2 * hour);
    expect(fleet.theRun('prod').startedAt).toBeGreaterThanOrEqual(ended + day);
    expect(fleet.theRun('prod').startedAt).toBeLessThan(ended + day + hour);
  });
});

describe('a failure', () => {
  it('holds every later wave; a request that patches the whole cluster mends it', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    failing(fleet, 'staging-2');
    await fleet.run(6 * hour);
    expect(fleet.states()).toEqual([
      'dev: Succeeded/Completed',
      'staging-1: Succeeded/Completed',
      'staging-2: Failed/RunFailed',
      'prod: Scheduled/WaveFailed',
    ]);
    expect(fleet.theRun('prod').message).toMatch(
      /^1 of 2 clusters of wave staging failed \(maxFailures 1\): staging-2 \(Failed, RunFailed: /,
    );
    fleet.world('staging-2').cluster.machine('staging-2-worker-1').behaviour.fail = {};
    const world = fleet.world('staging-2');
    world.change({ requests: [aRequest('again', { file: 'clusters/staging-2/requests/again.yaml' })] });
    const asked = fleet.now;
    await fleet.run(2 * hour);
    // It soaks again from the end of what has mended it.
    expect(fleet.theRun('prod').reason).toBe('WaveSoaking');
    await fleet.run(2 * day);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
    expect(fleet.theRun('prod').startedAt).toBeGreaterThan(asked + day);
  });

  it('is not mended by a request for some of the nodes', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    failing(fleet, 'staging-2');
    await fleet.run(6 * hour);
    const world = fleet.world('staging-2');
    world.cluster.machine('staging-2-worker-1').behaviour.fail = {};
    world.change({ requests: [aRequest('one', { nodes: ['staging-2-worker-1'] })] });
    await fleet.run(6 * hour);
    expect(fleet.theRun('prod').reason).toBe('WaveFailed');
  });

  it('within maxFailures is gone on without', async () => {
    const rollout = threeWaves();
    const waves = rollout.waves.map((wave) => (wave.name === 'staging' ? { ...wave, maxFailures: 2 } : wave));
    const fleet = new FleetWorld(start, { ...rollout, waves });
    failing(fleet, 'staging-2');
    await fleet.run(2 * day);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
  });

  it('of a cluster that a person skips keeps nobody waiting', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    failing(fleet, 'staging-2');
    await fleet.run(6 * hour);
    fleet.change(threeWaves({ skip: [{ run: runId, cluster: 'staging-2', reason: 'being rebuilt' }] }));
    await fleet.run(day);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
  });

  it('holds the rest of its own wave where they go one at a time', async () => {
    const wave = aWave('all', ['a', 'b', 'c'], { concurrency: 1 });
    const fleet = new FleetWorld(start, aRollout([wave], { start: start + hour }));
    failing(fleet, 'b');
    await fleet.run(day);
    expect(fleet.states()).toEqual(['a: Succeeded/Completed', 'b: Failed/RunFailed', 'c: Scheduled/WaveFailed']);
    expect(fleet.theRun('b').startedAt).toBeGreaterThanOrEqual(fleet.theRun('a').endedAt ?? Infinity);
  });
});

describe('a person', () => {
  it('ends what has not begun by removing the file', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    await fleet.run(5 * hour);
    fleet.change(undefined);
    await fleet.run(day);
    expect(fleet.states()).toEqual([
      'dev: Succeeded/Completed',
      'staging-1: Succeeded/Completed',
      'staging-2: Succeeded/Completed',
      'prod: Aborted/Aborted',
    ]);
    expect(fleet.world('prod').ledger?.rollouts).toBeUndefined();
  });

  it('takes a cluster out before its turn', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    await fleet.run(2 * hour);
    fleet.change(threeWaves({ skip: [{ run: runId, cluster: 'staging-1', reason: 'busy' }] }));
    await fleet.run(3 * day);
    expect(fleet.states()).toEqual([
      'dev: Succeeded/Completed',
      'staging-1: Aborted/SkippedByPerson',
      'staging-2: Succeeded/Completed',
      'prod: Succeeded/Completed',
    ]);
  });

  it('suspends it', async () => {
    const fleet = new FleetWorld(start, threeWaves({ suspend: true }));
    await fleet.run(2 * hour);
    expect(fleet.theRun('dev').reason).toBe('Suspended');
    fleet.change(threeWaves());
    await fleet.run(3 * day);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
  });

  it('gives the go for a wave that asks for it, for this run only', async () => {
    const rollout = threeWaves();
    const asking = {
      ...rollout,
      waves: rollout.waves.map((wave) => (wave.name === 'prod' ? { ...wave, approval: true } : wave)),
    };
    const fleet = new FleetWorld(start, asking);
    await fleet.run(6 * hour);
    expect(fleet.theRun('prod').reason).toBe('WaveNotApproved');
    expect(fleet.theRun('prod').message).toContain(`{ run: ${runId}, wave: prod }`);
    await fleet.run(3 * day);
    fleet.change({ ...asking, approved: [{ run: '20260501-130000-monthly', wave: 'prod' }] });
    await fleet.run(hour);
    expect(fleet.theRun('prod').reason).toBe('WaveNotApproved');
    fleet.change({ ...asking, approved: [{ run: runId, wave: 'prod' }] });
    await fleet.run(hour);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
  });

  it('who asks for a patch now need not wait for waves', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    await fleet.run(2 * hour);
    fleet.world('prod').change({ requests: [aRequest('openssl')] });
    await fleet.run(hour);
    expect(fleet.runs('prod').map((run) => run.state)).toEqual(['Scheduled']);
    const own = fleet.world('prod').runs();
    expect(own.map((run) => `${run.triggers[0]?.kind}: ${run.state}`).sort()).toEqual([
      'request: Succeeded',
      'rollout: Scheduled',
    ]);
  });
});

describe('what is not known', () => {
  it.each([
    ['missing', undefined],
    ['unreadable', { kind: 'unread', message: 'its status.yaml is of a newer version' }],
    ['silent about the rollout', { kind: 'read', facts: {} }],
    ['of an earlier run', { kind: 'read', facts: { monthly: { rollout: 'monthly', joined: 0, runs: [] } } }],
  ] as const)('counts as not done: a status that is %s', async (_what, reading) => {
    const fleet = new FleetWorld(start, threeWaves());
    fleet.hear = (truth, from) => (from === 'dev' ? reading : truth);
    await fleet.run(12 * hour);
    expect(fleet.states()).toEqual([
      'dev: Succeeded/Completed',
      'staging-1: Scheduled/WaveUnknown',
      'staging-2: Scheduled/WaveUnknown',
      'prod: Scheduled/WaveUnknown',
    ]);
  });

  it('is which wave a cluster is in whose cluster.yaml cannot be read', async () => {
    const fleet = new FleetWorld(start, threeWaves({ unclear: ['dev-2'] }));
    await fleet.run(6 * hour);
    expect(fleet.theRun('dev').state).toBe('Succeeded');
    expect(fleet.theRun('staging-1').reason).toBe('WaveUnknown');
  });
});

describe('a schedule of a rollout', () => {
  const sundays: Schedule = { kind: 'weekly', at: '00:00', timeZone: 'UTC' };
  const weekly = threeWaves({
    start: undefined,
    schedule: { schedule: sundays, startingDeadlineMs: 12 * hour, validForMs: undefined },
  });

  it('starts it at every slot, in place of the schedules of its clusters', async () => {
    const own = aPolicy({
      schedule: {
        schedule: { kind: 'monthly', at: '00:00', timeZone: 'UTC' },
        startingDeadlineMs: hour,
        validForMs: hour,
      },
    });
    const fleet = new FleetWorld(start, weekly, { policy: own });
    await fleet.run(35 * day);
    for (const name of fleet.worlds.keys()) {
      expect(fleet.runs(name).length).toBe(5);
      expect(fleet.world(name).runs().length).toBe(5);
      expect(new Set(fleet.runs(name).map(({ state }) => state))).toEqual(new Set(['Succeeded', 'NothingToDo']));
    }
  });

  it('ends what has not begun when the next one is due', async () => {
    const fleet = new FleetWorld(start, weekly);
    failing(fleet, 'dev');
    await fleet.run(14 * day);
    expect(fleet.runs('prod').map(({ state, reason }) => `${state}/${reason}`)).toEqual([
      'Superseded/Superseded',
      'Scheduled/WaveFailed',
    ]);
  });

  it('is missed by a cluster that was away too long, which holds the others', async () => {
    const fleet = new FleetWorld(start, weekly);
    await fleet.run(5 * minute);
    const dev = fleet.world('dev');
    dev.sourceHold = { reason: 'GitUnavailable', message: 'away', until: undefined };
    await fleet.run(6 * day);
    expect(fleet.theRun('staging-1').reason).toBe('WaveUnknown');
    dev.sourceHold = undefined;
    await fleet.run(hour);
    expect(fleet.theRun('dev').state).toBe('Missed');
    expect(fleet.theRun('staging-1').reason).toBe('WaveFailed');
  });
});

describe('a cluster that joins late', () => {
  it('takes part from the next start on, and nobody waits for it', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    await fleet.run(14 * hour);
    const waves = [aWave('dev', ['dev', 'dev-2'], { soakMs: 2 * hour }), ...threeWaves().waves.slice(1)];
    fleet.add('dev-2');
    fleet.change(threeWaves({ waves }));
    await fleet.run(2 * day);
    expect(fleet.runs('dev-2')).toEqual([]);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
    fleet.change(threeWaves({ waves, start: fleet.now }));
    await fleet.run(hour);
    expect(fleet.theRun('dev-2').state).not.toBe('none');
  });

  it('does not stand for its wave alone', async () => {
    const rollout = threeWaves();
    const fleet = new FleetWorld(start, rollout);
    fleet.hear = (truth, from) =>
      from === 'dev' && truth.kind === 'read'
        ? { kind: 'read', facts: { monthly: { rollout: 'monthly', joined: start + 2 * hour, runs: [] } } }
        : truth;
    await fleet.run(2 * day);
    expect(fleet.theRun('staging-1').message).toMatch(/^no cluster of wave dev took part in this run/);
  });
});

describe('what a cluster tells of its runs', () => {
  it('is nothing without a rollout', () => {
    expect(rolloutFacts(undefined)).toEqual({});
  });

  it('is bounded, and stays until the run is no longer waited for', async () => {
    const fleet = new FleetWorld(start, threeWaves());
    await fleet.run(3 * day);
    const [run] = rolloutFacts(fleet.world('dev').ledger)['monthly']?.runs ?? [];
    expect(run).toMatchObject({ run: runId, wave: 'dev', state: 'Succeeded', mendedBy: undefined });
  });
});

it('no cluster begins before the waves before it have ended, whatever fails and whatever is heard', async () => {
  const shape = fc.record({
    sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 2, maxLength: 3 }),
    soak: fc.integer({ min: 0, max: 3 }),
    maxFailures: fc.integer({ min: 1, max: 2 }),
    concurrency: fc.option(fc.integer({ min: 1, max: 2 }), { nil: undefined }),
    broken: fc.nat(8),
    deaf: fc.nat(5),
  });
  await fc.assert(
    fc.asyncProperty(shape, async ({ sizes, soak, maxFailures, concurrency, broken, deaf }) => {
      const waves = sizes.map((size, wave) =>
        aWave(
          `w${wave}`,
          Array.from({ length: size }, (_none, index) => `c${wave}-${index}`),
          { soakMs: soak * hour, maxFailures, concurrency },
        ),
      );
      const fleet = new FleetWorld(start, aRollout(waves, { start: start + hour }));
      const bad = [...fleet.worlds.keys()][broken];
      if (bad !== undefined) failing(fleet, bad);
      let heard = 0;
      fleet.hear = (truth) => (++heard % (deaf + 1) === 0 && deaf > 0 ? undefined : truth);
      await fleet.run(day);
      for (const [index, wave] of waves.entries())
        for (const cluster of wave.clusters) {
          const { startedAt } = fleet.theRun(cluster);
          if (startedAt === undefined) continue;
          for (const before of waves.slice(0, index)) {
            const runs = before.clusters.map((name) => fleet.theRun(name));
            for (const run of runs) expect(run.endedAt ?? Infinity).toBeLessThanOrEqual(startedAt - soak * hour);
            expect(runs.filter(({ state }) => state === 'Failed').length).toBeLessThan(maxFailures);
          }
          const earlier = wave.clusters.filter((name) => name < cluster).map((name) => fleet.theRun(name));
          const open = earlier.filter(({ endedAt }) => (endedAt ?? Infinity) > startedAt);
          expect(open.length).toBeLessThan(concurrency ?? Infinity);
        }
    }),
    { numRuns: 12 },
  );
}, 60_000);
