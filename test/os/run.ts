// The tests on real package managers: says what is missing, or runs them and ends with "N passed, N failed".
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { installed, run } from './commands.ts';
import { CACHE } from './roots.ts';

// Command, and the Debian package that has it. dnf, rpm and zypper are installed into roots of their own by their fixtures.
const NEEDED: readonly (readonly [string, string])[] = [
  ['mmdebstrap', 'mmdebstrap'],
  ['apt-ftparchive', 'apt-utils'],
  ['dpkg-deb', 'dpkg'],
  ['gpg', 'gnupg'],
  ['shellcheck', 'shellcheck'],
  ['busybox', 'busybox'],
  ['unshare', 'util-linux'],
];

const missing: string[] = [];
for (const [command, name] of NEEDED) if (!(await installed(command))) missing.push(name);
if (process.getuid?.() !== 0) {
  console.error('test:os must run as root: it mounts overlays and enters system roots.');
  process.exit(1);
}
if (missing.length > 0) {
  console.error(`test:os needs these Debian packages, which are not installed: ${missing.join(' ')}`);
  process.exit(1);
}

mkdirSync(CACHE, { recursive: true });
// What a run that was killed left behind: mounts first, then the files. Another run's is left alone.
for (const pid of existsSync(join(CACHE, 'work')) ? readdirSync(join(CACHE, 'work')) : []) {
  if (existsSync(`/proc/${pid}`)) continue;
  const home = join(CACHE, 'work', pid);
  const mounts = await run('sh', ['-c', 'cut -d" " -f2 /proc/mounts | grep -F "$1/" | sort -r', 'sh', home]);
  for (const mount of mounts.stdout.split('\n').filter((line) => line !== '')) await run('umount', ['-l', mount]);
  rmSync(home, { recursive: true, force: true });
}

const report = join(CACHE, `report-${String(process.pid)}.json`);
const root = new URL('../..', import.meta.url).pathname;
const ended = spawnSync(
  process.execPath,
  [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    '--config',
    'test/os/vitest.config.ts',
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${report}`,
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit' },
);
const counts = JSON.parse(readFileSync(report, 'utf8')) as {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
};
rmSync(report);
console.log(`${String(counts.numPassedTests)} passed, ${String(counts.numFailedTests)} failed`);
process.exit(ended.status ?? 1);
