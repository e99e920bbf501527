// What only GitHub does: things that it cannot tell, accounts that are gone, keys that rotate, commits in several pull requests.
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { openGithub, type OpenForge } from '../../reconciler/adapters/forge-github.ts';
import type { ForgeCredentials } from '../../reconciler/adapters/forge-options.ts';
import type { Log } from '../../reconciler/ports.ts';
import { FakeForge, type Account, type FakePull } from '../support/fake-forge.ts';
import { startForgeServer, type Face, type ForgeServer } from '../support/fake-forge-server.ts';
import { githubFace } from '../support/fake-github.ts';
import { failure } from './forge-suite.ts';

type Body = Record<string, unknown>;
let fake: FakeForge;
let server: ForgeServer;
let alice: Account;
let bob: Account;
let alter: ((path: string, body: unknown) => unknown) | undefined;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'oakum-github-'));
const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

const face: Face = async (request, forge) => {
  const answer = await githubFace(request, forge);
  return alter === undefined || answer.status >= 300 ? answer : { ...answer, body: alter(request.path, answer.body) };
};

function open(credentials?: ForgeCredentials, spread = false, project = 'acme/config'): OpenForge {
  return openGithub(
    {
      api: `${server.url}/`,
      project,
      branch: 'main',
      credentials: credentials ?? { kind: 'token', token: { value: fake.oakum.token } },
      log: quiet,
      clock: { now: () => Date.now() },
      timeouts: { requestMs: 5_000, callMs: 20_000, retryMs: 5 },
    },
    { spread },
  );
}

beforeAll(async () => {
  fake = await FakeForge.start({ app: true });
  server = await startForgeServer(fake, face, '/api/v3');
  alice = fake.account('alice');
  bob = fake.account('bob');
});
afterAll(async () => {
  await server.stop();
  await fake.stop();
  fs.rmSync(folder, { recursive: true });
});
beforeEach(() => {
  alter = undefined;
  server.fault = undefined;
});

let serial = 0;
async function change(by = alice, files: Record<string, string> = {}): Promise<FakePull> {
  const branch = `change-${++serial}`;
  const onto = (await fake.tip('refs/heads/main')) ?? '';
  await fake.commit(branch, { [`clusters/c${serial}/policy.yaml`]: 'new\n', ...files }, { by, onto });
  return fake.open({ by, branch });
}

it('says that GitHub tells of 250 commits only, and what to do', async () => {
  const { number } = await change();
  alter = (at, body) => {
    if (at.endsWith(`/pulls/${number}`)) return { ...(body as Body), commits: 300 };
    return at.endsWith('/commits') ? Array.from({ length: 250 }, () => (body as Body[])[0]) : body;
  };
  // The false forge gives all of them on one page; a full page is followed by another question.
  server.fault = ({ query, path: at }) =>
    at.endsWith('/commits') && query.get('page') === '2' ? { status: 200, body: [] } : undefined;
  const { doubts } = await open().change(number, []);
  expect(doubts).toHaveLength(1);
  expect(doubts[0]).toMatch(/300 commits .* 250 only.*Split it/);
});

it('does not believe a list of commits that is shorter than announced', async () => {
  const { number } = await change();
  alter = (at, body) => (at.endsWith(`/pulls/${number}`) ? { ...(body as Body), commits: 2 } : body);
  expect((await failure(open().change(number, []))).code).toBe('ForgeNotUnderstood');
});

it('does not take a full page without a Link header for the last one', async () => {
  const { number } = await change();
  for (let index = 0; index < 100; index++) fake.review(number, bob, 'Commented');
  fake.review(number, bob, 'ChangesRequested');
  server.fault = undefined;
  const strip: Face = async (request, forge) => {
    const answer = await githubFace(request, forge);
    return { status: answer.status, body: answer.body };
  };
  const other = await startForgeServer(fake, strip, '/api/v3');
  try {
    const forge = openGithub(
      {
        api: other.url,
        project: 'acme/config',
        branch: 'main',
        credentials: { kind: 'token', token: { value: fake.oakum.token } },
        log: quiet,
        clock: { now: () => Date.now() },
      },
      { spread: false },
    );
    expect((await forge.change(number, [])).reviews.at(-1)?.state).toBe('ChangesRequested');
  } finally {
    await other.stop();
  }
});

it('lets nobody count for an account that is gone', async () => {
  const { number } = await change();
  fake.review(number, bob, 'Approved');
  alter = (at, body) => {
    if (at.endsWith('/reviews')) return (body as Body[]).map((one) => ({ ...one, user: null }));
    return at.endsWith(`/pulls/${number}`) ? { ...(body as Body), user: null } : body;
  };
  const { reviews, doubts, pull } = await open().change(number, []);
  expect(reviews[0]?.by).toEqual({ id: 'ghost', name: 'ghost', bot: true });
  expect(pull.author.bot).toBe(true);
  expect(doubts[0]).toMatch(/account that opened .* is gone/);
});

it('leaves out a review that was not sent yet, and stops at one of a kind that it does not know', async () => {
  const { number } = await change();
  fake.review(number, bob, 'Approved');
  const state = (text: string) => (at: string, body: unknown) =>
    at.endsWith('/reviews') ? (body as Body[]).map((one) => ({ ...one, state: text })) : body;
  alter = state('PENDING');
  expect((await open().change(number, [])).reviews).toEqual([]);
  alter = state('LGTM');
  expect((await failure(open().change(number, []))).code).toBe('ForgeNotUnderstood');
});

it('knows the account behind an address that GitHub gave out', async () => {
  const branch = `change-${++serial}`;
  const email = `${bob.id}+Bob@users.noreply.127.0.0.1`;
  await fake.commit(
    branch,
    { [`clusters/c${serial}/policy.yaml`]: 'new\n' },
    { by: alice, coAuthors: [{ name: 'B', email }] },
  );
  const { number } = await fake.open({ by: alice, branch });
  fake.review(number, bob, 'Approved');
  const { contributors, reviews } = await open().change(number, []);
  const coAuthor = contributors.find((one) => one.role === 'co-author');
  expect(coAuthor?.account?.id).toBe(String(bob.id));
  expect(reviews[0]?.emails).toContain(coAuthor?.email);
});

it('knows whose the addresses of co-authors are, asks once, and lives without when it may not ask', async () => {
  const branch = `change-${++serial}`;
  const words = { by: alice, coAuthors: [{ name: 'B', email: bob.email.toUpperCase() }] };
  await fake.commit(branch, { [`clusters/c${serial}/policy.yaml`]: 'new\n' }, words);
  const { number } = await fake.open({ by: alice, branch });
  const asked = (): number => server.passed.filter((one) => one.path.endsWith('/graphql')).length;
  const coAuthor = async (forge: OpenForge): Promise<string | undefined> =>
    (await forge.change(number, [])).contributors.find(({ role }) => role === 'co-author')?.account?.id;
  const before = asked();
  const forge = open();
  expect(await coAuthor(forge)).toBe(String(bob.id));
  expect(await coAuthor(forge)).toBe(String(bob.id));
  expect(asked()).toBe(before + 1);
  const says = (type: string, headers: Record<string, string> = {}): void => {
    const body = { data: { repository: null }, errors: [{ type, message: 'no' }] };
    server.fault = ({ path: at }) => (at.endsWith('/graphql') ? { status: 200, headers, body } : undefined);
  };
  says('FORBIDDEN');
  expect(await coAuthor(open())).toBeUndefined();
  says('RATE_LIMITED', { 'x-ratelimit-remaining': '0', 'retry-after': '9' });
  expect(await failure(open().change(number, []))).toMatchObject({ code: 'ForgeRateLimited', retryAfterMs: 9_000 });
  says('SOMETHING_ELSE');
  expect((await failure(open().change(number, []))).code).toBe('ForgeNotUnderstood');
  server.fault = ({ path: at }) => (at.endsWith('/graphql') ? { status: 200, body: { data: {} } } : undefined);
  expect((await failure(open().change(number, []))).code).toBe('ForgeNotUnderstood');
});

it('takes the pull request that was merged first when a commit is in several', async () => {
  const first = await change();
  const second = await fake
    .open({ by: bob, branch: first.branch, base: 'main', title: 'the same again' })
    .catch(() => undefined);
  expect(second).toBeUndefined();
  await fake.run('update-ref', 'refs/heads/copy', first.head);
  const copy = await fake.open({ by: bob, branch: 'copy' });
  await fake.merge(first.number, bob, 'merge');
  // Its head is on the branch now: GitHub marks it as merged too.
  expect(fake.pull(copy.number).state).toBe('merged');
  const { pull } = await open().bringing(`clusters/c${serial}/policy.yaml`);
  expect(pull?.number).toBe(first.number);
});

it('does not take a pull request to another branch for one to ours', async () => {
  await fake.run('update-ref', 'refs/heads/staging', 'refs/heads/main');
  const branch = `change-${++serial}`;
  const file = `clusters/c${serial}/policy.yaml`;
  await fake.commit(branch, { [file]: 'new\n' }, { by: alice, onto: (await fake.tip('refs/heads/main')) ?? '' });
  const pull = await fake.open({ by: alice, branch, base: 'staging' });
  await fake.merge(pull.number, bob, 'merge');
  expect((await open().open()).map((one) => one.number)).not.toContain(pull.number);
  await fake.run('update-ref', 'refs/heads/main', 'refs/heads/staging');
  expect((await open().bringing(file)).pull).toBeUndefined();
});

it('uses a rotated token, and a rotated key of the App, without a restart', async () => {
  const file = path.join(folder, 'token');
  fs.writeFileSync(file, 'a token that is no longer valid\n');
  const forge = open({ kind: 'token', token: { file } });
  expect((await failure(forge.open())).kind).toBe('denied');
  fs.writeFileSync(file, `${alice.token}\n`);
  expect((await forge.open()).length).toBeGreaterThan(0);

  const key = path.join(folder, 'key');
  fs.writeFileSync(key, 'not a key\n');
  const app = open({ kind: 'app', appId: '7', privateKey: { file: key }, installationId: 77 });
  await failure(app.open());
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  fs.writeFileSync(key, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  expect((await app.open()).length).toBeGreaterThan(0);
  fs.rmSync(key);
  const gone = await failure(app.open());
  expect(gone).toMatchObject({ kind: 'denied', code: 'ForgeDenied' });
});

it('puts a pause between writes, as GitHub asks of programs', async () => {
  const { head } = await change();
  const forge = open({ kind: 'token', token: { value: alice.token } }, true);
  const began = performance.now();
  await forge.status(head, { context: 'oakum/plan', state: 'pending', text: 'one' });
  await forge.status(head, { context: 'oakum/plan', state: 'success', text: 'two' });
  expect(performance.now() - began).toBeGreaterThan(950);
});

it('refuses a project that is not owner/name', () => {
  expect(() => open(undefined, false, 'group/sub/project')).toThrow(/owner\/name/);
});
