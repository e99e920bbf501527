// Approvals in the planner: what is reviewed runs, exactly that and no more; whatever was brought past the reviews does not.
import { beforeEach, describe, expect, it } from 'vitest';
import type { ClusterDesired, ProposedRun } from '../../reconciler/model/desired.ts';
import type { RunRecord } from '../../reconciler/model/ledger.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { review, Reviewed } from '../support/reviewed.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const policyFile = 'clusters/prod/policy.yaml';
const start = Date.UTC(2026, 5, 1, 12);
/** The first slot after `start`: Sunday, 7 June, midnight. */
const slot = Date.UTC(2026, 5, 7);
const approvers = ['@alice', '@bob', '@acme/platform'];

type Loose = Parameters<typeof aPolicy>[0];

function reviewed(more: Loose = {}): Policy {
  return aPolicy({
    ...more,
    approval: { mode: 'review', minApprovals: 1, approvers, leadTimeMs: 2 * day, ...more?.approval },
  });
}

const weekly: Loose = {
  schedule: {
    schedule: { kind: 'weekly', at: '00:00', timeZone: 'UTC' },
    startingDeadlineMs: 12 * hour,
    validForMs: 2 * day,
  },
};

function inputs(oid: string): Pick<ClusterDesired, 'inputs'> {
  return { inputs: [{ path: policyFile, oid }] };
}

let world: TinyWorld;
let forge: Reviewed;
function begin(policy: Policy, nodes = 2): void {
  world = new TinyWorld(start, aCluster({ policy, ...inputs('policy-1') }));
  for (let node = 1; node <= nodes; node++) world.cluster.addNode(`n${node}`);
  forge = new Reviewed(world);
  forge.teams.set('@acme/platform', ['id-carol']);
}

const theRun = (): RunRecord => world.theRun();
const jobs = (): number => world.cluster.done.filter((action) => action.kind === 'createJob').length;
const patches = (): number => world.cluster.jobsOf('patch').length;

/** The file that Oakum proposes for the run as it is now. */
function proposalOf(run: RunRecord): ProposedRun {
  const { proposal } = run;
  if (!proposal) throw new Error('nothing is proposed');
  const file = `clusters/prod/runs/${run.id}.yaml`;
  return { name: run.id, file, oid: `oid-${run.digest}-${proposal.nodes}`, digest: run.digest, ceiling: proposal };
}

/** Somebody merges the proposal, reviewed by these people. */
function mergeProposal(...names: readonly string[]): ProposedRun {
  const proposed = proposalOf(theRun());
  forge.merge({ runs: [proposed] }, [proposed.file], {
    author: 'oakum-bot',
    reviews: names.map((name) => review(name)),
  });
  return proposed;
}

describe('a scheduled run under review', () => {
  beforeEach(() => begin(reviewed(weekly)));

  it('is proposed leadTime ahead, waits for its review, and starts at its time', async () => {
    await world.run(3 * day);
    expect(world.runs()).toEqual([]);
    await world.run(2 * day);
    expect(theRun()).toMatchObject({
      id: '20260607-000000-schedule',
      state: 'AwaitingApproval',
      reason: 'AwaitingApproval',
      notBefore: slot,
      proposal: { nodes: 2, reboots: 2, force: false },
    });
    mergeProposal('alice');
    await world.run(hour);
    expect(theRun()).toMatchObject({ state: 'Scheduled', message: 'approved by alice' });
    expect(jobs()).toBe(0);
    await world.run(3 * day);
    expect(theRun()).toMatchObject({ state: 'Succeeded' });
    expect(theRun().startedAt).toBeGreaterThanOrEqual(slot);
    expect(theRun().approval).toMatchObject({
      number: 1,
      head: 'head-1',
      by: [{ id: 'id-alice', name: 'alice' }],
      rule: { minApprovals: 1, approvers },
      closure: { files: { [policyFile]: 'policy-1' } },
    });
  });

  it('that nobody approved ends as NotApproved, and nothing was touched', async () => {
    await world.run(12 * day);
    const [first] = world.runs();
    expect(first).toMatchObject({ id: '20260607-000000-schedule', state: 'NotApproved', reason: 'NotApproved' });
    expect(jobs()).toBe(0);
  });

  it('goes on waiting when the wrong people agreed, or nobody', async () => {
    await world.run(5 * day);
    mergeProposal('mallory');
    await world.run(2 * day);
    expect(theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' });
    expect(theRun().message).toContain('mallory');
    expect(jobs()).toBe(0);
  });

  it('that was approved for another policy is proposed anew', async () => {
    await world.run(5 * day);
    const old = mergeProposal('alice');
    await world.run(hour);
    expect(theRun().state).toBe('Scheduled');
    world.change({ policy: reviewed({ ...weekly, updates: { scope: 'all' } }), ...inputs('policy-2') });
    await world.run(2 * day);
    expect(theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'ApprovalOutdated' });
    expect(theRun().approval).toBeUndefined();
    expect(jobs()).toBe(0);
    expect(proposalOf(theRun()).digest).not.toBe(old.digest);
    mergeProposal('bob');
    await world.run(day);
    expect(theRun().state).toBe('Succeeded');
    expect(theRun().spec.policy.updates.scope).toBe('all');
  });

  it('loses its approval when it is dismissed before the start', async () => {
    await world.run(5 * day);
    const { file } = mergeProposal('alice');
    await world.run(hour);
    expect(theRun().state).toBe('Scheduled');
    forge.amend(file, {
      reviews: [review('alice', { commit: 'head-1', at: 1 }), review('alice', { state: 'Dismissed', at: 2 })],
    });
    await world.run(2 * day);
    expect(theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' });
    expect(jobs()).toBe(0);
  });

  it('holds while the forge cannot be asked, and goes on when it can', async () => {
    await world.run(5 * day);
    forge.down = true;
    mergeProposal('alice');
    await world.run(2 * day);
    expect(theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'ApprovalUnverifiable' });
    forge.down = false;
    await world.run(hour);
    expect(theRun().state).toBe('Succeeded');
  });

  it('is proposed for more nodes when the cluster grows, and not for fewer', async () => {
    await world.run(5 * day);
    world.cluster.addNode('n3');
    await world.run(hour);
    expect(theRun().proposal?.nodes).toBe(3);
    world.cluster.removeNode('n3');
    await world.run(hour);
    expect(theRun().proposal?.nodes).toBe(3);
  });

  it('takes no more nodes than were shown', async () => {
    await world.run(5 * day);
    mergeProposal('alice');
    await world.run(hour);
    world.cluster.addNode('n3');
    await world.run(3 * day);
    expect(world.ends()).toEqual(['n1: Patched/Patched', 'n2: Patched/Patched', 'n3: Skipped/BeyondApproval']);
  });

  it('installs only packages that were shown, and leaves out what came in since', async () => {
    begin(reviewed({ ...weekly, scan: { everyMs: day } }));
    world.settings = { ...world.settings, ceilings: { ...world.settings.ceilings, scansAtOnce: 2 } };
    for (const name of ['n1', 'n2']) world.cluster.machine(name).behaviour.updates = { openssl: '3.0.2' };
    await world.run(5 * day);
    expect(theRun().proposal?.packages).toEqual(['openssl']);
    mergeProposal('alice');
    await world.run(hour);
    world.cluster.machine('n1').behaviour.updates = { openssl: '3.0.3', bash: '5.2' };
    await world.run(3 * day);
    expect(world.ends()).toEqual(['n1: Patched/Patched', 'n2: Patched/Patched']);
    expect(world.cluster.machine('n1').installed.map(({ name, version }) => `${name} ${version}`)).toEqual([
      'openssl 3.0.3',
    ]);
  });

  it('merged with a higher ceiling than was proposed is proposed anew', async () => {
    await world.run(5 * day);
    const proposed = proposalOf(theRun());
    const raised = { ...proposed, oid: 'raised', ceiling: { ...proposed.ceiling, nodes: 50 } };
    forge.merge({ runs: [raised] }, [raised.file], { reviews: [review('alice')] });
    await world.run(2 * day);
    expect(theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'ApprovalOutdated' });
    expect(patches()).toBe(0);
  });

  it('is given up when the schedule changes before its time', async () => {
    await world.run(5 * day);
    world.change({ policy: reviewed(), ...inputs('policy-2') });
    await world.run(hour);
    expect(theRun()).toMatchObject({ state: 'Superseded' });
  });

  it('keeps no request waiting', async () => {
    await world.run(5 * day);
    const request = aRequest('now');
    forge.merge({ requests: [request] }, [request.file], { reviews: [review('bob')] });
    await world.run(hour);
    expect(world.runs().map((run) => run.state)).toEqual(['AwaitingApproval', 'Succeeded']);
  });
});

describe('a request under review', () => {
  beforeEach(() => begin(reviewed({ approval: { minApprovals: 2 } })));
  const request = aRequest('now');

  it('runs by its own approval', async () => {
    await world.pass();
    forge.merge({ requests: [request] }, [request.file], { reviews: [review('alice'), review('bob')] });
    await world.run(hour);
    expect(theRun()).toMatchObject({ state: 'Succeeded', approval: { path: request.file } });
  });

  it('that was reviewed on its way to another branch does nothing', async () => {
    world.settings = { ...world.settings, branch: 'main' };
    await world.pass();
    forge.merge({ requests: [request] }, [request.file], { reviews: [review('alice'), review('bob')] });
    forge.amendPull(request.file, { base: 'release' });
    await world.run(hour);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Waiting', reason: 'ApprovalUnverifiable' });
    expect(jobs()).toBe(0);
    forge.amendPull(request.file, { base: 'main' });
    await world.run(hour);
    expect(theRun().state).toBe('Succeeded');
  });

  it('with too few approvals waits, says who is missing, and expires', async () => {
    await world.pass();
    forge.merge({ requests: [request] }, [request.file], { reviews: [review('alice')] });
    await world.run(hour);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Waiting', reason: 'MergedWithoutApproval' });
    expect(world.ledger?.requests['now']?.message).toContain('1 of 2 approvals');
    await world.run(2 * day);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Expired' });
    expect(jobs()).toBe(0);
  });

  it('that was pushed past the pull requests does nothing', async () => {
    await world.pass();
    forge.push({ requests: [request] }, [request.file]);
    await world.run(hour);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Waiting', reason: 'MergedWithoutApproval' });
    expect(jobs()).toBe(0);
  });

  it('was seen with another policy, so that its approval is for something else', async () => {
    await world.pass();
    forge.merge({ requests: [request] }, [request.file], {
      reviews: [review('alice'), review('bob')],
      seen: inputs('policy-0'),
    });
    await world.run(hour);
    expect(world.ledger?.requests['now']).toMatchObject({ reason: 'ApprovalOutdated' });
    expect(jobs()).toBe(0);
  });

  it('survives changes that are not its own', async () => {
    await world.pass();
    forge.merge({ requests: [request] }, [request.file], { reviews: [review('alice'), review('bob')] });
    const other = aRequest('other', { notBefore: world.now + 7 * day });
    forge.push({ requests: [request, other] }, [other.file]);
    await world.run(hour);
    expect(theRun().state).toBe('Succeeded');
  });

  it('to stop is obeyed at once; to go on needs what the run needed', async () => {
    await world.pass();
    world.cluster.machine('n1').behaviour.fail = { patch: 'SCRIPT_FAILED' };
    forge.merge({ requests: [request] }, [request.file], { reviews: [review('alice'), review('bob')] });
    await world.run(hour, () => theRun().state === 'Paused');
    const resume = aRequest('go-on', { action: 'resume' });
    forge.push({ requests: [request, resume] }, [resume.file]);
    await world.run(hour);
    expect(theRun().state).toBe('Paused');
    expect(world.ledger?.requests['go-on']).toMatchObject({ state: 'Waiting', reason: 'MergedWithoutApproval' });
    const abort = aRequest('stop', { action: 'abort' });
    forge.push({ requests: [request, resume, abort] }, [abort.file]);
    await world.run(hour);
    expect(theRun().state).toBe('Aborted');
  });

  it('in a world without a forge holds', async () => {
    world.reviews = undefined;
    world.change({ requests: [request] });
    await world.run(hour);
    expect(world.ledger?.requests['now']).toMatchObject({ state: 'Waiting', reason: 'ApprovalUnverifiable' });
  });

  it('is judged by review where the deployment demands it, whatever the policy says', async () => {
    begin(aPolicy({ approval: { mode: 'none', approvers } }));
    world.settings = { ...world.settings, approvalFloor: 'review' };
    await world.pass();
    forge.push({ requests: [request] }, [request.file]);
    await world.run(hour);
    expect(world.ledger?.requests['now']).toMatchObject({ reason: 'MergedWithoutApproval' });
  });
});

describe('the rules themselves', () => {
  beforeEach(async () => {
    begin(reviewed());
    await world.pass();
  });
  const request = aRequest('now');

  it('a pull request that adds its author as an approver changes nothing, and nothing that it brings runs', async () => {
    const loose = reviewed({ approval: { approvers: [...approvers, '@mallory'] } });
    forge.merge({ policy: loose, requests: [request], ...inputs('policy-2') }, [policyFile, request.file], {
      author: 'eve',
      reviews: [review('mallory')],
    });
    await world.run(2 * hour);
    const plan = world.passes.at(-1);
    expect(plan?.holds[0]).toMatchObject({ reason: 'MergedWithoutApproval' });
    expect(plan?.holds[0]?.message).toContain('@mallory');
    expect(world.ledger?.rules?.rules.approval.approvers).toEqual(approvers);
    expect(world.ledger?.requests['now']).toBeUndefined();
    expect(jobs()).toBe(0);
  });

  it('are loosened by a quorum under the old ones', async () => {
    const loose = aPolicy({ approval: { mode: 'merge', approvers } });
    forge.merge({ policy: loose, ...inputs('policy-2') }, [policyFile], { reviews: [review('alice')] });
    await world.run(hour);
    expect(world.ledger?.rules?.rules.approval.mode).toBe('merge');
    forge.push({ requests: [request] }, [request.file]);
    await world.run(hour);
    expect(theRun().state).toBe('Succeeded');
  });

  it('are tightened by any commit', async () => {
    const tight = reviewed({ approval: { minApprovals: 2 } });
    forge.push({ policy: tight, ...inputs('policy-2') }, [policyFile]);
    await world.pass();
    expect(world.ledger?.rules?.rules.approval.minApprovals).toBe(2);
  });

  it('a FREEZE is added by anybody, and taken away by a quorum', async () => {
    forge.push({ frozen: 'cluster' }, ['clusters/prod/FREEZE']);
    await world.pass();
    expect(world.ledger?.rules?.rules.frozen).toBe(true);
    forge.push({ frozen: undefined }, ['clusters/prod/FREEZE']);
    await world.run(hour);
    expect(world.passes.at(-1)?.holds[0]).toMatchObject({ reason: 'MergedWithoutApproval' });
    forge.merge({ frozen: undefined }, ['clusters/prod/FREEZE'], { reviews: [review('bob')] });
    await world.run(hour);
    expect(world.passes.at(-1)?.holds).toEqual([]);
  });
});
