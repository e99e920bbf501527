// A rollout through two real control planes: who goes first, who waits, and for how long, as the nodes themselves tell it.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { patience } from '../lab/wait.ts';
import { answered, type SeenStatus } from './seen.ts';
import { openStage } from './stage.ts';
import type { LightStory } from './story.ts';
import { policy, request, written } from './wishes.ts';

const firsts = openStage();
const laters = openStage();
const soakMs = 12_000;

/** Two clusters of one repository, one in each wave, and a rollout that starts as soon as it is read. */
async function twoWaves(): Promise<{ dev: LightStory; prod: LightStory }> {
  const dev = await firsts.tell({ count: 2 });
  const prod = await laters.tell({ count: 2 }, {}, dev.git);
  const files: Record<string, string> = {};
  for (const name of ['dev', 'prod']) {
    files[`clusters/${name}/cluster.yaml`] = written('Cluster', name, { labels: { environment: name } });
    files[`clusters/${name}/policy.yaml`] = policy({}, name);
  }
  dev.commit(files);
  dev.commit({ 'rollouts/now.yaml': rollout() });
  return { dev, prod };
}

function rollout(): string {
  const start = new Date(Math.floor(Date.now() / 1_000) * 1_000).toISOString().replace('.000Z', 'Z');
  return written('Rollout', 'now', {
    start,
    waves: [
      { name: 'dev', selector: 'environment=dev', soak: `${soakMs / 1_000}s` },
      { name: 'prod', selector: 'environment=prod' },
    ],
  });
}

/** Whether a run of this cluster stands so in Git. */
const run =
  (state: string, reason: string) =>
  (status: SeenStatus): boolean =>
    status.runs.some((one) => one.state === state && one.reason === reason);

const ended = run('Succeeded', 'Completed');

/** When the last node came back, as its own API server told the witness. */
const lastBack = (story: LightStory): number =>
  Math.max(...[...story.lights.nodes.keys()].flatMap((name) => story.saw(name, 'uncordoned')));

/** When anything at all was first done to a node: the first call of the script on it, or the first change of the node. */
const firstTouch = (story: LightStory): number =>
  Math.min(...story.patch.calls.map(({ at }) => at), ...story.witness.sightings.map(({ at }) => at));

function untouched(story: LightStory): void {
  expect(story.patch.calls).toEqual([]);
  expect(story.witness.sightings).toEqual([]);
}

it('takes the second cluster when the first is done and has soaked', async () => {
  const { dev, prod } = await twoWaves();
  dev.hub({ dev: dev.kubeconfig, prod: prod.kubeconfig });
  await dev.says('prod waits for dev', run('Scheduled', 'WaveBefore'), undefined, 'prod');
  await dev.says('dev is done', ended, undefined, 'dev');
  await dev.provenOnce();
  await dev.says('prod waits while dev soaks', run('Scheduled', 'WaveSoaking'), undefined, 'prod');
  await dev.says('prod is done', ended, undefined, 'prod');
  await prod.provenOnce();
  expect(firstTouch(prod)).toBeGreaterThanOrEqual(lastBack(dev) + soakMs);
  // A hub knows at once that the wave before has ended: nothing was waited for but the soak.
  expect(firstTouch(prod)).toBeLessThan(lastBack(dev) + soakMs + 60_000 * patience);
});

it('keeps the second cluster waiting while the first has failed, and goes on when that was made good', async () => {
  const { dev, prod } = await twoWaves();
  const full = { mode: 'download', code: 'DISK_FULL_VAR', times: 99 } as const;
  const { faults } = dev.patch.system('light-002');
  faults.push({ ...full });
  dev.hub({ dev: dev.kubeconfig, prod: prod.kubeconfig });
  const held = await dev.says('prod is held', run('Scheduled', 'WaveFailed'), undefined, 'prod');
  expect(held.runs[0]?.message).toMatch(/^1 of 1 clusters of wave dev failed \(maxFailures 1\): dev \(Failed, /);
  // Longer than the soak: it is the failure that it waits for.
  await sleep(soakMs + 3_000);
  untouched(prod);

  faults.length = 0;
  dev.commit(request('again', {}, 'dev'));
  await dev.says('dev is made good', answered('again', 'Done'), undefined, 'dev');
  const mended = lastBack(dev);
  await dev.says('prod is done', ended, undefined, 'prod');
  await dev.provenOnce();
  await prod.provenOnce();
  expect(firstTouch(prod)).toBeGreaterThanOrEqual(mended + soakMs);
});

it('is kept by two agents that know of each other only what stands in Git, also while one of them is gone', async () => {
  const { dev, prod } = await twoWaves();
  const agent = (name: string, { kubeconfig }: LightStory) =>
    dev.oakum([], ['--cluster', name, '--kubeconfig', kubeconfig]);
  for (const name of dev.lights.nodes.keys()) dev.patch.system(name).durationMs = { patch: 5_000 };
  const first = agent('dev', dev);
  agent('prod', prod);
  await dev.until('a node of dev is being patched', () => dev.patch.calls.some(({ mode }) => mode === 'patch'));
  await first.kill();
  // Whether it has read a word of dev by now or not: it waits.
  const waits = (status: SeenStatus): boolean =>
    run('Scheduled', 'WaveBefore')(status) || run('Scheduled', 'WaveUnknown')(status);
  await dev.says('prod waits for dev', waits, undefined, 'prod');
  // What Git says of dev is old now, and says nothing of an end.
  await sleep(soakMs + 3_000);
  untouched(prod);

  agent('dev', dev);
  await dev.says('dev is done', ended, undefined, 'dev');
  await dev.provenOnce();
  await dev.says('prod is done', ended, 300_000, 'prod');
  await prod.provenOnce();
  expect(firstTouch(prod)).toBeGreaterThanOrEqual(lastBack(dev) + soakMs);
});
