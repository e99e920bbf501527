// What the contract tests of the Git adapter share: a server, an adapter on it, and what either leaves behind.
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { openGit, type GitHistory } from '../../reconciler/adapters/git.ts';
import type { GitOptions } from '../../reconciler/adapters/git-options.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { ConfigSnapshot, Git, ReviewGit, SyncResult } from '../../reconciler/ports.ts';
import { startGitServer, type GitServer } from '../support/git-server.ts';

/** Everything that was logged, as text, to look for secrets in it. */
export interface HeardLog {
  readonly lines: string[];
}

export async function server(): Promise<GitServer> {
  const started = await startGitServer();
  onTestFinished(() => started.stop());
  return started;
}

let caches = 0;

/** An adapter with a cache folder of its own, short limits, and everything wanted. */
export function adapter(
  to: Pick<GitServer, 'url' | 'folder'>,
  changes: Partial<GitOptions> = {},
  heard: HeardLog = { lines: [] },
): Git & ReviewGit & GitHistory {
  const say = (fields: Record<string, unknown>, message: string): void =>
    void heard.lines.push(`${JSON.stringify(fields)} ${message}`);
  const port = openGit({
    url: to.url,
    cacheDir: path.join(to.folder, `cache-${caches++}`),
    wanted: 'all',
    author: { name: 'Oakum', email: 'oakum@example.org' },
    log: { debug: say, info: say, warn: say, error: say },
    ...changes,
    timeouts: { connectMs: 2000, idleMs: 5000, operationMs: 30_000, backoffMs: 10, ...changes.timeouts },
  });
  onTestFinished(() => port.close());
  return port;
}

/** The snapshot of a look that must bring one. */
export async function snapshot(port: Git, after?: string): Promise<ConfigSnapshot> {
  return snapshotOf(await port.sync({ after }));
}

export function snapshotOf(result: SyncResult): ConfigSnapshot {
  if (result.kind !== 'changed' && result.kind !== 'unchanged')
    throw new Error(`expected a snapshot, got ${result.kind}: ${result.message}`);
  return result.snapshot;
}

/** The AdapterError that a call must end with. */
export async function failure(work: Promise<unknown>): Promise<AdapterError> {
  const outcome = await work.then(
    (value) => `a value: ${JSON.stringify(value)}`,
    (error: unknown) => error,
  );
  if (outcome instanceof AdapterError) return outcome;
  throw new Error(`expected an AdapterError, got ${String(outcome)}`);
}
