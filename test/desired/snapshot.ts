// Config repositories for tests, written as maps from path to text.
import { createHash } from 'node:crypto';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import type { DesireInput } from '../../reconciler/desired/desired.ts';
import type { InputFile } from '../../reconciler/desired/read-file.ts';
import type { Desired } from '../../reconciler/model/desired.ts';

export type Files = Readonly<Record<string, string | { readonly kind: InputFile['kind'] }>>;

export function inputFile(path: string, text: string, kind: InputFile['kind'] = 'file'): InputFile {
  return { path, oid: createHash('sha1').update(`${kind}\0${text}`).digest('hex'), kind, text };
}

export function snapshot(files: Files, changed?: readonly string[]): DesireInput {
  const entries = Object.entries(files).map(([path, content]): [string, InputFile] => [
    path,
    typeof content === 'string' ? inputFile(path, content) : inputFile(path, '', content.kind),
  ]);
  return { commit: 'c0ffee', committedAt: 1_000, files: new Map(entries), changed };
}

export function desire(files: Files): Desired {
  return createDesire(readSchemas())(snapshot(files));
}

export function object(kind: string, name: string, spec = ''): string {
  return `apiVersion: oakum.dev/v1alpha1\nkind: ${kind}\nmetadata:\n  name: ${name}\n${spec}`;
}

export function policy(name: string, spec = 'spec: {}\n'): string {
  return object('PatchPolicy', name, spec);
}

/** `file:line:column path rule`, the part of a problem that a test can hold without holding its wording. */
export function places(desired: Desired): string[] {
  return desired.problems.map(({ file, line, column, path, rule }) => `${file}:${line}:${column} ${path} ${rule}`);
}
