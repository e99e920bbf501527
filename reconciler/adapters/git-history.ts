// Does the tip descend from the commit accepted last? Looked up locally first; else the history is deepened until it is known.
import { AdapterError } from '../model/failure.ts';
import type { GitTransport } from './git-http.ts';
import type { Packs } from './git-packs.ts';
import { probe } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { readCommit } from './git-trees.ts';

/** The answer; `unknown` says why. */
export type Descent =
  | { readonly kind: 'descends' }
  | { readonly kind: 'rewritten' }
  | { readonly kind: 'unknown'; readonly message: string };

/** Depths that are asked for in turn; the last is what git itself sends for "the whole history" (fetch --unshallow). */
const depths = [64, 1024, 0x7fffffff] as const;

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

/** Decides; fetches more history when it must. */
export async function judgeDescent(
  store: GitStore,
  transport: GitTransport,
  branch: string,
  tip: string,
  after: string,
): Promise<Descent> {
  const verdict = (): Descent | undefined => {
    const found = walkLocally(store.packs, tip, after);
    if (found === 'cut') return undefined;
    return { kind: found === 'found' ? 'descends' : 'rewritten' };
  };
  const local = verdict();
  if (local !== undefined) return local;
  try {
    for (const depth of depths) {
      // Over SSH every request needs a conversation of its own, which begins with this question.
      await probe(transport, branch);
      await store.fetch(branch, tip, depth);
      const known = verdict();
      if (known !== undefined) return known;
    }
  } catch (error) {
    if (!(error instanceof AdapterError) || error.code === 'GitAborted') throw error;
    return {
      kind: 'unknown',
      message: `The history before ${tip.slice(0, 10)} could not be fetched. ${error.message}`,
    };
  }
  return {
    kind: 'unknown',
    message: `The server does not have the whole history before ${tip.slice(0, 10)} (is its repository shallow?), and ${after.slice(0, 10)} is not in the part it has.`,
  };
}
