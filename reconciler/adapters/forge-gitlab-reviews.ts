// Reviews as GitLab has them: its diary of a merge request, who approves now, and what an approval was given to.
import type { Review } from '../model/approval.ts';
import type { GitlabAccount, GitlabApproval, GitlabNote, GitlabVersion } from './forge-gitlab-shapes.ts';
import type { Identity } from '../model/approval.ts';

/** What GitLab says about one merge request. */
export interface GitlabOpinions {
  readonly head: string;
  /** Oldest first. */
  readonly notes: readonly GitlabNote[];
  readonly approvals: readonly GitlabApproval[];
  /** Reviewers whose request for changes stands. */
  readonly vetoes: readonly Identity[];
  readonly versions: readonly GitlabVersion[];
  /** A push takes approvals away, and the setting that says so was read. */
  readonly resets: boolean;
  /** What accounts' own pages say, by id. */
  readonly accounts: ReadonlyMap<string, GitlabAccount>;
  /** Addresses that GitLab itself gives to an account. */
  readonly privateEmails: (by: Identity) => readonly string[];
}

type Kind = 'approved' | 'unapproved' | 'requested';

/** GitLab's own sentences, always in English (app/services/system_notes/merge_requests_service.rb). */
function kindOf({ system, text }: GitlabNote): Kind | undefined {
  if (!system) return undefined;
  if (text === 'approved this merge request') return 'approved';
  if (text === 'unapproved this merge request') return 'unapproved';
  return /^(has )?requested changes/.test(text) ? 'requested' : undefined;
}

/** Who pushed, when a note of the diary tells of a push ("added 2 commits"), or restored or rebased the branch. */
export function pusherOf({ system, text, by }: GitlabNote): Identity | undefined {
  return system && /^(added \d+ (new )?commits?|restored source branch|changed this (line|file) in)/.test(text)
    ? by
    : undefined;
}

/**
 * Reviews, oldest first. GitLab does not say which commit was reviewed: an approval is of the head when a push would have taken it away and it is
 * later than the newest version of the merge request; any other has no commit, and does not count. One that does not stand any more was dismissed.
 * A request for changes stands until the same person approves, whatever the state of the reviewer was set to.
 */
export function gitlabReviews(opinions: GitlabOpinions): readonly Review[] {
  const { head, notes, approvals, vetoes, versions, resets } = opinions;
  const newest = versions.reduce<GitlabVersion | undefined>(
    (best, one) => (best === undefined || one.id > best.id ? one : best),
    undefined,
  );
  const person = (by: Identity): Pick<Review, 'by' | 'emails'> => {
    const account = opinions.accounts.get(by.id);
    const email = account?.email;
    return {
      by: { id: by.id, name: by.name, bot: by.bot || account?.bot === true },
      emails: [...(email === undefined ? [] : [email]), ...opinions.privateEmails(by)],
    };
  };
  const told = notes.flatMap((note) => {
    const kind = kindOf(note);
    return kind === undefined && note.system ? [] : [{ note, kind }];
  });
  const standing = new Map(approvals.map((one) => [one.by.id, one]));
  /** The diary's last word of each person. */
  const last = new Map(told.filter(({ kind }) => kind !== undefined).map((one) => [one.note.by.id, one]));
  const commitAt = (at: number | undefined): string | undefined =>
    resets && newest !== undefined && newest.head === head && at !== undefined && at > newest.at ? head : undefined;
  const reviews: Review[] = [];
  for (const one of told) {
    const { note, kind } = one;
    if (kind === 'unapproved') continue;
    const approval = standing.get(note.by.id);
    const stands = approval !== undefined && last.get(note.by.id) === one;
    const state =
      kind === 'requested' ? 'ChangesRequested' : kind === undefined ? 'Commented' : stands ? 'Approved' : 'Dismissed';
    // Of two times that are told for one approval, the earlier counts.
    const at = state === 'Approved' ? Math.min(note.at, approval?.at ?? note.at) : note.at;
    const commit = state === 'Approved' ? commitAt(at) : undefined;
    reviews.push({ id: note.id, ...person(note.by), state, commit, at: note.at });
  }
  // What the diary does not tell: an approval is believed for its own time only, and a veto in any case.
  for (const { by, at } of approvals)
    if (last.get(by.id)?.kind !== 'approved')
      reviews.push({
        id: `approval-${by.id}`,
        ...person(by),
        state: 'Approved',
        commit: last.has(by.id) ? undefined : commitAt(at),
        at: at ?? 0,
      });
  const end = Math.max(0, ...reviews.map(({ at }) => at));
  const sorted = reviews.sort((a, b) => a.at - b.at);
  const standingVetoes = vetoes.filter(({ id }) => last.get(id)?.kind !== 'requested');
  return [
    ...sorted,
    ...standingVetoes.map((by): Review => ({
      id: `reviewer-${by.id}`,
      ...person(by),
      state: 'ChangesRequested',
      commit: undefined,
      at: end,
    })),
  ];
}
