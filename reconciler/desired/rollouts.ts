// All rollouts together: which clusters their waves take, what only shows when all files are known, and whom a fault holds.
import type { ClusterSettings } from '../model/desired.ts';
import type { Problem } from '../model/failure.ts';
import type { FleetRollout, Wave } from '../model/rollout.ts';
import { matches } from '../model/selector.ts';
import { compare, sortProblems } from './cluster.ts';
import { didYouMean } from './nearest.ts';
import { problemAt } from './read-file.ts';
import type { InputFile, ReadFile } from './read-file.ts';
import type { RolloutFile } from './rollout.ts';

/** A cluster as rollouts see it: by its `cluster.yaml` only, because an agent reads no more of its peers. */
export interface Member {
  readonly name: string;
  readonly file?: InputFile | undefined;
  /** Undefined: there is no `cluster.yaml`. `unclear`: it has problems, so its labels are not known. */
  readonly says: ClusterSettings | 'unclear' | undefined;
}

/** What all files of rollouts/ say. */
export interface RolloutPart {
  readonly rollouts: readonly FleetRollout[];
  /** Problems of files in rollouts/, and of rollouts that do not fit the clusters. */
  readonly problems: readonly Problem[];
  /** Problems by the cluster that they hold. */
  readonly held: ReadonlyMap<string, readonly Problem[]>;
  /** Rollouts by the cluster that they take along. */
  readonly taken: ReadonlyMap<string, readonly FleetRollout[]>;
  /** Object ids of the files in rollouts/ and of every `cluster.yaml`, by path; undefined: there are no rollouts. */
  readonly files?: Readonly<Record<string, string>>;
}

/** Nothing is in rollouts/. */
export const noRollouts: RolloutPart = { rollouts: [], problems: [], held: new Map(), taken: new Map() };

/**
 * Puts rollouts and clusters together. A rollout with a problem holds the clusters that it takes along; when it cannot be read at all, every
 * cluster that could be in a wave: none of them may fall back to a schedule of its own because of a typing error.
 */
export function resolveRollouts(reads: readonly ReadFile[], members: readonly Member[]): RolloutPart {
  if (reads.length === 0) return noRollouts;
  const sorted = [...members].sort((a, b) => compare(a.name, b.name));
  const listed = sorted.filter(({ says }) => says !== undefined);
  const unclear = sorted.filter(({ says }) => says === 'unclear').map(({ name }) => name);
  const held = new Map<string, Problem[]>();
  const taken = new Map<string, FleetRollout[]>();
  const rollouts: FleetRollout[] = [];
  const told: Problem[] = [];
  const scheduled = new Map<string, string>();
  const hold = (clusters: readonly string[], problems: readonly Problem[]): void => {
    told.push(...problems);
    for (const cluster of clusters) held.set(cluster, [...(held.get(cluster) ?? []), ...problems]);
  };
  for (const { file, problems, says } of [...reads].sort((a, b) => compare(a.file.path, b.file.path))) {
    if (says.kind !== 'rollout') {
      if (problems.length > 0)
        hold(
          listed.map(({ name }) => name),
          problems,
        );
      continue;
    }
    const { waves, found } = chooseClusters(file, says.rollout, listed);
    const clusters = [...new Set(waves.flatMap((wave) => wave.clusters))].sort(compare);
    if (says.rollout.schedule) {
      for (const cluster of clusters) {
        const other = scheduled.get(cluster);
        if (other === undefined) scheduled.set(cluster, says.rollout.name);
        else
          found.push(
            problemAt(
              file,
              ['spec', 'schedule'],
              `cluster ${cluster} is in rollout ${other}, which has a schedule too; a cluster follows one schedule`,
              'wave',
            ),
          );
      }
    }
    if (found.length > 0) {
      hold(clusters, found);
      continue;
    }
    const byLabels = says.rollout.waves.some(({ selector }) => selector !== undefined);
    const rollout: FleetRollout = { ...says.rollout, waves, unclear: byLabels ? unclear : [] };
    rollouts.push(rollout);
    for (const cluster of clusters) taken.set(cluster, [...(taken.get(cluster) ?? []), rollout]);
  }
  const files = [...reads.map(({ file }) => file), ...members.flatMap(({ file }) => (file ? [file] : []))];
  return {
    rollouts,
    problems: sortProblems(told),
    held,
    taken,
    files: Object.fromEntries(files.map(({ path, oid }) => [path, oid])),
  };
}

function chooseClusters(
  file: InputFile,
  rollout: RolloutFile,
  members: readonly Member[],
): { readonly waves: Wave[]; readonly found: Problem[] } {
  const found: Problem[] = [];
  const waveBefore = new Map<string, string>();
  const waves = rollout.waves.map(({ selector, names, ...wave }, index): Wave => {
    const path = ['spec', 'waves', index];
    const clusters = names === undefined ? matching(selector, members) : [...names].sort(compare);
    for (const [place, name] of (names ?? []).entries()) {
      if (members.some((member) => member.name === name)) continue;
      const near = didYouMean(
        name,
        members.map((member) => member.name),
      );
      found.push(
        problemAt(
          file,
          [...path, 'clusters', place],
          `there is no clusters/${name}/cluster.yaml${near}; a cluster needs one to be in a wave`,
          'wave',
        ),
      );
    }
    if (clusters.length === 0 && selector)
      found.push(
        problemAt(
          file,
          [...path, 'selector'],
          `no cluster has these labels (in its cluster.yaml), so the waves after "${wave.name}" would go without it; correct the selector or remove the wave`,
          'wave',
        ),
      );
    for (const cluster of clusters) {
      const other = waveBefore.get(cluster);
      if (other === undefined) waveBefore.set(cluster, wave.name);
      else
        found.push(
          problemAt(
            file,
            [...path, names ? 'clusters' : 'selector'],
            `cluster ${cluster} is in wave "${other}" already; a cluster goes with one wave`,
            'wave',
          ),
        );
    }
    return { ...wave, clusters };
  });
  for (const [index, { cluster }] of rollout.skip.entries()) {
    if (waveBefore.has(cluster)) continue;
    const near = didYouMean(cluster, [...waveBefore.keys()]);
    found.push(
      problemAt(file, ['spec', 'skip', index, 'cluster'], `no wave has a cluster "${cluster}"${near}`, 'wave'),
    );
  }
  return { waves, found };
}

function matching(selector: RolloutFile['waves'][number]['selector'], members: readonly Member[]): string[] {
  if (selector === undefined) return [];
  return members.flatMap(({ name, says }) =>
    typeof says === 'object' && Object.keys(says.labels).length > 0 && matches(selector, says.labels) ? [name] : [],
  );
}
