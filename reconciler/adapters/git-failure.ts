// What goes wrong with Git, as AdapterErrors that name no secret.
import { AdapterError, type AdapterErrorKind } from '../model/failure.ts';
import { proxyMessage, proxyRefusal, throughProxy } from './proxy.ts';

/** An AdapterError in a form that survives the way between threads. */
export interface SentFailure {
  readonly kind: AdapterErrorKind;
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs: number | undefined;
}

/** The longest text of somebody else that gets into one of our messages. */
const quoteLimit = 300;

/** A URL for people: without user, password and query. */
export function publicUrl(url: string): string {
  const withoutUser = url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, '$1').replace(/[?#].*$/s, '');
  return URL.canParse(withoutUser) ? withoutUser : withoutUser.replace(/^[^@/]*@/, '');
}

/** Text of the other side, on one line, cut to a length for a message. */
export function quote(text: string): string {
  // A hook may print anything: control characters would reach terminals and logs.
  const oneLine = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  return oneLine.length > quoteLimit ? `${oneLine.slice(0, quoteLimit)}…` : oneLine;
}

/** The object store is damaged; the cache is thrown away and cloned anew. */
export function corrupt(message: string): AdapterError {
  return new AdapterError('transient', 'GitCorrupt', `The Git cache is damaged: ${message}. It will be cloned anew.`);
}

/** Why an operation was stopped: its own limit, or the caller. */
export function stopped(signal: AbortSignal, url: string): AdapterError {
  const limit = signal.reason instanceof Error && signal.reason.name === 'TimeoutError';
  return limit
    ? new AdapterError('transient', 'GitTimeout', `${publicUrl(url)} did not finish in time.`)
    : new AdapterError('transient', 'GitAborted', `The work with ${publicUrl(url)} was called off.`);
}

/** What an HTTP status of a Git server means. */
export function statusFailure(
  status: number,
  headers: Readonly<Record<string, string>>,
  url: string,
  detail: string,
): AdapterError {
  const where = publicUrl(url);
  const said = detail === '' ? '' : ` It said: ${quote(detail)}`;
  const seconds = Number(headers['retry-after']);
  const wait = Number.isFinite(seconds) && seconds > 0 ? { retryAfterMs: Math.min(seconds, 3600) * 1000 } : {};
  if (status === 429 || (status === 403 && (headers['x-ratelimit-remaining'] === '0' || 'retryAfterMs' in wait)))
    return new AdapterError(
      'transient',
      'GitRateLimited',
      `${where} asks us to slow down (HTTP ${status}).${said}`,
      wait,
    );
  if (status === 401 || status === 403 || status === 407)
    return new AdapterError(
      'denied',
      'GitAuthFailed',
      `${where} refuses our credentials (HTTP ${status}). Check that the token is valid and may read and write this repository.${said}`,
    );
  if (status === 413)
    return new AdapterError(
      'rejected',
      'GitPushTooLarge',
      `${where} refuses a request of this size (HTTP 413). Raise the limit of the server before it (client_max_body_size of nginx).`,
    );
  if (status === 404 || status === 410)
    return new AdapterError(
      'missing',
      'GitNotFound',
      `${where} is not a repository that we can see (HTTP ${status}). Check the address; many servers answer the same when the credentials lack the right to read.${said}`,
    );
  if (status >= 500 || status === 408)
    return new AdapterError('transient', 'GitUnreachable', `${where} is in trouble (HTTP ${status}).${said}`, wait);
  return new AdapterError('rejected', 'GitRefused', `${where} answered HTTP ${status} to a Git request.${said}`);
}

/** The machine word of an error of Node, undici or a library; empty when it has none. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return typeof error.code === 'string' ? error.code : '';
}

const certificateCodes =
  /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT|ERR_SSL_|EPROTO$|HOSTNAME_MISMATCH|INVALID_CA)/;

/** What an error of the network means. `proxy` is the proxy that the environment names, for people to find it. */
export function networkFailure(
  error: unknown,
  url: string,
  signal: AbortSignal | undefined,
  proxy?: string,
): AdapterError {
  if (error instanceof AdapterError) return error;
  if (signal?.aborted === true) return stopped(signal, url);
  const where = publicUrl(url);
  const code = errorCode(error) || errorCode(error instanceof Error ? error.cause : undefined);
  if (certificateCodes.test(code))
    return new AdapterError(
      'denied',
      'GitCertificateRefused',
      code === 'ERR_TLS_CERT_ALTNAME_INVALID'
        ? `The certificate of ${where} is for another name (${code}). Use the name that is in it as the address.`
        : `The certificate of ${where} is not trusted (${code}). Give its authority with --git-ca-file, or as ca.crt in the Secret.`,
    );
  const text = error instanceof Error ? error.message : '';
  const through = throughProxy(proxy && publicUrl(proxy));
  const refusal = proxyRefusal(error);
  if (refusal !== undefined)
    return new AdapterError(
      refusal.denied ? 'denied' : 'transient',
      refusal.denied ? 'GitProxyRefused' : 'GitUnreachable',
      proxyMessage(refusal, where, through),
    );
  if (code.includes('TIMEOUT') || code === 'ETIMEDOUT')
    return new AdapterError('transient', 'GitTimeout', `${where} did not answer in time (${code}).${through}`);
  return new AdapterError(
    'transient',
    'GitUnreachable',
    `${where} cannot be reached (${code || quote(text)}).${through}`,
  );
}

/** Takes every secret out of a text. Secrets shorter than four characters are not looked for: they would blot out everything. */
export function redact(text: string, secrets: Iterable<string>): string {
  let result = text;
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    result = result.replaceAll(secret, '***').replaceAll(encodeURIComponent(secret), '***');
  }
  return result;
}

/** Any error at all, as it is sent to the other thread: an AdapterError without secrets and without a cause. */
export function toSent(error: unknown, secrets: Iterable<string>): SentFailure {
  const known =
    error instanceof AdapterError
      ? error
      : new AdapterError(
          'transient',
          errorCode(error) || 'GitFailed',
          `Git work failed: ${quote(error instanceof Error ? `${error.name}: ${error.message}` : String(error))}`,
        );
  return {
    kind: known.kind,
    code: known.code,
    message: redact(known.message, secrets),
    retryAfterMs: known.retryAfterMs,
  };
}

/** The error again, on this side. */
export function fromSent(sent: SentFailure): AdapterError {
  return new AdapterError(
    sent.kind,
    sent.code,
    sent.message,
    sent.retryAfterMs === undefined ? {} : { retryAfterMs: sent.retryAfterMs },
  );
}
