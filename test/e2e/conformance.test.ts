// The questions that the simulation answers, asked of a real API server: where the two differ, the simulation is wrong.
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { API_CASES, type ApiAnswer, type ApiUnderTest, type ApiWatch, type Json } from '../contract/api-cases.ts';
import { createApi, type Access, type Api, type ApiAnswer as LabAnswer } from '../lab/api.ts';
import { startControlPlane, type ControlPlane } from '../lab/control-plane.ts';
import { until } from '../lab/wait.ts';
import { ensureNamespace } from '../lab/workloads.ts';

let plane: ControlPlane;
let throttled: Api | undefined;
const power = process.env['OAKUM_E2E_KUBECONFIG'] === undefined;
const possible = API_CASES.filter((one) => one.needs === undefined || power);
const impossible = API_CASES.filter((one) => !possible.includes(one));

beforeAll(async () => {
  plane = await startControlPlane();
  await ensureNamespace(plane.admin, 'cases');
  await until('the namespace has its ServiceAccount', () =>
    plane.admin.find('/api/v1/namespaces/cases/serviceaccounts/default'),
  );
  if (plane.power !== undefined) throttled = await startThrottledUser(plane);
  if (impossible.length > 0)
    console.warn(`NOT RUN on a foreign cluster: ${impossible.map((one) => one.name).join('; ')}`);
});

afterAll(async () => {
  await throttled?.close();
  await plane.stop();
});

describe('a real API server', () => {
  for (const one of possible) it(one.name, () => one.run(underTest()));
});

function underTest(): ApiUnderTest {
  let throttleNext = false;
  let leaveSeat = (): void => undefined;
  const api: ApiUnderTest = {
    namespace: 'cases',
    async request(method, path, body, headers) {
      const client = throttleNext ? (throttled ?? plane.admin) : plane.admin;
      const answer = plain(await client.request(method, path, body, headers));
      if (throttleNext) leaveSeat();
      throttleNext = false;
      return answer;
    },
    watch: (path) => openWatch(plane.admin, path),
  };
  if (plane.power === undefined) return api;
  const own = plane.power;
  return {
    ...api,
    // Etcd forgets, and a new API server has a cache that begins now.
    async expire() {
      await own.compactEtcd();
      await own.killApiServer();
      await own.startApiServer();
    },
    async throttleOnce() {
      const user = throttled;
      if (user === undefined) throw new Error('nobody can be throttled');
      // The request that takes the seat may itself be refused, while the one before it still sits there.
      await until('requests of the user are refused', async () => {
        leaveSeat();
        leaveSeat = takeSeat(user.access);
        await sleep(1_000);
        return (await user.request('GET', '/api/v1/nodes')).status === 429;
      });
      throttleNext = true;
    },
  };
}

function plain(answer: LabAnswer): ApiAnswer {
  const headers = Object.entries(answer.headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
  );
  return { status: answer.status, headers: Object.fromEntries(headers) as Record<string, string>, body: answer.body };
}

async function openWatch(api: Api, path: string): Promise<ApiWatch> {
  const events: Json[] = [];
  const stopping = new AbortController();
  let wake: () => void = () => undefined;
  const take = (event: unknown): void => {
    events.push(event as Json);
    wake();
  };
  void api.watch<Json>(path, take, stopping.signal).catch(() => undefined);
  return {
    async next(timeoutMs) {
      if (events.length === 0)
        await new Promise<void>((resolve) => {
          wake = resolve;
          setTimeout(resolve, timeoutMs);
        });
      return events.shift();
    },
    close: () => stopping.abort(),
  };
}

/** A user with all rights and a single seat. */
async function startThrottledUser(own: ControlPlane): Promise<Api> {
  const flows = '/apis/flowcontrol.apiserver.k8s.io/v1';
  const subject = { kind: 'User', name: 'throttled' };
  await own.admin.create('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'throttled' },
    subjects: [{ ...subject, apiGroup: 'rbac.authorization.k8s.io' }],
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  });
  await own.admin.create(`${flows}/prioritylevelconfigurations`, {
    metadata: { name: 'no-seats' },
    spec: {
      type: 'Limited',
      limited: {
        nominalConcurrencyShares: 0,
        lendablePercent: 0,
        borrowingLimitPercent: 0,
        limitResponse: { type: 'Reject' },
      },
    },
  });
  const everything = { verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] };
  const schema = await own.admin.create(`${flows}/flowschemas`, {
    metadata: { name: 'no-seats' },
    spec: {
      priorityLevelConfiguration: { name: 'no-seats' },
      matchingPrecedence: 2,
      distinguisherMethod: { type: 'ByUser' },
      rules: [{ subjects: [{ kind: 'User', user: { name: 'throttled' } }], resourceRules: [everything] }],
    },
  });
  const user = createApi(await own.userAccess('throttled'));
  // Until then a request takes a seat of another level.
  await until('the flow schema is in force', async () => {
    const { headers } = await user.request('GET', '/api/v1/nodes');
    return headers['x-kubernetes-pf-flowschema-uid'] === schema.metadata.uid;
  });
  return user;
}

/** Even a level without shares lets one request through at a time: this one holds that seat, because its body never comes. */
function takeSeat(access: Access): () => void {
  const { authority: ca, certificate: cert, key } = access;
  const url = `${access.url}/api/v1/namespaces/cases/configmaps`;
  const headers = { 'content-type': 'application/json', 'content-length': 100 };
  const held = httpsRequest(url, { method: 'POST', ca, cert, key, headers });
  held.on('error', () => undefined);
  held.write('{');
  return () => held.destroy();
}
