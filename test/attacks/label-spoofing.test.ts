// Attack: labels and annotations on a node that say it is patched, or that its cordon is ours.
import { describe, expect, it } from 'vitest';
import { runHash } from '../../reconciler/model/digest.ts';
import {
  lastPatchedAnnotation,
  patchedVersionAnnotation,
  phaseLabel,
  progressAnnotation,
  runLabel,
} from '../../reconciler/model/names.ts';
import { aCluster, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;

describe('label spoofing', () => {
  it('a label and annotations alone never make a node Patched', async () => {
    const world = new TinyWorld(undefined, aCluster());
    world.cluster.addNode('w1');
    await world.pass();
    const id = '20260601-120000-now';
    world.cluster.change('w1', {
      labels: {
        ...world.cluster.machine('w1').view.labels,
        [runLabel]: runHash('cluster-uid', id),
        [phaseLabel]: 'Patched',
      },
      annotations: {
        [lastPatchedAnnotation]: '2026-06-01T11:59:00Z',
        [patchedVersionAnnotation]: 'Debian 12, kernel 99',
        [progressAnnotation]: JSON.stringify({ run: id, phase: 'Patched' }),
      },
    });
    world.change({ requests: [aRequest('now')] });
    await world.run(2 * hour);
    expect(world.theRun().id).toBe(id);
    expect(world.ends()).toEqual(['w1: Patched/Patched']);
    expect(world.cluster.jobsOf('patch')).toHaveLength(1);
    expect(world.cluster.machine('w1').behaviour.pending).toBe(0);
  });

  it('a label that says so in the middle does not end the work either', async () => {
    const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
    world.cluster.addNode('w1');
    await world.run(hour, () => world.theRun().nodes['w1']?.phase === 'Patching');
    const { view } = world.cluster.machine('w1');
    world.cluster.change('w1', {
      labels: { ...view.labels, [runLabel]: world.theRun().hash, [phaseLabel]: 'Patched' },
    });
    await world.pass();
    expect(world.theRun().nodes['w1']?.phase).toBe('Patching');
    await world.run(2 * hour);
    expect(world.cluster.jobsOf('verify')).toHaveLength(1);
  });

  it('a result that claims success for another node or run proves nothing about this one', async () => {
    const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
    world.cluster.addNode('w1');
    world.cluster.machine('w1').behaviour.fail = { verify: 'VERIFY_PENDING' };
    await world.run(2 * hour);
    expect(world.ends()).toEqual(['w1: Quarantined/VerifyFailed']);
  });

  it('marks of ours in a cluster without a ledger hold everything instead of being believed', async () => {
    const world = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
    world.cluster.addNode('w1', { labels: { [runLabel]: 'abcdef0123' } });
    const plan = await world.pass();
    expect(plan.holds[0]?.reason).toBe('LedgerLost');
    expect(plan.actions).toEqual([]);
  });
});
