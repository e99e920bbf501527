// The own host: when it waits for a standby, when it does not, and for how long.
import { describe, expect, it } from 'vitest';
import type { NodeRecord } from '../../reconciler/model/ledger.ts';
import type { StandbyView } from '../../reconciler/model/observed.ts';
import { handingOver, handOverDone } from '../../reconciler/plan/own-host.ts';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;

/** A node that was drained as far as asking goes: the next thing is its cordon. */
async function atItsCordon() {
  const world = new TinyWorld(undefined, aCluster({ policy: aPolicy(), requests: [aRequest('now')] }));
  world.settings = someSettings({ ownNode: 'worker-1' });
  world.cluster.addNode('worker-1');
  world.cluster.addNode('worker-2');
  await world.run(60 * minute, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Cordoning');
  const run = world.theRun();
  const record = run.nodes['worker-1'];
  if (!record) throw new Error('the node is not in the run');
  const ask = (standby: StandbyView | undefined, given: Partial<NodeRecord> = {}, now = world.now) =>
    handingOver({ now, run, record: { ...record, ...given }, settings: world.settings, standby });
  return { world, run, ask };
}

describe('the own host', () => {
  it('goes last, and then waits for a standby on another node, with a reason and a limit', async () => {
    const { world, run, ask } = await atItsCordon();
    expect(run.nodes['worker-2']?.phase).toBe('Patched');
    const waits = ask({ identity: 'oakum-b', node: 'worker-2' });
    expect(waits?.actions).toEqual([]);
    expect(waits?.record).toMatchObject({ phase: 'Cordoning', reason: 'HandingOver', handOverSince: world.now });
    expect(waits?.record.message).toContain('oakum-b on worker-2');
    expect(waits?.until).toBe(world.now + 2 * minute);
    expect(ask({ identity: 'hub', node: undefined })?.record.reason).toBe('HandingOver');
  });

  it('waits for nobody without a standby, or with one that would have to go as well', async () => {
    const { run, ask } = await atItsCordon();
    expect(ask(undefined)).toBeUndefined();
    expect(ask({ identity: 'oakum-b', node: 'worker-1' })).toBeUndefined();
    const other = run.nodes['worker-2'];
    if (!other) throw new Error('the node is not in the run');
    const busy = { ...run, nodes: { ...run.nodes, 'worker-2': { ...other, phase: 'Draining' as const } } };
    const record = run.nodes['worker-1'];
    if (!record) throw new Error('the node is not in the run');
    const standby = { identity: 'oakum-b', node: 'worker-2' };
    expect(
      handingOver({ now: 0, run: busy, record, settings: someSettings({ ownNode: 'worker-1' }), standby }),
    ).toBeUndefined();
  });

  it('is nobody else: other nodes are cordoned as ever', async () => {
    const { ask } = await atItsCordon();
    expect(ask({ identity: 'oakum-b', node: 'worker-3' }, { node: 'worker-2' })).toBeUndefined();
  });

  it('goes on after two minutes in which nobody took over, counted from the first wait', async () => {
    const { world, ask } = await atItsCordon();
    const standby = { identity: 'oakum-b', node: 'worker-2' };
    const since = world.now;
    const again = ask(standby, { handOverSince: since }, since + 2 * minute - 1);
    expect(again?.record.handOverSince).toBe(since);
    expect(ask(standby, { handOverSince: since }, since + 2 * minute)).toBeUndefined();
    if (again) expect(handOverDone(again.record).handOverSince).toBeUndefined();
  });
});
