import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { policy } from '../desired/snapshot.ts';

const root = new URL('../../', import.meta.url);
/** The two verbs in a process of their own, without the rest of the program. */
const program = `
  import { Command } from 'commander';
  import { registerInit } from '${new URL('reconciler/cli/init.ts', root).href}';
  import { registerValidate } from '${new URL('reconciler/cli/validate.ts', root).href}';
  const program = new Command('oakum');
  registerInit(program);
  registerValidate(program);
  await program.parseAsync(process.argv);
`;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'oakum-validate-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function oakum(...args: string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program, 'oakum', ...args],
    { cwd: fileURLToPath(root), encoding: 'utf8', timeout: 20_000 },
  );
  return { code: status, out: stdout, err: stderr };
}

function write(name: string, files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name, path)), { recursive: true });
    writeFileSync(join(folder, name, path), text);
  }
  return join(folder, name);
}

test('problems are shown with their line and a caret, and the exit code is 2', () => {
  const dir = write('broken', {
    'clusters/prod/policy.yaml': policy('prod', 'spec:\n  schedul: {}\n'),
    '.git/clusters/x/FREEZE.txt': '',
  });
  const { code, out } = oakum('validate', dir);
  expect(code).toBe(2);
  expect(out).toContain(
    'clusters/prod/policy.yaml:6:3: spec.schedul: unknown field "schedul"; did you mean "schedule"?',
  );
  expect(out).toContain('    6 |   schedul: {}\n      |   ^\n');
  expect(out).toContain('1 problem; 1 cluster read; held until they are fixed: prod\n');
});

test('JSON has each problem, relative to the folder', () => {
  const dir = write('json', { 'clusters/prod/policy.yaml': policy('dev') });
  symlinkSync('/etc/passwd', join(dir, 'oakum.yaml'));
  const { code, out } = oakum('validate', dir, '-o', 'json');
  expect(code).toBe(2);
  expect(JSON.parse(out)).toMatchObject({
    problems: [
      { file: 'clusters/prod/policy.yaml', line: 4, column: 9, path: 'metadata.name', rule: 'name' },
      { file: 'oakum.yaml', line: 1, column: 1, path: '', rule: 'file-kind' },
    ],
  });
});

test('a folder that cannot be read is one sentence and exit code 1', () => {
  expect(oakum('validate', join(folder, 'nowhere'))).toMatchObject({
    code: 1,
    out: '',
    err: expect.stringMatching(/cannot be read: there is no such folder\n$/) as string,
  });
});

test('init writes a repository that validates, and never overwrites', () => {
  const dir = join(folder, 'starter');
  expect(oakum('init', dir, '--cluster', 'home')).toMatchObject({ code: 0 });
  expect(oakum('validate', dir)).toMatchObject({ code: 0, out: 'No problems; 1 cluster read.\n' });
  expect(readFileSync(join(dir, 'README.md'), 'utf8')).toContain('FREEZE');
  const before = readFileSync(join(dir, 'oakum.yaml'), 'utf8');
  expect(oakum('init', dir).code).toBe(1);
  expect(readFileSync(join(dir, 'oakum.yaml'), 'utf8')).toBe(before);
  expect(oakum('init', join(folder, 'other'), '--cluster', '../x').code).toBe(2);
});

test('init brings the schemas that its files name, and renews them alone after an upgrade', () => {
  const dir = join(folder, 'edited');
  expect(oakum('init', dir, '--cluster', 'home')).toMatchObject({ code: 0 });
  const own = readFileSync(new URL('schemas/patch-policy.schema.json', root), 'utf8');
  for (const file of ['oakum.yaml', 'clusters/home/policy.yaml']) {
    const named = /^# yaml-language-server: \$schema=(\S+)\n/.exec(readFileSync(join(dir, file), 'utf8'))?.[1] ?? '';
    const { title } = JSON.parse(readFileSync(join(dir, dirname(file), named), 'utf8')) as { title: string };
    expect(title).toBe(file === 'oakum.yaml' ? 'Oakum: Fleet' : 'Oakum: PatchPolicy');
  }
  writeFileSync(join(dir, 'schemas/patch-policy.schema.json'), '{}');
  writeFileSync(join(dir, 'oakum.yaml'), '# ours\n');
  expect(oakum('init', '--schemas', dir)).toMatchObject({ code: 0, err: '' });
  expect(readFileSync(join(dir, 'schemas/patch-policy.schema.json'), 'utf8')).toBe(own);
  expect(readFileSync(join(dir, 'oakum.yaml'), 'utf8')).toBe('# ours\n');
});

test('reviews that nobody can give are noted', () => {
  const dir = write('mute', {
    'clusters/prod/policy.yaml': policy('prod', 'spec: { approval: { mode: review } }\n'),
  });
  const { code, out } = oakum('validate', dir);
  expect(code).toBe(0);
  expect(out).toContain('Note: prod wants reviews (approval.mode) and names nobody in approval.approvers');
});
