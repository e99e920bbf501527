// Plan: what one pass decided for a cluster, and why.
import type { Action } from './action.ts';
import type { LedgerDocument } from './ledger.ts';
import type { NodePhase } from './node-phase.ts';
import type { StandbyView } from './observed.ts';
import type { Hold, Reason } from './reason.ts';

/** The outcome of one pure pass over one cluster. */
export interface Plan {
  /** The ledger as it must be written before any action is done. The same object when nothing changed. */
  readonly ledger: LedgerDocument;
  /** In the order in which they are done. */
  readonly actions: readonly Action[];
  /** What holds the whole cluster; the first one is shown. Empty: nothing does. */
  readonly holds: readonly Hold[];
  /** One verdict for every node of the cluster, sorted by name. */
  readonly nodes: readonly NodeVerdict[];
  /** Next slots of the schedule that fall into a window, at most five, milliseconds since the epoch. */
  readonly upcoming: readonly number[];
  /** What lets a run start, in one sentence: the approval mode in force, not only the one that is wished. */
  readonly approval: string;
  /** When to look again even if nothing changes. */
  readonly wakeAt: number;
  /** Who is to take the Lease after this pass, because our own host is next; absent: it is kept. */
  readonly handOver?: StandbyView;
}

/** Why a node is where it is, what comes next and when: exactly one for each node at all times. */
export interface NodeVerdict {
  readonly node: string;
  readonly phase: NodePhase | 'Idle';
  readonly reason: Reason;
  readonly message: string;
  /** When this began, as far as it is remembered. */
  readonly since: number | undefined;
  /** What comes next, in one sentence. */
  readonly next: string;
  /** When, if that is known. */
  readonly at: number | undefined;
  readonly run: string | undefined;
  /** Since when the oldest pending update has been older than the policy allows; absent: it is not. */
  readonly overdueSince?: number;
}

/** The ledger is not that of this cluster, or the cluster not that of this folder: nothing may be written, and nothing that it says is told of this cluster. */
export function isStrange({ holds }: Pick<Plan, 'holds'>): boolean {
  return holds.some(({ reason }) => reason === 'LedgerLost' || reason === 'WrongCluster');
}
