// Git over HTTP and HTTPS: credentials, certificates, proxies, limits, and what each refusal means.
import { EnvHttpProxyAgent, request } from 'undici';
import type { GitHttpRequest, GitHttpResponse } from 'isomorphic-git';
import { AdapterError } from '../model/failure.ts';
import { errorCode, networkFailure, publicUrl, statusFailure } from './git-failure.ts';
import type { GitAuth, WorkerOptions } from './git-options.ts';
import type { Secrets } from './git-secrets.ts';
import { proxiesOfEnvironment, proxyOfEnvironment } from './proxy.ts';

/** One way to one repository, in the shape that isomorphic-git asks for. */
export interface GitTransport {
  /** The address as isomorphic-git must see it (it knows only http and https). */
  readonly url: string;
  /** The address as people know it. */
  readonly shown: string;
  /** Version of the protocol for listing references. */
  readonly protocol: 1 | 2;
  request(call: GitHttpRequest): Promise<GitHttpResponse>;
  close(): Promise<void>;
}

/** The signal of the operation under way; the worker does one at a time. */
export interface Scope {
  signal: AbortSignal;
}

const redirectStatus = new Set([301, 302, 303, 307, 308]);

/** A body as the library gives it (an array, or any iterable of chunks), whole: some servers insist on a Content-Length. */
export async function wholeBody(
  body: Iterable<Uint8Array> | AsyncIterable<Uint8Array> | undefined,
): Promise<Buffer | undefined> {
  if (body === undefined) return undefined;
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export function openHttpTransport(
  url: string,
  auth: GitAuth | undefined,
  options: Pick<WorkerOptions, 'ca' | 'timeouts' | 'maxBytes'>,
  secrets: Secrets,
  scope: Scope,
): GitTransport {
  const { connectMs, idleMs } = options.timeouts;
  const trust = options.ca === undefined ? {} : { ca: options.ca };
  const dispatcher = new EnvHttpProxyAgent({
    ...proxiesOfEnvironment(),
    connect: { timeout: connectMs, ...trust },
    requestTls: trust,
    keepAliveTimeout: 30_000,
  });
  const proxy = proxyOfEnvironment(url);
  const home = url.replace(/\/+$/, '');
  /** Where the server sent us with its last redirect of `info/refs`; the POST goes there too, as in git itself. */
  let base = home;

  async function once(target: string, call: GitHttpRequest, body: Buffer | undefined) {
    const headers: Record<string, string> = { ...call.headers, 'user-agent': 'git/oakum' };
    // Credentials go to the host that they were given for, whatever a redirect says.
    const authorization = new URL(target).origin === new URL(home).origin ? secrets.authorization(auth) : undefined;
    if (authorization !== undefined) headers['authorization'] = authorization;
    const method = call.method === 'POST' ? 'POST' : 'GET';
    // Limits are told with each request: connections through a SOCKS proxy do not know those of the agent.
    const limits = { headersTimeout: idleMs, bodyTimeout: idleMs };
    const send = () =>
      request(target, { method, headers, dispatcher, signal: scope.signal, body: body ?? null, ...limits });
    try {
      return await send();
    } catch (error) {
      // A server may close an idle connection at the very moment that we use it. Only what changes nothing is said twice.
      const again = errorCode(error) === 'UND_ERR_SOCKET' && !target.endsWith('/git-receive-pack');
      if (!again || scope.signal.aborted) throw networkFailure(error, url, scope.signal, proxy);
    }
    try {
      return await send();
    } catch (error) {
      throw networkFailure(error, url, scope.signal, proxy);
    }
  }

  function flat(headers: Record<string, string | string[] | undefined>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(headers).flatMap(([name, value]) =>
        value === undefined ? [] : [[name.toLowerCase(), String(value)]],
      ),
    );
  }

  async function* limited(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let total = 0;
    try {
      for await (const chunk of body) {
        total += chunk.length;
        if (total > options.maxBytes)
          throw new AdapterError(
            'rejected',
            'GitTooLarge',
            `${publicUrl(url)} sent more than ${Math.round(options.maxBytes / 2 ** 20)} MiB; a config repository of that size is refused.`,
          );
        yield chunk;
      }
    } catch (error) {
      throw networkFailure(error, url, scope.signal);
    }
  }

  async function detailOf(body: AsyncIterable<Uint8Array>, type: string): Promise<string> {
    let text = '';
    try {
      for await (const chunk of body) {
        if (text.length < 1000) text += Buffer.from(chunk).toString('utf8');
        else break;
      }
    } catch {
      // The status is what counts; its explanation is a courtesy.
    }
    return type.startsWith('text/plain') ? text : '';
  }

  return {
    url: home,
    shown: publicUrl(url),
    protocol: 2,
    async request(call) {
      const body = await wholeBody(call.body);
      let target = call.url.startsWith(home) ? base + call.url.slice(home.length) : call.url;
      for (let hops = 0; ; hops++) {
        const answer = await once(target, call, body);
        const headers = flat(answer.headers);
        const location = headers['location'];
        if (redirectStatus.has(answer.statusCode) && call.method !== 'POST' && location !== undefined && hops < 5) {
          await answer.body.dump();
          const next = new URL(location, target);
          if (next.protocol !== 'https:' && target.startsWith('https:'))
            throw new AdapterError('denied', 'GitRefused', `${publicUrl(url)} redirects to a place without TLS.`);
          target = next.href;
          const tail = next.href.indexOf('/info/refs');
          if (tail > 0) base = next.href.slice(0, tail);
          continue;
        }
        if (answer.statusCode !== 200) {
          base = home;
          const detail = await detailOf(answer.body, headers['content-type'] ?? '');
          throw statusFailure(answer.statusCode, headers, url, detail);
        }
        const type = headers['content-type'] ?? '';
        if (!type.startsWith('application/x-git-')) {
          await answer.body.dump();
          throw new AdapterError(
            'rejected',
            'GitNotARepository',
            `${publicUrl(url)} answers, but not as a Git server does (content type "${type}"). Check the address.`,
          );
        }
        const { statusCode } = answer;
        return { url: target, statusCode, statusMessage: 'OK', headers, body: limited(answer.body) };
      }
    },
    close: () => dispatcher.close(),
  };
}
