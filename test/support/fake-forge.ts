// A forge in memory over a real Git repository: people, teams, pull requests, reviews, statuses, comments. It has no API: faces give it one.
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { gitEnvironment, startGitServer, type GitServer } from './git-server.ts';

/** An account. The id stays, the login may change. */
export interface Account {
  readonly id: number;
  login: string;
  readonly email: string;
  readonly bot: boolean;
  /** What its owner sends to prove who it is. */
  readonly token: string;
}

export type ReviewState = 'Approved' | 'ChangesRequested' | 'Commented' | 'Dismissed';

export interface FakeReview {
  readonly id: number;
  readonly by: Account;
  state: ReviewState;
  /** Undefined: the forge does not say which commit was reviewed. */
  readonly commit: string | undefined;
  readonly at: number;
  readonly text: string;
}

export interface FakeComment {
  readonly id: number;
  readonly by: Account;
  text: string;
  readonly at: number;
  editedAt: number;
}

export interface FakePull {
  readonly number: number;
  title: string;
  text: string;
  readonly author: Account;
  readonly branch: string;
  readonly base: string;
  readonly fork: boolean;
  head: string;
  /** The commit of the base branch that it was made from, or merged into. */
  baseCommit: string;
  state: 'open' | 'closed' | 'merged';
  readonly openedAt: number;
  changedAt: number;
  closedAt: number | undefined;
  merged: { readonly commit: string; readonly at: number; readonly by: Account } | undefined;
  /** Commits of the base branch that came with the merge. */
  introduced: readonly string[];
  readonly reviews: FakeReview[];
  readonly comments: FakeComment[];
}

export interface FakeStatus {
  readonly id: number;
  readonly commit: string;
  readonly context: string;
  readonly state: string;
  readonly text: string;
  readonly at: number;
  readonly by: Account;
}

/** A check run: a program's findings about a commit, at lines. */
export interface FakeCheck {
  readonly id: number;
  readonly by: Account;
  readonly name: string;
  readonly commit: string;
  readonly mark: string;
  status: string;
  conclusion: string | undefined;
  title: string;
  summary: string;
  readonly startedAt: number;
  endedAt: number | undefined;
  readonly annotations: {
    readonly path: string;
    readonly line: number;
    readonly column: number;
    readonly text: string;
  }[];
}

/** A commit as native git tells of it. */
export interface FakeCommit {
  readonly sha: string;
  readonly tree: string;
  readonly parents: readonly string[];
  readonly author: { readonly name: string; readonly email: string; readonly at: number };
  readonly committer: { readonly name: string; readonly email: string; readonly at: number };
  readonly message: string;
}

export interface CommitOptions {
  readonly by: Account;
  /** Other names and addresses than the author's account has. */
  readonly committer?: { readonly name: string; readonly email: string };
  readonly author?: { readonly name: string; readonly email: string };
  readonly message?: string;
  readonly coAuthors?: readonly { readonly name: string; readonly email: string }[];
}

export type Files = Readonly<Record<string, string | undefined>>;
export type MergeStyle = 'merge' | 'squash' | 'rebase';

/** What the forge refuses, with the word for it. */
export class ForgeRefusal extends Error {
  readonly word: 'exists' | 'empty' | 'missing' | 'state';
  constructor(word: ForgeRefusal['word'], message: string) {
    super(message);
    this.word = word;
  }
}

const run = promisify(execFile);

/** One repository of a forge and everybody around it. */
export class FakeForge {
  readonly git: GitServer;
  readonly owner = 'acme';
  readonly name = 'config';
  readonly accounts: Account[] = [];
  /** Members by `org/team`. */
  readonly teams = new Map<string, Account[]>();
  readonly pulls: FakePull[] = [];
  readonly statuses: FakeStatus[] = [];
  readonly checks: FakeCheck[] = [];
  /** The account that Oakum's token belongs to. */
  readonly oakum: Account;
  /** Most entries of one page, however many are asked for. */
  mostPerPage = 100;
  private ids = 1000;
  private time = Date.parse('2026-11-02T08:00:00Z');

  private constructor(git: GitServer, app: boolean) {
    this.git = git;
    this.oakum = this.account('oakum-machine', { bot: app });
  }

  /** `app`: Oakum is a program of the forge (a GitHub App), not a machine's account. */
  static async start({ app = false }: { readonly app?: boolean } = {}): Promise<FakeForge> {
    const forge = new FakeForge(await startGitServer(), app);
    await forge.commit('main', { 'README.md': 'a config repository\n' }, { by: forge.account('founder') });
    return forge;
  }

  stop(): Promise<void> {
    return this.git.stop();
  }

  /** Every event has its own second. */
  tick(): number {
    this.time += 1000;
    return this.time;
  }

  id(): number {
    return ++this.ids;
  }

  account(login: string, options: { readonly bot?: boolean } = {}): Account {
    const id = this.id();
    const account = {
      id,
      login: options.bot === true ? `${login}[bot]` : login,
      email: `${login}@example.org`,
      bot: options.bot ?? false,
      token: `canary-token-of-${login}-${id}`,
    };
    this.accounts.push(account);
    return account;
  }

  byToken(token: string): Account | undefined {
    return this.accounts.find((one) => one.token === token);
  }

  byEmail(email: string): Account | undefined {
    return this.accounts.find((one) => one.email === email.toLowerCase());
  }

  /** Native git in the repository. */
  async run(...words: string[]): Promise<string> {
    const { stdout } = await run('git', words, {
      cwd: this.git.repository,
      env: gitEnvironment,
      maxBuffer: 64 * 1024 * 1024,
    });
    return stdout.trimEnd();
  }

  /** The commit that a ref is at; undefined when there is no such ref. */
  async tip(ref: string): Promise<string | undefined> {
    return this.run('rev-parse', '--verify', '--quiet', `${ref}^{commit}`).catch(() => undefined);
  }

  /** Commits files on top of a branch, or of another commit when `onto` is given (a force-push). */
  async commit(branch: string, files: Files, options: CommitOptions & { readonly onto?: string }): Promise<string> {
    const ref = `refs/heads/${branch}`;
    const parent = options.onto ?? (await this.tip(ref));
    const at = `${Math.floor(this.tick() / 1000)} +0000`;
    const author = options.author ?? { name: options.by.login, email: options.by.email };
    const committer = options.committer ?? author;
    const trailers = (options.coAuthors ?? [])
      .map(({ name, email }) => `Co-authored-by: ${name} <${email}>\n`)
      .join('');
    const message = Buffer.from(`${options.message ?? 'a change'}\n${trailers === '' ? '' : `\n${trailers}`}`);
    const parts: (Buffer | string)[] = [
      `commit ${ref}\nauthor ${author.name} <${author.email}> ${at}\ncommitter ${committer.name} <${committer.email}> ${at}\n`,
      `data ${message.length}\n`,
      message,
      parent === undefined ? '' : `from ${parent}\n`,
    ];
    for (const [file, text] of Object.entries(files)) {
      if (text === undefined) parts.push(`D ${file}\n`);
      else parts.push(`M 100644 inline ${file}\ndata ${Buffer.byteLength(text)}\n${text}\n`);
    }
    execFileSync('git', ['fast-import', '--quiet', '--force', '--date-format=raw-permissive'], {
      cwd: this.git.repository,
      env: gitEnvironment,
      input: Buffer.concat(parts.map((part) => Buffer.from(part))),
    });
    const tip = (await this.tip(ref)) ?? '';
    await this.pushed(branch, tip);
    return tip;
  }

  /** What the forge does when a branch has moved: pull requests from it get a new head; those whose head is on the base now are merged. */
  async pushed(branch: string, tip: string): Promise<void> {
    for (const pull of this.pulls) {
      if (pull.state !== 'open') continue;
      if (pull.branch === branch && !pull.fork) await this.moveHead(pull, tip);
      if (pull.base === branch && (await this.isAncestor(pull.head, tip)) && pull.head !== pull.baseCommit)
        this.becomeMerged(pull, pull.head, this.oakum, [pull.head]);
    }
  }

  private async moveHead(pull: FakePull, head: string): Promise<void> {
    pull.head = head;
    pull.changedAt = this.tick();
    await this.run('update-ref', `refs/pull/${pull.number}/head`, head);
  }

  private isAncestor(older: string, newer: string): Promise<boolean> {
    return this.run('merge-base', '--is-ancestor', older, newer).then(
      () => true,
      () => false,
    );
  }

  async open(options: {
    readonly by: Account;
    readonly branch: string;
    readonly title?: string;
    readonly text?: string;
    readonly base?: string;
    readonly fork?: boolean;
  }): Promise<FakePull> {
    const base = options.base ?? 'main';
    const head = await this.tip(`refs/heads/${options.branch}`);
    const baseCommit = await this.tip(`refs/heads/${base}`);
    if (head === undefined || baseCommit === undefined)
      throw new ForgeRefusal('missing', `no branch ${options.branch}`);
    if (await this.isAncestor(head, baseCommit))
      throw new ForgeRefusal('empty', `no commits between ${base} and ${head}`);
    // No waiting between this look and the entry: two that ask at once must not both be let in.
    if (this.pulls.some((one) => one.state === 'open' && one.branch === options.branch && one.base === base))
      throw new ForgeRefusal('exists', `a pull request from ${options.branch} to ${base} is open already`);
    const now = this.tick();
    const pull: FakePull = {
      number: this.pulls.length + 1,
      title: options.title ?? `Change from ${options.branch}`,
      text: options.text ?? '',
      author: options.by,
      branch: options.branch,
      base,
      fork: options.fork ?? false,
      head,
      baseCommit,
      state: 'open',
      openedAt: now,
      changedAt: now,
      closedAt: undefined,
      merged: undefined,
      introduced: [],
      reviews: [],
      comments: [],
    };
    this.pulls.push(pull);
    await this.run('update-ref', `refs/pull/${pull.number}/head`, head);
    // The branch of a fork is not in this repository.
    if (pull.fork) await this.run('update-ref', '-d', `refs/heads/${options.branch}`);
    return pull;
  }

  pull(number: number): FakePull {
    const pull = this.pulls.find((one) => one.number === number);
    if (!pull) throw new ForgeRefusal('missing', `no pull request ${number}`);
    return pull;
  }

  review(
    number: number,
    by: Account,
    state: ReviewState,
    options: { readonly commit?: string | undefined } = {},
  ): FakeReview {
    const pull = this.pull(number);
    const commit = 'commit' in options ? options.commit : pull.head;
    const review: FakeReview = { id: this.id(), by, state, commit, at: this.tick(), text: `${state} by ${by.login}` };
    pull.reviews.push(review);
    pull.changedAt = review.at;
    return review;
  }

  dismiss(number: number, review: number): void {
    const pull = this.pull(number);
    const found = pull.reviews.find((one) => one.id === review);
    if (!found) throw new ForgeRefusal('missing', `no review ${review}`);
    found.state = 'Dismissed';
    pull.changedAt = this.tick();
  }

  close(number: number): void {
    const pull = this.pull(number);
    if (pull.state !== 'open') return;
    pull.state = 'closed';
    pull.closedAt = this.tick();
    pull.changedAt = pull.closedAt;
  }

  reopen(number: number): void {
    const pull = this.pull(number);
    if (pull.state !== 'closed') throw new ForgeRefusal('state', `${number} is ${pull.state}`);
    pull.state = 'open';
    pull.closedAt = undefined;
    pull.changedAt = this.tick();
  }

  comment(number: number, by: Account, text: string): FakeComment {
    const at = this.tick();
    const comment = { id: this.id(), by, text, at, editedAt: at };
    this.pull(number).comments.push(comment);
    return comment;
  }

  removeComment(id: number): void {
    for (const pull of this.pulls) {
      const index = pull.comments.findIndex((one) => one.id === id);
      if (index >= 0) pull.comments.splice(index, 1);
    }
  }

  status(commit: string, by: Account, status: { context: string; state: string; text: string }): FakeStatus {
    const made = { id: this.id(), commit, at: this.tick(), by, ...status };
    this.statuses.push(made);
    return made;
  }

  /** Merges as the button of a forge does; returns the new tip of the base branch. */
  async merge(number: number, by: Account, style: MergeStyle): Promise<string> {
    const pull = this.pull(number);
    if (pull.state !== 'open') throw new ForgeRefusal('state', `${number} is ${pull.state}`);
    const ref = `refs/heads/${pull.base}`;
    const base = (await this.tip(ref)) ?? '';
    const brought = (await this.run('rev-list', '--reverse', `${base}..${pull.head}`)).split('\n');
    const tip =
      style === 'rebase' ? await this.rebase(base, pull.head, by) : await this.mergeCommit(pull, base, style, by);
    const introduced =
      style === 'squash'
        ? [tip]
        : style === 'merge'
          ? [tip, ...brought]
          : (await this.run('rev-list', `${base}..${tip}`)).split('\n');
    await this.run('update-ref', ref, tip, base);
    pull.baseCommit = base;
    this.becomeMerged(pull, tip, by, introduced);
    await this.pushed(pull.base, tip);
    return tip;
  }

  private becomeMerged(pull: FakePull, commit: string, by: Account, introduced: readonly string[]): void {
    pull.state = 'merged';
    pull.merged = { commit, at: this.tick(), by };
    pull.closedAt = pull.merged.at;
    pull.changedAt = pull.merged.at;
    pull.introduced = introduced;
  }

  private as(by: Account): NodeJS.ProcessEnv {
    const at = `${Math.floor(this.tick() / 1000)} +0000`;
    return {
      ...gitEnvironment,
      GIT_AUTHOR_NAME: by.login,
      GIT_AUTHOR_EMAIL: by.email,
      GIT_AUTHOR_DATE: at,
      GIT_COMMITTER_NAME: by.login,
      GIT_COMMITTER_EMAIL: by.email,
      GIT_COMMITTER_DATE: at,
    };
  }

  private async mergeCommit(pull: FakePull, base: string, style: 'merge' | 'squash', by: Account): Promise<string> {
    const tree = (await this.run('merge-tree', '--write-tree', base, pull.head)).split('\n')[0] ?? '';
    const parents = style === 'merge' ? ['-p', base, '-p', pull.head] : ['-p', base];
    const message = style === 'merge' ? `Merge pull request #${pull.number}` : `${pull.title} (#${pull.number})`;
    const { stdout } = await run('git', ['commit-tree', tree, ...parents, '-m', message], {
      cwd: this.git.repository,
      env: this.as(style === 'merge' ? by : pull.author),
    });
    return stdout.trim();
  }

  private async rebase(base: string, head: string, by: Account): Promise<string> {
    const folder = path.join(this.git.folder, `rebase-${this.id()}`);
    await this.run('worktree', 'add', '--quiet', '--detach', folder, base);
    try {
      const { GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL, GIT_COMMITTER_DATE } = this.as(by);
      const env = { ...gitEnvironment, GIT_COMMITTER_NAME, GIT_COMMITTER_EMAIL, GIT_COMMITTER_DATE };
      await run('git', ['cherry-pick', `${base}..${head}`], { cwd: folder, env });
      return (await run('git', ['rev-parse', 'HEAD'], { cwd: folder, env })).stdout.trim();
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
      await this.run('worktree', 'prune');
    }
  }

  rename(account: Account, login: string): void {
    account.login = login;
  }

  /** Commits, newest first, as `git log` finds them. */
  async log(...words: string[]): Promise<FakeCommit[]> {
    const format = '%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x01';
    const text = await this.run('log', `--format=${format}`, ...words);
    return text
      .split('\u0001')
      .map((one) => one.replace(/^\n/, ''))
      .filter((one) => one !== '')
      .map((one) => {
        const [sha = '', tree = '', parents = '', an = '', ae = '', at = '', cn = '', ce = '', ct = '', message = ''] =
          one.split('\0');
        return {
          sha,
          tree,
          parents: parents.split(' ').filter((word) => word !== ''),
          author: { name: an, email: ae, at: Number(at) * 1000 },
          committer: { name: cn, email: ce, at: Number(ct) * 1000 },
          message: message.trimEnd(),
        };
      });
  }

  /** Commits of a pull request, oldest first. */
  async commitsOf(pull: FakePull): Promise<FakeCommit[]> {
    return (await this.log(`${pull.baseCommit}..${pull.head}`)).reverse();
  }
}
