// Text from elsewhere made fit for a file that everybody reads: one line, bounded, without control characters or credentials.

/** Longest message in a status file, in characters. */
export const longestMessage = 600;

/** Control characters, line separators, and the marks that turn the reading direction: none of them may reach a page or a terminal. */
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]+/g;

/** Terminal colours and the like: the escape character alone would leave `[31m` behind. */
const escapeSequence = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|.)/g;

/** User and password inside a URL. Package managers print their sources with them. */
const urlCredentials = /\/\/[^/\s@]+@/g;

/** `token=…`, `password: …`, `Bearer …` and their kin. */
const namedSecret =
  /\b((?:access[_-]?token|token|password|passwd|secret|api[_-]?key)\s*[=:]\s*|(?:bearer|basic)\s+)[^\s,;&"']{4,}/gi;

/** Half a pair of surrogates is no character; YAML and Git hosts refuse it. */
const loneSurrogate = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** One line of at most `longest` characters. */
export function clean(text: string, longest: number = longestMessage): string {
  const line = text
    .replace(escapeSequence, '')
    .replace(unprintable, ' ')
    .replace(loneSurrogate, '\ufffd')
    .replace(urlCredentials, '//')
    .replace(namedSecret, '$1[removed]')
    .replace(/ {2,}/g, ' ')
    .trim();
  if (line.length <= longest) return line;
  return `${line.slice(0, longest - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
