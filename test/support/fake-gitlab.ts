// GitLab's REST API over a false forge: the endpoints that Oakum uses, in the shapes of docs.gitlab.com/api.
import type {
  CommitSchema,
  ExpandedMergeRequestSchema,
  MergeRequestDiffVersionsSchema,
  MergeRequestReviewerSchema,
  UserSchema,
} from '@gitbeaker/rest';
import type { Account, FakeCommit, FakeForge, FakePull } from './fake-forge.ts';
import { ForgeRefusal } from './fake-forge.ts';
import { pageOf, type Face, type ForgeAnswer, type ForgeRequest } from './fake-forge-server.ts';

type Fields = Record<string, unknown>;

/**
 * A part of an answer as gitbeaker's types describe it: every field that is there is known to them, by name and kind. The compiler holds the false
 * one to these; the contract test holds all that passes to the facts of GitLab's own description (gitlab-facts.ts).
 */
type Told<T> = T extends readonly (infer One)[]
  ? readonly Told<One>[]
  : T extends object
    ? { readonly [Name in keyof T as string extends Name ? never : Name]?: Told<T[Name]> | undefined }
    : T;

/** What a project can be told about approvals; undefined: a GitLab without that tier. */
export interface GitlabSettings {
  reset_approvals_on_push: boolean;
  merge_requests_disable_committers_approval: boolean;
}

/** What this GitLab does otherwise than the standing one. */
export interface GitlabQuirks {
  settings: GitlabSettings | undefined;
  /** Approvals say since when they stand (newer versions do). */
  approvedAt: boolean;
  /** Milliseconds from an approval to when the newest version was made after it; 0: versions are older than approvals. */
  lateVersion: (pull: FakePull) => number | undefined;
  /** Notes of GitLab's own diary beside those of reviews. */
  diary: (pull: FakePull) => readonly { readonly by: Account; readonly text: string; readonly at: number }[];
  /** Reviewers whose state is "requested changes", though their diary does not say so. */
  vetoes: (pull: FakePull) => readonly Account[];
}

export function ordinaryGitlab(): GitlabQuirks {
  return {
    settings: { reset_approvals_on_push: true, merge_requests_disable_committers_approval: true },
    approvedAt: true,
    lateVersion: () => undefined,
    diary: () => [],
    vetoes: () => [],
  };
}

const time = (at: number): string => new Date(at).toISOString();
const word = (value: unknown): string => (typeof value === 'string' ? value : '');
const longestTitle = 255;
const longestNote = 1_000_000;

function refusal(status: number, message: string): ForgeAnswer {
  return { status, body: { message } };
}
const notFound = refusal(404, '404 Not found');

function user({ id, login }: Account) {
  const web_url = `http://localhost/${login}`;
  return { id, username: login, name: login, state: 'active', locked: false, web_url } satisfies Told<UserSchema>;
}

function request(pull: FakePull, forge: FakeForge): Fields {
  const squashed = pull.merged !== undefined && pull.introduced.length === 1;
  const fast = pull.merged?.commit === pull.head;
  return {
    id: 5000 + pull.number,
    iid: pull.number,
    project_id: 10,
    title: pull.title,
    description: pull.text,
    state: pull.state === 'open' ? 'opened' : pull.state,
    target_branch: pull.base,
    source_branch: pull.branch,
    source_project_id: pull.fork ? 11 : 10,
    target_project_id: 10,
    author: user(pull.author),
    sha: pull.head,
    merge_commit_sha: squashed || fast ? null : (pull.merged?.commit ?? null),
    squash_commit_sha: squashed && !fast ? (pull.merged?.commit ?? null) : null,
    merged_at: pull.merged === undefined ? null : time(pull.merged.at),
    merge_user: pull.merged === undefined ? null : user(pull.merged.by),
    created_at: time(pull.openedAt),
    updated_at: time(pull.changedAt),
    web_url: `http://localhost/${forge.owner}/${forge.name}/-/merge_requests/${pull.number}`,
    diff_refs: { base_sha: pull.baseCommit, head_sha: pull.head, start_sha: pull.baseCommit },
    // `merge_user` took the place of `merged_by` in GitLab 14.7, and gitbeaker has not followed.
  } satisfies Told<ExpandedMergeRequestSchema> & { readonly merge_user: unknown };
}

function commit(one: FakeCommit): Fields {
  return {
    id: one.sha,
    parent_ids: one.parents,
    message: one.message,
    author_name: one.author.name,
    author_email: one.author.email,
    authored_date: time(one.author.at),
    committer_name: one.committer.name,
    committer_email: one.committer.email,
    committed_date: time(one.committer.at),
  } satisfies Told<CommitSchema>;
}

/** The last decisive review of everybody. */
function standing(pull: FakePull, state: 'Approved' | 'ChangesRequested'): FakePull['reviews'] {
  const last = new Map(pull.reviews.filter((one) => one.state !== 'Commented').map((one) => [one.by.id, one]));
  // A push takes approvals away.
  const found = [...last.values()].filter((one) => one.state === state);
  return state === 'Approved' ? found.filter((one) => one.commit === pull.head) : found;
}

function notes(pull: FakePull, quirks: GitlabQuirks): readonly Fields[] {
  const said = {
    Approved: 'approved this merge request',
    ChangesRequested: 'requested changes',
    Dismissed: 'unapproved this merge request',
  };
  const reviews = pull.reviews.map(({ id, by, state, text, at }) => ({
    id,
    by,
    at,
    system: state !== 'Commented',
    body: state === 'Commented' ? text : said[state],
  }));
  const comments = pull.comments.map(({ id, by, text, at }) => ({ id, by, at, system: false, body: text }));
  const diary = quirks
    .diary(pull)
    .map(({ by, text, at }, index) => ({ id: 90_000 + index, by, at, system: true, body: text }));
  return [...reviews, ...comments, ...diary]
    .sort((a, b) => a.at - b.at)
    .map(({ by, at, ...rest }) => ({ ...rest, author: user(by), created_at: time(at), noteable_iid: pull.number }));
}

function versions(pull: FakePull, quirks: GitlabQuirks): readonly Fields[] {
  const decided = pull.reviews.filter((one) => one.commit === pull.head).map((one) => one.at);
  const last = Math.min(pull.changedAt, ...decided) - 1;
  const at = quirks.lateVersion(pull) ?? last;
  const common = { base_commit_sha: pull.baseCommit, start_commit_sha: pull.baseCommit };
  const newest = { id: 7000 + pull.number, head_commit_sha: pull.head, created_at: time(at), state: 'collected' };
  return [{ ...newest, ...common } satisfies Told<MergeRequestDiffVersionsSchema>];
}

/** GitLab's API for a token of anybody in {@link FakeForge}. */
export function gitlabFace(quirks: GitlabQuirks): Face {
  return async (asked, forge) => {
    const { path, viewer } = asked;
    if (viewer === undefined) return refusal(401, '401 Unauthorized');
    if (path === '/user') return { status: 200, body: user(viewer) };
    if (path === '/users' || path.startsWith('/users/')) return accounts(asked, forge);
    const group = /^\/groups\/(.+)\/members\/all$/.exec(path)?.[1];
    if (group !== undefined) {
      const members = forge.teams.get(group);
      const member = (one: Account): Fields => ({ ...user(one), membership_state: 'active' });
      return members === undefined ? notFound : listed(members, member, asked, forge);
    }
    const home = `/projects/${forge.owner}/${forge.name}`;
    if (!path.startsWith(`${home}/`)) return notFound;
    try {
      return await inProject(path.slice(home.length), asked, viewer, forge, quirks);
    } catch (error) {
      if (!(error instanceof ForgeRefusal)) throw error;
      return refusal({ exists: 409, empty: 400, missing: 404, state: 405 }[error.word], error.message);
    }
  };
}

function listed<T>(
  items: readonly T[],
  shown: (one: T) => unknown,
  asked: ForgeRequest,
  forge: FakeForge,
): ForgeAnswer {
  const words = { size: 'per_page', standard: 20 };
  const { items: part, headers, pages } = pageOf(items, asked, forge, words);
  const page = Number(asked.query.get('page') ?? 1);
  const told = {
    'x-page': String(page),
    'x-next-page': page < pages ? String(page + 1) : '',
    'x-total': String(items.length),
    'x-total-pages': String(pages),
  };
  return { status: 200, body: part.map(shown), headers: { ...headers, ...told } };
}

function accounts(asked: ForgeRequest, forge: FakeForge): ForgeAnswer {
  const id = /^\/users\/(\d+)$/.exec(asked.path)?.[1];
  const one = forge.accounts.find((account) => String(account.id) === id);
  if (id !== undefined)
    return one === undefined
      ? notFound
      : { status: 200, body: { ...user(one), bot: one.bot, public_email: one.email } };
  const search = (asked.query.get('search') ?? '').toLowerCase();
  const found = forge.accounts.filter((account) => account.email.includes(search));
  // The first page, without its number: pages of this list go by keys, as its description says ("In GitLab 17.0 and later").
  return { status: 200, body: found.slice(0, Number(asked.query.get('per_page') ?? 20)).map(user) };
}

async function inProject(
  path: string,
  asked: ForgeRequest,
  viewer: Account,
  forge: FakeForge,
  quirks: GitlabQuirks,
): Promise<ForgeAnswer> {
  const { method, body } = asked;
  if (path === '/approvals') return quirks.settings ? { status: 200, body: { ...quirks.settings } } : notFound;
  const status = /^\/statuses\/(\w+)$/.exec(path)?.[1];
  if (status !== undefined && method === 'POST') {
    if ((await forge.tip(status)) === undefined) return notFound;
    // The port's "failure" and "error" are one state here.
    const state = body['state'] === 'failed' ? 'failure' : word(body['state']);
    const made = { context: word(body['name']), state, text: word(body['description']) };
    return { status: 201, body: shownStatus(status, forge.status(status, viewer, made)) };
  }
  if (path.startsWith('/repository/')) return inRepository(path.slice('/repository'.length), asked, forge);
  const [, area = '', name = '', more = '', id = ''] = path.split('/');
  if (area !== 'merge_requests') return notFound;
  if (name === '' && method === 'POST') return openRequest(asked, viewer, forge);
  if (name === '') {
    const { query } = asked;
    const state = { opened: 'open', closed: 'closed', merged: 'merged' }[query.get('state') ?? ''];
    const wanted = forge.pulls.filter(
      (one) =>
        (state === undefined || one.state === state) &&
        [one.base, null].includes(query.get('target_branch')) &&
        [one.branch, null].includes(query.get('source_branch')),
    );
    return listed(wanted, (one) => ({ ...request(one, forge), diff_refs: undefined }), asked, forge);
  }
  const pull = forge.pull(Number(name));
  if (more === 'notes') return noted(pull, id, asked, viewer, forge, quirks);
  if (more === 'commits') return listed((await forge.commitsOf(pull)).reverse(), commit, asked, forge);
  if (more === 'versions') return listed(versions(pull, quirks), (one) => one, asked, forge);
  if (more === 'reviewers') {
    const vetoes = new Set([...standing(pull, 'ChangesRequested').map(({ by }) => by), ...quirks.vetoes(pull)]);
    const all = [...new Set([...pull.reviews.map(({ by }) => by), ...vetoes])];
    const shown = (by: Account) =>
      ({
        user: user(by),
        state: vetoes.has(by) ? 'requested_changes' : 'reviewed',
      }) satisfies Told<MergeRequestReviewerSchema>;
    return listed(all, shown, asked, forge);
  }
  if (more === 'approvals') {
    const list = standing(pull, 'Approved').map(({ by, at }) => ({
      user: user(by),
      ...(quirks.approvedAt ? { approved_at: time(at) } : {}),
    }));
    const user_has_approved = list.some((one) => one.user.id === viewer.id);
    return { status: 200, body: { user_has_approved, approved: list.length > 0, approved_by: list } };
  }
  if (method === 'PUT') return editRequest(pull, asked, forge);
  return { status: 200, body: request(pull, forge) };
}

async function inRepository(path: string, asked: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  const { query } = asked;
  const branch = /^\/branches\/(.+)$/.exec(path)?.[1];
  if (branch !== undefined) {
    const tip = await forge.tip(`refs/heads/${branch}`);
    return tip === undefined ? notFound : { status: 200, body: { name: branch, commit: { id: tip } } };
  }
  if (path === '/commits') {
    const file = query.get('path');
    const found = await forge.log(query.get('ref_name') ?? 'main', ...(file === null ? [] : ['--', file]));
    return listed(found, commit, asked, forge);
  }
  const [, area = '', sha = '', more = ''] = path.split('/');
  if (area !== 'commits' || (await forge.tip(sha)) === undefined) return notFound;
  if (more === 'merge_requests') {
    const related: FakePull[] = [];
    for (const pull of forge.pulls) {
      const commits = await forge.commitsOf(pull);
      if (pull.merged?.commit === sha || commits.some((one) => one.sha === sha)) related.push(pull);
    }
    return listed(related, (one) => ({ ...request(one, forge), diff_refs: undefined }), asked, forge);
  }
  if (more !== 'statuses') return notFound;
  const newest = new Map(forge.statuses.filter((one) => one.commit === sha).map((one) => [one.context, one]));
  return listed([...newest.values()], (one) => shownStatus(sha, one), asked, forge);
}

function shownStatus(sha: string, { id, context, state, text }: FakeForge['statuses'][number]): Fields {
  return { id, sha, name: context, status: state === 'failure' ? 'failed' : state, description: text };
}

async function openRequest({ body }: ForgeRequest, viewer: Account, forge: FakeForge): Promise<ForgeAnswer> {
  const [title, base, branch] = [word(body['title']), word(body['target_branch']), word(body['source_branch'])];
  if (title.length > longestTitle) return refusal(400, 'title is too long (maximum is 255 characters)');
  const made = await forge.open({ by: viewer, branch, base, title, text: word(body['description']) });
  return { status: 201, body: request(made, forge) };
}

function editRequest(pull: FakePull, { body }: ForgeRequest, forge: FakeForge): ForgeAnswer {
  if (word(body['title']) !== '') pull.title = word(body['title']);
  if (typeof body['description'] === 'string') pull.text = body['description'];
  if (body['state_event'] === 'close') {
    if (pull.state === 'merged') return refusal(422, 'state cannot transition via "close"');
    forge.close(pull.number);
  }
  return { status: 200, body: request(pull, forge) };
}

function noted(
  pull: FakePull,
  id: string,
  asked: ForgeRequest,
  viewer: Account,
  forge: FakeForge,
  quirks: GitlabQuirks,
): ForgeAnswer {
  const { method } = asked;
  const text = word(asked.body['body']);
  const shown = (wanted: number) => notes(pull, quirks).find((one) => one['id'] === wanted);
  if (text.length > longestNote) return refusal(400, 'note is too long');
  if (id === '' && method === 'GET') return listed(notes(pull, quirks), (one) => one, asked, forge);
  if (id === '') return { status: 201, body: shown(forge.comment(pull.number, viewer, text).id) };
  const found = pull.comments.find((one) => String(one.id) === id);
  if (found === undefined) return notFound;
  if (found.by !== viewer) return refusal(403, '403 Forbidden');
  if (method === 'DELETE') {
    forge.removeComment(found.id);
    return { status: 204 };
  }
  found.text = text;
  found.editedAt = forge.tick();
  return { status: 200, body: shown(found.id) };
}
