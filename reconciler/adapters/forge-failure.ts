// What goes wrong with a forge, as AdapterErrors that name no secret and say which right is missing.
import { AdapterError } from '../model/failure.ts';
import { errorCode, publicUrl, quote, redact } from './git-failure.ts';
import { proxyOfEnvironment, proxyMessage, proxyRefusal, throughProxy } from './proxy.ts';

/** What was being done, for messages. */
export interface ForgeCall {
  /** `GitHub`, `GitLab`, `Gitea`. */
  readonly forge: string;
  /** `read pull request 7 of acme/config`. */
  readonly what: string;
  /** The right that it takes, in the forge's own words: `Pull requests: read`. */
  readonly needs: string;
}

/** An answer of a forge that is not what was asked for. Header names are in lower case. */
export interface ForgeRefused {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number | undefined>>;
  /** What the forge said. */
  readonly message: string;
}

/** When nothing is said about how long to wait, milliseconds. GitHub asks for at least a minute after a secondary limit. */
const standardWaitMs = 60_000;
const longestWaitMs = 3_600_000;

/** How long a forge asks us to wait, in milliseconds; undefined when it does not speak of limits. `now` in milliseconds since the epoch. */
export function rateWait({ status, headers, message }: ForgeRefused, now: number): number | undefined {
  const after = Number(headers['retry-after']);
  const reset = Number(headers['x-ratelimit-reset'] ?? headers['ratelimit-reset']);
  const left = headers['x-ratelimit-remaining'] ?? headers['ratelimit-remaining'];
  const limited =
    status === 429 ||
    (status === 403 && (String(left) === '0' || after > 0 || /rate limit|abuse detection/i.test(message)));
  if (!limited) return undefined;
  const untilReset = String(left) === '0' && reset > 0 ? reset * 1000 - now : Number.NaN;
  const wait = after > 0 ? after * 1000 : untilReset > 0 ? untilReset : standardWaitMs;
  return Math.min(Math.max(wait, 1_000), longestWaitMs);
}

/** What a refusal of a forge means. */
export function forgeRefusal(
  answer: ForgeRefused,
  call: ForgeCall,
  secrets: Iterable<string>,
  now: number,
): AdapterError {
  const { status } = answer;
  const said = answer.message === '' ? '' : ` It said: ${quote(redact(answer.message, secrets))}`;
  const where = `${call.forge} (${call.what}, HTTP ${status})`;
  const wait = rateWait(answer, now);
  if (wait !== undefined)
    return new AdapterError('transient', 'ForgeRateLimited', `${where} asks us to slow down.${said}`, {
      retryAfterMs: wait,
    });
  if (status === 401)
    return new AdapterError('denied', 'ForgeDenied', `${where} does not accept our credentials.${said}`);
  if (status === 403 || status === 407)
    return new AdapterError('denied', 'ForgeDenied', `${where} refuses it. It takes the right ${call.needs}.${said}`);
  if (status === 404 || status === 410)
    return new AdapterError(
      'missing',
      'ForgeNotFound',
      `${where} has no such thing, or our credentials lack the right ${call.needs}.${said}`,
    );
  if (status === 408 || status >= 500)
    return new AdapterError('transient', 'ForgeUnreachable', `${where} is in trouble.${said}`);
  if (status === 409) return new AdapterError('conflict', 'ForgeConflict', `${where} was faster elsewhere.${said}`);
  return new AdapterError('rejected', 'ForgeRefused', `${where} refuses it.${said}`);
}

/** An answer that is not what the forge's description promises: nothing is concluded from it. */
export function notUnderstood(call: ForgeCall, why: string): AdapterError {
  return new AdapterError('transient', 'ForgeNotUnderstood', `${call.forge} (${call.what}): ${quote(why)}.`);
}

/** What an error of the network means; `url` is where the request went. */
export function forgeNetworkFailure(error: unknown, url: string, signal: AbortSignal | undefined): AdapterError {
  if (error instanceof AdapterError) return error;
  const where = publicUrl(url);
  const reason: unknown = signal?.aborted === true ? signal.reason : error;
  const name = reason instanceof Error ? reason.name : '';
  const code = errorCode(error) || errorCode(error instanceof Error ? error.cause : undefined);
  const proxy = proxyOfEnvironment(url);
  const through = throughProxy(proxy && publicUrl(proxy));
  if (name === 'TimeoutError' || /TIMEDOUT|TIMEOUT/.test(code))
    return new AdapterError('transient', 'ForgeTimeout', `${where} did not answer in time.${through}`);
  if (signal?.aborted === true)
    return new AdapterError('transient', 'ForgeAborted', `The call of ${where} was called off.`);
  if (/^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT|ERR_SSL_|EPROTO$)/.test(code))
    return new AdapterError(
      'denied',
      'ForgeCertificateRefused',
      `The certificate of ${where} is not trusted (${code}). Give its authority in the setting for certificates.`,
    );
  const refusal = proxyRefusal(error);
  if (refusal !== undefined)
    return new AdapterError(
      refusal.denied ? 'denied' : 'transient',
      refusal.denied ? 'ForgeProxyRefused' : 'ForgeUnreachable',
      proxyMessage(refusal, where, through),
    );
  const text = error instanceof Error ? error.message : '';
  return new AdapterError(
    'transient',
    'ForgeUnreachable',
    `${where} cannot be reached (${code || quote(text)}).${through}`,
  );
}
