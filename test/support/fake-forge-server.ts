// The HTTP side that all false forges share: who asks, pages, ETags, and faults on demand.
import { createHash } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Account, FakeForge } from './fake-forge.ts';

/** One request, understood. */
export interface ForgeRequest {
  readonly method: string;
  /** Decoded, without the prefix of the API; whole where it lies outside of that. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Readonly<Record<string, unknown>>;
  /** Whose token came with it. */
  readonly viewer: Account | undefined;
  /** Where the API is, without a slash at the end. */
  readonly root: string;
}

export interface ForgeAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a request meets instead of (or around) the forge. */
export interface ForgeFault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly delayMs?: number;
  /** Only so many bytes of the body are sent, and the connection is cut. */
  readonly cutAfter?: number;
  /** Only so many bytes of the body are sent, in an answer that looks whole. */
  readonly shortenTo?: number;
  /** The forge does what was asked, and its answer is lost. */
  readonly loseAnswer?: boolean;
  /** Done before the forge sees the request. */
  readonly before?: () => Promise<void> | void;
}

/** One request and its answer as they passed. */
export interface Passed {
  readonly method: string;
  readonly path: string;
  /** The path as it was on the wire: whole, and still encoded. */
  readonly encoded: string;
  readonly query: string;
  readonly body: unknown;
  readonly authorization: string | undefined;
  /** Something stood between the adapter and the forge. */
  faulted: boolean;
  status: number;
  answer: unknown;
}

/** Speaks one forge's API over a {@link FakeForge}. */
export type Face = (request: ForgeRequest, forge: FakeForge) => Promise<ForgeAnswer>;

export interface ForgeServer {
  /** Root of the API. */
  readonly url: string;
  readonly passed: Passed[];
  fault: ((request: ForgeRequest) => ForgeFault | undefined) | undefined;
  stop(): Promise<void>;
}

/** The entries of one page, and the Link header (RFC 8288) that says where the others are. */
export function pageOf<T>(
  items: readonly T[],
  request: ForgeRequest,
  forge: FakeForge,
  words: { readonly size: string; readonly standard: number } = { size: 'per_page', standard: 30 },
): { readonly items: readonly T[]; readonly headers: Readonly<Record<string, string>>; readonly pages: number } {
  const asked = Number(request.query.get(words.size) ?? words.standard) || words.standard;
  const size = Math.max(1, Math.min(asked, forge.mostPerPage));
  const page = Math.max(1, Number(request.query.get('page') ?? 1) || 1);
  const pages = Math.max(1, Math.ceil(items.length / size));
  const link = (rel: string, to: number): string => {
    const query = new URLSearchParams(request.query);
    query.set('page', String(to));
    return `<${request.root}${request.path}?${query.toString()}>; rel="${rel}"`;
  };
  const links = [
    ...(page > 1 ? [link('prev', page - 1), link('first', 1)] : []),
    ...(page < pages ? [link('next', page + 1), link('last', pages)] : []),
  ];
  return {
    items: items.slice((page - 1) * size, page * size),
    headers: links.length === 0 ? {} : { link: links.join(', ') },
    pages,
  };
}

async function readBody(request: http.IncomingMessage): Promise<Record<string, unknown>> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  if (text === '') return {};
  const body: unknown = JSON.parse(text);
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
}

/** Serves a forge on the loopback interface. `prefix` is where the API begins, e.g. `/api/v3`. */
export async function startForgeServer(forge: FakeForge, face: Face, prefix: string): Promise<ForgeServer> {
  async function serve(incoming: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(incoming.url ?? '/', `http://${incoming.headers.host ?? 'localhost'}`);
    const { authorization } = incoming.headers;
    const token = (authorization ?? '').replace(/^(bearer|token|basic)\s+/i, '');
    const request: ForgeRequest = {
      method: incoming.method ?? 'GET',
      path: decodeURIComponent(url.pathname.startsWith(prefix) ? url.pathname.slice(prefix.length) : url.pathname),
      query: url.searchParams,
      headers: incoming.headers,
      body: await readBody(incoming),
      viewer: forge.byToken(String(incoming.headers['private-token'] ?? token)),
      root: server.url,
    };
    const { method, path, body } = request;
    const passed: Passed = {
      method,
      path,
      encoded: url.pathname,
      query: url.search,
      body,
      authorization,
      faulted: false,
      status: 0,
      answer: undefined,
    };
    server.passed.push(passed);
    const fault = server.fault?.(request);
    passed.faulted = fault !== undefined;
    if (fault?.delayMs !== undefined) await delay(fault.delayMs);
    await fault?.before?.();
    const answer: ForgeAnswer =
      fault?.status === undefined
        ? await face(request, forge)
        : { status: fault.status, body: fault.body ?? { message: 'a fault' }, headers: fault.headers ?? {} };
    passed.status = answer.status;
    passed.answer = answer.body;
    if (fault?.loseAnswer === true) return void incoming.socket.destroy();
    const text = answer.body === undefined ? '' : JSON.stringify(answer.body);
    const etag = `W/"${createHash('sha256').update(text).digest('hex').slice(0, 40)}"`;
    const headers: Record<string, string> = { ...answer.headers };
    if (method === 'GET' && answer.status === 200) headers['etag'] = etag;
    if (method === 'GET' && answer.status === 200 && incoming.headers['if-none-match'] === etag) {
      passed.status = 304;
      response.writeHead(304, headers).end();
      return;
    }
    if (answer.body !== undefined) headers['content-type'] = 'application/json; charset=utf-8';
    const sent = fault?.shortenTo === undefined ? text : text.slice(0, fault.shortenTo);
    response.writeHead(answer.status, headers);
    if (fault?.cutAfter === undefined) return void response.end(sent);
    response.write(sent.slice(0, fault.cutAfter));
    await delay(20);
    incoming.socket.destroy();
  }
  const listener = http.createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      response.writeHead(500, { 'content-type': 'text/plain' }).end(`the false forge failed: ${String(error)}`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    listener.once('error', reject);
    listener.listen(0, '127.0.0.1', resolve);
  });
  const server: ForgeServer = {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}${prefix}`,
    passed: [],
    fault: undefined,
    stop: () =>
      new Promise((resolve) => {
        listener.closeAllConnections();
        listener.close(() => resolve());
      }),
  };
  return server;
}
