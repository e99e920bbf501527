// Observed: what is in one cluster at one moment, as small views.
import type { ApprovalReadings } from './approval.ts';
import type { GateReadings } from './gate.ts';

/** What must be read for this pass beside what is watched anyway. */
export interface ObserveInterest {
  /** Names of nodes whose pods are needed (draining, or about to). */
  readonly podsOn: readonly string[];
  /** Read PodDisruptionBudgets. */
  readonly budgets: boolean;
  /** Look for pods of system-upgrade-controller. */
  readonly upgrades?: boolean;
  /** Read the pods of etcd, and ask the API servers where there are none. */
  readonly etcd?: boolean;
  /** Names of nodes whose attached volumes are needed. */
  readonly volumesOn?: readonly string[];
  /** Names of nodes whose virtual machines are needed. */
  readonly machinesOn?: readonly string[];
  /** Names of hooks: their CronJobs and the Jobs that were made from them. */
  readonly hooks?: readonly string[];
}

/** Raw answers of the API server, projected to the fields that are needed. */
export interface RawCluster {
  readonly nodes: readonly NodeView[];
  /** Jobs of Oakum in its namespace. */
  readonly jobs: readonly JobView[];
  /** Pods by node name; only nodes that were asked for. */
  readonly pods: ReadonlyMap<string, readonly PodView[]>;
  readonly budgets: readonly BudgetView[];
  /** Static pods of etcd in kube-system; undefined when they were not read. */
  readonly etcd?: readonly EtcdMember[];
  /** What the API servers say of etcd; undefined when they were not asked. */
  readonly apiServers?: readonly ApiServerView[];
  /** Attached volumes of the nodes that were asked for; undefined when none was. */
  readonly volumes?: readonly AttachmentView[];
  /** Virtual machines of the nodes that were asked for; undefined when none was, or KubeVirt cannot be read. */
  readonly machines?: readonly VirtualMachineView[];
  /** Hooks that were asked for; undefined when none was. */
  readonly hooks?: HookFacts;
  /** Value of the freeze annotation on the namespace of the Jobs. */
  readonly freeze: string | undefined;
  /** The cluster's own time minus ours in milliseconds, when the API server told it. */
  readonly clockSkewMs: number | undefined;
}

/** Everything that a pass sees of one cluster. */
export interface Observed extends RawCluster {
  /** UID of the namespace kube-system. */
  readonly clusterUid: string;
  /** What the API answered to evictions of this process, by pod UID: why a drain waits. Lost on a restart, learnt again. */
  readonly evictions: ReadonlyMap<string, EvictionAnswer>;
  /** What the API server refused this process to do for a node, by node name, as a sentence. */
  readonly refusals: ReadonlyMap<string, string>;
  /** What the gates of the policy answered; read only while a run wants to start a node. A gate that is not here is closed. */
  readonly gates?: GateReadings;
  /** What the forge says about the changes that need an approval; undefined: there is no forge to ask. */
  readonly approvals?: ApprovalReadings;
  /** Another Oakum that waits for our Lease and was heard of just now; absent: nobody does, or we do not hold it. */
  readonly standby?: StandbyView;
}

/** An Oakum that waits for the Lease. */
export interface StandbyView {
  readonly identity: string;
  /** Node that hosts it; undefined when it did not say, as one outside the cluster. */
  readonly node: string | undefined;
}

export interface EvictionAnswer {
  readonly kind: 'accepted' | 'budget' | 'two-budgets' | 'migration';
  readonly message: string;
  /** When it was asked for, milliseconds since the epoch. */
  readonly at: number;
}

export interface NodeView {
  readonly name: string;
  readonly uid: string;
  /** Version of the object as it was read; for display and tests, never compared by size. */
  readonly resourceVersion: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Only those of our domain, and marks of other tools at work. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly unschedulable: boolean;
  readonly taints: readonly { readonly key: string; readonly value: string; readonly effect: string }[];
  /** Condition Ready is True. */
  readonly ready: boolean;
  /** Reason of the condition Ready, for messages. */
  readonly readyReason: string;
  /** Last time the kubelet reported, as written by the kubelet (its clock); empty when never. Compare for equality only. */
  readonly heartbeat: string;
  readonly bootId: string;
  readonly kernel: string;
  readonly osImage: string;
  readonly kubeletVersion: string;
  readonly os: string;
  readonly controlPlane: boolean;
  /** The plan of system-upgrade-controller that is at work on the node; left out when there is none, or nobody looked. */
  readonly upgrading?: string;
}

export interface JobView {
  readonly name: string;
  readonly uid: string;
  readonly runId: string;
  readonly nodeName: string;
  readonly nodeUid: string;
  readonly step: string;
  readonly createdAt: number;
  readonly state: 'waiting' | 'running' | 'succeeded' | 'failed';
  /** When the Job got its terminal condition. */
  readonly finishedAt: number | undefined;
  /** Termination message of the pod's container: the script's result. */
  readonly result: string | undefined;
  readonly exitCode: number | undefined;
  /** True once a pod exists. */
  readonly hasPod: boolean;
  /** Why there is no pod or the pod does not start, as the cluster says it; empty when nothing is known. */
  readonly trouble: string;
}

export interface PodView {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly phase: string;
  readonly ready: boolean;
  /** Kind and name of the controlling owner; undefined: nobody would create it again. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined;
  readonly mirror: boolean;
  /** Has an emptyDir volume that is not on tmpfs and that the pod does not call disposable. */
  readonly localData: boolean;
  /** When its deletion was asked for. */
  readonly terminatingSince: number | undefined;
  /** A KubeVirt virtual machine's pod. */
  readonly virtualMachine: string | undefined;
  /** Names of the PersistentVolumeClaims that it uses, in its namespace. */
  readonly claims?: readonly string[];
}

/** A volume that is attached to a node (VolumeAttachment). */
export interface AttachmentView {
  readonly name: string;
  readonly node: string;
  /** Name of the PersistentVolume; empty for one that is written inline. */
  readonly volume: string;
  /** The claim that the volume is bound to, `NAMESPACE/NAME`; undefined when that is not known. */
  readonly claim: string | undefined;
  /** What attaching or detaching it failed with; empty when nothing did. */
  readonly trouble: string;
}

/** A virtual machine that runs (VirtualMachineInstance of KubeVirt). */
export interface VirtualMachineView {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  /** The node that it is being evacuated from; undefined when nobody asked for that. */
  readonly evacuating: string | undefined;
  /** The migration that is under way. */
  readonly migration: { readonly name: string; readonly phase: string } | undefined;
  /** Why it does not move; empty when nothing is known. */
  readonly trouble: string;
}

/** One API server: whether it reaches etcd. */
export interface ApiServerView {
  /** Host and port. */
  readonly address: string;
  /** Why etcd is not known to be well there; empty when it is. */
  readonly trouble: string;
}

/** A pod of etcd: where it runs, and whether it is Ready. */
export interface EtcdMember {
  readonly node: string;
  readonly ready: boolean;
}

/** What is known of the hooks of policies. */
export interface HookFacts {
  /** By name of the CronJob; one that was asked for and is not here does not exist. */
  readonly cronJobs: ReadonlyMap<string, HookView>;
  /** Jobs of Oakum in the namespace of hooks. */
  readonly jobs: readonly JobView[];
  /** Why the namespace of hooks cannot be read; undefined when it was. */
  readonly unreadable: string | undefined;
}

/** A CronJob that a policy may name as a hook. */
export interface HookView {
  readonly name: string;
  readonly uid: string;
  /** Only a suspended one is a hook: any other runs by its own schedule. */
  readonly suspended: boolean;
  /** `activeDeadlineSeconds` of its Jobs in milliseconds; undefined when it sets none. */
  readonly deadlineMs: number | undefined;
}

export interface BudgetView {
  readonly namespace: string;
  readonly name: string;
  /** Label selector of the budget as the API has it. */
  readonly matchLabels: Readonly<Record<string, string>>;
  readonly matchExpressions: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values: readonly string[];
  }[];
  readonly disruptionsAllowed: number;
  readonly currentHealthy: number;
  readonly desiredHealthy: number;
  readonly expectedPods: number;
}
