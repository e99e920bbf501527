// Draining on a real API server: budgets that block and free, two budgets on one pod, a cordon of somebody else.
import { expect, it } from 'vitest';
import { createBudget, startDeployment } from '../lab/workloads.ts';
import { stands } from './seen.ts';
import { openStage, workNamespace } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

const budgets = `/apis/policy/v1/namespaces/${workNamespace}/poddisruptionbudgets`;

it('waits for a budget before it cordons, names it, and goes on when there is room', async () => {
  const story = await on.tell({ count: 3 });
  const web = { namespace: workNamespace, name: 'web', replicas: 2, spread: true };
  await startDeployment(on.stage.plane.admin, { ...web, budget: { minAvailable: 2 } });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  const blocked = await story.says('a node is blocked by the budget', stands('Cordoning', 'DisruptionBlocked'));
  const node = blocked.nodes.find((one) => one.phase === 'Cordoning');
  expect(node?.message).toMatch(/PodDisruptionBudget work\/web .* pod work\/web-.*2 of 2 pods/);
  // Nobody has lost a node or a pod to a drain that cannot be done.
  expect(story.witness.sightings.filter((one) => one.change === 'cordoned').map((one) => one.node)).not.toContain(
    node?.name,
  );
  expect(await story.cordoned()).toEqual([]);

  await on.stage.plane.admin.patch(`${budgets}/web`, { spec: { minAvailable: 1 } });
  await story.runIs('Succeeded');
  for (const name of story.lights.nodes.keys()) {
    expect(story.patch.installs(name)).toBe(1);
    expect(story.lights.node(name).boots()).toBe(1);
  }
  expect(story.witness.mostOut()).toBe(1);
  expect(await story.cordoned()).toEqual([]);
});

it('says that a pod has two budgets, which the eviction API refuses for ever, until a person mends that', async () => {
  const story = await on.tell({ count: 2 });
  const web = { namespace: workNamespace, name: 'web', replicas: 1, budget: { maxUnavailable: 1 } };
  await startDeployment(on.stage.plane.admin, web);
  await createBudget(on.stage.plane.admin, workNamespace, 'second', { app: 'web' }, { maxUnavailable: 1 });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  const blocked = await story.says('the two budgets are named', stands('Cordoning', 'TwoBudgets'));
  expect(blocked.nodes.find((node) => node.phase === 'Cordoning')?.message).toMatch(/work\/web-.*second/);
  expect(await story.cordoned()).toEqual([]);
  await on.stage.plane.admin.delete(`${budgets}/second`);
  await story.runIs('Succeeded');
  expect(await story.cordoned()).toEqual([]);
});

it('leaves the cordon of somebody else as it was', async () => {
  const story = await on.tell({ count: 2 });
  await on.stage.plane.admin.patch('/api/v1/nodes/light-001', { spec: { unschedulable: true } });
  story.oakum();
  story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  const status = await story.runIs('Succeeded');
  expect(story.patch.installs('light-001')).toBe(1);
  expect(story.patch.installs('light-002')).toBe(1);
  expect(await story.cordoned()).toEqual(['light-001']);
  expect((await story.node('light-001')).metadata.annotations).not.toHaveProperty('oakum.dev/cordoned-by');
  expect(status.observedCommit).not.toBe('');
});
