// What a reason means, for the terminal: the list of all, and one page without its Markdown.
import type { Reason, ReasonText } from '../model/reason.ts';

/** All reasons by topic, a line for each. Ends with a newline. */
export function listReasons(
  parts: readonly { readonly title: string; readonly reasons: Readonly<Record<string, ReasonText>> }[],
): string {
  const width = Math.max(...parts.flatMap((part) => Object.keys(part.reasons).map((reason) => reason.length)));
  return parts
    .map(({ title, reasons }) =>
      [title, ...Object.entries(reasons).map(([reason, { about }]) => `  ${reason.padEnd(width)}  ${about}`), ''].join(
        '\n',
      ),
    )
    .join('\n');
}

/** One reason where its page is not at hand. Ends with a newline. */
export function reasonText(reason: Reason, { about, wayOut }: ReasonText): string {
  return `${reason}\n\n${about}\n\nWay out: ${wayOut}\n\nMore: docs/reasons/${reason}.md\n`;
}

/** A page of docs/reasons/ as it is read in a terminal: no comments, no emphasis, links as paths. Code stays as it is. Ends with a newline. */
export function pageText(page: string): string {
  let code = false;
  const lines = page
    .replaceAll(/<!--[\s\S]*?-->\n*/g, '')
    .split('\n')
    .flatMap((line) => {
      if (line.startsWith('```')) {
        code = !code;
        return [];
      }
      return [code ? `    ${line}`.trimEnd() : plainLine(line)];
    });
  return `${lines.join('\n').trim()}\n`;
}

function plainLine(line: string): string {
  return line
    .replace(/^#+ /, '')
    .replaceAll(/\*\*(.+?)\*\*/g, '$1')
    .replaceAll(/\[([^\]]+)\]\(([^)]+)\)/g, (_all, text: string, target: string) => {
      const reason = /^(\w+)\.md$/.exec(target)?.[1];
      return reason === undefined ? `${text} (${target.replace(/^\.\.\//, 'docs/')})` : text;
    });
}
