// One bare repository on disk: a cache of one branch of one remote, shallow, thrown away whenever it grows or is in doubt.
import fs from 'node:fs';
import path from 'node:path';
import { addRemote, fetch, init } from 'isomorphic-git';
import { AdapterError } from '../model/failure.ts';
import { corrupt } from './git-failure.ts';
import type { GitTransport } from './git-http.ts';
import { storePack, writeWhole } from './git-pack-write.ts';
import { Packs } from './git-packs.ts';

/** When a cache is thrown away. */
export interface StoreLimits {
  readonly maxPacks: number;
  readonly maxBytes: number;
}

/** How much history to fetch: nothing said means "all that is new". */
export interface FetchDepth {
  readonly depth?: number;
  /** Count from where the history ends now, not from the tip. */
  readonly relative?: boolean;
}

const tipPattern = /^[0-9a-f]{40}$/;

export class GitStore {
  readonly #gitdir: string;
  readonly #transport: GitTransport;
  readonly #limits: StoreLimits;
  #packs: Packs | undefined;
  /** Where isomorphic-git keeps indexes it has parsed; it must not outlive the folder. */
  #libraryCache: object = {};

  constructor(gitdir: string, transport: GitTransport, limits: StoreLimits) {
    this.#gitdir = gitdir;
    this.#transport = transport;
    this.#limits = limits;
  }

  get packs(): Packs {
    this.#packs ??= new Packs(this.#gitdir);
    return this.#packs;
  }

  /** Makes the folder ready. One that a killed process left in the middle of a write is not trusted. */
  async open(): Promise<void> {
    if (fs.existsSync(this.#marker) || !fs.existsSync(path.join(this.#gitdir, 'HEAD'))) this.discard();
    if (!fs.existsSync(this.#gitdir)) {
      fs.mkdirSync(this.#gitdir, { recursive: true, mode: 0o700 });
      fs.writeFileSync(this.#marker, '');
      await init({ fs, gitdir: this.#gitdir, bare: true });
      await addRemote({ fs, gitdir: this.#gitdir, remote: 'origin', url: this.#transport.url });
      fs.rmSync(this.#marker, { force: true });
    }
  }

  /** Throws the cache away. */
  discard(): void {
    this.close();
    fs.rmSync(this.#gitdir, { recursive: true, force: true });
  }

  close(): void {
    this.#packs?.close();
    this.#packs = undefined;
    this.#libraryCache = {};
  }

  /** Whether it has grown past its limits: isomorphic-git never repacks, so a new shallow clone is the way to be small again. */
  grown(): boolean {
    if (!fs.existsSync(this.#gitdir)) return false;
    const { packs, bytes } = this.packs.extent;
    return packs > this.#limits.maxPacks || bytes > this.#limits.maxBytes;
  }

  /** The commit that the cache holds whole, as the tip of a branch. */
  tip(branch: string): string | undefined {
    try {
      const oid = fs.readFileSync(path.join(this.#gitdir, 'refs', 'heads', branch), 'utf8').trim();
      return tipPattern.test(oid) && this.packs.has(oid) ? oid : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Fetches a branch and tells its tip. Without a depth only what is new is sent; with one the server sends whole snapshots, so it is
   * for the first clone and for deepening only.
   */
  async fetch(branch: string, depth: FetchDepth = {}): Promise<string> {
    await this.open();
    const shallowFile = path.join(this.#gitdir, 'shallow');
    const shallow = fs.existsSync(shallowFile) ? fs.readFileSync(shallowFile) : undefined;
    const first = this.tip(branch) === undefined && this.packs.extent.packs === 0;
    fs.writeFileSync(this.#marker, '');
    try {
      const { fetchHead } = await fetch({
        fs,
        http: this.#transport,
        gitdir: this.#gitdir,
        cache: this.#libraryCache,
        url: this.#transport.url,
        remote: 'origin',
        ref: `refs/heads/${branch}`,
        remoteRef: `refs/heads/${branch}`,
        singleBranch: true,
        tags: false,
        ...(first && depth.depth === undefined ? { depth: 1 } : depth),
      });
      this.packs.reload();
      if (fetchHead === null || !this.packs.has(fetchHead)) throw corrupt('the server sent a pack without the tip');
      this.#writeTip(branch, fetchHead);
      fs.rmSync(this.#marker, { force: true });
      return fetchHead;
    } catch (error) {
      if (first || !(error instanceof AdapterError)) this.discard();
      else {
        // The library notes new shallow commits before it has them: put the note back as it was.
        if (shallow === undefined) fs.rmSync(shallowFile, { force: true });
        else writeWhole(shallowFile, shallow);
        fs.rmSync(this.#marker, { force: true });
      }
      throw error;
    }
  }

  /** Keeps what was pushed, so that it need not be fetched. */
  keep(branch: string, tip: string, built: { readonly pack: Buffer; readonly index: Buffer }): void {
    storePack(this.#gitdir, built);
    this.packs.reload();
    this.#writeTip(branch, tip);
  }

  get #marker(): string {
    return path.join(this.#gitdir, 'oakum-busy');
  }

  #writeTip(branch: string, oid: string): void {
    writeWhole(path.join(this.#gitdir, 'refs', 'heads', branch), `${oid}\n`);
  }
}
