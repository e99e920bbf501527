// What only Gitea does: its other styles of merge, its ways around reviews, and rights of tokens; all of it seen on a real one.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { realClock } from '../../reconciler/adapters/clock.ts';
import { openGitea } from '../../reconciler/adapters/forge-gitea.ts';
import { startHttp } from '../../reconciler/adapters/http.ts';
import { openWebhooks } from '../../reconciler/adapters/webhooks.ts';
import type { Forge, Log } from '../../reconciler/ports.ts';
import { failure, type Person } from '../contract/forge-suite.ts';
import { until } from '../lab/wait.ts';
import { compareDescription, compareShapes } from '../support/gitea-shapes.ts';
import { startGiteaWorld, type GiteaWorld } from './gitea-world.ts';

let world: GiteaWorld;
let forge: Forge;
let alice: Person;
let bob: Person;
const written: string[] = [];
const write = (fields: Record<string, unknown>, message: string): void => {
  written.push(`${JSON.stringify(fields)} ${message}`);
};
const log: Log = { debug: write, info: write, warn: write, error: write };

beforeAll(async () => {
  world = await startGiteaWorld();
  alice = await world.person('alice');
  bob = await world.person('bob');
  forge = world.open();
  await world.gitea.ask('PATCH', `/repos/${world.project}`, {
    body: { has_pull_requests: true, allow_fast_forward_only_merge: true, allow_manual_merge: true },
  });
});
afterAll(async () => {
  await world.end();
});

/** A view of the forge with a token of other rights. */
function openAs(token: string): Forge {
  const credentials = { kind: 'token', token: { value: token } } as const;
  const { gitea, project } = world;
  return openGitea({ api: gitea.api, project, branch: 'main', credentials, log, clock: { now: () => Date.now() } });
}

let serial = 0;
/** A pull request of alice's in several commits, each with a file of its own. */
async function change(count = 1): Promise<{ number: number; branch: string; files: string[]; head: string }> {
  serial += 1;
  const branch = `own-${serial}`;
  const files = Array.from({ length: count }, (_, index) => `clusters/own-${serial}/${index}.yaml`);
  let head = '';
  for (const file of files) head = await world.commit(branch, { [file]: `${file}\n` }, { by: alice });
  return { number: await world.pull(branch, alice), branch, files, head };
}

describe('styles of merge', () => {
  for (const style of ['merge', 'rebase', 'rebase-merge', 'squash', 'fast-forward-only'])
    it(`${style}: the pull request is found by a file of each of its commits`, async () => {
      const before = await world.commit('main', { [`straight/${style}.yaml`]: 'pushed just before\n' }, { by: alice });
      const { number, files, head } = await change(3);
      if (style !== 'fast-forward-only')
        await world.commit('main', { [`straight/${style}-later.yaml`]: 'pushed in between\n' }, { by: alice });
      await world.mergeBy(number, bob, style);
      for (const file of files) expect((await world.open().bringing(file)).pull).toMatchObject({ number, head });
      expect(await forge.bringing(`straight/${style}.yaml`)).toEqual({ commit: before, pull: undefined });
      if (style !== 'fast-forward-only')
        expect((await forge.bringing(`straight/${style}-later.yaml`)).pull).toBeUndefined();
      const after = await world.commit('main', { [files[0] ?? '']: 'pushed afterwards\n' }, { by: alice });
      expect(await forge.bringing(files[0] ?? '')).toEqual({ commit: after, pull: undefined });
      expect((await forge.change(number, [])).doubts).toEqual([]);
    });

  it('manually-merged: the commits may be unknown, and that is a doubt', async () => {
    const { number, files, head } = await change(2);
    const base = await world.git('rev-parse', 'main');
    await world.commit('main', { 'straight/manual.yaml': 'so that it is no fast-forward\n' }, { by: alice });
    // Alice merges on her own machine and pushes the branch; then she tells Gitea which commit it was.
    expect(base).not.toBe(head);
    const tree = (await world.git('merge-tree', '--write-tree', 'main', head)).split('\n')[0] ?? '';
    const words = ['-c', 'user.name=alice', '-c', 'user.email=alice@example.org', 'commit-tree', tree];
    const merge = await world.git(...words, '-p', 'main', '-p', head, '-m', 'by hand');
    await world.push(`${merge}:refs/heads/main`, alice);
    await until('the pull request is merged by hand', async () => {
      const body = { Do: 'manually-merged', MergeCommitID: merge };
      await world.gitea.ask('POST', `/repos/${world.project}/pulls/${number}/merge`, { body, mayFail: true });
      return (await forge.change(number, [])).pull.state === 'merged';
    });
    const read = await forge.change(number, []);
    const known = read.contributors.some(({ account, role }) => role === 'author' && account?.id === alice.id);
    expect(known || read.doubts.length > 0).toBe(true);
    for (const file of files) expect((await world.open().bringing(file)).pull?.number).toBe(number);
  });
});

describe('ways around a review', () => {
  it('an author cannot approve the own change', async () => {
    const { number } = await change();
    const answer = await world.gitea.ask('POST', `/repos/${world.project}/pulls/${number}/reviews`, {
      token: world.tokenOf(alice),
      body: { event: 'APPROVED' },
      mayFail: true,
    });
    expect(answer.status).toBe(422);
  });

  it('an administrator merges without any review: nobody is told to have approved', async () => {
    const { number, files } = await change();
    await until('merged', async () => {
      const body = { Do: 'squash', force_merge: true };
      const path = `/repos/${world.project}/pulls/${number}/merge`;
      return (await world.gitea.ask('POST', path, { body, mayFail: true })).status === 200;
    });
    const { pull } = await forge.bringing(files[0] ?? '');
    expect(pull?.merged?.by?.name).toBe('root-of-all');
    expect((await forge.change(number, [])).reviews).toEqual([]);
  });

  it('a branch that goes on after the merge does not change what was reviewed', async () => {
    const { number, branch, head, files } = await change();
    await world.review(number, bob, 'Approved');
    await world.merge(number, bob, 'squash');
    const later = await world.commit(branch, { [files[0] ?? '']: 'never reviewed\n' }, { by: alice });
    const raw = await world.gitea.ask('GET', `/repos/${world.project}/pulls/${number}`);
    // This is why the head is read from its ref: Gitea shows the tip of the branch here.
    expect((raw.body as { head: { sha: string } }).head.sha).toBe(later);
    const read = await forge.change(number, []);
    expect(read.pull.head).toBe(head);
    expect(read.reviews.map(({ commit }) => commit)).toEqual([head]);
    expect((await forge.bringing(files[0] ?? '')).pull?.head).toBe(head);
  });

  it('an approval stays with its commit after a force-push, and counts again only when that commit is back', async () => {
    const { number, branch, head, files } = await change();
    await world.review(number, bob, 'Approved');
    await world.commit(branch, { [files[0] ?? '']: 'something else\n' }, { by: alice, force: true });
    const moved = await forge.change(number, []);
    expect(moved.pull.head).not.toBe(head);
    expect(moved.reviews.map(({ commit, state }) => [commit, state])).toEqual([[head, 'Approved']]);
    await world.push(`+${head}:refs/heads/${branch}`, alice);
    await until('the head is back', async () => (await forge.change(number, [])).pull.head === head);
  });

  it('a protected branch that dismisses stale approvals does so', async () => {
    const path = `/repos/${world.project}/branch_protections`;
    const rule = { rule_name: 'main', enable_push: true, dismiss_stale_approvals: true };
    await world.gitea.ask('POST', path, { body: rule });
    try {
      const { number, branch, files } = await change();
      await world.review(number, bob, 'Approved');
      await world.commit(branch, { [files[0] ?? '']: 'more\n' }, { by: alice });
      await until('the approval is dismissed', async () => {
        const { reviews } = await forge.change(number, []);
        return reviews[0]?.state === 'Dismissed';
      });
    } finally {
      await world.gitea.ask('DELETE', `${path}/main`);
    }
  });

  it('a pull request by push to refs/for has no branch of ours: it counts as from a fork', async () => {
    const { branch } = await change();
    const tip = await world.git('rev-parse', branch);
    await world.push(`${tip}:refs/for/main`, alice, ['-o', 'topic=agit', '-o', 'title=without a branch']);
    const found = await until('the pull request is there', async () =>
      (await forge.open()).find(({ title }) => title === 'without a branch'),
    );
    expect(found).toMatchObject({ fork: true, branch: '', head: tip });
    expect((await forge.change(found.number, [])).pull.head).toBe(tip);
  });

  it('whoever pushed to it had a hand in it, whatever the commits say', async () => {
    const { number, branch } = await change();
    const nobody = { name: 'Nobody', email: 'nobody@elsewhere.example' };
    const words = { by: bob, author: nobody, committer: nobody };
    await world.commit(branch, { 'clusters/pushed.yaml': 'by bob, in the name of nobody\n' }, words);
    const { contributors } = await until('the push is remembered', async () => {
      const read = await forge.change(number, []);
      return read.contributors.some(({ account }) => account?.id === bob.id) ? read : undefined;
    });
    expect(contributors.find(({ email }) => email === nobody.email)?.account).toBeUndefined();
  });

  it('the approval of an account that was deleted is nobody’s', async () => {
    const { number } = await change();
    const leaver = await world.person('leaver');
    await world.review(number, leaver, 'Approved');
    const members = await world.gitea.ask('GET', '/orgs/acme/teams?limit=50');
    for (const { id } of members.body as { id: number }[])
      await world.gitea.ask('DELETE', `/teams/${id}/members/leaver`, { mayFail: true });
    await world.gitea.ask('DELETE', '/admin/users/leaver');
    const [review] = (await forge.change(number, [])).reviews;
    expect(review).toMatchObject({ state: 'Approved', by: { id: '-1', bot: true } });
  });
});

describe('rights', () => {
  it('a token without a scope is told which one is missing', async () => {
    const { number, head } = await change();
    const { token } = await world.gitea.account('poor', ['read:repository', 'read:issue']);
    await world.gitea.ask('PUT', `/repos/${world.project}/collaborators/poor`, { body: { permission: 'write' } });
    const poor = openAs(token);
    expect((await poor.change(number, ['@acme/writers'])).teams).toEqual({ '@acme/writers': undefined });
    expect(written.join('\n')).toContain('read:organization');
    const comment = await failure(poor.comment(number, '<!-- oakum:plan -->', 'text'));
    expect(comment).toMatchObject({ kind: 'denied', code: 'ForgeDenied' });
    expect(comment.message).toContain('read:user');
    const status = await failure(poor.status(head, { context: 'oakum/plan', state: 'pending', text: 'text' }));
    expect(status.message).toContain('write:repository');
    expect(`${written.join('\n')}${comment.message}${status.message}`).not.toContain(token);
  });

  it('a token that is not one any more is denied, and an unknown repository is missing', async () => {
    expect((await failure(openAs('0'.repeat(40)).open())).kind).toBe('denied');
    const { gitea } = world;
    const credentials = { kind: 'token', token: { value: world.tokenOf(world.oakum) } } as const;
    const other = openGitea({
      api: gitea.api,
      project: 'acme/nothing',
      branch: 'main',
      credentials,
      log,
      clock: { now: () => Date.now() },
    });
    expect((await failure(other.open())).kind).toBe('missing');
  });

  it('a team is seen by its members only', async () => {
    const { number } = await change();
    const team = await world.team('secretive', [bob]);
    expect((await forge.change(number, [team])).teams[team]).toEqual([bob.id]);
    const { body } = await world.gitea.ask('GET', '/orgs/acme/teams?limit=50');
    const found = (body as { id: number; name: string }[]).find(({ name }) => name === 'secretive');
    await world.gitea.ask('DELETE', `/teams/${found?.id ?? 0}/members/oakum-app`);
    expect((await forge.change(number, [team])).teams[team]).toBeUndefined();
  });
});

describe('webhooks', () => {
  interface Seen {
    readonly event: string;
    readonly status: number;
  }

  it('that a real one sends are known by their signature, and only by it', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'oakum-webhooks-'));
    const file = join(folder, 'secret');
    const secret = 'canary-secret-of-the-webhook-0123456789';
    writeFileSync(file, `${secret}\n`);
    let hints = 0;
    const seen: Seen[] = [];
    const webhooks = openWebhooks({ secret: { file }, clock: realClock, log, hint: () => (hints += 1) });
    const server = await startHttp({
      port: 0,
      host: '127.0.0.1',
      health: { healthy: () => true, ready: () => true, explain: () => '' },
      metrics: { contentType: 'text/plain', text: () => Promise.resolve('') },
      webhooks: {
        async take(request) {
          const answer = await webhooks.take(request);
          seen.push({ event: String(request.headers['x-gitea-event-type']), status: answer.status });
          return answer;
        },
      },
    });
    onTestFinished(async () => {
      await server.close();
      rmSync(folder, { recursive: true, force: true });
    });
    const hooks = `/repos/${world.project}/hooks`;
    const hook = (words: Readonly<Record<string, string>>): Readonly<Record<string, unknown>> => ({
      type: 'gitea',
      active: true,
      // The events that docs/webhooks.md names.
      events: ['push', 'pull_request', 'pull_request_review', 'pull_request_sync'],
      config: { url: `http://127.0.0.1:${server.port}/webhooks/gitea`, content_type: 'json', ...words },
    });
    const arrives = async (event: string, status: number): Promise<void> => {
      await until(`a webhook "${event}" is answered by ${status}`, () =>
        seen.some((one) => one.event === event && one.status === status),
      );
    };
    const made = await world.gitea.ask('POST', hooks, { body: hook({ secret }) });
    const { id } = made.body as { id: number };
    const { number, branch } = await change();
    await arrives('push', 202);
    await arrives('pull_request', 202);
    await world.review(number, bob, 'Approved');
    await arrives('pull_request_review_approved', 202);
    await world.commit(branch, { 'clusters/hooked.yaml': 'more\n' }, { by: alice });
    await arrives('pull_request_sync', 202);
    expect(seen.filter(({ status }) => status !== 202)).toEqual([]);
    expect(hints).toBe(seen.length);
    await world.gitea.ask('DELETE', `${hooks}/${id}`);

    for (const words of [{ secret: 'another-secret-of-somebody-else' }, {}]) {
      const before = hints;
      seen.length = 0;
      const other = await world.gitea.ask('POST', hooks, { body: hook(words) });
      await world.commit('main', { [`straight/hook-${(serial += 1)}.yaml`]: 'x\n' }, { by: alice });
      await arrives('push', 401);
      expect(hints).toBe(before);
      await world.gitea.ask('DELETE', `${hooks}/${(other.body as { id: number }).id}`);
    }
    expect(written.join('\n')).not.toContain(secret);
  });
});

describe('the shapes of answers', () => {
  it('are those that the false Gitea is held to', async () => {
    const outsider = { name: 'Outsider', email: 'outsider@elsewhere.example' };
    const { number, head, branch } = await change();
    await world.commit(branch, { 'clusters/outsider.yaml': 'without an account\n' }, { by: alice, author: outsider });
    await world.review(number, bob, 'Approved');
    await world.say(number, bob, 'a remark');
    await forge.status(head, { context: 'oakum/plan', state: 'success', text: 'text' });
    const merged = await change();
    const [file = ''] = merged.files;
    await world.commit(merged.branch, { [file]: 'without an account\n' }, { by: alice, author: outsider });
    await world.merge(merged.number, bob, 'merge');
    const path = `/repos/${world.project}`;
    const commit = (await forge.bringing(file)).pull?.merged?.commit ?? '';
    const asked: { method: string; path: string; answer: unknown }[] = [];
    for (const at of [
      '/settings/api',
      '/user',
      '/orgs/acme/teams',
      '/teams/1/members',
      `${path}/branches/main`,
      `${path}/git/refs/pull/${number}/head`,
      `${path}/git/commits/${head}`,
      `${path}/commits?path=${file}`,
      `${path}/commits/${commit}/pull`,
      `${path}/commits/${head}/status`,
      `${path}/commits/${commit}/status`,
      `${path}/pulls`,
      `${path}/pulls/${number}`,
      `${path}/pulls/${merged.number}`,
      `${path}/pulls/${number}/commits`,
      `${path}/pulls/${number}/reviews`,
      `${path}/issues/${number}/comments`,
      `${path}/issues/${number}/timeline`,
      `${path}/issues/${number}/timeline?page=9`,
    ]) {
      const { body } = await world.gitea.ask('GET', at);
      asked.push({ method: 'GET', path: at.replace(/\?.*/, ''), answer: body });
    }
    expect(compareShapes(asked, 'record')).toEqual([]);
  });

  it('are those that Gitea describes', async () => {
    const answer = await fetch(`${world.gitea.url}/swagger.v1.json`, { signal: AbortSignal.timeout(60_000) });
    expect(compareDescription(await answer.json())).toEqual([]);
  });
});
