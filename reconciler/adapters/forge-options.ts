// What a forge adapter must be told, whatever the forge.
import type { Clock, Log } from '../ports.ts';
import type { Secret } from './git-options.ts';

/** How to prove who we are to a forge's API. */
export type ForgeCredentials =
  | { readonly kind: 'token'; readonly token: Secret }
  /** A GitHub App: its key in PEM. Without `installationId` the installation on the project is looked up. */
  | {
      readonly kind: 'app';
      readonly appId: string;
      readonly privateKey: Secret;
      readonly installationId?: number;
    };

export interface ForgeOptions {
  /** Root of the API, e.g. `https://api.github.com`, `https://host/api/v3`, `https://gitlab.com/api/v4`, `https://host/api/v1`. */
  readonly api: string;
  /** `owner/name`, or the path of a group and its project. */
  readonly project: string;
  /** The config branch: pull requests to other branches are none of ours. */
  readonly branch: string;
  readonly credentials: ForgeCredentials;
  /** Certificates (PEM) to trust in place of the system's. */
  readonly ca?: string;
  readonly log: Log;
  readonly clock: Pick<Clock, 'now'>;
  readonly timeouts?: Partial<ForgeTimeouts>;
}

/** Limits in milliseconds. */
export interface ForgeTimeouts {
  /** One request. */
  readonly requestMs: number;
  /** One call of the port, retries and pauses included. */
  readonly callMs: number;
  /** First pause before something that failed is tried again; the next ones are longer. */
  readonly retryMs: number;
}

/** What is taken for granted when it is not told. */
export const forgeTimeouts: ForgeTimeouts = { requestMs: 20_000, callMs: 60_000, retryMs: 1_000 };
