// The age of pending updates: who is late, since when, and the run that mends it.
import { describe, expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.UTC(2026, 5, 1, 12);

function world(given: Parameters<typeof aPolicy>[0], names = ['a', 'b']): TinyWorld {
  const policy = aPolicy({ scan: { everyMs: day }, ...given });
  const made = new TinyWorld(start, aCluster({ policy }));
  made.settings = someSettings({ ceilings: { nodesPerHour: undefined, scansAtOnce: 2 } });
  for (const name of names) made.cluster.addNode(name, { behaviour: { updates: { openssl: '3.0.2' } } });
  return made;
}

const verdictOf = (made: TinyWorld, node: string) => made.passes.at(-1)?.nodes.find((one) => one.node === node);

describe('maxAge', () => {
  it('reports a node whose oldest update has waited too long, and nothing more', async () => {
    const made = world({ maxAge: { afterMs: 3 * day, openRun: false } });
    await made.run(2 * day);
    expect(verdictOf(made, 'a')?.overdueSince).toBeUndefined();
    await made.run(2 * day);
    expect(verdictOf(made, 'a')).toMatchObject({
      phase: 'Idle',
      reason: 'SlaExceeded',
      overdueSince: start + 3 * day + 5_000,
    });
    expect(verdictOf(made, 'a')?.message).toMatch(/1 pending, the oldest since 2026-06-01; maxAge is 3d/);
    expect(made.runs()).toEqual([]);
  });

  it('counts an update from the first sight in the cluster, also on a node that joins later', async () => {
    const made = world({ maxAge: { afterMs: 3 * day, openRun: false } });
    await made.run(2 * day);
    made.cluster.addNode('late', { behaviour: { updates: { openssl: '3.0.2' } } });
    made.cluster.addNode('new', { behaviour: { updates: { openssl: '3.0.3' } } });
    await made.run(1.5 * day);
    expect(verdictOf(made, 'late')?.reason).toBe('SlaExceeded');
    expect(verdictOf(made, 'new')?.reason).toBe('NotYet');
  });

  it('opens one run for the nodes that are late, which obeys windows', async () => {
    const windows = [{ days: ['Sun' as const], start: '02:00', durationMs: 4 * hour, timeZone: 'UTC' }];
    const made = world({ maxAge: { afterMs: day, openRun: true }, windows });
    await made.run(1.5 * day);
    expect(made.theRun()).toMatchObject({
      triggers: [{ kind: 'sla' }],
      spec: { onlyNodes: ['a', 'b'] },
      state: 'Scheduled',
      reason: 'OutsideWindow',
    });
    await made.run(7 * day);
    expect(made.ends()).toEqual(['a: Patched/Patched', 'b: Patched/Patched']);
    expect(made.runs()).toHaveLength(1);
  });

  it('opens none while another run is about the node, and none where nothing could be installed', async () => {
    const made = world({ maxAge: { afterMs: day, openRun: true }, updates: { exclude: ['openssl'] } });
    await made.run(5 * day);
    expect(made.runs()).toEqual([]);
    expect(verdictOf(made, 'a')?.reason).toBe('SlaExceeded');
    const waits = world({
      maxAge: { afterMs: day, openRun: true },
      freezes: [{ kind: 'once', from: start, until: start + 5 * day, reason: 'a launch' }],
    });
    waits.change({ requests: [aRequest('now', { expiresAfterMs: 6 * day })] });
    await waits.run(3 * day);
    expect(waits.runs().map((run) => run.triggers[0]?.kind)).toEqual(['request']);
  });

  it('tries again a day after a run that did not mend it, under another id', async () => {
    const made = world({ maxAge: { afterMs: day, openRun: true }, rollout: { maxFailures: 9 } }, ['a']);
    made.cluster.machine('a').behaviour.fail = { download: 'DISK_FULL_VAR' };
    await made.run(2.5 * day);
    expect(made.runs().map(({ id, state }) => `${id} ${state}`)).toEqual([
      '20260602-120005-sla Failed',
      '20260603-120005-sla Failed',
    ]);
  });
});
