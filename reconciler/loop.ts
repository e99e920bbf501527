// The whole story on one page: pull, pass over each cluster, report, sleep until something is new.
import { AdapterError, InternalError } from './model/failure.ts';
import { rolloutStates } from './model/rollout.ts';
import type { ClusterLoop, PassResult } from './pass.ts';
import type { Clock, Cluster, Log } from './ports.ts';
import type { ConfigSource, Source } from './source.ts';

/** How the service paces itself, in milliseconds. */
export interface Pace {
  /** Between two looks at the config repository. */
  readonly pollMs: number;
  /** Shortest rest between two passes over a cluster. */
  readonly restMs: number;
  /** First back-off after a failed pass; it doubles up to five minutes (half a minute after faults that may pass, refusals included). */
  readonly retryMs: number;
}

/** So long a poll waits for the ledgers of all clusters; then it goes on with those that have answered. */
const ledgersMs = 5_000;
/** Longest back-off after passes that failed. */
const longestRetryMs = 300_000;
/**
 * An API server that was away, or throttled us, may have nodes of ours cordoned: they are not left waiting for longer than this. The same when it
 * refuses us: one that has just started forbids everything until it has read its roles.
 */
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
  /** Resolves when somebody says that the config repository may have something new, or when the signal fires; without it, it is polled only. */
  readonly hinted?: (signal: AbortSignal) => Promise<void>;
  /** A number from 0 to 1: jitter, so that many agents do not poll in step. */
  readonly random: () => number;
}

/** Runs until the signal fires: one loop for the config repository, one for each cluster. */
export async function runService(parts: ServiceParts, signal: AbortSignal): Promise<void> {
  const waiters: Waiter[] = [];
  await Promise.all([
    pollSource(parts, signal),
    ...parts.clusters.map((one) => runCluster(parts, one, waiters, signal)),
  ]);
}

/** A cluster that may wait for others of its rollout: whichever of them has got on rouses it. */
interface Waiter {
  /** Whom it waits for. */
  peers: readonly string[];
  /** Set since its last pass began. */
  roused: boolean;
  /** Ends its sleep. */
  wake: () => void;
}

async function pollSource(parts: ServiceParts, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      parts.health('config', await parts.source.pull(await acceptedCommits(parts, signal), signal));
    } catch (error) {
      parts.health('config', error);
    }
    await sleepUntilHint(parts, parts.pace.pollMs * (0.9 + 0.2 * parts.random()), signal);
  }
}

/** Hints are taken one a second: a flood of them must not become a flood of questions to the Git server. */
const hintRestMs = 1_000;

/** Sleeps until the time is up, or somebody said that there may be something new. */
async function sleepUntilHint({ clock, hinted }: ServiceParts, wait: number, signal: AbortSignal): Promise<void> {
  if (hinted === undefined || wait <= hintRestMs) return clock.sleep(wait, signal);
  await clock.sleep(hintRestMs, signal);
  if (signal.aborted) return;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  await Promise.race([hinted(either), clock.sleep(wait - hintRestMs, either)]);
  stop.abort();
}

/**
 * The commit that each cluster accepted last. Without its ledger this is not known, and a rewritten history would pass for a new one: such a
 * cluster keeps what it has. It does not keep the others from reading a FREEZE. Throws when no ledger can be read.
 */
async function acceptedCommits(
  parts: ServiceParts,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string | undefined>> {
  const known = new Map<string, string | undefined>();
  const failed: unknown[] = [];
  const asked = parts.clusters.map(({ loop }) =>
    loop.accepted().then(
      (commit) => known.set(loop.name, commit),
      (error: unknown) => failed.push(error),
    ),
  );
  const enough = new AbortController();
  const late = parts.clock.sleep(ledgersMs, AbortSignal.any([signal, enough.signal]));
  await Promise.race([Promise.all(asked), Promise.all([late, Promise.race(asked)])]);
  enough.abort();
  if (known.size === 0 && failed.length > 0) throw failed[0];
  // A copy: an answer that comes too late counts at the next poll.
  return new Map(known);
}

async function runCluster(
  parts: ServiceParts,
  one: ServiceParts['clusters'][number],
  waiters: Waiter[],
  signal: AbortSignal,
): Promise<void> {
  const { clock, pace, log } = parts;
  let failed = 0;
  let told = '';
  const own: Waiter = { peers: [], roused: false, wake: () => undefined };
  waiters.push(own);
  let seen: Source | undefined;
  while (!signal.aborted) {
    const now = clock.now();
    let wait = pace.restMs;
    own.roused = false;
    try {
      seen = parts.source.current(one.loop.name);
      const result = await one.loop.pass(seen, now);
      parts.report(result);
      parts.health(one.loop.name, undefined);
      failed = 0;
      own.peers = one.loop.waitsFor();
      const before = told;
      told = rolloutStates(one.loop.toldToPeers());
      if (told !== before) rouse(waiters, one.loop.name);
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
      const passes = known && (error.kind === 'transient' || error.kind === 'denied');
      const longest = passes ? longestTransientMs : longestRetryMs;
      wait =
        known && error.kind === 'conflict'
          ? pace.restMs
          : // Spread, so that it never keeps step with what is refused at regular times.
            Math.min(pace.retryMs * 2 ** Math.min(failed - 1, 8), longest) * (0.8 + 0.4 * parts.random());
    }
    await sleepUntilNews(parts, one, { wait, seen, own }, signal);
  }
}

function rouse(waiters: readonly Waiter[], name: string): void {
  for (const waiter of waiters) {
    if (!waiter.peers.includes(name)) continue;
    waiter.roused = true;
    waiter.wake();
  }
}

interface Sleep {
  readonly wait: number;
  /** What was read of the config repository before the pass. */
  readonly seen: Source | undefined;
  readonly own: Waiter;
}

/** Sleeps until the time is up, the cluster has changed, one whom it waits for has got on, or the config repository has brought something new. */
async function sleepUntilNews(
  parts: ServiceParts,
  one: ServiceParts['clusters'][number],
  { wait, seen, own }: Sleep,
  signal: AbortSignal,
): Promise<void> {
  const { clock, pace, source } = parts;
  const { name } = one.loop;
  await clock.sleep(Math.min(pace.restMs, wait), signal);
  const left = wait - pace.restMs;
  if (left <= 0 || signal.aborted || own.roused || source.current(name) !== seen) return;
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const roused = new Promise<void>((resolve) => (own.wake = resolve));
  await Promise.race([
    one.cluster.changed(left, either),
    source.changed(name, either),
    clock.sleep(left, either),
    roused,
  ]);
  stop.abort();
}
