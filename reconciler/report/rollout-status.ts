// Rollouts as people and peers are told of them: what one cluster says, and how far the whole fleet has come.
import type { LedgerDocument } from '../model/ledger.ts';
import {
  partOf,
  rolloutFacts,
  rolloutRunId,
  type FleetRollout,
  type Part,
  type PeerReading,
  type RolloutFact,
  type Wave,
} from '../model/rollout.ts';
import type { FleetRolloutStatus, RolloutStatus, StatusDocument } from '../model/status.ts';
import { clean } from './clean.ts';
import { factTime, moment } from './moment.ts';

/** What a cluster tells of its rollouts; undefined: it takes part in none. */
export function rolloutRows(ledger: LedgerDocument): RolloutStatus[] | undefined {
  const facts = Object.values(rolloutFacts(ledger));
  if (facts.length === 0) return undefined;
  return facts
    .sort((a, b) => (a.rollout < b.rollout ? -1 : 1))
    .map(({ rollout, joined, runs }) => ({
      name: rollout,
      joined: factTime(joined),
      runs: runs.map((run) => ({
        id: run.run,
        at: factTime(run.at),
        wave: run.wave,
        state: run.state,
        reason: run.reason,
        message: clean(run.message),
        since: factTime(run.since),
        started: moment(run.startedAt),
        ended: moment(run.endedAt),
        mendedBy: run.mendedBy,
      })),
    }));
}

/** The way back, for peers: the same facts, to the second. */
export function factsOf(rollouts: readonly RolloutStatus[]): Record<string, RolloutFact> {
  return Object.fromEntries(
    rollouts.map(({ name, joined, runs }): [string, RolloutFact] => [
      name,
      {
        rollout: name,
        joined: Date.parse(joined),
        runs: runs.map(({ id, at, since, started, ended, ...run }) => ({
          ...run,
          run: id,
          at: Date.parse(at),
          since: Date.parse(since),
          startedAt: started === undefined ? undefined : Date.parse(started),
          endedAt: ended === undefined ? undefined : Date.parse(ended),
        })),
      },
    ]),
  );
}

/** The newest run of each rollout, wave by wave, from what the clusters say of themselves. */
export function fleetRollouts(
  rollouts: readonly FleetRollout[],
  docs: readonly StatusDocument[],
): FleetRolloutStatus[] {
  const readings = new Map<string, PeerReading>(
    docs.map((doc) => [doc.cluster, { kind: 'read', facts: factsOf(doc.rollouts ?? []) }]),
  );
  return rollouts.map((rollout) => {
    const members = new Set(rollout.waves.flatMap(({ clusters }) => clusters));
    const starts = [...readings].flatMap(([cluster, reading]) =>
      members.has(cluster) && reading.kind === 'read'
        ? (reading.facts[rollout.name]?.runs.map(({ at }) => at) ?? [])
        : [],
    );
    const at = starts.length > 0 ? Math.max(...starts) : undefined;
    return {
      name: rollout.name,
      suspended: rollout.suspend,
      run: at === undefined ? undefined : rolloutRunId(rollout.name, at),
      waves: rollout.waves.map((wave) => waveRow(rollout, wave, at, readings)),
    };
  });
}

function waveRow(
  rollout: FleetRollout,
  wave: Wave,
  at: number | undefined,
  readings: ReadonlyMap<string, PeerReading>,
): FleetRolloutStatus['waves'][number] {
  const { name, clusters } = wave;
  if (at === undefined)
    return { name, state: 'NotStarted', clusters: clusters.length, done: 0, failed: 0, message: '' };
  const parts = clusters.map((cluster) => ({ cluster, part: partOf(rollout, at, cluster, readings.get(cluster)) }));
  const count = (kind: Part['kind']): number => parts.filter(({ part }) => part.kind === kind).length;
  const failed = count('failed');
  const rest = parts.filter(({ part }) => part.kind !== 'done');
  const first =
    rest.find(({ part }) => part.kind === 'failed') ?? rest.find(({ part }) => part.kind !== 'without') ?? rest[0];
  const begun = parts.some(
    ({ part }) => part.kind === 'done' || part.kind === 'failed' || (part.kind === 'open' && part.begun),
  );
  const open = count('open') + count('unknown');
  return {
    name,
    state: failed >= wave.maxFailures ? 'Failed' : open === 0 ? 'Done' : begun ? 'Running' : 'Waiting',
    clusters: clusters.length,
    done: count('done'),
    failed,
    message: first && first.part.kind !== 'done' ? clean(`${first.cluster}: ${first.part.message}`) : '',
  };
}
