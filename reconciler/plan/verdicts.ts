// One verdict for every node: where it is, why, what comes next, and when.
import { spellDuration } from '../model/duration.ts';
import { iso } from '../model/instant.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isEnd, isUnderWay, type NodePhase } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { NodeVerdict } from '../model/plan.ts';
import type { Hold } from '../model/reason.ts';
import { nextStart, rolloutWithSchedule } from '../model/rollout.ts';
import { nextSlot } from '../model/schedule.ts';
import { nextAllowed } from '../model/window.ts';
import type { PlanInput } from './input.ts';
import { isUnpatched } from './boot.ts';
import { pausedBy } from './pause.ts';
import { isBeside } from './records.ts';
import { queueHold, queueOf } from './runs.ts';
import { waveHold } from './waves.ts';
import { exclusion, selectedNodes } from './select.ts';
import { overdueAt } from './sla.ts';

/** Next slots of the schedule with the instants at which a node may really start. */
export function upcomingRuns(
  input: PlanInput,
  most = 5,
): { readonly slots: readonly number[]; readonly wake: number | undefined } {
  const policy = input.desired?.policy;
  if (!policy) return { slots: [], wake: undefined };
  const following = followingSlot(input);
  const slots: number[] = [];
  let wake: number | undefined;
  let at: number | undefined = input.now;
  for (let count = 0; count < most; count++) {
    at = following(at);
    if (at === undefined) break;
    wake ??= at;
    slots.push(nextAllowed(policy.windows, policy.freezes, at) ?? at);
  }
  return { slots: [...new Set(slots)], wake };
}

/** The calendar that the cluster follows: that of its rollouts, or of its policy when no rollout has one. A later wave begins later than its slot. */
function followingSlot({ desired }: PlanInput): (after: number) => number | undefined {
  const own = rolloutWithSchedule(desired) ? undefined : desired?.policy?.schedule;
  return (after) => {
    const slots = [
      own && nextSlot(own.schedule, after),
      ...(desired?.rollouts ?? []).map((rollout) => nextStart(rollout, after)),
    ].filter((at) => at !== undefined);
    return slots.length > 0 ? Math.min(...slots) : undefined;
  };
}

/** Verdicts sorted by the node's name. */
export function tellNodes(
  ledger: LedgerDocument,
  input: PlanInput,
  holds: readonly Hold[],
  waiting: ReadonlyMap<string, Hold>,
): NodeVerdict[] {
  const all = Object.values(ledger.runs).filter((run) => !runEnded(run.state));
  const beside = all.filter((run) => isBeside(run));
  const open = all.filter((run) => !isBeside(run));
  const active = open.find((run) => run.startedAt !== undefined);
  const [queued] = [
    ...queueOf(ledger, input),
    ...open
      .filter((run) => run.startedAt === undefined)
      .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)),
  ];
  const chosen = queued
    ? new Set(selectedNodes(queued, input.observed.nodes).map((node) => node.uid))
    : new Set<string>();
  const [next] = upcomingRuns(input, 1).slots;
  const hold = queued && (waveHold(queued, ledger, input) ?? queueHold(ledger, input, holds));
  return input.observed.nodes
    .map((node) => {
      const verdict = tell(node);
      const overdue = overdueAt(node, ledger.history[node.name], input.desired?.policy);
      return overdue === undefined || overdue > input.now ? verdict : { ...verdict, overdueSince: overdue };
    })
    .sort((a, b) => (a.node < b.node ? -1 : a.node > b.node ? 1 : 0));

  function tell(node: NodeView): NodeVerdict {
    const record = active?.nodes[node.name];
    // Where the work is; then a boot run or a maintenance that waits.
    const working = record?.uid === node.uid && isUnderWay(record.phase);
    const other = working ? undefined : beside.find((run) => isOpen(run.nodes[node.name], node));
    const there = other?.nodes[node.name];
    if (other && there) return inRun(node, other, there, waiting.get(node.name));
    if (active && record?.uid === node.uid && (!isEndedWell(record) || record.phase === 'Patched'))
      return inRun(node, active, record, waiting.get(node.name));
    if (queued && chosen.has(node.uid)) return queuedVerdict(node, queued, pausedBy(node, input), hold);
    return idleVerdict(node, ledger, input, holds, next);
  }
}

function isOpen(record: NodeRecord | undefined, node: NodeView): boolean {
  return record?.uid === node.uid && !isEnd(record.phase);
}

function isEndedWell(record: NodeRecord): boolean {
  return record.phase === 'Skipped' && record.reason === 'UpToDate';
}

const nextWords: Readonly<Record<NodePhase, string>> = {
  Pending: 'is checked when its turn comes',
  Preflight: 'downloads updates',
  Downloading: 'is cordoned, if there is something to install',
  BeforeHooks: 'is cordoned when the hooks of its policy have ended well',
  Cordoning: 'is drained',
  Draining: 'is patched',
  Held: 'comes back when the time of its request is over, or its file is gone',
  Patching: 'is rebooted if that is required, else verified',
  RebootPending: 'is rebooted',
  Rebooting: 'comes back with a new boot id',
  Rejoining: 'is verified',
  Verifying: 'is uncordoned',
  AfterHooks: 'is uncordoned when the hooks of its policy have ended well',
  Uncordoning: 'takes pods again',
  Patched: 'nothing in this run',
  Skipped: 'nothing in this run',
  Failed: 'nothing until a person acts',
  Quarantined: 'nothing until a person acts; it stays cordoned',
};

const whenNotPaused = 'is in its turn again when the request is taken away, or its time is over';

const maintenanceWords: Partial<Record<NodePhase, string>> = {
  Pending: 'is taken out when the budget has room',
  Draining: 'is held out',
};

function inRun(node: NodeView, run: RunRecord, record: NodeRecord, hold: Hold | undefined): NodeVerdict {
  const said = record.phase === 'Pending' && hold ? hold : undefined;
  return {
    node: node.name,
    phase: record.phase,
    reason: said?.reason ?? record.reason,
    message: said?.message ?? record.message,
    since: record.since,
    next:
      run.action === 'maintenance'
        ? (maintenanceWords[record.phase] ?? nextWords[record.phase])
        : nextWords[record.phase],
    at: record.phase === 'Held' ? run.validUntil : said || record.phase !== 'Pending' ? said?.until : record.notBefore,
    run: run.id,
  };
}

function queuedVerdict(node: NodeView, run: RunRecord, paused: Hold | undefined, hold: Hold | undefined): NodeVerdict {
  return {
    node: node.name,
    phase: 'Pending',
    reason: paused?.reason ?? run.reason,
    message: paused?.message ?? run.message,
    since: paused ? undefined : run.since,
    next: paused ? whenNotPaused : `run ${run.id} begins`,
    at: paused ? paused.until : hold?.until,
    run: run.id,
  };
}

function idleVerdict(
  node: NodeView,
  ledger: LedgerDocument,
  input: PlanInput,
  holds: readonly Hold[],
  next: number | undefined,
): NodeVerdict {
  const say = (
    reason: NodeVerdict['reason'],
    message: string,
    what: string,
    at?: number,
    phase: NodeVerdict['phase'] = 'Idle',
    since?: number,
  ): NodeVerdict => ({
    node: node.name,
    phase,
    reason,
    message,
    since,
    next: what,
    at,
    run: undefined,
  });
  const policy = input.desired?.policy;
  const why = policy ? exclusion(node, policy.nodes) : undefined;
  const known = ledger.history[node.name];
  const history = known?.uid === node.uid ? known : undefined;
  if (history?.quarantine)
    return say(
      history.quarantine.reason,
      history.quarantine.message,
      nextWords.Quarantined,
      undefined,
      'Quarantined',
      history.quarantine.since,
    );
  if (why !== undefined) return say('Excluded', why, 'nothing: it is left out');
  const paused = pausedBy(node, input);
  if (paused) return say(paused.reason, paused.message, whenNotPaused, paused.until);
  const [hold] = holds;
  if (hold) return say(hold.reason, hold.message, 'nothing until this is mended', hold.until);
  const coming =
    next === undefined ? 'the policy has no schedule; commit a request to patch it' : `next run ${iso(next)}`;
  const then = next === undefined ? 'nothing until a request is committed' : 'the next run of the schedule';
  if (history?.boot?.failed && isUnpatched(node))
    return say('BootPatchFailed', history.boot.message, `keeps its taint; ${then}`, next, 'Idle', history.boot.at);
  const overdue = overdueAt(node, history, policy);
  if (overdue !== undefined && overdue <= input.now && history?.pending?.since !== undefined)
    return say(
      'SlaExceeded',
      `${history.pending.count} pending, the oldest since ${iso(history.pending.since).slice(0, 10)}; maxAge is ${spellDuration(policy?.maxAge?.afterMs ?? 0)}; ${coming}`,
      then,
      next,
      'Idle',
      overdue,
    );
  if (history?.pending?.reboot) return say('RebootPending', `installed updates need a reboot; ${coming}`, then, next);
  if (history?.lastError) return say('NotYet', `last time: ${history.lastError}; ${coming}`, then, next);
  if (history?.leftOut) {
    const { reason, message, since } = history.leftOut;
    return say(reason, `last time: ${message}; ${coming}`, then, next, 'Idle', since);
  }
  if (history?.outside)
    return say('PatchedOutside', `${history.outside.message}; ${coming}`, then, next, 'Idle', history.outside.at);
  return say('NotYet', coming, then, next);
}
