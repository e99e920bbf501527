// Git as companies serve it: `git http-backend` behind nginx with TLS of an authority of their own, a password, limits; and through a proxy.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { GitOptions } from '../../reconciler/adapters/git-options.ts';
import type { Git } from '../../reconciler/ports.ts';
import { adapter, failure, snapshot } from '../contract/git-support.ts';
import { nginxUser, startForwardProxy, startGitBehindNginx, type GitBehindNginx } from '../lab/git-fronts.ts';
import { commitFiles, git } from '../support/git-server.ts';

let nginx: GitBehindNginx;
let commits = 0;
beforeAll(async () => {
  nginx = await startGitBehindNginx('4m');
  commitFiles(nginx.repository, 'main', { 'oakum.yaml': 'kind: Fleet\n' });
});
afterAll(() => nginx?.stop());

const auth = { kind: 'basic', username: nginxUser.name, password: { value: nginxUser.password } } as const;

function trusting(changes: Partial<GitOptions> = {}): Git {
  return adapter(nginx, { ca: nginx.authority, auth, ...changes });
}

/** Lines that nginx wrote since `before`. */
function seen(before: string): string[] {
  return accessLog().slice(before.length).split('\n').filter(Boolean);
}

function accessLog(): string {
  return readFileSync(nginx.logPath, 'utf8');
}

/** Something new to read and its commit. */
function commit(files: Readonly<Record<string, string>> = {}): string {
  return commitFiles(nginx.repository, 'main', { 'clusters/prod/policy.yaml': `${(commits += 1)}\n`, ...files });
}

/** Sets variables of the environment for one test; undefined takes one away. */
function environment(values: Readonly<Record<string, string | undefined>>): void {
  const old = Object.fromEntries(Object.keys(values).map((name) => [name, process.env[name]]));
  const put = (all: Readonly<Record<string, string | undefined>>): void => {
    for (const [name, value] of Object.entries(all)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = value;
    }
  };
  put(values);
  onTestFinished(() => put(old));
}

const noise = (bytes: number): string => randomBytes(bytes / 2).toString('hex');

describe('behind nginx', () => {
  it('reads and pushes with a password, trusting an authority of its own', async () => {
    const before = accessLog();
    const wanted = commit();
    const port = trusting();
    expect((await snapshot(port)).commit).toBe(wanted);
    await port.publish({ files: new Map([['fleet.yaml', 'a: 1\n']]), message: 'status' });
    expect(await git(nginx.repository, 'show', 'oakum/status:fleet.yaml')).toBe('a: 1');
    const lines = seen(before);
    expect(lines.some((line) => /^POST \S+git-receive-pack 200 oakum-bot /.test(line))).toBe(true);
    expect(lines.every((line) => line.includes(' 200 oakum-bot '))).toBe(true);
  });

  it.each<[string, () => Partial<GitOptions>]>([
    ['nobody vouches for', () => ({ ca: nginx.stranger })],
    ['the system does not know', () => ({})],
    ['has another name', () => ({ ca: nginx.authority, url: nginx.url.replace('localhost', '127.0.0.1') })],
  ])('tells nothing to a server whose certificate %s', async (_what, changes) => {
    const before = accessLog();
    const error = await failure(adapter(nginx, { auth, ...changes() }).sync({ after: undefined }));
    expect(error).toMatchObject({ kind: 'denied', code: 'GitCertificateRefused' });
    expect(error.message).toMatch(/--git-ca-file.* ca\.crt|another name/);
    expect(seen(before).filter((line) => line.includes('oakum-bot'))).toEqual([]);
  });

  it('says that a wrong password is wrong', async () => {
    const wrong = { ...auth, password: { value: 'not-the-password' } };
    const error = await failure(trusting({ auth: wrong }).sync({ after: undefined }));
    expect(error).toMatchObject({ kind: 'denied', code: 'GitAuthFailed' });
    expect(error.message).not.toContain('not-the-password');
  });

  it('reads and pushes what nginx has to keep in files of its own', async () => {
    // Larger files are not read.
    const names = Array.from({ length: 40 }, (_, index) => `clusters/prod/manifests/${index}.yaml`);
    const files = Object.fromEntries(names.map((name) => [name, noise(200_000)]));
    const wanted = commit(files);
    const port = trusting();
    const read = await snapshot(port);
    expect(read.commit).toBe(wanted);
    for (const name of names) expect(read.files.get(name)?.text === files[name], name).toBe(true);
    const status = noise(2 * 2 ** 20);
    await port.publish({ files: new Map([['fleet.yaml', status]]), message: 'much to say' });
    expect((await git(nginx.repository, 'show', 'oakum/status:fleet.yaml')) === status).toBe(true);
  });

  it('says what to do when a push is larger than nginx lets through, and goes on with smaller ones', async () => {
    const port = trusting();
    const files = new Map([['fleet.yaml', noise(24 * 2 ** 20)]]);
    const error = await failure(port.publish({ files, message: 'too much to say' }));
    expect(error).toMatchObject({ kind: 'rejected', code: 'GitPushTooLarge' });
    expect(error.message).toMatch(/HTTP 413.*client_max_body_size/);
    await port.publish({ files: new Map([['fleet.yaml', 'b: 1\n']]), message: 'less to say' });
    expect(await git(nginx.repository, 'show', 'oakum/status:fleet.yaml')).toBe('b: 1');
  });

  it('waits for a backend that is down, and goes on when it is back', async () => {
    const port = trusting();
    await nginx.stopBackend();
    expect(await failure(port.sync({ after: undefined }))).toMatchObject({ kind: 'transient', code: 'GitUnreachable' });
    await nginx.startBackend();
    expect((await snapshot(port)).commit).toBe(await git(nginx.repository, 'rev-parse', 'main'));
  });
});

describe('through a proxy', () => {
  it('reads and pushes, and the proxy sees only the name of the server', async () => {
    const proxy = await startForwardProxy();
    onTestFinished(() => proxy.stop());
    environment({ HTTPS_PROXY: proxy.url, https_proxy: undefined, NO_PROXY: undefined, no_proxy: undefined });
    const wanted = commit();
    const port = trusting();
    expect((await snapshot(port)).commit).toBe(wanted);
    await port.publish({ files: new Map([['fleet.yaml', 'c: 1\n']]), message: 'status' });
    expect(await git(nginx.repository, 'show', 'oakum/status:fleet.yaml')).toBe('c: 1');
    expect(proxy.log()).toMatch(/CONNECT localhost:\d+ HTTP/);
    expect(proxy.log()).not.toContain('repository.git');
  });

  it('goes past the proxy for hosts of NO_PROXY', async () => {
    const proxy = await startForwardProxy();
    onTestFinished(() => proxy.stop());
    environment({
      HTTPS_PROXY: proxy.url,
      NO_PROXY: 'example.org,localhost',
      https_proxy: undefined,
      no_proxy: undefined,
    });
    const wanted = commit();
    expect((await snapshot(trusting())).commit).toBe(wanted);
    expect(proxy.log()).not.toContain('CONNECT localhost');
  });

  it('names the proxy when it refuses us, or is not there, and never its password', async () => {
    const proxy = await startForwardProxy();
    environment({
      HTTPS_PROXY: proxy.url.replace(proxy.password, 'wrong-password'),
      https_proxy: undefined,
      NO_PROXY: undefined,
      no_proxy: undefined,
    });
    const refused = await failure(trusting().sync({ after: undefined }));
    await proxy.stop();
    const gone = await failure(trusting().sync({ after: undefined }));
    for (const error of [refused, gone]) {
      expect(error.message).toContain(proxy.urlWithoutPassword);
      expect(error.message).not.toContain('wrong-password');
    }
    expect(refused).toMatchObject({ kind: 'denied', code: 'GitProxyRefused' });
    // 407 says RFC 9110; tinyproxy says 401 to a wrong password and 407 to none.
    expect(refused.message).toMatch(/HTTP 40[17]/);
    expect(gone).toMatchObject({ kind: 'transient', code: 'GitUnreachable' });
  });
});
