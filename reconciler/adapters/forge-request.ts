// One request to a forge that takes tokens: quiet while it asks for it, what is tried again, what each refusal means, and JSON or nothing.
import { setTimeout as delay } from 'node:timers/promises';
import { AdapterError } from '../model/failure.ts';
import { forgeRefusal, notUnderstood, type ForgeCall } from './forge-failure.ts';
import { forgeTimeouts, type ForgeOptions, type ForgeTimeouts } from './forge-options.ts';
import { openForgeWire } from './forge-wire.ts';
import { openSecrets } from './git-secrets.ts';

/** A whole answer; header names are in lower case, and an empty body is undefined. */
export interface ForgeAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** What is asked; `check` throws for an answer that is none. */
export interface ForgeAsk {
  readonly method: string;
  readonly url: URL;
  readonly body?: string | undefined;
  readonly call: ForgeCall;
  readonly check?: (answer: ForgeAnswer) => void;
}

/** The way to one forge. */
export interface ForgeRequests {
  /** Root of its API, without a slash at the end. */
  readonly root: string;
  readonly timeouts: ForgeTimeouts;
  /** Throws AdapterError. */
  ask(signal: AbortSignal, asked: ForgeAsk): Promise<ForgeAnswer>;
  /** The limit of time that all requests of one call of the port share. */
  deadline(outer: AbortSignal | undefined): AbortSignal;
  /** Closes idle connections. */
  end(): Promise<void>;
}

/** A request that changes nothing is sent this often before its failure counts. */
const mostTries = 3;

/** Opens the way. `forge` is the forge's name for people, `scheme` the word before the token, `messageOf` what the text of an error says. */
export function openForgeRequests(
  options: ForgeOptions,
  kind: {
    readonly forge: string;
    readonly scheme: 'Bearer' | 'token';
    /** What must be given where an App's key was given. */
    readonly tokensOnly: string;
    readonly messageOf: (text: string) => string;
  },
): ForgeRequests {
  const { credentials, clock } = options;
  if (credentials.kind !== 'token') throw new AdapterError('denied', 'ForgeDenied', kind.tokensOnly);
  const { token } = credentials;
  const timeouts = { ...forgeTimeouts, ...options.timeouts };
  const root = options.api.replace(/\/+$/, '');
  const secrets = openSecrets();
  const wire = openForgeWire({ api: root, ca: options.ca, requestMs: timeouts.requestMs });
  /** Nothing is sent before this instant. */
  let quietUntil = 0;

  async function once(signal: AbortSignal, { method, url, body, call }: ForgeAsk): Promise<ForgeAnswer> {
    const quiet = quietUntil - clock.now();
    if (quiet > 0)
      throw new AdapterError(
        'transient',
        'ForgeRateLimited',
        `${kind.forge} asked us to slow down: ${call.what} waits.`,
        { retryAfterMs: quiet },
      );
    const answer = await wire.fetch(url.href, {
      method,
      headers: {
        accept: 'application/json',
        authorization: `${kind.scheme} ${secrets.read(token, 'token')}`,
        'user-agent': 'oakum',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body }),
      signal,
    });
    const text = await answer.text();
    const headers = Object.fromEntries(answer.headers);
    if (answer.ok) return { status: answer.status, headers, body: parse(text, call) };
    const refused = { status: answer.status, headers, message: kind.messageOf(text) };
    const error = forgeRefusal(refused, call, secrets.known(), clock.now());
    if (error.code === 'ForgeRateLimited') quietUntil = clock.now() + (error.retryAfterMs ?? 0);
    throw error;
  }

  return {
    root,
    timeouts,
    async ask(signal, asked) {
      // What changes something is sent once: whoever calls finds out on the next pass what became of it.
      const tries = asked.method === 'GET' ? mostTries : 1;
      for (let attempt = 1; ; attempt += 1) {
        try {
          const answer = await once(signal, asked);
          asked.check?.(answer);
          return answer;
        } catch (error) {
          const again =
            error instanceof AdapterError && error.kind === 'transient' && error.code !== 'ForgeRateLimited';
          if (!again || attempt >= tries || signal.aborted) throw error;
          const pause = timeouts.retryMs * 2 ** (attempt - 1) * (0.5 + Math.random());
          await delay(pause, undefined, { signal }).catch(() => {
            throw error;
          });
        }
      }
    },
    deadline(outer) {
      const limit = AbortSignal.timeout(timeouts.callMs);
      return outer === undefined ? limit : AbortSignal.any([outer, limit]);
    },
    end: () => wire.close(),
  };
}

function parse(text: string, call: ForgeCall): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw notUnderstood(call, 'the answer is not JSON');
  }
}

/** How often a list that changes while it is read is read anew. */
const mostLooks = 4;

/**
 * Reads a list of several pages until two looks agree: entries that come and go between two pages move the others across their border. `look` gives
 * undefined for pages that do not fit together, and `whole` for what one look suffices for; `nameOf` tells one entry from another.
 */
export async function agreedList(
  call: ForgeCall,
  look: () => Promise<{ readonly entries: readonly unknown[]; readonly whole: boolean } | undefined>,
  nameOf: (entry: unknown) => unknown,
): Promise<readonly unknown[]> {
  let before: string | undefined;
  for (let looks = 0; looks < mostLooks; looks += 1) {
    const seen = await look();
    if (seen === undefined) continue;
    if (seen.whole) return seen.entries;
    const now = JSON.stringify(seen.entries.map(nameOf));
    if (now === before) return seen.entries;
    before = now;
  }
  throw notUnderstood(call, 'the list changes while it is read, or pages of it are not whole');
}

/** The answer of a question that may find nothing: undefined where the forge says 404. */
export function orMissing<Found>(asked: Promise<Found>): Promise<Found | undefined> {
  return asked.catch((error: unknown) => {
    if (error instanceof AdapterError && error.kind === 'missing') return undefined;
    throw error;
  });
}
