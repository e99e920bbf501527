// A real Git server for tests: `git http-backend` behind node:http on 127.0.0.1, with credentials and faults on demand.
import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** What a request meets instead of (or before) Git. */
export interface Fault {
  /** Answer with this status. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Wait before anything is answered. */
  readonly delayMs?: number;
  /** Cut the connection after so many bytes of Git's answer. */
  readonly cutAfter?: number;
  /** Let Git do its work, then cut the connection without a word. */
  readonly loseAnswer?: boolean;
  /** Do this before Git sees the request. */
  readonly before?: () => Promise<void> | void;
}

/** One request as it came. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
}

export interface GitServer {
  /** Address of the bare repository. */
  readonly url: string;
  /** The bare repository on disk, for native git. */
  readonly repository: string;
  /** A folder of this server alone, gone after `stop`. */
  readonly folder: string;
  readonly seen: SeenRequest[];
  /** Bytes of answers by Git so far. */
  sent: number;
  /** Decides for every request; undefined lets it through. */
  fault: ((request: SeenRequest) => Fault | undefined) | undefined;
  /** `Authorization` values that are let in; undefined lets everybody in. */
  allowed: readonly string[] | undefined;
  /** Stops listening; `up` listens on the same port again. */
  down(): Promise<void>;
  up(): Promise<void>;
  stop(): Promise<void>;
}

const run = promisify(execFile);

/** The environment of every git process in tests: nothing of the machine's own settings. */
export const gitEnvironment = {
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_AUTHOR_NAME: 'Person',
  GIT_AUTHOR_EMAIL: 'person@example.org',
  GIT_COMMITTER_NAME: 'Person',
  GIT_COMMITTER_EMAIL: 'person@example.org',
  GIT_TERMINAL_PROMPT: '0',
};

/** Runs native git in a folder and returns what it printed. */
export async function git(folder: string, ...words: string[]): Promise<string> {
  const { stdout } = await run('git', words, { cwd: folder, env: gitEnvironment, maxBuffer: 256 * 1024 * 1024 });
  return stdout.trimEnd();
}

/** Commits files to a branch of a bare repository by `git fast-import`, as fast as git can; `undefined` removes a file. */
export function commitFiles(
  repository: string,
  branch: string,
  files: Readonly<Record<string, string | Buffer | undefined>>,
  options: {
    readonly message?: string;
    readonly onto?: string;
    readonly modes?: Readonly<Record<string, string>>;
  } = {},
): string {
  const ref = `refs/heads/${branch}`;
  const parent = options.onto ?? tipOf(repository, ref);
  const message = Buffer.from(options.message ?? 'a change');
  const now = Math.floor(Date.now() / 1000);
  const parts: Buffer[] = [
    Buffer.from(`commit ${ref}\ncommitter Person <person@example.org> ${now} +0000\ndata ${message.length}\n`),
    message,
    Buffer.from(`\n${parent === undefined || parent === '' ? '' : `from ${parent}\n`}`),
  ];
  for (const [file, text] of Object.entries(files)) {
    if (text === undefined) {
      parts.push(Buffer.from(`D ${file}\n`));
      continue;
    }
    const mode = options.modes?.[file] ?? '100644';
    if (mode === '160000') {
      parts.push(Buffer.from(`M 160000 ${text.toString()} ${file}\n`));
      continue;
    }
    const content = Buffer.from(text);
    parts.push(Buffer.from(`M ${mode} inline ${file}\ndata ${content.length}\n`), content, Buffer.from('\n'));
  }
  execFileSync('git', ['fast-import', '--quiet', '--force', '--date-format=raw-permissive'], {
    cwd: repository,
    env: gitEnvironment,
    input: Buffer.concat(parts),
  });
  return tipOf(repository, ref) ?? '';
}

function tipOf(repository: string, ref: string): string | undefined {
  try {
    return execFileSync('git', ['rev-parse', '--verify', '--quiet', ref], { cwd: repository, env: gitEnvironment })
      .toString()
      .trim();
  } catch {
    return undefined;
  }
}

function environmentOf(request: http.IncomingMessage, folder: string, url: URL): Record<string, string> {
  const protocol = request.headers['git-protocol'];
  const encoding = request.headers['content-encoding'];
  const length = request.headers['content-length'];
  return {
    ...gitEnvironment,
    GIT_PROJECT_ROOT: folder,
    GIT_HTTP_EXPORT_ALL: '1',
    REMOTE_USER: 'tester',
    PATH_INFO: decodeURIComponent(url.pathname),
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method ?? 'GET',
    CONTENT_TYPE: request.headers['content-type'] ?? '',
    ...(length === undefined ? {} : { CONTENT_LENGTH: length }),
    ...(typeof protocol === 'string' ? { GIT_PROTOCOL: protocol } : {}),
    ...(encoding === undefined ? {} : { HTTP_CONTENT_ENCODING: encoding }),
  };
}

/** Hands one request to `git http-backend` (CGI, RFC 3875). */
async function backend(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  folder: string,
  url: URL,
  fault: Fault | undefined,
): Promise<number> {
  const child = spawn('git', ['http-backend'], { env: environmentOf(request, folder, url) });
  child.stdin.on('error', () => undefined);
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  let headDone = false;
  let sent = 0;
  const write = (chunk: Buffer): void => {
    if (fault?.loseAnswer === true) return;
    const rest = fault?.cutAfter === undefined ? chunk : chunk.subarray(0, Math.max(0, fault.cutAfter - sent));
    sent += chunk.length;
    if (rest.length > 0) response.write(rest);
  };
  child.stdout.on('data', (chunk: Buffer) => {
    if (headDone) return write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    headDone = true;
    let status = 200;
    for (const line of head.toString('latin1', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(/:\s*/, 2);
      if (name.toLowerCase() === 'status') status = parseInt(value, 10);
      else if (fault?.loseAnswer !== true) response.setHeader(name, value);
    }
    response.statusCode = status;
    write(head.subarray(end + 4));
  });
  await new Promise<void>((resolve) => child.on('close', () => resolve()));
  // What was written must reach the other side before the end does.
  if (fault?.cutAfter !== undefined) await delay(20);
  if (fault?.loseAnswer === true || fault?.cutAfter !== undefined) request.socket.destroy();
  else response.end();
  return sent;
}

/** Starts a server with one bare repository, empty, whose HEAD names `main`. */
export async function startGitServer(): Promise<GitServer> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oakum-git-'));
  const repository = path.join(folder, 'repository.git');
  execFileSync('git', ['init', '--quiet', '--bare', '-b', 'main', repository], { env: gitEnvironment });
  execFileSync('git', ['config', 'http.receivepack', 'true'], { cwd: repository, env: gitEnvironment });
  execFileSync('git', ['config', 'gc.auto', '0'], { cwd: repository, env: gitEnvironment });
  execFileSync('git', ['config', 'receive.autogc', 'false'], { cwd: repository, env: gitEnvironment });

  async function serve(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const { authorization } = request.headers;
    const seen: SeenRequest = { method: request.method ?? '', path: url.pathname + url.search, authorization };
    server.seen.push(seen);
    const fault = server.fault?.(seen);
    if (fault?.delayMs !== undefined) await delay(fault.delayMs);
    if (fault?.status !== undefined) {
      response.writeHead(fault.status, { 'content-type': 'text/plain', ...fault.headers }).end(fault.body ?? '');
      return;
    }
    if (server.allowed !== undefined && !server.allowed.includes(authorization ?? '')) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"', 'content-type': 'text/plain' });
      response.end(`denied: ${authorization ?? 'nobody'}`);
      return;
    }
    await fault?.before?.();
    server.sent += await backend(request, response, folder, url, fault);
  }

  let listener: http.Server | undefined;
  let port = 0;
  const up = async (): Promise<void> => {
    const fresh = http.createServer((request, response) => {
      serve(request, response).catch(() => request.socket.destroy());
    });
    await new Promise<void>((resolve, reject) => {
      fresh.once('error', reject);
      fresh.listen(port, '127.0.0.1', resolve);
    });
    listener = fresh;
    port = (fresh.address() as AddressInfo).port;
  };
  const down = async (): Promise<void> => {
    const old = listener;
    listener = undefined;
    old?.closeAllConnections();
    await new Promise<void>((resolve) => (old === undefined ? resolve() : old.close(() => resolve())));
  };
  await up();
  const server: GitServer = {
    url: `http://127.0.0.1:${port}/repository.git`,
    repository,
    folder,
    seen: [],
    sent: 0,
    fault: undefined,
    allowed: undefined,
    down,
    up,
    async stop() {
      await down();
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
  return server;
}
