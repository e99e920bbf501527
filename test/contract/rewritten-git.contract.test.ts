// A rewritten branch under review without a forge: the word in accept-rewrite.yaml counts when somebody allowed has signed for it, and in no other way.
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { openSigningPlace, type SigningPlace } from '../support/signing.ts';
import type { ApprovalWorld } from './approval-world.ts';
import { keysOf, loose, openPlainGitWorld, policy, policyFile, type PlainGitWorld } from './plain-git-world.ts';
import type { SigningClone } from './signing-clone.ts';

const word = 'accept-rewrite.yaml';
const wordOf = (from: string, to: string): string => `apiVersion: oakum.dev/v1alpha1
kind: AcceptRewrite
metadata: { name: accept-rewrite }
spec: { from: [${from}], to: ${to}, reason: a secret is out }
`;

let place: SigningPlace;
let world: PlainGitWorld;
let clone: SigningClone;
let oakum: ApprovalWorld;
let signers = '';
let stranger = '';
/** The keys of the deployment; undefined: those of the commit accepted last count. */
let deployed: ReadonlyMap<string, string> | undefined;

beforeAll(() => {
  place = openSigningPlace();
  signers = keysOf(place, 'ann', 'bob');
  stranger = keysOf(place, 'eve');
}, 60_000);
afterAll(() => place.stop());
beforeEach(async () => {
  deployed = new Map([['signers/allowed_signers', signers]]);
  world = await openPlainGitWorld(place, signers, () => deployed);
  ({ clone, oakum } = world);
});
afterEach(() => world.close());

const settle = (): Promise<string> => world.settle();
const forced = (): boolean | undefined => world.forced();
const accepted = (): string | undefined => oakum.ledger()?.accepted?.commit;

/** A freeze is accepted, then taken out of the history by force: main goes on from before it, with a looser policy. Tells the lost commit and the new tip. */
async function rewritten(more: Readonly<Record<string, string>> = {}): Promise<{ lost: string; tip: string }> {
  const first = clone.tip('main');
  const lost = clone.commit('ann', { 'clusters/prod/FREEZE': '' });
  clone.push();
  await settle();
  expect(accepted()).toBe(lost);
  clone.as('ann', 'reset', '-q', '--hard', first);
  const tip = clone.commit('ann', { [policyFile]: loose, ...more });
  clone.as('ann', 'push', '-q', '--force', 'origin', 'HEAD:main');
  expect(await settle()).toMatch(/^HistoryRewritten: /);
  return { lost, tip };
}

it('is taken when somebody else has merged the word with a signature, and its rules with it', async () => {
  const { lost, tip } = await rewritten();
  clone.topic('ann', { [word]: wordOf(lost, tip) });
  expect(await settle()).toMatch(/^HistoryRewritten: /);
  const merged = clone.merge('bob');
  expect(await settle()).toContain('agreed to');
  expect(accepted()).toBe(merged);
  expect(await settle()).toBe('');
  expect(forced()).toBe(true);
  expect(oakum.ledger()?.rewrites).toMatchObject([
    { from: lost, to: tip, approval: { by: [{ name: 'bob@example.org' }] } },
  ]);
});

it.each([
  [
    'pushed by its author with a signature',
    (text: string) => void (clone.commit('ann', { [word]: text }), clone.push()),
  ],
  ['merged by its author', (text: string) => void (clone.topic('ann', { [word]: text }), clone.merge('ann'))],
  [
    'merged without a signature',
    (text: string) => void (clone.topic('ann', { [word]: text }), clone.merge('bob', { signed: false })),
  ],
  [
    'merged by a stranger whose key the new history brings',
    (text: string) => void (clone.topic('ann', { [word]: text }), clone.merge('eve')),
  ],
])('is not taken when the word was %s', async (_how, bring) => {
  const own = policy().replace('"@bob@example.org"', '"@bob@example.org", "@eve@example.org"');
  const { lost, tip } = await rewritten({ [policyFile]: own, 'signers/allowed_signers': signers + stranger });
  bring(wordOf(lost, tip));
  expect(await settle()).toMatch(/^HistoryRewritten: .*MergedWithoutApproval/s);
  expect(accepted()).toBe(lost);
  expect(oakum.ledger()?.rules?.rules.frozen).toBe(true);
});

it('is not taken when something else was pushed on top of a word that was merged with a signature', async () => {
  const { lost, tip } = await rewritten({ [policyFile]: policy('# As it was.\n') });
  clone.topic('ann', { [word]: wordOf(lost, tip) });
  clone.merge('bob');
  clone.commit('ann', { [policyFile]: loose });
  clone.push();
  expect(await settle()).toMatch(/^HistoryRewritten: .*ApprovalOutdated/s);
  expect(accepted()).toBe(lost);
  expect(forced()).toBe(false);
});

it('is not taken when the soak of a wave before was shortened on top of a word that was merged with a signature', async () => {
  const named = (kind: string, name: string): string =>
    `apiVersion: oakum.dev/v1alpha1\nkind: ${kind}\nmetadata: { name: ${name} }\n`;
  const rollout = (soak: string): string =>
    `${named('Rollout', 'monthly')}spec:
  schedule: { preset: monthly }
  waves: [{ name: first, clusters: [dev], soak: ${soak} }, { name: last, clusters: [prod] }]
`;
  const { lost, tip } = await rewritten({
    'clusters/dev/cluster.yaml': named('Cluster', 'dev'),
    'clusters/prod/cluster.yaml': named('Cluster', 'prod'),
    'rollouts/monthly.yaml': rollout('3d'),
  });
  clone.topic('ann', { [word]: wordOf(lost, tip) });
  clone.merge('bob');
  clone.commit('ann', { 'rollouts/monthly.yaml': rollout('1h') });
  clone.push();
  expect(await settle()).toMatch(/^HistoryRewritten: .*ApprovalOutdated: .*soak of wave first is shorter/s);
  expect(accepted()).toBe(lost);
  clone.commit('ann', { 'rollouts/monthly.yaml': rollout('4d') });
  clone.push();
  expect(await settle()).toContain('agreed to');
});

it('is not taken by a signed word about another rewrite', async () => {
  const { tip } = await rewritten();
  clone.topic('ann', { [word]: wordOf('b'.repeat(40), tip) });
  clone.merge('bob');
  expect(await settle()).toContain('it does not speak of this rewrite');
});

it('holds where the keys of the deployment are not given, and the lost commit, which had the keys, is gone from the remote', async () => {
  deployed = undefined;
  await oakum.restart();
  const { lost, tip } = await rewritten();
  clone.topic('ann', { [word]: wordOf(lost, tip) });
  clone.merge('bob');
  expect(await settle()).toMatch(/^HistoryRewritten: .*ApprovalUnverifiable: .* does not send commit/s);
  expect(accepted()).toBe(lost);
});
