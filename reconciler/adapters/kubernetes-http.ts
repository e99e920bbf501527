// The wire: HTTP to an API server over kept connections, with a time limit and a budget for every request.
import { Agent, ProxyAgent, request as httpRequest } from 'undici';
import type { Dispatcher } from 'undici';
import { AdapterError } from '../model/failure.ts';
import { openCredentials } from './kubernetes-credentials.ts';
import type { Grant, KubeconfigSource } from './kubernetes-credentials.ts';
import { refusal } from './kubernetes-calls.ts';
import { proxyRefusal } from './proxy.ts';
import type { KubeRequest, KubeResponse, Transport, WatchEvent, WatchOptions } from './kubernetes-transport.ts';

/**
 * A request that API priority and fairness turned away was not worked on, and is sent again, as client-go does. The waits together stay
 * below the time that the Lease keeps to spare.
 */
const throttledTries = 4;
/** What API priority and fairness always says in Retry-After. */
const throttledMs = 1_000;

export interface HttpOptions {
  /** Version of Oakum, for the user agent. */
  readonly version?: string;
  /** Limit of one request, milliseconds; default 40,000 (an API server whose etcd hangs answers after 34 s). */
  readonly timeoutMs?: number;
  /** Requests a second in the long run, and at once; default 50 and 100, as the kubelet's. The API server protects itself beyond that. */
  readonly rate?: { readonly perSecond: number; readonly burst: number };
  /** Milliseconds since the epoch; default Date.now. */
  readonly now?: () => number;
}

/** Opens the way to the API server of a kubeconfig; nothing is read or connected before the first request. */
export function httpTransport(source: KubeconfigSource, options: HttpOptions = {}): Transport {
  const timeoutMs = options.timeoutMs ?? 40_000;
  const now = options.now ?? Date.now;
  const credentials = openCredentials(source, now);
  const budget = tokenBucket(options.rate ?? { perSecond: 50, burst: 100 }, now);
  const userAgent = `oakum/${options.version ?? 'dev'}`;
  let connections: { readonly key: string; readonly dispatcher: Dispatcher } | undefined;
  const closing = new AbortController();

  /** Connections are kept until address or certificates change; what is under way on the old ones may end in peace. */
  const dispatcherFor = (grant: Grant): Dispatcher => {
    if (connections?.key === grant.connection) return connections.dispatcher;
    void connections?.dispatcher.close().catch(() => undefined);
    const tls = { ...grant.tls, keepAlive: true, keepAliveInitialDelay: 30_000, timeout: 10_000 };
    const dispatcher =
      grant.proxy === undefined
        ? new Agent({ connect: tls, keepAliveTimeout: 30_000 })
        : new ProxyAgent({ uri: grant.proxy, requestTls: tls });
    connections = { key: grant.connection, dispatcher };
    return dispatcher;
  };

  const ask = async (
    method: KubeRequest['method'],
    path: string,
    more: { host?: string; body?: string; contentType?: string; signal: AbortSignal; idleMs: number },
    refused = false,
  ): Promise<Dispatcher.ResponseData> => {
    const grant = await credentials.current(refused);
    const server = more.host === undefined ? grant.server : `${new URL(grant.server).protocol}//${more.host}`;
    const response = await httpRequest(`${server}${path}`, {
      method,
      dispatcher: dispatcherFor(grant),
      headers: {
        accept: 'application/json',
        'user-agent': userAgent,
        ...grant.headers,
        ...(more.body === undefined ? {} : { 'content-type': more.contentType ?? 'application/json' }),
      },
      // A string goes with its Content-Length, in a DELETE too: without one the API server would drop preconditions silently.
      body: more.body ?? null,
      signal: more.signal,
      headersTimeout: more.idleMs,
      bodyTimeout: more.idleMs,
    });
    // The token may have been rotated a moment ago; a second refusal is one.
    if (response.statusCode === 401 && !refused) {
      await response.body.dump();
      return ask(method, path, more, true);
    }
    return response;
  };

  return {
    request: async (request) => {
      const limitMs = request.timeoutMs ?? timeoutMs;
      const signal = AbortSignal.any([closing.signal, AbortSignal.timeout(limitMs)]);
      try {
        if (request.urgent !== true) await budget(limitMs, signal);
        const body = request.body === undefined ? {} : { body: JSON.stringify(request.body) };
        const host = request.host === undefined ? {} : { host: request.host };
        const type = request.contentType === undefined ? {} : { contentType: request.contentType };
        for (let tries = 1; ; tries++) {
          const response = await ask(request.method, request.path, {
            ...host,
            ...body,
            ...type,
            signal,
            idleMs: limitMs,
          });
          const answered = await answer(response);
          if (!turnedAway(answered) || tries === throttledTries) return answered;
          await pause(throttledMs * (0.5 + Math.random() / 2), signal);
        }
      } catch (error) {
        throw unanswered(error, request.method, request.path, limitMs);
      }
    },
    watch: async (path, onEvent, watchOptions) => {
      try {
        const signal = AbortSignal.any([closing.signal, watchOptions.signal]);
        await budget(timeoutMs, signal);
        const response = await ask('GET', path, { signal, idleMs: watchOptions.idleMs });
        // A refused watch answers like any request, perhaps in plain text: its lines are no events.
        if (response.statusCode !== 200) throw refusal({ method: 'GET', path }, await answer(response));
        watchOptions.onOpen?.();
        await readLines(response.body, onEvent);
      } catch (error) {
        if (ended(closing.signal, watchOptions)) return;
        throw unanswered(error, 'GET', path, watchOptions.idleMs, 'WatchSilent');
      }
    },
    close: async () => {
      closing.abort();
      await connections?.dispatcher.destroy();
      connections = undefined;
    },
  };
}

/** True for the plain text 429 of the API server protecting itself; a 429 with a Status is an answer to the question (a budget's, say). */
function turnedAway(answered: KubeResponse): boolean {
  return answered.status === 429 && typeof answered.body === 'string';
}

function ended(closing: AbortSignal, { signal }: WatchOptions): boolean {
  return closing.aborted || signal.aborted;
}

async function answer(response: Dispatcher.ResponseData): Promise<KubeResponse> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers))
    if (value !== undefined) headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  const text = await response.body.text();
  if (!/\bjson\b/.test(headers['content-type'] ?? '')) return { status: response.statusCode, headers, body: text };
  return { status: response.statusCode, headers, body: JSON.parse(text) as unknown };
}

async function readLines(body: AsyncIterable<Buffer>, onEvent: (event: WatchEvent) => void): Promise<void> {
  const decoder = new TextDecoder();
  // Pieces of a long line are joined once, when its end has come.
  let pieces: string[] = [];
  for await (const chunk of body) {
    const lines = decoder.decode(chunk, { stream: true }).split('\n');
    for (const [index, line] of lines.entries()) {
      pieces.push(line);
      if (index === lines.length - 1) break;
      const whole = pieces.join('');
      pieces = [];
      if (whole.trim() !== '') onEvent(JSON.parse(whole) as WatchEvent);
    }
  }
}

/** No answer at all, or half of one: transient always, for it is not known what became of the request. */
function unanswered(error: unknown, method: string, path: string, limitMs: number, silent = 'Timeout'): AdapterError {
  if (error instanceof AdapterError) return error;
  const { name, code } = error as { name?: string; code?: string };
  const refused = proxyRefusal(error);
  if (refused !== undefined)
    return new AdapterError(
      refused.denied ? 'denied' : 'transient',
      refused.denied ? 'ProxyRefused' : 'ConnectionFailed',
      `${method} ${path.split('?')[0] ?? path}: the proxy of the kubeconfig (proxy-url) ${refused.denied ? 'refuses us' : 'did not reach the API server'} (${refused.said})`,
    );
  const late = name === 'TimeoutError' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT';
  const what = late ? `no answer within ${limitMs / 1000} s` : `the connection failed (${code ?? name ?? 'unknown'})`;
  const where = path.split('?')[0] ?? path;
  return new AdapterError('transient', late ? silent : (code ?? 'ConnectionFailed'), `${method} ${where}: ${what}`, {
    cause: error,
  });
}

/** Waits until a request may be sent. Throws AdapterError transient, `ClientThrottled`, when that would take longer than the request may. */
export function tokenBucket(
  rate: { readonly perSecond: number; readonly burst: number },
  now: () => number,
): (limitMs: number, signal: AbortSignal) => Promise<void> {
  let tokens = rate.burst;
  let at = now();
  return async (limitMs, signal) => {
    const time = now();
    tokens = Math.min(rate.burst, tokens + (Math.max(0, time - at) * rate.perSecond) / 1000);
    at = time;
    const waitMs = tokens >= 1 ? 0 : ((1 - tokens) * 1000) / rate.perSecond;
    if (waitMs > limitMs)
      throw new AdapterError(
        'transient',
        'ClientThrottled',
        'too many requests are waiting to be sent; the budget of requests is used up',
        {
          retryAfterMs: waitMs,
        },
      );
    // Taken before the wait, so that those who wait stand in line.
    tokens -= 1;
    if (waitMs > 0) await pause(waitMs, signal);
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      reject(signal.reason instanceof Error ? signal.reason : new Error('stopped'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', end);
      resolve();
    }, ms);
    if (signal.aborted) end();
    else signal.addEventListener('abort', end, { once: true });
  });
}
