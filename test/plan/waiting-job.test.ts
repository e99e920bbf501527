// A Job whose pod does not start: Events say why, and nobody wakes us when they come.
import { expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

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
