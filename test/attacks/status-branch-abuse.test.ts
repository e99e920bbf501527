// Attack: somebody with a stolen token writes on the status branch: over our pages, in a race, or instead of us.
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { createPublisher } from '../../reconciler/cli/publisher.ts';
import type { Log } from '../../reconciler/ports.ts';
import { adapter, server } from '../contract/git-support.ts';
import { aWorld, resultOf } from '../report/built.ts';
import { git, type GitServer } from '../support/git-server.ts';

const branch = 'oakum/status';
const page = 'clusters/prod/status.yaml';

/** A commit of somebody else on the branch, without a work tree. */
function intrude(remote: GitServer, file: string, text: string): string {
  const run = (input: string | undefined, ...words: string[]): string =>
    execFileSync('git', ['-C', remote.repository, ...words], {
      encoding: 'utf8',
      env: { ...process.env, GIT_INDEX_FILE: `${remote.repository}/intruder` },
      ...(input === undefined ? {} : { input }),
    }).trim();
  run(undefined, 'read-tree', branch);
  const blob = run(text, 'hash-object', '-w', '--stdin');
  run(undefined, 'update-index', '--add', '--cacheinfo', `100644,${blob},${file}`);
  const words = ['-c', 'user.name=Mallory', '-c', 'user.email=m@example.org', 'commit-tree', '-m', 'mine now'];
  const commit = run(undefined, ...words, '-p', branch, run(undefined, 'write-tree'));
  run(undefined, 'update-ref', `refs/heads/${branch}`, commit);
  return commit;
}

const files = (text: string): ReadonlyMap<string, string> => new Map([[page, text]]);

describe('status branch abuse', () => {
  it('a commit of somebody else is told by its name, one of ours is not', async () => {
    const remote = await server();
    const port = adapter(remote);
    expect(await port.publish({ files: files('a\n'), message: 'status: a' })).not.toHaveProperty('foreign');
    expect(await port.publish({ files: files('b\n'), message: 'status: b' })).not.toHaveProperty('foreign');
    const theirs = intrude(remote, page, 'all is well\n');
    expect(await port.publish({ files: files('c\n'), message: 'status: c' })).toMatchObject({ foreign: theirs });
    expect(await git(remote.repository, 'show', `${branch}:${page}`)).toBe('c');
    expect(await port.publish({ files: files('d\n'), message: 'status: d' })).not.toHaveProperty('foreign');
  });

  it('pages that were written over are written again, and it is said once', async () => {
    const remote = await server();
    const port = adapter(remote);
    const said: unknown[] = [];
    const quiet = (): void => undefined;
    const log: Log = { debug: quiet, info: quiet, error: quiet, warn: (fields) => void said.push(fields) };
    let now = Date.UTC(2026, 5, 1, 12);
    const publisher = createPublisher({
      git: port,
      clusters: ['prod'],
      clock: { now: () => now, sleep: () => new Promise((resolve) => setTimeout(resolve, 5)) },
      log,
      archived: async () => undefined,
    });
    const until = async (holds: () => Promise<boolean>): Promise<void> => {
      for (let tries = 0; tries < 400 && !(await holds()); tries++) {
        now += 5_000;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      expect(await holds()).toBe(true);
    };
    const shown = (file: string): Promise<string> =>
      git(remote.repository, 'show', `${branch}:${file}`).catch(() => '');
    const world = aWorld();
    publisher.offer(await resultOf(world, await world.pass()));
    await until(async () => (await shown(page)).includes('kind: ClusterStatus'));
    const readme = await shown('clusters/prod/README.md');
    const theirs = intrude(remote, 'clusters/prod/README.md', 'nothing to see here\n');
    world.cluster.addNode('worker-99');
    world.now += 60_000;
    publisher.offer(await resultOf(world, await world.pass()));
    await until(async () => !(await shown('clusters/prod/README.md')).includes('nothing to see'));
    await until(async () => said.length > 0);
    expect(said).toEqual([{ code: 'ForeignWriter', commit: theirs }]);
    // People who read the pages are told, too, and programs.
    await until(async () =>
      (await shown('README.md')).includes(`commit ${theirs.slice(0, 12)} was not written by Oakum`),
    );
    expect((await shown('fleet.yaml')).replaceAll('"', '')).toContain(`commit: ${theirs}`);
    expect(readme).not.toBe('');
    await publisher.close();
  }, 30_000);
});
