// What somebody with write access might try with signatures in plain Git: approvals of long ago, and merges that were never meant for the config branch.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openPlainGit } from '../../reconciler/adapters/forge-git.ts';
import { acceptedSigners } from '../../reconciler/cli/accepted-signers.ts';
import type { PlainGitSeat } from '../../reconciler/cli/forge.ts';
import { startGitServer, type GitServer } from '../support/git-server.ts';
import { openSigningPlace, type SigningPlace } from '../support/signing.ts';
import { ApprovalWorld } from './approval-world.ts';
import { openClone, type SigningClone } from './signing-clone.ts';

const minute = 60_000;
const start = Date.UTC(2026, 10, 2, 9);
const policyFile = 'clusters/prod/policy.yaml';
const policy = (more = ''): string => `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec:
  approval: { mode: review, approvers: ["@ann@example.org", "@bob@example.org"] }
${more}`;
const loose = policy('  drain: { force: true }\n');
const requestFile = 'clusters/prod/requests/now.yaml';
const request = `apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: now }
spec: { reason: a test }
`;

let place: SigningPlace;
let remote: GitServer;
let clone: SigningClone;
let oakum: ApprovalWorld;
let signers = '';

beforeAll(() => {
  place = openSigningPlace();
  signers = ['ann', 'bob'].map((name) => `${name}@example.org ${place.sshKey(name, ['ed25519'])}\n`).join('');
}, 60_000);
afterAll(() => place.stop());
beforeEach(async () => {
  remote = await startGitServer();
  clone = openClone(place, remote, () => oakum?.now ?? start);
  clone.commit('root', { [policyFile]: policy(), 'signers/allowed_signers': signers }, { signed: false });
  clone.push();
  const open = ({ git, accepted, own }: PlainGitSeat) =>
    openPlainGit({
      git,
      url: remote.url,
      branch: 'main',
      signers: acceptedSigners(git, accepted, undefined),
      own,
      clock: { now: () => oakum.now },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    });
  oakum = new ApprovalWorld({ url: remote.url, folder: remote.folder, open }, start);
  oakum.cluster.addNode('n1');
  await oakum.pass();
});
afterEach(async () => {
  await oakum.close();
  await remote.stop();
});

const settle = async (): Promise<string> => {
  const { plan } = await oakum.pass(minute);
  return plan.holds.map(({ reason, message }) => `${reason}: ${message}`).join('\n');
};
const forced = (): boolean | undefined => oakum.ledger()?.rules?.rules.force;

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
