// Others at work: the marks by which other tools say that they are busy with a node.
import { kuredRebootAnnotation } from '../model/names.ts';
import type { NodeView } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';

interface ForeignMark {
  readonly tool: string;
  readonly on: 'taint' | 'annotation';
  /** The full key; one that ends in `/` stands for all keys with this prefix. */
  readonly key: string;
  readonly doing: string;
}

/**
 * Every mark means work that has begun. Marks of an intention are left out, since they may stay for ever: the candidate taint of the
 * cluster-autoscaler, the outdated-revision taint of Cluster API. A plain cordon says nothing about its owner and is none of these.
 */
const marks: readonly ForeignMark[] = [
  // kured with --annotate-nodes, from its decision to reboot until the node is uncordoned.
  { tool: 'kured', on: 'annotation', key: kuredRebootAnnotation, doing: 'reboots the node' },
  // Karpenter 1.x; before that the taint was called karpenter.sh/disruption.
  { tool: 'Karpenter', on: 'taint', key: 'karpenter.sh/disrupted', doing: 'replaces or removes the node' },
  { tool: 'Karpenter', on: 'taint', key: 'karpenter.sh/disruption', doing: 'replaces or removes the node' },
  { tool: 'Karpenter', on: 'taint', key: 'karpenter.sh/rebooting', doing: 'reboots the node' },
  // cluster-autoscaler, before it drains a node that it will delete.
  { tool: 'cluster-autoscaler', on: 'taint', key: 'ToBeDeletedByClusterAutoscaler', doing: 'removes the node' },
  // Cluster API, until it has linked a new node to its Machine.
  { tool: 'Cluster API', on: 'taint', key: 'node.cluster.x-k8s.io/uninitialized', doing: 'sets the node up' },
  // Medik8s: node-maintenance-operator, self-node-remediation; the first one's name while it was KubeVirt's.
  { tool: 'node-maintenance', on: 'taint', key: 'medik8s.io/drain', doing: 'has the node in maintenance' },
  { tool: 'node-maintenance', on: 'taint', key: 'kubevirt.io/drain', doing: 'has the node in maintenance' },
  { tool: 'self-node-remediation', on: 'taint', key: 'medik8s.io/remediation', doing: 'recovers the node' },
  // aws-node-termination-handler with taintNode.
  {
    tool: 'aws-node-termination-handler',
    on: 'taint',
    key: 'aws-node-termination-handler/',
    doing: 'expects the node to be interrupted',
  },
  // A person or a fencing agent has said that the node is down for good (Kubernetes documentation, "Non-graceful node shutdown").
  { tool: 'somebody', on: 'taint', key: 'node.kubernetes.io/out-of-service', doing: 'has put the node out of service' },
];

/** Another tool is at work on the node: which one, and by which mark that is known. */
export function foreignMaintenance(node: NodeView): Hold | undefined {
  if (node.upgrading !== undefined)
    return {
      reason: 'ForeignMaintenance',
      message: `system-upgrade-controller upgrades the node (a pod of plan ${node.upgrading} is at work)`,
      until: undefined,
    };
  for (const { tool, on, key, doing } of marks) {
    const keys = on === 'taint' ? node.taints.map((taint) => taint.key) : Object.keys(node.annotations);
    const found = keys.find((one) => (key.endsWith('/') ? one.startsWith(key) : one === key));
    if (found === undefined) continue;
    return { reason: 'ForeignMaintenance', message: `${tool} ${doing} (${on} ${found})`, until: undefined };
  }
  return undefined;
}
