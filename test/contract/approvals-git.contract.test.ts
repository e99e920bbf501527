// Approvals without a forge, from commit to Job: signatures in a real repository behind `git http-backend`, keys as of the last accepted commit.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { acceptedSigners } from '../../reconciler/cli/accepted-signers.ts';
import { openPlainGit } from '../../reconciler/adapters/forge-git.ts';
import type { PlainGitSeat } from '../../reconciler/cli/forge.ts';
import { openSigningPlace, type SigningPlace } from '../support/signing.ts';
import { startGitServer, type GitServer } from '../support/git-server.ts';
import { ApprovalWorld } from './approval-world.ts';
import { openClone, type SigningClone } from './signing-clone.ts';

const minute = 60_000;
const hour = 60 * minute;
/** A Monday; the slot is the Sunday after it. */
const start = Date.UTC(2026, 10, 2, 9);
const slot = Date.UTC(2026, 10, 8);
const policyFile = 'clusters/prod/policy.yaml';
const runId = '20261108-000000-schedule';
const branch = `oakum/run/prod/${runId}`;

const policy = (more = '', approvers = '"@ann@example.org", "@bob@example.org"'): string =>
  `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec:
  schedule: { preset: weekly }
  approval: { mode: review, approvers: [${approvers}], leadTime: 48h }
  reboot: { stableFor: 60s }
${more}`;
const requestFile = (name: string): string => `clusters/prod/requests/${name}.yaml`;
const request = (name: string): string => `apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: ${name} }
spec: { reason: a test }
`;

let place: SigningPlace;
let remote: GitServer;
let clone: SigningClone;
let oakum: ApprovalWorld;
const keys = new Map<string, string>();

const signers = (...names: readonly string[]): string =>
  names.map((name) => `${name}@example.org ${keys.get(name) ?? ''}\n`).join('');

beforeAll(() => {
  place = openSigningPlace();
  for (const name of ['ann', 'bob', 'eve']) keys.set(name, place.sshKey(name, ['ed25519']));
}, 60_000);
afterAll(() => place.stop());

const plain = (deployed?: ReadonlyMap<string, string>) => ({
  url: remote.url,
  folder: remote.folder,
  open: ({ git, accepted, own }: PlainGitSeat) =>
    openPlainGit({
      git,
      url: remote.url,
      branch: 'main',
      signers: acceptedSigners(git, accepted, deployed),
      own,
      clock: { now: () => oakum.now },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    }),
});

async function open(files: Readonly<Record<string, string>>, deployed?: ReadonlyMap<string, string>): Promise<void> {
  clone.commit('root', files, { signed: false });
  clone.push();
  oakum = new ApprovalWorld(plain(deployed), start);
  oakum.cluster.addNode('n1');
  oakum.cluster.addNode('n2');
  await oakum.pass();
}

beforeEach(async () => {
  remote = await startGitServer();
  clone = openClone(place, remote, () => oakum?.now ?? start);
  await open({ [policyFile]: policy(), 'signers/allowed_signers': signers('ann', 'bob') });
});
afterEach(async () => {
  await oakum.close();
  await remote.stop();
});

/** What is said about a request. */
const told = (name: string): string => {
  const record = oakum.ledger()?.requests[name];
  return `${record?.reason ?? ''}: ${record?.message ?? ''}`;
};
const succeeded = (): boolean => oakum.runs().some(({ state }) => state === 'Succeeded');

/** Passes for so long that a reading of the forge is made anew. */
const settle = async (): Promise<string[]> => {
  const { plan } = await oakum.pass(minute);
  return plan.holds.map(({ reason, message }) => `${reason}: ${message}`);
};

describe('a request', () => {
  it('that somebody else merges with a signature runs, with its evidence', async () => {
    clone.topic('ann', { [requestFile('now')]: request('now') });
    clone.merge('bob');
    await oakum.pass(3 * hour, succeeded);
    expect(oakum.runs()).toMatchObject([
      { state: 'Succeeded', approval: { forge: 'git', path: requestFile('now'), by: [{ name: 'bob@example.org' }] } },
    ]);
  });

  it.each([
    ['pushed, signed by its author', () => clone.commit('ann', { [requestFile('now')]: request('now') })],
    [
      'merged by its author',
      () => {
        clone.topic('ann', { [requestFile('now')]: request('now') });
        return clone.merge('ann');
      },
    ],
    [
      'merged without a signature',
      () => {
        clone.topic('ann', { [requestFile('now')]: request('now') });
        return clone.merge('bob', { signed: false });
      },
    ],
    [
      'merged by somebody whose key nobody has accepted',
      () => {
        clone.topic('ann', { [requestFile('now')]: request('now') });
        return clone.merge('eve');
      },
    ],
    [
      'merged together with the key of whoever merges it',
      () => {
        const more = { 'signers/allowed_signers': signers('ann', 'bob', 'eve') };
        clone.topic('ann', { [requestFile('now')]: request('now'), ...more });
        return clone.merge('eve');
      },
    ],
    [
      'merged after the key of whoever merges it was pushed',
      () => {
        clone.commit('eve', { 'signers/allowed_signers': signers('ann', 'bob', 'eve') });
        clone.push();
        clone.topic('ann', { [requestFile('now')]: request('now') });
        return clone.merge('eve');
      },
    ],
    [
      'not signed, and merged by one of two who would be needed then',
      () => {
        clone.topic('eve', { [requestFile('now')]: request('now') }, { signed: false });
        return clone.merge('bob');
      },
    ],
  ])('%s makes no Job', async (_name, attack) => {
    attack();
    clone.push();
    const holds = await settle();
    expect([...holds, told('now')].join('\n')).toContain('MergedWithoutApproval');
    expect(oakum.jobs()).toBe(0);
  });
});

describe('keys', () => {
  it('are added with the quorum of those that were there, and count from then on', async () => {
    clone.topic('ann', { 'signers/allowed_signers': signers('ann', 'bob', 'eve') });
    clone.merge('eve');
    expect((await settle()).join()).toContain('the keys of those who may sign change (signers/allowed_signers)');
    // Ann wrote it and Eve is nobody yet: Bob's merge of the same content over it is what counts.
    clone.topic('ann', { 'signers/allowed_signers': `${signers('ann', 'bob', 'eve')}# Eve\n` });
    clone.merge('bob');
    expect(await settle()).toEqual([]);
    clone.topic('ann', { [policyFile]: policy('', '"@ann@example.org", "@bob@example.org", "@eve@example.org"') });
    clone.merge('bob');
    expect(await settle()).toEqual([]);
    clone.topic('ann', { [requestFile('now')]: request('now') });
    clone.merge('eve');
    await oakum.pass(3 * hour, succeeded);
    expect(oakum.runs()).toMatchObject([{ state: 'Succeeded', approval: { by: [{ name: 'eve@example.org' }] } }]);
  });

  it('of the deployment count alone, whatever the repository says', async () => {
    await oakum.close();
    const deployed = new Map([['signers/allowed_signers', signers('ann')]]);
    await open({ 'README.md': 'again\n' }, deployed);
    clone.topic('ann', { [requestFile('first')]: request('first') });
    clone.merge('bob');
    await settle();
    expect(told('first')).toContain('0 of');
    clone.topic('bob', { [requestFile('second')]: request('second') }, { signed: false });
    clone.merge('ann');
    await settle();
    expect(told('second')).toContain('1 of 2');
    expect(oakum.jobs()).toBe(0);
  });

  it('that are nowhere let nobody approve', async () => {
    await oakum.close();
    await open({ 'signers/allowed_signers': '# nobody\n' });
    clone.topic('ann', { [requestFile('now')]: request('now') });
    clone.merge('bob');
    await settle();
    expect(told('now')).toContain('ApprovalUnverifiable');
    expect(told('now')).toContain('nobody can sign');
  });
});

describe('a scheduled run', () => {
  const proposed = async (): Promise<void> => {
    oakum.now = slot - 47 * hour;
    await oakum.pass();
    expect(await oakum.look()).toBeUndefined();
    expect(clone.branches()).toEqual([branch]);
  };

  it('is proposed once on a branch with its plan, merged with a signature, run, and cleared away', async () => {
    await proposed();
    expect(await oakum.look()).toBeUndefined();
    const message = clone.message(branch);
    expect(message).toContain(`Patch prod: run ${runId}`);
    expect(message).toContain('n1');
    expect(message).toContain(`oakum approve ${runId}`);
    clone.merge('bob', { from: branch });
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'Scheduled', message: 'approved by bob@example.org' }]);
    expect(await oakum.look()).toBeUndefined();
    expect(clone.branches()).toEqual([]);
    expect(oakum.jobs()).toBe(0);
    oakum.now = slot;
    await oakum.pass(3 * hour, succeeded);
    expect(succeeded()).toBe(true);
  });

  it('needs no more approvals after Oakum was started anew', async () => {
    await proposed();
    await oakum.restart();
    await oakum.pass();
    expect(await oakum.look()).toBeUndefined();
    clone.merge('bob', { from: branch });
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'Scheduled', message: 'approved by bob@example.org' }]);
  });

  it('that was merged past the signatures waits, and the desk has nothing to complain of', async () => {
    await proposed();
    clone.merge('eve', { from: branch });
    clone.removeBranch(branch);
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' }]);
    expect(await oakum.look()).toBeUndefined();
    oakum.now = slot;
    await settle();
    expect(oakum.jobs()).toBe(0);
  });

  it('follows the policy on the same branch until it is approved', async () => {
    await proposed();
    const first = clone.tip(branch);
    clone.topic('ann', { [policyFile]: policy('  updates: { scope: all }\n') });
    clone.merge('bob');
    await settle();
    expect(await oakum.look()).toBeUndefined();
    expect(clone.branches()).toEqual([branch]);
    expect(clone.tip(branch)).not.toBe(first);
    // What was proposed before is approved by somebody who has not looked again.
    clone.merge('bob', { from: first });
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'AwaitingApproval', reason: 'ApprovalOutdated' }]);
  });
});
