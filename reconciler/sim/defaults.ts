// What the API server fills in before it stores an object.
import type { Resource } from './kinds.ts';
import { isRecord, type Job, type KubeObject, type Pod, type PodTemplate, type Toleration } from './object.ts';

/** The tolerations that every pod gets: five minutes on a node that is not ready or unreachable. */
const DEFAULT_TOLERATIONS: readonly Toleration[] = ['not-ready', 'unreachable'].map((what) => ({
  key: `node.kubernetes.io/${what}`,
  operator: 'Exists',
  effect: 'NoExecute',
  tolerationSeconds: 300,
}));

function podDefaults(pod: Pod): Pod {
  const { spec } = pod;
  const missing = DEFAULT_TOLERATIONS.filter(
    (wanted) =>
      !(spec.tolerations ?? []).some(
        (have) =>
          (have.key === wanted.key || have.key === undefined || have.key === '') &&
          (have.effect === undefined || have.effect === '' || have.effect === 'NoExecute'),
      ),
  );
  return {
    ...pod,
    spec: {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      serviceAccountName: 'default',
      serviceAccount: spec.serviceAccountName ?? 'default',
      securityContext: {},
      enableServiceLinks: true,
      preemptionPolicy: 'PreemptLowerPriority',
      priority: 0,
      ...spec,
      tolerations: [...(spec.tolerations ?? []), ...missing],
    },
    status: { phase: 'Pending', qosClass: 'BestEffort' },
  };
}

function templateWith(template: PodTemplate, labels: Record<string, string>): PodTemplate {
  return {
    ...template,
    metadata: { ...template.metadata, labels: { ...template.metadata?.labels, ...labels } },
    spec: {
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      schedulerName: 'default-scheduler',
      securityContext: {},
      ...template.spec,
    },
  };
}

function jobDefaults(job: Job): Job {
  const { spec } = job;
  const { uid, name } = job.metadata;
  const labels = {
    'batch.kubernetes.io/controller-uid': uid,
    'batch.kubernetes.io/job-name': name,
    'controller-uid': uid,
    'job-name': name,
  };
  const own = spec.manualSelector === true;
  const single = spec.completions === undefined && spec.parallelism === undefined;
  return {
    ...job,
    spec: {
      parallelism: 1,
      ...(single ? { completions: 1 } : {}),
      backoffLimit: 6,
      completionMode: 'NonIndexed',
      suspend: false,
      manualSelector: false,
      podReplacementPolicy: 'TerminatingOrFailed',
      ...(own ? {} : { selector: { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } } }),
      ...spec,
      template: own ? spec.template : templateWith(spec.template, labels),
    },
    status: {},
  };
}

/** Fills in defaults of a new object. Takes the object with its metadata complete. */
export function withDefaults(resource: Resource, object: KubeObject): KubeObject {
  if (!isRecord(object.spec) && !['Namespace', 'Node', 'PodDisruptionBudget'].includes(resource.kind)) return object;
  switch (resource.storage) {
    case 'pods':
      return Array.isArray((object as Pod).spec.containers) ? podDefaults(object as Pod) : object;
    case 'jobs.batch':
      return isRecord((object as Job).spec.template?.spec) ? jobDefaults(object as Job) : object;
    case 'namespaces':
      return {
        ...object,
        metadata: {
          ...object.metadata,
          labels: { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name },
        },
        spec: { finalizers: ['kubernetes'] },
        status: { phase: 'Active' },
      };
    case 'nodes':
      return { ...object, spec: object.spec ?? {}, status: object.status ?? {} };
    case 'deployments.apps':
    case 'replicasets.apps':
    case 'statefulsets.apps':
      return { ...object, spec: { replicas: 1, ...object.spec }, status: {} };
    case 'daemonsets.apps':
      return { ...object, status: {} };
    case 'poddisruptionbudgets.policy':
      return { ...object, status: { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 } };
    default:
      return object;
  }
}

/** Kinds whose `metadata.generation` counts changes of the spec. */
const WITH_GENERATION = new Set([
  'Job',
  'CronJob',
  'Deployment',
  'ReplicaSet',
  'DaemonSet',
  'StatefulSet',
  'PodDisruptionBudget',
  'Pod',
]);

/** Whether objects of this kind count the changes of their spec. */
export function hasGeneration(resource: Resource): boolean {
  return WITH_GENERATION.has(resource.kind);
}
