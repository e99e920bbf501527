// Gates on a real API server: pods that must not be disturbed, and an HTTP address that closes and opens while the run is under way.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SeenStatus } from './seen.ts';
import { openStage, workNamespace } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

let server: Server;
let answer = 503;
const asked: number[] = [];
beforeAll(async () => {
  server = createServer((_, response) => {
    asked.push(answer);
    response.writeHead(answer).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

/** True when every node waits at the gate, with such an answer. */
const closed =
  (said: RegExp) =>
  (status: SeenStatus): boolean =>
    status.nodes.every((node) => node.reason === 'GateBlocked' && said.test(node.message));

it('waits while a pod of a batch runs, and names it', async () => {
  const story = await on.tell({ count: 1 });
  const pods = `/api/v1/namespaces/${workNamespace}/pods`;
  await on.stage.plane.admin.create(pods, {
    metadata: { name: 'month-end', labels: { batch: 'critical' } },
    spec: { containers: [{ name: 'main', image: 'example.invalid/batch:1' }], terminationGracePeriodSeconds: 1 },
  });
  await story.until('the batch runs', async () => {
    const pod = await on.stage.plane.admin.get<{ status: { phase: string } }>(`${pods}/month-end`);
    return pod.status.phase === 'Running';
  });
  story.oakum();
  const gates = [{ podSelector: 'batch=critical', namespace: workNamespace }];
  story.commit({ 'clusters/prod/policy.yaml': policy({ gates }), ...request('first') });
  await story.says('the gate names the pod', closed(/batch=critical.*work\/month-end/));
  expect(story.patch.calls).toEqual([]);
  await on.stage.plane.admin.delete(`${pods}/month-end`);
  await story.runIs('Succeeded');
  await story.provenOnce();
});

it('asks an address before every node, and starts none while it says no', async () => {
  const story = await on.tell({ count: 2 });
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/may-i`;
  // Longer than a reading is used again.
  story.patch.system('light-001').durationMs = { patch: 20_000 };
  answer = 503;
  story.oakum(['--gate-allow', `http://127.0.0.1:${port}/`]);
  story.commit({ 'clusters/prod/policy.yaml': policy({ gates: [{ http: { url } }] }), ...request('first') });
  await story.says('the gate names the answer', closed(/503/));
  expect(story.patch.calls).toEqual([]);

  answer = 200;
  await story.until('the first node is being patched', async () => (await story.jobs('patch')).length === 1);
  answer = 500;
  await story.says('the second node waits at the gate', (status) => {
    const [first, second] = status.nodes;
    return first?.patchedVersion !== '' && second?.reason === 'GateBlocked' && second.message.includes('500');
  });
  expect(story.calls('light-002')).toEqual([]);

  answer = 200;
  await story.runIs('Succeeded');
  await story.provenOnce();
  expect(new Set(asked)).toEqual(new Set([503, 200, 500]));
});
