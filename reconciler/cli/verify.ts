// `oakum verify`: checks the archived evidence of a run's approval again, in a clone, without any forge.
import fs from 'node:fs';
import type { Command } from 'commander';
import { Option } from 'commander';
import * as git from 'isomorphic-git';
import { parse } from 'yaml';
import { judgeSignature } from '../adapters/signatures.ts';
import { readSignedCommit } from '../adapters/signed-commit.ts';
import { readSigners, signersFolder } from '../adapters/signers.ts';
import { type ApprovalRecord, evidenceDigest } from '../model/approval.ts';
import { archivePath } from '../report/files.ts';
import { deployedSigners } from './accepted-signers.ts';
import { UsageError } from './settings.ts';

/** One question and its answer. */
export interface Check {
  readonly what: string;
  readonly ok: boolean;
  /** Why not, or what to do. */
  readonly note: string;
}

export interface VerifyFlags {
  readonly cluster: string;
  readonly dir: string;
  readonly branch: string;
  readonly statusBranch: string;
  readonly signers?: string;
}

/** Adds the verb. */
export function registerVerify(program: Command): void {
  program
    .command('verify <run>')
    .description('check the approval of an ended run again, in a clone of the repository and without the forge')
    .addOption(new Option('--cluster <name>', "the cluster's folder under clusters/").makeOptionMandatory())
    .addOption(new Option('--dir <folder>', 'clone of the config repository').default('.'))
    .addOption(new Option('--branch <name>', 'config branch, as the clone knows it').default('origin/main'))
    .addOption(
      new Option('--status-branch <name>', 'status branch, as the clone knows it').default('origin/oakum/status'),
    )
    .addOption(
      new Option(
        '--signers <dir>',
        'keys of the deployment, for signatures without a forge (default: signers/ of the clone)',
      ),
    )
    .action(async (run: string, flags: VerifyFlags) => {
      const checks = await verifyRun(run, flags);
      for (const { what, ok, note } of checks)
        process.stdout.write(`${ok ? 'ok    ' : 'FAILED'} ${what}${note === '' ? '' : `: ${note}`}\n`);
      if (checks.some(({ ok }) => !ok)) process.exitCode = 1;
    });
}

/** Every check, in order. Throws UsageError when there is no such run, or nothing to check. */
export async function verifyRun(run: string, flags: VerifyFlags): Promise<Check[]> {
  const { dir } = flags;
  const record = await readRecord(run, flags);
  const tip = await commitOf(dir, flags.branch);
  const checks: Check[] = [
    check('the evidence is as it was written', evidenceDigest(record) === record.digest, 'its digest is another'),
    check('enough people approved', quorum(record), `${record.by.length} of ${record.rule.minApprovals}`),
    check(
      'nobody approved after the merge',
      record.by.every(({ at }) => at <= record.mergedAt),
      'an approval is later than the merge',
    ),
  ];
  for (const [name, commit] of [
    ['reviewed', record.head],
    ['merged', record.merged],
  ] as const) {
    const wrong = await differing(dir, commit, record.closure.files);
    const hint = `git fetch origin ${commit}`;
    const note =
      wrong === undefined ? `the clone does not have ${commit}; try: ${hint}` : `other content: ${wrong.join(', ')}`;
    checks.push(check(`the ${name} commit has the approved files`, wrong?.length === 0, note));
  }
  const inside = await isInside(dir, record.merged, tip);
  checks.push(
    check(`the merge is in the history of ${flags.branch}`, inside, `${record.merged} is not an ancestor of ${tip}`),
  );
  // Without a forge the signatures themselves are in the clone.
  if (record.forge === 'git') for (const one of record.by) checks.push(await signedBy(one, record.mergedAt, flags));
  return checks;
}

/** Whether the commit that stands for an approval is signed by this very key, and the key was among those of the branch before it. */
async function signedBy(
  { id, name, review }: ApprovalRecord['by'][number],
  mergedAt: number,
  { dir, signers: folder }: VerifyFlags,
): Promise<Check> {
  const what = `${name} signed it`;
  let raw: Uint8Array;
  try {
    raw = new Uint8Array((await git.readObject({ fs, dir, oid: review, format: 'content' })).object as Uint8Array);
  } catch {
    return check(what, false, `the clone does not have ${review}; try: git fetch origin ${review}`);
  }
  const [before = review] = readSignedCommit(raw).parents;
  const files = folder === undefined ? await signersAt(dir, before) : deployedSigners('signers', folder);
  const verdict = await judgeSignature(raw, await readSigners(files), mergedAt);
  if (verdict.kind !== 'good') return check(what, false, verdict.kind === 'bad' ? verdict.message : 'it is not signed');
  return check(what, verdict.fingerprint === id, `${review} is signed by ${verdict.principal} with another key`);
}

/** The folder of the keys at a commit of the clone; empty when there is none. */
async function signersAt(dir: string, commit: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  const folder = signersFolder.replace(/\/$/, '');
  const found = await git.readTree({ fs, dir, oid: commit, filepath: folder }).catch(() => undefined);
  for (const { path, type, oid } of found?.tree ?? []) {
    if (type !== 'blob') continue;
    const { blob } = await git.readBlob({ fs, dir, oid });
    files.set(`${signersFolder}${path}`, new TextDecoder().decode(blob));
  }
  return files;
}

function check(what: string, ok: boolean, note: string): Check {
  return { what, ok, note: ok ? '' : note };
}

function quorum({ by, rule }: ApprovalRecord): boolean {
  const people = new Set(by.map(({ id }) => id));
  const named = rule.approvers.map((one) => one.replace(/^@/, '').toLowerCase());
  // Members of a team are known to the forge only; the record has them by number.
  const teams = named.some((one) => one.includes('/'));
  const owned = (rule.owners ?? []).every(
    ({ wanted, by: agreed }) => new Set(agreed.map(({ id }) => id)).size >= wanted,
  );
  return (
    owned &&
    people.size >= Math.max(1, rule.minApprovals) &&
    by.every(({ name }) => teams || named.includes(name.toLowerCase()))
  );
}

async function readRecord(run: string, flags: VerifyFlags): Promise<ApprovalRecord> {
  const path = archivePath(flags.cluster, run);
  const commit = await commitOf(flags.dir, flags.statusBranch);
  const blob = await git.readBlob({ fs, dir: flags.dir, oid: commit, filepath: path }).catch(() => undefined);
  if (blob === undefined)
    throw new UsageError(`${flags.statusBranch} has no ${path}: is the run over, and the branch fetched?`);
  const text = new TextDecoder().decode(blob.blob);
  const found = (parse(text) as { status?: { approval?: ApprovalRecord } } | null)?.status?.approval;
  if (found === undefined) throw new UsageError(`run ${run} needed no approval by review: its archive has no evidence`);
  return found;
}

async function commitOf(dir: string, ref: string): Promise<string> {
  try {
    return await git.resolveRef({ fs, dir, ref });
  } catch {
    throw new UsageError(`${dir} has no branch ${ref}; name it with --branch or --status-branch`);
  }
}

/** Files whose content is another one there; undefined when the clone does not have the commit. */
async function differing(
  dir: string,
  commit: string,
  files: Readonly<Record<string, string>>,
): Promise<string[] | undefined> {
  try {
    await git.readCommit({ fs, dir, oid: commit });
  } catch {
    return undefined;
  }
  const wrong: string[] = [];
  for (const [filepath, oid] of Object.entries(files)) {
    const there = await git.readBlob({ fs, dir, oid: commit, filepath }).catch(() => undefined);
    if (there?.oid !== oid) wrong.push(filepath);
  }
  return wrong;
}

async function isInside(dir: string, ancestor: string, oid: string): Promise<boolean> {
  if (ancestor === oid) return true;
  return git.isDescendent({ fs, dir, oid, ancestor, depth: -1 }).catch(() => false);
}
