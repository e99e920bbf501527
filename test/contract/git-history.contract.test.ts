import { describe, expect, it } from 'vitest';
import { commitFiles, git } from '../support/git-server.ts';
import { adapter, server, snapshot } from './git-support.ts';

describe('the tip must descend from the commit accepted last', () => {
  it('deepens a new shallow clone until the accepted commit is found', async () => {
    const remote = await server();
    const commits = Array.from({ length: 150 }, (_, index) =>
      commitFiles(remote.repository, 'main', { 'a.yaml': `round ${index}\n` }),
    );
    for (const back of [149, 100, 20, 0]) {
      const got = await snapshot(adapter(remote), commits[back]);
      expect(got.commit).toBe(commits.at(-1));
      expect(got.files.get('a.yaml')?.text).toBe('round 149\n');
    }
  });

  it('finds the accepted commit on the second parent of a merge', async () => {
    const remote = await server();
    const base = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const side = commitFiles(remote.repository, 'side', { 'b.yaml': 'b\n' }, { onto: base });
    commitFiles(remote.repository, 'main', { 'c.yaml': 'c\n' });
    const tree = await git(remote.repository, 'rev-parse', 'main^{tree}');
    const merge = await git(remote.repository, 'commit-tree', tree, '-p', 'main', '-p', side, '-m', 'merge');
    await git(remote.repository, 'update-ref', 'refs/heads/main', merge);
    expect((await snapshot(adapter(remote), side)).commit).toBe(merge);
    expect((await snapshot(adapter(remote), base)).commit).toBe(merge);
  });

  it('a rewound branch is "rewritten", stays so, and recovers when it is put back', async () => {
    const remote = await server();
    const commits = Array.from({ length: 5 }, (_, index) =>
      commitFiles(remote.repository, 'main', { 'a.yaml': `round ${index}\n`, [`f${index}.yaml`]: 'f\n' }),
    );
    const [, old, , , tip] = commits;
    if (old === undefined || tip === undefined) throw new Error('five commits were made');
    const port = adapter(remote);
    await snapshot(port);
    await git(remote.repository, 'update-ref', 'refs/heads/main', old);
    for (const again of [port, port, adapter(remote)]) {
      const result = await again.sync({ after: tip });
      expect(result).toMatchObject({ kind: 'rewritten', tip: old, after: tip });
    }
    const further = commitFiles(remote.repository, 'main', { 'other.yaml': 'x\n' });
    expect(await port.sync({ after: tip })).toMatchObject({ kind: 'rewritten', tip: further });
    // Somebody accepts the new history: the difference is to what was handed over last.
    expect((await snapshot(port, further)).changed).toEqual(['a.yaml', 'f2.yaml', 'f3.yaml', 'f4.yaml', 'other.yaml']);
    await git(remote.repository, 'update-ref', 'refs/heads/main', tip);
    expect((await snapshot(port, tip)).commit).toBe(tip);
  });

  it('a rewritten branch without anything in common is "rewritten" too', async () => {
    const remote = await server();
    const old = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    const port = adapter(remote);
    await snapshot(port);
    await git(remote.repository, 'update-ref', '-d', 'refs/heads/main');
    const tip = commitFiles(remote.repository, 'main', { 'a.yaml': 'forged\n' });
    expect(await port.sync({ after: old })).toMatchObject({ kind: 'rewritten', tip, after: old });
  });

  it('is "unknown" while the history cannot be fetched, and decides as soon as it can', async () => {
    const remote = await server();
    const first = commitFiles(remote.repository, 'main', { 'a.yaml': 'a\n' });
    commitFiles(remote.repository, 'main', { 'a.yaml': 'between\n' });
    const tip = commitFiles(remote.repository, 'main', { 'a.yaml': 'b\n' });
    const port = adapter(remote);
    await snapshot(port);
    remote.fault = ({ method, path }) =>
      method === 'GET' && path.includes('upload-pack') && looks++ >= 1 ? { status: 503 } : undefined;
    let looks = 0;
    expect(await port.sync({ after: first })).toMatchObject({ kind: 'unknown', tip, after: first });
    remote.fault = undefined;
    expect((await snapshot(port, first)).commit).toBe(tip);
  });

  it('is "unknown" when the server itself has only a part of the history', async () => {
    const origin = await server();
    const first = commitFiles(origin.repository, 'main', { 'a.yaml': 'a\n' });
    for (const text of ['b\n', 'c\n', 'd\n']) commitFiles(origin.repository, 'main', { 'a.yaml': text });
    const shallow = await server();
    await git(shallow.repository, 'fetch', '-q', '--depth', '1', origin.url, '+refs/heads/main:refs/heads/main');
    expect(await adapter(shallow).sync({ after: first })).toMatchObject({ kind: 'unknown', after: first });
  });
});
