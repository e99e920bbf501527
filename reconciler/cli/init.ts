// oakum init: writes a starter config repository that is valid and says what to change.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { readSchemaFiles } from '../adapters/assets.ts';
import { namePattern } from '../desired/layout.ts';

/** Adds `oakum init DIR`. Exit code 1 when a file is there already or cannot be written, 2 when the name is none. */
export function registerInit(program: Command): void {
  program
    .command('init')
    .summary('write a starter config repository')
    .description(
      'Writes a small config repository with one cluster, and in schemas/ what editors need to check its files. Files of yours that are there already are never overwritten.',
    )
    .argument('<dir>', 'the folder; made if it is not there')
    .addOption(new Option('--cluster <name>', 'name of the first cluster').default('prod'))
    .option('--schemas', 'write only the schemas for editors, and write them anew: after an upgrade of oakum')
    .action((dir: string, { cluster, schemas }: { readonly cluster: string; readonly schemas?: boolean }) => {
      if (!namePattern.test(cluster)) {
        process.stderr.write(
          `"${cluster}" cannot be a cluster's name; use lower-case letters, digits and dashes, at most 63\n`,
        );
        process.exitCode = 2;
        return;
      }
      const forEditors = new Map([...readSchemaFiles()].map(([name, text]) => [`schemas/${name}`, text]));
      const files = schemas ? new Map<string, string>() : starterFiles(cluster);
      const present = [...files.keys()].filter((path) => existsSync(join(dir, path)));
      if (present.length > 0) {
        process.stderr.write(`${dir} has ${present.join(' and ')} already; nothing was written\n`);
        process.exitCode = 1;
        return;
      }
      try {
        for (const [path, text] of [...forEditors, ...files]) {
          mkdirSync(dirname(join(dir, path)), { recursive: true });
          // `wx`: a file that appears in the meantime is not overwritten either.
          writeFileSync(join(dir, path), text, { flag: files.has(path) ? 'wx' : 'w' });
        }
      } catch (error) {
        process.stderr.write(
          `${dir} cannot be written: ${error instanceof Error ? error.message : 'unknown reason'}\n`,
        );
        process.exitCode = 1;
        return;
      }
      const wrote = [...files.keys(), `schemas/ (${forEditors.size} schemas for editors)`];
      const next = schemas ? `commit what has changed.` : `oakum validate ${dir}, then commit and push it.`;
      process.stdout.write(`${wrote.map((what) => `wrote ${what}\n`).join('')}\nNext: ${next}\n`);
    });
}

/** The files of a starter repository by path. They validate as they are. */
export function starterFiles(cluster: string): ReadonlyMap<string, string> {
  const schema = (name: string, up = ''): string =>
    `# yaml-language-server: $schema=${up}schemas/${name}.schema.json\n`;
  return new Map([
    ['README.md', readme(cluster)],
    [
      'oakum.yaml',
      `${schema('fleet', './')}apiVersion: oakum.dev/v1alpha1
kind: Fleet
metadata:
  name: fleet
`,
    ],
    [
      `clusters/${cluster}/policy.yaml`,
      `${schema('patch-policy', '../../')}apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata:
  name: ${cluster}
spec:
  # Security updates on the 1st of every month, one node at a time, rebooted only if an update asks for it.
  schedule:
    preset: monthly # weekly, biweekly, monthly, bimonthly, or cron: "0 2 * * 2#2"
    timeZone: UTC # for example Europe/Berlin
  windows:
    # Nodes are touched only while a window is open. A run that does not finish goes on in the next one.
    - start: "00:00"
      duration: 6h
`,
    ],
  ]);
}

function readme(cluster: string): string {
  return `# Node patching

Oakum keeps the operating systems of our Kubernetes nodes patched. It reads this repository and writes what it did to the branch
\`oakum/status\`.

- \`oakum.yaml\`: settings for all clusters.
- \`clusters/${cluster}/policy.yaml\`: what the nodes of this cluster get, and when.
- \`clusters/<cluster>/policy.yaml\`: add another cluster by adding its folder. The folder's name is the cluster's name.
- \`policies/<policy>.yaml\`: a policy that several clusters share; a cluster's policy says \`extends: <policy>\`.

- \`schemas/\`: for editors only. With a YAML language server (in VS Code the extension \`redhat.vscode-yaml\`) the first line of a file
  makes the editor explain its fields and mark what is wrong. After an upgrade of oakum: \`oakum init --schemas .\`

Check a change before you commit it: \`oakum validate .\`

## Patch now

Commit a file \`clusters/${cluster}/requests/<name>.yaml\`. It acts once; to ask again, commit another file under another name.

\`\`\`yaml
apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata:
  name: fix-openssl
spec:
  reason: security fix in openssl
\`\`\`

## Stop

Commit a file with the name \`FREEZE\` (any content, even none): in the root of this repository for all clusters, in a cluster's
folder for that cluster. No new node is started and no node is rebooted until the file is removed.
`;
}
