// What Gitea and Forgejo answer, in our words: pull requests, accounts, reviews, and who had a hand in a commit.
import type { Contributor, Identity, PullRequest, Review } from '../model/approval.ts';
import type { AdapterError } from '../model/failure.ts';
import { contributorsOf, type WrittenCommit } from './forge-contributors.ts';
import { notUnderstood } from './forge-failure.ts';
import { fieldReaders } from './forge-fields.ts';

/** A pull request as the API tells it, and what only some callers need. */
export interface GiteaPull {
  readonly pull: PullRequest;
  readonly text: string;
}

/** A commit of a list of commits. */
export interface GiteaCommit {
  readonly sha: string;
  readonly parents: readonly string[];
  readonly message: string;
  /** Author's name, address and time, in one string: a rebase keeps them. */
  readonly authorship: string;
  readonly written: WrittenCommit;
}

function unreadable(what: string): AdapterError {
  return notUnderstood({ forge: 'Gitea', what: 'reading its answer', needs: '' }, what);
}

export const { fieldsOf, textOf, numberOf, instantOf, commitOf } = fieldReaders('Gitea');

/**
 * An account. Ids below 1 belong to accounts of the system: all deleted accounts share -1 ("Ghost"), workflows act as -2, so they are nobody who
 * could approve. Whether an account that somebody made for a program is one, the API does not tell.
 */
export function identityOf(value: unknown, what: string): Identity {
  const user = fieldsOf(value, what);
  const id = numberOf(user, 'id', what);
  return { id: String(id), name: textOf(user, 'login', what), bot: id < 1 };
}

/** A pull request, as a list or the merge of a commit tells it. `head` is the tip of its branch, even when it was merged before. */
export function pullOf(value: unknown): GiteaPull {
  const fields = fieldsOf(value, 'a pull request');
  const number = numberOf(fields, 'number', 'a pull request');
  const what = `pull request ${number}`;
  const base = fieldsOf(fields['base'], `the base of ${what}`);
  const head = fieldsOf(fields['head'], `the head of ${what}`);
  // A pull request that was made by pushing to refs/for (AGit) has no branch, and anybody who may read may make one: as from a fork.
  const branch = textOf(head, 'label', `the head of ${what}`);
  const said = textOf(fields, 'state', what);
  if (said !== 'open' && said !== 'closed') throw unreadable(`${what} is in state "${said}"`);
  if (typeof fields['merged'] !== 'boolean') throw unreadable(`${what} does not say whether it was merged`);
  const isMerged = fields['merged'];
  const by = fields['merged_by'];
  return {
    text: typeof fields['body'] === 'string' ? fields['body'] : '',
    pull: {
      forge: 'gitea',
      number,
      url: textOf(fields, 'html_url', what),
      title: textOf(fields, 'title', what),
      state: isMerged ? 'merged' : said,
      base: textOf(base, 'ref', `the base of ${what}`),
      branch,
      fork: branch === '' || base['repo_id'] !== head['repo_id'],
      head: commitOf(head, 'sha', `the head of ${what}`),
      author: identityOf(fields['user'], `the author of ${what}`),
      merged: isMerged
        ? {
            commit: commitOf(fields, 'merge_commit_sha', what),
            at: instantOf(fields, 'merged_at', what),
            by: by === null || by === undefined ? undefined : identityOf(by, `who merged ${what}`),
          }
        : undefined,
    },
  };
}

/** A review; undefined for what is none yet: a draft that only its author sees, a request to review. */
export function reviewOf(value: unknown): Review | undefined {
  const fields = fieldsOf(value, 'a review');
  const id = numberOf(fields, 'id', 'a review');
  const what = `review ${id}`;
  const state = textOf(fields, 'state', what);
  if (state === 'PENDING' || state === 'REQUEST_REVIEW') return undefined;
  const decided =
    state === 'APPROVED'
      ? 'Approved'
      : state === 'REQUEST_CHANGES'
        ? 'ChangesRequested'
        : state === 'COMMENT'
          ? 'Commented'
          : undefined;
  if (decided === undefined) throw unreadable(`${what} is in state "${state}"`);
  const { dismissed } = fields;
  if (typeof dismissed !== 'boolean') throw unreadable(`${what} does not say whether it was dismissed`);
  const user = fieldsOf(fields['user'], `the author of ${what}`);
  const commit = fields['commit_id'];
  const { email } = user;
  return {
    id: String(id),
    by: identityOf(user, `the author of ${what}`),
    emails: typeof email === 'string' && email !== '' ? [email.toLowerCase()] : [],
    // A comment is never decisive, dismissed or not.
    state: dismissed && decided !== 'Commented' ? 'Dismissed' : decided,
    commit: typeof commit === 'string' && commit !== '' ? commit : undefined,
    at: instantOf(fields, 'submitted_at', what),
  };
}

/** A commit of a list, with everybody whom it names. */
export function commitEntryOf(value: unknown): GiteaCommit {
  const fields = fieldsOf(value, 'a commit');
  const sha = commitOf(fields, 'sha', 'a commit');
  const what = `commit ${sha}`;
  const commit = fieldsOf(fields['commit'], what);
  const message = textOf(commit, 'message', what);
  const parents = fields['parents'];
  if (!Array.isArray(parents)) throw unreadable(`${what} does not name its parents`);
  const author = fieldsOf(commit['author'], `the author of ${what}`);
  const person = (role: 'author' | 'committer'): WrittenCommit['author'] => {
    const told = fieldsOf(commit[role], `the ${role} of ${what}`);
    const account = fields[role];
    return {
      name: textOf(told, 'name', `the ${role} of ${what}`),
      email: textOf(told, 'email', `the ${role} of ${what}`),
      account: account === null || account === undefined ? undefined : identityOf(account, `the ${role} of ${what}`),
    };
  };
  return {
    sha,
    parents: parents.map((parent) => commitOf(fieldsOf(parent, `a parent of ${what}`), 'sha', `a parent of ${what}`)),
    message,
    authorship: JSON.stringify([author['name'], author['email'], instantOf(author, 'date', `the author of ${what}`)]),
    written: { author: person('author'), committer: person('committer'), message },
  };
}

/** Everybody who had a hand in the commits; a co-author has the account that another commit shows for the address. */
export function everybodyIn(commits: readonly GiteaCommit[]): readonly Contributor[] {
  const accounts = new Map<string, Identity>();
  for (const { written } of commits)
    for (const { email, account } of [written.author, written.committer])
      if (account !== undefined) accounts.set(email.trim().toLowerCase(), account);
  return contributorsOf(
    commits.map(({ written }) => written),
    (email) => accounts.get(email),
  );
}

/** Who pushed, when an entry of a timeline is a push; the forge keeps the pusher's account, whatever the commits say. */
export function pusherOf(value: unknown): Contributor | undefined {
  const fields = fieldsOf(value, 'an entry of a timeline');
  if (fields['type'] !== 'pull_push') return undefined;
  const user = fieldsOf(fields['user'], 'who pushed');
  const account = identityOf(user, 'who pushed');
  const { email } = user;
  return {
    account,
    name: account.name,
    email: typeof email === 'string' ? email.toLowerCase() : '',
    role: 'committer',
  };
}
