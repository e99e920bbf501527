// The architecture, held by a test: who may import whom, what is pure, where names live, and that the map tells the truth.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
const house = join(root, 'reconciler');

interface SourceFile {
  /** Path below reconciler/, with forward slashes. */
  readonly path: string;
  readonly stage: string;
  readonly text: string;
  readonly imports: readonly { readonly from: string; readonly typeOnly: boolean }[];
}

function sources(folder: string): SourceFile[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    if (!name.endsWith('.ts')) return [];
    const text = readFileSync(path, 'utf8');
    const inner = relative(house, path).split('\\').join('/');
    const imports = [...text.matchAll(/^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)';/gm)].map(
      (match) => ({
        from: match[2] ?? '',
        typeOnly: match[1] !== undefined,
      }),
    );
    const dynamic = [...text.matchAll(/\bimport\('([^']+)'\)/g)].map((match) => ({
      from: match[1] ?? '',
      typeOnly: false,
    }));
    return [
      {
        path: inner,
        stage: inner.includes('/') ? inner.slice(0, inner.indexOf('/')) : inner,
        text,
        imports: [...imports, ...dynamic],
      },
    ];
  });
}

const files = sources(house);
const target = (file: SourceFile, from: string): string | undefined =>
  from.startsWith('.') ? posix.normalize(posix.join(posix.dirname(file.path), from)) : undefined;
const stageOf = (path: string): string => (path.includes('/') ? path.slice(0, path.indexOf('/')) : path);

/** Stage → stages (or top-level files) that it may import. `types` are allowed as type imports only. */
const matrix: Readonly<Record<string, { readonly may: readonly string[]; readonly types?: readonly string[] }>> = {
  model: { may: ['model'] },
  desired: { may: ['model', 'desired'] },
  observed: { may: ['model', 'observed'] },
  plan: { may: ['model', 'plan'] },
  report: { may: ['model', 'report'] },
  execute: { may: ['model', 'execute'], types: ['ports.ts'] },
  adapters: { may: ['model', 'adapters'], types: ['ports.ts'] },
  sim: { may: ['sim'] },
  'ports.ts': { may: ['model'] },
  'source.ts': { may: ['model'], types: ['ports.ts'] },
  'pass.ts': { may: ['model', 'desired', 'plan', 'execute', 'source.ts'], types: ['ports.ts'] },
  'loop.ts': { may: ['model', 'pass.ts', 'source.ts'], types: ['ports.ts'] },
  cli: {
    may: [
      'model',
      'desired',
      'observed',
      'plan',
      'execute',
      'report',
      'adapters',
      'cli',
      'source.ts',
      'pass.ts',
      'loop.ts',
      'sim',
    ],
    types: ['ports.ts'],
  },
  'main.ts': { may: ['cli'] },
};

/** Packages and node modules that a pure stage may use, by file. */
const pureMayUse: Readonly<Record<string, readonly string[]>> = {
  'model/cron.ts': ['cron-parser'],
  'model/digest.ts': ['node:crypto'],
  'model/result-log.ts': ['node:crypto', 'node:zlib'],
  'model/result-text.ts': ['node:zlib'],
  'desired/yaml.ts': ['yaml'],
  'desired/schema.ts': ['ajv', 'ajv/dist/2020.js'],
  'report/text.ts': ['cli-table3'],
  'report/read-status.ts': ['yaml'],
};
const pureStages = ['model', 'desired', 'observed', 'plan', 'report'];

function expectNone(broken: readonly string[], advice: string): void {
  expect(broken.length === 0 ? '' : `${advice}\n  ${broken.join('\n  ')}`).toBe('');
}

describe('the house', () => {
  it('has the import matrix that reconciler/README.md draws', () => {
    const broken = files.flatMap((file) => {
      const rule = matrix[file.stage];
      if (!rule) return [`${file.path} is in no known stage`];
      return file.imports.flatMap(({ from, typeOnly }) => {
        const to = target(file, from);
        if (to === undefined) return [];
        const stage = stageOf(to);
        if (rule.may.includes(stage) || (typeOnly && rule.types?.includes(stage))) return [];
        return [`${file.path} imports ${to}`];
      });
    });
    expectNone(
      broken,
      'A stage imports only what the matrix allows; pass what it needs as an argument, or move the word to model/.',
    );
  });

  it('has no cycles', () => {
    const edges = new Map(
      files.map((file) => [
        file.path,
        file.imports.filter((one) => !one.typeOnly).flatMap((one) => target(file, one.from) ?? []),
      ]),
    );
    const done = new Set<string>();
    const broken: string[] = [];
    const visit = (path: string, trail: readonly string[]): void => {
      if (trail.includes(path)) return void broken.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      if (done.has(path)) return;
      for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of edges.keys()) visit(path, []);
    expectNone(broken, 'Two files that need each other are one file, or hide a third that both need.');
  });

  it('keeps the pure stages pure', () => {
    const forbidden =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bprocess\.|\bsetTimeout\b|\bsetInterval\b|\bfetch\(/;
    const broken = files
      .filter((file) => pureStages.includes(file.stage))
      .flatMap((file) => {
        const code = file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
        const found = forbidden.exec(code)?.[0];
        const packages = file.imports.filter(
          ({ from, typeOnly }) => !from.startsWith('.') && !typeOnly && !(pureMayUse[file.path] ?? []).includes(from),
        );
        return [
          ...(found ? [`${file.path} uses ${found}`] : []),
          ...packages.map(({ from }) => `${file.path} imports ${from}`),
        ];
      });
    expectNone(broken, 'Time, chance, environment and I/O are arguments; only adapters and cli/ touch the world.');
  });

  it('writes the domain of labels and annotations in names.ts only', () => {
    const allowed = ['model/names.ts', 'model/reason', 'sim/'];
    const broken = files
      .filter((file) => !allowed.some((path) => file.path.startsWith(path)))
      .filter((file) => /['"`]oakum\.dev\//.test(file.text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')))
      .map((file) => file.path);
    expectNone(broken, 'Take the name from model/names.ts, so that it is spelt once.');
  });

  it('names no file after a shelf, has two floors and no default exports', () => {
    const broken = files.flatMap((file) => [
      ...(/(^|\/)(utils?|helpers?|common|misc|manager|types|index)\.ts$/.test(file.path)
        ? [`${file.path} is named after a shelf`]
        : []),
      ...(file.path.split('/').length > 2 ? [`${file.path} is on a third floor`] : []),
      ...(/^export default/m.test(file.text) ? [`${file.path} has a default export`] : []),
    ]);
    expectNone(broken, 'A file is named after what it holds.');
  });

  it('keeps files small enough to read at one sitting', () => {
    const broken = files
      .map((file) => [file.path, file.text.split('\n').length] as const)
      .filter(([, lines]) => lines > 420);
    expectNone(
      broken.map(([path, lines]) => `${path}: ${lines} lines`),
      'Look for the second thing in it, and give it a file of its own.',
    );
  });

  it('is drawn truly in reconciler/README.md: each file with its caption', () => {
    const map = readFileSync(join(house, 'README.md'), 'utf8');
    const captions = new Map(
      [...map.matchAll(/^\| `([^`]+\.ts)` \| (.+) \|$/gm)].map((match) => [match[1] ?? '', match[2] ?? '']),
    );
    const broken = files.flatMap((file) => {
      const first = /^(?:#!.*\n)?\/\/ (.+)\n/.exec(file.text)?.[1];
      if (first === undefined) return [`${file.path} has no caption in its first line`];
      const told = captions.get(file.path);
      if (told === undefined) return [`${file.path} is not on the map: | \`${file.path}\` | ${first} |`];
      return told === first.replaceAll('|', '\\|')
        ? []
        : [`${file.path}: the map says "${told}", the file says "${first}"`];
    });
    const known = new Set(files.map((file) => file.path));
    for (const path of captions.keys()) if (!known.has(path)) broken.push(`${path} is on the map and not in the house`);
    expectNone(broken, 'Run `node test/support/map.ts` to draw the map again.');
  });
});
