// StatusDocument: what Oakum tells people about one cluster, before it is put into any form.
import type { Problem } from './failure.ts';
import type { RunState } from './ledger.ts';
import type { NodePhase } from './node-phase.ts';
import type { Reason } from './reason.ts';

/** Everything that the status files of one cluster say. Times are RFC 3339 in UTC, to the second; nothing depends on "now". */
export interface StatusDocument {
  readonly cluster: string;
  /** The config commit that this status answers to; empty when none was accepted yet. */
  readonly observedCommit: string;
  readonly conditions: readonly Condition[];
  readonly policy:
    | {
        readonly name: string;
        readonly schedule: string;
        readonly windows: readonly string[];
        readonly next: readonly string[];
        /** What lets a run start, in one sentence; absent in a status that was written before it was told. */
        readonly approval?: string | undefined;
      }
    | undefined;
  /** Why nothing new starts, first reason first; empty: nothing holds. */
  readonly holds: readonly { readonly reason: Reason; readonly message: string; readonly until: string | undefined }[];
  readonly counts: {
    readonly nodes: number;
    readonly upToDate: number;
    readonly pending: number;
    readonly underWay: number;
    readonly failed: number;
    readonly excluded: number;
  };
  /** Newest first. */
  readonly runs: readonly RunStatus[];
  /** Newest first. */
  readonly requests: readonly RequestStatus[];
  /** Rollouts that take the cluster along, sorted by name; absent: none. Peers wait for what stands here. */
  readonly rollouts?: readonly RolloutStatus[] | undefined;
  /** Sorted by name. */
  readonly nodes: readonly NodeStatus[];
  readonly problems: readonly Problem[];
}

/**
 * `Ready`: the configuration is understood and nothing failed. `Progressing`: a run is under way. `Waiting`: something is due and held.
 * A condition does not flap: `since` changes only with `status` or `reason`.
 */
export interface Condition {
  readonly type: 'Ready' | 'Progressing' | 'Waiting';
  readonly status: 'True' | 'False';
  readonly reason: Reason;
  readonly message: string;
  readonly since: string;
}

export interface RunStatus {
  readonly id: string;
  readonly hash: string;
  readonly trigger: string;
  readonly action: 'patch' | 'reboot' | 'maintenance';
  readonly state: RunState;
  readonly reason: Reason;
  readonly message: string;
  readonly since: string;
  readonly created: string;
  readonly started: string | undefined;
  readonly ended: string | undefined;
  readonly commit: string;
  readonly digest: string;
  readonly why: string;
  readonly counts: {
    readonly total: number;
    readonly patched: number;
    readonly skipped: number;
    readonly failed: number;
    readonly waiting: number;
  };
  /** With `updates.lock`: what the first node of each kind of system installed; absent without one. Where nodes are told, too. */
  readonly locks?: readonly LockStatus[] | undefined;
  /** Nodes of this run; in the cluster's status only for runs that have not ended, in the archive always. */
  readonly nodes: readonly RunNodeStatus[];
}

/** The exact versions that later nodes of one kind of system may install. */
export interface LockStatus {
  readonly system: string;
  /** The node that installed them first. */
  readonly node: string;
  readonly since: string;
  /** `name version`, sorted; empty when `problem` says why there is no list. */
  readonly packages: readonly string[];
  readonly problem: string | undefined;
}

export interface RunNodeStatus {
  readonly node: string;
  readonly phase: NodePhase;
  readonly reason: Reason;
  readonly message: string;
  readonly since: string;
  readonly started: string | undefined;
  readonly ended: string | undefined;
  readonly applied: number;
  readonly pending: number;
  readonly rebooted: boolean;
  readonly kernelBefore: string;
  readonly kernelAfter: string;
  /** `name from to`, sorted; undefined when the list was too long for the result. */
  readonly packages: readonly string[] | undefined;
}

/** How far a cluster has followed one rollout. */
export interface RolloutStatus {
  readonly name: string;
  /** Starts up to this time were before the cluster took part. */
  readonly joined: string;
  /** Newest first, at most three. */
  readonly runs: readonly RolloutRunStatus[];
}

export interface RolloutRunStatus {
  readonly id: string;
  /** The start that it is for. */
  readonly at: string;
  readonly wave: string;
  readonly state: RunState;
  readonly reason: Reason;
  readonly message: string;
  readonly since: string;
  readonly started: string | undefined;
  readonly ended: string | undefined;
  /** The later run that has made a failure good. */
  readonly mendedBy: string | undefined;
}

/** How far the fleet has come in the newest run of one rollout. */
export interface FleetRolloutStatus {
  readonly name: string;
  readonly suspended: boolean;
  /** Id of the run; undefined: it has not started yet. */
  readonly run: string | undefined;
  readonly waves: readonly {
    readonly name: string;
    readonly state: 'NotStarted' | 'Waiting' | 'Running' | 'Done' | 'Failed';
    readonly clusters: number;
    readonly done: number;
    readonly failed: number;
    /** Of the first cluster that is not done; empty when all are. */
    readonly message: string;
  }[];
}

export interface RequestStatus {
  readonly name: string;
  readonly state: string;
  readonly reason: Reason;
  readonly message: string;
  readonly since: string;
  readonly run: string | undefined;
}

export interface NodeStatus {
  readonly name: string;
  readonly phase: NodePhase | 'Idle';
  readonly reason: Reason;
  readonly message: string;
  readonly since: string | undefined;
  readonly next: string;
  readonly at: string | undefined;
  readonly run: string | undefined;
  readonly lastPatched: string | undefined;
  readonly patchedVersion: string;
  readonly osImage: string;
  readonly kernel: string;
  readonly pendingUpdates: number | undefined;
  /** Since when the oldest of them is known in the cluster. */
  readonly pendingSince?: string | undefined;
  /** Since when that is longer than the policy's `maxAge`. */
  readonly overdueSince?: string | undefined;
  /** What somebody else did to the node, as a scan found it. */
  readonly patchedOutside?: string | undefined;
  /** Why the last scan brought nothing, and since when. */
  readonly scanError?: string | undefined;
  readonly rebootRequired: boolean;
  readonly lastError: string;
}
