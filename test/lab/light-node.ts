// One light node: a Node object with a heartbeat, whose kubelet is a few lines and whose machine can be rebooted, silenced and taken away.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiRefusal, type Api, type ApiObject } from './api.ts';
import { beginPodLife, now, type PodHost, type PodLife, type PodTimes } from './light-pod.ts';
import type { LabPod, Program } from './light-program.ts';

/** What a node is born with. */
export interface LightNodeSpec {
  readonly name: string;
  readonly index: number;
  readonly zone?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  readonly kernel: string;
  readonly osImage: string;
  /** From the start of the kubelet to Ready=True, with the new boot id already told: a real kubelet needs a few seconds. */
  readonly notReadyMs: number;
}

/** One node, as tests hold it. */
export interface LightNode extends PodHost {
  /** Number of boots after the first. */
  boots(): number;
  /** The kubelet stops talking; the containers go on. */
  silence(): void;
  speak(): Promise<void>;
  powerOff(): void;
  /** Boots: a new boot id, then Ready. Resolves when Ready was reported. */
  powerOn(kernel?: string): Promise<void>;
  /** The machine is gone and so is its Node object. */
  remove(): Promise<void>;
  /** The machine is gone, its Node object stays. */
  vanish(): void;
  /** Hands over a pod that was assigned to this node, or that changed. */
  see(pod: LabPod): void;
  forget(uid: string): void;
}

/** Registers a node and starts its heartbeat. */
export async function startLightNode(
  api: Api,
  spec: LightNodeSpec,
  program: Program,
  times: PodTimes,
): Promise<LightNode> {
  const { name } = spec;
  const path = `/api/v1/nodes/${name}`;
  const leasePath = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';
  const pods = new Map<string, PodLife>();
  const removed = new AbortController();
  let power = true;
  let speaking = true;
  let bootId: string = randomUUID();
  let kernel = spec.kernel;
  let bootCount = 0;
  let wake: (() => void)[] = [];

  const reporting = async (): Promise<void> => {
    while (!power || !speaking) {
      removed.signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        wake.push(resolve);
        removed.signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    removed.signal.throwIfAborted();
  };
  const wakeAll = (): void => {
    const waiting = wake;
    wake = [];
    for (const resolve of waiting) resolve();
  };
  const persist: PodHost['persist'] = async (send) => {
    for (;;) {
      await reporting();
      const answer = await send().catch(() => undefined);
      // 429 and 5xx pass; any other refusal means that the object is not what we think, and the watch will tell.
      if (answer !== undefined && answer.status < 500 && answer.status !== 429) return;
      await sleep(300, undefined, { signal: removed.signal });
    }
  };
  const condition = (type: string, status: string, reason: string): unknown => ({
    type,
    status,
    reason,
    message: 'light node',
    lastHeartbeatTime: now(),
    lastTransitionTime: now(),
  });
  const status = (ready: boolean): unknown => ({
    conditions: [
      condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory'),
      condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure'),
      condition('PIDPressure', 'False', 'KubeletHasSufficientPID'),
      condition('Ready', ready ? 'True' : 'False', ready ? 'KubeletReady' : 'KubeletNotReady'),
    ],
    capacity: { cpu: '8', memory: '32Gi', pods: '110' },
    allocatable: { cpu: '8', memory: '32Gi', pods: '110' },
    addresses: [
      { type: 'InternalIP', address: `10.99.${spec.index >> 8}.${spec.index & 255}` },
      { type: 'Hostname', address: name },
    ],
    nodeInfo: {
      bootID: bootId,
      machineID: name,
      systemUUID: name,
      kernelVersion: kernel,
      osImage: spec.osImage,
      containerRuntimeVersion: 'light://1',
      kubeletVersion: 'v1.36.2',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: 'amd64',
    },
  });
  const tell = (ready: boolean): Promise<void> =>
    persist(() =>
      api.request(
        'PATCH',
        `${path}/status`,
        { status: status(ready) },
        { 'content-type': 'application/strategic-merge-patch+json' },
      ),
    );
  const beat = (): Promise<void> =>
    persist(() =>
      api.request(
        'PATCH',
        `${leasePath}/${name}`,
        { spec: { renewTime: new Date().toISOString().replace('Z', '000Z') } },
        { 'content-type': 'application/merge-patch+json' },
      ),
    );

  const node = await register();
  await tell(false);
  await tell(true);
  void heartbeats().catch(() => undefined);

  async function register(): Promise<ApiObject> {
    const labels = {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': 'amd64',
      ...(spec.zone === undefined ? {} : { 'topology.kubernetes.io/zone': spec.zone }),
      ...spec.labels,
    };
    const body = { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec: { taints: spec.taints ?? [] } };
    const made = await api.create(`/api/v1/nodes`, body);
    const owner = { apiVersion: 'v1', kind: 'Node', name, uid: made.metadata.uid };
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, ownerReferences: [owner] },
      spec: {
        holderIdentity: name,
        leaseDurationSeconds: 40,
        renewTime: new Date().toISOString().replace('Z', '000Z'),
      },
    };
    await api.create(leasePath, lease).catch((error: unknown) => {
      // The Lease of a node of the same name may be left until the garbage collector comes by.
      if (!(error instanceof ApiRefusal) || error.answer.status !== 409) throw error;
    });
    return made;
  }

  async function heartbeats(): Promise<void> {
    for (let round = 1; !removed.signal.aborted; round += 1) {
      await sleep(10_000, undefined, { signal: removed.signal });
      await beat();
      if (round % 30 === 0 || (await takenForLost())) await tell(true);
    }
  }

  /** The node controller says Unknown after a long silence (of the API server, too); a kubelet puts that right with its next look. */
  async function takenForLost(): Promise<boolean> {
    const seen = await api
      .get<{ status?: { conditions?: { type: string; status: string }[] } }>(path)
      .catch(() => undefined);
    return seen?.status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'Unknown') === true;
  }

  const self: LightNode = {
    name,
    index: spec.index,
    bootId: () => bootId,
    kernel: () => kernel,
    up: () => power,
    boots: () => bootCount,
    reporting,
    persist,
    silence() {
      speaking = false;
    },
    async speak() {
      speaking = true;
      wakeAll();
      await beat();
      await tell(true);
    },
    powerOff() {
      if (!power) return;
      power = false;
      for (const life of pods.values()) life.powerLost();
    },
    async powerOn(newKernel) {
      if (power) return;
      power = true;
      bootId = randomUUID();
      bootCount += 1;
      if (newKernel !== undefined) kernel = newKernel;
      wakeAll();
      await beat();
      await tell(false);
      for (const life of pods.values()) life.booted();
      await sleep(spec.notReadyMs, undefined, { signal: removed.signal });
      await tell(true);
    },
    reboot({ downMs, kernel: newKernel }) {
      self.powerOff();
      if (downMs === undefined) return;
      void sleep(downMs, undefined, { signal: removed.signal })
        .then(() => self.powerOn(newKernel))
        .catch(() => undefined);
    },
    vanish() {
      removed.abort();
      for (const life of pods.values()) life.powerLost();
      pods.clear();
    },
    async remove() {
      self.vanish();
      await api.delete(path, {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid: node.metadata.uid },
      });
    },
    see(pod) {
      const known = pods.get(pod.metadata.uid);
      const life = known ?? beginPodLife(api, pod, self, program, times);
      if (known === undefined) pods.set(pod.metadata.uid, life);
      life.update(pod);
    },
    forget(uid) {
      pods.get(uid)?.powerLost();
      pods.delete(uid);
    },
  };
  return self;
}
