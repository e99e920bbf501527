// The simulation behind a real HTTP server on the loopback interface, in real time.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { failure } from './refusal.ts';
import { splitPath, type SimRequest, type SimResponse } from './route.ts';
import { ConnectionCut, type Sim } from './sim.ts';

/** How to serve. */
export interface ServeOptions {
  /** Default: any free port. */
  port?: number;
  /** When given, requests without this bearer token get 401. kubectl sends a token over HTTPS only. */
  token?: string;
  /** PEM texts; when given, the server speaks HTTPS. */
  tls?: { key: string; cert: string; ca?: string };
}

/** A server that runs. */
export interface SimServer {
  url: string;
  /** A kubeconfig (JSON, which is YAML too) for this server. */
  kubeconfig(): string;
  close(): Promise<void>;
}

/** Bodies above this are not read to their end: the answer is 413 either way. */
const READ_BYTES = 3 * 1024 * 1024 + 1024;

function readBody(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size <= READ_BYTES) chunks.push(chunk);
      // Keep a body that is too large recognisable as such without keeping it.
      else if (size - chunk.length <= READ_BYTES) chunks.push(Buffer.alloc(READ_BYTES));
    });
    request.on('end', () => {
      resolve(Buffer.concat(chunks).toString());
    });
    request.on('error', reject);
  });
}

function send(response: ServerResponse, answer: SimResponse): void {
  const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
  response.writeHead(answer.status, { ...answer.headers, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function stream(sim: Sim, request: SimRequest, response: ServerResponse): void {
  const opened = sim.open(
    request,
    (event) => {
      response.write(`${JSON.stringify(event)}\n`);
    },
    () => {
      response.end();
    },
  );
  if ('response' in opened) {
    send(response, opened.response);
    return;
  }
  response.on('close', opened.stop);
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
}

/** Serves the simulation on 127.0.0.1. */
export async function serveSim(sim: Sim, options: ServeOptions = {}): Promise<SimServer> {
  const answer = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const headers: Record<string, string> = {};
    for (const [key, value] of Object.entries(incoming.headers)) if (typeof value === 'string') headers[key] = value;
    const body = await readBody(incoming);
    const request: SimRequest = { method: incoming.method ?? 'GET', path: incoming.url ?? '/', headers, body };
    if (options.token !== undefined && headers['authorization'] !== `Bearer ${options.token}`) {
      send(response, {
        status: 401,
        headers: { 'content-type': 'application/json' },
        body: failure(401, 'Unauthorized', 'Unauthorized'),
      });
      return;
    }
    const watch = splitPath(request.path).query.get('watch');
    const work = (): void => {
      try {
        if (request.method === 'GET' && (watch === 'true' || watch === '1')) stream(sim, request, response);
        else send(response, sim.handle(request));
      } catch (error) {
        if (error instanceof ConnectionCut) incoming.socket.resetAndDestroy();
        else
          send(response, {
            status: 500,
            headers: { 'content-type': 'application/json' },
            body: failure(500, 'InternalError', String(error)),
          });
      }
    };
    const delay = sim.faults.delayOf(request);
    if (delay > 0) sim.clock.after(delay, work);
    else work();
  };
  const listener = (incoming: IncomingMessage, response: ServerResponse): void => {
    answer(incoming, response).catch(() => {
      incoming.socket.destroy();
    });
  };
  const { tls } = options;
  const server =
    tls === undefined ? createServer(listener) : createSecureServer({ key: tls.key, cert: tls.cert }, listener);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the simulated API server has no port');
  const url = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${address.port}`;
  const authority = tls?.ca ?? tls?.cert;
  return {
    url,
    kubeconfig: () =>
      JSON.stringify(
        {
          apiVersion: 'v1',
          kind: 'Config',
          'current-context': 'sim',
          clusters: [
            {
              name: 'sim',
              cluster: {
                server: url,
                ...(authority === undefined
                  ? {}
                  : { 'certificate-authority-data': Buffer.from(authority).toString('base64') }),
              },
            },
          ],
          users: [{ name: 'sim', user: options.token === undefined ? {} : { token: options.token } }],
          contexts: [{ name: 'sim', context: { cluster: 'sim', user: 'sim' } }],
        },
        undefined,
        2,
      ),
    close: () =>
      new Promise((resolve) => {
        sim.cutWatches();
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
