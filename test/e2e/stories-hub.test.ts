// One Oakum for two clusters, and two Oakums of different shapes on one cluster, with two real control planes.
import { expect, it } from 'vitest';
import { git } from '../support/git-server.ts';
import { answered } from './seen.ts';
import { openStage } from './stage.ts';
import type { LightStory } from './story.ts';
import { policy, request } from './wishes.ts';

const eastern = openStage();
const western = openStage();

/** Two clusters of one repository; each has a policy. */
async function twoClusters(): Promise<{ east: LightStory; west: LightStory }> {
  const east = await eastern.tell({ count: 2 });
  const west = await western.tell({ count: 1 }, {}, east.git);
  east.commit({
    'clusters/east/policy.yaml': policy({}, 'east'),
    'clusters/west/policy.yaml': policy({}, 'west'),
  });
  return { east, west };
}

const done = (story: LightStory, cluster: string, name: string): Promise<unknown> =>
  story.says(`${name} is done in ${cluster}`, answered(name, 'Done'), undefined, cluster);

it('patches two clusters from one process, and keeps one going while the other is out of reach', async ({ skip }) => {
  const { power } = western.stage.plane;
  if (power === undefined) return skip('this control plane is not ours to break');
  const { east, west } = await twoClusters();
  const oakum = east.hub({ east: east.kubeconfig, west: west.kubeconfig });
  east.commit({ ...request('first', {}, 'east'), ...request('first', {}, 'west') });
  await done(east, 'east', 'first');
  await done(east, 'west', 'first');
  await east.provenOnce();
  await west.provenOnce();
  const page = await git(east.git.repository, 'show', 'oakum/status:README.md');
  expect(page).toMatch(/east/);
  expect(page).toMatch(/west/);

  east.apiServerStarts = true;
  await power.killApiServer();
  // A reboot for everybody: the cluster that answers has it at once.
  const reboot = { action: 'reboot' };
  east.commit({ ...request('again', reboot, 'east'), ...request('again', reboot, 'west') });
  await done(east, 'east', 'again');
  for (const name of ['light-001', 'light-002']) expect(east.lights.node(name).boots()).toBe(2);
  expect(west.lights.node('light-001').boots()).toBe(1);
  await power.startApiServer();
  await done(east, 'west', 'again');
  expect((await east.status('west'))?.runs[0]).toMatchObject({ state: 'Succeeded' });
  expect(west.lights.node('light-001').boots()).toBe(2);
  expect(east.witness.mostOut()).toBe(1);
  expect(await oakum.stop()).toBe(0);
});

it('holds each cluster whose accepted commit is gone from the branch, until it is accepted there', async () => {
  const { east, west } = await twoClusters();
  const before = (await git(east.git.repository, 'rev-parse', 'main')).trim();
  const lost = east.commit({ FREEZE: '' }, 'the freeze that somebody takes back by force');
  east.hub({ east: east.kubeconfig, west: west.kubeconfig });
  for (const cluster of ['east', 'west'])
    await east.says('the freeze is known', (status) => status.observedCommit === lost, undefined, cluster);
  await git(east.git.repository, 'update-ref', 'refs/heads/main', before);
  const tip = east.commit({ ...request('first', {}, 'east'), ...request('first', {}, 'west') });
  for (const cluster of ['east', 'west'])
    await east.says(
      'the history was rewritten',
      (status) => status.nodes.every((node) => node.reason === 'HistoryRewritten'),
      undefined,
      cluster,
    );

  const accepting = await east.accept(lost, tip);
  expect(accepting).toMatchObject({ code: 0, stderr: '' });
  await done(east, 'east', 'first');
  await east.provenOnce();
  const held = await east.status('west');
  expect(held?.nodes[0]?.reason).toBe('HistoryRewritten');
  expect(west.patch.calls).toEqual([]);
  expect(await west.accept(lost, tip)).toMatchObject({ code: 0 });
  await done(east, 'west', 'first');
  await west.provenOnce();
});

it('lets a hub and an agent share a cluster: one acts, and the other takes over', async () => {
  const { east, west } = await twoClusters();
  const hub = east.hub({ east: east.kubeconfig, west: west.kubeconfig });
  const leases = (log: string): number => log.split('the Lease is ours').length - 1;
  await east.until('the hub has both Leases', () => leases(hub.log()) === 2);
  const agent = east.oakum([], ['--cluster', 'east', '--kubeconfig', east.kubeconfig]);
  east.patch.system('light-001').durationMs = { patch: 5_000 };
  east.commit(request('first', {}, 'east'));
  await east.until('a node is being patched', async () => (await east.jobs('patch')).length === 1);
  expect(agent.log()).not.toContain('"action"');
  await hub.kill();
  await done(east, 'east', 'first');
  expect(agent.log()).toContain('the Lease is ours');
  await east.provenOnce();
  expect(west.patch.calls).toEqual([]);
});
