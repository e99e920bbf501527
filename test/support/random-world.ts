// Random policies, nodes, faults and people, as values that fast-check can shrink; and a player that lives through them in virtual time.
import fc from 'fast-check';
import type { Request, RequestAction } from '../../reconciler/model/desired.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import { runEnded } from '../../reconciler/model/ledger.ts';
import { cordonAnnotation, unpatchedTaint } from '../../reconciler/model/names.ts';
import type { Plan } from '../../reconciler/model/plan.ts';
import { gateKey } from '../../reconciler/model/gate.ts';
import type { Gate, Policy } from '../../reconciler/model/policy.ts';
import { nextSlot, type Schedule } from '../../reconciler/model/schedule.ts';
import { parseSelector } from '../../reconciler/model/selector.ts';
import type { NodeBehaviour } from './tiny-cluster.ts';
import { aCluster, aPolicy, aRequest, someSettings } from './policies.ts';
import { Killed, TinyWorld } from './tiny-world.ts';

const foreignTaint = 'karpenter.sh/disrupted';
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** What happens around Oakum; `node` counts through the nodes that are there at the time. */
export type Happening =
  | {
      readonly kind: 'nodeJoins';
      readonly zone: string;
      readonly behaviour: Partial<NodeBehaviour>;
      /** Registers with the taint of unpatched nodes. */
      readonly boots: boolean;
    }
  | { readonly kind: 'nodeLeaves'; readonly node: number }
  | { readonly kind: 'nodeDown' | 'nodeUp'; readonly node: number }
  | { readonly kind: 'cordonByHand' | 'uncordonByHand'; readonly node: number }
  | { readonly kind: 'behaves'; readonly node: number; readonly behaviour: Partial<NodeBehaviour> }
  | { readonly kind: 'newUpdates'; readonly reboot: boolean }
  | { readonly kind: 'freeze'; readonly where: 'fleet' | 'cluster' | 'namespace' | undefined }
  | { readonly kind: 'typo' | 'corrected' | 'gitDown' | 'gitUp' | 'suspend' | 'budgetCloses' | 'budgetOpens' }
  | { readonly kind: 'gateCloses' | 'gateOpens' }
  /** From now on hooks end well, fail, or never end; or the CronJob of one is not there, or is there again. */
  | { readonly kind: 'hooks'; readonly are: 'well' | 'failing' | 'endless' | 'gone' | 'back' }
  /** The member of etcd on a control-plane node is not Ready, or is again. */
  | { readonly kind: 'etcdDown' | 'etcdUp'; readonly node: number }
  /** Another tool begins, or ends, its work on a node. */
  | { readonly kind: 'foreignBegins' | 'foreignEnds'; readonly node: number }
  | { readonly kind: 'maintenance' | 'pause'; readonly node: number; readonly ms: number }
  | { readonly kind: 'pausesEnd' }
  | { readonly kind: 'policy'; readonly policy: Policy }
  | {
      readonly kind: 'request';
      readonly action: RequestAction;
      readonly nodes: readonly number[];
      readonly laterMs: number;
    }
  | { readonly kind: 'withdraw' }
  | { readonly kind: 'deleteJobs' }
  | { readonly kind: 'restart' }
  /** The controller is away for this long. */
  | { readonly kind: 'away'; readonly ms: number }
  /** The controller is killed at the n-th effect from now. */
  | { readonly kind: 'kill'; readonly effect: number }
  /** The n-th effect from now fails, before or after it was done. */
  | { readonly kind: 'apiFault'; readonly effect: number; readonly done: boolean };

/** A whole life: where it begins, what is asked, and what happens, each some time after the one before. */
export interface Life {
  readonly start: number;
  readonly policy: Policy;
  readonly nodes: readonly {
    readonly zone: string;
    readonly controlPlane: boolean;
    readonly behaviour: Partial<NodeBehaviour>;
    readonly pods: number;
  }[];
  readonly nodesPerHour: number | undefined;
  readonly scansAtOnce: number;
  readonly happenings: readonly (readonly [afterMs: number, happening: Happening])[];
  /** Answers of the API server come in an order that follows from this. */
  readonly disorder: number;
}

/** The only gate of these worlds; people open and close it. */
const gate: Gate = { kind: 'http', url: 'http://ready.test/' };

const quiet: Gate = { kind: 'quiet', forMs: 2 * hour };
const noHooks: Policy['hooks'] = { before: [], after: [] };

const zone = fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York');
const at = fc.constantFrom('00:00', '02:30', '14:00');
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

const schedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({ kind: fc.constant('weekly' as const), at, timeZone: zone }),
  fc.record({ kind: fc.constant('biweekly' as const), at, anchor: fc.constant('2026-01-04'), timeZone: zone }),
  fc.record({ kind: fc.constant('monthly' as const), at, timeZone: zone }),
);

const weekdays = fc.constantFrom(
  undefined,
  ['Sun' as const],
  ['Sat' as const, 'Sun' as const],
  ['Mon' as const, 'Wed' as const],
);
const window = fc.record({
  days: weekdays,
  start: fc.constantFrom('00:00', '02:00', '22:00'),
  durationMs: fc.constantFrom(20 * minute, 2 * hour, 6 * hour),
  timeZone: zone,
});

const freeze = fc.oneof(
  fc.record({
    kind: fc.constant('once' as const),
    from: fc.integer({ min: 0, max: 20 }).map((days) => Date.UTC(2026, 2, 20) + days * day),
    until: fc.integer({ min: 21, max: 40 }).map((days) => Date.UTC(2026, 2, 20) + days * day),
    reason: fc.constant('a launch'),
  }),
  fc.record({
    kind: fc.constant('yearly' as const),
    from: fc.constant('04-10'),
    to: fc.constantFrom('04-11', '04-20'),
    timeZone: zone,
    reason: fc.constant('every year'),
  }),
);

const concurrency = fc.oneof(
  fc.record({ kind: fc.constant('count' as const), value: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constant('percent' as const), value: fc.constantFrom(10, 34, 50, 100) }),
);

const policy: fc.Arbitrary<Policy> = fc
  .record({
    schedule: maybe(
      fc.record({
        schedule,
        startingDeadlineMs: fc.constantFrom(30 * minute, 12 * hour),
        validForMs: maybe(fc.constantFrom(2 * hour, 3 * day)),
      }),
    ),
    windows: fc.array(window, { maxLength: 2 }),
    freezes: fc.array(freeze, { maxLength: 1 }),
    exclude: fc.boolean(),
    rebootWhen: fc.constantFrom('ifRequired' as const, 'ifRequired' as const, 'never' as const, 'always' as const),
    maxPerDay: fc.integer({ min: 1, max: 3 }),
    drain: fc.record({
      when: fc.constantFrom('beforePatch' as const, 'beforeReboot' as const),
      timeoutMs: fc.constantFrom(2 * minute, 15 * minute),
      onTimeout: fc.constantFrom('skip' as const, 'fail' as const, 'force' as const),
    }),
    rollout: fc.record({
      concurrency,
      topologyKey: fc.constantFrom(undefined, 'topology.kubernetes.io/zone'),
      canary: maybe(fc.record({ nodes: fc.integer({ min: 1, max: 2 }), soakMs: fc.constantFrom(0, 10 * minute) })),
      soakMs: fc.constantFrom(0, 2 * minute),
      maxFailures: fc.integer({ min: 1, max: 3 }),
      controlPlane: fc.constantFrom('first' as const, 'last' as const),
      allowSingleControlPlane: fc.boolean(),
    }),
    onFailure: fc.constantFrom('quarantine' as const, 'uncordon' as const),
    gates: fc.constantFrom<readonly Gate[]>([], [], [], [gate], [quiet]),
    hooks: fc.constantFrom(noHooks, noHooks, { before: ['warm'], after: [] }, { before: ['warm'], after: ['smoke'] }),
    onBoot: fc.constantFrom(
      { enabled: false, timeoutMs: 20 * minute, onFailure: 'release' as const },
      { enabled: true, timeoutMs: 20 * minute, onFailure: 'release' as const },
      { enabled: true, timeoutMs: 2 * hour, onFailure: 'keep' as const },
    ),
    scan: fc.record({ everyMs: fc.constantFrom(0, 6 * hour, day) }),
    updates: fc.record({
      minAgeMs: fc.constantFrom(0, 0, 0, hour, 2 * day),
      lock: fc.boolean(),
    }),
    maxAge: fc.constantFrom(
      undefined,
      { afterMs: 3 * day, openRun: false },
      { afterMs: 3 * day, openRun: true },
      { afterMs: 10 * day, openRun: true },
    ),
  })
  .map(({ exclude, rebootWhen, maxPerDay, drain, ...rest }) => {
    const selector = exclude ? parseSelector('topology.kubernetes.io/zone=c') : undefined;
    return aPolicy({
      ...rest,
      nodes: { exclude: selector?.ok ? selector.selector : undefined },
      reboot: { when: rebootWhen, maxPerDay },
      drain,
    });
  });

const behaviour: fc.Arbitrary<Partial<NodeBehaviour>> = fc.record(
  {
    pending: fc.constantFrom(0, 1, 7),
    updates: fc.constantFrom(undefined, {}, { openssl: '1' }, { openssl: '1', bash: '1' }, { openssl: '2', curl: '1' }),
    rebootNeeded: fc.boolean(),
    fail: fc.oneof(
      { weight: 5, arbitrary: fc.constant({}) },
      fc.record(
        {
          scan: fc.constantFrom('REPO_DNS', 'UNSUPPORTED_OS'),
          download: fc.constantFrom('DISK_FULL_VAR', 'REPO_TIMEOUT', 'UNSUPPORTED_OS', 'PKG_DB_BROKEN'),
          patch: fc.constantFrom(
            'SCRIPT_FAILED',
            'PKG_LOCK_TIMEOUT',
            'PLAN_VIOLATION',
            'PKG_DB_BROKEN',
            'DISK_FULL_VAR',
          ),
          reboot: fc.constantFrom('REBOOT_UNSAFE', 'REBOOT_BLOCKED'),
          verify: fc.constantFrom('VERIFY_KERNEL', 'VERIFY_PENDING', 'PKG_LOCK_TIMEOUT'),
        },
        { requiredKeys: [] },
      ),
    ),
    staysDown: fc.constantFrom(false, false, false, false, true),
    lostResults: fc.constantFrom(0, 0, 0, 1, 9),
    stuckJobs: fc.constantFrom(0, 0, 0, 1, 9),
    jobMs: fc.constantFrom(5_000, 2 * minute, 20 * minute, 80 * minute),
    rebootMs: fc.constantFrom(2_000, 30_000, 14 * minute, 40 * minute),
  },
  { requiredKeys: [] },
);

const anyNode = fc.nat({ max: 20 });
const zoneName = fc.constantFrom('a', 'b', 'c');

const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ kind: fc.constant('nodeJoins' as const), zone: zoneName, behaviour, boots: fc.boolean() }),
  fc.record({ kind: fc.constant('nodeLeaves' as const), node: anyNode }),
  fc.record({ kind: fc.constantFrom('nodeDown' as const, 'nodeUp' as const), node: anyNode }),
  fc.record({ kind: fc.constantFrom('cordonByHand' as const, 'uncordonByHand' as const), node: anyNode }),
  fc.record({ kind: fc.constant('behaves' as const), node: anyNode, behaviour }),
  fc.record({ kind: fc.constant('newUpdates' as const), reboot: fc.boolean() }),
  fc.record({
    kind: fc.constant('freeze' as const),
    where: fc.constantFrom(undefined, undefined, 'fleet' as const, 'cluster' as const, 'namespace' as const),
  }),
  fc.record({
    kind: fc.constantFrom(
      'typo' as const,
      'corrected' as const,
      'gitDown' as const,
      'gitUp' as const,
      'suspend' as const,
      'budgetCloses' as const,
      'budgetOpens' as const,
    ),
  }),
  fc.record({ kind: fc.constantFrom('gateCloses' as const, 'gateOpens' as const) }),
  fc.record({
    kind: fc.constant('hooks' as const),
    are: fc.constantFrom('well' as const, 'failing' as const, 'endless' as const, 'gone' as const, 'back' as const),
  }),
  fc.record({ kind: fc.constantFrom('etcdDown' as const, 'etcdUp' as const), node: anyNode }),
  fc.record({ kind: fc.constantFrom('foreignBegins' as const, 'foreignEnds' as const), node: anyNode }),
  fc.record({
    kind: fc.constantFrom('maintenance' as const, 'pause' as const),
    node: anyNode,
    ms: fc.constantFrom(10 * minute, 5 * hour, 3 * day),
  }),
  fc.record({ kind: fc.constant('pausesEnd' as const) }),
  fc.record({ kind: fc.constant('policy' as const), policy }),
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('request' as const),
      action: fc.constantFrom<RequestAction>(
        'patch',
        'patch',
        'patch',
        'reboot',
        'resume',
        'retry',
        'abort',
        'skip',
        'reset',
      ),
      nodes: fc.array(anyNode, { maxLength: 2 }),
      laterMs: fc.constantFrom(0, 0, 3 * hour),
    }),
  },
  fc.constant<Happening>({ kind: 'withdraw' }),
  fc.constant<Happening>({ kind: 'deleteJobs' }),
  fc.constant<Happening>({ kind: 'restart' }),
  fc.record({ kind: fc.constant('away' as const), ms: fc.constantFrom(3 * minute, 5 * hour, 3 * day) }),
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('kill' as const), effect: fc.integer({ min: 1, max: 20 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('apiFault' as const),
      effect: fc.integer({ min: 1, max: 20 }),
      done: fc.boolean(),
    }),
  },
);

const gap = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 120 }).map((seconds) => seconds * 1_000) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 90 }).map((minutes) => minutes * minute) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 72 }).map((hours) => hours * hour) },
);

/** Lives of a few months. */
export const life: fc.Arbitrary<Life> = fc.record({
  start: fc.integer({ min: 0, max: 14 * 24 }).map((hours) => Date.UTC(2026, 2, 20) + hours * hour),
  policy,
  nodes: fc.array(
    fc.record({
      zone: zoneName,
      controlPlane: fc.constantFrom(false, false, false, true),
      behaviour,
      pods: fc.nat({ max: 2 }),
    }),
    { minLength: 1, maxLength: 6 },
  ),
  nodesPerHour: fc.constantFrom(undefined, undefined, 2),
  scansAtOnce: fc.integer({ min: 0, max: 2 }),
  happenings: fc.array(fc.tuple(gap, happening), { minLength: 5, maxLength: 40 }),
  disorder: fc.nat(),
});

/** A small generator (mulberry32): the same seed gives the same numbers. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The next instant worth a look: where nothing goes on and every wait has a time, the idle looks in between are left out. */
export function sleepThrough(world: TinyWorld, plan: Plan): number {
  if (plan.actions.length > 0) return Math.min(plan.wakeAt, world.now + 1_000);
  const waits = Object.values(world.ledger?.requests ?? {}).some((request) => request.state === 'Waiting');
  const idle = plan.nodes.every(({ phase, at }) => phase === 'Idle' || (phase === 'Pending' && at !== undefined));
  const open = world.runs().some((run) => !runEnded(run.state));
  const dated = plan.nodes.flatMap(({ phase, at }) => (phase === 'Pending' && at !== undefined ? [at] : []));
  if (waits || !idle || (open && dated.length === 0) || plan.wakeAt !== world.now + 10 * minute) return plan.wakeAt;
  const schedule = world.desired.policy?.schedule?.schedule;
  return Math.max(Math.min((schedule && nextSlot(schedule, world.now)) ?? Infinity, ...dated), plan.wakeAt);
}

/** Lives through one life. The invariants are checked after every pass; what only the world can see is checked here. */
export class Player {
  readonly world: TinyWorld;
  /** What happened, for the message of a failure. */
  readonly diary: string[] = [];
  private readonly life: Life;
  private readonly cordonedByHand = new Set<string>();
  /** UIDs of control-plane nodes whose member of etcd is not Ready. */
  private readonly etcdDown = new Set<string>();
  private names = 0;
  private requests = 0;
  private dead = false;
  passes = 0;

  constructor(life: Life) {
    this.life = life;
    this.world = new TinyWorld(life.start, aCluster({ policy: life.policy }));
    this.setGate(true);
    for (const hook of ['warm', 'smoke']) this.world.cluster.addHook(hook, { deadlineMs: 15 * minute });
    this.world.settings = someSettings({
      ceilings: { nodesPerHour: life.nodesPerHour, scansAtOnce: life.scansAtOnce },
    });
    const random = seeded(life.disorder);
    this.world.turns = () => Math.floor(random() * 6);
    for (const node of life.nodes) {
      const name = this.join(node.zone, node.behaviour, node.controlPlane);
      for (let pod = 0; pod < node.pods; pod++)
        this.world.cluster.addPod(name, `${name}-${pod}`, { labels: { app: 'web' } });
    }
    this.world.cluster.budgets.push({
      namespace: 'default',
      name: 'web',
      matchLabels: { app: 'web' },
      matchExpressions: [],
      disruptionsAllowed: 1,
      currentHealthy: 3,
      desiredHealthy: 2,
      expectedPods: 3,
    });
  }

  /** Everything that happens, then a calm in which people mend everything, then the end: nothing is left to do. */
  async play(): Promise<void> {
    for (const [afterMs, event] of this.life.happenings) {
      await this.liveUntil(this.world.now + afterMs);
      this.diary.push(`${new Date(this.world.now).toISOString()} ${JSON.stringify(event)}`);
      await this.happens(event);
    }
    await this.liveUntil(this.world.now + 2 * hour);
    await this.calm();
  }

  private join(where: string, how: Partial<NodeBehaviour>, controlPlane = false): string {
    const name = `n${++this.names}`;
    this.world.cluster.addNode(name, { zone: where, behaviour: { ...how, fail: { ...how.fail } }, controlPlane });
    return name;
  }

  private pick(number: number): string | undefined {
    const names = [...this.world.cluster.machines.keys()];
    return names[number % Math.max(1, names.length)];
  }

  /** Passes until the instant. Where nothing is under way, sleeps through to what is known to come next. */
  private async liveUntil(end: number): Promise<void> {
    const { world } = this;
    while (world.now < end) {
      const wake = await this.pass();
      world.now = Math.max(Math.min(wake, world.cluster.nextAt() ?? Infinity, end), world.now + 1);
    }
  }

  private async pass(): Promise<number> {
    const { world } = this;
    if (++this.passes > 60_000) throw new Error(`the world does not settle at ${new Date(world.now).toISOString()}`);
    let wakeAt = world.now + 1_000;
    world.cluster.etcd = [...world.cluster.machines.values()]
      .filter(({ view }) => view.controlPlane)
      .map(({ view }) => ({ node: view.name, ready: view.ready && !this.etcdDown.has(view.uid) }));
    try {
      // What was done is seen by a watch, and wakes the controller.
      wakeAt = sleepThrough(world, await world.pass());
      world.passes.length = 0;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      this.dead = false;
      world.restart();
    }
    for (const uid of this.cordonedByHand) {
      const machine = [...world.cluster.machines.values()].find(({ view }) => view.uid === uid);
      if (!machine) this.cordonedByHand.delete(uid);
      else if (!machine.view.unschedulable)
        throw new Error(`the cordon of ${machine.view.name} was not ours and is gone`);
    }
    return wakeAt;
  }

  private async happens(event: Happening): Promise<void> {
    const { world } = this;
    const { cluster } = world;
    const name = 'node' in event ? this.pick(event.node) : undefined;
    const machine = name === undefined ? undefined : cluster.machine(name);
    switch (event.kind) {
      case 'nodeJoins':
        cluster.change(this.join(event.zone, event.behaviour), {
          taints: event.boots ? [{ key: unpatchedTaint, value: '', effect: 'NoSchedule' }] : [],
        });
        return;
      case 'hooks':
        if (event.are === 'gone') cluster.hooks.delete('warm');
        else if (event.are === 'back') cluster.addHook('warm');
        else cluster.hookEnd = event.are === 'endless' ? undefined : { ms: 20_000, well: event.are === 'well' };
        return;
      case 'etcdDown':
      case 'etcdUp':
        if (machine) this.etcdDown[event.kind === 'etcdDown' ? 'add' : 'delete'](machine.view.uid);
        return;
      case 'foreignBegins':
      case 'foreignEnds':
        if (machine && name !== undefined) this.setForeign(name, event.kind === 'foreignBegins');
        return;
      case 'maintenance':
      case 'pause':
        if (name === undefined) return;
        return world.change({
          requests: [
            ...world.desired.requests,
            aRequest(`r${++this.requests}`, { action: event.kind, nodes: [name], until: world.now + event.ms }),
          ],
        });
      case 'pausesEnd':
        return world.change({ requests: world.desired.requests.filter(({ action }) => action !== 'pause') });
      case 'nodeLeaves':
        if (name !== undefined && cluster.machines.size > 1) cluster.removeNode(name);
        return;
      case 'nodeDown':
      case 'nodeUp':
        if (name === undefined) return;
        return cluster.change(name, {
          ready: event.kind === 'nodeUp',
          readyReason: event.kind === 'nodeUp' ? 'KubeletReady' : 'NodeStatusUnknown',
        });
      case 'cordonByHand':
        if (!machine || name === undefined || machine.view.unschedulable) return;
        this.cordonedByHand.add(machine.view.uid);
        return cluster.change(name, { unschedulable: true });
      case 'uncordonByHand':
        if (!machine || name === undefined) return;
        this.cordonedByHand.delete(machine.view.uid);
        return cluster.change(name, { unschedulable: false });
      case 'behaves':
        if (machine) Object.assign(machine.behaviour, event.behaviour);
        return;
      case 'newUpdates':
        for (const one of cluster.machines.values()) {
          one.behaviour.pending += 2;
          const { updates } = one.behaviour;
          if (updates) one.behaviour.updates = { ...updates, openssl: String(Number(updates['openssl'] ?? 0) + 1) };
          one.behaviour.rebootNeeded = event.reboot;
        }
        return;
      case 'freeze':
        cluster.freeze = event.where === 'namespace' ? 'stop' : undefined;
        return world.change({ frozen: event.where === 'namespace' ? undefined : event.where });
      case 'typo':
        return world.change({
          policy: undefined,
          problems: [{ file: 'policy.yaml', line: 1, column: 1, path: '', message: 'a typo', rule: 'schema' }],
        });
      case 'corrected':
        return world.change({ policy: this.life.policy, problems: [] });
      case 'policy':
        return world.change({ policy: event.policy, problems: [] });
      case 'suspend':
        return world.change({ policy: { ...this.life.policy, suspend: true }, problems: [] });
      case 'gitDown':
        world.sourceHold = { reason: 'GitUnavailable', message: 'the server is away', until: undefined };
        return;
      case 'gitUp':
        world.sourceHold = undefined;
        return;
      case 'budgetCloses':
      case 'budgetOpens':
        return this.setBudget(event.kind === 'budgetOpens' ? 1 : 0);
      case 'gateCloses':
      case 'gateOpens':
        return this.setGate(event.kind === 'gateOpens');
      case 'request':
        return this.ask(event);
      case 'withdraw':
        return world.change({ requests: world.desired.requests.slice(0, -1) });
      case 'deleteJobs':
        return cluster.deleteJobs();
      case 'restart':
        return world.restart();
      case 'away':
        world.now += event.ms;
        return world.restart();
      case 'kill': {
        let left = event.effect;
        world.onEffect = () => {
          if (this.dead || --left === 0) {
            this.dead = true;
            throw new Killed();
          }
        };
        return;
      }
      case 'apiFault': {
        let left = event.effect;
        const fault = (): void => {
          if (--left === 0) throw new AdapterError('transient', 'ECONNRESET', 'the connection was lost');
        };
        world.onEffect = (what) => {
          if (!event.done && what !== 'ledger') fault();
        };
        world.afterEffect = () => {
          if (event.done) fault();
        };
        return;
      }
    }
  }

  private setGate(open: boolean): void {
    const answer = open ? 'answered 200' : 'answered 503';
    this.world.gates = new Map([[gateKey(gate), { open, answer, at: this.world.now }]]);
  }

  private setForeign(name: string, works: boolean): void {
    const { view } = this.world.cluster.machine(name);
    const others = view.taints.filter(({ key }) => key !== foreignTaint);
    const taint = { key: foreignTaint, value: '', effect: 'NoSchedule' };
    this.world.cluster.change(name, { taints: works ? [...others, taint] : others });
  }

  private setBudget(disruptionsAllowed: number): void {
    const [budget] = this.world.cluster.budgets;
    if (budget) this.world.cluster.budgets[0] = { ...budget, disruptionsAllowed };
  }

  private ask(event: Extract<Happening, { kind: 'request' }>): void {
    const { world } = this;
    const nodes = [...new Set(event.nodes.map((number) => this.pick(number)))].filter((name) => name !== undefined);
    const request: Request = aRequest(`r${++this.requests}`, {
      action: event.action,
      nodes,
      notBefore: event.laterMs === 0 ? undefined : world.now + event.laterMs,
    });
    world.change({ requests: [...world.desired.requests, request] });
  }

  /** People mend everything: then every run ends, no cordon of ours is left, and a pass changes nothing any more. */
  private async calm(): Promise<void> {
    const { world } = this;
    const { cluster } = world;
    world.onEffect = () => undefined;
    world.afterEffect = () => undefined;
    world.sourceHold = undefined;
    cluster.freeze = undefined;
    this.setBudget(1);
    this.setGate(true);
    this.etcdDown.clear();
    cluster.hookEnd = { ms: 20_000, well: true };
    cluster.addHook('warm', { deadlineMs: 15 * minute });
    const open = aPolicy({ rollout: { allowSingleControlPlane: true } });
    for (let tries = 0; tries < 12; tries++) {
      for (const [name, { view, behaviour }] of cluster.machines) {
        Object.assign(behaviour, { fail: {}, staysDown: false, lostResults: 0, stuckJobs: 0, jobMs: 5_000 });
        this.setForeign(name, false);
        cluster.change(name, { ready: true, readyReason: 'KubeletReady', unschedulable: false });
        this.cordonedByHand.delete(view.uid);
      }
      // A run keeps the windows that it began with: where a node never fits into them, a person ends it.
      const steer = world
        .runs()
        .filter((run) => !runEnded(run.state) && (run.state === 'Paused' || tries >= 5))
        .map((run) =>
          aRequest(`calm-${tries}-${run.id}`, { action: run.state === 'Paused' ? 'resume' : 'abort', run: run.id }),
        );
      world.change({
        policy: open,
        problems: [],
        frozen: undefined,
        requests: [...world.desired.requests, ...steer],
      });
      await this.liveUntil(world.now + 7 * day);
      if (world.runs().every((run) => runEnded(run.state))) break;
    }
    const left = world.runs().filter((run) => !runEnded(run.state));
    if (left.length > 0)
      throw new Error(
        `runs that do not end: ${left.map((run) => `${run.id} ${run.state} ${run.reason}: ${run.message}; ${JSON.stringify(Object.values(run.nodes).map((record) => [record.node, record.phase, record.reason, record.message]))}`).join('\n')}`,
      );
    for (const { view } of cluster.machines.values())
      if (
        view.annotations[cordonAnnotation] !== undefined &&
        world.ledger?.history[view.name]?.quarantine === undefined
      )
        throw new Error(`${view.name} keeps our cordon in the end`);
    const plan = await world.pass();
    const plans = plan.actions.map((action) => action.kind);
    if (plans.length > 0) throw new Error(`a settled world still plans: ${plans.join(', ')}`);
  }
}
