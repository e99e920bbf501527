// The status of pods as a kubelet writes it, and the marks by which a pod says how fast it is.
import type { ContainerStatus, Pod } from './object.ts';
import { withCondition } from './object.ts';

/** Annotation: milliseconds from the start of the containers until the pod is ready. */
export const READY_MS = 'sim/ready-ms';
/** Annotation: milliseconds that the pod takes to go when asked. */
export const TERMINATION_MS = 'sim/termination-ms';

/** A number out of an annotation of the pod. */
export function pace(pod: Pod, annotation: string, otherwise: number): number {
  const value = Number(pod.metadata.annotations?.[annotation] ?? Number.NaN);
  return Number.isFinite(value) ? value : otherwise;
}

/** How a container ended. */
export interface Ending {
  exitCode: number;
  reason: string;
  message?: string | undefined;
  startedAt: string;
  finishedAt: string;
}

function statuses(pod: Pod, ready: boolean, restarts: number, state: ContainerStatus['state']): ContainerStatus[] {
  return pod.spec.containers.map((container) => ({
    name: container.name,
    ready,
    started: state.running !== undefined,
    restartCount: restarts,
    image: container.image ?? '',
    imageID: '',
    containerID: `containerd://${pod.metadata.uid}`,
    state,
  }));
}

function conditions(pod: Pod, ready: boolean, reason: string | undefined, now: string): Pod['status']['conditions'] {
  const word = ready ? 'True' : 'False';
  const why = reason === undefined ? {} : { reason };
  let list = withCondition(pod.status.conditions, { type: 'PodScheduled', status: 'True' }, now);
  list = withCondition(list, { type: 'Initialized', status: 'True' }, now);
  list = withCondition(list, { type: 'ContainersReady', status: word, ...why }, now);
  return withCondition(list, { type: 'Ready', status: word, ...why }, now);
}

/** The pod while its containers run. */
export function runningPod(pod: Pod, ready: boolean, restarts: number, startedAt: string, now: string): Pod {
  return {
    ...pod,
    status: {
      ...pod.status,
      phase: 'Running',
      startTime: pod.status.startTime ?? now,
      conditions: conditions(pod, ready, ready ? undefined : 'ContainersNotReady', now) ?? [],
      containerStatuses: statuses(pod, ready, restarts, { running: { startedAt } }),
    },
  };
}

/** The pod after its containers have ended for good. */
export function endedPod(pod: Pod, restarts: number, ending: Ending, now: string): Pod {
  const { message, ...rest } = ending;
  const ok = ending.exitCode === 0;
  return {
    ...pod,
    status: {
      ...pod.status,
      phase: ok ? 'Succeeded' : 'Failed',
      conditions: conditions(pod, false, ok ? 'PodCompleted' : 'PodFailed', now) ?? [],
      containerStatuses: statuses(pod, false, restarts, {
        terminated: { ...rest, ...(message === undefined ? {} : { message }) },
      }),
    },
  };
}
