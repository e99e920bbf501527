// The chart on a real API server: every object is taken without a warning, its rights are enough, and its admission policy lets only Oakum in.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { findHelm, renderChart, type Rendered } from '../chart/helm.ts';
import { createApi, type Api, type ApiAnswer } from '../lab/api.ts';
import { startControlPlane, type ControlPlane } from '../lab/control-plane.ts';
import { renderKubeconfig } from '../lab/kubeconfig.ts';
import { startLightNodes, type LightNodes } from '../lab/light-nodes.ts';
import { createPatchProgram } from '../lab/patch-program.ts';
import { until } from '../lab/wait.ts';
import { commitFiles, git, startGitServer, type GitServer } from '../support/git-server.ts';
import { runOakum } from './process.ts';
import { policy, request } from './wishes.ts';

const release = 'oakum-system';
const image = `registry.example.org/busybox@sha256:${'1'.repeat(64)}`;

const jobs = '/apis/batch/v1/namespaces/os-patch/jobs';
const pods = '/api/v1/namespaces/os-patch/pods';
const mergePatch = { 'content-type': 'application/merge-patch+json' };

type Fields = Readonly<Record<string, unknown>>;
interface Container {
  readonly image: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}
interface Deployment {
  readonly spec: { readonly template: { readonly spec: { readonly containers: readonly Container[] } } };
}
interface JobObject {
  readonly metadata: { readonly name: string; readonly labels: Fields };
  readonly spec: Fields & { readonly template: { readonly metadata: Fields; readonly spec: Fields } };
}
interface PodObject {
  readonly metadata: { readonly name: string };
  readonly spec: Fields & { readonly containers: readonly Container[] };
  readonly status: { readonly phase: string };
}

let plane: ControlPlane;
let lights: LightNodes;
let remote: GitServer;
let folder: string;
let objects: Rendered[];
/** Oakum's ServiceAccount, as the chart makes it. */
let oakum: Api;
/** May do everything in os-patch and nothing elsewhere: what the role `admin` in a namespace gives. */
let tenant: Api;
const warnings: string[] = [];
const patch = createPatchProgram({ durationMs: { download: 100, patch: 100, verify: 100, reboot: 100 }, downMs: 300 });

beforeAll(async () => {
  const helm = findHelm();
  remote = await startGitServer();
  folder = mkdtempSync(join(tmpdir(), 'oakum-chart-'));
  plane = await startControlPlane();
  await plane.admin.create('/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: release, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  });
  lights = await startLightNodes(plane.admin, { count: 2, program: patch.program });
  objects = renderChart(helm, release, [`git.repo=${remote.url}`, 'cluster=prod', `job.image=${image}`]);
  // helm template writes the objects in the order in which helm installs them.
  for (const object of objects) {
    const answer = await plane.admin.request('POST', `${await collectionOf(object)}?fieldValidation=Strict`, object);
    expect(answer.status, `${object.kind} ${object.metadata.name}: ${JSON.stringify(answer.body)}`).toBe(201);
    if (answer.headers['warning'] !== undefined) warnings.push(`${object.kind}: ${String(answer.headers['warning'])}`);
  }
  oakum = createApi(await plane.serviceAccountAccess(release, 'oakum', 7200));
  tenant = await makeTenant();
  await until(
    'the API server asks the policies',
    async () => (await post(plane.admin, pods, barePod())).status === 422,
  );
});

afterAll(async () => {
  await oakum?.close();
  await tenant?.close();
  await lights?.stop();
  await plane?.stop();
  await remote?.stop();
  rmSync(folder, { recursive: true, force: true });
});

describe('the chart on a real API server', () => {
  it('is taken without a warning, and the API server finds no fault in the expressions of its policies', async () => {
    expect(objects.map((object) => object.kind)).toContain('ValidatingAdmissionPolicy');
    expect(warnings).toEqual([]);
    for (const { metadata } of objects.filter((object) => object.kind === 'ValidatingAdmissionPolicy')) {
      const path = `/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/${metadata.name}`;
      const status = await until(`${metadata.name} was checked`, async () => {
        const found = await plane.admin.get<{ status?: { observedGeneration?: number; typeChecking?: unknown } }>(path);
        return found.status?.observedGeneration === undefined ? undefined : found.status;
      });
      expect(status.typeChecking, metadata.name).toEqual({});
    }
  });

  it('brings up a pod in a namespace that allows only restricted ones', async () => {
    await until('the pod of the Deployment runs', async () => {
      const path = `/api/v1/namespaces/${release}/pods`;
      const { items } = await plane.admin.get<{ items: readonly PodObject[] }>(path);
      return items.length === 1 && items[0]?.status.phase === 'Running';
    });
  });

  it('gives rights that are enough for a whole run, with the environment of its Deployment', async () => {
    commitFiles(remote.repository, 'main', { 'clusters/prod/policy.yaml': policy(), ...request('first') });
    const said: string[] = [];
    const showStatus = ['show', 'oakum/status:clusters/prod/status.yaml'];
    await until(
      'a run has succeeded, by one `oakum once` after the other',
      async () => {
        said.push(await once());
        const text = await git(remote.repository, ...showStatus).catch(() => '');
        const document = parse(text) as { status?: { runs: readonly { state: string }[] } } | null;
        return document?.status?.runs.some((run) => run.state === 'Succeeded');
      },
      480_000,
    ).catch(async (error: unknown) => {
      said.push(await git(remote.repository, ...showStatus).catch(String));
      throw new Error(said.slice(-3).join('\n---\n'), { cause: error });
    });
    expect(said.join('\n')).not.toMatch(/"kind":"denied"|forbidden|this is a bug/);
    for (const name of lights.nodes.keys()) {
      expect(patch.installs(name)).toBe(1);
      expect(lights.node(name).boots()).toBe(1);
    }
  });
});

describe('the admission policy', () => {
  it("allows Oakum's own Job and its pod, and to clear them away", async () => {
    const { status } = await post(oakum, jobs, await ownJob());
    expect(status).toBe(201);
    const { items } = await plane.admin.get<{ items: readonly PodObject[] }>('/api/v1/namespaces/os-patch/pods');
    expect(items.length).toBeGreaterThan(0);
    expect(new Set(items.map((pod) => pod.spec.containers[0]?.image))).toEqual(new Set([image]));
    const { metadata } = await anyJob();
    // With the finalizer that the garbage collector takes away again: an update of the Job by somebody else.
    await plane.admin.delete(`${jobs}/${metadata.name}`, { propagationPolicy: 'Foreground' });
    await until('the Job and its pods are gone', async () => {
      return (await plane.admin.find(`${jobs}/${metadata.name}`)) === undefined;
    });
  });

  it.each<[string, () => Promise<ApiAnswer>, string]>([
    ['the same Job from an administrator', async () => post(plane.admin, jobs, await ownJob()), 'creates Jobs'],
    ['the same Job from a tenant of the namespace', async () => post(tenant, jobs, await ownJob()), 'creates Jobs'],
    [
      'a Job of Oakum with another image',
      async () => post(oakum, jobs, withPod(await ownJob(), { containers: [{ name: 'patch', image: 'evil:1' }] })),
      'only the image',
    ],
    [
      'a Job of Oakum with one more container',
      async () => {
        const job = await ownJob();
        const { containers } = job.spec.template.spec as { containers: Container[] };
        return post(oakum, jobs, withPod(job, { containers: [...containers, { name: 'two', image: 'evil:1' }] }));
      },
      'only the image',
    ],
    [
      'a Job of Oakum with an init container',
      async () => post(oakum, jobs, withPod(await ownJob(), { initContainers: [{ name: 'first', image }] })),
      'no init containers',
    ],
    ['a bare pod', () => post(plane.admin, pods, barePod()), 'the Job controller creates pods'],
    [
      'a Job that is changed',
      async () => {
        const { metadata } = await anyJob();
        const path = `${jobs}/${metadata.name}?dryRun=All`;
        return tenant.request('PATCH', path, { spec: { activeDeadlineSeconds: 1 } }, mergePatch);
      },
      'nobody changes a Job',
    ],
    [
      'another image in a pod that is there',
      async () => {
        const change = { spec: { containers: [{ name: 'patch', image: 'evil:1' }] } };
        const headers = { 'content-type': 'application/strategic-merge-patch+json' };
        return tenant.request('PATCH', `${pods}/${await anyPod()}?dryRun=All`, change, headers);
      },
      'nobody changes a pod',
    ],
    [
      'a debug container in a pod that is there',
      async () => {
        const change = { spec: { ephemeralContainers: [{ name: 'debug', image: 'evil:1' }] } };
        return plane.admin.request(
          'PATCH',
          `${pods}/${await anyPod()}/ephemeralcontainers?dryRun=All`,
          change,
          mergePatch,
        );
      },
      'nobody enters their pods',
    ],
    [
      'a shell in a pod that is there',
      async () => tenant.request('POST', `${pods}/${await anyPod()}/exec?command=sh&container=patch&stdout=true`),
      'nobody enters their pods',
    ],
    [
      'a way to ports of the node through a pod that is there',
      async () => tenant.request('POST', `${pods}/${await anyPod()}/portforward?ports=10250`),
      'nobody enters their pods',
    ],
    [
      'a script that is not of Oakum',
      () =>
        post(tenant, '/api/v1/namespaces/os-patch/configmaps', {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: 'oakum-script-0123456789ab' },
          data: { 'os-patch.sh': 'true' },
        }),
      'writes the scripts',
    ],
    [
      'a CronJob',
      async () => {
        const { spec } = await ownJob();
        const metadata = { name: 'nightly' };
        const body = { kind: 'CronJob', metadata, spec: { schedule: '@daily', jobTemplate: { spec } } };
        return post(plane.admin, '/apis/batch/v1/namespaces/os-patch/cronjobs', { apiVersion: 'batch/v1', ...body });
      },
      'only Jobs of Oakum',
    ],
    ...['deployments:Deployment', 'daemonsets:DaemonSet'].map((words): [string, () => Promise<ApiAnswer>, string] => {
      const [collection = '', kind = ''] = words.split(':');
      return [
        `a ${kind}`,
        () => {
          const labels = { app: 'x' };
          const template = { metadata: { labels }, spec: barePod().spec };
          const spec = { selector: { matchLabels: labels }, template };
          const body = { apiVersion: 'apps/v1', kind, metadata: { name: 'x' }, spec };
          return post(plane.admin, `/apis/apps/v1/namespaces/os-patch/${collection}`, body);
        },
        'only Jobs of Oakum',
      ];
    }),
  ])('refuses %s', async (_what, attempt, why) => {
    const { status, body } = await attempt();
    const { message } = body as { message?: string };
    expect({ status, message }).toEqual({ status: 422, message: expect.stringContaining(why) as string });
  });

  it('lets others keep configuration of their own in the namespace, and leaves other namespaces alone', async () => {
    const settings = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'notes' } };
    expect((await post(tenant, '/api/v1/namespaces/os-patch/configmaps', settings)).status).toBe(201);
    expect((await post(plane.admin, '/api/v1/namespaces/default/pods', barePod())).status).toBe(201);
  });
});

describe('an upgrade of the chart', () => {
  it('to every optional part is taken without a warning', async () => {
    const all = renderChart(findHelm(), release, [
      `git.repo=${remote.url}`,
      'cluster=prod',
      'git.branch=main,git.statusRepo=https://git.example.org/status.git,git.secretName=git,git.caConfigMap=trust',
      'git.httpProxy=http://proxy:3128,git.httpsProxy=http://proxy:3128,git.noProxy=example.org,git.proxySecretName=proxy',
      'gates.allow={http://prometheus:9090},limits.maxNodesPerHour=3,job.httpsProxy=http://proxy:3128,hooks.enabled=true',
      'nodeSelector.pool=infra,replicas=2,job.image=registry.example.org/busybox:another',
    ]);
    expect(all.length).toBeGreaterThan(objects.length);
    const headers = { 'content-type': 'application/apply-patch+yaml' };
    for (const object of all) {
      const path = `${await collectionOf(object)}/${object.metadata.name}?fieldManager=helm&force=true&fieldValidation=Strict`;
      const answer = await plane.admin.request('PATCH', path, object, headers);
      const what = `${object.kind} ${object.metadata.name}: ${JSON.stringify(answer.body)}`;
      expect([200, 201], what).toContain(answer.status);
      expect(answer.headers['warning'], what).toBeUndefined();
    }
  });

  it('to another image lets the Jobs from before be cleared away', async () => {
    await until('the API server asks the new policy', async () => {
      return (await post(oakum, jobs, await ownJob())).status === 422;
    });
    const { items } = await plane.admin.get<{ items: readonly JobObject[] }>(jobs);
    for (const { metadata } of items)
      await plane.admin.delete(`${jobs}/${metadata.name}`, { propagationPolicy: 'Foreground' });
    await until('all Jobs and pods are gone', async () => {
      const left = await Promise.all([jobs, pods].map((path) => plane.admin.get<{ items: readonly unknown[] }>(path)));
      return left.every((list) => list.items.length === 0);
    });
  });
});

/** `oakum once` with the environment that the Deployment gives it; what it said. Throws when it ended badly. */
async function once(): Promise<string> {
  const deployment = objects.find((object) => object.kind === 'Deployment') as unknown as Deployment;
  const [container] = deployment.spec.template.spec.containers;
  const given = (container?.env ?? []).flatMap(({ name, value }) => (value === undefined ? [] : [[name, value]]));
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, renderKubeconfig(oakum.access), { mode: 0o600 });
  // Only what a pod has and this machine has not: its account, its volume, its time.
  const here = ['--kubeconfig', kubeconfig, '--cache-dir', join(folder, 'cache'), '--reboot-delay', '1s'];
  const environment = { PATH: process.env['PATH'], ...(Object.fromEntries(given) as Record<string, string>) };
  const { code, stdout, stderr } = await runOakum(['once', ...here], environment);
  if (code !== 0) throw new Error(`exit code ${code}\n${stdout}${stderr}`);
  return stdout + stderr;
}

/** A Job that Oakum made in the run above. */
async function anyJob(): Promise<JobObject> {
  const { items } = await plane.admin.get<{ items: readonly JobObject[] }>(jobs);
  const [job] = items;
  if (job === undefined) throw new Error('the run above left no Job');
  return job;
}

async function anyPod(): Promise<string> {
  const { items } = await plane.admin.get<{ items: readonly PodObject[] }>(pods);
  const [pod] = items;
  if (pod === undefined) throw new Error('the run above left no pod');
  return pod.metadata.name;
}

/** The same Job again under another name, without what the API server added. */
async function ownJob(): Promise<{ spec: { template: { spec: Fields } } }> {
  const { spec } = await anyJob();
  const { selector: _selector, ...wanted } = spec;
  const template = { metadata: {}, spec: spec.template.spec };
  return { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'again' }, spec: { ...wanted, template } } as never;
}

function withPod(job: { readonly spec: { readonly template: { readonly spec: Fields } } }, more: Fields): Fields {
  const { template } = job.spec;
  return { ...job, spec: { ...job.spec, template: { ...template, spec: { ...template.spec, ...more } } } };
}

function barePod() {
  const spec = { containers: [{ name: 'main', image }] };
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'bare' }, spec };
}

/** A POST that stores nothing. */
function post(as: Api, path: string, body: unknown): Promise<ApiAnswer> {
  return as.request('POST', `${path}?dryRun=All&fieldValidation=Strict`, body);
}

/** Path of the collection that an object belongs to, by the server's own discovery. */
async function collectionOf(object: Rendered): Promise<string> {
  const base = object.apiVersion.includes('/') ? `/apis/${object.apiVersion}` : `/api/${object.apiVersion}`;
  const { resources } = await plane.admin.get<{
    resources: readonly { readonly name: string; readonly kind: string; readonly namespaced: boolean }[];
  }>(base);
  const found = resources.find((one) => one.kind === object.kind && !one.name.includes('/'));
  if (found === undefined) throw new Error(`the API server knows no ${object.kind} in ${object.apiVersion}`);
  return found.namespaced
    ? `${base}/namespaces/${object.metadata.namespace ?? release}/${found.name}`
    : `${base}/${found.name}`;
}

async function makeTenant(): Promise<Api> {
  const subject = { kind: 'ServiceAccount', name: 'tenant', namespace: 'default' };
  await plane.admin.create('/api/v1/namespaces/default/serviceaccounts', {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: subject.name },
  });
  const group = 'rbac.authorization.k8s.io';
  await plane.admin.create(`/apis/${group}/v1/namespaces/os-patch/rolebindings`, {
    apiVersion: `${group}/v1`,
    kind: 'RoleBinding',
    metadata: { name: 'tenant' },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'admin' },
    subjects: [subject],
  });
  return createApi(await plane.serviceAccountAccess('default', 'tenant', 7200));
}
