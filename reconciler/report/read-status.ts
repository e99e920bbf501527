// status.yaml → StatusDocument: the way back, for `oakum status`, `oakum why` and the fleet's pages.
import { parse } from 'yaml';
import type { RunState } from '../model/ledger.ts';
import { nodePhases, type NodePhase } from '../model/node-phase.ts';
import { isReason, type Reason } from '../model/reason.ts';
import type {
  Condition,
  FleetRolloutStatus,
  NodeStatus,
  RequestStatus,
  RolloutStatus,
  LockStatus,
  RunNodeStatus,
  RunStatus,
  StatusDocument,
} from '../model/status.ts';

/** The document is not one that this version can read. */
class Unreadable extends Error {}

type Fields = Readonly<Record<string, unknown>>;

const runStates: readonly string[] = [
  'Proposed',
  'AwaitingApproval',
  'Scheduled',
  'Running',
  'Paused',
  'Succeeded',
  'Failed',
  'Aborted',
  'NotApproved',
  'Missed',
  'Expired',
  'NothingToDo',
  'Superseded',
] satisfies readonly RunState[];

type WaveState = FleetRolloutStatus['waves'][number]['state'];

const waveStates: readonly WaveState[] = ['NotStarted', 'Waiting', 'Running', 'Done', 'Failed'];

/** The document, or undefined when the text is not a ClusterStatus that this version understands: then nothing is guessed. */
export function readStatusDocument(text: string): StatusDocument | undefined {
  try {
    const whole = fields(parse(text));
    if (whole['kind'] !== 'ClusterStatus') return undefined;
    const status = fields(whole['status']);
    return {
      cluster: string(fields(whole['metadata']), 'name'),
      observedCommit: string(status, 'observedCommit'),
      conditions: list(status, 'conditions').map(readCondition),
      policy: status['policy'] === undefined ? undefined : readPolicy(fields(status['policy'])),
      holds: list(status, 'holds').map((hold) => ({
        reason: reason(hold),
        message: string(hold, 'message'),
        until: optional(hold, 'until'),
      })),
      counts: readCounts(fields(status['counts'])),
      runs: list(status, 'runs').map(readRun),
      requests: list(status, 'requests').map(readRequest),
      ...(status['rollouts'] === undefined ? {} : { rollouts: list(status, 'rollouts').map(readRollout) }),
      nodes: list(status, 'nodes').map(readNode),
      problems: list(status, 'problems').map((one) => ({
        file: string(one, 'file'),
        line: number(one, 'line'),
        column: number(one, 'column'),
        path: string(one, 'path'),
        message: string(one, 'message'),
        rule: string(one, 'rule'),
      })),
    };
  } catch {
    // Broken YAML, a missing field, or a word of a newer version: all mean "not readable", and the caller says so.
    return undefined;
  }
}

/**
 * Rollouts and their waves in the text of `fleet.yaml`; undefined when it is not a FleetStatus that this version understands. A fleet
 * without rollouts has none.
 */
export function readFleetRollouts(text: string): FleetRolloutStatus[] | undefined {
  try {
    const whole = fields(parse(text));
    if (whole['kind'] !== 'FleetStatus') return undefined;
    const status = fields(whole['status']);
    if (status['rollouts'] === undefined) return [];
    return list(status, 'rollouts').map((rollout) => ({
      name: string(rollout, 'name'),
      suspended: rollout['suspended'] === true,
      run: optional(rollout, 'run'),
      waves: list(rollout, 'waves').map((wave) => ({
        name: string(wave, 'name'),
        state: waveState(wave),
        clusters: number(wave, 'clusters'),
        done: number(wave, 'done'),
        failed: number(wave, 'failed'),
        message: string(wave, 'message'),
      })),
    }));
  } catch {
    return undefined;
  }
}

function waveState(wave: Fields): WaveState {
  const state = waveStates.find((one) => one === wave['state']);
  if (state === undefined) throw new Unreadable('state');
  return state;
}

function readCondition(one: Fields): Condition {
  const type = string(one, 'type');
  if (type !== 'Ready' && type !== 'Progressing' && type !== 'Waiting') throw new Unreadable(type);
  return {
    type,
    status: string(one, 'status') === 'True' ? 'True' : 'False',
    reason: reason(one),
    message: string(one, 'message'),
    since: string(one, 'since'),
  };
}

function readPolicy(policy: Fields): StatusDocument['policy'] {
  return {
    name: string(policy, 'name'),
    schedule: string(policy, 'schedule'),
    windows: strings(policy, 'windows'),
    next: strings(policy, 'next'),
    ...(policy['approval'] === undefined ? {} : { approval: string(policy, 'approval') }),
  };
}

function readCounts(counts: Fields): StatusDocument['counts'] {
  return {
    nodes: number(counts, 'nodes'),
    upToDate: number(counts, 'upToDate'),
    pending: number(counts, 'pending'),
    underWay: number(counts, 'underWay'),
    failed: number(counts, 'failed'),
    excluded: number(counts, 'excluded'),
  };
}

function readRun(run: Fields): RunStatus {
  const counts = fields(run['counts']);
  const action = string(run, 'action');
  if (action !== 'patch' && action !== 'reboot' && action !== 'maintenance') throw new Unreadable(action);
  return {
    id: string(run, 'id'),
    hash: string(run, 'hash'),
    trigger: string(run, 'trigger'),
    action,
    state: runState(run),
    reason: reason(run),
    message: string(run, 'message'),
    since: string(run, 'since'),
    created: string(run, 'created'),
    started: optional(run, 'started'),
    ended: optional(run, 'ended'),
    commit: string(run, 'commit'),
    digest: string(run, 'digest'),
    why: optional(run, 'why') ?? '',
    counts: {
      total: number(counts, 'total'),
      patched: number(counts, 'patched'),
      skipped: number(counts, 'skipped'),
      failed: number(counts, 'failed'),
      waiting: number(counts, 'waiting'),
    },
    ...(run['locks'] === undefined ? {} : { locks: list(run, 'locks').map(readLock) }),
    nodes: list(run, 'nodes').map(readRunNode),
  };
}

function readLock(lock: Fields): LockStatus {
  return {
    system: string(lock, 'system'),
    node: string(lock, 'node'),
    since: string(lock, 'since'),
    packages: strings(lock, 'packages'),
    problem: optional(lock, 'problem'),
  };
}

function readRunNode(node: Fields): RunNodeStatus {
  return {
    node: string(node, 'node'),
    phase: phase(node),
    reason: reason(node),
    message: string(node, 'message'),
    since: string(node, 'since'),
    started: optional(node, 'started'),
    ended: optional(node, 'ended'),
    applied: number(node, 'applied'),
    pending: number(node, 'pending'),
    rebooted: node['rebooted'] === true,
    kernelBefore: optional(node, 'kernelBefore') ?? '',
    kernelAfter: optional(node, 'kernelAfter') ?? '',
    packages: node['packages'] === undefined ? undefined : strings(node, 'packages'),
  };
}

function readRequest(request: Fields): RequestStatus {
  return {
    name: string(request, 'name'),
    state: string(request, 'state'),
    reason: reason(request),
    message: string(request, 'message'),
    since: string(request, 'since'),
    run: optional(request, 'run'),
  };
}

function readRollout(rollout: Fields): RolloutStatus {
  return {
    name: string(rollout, 'name'),
    joined: time(rollout, 'joined'),
    runs: list(rollout, 'runs').map((run) => ({
      id: string(run, 'id'),
      at: time(run, 'at'),
      wave: string(run, 'wave'),
      state: runState(run),
      reason: reason(run),
      message: string(run, 'message'),
      since: time(run, 'since'),
      started: run['started'] === undefined ? undefined : time(run, 'started'),
      ended: run['ended'] === undefined ? undefined : time(run, 'ended'),
      mendedBy: optional(run, 'mendedBy'),
    })),
  };
}

function readNode(node: Fields): NodeStatus {
  return {
    name: string(node, 'name'),
    phase: node['phase'] === 'Idle' ? 'Idle' : phase(node),
    reason: reason(node),
    message: string(node, 'message'),
    since: optional(node, 'since'),
    next: optional(node, 'next') ?? '',
    at: optional(node, 'at'),
    run: optional(node, 'run'),
    lastPatched: optional(node, 'lastPatched'),
    patchedVersion: optional(node, 'patchedVersion') ?? '',
    osImage: optional(node, 'osImage') ?? '',
    kernel: optional(node, 'kernel') ?? '',
    pendingUpdates: node['pendingUpdates'] === undefined ? undefined : number(node, 'pendingUpdates'),
    pendingSince: optional(node, 'pendingSince'),
    overdueSince: optional(node, 'overdueSince'),
    patchedOutside: optional(node, 'patchedOutside'),
    scanError: optional(node, 'scanError'),
    rebootRequired: node['rebootRequired'] === true,
    lastError: optional(node, 'lastError') ?? '',
  };
}

function fields(value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Unreadable('not a map');
  return Object.fromEntries(Object.entries(value));
}

function list(from: Fields, name: string): Fields[] {
  const value = from[name];
  if (!Array.isArray(value)) throw new Unreadable(name);
  return value.map(fields);
}

function strings(from: Fields, name: string): string[] {
  const value = from[name];
  if (!Array.isArray(value)) throw new Unreadable(name);
  return value.map(String);
}

function string(from: Fields, name: string): string {
  const value = from[name];
  if (typeof value !== 'string') throw new Unreadable(name);
  return value;
}

/** A time that peers count with: it must be one. */
function time(from: Fields, name: string): string {
  const value = string(from, name);
  if (Number.isNaN(Date.parse(value))) throw new Unreadable(name);
  return value;
}

function optional(from: Fields, name: string): string | undefined {
  return from[name] === undefined ? undefined : string(from, name);
}

function number(from: Fields, name: string): number {
  const value = from[name];
  if (typeof value !== 'number') throw new Unreadable(name);
  return value;
}

function reason(from: Fields): Reason {
  const word = string(from, 'reason');
  if (!isReason(word)) throw new Unreadable(word);
  return word;
}

function phase(from: Fields): NodePhase {
  const word = string(from, 'phase');
  const known = nodePhases.find((one) => one === word);
  if (known === undefined) throw new Unreadable(word);
  return known;
}

function runState(from: Fields): RunState {
  const word = string(from, 'state');
  if (!isRunState(word)) throw new Unreadable(word);
  return word;
}

function isRunState(word: string): word is RunState {
  return runStates.includes(word);
}
