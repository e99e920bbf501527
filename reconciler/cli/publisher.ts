// Brings status to Git: collects what the passes say, and pushes it in few commits and in time.
import { AdapterError } from '../model/failure.ts';
import { iso } from '../model/instant.ts';
import type { PassResult } from '../pass.ts';
import type { Clock, Git, Log } from '../ports.ts';
import { clusterFolder, type FleetFacts } from '../report/files.ts';
import { commitMessage } from '../report/summary.ts';
import { BranchCopy } from './branch-copy.ts';
import { type Batch, collectBatch, type Desk, deskOf } from './desk.ts';
import { isUrgent } from './urgency.ts';

/** What became of one try to publish, for metrics. */
export interface PublishOutcome {
  readonly ok: boolean;
  /** False when the branch had these bytes already. */
  readonly changed: boolean;
  /** How many pushes it took. */
  readonly attempts: number;
  readonly files: number;
}

export interface PublisherOptions {
  readonly git: Pick<Git, 'publish' | 'readStatus'>;
  readonly clock: Clock;
  readonly log: Log;
  /** Clusters that this process works on. */
  readonly clusters: readonly string[];
  /** Called when the archives of these ended runs are on the status branch. */
  readonly archived: (cluster: string, runIds: readonly string[]) => Promise<void> | void | undefined;
  readonly onPublish?: (outcome: PublishOutcome) => void;
}

export interface Publisher {
  /** Takes over what a pass saw; returns at once. A pass that did not act (another Oakum holds the Lease) is not told. */
  offer(result: PassResult): void;
  /** Publishes what is still waiting, once, and stops. */
  close(): Promise<void>;
  /** When the branch last had everything, and what has gone wrong since. */
  state(): { readonly lastPublished: number | undefined; readonly lastError: string | undefined };
}

/** A push waits this long after the first news, to take what belongs to it along. */
const collectMs = 1_000;
/** News that a person waits for are pushed this far apart, whatever happens: a forge bears about six pushes a minute. */
const urgentGapMs = 5_000;
const firstRetryMs = 5_000;
const longestRetryMs = 300_000;
/** How often the writer of the fleet's pages looks for what others have published. */
const peersMs = 120_000;
/** Before a push of its own it looks again, unless it has just done so. */
const freshMs = 10_000;

/** A publisher that works only while there is something to say. */
export function createPublisher(options: PublisherOptions): Publisher {
  return new StatusPublisher(options);
}

class StatusPublisher implements Publisher {
  private readonly options: PublisherOptions;
  private readonly copy: BranchCopy;
  private readonly desks = new Map<string, Desk>();
  /** The newest result of each cluster that was not looked at yet, because the branch is still being read. */
  private readonly fresh = new Map<string, PassResult>();
  private fleet: PassResult['fleet'] | undefined;
  private rollouts: FleetFacts['rollouts'];
  private commit = '';
  private dirty = false;
  private dueAt = Number.POSITIVE_INFINITY;
  private pushedAt = Number.NEGATIVE_INFINITY;
  private failures = 0;
  private lastPublished: number | undefined;
  private lastError: string | undefined;
  private opened = false;
  /** The last commit of somebody else that was told of. */
  private foreign: FleetFacts['foreignWriter'];
  private closed = false;
  private worker: Promise<void> | undefined;
  private wake = new AbortController();

  constructor(options: PublisherOptions) {
    this.options = options;
    this.copy = new BranchCopy(options.git, options.clock);
  }

  state(): { readonly lastPublished: number | undefined; readonly lastError: string | undefined } {
    return { lastPublished: this.lastPublished, lastError: this.lastError };
  }

  offer(result: PassResult): void {
    if (this.closed) return;
    if (!result.acted) {
      this.fresh.delete(result.name);
      if (this.desks.delete(result.name)) this.copy.forget(result.name);
      return;
    }
    this.fleet = result.fleet;
    this.rollouts = result.source.desired?.rollouts ?? this.rollouts;
    this.commit = result.source.commit ?? this.commit;
    this.fresh.set(result.name, result);
    if (this.opened) this.takeFresh();
    this.worker ??= this.work();
    this.wake.abort();
  }

  async close(): Promise<void> {
    this.closed = true;
    this.wake.abort();
    await this.worker;
    this.takeFresh();
    if (this.dirty) await this.publish();
  }

  private async work(): Promise<void> {
    const { clock } = this.options;
    // What the branch says already is read first, so that a restart neither moves a `since` nor pushes what is there.
    await this.look();
    this.opened = true;
    while (!this.closed) {
      this.takeFresh();
      this.wake = new AbortController();
      const wait = (this.dirty ? this.dueAt : this.nextLook()) - clock.now();
      if (wait > 0) await clock.sleep(Math.min(wait, 60_000), this.wake.signal);
      else await this.publish();
    }
  }

  /** Only the writer of the fleet's pages needs others' news. Whoever is alone on the branch looks too: others may come. */
  private nextLook(): number {
    return this.writesFleet() ? this.copy.readAt() + peersMs : Number.POSITIVE_INFINITY;
  }

  private async look(): Promise<void> {
    const { log, clusters } = this.options;
    const named = this.fleet?.publisher;
    const own = named !== undefined && !clusters.includes(named);
    try {
      await this.copy.read(own ? clusters.map(clusterFolder) : ['']);
    } catch (error) {
      const code = error instanceof AdapterError ? error.code : 'unknown';
      log.info({ code }, `status branch not read: ${tell(error)}`);
    }
  }

  private takeFresh(): void {
    const { clock, log, onPublish } = this.options;
    for (const [name, result] of this.fresh) {
      this.fresh.delete(name);
      try {
        const before = this.desks.get(name);
        const desk = deskOf(result, before?.doc ?? this.copy.document(name));
        this.desks.set(name, desk);
        if (before && desk.archives.size === 0 && JSON.stringify(before.doc) === JSON.stringify(desk.doc)) continue;
        this.dirty = true;
        const interval = result.fleet.status.intervalMs;
        const gap = isUrgent(before?.doc, desk.doc) ? Math.min(interval, urgentGapMs) : interval;
        const due = Math.max(clock.now() + Math.min(collectMs, interval), this.pushedAt + gap);
        this.dueAt = this.failures > 0 ? this.dueAt : Math.min(this.dueAt, due);
      } catch (error) {
        // A fault in telling must not stop the patching: the pass that offered this has done its work.
        this.lastError = tell(error);
        log.error({ cluster: name }, `this is a bug: status could not be built: ${this.lastError}`);
        onPublish?.({ ok: false, changed: false, attempts: 0, files: 0 });
      }
    }
  }

  private async publish(): Promise<void> {
    const { git, clock, onPublish } = this.options;
    this.dirty = false;
    this.dueAt = Number.POSITIVE_INFINITY;
    if (
      !this.copy.wasRead() ||
      (this.nextLook() < Number.POSITIVE_INFINITY && clock.now() >= this.copy.readAt() + freshMs)
    )
      await this.look();
    let batch: Batch | undefined;
    try {
      batch = collectBatch(this.desks, this.copy, this.writesFleet() ? this.fleetFacts() : undefined);
      if (batch.files.size > 0) {
        this.pushedAt = clock.now();
        const { changed, attempts, foreign } = await git.publish({
          files: batch.files,
          message: commitMessage(batch.docs),
        });
        this.copy.note(batch.files);
        if (foreign !== undefined && foreign !== this.foreign?.commit) this.writeAgain(foreign);
        onPublish?.({ ok: true, changed, attempts, files: batch.files.size });
      }
      this.failures = 0;
      this.lastError = undefined;
      this.lastPublished = clock.now();
    } catch (error) {
      this.failed(error, batch?.files.size ?? 0);
      return;
    }
    await this.tellArchived(batch.runs);
  }

  /** Somebody else wrote on the branch, perhaps over our pages: they are all written again. Nothing was decided from them meanwhile. */
  private writeAgain(foreign: string): void {
    this.foreign = { commit: foreign, since: iso(this.options.clock.now()) };
    this.copy.forgetPages();
    this.dirty = true;
    this.dueAt = this.options.clock.now() + collectMs;
    this.options.log.warn(
      { code: 'ForeignWriter', commit: foreign },
      'somebody else wrote on the status branch; our pages are written again',
    );
  }

  /** An archive counts as kept only when the remote has it. */
  private async tellArchived(runs: Batch['runs']): Promise<void> {
    for (const [cluster, ids] of runs) {
      try {
        await this.options.archived(cluster, ids);
        const desk = this.desks.get(cluster);
        // Runs that have ended meanwhile stay on the desk; they are not on the branch yet.
        if (desk) this.desks.set(cluster, { ...desk, archives: without(desk.archives, ids) });
      } catch (error) {
        // The ledger still says "not archived", so the next pass offers these runs again.
        this.options.log.info({ cluster }, `archives not noted in the ledger: ${tell(error)}`);
      }
    }
  }

  private failed(error: unknown, files: number): void {
    const { clock, log, onPublish } = this.options;
    const known = error instanceof AdapterError;
    this.failures++;
    this.dirty = true;
    const backOff = Math.min(firstRetryMs * 2 ** Math.min(this.failures - 1, 10), longestRetryMs);
    this.dueAt = clock.now() + Math.max(known ? (error.retryAfterMs ?? 0) : 0, backOff);
    const message = tell(error);
    if (!known) log.error({ files }, `this is a bug: status could not be published: ${message}`);
    else if (message !== this.lastError) log.warn({ files, code: error.code }, `status not published: ${message}`);
    this.lastError = message;
    onPublish?.({ ok: false, changed: false, attempts: 1, files });
  }

  private fleetFacts(): Omit<FleetFacts, 'unread'> {
    const { rollouts } = this;
    return {
      name: this.fleet?.name ?? 'fleet',
      commit: this.commit,
      foreignWriter: this.foreign,
      ...(rollouts ? { rollouts } : {}),
    };
  }

  /**
   * One writer for the pages of the fleet: the agent that `oakum.yaml` names; without a name the hub, or an agent that is alone on the
   * branch. Several agents without a name would overwrite each other for ever.
   */
  private writesFleet(): boolean {
    const { clusters } = this.options;
    const named = this.fleet?.publisher;
    if (named !== undefined) return clusters.includes(named);
    return clusters.length > 1 || [...this.copy.clusters().keys()].every((name) => clusters.includes(name));
  }
}

function without<Value>(map: ReadonlyMap<string, Value>, keys: readonly string[]): Map<string, Value> {
  return new Map([...map].filter(([key]) => !keys.includes(key)));
}

function tell(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
