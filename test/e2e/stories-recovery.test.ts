// When nodes have failed, on a real API server: the run pauses, and a commit lets it go on, try again, or end.
import { expect, it } from 'vitest';
import { ownNamespace } from '../../reconciler/model/names.ts';
import { answered, stands } from './seen.ts';
import { openStage } from './stage.ts';
import type { LightStory } from './story.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

/** The first of three nodes has no space, which pauses the run. */
async function paused(): Promise<LightStory> {
  const story = await on.tell({ count: 3 });
  story.patch.system('light-001').faults.push({ mode: 'download', code: 'DISK_FULL_VAR', times: 99 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  const status = await story.runIs('Paused');
  expect(status.nodes).toMatchObject([
    { name: 'light-001', phase: 'Failed', reason: 'DiskFull' },
    { name: 'light-002', phase: 'Pending', reason: 'Paused' },
    { name: 'light-003', phase: 'Pending', reason: 'Paused' },
  ]);
  expect(story.witness.sightings).toEqual([]);
  return story;
}

it('goes on without the failed node when a person says resume', async () => {
  const story = await paused();
  story.commit(request('go-on', { action: 'resume' }));
  const status = await story.runIs('Failed');
  expect(status.requests.find((one) => one.name === 'go-on')?.state).toBe('Done');
  expect(status.runs[0]?.counts).toMatchObject({ total: 3, patched: 2, failed: 1 });
  expect(story.patch.installs('light-001')).toBe(0);
  await story.provenOnce(['light-002', 'light-003']);
});

it('tries the failed node again when a person says retry, and then succeeds', async () => {
  const story = await paused();
  story.patch.system('light-001').faults.length = 0;
  story.commit(request('room-made', { action: 'retry', nodes: ['light-001'] }));
  const status = await story.runIs('Succeeded');
  expect(status.runs).toHaveLength(1);
  expect(status.runs[0]?.counts).toMatchObject({ total: 3, patched: 3, failed: 0 });
  await story.provenOnce();
});

it('starts no further node when a person says abort', async () => {
  const story = await paused();
  story.commit(request('enough', { action: 'abort' }));
  const status = await story.runIs('Aborted');
  expect(answered('enough', 'Done')(status)).toBe(true);
  for (const name of ['light-002', 'light-003']) expect(story.calls(name)).toEqual([]);
  expect(story.witness.sightings).toEqual([]);
  // What was asked for is not done, and asking again is another file.
  story.patch.system('light-001').faults.length = 0;
  story.commit(request('second'));
  await story.says('the second request is done', answered('second', 'Done'));
  await story.provenOnce();
});

it('leaves a node that is half changed to a person, and goes on with it when it was mended', async () => {
  const story = await on.tell({ count: 2 });
  story.patch.system('light-001').faults.push({ mode: 'patch', code: 'SCRIPT_FAILED', times: 99 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  expect(stands('Quarantined', 'InstallFailed')(await story.runIs('Paused'))).toBe(true);
  expect(await story.cordoned()).toEqual(['light-001']);
  // A person mends the node, and says so by a commit. The cordon is ours still, and goes when the node is proven.
  story.patch.system('light-001').faults.length = 0;
  story.commit(request('mended', { action: 'retry', nodes: ['light-001'] }));
  await story.runIs('Succeeded');
  expect(await story.cordoned()).toEqual([]);
  expect(story.lights.node('light-001').boots()).toBe(1);
  expect(story.patch.system('light-001').pending).toEqual([]);
  expect(story.patch.installs('light-002')).toBe(1);
});

it('replays nothing when its ledger is lost, and begins anew when a person says so', async () => {
  const story = await on.tell({ count: 1 });
  const first = story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  await story.says('the first request is done', answered('first', 'Done'));
  await first.stop();
  await on.stage.plane.admin.delete(`/api/v1/namespaces/${ownNamespace}/configmaps`);

  story.oakum();
  story.commit(request('second', { action: 'reboot' }));
  await story.says('the loss is noticed', (status) => status.nodes[0]?.reason === 'LedgerLost');
  expect(await story.newLedger()).toMatchObject({ code: 0, stderr: '' });
  // What is in the repository at that moment may have acted, so it is refused by name; what comes later is done.
  const refused = await story.says('the second request is refused', answered('second', 'Refused'));
  expect(answered('first', 'Refused')(refused)).toBe(true);
  expect(story.lights.node('light-001').boots()).toBe(1);
  story.commit(request('third', { action: 'reboot' }));
  await story.says('the third request is done', answered('third', 'Done'));
  expect(story.lights.node('light-001').boots()).toBe(2);
  expect(story.patch.installs('light-001')).toBe(1);
});
