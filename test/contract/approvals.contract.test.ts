// Approvals from end to end: proposal, review, merge, run; and the ways past the reviews that must lead nowhere.
import { generateKeyPairSync } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openGithub } from '../../reconciler/adapters/forge-github.ts';
import type { PlanSettings } from '../../reconciler/plan/input.ts';
import { githubFace } from '../support/fake-github.ts';
import { ApprovalWorld } from './approval-world.ts';
import { startFakeWorld } from './fake-world.ts';
import type { Person, Style } from './forge-suite.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
/** A Monday, as at the false forge; the slot is the Sunday after it. */
const start = Date.UTC(2026, 10, 2, 9);
const slot = Date.UTC(2026, 10, 8);
const policyFile = 'clusters/prod/policy.yaml';
const runId = '20261108-000000-schedule';
const branch = `oakum/run/prod/${runId}`;

const policy = (more = '', approvers = '"@alice"'): string => `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec:
  schedule: { preset: weekly }
  approval: { mode: review, approvers: [${approvers}], leadTime: 48h }
  reboot: { stableFor: 60s }
${more}`;
const request = (name: string): string => `apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: ${name} }
spec: { reason: a test }
`;

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();

type Fake = Awaited<ReturnType<typeof startFakeWorld>>;
let forge: Fake;
let oakum: ApprovalWorld;
let founder: Person;
let alice: Person;
let mallory: Person;

/** A false GitHub, Oakum on it with a token or as an App, and a policy on the branch. */
async function begin(app: boolean, first = policy(), settings: Partial<PlanSettings> = {}): Promise<void> {
  forge = await startFakeWorld({
    face: githubFace,
    prefix: '/api/v3',
    app,
    annotations: app,
    open: ({ api, project, forge: fake, log }) =>
      openGithub(
        {
          api,
          project,
          branch: 'main',
          credentials: app
            ? { kind: 'app', appId: '7', privateKey: { value: pem } }
            : { kind: 'token', token: { value: fake.oakum.token } },
          log,
          clock: { now: () => Date.now() },
          timeouts: { retryMs: 5 },
        },
        { spread: false },
      ),
  });
  founder = await forge.person('root');
  alice = await forge.person('alice');
  mallory = await forge.person('mallory');
  await forge.commit('main', { [policyFile]: first }, { by: founder });
  const { git } = forge.fake;
  oakum = new ApprovalWorld({ url: git.url, folder: git.folder, open: () => forge.open() }, start, settings);
  oakum.cluster.addNode('n1');
  oakum.cluster.addNode('n2');
  await oakum.pass();
}
async function end(): Promise<void> {
  await oakum.close();
  await forge.end();
}
beforeEach(() => begin(false));
afterEach(end);

const openPulls = (): { readonly number: number; readonly branch: string; readonly head: string }[] =>
  forge.fake.pulls
    .filter((pull) => pull.state === 'open')
    .map(({ number, branch: from, head }) => ({ number, branch: from, head }));

/** The pull request of the proposal, when its time has come. */
async function proposed(): Promise<{ readonly number: number; readonly head: string }> {
  oakum.now = slot - 47 * hour;
  await oakum.pass();
  expect(await oakum.look()).toBeUndefined();
  const [pull, ...more] = openPulls();
  expect(more).toEqual([]);
  expect(pull?.branch).toBe(branch);
  if (!pull) throw new Error('nothing was proposed');
  return pull;
}

/** A person's pull request with these files. */
async function pullWith(from: string, files: Record<string, string | undefined>, by: Person): Promise<number> {
  await forge.commit(from, files, { by });
  return forge.pull(from, by);
}

describe('a scheduled run', () => {
  it.each<Style>(['merge', 'squash', 'rebase'])(
    'is proposed, reviewed, merged (%s) and run at its time',
    async (style) => {
      const { number, head } = await proposed();
      const pull = forge.fake.pull(number);
      expect(pull.title).toBe(`Patch prod: run ${runId}`);
      expect(pull.text).toContain('n1');
      expect(await forge.statuses(head)).toContainEqual(
        expect.objectContaining({ context: 'oakum/plan', state: 'success' }),
      );
      expect((await forge.statuses(head)).at(-1)).toMatchObject({ context: 'oakum/approval', state: 'pending' });

      await forge.review(number, alice, 'Approved');
      await oakum.look();
      expect((await forge.statuses(head)).at(-1)).toMatchObject({ context: 'oakum/approval', state: 'success' });
      expect(openPulls()).toHaveLength(1);

      // Somebody else's change comes in between.
      await forge.commit('main', { 'docs/notes.md': 'nothing of ours\n' }, { by: mallory });
      await forge.merge(number, founder, style);
      await oakum.pass(minute);
      expect(oakum.runs()).toMatchObject([{ id: runId, state: 'Scheduled', message: 'approved by alice' }]);
      expect(oakum.jobs()).toBe(0);
      oakum.now = slot;
      await oakum.pass(3 * hour, () => oakum.runs()[0]?.state === 'Succeeded');
      expect(oakum.runs()).toMatchObject([{ state: 'Succeeded', approval: { head, number, by: [{ name: 'alice' }] } }]);
    },
  );

  it('is not run when another commit came after the approval', async () => {
    const { number } = await proposed();
    await forge.review(number, alice, 'Approved');
    await forge.commit(branch, { 'docs/harmless.md': 'really\n' }, { by: mallory });
    await forge.merge(number, mallory, 'merge');
    await oakum.pass(minute);
    expect(oakum.runs()).toMatchObject([{ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' }]);
    oakum.now = slot;
    await oakum.pass(minute);
    expect(oakum.jobs()).toBe(0);
  });

  it('is proposed anew when the policy changes, on the same pull request', async () => {
    const first = await proposed();
    await forge.review(first.number, alice, 'Approved');
    await forge.commit('main', { [policyFile]: policy('  updates: { scope: all }\n') }, { by: mallory });
    await oakum.pass(minute);
    await oakum.look();
    // The false forge does not see pushes by itself.
    await forge.fake.pushed(branch, await forge.git('rev-parse', `refs/heads/${branch}`));
    const [again, ...more] = openPulls();
    expect(more).toEqual([]);
    expect(again?.number).toBe(first.number);
    expect(again?.head).not.toBe(first.head);
    await forge.merge(first.number, founder, 'squash');
    await oakum.pass(minute);
    expect(oakum.runs()[0]).toMatchObject({ state: 'AwaitingApproval' });
  });

  it('that a person refused by closing the pull request is not proposed again, and ends as NotApproved', async () => {
    const { number } = await proposed();
    await forge.close(number);
    await oakum.pass(minute);
    await oakum.look();
    expect(openPulls()).toEqual([]);
    oakum.now = slot + 8 * day;
    await oakum.pass();
    expect(oakum.runs()[0]?.state).toBe('NotApproved');
  });

  it('is withdrawn when its slot is gone', async () => {
    const { number } = await proposed();
    await forge.commit(
      'main',
      { [policyFile]: policy().replace('preset: weekly', 'preset: monthly') },
      { by: founder },
    );
    await oakum.pass(minute);
    expect(await oakum.look()).toBeUndefined();
    expect(openPulls()).toEqual([]);
    expect((await forge.comments(number)).map(({ text }) => text).join()).toContain('Superseded');
  });

  it('is proposed once by two Oakums', async () => {
    oakum.now = slot - 47 * hour;
    await oakum.pass();
    await Promise.all([oakum.look(), oakum.look()]);
    await oakum.look();
    expect(openPulls()).toHaveLength(1);
  });
});

describe('a request', () => {
  const file = 'clusters/prod/requests/now.yaml';

  it('in a reviewed pull request runs when it is merged, and not before', async () => {
    const number = await pullWith('ask', { [file]: request('now') }, mallory);
    await oakum.look();
    const [comment] = await forge.comments(number);
    expect(comment?.text).toContain('n1');
    expect(comment?.text).toContain('0 of 1 approvals');
    await forge.review(number, alice, 'Approved');
    await oakum.pass(minute);
    expect(oakum.runs()).toEqual([]);
    await forge.merge(number, founder, 'merge');
    await oakum.pass(3 * hour, () => oakum.runs()[0]?.state === 'Succeeded');
    expect(oakum.runs()).toMatchObject([{ state: 'Succeeded', approval: { path: file } }]);
  });

  const before = {
    nothing: async () => undefined,
    'a change of another file': async () => {
      await forge.commit('main', { 'docs/notes.md': 'nothing of ours\n' }, { by: mallory });
    },
    'a change of another line of the same file': async () => {
      await forge.commit('main', { [policyFile]: policy('# somebody else was here\n') }, { by: mallory });
    },
  };
  describe.each<Style>(['merge', 'squash', 'rebase'])('merged by %s', (style) => {
    it.each(Object.entries(before))('after %s runs only if it is what was reviewed', async (what, happens) => {
      const reviewed = { [file]: request('now'), [policyFile]: `# reviewed\n${policy()}` };
      const number = await pullWith('ask', reviewed, mallory);
      await forge.review(number, alice, 'Approved');
      await happens();
      await forge.merge(number, founder, style);
      const same =
        (await forge.git('rev-parse', `main:${policyFile}`)) === (await forge.git('rev-parse', `ask:${policyFile}`));
      expect(same).toBe(what !== 'a change of another line of the same file');
      await oakum.pass(same ? 3 * hour : minute, () => oakum.runs()[0]?.state === 'Succeeded');
      expect(oakum.ledger()?.requests['now']?.reason).toBe(same ? 'Completed' : 'ApprovalOutdated');
      expect(oakum.jobs() > 0).toBe(same);
      if (same) expect(oakum.runs()).toMatchObject([{ state: 'Succeeded', approval: { number } }]);
    });
  });

  it.each([
    ['pushed past the pull requests', () => forge.commit('main', { [file]: request('now') }, { by: mallory })],
    [
      'merged by an administrator without a review',
      async () => forge.merge(await pullWith('ask', { [file]: request('now') }, mallory), founder, 'squash'),
    ],
    [
      'approved by its own author under another name',
      async () => {
        const author = alice;
        const number = await pullWith('ask', { [file]: request('now') }, mallory);
        await forge.commit('ask', { 'docs/x.md': 'x\n' }, { by: author });
        await forge.review(number, author, 'Approved');
        await forge.merge(number, founder, 'merge');
      },
    ],
    [
      'in a pull request that makes its author an approver',
      async () => {
        const number = await pullWith(
          'ask',
          { [file]: request('now'), [policyFile]: policy('', '"@alice", "@eve"') },
          mallory,
        );
        await forge.review(number, await forge.person('eve'), 'Approved');
        await forge.merge(number, founder, 'merge');
      },
    ],
  ])('%s makes no Job', async (_name, attack) => {
    await attack();
    const result = await oakum.pass(2 * minute);
    const told = [result.plan.holds[0]?.reason, oakum.ledger()?.requests['now']?.reason];
    expect(told).toContain('MergedWithoutApproval');
    expect(oakum.jobs()).toBe(0);
  });
});

describe('oakum/approval, where the policy trusts the branch', () => {
  const file = 'clusters/prod/requests/now.yaml';
  const trusting = policy().replace('mode: review', 'mode: merge');

  it.each<[string, PlanSettings['approvalFloor'], Record<string, string>, 'pending' | 'success']>([
    ['a request', 'none', { [file]: request('now') }, 'success'],
    ['a request, but the deployment demands reviews', 'review', { [file]: request('now') }, 'pending'],
    [
      'a request beside a policy that demands reviews',
      'none',
      { [file]: request('now'), [policyFile]: policy() },
      'pending',
    ],
    ['a policy that demands reviews', 'none', { [policyFile]: policy() }, 'success'],
    [
      'looser rules, but the deployment demands reviews',
      'review',
      { [policyFile]: `${trusting}  drain: { force: true }\n` },
      'pending',
    ],
  ])('says of %s what is true after the merge', async (_name, approvalFloor, files, state) => {
    await end();
    await begin(false, trusting, { approvalFloor });
    const number = await pullWith('ask', files, mallory);
    expect(await oakum.look()).toBeUndefined();
    const told = (await forge.statuses(forge.fake.pull(number).head)).at(-1);
    expect(told).toMatchObject({ context: 'oakum/approval', state });
    await forge.merge(number, founder, 'merge');
    const { plan } = await oakum.pass(2 * minute);
    const reasons = [...plan.holds.map(({ reason }) => reason), oakum.ledger()?.requests['now']?.reason];
    expect(reasons.includes('MergedWithoutApproval')).toBe(state === 'pending');
  });
});

describe('owners of files', () => {
  const file = 'clusters/prod/requests/now.yaml';
  const owned = policy('  updates: { scope: all }\n').replace('mode: review,', 'mode: review, codeOwners: true,');
  let olga: Person;
  beforeEach(async () => {
    olga = await forge.person('olga');
    const owners = '* @nobody\n/clusters/prod/ @olga\n';
    await forge.commit('main', { '.github/CODEOWNERS': owners, [policyFile]: owned }, { by: founder });
    await oakum.pass(minute);
    expect(oakum.ledger()?.rules?.rules.approval.codeOwners).toBe(true);
  });

  it('must agree to a request beside the quorum', async () => {
    const number = await pullWith('ask', { [file]: request('now') }, mallory);
    await forge.review(number, alice, 'Approved');
    await oakum.look();
    const { head } = forge.fake.pull(number);
    expect((await forge.statuses(head)).at(-1)).toMatchObject({ context: 'oakum/approval', state: 'pending' });
    await forge.review(number, olga, 'Approved');
    await oakum.look();
    expect((await forge.statuses(head)).at(-1)).toMatchObject({ context: 'oakum/approval', state: 'success' });
    await forge.merge(number, founder, 'squash');
    await oakum.pass(3 * hour, () => oakum.runs()[0]?.state === 'Succeeded');
    expect(oakum.runs()[0]?.approval?.rule.owners).toMatchObject([{ path: file, by: [{ name: 'olga' }] }]);
  });

  it.each<[string, Record<string, string>]>([
    ['a request', { [file]: request('now') }],
    ['any change of the policy', { [policyFile]: `${owned}  rollout: { maxFailures: 1 }\n` }],
    ['a file of owners that names others', { '.github/CODEOWNERS': '* @alice\n', [file]: request('now') }],
    ['a file of owners at another place', { CODEOWNERS: '* @alice\n', [file]: request('now') }],
  ])('are needed for %s', async (_name, files) => {
    const number = await pullWith('ask', files, mallory);
    await forge.review(number, alice, 'Approved');
    await forge.merge(number, founder, 'merge');
    const result = await oakum.pass(2 * minute);
    const told = [result.plan.holds[0]?.message, oakum.ledger()?.requests['now']?.message].join();
    expect(told).toMatch(/0 of 1 approvals of [0-9a-f]+ by owners of .* \(@(olga|nobody)\)/);
    expect(oakum.jobs()).toBe(0);
  });
});

describe('the plan on a pull request', () => {
  it('names what is wrong by file, line and column, in one comment that is kept up to date', async () => {
    const number = await pullWith('typo', { [policyFile]: policy('  drian: {}\n') }, mallory);
    await oakum.look();
    const { head } = forge.fake.pull(number);
    expect((await forge.statuses(head))[0]).toMatchObject({ context: 'oakum/plan', state: 'failure' });
    const [comment, ...more] = await forge.comments(number);
    expect(more).toEqual([]);
    expect(comment?.text).toContain(`${policyFile}:8:3`);
    await forge.commit('typo', { [policyFile]: policy('  drain: { timeout: 20m }\n') }, { by: mallory });
    await oakum.look();
    const [after, ...others] = await forge.comments(number);
    expect(others).toEqual([]);
    expect(after?.id).toBe(comment?.id);
    expect(after?.text).toContain('policy.drain.timeoutMs');
    expect((await forge.statuses(forge.fake.pull(number).head))[0]).toMatchObject({ state: 'success' });
  });

  it('shows it at its lines when Oakum is an App, and goes on without that right', async () => {
    await end();
    await begin(true);
    const number = await pullWith('typo', { [policyFile]: policy('  drian: {}\n') }, mallory);
    forge.fault?.(({ path }) => (path.includes('check-runs') ? { status: 403 } : undefined));
    expect(await oakum.look()).toBeUndefined();
    expect(await forge.comments(number)).toHaveLength(1);
    forge.fault?.(undefined);
    await oakum.look();
    const { head } = forge.fake.pull(number);
    const wrong = await forge.annotations?.(head, 'oakum/problems');
    expect(wrong).toMatchObject({ state: 'failure', made: 1 });
    expect(wrong?.shown).toHaveLength(1);
    expect(wrong?.shown[0]).toContain(`${policyFile}:8:3 `);
    await forge.commit('typo', { [policyFile]: policy('  drain: { timeout: 20m }\n') }, { by: mallory });
    await oakum.look();
    const fixed = forge.fake.pull(number).head;
    expect(await forge.annotations?.(fixed, 'oakum/problems')).toEqual({ shown: [], state: undefined, made: 0 });
  });

  const member = (name: string, environment = name): string => `apiVersion: oakum.dev/v1alpha1
kind: Cluster
metadata: { name: ${name} }
spec: { labels: { environment: ${environment} } }
`;
  const rollout = (soak: string): string => `apiVersion: oakum.dev/v1alpha1
kind: Rollout
metadata: { name: monthly }
spec:
  schedule: { preset: monthly }
  waves:
    - { name: dev, selector: environment=dev, soak: ${soak} }
    - { name: prod, selector: environment=prod }
`;
  const fleet = (suspend: boolean): string => `apiVersion: oakum.dev/v1alpha1
kind: Fleet
metadata: { name: fleet }
spec: { suspend: ${suspend} }
`;
  const rest = (nodes: string): string => `apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: rest }
spec: { action: pause, nodes: [${nodes}], reason: a test }
`;
  const pauseFile = 'clusters/prod/requests/rest.yaml';

  it.each<[string, Record<string, string>, Record<string, string | undefined>, string, string]>([
    [
      'a shorter soak',
      { 'rollouts/monthly.yaml': rollout('24h') },
      { 'rollouts/monthly.yaml': rollout('1h') },
      '`rollouts/monthly.waves.dev.soak`',
      'the soak of wave dev is shorter',
    ],
    [
      'a rollout that is taken away',
      { 'rollouts/monthly.yaml': rollout('24h') },
      { 'rollouts/monthly.yaml': undefined },
      '`rollouts/monthly.wave`',
      'rollout monthly does not take this cluster along any more',
    ],
    [
      'labels of a peer that leave no wave before',
      { 'rollouts/monthly.yaml': rollout('24h'), 'clusters/dev-2/cluster.yaml': member('dev-2', 'dev') },
      { 'clusters/dev-2/cluster.yaml': member('dev-2', 'lab') },
      '`rollouts/monthly.waves.dev.clusters`',
      'wave dev loses dev-2',
    ],
    [
      'suspend of the fleet that is lifted',
      { 'oakum.yaml': fleet(true) },
      { 'oakum.yaml': fleet(false) },
      '`fleet.suspend`',
      'suspend is lifted',
    ],
    [
      'keys that are new',
      {},
      { 'signers/allowed_signers': 'mallory@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ\n' },
      '`signers/allowed_signers`',
      'the keys of those who may sign change',
    ],
    [
      'a pause that is made smaller',
      { [pauseFile]: rest('n1, n2') },
      { [pauseFile]: rest('n1') },
      '`requests/rest.nodes`',
      'what stops nodes is taken away or changed',
    ],
  ])('shows %s, and that it needs a quorum', async (_name, before, after, field, sentence) => {
    const members = { 'clusters/dev/cluster.yaml': member('dev'), 'clusters/prod/cluster.yaml': member('prod') };
    await forge.commit('main', { ...members, ...before }, { by: founder });
    await oakum.pass(minute);
    const number = await pullWith('looser', after, mallory);
    const { head } = forge.fake.pull(number);
    const state = async (): Promise<unknown> => {
      expect(await oakum.look()).toBeUndefined();
      return (await forge.statuses(head)).findLast(({ context }) => context === 'oakum/approval')?.state;
    };
    expect(await state()).toBe('pending');
    const [comment] = await forge.comments(number);
    expect(comment?.text).toContain(field);
    expect(comment?.text).toContain('**Loosens the rules**');
    expect(comment?.text).toContain(sentence);
    await forge.review(number, alice, 'Approved');
    expect(await state()).toBe('success');
    await forge.merge(number, founder, 'squash');
    const { plan } = await oakum.pass(minute);
    expect(plan.holds.map(({ reason, message }) => `${reason}: ${message}`).join()).not.toContain('WithoutApproval');
  });

  it('says of changes that are none of its clusters only that nobody needs to agree, and once', async () => {
    const number = await pullWith('docs', { 'docs/x.md': 'x\n' }, mallory);
    const { head } = forge.fake.pull(number);
    for (const time of ['first', 'second']) {
      expect(await oakum.look(), time).toBeUndefined();
      expect(await forge.comments(number)).toEqual([]);
      expect(await forge.statuses(head)).toMatchObject([
        { context: 'oakum/plan', state: 'success' },
        { context: 'oakum/approval', state: 'success', text: 'no cluster is concerned' },
      ]);
    }
  });

  it('says nothing of the approval while a cluster that is concerned was not looked at', async () => {
    const number = await pullWith('dev', { 'clusters/dev/policy.yaml': policy().replace('prod', 'dev') }, mallory);
    expect(await oakum.look(['dev'])).toBeUndefined();
    expect(await forge.statuses(forge.fake.pull(number).head)).toMatchObject([{ context: 'oakum/plan' }]);
  });

  it('leaves the word on the approval to others where an agent without a publisher may not be alone', async () => {
    await forge.commit('main', { 'clusters/dev/cluster.yaml': member('dev') }, { by: founder });
    await oakum.pass(minute);
    const number = await pullWith('docs', { 'docs/x.md': 'x\n' }, mallory);
    await oakum.look();
    const told = async (): Promise<string[]> =>
      (await forge.statuses(forge.fake.pull(number).head)).map(({ context }) => context);
    expect(await told()).toEqual(['oakum/plan']);
    const named = fleet(false).replace('suspend: false', 'publisher: dev');
    await forge.commit('main', { 'oakum.yaml': named }, { by: founder });
    await oakum.pass(minute);
    await oakum.look();
    expect(await told()).toEqual(['oakum/plan', 'oakum/plan/prod', 'oakum/approval/prod']);
  });
});

describe('a rewritten branch', () => {
  const word = 'accept-rewrite.yaml';
  const wordOf = (from: string, to: string, reason = 'a secret is out'): string => `apiVersion: oakum.dev/v1alpha1
kind: AcceptRewrite
metadata: { name: accept-rewrite }
spec: { from: [${from}], to: ${to}, reason: ${reason} }
`;
  const tip = (): Promise<string> => forge.git('rev-parse', 'refs/heads/main');
  const accepted = (): string | undefined => oakum.ledger()?.accepted?.commit;
  /** The commit accepted last, which the branch has lost; the branch goes on with other rules. */
  async function rewind(): Promise<string> {
    const first = await tip();
    await forge.commit('main', { 'clusters/prod/FREEZE': '' }, { by: founder });
    await oakum.pass();
    const lost = await tip();
    expect(accepted()).toBe(lost);
    await forge.git('update-ref', 'refs/heads/main', first);
    await forge.commit('main', { [policyFile]: policy('  rollout: { maxFailures: 9 }\n') }, { by: mallory });
    return lost;
  }
  async function held(): Promise<string> {
    const { plan } = await oakum.pass(minute);
    const [hold] = plan.holds;
    expect(hold?.reason).toBe('HistoryRewritten');
    return hold?.message ?? '';
  }

  it.each<Style>(['merge', 'squash', 'rebase'])(
    'is taken by a word that was reviewed (%s), and only once',
    async (style) => {
      const lost = await rewind();
      expect(await held()).toContain(lost.slice(0, 10));
      const number = await pullWith('word', { [word]: wordOf(lost, await tip()) }, mallory);
      expect(await oakum.look()).toBeUndefined();
      const { head } = forge.fake.pull(number);
      expect((await forge.statuses(head)).at(-1)).toMatchObject({ context: 'oakum/approval', state: 'pending' });
      await forge.review(number, alice, 'Approved');
      expect(await held()).toContain('does not descend');
      await forge.merge(number, founder, style);
      expect(await held()).toContain('agreed to');
      expect(accepted()).toBe(await tip());
      const { plan } = await oakum.pass(minute);
      expect(plan.holds).toEqual([]);
      expect(oakum.ledger()?.rules?.rules.maxFailures).toBe(9);
      expect(oakum.ledger()?.rewrites).toMatchObject([{ from: lost, approval: { number, by: [{ name: 'alice' }] } }]);
    },
  );

  it.each([
    [
      'written into the new history by whoever made it',
      async (lost: string) => forge.commit('main', { [word]: wordOf(lost, await tip()) }, { by: mallory }),
      'MergedWithoutApproval',
    ],
    [
      'merged without a review',
      async (lost: string) =>
        forge.merge(await pullWith('word', { [word]: wordOf(lost, await tip()) }, mallory), founder, 'merge'),
      'MergedWithoutApproval',
    ],
    [
      'about a commit that the branch does not have, approved',
      async (lost: string) => {
        const number = await pullWith('word', { [word]: wordOf(lost, 'a'.repeat(40)) }, mallory);
        await forge.review(number, alice, 'Approved');
        await forge.merge(number, founder, 'merge');
      },
      'it does not.',
    ],
    [
      'about another lost commit, approved',
      async (_lost: string) => {
        const number = await pullWith('word', { [word]: wordOf('b'.repeat(40), await tip()) }, mallory);
        await forge.review(number, alice, 'Approved');
        await forge.merge(number, founder, 'merge');
      },
      'it does not speak of this rewrite',
    ],
    [
      'approved, with more behind it',
      async (lost: string) => {
        const number = await pullWith('word', { [word]: wordOf(lost, await tip()) }, mallory);
        await forge.review(number, alice, 'Approved');
        await forge.merge(number, founder, 'merge');
        await forge.commit('main', { [policyFile]: policy('', '"@mallory"') }, { by: mallory });
      },
      'ApprovalOutdated',
    ],
    [
      'approved, of a branch that is rewritten again',
      async (lost: string) => {
        const first = await forge.git('rev-parse', 'refs/heads/main~1');
        const number = await pullWith('word', { [word]: wordOf(lost, await tip()) }, mallory);
        await forge.review(number, alice, 'Approved');
        await forge.merge(number, founder, 'merge');
        const told = await forge.git('show', `refs/heads/main:${word}`);
        await forge.git('update-ref', 'refs/heads/main', first);
        await forge.commit('main', { [word]: `${told}\n` }, { by: mallory });
      },
      'it does not.',
    ],
  ])('is not taken by a word %s', async (_name, attack, message) => {
    const lost = await rewind();
    await attack(lost);
    expect(await held()).toContain(message);
    expect(accepted()).toBe(lost);
    expect(oakum.jobs()).toBe(0);
  });
});

it.each([
  ['first', true],
  ['second', false],
])(
  'what was approved long ago is not brought back by a merge with the old commit as its %s parent',
  async (_how, isFirst) => {
    const tip = (): Promise<string> => forge.git('rev-parse', 'refs/heads/main');
    const force = (): boolean | undefined => oakum.ledger()?.rules?.rules.force;
    const number = await pullWith('loose', { [policyFile]: policy('  drain: { force: true }\n') }, mallory);
    await forge.review(number, alice, 'Approved');
    await forge.merge(number, founder, 'merge');
    await oakum.pass(minute);
    expect(force()).toBe(true);
    const old = await tip();
    await forge.commit('main', { [policyFile]: policy('# Not by force.\n') }, { by: mallory });
    await oakum.pass(minute);
    expect(force()).toBe(false);
    const parents = isFirst ? [old, await tip()] : [await tip(), old];
    const words = parents.flatMap((parent) => ['-p', parent]);
    const evil = await forge.git('commit-tree', `${old}^{tree}`, ...words, '-m', 'Tidy up');
    await forge.git('update-ref', 'refs/heads/main', evil);
    const { plan } = await oakum.pass(minute);
    expect(plan.holds[0]?.message).toMatch(/drain\.force is on.*brought it back from an older one/);
    expect(force()).toBe(false);
  },
);
