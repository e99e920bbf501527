// The config repository as the loop sees it: pull, desire, and why it may not be the newest.
import type { Desired } from './model/desired.ts';
import { AdapterError } from './model/failure.ts';
import type { Hold } from './model/reason.ts';
import type { ConfigSnapshot, Git, Log, SyncResult } from './ports.ts';

/** What the config repository says, and why it may not be the newest. */
export interface Source {
  readonly commit: string | undefined;
  readonly committedAt: number;
  readonly desired: Desired | undefined;
  readonly hold: Hold | undefined;
  /** While the history is rewritten: what the tip says, when it has a file that says that this is meant. */
  readonly rewritten?: Desired;
}

const nothingYet: Source = {
  commit: undefined,
  committedAt: 0,
  desired: undefined,
  hold: { reason: 'GitUnavailable', message: 'the config repository has not been read yet', until: undefined },
};

/**
 * Why a tip may not be gone by (its signatures), a sentence; undefined: it may. `after` is the commit accepted last, from which on all must be good; `keysAt` is the commit
 * whose keys count. Throws AdapterError when it cannot be found out.
 */
export type Proof = (line: {
  readonly tip: string;
  readonly after: string | undefined;
  readonly keysAt: string;
}) => Promise<string | undefined>;

/**
 * Reads the config repository: sync, then files → Desired. A failure keeps what was read before and says so as a Hold. Each cluster has a
 * Source of its own, because each has accepted a commit of its own: a tip that does not descend from it holds this cluster, and the others
 * go on.
 */
export class ConfigSource {
  private readonly sources = new Map<string, Source>();
  /** What the newest commit says, whoever takes it. */
  private newest: Source = nothingYet;
  private snapshot: ConfigSnapshot | undefined;
  private readonly waiting = new Set<{ readonly cluster: string; readonly wake: () => void }>();
  private readonly git: Pick<Git, 'sync'>;
  private readonly desire: (snapshot: ConfigSnapshot) => Desired;
  private readonly log: Log;
  private readonly proof: Proof | undefined;

  constructor(git: Pick<Git, 'sync'>, desire: (snapshot: ConfigSnapshot) => Desired, log: Log, proof?: Proof) {
    this.git = git;
    this.desire = desire;
    this.log = log;
    this.proof = proof;
  }

  current(cluster: string): Source {
    return this.sources.get(cluster) ?? nothingYet;
  }

  /** The files that were read last, whoever takes them. */
  files(): ConfigSnapshot | undefined {
    return this.snapshot;
  }

  /** Resolves when the next look has brought something else for this cluster than before, or when the signal fires. */
  changed(cluster: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return void resolve();
      const waiter = {
        cluster,
        wake: (): void => {
          this.waiting.delete(waiter);
          signal.removeEventListener('abort', waiter.wake);
          resolve();
        },
      };
      this.waiting.add(waiter);
      signal.addEventListener('abort', waiter.wake);
    });
  }

  private become(cluster: string, source: Source): void {
    const before = this.current(cluster);
    const same = source.commit === before.commit && source.rewritten?.commit === before.rewritten?.commit;
    if (same && source.hold?.message === before.hold?.message) return;
    this.sources.set(cluster, source);
    for (const waiter of [...this.waiting]) if (waiter.cluster === cluster) waiter.wake();
  }

  /**
   * `accepted` has the commit that each cluster accepted last, from its ledger: the tip must descend from it. Others are left as they are.
   * The answer is what the look failed with, once however many clusters it was for; their holds say it as well.
   */
  async pull(
    accepted: ReadonlyMap<string, string | undefined>,
    signal?: AbortSignal,
  ): Promise<AdapterError | undefined> {
    let failed: AdapterError | undefined;
    // As a rule all have accepted the same commit, and the remote is asked once.
    const names = new Map<string | undefined, string[]>();
    for (const [cluster, commit] of accepted) names.set(commit, [...(names.get(commit) ?? []), cluster]);
    for (const [after, clusters] of names) {
      const look = await this.look(after, signal);
      if (look instanceof AdapterError && !clusters.every((one) => this.current(one).hold?.message === look.message))
        this.log.warn({ code: look.code, kind: look.kind, clusters }, `config repository: ${look.message}`);
      if (look instanceof AdapterError) failed ??= look;
      for (const cluster of clusters) {
        if (look instanceof AdapterError) this.hold(cluster, 'GitUnavailable', look.message);
        else if ('hold' in look) this.become(cluster, look);
        else this.hold(cluster, look.reason, look.message, look.rewritten);
      }
    }
    return failed;
  }

  private hold(cluster: string, reason: Hold['reason'], message: string, rewritten?: Desired): void {
    const { rewritten: _before, ...known } = this.current(cluster);
    const hold = { reason, message, until: undefined };
    this.become(cluster, { ...known, hold, ...(rewritten ? { rewritten } : {}) });
  }

  /** One look at the remote for those who accepted `after`: what they may go by, or why they may not. */
  private async look(after: string | undefined, signal: AbortSignal | undefined): Promise<Look> {
    try {
      return await this.lookOrThrow(after, signal);
    } catch (error) {
      if (!(error instanceof AdapterError)) throw error;
      return error;
    }
  }

  private async lookOrThrow(after: string | undefined, signal: AbortSignal | undefined): Promise<Look> {
    const sync = (from: string | undefined): Promise<SyncResult> =>
      this.git.sync(signal ? { after: from, signal } : { after: from });
    const result = await sync(after);
    switch (result.kind) {
      case 'unchanged':
      case 'changed': {
        // Read in any case: what is read next is the difference to it.
        const read = this.read(result);
        const tip = result.snapshot.commit;
        const message = await this.proof?.({ tip, after, keysAt: after ?? tip });
        return message === undefined ? read : { reason: 'UnsignedCommit', message };
      }
      case 'empty':
        return { reason: 'GitUnavailable', message: result.message };
      case 'rewritten':
        return this.meant(result, sync);
      case 'unknown':
        return { reason: 'HistoryUnknown', message: result.message };
    }
  }

  /** A rewritten branch may say of itself that it is meant; whether that is believed is decided by the rules of each cluster. */
  private async meant(
    { after, message }: Extract<SyncResult, { readonly kind: 'rewritten' }>,
    sync: (from: string | undefined) => Promise<SyncResult>,
  ): Promise<Look> {
    const reason = 'HistoryRewritten';
    const tip = await sync(undefined);
    const rewrite = 'snapshot' in tip ? this.read(tip).desired?.rewrite : undefined;
    if (!rewrite) return { reason, message };
    if (!rewrite.from.includes(after))
      return { reason, message: `${message} ${rewrite.file} names other commits: it does not speak of this rewrite.` };
    const there = await sync(rewrite.to);
    if (!('snapshot' in there))
      return {
        reason,
        message: `${message} ${rewrite.file} says that the branch goes on from ${rewrite.to.slice(0, 10)}, and it does not.`,
      };
    const { desired } = this.read(there);
    // Between the two looks the branch may have moved once more.
    if (desired?.rewrite?.oid !== rewrite.oid) return { reason, message };
    const unsigned = await this.proof?.({ tip: desired.commit, after: rewrite.to, keysAt: after });
    if (unsigned !== undefined) return { reason, message: `${message} ${rewrite.file}: ${unsigned}` };
    return { reason, message, rewritten: desired };
  }

  private read({ kind, snapshot }: Extract<SyncResult, { readonly snapshot: ConfigSnapshot }>): Source {
    const { commit, committedAt, files } = snapshot;
    if (kind === 'unchanged' && this.newest.commit === commit) return this.newest;
    this.snapshot = snapshot;
    const desired = this.desire(snapshot);
    this.newest = { commit, committedAt, desired, hold: undefined };
    this.log.info({ commit, files: files.size, problems: desired.problems.length }, 'config read');
    return this.newest;
  }
}

type Look =
  AdapterError | Source | { readonly reason: Hold['reason']; readonly message: string; readonly rewritten?: Desired };
