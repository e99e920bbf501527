// `oakum status`: what the status branch says, on the terminal.
import { type Command, Option } from 'commander';
import { silentLog } from '../adapters/log.ts';
import type { FleetRolloutStatus, StatusDocument } from '../model/status.ts';
import { clusterFolder, statusYaml } from '../report/files.ts';
import { readFleetRollouts, readStatusDocument } from '../report/read-status.ts';
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
      process.stdout.write(print(await readFleet(flags, flags.cluster), flags));
    });
}

/** What the status branch holds of the clusters and of the rollouts through them. */
export interface ReadFleet {
  readonly docs: readonly StatusDocument[];
  readonly rollouts: readonly FleetRolloutStatus[];
}

function print({ docs, rollouts }: ReadFleet, { cluster, output }: StatusFlags): string {
  const [only] = docs;
  const width = process.stdout.columns as number | undefined;
  if (output === 'json') return `${JSON.stringify(cluster === undefined ? docs : only, null, 2)}\n`;
  if (output === 'yaml') return docs.map(statusYaml).join('---\n');
  return cluster !== undefined && only ? clusterText(only, width) : fleetText(docs, rollouts, width);
}

/** Documents as `readDocuments` has them. */
export async function readDocuments(given: GitFlags, cluster: string | undefined): Promise<readonly StatusDocument[]> {
  return (await readFleet(given, cluster)).docs;
}

/**
 * Documents of all clusters, or of one, from the remote's status branch as it is now, sorted by name; and of all clusters also the rollouts,
 * as the fleet's page has them (where nobody writes one: none). A cluster that is not there is a UsageError; a document that cannot be
 * read is said, never passed over.
 */
export async function readFleet(given: GitFlags, cluster: string | undefined): Promise<ReadFleet> {
  const { flags, forget } = withOwnCache(given);
  const { openGitFrom } = await import('./parts.ts');
  const git = openGitFrom(flags, silentLog, 'all');
  const unreadable = (path: string): UsageError =>
    new UsageError(`${path} cannot be read by this version of oakum; it was written by another one`);
  try {
    const { files } = await git.readStatus(cluster === undefined ? '' : clusterFolder(cluster));
    const found = [...files].filter(([path]) => /^clusters\/[^/]+\/status\.yaml$/.test(path));
    if (cluster !== undefined && found.length === 0)
      throw new UsageError(
        `${flags.statusBranch} has no status of cluster "${cluster}"; \`oakum status\` lists those it has`,
      );
    const docs = found
      .map(([path, text]) => {
        const doc = readStatusDocument(text);
        if (!doc) throw unreadable(path);
        return doc;
      })
      .sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
    const fleet = files.get('fleet.yaml');
    const rollouts = fleet === undefined ? [] : readFleetRollouts(fleet);
    if (!rollouts) throw unreadable('fleet.yaml');
    return { docs, rollouts };
  } finally {
    await git.close();
    forget();
  }
}
