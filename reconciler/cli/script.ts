// `oakum script`: prints the patch script, for a look or for use over SSH.
import type { Command } from 'commander';
import { readPatchScript } from '../adapters/assets.ts';

/** Adds the verb. */
export function registerScript(program: Command): void {
  program
    .command('script')
    .description('print the patch script: `oakum script > os-patch.sh; sudo sh os-patch.sh --reboot`')
    .action(() => void process.stdout.write(readPatchScript()));
}
