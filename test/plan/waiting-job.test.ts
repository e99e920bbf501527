// A Job whose pod does not start: Events say why, and nobody wakes us when they come.
import { expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { Killed, TinyWorld } from '../support/tiny-world.ts';

it('is looked at every few seconds, although nothing in the cluster changes', async () => {
  const world = new TinyWorld(undefined, aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.cluster.addNode('worker-1', { behaviour: { stuckJobs: 1 } });
  await world.run(60_000, () => world.cluster.jobsOf('download').length === 1);
  const began = world.now;
  const looks: number[] = [];
  await world.run(120_000, () => {
    looks.push(world.now - began);
    return false;
  });
  const gaps = looks.map((at, index) => at - (looks[index - 1] ?? 0));
  expect(Math.max(...gaps)).toBeLessThanOrEqual(15_000);
  expect(looks.length).toBeLessThan(30);
});

it('is deleted when it was given up: it would begin later, on a node that takes pods again', async () => {
  const world = new TinyWorld(undefined, aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.cluster.addNode('worker-1', { behaviour: { stuckJobs: 1 } });
  await world.run(3_600_000);
  expect(world.ends()).toEqual(['worker-1: Failed/JobNotStarting']);
  const { jobs } = await world.cluster.observe({ podsOn: [], budgets: false });
  expect(jobs).toEqual([]);
});

it('is deleted too when the controller was killed between its word and the deletion', async () => {
  const world = new TinyWorld(undefined, aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.cluster.addNode('worker-1', { behaviour: { stuckJobs: 1 } });
  world.onEffect = (what) => {
    if (what === 'deleteJob') throw new Killed();
  };
  await expect(world.run(3_600_000)).rejects.toThrow(Killed);
  world.onEffect = () => undefined;
  world.restart();
  await world.run(60_000);
  const { jobs } = await world.cluster.observe({ podsOn: [], budgets: false });
  expect(jobs).toEqual([]);
});

it('is deleted before the node takes pods again, when the patch was given up', async () => {
  const world = new TinyWorld(undefined, aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.cluster.addNode('worker-1');
  await world.run(3_600_000, () => world.theRun().nodes['worker-1']?.phase === 'Cordoning');
  world.cluster.machine('worker-1').behaviour.stuckJobs = 1;
  await world.run(3_600_000);
  expect(world.ends()).toEqual(['worker-1: Failed/JobNotStarting']);
  const kinds = world.cluster.done.map(({ kind }) => kind).filter((kind) => ['deleteJob', 'uncordon'].includes(kind));
  expect(kinds).toEqual(['deleteJob', 'uncordon']);
});
