// When a run begins: slots, requests, what comes too late, what falls together, and commands that steer.
import { describe, expect, it } from 'vitest';
import { nextSlot, type Schedule } from '../../reconciler/model/schedule.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const start = Date.UTC(2026, 5, 1, 12);

function scheduled(schedule: Schedule, more: { startingDeadlineMs?: number; validForMs?: number } = {}): TinyWorld {
  const policy = aPolicy({ schedule: { schedule, startingDeadlineMs: 12 * hour, validForMs: undefined, ...more } });
  const world = new TinyWorld(start, aCluster({ policy }));
  world.cluster.addNode('worker-1');
  return world;
}

const sundays: Schedule = { kind: 'weekly', at: '00:00', timeZone: 'UTC' };

describe('a schedule', () => {
  it('opens a run at its slot, named by the slot and not by the moment it was seen', async () => {
    const world = scheduled(sundays);
    const slot = nextSlot(sundays, start) ?? 0;
    await world.run(slot - start + hour);
    expect(world.theRun().id).toBe('20260607-000000-schedule');
    expect(world.theRun().state).toBe('Succeeded');
  });

  it('never starts a run for a slot before it was first seen', async () => {
    const world = scheduled(sundays);
    world.now = (nextSlot(sundays, start) ?? 0) + 60_000;
    await world.run(hour);
    expect(world.runs()).toEqual([]);
  });

  it('catches up after a short outage and records Missed after a long one', async () => {
    for (const [outage, state] of [
      [2 * hour, 'Succeeded'],
      [20 * hour, 'Missed'],
    ] as const) {
      const world = scheduled(sundays);
      await world.pass();
      world.now = (nextSlot(sundays, start) ?? 0) + outage;
      await world.run(hour);
      expect(world.theRun().state).toBe(state);
    }
  });

  it('every slot gives exactly one run over half a year', async () => {
    const world = scheduled(sundays);
    await world.run(182 * day);
    expect(world.runs().length).toBe(26);
    expect(new Set(world.runs().map((run) => run.hash)).size).toBe(26);
  });
});

describe('a request', () => {
  const asked = (given = {}): TinyWorld => {
    const world = new TinyWorld(start, aCluster({ requests: [aRequest('now', given)] }));
    world.cluster.addNode('worker-1');
    return world;
  };

  it('with notBefore in the past means now', async () => {
    const world = asked({ notBefore: start - 3 * hour });
    await world.run(hour);
    expect(world.theRun().state).toBe('Succeeded');
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Done', reason: 'Completed' });
  });

  it('with notBefore in the future waits and says so', async () => {
    const world = asked({ notBefore: start + 3 * hour });
    await world.run(hour);
    expect(world.runs()).toEqual([]);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Waiting', reason: 'NotYet' });
    await world.run(3 * hour);
    expect(world.theRun().state).toBe('Succeeded');
  });

  it('that is too old is Expired and never runs', async () => {
    const world = asked();
    world.committedAt = start - 2 * day;
    await world.run(hour);
    expect(world.runs()).toEqual([]);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Expired' });
  });

  it('acts once: edited afterwards it is refused aloud', async () => {
    const world = asked();
    await world.run(hour);
    world.change({ requests: [aRequest('now', { oid: 'other' })] });
    await world.run(hour);
    expect(world.runs().length).toBe(1);
    expect(world.ledger?.requests['now']).toMatchObject({ reason: 'AlreadyHandled' });
  });

  it('again under another name with nothing new ends as NothingToDo, never as silence', async () => {
    const world = asked();
    await world.run(hour);
    world.change({ requests: [aRequest('now'), aRequest('again')] });
    await world.run(hour);
    expect(world.runs().map((run) => run.state)).toEqual(['Succeeded', 'NothingToDo']);
    expect(world.ledger?.requests['again']).toMatchObject({ state: 'Done', reason: 'NothingToDo' });
  });

  it('for a node that is not there is refused with the name', async () => {
    const world = asked({ nodes: ['worker-9'] });
    await world.run(hour);
    expect(world.runs()).toEqual([]);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Refused', reason: 'NoMatchingNodes' });
    expect(world.ledger?.requests['now']?.message).toContain('worker-9');
  });

  it('for one node leaves the others alone', async () => {
    const world = asked({ nodes: ['worker-1'] });
    world.cluster.addNode('worker-2');
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });

  it('taken away before it began ends its run', async () => {
    const world = asked();
    world.change({ frozen: 'cluster' });
    await world.run(hour);
    expect(world.theRun()).toMatchObject({ state: 'Scheduled', reason: 'Frozen' });
    world.change({ requests: [], frozen: undefined });
    await world.run(hour);
    expect(world.theRun()).toMatchObject({ state: 'Aborted' });
  });

  it('that waits past its time says what it waited for', async () => {
    const world = asked();
    world.change({ frozen: 'fleet' });
    await world.run(2 * day);
    expect(world.theRun()).toMatchObject({ state: 'Expired' });
    expect(world.theRun().message).toContain('Frozen');
  });
});

describe('two triggers', () => {
  it('for the same work that wait together are one run', async () => {
    const world = new TinyWorld(start, aCluster({ requests: [aRequest('one'), aRequest('two')], frozen: 'fleet' }));
    world.cluster.addNode('worker-1');
    await world.run(hour);
    expect(world.theRun().triggers.length).toBe(2);
    world.change({ frozen: undefined });
    await world.run(hour);
    expect(world.ledger?.requests['two']).toMatchObject({ state: 'Done' });
  });

  it('for different work queue up', async () => {
    const world = new TinyWorld(
      start,
      aCluster({ requests: [aRequest('one', { nodes: ['worker-1'] }), aRequest('two', { nodes: ['worker-2'] })] }),
    );
    world.cluster.addNode('worker-1');
    world.cluster.addNode('worker-2');
    await world.run(60_000, () => world.runs().some((run) => run.state === 'Running'));
    expect(world.runs().map((run) => run.reason)).toContain('OtherRunActive');
    await world.run(2 * hour);
    expect(world.runs().map((run) => run.state)).toEqual(['Succeeded', 'Succeeded']);
  });
});

describe('a command', () => {
  const failing = async (): Promise<TinyWorld> => {
    const world = new TinyWorld(start, aCluster({ requests: [aRequest('now')] }));
    world.cluster.addNode('worker-1', { behaviour: { fail: { download: 'DISK_FULL_VAR' } } });
    world.cluster.addNode('worker-2');
    world.cluster.addNode('worker-3');
    await world.run(hour);
    expect(world.theRun()).toMatchObject({ state: 'Paused', reason: 'Paused' });
    return world;
  };
  const also = (name: string, given: Parameters<typeof aRequest>[1]): { requests: ReturnType<typeof aRequest>[] } => ({
    requests: [aRequest('now'), aRequest(name, given)],
  });

  it('resume goes on without the failed node', async () => {
    const world = await failing();
    world.change(also('go-on', { action: 'resume' }));
    await world.run(hour);
    expect(world.ends()).toEqual([
      'worker-1: Failed/DiskFull',
      'worker-2: Patched/Patched',
      'worker-3: Patched/Patched',
    ]);
    expect(world.theRun().state).toBe('Failed');
  });

  it('retry tries the failed node again and goes on', async () => {
    const world = await failing();
    world.cluster.machine('worker-1').behaviour.fail = {};
    world.change(also('once-more', { action: 'retry' }));
    await world.run(hour);
    expect(world.theRun().state).toBe('Succeeded');
  });

  it('abort starts nothing more', async () => {
    const world = await failing();
    world.change(also('stop', { action: 'abort', reason: 'wrong night' }));
    await world.run(hour);
    expect(world.theRun()).toMatchObject({ state: 'Aborted', message: 'wrong night' });
    expect(world.cluster.machine('worker-2').behaviour.pending).toBe(3);
  });

  it('skip takes one waiting node out', async () => {
    const world = await failing();
    world.change({
      requests: [
        aRequest('now'),
        aRequest('without-2', { action: 'skip', nodes: ['worker-2'] }),
        aRequest('go-on', { action: 'resume' }),
      ],
    });
    await world.run(hour);
    expect(world.ends()).toEqual([
      'worker-1: Failed/DiskFull',
      'worker-2: Skipped/SkippedByPerson',
      'worker-3: Patched/Patched',
    ]);
  });

  it('that fits nothing is refused aloud', async () => {
    const world = new TinyWorld(start, aCluster({ requests: [aRequest('go-on', { action: 'resume' })] }));
    world.cluster.addNode('worker-1');
    await world.run(60_000);
    expect(world.ledger?.requests['go-on']).toMatchObject({ state: 'Refused' });
  });
});
