// The writing side: commits on the status branch, built from trees without a work tree and pushed until they are there.
import crypto from 'node:crypto';
import { AdapterError } from '../model/failure.ts';
import { diffTrees } from './git-diff.ts';
import type { GitTransport, Scope } from './git-http.ts';
import { commitText, grow, plant, type CommitAuthor, type FileTexts } from './git-building.ts';
import { buildPack, collectObjects } from './git-pack-write.ts';
import { withFreshCache } from './git-reading.ts';
import { pauseBeforeRetry, push } from './git-push.ts';
import { probe, pushTip } from './git-remote.ts';
import type { GitStore } from './git-store.ts';
import { readCommit } from './git-trees.ts';

export interface StatusWriter {
  publish(
    files: FileTexts,
    message: string,
  ): Promise<{ commit: string; changed: boolean; attempts: number; foreign?: string }>;
  read(prefix: string): Promise<{ commit: string | undefined; files: ReadonlyMap<string, string> }>;
}

export interface StatusSettings {
  readonly branch: string;
  readonly author: CommitAuthor;
  /** First pause after a refused push, in milliseconds. */
  readonly backoffMs: number;
}

const mostAttempts = 10;
/** How far back a push is looked for whose answer got lost. */
const lookBack = 200;

/** Adds a trailer (git-interpret-trailers(1)) to a message, in the paragraph of trailers if there is one. */
function withTrailer(message: string, trailer: string): string {
  const text = message.trimEnd();
  const last = text.slice(text.lastIndexOf('\n\n') + 1).trim();
  const hasTrailers = text.includes('\n\n') && last.split('\n').every((line) => /^[A-Za-z][A-Za-z0-9-]*: /.test(line));
  return `${text}${hasTrailers ? '\n' : '\n\n'}${trailer}\n`;
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

  /** True for a commit without the trailer that every commit of ours has: somebody else writes on this branch. */
  function isForeign(commit: string): boolean {
    return !readCommit(store.packs, commit)
      .message.split('\n')
      .some((line) => line.startsWith('Batch-Id: '));
  }

  async function publish(files: FileTexts, message: string) {
    let foreign: { readonly foreign?: string } = {};
    const change = plant(files);
    const trailer = `Batch-Id: ${crypto.randomUUID()}`;
    let uncertain = false;
    let lastRefusal = '';
    for (let attempts = 0; ;) {
      const advertised = await pushTip(transport, branch);
      const tip = advertised === undefined ? undefined : await have(advertised);
      if (tip !== undefined && uncertain) {
        const arrived = findBatch(tip, trailer);
        if (arrived !== undefined) return { commit: arrived, changed: true, attempts, ...foreign };
      }
      await store.open();
      if (tip !== undefined && isForeign(tip)) foreign = { foreign: tip };
      const fresh = collectObjects();
      const old = tip === undefined ? undefined : readCommit(store.packs, tip).tree;
      const grown = grow(store.packs, old, change, fresh);
      if (grown === old) return { commit: tip ?? '', changed: false, attempts, ...foreign };
      const tree = grown ?? fresh.add('tree', Buffer.alloc(0));
      if (tree === old) return { commit: tip ?? '', changed: false, attempts, ...foreign };
      const commit = fresh.add('commit', commitText(tree, tip, author, Date.now(), withTrailer(message, trailer)));
      const built = buildPack(fresh.objects);
      attempts++;
      try {
        const outcome = await push(transport, branch, tip, commit, built.pack);
        if (outcome.kind === 'accepted') {
          store.keep(branch, commit, built);
          return { commit, changed: true, attempts, ...foreign };
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
      await pauseBeforeRetry(transport, settings.backoffMs, attempts - 1, scope.signal);
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
