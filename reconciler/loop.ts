// The whole story on one page: pull, desire, observe, plan, write the ledger, execute, report, sleep.
import { noAnswers, rememberAnswers, type Answers } from './execute/remember.ts';
import { execute, type Outcome } from './execute/execute.ts';
import type { ClusterDesired, Desired, Fleet } from './model/desired.ts';
import { AdapterError, InternalError } from './model/failure.ts';
import type { LedgerDocument } from './model/ledger.ts';
import type { Observed } from './model/observed.ts';
import type { Plan } from './model/plan.ts';
import type { Hold } from './model/reason.ts';
import type { PlanInput, PlanSettings } from './plan/input.ts';
import { interestOf, planCluster } from './plan/plan.ts';
import type { Clock, Cluster, ConfigSnapshot, Git, Ledger, Lease, Log, SyncResult } from './ports.ts';

/** One cluster as the loop works on it. The ledger is remembered between passes; it is read again after a conflict and after the Lease was gained. */
export interface Seat {
  readonly name: string;
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly lease: Lease;
}

/** What the config repository says, and why it may not be the newest. */
export interface Source {
  readonly commit: string | undefined;
  readonly committedAt: number;
  readonly desired: Desired | undefined;
  readonly hold: Hold | undefined;
}

/** Everything that one pass over one cluster saw and decided. */
export interface PassResult {
  readonly name: string;
  readonly now: number;
  readonly source: Source;
  readonly desired: ClusterDesired | undefined;
  readonly fleet: Fleet;
  readonly observed: Observed;
  readonly plan: Plan;
  readonly outcomes: readonly Outcome[];
  /** False when another Oakum holds the Lease: nothing was written and nothing was done. */
  readonly acted: boolean;
}

/** The fleet's settings when there is no `oakum.yaml`, or when it is not valid. */
export const defaultFleet: Fleet = {
  name: 'fleet',
  status: { retentionRuns: 50, intervalMs: 30_000 },
  publisher: undefined,
  suspend: false,
};

const nothingYet: Source = {
  commit: undefined,
  committedAt: 0,
  desired: undefined,
  hold: { reason: 'GitUnavailable', message: 'the config repository has not been read yet', until: undefined },
};

/** Reads the config repository: sync, then files → Desired. A failure keeps what was read before and says so as a Hold. */
export class ConfigSource {
  private source: Source = nothingYet;
  private readonly waiting = new Set<() => void>();
  private readonly git: Pick<Git, 'sync'>;
  private readonly desire: (snapshot: ConfigSnapshot) => Desired;
  private readonly log: Log;

  constructor(git: Pick<Git, 'sync'>, desire: (snapshot: ConfigSnapshot) => Desired, log: Log) {
    this.git = git;
    this.desire = desire;
    this.log = log;
  }

  current(): Source {
    return this.source;
  }

  /** Resolves when the next look has brought something else than before, or when the signal fires. */
  changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return void resolve();
      const done = (): void => {
        this.waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.waiting.add(done);
      signal.addEventListener('abort', done);
    });
  }

  private become(source: Source): void {
    const same = source.commit === this.source.commit && source.hold?.message === this.source.hold?.message;
    if (same) return;
    this.source = source;
    for (const wake of [...this.waiting]) wake();
  }

  /** `after` is the commit accepted last, from the ledger: the tip must descend from it. */
  async pull(after: string | undefined, signal?: AbortSignal): Promise<Source> {
    const held = (reason: Hold['reason'], message: string): Source => ({
      ...this.source,
      hold: { reason, message, until: undefined },
    });
    let result: SyncResult;
    try {
      result = await this.git.sync(signal ? { after, signal } : { after });
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      if (this.source.hold?.message !== error.message)
        this.log.warn({ code: error.code, kind: error.kind }, `config repository: ${error.message}`);
      this.become(held('GitUnavailable', error.message));
      return this.source;
    }
    switch (result.kind) {
      case 'unchanged':
      case 'changed': {
        const { snapshot } = result;
        if (result.kind === 'changed' || this.source.commit !== snapshot.commit || this.source.desired === undefined) {
          const desired = this.desire(snapshot);
          this.become({ commit: snapshot.commit, committedAt: snapshot.committedAt, desired, hold: undefined });
          this.log.info(
            { commit: snapshot.commit, files: snapshot.files.size, problems: desired.problems.length },
            'config read',
          );
        } else if (this.source.hold) this.become({ ...this.source, hold: undefined });
        break;
      }
      case 'empty':
        this.become(held('GitUnavailable', result.message));
        break;
      case 'rewritten':
        this.become(held('HistoryRewritten', result.message));
        break;
      case 'unknown':
        this.become(held('HistoryUnknown', result.message));
        break;
    }
    return this.source;
  }
}

/** One cluster's part of the loop: observe, plan, write the ledger, execute. Nothing but the ledger is remembered that matters. */
export class ClusterLoop {
  readonly name: string;
  private readonly seat: Seat;
  private readonly settings: PlanSettings;
  private readonly log: Log;
  private document: LedgerDocument | undefined;
  private loaded = false;
  private loading: Promise<void> | undefined;
  private answers: Answers = noAnswers;
  private uid: string | undefined;

  constructor(seat: Seat, settings: PlanSettings, log: Log) {
    this.name = seat.name;
    this.seat = seat;
    this.settings = settings;
    this.log = log;
  }

  /** The commit accepted last, for the check of the history. Reads the ledger if it was not read yet. */
  async accepted(): Promise<string | undefined> {
    await this.load();
    return this.document?.accepted?.commit;
  }

  ledger(): LedgerDocument | undefined {
    return this.document;
  }

  private async load(): Promise<void> {
    if (this.loaded) return;
    // The poll of Git and a pass may both want it at once; the ledger is read by one of them.
    this.loading ??= this.seat.ledger
      .load()
      .then((document) => {
        this.document = document;
        this.loaded = true;
      })
      .finally(() => (this.loading = undefined));
    await this.loading;
  }

  /** Forgets what was read, so that the next pass reads the ledger again. */
  forget(): void {
    this.loaded = false;
  }

  /** Notes in the ledger that these runs have their archive on the status branch. */
  async archived(runIds: readonly string[]): Promise<void> {
    const before = this.document;
    if (!before || runIds.length === 0 || !this.seat.lease.held()) return;
    const runs = { ...before.runs };
    for (const id of runIds) {
      const run = runs[id];
      if (run) runs[id] = { ...run, archived: true };
    }
    await this.save(before, { ...before, runs });
  }

  private async save(before: LedgerDocument | undefined, after: LedgerDocument): Promise<void> {
    try {
      await this.seat.ledger.save(before, after);
      this.document = after;
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  /** What a pass would decide, without writing or doing anything. */
  async preview(source: Source, now: number): Promise<PassResult> {
    await this.load();
    const input = await this.input(source, now);
    return this.result(input, source, planCluster(input), [], false);
  }

  /** One whole pass. Throws AdapterError when the cluster cannot be reached; then nothing was done. */
  async pass(source: Source, now: number): Promise<PassResult> {
    if (!this.seat.lease.held()) {
      this.forget();
      const preview = await this.preview(source, now);
      const holder = this.seat.lease.holder();
      const hold: Hold = {
        reason: 'LeaseHeldByOther',
        message: holder ? `${holder} holds the Lease` : 'the Lease is not held yet',
        until: undefined,
      };
      return { ...preview, plan: { ...preview.plan, actions: [], holds: [hold, ...preview.plan.holds] } };
    }
    await this.load();
    const input = await this.input(source, now);
    const plan = planCluster(input);
    if (plan.ledger !== this.document && plan.holds[0]?.reason !== 'LedgerLost')
      await this.save(this.document, plan.ledger);
    const outcomes = await execute(plan.actions, this.seat.cluster, this.seat.lease);
    this.answers = rememberAnswers(this.answers, outcomes, now);
    this.tell(outcomes);
    // The answer to a question without effect is all that the next pass needs: it need not wait for the world.
    const answered = outcomes.some(({ kind, action }) => kind === 'result' && action.kind === 'evict' && action.dryRun);
    return this.result(input, source, answered ? { ...plan, wakeAt: now + 1 } : plan, outcomes, true);
  }

  private async input(source: Source, now: number): Promise<PlanInput> {
    this.uid ??= await this.seat.cluster.identity();
    const raw = await this.seat.cluster.observe(interestOf(this.document));
    const observed: Observed = {
      ...raw,
      clusterUid: this.uid,
      evictions: this.answers.evictions,
      refusals: this.answers.refusals,
    };
    return {
      now,
      commit: source.commit,
      committedAt: source.committedAt,
      fleet: source.desired?.fleet ?? defaultFleet,
      desired: source.desired?.clusters.get(this.name),
      sourceHold: source.hold,
      observed,
      ledger: this.document,
      settings: this.settings,
    };
  }

  private result(
    input: PlanInput,
    source: Source,
    plan: Plan,
    outcomes: readonly Outcome[],
    acted: boolean,
  ): PassResult {
    return {
      name: this.name,
      now: input.now,
      source,
      desired: input.desired,
      fleet: input.fleet,
      observed: input.observed,
      plan,
      outcomes,
      acted,
    };
  }

  private tell(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const { action } = outcome;
      const fields = { cluster: this.name, action: action.kind, ...('node' in action ? { node: action.node } : {}) };
      if (outcome.kind === 'error') {
        const quiet =
          outcome.error.kind === 'conflict' || outcome.error.kind === 'missing' || outcome.error.kind === 'transient';
        this.log[quiet ? 'info' : 'warn'](
          { ...fields, code: outcome.error.code, kind: outcome.error.kind },
          outcome.error.message,
        );
      } else if (
        outcome.kind === 'result' &&
        action.kind !== 'markNode' &&
        action.kind !== 'event' &&
        action.kind !== 'putScript'
      ) {
        this.log.info(
          {
            ...fields,
            answer: outcome.result.kind,
            ...(action.kind === 'createJob' ? { job: action.manifest.metadata.name } : {}),
          },
          'action',
        );
      }
    }
  }
}

/** How the service paces itself, in milliseconds. */
export interface Pace {
  /** Between two looks at the config repository. */
  readonly pollMs: number;
  /** Shortest rest between two passes over a cluster. */
  readonly restMs: number;
  /** First back-off after a failed pass; it doubles up to five minutes. */
  readonly retryMs: number;
}

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
      wait =
        known && error.kind === 'conflict'
          ? pace.restMs
          : Math.min(pace.retryMs * 2 ** Math.min(failed - 1, 8), 300_000);
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
