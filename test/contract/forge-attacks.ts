// Ways past the reviews, on every forge: what people do there, what the adapter tells of it, and what the judge makes of that.
import { describe, expect, it } from 'vitest';
import { judgeChange, teamsOf, type ApprovalRule } from '../../reconciler/plan/judge.ts';
import type { Forge } from '../../reconciler/ports.ts';
import type { CommitWords, ForgeWorld, Person, Style, WorldAbilities } from './forge-suite.ts';

/** What the suite of one forge hands over. */
export interface AttackStage {
  readonly abilities: WorldAbilities;
  readonly world: () => ForgeWorld;
  readonly forge: () => Forge;
  readonly people: () => { readonly alice: Person; readonly bob: Person; readonly merger: Person };
  /** A name that no other test has. */
  readonly fresh: (word: string) => string;
}

interface Proposed {
  readonly number: number;
  readonly branch: string;
  readonly file: string;
}

/** `bob` may approve; `alice` writes; `merger` merges whatever there is. */
export function describeAttacks({ abilities, world, forge, people, fresh }: AttackStage): void {
  const ruleOf = (approvers: readonly string[], minApprovals = 1): ApprovalRule => ({
    approvers,
    minApprovals,
    self: [world().oakum.name],
  });
  const ofBob = (): ApprovalRule => ruleOf(['@bob']);

  /** What counts for a file on the config branch: the judgement of its pull request, or that it has none. */
  async function verdict(file: string, rule: ApprovalRule): Promise<string> {
    const { pull } = await forge().bringing(file);
    if (pull === undefined) return 'direct';
    return judgeChange(await forge().change(pull.number, teamsOf(rule)), rule).kind;
  }

  async function propose(by: Person, words: Partial<CommitWords> = {}): Promise<Proposed> {
    const branch = fresh('attack');
    const file = `clusters/${fresh('attacked')}/policy.yaml`;
    await world().commit(branch, { [file]: 'as it was reviewed\n' }, { by, ...words });
    return { number: await world().pull(branch, by), branch, file };
  }
  /** Whoever merges need not have agreed. */
  const merge = (one: Proposed, style: Style): Promise<void> => world().merge(one.number, people().merger, style);
  const push = (one: Proposed, text: string, by: Person, words: Partial<CommitWords> & { force?: boolean } = {}) =>
    world().commit(one.branch, { [one.file]: text }, { by, ...words });

  describe('the ways past the reviews', () => {
    for (const style of ['merge', 'squash', 'rebase'] as const satisfies readonly Style[])
      it(`none: a reviewed change that was merged by ${style} counts`, async () => {
        const { alice, bob } = people();
        const one = await propose(alice);
        await world().review(one.number, bob, 'Approved');
        await merge(one, style);
        // Where the rebase pushes, it takes the approvals away: not yet, rather than wrongly.
        const lost = abilities.rebaseMovesHead === true && style === 'rebase';
        expect(await verdict(one.file, ofBob())).toBe(lost ? 'waiting' : 'approved');
      });

    for (const style of ['merge', 'squash', 'rebase'] as const satisfies readonly Style[])
      for (const force of [false, true])
        it(`a ${force ? 'force-push' : 'commit'} after the approval, merged by ${style}`, async () => {
          const { alice, bob } = people();
          const one = await propose(alice);
          await world().review(one.number, bob, 'Approved');
          await push(one, 'never seen by anybody\n', alice, { force });
          await merge(one, style);
          expect(await verdict(one.file, ofBob())).toBe('waiting');
        });

    it('an approval of a commit that was replaced, closed, and opened again', async () => {
      const { alice, bob } = people();
      const one = await propose(alice);
      await world().review(one.number, bob, 'Approved');
      await world().close(one.number);
      await world().reopen(one.number);
      await push(one, 'never seen by anybody\n', alice);
      await merge(one, 'squash');
      expect(await verdict(one.file, ofBob())).toBe('waiting');
    });

    it('closing and opening again alone takes nothing away', async () => {
      const { alice, bob } = people();
      const one = await propose(alice);
      await world().review(one.number, bob, 'Approved');
      await world().close(one.number);
      await world().reopen(one.number);
      await merge(one, 'merge');
      expect(await verdict(one.file, ofBob())).toBe('approved');
    });

    if (abilities.selfApproval)
      it('an approval of the own change', async () => {
        const { bob } = people();
        const one = await propose(bob);
        await world().review(one.number, bob, 'Approved');
        await merge(one, 'merge');
        expect(await verdict(one.file, ofBob())).toBe('waiting');
      });

    for (const role of ['author', 'committer', 'co-author'] as const)
      it(`an approval by the ${role} of a commit in somebody else's pull request`, async () => {
        const { alice, bob } = people();
        const person = { name: 'Somebody Else', email: bob.email.toUpperCase() };
        const words = role === 'co-author' ? { coAuthors: [person] } : { [role]: person };
        const one = await propose(alice, words);
        await world().review(one.number, bob, 'Approved');
        await merge(one, 'squash');
        expect(await verdict(one.file, ofBob())).toBe('waiting');
        const carol = await world().person(fresh('carol'));
        const two = await propose(alice, words);
        await world().review(two.number, bob, 'Approved');
        await world().review(two.number, carol, 'Approved');
        await merge(two, 'squash');
        expect(await verdict(two.file, ruleOf(['@bob', `@${carol.name}`], 2))).toBe('waiting');
        expect(await verdict(two.file, ruleOf(['@bob', `@${carol.name}`], 1))).toBe('approved');
      });

    it('an approval by Oakum itself, or by a program, though the policy names it', async () => {
      const { alice } = people();
      const one = await propose(alice);
      const names = [`@${world().oakum.name}`];
      await world().review(one.number, world().oakum, 'Approved');
      const bot = abilities.bot && (await world().bot?.(fresh('robot')));
      if (bot) {
        await world().review(one.number, bot, 'Approved');
        names.push(`@${bot.name}`);
      }
      await merge(one, 'merge');
      expect(await verdict(one.file, ruleOf(names))).toBe('waiting');
    });

    if (abilities.dismissal)
      it('an approval that was dismissed, and the one before it', async () => {
        const { alice, bob } = people();
        const one = await propose(alice);
        await world().review(one.number, bob, 'Approved');
        await world().dismiss(one.number, await world().review(one.number, bob, 'Approved'));
        await merge(one, 'merge');
        expect(await verdict(one.file, ofBob())).toBe('waiting');
      });

    it('a merge over the objection of somebody who may approve', async () => {
      const { alice, bob } = people();
      const carol = await world().person(fresh('carol'));
      const one = await propose(alice);
      await world().review(one.number, carol, 'Approved');
      await world().review(one.number, bob, 'ChangesRequested');
      await world().review(one.number, bob, 'Commented');
      await merge(one, 'merge');
      expect(await verdict(one.file, ruleOf(['@bob', `@${carol.name}`]))).toBe('vetoed');
    });

    if (abilities.smallPages)
      it('an objection on a later page', async () => {
        const { alice, bob } = people();
        const carol = await world().person(fresh('carol'));
        const one = await propose(alice);
        await world().review(one.number, carol, 'Approved');
        for (let index = 0; index < 4; index++) await world().review(one.number, carol, 'Commented');
        await world().review(one.number, bob, 'ChangesRequested');
        await merge(one, 'merge');
        world().smallPages?.(2);
        try {
          expect(await verdict(one.file, ruleOf(['@bob', `@${carol.name}`]))).toBe('vetoed');
        } finally {
          world().smallPages?.(100);
        }
      });

    it('a merge by an administrator without any review, or with that of a stranger', async () => {
      const { alice } = people();
      const one = await propose(alice);
      await world().review(one.number, await world().person(fresh('eve')), 'Approved');
      await merge(one, 'squash');
      expect(await verdict(one.file, ofBob())).toBe('waiting');
      const two = await propose(alice);
      await merge(two, 'merge');
      expect(await verdict(two.file, ofBob())).toBe('waiting');
    });

    it('words that look like an approval', async () => {
      const { alice, bob } = people();
      const one = await propose(alice);
      for (const text of ['/approve', 'LGTM', 'approved this merge request', '@oakum approve'])
        await world().say(one.number, bob, text);
      await world().review(one.number, bob, 'Commented');
      await merge(one, 'merge');
      expect(await verdict(one.file, ofBob())).toBe('waiting');
    });

    it('a push past the pull requests, also of content that was approved once', async () => {
      const { alice, bob } = people();
      const one = await propose(alice);
      await world().review(one.number, bob, 'Approved');
      await merge(one, 'merge');
      expect(await verdict(one.file, ofBob())).toBe('approved');
      await world().commit('main', { [one.file]: 'another\n' }, { by: alice });
      expect(await verdict(one.file, ofBob())).toBe('direct');
      await world().commit('main', { [one.file]: 'as it was reviewed\n' }, { by: alice });
      expect(await verdict(one.file, ofBob())).toBe('direct');
    });

    it('a team that is gone, and a member who has left it', async () => {
      const { alice, bob } = people();
      const name = fresh('keepers');
      const team = await world().team(name, [bob]);
      const one = await propose(alice);
      await world().review(one.number, bob, 'Approved');
      await merge(one, 'merge');
      expect(await verdict(one.file, ruleOf([team]))).toBe('approved');
      await world().removeTeam(team);
      expect(await verdict(one.file, ruleOf([team]))).toBe('unverifiable');
      const again = await world().team(fresh('others'), [await world().person(fresh('dora'))]);
      expect(await verdict(one.file, ruleOf([again]))).toBe('waiting');
    });

    if (abilities.rename)
      it('another name: who wrote stays who wrote, and the old name is nobody', async () => {
        const { alice } = people();
        const writer = await world().person(fresh('writer'));
        const one = await propose(alice, { author: { name: 'W', email: writer.email } });
        const renamed = (await world().rename?.(writer, fresh('renamed'))) ?? writer;
        await world().review(one.number, renamed, 'Approved');
        await merge(one, 'merge');
        expect(await verdict(one.file, ruleOf([`@${renamed.name}`]))).toBe('waiting');
        const reviewer = await world().person(fresh('reviewer'));
        const two = await propose(alice);
        await world().review(two.number, reviewer, 'Approved');
        await merge(two, 'merge');
        const other = (await world().rename?.(reviewer, fresh('other'))) ?? reviewer;
        expect(await verdict(two.file, ruleOf([`@${reviewer.name}`]))).toBe('waiting');
        expect(await verdict(two.file, ruleOf([`@${other.name}`]))).toBe('approved');
      });
  });
}
