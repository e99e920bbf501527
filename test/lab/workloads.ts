// Ordinary work for the nodes of a story: namespaces, Deployments with a budget, bare pods.
import { ApiRefusal, type Api } from './api.ts';
import { until } from './wait.ts';

/** Creates a namespace; one that exists is as good. `podSecurity` is the level that its label enforces. */
export async function ensureNamespace(
  api: Api,
  name: string,
  podSecurity?: 'privileged' | 'baseline' | 'restricted',
): Promise<void> {
  const labels = podSecurity === undefined ? {} : { 'pod-security.kubernetes.io/enforce': podSecurity };
  const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } };
  await api.create('/api/v1/namespaces', body).catch((error: unknown) => {
    if (!(error instanceof ApiRefusal) || error.answer.status !== 409) throw error;
  });
}

/** A Deployment and, when asked for, the budgets over its pods. */
export interface DeploymentSpec {
  readonly namespace: string;
  readonly name: string;
  readonly replicas: number;
  readonly budget?: { readonly minAvailable?: number | string; readonly maxUnavailable?: number | string };
  /** An image that the nodes have already; light nodes need none. */
  readonly image?: string;
  /** Pods on different nodes only. */
  readonly spread?: boolean;
}

/** Creates it and waits until all its pods are available. */
export async function startDeployment(api: Api, spec: DeploymentSpec): Promise<void> {
  const { namespace, name } = spec;
  const labels = { app: name };
  const apart = {
    podAntiAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: [
        { labelSelector: { matchLabels: labels }, topologyKey: 'kubernetes.io/hostname' },
      ],
    },
  };
  await ensureNamespace(api, namespace);
  if (spec.budget !== undefined) await createBudget(api, namespace, name, labels, spec.budget);
  await api.create(`/apis/apps/v1/namespaces/${namespace}/deployments`, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      replicas: spec.replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 5,
          ...(spec.spread === true ? { affinity: apart } : {}),
          containers: [
            { name: 'main', image: spec.image ?? 'example.invalid/work:1', imagePullPolicy: 'IfNotPresent' },
          ],
        },
      },
    },
  });
  await until(`${spec.replicas} pods of ${namespace}/${name} are available`, async () => {
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
    const found = await api.get<{ status?: { availableReplicas?: number } }>(path);
    return (found.status?.availableReplicas ?? 0) >= spec.replicas;
  });
}

/** Creates a PodDisruptionBudget. */
export async function createBudget(
  api: Api,
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>>,
  budget: { readonly minAvailable?: number | string; readonly maxUnavailable?: number | string },
): Promise<void> {
  await api.create(`/apis/policy/v1/namespaces/${namespace}/poddisruptionbudgets`, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name },
    spec: { ...budget, selector: { matchLabels: labels } },
  });
}
