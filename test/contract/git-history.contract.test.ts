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

describe('who brought a file', () => {
  /** A merge of two commits with the tree that is said, as the new tip of main. */
  async function merge(repository: string, second: string, tree: string): Promise<void> {
    const first = await git(repository, 'rev-parse', 'main');
    const made = await git(repository, 'commit-tree', tree, '-p', first, '-p', second, '-m', 'merge');
    await git(repository, 'update-ref', 'refs/heads/main', made);
  }

  it('is said after each new commit as by somebody who reads the whole history anew', async () => {
    const remote = await server();
    const { repository } = remote;
    const [one, two, approval] = ['clusters/c/policy.yaml', 'b.yaml', 'clusters/c/approvals/a.yaml'] as const;
    const main = (): Promise<string> => git(repository, 'rev-parse', 'main');
    const steps: (() => unknown)[] = [
      () => commitFiles(repository, 'main', { [one]: '1', [two]: '1', [approval]: '1' }),
      () => commitFiles(repository, 'main', { [two]: '2' }),
      async () => {
        // A branch that was begun before main went on.
        const side = commitFiles(repository, 'side', { [one]: '2', [approval]: '2' }, { onto: await main() });
        commitFiles(repository, 'main', { [two]: '3' });
        await merge(repository, side, await git(repository, 'merge-tree', '--write-tree', 'main', side));
      },
      () => commitFiles(repository, 'main', { [two]: '4' }),
      async () => {
        // The merge keeps its first parent's files although the other side has changed one.
        const side = commitFiles(repository, 'other', { [one]: '9' }, { onto: await main() });
        await merge(repository, side, await git(repository, 'rev-parse', 'main^{tree}'));
      },
      () => commitFiles(repository, 'main', { [two]: '5' }),
      () => commitFiles(repository, 'main', { [one]: '1', [approval]: undefined }),
      () => commitFiles(repository, 'main', { [two]: '6' }),
    ];
    const watching = adapter(remote);
    const ages: number[] = [];
    for (const step of steps) {
      await step();
      const fresh = adapter(remote);
      for (const path of [one, two]) expect(await watching.evidence(path)).toEqual(await fresh.evidence(path));
      await fresh.close();
      ages.push((await watching.evidence(one)).age);
    }
    expect(ages).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
  });
});
