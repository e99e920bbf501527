// A false forge, one of its faces and the adapter that speaks to it, as a world for the suite of forges.
import type { ForgeTimeouts } from '../../reconciler/adapters/forge-options.ts';
import type { Forge, Log } from '../../reconciler/ports.ts';
import { FakeForge, type Account } from '../support/fake-forge.ts';
import { startForgeServer, type Face, type Passed } from '../support/fake-forge-server.ts';
import type { ForgeWorld, Person, WorldAbilities } from './forge-suite.ts';

/** What the false forges can do; a face that differs says so. */
export const fakeAbilities: WorldAbilities = {
  fault: () => undefined,
  smallPages: () => undefined,
  reviewOfNothing: () => Promise.resolve(),
  bot: () => Promise.reject(new Error('only a world has people')),
  rename: () => Promise.reject(new Error('only a world has people')),
  asked: () => [],
  reviewsNameCommit: true,
  selfApproval: true,
  dismissal: true,
};

export interface FakeWorldOptions {
  readonly face: Face;
  /** Path at which the API begins. */
  readonly prefix: string;
  /** Opens the adapter. */
  readonly open: (at: {
    readonly api: string;
    readonly project: string;
    readonly forge: FakeForge;
    readonly log: Log;
    readonly timeouts: ForgeTimeouts;
  }) => Forge;
  /** Looks at every answer that has passed, when the world ends. */
  readonly check?: (passed: readonly Passed[]) => void;
  /** Oakum is a program of the forge. */
  readonly app?: boolean;
  /** Problems are shown at their lines. */
  readonly annotations?: boolean;
  /** Other secrets than the tokens of accounts. */
  readonly secrets?: readonly string[];
}

/** A busy machine must not make a forge seem lost. */
const patient: ForgeTimeouts = { requestMs: 20_000, callMs: 60_000, retryMs: 5 };
const hasty: ForgeTimeouts = { requestMs: 600, callMs: 2_500, retryMs: 5 };

const personOf = ({ id, login, email }: Account): Person => ({ id: String(id), name: login, email });

export async function startFakeWorld(options: FakeWorldOptions): Promise<ForgeWorld & { readonly fake: FakeForge }> {
  const fake = await FakeForge.start({ app: options.app ?? false });
  const server = await startForgeServer(fake, options.face, options.prefix);
  const written: string[] = [];
  let looked = 0;
  const write = (fields: Record<string, unknown>, message: string): void => {
    written.push(`${JSON.stringify(fields)} ${message}`);
  };
  const log: Log = { debug: write, info: write, warn: write, error: write };
  const accountOf = (person: Person): Account => {
    const found = fake.accounts.find((one) => String(one.id) === person.id);
    if (!found) throw new Error(`no account ${person.name}`);
    return found;
  };
  return {
    ...fakeAbilities,
    fake,
    forks: true,
    open: (how) => {
      const timeouts = how === 'hasty' ? hasty : patient;
      return options.open({ api: server.url, project: `${fake.owner}/${fake.name}`, forge: fake, log, timeouts });
    },
    logged: () => written.join('\n'),
    secrets: [fake.oakum.token, ...(options.secrets ?? [])],
    oakum: personOf(fake.oakum),
    fault: (fault) => {
      server.fault = fault;
    },
    smallPages: (size) => {
      fake.mostPerPage = size;
    },
    asked: () => {
      const since = server.passed.slice(looked);
      looked = server.passed.length;
      return since.filter((one) => one.status !== 304).map((one) => `${one.method} ${one.path}`);
    },
    person: (name) => Promise.resolve(personOf(fake.account(name))),
    bot: (name) => Promise.resolve(personOf(fake.account(name, { bot: true }))),
    rename: (person, name) => {
      fake.rename(accountOf(person), name);
      return Promise.resolve({ ...person, name });
    },
    team: (name, members) => {
      fake.teams.set(`${fake.owner}/${name}`, members.map(accountOf));
      return Promise.resolve(`@${fake.owner}/${name}`);
    },
    removeTeam: (name) => {
      fake.teams.delete(name.slice(1));
      return Promise.resolve();
    },
    commit: async (branch, files, { by, force, ...words }) => {
      const known = await fake.tip(`refs/heads/${branch}`);
      const onto = force === true || known === undefined ? await fake.tip('refs/heads/main') : undefined;
      return fake.commit(branch, files, { by: accountOf(by), ...words, ...(onto === undefined ? {} : { onto }) });
    },
    git: (...words) => fake.run(...words),
    pull: async (branch, by, { fork = false } = {}) => (await fake.open({ by: accountOf(by), branch, fork })).number,
    review: (number, by, state) => Promise.resolve(String(fake.review(number, accountOf(by), state).id)),
    reviewOfNothing: (number, by) => {
      fake.review(number, accountOf(by), 'Approved', { commit: undefined });
      return Promise.resolve();
    },
    dismiss: (number, review) => {
      fake.dismiss(number, Number(review));
      return Promise.resolve();
    },
    merge: async (number, by, style) => void (await fake.merge(number, accountOf(by), style)),
    close: (number) => Promise.resolve(fake.close(number)),
    reopen: (number) => Promise.resolve(fake.reopen(number)),
    comments: (number) =>
      Promise.resolve(fake.pull(number).comments.map(({ id, by, text }) => ({ id: String(id), by: by.login, text }))),
    say: (number, by, text) => {
      fake.comment(number, accountOf(by), text);
      return Promise.resolve();
    },
    removeComment: (_number, id) => Promise.resolve(fake.removeComment(Number(id))),
    statuses: (commit) =>
      Promise.resolve(
        fake.statuses
          .filter((one) => one.commit === commit)
          .map(({ context, state, text }) => ({ context, state, text })),
      ),
    ...(options.annotations === true
      ? {
          annotations: (commit: string, name: string) => {
            const made = fake.checks.filter(
              (one) => one.commit === commit && one.name === name && one.by === fake.oakum,
            );
            const last = made.at(-1);
            const shown = (last?.annotations ?? []).map((one) => `${one.path}:${one.line}:${one.column} ${one.text}`);
            return Promise.resolve({ shown, state: last?.conclusion, made: made.length });
          },
          annotateAs: (by: Person, commit: string, name: string) => {
            const at = fake.tick();
            const said = { name, commit, mark: 'theirs', title: 'theirs', summary: 'theirs', annotations: [] };
            const state = { status: 'completed', conclusion: 'success', startedAt: at, endedAt: at };
            fake.checks.push({ id: fake.id(), by: accountOf(by), ...said, ...state });
            return Promise.resolve();
          },
        }
      : {}),
    end: async () => {
      await server.stop();
      await fake.stop();
      options.check?.(server.passed);
    },
  };
}
