// The pace of a run on a real API server: a canary with its soak, runs that only reboot.
import { expect, it } from 'vitest';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

it('lets the canary go alone, and the rest after its soak', async () => {
  const story = await on.tell({ count: 4 });
  story.oakum();
  const rollout = { concurrency: 3, canary: { nodes: 1, soak: '20s' } };
  story.commit({ 'clusters/prod/policy.yaml': policy({ rollout }), ...request('first') });
  const soaking = await story.says('the rest waits for the soak', (status) => {
    const soaks = status.nodes.filter((node) => node.reason === 'Soaking').length;
    return soaks === 3 && status.nodes.some((node) => node.patchedVersion !== '');
  });
  expect(soaking.nodes.filter((node) => node.patchedVersion !== '')).toHaveLength(1);
  await story.runIs('Succeeded');
  await story.provenOnce();
  const names = [...story.lights.nodes.keys()];
  const [canary = '', ...rest] = names.toSorted(
    (a, b) => (story.saw(a, 'cordoned')[0] ?? 0) - (story.saw(b, 'cordoned')[0] ?? 0),
  );
  const end = story.saw(canary, 'uncordoned')[0] ?? 0;
  for (const name of rest) expect((story.saw(name, 'cordoned')[0] ?? 0) - end).toBeGreaterThanOrEqual(20_000);
  expect(story.witness.mostOut()).toBeLessThanOrEqual(3);
  expect(story.witness.mostOut()).toBeGreaterThanOrEqual(2);
});

it('reboots only the nodes that another tool left needing it', async () => {
  const story = await on.tell({ count: 2 }, { pending: [] });
  story.patch.system('light-001').kernelNext = '6.1.0-60-amd64';
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ strategy: 'RebootOnly' }), ...request('first') });
  const status = await story.runIs('Succeeded');
  expect(status.runs[0]?.counts).toMatchObject({ total: 2, failed: 0 });
  expect(story.lights.node('light-001').boots()).toBe(1);
  expect(story.lights.node('light-001').kernel()).toBe('6.1.0-60-amd64');
  expect(story.lights.node('light-002').boots()).toBe(0);
  expect(story.witness.sightings.filter((one) => one.node === 'light-002')).toEqual([]);
  expect(new Set(story.patch.calls.map((call) => call.mode))).toEqual(new Set(['scan', 'reboot', 'verify']));
  expect(await story.cordoned()).toEqual([]);

  // A person asks for a reboot, whether it is needed or not.
  story.commit(request('reboot', { action: 'reboot', nodes: ['light-002'] }));
  await story.says('the reboot is done', (seen) =>
    seen.requests.some((one) => one.name === 'reboot' && one.state === 'Done'),
  );
  expect(story.lights.node('light-002').boots()).toBe(1);
  expect(story.lights.node('light-001').boots()).toBe(1);
  expect(await story.cordoned()).toEqual([]);
});
