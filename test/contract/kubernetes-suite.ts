// What a Cluster must do, whoever answers: the simulation in process or over HTTP, or a real API server.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openCluster } from '../../reconciler/adapters/kubernetes.ts';
import { rightFor } from '../../reconciler/adapters/kubernetes-rights.ts';
import { requestInfo } from '../../reconciler/adapters/kubernetes-transport.ts';
import type { KubeRequest, Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import type { JobManifest } from '../../reconciler/model/action.ts';
import type { JobView, NodeView, RawCluster } from '../../reconciler/model/observed.ts';
import { views } from '../../reconciler/observed/views.ts';
import type { Clock, Cluster, Log } from '../../reconciler/ports.ts';

/** Somebody who answers requests, with all rights, and a clock to go with it. */
export interface ClusterWorld {
  readonly transport: Transport;
  /** The way of the cluster under test, when it is another one (with fewer rights). */
  readonly tested?: Transport;
  readonly clock: Clock;
  /** Lets time pass, so that controllers may work. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

export const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

/** Real time. */
export const wallClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      if (signal?.aborted) end();
      else signal?.addEventListener('abort', end, { once: true });
    }),
};

const nothing = { podsOn: [], budgets: false } as const;
const mark = '{"run":"r1"}';

interface Written {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
    readonly deletionTimestamp?: string;
  };
  readonly spec?: { readonly unschedulable?: boolean; readonly taints?: { key: string }[]; readonly nodeName?: string };
  readonly [field: string]: unknown;
}

/** The contract of the Cluster port, in both ways of observing. */
export function clusterContract(name: string, open: () => Promise<ClusterWorld>): void {
  for (const watch of [false, true])
    describe(`cluster, ${name}, ${watch ? 'watching' : 'listing'}`, () => suite(open, watch));
}

/** Several suites may share a server; each names its objects by its own letter. */
let suites = 0;

function suite(open: () => Promise<ClusterWorld>, watch: boolean): void {
  const prefix = String.fromCharCode(97 + suites++);
  let world: ClusterWorld;
  let cluster: Cluster;
  let count = 0;
  const requested: KubeRequest[] = [];
  const opened: Cluster[] = [];

  const start = (transport: Transport): Cluster => {
    const keep = { ...transport, close: () => Promise.resolve() };
    const found = openCluster({
      transport: keep,
      views,
      clock: world.clock,
      log: silent,
      watch,
      noPodAfterMs: 0,
      random: () => 0.5,
    });
    opened.push(found);
    return found;
  };

  beforeAll(async () => {
    world = await open();
    for (const namespace of ['os-patch', 'shop'])
      await world.transport.request({
        method: 'POST',
        path: '/api/v1/namespaces',
        body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      });
    const note = (request: KubeRequest): void => void requested.push(request);
    const tested = world.tested ?? world.transport;
    cluster = start({
      ...tested,
      request: (request) => {
        note(request);
        return tested.request(request);
      },
      watch: (path, onEvent, options) => {
        note({ method: 'GET', path });
        return tested.watch(path, onEvent, options);
      },
    });
  });
  afterEach(async () => {
    for (const other of opened.splice(1)) await other.close();
  });
  afterAll(async () => {
    await cluster.close();
    await world.close();
  });

  /** A request of an administrator, outside of what is tested. */
  const admin = async (
    method: KubeRequest['method'],
    path: string,
    body?: unknown,
    contentType = 'application/merge-patch+json',
  ): Promise<Written> => {
    const type = method === 'PATCH' ? { contentType } : {};
    const response = await world.transport.request({ method, path, ...type, ...(body === undefined ? {} : { body }) });
    expect(response.status, `${method} ${path}: ${JSON.stringify(response.body)}`).toBeLessThan(300);
    return response.body as Written;
  };
  const until = async <Value>(look: () => Promise<Value | undefined>): Promise<Value> => {
    for (let tries = 0; tries < 900; tries++) {
      const found = await look();
      if (found !== undefined) return found;
      await world.pass(100);
    }
    throw new Error('it did not come to pass within 90 s');
  };

  const addNode = async (taints: readonly object[] = []): Promise<Written> => {
    const node = await admin('POST', '/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name: `node-${prefix}-${(count += 1)}`,
        labels: { 'kubernetes.io/os': 'linux', theirs: 'stays' },
      },
      spec: { taints },
    });
    const now = new Date(world.clock.now()).toISOString().replace(/\.\d+Z/, 'Z');
    const status = {
      capacity: { cpu: '4', memory: '8Gi', pods: '110' },
      allocatable: { cpu: '4', memory: '8Gi', pods: '110' },
      conditions: [
        { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: now, lastTransitionTime: now },
      ],
      nodeInfo: { bootID: `boot-${node.metadata.name}`, kernelVersion: '6.1' },
    };
    await admin('PATCH', `/api/v1/nodes/${node.metadata.name}/status`, { status });
    return node;
  };
  const nodeNow = (node: Written): Promise<Written> => admin('GET', `/api/v1/nodes/${node.metadata.name}`);
  const ref = (node: Written) => ({ node: node.metadata.name, uid: node.metadata.uid });
  const seen = async (node: Written): Promise<NodeView> => {
    const found = (await cluster.observe(nothing)).nodes.find(({ name: each }) => each === node.metadata.name);
    if (found === undefined) throw new Error(`node ${node.metadata.name} is not seen`);
    return found;
  };
  const addPod = async (node: Written, labels: Record<string, string> = {}): Promise<Written> => {
    const path = '/api/v1/namespaces/shop/pods';
    const pod = await admin('POST', path, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `pod-${prefix}-${(count += 1)}`, labels },
      spec: {
        nodeName: node.metadata.name,
        containers: [{ name: 'c', image: 'c' }],
        automountServiceAccountToken: false,
      },
    });
    const status = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] };
    await admin('PATCH', `${path}/${pod.metadata.name}/status`, { status });
    return pod;
  };
  const budget = (label: string, spec: object): Promise<Written> =>
    admin('POST', '/apis/policy/v1/namespaces/shop/poddisruptionbudgets', {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { name: `budget-${prefix}-${(count += 1)}` },
      spec: { selector: { matchLabels: { app: label } }, ...spec },
    });
  const podRef = (node: Written, pod: Written) => ({
    node: node.metadata.name,
    namespace: 'shop',
    pod: pod.metadata.name,
    uid: pod.metadata.uid,
    gracePeriodSeconds: undefined,
  });
  const podNow = async (pod: Written): Promise<Written | undefined> => {
    const response = await world.transport.request({
      method: 'GET',
      path: `/api/v1/namespaces/shop/pods/${pod.metadata.name}`,
    });
    return response.status === 200 ? (response.body as Written) : undefined;
  };
  const manifest = (node: Written, more: object = {}): JobManifest => {
    const labels = {
      'app.kubernetes.io/managed-by': 'oakum',
      'oakum.dev/run': '0123456789',
      'oakum.dev/node-uid': node.metadata.uid,
      'oakum.dev/step': 'patch',
    };
    const annotations = { 'oakum.dev/run-id': 'run-1', 'oakum.dev/node': node.metadata.name };
    return {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: {
        name: `oakum-patch-${prefix}-${(count += 1)}`,
        namespace: 'os-patch',
        labels,
        annotations,
      },
      spec: {
        backoffLimit: 0,
        template: {
          metadata: { labels },
          spec: {
            restartPolicy: 'Never',
            automountServiceAccountToken: false,
            tolerations: [{ operator: 'Exists' }],
            nodeName: node.metadata.name,
            containers: [{ name: 'patch', image: 'none' }],
            ...more,
          },
        },
      },
    };
  };
  const jobSeen = async (job: JobManifest): Promise<JobView | undefined> =>
    (await cluster.observe(nothing)).jobs.find(({ name: each }) => each === job.metadata.name);
  const podOf = (job: JobManifest): Promise<Written> =>
    until(async () => {
      const query = `labelSelector=job-name%3D${job.metadata.name}`;
      const list = await admin('GET', `/api/v1/namespaces/os-patch/pods?${query}`);
      return (list['items'] as Written[])[0];
    });
  /** Does what a kubelet would do at the end of the pod's container. */
  const finish = async (job: JobManifest, exitCode: number, message: string): Promise<void> => {
    const pod = await podOf(job);
    const at = new Date(world.clock.now()).toISOString().replace(/\.\d+Z/, 'Z');
    const terminated = {
      exitCode,
      message,
      reason: exitCode === 0 ? 'Completed' : 'Error',
      startedAt: at,
      finishedAt: at,
    };
    const container = {
      name: 'patch',
      image: 'none',
      imageID: '',
      ready: false,
      restartCount: 0,
      state: { terminated },
    };
    const status = { phase: exitCode === 0 ? 'Succeeded' : 'Failed', containerStatuses: [container] };
    await admin('PATCH', `/api/v1/namespaces/os-patch/pods/${pod.metadata.name}/status`, { status });
  };

  it('is known by the UID of kube-system', async () => {
    expect(await cluster.identity()).toBe((await admin('GET', '/api/v1/namespaces/kube-system')).metadata.uid);
  });

  it('observes nodes, budgets, pods of the nodes asked for, and the freeze', async () => {
    const [one, two] = [await addNode(), await addNode()];
    const [pod] = [await addPod(one, { app: 'seen' }), await addPod(two)];
    await budget('seen', { minAvailable: 1 });
    await admin('PATCH', '/api/v1/namespaces/os-patch', {
      metadata: { annotations: { 'oakum.dev/freeze': 'black friday' } },
    });
    const found = await until<RawCluster>(async () => {
      const look = await cluster.observe({ podsOn: [one.metadata.name], budgets: true });
      return look.freeze === undefined || look.nodes.length < 2 ? undefined : look;
    });
    expect(found.freeze).toBe('black friday');
    expect([...found.pods.keys()]).toEqual([one.metadata.name]);
    expect(found.pods.get(one.metadata.name)).toMatchObject([
      { namespace: 'shop', uid: pod.metadata.uid, ready: true },
    ]);
    expect(found.budgets).toContainEqual(expect.objectContaining({ namespace: 'shop', matchLabels: { app: 'seen' } }));
    expect(found.nodes.map(({ name: each }) => each)).toEqual(found.nodes.map(({ name: each }) => each).sort());
    expect(await seen(one)).toMatchObject({
      uid: one.metadata.uid,
      ready: true,
      bootId: `boot-${one.metadata.name}`,
      os: 'linux',
    });
    if (found.clockSkewMs !== undefined) expect(Math.abs(found.clockSkewMs)).toBeLessThan(60_000);
    await admin('PATCH', '/api/v1/namespaces/os-patch', { metadata: { annotations: { 'oakum.dev/freeze': null } } });
    await until(async () => ((await cluster.observe(nothing)).freeze === undefined ? true : undefined));
  });

  it('sees on which node system-upgrade-controller is at work', async () => {
    const [busy, idle] = [await addNode(), await addNode()];
    await addPod(busy, { 'upgrade.cattle.io/plan': 'k3s-server' });
    const found = await until(async () => {
      const { nodes } = await cluster.observe({ ...nothing, upgrades: true });
      const plans = new Map(nodes.map((node) => [node.name, node.upgrading]));
      return plans.has(busy.metadata.name) && plans.has(idle.metadata.name) ? plans : undefined;
    });
    expect(found.get(busy.metadata.name)).toBe('k3s-server');
    expect(found.get(idle.metadata.name)).toBeUndefined();
  });

  it('cordons with its mark, once, and takes both away together', async () => {
    const node = await addNode();
    const cordon = { kind: 'cordon', ...ref(node), mark } as const;
    expect(await cluster.act(cordon)).toEqual({ kind: 'done' });
    expect(await seen(node)).toMatchObject({ unschedulable: true, annotations: { 'oakum.dev/cordoned-by': mark } });
    const { resourceVersion } = (await nodeNow(node)).metadata;
    await world.pass(300);
    expect(await cluster.act(cordon)).toEqual({ kind: 'done' });
    const uncordon = { kind: 'uncordon', ...ref(node) } as const;
    expect(await cluster.act(uncordon)).toEqual({ kind: 'done' });
    const after = await seen(node);
    expect(after).toMatchObject({ unschedulable: false, annotations: {} });
    expect(after.resourceVersion).not.toBe(resourceVersion);
    expect(await cluster.act(uncordon)).toEqual({ kind: 'done' });
  });

  it('leaves the cordon of somebody else alone', async () => {
    const node = await addNode();
    await admin('PATCH', `/api/v1/nodes/${node.metadata.name}`, { spec: { unschedulable: true } });
    await expect(cluster.act({ kind: 'cordon', ...ref(node), mark })).rejects.toMatchObject({
      name: 'AdapterError',
      kind: 'conflict',
      code: 'CordonedByOther',
    });
    expect(await cluster.act({ kind: 'uncordon', ...ref(node) })).toEqual({ kind: 'done' });
    const now = await nodeNow(node);
    expect(now.spec?.unschedulable).toBe(true);
    expect(now.metadata.annotations ?? {}).not.toHaveProperty(['oakum.dev/cordoned-by']);
  });

  it('sees a cordon that comes between its look and its write', async () => {
    const node = await addNode();
    let done = false;
    const racing = start({
      ...world.transport,
      request: async (request) => {
        if (request.method === 'PATCH' && !done) {
          done = true;
          await admin('PATCH', `/api/v1/nodes/${node.metadata.name}`, { spec: { unschedulable: true } });
        }
        return world.transport.request(request);
      },
    });
    await expect(racing.act({ kind: 'cordon', ...ref(node), mark })).rejects.toMatchObject({ code: 'CordonedByOther' });
  });

  it('marks a node and leaves what is not ours', async () => {
    const node = await addNode();
    const markNode = { kind: 'markNode', ...ref(node) } as const;
    const annotations = { 'oakum.dev/last-error': 'DiskFull: /var is full', 'oakum.dev/progress': '{}' };
    expect(await cluster.act({ ...markNode, labels: { 'oakum.dev/phase': 'Patching' }, annotations })).toEqual({
      kind: 'done',
    });
    expect(await seen(node)).toMatchObject({ labels: { theirs: 'stays', 'oakum.dev/phase': 'Patching' }, annotations });
    const remove = { labels: { 'oakum.dev/phase': null }, annotations: { 'oakum.dev/progress': null } };
    for (const _ of [1, 2]) expect(await cluster.act({ ...markNode, ...remove })).toEqual({ kind: 'done' });
    const after = await seen(node);
    expect(after.labels).toMatchObject({ theirs: 'stays' });
    expect(after.labels).not.toHaveProperty(['oakum.dev/phase']);
    expect(after.annotations).toEqual({ 'oakum.dev/last-error': 'DiskFull: /var is full' });
  });

  it('touches no namesake and brings no node into being', async () => {
    const node = await addNode([{ key: 'oakum.dev/unpatched', effect: 'NoSchedule' }]);
    const before = (await nodeNow(node)).metadata.labels;
    for (const who of [
      { node: node.metadata.name, uid: '00000000-0000-0000-0000-000000000000' },
      { node: 'no-such-node', uid: node.metadata.uid },
    ]) {
      expect(await cluster.act({ kind: 'cordon', ...who, mark })).toEqual({ kind: 'gone' });
      expect(await cluster.act({ kind: 'uncordon', ...who })).toEqual({ kind: 'gone' });
      expect(await cluster.act({ kind: 'removeTaint', ...who, key: 'oakum.dev/unpatched' })).toEqual({ kind: 'gone' });
      const labels = { 'oakum.dev/run': 'x' };
      expect(await cluster.act({ kind: 'markNode', ...who, labels, annotations: {} })).toEqual({ kind: 'gone' });
    }
    const after = await nodeNow(node);
    // A controller may add labels of its own (beta.kubernetes.io/os) at any time.
    expect(after.metadata.labels).toMatchObject(before ?? {});
    expect(after.metadata.labels).not.toHaveProperty(['oakum.dev/run']);
    expect(after.spec?.unschedulable ?? false).toBe(false);
    expect((await world.transport.request({ method: 'GET', path: '/api/v1/nodes/no-such-node' })).status).toBe(404);
  });

  it('removes its taint and keeps one that is added at the same moment', async () => {
    const own = { key: 'oakum.dev/unpatched', effect: 'NoSchedule' };
    const node = await addNode([own, { key: 'theirs', effect: 'NoSchedule' }]);
    let raced = false;
    const racing = start({
      ...world.transport,
      request: async (request) => {
        if (request.method === 'PATCH' && !raced) {
          raced = true;
          const taints = [...((await nodeNow(node)).spec?.taints ?? []), { key: 'late', effect: 'NoSchedule' }];
          await admin('PATCH', `/api/v1/nodes/${node.metadata.name}`, { spec: { taints } });
        }
        return world.transport.request(request);
      },
    });
    const action = { kind: 'removeTaint', ...ref(node), key: 'oakum.dev/unpatched' } as const;
    expect(await racing.act(action)).toEqual({ kind: 'done' });
    expect(await cluster.act(action)).toEqual({ kind: 'done' });
    const keys = ((await nodeNow(node)).spec?.taints ?? []).map(({ key }) => key);
    expect(keys).toEqual(expect.arrayContaining(['theirs', 'late']));
    expect(keys).not.toContain('oakum.dev/unpatched');
  });

  it('evicts a pod, and asks first without harm', async () => {
    const node = await addNode();
    const pod = await addPod(node);
    const evict = { kind: 'evict', ...podRef(node, pod) } as const;
    expect(await cluster.act({ ...evict, dryRun: true })).toEqual({ kind: 'done' });
    expect((await podNow(pod))?.metadata.deletionTimestamp).toBeUndefined();
    expect(await cluster.act({ ...evict, uid: '00000000-0000-0000-0000-000000000000', dryRun: false })).toEqual({
      kind: 'gone',
    });
    expect((await podNow(pod))?.metadata.deletionTimestamp).toBeUndefined();
    expect(await cluster.act({ ...evict, dryRun: false })).toEqual({ kind: 'done' });
    const after = await podNow(pod);
    if (after !== undefined) {
      expect(after.metadata.deletionTimestamp).toBeDefined();
      expect(await cluster.act({ ...evict, dryRun: false })).toEqual({ kind: 'done' });
    }
    expect(await cluster.act({ ...evict, pod: 'no-such-pod', dryRun: false })).toEqual({ kind: 'gone' });
  });

  it('is told by a budget that it is not the time', async () => {
    const node = await addNode();
    const app = `blocked-${prefix}`;
    const pod = await addPod(node, { app });
    await budget(app, { minAvailable: 1 });
    const evict = { kind: 'evict', ...podRef(node, pod), dryRun: false } as const;
    await world.pass(500);
    for (const dryRun of [true, false]) {
      const answer = await cluster.act({ ...evict, dryRun });
      expect(answer).toMatchObject({ kind: 'blocked', reason: 'DisruptionBudget' });
      expect(answer).toHaveProperty('message', expect.stringMatching(/disruption budget/));
    }
    await budget(app, { minAvailable: 0 });
    expect(await cluster.act(evict)).toMatchObject({ kind: 'blocked', reason: 'TwoBudgets' });
    expect((await podNow(pod))?.metadata.deletionTimestamp).toBeUndefined();
  });

  it('deletes the pod that it means and no other', async () => {
    const node = await addNode();
    const pod = await addPod(node);
    const action = { kind: 'deletePod', ...podRef(node, pod) } as const;
    expect(await cluster.act({ ...action, uid: '00000000-0000-0000-0000-000000000000' })).toEqual({ kind: 'gone' });
    expect((await podNow(pod))?.metadata.deletionTimestamp).toBeUndefined();
    expect(await cluster.act({ ...action, gracePeriodSeconds: 0 })).toEqual({ kind: 'done' });
    await until(async () => ((await podNow(pod)) === undefined ? true : undefined));
    expect(await cluster.act(action)).toEqual({ kind: 'gone' });
  });

  it('creates a Job once, sees it at once, and reads its result', async () => {
    const node = await addNode();
    const job = manifest(node);
    const create = { kind: 'createJob', node: node.metadata.name, manifest: job } as const;
    expect(await cluster.act(create)).toEqual({ kind: 'done' });
    expect(await jobSeen(job)).toMatchObject({
      runId: 'run-1',
      nodeName: node.metadata.name,
      nodeUid: node.metadata.uid,
      step: 'patch',
      finishedAt: undefined,
    });
    expect(await cluster.act(create)).toEqual({ kind: 'done' });
    await finish(job, 0, '{"status":"ok"}');
    const ended = await until(async () => {
      const view = await jobSeen(job);
      return view?.state === 'succeeded' ? view : undefined;
    });
    expect(ended).toMatchObject({ result: '{"status":"ok"}', exitCode: 0, hasPod: true, trouble: '' });
    expect(ended.finishedAt).toBeGreaterThan(0);
  });

  it('reads the result of a Job that failed', async () => {
    const job = manifest(await addNode());
    await cluster.act({ kind: 'createJob', node: 'any', manifest: job });
    await finish(job, 42, '{"code":"DISK_FULL_VAR"}');
    const ended = await until(async () => {
      const view = await jobSeen(job);
      return view?.state === 'failed' ? view : undefined;
    });
    expect(ended).toMatchObject({ result: '{"code":"DISK_FULL_VAR"}', exitCode: 42 });
  });

  it('says why a Job has no pod', async () => {
    const job = manifest(await addNode(), {
      serviceAccountName: 'no-such-account',
      automountServiceAccountToken: true,
    });
    await cluster.act({ kind: 'createJob', node: 'any', manifest: job });
    const view = await until(async () => {
      await world.pass(15_000 / 300);
      const found = await jobSeen(job);
      return found === undefined || found.trouble === '' ? undefined : found;
    });
    expect(view).toMatchObject({ state: 'waiting', hasPod: false });
    expect(view.trouble).toMatch(/FailedCreate.*no-such-account/);
  });

  it('says why the pod of a Job does not start', async () => {
    const job = manifest(await addNode());
    await cluster.act({ kind: 'createJob', node: 'any', manifest: job });
    const { uid, name: pod } = (await podOf(job)).metadata;
    const said = (reason: string, type: string): Promise<Written> =>
      admin('POST', '/api/v1/namespaces/os-patch/events', {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${pod}.${(count += 1)}` },
        involvedObject: { kind: 'Pod', name: pod, namespace: 'os-patch', uid },
        type,
        reason,
        message: 'in the words of the kubelet',
      });
    await said('FailedMount', 'Warning');
    await said('Pulling', 'Normal');
    const view = await until(async () => {
      const found = await jobSeen(job);
      return found === undefined || found.trouble === '' ? undefined : found;
    });
    expect(view).toMatchObject({ state: 'waiting', hasPod: true, trouble: 'FailedMount: in the words of the kubelet' });
  });

  it('deletes a Job with its pods, and no namesake', async () => {
    const job = manifest(await addNode());
    await cluster.act({ kind: 'createJob', node: 'any', manifest: job });
    const pod = await podOf(job);
    const uid = (await jobSeen(job))?.uid ?? '';
    const action = { kind: 'deleteJob', name: job.metadata.name, uid } as const;
    expect(await cluster.act({ ...action, uid: '00000000-0000-0000-0000-000000000000' })).toEqual({ kind: 'gone' });
    expect(await jobSeen(job)).toBeDefined();
    expect(await cluster.act(action)).toEqual({ kind: 'done' });
    expect(await jobSeen(job)).toBeUndefined();
    expect(await cluster.act(action)).toEqual({ kind: 'gone' });
    await until(async () => {
      const path = `/api/v1/namespaces/os-patch/pods/${pod.metadata.name}`;
      const { status, body } = await world.transport.request({ method: 'GET', path });
      return status === 404 || (body as Written).metadata.deletionTimestamp !== undefined ? true : undefined;
    });
  });

  it('does not take a stranger for its own Job', async () => {
    const job = manifest(await addNode());
    const metadata = { ...job.metadata, labels: { app: 'theirs' } };
    await admin('POST', '/apis/batch/v1/namespaces/os-patch/jobs', { ...job, metadata });
    await expect(cluster.act({ kind: 'createJob', node: 'any', manifest: job })).rejects.toMatchObject({
      kind: 'rejected',
      code: 'JobNameTaken',
    });
    expect(await jobSeen(job)).toBeUndefined();
  });

  it('sees what is attached to a node, and by whose claim', async () => {
    const volume = `${prefix}-pv`;
    await admin('POST', '/api/v1/persistentvolumes', {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: volume },
      spec: {
        capacity: { storage: '1Gi' },
        accessModes: ['ReadWriteOnce'],
        csi: { driver: 'csi.test', volumeHandle: volume },
        claimRef: { namespace: 'shop', name: 'data' },
      },
    });
    for (const on of ['here', 'there'])
      await admin('POST', '/apis/storage.k8s.io/v1/volumeattachments', {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'VolumeAttachment',
        metadata: { name: `${prefix}-${on}` },
        spec: { attacher: 'csi.test', nodeName: `${prefix}-${on}`, source: { persistentVolumeName: volume } },
      });
    const { volumes } = await cluster.observe({ ...nothing, volumesOn: [`${prefix}-here`] });
    expect(volumes).toEqual([
      { name: `${prefix}-here`, node: `${prefix}-here`, volume, claim: 'shop/data', trouble: '' },
    ]);
  });

  it('goes on where there is no KubeVirt', async () => {
    expect(await cluster.observe({ ...nothing, machinesOn: ['n1'] })).not.toHaveProperty('machines');
    const cancel = { kind: 'cancelEvacuation', node: 'n1', namespace: 'shop', machine: 'db' } as const;
    expect(await cluster.act(cancel)).toEqual({ kind: 'gone' });
  });

  it('makes Jobs of suspended CronJobs, with our variables and its own deadline, and no others', async () => {
    const collection = '/apis/batch/v1/namespaces/oakum-hooks';
    await world.transport.request({
      method: 'POST',
      path: '/api/v1/namespaces',
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'oakum-hooks' } },
    });
    const cronJob = (hook: string, suspend: boolean): Promise<Written> =>
      admin('POST', `${collection}/cronjobs`, {
        apiVersion: 'batch/v1',
        kind: 'CronJob',
        metadata: { name: hook },
        spec: {
          schedule: '0 0 1 1 *',
          suspend,
          jobTemplate: {
            metadata: { labels: { team: 'shop' } },
            spec: {
              activeDeadlineSeconds: 90,
              ttlSecondsAfterFinished: 0,
              template: {
                spec: {
                  restartPolicy: 'Never',
                  containers: [{ name: 'c', image: 'shop/warm:1', env: [{ name: 'OAKUM_NODE', value: 'a lie' }] }],
                },
              },
            },
          },
        },
      });
    const hook = `${prefix}-warm`;
    const { metadata } = await cronJob(hook, true);
    const running = await cronJob(`${prefix}-by-itself`, false);
    const names = [hook, `${prefix}-by-itself`, `${prefix}-absent`];
    const before = await cluster.observe({ ...nothing, hooks: names });
    expect(before.hooks?.unreadable).toBeUndefined();
    expect(before.hooks?.cronJobs.get(hook)).toEqual({
      name: hook,
      uid: metadata.uid,
      suspended: true,
      deadlineMs: 90_000,
    });
    expect(before.hooks?.cronJobs.get(`${prefix}-by-itself`)?.suspended).toBe(false);
    expect(before.hooks?.cronJobs.has(`${prefix}-absent`)).toBe(false);
    const action = {
      kind: 'createHookJob',
      node: 'n1',
      hook,
      hookUid: metadata.uid,
      name: `${prefix}-hook-1`,
      labels: { 'app.kubernetes.io/managed-by': 'oakum', 'oakum.dev/node-uid': 'u1', 'oakum.dev/step': 'hook-before' },
      annotations: { 'oakum.dev/run-id': 'r1', 'oakum.dev/node': 'n1' },
      env: { OAKUM_NODE: 'n1', OAKUM_RUN: 'r1', OAKUM_PHASE: 'before' },
      deadlineSeconds: 90,
    } as const;
    expect(await cluster.act(action)).toEqual({ kind: 'done' });
    expect(await cluster.act(action)).toEqual({ kind: 'done' });
    const job = await admin('GET', `${collection}/jobs/${prefix}-hook-1`);
    expect(job.metadata.labels).toMatchObject({ team: 'shop', 'oakum.dev/node-uid': 'u1' });
    expect(job).not.toHaveProperty('metadata.ownerReferences');
    expect(job).toMatchObject({
      spec: {
        activeDeadlineSeconds: 90,
        ttlSecondsAfterFinished: 3600,
        template: { spec: { containers: [{ image: 'shop/warm:1' }] } },
      },
    });
    const containers = job as unknown as { spec: { template: { spec: { containers: { env: object[] }[] } } } };
    expect(containers.spec.template.spec.containers[0]?.env).toEqual([
      { name: 'OAKUM_NODE', value: 'n1' },
      { name: 'OAKUM_RUN', value: 'r1' },
      { name: 'OAKUM_PHASE', value: 'before' },
    ]);
    const after = await cluster.observe({ ...nothing, hooks: names });
    expect(after.hooks?.jobs.find((one) => one.name === `${prefix}-hook-1`)).toMatchObject({
      runId: 'r1',
      nodeName: 'n1',
      step: 'hook-before',
    });
    const changed = { ...action, name: `${prefix}-hook-2`, hookUid: 'another' };
    await expect(cluster.act(changed)).rejects.toMatchObject({ code: 'HookChanged' });
    const awake = { ...changed, hook: `${prefix}-by-itself`, hookUid: running.metadata.uid };
    await expect(cluster.act(awake)).rejects.toMatchObject({ code: 'HookChanged' });
    await expect(
      cluster.act({ ...action, labels: { ...action.labels, 'oakum.dev/node-uid': 'u2' } }),
    ).rejects.toMatchObject({ code: 'JobNameTaken' });
  });

  it('is never behind its own writes', async () => {
    const node = await addNode();
    for (let turn = 0; turn < 10; turn++) {
      const phase = `Phase${turn}`;
      await cluster.act({ kind: 'markNode', ...ref(node), labels: { 'oakum.dev/phase': phase }, annotations: {} });
      expect((await seen(node)).labels['oakum.dev/phase']).toBe(phase);
    }
  });

  it('puts the script there once, and does not accept another one in its place', async () => {
    const put = { kind: 'putScript', name: `oakum-script-${prefix}`, text: '#!/bin/sh\nexit 0\n' } as const;
    for (const _ of [1, 2]) expect(await cluster.act(put)).toEqual({ kind: 'done' });
    const map = await admin('GET', `/api/v1/namespaces/os-patch/configmaps/${put.name}`);
    expect(map).toMatchObject({ immutable: true, data: { 'os-patch.sh': put.text } });
    await expect(cluster.act({ ...put, text: 'rm -rf /' })).rejects.toMatchObject({
      kind: 'rejected',
      code: 'ScriptDiffers',
    });
  });

  it('writes an Event once', async () => {
    const node = await addNode();
    const event = {
      kind: 'event',
      ...ref(node),
      type: 'Warning',
      reason: 'Quarantined',
      at: Date.UTC(2026, 0, 1, 0, 0, 0, 10),
      key: 'k',
      message: 'm'.repeat(3_000),
    } as const;
    for (const _ of [1, 2]) expect(await cluster.act(event)).toEqual({ kind: 'done' });
    // Earlier in the same second.
    await cluster.act({ ...event, at: Date.UTC(2026, 0, 1, 0, 0, 0, 9), type: 'Normal' });
    const query = `fieldSelector=${encodeURIComponent(`involvedObject.name=${node.metadata.name},reason=Quarantined`)}`;
    const list = await admin('GET', `/api/v1/namespaces/default/events?${query}`);
    expect(list['items']).toMatchObject([
      { type: 'Normal', reason: 'Quarantined' },
      {
        type: 'Warning',
        reason: 'Quarantined',
        firstTimestamp: '2026-01-01T00:00:00Z',
        involvedObject: { uid: node.metadata.uid },
      },
    ]);
  });

  if (watch)
    it('wakes for what matters and sleeps through heartbeats', async () => {
      const node = await addNode();
      const beat = { type: 'Ready', status: 'True', reason: 'KubeletReady' };
      let beats = 0;
      const path = `/api/v1/nodes/${node.metadata.name}`;
      const lastTransitionTime = (
        (await nodeNow(node))['status'] as { conditions: { type: string; lastTransitionTime: string }[] }
      ).conditions.find(({ type }) => type === 'Ready')?.lastTransitionTime;
      // Where controllers are at work, something that does matter may come at the same time: then it is asked again.
      const waiting = await until(async () => {
        await cluster.observe(nothing);
        const wait = { woken: false, over: Promise.resolve() };
        wait.over = cluster.changed(10_000, new AbortController().signal).then(() => void (wait.woken = true));
        beats++;
        const lastHeartbeatTime = new Date(Date.UTC(2030, 0, 1) + beats * 1_000).toISOString();
        const conditions = [{ ...beat, lastHeartbeatTime, lastTransitionTime }];
        await admin('PATCH', `${path}/status`, { status: { conditions } });
        await world.pass(300);
        return wait.woken ? undefined : wait;
      });
      await admin('PATCH', path, { metadata: { labels: { 'oakum.dev/patch': 'disabled' } } });
      await until(async () => (waiting.woken ? true : undefined));
      await waiting.over;
      expect((await seen(node)).labels['oakum.dev/patch']).toBe('disabled');
    });

  it('waits no longer than it is told to', async () => {
    await cluster.observe(nothing);
    const stop = new AbortController();
    const waiting = cluster.changed(3_600_000, stop.signal);
    stop.abort();
    await waiting;
  });

  it('asked for nothing beyond its rights', () => {
    expect(requested.length).toBeGreaterThan(20);
    const beyond = requested
      .map(({ method, path }) => {
        const selector = new URL(path, 'http://api').searchParams.get('fieldSelector') ?? '';
        const selected = /^metadata\.name=([^,]+)$/.exec(selector)?.[1];
        const info = requestInfo(method, path);
        return rightFor(info, selected) === undefined
          ? `${info.verb} ${info.apiGroup}/${info.resource} in ${info.namespace ?? 'all'}`
          : '';
      })
      .filter((text) => text !== '');
    expect([...new Set(beyond)]).toEqual([]);
  });
}
