// Who brought a file to the config branch: the commits of its history that an approval by signature is read from, as raw bytes.
import { AdapterError } from '../model/failure.ts';
import type { GitTransport } from './git-http.ts';
import type { Packs } from './git-packs.ts';
import { withFreshCache } from './git-reading.ts';
import { branchesUnder, probe } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { type SoleChange, soleChange } from './git-sole-change.ts';
import { folderMode, readCommit, readTree, type TreeEntry } from './git-trees.ts';

/** A commit with its bytes. */
export interface RawCommit {
  readonly commit: string;
  readonly raw: Uint8Array;
}

/** A commit that came with a path. */
export interface BroughtCommit extends RawCommit {
  /** The one file that it changes, when it changes just one. */
  readonly sole: SoleChange | undefined;
}

/** An approval file that is on the branch now. */
export interface ApprovalFile {
  readonly path: string;
  readonly text: string;
  /** The commit that made the file what it is. */
  readonly made: RawCommit;
  /** How many steps from the tip along first parents it came to the branch; 0 is the tip. */
  readonly age: number;
}

/** The history of one path. */
export interface PathEvidence {
  /** The commit on the branch itself (along first parents) by which the path became what it is. */
  readonly brought: RawCommit;
  readonly age: number;
  /** Object id of the file now; undefined when it is gone. */
  readonly oid: string | undefined;
  /** The commits that came with it: the commit itself, or those that a merge brought, the tip of the merged side first. */
  readonly commits: readonly BroughtCommit[];
  /** More commits came than are told here. */
  readonly cut: boolean;
  /**
   * `brought` is a merge. `clean`: everything that it changed on the branch is exactly what the merged side wrote, so whoever merged added nothing of
   * their own.
   */
  readonly merge: { readonly clean: boolean } | undefined;
  readonly approvals: readonly ApprovalFile[];
}

/** A branch and its tip. */
export interface BranchTip extends RawCommit {
  readonly branch: string;
}

export interface EvidenceReader {
  read(path: string): Promise<PathEvidence>;
  /** Object ids of these paths in these commits, which were told of before. */
  blobsAt(commits: readonly string[], paths: readonly string[]): Promise<Record<string, (string | undefined)[]>>;
  /** The branches whose name begins so. */
  branches(prefix: string): Promise<readonly BranchTip[]>;
}

const depths = [64, 1024, 0x7fffffff] as const;
const mostCommits = 500;
const mostBranches = 200;
const largestApproval = 256 * 1024;

/** The local history ends before the answer is known. */
class HistoryCut extends Error {}

/** What was found out about the commits of one cache. Commits never change, so after a new one only that one is looked at. */
interface Findings {
  readonly parents: Map<string, readonly string[]>;
  /** The last change of a path, as found from a commit of the config branch. */
  readonly changes: Map<string, LastChange & { readonly from: string }>;
  readonly merges: Map<string, { readonly brought: readonly string[]; readonly clean: boolean }>;
}

const findings = new WeakMap<Packs, Findings>();

function findingsOf(packs: Packs): Findings {
  const known = findings.get(packs) ?? { parents: new Map(), changes: new Map(), merges: new Map() };
  findings.set(packs, known);
  return known;
}

export function openEvidence(store: GitStore, transport: GitTransport, branch: string | undefined): EvidenceReader {
  /** What was found at a tip, so that the next question costs one look at the remote. */
  let known = { tip: '', answers: new Map<string, PathEvidence>() };

  async function read(path: string): Promise<PathEvidence> {
    if (store.grown()) store.discard();
    let tip = await probe(transport, branch);
    if (tip === undefined) throw new AdapterError('missing', 'GitEmpty', `${transport.shown} has no commit yet.`);
    if (known.tip !== tip.oid) known = { tip: tip.oid, answers: new Map() };
    const held = known.answers.get(path);
    if (held !== undefined && store.has(tip.oid)) return held;
    if (store.tip(tip.branch) !== tip.oid) await store.fetch(tip.branch, tip.oid);
    for (const depth of [undefined, ...depths]) {
      if (depth !== undefined) {
        tip = await probe(transport, branch);
        if (tip?.oid !== known.tip)
          throw new AdapterError('transient', 'GitRefMoved', `${transport.shown} moved on in the meantime.`);
        await store.fetch(tip.branch, tip.oid, depth);
      }
      try {
        const answer = evidenceOf(store.packs, known.tip, path);
        known.answers.set(path, answer);
        return answer;
      } catch (error) {
        if (!(error instanceof HistoryCut)) throw error;
      }
    }
    throw new AdapterError(
      'transient',
      'GitHistoryUnknown',
      `The server does not have the whole history of ${transport.shown} (is its repository shallow?): nobody can tell who brought ${path}.`,
    );
  }

  async function branches(prefix: string): Promise<BranchTip[]> {
    const tips = (await branchesUnder(transport, prefix)).slice(0, mostBranches);
    const config = tips.length === 0 ? undefined : await probe(transport, branch);
    if (config === undefined) return [];
    if (store.tip(config.branch) === undefined) await store.fetch(config.branch, config.oid);
    for (const { oid } of tips) {
      if (store.has(oid)) continue;
      // Over SSH every request needs a conversation of its own, which begins with this question.
      await probe(transport, branch);
      await store.fetchBeside(config.branch, oid);
    }
    return tips.map(({ branch: name, oid }) => ({ branch: name, commit: oid, raw: store.packs.read(oid).content }));
  }

  return {
    read: (path) => withFreshCache(store, () => read(path)),
    branches: (prefix) => withFreshCache(store, () => branches(prefix)),
    async blobsAt(commits, paths) {
      const found: Record<string, (string | undefined)[]> = {};
      for (const commit of commits) {
        if (!store.has(commit))
          throw new AdapterError('transient', 'GitCommitMissing', 'The cache was thrown away in the meantime.');
        const { tree } = readCommit(store.packs, commit);
        found[commit] = paths.map((path) => oidAt(store.packs, tree, path));
      }
      return found;
    },
  };
}

/** The folder of approval files for a path; undefined for paths outside of the clusters' folders. */
function approvalsFolder(path: string): string | undefined {
  const cluster = /^clusters\/([^/]+)\//.exec(path)?.[1];
  return cluster === undefined ? undefined : `clusters/${cluster}/approvals`;
}

function evidenceOf(packs: Packs, tip: string, path: string): PathEvidence {
  const raw = (commit: string): RawCommit => ({ commit, raw: packs.read(commit).content });
  const { commit, age } = lastChangeOnBranch(packs, tip, path);
  const { tree, parents } = readCommit(packs, commit);
  const oid = oidAt(packs, tree, path);
  if (oid === undefined && parents.length === 0)
    throw new AdapterError('missing', 'GitPathMissing', `${path} was never on the config branch.`);
  const merge = parents.length > 1 ? mergeAt(packs, commit) : undefined;
  const merged = merge?.brought ?? [commit];
  const folder = approvalsFolder(path);
  const names = folder === undefined ? [] : filesIn(packs, readCommit(packs, tip).tree, folder);
  const approvals = names.map(({ name, text }) => {
    const file = `${folder ?? ''}/${name}`;
    return { path: file, text, made: raw(originOf(packs, tip, file)), age: lastChangeOnBranch(packs, tip, file).age };
  });
  return {
    brought: raw(commit),
    age,
    oid,
    commits: merged.slice(0, mostCommits).map((each) => ({ ...raw(each), sole: soleChange(packs, each) })),
    cut: merged.length > mostCommits,
    merge: merge && { clean: merge.clean },
    approvals,
  };
}

/** Parents that are here; throws HistoryCut when one is not. */
function parentsOf(packs: Packs, commit: string): readonly string[] {
  const known = findingsOf(packs).parents;
  const held = known.get(commit);
  if (held !== undefined) return held;
  const { parents } = readCommit(packs, commit);
  if (!parents.every((parent) => packs.has(parent))) throw new HistoryCut();
  known.set(commit, parents);
  return parents;
}

interface LastChange {
  readonly commit: string;
  readonly age: number;
}

/** `lastChange` from a commit of the config branch: where the walk meets the one before, that one's answer is the rest of it. */
function lastChangeOnBranch(packs: Packs, tip: string, path: string): LastChange {
  const { changes } = findingsOf(packs);
  const found = lastChange(packs, tip, path, changes.get(path));
  changes.set(path, { ...found, from: tip });
  return found;
}

/**
 * Along first parents: the newest commit that has another value at the path than its first parent, or that is a merge which keeps the value of its first parent although the
 * other side has changed it: which parent is the first is up to whoever merges, and what is old must not come back as if it had never gone.
 */
function lastChange(
  packs: Packs,
  tip: string,
  path: string,
  before?: LastChange & { readonly from: string },
): LastChange {
  let commit = tip;
  const value = oidAt(packs, readCommit(packs, tip).tree, path);
  for (let age = 0; ; age++) {
    // Every commit passed so far has the value of the tip.
    if (commit === before?.from) return { commit: before.commit, age: age + before.age };
    const [first, ...others] = parentsOf(packs, commit);
    if (first === undefined) return { commit, age };
    const at = (oid: string): string | undefined => oidAt(packs, readCommit(packs, oid).tree, path);
    if (at(first) !== value) return { commit, age };
    for (const other of others) {
      if (at(other) === value) continue;
      const base = mergeBase(packs, first, other);
      // The other side is older, or has left the path as it was: nothing of it was thrown away.
      if (base === undefined || at(base) !== at(other)) return { commit, age };
    }
    commit = first;
  }
}

/** The commit that made a path what it is: through merges that took it over as it was, to the one that wrote it. */
function originOf(packs: Packs, tip: string, path: string): string {
  let from = tip;
  for (;;) {
    const { commit } = from === tip ? lastChangeOnBranch(packs, tip, path) : lastChange(packs, from, path);
    const [first, second, ...more] = parentsOf(packs, commit);
    if (first === undefined || second === undefined || more.length > 0) return commit;
    const base = mergeBase(packs, first, second);
    const at = (oid: string): string | undefined => oidAt(packs, readCommit(packs, oid).tree, path);
    // Both sides changed it, or the merge chose against the rule of three: then the merge is what made it so.
    if (base === undefined || at(commit) !== at(second) || at(base) !== at(first)) return commit;
    from = second;
  }
}

/** Everything that is reached from some commits, those included. */
function ancestors(packs: Packs, from: readonly string[]): Set<string> {
  const seen = new Set(from);
  const queue = [...from];
  for (let oid = queue.pop(); oid !== undefined; oid = queue.pop())
    for (const parent of parentsOf(packs, oid)) {
      if (seen.has(parent)) continue;
      seen.add(parent);
      queue.push(parent);
    }
  return seen;
}

/** What a merge brought, and whether it added nothing of its own. */
function mergeAt(packs: Packs, commit: string): { readonly brought: readonly string[]; readonly clean: boolean } {
  const { merges } = findingsOf(packs);
  const held = merges.get(commit);
  if (held !== undefined) return held;
  const { tree, parents } = readCommit(packs, commit);
  const found = { brought: rangeOf(packs, parents), clean: isClean(packs, tree, parents) };
  merges.set(commit, found);
  return found;
}

/** The commits that a merge brought: reached from its other parents and not from its first. */
function rangeOf(packs: Packs, parents: readonly string[]): string[] {
  const [first = '', ...others] = parents;
  const had = ancestors(packs, [first]);
  return [...ancestors(packs, others)].filter((oid) => !had.has(oid));
}

/** The one best common ancestor; undefined when there is none, or several. Dates are not asked: anybody can write any. */
function mergeBase(packs: Packs, left: string, right: string): string | undefined {
  const ours = ancestors(packs, [left]);
  const common = new Set([...ancestors(packs, [right])].filter((oid) => ours.has(oid)));
  const reached = new Set([...common].flatMap((oid) => parentsOf(packs, oid)));
  const best = [...common].filter((oid) => !reached.has(oid));
  return best.length === 1 ? best[0] : undefined;
}

/** Whether a merge of two changed nothing on its first parent but what the second wrote, by the rule of three (base, ours, theirs). */
function isClean(packs: Packs, tree: string, parents: readonly string[]): boolean {
  const [first, second, ...more] = parents;
  if (first === undefined || second === undefined || more.length > 0) return false;
  const base = mergeBase(packs, first, second);
  if (base === undefined) return false;
  const treeOf = (commit: string): TreeEntry => ({ name: '', mode: folderMode, oid: readCommit(packs, commit).tree });
  const result = { name: '', mode: folderMode, oid: tree };
  return isCleanAt(packs, { result, ours: treeOf(first), theirs: treeOf(second), base: treeOf(base) });
}

interface FourSides {
  readonly result: TreeEntry | undefined;
  readonly ours: TreeEntry | undefined;
  readonly theirs: TreeEntry | undefined;
  readonly base: TreeEntry | undefined;
}

function isCleanAt(packs: Packs, { result, ours, theirs, base }: FourSides): boolean {
  if (same(result, ours) && (same(theirs, ours) || same(theirs, base))) return true;
  if (same(result, theirs) && same(base, ours)) return true;
  const sides = [result, ours, theirs, base];
  if (sides.some((side) => side !== undefined && side.mode !== folderMode) || result === undefined) return false;
  const [results, our, their, bases] = sides.map(
    (side) => new Map((side === undefined ? [] : readTree(packs, side.oid)).map((entry) => [entry.name, entry])),
  );
  const names = new Set([results, our, their, bases].flatMap((entries) => [...(entries?.keys() ?? [])]));
  return [...names].every((name) =>
    isCleanAt(packs, {
      result: results?.get(name),
      ours: our?.get(name),
      theirs: their?.get(name),
      base: bases?.get(name),
    }),
  );
}

function same(left: TreeEntry | undefined, right: TreeEntry | undefined): boolean {
  return left?.oid === right?.oid && left?.mode === right?.mode;
}

function entryAt(packs: Packs, tree: string, path: string): TreeEntry | undefined {
  let entry: TreeEntry | undefined = { name: '', mode: folderMode, oid: tree };
  for (const part of path.split('/')) {
    if (entry?.mode !== folderMode) return undefined;
    entry = readTree(packs, entry.oid).find(({ name }) => name === part);
  }
  return entry;
}

/** Object id of what is at a path, of whatever kind. */
function oidAt(packs: Packs, tree: string, path: string): string | undefined {
  return entryAt(packs, tree, path)?.oid;
}

/** The YAML files directly in a folder, with their texts. */
function filesIn(packs: Packs, tree: string, folder: string): { readonly name: string; readonly text: string }[] {
  const entry = entryAt(packs, tree, folder);
  if (entry?.mode !== folderMode) return [];
  return readTree(packs, entry.oid).flatMap(({ name, mode, oid }) => {
    const regular = mode.startsWith('100') && /\.ya?ml$/.test(name) && packs.sizeOf(oid) <= largestApproval;
    return regular ? [{ name, text: packs.read(oid).content.toString('utf8') }] : [];
  });
}
