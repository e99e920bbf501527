// `oakum run`: the service. `oakum once`: passes until nothing is left to do at once.
import type { Command } from 'commander';
import { realClock } from '../adapters/clock.ts';
import { startHttp } from '../adapters/http.ts';
import { openLog } from '../adapters/log.ts';
import { openMetrics } from '../adapters/metrics.ts';
import { openHints } from '../adapters/hints.ts';
import { openWebhooks, type Webhooks } from '../adapters/webhooks.ts';
import { runService } from '../loop.ts';
import type { Log } from '../ports.ts';
import { addForgeFlags, approvalFloorOf, type ForgeFlags } from './forge.ts';
import type { Parts } from './parts.ts';
import { openReviewDesk, type ReviewDesk } from './review-desk.ts';
import { inTurn, tellFailed } from './in-turn.ts';
import { readSchemas } from '../adapters/assets.ts';
import { createPublisher } from './publisher.ts';
import {
  addClusterFlags,
  addGitFlags,
  addServiceFlags,
  type ClusterFlags,
  durationFlag,
  listFlag,
  type GitFlags,
  numberFlag,
  readFlagFile,
  type ServiceFlags,
  UsageError,
} from './settings.ts';
import { version } from './version.ts';

/** How long a shutdown may take: the last status is pushed and the Lease is given back. */
const shutdownMs = 20_000;

type RunFlags = GitFlags & ClusterFlags & ServiceFlags & ForgeFlags;

/** Adds the verbs. */
export function registerRun(program: Command): void {
  const run = program
    .command('run')
    .description('run the service: watch the config repository and the cluster, patch nodes, commit status');
  addForgeFlags(addServiceFlags(addClusterFlags(addGitFlags(run)))).action(async (flags: RunFlags) => {
    await serve(flags);
  });
  const once = program
    .command('once')
    .description('one pass (more only while something can go on at once), publish status, and stop');
  addForgeFlags(addServiceFlags(addClusterFlags(addGitFlags(once)))).action(async (flags: RunFlags) => {
    await runOnce(flags);
  });
}

async function serve(flags: RunFlags): Promise<void> {
  const log = openLog({ level: flags.logLevel });
  const metrics = openMetrics();
  const { openParts } = await import('./parts.ts');
  const parts = await openParts({ flags, log, watch: true, act: true, onRequest: metrics.countRequest });
  const port = numberFlag('http-port', flags.httpPort, 0, 65_535) ?? 8080;
  const pollMs = durationFlag('poll', flags.poll);
  const health = healthOf(parts, metrics);
  const hints = openHints();
  const desk = deskOf(parts, flags, log);
  const webhooks = webhooksOf(flags, log, () => {
    hints.drop();
    desk?.nudge();
  });
  const http = port === 0 ? undefined : await startHttp({ port, health, metrics, ...(webhooks ? { webhooks } : {}) });
  const publisher = publisherOf(parts, log, metrics);
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.once(name, () => {
      log.info({ signal: name }, 'stopping: nodes under way are left as they are, the ledger knows where they stand');
      stop.abort();
    });
  }
  log.info({ version, clusters: parts.clusters.map((one) => one.name), port: http?.port ?? 0 }, 'oakum runs');
  try {
    await runService(
      {
        source: parts.source,
        clusters: parts.clusters,
        clock: realClock,
        log,
        pace: { pollMs, restMs: 250, retryMs: 2_000 },
        random: Math.random,
        hinted: hints.listen(),
        health: (name, error) => health.note(name, error),
        report: (result) => {
          metrics.observePass(result);
          publisher.offer(result);
          desk?.offer(result);
        },
      },
      stop.signal,
    );
  } finally {
    await within(shutdownMs, Promise.all([publisher.close(), desk?.close()]));
    await within(shutdownMs, parts.close());
    await http?.close();
    log.info({}, 'stopped');
  }
}

async function runOnce(flags: RunFlags): Promise<void> {
  const log = openLog({ level: flags.logLevel });
  const { openParts } = await import('./parts.ts');
  const parts = await openParts({ flags, log, watch: false, act: true });
  const publisher = publisherOf(parts, log, undefined);
  const desk = deskOf(parts, flags, log);
  try {
    const leases = new Map(parts.clusters.map(({ name, lease }) => [name, lease]));
    const loops = parts.clusters.map(({ loop }) => loop);
    const { failed } = await inTurn(loops, async (loop, turn) => {
      if (turn === 1) {
        await waitForLease(() => leases.get(loop.name)?.held() === true);
        await parts.source.pull(new Map([[loop.name, await loop.accepted()]]));
      }
      for (let passes = 0; passes < 20; passes++) {
        const result = await loop.pass(parts.source.current(loop.name), realClock.now());
        publisher.offer(result);
        desk?.offer(result);
        if (!result.acted || result.plan.wakeAt > realClock.now() + 1_000) break;
      }
    });
    tellFailed(failed);
    for (const { name } of loops) {
      const { hold } = parts.source.current(name);
      if (!hold || failed.has(name)) continue;
      process.stderr.write(`oakum: ${hold.reason}: ${hold.message}\n`);
      process.exitCode = 1;
    }
    await desk?.settle();
  } finally {
    await publisher.close();
    await desk?.close();
    const untold = desk?.state().lastError;
    if (untold !== undefined) {
      process.stderr.write(`oakum: the forge was not told everything: ${untold}\n`);
      process.exitCode = 1;
    }
    const { lastError } = publisher.state();
    if (lastError !== undefined) {
      process.stderr.write(`oakum: status was not published: ${lastError}\n`);
      process.exitCode = 1;
    }
    await parts.close();
  }
}

function webhooksOf(flags: ServiceFlags, log: Log, hint: () => void): Webhooks | undefined {
  const file = flags.webhookSecretFile;
  if (file === undefined) return undefined;
  if (readFlagFile('webhook-secret-file', file).trim().length < 16)
    throw new UsageError(`--webhook-secret-file: ${file} holds fewer than 16 characters; such a secret can be guessed`);
  return openWebhooks({ secret: { file }, clock: realClock, log, hint });
}

/** A Lease that nobody holds is won within a moment; one that is held is reported by the pass. */
async function waitForLease(held: () => boolean): Promise<void> {
  const until = realClock.now() + 8_000;
  while (!held() && realClock.now() < until) await realClock.sleep(100);
}

function deskOf(parts: Parts, flags: RunFlags, log: Log): ReviewDesk | undefined {
  const { forge, git, source, clusters } = parts;
  if (!forge) return undefined;
  return openReviewDesk({
    forge,
    git,
    schemas: readSchemas(),
    clusters,
    snapshot: () => source.files(),
    clock: realClock,
    log,
    ownAccounts: listFlag(flags.forgeAccounts),
    approvalFloor: approvalFloorOf(flags, flags.approvalFloor),
    pollMs: durationFlag('forge-poll', flags.forgePoll),
  });
}

function publisherOf(
  parts: Parts,
  log: Log,
  metrics: ReturnType<typeof openMetrics> | undefined,
): ReturnType<typeof createPublisher> {
  return createPublisher({
    git: parts.git,
    clock: realClock,
    log,
    clusters: parts.clusters.map((one) => one.name),
    archived: (name, runIds) => parts.clusters.find((one) => one.name === name)?.loop.archived(runIds),
    onPublish: (outcome) => metrics?.observePublish(outcome),
  });
}

function healthOf(
  parts: Parts,
  metrics: ReturnType<typeof openMetrics>,
): { note(name: string, error: unknown): void; healthy(): boolean; ready(): boolean; explain(): string } {
  const failures = new Map<string, { count: number; bug: boolean; message: string }>();
  const reached = new Set<string>();
  return {
    note: (name, error) => {
      metrics.observeFailure(name, error);
      if (error === undefined) {
        failures.delete(name);
        reached.add(name);
        return;
      }
      const message = error instanceof Error ? error.message : 'unexpected error';
      const bug = !(error instanceof Error && error.name === 'AdapterError');
      failures.set(name, { count: (failures.get(name)?.count ?? 0) + 1, bug, message });
    },
    healthy: () => ![...failures.values()].some((failure) => failure.bug && failure.count >= 3),
    ready: () =>
      parts.clusters.every(({ name }) => parts.source.current(name).desired !== undefined && reached.has(name)),
    explain: () => {
      const holds = new Set(parts.clusters.map(({ name }) => parts.source.current(name).hold?.message));
      const told = [...failures].map(
        ([name, failure]) => `${name}: ${failure.message} (${failure.count} times in a row)`,
      );
      return [
        // A look that failed is told once, with how often.
        ...[...holds].flatMap((hold) =>
          hold === undefined || hold === failures.get('config')?.message ? [] : [`config repository: ${hold}`],
        ),
        ...told,
      ].join('\n');
    },
  };
}

/** Waits for a promise, but not longer than `ms`. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const stop = new AbortController();
  await Promise.race([work.catch(() => undefined), realClock.sleep(ms, stop.signal)]);
  stop.abort();
}
