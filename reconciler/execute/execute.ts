// Does a plan's actions in order, several nodes at once, and says what became of each.
import type { Action } from '../model/action.ts';
import { AdapterError } from '../model/failure.ts';
import type { ActionResult, Cluster, Lease } from '../ports.ts';

/** What became of one action. */
export type Outcome =
  | { readonly kind: 'result'; readonly action: Action; readonly result: ActionResult }
  | { readonly kind: 'error'; readonly action: Action; readonly error: AdapterError }
  /** The Lease was lost before it was sent. */
  | { readonly kind: 'notSent'; readonly action: Action };

/** Nodes on which actions go on at the same time. */
const nodesAtOnce = 8;

/**
 * Actions on one node keep their order and stop at the first error (the next pass derives the rest again); different nodes do not wait
 * for each other. Nothing is sent unless the Lease is held with time to spare. Decides nothing and repeats nothing.
 */
export async function execute(
  actions: readonly Action[],
  cluster: Pick<Cluster, 'act'>,
  lease: Pick<Lease, 'held'>,
): Promise<Outcome[]> {
  const lanes = new Map<string, Action[]>();
  const shared: Action[] = [];
  for (const action of actions) {
    const lane = 'node' in action ? action.node : undefined;
    if (lane === undefined) shared.push(action);
    else if (lanes.has(lane)) lanes.get(lane)?.push(action);
    else lanes.set(lane, [action]);
  }
  const outcomes = await runLane(shared, cluster, lease, false);
  const waiting = [...lanes.values()];
  const workers = Array.from({ length: Math.min(nodesAtOnce, waiting.length) }, async () => {
    for (let lane = waiting.shift(); lane !== undefined; lane = waiting.shift())
      outcomes.push(...(await runLane(lane, cluster, lease, true)));
  });
  await Promise.all(workers);
  return outcomes;
}

async function runLane(
  actions: readonly Action[],
  cluster: Pick<Cluster, 'act'>,
  lease: Pick<Lease, 'held'>,
  stopAtError: boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let stopped = false;
  for (const action of actions) {
    if (stopped || !lease.held()) {
      outcomes.push({ kind: 'notSent', action });
      continue;
    }
    try {
      outcomes.push({ kind: 'result', action, result: await cluster.act(action) });
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      outcomes.push({ kind: 'error', action, error });
      // An Event is for people only; the others of this node build on each other.
      stopped = stopAtError && action.kind !== 'event' && action.kind !== 'evict';
    }
  }
  return outcomes;
}
