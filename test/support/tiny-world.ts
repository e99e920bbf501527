// Runs the planner against the tiny cluster in virtual time, with the invariants checked after every pass.
import { execute } from '../../reconciler/execute/execute.ts';
import { noAnswers, rememberAnswers, type Answers } from '../../reconciler/execute/remember.ts';
import { questionKey, type ApprovalQuestion, type ApprovalReading } from '../../reconciler/model/approval.ts';
import type { ClusterDesired } from '../../reconciler/model/desired.ts';
import type { GateReadings } from '../../reconciler/model/gate.ts';
import type { StandbyView } from '../../reconciler/model/observed.ts';
import type { LedgerDocument, RunRecord } from '../../reconciler/model/ledger.ts';
import type { Plan } from '../../reconciler/model/plan.ts';
import type { PeerReadings } from '../../reconciler/model/rollout.ts';
import { wantedApprovals } from '../../reconciler/plan/approved-runs.ts';
import type { PlanInput, PlanSettings } from '../../reconciler/plan/input.ts';
import { interestOf, planCluster } from '../../reconciler/plan/plan.ts';
import { checkInvariants } from './invariants.ts';
import { aCluster, aFleet, someSettings } from './policies.ts';
import { TinyCluster } from './tiny-cluster.ts';

const always = { held: () => true };

/** The process was killed at this point. */
export class Killed extends Error {}

/** One cluster, one clock, one ledger, and whatever the test asks of them. */
export class TinyWorld {
  now: number;
  desired: ClusterDesired;
  commit = 'commit-1';
  committedAt: number;
  settings: PlanSettings = someSettings();
  sourceHold: PlanInput['sourceHold'] = undefined;
  /** The branch as somebody rewrote it. */
  rewritten: PlanInput['rewritten'];
  ledger: LedgerDocument | undefined;
  /** What gates answer; undefined: none was read. */
  gates: GateReadings | undefined;
  /** What the forge says; undefined: there is none. */
  reviews: ((question: ApprovalQuestion) => ApprovalReading) | undefined;
  /** Another Oakum that waits for the Lease; once it has the Lease, it acts from its own node. */
  standby: StandbyView | undefined;
  /** What the other clusters of a rollout tell; undefined: nobody asks them. */
  peers: (() => PeerReadings) | undefined;
  readonly cluster: TinyCluster;
  readonly passes: Plan[] = [];
  /** Called for every action before it is done and after the ledger was written; throws to kill. */
  onEffect: (what: string) => void = () => undefined;
  /** Called for every action after it was done; throws AdapterError for an answer that got lost. */
  afterEffect: (what: string) => void = () => undefined;
  /** How many turns of the event loop the next action waits: answers may come in any order. */
  turns: () => number = () => 0;
  private answers: Answers = noAnswers;

  constructor(start = Date.UTC(2026, 5, 1, 12), desired: ClusterDesired = aCluster()) {
    this.now = start;
    this.committedAt = start;
    this.desired = desired;
    this.cluster = new TinyCluster(() => this.now);
  }

  /** A new commit with these wishes. */
  change(fields: Partial<ClusterDesired>): void {
    this.desired = { ...this.desired, ...fields };
    this.commit = `commit-${Number(this.commit.slice(7)) + 1}`;
    this.committedAt = this.now;
  }

  /** The process begins anew: what was not in the ledger is forgotten. */
  restart(): void {
    this.answers = noAnswers;
  }

  async pass(): Promise<Plan> {
    const raw = await this.cluster.observe(interestOf(this.ledger));
    const wishes = {
      now: this.now,
      commit: this.commit,
      committedAt: this.committedAt,
      fleet: aFleet,
      desired: this.desired,
      sourceHold: this.sourceHold,
      settings: this.settings,
      ...(this.rewritten ? { rewritten: this.rewritten } : {}),
    };
    const { reviews } = this;
    const approvals =
      reviews && new Map(wantedApprovals(this.ledger, wishes).map((one) => [questionKey(one), reviews(one)]));
    const input: PlanInput = {
      ...wishes,
      observed: {
        ...raw,
        ...(this.gates ? { gates: this.gates } : {}),
        ...(approvals ? { approvals } : {}),
        ...(this.standby ? { standby: this.standby } : {}),
        clusterUid: 'cluster-uid',
        evictions: this.answers.evictions,
        refusals: this.answers.refusals,
      },
      ...(this.peers ? { peers: this.peers() } : {}),
      ledger: this.ledger,
    };
    const plan = planCluster(input);
    checkInvariants(input, plan);
    if (plan.ledger !== this.ledger) {
      // As in the real ledger: plain JSON goes in and comes out.
      this.ledger = structuredClone(plan.ledger);
      this.onEffect('ledger');
    }
    const outcomes = await execute(
      plan.actions,
      {
        act: async (action) => {
          for (let turn = this.turns(); turn > 0; turn--) await Promise.resolve();
          this.onEffect(action.kind);
          const answer = await this.cluster.act(action);
          this.afterEffect(action.kind);
          return answer;
        },
      },
      always,
    );
    this.answers = rememberAnswers(this.answers, outcomes, this.now);
    if (plan.handOver) {
      this.onEffect('handOver');
      this.settings = { ...this.settings, ownNode: plan.handOver.node };
      this.standby = undefined;
      this.restart();
    }
    this.passes.push(plan);
    return plan;
  }

  /** Passes until nothing is left to do before `limitMs` have gone by, or the condition holds. */
  async run(limitMs: number, until: () => boolean = () => false): Promise<void> {
    const end = this.now + limitMs;
    for (let passes = 0; this.now < end; passes++) {
      if (passes > 200_000) throw new Error('the world does not settle');
      const plan = await this.pass();
      if (until()) return;
      const next = Math.min(plan.wakeAt, this.cluster.nextAt() ?? Infinity, end);
      this.now = Math.max(next, this.now + 1);
    }
    await this.pass();
  }

  runs(): RunRecord[] {
    return Object.values(this.ledger?.runs ?? {});
  }

  theRun(): RunRecord {
    const [run, ...more] = this.runs();
    if (!run || more.length > 0)
      throw new Error(
        `expected one run, found ${
          this.runs()
            .map((one) => one.id)
            .join(', ') || 'none'
        }`,
      );
    return run;
  }

  /** `node: phase/reason` of the only run, sorted. */
  ends(): string[] {
    return Object.values(this.theRun().nodes)
      .map((record) => `${record.node}: ${record.phase}/${record.reason}`)
      .sort();
  }
}
