// The shapes of the Kubernetes objects that the simulation itself reads or writes, and how stored objects are kept unchanged.

/** A reference from an object to the one that it belongs to. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** Who set which fields, in the form of the API (FieldsV1). */
export interface ManagedFields {
  manager: string;
  operation: string;
  apiVersion: string;
  time?: string;
  fieldsType: 'FieldsV1';
  fieldsV1: object;
  subresource?: string;
}

/** Metadata of a stored object. Times are RFC 3339 in whole seconds. */
export interface ObjectMeta {
  name: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
  namespace?: string;
  generateName?: string;
  generation?: number;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  managedFields?: ManagedFields[];
}

/** Any object of the API. Stored objects are frozen: a write always makes a new one. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  spec?: object;
  status?: object;
  [field: string]: unknown;
}

/** A condition of a node, pod, Job or budget. */
export interface Condition {
  type: string;
  status: string;
  reason?: string;
  message?: string;
  lastTransitionTime?: string;
  lastHeartbeatTime?: string;
  lastProbeTime?: string;
  observedGeneration?: number;
}

/** A taint of a node. */
export interface Taint {
  key: string;
  effect: string;
  value?: string;
  timeAdded?: string;
}

/** A toleration of a pod. */
export interface Toleration {
  key?: string;
  operator?: string;
  value?: string;
  effect?: string;
  tolerationSeconds?: number;
}

/** One requirement of a selector over labels or fields. */
export interface Requirement {
  key: string;
  operator: string;
  values?: string[];
}

/** A label selector as objects carry it. */
export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: Requirement[];
}

/** One alternative of a node affinity. */
export interface NodeSelectorTerm {
  matchExpressions?: Requirement[];
  matchFields?: Requirement[];
}

/** A node. */
export interface NodeObject extends KubeObject {
  spec: { unschedulable?: boolean; taints?: Taint[]; podCIDR?: string; providerID?: string };
  status: {
    conditions?: Condition[];
    nodeInfo?: Record<string, string>;
    addresses?: { type: string; address: string }[];
    capacity?: Record<string, string>;
    allocatable?: Record<string, string>;
  };
}

/** A container as written. */
export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  securityContext?: { privileged?: boolean };
  volumeMounts?: { name: string; mountPath: string }[];
  [field: string]: unknown;
}

/** The wish for a pod. */
export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  nodeName?: string;
  nodeSelector?: Record<string, string>;
  affinity?: {
    nodeAffinity?: { requiredDuringSchedulingIgnoredDuringExecution?: { nodeSelectorTerms: NodeSelectorTerm[] } };
  };
  tolerations?: Toleration[];
  restartPolicy?: string;
  terminationGracePeriodSeconds?: number;
  serviceAccountName?: string;
  schedulerName?: string;
  hostPID?: boolean;
  hostNetwork?: boolean;
  hostIPC?: boolean;
  volumes?: { name: string; hostPath?: object; emptyDir?: object; [field: string]: unknown }[];
  [field: string]: unknown;
}

/** What a container is doing. */
export interface ContainerStatus {
  name: string;
  ready: boolean;
  restartCount: number;
  image: string;
  imageID: string;
  started?: boolean;
  containerID?: string;
  state: {
    waiting?: { reason: string; message?: string };
    running?: { startedAt: string };
    terminated?: { exitCode: number; reason: string; message?: string; startedAt: string; finishedAt: string };
  };
}

/** A pod. */
export interface Pod extends KubeObject {
  spec: PodSpec;
  status: {
    phase: string;
    conditions?: Condition[];
    containerStatuses?: ContainerStatus[];
    startTime?: string;
    reason?: string;
    message?: string;
    qosClass?: string;
    podIP?: string;
    hostIP?: string;
  };
}

/** What pods are made from. */
export interface PodTemplate {
  metadata?: { labels?: Record<string, string>; annotations?: Record<string, string>; finalizers?: string[] };
  spec: PodSpec;
}

/** A Job. */
export interface Job extends KubeObject {
  spec: {
    template: PodTemplate;
    parallelism?: number;
    completions?: number;
    backoffLimit?: number;
    activeDeadlineSeconds?: number;
    ttlSecondsAfterFinished?: number;
    suspend?: boolean;
    selector?: LabelSelector;
    manualSelector?: boolean;
    podReplacementPolicy?: string;
    completionMode?: string;
  };
  status: {
    active?: number;
    ready?: number;
    terminating?: number;
    succeeded?: number;
    failed?: number;
    startTime?: string;
    completionTime?: string;
    conditions?: Condition[];
    uncountedTerminatedPods?: object;
  };
}

/** A Deployment, ReplicaSet, StatefulSet or DaemonSet. */
export interface Workload extends KubeObject {
  spec: { replicas?: number; selector: LabelSelector; template: PodTemplate };
  status: Record<string, number | Condition[] | string>;
}

/** A PodDisruptionBudget. */
export interface Budget extends KubeObject {
  spec: {
    selector?: LabelSelector;
    minAvailable?: number | string;
    maxUnavailable?: number | string;
    unhealthyPodEvictionPolicy?: string;
  };
  status: {
    observedGeneration?: number;
    disruptionsAllowed: number;
    currentHealthy: number;
    desiredHealthy: number;
    expectedPods: number;
    disruptedPods?: Record<string, string>;
    conditions?: Condition[];
  };
}

/** Whether the value is a JSON object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Freezes the value and all below it. What is frozen already is taken to be so all the way down. */
export function freeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const inner of Object.values(value)) freeze(inner);
  return Object.freeze(value);
}

/** Whether two JSON values say the same. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (!isRecord(a) || !isRecord(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && same(a[key], b[key]));
}

/** The record without the named fields. */
export function without<T extends object>(record: T, ...fields: string[]): T {
  const copy = { ...record };
  for (const field of fields) Reflect.deleteProperty(copy, field);
  return copy;
}

/** The condition of that type, if there is one. */
export function conditionOf(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** The conditions with this one set; the transition time moves only when the status changes. */
export function withCondition(conditions: readonly Condition[] | undefined, next: Condition, now: string): Condition[] {
  const old = conditionOf(conditions, next.type);
  const moved = old?.status === next.status ? (old.lastTransitionTime ?? now) : now;
  const full = { ...next, lastTransitionTime: moved };
  if (old === undefined) return [...(conditions ?? []), full];
  return (conditions ?? []).map((condition) => (condition.type === next.type ? full : condition));
}

/** Whether the pod says that it is ready. */
export function podReady(pod: Pod): boolean {
  return conditionOf(pod.status.conditions, 'Ready')?.status === 'True';
}

/** Whether the pod has ended for good. */
export function podEnded(pod: Pod): boolean {
  return pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed';
}

/** The owner that controls the object, if any. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true);
}
