// Objects to fill a cluster with in one line each: workloads with their budgets, and bare pods.
import { READY_MS, TERMINATION_MS } from './containers.ts';
import type { KubeObject } from './object.ts';

/** Creates an object through the API. */
export type Create = (path: string, object: object) => KubeObject;

/** What all pods may be given. */
export interface PodOptions {
  namespace?: string;
  name: string;
  labels?: Record<string, string>;
  /** Time to go when asked (default 100 ms). */
  terminationMs?: number;
  /** Time from start to ready (default 100 ms). */
  readyMs?: number;
  /** Adds an emptyDir volume. */
  emptyDir?: boolean;
  nodeName?: string;
  finalizers?: string[];
  /** Seconds of grace that the pod asks for (default 30). */
  graceSeconds?: number;
}

/** A Deployment, with a budget of the same name if wished. */
export interface DeploymentOptions extends PodOptions {
  replicas: number;
  pdb?: { minAvailable?: number | string; maxUnavailable?: number | string; unhealthyPodEvictionPolicy?: string };
}

function parts(options: PodOptions): {
  namespace: string;
  labels: Record<string, string>;
  metadata: object;
  spec: object;
} {
  const namespace = options.namespace ?? 'default';
  const labels = options.labels ?? { app: options.name };
  const annotations = {
    ...(options.readyMs === undefined ? {} : { [READY_MS]: String(options.readyMs) }),
    ...(options.terminationMs === undefined ? {} : { [TERMINATION_MS]: String(options.terminationMs) }),
  };
  const spec = {
    containers: [{ name: 'main', image: 'registry.example/app:1' }],
    ...(options.emptyDir === true ? { volumes: [{ name: 'scratch', emptyDir: {} }] } : {}),
    ...(options.nodeName === undefined ? {} : { nodeName: options.nodeName }),
    ...(options.graceSeconds === undefined ? {} : { terminationGracePeriodSeconds: options.graceSeconds }),
  };
  const finalizers = options.finalizers === undefined ? {} : { finalizers: options.finalizers };
  return { namespace, labels, metadata: { labels, annotations, ...finalizers }, spec };
}

/** Creates a Deployment and, if wished, its budget. */
export function addDeployment(create: Create, options: DeploymentOptions): KubeObject {
  const { namespace, labels, metadata, spec } = parts(options);
  const { name, replicas, pdb } = options;
  const selector = { matchLabels: labels };
  const made = create(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
    metadata: { name, labels },
    spec: { replicas, selector, template: { metadata, spec } },
  });
  if (pdb !== undefined)
    create(`/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`, {
      metadata: { name },
      spec: { selector, ...pdb },
    });
  return made;
}

/** Creates a DaemonSet: one pod on each node. */
export function addDaemonSet(create: Create, options: PodOptions): KubeObject {
  const { namespace, labels, metadata, spec } = parts(options);
  return create(`/apis/apps/v1/namespaces/${namespace}/daemonsets`, {
    metadata: { name: options.name, labels },
    spec: { selector: { matchLabels: labels }, template: { metadata, spec } },
  });
}

/** Creates a pod that no controller looks after. */
export function addPod(create: Create, options: PodOptions): KubeObject {
  const { namespace, metadata, spec } = parts(options);
  return create(`/api/v1/namespaces/${namespace}/pods`, { metadata: { ...metadata, name: options.name }, spec });
}
