// Where looks at a cluster come from: what is read, as which views; and the plain source, which lists at every look.
import { freezeAnnotation, managedBy, managedByLabel } from '../model/names.ts';
import type { BudgetView, EtcdMember, HookView, JobView, NodeView, PodView } from '../model/observed.ts';
import type { Clock, Log } from '../ports.ts';
import { list } from './kubernetes-calls.ts';
import type { KubeObject } from './kubernetes-calls.ts';
import type { DrainViews } from './kubernetes-drain.ts';
import type { LogViews } from './kubernetes-logs.ts';
import type { Transport } from './kubernetes-transport.ts';

/** How objects of the API become views; `observed/views.ts` has them. The adapter carries the objects and knows no meaning. */
export interface Views<Facts extends JobIdentity, Pod extends PodIdentity> extends DrainViews, LogViews {
  nodeView(raw: unknown): NodeView;
  /** True when nothing that a plan could depend on has changed. */
  onlyHeartbeat(before: NodeView, after: NodeView): boolean;
  podView(raw: unknown): PodView;
  etcdMember(raw: unknown): EtcdMember;
  sliceAddresses(raw: unknown): readonly string[];
  budgetView(raw: unknown): BudgetView;
  hookView(raw: unknown): HookView;
  jobFacts(raw: unknown): Facts;
  jobPod(raw: unknown): Pod;
  complaint(raw: unknown): Complaint;
  jobView(facts: Facts, pods: readonly Pod[], complaints?: readonly Complaint[]): JobView;
}

/** As much of a Job as the adapter itself must see. */
export interface JobIdentity {
  readonly name: string;
  readonly uid: string;
  readonly createdAt: number;
  readonly end: 'succeeded' | 'failed' | undefined;
}

/** As much of a Job's pod as the adapter itself must see. */
export interface PodIdentity {
  readonly uid: string;
  readonly name: string;
  /** UID of the Job. */
  readonly job: string;
  readonly waiting: boolean;
  readonly ended: boolean;
  /** The termination message. */
  readonly result: string | undefined;
}

export interface Complaint {
  readonly at: number;
  readonly text: string;
}

export interface ClusterOptions<Facts extends JobIdentity, Pod extends PodIdentity> {
  readonly transport: Transport;
  readonly views: Views<Facts, Pod>;
  readonly clock: Clock;
  readonly log: Log;
  /** True: follow nodes, Jobs and their pods by watches. False: list them at every look (one pass, virtual time). */
  readonly watch: boolean;
  /** Namespace of the Jobs; default `os-patch`. */
  readonly namespace?: string;
  /** How long a Job may be without a running pod before the cluster's Events are read for the reason, milliseconds; default 20,000. */
  readonly noPodAfterMs?: number;
  /** A number in [0, 1) for the spread of back-offs; default Math.random. */
  readonly random?: () => number;
}

/** What a source of nodes, Jobs and their pods delivers at one look. */
export interface Look<Facts, Pod> {
  readonly nodes: readonly NodeView[];
  readonly jobs: readonly Facts[];
  readonly pods: readonly Pod[];
  readonly freeze: string | undefined;
  readonly clockSkewMs: number | undefined;
}

/** Where looks come from: lists, or the stores of watches. */
export interface Source<Facts, Pod> {
  /** The way for everything else: a source that keeps a store has to see what is written. */
  readonly transport: Transport;
  look(): Promise<Look<Facts, Pod>>;
  changed(timeoutMs: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** The paths and selectors that both sources read. */
export function queries(namespace: string) {
  return {
    nodes: { path: '/api/v1/nodes', query: {} },
    jobs: {
      path: `/apis/batch/v1/namespaces/${namespace}/jobs`,
      query: { labelSelector: `${managedByLabel}=${managedBy}` },
    },
    // The Job controller puts this label on the pods of every Job.
    pods: { path: `/api/v1/namespaces/${namespace}/pods`, query: { labelSelector: 'job-name' } },
    namespace: { path: '/api/v1/namespaces', query: { fieldSelector: `metadata.name=${namespace}` } },
  } as const;
}

/** Lists at every look. Jobs are listed before their pods: a Job that has ended is then never seen without its pod's end. */
export function listing<Facts extends JobIdentity, Pod extends PodIdentity>(
  { transport, views, clock }: ClusterOptions<Facts, Pod>,
  namespace: string,
): Source<Facts, Pod> {
  const { nodes, jobs, pods, namespace: own } = queries(namespace);
  const all = async <View>(from: { path: string; query: Record<string, string> }, view: (raw: KubeObject) => View) => {
    const found: View[] = [];
    const { date } = await list(
      transport,
      from.path,
      from.query,
      (raw) => found.push(view(raw)),
      () => (found.length = 0),
    );
    return { found, date };
  };
  return {
    transport,
    look: async () => {
      const listed = await all(nodes, (raw) => views.nodeView(raw));
      const at = clock.now();
      return {
        nodes: listed.found,
        jobs: (await all(jobs, (raw) => views.jobFacts(raw))).found,
        pods: (await all(pods, (raw) => views.jobPod(raw))).found,
        freeze: (await all(own, freezeOf)).found[0],
        clockSkewMs: listed.date === undefined ? undefined : listed.date - at,
      };
    },
    changed: (timeoutMs, signal) => clock.sleep(timeoutMs, signal),
    close: async () => undefined,
  };
}

/** Value of the freeze annotation of a namespace. */
export function freezeOf(raw: KubeObject): string | undefined {
  return raw.metadata.annotations?.[freezeAnnotation];
}
