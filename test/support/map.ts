// Draws the map in reconciler/README.md again: every file with the caption of its first line.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const house = fileURLToPath(new URL('../../reconciler', import.meta.url));
const stages = ['', 'model', 'desired', 'observed', 'plan', 'execute', 'report', 'adapters', 'cli', 'sim'];

const rows = stages.flatMap((stage) => {
  const folder = join(house, stage);
  const names = readdirSync(folder).filter((name) => name.endsWith('.ts') && statSync(join(folder, name)).isFile());
  if (names.length === 0) return [];
  const lines = names.sort().map((name) => {
    const caption = /^(?:#!.*\n)?\/\/ (.+)\n/.exec(readFileSync(join(folder, name), 'utf8'))?.[1] ?? '';
    return `| \`${stage === '' ? name : `${stage}/${name}`}\` | ${caption.replaceAll('|', '\\|')} |`;
  });
  return ['', `### ${stage === '' ? 'The top' : stage}`, '', '| file | what it is |', '| --- | --- |', ...lines];
});

const readme = join(house, 'README.md');
const text = readFileSync(readme, 'utf8');
const begin = '<!-- map: begin -->';
const end = '<!-- map: end -->';
const [before] = text.split(begin);
const after = text.split(end)[1];
if (before === undefined || after === undefined) throw new Error(`${readme} has no ${begin} and ${end}`);
writeFileSync(readme, `${before}${begin}\n${rows.join('\n').trim()}\n\n${end}${after}`);
