// A cluster of a few maps behind the Cluster port: for planner tests that need thousands of passes. It applies actions at once and lets Jobs take time.
import type { Action } from '../../reconciler/model/action.ts';
import {
  cordonAnnotation,
  lockAnnotation,
  nodeNameAnnotation,
  nodeUidLabel,
  runIdAnnotation,
  stepLabel,
} from '../../reconciler/model/names.ts';
import type {
  BudgetView,
  ApiServerView,
  AttachmentView,
  EtcdMember,
  HookView,
  JobView,
  NodeView,
  ObserveInterest,
  PodView,
  VirtualMachineView,
  RawCluster,
} from '../../reconciler/model/observed.ts';
import { covers } from '../../reconciler/plan/drain.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { ActionResult, Cluster } from '../../reconciler/ports.ts';

/** How a node behaves; a test changes it at any time. */
export interface NodeBehaviour {
  /** How many updates wait, without names; the result has no list then. */
  pending: number;
  /** The updates that wait by package and version, in place of the mere number. */
  updates: Readonly<Record<string, string>> | undefined;
  /** So many of the pending ones stay, held by a person. */
  held: number;
  /** Installing needs a reboot. */
  rebootNeeded: boolean;
  /** Error code that a mode of the script gives; undefined: it works. */
  fail: Partial<Record<'scan' | 'download' | 'patch' | 'reboot' | 'verify', string>>;
  /** Never comes back from a reboot. */
  staysDown: boolean;
  /** The Job ends without a result this many times. */
  lostResults: number;
  /** Codes that the patch mode gives once each, first one first, before it works (or fails as `fail` says). */
  patchAnswers: string[];
  /** What the script warns of, until a patch has ended well. */
  warnings: string[];
  /** Services that run replaced code after a patch. */
  services: string[];
  /** The pod of the Job does not start, this many times. */
  stuckJobs: number;
  jobMs: number;
  rebootMs: number;
}

interface Machine {
  view: NodeView;
  behaviour: NodeBehaviour;
  rebootRequired: boolean;
  heartbeats: number;
  /** What was pending at the last download, and what it has fetched: the patch installs from it, without network. */
  listed: Readonly<Record<string, string>>;
  fetched: Readonly<Record<string, string>>;
  /** What was really installed, and when. */
  readonly installed: { readonly name: string; readonly version: string; readonly at: number }[];
}

interface Job {
  view: JobView;
  endsAt: number;
  env: ReadonlyMap<string, string>;
}

/** As in the Jobs' manifests: their pods live this long, and they are collected this long after their end. */
const jobDeadlineMs = 3_600_000;
const jobKeptMs = 86_400_000;

const labelsOf = { 'kubernetes.io/os': 'linux' };

/** What a test may ask of the cluster beside the port. */
export class TinyCluster implements Cluster {
  readonly machines = new Map<string, Machine>();
  readonly podsByNode = new Map<string, PodView[]>();
  readonly budgets: BudgetView[] = [];
  etcd: EtcdMember[] = [];
  apiServers: ApiServerView[] = [{ address: '10.0.0.1:6443', trouble: '' }];
  /** Volumes that are attached. */
  volumes: AttachmentView[] = [];
  /** How long the live migration of a virtual machine takes; undefined: it does not get on. */
  migrationMs: number | undefined = 30_000;
  /** KubeVirt can be asked to take an evacuation back. */
  cancels = true;
  /** Virtual machines that are evacuated, `NAMESPACE/NAME`, with the node that they leave. */
  readonly evacuating = new Map<string, string>();
  /** CronJobs in the namespace of hooks. */
  readonly hooks = new Map<string, HookView>();
  /** How the Job of each hook ends: after so long, well or not; undefined: never. */
  hookEnd: { readonly ms: number; readonly well: boolean } | undefined = { ms: 20_000, well: true };
  /** Every Job of a hook that was created: `NODE NAME PHASE`. */
  readonly called: string[] = [];
  private readonly hookJobs = new Map<string, JobView>();
  readonly done: Action[] = [];
  freeze: string | undefined;
  private readonly jobs = new Map<string, Job>();
  private readonly timers: { at: number; run: () => void }[] = [];
  private readonly now: () => number;
  private counter = 0;

  constructor(now: () => number) {
    this.now = now;
  }

  addNode(
    name: string,
    options: {
      zone?: string;
      controlPlane?: boolean;
      labels?: Record<string, string>;
      behaviour?: Partial<NodeBehaviour>;
    } = {},
  ): void {
    const uid = `uid-${name}-${++this.counter}`;
    const zone = options.zone ?? 'a';
    this.machines.set(name, {
      view: {
        name,
        uid,
        resourceVersion: '1',
        labels: { ...labelsOf, 'topology.kubernetes.io/zone': zone, ...options.labels },
        annotations: {},
        createdAt: 0,
        unschedulable: false,
        taints: [],
        ready: true,
        readyReason: 'KubeletReady',
        heartbeat: 'h0',
        bootId: `boot-${name}-0`,
        kernel: '6.1.0-1',
        osImage: 'Debian GNU/Linux 12 (bookworm)',
        kubeletVersion: 'v1.36.2',
        os: 'linux',
        controlPlane: options.controlPlane ?? false,
      },
      behaviour: {
        pending: 3,
        updates: undefined,
        held: 0,
        rebootNeeded: false,
        fail: {},
        staysDown: false,
        lostResults: 0,
        patchAnswers: [],
        warnings: [],
        services: [],
        stuckJobs: 0,
        jobMs: 5_000,
        rebootMs: 30_000,
        ...options.behaviour,
      },
      rebootRequired: false,
      heartbeats: 0,
      listed: {},
      fetched: {},
      installed: [],
    });
    this.podsByNode.set(name, []);
  }

  removeNode(name: string): void {
    this.machines.delete(name);
    this.podsByNode.delete(name);
  }

  addPod(node: string, name: string, options: Partial<PodView> = {}): void {
    const pod: PodView = {
      namespace: 'default',
      name,
      uid: `pod-${name}-${++this.counter}`,
      labels: { app: name },
      phase: 'Running',
      ready: true,
      owner: { kind: 'ReplicaSet', name },
      mirror: false,
      localData: false,
      terminatingSince: undefined,
      virtualMachine: undefined,
      ...options,
    };
    this.podsByNode.get(node)?.push(pod);
  }

  machine(name: string): Machine {
    const machine = this.machines.get(name);
    if (!machine) throw new Error(`no node ${name}`);
    return machine;
  }

  /** Changes what is seen of a node. */
  change(name: string, fields: Partial<NodeView>): void {
    const machine = this.machines.get(name);
    if (machine) machine.view = { ...machine.view, ...fields };
  }

  jobsOf(step: string): JobView[] {
    return [...this.jobs.values()].map((job) => job.view).filter((view) => view.step === step);
  }

  deleteJobs(): void {
    this.jobs.clear();
  }

  /** When something happens next by itself. A Job on a node that is not Ready goes on when the node is back. */
  nextAt(): number | undefined {
    const times = this.timers.map((timer) => timer.at);
    for (const job of this.jobs.values()) {
      const runs = job.view.state === 'running' && this.machines.get(job.view.nodeName)?.view.ready === true;
      if (runs) times.push(Math.min(job.endsAt, job.view.createdAt + jobDeadlineMs));
    }
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** Lets everything happen that falls due up to now. */
  settle(): void {
    const now = this.now();
    for (const timer of this.timers.filter((one) => one.at <= now).sort((a, b) => a.at - b.at)) {
      this.timers.splice(this.timers.indexOf(timer), 1);
      timer.run();
    }
    for (const [name, job] of this.jobs) {
      if (job.view.state === 'running' && job.endsAt <= now) this.finish(job);
      if (job.view.state === 'running' && job.view.createdAt + jobDeadlineMs <= now)
        job.view = { ...job.view, state: 'failed', finishedAt: now };
      if (job.view.finishedAt !== undefined && job.view.finishedAt + jobKeptMs <= now) this.jobs.delete(name);
    }
  }

  async identity(): Promise<string> {
    return 'cluster-uid';
  }

  async observe(interest: ObserveInterest): Promise<RawCluster> {
    this.settle();
    return {
      nodes: [...this.machines.values()].map((machine) => machine.view),
      jobs: [...this.jobs.values()].map((job) => job.view),
      pods: new Map(interest.podsOn.map((name) => [name, [...(this.podsByNode.get(name) ?? [])]])),
      budgets: interest.budgets ? [...this.budgets] : [],
      ...(interest.etcd ? { etcd: [...this.etcd], apiServers: [...this.apiServers] } : {}),
      ...(interest.volumesOn?.length ? { volumes: [...this.volumes] } : {}),
      ...(interest.machinesOn?.length ? { machines: this.machinesOn(interest.machinesOn) } : {}),
      ...(interest.hooks
        ? { hooks: { cronJobs: new Map(this.hooks), jobs: [...this.hookJobs.values()], unreadable: undefined } }
        : {}),
      freeze: this.freeze,
      clockSkewMs: 0,
    };
  }

  async changed(): Promise<void> {}

  async close(): Promise<void> {}

  async act(action: Action): Promise<ActionResult> {
    this.done.push(action);
    switch (action.kind) {
      case 'putScript':
      case 'event':
        return { kind: 'done' };
      case 'createJob':
        this.createJob(action);
        return { kind: 'done' };
      case 'cancelEvacuation':
        if (this.cancels) this.evacuating.delete(`${action.namespace}/${action.machine}`);
        return { kind: this.cancels ? 'done' : 'gone' };
      case 'createHookJob':
        this.callHook(action);
        return { kind: 'done' };
      case 'deleteJob':
        this.jobs.delete(action.name);
        return { kind: 'done' };
      case 'deletePod':
      case 'evict':
        return this.evict(action);
      default:
        return this.changeNode(action);
    }
  }

  private changeNode(
    action: Extract<Action, { kind: 'cordon' | 'uncordon' | 'markNode' | 'removeTaint' }>,
  ): ActionResult {
    const machine = this.machines.get(action.node);
    if (machine?.view.uid !== action.uid) return { kind: 'gone' };
    const { view } = machine;
    if (action.kind === 'cordon' && view.unschedulable && view.annotations[cordonAnnotation] === undefined)
      throw new AdapterError('conflict', 'CordonedByOther', `node ${action.node} was cordoned by somebody else`);
    if (action.kind === 'cordon')
      machine.view = {
        ...view,
        unschedulable: true,
        annotations: { ...view.annotations, [cordonAnnotation]: action.mark },
      };
    if (action.kind === 'uncordon' && view.annotations[cordonAnnotation] !== undefined) {
      const { [cordonAnnotation]: _ours, ...annotations } = view.annotations;
      machine.view = { ...view, unschedulable: false, annotations };
    }
    if (action.kind === 'markNode')
      machine.view = {
        ...view,
        labels: merged(view.labels, action.labels),
        annotations: merged(view.annotations, action.annotations),
      };
    if (action.kind === 'removeTaint')
      machine.view = { ...view, taints: view.taints.filter((taint) => taint.key !== action.key) };
    return { kind: 'done' };
  }

  private evict(action: Extract<Action, { kind: 'evict' | 'deletePod' }>): ActionResult {
    const pods = this.podsByNode.get(action.node) ?? [];
    const pod = pods.find((one) => one.uid === action.uid);
    if (!pod) return { kind: 'gone' };
    if (action.kind === 'evict' && pod.virtualMachine !== undefined) return this.evacuate(action, pods, pod);
    const covering = this.budgets.filter((budget) => covers(budget, pod));
    if (action.kind === 'evict' && covering.length > 1)
      return { kind: 'blocked', reason: 'TwoBudgets', message: 'more than one PodDisruptionBudget' };
    const [budget] = covering;
    if (action.kind === 'evict' && budget && budget.disruptionsAllowed <= 0) {
      return {
        kind: 'blocked',
        reason: 'DisruptionBudget',
        message: `the disruption budget ${budget.name} needs ${budget.desiredHealthy} healthy pods and has ${budget.currentHealthy}`,
      };
    }
    if (action.kind === 'evict' && action.dryRun) return { kind: 'done' };
    const index = pods.indexOf(pod);
    pods[index] = { ...pod, terminatingSince: this.now() };
    this.timers.push({
      at: this.now() + 1_000,
      run: () =>
        void pods.splice(
          pods.findIndex((one) => one.uid === pod.uid),
          1,
        ),
    });
    return { kind: 'done' };
  }

  private machinesOn(nodes: readonly string[]): VirtualMachineView[] {
    return nodes.flatMap((node) =>
      (this.podsByNode.get(node) ?? []).flatMap(({ namespace, virtualMachine }) =>
        virtualMachine === undefined
          ? []
          : [
              {
                namespace,
                name: virtualMachine,
                node,
                evacuating: this.evacuating.get(`${namespace}/${virtualMachine}`),
                migration: this.evacuating.has(`${namespace}/${virtualMachine}`)
                  ? { name: `kubevirt-evacuation-${virtualMachine}`, phase: 'Scheduling' }
                  : undefined,
                trouble: '',
              },
            ],
      ),
    );
  }

  /** As KubeVirt's webhook: the machine is marked and moves by itself; the pod is never evicted. */
  private evacuate(action: Extract<Action, { kind: 'evict' }>, pods: PodView[], pod: PodView): ActionResult {
    const name = `${pod.namespace}/${pod.virtualMachine}`;
    const message = `Eviction triggered evacuation of VMI "${name}"`;
    if (!action.dryRun && !this.evacuating.has(name)) {
      this.evacuating.set(name, action.node);
      if (this.migrationMs !== undefined)
        this.timers.push({
          at: this.now() + this.migrationMs,
          run: () => {
            this.evacuating.delete(name);
            pods.splice(pods.indexOf(pod), 1);
          },
        });
    }
    return { kind: 'blocked', reason: 'Migration', message };
  }

  /** A suspended CronJob of this name. */
  addHook(name: string, fields: Partial<HookView> = {}): void {
    this.hooks.set(name, { name, uid: `hook-${name}`, suspended: true, deadlineMs: undefined, ...fields });
  }

  private callHook(action: Extract<Action, { kind: 'createHookJob' }>): void {
    if (this.hookJobs.has(action.name)) return;
    this.called.push(`${action.node} ${action.hook} ${action.env['OAKUM_PHASE']}`);
    const job: JobView = {
      name: action.name,
      uid: `hook-job-${++this.counter}`,
      runId: action.annotations[runIdAnnotation] ?? '',
      nodeName: action.node,
      nodeUid: action.labels[nodeUidLabel] ?? '',
      step: action.labels[stepLabel] ?? '',
      createdAt: this.now(),
      state: 'running',
      finishedAt: undefined,
      result: undefined,
      exitCode: undefined,
      hasPod: true,
      trouble: '',
    };
    this.hookJobs.set(job.name, job);
    const end = this.hookEnd;
    if (end === undefined) return;
    this.timers.push({
      at: this.now() + end.ms,
      run: () =>
        void this.hookJobs.set(job.name, {
          ...job,
          state: end.well ? 'succeeded' : 'failed',
          finishedAt: this.now(),
          trouble: end.well ? '' : 'BackoffLimitExceeded: Job has reached the specified backoff limit',
        }),
    });
  }

  /** OSP_ATTEMPT of every Job of a step, in order. */
  attemptsOf(step: string): string[] {
    return [...this.jobs.values()]
      .filter((job) => job.view.step === step)
      .map((job) => job.env.get('OSP_ATTEMPT') ?? '');
  }

  private createJob(action: Extract<Action, { kind: 'createJob' }>): void {
    const { manifest } = action;
    if (this.jobs.has(manifest.metadata.name)) return;
    const machine = this.machines.get(action.node);
    if (!machine) return;
    const text = JSON.stringify(manifest.spec);
    const env = new Map(
      [...text.matchAll(/"name":"(OSP_[A-Z_]+)","value":"([^"]*)"/g)].map((match) => [match[1] ?? '', match[2] ?? '']),
    );
    if (env.has('OSP_LOCK_FILE')) env.set('lock', lockOf(manifest.spec));
    const view: JobView = {
      name: manifest.metadata.name,
      uid: `job-${++this.counter}`,
      runId: manifest.metadata.annotations[runIdAnnotation] ?? '',
      nodeName: manifest.metadata.annotations[nodeNameAnnotation] ?? '',
      nodeUid: manifest.metadata.labels[nodeUidLabel] ?? '',
      step: manifest.metadata.labels[stepLabel] ?? '',
      createdAt: this.now(),
      state: machine.behaviour.stuckJobs > 0 ? 'waiting' : 'running',
      finishedAt: undefined,
      result: undefined,
      exitCode: undefined,
      hasPod: true,
      trouble: machine.behaviour.stuckJobs > 0 ? 'ImagePullBackOff' : '',
    };
    if (machine.behaviour.stuckJobs > 0) machine.behaviour.stuckJobs--;
    this.jobs.set(view.name, { view, endsAt: this.now() + machine.behaviour.jobMs, env });
  }

  private finish(job: Job): void {
    const machine = this.machines.get(job.view.nodeName);
    if (!machine || !machine.view.ready) return;
    const step = job.view.step as 'scan' | 'download' | 'patch' | 'reboot' | 'verify';
    const { behaviour } = machine;
    if (step === 'patch' && behaviour.lostResults > 0) {
      behaviour.lostResults--;
      job.view = { ...job.view, state: 'failed', finishedAt: this.now(), exitCode: 137 };
      return;
    }
    const named = behaviour.updates === undefined ? undefined : this.named(job, machine, behaviour.updates);
    const code =
      (step === 'patch' ? behaviour.patchAnswers.shift() : undefined) ?? behaviour.fail[step] ?? named?.refused;
    const pendingBefore = named?.pending ?? behaviour.pending;
    if (code === undefined && step === 'patch' && named) {
      if (named.plan.length > 0 && behaviour.rebootNeeded) machine.rebootRequired = true;
      for (const [name, version] of named.plan) machine.installed.push({ name, version, at: this.now() });
      const left = Object.entries(behaviour.updates ?? {}).filter(
        ([name, version]) => !named.plan.some(([done, to]) => done === name && to === version),
      );
      behaviour.updates = Object.fromEntries(left);
    } else if (code === undefined && step === 'patch') {
      if (behaviour.pending > 0 && behaviour.rebootNeeded) machine.rebootRequired = true;
      behaviour.pending = Math.min(behaviour.pending, behaviour.held);
    }
    if (code === undefined && step === 'reboot' && job.env.get('OSP_EXPECT_BOOT_ID') === machine.view.bootId)
      this.reboot(job.view.nodeName, machine);
    if (code === undefined && step === 'patch') behaviour.warnings = [];
    const state = { os: 'debian', osv: '12.15', kernel: machine.view.kernel, boot: machine.view.bootId };
    const result = {
      v: 1,
      run: job.env.get('OSP_RUN_ID') ?? '',
      node: job.view.nodeName,
      mode: step,
      status: code === undefined ? 'Succeeded' : 'Failed',
      code: code ?? 'OK',
      msg: code === undefined ? 'done' : `injected ${code}`,
      before: state,
      after: state,
      n: {
        pending: step === 'download' || job.view.step === 'scan' ? pendingBefore : 0,
        applied: step !== 'patch' ? 0 : (named?.plan.length ?? pendingBefore - behaviour.held),
        left: named ? (step === 'patch' ? 0 : named.plan.length) : Math.max(0, behaviour.pending - behaviour.held),
        ...(named ? { kept: named.kept.length } : {}),
      },
      ...(named && code === undefined
        ? {
            kept: named.kept.map(([name]) => [name, 'excluded']).slice(0, 20),
            pkgs: {
              enc: 'plain',
              data: (step === 'patch' ? named.plan : named.all).map(([name, to]) => `${name} 1.0 ${to}`),
            },
          }
        : {}),
      reboot: {
        required: machine.rebootRequired,
        safe: true,
        why: machine.rebootRequired ? ['kernel'] : [],
        state: step === 'reboot' ? 'scheduled' : 'none',
      },
      ...(behaviour.warnings.length > 0 ? { warn: behaviour.warnings } : {}),
      ...(step === 'patch' && behaviour.services.length > 0 ? { svc: behaviour.services } : {}),
      t: { start: '2026-01-01T00:00:00Z' },
    };
    job.view = {
      ...job.view,
      state: code === undefined ? 'succeeded' : 'failed',
      finishedAt: this.now(),
      exitCode: code === undefined ? 0 : 30,
      result: JSON.stringify(result),
    };
  }

  /** The named updates as this Job sees them: what is pending, what it would install, what it leaves. */
  private named(
    job: Job,
    machine: Machine,
    updates: Readonly<Record<string, string>>,
  ): {
    readonly all: readonly (readonly [string, string])[];
    readonly plan: readonly (readonly [string, string])[];
    readonly kept: readonly (readonly [string, string])[];
    readonly pending: number;
    readonly refused: string | undefined;
  } {
    const { step } = job.view;
    const all = Object.entries(step === 'patch' ? machine.listed : updates);
    const excluded = new Set((job.env.get('OSP_EXCLUDE') ?? '').split(' '));
    const lock = job.env.get('lock')?.split('\n');
    const taken = ([name, version]: readonly [string, string]): boolean =>
      lock === undefined ? !excluded.has(name) : lock.includes(`${name} ${version}`);
    const plan = all.filter((one) => taken(one) && (step !== 'patch' || machine.fetched[one[0]] === one[1]));
    if (step === 'download') {
      machine.listed = updates;
      machine.fetched = Object.fromEntries(plan);
    }
    const gone = lock?.some((line) => {
      const [name = '', version = ''] = line.split(' ');
      return step === 'download' && updates[name] !== undefined && updates[name] !== version;
    });
    return {
      all,
      plan,
      kept: all.filter((one) => !plan.includes(one)),
      pending: all.length,
      refused: gone ? 'LOCK_VERSION_MISSING' : undefined,
    };
  }

  private reboot(name: string, machine: Machine): void {
    this.timers.push({
      at: this.now() + 20_000,
      run: () => this.change(name, { ready: false, readyReason: 'NodeStatusUnknown' }),
    });
    if (machine.behaviour.staysDown) return;
    this.timers.push({
      at: this.now() + 20_000 + machine.behaviour.rebootMs,
      run: () => {
        machine.rebootRequired = false;
        machine.heartbeats++;
        this.change(name, {
          ready: true,
          readyReason: 'KubeletReady',
          bootId: `boot-${name}-${machine.heartbeats}`,
          heartbeat: `h${machine.heartbeats}`,
          kernel: `6.1.0-${machine.heartbeats + 1}`,
        });
      },
    });
  }
}

function merged(
  found: Readonly<Record<string, string>>,
  changes: Readonly<Record<string, string | null>>,
): Record<string, string> {
  const next: Record<string, string> = { ...found };
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) delete next[key];
    else next[key] = value;
  }
  return next;
}

/** The lock that the pod would find in its file. */
function lockOf(spec: Readonly<Record<string, unknown>>): string {
  const { template } = spec as { template: { metadata: { annotations: Record<string, string> } } };
  return template.metadata.annotations[lockAnnotation] ?? '';
}
