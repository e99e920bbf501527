// The one file that a commit changes, if it changes just one.
import type { Packs } from './git-packs.ts';
import { folderMode, readCommit, readTree, type TreeEntry } from './git-trees.ts';

/** A file and its text as a commit has it. */
export interface SoleChange {
  readonly path: string;
  readonly text: string;
}

const largestText = 256 * 1024;

/**
 * The file that a commit with one parent adds or changes, when it changes nothing else: then whoever made the commit could have written that file only.
 * Undefined for merges, first commits, removals, links, large files, and commits that change more. The parent must be here.
 */
export function soleChange(packs: Packs, commit: string): SoleChange | undefined {
  const { tree, parents } = readCommit(packs, commit);
  const [parent, ...others] = parents;
  if (parent === undefined || others.length > 0 || !packs.has(parent)) return undefined;
  let before: string | undefined = readCommit(packs, parent).tree;
  let after = tree;
  for (let path = ''; ;) {
    const [change, ...more] = changes(before === undefined ? [] : readTree(packs, before), readTree(packs, after));
    if (change?.after === undefined || more.length > 0) return undefined;
    const { name, mode, oid } = change.after;
    path += name;
    if (mode !== folderMode) {
      if (!mode.startsWith('100') || packs.sizeOf(oid) > largestText) return undefined;
      return { path, text: packs.read(oid).content.toString('utf8') };
    }
    // A file that gave way to a folder was removed.
    if (change.before !== undefined && change.before.mode !== folderMode) return undefined;
    path += '/';
    before = change.before?.oid;
    after = oid;
  }
}

interface Pair {
  readonly before: TreeEntry | undefined;
  readonly after: TreeEntry | undefined;
}

function changes(before: readonly TreeEntry[], after: readonly TreeEntry[]): Pair[] {
  const old = new Map(before.map((entry) => [entry.name, entry]));
  const next = new Map(after.map((entry) => [entry.name, entry]));
  return [...new Set([...old.keys(), ...next.keys()])].flatMap((name) => {
    const [left, right] = [old.get(name), next.get(name)];
    return left?.oid === right?.oid && left?.mode === right?.mode ? [] : [{ before: left, after: right }];
  });
}
