// Control-plane nodes on a real API server: last, one at a time, and none while a member of etcd is missing or not healthy.
import { expect, it } from 'vitest';
import { etcdPods, mirrorPodAnnotation } from '../../reconciler/model/names.ts';
import { git } from '../support/git-server.ts';
import { answered } from './seen.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

const masters = ['master-001', 'master-002', 'master-003'];
const role = { labels: { 'node-role.kubernetes.io/control-plane': '' } };
const kubeSystem = `/api/v1/namespaces/${etcdPods.namespace}/pods`;

/** The static pod of a member, as its kubelet shows it. With `config`, it does not start before that ConfigMap is there. */
async function startMember(node: string, config?: string): Promise<void> {
  const volumes = config === undefined ? [] : [{ name: 'config', configMap: { name: config } }];
  await on.stage.plane.admin.create(kubeSystem, {
    metadata: {
      name: `etcd-${node}`,
      labels: { component: 'etcd', tier: 'control-plane' },
      annotations: { [mirrorPodAnnotation]: 'lab' },
    },
    spec: { nodeName: node, containers: [{ name: 'etcd', image: 'example.invalid/etcd:1' }], volumes },
  });
}

it('takes no control-plane node while etcd could lose its quorum', async () => {
  const story = await on.tell({ count: 1 });
  for (const name of masters) await story.lights.add(name, role);
  for (const name of masters.slice(0, 2)) await startMember(name);
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy({ rollout: { concurrency: 4 } }), ...request('first') });

  // The worker goes. Of the third member nothing is seen, so neither of the two others may go.
  const unknown = await story.says('the quorum is not known', (status) => {
    const waiting = status.nodes.filter((node) => node.reason === 'EtcdUnknown');
    return waiting.length >= 2 && status.nodes[0]?.patchedVersion !== '';
  });
  expect(unknown.nodes.find((node) => node.name === 'master-001')?.message).toContain('master-003');
  // It may go itself: both others are healthy. It is the only one for which that is so.
  await story.until('the node without a member has gone', () => story.patch.installs('master-003') === 1);
  for (const name of masters.slice(0, 2)) expect(story.calls(name)).toEqual([]);

  // It is there, and not healthy yet.
  await startMember('master-003', 'etcd-master-003');
  const unhealthy = await story.says('the member is not healthy', (status) =>
    status.nodes.some((node) => masters.includes(node.name) && /etcd on master-003 is not Ready/.test(node.message)),
  );
  expect(unhealthy.nodes.find((node) => node.name === 'master-001')?.reason).toBe('ClusterUnhealthy');
  for (const name of masters.slice(0, 2)) expect(story.calls(name)).toEqual([]);

  await on.stage.plane.admin.create(`/api/v1/namespaces/${etcdPods.namespace}/configmaps`, {
    metadata: { name: 'etcd-master-003' },
  });
  await story.runIs('Succeeded');
  await story.provenOnce();
  // One at a time, and the worker before them all.
  expect(story.witness.mostOut()).toBe(1);
  const order = story.witness.sightings.filter((one) => one.change === 'cordoned').map((one) => one.node);
  expect(order[0]).toBe('light-001');
  expect(order.toSorted()).toEqual(['light-001', ...masters]);
});

it('does not touch the only control-plane node, unless the policy says so', async () => {
  const story = await on.tell({ count: 1 });
  await story.lights.add('master-001', role);
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  const status = await story.runIs('Succeeded');
  expect(status.runs[0]?.counts).toMatchObject({ total: 2, patched: 1, skipped: 1 });
  expect(story.calls('master-001')).toEqual([]);
  let archive = '';
  await story.until('the archive of the run is there', async () => {
    const path = `oakum/status:clusters/prod/runs/${status.runs[0]?.id ?? ''}.yaml`;
    archive = await git(story.git.repository, 'show', path).catch(() => '');
    return archive !== '';
  });
  expect(archive).toMatch(/node: master-001\n +phase: Skipped\n +reason: SingleControlPlane/);

  story.commit({
    'clusters/prod/policy.yaml': policy({ rollout: { allowSingleControlPlane: true } }),
    ...request('second'),
  });
  await story.says('it is patched too', answered('second', 'Done'));
  await story.provenOnce();
});
