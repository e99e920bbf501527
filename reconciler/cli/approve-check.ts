// Whether an approval would count, asked before it is pushed: the key, the signature, and who had a hand in what is approved.
import { handsOf } from '../adapters/forge-git-change.ts';
import { judgeSignature } from '../adapters/signatures.ts';
import { readSigners, type Signers } from '../adapters/signers.ts';
import type { Change, Contributor } from '../model/approval.ts';
import { judgeChange } from '../plan/judge.ts';
import { type SignerFiles, signersIn } from './accepted-signers.ts';
import { type Place, type Target, wishesOf } from './approve-target.ts';
import type { OwnGit } from './own-git.ts';
import { UsageError } from './settings.ts';

/** The person's git must be able to sign. */
export async function checkKey(git: OwnGit): Promise<void> {
  const format = (await git.ask('config', 'gpg.format')) ?? 'openpgp';
  if (format !== 'ssh' && format !== 'openpgp')
    throw new UsageError(`gpg.format is "${format}"; signatures of commits are understood as ssh and openpgp`);
  const keys = [await git.ask('config', 'user.signingkey'), await git.ask('config', 'gpg.ssh.defaultKeyCommand')];
  if (format === 'ssh' && keys.every((key) => key === undefined || key === ''))
    throw new UsageError(
      'your git has no key to sign with; for an SSH key: git config --global gpg.format ssh && git config --global user.signingkey ~/.ssh/id_ed25519.pub',
    );
}

/** The keys that count, as far as a clone can tell: of the deployment, or of the config branch. */
export async function keysOf(deployed: SignerFiles | undefined, { here, branch }: Place): Promise<Signers> {
  const signers = await readSigners(deployed ?? signersIn(here));
  if (signers.ssh.length + signers.openPgp.length > 0) return signers;
  throw new UsageError(
    `nobody can sign here: ${branch} has no key in signers/ ${signers.problems.slice(0, 2).join(' ')}\nOn a forge, approve the pull request there. Where the deployment has the keys, give them with --signers.`,
  );
}

/** Judges the approval as Oakum will. Throws UsageError when it could not count. */
export async function checkApproval(
  target: Target,
  commit: string,
  signers: Signers,
  place: Place,
  now: number,
): Promise<{ readonly principal: string; readonly note: string }> {
  const { git } = place;
  const refuse = (why: string): UsageError => new UsageError(`${why}\nNothing was pushed, and nothing is approved.`);
  const verdict = await judgeSignature(await git.bytes(['cat-file', 'commit', commit]), signers, now);
  if (verdict.kind === 'unsigned') throw refuse('your git made no signature');
  if (verdict.kind === 'bad') throw refuse(verdict.message);
  const contributors: Contributor[] = [];
  let proven = true;
  for (const each of await broughtBy(target, place)) {
    const { hands, proven: signed } = await handsOf(await git.bytes(['cat-file', 'commit', each]), signers, now);
    contributors.push(...hands);
    proven &&= signed;
  }
  const { fingerprint: id, principal: name, emails, at } = verdict;
  const [first] = contributors;
  const change: Change = {
    pull: {
      forge: 'git',
      number: 0,
      url: '',
      title: '',
      state: 'merged',
      base: place.branch,
      branch: place.branch,
      fork: false,
      head: commit,
      author: first?.account ?? { id: `mail:${first?.email ?? ''}`, name: first?.email ?? '', bot: false },
      merged: { commit, at, by: undefined },
    },
    contributors,
    reviews: [{ id: commit, by: { id, name, bot: false }, emails, state: 'Approved', commit, at }],
    teams: {},
    doubts: [],
  };
  if (target.cluster === undefined) return { principal: name, note: '' };
  const rule = wishesOf(place.here, target.cluster).policy?.approval;
  if (rule === undefined) return { principal: name, note: '' };
  const judged = judgeChange(change, { minApprovals: 1, approvers: rule.approvers, self: [] });
  if (judged.kind !== 'approved') throw refuse(`this approval would not count: ${judged.message}`);
  const proposal = target.kind === 'merge' && target.branch.startsWith('oakum/run/');
  const wanted = rule.minApprovals + (proven || proposal ? 0 : 1);
  const more = wanted > 1 ? ` ${wanted} approvals are needed in all.` : '';
  return { principal: name, note: more };
}

/** The commits that brought what is approved to the branch, or will. */
async function broughtBy(target: Target, { git, tip }: Place): Promise<string[]> {
  const list = async (...words: string[]): Promise<string[]> =>
    (await git.run(...words)).split('\n').filter((line) => line !== '');
  if (target.kind === 'merge') return list('rev-list', `${tip}..${target.head}`);
  const [last] = await list('log', '--first-parent', '-1', '--format=%H %P', tip, '--', target.path);
  const [commit = '', , second] = last?.split(' ') ?? [];
  return second === undefined ? [commit] : list('rev-list', `${commit}^1..${commit}^2`);
}
