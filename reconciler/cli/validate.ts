// oakum validate: reads a folder as a config repository and says everything that is wrong with it.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { Option } from 'commander';
import { readSchemas } from '../adapters/assets.ts';
import { readSigners } from '../adapters/signers.ts';
import { createDesire } from '../desired/desired.ts';
import type { InputFile } from '../desired/read-file.ts';
import { largestFile } from '../desired/yaml.ts';
import type { Desired } from '../model/desired.ts';
import type { Problem } from '../model/failure.ts';
import { rolloutWithSchedule } from '../model/rollout.ts';

/** What one look at a folder gave. */
export interface Validation {
  readonly desired: Desired;
  /** The texts by path, to show the lines that problems point at. */
  readonly files: ReadonlyMap<string, InputFile>;
}

/** Adds `oakum validate DIR`. Exit code 0: no problems; 2: problems; 1: the folder cannot be read. */
export function registerValidate(program: Command): void {
  program
    .command('validate')
    .summary('check a config repository')
    .description('Checks every file of a config repository (a Git work tree or a plain folder) and shows all problems.')
    .argument('[dir]', 'the folder', '.')
    .addOption(new Option('-o, --output <form>', 'how to print it').choices(['text', 'json']).default('text'))
    .action(async (dir: string, { output }: { readonly output: string }) => {
      let validation: Validation;
      try {
        validation = validateFolder(dir);
      } catch (error) {
        process.stderr.write(`${dir} cannot be read: ${reasonOf(error)}\n`);
        process.exitCode = 1;
        return;
      }
      const { problems } = validation.desired;
      process.stdout.write(
        output === 'json'
          ? `${JSON.stringify({ problems }, null, 2)}\n`
          : `${describe(validation)}${await notesOnSigners(validation)}`,
      );
      process.exitCode = problems.length > 0 ? 2 : 0;
    });
}

/** Reads a folder as one commit. Throws the file system's error when the folder itself cannot be read. */
export function validateFolder(dir: string): Validation {
  if (!statSync(dir).isDirectory()) throw new Error('it is not a folder');
  const files = new Map<string, InputFile>();
  collect(dir, '', files);
  const snapshot = { commit: '', committedAt: 0, files, changed: undefined };
  return { desired: createDesire(readSchemas())(snapshot), files };
}

function collect(dir: string, prefix: string, files: Map<string, InputFile>): void {
  for (const entry of readdirSync(join(dir, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (entry.name === '.git' || (prefix === '' && entry.name === 'node_modules')) {
      // A .git inside a folder of the repository marks a submodule; what is in it is none of this repository's files.
      continue;
    }
    if (entry.isSymbolicLink()) files.set(path, { path, oid: 'link', kind: 'symlink', text: '' });
    else if (entry.isDirectory()) {
      if (isSubmodule(join(dir, path))) files.set(path, { path, oid: 'submodule', kind: 'submodule', text: '' });
      else collect(dir, path, files);
    } else if (entry.isFile()) files.set(path, readInput(join(dir, path), path));
  }
}

function isSubmodule(folder: string): boolean {
  return readdirSync(folder).includes('.git');
}

function readInput(file: string, path: string): InputFile {
  if (statSync(file).size > largestFile) return { path, oid: 'oversized', kind: 'oversized', text: '' };
  const bytes = readFileSync(file);
  const oid = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return text.includes('\0') ? { path, oid, kind: 'binary', text: '' } : { path, oid, kind: 'file', text };
  } catch {
    return { path, oid, kind: 'binary', text: '' };
  }
}

/** For people: each problem with its line and a caret, and one line that sums up. */
export function describe({ desired, files }: Validation): string {
  const { problems, clusters } = desired;
  const shown = problems.map((problem) => describeProblem(problem, files.get(problem.file)?.text));
  const held = [...clusters.values()].filter((cluster) => cluster.problems.length > 0).map(({ name }) => name);
  const read = `${count(clusters.size, 'cluster')} read`;
  if (problems.length > 0) {
    const holds = held.length === 0 ? 'no cluster would be held' : `held until they are fixed: ${held.join(', ')}`;
    return `${shown.join('\n')}\n${count(problems.length, 'problem')}; ${read}; ${holds}\n`;
  }
  const hint = clusters.size === 0 ? ' (a cluster is a file clusters/<cluster>/policy.yaml; see oakum init)' : '';
  return `No problems; ${read}${hint}.\n${notes(desired)}`;
}

/** What is no problem, and may still surprise: a schedule that does not count, reviews that nobody can give. */
function notes(desired: Desired): string {
  const mute = [...desired.clusters.values()].filter(
    ({ policy }) => policy?.approval.mode === 'review' && policy.approval.approvers.length === 0,
  );
  const nobody = mute.map(
    ({ name }) =>
      `Note: ${name} wants reviews (approval.mode) and names nobody in approval.approvers: nothing can be approved there.\n`,
  );
  return [...nobody, ...schedulesThatDoNotCount(desired)].join('');
}

function schedulesThatDoNotCount(desired: Desired): string[] {
  const shadowed = new Map<string, string[]>();
  for (const cluster of desired.clusters.values()) {
    const leading = rolloutWithSchedule(cluster);
    if (leading && cluster.policy?.schedule)
      shadowed.set(leading.name, [...(shadowed.get(leading.name) ?? []), cluster.name]);
  }
  return [...shadowed].map(([rollout, names]) => {
    const many = names.length > 1;
    return `Note: ${names.join(', ')} ${many ? 'follow' : 'follows'} the schedule of rollout ${rollout}; the schedule of ${many ? 'their policies' : 'its policy'} does not count.\n`;
  });
}

/** Keys that nobody can sign with: they hold nothing, and whoever they are meant for finds out when an approval does not count. */
export async function notesOnSigners({ files }: Validation): Promise<string> {
  const texts = new Map([...files].map(([path, { text }]) => [path, text]));
  const { problems } = await readSigners(texts);
  return problems.map((problem) => `Note: ${printable(problem)} Nobody can sign with it.\n`).join('');
}

function describeProblem(problem: Problem, text: string | undefined): string {
  const { file, line, column, path, message } = problem;
  const head = `${printable(file)}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}\n`;
  const source = text?.split('\n')[line - 1]?.replace(/\r$/, '');
  if (source === undefined || source.trim() === '') return head;
  const number = String(line).padStart(5);
  // Long lines are cut around the column, so that the caret is on the screen.
  const from = Math.max(0, column - 80);
  const piece = source.slice(from, from + 110);
  return `${head}${number} | ${printable(piece)}\n${' '.repeat(5)} | ${' '.repeat(column - 1 - from)}^\n`;
}

/** A file must not be able to move the cursor of the terminal that shows it. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ');
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? '' : 's'}`;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'for an unknown reason';
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such folder';
  if (code === 'EACCES' || code === 'EPERM') return 'no permission';
  return error.message;
}
