// The writing side: commits on the status branch, built from trees without a work tree and pushed until they are there.
import crypto from 'node:crypto';
import { AdapterError } from '../model/failure.ts';
import { diffTrees } from './git-diff.ts';
import type { GitTransport, Scope } from './git-http.ts';
import { stopped } from './git-failure.ts';
import { buildPack, collectObjects, type NewObjects } from './git-pack-write.ts';
import type { Packs } from './git-packs.ts';
import { withFreshCache } from './git-reading.ts';
import { push } from './git-push.ts';
import { probe, pushTip } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { folderMode, formatTree, readCommit, readTree, type TreeEntry } from './git-trees.ts';

/** Files to write; `undefined` removes one. */
export type StatusFiles = ReadonlyMap<string, string | undefined>;

export interface StatusWriter {
  publish(files: StatusFiles, message: string): Promise<{ commit: string; changed: boolean; attempts: number }>;
  read(prefix: string): Promise<{ commit: string | undefined; files: ReadonlyMap<string, string> }>;
}

export interface StatusSettings {
  readonly branch: string;
  readonly author: { readonly name: string; readonly email: string };
  /** First pause after a refused push, in milliseconds. */
  readonly backoffMs: number;
}

const mostAttempts = 10;
const longestPauseMs = 30_000;
/** How far back a push is looked for whose answer got lost. */
const lookBack = 200;

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
interface FolderChange {
  readonly files: Map<string, string | undefined>;
  readonly folders: Map<string, FolderChange>;
}

function plant(files: StatusFiles): FolderChange {
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
function grow(
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

/** Adds a trailer (git-interpret-trailers(1)) to a message, in the paragraph of trailers if there is one. */
function withTrailer(message: string, trailer: string): string {
  const text = message.trimEnd();
  const last = text.slice(text.lastIndexOf('\n\n') + 1).trim();
  const hasTrailers = text.includes('\n\n') && last.split('\n').every((line) => /^[A-Za-z][A-Za-z0-9-]*: /.test(line));
  return `${text}${hasTrailers ? '\n' : '\n\n'}${trailer}\n`;
}

function commitText(
  tree: string,
  parent: string | undefined,
  author: StatusSettings['author'],
  message: string,
): Buffer {
  const clean = (text: string): string => text.replace(/[<>\n\r\0]/g, '').trim();
  const who = `${clean(author.name)} <${clean(author.email)}> ${Math.floor(Date.now() / 1000)} +0000`;
  const lines = [
    `tree ${tree}`,
    ...(parent === undefined ? [] : [`parent ${parent}`]),
    `author ${who}`,
    `committer ${who}`,
  ];
  return Buffer.from(`${lines.join('\n')}\n\n${message}`);
}

export function openStatus(
  store: GitStore,
  transport: GitTransport,
  settings: StatusSettings,
  scope: Scope,
): StatusWriter {
  const { branch, author } = settings;

  /** Makes sure that the cache has the tip as it is now, whole; `known` is where it was a moment ago. */
  async function have(known: string): Promise<string> {
    if (store.grown()) store.discard();
    if (store.tip(branch) === known) return known;
    const now = (await probe(transport, branch))?.oid ?? known;
    if (store.tip(branch) !== now) await store.fetch(branch, now);
    return now;
  }

  async function pause(attempt: number): Promise<void> {
    const longest = Math.min(settings.backoffMs * 2 ** attempt, longestPauseMs);
    // Jitter: writers that were refused together must not come back together.
    const milliseconds = longest * (0.5 + Math.random() / 2);
    await new Promise<void>((resolve, reject) => {
      const { signal } = scope;
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(stopped(signal, transport.shown));
      };
      const timer = setTimeout(() => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      }, milliseconds);
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** The commit of this batch among the newest of the branch: a push whose answer got lost may have arrived. */
  function findBatch(tip: string, trailer: string): string | undefined {
    let oid: string | undefined = tip;
    for (let steps = 0; steps < lookBack && oid !== undefined && store.packs.has(oid); steps++) {
      const { message, parents } = readCommit(store.packs, oid);
      if (message.split('\n').includes(trailer)) return oid;
      oid = parents[0];
    }
    return undefined;
  }

  async function publish(files: StatusFiles, message: string) {
    const change = plant(files);
    const trailer = `Batch-Id: ${crypto.randomUUID()}`;
    let uncertain = false;
    let lastRefusal = '';
    for (let attempts = 0; ;) {
      const advertised = await pushTip(transport, branch);
      const tip = advertised === undefined ? undefined : await have(advertised);
      if (tip !== undefined && uncertain) {
        const arrived = findBatch(tip, trailer);
        if (arrived !== undefined) return { commit: arrived, changed: true, attempts };
      }
      await store.open();
      const fresh = collectObjects();
      const old = tip === undefined ? undefined : readCommit(store.packs, tip).tree;
      const grown = grow(store.packs, old, change, fresh);
      if (grown === old) return { commit: tip ?? '', changed: false, attempts };
      const tree = grown ?? fresh.add('tree', Buffer.alloc(0));
      if (tree === old) return { commit: tip ?? '', changed: false, attempts };
      const commit = fresh.add('commit', commitText(tree, tip, author, withTrailer(message, trailer)));
      const built = buildPack(fresh.objects);
      attempts++;
      try {
        const outcome = await push(transport, branch, tip, commit, built.pack);
        if (outcome.kind === 'accepted') {
          store.keep(branch, commit, built);
          return { commit, changed: true, attempts };
        }
        lastRefusal = outcome.said;
      } catch (error) {
        if (!(error instanceof AdapterError) || error.kind !== 'transient' || scope.signal.aborted) throw error;
        uncertain = true;
        lastRefusal = error.message;
        if (attempts >= mostAttempts) throw error;
      }
      if (attempts >= mostAttempts)
        throw new AdapterError(
          'conflict',
          'GitPushRaceLost',
          `${transport.shown}: others moved "${branch}" during each of ${attempts} pushes (${lastRefusal}). The same files are written again later.`,
        );
      await pause(attempts - 1);
    }
  }

  async function read(prefix: string) {
    const tip = await probe(transport, branch).catch((error: unknown) => {
      if (error instanceof AdapterError && error.code === 'GitBranchMissing') return undefined;
      throw error;
    });
    if (tip === undefined) return { commit: undefined, files: new Map<string, string>() };
    const commit = await have(tip.oid);
    const wanted = prefix === '' ? 'all' : [prefix.endsWith('/') ? prefix : `${prefix}/`, prefix];
    const { written } = diffTrees(store.packs, undefined, readCommit(store.packs, commit).tree, wanted);
    const files = written.flatMap(({ path, kind, text }): [string, string][] =>
      kind === 'file' ? [[path, text]] : [],
    );
    return { commit, files: new Map(files) };
  }

  return {
    publish: (files, message) => withFreshCache(store, () => publish(files, message)),
    read: (prefix) => withFreshCache(store, () => read(prefix)),
  };
}
