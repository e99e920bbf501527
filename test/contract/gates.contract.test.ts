// The Gates port against real HTTP servers and the simulated API: what is open, what is closed, and that nothing ever throws.
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { isAllowed, openGates } from '../../reconciler/adapters/gates.ts';
import { inProcessTransport } from '../../reconciler/adapters/kubernetes-in-process.ts';
import { gateKey, type GateReading } from '../../reconciler/model/gate.ts';
import type { OutsideGate as Gate } from '../../reconciler/model/policy.ts';
import { parseSelector } from '../../reconciler/model/selector.ts';
import { virtualClock } from '../../reconciler/sim/clock.ts';
import { createSim } from '../../reconciler/sim/sim.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const json =
  (value: unknown): RequestListener =>
  (_request, response) =>
    void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));

async function ask(gate: Gate, allow: readonly string[], timeoutMs = 2_000): Promise<GateReading | undefined> {
  const clock = virtualClock(Date.UTC(2026, 5, 1));
  const sim = createSim({ clock });
  const gates = openGates({ allow, transport: inProcessTransport(sim), clock, timeoutMs });
  return (await gates.read([gate])).get(gateKey(gate));
}

const alerts = (...names: string[]): unknown => ({
  status: 'success',
  data: {
    alerts: names.map((name) => ({ state: name.startsWith('~') ? 'pending' : 'firing', labels: { alertname: name } })),
  },
});

function watching(url: string, given: Partial<Extract<Gate, { kind: 'prometheus' }>> = {}): Gate {
  return { kind: 'prometheus', url, alerts: undefined, query: undefined, ...given };
}

describe('an HTTP gate', () => {
  it.each([
    [200, true],
    [204, true],
    [301, false],
    [404, false],
    [503, false],
  ])('that answers %i is open: %s', async (status, open) => {
    const seen: string[] = [];
    const url = await serve((request, response) => {
      seen.push(request.url ?? '');
      response.writeHead(status, { location: '/elsewhere' }).end();
    });
    expect(await ask({ kind: 'http', url: `${url}/ok` }, [url])).toMatchObject({ open });
    expect(seen).toEqual(['/ok']);
  });

  it('that nobody answers, or too late, or without end, is closed and says why', async () => {
    const silent = await serve(() => undefined);
    expect(await ask({ kind: 'http', url: silent }, [silent], 100)).toMatchObject({ open: false });
    const endless = await serve((_request, response) => {
      response.writeHead(200);
      const more = (): void => void (response.destroyed || response.write('x'.repeat(65_536), more));
      more();
    });
    const reading = await ask({ kind: 'http', url: endless }, [endless]);
    expect(reading).toMatchObject({ open: false });
    expect(reading?.answer).toContain('longer than');
    expect(await ask({ kind: 'http', url: 'http://127.0.0.1:9' }, ['http://127.0.0.1:9'])).toMatchObject({
      open: false,
    });
  });

  it('at an address that the deployment does not allow is never asked', async () => {
    let asked = 0;
    const url = await serve((_request, response) => {
      asked++;
      response.end();
    });
    const reading = await ask({ kind: 'http', url }, []);
    expect(reading?.answer).toContain('--gate-allow');
    expect(asked).toBe(0);
    expect(isAllowed('http://prom:9090/x', ['http://prom:9090'])).toBe(true);
    expect(isAllowed('http://prom:9090/a/../b', ['http://prom:9090/a'])).toBe(false);
    expect(isAllowed('http://prom:9090/a%2e', ['http://prom:9090/a'])).toBe(false);
    expect(isAllowed('http://prom:9090/ab', ['http://prom:9090/a'])).toBe(false);
    expect(isAllowed('http://prom:9090.evil.test/', ['http://prom:9090'])).toBe(false);
    expect(isAllowed('http://prom:9091/', ['http://prom:9090'])).toBe(false);
  });
});

describe('a Prometheus gate', () => {
  it('is closed by alerts that fire and count', async () => {
    const url = await serve(json(alerts('Watchdog', 'Broken', '~Soon')));
    expect(await ask(watching(url), [url])).toMatchObject({ open: false, answer: 'firing: Broken, Watchdog' });
    const ignoring = watching(url, { alerts: { ignore: ['Watchdog', 'Broken'], only: [] } });
    expect(await ask(ignoring, [url])).toMatchObject({ open: true });
    expect(await ask(watching(url, { alerts: { ignore: [], only: ['Other'] } }), [url])).toMatchObject({ open: true });
  });

  it.each([
    ['an empty vector', { resultType: 'vector', result: [] }, true],
    ['a sample of zero', { resultType: 'vector', result: [{ metric: {}, value: [0, '0'] }] }, false],
    ['a scalar of zero', { resultType: 'scalar', result: [0, '0'] }, true],
    ['another scalar', { resultType: 'scalar', result: [0, '2'] }, false],
    ['a text', { resultType: 'string', result: [0, 'x'] }, false],
  ])('with a query that gives %s', async (_name, data, open) => {
    let asked = '';
    const url = await serve((request, response) => {
      asked = request.url ?? '';
      json({ status: 'success', data })(request, response);
    });
    expect(await ask(watching(`${url}/prom/`, { query: 'up == 0' }), [`${url}/prom`])).toMatchObject({ open });
    expect(asked).toMatch(/^\/prom\/api\/v1\/query\?query=up\+%3D%3D\+0/);
  });

  it('that answers nonsense is closed', async () => {
    const url = await serve((_request, response) => void response.end('<html>'));
    expect(await ask(watching(url), [url])).toMatchObject({ open: false });
    const other = await serve(json({ status: 'error', error: 'bad' }));
    expect(await ask(watching(other), [other])).toMatchObject({ open: false });
  });
});

describe('a gate on pods', () => {
  it('is closed while such a pod runs, and read again only after a while', async () => {
    const clock = virtualClock(Date.UTC(2026, 5, 1));
    const sim = createSim({ clock });
    sim.addNode({ name: 'n1', zone: 'a' });
    sim.addDeployment({ name: 'batch', replicas: 1 });
    clock.advance(10_000);
    const selector = parseSelector('app=batch');
    if (!selector.ok) throw new Error('the selector was to be valid');
    const gate: Gate = { kind: 'pods', selector: selector.selector, namespace: undefined };
    const gates = openGates({ allow: [], transport: inProcessTransport(sim), clock });
    const read = async (): Promise<GateReading | undefined> => (await gates.read([gate])).get(gateKey(gate));
    expect(await read()).toMatchObject({ open: false });
    sim.handle({ method: 'DELETE', path: '/apis/apps/v1/namespaces/default/deployments/batch', headers: {} });
    clock.advance(10_000);
    expect(await read()).toMatchObject({ open: false });
    clock.advance(40_000);
    expect(await read()).toMatchObject({ open: true, answer: 'no such pod runs' });
  });
});
