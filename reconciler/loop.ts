// The whole story on one page: pull, pass over each cluster, report, sleep until something is new.
import { AdapterError, InternalError } from './model/failure.ts';
import type { ClusterLoop, PassResult } from './pass.ts';
import type { Clock, Cluster, Log } from './ports.ts';
import type { ConfigSource, Source } from './source.ts';

/** How the service paces itself, in milliseconds. */
export interface Pace {
  /** Between two looks at the config repository. */
  readonly pollMs: number;
  /** Shortest rest between two passes over a cluster. */
  readonly restMs: number;
  /** First back-off after a failed pass; it doubles up to five minutes (half a minute after faults that may pass). */
  readonly retryMs: number;
}

/** Longest back-off after passes that failed. */
const longestRetryMs = 300_000;
/** An API server that was away, or throttled us, may have nodes of ours cordoned: they are not left waiting for longer than this. */
const longestTransientMs = 30_000;

export interface ServiceParts {
  readonly source: ConfigSource;
  readonly clusters: readonly { readonly loop: ClusterLoop; readonly cluster: Pick<Cluster, 'changed'> }[];
  readonly clock: Clock;
  readonly log: Log;
  readonly pace: Pace;
  /** Called after every pass; publishes status in its own time. */
  readonly report: (result: PassResult) => void;
  /** Called after every pass with what went wrong, for health and metrics. */
  readonly health: (name: string, error: unknown) => void;
  /** A number from 0 to 1: jitter, so that many agents do not poll in step. */
  readonly random: () => number;
}

/** Runs until the signal fires: one loop for the config repository, one for each cluster. */
export async function runService(parts: ServiceParts, signal: AbortSignal): Promise<void> {
  const first = parts.clusters[0]?.loop;
  await Promise.all([pollSource(parts, first, signal), ...parts.clusters.map((one) => runCluster(parts, one, signal))]);
}

async function pollSource(parts: ServiceParts, first: ClusterLoop | undefined, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      // Without the ledger it is not known which commit was accepted last, and a rewritten history would pass for a new one.
      const accepted = await first?.accepted();
      await parts.source.pull(accepted, signal);
      parts.health('config', undefined);
    } catch (error) {
      parts.health('config', error);
    }
    await parts.clock.sleep(parts.pace.pollMs * (0.9 + 0.2 * parts.random()), signal);
  }
}

async function runCluster(
  parts: ServiceParts,
  one: ServiceParts['clusters'][number],
  signal: AbortSignal,
): Promise<void> {
  const { clock, pace, log } = parts;
  let failed = 0;
  let seen: Source | undefined;
  while (!signal.aborted) {
    const now = clock.now();
    let wait = pace.restMs;
    try {
      seen = parts.source.current();
      const result = await one.loop.pass(seen, now);
      parts.report(result);
      parts.health(one.loop.name, undefined);
      failed = 0;
      wait = Math.max(pace.restMs, result.plan.wakeAt - clock.now());
    } catch (error) {
      failed++;
      one.loop.forget();
      parts.health(one.loop.name, error);
      const known = error instanceof AdapterError;
      const quiet = known && (error.kind === 'conflict' || (error.kind === 'transient' && failed < 3));
      const fields = {
        cluster: one.loop.name,
        failed,
        ...(known
          ? { code: error.code, kind: error.kind }
          : { stack: error instanceof Error ? error.stack : String(error) }),
      };
      log[quiet ? 'info' : 'error'](
        fields,
        known ? error.message : `this is a bug: ${error instanceof InternalError ? error.message : 'unexpected error'}`,
      );
      const longest = known && error.kind === 'transient' ? longestTransientMs : longestRetryMs;
      wait =
        known && error.kind === 'conflict'
          ? pace.restMs
          : // Spread, so that it never keeps step with what is refused at regular times.
            Math.min(pace.retryMs * 2 ** Math.min(failed - 1, 8), longest) * (0.8 + 0.4 * parts.random());
    }
    await sleepUntilNews(parts, one, wait, seen, signal);
  }
}

/** Sleeps until the time is up, the cluster has changed, or the config repository has brought something new. */
async function sleepUntilNews(
  parts: ServiceParts,
  one: ServiceParts['clusters'][number],
  wait: number,
  seen: Source | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { clock, pace, source } = parts;
  await clock.sleep(Math.min(pace.restMs, wait), signal);
  const left = wait - pace.restMs;
  if (left <= 0 || signal.aborted || source.current() !== seen) return;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  await Promise.race([one.cluster.changed(left, either), source.changed(either), clock.sleep(left, either)]);
  stop.abort();
}
