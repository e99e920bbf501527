// What a person means by the word after `oakum approve`: a proposal's branch, a file on the config branch, or a branch of somebody.
import { parse } from 'yaml';
import { readSchemas } from '../adapters/assets.ts';
import { createDesire } from '../desired/desired.ts';
import { closureOf } from '../model/approval.ts';
import type { ClusterDesired } from '../model/desired.ts';
import { canonical } from '../model/digest.ts';
import { apiVersion } from '../model/names.ts';
import type { ConfigSnapshot } from '../ports.ts';
import { proposalPath } from '../report/review-text.ts';
import { yamlText } from '../report/yaml-text.ts';
import { contentOf } from './approvals.ts';
import type { OwnGit } from './own-git.ts';
import { snapshotAt } from './own-git.ts';
import { UsageError } from './settings.ts';

/** What is approved, and how. */
export type Target =
  /** By merging a branch. `cluster` is undefined when it is about none, or several. */
  | { readonly kind: 'merge'; readonly branch: string; readonly head: string; readonly cluster: string | undefined }
  /** By an approval file: it is on the config branch already. */
  | { readonly kind: 'file'; readonly path: string; readonly cluster: string };

/** Where to look. */
export interface Place {
  readonly git: OwnGit;
  readonly remote: string;
  readonly branch: string;
  /** Commit at the config branch of the remote. */
  readonly tip: string;
  readonly here: ConfigSnapshot;
}

const proposals = 'oakum/run/';

/** Finds it. Throws UsageError with what could be meant instead. */
export async function findTarget(word: string, cluster: string | undefined, place: Place): Promise<Target> {
  const { git, remote, here } = place;
  const prefix = `refs/remotes/${remote}/`;
  const listed = await git.run('for-each-ref', '--format=%(objectname) %(refname)', `${prefix}${proposals}`);
  const open = listed.split('\n').flatMap((line) => {
    const [head = '', ref = ''] = line.split(' ');
    const branch = ref.slice(prefix.length);
    const [of = '', run = ''] = branch.slice(proposals.length).split('/');
    return run === '' ? [] : [{ head, branch, cluster: of, run }];
  });
  const meant = open.filter((one) => one.run === word && (cluster ?? one.cluster) === one.cluster);
  const files = [...here.files.keys()].filter((path) => {
    const [, of, kind, name] = /^clusters\/([^/]+)\/(runs|requests)\/([^/]+)\.yaml$/.exec(path) ?? [];
    return kind !== undefined && name === word && (cluster ?? of) === of;
  });
  const unmerged: typeof meant = [];
  for (const one of meant) {
    const path = proposalPath(one.cluster, one.run);
    const proposed = await git.ask('rev-parse', '--verify', '--quiet', `${one.head}:${path}`);
    if (proposed !== here.files.get(path)?.oid) unmerged.push(one);
  }
  const found: Target[] = [
    ...unmerged.map((one) => ({ kind: 'merge' as const, branch: one.branch, head: one.head, cluster: one.cluster })),
    ...files
      .filter((path) => !unmerged.some((one) => proposalPath(one.cluster, one.run) === path))
      .map((path) => ({ kind: 'file' as const, path, cluster: clusterOf(path) ?? '' })),
  ];
  const [first, ...others] = found;
  if (first && others.length > 0)
    throw new UsageError(
      `"${word}" could be several: ${found.map((one) => (one.kind === 'merge' ? one.branch : one.path)).join(', ')}; name the cluster with --cluster, or the path of the file`,
    );
  return first ?? (await byPath(word, place)) ?? (await byBranch(word, place, open));
}

/** A file by its path, also one that was taken away. */
async function byPath(word: string, { git, tip, here }: Place): Promise<Target | undefined> {
  const cluster = clusterOf(word);
  const known =
    here.files.has(word) || (word.includes('/') && (await git.ask('log', '-1', '--format=%H', tip, '--', word)));
  if (!known) return undefined;
  if (cluster === undefined)
    throw new UsageError(
      `${word} belongs to no cluster alone, so no approval file can speak for it: commit it on a branch and have that merged with a signature`,
    );
  return { kind: 'file', path: word, cluster };
}

async function byBranch(
  word: string,
  { git, remote, branch, tip }: Place,
  open: readonly { readonly run: string; readonly cluster: string }[],
): Promise<Target> {
  const fetched = await git.ask('fetch', '--quiet', remote, `+refs/heads/${word}:refs/remotes/${remote}/${word}`);
  const head =
    fetched === undefined || word === branch
      ? undefined
      : await git.ask('rev-parse', '--verify', '--quiet', `refs/remotes/${remote}/${word}`);
  if (head === undefined) {
    const proposed = open.map(({ run, cluster }) => `${run} (cluster ${cluster})`).join(', ') || 'none';
    throw new UsageError(
      `"${word}" is no proposed run, no request or file on ${branch}, and no branch of ${remote}; proposed now: ${proposed}`,
    );
  }
  const names = (await git.run('diff', '--name-only', `${tip}...${head}`)).split('\n');
  const clusters = [...new Set(names.map((name) => clusterOf(name)))];
  return { kind: 'merge', branch: word, head, cluster: clusters.length === 1 ? clusters[0] : undefined };
}

function clusterOf(path: string): string | undefined {
  return /^clusters\/([^/]+)\/./.exec(path)?.[1];
}

/** What a snapshot asks of a cluster. Throws UsageError when that is not valid. */
export function wishesOf(snapshot: ConfigSnapshot, cluster: string): ClusterDesired {
  const desired = createDesire(readSchemas())(snapshot).clusters.get(cluster);
  const [problem] = desired?.problems ?? [];
  if (desired === undefined || problem !== undefined)
    throw new UsageError(
      problem === undefined
        ? `there is no cluster ${cluster} in the repository`
        : `the configuration of ${cluster} would not be valid: ${problem.file}:${problem.line}:${problem.column}: ${problem.message}`,
    );
  return desired;
}

/** The approval file for what is on the branch: content by object id. */
export function approvalFile(
  { path, cluster }: Extract<Target, { kind: 'file' }>,
  here: ConfigSnapshot,
  person: { readonly email: string; readonly principal: string | undefined },
): { readonly path: string; readonly text: string } {
  const fleet = createDesire(readSchemas())(here).fleet;
  const oid = here.files.get(path)?.oid;
  const closure = closureOf(wishesOf(here, cluster), fleet, oid === undefined ? {} : { [path]: oid });
  const of = path.replace(/^.*\//, '').replace(/\.yaml$/, '');
  const name = `${slug(of, 40)}-${slug(person.email.split('@')[0] ?? '', 22)}`;
  const files = { ...closure.files, [path]: oid ?? 'gone' };
  return {
    path: `clusters/${cluster}/approvals/${name}.yaml`,
    text: yamlText({
      apiVersion,
      kind: 'PatchApproval',
      metadata: { name },
      spec: { ...(person.principal === undefined ? {} : { approver: person.principal }), files: sorted(files) },
    }),
  };
}

function sorted(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => (a < b ? -1 : 1)));
}

function slug(text: string, longest: number): string {
  const plain = text.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  return plain.replace(/^-+/, '').slice(0, longest).replace(/-+$/, '') || 'x';
}

/** Throws UsageError when a proposal cannot lead to a run any more: its time is over, or the rules under it have changed. */
export async function checkProposal(
  { branch, head, cluster = '' }: Extract<Target, { kind: 'merge' }>,
  { git, tip, here }: Place,
  now: number,
): Promise<void> {
  if (!branch.startsWith(proposals)) return;
  const run = branch.split('/').at(-1) ?? '';
  const text = (await snapshotAt(git, head)).files.get(proposalPath(cluster, run))?.text ?? '';
  const expires = Date.parse((parse(text) as { spec?: { expires?: string } } | null)?.spec?.expires ?? '');
  if (expires <= now)
    throw new UsageError(`run ${run} could wait for an approval until ${new Date(expires).toISOString()}`);
  const base = await git.run('merge-base', tip, head);
  const [before, after] = [await snapshotAt(git, base), here].map(
    (at) => contentOf(at, cluster, readSchemas())?.closure,
  );
  if (canonical(before ?? null) !== canonical(after ?? null))
    throw new UsageError(
      `the proposal is out of date: what the cluster ${cluster} is asked for has changed on the branch since; Oakum renews it within a minute or so`,
    );
}
