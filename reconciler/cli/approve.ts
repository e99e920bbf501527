// `oakum approve`: a person agrees, by a signature of their own git: merges a proposal, or commits an approval file for what is on the branch already.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import { realClock } from '../adapters/clock.ts';
import { approvalFile, checkProposal, findTarget, type Place, type Target, wishesOf } from './approve-target.ts';
import { checkApproval, checkKey, keysOf } from './approve-check.ts';
import { deployedSigners } from './accepted-signers.ts';
import { openOwnGit, type OwnGit, snapshotAt } from './own-git.ts';
import { UsageError } from './settings.ts';

export interface ApproveFlags {
  readonly dir: string;
  readonly repo?: string;
  readonly remote: string;
  readonly branch?: string;
  readonly cluster?: string;
  readonly signers?: string;
  readonly yes?: boolean;
}

/** What surrounds the verb. */
export interface ApproveWorld {
  readonly now: () => number;
  readonly print: (text: string) => void;
  /** Asks the person; undefined: there is nobody to ask. */
  readonly confirm: ((question: string) => Promise<boolean>) | undefined;
  /** Added to the environment of git. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Lines of a difference that are shown. */
const mostLines = 400;

/** Adds the verb. */
export function registerApprove(program: Command): void {
  program
    .command('approve <what>')
    .description(
      'approve a run, a request, a file or a branch with your own signature, where there is no forge (on a forge, approve the pull request there)',
    )
    .addOption(new Option('--dir <folder>', 'clone of the config repository').default('.'))
    .addOption(new Option('--repo <url>', 'address of the config repository, in place of a clone'))
    .addOption(new Option('--remote <name>', 'remote of the clone').default('origin'))
    .addOption(new Option('--branch <name>', "config branch (default: the remote's HEAD)"))
    .addOption(new Option('--cluster <name>', 'which cluster, where several have a run or request of this name'))
    .addOption(new Option('--signers <dir>', 'keys of the deployment, where it has its own (default: signers/)'))
    .option('--yes', 'do not ask')
    .action(async (what: string, flags: ApproveFlags) => {
      const said = await approve(what, flags, {
        now: () => realClock.now(),
        print: (text) => void process.stdout.write(`${text}\n`),
        confirm: process.stdin.isTTY ? ask : undefined,
      });
      process.stdout.write(`${said}\n`);
    });
}

async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(?:es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

/** The whole verb; tells what was done. Throws UsageError, and then nothing was pushed. */
export async function approve(what: string, flags: ApproveFlags, world: ApproveWorld): Promise<string> {
  const scratch = mkdtempSync(join(tmpdir(), 'oakum-approve-'));
  try {
    const git = await openClone(flags, scratch, world);
    const work = join(scratch, 'work');
    try {
      return await approveIn(what, git, work, flags, world);
    } finally {
      await git.ask('worktree', 'remove', '--force', work);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function openClone(flags: ApproveFlags, scratch: string, { env }: ApproveWorld): Promise<OwnGit> {
  if (flags.repo !== undefined) {
    await openOwnGit(scratch, env).run('clone', '--quiet', '--no-checkout', '--', flags.repo, 'clone');
    return openOwnGit(join(scratch, 'clone'), env);
  }
  const git = openOwnGit(flags.dir, env);
  if ((await git.ask('rev-parse', '--git-dir')) === undefined)
    throw new UsageError(`${flags.dir} is no clone of the config repository; go there, or use --dir or --repo`);
  return git;
}

async function approveIn(
  what: string,
  git: OwnGit,
  work: string,
  flags: ApproveFlags,
  world: ApproveWorld,
): Promise<string> {
  const { remote } = flags;
  const deployed = flags.signers === undefined ? undefined : deployedSigners('signers', flags.signers);
  await checkKey(git);
  const branch = flags.branch ?? (await headOf(git, remote));
  const under = `refs/remotes/${remote}`;
  const refspecs = [`+refs/heads/${branch}:${under}/${branch}`, `+refs/heads/oakum/run/*:${under}/oakum/run/*`];
  await git.run('fetch', '--quiet', '--prune', remote, ...refspecs);
  const tip = await git.run('rev-parse', '--verify', `${under}/${branch}`);
  const place: Place = { git, remote, branch, tip, here: await snapshotAt(git, tip) };
  const signers = await keysOf(deployed, place);
  const target = await findTarget(what, flags.cluster, place);
  if (target.kind === 'merge') await checkProposal(target, place, world.now());

  const there = git.in(work);
  await git.run('worktree', 'add', '--quiet', '--detach', work, tip);
  if (target.kind === 'merge') await stageMerge(target, there, place);
  else await stageFile(target, there, place, signers);
  const staged = await snapshotAt(there, await there.run('write-tree'));
  if (target.cluster !== undefined) wishesOf(staged, target.cluster);

  world.print(await shown(target, there, place));
  const doing = target.kind === 'merge' ? `Merge ${target.branch} into ${branch}` : `Approve ${target.path}`;
  if (flags.yes !== true) {
    if (world.confirm === undefined) throw new UsageError('nobody is there to be asked; say --yes to approve this');
    if (!(await world.confirm(`${doing}, signed by you?`))) return 'Nothing was approved.';
  }
  await there.run('commit', '--quiet', '-S', '-m', messageOf(what, target));
  const commit = await there.run('rev-parse', 'HEAD');
  const { principal, note } = await checkApproval(target, commit, signers, place, world.now());
  const pushed = await pushTo(there, remote, branch);
  if (pushed !== undefined)
    throw new UsageError(
      `the approval was not pushed, so nothing is approved: ${pushed}\nIf ${branch} has moved on, call it again.`,
    );
  return `Approved as ${principal}: commit ${commit.slice(0, 10)} is on ${branch}.${note}`;
}

async function headOf(git: OwnGit, remote: string): Promise<string> {
  const said = await git.run('ls-remote', '--symref', remote, 'HEAD');
  const branch = /^ref: refs\/heads\/(\S+)\tHEAD$/m.exec(said)?.[1];
  if (branch === undefined)
    throw new UsageError(`${remote} does not say which branch it begins with; name it with --branch`);
  return branch;
}

/** Merges without committing. What git had to put together from both sides would be the merger's own work, which nobody has approved. */
async function stageMerge(target: Extract<Target, { kind: 'merge' }>, there: OwnGit, place: Place): Promise<void> {
  const { head, branch } = target;
  if ((await there.ask('merge-base', '--is-ancestor', head, place.tip)) !== undefined)
    throw new UsageError(
      `${branch} is on ${place.branch} already; name the request, the run or the file to approve it there`,
    );
  const merged = await there.ask('merge', '--no-ff', '--no-commit', '--quiet', head);
  if (merged === undefined)
    throw new UsageError(
      `${branch} does not merge into ${place.branch} cleanly; its author must bring it up to date first`,
    );
  const tree = await there.run('write-tree');
  const names = (from: string, to: string): Promise<string> => there.run('diff-tree', '-r', '--name-only', from, to);
  const [mine, theirs] = [await names(place.tip, tree), await names(head, tree)];
  const both = mine.split('\n').filter((name) => name !== '' && theirs.split('\n').includes(name));
  if (both.length > 0)
    throw new UsageError(
      `${both.slice(0, 3).join(', ')}: changed on ${branch} and on ${place.branch}, so that the merge would be more than either; its author must bring the branch up to date first`,
    );
}

async function stageFile(
  target: Extract<Target, { kind: 'file' }>,
  there: OwnGit,
  place: Place,
  signers: Awaited<ReturnType<typeof keysOf>>,
): Promise<void> {
  const email = (await there.ask('config', 'user.email')) ?? '';
  const known = [...signers.ssh, ...signers.openPgp].find(
    ({ principal }) => principal.toLowerCase() === email.toLowerCase(),
  );
  const { path, text } = approvalFile(target, place.here, { email, principal: known?.principal });
  mkdirSync(dirname(join(there.folder, path)), { recursive: true });
  writeFileSync(join(there.folder, path), text);
  await there.run('add', '--', path);
  if ((await there.ask('diff', '--cached', '--quiet')) !== undefined)
    throw new UsageError(
      `you have approved this already: ${path} says the same (if what it approves went and came back since, take that file away first)`,
    );
}

/** What is approved, for the person who is asked. */
async function shown(target: Target, there: OwnGit, { here, git, tip }: Place): Promise<string> {
  const parts: string[] = [];
  if (target.kind === 'merge') {
    const commits = await git.run('log', '--format=%h %an <%ae>%n%n%w(0,4,4)%B', `${tip}..${target.head}`);
    parts.push(commits, await there.run('diff', '--cached', tip));
  } else {
    const file = here.files.get(target.path);
    parts.push(`${target.path} (${file?.oid.slice(0, 10) ?? 'gone'}):`, file?.text ?? 'The file was taken away.');
    parts.push(await there.run('diff', '--cached', tip));
  }
  const lines = parts.join('\n\n').split('\n');
  const rest =
    lines.length > mostLines ? [`… and ${lines.length - mostLines} more lines; look at them before you agree`] : [];
  return [...lines.slice(0, mostLines), ...rest].map(printable).join('\n');
}

/** Nothing that somebody wrote may steer the terminal. */
function printable(line: string): string {
  return line.replaceAll(/[\p{Cc}\p{Cf}]/gu, (sign) => (sign === '\t' ? sign : '�'));
}

function messageOf(what: string, target: Target): string {
  const of = target.cluster === undefined ? '' : ` of ${target.cluster}`;
  return target.kind === 'merge'
    ? `Approve ${what}${of}: merge ${target.branch}`
    : `Approve ${what}${of}: ${target.path}`;
}

/** What git said when it was refused. */
async function pushTo(there: OwnGit, remote: string, branch: string): Promise<string | undefined> {
  try {
    await there.run('push', '--quiet', remote, `HEAD:refs/heads/${branch}`);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
