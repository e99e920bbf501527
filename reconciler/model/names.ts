// Every label, annotation, taint, namespace and field manager that Oakum owns.
import { iso } from './instant.ts';

/** The domain of everything that Oakum writes on objects of the cluster. */
export const domain = 'oakum.dev';

/** API version of every file in the config repository and on the status branch. */
export const apiVersion = `${domain}/v1alpha1`;

/** Label on a Node: hash of the last run that patched it. Removing it while the run is under way resets the node. */
export const runLabel = `${domain}/run`;
/** Label on a Node: `disabled` keeps it out of every run. */
export const patchLabel = `${domain}/patch`;
/** Label on a Node: the phase it is in, while it is in a run. */
export const phaseLabel = `${domain}/phase`;
/** Label on a Job: UID of the node it works on. */
export const nodeUidLabel = `${domain}/node-uid`;
/** Label on a Job: download, patch, reboot, verify or scan. */
export const stepLabel = `${domain}/step`;
/** Standard label on everything that Oakum creates. */
export const managedByLabel = 'app.kubernetes.io/managed-by';
export const managedBy = 'oakum';

/** Label on a Job of a hook: name of the CronJob that it was made from. */
export const hookLabel = `${domain}/hook`;

/** Annotation on a Job: the full run id (a label value ends at 63 characters). */
export const runIdAnnotation = `${domain}/run-id`;
/** Annotation on a Job: the node's name. */
export const nodeNameAnnotation = `${domain}/node`;
/** Annotation on the pod of a Job: the exact versions that it may install, `<package> <version>` a line; the pod finds them in a file. */
export const lockAnnotation = `${domain}/lock`;
/** Annotation on a Node: RFC 3339 time of the last successful patch. */
export const lastPatchedAnnotation = `${domain}/last-patched`;
/** Annotation on a Node: OS and kernel after the last successful patch. */
export const patchedVersionAnnotation = `${domain}/patched-version`;
/** Annotation on a Node: reason and message of the last failure, empty after a success. */
export const lastErrorAnnotation = `${domain}/last-error`;
/** Annotation on a Node: JSON, what Oakum is doing with the node (run, phase, since, boot id before, who cordoned, attempt). */
export const progressAnnotation = `${domain}/progress`;
/** Annotation on a Node: JSON, count of pending updates, oldest since, time of the scan. */
export const pendingUpdatesAnnotation = `${domain}/pending-updates`;
/** Annotation on a Node: present while the cordon is ours; a cordon without it is never lifted. JSON: run, since. */
export const cordonAnnotation = `${domain}/cordoned-by`;
/** The value of {@link cordonAnnotation}: the id of the run, and since when in milliseconds since the epoch. */
export function cordonMark(run: string, since: number): string {
  return JSON.stringify({ run, since: iso(since) });
}
/** Annotation on the Lease: JSON, the Oakum that waits for it (identity, node, time), written anew while it waits. */
export const standbyAnnotation = `${domain}/standby`;
/** Annotation on the namespace of the Jobs: the stop without Git. Any value stops; the value is shown as the reason. */
export const freezeAnnotation = `${domain}/freeze`;

/** Taint on a Node that has not been patched since it was created (set by the node's registration, taken away by Oakum). */
export const unpatchedTaint = `${domain}/unpatched`;

/** Namespace of the patch Jobs. */
export const jobNamespace = 'os-patch';
/** Namespace of the CronJobs that policies may name as hooks, and of the Jobs that are made from them. */
export const hookNamespace = 'oakum-hooks';
/** Default namespace of Oakum itself, of its ledger and of its Lease's fallback. */
export const ownNamespace = 'oakum-system';
/** Name of the Lease in the namespace of the Jobs. */
export const leaseName = 'oakum';
/** Field manager of everything that Oakum applies. */
export const fieldManager = 'oakum';

/** Standard labels of Kubernetes that Oakum reads. */
export const hostnameLabel = 'kubernetes.io/hostname';
export const zoneLabel = 'topology.kubernetes.io/zone';
export const osLabel = 'kubernetes.io/os';
/** Role of nodes that run etcd, set by k3s and RKE2. */
export const etcdLabel = 'node-role.kubernetes.io/etcd';
/** A node with one of these is of the control plane: so is one that runs nothing but etcd. */
export const controlPlaneLabels = [
  'node-role.kubernetes.io/control-plane',
  'node-role.kubernetes.io/master',
  etcdLabel,
] as const;
/** Where kubeadm and RKE2 run etcd, and the label of its pods. */
export const etcdPods = { namespace: 'kube-system', labelSelector: 'component=etcd' } as const;
/** Annotation by which kured says that it reboots a node (with its flag --annotate-nodes). */
export const kuredRebootAnnotation = 'weave.works/kured-reboot-in-progress';
/** Label on the pods of system-upgrade-controller that work on a node: the plan (constants of its package upgrade.cattle.io). */
export const upgradePlanLabel = 'upgrade.cattle.io/plan';
/** Annotation that marks a static (mirror) pod, which the API server cannot evict. */
export const mirrorPodAnnotation = 'kubernetes.io/config.mirror';
/** Annotation of cluster-autoscaler on a pod: names of its local volumes, separated by commas, that hold nothing worth keeping (its FAQ). */
export const disposableVolumesAnnotation = 'cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes';
