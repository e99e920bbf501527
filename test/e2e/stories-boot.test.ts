// Patch on boot on a real API server: the taint of a node's registration, the scheduler that respects it, and how it goes.
import { expect, it } from 'vitest';
import { unpatchedTaint } from '../../reconciler/model/names.ts';
import type { ApiObject } from '../lab/api.ts';
import { follow } from '../lab/follow.ts';
import { startDeployment } from '../lab/workloads.ts';
import { openStage, workNamespace } from './stage.ts';
import type { LightStory } from './story.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

/** What a kubelet with --register-with-taints gives its node. */
const born = { taints: [{ key: unpatchedTaint, effect: 'NoSchedule' }] };
const onBoot = { enabled: true, timeout: '5m' };

const tainted = async (story: LightStory, name: string): Promise<boolean> =>
  (await story.node(name)).spec.taints?.some((taint) => taint.key === unpatchedTaint) === true;

it('patches a node that joins before a pod lands on it', async () => {
  const story = await on.tell({ count: 1 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ onBoot }) });
  await story.says('the policy is known', (status) => status.nodes[0]?.reason === 'NotYet');
  const web = { namespace: workNamespace, name: 'web', spread: true };
  await startDeployment(on.stage.plane.admin, { ...web, replicas: 1 });
  /** What had been done to the new node when the first pod was assigned to it. */
  let landed: { readonly installs: number; readonly boots: number } | undefined;
  const pods = follow<ApiObject & { spec: { nodeName?: string } }>(
    on.stage.plane.admin,
    `/api/v1/namespaces/${workNamespace}/pods`,
    {
      seen: (pod) => {
        if (pod.spec.nodeName !== 'new-001' || landed !== undefined) return;
        landed = { installs: story.patch.installs('new-001'), boots: story.lights.nodes.get('new-001')?.boots() ?? 0 };
      },
      gone: () => undefined,
    },
  );
  try {
    // A second pod that must have another node: it waits for the one that the autoscaler brings.
    await on.stage.plane.admin.patch(`/apis/apps/v1/namespaces/${workNamespace}/deployments/web`, {
      spec: { replicas: 2 },
    });
    story.patch.system('new-001').durationMs = { patch: 3_000 };
    await story.lights.add('new-001', born);
    const status = await story.says('the node is patched', (seen) =>
      seen.runs.some((run) => /-boot/.test(run.id) && run.state === 'Succeeded'),
    );
    expect(status.nodes.find((node) => node.name === 'new-001')?.patchedVersion).toMatch(/^debian 12/);
    await story.until('the pod has landed on it', () => landed !== undefined);
  } finally {
    await pods.stop();
  }
  expect(landed).toMatchObject({ installs: 1, boots: 1 });
  expect(await tainted(story, 'new-001')).toBe(false);
  // Nothing was there to be disturbed, so nothing was cordoned; and the old node had no part in it.
  expect(story.saw('new-001', 'cordoned')).toEqual([]);
  expect(story.calls('light-001')).toEqual([]);
  expect((await story.node('new-001')).metadata.annotations['oakum.dev/last-patched']).toMatch(/^20/);
});

it('lets a node go that cannot be patched, says so, and patches it in the next run', async () => {
  const story = await on.tell({ count: 1 });
  story.patch.system('new-001').faults.push({ mode: 'download', code: 'REPO_UNREACHABLE', times: 99 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ onBoot }) });
  await story.says('the policy is known', (status) => status.nodes[0]?.reason === 'NotYet');
  await story.lights.add('new-001', born);
  const status = await story.says('it is reported', (seen) =>
    seen.nodes.some((node) => node.name === 'new-001' && node.lastError.startsWith('BootPatchFailed')),
  );
  expect(status.nodes.find((node) => node.name === 'new-001')?.lastError).toMatch(/RepositoryUnavailable/);
  await story.until('the taint is gone', async () => !(await tainted(story, 'new-001')));
  expect(story.patch.installs('new-001')).toBe(0);
  expect(await story.kubectl('describe', 'node', 'new-001')).toMatch(/Warning +BootPatchFailed/);

  story.patch.system('new-001').faults.length = 0;
  story.commit(request('next'));
  await story.says('the next run is done', (seen) =>
    seen.runs.some((run) => run.id.endsWith('-next') && run.state === 'Succeeded'),
  );
  await story.provenOnce();
});

it('keeps the taint where the policy says so, until a run has patched the node', async () => {
  const story = await on.tell({ count: 1 });
  story.patch.system('new-001').faults.push({ mode: 'patch', code: 'SCRIPT_FAILED', times: 99 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ onBoot: { ...onBoot, onFailure: 'keep' } }) });
  await story.says('the policy is known', (status) => status.nodes[0]?.reason === 'NotYet');
  await story.lights.add('new-001', born);
  await story.says('it is reported', (seen) =>
    seen.nodes.some((node) => node.name === 'new-001' && node.reason === 'BootPatchFailed'),
  );
  expect(await tainted(story, 'new-001')).toBe(true);

  story.patch.system('new-001').faults.length = 0;
  story.commit(request('next', { nodes: ['new-001'] }));
  await story.says('the next run is done', (seen) =>
    seen.runs.some((run) => run.id.endsWith('-next') && run.state === 'Succeeded'),
  );
  await story.until('the taint is gone', async () => !(await tainted(story, 'new-001')));
  expect(await story.cordoned()).toEqual([]);
});

it('lets a node go at once under FREEZE', async () => {
  const story = await on.tell({ count: 1 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ onBoot }), FREEZE: '' });
  await story.says('the freeze is known', (status) => status.nodes[0]?.reason === 'Frozen');
  await story.lights.add('new-001', born);
  await story.until('the taint is gone', async () => !(await tainted(story, 'new-001')));
  expect(story.calls('new-001')).toEqual([]);
  const described = await story.kubectl('describe', 'node', 'new-001');
  expect(described).toMatch(/Frozen/);
});
