// Git over SSH with a deploy key: the protocol's stateful form carried behind the interface that isomorphic-git has for HTTP.
import { Client, type ClientChannel, type ServerHostKeyAlgorithm } from 'ssh2';
import type { GitHttpResponse } from 'isomorphic-git';
import { AdapterError } from '../model/failure.ts';
import { publicUrl, quote, stopped } from './git-failure.ts';
import { wholeBody, type GitTransport, type Scope } from './git-http.ts';
import { knownKeys } from './git-known-hosts.ts';
import type { GitAuth, WorkerOptions } from './git-options.ts';
import type { Secrets } from './git-secrets.ts';

/** Where an SSH remote is. */
export interface SshPlace {
  readonly username: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
}

/** Reads `ssh://user@host:port/path` and `user@host:path`; undefined when it is neither. */
export function parseSshUrl(url: string): SshPlace | undefined {
  if (/^(ssh|git\+ssh):\/\//.test(url)) {
    const { username, hostname, port, pathname } = new URL(url);
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    return { username: username || 'git', host, port: Number(port || 22), path: decodeURIComponent(pathname) };
  }
  const short = /^(?:([^@/:]+)@)?([^/:]{2,}):(?!\/\/)(.+)$/.exec(url);
  if (short === null) return undefined;
  return { username: short[1] ?? 'git', host: short[2] ?? '', port: 22, path: short[3] ?? '' };
}

/** A channel whose server has said what it has, and waits for what we want. */
interface OpenChannel {
  readonly client: Client;
  readonly channel: ClientChannel;
  readonly input: AsyncIterator<Buffer>;
  /** Bytes that came after the advertisement. */
  readonly rest: Buffer;
  readonly idle: NodeJS.Timeout;
}

export function openSshTransport(
  url: string,
  place: SshPlace,
  auth: GitAuth | undefined,
  options: Pick<WorkerOptions, 'timeouts' | 'maxBytes'>,
  secrets: Secrets,
  scope: Scope,
): GitTransport {
  const shown = publicUrl(url);
  const { connectMs, idleMs } = options.timeouts;
  /** One per service at most: left by the request for the advertisement, used by the one that follows. */
  const waiting = new Map<string, OpenChannel>();

  function drop(service: string): void {
    const open = waiting.get(service);
    waiting.delete(service);
    if (open === undefined) return;
    clearTimeout(open.idle);
    open.client.end();
  }

  function connect(service: string): Promise<{ client: Client; channel: ClientChannel }> {
    if (auth?.kind !== 'ssh')
      throw new AdapterError('denied', 'GitAuthFailed', `${shown} is an SSH address and needs a deploy key.`);
    const keys = knownKeys(secrets.read(auth.knownHosts, 'known hosts'), place.host, place.port);
    if (keys.algorithms.length === 0)
      throw new AdapterError(
        'denied',
        'GitHostKeyUnknown',
        `The known hosts have no key for ${place.host}, port ${place.port}, so nothing is sent to it. Add the line that ssh-keyscan prints, after checking its fingerprint.`,
      );
    const privateKey = secrets.read(auth.privateKey, 'deploy key');
    const passphrase =
      auth.passphrase === undefined
        ? {}
        : { passphrase: secrets.read(auth.passphrase, 'passphrase of the deploy key') };
    return new Promise((resolve, reject) => {
      const client = new Client();
      let refusedKey = false;
      const fail = (error: AdapterError): void => {
        scope.signal.removeEventListener('abort', onAbort);
        client.destroy();
        reject(error);
      };
      const onAbort = (): void => fail(stopped(scope.signal, url));
      scope.signal.addEventListener('abort', onAbort);
      client.on('error', (error: Error & { level?: string }) => {
        if (refusedKey)
          fail(
            new AdapterError(
              'denied',
              'GitHostKeyRefused',
              `${place.host} shows a host key that is not the one in the known hosts. Somebody may be in between, or the host has a new key: compare fingerprints before changing the known hosts.`,
            ),
          );
        else if (error.level === 'client-authentication')
          fail(
            new AdapterError('denied', 'GitAuthFailed', `${shown} refuses our deploy key for user ${place.username}.`),
          );
        else if (error.level === 'client-timeout')
          fail(new AdapterError('transient', 'GitTimeout', `${shown} did not answer in time (SSH).`));
        else
          fail(
            new AdapterError(
              'transient',
              'GitUnreachable',
              `${shown} cannot be reached (SSH: ${quote(error.message)}).`,
            ),
          );
      });
      client.on('close', () =>
        fail(new AdapterError('transient', 'GitUnreachable', `${shown} closed the SSH connection.`)),
      );
      client.on('ready', () => {
        client.exec(`${service} '${place.path.replaceAll("'", `'\\''`)}'`, (error, channel) => {
          scope.signal.removeEventListener('abort', onAbort);
          if (error)
            fail(new AdapterError('transient', 'GitUnreachable', `${shown} opens no channel: ${quote(error.message)}`));
          else resolve({ client, channel });
        });
      });
      try {
        client.connect({
          host: place.host,
          port: place.port,
          username: place.username,
          privateKey,
          ...passphrase,
          readyTimeout: connectMs,
          keepaliveInterval: 10_000,
          algorithms: { serverHostKey: keys.algorithms.filter(isHostKeyAlgorithm) },
          hostVerifier: (key: Buffer) => {
            refusedKey = !keys.accepts(key);
            return !refusedKey;
          },
        });
      } catch {
        // What the library says here may quote the key.
        fail(
          new AdapterError(
            'denied',
            'GitAuthFailed',
            'The deploy key cannot be read: wrong format, or a wrong passphrase.',
          ),
        );
      }
    });
  }

  /** The next piece of an answer, not later than the limits allow. */
  async function next(client: Client, input: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    const late = (): void => void client.destroy();
    const timer = setTimeout(late, idleMs);
    scope.signal.addEventListener('abort', late);
    try {
      return await input.next();
    } catch {
      if (scope.signal.aborted) throw stopped(scope.signal, url);
      throw new AdapterError('transient', 'GitUnreachable', `${shown} broke off in the middle of an answer (SSH).`);
    } finally {
      clearTimeout(timer);
      scope.signal.removeEventListener('abort', late);
    }
  }

  async function advertisement(service: string): Promise<Buffer> {
    drop(service);
    const { client, channel } = await connect(service);
    let said = '';
    channel.stderr.on('data', (data: Buffer) => {
      if (said.length < 1000) said += data.toString('utf8');
    });
    const input: AsyncIterator<Buffer> = channel[Symbol.asyncIterator]();
    let bytes = Buffer.alloc(0);
    for (let at = 0; ;) {
      while (bytes.length >= at + 4) {
        const length = parseInt(bytes.toString('latin1', at, at + 4), 16);
        if (length === 0) {
          const idle = setTimeout(() => drop(service), idleMs);
          idle.unref();
          waiting.set(service, { client, channel, input, rest: bytes.subarray(at + 4), idle });
          return bytes.subarray(0, at + 4);
        }
        if (Number.isNaN(length) || length < 4) {
          client.end();
          throw new AdapterError(
            'rejected',
            'GitNotARepository',
            `${shown} answers over SSH, but not as a Git server does.`,
          );
        }
        if (bytes.length < at + length) break;
        at += length;
      }
      const piece = await next(client, input);
      if (piece.done === true) {
        client.end();
        throw new AdapterError(
          'missing',
          'GitNotFound',
          `${shown} is not a repository that we can see. It said: ${quote(said) || 'nothing'}`,
        );
      }
      bytes = Buffer.concat([bytes, piece.value]);
    }
  }

  async function* answer(open: OpenChannel): AsyncGenerator<Uint8Array> {
    let total = open.rest.length;
    try {
      if (open.rest.length > 0) yield open.rest;
      for (;;) {
        const piece = await next(open.client, open.input);
        if (piece.done === true) return;
        total += piece.value.length;
        if (total > options.maxBytes)
          throw new AdapterError('rejected', 'GitTooLarge', `${shown} sent more than we accept.`);
        yield piece.value;
      }
    } finally {
      open.client.end();
    }
  }

  const respond = (target: string, type: string, body: AsyncIterableIterator<Uint8Array>): GitHttpResponse => ({
    url: target,
    statusCode: 200,
    statusMessage: 'OK',
    headers: { 'content-type': type },
    body,
  });

  return {
    // isomorphic-git only looks at the scheme; nothing is ever sent to this address.
    url: 'https://ssh.invalid/repository.git',
    shown,
    protocol: 1,
    async request(call) {
      const target = new URL(call.url);
      if (call.method !== 'POST') {
        const service = target.searchParams.get('service') ?? '';
        const line = `# service=${service}\n`;
        const head = Buffer.from(`${(line.length + 4).toString(16).padStart(4, '0')}${line}0000`);
        const refs = await advertisement(service);
        async function* both(): AsyncGenerator<Uint8Array> {
          yield head;
          yield refs;
        }
        return respond(call.url, `application/x-${service}-advertisement`, both());
      }
      const service = target.pathname.slice(target.pathname.lastIndexOf('/') + 1);
      const open = waiting.get(service);
      if (open === undefined)
        throw new AdapterError('transient', 'GitUnreachable', `${shown} closed the SSH connection early.`);
      waiting.delete(service);
      clearTimeout(open.idle);
      open.channel.end((await wholeBody(call.body)) ?? Buffer.alloc(0));
      return respond(call.url, `application/x-${service}-result`, answer(open));
    },
    async close() {
      for (const service of [...waiting.keys()]) drop(service);
    },
  };
}

const hostKeyAlgorithms: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
  'rsa-sha2-512',
  'rsa-sha2-256',
];

function isHostKeyAlgorithm(name: string): name is ServerHostKeyAlgorithm {
  return hostKeyAlgorithms.some((known) => known === name);
}
