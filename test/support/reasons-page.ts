// What the docs say of every reason: the table in docs/troubleshooting.md, and the head of each page in docs/reasons/.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { reasonParts, reasons, type Reason, type ReasonText } from '../../reconciler/model/reason.ts';

const folder = new URL('../../docs/reasons/', import.meta.url);

/** Every reason with what it means and a link to its page, as Markdown. */
export function reasonsPage(): string {
  const lines: string[] = [];
  for (const { title, reasons: part } of reasonParts) {
    lines.push(`### ${title}`, '', '| reason | what it says |', '| --- | --- |');
    for (const [reason, { about }] of Object.entries<ReasonText>(part))
      lines.push(`| [${reason}](reasons/${reason}.md) | ${about.replaceAll('|', '\\|')} |`);
    lines.push('');
  }
  return lines.join('\n').trim();
}

/** The generated head of a reason's page. */
export function reasonHead(reason: Reason): string {
  const { about, wayOut } = reasons[reason];
  return `${about}\n\n**Way out:** ${wayOut}`;
}

/** Begins the page of every reason that has none: the head is drawn into it, the rest is for a person to write. */
export function beginPages(codes: readonly Reason[]): void {
  mkdirSync(folder, { recursive: true });
  for (const code of codes) {
    const page = new URL(`${code}.md`, folder);
    if (!existsSync(page)) writeFileSync(page, `# ${code}\n\n<!-- reason: begin -->\n\n<!-- reason: end -->\n`);
  }
}
