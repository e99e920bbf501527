// Hooks on a real API server: CronJobs of an administrator, called for each node at the right moment, by the Jobs that Oakum makes of them.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { hookNamespace } from '../../reconciler/model/names.ts';
import { stands } from './seen.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();
const hooks = { before: ['warm-cache'], after: ['smoke-test'] };

/** What an administrator puts there once. */
async function addHook(name: string): Promise<void> {
  const containers = [{ name: 'main', image: `example.invalid/${name}:1` }];
  const template = { spec: { restartPolicy: 'Never', containers } };
  await on.stage.plane.admin.create(`/apis/batch/v1/namespaces/${hookNamespace}/cronjobs`, {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name },
    spec: { suspend: true, schedule: '0 0 1 1 *', jobTemplate: { spec: { backoffLimit: 0, template } } },
  });
}

it('waits until its hooks are there, and calls each once for each node: before it is cordoned, and before it takes pods again', async () => {
  const story = await on.tell({ count: 2 });
  await addHook('warm-cache');
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ hooks }), ...request('first') });
  await story.says('a hook is missing', ({ nodes }) =>
    nodes.some(({ reason, message }) => reason === 'HookMissing' && /smoke-test.*oakum-hooks/.test(message)),
  );
  expect(story.patch.calls).toEqual([]);

  await addHook('smoke-test');
  await story.runIs('Succeeded');
  await story.provenOnce();
  const { hookCalls } = story.patch;
  for (const name of story.lights.nodes.keys()) {
    const own = hookCalls.filter(({ node }) => node === name);
    expect(own).toMatchObject([
      { hook: 'warm-cache', phase: 'before' },
      { hook: 'smoke-test', phase: 'after' },
    ]);
    const [before, after] = own;
    expect(before?.at).toBeGreaterThanOrEqual(story.calls(name, 'download').at(-1)?.at ?? Infinity);
    expect(before?.at).toBeLessThan(story.saw(name, 'cordoned')[0] ?? 0);
    expect(after?.at).toBeGreaterThanOrEqual(story.calls(name, 'verify').at(-1)?.at ?? Infinity);
    expect(after?.at).toBeLessThan(story.saw(name, 'uncordoned')[0] ?? 0);
  }
  expect(hookCalls).toHaveLength(4);
});

it('keeps a node cordoned whose hook says no, and takes no other', async () => {
  const story = await on.tell({ count: 2 });
  for (const name of ['warm-cache', 'smoke-test']) await addHook(name);
  story.patch.failingHooks.add('smoke-test');
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ hooks }), ...request('first') });
  const status = await story.says('a node is quarantined', stands('Quarantined', 'HookFailed'));
  const bad = status.nodes.find(({ phase }) => phase === 'Quarantined')?.name ?? '';
  const other = [...story.lights.nodes.keys()].find((name) => name !== bad) ?? '';
  await sleep(5_000);
  expect(await story.cordoned()).toEqual([bad]);
  expect(story.patch.installs(bad)).toBe(1);
  expect(story.calls(other, 'patch')).toEqual([]);
});
