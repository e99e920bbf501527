// The wire under bad weather: refusals of every form, silence, cuts, rotated tokens, slow plugins.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { call } from '../../reconciler/adapters/kubernetes-calls.ts';
import { execCredential } from '../../reconciler/adapters/kubernetes-exec.ts';
import { httpTransport, tokenBucket } from '../../reconciler/adapters/kubernetes-http.ts';
import type { HttpOptions } from '../../reconciler/adapters/kubernetes-http.ts';
import type { Transport, WatchEvent } from '../../reconciler/adapters/kubernetes-transport.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';

const canary = 'canary-token-that-nobody-may-see';
const never = new AbortController().signal;

type Answer = (request: IncomingMessage, response: ServerResponse, body: string) => void;

const clean: (() => Promise<unknown> | void)[] = [];
afterEach(async () => {
  for (const step of clean.splice(0).reverse()) await step();
});

/** A server that answers as told; gives its address. */
async function serve(answer: Answer): Promise<{ url: string; connections: () => number }> {
  let connections = 0;
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => answer(request, response, body));
  });
  server.on('connection', () => (connections += 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  clean.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, connections: () => connections };
}

const kubeconfig = (url: string, user: object = { token: canary }): string =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server: url } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });

function connect(url: string, options: HttpOptions = {}, user?: object): Transport {
  const transport = httpTransport({ kind: 'text', text: kubeconfig(url, user) }, options);
  clean.push(() => transport.close());
  return transport;
}

const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};

/** The error that a request ends with. */
async function failure(work: Promise<unknown>): Promise<AdapterError> {
  const error = await work.then(
    () => undefined,
    (found: unknown) => found,
  );
  if (!(error instanceof AdapterError)) throw new Error(`no AdapterError but ${String(error)}`);
  expect(`${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`).not.toContain(canary);
  return error;
}

const get = { method: 'GET', path: '/api/v1/nodes/worker-1' } as const;

describe('requests', () => {
  it('say who they are, and reuse their connection', async () => {
    const seen: IncomingMessage['headers'][] = [];
    const { url, connections } = await serve((request, response) => {
      seen.push(request.headers);
      json(response, 200, { metadata: {} });
    });
    const transport = connect(url, { version: '1.2.3' });
    for (let count = 0; count < 10; count++) await transport.request(get);
    expect(seen[0]).toMatchObject({
      authorization: `Bearer ${canary}`,
      'user-agent': 'oakum/1.2.3',
      accept: 'application/json',
    });
    // The second may be opened while the first one is still being given back.
    expect(connections()).toBeLessThanOrEqual(2);
  });

  it('send the body of a DELETE with its length, so that preconditions arrive', async () => {
    let got: { length: string | undefined; body: string } | undefined;
    const { url } = await serve((request, response, body) => {
      got = { length: request.headers['content-length'], body };
      json(response, 200, { kind: 'Status' });
    });
    const body = { preconditions: { uid: 'u' } };
    await connect(url).request({ method: 'DELETE', path: '/api/v1/namespaces/a/pods/b', body });
    const text = JSON.stringify(body);
    expect(got).toEqual({ length: String(text.length), body: text });
  });

  it('are sent again when priority and fairness turned them away, and not when a budget said no', async () => {
    const asked: string[] = [];
    const { url } = await serve((request, response) => {
      asked.push(request.url ?? '');
      const again = asked.filter((path) => path === request.url).length;
      if (request.url === '/budget') json(response, 429, { kind: 'Status', reason: 'TooManyRequests' });
      else if (request.url === '/busy' && again < 3) response.writeHead(429, { 'retry-after': '1' }).end('Too many');
      else json(response, 200, { done: again });
    });
    const transport = connect(url);
    expect(await transport.request({ method: 'GET', path: '/busy' })).toMatchObject({ status: 200, body: { done: 3 } });
    expect(await transport.request({ method: 'GET', path: '/budget' })).toMatchObject({ status: 429 });
    expect(asked).toEqual(['/busy', '/busy', '/busy', '/budget']);
  });

  it('tell the refusals apart', async () => {
    let next: { status: number; body: unknown; headers?: Record<string, string> } = { status: 200, body: {} };
    const { url } = await serve((_request, response) => {
      if (typeof next.body === 'string')
        response
          .writeHead(next.status, { 'content-type': 'text/plain; charset=utf-8', ...next.headers })
          .end(next.body);
      else json(response, next.status, next.body, next.headers);
    });
    const transport = connect(url);
    const refused = async (status: number, body: unknown, headers?: Record<string, string>): Promise<AdapterError> => {
      next = { status, body, ...(headers === undefined ? {} : { headers }) };
      return failure(call(transport, get));
    };
    const status = (reason: string, more: object = {}): object => ({
      kind: 'Status',
      reason,
      message: `because ${reason}`,
      ...more,
    });

    expect(await refused(429, 'Too many requests, please try again later.\n', { 'retry-after': '1' })).toMatchObject({
      kind: 'transient',
      code: 'Throttled',
      retryAfterMs: 1_000,
    });
    expect(await refused(429, status('TooManyRequests', { details: { retryAfterSeconds: 10 } }))).toMatchObject({
      kind: 'transient',
      code: 'TooManyRequests',
      retryAfterMs: 10_000,
    });
    expect(await refused(403, status('Forbidden'))).toMatchObject({ kind: 'denied', code: 'Forbidden' });
    const terminating = { details: { causes: [{ reason: 'NamespaceTerminating' }] } };
    expect(await refused(403, status('Forbidden', terminating))).toMatchObject({ kind: 'transient' });
    expect(await refused(401, status('Unauthorized'))).toMatchObject({ kind: 'denied' });
    expect(await refused(404, status('NotFound'))).toMatchObject({ kind: 'missing' });
    expect(await refused(409, status('Conflict'))).toMatchObject({ kind: 'conflict', code: 'Conflict' });
    expect(await refused(410, status('Expired'))).toMatchObject({ kind: 'conflict', code: 'Expired' });
    for (const code of [400, 405, 413, 415, 422])
      expect(await refused(code, status('Invalid'))).toMatchObject({ kind: 'rejected' });
    for (const code of [500, 502, 503, 504])
      expect(await refused(code, 'bad gateway')).toMatchObject({ kind: 'transient', code: String(code) });
    expect((await refused(403, status('Forbidden'))).message).toBe(
      'get nodes worker-1: the API server answered 403: because Forbidden',
    );
  });

  it('end when nobody answers in time, and when nobody is there', async () => {
    const { url } = await serve(() => undefined);
    expect(await failure(connect(url, { timeoutMs: 200 }).request(get))).toMatchObject({
      kind: 'transient',
      code: 'Timeout',
    });
    expect(await failure(connect('http://127.0.0.1:1').request(get))).toMatchObject({
      kind: 'transient',
      code: 'ECONNREFUSED',
    });
    const { url: cutting } = await serve((request) => request.socket.destroy());
    expect(await failure(connect(cutting).request(get))).toMatchObject({ kind: 'transient' });
    const { url: half } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"half":');
    });
    expect(await failure(connect(half).request(get))).toMatchObject({ kind: 'transient' });
  });

  it('go over plain HTTP on this machine only', async () => {
    expect(await failure(connect('http://api.example.com').request(get))).toMatchObject({
      kind: 'rejected',
      code: 'PlainHttp',
    });
    expect(await failure(connect('http://127.0.0.1.example.com').request(get))).toMatchObject({ code: 'PlainHttp' });
  });

  it('name a kubeconfig that is none, and never quote it', async () => {
    const broken = httpTransport({ kind: 'text', text: `{ token: "${canary}` });
    expect(await failure(broken.request(get))).toMatchObject({ kind: 'rejected', code: 'KubeconfigInvalid' });
    const absent = httpTransport({ kind: 'file', path: '/no/such/kubeconfig' });
    const error = await failure(absent.request(get));
    expect(error).toMatchObject({ code: 'KubeconfigInvalid' });
    expect(error.message).toContain('/no/such/kubeconfig');
    const wrong = httpTransport({ kind: 'text', text: kubeconfig('http://127.0.0.1:1'), context: 'staging' });
    expect((await failure(wrong.request(get))).message).toContain('"staging"');
  });

  it('take no more than their share', async () => {
    let time = 0;
    const take = tokenBucket({ perSecond: 1_000, burst: 3 }, () => time);
    const began = performance.now();
    for (let count = 0; count < 3; count++) await take(1_000, never);
    const waiting = Array.from({ length: 20 }, () => take(1_000, never));
    await Promise.all(waiting);
    expect(performance.now() - began).toBeGreaterThan(15);
    await expect(take(1, never)).rejects.toMatchObject({ kind: 'transient', code: 'ClientThrottled' });
    time += 60_000;
    await take(1, never);
  });
});

describe('who we are', () => {
  it('is read again when a token was rotated', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'oakum-token-'));
    clean.push(() => rm(folder, { recursive: true }));
    const file = join(folder, 'token');
    await writeFile(file, 'first\n');
    let valid = 'first';
    let asked = 0;
    const { url } = await serve((request, response) => {
      asked += 1;
      json(response, request.headers.authorization === `Bearer ${valid}` ? 200 : 401, { metadata: {} });
    });
    const provider = { 'auth-provider': { name: 'tokenFile', config: { tokenFile: file } } };
    const transport = connect(url, {}, provider);
    expect((await transport.request(get)).status).toBe(200);
    valid = 'second';
    await writeFile(file, 'second\n');
    expect((await transport.request(get)).status).toBe(200);
    expect(asked).toBe(3);
    valid = 'third';
    expect((await transport.request(get)).status).toBe(401);
    expect(asked).toBe(5);
  });

  it('is read again when the kubeconfig was replaced', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'oakum-kubeconfig-'));
    clean.push(() => rm(folder, { recursive: true }));
    const path = join(folder, 'config');
    const said: (string | undefined)[] = [];
    const { url } = await serve((request, response) => {
      said.push(request.headers.authorization);
      json(response, 200, {});
    });
    await writeFile(path, kubeconfig(url, { token: 'one' }));
    let time = Date.now();
    const transport = httpTransport({ kind: 'file', path }, { now: () => time });
    clean.push(() => transport.close());
    await transport.request(get);
    await writeFile(path, kubeconfig(url, { username: 'two', password: 'secret' }));
    time += 31_000;
    await transport.request(get);
    expect(said).toEqual(['Bearer one', `Basic ${Buffer.from('two:secret').toString('base64')}`]);
  });

  const plugin = (script: string) => ({ command: process.execPath, args: ['-e', script] });
  const print = (status: object): string =>
    `console.log(JSON.stringify({kind:'ExecCredential',status:${JSON.stringify(status)}}))`;

  it('is asked of a credential plugin once, for many requests at once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'oakum-plugin-'));
    clean.push(() => rm(folder, { recursive: true }));
    const count = join(folder, 'count');
    const script = `require('node:fs').appendFileSync(${JSON.stringify(count)},'x');setTimeout(()=>{${print({ token: 't' })}},100)`;
    const { url } = await serve((request, response) =>
      json(response, request.headers.authorization === 'Bearer t' ? 200 : 403, {}),
    );
    const transport = connect(url, {}, { exec: { apiVersion: 'client.authentication.k8s.io/v1', ...plugin(script) } });
    const answers = await Promise.all(Array.from({ length: 5 }, () => transport.request(get)));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    const { readFile } = await import('node:fs/promises');
    expect(await readFile(count, 'utf8')).toBe('x');
  });

  it('is not waited for when a plugin hangs, fails, or talks nonsense', async () => {
    const server = { server: 'https://api.example.com' };
    const ask = (script: string, limit = 10_000) => execCredential(plugin(script), server, limit);
    expect(await failure(ask('setInterval(()=>{},1000)', 300))).toMatchObject({
      kind: 'denied',
      code: 'CredentialPluginFailed',
    });
    expect((await failure(ask(`console.log('${canary}');process.exit(3)`))).message).toContain('exit code 3');
    expect((await failure(ask(`console.log('${canary}')`))).message).toContain('no ExecCredential');
    expect((await failure(execCredential({ command: '/no/such/plugin' }, server))).message).toContain('ENOENT');
    expect(await ask(print({ token: 't', expirationTimestamp: '2030-01-01T00:00:00Z' }))).toMatchObject({
      token: 't',
      expiresAt: Date.UTC(2030, 0, 1),
    });
  });
});

describe('watches', () => {
  const path = '/api/v1/nodes?watch=true';
  const lines = (...events: object[]): string => events.map((event) => `${JSON.stringify(event)}\n`).join('');
  const start = (response: ServerResponse): ServerResponse =>
    response.writeHead(200, { 'content-type': 'application/json' });

  it('put together lines that arrive in pieces', async () => {
    const text = lines({ type: 'ADDED', object: { metadata: { name: 'größe' } } }, { type: 'BOOKMARK', object: {} });
    const bytes = Buffer.from(text);
    const { url } = await serve((_request, response) => {
      start(response);
      let at = 0;
      const send = (): void => {
        if (at >= bytes.length) return void response.end();
        response.write(bytes.subarray(at, (at += 7)));
        setTimeout(send, 1);
      };
      send();
    });
    const events: WatchEvent[] = [];
    await connect(url).watch(path, (event) => events.push(event), { signal: never, idleMs: 5_000 });
    expect(events).toEqual([
      { type: 'ADDED', object: { metadata: { name: 'größe' } } },
      { type: 'BOOKMARK', object: {} },
    ]);
  });

  it('are taken for dead when they are silent', async () => {
    const { url } = await serve(
      (_request, response) => void start(response).write(lines({ type: 'BOOKMARK', object: {} })),
    );
    const error = await failure(connect(url).watch(path, () => undefined, { signal: never, idleMs: 1_500 }));
    expect(error).toMatchObject({ kind: 'transient', code: 'WatchSilent' });
  });

  it('are refused like any request, in plain text too', async () => {
    const { url } = await serve((_request, response) => {
      response.writeHead(429, { 'content-type': 'text/plain', 'retry-after': '1' }).end('Too many requests');
    });
    const error = await failure(connect(url).watch(path, () => undefined, { signal: never, idleMs: 5_000 }));
    expect(error).toMatchObject({ kind: 'transient', code: 'Throttled', retryAfterMs: 1_000 });
  });

  it('end when they are told to, and when the connection is cut', async () => {
    const { url } = await serve((request, response) => {
      start(response).write('\n');
      if (request.url?.includes('cut')) setTimeout(() => request.socket.destroy(), 50);
    });
    const transport = connect(url);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    await transport.watch(path, () => undefined, { signal: stop.signal, idleMs: 5_000 });
    expect(
      await failure(transport.watch(`${path}&cut=1`, () => undefined, { signal: never, idleMs: 5_000 })),
    ).toMatchObject({
      kind: 'transient',
    });
  });

  it('hand on what a listener throws', async () => {
    const { url } = await serve(
      (_request, response) => void start(response).write(lines({ type: 'ADDED', object: {} })),
    );
    const listener = (): void => {
      throw new AdapterError('transient', 'WatchError', 'as the server said');
    };
    expect(await failure(connect(url).watch(path, listener, { signal: never, idleMs: 5_000 }))).toMatchObject({
      code: 'WatchError',
    });
  });
});
