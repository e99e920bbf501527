// Scans: looks at every node in its turn without changing it, a few at a time, beside whatever else goes on.
import type { Action } from '../model/action.ts';
import { patchedInPlace } from '../model/desired.ts';
import { digest, jobName } from '../model/digest.ts';
import type { LedgerDocument, NodeHistory, NodeRecord, RunRecord, ScanRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { JobView, NodeView } from '../model/observed.ts';
import { meaningOf, type PatchResult } from '../model/patch-result.ts';
import type { Policy } from '../model/policy.ts';
import type { Reason } from '../model/reason.ts';
import { isUnpatched } from './boot.ts';
import { noteSeen } from './first-seen.ts';
import { foreignMaintenance } from './foreign.ts';
import { suspended } from './gates.ts';
import { noHistory } from './history.ts';
import type { PlanInput } from './input.ts';
import { noteOutside } from './outside.ts';
import { newRecord } from './records.ts';
import { exclusion } from './select.ts';
import { awaitJob, mostTries, tell } from './step-context.ts';

/** Scans that go on at one time unless the deployment says otherwise. */
const standardAtOnce = 2;
/** Every scan is the same run for the script: it works in one directory of the node, and leaves one behind. */
export const scanRunId = 'scan';

/** What a pass over the scans decided. */
export interface ScansMoved {
  readonly ledger: LedgerDocument;
  readonly actions: readonly Action[];
  /** When a scan wants to be looked at again, or the next one is due. */
  readonly until: readonly (number | undefined)[];
}

/** UIDs of nodes on which a scan is under way: one node does one thing at a time. */
export function scanningNodes(history: Readonly<Record<string, NodeHistory>>): Set<string> {
  return new Set(
    Object.values(history)
      .filter(({ scan }) => scan !== undefined && scan.endedAt === undefined)
      .map(({ uid }) => uid),
  );
}

/** A Job without a running pod that a scan still waits for. */
export function isScanJob(history: NodeHistory | undefined, job: JobView): boolean {
  const { scan } = history ?? {};
  if (scan === undefined || scan.endedAt !== undefined || history?.uid !== job.nodeUid) return false;
  return job.name === jobName('scan', job.nodeUid, scanRunId, attemptOf(scan));
}

/**
 * Collects the answers of scans and begins the next ones. They are allowed outside windows and in freezes, since they change nothing and a
 * freeze is when people most want to know what piles up; not under `suspend`, not while the namespace is frozen by hand, and never on a node
 * that is under way in a run. `readable` is false while the wishes are not known: then none begins.
 */
export function moveScans(ledger: LedgerDocument, input: PlanInput, readable: boolean): ScansMoved {
  const policy = input.desired?.policy;
  const pass = new ScanPass(ledger, input);
  if (policy) pass.collect(policy);
  if (readable && policy && mayScan(policy, input)) pass.begin(policy);
  return pass;
}

function mayScan(policy: Policy, input: PlanInput): boolean {
  const platform = input.desired?.settings.platform;
  const images = platform !== undefined && !patchedInPlace(platform);
  const atOnce = input.settings.ceilings.scansAtOnce ?? standardAtOnce;
  return !images && policy.scan.everyMs > 0 && atOnce > 0 && !suspended(input) && input.observed.freeze === undefined;
}

class ScanPass implements ScansMoved {
  ledger: LedgerDocument;
  readonly actions: Action[] = [];
  readonly until: (number | undefined)[] = [];
  private readonly input: PlanInput;
  private readonly jobs: ReadonlyMap<string, JobView>;

  constructor(ledger: LedgerDocument, input: PlanInput) {
    this.ledger = ledger;
    this.input = input;
    this.jobs = new Map(input.observed.jobs.map((job) => [job.name, job]));
  }

  collect(policy: Policy): void {
    for (const node of this.input.observed.nodes) {
      const known = this.ledger.history[node.name];
      if (known?.uid !== node.uid || known.scan === undefined || known.scan.endedAt !== undefined) continue;
      this.visit(node, known, known.scan, policy);
    }
    for (const job of this.input.observed.jobs) {
      const lost = !this.input.observed.nodes.some((node) => node.uid === job.nodeUid);
      const open = job.state === 'waiting' || job.state === 'running';
      if (lost && open && job.runId === scanRunId)
        this.actions.push({ kind: 'deleteJob', name: job.name, uid: job.uid });
    }
  }

  begin(policy: Policy): void {
    const { input } = this;
    const { now } = input;
    const busy = scanningNodes(this.ledger.history);
    const working = nodesAtWork(this.ledger);
    const atOnce = input.settings.ceilings.scansAtOnce ?? standardAtOnce;
    const due: { node: NodeView; slot: number; looked: number }[] = [];
    for (const node of input.observed.nodes) {
      if (busy.has(node.uid) || !scannable(node, policy, working)) continue;
      const turn = turnOf(node.uid, policy.scan.everyMs, now);
      const looked = lastLook(this.ledger.history[node.name], node.uid);
      if (looked === undefined || looked < turn.begins) due.push({ node, slot: turn.slot, looked: looked ?? 0 });
      else this.until.push(turn.ends);
    }
    due.sort((a, b) => a.looked - b.looked || (a.node.name < b.node.name ? -1 : 1));
    for (const { node, slot } of due.slice(0, Math.max(0, atOnce - busy.size))) {
      const known = this.ledger.history[node.name];
      const base = known?.uid === node.uid ? known : noHistory(node.uid);
      const scan = {
        slot,
        tries: 1,
        since: now,
        notBefore: undefined,
        endedAt: undefined,
        error: base.scan?.error,
      };
      this.visit(node, { ...base, scan }, scan, policy);
    }
  }

  /** Where one scan is: its Job is made, waited for, tried again, or has answered. */
  private visit(node: NodeView, known: NodeHistory, scan: ScanRecord, policy: Policy): void {
    const { now, observed, settings } = this.input;
    this.keep(node, { ...known, scan });
    const record = recordOf(node, scan);
    const outcome = awaitJob(
      {
        now,
        run: runOf(policy, this.ledger),
        record,
        jobs: this.jobs,
        refusal: observed.refusals.get(node.name),
        settings,
      },
      'scan',
    );
    if (outcome.kind === 'wait') {
      this.actions.push(...outcome.result.actions);
      this.until.push(outcome.result.until);
      return;
    }
    if (outcome.kind === 'lost') return this.again(node, scan, outcome.reason, outcome.message);
    this.answered(node, scan, outcome.result);
  }

  private answered(node: NodeView, scan: ScanRecord, result: PatchResult): void {
    const { now } = this.input;
    const { severity, reason } = meaningOf(result.code);
    if (severity === 'ok') {
      this.ledger = noteOutside(this.ledger, node, result, now);
      this.ledger = noteSeen(this.ledger, node, result, now);
      return this.end(node, scan, undefined);
    }
    if (severity === 'transient' || severity === 'working') return this.again(node, scan, reason, tell(result));
    this.end(node, scan, { reason, message: tell(result) });
  }

  private again(node: NodeView, scan: ScanRecord, reason: Reason, message: string): void {
    const { now, settings } = this.input;
    if (scan.tries >= mostTries) return this.end(node, scan, { reason, message });
    const notBefore = now + settings.timing.retryMs * 2 ** (scan.tries - 1);
    this.change(node, { ...scan, tries: scan.tries + 1, since: now, notBefore });
    this.until.push(notBefore);
  }

  /** The end of the node's turn. An error that lasts keeps the time at which it began. */
  private end(node: NodeView, scan: ScanRecord, error: { reason: Reason; message: string } | undefined): void {
    const { now } = this.input;
    const same = error !== undefined && scan.error?.reason === error.reason && scan.error.message === error.message;
    this.change(node, {
      ...scan,
      notBefore: undefined,
      endedAt: now,
      error: same ? scan.error : error && { ...error, since: now },
    });
  }

  private change(node: NodeView, scan: ScanRecord): void {
    const known = this.ledger.history[node.name];
    if (known) this.keep(node, { ...known, scan });
  }

  private keep(node: NodeView, history: NodeHistory): void {
    if (this.ledger.history[node.name]?.scan === history.scan) return;
    this.ledger = { ...this.ledger, history: { ...this.ledger.history, [node.name]: history } };
  }
}

/** The node's turn at an instant: turns are of one length, and each node's begin at an offset of its own, so that they are spread. */
export function turnOf(
  uid: string,
  everyMs: number,
  now: number,
): { readonly slot: number; readonly begins: number; readonly ends: number } {
  const offset = Number.parseInt(digest([uid, 'scan'], 8), 16) % everyMs;
  const slot = Math.floor((now - offset) / everyMs);
  const begins = slot * everyMs + offset;
  return { slot, begins, ends: begins + everyMs };
}

/** When the node was looked at last, by a scan (also one that failed) or by a run. */
function lastLook(history: NodeHistory | undefined, uid: string): number | undefined {
  if (history?.uid !== uid) return undefined;
  const looks = [history.pending?.at, history.scan?.endedAt].filter((at) => at !== undefined);
  return looks.length === 0 ? undefined : Math.max(...looks);
}

function scannable(node: NodeView, policy: Policy, working: ReadonlySet<string>): boolean {
  return (
    node.ready &&
    exclusion(node, policy.nodes) === undefined &&
    !working.has(node.uid) &&
    !isUnpatched(node) &&
    foreignMaintenance(node) === undefined
  );
}

function nodesAtWork(ledger: LedgerDocument): Set<string> {
  const uids = new Set<string>();
  for (const run of Object.values(ledger.runs)) {
    if (runEnded(run.state)) continue;
    for (const record of Object.values(run.nodes)) if (isUnderWay(record.phase)) uids.add(record.uid);
  }
  return uids;
}

/** The number of a scan's Job comes from the node's turn, so that it is never the name of an older one. */
function attemptOf(scan: ScanRecord): number {
  return scan.slot * (mostTries + 1) + scan.tries;
}

/** The Job of a scan is made as the Job of a run's step. */
function recordOf(node: NodeView, scan: ScanRecord): NodeRecord {
  return {
    ...newRecord(node, undefined, scan.since),
    attempt: attemptOf(scan),
    tries: scan.tries,
    notBefore: scan.notBefore,
  };
}

/** The run that a scan would be, if runs were kept of scans. */
function runOf(policy: Policy, ledger: LedgerDocument): RunRecord {
  return {
    id: scanRunId,
    hash: digest([ledger.clusterUid, scanRunId], 10),
    triggers: [],
    action: 'patch',
    state: 'Running',
    reason: 'Working',
    message: 'nodes are being looked at',
    since: 0,
    createdAt: 0,
    startedAt: undefined,
    endedAt: undefined,
    validUntil: 0,
    commit: '',
    digest: '',
    spec: { policy, onlyNodes: [], onlySelector: undefined, why: 'scan' },
    nodes: {},
    forgiven: 0,
    archived: false,
  };
}
