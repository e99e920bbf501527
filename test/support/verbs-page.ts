// The verbs of the command line for docs/cli.md, drawn from what `oakum <verb> --help` prints.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../../reconciler/main.ts', import.meta.url));

function help(...args: string[]): string {
  // A width of a thousand columns: no option is broken over lines.
  const env = { ...process.env, COLUMNS: '1000', NO_COLOR: '1' };
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args, '--help'], {
    encoding: 'utf8',
    env,
    timeout: 60_000,
  });
  if (status !== 0) throw new Error(`oakum ${args.join(' ')} --help ended with ${status}: ${stderr}`);
  return stdout;
}

/** Lines of one part of the help (`Options:`), each as term and explanation; continuation lines are joined. */
function part(text: string, title: string): { readonly term: string; readonly about: string }[] {
  const lines = text.split('\n');
  const from = lines.indexOf(`${title}:`);
  if (from < 0) return [];
  const found: { term: string; about: string }[] = [];
  for (const line of lines.slice(from + 1)) {
    if (line.trim() === '') break;
    const match = /^ {2}(\S.*?)(?: {2,}(.*))?$/.exec(line);
    const last = found.at(-1);
    if (match && !line.startsWith('   ')) found.push({ term: match[1] ?? '', about: match[2] ?? '' });
    else if (last) last.about = `${last.about} ${line.trim()}`.trim();
  }
  return found;
}

/** Names of all verbs. */
export function verbs(): string[] {
  return part(help(), 'Commands')
    .map(({ term }) => term.split(/[ |]/)[0] ?? '')
    .filter((name) => name !== 'help');
}

/** What depends on the machine that draws the page is shown as a word. */
function cell(text: string, term: string): string {
  const plain = text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
  if (term.startsWith('--identity')) return plain.replace(/default: "[^"]*"/, 'default: the name of the host');
  if (term.startsWith('--cache-dir'))
    return plain.replace(/default: "[^"]*"/, 'default: `oakum-cache` in the folder for temporary files');
  return plain;
}

/** Options that several verbs share, told once: a title, and the verbs whose common options they are. */
const shared: readonly { readonly title: string; readonly verbs: readonly string[] }[] = [
  { title: 'Options of the repository', verbs: ['status', 'why', 'run'] },
  { title: 'Options of the clusters', verbs: ['plan', 'run', 'new-ledger'] },
];

interface Row {
  readonly term: string;
  readonly line: string;
}

function rowsOf(text: string): Row[] {
  return [...part(text, 'Arguments'), ...part(text, 'Options')]
    .filter(({ term }) => !term.startsWith('-h,'))
    .map(({ term, about }) => ({ term, line: `| \`${term}\` | ${cell(about, term)} |` }));
}

function table(rows: readonly Row[]): string[] {
  return rows.length === 0 ? [] : ['| option | meaning |', '| --- | --- |', ...rows.map(({ line }) => line), ''];
}

/** A section for each verb (its usage, its sentence, its options), then the options that many have. */
export function verbsPage(): string {
  const texts = new Map(verbs().map((verb) => [verb, help(verb)]));
  const rows = new Map([...texts].map(([verb, text]) => [verb, rowsOf(text)]));
  const common = shared.map(({ title, verbs: of }) => {
    const [first = [], ...others] = of.map((verb) => rows.get(verb) ?? []);
    return { title, rows: first.filter(({ line }) => others.every((other) => other.some((one) => one.line === line))) };
  });
  const sections = [...texts].flatMap(([verb, text]) => {
    const usage = /^Usage: (.*)$/m.exec(text)?.[1] ?? '';
    const [, about = ''] = text.split('\n\n');
    const own = rows.get(verb) ?? [];
    const uses = common.filter((group) => group.rows.every(({ line }) => own.some((one) => one.line === line)));
    const told = new Set(uses.flatMap((group) => group.rows.map(({ line }) => line)));
    const links = uses.map(({ title }) => `[${title.toLowerCase()}](#${title.toLowerCase().replaceAll(' ', '-')})`);
    const also = links.length === 0 ? [] : [`With the ${links.join(' and the ')}.`, ''];
    return [
      `### ${verb}`,
      '',
      about.replaceAll('\n', ' ').trim(),
      '',
      `    ${usage}`,
      '',
      ...table(own.filter(({ line }) => !told.has(line))),
      ...also,
    ];
  });
  return [...sections, ...common.flatMap((group) => [`## ${group.title}`, '', ...table(group.rows)])].join('\n').trim();
}
