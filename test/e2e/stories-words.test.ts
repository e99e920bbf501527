// What a person reads on the terminal about a real cluster: `oakum status`, `oakum why`, `oakum plan`.
import { expect, it } from 'vitest';
import { startDeployment } from '../lab/workloads.ts';
import { stands } from './seen.ts';
import { openStage, workNamespace } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

it('says where every node stands, why, and what can be done', async () => {
  const story = await on.tell({ count: 2 });
  const web = { namespace: workNamespace, name: 'web', replicas: 2, spread: true, budget: { minAvailable: 2 } };
  await startDeployment(on.stage.plane.admin, web);
  story.oakum();
  const commit = story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
  await story.says('a node is blocked by the budget', stands('Cordoning', 'DisruptionBlocked'));

  const why = await story.ask('why', 'light-001');
  console.log(why.stdout);
  expect(why).toMatchObject({ code: 0, stderr: '' });
  expect(why.stdout).toMatch(/DisruptionBlocked/);
  expect(why.stdout).toMatch(/PodDisruptionBudget work\/web/);
  expect(why.stdout).toMatch(/scale up, or make the budget looser/);
  expect(why.stdout).toContain(commit.slice(0, 7));

  const fleet = await story.ask('status');
  expect(fleet.code).toBe(0);
  expect(fleet.stdout).toMatch(/prod/);
  const one = await story.ask('status', '--cluster', 'prod');
  console.log(one.stdout);
  expect(one.stdout).toMatch(/light-001 +Cordoning +DisruptionBlocked/);
  expect(one.stdout).toMatch(/light-002 +Pending/);
  const json = await story.ask('status', '--cluster', 'prod', '--output', 'json');
  expect(JSON.parse(json.stdout)).toMatchObject({});

  const plan = await story.ask('plan', '--cluster', 'prod', '--kubeconfig', story.kubeconfig);
  console.log(plan.stdout);
  expect(plan.code).toBe(0);
  expect(plan.stdout).toMatch(/DisruptionBlocked/);
  // Looking has changed nothing.
  expect(await story.cordoned()).toEqual([]);

  await on.stage.plane.admin.patch(`/apis/policy/v1/namespaces/${workNamespace}/poddisruptionbudgets/web`, {
    spec: { minAvailable: 0 },
  });
  await story.runIs('Succeeded');
  const after = await story.ask('why', 'light-001');
  expect(after.stdout).toMatch(/patched/i);
  expect(after.stdout).not.toMatch(/DisruptionBlocked/);
  const nobody = await story.ask('why', 'light-009');
  expect(nobody.code).toBe(2);
  expect(nobody.stderr).toMatch(/has a node "light-009"/);
});
