// What one step on one node sees, and what it answers.
import type { Action } from '../model/action.ts';
import { jobName } from '../model/digest.ts';
import type { NodeHistory, NodeRecord, RunRecord, Sightings } from '../model/ledger.ts';
import { cordonAnnotation } from '../model/names.ts';
import type { Step } from '../model/node-phase.ts';
import type {
  AttachmentView,
  BudgetView,
  EvictionAnswer,
  HookFacts,
  JobView,
  NodeView,
  PodView,
  StandbyView,
  VirtualMachineView,
} from '../model/observed.ts';
import type { PatchResult } from '../model/patch-result.ts';
import type { Hold } from '../model/reason.ts';
import { readResult } from '../model/result-text.ts';
import type { PlanSettings } from './input.ts';
import { startJob } from './job.ts';
import { enter, waiting } from './records.ts';

/** How often a step is tried when it fails for a reason that may pass. */
export const mostTries = 3;
/** How often a new Job attaches to work that goes on: each one watches for about an hour. */
export const mostAttachments = 8;

/** Why a pod does not start is said by Events, which are not watched: nothing but the time wakes us to read them. */
const startLookMs = 15_000;

export interface StepContext {
  readonly now: number;
  readonly run: RunRecord;
  readonly record: NodeRecord;
  /** The node as it is now, the same UID as in the record. */
  readonly node: NodeView;
  readonly history: NodeHistory | undefined;
  /** Since when each update is known in the cluster. */
  readonly sightings: Sightings | undefined;
  readonly jobs: ReadonlyMap<string, JobView>;
  /** Undefined when the pods of this node were not read in this pass. */
  readonly pods: readonly PodView[] | undefined;
  readonly budgets: readonly BudgetView[];
  readonly evictions: ReadonlyMap<string, EvictionAnswer>;
  /** Undefined when the attached volumes were not read in this pass. */
  readonly volumes: readonly AttachmentView[] | undefined;
  /** Undefined when the virtual machines were not read in this pass, or cannot be read. */
  readonly machines: readonly VirtualMachineView[] | undefined;
  /** Undefined when the hooks were not read in this pass. */
  readonly hooks: HookFacts | undefined;
  /** Another Oakum that waits for our Lease. */
  readonly standby?: StandbyView | undefined;
  /** What the API server refused to do for this node, as a sentence. */
  readonly refusal: string | undefined;
  readonly settings: PlanSettings;
  /** A freeze that forbids asking for a reboot. */
  readonly frozen: Hold | undefined;
}

/** The record after the step; the actions of the phase that it is in now; and when to look again at the latest. */
export interface StepResult {
  readonly record: NodeRecord;
  readonly actions: readonly Action[];
  readonly until?: number | undefined;
  /** The run must start no further node (a node is lost). */
  readonly stopRun?: boolean;
  /** A reboot was asked for at this instant. */
  readonly rebooted?: number;
}

/** The part of the context that a Job needs. */
export type JobContext = Pick<StepContext, 'now' | 'run' | 'record' | 'jobs' | 'refusal' | 'settings'>;

/** What became of the Job of this step. */
export type JobOutcome =
  | { readonly kind: 'wait'; readonly result: StepResult }
  | { readonly kind: 'result'; readonly result: PatchResult }
  /** It ended without a result, or never began; the record is ready for another try. What it leaves behind is swept. */
  | {
      readonly kind: 'lost';
      readonly reason: 'NoResult' | 'JobNotStarting';
      readonly message: string;
    };

/** Creates the Job of the step when it is not there, and waits for its end. Deleted by hand, it is created again. */
export function awaitJob(context: JobContext, step: Step): JobOutcome {
  const { record, run, settings, now } = context;
  if (record.notBefore !== undefined && record.notBefore > now) {
    return { kind: 'wait', result: { record, actions: [], until: record.notBefore } };
  }
  const job = context.jobs.get(jobName(step, record.uid, run.id, record.attempt));
  if (job === undefined) {
    const limit = Math.max(record.since, record.notBefore ?? 0) + settings.timing.jobStartMs;
    if (context.refusal !== undefined && now >= limit)
      return {
        kind: 'lost',
        reason: 'JobNotStarting',
        message: `the ${step} Job cannot be created: ${context.refusal}`,
      };
    const told =
      context.refusal === undefined
        ? waiting(record, 'WaitingForJob', `${step} Job is being created`)
        : waiting(record, 'JobNotStarting', context.refusal);
    return {
      kind: 'wait',
      result: { record: told, actions: startJob(run, record, step, settings), until: now + settings.timing.retryMs },
    };
  }
  const result = readResult(job.result);
  if (result && (job.state === 'succeeded' || job.state === 'failed')) return { kind: 'result', result };
  if (job.state === 'succeeded' || job.state === 'failed') {
    const code = job.exitCode === undefined ? '' : ` (exit code ${job.exitCode})`;
    return {
      kind: 'lost',
      reason: 'NoResult',
      message: `${step} Job ${job.name} ended without a result${code}${job.trouble ? `: ${job.trouble}` : ''}`,
    };
  }
  const deadline = job.createdAt + settings.timing.jobStartMs;
  if (job.state === 'waiting' && now >= deadline) {
    return {
      kind: 'lost',
      reason: 'JobNotStarting',
      message: `${step} Job ${job.name} has not started: ${job.trouble || 'no reason given by the cluster'}`,
    };
  }
  const end = job.createdAt + settings.timing.jobDeadlineMs + settings.timing.jobStartMs;
  if (now >= end) return { kind: 'lost', reason: 'NoResult', message: `${step} Job ${job.name} did not end in time` };
  const told = waiting(
    record,
    job.trouble ? 'JobNotStarting' : 'WaitingForJob',
    job.trouble || `${step} Job ${job.name} is ${job.state}`,
  );
  const until = job.state === 'waiting' ? Math.min(deadline, now + startLookMs) : end;
  return { kind: 'wait', result: { record: told, actions: [], until } };
}

/** The same phase again with a new Job after a back-off that doubles with each try. */
export function retry(context: StepContext, message: string, reason: NodeRecord['reason'] = 'RetryLater'): StepResult {
  return again(
    { ...context, record: { ...context.record, scriptAttempt: context.record.scriptAttempt + 1 } },
    message,
    reason,
  );
}

/** A new Job for the work that goes on, or whose result was lost: the script is told the same attempt, so it attaches or answers again. */
export function attachAgain(
  context: StepContext,
  message: string,
  reason: NodeRecord['reason'] = 'NoResult',
): StepResult {
  return again(context, message, reason);
}

function again(context: StepContext, message: string, reason: NodeRecord['reason']): StepResult {
  const { record, now, settings } = context;
  const notBefore = now + settings.timing.retryMs * 2 ** Math.min(record.tries - 1, 4);
  const next = { ...waiting(record, reason, message), attempt: record.attempt + 1, tries: record.tries + 1, notBefore };
  return { record: next, actions: [], until: notBefore };
}

/** On to a phase that has a Job of its own: the Job gets a new number. */
export function enterJobPhase(
  record: NodeRecord,
  phase: NodeRecord['phase'],
  now: number,
  message: string,
): NodeRecord {
  return enter(record, phase, now, message, 'WaitingForJob');
}

/** On to Uncordoning, with what the node becomes after it. */
export function release(
  record: NodeRecord,
  now: number,
  phase: 'Pending' | 'Patched' | 'Skipped' | 'Failed',
  reason: NodeRecord['reason'],
  message: string,
): NodeRecord {
  return { ...enter(record, 'Uncordoning', now, message, reason), outcome: { phase, reason, message } };
}

/** The cordon on the node is ours. */
export function cordonIsOurs(node: NodeView): boolean {
  return node.annotations[cordonAnnotation] !== undefined;
}

/** The script's own sentence with its code. */
export function tell(result: PatchResult): string {
  return result.message ? `${result.message} (${result.code})` : result.code;
}
