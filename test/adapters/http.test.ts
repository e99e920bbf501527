// The server of the probes and metrics, over real connections.
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HttpServer, startHttp } from '../../reconciler/adapters/http.ts';
import { openMetrics } from '../../reconciler/adapters/metrics.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';

const open: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close()));
});

async function serve(health: { healthy: boolean; ready: boolean; explain: string }, fails = false): Promise<number> {
  const server = await startHttp({
    port: 0,
    host: '127.0.0.1',
    health: { healthy: () => health.healthy, ready: () => health.ready, explain: () => health.explain },
    metrics: fails
      ? { contentType: 'text/plain', text: () => Promise.reject(new Error('secret inside')) }
      : openMetrics(),
  });
  open.push(server);
  return server.port;
}

const well = { healthy: true, ready: true, explain: '' };

async function ask(port: number, path: string, init?: RequestInit): Promise<{ status: number; body: string }> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
  return { status: response.status, body: await response.text() };
}

describe('the HTTP server', () => {
  it.each([
    ['/healthz', well, 200, 'ok\n'],
    ['/healthz?verbose', well, 200, 'ok\n'],
    [
      '/healthz',
      { ...well, healthy: false, explain: 'prod: a bug (3 times in a row)' },
      503,
      'not ok\nprod: a bug (3 times in a row)\n',
    ],
    ['/readyz', well, 200, 'ok\n'],
    ['/readyz', { ...well, ready: false }, 503, 'not ok\n'],
    ['/', well, 404, 'not found: /healthz, /readyz and /metrics are here\n'],
    ['/metrics/../etc/passwd', well, 404, 'not found: /healthz, /readyz and /metrics are here\n'],
  ])('answers %s', async (path, health, status, body) => {
    expect(await ask(await serve(health), path)).toEqual({ status, body });
  });

  it('shows metrics', async () => {
    const { status, body } = await ask(await serve(well), '/metrics');
    expect(status).toBe(200);
    expect(body).toContain('# TYPE oakum_nodes gauge');
  });

  it('does not tell what went wrong inside', async () => {
    const { status, body } = await ask(await serve(well, true), '/metrics');
    expect(status).toBe(500);
    expect(body).not.toContain('secret');
  });

  it('takes neither other methods nor bodies', async () => {
    const port = await serve(well);
    expect((await ask(port, '/healthz', { method: 'DELETE' })).status).toBe(405);
    expect((await ask(port, '/healthz', { method: 'POST', body: 'x'.repeat(1_000_000) })).status).toBe(413);
    expect((await ask(port, '/healthz', { method: 'HEAD' })).body).toBe('');
  });

  it('refuses headers that are too long', async () => {
    const port = await serve(well);
    const answer = await ask(port, '/healthz', { headers: { 'x-long': 'y'.repeat(20_000) } });
    expect(answer.status).toBe(431);
  });

  it('closes although a connection was left open', async () => {
    const port = await serve(well);
    const idle = connect(port, '127.0.0.1');
    await new Promise((resolve) => idle.once('connect', resolve));
    idle.on('error', () => undefined);
    await open.splice(0)[0]?.close();
    idle.destroy();
    await expect(ask(port, '/healthz')).rejects.toThrow();
  });

  it('says that a port is taken', async () => {
    const port = await serve(well);
    const again = startHttp({
      port,
      host: '127.0.0.1',
      health: { healthy: () => true, ready: () => true, explain: () => '' },
      metrics: openMetrics(),
    });
    await expect(again).rejects.toThrow(AdapterError);
  });
});
