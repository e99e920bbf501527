// The pace of a run on a real API server: a canary with its soak, a window that closes in the middle, runs that only reboot.
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

it('stops between two nodes when the window closes, and goes on in the next one', async () => {
  const story = await on.tell({ count: 3 });
  for (const name of story.lights.nodes.keys()) story.patch.system(name).durationMs = { patch: 22_000 };
  // Open for one minute, closed for the next: from the next minute on.
  const parity = (new Date().getUTCMinutes() + 1) % 2;
  const windows = [{ cron: parity === 0 ? '*/2 * * * *' : '1-59/2 * * * *', duration: '1m', timeZone: 'UTC' }];
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ windows }), ...request('first') });
  const middle = await story.says('the window has closed in the middle of the run', (status) => {
    const done = status.nodes.filter((node) => node.patchedVersion !== '').length;
    const waits = status.nodes.filter((node) => ['OutsideWindow', 'WindowTooShort'].includes(node.reason)).length;
    return done > 0 && waits > 0 && done + waits === 3;
  });
  expect(middle.runs[0]?.state).toBe('Running');
  await story.runIs('Succeeded', 420_000);
  await story.provenOnce();
  // Every node began while a window was open (its Job needs a moment to get there), and not all in the same one.
  const began = [...story.lights.nodes.keys()].map((name) => story.calls(name, 'download')[0]?.at ?? 0);
  const open = (at: number): boolean => new Date(at).getUTCMinutes() % 2 === parity;
  for (const at of began) expect(open(at) || open(at - 15_000), new Date(at).toISOString()).toBe(true);
  expect(new Set(began.map((at) => Math.floor(at / 60_000))).size).toBeGreaterThan(1);
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
