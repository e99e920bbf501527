// One file → what it says, or its problems with line and column.
import type { ClusterSettings, Fleet, ProposedRun, Request, Rewrite } from '../model/desired.ts';
import type { Problem } from '../model/failure.ts';
import { placeOf } from './layout.ts';
import type { Owner, Place } from './layout.ts';
import { readCluster, readFleet, readRequest, readRewrite, readRun } from './objects.ts';
import { readPolicy } from './policy.ts';
import { readRollout, type RolloutFile } from './rollout.ts';
import type { Finding, Judge, Judges } from './schema.ts';
import type { Say } from './times.ts';
import { locate, readYaml } from './yaml.ts';
import type { FieldPath } from './yaml.ts';
import type { Written, WrittenPolicySpec } from './written.ts';

/** One file of the config repository, as the Git adapter hands it over. */
export interface InputFile {
  readonly path: string;
  readonly oid: string;
  readonly kind: 'file' | 'symlink' | 'submodule' | 'oversized' | 'binary';
  readonly text: string;
}

/** What one file says. Without problems exactly the field of its kind is there. */
export interface ReadFile {
  readonly file: InputFile;
  readonly place: Place;
  readonly problems: readonly Problem[];
  readonly says:
    | { readonly kind: 'fleet'; readonly fleet: Fleet }
    | { readonly kind: 'settings'; readonly settings: ClusterSettings }
    | { readonly kind: 'policy'; readonly name: string; readonly spec: WrittenPolicySpec }
    | { readonly kind: 'request'; readonly request: Request }
    | { readonly kind: 'run'; readonly run: ProposedRun }
    | { readonly kind: 'rewrite'; readonly rewrite: Rewrite }
    | { readonly kind: 'rollout'; readonly rollout: RolloutFile }
    | { readonly kind: 'freeze' }
    | { readonly kind: 'nothing' };
}

/** A Problem at a field of a file. */
export function problemAt(file: InputFile, path: FieldPath, message: string, rule: string, atKey = false): Problem {
  const { line, column } = locate(file.text, path, atKey);
  return { file: file.path, line, column, path: dotted(path), message, rule };
}

/** A Problem of a file as a whole. */
export function problemOfFile(path: string, message: string, rule: string): Problem {
  return { file: path, line: 1, column: 1, path: '', message, rule };
}

/** `spec.windows[0].start`. */
export function dotted(path: FieldPath): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : `${text}${text && '.'}${plain(part)}`),
    '',
  );
}

function plain(field: string): string {
  return field.replaceAll(/[\p{Cc}\p{Cf}]/gu, ' ').slice(0, 200);
}

/** Whom a place belongs to; undefined for files that are none of our business. */
export function ownerOf(place: Place): Owner | undefined {
  return place.kind === 'other' ? undefined : place.owner;
}

const kindWords = {
  symlink: 'a symbolic link; only regular files are read, and a link is never followed',
  submodule: 'a submodule; only regular files of this repository are read',
  oversized: 'larger than 256 KiB; configuration is smaller',
  binary: 'not text in UTF-8',
} as const;

/** Reads one file. Pure; never throws for anything that a file can hold. */
export function readFile(file: InputFile, judges: Judges): ReadFile {
  const place = placeOf(file.path);
  const refused = (...problems: Problem[]): ReadFile => ({ file, place, problems, says: { kind: 'nothing' } });
  switch (place.kind) {
    case 'other':
    case 'signers':
    case 'owners':
      return refused();
    case 'freeze': {
      // Whatever lies there, a person wanted a stop; only links are told, because they may hide where they came from.
      const link = file.kind === 'symlink' || file.kind === 'submodule';
      const problems = link ? [problemOfFile(file.path, `this is ${kindWords[file.kind]}`, 'file-kind')] : [];
      return { file, place, problems, says: { kind: 'freeze' } };
    }
    case 'unread': {
      const what = file.kind === 'file' || file.kind === 'binary' ? '' : `this is ${kindWords[file.kind]}. `;
      return refused(problemOfFile(file.path, `${what}${place.message}`, place.rule));
    }
    case 'object':
      if (file.kind !== 'file')
        return refused(problemOfFile(file.path, `this is ${kindWords[file.kind]}`, 'file-kind'));
      return readObject(file, place, judges);
  }
}

function readObject(file: InputFile, place: Place & { kind: 'object' }, judges: Judges): ReadFile {
  const problems: Problem[] = [];
  const nothing = { kind: 'nothing' } as const;
  const yaml = readYaml(file.text);
  if (!yaml.ok) {
    const told = yaml.faults.map(({ position, message, rule }) => ({
      file: file.path,
      ...position,
      path: '',
      message,
      rule,
    }));
    return { file, place, problems: told, says: nothing };
  }
  const say: Say = (path, message, rule) => problems.push(problemAt(file, path, message, rule));
  const says = ((): ReadFile['says'] => {
    switch (place.object) {
      case 'Fleet':
        return allowed(judges.Fleet, yaml.value, file, problems, (written) => ({
          kind: 'fleet',
          fleet: readFleet(written, say),
        }));
      case 'Cluster':
        return allowed(judges.Cluster, yaml.value, file, problems, (written) => {
          checkName(written, place, say);
          return { kind: 'settings', settings: readCluster(written) };
        });
      case 'PatchRequest':
        return allowed(judges.PatchRequest, yaml.value, file, problems, (written) => {
          checkName(written, place, say);
          return {
            kind: 'request',
            request: readRequest(written, { name: place.name, path: file.path, oid: file.oid }, say),
          };
        });
      case 'PatchRun':
        return allowed(judges.PatchRun, yaml.value, file, problems, (written) => {
          checkName(written, place, say);
          return { kind: 'run', run: readRun(written, place, file, say) };
        });
      case 'PatchApproval':
        return allowed(judges.PatchApproval, yaml.value, file, problems, (written) => {
          checkName(written, place, say);
          return nothing;
        });
      case 'AcceptRewrite':
        return allowed(judges.AcceptRewrite, yaml.value, file, problems, (written) => ({
          kind: 'rewrite',
          rewrite: readRewrite(written, file, say),
        }));
      case 'Rollout':
        return allowed(judges.Rollout, yaml.value, file, problems, (written) => {
          checkName(written, place, say);
          return { kind: 'rollout', rollout: readRollout(written, file, say) };
        });
      case 'PatchPolicy':
        return allowed(judges.PatchPolicy, yaml.value, file, problems, (written) => {
          checkName(written, place, say);
          const spec = written.spec ?? {};
          // A cluster's own policy is judged with what it extends; a shared one must be sound by itself, though not complete.
          if (place.owner.kind === 'policy') readPolicy(spec, { name: place.name, seed: '', partial: true }, say);
          return { kind: 'policy', name: written.metadata.name, spec };
        });
    }
  })();
  return { file, place, problems, says: problems.length > 0 ? nothing : says };
}

function allowed<T>(
  judge: Judge<T>,
  value: unknown,
  file: InputFile,
  problems: Problem[],
  read: (written: T) => ReadFile['says'],
): ReadFile['says'] {
  if (judge.allows(value)) return read(value);
  const findings = judge.findings(value);
  // In a file of another kind every field is unknown; only what kind it must be helps.
  const kind = findings.filter(isAboutKind);
  for (const { path, message, rule, atKey } of kind.length > 0 ? kind : findings) {
    problems.push(problemAt(file, path, message, rule, atKey));
  }
  return { kind: 'nothing' };
}

function isAboutKind({ path, rule }: Finding): boolean {
  return path.length === 1 && path[0] === 'kind' && rule === 'const';
}

function checkName(written: Written<unknown>, place: Place & { kind: 'object' }, say: Say): void {
  const { name } = written.metadata;
  if (name === place.name) return;
  const source =
    place.owner.kind === 'cluster' && place.object !== 'PatchRequest' && place.object !== 'PatchRun'
      ? "the cluster's folder"
      : 'the file';
  say(['metadata', 'name'], `found "${name}"; must be "${place.name}", the name of ${source}`, 'name');
}
