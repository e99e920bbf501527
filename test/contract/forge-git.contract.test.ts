import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openPlainGit } from '../../reconciler/adapters/forge-git.ts';
import { judgeChange } from '../../reconciler/plan/judge.ts';
import { git as native, type GitServer } from '../support/git-server.ts';
import { openSigningPlace, sshSettings, type SigningPlace } from '../support/signing.ts';
import { adapter, failure, server } from './git-support.ts';

const policy = 'clusters/east/policy.yaml';
let place: SigningPlace;
const keys = new Map<string, string>();

beforeAll(() => {
  place = openSigningPlace();
  for (const name of ['ann', 'ann2', 'bob', 'carl', 'eve']) keys.set(name, place.sshKey(name, ['ed25519']));
}, 60_000);
afterAll(() => place.stop());

/** The folder signers/: Ann with two keys, Bob, Carl; never Eve. */
const list = (): string =>
  ['ann', 'ann2', 'bob', 'carl']
    .map((name) => `${name.replace('2', '')}@example.org ${keys.get(name) ?? ''}\n`)
    .join('');

interface Stage {
  readonly remote: GitServer;
  readonly port: ReturnType<typeof adapter>;
  readonly forge: ReturnType<typeof openPlainGit>;
  /** Runs git in a clone as somebody. */
  as(name: string, ...words: string[]): string;
  write(file: string, text: string): void;
  oid(file: string, at?: string): string;
  push(): void;
  /** Somebody commits what lies there; signed unless told otherwise. */
  commit(name: string, files: Readonly<Record<string, string>>, signed?: boolean): string;
  /** A branch of somebody with these files, merged by another. */
  merge(by: string, signed?: boolean): string;
  /** An approval file of somebody, committed and signed. */
  approve(name: string, files?: Readonly<Record<string, string>>, more?: string): string;
  judge(of?: string, minApprovals?: number): Promise<string>;
}

let clones = 0;

async function stage(
  options: {
    readonly signers?: string;
    readonly now?: () => number;
    readonly own?: (path: string, text: string) => boolean;
  } = {},
): Promise<Stage> {
  const remote = await server();
  const folder = path.join(place.folder, `clone${clones++}`);
  place.run('git', ['clone', '-q', remote.repository, folder]);
  const as = (name: string, ...words: string[]): string => {
    const person = { NAME: name, EMAIL: `${name.replace('2', '')}@example.org` };
    const more = Object.fromEntries(
      ['AUTHOR', 'COMMITTER'].flatMap((role) =>
        Object.entries(person).map(([key, value]) => [`GIT_${role}_${key}`, value]),
      ),
    );
    const settings = sshSettings(place, name).flatMap((setting) => ['-c', setting]);
    return place
      .run('git', ['-C', folder, ...settings, ...words], '', more)
      .toString()
      .trim();
  };
  const port = adapter(remote);
  const signers = new Map([['signers/allowed_signers', options.signers ?? list()]]);
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  const clock = { now: options.now ?? (() => Date.now()) };
  const { own = () => false } = options;
  const meaning = (): Promise<undefined> => Promise.resolve(undefined);
  const forge = openPlainGit({
    git: port,
    url: remote.url,
    branch: 'main',
    signers: () => signers,
    own,
    meaning,
    clock,
    log,
  });
  const write = (file: string, text: string): void => {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  };
  const self: Stage = {
    remote,
    port,
    forge,
    as,
    write,
    oid: (file, at = 'HEAD') => as('ann', 'rev-parse', `${at}:${file}`),
    push: () => void as('ann', 'push', '-q', '--force', 'origin', 'HEAD:main'),
    commit(name, files, signed = true) {
      for (const [file, text] of Object.entries(files)) write(file, text);
      as(name, 'add', '-A');
      as(name, 'commit', '-q', ...(signed ? ['-S'] : ['--no-gpg-sign']), '-m', `${name} changes\n\nbecause`);
      return as(name, 'rev-parse', 'HEAD');
    },
    merge(by, signed = true) {
      as(by, 'checkout', '-q', 'main');
      as(by, 'merge', '-q', '--no-ff', '--no-edit', ...(signed ? ['-S'] : ['--no-gpg-sign']), 'topic');
      self.push();
      return as(by, 'rev-parse', 'HEAD');
    },
    approve(name, files = { [policy]: self.oid(policy) }, more = '') {
      const lines = Object.entries(files).map(([file, oid]) => `    ${file}: ${oid}\n`);
      const text = `apiVersion: oakum.dev/v1alpha1\nkind: PatchApproval\nmetadata: { name: ${name} }\nspec:\n  approver: ${name.replace('2', '')}@example.org\n${more}  files:\n${lines.join('')}`;
      const made = self.commit(name, { [`clusters/east/approvals/${name}.yaml`]: text });
      self.push();
      return made;
    },
    async judge(of = policy, minApprovals = 1) {
      const { pull } = await forge.bringing(of);
      const change = await forge.change(pull?.number ?? 0, []);
      const approvers = ['@ann@example.org', '@bob@example.org', '@carl@example.org'];
      const verdict = judgeChange(change, { minApprovals, approvers, self: [] });
      return verdict.kind === 'approved'
        ? `approved by ${verdict.by
            .map(({ name }) => name)
            .sort()
            .join(' ')}`
        : `${verdict.kind}: ${verdict.message}`;
    },
  };
  self.commit('carl', { [policy]: 'spec: { one: 1 }\n', 'oakum.yaml': 'kind: Fleet\n' }, false);
  self.push();
  return self;
}

/** A branch `topic` on which somebody changes the policy. */
function topic(
  at: Stage,
  name: string,
  signed = true,
  files: Readonly<Record<string, string>> = { [policy]: 'spec: { two: 2 }\n' },
): string {
  at.as(name, 'checkout', '-q', '-B', 'topic');
  return at.commit(name, files, signed);
}

describe('a merge that is signed by another', () => {
  it('approves what a signed commit of somebody else brought, and is its evidence', async () => {
    const at = await stage();
    topic(at, 'ann');
    const merge = at.merge('bob');
    expect(await at.judge()).toBe('approved by bob@example.org');
    const { commit, pull } = await at.forge.bringing(policy);
    expect(commit).toBe(merge);
    expect(pull).toMatchObject({ head: merge, state: 'merged', base: 'main', merged: { commit: merge } });
    expect(pull?.author).toMatchObject({ name: 'ann@example.org' });
    const head = await at.port.readAt({ commit: merge, ref: at.forge.headRef(pull?.number ?? 0) });
    expect(head.files.get(policy)?.oid).toBe(at.oid(policy));
  });

  it('does not count for its own author, whichever of their keys signed', async () => {
    for (const by of ['ann', 'ann2']) {
      const at = await stage();
      topic(at, 'ann');
      at.merge(by);
      expect(await at.judge()).toContain('waiting: 0 of 1 approvals');
    }
  });

  it('does not count by somebody who is not listed, or unsigned', async () => {
    const at = await stage();
    topic(at, 'ann');
    at.merge('eve');
    expect(await at.judge()).toContain('waiting: 0 of 1');
    const other = await stage();
    topic(other, 'ann');
    other.merge('bob', false);
    expect(await other.judge()).toContain('waiting: 0 of 1');
  });

  it('needs one more while nobody proves who wrote the commits', async () => {
    const at = await stage();
    topic(at, 'eve', false);
    at.merge('bob');
    expect(await at.judge()).toContain('waiting: 1 of 2');
    expect(await at.judge()).toContain('no signature proves');
    at.approve('carl');
    expect(await at.judge()).toBe('approved by bob@example.org carl@example.org');
  });

  it('gains nothing by the name of another in the commit', async () => {
    const at = await stage();
    // Bob writes as if he were Eve, and merges it himself.
    topic(at, 'eve', false);
    at.merge('bob');
    expect(await at.judge()).toMatch(/^waiting/);
  });

  it('is its own author when it is more than the sum of its sides', async () => {
    const at = await stage();
    topic(at, 'ann', true, { 'clusters/east/cluster.yaml': 'harmless\n' });
    at.as('bob', 'checkout', '-q', 'main');
    at.as('bob', 'merge', '-q', '--no-ff', '--no-commit', 'topic');
    at.commit('bob', { [policy]: 'spec: { evil: true }\n' });
    at.push();
    expect(await at.judge()).toContain('waiting: 0 of 1');
    at.approve('carl');
    expect(await at.judge()).toBe('approved by carl@example.org');
  });

  it('that undoes what the branch got in the meantime was written by whoever merged', async () => {
    const at = await stage();
    const old = at.oid(policy);
    topic(at, 'ann', true, { 'clusters/east/cluster.yaml': 'harmless\n' });
    at.as('carl', 'checkout', '-q', 'main');
    at.commit('carl', { [policy]: 'spec: { stricter: true }\n' });
    at.as('bob', 'merge', '-q', '--no-ff', '--no-commit', 'topic');
    at.commit('bob', { [policy]: 'spec: { one: 1 }\n' });
    at.push();
    expect(at.oid(policy)).toBe(old);
    expect(await at.judge()).toContain('waiting: 0 of 1');
  });

  it('stays the evidence for a file when later changes touch others', async () => {
    const at = await stage();
    topic(at, 'ann');
    const merge = at.merge('bob');
    for (let round = 0; round < 70; round++) at.commit('carl', { 'clusters/west/policy.yaml': `${round}\n` }, false);
    at.push();
    const { commit } = await at.forge.bringing(policy);
    expect(commit).toBe(merge);
    expect(await at.judge()).toBe('approved by bob@example.org');
    at.commit('carl', { [policy]: 'spec: { three: 3 }\n' }, false);
    at.push();
    expect(await at.judge()).toContain('waiting: 0 of 2');
  });

  it('counts for a file that is taken away', async () => {
    const at = await stage();
    at.commit('carl', { 'clusters/east/FREEZE': '' }, false);
    at.as('ann', 'checkout', '-q', '-B', 'topic');
    at.as('ann', 'rm', '-q', 'clusters/east/FREEZE');
    at.commit('ann', {});
    at.merge('bob');
    expect(await at.judge('clusters/east/FREEZE')).toBe('approved by bob@example.org');
  });
});

describe('approval files', () => {
  it('approve a commit that was made directly, each once, N of them for N', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    at.push();
    expect(await at.judge()).toContain('waiting: 0 of 1');
    at.approve('bob');
    expect(await at.judge()).toBe('approved by bob@example.org');
    expect(await at.judge(policy, 2)).toContain('waiting: 1 of 2');
    at.approve('carl');
    expect(await at.judge(policy, 2)).toBe('approved by bob@example.org carl@example.org');
  });

  it('of one person with two keys are one approval', async () => {
    const at = await stage();
    at.commit('bob', { [policy]: 'spec: { two: 2 }\n' });
    at.approve('ann');
    at.approve('ann2');
    expect(await at.judge(policy, 2)).toContain('waiting: 1 of 2');
  });

  it('arrive by a merge too, and count for who wrote them, not for who merged', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    at.push();
    at.as('bob', 'checkout', '-q', '-B', 'topic');
    at.approve('bob');
    at.as('bob', 'push', '-q', '--force', 'origin', 'main:main');
    at.as('carl', 'checkout', '-q', 'main');
    at.commit('carl', { 'clusters/west/policy.yaml': 'x\n' }, false);
    at.merge('ann', false);
    expect(await at.judge()).toBe('approved by bob@example.org');
  });

  it('are void when anything that takes part changes, when they expire, and when they are taken back', async () => {
    let now = Date.now();
    const at = await stage({ now: () => now });
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    at.approve('bob', undefined, `  expires: "${new Date(now + 3_600_000).toISOString()}"\n`);
    expect(await at.judge()).toBe('approved by bob@example.org');
    now += 2 * 3_600_000;
    at.commit('carl', { 'clusters/west/policy.yaml': 'x\n' }, false);
    at.push();
    expect(await at.judge()).toContain('expired');
    now -= 2 * 3_600_000;
    const approved = at.as('ann', 'rev-parse', 'HEAD');
    at.as('ann', 'rm', '-q', 'clusters/east/approvals/bob.yaml');
    at.commit('ann', {});
    at.push();
    expect(await at.judge()).toContain('waiting: 0 of 1');
    // Somebody puts it back by reverting the removal: the signature of Bob is not on that commit.
    at.as('ann', 'checkout', '-q', approved, '--', 'clusters/east/approvals/bob.yaml');
    at.commit('ann', {}, false);
    at.push();
    expect(await at.judge()).toContain('not signed');
    at.as('ann', 'revert', '--no-edit', 'HEAD');
    // Or by a merge of the old commit that chooses against the rule of three.
    at.as('ann', 'merge', '-q', '--no-ff', '--no-commit', '-s', 'ours', '--allow-unrelated-histories', approved);
    at.as('ann', 'checkout', '-q', approved, '--', 'clusters/east/approvals/bob.yaml');
    at.as('ann', 'commit', '-q', '--allow-empty', '-S', '-m', 'merge');
    at.push();
    expect(await at.judge()).toMatch(/^(waiting: 0 of 1|unverifiable)/);
    at.commit('carl', { [policy]: 'spec: { three: 3 }\n' });
    at.push();
    expect(await at.judge()).toContain('waiting: 0 of 1');
  });

  it('say who wrote them, and are no forms to fill in for others', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    const text = (approver: string): string =>
      `apiVersion: oakum.dev/v1alpha1\nkind: PatchApproval\nmetadata: { name: x }\nspec:\n  approver: ${approver}\n  files: { ${policy}: ${at.oid(policy)} }\n`;
    at.commit('ann', { 'clusters/east/approvals/x.yaml': text('bob@example.org') });
    at.push();
    expect(await at.judge()).toContain('is signed by ann@example.org');
    at.commit('bob', { 'clusters/west/approvals/x.yaml': text('bob@example.org') });
    at.push();
    // In the folder of another cluster it says nothing about this one.
    expect(await at.judge()).not.toContain('approved');
  });

  it('that list what their own commit does not hold are not believed', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    at.approve('bob', { [policy]: at.oid(policy), 'clusters/east/cluster.yaml': 'f'.repeat(40) });
    expect(await at.judge()).toContain('waiting: 0 of 1');
  });

  it('of earlier content do not count for what came after', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    at.approve('bob', { [policy]: at.oid(policy) });
    at.commit('ann', { 'clusters/east/cluster.yaml': 'other\n' });
    at.approve('carl', {
      [policy]: at.oid(policy),
      'clusters/east/cluster.yaml': at.oid('clusters/east/cluster.yaml'),
    });
    expect(await at.judge(policy, 2)).toContain('waiting: 1 of 2');
    expect(await at.judge(policy, 2)).toContain('which is not the head');
  });

  it('of another state of the shared policies do not count together with a later one', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'spec: { two: 2 }\n' });
    at.approve('bob');
    at.commit('ann', { 'policies/base.yaml': 'other\n' });
    at.approve('carl');
    expect(await at.judge(policy, 2)).toContain('waiting: 1 of 2');
    at.approve('bob', undefined, '  expires: "2100-01-01T00:00:00Z"\n');
    expect(await at.judge(policy, 2)).toBe('approved by bob@example.org carl@example.org');
  });
});

describe('who may sign', () => {
  it('is what the accepted commit says, whatever the branch says now', async () => {
    const at = await stage();
    at.commit('ann', { [policy]: 'x\n', 'signers/allowed_signers': `eve@example.org ${keys.get('eve') ?? ''}\n` });
    at.approve('eve');
    expect(await at.judge()).toContain('not in signers/allowed_signers');
  });

  it('nobody, when there is no key: said, and nothing is approved', async () => {
    const at = await stage({ signers: 'ann@example.org nonsense\n' });
    topic(at, 'ann');
    at.merge('bob');
    expect(await at.judge()).toContain('unverifiable: nobody can sign');
  });
});

describe('proposals are branches', () => {
  it('are listed, found again, read and withdrawn', async () => {
    const at = await stage();
    const base = at.as('ann', 'rev-parse', 'HEAD');
    const files = new Map([['clusters/east/runs/r1.yaml', 'kind: PatchRun\n']]);
    const made = await at.port.propose({
      branch: 'oakum/run/east/r1',
      base,
      files,
      message: 'Patch east\n\nThe plan.\n',
    });
    const pull = await at.forge.propose({ branch: 'oakum/run/east/r1', title: 'x', text: 'y' });
    expect(pull).toMatchObject({ state: 'open', head: made.commit, title: 'Patch east', author: { bot: true } });
    expect(await at.forge.open()).toEqual([pull]);
    expect(await at.forge.change(pull.number, ['@acme/team'])).toMatchObject({
      reviews: [],
      teams: { '@acme/team': undefined },
    });
    const read = await at.port.readAt({ commit: pull.head, ref: at.forge.headRef(pull.number) });
    expect(read.files.has('clusters/east/runs/r1.yaml')).toBe(true);
    // A person merges it, signed: Oakum wrote it, so one is enough.
    at.as('bob', 'fetch', '-q');
    at.as('bob', 'branch', '-f', 'topic', 'origin/oakum/run/east/r1');
    at.merge('bob');
    expect(await at.judge('clusters/east/runs/r1.yaml')).toBe('approved by bob@example.org');
    await at.forge.close(pull.number, 'done');
    expect(await at.forge.open()).toEqual([]);
    expect(await native(at.remote.repository, 'for-each-ref', '--format=%(refname)', 'refs/heads/oakum')).toBe('');
    await at.forge.comment(pull.number, '<!-- x -->', 'text');
    await at.forge.status(made.commit, { context: 'oakum/plan', state: 'success', text: 'fine' });
  });

  it('are Oakum’s also after it was started anew, by what they say, and only while they say nothing else', async () => {
    const file = 'clusters/east/runs/r1.yaml';
    const own = (path: string, text: string): boolean => path === file && text === 'kind: PatchRun\n';
    const at = await stage({ own });
    topic(at, 'eve', false, { [file]: 'kind: PatchRun\n' });
    at.merge('bob');
    expect(await at.judge(file)).toBe('approved by bob@example.org');
    const other = await stage({ own });
    topic(other, 'eve', false, { [file]: 'kind: PatchRun\n', 'clusters/east/runs/r2.yaml': 'x\n' });
    other.merge('bob');
    expect(await other.judge(file)).toContain('waiting: 1 of 2');
    const third = await stage({ own });
    topic(third, 'eve', false, { [file]: 'kind: PatchRun # more\n' });
    third.merge('bob');
    expect(await third.judge(file)).toContain('waiting: 1 of 2');
  });

  it('made by others under the same name are not ours', async () => {
    const at = await stage();
    at.as('eve', 'checkout', '-q', '-B', 'oakum/run/east/r2');
    at.commit('eve', { 'clusters/east/runs/r2.yaml': 'kind: PatchRun\n' }, false);
    at.as('eve', 'push', '-q', 'origin', 'HEAD');
    const [pull] = await at.forge.open();
    expect(pull?.author).toMatchObject({ name: 'eve@example.org', bot: false });
    at.as('eve', 'branch', '-f', 'topic');
    at.merge('bob');
    expect(await at.judge('clusters/east/runs/r2.yaml')).toContain('waiting: 1 of 2');
  });

  it('what was never there, and numbers of nothing, are missing', async () => {
    const at = await stage();
    expect(await failure(at.forge.bringing('clusters/east/nothing.yaml'))).toMatchObject({ kind: 'missing' });
    expect(await failure(at.forge.change(7, []))).toMatchObject({ kind: 'missing' });
    expect(await failure(at.forge.propose({ branch: 'oakum/run/x', title: '', text: '' }))).toMatchObject({
      kind: 'missing',
    });
  });
});
