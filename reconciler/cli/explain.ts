// `oakum explain CODE`: what a reason means and what to do about it, from the program itself, without a network.
import type { Command } from 'commander';
import { readReasonPage } from '../adapters/assets.ts';
import { isReason, reasonParts, reasons, type Reason } from '../model/reason.ts';
import { listReasons, pageText, reasonText } from '../report/explain.ts';
import { UsageError } from './settings.ts';

/** Adds the verb. */
export function registerExplain(program: Command): void {
  program
    .command('explain')
    .argument('[reason]', 'the word, like DrainTimeout (default: list them all)')
    .description('say what a reason means, what Oakum does meanwhile, and what you can do')
    .action((word: string | undefined) => {
      if (word === undefined) return void process.stdout.write(listReasons(reasonParts));
      const reason = find(word);
      const page = readReasonPage(reason);
      process.stdout.write(page === undefined ? reasonText(reason, reasons[reason]) : pageText(page));
    });
}

/** The reason of this spelling; upper and lower case do not matter. Throws UsageError with what is near. */
function find(word: string): Reason {
  const known = Object.keys(reasons).filter(isReason);
  const low = word.toLowerCase();
  const same = known.find((one) => one.toLowerCase() === low);
  if (same !== undefined) return same;
  const near = known.filter((one) => one.toLowerCase().includes(low));
  throw new UsageError(
    `there is no reason "${word}"; ${near.length > 0 ? `did you mean ${near.join(', ')}?` : '`oakum explain` lists them'}`,
  );
}
