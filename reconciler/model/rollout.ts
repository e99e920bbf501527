// Rollouts: a fleet is patched in waves of clusters. What a file in rollouts/ asks for, and what clusters tell each other of it.
import { stamp } from './instant.ts';
import type { LedgerDocument, RunRecord, RunState } from './ledger.ts';
import { runEnded } from './ledger.ts';
import type { PolicySchedule } from './policy.ts';
import type { Reason } from './reason.ts';
import { nextSlot } from './schedule.ts';

/** `rollouts/<rollout>.yaml`, complete, with the clusters that its waves take. */
export interface FleetRollout {
  readonly name: string;
  readonly file: string;
  readonly oid: string;
  /** No run of it begins while true. */
  readonly suspend: boolean;
  readonly schedule: PolicySchedule | undefined;
  /** Once at this time, beside the schedule. */
  readonly start: number | undefined;
  /** In the order in which they go; never empty. */
  readonly waves: readonly Wave[];
  /** People's go for one wave of one run, by commit. */
  readonly approved: readonly { readonly run: string; readonly wave: string }[];
  /** Clusters that one run goes on without. */
  readonly skip: readonly { readonly run: string; readonly cluster: string; readonly reason: string }[];
  /** Clusters whose labels cannot be read, because their `cluster.yaml` has problems: they may belong to any wave that chooses by labels. */
  readonly unclear: readonly string[];
}

/** Clusters that go together. */
export interface Wave {
  readonly name: string;
  /** Names of its clusters, sorted: the order in which they go when `concurrency` limits them. */
  readonly clusters: readonly string[];
  /** Rest after the last of its clusters has ended, before the next wave. */
  readonly soakMs: number;
  /** Nothing further begins when this many of its clusters have failed. */
  readonly maxFailures: number;
  /** How many of its clusters go at one time; undefined: all. */
  readonly concurrency: number | undefined;
  /** Begins only with the consent of people, given for this very run. */
  readonly approval: boolean;
}

/** A run of a rollout that nobody has ended waits no longer than this. */
export const longestRolloutMs = 30 * 86_400_000;
/** How late a start may be noticed when the rollout has no schedule that says so. */
export const startingDeadlineMs = 12 * 3_600_000;
/** Runs of one rollout of which a cluster tells its peers. */
const toldRuns = 3;

/** The name of one run of a rollout: the same in every cluster. */
export function rolloutRunId(rollout: string, at: number): string {
  return `${stamp(at)}-${rollout}`;
}

/** The wave that a cluster goes with; -1: none. */
export function waveOf(rollout: FleetRollout, cluster: string): number {
  return rollout.waves.findIndex((wave) => wave.clusters.includes(cluster));
}

/** A rollout with a schedule that takes the cluster along; its policy's own schedule does not count then: a cluster follows one calendar. */
export function rolloutWithSchedule(
  desired: { readonly rollouts?: readonly FleetRollout[] } | undefined,
): FleetRollout | undefined {
  return desired?.rollouts?.find(({ schedule }) => schedule !== undefined);
}

/** When the next start is; undefined: none is in sight. */
export function nextStart(rollout: FleetRollout, after: number): number | undefined {
  const times = [rollout.schedule && nextSlot(rollout.schedule.schedule, after), rollout.start].filter(
    (at): at is number => at !== undefined && at > after,
  );
  return times.length > 0 ? Math.min(...times) : undefined;
}

/** What one cluster tells of one rollout. Plain facts that stay true: a peer that reads them late can only wait longer. */
export interface RolloutFact {
  readonly rollout: string;
  /** Slots up to this instant were before the cluster's time: it took no part in them. */
  readonly joined: number;
  /** Newest first. */
  readonly runs: readonly RolloutRunFact[];
}

/** How one cluster fared in one run of a rollout. */
export interface RolloutRunFact {
  /** The slot: what the run is told apart by. */
  readonly at: number;
  readonly run: string;
  readonly wave: string;
  readonly state: RunState;
  readonly reason: Reason;
  readonly message: string;
  readonly since: number;
  readonly startedAt: number | undefined;
  /** When the state became final, or when it was mended. */
  readonly endedAt: number | undefined;
  /** The later run over the whole cluster that ended well after this one had failed. */
  readonly mendedBy: string | undefined;
}

/** What a cluster's own ledger says of the rollouts that it takes part in, by name. */
export function rolloutFacts(ledger: LedgerDocument | undefined): Readonly<Record<string, RolloutFact>> {
  const facts: Record<string, RolloutFact> = {};
  for (const [rollout, { joined }] of Object.entries(ledger?.rollouts ?? {})) {
    const runs = Object.values(ledger?.runs ?? {})
      .flatMap((run) => {
        const [trigger] = run.triggers;
        return trigger?.kind === 'rollout' && trigger.rollout === rollout ? [{ run, trigger }] : [];
      })
      .sort((a, b) => b.run.createdAt - a.run.createdAt || b.trigger.at - a.trigger.at)
      .slice(0, toldRuns)
      .map(({ run, trigger }): RolloutRunFact => {
        const mend = mended(run, ledger?.runs ?? {});
        const { id, state, reason, message, since, startedAt, endedAt } = run;
        return {
          at: trigger.at,
          run: id,
          wave: trigger.wave,
          state,
          reason,
          message,
          since,
          startedAt,
          endedAt: mend?.endedAt ?? endedAt,
          mendedBy: mend?.id,
        };
      });
    facts[rollout] = { rollout, joined, runs };
  }
  return facts;
}

/** What peers wait for, and nothing else of what a cluster tells: another text means that one of its runs has got on. */
export function rolloutStates(ledger: LedgerDocument | undefined): string {
  return Object.values(rolloutFacts(ledger))
    .flatMap(({ rollout, joined, runs }) => [
      `${rollout} ${joined}`,
      ...runs.map(({ run, state, endedAt }) => `${run} ${state} ${endedAt ?? ''}`),
    ])
    .join('\n');
}

/** A run that ended badly is mended by a later one that was about the same: every node of the policy. */
function mended(run: RunRecord, runs: Readonly<Record<string, RunRecord>>): RunRecord | undefined {
  if (!runEnded(run.state) || endedWell(run.state)) return undefined;
  return Object.values(runs)
    .filter(
      (other) =>
        other.action === 'patch' &&
        ['request', 'sla', 'rollout'].includes(other.triggers[0]?.kind ?? '') &&
        other.spec.onlyNodes.length === 0 &&
        other.spec.onlySelector === undefined &&
        endedWell(other.state) &&
        (other.startedAt ?? 0) >= (run.endedAt ?? Number.POSITIVE_INFINITY),
    )
    .sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0))[0];
}

/** Everything that was to be done is done. */
export function endedWell(state: RunState): boolean {
  return state === 'Succeeded' || state === 'NothingToDo';
}

/** What is known of a peer: what it tells, or why nothing is known. */
export type PeerReading =
  | { readonly kind: 'read'; readonly facts: Readonly<Record<string, RolloutFact>> }
  | { readonly kind: 'unread'; readonly message: string };

/** Peers by the name of their cluster; one that is not here was not asked. */
export type PeerReadings = ReadonlyMap<string, PeerReading>;

/** What one cluster's part in one run amounts to, for those who wait for it. */
export type Part =
  | { readonly kind: 'done'; readonly endedAt: number }
  | { readonly kind: 'failed'; readonly endedAt: number; readonly message: string }
  | { readonly kind: 'open'; readonly message: string; readonly begun: boolean }
  /** It was not there when the run was due, or a person said to go on without it. */
  | { readonly kind: 'without'; readonly skipped: boolean; readonly message: string }
  | { readonly kind: 'unknown'; readonly message: string };

/** The part of a cluster in the run of `rollout` that was due at `at`. */
export function partOf(rollout: FleetRollout, at: number, cluster: string, reading: PeerReading | undefined): Part {
  const id = rolloutRunId(rollout.name, at);
  const left = rollout.skip.find((one) => one.run === id && one.cluster === cluster);
  if (left) return { kind: 'without', skipped: true, message: left.reason || 'skipped' };
  if (reading?.kind !== 'read') return { kind: 'unknown', message: reading?.message ?? 'nobody has looked yet' };
  const fact = reading.facts[rollout.name];
  if (!fact) return { kind: 'unknown', message: `its status does not tell of rollout ${rollout.name}` };
  const run = fact.runs.find((one) => one.at === at);
  if (!run) {
    if (at <= fact.joined)
      return { kind: 'without', skipped: false, message: 'it joined the rollout after this run was due' };
    return { kind: 'unknown', message: `its status does not tell of run ${id}` };
  }
  const told = `${run.state}${run.reason === run.state ? '' : `, ${run.reason}`}: ${run.message}`;
  if (!runEnded(run.state)) return { kind: 'open', message: told, begun: run.startedAt !== undefined };
  const endedAt = run.endedAt ?? run.since;
  if (endedWell(run.state) || run.mendedBy !== undefined) return { kind: 'done', endedAt };
  return { kind: 'failed', endedAt, message: told };
}
