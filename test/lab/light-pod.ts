// The life of one pod on a light node: starting, running, ending, restarting after a boot, going away.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Api } from './api.ts';
import type { LabPod, Program, ProgramEnd, ProgramNode } from './light-program.ts';

/** How long the parts of a pod's life take, in milliseconds. */
export interface PodTimes {
  readonly startMs: number;
  readonly readyMs: number;
  /** From the deletion to the end of the containers; never more than the pod's own grace period. */
  readonly terminationMs: number;
}

/** What a pod needs from its node. */
export interface PodHost extends ProgramNode {
  readonly index: number;
  /** Resolves when the kubelet runs and reaches the API server; rejects when the node is removed. */
  reporting(): Promise<void>;
  /** Sends something and tries again while the API server is away; a refusal is taken as the answer. */
  persist(send: () => Promise<{ readonly status: number }>): Promise<void>;
}

/** One pod. */
export interface PodLife {
  /** The newest version of the object was seen. */
  update(pod: LabPod): void;
  /** The node lost power: every container is dead, and nothing is reported. */
  powerLost(): void;
  /** The node booted: what the kubelet does with the pods it finds. */
  booted(): void;
}

/** Starts the life of a pod that the scheduler has given to `host`. */
export function beginPodLife(api: Api, first: LabPod, host: PodHost, program: Program, times: PodTimes): PodLife {
  const path = `/api/v1/namespaces/${first.metadata.namespace}/pods/${first.metadata.name}`;
  const uid = first.metadata.uid;
  const always = (first.spec.restartPolicy ?? 'Always') === 'Always';
  let pod = first;
  let stage: 'new' | 'running' | 'ended' = isOver(first) ? 'ended' : 'new';
  let deleting = false;
  let restarts = 0;
  let startedAt = now();
  let power = new AbortController();

  const report = (status: Record<string, unknown>): Promise<void> =>
    host.persist(() =>
      api.request('PATCH', `${path}/status`, { metadata: { uid }, status }, { 'content-type': strategicMerge }),
    );
  const containers = (state: unknown, ready: boolean): unknown[] =>
    pod.spec.containers.map((container) => ({
      name: container.name,
      image: container.image,
      imageID: container.image,
      containerID: `lab://${uid}-${restarts}`,
      ready,
      started: ready,
      restartCount: restarts,
      state,
    }));
  const running = (ready: boolean): Promise<void> =>
    report({
      phase: 'Running',
      startTime: startedAt,
      hostIP: hostIp(host),
      podIP: podIp(host, uid),
      podIPs: [{ ip: podIp(host, uid) }],
      conditions: [
        ...conditions(['PodReadyToStartContainers', 'Initialized', 'PodScheduled'], true),
        ...conditions(['Ready', 'ContainersReady'], ready),
      ],
      containerStatuses: containers({ running: { startedAt } }, ready),
    });
  const ended = (end: ProgramEnd, reason?: string): Promise<void> => {
    stage = 'ended';
    const why = reason ?? (end.exitCode === 0 ? 'Completed' : 'Error');
    const terminated = {
      exitCode: end.exitCode,
      reason: why,
      startedAt,
      finishedAt: now(),
      ...(end.message === undefined ? {} : { message: end.message.slice(0, 4096) }),
    };
    return report({
      phase: end.exitCode === 0 ? 'Succeeded' : 'Failed',
      conditions: conditions(['Ready', 'ContainersReady'], false, 'PodCompleted'),
      containerStatuses: containers({ terminated }, false),
    });
  };

  async function start(signal: AbortSignal): Promise<void> {
    await host.reporting();
    await mounts(signal);
    await sleep(times.startMs, undefined, { signal });
    startedAt = now();
    stage = 'running';
    await running(!always || times.readyMs === 0);
    if (always) {
      await sleep(times.readyMs, undefined, { signal });
      if (times.readyMs > 0) await running(true);
      return;
    }
    for (;;) {
      const end = await program(pod, host, signal);
      if (end.durationMs !== undefined) await sleep(end.durationMs, undefined, { signal });
      signal.throwIfAborted();
      if (end.exitCode === 0 || pod.spec.restartPolicy === 'Never') {
        await ended(end);
        return;
      }
      restarts += 1;
      await running(true);
    }
  }

  /** The kubelet starts no container before every ConfigMap volume is there. */
  async function mounts(signal: AbortSignal): Promise<void> {
    for (const volume of pod.spec.volumes ?? []) {
      if (volume.configMap === undefined || volume.configMap.optional === true) continue;
      const wanted = `/api/v1/namespaces/${pod.metadata.namespace}/configmaps/${volume.configMap.name}`;
      while ((await api.request('GET', wanted).catch(() => undefined))?.status !== 200)
        await sleep(500, undefined, { signal });
    }
  }

  /** SIGTERM, the end of the containers, and only then the end of the object. */
  async function remove(): Promise<void> {
    await host.reporting();
    const grace = pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30;
    if (stage !== 'ended') await sleep(Math.min(times.terminationMs, grace * 1000));
    power.abort();
    if (stage === 'running') await ended({ exitCode: 137 });
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', gracePeriodSeconds: 0, preconditions: { uid } };
    await host.persist(() => api.request('DELETE', path, options));
  }

  const launch = (): void => {
    const { signal } = power;
    // An abort is how a container dies, and a node that was removed reports nothing more: neither is an error.
    void start(signal).catch(() => undefined);
  };
  if (stage === 'new') launch();

  return {
    update(newer) {
      pod = newer;
      if (isOver(newer)) stage = 'ended';
      if (newer.metadata.deletionTimestamp === undefined || deleting) return;
      deleting = true;
      void remove().catch(() => undefined);
    },
    powerLost() {
      power.abort();
    },
    booted() {
      power = new AbortController();
      if (stage === 'ended' || deleting) return;
      if (stage === 'new') launch();
      else if (pod.spec.restartPolicy === 'Never') {
        // The kubelet finds a container that nobody saw the end of.
        void ended({ exitCode: 255 }, 'Unknown').catch(() => undefined);
      } else {
        restarts += 1;
        launch();
      }
    },
  };
}

const strategicMerge = 'application/strategic-merge-patch+json';

function isOver(pod: LabPod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

function conditions(types: readonly string[], yes: boolean, reason?: string): unknown[] {
  return types.map((type) => ({
    type,
    status: yes ? 'True' : 'False',
    lastTransitionTime: now(),
    ...(reason === undefined ? {} : { reason }),
  }));
}

function hostIp(host: PodHost): string {
  return `10.99.${host.index >> 8}.${host.index & 255}`;
}

/** Any address will do, as long as two pods rarely share one: nothing is ever sent to it. */
function podIp(host: PodHost, uid: string): string {
  return `10.${100 + (host.index % 100)}.${Number.parseInt(uid.slice(0, 2), 16)}.${Number.parseInt(uid.slice(2, 4), 16)}`;
}

/** Kubernetes' `Time`: whole seconds. */
export function now(): string {
  return new Date().toISOString().replace(/\.\d+Z$/, 'Z');
}
