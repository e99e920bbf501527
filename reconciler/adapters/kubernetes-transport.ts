// How the Kubernetes adapter reaches an API server: one request, one watch, whatever carries them.

/** One request to an API server. */
export interface KubeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path with query, beginning with a slash. */
  readonly path: string;
  /** JSON value; sent with a Content-Length always, for DELETE too. */
  readonly body?: unknown;
  /** Default: application/json. */
  readonly contentType?: string;
  /** Whole time that the request may take; default of the transport. */
  readonly timeoutMs?: number;
  /** Another API server of the same cluster, `HOST:PORT`; checked by the same certificates. Default: the one of the kubeconfig. */
  readonly host?: string;
  /** Not counted in the request budget: the Lease must be renewed however busy we are. */
  readonly urgent?: boolean;
}

/** What came back: any HTTP status at all. */
export interface KubeResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed when the content type says JSON, else the text. */
  readonly body: unknown;
}

/** One line of a watch. */
export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

/** The wire: HTTP, or the simulation in the same process. */
export interface Transport {
  /** Any HTTP status is an answer; throws AdapterError (transient, denied) only when there was none. */
  request(request: KubeRequest): Promise<KubeResponse>;
  /**
   * Follows a watch until the server ends it (resolves) or the signal fires (resolves). Throws AdapterError when it is refused, cut, or
   * silent for longer than `idleMs`.
   */
  watch(path: string, onEvent: (event: WatchEvent) => void, options: WatchOptions): Promise<void>;
  close(): Promise<void>;
}

export interface WatchOptions {
  /** Called when the server has accepted the watch, before any event. */
  readonly onOpen?: () => void;
  readonly signal: AbortSignal;
  /** Bookmarks come about once a minute: a watch that is silent for longer than this is taken for dead. */
  readonly idleMs: number;
}

/** What a request does, in the words of RBAC. */
export interface RequestInfo {
  readonly verb: string;
  readonly apiGroup: string;
  /** With the subresource, e.g. `pods/eviction`. */
  readonly resource: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

/** Reads verb and resource from method and path as the API server does (RequestInfo of k8s.io/apiserver). */
export function requestInfo(method: string, path: string): RequestInfo {
  const url = new URL(path, 'http://api');
  const parts = url.pathname.split('/').filter((part) => part !== '');
  if (parts[0] !== 'api' && parts[0] !== 'apis')
    return { verb: method.toLowerCase(), apiGroup: '', resource: url.pathname, namespace: undefined, name: undefined };
  const core = parts[0] === 'api';
  const apiGroup = core ? '' : (parts[1] ?? '');
  let rest = parts.slice(core ? 2 : 3);
  let namespace: string | undefined;
  if (rest[0] === 'namespaces' && rest.length > 2) {
    namespace = rest[1];
    rest = rest.slice(2);
  } else if (rest[0] === 'namespaces' && rest.length === 2) {
    namespace = rest[1];
  }
  const [resource = '', name, subresource] = rest;
  const watching = url.searchParams.get('watch') === 'true' || url.searchParams.get('watch') === '1';
  const verbs: Record<string, string> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };
  const verb =
    method === 'GET' ? (watching ? 'watch' : name === undefined ? 'list' : 'get') : (verbs[method] ?? method);
  return {
    verb,
    apiGroup,
    resource: subresource === undefined ? resource : `${resource}/${subresource}`,
    namespace,
    name,
  };
}

/** Called once for every request, for metrics; `status` is 0 when there was no answer. */
export type RequestHook = (verb: string, resource: string, status: number, ms: number) => void;

/** The same transport, telling the hook about every request. `now` is a monotonic or wall clock in milliseconds. */
export function counted(transport: Transport, now: () => number, onRequest: RequestHook): Transport {
  const count = async <T>(
    method: string,
    path: string,
    work: () => Promise<T>,
    status: (answer: T) => number,
  ): Promise<T> => {
    const { verb, resource } = requestInfo(method, path);
    const began = now();
    try {
      const answer = await work();
      onRequest(verb, resource, status(answer), now() - began);
      return answer;
    } catch (error) {
      onRequest(verb, resource, 0, now() - began);
      throw error;
    }
  };
  return {
    request: (request) =>
      count(
        request.method,
        request.path,
        () => transport.request(request),
        ({ status }) => status,
      ),
    watch: (path, onEvent, options) =>
      count(
        'GET',
        path,
        () => transport.watch(path, onEvent, options),
        () => 200,
      ),
    close: () => transport.close(),
  };
}
