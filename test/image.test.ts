// The recipe of the image keeps its word: what it copies is there, what the program reads at run time is in it, and nobody in it is root.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

interface Instruction {
  readonly word: string;
  readonly rest: string;
}

/** The instructions of the Dockerfile, stage by stage; each stage begins with its FROM. */
function stagesOf(text: string): readonly (readonly Instruction[])[] {
  const instructions = text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .flatMap((line) => {
      const match = /^([A-Z]+)\s+(.*)$/.exec(line);
      return match === null ? [] : [{ word: match[1] ?? '', rest: match[2] ?? '' }];
    });
  const stages: Instruction[][] = [];
  for (const one of instructions) {
    if (one.word === 'FROM') stages.push([]);
    stages.at(-1)?.push(one);
  }
  return stages;
}

/** Whether .dockerignore leaves a path out: the last pattern that matches it, or a folder above it, counts. */
function ignored(path: string, patterns: readonly string[]): boolean {
  const parts = path.split('/');
  const above = parts.map((_, length) => parts.slice(0, length + 1).join('/'));
  return patterns.reduce((out, pattern) => {
    const plain = pattern.replace(/^!/, '').replace(/\/$/, '');
    const matches = new RegExp(`^${plain.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`);
    return above.some((one) => matches.test(one)) ? !pattern.startsWith('!') : out;
  }, false);
}

const filesUnder = (path: string): string[] =>
  statSync(join(root, path)).isDirectory()
    ? readdirSync(join(root, path)).flatMap((name) => filesUnder(`${path}/${name}`))
    : [path];

const stages = stagesOf(read('Dockerfile'));
const [build = [], image = []] = stages;
const rest = (stage: readonly Instruction[], word: string): string[] =>
  stage.filter((one) => one.word === word).map((one) => one.rest);
/** What a stage copies from the folder of the project. */
const sources = rest(build, 'COPY')
  .flatMap((line) => line.split(/\s+/).slice(0, -1))
  .filter((word) => !word.startsWith('--'));
const patterns = read('.dockerignore')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'));
const covered = (path: string): boolean => sources.some((source) => path === source || path.startsWith(`${source}/`));
const project = JSON.parse(read('package.json')) as {
  engines: { node: string };
  bin: { oakum: string };
  scripts: { build: string };
};

describe('the recipe of the image', () => {
  it('has two stages, and copies only what is there and what .dockerignore lets through, whole', () => {
    expect(stages).toHaveLength(2);
    expect(sources.length).toBeGreaterThan(5);
    expect(sources.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    expect(sources.flatMap(filesUnder).filter((path) => ignored(path, patterns))).toEqual([]);
    expect(['docs/git.md', 'dist/main.js', 'test/e2e/run.ts'].filter((path) => !ignored(path, patterns))).toEqual([]);
  });

  it('builds with what it has copied', () => {
    const script = /^node (\S+)$/.exec(project.scripts.build)?.[1] ?? '';
    const compiler = JSON.parse(read('tsconfig.build.json')) as { extends: string };
    const needed = [script, 'tsconfig.build.json', compiler.extends.replace('./', ''), 'package-lock.json'];
    const imports = [...read(script).matchAll(/from '(\.[^']+)'/g)].map((match) => match[1]);
    expect(needed.filter((path) => !covered(path))).toEqual([]);
    expect(imports, 'the build script imports a file that the image does not copy').toEqual([]);
    expect(rest(build, 'RUN')).toEqual(['npm ci', 'npm run build && npm prune --omit=dev']);
  });

  it('takes over the program, what it depends on, and every folder that it reads at run time', () => {
    const taken = rest(image, 'COPY').map((line) => /^--from=build \/src\/(\S+) \.\/(\S*)$/.exec(line) ?? [line]);
    for (const [line, from, to] of taken) expect(to === '' || to === from, line).toBe(true);
    const held = taken.map((match) => match[1]);
    // From dist/cli/ as from reconciler/cli/, two floors up is the root; adapters/assets.ts calls it so.
    const wanted = filesUnder('reconciler')
      .filter((path) => path.endsWith('.ts'))
      .flatMap((path) => [
        ...read(path).matchAll(
          /new URL\([`'](?:\.\.\/\.\.\/)?([a-z]+[/.][^`']*)[`'](?:, (?:import\.meta\.url|root))?\)/g,
        ),
      ])
      .map((match) => (match[1] ?? '').split('/')[0]);
    expect(wanted).toEqual(expect.arrayContaining(['package.json', 'schemas', 'docs']));
    expect(new Set(held)).toEqual(new Set(['node_modules', 'dist', ...wanted]));
  });

  it('runs on a Node.js that the program takes, the one that it was built with', () => {
    const [built, run] = [
      /node:(\d+)-/.exec(rest(build, 'FROM')[0] ?? ''),
      /nodejs(\d+)-/.exec(rest(image, 'FROM')[0] ?? ''),
    ];
    const least = Number(/^>=(\d+)\./.exec(project.engines.node)?.[1]);
    expect(built?.[1]).toBe(run?.[1]);
    expect(Number(run?.[1])).toBeGreaterThan(least);
  });

  it('starts the program without a shell, as nobody, as the chart demands', () => {
    const [folder] = rest(image, 'WORKDIR');
    const entry = JSON.parse(rest(image, 'ENTRYPOINT')[0] ?? '[]') as string[];
    expect(entry).toEqual(['/nodejs/bin/node', `${folder}/${project.bin.oakum}`]);
    expect(existsSync(join(root, project.bin.oakum.replace('dist/', 'reconciler/').replace('.js', '.ts')))).toBe(true);
    expect(rest(image, 'RUN')).toEqual([]);
    const [user] = rest(image, 'USER');
    expect(Number(user?.split(':')[0])).toBeGreaterThan(0);
    const values = parse(read('charts/oakum/values.yaml')) as Record<string, unknown>;
    expect(JSON.stringify([values, read('charts/oakum/templates/deployment.yaml')])).toContain('runAsNonRoot: true');
  });
});
