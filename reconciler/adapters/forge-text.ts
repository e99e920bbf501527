// Texts within the limits of a forge.

/** A text of at most `limit` characters; what was cut off leaves an ellipsis. A character of two code units is never cut in half. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const cut = text.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, '');
  return `${cut}…`;
}
