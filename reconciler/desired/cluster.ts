// One cluster's files → what is asked of it, with every problem that holds it.
import type { ClusterDesired, ClusterSettings, ProposedRun, Request } from '../model/desired.ts';
import type { Problem } from '../model/failure.ts';
import type { Policy } from '../model/policy.ts';
import { mergeSpecs } from './extends.ts';
import { namePattern } from './layout.ts';
import { defaultSettings } from './objects.ts';
import { readPolicy } from './policy.ts';
import { problemAt, problemOfFile } from './read-file.ts';
import type { InputFile, ReadFile } from './read-file.ts';
import type { Judges } from './schema.ts';
import { baseOf, checked } from './shared-policies.ts';
import type { SharedFiles } from './shared-policies.ts';
import type { Say } from './times.ts';
import type { FieldPath } from './yaml.ts';
import type { WrittenPolicySpec } from './written.ts';

/** What a cluster's own files and the policies that it uses say, without the fleet's part. */
export interface ClusterPart {
  readonly desired: ClusterDesired;
  /** Shared policies that it uses, also ones that do not exist. */
  readonly uses: readonly string[];
  /** It names a policy that does not exist: any new name may be the one that was meant. */
  readonly astray: boolean;
}

/** What is needed beside the cluster's files. */
export interface Surroundings {
  readonly shared: SharedFiles;
  readonly judges: Judges;
  /** Names of all clusters, to tell twins. */
  readonly clusters: readonly string[];
}

/** Reads one cluster. `files` are those of its folder that mean something. */
export function readClusterFolder(name: string, files: readonly ReadFile[], around: Surroundings): ClusterPart {
  const sorted = [...files].sort((a, b) => compare(a.file.path, b.file.path));
  const problems: Problem[] = sorted.flatMap((read) => read.problems);
  const misnamed = nameProblem(name, sorted, around.clusters);
  if (misnamed) problems.push(misnamed);
  let settings: ClusterSettings = defaultSettings;
  let policy: Policy | undefined;
  let uses: readonly string[] = [];
  let frozen: ClusterDesired['frozen'];
  const requests: Request[] = [];
  const runs: ProposedRun[] = [];
  const inputs: InputFile[] = [];
  for (const { file, place, says } of sorted) {
    if (place.kind === 'object' && (place.object === 'Cluster' || place.object === 'PatchPolicy')) inputs.push(file);
    if (says.kind === 'settings') settings = says.settings;
    else if (says.kind === 'freeze') frozen = 'cluster';
    else if (says.kind === 'request') requests.push(says.request);
    else if (says.kind === 'run') runs.push(says.run);
    else if (says.kind === 'policy') {
      const read = clusterPolicy(name, file, says.spec, around);
      problems.push(...read.problems);
      inputs.push(...read.files);
      policy = read.policy;
      uses = read.uses;
    }
  }
  const inputsSorted = inputs.map(({ path, oid }) => ({ path, oid })).sort((a, b) => compare(a.path, b.path));
  return {
    desired: { name, problems: sortProblems(problems), settings, policy, requests, runs, frozen, inputs: inputsSorted },
    uses,
    astray: uses.some((used) => !around.shared.has(used)),
  };
}

interface ReadPolicy {
  readonly policy: Policy | undefined;
  readonly problems: readonly Problem[];
  readonly uses: readonly string[];
  readonly files: readonly InputFile[];
}

function clusterPolicy(
  name: string,
  file: InputFile,
  spec: WrittenPolicySpec,
  { shared, judges }: Surroundings,
): ReadPolicy {
  const base = baseOf(file, spec, shared, judges, []);
  const merged =
    base.spec === undefined
      ? undefined
      : spec.extends === undefined
        ? spec
        : checked(mergeSpecs(base.spec, spec), judges);
  const found: Problem[] = [...base.problems];
  if (base.spec !== undefined && merged === undefined) {
    found.push(
      problemAt(file, ['spec', 'extends'], `this policy and "${spec.extends ?? ''}" do not fit together`, 'extends'),
    );
  }
  const say: Say = (path, message, rule) => found.push(placed(file, spec, path, message, rule));
  // With a broken base the file is still judged alone, so that all problems of all files are told at once.
  const policy = readPolicy(merged ?? spec, { name, seed: name, partial: merged === undefined }, say);
  return { policy: found.length > 0 ? undefined : policy, problems: found, uses: base.uses, files: base.files };
}

/** A problem of a merged policy stands where this file writes the field; else at `extends`, which brought it. */
function placed(file: InputFile, spec: WrittenPolicySpec, path: FieldPath, message: string, rule: string): Problem {
  const field = path[1];
  const inherited = spec.extends !== undefined && field !== undefined && !Object.hasOwn(spec, field);
  if (!inherited) return problemAt(file, path, message, rule);
  const problem = problemAt(file, ['spec', 'extends'], '', rule);
  return {
    ...problem,
    message: `together with policies/${spec.extends ?? ''}.yaml, ${path.slice(1).join('.')}: ${message}`,
  };
}

function nameProblem(name: string, files: readonly ReadFile[], clusters: readonly string[]): Problem | undefined {
  const first = files[0]?.file.path;
  if (first === undefined || namePattern.test(name)) return undefined;
  const plain = fold(name);
  const twin = clusters.find((other) => other !== name && fold(other) === plain);
  const message =
    "the name of a cluster's folder is lower-case letters, digits and dashes, at most 63, beginning and ending with a letter or digit" +
    (twin === undefined ? '' : `; it differs from "${twin}" only in form`);
  return problemOfFile(first, message, 'name');
}

function fold(name: string): string {
  return name.normalize('NFKC').toLowerCase();
}

/** Order that does not depend on the machine's language. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** By file, line and column, each once. */
export function sortProblems(problems: readonly Problem[]): readonly Problem[] {
  if (problems.length < 2) return problems;
  const sorted = [...problems].sort(
    (a, b) =>
      compare(a.file, b.file) ||
      a.line - b.line ||
      a.column - b.column ||
      compare(a.path, b.path) ||
      compare(a.message, b.message),
  );
  return sorted.filter((problem, index) => {
    const before = sorted[index - 1];
    return (
      before === undefined ||
      before.file !== problem.file ||
      before.line !== problem.line ||
      before.column !== problem.column ||
      before.path !== problem.path ||
      before.message !== problem.message
    );
  });
}
