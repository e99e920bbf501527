// The doors to the outside, types only: Git, Forge, Cluster, Gates, Approvals, Peers, Ledger, Lease, Clock, Log.
import type { ApprovalQuestion, ApprovalReadings, Change, ForgeKind, PullRequest } from './model/approval.ts';
import type { Problem } from './model/failure.ts';
import type { LedgerDocument } from './model/ledger.ts';
import type { RawCluster, ObserveInterest, StandbyView } from './model/observed.ts';
import type { Action } from './model/action.ts';
import type { GateReadings } from './model/gate.ts';
import type { OutsideGate } from './model/policy.ts';
import type { PeerReadings } from './model/rollout.ts';

/** One file of the config repository at one commit. */
export interface ConfigFile {
  /** Path from the repository's root, forward slashes. */
  readonly path: string;
  /** Git object id of the blob (or of the link or submodule). */
  readonly oid: string;
  /** Only regular files count; the rest is a Problem of its cluster (a symlink's target is never read). */
  readonly kind: 'file' | 'symlink' | 'submodule' | 'oversized' | 'binary';
  /** UTF-8 text; empty unless `kind` is `file`. */
  readonly text: string;
}

/** The config repository at one commit. `files` is shared between snapshots and never changed after it was handed out. */
export interface ConfigSnapshot {
  /** Full object id of the commit. */
  readonly commit: string;
  /** Committer time in milliseconds since the epoch. */
  readonly committedAt: number;
  readonly files: ReadonlyMap<string, ConfigFile>;
  /**
   * Paths that were added, changed or removed since the snapshot handed out before; undefined means "everything, read all".
   */
  readonly changed: readonly string[] | undefined;
}

/** What one look at the remote brought. */
export type SyncResult =
  | { readonly kind: 'unchanged'; readonly snapshot: ConfigSnapshot }
  | { readonly kind: 'changed'; readonly snapshot: ConfigSnapshot }
  /** The repository or the branch has no commit yet. */
  | { readonly kind: 'empty'; readonly message: string }
  /** The tip does not descend from the commit named as `after`. */
  | { readonly kind: 'rewritten'; readonly tip: string; readonly after: string; readonly message: string }
  /** It could not be decided whether the tip descends from `after` (the history could not be fetched). */
  | { readonly kind: 'unknown'; readonly tip: string; readonly after: string; readonly message: string };

/** Files to write on the status branch. `undefined` as text removes the file. */
export interface StatusCommit {
  readonly files: ReadonlyMap<string, string | undefined>;
  /** Subject and body of the commit. */
  readonly message: string;
}

/** What became of a status commit. */
export interface PublishResult {
  /** The commit that holds the files now; equal to the tip from before when nothing had to change. */
  readonly commit: string;
  /** False when every file already had these bytes. */
  readonly changed: boolean;
  /** How many pushes it took (0 when nothing changed). */
  readonly attempts: number;
  /** A commit at the tip that no Oakum has written. */
  readonly foreign?: string;
}

/** The config repository and the status branch. All methods throw {@link AdapterError} and nothing else. */
export interface Git {
  /**
   * Looks at the remote's head and fetches what is new. `after` is the commit accepted last (from the ledger): the tip must descend from it.
   * Reads only files for which `wanted` is true (by path), so an agent does not read other clusters' folders.
   */
  sync(options: { readonly after: string | undefined; readonly signal?: AbortSignal }): Promise<SyncResult>;
  /** Writes files on the status branch on top of the remote's head, retrying on a refused push; other files stay as they are. */
  publish(commit: StatusCommit, signal?: AbortSignal): Promise<PublishResult>;
  /** Reads files under `prefix` of the status branch as it is at the remote now; empty when there is no such branch. */
  readStatus(
    prefix: string,
    signal?: AbortSignal,
  ): Promise<{ readonly commit: string | undefined; readonly files: ReadonlyMap<string, string> }>;
  /** Stops the worker and forgets the cache's handles. */
  close(): Promise<void>;
}

/** The part of the Git port that approvals need: pull requests are read and proposed with it, whatever the forge. Throws AdapterError only. */
export interface ReviewGit {
  /**
   * The config repository at another commit: fetched by `ref` (a forge's name for the head of a pull request, e.g. `refs/pull/7/head`), or by
   * the commit itself where there is no ref. AdapterError `conflict` when the ref is at another commit by now, `missing` when it is gone;
   * a commit that was read before is handed over without asking anybody.
   */
  readAt(at: { readonly commit: string; readonly ref?: string }, signal?: AbortSignal): Promise<ConfigSnapshot>;
  /**
   * Puts files on a branch of ours in the config repository, on top of `base` (a commit of the config branch): one commit, whatever the
   * branch held before is replaced by compare-and-swap. The same files on the same base change nothing. Only branches under `oakum/`.
   */
  propose(proposal: BranchProposal, signal?: AbortSignal): Promise<PublishResult>;
  /** Removes a branch of ours; nothing happens when it is not there. */
  withdraw(branch: string, signal?: AbortSignal): Promise<void>;
}

/** A branch with files that Oakum wants to see on the config branch. */
export interface BranchProposal {
  /** Begins with `oakum/`. */
  readonly branch: string;
  readonly base: string;
  readonly files: ReadonlyMap<string, string>;
  /** Subject and body of the commit. */
  readonly message: string;
}

/**
 * A forge: where changes are reviewed. All methods throw AdapterError and nothing else; whatever is not understood is an error, never an
 * empty answer. Reading is complete (all pages) or fails.
 */
export interface Forge {
  readonly kind: ForgeKind;
  /** Open pull requests to the config branch, oldest first; cheap when nothing has changed. */
  open(signal?: AbortSignal): Promise<readonly PullRequest[]>;
  /** The merged pull request by which `path` became what it is on the config branch; undefined: it came there without one. */
  bringing(
    path: string,
    signal?: AbortSignal,
  ): Promise<{ readonly commit: string; readonly pull: PullRequest | undefined }>;
  /** Everything about one pull request that a judgement needs; `teams` are the names in `approvers` with a slash in them (`@org/team`). */
  change(number: number, teams: readonly string[], signal?: AbortSignal): Promise<Change>;
  /**
   * Opens a pull request from a branch that is there already, or brings title and text of the open one up to date: never a second one. One that a
   * person closed while it was at the same `commit` is not opened again: it comes back as `closed`.
   */
  propose(
    proposal: { readonly branch: string; readonly title: string; readonly text: string; readonly commit?: string },
    signal?: AbortSignal,
  ): Promise<PullRequest>;
  /** Closes an open pull request of ours, saying why in a comment. */
  close(number: number, why: string, signal?: AbortSignal): Promise<void>;
  /** The one comment that carries `marker` (an HTML comment in its text): written, or edited in place when it says something else. */
  comment(number: number, marker: string, text: string, signal?: AbortSignal): Promise<void>;
  /** A commit status; sent only when it differs from what stands there. `text` is at most 140 characters. */
  status(
    commit: string,
    status: {
      /** `oakum/plan` or `oakum/approval`, with `/<cluster>` where several Oakums write to one repository. */
      readonly context: `oakum/${string}`;
      readonly state: 'pending' | 'success' | 'failure' | 'error';
      readonly text: string;
    },
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * Shows problems at the lines where they are, in place of those that were shown on this commit before; none: says so where some were shown.
   * Absent where the forge has no place for that, or not for our credentials: the comment names file, line and column all the same.
   */
  annotate?(
    commit: string,
    remarks: { readonly name: `oakum/problems${string}`; readonly problems: readonly Problem[] },
    signal?: AbortSignal,
  ): Promise<void>;
  /** Git's name for the head of a pull request. */
  headRef(number: number): string;
  /** Longest text of a comment, in characters. */
  readonly commentLimit: number;
}

/** Approvals of changes that are on the config branch. Never throws: what cannot be read is `unreadable`. */
export interface Approvals {
  /** Reads these, or uses readings that are a few seconds old. */
  read(questions: readonly ApprovalQuestion[]): Promise<ApprovalReadings>;
}

/** One Kubernetes cluster. All methods throw AdapterError and nothing else. */
export interface Cluster {
  /** UID of the namespace kube-system: the identity of the cluster. */
  identity(): Promise<string>;
  /** What is, as small projections; `interest` names what is read only when needed (pods of some nodes, budgets). */
  observe(interest: ObserveInterest): Promise<RawCluster>;
  /** Does one action. Doing it twice changes nothing more. */
  act(action: Action): Promise<ActionResult>;
  /** Resolves when something that is watched has changed, or after `timeoutMs`, or when the signal fires. */
  changed(timeoutMs: number, signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** What the API answered to an action. A refusal that is a fact of the cluster is a value, not an error. */
export type ActionResult =
  | { readonly kind: 'done' }
  /** A PodDisruptionBudget (or another 429 of the eviction API) said "not now". */
  | {
      readonly kind: 'blocked';
      readonly reason: 'DisruptionBudget' | 'TwoBudgets' | 'Migration';
      readonly message: string;
    }
  /** The object is not there (any more); for most actions that is as good as done. */
  | { readonly kind: 'gone' };

/** Gates of policies that ask somebody else. Never throws: what cannot be read is closed. */
export interface Gates {
  /** Reads these gates, or uses readings that are a few seconds old. */
  read(gates: readonly OutsideGate[]): Promise<GateReadings>;
}

/** The other clusters of a rollout. Never throws: what cannot be read is `unread`, and whoever needs it waits. */
export interface Peers {
  /** What these clusters tell of the rollouts that they take part in; may be a minute old. */
  read(clusters: readonly string[]): Promise<PeerReadings>;
}

/** The ledger in the cluster: compare-and-swap, written before the effect. */
export interface Ledger {
  /** Reads everything; `undefined` when there is no ledger. */
  load(): Promise<LedgerDocument | undefined>;
  /** Writes what differs between `before` and `after`; throws AdapterError `conflict` when somebody else wrote since. */
  save(before: LedgerDocument | undefined, after: LedgerDocument): Promise<void>;
}

/** The Lease that keeps two Oakums apart. */
export interface Lease {
  /** True only while the Lease is held with time to spare for one more request. */
  held(): boolean;
  /** Who holds it, for status. */
  holder(): string | undefined;
  /** How often it was won: while this has not changed and it is held, nobody else has held it in between. */
  term?(): number;
  /** Gives it back, so that the next one need not wait. */
  release(): Promise<void>;
  /** While it is held: another Oakum that waits for it and was heard of within the duration of a Lease (30 s). */
  standby?(): StandbyView | undefined;
  /** Stops holding it at once and gives it to whoever waits; it is not taken again for half a minute. It goes on to be tried for after that. */
  handOver?(): void;
}

/** Time, the only one of its kind. Instants are milliseconds since the epoch. */
export interface Clock {
  now(): number;
  /** Resolves after `ms` or at once when the signal fires. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Structured log. Fields are plain values; secrets never get here. */
export interface Log {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}
