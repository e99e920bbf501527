// etcd keeps its quorum: a control-plane node goes only while all other members are known to be healthy.
import { describe, expect, it } from 'vitest';
import { etcdLabel } from '../../reconciler/model/names.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const names = ['control-1', 'control-2', 'control-3'];

function world(labels: Record<string, string> = {}): TinyWorld {
  const made = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
  for (const name of names) made.cluster.addNode(name, { controlPlane: true, labels });
  made.cluster.etcd = names.map((node) => ({ node, ready: true }));
  return made;
}

function verdict(made: TinyWorld, node: string): string {
  const found = made.passes.at(-1)?.nodes.find((one) => one.node === node);
  return `${found?.phase} ${found?.reason}: ${found?.message}`;
}

describe('a control-plane node', () => {
  it('goes one after another while all members are Ready', async () => {
    const made = world();
    await made.run(3 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded' });
  });

  it('waits while the member on another one is not Ready, and goes on when it is', async () => {
    const made = world();
    made.cluster.etcd = names.map((node) => ({ node, ready: node !== 'control-3' }));
    await made.run(hour);
    expect(verdict(made, 'control-1')).toBe(
      'Pending ClusterUnhealthy: etcd on control-3 is not Ready; no other member is touched',
    );
    expect(verdict(made, 'control-3')).toContain('Patched');
  });

  it('waits while it is not known whether there is a member on another one', async () => {
    const made = world();
    made.cluster.etcd = made.cluster.etcd.slice(0, 2);
    await made.run(hour);
    expect(verdict(made, 'control-1')).toBe('Pending EtcdUnknown: no etcd pod is seen on control-plane node control-3');
    made.cluster.etcd = names.map((node) => ({ node, ready: true }));
    await made.run(3 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded' });
  });

  it('is looked at again soon, although nobody watches the members', async () => {
    const made = world();
    for (const etcd of [
      names.slice(0, 2).map((node) => ({ node, ready: true })),
      names.map((node) => ({ node, ready: node !== 'control-3' })),
    ]) {
      made.cluster.etcd = etcd;
      await made.run(hour);
      const last = made.passes.at(-1);
      expect(last?.wakeAt).toBeLessThanOrEqual(made.now + 15_000);
    }
  });

  it('of k3s is known by its role label, and its member by its node', async () => {
    const made = world({ [etcdLabel]: 'true' });
    made.cluster.etcd = [];
    await made.run(3 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded' });
  });

  it('without a member is not held by those of others', async () => {
    const made = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
    made.cluster.addNode('api-1', { controlPlane: true });
    made.cluster.addNode('etcd-1', { controlPlane: true, labels: { [etcdLabel]: 'true' } });
    made.cluster.addNode('etcd-2', { controlPlane: true, labels: { [etcdLabel]: 'true' } });
    made.cluster.etcd = [
      { node: 'etcd-1', ready: true },
      { node: 'etcd-2', ready: false },
    ];
    await made.run(3 * hour);
    expect(verdict(made, 'api-1')).toContain('Patched');
    expect(verdict(made, 'etcd-1')).toContain('etcd on etcd-2 is not Ready');
    expect(verdict(made, 'etcd-2')).toContain('Patched');
  });

  it('where etcd is elsewhere needs only that the others are Ready', async () => {
    const made = world();
    made.cluster.etcd = [];
    await made.run(3 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded' });
  });

  it('is not taken out by hand either', async () => {
    const made = world();
    made.cluster.etcd = made.cluster.etcd.slice(0, 2);
    made.change({
      policy: aPolicy(),
      requests: [aRequest('disk', { action: 'maintenance', nodes: ['control-1'], until: made.now + 6 * hour })],
    });
    await made.run(hour);
    expect(verdict(made, 'control-1')).toContain('EtcdUnknown');
  });

  it('whose etcd is nowhere seen goes only while every API server reaches it', async () => {
    const made = world();
    made.cluster.etcd = [];
    const well = { address: '10.0.0.1:6443', trouble: '' };
    made.cluster.apiServers = [well, { address: '10.0.0.2:6443', trouble: '/readyz/etcd answered 500' }];
    await made.run(hour);
    expect(verdict(made, 'control-1')).toBe(
      'Pending EtcdUnknown: no member of etcd is seen as a pod, and API server 10.0.0.2:6443: /readyz/etcd answered 500',
    );
    made.cluster.apiServers = [well];
    await made.run(3 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded' });
  });
});
