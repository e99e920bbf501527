// One pass over the run that is under way: nodes go on, free seats are given, the end is told.
import type { Action } from '../model/action.ts';
import type { LedgerDocument, NodeHistory, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { runLabel } from '../model/names.ts';
import { isEnd, isUnderWay } from '../model/node-phase.ts';
import type { JobView, NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { seat } from './budget.ts';
import { frozen, gateHold } from './gates.ts';
import { remember, rememberReboot } from './history.ts';
import { withLocks } from './lock.ts';
import type { PlanInput } from './input.ts';
import { eventFor } from './marks.ts';
import {
  atEnd,
  bootingNodes,
  enter,
  failures,
  freshRecord,
  heldNodes,
  isBeside,
  isBootRun,
  newRecord,
} from './records.ts';
import { addRunIfChanged, closeRequests, endOf, withReason } from './runs.ts';
import { scanningNodes } from './scan.ts';
import { byTurn, selectedNodes } from './select.ts';
import { advance } from './steps.ts';

/** How long a run stays open for nodes that others work on, after it has done all others. */
const foreignWaitMs = 24 * 3_600_000;

export interface Moved {
  readonly ledger: LedgerDocument;
  readonly actions: readonly Action[];
  readonly events: readonly Action[];
  /** Why each waiting node of the run waits. */
  readonly holds: ReadonlyMap<string, Hold>;
  /** Why the run as a whole starts no node now. */
  readonly runHold: Hold | undefined;
  /** When some step wants to be looked at again. */
  readonly until: readonly (number | undefined)[];
  /** Something must be read before the pass can go on: look again at once. */
  readonly again: boolean;
}

/** Moves the run that is under way, if there is one. */
export function moveRun(ledger: LedgerDocument, input: PlanInput, holds: readonly Hold[]): Moved {
  const active = Object.values(ledger.runs).find(
    (run) => run.startedAt !== undefined && !runEnded(run.state) && !isBeside(run),
  );
  if (!active)
    return { ledger, actions: [], events: [], holds: new Map(), runHold: undefined, until: [], again: false };
  const pass = new RunPass(ledger, active, input);
  pass.takeIn();
  pass.advanceNodes();
  pass.startNodes(holds);
  pass.finish();
  return pass.moved();
}

/** Holds the run while it is rewritten node by node; nothing of it outlives the pass. */
class RunPass {
  private readonly input: PlanInput;
  private readonly before: RunRecord;
  private run: RunRecord;
  private ledger: LedgerDocument;
  private readonly byName: ReadonlyMap<string, NodeView>;
  private readonly jobs: ReadonlyMap<string, JobView>;
  private readonly actions: Action[] = [];
  private readonly until: (number | undefined)[] = [];
  private readonly holds = new Map<string, Hold>();
  private runHold: Hold | undefined;
  private lost: NodeRecord | undefined;
  private again = false;
  private freshNodes: Record<string, NodeRecord> | undefined;
  private freshHistory: Record<string, NodeHistory> | undefined;

  constructor(ledger: LedgerDocument, run: RunRecord, input: PlanInput) {
    this.ledger = ledger;
    this.run = run;
    this.before = run;
    this.input = input;
    this.byName = new Map(input.observed.nodes.map((node) => [node.name, node]));
    this.jobs = new Map(input.observed.jobs.map((job) => [job.name, job]));
  }

  /** Nodes that are gone leave, new ones come in, and a node whose label was taken away by a person is done again. */
  takeIn(): void {
    const { now } = this.input;
    for (const record of Object.values(this.run.nodes)) {
      const node = this.byName.get(record.node);
      if (node?.uid === record.uid) {
        this.noticeReset(record, node);
        continue;
      }
      if (isEnd(record.phase)) continue;
      this.set(
        atEnd(
          record,
          'Skipped',
          now,
          'NodeGone',
          node ? 'another node has this name now' : 'the node does not exist any more',
        ),
      );
      for (const job of this.input.observed.jobs) {
        if (job.nodeUid === record.uid && (job.state === 'waiting' || job.state === 'running'))
          this.actions.push({ kind: 'deleteJob', name: job.name, uid: job.uid });
      }
    }
    if (this.run.reason === 'Aborted') return;
    for (const node of selectedNodes(this.run, this.input.observed.nodes)) {
      const known = this.run.nodes[node.name];
      if (known?.uid === node.uid) continue;
      this.set(newRecord(node, this.run.spec.policy.rollout.topologyKey, now));
    }
  }

  private noticeReset(record: NodeRecord, node: NodeView): void {
    if (record.phase !== 'Patched') return;
    const labelled = node.labels[runLabel] === this.run.hash;
    if (labelled && !record.marked) this.set({ ...record, marked: true });
    if (labelled || !record.marked) return;
    this.set(freshRecord(record, this.input.now));
    const history = this.ledger.history[node.name];
    if (history) this.remember(node.name, { ...history, lastRun: '' });
  }

  /** Work that has begun goes on, whatever holds: only a freeze stops at the edge of a reboot. */
  advanceNodes(): void {
    const { input } = this;
    const freeze = frozen(input);
    for (const record of Object.values(this.run.nodes)) {
      if (!isUnderWay(record.phase)) continue;
      const node = this.byName.get(record.node);
      if (!node) continue;
      const result = advance({
        now: input.now,
        run: this.run,
        record,
        node,
        history: this.ledger.history[record.node],
        sightings: this.ledger.sightings,
        jobs: this.jobs,
        pods: input.observed.pods.get(record.node),
        budgets: input.observed.budgets,
        evictions: input.observed.evictions,
        volumes: input.observed.volumes,
        machines: input.observed.machines,
        hooks: input.observed.hooks,
        refusal: input.observed.refusals.get(record.node),
        settings: input.settings,
        frozen: freeze,
      });
      this.set(result.record);
      this.actions.push(...result.actions);
      this.until.push(result.until);
      if (result.until === input.now) this.again = true;
      if (result.stopRun) this.lost = result.record;
      const history = this.ledger.history[record.node];
      if (result.rebooted !== undefined) this.remember(record.node, rememberReboot(history, record, result.rebooted));
    }
  }

  /** Gives free seats to the next nodes, unless something holds. */
  startNodes(clusterHolds: readonly Hold[]): void {
    const { input } = this;
    const { now } = input;
    // What was forgiven and has been tried again is no failure any more: it must not pay for the next one.
    const forgiven = Math.min(this.run.forgiven, failures(this.run));
    if (forgiven !== this.run.forgiven) this.run = { ...this.run, forgiven };
    this.run = withLocks(this.run);
    const { run } = this;
    const pending = Object.values(run.nodes).filter((record) => record.phase === 'Pending');
    const failed = failures(run) - run.forgiven;
    const { maxFailures } = run.spec.policy.rollout;
    if (this.lost) this.pause('NotRejoined', `${this.lost.node}: ${this.lost.message}; the run stops`);
    else if (run.state === 'Running' && failed >= maxFailures && pending.length > 0 && run.reason !== 'Aborted') {
      this.pause(
        'Paused',
        `${failed} of at most ${maxFailures} nodes failed (rollout.maxFailures): ${failedNames(run)}`,
      );
    }
    this.runHold =
      this.run.state === 'Paused'
        ? { reason: this.run.reason, message: this.run.message, until: undefined }
        : pending.length > 0
          ? (clusterHolds[0] ?? gateHold({ ...input, ledger: this.ledger }, this.run))
          : undefined;
    if (this.runHold) {
      for (const record of pending) this.holds.set(record.node, this.runHold);
      this.until.push(this.runHold.until);
      return;
    }
    const turn = selectedNodes(this.run, input.observed.nodes).sort(
      byTurn(this.ledger.history, run.spec.policy.rollout.controlPlane, input.settings.ownNode),
    );
    const booting = bootingNodes(this.ledger.runs);
    const seating = seat({
      now,
      run: this.run,
      turn,
      booting,
      etcd: input.observed.etcd,
      apiServers: input.observed.apiServers,
      held: heldNodes(this.ledger.runs),
      nodes: input.observed.nodes,
      history: this.ledger.history,
      nodesPerHour: input.settings.ceilings.nodesPerHour,
      starts: startsOf(this.ledger, this.run),
      scanning: scanningNodes(this.ledger.history),
    });
    for (const [name, hold] of seating.holds) this.holds.set(name, hold);
    // What is missing is read in the next pass, which need not wait.
    if (input.observed.etcd === undefined && [...seating.holds.values()].some((hold) => hold.reason === 'EtcdUnknown'))
      this.again = true;
    for (const name of seating.start) {
      const record = this.run.nodes[name];
      if (!record) continue;
      this.set({ ...enter(record, 'Preflight', now, 'is being checked'), startedAt: now, endedAt: undefined });
      this.again = true;
    }
  }

  /** Nodes that cannot start do not keep a run open for ever; a run whose nodes have all ended ends. */
  finish(): void {
    const { now } = this.input;
    const records = Object.values(this.run.nodes);
    const pending = records.filter((record) => record.phase === 'Pending');
    const working = records.some((record) => isUnderWay(record.phase));
    if (this.run.state === 'Running' && !working && pending.length > 0 && !this.runHold) this.giveUpOn(pending);
    // A gate is waited for as long as the run is valid, not for ever: the nodes that are left end with the gate's answer.
    if (this.runHold?.reason === 'GateBlocked' && !working && now >= this.run.validUntil) {
      for (const record of pending)
        this.set(
          atEnd(record, 'Skipped', now, 'GateBlocked', `until the run was no longer valid: ${this.runHold.message}`),
        );
    }
    const left = Object.values(this.run.nodes).some((record) => !isEnd(record.phase));
    if (left) {
      if (this.run.state === 'Running' && this.run.reason !== 'Aborted') {
        const hold = this.runHold;
        this.run =
          hold && !working
            ? withReason(this.run, hold.reason, hold.message, now)
            : withReason(this.run, 'Working', 'nodes are being patched', now);
      }
      return;
    }
    this.run = endOf(this.run, now);
    this.ledger = closeRequests(this.ledger, this.run, now);
  }

  private giveUpOn(pending: readonly NodeRecord[]): void {
    const { now } = this.input;
    const lastEnd = Math.max(
      this.run.startedAt ?? now,
      ...Object.values(this.run.nodes).map((record) => record.endedAt ?? 0),
    );
    const limit = lastEnd + this.run.spec.policy.reboot.returnTimeoutMs;
    for (const record of pending) {
      const hold = this.holds.get(record.node);
      if (hold?.reason === 'SingleControlPlane' || hold?.reason === 'BeyondApproval')
        this.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
      else if (hold?.reason === 'NotReady') {
        if (now >= limit) this.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
        else this.until.push(limit);
      } else if (hold?.reason === 'ForeignMaintenance') {
        if (now >= lastEnd + foreignWaitMs) this.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
        else this.until.push(lastEnd + foreignWaitMs);
      }
    }
  }

  private pause(reason: 'Paused' | 'NotRejoined', message: string): void {
    if (this.run.state === 'Paused') return;
    this.run = { ...this.run, state: 'Paused', reason, message, since: this.input.now };
  }

  private set(record: NodeRecord): void {
    const before = this.run.nodes[record.node];
    if (before === record) return;
    // Copied once, not for every node: a pass over a thousand nodes would copy a million records.
    this.freshNodes ??= { ...this.run.nodes };
    this.freshNodes[record.node] = record;
    if (this.run.nodes !== this.freshNodes) this.run = { ...this.run, nodes: this.freshNodes };
    const history = remember(this.ledger.history[record.node], before, record, this.run, this.input.now);
    if (history) this.remember(record.node, history);
  }

  private remember(name: string, history: NodeHistory): void {
    this.freshHistory ??= { ...this.ledger.history };
    this.freshHistory[name] = history;
    if (this.ledger.history !== this.freshHistory) this.ledger = { ...this.ledger, history: this.freshHistory };
  }

  moved(): Moved {
    const events: Action[] = [];
    for (const record of Object.values(this.run.nodes)) {
      const before = this.before.nodes[record.node];
      if (before === record) continue;
      const event = eventFor(this.run, before, record);
      if (event) events.push(event);
    }
    return {
      ledger: addRunIfChanged(this.ledger, this.run),
      actions: this.actions,
      events,
      holds: this.holds,
      runHold: this.runHold,
      until: this.until,
      again: this.again,
    };
  }
}

/** When the nodes of all runs were begun; on boot nothing is disturbed, so it does not count. */
function startsOf(ledger: LedgerDocument, run: RunRecord): number[] {
  return Object.values({ ...ledger.runs, [run.id]: run })
    .filter((one) => !isBootRun(one))
    .flatMap((one) =>
      Object.values(one.nodes).flatMap((record) => (record.startedAt === undefined ? [] : [record.startedAt])),
    );
}

function failedNames(run: RunRecord): string {
  return Object.values(run.nodes)
    .filter((record) => record.phase === 'Failed' || record.phase === 'Quarantined')
    .map((record) => `${record.node} (${record.reason})`)
    .join(', ');
}
