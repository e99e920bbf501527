// What peers tell of a rollout too late, twice, or of something else: it never opens the next wave.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rolloutFacts, type FleetRollout, type PeerReading } from '../../reconciler/model/rollout.ts';
import type { Schedule } from '../../reconciler/model/schedule.ts';
import { parseCron } from '../../reconciler/model/cron.ts';
import { emptyLedger } from '../../reconciler/plan/plan.ts';
import { aRollout, aWave, FleetWorld } from '../support/fleet-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.UTC(2026, 5, 1, 12);
const daily = ((): Schedule => {
  const read = parseCron('0 0 * * *');
  if (!read.ok) throw new Error('midnight is a time');
  return { kind: 'cron', cron: read.cron, timeZone: 'UTC' };
})();

/** Dev, then prod; due an hour after the beginning. */
function twoWaves(given: Partial<FleetRollout> = {}, dev: readonly string[] = ['dev']): FleetRollout {
  const waves = [aWave('dev', dev, { soakMs: 2 * hour }), aWave('prod', ['prod'])];
  return aRollout(waves, { start: start + hour, ...given });
}

function failing(fleet: FleetWorld, name: string): void {
  fleet.world(name).cluster.machine(`${name}-worker-1`).behaviour.fail = { download: 'DISK_FULL_VAR' };
}

/** From now on, what is heard of these clusters is what they tell now. */
function silence(fleet: FleetWorld, ...names: string[]): void {
  const last = new Map<string, PeerReading>(
    names.map((name) => [name, { kind: 'read', facts: rolloutFacts(fleet.world(name).ledger) }]),
  );
  fleet.hear = (truth, from) => last.get(from) ?? truth;
}

describe('a status that is old', () => {
  it.each([
    ['before the start', 30 * minute],
    ['while the run was under way', hour + 1 * minute],
  ])('from %s lets nothing begin, however long its agent is away', async (_when, at) => {
    const fleet = new FleetWorld(start, twoWaves());
    await fleet.run(at);
    silence(fleet, 'dev');
    await fleet.run(12 * hour);
    expect(fleet.theRun('dev').state).toBe('Succeeded');
    expect(fleet.theRun('prod').startedAt).toBeUndefined();
    expect(fleet.theRun('prod').reason).toMatch(/^(WaveUnknown|WaveBefore)$/);
  });

  it('tells of the start before: its good end does not count for the next one', async () => {
    const fleet = new FleetWorld(start, twoWaves());
    await fleet.run(6 * hour);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
    silence(fleet, 'dev');
    fleet.change(twoWaves({ start: fleet.now }));
    failing(fleet, 'dev');
    await fleet.run(2 * day);
    expect(fleet.runs('prod').map(({ state, reason }) => `${state}/${reason}`)).toEqual([
      'Succeeded/Completed',
      'Scheduled/WaveUnknown',
    ]);
  });

  it('tells of a file that was taken away and came back with the same time: that is not a new start', async () => {
    const fleet = new FleetWorld(start, twoWaves());
    await fleet.run(2 * hour);
    expect(fleet.theRun('dev').state).toBe('Succeeded');
    silence(fleet, 'dev');
    fleet.change(undefined);
    await fleet.run(hour);
    failing(fleet, 'dev');
    fleet.change(twoWaves());
    await fleet.run(day);
    expect(fleet.runs('dev')).toHaveLength(1);
    expect(fleet.states()).toEqual(['dev: Succeeded/Completed', 'prod: Aborted/Aborted']);
    // Another time is.
    fleet.hear = (truth) => truth;
    fleet.change(twoWaves({ start: fleet.now }));
    await fleet.run(6 * hour);
    expect(fleet.states()).toEqual(['dev: Failed/RunFailed', 'prod: Scheduled/WaveFailed']);
  });
});

describe('the next start, while a cluster still waits for the one before', () => {
  const schedule = { schedule: daily, startingDeadlineMs: 2 * hour, validForMs: 3 * day };

  it('ends the wait also when the cluster notices it too late to take part', async () => {
    const waves = [aWave('dev', ['dev'], { soakMs: 10 * hour }), aWave('prod', ['prod'])];
    const fleet = new FleetWorld(start, aRollout(waves, { schedule }));
    await fleet.run(13 * hour);
    expect(fleet.states()).toEqual(['dev: Succeeded/Completed', 'prod: Scheduled/WaveSoaking']);
    const prod = fleet.world('prod');
    prod.sourceHold = { reason: 'GitUnavailable', message: 'away', until: undefined };
    failing(fleet, 'dev');
    await fleet.run(27 * hour);
    expect(fleet.theRun('dev').state).toBe('Failed');
    prod.sourceHold = undefined;
    await fleet.run(hour);
    expect(fleet.runs('prod').map(({ state }) => state)).toEqual(['Superseded', 'Missed']);
    expect(prod.cluster.done.filter(({ kind }) => kind === 'createJob')).toEqual([]);
  });

  it('never takes a cluster before the waves before it have ended that very start well, however late they are heard', async () => {
    const shape = fc.record({
      soak: fc.constantFrom(0, 3, 20),
      lag: fc.constantFrom(0, 1, 6, 26),
      broken: fc.option(fc.record({ cluster: fc.constantFrom('a', 'b', 'c'), from: fc.nat(40), hours: fc.nat(30) })),
      away: fc.option(fc.record({ cluster: fc.constantFrom('a', 'b', 'c'), from: fc.nat(40), hours: fc.nat(30) })),
    });
    let begun = 0;
    await fc.assert(
      fc.asyncProperty(shape, async ({ soak, lag, broken, away }) => {
        const waves = [
          aWave('one', ['a', 'b'], { soakMs: soak * hour }),
          aWave('two', ['c'], { soakMs: soak * hour }),
          aWave('three', ['d']),
        ];
        const fleet = new FleetWorld(start, aRollout(waves, { schedule }));
        // What each told at each hour; the others hear it `lag` hours later.
        const told = new Map<string, PeerReading>();
        fleet.hear = (_truth, from) => told.get(`${from} ${Math.floor(fleet.now / hour) - lag}`);
        for (let at = 0; at < 52; at++) {
          for (const [name, world] of fleet.worlds) {
            told.set(`${name} ${Math.floor(fleet.now / hour)}`, { kind: 'read', facts: rolloutFacts(world.ledger) });
            const is = (what: typeof broken): boolean =>
              what?.cluster === name && what.from <= at && at < what.from + what.hours;
            world.cluster.machine(`${name}-worker-1`).behaviour.fail = is(broken) ? { download: 'DISK_FULL_VAR' } : {};
            world.sourceHold = is(away) ? { reason: 'GitUnavailable', message: 'away', until: undefined } : undefined;
          }
          await fleet.run(hour);
        }
        for (const [index, wave] of waves.entries())
          for (const run of wave.clusters.flatMap((cluster) => fleet.runs(cluster))) {
            const [trigger] = run.triggers;
            if (run.startedAt === undefined || trigger?.kind !== 'rollout') continue;
            begun++;
            expect(run.startedAt, 'before the next start').toBeLessThan(trigger.at + day);
            for (const before of waves.slice(0, index))
              for (const cluster of before.clusters) {
                const same = fleet.runs(cluster).find(({ id }) => id === run.id);
                expect(same?.state, `${cluster} in ${run.id}`).toMatch(/^(Succeeded|NothingToDo)$/);
                expect(same?.endedAt).toBeLessThanOrEqual((run.startedAt ?? 0) - before.soakMs);
              }
          }
      }),
      { numRuns: 8 },
    );
    expect(begun).toBeGreaterThan(20);
  }, 60_000);
});

describe('a ledger that was lost', () => {
  it.each([
    ['the only one of its wave', ['dev']],
    ['one of two', ['dev', 'dev-2']],
  ])('of a cluster that had failed does not make it one that was not there: %s', async (_which, names) => {
    const fleet = new FleetWorld(start, twoWaves({}, names));
    failing(fleet, 'dev');
    await fleet.run(4 * hour);
    expect(fleet.theRun('prod').reason).toBe('WaveFailed');
    const dev = fleet.world('dev');
    dev.cluster.machine('dev-worker-1').behaviour.fail = {};
    dev.ledger = { ...emptyLedger({ observed: { clusterUid: 'cluster-uid' }, now: fleet.now }), renewed: true };
    await fleet.run(day);
    expect(fleet.runs('dev')).toEqual([]);
    expect(fleet.theRun('prod')).toMatchObject({ startedAt: undefined, reason: 'WaveUnknown' });
    const skip = [{ run: fleet.theRun('prod').id, cluster: 'dev', reason: 'looked at by hand' }];
    fleet.change(twoWaves({ skip }, names));
    await fleet.run(hour);
    expect(fleet.theRun('prod').state).toBe('Succeeded');
  });

  it('takes part again from the next start on', async () => {
    const fleet = new FleetWorld(start, twoWaves());
    await fleet.run(6 * hour);
    const dev = fleet.world('dev');
    dev.ledger = { ...emptyLedger({ observed: { clusterUid: 'cluster-uid' }, now: fleet.now }), renewed: true };
    await fleet.run(hour);
    fleet.change(twoWaves({ start: fleet.now + hour }));
    await fleet.run(6 * hour);
    expect(fleet.states()).toEqual(['dev: NothingToDo/NothingToDo', 'prod: NothingToDo/NothingToDo']);
  });
});
