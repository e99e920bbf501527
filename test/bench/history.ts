// What reviews cost on a config branch with ten thousand commits: who brought a file, asked first, asked again, and after one more commit.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { openGit } from '../../reconciler/adapters/git.ts';
import { commitFiles, git, gitEnvironment, startGitServer } from '../support/git-server.ts';
import type { GitBenchmark } from './git.ts';

const merges = 5_000;
const clusters = 200;
/** Of these many files it is asked who brought them. */
const asked = 20;
const policy = (cluster: number): string => `clusters/c${String(cluster).padStart(3, '0')}/policy.yaml`;

/** Fills `main` with merges of branches of one commit each; cluster 0 is touched by the very first only, the others in turn. */
function writeHistory(repository: string): void {
  const parts: string[] = [];
  const now = Math.floor(Date.now() / 1000) - 2 * merges;
  const commit = (mark: number, from: readonly number[], files: readonly (readonly [string, string])[]): void => {
    const message = `change ${mark}`;
    parts.push(`commit refs/heads/main\nmark :${mark}\ncommitter Person <person@example.org> ${now + mark} +0000\n`);
    parts.push(`data ${message.length}\n${message}\n`);
    from.forEach((parent, at) => parts.push(`${at === 0 ? 'from' : 'merge'} :${parent}\n`));
    for (const [file, text] of files) parts.push(`M 100644 inline ${file}\ndata ${text.length}\n${text}\n`);
  };
  const text = (round: number): string =>
    `apiVersion: oakum.dev/v1alpha1\nkind: PatchPolicy\nmetadata: { name: prod }\nspec: { schedule: { preset: weekly } } # ${round}\n`;
  commit(
    1,
    [],
    Array.from({ length: clusters }, (_, cluster) => [policy(cluster), text(0)] as const),
  );
  let tip = 1;
  for (let round = 1; round <= merges; round++) {
    const file = [policy(round === 1 ? 0 : 1 + (round % (clusters - 1))), text(round)] as const;
    commit(2 * round, [tip], [file]);
    commit(2 * round + 1, [tip, 2 * round], [file]);
    tip = 2 * round + 1;
  }
  execFileSync('git', ['fast-import', '--quiet', '--force'], {
    cwd: repository,
    env: gitEnvironment,
    input: parts.join(''),
  });
}

/** Measures; takes about a minute. */
export async function benchHistory(): Promise<GitBenchmark[]> {
  const server = await startGitServer();
  const quiet = (): void => undefined;
  const port = openGit({
    url: server.url,
    cacheDir: path.join(server.folder, 'cache'),
    wanted: 'all',
    author: { name: 'Oakum', email: 'oakum@example.org' },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
  const lines: GitBenchmark[] = [];
  const all = Array.from({ length: asked }, (_, cluster) => policy(cluster));
  const clone = path.join(server.folder, 'native.git');
  const ask = async (paths: readonly string[]): Promise<void> => {
    for (const file of paths) await port.evidence(file);
  };
  const native = async (paths: readonly string[]): Promise<void> => {
    for (const file of paths) await git(clone, 'log', '-1', '--first-parent', '-m', '--format=%H', 'main', '--', file);
  };
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const start = performance.now();
    await work();
    return performance.now() - start;
  };
  const measure = async (
    name: string,
    note: string,
    ours: () => Promise<unknown>,
    beside: () => Promise<unknown>,
  ): Promise<void> => {
    const before = server.sent;
    const ours_ms = Math.round(await timed(ours));
    const fetched = Math.round((server.sent - before) / 1024);
    const memory = Math.round(process.memoryUsage().rss / 1024 / 1024);
    const baseline_ms = Math.round(await timed(beside));
    const ratio = Math.round((ours_ms / baseline_ms) * 100) / 100;
    lines.push({ name, ours_ms, baseline_ms, ratio, note: `${note}; ${fetched} KiB came, ${memory} MiB resident` });
  };
  try {
    writeHistory(server.repository);
    await port.sync({ after: undefined });
    await measure(
      `who brought a file, ${2 * merges} commits, first time`,
      'native: clone --bare, log -1',
      () => ask(all.slice(0, 1)),
      async () => {
        await git(server.folder, 'clone', '-q', '--bare', '--no-local', server.url, clone);
        await native(all.slice(0, 1));
      },
    );
    await measure(
      `the same for ${asked} files`,
      'native: log -1 for each',
      () => ask(all),
      () => native(all),
    );
    await measure(
      'again without a new commit',
      'native: ls-remote for each',
      () => ask(all),
      async () => {
        for (const _ of all) await git(clone, 'ls-remote', server.url, 'main');
      },
    );
    commitFiles(server.repository, 'main', { [policy(7)]: 'one: more\n' });
    await measure(
      `after one commit, ${asked} files`,
      'native: fetch, log -1 for each',
      () => ask(all),
      async () => {
        await git(clone, 'fetch', '-q', server.url, '+main:main');
        await native(all);
      },
    );
    return lines;
  } finally {
    await port.close();
    await server.stop();
  }
}
