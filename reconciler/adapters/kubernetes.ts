// The Cluster port over the Kubernetes API: observes by lists or by watches, and acts.
import type { Action } from '../model/action.ts';
import { AdapterError } from '../model/failure.ts';
import { jobNamespace, upgradePlanLabel } from '../model/names.ts';
import type { ApiServerView, BudgetView, JobView, ObserveInterest, PodView, RawCluster } from '../model/observed.ts';
import type { ActionResult, Cluster } from '../ports.ts';
import { act } from './kubernetes-actions.ts';
import { readAttachments, readVirtualMachines } from './kubernetes-drain.ts';
import { readApiServers, readMembers } from './kubernetes-etcd.ts';
import { readHooks } from './kubernetes-hooks.ts';
import { jobLogs, notYet } from './kubernetes-logs.ts';
import { listing, queries } from './kubernetes-source.ts';
import type { ClusterOptions, Complaint, JobIdentity, Look, PodIdentity } from './kubernetes-source.ts';
import { watching } from './kubernetes-watching.ts';
import { list, read } from './kubernetes-calls.ts';

/** The API servers are asked for etcd at most this often. */
const apiServersEveryMs = 10_000;
/** The Events of one Job are read again at most this often. */
const complaintsEveryMs = 15_000;

/** Opens a cluster. Nothing is asked of the API server before the first call. */
export function openCluster<Facts extends JobIdentity, Pod extends PodIdentity>(
  options: ClusterOptions<Facts, Pod>,
): Cluster {
  const { views, clock } = options;
  const namespace = options.namespace ?? jobNamespace;
  const noPodAfterMs = options.noPodAfterMs ?? 20_000;
  const source = options.watch ? watching(options, namespace) : listing(options, namespace);
  const { transport } = source;
  const complaints = new Map<string, { subject: string; at: number; found: readonly Complaint[] }>();
  const finalPods = new Map<string, readonly Pod[]>();
  const logs = jobLogs(transport, namespace, views);
  let apiServers: { readonly at: number; readonly found: readonly ApiServerView[] } | undefined;

  /**
   * Why a Job has no pod, or its pod no container: only Events tell (a forbidden pod leaves no condition on the Job, a volume that cannot be
   * mounted none on the pod).
   */
  const complaintsOf = async (job: Facts, pods: readonly Pod[], skew: number): Promise<readonly Complaint[]> => {
    const now = clock.now();
    if (job.end !== undefined || pods.some((pod) => !pod.waiting) || now + skew - job.createdAt < noPodAfterMs)
      return [];
    const subject = pods[0]?.uid ?? job.uid;
    const known = complaints.get(job.uid);
    if (known?.subject === subject && now - known.at < complaintsEveryMs) return known.found;
    const found: Complaint[] = [];
    const query = { fieldSelector: `involvedObject.uid=${subject},type=Warning` };
    await list(transport, `/api/v1/namespaces/${namespace}/events`, query, (raw) => found.push(views.complaint(raw)));
    complaints.set(job.uid, { subject, at: now, found });
    return found;
  };

  /**
   * The pods of a Job that has ended. Two watches do not keep step: the Job's end may arrive before its pod's, and a result that is merely
   * late must not look like no result. So the pods are then read once more, and that answer is final.
   */
  const podsOf = async (job: Facts, seen: readonly Pod[]): Promise<readonly Pod[]> => {
    const own = seen.filter((pod) => pod.job === job.uid);
    if (job.end === undefined || own.some((pod) => pod.ended)) return own;
    const known = finalPods.get(job.uid);
    if (known !== undefined) return known;
    const found: Pod[] = [];
    const query = { labelSelector: `job-name=${job.name}` };
    await list(transport, queries(namespace).pods.path, query, (raw) => found.push(views.jobPod(raw)));
    finalPods.set(job.uid, found);
    return found;
  };

  const jobsOf = async (look: Look<Facts, Pod>): Promise<JobView[]> => {
    const jobs: JobView[] = [];
    for (const job of look.jobs) {
      const seen = await podsOf(job, look.pods);
      const { pods, late } = job.end === undefined ? { pods: seen, late: false } : await logs.whole(job.uid, seen);
      const view = views.jobView(job, pods, await complaintsOf(job, pods, look.clockSkewMs ?? 0));
      jobs.push(late ? notYet(view) : view);
    }
    const present = new Set(look.jobs.map((job) => job.uid));
    for (const memory of [complaints, finalPods])
      for (const job of memory.keys()) if (!present.has(job)) memory.delete(job);
    logs.forget(present);
    return jobs;
  };

  const podsOn = async (node: string): Promise<PodView[]> => {
    const pods: PodView[] = [];
    const query = { fieldSelector: `spec.nodeName=${node}` };
    await list(
      transport,
      '/api/v1/pods',
      query,
      (raw) => pods.push(views.podView(raw)),
      () => (pods.length = 0),
    );
    return pods.sort(byKey(({ namespace: of, name }) => `${of}/${name}`));
  };

  /** Pods of etcd; where there are none, what the API servers say, asked again at most every ten seconds. */
  const etcd = async (): Promise<Pick<RawCluster, 'etcd' | 'apiServers'>> => {
    const members = await readMembers(transport, (raw) => views.etcdMember(raw));
    if (members.length > 0) return { etcd: members };
    if (apiServers === undefined || clock.now() - apiServers.at >= apiServersEveryMs)
      apiServers = { at: clock.now(), found: await readApiServers(transport, (raw) => views.sliceAddresses(raw)) };
    return { etcd: members, apiServers: apiServers.found };
  };

  /** Nodes on which a pod of system-upgrade-controller is at work, with its plan: it leaves no mark on the node before it is done. */
  const upgrades = async (): Promise<Map<string, string>> => {
    const found = new Map<string, string>();
    await list(
      transport,
      '/api/v1/pods',
      { labelSelector: upgradePlanLabel, fieldSelector: 'status.phase!=Succeeded,status.phase!=Failed' },
      (raw) => {
        const node = (raw['spec'] as { nodeName?: string } | undefined)?.nodeName;
        if (node !== undefined) found.set(node, raw.metadata.labels?.[upgradePlanLabel] ?? '');
      },
      () => found.clear(),
    );
    return found;
  };

  return {
    identity: async () => {
      const kubeSystem = await read(transport, '/api/v1/namespaces/kube-system');
      const uid = kubeSystem?.metadata.uid;
      if (uid === undefined)
        throw new AdapterError(
          'missing',
          'NoKubeSystem',
          'the cluster has no namespace kube-system, so it has no identity',
        );
      return uid;
    },
    observe: async (interest: ObserveInterest): Promise<RawCluster> => {
      const look = await source.look();
      const pods = new Map<string, readonly PodView[]>();
      for (const node of interest.podsOn) pods.set(node, await podsOn(node));
      const budgets: BudgetView[] = [];
      if (interest.budgets)
        await list(
          transport,
          '/apis/policy/v1/poddisruptionbudgets',
          {},
          (raw) => budgets.push(views.budgetView(raw)),
          () => (budgets.length = 0),
        );
      const upgrading = interest.upgrades ? await upgrades() : undefined;
      const machines = interest.machinesOn?.length
        ? await readVirtualMachines(transport, views, interest.machinesOn)
        : undefined;
      return {
        nodes: [...look.nodes].sort(byKey(({ name }) => name)).map((node) => {
          const plan = upgrading?.get(node.name);
          return plan === undefined ? node : { ...node, upgrading: plan };
        }),
        jobs: (await jobsOf(look)).sort(byKey(({ name }) => name)),
        pods,
        budgets: budgets.sort(byKey(({ namespace: of, name }) => `${of}/${name}`)),
        ...(interest.etcd ? await etcd() : {}),
        ...(interest.volumesOn?.length ? { volumes: await readAttachments(transport, views, interest.volumesOn) } : {}),
        ...(machines ? { machines } : {}),
        ...(interest.hooks?.length ? { hooks: await readHooks(transport, views, interest.hooks) } : {}),
        freeze: look.freeze,
        clockSkewMs: look.clockSkewMs,
      };
    },
    act: (action: Action): Promise<ActionResult> => act({ transport, namespace }, action),
    changed: (timeoutMs, signal) => source.changed(timeoutMs, signal),
    close: async () => {
      await source.close();
      await options.transport.close();
    },
  };
}

function byKey<Item>(key: (item: Item) => string): (a: Item, b: Item) => number {
  return (a, b) => {
    const [left, right] = [key(a), key(b)];
    return left < right ? -1 : left > right ? 1 : 0;
  };
}
