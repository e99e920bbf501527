// The suite of forges on GitHub's adapter, with a token and as an App.
import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { openGithub } from '../../reconciler/adapters/forge-github.ts';
import { githubFace } from '../support/fake-github.ts';
import type { Passed } from '../support/fake-forge-server.ts';
import { openGithubCheck } from '../support/github-description.ts';
import { fakeAbilities, startFakeWorld } from './fake-world.ts';
import { describeForge, type WorldAbilities } from './forge-suite.ts';

/** Nobody can approve the own pull request on GitHub. */
const abilities = { ...fakeAbilities, selfApproval: false };
const clock = { now: () => Date.now() };
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();

const description = openGithubCheck();
const problems = new Set<string>();
const used = new Set<string>();

/** Every request that the adapter has sent, and every answer that it got, is compared with GitHub's own description. */
function compare(passed: readonly Passed[]): void {
  for (const one of passed) {
    // The description is of the REST API only.
    if (one.faulted || one.status >= 300 || one.path.endsWith('/graphql')) continue;
    for (const problem of description.check(one)) problems.add(problem);
    const name = description.nameOf(one);
    if (name !== undefined) used.add(name);
  }
}

describeForge('GitHub with a token', abilities, () =>
  startFakeWorld({
    face: githubFace,
    check: compare,
    prefix: '/api/v3',
    open: ({ api, project, forge, log, timeouts }) =>
      openGithub(
        {
          api,
          project,
          branch: 'main',
          credentials: { kind: 'token', token: { value: forge.oakum.token } },
          log,
          clock,
          timeouts,
        },
        { spread: false },
      ),
  }),
);

/** Only an App may write check runs. */
const ofApp: WorldAbilities = {
  ...abilities,
  annotations: () => Promise.reject(new Error('only a world has check runs')),
};

describeForge('GitHub as an App', ofApp, () =>
  startFakeWorld({
    face: githubFace,
    check: compare,
    prefix: '',
    app: true,
    annotations: true,
    secrets: [pem.split('\n')[3] ?? ''],
    open: ({ api, project, log, timeouts }) =>
      openGithub(
        {
          api,
          project,
          branch: 'main',
          credentials: { kind: 'app', appId: '7', privateKey: { value: pem } },
          log,
          clock,
          timeouts,
        },
        { spread: false },
      ),
  }),
);

it('asks and is answered as GitHub describes its API, and every endpoint of the extract was used', () => {
  expect([...problems].join('\n')).toBe('');
  expect(description.names.filter((name) => !used.has(name)).join('\n')).toBe('');
});

it('would notice an answer that GitHub would not give', () => {
  const team = { method: 'GET', path: '/orgs/acme/teams/platform/members', query: '', body: {}, status: 200 };
  expect(description.check({ ...team, answer: [] })).toEqual([]);
  expect(description.check({ ...team, answer: [{ id: 1, login: 'alice' }] })).toHaveLength(1);
  expect(description.check({ ...team, query: '?per_pages=3', answer: [] })).toHaveLength(1);
  expect(description.check({ ...team, path: '/orgs/acme/teams/platform', answer: [] })).toHaveLength(1);
});
