// One end-to-end story: a real Git server, Oakum as a process of its own, and what can be seen of it in Git and in the cluster.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { parse } from 'yaml';
import type { ControlPlane } from '../lab/control-plane.ts';
import type { LightNodes } from '../lab/light-nodes.ts';
import type { PatchProgram } from '../lab/patch-program.ts';
import { until } from '../lab/wait.ts';
import type { Witness } from '../lab/witness.ts';
import { commitFiles, git, type GitServer } from '../support/git-server.ts';
import { runOakum, startOakum, type OakumAnswer, type OakumProcess } from './process.ts';
import type { SeenJob, SeenNode, SeenStatus } from './seen.ts';
import { fleet } from './wishes.ts';

/** Waits of stories; `until` multiplies them. */
const statusMs = 180_000;
const factMs = 90_000;
/** Between two looks: the API server and the processes under test share two cores with whoever looks. */
const lookMs = 200;

/** What a story is made of. */
export interface StoryProps {
  readonly plane: ControlPlane;
  /** File with the way in that Oakum uses. */
  readonly kubeconfig: string;
  readonly git: GitServer;
  /** False when another story began the repository and will end it. */
  readonly gitIsOurs: boolean;
  readonly witness: Witness;
  /** A folder of this story alone. */
  readonly folder: string;
  /** Empties the cluster after the story. */
  readonly clear: () => Promise<void>;
}

/** One story. */
export class Story {
  readonly git: GitServer;
  readonly witness: Witness;
  /** Set where the API server is started in the story: until it has read its roles, it forbids everybody everything. */
  apiServerStarts = false;
  readonly kubeconfig: string;
  private readonly props: StoryProps;
  private readonly processes: OakumProcess[] = [];
  private caches = 0;
  /** What was read last of each cluster, and at which commit: git is a process, and is started only when the branch has moved. */
  private readonly read = new Map<string, { readonly at: string; readonly status: SeenStatus | undefined }>();

  constructor(props: StoryProps) {
    this.props = props;
    this.git = props.git;
    this.witness = props.witness;
    this.kubeconfig = props.kubeconfig;
    if (props.gitIsOurs) this.commit({ 'oakum.yaml': fleet }, 'the settings of the fleet');
  }

  /** Commits as a user would push; undefined removes a file. */
  commit(files: Readonly<Record<string, string | undefined>>, message = 'a story goes on'): string {
    return commitFiles(this.git.repository, 'main', files, { message });
  }

  /** Starts the service as a user would: the command line, in a process of its own. Default: as the agent of cluster `prod`. */
  oakum(flags: readonly string[] = [], where = ['--cluster', 'prod', '--kubeconfig', this.kubeconfig]): OakumProcess {
    const pace = ['--poll', '1s', '--http-port', '0', '--reboot-delay', '1s', '--retry-delay', '1s'];
    const running = startOakum([
      ...['run', '--repo', this.git.url, '--cache-dir', this.newCache()],
      ...[...where, ...pace, '--job-start-timeout', '60s', ...flags],
    ]);
    this.processes.push(running);
    return running;
  }

  /** The service as a hub for several clusters: the name of each, and the file with the way in. */
  hub(clusters: Readonly<Record<string, string>>, flags: readonly string[] = []): OakumProcess {
    const folder = join(this.props.folder, 'kubeconfigs');
    mkdirSync(folder, { recursive: true });
    for (const [name, file] of Object.entries(clusters)) copyFileSync(file, join(folder, `${name}.yaml`));
    return this.oakum(flags, ['--kubeconfig-dir', folder]);
  }

  /** Runs another verb on the repository of the story, to its end. */
  ask(verb: string, ...words: readonly string[]): Promise<OakumAnswer> {
    return runOakum([verb, ...words, '--repo', this.git.url, '--cache-dir', this.newCache()]);
  }

  /** Accepts a rewritten history for the cluster of this story, as a person with rights in it. */
  accept(from: string, to: string): Promise<OakumAnswer> {
    return runOakum(['accept-rewrite', from, to, '--kubeconfig', this.kubeconfig]);
  }

  /** Begins a new ledger on the cluster of this story, as a person with rights in it. */
  newLedger(): Promise<OakumAnswer> {
    return runOakum(['new-ledger', '--kubeconfig', this.kubeconfig]);
  }

  private newCache(): string {
    return join(this.props.folder, `cache-${++this.caches}`);
  }

  /** What stands on the status branch now; undefined while there is nothing. */
  async status(cluster = 'prod'): Promise<SeenStatus | undefined> {
    const at = this.statusBranch();
    const known = this.read.get(cluster);
    if (at !== undefined && known?.at === at) return known.status;
    let status: SeenStatus | undefined;
    try {
      const text = await git(this.git.repository, 'show', `${at ?? 'oakum/status'}:clusters/${cluster}/status.yaml`);
      status = (parse(text) as { status: SeenStatus }).status;
    } catch {
      // Nothing was written yet.
    }
    if (at !== undefined) this.read.set(cluster, { at, status });
    return status;
  }

  /** The commit of the status branch; undefined while there is none, or while only git knows where it is. */
  private statusBranch(): string | undefined {
    try {
      return readFileSync(join(this.git.repository, 'refs', 'heads', 'oakum', 'status'), 'utf8').trim() || undefined;
    } catch {
      return undefined;
    }
  }

  /** Waits until the status branch says it. */
  async says(
    what: string,
    look: (status: SeenStatus) => boolean,
    limitMs = statusMs,
    cluster = 'prod',
  ): Promise<SeenStatus> {
    try {
      return await until(
        what,
        async () => {
          const status = await this.status(cluster);
          return status !== undefined && look(status) ? status : undefined;
        },
        limitMs,
        lookMs,
      );
    } catch (error) {
      throw await this.explained(error, cluster);
    }
  }

  private async explained(error: unknown, cluster = 'prod'): Promise<Error> {
    const status = await this.status(cluster);
    const told = { runs: status?.runs, requests: status?.requests, nodes: status?.nodes.slice(0, 8) };
    const tail = this.processes.map((one) => one.log().slice(-4000)).join('\n---\n');
    const what = error instanceof Error ? error.message : String(error);
    return new Error(`${what}\nstatus: ${JSON.stringify(told, null, 1)}\nlog:\n${tail}`, { cause: error });
  }

  /** Waits until something is so; when it never is, the error holds status and log. */
  async until(what: string, look: () => Promise<boolean> | boolean, limitMs = factMs): Promise<void> {
    try {
      await until(what, look, limitMs, lookMs);
    } catch (error) {
      throw await this.explained(error);
    }
  }

  /** Waits until a run has this state. */
  runIs(state: string, limitMs = statusMs): Promise<SeenStatus> {
    return this.says(`a run is ${state}`, (status) => status.runs.some((run) => run.state === state), limitMs);
  }

  /** The node as the API server has it now. */
  node(name: string): Promise<SeenNode> {
    return this.props.plane.admin.get(`/api/v1/nodes/${name}`);
  }

  /** Names of the nodes that are cordoned now. */
  async cordoned(): Promise<string[]> {
    const { items } = await this.props.plane.admin.get<{ items: SeenNode[] }>('/api/v1/nodes');
    return items.filter((node) => node.spec.unschedulable === true).map((node) => node.metadata.name);
  }

  /** When the witness saw this, in milliseconds since the epoch, the first time first. */
  saw(node: string, change: Witness['sightings'][number]['change']): readonly number[] {
    return this.witness.sightings.filter((one) => one.node === node && one.change === change).map((one) => one.at);
  }

  /** The Jobs of one step. */
  async jobs(step: string): Promise<SeenJob[]> {
    const path = `/apis/batch/v1/namespaces/os-patch/jobs?labelSelector=oakum.dev/step%3D${step}`;
    return (await this.props.plane.admin.get<{ items: SeenJob[] }>(path)).items;
  }

  /** What kubectl prints; throws when it fails. */
  async kubectl(...words: readonly string[]): Promise<string> {
    const file = join(this.props.folder, 'admin.kubeconfig');
    writeFileSync(file, this.props.plane.kubeconfig(), { mode: 0o600 });
    const { stdout } = await promisify(execFile)('kubectl', ['--kubeconfig', file, ...words], { timeout: factMs });
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
    await this.stopNodes();
    if (this.props.gitIsOurs) await this.git.stop();
    await this.props.clear();
    const fault = this.apiServerStarts ? /this is a bug/ : /"kind":"denied"|forbidden|this is a bug/;
    const wrong = log.split('\n').filter((line) => fault.test(line));
    if (wrong.length > 0) throw new Error(`Oakum lacked a right, or has a bug:\n${wrong.slice(0, 5).join('\n')}`);
  }

  protected async stopNodes(): Promise<void> {
    // The nodes of this story belong to somebody else.
  }
}

/** A story with light nodes of its own. */
export class LightStory extends Story {
  readonly lights: LightNodes;
  readonly patch: PatchProgram;

  constructor(props: StoryProps, lights: LightNodes, patch: PatchProgram) {
    super(props);
    this.lights = lights;
    this.patch = patch;
  }

  /** Calls of the patch script on one node, in one mode or in all. */
  calls(node: string, mode?: string): readonly PatchProgram['calls'][number][] {
    return this.patch.calls.filter((call) => call.node === node && (mode === undefined || call.mode === mode));
  }

  /** What must be true at the end of a story, whatever happened in it: each of the nodes once, nobody left cordoned. */
  async provenOnce(names: Iterable<string> = this.lights.nodes.keys()): Promise<void> {
    for (const name of names) {
      expect(this.patch.installs(name), `installs on ${name}`).toBe(1);
      expect(this.lights.node(name).boots(), `boots of ${name}`).toBe(1);
    }
    expect(await this.cordoned()).toEqual([]);
  }

  protected override stopNodes(): Promise<void> {
    return this.lights.stop();
  }
}
