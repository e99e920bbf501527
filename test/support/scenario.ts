// A scenario in virtual time: the simulated API server in process, the real adapter, ledger, loop and planner, and a transcript of what happened.
import { readPatchScript, readSchemas } from '../../reconciler/adapters/assets.ts';
import { openGates } from '../../reconciler/adapters/gates.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { inProcessTransport } from '../../reconciler/adapters/kubernetes-in-process.ts';
import { openCluster } from '../../reconciler/adapters/kubernetes.ts';
import { openLedger } from '../../reconciler/adapters/ledger.ts';
import { imitatedCluster, type ImitatedCluster } from '../../reconciler/cli/imitated-cluster.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import { ClusterLoop, type PassResult } from '../../reconciler/pass.ts';
import { ConfigSource } from '../../reconciler/source.ts';
import type { Action } from '../../reconciler/model/action.ts';
import { digest } from '../../reconciler/model/digest.ts';
import { jobNamespace, ownNamespace } from '../../reconciler/model/names.ts';
import { views } from '../../reconciler/observed/views.ts';
import { standardTiming, type PlanSettings } from '../../reconciler/plan/input.ts';
import type { Cluster, ConfigFile, ConfigSnapshot, Ledger } from '../../reconciler/ports.ts';
import { virtualClock, type VirtualClock } from '../../reconciler/sim/clock.ts';
import type { KubeVirt } from './kubevirt.ts';
import { checkInvariants } from './invariants.ts';
import { someSettings } from './policies.ts';
import { Killed } from './tiny-world.ts';

const desire = createDesire(readSchemas());

/** Plays the config repository: commits of files, newest first in line. */
class FakeRepository {
  private files = new Map<string, ConfigFile>();
  private commits = 0;
  private committedAt = 0;
  private changed: string[] | undefined = [];
  private handedOut = 0;

  commit(files: Readonly<Record<string, string | undefined>>, now: number): void {
    const next = new Map(this.files);
    this.commits++;
    this.committedAt = now;
    for (const [path, text] of Object.entries(files)) {
      this.changed?.push(path);
      if (text === undefined) next.delete(path);
      else next.set(path, { path, oid: digest(text, 40), kind: 'file', text });
    }
    this.files = next;
  }

  async sync(): Promise<{ kind: 'changed' | 'unchanged'; snapshot: ConfigSnapshot }> {
    const kind = this.handedOut === this.commits ? 'unchanged' : 'changed';
    const snapshot: ConfigSnapshot = {
      commit: String(this.commits).padStart(40, '0'),
      committedAt: this.committedAt,
      files: this.files,
      changed: this.handedOut === 0 ? undefined : this.changed,
    };
    this.handedOut = this.commits;
    this.changed = [];
    return { kind, snapshot };
  }
}

/** One line of the transcript. */
function tellAction(action: Action): string | undefined {
  switch (action.kind) {
    case 'createJob':
      return `${action.node}: ${action.manifest.metadata.labels['oakum.dev/step']} Job`;
    case 'createHookJob':
      return `${action.node}: Job of hook ${action.hook} (${action.env['OAKUM_PHASE']})`;
    case 'evict':
      return `${action.node}: evict ${action.namespace}/${action.pod}${action.dryRun ? ' (dry run)' : ''}`;
    case 'cordon':
    case 'uncordon':
      return `${action.node}: ${action.kind}`;
    case 'removeTaint':
      return `${action.node}: remove taint ${action.key}`;
    case 'cancelEvacuation':
      return `${action.node}: cancel the evacuation of ${action.namespace}/${action.machine}`;
    case 'deletePod':
      return `${action.node}: delete ${action.namespace}/${action.pod}`;
    case 'deleteJob':
      return `delete Job ${action.name}`;
    case 'event':
      return `${action.node}: Event ${action.reason}: ${action.message}`;
    case 'markNode':
    case 'putScript':
      return undefined;
  }
}

/** A cluster called prod, its repository, and the controller, which can be killed. */
export class Scenario {
  readonly clock: VirtualClock;
  readonly world: ImitatedCluster;
  readonly repository = new FakeRepository();
  readonly transcript: string[] = [];
  /** Called before every action and after every write of the ledger; throws Killed to kill. */
  onEffect: (what: string) => void = () => undefined;
  /** Answers requests in the API server's place, as a webhook or an aggregated API does. */
  beside: KubeVirt['answer'] = () => undefined;
  /** How many turns of the event loop the next action waits: answers may come in any order. */
  turns: () => number = () => 0;
  settings: PlanSettings;
  last: PassResult | undefined;
  private readonly start: number;
  private source: ConfigSource;
  private loop: ClusterLoop;
  private phases = new Map<string, string>();

  constructor(start = Date.UTC(2026, 5, 1, 12)) {
    this.start = start;
    this.clock = virtualClock(start);
    this.world = imitatedCluster(this.clock, [jobNamespace, ownNamespace]);
    this.settings = someSettings({ script: readPatchScript(), timing: { ...standardTiming, rebootDelayMs: 20_000 } });
    this.source = new ConfigSource(this.repository, desire, silentLog);
    this.loop = this.begin();
  }

  private begin(): ClusterLoop {
    const transport = inProcessTransport({
      handle: (request) => this.beside(request) ?? this.world.sim.handle(request),
    });
    const clock = { now: () => this.clock.now(), sleep: async () => undefined };
    const real = openCluster({ transport, views, clock, log: silentLog, watch: false, random: () => 0.5 });
    const cluster: Cluster = {
      ...real,
      act: async (action) => {
        for (let turn = this.turns(); turn > 0; turn--) await Promise.resolve();
        this.onEffect(action.kind);
        const told = tellAction(action);
        const answer = await real.act(action);
        if (told !== undefined) this.say(`${told}${answer.kind === 'blocked' ? ` → ${answer.reason}` : ''}`);
        return answer;
      },
    };
    const real2 = openLedger(transport, { namespace: ownNamespace });
    const ledger: Ledger = {
      load: () => real2.load(),
      save: async (before, after) => {
        await real2.save(before, after);
        this.onEffect('ledger');
      },
    };
    return new ClusterLoop(
      {
        name: 'prod',
        cluster,
        ledger,
        lease: { held: () => true, holder: () => undefined, release: async () => undefined },
        gates: openGates({ allow: [], transport, clock }),
      },
      this.settings,
      silentLog,
    );
  }

  /** What a kill and a restart leave: the cluster and the repository. */
  restart(): void {
    this.repository.sync = FakeRepository.prototype.sync.bind(this.repository);
    this.source = new ConfigSource(
      {
        sync: async () => ({
          ...(await this.repository.sync()),
          kind: 'changed' as const,
          snapshot: { ...(await this.repository.sync()).snapshot, changed: undefined },
        }),
      },
      desire,
      silentLog,
    );
    this.loop = this.begin();
  }

  say(line: string): void {
    const seconds = Math.round((this.clock.now() - this.start) / 1000);
    const stamp = `${String(Math.floor(seconds / 3600)).padStart(3)}:${String(Math.floor(seconds / 60) % 60).padStart(2, '0')}:${String(seconds % 60).padStart(2, '0')}`;
    this.transcript.push(`${stamp}  ${line}`);
  }

  commit(files: Readonly<Record<string, string | undefined>>, what = 'commit'): void {
    this.say(`— ${what}: ${Object.keys(files).join(', ')}`);
    this.repository.commit(files, this.clock.now());
  }

  async pass(): Promise<PassResult> {
    await this.source.pull(new Map([[this.loop.name, await this.loop.accepted()]]));
    const before = this.loop.ledger();
    const result = await this.loop.pass(this.source.current(this.loop.name), this.clock.now());
    checkInvariants(
      {
        now: result.now,
        commit: result.source.commit,
        committedAt: result.source.committedAt,
        fleet: result.fleet,
        desired: result.desired,
        sourceHold: result.source.hold,
        observed: result.observed,
        ledger: before,
        settings: this.settings,
      },
      result.plan,
    );
    this.last = result;
    this.tellPhases(result);
    return result;
  }

  private tellPhases(result: PassResult): void {
    for (const run of Object.values(result.plan.ledger.runs)) {
      const told = `${run.state} ${run.reason}: ${run.message}`;
      if (this.phases.get(run.id) !== told) this.say(`run ${run.id}: ${told}`);
      this.phases.set(run.id, told);
      for (const record of Object.values(run.nodes)) {
        const key = `${run.id}/${record.node}`;
        const now = `${record.phase} ${record.reason}: ${record.message}`;
        if (this.phases.get(key) !== now) this.say(`${record.node}: ${now}`);
        this.phases.set(key, now);
      }
    }
    for (const request of Object.values(result.plan.ledger.requests)) {
      const now = `${request.state} ${request.reason}: ${request.message}`;
      if (this.phases.get(request.name) !== now) this.say(`request ${request.name}: ${now}`);
      this.phases.set(request.name, now);
    }
  }

  /** Passes until `limitMs` have gone by or the condition holds after a pass. Killed and restarted where `onEffect` says so. */
  async run(limitMs: number, until: (result: PassResult) => boolean = () => false): Promise<void> {
    const end = this.clock.now() + limitMs;
    while (this.clock.now() < end) {
      let wake = this.clock.now() + 1_000;
      try {
        const result = await this.pass();
        if (until(result)) return;
        wake = result.plan.wakeAt;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
        this.restart();
      }
      const next = Math.min(wake, this.clock.nextAt() ?? Infinity, end);
      this.clock.advance(Math.max(next - this.clock.now(), 1));
    }
  }

  /** `node: phase/reason` of the newest run, sorted. */
  ends(): string[] {
    const runs = Object.values(this.last?.plan.ledger.runs ?? {}).sort((a, b) => b.createdAt - a.createdAt);
    return Object.values(runs[0]?.nodes ?? {})
      .map((record) => `${record.node}: ${record.phase}/${record.reason}`)
      .sort();
  }
}
