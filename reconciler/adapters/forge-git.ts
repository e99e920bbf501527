// Plain Git as a forge: signed merges and approval files are the reviews, branches under `oakum/run/` are the proposals.
import crypto from 'node:crypto';
import type { Change, PullRequest } from '../model/approval.ts';
import { AdapterError } from '../model/failure.ts';
import type { Clock, Forge, Log, ReviewGit } from '../ports.ts';
import { changeOf, numberOf, ownAccount } from './forge-git-change.ts';
import type { GitHistory } from './git.ts';
import type { BranchTip } from './git-evidence.ts';
import { publicUrl } from './git-failure.ts';
import { readSignedCommit } from './signed-commit.ts';
import { readSigners, signersFolder, type Signers } from './signers.ts';

export interface PlainGitOptions {
  readonly git: GitHistory & ReviewGit;
  /** Address of the config repository. */
  readonly url: string;
  /** The config branch. */
  readonly branch: string;
  /**
   * The files of the folder `signers/` at the commit accepted last, by path from the repository's root; never those of the tip, which whoever wants to
   * be believed could have written.
   */
  readonly signers: () => ReadonlyMap<string, string> | Promise<ReadonlyMap<string, string>>;
  /** Whether a file at a path says exactly what Oakum itself proposes for it now; whoever committed it has added nothing. */
  readonly own: (path: string, text: string) => boolean;
  /** What a commit of the config branch says about a cluster, to be compared; undefined: nothing valid. May throw AdapterError. */
  readonly meaning: (commit: string, cluster: string) => Promise<string | undefined>;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
}

const proposals = 'oakum/run/';
/** Changes whose number is remembered. */
const mostChanges = 500;
const noAuthor = 'mail:';

/** Opens the port. Nothing is read before the first call. */
export function openPlainGit(options: PlainGitOptions): Forge {
  const { git, clock, log } = options;
  const url = publicUrl(options.url);
  const changes = new Map<number, Change>();
  const branches = new Map<number, string>();
  let known: { readonly texts: string; readonly signers: Signers } | undefined;

  /** The keys, read again only when a file has changed. */
  async function signers(): Promise<Signers> {
    const files = await options.signers();
    const texts = JSON.stringify([...files].filter(([path]) => path.startsWith(signersFolder)).sort());
    if (known?.texts === texts) return known.signers;
    known = { texts, signers: await readSigners(files) };
    for (const problem of known.signers.problems) log.warn({ problem }, 'a signer is not understood and cannot sign');
    return known.signers;
  }

  function keep(change: Change): Change {
    changes.delete(change.pull.number);
    changes.set(change.pull.number, change);
    const [oldest] = changes.keys();
    if (changes.size > mostChanges && oldest !== undefined) changes.delete(oldest);
    return change;
  }

  /** A proposal as an open pull request. */
  function pullOf({ branch, commit, raw }: BranchTip): PullRequest {
    const number = numberOf(crypto.createHash('sha256').update(branch).digest('hex'));
    branches.set(number, branch);
    const { message, author } = readSignedCommit(raw);
    const own = git.proposed(commit);
    return {
      forge: 'git',
      number,
      url: `${url}#${branch}`,
      title: message.split('\n', 1)[0] ?? '',
      state: 'open',
      base: options.branch,
      branch,
      fork: false,
      head: commit,
      author: own ? ownAccount : { id: noAuthor + author.email, name: author.email || author.name, bot: false },
      merged: undefined,
    };
  }

  async function open(signal?: AbortSignal): Promise<PullRequest[]> {
    return (await git.branches(proposals, signal)).map(pullOf);
  }

  function withTeams(change: Change, teams: readonly string[]): Change {
    // There are no teams without a forge: a policy that names one must name its people.
    return { ...change, teams: Object.fromEntries(teams.map((team) => [team, undefined])) };
  }

  return {
    kind: 'git',
    commentLimit: 60_000,
    open,
    async bringing(path, signal) {
      const evidence = await git.evidence(path, signal);
      const { branch, own, meaning } = options;
      const context = { git, signers: await signers(), branch, url, now: clock.now(), own, meaning };
      const { pull } = keep(await changeOf(path, evidence, context));
      return { commit: evidence.brought.commit, pull };
    },
    async change(number, teams, signal) {
      const held = changes.get(number);
      if (held !== undefined) return withTeams(held, teams);
      const tip = (await git.branches(proposals, signal)).find((each) => pullOf(each).number === number);
      if (tip === undefined)
        throw new AdapterError('missing', 'ForgeChangeMissing', `${url} has no proposal with the number ${number}.`);
      const pull = pullOf(tip);
      const { author } = readSignedCommit(tip.raw);
      const hand = { account: pull.author, name: author.name, email: author.email, role: 'author' as const };
      return withTeams({ pull, contributors: [hand], reviews: [], teams: {}, doubts: [] }, teams);
    },
    async propose({ branch }, signal) {
      // The text is in the commit, which is there already.
      const pull = (await open(signal)).find((each) => each.branch === branch);
      if (pull === undefined)
        throw new AdapterError('missing', 'ForgeBranchMissing', `${url} has no branch "${branch}".`);
      return pull;
    },
    async close(number, why, signal) {
      const branch = branches.get(number) ?? (await open(signal)).find((each) => each.number === number)?.branch;
      if (branch === undefined) return;
      log.info({ branch, why }, 'proposal withdrawn');
      await git.withdraw(branch, signal);
    },
    comment(number) {
      log.debug({ number }, 'plain Git has no comments: the plan is in the commit of the proposal and in the status');
      return Promise.resolve();
    },
    status(commit, { context }) {
      log.debug({ commit, context }, 'plain Git has no commit statuses: the judgement is in the status');
      return Promise.resolve();
    },
    headRef: (number) => `refs/heads/${branches.get(number) ?? options.branch}`,
  };
}
