// Does the tip descend from the commit accepted last? Looked up locally first; else the history is deepened until it is known.
import { AdapterError } from '../model/failure.ts';
import type { Packs } from './git-packs.ts';
import type { GitStore } from './git-store.ts';
import { readCommit } from './git-trees.ts';

/** The answer; `unknown` says why. */
export type Descent =
  | { readonly kind: 'descends' }
  | { readonly kind: 'rewritten' }
  | { readonly kind: 'unknown'; readonly message: string };

/** Commits by which the history is deepened in turn; then all of it is asked for. */
const steps = [64, 1024] as const;
/** What git itself sends for "the whole history" (fetch --unshallow). */
const wholeHistory = 0x7fffffff;

/** Walks back from `tip`: found, not found in a complete history, or the local history ends too early. */
export function walkLocally(packs: Packs, tip: string, after: string): 'found' | 'absent' | 'cut' {
  const seen = new Set([tip]);
  const queue = [tip];
  let cut = false;
  for (let oid = queue.pop(); oid !== undefined; oid = queue.pop()) {
    if (oid === after) return 'found';
    for (const parent of readCommit(packs, oid).parents) {
      if (parent === after) return 'found';
      if (seen.has(parent)) continue;
      seen.add(parent);
      if (packs.has(parent)) queue.push(parent);
      else cut = true;
    }
  }
  return cut ? 'cut' : 'absent';
}

/** Decides; fetches more history when it must. The tip may move while it does so: then the next look decides. */
export async function judgeDescent(store: GitStore, branch: string, tip: string, after: string): Promise<Descent> {
  const verdict = (): Descent | undefined => {
    const found = walkLocally(store.packs, tip, after);
    if (found === 'cut') return undefined;
    return { kind: found === 'found' ? 'descends' : 'rewritten' };
  };
  const local = verdict();
  if (local !== undefined) return local;
  try {
    for (const depth of steps) {
      await store.fetch(branch, { depth, relative: true });
      const known = verdict();
      if (known !== undefined) return known;
    }
    await store.fetch(branch, { depth: wholeHistory });
  } catch (error) {
    if (!(error instanceof AdapterError) || error.code === 'GitAborted') throw error;
    return {
      kind: 'unknown',
      message: `The history before ${tip.slice(0, 10)} could not be fetched. ${error.message}`,
    };
  }
  return (
    verdict() ?? {
      kind: 'unknown',
      message: `The server does not have the whole history before ${tip.slice(0, 10)} (is its repository shallow?), and ${after.slice(0, 10)} is not in the part it has.`,
    }
  );
}
