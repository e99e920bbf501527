// When a pass wants the next one: a quiet cluster wakes nobody, so what was not done must.
import { describe, expect, it } from 'vitest';
import { AdapterError, type AdapterErrorKind } from '../reconciler/model/failure.ts';
import type { LedgerDocument } from '../reconciler/model/ledger.ts';
import { ClusterLoop } from '../reconciler/pass.ts';
import { emptyLedger } from '../reconciler/plan/plan.ts';
import type { Hold } from '../reconciler/model/reason.ts';
import type { Cluster, Log } from '../reconciler/ports.ts';
import type { Source } from '../reconciler/source.ts';
import { aCluster, aFleet, aPolicy, aRequest, someSettings } from './support/policies.ts';
import { TinyCluster } from './support/tiny-cluster.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const start = Date.UTC(2026, 5, 1, 12);

function world() {
  const cluster = new TinyCluster(() => start);
  cluster.addNode('worker-1');
  const state: {
    held: boolean;
    term: number;
    fault: AdapterErrorKind | undefined;
    document: LedgerDocument | undefined;
    onAct: () => void;
  } = {
    held: true,
    term: 1,
    fault: undefined,
    document: undefined,
    onAct: () => undefined,
  };
  const port: Cluster = {
    identity: async () => 'cluster-uid',
    observe: (interest) => cluster.observe(interest),
    act: async (action) => {
      state.onAct();
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
  const lease = {
    held: () => state.held,
    term: () => state.term,
    holder: () => 'another',
    release: async () => undefined,
  };
  const loop = new ClusterLoop({ name: desired.name, cluster: port, ledger, lease }, someSettings(), silent);
  const pass = (hold?: Hold) => loop.pass(hold ? { ...source, hold } : source, start);
  return { state, loop, pass };
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

describe('a Lease that was lost and won again, unnoticed', () => {
  it('between two passes: the ledger is read anew, since somebody else may have acted', async () => {
    const { state, loop, pass } = world();
    await pass();
    if (state.document) state.document = { ...state.document, startedAt: 42 };
    await pass();
    expect(loop.ledger()?.startedAt).toBe(start);
    if (state.document) state.document = { ...state.document, startedAt: 42 };
    state.term = 2;
    await pass();
    expect(loop.ledger()?.startedAt).toBe(42);
  });

  it('in the middle of a pass: nothing more of it is sent', async () => {
    const { state, pass } = world();
    await pass();
    state.onAct = () => void state.term++;
    const { outcomes } = await pass();
    expect(outcomes.length).toBeGreaterThan(1);
    expect(outcomes.map(({ kind }) => kind)).toEqual(['result', ...outcomes.slice(1).map(() => 'notSent')]);
  });
});

describe('what only a person may accept is noticed without a restart', () => {
  it('a rewritten history', async () => {
    const { state, loop, pass } = world();
    await pass();
    const { plan } = await pass({ reason: 'HistoryRewritten', message: 'the tip does not descend', until: undefined });
    expect(plan.holds[0]?.reason).toBe('HistoryRewritten');
    expect(plan.wakeAt - start).toBeLessThanOrEqual(15_000);
    expect(await loop.accepted()).toBe('commit-1');
    await pass({ reason: 'HistoryRewritten', message: 'the tip does not descend', until: undefined });
    if (state.document) state.document = { ...state.document, accepted: { commit: 'commit-2', committedAt: start } };
    expect(await loop.accepted()).toBe('commit-2');
  });

  it('a new ledger', async () => {
    const { state, loop, pass } = world();
    // Patched once, so that the nodes carry marks; then the ConfigMaps are gone.
    for (let passes = 0; passes < 3; passes++) await pass();
    state.document = undefined;
    loop.forget();
    const { plan } = await pass();
    expect(plan.holds[0]?.reason).toBe('LedgerLost');
    expect(plan.wakeAt - start).toBeLessThanOrEqual(15_000);
    state.document = {
      ...emptyLedger({ observed: { clusterUid: 'cluster-uid' }, now: start }),
      renewed: true,
      accepted: { commit: 'commit-1', committedAt: start },
    };
    expect((await pass()).plan.holds.map(({ reason }) => reason)).not.toContain('LedgerLost');
    expect(await loop.accepted()).toBe('commit-1');
  });
});
