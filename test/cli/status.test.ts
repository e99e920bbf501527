// `oakum status` and `oakum why` against a real Git server.
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { realClock } from '../../reconciler/adapters/clock.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { openGitFrom } from '../../reconciler/cli/parts.ts';
import { createPublisher } from '../../reconciler/cli/publisher.ts';
import { readDocuments } from '../../reconciler/cli/status.ts';
import { UsageError } from '../../reconciler/cli/settings.ts';
import { whyText } from '../../reconciler/report/text.ts';
import { aWorld, documentOf, resultOf } from '../report/built.ts';
import { commitFiles, git, type GitServer, startGitServer } from '../support/git-server.ts';

let server: GitServer;
let cache: string;
const flags = () => ({ repo: server.url, statusBranch: 'oakum/status', cacheDir: join(cache, 'reader') });

beforeAll(async () => {
  server = await startGitServer();
  cache = await mkdtemp(join(server.folder, 'cache-'));
  commitFiles(server.repository, 'main', { 'clusters/prod/policy.yaml': 'kind: PatchPolicy\n' });
});

afterAll(async () => {
  await rm(cache, { recursive: true, force: true });
  await server.stop();
});

describe('status in a real repository', () => {
  it('says so when nothing was published yet', async () => {
    expect(await readDocuments(flags(), undefined)).toEqual([]);
    await expect(readDocuments(flags(), 'prod')).rejects.toThrow(UsageError);
  });

  it('is published by one program and read by another', async () => {
    const world = aWorld();
    await world.run(6 * 3_600_000);
    const result = await resultOf(world, await world.pass());
    const archived: string[] = [];
    const writer = openGitFrom({ ...flags(), cacheDir: join(cache, 'writer') }, silentLog, 'all');
    const publisher = createPublisher({
      git: writer,
      clock: realClock,
      log: silentLog,
      clusters: ['prod'],
      archived: (_cluster, ids) => void archived.push(...ids),
    });
    publisher.offer(result);
    await publisher.close();
    await writer.close();
    expect(archived).toEqual([world.theRun().id]);
    expect(await git(server.repository, 'log', '--format=%s', 'oakum/status')).toBe(
      'status: prod 1 patched, 1 skipped, 1 failed',
    );

    const [doc, ...more] = await readDocuments(flags(), undefined);
    expect(more).toEqual([]);
    expect(doc).toEqual(documentOf(result));
    const [only] = await readDocuments(flags(), 'prod');
    const node = only?.nodes.find((one) => one.name === 'worker-3');
    expect(node && only && whyText('prod', node, only.observedCommit)).toMatch(
      /^worker-3 \(cluster prod\): Quarantined/,
    );
  });

  it('pushes nothing when another process finds the branch as it would write it', async () => {
    const world = aWorld();
    await world.run(6 * 3_600_000);
    const before = await git(server.repository, 'rev-parse', 'oakum/status');
    const writer = openGitFrom({ ...flags(), cacheDir: join(cache, 'second') }, silentLog, 'all');
    const publisher = createPublisher({
      git: writer,
      clock: realClock,
      log: silentLog,
      clusters: ['prod'],
      archived: () => undefined,
    });
    publisher.offer(await resultOf(world, await world.pass()));
    await publisher.close();
    await writer.close();
    expect(await git(server.repository, 'rev-parse', 'oakum/status')).toBe(before);
  });
});
