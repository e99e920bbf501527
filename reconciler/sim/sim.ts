// The simulated cluster: one store, its API, its controllers and its machines, in one object.
import type { SimClock } from './clock.ts';
import { startBudgets } from './budgets.ts';
import { startCollector } from './collector.ts';
import { createFaults, faultAnswer, type Faults } from './faults.ts';
import { handleRequest, refusalAnswer } from './handle.ts';
import { createIdentity, seededRandom } from './identity.ts';
import { startJobs } from './jobs.ts';
import type { ProgramRun } from './kubelet.ts';
import { CONFIG_MAPS, type Resource, RESOURCES, NAMESPACES, SERVICE_ACCOUNTS } from './kinds.ts';
import { startLifecycle } from './lifecycle.ts';
import { createSnapshots } from './listing.ts';
import { createMachine, type NodeOptions, type SimNode, startKubelets } from './machine.ts';
import type { KubeObject, Pod } from './object.ts';
import { noSuchPath, Refusal } from './refusal.ts';
import { routeOf, type SimRequest, type SimResponse, splitPath } from './route.ts';
import { startScheduler } from './scheduler.ts';
import { addDaemonSet, addDeployment, addPod, type DeploymentOptions, type PodOptions } from './seed.ts';
import { createStore, type Store } from './store.ts';
import { createWatches, type WatchEvent } from './watching.ts';
import { DEFAULT_SETTINGS, type Settings, timeOf, type World } from './world.ts';
import { startWorkloads } from './workloads.ts';

/** What the container of a Job's pod does on a node. */
export type Program = (pod: Pod, node: SimNode) => ProgramRun;

/** How a simulation is made. */
export interface SimOptions {
  clock: SimClock;
  /** Numbers from 0 to 1; default: a generator with a fixed seed. */
  random?: () => number;
  settings?: Partial<Settings>;
  /** Kinds to serve beside the built-in ones. */
  resources?: readonly Resource[];
  program?: Program;
}

/** What a watch request got: an answer instead of a stream, or the way to end the stream. */
export type Opened = { response: SimResponse } | { stop: () => void };

/** A simulated cluster. */
export interface Sim {
  readonly clock: SimClock;
  readonly store: Store;
  readonly faults: Faults;
  /** What containers that are meant to end do; may be exchanged at any time. */
  program: Program;
  /** Answers a request that is not a watch, at once. Answers hold stored objects: they are frozen. A cut connection throws. */
  handle(request: SimRequest): SimResponse;
  /** Opens a watch; events arrive through the clock. A refusal arrives as an ERROR event. The answer ends the watch. */
  watch(path: string, onEvent: (event: WatchEvent) => void, onEnd?: () => void): () => void;
  /** Like `watch`, for those who need the answer of a watch that is refused. */
  open(request: SimRequest, onEvent: (event: WatchEvent) => void, onEnd: () => void): Opened;
  addNode(options: NodeOptions): SimNode;
  /** The machine of that name. Throws when there is none. */
  node(name: string): SimNode;
  nodes(): SimNode[];
  addDeployment(options: DeploymentOptions): KubeObject;
  addDaemonSet(options: PodOptions): KubeObject;
  /** A pod that no controller looks after. */
  addPod(options: PodOptions): KubeObject;
  /** Creates any object through the API. Throws when it is refused. */
  readonly create: (path: string, object: object) => KubeObject;
  /** Ends all watches. */
  cutWatches(): void;
  /** Watches stay open and say nothing. */
  muteWatches(on: boolean): void;
  /** Forgets old versions: watches and pages from before are expired. */
  compact(): void;
  /** A restart of the API server: watches end, old versions are expired. */
  restart(): void;
  watchCount(): number;
}

/** Thrown by `handle` where a real connection would break. */
export class ConnectionCut extends Error {
  readonly code = 'ECONNRESET';
}

/** The namespaces that every cluster has. */
const NAMESPACES_OF_OLD = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

/** A new cluster without nodes. */
export function createSim(options: SimOptions): Sim {
  const settings: Settings = { ...DEFAULT_SETTINGS, ...options.settings };
  const store = createStore(settings.windowSize);
  const world: World = {
    clock: options.clock,
    store,
    identity: createIdentity(options.random ?? seededRandom(1)),
    settings,
    resources: [...RESOURCES, ...(options.resources ?? [])],
    logs: new Map(),
  };
  const snapshots = createSnapshots();
  const machines = new Map<string, SimNode>();
  const faults = createFaults();
  const watches = createWatches(world);
  startNamespaces(world);
  const heartbeats = startLifecycle(world);
  startScheduler(world);
  startKubelets(world, (name) => machines.get(name));
  startJobs(world);
  startWorkloads(world);
  startBudgets(world);
  startCollector(world);

  const sim: Sim = {
    clock: options.clock,
    store,
    faults,
    program: options.program ?? (() => ({ durationMs: 1000, exitCode: 0 })),
    handle(request) {
      const met = faults.meet(request);
      if (met.some((fault) => fault.kind === 'cut' && fault.when === 'before'))
        throw new ConnectionCut('connection reset');
      const response = faultAnswer(met) ?? handleRequest(world, snapshots, request);
      if (met.some((fault) => fault.kind === 'cut' && fault.when === 'after'))
        throw new ConnectionCut('connection reset');
      return response;
    },
    open(request, onEvent, onEnd) {
      const refused = faultAnswer(faults.meet(request));
      if (refused !== undefined) return { response: refused };
      const { path, query } = splitPath(request.path);
      try {
        const target = routeOf(world.resources, path);
        if (target === undefined) throw noSuchPath();
        return { stop: watches.open(target.resource, target.namespace, target.name, query, onEvent, onEnd) };
      } catch (error) {
        if (error instanceof Refusal) return { response: refusalAnswer(error) };
        throw error;
      }
    },
    watch(path, onEvent, onEnd = () => undefined) {
      const opened = sim.open({ method: 'GET', path }, onEvent, onEnd);
      if ('stop' in opened) return opened.stop;
      const { body } = opened.response;
      return options.clock.after(0, () => {
        onEvent({ type: 'ERROR', object: typeof body === 'object' && body !== null ? body : { message: body } });
        onEnd();
      });
    },
    addNode(node) {
      const machine = createMachine(world, node, machines.size + 1, heartbeats, (pod, on) => sim.program(pod, on));
      machines.set(node.name, machine);
      for (const pod of store.podsOn(node.name)) machine.sync(pod);
      return machine;
    },
    node(name) {
      const machine = machines.get(name);
      if (machine === undefined) throw new Error(`the simulated cluster has no machine ${name}`);
      return machine;
    },
    nodes: () => [...machines.values()],
    addDeployment: (deployment) => addDeployment(sim.create, deployment),
    addDaemonSet: (daemons) => addDaemonSet(sim.create, daemons),
    addPod: (pod) => addPod(sim.create, pod),
    create(path, object) {
      const response = handleRequest(world, snapshots, {
        method: 'POST',
        path,
        body: object,
        headers: { 'user-agent': 'sim' },
      });
      if (response.status !== 201) throw new Error(`POST ${path}: ${JSON.stringify(response.body)}`);
      return response.body as KubeObject;
    },
    cutWatches: () => {
      watches.cut();
    },
    muteWatches: (on) => {
      watches.mute(on);
    },
    compact() {
      store.compact();
      snapshots.clear();
    },
    restart() {
      watches.cut();
      sim.compact();
    },
    watchCount: () => watches.count(),
  };
  for (const name of NAMESPACES_OF_OLD) sim.create('/api/v1/namespaces', { metadata: { name } });
  return sim;
}

/** Gives each new namespace what every namespace has. */
function startNamespaces(world: World): void {
  world.store.subscribe((change) => {
    if (change.resource.storage !== NAMESPACES.storage || change.type !== 'ADDED') return;
    const namespace = change.object.metadata.name;
    const metadata = { namespace, resourceVersion: '', creationTimestamp: timeOf(world) };
    world.store.create(SERVICE_ACCOUNTS, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { ...metadata, name: 'default', uid: world.identity.uid() },
    });
    world.store.create(CONFIG_MAPS, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...metadata, name: 'kube-root-ca.crt', uid: world.identity.uid() },
      data: { 'ca.crt': '' },
    });
  });
}
