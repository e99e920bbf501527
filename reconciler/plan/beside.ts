// Runs beside the main one: what patch on boot and maintenance by hand have in common.
import type { Action } from '../model/action.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { isEnd, isUnderWay } from '../model/node-phase.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { frozen } from './gates.ts';
import { remember, rememberReboot } from './history.ts';
import type { PlanInput } from './input.ts';
import { eventFor } from './marks.ts';
import { atEnd } from './records.ts';
import { addRunIfChanged, withReason } from './runs.ts';
import { cordonIsOurs, release, type StepResult } from './step-context.ts';
import { advance } from './steps.ts';

/** What a pass over such runs decided. */
export interface BesideMoved {
  readonly ledger: LedgerDocument;
  readonly actions: readonly Action[];
  readonly events: readonly Action[];
  /** Why each waiting node waits. */
  readonly holds: ReadonlyMap<string, Hold>;
  readonly until: readonly (number | undefined)[];
  /** Look again at once. */
  readonly again: boolean;
}

/** What became of one node in this pass, before it is written down. */
export interface Visit {
  readonly record: NodeRecord;
  readonly actions: readonly Action[];
  readonly hold?: Hold | undefined;
  readonly until?: number | undefined;
  readonly rebooted?: number | undefined;
}

/** The two ways in which kinds of such runs differ: what a visit does, and how the run ends. */
export interface BesideKind {
  readonly mine: (run: RunRecord) => boolean;
  /** A node of the run that has not ended, and that exists. */
  readonly visit: (ledger: LedgerDocument, run: RunRecord, record: NodeRecord, node: NodeView) => Visit;
  /** Called once, when all nodes of the run have ended. */
  readonly finish: (ledger: LedgerDocument, run: RunRecord) => LedgerDocument;
  /** What the run says while it works. */
  readonly word: string;
}

/** Visits every node of every open run of the kind, oldest run first. Each visit sees what the ones before it have decided. */
export function visitAll(ledger: LedgerDocument, input: PlanInput, kind: BesideKind): BesideMoved {
  const { now } = input;
  const open = Object.values(ledger.runs)
    .filter((run) => kind.mine(run) && !runEnded(run.state))
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
  const actions: Action[] = [];
  const events: Action[] = [];
  const holds = new Map<string, Hold>();
  const until: (number | undefined)[] = [];
  let next = ledger;
  let again = false;
  for (const { id } of open) {
    for (const name of Object.keys(next.runs[id]?.nodes ?? {}).sort()) {
      const run = next.runs[id];
      const before = run?.nodes[name];
      if (!run || !before) continue;
      const visit = visitNode(next, run, before, input, kind);
      next = written(next, run, before, visit, now);
      actions.push(...visit.actions);
      const event = eventFor(run, before, visit.record);
      if (event) events.push(event);
      if (visit.hold) holds.set(name, visit.hold);
      until.push(visit.until, visit.hold?.until, run.validUntil);
      again ||= visit.hold?.reason === 'EtcdUnknown' && input.observed.etcd === undefined;
      again ||= visit.until === now || (before.phase === 'Pending' && isUnderWay(visit.record.phase));
    }
    const run = next.runs[id];
    if (run) next = told(next, run, holds, kind, now);
  }
  return { ledger: next, actions, events, holds, until, again };
}

function visitNode(
  ledger: LedgerDocument,
  run: RunRecord,
  record: NodeRecord,
  input: PlanInput,
  kind: BesideKind,
): Visit {
  if (isEnd(record.phase)) return { record, actions: [] };
  const node = input.observed.nodes.find((one) => one.name === record.node);
  return node?.uid === record.uid ? kind.visit(ledger, run, record, node) : gone(record, input);
}

/** The node's own way through its phases, as in any run. */
export function onTheWay(
  ledger: LedgerDocument,
  run: RunRecord,
  record: NodeRecord,
  node: NodeView,
  input: PlanInput,
): StepResult {
  return advance({
    now: input.now,
    run,
    record,
    node,
    history: ledger.history[record.node],
    sightings: ledger.sightings,
    jobs: new Map(input.observed.jobs.map((job) => [job.name, job])),
    pods: input.observed.pods.get(record.node),
    budgets: input.observed.budgets,
    evictions: input.observed.evictions,
    volumes: input.observed.volumes,
    machines: input.observed.machines,
    hooks: input.observed.hooks,
    standby: input.observed.standby,
    refusal: input.observed.refusals.get(record.node),
    settings: input.settings,
    frozen: frozen(input),
  });
}

/** An end, by way of the uncordon where a cordon of ours is on the node. */
export function over(
  record: NodeRecord,
  node: NodeView,
  now: number,
  phase: 'Skipped' | 'Failed',
  { reason, message }: Pick<Hold, 'reason' | 'message'>,
): NodeRecord {
  if (record.cordoned || cordonIsOurs(node)) return release(record, now, phase, reason, message);
  return atEnd(record, phase, now, reason, message);
}

function gone(record: NodeRecord, input: PlanInput): Visit {
  const jobs = input.observed.jobs.filter(
    (job) => job.nodeUid === record.uid && (job.state === 'waiting' || job.state === 'running'),
  );
  return {
    record: atEnd(record, 'Skipped', input.now, 'NodeGone', 'the node does not exist any more'),
    actions: jobs.map((job) => ({ kind: 'deleteJob', name: job.name, uid: job.uid })),
  };
}

/** The ledger with the node's record and history; the run begins with its first node. */
function written(
  ledger: LedgerDocument,
  run: RunRecord,
  before: NodeRecord,
  visit: Visit,
  now: number,
): LedgerDocument {
  const { record } = visit;
  let next = ledger;
  const known = (): LedgerDocument['history'][string] | undefined => next.history[record.node];
  if (visit.rebooted !== undefined) next = withHistory(next, record, rememberReboot(known(), record, visit.rebooted));
  if (record === before) return next;
  const history = remember(known(), before, record, run, now);
  if (history) next = withHistory(next, record, history);
  const begins = run.startedAt === undefined && record.startedAt !== undefined;
  return addRunIfChanged(next, {
    ...run,
    nodes: { ...run.nodes, [record.node]: record },
    ...(begins ? { state: 'Running' as const, startedAt: now } : {}),
  });
}

/** The run's own word after its nodes have moved: what it does, what it waits for, or its end. */
function told(
  ledger: LedgerDocument,
  run: RunRecord,
  holds: ReadonlyMap<string, Hold>,
  kind: BesideKind,
  now: number,
): LedgerDocument {
  const records = Object.values(run.nodes);
  if (records.every((record) => isEnd(record.phase))) return kind.finish(ledger, run);
  // A node that waits for another try must find out that a person has ended the run.
  if (run.reason === 'Aborted') return ledger;
  const works = records.some((record) => isUnderWay(record.phase));
  const waits = records.map((record) => holds.get(record.node)).find((hold) => hold !== undefined);
  const word = !works && waits ? waits : { reason: 'Working' as const, message: kind.word };
  return addRunIfChanged(ledger, withReason(run, word.reason, word.message, now));
}

function withHistory(
  ledger: LedgerDocument,
  record: NodeRecord,
  history: LedgerDocument['history'][string],
): LedgerDocument {
  return { ...ledger, history: { ...ledger.history, [record.node]: history } };
}
