// What stands before Git servers in real life, from Debian's packages: nginx with fcgiwrap, and the HTTP proxy tinyproxy.
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { connect } from 'node:net';
import { join } from 'node:path';
import { must } from '../os/commands.ts';
import { gitEnvironment } from '../support/git-server.ts';
import { createAuthority } from './certificates.ts';
import { freePorts } from './ports.ts';
import { startProcess, type LabProcess } from './process.ts';
import { until } from './wait.ts';

/** The programs, unpacked and not installed: an installed nginx would start by itself and listen to the world. */
const packages = ['nginx', 'fcgiwrap', 'libfcgi0ldbl', 'tinyproxy-bin'];

function folderOf(): string {
  return join(process.env['OAKUM_CACHE'] ?? join(homedir(), '.cache', 'oakum'), 'git-fronts', 'bookworm');
}

/** Are the programs there? */
export function haveGitFronts(): boolean {
  return existsSync(folderOf());
}

/** Fetches and unpacks what is missing, with apt of Debian 12; needs no root. Throws when apt or its lists are not there. */
export async function installGitFronts(say: (line: string) => void): Promise<void> {
  if (haveGitFronts()) return say('nginx, fcgiwrap and tinyproxy: there already');
  say('nginx, fcgiwrap and tinyproxy: fetching the packages of Debian ...');
  const folder = folderOf();
  mkdirSync(join(folder, '..'), { recursive: true });
  const part = await mkdtemp(`${folder}.part-`);
  try {
    await must('apt-get', ['download', '-o', 'APT::Sandbox::User=', ...packages], { cwd: part, timeout: 300_000 });
    for (const name of readdirSync(part).filter((one) => one.endsWith('.deb')))
      await must('dpkg-deb', ['--extract', join(part, name), part]);
    await rename(part, folder);
  } catch (error) {
    await rm(part, { recursive: true, force: true });
    throw error;
  }
}

/** A bare repository behind nginx. */
export interface GitBehindNginx {
  /** `https://localhost:<port>/repository.git`. */
  readonly url: string;
  readonly repository: string;
  /** A folder of this server alone, gone after `stop`. */
  readonly folder: string;
  /** PEM of the authority that signed nginx's certificate; nobody else trusts it. */
  readonly authority: string;
  /** Another authority, which signed nothing here. */
  readonly stranger: string;
  /** Lines of nginx's access log: method, path, status, user, bytes of the request. */
  readonly logPath: string;
  /** Stops fcgiwrap, so that nginx answers 502, and starts it again. */
  stopBackend(): Promise<void>;
  startBackend(): Promise<void>;
  stop(): Promise<void>;
}

/** The one user that nginx lets in. */
export const nginxUser = { name: 'oakum-bot', password: 'a-password-of-the-lab' } as const;

/** Starts both. `maxBody` is nginx's client_max_body_size (its own default is 1m). */
export async function startGitBehindNginx(maxBody: string): Promise<GitBehindNginx> {
  const programs = folderOf();
  const folder = await mkdtemp(join(tmpdir(), 'oakum-nginx-'));
  const repository = join(folder, 'git', 'repository.git');
  await must('git', ['init', '--quiet', '--bare', '-b', 'main', repository], { env: { HOME: folder } });
  await must('git', ['-C', repository, 'config', 'http.receivepack', 'true'], { env: { HOME: folder } });
  const [port = 0] = await freePorts(1);
  const authority = await createAuthority(join(folder, 'pki'));
  const stranger = await createAuthority(join(folder, 'pki-of-others'));
  const serving = await authority.issue('nginx', '/CN=git.example.org', ['DNS:localhost']);
  const hash = (await must('openssl', ['passwd', '-apr1', nginxUser.password])).trim();
  await writeFile(join(folder, 'passwords'), `${nginxUser.name}:${hash}\n`);
  const socket = join(folder, 'fcgiwrap');
  const backendPath = join((await must('git', ['--exec-path'])).trim(), 'git-http-backend');
  for (const name of ['body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) await mkdir(join(folder, name));
  await writeFile(
    join(folder, 'nginx.conf'),
    `daemon off;
${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
pid ${folder}/pid;
error_log ${folder}/error.log;
events { worker_connections 64; }
http {
  log_format short '$request_method $request_uri $status $remote_user $request_length';
  access_log ${folder}/access.log short;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port} ssl;
    server_name localhost;
    ssl_certificate ${serving.certificatePath};
    ssl_certificate_key ${serving.keyPath};
    client_max_body_size ${maxBody};
    gzip on;
    location / {
      auth_basic git;
      auth_basic_user_file ${folder}/passwords;
      fastcgi_pass unix:${socket};
      fastcgi_param SCRIPT_FILENAME ${backendPath};
      fastcgi_param GIT_PROJECT_ROOT ${folder}/git;
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param GIT_PROTOCOL $http_git_protocol;
      fastcgi_param REMOTE_USER $remote_user;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
    }
  }
}
`,
  );
  const startBackend = (): Promise<LabProcess> =>
    startProcess({
      name: 'fcgiwrap',
      file: join(programs, 'usr/sbin/fcgiwrap'),
      words: ['-s', `unix:${socket}`, '-f'],
      logPath: join(folder, 'fcgiwrap.log'),
      environment: { ...gitEnvironment, LD_LIBRARY_PATH: join(programs, 'usr/lib/x86_64-linux-gnu') },
    });
  let backend = await startBackend();
  const nginx = await startProcess({
    name: 'nginx',
    file: join(programs, 'usr/sbin/nginx'),
    words: ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log'), '-p', folder],
    logPath: join(folder, 'nginx.log'),
  });
  const stop = async (): Promise<void> => {
    await nginx.stop(2_000);
    await backend.stop(2_000);
    await rm(folder, { recursive: true, force: true });
  };
  await listens(port, nginx).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    url: `https://localhost:${port}/repository.git`,
    repository,
    folder,
    authority: authority.certificate,
    stranger: stranger.certificate,
    logPath: join(folder, 'access.log'),
    stopBackend: () => backend.stop(2_000),
    async startBackend() {
      await rm(socket, { force: true });
      backend = await startBackend();
      await until('fcgiwrap listens', () => existsSync(socket));
    },
    stop,
  };
}

/** A real forward proxy, with a password. */
export interface ForwardProxy {
  /** With user and password, as it stands in HTTPS_PROXY. */
  readonly url: string;
  readonly urlWithoutPassword: string;
  readonly password: string;
  /** What it wrote about its connections. */
  log(): string;
  stop(): Promise<void>;
}

/** Starts tinyproxy; it connects to any port of this machine, for whoever knows the password. */
export async function startForwardProxy(): Promise<ForwardProxy> {
  const folder = await mkdtemp(join(tmpdir(), 'oakum-proxy-'));
  const [port = 0] = await freePorts(1);
  const password = 'p-of-the-proxy';
  const lines = ['Listen 127.0.0.1', `Port ${port}`, 'Timeout 60', `BasicAuth proxy ${password}`, 'LogLevel Connect'];
  await writeFile(join(folder, 'tinyproxy.conf'), `${lines.join('\n')}\n`);
  const proxy = await startProcess({
    name: 'tinyproxy',
    file: join(folderOf(), 'usr/bin/tinyproxy'),
    words: ['-d', '-c', join(folder, 'tinyproxy.conf')],
    logPath: join(folder, 'log'),
  });
  await listens(port, proxy);
  return {
    url: `http://proxy:${password}@127.0.0.1:${port}`,
    urlWithoutPassword: `http://127.0.0.1:${port}`,
    password,
    log: () => proxy.tail(1_000),
    async stop() {
      await proxy.stop(2_000);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Waits until something listens on the port. */
async function listens(port: number, process: LabProcess): Promise<void> {
  await until(`${process.name} listens`, async () => {
    if (!process.running()) throw new Error(process.tail());
    return new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => resolve(socket.destroy().destroyed));
      socket.once('error', () => resolve(false));
    });
  });
}
