// Approvals: what people said about a change, what exactly they saw, and what is kept as evidence.
import type { AcceptedRules } from './accepted-rules.ts';
import type { OwnerDemand, OwnerGroup } from './code-owners.ts';
import { digest } from './digest.ts';
import type { ClusterDesired, Fleet } from './desired.ts';
import { reviewedRollouts } from './rollout-rules.ts';

/** Which kind of place a change was reviewed in; `git` is a repository without a forge, where signatures count. */
export type ForgeKind = 'github' | 'gitlab' | 'gitea' | 'git';

/** A person or a program as a forge knows it. */
export interface Identity {
  /** What never changes and is never given to another: the forge's number for an account, the fingerprint of a key. */
  readonly id: string;
  /** Login, user name, or principal of a key: what `approvers` names (without `@`), and what people read. May be renamed. */
  readonly name: string;
  /** True for apps, bots, machine accounts and tokens of pipelines, as far as the forge tells. */
  readonly bot: boolean;
}

/** Who wrote a commit, from the commit and from what the forge makes of it. */
export interface Contributor {
  /** The forge's account, when it knows one for the mail address. */
  readonly account: Identity | undefined;
  readonly name: string;
  /** In lower case. */
  readonly email: string;
  /** Author or committer of the commit, or named in a `Co-authored-by` trailer. */
  readonly role: 'author' | 'committer' | 'co-author';
}

/** One review, in the order in which the forge tells them (oldest first). */
export interface Review {
  readonly id: string;
  readonly by: Identity;
  /** Known mail addresses of the reviewer, lower case; may be empty. */
  readonly emails: readonly string[];
  readonly state: 'Approved' | 'ChangesRequested' | 'Dismissed' | 'Commented';
  /** The commit that was reviewed; undefined when the forge does not say: such an approval never counts. */
  readonly commit: string | undefined;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

/** A pull request (merge request), or its counterpart in plain Git. */
export interface PullRequest {
  readonly forge: ForgeKind;
  readonly number: number;
  readonly url: string;
  readonly title: string;
  readonly state: 'open' | 'merged' | 'closed';
  /** Branch that it wants to be merged into. */
  readonly base: string;
  /** Branch that it comes from. */
  readonly branch: string;
  /** That branch is in another repository. */
  readonly fork: boolean;
  /** Commit at its head: what reviewers see now, or saw when it was merged. */
  readonly head: string;
  /** Where the branch left the base branch; undefined when the forge does not say. For previews only, nothing is judged by it. */
  readonly mergeBase?: string;
  readonly author: Identity;
  /** The commit on the base branch that the merge made, when it was made, and by whom. */
  readonly merged: { readonly commit: string; readonly at: number; readonly by: Identity | undefined } | undefined;
}

/** Everything that a forge says about one pull request, complete: all pages were read. */
export interface Change {
  readonly pull: PullRequest;
  /** Everybody who had a hand in the commits between base and head. */
  readonly contributors: readonly Contributor[];
  readonly reviews: readonly Review[];
  /** Ids of the members of each team that was asked for, by the name in `approvers`; undefined: the team cannot be read, or is gone. */
  readonly teams: Readonly<Record<string, readonly string[] | undefined>>;
  /**
   * Nothing proves who wrote the commits (plain Git, unsigned): any one of the reviewers may be the author, so one more approval is needed.
   */
  readonly unproven?: boolean;
  /** Why the reviews cannot be believed as they stand (a setting of the forge): a sentence each. Any makes the judgement `unverifiable`. */
  readonly doubts: readonly string[];
}

/** What takes part in a run, by content: what reviewers saw is compared with it. */
export interface Closure {
  /** Object ids of the cluster's own files that take part, and of the file that asks for the run, by path. */
  readonly files: Readonly<Record<string, string>>;
  /** Hash of the resolved values (policy with all that it extends, settings, what rollouts demand before its turn): shared files count by what this cluster uses of them. */
  readonly resolved: string;
}

/** The closure of what one cluster is asked for; `paths` are files beside policy.yaml and cluster.yaml (a request, a run). */
export function closureOf(desired: ClusterDesired, fleet: Fleet, paths: Readonly<Record<string, string>>): Closure {
  const own = desired.inputs.filter(({ path }) => path.startsWith(`clusters/${desired.name}/`));
  const rollouts = reviewedRollouts(desired);
  const files = Object.fromEntries(own.map(({ path, oid }) => [path, oid]));
  return {
    files: { ...files, ...paths },
    resolved: digest([
      desired.policy ?? null,
      desired.settings,
      fleet.suspend,
      ...(rollouts === undefined ? [] : [rollouts]),
    ]),
  };
}

/** Asks who brought a file to the branch as it is there now. */
export interface ApprovalQuestion {
  readonly cluster: string;
  /** The file that an approval is looked for; a file that is gone has `oid` undefined. */
  readonly path: string;
  readonly oid: string | undefined;
  /** Teams (`@org/team`) whose members must be known. */
  readonly teams: readonly string[];
  /** The commit whose CODEOWNERS count; absent: they are not asked for. */
  readonly ownersAt?: string;
}

/** One string for each question that is the same. */
export function questionKey(question: ApprovalQuestion): string {
  const { cluster, path, oid = '', teams, ownersAt } = question;
  return digest([cluster, path, oid, [...teams].sort(), ownersAt ?? '']);
}

/** What became of a question. */
export type ApprovalReading =
  /** A merged pull request brought the file. `head` is what its head commit says about the cluster; undefined: the cluster is not valid there. */
  | {
      readonly kind: 'found';
      readonly change: Change;
      readonly head: HeadContent | undefined;
      /** What CODEOWNERS demands for the file, when the question asked for it. */
      readonly owners?: OwnerDemand;
    }
  /** The file came to the branch without a pull request. */
  | { readonly kind: 'direct'; readonly commit: string; readonly message: string }
  /** The forge could not be asked, or answered what is not understood: nothing is known. */
  | { readonly kind: 'unreadable'; readonly message: string };

/** What the head commit of a pull request says about one cluster. */
export interface HeadContent {
  readonly closure: Closure;
  /** The rules that it would have made. Absent: not known, which agrees to nothing. */
  readonly rules?: AcceptedRules;
  /** Object ids of all files of the cluster's folder, of the shared ones, and of every `cluster.yaml` (labels choose for waves), by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** Readings by {@link questionKey}. A question without a reading is still being asked. */
export type ApprovalReadings = ReadonlyMap<string, ApprovalReading>;

/** The most that an approved run may do. */
export interface Ceiling {
  readonly nodes: number;
  /** Names of packages that may be changed; undefined: whatever the policy's scope allows. */
  readonly packages: readonly string[] | undefined;
  readonly reboots: number;
  /** Pods may be deleted without their budget's consent. */
  readonly force: boolean;
}

/** What is kept of an approval, in the ledger and in the archive of the run. Plain JSON. */
export interface ApprovalRecord {
  readonly forge: ForgeKind;
  readonly number: number;
  readonly url: string;
  /** The file that was approved. */
  readonly path: string;
  readonly head: string;
  readonly merged: string;
  readonly mergedAt: number;
  readonly by: readonly {
    readonly id: string;
    readonly name: string;
    readonly review: string;
    readonly at: number;
  }[];
  /** The rule that it satisfied. */
  readonly rule: {
    readonly minApprovals: number;
    readonly approvers: readonly string[];
    /** What CODEOWNERS demanded for the file, and which reviews answered it. */
    readonly owners?: readonly (OwnerGroup & {
      readonly by: readonly {
        readonly id: string;
        readonly name: string;
        readonly review: string;
        readonly at: number;
      }[];
    })[];
  };
  readonly closure: Closure;
  readonly ceiling: Ceiling | undefined;
  /** Hash of all the other fields: an archive that was edited by hand does not match. */
  readonly digest: string;
}

/** The digest of a record's other fields. */
export function evidenceDigest(record: Omit<ApprovalRecord, 'digest'>): string {
  const { forge, number, url, path, head, merged, mergedAt, by, rule, closure, ceiling } = record;
  return digest([forge, number, url, path, head, merged, mergedAt, by, rule, closure, ceiling ?? null]);
}
