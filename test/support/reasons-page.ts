// The list of reasons for docs/troubleshooting.md, drawn from the table that the program itself uses.
import { reasonParts, type ReasonText } from '../../reconciler/model/reason.ts';

/** Every reason with what it means and what a person can do, as Markdown. */
export function reasonsPage(): string {
  const lines: string[] = [];
  for (const { title, reasons } of reasonParts) {
    lines.push(`## ${title}`, '');
    for (const [reason, { about, wayOut }] of Object.entries<ReasonText>(reasons))
      lines.push(`### ${reason}`, '', about, '', `**Way out:** ${wayOut}`, '');
  }
  return lines.join('\n').trim();
}
