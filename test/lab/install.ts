// Builds the pinned programs of the lab from their Go modules into the cache: `node test/lab/install.ts [--node] [--print]`.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { cacheFolder, pinnedVersion, toolModules, type ToolModule, type ToolProgram } from './assets.ts';

/** A cold build of the API server took six minutes on two busy cores; a build that takes longer than this hangs. */
const buildLimitMs = 30 * 60_000;

/** Builds what is missing and returns the folder. Throws an Error whose message says what to do. */
export async function install(options: { withNodePrograms: boolean; say: (line: string) => void }): Promise<string> {
  const folder = cacheFolder();
  mkdirSync(folder, { recursive: true });
  for (const module of toolModules)
    for (const program of module.programs) {
      if (program.nodeOnly && !options.withNodePrograms) continue;
      if (existsSync(join(folder, program.name))) {
        options.say(`${program.name}: there already`);
        continue;
      }
      const started = Date.now();
      options.say(`${program.name}: building ${program.package} ${pinnedVersion(module)} ...`);
      await build(module, program, folder);
      options.say(`${program.name}: built in ${Math.round((Date.now() - started) / 1000)} s`);
    }
  return folder;
}

async function build(module: ToolModule, program: ToolProgram, folder: string): Promise<void> {
  const target = join(folder, program.name);
  // Built beside its place and renamed: a program that is there is whole.
  const partial = `${target}.${process.pid}.partial`;
  const version = pinnedVersion(module);
  const [major, minor] = version.slice(1).split('.');
  const stamp = `-X k8s.io/component-base/version.gitVersion=${version} -X k8s.io/component-base/version.gitMajor=${major} -X k8s.io/component-base/version.gitMinor=${minor}`;
  const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-p', '2', '-ldflags', `-s -w ${stamp}`];
  try {
    await runGo(['build', ...flags, '-o', partial, program.package], module.folder);
    renameSync(partial, target);
  } finally {
    rmSync(partial, { force: true });
  }
}

function runGo(words: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', words, {
      cwd,
      env: { ...process.env, CGO_ENABLED: '0' },
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: buildLimitMs,
    });
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'ENOENT'
          ? new Error('Go is not installed: install Go 1.26 or newer and have "go" on PATH.')
          : error,
      );
    });
    child.once('spawn', () => {
      // The machine may be doing something else; the compilers inherit this.
      if (child.pid !== undefined) setPriority(child.pid, 10);
    });
    child.once('exit', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new Error(`go ${words[0]} in ${cwd} ended with ${signal ?? `exit code ${code}`}; its own message is above.`),
        );
    });
  });
}

if (import.meta.main) {
  const words = process.argv.slice(2);
  const unknown = words.filter((word) => !['--node', '--print'].includes(word));
  if (unknown.length > 0) {
    console.error(
      `Unknown: ${unknown.join(' ')}. Use: node test/lab/install.ts [--node: kubelet and containerd too] [--print: only say where]`,
    );
    process.exit(2);
  }
  if (words.includes('--print')) console.log(cacheFolder());
  else
    try {
      console.log(`All in ${await install({ withNodePrograms: words.includes('--node'), say: console.log })}`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error));
      process.exit(1);
    }
}
