// Webhooks of forges: a signed request is a hint to look now. What is in it is never used.
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Clock, Log } from '../ports.ts';
import { openSecrets, type Secrets } from './git-secrets.ts';
import type { Secret } from './git-options.ts';

export interface WebhookOptions {
  /** Read at every request; the forge has the same. */
  readonly secret: Secret;
  readonly clock: Pick<Clock, 'now'>;
  readonly log: Log;
  /** Called for every request that is signed. */
  readonly hint: () => void;
}

/** What is answered. */
export interface WebhookAnswer {
  readonly status: number;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Takes requests to `/webhooks/…`. */
export interface Webhooks {
  /** Reads no more of the request than it must. Never throws. */
  take(request: IncomingMessage): Promise<WebhookAnswer>;
}

/** A longer body is not read to its end. GitHub sends up to 25 MiB, but never for the events that are of use here. */
const mostBytes = 1_048_576;
/** Requests that are read at one time. */
const mostAtOnce = 20;
/** Requests that may come at once, and how many a second may follow: a forge sends a handful for each push. */
const burst = 60;
const perSecond = 5;
/** A shorter secret can be guessed. */
const shortestSecret = 16;

type Check = (headers: IncomingMessage['headers'], secret: string) => Proof | undefined;
/** Either the header is the proof, or the digest of the body must equal what the header says. */
type Proof =
  { readonly kind: 'known'; readonly good: boolean } | { readonly kind: 'digest'; readonly expected: Buffer };

/** A signature over the body in hexadecimal, the first of these headers that is there. */
function signed(names: readonly string[], prefix: string): Check {
  return (headers) => {
    for (const name of names) {
      const value = headers[name];
      if (typeof value !== 'string') continue;
      const hex = value.startsWith(prefix) ? value.slice(prefix.length) : '';
      return /^[0-9a-f]{64}$/i.test(hex) ? { kind: 'digest', expected: Buffer.from(hex, 'hex') } : undefined;
    }
    return undefined;
  };
}

/** Equal in a time that does not tell where they differ, whatever their lengths. */
function same(one: string, other: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}

/** How each forge proves that a request is its own. */
const forges: Readonly<Record<string, Check>> = {
  // docs.github.com, "Validating webhook deliveries"
  github: signed(['x-hub-signature-256'], 'sha256='),
  // docs.gitea.com, "Webhooks"; Forgejo sends the same under its own name too
  gitea: signed(['x-gitea-signature', 'x-forgejo-signature'], ''),
  // docs.gitlab.com, "Webhooks": the secret itself is sent
  gitlab: (headers, secret) => {
    const token = headers['x-gitlab-token'];
    return typeof token === 'string' ? { kind: 'known', good: same(token, secret) } : undefined;
  },
};

const notFound: WebhookAnswer = { status: 404, body: 'not found\n' };
const unsigned: WebhookAnswer = { status: 401, body: 'the signature is missing or wrong\n' };

/** Opens the receiver. */
export function openWebhooks(options: WebhookOptions): Webhooks {
  const secrets = openSecrets();
  let underWay = 0;
  let tokens = burst;
  let filledAt = options.clock.now();

  function spend(): boolean {
    const now = options.clock.now();
    tokens = Math.min(burst, tokens + (Math.max(0, now - filledAt) / 1000) * perSecond);
    filledAt = now;
    if (tokens < 1) return false;
    tokens--;
    return true;
  }

  async function answer(request: IncomingMessage): Promise<WebhookAnswer> {
    const name = (request.url ?? '').split('?')[0]?.replace('/webhooks/', '') ?? '';
    const check = Object.hasOwn(forges, name) ? forges[name] : undefined;
    if (check === undefined) return notFound;
    if (request.method !== 'POST') return { status: 405, body: 'only POST\n', headers: { allow: 'POST' } };
    if (Number(request.headers['content-length'] ?? 0) > mostBytes)
      return { status: 413, body: `at most ${mostBytes} bytes\n` };
    if (underWay >= mostAtOnce || !spend())
      return { status: 429, body: 'later, please\n', headers: { 'retry-after': '10' } };
    const secret = readSecret(secrets, options);
    if (secret === undefined) return { status: 503, body: 'the secret cannot be read\n' };
    const proof = check(request.headers, secret);
    if (proof === undefined || (proof.kind === 'known' && !proof.good)) return unsigned;
    if (proof.kind === 'digest') {
      underWay++;
      try {
        const actual = await digestOf(request, secret);
        if (actual === undefined) return { status: 413, body: `at most ${mostBytes} bytes\n` };
        if (!timingSafeEqual(actual, proof.expected)) return unsigned;
      } finally {
        underWay--;
      }
    }
    options.hint();
    options.log.debug({ forge: name }, 'a webhook asks to look now');
    return { status: 202, body: 'noted\n' };
  }

  return {
    take: (request) => answer(request).catch(() => ({ status: 400, body: 'the request did not arrive whole\n' })),
  };
}

function readSecret(secrets: Secrets, { secret, log }: WebhookOptions): string | undefined {
  try {
    const value = secrets.read(secret, 'webhook secret').trim();
    if (value.length >= shortestSecret) return value;
    log.error({}, `the webhook secret has fewer than ${shortestSecret} characters: webhooks are refused`);
  } catch (error) {
    log.error({}, error instanceof Error ? error.message : 'the webhook secret cannot be read');
  }
  return undefined;
}

/** HMAC-SHA256 of the body as it streams by, nothing of it kept; undefined when it is too long. */
async function digestOf(request: IncomingMessage, secret: string): Promise<Buffer | undefined> {
  const hmac = createHmac('sha256', secret);
  let size = 0;
  for await (const chunk of request) {
    if (!(chunk instanceof Buffer)) continue;
    size += chunk.length;
    if (size > mostBytes) return undefined;
    hmac.update(chunk);
  }
  return hmac.digest();
}
