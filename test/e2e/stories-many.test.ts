// Oakum is killed at twenty random points, and a large cluster is patched five nodes at a time, as an independent witness sees it.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { randomFrom } from './random.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

describe('Oakum is killed', () => {
  it('twenty times at random points, and every node is patched and rebooted once', async () => {
    const seed = Number(process.env['OAKUM_E2E_SEED'] ?? Date.now() % 1_000_000);
    console.log(`seed ${seed}; OAKUM_E2E_SEED=${seed} repeats it`);
    const random = randomFrom(seed);
    const story = await on.tell({ count: 10 });
    story.commit({
      'clusters/prod/policy.yaml': policy({ rollout: { concurrency: 2 } }),
      ...request('first'),
    });
    let early = 0;
    for (let kills = 0; kills < 20; kills++) {
      const oakum = story.oakum();
      await story.until('it holds the Lease', () => oakum.log().includes('the Lease is ours'));
      await sleep(random() * 1_500);
      await oakum.kill();
      if ((await story.status())?.runs[0]?.state === 'Succeeded') early++;
      // The dead holder's Lease would be waited for; another story shows that. Here a person takes it away.
      await on.stage.plane.admin.delete('/apis/coordination.k8s.io/v1/namespaces/os-patch/leases/oakum');
    }
    expect(early, 'kills that came after the end').toBeLessThan(5);
    story.oakum();
    const status = await story.runIs('Succeeded', 420_000);
    expect(status.runs).toHaveLength(1);
    await story.provenOnce();
    expect(story.witness.mostOut()).toBeLessThanOrEqual(2);
  });
});

describe('many nodes', () => {
  it('never takes more than five of fifty out', async () => {
    const story = await on.tell({ count: 50, zones: ['a', 'b', 'c'] });
    story.oakum();
    story.commit({
      'clusters/prod/policy.yaml': policy({ rollout: { concurrency: 5 } }),
      ...request('first'),
    });
    const status = await story.runIs('Succeeded', 420_000);
    expect(status.runs[0]?.message).toMatch(/^50 patched/);
    await story.provenOnce();
    expect(story.witness.mostOut()).toBeLessThanOrEqual(5);
    // Fewer would be slower than it was asked to be.
    expect(story.witness.mostOut()).toBeGreaterThanOrEqual(4);
  });
});
