// The stage of end-to-end stories: a real API server with an account that has the documented rights, light nodes, and a fresh start for each story.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { hookNamespace, ownNamespace } from '../../reconciler/model/names.ts';
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from '../lab/control-plane.ts';
import { renderKubeconfig } from '../lab/kubeconfig.ts';
import { startLightNodes, type LightNodesOptions } from '../lab/light-nodes.ts';
import { createPatchProgram, type PatchProgramOptions } from '../lab/patch-program.ts';
import { until } from '../lab/wait.ts';
import { startWitness } from '../lab/witness.ts';
import { ensureNamespace } from '../lab/workloads.ts';
import { startGitServer, type GitServer } from '../support/git-server.ts';
import { grant, serviceAccount } from './account.ts';
import { killAll } from './process.ts';
import { LightStory, Story } from './story.ts';

/** Where the ordinary work of a story runs. */
export const workNamespace = 'work';

/** A control plane on which stories are told one after the other. */
export class Stage {
  readonly plane: ControlPlane;
  /** File with the way in of Oakum's ServiceAccount. */
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
    await grant(plane.admin);
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

  /** A story about nodes that are there already: a fresh repository, a fresh ledger. `git`: a repository that belongs to another story. */
  async story(git?: GitServer): Promise<Story> {
    return new Story(await this.props(git));
  }

  /** A story of its own with fresh light nodes. */
  async lightStory(
    nodes: Omit<LightNodesOptions, 'program'>,
    system: PatchProgramOptions = {},
    git?: GitServer,
  ): Promise<LightStory> {
    const patch = createPatchProgram({
      durationMs: { download: 150, patch: 250, verify: 100, reboot: 100 },
      downMs: 400,
      ...system,
    });
    const lights = await startLightNodes(this.plane.admin, { ...nodes, program: patch.program });
    return new LightStory(await this.props(git), lights, patch);
  }

  private async props(shared: GitServer | undefined): Promise<ConstructorParameters<typeof Story>[0]> {
    const server = shared ?? (await startGitServer());
    const witness = await startWitness(this.plane.admin);
    const folder = mkdtempSync(join(this.folder, 'story-'));
    const { plane, kubeconfig } = this;
    const begun = { plane, kubeconfig, git: server, gitIsOurs: shared === undefined, witness, folder };
    return { ...begun, clear: () => this.clear() };
  }

  /** Removes what a story left, so that the next one begins on an empty cluster. */
  private async clear(): Promise<void> {
    const { admin } = this.plane;
    for (const path of [
      `/apis/apps/v1/namespaces/${workNamespace}/deployments?propagationPolicy=Background`,
      `/apis/policy/v1/namespaces/${workNamespace}/poddisruptionbudgets`,
      '/apis/batch/v1/namespaces/os-patch/jobs?propagationPolicy=Background',
      `/apis/batch/v1/namespaces/${hookNamespace}/cronjobs`,
      `/apis/batch/v1/namespaces/${hookNamespace}/jobs?propagationPolicy=Background`,
      '/api/v1/nodes',
      `/api/v1/namespaces/${ownNamespace}/configmaps`,
      '/apis/coordination.k8s.io/v1/namespaces/os-patch/leases',
      '/api/v1/namespaces/default/events',
    ])
      await admin.request('DELETE', path);
    await until('the pods of the story are gone', async () => {
      let left = 0;
      for (const namespace of ['os-patch', hookNamespace, workNamespace, 'kube-system']) {
        const { items } = await admin.get<{ items: unknown[] }>(`/api/v1/namespaces/${namespace}/pods`);
        left += items.length;
        if (items.length > 0)
          await admin.request('DELETE', `/api/v1/namespaces/${namespace}/pods?gracePeriodSeconds=0`);
      }
      return left === 0;
    });
  }
}

/** What a file of stories works with. */
export interface Telling {
  /** The stage; there from the first story on. */
  readonly stage: Stage;
  /** Begins a story with light nodes, which ends by itself after its test. */
  tell(nodes: Omit<LightNodesOptions, 'program'>, system?: PatchProgramOptions, git?: GitServer): Promise<LightStory>;
}

/** The opening of every file of stories: one stage for the file, and whatever was begun is ended after each test. */
export function openStage(options: ControlPlaneOptions = {}): Telling {
  let stage: Stage | undefined;
  const told: Story[] = [];
  const theStage = (): Stage => {
    if (stage === undefined) throw new Error('the stage opens before the first story');
    return stage;
  };
  beforeAll(async () => {
    stage = await Stage.open(options);
  });
  afterEach(async () => {
    // All, before any cluster is emptied: the hub of another stage's story would fill it again.
    await killAll();
    for (const story of told.splice(0).reverse()) await story.end();
  });
  afterAll(() => stage?.close());
  return {
    get stage() {
      return theStage();
    },
    async tell(nodes, system, git) {
      const story = await theStage().lightStory(nodes, system, git);
      told.push(story);
      return story;
    },
  };
}
