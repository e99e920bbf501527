// One pass over the run that is under way: nodes go on, free seats are given, the end is told.
import type { Action } from '../model/action.ts';
import type { LedgerDocument, NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import { runLabel } from '../model/names.ts';
import { isEnd, isUnderWay } from '../model/node-phase.ts';
import type { JobView, NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import { seat } from './budget.ts';
import { frozen, gateHold } from './gates.ts';
import { rememberReboot } from './history.ts';
import { withLocks } from './lock.ts';
import type { PlanInput } from './input.ts';
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
import { allPaused, pausedBy } from './pause.ts';
import { RunDraft } from './run-draft.ts';
import { closeRequests, endOf, othersWait, withReason } from './runs.ts';
import { scanningNodes } from './scan.ts';
import { byTurn, exclusion, selectedNodes } from './select.ts';
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
  private readonly draft: RunDraft;
  private readonly byName: ReadonlyMap<string, NodeView>;
  private readonly jobs: ReadonlyMap<string, JobView>;
  private readonly actions: Action[] = [];
  private readonly until: (number | undefined)[] = [];
  private readonly holds = new Map<string, Hold>();
  private runHold: Hold | undefined;
  private lost: NodeRecord | undefined;
  private again = false;

  constructor(ledger: LedgerDocument, run: RunRecord, input: PlanInput) {
    this.draft = new RunDraft(ledger, run, input.now);
    this.input = input;
    this.byName = new Map(input.observed.nodes.map((node) => [node.name, node]));
    this.jobs = new Map(input.observed.jobs.map((job) => [job.name, job]));
  }

  /** Nodes that are gone leave, new ones come in, and a node whose label was taken away by a person is done again. */
  takeIn(): void {
    const { now } = this.input;
    for (const record of Object.values(this.draft.run.nodes)) {
      const node = this.byName.get(record.node);
      if (node?.uid === record.uid) {
        this.noticeReset(record, node);
        continue;
      }
      if (isEnd(record.phase)) continue;
      this.draft.set(
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
    if (this.draft.run.reason === 'Aborted') return;
    const selected = selectedNodes(this.draft.run, this.input.observed.nodes);
    this.letGo(new Set(selected.map((node) => node.uid)));
    for (const node of selected) {
      const known = this.draft.run.nodes[node.name];
      if (known?.uid === node.uid) continue;
      this.draft.set(newRecord(node, this.draft.run.spec.policy.rollout.topologyKey, now));
    }
  }

  /** A node that waits and is not meant any more would wait for ever, and everybody with it. */
  private letGo(selected: ReadonlySet<string>): void {
    const { policy } = this.draft.run.spec;
    for (const record of Object.values(this.draft.run.nodes)) {
      const node = this.byName.get(record.node);
      if (record.phase !== 'Pending' || node === undefined || selected.has(node.uid)) continue;
      const why = exclusion(node, policy.nodes) ?? 'what the run was asked for does not select the node any more';
      this.draft.set(atEnd(record, 'Skipped', this.input.now, 'Excluded', why));
    }
  }

  private noticeReset(record: NodeRecord, node: NodeView): void {
    if (record.phase !== 'Patched') return;
    const labelled = node.labels[runLabel] === this.draft.run.hash;
    if (labelled && !record.marked) this.draft.set({ ...record, marked: true });
    if (labelled || !record.marked) return;
    this.draft.set(freshRecord(record, this.input.now));
    const history = this.draft.ledger.history[node.name];
    if (history) this.draft.remember(node.name, { ...history, lastRun: '' });
  }

  /** Work that has begun goes on, whatever holds: only a freeze stops at the edge of a reboot. */
  advanceNodes(): void {
    const { input } = this;
    const freeze = frozen(input);
    for (const record of Object.values(this.draft.run.nodes)) {
      if (!isUnderWay(record.phase)) continue;
      const node = this.byName.get(record.node);
      if (!node) continue;
      const result = advance({
        now: input.now,
        run: this.draft.run,
        record,
        node,
        history: this.draft.ledger.history[record.node],
        sightings: this.draft.ledger.sightings,
        jobs: this.jobs,
        pods: input.observed.pods.get(record.node),
        budgets: input.observed.budgets,
        evictions: input.observed.evictions,
        volumes: input.observed.volumes,
        machines: input.observed.machines,
        hooks: input.observed.hooks,
        standby: input.observed.standby,
        refusal: input.observed.refusals.get(record.node),
        settings: input.settings,
        frozen: freeze,
      });
      this.draft.set(result.record);
      this.actions.push(...result.actions);
      this.until.push(result.until);
      if (result.until === input.now) this.again = true;
      if (result.stopRun) this.lost = result.record;
      const history = this.draft.ledger.history[record.node];
      if (result.rebooted !== undefined)
        this.draft.remember(record.node, rememberReboot(history, record, result.rebooted));
    }
  }

  /** Gives free seats to the next nodes, unless something holds. */
  startNodes(clusterHolds: readonly Hold[]): void {
    const { input } = this;
    const { now } = input;
    // What was forgiven and has been tried again is no failure any more: it must not pay for the next one.
    const forgiven = Math.min(this.draft.run.forgiven, failures(this.draft.run));
    if (forgiven !== this.draft.run.forgiven) this.draft.run = { ...this.draft.run, forgiven };
    this.draft.run = withLocks(this.draft.run);
    if (this.draft.run.reason === 'Aborted') return this.leaveRest();
    const { run } = this.draft;
    const pending = Object.values(run.nodes).filter((record) => record.phase === 'Pending');
    const failed = failures(run) - run.forgiven;
    const { maxFailures } = run.spec.policy.rollout;
    if (this.lost) this.draft.pause('NotRejoined', `${this.lost.node}: ${this.lost.message}; the run stops`);
    else if (run.state === 'Running' && failed >= maxFailures && pending.length > 0) {
      this.draft.pause(
        'Paused',
        `${failed} of at most ${maxFailures} nodes failed (rollout.maxFailures): ${failedNames(run)}`,
      );
    }
    this.runHold =
      this.draft.run.state === 'Paused'
        ? { reason: this.draft.run.reason, message: this.draft.run.message, until: undefined }
        : pending.length > 0
          ? (clusterHolds[0] ?? gateHold({ ...input, ledger: this.draft.ledger }, this.draft.run))
          : undefined;
    if (this.runHold) {
      for (const record of pending) this.holds.set(record.node, this.runHold);
      this.until.push(this.runHold.until);
      return;
    }
    const turn = selectedNodes(this.draft.run, input.observed.nodes).sort(
      byTurn(this.draft.ledger.history, run.spec.policy.rollout.controlPlane, input.settings.ownNode),
    );
    const booting = bootingNodes(this.draft.ledger.runs);
    const seating = seat({
      now,
      run: this.draft.run,
      turn,
      booting,
      etcd: input.observed.etcd,
      apiServers: input.observed.apiServers,
      held: heldNodes(this.draft.ledger.runs),
      nodes: input.observed.nodes,
      paused: (node) => pausedBy(node, input),
      history: this.draft.ledger.history,
      nodesPerHour: input.settings.ceilings.nodesPerHour,
      starts: startsOf(this.draft.ledger, this.draft.run),
      scanning: scanningNodes(this.draft.ledger.history),
    });
    for (const [name, hold] of seating.holds) this.holds.set(name, hold);
    // What is missing is read in the next pass, which need not wait.
    if (input.observed.etcd === undefined && [...seating.holds.values()].some((hold) => hold.reason === 'EtcdUnknown'))
      this.again = true;
    for (const name of seating.start) {
      const record = this.draft.run.nodes[name];
      if (!record) continue;
      this.draft.set({ ...enter(record, 'Preflight', now, 'is being checked'), startedAt: now, endedAt: undefined });
      this.again = true;
    }
  }

  /** Nobody starts any more in a run that a person has ended, also not a node whose drain would be tried again. */
  private leaveRest(): void {
    const { run } = this.draft;
    for (const record of Object.values(run.nodes))
      if (record.phase === 'Pending') this.draft.set(atEnd(record, 'Skipped', this.input.now, 'Aborted', run.message));
  }

  /** Nodes that cannot start do not keep a run open for ever; a run whose nodes have all ended ends. */
  finish(): void {
    const { now } = this.input;
    const records = Object.values(this.draft.run.nodes);
    const pending = records.filter((record) => record.phase === 'Pending');
    const working = records.some((record) => isUnderWay(record.phase));
    if (this.draft.run.state === 'Running' && !working && pending.length > 0 && !this.runHold) this.giveUpOn(pending);
    // A gate is waited for as long as the run is valid, not for ever: the nodes that are left end with the gate's answer.
    if (this.runHold?.reason === 'GateBlocked' && !working && now >= this.draft.run.validUntil) {
      for (const record of pending)
        this.draft.set(
          atEnd(record, 'Skipped', now, 'GateBlocked', `until the run was no longer valid: ${this.runHold.message}`),
        );
    }
    const left = Object.values(this.draft.run.nodes).some((record) => !isEnd(record.phase));
    if (left) {
      if (this.draft.run.state === 'Running' && this.draft.run.reason !== 'Aborted') {
        const hold = this.runHold ?? allPaused(pending, this.holds);
        this.draft.run =
          hold && !working
            ? withReason(this.draft.run, hold.reason, hold.message, now)
            : withReason(this.draft.run, 'Working', 'nodes are being patched', now);
      }
      return;
    }
    this.draft.run = endOf(this.draft.run, now);
    // Whoever waited for the run need not wait for something to happen.
    this.again ||= othersWait(this.draft.ledger, this.draft.run, this.input);
    this.draft.ledger = closeRequests(this.draft.ledger, this.draft.run, now);
  }

  private giveUpOn(pending: readonly NodeRecord[]): void {
    const { now } = this.input;
    const lastEnd = Math.max(
      this.draft.run.startedAt ?? now,
      ...Object.values(this.draft.run.nodes).map((record) => record.endedAt ?? 0),
    );
    const limit = lastEnd + this.draft.run.spec.policy.reboot.returnTimeoutMs;
    const { run } = this.draft;
    const paused = allPaused(pending, this.holds);
    // Paused nodes are waited for, but not at the cost of others.
    const leavesPaused =
      paused !== undefined && (now >= run.validUntil || othersWait(this.draft.ledger, run, this.input));
    if (paused && !leavesPaused) this.until.push(run.validUntil);
    for (const record of pending) {
      const hold = this.holds.get(record.node);
      if (hold?.reason === 'NodePaused') {
        if (leavesPaused) this.draft.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
      } else if (hold?.reason === 'SingleControlPlane' || hold?.reason === 'BeyondApproval')
        this.draft.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
      else if (hold?.reason === 'NotReady') {
        if (now >= limit) this.draft.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
        else this.until.push(limit);
      } else if (hold?.reason === 'ForeignMaintenance') {
        if (now >= lastEnd + foreignWaitMs) this.draft.set(atEnd(record, 'Skipped', now, hold.reason, hold.message));
        else this.until.push(lastEnd + foreignWaitMs);
      }
    }
  }

  moved(): Moved {
    return {
      ledger: this.draft.written(),
      actions: this.actions,
      events: this.draft.events(),
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
