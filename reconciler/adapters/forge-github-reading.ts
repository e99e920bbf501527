// GitHub's answers → the words of the model. What is not understood is an error, never left out.
import type { Identity, PullRequest, Review } from '../model/approval.ts';
import { notUnderstood, type ForgeCall } from './forge-failure.ts';
import type { WrittenCommit } from './forge-contributors.ts';

/** The part of `simple-user` that is read. */
export interface GithubUser {
  readonly id: number;
  readonly login: string;
  readonly type: string;
}

/** The part of `pull-request` and `pull-request-simple` that is read; `merged_by` is in the former only. */
export interface GithubPull {
  readonly number: number;
  readonly html_url: string;
  readonly title: string;
  readonly body: string | null;
  readonly state: string;
  readonly merged_at: string | null;
  readonly merge_commit_sha: string | null;
  readonly merged_by?: GithubUser | null;
  readonly user: GithubUser | null;
  readonly head: { readonly ref: string; readonly sha: string; readonly repo: { readonly full_name: string } | null };
  readonly base: { readonly ref: string; readonly repo: { readonly full_name: string } };
}

/** The part of `pull-request-review` that is read. */
export interface GithubReview {
  readonly id: number;
  readonly user: GithubUser | null;
  readonly state: string;
  readonly commit_id: string | null;
  readonly submitted_at?: string | undefined;
}

interface GithubSignature {
  readonly name?: string | undefined;
  readonly email?: string | undefined;
}

/** The part of `commit` that is read. An account that GitHub does not know is null or an empty object. */
export interface GithubCommit {
  readonly sha: string;
  readonly commit: {
    readonly author: GithubSignature | null;
    readonly committer: GithubSignature | null;
    readonly message: string;
  };
  readonly author: Partial<GithubUser> | null;
  readonly committer: Partial<GithubUser> | null;
}

const objectId = /^[0-9a-f]{40}([0-9a-f]{24})?$/;

/** Who stands in place of an account that was deleted. Its reviews count for nobody, as those of bots. */
const ghost: Identity = { id: 'ghost', name: 'ghost', bot: true };

/** An account. Apps and machine users of GitHub are `Bot`; `Organization` and `Mannequin` are nobody either. */
export function identityOf(user: GithubUser, call: ForgeCall): Identity {
  if (!Number.isSafeInteger(user.id) || typeof user.login !== 'string' || typeof user.type !== 'string')
    throw notUnderstood(call, 'an account without id, login and type');
  return { id: String(user.id), name: user.login, bot: user.type !== 'User' || user.login.endsWith('[bot]') };
}

function momentOf(text: string | null | undefined, call: ForgeCall): number {
  const at = Date.parse(text ?? '');
  if (Number.isNaN(at)) throw notUnderstood(call, `"${String(text)}" is not a time`);
  return at;
}

function shaOf(text: string | null | undefined, call: ForgeCall): string {
  if (text === null || text === undefined || !objectId.test(text))
    throw notUnderstood(call, `"${String(text)}" is not a commit`);
  return text;
}

export function pullOf(pull: GithubPull, call: ForgeCall): PullRequest {
  if (!Number.isSafeInteger(pull.number)) throw notUnderstood(call, 'a pull request without a number');
  if (pull.state !== 'open' && pull.state !== 'closed') throw notUnderstood(call, `the state "${pull.state}"`);
  const merged = pull.merged_at !== null;
  return {
    forge: 'github',
    number: pull.number,
    url: pull.html_url,
    title: pull.title,
    state: merged ? 'merged' : pull.state,
    base: pull.base.ref,
    branch: pull.head.ref,
    // The repository of a fork may be gone.
    fork: pull.head.repo?.full_name.toLowerCase() !== pull.base.repo.full_name.toLowerCase(),
    head: shaOf(pull.head.sha, call),
    author: pull.user === null ? ghost : identityOf(pull.user, call),
    merged: merged
      ? {
          commit: shaOf(pull.merge_commit_sha, call),
          at: momentOf(pull.merged_at, call),
          by: pull.merged_by ? identityOf(pull.merged_by, call) : undefined,
        }
      : undefined,
  };
}

const reviewStates: Readonly<Record<string, Review['state']>> = {
  APPROVED: 'Approved',
  CHANGES_REQUESTED: 'ChangesRequested',
  COMMENTED: 'Commented',
  DISMISSED: 'Dismissed',
};

/** A review; undefined for one that its author has not sent yet (GitHub shows `PENDING` to its author only). */
export function reviewOf(review: GithubReview, host: string, call: ForgeCall): Review | undefined {
  if (review.state === 'PENDING') return undefined;
  const state = reviewStates[review.state];
  if (state === undefined) throw notUnderstood(call, `a review in the state "${review.state}"`);
  const by = review.user === null ? ghost : identityOf(review.user, call);
  return {
    id: String(review.id),
    by,
    emails: by === ghost ? [] : privateEmails(by, host),
    state,
    commit: review.commit_id === null ? undefined : shaOf(review.commit_id, call),
    at: momentOf(review.submitted_at, call),
  };
}

/** The addresses that GitHub gives to an account itself; both forms are in use (docs.github.com, "Setting your commit email address"). */
function privateEmails({ id, name }: Identity, host: string): readonly string[] {
  const login = name.toLowerCase();
  return [`${id}+${login}@users.noreply.${host}`, `${login}@users.noreply.${host}`];
}

/** The account behind an address that GitHub gave out itself, when the address holds its number. */
export function accountOfEmail(email: string, host: string): Identity | undefined {
  const match = /^(\d+)\+([^@]+)@users\.noreply\.([^@]+)$/.exec(email.toLowerCase());
  if (!match || match[3] !== host.toLowerCase()) return undefined;
  const [, id = '', name = ''] = match;
  return { id, name, bot: name.endsWith('[bot]') };
}

export function commitOf(one: GithubCommit, call: ForgeCall): WrittenCommit {
  shaOf(one.sha, call);
  const { author, committer, message } = one.commit;
  if (typeof message !== 'string') throw notUnderstood(call, `commit ${one.sha} has no message`);
  const account = (user: Partial<GithubUser> | null): Identity | undefined =>
    user === null || user.id === undefined
      ? undefined
      : identityOf({ id: user.id, login: user.login ?? '', type: user.type ?? '' }, call);
  return {
    author: { name: author?.name ?? '', email: author?.email ?? '', account: account(one.author) },
    committer: { name: committer?.name ?? '', email: committer?.email ?? '', account: account(one.committer) },
    message,
  };
}
