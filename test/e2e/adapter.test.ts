// The adapter's contracts against a real control plane: what the simulation says must be true there.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { httpTransport } from '../../reconciler/adapters/kubernetes-http.ts';
import type { Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import { clusterContract, wallClock } from '../contract/kubernetes-suite.ts';
import { ledgerContract } from '../contract/ledger-suite.ts';
import { leaseContract } from '../contract/lease-suite.ts';
import { startControlPlane } from '../lab/control-plane.ts';
import type { ControlPlane } from '../lab/control-plane.ts';

let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane();
}, 120_000);
afterAll(() => plane.stop(), 60_000);

const connect = (): Transport =>
  httpTransport({ kind: 'text', text: plane.kubeconfig() }, { rate: { perSecond: 1_000, burst: 1_000 } });

const open = async () => {
  const transport = connect();
  return { transport, clock: wallClock, pass: (ms: number) => wallClock.sleep(ms), close: () => transport.close() };
};

clusterContract('a real API server', open);
ledgerContract('a real API server', open);
leaseContract('a real API server', open);

describe('the wire, a real API server', () => {
  it('keeps its connections', async () => {
    const transport = connect();
    const began = performance.now();
    for (let count = 0; count < 50; count++)
      expect((await transport.request({ method: 'GET', path: '/api/v1/namespaces/default' })).status).toBe(200);
    // A TLS handshake for each would take several times as long.
    expect((performance.now() - began) / 50).toBeLessThan(30);
    await transport.close();
  });
});
