// Gitea's REST API over a false forge: the endpoints that Oakum uses. The shapes are those that a real one answered with (gitea-shapes.json).
import type { Account, FakeComment, FakeCommit, FakeForge, FakePull, FakeReview, FakeStatus } from './fake-forge.ts';
import { ForgeRefusal } from './fake-forge.ts';
import { pageOf, type Face, type ForgeAnswer, type ForgeRequest } from './fake-forge-server.ts';

type Fields = Record<string, unknown>;

const time = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z');
const timeOr = (at: number | undefined): string | null => (at === undefined ? null : time(at));
const word = (value: unknown): string => (typeof value === 'string' ? value : '');
/** Gitea pages by `limit`, 30 when nothing is said. */
const pages = { size: 'limit', standard: 30 };
const states = { Approved: 'APPROVED', ChangesRequested: 'REQUEST_CHANGES', Commented: 'COMMENT' } as const;
/** The column of a title. */
const longestTitle = 255;

function refusal(status: number, message: string): ForgeAnswer {
  return { status, body: { message, url: 'http://localhost/api/swagger' } };
}
const notFound = refusal(404, "The target couldn't be found.");

function user({ id, login, email }: Account): Fields {
  return { id, login, full_name: '', email, username: login, html_url: `http://localhost/${login}` };
}

function branchOf(pull: FakePull, side: 'base' | 'head'): Fields {
  if (side === 'base') return { label: pull.base, ref: pull.base, sha: pull.baseCommit, repo_id: 10 };
  return { label: pull.branch, ref: pull.branch, sha: pull.head, repo_id: pull.fork ? 11 : 10 };
}

function pullRequest(pull: FakePull): Fields {
  return {
    id: 5000 + pull.number,
    number: pull.number,
    html_url: `http://localhost/acme/config/pulls/${pull.number}`,
    title: pull.title,
    body: pull.text,
    user: user(pull.author),
    state: pull.state === 'open' ? 'open' : 'closed',
    merged: pull.state === 'merged',
    merged_at: timeOr(pull.merged?.at),
    merge_commit_sha: pull.merged?.commit ?? null,
    merged_by: pull.merged === undefined ? null : user(pull.merged.by),
    base: branchOf(pull, 'base'),
    head: branchOf(pull, 'head'),
    created_at: time(pull.openedAt),
    updated_at: time(pull.changedAt),
    closed_at: timeOr(pull.closedAt),
  };
}

/** A dismissed review keeps its state here and is marked; the false forge keeps only the mark. */
function review(one: FakeReview): Fields {
  return {
    id: one.id,
    user: user(one.by),
    team: null,
    state: one.state === 'Dismissed' ? 'APPROVED' : states[one.state],
    body: one.text,
    commit_id: one.commit ?? '',
    stale: false,
    official: true,
    dismissed: one.state === 'Dismissed',
    submitted_at: time(one.at),
    updated_at: time(one.at),
  };
}

function commit(one: FakeCommit, forge: FakeForge): Fields {
  const person = ({ name, email, at }: FakeCommit['author']): Fields => ({ name, email, date: time(at) });
  const linked = (email: string): unknown => {
    const account = forge.byEmail(email);
    return account === undefined ? null : user(account);
  };
  return {
    sha: one.sha,
    created: time(one.committer.at),
    commit: { author: person(one.author), committer: person(one.committer), message: one.message },
    author: linked(one.author.email),
    committer: linked(one.committer.email),
    parents: one.parents.map((sha) => ({ sha })),
  };
}

function comment(one: FakeComment): Fields {
  const { id, by, text, at, editedAt } = one;
  return { id, body: text, user: user(by), created_at: time(at), updated_at: time(editedAt) };
}

function status({ id, state, text, context, by, at }: FakeStatus): Fields {
  return { id, status: state, description: text, context, creator: user(by), created_at: time(at) };
}

/** Gitea's API for a token of anybody in {@link FakeForge}. */
export const giteaFace: Face = async (request, forge) => {
  const { method, path, viewer } = request;
  const home = `/repos/${forge.owner}/${forge.name}`;
  if (method === 'GET' && path === '/settings/api')
    return { status: 200, body: { max_response_items: forge.mostPerPage, default_paging_num: 30 } };
  if (viewer === undefined) return refusal(401, 'invalid username, password or token');
  if (method === 'GET' && path === '/user') return { status: 200, body: user(viewer) };
  const teams = /^\/orgs\/([^/]+)\/teams$/.exec(path);
  if (teams) return listTeams(teams[1] ?? '', request, forge);
  const members = /^\/teams\/(\d+)\/members$/.exec(path);
  if (members) return listMembers(Number(members[1]), request, forge);
  if (!path.startsWith(`${home}/`)) return notFound;
  try {
    return await inRepository(path.slice(home.length), request, viewer, forge);
  } catch (error) {
    if (!(error instanceof ForgeRefusal)) throw error;
    return refusal({ exists: 409, empty: 422, missing: 404, state: 412 }[error.word], error.message);
  }
};

/** A list, with its length in a header; unlike other forges' lists, some have no Link header. */
function listed<T>(
  items: readonly T[],
  shown: (one: T) => unknown,
  request: ForgeRequest,
  forge: FakeForge,
): ForgeAnswer {
  const page = pageOf(items, request, forge, pages);
  return {
    status: 200,
    body: page.items.map(shown),
    headers: { ...page.headers, 'x-total-count': String(items.length) },
  };
}

/** Ids of teams: their place in the list of names that were ever seen. */
const teamNames: string[] = [];
function teamId(name: string): number {
  if (!teamNames.includes(name)) teamNames.push(name);
  return teamNames.indexOf(name) + 1;
}

function listTeams(organization: string, request: ForgeRequest, forge: FakeForge): ForgeAnswer {
  const names = [...forge.teams.keys()].filter((name) => name.startsWith(`${organization}/`));
  if (names.length === 0 && organization !== forge.owner) return notFound;
  const shown = (name: string): Fields => ({ id: teamId(name), name: name.slice(organization.length + 1) });
  return listed(names, shown, request, forge);
}

function listMembers(id: number, request: ForgeRequest, forge: FakeForge): ForgeAnswer {
  const members = forge.teams.get(teamNames[id - 1] ?? '');
  return members === undefined ? notFound : listed(members, user, request, forge);
}

async function inRepository(
  path: string,
  request: ForgeRequest,
  viewer: Account,
  forge: FakeForge,
): Promise<ForgeAnswer> {
  const { method, query, body } = request;
  const branch = /^\/branches\/(.+)$/.exec(path)?.[1];
  if (branch !== undefined) {
    const tip = await forge.tip(`refs/heads/${branch}`);
    return tip === undefined ? notFound : { status: 200, body: { name: branch, commit: { id: tip } } };
  }
  const ref = /^\/git\/(refs\/.+)$/.exec(path)?.[1];
  if (ref !== undefined) {
    const sha = await forge.tip(ref);
    return sha === undefined ? notFound : { status: 200, body: [{ ref, object: { type: 'commit', sha } }] };
  }
  const single = /^\/git\/commits\/(\w+)$/.exec(path)?.[1];
  if (single !== undefined) {
    const [found] = await forge.log('-1', single).catch(() => []);
    return found === undefined ? notFound : { status: 200, body: commit(found, forge) };
  }
  if (path === '/commits') return listCommits(request, forge);
  const [, area = '', name = '', more = ''] = path.split('/');
  if (area === 'commits' && more === 'pull') {
    const pull = forge.pulls.find((one) => one.merged?.commit === name);
    return pull === undefined ? notFound : { status: 200, body: pullRequest(pull) };
  }
  if (area === 'commits' && more === 'status') return combined(name, request, forge);
  if (area === 'statuses' && method === 'POST') {
    if ((await forge.tip(name)) === undefined) return notFound;
    const made = { context: word(body['context']), state: word(body['state']), text: word(body['description']) };
    return { status: 201, body: status(forge.status(name, viewer, made)) };
  }
  if (area === 'issues') return comments(name, more, request, viewer, forge);
  if (area !== 'pulls') return notFound;
  if (name === '' && method === 'POST') return openPull(request, viewer, forge);
  if (name === '') {
    const base = query.get('base_branch');
    const wanted = forge.pulls.filter((one) => one.state === 'open' && (base === null || one.base === base));
    return listed(wanted, pullRequest, request, forge);
  }
  const pull = forge.pull(Number(name));
  if (more === 'commits') {
    const newestFirst = (await forge.commitsOf(pull)).reverse();
    return listed(newestFirst, (one) => commit(one, forge), request, forge);
  }
  if (more === 'reviews') {
    // This list has no Link header.
    const { headers: { link: _, ...headers } = {}, ...answer } = listed(pull.reviews, review, request, forge);
    return { ...answer, headers };
  }
  if (method === 'PATCH') return editPull(pull, request, forge);
  return { status: 200, body: pullRequest(pull) };
}

async function openPull(request: ForgeRequest, viewer: Account, forge: FakeForge): Promise<ForgeAnswer> {
  const { body } = request;
  const [title, base, branch] = [word(body['title']), word(body['base']), word(body['head'])];
  if (title.length > longestTitle) return refusal(500, '');
  return {
    status: 201,
    body: pullRequest(await forge.open({ by: viewer, branch, base, title, text: word(body['body']) })),
  };
}

function editPull(pull: FakePull, { body }: ForgeRequest, forge: FakeForge): ForgeAnswer {
  if (word(body['title']) !== '') pull.title = word(body['title']);
  if (typeof body['body'] === 'string') pull.text = body['body'];
  if (body['state'] === 'closed') {
    if (pull.state === 'merged') return refusal(412, 'cannot change state of this pull request, it was already merged');
    forge.close(pull.number);
  }
  return { status: 201, body: pullRequest(pull) };
}

async function listCommits(request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  const { query } = request;
  const [sha, path, not] = [query.get('sha') ?? 'main', query.get('path'), query.get('not')];
  const words = [sha, ...(not === null ? [] : ['--not', not]), ...(path === null ? [] : ['--', path])];
  const found = await forge.log(...words);
  if (path !== null && found.length === 0) return notFound;
  return listed(found, (one) => commit(one, forge), request, forge);
}

async function combined(sha: string, request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  if ((await forge.tip(sha)) === undefined) return notFound;
  const newest = new Map(forge.statuses.filter((one) => one.commit === sha).map((one) => [one.context, one]));
  const { body, headers } = listed([...newest.values()], status, request, forge);
  return { status: 200, body: { sha, statuses: newest.size === 0 ? null : body }, headers: headers ?? {} };
}

function comments(name: string, more: string, request: ForgeRequest, viewer: Account, forge: FakeForge): ForgeAnswer {
  const { method, body } = request;
  if (name !== 'comments') {
    const pull = forge.pull(Number(name));
    // The false forge does not know who pushed; an empty page is null.
    if (more === 'timeline') return { status: 200, body: null };
    if (method === 'POST')
      return { status: 201, body: comment(forge.comment(pull.number, viewer, word(body['body']))) };
    // All at once: this list has no pages.
    const headers = { 'x-total-count': String(pull.comments.length) };
    return { status: 200, body: pull.comments.map(comment), headers };
  }
  const found = forge.pulls.flatMap((pull) => pull.comments).find((one) => one.id === Number(more));
  if (found === undefined) return notFound;
  if (found.by !== viewer) return refusal(403, 'only the author may do that');
  if (method === 'DELETE') {
    forge.removeComment(found.id);
    return { status: 204 };
  }
  found.text = word(body['body']);
  found.editedAt = forge.tick();
  return { status: 200, body: comment(found) };
}
