// Builds the StatusDocument of one cluster: facts in order, cleaned, without "now".
import type { ClusterDesired } from '../model/desired.ts';
import type { LedgerDocument, RequestRecord, ScanRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import { isStrange, type Plan } from '../model/plan.ts';
import { rolloutWithSchedule, waveOf } from '../model/rollout.ts';
import { describeSchedule } from '../model/schedule.ts';
import type { Condition, NodeStatus, RequestStatus, StatusDocument } from '../model/status.ts';
import { clean } from './clean.ts';
import { tellConditions } from './conditions.ts';
import { factTime, moment } from './moment.ts';
import { rolloutRows } from './rollout-status.ts';
import { runStatus } from './run-status.ts';
import { describeWindow } from './window-text.ts';

/** What the document is built from. */
export interface ReportInput {
  readonly name: string;
  readonly desired: ClusterDesired | undefined;
  readonly commit: string | undefined;
  /** Committer time of the commit, milliseconds since the epoch. */
  readonly committedAt: number;
  readonly nodes: readonly NodeView[];
  readonly ledger: LedgerDocument;
  readonly plan: Plan;
  /** Conditions of the document before this one, so that `since` does not move while nothing changes; none for the first. */
  readonly previous?: readonly Condition[];
  /** When the pass was. It dates only what no fact dates (a history that was rewritten), and only where `previous` does not. */
  readonly noticed?: number;
}

/** Ended runs that a cluster's status names; older ones have their file in the archive. */
const shownRuns = 10;
const shownRequests = 20;
const shownProblems = 100;

/** The status of one cluster. Equal facts give an equal document, whenever it is built. */
export function buildStatus(input: ReportInput): StatusDocument {
  const { ledger, plan, desired } = input;
  const runs = Object.values(ledger.runs).sort((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1));
  const open = runs.filter((run) => !runEnded(run.state));
  const shown = [...open, ...runs.filter((run) => runEnded(run.state)).slice(0, shownRuns)];
  const nodes = nodeRows(input);
  const policy = desired?.policy;
  // Behind a wrong address is another cluster, and what its ledger says is not told to those who wait for this one.
  const rollouts = isStrange(plan) ? undefined : rolloutRows(ledger);
  const began = input.commit === undefined ? ledger.startedAt : input.committedAt;
  return {
    cluster: input.name,
    observedCommit: input.commit ?? '',
    conditions: tellConditions({
      ledger,
      holds: plan.holds,
      nodes,
      began,
      noticed: input.noticed ?? began,
      previous: input.previous ?? [],
    }),
    policy: policy && {
      name: policy.name,
      schedule: clean(tellSchedule(input)),
      windows: policy.windows.map((window) => clean(describeWindow(window))),
      next: plan.upcoming.flatMap((at) => moment(at) ?? []),
      approval: clean(plan.approval),
    },
    holds: plan.holds.map((hold) => ({
      reason: hold.reason,
      message: clean(hold.message),
      until: moment(hold.until),
    })),
    counts: countNodes(nodes),
    runs: shown.map((run) => runStatus(run, !runEnded(run.state))),
    requests: Object.values(ledger.requests)
      .sort((a, b) => b.firstSeen - a.firstSeen || (a.name < b.name ? -1 : 1))
      .slice(0, shownRequests)
      .map(requestStatus),
    ...(rollouts ? { rollouts } : {}),
    nodes,
    problems: (desired?.problems ?? []).slice(0, shownProblems).map((problem) => ({
      ...problem,
      file: clean(problem.file, 1000),
      path: clean(problem.path),
      message: clean(problem.message),
    })),
  };
}

/** The calendar that the cluster follows. */
function tellSchedule({ name, desired }: ReportInput): string {
  const leading = rolloutWithSchedule(desired);
  const schedule = leading?.schedule ?? desired?.policy?.schedule;
  const words = schedule ? describeSchedule(schedule.schedule) : 'none (on demand only)';
  if (!leading) return words;
  const wave = leading.waves[waveOf(leading, name)]?.name ?? '';
  return `${words}, of rollout ${leading.name} (wave ${wave})`;
}

/** A node is counted as up to date only when that is known: nothing pending, no reboot owed, no failure, and looked at since. */
function countNodes(nodes: readonly NodeStatus[]): StatusDocument['counts'] {
  const count = (wanted: (node: NodeStatus) => boolean): number => nodes.filter(wanted).length;
  const underWay = (node: NodeStatus): boolean => node.phase !== 'Idle' && isUnderWay(node.phase);
  return {
    nodes: nodes.length,
    upToDate: count(
      (node) =>
        node.pendingUpdates === 0 &&
        !node.rebootRequired &&
        node.lastError === '' &&
        !hasFailed(node) &&
        !underWay(node),
    ),
    pending: count((node) => (node.pendingUpdates ?? 0) > 0 || node.rebootRequired),
    underWay: count(underWay),
    failed: count(hasFailed),
    excluded: count((node) => node.reason === 'Excluded'),
  };
}

function hasFailed(node: NodeStatus): boolean {
  return node.phase === 'Failed' || node.phase === 'Quarantined' || (node.phase === 'Idle' && node.lastError !== '');
}

function requestStatus(request: RequestRecord): RequestStatus {
  return {
    name: request.name,
    state: request.state,
    reason: request.reason,
    message: clean(request.message),
    since: factTime(request.since),
    run: request.run,
  };
}

function nodeRows(input: ReportInput): NodeStatus[] {
  const views = new Map(input.nodes.map((node) => [node.name, node]));
  return input.plan.nodes.map((verdict): NodeStatus => {
    const view = views.get(verdict.node);
    const known = input.ledger.history[verdict.node];
    // A node that was made anew under an old name has no past.
    const history = known?.uid === view?.uid ? known : undefined;
    return {
      name: verdict.node,
      phase: verdict.phase,
      reason: verdict.reason,
      message: clean(verdict.message),
      since: moment(verdict.since),
      next: clean(verdict.next),
      at: moment(verdict.at),
      run: verdict.run,
      lastPatched: moment(history?.lastPatched),
      patchedVersion: clean(history?.patchedVersion ?? '', 300),
      osImage: clean(view?.osImage ?? '', 300),
      kernel: clean(view?.kernel ?? '', 200),
      pendingUpdates: history?.pending?.count,
      pendingSince: moment(history?.pending?.since),
      overdueSince: moment(verdict.overdueSince),
      patchedOutside: history?.outside && clean(history.outside.message),
      scanError: tellScanError(history?.scan),
      rebootRequired: history?.pending?.reboot ?? false,
      lastError: clean(history?.lastError ?? ''),
    };
  });
}

function tellScanError(scan: ScanRecord | undefined): string | undefined {
  if (!scan?.error) return undefined;
  return clean(`${scan.error.reason} since ${factTime(scan.error.since)}: ${scan.error.message}`);
}
