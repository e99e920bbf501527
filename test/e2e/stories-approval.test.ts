// Approval by pull request on a real forge and a real API server: what was reviewed is done, what was pushed past the reviews is not.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Person } from '../contract/forge-suite.ts';
import { until } from '../lab/wait.ts';
import type { GitServer } from '../support/git-server.ts';
import { startGiteaWorld, type GiteaWorld } from './gitea-world.ts';
import { openStage } from './stage.ts';
import { fleet, policy, request } from './wishes.ts';

const on = openStage();
let forge: GiteaWorld;
let folder: string;
let founder: Person;
let alice: Person;
let mallory: Person;
const limitMs = 180_000;

beforeAll(async () => {
  forge = await startGiteaWorld();
  folder = mkdtempSync(join(tmpdir(), 'oakum-approval-'));
  founder = await forge.person('founder');
  alice = await forge.person('alice');
  mallory = await forge.person('mallory');
});
afterAll(async () => {
  await forge.end();
  rmSync(folder, { recursive: true, force: true });
});

describe('under approval mode review', () => {
  it('a request runs when it was reviewed and merged, with its evidence; one that was pushed does not', async () => {
    const token = join(folder, 'token');
    writeFileSync(token, forge.tokenOf(forge.oakum), { mode: 0o600 });
    const rules = { approval: { mode: 'review', approvers: ['@alice'] } };
    await forge.commit('main', { 'oakum.yaml': fleet, 'clusters/prod/policy.yaml': policy(rules) }, { by: founder });
    const story = await on.tell({ count: 2 }, {}, repositoryOf(forge));
    story.oakum([
      ...['--branch', 'main', '--git-token-file', token, '--forge', 'gitea', '--forge-token-file', token],
      ...['--forge-url', forge.gitea.api, '--forge-poll', '2s'],
    ]);
    await story.says('the policy is known', (status) => status.nodes.length === 2, limitMs);

    // Past the pull requests: it is on the branch, and nothing is done.
    await forge.commit('main', request('pushed'), { by: mallory });
    await story.says(
      'the pushed request is refused',
      (status) => status.requests.some(({ name, reason }) => name === 'pushed' && reason === 'MergedWithoutApproval'),
      limitMs,
    );

    // As it should be: a pull request, its plan, an approval, the merge.
    await forge.commit('ask', request('asked'), { by: mallory });
    const number = await forge.pull('ask', mallory);
    await until(
      'the plan stands on the pull request',
      async () => (await forge.comments(number)).some(({ text }) => text.includes('light-001')),
      limitMs,
      500,
    );
    const { head } = await headOf(number);
    await forge.review(number, alice, 'Approved');
    await until(
      'the status turns green',
      async () =>
        (await forge.statuses(head)).some(({ context, state }) => context === 'oakum/approval' && state === 'success'),
      limitMs,
      500,
    );
    expect(await story.jobs('patch')).toEqual([]);
    await forge.merge(number, founder, 'squash');
    await story.runIs('Succeeded', 2 * limitMs);
    await story.provenOnce();
    const status = await story.status();
    expect(status?.requests.find(({ name }) => name === 'pushed')?.state).toBe('Waiting');
    expect(story.log()).not.toContain(forge.tokenOf(forge.oakum));
  });
});

/** The forge's repository as a story's: the forge itself serves it, and ends by itself. */
function repositoryOf({ gitea, project }: GiteaWorld): GitServer {
  const nothing = (): Promise<void> => Promise.resolve();
  return {
    url: `${gitea.url}/${project}.git`,
    repository: gitea.repository(project),
    folder,
    seen: [],
    sent: 0,
    fault: undefined,
    allowed: undefined,
    down: nothing,
    up: nothing,
    stop: nothing,
  };
}

/** The commit at the head of a pull request. */
async function headOf(number: number): Promise<{ readonly head: string }> {
  const { body } = await forge.gitea.ask('GET', `/repos/${forge.project}/pulls/${number}`);
  return { head: (body as { head: { sha: string } }).head.sha };
}
