// Attack: a commit that asks for everything at once and all the time; what bounds it are flags of the deployment, not Git.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseCron } from '../../reconciler/model/cron.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;

/** Everything that a policy can say to touch as much as possible as often as possible. */
function greedy(cron: string): Policy {
  const parsed = parseCron(cron, 'seed');
  if (!parsed.ok) throw new Error(parsed.message);
  return aPolicy({
    schedule: {
      schedule: { kind: 'cron', cron: parsed.cron, timeZone: 'UTC' },
      startingDeadlineMs: 12 * hour,
      validForMs: 7 * 24 * hour,
    },
    reboot: { when: 'always', maxPerDay: 100, stableForMs: 0 },
    drain: { onTimeout: 'force', force: true, deleteEmptyDirData: true },
    rollout: { concurrency: { kind: 'percent', value: 100 }, maxFailures: 1_000, allowSingleControlPlane: true },
  });
}

/** When nodes were begun, and when runs that touched some were. */
function begun(world: TinyWorld): { readonly nodes: number[]; readonly runs: number[] } {
  const touched = world
    .runs()
    .filter((run) => Object.values(run.nodes).some(({ startedAt }) => startedAt !== undefined));
  return {
    nodes: touched.flatMap((run) => Object.values(run.nodes).flatMap(({ startedAt }) => startedAt ?? [])),
    runs: touched.flatMap(({ startedAt }) => startedAt ?? []).sort((a, b) => a - b),
  };
}

function mostWithin(times: readonly number[], ms: number): number {
  return Math.max(0, ...times.map((from) => times.filter((at) => at >= from && at < from + ms).length));
}

describe('mass reboot', () => {
  it.each(['* * * * *', '*/5 * * * *', '0 * * * *'])(
    'a schedule of "%s" is bounded by the deployment',
    async (cron) => {
      const world = new TinyWorld(undefined, aCluster({ policy: greedy(cron) }));
      world.settings = someSettings({ ceilings: { nodesPerHour: 2, runIntervalMs: 2 * hour } });
      for (let node = 1; node <= 6; node++) world.cluster.addNode(`n${node}`, { behaviour: { rebootNeeded: true } });
      await world.run(12 * hour);
      const { nodes, runs } = begun(world);
      expect(nodes.length).toBeGreaterThan(6);
      expect(mostWithin(nodes, hour)).toBeLessThanOrEqual(2);
      for (const [index, at] of runs.entries())
        if (index > 0) expect(at - (runs[index - 1] ?? 0)).toBeGreaterThanOrEqual(2 * hour);
    },
    60_000,
  );

  it('a row of requests is bounded by the shortest interval, and each waits with its reason', async () => {
    const requests = Array.from({ length: 5 }, (_, index) => aRequest(`r${index}`, { nodes: [`n${index + 1}`] }));
    const world = new TinyWorld(undefined, aCluster({ requests }));
    world.settings = someSettings({ ceilings: { nodesPerHour: undefined, runIntervalMs: hour } });
    for (let node = 1; node <= 5; node++) world.cluster.addNode(`n${node}`);
    await world.run(30 * minute);
    const waiting = world.runs().find((run) => run.state === 'Scheduled' && run.reason === 'NoRoomInBudget');
    expect(waiting?.message).toMatch(
      /^run \S+ began less than 1h ago, and the deployment allows no other one so soon$/,
    );
    await world.run(6 * hour);
    expect(world.runs().every((run) => run.state === 'Succeeded')).toBe(true);
    const { runs } = begun(world);
    expect(runs).toHaveLength(5);
    expect(mostWithin(runs, hour)).toBe(1);
  });

  it('no union of windows and no number of requests starts more nodes in an hour than the deployment allows', async () => {
    const days = fc.constantFrom(undefined, ['Sat' as const], ['Sun' as const, 'Mon' as const]);
    const window = fc.record({
      days,
      start: fc.constantFrom('00:00', '11:00', '23:00'),
      durationMs: fc.constantFrom(hour, 20 * hour),
      timeZone: fc.constantFrom('UTC', 'Europe/Berlin', 'Pacific/Kiritimati'),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(window, { maxLength: 3 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 1, max: 4 }),
        async (windows, nodesPerHour, requests) => {
          const policy = { ...greedy('*/10 * * * *'), windows };
          const asked = Array.from({ length: requests }, (_, index) => aRequest(`r${index}`));
          const world = new TinyWorld(Date.UTC(2026, 2, 28, 20), aCluster({ policy, requests: asked }));
          world.settings = someSettings({ ceilings: { nodesPerHour } });
          for (let node = 1; node <= 5; node++) world.cluster.addNode(`n${node}`);
          await world.run(8 * hour);
          expect(mostWithin(begun(world).nodes, hour)).toBeLessThanOrEqual(nodesPerHour);
        },
      ),
      { numRuns: 12 },
    );
  }, 120_000);
});
