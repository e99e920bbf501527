// What Oakum writes on a Gitea and on a GitLab alike: how long texts may be, and which pull requests are ours.
import { AdapterError } from '../model/failure.ts';
import type { PullRequest } from '../model/approval.ts';

/** Both take more; a page with more is not read by people, and GitHub's limit is the same. */
export const commentLimit = 65_536;
/** The column of a title. */
export const titleLimit = 255;
/** The longest text of a status that the port allows. */
export const statusLimit = 140;
/** Stands in the comment that says why a pull request was closed, so that it is said once. */
export const closingMarker = '<!-- oakum:closed -->';

/** The pull requests from a branch of ours, the oldest first. */
export function fromBranch<T extends { readonly pull: PullRequest }>(open: readonly T[], branch: string): T[] {
  return open.filter(({ pull }) => pull.branch === branch && !pull.fork).sort((a, b) => a.pull.number - b.pull.number);
}

/** Whether people have said no to exactly this: a pull request from the branch was closed at this commit, and not merged. */
export function refusedAt(closed: readonly PullRequest[], branch: string, commit: string): PullRequest | undefined {
  return closed.find((pull) => pull.state === 'closed' && pull.branch === branch && pull.head === commit && !pull.fork);
}

/** Throws AdapterError `rejected` for a pull request that Oakum may not close. */
export function checkOurs(pull: PullRequest): void {
  if (!pull.branch.startsWith('oakum/') || pull.fork)
    throw new AdapterError('rejected', 'ForgeNotOurs', `Pull request ${pull.number} is not from a branch of ours.`);
}

/** A comment that its marker will find again; throws AdapterError `rejected` when it is too long. */
export function marked(text: string, marker: string): string {
  const whole = text.includes(marker) ? text : `${marker}\n${text}`;
  if (whole.length <= commentLimit) return whole;
  throw new AdapterError(
    'rejected',
    'ForgeTextTooLong',
    `A comment of ${whole.length} characters is too long: at most ${commentLimit}.`,
  );
}
