// Maintenance on a real API server: by hand, by a request that ends by its time or with its file; and by another tool, which is waited for.
import { expect, it } from 'vitest';
import { kuredRebootAnnotation } from '../../reconciler/model/names.ts';
import { startDeployment } from '../lab/workloads.ts';
import { stands } from './seen.ts';
import { openStage, workNamespace } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

it('holds a node out until the time of the request', async () => {
  const story = await on.tell({ count: 2 });
  const web = { namespace: workNamespace, name: 'web', replicas: 2, spread: false, budget: { maxUnavailable: 1 } };
  await startDeployment(on.stage.plane.admin, web);
  story.oakum();
  const until = Date.now() + 75_000;
  story.commit({
    'clusters/prod/policy.yaml': policy(),
    ...request('new-disk', {
      action: 'maintenance',
      nodes: ['light-001'],
      until: new Date(until).toISOString(),
      reason: 'light-001 gets a new disk',
    }),
  });
  const held = await story.says('the node is held out', stands('Held', 'HeldOut'));
  expect(held.nodes.find((node) => node.name === 'light-001')?.message).toMatch(/empty and held out until 20/);
  expect(await story.cordoned()).toEqual(['light-001']);
  const { items } = await on.stage.plane.admin.get<{ items: { spec: { nodeName?: string } }[] }>(
    `/api/v1/namespaces/${workNamespace}/pods`,
  );
  expect(items.map((pod) => pod.spec.nodeName)).not.toContain('light-001');

  const over = await story.says('the maintenance is over', (status) => status.runs[0]?.state === 'Succeeded');
  expect(over.nodes.find((node) => node.name === 'light-001')?.reason).not.toBe('HeldOut');
  expect(await story.cordoned()).toEqual([]);
  expect(story.saw('light-001', 'uncordoned')).toHaveLength(1);
  expect(story.saw('light-001', 'uncordoned')[0]).toBeGreaterThanOrEqual(until);
  expect(story.patch.calls).toEqual([]);
});

it('gives a node back when the file of the request is taken away, and patches the others meanwhile', async () => {
  const story = await on.tell({ count: 2 });
  story.oakum();
  const until = new Date(Date.now() + 3_600_000).toISOString();
  const disk = request('new-disk', { action: 'maintenance', nodes: ['light-001'], until });
  story.commit({ 'clusters/prod/policy.yaml': policy({ rollout: { concurrency: 2 } }), ...disk });
  await story.says('the node is held out', stands('Held', 'HeldOut'));

  story.commit(request('first'), 'patch all, as far as it goes');
  const status = await story.says('the other node is patched', (seen) =>
    seen.nodes.some((node) => node.name === 'light-002' && node.patchedVersion !== ''),
  );
  expect(status.runs.map((run) => run.state)).not.toContain('Succeeded');
  expect(story.calls('light-001')).toEqual([]);
  expect(await story.cordoned()).toEqual(['light-001']);

  const [file = ''] = Object.keys(disk);
  story.commit({ [file]: undefined }, 'the disk is in');
  await story.says('both runs are over', (seen) => seen.runs.every((run) => run.state === 'Succeeded'));
  await story.provenOnce();
});

it('waits for a node that another tool is rebooting, and takes it when the mark is gone', async () => {
  const story = await on.tell({ count: 3 });
  const mark = (value: string | null): Promise<unknown> =>
    on.stage.plane.admin.patch('/api/v1/nodes/light-001', {
      metadata: { annotations: { [kuredRebootAnnotation]: value } },
    });
  await mark('2026-11-21T10:00:00Z');
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ rollout: { concurrency: 2 } }), ...request('first') });
  const waiting = await story.says(
    'the others are patched',
    (seen) => seen.nodes.filter((node) => node.patchedVersion !== '').length === 2,
  );
  expect(waiting.nodes.find((node) => node.name === 'light-001')).toMatchObject({
    phase: 'Pending',
    reason: 'ForeignMaintenance',
  });
  expect(waiting.nodes.find((node) => node.name === 'light-001')?.message).toMatch(/kured/);
  expect(story.calls('light-001')).toEqual([]);
  // The node of the other tool counts as out, so that the two others went one after the other.
  expect(story.witness.mostOut()).toBe(1);

  await mark(null);
  await story.runIs('Succeeded');
  await story.provenOnce();
});
