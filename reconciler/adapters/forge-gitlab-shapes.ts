// What GitLab answers, in our words: merge requests, accounts, commits, notes and approvals. What is not understood is an error.
import type { Identity, PullRequest } from '../model/approval.ts';
import type { AdapterError } from '../model/failure.ts';
import { notUnderstood } from './forge-failure.ts';
import { fieldReaders, type Fields } from './forge-fields.ts';

/** A merge request as the API tells it, and what only some callers need. */
export interface GitlabPull {
  readonly pull: PullRequest;
  readonly text: string;
}

/** A commit of a merge request. The API names no account. */
export interface GitlabCommit {
  readonly sha: string;
  readonly message: string;
  readonly author: { readonly name: string; readonly email: string };
  readonly committer: { readonly name: string; readonly email: string };
}

/** An account with what only its own page tells. */
export interface GitlabAccount extends Identity {
  readonly email: string | undefined;
}

/** A remark under a merge request; GitLab's own (`system`) are its diary, and nobody can write those. */
export interface GitlabNote {
  readonly id: string;
  readonly by: Identity;
  readonly text: string;
  readonly system: boolean;
  readonly at: number;
}

/** Who approves now. Older versions do not say since when. */
export interface GitlabApproval {
  readonly by: Identity;
  readonly at: number | undefined;
}

/** What was seen under a merge request from one push to the next. */
export interface GitlabVersion {
  readonly id: number;
  readonly head: string;
  readonly at: number;
}

function unreadable(what: string): AdapterError {
  return notUnderstood({ forge: 'GitLab', what: 'reading its answer', needs: '' }, what);
}

export const { fieldsOf, textOf, numberOf, instantOf, commitOf: shaOf } = fieldReaders('GitLab');

/** Names that GitLab gives to the accounts of access tokens, service accounts and deleted people; its own page says it for sure. */
const programs = /^(project|group)_\d+_bot|^service_account_|^ghost\d*$|^(alert|support|security|duo)-[a-z-]*bot/;

export function identityOf(value: unknown, what: string): Identity {
  const user = fieldsOf(value, what);
  const name = textOf(user, 'username', what);
  return { id: String(numberOf(user, 'id', what)), name, bot: user['bot'] === true || programs.test(name) };
}

/** An account's own page (`GET /users/:id`). */
export function accountOf(value: unknown): GitlabAccount {
  const fields = fieldsOf(value, 'an account');
  const email = fields['public_email'];
  return {
    ...identityOf(fields, 'an account'),
    email: typeof email === 'string' && email !== '' ? email.toLowerCase() : undefined,
  };
}

const states = { opened: 'open', locked: 'open', closed: 'closed', merged: 'merged' } as const;

/** A merge request; lists leave `diff_refs` out. */
export function pullOf(value: unknown): GitlabPull {
  const fields = fieldsOf(value, 'a merge request');
  const number = numberOf(fields, 'iid', 'a merge request');
  const what = `merge request ${number}`;
  const said = textOf(fields, 'state', what);
  if (!Object.hasOwn(states, said)) throw unreadable(`${what} is in state "${said}"`);
  const state = states[said as keyof typeof states];
  const head = shaOf(fields, 'sha', what);
  const refs = fields['diff_refs'];
  const base = typeof refs === 'object' && refs !== null ? (refs as Fields)['base_sha'] : undefined;
  const by = fields['merge_user'] ?? fields['merged_by'];
  // A fast-forward makes no commit: the head itself is on the branch.
  const made = ['merge_commit_sha', 'squash_commit_sha'].find((name) => typeof fields[name] === 'string');
  return {
    text: typeof fields['description'] === 'string' ? fields['description'] : '',
    pull: {
      forge: 'gitlab',
      number,
      url: textOf(fields, 'web_url', what),
      title: textOf(fields, 'title', what),
      state,
      base: textOf(fields, 'target_branch', what),
      branch: textOf(fields, 'source_branch', what),
      // The project of a fork may be gone.
      fork: fields['source_project_id'] !== numberOf(fields, 'target_project_id', what),
      head,
      ...(typeof base === 'string' ? { mergeBase: base } : {}),
      author: identityOf(fields['author'], `the author of ${what}`),
      merged:
        state === 'merged'
          ? {
              commit: made === undefined ? head : shaOf(fields, made, what),
              at: instantOf(fields, 'merged_at', what),
              by: by === null || by === undefined ? undefined : identityOf(by, `who merged ${what}`),
            }
          : undefined,
    },
  };
}

export function commitOf(value: unknown): GitlabCommit {
  const fields = fieldsOf(value, 'a commit');
  const sha = shaOf(fields, 'id', 'a commit');
  const what = `commit ${sha}`;
  const person = (role: 'author' | 'committer') => ({
    name: textOf(fields, `${role}_name`, what),
    email: textOf(fields, `${role}_email`, what),
  });
  return { sha, message: textOf(fields, 'message', what), author: person('author'), committer: person('committer') };
}

export function noteOf(value: unknown): GitlabNote {
  const fields = fieldsOf(value, 'a note');
  const id = String(numberOf(fields, 'id', 'a note'));
  const what = `note ${id}`;
  const { system } = fields;
  if (typeof system !== 'boolean') throw unreadable(`${what} does not say whether a person wrote it`);
  return {
    id,
    by: identityOf(fields['author'], `the author of ${what}`),
    text: textOf(fields, 'body', what),
    system,
    at: instantOf(fields, 'created_at', what),
  };
}

/** `approved_by` of `GET …/approvals`. */
export function approvalsOf(value: unknown): readonly GitlabApproval[] {
  const list = fieldsOf(value, 'the approvals')['approved_by'];
  if (!Array.isArray(list)) throw unreadable('the approvals name nobody, not even an empty list');
  return list.map((one: unknown) => {
    const fields = fieldsOf(one, 'an approval');
    const by = identityOf(fields['user'], 'who approves');
    const said = fields['approved_at'];
    return {
      by,
      at: said === undefined || said === null ? undefined : instantOf(fields, 'approved_at', 'an approval'),
    };
  });
}

export function versionOf(value: unknown): GitlabVersion {
  const fields = fieldsOf(value, 'a version');
  const what = 'a version of a merge request';
  return {
    id: numberOf(fields, 'id', what),
    head: shaOf(fields, 'head_commit_sha', what),
    at: instantOf(fields, 'created_at', what),
  };
}

/** Who asks for changes now, of the reviewers (`GET …/reviewers`). */
export function vetoOf(value: unknown): Identity | undefined {
  const fields = fieldsOf(value, 'a reviewer');
  const by = identityOf(fields['user'], 'a reviewer');
  return textOf(fields, 'state', 'a reviewer') === 'requested_changes' ? by : undefined;
}
