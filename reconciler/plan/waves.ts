// Waves: whether a cluster's turn in a rollout has come, from its own ledger and from what its peers tell. Peers can only delay.
import { spellDuration } from '../model/duration.ts';
import { iso } from '../model/instant.ts';
import type { LedgerDocument, RunRecord } from '../model/ledger.ts';
import { runEnded } from '../model/ledger.ts';
import type { Hold } from '../model/reason.ts';
import { partOf, rolloutRunId, waveOf, type FleetRollout, type Part, type Wave } from '../model/rollout.ts';
import { needsReview } from './approval.ts';
import type { PlanInput } from './input.ts';

/** What peers tell is looked at again this often while something waits for it; a hub, which knows when one of them has got on, does so at once. */
const peersMs = 120_000;

/** Why a run of a rollout does not begin yet. */
export interface WaveHold extends Hold {
  /** Nobody before it is waited for any more: time or people decide now, so consent may be asked for. */
  readonly ready: boolean;
}

/** Runs of rollouts that wait for their wave, by id. They keep no other run waiting. */
export function waveHolds(ledger: LedgerDocument, input: PlanInput): Map<string, WaveHold> {
  const holds = new Map<string, WaveHold>();
  for (const run of Object.values(ledger.runs)) {
    const hold = waveHold(run, ledger, input);
    if (hold) holds.set(run.id, hold);
  }
  return holds;
}

/** When a wave's turn may have come: by time, or because peers have got on; undefined: nothing waits for that. */
export function nextTurn(ledger: LedgerDocument, input: PlanInput): number | undefined {
  const times = [...waveHolds(ledger, input)].map(([id, { ready, until }]) => {
    if (ready) return until ?? Number.POSITIVE_INFINITY;
    // Of a run that has only just come to be, nobody has asked the peers.
    return ledger.runs[id]?.createdAt === input.now ? input.now + 1 : input.now + peersMs;
  });
  const at = Math.min(Number.POSITIVE_INFINITY, ...times);
  return Number.isFinite(at) ? at : undefined;
}

/** Clusters whose part must be known for this pass. */
export function wantedPeers(ledger: LedgerDocument | undefined, desired: PlanInput['desired']): string[] {
  const wanted = new Set<string>();
  for (const run of Object.values(ledger?.runs ?? {})) {
    const place = desired && placeOf(run, desired);
    if (!place) continue;
    for (const wave of place.before) for (const cluster of wave.clusters) wanted.add(cluster);
    for (const cluster of place.own.clusters) wanted.add(cluster);
  }
  wanted.delete(desired?.name ?? '');
  return [...wanted].sort();
}

interface Place {
  readonly rollout: FleetRollout;
  readonly at: number;
  /** The waves before its own, in their order. */
  readonly before: readonly Wave[];
  readonly own: Wave;
}

/** Where a run that has not begun stands in its rollout; undefined for other runs, and when the rollout does not take the cluster any more. */
function placeOf(run: RunRecord, desired: NonNullable<PlanInput['desired']>): Place | undefined {
  const [trigger] = run.triggers;
  if (trigger?.kind !== 'rollout' || run.startedAt !== undefined || runEnded(run.state)) return undefined;
  const rollout = desired.rollouts?.find(({ name }) => name === trigger.rollout);
  const index = rollout ? waveOf(rollout, desired.name) : -1;
  const own = rollout?.waves[index];
  return rollout && own && { rollout, at: trigger.at, before: rollout.waves.slice(0, index), own };
}

/** Why this run's turn has not come; undefined: it has, or the run is of no rollout. */
export function waveHold(run: RunRecord, ledger: LedgerDocument, input: PlanInput): WaveHold | undefined {
  const [trigger] = run.triggers;
  if (trigger?.kind !== 'rollout' || run.startedAt !== undefined || runEnded(run.state)) return undefined;
  const place = input.desired && placeOf(run, input.desired);
  // What is not known (no configuration, or a rollout that is gone for a moment) lets nothing begin.
  if (!place)
    return waiting('WaveUnknown', `rollouts/${trigger.rollout}.yaml cannot be read, or does not take this cluster`);
  const { rollout, at, before, own } = place;
  if (rollout.suspend) return waiting('Suspended', `${rollout.file} says suspend: true`);
  const held = beforeHold(place, input) ?? besideHold(place, input);
  if (held) return held;
  const id = rolloutRunId(rollout.name, at);
  if (own.approval && !needsReview(ledger, input)) {
    const go = rollout.approved.some((one) => one.run === id && one.wave === own.name);
    if (!go)
      return ready(
        'WaveNotApproved',
        `wave ${own.name} needs a go: add { run: ${id}, wave: ${own.name} } to spec.approved of ${rollout.file}`,
      );
  }
  const opensAt = soakedAt(before, place, input);
  if (input.now < opensAt.at)
    return ready(
      'WaveSoaking',
      `wave ${opensAt.wave} soaks for ${spellDuration(opensAt.soakMs)}, until ${iso(opensAt.at)}`,
      opensAt.at,
    );
  return undefined;
}

function waiting(reason: Hold['reason'], message: string): WaveHold {
  return { reason, message, until: undefined, ready: false };
}

function ready(reason: Hold['reason'], message: string, until?: number): WaveHold {
  return { reason, message, until, ready: true };
}

/** The waves before: the first that has failed, is not known, or has not ended. */
function beforeHold(place: Place, input: PlanInput): WaveHold | undefined {
  const { rollout, before, own } = place;
  if (before.length > 0 && rollout.unclear.length > 0)
    return waiting(
      'WaveUnknown',
      `clusters/${rollout.unclear[0] ?? ''}/cluster.yaml has problems, so it is not known which wave the cluster is in`,
    );
  for (const wave of before) {
    const parts = partsOf(wave.clusters, place, input);
    const failed = failure(wave, parts);
    if (failed) return failed;
    const unknown = parts.filter(({ part }) => part.kind === 'unknown');
    if (unknown.length > 0) return waiting('WaveUnknown', `wave ${wave.name}: ${tell(unknown)}`);
    const open = parts.filter(({ part }) => part.kind === 'open');
    if (open.length > 0) return waiting('WaveBefore', `wave ${own.name} waits for wave ${wave.name}: ${tell(open)}`);
    if (parts.every(({ part }) => part.kind === 'without' && !part.skipped))
      return waiting('WaveBefore', `no cluster of wave ${wave.name} took part in this run: ${tell(parts)}`);
  }
  return undefined;
}

/** Its own wave: clusters that have failed, and those whose turn is earlier when not all may go at one time. */
function besideHold(place: Place, input: PlanInput): WaveHold | undefined {
  const { own } = place;
  const others = own.clusters.filter((name) => name !== input.desired?.name);
  const parts = partsOf(others, place, input);
  const failed = failure(own, parts);
  if (failed) return failed;
  if (own.concurrency === undefined) return undefined;
  const earlier = parts.filter(
    ({ cluster, part }) => cluster < (input.desired?.name ?? '') && (part.kind === 'open' || part.kind === 'unknown'),
  );
  if (earlier.length < own.concurrency) return undefined;
  return waiting(
    earlier.some(({ part }) => part.kind === 'unknown') ? 'WaveUnknown' : 'WaveBefore',
    `wave ${own.name} goes ${own.concurrency} at a time: ${tell(earlier)}`,
  );
}

interface ClusterPart {
  readonly cluster: string;
  readonly part: Part;
}

function partsOf(clusters: readonly string[], { rollout, at }: Place, input: PlanInput): ClusterPart[] {
  return clusters.map((cluster) => ({ cluster, part: partOf(rollout, at, cluster, input.peers?.get(cluster)) }));
}

function failure(wave: Wave, parts: readonly ClusterPart[]): WaveHold | undefined {
  const failed = parts.filter(({ part }) => part.kind === 'failed');
  if (failed.length < wave.maxFailures) return undefined;
  return waiting(
    'WaveFailed',
    `${failed.length} of ${wave.clusters.length} clusters of wave ${wave.name} failed (maxFailures ${wave.maxFailures}): ${tell(failed)}`,
  );
}

/** The latest end of a soak among the waves before. */
function soakedAt(
  before: readonly Wave[],
  place: Place,
  input: PlanInput,
): { readonly at: number; readonly wave: string; readonly soakMs: number } {
  let latest = { at: 0, wave: '', soakMs: 0 };
  for (const wave of before) {
    const ends = partsOf(wave.clusters, place, input).map(({ part }) =>
      part.kind === 'done' || part.kind === 'failed' ? part.endedAt : 0,
    );
    const at = Math.max(0, ...ends) + wave.soakMs;
    if (at > latest.at) latest = { at, wave: wave.name, soakMs: wave.soakMs };
  }
  return latest;
}

/** The first clusters by name, each with where it is. */
function tell(parts: readonly ClusterPart[]): string {
  const told = parts.slice(0, 3).map(({ cluster, part }) => {
    switch (part.kind) {
      case 'done':
        return cluster;
      case 'failed':
      case 'open':
      case 'without':
      case 'unknown':
        return `${cluster} (${part.message})`;
    }
  });
  const more = parts.length - told.length;
  return `${told.join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}
