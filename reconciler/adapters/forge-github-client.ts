// Calls to GitHub's REST API by octokit: who we are, pauses, pages, and what each refusal means.
import { App, Octokit, RequestError } from 'octokit';
import { AdapterError } from '../model/failure.ts';
import type { Log } from '../ports.ts';
import { forgeNetworkFailure, forgeRefusal, notUnderstood, type ForgeCall } from './forge-failure.ts';
import { forgeTimeouts, type ForgeOptions, type ForgeTimeouts } from './forge-options.ts';
import { openForgeWire } from './forge-wire.ts';
import { redact } from './git-failure.ts';
import { openSecrets, type Secrets } from './git-secrets.ts';

/** What every request of one call carries: its signal, and how often it may be tried again. */
export interface CallRequest {
  readonly signal: AbortSignal;
  readonly retries?: number;
}

/** One page, as octokit hands it over. */
export interface GithubPage<T> {
  readonly data: readonly T[];
  readonly headers: { readonly link?: string | undefined };
}

export interface GithubClient {
  /** Does one thing that may take several requests, within the limit of a call. Throws AdapterError and nothing else. */
  call<T>(
    what: string,
    needs: string,
    signal: AbortSignal | undefined,
    work: (octokit: Octokit, request: CallRequest, call: ForgeCall) => Promise<T>,
  ): Promise<T>;
  /** The login under which we write. */
  viewer(signal: AbortSignal | undefined): Promise<string>;
  /** Text without any secret that was read or received. */
  clean(text: string): string;
  close(): Promise<void>;
}

/** GitHub gives at most so many entries of a list at once. */
export const pageSize = 100;
/** A list with more pages is not believed to be one that belongs to a pull request. */
const mostPages = 100;
/** After the first attempt. */
const retries = 2;

/**
 * Reads every page. The Link header says whether there is another one; a full page without one is not taken for the last, so that a proxy
 * that drops headers cannot hide a review.
 */
export async function everyPage<T>(
  call: ForgeCall,
  fetchPage: (page: number) => Promise<GithubPage<T>>,
): Promise<readonly T[]> {
  const found: T[] = [];
  for (let page = 1; page <= mostPages; page++) {
    const { data, headers } = await fetchPage(page);
    const isList: boolean = Array.isArray(data);
    if (!isList) throw notUnderstood(call, `page ${page} is not a list`);
    found.push(...data);
    const more = /rel="next"/.test(headers.link ?? '') || data.length >= pageSize;
    if (!more) return found;
  }
  throw new AdapterError('rejected', 'ForgeTooLarge', `GitHub (${call.what}): more than ${mostPages} pages.`);
}

/** Opens a client. `spread` puts pauses between writes, as GitHub asks of programs; only tests do without. */
export function openGithubClient(options: ForgeOptions, spread: boolean): GithubClient {
  const limits: ForgeTimeouts = { ...forgeTimeouts, ...options.timeouts };
  const wire = openForgeWire({ api: options.api, ca: options.ca, requestMs: limits.requestMs });
  const secrets = openSecrets();
  const seen = new Set<string>();
  const clean = (text: string): string => redact(redact(text, secrets.known()), seen);
  const remember = (authorization: string | undefined): void => {
    const token = authorization?.replace(/^\S+\s+/, '');
    if (token === undefined || seen.has(token)) return;
    seen.add(token);
    for (const oldest of seen) {
      if (seen.size <= 32) break;
      seen.delete(oldest);
    }
  };
  const Base = Octokit.defaults({
    baseUrl: options.api.replace(/\/+$/, ''),
    userAgent: 'oakum',
    log: quiet(options.log, clean),
    request: {
      fetch: async (url: string, init: { headers?: Record<string, string> }) => {
        remember(init.headers?.['authorization']);
        return wire.fetch(url, init);
      },
    },
    // Rate limits are left to the caller, who has better things to do than to sleep for minutes.
    retry: { doNotRetry: [400, 401, 403, 404, 409, 410, 422, 429, 451], retries, retryAfterBaseValue: limits.retryMs },
    throttle: {
      enabled: spread,
      id: `${options.api} ${options.project}`,
      onRateLimit: () => false,
      onSecondaryRateLimit: () => false,
    },
  });
  const login = openLogin(options, Base, secrets);
  let limitedUntil = 0;

  async function call<T>(
    what: string,
    needs: string,
    outer: AbortSignal | undefined,
    work: (octokit: Octokit, request: CallRequest, call: ForgeCall) => Promise<T>,
  ): Promise<T> {
    const about: ForgeCall = { forge: 'GitHub', what, needs };
    const now = options.clock.now();
    if (now < limitedUntil)
      throw new AdapterError('transient', 'ForgeRateLimited', `GitHub (${what}) asked us to slow down.`, {
        retryAfterMs: limitedUntil - now,
      });
    const signal = AbortSignal.any([AbortSignal.timeout(limits.callMs), ...(outer ? [outer] : [])]);
    try {
      return await untilAborted(work(await login.octokit({ signal }), { signal }, about), signal);
    } catch (error) {
      const known = failureOf(error, about, signal, options, clean, seen);
      if (known.code === 'ForgeRateLimited' && known.retryAfterMs !== undefined)
        limitedUntil = options.clock.now() + known.retryAfterMs;
      throw known;
    }
  }

  let viewer: string | undefined;
  return {
    call,
    clean,
    async viewer(signal) {
      viewer ??= await call('find out who we are', 'Metadata: read', signal, (octokit, request) =>
        login.viewer(octokit, request),
      );
      return viewer;
    },
    close: () => wire.close(),
  };
}

/** octokit's pauses do not listen to signals; whoever waits is let go. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) throw signal.reason;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function failureOf(
  error: unknown,
  call: ForgeCall,
  signal: AbortSignal,
  options: ForgeOptions,
  clean: (text: string) => string,
  secrets: Iterable<string>,
): AdapterError {
  const known = error instanceof AdapterError ? error : error instanceof Error ? error.cause : undefined;
  if (known instanceof AdapterError)
    return new AdapterError(known.kind, known.code, clean(known.message), {
      ...(known.retryAfterMs === undefined ? {} : { retryAfterMs: known.retryAfterMs }),
    });
  if (error instanceof RequestError && error.response !== undefined) {
    const { status, response } = error;
    const headers = Object.fromEntries(Object.entries(response.headers));
    return forgeRefusal({ status, headers, message: clean(error.message) }, call, secrets, options.clock.now());
  }
  if (signal.aborted || error instanceof RequestError) return forgeNetworkFailure(error, options.api, signal);
  // octokit stumbles over answers that it does not expect.
  return notUnderstood(call, clean(error instanceof Error ? error.message : String(error)));
}

interface Login {
  octokit(request: CallRequest): Promise<Octokit>;
  viewer(octokit: Octokit, request: CallRequest): Promise<string>;
}

function openLogin(options: ForgeOptions, Base: typeof Octokit, secrets: Secrets): Login {
  const { credentials } = options;
  if (credentials.kind === 'token') {
    const octokit = new Base();
    octokit.hook.before('request', (request) => {
      request.headers.authorization = `Bearer ${readSecret(secrets, credentials.token, 'forge token')}`;
    });
    return {
      octokit: () => Promise.resolve(octokit),
      viewer: async (octokit, request) => (await octokit.rest.users.getAuthenticated({ request })).data.login,
    };
  }
  /** The App for the key that was read last: a rotated key makes a new one. */
  let current: { readonly key: string; readonly app: App; readonly installation: Promise<Octokit> } | undefined;
  const appOf = (request: CallRequest): NonNullable<typeof current> => {
    const key = readSecret(secrets, credentials.privateKey, 'private key of the GitHub App');
    if (current?.key === key) return current;
    const app = new App({ appId: credentials.appId, privateKey: key, Octokit: Base });
    const installation = installationOf(app, options, request);
    current = { key, app, installation };
    installation.catch(() => {
      current = undefined;
    });
    return current;
  };
  return {
    octokit: (request) => appOf(request).installation,
    viewer: async (_octokit, request) => {
      const { data } = await appOf(request).app.octokit.rest.apps.getAuthenticated({ request });
      if (data?.slug === undefined) throw new Error('the App has no slug');
      return `${data.slug}[bot]`;
    },
  };
}

async function installationOf(app: App, options: ForgeOptions, request: CallRequest): Promise<Octokit> {
  const { credentials } = options;
  const known = credentials.kind === 'app' ? credentials.installationId : undefined;
  if (known !== undefined) return app.getInstallationOctokit(known);
  const { data } = await app.octokit.rest.apps.getRepoInstallation({ ...projectOf(options), request });
  return app.getInstallationOctokit(data.id);
}

/** `owner/name` in the words of octokit. */
export function projectOf({ project }: Pick<ForgeOptions, 'project'>): {
  readonly owner: string;
  readonly repo: string;
} {
  const [owner = '', repo = '', more] = project.split('/');
  if (owner === '' || repo === '' || more !== undefined)
    throw new AdapterError('rejected', 'ForgeAddress', `"${project}" is not owner/name of a repository on GitHub.`);
  return { owner, repo };
}

function readSecret(secrets: Secrets, secret: Parameters<Secrets['read']>[0], what: string): string {
  try {
    return secrets.read(secret, what);
  } catch (error) {
    throw new AdapterError('denied', 'ForgeDenied', error instanceof Error ? error.message : `no ${what}`);
  }
}

/** octokit's own remarks, without secrets and for those who look closely only. */
function quiet(
  log: Log,
  clean: (text: string) => string,
): Record<'debug' | 'info' | 'warn' | 'error', (text: string) => void> {
  const say = (text: string): void => log.debug({}, clean(String(text)));
  return { debug: say, info: say, warn: say, error: say };
}
