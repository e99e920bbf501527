import { describe, expect, it } from 'vitest';
import { budgetView } from '../../reconciler/observed/budgets.ts';
import { podView } from '../../reconciler/observed/pods.ts';

const pod = (more: object = {}, metadata: object = {}): unknown => ({
  metadata: { namespace: 'shop', name: 'web-1', uid: 'p1', labels: { app: 'web' }, ...metadata },
  spec: { nodeName: 'worker-1' },
  status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
  ...more,
});

describe('podView', () => {
  it('reads a pod of a controller', () => {
    const ownerReferences = [
      { kind: 'Thing', name: 'not-the-controller' },
      { kind: 'ReplicaSet', name: 'web', controller: true },
    ];
    expect(podView(pod({}, { ownerReferences }))).toEqual({
      namespace: 'shop',
      name: 'web-1',
      uid: 'p1',
      labels: { app: 'web' },
      phase: 'Running',
      ready: true,
      owner: { kind: 'ReplicaSet', name: 'web' },
      mirror: false,
      localData: false,
      terminatingSince: undefined,
      virtualMachine: undefined,
      claims: [],
    });
  });

  it('sees a bare pod, a mirror pod, and a pod that is going', () => {
    expect(podView(pod()).owner).toBeUndefined();
    expect(podView(pod({}, { annotations: { 'kubernetes.io/config.mirror': 'x' } })).mirror).toBe(true);
    expect(podView(pod({}, { deletionTimestamp: '2026-11-21T04:00:30Z' })).terminatingSince).toBe(
      Date.UTC(2026, 10, 21, 4, 0, 30),
    );
  });

  it('counts an emptyDir on disk as local data, and one in memory not', () => {
    const volumes = (emptyDir: object): unknown => pod({ spec: { volumes: [{ name: 'v', emptyDir }] } });
    expect(podView(volumes({})).localData).toBe(true);
    expect(podView(volumes({ medium: 'Memory' })).localData).toBe(false);
    expect(podView(pod({ spec: { volumes: [{ name: 'v', configMap: { name: 'c' } }] } })).localData).toBe(false);
  });

  it('does not count the volumes that a pod calls disposable', () => {
    const spec = {
      volumes: [
        { name: 'cache', emptyDir: {} },
        { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
      ],
    };
    const saying = (names: string): boolean => {
      const annotations = { 'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes': names };
      return podView(pod({ spec }, { annotations })).localData;
    };
    expect(saying('cache, tmp')).toBe(false);
    expect(saying('cache')).toBe(true);
    expect(saying('')).toBe(true);
  });

  it('names the virtual machine of a launcher pod', () => {
    const labels = { 'kubevirt.io': 'virt-launcher', 'vm.kubevirt.io/name': 'db' };
    expect(podView(pod({}, { labels })).virtualMachine).toBe('db');
  });
});

describe('budgetView', () => {
  it('keeps selector and figures', () => {
    const raw = {
      metadata: { namespace: 'shop', name: 'web' },
      spec: {
        selector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['a'] }] },
      },
      status: { disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3 },
    };
    expect(budgetView(raw)).toEqual({
      namespace: 'shop',
      name: 'web',
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'tier', operator: 'In', values: ['a'] }],
      disruptionsAllowed: 1,
      currentHealthy: 3,
      desiredHealthy: 2,
      expectedPods: 3,
    });
  });

  it('allows nothing before the controller has looked', () => {
    expect(budgetView({ metadata: { namespace: 'a', name: 'b' }, spec: {} }).disruptionsAllowed).toBe(0);
  });
});
