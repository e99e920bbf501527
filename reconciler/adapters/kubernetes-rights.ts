// The rights that the adapters use on a cluster, and no others: what the chart grants is compared with this list.
import { hookNamespace, jobNamespace, leaseName, ownNamespace } from '../model/names.ts';
import type { RequestInfo } from './kubernetes-transport.ts';

/** One rule of RBAC. */
export interface Right {
  readonly apiGroup: string;
  /** With the subresource, e.g. `pods/eviction`; a path of the API server that is no resource begins with a slash. */
  readonly resource: string;
  readonly verbs: readonly string[];
  /** Undefined: the whole cluster. */
  readonly namespace?: string;
  /** Only objects of these names; a list or watch then selects by `metadata.name`. */
  readonly names?: readonly string[];
  /** What for. */
  readonly why: string;
}

/** `create nodes` is not among them: a server-side apply or a slip of ours could otherwise bring a Node into being. */
export const rights: readonly Right[] = [
  {
    apiGroup: '',
    resource: 'nodes',
    verbs: ['get', 'list', 'watch', 'patch'],
    why: 'see nodes; cordon, uncordon, mark them; remove the taint of unpatched nodes',
  },
  {
    apiGroup: '',
    resource: 'pods',
    verbs: ['list', 'delete'],
    why: 'see what runs on a node that is drained, and the pods of etcd; delete past a budget where the policy says force',
  },
  { apiGroup: '', resource: 'pods/eviction', verbs: ['create'], why: 'drain' },
  { apiGroup: 'policy', resource: 'poddisruptionbudgets', verbs: ['list'], why: 'say why a drain waits' },
  {
    apiGroup: 'storage.k8s.io',
    resource: 'volumeattachments',
    verbs: ['list'],
    why: 'wait for volumes to be detached from a drained node',
  },
  { apiGroup: '', resource: 'persistentvolumes', verbs: ['get'], why: 'say whose volume is still attached' },
  {
    apiGroup: 'kubevirt.io',
    resource: 'virtualmachineinstances',
    verbs: ['list'],
    why: 'see which virtual machines leave a node',
  },
  {
    apiGroup: 'kubevirt.io',
    resource: 'virtualmachineinstancemigrations',
    verbs: ['list'],
    why: 'say how far their migration is',
  },
  {
    apiGroup: 'subresources.kubevirt.io',
    resource: 'virtualmachineinstances/evacuate',
    verbs: ['update'],
    why: 'take back an evacuation of ours',
  },
  // The API server asks for the first part of the subresource, KubeVirt itself for both.
  {
    apiGroup: 'subresources.kubevirt.io',
    resource: 'virtualmachineinstances/evacuate/cancel',
    verbs: ['update'],
    why: 'take back an evacuation of ours',
  },
  {
    apiGroup: 'discovery.k8s.io',
    resource: 'endpointslices',
    verbs: ['list'],
    namespace: 'default',
    why: 'find the API servers, to ask each of them for etcd',
  },
  { apiGroup: '', resource: '/readyz/etcd', verbs: ['get'], why: 'whether an API server reaches etcd' },
  { apiGroup: '', resource: 'namespaces', verbs: ['get'], names: ['kube-system'], why: 'the identity of the cluster' },
  {
    apiGroup: '',
    resource: 'namespaces',
    verbs: ['list', 'watch'],
    names: [jobNamespace],
    why: 'the stop without Git: an annotation',
  },
  { apiGroup: '', resource: 'events', verbs: ['create'], namespace: 'default', why: 'Events on nodes' },
  {
    apiGroup: 'batch',
    resource: 'jobs',
    verbs: ['get', 'list', 'watch', 'create', 'delete'],
    namespace: jobNamespace,
    why: 'patch Jobs',
  },
  { apiGroup: '', resource: 'pods', verbs: ['list', 'watch'], namespace: jobNamespace, why: 'results of patch Jobs' },
  {
    apiGroup: '',
    resource: 'pods/log',
    verbs: ['get'],
    namespace: jobNamespace,
    why: 'lists of packages that are too long for the result of a Job',
  },
  { apiGroup: 'batch', resource: 'cronjobs', verbs: ['get'], namespace: hookNamespace, why: 'hooks of policies' },
  {
    apiGroup: 'batch',
    resource: 'jobs',
    verbs: ['get', 'list', 'create'],
    namespace: hookNamespace,
    why: 'call hooks and see how they ended',
  },
  { apiGroup: '', resource: 'events', verbs: ['list'], namespace: jobNamespace, why: 'say why a Job has no pod' },
  { apiGroup: '', resource: 'configmaps', verbs: ['get', 'create'], namespace: jobNamespace, why: 'the patch script' },
  {
    apiGroup: 'coordination.k8s.io',
    resource: 'leases',
    verbs: ['create'],
    namespace: jobNamespace,
    why: 'one Oakum acts',
  },
  {
    apiGroup: 'coordination.k8s.io',
    resource: 'leases',
    verbs: ['get', 'update'],
    namespace: jobNamespace,
    names: [leaseName],
    why: 'one Oakum acts',
  },
  {
    apiGroup: '',
    resource: 'configmaps',
    verbs: ['list', 'create', 'patch', 'delete'],
    namespace: ownNamespace,
    why: 'the ledger',
  },
];

/** The right by which a request is allowed; undefined when there is none. A list or watch of one name is selected by field. */
export function rightFor(request: RequestInfo, selectedName: string | undefined): Right | undefined {
  const name = request.name ?? selectedName;
  return rights.find(
    (right) =>
      right.apiGroup === request.apiGroup &&
      right.resource === request.resource &&
      right.verbs.includes(request.verb) &&
      (right.namespace === undefined || right.namespace === request.namespace) &&
      (right.names === undefined || (name !== undefined && right.names.includes(name))),
  );
}
