// What every forge must do, whichever it is: the same behaviours run against each adapter and each forge, false or real.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Change } from '../../reconciler/model/approval.ts';
import { AdapterError, type Problem } from '../../reconciler/model/failure.ts';
import type { Forge } from '../../reconciler/ports.ts';
import { describeAttacks } from './forge-attacks.ts';
import type { ForgeFault, ForgeRequest } from '../support/fake-forge-server.ts';

/** A person (or a program) with an account. */
export interface Person {
  readonly id: string;
  readonly name: string;
  readonly email: string;
}

export type Style = 'merge' | 'squash' | 'rebase';
export type Content = Readonly<Record<string, string | undefined>>;

/** How a commit is made. */
export interface CommitWords {
  readonly by: Person;
  readonly author?: { readonly name: string; readonly email: string };
  readonly committer?: { readonly name: string; readonly email: string };
  readonly coAuthors?: readonly { readonly name: string; readonly email: string }[];
}

/** What a world can do beside the necessary: a real forge cannot lose answers on demand. */
export interface WorldAbilities {
  /** Puts something between the adapter and the forge; undefined takes it away. */
  fault?(fault: ((request: ForgeRequest) => ForgeFault | undefined) | undefined): void;
  /** Most entries of a page. */
  smallPages?(size: number): void;
  /** A review of which the forge does not say what was reviewed. */
  reviewOfNothing?(number: number, by: Person): Promise<void>;
  /** A program's account. */
  bot?(name: string): Promise<Person>;
  rename?(person: Person, name: string): Promise<Person>;
  /** Requests that went over the wire since the last call, `METHOD /path`; one that was answered by 304 is not among them. */
  asked?(): readonly string[];
  /** The forge says which commit was reviewed. Without: reviews have no commit. */
  readonly reviewsNameCommit: boolean;
  /** An author may press the button "approve" on the own change. */
  readonly selfApproval: boolean;
  /** Reviews are dismissed by people. */
  readonly dismissal: boolean;
  /** A rebase moves the branch of the pull request first, and then the config branch to it: the head is another one. */
  readonly rebaseMovesHead?: boolean;
  /** Problems are shown at their lines: what is shown now of those under a name, and all check runs that were ever made for them. */
  annotations?(
    commit: string,
    name: string,
  ): Promise<{ readonly shown: readonly string[]; readonly state: string | undefined; readonly made: number }>;
  /** Another program says something under the same name. */
  annotateAs?(by: Person, commit: string, name: string): Promise<void>;
  /** With a decisive review, the forge dismisses the older ones of the same person. */
  readonly dismissesOlder?: boolean;
}

/** One forge with one repository, and everybody around it. Commits are made with real git. */
export interface ForgeWorld extends WorldAbilities {
  /** Opens an Oakum's view of it. Every call opens another one; a hasty one waits for half a second only. */
  open(how?: 'hasty'): Forge;
  /** Everything that was logged by what {@link open} has opened. */
  logged(): string;
  /** Values that must be seen nowhere. */
  readonly secrets: readonly string[];
  /** The adapter's own account. */
  readonly oakum: Person;
  person(name: string): Promise<Person>;
  /** Makes a team and returns its name as written in `approvers`. */
  team(name: string, members: readonly Person[]): Promise<string>;
  removeTeam(name: string): Promise<void>;
  /** Commits to a branch, made from the config branch when it is new; `force` throws away what it held. */
  commit(branch: string, files: Content, words: CommitWords & { readonly force?: boolean }): Promise<string>;
  /** Native git in the forge's repository. */
  git(...words: string[]): Promise<string>;
  pull(branch: string, by: Person, options?: { readonly fork?: boolean }): Promise<number>;
  /** A fork's pull request can be made. */
  readonly forks: boolean;
  review(number: number, by: Person, state: 'Approved' | 'ChangesRequested' | 'Commented'): Promise<string>;
  dismiss(number: number, review: string): Promise<void>;
  merge(number: number, by: Person, style: Style): Promise<void>;
  close(number: number): Promise<void>;
  reopen(number: number): Promise<void>;
  comments(number: number): Promise<readonly { readonly id: string; readonly by: string; readonly text: string }[]>;
  say(number: number, by: Person, text: string): Promise<void>;
  removeComment(number: number, id: string): Promise<void>;
  /** Every status ever set on a commit, oldest first. */
  statuses(
    commit: string,
  ): Promise<readonly { readonly context: string; readonly state: string; readonly text: string }[]>;
  end(): Promise<void>;
}

const styles: readonly Style[] = ['merge', 'squash', 'rebase'];
const lines = (...changed: readonly string[]): string =>
  ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', ...changed].join('\n') + '\n';
const policy = (top: string, bottom: string): string => `# ${top}\n${lines(`# ${bottom}`)}`;

/** The error of a call that must fail. */
export async function failure(work: Promise<unknown>): Promise<AdapterError> {
  const outcome = await work.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  if ('value' in outcome) throw new Error(`this should have failed and answered ${JSON.stringify(outcome.value)}`);
  if (!(outcome.error instanceof AdapterError)) throw outcome.error;
  return outcome.error;
}

/** Runs the behaviours. One world serves all of them; every test uses files, branches and people of its own. */
export function describeForge(name: string, abilities: WorldAbilities, makeWorld: () => Promise<ForgeWorld>): void {
  describe(`a forge: ${name}`, () => {
    let world: ForgeWorld;
    let forge: Forge;
    let alice: Person;
    let bob: Person;
    let merger: Person;
    let serial = 0;
    /** A name that no other test has. */
    const fresh = (word: string): string => `${word}-${++serial}`;
    const errors: string[] = [];
    const failing = async (work: Promise<unknown>): Promise<AdapterError> => {
      const error = await failure(work);
      errors.push(`${error.message} ${error.stack ?? ''} ${JSON.stringify(error)} ${String(error.cause)}`);
      return error;
    };

    beforeAll(async () => {
      world = await makeWorld();
      alice = await world.person('alice');
      bob = await world.person('bob');
      merger = await world.person('merger');
    }, 120_000);
    afterAll(async () => {
      await world.end();
    });
    beforeEach(() => {
      world.fault?.(undefined);
      forge = world.open();
    });

    /** A pull request of alice's that changes one file. */
    async function change(files?: Content): Promise<{ number: number; branch: string; file: string; head: string }> {
      const branch = fresh('change');
      const file = `clusters/${fresh('c')}/policy.yaml`;
      const head = await world.commit(branch, files ?? { [file]: policy('new', 'new') }, { by: alice });
      return { number: await world.pull(branch, alice), branch, file, head };
    }
    const states = (read: Change): string[] => read.reviews.map((one) => `${one.by.name} ${one.state}`);

    describe('how a file came to the branch', () => {
      for (const style of styles) {
        const intervening = {
          nothing: async (_file: string) => undefined,
          'a change of another file': async (_file: string) => {
            await world.commit('main', { [`clusters/${fresh('other')}/policy.yaml`]: 'other\n' }, { by: bob });
          },
          'a change of another line of the same file': async (file: string) => {
            await world.commit('main', { [file]: policy('old', 'somebody else was here') }, { by: bob });
          },
        };
        for (const [what, happens] of Object.entries(intervening)) {
          it(`finds the pull request merged by ${style} after ${what}`, async () => {
            const file = `clusters/${fresh('c')}/policy.yaml`;
            const branch = fresh('change');
            await world.commit('main', { [file]: policy('old', 'old') }, { by: bob });
            const head = await world.commit(branch, { [file]: policy('new', 'old') }, { by: alice });
            const number = await world.pull(branch, alice);
            await happens(file);
            await world.merge(number, bob, style);
            const { commit, pull } = await forge.bringing(file);
            const moved = abilities.rebaseMovesHead === true && style === 'rebase';
            const last = moved ? await world.git('rev-parse', 'main') : head;
            expect(pull).toMatchObject({ number, head: last, base: 'main', branch, state: 'merged', fork: false });
            expect(pull?.author).toMatchObject({ id: alice.id, name: alice.name, bot: false });
            expect(pull?.merged?.by?.id).toBe(bob.id);
            const blob = await world.git('rev-parse', `main:${file}`);
            expect(await world.git('rev-parse', `${commit}:${file}`)).toBe(blob);
            const merged = pull?.merged?.commit ?? '';
            expect(await world.git('rev-parse', `${merged}:${file}`)).toBe(blob);
            await world.git('merge-base', '--is-ancestor', merged, 'main');
          });
        }
      }

      it('says that a file came without a pull request', async () => {
        const file = `clusters/${fresh('c')}/policy.yaml`;
        const commit = await world.commit('main', { [file]: 'straight to the branch\n' }, { by: alice });
        expect(await forge.bringing(file)).toEqual({ commit, pull: undefined });
      });

      it('does not give a later direct push the pull request that came before it', async () => {
        const { number, file } = await change();
        await world.merge(number, bob, 'merge');
        const commit = await world.commit('main', { [file]: 'changed again, directly\n' }, { by: alice });
        expect(await forge.bringing(file)).toEqual({ commit, pull: undefined });
      });

      it('finds the last of several pull requests, and the one that removed a file', async () => {
        const first = await change();
        await world.merge(first.number, bob, 'squash');
        const branch = fresh('removal');
        await world.commit(branch, { [first.file]: undefined }, { by: alice });
        const number = await world.pull(branch, alice);
        await world.merge(number, bob, 'merge');
        expect((await forge.bringing(first.file)).pull?.number).toBe(number);
      });

      it('says that a file was never there', async () => {
        expect((await failing(forge.bringing(`clusters/${fresh('nobody')}/policy.yaml`))).kind).toBe('missing');
      });
    });

    describe('reviews', () => {
      it('are complete and in order', async () => {
        const { number, head } = await change();
        const carol = await world.person(fresh('carol'));
        await world.review(number, bob, 'ChangesRequested');
        await world.review(number, carol, 'Approved');
        await world.review(number, bob, 'Commented');
        await world.review(number, bob, 'Approved');
        const read = await forge.change(number, []);
        expect(states(read)).toEqual([
          abilities.dismissesOlder === true ? 'bob Dismissed' : 'bob ChangesRequested',
          `${carol.name} Approved`,
          'bob Commented',
          'bob Approved',
        ]);
        expect(read.reviews.map((one) => one.by.id)).toEqual([bob.id, carol.id, bob.id, bob.id]);
        expect(read.reviews.every((one, index) => one.at >= (read.reviews[index - 1]?.at ?? 0))).toBe(true);
        expect(new Set(read.reviews.map((one) => one.id)).size).toBe(4);
        expect(read.pull).toMatchObject({ number, head, state: 'open', merged: undefined });
        expect(read.doubts).toEqual([]);
      });

      if (abilities.reviewsNameCommit)
        it('are of the commit that was reviewed, whatever was pushed later', async () => {
          const { number, branch, file, head } = await change();
          await world.review(number, bob, 'Approved');
          const second = await world.commit(branch, { [file]: policy('second', 'new') }, { by: alice });
          const read = await forge.change(number, []);
          expect(read.reviews.map((one) => one.commit)).toEqual([head]);
          expect(read.pull.head).toBe(second);
        });

      it('stay with the old commit after a force-push, and the pull request has the new head', async () => {
        const { number, branch, file, head } = await change();
        await world.review(number, bob, 'Approved');
        const other = await world.commit(branch, { [file]: 'something else\n' }, { by: alice, force: true });
        expect(other).not.toBe(head);
        const read = await forge.change(number, []);
        expect(read.pull.head).toBe(other);
        expect(
          read.reviews.every((one) => one.commit === head || one.state === 'Dismissed' || one.commit === undefined),
        ).toBe(true);
      });

      if (abilities.reviewOfNothing)
        it('without a commit have none', async () => {
          const { number } = await change();
          await world.reviewOfNothing?.(number, bob);
          expect((await forge.change(number, [])).reviews.map((one) => one.commit)).toEqual([undefined]);
        });

      if (abilities.dismissal)
        it('that were dismissed are told as such', async () => {
          const { number } = await change();
          await world.review(number, bob, 'Approved');
          const second = await world.review(number, bob, 'ChangesRequested');
          await world.dismiss(number, second);
          const read = await forge.change(number, []);
          expect(states(read).at(-1)).toBe('bob Dismissed');
        });

      if (abilities.bot)
        it('of programs are told to be theirs', async () => {
          const { number } = await change();
          const bot = await world.bot?.(fresh('robot'));
          if (!bot) throw new Error('no bot');
          await world.review(number, bot, 'Approved');
          const [review] = (await forge.change(number, [])).reviews;
          expect(review?.by).toMatchObject({ id: bot.id, bot: true });
        });

      if (abilities.selfApproval)
        it('of the author are told like any other: it is for the judge to leave them out', async () => {
          const { number } = await change();
          await world.review(number, alice, 'Approved');
          const read = await forge.change(number, []);
          expect(read.reviews[0]?.by.id).toBe(read.pull.author.id);
        });

      if (abilities.smallPages)
        it('are read from all pages', async () => {
          const { number } = await change();
          for (let index = 0; index < 7; index++)
            await world.review(number, bob, index % 2 === 0 ? 'Commented' : 'Approved');
          await world.review(number, bob, 'ChangesRequested');
          world.smallPages?.(3);
          try {
            const read = await world.open().change(number, []);
            expect(read.reviews).toHaveLength(8);
            expect(states(read).at(-1)).toBe('bob ChangesRequested');
          } finally {
            world.smallPages?.(100);
          }
        });

      if (abilities.rename)
        it('of somebody who has a new name are still of the same id', async () => {
          const { number } = await change();
          const dora = await world.person(fresh('dora'));
          await world.review(number, dora, 'Approved');
          const renamed = await world.rename?.(dora, fresh('dorothea'));
          await world.review(number, renamed ?? dora, 'ChangesRequested');
          const read = await forge.change(number, []);
          expect(read.reviews.map((one) => one.by.id)).toEqual([dora.id, dora.id]);
          expect(read.reviews.at(-1)?.by.name).toBe(renamed?.name);
        });
    });

    describe('contributors', () => {
      it('are the authors, committers and co-authors of all commits, with their accounts', async () => {
        const branch = fresh('change');
        const file = `clusters/${fresh('c')}/policy.yaml`;
        const outsider = { name: 'Outsider', email: 'Outsider@Elsewhere.Example' };
        await world.commit(branch, { [file]: 'one\n' }, { by: alice, coAuthors: [{ name: 'Bob', email: bob.email }] });
        await world.commit(
          branch,
          { [file]: 'two\n' },
          { by: alice, author: outsider, committer: { name: bob.name, email: bob.email } },
        );
        const number = await world.pull(branch, alice);
        const { contributors } = await forge.change(number, []);
        const has = (role: string, email: string) =>
          contributors.find((one) => one.role === role && one.email === email.toLowerCase());
        expect(has('author', alice.email)?.account?.id).toBe(alice.id);
        expect(has('co-author', bob.email)).toBeDefined();
        expect(has('author', outsider.email)).toMatchObject({ account: undefined, name: 'Outsider' });
        expect(has('committer', bob.email)?.account?.id).toBe(bob.id);
      });

      it('are those of the pull request only, not of what was on the branch already', async () => {
        await world.commit('main', { [`clusters/${fresh('c')}/policy.yaml`]: 'by bob\n' }, { by: bob });
        const { number } = await change();
        const { contributors } = await forge.change(number, []);
        expect(new Set(contributors.map((one) => one.email))).toEqual(new Set([alice.email]));
      });

      for (const style of styles)
        it(`are still known after a merge by ${style}`, async () => {
          const { number } = await change();
          await world.merge(number, bob, style);
          const read = await forge.change(number, []);
          expect(read.pull.state).toBe('merged');
          expect(read.contributors.some((one) => one.role === 'author' && one.account?.id === alice.id)).toBe(true);
        });

      if (abilities.smallPages)
        it('are read from all pages', async () => {
          const branch = fresh('change');
          const file = `clusters/${fresh('c')}/policy.yaml`;
          const last = await world.person(fresh('last'));
          for (let index = 0; index < 6; index++) await world.commit(branch, { [file]: `${index}\n` }, { by: alice });
          await world.commit(branch, { [file]: 'the end\n' }, { by: last });
          const number = await world.pull(branch, alice);
          world.smallPages?.(2);
          try {
            const { contributors } = await world.open().change(number, []);
            expect(contributors.some((one) => one.account?.id === last.id)).toBe(true);
          } finally {
            world.smallPages?.(100);
          }
        });
    });

    describeAttacks({
      abilities,
      world: () => world,
      forge: () => forge,
      people: () => ({ alice, bob, merger }),
      fresh,
    });

    describe('teams', () => {
      it('are the ids of their members', async () => {
        const team = await world.team(fresh('platform'), [alice, bob]);
        const { number } = await change();
        const { teams } = await forge.change(number, [team]);
        expect([...(teams[team] ?? [])].sort()).toEqual([alice.id, bob.id].sort());
      });

      it('that are gone, or never were, are not known: they are not empty', async () => {
        const gone = await world.team(fresh('gone'), [bob]);
        const never = gone.replace(/\/[^/]*$/, `/${fresh('never')}`);
        await world.removeTeam(gone);
        const { number } = await change();
        const { teams } = await forge.change(number, [gone, never]);
        expect(teams[gone]).toBeUndefined();
        expect(teams[never]).toBeUndefined();
      });

      if (abilities.smallPages)
        it('are read from all pages', async () => {
          const many: Person[] = [];
          for (let index = 0; index < 5; index++) many.push(await world.person(fresh('member')));
          const team = await world.team(fresh('many'), many);
          const { number } = await change();
          world.smallPages?.(2);
          try {
            const { teams } = await world.open().change(number, [team]);
            expect([...(teams[team] ?? [])].sort()).toEqual(many.map((one) => one.id).sort());
          } finally {
            world.smallPages?.(100);
          }
        });
    });

    describe('open pull requests', () => {
      it('are those to the config branch, oldest first', async () => {
        const first = await change();
        const second = await change();
        const merged = await change();
        await world.merge(merged.number, bob, 'merge');
        const numbers = (await forge.open()).map((one) => one.number);
        expect(numbers).toContain(first.number);
        expect(numbers.indexOf(first.number)).toBeLessThan(numbers.indexOf(second.number));
        expect(numbers).not.toContain(merged.number);
        expect(numbers).toEqual([...numbers].sort((one, other) => one - other));
      });

      it('are not those that were closed, and again those that were reopened', async () => {
        const { number } = await change();
        await world.close(number);
        expect((await forge.open()).map((one) => one.number)).not.toContain(number);
        expect((await forge.change(number, [])).pull.state).toBe('closed');
        await world.reopen(number);
        expect((await forge.open()).map((one) => one.number)).toContain(number);
        expect((await forge.change(number, [])).pull).toMatchObject({ state: 'open', merged: undefined });
      });

      if (abilities.smallPages)
        it('are read from all pages', async () => {
          const made = [await change(), await change(), await change()].map((one) => one.number);
          world.smallPages?.(2);
          try {
            const numbers = (await world.open().open()).map((one) => one.number);
            for (const number of made) expect(numbers).toContain(number);
          } finally {
            world.smallPages?.(100);
          }
        });

      it('from another repository are told as such', async () => {
        if (!world.forks) return expect(world.forks).toBe(false);
        const branch = fresh('foreign');
        await world.commit(branch, { [`clusters/${fresh('c')}/policy.yaml`]: 'foreign\n' }, { by: alice });
        const number = await world.pull(branch, alice, { fork: true });
        expect((await forge.open()).find((one) => one.number === number)?.fork).toBe(true);
        expect((await forge.change(number, [])).pull.fork).toBe(true);
      });

      it('have a head that Git can fetch by name', async () => {
        const { number, head } = await change();
        expect(await world.git('rev-parse', forge.headRef(number))).toBe(head);
      });

      it('that are not there are missing', async () => {
        expect((await failing(forge.change(99_999, []))).kind).toBe('missing');
      });
    });

    describe('a proposal', () => {
      const branchOf = async (): Promise<string> => {
        const branch = `oakum/run/${fresh('prod')}`;
        await world.commit(
          branch,
          { [`clusters/${fresh('prod')}/runs/a.yaml`]: 'kind: PatchRun\n' },
          { by: world.oakum },
        );
        return branch;
      };

      it('is opened once, and brought up to date after that', async () => {
        const branch = await branchOf();
        const first = await forge.propose({ branch, title: 'Patch prod', text: 'three nodes' });
        expect(first).toMatchObject({ state: 'open', branch, base: 'main', title: 'Patch prod', fork: false });
        expect(first.author.id).toBe(world.oakum.id);
        const second = await forge.propose({ branch, title: 'Patch prod on Sunday', text: 'four nodes' });
        expect(second.number).toBe(first.number);
        expect(second.title).toBe('Patch prod on Sunday');
        const all = (await forge.open()).filter((one) => one.branch === branch);
        expect(all.map((one) => [one.number, one.title])).toEqual([[first.number, 'Patch prod on Sunday']]);
      });

      it('of two Oakums at once is one', async () => {
        const branch = await branchOf();
        const both = await Promise.all(
          [world.open(), world.open()].map((one) => one.propose({ branch, title: 'Patch prod', text: 'nodes' })),
        );
        expect(both[0]?.number).toBe(both[1]?.number);
        expect((await forge.open()).filter((one) => one.branch === branch)).toHaveLength(1);
      });

      it('is closed with a reason, and once', async () => {
        const branch = await branchOf();
        const { number } = await forge.propose({ branch, title: 'Patch prod', text: 'nodes' });
        await forge.close(number, 'Superseded by a newer run.');
        await forge.close(number, 'Superseded by a newer run.');
        expect((await forge.change(number, [])).pull.state).toBe('closed');
        const said = (await world.comments(number)).filter((one) => one.text.includes('Superseded'));
        expect(said).toHaveLength(1);
      });

      it('of a person is not closed', async () => {
        const { number } = await change();
        expect((await failing(forge.close(number, 'not ours'))).code).toBe('ForgeNotOurs');
        expect((await forge.change(number, [])).pull.state).toBe('open');
      });

      it('that was merged in the meantime is left alone', async () => {
        const branch = await branchOf();
        const { number } = await forge.propose({ branch, title: 'Patch prod', text: 'nodes' });
        await world.merge(number, bob, 'merge');
        await forge.close(number, 'too late');
        expect((await forge.change(number, [])).pull.state).toBe('merged');
        expect(await world.comments(number)).toEqual([]);
      });

      it('has a title that is short enough', async () => {
        const branch = await branchOf();
        const { title } = await forge.propose({ branch, title: `Patch ${'🛠'.repeat(300)}`, text: 'nodes' });
        expect(title.length).toBeLessThanOrEqual(255);
        expect(title.startsWith('Patch 🛠🛠')).toBe(true);
        expect(title).not.toMatch(/[\ud800-\udbff](?![\udc00-\udfff])/);
      });
    });

    describe('the comment', () => {
      const marker = '<!-- oakum:plan -->';
      const carrying = async (number: number) =>
        (await world.comments(number)).filter((one) => one.text.includes(marker));

      it('is one, and edited in place', async () => {
        const { number } = await change();
        await forge.comment(number, marker, `${marker}\nthree nodes`);
        const [first] = await carrying(number);
        await forge.comment(number, marker, `${marker}\nfour nodes`);
        const now = await carrying(number);
        expect(now).toHaveLength(1);
        expect(now[0]?.id).toBe(first?.id);
        expect(now[0]?.text).toContain('four nodes');
      });

      it('has its marker even when the text does not', async () => {
        const { number } = await change();
        await forge.comment(number, marker, 'three nodes');
        await forge.comment(number, marker, 'three nodes');
        expect(await carrying(number)).toHaveLength(1);
      });

      it('is written again when a person has deleted it', async () => {
        const { number } = await change();
        await forge.comment(number, marker, `${marker}\nnodes`);
        const [first] = await carrying(number);
        await world.removeComment(number, first?.id ?? '');
        await forge.comment(number, marker, `${marker}\nnodes`);
        expect(await carrying(number)).toHaveLength(1);
      });

      it('is not confused with what somebody else wrote', async () => {
        const { number } = await change();
        await world.say(number, bob, `${marker}\nall is well, says bob`);
        await forge.comment(number, marker, `${marker}\nnodes`);
        await forge.comment(number, marker, `${marker}\nmore nodes`);
        const all = await carrying(number);
        expect(all.map((one) => one.text.includes('bob'))).toEqual([true, false]);
        expect(all[1]?.text).toContain('more nodes');
      });

      it('is one again after there were two', async () => {
        const { number } = await change();
        await world.say(number, world.oakum, `${marker}\nnodes`);
        await world.say(number, world.oakum, `${marker}\nnodes`);
        await forge.comment(number, marker, `${marker}\nmore nodes`);
        expect((await carrying(number)).map((one) => one.text)).toEqual([`${marker}\nmore nodes`]);
      });

      it('may be as long as the forge says, and is refused beyond that', async () => {
        const { number } = await change();
        const room = forge.commentLimit - marker.length - 1;
        await forge.comment(number, marker, `${marker}\n${'x'.repeat(room)}`);
        expect((await carrying(number))[0]?.text.length).toBe(forge.commentLimit);
        const error = await failing(forge.comment(number, marker, `${marker}\n${'x'.repeat(room + 1)}`));
        expect(error).toMatchObject({ kind: 'rejected', code: 'ForgeTextTooLong' });
        expect(await carrying(number)).toHaveLength(1);
      });

      if (abilities.smallPages)
        it('is found on a later page', async () => {
          const { number } = await change();
          for (let index = 0; index < 5; index++) await world.say(number, bob, `remark ${index}`);
          await forge.comment(number, marker, `${marker}\nnodes`);
          world.smallPages?.(2);
          try {
            await world.open().comment(number, marker, `${marker}\nmore nodes`);
            expect((await carrying(number)).map((one) => one.text)).toEqual([`${marker}\nmore nodes`]);
          } finally {
            world.smallPages?.(100);
          }
        });

      if (abilities.fault)
        it('stays one when the answer to writing it was lost', async () => {
          const { number } = await change();
          world.fault?.(({ method, path }) =>
            method === 'POST' && /comments|notes/.test(path) ? { loseAnswer: true } : undefined,
          );
          expect((await failing(forge.comment(number, marker, `${marker}\nnodes`))).kind).toBe('transient');
          world.fault?.(undefined);
          await forge.comment(number, marker, `${marker}\nnodes`);
          expect(await carrying(number)).toHaveLength(1);
        });
    });

    describe('a status', () => {
      it('is set when it differs, and not again when it does not', async () => {
        const { head } = await change();
        const plan = { context: 'oakum/plan', state: 'success', text: 'three nodes' } as const;
        await forge.status(head, plan);
        await forge.status(head, plan);
        await world.open().status(head, plan);
        await forge.status(head, { context: 'oakum/approval', state: 'pending', text: 'one more' });
        await forge.status(head, { ...plan, state: 'failure', text: 'invalid' });
        expect(await world.statuses(head)).toEqual([
          plan,
          { context: 'oakum/approval', state: 'pending', text: 'one more' },
          { context: 'oakum/plan', state: 'failure', text: 'invalid' },
        ]);
      });

      it('is cut to its limit', async () => {
        const { head } = await change();
        await forge.status(head, { context: 'oakum/plan/prod', state: 'error', text: 'ä'.repeat(500) });
        await forge.status(head, { context: 'oakum/plan/prod', state: 'error', text: 'ä'.repeat(500) });
        const [only, more] = await world.statuses(head);
        expect(more).toBeUndefined();
        expect(only?.text.length).toBeLessThanOrEqual(255);
        expect(only?.text).toMatch(/^ä+…$/);
      });

      it('of a commit that is not there is an error', async () => {
        const error = await failing(
          forge.status('0123456789'.repeat(4), { context: 'oakum/plan', state: 'success', text: 'nothing' }),
        );
        expect(['missing', 'rejected']).toContain(error.kind);
      });
    });

    describe('problems', () => {
      const name = 'oakum/problems';
      const problem = (file: string, line: number, message = 'a wrong word'): Problem => ({
        file,
        line,
        column: 3,
        path: 'spec.windows[0].start',
        message,
        rule: 'schema',
      });
      if (!abilities.annotations)
        it('have no place at lines here: the comment names file, line and column', () => {
          expect('annotate' in forge).toBe(false);
        });
      else {
        const annotate = (commit: string, problems: readonly Problem[]): Promise<void> =>
          forge.annotate?.(commit, { name, problems }) ?? Promise.reject(new Error('no place for problems'));
        const now = async (commit: string) => world.annotations?.(commit, name);

        it('are shown at their lines once, replaced by others, and end with "right now"', async () => {
          const { head, file } = await change();
          await annotate(head, []);
          expect(await now(head)).toEqual({ shown: [], state: undefined, made: 0 });
          await annotate(head, [problem(file, 2)]);
          await annotate(head, [problem(file, 2)]);
          forge = world.open();
          await annotate(head, [problem(file, 2)]);
          expect(await now(head)).toEqual({ shown: [`${file}:2:3 a wrong word`], state: 'failure', made: 1 });
          await annotate(head, [problem(file, 5), problem(file, 0, 'the file as a whole')]);
          const two = [`${file}:5:3 a wrong word`, `${file}:1:3 the file as a whole`];
          expect(await now(head)).toEqual({ shown: two, state: 'failure', made: 2 });
          await annotate(head, []);
          await annotate(head, []);
          expect(await now(head)).toEqual({ shown: [], state: 'success', made: 3 });
        });

        it('may be many, and only so many are shown', async () => {
          const { head, file } = await change();
          const many = Array.from({ length: 120 }, (_, line) => problem(file, line + 1, 'ä'.repeat(9_000)));
          await annotate(head, many);
          await annotate(head, many);
          const read = await now(head);
          expect(read).toMatchObject({ state: 'failure', made: 1 });
          expect(new Set(read?.shown).size).toBe(120);
          await annotate(
            head,
            Array.from({ length: 1_000 }, (_, line) => problem(file, line + 1)),
          );
          expect((await now(head))?.shown).toHaveLength(200);
        });

        it('are written anew when the answer was lost on the way, or only a part has arrived', async () => {
          const { head, file } = await change();
          const many = Array.from({ length: 120 }, (_, line) => problem(file, line + 1));
          for (const method of ['POST', 'PATCH']) {
            world.fault?.((request) =>
              request.method === method && request.path.includes('check-runs') ? { loseAnswer: true } : undefined,
            );
            expect((await failing(annotate(head, many))).kind).toBe('transient');
          }
          world.fault?.(undefined);
          await annotate(head, many);
          const read = await now(head);
          expect(read).toMatchObject({ state: 'failure', made: 3 });
          expect(new Set(read?.shown).size).toBe(120);
        });

        it('of another program under the same name are left alone, and not taken for ours', async () => {
          const { head, file } = await change();
          const other = await world.bot?.(fresh('linter'));
          if (!other) throw new Error('no bot');
          await world.annotateAs?.(other, head, name);
          await annotate(head, [problem(file, 2)]);
          expect((await now(head))?.shown).toEqual([`${file}:2:3 a wrong word`]);
        });

        it('without the right: the error names it', async () => {
          const { head, file } = await change();
          world.fault?.(({ path }) =>
            path.includes('check-runs')
              ? { status: 403, body: { message: 'Resource not accessible by integration' } }
              : undefined,
          );
          const error = await failing(annotate(head, [problem(file, 2)]));
          expect(error).toMatchObject({ kind: 'denied', code: 'ForgeDenied' });
          expect(error.message).toContain('Checks: read and write');
        });
      }
    });

    if (abilities.fault)
      describe('a forge in trouble', () => {
        const reading = (path: RegExp, fault: ForgeFault) =>
          world.fault?.(({ method, path: at }) => (method === 'GET' && path.test(at) ? fault : undefined));

        it('asks us to slow down: the error says for how long, and nothing is sent until then', async () => {
          const { number } = await change();
          reading(/./, { status: 429, headers: { 'retry-after': '7' }, body: { message: 'Too Many Requests' } });
          const one = world.open();
          const error = await failing(one.change(number, []));
          expect(error).toMatchObject({ kind: 'transient', code: 'ForgeRateLimited', retryAfterMs: 7_000 });
          world.fault?.(undefined);
          expect((await failing(one.open())).code).toBe('ForgeRateLimited');
        });

        it('fails for a moment: what is read is tried again', async () => {
          const { number } = await change();
          let left = 1;
          world.fault?.(({ method }) => (method === 'GET' && left-- > 0 ? { status: 502 } : undefined));
          expect((await forge.change(number, [])).pull.number).toBe(number);
        });

        it('fails for longer: an error, never a short answer', async () => {
          const { number } = await change();
          await world.review(number, bob, 'Approved');
          for (const fault of [{ status: 500 }, { status: 503 }, { cutAfter: 20 }, { shortenTo: 40 }]) {
            reading(/./, fault);
            const one = world.open();
            expect((await failing(one.change(number, []))).kind).toBe('transient');
            expect((await failing(one.open())).kind).toBe('transient');
            expect((await failing(one.bringing('README.md'))).kind).toBe('transient');
          }
        });

        it('fails on a later page: an error, never a short answer', async () => {
          const { number } = await change();
          for (let index = 0; index < 5; index++) await world.review(number, bob, 'Commented');
          world.smallPages?.(2);
          try {
            for (const fault of [{ status: 500 }, { cutAfter: 20 }, { shortenTo: 40 }, { status: 404 }]) {
              world.fault?.(({ method, query }) =>
                method === 'GET' && Number(query.get('page') ?? 1) > 1 ? fault : undefined,
              );
              await failing(world.open().change(number, []));
            }
          } finally {
            world.smallPages?.(100);
          }
        });

        it('answers something else than it should: an error, never an empty answer', async () => {
          const { number } = await change();
          for (const body of [{}, null, 'hello', [null], [{}], { message: 'ok' }]) {
            reading(/./, { status: 200, body });
            const error = await failing(world.open().change(number, []));
            expect(error.code).toBe('ForgeNotUnderstood');
          }
        });

        it('does not let us in: the error names the right that is missing', async () => {
          const { number } = await change();
          await forge.change(number, []);
          reading(/./, { status: 403, body: { message: `Forbidden for ${world.secrets[0] ?? ''}` } });
          const error = await failing(forge.change(number, []));
          expect(error.kind).toBe('denied');
          expect(error.message).toMatch(/right .* Forbidden for \*\*\*/);
          reading(/./, { status: 401, body: { message: 'Bad credentials' } });
          expect((await failing(world.open().change(number, []))).kind).toBe('denied');
        });

        it('sends us to another host: our credentials do not go there', async () => {
          const { number } = await change();
          reading(/./, { status: 302, headers: { location: 'http://127.0.0.2:9/somewhere' } });
          expect((await failing(world.open().change(number, []))).code).toBe('ForgeRedirected');
        });

        it('does not answer: there is a limit', async () => {
          const { number } = await change();
          // Later there would be an answer, and no failure.
          reading(/./, { delayMs: 3_000 });
          expect((await failing(world.open('hasty').change(number, []))).code).toBe('ForgeTimeout');
        });

        it('is left when the caller has gone', async () => {
          const { number } = await change();
          reading(/./, { delayMs: 3_000 });
          const stop = new AbortController();
          const work = failing(world.open().change(number, [], stop.signal));
          setTimeout(() => stop.abort(), 50);
          expect((await work).kind).toBe('transient');
        });

        it('reads a team without the right: not known, and not empty', async () => {
          const team = await world.team(fresh('secret'), [bob]);
          const { number } = await change();
          reading(/members/, { status: 403, body: { message: 'Resource not accessible' } });
          expect((await world.open().change(number, [team])).teams[team]).toBeUndefined();
          reading(/members/, { status: 500 });
          expect((await failing(world.open().change(number, [team]))).kind).toBe('transient');
        });

        it('moves the head while it is read: an error, never a mixture', async () => {
          const { number, branch, file } = await change();
          let done = false;
          world.fault?.(({ method, path }) => {
            if (method !== 'GET' || done || !/commits/.test(path)) return undefined;
            done = true;
            return { before: async () => void (await world.commit(branch, { [file]: 'moved\n' }, { by: alice })) };
          });
          const error = await failing(forge.change(number, []));
          expect(['ForgeMoved', 'ForgeNotUnderstood']).toContain(error.code);
        });
      });

    if (abilities.asked)
      it('costs nothing to ask again when nothing has changed', async () => {
        const { number } = await change();
        await forge.open();
        await forge.change(number, []);
        world.asked?.();
        await forge.open();
        await forge.change(number, []);
        expect(world.asked?.()).toEqual([]);
      });

    it('shows no secret in logs, errors, comments and statuses', async () => {
      const { number, head } = await change();
      await forge.comment(number, '<!-- oakum:plan -->', 'nodes');
      await forge.status(head, { context: 'oakum/plan', state: 'success', text: 'nodes' });
      const shown = [
        world.logged(),
        ...errors,
        JSON.stringify(await world.comments(number)),
        JSON.stringify(await world.statuses(head)),
      ].join('\n');
      for (const secret of world.secrets) expect(shown).not.toContain(secret);
    });
  });
}
