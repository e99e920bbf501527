// Shared policies resolved: each with everything that it extends, or the problems that hold whoever uses it.
import { apiVersion } from '../model/names.ts';
import type { Problem } from '../model/failure.ts';
import { longestChain, mergeSpecs } from './extends.ts';
import { didYouMean } from './nearest.ts';
import { problemAt } from './read-file.ts';
import type { InputFile, ReadFile } from './read-file.ts';
import type { Judges } from './schema.ts';
import type { WrittenPolicySpec } from './written.ts';

/** A chain of policies as one. */
export interface Resolved {
  /** Undefined when any of the chain has problems. */
  readonly spec: WrittenPolicySpec | undefined;
  /** Problems of all files of the chain. */
  readonly problems: readonly Problem[];
  /** Names of the chain, nearest first; the last may be one that does not exist. */
  readonly uses: readonly string[];
  /** The files of the chain. */
  readonly files: readonly InputFile[];
}

/** The shared policies of one commit, by name; each name may have several files, of which at most one is read. */
export type SharedFiles = ReadonlyMap<string, readonly ReadFile[]>;

const nothing: Resolved = { spec: {}, problems: [], uses: [], files: [] };

/** Resolves every shared policy, the unused ones too. */
export function resolveShared(shared: SharedFiles, judges: Judges): ReadonlyMap<string, Resolved> {
  const resolved = new Map<string, Resolved>();
  for (const name of shared.keys()) resolved.set(name, resolveOne(name, shared, judges, []));
  return resolved;
}

function resolveOne(name: string, shared: SharedFiles, judges: Judges, below: readonly string[]): Resolved {
  const files = shared.get(name) ?? [];
  const own = files.flatMap(({ problems }) => problems);
  const read = files.find(({ says }) => says.kind === 'policy');
  if (read?.says.kind !== 'policy') {
    return { spec: undefined, problems: own, uses: [name], files: files.map(({ file }) => file) };
  }
  const { spec } = read.says;
  const base = baseOf(read.file, spec, shared, judges, [...below, name]);
  const merged = own.length === 0 && base.spec !== undefined ? checked(mergeSpecs(base.spec, spec), judges) : undefined;
  return {
    spec: merged,
    problems: [...own, ...base.problems],
    uses: [name, ...base.uses],
    files: [...files.map(({ file }) => file), ...base.files],
  };
}

/**
 * What a policy's `extends` leads to: nothing, a chain, or a Problem in the file that says it. `below` are the names that led here.
 */
export function baseOf(
  file: InputFile,
  spec: WrittenPolicySpec,
  shared: SharedFiles,
  judges: Judges,
  below: readonly string[],
): Resolved {
  const name = spec.extends;
  if (name === undefined) return nothing;
  const fault = (message: string): Resolved => ({
    spec: undefined,
    problems: [problemAt(file, ['spec', 'extends'], message, 'extends')],
    uses: [name],
    files: [],
  });
  if (below.includes(name)) return fault(`policies extend each other in a circle: ${[...below, name].join(' -> ')}`);
  if (below.length >= longestChain)
    return fault(`more than ${longestChain} policies extend each other; write fewer layers`);
  if (!shared.has(name)) {
    const names = [...shared.keys()].sort();
    const known = names.length === 0 ? '; there are no shared policies' : didYouMean(name, names);
    return fault(`there is no policies/${name}.yaml${known}`);
  }
  return resolveOne(name, shared, judges, below);
}

/** A merge of sound specs is sound field by field; the schema says so once more and gives the value its type. */
export function checked(merged: unknown, judges: Judges): WrittenPolicySpec | undefined {
  const object: unknown = {
    apiVersion,
    kind: 'PatchPolicy',
    metadata: { name: 'merged' },
    spec: merged,
  };
  return judges.PatchPolicy.allows(object) ? object.spec : undefined;
}
