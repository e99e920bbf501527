// Worlds that were really planned, and the documents that are told of them.
import type { PassResult } from '../../reconciler/pass.ts';
import type { Plan } from '../../reconciler/model/plan.ts';
import type { StatusDocument } from '../../reconciler/model/status.ts';
import { buildStatus } from '../../reconciler/report/report.ts';
import { aCluster, aFleet, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

/** One node that is patched, one that has nothing to do, one whose disk is full, and a request for all of them. */
export function aWorld(): TinyWorld {
  const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
  world.cluster.addNode('worker-1', { behaviour: { pending: 3, rebootNeeded: true } });
  world.cluster.addNode('worker-2', { behaviour: { pending: 0 } });
  world.cluster.addNode('worker-3', { behaviour: { pending: 2, fail: { patch: 'DISK_FULL' } } });
  return world;
}

/** What a pass over the world hands to the report. */
export async function resultOf(world: TinyWorld, plan: Plan, given: Partial<PassResult> = {}): Promise<PassResult> {
  const raw = await world.cluster.observe({ podsOn: [], budgets: false });
  return {
    name: world.desired.name,
    now: world.now,
    source: { commit: world.commit, committedAt: world.committedAt, desired: undefined, hold: world.sourceHold },
    desired: world.desired,
    fleet: aFleet,
    observed: { ...raw, clusterUid: 'cluster-uid', evictions: new Map(), refusals: new Map() },
    plan,
    outcomes: [],
    acted: true,
    ...given,
  };
}

/** The document of a pass result, as the first one ever. */
export function documentOf(result: PassResult): StatusDocument {
  return buildStatus({
    name: result.name,
    desired: result.desired,
    commit: result.source.commit,
    committedAt: result.source.committedAt,
    nodes: result.observed.nodes,
    ledger: result.plan.ledger,
    plan: result.plan,
    noticed: result.now,
  });
}
