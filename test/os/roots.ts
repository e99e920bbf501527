// Small system roots: built once from the distribution's mirror, kept outside the tree, copied for each test by an overlay.
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buildOnce } from '../support/build-once.ts';
import { must, run, type Ran } from './commands.ts';

/** Where roots and fixtures are kept between runs. */
export const CACHE = join(process.env['OAKUM_CACHE'] ?? join(process.env['HOME'] ?? '/root', '.cache/oakum'), 'os');

/** Where this process keeps what it takes away again; another process may be at work beside it. */
export const WORK = join(CACHE, 'work', String(process.pid));

const MIRROR = process.env['OAKUM_DEBIAN_MIRROR'] ?? 'http://deb.debian.org';

/** The Debian releases that are tested with their own packages. */
export const DEBIAN = ['bullseye', 'bookworm', 'trixie'] as const;
/** One of them. */
export type Debian = (typeof DEBIAN)[number];

/** The one-line source of a release's security archive. */
export function securityLine(release: Debian): string {
  return `deb ${MIRROR}/debian-security ${release}-security main`;
}

/** The one-line source of a release's main archive. */
export function mainLine(release: Debian): string {
  return `deb ${MIRROR}/debian ${release} main`;
}

/** A root below its overlay. Paths given to its methods are those inside it. */
export interface Root {
  readonly path: string;
  /** Runs a command inside, as root, with a clean environment. */
  readonly sh: (script: string, ...args: string[]) => Promise<Ran>;
  /** Same, and it must succeed; gives its output. */
  readonly ok: (script: string, ...args: string[]) => Promise<string>;
  readonly write: (path: string, content: string, mode?: number) => Promise<void>;
  readonly read: (path: string) => Promise<string>;
  readonly has: (path: string) => boolean;
  readonly remove: (path: string) => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Builds `name` in the cache by `build` unless it is there; half-built ones are never taken for whole ones. */
export function cached(name: string, build: (directory: string) => Promise<void>): Promise<string> {
  return buildOnce(join(CACHE, name), build);
}

/** A minimal Debian with apt, from the main archive only: its security updates of today are pending. */
export function debianBase(release: Debian): Promise<string> {
  return cached(`roots/${release}`, async (directory) => {
    await must('mmdebstrap', ['--variant=apt', '--include=ca-certificates', release, directory, mainLine(release)], {
      timeout: 600_000,
    });
    // apt-get of the base keeps its own lists out of the tests: they show what the script reads by itself.
    await must('sh', [
      '-c',
      'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin && chmod 755 "$1"',
      'clean',
      directory,
    ]);
  });
}

/** An overlay copy of a base root with /proc and /dev; `close` takes it away again. */
export async function copyOf(base: string): Promise<Root> {
  await mkdir(WORK, { recursive: true });
  const home = await mkdtemp(join(WORK, 'root-'));
  const path = join(home, 'root');
  for (const part of ['upper', 'under', 'root']) await mkdir(join(home, part));
  await must('mount', [
    '-t',
    'overlay',
    'overlay',
    '-o',
    `lowerdir=${base},upperdir=${home}/upper,workdir=${home}/under`,
    path,
  ]);
  await must('mount', ['-t', 'proc', 'proc', join(path, 'proc')]);
  await must('mount', ['--bind', '/dev', join(path, 'dev')]);
  await cp('/etc/resolv.conf', join(path, 'etc/resolv.conf'), { dereference: true });
  await rm(join(path, 'run'), { recursive: true, force: true });
  await mkdir(join(path, 'run'), { recursive: true });
  const inside = (script: string, args: readonly string[]): Promise<Ran> =>
    run(
      'chroot',
      [
        path,
        '/usr/bin/env',
        '-i',
        'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
        'HOME=/root',
        'LC_ALL=C.UTF-8',
        '/bin/sh',
        '-c',
        script,
        'sh',
        ...args,
      ],
      {
        timeout: 300_000,
      },
    );
  return {
    path,
    sh: (script, ...args) => inside(script, args),
    ok: async (script, ...args) => {
      const ran = await inside(script, args);
      if (ran.status !== 0) throw new Error(`in the root: ${script}\n${ran.stdout}${ran.stderr}`);
      return ran.stdout;
    },
    write: async (file, content, mode = 0o644) => {
      await mkdir(dirname(join(path, file)), { recursive: true });
      await writeFile(join(path, file), content, { mode });
      await must('chmod', [mode.toString(8), join(path, file)]);
    },
    read: (file) => readFile(join(path, file), 'utf8'),
    has: (file) => existsSync(join(path, file)),
    remove: (file) => rm(join(path, file), { recursive: true, force: true }),
    close: async () => {
      await killInside(path, 'SIGKILL');
      await run('umount', ['-R', '-l', path]);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** Ends every process whose root is this one: the only way to hit a package manager and all its children at once. */
export async function killInside(path: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<number> {
  const found = await run('sh', [
    '-c',
    'for p in /proc/[0-9]*; do [ "$(readlink "$p/root")" = "$1" ] && echo "${p#/proc/}"; done',
    'sh',
    path,
  ]);
  let count = 0;
  for (const pid of found.stdout.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), signal);
      count += 1;
    } catch {
      // It ended by itself between the look and the signal.
    }
  }
  return count;
}
