// Plain values → YAML text, the same bytes for the same value.

/** What can be written. Fields that are undefined are left out. */
export type Plain =
  string | number | boolean | null | undefined | readonly Plain[] | { readonly [field: string]: Plain };

/** Strings that every reader of YAML 1.1 and 1.2 takes for a string without quotes; some take `e5` for a number. */
const bare = /^(?![eE][-0-9_])[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./()-]+)*$/;

/** Words that YAML 1.1 reads as something else. */
const notStrings = new Set(['true', 'false', 'yes', 'no', 'on', 'off', 'y', 'n', 'null', 'nan', 'inf']);

/** A document in block style. Strings are quoted as in JSON wherever a reader might see something else than a string. */
export function yamlText(value: Plain): string {
  const lines: string[] = [];
  write(value, '', '', lines);
  return `${lines.join('\n')}\n`;
}

/** `head` is what stands before the value on its first line (a key, a dash), `indent` what stands before every further line. */
function write(value: Plain, head: string, indent: string, lines: string[]): void {
  if (isList(value)) {
    if (value.length === 0) return void lines.push(`${head}${head.endsWith(':') ? ' ' : ''}[]`);
    if (head.endsWith(':')) lines.push(head);
    value.forEach((item, index) => {
      const dash = head.endsWith(':') || index > 0 ? indent : head;
      write(item, `${dash}- `, `${indent}  `, lines);
    });
    return;
  }
  if (typeof value === 'object' && value !== null) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    if (fields.length === 0) return void lines.push(`${head}${head.endsWith(':') ? ' ' : ''}{}`);
    if (head.endsWith(':')) lines.push(head);
    fields.forEach(([key, field], index) => {
      const before = head.endsWith(':') || index > 0 ? indent : head;
      write(field, `${before}${scalar(key)}:`, `${indent}${isList(field) ? '' : '  '}`, lines);
    });
    return;
  }
  lines.push(`${head}${head.endsWith(':') ? ' ' : ''}${scalar(value)}`);
}

function isList(value: Plain): value is readonly Plain[] {
  return Array.isArray(value);
}

function scalar(value: string | number | boolean | null | undefined): string {
  if (typeof value !== 'string') return JSON.stringify(value ?? null);
  if (bare.test(value) && value.length <= 200 && !notStrings.has(value.toLowerCase())) return value;
  return JSON.stringify(value).replace(
    // JSON leaves these as they are; YAML does not allow them, or breaks the line there.
    /[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
