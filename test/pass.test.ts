// When a pass wants the next one: a quiet cluster wakes nobody, so what was not done must.
import { describe, expect, it } from 'vitest';
import { AdapterError, type AdapterErrorKind } from '../reconciler/model/failure.ts';
import type { LedgerDocument } from '../reconciler/model/ledger.ts';
import { ClusterLoop } from '../reconciler/pass.ts';
import type { Cluster, Log } from '../reconciler/ports.ts';
import type { Source } from '../reconciler/source.ts';
import { aCluster, aFleet, aPolicy, aRequest, someSettings } from './support/policies.ts';
import { TinyCluster } from './support/tiny-cluster.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const start = Date.UTC(2026, 5, 1, 12);

function world() {
  const cluster = new TinyCluster(() => start);
  cluster.addNode('worker-1');
  const state: { held: boolean; fault: AdapterErrorKind | undefined; document: LedgerDocument | undefined } = {
    held: true,
    fault: undefined,
    document: undefined,
  };
  const port: Cluster = {
    identity: async () => 'cluster-uid',
    observe: (interest) => cluster.observe(interest),
    act: async (action) => {
      if (state.fault !== undefined) throw new AdapterError(state.fault, 'test', 'the test says no');
      return cluster.act(action);
    },
    changed: async () => undefined,
    close: async () => undefined,
  };
  const desired = aCluster({ policy: aPolicy(), requests: [aRequest('now')] });
  const clusters = new Map([[desired.name, desired]]);
  const source: Source = {
    commit: 'commit-1',
    committedAt: start,
    desired: { commit: 'commit-1', committedAt: start, fleet: aFleet, clusters, problems: [] },
    hold: undefined,
  };
  const ledger = {
    load: async () => state.document,
    save: async (_: LedgerDocument | undefined, after: LedgerDocument) => void (state.document = after),
  };
  const lease = { held: () => state.held, holder: () => 'another', release: async () => undefined };
  const loop = new ClusterLoop({ name: desired.name, cluster: port, ledger, lease }, someSettings(), silent);
  return { state, pass: () => loop.pass(source, start) };
}

describe('the next pass comes soon', () => {
  it('while another holds the Lease, so that a standby takes over though nothing changes', async () => {
    const { state, pass } = world();
    await pass();
    await pass();
    state.held = false;
    const { plan, acted } = await pass();
    expect(acted).toBe(false);
    expect(plan.wakeAt - start).toBeLessThanOrEqual(5_000);
  });

  it.each([
    ['transient', 2_000],
    ['conflict', 2_000],
    ['rejected', 30_000],
    ['denied', 30_000],
  ] as const)('when an action ended in an error that is %s', async (kind, mostMs) => {
    const { state, pass } = world();
    state.fault = kind;
    await pass();
    const { plan, outcomes } = await pass();
    expect(outcomes.map((outcome) => outcome.kind)).toContain('error');
    expect(plan.wakeAt - start).toBeLessThanOrEqual(mostMs);
    expect(plan.wakeAt).toBeGreaterThan(start);
  });
});
