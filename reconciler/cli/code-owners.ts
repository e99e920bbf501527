// CODEOWNERS of a commit: finds the file where the forge looks for it, and says what it demands for some paths.
import { ownerFiles, ownersOf, type OwnerDemand } from '../model/code-owners.ts';
import type { ForgeKind } from '../model/approval.ts';
import type { ConfigSnapshot } from '../ports.ts';

/** What CODEOWNERS in a snapshot demands. Where owners are demanded, a file that is not there is a doubt: somebody may have moved it. */
export function demandOf(
  snapshot: Pick<ConfigSnapshot, 'files'>,
  forge: ForgeKind,
  paths: readonly string[],
): OwnerDemand {
  if (forge === 'gitea')
    return {
      kind: 'unclear',
      message:
        'approval.codeOwners is on, and CODEOWNERS of Gitea and Forgejo (regular expressions) is not read by Oakum',
    };
  const syntax = forge === 'gitlab' ? 'gitlab' : 'github';
  const file = ownerFiles[syntax].map((path) => snapshot.files.get(path)).find((found) => found !== undefined);
  if (!file)
    return {
      kind: 'unclear',
      message: `approval.codeOwners is on, and the accepted commit has none of ${ownerFiles[syntax].join(', ')}`,
    };
  if (file.kind !== 'file')
    return { kind: 'unclear', message: `${file.path} is no text of at most 256 KiB, so its owners are not known` };
  const demand = ownersOf(file.text, syntax, paths);
  return demand.kind === 'unclear' ? { kind: 'unclear', message: `${file.path}: ${demand.message}` } : demand;
}
