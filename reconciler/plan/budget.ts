// How many nodes may be out, and which waiting node is next.
import type { NodeHistory, NodeRecord, RunRecord } from '../model/ledger.ts';
import { isUnderWay } from '../model/node-phase.ts';
import type { NodeView, RawCluster } from '../model/observed.ts';
import type { Quantity } from '../model/policy.ts';
import { spellDuration } from '../model/duration.ts';
import type { Hold } from '../model/reason.ts';
import { beyondCeiling, nodesLeft } from './ceiling.ts';
import { etcdHold } from './etcd.ts';
import { foreignMaintenance } from './foreign.ts';
import { lockTurn } from './lock.ts';
import { underWay } from './records.ts';

const hourMs = 3_600_000;

/** Seats of a budget for a run of `total` nodes: a percentage is rounded down, and there is always one. */
export function seatLimit(quantity: Quantity, total: number): number {
  const wanted = quantity.kind === 'count' ? quantity.value : Math.floor((total * quantity.value) / 100);
  return Math.max(1, wanted);
}

/** A node that is out without a run of ours: not Ready, or lost. */
export function unhealthy(node: NodeView): boolean {
  return !node.ready;
}

/** Which nodes may start now, and why each of the others waits. */
export interface Seating {
  readonly start: readonly string[];
  readonly holds: ReadonlyMap<string, Hold>;
}

export interface SeatingInput {
  readonly now: number;
  readonly run: RunRecord;
  /** Selected nodes in the order of their turn. */
  readonly turn: readonly NodeView[];
  /** Nodes that boot runs are about, by UID: they are not taken, and they count for nothing but the control plane. */
  readonly booting: ReadonlyMap<string, NodeRecord>;
  /** Why a person has paused the node; undefined: nobody has. */
  readonly paused: (node: NodeView) => Hold | undefined;
  /** All nodes of the cluster. */
  readonly nodes: readonly NodeView[];
  readonly history: Readonly<Record<string, NodeHistory>>;
  readonly nodesPerHour: number | undefined;
  /** Nodes that are out for maintenance by hand, by UID: they count as out, whichever nodes the run is about. */
  readonly held: ReadonlyMap<string, NodeRecord>;
  /** Members of etcd that run as pods; undefined when they were not read. */
  readonly etcd: RawCluster['etcd'];
  readonly apiServers: RawCluster['apiServers'];
  /** When nodes were begun lately, in this run and in others: the hourly ceiling knows no runs. */
  readonly starts: readonly number[];
  /** UIDs of nodes on which a scan is under way. */
  readonly scanning: ReadonlySet<string>;
}

/**
 * Gives the free seats to waiting nodes in the order of their turn. Out are: nodes under way, nodes that keep our cordon, nodes that others work
 * on, nodes that are not Ready. Never two zones at once where a topology key is set; control-plane nodes one at a time and alone; the canary first, then its soak.
 */
export function seat(input: SeatingInput): Seating {
  const { run, turn, now } = input;
  const { rollout } = run.spec.policy;
  const holds = new Map<string, Hold>();
  const start: string[] = [];
  const working = underWay(run);
  const busy = new Set(working.map((record) => record.node));
  const inTurn = new Set(turn.map((node) => node.uid));
  const out = input.nodes.filter(
    (node) =>
      !busy.has(node.name) &&
      !input.booting.has(node.uid) &&
      (input.held.has(node.uid) ||
        (inTurn.has(node.uid) &&
          (unhealthy(node) ||
            input.history[node.name]?.quarantine !== undefined ||
            foreignMaintenance(node) !== undefined))),
  );
  const limit = seatLimit(rollout.concurrency, turn.length);
  const left = nodesLeft(run);
  const canary = canaryHold(run, now);
  const soak = soakHold(run, now);
  const outside = new Set(out.map((node) => node.uid));
  const heldOut = [...input.held.values()];
  let zone = working[0]?.zone ?? heldOut[0]?.zone;
  const otherControlPlane = [...input.booting.values(), ...heldOut].find(
    (record) => record.controlPlane && isUnderWay(record.phase),
  );
  let controlPlane = working.some((record) => record.controlPlane);
  const waiting = turn.filter((node) => run.nodes[node.name]?.phase === 'Pending');
  // Nobody waits for the turn of a node that is paused.
  const coming = waiting.filter((node) => !input.paused(node));
  const workersWait = coming.some((node) => !node.controlPlane);
  const controlPlanesWait = coming.some((node) => node.controlPlane);

  for (const node of waiting) {
    const record = run.nodes[node.name];
    if (!record) continue;
    const taken = busy.size + start.length + out.length - (outside.has(node.uid) ? 1 : 0);
    const hold =
      retryHold(record, now) ??
      besideHold(node, input, otherControlPlane) ??
      input.paused(node) ??
      foreignMaintenance(node) ??
      notReadyHold(node) ??
      (start.length >= left && record.startedAt === undefined ? beyondCeiling(run) : undefined) ??
      scanHold(node, input.scanning) ??
      hourlyHold(input, start.length) ??
      canary.hold ??
      soak ??
      turnOfControlPlane(node, {
        rollout,
        working,
        started: start.length,
        controlPlane,
        workersWait,
        controlPlanesWait,
      }) ??
      loneControlPlane(node, input.nodes, rollout.allowSingleControlPlane) ??
      etcdHold(node, input.nodes, input) ??
      lockTurn(run, record, start) ??
      canaryRoom(canary.seats, busy.size + start.length) ??
      roomHold(taken, limit, [...busy, ...start], out, input.held) ??
      zoneHold(record, zone, rollout.topologyKey, busy.size + start.length + heldOut.length);
    if (hold) {
      holds.set(node.name, hold);
      continue;
    }
    start.push(node.name);
    zone ??= record.zone;
    controlPlane ||= node.controlPlane;
  }
  return { start, holds };
}

function scanHold(node: NodeView, scanning: ReadonlySet<string>): Hold | undefined {
  if (!scanning.has(node.uid)) return undefined;
  return { reason: 'WaitingForJob', message: 'a scan of the node is under way and ends soon', until: undefined };
}

function retryHold(record: NodeRecord, now: number): Hold | undefined {
  if (record.notBefore === undefined || record.notBefore <= now) return undefined;
  return { reason: record.reason, message: record.message, until: record.notBefore };
}

/** A node of a run beside this one is left to that run; a control-plane node waits for one that is under way there. */
function besideHold(
  node: NodeView,
  { booting, held }: SeatingInput,
  otherControlPlane: NodeRecord | undefined,
): Hold | undefined {
  if (booting.has(node.uid))
    return {
      reason: 'OtherRunActive',
      message: 'the node has just joined and is being patched on boot',
      until: undefined,
    };
  if (held.has(node.uid))
    return { reason: 'ForeignMaintenance', message: 'a request holds the node out for maintenance', until: undefined };
  if (node.controlPlane && otherControlPlane)
    return {
      reason: 'ControlPlaneWaits',
      message: `control-plane node ${otherControlPlane.node} is under way in another run, and they go one at a time`,
      until: undefined,
    };
  return undefined;
}

function notReadyHold(node: NodeView): Hold | undefined {
  return node.ready
    ? undefined
    : { reason: 'NotReady', message: `the node is not Ready (${node.readyReason})`, until: undefined };
}

/** A ceiling of the deployment that no policy can exceed, and no row of requests either; `starting` nodes begin in this pass. */
function hourlyHold(input: SeatingInput, starting: number): Hold | undefined {
  const { nodesPerHour, now } = input;
  if (nodesPerHour === undefined) return undefined;
  const started = input.starts.filter((at) => at > now - hourMs).sort((a, b) => a - b);
  const count = started.length + starting;
  if (count < nodesPerHour) return undefined;
  return {
    reason: 'NoRoomInBudget',
    message: `${count} nodes were begun in the last hour and the deployment allows ${nodesPerHour}`,
    // There is room again once enough of them are an hour old.
    until: (started[count - nodesPerHour] ?? now) + hourMs,
  };
}

/** The first nodes go alone; then their soak must pass. */
function canaryHold(
  run: RunRecord,
  now: number,
): { readonly hold: Hold | undefined; readonly seats: number | undefined } {
  const { canary } = run.spec.policy.rollout;
  if (!canary) return { hold: undefined, seats: undefined };
  const done = Object.values(run.nodes).filter((record) => record.phase === 'Patched');
  const working = underWay(run);
  if (done.length >= canary.nodes) {
    const canaries = done
      .map((record) => record.endedAt ?? now)
      .sort((a, b) => a - b)
      .slice(0, canary.nodes);
    const until = (canaries.at(-1) ?? now) + canary.soakMs;
    if (now >= until) return { hold: undefined, seats: undefined };
    return {
      hold: {
        reason: 'Soaking',
        message: `the canary is done and must stay well for ${spellDuration(canary.soakMs)}`,
        until,
      },
      seats: undefined,
    };
  }
  if (done.length + working.length >= canary.nodes) {
    return {
      hold: {
        reason: 'Soaking',
        message: `the canary goes first (${done.length} of ${canary.nodes} done)`,
        until: undefined,
      },
      seats: undefined,
    };
  }
  return { hold: undefined, seats: canary.nodes - done.length };
}

/** No more nodes go with the canary than it has; nodes that are out for other reasons take seats of the budget, not of the canary. */
function canaryRoom(seats: number | undefined, going: number): Hold | undefined {
  if (seats === undefined || going < seats) return undefined;
  return { reason: 'Soaking', message: `the canary goes first (${going} under way)`, until: undefined };
}

/** The rest between one node's end and the next one's start; nodes that were not disturbed do not count. */
function soakHold(run: RunRecord, now: number): Hold | undefined {
  const { soakMs } = run.spec.policy.rollout;
  const ends = Object.values(run.nodes)
    .filter((record) => record.endedAt !== undefined && record.phase !== 'Skipped')
    .map((record) => record.endedAt ?? 0);
  if (soakMs === 0 || ends.length === 0) return undefined;
  const until = Math.max(...ends) + soakMs;
  return now >= until
    ? undefined
    : { reason: 'Soaking', message: `rests ${spellDuration(soakMs)} after the node before`, until };
}

interface ControlPlaneTurn {
  readonly rollout: RunRecord['spec']['policy']['rollout'];
  readonly working: readonly NodeRecord[];
  readonly started: number;
  readonly controlPlane: boolean;
  readonly workersWait: boolean;
  readonly controlPlanesWait: boolean;
}

function turnOfControlPlane(node: NodeView, turn: ControlPlaneTurn): Hold | undefined {
  const say = (message: string): Hold => ({ reason: 'ControlPlaneWaits', message, until: undefined });
  if (turn.controlPlane) return say('a control-plane node is under way, and it goes alone');
  if (node.controlPlane) {
    if (turn.rollout.controlPlane === 'last' && turn.workersWait) return say('control-plane nodes go last');
    if (turn.working.length + turn.started > 0)
      return say('a control-plane node goes alone; another node is under way');
  } else if (turn.rollout.controlPlane === 'first' && turn.controlPlanesWait)
    return say('control-plane nodes go first');
  return undefined;
}

/** A control-plane node goes only if another one stays, and only while all others are Ready: etcd must keep its quorum. */
export function loneControlPlane(node: NodeView, nodes: readonly NodeView[], allowSingle: boolean): Hold | undefined {
  if (!node.controlPlane) return undefined;
  const others = nodes.filter((other) => other.controlPlane && other.uid !== node.uid);
  if (others.length === 0) {
    return allowSingle
      ? undefined
      : { reason: 'SingleControlPlane', message: 'the node is the only control-plane node', until: undefined };
  }
  const down = others.find((other) => !other.ready || other.unschedulable);
  return (
    down && {
      reason: 'ClusterUnhealthy',
      message: `control-plane node ${down.name} is ${down.ready ? 'cordoned' : 'not Ready'}; no other one is touched`,
      until: undefined,
    }
  );
}

function whyOut(node: NodeView, held: ReadonlyMap<string, NodeRecord>): string {
  if (held.has(node.uid)) return 'held out by a request';
  if (!node.ready) return 'not Ready';
  return foreignMaintenance(node)?.message ?? 'quarantined';
}

function roomHold(
  taken: number,
  limit: number,
  busy: readonly string[],
  out: readonly NodeView[],
  held: ReadonlyMap<string, NodeRecord>,
): Hold | undefined {
  if (taken < limit) return undefined;
  const names = [...busy, ...out.map((node) => `${node.name} (${whyOut(node, held)})`)];
  return {
    reason: 'NoRoomInBudget',
    message: `${taken} of ${limit} allowed out: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' …' : ''}`,
    until: undefined,
  };
}

function zoneHold(
  record: NodeRecord,
  zone: string | undefined,
  topologyKey: string | undefined,
  busy: number,
): Hold | undefined {
  if (topologyKey === undefined || busy === 0 || zone === undefined || record.zone === zone) return undefined;
  return {
    reason: 'OtherZone',
    message: `nodes of ${topologyKey}=${zone || '(none)'} are under way; this one is in ${record.zone || '(none)'}`,
    until: undefined,
  };
}
