// The stage of an end-to-end story: a real API server, light nodes, a real Git server, and Oakum as a process of its own.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { parse } from 'yaml';
import { rights } from '../../reconciler/adapters/kubernetes-rights.ts';
import { ownNamespace } from '../../reconciler/model/names.ts';
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from '../lab/control-plane.ts';
import { renderKubeconfig } from '../lab/kubeconfig.ts';
import { startLightNodes, type LightNodes, type LightNodesOptions } from '../lab/light-nodes.ts';
import { createPatchProgram, type PatchProgram, type PatchProgramOptions } from '../lab/patch-program.ts';
import { until } from '../lab/wait.ts';
import { startWitness, type Witness } from '../lab/witness.ts';
import { ensureNamespace } from '../lab/workloads.ts';
import { commitFiles, git, startGitServer, type GitServer } from '../support/git-server.ts';

const main = fileURLToPath(new URL('../../reconciler/main.ts', import.meta.url));
export const serviceAccount = 'oakum';
/** Where the ordinary work of a story runs. */
export const workNamespace = 'work';

type Fields = Readonly<Record<string, unknown>>;

/** A policy that lets a story be told in seconds. */
export function policy(
  spec: {
    readonly reboot?: Fields;
    readonly drain?: Fields;
    readonly rollout?: Fields;
    readonly schedule?: Fields;
  } = {},
): string {
  const quick = {
    ...spec,
    reboot: { when: 'ifRequired', returnTimeout: '60s', stableFor: '1s', ...spec.reboot },
    drain: { timeout: '60s', ...spec.drain },
    rollout: { concurrency: 1, soak: '0s', canary: null, maxFailures: 1, ...spec.rollout },
  };
  return `${JSON.stringify({ apiVersion: 'oakum.dev/v1alpha1', kind: 'PatchPolicy', metadata: { name: 'prod' }, spec: quick }, null, 2)}\n`;
}

/** A request, as a user writes it. */
export function request(name: string, spec: Fields = {}): Readonly<Record<string, string>> {
  return {
    [`clusters/prod/requests/${name}.yaml`]: `apiVersion: oakum.dev/v1alpha1\nkind: PatchRequest\nmetadata: { name: ${name} }\nspec: ${JSON.stringify({ reason: 'a story', ...spec })}\n`,
  };
}

/** Settings of the whole repository: status comes to Git as soon as there is news. */
const fleet = `apiVersion: oakum.dev/v1alpha1\nkind: Fleet\nmetadata: { name: story }\nspec: { status: { interval: 5s } }\n`;

/** What `clusters/prod/status.yaml` says, as far as stories look. */
export interface SeenStatus {
  readonly observedCommit: string;
  readonly nodes: readonly {
    readonly name: string;
    readonly phase: string;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly runs: readonly {
    readonly id: string;
    readonly state: string;
    readonly reason: string;
    readonly message: string;
  }[];
  readonly requests: readonly {
    readonly name: string;
    readonly state: string;
    readonly reason: string;
    readonly message: string;
  }[];
}

/** A Node, as far as stories look. */
export interface SeenNode {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  };
  readonly spec: { readonly unschedulable?: boolean };
}

/** A Job, as far as stories look. */
export interface SeenJob {
  readonly metadata: { readonly name: string; readonly annotations: Readonly<Record<string, string>> };
}

/** One Oakum process. */
export interface OakumProcess {
  readonly child: ChildProcess;
  /** Everything it logged so far. */
  log(): string;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGTERM; the answer is the exit code. */
  stop(): Promise<number | null>;
}

/** Everything that a story needs, started once for a file of stories. */
export class Stage {
  readonly plane: ControlPlane;
  readonly kubeconfig: string;
  private readonly folder: string;

  private constructor(plane: ControlPlane, kubeconfig: string, folder: string) {
    this.plane = plane;
    this.kubeconfig = kubeconfig;
    this.folder = folder;
  }

  /** Starts the control plane, with a ServiceAccount that has the documented rights and no others. */
  static async open(options: ControlPlaneOptions = {}): Promise<Stage> {
    const plane = await startControlPlane(options);
    await ensureNamespace(plane.admin, 'os-patch', 'privileged');
    await ensureNamespace(plane.admin, ownNamespace);
    await ensureNamespace(plane.admin, workNamespace);
    await grant(plane);
    const access = await plane.serviceAccountAccess(ownNamespace, serviceAccount, 7200);
    const folder = mkdtempSync(join(tmpdir(), 'oakum-story-'));
    const kubeconfig = join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, renderKubeconfig(access), { mode: 0o600 });
    return new Stage(plane, kubeconfig, folder);
  }

  async close(): Promise<void> {
    await this.plane.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A story of its own: fresh nodes, a fresh repository, a fresh ledger. */
  async story(nodes: Omit<LightNodesOptions, 'program'>, system: PatchProgramOptions = {}): Promise<Story> {
    const patch = createPatchProgram({
      durationMs: { download: 150, patch: 250, verify: 100, reboot: 100 },
      downMs: 400,
      ...system,
    });
    const lights = await startLightNodes(this.plane.admin, { ...nodes, program: patch.program });
    const gitServer = await startGitServer();
    const witness = await startWitness(this.plane.admin);
    const story = new Story(this, lights, patch, gitServer, witness, mkdtempSync(join(this.folder, 'story-')));
    story.commit({ 'oakum.yaml': fleet }, 'the settings of the fleet');
    return story;
  }

  /** Removes what a story left, so that the next one begins on an empty cluster. */
  async clear(): Promise<void> {
    const { admin } = this.plane;
    for (const path of [
      `/apis/apps/v1/namespaces/${workNamespace}/deployments?propagationPolicy=Background`,
      `/apis/policy/v1/namespaces/${workNamespace}/poddisruptionbudgets`,
      '/apis/batch/v1/namespaces/os-patch/jobs?propagationPolicy=Background',
      '/api/v1/nodes',
      `/api/v1/namespaces/${ownNamespace}/configmaps`,
      '/apis/coordination.k8s.io/v1/namespaces/os-patch/leases',
      '/api/v1/namespaces/default/events',
    ])
      await admin.request('DELETE', path);
    await until('the pods of the story are gone', async () => {
      let left = 0;
      for (const namespace of ['os-patch', workNamespace]) {
        const { items } = await admin.get<{ items: unknown[] }>(`/api/v1/namespaces/${namespace}/pods`);
        left += items.length;
        if (items.length > 0)
          await admin.request('DELETE', `/api/v1/namespaces/${namespace}/pods?gracePeriodSeconds=0`);
      }
      return left === 0;
    });
  }
}

/** One story. */
export class Story {
  readonly lights: LightNodes;
  readonly patch: PatchProgram;
  readonly git: GitServer;
  readonly witness: Witness;
  /** Set where the API server is started in the story: until it has read its roles, it forbids everybody everything. */
  apiServerStarts = false;
  private readonly stage: Stage;
  private readonly folder: string;
  private readonly processes: OakumProcess[] = [];
  private caches = 0;

  constructor(
    stage: Stage,
    lights: LightNodes,
    patch: PatchProgram,
    gitServer: GitServer,
    witness: Witness,
    folder: string,
  ) {
    this.stage = stage;
    this.lights = lights;
    this.patch = patch;
    this.git = gitServer;
    this.witness = witness;
    this.folder = folder;
  }

  /** Commits as a user would push; undefined removes a file. */
  commit(files: Readonly<Record<string, string | undefined>>, message = 'a story goes on'): string {
    return commitFiles(this.git.repository, 'main', files, { message });
  }

  /** Starts Oakum as a user would: the command line, in a process of its own. */
  oakum(flags: readonly string[] = []): OakumProcess {
    const cache = join(this.folder, `cache-${++this.caches}`);
    const words = [
      'run',
      '--repo',
      this.git.url,
      '--cluster',
      'prod',
      '--kubeconfig',
      this.stage.kubeconfig,
      '--cache-dir',
      cache,
      '--poll',
      '1s',
      '--http-port',
      '0',
      '--reboot-delay',
      '1s',
      '--retry-delay',
      '1s',
      '--job-start-timeout',
      '20s',
      ...flags,
    ];
    const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    const running: OakumProcess = {
      child,
      log: () => log,
      kill: async () => {
        child.kill('SIGKILL');
        await ended;
      },
      stop: async () => {
        child.kill('SIGTERM');
        return ended;
      },
    };
    this.processes.push(running);
    return running;
  }

  /** What stands on the status branch now; undefined while there is nothing. */
  async status(): Promise<SeenStatus | undefined> {
    try {
      const text = await git(this.git.repository, 'show', 'oakum/status:clusters/prod/status.yaml');
      const document = parse(text) as { status: SeenStatus };
      return document.status;
    } catch {
      return undefined;
    }
  }

  /** Waits until the status branch says it. */
  async says(what: string, look: (status: SeenStatus) => boolean, limitMs = 60_000): Promise<SeenStatus> {
    try {
      return await until(
        what,
        async () => {
          const status = await this.status();
          return status !== undefined && look(status) ? status : undefined;
        },
        limitMs,
        250,
      );
    } catch (error) {
      throw await this.explained(error);
    }
  }

  private async explained(error: unknown): Promise<Error> {
    const status = await this.status();
    const told = { runs: status?.runs, requests: status?.requests, nodes: status?.nodes.slice(0, 8) };
    const tail = this.processes.map((one) => one.log().slice(-4000)).join('\n---\n');
    const what = error instanceof Error ? error.message : String(error);
    return new Error(`${what}\nstatus: ${JSON.stringify(told, null, 1)}\nlog:\n${tail}`, { cause: error });
  }

  /** Waits until something is so; when it never is, the error holds status and log. */
  async until(what: string, look: () => Promise<boolean> | boolean, limitMs = 30_000): Promise<void> {
    try {
      await until(what, look, limitMs);
    } catch (error) {
      throw await this.explained(error);
    }
  }

  /** Waits until a run has this state. */
  runIs(state: string, limitMs = 60_000): Promise<SeenStatus> {
    return this.says(`a run is ${state}`, (status) => status.runs.some((run) => run.state === state), limitMs);
  }

  /** The node as the API server has it now. */
  node(name: string): Promise<SeenNode> {
    return this.stage.plane.admin.get(`/api/v1/nodes/${name}`);
  }

  /** Names of the nodes that are cordoned now. */
  async cordoned(): Promise<string[]> {
    const { items } = await this.stage.plane.admin.get<{ items: SeenNode[] }>('/api/v1/nodes');
    return items.filter((node) => node.spec.unschedulable === true).map((node) => node.metadata.name);
  }

  /** The Jobs of one step, oldest first. */
  async jobs(step: string): Promise<SeenJob[]> {
    const path = `/apis/batch/v1/namespaces/os-patch/jobs?labelSelector=oakum.dev/step%3D${step}`;
    return (await this.stage.plane.admin.get<{ items: SeenJob[] }>(path)).items;
  }

  /** What kubectl prints; throws when it fails. */
  async kubectl(...words: readonly string[]): Promise<string> {
    const file = join(this.folder, 'admin.kubeconfig');
    writeFileSync(file, this.stage.plane.kubeconfig(), { mode: 0o600 });
    const { stdout } = await promisify(execFile)('kubectl', ['--kubeconfig', file, ...words], { timeout: 30_000 });
    return stdout;
  }

  /** Everything that this story's processes logged. */
  log(): string {
    return this.processes.map((one) => one.log()).join('');
  }

  /** Ends the story. Throws when a right was missing: the ServiceAccount has exactly the documented ones, and no more may be needed. */
  async end(): Promise<void> {
    await Promise.all(this.processes.map((one) => one.kill()));
    const log = this.log();
    await this.witness.stop();
    await this.lights.stop();
    await this.git.stop();
    await this.stage.clear();
    const fault = this.apiServerStarts ? /this is a bug/ : /"kind":"denied"|forbidden|this is a bug/;
    const wrong = log.split('\n').filter((line) => fault.test(line));
    if (wrong.length > 0) throw new Error(`Oakum lacked a right, or has a bug:\n${wrong.slice(0, 5).join('\n')}`);
  }
}

/** What must be true at the end of a story, whatever happened in it: each node once, nobody left cordoned. */
export async function provenOnce(told: Story): Promise<void> {
  for (const name of told.lights.nodes.keys()) {
    expect(told.patch.installs(name), `installs on ${name}`).toBe(1);
    expect(told.lights.node(name).boots(), `boots of ${name}`).toBe(1);
  }
  expect(await told.cordoned()).toEqual([]);
}

/** Numbers in [0, 1) that a seed repeats (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The ServiceAccount of the documentation, with exactly the rights of `kubernetes-rights.ts`. */
async function grant(plane: ControlPlane): Promise<void> {
  const { admin } = plane;
  const subjects = [{ kind: 'ServiceAccount', name: serviceAccount, namespace: ownNamespace }];
  await admin.create(`/api/v1/namespaces/${ownNamespace}/serviceaccounts`, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccount },
  });
  const rule = (right: (typeof rights)[number]): unknown => ({
    apiGroups: [right.apiGroup],
    resources: [right.resource],
    verbs: right.verbs,
    ...(right.names === undefined ? {} : { resourceNames: right.names }),
  });
  const group = 'rbac.authorization.k8s.io';
  const wide = rights.filter((right) => right.namespace === undefined);
  await admin.create(`/apis/${group}/v1/clusterroles`, {
    apiVersion: `${group}/v1`,
    kind: 'ClusterRole',
    metadata: { name: 'oakum' },
    rules: wide.map(rule),
  });
  await admin.create(`/apis/${group}/v1/clusterrolebindings`, {
    apiVersion: `${group}/v1`,
    kind: 'ClusterRoleBinding',
    metadata: { name: 'oakum' },
    roleRef: { apiGroup: group, kind: 'ClusterRole', name: 'oakum' },
    subjects,
  });
  for (const namespace of new Set(rights.flatMap((right) => right.namespace ?? []))) {
    const rules = rights.filter((right) => right.namespace === namespace).map(rule);
    await admin.create(`/apis/${group}/v1/namespaces/${namespace}/roles`, {
      apiVersion: `${group}/v1`,
      kind: 'Role',
      metadata: { name: 'oakum' },
      rules,
    });
    await admin.create(`/apis/${group}/v1/namespaces/${namespace}/rolebindings`, {
      apiVersion: `${group}/v1`,
      kind: 'RoleBinding',
      metadata: { name: 'oakum' },
      roleRef: { apiGroup: group, kind: 'Role', name: 'oakum' },
      subjects,
    });
  }
}
