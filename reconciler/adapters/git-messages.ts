// What is said between the thread that works on Git and the one that asks.
import type { SentFailure } from './git-failure.ts';
import type { BranchTip, PathEvidence } from './git-evidence.ts';
import type { CommitLine } from './git-line.ts';
import type { Reading } from './git-reading.ts';
import type { CommitFiles, ReviewProposal } from './git-review.ts';

/** One piece of work. */
export type Call =
  | { readonly kind: 'sync'; readonly after: string | undefined }
  | { readonly kind: 'publish'; readonly files: ReadonlyMap<string, string | undefined>; readonly message: string }
  | { readonly kind: 'readStatus'; readonly prefix: string }
  | {
      readonly kind: 'readAt';
      readonly commit: string;
      readonly ref: string | undefined;
      readonly against: string | undefined;
    }
  | { readonly kind: 'propose'; readonly proposal: ReviewProposal }
  | { readonly kind: 'withdraw'; readonly branch: string }
  | { readonly kind: 'evidence'; readonly path: string }
  | { readonly kind: 'line'; readonly tip: string; readonly after: string | undefined }
  | { readonly kind: 'blobsAt'; readonly commits: readonly string[]; readonly paths: readonly string[] }
  | { readonly kind: 'branches'; readonly prefix: string }
  | { readonly kind: 'close' };

/** To the worker: work, or the wish to stop the work under way. */
export type Question = { readonly id: number; readonly call: Call } | { readonly abort: true };

/** From the worker. */
export interface Answer {
  readonly id: number;
  readonly failure?: SentFailure;
  readonly result?:
    | { readonly kind: 'sync'; readonly reading: Reading }
    | {
        readonly kind: 'publish' | 'propose';
        readonly result: {
          readonly commit: string;
          readonly changed: boolean;
          readonly attempts: number;
          readonly foreign?: string;
        };
      }
    | {
        readonly kind: 'readStatus';
        readonly commit: string | undefined;
        readonly files: ReadonlyMap<string, string>;
      }
    | { readonly kind: 'readAt'; readonly files: CommitFiles }
    | { readonly kind: 'withdraw' }
    | { readonly kind: 'evidence'; readonly evidence: PathEvidence }
    | { readonly kind: 'line'; readonly line: CommitLine }
    | { readonly kind: 'blobsAt'; readonly blobs: Readonly<Record<string, readonly (string | undefined)[]>> }
    | { readonly kind: 'branches'; readonly branches: readonly BranchTip[] }
    | { readonly kind: 'close' };
}
