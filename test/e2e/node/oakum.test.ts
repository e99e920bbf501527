// The whole way on real nodes: a commit, Oakum as a process, real packages, real reboots, and the status in Git. One test goes on where the last one ended.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { brokenPackage, mendedFile, publishBrokenPackage } from '../../lab/broken-package.ts';
import { podImage } from '../../lab/node-base.ts';
import { gateway, startRealNodes, type RealNode, type RealNodes } from '../../lab/real-nodes.ts';
import { startDeployment } from '../../lab/workloads.ts';
import { answered, type SeenStatus } from '../seen.ts';
import { Stage, workNamespace } from '../stage.ts';
import type { Story } from '../story.ts';
import { policy, request } from '../wishes.ts';

/** A real node needs minutes where a light one needs seconds. */
const slowMs = 540_000;

let stage: Stage;
let lab: RealNodes;
let first: RealNode;
let second: RealNode;
let story: Story;

beforeAll(async () => {
  stage = await Stage.open({ bindAddress: '0.0.0.0', extraNames: [`IP:${gateway}`] });
  lab = await startRealNodes(stage.plane, console.log);
  [first, second] = await Promise.all([lab.add('real-1', { zone: 'a' }), lab.add('real-2', { zone: 'b' })]);
  story = await stage.story();
});

afterAll(async () => {
  try {
    await story?.end();
  } finally {
    await lab?.stop();
    await stage?.close();
  }
});

const version = async (node: RealNode, name: string): Promise<string> =>
  (await node.shell(`dpkg-query -W -f '\${Version}' ${name}`)).stdout;

const rules = (reboot: string, returnTimeout: string): string =>
  policy({
    reboot: { when: reboot, returnTimeout, stableFor: '2s' },
    drain: { timeout: '2m' },
    rollout: { canary: { nodes: 1, soak: '1s' } },
  });

const nodeOf = (status: SeenStatus, name: string): SeenStatus['nodes'][number] | undefined =>
  status.nodes.find((node) => node.name === name);

describe('Oakum on real nodes', () => {
  it('drains, patches, reboots and verifies one node after the other, and says so in Git', async () => {
    const web = { namespace: workNamespace, name: 'web', replicas: 2, image: podImage };
    await startDeployment(stage.plane.admin, { ...web, budget: { maxUnavailable: 1 } });
    const before = await Promise.all([first, second].map((node) => version(node, 'libssl3')));
    story.commit({ 'clusters/prod/policy.yaml': rules('always', '3m'), ...request('now') });
    story.oakum(['--image', podImage, '--reboot-delay', '6s', '--retry-delay', '5s', '--job-start-timeout', '2m']);
    const status = await story.runIs('Succeeded', slowMs);
    expect(status.runs[0]?.counts).toMatchObject({ total: 2, patched: 2, failed: 0 });
    for (const [index, node] of [first, second].entries()) {
      expect(nodeOf(status, node.name)?.patchedVersion).toMatch(/^debian 12\./);
      expect(await version(node, 'libssl3')).not.toBe(before[index]);
      expect((await node.shell('dpkg --audit')).stdout).toBe('');
      expect(node.boots()).toBe(2);
      const seen = story.witness.sightings.filter((one) => one.node === node.name).map((one) => one.change);
      // A busy machine makes a kubelet late: that it was not Ready for a moment before is none of Oakum's doing.
      expect(seen.indexOf('cordoned')).toBeGreaterThanOrEqual(0);
      expect(seen.indexOf('booted')).toBeGreaterThan(seen.indexOf('cordoned'));
      expect(seen.at(-1)).toBe('uncordoned');
      expect((await story.node(node.name)).metadata.labels['oakum.dev/run']).toMatch(/^[0-9a-f]{10}$/);
    }
    expect(story.witness.mostOut()).toBe(1);
  });

  it('keeps a node out whose package fails to configure, names the package, and goes on when it was mended', async () => {
    const install = await publishBrokenPackage(lab.repository);
    expect(await first.shell(install)).toMatchObject({ status: 0 });
    story.commit({ 'clusters/prod/policy.yaml': rules('ifRequired', '3m'), ...request('update') });
    const status = await story.runIs('Paused', slowMs);
    expect(nodeOf(status, 'real-1')).toMatchObject({ phase: 'Quarantined', reason: 'InstallFailed' });
    expect(nodeOf(status, 'real-1')?.message).toContain(brokenPackage);
    expect(nodeOf(status, 'real-2')).toMatchObject({ phase: 'Pending', reason: 'Paused' });
    expect(await story.cordoned()).toEqual(['real-1']);
    expect((await story.node('real-1')).metadata.annotations['oakum.dev/last-error']).toContain('InstallFailed');
    expect((await first.shell('dpkg --audit')).stdout).toContain(brokenPackage);

    await first.shell(`touch ${mendedFile}`);
    story.commit(request('mended', { action: 'retry', nodes: ['real-1'] }));
    const ended = await story.says('the run is over', answered('update', 'Done'), slowMs);
    expect(nodeOf(ended, 'real-1')?.phase).not.toBe('Quarantined');
    expect(await version(first, brokenPackage)).toBe('1.1');
    expect((await first.shell('dpkg --audit')).stdout).toBe('');
    expect(await story.cordoned()).toEqual([]);
  });

  it('stops when a node does not come back, and goes on when it is there again', async () => {
    second.stayDown();
    story.commit({
      'clusters/prod/policy.yaml': rules('ifRequired', '90s'),
      ...request('restart', { action: 'reboot', nodes: ['real-2'] }),
    });
    const status = await story.says(
      'the run has ended, since it has no other node',
      (seen) => seen.runs.some((run) => run.id.endsWith('-restart') && run.state === 'Failed'),
      slowMs,
    );
    expect(nodeOf(status, 'real-2')).toMatchObject({ phase: 'Quarantined', reason: 'NotRejoined' });
    expect(second.running()).toBe(false);
    expect(await story.cordoned()).toEqual(['real-2']);
    expect((await story.node('real-2')).metadata.annotations['oakum.dev/last-error']).toContain('NotRejoined');

    const boots = second.boots();
    await second.powerOn();
    await story.until('it is back with a new boot id', () => story.saw('real-2', 'booted').length === 2);
    story.commit(request('back', { nodes: ['real-2'] }));
    await story.says('it was verified again', answered('back', 'Done'), slowMs);
    expect(second.boots()).toBeGreaterThan(boots);
    expect(await story.cordoned()).toEqual([]);
  });
});
