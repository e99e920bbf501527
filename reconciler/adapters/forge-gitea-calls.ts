// Requests to the REST API of Gitea and Forgejo: the scope that each takes, and lists that are complete or fail.
import { AdapterError } from '../model/failure.ts';
import { notUnderstood } from './forge-failure.ts';
import type { ForgeOptions } from './forge-options.ts';
import { agreedList, openForgeRequests, orMissing } from './forge-request.ts';

export type Query = Readonly<Record<string, string | number | boolean>>;

/** How a list is read. */
export interface ListOptions {
  /** Takes the entries out of an answer that is not an array itself. */
  readonly pick?: (answer: unknown) => unknown;
  /** What the list is made of never changes (commits between two commits): one look is enough. */
  readonly settled?: boolean;
  /** The server counts entries that it does not show to us, so pages may be shorter than it says. */
  readonly hides?: boolean;
  /** More entries than this are refused before they are read. */
  readonly most?: number;
}

/** One call of the port: all of its requests share one limit of time. Throws AdapterError only. */
export interface GiteaCall {
  get(path: string, query?: Query): Promise<unknown>;
  /** The answer, or undefined when the server says 404. */
  find(path: string, query?: Query): Promise<unknown>;
  /** Every entry, in the server's order. */
  list(path: string, query?: Query, options?: ListOptions): Promise<readonly unknown[]>;
  send(method: 'POST' | 'PATCH' | 'DELETE', path: string, body?: unknown): Promise<unknown>;
}

export interface GiteaCalls {
  begin(signal: AbortSignal | undefined): GiteaCall;
  /** Closes idle connections. */
  end(): Promise<void>;
}

/** Entries that are asked for at once: what Gitea allows when nobody configured anything else. */
const pageSize = 50;

/** The path of a repository in the API; every part is escaped. */
export function projectPath(project: string): string {
  const parts = project.split('/');
  if (parts.length !== 2 || parts.includes(''))
    throw new AdapterError('rejected', 'ForgeProject', `"${project}" is not a repository of Gitea: write owner/name.`);
  return `/repos/${parts.map(encodeURIComponent).join('/')}`;
}

/** The scope of a token that a path takes (https://docs.gitea.com/development/oauth2-provider#scopes). */
function scopeOf(path: string, method: string): string {
  const level = method === 'GET' ? 'read' : 'write';
  if (path.startsWith('/orgs/') || path.startsWith('/teams/'))
    return `${level}:organization, for an account that is a member of the organization`;
  if (path === '/user') return `${level}:user`;
  if (/^\/repos\/[^/]+\/[^/]+\/issues\//.test(path)) return `${level}:issue`;
  return `${level}:repository, for an account that may ${level} there`;
}

export function openGiteaCalls(options: ForgeOptions): GiteaCalls {
  const requests = openForgeRequests(options, {
    forge: 'Gitea',
    scheme: 'token',
    tokensOnly: 'Gitea and Forgejo know tokens only: give the token of an account.',
    messageOf,
  });
  const { root } = requests;
  /** Most entries of a page, as the server is configured. */
  let mostItems: number | undefined;

  async function ask(deadline: AbortSignal, method: string, path: string, query: Query, body?: unknown) {
    const url = new URL(root + path);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    const call = { forge: 'Gitea', what: `${method} ${path}`, needs: scopeOf(path, method) };
    const text = body === undefined ? undefined : JSON.stringify(body);
    return requests.ask(deadline, { method, url, body: text, call });
  }

  /** One look at a whole list; undefined when its pages do not fit together, because it changed in between or was cut short. */
  async function look(deadline: AbortSignal, path: string, query: Query, how: ListOptions) {
    const { pick = (answer) => answer, hides = false, most = 100_000 } = how;
    const call = { forge: 'Gitea', what: `GET ${path}`, needs: '' };
    const entries: unknown[] = [];
    // Pages are as long as we ask for unless the server is told to make them shorter; where it hides entries, only its settings tell.
    let size = hides ? Math.min(pageSize, await lengthOfPages(deadline)) : pageSize;
    let total = Number.NaN;
    for (let page = 1; page === 1 || (page - 1) * size < total; page += 1) {
      const { body, headers } = await ask(deadline, 'GET', path, { ...query, page, limit: pageSize });
      const part = pick(body);
      const count = Number(headers['x-total-count'] ?? Number.NaN);
      if (!Array.isArray(part) || !Number.isSafeInteger(count))
        throw notUnderstood(call, `no list with its length; is ${root} the API of Gitea or Forgejo?`);
      if (page === 1) total = count;
      else if (count !== total) return undefined;
      if (total > most)
        throw new AdapterError('rejected', 'ForgeTooMany', `GET ${path}: ${total} entries; at most ${most} are read.`);
      if (page === 1 && !hides && part.length > 0 && part.length < Math.min(size, total)) size = part.length;
      const expected = Math.min(size, Math.max(0, total - (page - 1) * size));
      if (part.length > expected || (!hides && part.length < expected)) return undefined;
      entries.push(...(part as unknown[]));
    }
    return { entries, whole: total <= size || how.settled === true };
  }

  async function lengthOfPages(deadline: AbortSignal): Promise<number> {
    if (mostItems === undefined) {
      const { body } = await ask(deadline, 'GET', '/settings/api', {});
      const most = (body as { max_response_items?: unknown } | null)?.max_response_items;
      if (typeof most !== 'number' || !Number.isSafeInteger(most) || most < 1)
        throw notUnderstood({ forge: 'Gitea', what: 'GET /settings/api', needs: '' }, 'no length of pages');
      mostItems = most;
    }
    return mostItems;
  }

  function list(deadline: AbortSignal, path: string, query: Query, how: ListOptions) {
    const readAll = async () => {
      const seen = await look(deadline, path, query, how);
      // The settings may have changed too.
      if (seen === undefined) mostItems = undefined;
      return seen;
    };
    return agreedList({ forge: 'Gitea', what: `GET ${path}`, needs: '' }, readAll, nameOf);
  }

  return {
    end: () => requests.end(),
    begin(signal) {
      const deadline = requests.deadline(signal);
      const get = async (path: string, query: Query = {}) => (await ask(deadline, 'GET', path, query)).body;
      return {
        get,
        find: (path, query) => orMissing(get(path, query)),
        list: (path, query = {}, how = {}) => list(deadline, path, query, how),
        send: async (method, path, body) => (await ask(deadline, method, path, {}, body)).body,
      };
    },
  };
}

/** What tells one entry of a list from another. */
function nameOf(entry: unknown): string {
  const { id, sha } = (entry ?? {}) as { id?: unknown; sha?: unknown };
  return typeof id === 'number' ? String(id) : typeof sha === 'string' ? sha : JSON.stringify(entry);
}

/** The `message` of an error of the API; pages of proxies are not repeated. */
function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
}
