// A real Gitea with one repository and everybody around it, as a world for the suite of forges.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openGitea } from '../../reconciler/adapters/forge-gitea.ts';
import type { Log } from '../../reconciler/ports.ts';
import type { Content, ForgeWorld, Person, Style, WorldAbilities } from '../contract/forge-suite.ts';
import { startGitea, type Gitea } from '../lab/gitea.ts';
import { until } from '../lab/wait.ts';
import { gitEnvironment } from '../support/git-server.ts';

/** What a real Gitea can do: it loses no answers on demand, and authors cannot approve their own changes. */
export const giteaAbilities: WorldAbilities = {
  rename: () => Promise.reject(new Error('only a world has people')),
  reviewsNameCommit: true,
  selfApproval: false,
  dismissal: true,
  dismissesOlder: true,
};

/** The scopes that the documentation asks for, and no more. */
export const oakumScopes = ['write:repository', 'write:issue', 'read:organization', 'read:user'];

export interface GiteaWorld extends ForgeWorld {
  readonly gitea: Gitea;
  readonly project: string;
  /** The token of somebody. */
  tokenOf(person: Person): string;
  /** Pushes something that is in the forge's repository already, with native git. */
  push(refspec: string, by: Person, words?: readonly string[]): Promise<void>;
  /** Asks Gitea to merge, in a style that only Gitea has too. */
  mergeBy(number: number, by: Person, style: string, words?: Record<string, unknown>): Promise<void>;
}

const run = promisify(execFile);
const organization = 'acme';
const events = { Approved: 'APPROVED', ChangesRequested: 'REQUEST_CHANGES', Commented: 'COMMENT' } as const;

interface Listed {
  readonly id: number;
  readonly name: string;
}

export async function startGiteaWorld(): Promise<GiteaWorld> {
  const gitea = await startGitea();
  const folder = mkdtempSync(join(tmpdir(), 'oakum-gitea-clone-'));
  const end = async (): Promise<void> => {
    rmSync(folder, { recursive: true, force: true });
    await gitea.stop();
  };
  try {
    return await fill(gitea, folder, end);
  } catch (error) {
    await end();
    throw error;
  }
}

async function fill(gitea: Gitea, folder: string, end: () => Promise<void>): Promise<GiteaWorld> {
  const project = `${organization}/config`;
  const path = `/repos/${project}`;
  const tokens = new Map<string, string>();
  const logins = new Map<string, string>();
  const written: string[] = [];
  const write = (fields: Record<string, unknown>, message: string): void => {
    written.push(`${JSON.stringify(fields)} ${message}`);
  };
  const log: Log = { debug: write, info: write, warn: write, error: write };

  await gitea.ask('POST', '/orgs', { body: { username: organization } });
  await gitea.ask('POST', `/orgs/${organization}/repos`, { body: { name: 'config', private: true, auto_init: true } });
  const writers = await makeTeam('writers', 'write');
  await gitea.ask('PUT', `/teams/${writers}/repos/${project}`);
  const oakum = await makePerson('oakum-app', oakumScopes);

  async function makeTeam(name: string, permission: string): Promise<number> {
    const units = ['repo.code', 'repo.pulls', 'repo.issues'];
    const body = { name, permission, units, units_map: Object.fromEntries(units.map((unit) => [unit, permission])) };
    const answer = await gitea.ask('POST', `/orgs/${organization}/teams`, { body });
    return (answer.body as Listed).id;
  }

  async function makePerson(name: string, scopes?: readonly string[]): Promise<Person> {
    const { id, token } = await gitea.account(name, scopes);
    await gitea.ask('PUT', `/teams/${writers}/members/${name}`);
    tokens.set(String(id), token);
    logins.set(String(id), name);
    return { id: String(id), name, email: `${name}@example.org` };
  }

  const tokenOf = ({ id }: Person): string => {
    const token = tokens.get(id);
    if (token === undefined) throw new Error(`nobody has the id ${id}`);
    return token;
  };

  async function local(
    words: readonly string[],
    { input = '', environment = {} }: { input?: string; environment?: NodeJS.ProcessEnv } = {},
  ): Promise<string> {
    const running = run('git', words, { cwd: folder, env: { ...gitEnvironment, ...environment } });
    // Most commands do not read it, and are gone before it is written.
    running.child.stdin?.on('error', () => undefined).end(input);
    return (await running).stdout.trimEnd();
  }
  const remote = (by: Person | undefined, of = project): string => {
    const token = by === undefined ? gitea.adminToken : tokenOf(by);
    return gitea.url.replace('http://', `http://x:${token}@`) + `/${of}.git`;
  };

  /** Waits until Gitea has taken in a push: its pull requests have the new head. */
  async function takenIn(branch: string, tip: string): Promise<void> {
    await until(`gitea takes in ${branch}`, async () => {
      const { body } = await gitea.ask('GET', `${path}/pulls?state=open&limit=50&sort=recentupdate`);
      const from = (body as { number: number; head: { label: string } }[]).filter(({ head }) => head.label === branch);
      for (const { number } of from) {
        const { body: ref } = await gitea.ask('GET', `${path}/git/refs/pull/${number}/head`);
        if (JSON.stringify(ref).includes(tip) === false) return false;
      }
      return true;
    });
  }

  const commit: ForgeWorld['commit'] = async (branch, files: Content, { by, author, committer, coAuthors, force }) => {
    const known = await world.git('rev-parse', '--verify', '--quiet', `refs/heads/${branch}`).catch(() => undefined);
    const start = force === true || known === undefined ? 'main' : branch;
    const own = { name: by.name, email: by.email };
    const writer = author ?? own;
    const maker = committer ?? writer;
    const trailers = (coAuthors ?? []).map(({ name, email }) => `Co-authored-by: ${name} <${email}>`).join('\n');
    await local(['fetch', '--quiet', remote(undefined), `+refs/heads/${start}:refs/scratch`]);
    const parent = await local(['rev-parse', 'refs/scratch']);
    await local(['read-tree', parent]);
    for (const [file, text] of Object.entries(files)) {
      const blob = text === undefined ? undefined : await local(['hash-object', '-w', '--stdin'], { input: text });
      const entry = blob === undefined ? `0 ${'0'.repeat(40)}` : `100644 ${blob}`;
      await local(['update-index', '--index-info'], { input: `${entry}\t${file}\n` });
    }
    const tree = await local(['write-tree']);
    const message = `a change of ${Object.keys(files).join(', ')}${trailers === '' ? '' : `\n\n${trailers}`}`;
    const made = await local(['commit-tree', tree, '-p', parent, '-m', message], {
      environment: {
        GIT_AUTHOR_NAME: writer.name,
        GIT_AUTHOR_EMAIL: writer.email,
        GIT_COMMITTER_NAME: maker.name,
        GIT_COMMITTER_EMAIL: maker.email,
      },
    });
    await local(['push', '--quiet', '--force', remote(by), `${made}:refs/heads/${branch}`]);
    await takenIn(branch, made);
    return made;
  };

  const mergeBy: GiteaWorld['mergeBy'] = async (number, by, style, words = {}) => {
    // Right after a push it is not known yet whether it can be merged: 405, "please try again later".
    await until(`pull request ${number} is merged by ${style}`, async () => {
      const answer = await gitea.ask('POST', `${path}/pulls/${number}/merge`, {
        token: tokenOf(by),
        body: { Do: style, ...words },
        mayFail: true,
      });
      if (answer.status === 200) return true;
      if (answer.status !== 405 && answer.status !== 409)
        throw new Error(`merge: ${answer.status} ${JSON.stringify(answer.body)}`);
      return false;
    });
  };

  await local(['init', '--quiet', '--bare', '.']);
  const world: GiteaWorld = {
    ...giteaAbilities,
    gitea,
    project,
    forks: true,
    oakum,
    secrets: [tokenOf(oakum)],
    tokenOf,
    mergeBy,
    push: async (refspec, by, words = []) => {
      await world.git('push', '--quiet', ...words, remote(by), refspec);
    },
    commit,
    end,
    logged: () => written.join('\n'),
    open: () =>
      openGitea({
        api: gitea.api,
        project,
        branch: 'main',
        credentials: { kind: 'token', token: { value: tokenOf(oakum) } },
        log,
        clock: { now: () => Date.now() },
      }),
    person: (name) => makePerson(name),
    rename: async (person, name) => {
      await gitea.ask('POST', `/admin/users/${logins.get(person.id) ?? ''}/rename`, { body: { new_username: name } });
      logins.set(person.id, name);
      return { ...person, name };
    },
    team: async (name, members) => {
      const id = await makeTeam(name, 'read');
      for (const member of [...members, oakum]) await gitea.ask('PUT', `/teams/${id}/members/${member.name}`);
      return `@${organization}/${name}`;
    },
    removeTeam: async (name) => {
      const { body } = await gitea.ask('GET', `/orgs/${organization}/teams?limit=50`);
      const found = (body as Listed[]).find((one) => name === `@${organization}/${one.name}`);
      if (found !== undefined) await gitea.ask('DELETE', `/teams/${found.id}`);
    },
    git: async (...words) => {
      const cwd = gitea.repository(project);
      return (await run('git', words, { cwd, env: gitEnvironment })).stdout.trimEnd();
    },
    async pull(branch, by, { fork = false } = {}) {
      if (fork) {
        await gitea.ask('POST', `${path}/forks`, { token: tokenOf(by), body: {}, mayFail: true });
        const own = `${by.name}/config`;
        await until(
          'the fork is there',
          async () => (await gitea.ask('GET', `/repos/${own}`, { mayFail: true })).status === 200,
        );
        const tip = await world.git('rev-parse', `refs/heads/${branch}`);
        await local(['push', '--quiet', '--force', remote(by, own), `${tip}:refs/heads/${branch}`]);
        await local(['push', '--quiet', remote(by), `:refs/heads/${branch}`]);
      }
      const body = { base: 'main', head: fork ? `${by.name}:${branch}` : branch, title: `Change from ${branch}` };
      const answer = await gitea.ask('POST', `${path}/pulls`, { token: tokenOf(by), body });
      return (answer.body as { number: number }).number;
    },
    async review(number, by, state) {
      const body = { event: events[state], body: `${state} by ${by.name}` };
      const answer = await gitea.ask('POST', `${path}/pulls/${number}/reviews`, { token: tokenOf(by), body });
      return String((answer.body as Listed).id);
    },
    dismiss: async (number, review) => {
      await gitea.ask('POST', `${path}/pulls/${number}/reviews/${review}/dismissals`, { body: { message: 'not so' } });
    },
    merge: (number, by, style: Style) => mergeBy(number, by, style),
    close: async (number) => {
      await gitea.ask('PATCH', `${path}/pulls/${number}`, { body: { state: 'closed' } });
    },
    reopen: async (number) => {
      await gitea.ask('PATCH', `${path}/pulls/${number}`, { body: { state: 'open' } });
    },
    async comments(number) {
      const { body } = await gitea.ask('GET', `${path}/issues/${number}/comments`);
      return (body as { id: number; body: string; user: { login: string } }[]).map((one) => ({
        id: String(one.id),
        by: one.user.login,
        text: one.body,
      }));
    },
    say: async (number, by, text) => {
      await gitea.ask('POST', `${path}/issues/${number}/comments`, { token: tokenOf(by), body: { body: text } });
    },
    removeComment: async (_number, id) => {
      await gitea.ask('DELETE', `${path}/issues/comments/${id}`);
    },
    async statuses(commitId) {
      const { body } = await gitea.ask('GET', `${path}/statuses/${commitId}?limit=50`);
      return (body as { id: number; context: string; status: string; description: string }[])
        .sort((one, other) => one.id - other.id)
        .map((one) => ({
          context: one.context,
          state: one.status,
          text: one.description,
        }));
    },
  };
  return world;
}
