// The whole way on real nodes: a commit, Oakum as a process, real packages, real reboots, and the status in Git.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { startControlPlane, type ControlPlane } from '../../lab/control-plane.ts';
import { podImage } from '../../lab/node-base.ts';
import { gateway, startRealNodes, type RealNode, type RealNodes } from '../../lab/real-nodes.ts';
import { until } from '../../lab/wait.ts';
import { startWitness, type Witness } from '../../lab/witness.ts';
import { ensureNamespace, startDeployment } from '../../lab/workloads.ts';
import { commitFiles, git, startGitServer, type GitServer } from '../../support/git-server.ts';

interface Status {
  readonly nodes: readonly { readonly name: string; readonly patchedVersion: string }[];
  readonly runs: readonly { readonly state: string; readonly counts: Readonly<Record<string, number>> }[];
}

let plane: ControlPlane;
let lab: RealNodes;
let nodes: RealNode[];
let repository: GitServer;
let witness: Witness;
let oakum: ChildProcess;
let folder: string;
let log = '';

beforeAll(async () => {
  plane = await startControlPlane({ bindAddress: '0.0.0.0', extraNames: [`IP:${gateway}`] });
  for (const name of ['oakum-system', 'os-patch']) await ensureNamespace(plane.admin, name, 'privileged');
  lab = await startRealNodes(plane, console.log);
  nodes = [await lab.add('real-1', { zone: 'a' }), await lab.add('real-2', { zone: 'b' })];
  repository = await startGitServer();
  folder = await mkdtemp(join(tmpdir(), 'oakum-story-'));
  await writeFile(join(folder, 'kubeconfig'), plane.kubeconfig(), { mode: 0o600 });
});

afterAll(async () => {
  oakum.kill('SIGKILL');
  await witness.stop();
  await repository.stop();
  await lab.stop();
  await plane.stop();
  await rm(folder, { recursive: true, force: true });
});

function startOakum(): ChildProcess {
  const main = new URL('../../../reconciler/main.ts', import.meta.url).pathname;
  const cluster = ['--cluster', 'prod', '--kubeconfig', join(folder, 'kubeconfig'), '--image', podImage];
  const pace = ['--poll', '1s', '--http-port', '0', '--reboot-delay', '6s', '--retry-delay', '5s'];
  const words = [main, 'run', '--repo', repository.url, '--cache-dir', join(folder, 'cache'), ...cluster, ...pace];
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  return child;
}

async function statusInGit(): Promise<Status | undefined> {
  const text = await git(repository.repository, 'show', 'oakum/status:clusters/prod/status.yaml').catch(
    () => undefined,
  );
  return text === undefined ? undefined : (parse(text) as { status: Status }).status;
}

const commit = (files: Readonly<Record<string, string>>): string => commitFiles(repository.repository, 'main', files);
const object = (kind: string, name: string, spec: unknown): string =>
  JSON.stringify({ apiVersion: 'oakum.dev/v1alpha1', kind, metadata: { name }, spec });

describe('Oakum on real nodes', () => {
  it('drains, patches, reboots and verifies one node after the other, and says so in Git', async () => {
    const shop = { namespace: 'shop', name: 'web', replicas: 2, image: podImage };
    await startDeployment(plane.admin, { ...shop, budget: { maxUnavailable: 1 } });
    const installed = async (node: RealNode): Promise<string> =>
      (await node.shell("dpkg-query -W -f '${Version}' libssl3")).stdout;
    const before = await Promise.all(nodes.map(installed));
    witness = await startWitness(plane.admin);
    commit({
      'clusters/prod/policy.yaml': object('PatchPolicy', 'prod', {
        reboot: { when: 'always', returnTimeout: '3m', stableFor: '2s' },
        drain: { timeout: '2m' },
        rollout: { concurrency: 1, canary: { nodes: 1, soak: '1s' }, soak: '0s', maxFailures: 1 },
      }),
      'clusters/prod/requests/now.yaml': object('PatchRequest', 'now', { reason: 'security updates are pending' }),
    });
    oakum = startOakum();

    const status = await until(
      'the status branch says that the run succeeded',
      async () => {
        const seen = await statusInGit();
        const over = seen?.runs.find((run) => ['Succeeded', 'Failed', 'Aborted', 'Paused'].includes(run.state));
        return over === undefined ? undefined : seen;
      },
      540_000,
      1_000,
    ).catch(async (error: unknown) => {
      throw new Error(`${JSON.stringify(await statusInGit(), null, 1)}\n${log.slice(-6000)}`, { cause: error });
    });
    expect(status.runs[0], log.slice(-4000)).toMatchObject({
      state: 'Succeeded',
      counts: { total: 2, patched: 2, failed: 0 },
    });
    expect(status.nodes.map((node) => node.patchedVersion)).toEqual(
      Array(2).fill(expect.stringMatching(/^debian 12\./)),
    );

    for (const [index, node] of nodes.entries()) {
      expect(await installed(node)).not.toBe(before[index]);
      expect((await node.shell('dpkg --audit')).stdout).toBe('');
      expect(node.boots()).toBe(2);
    }
    expect(witness.mostOut()).toBe(1);
    for (const name of ['real-1', 'real-2']) {
      const seen = witness.sightings.filter((sighting) => sighting.node === name).map((sighting) => sighting.change);
      expect(seen[0]).toBe('cordoned');
      expect(seen).toContain('booted');
      expect(seen.at(-1)).toBe('uncordoned');
    }
    const left = await plane.admin.get<{ items: { metadata: { labels: Record<string, string> } }[] }>('/api/v1/nodes');
    for (const node of left.items) expect(node.metadata.labels['oakum.dev/run']).toMatch(/^[0-9a-f]{10}$/);
  }, 600_000);
});
