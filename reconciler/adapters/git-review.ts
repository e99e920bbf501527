// The side for reviews: other commits of the config repository, and branches of ours with files that Oakum wants to see there.
import type { ConfigFile } from '../ports.ts';
import { AdapterError } from '../model/failure.ts';
import { commitText, grow, plant, type CommitAuthor } from './git-building.ts';
import { diffTrees, type Wanted } from './git-diff.ts';
import type { GitTransport, Scope } from './git-http.ts';
import { buildPack, collectObjects } from './git-pack-write.ts';
import { pauseBeforeRetry, push } from './git-push.ts';
import { withFreshCache } from './git-reading.ts';
import { probe, pushTip, refTip } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { readCommit } from './git-trees.ts';

/** The files of a commit, as the difference to another one. */
export interface CommitFiles {
  readonly committedAt: number;
  /** The commit that `written` and `removed` are the difference to; undefined: `written` is everything. */
  readonly against: string | undefined;
  readonly written: readonly ConfigFile[];
  readonly removed: readonly string[];
}

/** What a branch of ours shall hold. */
export interface ReviewProposal {
  readonly branch: string;
  readonly base: string;
  readonly files: ReadonlyMap<string, string>;
  readonly message: string;
}

export interface Reviewer {
  /** Reads a commit; `against` is one whose files the caller has already. */
  readAt(commit: string, ref: string | undefined, against: string | undefined): Promise<CommitFiles>;
  propose(proposal: ReviewProposal): Promise<{ commit: string; changed: boolean; attempts: number }>;
  withdraw(branch: string): Promise<void>;
}

export interface ReviewSettings {
  /** The config branch; undefined: the one that HEAD names. */
  readonly branch: string | undefined;
  /** Never proposed to. */
  readonly statusBranch: string;
  readonly author: CommitAuthor;
  readonly backoffMs: number;
  readonly wanted: Wanted;
}

const mostAttempts = 5;
/** Depths in which a commit is looked for that the server does not send by its name; the last is "the whole history". */
const depths = [64, 1024, 0x7fffffff] as const;

/** Only names under `oakum/` that git-check-ref-format(1) allows, and never the branch of the status. */
function checkBranch(branch: string, statusBranch: string): void {
  const parts = branch.split('/');
  const fine =
    branch.length <= 200 &&
    parts.length >= 2 &&
    parts[0] === 'oakum' &&
    parts.every((part) => /^[A-Za-z0-9_][A-Za-z0-9._-]*$/.test(part) && !/\.\.|\.$|\.lock$/.test(part));
  if (!fine || branch === statusBranch)
    throw new AdapterError('rejected', 'GitBadBranch', `"${branch}" is not a name for a branch with a proposal.`);
}

/** `transport` reads, `writing` pushes; the store is of this side alone, so that nobody's pull request can spoil the one that the loop reads. */
export function openReview(
  store: GitStore,
  transport: GitTransport,
  writing: GitTransport,
  settings: ReviewSettings,
  scope: Scope,
): Reviewer {
  const { branch, wanted } = settings;

  /** Makes sure that the config branch is here as it was at some time: what everything else differs from little. */
  async function seed(): Promise<string> {
    if (store.grown()) store.discard();
    const tip = await probe(transport, branch);
    if (tip === undefined) throw new AdapterError('missing', 'GitEmpty', `${transport.shown} has no commit yet.`);
    if (store.tip(tip.branch) === undefined) await store.fetch(tip.branch, tip.oid);
    return tip.branch;
  }

  /** A commit under a name that it must have now. */
  async function fetchNamed(commit: string, ref: string): Promise<void> {
    const config = await seed();
    // On the config branch itself it may be anywhere.
    if (ref === `refs/heads/${config}`) return await fetchBare(commit);
    const now = await refTip(transport, ref);
    if (now === undefined)
      throw new AdapterError('missing', 'GitRefMissing', `${transport.shown} has no "${ref}" (any more).`);
    if (now !== commit)
      throw new AdapterError(
        'conflict',
        'GitRefMoved',
        `"${ref}" of ${transport.shown} is at ${now.slice(0, 10)} by now, not at ${commit.slice(0, 10)}.`,
      );
    if (!store.packs.has(commit)) await store.fetchBeside(config, commit);
  }

  /** A commit that is (or was) somewhere in the history of the config branch, or that the server sends to whoever knows its name. */
  async function fetchBare(commit: string): Promise<void> {
    const config = await seed();
    if (store.packs.has(commit)) return;
    let tip = await probe(transport, config);
    if (tip !== undefined && store.tip(config) !== tip.oid) await store.fetch(config, tip.oid);
    if (store.packs.has(commit)) return;
    try {
      await probe(transport, config);
      await store.fetchBeside(config, commit);
      return;
    } catch (error) {
      // A server that sends only tips (the default of git itself) says so; the history may have it.
      if (!(error instanceof AdapterError) || error.code !== 'GitFetchRefused') throw error;
    }
    for (const depth of depths) {
      tip = await probe(transport, config);
      if (tip === undefined) break;
      await store.fetch(config, tip.oid, depth);
      if (store.packs.has(commit)) return;
    }
    throw new AdapterError(
      'missing',
      'GitCommitMissing',
      `${transport.shown} does not send commit ${commit.slice(0, 10)}, and it is not in the history of "${config}".`,
    );
  }

  async function readAt(commit: string, ref: string | undefined, against: string | undefined): Promise<CommitFiles> {
    if (!/^[0-9a-f]{40}$/.test(commit))
      throw new AdapterError('rejected', 'GitBadCommit', `"${commit}" is not the name of a commit.`);
    if (!store.has(commit)) await (ref === undefined ? fetchBare(commit) : fetchNamed(commit, ref));
    const { tree, committedAt } = readCommit(store.packs, commit);
    const base = against !== undefined && store.packs.has(against) ? against : undefined;
    const from = base === undefined ? undefined : readCommit(store.packs, base).tree;
    return { committedAt, against: base, ...diffTrees(store.packs, from, tree, wanted) };
  }

  /** The commit that a proposal is: computed from nothing but the proposal, so that two Oakums make the same one. */
  async function build({ base, files, message }: ReviewProposal) {
    if (!store.has(base)) await fetchBare(base);
    const { tree, committedAt } = readCommit(store.packs, base);
    const fresh = collectObjects();
    const grown = grow(store.packs, tree, plant(files), fresh);
    if (grown === undefined || grown === tree)
      throw new AdapterError('rejected', 'GitNothingProposed', 'The config branch has these very files already.');
    const commit = fresh.add('commit', commitText(grown, base, settings.author, committedAt, message));
    return { commit, pack: buildPack(fresh.objects).pack };
  }

  /** Moves a branch of ours to `after` by compare-and-swap, however often it takes within reason. */
  async function move(name: string, after: string | undefined, pack: Buffer | undefined): Promise<number> {
    for (let attempts = 0; ;) {
      const before = await pushTip(writing, name);
      if (before === after) return attempts;
      attempts++;
      let said: string;
      try {
        const outcome = await push(writing, name, before, after, pack);
        if (outcome.kind === 'accepted') return attempts;
        said = outcome.said;
        if (/non-fast-forward/i.test(said) && (await pushTip(writing, name)) === before)
          throw new AdapterError(
            'rejected',
            'GitPushRefused',
            `${writing.shown} does not let "${name}" be replaced (${said}). Allow Oakum's account to force-push to branches under "oakum/".`,
          );
      } catch (error) {
        if (!(error instanceof AdapterError) || error.kind !== 'transient' || scope.signal.aborted) throw error;
        if (attempts >= mostAttempts) throw error;
        said = error.message;
      }
      if (attempts >= mostAttempts)
        throw new AdapterError(
          'conflict',
          'GitPushRaceLost',
          `${writing.shown}: others moved "${name}" during each of ${attempts} pushes (${said}).`,
        );
      await pauseBeforeRetry(writing, settings.backoffMs, attempts - 1, scope.signal);
    }
  }

  return {
    readAt: (commit, ref, against) => withFreshCache(store, () => readAt(commit, ref, against)),
    async propose(proposal) {
      checkBranch(proposal.branch, settings.statusBranch);
      const { commit, pack } = await withFreshCache(store, () => build(proposal));
      const attempts = await move(proposal.branch, commit, pack);
      return { commit, changed: attempts > 0, attempts };
    },
    async withdraw(name) {
      checkBranch(name, settings.statusBranch);
      await move(name, undefined, undefined);
    },
  };
}
