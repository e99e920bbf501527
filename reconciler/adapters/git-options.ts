// What the Git adapter must be told, and what it takes for granted when it is not told.
import type { Log } from '../ports.ts';

/** A secret, given as itself or as a file that is read at every use, so that a rotated credential needs no restart. */
export type Secret = { readonly value: string } | { readonly file: string };

/** How to prove who we are. */
export type GitAuth =
  /** Personal, project or app token, sent as the password of HTTP basic auth. `username` defaults to `x-access-token`. */
  | { readonly kind: 'token'; readonly token: Secret; readonly username?: string }
  /** Token sent as `Authorization: Bearer`. */
  | { readonly kind: 'bearer'; readonly token: Secret }
  | { readonly kind: 'basic'; readonly username: string; readonly password: Secret }
  /** Deploy key. `knownHosts` is text in the format of sshd(8), section "SSH_KNOWN_HOSTS FILE FORMAT"; without a line for the host nothing is sent. */
  | { readonly kind: 'ssh'; readonly privateKey: Secret; readonly passphrase?: Secret; readonly knownHosts: Secret };

/** Limits in milliseconds. */
export interface GitTimeouts {
  /** To reach the server, TLS or SSH handshake included. */
  readonly connectMs: number;
  /** Silence of the server in the middle of an answer. */
  readonly idleMs: number;
  /** One call of the port, all retries included. */
  readonly operationMs: number;
  /** First pause after a refused push; doubles up to 30 s, with jitter. */
  readonly backoffMs: number;
}

export interface GitOptions {
  /** `https://host/path`, `http://host/path`, `ssh://user@host:port/path` or `user@host:path`. Credentials in it are refused. */
  readonly url: string;
  /** Branch that people write; default: the one that the remote's HEAD names. */
  readonly branch?: string;
  /** Branch for status; default `oakum/status`. */
  readonly statusBranch?: string;
  /** Repository for status, when it is another one. */
  readonly statusUrl?: string;
  /** Folder of ours alone. It is a cache: it may be deleted whenever no Oakum runs. */
  readonly cacheDir: string;
  readonly auth?: GitAuth;
  /** Credentials for the status branch, when they are others. */
  readonly statusAuth?: GitAuth;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly ca?: string;
  /** What is read: names of files, and folders with a slash at the end; or everything. */
  readonly wanted: readonly string[] | 'all';
  /** Who signs the status commits. */
  readonly author: { readonly name: string; readonly email: string };
  readonly timeouts?: Partial<GitTimeouts>;
  /** Packs after which a cache is thrown away and cloned anew; default 200. */
  readonly maxPacks?: number;
  /** Bytes of packs after which a cache is thrown away and cloned anew, and the largest answer accepted; default 512 MiB. */
  readonly maxBytes?: number;
  readonly log: Log;
}

/** The options as the worker gets them: complete, and nothing in them that cannot be sent to another thread. */
export interface WorkerOptions {
  readonly url: string;
  readonly branch: string | undefined;
  readonly statusBranch: string;
  readonly statusUrl: string;
  readonly cacheDir: string;
  readonly auth: GitAuth | undefined;
  readonly statusAuth: GitAuth | undefined;
  readonly ca: string | undefined;
  readonly wanted: readonly string[] | 'all';
  readonly author: { readonly name: string; readonly email: string };
  readonly timeouts: GitTimeouts;
  readonly maxPacks: number;
  readonly maxBytes: number;
}

/** Fills in what was left out. */
export function completeOptions(options: GitOptions): WorkerOptions {
  return {
    url: options.url,
    branch: options.branch,
    statusBranch: options.statusBranch ?? 'oakum/status',
    statusUrl: options.statusUrl ?? options.url,
    cacheDir: options.cacheDir,
    auth: options.auth,
    statusAuth: options.statusAuth ?? options.auth,
    ca: options.ca,
    wanted: options.wanted,
    author: options.author,
    timeouts: { connectMs: 10_000, idleMs: 30_000, operationMs: 120_000, backoffMs: 250, ...options.timeouts },
    maxPacks: options.maxPacks ?? 200,
    maxBytes: options.maxBytes ?? 512 * 1024 * 1024,
  };
}
