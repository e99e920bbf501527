// One run of the ledger as people are told of it.
import type { NodeRecord, RunRecord, Trigger, VersionLock } from '../model/ledger.ts';
import { isEnd } from '../model/node-phase.ts';
import type { LockStatus, RunNodeStatus, RunStatus } from '../model/status.ts';
import { clean } from './clean.ts';
import { factTime, moment } from './moment.ts';

/** Longest list of packages of one node in an archive; a longer one is left out whole, because half a list reads like a whole one. */
const mostPackages = 500;

/** One run; with its nodes for the archive and for runs that have not ended. */
export function runStatus(run: RunRecord, withNodes: boolean): RunStatus {
  const records = Object.values(run.nodes);
  const count = (...phases: NodeRecord['phase'][]): number =>
    records.filter((record) => phases.includes(record.phase)).length;
  return {
    id: run.id,
    hash: run.hash,
    trigger: clean(run.triggers.map(tellTrigger).join(' and ')),
    action: run.action,
    state: run.state,
    reason: run.reason,
    message: clean(run.message),
    since: factTime(run.since),
    created: factTime(run.createdAt),
    started: moment(run.startedAt),
    ended: moment(run.endedAt),
    commit: run.commit,
    digest: run.digest,
    why: clean(run.spec.why),
    counts: {
      total: records.length,
      patched: count('Patched'),
      skipped: count('Skipped'),
      failed: count('Failed', 'Quarantined'),
      waiting: records.filter((record) => !isEnd(record.phase)).length,
    },
    ...(withNodes && run.locks ? { locks: lockRows(run.locks) } : {}),
    nodes: withNodes ? [...records].sort((a, b) => (a.node < b.node ? -1 : 1)).map(runNode) : [],
  };
}

function lockRows(locks: Readonly<Record<string, VersionLock>>): LockStatus[] {
  return Object.entries(locks)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([system, lock]) => ({
      system: clean(system, 300),
      node: lock.node,
      since: factTime(lock.at),
      packages: lock.packages.map((line) => clean(line, 401)),
      problem: lock.problem === undefined ? undefined : clean(lock.problem),
    }));
}

function runNode(record: NodeRecord): RunNodeStatus {
  const { patch, download } = record;
  const packages = patch ? patch.packages : [];
  return {
    node: record.node,
    phase: record.phase,
    reason: record.reason,
    message: clean(record.message),
    since: factTime(record.since),
    started: moment(record.startedAt),
    ended: moment(record.endedAt),
    applied: patch?.applied ?? 0,
    pending: patch ? patch.left : (download?.pending ?? 0),
    // Only a new boot id on a Ready node is a proof; that is when `backSince` is set.
    rebooted: record.rebootAt !== undefined && record.backSince !== undefined,
    kernelBefore: clean(record.kernelBefore, 200),
    kernelAfter: clean(record.kernelAfter, 200),
    packages:
      packages === undefined || packages.length > mostPackages
        ? undefined
        : packages.map((line) => clean(line, 200)).sort(),
  };
}

/** Why the run is there, for people. */
export function tellTrigger(trigger: Trigger): string {
  switch (trigger.kind) {
    case 'schedule':
      return `schedule at ${factTime(trigger.at)}`;
    case 'request':
      return `request ${trigger.name}`;
    case 'boot':
      return `boot of ${trigger.node}`;
    case 'sla':
      return 'age of pending updates';
    case 'rollout':
      return `rollout ${trigger.rollout} at ${factTime(trigger.at)}, wave ${trigger.wave}`;
  }
}
