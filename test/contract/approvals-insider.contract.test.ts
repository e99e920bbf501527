// What somebody with write access might try with signatures in plain Git: approvals of long ago, and merges that were never meant for the config branch.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openSigningPlace, type SigningPlace } from '../support/signing.ts';
import type { ApprovalWorld } from './approval-world.ts';
import { keysOf, loose, openPlainGitWorld, policy, policyFile, type PlainGitWorld } from './plain-git-world.ts';
import type { SigningClone } from './signing-clone.ts';

const requestFile = 'clusters/prod/requests/now.yaml';
const request = `apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: now }
spec: { reason: a test }
`;

let place: SigningPlace;
let world: PlainGitWorld;
let clone: SigningClone;
let oakum: ApprovalWorld;
let signers = '';

beforeAll(() => {
  place = openSigningPlace();
  signers = keysOf(place, 'ann', 'bob');
}, 60_000);
afterAll(() => place.stop());
beforeEach(async () => {
  world = await openPlainGitWorld(place, signers);
  ({ clone, oakum } = world);
});
afterEach(() => world.close());

const settle = (): Promise<string> => world.settle();
const forced = (): boolean | undefined => world.forced();

it('content that an approval file once approved does not come back with it', async () => {
  clone.commit('ann', { [policyFile]: loose });
  const oid = clone.as('ann', 'rev-parse', `HEAD:${policyFile}`);
  const approval = `apiVersion: oakum.dev/v1alpha1
kind: PatchApproval
metadata: { name: force }
spec:
  approver: bob@example.org
  files: { ${policyFile}: ${oid} }
`;
  clone.commit('bob', { 'clusters/prod/approvals/force.yaml': approval });
  clone.push();
  expect(await settle()).toBe('');
  expect(forced()).toBe(true);
  clone.commit('ann', { [policyFile]: policy() });
  clone.push();
  expect(await settle()).toBe('');
  expect(forced()).toBe(false);
  clone.commit('ann', { [policyFile]: loose });
  clone.push();
  expect(await settle()).toMatch(/drain\.force is on.*older than what it approves/s);
  expect(forced()).toBe(false);
});

it.each([
  ['as its first parent', true],
  ['as its second parent', false],
])(
  'a merge that takes back what was approved long ago, with the old commit %s, is not approved',
  async (_how, first) => {
    clone.topic('ann', { [policyFile]: loose });
    const old = clone.merge('bob');
    expect(await settle()).toBe('');
    expect(forced()).toBe(true);
    const tip = clone.commit('ann', { [policyFile]: policy('# Not by force.\n') });
    clone.push();
    expect(await settle()).toBe('');
    const parents = first ? [old, tip] : [tip, old];
    const words = parents.flatMap((parent) => ['-p', parent]);
    const evil = clone.as('ann', 'commit-tree', '-S', `${old}^{tree}`, ...words, '-m', 'Tidy up');
    clone.as('ann', 'push', '-q', 'origin', `${evil}:refs/heads/main`);
    expect(await settle()).toContain('drain.force is on');
    expect(forced()).toBe(false);
  },
);

it('a signed merge of the config branch into a branch of one’s own approves nothing of it, wherever it is pushed', async () => {
  clone.as('bob', 'checkout', '-q', '-B', 'topic', 'origin/main');
  clone.commit('bob', { 'README.md': 'words\n' });
  clone.as('ann', 'checkout', '-q', '-B', 'main', 'origin/main');
  clone.commit('ann', { [requestFile]: request });
  clone.push();
  await settle();
  clone.as('bob', 'fetch', '-q', 'origin');
  clone.as('bob', 'checkout', '-q', 'topic');
  clone.as('bob', 'merge', '-q', '--no-edit', '-S', 'origin/main');
  clone.as('ann', 'push', '-q', 'origin', 'topic:main');
  await settle();
  const told = oakum.ledger()?.requests['now'];
  expect(told?.message).toContain('brings main into another branch');
  expect(oakum.jobs()).toBe(0);
});

it('a signed merge into a third branch approves nothing of the config branch', async () => {
  clone.topic('ann', { [requestFile]: request });
  clone.as('bob', 'checkout', '-q', '-B', 'dev', 'origin/main');
  clone.as('bob', 'merge', '-q', '--no-ff', '--no-edit', '-S', 'topic');
  clone.as('ann', 'push', '-q', 'origin', 'dev:main');
  await settle();
  expect(oakum.ledger()?.requests['now']?.message).toContain('is one into dev, not into main');
  expect(oakum.jobs()).toBe(0);
});
