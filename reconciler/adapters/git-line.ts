// The commits on the config branch itself since one of them, as raw bytes: what signatures are checked on.
import { AdapterError } from '../model/failure.ts';
import type { RawCommit } from './git-evidence.ts';
import type { GitTransport } from './git-http.ts';
import { withFreshCache } from './git-reading.ts';
import { probe } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { readCommit } from './git-trees.ts';

/** Commits along first parents, the tip first, without the one they come after; undefined: that one is not on this line. */
export type CommitLine = readonly RawCommit[] | undefined;

export interface LineReader {
  /** Without `after`: the tip alone. */
  read(tip: string, after: string | undefined): Promise<CommitLine>;
}

const depths = [64, 1024, 0x7fffffff] as const;
/** Whoever was away for longer accepts the branch by hand. */
const mostCommits = 5_000;

export function openLine(store: GitStore, transport: GitTransport, branch: string | undefined): LineReader {
  /** The line as far as it is here; `cut` when the local history ends before the answer. */
  function walk(tip: string, after: string | undefined): CommitLine | 'cut' {
    const line: RawCommit[] = [];
    for (let commit: string | undefined = tip; commit !== undefined && commit !== after;) {
      if (!store.packs.has(commit)) return 'cut';
      line.push({ commit, raw: store.packs.read(commit).content });
      if (after === undefined) return line;
      if (line.length > mostCommits)
        throw new AdapterError(
          'rejected',
          'GitLineTooLong',
          `More than ${mostCommits} commits came since ${after.slice(0, 10)}.`,
        );
      [commit] = readCommit(store.packs, commit).parents;
      if (commit === undefined) return undefined;
    }
    return line;
  }

  async function read(tip: string, after: string | undefined): Promise<CommitLine> {
    if (store.grown()) store.discard();
    for (const depth of [undefined, ...depths]) {
      const known = store.has(tip) ? walk(tip, after) : 'cut';
      if (known !== 'cut') return known;
      const now = await probe(transport, branch);
      if (now === undefined) break;
      await store.fetch(now.branch, now.oid, depth);
    }
    const last = store.has(tip) ? walk(tip, after) : 'cut';
    if (last !== 'cut') return last;
    throw new AdapterError(
      'transient',
      'GitHistoryUnknown',
      `The history of ${transport.shown} before ${tip.slice(0, 10)} could not be fetched, so its signatures are not known.`,
    );
  }

  return { read: (tip, after) => withFreshCache(store, () => read(tip, after)) };
}
