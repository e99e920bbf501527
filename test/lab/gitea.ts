// A real Gitea on loopback with a database in a file: people, organizations and tokens are made over its own command and API.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { forgeFolder } from './assets.ts';
import { freePorts } from './ports.ts';
import { startProcess } from './process.ts';
import { until } from './wait.ts';

/** An answer of the API. */
export interface GiteaAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
}

/** A Gitea that runs. */
export interface Gitea {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Root of the API. */
  readonly api: string;
  /** A token of the administrator for everything. */
  readonly adminToken: string;
  /** The bare repository of a project on disk. */
  repository(project: string): string;
  /** One request, as the owner of a token. Throws when the answer is no success, unless `mayFail`. */
  ask(
    method: string,
    path: string,
    options?: { readonly token?: string; readonly body?: unknown; readonly mayFail?: boolean },
  ): Promise<GiteaAnswer>;
  /** Makes an account and returns its id and a token with these scopes (`all` when none are given). */
  account(login: string, scopes?: readonly string[]): Promise<{ readonly id: number; readonly token: string }>;
  /** SIGTERM, then SIGKILL, and its data is removed. */
  stop(): Promise<void>;
}

/** Thrown when Gitea was not built; the message is one sentence that says what to do. */
export class NoGitea extends Error {
  override readonly name = 'NoGitea';
}

const run = promisify(execFile);
/** Everybody's password; the server is reached from this machine only. */
const password = 'correct-horse-9';
/** Migrations of an empty database take three seconds; on a busy machine many times as long. */
const startMs = 120_000;

/** Starts a Gitea with nobody but an administrator in it. `settings` are further lines of its app.ini. Throws {@link NoGitea}. */
export async function startGitea(options: { readonly settings?: string } = {}): Promise<Gitea> {
  const folder = forgeFolder();
  const program = join(folder, 'gitea');
  if (!existsSync(program) || !existsSync(join(folder, 'files')))
    throw new NoGitea(
      'There is no Gitea to test against: run "node test/lab/install.ts --forge" once (it needs Go and a C compiler).',
    );
  const data = mkdtempSync(join(tmpdir(), 'oakum-gitea-'));
  const [port = 0] = await freePorts(1);
  const url = `http://127.0.0.1:${port}`;
  const config = join(data, 'app.ini');
  mkdirSync(join(data, 'home'));
  writeFileSync(config, configuration({ data, files: join(folder, 'files'), port, url, more: options.settings ?? '' }));
  const environment = {
    PATH: process.env['PATH'],
    HOME: join(data, 'home'),
    GITEA_WORK_DIR: data,
    GIT_CONFIG_NOSYSTEM: '1',
    TMPDIR: data,
  };
  const command = async (...words: string[]): Promise<string> =>
    (await run(program, [...words, '--config', config], { env: environment, cwd: data, timeout: startMs })).stdout;
  let started;
  try {
    await command('migrate');
    const admin = ['--username', 'root-of-all', '--password', password, '--email', 'root@example.org'];
    await command('admin', 'user', 'create', '--admin', '--must-change-password=false', ...admin);
    const token = await command(
      'admin',
      'user',
      'generate-access-token',
      '--raw',
      '--username',
      'root-of-all',
      '--scopes',
      'all',
    );
    // Before it stands a warning, when it runs as root.
    started = { token: /^[0-9a-f]{40}$/m.exec(token)?.[0] ?? '' };
  } catch (error) {
    rmSync(data, { recursive: true, force: true });
    throw error;
  }
  const server = await startProcess({
    name: 'gitea',
    file: program,
    words: ['web', '--config', config],
    logPath: join(data, 'gitea.log'),
    environment,
    cwd: data,
  });
  const stop = async (): Promise<void> => {
    await server.stop();
    rmSync(data, { recursive: true, force: true });
  };
  const api = `${url}/api/v1`;
  const ask: Gitea['ask'] = async (method, path, { token = started.token, body, mayFail = false } = {}) => {
    const answer = await fetch(api + path, {
      method,
      headers: { authorization: `token ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(60_000),
    });
    const text = await answer.text();
    if (!answer.ok && !mayFail) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 500)}`);
    return { status: answer.status, headers: answer.headers, body: parsed(text) };
  };
  try {
    await until(
      `gitea answers at ${url}`,
      async () => {
        if (!server.running()) throw new Error(server.tail());
        return (await fetch(`${api}/version`, { signal: AbortSignal.timeout(5_000) })).ok;
      },
      startMs,
    );
  } catch (error) {
    const tail = server.tail(30);
    await stop();
    throw new Error(`Gitea does not start:\n${tail}`, { cause: error });
  }
  return {
    url,
    api,
    adminToken: started.token,
    repository: (project) => join(data, 'repositories', `${project.toLowerCase()}.git`),
    ask,
    async account(login, scopes = ['all']) {
      const email = `${login}@example.org`;
      const made = await ask('POST', '/admin/users', {
        body: { username: login, email, password, must_change_password: false },
      });
      // Tokens are made with the password of their owner only.
      const answer = await fetch(`${api}/users/${login}/tokens`, {
        method: 'POST',
        headers: {
          authorization: `Basic ${Buffer.from(`${login}:${password}`).toString('base64')}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ name: 'lab', scopes }),
        signal: AbortSignal.timeout(60_000),
      });
      if (!answer.ok) throw new Error(`no token for ${login}: ${answer.status} ${await answer.text()}`);
      const { sha1 } = (await answer.json()) as { sha1: string };
      return { id: (made.body as { id: number }).id, token: sha1 };
    },
    stop,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function configuration(at: {
  readonly data: string;
  readonly files: string;
  readonly port: number;
  readonly url: string;
  readonly more: string;
}): string {
  const user = userInfo();
  return `APP_NAME = lab
RUN_MODE = prod
RUN_USER = ${user.username}
WORK_PATH = ${at.data}
${user.uid === 0 ? 'I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true\n' : ''}
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = ${at.port}
ROOT_URL = ${at.url}/
DOMAIN = 127.0.0.1
APP_DATA_PATH = ${at.data}/data
STATIC_ROOT_PATH = ${at.files}
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = false

[database]
DB_TYPE = sqlite3
PATH = ${at.data}/gitea.db

[repository]
ROOT = ${at.data}/repositories
DEFAULT_BRANCH = main

[security]
INSTALL_LOCK = true
SECRET_KEY = of-this-laboratory-only
PASSWORD_HASH_ALGO = pbkdf2$1$1

[oauth2]
ENABLED = false

[log]
MODE = console
LEVEL = Warn

[mailer]
ENABLED = false

[service]
DISABLE_REGISTRATION = true

[webhook]
ALLOWED_HOST_LIST = loopback

[cron]
ENABLED = false

[actions]
ENABLED = false

[packages]
ENABLED = false

[indexer]
ISSUE_INDEXER_TYPE = db

[queue]
TYPE = channel

${at.more}
`;
}
