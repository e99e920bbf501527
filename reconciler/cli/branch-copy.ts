// What the status branch holds, as far as this process knows: bytes of its own files, and documents of everybody.
import type { StatusDocument } from '../model/status.ts';
import type { Clock, Git } from '../ports.ts';
import { clusterFolder } from '../report/files.ts';
import { readStatusDocument } from '../report/read-status.ts';

/** A copy that may be old: files are compared with it to send less, never to decide. */
export class BranchCopy {
  private readonly git: Pick<Git, 'readStatus'>;
  private readonly clock: Clock;
  private readonly files = new Map<string, string>();
  /** Documents by cluster; undefined where the text is not one that this version can read. */
  private readonly documents = new Map<string, StatusDocument | undefined>();
  private lastRead = Number.NEGATIVE_INFINITY;
  private complete = false;

  constructor(git: Pick<Git, 'readStatus'>, clock: Clock) {
    this.git = git;
    this.clock = clock;
  }

  /** When the branch was last looked at, milliseconds since the epoch. */
  readAt(): number {
    return this.lastRead;
  }

  /** True once the branch was read: before that, it is not known which archives are there. */
  wasRead(): boolean {
    return this.complete;
  }

  /** Looks at the branch below these folders; what this process has sent itself is not replaced. Throws AdapterError. */
  async read(folders: readonly string[]): Promise<void> {
    this.lastRead = this.clock.now();
    for (const folder of folders) {
      const { files } = await this.git.readStatus(folder);
      for (const [path, text] of files) {
        const cluster = /^clusters\/([^/]+)\/status\.yaml$/.exec(path)?.[1];
        if (cluster !== undefined) this.documents.set(cluster, readStatusDocument(text));
        if (!this.complete && !this.files.has(path)) this.files.set(path, text);
      }
    }
    this.complete = true;
  }

  /** True when the branch has these bytes already. */
  has(path: string, text: string): boolean {
    return this.files.get(path) === text;
  }

  /** Paths below a folder. */
  paths(folder: string): string[] {
    return [...this.files.keys()].filter((path) => path.startsWith(folder));
  }

  /** Notes what a push has brought there. */
  note(files: ReadonlyMap<string, string | undefined>): void {
    for (const [path, text] of files) {
      if (text === undefined) this.files.delete(path);
      else this.files.set(path, text);
    }
  }

  /** Somebody else writes this cluster's pages now: what was sent from here says nothing about them any more. */
  forget(cluster: string): void {
    const folder = clusterFolder(cluster);
    for (const path of this.paths(folder)) if (!path.startsWith(`${folder}runs/`)) this.files.delete(path);
  }

  /** Pages may not be what was sent: all but archives of runs, which this process may not be able to write again. */
  forgetPages(): void {
    for (const path of [...this.files.keys()]) if (!/^clusters\/[^/]+\/runs\//.test(path)) this.files.delete(path);
  }

  /** A cluster's document as the branch had it. */
  document(cluster: string): StatusDocument | undefined {
    return this.documents.get(cluster);
  }

  /** Every cluster of the branch with its document. */
  clusters(): ReadonlyMap<string, StatusDocument | undefined> {
    return this.documents;
  }
}
