// Others at work: a node that another tool is busy with waits, counts as out, and is given up after a day.
import { describe, expect, it } from 'vitest';
import { kuredRebootAnnotation } from '../../reconciler/model/names.ts';
import type { NodeView } from '../../reconciler/model/observed.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;

function taint(key: string): Partial<NodeView> {
  return { taints: [{ key, value: '', effect: 'NoSchedule' }] };
}

const cases: { tool: string; mark: Partial<NodeView> }[] = [
  { tool: 'kured', mark: { annotations: { [kuredRebootAnnotation]: '2026-06-01T11:58:00Z' } } },
  { tool: 'Karpenter', mark: taint('karpenter.sh/disrupted') },
  { tool: 'Karpenter', mark: taint('karpenter.sh/disruption') },
  { tool: 'cluster-autoscaler', mark: taint('ToBeDeletedByClusterAutoscaler') },
  { tool: 'Cluster API', mark: taint('node.cluster.x-k8s.io/uninitialized') },
  { tool: 'node-maintenance', mark: taint('medik8s.io/drain') },
  { tool: 'aws-node-termination-handler', mark: taint('aws-node-termination-handler/spot-itn') },
  { tool: 'somebody', mark: taint('node.kubernetes.io/out-of-service') },
];

function world(): TinyWorld {
  const made = new TinyWorld(undefined, aCluster({ requests: [aRequest('now')] }));
  made.cluster.addNode('worker-1');
  made.cluster.addNode('worker-2');
  return made;
}

describe('a node that another tool is at work on', () => {
  it.each(cases)('waits for $tool, and nobody else goes in its place', async ({ tool, mark }) => {
    const made = world();
    made.cluster.change('worker-1', mark);
    await made.run(hour);
    const [first, second] = made.passes.at(-1)?.nodes ?? [];
    expect(first).toMatchObject({ phase: 'Pending', reason: 'ForeignMaintenance' });
    expect(first?.message).toContain(`${tool} `);
    expect(second).toMatchObject({ phase: 'Pending', reason: 'NoRoomInBudget' });
    expect(second?.message).toContain(tool);
    made.cluster.change('worker-1', { taints: [], annotations: {} });
    await made.run(hour);
    expect(made.ends()).toEqual(['worker-1: Patched/Patched', 'worker-2: Patched/Patched']);
  });

  it('leaves room for another one where the budget has it, and is given up after a day', async () => {
    const made = world();
    made.change({ policy: aPolicy({ rollout: { concurrency: { kind: 'count', value: 2 } } }) });
    made.cluster.change('worker-1', taint('karpenter.sh/disrupted'));
    await made.run(23 * hour);
    expect(made.ends()).toEqual(['worker-1: Pending/Due', 'worker-2: Patched/Patched']);
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['worker-1: Skipped/ForeignMaintenance', 'worker-2: Patched/Patched']);
    expect(made.theRun()).toMatchObject({ state: 'Failed', reason: 'RunFailed' });
  });

  it('is not cordoned when the other tool came while updates were downloaded', async () => {
    const made = world();
    await made.run(hour, () => made.runs()[0]?.nodes['worker-1']?.phase === 'Downloading');
    made.cluster.change('worker-1', taint('medik8s.io/drain'));
    await made.run(60_000);
    expect(made.theRun().nodes['worker-1']).toMatchObject({ phase: 'Cordoning', reason: 'ForeignMaintenance' });
    expect(made.cluster.done.some((action) => action.kind === 'cordon')).toBe(false);
    made.cluster.change('worker-1', { taints: [] });
    await made.run(hour);
    expect(made.theRun().state).toBe('Succeeded');
  });

  it('is no such node for a mark that only says what may be done some day', async () => {
    const made = world();
    made.cluster.change('worker-1', taint('DeletionCandidateOfClusterAutoscaler'));
    await made.run(hour);
    expect(made.theRun().state).toBe('Succeeded');
  });
});
