// What can go wrong, in words: Problem, Failure, AdapterError, InternalError.

/** A fault in a file that a person wrote. All problems of all files are collected; one bad file holds only the clusters that use it. */
export interface Problem {
  /** Path from the repository's root. */
  readonly file: string;
  /** First line is 1. */
  readonly line: number;
  /** First column is 1. */
  readonly column: number;
  /** The field, dotted, e.g. `spec.windows[0].start`; empty for the file as a whole. */
  readonly path: string;
  /** What was found, what is allowed, and what to do, in one or two sentences. */
  readonly message: string;
  /** Short name of the rule that was broken, for programs. */
  readonly rule: string;
}

/** What a failed call at an edge means for the loop. */
export type AdapterErrorKind =
  /** Try again later; said aloud only when it lasts. */
  | 'transient'
  /** Somebody else wrote in between: read again and plan again. */
  | 'conflict'
  /** It is not there: a fact to observe. */
  | 'missing'
  /** Credentials or rights are not enough: stalled until a person changes something. */
  | 'denied'
  /** The other side understood and refused what we sent. */
  | 'rejected';

/** The only error that adapters throw. The message is for people and holds no secret. */
export class AdapterError extends Error {
  override readonly name = 'AdapterError';
  readonly kind: AdapterErrorKind;
  /** Machine word: a reason of ours (`GitUnreachable`), an HTTP status, or an errno. */
  readonly code: string;
  /** Milliseconds that the other side asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: AdapterErrorKind,
    code: string,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** A broken invariant of ours: the pass is abandoned before acting. */
export class InternalError extends Error {
  override readonly name = 'InternalError';
}

/** Ends a switch over a closed union; a new member does not compile until it is handled. */
export function assertNever(value: never): never {
  throw new InternalError(`unexpected value ${JSON.stringify(value)}`);
}
