// A policy as it is meant: complete, defaults filled, durations in milliseconds.
import type { Schedule } from './schedule.ts';
import type { Selector } from './selector.ts';
import type { Freeze, Window } from './window.ts';

/** What a cluster's nodes get and when. Every field is present; how people write it is in desired/written.ts. */
export interface Policy {
  readonly name: string;
  /** Nothing new starts while true. */
  readonly suspend: boolean;
  readonly schedule: PolicySchedule | undefined;
  readonly onBoot: { readonly enabled: boolean; readonly timeoutMs: number; readonly onFailure: 'release' | 'keep' };
  /** Empty means: always open. */
  readonly windows: readonly Window[];
  readonly freezes: readonly Freeze[];
  readonly nodes: NodeChoice;
  readonly updates: Updates;
  readonly reboot: RebootRules;
  readonly drain: DrainRules;
  readonly rollout: Rollout;
  /** Look at every node without changing it, this often; 0: never. Read from the newest policy only, never from a run's own. */
  readonly scan: { readonly everyMs: number };
  /** Report (and if `openRun`, patch) a node whose oldest pending update is older than this. */
  readonly maxAge: { readonly afterMs: number; readonly openRun: boolean } | undefined;
  readonly gates: readonly Gate[];
  readonly approval: ApprovalRules;
  readonly hooks: { readonly before: readonly string[]; readonly after: readonly string[] };
  readonly strategy: 'InPlace' | 'Replace' | 'RebootOnly';
  /** What to do with a node that a package manager left half changed (exit class 50). */
  readonly onFailure: 'quarantine' | 'uncordon';
}

export interface PolicySchedule {
  readonly schedule: Schedule;
  /** How late the controller may notice a slot; later it is `Missed`. */
  readonly startingDeadlineMs: number;
  /** How long a registered run may wait; undefined: until the next slot, at most seven days from the first moment that windows and freezes allow. */
  readonly validForMs: number | undefined;
}

export interface NodeChoice {
  readonly selector: Selector;
  /** Nodes that match are left out; undefined leaves out none. */
  readonly exclude: Selector | undefined;
}

export interface Updates {
  readonly scope: 'security' | 'all';
  /** Packages that are protected beside the Kubernetes ones (names or shell globs). */
  readonly hold: readonly string[];
  /** Protect the container runtime too. */
  readonly holdRuntime: boolean;
  /** Only these packages (names or globs); empty means all of the scope. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** An update must have been seen this long ago. */
  readonly minAgeMs: number;
  /** Later nodes install exactly what the first one installed. */
  readonly lock: boolean;
  /** Amazon Linux 2023 only: the release whose packages are wanted. */
  readonly releasever: string | undefined;
}

export interface RebootRules {
  readonly when: 'ifRequired' | 'never' | 'always';
  /** How long a node may take to come back. */
  readonly returnTimeoutMs: number;
  /** How long it must stay Ready before it counts as back. */
  readonly stableForMs: number;
  /** At most this many reboots of one node in 24 hours. */
  readonly maxPerDay: number;
}

export interface DrainRules {
  readonly when: 'beforePatch' | 'beforeReboot';
  readonly timeoutMs: number;
  readonly onTimeout: 'skip' | 'fail' | 'force';
  /** Overrides the pods' own grace period; undefined keeps it. */
  readonly gracePeriodMs: number | undefined;
  readonly deleteEmptyDirData: boolean;
  /** Evict pods that no controller would create again. */
  readonly force: boolean;
  /** Pods that match are left where they are. */
  readonly skipPods: Selector | undefined;
}

export interface Rollout {
  readonly concurrency: Quantity;
  /** Nodes under way at one time all have the same value of this label; undefined switches it off. */
  readonly topologyKey: string | undefined;
  readonly canary: { readonly nodes: number; readonly soakMs: number } | undefined;
  /** Rest between one node's end and the next one's start. */
  readonly soakMs: number;
  /** The run pauses when this many nodes have failed. */
  readonly maxFailures: number;
  readonly controlPlane: 'last' | 'first';
  readonly allowSingleControlPlane: boolean;
}

/** A number of nodes, or a share of the run's nodes (rounded down, at least one). */
export type Quantity =
  { readonly kind: 'count'; readonly value: number } | { readonly kind: 'percent'; readonly value: number };

export type Gate =
  | {
      readonly kind: 'prometheus';
      readonly url: string;
      readonly alerts: { readonly ignore: readonly string[]; readonly only: readonly string[] } | undefined;
      readonly query: string | undefined;
    }
  | { readonly kind: 'http'; readonly url: string }
  | { readonly kind: 'pods'; readonly selector: Selector; readonly namespace: string | undefined }
  /** No node of this cluster may have failed for so long. Answered from the ledger, not by asking somebody. */
  | { readonly kind: 'quiet'; readonly forMs: number };

/** A gate that asks somebody else. */
export type OutsideGate = Exclude<Gate, { readonly kind: 'quiet' }>;

export interface ApprovalRules {
  readonly mode: 'none' | 'merge' | 'review';
  readonly minApprovals: number;
  readonly approvers: readonly string[];
  /** Owners by CODEOWNERS must agree, too: to every file that takes part in what is approved, and to every change of the configuration. Absent: no. */
  readonly codeOwners?: boolean;
  /**
   * What becomes of commits whose author or committer has a mail address that no account claims: any of the reviewers may be that person. Absent: `oneMore`.
   */
  readonly unknownAuthors?: 'oneMore' | 'hold' | 'ignore';
  readonly leadTimeMs: number;
}
