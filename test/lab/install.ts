// Fills the cache with what the lab needs: programs from Go modules, Git's front ends from Debian: `node test/lab/install.ts [--node] [--forge] [--vm] [--print]`.
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import {
  cacheFolder,
  forgeFolder,
  gitea,
  pinnedVersion,
  toolModules,
  type ToolModule,
  type ToolProgram,
} from './assets.ts';
import { installGitFronts } from './git-fronts.ts';
import { vmBase } from './vm-base.ts';

/** A cold build of Gitea took fourteen minutes on two cores that had six times as much to do; a build that takes longer than this hangs. */
const buildLimitMs = 30 * 60_000;

/** Builds what is missing of Kubernetes and returns the folder. Throws an Error whose message says what to do. */
export async function install(options: { withNodePrograms: boolean; say: (line: string) => void }): Promise<string> {
  const folder = cacheFolder();
  mkdirSync(folder, { recursive: true });
  for (const module of toolModules)
    for (const program of module.programs)
      if (!program.nodeOnly || options.withNodePrograms) await provide(module, program, folder, options.say);
  return folder;
}

/** Builds Gitea when it is missing, with the files that it reads at run time beside it, and returns the folder. */
export async function installForge(options: { say: (line: string) => void }): Promise<string> {
  const folder = forgeFolder();
  mkdirSync(folder, { recursive: true });
  for (const program of gitea.programs) await provide(gitea, program, folder, options.say);
  const files = join(folder, 'files');
  if (!existsSync(files)) {
    const source = execFileSync('go', ['list', '-m', '-f', '{{.Dir}}', gitea.module], {
      cwd: gitea.folder,
      encoding: 'utf8',
    }).trim();
    const partial = `${files}.${process.pid}.partial`;
    for (const part of ['options', 'public', 'templates'])
      cpSync(join(source, part), join(partial, part), { recursive: true });
    renameSync(partial, files);
  }
  return folder;
}

async function provide(
  module: ToolModule,
  program: ToolProgram,
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  if (existsSync(join(folder, program.name))) {
    say(`${program.name}: there already`);
    return;
  }
  const started = Date.now();
  say(`${program.name}: building ${program.package} ${pinnedVersion(module)} ...`);
  await build(module, program, folder);
  say(`${program.name}: built in ${Math.round((Date.now() - started) / 1000)} s`);
}

async function build(module: ToolModule, program: ToolProgram, folder: string): Promise<void> {
  const target = join(folder, program.name);
  // Built beside its place and renamed: a program that is there is whole.
  const partial = `${target}.${process.pid}.partial`;
  const tags = module.tags === undefined ? [] : ['-tags', module.tags.join(' ')];
  const version = pinnedVersion(module).slice(1);
  const [major = '', minor = ''] = version.split('.');
  const stamps = (module.stamps ?? []).map(
    (stamp) => `-X ${stamp.replace('VERSION', version).replace('MAJOR', major).replace('MINOR', minor)}`,
  );
  const linking = ['-s', '-w', ...stamps].join(' ');
  const flags = ['-mod=readonly', '-trimpath', '-buildvcs=false', '-p', '2', ...tags, '-ldflags', linking];
  try {
    await runGo(['build', ...flags, '-o', partial, program.package], module);
    renameSync(partial, target);
  } finally {
    rmSync(partial, { force: true });
  }
}

function runGo(words: readonly string[], { folder: cwd, needsCompiler = false }: ToolModule): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('go', words, {
      cwd,
      env: { ...process.env, CGO_ENABLED: needsCompiler ? '1' : '0' },
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
  const unknown = words.filter((word) => !['--node', '--forge', '--vm', '--print'].includes(word));
  if (unknown.length > 0) {
    console.error(
      `Unknown: ${unknown.join(' ')}. Use: node test/lab/install.ts [--node: kubelet and containerd too] [--forge: Gitea too, which needs a C compiler] [--vm: the disk of the emulated machine too] [--print: only say where]`,
    );
    process.exit(2);
  }
  const withForge = words.includes('--forge');
  if (words.includes('--print')) console.log([cacheFolder(), ...(withForge ? [forgeFolder()] : [])].join('\n'));
  else
    try {
      console.log(`All in ${await install({ withNodePrograms: words.includes('--node'), say: console.log })}`);
      if (withForge) console.log(`The forge is in ${await installForge({ say: console.log })}`);
      await installGitFronts(console.log);
      if (words.includes('--vm')) console.log(`The emulated machine: ${(await vmBase(console.log)).disk}`);
    } catch (error) {
      console.error(error instanceof Error ? error.message : String(error));
      process.exit(1);
    }
}
