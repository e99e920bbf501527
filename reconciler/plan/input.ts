// What a pass over one cluster is given: everything that it needs to decide.
import type { ClusterDesired, Fleet, Rewrite } from '../model/desired.ts';
import type { LedgerDocument } from '../model/ledger.ts';
import type { Observed } from '../model/observed.ts';
import type { Hold } from '../model/reason.ts';
import type { PeerReadings } from '../model/rollout.ts';

/** The arguments of {@link planCluster}. Nothing else decides: a restarted controller with the same input plans the same. */
export interface PlanInput {
  /** Instant of the whole pass, milliseconds since the epoch. */
  readonly now: number;
  /** The config commit, or undefined when none could be read yet. */
  readonly commit: string | undefined;
  readonly committedAt: number;
  readonly fleet: Fleet;
  /** What the commit asks of this cluster; undefined when it does not name the cluster. */
  readonly desired: ClusterDesired | undefined;
  /** Why the newest wishes are not known (Git is down, the history was rewritten); undefined when they are. */
  readonly sourceHold: Hold | undefined;
  /** The branch as it was rewritten, with a file that says that this is meant: nothing of it counts before that is agreed to. */
  readonly rewritten?: RewrittenBranch;
  readonly observed: Observed;
  /** What the other clusters of a rollout tell, as far as it was asked; it can only delay. Absent: nothing is known. */
  readonly peers?: PeerReadings;
  readonly ledger: LedgerDocument | undefined;
  readonly settings: PlanSettings;
}

/** What a rewritten branch says about the cluster. */
export interface RewrittenBranch {
  readonly commit: string;
  readonly committedAt: number;
  readonly fleet: Fleet;
  readonly desired: ClusterDesired | undefined;
  readonly rewrite: Rewrite;
}

/** Settings of the deployment. They come from flags, never from Git: a commit cannot loosen them. */
export interface PlanSettings {
  /** Namespace of the Jobs. */
  readonly jobNamespace: string;
  /** Image of the Jobs; only /bin/sh and nsenter are needed from it. */
  readonly image: string;
  /** The assembled patch script. */
  readonly script: string;
  /** Node that hosts this process; it goes last. */
  readonly ownNode: string | undefined;
  /** Extra environment of every Job (proxies), already checked. */
  readonly jobEnv: Readonly<Record<string, string>>;
  /** Lowest approval mode that a policy may choose. */
  readonly approvalFloor: 'none' | 'merge' | 'review';
  /** The config branch, where it is named: only pull requests to it bring approvals. */
  readonly branch?: string;
  /** Logins and ids of the accounts that Oakum itself uses at the forge: they approve nothing. */
  readonly ownAccounts?: readonly string[];
  /** Ceilings that no policy can exceed. */
  readonly ceilings: {
    readonly nodesPerHour: number | undefined;
    /** Shortest time between the beginnings of two runs that touch nodes, milliseconds. Absent: none. */
    readonly runIntervalMs?: number | undefined;
    /** Scans that go on at one time in a cluster; 0: none ever. Absent: two. */
    readonly scansAtOnce?: number;
  };
  /** Waits of the engine in milliseconds. */
  readonly timing: Timing;
}

export interface Timing {
  /** A Job without a running pod for this long has failed to start. */
  readonly jobStartMs: number;
  /** Longest life of a Job's pod; the work itself goes on and a new Job attaches to it. */
  readonly jobDeadlineMs: number;
  /** First back-off after a fault that may pass; it doubles. */
  readonly retryMs: number;
  /** Wait between two evictions that a budget refused. */
  readonly evictRetryMs: number;
  /** How often the pods of a node that is being emptied are looked at. */
  readonly drainPollMs: number;
  /** After this long without a new boot id on a Ready node the reboot did not happen. */
  readonly rebootHappensMs: number;
  /** Delay that the script gives the kubelet to report before the node goes down, in milliseconds. */
  readonly rebootDelayMs: number;
}

/** The waits that a deployment has unless it says otherwise. */
export const standardTiming: Timing = {
  jobStartMs: 10 * 60_000,
  jobDeadlineMs: 60 * 60_000,
  retryMs: 60_000,
  evictRetryMs: 10_000,
  drainPollMs: 2_000,
  rebootHappensMs: 10 * 60_000,
  rebootDelayMs: 20_000,
};
