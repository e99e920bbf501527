// A rewritten branch: what a file in it may say for itself, and every way to say it falsely.
import { beforeEach, describe, expect, it } from 'vitest';
import type { ClusterDesired } from '../../reconciler/model/desired.ts';
import type { Review } from '../../reconciler/model/approval.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import type { FleetRollout, Wave } from '../../reconciler/model/rollout.ts';
import type { RewrittenBranch } from '../../reconciler/plan/input.ts';
import { acceptByCommand } from '../../reconciler/plan/rewritten.ts';
import { aRollout, aWave } from '../support/fleet-world.ts';
import { aCluster, aFleet, aPolicy, aRequest } from '../support/policies.ts';
import { review, Reviewed } from '../support/reviewed.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const start = Date.UTC(2026, 5, 1, 12);
const policyFile = 'clusters/prod/policy.yaml';
const file = 'accept-rewrite.yaml';

function reviewed(more: Parameters<typeof aPolicy>[0] = {}): Policy {
  return aPolicy({
    ...more,
    approval: { mode: 'review', minApprovals: 1, approvers: ['@alice', '@bob'], leadTimeMs: 0, ...more.approval },
  });
}

/** What the branch was rewritten to: a policy that lets more nodes out, and the word that this is meant. */
const looser = reviewed({ rollout: { concurrency: { kind: 'count', value: 5 } } });
const oid = 'oid-of-the-word';

function wishes(policy: Policy, more: Partial<ClusterDesired> = {}, word = oid): ClusterDesired {
  return aCluster({
    policy,
    ...more,
    inputs: [{ path: policyFile, oid: `oid-of-${policy.rollout.concurrency.value}` }],
    // The false forge finds a file's content among inputs, requests and runs.
    runs: [
      { name: 'word', file, oid: word, digest: '', ceiling: { nodes: 0, packages: [], reboots: 0, force: false } },
    ],
  });
}

let world: TinyWorld;
let forge: Reviewed;

function begin(policy: Policy): void {
  world = new TinyWorld(start, aCluster({ policy, inputs: [{ path: policyFile, oid: 'oid-of-1' }] }));
  world.cluster.addNode('n1');
  forge = new Reviewed(world);
}

/** The branch is rewritten; `from` is the commit accepted last unless told otherwise. */
function rewrite(policy: Policy, more: Partial<RewrittenBranch> = {}, from = [world.commit]): RewrittenBranch {
  world.sourceHold = { reason: 'HistoryRewritten', message: 'the tip does not descend.', until: undefined };
  world.rewritten = {
    commit: 'commit-100',
    committedAt: world.now,
    fleet: aFleet,
    desired: wishes(policy),
    rewrite: { file, oid, from, to: 'commit-99', reason: '' },
    ...more,
  };
  return world.rewritten;
}

/** The repository is read: its tip descends from the commit accepted last now. */
function readAgain(): void {
  const { commit, desired } = world.rewritten ?? {};
  Object.assign(world, { commit, desired, rewritten: undefined, sourceHold: undefined });
}

const accepted = (): string | undefined => world.ledger?.accepted?.commit;
const nodesOut = (): unknown => world.ledger?.rules?.rules.concurrency;
const told = (): string => world.passes.at(-1)?.holds[0]?.message ?? '';
const approve = (seen: ClusterDesired, ...reviews: Review[]): void => forge.bring(seen, file, reviews);

describe('under review', () => {
  beforeEach(async () => {
    begin(reviewed());
    await world.pass();
    expect(accepted()).toBe('commit-1');
  });

  it('the word that a quorum under the old rules has agreed to takes the branch and its rules', async () => {
    const { desired } = rewrite(looser);
    approve(desired ?? aCluster(), review('alice'));
    await world.pass();
    expect(told()).toContain('agreed to');
    expect(accepted()).toBe('commit-100');
    expect(nodesOut()).toEqual({ kind: 'count', value: 5 });
    expect(world.ledger?.rewrites).toMatchObject([
      {
        from: 'commit-1',
        to: 'commit-99',
        commit: 'commit-100',
        oid,
        approval: { path: file, by: [{ name: 'alice' }] },
      },
    ]);
    // Nothing starts before the repository was read again; then nothing holds.
    await world.run(hour);
    expect(told()).toContain('agreed to');
    readAgain();
    await world.pass();
    expect(world.passes.at(-1)?.holds).toEqual([]);
  });

  it('the word inside the rewritten history that nobody approved changes nothing', async () => {
    rewrite(looser);
    await world.run(hour);
    expect(world.passes.at(-1)?.holds[0]?.reason).toBe('HistoryRewritten');
    expect(told()).toContain('MergedWithoutApproval');
    expect(accepted()).toBe('commit-1');
    expect(nodesOut()).toEqual({ kind: 'count', value: 1 });
  });

  it('approvers that the rewritten history names do not count', async () => {
    const own = reviewed({ approval: { approvers: ['@eve'] } });
    const { desired } = rewrite(own);
    approve(desired ?? aCluster(), review('eve'));
    await world.run(hour);
    expect(told()).toContain('eve is not among approval.approvers');
    expect(accepted()).toBe('commit-1');
  });

  it('a history that says merge mode, or has no policy at all, is still judged by the old rules', async () => {
    rewrite(aPolicy({ approval: { mode: 'none' } }));
    await world.run(hour);
    expect(told()).toContain('MergedWithoutApproval');
    world.rewritten = { ...rewrite(looser), desired: aCluster({ policy: undefined }) };
    await world.run(hour);
    expect(told()).toContain('no valid policy');
    expect(accepted()).toBe('commit-1');
  });

  it('an approved word about other commits says nothing about this rewrite', async () => {
    const { desired } = rewrite(looser, {}, ['commit-77']);
    approve(desired ?? aCluster(), review('alice'));
    await world.run(hour);
    expect(told()).toContain('it names other commits than commit-1');
    expect(accepted()).toBe('commit-1');
  });

  it('what was pushed on top of an approved word is not agreed to', async () => {
    approve(wishes(reviewed({ rollout: { concurrency: { kind: 'count', value: 2 } } })), review('alice'));
    rewrite(looser);
    await world.run(hour);
    expect(told()).toContain(`ApprovalOutdated: ${policyFile}`);
    expect(accepted()).toBe('commit-1');
  });

  it('a FREEZE that reviewers saw there may not be gone', async () => {
    const seen = wishes(looser);
    approve({ ...seen, inputs: [...seen.inputs, { path: 'clusters/prod/FREEZE', oid: 'stop' }] }, review('alice'));
    rewrite(looser);
    await world.run(hour);
    expect(told()).toContain('clusters/prod/FREEZE');
    expect(accepted()).toBe('commit-1');
  });

  /** Development soaks for a day before production; the labels of both, by path. */
  const waves = (given: Partial<FleetRollout> = {}, dev: Partial<Wave> = {}): Partial<ClusterDesired> => ({
    rollouts: [
      aRollout([aWave('dev', ['dev-1', 'dev-2'], { soakMs: 24 * hour, ...dev }), aWave('production', ['prod'])], given),
    ],
    fleetFiles: { 'clusters/dev-2/cluster.yaml': (dev.clusters ?? []).join(), 'rollouts/monthly.yaml': 'edited' },
  });
  const pause = (until?: number): Partial<ClusterDesired> => ({
    requests: [aRequest('stop', { action: 'pause', until })],
  });
  const ownersAt = (...paths: readonly string[]): Partial<ClusterDesired> => ({
    inputs: [...wishes(looser).inputs, ...paths.map((path) => ({ path, oid: path }))],
  });
  const go = { run: '20260601-130000-monthly', wave: 'production' };

  it.each<[string, Partial<ClusterDesired>, Partial<ClusterDesired>]>([
    ['the soak of wave dev is shorter', waves(), waves({}, { soakMs: hour })],
    ['wave dev loses dev-2', waves(), waves({}, { clusters: ['dev-1'] })],
    ['wave dev does not go before', waves(), waves({ waves: [aWave('production', ['prod'])] })],
    ['does not take this cluster along', waves(), {}],
    ['suspend is lifted', waves({ suspend: true }), waves()],
    ['somebody gives the go', waves(), waves({ approved: [go] })],
    ['clusters/prod/requests/stop.yaml', pause(), {}],
    ['clusters/prod/requests/stop.yaml', pause(start + 9 * hour), pause(start + 8 * hour)],
    ['clusters/prod/cluster.yaml', ownersAt('clusters/prod/cluster.yaml'), {}],
    ['.github/CODEOWNERS', ownersAt('.github/CODEOWNERS', 'docs/CODEOWNERS'), ownersAt('docs/CODEOWNERS')],
  ])('nobody agreed to what came on top: %s', async (word, seen, there) => {
    approve({ ...wishes(looser), ...seen }, review('alice'));
    rewrite(looser, { desired: { ...wishes(looser), ...there } });
    await world.run(hour);
    expect(told()).toMatch(/ApprovalOutdated: .* is not what was reviewed with it/);
    expect(told()).toContain(word);
    expect(accepted()).toBe('commit-1');
  });

  it.each<[string, Partial<ClusterDesired>, Partial<ClusterDesired>]>([
    ['that is the same', waves(), waves()],
    ['that makes it wait for more', waves(), waves({}, { soakMs: 48 * hour, clusters: ['dev-1', 'dev-2', 'dev-3'] })],
    ['about a later wave', waves(), waves({ approved: [{ ...go, wave: 'dev' }] })],
    ['that stops', {}, { ...pause(), ...waves() }],
    ['in place of a pause whose time was over', pause(start - hour), {}],
  ])('takes the branch with what came on top %s', async (_what, seen, there) => {
    approve({ ...wishes(looser), ...seen }, review('alice'));
    rewrite(looser, { desired: { ...wishes(looser), ...there } });
    await world.pass();
    expect(accepted()).toBe('commit-100');
  });

  it('acts once: replayed over the history that came after it, it changes nothing', async () => {
    const branch = rewrite(looser);
    approve(branch.desired ?? aCluster(), review('alice'));
    await world.pass();
    expect(accepted()).toBe('commit-100');
    // A person goes back to the old commit by command; then the rewritten branch is pushed once more, approved word and all.
    if (!world.ledger) throw new Error('no ledger');
    world.ledger = acceptByCommand(world.ledger, 'commit-1', world.now);
    world.rewritten = undefined;
    world.sourceHold = undefined;
    await world.pass();
    expect(nodesOut()).toEqual({ kind: 'count', value: 1 });
    rewrite(looser);
    await world.run(hour);
    expect(told()).toContain('was used before');
    expect(accepted()).toBe('commit-1');
  });

  it('holds while the forge cannot be asked', async () => {
    forge.down = true;
    rewrite(looser);
    await world.run(hour);
    expect(told()).toContain('ApprovalUnverifiable');
    forge.down = false;
    approve(wishes(looser), review('bob'));
    await world.run(hour);
    expect(accepted()).toBe('commit-100');
  });

  it('after a restart, when nothing else is known of the branch, the rules come from the ledger', async () => {
    rewrite(looser);
    approve(wishes(looser), review('eve'));
    Object.assign(world, { commit: undefined, desired: undefined });
    await world.run(hour);
    expect(told()).toContain('eve is not among approval.approvers');
    forge.amend(file, { reviews: [review('alice', { commit: 'head-1', at: 1 })] });
    await world.run(hour);
    expect(accepted()).toBe('commit-100');
  });

  it('a floor of the deployment demands the reviews, whatever the old rules say', async () => {
    begin(aPolicy({ approval: { mode: 'none', approvers: ['@alice'] } }));
    world.settings = { ...world.settings, approvalFloor: 'review' };
    await world.pass();
    rewrite(aPolicy({ approval: { mode: 'none' } }));
    await world.run(hour);
    expect(told()).toContain('MergedWithoutApproval');
    expect(accepted()).toBe('commit-1');
  });
});

describe('where being on the branch is the approval', () => {
  beforeEach(async () => {
    begin(aPolicy());
    await world.pass();
  });

  it('the word counts when it names the commit accepted last, and only then', async () => {
    rewrite(aPolicy({ rollout: { concurrency: { kind: 'count', value: 5 } } }), {}, ['commit-0']);
    await world.run(hour);
    expect(accepted()).toBe('commit-1');
    rewrite(aPolicy({ rollout: { concurrency: { kind: 'count', value: 5 } } }), {}, ['commit-0', 'commit-1']);
    await world.pass();
    expect(accepted()).toBe('commit-100');
    expect(nodesOut()).toEqual({ kind: 'count', value: 5 });
  });

  it('a request of the rewritten branch runs when the branch was read again', async () => {
    const asks = wishes(aPolicy(), { requests: [aRequest('now')] });
    rewrite(aPolicy(), { desired: { ...asks, runs: [] } });
    await world.pass();
    expect(world.runs()).toEqual([]);
    readAgain();
    await world.run(hour);
    expect(world.theRun().state).toBe('Succeeded');
  });
});

describe('oakum accept-rewrite', () => {
  it('takes the rules of the commit that was named, and not those of one behind it', async () => {
    begin(reviewed());
    await world.pass();
    if (!world.ledger) throw new Error('no ledger');
    world.ledger = acceptByCommand(world.ledger, 'commit-2', world.now);
    forge.push({ policy: looser, inputs: [{ path: policyFile, oid: 'oid-of-5' }] }, [policyFile]);
    const before = world.ledger;
    await world.pass();
    expect(accepted()).toBe('commit-2');
    expect(world.ledger?.accepted).not.toHaveProperty('byCommand');
    expect(nodesOut()).toEqual({ kind: 'count', value: 5 });
    // The same, but something looser came on top before it was read: the old rules judge it.
    world.ledger = before;
    const more = reviewed({ rollout: { concurrency: { kind: 'count', value: 9 } } });
    forge.push({ policy: more, inputs: [{ path: policyFile, oid: 'oid-of-9' }] }, [policyFile]);
    await world.pass();
    expect(world.passes.at(-1)?.holds[0]?.reason).toBe('MergedWithoutApproval');
    expect(nodesOut()).toEqual({ kind: 'count', value: 1 });
  });
});
