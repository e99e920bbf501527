// Hooks: the Jobs of an administrator's CronJobs before a node is disturbed, and after it was verified.
import { jobName } from '../model/digest.ts';
import { spellDuration } from '../model/duration.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import {
  hookLabel,
  hookNamespace,
  managedBy,
  managedByLabel,
  nodeNameAnnotation,
  nodeUidLabel,
  runIdAnnotation,
  runLabel,
  stepLabel,
} from '../model/names.ts';
import type { HookFacts, HookView, JobView } from '../model/observed.ts';
import type { Hold, Reason } from '../model/reason.ts';
import type { PlanInput } from './input.ts';
import { atEnd, enter, isBeside, waiting } from './records.ts';
import type { StepContext, StepResult } from './step-context.ts';

/** When a hook is called; its variable OAKUM_PHASE. */
export type HookTime = 'before' | 'after';

/** How long a hook may take whose Jobs set no `activeDeadlineSeconds`. */
const usualDeadlineMs = 30 * 60_000;
/** The Jobs of hooks are not watched: they are looked at so often. */
const lookMs = 10_000;
/** A hook that was not read yet is read in the next pass. */
const soonMs = 1_000;

/** The hooks that a run calls for each node. A node that has just joined, or is held out by hand, has none: see docs/hooks.md. */
function hooksOf(run: RunRecord, time: HookTime): readonly string[] {
  return isBeside(run) ? [] : run.spec.policy.hooks[time];
}

/** The next hook that this node still has to go through; undefined when all have ended well. */
export function nextHook(run: RunRecord, record: NodeRecord, time: HookTime): string | undefined {
  return hooksOf(run, time).find((name) => record.hooksDone?.includes(`${time}/${name}`) !== true);
}

/** Names of hooks that must be read for the next pass: a run wants to start a node, or is in the middle of them. */
export function wantedHooks(ledger: LedgerDocument | undefined): string[] {
  const wanted = new Set<string>();
  for (const run of Object.values(ledger?.runs ?? {})) {
    if (runEnded(run.state) || run.startedAt === undefined) continue;
    const records = Object.values(run.nodes);
    const needs = records.some(({ phase }) => ['Pending', 'BeforeHooks', 'AfterHooks'].includes(phase));
    if (needs) for (const name of [...hooksOf(run, 'before'), ...hooksOf(run, 'after')]) wanted.add(name);
  }
  return [...wanted].sort();
}

/** Why a run starts no node: one of its hooks is not there, so that it would get stuck half-way. */
export function hookHold(input: PlanInput, run: RunRecord): Hold | undefined {
  const names = [...new Set([...hooksOf(run, 'before'), ...hooksOf(run, 'after')])];
  if (names.length === 0 || run.startedAt === undefined) return undefined;
  const { hooks } = input.observed;
  if (hooks === undefined)
    return { reason: 'HookMissing', message: 'its hooks have not been read yet', until: input.now + soonMs };
  const message = names.map((name) => missing(hooks, name)).find((sentence) => sentence !== undefined);
  return message === undefined ? undefined : { reason: 'HookMissing', message, until: input.now + 60_000 };
}

function missing(hooks: HookFacts, name: string): string | undefined {
  if (hooks.unreadable !== undefined) return `hook ${name}: ${hooks.unreadable}`;
  const view = hooks.cronJobs.get(name);
  if (view === undefined) return `hook ${name}: namespace ${hookNamespace} has no CronJob of this name`;
  if (!view.suspended)
    return `hook ${name}: CronJob ${hookNamespace}/${name} is not suspended, so it runs by its own schedule`;
  return undefined;
}

/**
 * Calls the hooks one after another. `then` gives the record after the last one. A hook that fails before anything was done leaves the node as it
 * was; one that fails afterwards keeps it cordoned, since the node is not proven to be well.
 */
export function callHooks(context: StepContext, time: HookTime, then: () => NodeRecord): StepResult {
  const { record, run, now, settings, hooks } = context;
  const name = nextHook(run, record, time);
  if (name === undefined) return { record: then(), actions: [] };
  if (hooks === undefined)
    return { record: waiting(record, 'WaitingForHook', `hook ${name} is being read`), actions: [], until: now };
  const job = hooks.jobs.find((one) => one.name === hookJobName(run, record, time, name));
  if (job !== undefined) return follow(context, time, name, job, hooks.cronJobs.get(name));
  const limit = record.since + settings.timing.jobStartMs;
  const absent = missing(hooks, name);
  const view = hooks.cronJobs.get(name);
  if (absent !== undefined || view === undefined) {
    const message = absent ?? `hook ${name} is not there`;
    if (now >= limit) return { record: failed(record, time, now, 'HookMissing', message), actions: [] };
    return { record: waiting(record, 'HookMissing', message), actions: [], until: Math.min(limit, now + 60_000) };
  }
  if (context.refusal !== undefined && now >= limit) {
    const message = `the Job of hook ${name} cannot be created: ${context.refusal}`;
    return { record: failed(record, time, now, 'HookFailed', message), actions: [] };
  }
  const told = waiting(record, 'WaitingForHook', context.refusal ?? `the Job of hook ${name} is being created`);
  return { record: told, actions: [create(run, record, time, view)], until: now + lookMs };
}

/** What the Job of a hook says. Its own deadline ends it; one that says nothing long after it has failed too. */
function follow(
  context: StepContext,
  time: HookTime,
  name: string,
  job: JobView,
  view: HookView | undefined,
): StepResult {
  const { record, now, settings } = context;
  if (job.state === 'succeeded') {
    const done = { ...record, hooksDone: [...(record.hooksDone ?? []), `${time}/${name}`] };
    const next = enter(done, record.phase, now, `hook ${name} has ended well`, 'WaitingForHook');
    return { record: next, actions: [], until: now };
  }
  const where = `Job ${hookNamespace}/${job.name}`;
  if (job.state === 'failed') {
    const message = `hook ${name}: ${where} failed${job.trouble === '' ? '' : `: ${job.trouble}`}`;
    return { record: failed(record, time, now, 'HookFailed', message), actions: [] };
  }
  const deadlineMs = view?.deadlineMs ?? usualDeadlineMs;
  const limit = job.createdAt + deadlineMs + settings.timing.jobStartMs;
  if (now >= limit) {
    const message = `hook ${name}: ${where} did not end within ${spellDuration(deadlineMs)}`;
    return { record: failed(record, time, now, 'HookFailed', message), actions: [] };
  }
  const told = waiting(record, 'WaitingForHook', `hook ${name}: ${where} is at work`);
  return { record: told, actions: [], until: Math.min(limit, now + lookMs) };
}

function failed(record: NodeRecord, time: HookTime, now: number, reason: Reason, message: string): NodeRecord {
  if (time === 'before') return atEnd(record, 'Failed', now, reason, `${message}; the node was not touched`);
  const out = record.cordoned || record.foreignCordon;
  const told = `${message}; the node was patched and verified, and ${out ? 'stays cordoned' : 'takes pods: it was not drained'}`;
  return atEnd(record, out ? 'Quarantined' : 'Failed', now, reason, told);
}

/** One Job for each node, run and hook: a person who asks for the node again (a higher attempt) gets another one. */
export function hookJobName(run: RunRecord, record: NodeRecord, time: HookTime, name: string): string {
  return jobName('hook', `${record.uid}/${time}/${name}`, run.id, record.scriptAttempt);
}

function create(run: RunRecord, record: NodeRecord, time: HookTime, view: HookView): StepResult['actions'][number] {
  return {
    kind: 'createHookJob',
    node: record.node,
    hook: view.name,
    hookUid: view.uid,
    name: hookJobName(run, record, time, view.name),
    labels: {
      [managedByLabel]: managedBy,
      [runLabel]: run.hash,
      [nodeUidLabel]: record.uid,
      [stepLabel]: `hook-${time}`,
      [hookLabel]: view.name,
    },
    annotations: { [runIdAnnotation]: run.id, [nodeNameAnnotation]: record.node },
    env: { OAKUM_NODE: record.node, OAKUM_RUN: run.id, OAKUM_PHASE: time },
    deadlineSeconds: Math.ceil((view.deadlineMs ?? usualDeadlineMs) / 1000),
  };
}
