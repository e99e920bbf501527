// The reading side: looks at the remote's head, fetches what is new, checks descent, and hands over the files that changed.
import type { ConfigFile } from '../ports.ts';
import { AdapterError } from '../model/failure.ts';
import { diffTrees, type Wanted } from './git-diff.ts';
import { judgeDescent } from './git-history.ts';
import type { GitTransport } from './git-http.ts';
import { probe } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { readCommit } from './git-trees.ts';

/** What a look brought, without the files that the other side has already. */
export type Reading =
  | { readonly kind: 'unchanged' }
  | {
      readonly kind: 'changed';
      readonly commit: string;
      readonly committedAt: number;
      readonly written: readonly ConfigFile[];
      readonly removed: readonly string[];
    }
  | { readonly kind: 'empty'; readonly message: string }
  | { readonly kind: 'rewritten' | 'unknown'; readonly tip: string; readonly after: string; readonly message: string };

export interface Reader {
  read(after: string | undefined): Promise<Reading>;
}

export function openReader(
  store: GitStore,
  transport: GitTransport,
  branch: string | undefined,
  wanted: Wanted,
): Reader {
  /** What was handed over last: its commit, its tree, and the id of every file. */
  let handed: { readonly commit: string; readonly tree: string } | undefined;
  const manifest = new Map<string, string>();
  /** A descent that was established; the next poll need not walk again. */
  let proven = { tip: '', after: '' };

  async function look(after: string | undefined): Promise<Reading> {
    const remote = await probe(transport, branch);
    if (remote === undefined)
      return { kind: 'empty', message: `${transport.shown} has no commit yet. Push the first one.` };
    // A cache that grew is best thrown away while nothing is new, so that the commit accepted last is in the new one.
    if (store.grown() && (after === undefined || after === remote.oid || store.tip(remote.branch) !== remote.oid))
      store.discard();
    const tip = remote.oid;
    if (store.tip(remote.branch) !== tip) await store.fetch(remote.branch, tip);

    if (after !== undefined && after !== tip && (proven.tip !== tip || proven.after !== after)) {
      const descent = await judgeDescent(store, transport, remote.branch, tip, after);
      if (descent.kind === 'unknown') return { kind: 'unknown', tip, after, message: descent.message };
      if (descent.kind === 'rewritten')
        return {
          kind: 'rewritten',
          tip,
          after,
          message: `Branch "${remote.branch}" of ${transport.shown} was rewound or rewritten: its tip ${tip.slice(0, 10)} does not descend from ${after.slice(0, 10)}, which was accepted last.`,
        };
      proven = { tip, after };
    }
    if (handed?.commit === tip) return { kind: 'unchanged' };

    const { tree, committedAt } = readCommit(store.packs, tip);
    const base = handed !== undefined && store.packs.has(handed.tree) ? handed.tree : undefined;
    const changes = diffTrees(store.packs, base, tree, wanted);
    const written = changes.written.filter((file) => manifest.get(file.path) !== fingerprint(file));
    const removed = base === undefined ? missingFrom(changes.written) : changes.removed;
    for (const path of removed) manifest.delete(path);
    for (const file of written) manifest.set(file.path, fingerprint(file));
    handed = { commit: tip, tree };
    return { kind: 'changed', commit: tip, committedAt, written, removed };
  }

  /** After a whole reading: what was handed over once and is not there now. */
  function missingFrom(all: readonly ConfigFile[]): string[] {
    const present = new Set(all.map(({ path }) => path));
    return [...manifest.keys()].filter((path) => !present.has(path));
  }

  return { read: (after) => withFreshCache(store, () => look(after)) };
}

function fingerprint(file: ConfigFile): string {
  return `${file.oid} ${file.kind}`;
}

/** Does the work; when the cache turns out to be damaged (or confuses the library), once more with a new one. */
export async function withFreshCache<T>(store: GitStore, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AdapterError && error.code !== 'GitCorrupt') throw error;
    store.discard();
    return await work();
  }
}
