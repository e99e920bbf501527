// `oakum why NODE`: why a node is where it is, what comes next, and what a person can do.
import type { Command } from 'commander';
import { whyText } from '../report/text.ts';
import { addGitFlags, type GitFlags, UsageError } from './settings.ts';
import { readDocuments } from './status.ts';

/** Adds the verb. */
export function registerWhy(program: Command): void {
  const why = program
    .command('why <node>')
    .description('say why a node is where it is, what comes next and when, and what you can do');
  addGitFlags(why)
    .option('--cluster <name>', 'the cluster of the node, if several have one of this name')
    .action(async (name: string, flags: GitFlags & { readonly cluster?: string }) => {
      const docs = await readDocuments(flags, flags.cluster);
      const found = docs.flatMap((doc) =>
        doc.nodes.filter((node) => node.name === name).map((node) => ({ doc, node })),
      );
      if (found.length === 0)
        throw new UsageError(
          `no cluster of the status branch has a node "${name}"; \`oakum status --cluster NAME\` lists nodes`,
        );
      process.stdout.write(found.map(({ doc, node }) => whyText(doc.cluster, node, doc.observedCommit)).join('\n'));
    });
}
