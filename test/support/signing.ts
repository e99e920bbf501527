// Real signatures for tests: keys of gpg and ssh-keygen, commits signed by git, and what git itself thinks of them.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { gitEnvironment } from './git-server.ts';

/** A folder with keys and a repository, and the programs to use them; `stop` ends the gpg agent and removes it. */
export interface SigningPlace {
  readonly folder: string;
  readonly repository: string;
  /** allowed_signers as git is told to use it. */
  readonly allowedSigners: string;
  run(
    program: string,
    words: readonly string[],
    input?: string | Buffer,
    more?: Readonly<Record<string, string>>,
  ): Buffer;
  git(words: readonly string[], input?: string | Buffer): string;
  /** Makes an SSH key; tells the line of its public part (`type base64`). */
  sshKey(name: string, type: readonly string[]): string;
  /** Makes an OpenPGP key without a passphrase; tells its fingerprint. */
  gpgKey(email: string, algorithm: string, expires?: string): string;
  /** The armoured public key. */
  exportKey(fingerprint: string): string;
  /** Makes a commit signed by git itself; tells its name. `settings` are for `git -c`. */
  commit(options: {
    readonly settings?: readonly string[];
    readonly message?: string;
    readonly date?: string;
    readonly sign?: boolean;
  }): string;
  raw(commit: string): Buffer;
  /** Stores raw bytes as a commit, whatever they are; tells its name. */
  store(raw: Buffer): string;
  /** What `git verify-commit` says: whether it is content. */
  verify(commit: string): boolean;
  stop(): void;
}

/** Settings by which git signs with an SSH key. */
export function sshSettings(place: SigningPlace, name: string): string[] {
  return ['gpg.format=ssh', `user.signingKey=${path.join(place.folder, name)}`];
}

/** Settings by which git signs with an OpenPGP key. */
export function gpgSettings(fingerprint: string): string[] {
  return ['gpg.format=openpgp', `user.signingKey=${fingerprint}`];
}

/** Opens a place. Its path is short: gpg's agent listens on a socket in it. */
export function openSigningPlace(): SigningPlace {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'sig-'));
  const home = path.join(folder, 'gpg');
  fs.mkdirSync(home, { mode: 0o700 });
  const repository = path.join(folder, 'r.git');
  const allowedSigners = path.join(folder, 'allowed_signers');
  fs.writeFileSync(allowedSigners, '');
  const env = { ...gitEnvironment, HOME: folder, GNUPGHOME: home, TZ: 'UTC' };
  const run: SigningPlace['run'] = (program, words, input = '', more = {}) =>
    execFileSync(program, words, {
      cwd: folder,
      env: { ...env, ...more },
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: 60_000,
    });
  run('git', ['init', '--quiet', '--bare', '-b', 'main', repository]);
  const git = (words: readonly string[], input?: string | Buffer): string =>
    run('git', ['-C', repository, ...words], input)
      .toString()
      .trimEnd();
  const tree = git(['mktree'], '');
  return {
    folder,
    repository,
    allowedSigners,
    run,
    git,
    sshKey(name, type) {
      run('ssh-keygen', ['-q', '-N', '', '-C', name, '-f', path.join(folder, name), '-t', ...type]);
      return fs
        .readFileSync(path.join(folder, `${name}.pub`), 'utf8')
        .split(' ')
        .slice(0, 2)
        .join(' ');
    },
    gpgKey(email, algorithm, expires = 'never') {
      const words = [
        '--batch',
        '--passphrase',
        '',
        '--quick-generate-key',
        `Person <${email}>`,
        algorithm,
        'sign',
        expires,
      ];
      run('gpg', ['--quiet', ...words]);
      const listed = run('gpg', ['--batch', '--with-colons', '--list-keys', `=Person <${email}>`]).toString();
      return /^fpr:+([0-9A-F]+):/m.exec(listed)?.[1] ?? '';
    },
    exportKey: (fingerprint) => run('gpg', ['--batch', '--armor', '--export', fingerprint]).toString(),
    commit({ settings = [], message = 'a change\n', date, sign = true }) {
      const words = [...settings.flatMap((setting) => ['-c', setting]), 'commit-tree', tree, ...(sign ? ['-S'] : [])];
      const dated = date === undefined ? {} : { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date };
      return execFileSync('git', words, { cwd: repository, env: { ...env, ...dated }, input: message, stdio: 'pipe' })
        .toString()
        .trim();
    },
    raw: (commit) => run('git', ['-C', repository, 'cat-file', 'commit', commit]),
    store: (raw) => git(['hash-object', '-t', 'commit', '-w', '--stdin', '--literally'], raw),
    verify(commit) {
      const words = ['-c', `gpg.ssh.allowedSignersFile=${allowedSigners}`, 'verify-commit', '--raw', commit];
      return spawnSync('git', words, { cwd: repository, env, stdio: 'pipe' }).status === 0;
    },
    stop() {
      spawnSync('gpgconf', ['--kill', 'all'], { env });
      fs.rmSync(folder, { recursive: true, force: true });
    },
  };
}
