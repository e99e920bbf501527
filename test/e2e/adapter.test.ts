// The adapter's contracts against a real control plane: what the simulation says must be true there.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openCluster } from '../../reconciler/adapters/kubernetes.ts';
import { httpTransport } from '../../reconciler/adapters/kubernetes-http.ts';
import { rights } from '../../reconciler/adapters/kubernetes-rights.ts';
import type { Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import { openLease } from '../../reconciler/adapters/lease.ts';
import { openLedger } from '../../reconciler/adapters/ledger.ts';
import { ownNamespace } from '../../reconciler/model/names.ts';
import { views } from '../../reconciler/observed/views.ts';
import type { Cluster } from '../../reconciler/ports.ts';
import { clusterContract, silent, wallClock } from '../contract/kubernetes-suite.ts';
import { fresh, ledgerContract, node, run } from '../contract/ledger-suite.ts';
import { leaseContract } from '../contract/lease-suite.ts';
import { startControlPlane } from '../lab/control-plane.ts';
import type { ControlPlane } from '../lab/control-plane.ts';
import { renderKubeconfig } from '../lab/kubeconfig.ts';
import { patience } from '../lab/wait.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
});
afterAll(() => plane.stop());

const connect = (): Transport =>
  httpTransport({ kind: 'text', text: plane.kubeconfig() }, { rate: { perSecond: 1_000, burst: 1_000 } });

const open = async () => {
  const transport = connect();
  return { transport, clock: wallClock, pass: (ms: number) => wallClock.sleep(ms), close: () => transport.close() };
};

/** The rights of the adapter as RBAC objects: what an administrator would grant who reads the list. */
async function grant(namespace: string, name: string): Promise<void> {
  const admin = connect();
  const put = async (path: string, body: object): Promise<void> => {
    const { status, body: answer } = await admin.request({ method: 'POST', path, body });
    expect([201, 409], `POST ${path}: ${JSON.stringify(answer)}`).toContain(status);
  };
  for (const space of [namespace, 'os-patch'])
    await put('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: space } });
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  await put(account, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name } });
  for (const [index, right] of rights.entries()) {
    const kind = right.namespace === undefined ? 'ClusterRole' : 'Role';
    const { apiGroup, resource, verbs, names } = right;
    const rule = {
      apiGroups: [apiGroup],
      resources: [resource],
      verbs,
      ...(names === undefined ? {} : { resourceNames: names }),
    };
    const metadata = { name: `oakum-test-${index}` };
    const base = `/apis/rbac.authorization.k8s.io/v1/${right.namespace === undefined ? '' : `namespaces/${right.namespace}/`}`;
    const apiVersion = 'rbac.authorization.k8s.io/v1';
    await put(`${base}${kind.toLowerCase()}s`, { apiVersion, kind, metadata, rules: [rule] });
    await put(`${base}${kind.toLowerCase()}bindings`, {
      apiVersion,
      kind: `${kind}Binding`,
      metadata,
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind, name: metadata.name },
      subjects: [{ kind: 'ServiceAccount', namespace, name }],
    });
  }
  await admin.close();
}

const asServiceAccount = async (): Promise<Transport> => {
  await grant(ownNamespace, 'oakum');
  const access = await plane.serviceAccountAccess(ownNamespace, 'oakum');
  return httpTransport({ kind: 'text', text: renderKubeconfig(access) }, { rate: { perSecond: 1_000, burst: 1_000 } });
};

clusterContract('a real API server', open);
clusterContract('a real API server with exactly the rights that are listed', async () => {
  const [world, tested] = [await open(), await asServiceAccount()];
  return { ...world, tested, close: () => Promise.all([world.close(), tested.close()]).then(() => undefined) };
});
ledgerContract('a real API server', open);
leaseContract('a real API server', open, 4);

describe('a ServiceAccount with exactly the rights that are listed', () => {
  it('keeps the ledger and holds the Lease', async () => {
    const transport = await asServiceAccount();
    const document = fresh({ runs: { r: run('r', '0123456789', [node('w1', 'Pending')]) } });
    const ledger = openLedger(transport, { namespace: ownNamespace });
    await ledger.save(undefined, document);
    await ledger.save(document, fresh());
    expect(await openLedger(transport, { namespace: ownNamespace }).load()).toMatchObject({ runs: {} });
    const lease = openLease(transport, { identity: 'one', clock: wallClock, log: silent });
    for (let tries = 0; tries < 50 && !lease.held(); tries++) await wallClock.sleep(100);
    expect(lease.held()).toBe(true);
    await lease.release();
    const path = '/api/v1/nodes';
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'never' } };
    expect((await transport.request({ method: 'POST', path, body })).status).toBe(403);
    await expect(openLedger(transport, { namespace: 'default' }).load()).rejects.toMatchObject({ kind: 'denied' });
    await transport.close();
  });
});

describe('bad weather, a real API server', () => {
  const cluster = (transport: Transport) =>
    openCluster({ transport, views, clock: wallClock, log: silent, watch: true });
  const nothing = { podsOn: [], budgets: false } as const;
  const names = async (from: Cluster): Promise<string[]> => (await from.observe(nothing)).nodes.map(({ name }) => name);
  const addNode = async (name: string): Promise<void> => {
    const admin = connect();
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name } };
    expect((await admin.request({ method: 'POST', path: '/api/v1/nodes', body })).status).toBe(201);
    await admin.close();
  };

  it('is gone through when the API server dies and comes back', async ({ skip }) => {
    const { power } = plane;
    if (power === undefined) return skip('this control plane is not ours to kill');
    const watched = cluster(connect());
    await names(watched);
    await power.killApiServer();
    await expect(watched.act({ kind: 'uncordon', node: 'x', uid: 'x' })).rejects.toMatchObject({ kind: 'transient' });
    await power.startApiServer();
    await addNode('after-the-restart');
    await vi.waitFor(async () => expect(await names(watched)).toContain('after-the-restart'), {
      timeout: 60_000 * patience,
      interval: 500,
    });
    await watched.close();
  });

  it('leaves nothing half done when etcd hangs', async ({ skip }) => {
    const { power } = plane;
    if (power === undefined) return skip('this control plane is not ours to freeze');
    await addNode('while-frozen');
    const watched = cluster(httpTransport({ kind: 'text', text: plane.kubeconfig() }, { timeoutMs: 3_000 }));
    const { nodes } = await watched.observe(nothing);
    const uid = nodes.find(({ name }) => name === 'while-frozen')?.uid ?? '';
    const cordon = { kind: 'cordon', node: 'while-frozen', uid, mark: '{}' } as const;
    power.freezeEtcd();
    try {
      await expect(watched.act(cordon)).rejects.toMatchObject({ name: 'AdapterError', kind: 'transient' });
    } finally {
      power.thawEtcd();
    }
    await vi.waitFor(async () => expect(await watched.act(cordon)).toEqual({ kind: 'done' }), {
      timeout: 30_000 * patience,
      interval: 500,
    });
    const seen = (await watched.observe(nothing)).nodes.find(({ name }) => name === 'while-frozen');
    expect(seen).toMatchObject({ unschedulable: true, annotations: { 'oakum.dev/cordoned-by': '{}' } });
    await watched.close();
  });
});

/** Sockets of this machine that are or were connected to the API server, those that wait for their end included. */
async function sockets(): Promise<string[]> {
  const port = `:${Number(new URL(plane.url).port).toString(16).toUpperCase().padStart(4, '0')}`;
  const table = await readFile('/proc/net/tcp', 'utf8');
  const ends = table.split('\n').map((line) => line.trim().split(/\s+/).slice(1, 3));
  return ends.filter(([, remote]) => remote?.endsWith(port)).map(([local]) => local ?? '');
}

describe('the wire, a real API server', () => {
  it('keeps its connections', async () => {
    const transport = connect();
    const before = await sockets();
    for (let count = 0; count < 50; count++)
      expect((await transport.request({ method: 'GET', path: '/api/v1/namespaces/default' })).status).toBe(200);
    const opened = (await sockets()).filter((one) => !before.includes(one));
    expect(opened.length).toBeGreaterThan(0);
    expect(opened.length).toBeLessThan(10);
    await transport.close();
  });
});
