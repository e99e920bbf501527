import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { commitFiles, git } from '../support/git-server.ts';
import { adapter, failure, server, snapshot } from './git-support.ts';

const clusterFiles = (count: number): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`clusters/c${index}/policy.yaml`, `name: c${index}\n`]),
  );

describe('reading the config repository from a real Git server', () => {
  it('clones, says "unchanged" when nothing is new, and brings only what changed', async () => {
    const remote = await server();
    const first = commitFiles(remote.repository, 'main', { ...clusterFiles(30), 'oakum.yaml': 'a: 1\n' });
    const port = adapter(remote);
    const one = await snapshot(port);
    expect(one.commit).toBe(first);
    expect(one.files.size).toBe(31);
    expect(one.changed).toBeUndefined();
    expect(one.committedAt).toBe(Number(await git(remote.repository, 'show', '-s', '--format=%ct', first)) * 1000);

    const second = await port.sync({ after: first });
    expect(second.kind).toBe('unchanged');

    const next = commitFiles(remote.repository, 'main', {
      'clusters/c3/policy.yaml': 'name: other\n',
      'clusters/c4/policy.yaml': undefined,
      'clusters/new/requests/now.yaml': 'now\n',
      'clusters/c5/policy.yaml/inner.yaml': 'a file became a folder\n',
    });
    const two = await snapshot(port, first);
    expect(two.commit).toBe(next);
    expect(two.changed).toEqual([
      'clusters/c3/policy.yaml',
      'clusters/c4/policy.yaml',
      'clusters/c5/policy.yaml',
      'clusters/c5/policy.yaml/inner.yaml',
      'clusters/new/requests/now.yaml',
    ]);
    expect(two.files.get('clusters/c3/policy.yaml')?.text).toBe('name: other\n');
    expect(two.files.has('clusters/c4/policy.yaml')).toBe(false);
    expect(one.files.get('clusters/c3/policy.yaml')?.text).toBe('name: c3\n');
    const listed = (await git(remote.repository, 'ls-tree', '-r', next)).split('\n');
    expect(listed.map((line) => line.split(/\s/)[2])).toEqual(
      listed.map((line) => two.files.get(line.slice(line.indexOf('\t') + 1))?.oid),
    );
  });

  it('reads every form of delta that native git packs, byte for byte', async () => {
    const remote = await server();
    const lines = (seed: number): string =>
      Array.from(
        { length: 400 },
        (_, line) => `line ${line}: ${line % 97 === seed % 97 ? `changed by ${seed}` : 'as ever'}\n`,
      ).join('');
    let tip = '';
    for (let round = 0; round < 40; round++)
      tip = commitFiles(remote.repository, 'main', { 'big.yaml': lines(round), [`f${round}.yaml`]: lines(round * 3) });
    await git(remote.repository, 'repack', '-adf', '--depth=50', '--window=50');
    const port = adapter(remote);
    const got = await snapshot(port);
    for (const [name, file] of got.files)
      expect(file.text).toBe(`${await git(remote.repository, 'show', `${tip}:${name}`)}\n`);
    expect(got.files.size).toBe(41);
  });

  it('reads nothing outside of what is wanted, and no change there reaches the caller', async () => {
    const remote = await server();
    const first = commitFiles(remote.repository, 'main', {
      'oakum.yaml': 'a\n',
      'oakum.yaml.bak': 'a\n',
      'clusters/prod/policy.yaml': 'p\n',
      'clusters/production/policy.yaml': 'q\n',
      'policies/base.yaml': 'b\n',
      'clusters/prod': undefined,
    });
    commitFiles(remote.repository, 'main', { 'clusters/prod/policy.yaml': 'p\n' });
    const port = adapter(remote, { wanted: ['oakum.yaml', 'FREEZE', 'policies/', 'clusters/prod/'] });
    const one = await snapshot(port, first);
    expect([...one.files.keys()].sort()).toEqual(['clusters/prod/policy.yaml', 'oakum.yaml', 'policies/base.yaml']);
    commitFiles(remote.repository, 'main', { 'clusters/production/policy.yaml': 'other\n' });
    const two = await snapshot(port, one.commit);
    expect(two.changed).toEqual([]);
    commitFiles(remote.repository, 'main', { FREEZE: '' });
    const three = await snapshot(port, two.commit);
    expect(three.changed).toEqual(['FREEZE']);
    expect(three.files.get('FREEZE')).toMatchObject({ kind: 'file', text: '' });
  });

  it('names links, submodules, large and binary files, and never reads through them', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'main', { 'plain.yaml': 'ü: €\n' });
    commitFiles(
      remote.repository,
      'main',
      {
        'run.yaml': 'executable\n',
        link: '/etc/passwd',
        module: commit,
        'large.yaml': 'x'.repeat(256 * 1024 + 1),
        'edge.yaml': 'x'.repeat(256 * 1024),
        'latin1.yaml': Buffer.from([0x61, 0xe9, 0x0a]),
        'nul.yaml': Buffer.from('a\0b'),
      },
      { modes: { 'run.yaml': '100755', link: '120000', module: '160000' } },
    );
    const { files } = await snapshot(adapter(remote));
    expect(Object.fromEntries([...files].map(([name, { kind }]) => [name, kind]))).toEqual({
      'plain.yaml': 'file',
      'run.yaml': 'file',
      link: 'symlink',
      module: 'submodule',
      'large.yaml': 'oversized',
      'edge.yaml': 'file',
      'latin1.yaml': 'binary',
      'nul.yaml': 'binary',
    });
    for (const { kind, text } of files.values()) if (kind !== 'file') expect(text).toBe('');
    expect(files.get('plain.yaml')?.text).toBe('ü: €\n');
  });

  it('an empty repository is a state, and the first commit ends it', async () => {
    const remote = await server();
    const port = adapter(remote);
    expect(await port.sync({ after: undefined })).toMatchObject({ kind: 'empty' });
    const commit = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    expect((await snapshot(port)).commit).toBe(commit);
  });

  it('a HEAD that names no branch gets a clear error, and recovers', async () => {
    const remote = await server();
    const commit = commitFiles(remote.repository, 'trunk', { 'a.yaml': 'a\n' });
    const port = adapter(remote);
    const error = await failure(port.sync({ after: undefined }));
    expect(error).toMatchObject({ kind: 'missing', code: 'GitBranchMissing' });
    expect(error.message).toContain('trunk');
    expect((await snapshot(adapter(remote, { branch: 'trunk' }))).commit).toBe(commit);
    await git(remote.repository, 'symbolic-ref', 'HEAD', 'refs/heads/trunk');
    expect((await snapshot(port)).commit).toBe(commit);
  });

  it('a branch that is named but not there is told apart from an empty repository', async () => {
    const remote = await server();
    const port = adapter(remote, { branch: 'production' });
    expect((await port.sync({ after: undefined })).kind).toBe('empty');
    commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    expect(await failure(port.sync({ after: undefined }))).toMatchObject({ code: 'GitBranchMissing' });
  });

  it('clones anew when the cache has grown, without telling anybody that files changed', async () => {
    const remote = await server();
    let tip = commitFiles(remote.repository, 'main', clusterFiles(10));
    const cacheDir = path.join(remote.folder, 'cache-growing');
    const port = adapter(remote, { maxPacks: 3, cacheDir });
    await snapshot(port);
    const packs = (): number => fs.globSync('config-*.git/objects/pack/*.pack', { cwd: cacheDir }).length;
    let most = 0;
    for (let round = 0; round < 12; round++) {
      const before = tip;
      tip = commitFiles(remote.repository, 'main', { 'clusters/c1/policy.yaml': `round ${round}\n` });
      const got = await snapshot(port, before);
      expect(got.commit).toBe(tip);
      expect(got.changed).toEqual(['clusters/c1/policy.yaml']);
      expect((await port.sync({ after: tip })).kind).toBe('unchanged');
      most = Math.max(most, packs());
    }
    expect(most).toBeLessThanOrEqual(5);
  });

  it('reads 5,000 clusters in one go and one changed file cheaply', async () => {
    const remote = await server();
    const first = commitFiles(remote.repository, 'main', clusterFiles(5000));
    const port = adapter(remote);
    expect((await snapshot(port)).files.size).toBe(5000);
    remote.seen.length = 0;
    commitFiles(remote.repository, 'main', { 'clusters/c4711/policy.yaml': 'name: new\n' });
    expect((await snapshot(port, first)).changed).toEqual(['clusters/c4711/policy.yaml']);
    expect(remote.seen.length).toBeLessThanOrEqual(4);
  });
});
