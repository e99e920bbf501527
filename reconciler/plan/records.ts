// Small questions about run and node records that several parts of the planner ask.
import type { NodeRecord, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { NodePhase } from '../model/node-phase.ts';
import { isUnderWay } from '../model/node-phase.ts';
import { zoneLabel } from '../model/names.ts';
import type { NodeView } from '../model/observed.ts';
import type { Reason } from '../model/reason.ts';
import { systemOf } from './lock.ts';

/** A run that patches one node which has just joined: beside the others, since it disturbs nothing. */
export function isBootRun(run: RunRecord): boolean {
  return run.triggers[0]?.kind === 'boot';
}

/** A run that holds nodes out for work by hand: beside the others, for as long as it takes, and counted in their budget. */
export function isMaintenance(run: RunRecord): boolean {
  return run.action === 'maintenance';
}

/** A run that goes on beside the main one, and that nobody waits for. */
export function isBeside(run: RunRecord): boolean {
  return isBootRun(run) || isMaintenance(run);
}

/** Records of nodes that are being taken out, or are out, for maintenance by hand, by the node's UID. */
export function heldNodes(runs: Readonly<Record<string, RunRecord>>): Map<string, NodeRecord> {
  const found = new Map<string, NodeRecord>();
  for (const run of Object.values(runs)) {
    if (!isMaintenance(run) || runEnded(run.state)) continue;
    for (const record of Object.values(run.nodes)) if (isUnderWay(record.phase)) found.set(record.uid, record);
  }
  return found;
}

/** Records of nodes that open boot runs are about, by the node's UID. No other run touches them, and they are no loss to anybody's budget. */
export function bootingNodes(runs: Readonly<Record<string, RunRecord>>): Map<string, NodeRecord> {
  const found = new Map<string, NodeRecord>();
  for (const run of Object.values(runs)) {
    if (!isBootRun(run) || runEnded(run.state)) continue;
    for (const record of Object.values(run.nodes)) found.set(record.uid, record);
  }
  return found;
}

/** A record for a node that comes into a run. */
export function newRecord(node: NodeView, topologyKey: string | undefined, now: number): NodeRecord {
  return {
    node: node.name,
    uid: node.uid,
    phase: 'Pending',
    reason: 'Due',
    message: 'waits for its turn',
    since: now,
    startedAt: undefined,
    endedAt: undefined,
    attempt: 1,
    scriptAttempt: 1,
    tries: 1,
    notBefore: undefined,
    cordoned: false,
    unsure: false,
    foreignCordon: false,
    system: systemOf(node),
    zone: node.labels[topologyKey ?? zoneLabel] ?? '',
    controlPlane: node.controlPlane,
    kernelBefore: node.kernel,
    bootIdBefore: '',
    heartbeatBefore: '',
    rebootAt: undefined,
    backSince: undefined,
    kernelAfter: '',
    download: undefined,
    patch: undefined,
    marked: false,
    drainTries: 0,
    outcome: undefined,
  };
}

/**
 * The same node, from the beginning; a cordon that is ours is remembered. The attempt goes on counting, so that the Jobs of the new
 * try have names of their own.
 */
export function freshRecord(record: NodeRecord, now: number): NodeRecord {
  return {
    ...record,
    phase: 'Pending',
    reason: 'Due',
    message: 'waits for its turn again',
    since: now,
    startedAt: undefined,
    endedAt: undefined,
    attempt: record.attempt + 1,
    scriptAttempt: record.scriptAttempt + 1,
    tries: 1,
    notBefore: undefined,
    unsure: false,
    foreignCordon: false,
    bootIdBefore: '',
    heartbeatBefore: '',
    rebootAt: undefined,
    backSince: undefined,
    download: undefined,
    young: undefined,
    patch: undefined,
    marked: false,
    volumes: false,
    ...(record.evacuated ? { evacuated: [] } : {}),
    hooksDone: [],
    outcome: undefined,
  };
}

/** The record in another phase: the clock of the phase begins anew. */
export function enter(
  record: NodeRecord,
  phase: NodePhase,
  now: number,
  message: string,
  reason: Reason = 'Working',
): NodeRecord {
  return { ...record, phase, reason, message, since: now, notBefore: undefined, tries: 1 };
}

/** The record with another reason in the same phase; the same record when nothing changed. */
export function waiting(record: NodeRecord, reason: Reason, message: string): NodeRecord {
  return record.reason === reason && record.message === message ? record : { ...record, reason, message };
}

/** The record at an end. */
export function atEnd(
  record: NodeRecord,
  phase: 'Patched' | 'Skipped' | 'Failed' | 'Quarantined',
  now: number,
  reason: Reason,
  message: string,
): NodeRecord {
  return { ...record, phase, reason, message, since: now, endedAt: now, notBefore: undefined, outcome: undefined };
}

/** How many nodes of the run failed. */
export function failures(run: RunRecord): number {
  return Object.values(run.nodes).filter((record) => record.phase === 'Failed' || record.phase === 'Quarantined')
    .length;
}

/** Records of nodes on which work is going on. */
export function underWay(run: RunRecord): NodeRecord[] {
  return Object.values(run.nodes).filter((record) => isUnderWay(record.phase));
}
