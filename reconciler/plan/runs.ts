// The life of runs: which one is under way, which ones wait, which have ended.
import { spellDuration } from '../model/duration.ts';
import type { LedgerDocument, NodeRecord, RunRecord, RunState } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { Hold, Reason } from '../model/reason.ts';
import { failures, isBeside, isBootRun } from './records.ts';
import { gateHold } from './gates.ts';
import type { PlanInput } from './input.ts';
import { addRun, ended } from './triggers.ts';
import { waveHolds } from './waves.ts';

/** Ended runs that are kept in the ledger beside the archive in Git. */
const keptRuns = 20;

/** Ends runs that waited longer than they may, with the reason that they waited for. A run that has begun never expires. */
export function endRuns(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  let next = ledger;
  for (const run of Object.values(ledger.runs)) {
    if (runEnded(run.state) || isBootRun(run) || run.startedAt !== undefined || input.now < run.validUntil) continue;
    next = addRun(
      next,
      ended(
        run,
        input.now,
        run.state === 'AwaitingApproval' ? 'NotApproved' : 'Expired',
        run.state === 'AwaitingApproval' ? 'NotApproved' : 'Expired',
        `waited ${spellDuration(input.now - run.createdAt)} for: ${run.reason}: ${run.message}`,
      ),
    );
    for (const request of Object.values(next.requests)) {
      if (request.run !== run.id || request.state !== 'Registered') continue;
      next = {
        ...next,
        requests: {
          ...next.requests,
          [request.name]: {
            ...request,
            state: 'Expired',
            reason: 'Expired',
            message: `run ${run.id} waited for: ${run.reason}: ${run.message}`,
            since: input.now,
          },
        },
      };
    }
  }
  return next;
}

/** Lets the oldest waiting run begin when no other is under way and no gate says no; tells the others what they wait for. */
export function chooseRun(ledger: LedgerDocument, input: PlanInput, holds: readonly Hold[]): LedgerDocument {
  let next = ledger;
  const open = Object.values(ledger.runs).filter((run) => !runEnded(run.state) && !isBeside(run));
  const active = open.find((run) => run.startedAt !== undefined);
  const waves = waveHolds(ledger, input);
  for (const [id, hold] of waves) {
    const run = next.runs[id];
    if (run?.state === 'Scheduled') next = addRunIfChanged(next, withReason(run, hold.reason, hold.message, input.now));
  }
  const queue = queueOf(ledger, input, waves);
  const [first] = queue;
  for (const run of queue) {
    const hold: Hold | undefined = active
      ? { reason: 'OtherRunActive', message: `run ${active.id} is under way`, until: undefined }
      : run.id !== first?.id
        ? { reason: 'OtherRunActive', message: `run ${first?.id} goes first`, until: undefined }
        : (holds[0] ?? gateHold({ ...input, ledger }, run));
    if (hold) next = addRunIfChanged(next, withReason(run, hold.reason, hold.message, input.now));
    else
      next = addRun(next, {
        ...run,
        state: 'Running',
        reason: 'Working',
        message: 'nodes are being patched',
        since: input.now,
        startedAt: input.now,
      });
  }
  return next;
}

/** The runs that would begin, the next one first. One that waits for people, for its time, or for its wave keeps nobody else waiting. */
export function queueOf(
  ledger: LedgerDocument,
  input: PlanInput,
  waves: ReadonlyMap<string, Hold> = waveHolds(ledger, input),
): RunRecord[] {
  return Object.values(ledger.runs)
    .filter((run) => !runEnded(run.state) && !isBeside(run) && run.startedAt === undefined)
    .filter((run) => run.state !== 'AwaitingApproval' && (run.notBefore ?? 0) <= input.now && !waves.has(run.id))
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

/** Whether another run waits for this one to end. */
export function othersWait(ledger: LedgerDocument, run: RunRecord, input: PlanInput): boolean {
  return queueOf(ledger, input).some((other) => other.id !== run.id);
}

/** Why the run that would be next does not begin: undefined when no run waits, or when it waits for another run. */
export function queueHold(ledger: LedgerDocument, input: PlanInput, holds: readonly Hold[]): Hold | undefined {
  const open = Object.values(ledger.runs).filter((run) => !runEnded(run.state) && !isBeside(run));
  if (open.some((run) => run.startedAt !== undefined)) return undefined;
  const [first] = queueOf(ledger, input);
  return first && (holds[0] ?? gateHold({ ...input, ledger }, first));
}

/** The run with another reason in the same state; `since` moves only with the reason. */
export function withReason(run: RunRecord, reason: Reason, message: string, now: number): RunRecord {
  if (run.reason === reason && run.message === message) return run;
  return { ...run, reason, message, since: run.reason === reason ? run.since : now };
}

/** The ledger with the run; the same ledger when the run is the same. */
export function addRunIfChanged(ledger: LedgerDocument, run: RunRecord): LedgerDocument {
  return ledger.runs[run.id] === run ? ledger : addRun(ledger, run);
}

/** The end of a run all of whose nodes have ended. */
export function endOf(run: RunRecord, now: number): RunRecord {
  const records = Object.values(run.nodes);
  const count = (phase: NodeRecord['phase'], ...reasons: Reason[]): number =>
    records.filter((record) => record.phase === phase && (reasons.length === 0 || reasons.includes(record.reason)))
      .length;
  const patched = count('Patched');
  const upToDate = count('Skipped', 'UpToDate');
  const failed = failures(run);
  const notDone = count('Skipped') - upToDate - count('Skipped', 'NodeGone');
  const told = [
    `${patched} patched`,
    `${upToDate} up to date`,
    ...(notDone > 0 ? [`${notDone} not done`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ].join(', ');
  const end = (state: RunState, reason: Reason): RunRecord => ({
    ...run,
    state,
    reason,
    message: told,
    since: now,
    endedAt: now,
  });
  if (records.length === 0)
    return { ...end('NothingToDo', 'NoMatchingNodes'), message: 'the policy and the request select no node' };
  if (run.reason === 'Aborted') return end('Aborted', 'Aborted');
  if (failed > 0 || count('Skipped', 'DrainTimeout', 'ForeignMaintenance', 'GateBlocked', 'NodePaused', 'NotReady') > 0)
    return end('Failed', 'RunFailed');
  if (patched === 0 && notDone === 0) return end('NothingToDo', 'NothingToDo');
  return end('Succeeded', 'Completed');
}

/** Tells the requests that the run belongs to how it ended. */
export function closeRequests(ledger: LedgerDocument, run: RunRecord, now: number): LedgerDocument {
  let next = ledger;
  for (const request of Object.values(ledger.requests)) {
    if (request.run !== run.id || request.state !== 'Registered') continue;
    const note = {
      ...request,
      state: 'Done',
      reason: run.reason,
      message: `run ${run.id}: ${run.message}`,
      since: now,
    } as const;
    next = { ...next, requests: { ...next.requests, [request.name]: note } };
  }
  return next;
}

/** Drops runs that are archived in Git, oldest first, beyond the number that is kept; those of the last hour count for the ceiling, those of a rollout for its waves. */
export function forgetRuns(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  const archived = Object.values(ledger.runs)
    .filter((run) => run.archived && runEnded(run.state) && (run.endedAt ?? 0) < input.now - 3_600_000)
    // Peers wait for what this one says until their own runs of it are over.
    .filter((run) => run.triggers[0]?.kind !== 'rollout' || input.now >= run.validUntil)
    .sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0));
  if (archived.length <= keptRuns) return ledger;
  const drop = new Set(archived.slice(keptRuns).map((run) => run.id));
  return { ...ledger, runs: Object.fromEntries(Object.entries(ledger.runs).filter(([id]) => !drop.has(id))) };
}
