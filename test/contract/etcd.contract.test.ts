// Every API server is asked for etcd at its own address; whatever does not answer is a trouble, never an error.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { readApiServers } from '../../reconciler/adapters/kubernetes-etcd.ts';
import { httpTransport } from '../../reconciler/adapters/kubernetes-http.ts';
import { sliceAddresses } from '../../reconciler/observed/pods.ts';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

type Answer = (path: string) => { readonly status: number; readonly body: unknown };

async function serve(answer: Answer): Promise<number> {
  const server = createServer((request, response) => {
    const { status, body } = answer(request.url ?? '');
    const text = typeof body === 'string';
    response.writeHead(status, { 'content-type': text ? 'text/plain' : 'application/json' });
    response.end(text ? body : JSON.stringify(body));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const slices = (...ports: number[]): unknown => ({
  kind: 'EndpointSliceList',
  metadata: { resourceVersion: '1' },
  items: ports.map((port, index) => ({
    metadata: { name: `kubernetes-${index}` },
    endpoints: [{ addresses: ['127.0.0.1'], conditions: { ready: true } }],
    ports: [{ name: 'https', port }],
  })),
});

async function ask(first: Answer): Promise<Awaited<ReturnType<typeof readApiServers>>> {
  const server = `http://127.0.0.1:${await serve(first)}`;
  const text = JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user: {} }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  });
  const transport = httpTransport({ kind: 'text', text });
  try {
    return await readApiServers(transport, sliceAddresses);
  } finally {
    await transport.close();
  }
}

describe('the API servers', () => {
  it('are each asked at their own address', async () => {
    const asked: string[] = [];
    const well = await serve((path) => (asked.push(path), { status: 200, body: 'ok' }));
    const ill = await serve(() => ({ status: 500, body: 'internal server error: etcd failed: reason withheld\n' }));
    const found = await ask((path) =>
      path.startsWith('/readyz') ? { status: 200, body: 'ok' } : { status: 200, body: slices(well, ill) },
    );
    expect(asked).toEqual(['/readyz/etcd']);
    expect(found.find(({ address }) => address === `127.0.0.1:${well}`)?.trouble).toBe('');
    expect(found.find(({ address }) => address === `127.0.0.1:${ill}`)?.trouble).toBe(
      '/readyz/etcd answered 500: internal server error: etcd failed: reason withheld',
    );
  });

  it('that do not answer are a trouble', async () => {
    const port = await serve(() => ({ status: 200, body: 'ok' }));
    const gone = servers.pop();
    await new Promise((resolve) => gone?.close(resolve));
    const [found] = await ask(() => ({ status: 200, body: slices(port) }));
    expect(found?.trouble).toMatch(/^\/readyz\/etcd: .*ECONNREFUSED/);
  });

  it.each([
    [
      'cannot be found',
      { status: 403, body: { kind: 'Status', reason: 'Forbidden', message: 'no' } },
      'cannot be read',
    ],
    ['are not named', { status: 200, body: slices() }, 'name no API server'],
  ])('that %s are a trouble', async (_what, answer, trouble) => {
    const [found, ...more] = await ask(() => answer);
    expect(more).toEqual([]);
    expect(found?.trouble).toContain(trouble);
  });

  it('of IPv6 are written with brackets, and those that are not ready are left out', () => {
    const slice = {
      endpoints: [{ addresses: ['fd00::1'] }, { addresses: ['fd00::2'], conditions: { ready: false } }],
      ports: [{ name: 'https', port: 6443 }],
    };
    expect(sliceAddresses(slice)).toEqual(['[fd00::1]:6443']);
  });
});
