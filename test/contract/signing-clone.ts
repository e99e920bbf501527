// A clone of a config repository in which several people commit and merge with keys of their own, by the real git.
import fs from 'node:fs';
import path from 'node:path';
import type { GitServer } from '../support/git-server.ts';
import { sshSettings, type SigningPlace } from '../support/signing.ts';

export interface Signing {
  /** Default: true. */
  readonly signed?: boolean;
}

export interface SigningClone {
  readonly folder: string;
  /** Runs git in the clone as somebody, at the time of the clock. */
  as(name: string, ...words: string[]): string;
  /** Commits these files on main, or wherever the clone is; tells the commit. */
  commit(name: string, files: Readonly<Record<string, string>>, how?: Signing): string;
  /** Commits these files on a new branch `topic` from main. */
  topic(name: string, files: Readonly<Record<string, string>>, how?: Signing): string;
  /** Merges `from` (default: `topic`; a branch of the remote, or a commit) into main and pushes; tells the commit. */
  merge(by: string, how?: Signing & { readonly from?: string }): string;
  push(): void;
  /** Branches under `oakum/run/` at the remote. */
  branches(): string[];
  removeBranch(name: string): void;
  tip(branch: string): string;
  message(branch: string): string;
}

let clones = 0;

/** Opens a clone; `now` is the clock of everybody in it. */
export function openClone(place: SigningPlace, remote: GitServer, now: () => number): SigningClone {
  const folder = path.join(place.folder, `config-${clones++}`);
  // By its path: the server lives in this very process, which waits for git.
  place.run('git', ['clone', '-q', remote.repository, folder]);
  const as = (name: string, ...words: string[]): string => {
    const settings = sshSettings(place, name).flatMap((setting) => ['-c', setting]);
    return place
      .run('git', ['-C', folder, ...settings, ...words], '', personAt(name, now()))
      .toString()
      .trim();
  };
  const sign = ({ signed = true }: Signing): string => (signed ? '-S' : '--no-gpg-sign');
  const self: SigningClone = {
    folder,
    as,
    commit(name, files, how = {}) {
      for (const [file, text] of Object.entries(files)) {
        fs.mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
        fs.writeFileSync(path.join(folder, file), text);
      }
      as(name, 'add', '-A');
      as(name, 'commit', '-q', sign(how), '-m', `${name} changes ${Object.keys(files).join(', ')}`);
      return as(name, 'rev-parse', 'HEAD');
    },
    topic(name, files, how = {}) {
      as(name, 'fetch', '-q', 'origin');
      as(name, 'checkout', '-q', '-B', 'topic', 'origin/main');
      const made = self.commit(name, files, how);
      as(name, 'checkout', '-q', '-B', 'main', 'origin/main');
      return made;
    },
    merge(by, how = {}) {
      as(by, 'fetch', '-q', 'origin');
      as(by, 'checkout', '-q', '-B', 'main', 'origin/main');
      const { from = 'topic' } = how;
      as(by, 'merge', '-q', '--no-ff', '--no-edit', sign(how), from.startsWith('oakum/') ? `origin/${from}` : from);
      self.push();
      return as(by, 'rev-parse', 'HEAD');
    },
    push: () => void as('root', 'push', '-q', 'origin', 'HEAD:main'),
    branches: () =>
      as('root', 'ls-remote', '--heads', 'origin', 'oakum/run/*')
        .split('\n')
        .flatMap((line) => /refs\/heads\/(.+)$/.exec(line)?.[1] ?? []),
    removeBranch: (name) => void as('root', 'push', '-q', 'origin', `:refs/heads/${name}`),
    tip: (branch) => as('root', 'ls-remote', 'origin', `refs/heads/${branch}`).split('\t')[0] ?? '',
    message(branch) {
      as('root', 'fetch', '-q', 'origin');
      return as('root', 'log', '-1', '--format=%B', `origin/${branch}`);
    },
  };
  return self;
}

/** The environment of one person's git at one time. */
export function personAt(name: string, now: number): Record<string, string> {
  const date = `${Math.floor(now / 1000)} +0000`;
  return Object.fromEntries(
    ['AUTHOR', 'COMMITTER'].flatMap((role) => [
      [`GIT_${role}_NAME`, name],
      [`GIT_${role}_EMAIL`, `${name}@example.org`],
      [`GIT_${role}_DATE`, date],
    ]),
  );
}
