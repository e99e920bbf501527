// One pass over one cluster: observe, plan, write the ledger, execute.
import { noAnswers, rememberAnswers, type Answers } from './execute/remember.ts';
import { execute, type Outcome } from './execute/execute.ts';
import { defaultFleet } from './desired/objects.ts';
import type { ClusterDesired, Desired, Fleet } from './model/desired.ts';
import type { LedgerDocument } from './model/ledger.ts';
import type { Observed } from './model/observed.ts';
import { isStrange, type Plan } from './model/plan.ts';
import type { Hold } from './model/reason.ts';
import type { PlanInput, PlanSettings, RewrittenBranch } from './plan/input.ts';
import { previewChange, type Preview } from './plan/preview.ts';
import { interestOf, planCluster } from './plan/plan.ts';
import { wantedApprovals } from './plan/approved-runs.ts';
import { wantedGates } from './plan/outside-gates.ts';
import { wantedPeers } from './plan/waves.ts';
import type { Approvals, Cluster, Gates, Ledger, Lease, Log, Peers } from './ports.ts';
import type { Source } from './source.ts';

/** A standby looks so often whether the Lease has come to it: a quiet cluster would not wake it. */
const standbyMs = 5_000;
/** What was not sent, or not answered, is planned anew so soon, for the same reason. */
const unansweredMs = 2_000;
/** So soon it is noticed that a person has accepted a new history, or begun a new ledger. */
const acceptedMs = 15_000;
/** What the API server understood and refused is asked again no sooner than this. */
const refusedMs = 30_000;

/** A person may end these by writing the ledger. */
const endedByPerson: readonly Hold['reason'][] = ['LedgerLost', 'HistoryRewritten', 'UnsignedCommit'];

/** Nodes whose pods a preview looks at. */
const previewedNodes = 50;

/** One cluster as the loop works on it. The ledger is remembered between passes; it is read again after a conflict and after the Lease was gained. */
export interface Seat {
  readonly name: string;
  readonly cluster: Cluster;
  readonly ledger: Ledger;
  readonly lease: Lease;
  /** Reads the gates of policies; without it they stay closed. */
  readonly gates?: Gates;
  /** Asks the forge for reviews; without it nothing that needs one starts. */
  readonly approvals?: Approvals;
  /** Tells how the other clusters of a rollout fare; without it later waves wait. */
  readonly peers?: Peers;
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

/** One cluster's part of the loop: observe, plan, write the ledger, execute. Nothing but the ledger is remembered that matters. */
export class ClusterLoop {
  readonly name: string;
  private readonly seat: Seat;
  private readonly settings: PlanSettings;
  private readonly log: Log;
  private document: LedgerDocument | undefined;
  private told: LedgerDocument | undefined;
  private peers: readonly string[] = [];
  private loaded = false;
  private loading: Promise<void> | undefined;
  private answers: Answers = noAnswers;
  private uid: string | undefined;
  /** The term of the Lease in which the ledger was read. */
  private term: number | undefined;

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

  /** The ledger for the peers of a rollout: only after a pass that found it to be the one of this cluster. Behind a wrong address is another cluster's, and its runs are not ours. */
  toldToPeers(): LedgerDocument | undefined {
    return this.told;
  }

  /** Clusters of a rollout that a run waits for since the last pass. */
  waitsFor(): readonly string[] {
    return this.peers;
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
    // The ledger and the identity of the cluster go together: behind the address may be another one by now.
    this.uid = undefined;
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

  /** What another commit would do to the cluster if it were agreed to. Reads the pods of the nodes that it is about; writes nothing. */
  async imagine(source: Source, other: Pick<Desired, 'commit' | 'fleet' | 'clusters'>, now: number): Promise<Preview> {
    await this.load();
    const input = await this.input(source, now);
    const desired = other.clusters.get(this.name);
    const wished: PlanInput = { ...input, desired, fleet: other.fleet, commit: other.commit, committedAt: now };
    const chosen = previewChange(wished);
    const podsOn = [
      ...new Set([...chosen.runs.flatMap(({ nodes }) => nodes), ...chosen.nodes].map(({ name }) => name)),
    ];
    if (podsOn.length === 0) return chosen;
    const seen = await this.seat.cluster.observe({ podsOn: podsOn.slice(0, previewedNodes), budgets: true });
    return previewChange({ ...wished, observed: { ...input.observed, pods: seen.pods, budgets: seen.budgets } });
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
      const wakeAt = Math.min(preview.plan.wakeAt, now + standbyMs);
      return { ...preview, plan: { ...preview.plan, actions: [], holds: [hold, ...preview.plan.holds], wakeAt } };
    }
    const { lease } = this.seat;
    const term = lease.term?.();
    // Between two passes the Lease may have been lost and won again, and somebody else may have acted.
    if (term !== this.term) this.forget();
    this.term = term;
    await this.load();
    const input = await this.input(source, now);
    const plan = planCluster(input);
    if (plan.ledger !== this.document && !isStrange(plan)) await this.save(this.document, plan.ledger);
    const outcomes = await execute(plan.actions, this.seat.cluster, {
      held: () => lease.held() && lease.term?.() === term,
    });
    this.answers = rememberAnswers(this.answers, outcomes, now);
    this.tell(outcomes);
    const waits = outcomes.map((outcome) => now + wakeAfter(outcome));
    if (plan.handOver) {
      this.handOver(plan.handOver.identity);
      waits.push(now + standbyMs);
    }
    if (isStrange(plan) || plan.holds.some(({ reason }) => endedByPerson.includes(reason))) {
      // Nobody watches the ledger.
      this.forget();
      waits.push(now + acceptedMs);
    }
    return this.result(input, source, { ...plan, wakeAt: Math.min(plan.wakeAt, ...waits) }, outcomes, true);
  }

  /** Our own host is next: whoever waits for the Lease goes on from the ledger, which is written. */
  private handOver(to: string): void {
    this.log.info(
      { cluster: this.name, to },
      'the Lease is handed over, because the node that hosts this process is next',
    );
    this.seat.lease.handOver?.();
    this.forget();
  }

  private async input(source: Source, now: number): Promise<PlanInput> {
    this.uid ??= await this.seat.cluster.identity();
    const raw = await this.seat.cluster.observe(interestOf(this.document));
    const desired = source.desired?.clusters.get(this.name);
    const wanted = wantedGates(this.document, desired?.policy);
    const gates = wanted.length > 0 ? await this.seat.gates?.read(wanted) : undefined;
    const rewritten = rewrittenFor(this.name, source);
    const wishes = {
      now,
      commit: source.commit,
      committedAt: source.committedAt,
      fleet: source.desired?.fleet ?? defaultFleet,
      desired,
      sourceHold: source.hold,
      settings: this.settings,
      ...(rewritten ? { rewritten } : {}),
    };
    const standby = this.seat.lease.standby?.();
    const approvals = await this.seat.approvals?.read(wantedApprovals(this.document, wishes));
    const observed: Observed = {
      ...raw,
      ...(gates ? { gates } : {}),
      ...(approvals ? { approvals } : {}),
      ...(standby ? { standby } : {}),
      clusterUid: this.uid,
      evictions: this.answers.evictions,
      refusals: this.answers.refusals,
    };
    const others = wantedPeers(this.document, desired);
    const peers = others.length > 0 ? await this.seat.peers?.read(others) : undefined;
    return { ...wishes, observed, ...(peers ? { peers } : {}), ledger: this.document };
  }

  private result(
    input: PlanInput,
    source: Source,
    plan: Plan,
    outcomes: readonly Outcome[],
    acted: boolean,
  ): PassResult {
    this.told = isStrange(plan) ? undefined : this.document;
    this.peers = wantedPeers(plan.ledger, input.desired);
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

/** What a rewritten branch says about one cluster, when a file there says that it is meant. */
function rewrittenFor(name: string, { rewritten }: Source): RewrittenBranch | undefined {
  const rewrite = rewritten?.rewrite;
  if (!rewritten || !rewrite) return undefined;
  const { commit, committedAt, fleet, clusters } = rewritten;
  return { commit, committedAt, fleet, desired: clusters.get(name), rewrite };
}

/** After how many milliseconds this outcome wants another pass; infinite: when the world has changed. */
function wakeAfter(outcome: Outcome): number {
  switch (outcome.kind) {
    case 'result':
      // The answer to a question without effect is all that the next pass needs: it need not wait for the world.
      return outcome.action.kind === 'evict' && outcome.action.dryRun ? 1 : Number.POSITIVE_INFINITY;
    case 'notSent':
      return unansweredMs;
    case 'error': {
      // An Event is for people only, and is not sent again.
      if (outcome.action.kind === 'event') return Number.POSITIVE_INFINITY;
      const { kind, retryAfterMs } = outcome.error;
      return Math.max(retryAfterMs ?? 0, kind === 'denied' || kind === 'rejected' ? refusedMs : unansweredMs);
    }
  }
}
