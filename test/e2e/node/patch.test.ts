// The patch script on a real node, without Oakum: real packages by a real apt, and a real reboot that a second Job does not repeat.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startControlPlane, type ControlPlane } from '../../lab/control-plane.ts';
import { podImage } from '../../lab/node-base.ts';
import { gateway, startRealNodes, type RealNode, type RealNodes } from '../../lab/real-nodes.ts';
import { until } from '../../lab/wait.ts';
import { ensureNamespace } from '../../lab/workloads.ts';
import { assemble, readResult, type Result } from '../../os/script.ts';

let plane: ControlPlane;
let lab: RealNodes;
const jobs = '/apis/batch/v1/namespaces/os-patch/jobs';

beforeAll(async () => {
  plane = await startControlPlane({ bindAddress: '0.0.0.0', extraNames: [`IP:${gateway}`] });
  await ensureNamespace(plane.admin, 'os-patch', 'privileged');
  lab = await startRealNodes(plane, console.log);
  await plane.admin.create('/api/v1/namespaces/os-patch/configmaps', {
    metadata: { name: 'script' },
    data: { 'os-patch.sh': await assemble() },
  });
});

afterAll(async () => {
  await lab?.stop();
  await plane?.stop();
});

interface Finished {
  readonly condition: string;
  readonly exitCode: number;
  readonly message: string;
}

/** Runs one mode of the script in a Job of the form that the product makes, and waits for its end. */
async function runMode(
  node: string,
  mode: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const name = `${mode}-${node}-${Math.random().toString(36).slice(2, 8)}`;
  const values = { OSP_MODE: mode, OSP_RUN_ID: 'lab-run', OSP_NODE: node, ...environment };
  const env = Object.entries(values).map(([key, value]) => ({ name: key, value }));
  const terms = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }];
  await plane.admin.create(jobs, {
    metadata: { name },
    spec: {
      backoffLimit: 0,
      podReplacementPolicy: 'Failed',
      activeDeadlineSeconds: 240,
      template: {
        metadata: { labels: { lab: name } },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          hostPID: true,
          hostNetwork: true,
          tolerations: [{ operator: 'Exists' }],
          affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: terms } } },
          containers: [
            {
              name: 'patch',
              image: podImage,
              imagePullPolicy: 'Never',
              command: ['/bin/sh', '/oakum/os-patch.sh'],
              env,
              securityContext: { privileged: true, runAsUser: 0, readOnlyRootFilesystem: true },
              volumeMounts: [
                { name: 'script', mountPath: '/oakum', readOnly: true },
                { name: 'host', mountPath: '/host', mountPropagation: 'HostToContainer' },
                { name: 'scratch', mountPath: '/tmp' },
              ],
            },
          ],
          volumes: [
            { name: 'script', configMap: { name: 'script' } },
            { name: 'host', hostPath: { path: '/' } },
            { name: 'scratch', emptyDir: { medium: 'Memory', sizeLimit: '16Mi' } },
          ],
        },
      },
    },
  });
  const condition = await until(
    `Job ${name} ends`,
    async () => {
      const job = await plane.admin.get<{ status?: { conditions?: { type: string; status: string }[] } }>(
        `${jobs}/${name}`,
      );
      return job.status?.conditions?.find(
        (entry) => ['Complete', 'Failed'].includes(entry.type) && entry.status === 'True',
      )?.type;
    },
    250_000,
    200,
  );
  const pods = await plane.admin.get<{
    items: { status: { containerStatuses?: { state: { terminated?: { exitCode: number; message?: string } } }[] } }[];
  }>(`/api/v1/namespaces/os-patch/pods?labelSelector=lab%3D${name}`);
  const end = pods.items[0]?.status.containerStatuses?.[0]?.state.terminated;
  return { condition, exitCode: end?.exitCode ?? -1, message: end?.message ?? '' };
}

async function succeeds(node: string, mode: string, environment?: Readonly<Record<string, string>>): Promise<Result> {
  const finished = await runMode(node, mode, environment);
  expect(finished, finished.message).toMatchObject({ condition: 'Complete', exitCode: 0 });
  return readResult(finished.message);
}

interface NodeObject {
  readonly status: {
    readonly nodeInfo: { readonly bootID: string };
    readonly conditions: readonly { readonly type: string; readonly status: string }[];
  };
}
const nodeObject = (name: string): Promise<NodeObject> => plane.admin.get<NodeObject>(`/api/v1/nodes/${name}`);
const isReady = async (name: string): Promise<boolean> =>
  (await nodeObject(name)).status.conditions.some((entry) => entry.type === 'Ready' && entry.status === 'True');

const version = async (node: RealNode, name: string): Promise<string> =>
  (await node.shell(`dpkg-query -W -f '\${Version}' ${name}`)).stdout;

describe('a real node', () => {
  it('is patched with what is pending, rebooted, and verified by its boot id', async () => {
    const node = await lab.add('real-1');
    const before = await version(node, 'libssl3');
    const scanned = await succeeds('real-1', 'scan');
    expect(scanned.n?.['pending']).toBeGreaterThan(5);
    expect(await version(node, 'libssl3')).toBe(before);

    await succeeds('real-1', 'download');
    const patched = await succeeds('real-1', 'patch', { OSP_OFFLINE: 'true' });
    expect(patched.n?.['applied']).toBeGreaterThan(5);
    expect(patched.n?.['left']).toBe(0);
    expect(await version(node, 'libssl3')).not.toBe(before);
    expect((await node.shell('dpkg --audit')).stdout).toBe('');

    const boot = (await nodeObject('real-1')).status.nodeInfo.bootID;
    const asked = await succeeds('real-1', 'reboot', { OSP_EXPECT_BOOT_ID: boot, OSP_REBOOT_DELAY: '1' });
    expect(asked.reboot?.state).toBe('scheduled');
    await until(
      'another boot id is told',
      async () => (await nodeObject('real-1')).status.nodeInfo.bootID !== boot,
      120_000,
    );
    await until('the node is Ready', () => isReady('real-1'), 60_000);
    expect(node.boots()).toBe(2);

    // A Job that is made a second time for the same boot must not reboot again.
    const again = await succeeds('real-1', 'reboot', { OSP_EXPECT_BOOT_ID: boot, OSP_REBOOT_DELAY: '1' });
    expect(again.reboot?.state).toBe('already-done');
    await succeeds('real-1', 'verify', { OSP_EXPECT_BOOT_ID: boot });
    expect(node.boots()).toBe(2);
  });
});
