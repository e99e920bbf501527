import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { commitFiles, git, type GitServer } from '../support/git-server.ts';
import { adapter, failure, server } from './git-support.ts';

const branch = 'oakum/status';

function files(entries: Readonly<Record<string, string | undefined>>): ReadonlyMap<string, string | undefined> {
  return new Map(Object.entries(entries));
}

const show = (remote: GitServer, file: string): Promise<string> => git(remote.repository, 'show', `${branch}:${file}`);
const count = async (remote: GitServer): Promise<number> =>
  Number(await git(remote.repository, 'rev-list', '--count', branch));

function hook(remote: GitServer, name: string, script: string): string {
  const file = path.join(remote.repository, 'hooks', name);
  fs.writeFileSync(file, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return file;
}

describe('writing status to a real Git server', () => {
  it('makes the orphan branch, adds to it, removes from it, and passes native fsck', async () => {
    const remote = await server();
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const port = adapter(remote);
    const one = await port.publish({
      files: files({ 'clusters/a/status.yaml': 'a\n', 'README.md': 'ü\n' }),
      message: 'status: first',
    });
    expect(one).toMatchObject({ changed: true, attempts: 1 });
    expect(await git(remote.repository, 'rev-parse', branch)).toBe(one.commit);
    await port.publish({
      files: files({
        'clusters/a/status.yaml': undefined,
        'clusters/b/runs/1.yaml': 'b\n',
        'clusters.md': 'sorts in between\n',
      }),
      message: 'status: second\n\nPolicy-Commit: 1234',
    });
    expect(await git(remote.repository, 'ls-tree', '-r', '--name-only', branch)).toBe(
      'README.md\nclusters.md\nclusters/b/runs/1.yaml',
    );
    expect(
      await git(
        remote.repository,
        'log',
        '-1',
        '--format=%an <%ae> %s|%(trailers:key=Policy-Commit,valueonly,separator=)',
        branch,
      ),
    ).toBe('Oakum <oakum@example.org> status: second|1234');
    expect(await git(remote.repository, 'log', '-1', '--format=%(trailers:key=Batch-Id,valueonly)', branch)).toMatch(
      /^[0-9a-f-]{36}/,
    );
    expect(await count(remote)).toBe(2);
    await git(remote.repository, 'fsck', '--strict', '--no-dangling');
    expect(await git(remote.repository, 'merge-base', 'main', branch).catch(() => 'nothing in common')).toBe(
      'nothing in common',
    );
  });

  it('makes no commit when every byte is there already, also after a restart', async () => {
    const remote = await server();
    const content = files({ 'clusters/a/status.yaml': 'a\n' });
    const { commit } = await adapter(remote).publish({ files: content, message: 'm' });
    for (const port of [adapter(remote), adapter(remote)])
      expect(await port.publish({ files: content, message: 'm' })).toEqual({ commit, changed: false, attempts: 0 });
    expect(
      await adapter(remote).publish({ files: files({ 'not/there.yaml': undefined }), message: 'm' }),
    ).toMatchObject({ changed: false });
    expect(await count(remote)).toBe(1);
  });

  it('builds on what somebody else pushed in the meantime and loses nothing of it', async () => {
    const remote = await server();
    const [left, right] = [adapter(remote), adapter(remote)];
    await left.publish({ files: files({ 'clusters/left/a.yaml': '1\n' }), message: 'm' });
    await right.publish({ files: files({ 'clusters/right/a.yaml': '1\n' }), message: 'm' });
    commitFiles(remote.repository, branch, { 'by-hand.md': 'kept\n' });
    await left.publish({ files: files({ 'clusters/left/a.yaml': '2\n' }), message: 'm' });
    expect(await show(remote, 'by-hand.md')).toBe('kept');
    expect(await show(remote, 'clusters/right/a.yaml')).toBe('1');
    expect(await show(remote, 'clusters/left/a.yaml')).toBe('2');
    expect(await count(remote)).toBe(4);
  });

  it('is refused when the branch moves between look and push, and builds again on the new tip', async () => {
    const remote = await server();
    const port = adapter(remote);
    await port.publish({ files: files({ 'a.yaml': '1\n' }), message: 'm' });
    let races = 2;
    remote.fault = ({ method, path: target }) =>
      method === 'POST' && target.includes('receive-pack') && races > 0
        ? { before: () => void commitFiles(remote.repository, branch, { [`other${races--}.yaml`]: 'x\n' }) }
        : undefined;
    expect(await port.publish({ files: files({ 'a.yaml': '2\n' }), message: 'm' })).toMatchObject({
      changed: true,
      attempts: 3,
    });
    expect(await git(remote.repository, 'ls-tree', '--name-only', branch)).toBe('a.yaml\nother1.yaml\nother2.yaml');
  });

  it('is refused by the lock of a push under way, and comes back', async () => {
    const remote = await server();
    const port = adapter(remote);
    await port.publish({ files: files({ 'a.yaml': '1\n' }), message: 'm' });
    const lock = path.join(remote.repository, 'refs', 'heads', `${branch}.lock`);
    fs.writeFileSync(lock, '');
    let pushes = 0;
    remote.fault = ({ method, path: target }) => {
      if (method === 'POST' && target.includes('receive-pack') && ++pushes === 3) fs.rmSync(lock);
      return undefined;
    };
    expect(await port.publish({ files: files({ 'a.yaml': '2\n' }), message: 'm' })).toMatchObject({ attempts: 3 });
    expect(await show(remote, 'a.yaml')).toBe('2');
  });

  it('four writers at once lose nothing and overwrite nobody', async () => {
    const remote = await server();
    hook(remote, 'update', 'sleep 0.05');
    const writers = ['a', 'b', 'c', 'd'].map((name) => ({
      name,
      port: adapter(remote, { timeouts: { backoffMs: 60 } }),
    }));
    await Promise.all(
      writers.map(async ({ name, port }) => {
        for (let round = 0; round < 4; round++)
          await port.publish({
            files: files({ [`clusters/${name}/${round}.yaml`]: `${round}\n` }),
            message: `${name} ${round}`,
          });
      }),
    );
    const listed = (await git(remote.repository, 'ls-tree', '-r', '--name-only', branch)).split('\n');
    expect(listed).toHaveLength(16);
    expect(await count(remote)).toBe(16);
  });

  it('gives up after ten refusals with an error that says so, and never forces', async () => {
    const remote = await server();
    const port = adapter(remote, { timeouts: { backoffMs: 1 } });
    await port.publish({ files: files({ 'a.yaml': '1\n' }), message: 'm' });
    let pushes = 0;
    remote.fault = ({ method, path: target }) =>
      method === 'POST' && target.includes('receive-pack')
        ? { before: () => void commitFiles(remote.repository, branch, { 'other.yaml': `${pushes++}\n` }) }
        : undefined;
    expect(await failure(port.publish({ files: files({ 'a.yaml': '2\n' }), message: 'm' }))).toMatchObject({
      kind: 'conflict',
      code: 'GitPushRaceLost',
    });
    expect(pushes).toBe(10);
    expect(await count(remote)).toBe(11);
  });

  it('a hook that refuses is final, and its words are in the error', async () => {
    const remote = await server();
    hook(remote, 'pre-receive', 'echo "branch is protected, ask the platform team" >&2; exit 1');
    const error = await failure(adapter(remote).publish({ files: files({ 'a.yaml': '1\n' }), message: 'm' }));
    expect(error).toMatchObject({ kind: 'rejected', code: 'GitPushRefused' });
    expect(error.message).toContain('ask the platform team');
    expect(remote.seen.filter(({ method }) => method === 'POST')).toHaveLength(1);
  });

  it('a push whose answer got lost is found again, also when somebody pushed on top', async () => {
    const remote = await server();
    const port = adapter(remote);
    await port.publish({ files: files({ 'a.yaml': '1\n' }), message: 'm' });
    for (const onTop of [false, true]) {
      let lose = true;
      remote.fault = ({ method, path: target }) => {
        if (method === 'POST' && target.includes('receive-pack') && lose) {
          lose = false;
          return { loseAnswer: true };
        }
        if (!lose && onTop && target.includes('info/refs')) {
          remote.fault = undefined;
          commitFiles(remote.repository, branch, { 'top.yaml': 'x\n', 'a.yaml': 'overwritten\n' });
        }
        return undefined;
      };
      const before = await count(remote);
      const result = await port.publish({ files: files({ 'a.yaml': `${onTop}\n` }), message: 'm' });
      expect(result.changed).toBe(true);
      expect(await count(remote)).toBe(before + (onTop ? 2 : 1));
      await git(remote.repository, 'merge-base', '--is-ancestor', result.commit, branch);
    }
  });

  it('writes 5,000 files in one commit and then few of them', async () => {
    const remote = await server();
    const port = adapter(remote);
    const all = Object.fromEntries(
      Array.from({ length: 5000 }, (_, index) => [
        `clusters/r${index % 50}/c${index}/status.yaml`,
        `cluster: ${index}\nphase: Idle\n`,
      ]),
    );
    await port.publish({ files: files(all), message: 'all' });
    await port.publish({ files: files({ 'clusters/r7/c7/status.yaml': 'other\n' }), message: 'one' });
    expect((await git(remote.repository, 'ls-tree', '-r', '--name-only', branch)).split('\n')).toHaveLength(5000);
    expect(await git(remote.repository, 'diff-tree', '-r', '--name-only', `${branch}~1`, branch)).toBe(
      'clusters/r7/c7/status.yaml',
    );
    await git(remote.repository, 'fsck', '--strict', '--no-dangling');
    const read = await adapter(remote).readStatus('clusters/r7/');
    expect(read.files.size).toBe(100);
    expect(read.files.get('clusters/r7/c7/status.yaml')).toBe('other\n');
  });

  it('goes on when its own cache has grown', async () => {
    const remote = await server();
    const cacheDir = path.join(remote.folder, 'small');
    const port = adapter(remote, { maxPacks: 4, cacheDir });
    for (let round = 0; round < 12; round++)
      await port.publish({ files: files({ [`f${round % 3}.yaml`]: `${round}\n` }), message: 'm' });
    expect(await count(remote)).toBe(12);
    expect(fs.globSync('status-*.git/objects/pack/*.pack', { cwd: cacheDir }).length).toBeLessThanOrEqual(6);
  });

  it('reads nothing, without an error, where there is no status yet', async () => {
    const remote = await server();
    expect(await adapter(remote).readStatus('')).toEqual({ commit: undefined, files: new Map() });
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    expect(await adapter(remote).readStatus('')).toEqual({ commit: undefined, files: new Map() });
  });

  it('refuses paths that would mean something else in Git', async () => {
    const remote = await server();
    for (const bad of ['../a', 'a//b', '/a', 'a/.git/config', ''])
      expect(await failure(adapter(remote).publish({ files: files({ [bad]: 'x' }), message: 'm' }))).toMatchObject({
        code: 'GitBadPath',
      });
  });
});
