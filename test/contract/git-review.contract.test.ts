import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { commitFiles, git, gitEnvironment, type GitServer } from '../support/git-server.ts';
import { adapter, failure, server, snapshot } from './git-support.ts';

const texts = (files: ReadonlyMap<string, { readonly text: string }>): Record<string, string> =>
  Object.fromEntries([...files].map(([path, { text }]) => [path, text]));

/** Bytes of all packs under a folder. */
function packBytes(folder: string): number {
  const files = fs.readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.pack'));
  return files.reduce((sum, name) => sum + fs.statSync(path.join(folder, name)).size, 0);
}

/** A repository with enough files to see what is sent twice. */
async function seeded() {
  const remote = await server();
  const files = Object.fromEntries(
    Array.from({ length: 200 }, (_, index) => [`clusters/c${index}/policy.yaml`, `round: ${index}\n`]),
  );
  const base = commitFiles(remote.repository, 'main', files);
  return { remote, base, files };
}

async function pull(remote: GitServer, number: number, commit: string): Promise<string> {
  const ref = `refs/pull/${number}/head`;
  await git(remote.repository, 'update-ref', ref, commit);
  return ref;
}

const proposal = (base: string, changes: { readonly text?: string; readonly branch?: string } = {}) => ({
  branch: changes.branch ?? 'oakum/run/east/20261206-000000-schedule',
  base,
  files: new Map([['clusters/c1/runs/20261206-000000-schedule.yaml', changes.text ?? 'kind: PatchRun\n']]),
  message: 'patch cluster c1\n\nThe plan.\n',
});

describe('reading other commits of the config repository', () => {
  it('reads the head of a pull request by its ref, whole, whatever the branch was when it was opened', async () => {
    const { remote, base, files } = await seeded();
    const port = adapter(remote);
    await snapshot(port);
    for (let round = 0; round < 5; round++) commitFiles(remote.repository, 'main', { 'oakum.yaml': `${round}\n` });
    const head = commitFiles(remote.repository, 'topic', { 'clusters/c1/policy.yaml': 'other\n' }, { onto: base });
    const got = await port.readAt({ commit: head, ref: await pull(remote, 7, head) });
    expect(got.commit).toBe(head);
    expect(got.changed).toBeUndefined();
    expect(texts(got.files)).toEqual({ ...files, 'clusters/c1/policy.yaml': 'other\n' });
    // The loop's own reading is not disturbed.
    expect(texts((await snapshot(port, base)).files)).toEqual({ ...files, 'oakum.yaml': '4\n' });
  });

  it('sends only what differs from the branch, and answers from memory what was read before', async () => {
    const { remote, base } = await seeded();
    const cacheDir = path.join(remote.folder, 'cache');
    const port = adapter(remote, { cacheDir });
    const heads = ['one', 'two', 'three'].map((text) =>
      commitFiles(remote.repository, text, { 'clusters/c9/policy.yaml': `${text}\n` }, { onto: base }),
    );
    const first = await port.readAt({ commit: heads[0] ?? '', ref: await pull(remote, 1, heads[0] ?? '') });
    const held = packBytes(cacheDir);
    const second = await port.readAt({ commit: heads[1] ?? '', ref: await pull(remote, 2, heads[1] ?? '') });
    // 200 files in as many folders are more than ten times as much.
    expect(packBytes(cacheDir) - held).toBeLessThan(1000);
    expect(held).toBeGreaterThan(10_000);
    expect(second.files.get('clusters/c9/policy.yaml')?.text).toBe('two\n');
    expect(second.files.get('clusters/c8/policy.yaml')).toBe(first.files.get('clusters/c8/policy.yaml'));
    const asked = remote.seen.length;
    expect(await port.readAt({ commit: heads[0] ?? '' })).toBe(first);
    expect(remote.seen.length).toBe(asked);
  });

  it('says that a head has moved on, or is gone, and never hands over another commit', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote);
    const old = commitFiles(remote.repository, 'topic', { 'a.yaml': 'old\n' }, { onto: base });
    const ref = await pull(remote, 3, old);
    const now = commitFiles(remote.repository, 'topic', { 'a.yaml': 'new\n' });
    await pull(remote, 3, now);
    expect(await failure(port.readAt({ commit: old, ref }))).toMatchObject({ kind: 'conflict', code: 'GitRefMoved' });
    expect(await failure(port.readAt({ commit: old, ref: 'refs/pull/4/head' }))).toMatchObject({
      kind: 'missing',
      code: 'GitRefMissing',
    });
    expect((await port.readAt({ commit: now, ref })).files.get('a.yaml')?.text).toBe('new\n');
  });

  it('finds a commit of the history without a ref, and says when there is none such', async () => {
    const { remote, base, files } = await seeded();
    for (let round = 0; round < 100; round++) commitFiles(remote.repository, 'main', { 'oakum.yaml': `${round}\n` });
    const port = adapter(remote);
    expect(texts((await port.readAt({ commit: base })).files)).toEqual(files);
    const unknown = 'f'.repeat(40);
    expect(await failure(port.readAt({ commit: unknown }))).toMatchObject({
      kind: 'missing',
      code: 'GitCommitMissing',
    });
    expect(await failure(port.readAt({ commit: 'main' }))).toMatchObject({ kind: 'rejected' });
    // A server that sends commits by their names needs no history.
    await git(remote.repository, 'config', 'uploadpack.allowAnySHA1InWant', 'true');
    const beside = commitFiles(remote.repository, 'beside', { 'b.yaml': 'b\n' }, { onto: base });
    await git(remote.repository, 'update-ref', '-d', 'refs/heads/beside');
    expect((await port.readAt({ commit: beside })).files.get('b.yaml')?.text).toBe('b\n');
  });

  it('reads only what is wanted, and keeps symlinks and large files as what they are', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote, { wanted: ['clusters/c1/', 'oakum.yaml'] });
    const head = commitFiles(
      remote.repository,
      'topic',
      { 'clusters/c1/link.yaml': '../c2/policy.yaml', 'clusters/c1/big.yaml': '#'.repeat(300_000), 'x.yaml': 'x\n' },
      { onto: base, modes: { 'clusters/c1/link.yaml': '120000' } },
    );
    const got = await port.readAt({ commit: head, ref: await pull(remote, 1, head) });
    expect([...got.files.values()].map(({ path, kind }) => [path, kind]).sort()).toEqual([
      ['clusters/c1/big.yaml', 'oversized'],
      ['clusters/c1/link.yaml', 'symlink'],
      ['clusters/c1/policy.yaml', 'file'],
    ]);
  });

  it('goes on after the cache was thrown away, and with many commits', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote, { maxPacks: 4 });
    for (let round = 0; round < 20; round++) {
      const head = commitFiles(remote.repository, `t${round}`, { 'a.yaml': `${round}\n` }, { onto: base });
      const got = await port.readAt({ commit: head, ref: await pull(remote, round, head) });
      expect(got.files.get('a.yaml')?.text).toBe(`${round}\n`);
      expect(got.files.size).toBe(201);
    }
  });
});

describe('proposals', () => {
  it('are one commit on the base, and nothing happens when they are there already', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote);
    const first = await port.propose(proposal(base));
    expect(first).toMatchObject({ changed: true, attempts: 1 });
    const { branch } = proposal(base);
    expect(await git(remote.repository, 'rev-parse', branch)).toBe(first.commit);
    expect(await git(remote.repository, 'rev-parse', `${branch}^`)).toBe(base);
    expect(await git(remote.repository, 'diff', '--name-status', base, branch)).toBe(
      'A\tclusters/c1/runs/20261206-000000-schedule.yaml',
    );
    expect(await git(remote.repository, 'log', '-1', '--format=%an %s', branch)).toBe('Oakum patch cluster c1');
    execFileSync('git', ['fsck', '--strict'], { cwd: remote.repository, env: gitEnvironment, stdio: 'pipe' });
    expect(await port.propose(proposal(base))).toEqual({ commit: first.commit, changed: false, attempts: 0 });
    // Another Oakum makes the very same commit.
    expect(await adapter(remote).propose(proposal(base))).toEqual({
      commit: first.commit,
      changed: false,
      attempts: 0,
    });
  });

  it('are replaced when they say something else, or stand on another base, or somebody wrote on them', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote);
    const { branch } = proposal(base);
    const first = await port.propose(proposal(base));
    const other = await port.propose(proposal(base, { text: 'kind: PatchRun # other\n' }));
    expect(other.commit).not.toBe(first.commit);
    const further = commitFiles(remote.repository, 'main', { 'oakum.yaml': 'x\n' });
    const rebased = await port.propose(proposal(further));
    expect(await git(remote.repository, 'rev-parse', `${branch}^`)).toBe(further);
    commitFiles(remote.repository, branch, { 'evil.yaml': 'x\n' });
    expect(await port.propose(proposal(further))).toMatchObject({ commit: rebased.commit, changed: true });
    expect(await git(remote.repository, 'rev-parse', branch)).toBe(rebased.commit);
  });

  it('survive a race and a lost answer, and two Oakums at once make one branch', async () => {
    const { remote, base } = await seeded();
    const { branch } = proposal(base);
    let raced = false;
    remote.fault = ({ method, path }) => {
      if (raced || method !== 'POST' || !path.endsWith('/git-receive-pack')) return undefined;
      raced = true;
      return { before: () => void commitFiles(remote.repository, branch, { 'x.yaml': 'x\n' }, { onto: base }) };
    };
    const port = adapter(remote);
    expect(await port.propose(proposal(base))).toMatchObject({ changed: true, attempts: 2 });
    let lost = false;
    remote.fault = ({ method, path }) => {
      if (lost || method !== 'POST' || !path.endsWith('/git-receive-pack')) return undefined;
      lost = true;
      return { loseAnswer: true };
    };
    const after = await port.propose(proposal(base, { text: 'two\n' }));
    expect(await git(remote.repository, 'rev-parse', branch)).toBe(after.commit);
    remote.fault = undefined;
    const both = await Promise.all([adapter(remote), adapter(remote)].map((each) => each.propose(proposal(base))));
    expect(new Set(both.map(({ commit }) => commit)).size).toBe(1);
    expect(await git(remote.repository, 'rev-parse', branch)).toBe(both[0]?.commit);
  });

  it('go to branches of ours only, and never change nothing', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote);
    for (const branch of [
      'main',
      'oakum',
      'oakum/',
      'oakum/../main',
      'oakum/status',
      'oakum/a.lock',
      'oakum/a b',
      'x/y',
    ])
      expect(await failure(port.propose(proposal(base, { branch })))).toMatchObject({ code: 'GitBadBranch' });
    expect(await failure(port.withdraw('main'))).toMatchObject({ code: 'GitBadBranch' });
    const same = { ...proposal(base), files: new Map([['clusters/c1/policy.yaml', 'round: 1\n']]) };
    expect(await failure(port.propose(same))).toMatchObject({ code: 'GitNothingProposed' });
    const outside = { ...proposal(base), files: new Map([['../x', 'x']]) };
    expect(await failure(port.propose(outside))).toMatchObject({ code: 'GitBadPath' });
    expect(await git(remote.repository, 'for-each-ref', '--format=%(refname)')).toBe('refs/heads/main');
  });

  it('are withdrawn once, and that is enough', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote);
    const { branch } = proposal(base);
    await port.propose(proposal(base));
    await port.withdraw(branch);
    await port.withdraw(branch);
    expect(await git(remote.repository, 'for-each-ref', '--format=%(refname)')).toBe('refs/heads/main');
  });

  it('say what to allow when the server does not let a branch be replaced', async () => {
    const { remote, base } = await seeded();
    const port = adapter(remote);
    await port.propose(proposal(base));
    await git(remote.repository, 'config', 'receive.denyNonFastForwards', 'true');
    const refused = await failure(port.propose(proposal(base, { text: 'other\n' })));
    expect(refused).toMatchObject({ kind: 'rejected', code: 'GitPushRefused' });
    expect(refused.message).toContain('force-push');
  });
});
