// HTTP to a forge: one host only, limits of time and size, whole answers or none, and a memory for answers that have not changed.
import { EnvHttpProxyAgent, fetch as send } from 'undici';
import { AdapterError } from '../model/failure.ts';
import { forgeNetworkFailure } from './forge-failure.ts';
import { publicUrl } from './git-failure.ts';
import { proxiesOfEnvironment } from './proxy.ts';

/** `fetch` of the web, as far as clients of forges use it. */
export interface ForgeWire {
  /** Throws AdapterError. The answer is there as a whole; JSON in it is known to be well formed. */
  fetch(url: string, init: ForgeRequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface ForgeRequestInit {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | null;
}

/** A longer answer is refused. */
const mostBytes = 16 * 1024 * 1024;
/** What is kept of answers that may be asked for again, in characters. */
const mostKept = 16 * 1024 * 1024;
const mostHops = 3;

interface Kept {
  readonly etag: string;
  readonly text: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Opens the way to one forge. `api` is the root of its API: no request goes to another origin, and no redirect leads there. */
export function openForgeWire(options: {
  readonly api: string;
  readonly ca: string | undefined;
  readonly requestMs: number;
}): ForgeWire {
  const { requestMs } = options;
  if (!URL.canParse(options.api))
    throw new AdapterError('rejected', 'ForgeAddress', `"${publicUrl(options.api)}" is not the address of an API.`);
  const { origin } = new URL(options.api);
  const trust = options.ca === undefined ? {} : { ca: options.ca };
  const dispatcher = new EnvHttpProxyAgent({
    ...proxiesOfEnvironment(),
    connect: { timeout: Math.min(requestMs, 10_000), ...trust },
    requestTls: trust,
    headersTimeout: requestMs,
    bodyTimeout: requestMs,
    keepAliveTimeout: 30_000,
  });
  const kept = openMemory();

  async function one(url: string, init: ForgeRequestInit, signal: AbortSignal): Promise<Response> {
    const method = init.method ?? 'GET';
    const known = method === 'GET' ? kept.find(url) : undefined;
    const headers = { ...init.headers, ...(known === undefined ? {} : { 'if-none-match': known.etag }) };
    const answer = await send(url, {
      method,
      headers,
      redirect: 'manual',
      dispatcher,
      signal,
      ...(init.body === undefined ? {} : { body: init.body }),
    });
    const text = await wholeText(answer.body, url);
    if (answer.status === 304 && known !== undefined)
      return new Response(known.text, { status: 200, headers: { ...known.headers } });
    const told = Object.fromEntries(answer.headers);
    // The text is decoded already.
    delete told['content-encoding'];
    delete told['content-length'];
    if (/^application\/[a-z.+-]*json/.test(told['content-type'] ?? '')) checkJson(text, answer.status, url);
    const { etag } = told;
    if (method === 'GET' && answer.status === 200 && etag !== undefined) kept.keep(url, { etag, text, headers: told });
    const empty = answer.status === 204 || answer.status === 205 || answer.status === 304;
    return new Response(empty ? null : text, { status: answer.status, headers: told });
  }

  return {
    async fetch(url, init) {
      const signal = AbortSignal.any([AbortSignal.timeout(requestMs), ...(init.signal ? [init.signal] : [])]);
      let target = url;
      try {
        for (let hops = 0; ; hops++) {
          if (new URL(target).origin !== origin)
            throw new AdapterError(
              'denied',
              'ForgeRedirected',
              `${publicUrl(options.api)} sends us to ${new URL(target).origin}: credentials go to one host only.`,
            );
          const answer = await one(target, init, signal);
          const location = answer.headers.get('location');
          const moved = answer.status >= 301 && answer.status <= 308 && answer.status !== 304 && location !== null;
          if (!moved) return answer;
          if ((init.method ?? 'GET') !== 'GET' || hops >= mostHops)
            throw new AdapterError(
              'rejected',
              'ForgeRedirected',
              `${publicUrl(target)} has moved (HTTP ${answer.status}). Set the present address of the API and the present name of the project.`,
            );
          target = new URL(location, target).href;
        }
      } catch (error) {
        throw forgeNetworkFailure(error, target, signal);
      }
    },
    close: () => dispatcher.close(),
  };
}

async function wholeText(body: AsyncIterable<unknown> | null, url: string): Promise<string> {
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    if (!(chunk instanceof Uint8Array)) continue;
    size += chunk.length;
    if (size > mostBytes)
      throw new AdapterError(
        'rejected',
        'ForgeTooLarge',
        `${publicUrl(url)} sent more than ${mostBytes / 2 ** 20} MiB.`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Clients turn a page that was cut off into text or nothing: that must not look like a short list. */
function checkJson(text: string, status: number, url: string): void {
  if (status >= 400 || status === 304 || status === 204) return;
  try {
    JSON.parse(text);
  } catch {
    throw new AdapterError(
      'transient',
      'ForgeNotUnderstood',
      `The answer of ${publicUrl(url)} is not whole (${text.length} characters).`,
    );
  }
}

/** Answers by address; the ones that were used longest ago are forgotten first. */
function openMemory(): { find(url: string): Kept | undefined; keep(url: string, answer: Kept): void } {
  const answers = new Map<string, Kept>();
  let size = 0;
  const forget = (url: string): void => {
    size -= answers.get(url)?.text.length ?? 0;
    answers.delete(url);
  };
  return {
    find(url) {
      const found = answers.get(url);
      if (found === undefined) return undefined;
      answers.delete(url);
      answers.set(url, found);
      return found;
    },
    keep(url, answer) {
      forget(url);
      answers.set(url, answer);
      size += answer.text.length;
      for (const oldest of answers.keys()) {
        if (size <= mostKept) break;
        forget(oldest);
      }
    },
  };
}
