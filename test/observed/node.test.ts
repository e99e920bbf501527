import { describe, expect, it } from 'vitest';
import { nodeView, onlyHeartbeat } from '../../reconciler/observed/node.ts';

const raw = {
  metadata: {
    name: 'worker-1',
    uid: 'u1',
    resourceVersion: '77',
    creationTimestamp: '2026-11-01T10:00:00Z',
    labels: { 'kubernetes.io/os': 'linux', 'topology.kubernetes.io/zone': 'a', 'node-role.kubernetes.io/master': '' },
    annotations: {
      'oakum.dev/cordoned-by': '{"run":"r"}',
      'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
    },
  },
  spec: {
    unschedulable: true,
    taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }],
  },
  status: {
    conditions: [
      { type: 'MemoryPressure', status: 'False' },
      { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: '2026-11-21T04:00:00Z' },
    ],
    nodeInfo: {
      bootID: 'b1',
      kernelVersion: '6.8.0-45-generic',
      osImage: 'Ubuntu 24.04.1 LTS',
      kubeletVersion: 'v1.36.2',
      operatingSystem: 'linux',
    },
  },
};

describe('nodeView', () => {
  it('keeps what a plan needs, and of the annotations only ours', () => {
    expect(nodeView(raw)).toEqual({
      name: 'worker-1',
      uid: 'u1',
      resourceVersion: '77',
      labels: raw.metadata.labels,
      annotations: { 'oakum.dev/cordoned-by': '{"run":"r"}' },
      createdAt: Date.UTC(2026, 10, 1, 10),
      unschedulable: true,
      taints: [{ key: 'node.kubernetes.io/unschedulable', value: '', effect: 'NoSchedule' }],
      ready: true,
      readyReason: 'KubeletReady',
      heartbeat: '2026-11-21T04:00:00Z',
      bootId: 'b1',
      kernel: '6.8.0-45-generic',
      osImage: 'Ubuntu 24.04.1 LTS',
      kubeletVersion: 'v1.36.2',
      os: 'linux',
      controlPlane: true,
    });
  });

  it('reads a node that has only just registered, and odd fields, as empty', () => {
    expect(nodeView({ metadata: { name: 'new', uid: 'u' } })).toMatchObject({
      ready: false,
      bootId: '',
      taints: [],
      labels: {},
    });
    const odd = {
      metadata: { name: 'x', labels: { a: 1, b: 'two' } },
      spec: { taints: 'no' },
      status: { conditions: [null, 3] },
    };
    expect(nodeView(odd)).toMatchObject({ labels: { b: 'two' }, taints: [], ready: false });
  });

  it('does not take Ready=Unknown for ready', () => {
    const silent = structuredClone(raw);
    const ready = silent.status.conditions[1];
    if (ready !== undefined) ready.status = 'Unknown';
    expect(nodeView(silent).ready).toBe(false);
  });
});

describe('onlyHeartbeat', () => {
  it('is true for a new heartbeat and version, and false for a new boot', () => {
    const before = nodeView(raw);
    expect(onlyHeartbeat(before, { ...before, heartbeat: 'later', resourceVersion: '78' })).toBe(true);
    expect(onlyHeartbeat(before, { ...before, bootId: 'b2' })).toBe(false);
    expect(onlyHeartbeat(before, { ...before, labels: {} })).toBe(false);
  });
});
