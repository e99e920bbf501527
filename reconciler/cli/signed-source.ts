// Signed commits only: why a commit of the config branch may not be gone by, where the deployment demands signatures.
import type { GitHistory } from '../adapters/git.ts';
import { judgeSignature } from '../adapters/signatures.ts';
import { readSigners } from '../adapters/signers.ts';
import type { Clock, ReviewGit } from '../ports.ts';
import type { Proof } from '../source.ts';
import { signersIn, type SignerFiles } from './accepted-signers.ts';

/** Lines that were found good; a commit never changes. */
const mostKnown = 100;

/**
 * Makes the check: every commit on the branch itself (along first parents) since the one accepted last is signed by a key of that very commit, or of the deployment where
 * it has keys of its own. A merge stands for what it brought. The first commit of all is judged by its own keys, unless the deployment has some.
 */
export function signedOnly(
  git: Pick<GitHistory, 'line'> & Pick<ReviewGit, 'readAt'>,
  deployed: SignerFiles | undefined,
  clock: Pick<Clock, 'now'>,
): Proof {
  const known = new Set<string>();
  return async ({ tip, after, keysAt }) => {
    if (tip === after) return undefined;
    const key = [tip, after ?? '', keysAt].join(' ');
    if (known.has(key)) return undefined;
    const from = keysAt.slice(0, 10);
    const signers = await readSigners(deployed ?? signersIn(await git.readAt({ commit: keysAt })));
    if (signers.ssh.length + signers.openPgp.length === 0)
      return `Commits must be signed, and ${deployed ? '--signers' : `the folder signers/ of ${from}`} holds no key that is understood.`;
    const line = await git.line(tip, after);
    if (line === undefined)
      return `Commits must be signed, and ${after?.slice(0, 10) ?? ''}, accepted last, is not on the line of first parents of ${tip.slice(0, 10)}: it cannot be told which commits are new.`;
    // The oldest first: that is the one to look at.
    for (const { commit, raw } of [...line].reverse()) {
      const verdict = await judgeSignature(raw, signers, clock.now());
      if (verdict.kind === 'good') continue;
      const why = verdict.kind === 'unsigned' ? 'It is not signed.' : verdict.message;
      return `Commit ${commit.slice(0, 10)} is not signed by somebody who may (keys of ${deployed ? 'the deployment' : from}): ${why}`;
    }
    known.add(key);
    const [oldest] = known;
    if (known.size > mostKnown && oldest !== undefined) known.delete(oldest);
    return undefined;
  };
}
