// The lab itself: that its nodes behave as the stories believe, with the real scheduler, Job controller and eviction API.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApi } from '../lab/api.ts';
import { startControlPlane, type ControlPlane } from '../lab/control-plane.ts';
import { startLightNodes, type LightNodes } from '../lab/light-nodes.ts';
import { createPatchProgram } from '../lab/patch-program.ts';
import { until } from '../lab/wait.ts';
import { startWitness } from '../lab/witness.ts';
import { ensureNamespace, startDeployment } from '../lab/workloads.ts';

interface JobObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}
interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly spec: { readonly nodeName?: string };
    readonly status: {
      readonly phase: string;
      readonly containerStatuses?: readonly {
        readonly restartCount: number;
        readonly ready: boolean;
        readonly state: {
          readonly terminated?: { readonly exitCode: number; readonly reason: string; readonly message?: string };
        };
      }[];
    };
  }[];
}

let plane: ControlPlane;
let lights: LightNodes;
const patch = createPatchProgram();
const jobs = '/apis/batch/v1/namespaces/os-patch/jobs';

beforeAll(async () => {
  plane = await startControlPlane({ extraFlags: { controllers: ['--node-monitor-grace-period=12s'] } });
  await ensureNamespace(plane.admin, 'os-patch', 'privileged');
  lights = await startLightNodes(plane.admin, { count: 50, zones: ['a', 'b', 'c'], program: patch.program });
});

afterAll(async () => {
  await lights.stop();
  await plane.stop();
});

/** A Job as Oakum makes them, for one node and mode. */
async function createJob(name: string, node: string, environment: Readonly<Record<string, string>>): Promise<void> {
  const env = Object.entries({ OSP_RUN_ID: 'lab', OSP_NODE: node, ...environment }).map(([key, value]) => ({
    name: key,
    value,
  }));
  const terms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }];
  await plane.admin.create(jobs, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name },
    spec: {
      backoffLimit: 0,
      podReplacementPolicy: 'Failed',
      template: {
        metadata: { labels: { lab: name } },
        spec: {
          restartPolicy: 'Never',
          hostPID: true,
          hostNetwork: true,
          tolerations: [{ operator: 'Exists' }],
          affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
          containers: [
            { name: 'patch', image: 'example.invalid/os-patch:1', env, securityContext: { privileged: true } },
          ],
        },
      },
    },
  });
}

const ended = (name: string): Promise<string> =>
  until(`Job ${name} ends`, async () => {
    const job = await plane.admin.get<JobObject>(`${jobs}/${name}`);
    return job.status?.conditions?.find(
      (entry) => ['Complete', 'Failed'].includes(entry.type) && entry.status === 'True',
    )?.type;
  });

async function podOf(name: string) {
  return (await plane.admin.get<PodList>(`/api/v1/namespaces/os-patch/pods?labelSelector=lab%3D${name}`)).items[0];
}

async function terminated(name: string) {
  return (await podOf(name))?.status.containerStatuses?.[0]?.state.terminated;
}

const ready = async (node: string): Promise<string | undefined> => {
  const object = await plane.admin.get<{ status: { conditions: { type: string; status: string }[] } }>(
    `/api/v1/nodes/${node}`,
  );
  return object.status.conditions.find((entry) => entry.type === 'Ready')?.status;
};

describe('light nodes', () => {
  it('are Ready, in their zones', async () => {
    const list = await plane.admin.get<{ items: { metadata: { labels: Record<string, string> } }[] }>('/api/v1/nodes');
    expect(list.items).toHaveLength(50);
    const zones = list.items.map((node) => node.metadata.labels['topology.kubernetes.io/zone']);
    expect(zones.filter((zone) => zone === 'a')).toHaveLength(17);
    await until('all taints of new nodes are gone', async () => {
      const nodes = await plane.admin.get<{ items: { spec: { taints?: unknown[] } }[] }>('/api/v1/nodes');
      return nodes.items.every((node) => (node.spec.taints ?? []).length === 0);
    });
  });

  it('run a patch Job on a cordoned node and leave its result in the termination message', async () => {
    await plane.admin.patch('/api/v1/nodes/light-001', { spec: { unschedulable: true } });
    await createJob('patch-001', 'light-001', { OSP_MODE: 'patch' });
    expect(await ended('patch-001')).toBe('Complete');
    const end = await terminated('patch-001');
    expect(end).toMatchObject({ exitCode: 0, reason: 'Completed' });
    const result = JSON.parse(end?.message ?? '') as { n: { applied: number }; reboot: { required: boolean } };
    expect(result.n.applied).toBe(3);
    expect(result.reboot.required).toBe(true);
    await plane.admin.patch('/api/v1/nodes/light-001', { spec: { unschedulable: null } });
  });

  it('reboot with a new boot id and the new kernel, only when the boot id is the expected one', async () => {
    const node = lights.node('light-001');
    const before = node.bootId();
    await createJob('reboot-001', 'light-001', {
      OSP_MODE: 'reboot',
      OSP_EXPECT_BOOT_ID: before,
      OSP_REBOOT_DELAY: '1',
    });
    expect(await ended('reboot-001')).toBe('Complete');
    const info = await until('the node tells a new boot id', async () => {
      const object = await plane.admin.get<{ status: { nodeInfo: { bootID: string; kernelVersion: string } } }>(
        '/api/v1/nodes/light-001',
      );
      return object.status.nodeInfo.bootID !== before && object.status.nodeInfo;
    });
    expect(info.kernelVersion).toBe('6.1.0-56-amd64');
    await until('the node is Ready again', async () => (await ready('light-001')) === 'True');

    await createJob('reboot-001-again', 'light-001', {
      OSP_MODE: 'reboot',
      OSP_EXPECT_BOOT_ID: before,
      OSP_REBOOT_DELAY: '0',
    });
    expect(await ended('reboot-001-again')).toBe('Complete');
    expect((await terminated('reboot-001-again'))?.message).toContain('already-done');
    expect(node.boots()).toBe(1);

    await createJob('verify-001', 'light-001', { OSP_MODE: 'verify', OSP_EXPECT_BOOT_ID: before });
    expect(await ended('verify-001')).toBe('Complete');
  });

  it('fail a Job with the exit code and the result that the test asked for', async () => {
    patch.system('light-002').faults.push({ mode: 'patch', code: 'INSTALL_FAILED', times: 1 });
    await createJob('patch-002', 'light-002', { OSP_MODE: 'patch' });
    expect(await ended('patch-002')).toBe('Failed');
    const end = await terminated('patch-002');
    expect(end).toMatchObject({ exitCode: 50, reason: 'Error' });
    expect(end?.message).toContain('INSTALL_FAILED');
  });

  it('lose the running container of a Job when the power goes', async () => {
    patch.system('light-003').durationMs = { scan: 30_000 };
    await createJob('slow-003', 'light-003', { OSP_MODE: 'scan' });
    await until('the pod runs', async () => (await podOf('slow-003'))?.status.phase === 'Running');
    lights.node('light-003').reboot({ downMs: 300 });
    expect(await ended('slow-003')).toBe('Failed');
    expect(await terminated('slow-003')).toMatchObject({ exitCode: 255, reason: 'Unknown' });
    await until('the node is Ready again', async () => (await ready('light-003')) === 'True');
  });

  it('are judged lost when they are silent, and found again when they speak', async () => {
    const node = lights.node('light-004');
    node.silence();
    await until('the controller says Unknown', async () => (await ready('light-004')) === 'Unknown', 60_000);
    await node.speak();
    await until('the node is Ready again', async () => (await ready('light-004')) === 'True');
  });

  it('can be taken away and added', async () => {
    await lights.node('light-005').remove();
    expect(await plane.admin.find('/api/v1/nodes/light-005')).toBeUndefined();
    await lights.add('light-new', { zone: 'b', taints: [{ key: 'oakum.dev/unpatched', effect: 'NoSchedule' }] });
    expect(await ready('light-new')).toBe('True');
  });
});

describe('workloads', () => {
  it('move to another node by eviction, as the budget allows, and a witness sees who is out', async () => {
    const witness = await startWitness(plane.admin);
    await startDeployment(plane.admin, { namespace: 'shop', name: 'web', replicas: 2, budget: { maxUnavailable: 1 } });
    const path = '/api/v1/namespaces/shop/pods';
    const { items } = await plane.admin.get<PodList>(path);
    const [first] = items;
    if (first?.spec.nodeName === undefined) throw new Error('the pod has no node');
    await plane.admin.patch(`/api/v1/nodes/${first.spec.nodeName}`, { spec: { unschedulable: true } });
    const eviction = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: first.metadata.name, namespace: 'shop' },
    };
    const answer = await until('the budget is known and the eviction is allowed', async () => {
      const tried = await plane.admin.request('POST', `${path}/${first.metadata.name}/eviction`, eviction);
      return tried.status === 201 && tried;
    });
    expect(answer.status).toBe(201);
    await until('the pod is gone and another runs elsewhere', async () => {
      const now = await plane.admin.get<PodList>(path);
      const names = now.items.map((pod) => pod.metadata.name);
      const up = now.items.filter((pod) => pod.status.containerStatuses?.every((status) => status.ready) === true);
      return !names.includes(first.metadata.name) && up.length === 2;
    });
    await until('the witness saw one node out', () => witness.mostOut() === 1);
    expect(witness.sightings.at(-1)).toMatchObject({ node: first.spec.nodeName, change: 'cordoned', out: 1 });
    await witness.stop();
  });
});

describe.runIf(process.env['OAKUM_E2E_KUBECONFIG'] === undefined)('a control plane of our own', () => {
  it('goes on after the API server was killed, and after etcd was frozen', async () => {
    const { power } = plane;
    if (power === undefined) throw new Error('no power over the control plane');
    await power.killApiServer();
    await expect(plane.admin.request('GET', '/version')).rejects.toThrow();
    await power.startApiServer();
    await createJob('after-kill', 'light-010', { OSP_MODE: 'scan' });
    expect(await ended('after-kill')).toBe('Complete');
    power.freezeEtcd();
    setTimeout(() => power.thawEtcd(), 2_000);
    await createJob('after-freeze', 'light-011', { OSP_MODE: 'scan' });
    expect(await ended('after-freeze')).toBe('Complete');
  });

  it('gives access to a ServiceAccount and to a user, with no rights that nobody granted', async () => {
    await plane.admin.create('/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'guest' } });
    for (const access of [
      await plane.serviceAccountAccess('default', 'guest'),
      await plane.userAccess('alice', ['guests']),
    ]) {
      const guest = createApi(access);
      expect((await guest.request('GET', '/api/v1/nodes')).status).toBe(403);
      expect((await guest.request('GET', '/version')).status).toBe(200);
      await guest.close();
    }
  });
});
