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
}

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
