// Credentials of the Git adapter: read at every use, remembered only to keep them out of messages.
import fs from 'node:fs';
import { AdapterError } from '../model/failure.ts';
import type { GitAuth, Secret } from './git-options.ts';

/** Reads secrets and knows every value that must never be seen. */
export interface Secrets {
  /** The value now, without the line end that editors and Kubernetes Secrets like to add. */
  read(secret: Secret, what: string): string;
  /** The header for HTTP, or undefined without credentials or with an SSH key. */
  authorization(auth: GitAuth | undefined): string | undefined;
  /** Every value read so far, and what is made of it. */
  known(): Iterable<string>;
}

/** Values kept for redaction; a rotated token may still be echoed once, older ones are of no use to anybody. */
const rememberedValues = 32;

export function openSecrets(): Secrets {
  const seen = new Set<string>();
  const remember = (value: string): string => {
    seen.delete(value);
    seen.add(value);
    for (const oldest of seen) {
      if (seen.size <= rememberedValues) break;
      seen.delete(oldest);
    }
    return value;
  };
  const read = (secret: Secret, what: string): string => {
    if ('value' in secret) return remember(secret.value);
    try {
      return remember(fs.readFileSync(secret.file, 'utf8').replace(/\r?\n$/, ''));
    } catch {
      throw new AdapterError('denied', 'GitAuthFailed', `The file with the ${what} cannot be read: ${secret.file}`);
    }
  };
  const basic = (username: string, password: string): string =>
    `Basic ${remember(Buffer.from(`${username}:${password}`).toString('base64'))}`;
  return {
    read,
    authorization(auth) {
      switch (auth?.kind) {
        case undefined:
        case 'ssh':
          return undefined;
        case 'token':
          return basic(auth.username ?? 'x-access-token', read(auth.token, 'token'));
        case 'bearer':
          return `Bearer ${read(auth.token, 'token')}`;
        case 'basic':
          return basic(auth.username, read(auth.password, 'password'));
      }
    },
    known: () => seen,
  };
}
