// The three conditions of a cluster: Ready, Progressing, Waiting.
import { runEnded, type LedgerDocument, type RunRecord } from '../model/ledger.ts';
import type { Hold, Reason } from '../model/reason.ts';
import type { Condition, NodeStatus } from '../model/status.ts';
import { clean } from './clean.ts';
import { factTime } from './moment.ts';

/** What conditions are told from. Times are milliseconds since the epoch. */
export interface ConditionFacts {
  readonly ledger: LedgerDocument;
  readonly holds: readonly Hold[];
  readonly nodes: readonly NodeStatus[];
  /** When the wishes that hold now were committed; when nothing was read yet, when the ledger began. */
  readonly began: number;
  /** When this was seen: the beginning of what no fact dates (a rewritten history), and only until the document says it. */
  readonly noticed: number;
  /** Conditions told before: where nothing has changed, `since` stays. */
  readonly previous: readonly Condition[];
}

/** With these nothing starts until somebody mends something, so the cluster is not Ready. */
const faults: readonly Reason[] = [
  'ConfigInvalid',
  'NoPolicy',
  'HistoryRewritten',
  'HistoryUnknown',
  'UnsignedCommit',
  'GitUnavailable',
  'LedgerLost',
  'WrongCluster',
  'UnsupportedPlatform',
  'UnsupportedFeature',
  'ApprovalUnverifiable',
  'MergedWithoutApproval',
];

/** Faults that come from a commit; the others come from elsewhere, at a time that nobody wrote down. */
const faultsOfCommit: readonly Reason[] = [
  'ConfigInvalid',
  'NoPolicy',
  'UnsupportedPlatform',
  'UnsupportedFeature',
  'MergedWithoutApproval',
];

interface Told {
  readonly status: 'True' | 'False';
  readonly reason: Reason;
  readonly message: string;
  readonly since: number;
  /** False when `since` is only the best that is known, so that an earlier word about the same thing is kept. */
  readonly dated: boolean;
}

/** All three, in this order. */
export function tellConditions(facts: ConditionFacts): Condition[] {
  const runs = Object.values(facts.ledger.runs);
  const open = runs.filter((run) => !runEnded(run.state)).sort((a, b) => a.createdAt - b.createdAt);
  const last = runs
    .filter((run) => runEnded(run.state))
    .sort((a, b) => (b.endedAt ?? b.since) - (a.endedAt ?? a.since) || (a.id < b.id ? 1 : -1))[0];
  const begun = open.filter((run) => run.startedAt !== undefined);
  const active = begun.find((run) => !goesBeside(run)) ?? begun[0];
  return [
    settle('Ready', ready(facts, last), facts.previous),
    settle('Progressing', progressing(facts, active, last), facts.previous),
    settle('Waiting', waiting(facts, open, active, last), facts.previous),
  ];
}

/** A patch on boot or a maintenance by hand: it may go on for days, and must not hide what the run that patches has to say. */
function goesBeside(run: RunRecord): boolean {
  return run.action === 'maintenance' || run.triggers[0]?.kind === 'boot';
}

function settle(type: Condition['type'], told: Told, previous: readonly Condition[]): Condition {
  const { status, reason } = told;
  const before = previous.find((one) => one.type === type && one.status === status && one.reason === reason);
  const since = !told.dated && before ? before.since : factTime(told.since);
  return { type, status, reason, message: clean(told.message), since };
}

function ready(facts: ConditionFacts, last: RunRecord | undefined): Told {
  const { holds, nodes, began, noticed, ledger } = facts;
  const fault = holds.find((hold) => faults.includes(hold.reason));
  if (fault) {
    const since = faultsOfCommit.includes(fault.reason) ? began : noticed;
    return { status: 'False', reason: fault.reason, message: fault.message, since, dated: false };
  }
  const quarantined = nodes
    .flatMap((node) => {
      const known = ledger.history[node.name]?.quarantine;
      return node.phase === 'Quarantined' && known ? [{ name: node.name, ...known }] : [];
    })
    .sort((a, b) => a.since - b.since || (a.name < b.name ? -1 : 1));
  const [worst] = quarantined;
  if (worst) {
    const message = `quarantined: ${some(quarantined.map(({ name }) => name))}; ${worst.name}: ${worst.message}`;
    return { status: 'False', reason: worst.reason, message, since: worst.since, dated: true };
  }
  const failed = nodes.filter(
    (node) => node.phase === 'Failed' || node.phase === 'Quarantined' || node.lastError !== '',
  );
  if (failed.length > 0) {
    const since = last && (last.state === 'Failed' || last.state === 'Aborted') ? last.since : noticed;
    const [first] = failed;
    const message = `failed: ${some(failed.map(({ name }) => name))}; ${first?.name}: ${first?.lastError || first?.message}`;
    return { status: 'False', reason: 'RunFailed', message, since, dated: false };
  }
  if (last && (last.state === 'Failed' || last.state === 'Missed'))
    return {
      status: 'False',
      reason: last.reason,
      message: `run ${last.id}: ${last.message}`,
      since: last.since,
      dated: true,
    };
  const late = nodes
    .flatMap(({ name, overdueSince }) => (overdueSince === undefined ? [] : [{ name, overdueSince }]))
    .sort((a, b) =>
      a.overdueSince < b.overdueSince ? -1 : a.overdueSince > b.overdueSince ? 1 : a.name < b.name ? -1 : 1,
    );
  const [latest] = late;
  if (latest)
    return {
      status: 'False',
      reason: 'SlaExceeded',
      message: `updates have been pending for longer than maxAge: ${some(late.map(({ name }) => name))}`,
      since: Date.parse(latest.overdueSince),
      dated: true,
    };
  return {
    status: 'True',
    reason: 'Completed',
    message: last ? `run ${last.id}: ${last.message}` : 'the configuration is understood; no run has ended yet',
    since: last?.since ?? began,
    dated: false,
  };
}

function progressing(facts: ConditionFacts, active: RunRecord | undefined, last: RunRecord | undefined): Told {
  if (active)
    return {
      status: active.state === 'Running' ? 'True' : 'False',
      reason: active.reason,
      message: `run ${active.id}: ${active.message}`,
      since: active.since,
      dated: true,
    };
  return rest('no run is under way', last, facts);
}

function waiting(
  facts: ConditionFacts,
  open: readonly RunRecord[],
  active: RunRecord | undefined,
  last: RunRecord | undefined,
): Told {
  const [hold] = facts.holds;
  if (active) {
    if (active.state === 'Paused')
      return { status: 'True', reason: active.reason, message: tellRun(active), since: active.since, dated: true };
    if (!hold) return rest('nothing is held', last, facts);
    return {
      status: 'True',
      reason: hold.reason,
      message: `run ${active.id}: ${hold.message}`,
      since: active.since,
      dated: false,
    };
  }
  const [queued] = open;
  if (queued)
    return { status: 'True', reason: queued.reason, message: tellRun(queued), since: queued.since, dated: true };
  if (!hold) return rest('nothing is held', last, facts);
  const since = faults.includes(hold.reason) && !faultsOfCommit.includes(hold.reason) ? facts.noticed : facts.began;
  return { status: 'True', reason: hold.reason, message: hold.message, since, dated: false };
}

function rest(message: string, last: RunRecord | undefined, { began }: ConditionFacts): Told {
  return { status: 'False', reason: 'NotYet', message, since: last?.since ?? began, dated: false };
}

function tellRun(run: RunRecord): string {
  return `run ${run.id}: ${run.message}`;
}

/** The first names and how many more there are. */
function some(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}
