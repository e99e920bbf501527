// Webhooks over real connections: what is taken for a forge's own, what is refused, and what a flood costs.
import { createHmac } from 'node:crypto';
import fs from 'node:fs';
import { connect } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHints } from '../../reconciler/adapters/hints.ts';
import { type HttpServer, startHttp } from '../../reconciler/adapters/http.ts';
import { openWebhooks } from '../../reconciler/adapters/webhooks.ts';
import type { Log } from '../../reconciler/ports.ts';

const secret = 'canary-webhook-secret-0123456789';
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oakum-webhooks-'));
const file = path.join(folder, 'secret');
let now = 0;
let hints = 0;
let logged: string[] = [];
let server: HttpServer | undefined;
const write = (fields: Record<string, unknown>, message: string): void => {
  logged.push(`${JSON.stringify(fields)} ${message}`);
};
const log: Log = { debug: write, info: write, warn: write, error: write };

async function serve(withSecret = true): Promise<number> {
  server = await startHttp({
    port: 0,
    host: '127.0.0.1',
    health: { healthy: () => true, ready: () => true, explain: () => '' },
    metrics: { contentType: 'text/plain', text: () => Promise.resolve('') },
    ...(withSecret
      ? { webhooks: openWebhooks({ secret: { file }, clock: { now: () => now }, log, hint: () => hints++ }) }
      : {}),
  });
  return server.port;
}

beforeEach(() => {
  fs.writeFileSync(file, `${secret}\n`);
  [now, hints, logged] = [0, 0, []];
});
afterEach(async () => {
  await server?.close();
  for (const line of logged) expect(line).not.toContain(secret);
});
afterAll(() => {
  fs.rmSync(folder, { recursive: true });
});

const sign = (body: string | Buffer, key = secret): string => createHmac('sha256', key).update(body).digest('hex');
const post = async (
  port: number,
  forge: string,
  headers: Record<string, string>,
  body: string | Buffer = '{}',
): Promise<number> => {
  const answer = await fetch(`http://127.0.0.1:${port}/webhooks/${forge}`, {
    method: 'POST',
    headers,
    body: new Uint8Array(Buffer.from(body)),
  });
  const text = await answer.text();
  expect(text).not.toContain(secret);
  return answer.status;
};

describe('a webhook', () => {
  const body = '{"ref":"refs/heads/main"}';
  it.each([
    ['github', { 'x-hub-signature-256': `sha256=${sign(body)}` }],
    ['github', { 'x-hub-signature-256': `sha256=${sign(body).toUpperCase()}` }],
    ['gitea', { 'x-gitea-signature': sign(body) }],
    ['gitea', { 'x-forgejo-signature': sign(body) }],
    ['gitlab', { 'x-gitlab-token': secret }],
  ])('of %s is a hint when it is signed', async (forge, headers) => {
    expect(await post(await serve(), forge, headers, body)).toBe(202);
    expect(hints).toBe(1);
  });

  it.each([
    ['no signature', 'github', {}],
    ['a wrong one', 'github', { 'x-hub-signature-256': `sha256=${sign(body, 'another-secret-of-24-bytes')}` }],
    ['the one of another body', 'github', { 'x-hub-signature-256': `sha256=${sign('{}')}` }],
    ['an old one (SHA-1)', 'github', { 'x-hub-signature': 'sha1=0000000000000000000000000000000000000000' }],
    ['no prefix', 'github', { 'x-hub-signature-256': sign(body) }],
    ['a short one', 'github', { 'x-hub-signature-256': 'sha256=00' }],
    ['an empty one', 'github', { 'x-hub-signature-256': 'sha256=' }],
    ["another forge's", 'github', { 'x-gitlab-token': secret }],
    ["another forge's", 'gitlab', { 'x-hub-signature-256': `sha256=${sign(body)}` }],
    ['a wrong one', 'gitea', { 'x-gitea-signature': sign(body, 'another-secret-of-24-bytes') }],
    ['a wrong one', 'gitlab', { 'x-gitlab-token': `${secret}x` }],
    ['the beginning', 'gitlab', { 'x-gitlab-token': secret.slice(0, 10) }],
    ['an empty one', 'gitlab', { 'x-gitlab-token': '' }],
  ])('with %s is refused (%s)', async (_what, forge, headers: Record<string, string>) => {
    expect(await post(await serve(), forge, headers, body)).toBe(401);
    expect(hints).toBe(0);
  });

  it('to nowhere is not found: no secret, no such forge, no name of JavaScript', async () => {
    const headers = { 'x-gitlab-token': secret };
    const port = await serve();
    for (const forge of ['bitbucket', '', 'github/more', 'constructor', '__proto__'])
      expect(await post(port, forge, headers)).toBe(404);
    await server?.close();
    expect([404, 413]).toContain(await post(await serve(false), 'gitlab', headers));
    expect(hints).toBe(0);
  });

  it('is a POST', async () => {
    const answer = await fetch(`http://127.0.0.1:${await serve()}/webhooks/gitlab`, {
      headers: { 'x-gitlab-token': secret },
    });
    expect(answer.status).toBe(405);
    expect(hints).toBe(0);
  });

  it('is refused while the secret is gone or can be guessed, and taken with a new one', async () => {
    const port = await serve();
    fs.writeFileSync(file, 'short\n');
    expect(await post(port, 'gitlab', { 'x-gitlab-token': 'short' })).toBe(503);
    fs.rmSync(file);
    expect(await post(port, 'gitlab', { 'x-gitlab-token': '' })).toBe(503);
    fs.writeFileSync(file, 'the-rotated-secret-of-today');
    expect(await post(port, 'gitlab', { 'x-gitlab-token': 'the-rotated-secret-of-today' })).toBe(202);
    expect(await post(port, 'gitlab', { 'x-gitlab-token': secret })).toBe(401);
  });

  it('is read up to 1 MiB', async () => {
    const port = await serve();
    const most = Buffer.alloc(1_048_576, 'x');
    const more = Buffer.alloc(1_048_577, 'x');
    expect(await post(port, 'gitea', { 'x-gitea-signature': sign(most) }, most)).toBe(202);
    const big = await post(port, 'gitea', { 'x-gitea-signature': sign(more) }, more).catch(() => 413);
    expect(big).toBe(413);
    expect(hints).toBe(1);
  });

  it('of unknown length is cut off at 1 MiB', async () => {
    const port = await serve();
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.write(
      `POST /webhooks/gitea HTTP/1.1\r\nhost: x\r\nx-gitea-signature: ${'0'.repeat(64)}\r\ntransfer-encoding: chunked\r\n\r\n`,
    );
    const chunk = Buffer.concat([Buffer.from('10000\r\n'), Buffer.alloc(65_536), Buffer.from('\r\n')]);
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    for (let index = 0; index < 20 && answer === ''; index++) {
      socket.write(chunk);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await ended;
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(hints).toBe(0);
  });

  it('comes too often: later ones are turned away until some time has passed', async () => {
    const port = await serve();
    const headers = { 'x-gitlab-token': secret };
    const answers: number[] = [];
    for (let index = 0; index < 70; index++) answers.push(await post(port, 'gitlab', headers));
    expect(answers.filter((status) => status === 202)).toHaveLength(60);
    expect(answers.slice(60)).toEqual(Array<number>(10).fill(429));
    now += 2_000;
    expect(await post(port, 'gitlab', headers)).toBe(202);
    now -= 10_000;
    expect(await post(port, 'gitlab', headers)).toBe(202);
  });

  it('in a flood costs no memory, and the probes are still answered', async () => {
    const port = await serve();
    const body = Buffer.alloc(1_000_000, 'x');
    const once = (): Promise<number> => {
      now += 1_000;
      return post(port, 'github', { 'x-hub-signature-256': `sha256=${'0'.repeat(64)}` }, body).catch(() => 0);
    };
    const wave = async (): Promise<number> => {
      for (let round = 0; round < 10; round++) await Promise.all(Array.from({ length: 10 }, once));
      return process.memoryUsage.rss();
    };
    await wave();
    const before = await wave();
    const after = await wave();
    expect(after - before).toBeLessThan(64 * 1_048_576);
    const probe = await fetch(`http://127.0.0.1:${port}/healthz`);
    expect(probe.status).toBe(200);
    expect(hints).toBe(0);
  }, 60_000);
});

describe('hints', () => {
  const never = new AbortController().signal;
  it('wake every listener once, however many there were', async () => {
    const all = openHints();
    const [one, other] = [all.listen(), all.listen()];
    all.drop();
    all.drop();
    await one(never);
    await other(never);
    const stop = new AbortController();
    let woken = false;
    const waiting = one(stop.signal).then(() => (woken = true));
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(woken).toBe(false);
    all.drop();
    await waiting;
  });

  it('are kept for a listener that has stopped waiting', async () => {
    const all = openHints();
    const listen = all.listen();
    const stop = new AbortController();
    const waiting = listen(stop.signal);
    stop.abort();
    await waiting;
    all.drop();
    await listen(never);
  });
});
