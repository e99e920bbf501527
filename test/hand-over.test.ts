// Two Oakums on one cluster: the one whose host is next hands over its Lease, and the other one patches that host.
import { describe, expect, it } from 'vitest';
import type { LedgerDocument } from '../reconciler/model/ledger.ts';
import { ClusterLoop, type PassResult } from '../reconciler/pass.ts';
import type { Cluster, Lease, Log } from '../reconciler/ports.ts';
import type { Source } from '../reconciler/source.ts';
import { aCluster, aFleet, aPolicy, aRequest, someSettings } from './support/policies.ts';
import { TinyCluster } from './support/tiny-cluster.ts';

const silent: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const start = Date.UTC(2026, 5, 1, 12);
const minute = 60_000;

interface Cordon {
  readonly by: string;
  readonly node: string;
  readonly at: number;
}

/**
 * Two loops, each with its own node, before one cluster, one ledger and one Lease. `takes`: the other one takes a Lease that is free;
 * if nobody does, the one that gave it takes it again after half a minute.
 */
function twoOakums({ waits, takes }: { waits: boolean; takes: boolean }) {
  let now = start;
  let document: LedgerDocument | undefined;
  let holder = 'a';
  let gaveAt = Number.NEGATIVE_INFINITY;
  const given: string[] = [];
  const cordons: Cordon[] = [];
  const cluster = new TinyCluster(() => now);
  for (const node of ['node-a', 'node-b', 'node-c']) {
    cluster.addNode(node, { behaviour: { rebootNeeded: true } });
    cluster.addPod(node, `web-${node}`);
  }
  const desired = aCluster({ policy: aPolicy(), requests: [aRequest('now')] });
  const source: Source = {
    commit: 'commit-1',
    committedAt: start,
    desired: {
      commit: 'commit-1',
      committedAt: start,
      fleet: aFleet,
      clusters: new Map([[desired.name, desired]]),
      problems: [],
    },
    hold: undefined,
  };
  const oakum = (name: string, other: string) => {
    const port: Cluster = {
      identity: () => cluster.identity(),
      observe: (interest) => cluster.observe(interest),
      act: async (action) => {
        if (action.kind === 'cordon') cordons.push({ by: name, node: action.node, at: now });
        return cluster.act(action);
      },
      changed: async () => undefined,
      close: async () => undefined,
    };
    const lease: Lease = {
      held: () => holder === name,
      holder: () => holder || undefined,
      release: async () => undefined,
      standby: () => (holder === name && waits ? { identity: other, node: `node-${other}` } : undefined),
      handOver: () => {
        given.push(name);
        holder = '';
        gaveAt = now;
      },
    };
    const ledger = {
      load: async () => document,
      save: async (_: LedgerDocument | undefined, after: LedgerDocument) => void (document = structuredClone(after)),
    };
    const settings = someSettings({ ownNode: `node-${name}` });
    return { name, loop: new ClusterLoop({ name: desired.name, cluster: port, ledger, lease }, settings, silent) };
  };
  const [a, b] = [oakum('a', 'b'), oakum('b', 'a')];
  const told: PassResult[] = [];
  const live = async (forMs: number): Promise<void> => {
    for (const end = now + forMs; now < end; now += 1_000) {
      if (holder === '' && takes && now - gaveAt >= 3_000) holder = given.at(-1) === 'a' ? 'b' : 'a';
      if (holder === '' && now - gaveAt >= 30_000) holder = given.at(-1) ?? '';
      for (const { loop } of [a, b]) told.push(await loop.pass(source, now));
    }
  };
  return { live, cordons, given, cluster, told, ledger: () => document };
}

const phases = (ledger: LedgerDocument | undefined): string[] =>
  Object.values(ledger?.runs ?? {}).flatMap(({ nodes }) =>
    Object.values(nodes).map(({ node, phase }) => `${node} ${phase}`),
  );

const allPatched = ['node-a Patched', 'node-b Patched', 'node-c Patched'];

describe('the host of the Oakum that acts', () => {
  it('goes last, by the hand of the standby that took over', async () => {
    const world = twoOakums({ waits: true, takes: true });
    await world.live(60 * minute);
    expect(phases(world.ledger()).sort()).toEqual(allPatched);
    expect(world.cordons.map(({ by, node }) => `${by} cordons ${node}`)).toEqual([
      'a cordons node-b',
      'a cordons node-c',
      'b cordons node-a',
    ]);
    // Handed over once: the new one has another host, which is done.
    expect(world.given).toEqual(['a']);
    const waiting = world.told.filter(({ plan }) => plan.nodes.some(({ reason }) => reason === 'HandingOver'));
    expect(waiting.length).toBeGreaterThan(0);
    expect(waiting.every(({ acted, plan }) => !acted || plan.handOver?.identity === 'b')).toBe(true);
  });

  it('goes as ever when there is no standby', async () => {
    const world = twoOakums({ waits: false, takes: false });
    await world.live(60 * minute);
    expect(phases(world.ledger()).sort()).toEqual(allPatched);
    expect(world.cordons.at(-1)).toMatchObject({ by: 'a', node: 'node-a' });
    expect(world.given).toEqual([]);
  });

  it('goes as ever two minutes after a standby was asked that never takes over', async () => {
    const world = twoOakums({ waits: true, takes: false });
    await world.live(60 * minute);
    expect(phases(world.ledger()).sort()).toEqual(allPatched);
    expect(world.cordons.map(({ by }) => by)).toEqual(['a', 'a', 'a']);
    expect(world.given.length).toBeGreaterThan(1);
    const asked = world.told.find(({ plan }) => plan.handOver !== undefined)?.now ?? 0;
    const last = world.cordons.at(-1);
    expect(last?.node).toBe('node-a');
    expect((last?.at ?? 0) - asked).toBeGreaterThanOrEqual(2 * minute);
    expect((last?.at ?? 0) - asked).toBeLessThan(3 * minute);
  });
});
