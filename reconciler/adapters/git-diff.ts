// What differs between two trees, found by comparing object ids: equal ids are never opened.
import type { ConfigFile } from '../ports.ts';
import type { Packs } from './git-packs.ts';
import { folderMode, readTree, type TreeEntry } from './git-trees.ts';

/** Which paths are read: names of files, folders with a slash at the end, or everything. A `*` in place of a folder stands for any one folder. */
export type Wanted = readonly string[] | 'all';

/** Files of the new tree that are new or other, and paths that are gone. */
export interface TreeChanges {
  readonly written: ConfigFile[];
  readonly removed: string[];
}

/** Larger files are not configuration. */
export const largestFile = 256 * 1024;
/** Deeper folders are not looked into: a tree may be made to be endless. */
const deepest = 64;

export function isWanted(path: string, wanted: Wanted): boolean {
  if (wanted === 'all') return true;
  return wanted.some((item) => {
    const pattern = filled(item, path);
    return path === pattern || (pattern.endsWith('/') && path.startsWith(pattern));
  });
}

/** Whether a folder (with a slash at the end) is wanted or leads to something wanted. */
function leadsToWanted(folder: string, wanted: Wanted): boolean {
  if (wanted === 'all') return true;
  return wanted.some((item) => {
    const pattern = filled(item, folder);
    return pattern.startsWith(folder) || (pattern.endsWith('/') && folder.startsWith(pattern));
  });
}

/** The pattern with the names of this path in place of its stars. */
function filled(pattern: string, path: string): string {
  if (!pattern.includes('*')) return pattern;
  const names = path.split('/');
  return pattern
    .split('/')
    .map((part, index) => (part === '*' ? names[index] || part : part))
    .join('/');
}

/** Git refuses to make such names; a tree that has them was forged, and their paths would mean something else than they say. */
function isForged(name: string): boolean {
  return name === '' || name === '.' || name === '..' || name.toLowerCase() === '.git' || name.includes('/');
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** One file, read if it is one that may be read. */
export function readEntry(packs: Packs, path: string, entry: TreeEntry): ConfigFile {
  const { oid, mode } = entry;
  if (mode === '120000') return { path, oid, kind: 'symlink', text: '' };
  if (mode === '160000') return { path, oid, kind: 'submodule', text: '' };
  if (packs.sizeOf(oid) > largestFile) return { path, oid, kind: 'oversized', text: '' };
  const { content } = packs.read(oid);
  if (content.includes(0)) return { path, oid, kind: 'binary', text: '' };
  try {
    return { path, oid, kind: 'file', text: decoder.decode(content) };
  } catch {
    return { path, oid, kind: 'binary', text: '' };
  }
}

/** Compares two trees; `before` is undefined when everything is new. */
export function diffTrees(packs: Packs, before: string | undefined, after: string, wanted: Wanted): TreeChanges {
  const changes: TreeChanges = { written: [], removed: [] };
  const list = (oid: string | undefined): Map<string, TreeEntry> =>
    new Map(
      (oid === undefined ? [] : readTree(packs, oid)).flatMap((entry) =>
        isForged(entry.name) ? [] : [[entry.name, entry]],
      ),
    );

  function compare(folder: string, old: string | undefined, now: string | undefined, depth: number): void {
    if (old === now || depth > deepest) return;
    const oldEntries = list(old);
    const nowEntries = list(now);
    for (const name of new Set([...oldEntries.keys(), ...nowEntries.keys()])) {
      const was = oldEntries.get(name);
      const is = nowEntries.get(name);
      if (was?.oid === is?.oid && was?.mode === is?.mode) continue;
      const path = folder + name;
      const wasFolder = was?.mode === folderMode;
      const isFolder = is?.mode === folderMode;
      if ((wasFolder || isFolder) && leadsToWanted(`${path}/`, wanted))
        compare(`${path}/`, wasFolder ? was.oid : undefined, isFolder ? is.oid : undefined, depth + 1);
      if (!isWanted(path, wanted)) continue;
      if (is !== undefined && !isFolder) changes.written.push(readEntry(packs, path, is));
      else if (was !== undefined && !wasFolder) changes.removed.push(path);
    }
  }

  compare('', before, after, 0);
  return changes;
}
