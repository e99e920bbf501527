// Signed commits only: real keys of ssh-keygen and gpg, commits by git, and every way to bring one that nobody vouches for.
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { signedOnly } from '../../reconciler/cli/signed-source.ts';
import type { GitServer } from '../support/git-server.ts';
import { gpgSettings, openSigningPlace, sshSettings, type SigningPlace } from '../support/signing.ts';
import { adapter, server } from './git-support.ts';

let place: SigningPlace;
let lines: Readonly<Record<'ann' | 'bob' | 'eve', string>>;
let gpg = '';
let clones = 0;

beforeAll(() => {
  place = openSigningPlace();
  const line = (name: string): string => `${name}@example.org ${place.sshKey(name, ['ed25519'])}\n`;
  lines = { ann: line('ann'), bob: line('bob'), eve: line('eve') };
  gpg = place.gpgKey('gerd@example.org', 'ed25519');
}, 60_000);
afterAll(() => place.stop());

let remote: GitServer;
let port: ReturnType<typeof adapter>;
let folder: string;

function git(settings: readonly string[], ...words: string[]): string {
  const person = ['AUTHOR', 'COMMITTER'].flatMap((role): [string, string][] => [
    [`GIT_${role}_NAME`, 'Somebody'],
    [`GIT_${role}_EMAIL`, 'somebody@example.org'],
  ]);
  const all = settings.flatMap((setting) => ['-c', setting]);
  return place
    .run('git', ['-C', folder, ...all, ...words], '', Object.fromEntries(person))
    .toString()
    .trim();
}

/** Commits files and pushes; by nobody: without a signature. */
function commit(by: string | undefined, files: Readonly<Record<string, string>>, ...more: string[]): string {
  for (const [file, text] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
    fs.writeFileSync(path.join(folder, file), text);
  }
  git([], 'add', '-A');
  const settings = by === undefined ? [] : by === 'gerd' ? gpgSettings(gpg) : sshSettings(place, by);
  git(settings, 'commit', '-q', by === undefined ? '--no-gpg-sign' : '-S', '-m', 'a change', ...more);
  return push();
}

function push(): string {
  git([], 'push', '-q', '--force', 'origin', 'HEAD:main');
  return git([], 'rev-parse', 'HEAD');
}

const file = 'clusters/prod/policy.yaml';
let first: string;

beforeEach(async () => {
  remote = await server();
  folder = path.join(place.folder, `signed${clones++}`);
  place.run('git', ['clone', '-q', remote.repository, folder]);
  first = commit('ann', {
    'signers/allowed_signers': lines.ann + lines.bob,
    'signers/gerd@example.org.asc': place.exportKey(gpg),
  });
  port = adapter(remote);
});

/** What is said of the tip, for a cluster that accepted `first` last, unless told otherwise (`nothing`: none yet). */
async function said(accepted = first, deployed?: ReadonlyMap<string, string>): Promise<string> {
  const after = accepted === 'nothing' ? undefined : accepted;
  const proof = signedOnly(port, deployed, { now: () => Date.now() });
  const tip = git([], 'rev-parse', 'HEAD');
  const answers = [];
  // The second answer is the one that was remembered.
  for (let look = 0; look < 2; look++) answers.push((await proof({ tip, after, keysAt: after ?? tip })) ?? 'good');
  expect(answers[1]).toBe(answers[0]);
  return answers[0] ?? '';
}

describe('a commit is gone by', () => {
  it('when everything since the accepted one is signed, with SSH or OpenPGP', async () => {
    expect(await said()).toBe('good');
    commit('bob', { [file]: 'one' });
    commit('gerd', { [file]: 'two' });
    commit('ann', { [file]: 'three' });
    expect(await said()).toBe('good');
  });

  it('when a signed merge brought unsigned work, from a new shallow clone too', async () => {
    git([], 'checkout', '-q', '-b', 'topic');
    for (const text of ['one', 'two']) commit(undefined, { [file]: text });
    git([], 'checkout', '-q', '-B', 'back', first);
    commit('bob', { 'docs/x.md': 'x' });
    git(sshSettings(place, 'ann'), 'merge', '-q', '--no-ff', '-S', '-m', 'merged', 'topic');
    push();
    expect(await said()).toBe('good');
  });

  it('as the first of all, by keys of its own or of the deployment', async () => {
    expect(await said('nothing')).toBe('good');
    expect(await said('nothing', new Map([['signers/allowed_signers', lines.ann]]))).toBe('good');
    expect(await said('nothing', new Map([['signers/allowed_signers', lines.eve]]))).toContain(
      'keys of the deployment',
    );
  });
});

describe('a commit is not gone by', () => {
  it.each<[string, () => unknown, string]>([
    ['without a signature', () => commit(undefined, { [file]: 'x' }), 'It is not signed.'],
    [
      'under a signed one',
      () => [commit(undefined, { [file]: 'x' }), commit('ann', { 'docs/x.md': 'x' })],
      'It is not signed.',
    ],
    ['by a stranger', () => commit('eve', { [file]: 'x' }), 'is not in signers/allowed_signers of the accepted commit'],
    [
      'that brings its own key',
      () => commit('eve', { 'signers/allowed_signers': lines.ann + lines.eve }),
      'is not in signers/allowed_signers of the accepted commit',
    ],
    [
      'whose key came with a signed commit that is not accepted yet',
      () => [commit('ann', { 'signers/allowed_signers': lines.ann + lines.eve }), commit('eve', { [file]: 'x' })],
      'is not in signers/allowed_signers of the accepted commit',
    ],
    [
      'whose signature is of other content',
      () => {
        const signed = commit('ann', { [file]: 'x' });
        const raw = git([], 'cat-file', 'commit', signed).replace('a change', 'another change');
        const forged = place
          .run('git', ['-C', folder, 'hash-object', '-t', 'commit', '-w', '--stdin'], `${raw}\n`)
          .toString()
          .trim();
        git([], 'reset', '-q', '--hard', forged);
        push();
      },
      'does not',
    ],
    [
      'that has the accepted one on another side of a merge only',
      () => {
        git([], 'checkout', '-q', '--orphan', 'other');
        commit('ann', { [file]: 'x' });
        git(
          sshSettings(place, 'ann'),
          'merge',
          '-q',
          '-S',
          '--allow-unrelated-histories',
          '-m',
          'merged',
          first,
          '-X',
          'ours',
        );
        push();
      },
      'is not on the line of first parents',
    ],
  ])('%s', async (_name, attack, message) => {
    attack();
    expect(await said()).toContain(message);
  });

  it('where the accepted one has no keys, or only such as are not understood', async () => {
    const bare = commit('ann', {
      'signers/allowed_signers': '* ssh-ed25519 AAAA\n',
      'signers/gerd@example.org.asc': 'x',
    });
    commit('ann', { [file]: 'x' });
    expect(await said(bare)).toContain('holds no key that is understood');
  });
});
