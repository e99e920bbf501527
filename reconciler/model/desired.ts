// Desired: what one commit of the config repository asks for.
import type { Ceiling } from './approval.ts';
import type { Problem } from './failure.ts';
import type { Policy } from './policy.ts';
import type { FleetRollout } from './rollout.ts';
import type { Selector } from './selector.ts';

/** What the whole repository asks for at one commit. */
export interface Desired {
  readonly commit: string;
  /** Committer time, milliseconds since the epoch. */
  readonly committedAt: number;
  readonly fleet: Fleet;
  /** By the cluster's name, sorted. */
  readonly clusters: ReadonlyMap<string, ClusterDesired>;
  /** Sorted by name; those whose file is valid. Absent: none. */
  readonly rollouts?: readonly FleetRollout[];
  /** Problems of all files, sorted by file, line and column. */
  readonly problems: readonly Problem[];
  /** `accept-rewrite.yaml`, when there is one and it is valid. */
  readonly rewrite?: Rewrite;
}

/** A person's word that the branch may go on from another commit than the one accepted last. */
export interface Rewrite {
  readonly file: string;
  readonly oid: string;
  /** Full ids of commits that clusters have accepted last. */
  readonly from: readonly string[];
  /** Full id of the commit from which the branch goes on. */
  readonly to: string;
  readonly reason: string;
}

/** `oakum.yaml`, complete. */
export interface Fleet {
  readonly name: string;
  readonly status: { readonly retentionRuns: number; readonly intervalMs: number };
  /** Name of the cluster whose agent writes the fleet files; undefined: whoever runs (hub), or the only one. */
  readonly publisher: string | undefined;
  readonly suspend: boolean;
}

/** What is asked of one cluster. */
export interface ClusterDesired {
  readonly name: string;
  /** Problems of files that this cluster uses; any makes the cluster hold (`ConfigInvalid`). */
  readonly problems: readonly Problem[];
  readonly settings: ClusterSettings;
  /** Undefined when there is none, or when it is not valid. */
  readonly policy: Policy | undefined;
  readonly requests: readonly Request[];
  /** Runs that Oakum proposed and somebody merged. */
  readonly runs: readonly ProposedRun[];
  /** Rollouts that take this cluster along, sorted by name. Absent: none. */
  readonly rollouts?: readonly FleetRollout[];
  /** Object ids of the files that say who is in which wave, by path: those of rollouts/ and every `cluster.yaml`. Absent: there are no rollouts. */
  readonly fleetFiles?: Readonly<Record<string, string>>;
  /** A file FREEZE: in the root (`fleet`), in the cluster's folder (`cluster`), or none. */
  readonly frozen: 'fleet' | 'cluster' | undefined;
  /** Beside the file FREEZE in the root there is one in the cluster's folder. Absent: no. */
  readonly frozenTwice?: boolean;
  /** The files that this cluster's runs are made of, sorted by path: what an approval is bound to. */
  readonly inputs: readonly { readonly path: string; readonly oid: string }[];
}

/** `cluster.yaml`, complete. */
export interface ClusterSettings {
  readonly labels: Readonly<Record<string, string>>;
  readonly platform: 'self-managed' | 'imported' | 'eks' | 'aks' | 'gke' | 'edge';
  readonly suspend: boolean;
  /** Name of the kubeconfig entry that a hub uses; undefined: the cluster's name. */
  readonly connection: string | undefined;
  /** UID of the namespace kube-system: the one cluster that this folder is about; undefined: whichever is first seen. */
  readonly uid: string | undefined;
}

/** Whether nodes of such a cluster are patched where they stand; elsewhere whoever made them replaces them by a newer image. */
export function patchedInPlace(platform: ClusterSettings['platform']): boolean {
  return platform === 'self-managed' || platform === 'edge';
}

/** A person's file that asks for something now. Consumed once, by its name and content. */
export interface Request {
  /** The file's name without `.yaml`; unique in the cluster. */
  readonly name: string;
  readonly file: string;
  /** Object id of the file: an edited request is another request only under another name. */
  readonly oid: string;
  readonly action: RequestAction;
  readonly reason: string;
  /** Nodes by name; empty together with `selector` undefined means all that the policy selects. */
  readonly nodes: readonly string[];
  readonly selector: Selector | undefined;
  /** Not before this instant; a time in the past means now. */
  readonly notBefore: number | undefined;
  /** Milliseconds after the later of `notBefore` and the commit that brought it; later it is `Expired`. */
  readonly expiresAfterMs: number;
  /** For `maintenance`: until when nodes are held out; for `pause`: until when they are paused, undefined: as long as the file is there. */
  readonly until: number | undefined;
  /** For `resume`, `retry`, `abort` and `skip`: which run; undefined means the one under way. */
  readonly run: string | undefined;
}

/** A file in `runs/`: what Oakum proposed for one run. */
export interface ProposedRun {
  /** Id of the run. */
  readonly name: string;
  readonly file: string;
  readonly oid: string;
  /** What the run was to do when it was proposed: compared with the run's own digest. */
  readonly digest: string;
  readonly ceiling: Ceiling;
}

export type RequestAction =
  'patch' | 'reboot' | 'maintenance' | 'pause' | 'resume' | 'retry' | 'abort' | 'skip' | 'reset';
