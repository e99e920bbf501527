// The keys that count for a cluster's approvals: of the commit that it accepted last, or of the deployment.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { signersFolder } from '../adapters/signers.ts';
import type { ConfigSnapshot, ReviewGit } from '../ports.ts';
import { readFlagFile, UsageError } from './settings.ts';

/** Texts of the files of `signers/`, by path from the repository's root. */
export type SignerFiles = ReadonlyMap<string, string>;

const noFiles: SignerFiles = new Map();

/**
 * The keys that count. Those of the deployment, where it has any: then nothing that is committed changes them. Else those of the commit that was accepted last, never those of
 * a newer one, which whoever wants to be believed could have written. Before any commit was accepted: nobody's. Throws what the Git port throws.
 */
export function acceptedSigners(
  git: Pick<ReviewGit, 'readAt'>,
  accepted: () => Promise<string | undefined>,
  deployed: SignerFiles | undefined,
): () => Promise<SignerFiles> {
  return async () => {
    if (deployed !== undefined) return deployed;
    const commit = await accepted();
    return commit === undefined ? noFiles : signersIn(await git.readAt({ commit }));
  };
}

/** The folder `signers/` of a snapshot; links and the like are no keys. */
export function signersIn(snapshot: Pick<ConfigSnapshot, 'files'>): SignerFiles {
  const found = [...snapshot.files].filter(([path, { kind }]) => path.startsWith(signersFolder) && kind === 'file');
  return new Map(found.map(([path, { text }]) => [path, text]));
}

/** The keys of a folder on disk (`allowed_signers`, `*.asc`), as if it were `signers/`. Throws UsageError when it has none. */
export function deployedSigners(flag: string, folder: string): SignerFiles {
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name === 'allowed_signers' || name.endsWith('.asc'));
  } catch (error) {
    throw new UsageError(
      `--${flag}: ${folder} cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  if (names.length === 0)
    throw new UsageError(`--${flag}: ${folder} has neither allowed_signers nor a file <name>.asc`);
  return new Map(names.sort().map((name) => [`${signersFolder}${name}`, readFlagFile(flag, join(folder, name))]));
}
