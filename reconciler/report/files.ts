// StatusDocument → files of the status branch.
import type { ApprovalRecord } from '../model/approval.ts';
import { runEnded } from '../model/ledger.ts';
import { apiVersion } from '../model/names.ts';
import type { FleetRollout } from '../model/rollout.ts';
import type { FleetRolloutStatus, RunStatus, StatusDocument } from '../model/status.ts';
import { clusterPage } from './cluster-page.ts';
import { complianceTable } from './compliance.ts';
import { fleetPage } from './fleet-page.ts';
import { fleetRollouts } from './rollout-status.ts';
import { fleetTimeline } from './timeline.ts';
import { type Plain, yamlText } from './yaml-text.ts';

/** Folder of one cluster on the status branch, with a slash at its end. */
export function clusterFolder(cluster: string): string {
  return `clusters/${cluster}/`;
}

/** Path of a run's archive. */
export function archivePath(cluster: string, run: string): string {
  return `${clusterFolder(cluster)}runs/${run}.yaml`;
}

/** Files of one cluster except its archive. `archived` names the runs that have a file there. */
export function clusterFiles(doc: StatusDocument, archived: ReadonlySet<string> = new Set()): Map<string, string> {
  const folder = clusterFolder(doc.cluster);
  return new Map([
    [`${folder}README.md`, clusterPage(doc, archived)],
    [`${folder}status.yaml`, statusYaml(doc)],
  ]);
}

/** `kind: ClusterStatus` (schemas/cluster-status.schema.json). */
export function statusYaml(doc: StatusDocument): string {
  const { cluster, ...status } = doc;
  return yamlText({ apiVersion, kind: 'ClusterStatus', metadata: { name: cluster }, status: toPlain(status) });
}

/**
 * `kind: PatchRunRecord`: one ended run with all its nodes (schemas/patch-run-record.schema.json), and the evidence of its approval word for word: its
 * digest is over exactly these values.
 */
export function archiveYaml(cluster: string, run: RunStatus, approval?: ApprovalRecord): string {
  return yamlText({
    apiVersion,
    kind: 'PatchRunRecord',
    metadata: { name: run.id, cluster },
    status: toPlain({ ...run, approval }),
  });
}

/** What the fleet's files say beside the clusters. */
export interface FleetFacts {
  /** Name of the fleet, from `oakum.yaml`. */
  readonly name: string;
  /** The config commit that the writer of the pages has; empty when it has none. */
  readonly commit: string;
  /** Clusters whose status could not be read. */
  readonly unread: readonly string[];
  /** The newest tip of the status branch that no Oakum wrote, and when its writer noticed; absent: none since it began. */
  readonly foreignWriter?: { readonly commit: string; readonly since: string } | undefined;
  /** Rollouts of that commit; absent: none. */
  readonly rollouts?: readonly FleetRollout[];
}

/** Files of the whole fleet; the order of the documents does not matter. */
export function fleetFiles(docs: readonly StatusDocument[], facts: FleetFacts): Map<string, string> {
  const sorted = [...docs].sort((a, b) => (a.cluster < b.cluster ? -1 : a.cluster > b.cluster ? 1 : 0));
  const rollouts = fleetRollouts(facts.rollouts ?? [], sorted);
  return new Map([
    ['README.md', fleetPage(sorted, { ...facts, rollouts })],
    ['fleet.yaml', fleetYaml(sorted, facts, rollouts)],
    ['compliance.csv', complianceTable(sorted)],
    ['fleet.svg', fleetTimeline(sorted)],
  ]);
}

/** `kind: FleetStatus` (schemas/fleet-status.schema.json). */
function fleetYaml(
  docs: readonly StatusDocument[],
  facts: FleetFacts,
  rollouts: readonly FleetRolloutStatus[],
): string {
  const clusters = docs.map((doc): Plain => {
    const ready = doc.conditions.find((one) => one.type === 'Ready');
    return {
      name: doc.cluster,
      observedCommit: doc.observedCommit,
      ready: ready?.status ?? 'False',
      reason: ready?.reason ?? 'NotYet',
      message: ready?.message ?? 'nothing is known yet',
      holds: doc.holds.map((hold) => hold.reason),
      counts: toPlain(doc.counts),
      run: doc.runs.find((run) => run.started !== undefined && !runEnded(run.state))?.id,
      next: doc.policy?.next[0],
      problems: doc.problems.length,
    };
  });
  const status = {
    observedCommit: facts.commit,
    foreignWriter: toPlain(facts.foreignWriter),
    clusters,
    ...(rollouts.length > 0 ? { rollouts: toPlain(rollouts) } : {}),
  };
  return yamlText({ apiVersion, kind: 'FleetStatus', metadata: { name: facts.name }, status });
}

/** A value of readonly objects, lists and scalars as the emitter takes it. */
export function toPlain(value: unknown): Plain {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null || value === undefined) return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (Array.isArray(value)) return value.map(toPlain);
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, field]): [string, Plain] => [key, toPlain(field)]));
  return undefined;
}
