// Approvals without a forge, from commit to Job: signatures in a real repository behind `git http-backend`, keys as of the last accepted commit.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { approve, type ApproveFlags } from '../../reconciler/cli/approve.ts';
import { type Check, verifyRun } from '../../reconciler/cli/verify.ts';
import type { ApprovalRecord } from '../../reconciler/model/approval.ts';
import { toPlain } from '../../reconciler/report/files.ts';
import { yamlText } from '../../reconciler/report/yaml-text.ts';
import { parse } from 'yaml';
import { openSigningPlace, sshSettings, type SigningPlace } from '../support/signing.ts';
import { commitFiles, gitEnvironment, startGitServer, type GitServer } from '../support/git-server.ts';
import { ApprovalWorld } from './approval-world.ts';
import { plainGitOf } from './plain-git-world.ts';
import { openClone, personAt, type SigningClone } from './signing-clone.ts';

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
const settingsOf = (cluster: string): string =>
  `apiVersion: oakum.dev/v1alpha1\nkind: Cluster\nmetadata: { name: ${cluster} }\n`;
/** Development goes before production, at no time that comes soon. */
const rollout = (soak: string, more = ''): string => `apiVersion: oakum.dev/v1alpha1
kind: Rollout
metadata: { name: waves }
spec:
  start: 2027-06-01T00:00:00Z
  waves: [{ name: first, clusters: [dev], soak: ${soak} }, { name: last, clusters: [prod] }]
${more}`;

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

const plain = (deployed?: ReadonlyMap<string, string>) =>
  plainGitOf(
    remote,
    () => oakum.now,
    () => deployed,
  );

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

/** `oakum approve` by somebody with their own settings of git; tells what was said. */
async function approveAs(
  name: string,
  what: string,
  flags: Partial<ApproveFlags> = {},
  more: Record<string, string> = {},
): Promise<string> {
  const settings = { 'user.email': `${name}@example.org`, ...signingWith(name), ...more };
  const pairs = Object.entries(settings).flatMap(([key, value], index): [string, string][] => [
    [`GIT_CONFIG_KEY_${index}`, key],
    [`GIT_CONFIG_VALUE_${index}`, value],
  ]);
  const env = {
    ...gitEnvironment,
    ...personAt(name, oakum.now),
    GIT_CONFIG_COUNT: String(Object.keys(settings).length),
    ...Object.fromEntries<string>(pairs),
  };
  seen.length = 0;
  const world = { now: () => oakum.now, print: (text: string) => void seen.push(text), confirm: undefined, env };
  return approve(what, { dir: clone.folder, remote: 'origin', yes: true, ...flags }, world);
}

/** `oakum verify` in the clone, of what the archive of the first run holds. */
async function verified(altered: Partial<ApprovalRecord> = {}): Promise<Check[]> {
  const [run] = oakum.runs();
  const approval = run?.approval && { ...run.approval, ...altered };
  const text = yamlText(toPlain({ kind: 'PatchRunRecord', status: { id: runId, approval } }));
  commitFiles(remote.repository, 'oakum/status', { [`clusters/prod/runs/${runId}.yaml`]: text });
  clone.as('root', 'fetch', '-q', 'origin');
  const flags = { dir: clone.folder, branch: 'origin/main', statusBranch: 'origin/oakum/status' };
  return verifyRun(runId, { cluster: 'prod', ...flags });
}

const signingWith = (name: string): Record<string, string> =>
  Object.fromEntries(sshSettings(place, name).map((setting) => setting.split('=') as [string, string]));

/** What was shown to whoever approved last. */
const seen: string[] = [];

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

  it('and the mode are told in the status, also when the deployment demands more than the policy', async () => {
    await oakum.close();
    oakum = new ApprovalWorld(plain(), start, { approvalFloor: 'review' });
    clone.commit('root', { [policyFile]: policy().replace('mode: review', 'mode: merge') }, { signed: false });
    clone.push();
    expect((await oakum.pass()).plan.approval).toBe('review: 1 of @ann@example.org, @bob@example.org');
    await oakum.close();
    oakum = new ApprovalWorld(plain(), start);
    expect((await oakum.pass()).plan.approval).toBe(
      'merge: whoever may bring something to the config branch is trusted',
    );
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

describe('oakum approve', () => {
  const proposed = async (): Promise<void> => {
    oakum.now = slot - 47 * hour;
    await oakum.pass();
    expect(await oakum.look()).toBeUndefined();
  };

  it('merges the proposal of a run with a signature; the run starts at its time, and its evidence holds', async () => {
    await proposed();
    const before = clone.as('bob', 'status', '--porcelain', '--branch');
    expect(await approveAs('bob', runId)).toMatch(/^Approved as bob@example\.org: commit [0-9a-f]{10} is on main\.$/);
    expect(seen.join()).toContain('n1');
    expect(seen.join()).toContain('+kind: PatchRun');
    expect(clone.as('bob', 'status', '--porcelain', '--branch').replace(/ \[.*/, '')).toBe(before);
    expect(clone.as('bob', 'worktree', 'list').split('\n')).toHaveLength(1);
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'Scheduled', message: 'approved by bob@example.org' }]);
    oakum.now = slot;
    await oakum.pass(3 * hour, succeeded);
    expect(succeeded()).toBe(true);
    const checks = await verified();
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.map(({ what }) => what)).toContain('bob@example.org signed it');
    const [by] = oakum.runs()[0]?.approval?.by ?? [];
    const forged = await verified({ by: by ? [{ ...by, id: 'SHA256:another' }] : [] });
    expect(forged.filter(({ ok }) => !ok).map(({ what }) => what)).toContain('bob@example.org signed it');
  });

  it('writes an approval file for a request that was pushed, which is then enough', async () => {
    clone.commit('ann', { [requestFile('now')]: request('now') });
    clone.push();
    await settle();
    expect(told('now')).toContain('MergedWithoutApproval');
    expect(await approveAs('bob', 'now')).toContain('Approved as bob@example.org');
    expect(seen.join()).toContain('reason: a test');
    const file = clone.as('bob', 'show', 'origin/main:clusters/prod/approvals/now-bob.yaml');
    const validate = new Ajv2020().compile(readSchemas().PatchApproval);
    expect(validate(parse(file)) ? [] : validate.errors).toEqual([]);
    expect(file).toContain(policyFile);
    await oakum.pass(3 * hour, succeeded);
    expect(oakum.runs()).toMatchObject([{ state: 'Succeeded', approval: { by: [{ name: 'bob@example.org' }] } }]);
    await expect(approveAs('bob', 'now')).rejects.toThrow('you have approved this already');
  });

  it('of other content does not count', async () => {
    clone.commit('ann', { [requestFile('now')]: request('now') });
    clone.push();
    await approveAs('bob', 'now');
    clone.topic('ann', { [policyFile]: policy('  updates: { scope: all }\n') });
    clone.merge('bob');
    await settle();
    expect(told('now') + (oakum.runs()[0]?.reason ?? '')).toContain('ApprovalOutdated');
    expect(oakum.jobs()).toBe(0);
  });

  it('counts the approvals of two where two are needed, and says how many', async () => {
    clone.topic('ann', { [policyFile]: policy().replace('mode: review,', 'mode: review, minApprovals: 2,') });
    clone.merge('bob');
    expect(await settle()).toEqual([]);
    await proposed();
    expect(await approveAs('bob', runId)).toContain('2 approvals are needed in all');
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' }]);
    expect(await oakum.look()).toBeUndefined();
    await approveAs('ann', runId);
    await settle();
    expect(oakum.runs()).toMatchObject([{ state: 'Scheduled' }]);
  });

  it.each([
    ['does not count after a soak before it became longer', rollout('4d'), 0],
    [
      'counts after a word for another run',
      rollout('3d', '  skip: [{ run: 20270601-000000-waves, cluster: prod }]\n'),
      1,
    ],
  ])('of the first of two %s', async (_what, edited, runs) => {
    clone.topic('ann', {
      [policyFile]: policy().replace('mode: review,', 'mode: review, minApprovals: 2,'),
      'signers/allowed_signers': signers('ann', 'bob', 'eve'),
      'clusters/dev/cluster.yaml': settingsOf('dev'),
      'clusters/prod/cluster.yaml': settingsOf('prod'),
      'rollouts/waves.yaml': rollout('3d'),
    });
    clone.merge('bob');
    expect(await settle()).toEqual([]);
    clone.commit('eve', { [requestFile('now')]: request('now') });
    clone.push();
    await approveAs('bob', 'now');
    clone.as('eve', 'pull', '-q', '--ff-only', 'origin', 'main');
    clone.commit('eve', { 'rollouts/waves.yaml': edited });
    clone.push();
    await approveAs('ann', 'now');
    expect(await settle()).toEqual([]);
    expect(oakum.runs()).toHaveLength(runs);
    expect(told('now')).toContain(runs === 0 ? 'which is not the head' : '');
  });

  it.each([
    ['without a key', 'bob', { 'user.signingkey': '' }, 'your git has no key to sign with'],
    ['with a key that is not among the signers', 'eve', {}, 'is not in signers/allowed_signers'],
    ['by its author', 'ann', {}, 'ann@example.org had a hand in the commits'],
    ['in a form that is not understood', 'bob', { 'gpg.format': 'x509' }, 'gpg.format is "x509"'],
  ])('%s is refused, and nothing is pushed', async (_name, who, more, why) => {
    clone.topic('ann', { [requestFile('now')]: request('now') });
    clone.as('ann', 'push', '-q', 'origin', 'topic');
    const tip = clone.tip('main');
    await expect(approveAs(who, 'topic', {}, more)).rejects.toThrow(why);
    expect(clone.tip('main')).toBe(tip);
  });

  it('says what is wrong: unknown names, proposals that are out of date or too late, merges that are more than their sides', async () => {
    await proposed();
    await expect(approveAs('bob', 'nonsense')).rejects.toThrow(`proposed now: ${runId} (cluster prod)`);
    await expect(approveAs('bob', 'signers/allowed_signers')).rejects.toThrow('belongs to no cluster alone');
    clone.topic('ann', { [policyFile]: policy('  updates: { scope: all }\n') });
    clone.as('ann', 'push', '-q', 'origin', 'topic');
    clone.commit('ann', { [policyFile]: `# At the other end of the file.\n${policy()}` });
    clone.push();
    await expect(approveAs('bob', 'topic')).rejects.toThrow(`${policyFile}: changed on topic and on main`);
    clone.topic('ann', { [policyFile]: policy('  updates: { scope: all }\n') });
    clone.as('ann', 'push', '-q', '--force', 'origin', 'topic');
    expect(await approveAs('bob', 'topic')).toContain('Approved as bob@example.org');
    await expect(approveAs('bob', 'topic')).rejects.toThrow('is on main already');
    await expect(approveAs('bob', runId)).rejects.toThrow('out of date');
    oakum.now = slot + 30 * 24 * hour;
    await expect(approveAs('bob', runId)).rejects.toThrow('could wait for an approval until');
    await expect(approveAs('bob', runId, { yes: false })).rejects.toThrow();
  });

  it('reads whatever Oakum reads: rollouts, which make proposals out of date, and the word about a rewrite', async () => {
    clone.commit('ann', {
      'clusters/dev/cluster.yaml': settingsOf('dev'),
      'clusters/prod/cluster.yaml': settingsOf('prod'),
    });
    clone.commit('ann', { 'rollouts/waves.yaml': rollout('3d') });
    clone.push();
    expect(await settle()).toEqual([]);
    await proposed();
    clone.commit('ann', { 'rollouts/waves.yaml': rollout('4d') });
    clone.push();
    await expect(approveAs('bob', runId)).rejects.toThrow('out of date');
    clone.commit('ann', { [requestFile('now')]: request('now'), 'rollouts/waves.yaml': rollout('soon') });
    clone.push();
    await expect(approveAs('bob', 'now')).rejects.toThrow(/would not be valid: rollouts\/waves\.yaml:/);
    clone.commit('ann', { 'accept-rewrite.yaml': '' });
    clone.push();
    await expect(approveAs('bob', 'accept-rewrite.yaml')).rejects.toThrow('have that merged with a signature');
  });

  it('tells people of a forge to approve there', async () => {
    clone.as('ann', 'rm', '-q', 'signers/allowed_signers');
    clone.commit('ann', {});
    clone.push();
    await expect(approveAs('bob', 'now')).rejects.toThrow('On a forge, approve the pull request there');
  });
});
