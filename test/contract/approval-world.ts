// One forge with a real Git repository, a tiny cluster, and Oakum between them in virtual time: what approvals are for, from commit to Job.
import path from 'node:path';
import { type GitHistory, openGit } from '../../reconciler/adapters/git.ts';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { meaningAt, openApprovals } from '../../reconciler/cli/approvals.ts';
import type { PlainGitSeat } from '../../reconciler/cli/forge.ts';
import { ownProposal } from '../../reconciler/cli/own-proposal.ts';
import { openReviewDesk } from '../../reconciler/cli/review-desk.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import type { LedgerDocument, RunRecord } from '../../reconciler/model/ledger.ts';
import { ClusterLoop, type PassResult } from '../../reconciler/pass.ts';
import type { PlanSettings } from '../../reconciler/plan/input.ts';
import type { Forge, Git, Log, ReviewGit } from '../../reconciler/ports.ts';
import { ConfigSource } from '../../reconciler/source.ts';
import { someSettings } from '../support/policies.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';

/** What the world needs of a forge. */
export interface ForgeOfWorld {
  readonly url: string;
  readonly folder: string;
  /** `seat` is what signatures in Git itself are read with; a forge has no use for it. */
  open(seat: PlainGitSeat): Forge;
}

interface Parts {
  readonly git: Git & ReviewGit & GitHistory;
  readonly forge: Forge;
  readonly source: ConfigSource;
  readonly loop: ClusterLoop;
}

/** Oakum on one cluster, `prod`, with everything real but the cluster and the clock. */
export class ApprovalWorld {
  now: number;
  readonly cluster: TinyCluster;
  readonly log: string[] = [];
  private document: LedgerDocument | undefined;
  private readonly forgeOfWorld: ForgeOfWorld;
  private readonly settings: Partial<PlanSettings>;
  private parts: Parts;
  private last: PassResult | undefined;

  constructor(forge: ForgeOfWorld, start: number, settings: Partial<PlanSettings> = {}) {
    this.now = start;
    this.cluster = new TinyCluster(() => this.now);
    this.forgeOfWorld = forge;
    this.settings = settings;
    this.parts = this.open();
  }

  private open(): Parts {
    const say = (fields: Record<string, unknown>, message: string): void =>
      void this.log.push(`${JSON.stringify(fields)} ${message}`);
    const log: Log = { debug: say, info: say, warn: say, error: say };
    const schemas = readSchemas();
    const { url, folder } = this.forgeOfWorld;
    const git = openGit({
      url,
      branch: 'main',
      cacheDir: path.join(folder, 'cache-of-world'),
      wanted: 'all',
      author: { name: 'oakum', email: 'oakum@noreply.oakum.dev' },
      log,
    });
    const forge = this.forgeOfWorld.open({
      git,
      accepted: () => Promise.resolve(this.document?.accepted?.commit),
      own: ownProposal('prod', () => this.document, schemas),
      meaning: meaningAt(git, schemas),
    });
    const source = new ConfigSource(git, createDesire(schemas), log);
    const clock = { now: () => this.now, sleep: (ms: number) => pause(Math.min(ms, 5_000)) };
    const approvals = openApprovals({ forge, git, schemas, clock, log });
    const ledger = {
      load: () => Promise.resolve(this.document),
      save: (_: LedgerDocument | undefined, after: LedgerDocument) => {
        this.document = structuredClone(after);
        return Promise.resolve();
      },
    };
    const lease = { held: () => true, holder: () => undefined, release: () => Promise.resolve() };
    const seat = { name: 'prod', cluster: this.cluster, ledger, lease, approvals };
    return { git, forge, source, loop: new ClusterLoop(seat, someSettings(this.settings), log) };
  }

  /** Ends the process and starts another one; only the cluster, its ledger and the repository remain. */
  async restart(): Promise<void> {
    await this.close();
    this.parts = this.open();
    this.last = undefined;
  }

  close(): Promise<void> {
    return this.parts.git.close();
  }

  /** Reads what is on the branch now, and passes until `until` or for so long. */
  async pass(ms = 0, until: () => boolean = () => false): Promise<PassResult> {
    await this.parts.source.pull(new Map([['prod', this.document?.accepted?.commit]]));
    const end = this.now + ms;
    for (;;) {
      const result = await this.parts.loop.pass(this.parts.source.current('prod'), this.now);
      this.last = result;
      if (until() || this.now >= end) return result;
      this.now = Math.max(Math.min(result.plan.wakeAt, this.cluster.nextAt() ?? Infinity, end), this.now + 1);
    }
  }

  /** One look of the desk at the forge, after the last pass. `others`: clusters of its own that no pass has told of. */
  async look(others: readonly string[] = []): Promise<string | undefined> {
    if (!this.last) throw new Error('no pass yet');
    const desk = openReviewDesk({
      forge: this.parts.forge,
      git: this.parts.git,
      schemas: readSchemas(),
      clusters: ['prod', ...others].map((name) => ({ name, loop: this.parts.loop })),
      snapshot: () => this.parts.source.files(),
      clock: { now: () => this.now, sleep: () => pause(1) },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
      ownAccounts: [],
      approvalFloor: this.settings.approvalFloor ?? 'none',
    });
    desk.offer(this.last);
    await desk.settle();
    return desk.state().lastError;
  }

  runs(): RunRecord[] {
    return Object.values(this.document?.runs ?? {});
  }

  ledger(): LedgerDocument | undefined {
    return this.document;
  }

  /** Jobs that were made so far. */
  jobs(): number {
    return this.cluster.done.filter((action) => action.kind === 'createJob').length;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
