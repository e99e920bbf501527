// `oakum status`: what the status branch says, on the terminal.
import { type Command, Option } from 'commander';
import { silentLog } from '../adapters/log.ts';
import type { StatusDocument } from '../model/status.ts';
import { clusterFolder, statusYaml } from '../report/files.ts';
import { readStatusDocument } from '../report/read-status.ts';
import { clusterText, fleetText } from '../report/text.ts';
import { withOwnCache } from './own-cache.ts';
import { addGitFlags, type GitFlags, UsageError } from './settings.ts';

interface StatusFlags {
  readonly cluster?: string;
  readonly output: 'text' | 'json' | 'yaml';
}

/** Adds the verb. */
export function registerStatus(program: Command): void {
  const status = program
    .command('status')
    .description('print the status that is in Git: of the fleet, or of one cluster');
  addGitFlags(status)
    .option('--cluster <name>', 'only this cluster, with its nodes')
    .addOption(
      new Option('-o, --output <form>', 'form of the output').choices(['text', 'json', 'yaml']).default('text'),
    )
    .action(async (flags: GitFlags & StatusFlags) => {
      const docs = await readDocuments(flags, flags.cluster);
      process.stdout.write(print(docs, flags));
    });
}

function print(docs: readonly StatusDocument[], { cluster, output }: StatusFlags): string {
  const [only] = docs;
  if (output === 'json') return `${JSON.stringify(cluster === undefined ? docs : only, null, 2)}\n`;
  if (output === 'yaml') return docs.map(statusYaml).join('---\n');
  return cluster !== undefined && only ? clusterText(only) : fleetText(docs);
}

/**
 * Documents of all clusters, or of one, from the remote's status branch as it is now, sorted by name. A cluster that is not there is a
 * UsageError; a document that cannot be read is said, never passed over.
 */
export async function readDocuments(given: GitFlags, cluster: string | undefined): Promise<StatusDocument[]> {
  const { flags, forget } = withOwnCache(given);
  const { openGitFrom } = await import('./parts.ts');
  const git = openGitFrom(flags, silentLog, 'all');
  try {
    const { files } = await git.readStatus(cluster === undefined ? 'clusters/' : clusterFolder(cluster));
    const found = [...files].filter(([path]) => /^clusters\/[^/]+\/status\.yaml$/.test(path));
    if (cluster !== undefined && found.length === 0)
      throw new UsageError(
        `${flags.statusBranch} has no status of cluster "${cluster}"; \`oakum status\` lists those it has`,
      );
    return found
      .map(([path, text]) => {
        const doc = readStatusDocument(text);
        if (!doc)
          throw new UsageError(`${path} cannot be read by this version of oakum; it was written by another one`);
        return doc;
      })
      .sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
  } finally {
    await git.close();
    forget();
  }
}
