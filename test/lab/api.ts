// A tiny client of the Kubernetes API for the lab: requests, watches, and nothing that hides what the server said.
import { Agent, request } from 'undici';

/** How to get in: exactly one of token and client certificate, and the authority that signed the server's certificate. */
export interface Access {
  /** Without a slash at the end. */
  readonly url: string;
  /** PEM; undefined for plain HTTP or a publicly signed server. */
  readonly authority: string | undefined;
  readonly token?: string;
  readonly certificate?: string;
  readonly key?: string;
}

/** One answer. `body` is parsed when the server said that it is JSON, text otherwise. */
export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: unknown;
}

/** One line of a watch. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  readonly object: T;
}

/** What every object has, as far as the lab looks. */
export interface ApiObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
    readonly deletionGracePeriodSeconds?: number;
    readonly creationTimestamp?: string;
  };
}

/** The forms of a patch, by the short names that kubectl has for them. */
export type PatchKind = 'json' | 'merge' | 'strategic' | 'apply';

const patchTypes: Readonly<Record<PatchKind, string>> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** Thrown by the convenience calls when the answer is not a 2xx. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly answer: ApiAnswer;
  constructor(what: string, answer: ApiAnswer) {
    super(`${what}: ${answer.status} ${JSON.stringify(answer.body).slice(0, 400)}`);
    this.answer = answer;
  }
}

/** The client. Every request ends within `limitMs` (default 60 s, longer than the server's own limit for writes with a frozen etcd). */
export interface Api {
  readonly access: Access;
  request(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<ApiAnswer>;
  /** Reads one object or list; throws {@link ApiRefusal}. The type is the caller's word for what the path holds. */
  get<T>(path: string): Promise<T>;
  /** Reads one object; undefined when it is not there. */
  find<T>(path: string): Promise<T | undefined>;
  create<T = ApiObject>(path: string, body: unknown): Promise<T>;
  patch<T = ApiObject>(path: string, body: unknown, kind?: PatchKind): Promise<T>;
  /** Deletes; an object that is not there is as good as deleted. */
  delete(path: string, options?: unknown): Promise<void>;
  /**
   * Opens one watch and calls `onEvent` for each line until the server ends it or `signal` fires. Resolves with the HTTP status and, when
   * that was not 200, the text. Throws when the connection breaks.
   */
  watch<T>(
    path: string,
    onEvent: (event: WatchEvent<T>) => void,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }>;
  close(): Promise<void>;
}

/** Makes a client. */
export function createApi(access: Access, limitMs = 60_000): Api {
  const connect = {
    ...(access.authority === undefined ? {} : { ca: access.authority }),
    ...(access.certificate === undefined ? {} : { cert: access.certificate }),
    ...(access.key === undefined ? {} : { key: access.key }),
  };
  const agent = new Agent({ connect, connections: 64, headersTimeout: limitMs, bodyTimeout: limitMs });
  // Watches live long and must not take the connections of requests.
  const watchAgent = new Agent({ connect, headersTimeout: limitMs, bodyTimeout: 0 });
  const identity: Record<string, string> = { 'user-agent': 'oakum-lab' };
  if (access.token !== undefined) identity['authorization'] = `Bearer ${access.token}`;

  const send: Api['request'] = async (method, path, body, headers = {}) => {
    const answer = await request(`${access.url}${path}`, {
      method: method as 'GET',
      dispatcher: agent,
      headers: { accept: 'application/json', 'content-type': 'application/json', ...identity, ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      signal: AbortSignal.timeout(limitMs),
    });
    const text = await answer.body.text();
    const type = answer.headers['content-type'];
    const json = typeof type === 'string' && type.startsWith('application/json');
    const parsed: unknown = json && text !== '' ? JSON.parse(text) : text;
    return { status: answer.statusCode, headers: answer.headers, body: parsed };
  };
  const must = async <T>(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<T> => {
    const answer = await send(method, path, body, headers);
    if (answer.status >= 300) throw new ApiRefusal(`${method} ${path}`, answer);
    return answer.body as T;
  };
  return {
    access,
    request: send,
    get: (path) => must('GET', path),
    async find<T>(path: string) {
      const answer = await send('GET', path);
      if (answer.status === 404) return undefined;
      if (answer.status >= 300) throw new ApiRefusal(`GET ${path}`, answer);
      return answer.body as T;
    },
    create: (path, body) => must('POST', path, body),
    patch: (path, body, kind = 'merge') => must('PATCH', path, body, { 'content-type': patchTypes[kind] }),
    async delete(path, options) {
      const answer = await send('DELETE', path, options);
      if (answer.status >= 300 && answer.status !== 404) throw new ApiRefusal(`DELETE ${path}`, answer);
    },
    async watch(path, onEvent, signal) {
      const answer = await request(`${access.url}${path}`, { dispatcher: watchAgent, headers: identity, signal });
      if (answer.statusCode !== 200) return { status: answer.statusCode, text: await answer.body.text() };
      answer.body.setEncoding('utf8');
      let rest = '';
      for await (const chunk of answer.body) {
        rest += chunk as string;
        const lines = rest.split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') onEvent(JSON.parse(line) as never);
      }
      return { status: 200, text: '' };
    },
    async close() {
      await Promise.all([agent.destroy(), watchAgent.destroy()]);
    },
  };
}
