// The kinds that the simulated API serves, each with what the server must know about it.
import type { Budget, Job, KubeObject, NodeObject, Pod, Workload } from './object.ts';

/** One resource of the API. `storage` says where its objects lie: two resources may show the same objects. */
export interface Resource<T extends KubeObject = KubeObject> {
  group: string;
  version: string;
  plural: string;
  kind: string;
  storage: string;
  namespaced: boolean;
  /** Has a status subresource: a write to the object itself leaves the status as it was. */
  status: boolean;
  shortNames: string[];
  subresources: string[];
  /** Only carries the type of the objects. */
  readonly shape?: T;
}

/** Describes a resource; what is left out is the usual. */
export function resource<T extends KubeObject = KubeObject>(
  group: string,
  version: string,
  plural: string,
  kind: string,
  more: Partial<Omit<Resource<T>, 'shape'>> = {},
): Resource<T> {
  return {
    group,
    version,
    plural,
    kind,
    storage: group === '' ? plural : `${plural}.${group}`,
    namespaced: true,
    status: false,
    shortNames: [],
    subresources: [],
    ...more,
  };
}

export const NODES = resource<NodeObject>('', 'v1', 'nodes', 'Node', {
  namespaced: false,
  status: true,
  shortNames: ['no'],
});
export const NAMESPACES = resource('', 'v1', 'namespaces', 'Namespace', {
  namespaced: false,
  status: true,
  shortNames: ['ns'],
  subresources: ['finalize'],
});
export const PODS = resource<Pod>('', 'v1', 'pods', 'Pod', {
  status: true,
  shortNames: ['po'],
  subresources: ['eviction', 'binding', 'log'],
});
export const CONFIG_MAPS = resource('', 'v1', 'configmaps', 'ConfigMap', { shortNames: ['cm'] });
export const SECRETS = resource('', 'v1', 'secrets', 'Secret');
export const SERVICE_ACCOUNTS = resource('', 'v1', 'serviceaccounts', 'ServiceAccount', { shortNames: ['sa'] });
export const SERVICES = resource('', 'v1', 'services', 'Service', { status: true, shortNames: ['svc'] });
export const VOLUME_CLAIMS = resource('', 'v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', {
  status: true,
  shortNames: ['pvc'],
});
export const VOLUMES = resource('', 'v1', 'persistentvolumes', 'PersistentVolume', {
  namespaced: false,
  status: true,
  shortNames: ['pv'],
});
export const VOLUME_ATTACHMENTS = resource('storage.k8s.io', 'v1', 'volumeattachments', 'VolumeAttachment', {
  namespaced: false,
  status: true,
});
export const ENDPOINT_SLICES = resource('discovery.k8s.io', 'v1', 'endpointslices', 'EndpointSlice');
export const EVENTS = resource('', 'v1', 'events', 'Event', { shortNames: ['ev'] });
export const NEW_EVENTS = resource('events.k8s.io', 'v1', 'events', 'Event', { storage: 'events', shortNames: ['ev'] });
export const JOBS = resource<Job>('batch', 'v1', 'jobs', 'Job', { status: true });
export const CRON_JOBS = resource('batch', 'v1', 'cronjobs', 'CronJob', { status: true, shortNames: ['cj'] });
export const DEPLOYMENTS = resource<Workload>('apps', 'v1', 'deployments', 'Deployment', {
  status: true,
  shortNames: ['deploy'],
  subresources: ['scale'],
});
export const REPLICA_SETS = resource<Workload>('apps', 'v1', 'replicasets', 'ReplicaSet', {
  status: true,
  shortNames: ['rs'],
  subresources: ['scale'],
});
export const DAEMON_SETS = resource<Workload>('apps', 'v1', 'daemonsets', 'DaemonSet', {
  status: true,
  shortNames: ['ds'],
});
export const STATEFUL_SETS = resource<Workload>('apps', 'v1', 'statefulsets', 'StatefulSet', {
  status: true,
  shortNames: ['sts'],
  subresources: ['scale'],
});
export const BUDGETS = resource<Budget>('policy', 'v1', 'poddisruptionbudgets', 'PodDisruptionBudget', {
  status: true,
  shortNames: ['pdb'],
});
export const LEASES = resource('coordination.k8s.io', 'v1', 'leases', 'Lease');

const rbac = (plural: string, kind: string, namespaced: boolean): Resource =>
  resource('rbac.authorization.k8s.io', 'v1', plural, kind, { namespaced });
const admission = (plural: string, kind: string): Resource =>
  resource('admissionregistration.k8s.io', 'v1', plural, kind, { namespaced: false });

/** Everything that is served from the start. Policies and roles are stored and shown, never evaluated. */
export const RESOURCES: readonly Resource[] = [
  NODES,
  NAMESPACES,
  PODS,
  CONFIG_MAPS,
  SECRETS,
  SERVICE_ACCOUNTS,
  SERVICES,
  VOLUME_CLAIMS,
  VOLUMES,
  VOLUME_ATTACHMENTS,
  ENDPOINT_SLICES,
  EVENTS,
  NEW_EVENTS,
  JOBS,
  CRON_JOBS,
  DEPLOYMENTS,
  REPLICA_SETS,
  DAEMON_SETS,
  STATEFUL_SETS,
  BUDGETS,
  LEASES,
  rbac('roles', 'Role', true),
  rbac('rolebindings', 'RoleBinding', true),
  rbac('clusterroles', 'ClusterRole', false),
  rbac('clusterrolebindings', 'ClusterRoleBinding', false),
  admission('validatingadmissionpolicies', 'ValidatingAdmissionPolicy'),
  admission('validatingadmissionpolicybindings', 'ValidatingAdmissionPolicyBinding'),
];

/** "v1" or "batch/v1". */
export function apiVersionOf(resource: Resource): string {
  return resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
}
