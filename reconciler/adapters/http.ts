// The small HTTP server of the service: /healthz, /readyz, /metrics, and /webhooks/ where a secret is set.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { AdapterError } from '../model/failure.ts';
import type { Webhooks } from './webhooks.ts';

/** What the probes ask. */
export interface Health {
  /** False: the process should be restarted (a bug has stopped the passes). */
  healthy(): boolean;
  /** False: it has not read its config or reached its clusters yet. */
  ready(): boolean;
  /** Lines for people; empty when all is well. */
  explain(): string;
}

export interface HttpOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Address to listen on; by default all, because the kubelet's probes come to the pod's address. */
  readonly host?: string;
  readonly health: Health;
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Without it nobody listens under /webhooks/. */
  readonly webhooks?: Webhooks;
}

/** A server that listens. */
export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const text = 'text/plain; charset=utf-8';
const secondMs = 1_000;

/** Listens; throws AdapterError when the port is taken. */
export async function startHttp(options: HttpOptions): Promise<HttpServer> {
  const server = createServer(
    {
      maxHeaderSize: 8_192,
      headersTimeout: 5 * secondMs,
      requestTimeout: 10 * secondMs,
      keepAliveTimeout: 5 * secondMs,
      connectionsCheckingInterval: 2 * secondMs,
    },
    (request, response) => void answer(options, request, response),
  );
  server.maxConnections = 100;
  server.setTimeout(15 * secondMs);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new AdapterError('rejected', 'HttpListen', `port ${options.port}: ${error.message}`, { cause: error })),
    );
    server.listen({ port: options.port, ...(options.host === undefined ? {} : { host: options.host }) }, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(options: HttpOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, type, body, headers } = await reply(options, request);
  response.writeHead(status, {
    ...headers,
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    // A body that was not read to its end is not waited for: the connection is not used again.
    ...(hasBody(request) && !request.complete ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  request.resume();
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

async function reply({ health, metrics, webhooks }: HttpOptions, request: IncomingMessage): Promise<Answer> {
  if (webhooks !== undefined && request.url?.startsWith('/webhooks/') === true)
    return { type: text, ...(await webhooks.take(request)) };
  if (hasBody(request)) return { status: 413, type: text, body: 'no body is taken here\n' };
  const [path] = (request.url ?? '').split('?');
  const known = path === '/healthz' || path === '/readyz' || path === '/metrics';
  if (!known) return { status: 404, type: text, body: 'not found: /healthz, /readyz and /metrics are here\n' };
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return { status: 405, type: text, body: 'only GET and HEAD\n' };
  try {
    if (path === '/metrics') return { status: 200, type: metrics.contentType, body: await metrics.text() };
    const good = path === '/healthz' ? health.healthy() : health.ready();
    const more = health.explain();
    return {
      status: good ? 200 : 503,
      type: text,
      body: `${good ? 'ok' : 'not ok'}\n${more === '' ? '' : `${more}\n`}`,
    };
  } catch {
    // What went wrong inside is not told to whoever asks; the log has it.
    return { status: 500, type: text, body: 'the answer could not be made\n' };
  }
}
