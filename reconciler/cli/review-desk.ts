// The desk at the forge: proposes runs that need an approval, tells every open pull request what it would do, and clears away what is over.
import { createDesire } from '../desired/desired.ts';
import type { Schemas } from '../desired/schema.ts';
import type { PullRequest } from '../model/approval.ts';
import { closureOf } from '../model/approval.ts';
import type { ClusterDesired, Desired } from '../model/desired.ts';
import { canonical } from '../model/digest.ts';
import { AdapterError, type Problem } from '../model/failure.ts';
import type { RunRecord } from '../model/ledger.ts';
import type { ClusterLoop, PassResult } from '../pass.ts';
import { changeNeedsReview, ruleNow, rulesInForce, type ApprovalDemand } from '../plan/approval.ts';
import { judgeChange, teamsOf } from '../plan/judge.ts';
import type { Clock, ConfigSnapshot, Forge, Log, ReviewGit } from '../ports.ts';
import { clean } from '../report/clean.ts';
import { differencesBetween } from '../report/differences.ts';
import {
  planComment,
  planStatus,
  proposalPath,
  proposalText,
  proposalYaml,
  type PendingCluster,
} from '../report/review-text.ts';
import { contentOf } from './approvals.ts';
import { demandOf } from './code-owners.ts';

export interface ReviewDeskOptions {
  readonly forge: Forge;
  readonly git: ReviewGit;
  readonly schemas: Schemas;
  readonly clusters: readonly { readonly name: string; readonly loop: Pick<ClusterLoop, 'imagine'> }[];
  /** The config repository as it was read last. */
  readonly snapshot: () => ConfigSnapshot | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Accounts of our own at the forge: they approve nothing. */
  readonly ownAccounts: readonly string[];
  /** Lowest approval mode of the deployment. */
  readonly approvalFloor: ApprovalDemand['settings']['approvalFloor'];
  /** Between two looks, milliseconds; default one minute. */
  readonly pollMs?: number;
}

export interface ReviewDesk {
  /** Takes over what a pass saw; returns at once. A pass that did not act is not told. */
  offer(result: PassResult): void;
  /** Something at the forge may have changed: look now. */
  nudge(): void;
  /** Looks once, now, when no look is under way; for a process that ends after its passes. */
  settle(): Promise<void>;
  /** Ends the look that is under way, and starts no other. */
  close(): Promise<void>;
  /** What went wrong last. */
  state(): { readonly lastError: string | undefined };
}

const branchPrefix = 'oakum/run/';
/** News of a pass are taken to the forge no sooner than this, to take what belongs to it along. */
const collectMs = 2_000;
const longestRetryMs = 300_000;

/** Opens the desk; nothing is asked of the forge before the first pass was offered. */
export function openReviewDesk(options: ReviewDeskOptions): ReviewDesk {
  return new Desk(options);
}

class Desk implements ReviewDesk {
  private readonly options: ReviewDeskOptions;
  private readonly results = new Map<string, PassResult>();
  /** What was told each pull request, so that it is told only what is new. */
  private readonly told = new Map<number, string>();
  private waiting = '';
  /** It was said that problems cannot be shown at their lines. */
  private unannotated = false;
  private failures = 0;
  private lastError: string | undefined;
  private closed = false;
  private readonly stop = new AbortController();
  private wake = new AbortController();
  private worker: Promise<void> | undefined;

  constructor(options: ReviewDeskOptions) {
    this.options = options;
  }

  state(): { readonly lastError: string | undefined } {
    return { lastError: this.lastError };
  }

  offer(result: PassResult): void {
    if (this.closed) return;
    if (!result.acted) return void this.results.delete(result.name);
    this.results.set(result.name, result);
    this.worker ??= this.work();
    const waiting = canonical([...this.results.values()].map((one) => [one.source.commit ?? '', awaiting(one)]));
    if (waiting === this.waiting) return;
    this.waiting = waiting;
    this.wake.abort();
  }

  nudge(): void {
    this.wake.abort();
  }

  async settle(): Promise<void> {
    this.closed = true;
    this.wake.abort();
    await this.worker;
    try {
      if (this.results.size > 0) await this.look();
      this.lastError = undefined;
    } catch (error) {
      this.lastError = error instanceof Error ? error.message : String(error);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    this.stop.abort();
    this.wake.abort();
    await this.worker;
  }

  private async work(): Promise<void> {
    const { clock, log, pollMs = 60_000 } = this.options;
    while (!this.closed) {
      await clock.sleep(collectMs, this.stop.signal);
      if (this.closed) return;
      this.wake = new AbortController();
      let rest = pollMs;
      try {
        await this.look();
        this.failures = 0;
        this.lastError = undefined;
      } catch (error) {
        this.failures++;
        const known = error instanceof AdapterError;
        const message = error instanceof Error ? error.message : String(error);
        if (message !== this.lastError)
          log[known ? 'warn' : 'error'](
            known ? { code: error.code } : { stack: error instanceof Error ? error.stack : '' },
            known ? `forge: ${message}` : `this is a bug: ${message}`,
          );
        this.lastError = message;
        const wanted = known ? (error.retryAfterMs ?? 0) : 0;
        rest = Math.max(wanted, Math.min(pollMs * 2 ** Math.min(this.failures - 1, 5), longestRetryMs));
      }
      await clock.sleep(rest, this.wake.signal);
    }
  }

  /** One look: everything that is open, and everything that should be. */
  private async look(): Promise<void> {
    const { forge } = this.options;
    const signal = this.stop.signal;
    const open = [...(await forge.open(signal))];
    const ours = new Set<string>();
    for (const result of this.results.values()) {
      for (const run of awaiting(result)) {
        if (signal.aborted) return;
        ours.add(branchOf(result.name, run.id));
        const pull = await this.propose(result, run, open);
        const at = open.findIndex(({ number }) => number === pull?.number);
        if (pull?.state === 'open') open.splice(at < 0 ? open.length : at, at < 0 ? 0 : 1, pull);
      }
    }
    for (const pull of open) {
      if (signal.aborted) return;
      if (this.isOurs(pull) && !ours.has(pull.branch)) await this.withdraw(pull);
      else await this.tell(pull);
    }
    const numbers = new Set(open.map(({ number }) => number));
    for (const number of this.told.keys()) if (!numbers.has(number)) this.told.delete(number);
  }

  /** A branch of a run of one of our clusters, in this repository. */
  private isOurs(pull: PullRequest): boolean {
    const cluster = pull.branch.slice(branchPrefix.length).split('/')[0] ?? '';
    return !pull.fork && pull.branch.startsWith(branchPrefix) && this.results.has(cluster);
  }

  /** The pull request as it is after a change; undefined: it is as it should be. */
  private async propose(
    result: PassResult,
    run: RunRecord,
    open: readonly PullRequest[],
  ): Promise<PullRequest | undefined> {
    const { forge, git, schemas } = this.options;
    const signal = this.stop.signal;
    const { proposal } = run;
    const commit = result.source.commit;
    if (!proposal || commit === undefined || !result.desired) return undefined;
    const branch = branchOf(result.name, run.id);
    const path = proposalPath(result.name, run.id);
    const file = proposalYaml(result.name, run, proposal);
    const known = open.find((pull) => pull.branch === branch && !pull.fork);
    // Merged as it is, and only approvals are missing: there is nothing to propose.
    if (this.options.snapshot()?.files.get(path)?.text === file) return known;
    if (known) {
      // An approval is of a head: it is not moved while it says what is true.
      const head = await git.readAt({ commit: known.head, ref: forge.headRef(known.number) }, signal);
      const seen = contentOf(head, result.name, schemas)?.closure;
      const now = closureOf(result.desired, result.fleet, {});
      const same = Object.entries(now.files).every(([at, oid]) => seen?.files[at] === oid);
      if (head.files.get(path)?.text === file && same && seen?.resolved === now.resolved) return undefined;
    }
    const loop = this.options.clusters.find(({ name }) => name === result.name)?.loop;
    const desired = result.source.desired;
    const preview = desired && (await loop?.imagine(result.source, desired, this.options.clock.now()));
    const { title, text, message } = proposalText(result.name, run, proposal, preview?.nodes ?? [], forge.kind);
    const { commit: at } = await git.propose({ branch, base: commit, files: new Map([[path, file]]), message }, signal);
    return forge.propose({ branch, title, text: text.slice(0, forge.commentLimit), commit: at }, signal);
  }

  private async withdraw(pull: PullRequest): Promise<void> {
    const { forge, git } = this.options;
    const [cluster = '', id = ''] = pull.branch.slice(branchPrefix.length).split('/');
    const run = this.results.get(cluster)?.plan.ledger.runs[id];
    // A proposal that was approved and not merged yet is the people's to merge.
    if (run === undefined && !this.results.get(cluster)?.acted) return;
    const why =
      run === undefined ? `There is no run ${id} any more.` : `The run is ${run.state}: ${run.reason}: ${run.message}`;
    await forge.close(pull.number, why, this.stop.signal);
    await git.withdraw(pull.branch, this.stop.signal);
  }

  /** Plan and approval of one pull request: statuses on its head, and one comment. */
  private async tell(pull: PullRequest): Promise<void> {
    const { forge, git, schemas } = this.options;
    const signal = this.stop.signal;
    const here = this.options.snapshot();
    if (!here) return;
    const head = await git.readAt({ commit: pull.head, ref: forge.headRef(pull.number) }, signal);
    const base = pull.mergeBase === undefined ? undefined : await git.readAt({ commit: pull.mergeBase }, signal);
    const merged = mergedSnapshot(here, head, base);
    const desired = createDesire(schemas)({ ...merged, changed: undefined });
    const current = createDesire(schemas)({ ...here, changed: undefined });
    // A word about the history is agreed to by each cluster, although it changes no wish of it.
    const rewrites = desired.rewrite !== undefined && desired.rewrite.oid !== current.rewrite?.oid;
    const clusters: PendingCluster[] = [];
    const signed: string[] = [];
    let enough = true;
    // Concerned by the change, and not ours to judge now: somebody else has the Lease, or no pass has ended yet.
    let unseen = false;
    for (const { name, loop } of this.options.clusters) {
      const [before, after] = [current.clusters.get(name), desired.clusters.get(name)];
      const differences = differencesBetween(
        { cluster: before, fleet: current.fleet },
        { cluster: after, fleet: desired.fleet },
      );
      const problems = after?.problems ?? [];
      const same = differences.length === 0 && canonical(before?.problems ?? []) === canonical(problems);
      if (same && !rewrites) continue;
      const result = this.results.get(name);
      if (!result) {
        unseen = true;
        continue;
      }
      const preview = await loop.imagine(result.source, { ...desired, commit: pull.head }, this.options.clock.now());
      const wish = { desired: after, fleet: desired.fleet };
      const approval = await this.approval(pull, result, before, wish, changedPaths(here, merged, name));
      enough &&= approval.enough;
      signed.push(approval.text);
      clusters.push({
        cluster: name,
        problems,
        differences,
        looser: preview.looser,
        runs: preview.runs,
        refused: preview.refused,
        nodes: preview.nodes,
        holds: preview.holds,
        upcomingBefore: result.plan.upcoming,
        upcoming: preview.upcoming,
        approval: approval.text,
      });
    }
    const others = strayProblems(current, desired);
    const suffix = this.suffix();
    const marker = `<!-- oakum:plan${suffix} -->`;
    const comment = planComment(marker, pull.head, clusters, others, forge.commentLimit);
    const { ok, text } = planStatus(clusters, others);
    const judged = clusters.length > 0 || (!unseen && this.alone(desired));
    const say = canonical([comment, ok, text, judged, enough, signed]);
    if (this.told.get(pull.number) === say) return;
    await forge.status(pull.head, { context: `oakum/plan${suffix}`, state: ok ? 'success' : 'failure', text }, signal);
    if (judged) {
      const state = enough ? 'success' : 'pending';
      const none = clusters.length === 0 ? 'no cluster is concerned' : undefined;
      const sentence = (none ?? signed.find((one) => one !== '') ?? 'approved').slice(0, 140);
      await forge.status(pull.head, { context: `oakum/approval${suffix}`, state, text: sentence }, signal);
    }
    if (clusters.length > 0 || others.length > 0 || this.told.has(pull.number))
      await forge.comment(pull.number, marker, comment, signal);
    await this.annotate(pull.head, [...others, ...clusters.flatMap(({ problems }) => problems)]);
    this.told.set(pull.number, say);
  }

  /** Problems at their lines, where the forge has a place for them; the comment has said them already. */
  private async annotate(head: string, all: readonly Problem[]): Promise<void> {
    const { forge, log } = this.options;
    // A shared file is wrong for each cluster that uses it.
    const each = new Map(all.map((one) => [canonical(one), { ...one, message: clean(one.message) }]));
    const remarks = { name: `oakum/problems${this.suffix()}`, problems: [...each.values()] } as const;
    try {
      await forge.annotate?.(head, remarks, this.stop.signal);
    } catch (error) {
      if (!(error instanceof AdapterError) || error.kind !== 'denied') throw error;
      // An App that was installed before it asked for this right goes on without it.
      if (!this.unannotated) log.warn({ code: error.code }, `no problems at their lines: ${error.message}`);
      this.unannotated = true;
    }
  }

  /** Whether the reviews of an open pull request would be enough for this cluster, as the planner will judge after the merge: by the rules of the commit accepted last. */
  private async approval(
    pull: PullRequest,
    { plan: { ledger } }: PassResult,
    before: ClusterDesired | undefined,
    wish: Pick<ApprovalDemand, 'desired' | 'fleet'>,
    paths: readonly string[],
  ): Promise<{ readonly enough: boolean; readonly text: string }> {
    const { forge, git, ownAccounts, approvalFloor } = this.options;
    const input: ApprovalDemand = { ...wish, settings: { approvalFloor, ownAccounts } };
    if (!changeNeedsReview(before, ledger, input))
      return { enough: true, text: 'being merged is the approval (the rules in force do not demand reviews)' };
    const accepted = ledger.accepted?.commit;
    const owners =
      rulesInForce(ledger, input)?.approval.codeOwners === true && accepted !== undefined
        ? demandOf(await git.readAt({ commit: accepted }, this.stop.signal), forge.kind, paths)
        : undefined;
    const rule = { ...ruleNow(ledger, input), own: this.isOurs(pull), ...(owners ? { owners } : {}) };
    const change = await forge.change(pull.number, teamsOf(rule), this.stop.signal);
    const judgement = judgeChange(change, rule);
    if (judgement.kind === 'approved')
      return { enough: true, text: `approved by ${judgement.by.map(({ name }) => name).join(', ')}` };
    return { enough: false, text: judgement.message };
  }

  /** Nobody else writes the same status. Agents that were given no `publisher` share their names for them, and may see changes that this one does not read. */
  private alone(desired: Desired): boolean {
    return this.suffix() !== '' || this.options.clusters.length > 1 || desired.clusters.size <= 1;
  }

  /** Several Oakums at one repository must not overwrite each other's words. */
  private suffix(): '' | `/${string}` {
    const [result] = this.results.values();
    return result?.fleet.publisher === undefined || this.options.clusters.length > 1 ? '' : `/${result.name}`;
  }
}

function branchOf(cluster: string, run: string): string {
  return `${branchPrefix}${cluster}/${run}`;
}

/** Runs that wait for the approval of a proposal. */
function awaiting(result: PassResult): RunRecord[] {
  return Object.values(result.plan.ledger.runs).filter(
    (run) =>
      run.state === 'AwaitingApproval' &&
      run.proposal !== undefined &&
      run.triggers.some(({ kind }) => kind === 'schedule' || kind === 'sla' || kind === 'rollout'),
  );
}

/** The config branch with the changes of a pull request: what it would be after the merge, file by file. */
function mergedSnapshot(
  here: ConfigSnapshot,
  head: ConfigSnapshot,
  base: ConfigSnapshot | undefined,
): Pick<ConfigSnapshot, 'commit' | 'committedAt' | 'files'> {
  if (!base) return head;
  const files = new Map(here.files);
  for (const [path, file] of head.files) if (base.files.get(path)?.oid !== file.oid) files.set(path, file);
  for (const path of base.files.keys()) if (!head.files.has(path)) files.delete(path);
  return { commit: head.commit, committedAt: head.committedAt, files };
}

/** What the change does to files of one cluster and to those that all share. */
function changedPaths(
  here: Pick<ConfigSnapshot, 'files'>,
  merged: Pick<ConfigSnapshot, 'files'>,
  cluster: string,
): string[] {
  const paths = new Set([...here.files.keys(), ...merged.files.keys()]);
  return [...paths].filter(
    (path) =>
      (path.startsWith(`clusters/${cluster}/`) || !path.startsWith('clusters/')) &&
      here.files.get(path)?.oid !== merged.files.get(path)?.oid,
  );
}

/** Problems of files that belong to no cluster of ours and that the change brings. */
function strayProblems(current: Desired, desired: Desired): Desired['problems'] {
  const known = new Set(current.problems.map((problem) => canonical(problem)));
  const told = new Set([...desired.clusters.values()].flatMap(({ problems }) => problems.map((one) => canonical(one))));
  return desired.problems.filter((problem) => !known.has(canonical(problem)) && !told.has(canonical(problem)));
}
