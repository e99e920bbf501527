// Draws the generated parts of docs/ again: `node test/support/write-docs.ts`. A test compares them with what stands in the pages.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { fieldsPage } from './fields-page.ts';
import { isReason, reasons } from '../../reconciler/model/reason.ts';
import { beginPages, reasonHead, reasonsPage } from './reasons-page.ts';
import { verbsPage } from './verbs-page.ts';

/** One generated part: it stands between `<!-- name: begin -->` and `<!-- name: end -->`. */
export interface Region {
  readonly file: string;
  readonly name: string;
  readonly draw: () => string;
}

export const regions: readonly Region[] = [
  { file: 'docs/troubleshooting.md', name: 'reasons', draw: reasonsPage },
  { file: 'docs/policy.md', name: 'fields', draw: () => fieldsPage('patch-policy') },
  { file: 'docs/rollouts.md', name: 'fields', draw: () => fieldsPage('rollout') },
  { file: 'docs/requests.md', name: 'fields', draw: () => fieldsPage('patch-request') },
  { file: 'docs/git.md', name: 'fleet-fields', draw: () => fieldsPage('fleet') },
  { file: 'docs/git.md', name: 'cluster-fields', draw: () => fieldsPage('cluster') },
  { file: 'docs/cli.md', name: 'verbs', draw: verbsPage },
];

/** The head of the page of each reason. */
export const reasonRegions: readonly Region[] = Object.keys(reasons)
  .filter(isReason)
  .map((code) => ({ file: `docs/reasons/${code}.md`, name: 'reason', draw: () => reasonHead(code) }));

/** The page in three parts: before the region, in it, after it. */
export function split(page: string, name: string): readonly [string, string, string] {
  const [begin, end] = [`<!-- ${name}: begin -->\n`, `<!-- ${name}: end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error(`the page has no ${begin.trim()} and ${end}`);
  return [page.slice(0, from + begin.length), page.slice(from + begin.length, to), page.slice(to)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  beginPages(Object.keys(reasons).filter(isReason));
  for (const { file, name, draw } of [...regions, ...reasonRegions]) {
    const path = new URL(`../../${file}`, import.meta.url);
    const [before, , after] = split(readFileSync(path, 'utf8'), name);
    writeFileSync(path, `${before}\n${draw()}\n\n${after}`);
  }
}
