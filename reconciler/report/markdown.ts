// Text and tables of Markdown, with everything from elsewhere escaped.

/** Text that shows as it is: no markup, no HTML, no table cell that ends early, no mathematics. */
export function plain(text: string): string {
  return text
    .replace(/[\\`*_[\]|~$]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replace(/[\r\n\t]+/g, ' ')
    .replace(/^(\d+)([.)])/, '$1\\$2')
    .replace(/^[#+=-]/, '\\$&');
}

/** Inline code for names and places. Nothing can be escaped inside code, so text with anything unusual is shown as plain text. */
export function code(text: string): string {
  if (text === '') return '';
  return /^[\w.:/@+=,[\]() -]+$/.test(text) ? `\`${text}\`` : plain(text);
}

/** A link to a file of the same branch; `path` is relative to the page. */
export function link(text: string, path: string): string {
  const target = path
    .split('/')
    .map((part) => encodeURIComponent(part).replaceAll('(', '%28').replaceAll(')', '%29'))
    .join('/');
  return `[${plain(text)}](${target})`;
}

/** A table; cells are Markdown already. Empty cells show a dash, so that nothing looks forgotten. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell || '–').join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Paragraphs and tables with an empty line between them and one newline at the end. */
export function page(parts: readonly (string | undefined)[]): string {
  return `${parts.filter((part) => part !== undefined && part !== '').join('\n\n')}\n`;
}
