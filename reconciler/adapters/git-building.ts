// Builds trees and commits from the texts of files, without a work tree.
import { AdapterError } from '../model/failure.ts';
import { collectObjects, type NewObjects } from './git-pack-write.ts';
import type { Packs } from './git-packs.ts';
import { folderMode, formatTree, readTree, type TreeEntry } from './git-trees.ts';

/** Files to write; `undefined` removes one. */
export type FileTexts = ReadonlyMap<string, string | undefined>;

/** Who a commit is from. */
export interface CommitAuthor {
  readonly name: string;
  readonly email: string;
}

/** Where a file goes: folders first. Names that Git would refuse are refused here, before anything is sent. */
function segments(path: string): string[] {
  const parts = path.split('/');
  if (
    parts.some(
      (part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git' || part.includes('\0'),
    )
  )
    throw new AdapterError('rejected', 'GitBadPath', `"${path}" cannot be the path of a file in Git.`);
  return parts;
}

/** The changes to one folder: texts of its files, and changes of its folders. */
export interface FolderChange {
  readonly files: Map<string, string | undefined>;
  readonly folders: Map<string, FolderChange>;
}

/** Sorts files into their folders. Throws GitBadPath. */
export function plant(files: FileTexts): FolderChange {
  const root: FolderChange = { files: new Map(), folders: new Map() };
  for (const [path, text] of files) {
    const parts = segments(path);
    const name = parts.pop() ?? '';
    let folder = root;
    for (const part of parts) {
      const inner = folder.folders.get(part) ?? { files: new Map(), folders: new Map() };
      folder.folders.set(part, inner);
      folder = inner;
    }
    folder.files.set(name, text);
  }
  return root;
}

/** The tree with the changes in it; only folders that change become new objects. `undefined`: the folder is empty now. */
export function grow(
  packs: Packs | undefined,
  old: string | undefined,
  change: FolderChange,
  fresh: NewObjects,
): string | undefined {
  const before = old === undefined || packs === undefined ? [] : readTree(packs, old);
  const entries = new Map<string, TreeEntry>(before.map((entry) => [entry.name, entry]));
  for (const [name, inner] of change.folders) {
    const was = entries.get(name);
    const oid = grow(packs, was?.mode === folderMode ? was.oid : undefined, inner, fresh);
    if (oid !== undefined) entries.set(name, { name, mode: folderMode, oid });
    else if (was?.mode === folderMode) entries.delete(name);
  }
  for (const [name, text] of change.files) {
    const was = entries.get(name);
    if (text === undefined) {
      if (was?.mode !== folderMode) entries.delete(name);
      continue;
    }
    const content = Buffer.from(text);
    const held = collectObjects();
    const oid = held.add('blob', content);
    if (was?.oid === oid && was.mode !== folderMode) continue;
    fresh.add('blob', content);
    entries.set(name, { name, mode: '100644', oid });
  }
  if (entries.size === 0) return undefined;
  const same = entries.size === before.length && before.every((entry) => sameEntry(entry, entries.get(entry.name)));
  return same && old !== undefined ? old : fresh.add('tree', formatTree(entries.values()));
}

function sameEntry(left: TreeEntry, right: TreeEntry | undefined): boolean {
  return left.oid === right?.oid && left.mode === right.mode;
}

/** The content of a commit object; `at` is in milliseconds since the epoch. */
export function commitText(
  tree: string,
  parent: string | undefined,
  author: CommitAuthor,
  at: number,
  message: string,
): Buffer {
  const clean = (text: string): string => text.replace(/[<>\n\r\0]/g, '').trim();
  const who = `${clean(author.name)} <${clean(author.email)}> ${Math.floor(at / 1000)} +0000`;
  const lines = [
    `tree ${tree}`,
    ...(parent === undefined ? [] : [`parent ${parent}`]),
    `author ${who}`,
    `committer ${who}`,
  ];
  return Buffer.from(`${lines.join('\n')}\n\n${message}`);
}
