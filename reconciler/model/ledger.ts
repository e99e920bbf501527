// The ledger: what Oakum must not forget, kept in the cluster and written before the effect.
import type { AcceptedState } from './accepted-rules.ts';
import type { ApprovalRecord, Ceiling } from './approval.ts';
import type { NodePhase } from './node-phase.ts';
import type { Policy } from './policy.ts';
import type { PatchResult } from './patch-result.ts';
import type { Reason } from './reason.ts';

/** Everything that is remembered of one cluster. Plain JSON values only. */
export interface LedgerDocument {
  /** Version of this layout. */
  readonly version: 1;
  /** UID of the namespace kube-system; another value means the ledger was copied from another cluster. */
  readonly clusterUid: string;
  /** Name of the cluster in the config repository that this ledger was begun for, or was given to by a pin of the UID; absent in older ones. */
  readonly cluster?: string;
  readonly startedAt: number;
  /** True until a first commit was read by a ledger that replaces a lost one: requests that are there already are not acted upon. */
  readonly renewed: boolean;
  /** The newest config commit that was accepted. */
  readonly accepted:
    | {
        readonly commit: string;
        readonly committedAt: number;
        /** A person with rights in the cluster named it (`oakum accept-rewrite`): its rules count when it is read. */
        readonly byCommand?: boolean;
      }
    | undefined;
  /** Rewrites of the branch that were accepted by `accept-rewrite.yaml`, newest last: each file acts once. */
  readonly rewrites?: readonly AcceptedRewrite[];
  /** The rules of the commit that was accepted, once there was one. */
  readonly rules?: AcceptedState;
  /** Newest slot of the schedule that was handled (run, merged or missed), and the schedule it belongs to. */
  readonly slot: { readonly schedule: string; readonly at: number } | undefined;
  /** Starts of rollouts that were handled, by the name of the rollout; absent while the cluster takes part in none. */
  readonly rollouts?: Readonly<Record<string, RolloutSlot>>;
  /** Requests by name: each acts once. */
  readonly requests: Readonly<Record<string, RequestRecord>>;
  /** Runs by id, newest last; ended ones are kept until they are archived and out of retention. */
  readonly runs: Readonly<Record<string, RunRecord>>;
  /** What is known of nodes across runs, by node name. */
  readonly history: Readonly<Record<string, NodeHistory>>;
  /** Which updates were seen in this cluster, and since when; absent while none was seen. */
  readonly sightings?: Sightings;
}

/** One rewrite of the branch that was accepted. */
export interface AcceptedRewrite {
  /** The commit accepted before. */
  readonly from: string;
  readonly to: string;
  /** The tip that was accepted then; it descends from `to`. */
  readonly commit: string;
  /** Object id of the file that said so. */
  readonly oid: string;
  readonly at: number;
  /** Who allowed it, where reviews were demanded. */
  readonly approval?: ApprovalRecord;
}

/** How far a cluster has followed one rollout. */
export interface RolloutSlot {
  /** Slots up to this instant were before its time. */
  readonly joined: number;
  /** Newest slot of the schedule that was handled, and the schedule it belongs to; empty without a schedule. */
  readonly at: number;
  readonly schedule: string;
  /** The `start` that was handled. */
  readonly start: number | undefined;
}

/** What scans and downloads of all nodes saw. An update is a package in one version on one kind of system. */
export interface Sightings {
  /** By `<os> <package> <version>`: when it was first seen on any node, and the day since the epoch on which it was seen last. */
  readonly first: Readonly<Record<string, readonly [first: number, lastDay: number]>>;
  /** Lists of pending updates (`<package> <version>`, sorted), each kept once, by hash. */
  readonly lists: Readonly<Record<string, readonly string[]>>;
}

export interface RequestRecord {
  readonly name: string;
  readonly oid: string;
  readonly firstSeen: number;
  readonly state: 'Waiting' | 'Registered' | 'Done' | 'Refused' | 'Expired';
  readonly reason: Reason;
  readonly message: string;
  readonly since: number;
  /** The run that it opened or belongs to. */
  readonly run: string | undefined;
}

export type RunState =
  | 'Proposed'
  | 'AwaitingApproval'
  | 'Scheduled'
  | 'Running'
  | 'Paused'
  | 'Succeeded'
  | 'Failed'
  | 'Aborted'
  | 'NotApproved'
  | 'Missed'
  | 'Expired'
  | 'NothingToDo'
  | 'Superseded';

/** True when nothing will happen any more. */
export function runEnded(state: RunState): boolean {
  return !['Proposed', 'AwaitingApproval', 'Scheduled', 'Running', 'Paused'].includes(state);
}

/** The run installs packages; a reboot on request, or a policy for nodes that another tool patches, only reboots. */
export function installs(run: RunRecord): boolean {
  return run.action === 'patch' && run.spec.policy.strategy !== 'RebootOnly';
}

export type Trigger =
  | { readonly kind: 'schedule'; readonly at: number }
  | { readonly kind: 'request'; readonly name: string }
  | { readonly kind: 'boot'; readonly node: string }
  | { readonly kind: 'sla' }
  /** A rollout's start at `at`; the wave is the one that the cluster went with when the run was registered. */
  | { readonly kind: 'rollout'; readonly rollout: string; readonly wave: string; readonly at: number };

export interface RunRecord {
  readonly id: string;
  /** sha256(cluster UID, run id) cut to 10 hex digits: the value of the run label. */
  readonly hash: string;
  /** The first one opened the run; later ones were merged into it. */
  readonly triggers: readonly Trigger[];
  readonly action: 'patch' | 'reboot' | 'maintenance';
  readonly state: RunState;
  readonly reason: Reason;
  readonly message: string;
  /** When the state or the reason began. */
  readonly since: number;
  readonly createdAt: number;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  /** Waiting past this instant ends the run as Expired. */
  readonly validUntil: number;
  /** The config commit that the spec was taken from. */
  readonly commit: string;
  /** Hash of what will be done; never used to skip a node. */
  readonly digest: string;
  readonly spec: RunSpec;
  /** By node name; a node comes in when it is selected. */
  readonly nodes: Readonly<Record<string, NodeRecord>>;
  /** The slot that the run is for, when it was registered ahead of its time; nothing starts before. */
  readonly notBefore?: number;
  /** The most that the proposal of the run asks for; it only grows, so that an approval is not lost for less. */
  readonly proposal?: Ceiling;
  /** Who allowed it, while reviews are demanded. */
  readonly approval?: ApprovalRecord;
  /** Failures that a `resume` has forgiven. */
  readonly forgiven: number;
  /** With `updates.lock`: the exact versions for later nodes, by kind of system. */
  readonly locks?: Readonly<Record<string, VersionLock>>;
  /** Set once the archive file is on the status branch. */
  readonly archived: boolean;
}

/** What the run does: the policy as it was when the run was registered, and which nodes. */
export interface RunSpec {
  readonly policy: Policy;
  /** Node names of the request; empty: all that policy and selector choose. */
  readonly onlyNodes: readonly string[];
  readonly onlySelector: string | undefined;
  /** A person's reason, from the request. */
  readonly why: string;
}

/** What the first node of its kind installed. */
export interface VersionLock {
  /** The node that installed it. */
  readonly node: string;
  readonly at: number;
  /** `<package> <version>`, sorted; empty when `problem` says why there is no list. */
  readonly packages: readonly string[];
  readonly problem?: string;
}

/** Where one node is in one run. */
export interface NodeRecord {
  readonly node: string;
  readonly uid: string;
  readonly phase: NodePhase;
  readonly reason: Reason;
  readonly message: string;
  /** When the phase began. */
  readonly since: number;
  /** When the node left Pending. */
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  /** Number of the Job, from 1; it only grows, so that every Job of the run on this node has a name of its own. */
  readonly attempt: number;
  /**
   * What the script is told as its attempt: the same for a Job that attaches to work whose result was lost, one more for work that is to begin
   * anew after a result.
   */
  readonly scriptAttempt: number;
  /** Which try of the present phase this is, from 1. */
  readonly tries: number;
  /** Do nothing on the node before this instant (back-off). */
  readonly notBefore: number | undefined;
  /** Since when the own host waits for a standby to take the Lease, before its cordon; cleared when the cordon goes on. */
  readonly handOverSince?: number | undefined;
  /** The cordon is ours: set before cordoning, cleared after uncordoning. */
  readonly cordoned: boolean;
  /** A patch Job may have changed the node without saying how it ended: from then on the node is never called unchanged. */
  readonly unsure: boolean;
  /** Somebody else had cordoned the node before; it stays cordoned. */
  readonly foreignCordon: boolean;
  readonly zone: string;
  readonly controlPlane: boolean;
  readonly kernelBefore: string;
  readonly bootIdBefore: string;
  /** Kubelet's last report before the reboot was asked for. */
  readonly heartbeatBefore: string;
  /** When the reboot was asked for. */
  readonly rebootAt: number | undefined;
  /** Since when the node has been back and Ready without a break. */
  readonly backSince: number | undefined;
  readonly kernelAfter: string;
  /** Result of the download (what is pending) and of the patch (what was done). */
  readonly download: PatchResult | undefined;
  readonly patch: PatchResult | undefined;
  /** The run label is on the node; when it disappears afterwards, a person has reset the node. */
  readonly marked: boolean;
  /** Packages that are left out: `updates.minAge` has not passed for them, or they were not shown when the run was approved; absent: not judged yet. */
  readonly young?: readonly string[] | undefined;
  /** Kind of system (distribution, release, architecture): nodes of one kind share exact versions. */
  readonly system?: string;
  /** How often a drain ran into its timeout in this run. */
  readonly drainTries: number;
  /** Pods with volumes were moved: their volumes must be detached before the drain is over. */
  readonly volumes?: boolean;
  /** Virtual machines (`NAMESPACE/NAME`) whose evacuation from this node we asked for. */
  readonly evacuated?: readonly string[];
  /** Hooks that have ended well on this way, as `before/NAME` and `after/NAME`; left out while there are none. */
  readonly hooksDone?: readonly string[];
  /** What the node becomes once it is uncordoned; set before Uncordoning. */
  readonly outcome: Outcome | undefined;
}

/** An end (or, for a drain that will be tried again, Pending) that waits for the uncordon. */
export interface Outcome {
  readonly phase: 'Pending' | 'Patched' | 'Skipped' | 'Failed';
  readonly reason: Reason;
  readonly message: string;
}

/** Why a node stays out after its run. */
export interface Quarantine {
  readonly run: string;
  readonly reason: Reason;
  readonly message: string;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** It broke off before its cordon (a node that is drained only before a reboot): the cordon is still to come. */
  readonly toCordon?: true | undefined;
}

export interface NodeHistory {
  readonly uid: string;
  /** Last time that updates were installed and verified. */
  readonly lastPatched: number | undefined;
  /** Last time that a run found the node patched or up to date: the age that orders nodes. */
  readonly lastChecked: number | undefined;
  readonly patchedVersion: string;
  readonly lastRun: string;
  /** Reason and message of the last failure; empty after a success. */
  readonly lastError: string;
  /** Why the last run that was about the node left it as it was; until a run finds it patched or up to date. */
  readonly leftOut?: { readonly reason: Reason; readonly message: string; readonly since: number } | undefined;
  /** Our cordon stays on the node, and why; cleared when a person uncordons it or a later run ends well. */
  readonly quarantine: Quarantine | undefined;
  /** When reboots were asked for, newest last, at most ten. */
  readonly reboots: readonly number[];
  /** How long the node's last ways through a run took, milliseconds, newest last, at most five. */
  readonly durations: readonly number[];
  /** Updates that wait, as last seen by a download or scan. */
  readonly pending: PendingUpdates | undefined;
  /** The scan that is under way or was the last one. */
  readonly scan?: ScanRecord;
  /** A scan found that somebody else has patched the node; until a run of ours finds it patched or up to date. */
  readonly outside?: { readonly at: number; readonly message: string } | undefined;
  /** When a run was last opened because the node's updates were too old. */
  readonly slaRunAt?: number;
  /**
   * How the patch on boot ended, or why there was none; undefined while it was not decided. Decided once in a node's life. `failed`: the
   * node was not patched, and `onBoot.onFailure` says what becomes of its taint.
   */
  readonly boot?:
    { readonly at: number; readonly failed: boolean; readonly reason: Reason; readonly message: string } | undefined;
}

/** What waits on a node. */
export interface PendingUpdates {
  /** All that the policy's scope names, also what stays for a reason (held by a person, protected, too young). */
  readonly count: number;
  /** When the oldest of them was first seen in this cluster; undefined: nothing is pending. */
  readonly since: number | undefined;
  /** When this was seen. */
  readonly at: number;
  readonly reboot: boolean;
  /** How many of them a run would install now; absent: not told. */
  readonly installable?: number;
  /** Hash of the list in {@link Sightings.lists}; absent: the list did not fit into the result, or is not kept. */
  readonly list?: string;
  /** The kernel that ran when this was seen. */
  readonly kernel?: string;
}

/** One scan of a node. Written before its Job is created. */
export interface ScanRecord {
  /** Number of the node's turn: instants of one length since the epoch, moved by the node's own offset. */
  readonly slot: number;
  /** Which Job of this turn it is, from 1. */
  readonly tries: number;
  /** When this try began. */
  readonly since: number;
  /** Do nothing before this instant (back-off). */
  readonly notBefore: number | undefined;
  /** When the turn ended, with a result or without; undefined: it is under way. */
  readonly endedAt: number | undefined;
  /** Why the last scan brought nothing; undefined: it did. */
  readonly error: { readonly reason: Reason; readonly message: string; readonly since: number } | undefined;
}
