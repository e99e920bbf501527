// Why now: slots of the schedule and people's requests become runs, each exactly once.
import type { Request } from '../model/desired.ts';
import { canonical, digest, runHash } from '../model/digest.ts';
import { spellDuration } from '../model/duration.ts';
import { iso, stamp } from '../model/instant.ts';
import type { LedgerDocument, RequestRecord, RunRecord, RunSpec, RunState, Trigger } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { Policy } from '../model/policy.ts';
import type { Reason } from '../model/reason.ts';
import { rolloutWithSchedule } from '../model/rollout.ts';
import { describeSchedule, nextSlot, slotSince } from '../model/schedule.ts';
import { nextAllowed } from '../model/window.ts';
import { judgeFile, needsReview, requestNeedsReview, type Verdict } from './approval.ts';
import { applyCommand } from './commands.ts';
import type { PlanInput } from './input.ts';
import { pauseRecord, withdrawnPause } from './pause.ts';
import { isBeside, newRecord } from './records.ts';
import { selectedNodes } from './select.ts';

/** A commit is read some time after it was made; slots in between are not lost. */
export const readingDelayMs = 10 * 60_000;
const weekMs = 7 * 86_400_000;

/** Brings the ledger up to date with what is due at `now`. Returns the same ledger when nothing is new. */
export function registerTriggers(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  const policy = input.desired?.policy;
  let next = ledger;
  // A cluster follows one calendar: that of its rollout, if that has one.
  const own = policy && rolloutWithSchedule(input.desired) ? { ...policy, schedule: undefined } : policy;
  if (own) next = registerSlot(next, own, input);
  if (input.desired) {
    for (const request of input.desired.requests) next = registerRequest(next, request, policy, input);
    next = withdrawRequests(next, input);
  }
  return next;
}

function registerSlot(ledger: LedgerDocument, policy: Policy, input: PlanInput): LedgerDocument {
  if (!policy.schedule) return ledger.slot === undefined ? ledger : { ...ledger, slot: undefined };
  const { schedule, startingDeadlineMs, validForMs } = policy.schedule;
  const text = canonical(schedule);
  if (ledger.slot?.schedule !== text) {
    // A schedule seen for the first time looks forward only: installing Oakum never starts a run for last Sunday. A changed one
    // may not lose a slot between the commit and its reading.
    const from = ledger.accepted ? clamp(input.committedAt, input.now - readingDelayMs, input.now) : input.now;
    return registerSlot({ ...ledger, slot: { schedule: text, at: from } }, policy, input);
  }
  const at = slotSince(schedule, ledger.slot.at, input.now) ?? slotAhead(ledger, policy, input);
  if (at === undefined) return ledger;
  const noted = { ...ledger, slot: { schedule: text, at } };
  const late = input.now - at;
  const following = nextSlot(schedule, at) ?? at + weekMs;
  const run = newRun(noted, input, {
    id: `${stamp(at)}-schedule`,
    trigger: { kind: 'schedule', at },
    action: 'patch',
    spec: { policy, onlyNodes: [], onlySelector: undefined, why: describeSchedule(schedule) },
    // A window or the end of a freeze may be more than a week away: the week counts from the first moment at which a node may start.
    validUntil:
      validForMs === undefined
        ? Math.min(following, (nextAllowed(policy.windows, policy.freezes, at) ?? at) + weekMs)
        : at + validForMs,
  });
  if (late > startingDeadlineMs) {
    return addRun(noted, {
      ...ended(
        run,
        input.now,
        'Missed',
        'Missed',
        `noticed ${spellDuration(late)} after its time; startingDeadline is ${spellDuration(startingDeadlineMs)}`,
      ),
    });
  }
  if (at <= input.now && !needsReview(ledger, input)) return mergeOrAdd(noted, run, input.now);
  return addRun(noted, at <= input.now ? run : { ...run, notBefore: at });
}

/** A run that people must review is registered ahead of its time, so that they have the time to. */
function slotAhead(ledger: LedgerDocument, policy: Policy, input: PlanInput): number | undefined {
  if (!policy.schedule || !needsReview(ledger, input)) return undefined;
  const at = nextSlot(policy.schedule.schedule, Math.max(ledger.slot?.at ?? input.now, input.now));
  return at !== undefined && at - policy.approval.leadTimeMs <= input.now ? at : undefined;
}

function registerRequest(
  ledger: LedgerDocument,
  request: Request,
  policy: Policy | undefined,
  input: PlanInput,
): LedgerDocument {
  const { now } = input;
  const known = ledger.requests[request.name];
  if (request.action === 'pause') return noteRequest(ledger, pauseRecord(request, known, input));
  if (known && known.state !== 'Waiting') {
    if (known.oid === request.oid || known.reason === 'AlreadyHandled') return ledger;
    // The file was edited after it had acted: said once, never acted upon.
    return noteRequest(ledger, {
      ...known,
      reason: 'AlreadyHandled',
      message: `this name has acted already (${known.message}); the file was edited since`,
      since: now,
    });
  }
  const firstSeen = known?.firstSeen ?? Math.min(input.committedAt, now);
  const start = Math.max(request.notBefore ?? firstSeen, firstSeen);
  const expires = start + request.expiresAfterMs;
  const record = (state: RequestRecord['state'], reason: Reason, message: string, run?: string): RequestRecord => ({
    name: request.name,
    oid: request.oid,
    firstSeen,
    state,
    reason,
    message,
    since: known?.reason === reason && known.state === state ? known.since : now,
    run,
  });
  if (ledger.renewed) {
    return noteRequest(
      ledger,
      record(
        'Refused',
        'AlreadyHandled',
        'was there when a new ledger was begun, so it may have acted before; commit it under another name',
      ),
    );
  }
  if (request.action === 'maintenance' && request.until !== undefined && now >= request.until)
    return noteRequest(ledger, record('Expired', 'Expired', `its time, until ${iso(request.until)}, has passed`));
  if (now >= expires)
    return noteRequest(
      ledger,
      record('Expired', 'Expired', `not acted upon within ${spellDuration(request.expiresAfterMs)} (expiresAfter)`),
    );
  if (start > now) return noteRequest(ledger, record('Waiting', 'NotYet', `waits for ${iso(start)} (notBefore)`));
  const approval = requestNeedsReview(request, ledger, input)
    ? judgeFile({ path: request.file, oid: request.oid }, undefined, ledger, input)
    : undefined;
  if (approval?.kind === 'held')
    return noteRequest(ledger, record('Waiting', approval.hold.reason, approval.hold.message));
  if (request.action === 'patch' || request.action === 'reboot' || request.action === 'maintenance') {
    if (!policy)
      return noteRequest(
        ledger,
        record('Waiting', 'NoPolicy', 'the cluster has no valid policy that says how to patch'),
      );
    const run = newRun(ledger, input, {
      id: `${stamp(start)}-${request.name}`,
      trigger: { kind: 'request', name: request.name },
      action: request.action,
      spec: { policy, onlyNodes: [...request.nodes].sort(), onlySelector: request.selector?.text, why: request.reason },
      validUntil: request.action === 'maintenance' ? (request.until ?? expires) : expires,
    });
    const unknown = request.nodes.filter((name) => !input.observed.nodes.some((node) => node.name === name));
    if (selectedNodes(run, input.observed.nodes).length === 0) {
      const which = unknown.length > 0 ? `; there is no node ${unknown.join(', ')}` : '';
      return noteRequest(
        ledger,
        record('Refused', 'NoMatchingNodes', `no node of the cluster matches the request and the policy${which}`),
      );
    }
    if (request.action === 'maintenance') {
      const { topologyKey } = policy.rollout;
      const nodes = selectedNodes(run, input.observed.nodes).map((node) => newRecord(node, topologyKey, now));
      const taken = { ...approved(run, approval), nodes: Object.fromEntries(nodes.map((one) => [one.node, one])) };
      return noteRequest(addRun(ledger, taken), record('Registered', 'Due', `run ${run.id}`, run.id));
    }
    const { next, runId } = requestNeedsReview(request, ledger, input)
      ? { next: addRun(ledger, approved(run, approval)), runId: run.id }
      : merged(ledger, run, now);
    const note = unknown.length > 0 ? `; there is no node ${unknown.join(', ')}` : '';
    return noteRequest(next, record('Registered', 'Due', `run ${runId}${note}`, runId));
  }
  const answer = applyCommand(ledger, request, input);
  return noteRequest(
    answer.ledger,
    record(answer.done ? 'Done' : 'Refused', answer.reason, answer.message, answer.run),
  );
}

/** A request whose file was taken away before it acted is forgotten; its run, if not begun, is ended. */
function withdrawRequests(ledger: LedgerDocument, input: PlanInput): LedgerDocument {
  const present = new Set(input.desired?.requests.map((request) => request.name));
  let next = ledger;
  for (const record of Object.values(ledger.requests)) {
    if (present.has(record.name)) continue;
    if (record.state === 'Waiting') {
      const { [record.name]: _gone, ...rest } = next.requests;
      next = { ...next, requests: rest };
    }
    const over = withdrawnPause(record, input.now);
    if (over) next = noteRequest(next, over);
    const run = record.run === undefined ? undefined : next.runs[record.run];
    const only = run?.triggers.every((trigger) => trigger.kind === 'request' && trigger.name === record.name);
    if (record.state === 'Registered' && run && only && run.startedAt === undefined && !runEnded(run.state)) {
      next = addRun(
        next,
        ended(run, input.now, 'Aborted', 'Aborted', `the request ${record.name} was taken away before the run began`),
      );
      next = noteRequest(next, {
        ...record,
        state: 'Done',
        reason: 'Aborted',
        message: 'the file was taken away before the run began',
        since: input.now,
      });
    }
  }
  return next;
}

/** What a new run is about. */
export interface NewRun {
  readonly id: string;
  readonly trigger: Trigger;
  readonly action: RunRecord['action'];
  readonly spec: RunSpec;
  readonly validUntil: number;
}

/** A run that has not begun; its id comes from what it is for, never from the moment of looking. */
export function newRun(ledger: LedgerDocument, input: PlanInput, wanted: NewRun): RunRecord {
  let id = wanted.id;
  for (let copy = 2; ledger.runs[id] !== undefined; copy++) id = `${wanted.id}-${copy}`;
  return {
    id,
    hash: runHash(ledger.clusterUid, id),
    triggers: [wanted.trigger],
    action: wanted.action,
    state: 'Scheduled',
    reason: 'Due',
    message: 'starts as soon as it may',
    since: input.now,
    createdAt: input.now,
    startedAt: undefined,
    endedAt: undefined,
    validUntil: wanted.validUntil,
    commit: input.commit ?? '',
    digest: runDigest(wanted.action, wanted.spec),
    spec: wanted.spec,
    nodes: {},
    forgiven: 0,
    archived: false,
  };
}

/** Hash of what a run does. */
export function runDigest(action: RunRecord['action'], { policy, onlyNodes, onlySelector }: RunSpec): string {
  return digest([action, policy, onlyNodes, onlySelector ?? '']);
}

function approved(run: RunRecord, verdict: Verdict | undefined): RunRecord {
  return verdict?.kind === 'approved' ? { ...run, approval: verdict.record } : run;
}

/** Two triggers for the same work that have not begun are one run. */
function merged(ledger: LedgerDocument, run: RunRecord, now: number): { next: LedgerDocument; runId: string } {
  const twin = Object.values(ledger.runs).find(
    (other) =>
      other.startedAt === undefined &&
      !runEnded(other.state) &&
      !isBeside(other) &&
      // Whoever asks for now must not wait for waves.
      other.triggers[0]?.kind !== 'rollout' &&
      other.digest === run.digest,
  );
  if (!twin) return { next: addRun(ledger, run), runId: run.id };
  const both: RunRecord = {
    ...twin,
    triggers: [...twin.triggers, ...run.triggers],
    validUntil: Math.max(twin.validUntil, run.validUntil),
    since: twin.since,
    createdAt: Math.min(twin.createdAt, now),
  };
  return { next: addRun(ledger, both), runId: twin.id };
}

function mergeOrAdd(ledger: LedgerDocument, run: RunRecord, now: number): LedgerDocument {
  return merged(ledger, run, now).next;
}

/** The run with a new end. */
export function ended(run: RunRecord, now: number, state: RunState, reason: Reason, message: string): RunRecord {
  return { ...run, state, reason, message, since: now, endedAt: now };
}

/** The ledger with this run in place of the one of its id. */
export function addRun(ledger: LedgerDocument, run: RunRecord): LedgerDocument {
  return { ...ledger, runs: { ...ledger.runs, [run.id]: run } };
}

function noteRequest(ledger: LedgerDocument, record: RequestRecord): LedgerDocument {
  if (canonical(ledger.requests[record.name]) === canonical(record)) return ledger;
  return { ...ledger, requests: { ...ledger.requests, [record.name]: record } };
}

/** The value, or the nearest bound. */
export function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
