// One machine of the cluster: its node object, its boots, and the ways in which it can be broken on purpose.
import { createKubelet, type Kubelet, type ProgramRun } from './kubelet.ts';
import { NODES, PODS } from './kinds.ts';
import type { Heartbeats } from './lifecycle.ts';
import { type Condition, type NodeObject, type Pod, type Taint, withCondition } from './object.ts';
import { emitEvent, timeOf, type World } from './world.ts';

/** How a machine is made. */
export interface NodeOptions {
  name: string;
  zone?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  taints?: Taint[];
  osImage?: string;
  kernel?: string;
  kubelet?: string;
  containerRuntime?: string;
  architecture?: string;
  controlPlane?: boolean;
  /** From the start of a reboot until the kubelet reports again (default 20 s). */
  rebootMs?: number;
  /** How long the kubelet says Ready=False after a boot (default 1 s; 0: the reboot never shows in Ready). */
  bootNotReadyMs?: number;
}

/** The knobs of one machine. */
export interface SimNode {
  readonly name: string;
  bootId(): string;
  kernel(): string;
  state(): 'up' | 'down';
  /** Reboots now. What changes takes effect with the new boot. */
  boot(how?: { kernel?: string; osImage?: string; returns?: boolean }): void;
  powerOff(): void;
  powerOn(): void;
  /** With true, the next reboots end in nothing until powerOn. */
  neverComesBack(broken: boolean): void;
  /** With true, the API server hears nothing from it, while its containers go on. */
  silent(on: boolean): void;
  /** With a message, the kubelet says Ready=False; with undefined it is well again. */
  notReady(message: string | undefined): void;
  /** Multiplies the times of its pods. */
  slow(factor: number): void;
  /** With true, new pods on it never start. */
  hangPods(on: boolean): void;
  /** Looks at a pod that the API has put here. */
  sync(pod: Pod): void;
}

const DEFAULT_REBOOT_MS = 20_000;
const DEFAULT_NOT_READY_MS = 1_000;

const PRESSURES: readonly (readonly [type: string, reason: string])[] = [
  ['MemoryPressure', 'KubeletHasSufficientMemory'],
  ['DiskPressure', 'KubeletHasNoDiskPressure'],
  ['PIDPressure', 'KubeletHasSufficientPID'],
];

/** Adds a machine to the cluster: it registers its node at once, Ready. */
export function createMachine(
  world: World,
  options: NodeOptions,
  number: number,
  heartbeats: Heartbeats,
  program: (pod: Pod, node: SimNode) => ProgramRun,
): SimNode {
  const { clock, store, settings, identity } = world;
  const { name } = options;
  let bootId = identity.uid();
  let kernel = options.kernel ?? '6.1.0-18-amd64';
  let osImage = options.osImage ?? 'Debian GNU/Linux 12 (bookworm)';
  let up = true;
  let muted = false;
  let broken = false;
  let complaint: string | undefined;
  let factor = 1;
  let hang = false;
  let bootCount = 0;
  const machineId = identity.uid().replaceAll('-', '');

  const conditionsNow = (old: readonly Condition[] | undefined): Condition[] => {
    const now = timeOf(world);
    let list: Condition[] = [...(old ?? [])];
    for (const [type, reason] of PRESSURES)
      list = withCondition(list, { type, status: 'False', reason, message: reason, lastHeartbeatTime: now }, now);
    const ready: Condition =
      complaint === undefined
        ? {
            type: 'Ready',
            status: 'True',
            reason: 'KubeletReady',
            message: 'kubelet is posting ready status',
            lastHeartbeatTime: now,
          }
        : { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: complaint, lastHeartbeatTime: now };
    return withCondition(list, ready, now);
  };
  const statusNow = (old: NodeObject['status']): NodeObject['status'] => ({
    ...old,
    conditions: conditionsNow(old.conditions),
    addresses: [
      { type: 'InternalIP', address: `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}` },
      { type: 'Hostname', address: name },
    ],
    capacity: { cpu: '4', memory: '16Gi', pods: '110' },
    allocatable: { cpu: '4', memory: '15Gi', pods: '110' },
    nodeInfo: {
      machineID: machineId,
      systemUUID: machineId,
      bootID: bootId,
      kernelVersion: kernel,
      osImage,
      containerRuntimeVersion: options.containerRuntime ?? 'containerd://2.1.4',
      kubeletVersion: options.kubelet ?? 'v1.36.2',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: options.architecture ?? 'amd64',
    },
  });
  const register = (): void => {
    const role = options.controlPlane === true ? { 'node-role.kubernetes.io/control-plane': '' } : {};
    const taints = [
      ...(options.taints ?? []),
      ...(options.controlPlane === true
        ? [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }]
        : []),
    ];
    store.create(NODES, {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: {
        name,
        uid: identity.uid(),
        resourceVersion: '',
        creationTimestamp: timeOf(world),
        labels: {
          'kubernetes.io/hostname': name,
          'kubernetes.io/os': 'linux',
          'kubernetes.io/arch': options.architecture ?? 'amd64',
          ...(options.zone === undefined ? {} : { 'topology.kubernetes.io/zone': options.zone }),
          ...role,
          ...options.labels,
        },
        ...(options.annotations === undefined ? {} : { annotations: options.annotations }),
      },
      spec: taints.length === 0 ? {} : { taints },
      status: statusNow({}),
    });
  };
  const post = (): void => {
    if (!up || muted) return;
    heartbeats.heard(name);
    const node = store.get(NODES, undefined, name);
    if (node !== undefined) store.update(NODES, { ...node, status: statusNow(node.status) });
  };
  const heartbeat = (delayMs: number): void => {
    clock.after(delayMs, () => {
      post();
      heartbeat(settings.heartbeatMs);
    });
  };

  const powerOff = (): void => {
    if (!up) return;
    up = false;
    bootCount++;
    kubelet.crashed();
    heartbeats.lost(name);
  };
  const powerOn = (): void => {
    if (up) return;
    up = true;
    bootCount++;
    const boot = bootCount;
    bootId = identity.uid();
    const pause = options.bootNotReadyMs ?? DEFAULT_NOT_READY_MS;
    const lasting = complaint;
    if (pause > 0) complaint ??= 'container runtime network not ready';
    if (store.get(NODES, undefined, name) === undefined) register();
    else post();
    const node = store.get(NODES, undefined, name);
    if (node !== undefined && !muted)
      emitEvent(world, node, 'Warning', 'Rebooted', `Node ${name} has been rebooted, boot id: ${bootId}`, 'kubelet');
    clock.after(pause, () => {
      if (boot !== bootCount) return;
      complaint = lasting;
      post();
      if (!muted) kubelet.resume();
    });
  };
  const boot: SimNode['boot'] = (how = {}) => {
    if (!up) return;
    powerOff();
    kernel = how.kernel ?? kernel;
    osImage = how.osImage ?? osImage;
    if (broken || how.returns === false) return;
    const attempt = bootCount;
    clock.after(options.rebootMs ?? DEFAULT_REBOOT_MS, () => {
      if (attempt === bootCount) powerOn();
    });
  };

  const machine: SimNode = {
    name,
    bootId: () => bootId,
    kernel: () => kernel,
    state: () => (up ? 'up' : 'down'),
    boot,
    powerOff,
    powerOn,
    neverComesBack: (on) => {
      broken = on;
    },
    silent(on) {
      if (muted === on) return;
      muted = on;
      if (on) heartbeats.lost(name);
      else if (up) {
        post();
        kubelet.resume();
      }
    },
    notReady(message) {
      complaint = message;
      post();
    },
    slow: (times) => {
      factor = times;
    },
    hangPods: (on) => {
      hang = on;
    },
    sync: (pod) => {
      kubelet.sync(pod);
    },
  };
  const kubelet: Kubelet = createKubelet(world, {
    name,
    up: () => up,
    heard: () => up && !muted,
    slowness: () => factor,
    podsHang: () => hang,
    program: (pod) => program(pod, machine),
    reboot: boot,
  });
  register();
  if (settings.heartbeatMs > 0) heartbeat(Math.floor(identity.random() * settings.heartbeatMs));
  for (const pod of store.podsOn(name)) kubelet.sync(pod);
  return machine;
}

/** Hands every pod that is bound to a machine to that machine. */
export function startKubelets(world: World, machineOf: (name: string) => SimNode | undefined): void {
  world.store.subscribe((change) => {
    if (change.resource.storage !== PODS.storage || change.type === 'DELETED') return;
    const pod = change.object as Pod;
    const before = change.previous as Pod | undefined;
    if (pod.spec.nodeName === undefined) return;
    const news =
      before?.spec.nodeName !== pod.spec.nodeName ||
      before.metadata.deletionTimestamp !== pod.metadata.deletionTimestamp;
    if (news) machineOf(pod.spec.nodeName)?.sync(pod);
  });
}
