import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { commitFiles, git } from '../support/git-server.ts';
import { adapter, failure, server, snapshot, type HeardLog } from './git-support.ts';

const canary = 'canary-7f3a91-token';
const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('a Git server in trouble', () => {
  it('down, then up again: an error, then the same adapter goes on', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const port = adapter(remote);
    await remote.down();
    expect(await failure(port.sync({ after: undefined }))).toMatchObject({ kind: 'transient', code: 'GitUnreachable' });
    await remote.up();
    expect((await snapshot(port)).commit).toBe(commit);
    await remote.down();
    expect(await failure(port.sync({ after: commit }))).toMatchObject({ kind: 'transient', code: 'GitUnreachable' });
    await remote.up();
    expect((await port.sync({ after: commit })).kind).toBe('unchanged');
  });

  it('slow: the limit holds, and the caller may call off earlier', async () => {
    const remote = await server();
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    // Later there would be an answer, and no failure.
    remote.fault = () => ({ delayMs: 2500 });
    expect(await failure(adapter(remote, { timeouts: { operationMs: 600 } }).sync({ after: undefined }))).toMatchObject(
      { code: 'GitTimeout' },
    );
    expect(await failure(adapter(remote, { timeouts: { idleMs: 600 } }).sync({ after: undefined }))).toMatchObject({
      code: 'GitTimeout',
    });
    const signal = AbortSignal.timeout(400);
    expect(await failure(adapter(remote).sync({ after: undefined, signal }))).toMatchObject({ code: 'GitAborted' });
  });

  it.each([
    [401, {}, 'denied', 'GitAuthFailed', undefined],
    [403, {}, 'denied', 'GitAuthFailed', undefined],
    [403, { 'retry-after': '7' }, 'transient', 'GitRateLimited', 7000],
    [429, { 'retry-after': '30' }, 'transient', 'GitRateLimited', 30_000],
    [404, {}, 'missing', 'GitNotFound', undefined],
    [500, {}, 'transient', 'GitUnreachable', undefined],
    [503, { 'retry-after': '5' }, 'transient', 'GitUnreachable', 5000],
  ] as const)('HTTP %i %j is %s %s', async (status, headers, kind, code, retryAfterMs) => {
    const remote = await server();
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const port = adapter(remote);
    remote.fault = () => ({ status, headers });
    expect(await failure(port.sync({ after: undefined }))).toMatchObject({ kind, code, retryAfterMs });
    remote.fault = undefined;
    expect((await port.sync({ after: undefined })).kind).toBe('changed');
  });

  it('a login page instead of Git is said to be one', async () => {
    const remote = await server();
    remote.fault = () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>sign in</html>' });
    expect(await failure(adapter(remote).sync({ after: undefined }))).toMatchObject({ code: 'GitNotARepository' });
  });

  it('follows a redirect without taking the credentials to another host', async () => {
    const [old, now] = [await server(), await server()];
    const commit = commitFiles(now.repository, 'main', { 'a.yaml': 'a\n' });
    old.fault = ({ path: target }) => ({ status: 301, headers: { location: new URL(target, now.url).href } });
    const port = adapter(old, { auth: { kind: 'token', token: { value: canary } } });
    expect((await snapshot(port)).commit).toBe(commit);
    expect(now.seen.map(({ authorization }) => authorization)).toEqual(now.seen.map(() => undefined));
  });

  it('cut in the middle of a pack at any place: an error, and the next look succeeds', async () => {
    const remote = await server();
    const text = Array.from({ length: 3000 }, () => Math.random().toString(36)).join('\n');
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': text });
    for (const cutAfter of [3, 60, 1000, 20_000]) {
      const port = adapter(remote);
      remote.fault = ({ method, path: target }) =>
        method === 'POST' && target.includes('upload-pack') && posts++ > 0 ? { cutAfter } : undefined;
      let posts = 0;
      expect(await failure(port.sync({ after: undefined }))).toMatchObject({ kind: 'transient' });
      remote.fault = undefined;
      expect((await snapshot(port)).commit).toBe(commit);
    }
  });

  it('killed in the middle of a fetch: the next process takes over the lock and the cache', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const cacheDir = path.join(remote.folder, 'shared-cache');
    const source = `
      import { openGit } from ${JSON.stringify(new URL('../../reconciler/adapters/git.ts', import.meta.url).href)};
      const quiet = () => undefined;
      const port = openGit({ url: ${JSON.stringify(remote.url)}, cacheDir: ${JSON.stringify(cacheDir)}, wanted: 'all',
        author: { name: 'o', email: 'o@example.org' }, log: { debug: quiet, info: quiet, warn: quiet, error: quiet } });
      await port.sync({ after: undefined });`;
    remote.fault = ({ method }) => (method === 'POST' && posts++ > 0 ? { delayMs: 5000 } : undefined);
    let posts = 0;
    const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: 'ignore' });
    while (posts < 2 && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    const port = adapter(remote, { cacheDir });
    expect(await failure(port.sync({ after: undefined }))).toMatchObject({ code: 'GitCacheBusy' });
    child.kill('SIGKILL');
    await once(child, 'exit');
    remote.fault = undefined;
    const [store] = fs.globSync('config-*.git', { cwd: cacheDir });
    fs.writeFileSync(path.join(cacheDir, store ?? '', 'oakum-busy'), '');
    expect((await snapshot(port)).commit).toBe(commit);
  });

  it('a damaged cache is cloned anew by itself', async () => {
    const remote = await server();
    const first = commitFiles(remote.repository, 'main', { 'a.yaml': 'a'.repeat(5000), 'b.yaml': 'b\n' });
    const cacheDir = path.join(remote.folder, 'damaged');
    const before = adapter(remote, { cacheDir });
    await snapshot(before);
    await before.close();
    for (const pack of fs.globSync('*/objects/pack/*.pack', { cwd: cacheDir })) {
      const file = path.join(cacheDir, pack);
      const bytes = fs.readFileSync(file);
      bytes.fill(0x55, 12, bytes.length - 20);
      fs.chmodSync(file, 0o644);
      fs.writeFileSync(file, bytes);
    }
    const port = adapter(remote, { cacheDir });
    const got = await snapshot(port, first);
    expect(got.files.get('a.yaml')?.text).toBe('a'.repeat(5000));
    fs.rmSync(cacheDir, { recursive: true });
    commitFiles(remote.repository, 'main', { 'b.yaml': 'c\n' });
    expect((await snapshot(port, first)).changed).toEqual(['b.yaml']);
  });

  it('two adapters on one cache folder: the second is told', async () => {
    const remote = await server();
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const cacheDir = path.join(remote.folder, 'one-folder');
    const first = adapter(remote, { cacheDir });
    await snapshot(first);
    expect(await failure(adapter(remote, { cacheDir }).sync({ after: undefined }))).toMatchObject({
      code: 'GitCacheBusy',
    });
    await first.close();
    await snapshot(adapter(remote, { cacheDir }));
  });
});

describe('credentials', () => {
  it('are sent, are read from their file at every use, and never show', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const tokenFile = path.join(remote.folder, 'token');
    fs.writeFileSync(tokenFile, `${canary}-old\n`);
    remote.allowed = [basic('x-access-token', `${canary}-new`)];
    const heard: HeardLog = { lines: [] };
    const port = adapter(remote, { auth: { kind: 'token', token: { file: tokenFile } } }, heard);
    const error = await failure(port.sync({ after: undefined }));
    expect(error).toMatchObject({ kind: 'denied', code: 'GitAuthFailed' });
    fs.writeFileSync(tokenFile, `${canary}-new\n`);
    expect((await snapshot(port)).commit).toBe(commit);
    await port.publish({ files: new Map([['a.yaml', 'x\n']]), message: 'm' });
    // A server that repeats everything it was sent.
    remote.fault = ({ authorization }) => ({ status: 500, body: `${authorization ?? ''} ${canary}-new` });
    const echoed = await failure(port.publish({ files: new Map([['a.yaml', 'y\n']]), message: 'm' }));
    const encoded = Buffer.from(`x-access-token:${canary}`).toString('base64').slice(0, 30);
    const log = await git(remote.repository, 'log', '--all', '--format=%B%an%ae');
    for (const text of [error.message, echoed.message, String(echoed.cause), heard.lines.join('\n'), log]) {
      expect(text).not.toContain(canary);
      expect(text).not.toContain(encoded);
    }
    const written = fs.globSync('cache-*/**/{config,HEAD,lock,FETCH_HEAD}', { cwd: remote.folder });
    expect(written.length).toBeGreaterThan(0);
    for (const file of written) expect(fs.readFileSync(path.join(remote.folder, file), 'utf8')).not.toContain(canary);
  });

  it('basic and bearer are spoken', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    remote.allowed = [basic('ann', 'secret-of-ann'), `Bearer ${canary}`];
    const ann = adapter(remote, { auth: { kind: 'basic', username: 'ann', password: { value: 'secret-of-ann' } } });
    expect((await snapshot(ann)).commit).toBe(commit);
    expect((await snapshot(adapter(remote, { auth: { kind: 'bearer', token: { value: canary } } }))).commit).toBe(
      commit,
    );
    expect(await failure(adapter(remote).sync({ after: undefined }))).toMatchObject({ code: 'GitAuthFailed' });
  });

  it.each([
    `https://user:${canary}@example.org/a.git`,
    `https://${canary}@example.org/a.git`,
    `ssh://git:${canary}@example.org/a.git`,
    `ftp://example.org/${'a'}.git`,
  ])('an address that carries a password, or cannot work, is refused without repeating it', async (url) => {
    const remote = await server();
    const error = await failure(adapter(remote, { url }).sync({ after: undefined }));
    expect(error).toMatchObject({ kind: 'rejected', code: 'GitBadUrl' });
    expect(error.message).not.toContain(canary);
  });
});
