// Requests to the REST API of Gitea and Forgejo: what is tried again, what each refusal means, and lists that are complete or fail.
import { setTimeout as delay } from 'node:timers/promises';
import { AdapterError } from '../model/failure.ts';
import { forgeRefusal, notUnderstood, type ForgeCall } from './forge-failure.ts';
import { forgeTimeouts, type ForgeOptions } from './forge-options.ts';
import { openForgeWire } from './forge-wire.ts';
import { openSecrets } from './git-secrets.ts';

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
/** How often a list that changes while it is read is read anew. */
const mostLooks = 4;
/** A request that changes nothing is sent this often before its failure counts. */
const mostTries = 3;

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
  const { credentials, clock } = options;
  if (credentials.kind !== 'token')
    throw new AdapterError(
      'denied',
      'ForgeDenied',
      'Gitea and Forgejo know tokens only: give the token of an account.',
    );
  const { token } = credentials;
  const timeouts = { ...forgeTimeouts, ...options.timeouts };
  const root = options.api.replace(/\/+$/, '');
  const secrets = openSecrets();
  const wire = openForgeWire({ api: root, ca: options.ca, requestMs: timeouts.requestMs });
  /** Most entries of a page, as the server is configured. */
  let mostItems: number | undefined;
  /** Nothing is sent before this instant. */
  let quietUntil = 0;

  async function once(deadline: AbortSignal, method: string, url: URL, body: unknown, call: ForgeCall) {
    const quiet = quietUntil - clock.now();
    if (quiet > 0)
      throw new AdapterError('transient', 'ForgeRateLimited', `Gitea asked us to slow down: ${call.what} waits.`, {
        retryAfterMs: quiet,
      });
    const answer = await wire.fetch(url.href, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `token ${secrets.read(token, 'token')}`,
        'user-agent': 'oakum',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: deadline,
    });
    const text = await answer.text();
    if (answer.ok) return { text, headers: answer.headers };
    const refused = { status: answer.status, headers: Object.fromEntries(answer.headers), message: messageOf(text) };
    const error = forgeRefusal(refused, call, secrets.known(), clock.now());
    if (error.code === 'ForgeRateLimited') quietUntil = clock.now() + (error.retryAfterMs ?? 0);
    throw error;
  }

  async function ask(deadline: AbortSignal, method: string, path: string, query: Query, body?: unknown) {
    const url = new URL(root + path);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value));
    const call = { forge: 'Gitea', what: `${method} ${path}`, needs: scopeOf(path, method) };
    // What changes something is sent once: whoever calls finds out on the next pass what became of it.
    const tries = method === 'GET' ? mostTries : 1;
    for (let attempt = 1; ; attempt += 1) {
      try {
        const { text, headers } = await once(deadline, method, url, body, call);
        return { value: parse(text, call), headers };
      } catch (error) {
        const again = error instanceof AdapterError && error.kind === 'transient' && error.code !== 'ForgeRateLimited';
        if (!again || attempt >= tries || deadline.aborted) throw error;
        const pause = timeouts.retryMs * 2 ** (attempt - 1) * (0.5 + Math.random());
        await delay(pause, undefined, { signal: deadline }).catch(() => {
          throw error;
        });
      }
    }
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
      const { value, headers } = await ask(deadline, 'GET', path, { ...query, page, limit: pageSize });
      const part = pick(value);
      const count = Number(headers.get('x-total-count') ?? Number.NaN);
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
    return { entries, single: total <= size };
  }

  async function lengthOfPages(deadline: AbortSignal): Promise<number> {
    if (mostItems === undefined) {
      const { value } = await ask(deadline, 'GET', '/settings/api', {});
      const most = (value as { max_response_items?: unknown } | null)?.max_response_items;
      if (typeof most !== 'number' || !Number.isSafeInteger(most) || most < 1)
        throw notUnderstood({ forge: 'Gitea', what: 'GET /settings/api', needs: '' }, 'no length of pages');
      mostItems = most;
    }
    return mostItems;
  }

  async function list(deadline: AbortSignal, path: string, query: Query, how: ListOptions) {
    let before: string | undefined;
    for (let looks = 0; looks < mostLooks; looks += 1) {
      const seen = await look(deadline, path, query, how);
      if (seen === undefined) {
        // The settings may have changed too.
        mostItems = undefined;
        continue;
      }
      if (seen.single || how.settled === true) return seen.entries;
      // Entries that come and go between two pages move the others across their border: two looks must agree.
      const names = seen.entries.map(nameOf).join(' ');
      if (names === before) return seen.entries;
      before = names;
    }
    throw notUnderstood(
      { forge: 'Gitea', what: `GET ${path}`, needs: '' },
      'the list changes while it is read, or pages of it are not whole',
    );
  }

  return {
    end: () => wire.close(),
    begin(signal) {
      const limit = AbortSignal.timeout(timeouts.callMs);
      const deadline = signal === undefined ? limit : AbortSignal.any([signal, limit]);
      return {
        get: async (path, query = {}) => (await ask(deadline, 'GET', path, query)).value,
        find: async (path, query = {}) => {
          try {
            return (await ask(deadline, 'GET', path, query)).value;
          } catch (error) {
            if (error instanceof AdapterError && error.kind === 'missing') return undefined;
            throw error;
          }
        },
        list: (path, query = {}, how = {}) => list(deadline, path, query, how),
        send: async (method, path, body) => (await ask(deadline, method, path, {}, body)).value,
      };
    },
  };
}

function parse(text: string, call: ForgeCall): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw notUnderstood(call, 'the answer is not JSON');
  }
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
