// The list of reasons for docs/troubleshooting.md, drawn from the table that the program itself uses.
import { reasons } from '../../reconciler/model/reason.ts';

/** The first reason of each group, in the order of the table. */
const groups: Readonly<Record<string, string>> = {
  ConfigInvalid: 'It waits',
  Due: 'It is going on',
  Patched: 'It ended well',
  Excluded: 'It was not done',
  UnsupportedOS: 'Something is wrong with a node',
};

/** Every reason with what it means and what a person can do, as Markdown. */
export function reasonsPage(): string {
  const lines: string[] = [];
  for (const [reason, { about, wayOut }] of Object.entries(reasons)) {
    const group = groups[reason];
    if (group !== undefined) lines.push(`## ${group}`, '');
    lines.push(`### ${reason}`, '', about, '', `**Way out:** ${wayOut}`, '');
  }
  for (const first of Object.keys(groups))
    if (!Object.hasOwn(reasons, first))
      throw new Error(`there is no reason ${first} any more: name the group by another`);
  return lines.join('\n').trim();
}
