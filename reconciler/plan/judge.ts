// The judgement of a change: have enough of the right people approved exactly this?
import type { ApprovalRecord, Change, Review } from '../model/approval.ts';
import type { OwnerDemand, OwnerGroup } from '../model/code-owners.ts';
import type { ApprovalRules } from '../model/policy.ts';

/** Who must agree. */
export interface ApprovalRule {
  readonly minApprovals: number;
  /** `@login`, `@org/team`, or the principal of a key. Never empty: without names nobody can approve. */
  readonly approvers: readonly string[];
  /** What becomes of commits by addresses that no account claims. Absent: `oneMore`. */
  readonly unknownAuthors?: ApprovalRules['unknownAuthors'];
  /** What is judged says exactly what Oakum itself proposed: then it does not matter who wrote the commits. */
  readonly own?: boolean;
  /** The config branch: reviews of what went to another one are of something else. Absent: not known (a preview). */
  readonly base?: string;
  /** Names and ids of Oakum's own accounts: they never count. */
  readonly self: readonly string[];
  /** What CODEOWNERS demands beside the quorum; absent: nothing. */
  readonly owners?: OwnerDemand;
}

/** What the reviews amount to. Only `approved` allows anything. */
export type Judgement =
  | {
      readonly kind: 'approved';
      readonly by: ApprovalRecord['by'];
      /** How the demand of CODEOWNERS was met. */
      readonly owners?: NonNullable<ApprovalRecord['rule']['owners']>;
    }
  | { readonly kind: 'waiting'; readonly message: string }
  | { readonly kind: 'vetoed'; readonly message: string }
  | { readonly kind: 'unverifiable'; readonly message: string };

/**
 * Judges a pull request at its head. For each account the last decisive review counts (an approval, a request for changes, a dismissal); an approval only of
 * the head commit, and not later than the merge; a dismissed one revives nothing. Nobody who had a hand in the commits counts, and no bot; accounts (or
 * keys) that show the same name are one person. A request for changes by somebody who may approve is a veto until that person approves or it is
 * dismissed, also when that person had a hand in the commits: else a `Co-authored-by` line would silence whoever objects. Where owners must agree, each group needs
 * approvals of its own, which count for it whether or not their givers are in `approvers`.
 */
export function judgeChange(change: Change, rule: ApprovalRule): Judgement {
  const [doubt] = change.doubts;
  if (doubt !== undefined) return { kind: 'unverifiable', message: doubt };
  if (rule.approvers.length === 0)
    return { kind: 'unverifiable', message: 'the policy names nobody in approval.approvers who could approve' };
  if (rule.owners?.kind === 'unclear') return { kind: 'unverifiable', message: rule.owners.message };
  const groups = rule.owners?.groups ?? [];
  const { pull } = change;
  if (rule.base !== undefined && pull.base !== rule.base)
    return { kind: 'unverifiable', message: `it was reviewed for the branch "${pull.base}", not for "${rule.base}"` };
  const strangers = rule.own === true || rule.unknownAuthors === 'ignore' ? [] : unclaimed(change);
  if (rule.unknownAuthors === 'hold' && strangers.length > 0)
    return {
      kind: 'unverifiable',
      message: `no account of the forge claims ${strangers.slice(0, 3).join(', ')}, an address of who wrote the commits`,
    };
  const before = pull.merged?.at ?? Number.POSITIVE_INFINITY;
  const lost = unresolvedTeams(change, rule);
  const hands = contributorsOf(change);
  const by: ApprovalRecord['by'][number][] = [];
  /** Approvals that nothing speaks against, whoever may give them. */
  const sound: Review[] = [];
  const counted = new Set<string>();
  const objections: string[] = [];
  const passed: string[] = [];
  for (const review of lastDecisive(change.reviews, before)) {
    const { name, id } = review.by;
    const program = isBot(review) || isSelf(review, rule);
    const may = isApprover(review, change, rule);
    if (review.state === 'ChangesRequested' && !program) {
      if (may || groups.some((group) => owns(review, group, change)))
        return { kind: 'vetoed', message: `${name} requests changes` };
      objections.push(name);
    }
    if (review.state !== 'Approved') continue;
    if (!program && !hands(review) && review.commit === pull.head) sound.push(review);
    const why = program
      ? 'is no person'
      : hands(review)
        ? 'had a hand in the commits'
        : !may
          ? 'is not among approval.approvers'
          : review.commit === undefined
            ? 'approved a commit that the forge does not name'
            : review.commit !== pull.head
              ? `approved ${review.commit.slice(0, 10)}, which is not the head`
              : counted.has(name.toLowerCase())
                ? 'approved with another account already'
                : undefined;
    if (why !== undefined) passed.push(`${name} ${why}`);
    else {
      by.push({ id, name, review: review.id, at: review.at });
      counted.add(name.toLowerCase());
    }
  }
  // Somebody who objects may be in a team that nobody can read: that would be a veto.
  if (lost.length > 0 && objections.length > 0)
    return {
      kind: 'unverifiable',
      message: `${objections.slice(0, 5).join(', ')} requests changes, and the members of ${lost.join(', ')} cannot be read from the forge`,
    };
  const wanted = Math.max(1, rule.minApprovals) + (change.unproven === true || strangers.length > 0 ? 1 : 0);
  if (by.length >= wanted) return judgeOwners(change, groups, sound, lost) ?? approved(change, groups, sound, by);
  if (lost.length > 0)
    return { kind: 'unverifiable', message: `the members of ${lost.join(', ')} cannot be read from the forge` };
  const not = passed.length > 0 ? `; not counted: ${passed.slice(0, 5).join(', ')}` : '';
  return {
    kind: 'waiting',
    message: `${by.length} of ${wanted} approvals of ${pull.head.slice(0, 10)} by ${rule.approvers.slice(0, 5).join(', ')}${not}${moreNeeded(change, strangers)}`,
  };
}

/** What the owners of a file still have to say; undefined: nothing. */
function judgeOwners(
  change: Change,
  groups: readonly OwnerGroup[],
  sound: readonly Review[],
  lost: readonly string[],
): Judgement | undefined {
  for (const group of groups) {
    const { path, owners, wanted } = group;
    const given = personsOf(sound.filter((review) => owns(review, group, change))).length;
    if (given >= wanted) continue;
    const unknown = lost.filter((team) => owners.includes(team));
    if (unknown.length > 0)
      return { kind: 'unverifiable', message: `the members of ${unknown.join(', ')} cannot be read from the forge` };
    return {
      kind: 'waiting',
      message: `${given} of ${wanted} approvals of ${change.pull.head.slice(0, 10)} by owners of ${path} (${owners.slice(0, 5).join(', ')})`,
    };
  }
  return undefined;
}

function approved(
  change: Change,
  groups: readonly OwnerGroup[],
  sound: readonly Review[],
  by: ApprovalRecord['by'],
): Judgement {
  if (groups.length === 0) return { kind: 'approved', by };
  const owners = groups.map((group) => ({
    ...group,
    by: personsOf(sound.filter((review) => owns(review, group, change))).map(({ by: who, id: review, at }) => ({
      id: who.id,
      name: who.name,
      review,
      at,
    })),
  }));
  return { kind: 'approved', by, owners };
}

/** Accounts that show the same name are one person. */
function personsOf(reviews: readonly Review[]): Review[] {
  return [...new Map(reviews.map((review) => [review.by.name.toLowerCase(), review])).values()];
}

/** Whether a review is by one of these owners: by login, by team, or by a mail address that the forge tells. */
function owns(review: Review, { owners }: OwnerGroup, change: Change): boolean {
  return owners.some((owner) => {
    if (!owner.startsWith('@')) return review.emails.some((email) => email.toLowerCase() === owner.toLowerCase());
    if (owner.includes('/')) return change.teams[owner]?.includes(review.by.id) === true;
    return plain(owner).toLowerCase() === review.by.name.toLowerCase();
  });
}

/**
 * Addresses of authors and committers that no account claims, where the forge tells accounts: GitLab does not, and keeps committers out by itself. Who is named as a co-author
 * only could as well have been left out.
 */
function unclaimed({ pull, contributors }: Change): string[] {
  if (pull.forge !== 'github' && pull.forge !== 'gitea') return [];
  const strange = contributors.filter(({ account, role }) => account === undefined && role !== 'co-author');
  return [...new Set(strange.map(({ email, name }) => email || name))];
}

function moreNeeded(change: Change, strangers: readonly string[]): string {
  if (strangers.length > 0)
    return `; one more than usual, because no account of the forge claims ${strangers.slice(0, 3).join(', ')}`;
  return change.unproven === true ? '; one more than usual, because no signature proves who wrote the commits' : '';
}

/** The teams among the approvers, as they are asked for. */
export function teamsOf(rule: Pick<ApprovalRule, 'approvers' | 'owners'>): string[] {
  const owners = rule.owners?.kind === 'groups' ? rule.owners.groups.flatMap((group) => group.owners) : [];
  const named = [...rule.approvers, ...owners.filter((owner) => owner.startsWith('@'))];
  return [...new Set(named.filter((one) => plain(one).includes('/')))].sort();
}

/**
 * One review for each account: the last one that decides, by its time; the forge's order settles equal times. What was approved after the merge, or
 * at no known time, decides nothing; a doubt that came after the merge does.
 */
function lastDecisive(reviews: readonly Review[], mergedAt: number): Review[] {
  const last = new Map<string, Review>();
  const time = ({ at }: Review): number => (Number.isFinite(at) ? at : Number.MAX_VALUE);
  for (const review of [...reviews].sort((a, b) => time(a) - time(b))) {
    if (review.state === 'Commented') continue;
    if (review.state === 'Approved' && !(Number.isFinite(review.at) && review.at <= mergedAt)) continue;
    last.set(review.by.id, review);
  }
  return [...last.values()];
}

/** What a forge calls an app ends so, whatever it says about its kind. */
function isBot({ by }: Review): boolean {
  return by.bot || /\[bot\]$/i.test(by.name);
}

function isApprover(review: Review, change: Change, rule: ApprovalRule): boolean {
  return rule.approvers.some((approver) => {
    const name = plain(approver);
    if (name.includes('/')) return change.teams[approver]?.includes(review.by.id) === true;
    return name.toLowerCase() === review.by.name.toLowerCase();
  });
}

function isSelf(review: Review, rule: ApprovalRule): boolean {
  return rule.self.some((own) => own === review.by.id || own.toLowerCase() === review.by.name.toLowerCase());
}

/** Knows everybody who had a hand in the change: by account, by mail address, and by login where nothing better is known. */
function contributorsOf(change: Change): (review: Review) => boolean {
  const ids = new Set([change.pull.author.id]);
  const names = new Set([change.pull.author.name.toLowerCase()]);
  const emails = new Set<string>();
  for (const { account, name, email } of change.contributors) {
    if (account) ids.add(account.id);
    // Without an account the name in the commit is all there is to know somebody by who hides the mail address.
    names.add((account?.name ?? name).toLowerCase());
    // Addresses that forges make for people who hide theirs: `login@users.noreply.…`, `number+login@users.noreply.…`.
    const hidden = /^(?:(\d+)[+-])?([^@]+)@(?:users\.)?noreply\./i.exec(email);
    if (hidden?.[1] !== undefined) ids.add(hidden[1]);
    if (hidden?.[2] !== undefined) names.add(hidden[2].toLowerCase());
    if (email !== '') emails.add(email.toLowerCase());
  }
  return (review) =>
    ids.has(review.by.id) ||
    names.has(review.by.name.toLowerCase()) ||
    review.emails.some((email) => emails.has(email.toLowerCase()));
}

function unresolvedTeams(change: Change, rule: ApprovalRule): string[] {
  return teamsOf(rule).filter((team) => change.teams[team] === undefined);
}

function plain(approver: string): string {
  return approver.replace(/^@/, '');
}
