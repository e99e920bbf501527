// Job: what became of one patch Job, from the Job, its pods, and the cluster's complaints about them.
import { nodeNameAnnotation, nodeUidLabel, runIdAnnotation, stepLabel } from '../model/names.ts';
import type { JobView } from '../model/observed.ts';
import { condition, fields, instant, isTrue, items, text, texts } from './raw.ts';
import type { Raw } from './raw.ts';

/** What is kept of a Job's pod: small, since the pods of all nodes are held. */
export interface JobPod {
  readonly uid: string;
  readonly name: string;
  /** UID of the Job that it belongs to. */
  readonly job: string;
  readonly createdAt: number;
  /** `Pending`, `Running`, `Succeeded`, `Failed`, or `Unknown`. */
  readonly phase: string;
  /** Its container has not started yet. */
  readonly waiting: boolean;
  /** The container has ended; its result is final. */
  readonly ended: boolean;
  readonly exitCode: number | undefined;
  /** Termination message of the container; undefined until it has ended, and when it is empty. */
  readonly result: string | undefined;
  /** Why it does not start; empty when nothing is known. */
  readonly trouble: string;
}

/** The view of a Job's pod. A patch Job has one container. */
export function jobPod(raw: unknown): JobPod {
  const metadata = fields(raw, 'metadata');
  const status = fields(raw, 'status');
  const container = items(raw, 'status', 'containerStatuses')[0];
  const terminated = fields(container, 'state', 'terminated');
  const message = text(terminated, 'message');
  const code = terminated['exitCode'];
  const phase = text(status, 'phase');
  const ended = container !== undefined && 'terminated' in fields(container, 'state');
  return {
    uid: text(metadata, 'uid'),
    name: text(metadata, 'name'),
    job: text(items(raw, 'metadata', 'ownerReferences').find((owner) => owner['kind'] === 'Job') ?? {}, 'uid'),
    createdAt: instant(metadata, 'creationTimestamp') ?? 0,
    phase,
    waiting: !ended && (phase === 'Pending' || phase === ''),
    ended,
    exitCode: typeof code === 'number' ? code : undefined,
    result: message === '' ? undefined : message,
    trouble: podTrouble(raw, container),
  };
}

/** Reasons of a waiting container that only say "soon". */
const soon = ['ContainerCreating', 'PodInitializing', ''];

function podTrouble(raw: unknown, container: Raw | undefined): string {
  const scheduled = condition(raw, 'PodScheduled');
  if (scheduled['status'] === 'False') return sentence(text(scheduled, 'reason'), text(scheduled, 'message'));
  const waiting = fields(container, 'state', 'waiting');
  const reason = text(waiting, 'reason');
  if (!soon.includes(reason)) return sentence(reason, text(waiting, 'message'));
  // A pod that the kubelet refused (no room, wrong node) ends without ever having had a container.
  const status = fields(raw, 'status');
  if (text(status, 'phase') === 'Failed' && container === undefined)
    return sentence(text(status, 'reason'), text(status, 'message'));
  return '';
}

function sentence(reason: string, message: string): string {
  return [reason, message].filter((part) => part !== '').join(': ');
}

/** What an Event complains about, e.g. `FailedCreate: pods "x" is forbidden`. */
export interface Complaint {
  /** When it was said last, milliseconds since the epoch. */
  readonly at: number;
  readonly text: string;
}

/** Reads one Event. */
export function complaint(raw: unknown): Complaint {
  const event = fields(raw);
  const at =
    instant(event, 'lastTimestamp') ??
    instant(event, 'eventTime') ??
    instant(fields(raw, 'metadata'), 'creationTimestamp');
  return { at: at ?? 0, text: sentence(text(event, 'reason'), text(event, 'message')) };
}

/** What is kept of the Job itself. */
export interface JobFacts {
  readonly name: string;
  readonly uid: string;
  readonly runId: string;
  readonly nodeName: string;
  readonly nodeUid: string;
  readonly step: string;
  readonly createdAt: number;
  /** Undefined until a terminal condition is there. */
  readonly end: 'succeeded' | 'failed' | undefined;
  readonly finishedAt: number | undefined;
  /** Reason and message of the condition `Failed`; empty unless the Job failed. */
  readonly failure: string;
}

/**
 * Reads one Job. Only the conditions `Complete` and `Failed` are ends: `SuccessCriteriaMet` and `FailureTarget` come before them, and on a
 * dead node a Job may stay at `FailureTarget` for as long as the node is away.
 */
export function jobFacts(raw: unknown): JobFacts {
  const metadata = fields(raw, 'metadata');
  const labels = texts(raw, 'metadata', 'labels');
  const annotations = texts(raw, 'metadata', 'annotations');
  const end = isTrue(raw, 'Complete') ? 'succeeded' : isTrue(raw, 'Failed') ? 'failed' : undefined;
  const endCondition = condition(raw, end === 'succeeded' ? 'Complete' : 'Failed');
  return {
    name: text(metadata, 'name'),
    uid: text(metadata, 'uid'),
    runId: annotations[runIdAnnotation] ?? '',
    nodeName: annotations[nodeNameAnnotation] ?? '',
    nodeUid: labels[nodeUidLabel] ?? '',
    step: labels[stepLabel] ?? '',
    createdAt: instant(metadata, 'creationTimestamp') ?? 0,
    end,
    finishedAt: end === undefined ? undefined : instant(endCondition, 'lastTransitionTime'),
    failure: end === 'failed' ? sentence(text(endCondition, 'reason'), text(endCondition, 'message')) : '',
  };
}

/** The view of one Job with its pods and the complaints about it. A result is kept for failed Jobs too. */
export function jobView(facts: JobFacts, pods: readonly JobPod[], complaints: readonly Complaint[] = []): JobView {
  const { end, failure, ...rest } = facts;
  const pod = telling(pods.filter((candidate) => candidate.job === facts.uid));
  const started = pod !== undefined && !pod.waiting;
  return {
    ...rest,
    state: end ?? (started ? 'running' : 'waiting'),
    result: pod?.result,
    exitCode: pod?.exitCode,
    hasPod: pod !== undefined,
    trouble: end === 'succeeded' ? '' : pod?.trouble || failure || (started ? '' : newest(complaints)),
  };
}

function newest(complaints: readonly Complaint[]): string {
  return complaints.reduce((last, next) => (next.at >= last.at ? next : last), { at: 0, text: '' }).text;
}

/** The pod whose word counts: the newest with a result, else the newest that ended, else the newest. */
function telling(pods: readonly JobPod[]): JobPod | undefined {
  const rank = (pod: JobPod): number => (pod.result !== undefined ? 2 : pod.ended ? 1 : 0);
  return [...pods].sort((a, b) => rank(b) - rank(a) || b.createdAt - a.createdAt || (a.uid < b.uid ? -1 : 1))[0];
}
