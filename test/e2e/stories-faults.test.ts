// What goes wrong on nodes and Jobs, on a real API server: the way out is said, and nothing is called done that is not.
import { expect, it } from 'vitest';
import { stands } from './seen.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

// A node that is silent is judged lost after 22 s instead of 50 s.
const on = openStage({ extraFlags: { controllers: ['--node-monitor-grace-period=22s'] } });

const jobs = '/apis/batch/v1/namespaces/os-patch/jobs';

it('goes on with the others when a node is deleted in the middle', async () => {
  const story = await on.tell({ count: 3 });
  story.patch.system('light-001').durationMs = { patch: 20_000 };
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  await story.until('light-001 is being patched', async () => (await story.jobs('patch'))?.length === 1);
  await story.lights.node('light-001').remove();
  const status = await story.runIs('Succeeded');
  expect(status.nodes.map((node) => node.name)).toEqual(['light-002', 'light-003']);
  expect(status.runs[0]?.message).toMatch(/^2 patched/);
  for (const name of ['light-002', 'light-003']) expect(story.patch.installs(name)).toBe(1);
  await story.until('no Job is left that works on the node that is gone', async () => {
    const left = await on.stage.plane.admin.get<{ items: { status?: { active?: number } }[] }>(jobs);
    return left.items.every((job) => (job.status?.active ?? 0) === 0);
  });
});

it('attaches to the work again when its Job is deleted by hand', async () => {
  const story = await on.tell({ count: 1 });
  story.patch.system('light-001').durationMs = { patch: 4_000 };
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  await story.until('the patch Job has a running pod', async () => {
    const { items } = await on.stage.plane.admin.get<{ items: { status?: { ready?: number } }[] }>(
      `${jobs}?labelSelector=oakum.dev/step%3Dpatch`,
    );
    return items.some((job) => job.status?.ready === 1);
  });
  const [job] = await story.jobs('patch');
  await on.stage.plane.admin.delete(`${jobs}/${job?.metadata.name ?? ''}?propagationPolicy=Background`);
  await story.runIs('Succeeded');
  expect(story.patch.installs('light-001')).toBe(1);
  expect(story.patch.rebootsAsked('light-001')).toBe(1);
  expect(await story.cordoned()).toEqual([]);
});

it('says why a Job never gets a pod, and leaves the node as it was', async () => {
  const story = await on.tell({ count: 1 });
  const level = (enforce: string): Promise<unknown> =>
    on.stage.plane.admin.patch('/api/v1/namespaces/os-patch', {
      metadata: { labels: { 'pod-security.kubernetes.io/enforce': enforce } },
    });
  await level('baseline');
  try {
    story.oakum(['--job-start-timeout', '8s']);
    story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
    const status = await story.runIs('Failed');
    expect(status.runs[0]).toMatchObject({
      reason: 'RunFailed',
      message: expect.stringContaining('1 failed') as string,
    });
    const [node] = status.nodes;
    expect(`${node?.reason}: ${node?.message}`).toMatch(/JobNotStarting: .*violates PodSecurity "baseline/);
    expect(story.witness.sightings).toEqual([]);
    expect(story.patch.calls).toEqual([]);
    await story.until('the Job that could not start is gone', async () => (await story.jobs('download'))?.length === 0);
  } finally {
    await level('privileged');
  }
});

it('keeps a node out whose package failed to configure, and stops at maxFailures', async () => {
  const story = await on.tell({ count: 2 });
  story.patch.system('light-001').faults.push({ mode: 'patch', code: 'SCRIPT_FAILED', times: 9 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  const status = await story.runIs('Paused');
  expect(status.nodes).toMatchObject([
    { name: 'light-001', phase: 'Quarantined' },
    { name: 'light-002', phase: 'Pending', reason: 'Paused' },
  ]);
  expect(status.nodes[0]?.message).toContain('SCRIPT_FAILED');
  expect(await story.cordoned()).toEqual(['light-001']);
  expect(story.patch.calls.filter((call) => call.node === 'light-002')).toEqual([]);
  expect(await story.kubectl('get', 'nodes', '-L', 'oakum.dev/phase')).toMatch(
    /light-001 +Ready,SchedulingDisabled .* Quarantined\n/,
  );
  const described = await story.kubectl('describe', 'node', 'light-001');
  expect(described).toMatch(/oakum\.dev\/last-error: .*SCRIPT_FAILED/);
  expect(described).toMatch(/Warning +\w+ .*SCRIPT_FAILED/);
});

it('stops the run when a node does not come back from its reboot', async () => {
  const story = await on.tell({ count: 2 });
  story.patch.system('light-001').comesBack = false;
  story.oakum();
  story.commit({
    'clusters/prod/policy.yaml': policy({ rollout: { maxFailures: 5 } }),
    ...request('first'),
  });
  const status = await story.runIs('Paused');
  expect(status.runs[0]).toMatchObject({ state: 'Paused', reason: 'NotRejoined' });
  expect(status.nodes).toMatchObject([
    { name: 'light-001', phase: 'Quarantined', reason: 'NotRejoined' },
    { name: 'light-002', phase: 'Pending', reason: 'NotRejoined' },
  ]);
  expect(await story.cordoned()).toEqual(['light-001']);
  expect(story.calls('light-002')).toEqual([]);

  // A person brings it back by its console, and says by a commit that the run may go on. It does not: the node was never proven, and its
  // cordon has the only seat, until the person takes that away too.
  await story.lights.node('light-001').powerOn();
  story.commit(request('back', { action: 'resume' }));
  const waiting = await story.says('the other node waits for the seat', stands('Pending', 'NoRoomInBudget'));
  expect(waiting.nodes[1]?.message).toContain('light-001 (quarantined)');
  expect(await story.cordoned()).toEqual(['light-001']);
  await story.kubectl('uncordon', 'light-001');
  const ended = await story.runIs('Failed');
  expect(ended.runs[0]?.counts).toMatchObject({ total: 2, patched: 1, failed: 1 });
  expect(story.patch.installs('light-002')).toBe(1);
  expect(await story.cordoned()).toEqual([]);
});
