// Trees and commits as values: parsing, writing, and walking the files that are wanted.
import { corrupt } from './git-failure.ts';
import type { Packs } from './git-packs.ts';

/** One line of a tree. */
export interface TreeEntry {
  readonly name: string;
  /** Octal, as Git writes it: 40000 folder, 100644 file, 100755 executable, 120000 link, 160000 submodule. */
  readonly mode: string;
  readonly oid: string;
}

/** What we need of a commit. */
export interface CommitRecord {
  readonly tree: string;
  readonly parents: readonly string[];
  /** Milliseconds since the epoch. */
  readonly committedAt: number;
  readonly message: string;
}

export const folderMode = '40000';

/** Parses the content of a tree object. */
export function parseTree(content: Buffer): TreeEntry[] {
  const entries: TreeEntry[] = [];
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(32, at);
    const end = content.indexOf(0, space);
    if (space < 0 || end < 0 || end + 21 > content.length) throw corrupt('a tree is cut off');
    // Some old tools wrote folders as 040000.
    const mode = content.toString('latin1', at, space).replace(/^0+/, '');
    entries.push({
      mode,
      name: content.toString('utf8', space + 1, end),
      oid: content.toString('hex', end + 1, end + 21),
    });
    at = end + 21;
  }
  return entries;
}

/** Writes a tree; Git sorts names as bytes, folders as if they ended with a slash. */
export function formatTree(entries: Iterable<TreeEntry>): Buffer {
  const lines = [...entries].map((entry) => ({
    key: Buffer.from(entry.mode === folderMode ? `${entry.name}/` : entry.name),
    line: Buffer.concat([Buffer.from(`${entry.mode} ${entry.name}\0`), Buffer.from(entry.oid, 'hex')]),
  }));
  lines.sort((left, right) => Buffer.compare(left.key, right.key));
  return Buffer.concat(lines.map(({ line }) => line));
}

/** Parses the content of a commit object. */
export function parseCommit(content: Buffer): CommitRecord {
  const text = content.toString('utf8');
  const blank = text.indexOf('\n\n');
  const head = blank < 0 ? text : text.slice(0, blank);
  let tree = '';
  const parents: string[] = [];
  let committedAt = 0;
  for (const line of head.split('\n')) {
    if (line.startsWith('tree ')) tree = line.slice(5);
    else if (line.startsWith('parent ')) parents.push(line.slice(7));
    else if (line.startsWith('committer ')) committedAt = Number(/ (\d+) [-+]\d{4}$/.exec(line)?.[1] ?? 0) * 1000;
  }
  if (tree === '') throw corrupt('a commit names no tree');
  return { tree, parents, committedAt, message: blank < 0 ? '' : text.slice(blank + 2) };
}

export function readCommit(packs: Packs, oid: string): CommitRecord {
  const { type, content } = packs.read(oid);
  if (type !== 'commit') throw corrupt(`${oid} is a ${type}, not a commit`);
  return parseCommit(content);
}

export function readTree(packs: Packs, oid: string): TreeEntry[] {
  const { type, content } = packs.read(oid);
  if (type !== 'tree') throw corrupt(`${oid} is a ${type}, not a tree`);
  return parseTree(content);
}
