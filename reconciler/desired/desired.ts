// Git → Desired: the whole repository at one commit; costs what changed since the commit before.
import { canonical } from '../model/digest.ts';
import type { ClusterDesired, Desired, Fleet, Rewrite } from '../model/desired.ts';
import type { Problem } from '../model/failure.ts';
import { compare, readClusterFolder, sortProblems } from './cluster.ts';
import type { ClusterPart } from './cluster.ts';
import { defaultFleet } from './objects.ts';
import { ownerOf, readFile } from './read-file.ts';
import type { InputFile, ReadFile } from './read-file.ts';
import { noRollouts, resolveRollouts, type Member, type RolloutPart } from './rollouts.ts';
import { createJudges } from './schema.ts';
import type { Schemas } from './schema.ts';
import { pinnedTwice, twinRule } from './twins.ts';
import { resolveShared } from './shared-policies.ts';

/** The config repository at one commit, as the Git adapter hands it over. */
export interface DesireInput {
  readonly commit: string;
  /** Milliseconds since the epoch. */
  readonly committedAt: number;
  readonly files: ReadonlyMap<string, InputFile>;
  /** Paths added, changed or removed since the snapshot before; undefined means anything may have. */
  readonly changed: readonly string[] | undefined;
}

/** What the fleet's own files say to every cluster. */
interface FleetPart {
  readonly fleet: Fleet;
  readonly frozen: boolean;
  readonly problems: readonly Problem[];
  readonly inputs: ClusterDesired['inputs'];
  readonly rewrite: Rewrite | undefined;
}

/** Folders with stranger names get their problems told, but are no cluster: a name goes into paths, labels and pages. */
const tellableName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/**
 * Makes the function that reads commits. It remembers what it read: the same file (path and object id) is read once, and a cluster
 * none of whose files changed keeps its very result. Give it the snapshots in order; one with `changed` undefined may be any.
 */
export function createDesire(schemas: Schemas): (snapshot: DesireInput) => Desired {
  const judges = createJudges(schemas);
  const known = new Map<string, ReadFile>();
  const folders = new Map<string, Map<string, ReadFile>>();
  const shared = new Map<string, ReadFile[]>();
  const parts = new Map<string, ClusterPart>();
  const results = new Map<
    string,
    {
      readonly part: ClusterPart;
      readonly fleet: FleetPart;
      readonly waves: string;
      readonly files: RolloutPart['files'];
      readonly desired: ClusterDesired;
    }
  >();
  let fleetPart: FleetPart = { fleet: defaultFleet, frozen: false, problems: [], inputs: [], rewrite: undefined };
  let rolloutPart: RolloutPart = noRollouts;
  let names: readonly string[] = [];
  let looseProblems: readonly Problem[] = [];
  let policyProblems: readonly Problem[] = [];

  /** Takes one path in or out; gives what it was and what it is. */
  function take(path: string, file: InputFile | undefined): readonly ReadFile[] {
    const before = known.get(path);
    if (before !== undefined && before.file.oid === file?.oid && before.file.kind === file.kind) return [];
    const after = file && readFile(file, judges);
    if (after) known.set(path, after);
    else known.delete(path);
    for (const read of [before, after]) {
      const owner = read && ownerOf(read.place);
      if (owner?.kind === 'cluster') {
        const folder = folders.get(owner.cluster) ?? new Map<string, ReadFile>();
        if (read === after && after) folder.set(path, after);
        else folder.delete(path);
        if (folder.size > 0) folders.set(owner.cluster, folder);
        else folders.delete(owner.cluster);
      } else if (owner?.kind === 'policy') {
        const others = (shared.get(owner.policy) ?? []).filter((other) => other.file.path !== path);
        if (read === after && after) others.push(after);
        if (others.length > 0) shared.set(owner.policy, others);
        else shared.delete(owner.policy);
      }
    }
    return [before, after].filter((read) => read !== undefined);
  }

  function takeAll(snapshot: DesireInput): ReadFile[] {
    const touched: ReadFile[] = [];
    const look = (path: string): unknown => touched.push(...take(path, snapshot.files.get(path)));
    if (snapshot.changed !== undefined && known.size > 0) snapshot.changed.forEach(look);
    // Nothing known yet, anything may have changed, or a change was not told: every path is compared.
    if (snapshot.changed === undefined || known.size !== snapshot.files.size) {
      for (const path of snapshot.files.keys()) look(path);
      for (const path of [...known.keys()]) if (!snapshot.files.has(path)) look(path);
    }
    return touched;
  }

  function readFleetPart(): FleetPart {
    const reads = [...known.values()].filter(({ place }) => ownerOf(place)?.kind === 'fleet');
    const settings = reads.flatMap(({ says }) => (says.kind === 'fleet' ? [says.fleet] : []));
    return {
      fleet: settings[0] ?? defaultFleet,
      frozen: reads.some(({ says }) => says.kind === 'freeze'),
      problems: sortProblems(reads.flatMap(({ problems }) => problems)),
      inputs: reads
        .filter(
          ({ place }) =>
            place.kind === 'signers' ||
            place.kind === 'owners' ||
            (place.kind === 'object' && place.object === 'Fleet'),
        )
        .map(({ file }) => ({ path: file.path, oid: file.oid })),
      rewrite: reads.flatMap(({ says }) => (says.kind === 'rewrite' ? [says.rewrite] : []))[0],
    };
  }

  /** Clusters whose part has to be read again. */
  function stale(touched: readonly ReadFile[]): Set<string> {
    const dirty = new Set<string>();
    const policies = new Set<string>();
    for (const { place } of touched) {
      const owner = ownerOf(place);
      if (owner?.kind === 'cluster') dirty.add(owner.cluster);
      else if (owner?.kind === 'policy') policies.add(owner.policy);
    }
    if (policies.size > 0) {
      for (const [name, part] of parts)
        if (part.astray || part.uses.some((used) => policies.has(used))) dirty.add(name);
      policyProblems = [...resolveShared(shared, judges).values()].flatMap(({ problems }) => problems);
    }
    return dirty;
  }

  function whole(name: string, part: ClusterPart): ClusterDesired {
    const cached = results.get(name);
    const { files } = rolloutPart;
    const held = rolloutPart.held.get(name) ?? [];
    const taken = rolloutPart.taken.get(name) ?? [];
    const waves = held.length === 0 && taken.length === 0 ? '' : JSON.stringify([held, taken]);
    if (cached?.part === part && cached.fleet === fleetPart && cached.waves === waves && cached.files === files)
      return cached.desired;
    const { desired: own } = part;
    const others = [...fleetPart.problems, ...held];
    const desired: ClusterDesired = {
      ...own,
      problems: others.length === 0 ? own.problems : sortProblems([...own.problems, ...others]),
      ...(taken.length > 0 ? { rollouts: taken } : {}),
      ...(files ? { fleetFiles: files } : {}),
      frozen: fleetPart.frozen ? 'fleet' : own.frozen,
      ...(fleetPart.frozen && own.frozen !== undefined ? { frozenTwice: true } : {}),
      inputs: [...own.inputs, ...fleetPart.inputs].sort((a, b) => compare(a.path, b.path)),
    };
    results.set(name, { part, fleet: fleetPart, waves, files, desired });
    return desired;
  }

  function readRolloutPart(): RolloutPart {
    const reads = [...known.values()].filter(({ place }) => ownerOf(place)?.kind === 'rollout');
    if (reads.length === 0) return noRollouts;
    const members = [...folders].map(([name, folder]): Member => {
      const own = folder.get(`clusters/${name}/cluster.yaml`);
      if (own?.says.kind === 'settings') return { name, file: own.file, says: own.says.settings };
      return { name, file: own?.file, says: own ? 'unclear' : undefined };
    });
    const part = resolveRollouts(reads, members);
    // The same object while it says the same: what was made of it need not be made again.
    const same = canonical(part.files ?? {}) === canonical(rolloutPart.files ?? {});
    return same && rolloutPart.files ? { ...part, files: rolloutPart.files } : part;
  }

  return (snapshot) => {
    const touched = takeAll(snapshot);
    const dirty = stale(touched);
    const owners = new Set(touched.map(({ place }) => ownerOf(place)?.kind));
    if (owners.has('fleet')) fleetPart = readFleetPart();
    if (owners.has('nobody')) {
      looseProblems = [...known.values()]
        .filter(({ place }) => ownerOf(place)?.kind === 'nobody')
        .flatMap(({ problems }) => problems);
    }
    if ([...dirty].some((name) => folders.has(name) !== parts.has(name))) names = [...folders.keys()].sort(compare);
    for (const name of dirty) {
      const folder = folders.get(name);
      if (folder) parts.set(name, readClusterFolder(name, [...folder.values()], { shared, judges, clusters: names }));
      else {
        parts.delete(name);
        results.delete(name);
      }
    }
    if (dirty.size > 0 || owners.has('rollout')) rolloutPart = readRolloutPart();
    const clusters = new Map<string, ClusterDesired>();
    const problems: Problem[] = [...fleetPart.problems, ...looseProblems, ...policyProblems, ...rolloutPart.problems];
    for (const name of names) {
      const part = parts.get(name);
      if (part === undefined) continue;
      problems.push(...part.desired.problems);
      if (tellableName.test(name)) clusters.set(name, whole(name, part));
    }
    for (const twin of pinnedTwice(clusters, (name) => known.get(`clusters/${name}/cluster.yaml`)?.file)) {
      problems.push(...twin.problems.filter(({ rule }) => rule === twinRule));
      clusters.set(twin.name, twin);
    }
    return {
      commit: snapshot.commit,
      committedAt: snapshot.committedAt,
      fleet: fleetPart.fleet,
      clusters,
      rollouts: rolloutPart.rollouts,
      problems: sortProblems(problems),
      ...(fleetPart.rewrite ? { rewrite: fleetPart.rewrite } : {}),
    };
  };
}
