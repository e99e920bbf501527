// What somebody with write access to the config repository might try at the planner: pieces of approvals put together, and stops that quietly go.
import { beforeEach, describe, expect, it } from 'vitest';
import type { ClusterDesired } from '../../reconciler/model/desired.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { review, Reviewed } from '../support/reviewed.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const start = Date.UTC(2026, 5, 1, 12);
const policyFile = 'clusters/prod/policy.yaml';
const baseFile = 'policies/base.yaml';
const approvers = ['@alice', '@bob'];

function reviewed(more: Parameters<typeof aPolicy>[0] = {}): Policy {
  return aPolicy({ ...more, approval: { mode: 'review', minApprovals: 1, approvers, ...more?.approval } });
}
const inputs = (policy: string, base: string): Pick<ClusterDesired, 'inputs'> => ({
  inputs: [
    { path: policyFile, oid: policy },
    { path: baseFile, oid: base },
  ],
});

let world: TinyWorld;
let forge: Reviewed;
const jobs = (): number => world.cluster.done.filter((action) => action.kind === 'createJob').length;
const firstHold = (): string => {
  const hold = world.passes.at(-1)?.holds[0];
  return hold ? `${hold.reason}: ${hold.message}` : '';
};

beforeEach(async () => {
  world = new TinyWorld(start, aCluster({ policy: reviewed({ rollout: { maxFailures: 1 } }), ...inputs('p1', 'b1') }));
  for (const name of ['n1', 'n2']) world.cluster.addNode(name);
  forge = new Reviewed(world);
  await world.pass();
});

describe('an insider', () => {
  it('takes the loose half of a reviewed change and leaves out the half that made it harmless: nobody saw that', async () => {
    // Reviewed: a looser base together with a policy that overrides it. Pushed at once with it: the policy as it was.
    const reviewers = [review('alice')];
    const seen = { policy: reviewed(), ...inputs('p2', 'b2') };
    const loose = reviewed({ drain: { force: true } });
    forge.merge({ policy: loose, ...inputs('p1', 'b2') }, [baseFile], { reviews: reviewers, seen });
    await world.run(hour);
    expect(firstHold()).toMatch(/^ApprovalOutdated: .*nobody saw all of them .*drain\.force is on/);
    expect(world.ledger?.rules?.rules.force).toBe(false);
    forge.merge({ policy: loose, ...inputs('p1', 'b3') }, [baseFile], { reviews: reviewers });
    await world.run(hour);
    expect(firstHold()).toBe('');
    expect(world.ledger?.rules?.rules.force).toBe(true);
  });

  it('removes the policy together with other keys or owners, to have that commit accepted for the next one', async () => {
    const accepted = world.ledger?.accepted?.commit;
    forge.push({ policy: undefined, inputs: [{ path: 'signers/allowed_signers', oid: 'mine' }] }, []);
    await world.run(hour);
    expect(world.ledger?.accepted?.commit).toBe(accepted);
    expect(firstHold()).toContain('NoPolicy');
    forge.push(
      { policy: reviewed(), inputs: [...inputs('p1', 'b1').inputs, { path: 'signers/allowed_signers', oid: 'mine' }] },
      [],
    );
    await world.run(hour);
    expect(firstHold()).toContain('the keys of those who may sign change');
    expect(world.ledger?.accepted?.commit).toBe(accepted);
  });

  it('has a request approved after a run was made of another content of it: that run does not begin', async () => {
    const everything = aRequest('now');
    const frozen = { frozen: 'cluster' } as const;
    forge.push(frozen, ['clusters/prod/FREEZE']);
    await world.pass();
    forge.merge({ requests: [everything] }, [everything.file], { reviews: [review('alice')] });
    await world.pass();
    await world.run(hour);
    expect(world.theRun()).toMatchObject({ state: 'Scheduled', spec: { onlyNodes: [] } });
    const narrowed = { ...everything, oid: 'narrowed', nodes: ['n1'] };
    forge.merge({ requests: [narrowed] }, [narrowed.file], { reviews: [review('alice')] });
    forge.merge({ frozen: undefined }, ['clusters/prod/FREEZE'], { reviews: [review('alice')] });
    await world.run(2 * hour);
    expect(world.theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'ApprovalOutdated' });
    expect(jobs()).toBe(0);
  });

  it('takes away the FREEZE of the cluster while that of the fleet still holds, for the day when that one goes', async () => {
    const own = 'clusters/prod/FREEZE';
    forge.push({ frozen: 'fleet', frozenTwice: true }, ['FREEZE', own]);
    await world.pass();
    forge.push({ frozen: 'fleet', frozenTwice: false }, [own]);
    await world.run(hour);
    expect(firstHold()).toContain(`MergedWithoutApproval: the newest commit changes what may happen`);
    expect(firstHold()).toContain(own);
    forge.merge({ frozen: undefined, frozenTwice: false }, ['FREEZE'], { reviews: [review('alice')] });
    await world.run(hour);
    expect(firstHold()).toContain('MergedWithoutApproval');
    forge.merge({}, [own], { reviews: [review('alice')] });
    await world.run(hour);
    expect(firstHold()).toBe('');
  });

  it('takes away or shortens the pause of a node: under review that needs what thawing needs, but for one that is over', async () => {
    const pause = aRequest('hands-off', { action: 'pause', nodes: ['n1'], until: start + 8 * hour });
    forge.push({ requests: [pause] }, [pause.file]);
    await world.run(hour);
    expect(firstHold()).toBe('');
    forge.push({ requests: [{ ...pause, oid: 'shorter', until: start + 2 * hour }] }, [pause.file]);
    await world.run(hour);
    expect(firstHold()).toContain(`what stops nodes is taken away or changed (${pause.file})`);
    forge.push({ requests: [{ ...pause, oid: 'longer', until: start + 9 * hour }] }, [pause.file]);
    await world.run(hour);
    expect(firstHold()).toBe('');
    forge.push({ requests: [] }, [pause.file]);
    await world.run(hour);
    expect(firstHold()).toContain('MergedWithoutApproval');
    await world.run(8 * hour);
    expect(firstHold()).toBe('');
  });
});
