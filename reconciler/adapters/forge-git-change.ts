// Evidence from the history of plain Git → a Change, as a forge would tell it: signers are reviewers, authors are contributors.
import type { Change, Contributor, Identity, Review } from '../model/approval.ts';
import { readApproval, type WrittenApproval } from './forge-git-approval.ts';
import type { GitHistory } from './git.ts';
import type { PathEvidence, RawCommit } from './git-evidence.ts';
import { judgeSignature, type SignatureVerdict } from './signatures.ts';
import { readSignedCommit, type SignedCommit } from './signed-commit.ts';
import type { Signers } from './signers.ts';

/** What is needed beside the evidence. */
export interface ChangeContext {
  readonly git: Pick<GitHistory, 'blobsAt' | 'proposed'>;
  readonly signers: Signers;
  readonly branch: string;
  /** The repository, for people. */
  readonly url: string;
  readonly now: number;
  /** Whether a file at a path says exactly what Oakum itself proposes: then it does not matter who put it into a commit. */
  readonly own: (path: string, text: string) => boolean;
  /** What a commit says about a cluster, shared files and rollouts included, to be compared; undefined: nothing valid. May throw AdapterError. */
  readonly meaning: (commit: string, cluster: string) => Promise<string | undefined>;
}

/** The folder of rollouts: what it says to a cluster counts, not that a file is another one. */
const rollouts = 'rollouts';

type Good = Extract<SignatureVerdict, { kind: 'good' }>;

/** A signed statement that a change is right: a merge, or the commit of an approval file. */
interface Statement {
  readonly commit: string;
  readonly age: number;
  readonly by: Good;
  /** What an approval file lists; undefined for a merge, which means its whole tree. */
  readonly files: WrittenApproval['files'] | undefined;
}

/** A number for what has none: of a commit, the same at every look. */
export function numberOf(hex: string): number {
  return parseInt(hex.slice(0, 12), 16);
}

/** The account of Oakum itself: it proposes, and approves nothing. */
export const ownAccount: Identity = { id: 'oakum', name: 'oakum', bot: true };

/** Tells the change that brought a path. */
export async function changeOf(path: string, evidence: PathEvidence, context: ChangeContext): Promise<Change> {
  const { signers, now } = context;
  const judge = (commit: RawCommit): Promise<SignatureVerdict> => judgeSignature(commit.raw, signers, now);
  const notes: string[] = [];
  const statements: Statement[] = [];
  const merge = evidence.merge === undefined ? undefined : await judge(evidence.brought);
  const elsewhere = merge?.kind === 'good' ? mergedElsewhere(evidence.brought.raw, context.branch) : undefined;
  if (elsewhere !== undefined) notes.push(elsewhere);
  if (merge?.kind === 'good' && elsewhere === undefined)
    statements.push({ commit: evidence.brought.commit, age: evidence.age, by: merge, files: undefined });
  for (const { path: file, text, made, age } of evidence.approvals) {
    const read = readApproval(text);
    if (typeof read === 'string') notes.push(`${file}: ${read}`);
    else if (read.files.has(path) && read.files.get(path) === evidence.oid) {
      const by = await judge(made);
      // An approval is used up when what it approved goes: content that comes back, or goes again, is another change.
      const why = age > evidence.age ? 'it is older than what it approves' : refusal(read, by, now);
      if (by.kind === 'good' && why === undefined) statements.push({ commit: made.commit, age, by, files: read.files });
      else notes.push(`${file}: ${why ?? 'it is not signed'}`);
    }
  }
  // The one that came last saw everything; the others count if they saw the same.
  const order = [...statements].sort((left, right) => left.age - right.age || left.by.at - right.by.at);
  const head = order[0]?.commit ?? evidence.brought.commit;
  const reviews = await reviewsOf(path, order, head, context);
  const { contributors, proven } = await contributorsOf(evidence, merge, context);
  const last = readSignedCommit(evidence.commits[0]?.raw ?? evidence.brought.raw);
  const broughtAt = readSignedCommit(evidence.brought.raw).committer.at;
  return {
    pull: {
      forge: 'git',
      number: numberOf(head),
      url: `${context.url}#${head}`,
      title: last.message.split('\n', 1)[0] ?? '',
      state: 'merged',
      base: context.branch,
      branch: context.branch,
      fork: false,
      head,
      author: contributors[0]?.account ?? stranger(last),
      merged: {
        commit: evidence.brought.commit,
        // An approval file comes after what it approves; with it the change is complete.
        at: Math.max(broughtAt, ...reviews.map(({ at }) => at)),
        by: merge?.kind === 'good' ? identity(merge) : undefined,
      },
    },
    contributors,
    reviews,
    teams: {},
    ...(proven ? {} : { unproven: true }),
    doubts: doubtsOf(evidence, signers, reviews.length === 0 ? notes : []),
  };
}

/**
 * Why a signed merge is none into this branch, by the words that Git itself writes into its signed message: whoever brings the config branch into a branch of their own, or
 * merges into a third one, approves of nothing, wherever the commit is pushed to afterwards.
 */
function mergedElsewhere(raw: Uint8Array, branch: string): string | undefined {
  const [subject = ''] = readSignedCommit(raw).message.split('\n', 1);
  const [, from = '', into] =
    /^Merge (?:remote-tracking )?(?:branch|commit|tag) '([^']+)'(?: of \S+)?(?: into '?(\S+?)'?)?$/.exec(subject) ?? [];
  const own = [branch, `origin/${branch}`, `upstream/${branch}`];
  if (own.includes(from)) return `the signed merge brings ${branch} into another branch, and approves nothing`;
  if (into !== undefined && into !== branch && into !== 'HEAD')
    return `the signed merge is one into ${into}, not into ${branch}`;
  return undefined;
}

function refusal(read: WrittenApproval, by: SignatureVerdict, now: number): string | undefined {
  if (by.kind === 'bad') return by.message;
  if (by.kind === 'unsigned') return 'the commit that added it is not signed';
  if (read.expires !== undefined && read.expires <= now) return 'it has expired';
  if (read.approver !== undefined && read.approver !== by.principal)
    return `it names ${read.approver} and is signed by ${by.principal}`;
  return undefined;
}

/** Why nothing can be decided. What was wrong with approvals is told when there is no good one, so that people see why. */
function doubtsOf(evidence: PathEvidence, signers: Signers, notes: readonly string[]): string[] {
  const doubts: string[] = [];
  if (signers.ssh.length + signers.openPgp.length === 0)
    doubts.push(
      `nobody can sign: the folder signers/ of the accepted commit holds no key. ${signers.problems.slice(0, 3).join(' ')}`.trim(),
    );
  if (evidence.cut)
    doubts.push(`the merge ${evidence.brought.commit.slice(0, 10)} brought too many commits to look at`);
  return doubts.length > 0 ? doubts : notes.slice(0, 3);
}

function identity(by: Good): Identity {
  return { id: by.fingerprint, name: by.principal, bot: false };
}

function stranger(commit: SignedCommit): Identity {
  return { id: `mail:${commit.author.email}`, name: commit.author.email || commit.author.name, bot: false };
}

/** One review a person: two keys of one principal are one person, and so are two names of one key. */
async function reviewsOf(
  path: string,
  statements: readonly Statement[],
  head: string,
  { git, meaning }: Pick<ChangeContext, 'git' | 'meaning'>,
): Promise<Review[]> {
  const listed = new Set([path, ...statements.flatMap(({ files }) => [...(files?.keys() ?? [])])]);
  const [folder, cluster] = /^clusters\/([^/]+)\//.exec(path) ?? [];
  if (folder !== undefined) for (const name of ['policy.yaml', 'cluster.yaml', 'FREEZE']) listed.add(folder + name);
  // What clusters share, as whole folders: whoever agreed before any of it changed has not seen what is there now.
  for (const shared of ['oakum.yaml', 'policies', 'FREEZE']) listed.add(shared);
  const paths = [...listed];
  const blobs = await git.blobsAt(
    [...new Set([head, ...statements.map(({ commit }) => commit)])],
    [...paths, rollouts],
  );
  const [atHead = [], waves] = [blobs[head]?.slice(0, -1), blobs[head]?.at(-1)];
  /** Words for one run and edits of later waves change nothing of what was agreed to: of rollouts, what they mean to this cluster is compared. */
  const waitsAlike = async (commit: string): Promise<boolean> => {
    if (blobs[commit]?.at(-1) === waves || cluster === undefined) return true;
    const then = await meaning(commit, cluster);
    return then !== undefined && then === (await meaning(head, cluster));
  };
  const people = new Set<string>();
  const reviews: Review[] = [];
  for (const { commit, by, files } of statements) {
    if (people.has(by.fingerprint) || people.has(by.principal.toLowerCase())) continue;
    const seen = blobs[commit]?.slice(0, -1) ?? [];
    // What an approval lists must be what its own commit holds: else its writer saw something else than was written down.
    const honest = paths.every((each, index) => files?.has(each) !== true || files.get(each) === seen[index]);
    if (!honest) continue;
    const alike = seen.length === paths.length && seen.every((oid, index) => oid === atHead[index]);
    const same = alike && (await waitsAlike(commit));
    people.add(by.fingerprint).add(by.principal.toLowerCase());
    reviews.push({
      id: commit,
      by: identity(by),
      emails: by.emails,
      state: 'Approved',
      commit: same ? head : commit,
      at: by.at,
    });
  }
  return reviews.reverse();
}

/** Everybody who had a hand in it. A name in a commit proves nothing; who signed it is proven. */
async function contributorsOf(
  evidence: PathEvidence,
  merge: SignatureVerdict | undefined,
  { git, signers, now, own: isOwn }: ChangeContext,
): Promise<{ readonly contributors: readonly Contributor[]; readonly proven: boolean }> {
  const contributors: Contributor[] = [];
  let proven = !evidence.cut;
  for (const { commit, raw, sole } of evidence.commits) {
    const verdict = await judgeSignature(raw, signers, now);
    // What this process did not propose itself, another one may have, or this one before it was started anew.
    const own = git.proposed(commit) || (sole !== undefined && isOwn(sole.path, sole.text));
    if (verdict.kind !== 'good' && !own) proven = false;
    contributors.push(...handsIn(readSignedCommit(raw), own ? ownAccount : accountOf(verdict)));
  }
  // A merge that is more than the sum of its sides was written by whoever merged.
  if (evidence.merge?.clean === false) {
    if (merge?.kind !== 'good') proven = false;
    contributors.push(...handsIn(readSignedCommit(evidence.brought.raw), accountOf(merge)));
  }
  return { contributors, proven };
}

function accountOf(verdict: SignatureVerdict | undefined): Identity | undefined {
  return verdict?.kind === 'good' ? identity(verdict) : undefined;
}

/** Everybody who had a hand in one commit, and whether its signature proves it. */
export async function handsOf(
  raw: Uint8Array,
  signers: Signers,
  now: number,
): Promise<{ readonly hands: readonly Contributor[]; readonly proven: boolean }> {
  const verdict = await judgeSignature(raw, signers, now);
  return { hands: handsIn(readSignedCommit(raw), accountOf(verdict)), proven: verdict.kind === 'good' };
}

function handsIn(commit: SignedCommit, account: Identity | undefined): Contributor[] {
  return [
    // Whoever signed vouches for what the commit says, the author included.
    { account, name: commit.author.name, email: commit.author.email, role: 'author' },
    { account, name: commit.committer.name, email: commit.committer.email, role: 'committer' },
    ...commit.coAuthors.map(({ name, email }) => ({ account: undefined, name, email, role: 'co-author' as const })),
  ];
}
