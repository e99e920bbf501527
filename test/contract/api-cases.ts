// What clients can rely on from a Kubernetes API server, one named case each, so that the simulation and a real server answer the same questions.
import assert from 'node:assert/strict';

/** A JSON object of the API, read with care. */
export type Json = Record<string, unknown>;

/** One answer: the body is parsed when it is JSON, else it is the text. */
export interface ApiAnswer {
  status: number;
  headers: Record<string, string>;
  body: unknown;
}

/** An open watch: events as they come. `next` waits at most the given time and then answers undefined. */
export interface ApiWatch {
  next(timeoutMs: number): Promise<Json | undefined>;
  close(): void;
}

/** The server that a case is run against. Every case works in the namespace `namespace` and on nodes that it makes itself. */
export interface ApiUnderTest {
  readonly namespace: string;
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<ApiAnswer>;
  watch(path: string): Promise<ApiWatch>;
  /** Forgets old versions (an etcd compaction, a restart); absent where the server cannot be told to. */
  expire?(): Promise<void>;
  /** Lets the server throttle the next request as priority and fairness does. */
  throttleOnce?(): Promise<void>;
}

/** One case. `needs` names the power over the server that it takes. */
export interface ApiCase {
  name: string;
  needs?: 'expire' | 'throttleOnce';
  run(api: ApiUnderTest): Promise<void>;
}

const JSON_PATCH = { 'content-type': 'application/json-patch+json' };
const MERGE_PATCH = { 'content-type': 'application/merge-patch+json' };
const APPLY_PATCH = { 'content-type': 'application/apply-patch+yaml' };

/** Follows a path of keys and indexes into a JSON value. */
function at(value: unknown, ...path: (string | number)[]): unknown {
  let here = value;
  for (const key of path) here = typeof here === 'object' && here !== null ? (here as Json)[key] : undefined;
  return here;
}

let counter = 0;
const unique = (prefix: string): string => `${prefix}-${Date.now().toString(36)}-${counter++}`;
const maps = (api: ApiUnderTest): string => `/api/v1/namespaces/${api.namespace}/configmaps`;
const pods = (api: ApiUnderTest): string => `/api/v1/namespaces/${api.namespace}/pods`;
const jobs = (api: ApiUnderTest): string => `/apis/batch/v1/namespaces/${api.namespace}/jobs`;
const leases = (api: ApiUnderTest): string => `/apis/coordination.k8s.io/v1/namespaces/${api.namespace}/leases`;
const budgets = (api: ApiUnderTest): string => `/apis/policy/v1/namespaces/${api.namespace}/poddisruptionbudgets`;

async function must(
  api: ApiUnderTest,
  status: number,
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
): Promise<Json> {
  const answer = await api.request(method, path, body, headers);
  assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(answer.body).slice(0, 400)}`);
  return answer.body as Json;
}

async function makeMap(api: ApiUnderTest, data: Json = { a: '1' }, labels: Json = {}): Promise<Json> {
  return must(api, 201, 'POST', maps(api), {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: unique('map'), labels },
    data,
  });
}

const nameOf = (object: Json): string => String(at(object, 'metadata', 'name'));
const versionOf = (object: Json): string => String(at(object, 'metadata', 'resourceVersion'));

async function makeNode(api: ApiUnderTest): Promise<string> {
  const name = unique('case-node');
  await must(api, 201, 'POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
  return name;
}

async function removeNode(api: ApiUnderTest, name: string): Promise<void> {
  await must(api, 200, 'DELETE', `/api/v1/nodes/${name}`);
}

/** A pod on a node that does not exist, so that nobody but the case moves it. */
async function makePod(api: ApiUnderTest, labels: Json, phase: string, ready: boolean): Promise<Json> {
  const name = unique('pod');
  await must(api, 201, 'POST', pods(api), {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels },
    spec: {
      nodeName: 'no-such-node',
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'c', image: 'none.invalid/none' }],
    },
  });
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  return must(api, 200, 'PATCH', `${pods(api)}/${name}/status`, { status: { phase, conditions } }, MERGE_PATCH);
}

async function makeBudget(api: ApiUnderTest, labels: Json, spec: Json): Promise<string> {
  const name = unique('budget');
  await must(api, 201, 'POST', budgets(api), {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name },
    spec: { selector: { matchLabels: labels }, ...spec },
  });
  let status: unknown;
  for (let i = 0; i < 1_200; i++) {
    status = at(await must(api, 200, 'GET', `${budgets(api)}/${name}`), 'status');
    if (at(status, 'observedGeneration') === 1 && at(status, 'expectedPods') !== 0) return name;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the budget was not looked at in a minute: ${JSON.stringify(status)}`);
}

const evict = (api: ApiUnderTest, pod: Json, more: Json = {}): Promise<ApiAnswer> =>
  api.request('POST', `${pods(api)}/${nameOf(pod)}/eviction`, {
    apiVersion: 'policy/v1',
    kind: 'Eviction',
    metadata: { name: nameOf(pod) },
    ...more,
  });

async function destroyPod(api: ApiUnderTest, pod: Json): Promise<void> {
  await api.request('DELETE', `${pods(api)}/${nameOf(pod)}`, {
    apiVersion: 'v1',
    kind: 'DeleteOptions',
    gracePeriodSeconds: 0,
  });
}

const job = (name: string, spec: Json = {}, pod: Json = {}): Json => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name },
  spec: {
    ...spec,
    template: {
      spec: {
        restartPolicy: 'Never',
        nodeName: 'no-such-node',
        containers: [{ name: 'c', image: 'none.invalid/none' }],
        ...pod,
      },
    },
  },
});

/** All cases, in the order of what they are about: transport, lists and watches, writes, eviction, Jobs. */
export const API_CASES: readonly ApiCase[] = [
  {
    name: 'a path that nothing serves is a 404 with a Status',
    async run(api) {
      const answer = await api.request('GET', '/apis/nothing.invalid/v1/things');
      assert.equal(answer.status, 404);
    },
  },
  {
    name: 'a uid precondition in the body of a DELETE holds',
    async run(api) {
      const map = await makeMap(api);
      const wrong = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid: '00000000-0000-4000-8000-000000000000' },
      };
      const refused = await must(api, 409, 'DELETE', `${maps(api)}/${nameOf(map)}`, wrong);
      assert.equal(refused['reason'], 'Conflict');
      const right = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: at(map, 'metadata', 'uid') } };
      await must(api, 200, 'DELETE', `${maps(api)}/${nameOf(map)}`, right);
    },
  },
  {
    name: 'priority and fairness throttles in plain text with Retry-After',
    needs: 'throttleOnce',
    async run(api) {
      await api.throttleOnce?.();
      const answer = await api.request('GET', maps(api));
      assert.equal(answer.status, 429);
      assert.match(answer.headers['content-type'] ?? '', /^text\/plain/);
      assert.equal(answer.headers['retry-after'], '1');
    },
  },
  {
    name: 'pages are consistent, and a bad continue token is a 400',
    async run(api) {
      const set = unique('page');
      for (let i = 0; i < 3; i++) await makeMap(api, { i: String(i) }, { set });
      const path = `${maps(api)}?labelSelector=set%3D${set}&limit=2`;
      const first = await must(api, 200, 'GET', path);
      assert.equal((first['items'] as Json[]).length, 2);
      await makeMap(api, {}, { set });
      const second = await must(api, 200, 'GET', `${path}&continue=${String(at(first, 'metadata', 'continue'))}`);
      assert.equal((second['items'] as Json[]).length, 1);
      assert.equal(versionOf(second), versionOf(first));
      assert.equal((await api.request('GET', `${maps(api)}?limit=2&continue=nonsense`)).status, 400);
    },
  },
  {
    name: 'an expired continue token is a 410 that carries a fresh one',
    needs: 'expire',
    async run(api) {
      for (let i = 0; i < 3; i++) await makeMap(api);
      const first = await must(api, 200, 'GET', `${maps(api)}?limit=2`);
      await makeMap(api);
      await api.expire?.();
      const path = `${maps(api)}?limit=2&continue=`;
      const refused = await must(api, 410, 'GET', path + String(at(first, 'metadata', 'continue')));
      const fresh = String(at(refused, 'metadata', 'continue'));
      assert.notEqual(fresh, 'undefined');
      await must(api, 200, 'GET', path + fresh);
    },
  },
  {
    name: 'a list of a version that lies ahead is a 504 ResourceVersionTooLarge, a watch from there is silent',
    async run(api) {
      const map = await makeMap(api);
      const ahead = String(Number(versionOf(map)) + 1_000_000);
      const answer = await api.request('GET', `${maps(api)}?resourceVersion=${ahead}`);
      assert.equal(answer.status, 504);
      assert.equal(at(answer.body, 'details', 'causes', 0, 'reason'), 'ResourceVersionTooLarge');
      const watch = await api.watch(`${maps(api)}?watch=true&resourceVersion=${ahead}`);
      await makeMap(api);
      assert.equal(await watch.next(500), undefined);
      watch.close();
    },
  },
  {
    name: 'a watch delivers every change after its version, and selectors turn into additions and deletions',
    async run(api) {
      const set = unique('seen');
      const map = await makeMap(api);
      const watch = await api.watch(
        `${maps(api)}?watch=true&labelSelector=set%3D${set}&resourceVersion=${versionOf(map)}`,
      );
      const path = `${maps(api)}/${nameOf(map)}`;
      await must(api, 200, 'PATCH', path, { metadata: { labels: { set } } }, MERGE_PATCH);
      assert.equal((await watch.next(30_000))?.['type'], 'ADDED');
      await must(api, 200, 'PATCH', path, { data: { b: '2' } }, MERGE_PATCH);
      assert.equal((await watch.next(30_000))?.['type'], 'MODIFIED');
      await must(api, 200, 'PATCH', path, { metadata: { labels: { set: null } } }, MERGE_PATCH);
      assert.equal((await watch.next(30_000))?.['type'], 'DELETED');
      watch.close();
    },
  },
  {
    name: 'a watch from a version that is forgotten opens, says 410 in the stream, and ends',
    needs: 'expire',
    async run(api) {
      const map = await makeMap(api);
      await makeMap(api);
      await api.expire?.();
      const watch = await api.watch(`${maps(api)}?watch=true&resourceVersion=${versionOf(map)}`);
      const event = await watch.next(30_000);
      assert.equal(event?.['type'], 'ERROR');
      assert.equal(at(event, 'object', 'code'), 410);
      assert.equal(at(event, 'object', 'reason'), 'Expired');
      watch.close();
    },
  },
  {
    name: 'a watch can begin with the list, and a bookmark marks its end',
    async run(api) {
      const map = await makeMap(api);
      const watch = await api.watch(
        `${maps(api)}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector=metadata.name%3D${nameOf(map)}`,
      );
      assert.equal((await watch.next(30_000))?.['type'], 'ADDED');
      const mark = await watch.next(30_000);
      assert.equal(mark?.['type'], 'BOOKMARK');
      assert.equal(at(mark, 'object', 'metadata', 'annotations', 'k8s.io/initial-events-end'), 'true');
      watch.close();
    },
  },
  {
    name: 'apply creates a node that does not exist, unless the configuration names a uid',
    async run(api) {
      const name = unique('case-node');
      const path = `/api/v1/nodes/${name}?fieldManager=case`;
      const config = { apiVersion: 'v1', kind: 'Node', metadata: { name } };
      const uid = '00000000-0000-4000-8000-000000000000';
      await must(api, 409, 'PATCH', path, { ...config, metadata: { name, uid } }, APPLY_PATCH);
      await must(api, 201, 'PATCH', path, config, APPLY_PATCH);
      await must(api, 422, 'PATCH', path, { ...config, metadata: { name, uid } }, APPLY_PATCH);
      await removeNode(api, name);
    },
  },
  {
    name: 'the taints of a node have one owner as a whole',
    async run(api) {
      const name = await makeNode(api);
      const config = (key: string): Json => ({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name },
        spec: { taints: [{ key, effect: 'NoSchedule' }] },
      });
      await must(
        api,
        200,
        'PATCH',
        `/api/v1/nodes/${name}?fieldManager=one&force=true`,
        config('one.example/a'),
        APPLY_PATCH,
      );
      const refused = await must(
        api,
        409,
        'PATCH',
        `/api/v1/nodes/${name}?fieldManager=two`,
        config('two.example/b'),
        APPLY_PATCH,
      );
      const causes = at(refused, 'details', 'causes') as Json[];
      assert.ok(
        causes.some((cause) => cause['reason'] === 'FieldManagerConflict' && cause['field'] === '.spec.taints'),
      );
      await removeNode(api, name);
    },
  },
  {
    name: 'apply without a field manager is a 422, and an apply that changes nothing leaves the version',
    async run(api) {
      const map = await makeMap(api);
      const path = `${maps(api)}/${nameOf(map)}`;
      const config = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: nameOf(map) }, data: { own: '1' } };
      await must(api, 422, 'PATCH', path, config, APPLY_PATCH);
      const first = await must(api, 200, 'PATCH', `${path}?fieldManager=case`, config, APPLY_PATCH);
      const second = await must(api, 200, 'PATCH', `${path}?fieldManager=case`, config, APPLY_PATCH);
      assert.equal(versionOf(second), versionOf(first));
      const third = await must(api, 200, 'PATCH', `${path}?fieldManager=case`, { ...config, data: {} }, APPLY_PATCH);
      assert.deepEqual(third['data'], { a: '1' });
    },
  },
  {
    name: 'an old version is a 409 without causes of field managers',
    async run(api) {
      const map = await makeMap(api);
      const path = `${maps(api)}/${nameOf(map)}`;
      await must(api, 200, 'PATCH', path, { data: { b: '2' } }, MERGE_PATCH);
      const refused = await must(api, 409, 'PUT', path, { ...map, data: { c: '3' } });
      assert.equal(refused['reason'], 'Conflict');
      assert.equal(at(refused, 'details', 'causes'), undefined);
    },
  },
  {
    name: 'a JSON patch whose test fails is a 422',
    async run(api) {
      const map = await makeMap(api);
      const patch = [
        { op: 'test', path: '/data/a', value: 'other' },
        { op: 'replace', path: '/data/a', value: '2' },
      ];
      await must(api, 422, 'PATCH', `${maps(api)}/${nameOf(map)}`, patch, JSON_PATCH);
      const kept = await must(api, 200, 'GET', `${maps(api)}/${nameOf(map)}`);
      assert.equal(at(kept, 'data', 'a'), '1');
    },
  },
  {
    name: 'an unknown field is dropped with a warning, or a 400 when strictness is asked for',
    async run(api) {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: unique('map') }, data: {}, surprise: 1 };
      await must(api, 400, 'POST', `${maps(api)}?fieldValidation=Strict`, body);
      const answer = await api.request('POST', `${maps(api)}?fieldValidation=Warn`, body);
      assert.equal(answer.status, 201);
      assert.match(answer.headers['warning'] ?? '', /unknown field/);
      assert.equal(at(answer.body, 'surprise'), undefined);
    },
  },
  {
    name: 'a ConfigMap over 1 MiB and annotations over 256 KiB are 422, a request over 3 MiB is 413',
    async run(api) {
      const body = (metadata: Json, data: Json): Json => ({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: unique('map'), ...metadata },
        data,
      });
      await must(api, 422, 'POST', maps(api), body({}, { a: 'x'.repeat(1024 * 1024 + 1) }));
      await must(api, 422, 'POST', maps(api), body({ annotations: { a: 'x'.repeat(256 * 1024) } }, {}));
      assert.equal(
        (await api.request('POST', maps(api), body({}, { a: 'x'.repeat(3 * 1024 * 1024 + 10) }))).status,
        413,
      );
    },
  },
  {
    name: 'a dry run judges and stores nothing',
    async run(api) {
      const name = unique('map');
      await must(api, 201, 'POST', `${maps(api)}?dryRun=All`, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
      });
      await must(api, 404, 'GET', `${maps(api)}/${name}`);
    },
  },
  {
    name: 'the times of a Lease are MicroTimes to the letter, and one of three writers wins',
    async run(api) {
      const name = unique('lease');
      const lease = (renewTime: string): Json => ({
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name },
        spec: { holderIdentity: 'a', renewTime },
      });
      await must(api, 400, 'POST', leases(api), lease('2026-01-01T00:00:00.402Z'));
      const made = await must(api, 201, 'POST', leases(api), lease('2026-01-01T00:00:00.402000Z'));
      const answers = await Promise.all(
        ['x', 'y', 'z'].map((holderIdentity) =>
          api.request('PUT', `${leases(api)}/${name}`, { ...made, spec: { holderIdentity } }),
        ),
      );
      assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 409, 409]);
    },
  },
  {
    name: 'a cordon brings its taint a little later',
    async run(api) {
      const name = await makeNode(api);
      await must(api, 200, 'PATCH', `/api/v1/nodes/${name}`, { spec: { unschedulable: true } }, MERGE_PATCH);
      let keys: unknown[] = [];
      for (let i = 0; i < 600 && !keys.includes('node.kubernetes.io/unschedulable'); i++) {
        const node = await must(api, 200, 'GET', `/api/v1/nodes/${name}`);
        keys = ((at(node, 'spec', 'taints') ?? []) as Json[]).map((taint) => taint['key']);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.ok(keys.includes('node.kubernetes.io/unschedulable'));
      await removeNode(api, name);
    },
  },
  {
    name: 'an exhausted budget is a JSON 429 with its cause and no Retry-After, and is judged before the uid',
    async run(api) {
      const labels = { app: unique('app') };
      const pod = await makePod(api, labels, 'Running', true);
      await makeBudget(api, labels, { minAvailable: 1 });
      const wrongUid = { deleteOptions: { preconditions: { uid: '00000000-0000-4000-8000-000000000000' } } };
      for (const more of [{}, wrongUid, { deleteOptions: { dryRun: ['All'] } }]) {
        const answer = await evict(api, pod, more);
        assert.equal(answer.status, 429);
        assert.equal(at(answer.body, 'reason'), 'TooManyRequests');
        assert.equal(at(answer.body, 'details', 'causes', 0, 'reason'), 'DisruptionBudget');
        assert.equal(answer.headers['retry-after'], undefined);
      }
      await destroyPod(api, pod);
    },
  },
  {
    name: 'two budgets on one pod are a 500',
    async run(api) {
      const labels = { app: unique('app') };
      const pod = await makePod(api, labels, 'Running', true);
      await makeBudget(api, labels, { minAvailable: 0 });
      await makeBudget(api, labels, { minAvailable: 0 });
      assert.equal((await evict(api, pod)).status, 500);
      await destroyPod(api, pod);
    },
  },
  {
    name: 'an unready pod is held by its budget unless the budget says otherwise; an ended pod is not',
    async run(api) {
      const labels = { app: unique('app') };
      const pod = await makePod(api, labels, 'Running', false);
      const budget = await makeBudget(api, labels, { minAvailable: 1 });
      assert.equal((await evict(api, pod)).status, 429);
      await must(
        api,
        200,
        'PATCH',
        `${budgets(api)}/${budget}`,
        { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } },
        MERGE_PATCH,
      );
      assert.equal((await evict(api, pod)).status, 201);
      assert.equal((await evict(api, pod)).status, 201, 'a pod that is going already');
      await destroyPod(api, pod);
      assert.equal((await evict(api, pod)).status, 404);
      const ended = await makePod(api, labels, 'Succeeded', false);
      assert.equal((await evict(api, ended)).status, 201);
      await destroyPod(api, ended);
    },
  },
  {
    name: 'an evicted pod with a finalizer stays',
    async run(api) {
      const pod = await makePod(api, { app: unique('app') }, 'Running', true);
      const path = `${pods(api)}/${nameOf(pod)}`;
      await must(api, 200, 'PATCH', path, { metadata: { finalizers: ['case.example/keep'] } }, MERGE_PATCH);
      assert.equal((await evict(api, pod)).status, 201);
      await destroyPod(api, pod);
      assert.notEqual(at(await must(api, 200, 'GET', path), 'metadata', 'deletionTimestamp'), undefined);
      await must(api, 200, 'PATCH', path, { metadata: { finalizers: null } }, MERGE_PATCH);
      await must(api, 404, 'GET', path);
    },
  },
  {
    name: 'a Job deleted without a propagation policy warns; its name has at most 63 letters and its template does not change',
    async run(api) {
      await must(api, 422, 'POST', jobs(api), job('j'.repeat(64)));
      const name = unique('job');
      await must(api, 201, 'POST', jobs(api), job(name));
      const patch = { spec: { template: { spec: { restartPolicy: 'OnFailure' } } } };
      await must(api, 422, 'PATCH', `${jobs(api)}/${name}`, patch, MERGE_PATCH);
      const answer = await api.request('DELETE', `${jobs(api)}/${name}`);
      assert.equal(answer.status, 200);
      assert.match(answer.headers['warning'] ?? '', /child pods are preserved by default/);
    },
  },
  {
    name: 'a Job whose pods are refused is created all the same, and only Events say so',
    async run(api) {
      const name = unique('job');
      await must(api, 201, 'POST', jobs(api), job(name, {}, { serviceAccountName: 'nobody-of-this-name' }));
      const selector = encodeURIComponent(`involvedObject.name=${name},reason=FailedCreate`);
      let events: Json[] = [];
      for (let i = 0; i < 1_200 && events.length === 0; i++) {
        const list = await must(
          api,
          200,
          'GET',
          `/api/v1/namespaces/${api.namespace}/events?fieldSelector=${selector}`,
        );
        events = list['items'] as Json[];
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      assert.ok(events.length > 0);
      const made = await must(api, 200, 'GET', `${jobs(api)}/${name}`);
      assert.equal(at(made, 'status', 'conditions'), undefined);
      await must(api, 200, 'DELETE', `${jobs(api)}/${name}?propagationPolicy=Background`);
    },
  },
];
