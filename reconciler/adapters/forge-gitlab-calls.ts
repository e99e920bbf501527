// Calls to GitLab's REST API by gitbeaker, over our own wire: limits of time, what is tried again, what refusals mean, and whole lists.
import {
  Branches,
  Commits,
  GroupMembers,
  MergeRequestApprovals,
  MergeRequestNotes,
  MergeRequests,
  Users,
} from '@gitbeaker/rest';
import { AdapterError } from '../model/failure.ts';
import { notUnderstood } from './forge-failure.ts';
import type { ForgeOptions } from './forge-options.ts';
import { agreedList, openForgeRequests, orMissing, type ForgeAnswer } from './forge-request.ts';

/** The parts of gitbeaker that are used, for one call of the port. */
export interface GitlabApi {
  readonly requests: MergeRequests;
  readonly approvals: MergeRequestApprovals;
  readonly notes: MergeRequestNotes;
  readonly branches: Branches;
  readonly commits: Commits;
  readonly users: Users;
  readonly members: GroupMembers;
}

/** What gitbeaker is told for one page. */
export interface GitlabPage {
  readonly page: number;
  readonly perPage: number;
  readonly showExpanded: true;
}

/** One call of the port: all of its requests share one limit of time. Throws AdapterError only. */
export interface GitlabCall {
  /** One request. */
  ask(work: (api: GitlabApi) => Promise<unknown>): Promise<unknown>;
  /** The answer, or undefined when the server says 404. */
  find(work: (api: GitlabApi) => Promise<unknown>): Promise<unknown>;
  /** Every entry, in the server's order; a list of several pages is read until two looks agree. */
  list(work: (api: GitlabApi, page: GitlabPage) => Promise<unknown>): Promise<readonly unknown[]>;
}

export interface GitlabCalls {
  begin(signal: AbortSignal | undefined): GitlabCall;
  /** Closes idle connections. */
  end(): Promise<void>;
}

/** What gitbeaker hands to whoever sends its requests. */
interface Asked {
  readonly searchParams?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
}

/** Most entries of a page (docs.gitlab.com/api/rest, "Pagination"). */
const pageSize = 100;
const mostPages = 200;
/** gitbeaker puts this before every path; it is taken away again. */
const prefix = '/api/v4/';

export function openGitlabCalls(options: ForgeOptions): GitlabCalls {
  const requests = openForgeRequests(options, {
    forge: 'GitLab',
    scheme: 'Bearer',
    tokensOnly: 'GitLab knows tokens only: give the token of a project or account.',
    messageOf,
  });
  const { root } = requests;

  function send(signal: AbortSignal, method: string, path: string, { searchParams, body }: Asked) {
    const url = new URL(`${root}/${path}`);
    for (const [name, value] of Object.entries(searchParams ?? {}))
      if (typeof value === 'string' || typeof value === 'number') url.searchParams.set(snake(name), String(value));
    const call = {
      forge: 'GitLab',
      what: `${method} ${decodeURIComponent(url.pathname)}`,
      needs: rightOf(path, method),
    };
    const text = method === 'GET' || method === 'DELETE' ? undefined : JSON.stringify(snakeKeys(body));
    // Without these headers (a proxy that drops them) nobody knows whether there is another page.
    const check = ({ headers }: ForgeAnswer): void => {
      if (url.searchParams.has('page') && headers['x-next-page'] === undefined)
        throw notUnderstood(call, `no list in pages; is ${root} the API of GitLab?`);
    };
    return requests.ask(signal, { method, url, body: text, call, check });
  }

  function apiFor(signal: AbortSignal): GitlabApi {
    // gitbeaker's own way to send waits and tries again without end, and has no limit of time for a call.
    const requesterFn = ({ url }: { readonly url: string }) => {
      const before = url.slice(prefix.length).replace(/^\/+/, '');
      const way = (method: string) => (path: string, asked: Asked | undefined) =>
        send(signal, method, before === '' ? path : `${before}/${path}`, asked ?? {}) as never;
      return { get: way('GET'), post: way('POST'), put: way('PUT'), patch: way('PATCH'), delete: way('DELETE') };
    };
    const given = { host: '', requesterFn, queryTimeout: null };
    return {
      requests: new MergeRequests(given),
      approvals: new MergeRequestApprovals(given),
      notes: new MergeRequestNotes(given),
      branches: new Branches(given),
      commits: new Commits(given),
      users: new Users(given),
      members: new GroupMembers(given),
    };
  }

  async function look(api: GitlabApi, work: (api: GitlabApi, page: GitlabPage) => Promise<unknown>) {
    const call = { forge: 'GitLab', what: 'read a list', needs: '' };
    const entries: unknown[] = [];
    for (let page = 1; page <= mostPages; page += 1) {
      const answer = (await understood(work(api, { page, perPage: pageSize, showExpanded: true }))) as {
        readonly data?: unknown;
        readonly paginationInfo?: { readonly next?: number | null; readonly total?: number };
      };
      const { data, paginationInfo } = answer;
      if (!Array.isArray(data) || paginationInfo === undefined) throw notUnderstood(call, 'no list');
      entries.push(...(data as unknown[]));
      const { next, total } = paginationInfo;
      if (typeof next === 'number') continue;
      // Very long lists do not tell their length.
      if (typeof total === 'number' && !Number.isNaN(total) && total !== entries.length) return undefined;
      return { entries, whole: page === 1 };
    }
    throw new AdapterError('rejected', 'ForgeTooMany', `GitLab: a list has more than ${mostPages} pages.`);
  }

  return {
    end: () => requests.end(),
    begin(outer) {
      const api = apiFor(requests.deadline(outer));
      return {
        ask: (work) => understood(work(api)),
        find: (work) => orMissing(understood(work(api))),
        list: (work) => agreedList({ forge: 'GitLab', what: 'read a list', needs: '' }, () => look(api, work), nameOf),
      };
    },
  };
}

/** The rights that a request takes, in GitLab's words. */
function rightOf(path: string, method: string): string {
  if (path.startsWith('groups/')) return 'read_api, for somebody who may see the members of the group';
  if (path.startsWith('user')) return 'read_api';
  if (method === 'GET')
    return 'read_api, with the role Developer in the project (Maintainer, where only that may see approval settings)';
  return 'api, with the role Developer in the project';
}

/** gitbeaker stumbles over answers that it does not expect. */
async function understood(work: Promise<unknown>): Promise<unknown> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw notUnderstood({ forge: 'GitLab', what: 'read an answer', needs: '' }, why);
  }
}

/** gitbeaker's `targetBranch` is the API's `target_branch`. */
function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function snakeKeys(body: unknown): unknown {
  if (typeof body !== 'object' || body === null) return {};
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [snake(name), value as unknown]));
}

/** What tells one entry of a list from another. */
function nameOf(entry: unknown): unknown {
  return (entry as { readonly id?: unknown } | null)?.id ?? entry;
}

/** `message` or `error` of an error of the API; pages of proxies are not repeated. */
function messageOf(text: string): string {
  try {
    const { message, error } = JSON.parse(text) as { message?: unknown; error?: unknown };
    const said = message ?? error ?? '';
    return typeof said === 'string' ? said : JSON.stringify(said);
  } catch {
    return '';
  }
}
