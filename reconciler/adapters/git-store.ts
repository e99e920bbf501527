// One bare repository on disk: a cache of one branch of one remote, shallow, thrown away whenever it grows or is in doubt.
import fs from 'node:fs';
import path from 'node:path';
import { indexPack, init } from 'isomorphic-git';
import { download, packedObjects } from './git-download.ts';
import { corrupt } from './git-failure.ts';
import type { GitTransport } from './git-http.ts';
import { storePack, writeWhole } from './git-pack-write.ts';
import { Packs } from './git-packs.ts';

/** When a cache is thrown away. */
export interface StoreLimits {
  readonly maxPacks: number;
  readonly maxBytes: number;
}

const tipPattern = /^[0-9a-f]{40}$/;

export class GitStore {
  readonly #gitdir: string;
  readonly #transport: GitTransport;
  readonly #limits: StoreLimits;
  #packs: Packs | undefined;

  constructor(gitdir: string, transport: GitTransport, limits: StoreLimits) {
    this.#gitdir = gitdir;
    this.#transport = transport;
    this.#limits = limits;
  }

  get packs(): Packs {
    this.#packs ??= new Packs(this.#gitdir);
    return this.#packs;
  }

  /** Whether the cache holds a commit (or any other object) and may be trusted. */
  has(oid: string): boolean {
    return !fs.existsSync(this.#marker) && fs.existsSync(this.#gitdir) && this.packs.has(oid);
  }

  /** Makes the folder ready. One that a killed process left in the middle of a write is not trusted. */
  async open(): Promise<void> {
    if (fs.existsSync(this.#marker) || !fs.existsSync(path.join(this.#gitdir, 'HEAD'))) this.discard();
    if (fs.existsSync(this.#gitdir)) return;
    fs.mkdirSync(this.#gitdir, { recursive: true, mode: 0o700 });
    await this.#marked(() => init({ fs, gitdir: this.#gitdir, bare: true }));
  }

  /** Throws the cache away. */
  discard(): void {
    this.close();
    fs.rmSync(this.#gitdir, { recursive: true, force: true });
  }

  close(): void {
    this.#packs?.close();
    this.#packs = undefined;
  }

  /** Whether it has grown past its limits: nothing here repacks, so a new shallow clone is the way to be small again. */
  grown(): boolean {
    if (!fs.existsSync(this.#gitdir)) return false;
    const { packs, bytes } = this.packs.extent;
    return packs > this.#limits.maxPacks || bytes > this.#limits.maxBytes;
  }

  /** The commit that the cache holds whole, as the tip of a branch. */
  tip(branch: string): string | undefined {
    if (fs.existsSync(this.#marker)) return undefined;
    try {
      const oid = fs.readFileSync(path.join(this.#gitdir, 'refs', 'heads', branch), 'utf8').trim();
      return tipPattern.test(oid) && this.packs.has(oid) ? oid : undefined;
    } catch {
      return undefined;
    }
  }

  /**
   * Fetches the commit `want`, which was just seen as the tip of a branch. Without a depth only what is new is sent (a first clone gets
   * one commit); with one the server sends whole snapshots, so it is for deepening only.
   */
  async fetch(branch: string, want: string, depth?: number): Promise<void> {
    const have = this.tip(branch);
    await this.#bring(want, have, depth ?? (have === undefined ? 1 : undefined), false, () =>
      this.#writeTip(branch, want),
    );
  }

  /**
   * Fetches one commit that is no tip of a branch of ours: itself whole, nothing of its history. What the branch has already is not sent
   * again.
   */
  async fetchBeside(branch: string, want: string): Promise<void> {
    await this.#bring(want, this.tip(branch), 1, true, () => undefined);
  }

  async #bring(
    want: string,
    have: string | undefined,
    depth: number | undefined,
    thin: boolean,
    then: () => void,
  ): Promise<void> {
    await this.open();
    const came = await download(this.#transport, { want, have, shallow: this.#readShallow(), depth, thin });
    await this.#marked(async () => {
      if (packedObjects(came.pack) > 0) {
        const name = `objects/pack/pack-${came.pack.subarray(-20).toString('hex')}.pack`;
        writeWhole(path.join(this.#gitdir, name), came.pack);
        await indexPack({ fs, dir: this.#gitdir, gitdir: this.#gitdir, filepath: name });
      }
      this.packs.reload();
      if (!this.packs.has(want)) throw corrupt('the server sent a pack without the tip');
      writeWhole(path.join(this.#gitdir, 'shallow'), came.shallow.map((oid) => `${oid}\n`).join(''));
      then();
    });
  }

  /** Keeps what was pushed, so that it need not be fetched. */
  keep(branch: string, tip: string, built: { readonly pack: Buffer; readonly index: Buffer }): void {
    storePack(this.#gitdir, built);
    this.packs.reload();
    this.#writeTip(branch, tip);
  }

  /** Does work that leaves the folder in doubt until it is done; when it fails, the folder goes. */
  async #marked(work: () => Promise<void>): Promise<void> {
    fs.writeFileSync(this.#marker, '');
    try {
      await work();
    } catch (error) {
      this.discard();
      throw error;
    }
    fs.rmSync(this.#marker, { force: true });
  }

  #readShallow(): string[] {
    const file = path.join(this.#gitdir, 'shallow');
    if (!fs.existsSync(file)) return [];
    return fs
      .readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => tipPattern.test(line));
  }

  get #marker(): string {
    return path.join(this.#gitdir, 'oakum-busy');
  }

  #writeTip(branch: string, oid: string): void {
    writeWhole(path.join(this.#gitdir, 'refs', 'heads', branch), `${oid}\n`);
  }
}
