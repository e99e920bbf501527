// GitHub's REST API over a false forge: the endpoints that Oakum uses, and those with which it would be told off.
import type { Account, FakeComment, FakeCommit, FakePull, FakeReview, FakeStatus, FakeForge } from './fake-forge.ts';
import { ForgeRefusal } from './fake-forge.ts';
import { listChecks, writeCheck } from './fake-github-checks.ts';
import { pageOf, type Face, type ForgeAnswer, type ForgeRequest } from './fake-forge-server.ts';

const time = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z');
const timeOr = (at: number | undefined): string | null => (at === undefined ? null : time(at));
const node = (kind: string, id: number): string => Buffer.from(`${kind}:${id}`).toString('base64');

/** `simple-user` of GitHub's description. */
function user(account: Account, root: string): Record<string, unknown> {
  const { login, id, bot } = account;
  const url = `${root}/users/${encodeURIComponent(login)}`;
  return {
    login,
    id,
    node_id: node('User', id),
    avatar_url: `${root}/avatars/${id}`,
    gravatar_id: '',
    url,
    html_url: `${root}/html/${encodeURIComponent(login)}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: bot ? 'Bot' : 'User',
    site_admin: false,
  };
}

/** `public-user`. */
function ownAccount(account: Account, root: string): Record<string, unknown> {
  const unsaid = { name: null, company: null, blog: null, location: null, email: null, hireable: null, bio: null };
  return {
    ...user(account, root),
    ...unsaid,
    public_repos: 0,
    public_gists: 0,
    followers: 0,
    following: 0,
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
  };
}

const repositoryLinks = [
  'archive',
  'assignees',
  'blobs',
  'branches',
  'collaborators',
  'comments',
  'commits',
  'compare',
  'contents',
  'contributors',
  'deployments',
  'downloads',
  'events',
  'forks',
  'git_commits',
  'git_refs',
  'git_tags',
  'hooks',
  'issue_comment',
  'issue_events',
  'issues',
  'keys',
  'labels',
  'languages',
  'merges',
  'milestones',
  'notifications',
  'pulls',
  'releases',
  'stargazers',
  'statuses',
  'subscribers',
  'subscription',
  'tags',
  'teams',
  'trees',
];

/** `repository` and `minimal-repository`: one object that satisfies both. */
function repository(forge: FakeForge, root: string, fork: boolean): Record<string, unknown> {
  const { owner, name } = forge;
  const holder = fork ? 'somebody' : owner;
  const url = `${root}/repos/${holder}/${name}`;
  const links = Object.fromEntries(repositoryLinks.map((word) => [`${word}_url`, `${url}/${word}`]));
  const account: Account = { id: fork ? 2 : 1, login: holder, email: '', bot: false, token: '' };
  return {
    id: fork ? 11 : 10,
    node_id: node('Repository', fork ? 11 : 10),
    name,
    full_name: `${holder}/${name}`,
    owner: { ...user(account, root), type: fork ? 'User' : 'Organization' },
    private: true,
    html_url: `${root}/html/${holder}/${name}`,
    description: null,
    fork,
    url,
    ...links,
    clone_url: `${root}/html/${holder}/${name}.git`,
    git_url: `git://localhost/${holder}/${name}.git`,
    ssh_url: `git@localhost:${holder}/${name}.git`,
    svn_url: `${root}/html/${holder}/${name}`,
    mirror_url: null,
    homepage: null,
    language: null,
    forks_count: 0,
    forks: 0,
    stargazers_count: 0,
    watchers_count: 0,
    watchers: 0,
    size: 1,
    default_branch: 'main',
    open_issues_count: 0,
    open_issues: 0,
    is_template: false,
    topics: [],
    has_issues: true,
    has_projects: true,
    has_wiki: true,
    has_pages: false,
    has_downloads: true,
    has_discussions: false,
    archived: false,
    disabled: false,
    visibility: 'private',
    pushed_at: '2026-11-01T00:00:00Z',
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-11-01T00:00:00Z',
    license: null,
    permissions: { admin: false, push: true, pull: true },
  };
}

/** `pull-request-simple`. */
function simplePull(pull: FakePull, forge: FakeForge, root: string): Record<string, unknown> {
  const url = `${root}/repos/${forge.owner}/${forge.name}/pulls/${pull.number}`;
  const issue = `${root}/repos/${forge.owner}/${forge.name}/issues/${pull.number}`;
  const html = `${root}/html/${forge.owner}/${forge.name}/pull/${pull.number}`;
  const holder = pull.fork ? 'somebody' : forge.owner;
  const statuses = `${root}/repos/${forge.owner}/${forge.name}/statuses/${pull.head}`;
  const team: Account = { id: pull.fork ? 2 : 1, login: holder, email: '', bot: false, token: '' };
  return {
    url,
    id: 5000 + pull.number,
    node_id: node('PullRequest', pull.number),
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    issue_url: issue,
    commits_url: `${url}/commits`,
    review_comments_url: `${url}/comments`,
    review_comment_url: `${url}/comments{/number}`,
    comments_url: `${issue}/comments`,
    statuses_url: statuses,
    number: pull.number,
    state: pull.state === 'open' ? 'open' : 'closed',
    locked: false,
    title: pull.title,
    user: user(pull.author, root),
    body: pull.text === '' ? null : pull.text,
    labels: [],
    milestone: null,
    active_lock_reason: null,
    created_at: time(pull.openedAt),
    updated_at: time(pull.changedAt),
    closed_at: timeOr(pull.closedAt),
    merged_at: timeOr(pull.merged?.at),
    // Of an open pull request this is the commit of a trial merge.
    merge_commit_sha: pull.merged?.commit ?? '1'.repeat(40),
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    head: {
      label: `${holder}:${pull.branch}`,
      ref: pull.branch,
      sha: pull.head,
      user: user(team, root),
      repo: repository(forge, root, pull.fork),
    },
    base: {
      label: `${forge.owner}:${pull.base}`,
      ref: pull.base,
      sha: pull.baseCommit,
      user: user({ ...team, id: 1, login: forge.owner }, root),
      repo: repository(forge, root, false),
    },
    _links: {
      self: { href: url },
      html: { href: html },
      issue: { href: issue },
      comments: { href: `${issue}/comments` },
      review_comments: { href: `${url}/comments` },
      review_comment: { href: `${url}/comments{/number}` },
      commits: { href: `${url}/commits` },
      statuses: { href: statuses },
    },
    author_association: 'MEMBER',
    auto_merge: null,
    draft: false,
  };
}

/** `pull-request`. */
async function fullPull(pull: FakePull, forge: FakeForge, root: string): Promise<Record<string, unknown>> {
  return {
    ...simplePull(pull, forge, root),
    merged: pull.state === 'merged',
    mergeable: null,
    rebaseable: null,
    mergeable_state: 'unknown',
    merged_by: pull.merged === undefined ? null : user(pull.merged.by, root),
    comments: pull.comments.length,
    review_comments: 0,
    maintainer_can_modify: false,
    commits: (await forge.commitsOf(pull)).length,
    additions: 1,
    deletions: 0,
    changed_files: 1,
  };
}

function review(one: FakeReview, pull: FakePull, forge: FakeForge, root: string): Record<string, unknown> {
  const url = `${root}/repos/${forge.owner}/${forge.name}/pulls/${pull.number}`;
  const html = `${root}/html/${forge.owner}/${forge.name}/pull/${pull.number}#pullrequestreview-${one.id}`;
  const states = {
    Approved: 'APPROVED',
    ChangesRequested: 'CHANGES_REQUESTED',
    Commented: 'COMMENTED',
    Dismissed: 'DISMISSED',
  };
  return {
    id: one.id,
    node_id: node('PullRequestReview', one.id),
    user: user(one.by, root),
    body: one.text,
    state: states[one.state],
    html_url: html,
    pull_request_url: url,
    author_association: 'MEMBER',
    _links: { html: { href: html }, pull_request: { href: url } },
    submitted_at: time(one.at),
    commit_id: one.commit ?? null,
  };
}

function commit(one: FakeCommit, forge: FakeForge, root: string): Record<string, unknown> {
  const url = `${root}/repos/${forge.owner}/${forge.name}`;
  const html = `${root}/html/${forge.owner}/${forge.name}/commit`;
  const linked = (email: string): unknown => {
    const account = forge.byEmail(email);
    return account === undefined ? null : user(account, root);
  };
  return {
    url: `${url}/commits/${one.sha}`,
    sha: one.sha,
    node_id: Buffer.from(`Commit:${one.sha}`).toString('base64'),
    html_url: `${html}/${one.sha}`,
    comments_url: `${url}/commits/${one.sha}/comments`,
    commit: {
      url: `${url}/git/commits/${one.sha}`,
      author: { name: one.author.name, email: one.author.email, date: time(one.author.at) },
      committer: { name: one.committer.name, email: one.committer.email, date: time(one.committer.at) },
      message: one.message,
      tree: { url: `${url}/git/trees/${one.tree}`, sha: one.tree },
      comment_count: 0,
      verification: { verified: false, reason: 'unsigned', signature: null, payload: null, verified_at: null },
    },
    author: linked(one.author.email),
    committer: linked(one.committer.email),
    parents: one.parents.map((sha) => ({ sha, url: `${url}/commits/${sha}`, html_url: `${html}/${sha}` })),
  };
}

function comment(one: FakeComment, pull: FakePull, forge: FakeForge, root: string): Record<string, unknown> {
  return {
    id: one.id,
    node_id: node('IssueComment', one.id),
    url: `${root}/repos/${forge.owner}/${forge.name}/issues/comments/${one.id}`,
    html_url: `${root}/html/${forge.owner}/${forge.name}/pull/${pull.number}#issuecomment-${one.id}`,
    body: one.text,
    user: user(one.by, root),
    created_at: time(one.at),
    updated_at: time(one.editedAt),
    issue_url: `${root}/repos/${forge.owner}/${forge.name}/issues/${pull.number}`,
    author_association: 'MEMBER',
  };
}

/** The newest status of each context, as `status` objects; in the combined answer they have no creator. */
function status(one: FakeStatus, forge: FakeForge, root: string): Record<string, unknown> {
  return {
    url: `${root}/repos/${forge.owner}/${forge.name}/statuses/${one.commit}`,
    avatar_url: null,
    id: one.id,
    node_id: node('StatusContext', one.id),
    state: one.state,
    description: one.text,
    target_url: null,
    context: one.context,
    created_at: time(one.at),
    updated_at: time(one.at),
  };
}

const refusal = (code: number, message: string, errors?: readonly unknown[]): ForgeAnswer => ({
  status: code,
  body: {
    message,
    ...(errors === undefined ? {} : { errors }),
    documentation_url: 'https://docs.github.com/rest',
    status: String(code),
  },
});
const notFound = refusal(404, 'Not Found');
const word = (value: unknown): string => (typeof value === 'string' ? value : '');

/** What GitHub's own limits are, in characters. */
const longestBody = 65_536;
const longestDescription = 140;
const longestTitle = 256;
/** `GET pulls/{n}/commits` never tells of more. */
const mostCommits = 250;

/** GitHub's REST API, version 2022-11-28, for a token of anybody in {@link FakeForge}. */
export const githubFace: Face = async (request, forge) => {
  const { method, path, viewer, root } = request;
  const home = `/repos/${forge.owner}/${forge.name}`;
  if (path.startsWith('/app') || path === `${home}/installation`) return application(request, forge);
  if (viewer === undefined) return refusal(401, 'Bad credentials');
  if (method === 'GET' && path === '/user')
    // A bot is no user: the token of an installation gets this answer.
    return viewer.bot
      ? refusal(403, 'Resource not accessible by integration')
      : { status: 200, body: ownAccount(viewer, root) };
  // Enterprise Server has it beside the REST API, github.com below the same root.
  if (method === 'POST' && (path === '/graphql' || path === '/api/graphql')) return authorsOf(request, forge);
  const team = /^\/orgs\/([^/]+)\/teams\/([^/]+)\/members$/.exec(path);
  if (team) return members(`${team[1] ?? ''}/${team[2] ?? ''}`, request, forge);
  if (!path.startsWith(`${home}/`)) return notFound;
  return inRepository(path.slice(home.length), request, viewer, forge);
};

/** What an App may ask with its own key; its installation has the token of {@link FakeForge.oakum}. */
async function application(request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  const { method, path, headers } = request;
  if (!/^bearer ey/i.test(headers.authorization ?? '')) return refusal(401, 'A JSON web token could not be decoded');
  if (method === 'POST' && path === '/app/installations/77/access_tokens')
    return {
      status: 201,
      body: {
        token: forge.oakum.token,
        expires_at: new Date(Date.now() + 3_600_000).toISOString(),
        permissions,
        repository_selection: 'selected',
      },
    };
  if (method === 'GET' && path.endsWith('/installation'))
    return { status: 200, body: installation(request.root, forge) };
  if (method === 'GET' && path === '/app') return { status: 200, body: integration(forge.oakum, request.root, forge) };
  return notFound;
}

/** What an App may do here. */
const permissions = {
  contents: 'write',
  pull_requests: 'write',
  statuses: 'write',
  checks: 'write',
  members: 'read',
};

/** `integration`: the App of an account. */
function integration(account: Account, root: string, forge: FakeForge): Record<string, unknown> {
  const ours = account.id === forge.oakum.id;
  return {
    id: ours ? 7 : account.id,
    slug: account.login.replace('[bot]', ''),
    node_id: node('App', ours ? 7 : account.id),
    owner: user({ id: 1, login: forge.owner, email: '', bot: false, token: '' }, root),
    name: account.login.replace('[bot]', ''),
    description: null,
    external_url: 'https://example.org',
    html_url: 'https://example.org',
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    permissions,
    events: [],
  };
}

function installation(root: string, forge: FakeForge): Record<string, unknown> {
  return {
    id: 77,
    account: { ...user({ id: 1, login: forge.owner, email: '', bot: false, token: '' }, root), type: 'Organization' },
    repository_selection: 'selected',
    access_tokens_url: `${root}/app/installations/77/access_tokens`,
    repositories_url: `${root}/installation/repositories`,
    html_url: `${root}/html/organizations/${forge.owner}/settings/installations/77`,
    app_id: 7,
    target_id: 1,
    target_type: 'Organization',
    permissions,
    events: [],
    created_at: '2026-01-01T00:00:00Z',
    updated_at: '2026-01-01T00:00:00Z',
    single_file_name: null,
    app_slug: forge.oakum.login.replace('[bot]', ''),
    suspended_by: null,
    suspended_at: null,
  };
}

/** The one question of GraphQL that is understood: who wrote these commits, `Commit.authors` of docs.github.com. */
async function authorsOf(request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  const query = word(request.body['query']);
  const asked = [
    ...query.matchAll(
      /(c\d+): object\(oid: "([0-9a-f]{40})"\) \{ \.\.\. on Commit \{ authors\(first: 100\) \{ nodes \{ email user \{ databaseId login \} \} \} \} \}/g,
    ),
  ];
  const rest = asked.reduce((left, [whole]) => left.replace(whole, ''), query).replace(/\s+/g, ' ');
  if (rest !== 'query ($owner: String!, $repo: String!) { repository(owner: $owner, name: $repo) { } }')
    return { status: 200, body: { errors: [{ type: 'undefinedField', message: `not understood: ${rest}` }] } };
  const repository: Record<string, unknown> = {};
  for (const [, alias = '', sha = ''] of asked) {
    const [commit] = (await forge.tip(sha)) === undefined ? [] : await forge.log('-1', sha);
    const emails = [
      commit?.author.email ?? '',
      ...[...(commit?.message ?? '').matchAll(/^Co-authored-by: [^<]*<([^>]+)>$/gim)].map(([, email = '']) => email),
    ];
    const nodes = emails.map((email) => {
      const account = forge.byEmail(email);
      return { email, user: account === undefined ? null : { databaseId: account.id, login: account.login } };
    });
    repository[alias] = commit === undefined ? null : { authors: { nodes } };
  }
  return { status: 200, body: { data: { repository } } };
}

function members(name: string, request: ForgeRequest, forge: FakeForge): ForgeAnswer {
  const team = forge.teams.get(name);
  if (team === undefined) return notFound;
  const { items, headers } = pageOf(team, request, forge);
  return { status: 200, body: items.map((one) => user(one, request.root)), headers };
}

async function inRepository(
  path: string,
  request: ForgeRequest,
  viewer: Account,
  forge: FakeForge,
): Promise<ForgeAnswer> {
  const { method, root } = request;
  const listed = <T>(items: readonly T[], shown: (one: T) => unknown): ForgeAnswer => {
    const page = pageOf(items, request, forge);
    return { status: 200, body: page.items.map(shown), headers: page.headers };
  };
  if (path === '/pulls') return method === 'GET' ? listPulls(request, forge) : openPull(request, viewer, forge);
  if (path === '/commits' && method === 'GET') return listCommits(request, forge);
  const [, area = '', name = '', more = '', rest] = path.split('/');
  if (rest !== undefined && !(area === 'issues' && name === 'comments')) return notFound;
  if (area === 'commits' && more === 'pulls') return pullsOf(name, request, forge);
  if (area === 'commits' && more === 'status') return combined(name, request, forge);
  const appOf = (account: Account): unknown => integration(account, root, forge);
  if (area === 'commits' && more === 'check-runs') return listChecks(name, request, forge, appOf);
  if (area === 'check-runs') return writeCheck(name, request, viewer, forge, appOf);
  if (area === 'statuses' && method === 'POST') return setStatus(name, request, viewer, forge);
  if (area === 'issues' && name === 'comments') return editComment(Number(more), request, viewer, forge);
  const pull = forge.pulls.find((one) => one.number === Number(name));
  if (pull === undefined) return notFound;
  switch (`${method} ${area}/${more}`) {
    case 'GET pulls/':
      return { status: 200, body: await fullPull(pull, forge, root) };
    case 'PATCH pulls/':
      return editPull(pull, request, forge);
    case 'GET pulls/reviews':
      return listed(pull.reviews, (one) => review(one, pull, forge, root));
    case 'GET pulls/commits':
      return listed((await forge.commitsOf(pull)).slice(0, mostCommits), (one) => commit(one, forge, root));
    case 'GET issues/comments':
      return listed(pull.comments, (one) => comment(one, pull, forge, root));
    case 'POST issues/comments': {
      const text = word(request.body['body']);
      if (text === '' || text.length > longestBody)
        return refusal(422, 'Validation Failed', [
          { message: `Body is too long (maximum is ${longestBody} characters)` },
        ]);
      return { status: 201, body: comment(forge.comment(pull.number, viewer, text), pull, forge, root) };
    }
    default:
      return notFound;
  }
}

function listPulls(request: ForgeRequest, forge: FakeForge): ForgeAnswer {
  const { query, root } = request;
  const state = query.get('state') ?? 'open';
  const head = query.get('head');
  const base = query.get('base');
  const found = forge.pulls
    .filter((one) => state === 'all' || (state === 'open') === (one.state === 'open'))
    .filter((one) => base === null || one.base === base)
    .filter((one) => head === null || head === `${one.fork ? 'somebody' : forge.owner}:${one.branch}`);
  const sorted = query.get('direction') === 'asc' ? found : [...found].reverse();
  const page = pageOf(sorted, request, forge);
  return { status: 200, body: page.items.map((one) => simplePull(one, forge, root)), headers: page.headers };
}

async function openPull(request: ForgeRequest, viewer: Account, forge: FakeForge): Promise<ForgeAnswer> {
  const { body, root } = request;
  const [title, text, branch, base] = [word(body['title']), word(body['body']), word(body['head']), word(body['base'])];
  if (title === '' || title.length > longestTitle || text.length > longestBody)
    return refusal(422, 'Validation Failed', [{ resource: 'PullRequest', field: 'title', code: 'invalid' }]);
  try {
    const pull = await forge.open({ by: viewer, branch: branch.replace(`${forge.owner}:`, ''), base, title, text });
    return { status: 201, body: await fullPull(pull, forge, root) };
  } catch (error) {
    if (!(error instanceof ForgeRefusal)) throw error;
    const message =
      error.word === 'exists' ? `A pull request already exists for ${forge.owner}:${branch}.` : error.message;
    return refusal(422, 'Validation Failed', [{ resource: 'PullRequest', code: 'custom', message }]);
  }
}

async function editPull(pull: FakePull, request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  const { body, root } = request;
  const [title, text, state] = [body['title'], body['body'], body['state']];
  if (word(title).length > longestTitle || word(text).length > longestBody) return refusal(422, 'Validation Failed');
  if (typeof title === 'string') pull.title = title;
  if (typeof text === 'string') pull.text = text;
  if (state === 'closed') forge.close(pull.number);
  if (state === 'open' && pull.state === 'closed') forge.reopen(pull.number);
  pull.changedAt = forge.tick();
  return { status: 200, body: await fullPull(pull, forge, root) };
}

async function listCommits(request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  const { query, root } = request;
  const from = query.get('sha') ?? 'main';
  const start = (await forge.tip(`refs/heads/${from}`)) ?? (await forge.tip(from));
  if (start === undefined) return notFound;
  const path = query.get('path');
  const found = await forge.log(start, ...(path === null ? [] : ['--', path]));
  const page = pageOf(found, request, forge);
  return { status: 200, body: page.items.map((one) => commit(one, forge, root)), headers: page.headers };
}

async function pullsOf(sha: string, request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  if ((await forge.tip(sha)) === undefined) return refusal(422, `No commit found for SHA: ${sha}`);
  const onBranch = await forge.run('merge-base', '--is-ancestor', sha, 'refs/heads/main').then(
    () => true,
    () => false,
  );
  const found: FakePull[] = [];
  for (const pull of forge.pulls) {
    const own = onBranch ? pull.introduced.includes(sha) : (await forge.commitsOf(pull)).some((one) => one.sha === sha);
    if (own) found.push(pull);
  }
  const page = pageOf(found, request, forge);
  return { status: 200, body: page.items.map((one) => simplePull(one, forge, request.root)), headers: page.headers };
}

function latest(sha: string, forge: FakeForge): FakeStatus[] {
  const byContext = new Map<string, FakeStatus>();
  for (const one of forge.statuses) if (one.commit === sha) byContext.set(one.context, one);
  return [...byContext.values()];
}

async function combined(sha: string, request: ForgeRequest, forge: FakeForge): Promise<ForgeAnswer> {
  if ((await forge.tip(sha)) === undefined) return refusal(422, `No commit found for SHA: ${sha}`);
  const { root } = request;
  const all = latest(sha, forge);
  const bad = all.some((one) => one.state === 'failure' || one.state === 'error');
  const good = all.length > 0 && all.every((one) => one.state === 'success');
  const page = pageOf(all, request, forge);
  const url = `${root}/repos/${forge.owner}/${forge.name}`;
  return {
    status: 200,
    headers: page.headers,
    body: {
      state: bad ? 'failure' : good ? 'success' : 'pending',
      sha,
      total_count: all.length,
      statuses: page.items.map((one) => status(one, forge, root)),
      repository: repository(forge, root, false),
      commit_url: `${url}/commits/${sha}`,
      url: `${url}/commits/${sha}/status`,
    },
  };
}

async function setStatus(sha: string, request: ForgeRequest, viewer: Account, forge: FakeForge): Promise<ForgeAnswer> {
  const { body, root } = request;
  if ((await forge.tip(sha)) === undefined) return refusal(422, `No commit found for SHA: ${sha}`);
  const [context, state, text] = [word(body['context']), word(body['state']), word(body['description'])];
  if (!['error', 'failure', 'pending', 'success'].includes(state) || text.length > longestDescription)
    return refusal(422, 'Validation Failed', [{ field: 'description', code: 'too_long' }]);
  const made = forge.status(sha, viewer, { context, state, text });
  return { status: 201, body: { ...status(made, forge, root), creator: user(viewer, root) } };
}

function editComment(id: number, request: ForgeRequest, viewer: Account, forge: FakeForge): ForgeAnswer {
  for (const pull of forge.pulls) {
    const found = pull.comments.find((one) => one.id === id);
    if (found === undefined) continue;
    if (found.by !== viewer) return refusal(403, 'Must have admin rights to Repository.');
    if (request.method === 'DELETE') {
      forge.removeComment(id);
      return { status: 204 };
    }
    const text = word(request.body['body']);
    if (request.method !== 'PATCH') return notFound;
    if (text === '' || text.length > longestBody) return refusal(422, 'Validation Failed');
    found.text = text;
    found.editedAt = forge.tick();
    return { status: 200, body: comment(found, pull, forge, request.root) };
  }
  return notFound;
}
