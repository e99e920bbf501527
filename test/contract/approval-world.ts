// One forge with a real Git repository, a tiny cluster, and Oakum between them in virtual time: what approvals are for, from commit to Job.
import path from 'node:path';
import { openGit } from '../../reconciler/adapters/git.ts';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { openApprovals } from '../../reconciler/cli/approvals.ts';
import { openReviewDesk } from '../../reconciler/cli/review-desk.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import type { LedgerDocument, RunRecord } from '../../reconciler/model/ledger.ts';
import { ClusterLoop, type PassResult } from '../../reconciler/pass.ts';
import type { Forge, Git, Log, ReviewGit } from '../../reconciler/ports.ts';
import { ConfigSource } from '../../reconciler/source.ts';
import { someSettings } from '../support/policies.ts';
import { TinyCluster } from '../support/tiny-cluster.ts';

/** What the world needs of a forge. */
export interface ForgeOfWorld {
  readonly url: string;
  readonly folder: string;
  open(): Forge;
}

/** Oakum on one cluster, `prod`, with everything real but the cluster and the clock. */
export class ApprovalWorld {
  now: number;
  readonly cluster: TinyCluster;
  readonly log: string[] = [];
  private document: LedgerDocument | undefined;
  private readonly git: Git & ReviewGit;
  private readonly forge: Forge;
  private readonly source: ConfigSource;
  private readonly loop: ClusterLoop;
  private last: PassResult | undefined;

  constructor(forge: ForgeOfWorld, start: number) {
    this.now = start;
    this.cluster = new TinyCluster(() => this.now);
    const say = (fields: Record<string, unknown>, message: string): void =>
      void this.log.push(`${JSON.stringify(fields)} ${message}`);
    const log: Log = { debug: say, info: say, warn: say, error: say };
    const schemas = readSchemas();
    this.forge = forge.open();
    this.git = openGit({
      url: forge.url,
      branch: 'main',
      cacheDir: path.join(forge.folder, 'cache-of-world'),
      wanted: 'all',
      author: { name: 'oakum', email: 'oakum@noreply.oakum.dev' },
      log,
    });
    this.source = new ConfigSource(this.git, createDesire(schemas), log);
    const clock = { now: () => this.now, sleep: (ms: number) => pause(Math.min(ms, 5_000)) };
    const approvals = openApprovals({ forge: this.forge, git: this.git, schemas, clock, log });
    const ledger = {
      load: () => Promise.resolve(this.document),
      save: (_: LedgerDocument | undefined, after: LedgerDocument) => {
        this.document = structuredClone(after);
        return Promise.resolve();
      },
    };
    const lease = { held: () => true, holder: () => undefined, release: () => Promise.resolve() };
    this.loop = new ClusterLoop({ name: 'prod', cluster: this.cluster, ledger, lease, approvals }, someSettings(), log);
  }

  close(): Promise<void> {
    return this.git.close();
  }

  /** Reads what is on the branch now, and passes until `until` or for so long. */
  async pass(ms = 0, until: () => boolean = () => false): Promise<PassResult> {
    await this.source.pull(new Map([['prod', this.document?.accepted?.commit]]));
    const end = this.now + ms;
    for (;;) {
      const result = await this.loop.pass(this.source.current('prod'), this.now);
      this.last = result;
      if (until() || this.now >= end) return result;
      this.now = Math.max(Math.min(result.plan.wakeAt, this.cluster.nextAt() ?? Infinity, end), this.now + 1);
    }
  }

  /** One look of the desk at the forge, after the last pass. */
  async look(): Promise<string | undefined> {
    if (!this.last) throw new Error('no pass yet');
    const desk = openReviewDesk({
      forge: this.forge,
      git: this.git,
      schemas: readSchemas(),
      clusters: [{ name: 'prod', loop: this.loop }],
      snapshot: () => this.source.files(),
      clock: { now: () => this.now, sleep: () => pause(1) },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
      ownAccounts: [],
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
