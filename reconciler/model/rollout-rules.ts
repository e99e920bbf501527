// What a rollout demands before one cluster's turn comes: what a later commit may tighten by itself, and what an approval is bound to.
import type { ClusterDesired } from './desired.ts';
import { waveOf, type FleetRollout } from './rollout.ts';

/** One rollout's demands on one cluster. Plain JSON. */
export interface RolloutRules {
  /** Path of its file. */
  readonly file: string;
  /** Object ids of that file, and of the `cluster.yaml` of everybody who is waited for (labels choose who is in a wave), by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly suspended: boolean;
  /** Its calendar counts in place of the policy's own. */
  readonly scheduled: boolean;
  /** The waves that must have ended, in their order. */
  readonly before: readonly WaveDemand[];
  /** The other clusters of its own wave, sorted. */
  readonly beside: readonly string[];
  readonly maxFailures: number;
  /** Absent: all at one time. */
  readonly concurrency?: number;
  readonly approval: boolean;
  /** Clusters that may be in a wave before, because their labels cannot be read. */
  readonly unclear: readonly string[];
  /** Runs that people let begin in its wave. */
  readonly approved: readonly string[];
  /** `<run> <cluster>` of everybody whom it need not wait for. Without itself: that only stops. */
  readonly skip: readonly string[];
}

/** A wave that is waited for. */
export interface WaveDemand {
  readonly name: string;
  readonly clusters: readonly string[];
  readonly soakMs: number;
  readonly maxFailures: number;
}

/** The demands of all rollouts that take the cluster along, by the name of the rollout; undefined: none does. */
export function rolloutRules(desired: ClusterDesired): Readonly<Record<string, RolloutRules>> | undefined {
  const found = (desired.rollouts ?? []).flatMap((rollout) => {
    const rules = rulesOf(rollout, desired);
    return rules ? [[rollout.name, rules] as const] : [];
  });
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}

function rulesOf(rollout: FleetRollout, desired: ClusterDesired): RolloutRules | undefined {
  const index = waveOf(rollout, desired.name);
  const own = rollout.waves[index];
  if (!own) return undefined;
  const before = rollout.waves
    .slice(0, index)
    .map(({ name, clusters, soakMs, maxFailures }): WaveDemand => ({ name, clusters, soakMs, maxFailures }));
  const beside = own.clusters.filter((name) => name !== desired.name);
  const unclear = before.length > 0 ? rollout.unclear : [];
  const waitedFor = [...before.flatMap(({ clusters }) => clusters), ...beside, ...unclear];
  const members = waitedFor.flatMap((name) => {
    const path = clusterFile(name);
    const oid = desired.fleetFiles?.[path];
    return oid === undefined ? [] : [[path, oid] as const];
  });
  return {
    file: rollout.file,
    files: { ...Object.fromEntries(members), [rollout.file]: rollout.oid },
    suspended: rollout.suspend,
    scheduled: rollout.schedule !== undefined,
    before,
    beside,
    maxFailures: own.maxFailures,
    ...(own.concurrency === undefined ? {} : { concurrency: own.concurrency }),
    approval: own.approval,
    unclear,
    approved: rollout.approved.flatMap(({ run, wave }) => (wave === own.name ? [run] : [])),
    skip: rollout.skip.flatMap(({ run, cluster }) => (waitedFor.includes(cluster) ? [`${run} ${cluster}`] : [])),
  };
}

/** Where the labels of a cluster are written. */
function clusterFile(name: string): string {
  return `clusters/${name}/cluster.yaml`;
}

/**
 * What reviewers of a run saw of the rollouts: the cluster's wave and what goes before it, without the names of clusters, the people's words and everything
 * that later waves are about; so that an edit of those does not void an approval. Undefined: no rollout takes the cluster along.
 */
export function reviewedRollouts(desired: ClusterDesired): unknown {
  const rules = rolloutRules(desired);
  return (
    rules &&
    Object.entries(rules).map(([name, { before, maxFailures, concurrency = 0, approval, scheduled }]) => [
      name,
      before.map((wave) => [wave.name, wave.soakMs, wave.maxFailures]),
      [maxFailures, concurrency, approval, scheduled],
    ])
  );
}
