// The judgement of reviews: a table of all roles and states, and streams of reviews against a small model of the same rules.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Change, Contributor, PullRequest, Review } from '../../reconciler/model/approval.ts';
import { type ApprovalRule, judgeChange } from '../../reconciler/plan/judge.ts';
import { person } from '../support/reviewed.ts';

const head = 'b'.repeat(40);
const older = 'a'.repeat(40);
const mergedAt = 1_000;
const rule: ApprovalRule = {
  minApprovals: 1,
  approvers: ['@alice', '@bob', '@acme/platform', '@writer', '@mallory', '@oakum', '@app[bot]', '@robot'],
  self: ['id-oakum'],
};

function aReview(name: string, more: Partial<Review> = {}): Review {
  return { id: `r-${name}`, by: person(name), emails: [], state: 'Approved', commit: head, at: 10, ...more };
}

function aChange(reviews: readonly Review[], more: Partial<Change> = {}, pull: Partial<PullRequest> = {}): Change {
  return {
    pull: {
      forge: 'github',
      number: 7,
      url: 'https://forge.test/pulls/7',
      title: 'a change',
      state: 'merged',
      base: 'main',
      branch: 'topic',
      fork: false,
      head,
      author: person('mallory'),
      merged: { commit: 'c'.repeat(40), at: mergedAt, by: person('merger') },
      ...pull,
    },
    contributors: [],
    reviews,
    teams: { '@acme/platform': ['id-carol'] },
    doubts: [],
    ...more,
  };
}

const hand = (more: Partial<Contributor>): Contributor => ({
  account: undefined,
  name: 'Somebody',
  email: 'somebody@acme.test',
  role: 'author',
  ...more,
});

const judged = (...args: Parameters<typeof aChange>): string => judgeChange(aChange(...args), rule).kind;

describe('who counts', () => {
  const writer = person('writer');
  it.each<[string, Review, Partial<Change>, 'approved' | 'waiting']>([
    ['a named person', aReview('alice'), {}, 'approved'],
    ['a name in other case', aReview('x', { by: person('Alice') }), {}, 'approved'],
    ['a member of a team', aReview('carol'), {}, 'approved'],
    ['a stranger', aReview('eve'), {}, 'waiting'],
    ['the author', aReview('mallory'), {}, 'waiting'],
    ['the author under a new name', aReview('alice', { by: { ...person('alice'), id: 'id-mallory' } }), {}, 'waiting'],
    ['Oakum itself', aReview('oakum'), {}, 'waiting'],
    ['an app', aReview('robot', { by: person('robot', { bot: true }) }), {}, 'waiting'],
    ['an app by its name', aReview('app[bot]'), {}, 'waiting'],
    ...(['author', 'committer', 'co-author'] as const).flatMap(
      (role): [string, Review, Partial<Change>, 'waiting'][] => [
        [`${role} by account`, aReview('writer'), { contributors: [hand({ role, account: writer })] }, 'waiting'],
        [
          `${role} by mail`,
          aReview('writer', { emails: ['Somebody@acme.test'] }),
          { contributors: [hand({ role })] },
          'waiting',
        ],
        [`${role} by login`, aReview('writer'), { contributors: [hand({ role, name: 'Writer' })] }, 'waiting'],
        [
          `${role} by hidden address`,
          aReview('writer'),
          { contributors: [hand({ role, email: '12+writer@users.noreply.github.com' })] },
          'waiting',
        ],
        [
          `${role} by number in a hidden address`,
          aReview('x', { by: { ...person('alice'), id: '12' } }),
          { contributors: [hand({ role, email: '12+old-name@users.noreply.github.com' })] },
          'waiting',
        ],
      ],
    ),
  ])('%s: %j', (_who, review, more, kind) => {
    expect(judged([review], more)).toBe(kind);
    // No other state of the same person's review approves, whoever it is.
    for (const state of ['ChangesRequested', 'Dismissed', 'Commented'] as const)
      expect(judged([{ ...review, state }], more)).not.toBe('approved');
    // And not another commit, none, or a time after the merge.
    for (const other of [{ commit: older }, { commit: undefined }, { at: mergedAt + 1 }, { at: Number.NaN }])
      expect(judged([{ ...review, ...other }], more)).toBe('waiting');
  });

  it('counts one person once, with two reviews, two logins of one account, or two accounts of one name', () => {
    const two = { ...rule, minApprovals: 2 };
    const again = [aReview('alice'), aReview('alice', { id: 'r2', at: 20 })];
    const renamed = [aReview('alice'), aReview('x', { by: { ...person('bob'), id: 'id-alice' }, at: 20 })];
    const keys = [aReview('alice'), aReview('x', { by: { ...person('alice'), id: 'other-key' }, at: 20 })];
    for (const reviews of [again, renamed, keys])
      expect(judgeChange(aChange(reviews), two)).toMatchObject({ kind: 'waiting' });
    expect(judgeChange(aChange([aReview('alice'), aReview('bob')]), two)).toMatchObject({
      kind: 'approved',
      by: [{ name: 'alice' }, { name: 'bob' }],
    });
  });

  it('wants one more when no signature proves who wrote', () => {
    expect(judged([aReview('alice')], { unproven: true })).toBe('waiting');
    expect(judged([aReview('alice'), aReview('bob')], { unproven: true })).toBe('approved');
  });

  it.each(['github', 'gitea'] as const)(
    'wants one more on %s when no account claims an address of who wrote',
    (forge) => {
      const by = (
        names: readonly string[],
        contributors: readonly Contributor[],
        more: Partial<ApprovalRule> = {},
      ): string =>
        judgeChange(
          aChange(
            names.map((name) => aReview(name)),
            { contributors },
            { forge },
          ),
          { ...rule, ...more },
        ).kind;
      for (const role of ['author', 'committer'] as const) {
        const strange = [hand({ role, email: 'made-up@nowhere.test' })];
        expect(by(['alice'], strange)).toBe('waiting');
        expect(by(['alice', 'bob'], strange)).toBe('approved');
        expect(by(['alice', 'bob'], strange, { unknownAuthors: 'hold' })).toBe('unverifiable');
        expect(by(['alice'], strange, { unknownAuthors: 'ignore' })).toBe('approved');
        expect(by(['alice'], strange, { own: true })).toBe('approved');
      }
      expect(by(['alice'], [hand({ account: person('writer') })], { unknownAuthors: 'hold' })).toBe('approved');
      expect(by(['alice'], [hand({ role: 'co-author' })], { unknownAuthors: 'hold' })).toBe('approved');
    },
  );

  it('lets nobody approve when no approver is named, and wants one approval at least', () => {
    expect(judgeChange(aChange([aReview('alice')]), { ...rule, approvers: [] }).kind).toBe('unverifiable');
    expect(judgeChange(aChange([]), { ...rule, minApprovals: 0 }).kind).toBe('waiting');
  });
});

describe('what stops an approval', () => {
  it('a dismissed approval revives no earlier one', () => {
    expect(judged([aReview('alice'), aReview('alice', { id: 'r2', state: 'Dismissed', at: 20 })])).toBe('waiting');
  });

  it('a request for changes, until that person approves or it is dismissed', () => {
    const no = aReview('alice', { state: 'ChangesRequested' });
    expect(judged([aReview('bob'), no])).toBe('vetoed');
    expect(judged([aReview('bob'), { ...no, at: mergedAt + 5 }])).toBe('vetoed');
    expect(judged([aReview('bob'), no, aReview('alice', { at: 20 })])).toBe('approved');
    expect(judged([aReview('bob'), { ...no, state: 'Dismissed' }])).toBe('approved');
    expect(judged([aReview('bob'), aReview('eve', { state: 'ChangesRequested' })])).toBe('approved');
  });

  it('naming whoever objects as a co-author silences nobody', () => {
    const contributors = [hand({ role: 'co-author', account: person('alice') })];
    expect(judged([aReview('bob'), aReview('alice', { state: 'ChangesRequested' })], { contributors })).toBe('vetoed');
  });

  it('a team that cannot be read, when the quorum needs it or somebody objects', () => {
    const teams = {};
    expect(judged([aReview('carol')], { teams })).toBe('unverifiable');
    expect(judged([aReview('alice')], { teams })).toBe('approved');
    expect(judged([aReview('alice'), aReview('eve', { state: 'ChangesRequested' })], { teams })).toBe('unverifiable');
  });

  it('a pull request to another branch, however well it was reviewed', () => {
    const to = (base: string): string =>
      judgeChange(aChange([aReview('alice')], {}, { base }), { ...rule, base: 'main' }).kind;
    expect(to('main')).toBe('approved');
    expect(to('release')).toBe('unverifiable');
    expect(to('Main')).toBe('unverifiable');
  });

  it('any doubt of the forge', () => {
    expect(judged([aReview('alice')], { doubts: ['reset_approvals_on_push is off'] })).toBe('unverifiable');
  });

  it('another head than the one that was reviewed (a push after the approval)', () => {
    const found = judgeChange(aChange([aReview('alice', { commit: older })]), rule);
    if (found.kind !== 'waiting') throw new Error(`it is ${found.kind}`);
    expect(found.message).toContain(`alice approved ${older.slice(0, 10)}, which is not the head`);
  });
});

describe('owners', () => {
  const owners = (...groups: readonly (readonly [readonly string[], number?])[]): Partial<ApprovalRule> => ({
    owners: {
      kind: 'groups',
      groups: groups.map(([names, wanted = 1]) => ({ path: 'clusters/prod/policy.yaml', owners: names, wanted })),
    },
  });
  const by = (more: Partial<ApprovalRule>, reviews: readonly Review[], change: Partial<Change> = {}): string =>
    judgeChange(aChange(reviews, change), { ...rule, ...more }).kind;
  const alice = aReview('alice');
  const olga = aReview('olga');

  it('must agree beside the quorum, each group', () => {
    expect(by(owners([['@olga']]), [alice])).toBe('waiting');
    expect(by(owners([['@olga']]), [olga])).toBe('waiting');
    expect(by(owners([['@olga']]), [alice, olga])).toBe('approved');
    expect(by(owners([['@alice']]), [alice])).toBe('approved');
    expect(by(owners([['@olga', '@otto']], [['@ida']]), [alice, olga])).toBe('waiting');
    expect(by(owners([['@olga', '@otto']], [['@ida']]), [alice, olga, aReview('ida')])).toBe('approved');
    expect(by(owners([['@olga', '@otto'], 2]), [alice, olga])).toBe('waiting');
    expect(by(owners([['@olga', '@otto'], 2]), [alice, olga, aReview('otto')])).toBe('approved');
  });

  it('are known by team and by mail address', () => {
    const teams = { '@acme/platform': ['id-carol'], '@acme/owners': ['id-olga'] };
    expect(by(owners([['@acme/owners']]), [alice, olga], { teams })).toBe('approved');
    expect(by(owners([['@acme/owners']]), [alice, aReview('otto')], { teams })).toBe('waiting');
    expect(by(owners([['@acme/owners']]), [alice, olga])).toBe('unverifiable');
    const mailed = aReview('olga', { emails: ['Olga@acme.test'] });
    expect(by(owners([['olga@acme.test']]), [alice, mailed])).toBe('approved');
    expect(by(owners([['olga@acme.test']]), [alice, olga])).toBe('waiting');
  });

  it.each<[string, Partial<Review>, Partial<Change>]>([
    ['who wrote', {}, { contributors: [hand({ account: person('olga') })] }],
    ['of another commit', { commit: older }, {}],
    ['that is a program', { by: person('olga', { bot: true }) }, {}],
    ['whose approval was dismissed', { state: 'Dismissed' }, {}],
    ['after the merge', { at: mergedAt + 1 }, {}],
  ])('%s do not count', (_who, more, change) => {
    expect(by(owners([['@olga']]), [alice, { ...olga, ...more }], change)).toBe('waiting');
  });

  it('have a veto', () => {
    const no = aReview('olga', { state: 'ChangesRequested' });
    expect(by(owners([['@olga', '@otto']]), [alice, no, aReview('otto')])).toBe('vetoed');
    expect(by({}, [alice, no])).toBe('approved');
  });

  it('are shown with what they said; two accounts of one name are one', () => {
    const twin = aReview('x', { by: { ...person('olga'), id: 'other' }, id: 'r2' });
    expect(by(owners([['@olga'], 2]), [alice, olga, twin])).toBe('waiting');
    expect(judgeChange(aChange([alice, olga]), { ...rule, ...owners([['@olga']]) })).toMatchObject({
      kind: 'approved',
      by: [{ name: 'alice' }],
      owners: [{ owners: ['@olga'], by: [{ name: 'olga', review: 'r-olga' }] }],
    });
  });

  it('that are not understood hold', () => {
    const message = 'CODEOWNERS, line 3: what is this?';
    expect(judgeChange(aChange([alice]), { ...rule, owners: { kind: 'unclear', message } })).toEqual({
      kind: 'unverifiable',
      message,
    });
  });
});

const names = ['alice', 'bob', 'carol', 'eve', 'mallory', 'writer'] as const;
const stream = fc
  .array(
    fc.record({
      name: fc.constantFrom(...names),
      state: fc.constantFrom('Approved', 'Approved', 'ChangesRequested', 'Dismissed', 'Commented'),
      commit: fc.constantFrom(head, head, older, undefined),
    }),
    { maxLength: 14 },
  )
  .map((all) => all.map(({ name, ...more }, at) => aReview(name, { ...more, id: `r${at}`, at: at * 100 })));
const contributors = [hand({ account: person('writer') })];
const eligible = ['alice', 'bob', 'carol'];

/** The same rules said again, person by person, from the end of the stream backwards. */
function model(reviews: readonly Review[], wanted: number): 'approved' | 'waiting' | 'vetoed' {
  const newestFirst = [...reviews].sort((a, b) => b.at - a.at);
  const final = (name: string): Review | undefined =>
    newestFirst.find(
      ({ by, state, at }) => by.name === name && state !== 'Commented' && (state !== 'Approved' || at <= mergedAt),
    );
  const objects = [...eligible, 'mallory', 'writer'].some((name) => final(name)?.state === 'ChangesRequested');
  if (objects) return 'vetoed';
  const agree = eligible.filter((name) => final(name)?.state === 'Approved' && final(name)?.commit === head);
  return agree.length >= wanted ? 'approved' : 'waiting';
}

describe('streams of reviews', () => {
  it('amount to what the model says, in whatever order the pages come', () => {
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 3 }), fc.infiniteStream(fc.nat()), (reviews, wanted, dice) => {
        const shuffled = reviews
          .map((review) => ({ review, key: Number(dice.next().value) }))
          .sort((a, b) => a.key - b.key)
          .map(({ review }) => review);
        const found = judgeChange(aChange(shuffled, { contributors }), { ...rule, minApprovals: wanted });
        expect(found.kind).toBe(model(reviews, wanted));
      }),
      { numRuns: 500 },
    );
  });

  it('never have somebody in the quorum who wrote, or the same person twice; fewer that count never approve', () => {
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 3 }), (reviews, wanted) => {
        const strict = { ...rule, minApprovals: wanted };
        const found = judgeChange(aChange(reviews, { contributors }), strict);
        if (found.kind !== 'approved') return;
        expect(found.by.filter(({ name }) => !eligible.includes(name))).toEqual([]);
        expect(new Set(found.by.map(({ id }) => id)).size).toBe(found.by.length);
        // Every approver is needed for a quorum of exactly that many, and a higher bar is not met by the same reviews.
        const exact = { ...rule, minApprovals: found.by.length };
        for (const { id } of found.by) {
          const without = reviews.filter(({ by }) => by.id !== id);
          expect(judgeChange(aChange(without, { contributors }), exact).kind).toBe('waiting');
        }
        expect(judgeChange(aChange(reviews, { contributors }), { ...exact, minApprovals: 4 }).kind).toBe('waiting');
        // The same reviews approve no other head.
        expect(judgeChange(aChange(reviews, { contributors }, { head: 'd'.repeat(40) }), strict).kind).toBe('waiting');
      }),
      { numRuns: 300 },
    );
  });
});
