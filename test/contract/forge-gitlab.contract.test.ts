// The suite of forges on GitLab's adapter and a false GitLab, and what only GitLab has: approvals without a commit, and settings.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openGitlab } from '../../reconciler/adapters/forge-gitlab.ts';
import type { Change } from '../../reconciler/model/approval.ts';
import type { Forge } from '../../reconciler/ports.ts';
import { gitlabFace, ordinaryGitlab } from '../support/fake-gitlab.ts';
import { openGitlabCheck, type Exchange } from '../support/gitlab-description.ts';
import { startFakeWorld } from './fake-world.ts';
import { describeForge, type ForgeWorld, type Person, type WorldAbilities } from './forge-suite.ts';

/** GitLab does not say which commit was reviewed, and nobody dismisses another's approval. */
const abilities: WorldAbilities = {
  fault: () => undefined,
  smallPages: () => undefined,
  bot: () => Promise.reject(new Error('only a world has people')),
  rename: () => Promise.reject(new Error('only a world has people')),
  asked: () => [],
  reviewsNameCommit: false,
  selfApproval: true,
  dismissal: false,
  rebaseMovesHead: true,
};
const quirks = ordinaryGitlab();
const description = openGitlabCheck();
const problems = new Set<string>();

async function startGitlab(): Promise<
  ForgeWorld & { readonly fake: Awaited<ReturnType<typeof startFakeWorld>>['fake'] }
> {
  const world = await startFakeWorld({
    face: gitlabFace(quirks),
    prefix: '/api/v4',
    // Every request that the adapter has sent, and every answer that it got.
    check: (passed) => {
      for (const one of passed) for (const problem of description.check(one)) problems.add(problem);
    },
    open: ({ api, project, forge, log, timeouts }) =>
      openGitlab({
        api,
        project,
        branch: 'main',
        credentials: { kind: 'token', token: { value: forge.oakum.token } },
        log,
        clock: { now: () => Date.now() },
        timeouts,
      }),
  });
  const { fake } = world;
  return {
    ...world,
    // The false forge has the names of another one for the heads.
    git: (...words) => fake.run(...words.map((word) => word.replace(/^refs\/merge-requests\//, 'refs/pull/'))),
    async merge(number, by, style) {
      await world.merge(number, by, style);
      const pull = fake.pull(number);
      if (style !== 'rebase' || pull.merged === undefined) return;
      pull.head = pull.merged.commit;
      await fake.run('update-ref', `refs/pull/${number}/head`, pull.head);
    },
  };
}

describeForge('GitLab', abilities, startGitlab);

describe('what only GitLab has', () => {
  let world: Awaited<ReturnType<typeof startGitlab>>;
  let forge: Forge;
  let alice: Person;
  let bob: Person;
  let serial = 0;
  beforeAll(async () => {
    world = await startGitlab();
    alice = await world.person('alice');
    bob = await world.person('bob');
  });
  afterAll(() => world.end());
  beforeEach(() => {
    Object.assign(quirks, ordinaryGitlab());
    forge = world.open();
  });

  async function change(): Promise<{ number: number; head: string; branch: string; file: string }> {
    const branch = `change-${++serial}`;
    const file = `clusters/c-${serial}/policy.yaml`;
    const head = await world.commit(branch, { [file]: 'new\n' }, { by: alice });
    return { number: await world.pull(branch, alice), head, branch, file };
  }
  const seen = ({ reviews }: Change) => reviews.map(({ by, state, commit }) => [by.name, state, commit]);

  it('takes an approval for the head when it is later than the newest version', async () => {
    const { number, head } = await change();
    await world.review(number, bob, 'Approved');
    for (const approvedAt of [true, false]) {
      quirks.approvedAt = approvedAt;
      expect(seen(await world.open().change(number, []))).toEqual([['bob', 'Approved', head]]);
    }
  });

  it('takes an approval for no commit when a version is as new, or newer', async () => {
    const { number } = await change();
    await world.review(number, bob, 'Approved');
    const at = world.fake.pull(number).reviews[0]?.at ?? 0;
    for (const late of [0, 1]) {
      quirks.lateVersion = () => at + late;
      expect(seen(await world.open().change(number, []))).toEqual([['bob', 'Approved', undefined]]);
    }
  });

  it('doubts everything when a setting is off, and where the tier or the right is missing', async () => {
    const { number } = await change();
    await world.review(number, bob, 'Approved');
    quirks.settings = { reset_approvals_on_push: false, merge_requests_disable_committers_approval: true };
    const read = await forge.change(number, []);
    expect(read.doubts.join()).toContain('reset_approvals_on_push');
    expect(read.doubts).toHaveLength(1);
    expect(seen(read)).toEqual([['bob', 'Approved', undefined]]);
    quirks.settings = { reset_approvals_on_push: true, merge_requests_disable_committers_approval: false };
    expect((await world.open().change(number, [])).doubts.join()).toContain(
      'merge_requests_disable_committers_approval',
    );
    quirks.settings = undefined;
    expect((await world.open().change(number, [])).doubts).toHaveLength(2);
    world.fault?.(({ path }) => (/config\/approvals$/.test(path) ? { status: 403 } : undefined));
    expect((await world.open().change(number, [])).doubts).toHaveLength(2);
    world.fault?.(({ path }) => (/config\/approvals$/.test(path) ? { status: 503 } : undefined));
    await expect(world.open().change(number, [])).rejects.toMatchObject({ kind: 'transient' });
    world.fault?.(undefined);
  });

  it('tells an approval that a push took away as dismissed, also after its words are repeated by a person', async () => {
    const { number, branch, file } = await change();
    await world.review(number, bob, 'Approved');
    await world.commit(branch, { [file]: 'other\n' }, { by: alice });
    await world.say(number, bob, 'approved this merge request');
    expect(seen(await forge.change(number, []))).toEqual([
      ['bob', 'Dismissed', undefined],
      ['bob', 'Commented', undefined],
    ]);
  });

  it('lets a request for changes stand whatever the diary says, and ends it by an approval only', async () => {
    const { number, head } = await change();
    await world.review(number, bob, 'ChangesRequested');
    expect(seen(await forge.change(number, [])).at(-1)).toEqual(['bob', 'ChangesRequested', undefined]);
    await world.review(number, bob, 'Approved');
    expect(seen(await world.open().change(number, [])).at(-1)).toEqual(['bob', 'Approved', head]);
    quirks.vetoes = (pull) => pull.reviews.slice(0, 1).map(({ by }) => by);
    expect(seen(await world.open().change(number, [])).at(-1)).toEqual(['bob', 'ChangesRequested', undefined]);
  });

  it('counts who pushed among the contributors, whatever the commits say', async () => {
    const { number } = await change();
    const mallory = world.fake.account('mallory');
    quirks.diary = (pull) => [{ by: mallory, text: 'added 1 commit\n\n<ul><li>…</li></ul>', at: pull.openedAt + 1 }];
    const { contributors } = await forge.change(number, []);
    expect(contributors.some(({ account }) => account?.id === String(mallory.id))).toBe(true);
  });

  it('knows who is behind an address that GitLab gave out', async () => {
    const branch = `change-${++serial}`;
    const author = { name: 'B', email: `${bob.id}-old-name@users.noreply.127.0.0.1` };
    await world.commit(branch, { [`clusters/c-${serial}/policy.yaml`]: 'x\n' }, { by: alice, author });
    const { contributors } = await forge.change(await world.pull(branch, alice), []);
    expect(contributors.find(({ role }) => role === 'author')?.account?.id).toBe(bob.id);
  });

  it('does not give a file to a merge request that had its commit in a version before', async () => {
    const { number, branch, file, head } = await change();
    await world.commit(branch, { [file]: 'what was reviewed\n' }, { by: alice, force: true });
    await world.merge(number, bob, 'squash');
    await world.git('update-ref', 'refs/heads/main', head);
    const related = { iid: number, state: 'merged' };
    const pull = world.fake.pull(number);
    world.fault?.(({ path }) =>
      path.endsWith(`/${head}/merge_requests`)
        ? {
            status: 200,
            headers: { 'x-next-page': '', 'x-total': '1' },
            body: [
              {
                ...related,
                sha: pull.head,
                web_url: 'x',
                title: 'x',
                target_branch: 'main',
                source_branch: branch,
                source_project_id: 10,
                target_project_id: 10,
                author: { id: 1, username: 'alice' },
                merged_at: '2026-11-02T09:00:00Z',
              },
            ],
          }
        : undefined,
    );
    expect(await forge.bringing(file)).toEqual({ commit: head, pull: undefined });
    world.fault?.(undefined);
  });

  it('writes no line that GitLab would carry out as a command', async () => {
    const { number } = await change();
    const text = 'a file says:\n/approve\n  /merge now\r\n/close\nand a/b stays, https://x/y too';
    await forge.comment(number, '<!-- oakum:plan -->', text);
    await forge.comment(number, '<!-- oakum:plan -->', text);
    const said = await world.comments(number);
    expect(said).toHaveLength(1);
    expect(said[0]?.text).not.toMatch(/^\s*\/\w/m);
    expect(said[0]?.text).toContain('and a/b stays, https://x/y too');
    const branch = `oakum/run/${++serial}`;
    await world.commit(branch, { [`clusters/c-${serial}/runs/a.yaml`]: 'x\n' }, { by: world.oakum });
    const { number: ours } = await forge.propose({ branch, title: 'Patch', text });
    expect(world.fake.pull(ours).text).not.toMatch(/^\s*\/\w/m);
  });

  it('does not open again what a person closed at the same commit', async () => {
    const branch = `oakum/run/${++serial}`;
    const file = `clusters/c-${serial}/runs/a.yaml`;
    const commit = await world.commit(branch, { [file]: 'x\n' }, { by: world.oakum });
    const proposal = { branch, title: 'Patch', text: 'nodes', commit };
    const { number } = await forge.propose(proposal);
    await world.close(number);
    expect(await forge.propose(proposal)).toMatchObject({ number, state: 'closed' });
    const next = await world.commit(branch, { [file]: 'y\n' }, { by: world.oakum });
    expect(await forge.propose({ ...proposal, commit: next })).toMatchObject({ state: 'open' });
  });

  it('lives with the refusal of another text for a status that stays pending, and with no other refusal', async () => {
    const { head } = await change();
    const status = { context: 'oakum/approval', state: 'pending' } as const;
    await forge.status(head, { ...status, text: 'two more' });
    const body = { message: 'Cannot transition status via :enqueue from :pending' };
    world.fault?.(({ method }) => (method === 'POST' ? { status: 400, body } : undefined));
    await forge.status(head, { ...status, text: 'one more' });
    await expect(forge.status(head, { ...status, state: 'success', text: 'all' })).rejects.toMatchObject({
      kind: 'rejected',
    });
    world.fault?.(undefined);
  });

  it('takes a list without its headers for no list', async () => {
    const { number } = await change();
    world.fault?.(({ path }) => (path.endsWith('/notes') ? { status: 200, body: [] } : undefined));
    await expect(world.open().change(number, [])).rejects.toMatchObject({ code: 'ForgeNotUnderstood' });
    world.fault?.(undefined);
  });
});

it('asks and is answered as GitLab describes its API, and every fact taken from there was used', () => {
  expect([...problems].join('\n')).toBe('');
  expect(description.unused().join('\n')).toBe('');
});

it('would notice what GitLab does not have, or would not answer', () => {
  const fresh = openGitlabCheck();
  const check = (exchange: Exchange) => fresh.check(exchange);
  const project = '/api/v4/projects/acme%2Ffleet';
  const list: Exchange = {
    method: 'GET',
    encoded: `${project}/merge_requests/3/versions`,
    query: '?page=1',
    body: {},
    status: 200,
    answer: [{ id: 1, state: 'collected', created_at: '2026-11-02T09:00:00.000Z' }],
    faulted: false,
  };
  const name = 'GET /projects/{id}/merge_requests/{merge_request_iid}/versions';
  expect(check(list)).toEqual([]);
  expect(check({ ...list, encoded: '/api/v4/projects/acme/fleet/approvals' })).toEqual([
    'GET /api/v4/projects/acme/fleet/approvals is not described',
  ]);
  expect(check({ ...list, method: 'POST' })).toHaveLength(1);
  expect(check({ ...list, query: '?pages=1' })).toEqual([`${name}: query "pages" is not described`]);
  expect(check({ ...list, query: '?page=one' })).toEqual([`${name}: query "page" is string, not integer`]);
  expect(check({ ...list, status: 201 })).toEqual([`${name}: status 201, not 200`]);
  expect(check({ ...list, answer: {} })).toEqual([`${name}: the answer is an object, not list of MergeRequestDiff`]);
  expect(check({ ...list, answer: [{ id: '1', size: 2, created_at: 'today' }] })).toEqual([
    'MergeRequestDiff.id is string, not integer',
    'MergeRequestDiff.size is not described',
    'MergeRequestDiff.created_at is string, not instant',
  ]);
  // What is refused was asked all the same.
  expect(check({ ...list, query: '?pages=1', status: 404, answer: 'no' })).toHaveLength(1);
  const status = { ...list, method: 'POST', encoded: `${project}/statuses/abc`, query: '', status: 404 };
  expect(check({ ...status, body: { state: 'failed' } })).toEqual([]);
  expect(check({ ...status, body: { state: 'failure' } })).toHaveLength(1);
  expect(check({ ...status, body: { name: 'x' } })).toEqual([
    'POST /projects/{id}/statuses/{sha}: body has no "state"',
  ]);
});
