// What Git costs: a poll, a changed file, a status commit; each with native git doing the same beside it.
import path from 'node:path';
import { openGit } from '../../reconciler/adapters/git.ts';
import type { Git } from '../../reconciler/ports.ts';
import { commitFiles, git, startGitServer, type GitServer } from '../support/git-server.ts';

/** One line of the benchmark: medians in milliseconds, and ours divided by the baseline. */
export interface GitBenchmark {
  readonly name: string;
  readonly ours_ms: number;
  readonly baseline_ms: number;
  readonly ratio: number;
  readonly note: string;
}

/** Runs of each measurement; the median of them counts. */
const rounds = 7;

function adapterOn(server: GitServer): Git {
  const quiet = (): void => undefined;
  return openGit({
    url: server.url,
    cacheDir: path.join(server.folder, 'cache'),
    wanted: 'all',
    author: { name: 'Oakum', email: 'oakum@example.org' },
    log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
}

/** Median time of a piece of work; `prepare` runs before each round and is not counted. */
async function median(work: (round: number) => Promise<unknown>, prepare?: (round: number) => void): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    prepare?.(round);
    const start = performance.now();
    await work(round);
    times.push(performance.now() - start);
  }
  times.sort((left, right) => left - right);
  return times[Math.floor(times.length / 2)] ?? 0;
}

function line(name: string, ours: number, baseline: number, note: string): GitBenchmark {
  const round = (value: number): number => Math.round(value * 10) / 10;
  return {
    name,
    ours_ms: round(ours),
    baseline_ms: round(baseline),
    ratio: Math.round((ours / baseline) * 100) / 100,
    note,
  };
}

function policies(clusters: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: clusters }, (_, index) => [
      `clusters/c${String(index).padStart(4, '0')}/policy.yaml`,
      `apiVersion: oakum.dev/v1alpha1\nkind: PatchPolicy\nmetadata: { name: c${index} }\nspec: { schedule: { preset: weekly } }\n`,
    ]),
  );
}

/** A native bare clone of one commit, to be kept up to date as a careful user of git would. */
async function nativeClone(server: GitServer): Promise<string> {
  const clone = path.join(server.folder, 'native.git');
  await git(server.folder, 'clone', '-q', '--bare', '--depth', '1', '--no-local', server.url, clone);
  return clone;
}

async function benchConfig(clusters: number): Promise<GitBenchmark[]> {
  const server = await startGitServer();
  const port = adapterOn(server);
  try {
    let tip = commitFiles(server.repository, 'main', policies(clusters));
    const clone = await nativeClone(server);
    const first = performance.now();
    await port.sync({ after: undefined });
    const firstMs = performance.now() - first;
    const change = (round: number): void => {
      tip = commitFiles(server.repository, 'main', { 'clusters/c0007/policy.yaml': `round: ${round}\n` });
    };
    let before = tip;
    const ours = await median(
      async () => {
        const result = await port.sync({ after: before });
        if (result.kind !== 'changed' || result.snapshot.changed?.length !== 1)
          throw new Error('exactly one file was to change');
        before = result.snapshot.commit;
      },
      (round) => change(round),
    );
    await git(clone, 'fetch', '-q', server.url, '+main:main');
    const native = await median(
      async () => {
        const was = await git(clone, 'rev-parse', 'main');
        await git(clone, 'fetch', '-q', server.url, '+main:main');
        const [changed = ''] = (await git(clone, 'diff-tree', '-r', '--name-only', was, 'main')).split('\n');
        await git(clone, 'cat-file', 'blob', `main:${changed}`);
      },
      (round) => change(round + rounds),
    );
    const lines = [
      line(
        `one changed file among ${clusters} clusters`,
        ours,
        native,
        `look, fetch, descent, diff, read; first clone ${Math.round(firstMs)} ms; native: rev-parse, fetch, diff-tree, cat-file`,
      ),
    ];
    if (clusters > 500) return lines;
    await port.sync({ after: undefined });
    const poll = await median(() => port.sync({ after: tip }));
    const nativePoll = await median(() => git(clone, 'ls-remote', server.url, 'HEAD'));
    return [line('poll without change', poll, nativePoll, 'native: git ls-remote HEAD'), ...lines];
  } finally {
    await port.close();
    await server.stop();
  }
}

async function benchStatus(): Promise<GitBenchmark> {
  const server = await startGitServer();
  const port = adapterOn(server);
  const branch = 'oakum/status';
  const name = (index: number): string => `clusters/r${index % 50}/c${index}/status.yaml`;
  const text = (index: number, round: number): string => `kind: ClusterStatus\ncluster: c${index}\nround: ${round}\n`;
  const batch = (round: number): [string, string][] =>
    Array.from({ length: 100 }, (_, item) => [name((item * 37) % 5000), text(item, round)]);
  try {
    const all = Array.from({ length: 5000 }, (_, index): [string, string] => [name(index), text(index, -1)]);
    commitFiles(server.repository, branch, Object.fromEntries(all));
    await port.readStatus('README.md');
    const ours = await median(async (round) => {
      const result = await port.publish({ files: new Map(batch(round)), message: `status: round ${round}` });
      if (!result.changed) throw new Error('the commit was to change something');
    });
    const clone = path.join(server.folder, 'native.git');
    await git(server.folder, 'clone', '-q', '--bare', '--depth', '1', '-b', branch, '--no-local', server.url, clone);
    const native = await median(async (round) => {
      commitFiles(clone, branch, Object.fromEntries(batch(round + 1000)));
      await git(clone, 'push', '-q', server.url, `${branch}:${branch}`);
    });
    return line(
      'status commit with 100 changed files of 5,000',
      ours,
      native,
      'look, build, push; native: fast-import, push',
    );
  } finally {
    await port.close();
    await server.stop();
  }
}

/** Measures everything; takes about half a minute. */
export async function benchGit(): Promise<GitBenchmark[]> {
  return [...(await benchConfig(500)), ...(await benchConfig(5000)), await benchStatus()];
}
