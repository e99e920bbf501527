// drain.onTimeout: force: what a budget never lets go is deleted when its time is over; nothing else is overridden.
import { expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;

/** A node with a pod that its budget never lets go. */
function blocked(onTimeout: 'force' | 'fail', controlPlane = false): TinyWorld {
  const policy = aPolicy({ drain: { timeoutMs: 10 * minute, onTimeout } });
  const made = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now')] }));
  made.cluster.addNode('w1', { controlPlane });
  if (controlPlane) made.cluster.addNode('w2', { controlPlane });
  made.cluster.addPod('w1', 'db', { labels: { app: 'db' } });
  made.cluster.budgets.push({
    namespace: 'default',
    name: 'db',
    matchLabels: { app: 'db' },
    matchExpressions: [],
    disruptionsAllowed: 0,
    currentHealthy: 1,
    desiredHealthy: 1,
    expectedPods: 1,
  });
  return made;
}

const kinds = (made: TinyWorld): string[] => made.cluster.done.map((action) => action.kind);

it('waits for drain.timeout, then cordons, waits once more, deletes the pod and patches the node', async () => {
  const made = blocked('force');
  await made.run(9 * minute);
  expect(kinds(made)).not.toContain('cordon');
  await made.run(9 * minute);
  expect(kinds(made)).toContain('cordon');
  expect(kinds(made)).not.toContain('deletePod');
  await made.run(60 * minute);
  expect(kinds(made)).toContain('deletePod');
  expect(made.ends()).toEqual(['w1: Patched/Patched']);
});

it('is what makes the difference: without it the node is never cordoned', async () => {
  const made = blocked('fail');
  await made.run(60 * minute);
  expect(kinds(made)).not.toContain('cordon');
  expect(made.ends()).toEqual(['w1: Failed/DrainTimeout']);
});

it.each([
  ['local data', { localData: true }],
  ['a pod that nothing would create again', { owner: undefined }],
])('does not override %s', async (_what, fields) => {
  const made = blocked('force');
  made.cluster.addPod('w1', 'other', { labels: { app: 'db' }, ...fields });
  await made.run(60 * minute);
  expect(kinds(made)).not.toContain('cordon');
  expect(made.ends()).toEqual(['w1: Failed/DrainTimeout']);
});

it('is not obeyed on a control-plane node', async () => {
  const made = blocked('force', true);
  await made.run(120 * minute);
  expect(kinds(made)).not.toContain('deletePod');
  expect(made.theRun().nodes['w1']?.reason).toBe('DrainTimeout');
});
