// Reasons about the pods that must leave a node, and their volumes. A part of the closed list.

/** See {@link reasons} in reason.ts. */
export const drainReasons = {
  DisruptionBlocked: {
    about: 'A PodDisruptionBudget does not allow a pod of this node to be evicted now.',
    wayOut: 'The message names the pod and the budget: scale up, or make the budget looser.',
  },
  TwoBudgets: {
    about: 'A pod is covered by two PodDisruptionBudgets; the eviction API refuses that for ever.',
    wayOut: 'Correct the budgets so that each pod has one.',
  },
  UnmanagedPod: {
    about: 'A pod has no controller that would create it again.',
    wayOut: 'Delete the pod, or set `drain.force: true`.',
  },
  LocalData: {
    about: 'A pod keeps data in an emptyDir, which a drain would destroy.',
    wayOut:
      'Move the data, set `drain.deleteEmptyDirData: true`, or name the volume in the annotation `cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes` of the pod.',
  },
  WaitingForMigration: {
    about: 'A virtual machine of KubeVirt leaves the node by live migration.',
    wayOut:
      'Wait. The message names the machine and its migration; one that does not get on is seen in `kubectl get virtualmachineinstancemigrations -A`.',
  },
  PodsTerminating: {
    about: 'Evicted pods have not ended yet.',
    wayOut: 'Wait for their grace period; the message names them.',
  },
  VolumesAttached: {
    about: 'The pods have left the node, but volumes that they used are still attached to it.',
    wayOut:
      'Wait; after `drain.timeout` the drain counts as one that did not end. The message names claim and volume, and what the driver says.',
  },
  DrainTimeout: {
    about: 'The pods did not leave the node within `drain.timeout`.',
    wayOut:
      'The message names the pods and what holds them. The node was uncordoned; when the cause is gone, the next run does it, or commit a request.',
  },
} as const;
