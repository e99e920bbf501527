// Starts of rollouts become runs: in every cluster that a rollout takes along at once, so that each says what it waits for.
import { canonical } from '../model/digest.ts';
import { spellDuration } from '../model/duration.ts';
import type { ClusterDesired } from '../model/desired.ts';
import type { LedgerDocument, RolloutSlot, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { Policy } from '../model/policy.ts';
import {
  longestRolloutMs,
  rolloutRunId,
  startingDeadlineMs as usualDeadlineMs,
  waveOf,
  type FleetRollout,
} from '../model/rollout.ts';
import { nextSlot, slotSince } from '../model/schedule.ts';
import { needsReview } from './approval.ts';
import type { PlanInput } from './input.ts';
import { addRun, clamp, ended, newRun, readingDelayMs, runDigest } from './triggers.ts';

/** Brings the ledger up to date with the rollouts that take this cluster along. The same ledger when nothing is new. */
export function registerRollouts(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  const { desired } = input;
  if (!desired) return ledger;
  let next = ledger;
  for (const rollout of desired.rollouts ?? []) {
    next = joined(next, rollout, input);
    if (desired.policy) next = registerStart(next, rollout, desired.policy, input);
  }
  return endTaken(left(next, desired), desired, input);
}

/** A rollout seen for the first time looks forward only, but for a `start` that was written for now. */
function joined(ledger: LedgerDocument, rollout: FleetRollout, input: PlanInput): LedgerDocument {
  const { now } = input;
  const known = ledger.rollouts?.[rollout.name];
  const schedule = rollout.schedule ? canonical(rollout.schedule.schedule) : '';
  if (known?.schedule === schedule) return ledger;
  // As for a cluster's own schedule: a slot between the commit and its reading is not lost.
  const from = ledger.accepted ? clamp(input.committedAt, now - readingDelayMs, now) : now;
  if (known) return noteSlot(ledger, rollout.name, { ...known, at: Math.max(known.at, from), schedule });
  const { start } = rollout;
  // What a lost ledger knew of starts in the past may not be done twice, and may not be told as if nothing had been.
  if (input.ledger?.renewed)
    return noteSlot(ledger, rollout.name, { joined: 0, at: from, schedule, start: past(start, now) });
  const late = start !== undefined && now - start > deadlineOf(rollout);
  const first = start !== undefined && !late && start <= from ? start - 1_000 : from;
  return noteSlot(ledger, rollout.name, { joined: first, at: from, schedule, start: late ? start : undefined });
}

function past(start: number | undefined, now: number): number | undefined {
  return start !== undefined && start <= now ? start : undefined;
}

function registerStart(
  ledger: LedgerDocument,
  rollout: FleetRollout,
  policy: Policy,
  input: PlanInput,
): LedgerDocument {
  const { now } = input;
  const slot = ledger.rollouts?.[rollout.name];
  if (!slot) return ledger;
  const { start } = rollout;
  const once = start !== undefined && start !== slot.start && start <= now ? start : undefined;
  const regular = rollout.schedule && slotSince(rollout.schedule.schedule, slot.at, now);
  if (once === undefined && regular === undefined) return ledger;
  let next = noteSlot(ledger, rollout.name, {
    ...slot,
    at: regular ?? slot.at,
    start: once ?? slot.start,
  });
  const times = [...new Set([once, regular])].filter((at): at is number => at !== undefined).sort((a, b) => a - b);
  for (const at of times) next = registerAt(next, rollout, policy, at, input);
  return next;
}

function registerAt(
  ledger: LedgerDocument,
  rollout: FleetRollout,
  policy: Policy,
  at: number,
  input: PlanInput,
): LedgerDocument {
  const { now, desired } = input;
  const wave = rollout.waves[waveOf(rollout, desired?.name ?? '')];
  if (!wave || isKnown(ledger, rollout.name, at)) return ledger;
  const following = rollout.schedule ? nextSlot(rollout.schedule.schedule, at) : undefined;
  const run = newRun(ledger, input, {
    id: rolloutRunId(rollout.name, at),
    trigger: { kind: 'rollout', rollout: rollout.name, wave: wave.name, at },
    action: 'patch',
    spec: {
      policy,
      onlyNodes: [],
      onlySelector: undefined,
      why: `rollout ${rollout.name}, wave ${wave.name}`,
    },
    validUntil:
      rollout.schedule?.validForMs === undefined
        ? Math.min(following ?? Number.POSITIVE_INFINITY, at + longestRolloutMs)
        : at + rollout.schedule.validForMs,
  });
  let next = ledger;
  for (const other of Object.values(ledger.runs))
    if (isWaitingFor(other, rollout.name))
      next = addRun(
        next,
        ended(other, now, 'Superseded', 'Superseded', `run ${run.id} of the same rollout was due before its turn came`),
      );
  const deadline = deadlineOf(rollout);
  if (now - at > deadline)
    return addRun(
      next,
      ended(
        run,
        now,
        'Missed',
        'Missed',
        `noticed ${spellDuration(now - at)} after its time; the starting deadline is ${spellDuration(deadline)}`,
      ),
    );
  return addRun(next, run);
}

/** One start is one run: a file that was gone for a while does not begin anew with the same time, because peers would take the ends of the first one for those of the second. */
function isKnown(ledger: LedgerDocument, name: string, at: number): boolean {
  return Object.values(ledger.runs).some(({ triggers: [trigger] }) => {
    return trigger?.kind === 'rollout' && trigger.rollout === name && trigger.at === at;
  });
}

function deadlineOf(rollout: FleetRollout): number {
  return rollout.schedule?.startingDeadlineMs ?? usualDeadlineMs;
}

function noteSlot(ledger: LedgerDocument, name: string, slot: RolloutSlot): LedgerDocument {
  return { ...ledger, rollouts: { ...ledger.rollouts, [name]: slot } };
}

/** A run of this rollout (of any, when there is no name) that has not begun. */
function isWaitingFor(run: RunRecord, rollout?: string): boolean {
  const [trigger] = run.triggers;
  if (trigger?.kind !== 'rollout' || run.startedAt !== undefined || runEnded(run.state)) return false;
  return rollout === undefined || trigger.rollout === rollout;
}

/** Rollouts that do not take this cluster along any more are forgotten: if one does again, it is a new beginning. */
function left(ledger: LedgerDocument, desired: ClusterDesired): LedgerDocument {
  const { rollouts, ...rest } = ledger;
  if (!rollouts) return ledger;
  const names = new Set(desired.rollouts?.map(({ name }) => name));
  const kept = Object.entries(rollouts).filter(([name]) => names.has(name));
  if (kept.length === Object.keys(rollouts).length) return ledger;
  return kept.length === 0 ? rest : { ...rest, rollouts: Object.fromEntries(kept) };
}

/** Runs that have not begun end with their rollout, or when a person goes on without this cluster; else they follow the policy. */
function endTaken(ledger: LedgerDocument, desired: ClusterDesired, input: PlanInput): LedgerDocument {
  let next = ledger;
  for (const run of Object.values(ledger.runs)) {
    const [trigger] = run.triggers;
    if (trigger?.kind !== 'rollout' || !isWaitingFor(run)) continue;
    const rollout = desired.rollouts?.find(({ name }) => name === trigger.rollout);
    const skip = rollout?.skip.find((one) => one.run === run.id && one.cluster === desired.name);
    if (!rollout)
      next = addRun(
        next,
        ended(run, input.now, 'Aborted', 'Aborted', `rollout ${trigger.rollout} does not take this cluster any more`),
      );
    else if (skip)
      next = addRun(
        next,
        ended(run, input.now, 'Aborted', 'SkippedByPerson', skip.reason || `${rollout.file} says skip`),
      );
    else if (desired.policy && !needsReview(ledger, input)) next = followed(next, run, desired.policy);
  }
  return next;
}

/** A run that waits for its wave, perhaps for weeks, does what the policy says when it begins. Under review that is what was approved. */
function followed(ledger: LedgerDocument, run: RunRecord, policy: Policy): LedgerDocument {
  if (canonical(policy) === canonical(run.spec.policy)) return ledger;
  const spec = { ...run.spec, policy };
  return addRun(ledger, { ...run, spec, digest: runDigest(run.action, spec) });
}
