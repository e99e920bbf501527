// Limits that must hold beyond one run, one try or one person's cordon. Each was found broken by random worlds.
import { describe, expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;

describe('the hourly ceiling of the deployment', () => {
  it('counts the nodes of all runs, and those that start together', async () => {
    const policy = aPolicy({ rollout: { concurrency: { kind: 'count', value: 3 } } });
    const requests = [aRequest('one', { nodes: ['n1', 'n2'] }), aRequest('two', { nodes: ['n3', 'n4', 'n5'] })];
    const world = new TinyWorld(undefined, aCluster({ policy, requests }));
    world.settings = someSettings({ ceilings: { nodesPerHour: 3 } });
    for (const name of ['n1', 'n2', 'n3', 'n4', 'n5']) world.cluster.addNode(name);
    const begun = (): number =>
      world
        .runs()
        .flatMap((run) => Object.values(run.nodes))
        .filter((record) => record.startedAt !== undefined).length;
    await world.run(59 * minute);
    expect(begun()).toBe(3);
    expect(world.passes.at(-1)?.nodes.find((node) => node.node === 'n4')).toMatchObject({ reason: 'NoRoomInBudget' });
    await world.run(2 * hour);
    expect(begun()).toBe(5);
  });
});

describe('the limit of reboots a day', () => {
  it('holds for a reboot that is asked for again because it did not happen', async () => {
    const policy = aPolicy({ reboot: { maxPerDay: 1 } });
    const world = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now')] }));
    world.cluster.addNode('n1', { behaviour: { rebootNeeded: true } });
    await world.run(hour, () => world.theRun().nodes['n1']?.phase === 'Rebooting');
    world.cluster.machine('n1').behaviour.fail = { reboot: 'OK' };
    await world.run(2 * hour);
    expect(world.ledger?.history['n1']?.reboots).toHaveLength(1);
    expect(world.ends()).toEqual(['n1: Quarantined/RebootDidNotHappen']);
  });
});

describe('a failure that was forgiven', () => {
  it('and is tried again does not pay for the next one', async () => {
    const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
    for (const name of ['n1', 'n2', 'n3'])
      world.cluster.addNode(name, { behaviour: { fail: { download: 'DISK_FULL_VAR' } } });
    const ask = (request: ReturnType<typeof aRequest>): void =>
      world.change({ requests: [...world.desired.requests, request] });
    await world.run(hour, () => world.theRun().state === 'Paused');
    ask(aRequest('go-on', { action: 'resume' }));
    await world.run(hour, () => world.theRun().nodes['n2']?.phase === 'Downloading');
    ask(aRequest('again', { action: 'reset', nodes: ['n1'] }));
    await world.run(3 * hour);
    expect(world.theRun()).toMatchObject({ state: 'Paused', forgiven: 0 });
    const failed = Object.values(world.theRun().nodes).filter((record) => record.phase === 'Failed');
    expect(failed).toHaveLength(1);
  });
});

describe('a run that waits', () => {
  const windows = [{ days: ['Sun' as const], start: '00:00', durationMs: 6 * hour, timeZone: 'UTC' }];

  it('says of every node when it may begin, and looks again at that moment', async () => {
    const world = new TinyWorld(
      Date.UTC(2026, 5, 6, 23, 55),
      aCluster({ policy: aPolicy({ windows }), requests: [aRequest('now')] }),
    );
    world.cluster.addNode('n1');
    const plan = await world.pass();
    const opens = Date.UTC(2026, 5, 7);
    expect(plan.nodes[0]).toMatchObject({ reason: 'OutsideWindow', at: opens });
    expect(plan.wakeAt).toBe(opens);
  });

  it('may wait a week from the first moment at which a node may start', async () => {
    const slot = Date.UTC(2026, 6, 1);
    const schedule = { kind: 'monthly' as const, at: '00:00', timeZone: 'UTC' };
    const until = Date.UTC(2026, 6, 10);
    const policy = aPolicy({
      windows,
      freezes: [{ kind: 'once', from: slot, until, reason: 'a launch' }],
      schedule: { schedule, startingDeadlineMs: hour, validForMs: undefined },
    });
    const world = new TinyWorld(slot - hour, aCluster({ policy }));
    world.cluster.addNode('n1');
    await world.run(12 * 24 * hour);
    expect(world.theRun()).toMatchObject({ state: 'Succeeded', validUntil: Date.UTC(2026, 6, 19) });
  });
});

describe('a cordon', () => {
  it('that somebody else set at the very moment of ours is theirs: the node is patched and stays cordoned', async () => {
    const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
    world.cluster.addNode('n1');
    world.onEffect = (what) => {
      if (what === 'cordon' && world.cluster.machine('n1').view.annotations['oakum.dev/cordoned-by'] === undefined)
        world.cluster.change('n1', { unschedulable: true });
    };
    await world.run(2 * hour);
    expect(world.ends()).toEqual(['n1: Patched/Patched']);
    expect(world.cluster.machine('n1').view.unschedulable).toBe(true);
  });
});
