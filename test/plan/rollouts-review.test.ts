// Rollouts under review: proposals open in their turn, and a rollout is loosened only with a quorum under the old rules.
import { beforeEach, describe, expect, it } from 'vitest';
import { closureOf } from '../../reconciler/model/approval.ts';
import type { ClusterDesired, ProposedRun } from '../../reconciler/model/desired.ts';
import type { FleetRollout, Wave } from '../../reconciler/model/rollout.ts';
import { rolloutRules, type RolloutRules } from '../../reconciler/model/rollout-rules.ts';
import { loosensRollouts } from '../../reconciler/plan/loosening-rollouts.ts';
import { aRollout, aWave, FleetWorld } from '../support/fleet-world.ts';
import { aCluster, aFleet, aPolicy } from '../support/policies.ts';
import { review, Reviewed } from '../support/reviewed.ts';
import type { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const day = 24 * hour;
const start = Date.UTC(2026, 5, 1, 12);
const runId = '20260601-130000-monthly';
const file = 'rollouts/monthly.yaml';
const runFile = `clusters/prod/runs/${runId}.yaml`;
const policy = aPolicy({ approval: { mode: 'review', minApprovals: 1, approvers: ['@alice'], leadTimeMs: 0 } });

/** Two of dev soak for a day, then two of production one at a time, with consent. */
function theRollout(
  given: Partial<FleetRollout> = {},
  dev: Partial<Wave> = {},
  prod: Partial<Wave> = {},
): FleetRollout {
  return aRollout(
    [
      aWave('dev', ['dev-1', 'dev-2'], { soakMs: day, ...dev }),
      aWave('production', ['prod', 'prod-2'], { concurrency: 1, approval: true, ...prod }),
    ],
    { start: start + hour, ...given },
  );
}

const labels = {
  'clusters/dev-1/cluster.yaml': 'one',
  'clusters/dev-2/cluster.yaml': 'two',
  'clusters/prod/cluster.yaml': 'three',
  'clusters/prod-2/cluster.yaml': 'four',
};

/** What a commit with this rollout asks of production. */
function wishes(
  rollout: FleetRollout | undefined,
  files: Readonly<Record<string, string>> = labels,
): Pick<ClusterDesired, 'rollouts' | 'fleetFiles'> {
  if (!rollout) return { rollouts: [], fleetFiles: files };
  return { rollouts: [rollout], fleetFiles: { ...files, [rollout.file]: rollout.oid } };
}

function rulesOf(rollout: FleetRollout | undefined): Readonly<Record<string, RolloutRules>> | undefined {
  return rolloutRules(aCluster({ policy, ...wishes(rollout) }));
}

/** The looser side beside {@link theRollout}, and a word of the sentence. */
const looser: readonly [string, FleetRollout | undefined][] = [
  ['does not take this cluster along', undefined],
  ['does not take this cluster along', aRollout([aWave('dev', ['dev-1', 'dev-2'])])],
  ['the soak of wave dev is shorter', theRollout({}, { soakMs: hour })],
  ['maxFailures of wave dev goes from 1 to 2', theRollout({}, { maxFailures: 2 })],
  ['wave dev loses dev-2', theRollout({}, { clusters: ['dev-1'] })],
  ['wave dev does not go before', theRollout({}, { clusters: ['dev-1', 'dev-2', 'prod'] })],
  ['wave dev does not go before', theRollout({}, { name: 'other' })],
  ['needs no approval', theRollout({}, {}, { approval: false })],
  ['maxFailures goes from 1 to 2', theRollout({}, {}, { maxFailures: 2 })],
  ['concurrency goes from 1 to 2', theRollout({}, {}, { concurrency: 2 })],
  ['concurrency goes from 1 to all', theRollout({}, {}, { concurrency: undefined })],
  ['prod-2 left', theRollout({}, {}, { clusters: ['prod'] })],
  [`the go for ${runId}`, theRollout({ approved: [{ run: runId, wave: 'production' }] })],
  [`without clusters (${runId} dev-1)`, theRollout({ skip: [{ run: runId, cluster: 'dev-1', reason: '' }] })],
];

describe('what loosens a rollout', () => {
  it.each(looser)('says that it %s', (word, after) => {
    expect(loosensRollouts(rulesOf(theRollout()), rulesOf(after)).join('; ')).toContain(word);
  });

  it('says when suspend is lifted, and when its calendar does not count any more', () => {
    const schedule: FleetRollout['schedule'] = {
      schedule: { kind: 'weekly', at: '00:00', timeZone: 'UTC' },
      startingDeadlineMs: hour,
      validForMs: hour,
    };
    expect(loosensRollouts(rulesOf(theRollout({ suspend: true })), rulesOf(theRollout()))).toHaveLength(1);
    expect(loosensRollouts(rulesOf(theRollout()), rulesOf(theRollout({ suspend: true })))).toEqual([]);
    expect(loosensRollouts(rulesOf(theRollout({ schedule })), rulesOf(theRollout()))).toHaveLength(1);
    expect(loosensRollouts(rulesOf(theRollout()), rulesOf(theRollout({ schedule })))).toEqual([]);
  });

  it.each<[string, FleetRollout]>([
    ['a longer soak', theRollout({}, { soakMs: 2 * day })],
    ['one more cluster before', theRollout({}, { clusters: ['dev-1', 'dev-2', 'dev-3'] })],
    ['another time', theRollout({ start: start + day })],
    ['itself skipped', theRollout({ skip: [{ run: runId, cluster: 'prod', reason: '' }] })],
    ['the go for another wave', theRollout({ approved: [{ run: runId, wave: 'dev' }] })],
    ['labels that cannot be read', theRollout({ unclear: ['dev-2'] }, { clusters: ['dev-1'] })],
  ])('is silent about %s', (_what, after) => {
    expect(loosensRollouts(rulesOf(theRollout()), rulesOf(after))).toEqual([]);
    expect(loosensRollouts(undefined, rulesOf(after))).toEqual([]);
  });

  it('counts a cluster whose labels could not be read, and that is in no wave before now', () => {
    const unclear = rulesOf(theRollout({ unclear: ['dev-2'] }, { clusters: ['dev-1'] }));
    expect(loosensRollouts(unclear, rulesOf(theRollout()))).toEqual([]);
    expect(loosensRollouts(unclear, rulesOf(theRollout({}, { clusters: ['dev-1'] })))).toHaveLength(1);
  });
});

describe('what an approval is bound to', () => {
  const resolved = (rollout: FleetRollout | undefined): string =>
    closureOf(aCluster({ policy, ...wishes(rollout) }), aFleet, {}).resolved;

  it('is what goes before, and its own wave', () => {
    const seen = resolved(theRollout());
    expect(resolved(theRollout({}, { soakMs: hour }))).not.toBe(seen);
    expect(resolved(theRollout({}, {}, { approval: false }))).not.toBe(seen);
    expect(resolved(undefined)).not.toBe(seen);
  });

  it('is not the file, the words of people, or a later wave', () => {
    const { waves } = theRollout();
    const later = theRollout({
      oid: 'edited',
      skip: [{ run: runId, cluster: 'dev-1', reason: '' }],
      waves: [...waves, aWave('edge', ['edge'])],
    });
    expect(resolved(later)).toBe(resolved(theRollout()));
  });
});

describe('a fleet whose production is reviewed', () => {
  let fleet: FleetWorld;
  let prod: TinyWorld;
  let forge: Reviewed;
  beforeEach(() => {
    fleet = new FleetWorld(start, theRollout());
    prod = fleet.world('prod');
    prod.desired = { ...prod.desired, policy, ...wishes(theRollout()) };
    forge = new Reviewed(prod);
  });

  function mergeProposal(...names: string[]): void {
    const { digest, proposal } = fleet.theRun('prod');
    if (!proposal) throw new Error('nothing is proposed');
    const run: ProposedRun = { name: runId, file: runFile, oid: 'proposal', digest, ceiling: proposal };
    forge.merge({ runs: [run] }, [runFile], { author: 'oakum-bot', reviews: names.map((name) => review(name)) });
  }

  it('opens the proposal when the waves before have ended, and starts after review and soak', async () => {
    await fleet.run(hour + 60_000);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'Scheduled', reason: 'WaveBefore' });
    expect(fleet.theRun('prod').proposal).toBeUndefined();
    await fleet.run(6 * hour);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'AwaitingApproval', proposal: { nodes: 1 } });
    mergeProposal('alice');
    await fleet.run(hour);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'Scheduled', reason: 'WaveSoaking' });
    await fleet.run(2 * day);
    const soaked = Math.max(fleet.theRun('dev-1').endedAt ?? 0, fleet.theRun('dev-2').endedAt ?? 0) + day;
    expect(fleet.theRun('prod').state).toBe('Succeeded');
    expect(fleet.theRun('prod').startedAt).toBeGreaterThanOrEqual(soaked);
  });

  it('waits for the review of a wave with approval, whatever its soak and words in the file say', async () => {
    await fleet.run(2 * day);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'AwaitingApproval', reason: 'AwaitingApproval' });
    mergeProposal('mallory');
    await fleet.run(day);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' });
    expect(prod.cluster.done.some((action) => action.kind === 'createJob')).toBe(false);
  });

  it('ends as NotApproved when nobody agreed in time', async () => {
    const weekly: FleetRollout['schedule'] = {
      schedule: { kind: 'weekly', at: '00:00', timeZone: 'UTC' },
      startingDeadlineMs: hour,
      validForMs: day,
    };
    prod.desired = { ...prod.desired, ...wishes(theRollout({ schedule: weekly })) };
    await fleet.run(2 * day);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'NotApproved', reason: 'NotApproved' });
    expect(prod.cluster.done.some((action) => action.kind === 'createJob')).toBe(false);
  });

  it('does not take a shorter soak without a quorum, nor a removal; and takes it with one', async () => {
    await fleet.run(6 * hour);
    mergeProposal('alice');
    await fleet.run(hour);
    forge.push(wishes(theRollout({ oid: 'short' }, { soakMs: 0 })), [file]);
    await fleet.run(2 * day);
    expect(prod.passes.at(-1)?.holds[0]).toMatchObject({ reason: 'MergedWithoutApproval' });
    expect(prod.passes.at(-1)?.holds[0]?.message).toContain('the soak of wave dev is shorter');
    expect(fleet.theRun('prod').startedAt).toBeUndefined();
    forge.push(wishes(undefined), [file]);
    await fleet.run(hour);
    expect(prod.passes.at(-1)?.holds[0]?.message).toContain('does not take this cluster along');
    expect(fleet.theRun('prod').state).toBe('Scheduled');
    forge.merge(wishes(theRollout({ oid: 'agreed' }, { soakMs: 0 })), [file], { reviews: [review('alice')] });
    await fleet.run(hour);
    expect(prod.passes.at(-1)?.holds).toEqual([]);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'AwaitingApproval', reason: 'ApprovalOutdated' });
  });

  it('does not go on without a failed cluster unless a quorum says so', async () => {
    fleet.world('dev-1').cluster.machine('dev-1-worker-1').behaviour.fail = { download: 'DISK_FULL_VAR' };
    await fleet.run(2 * day);
    expect(fleet.theRun('prod').reason).toBe('WaveFailed');
    const skip = [{ run: runId, cluster: 'dev-1', reason: 'broken' }];
    forge.push(wishes(theRollout({ oid: 'skip', skip })), [file]);
    await fleet.run(hour);
    expect(prod.passes.at(-1)?.holds[0]?.reason).toBe('MergedWithoutApproval');
    expect(fleet.theRun('prod').reason).not.toBe('AwaitingApproval');
    forge.merge(wishes(theRollout({ oid: 'skip', skip })), [file], { reviews: [review('alice')] });
    await fleet.run(hour);
    expect(fleet.theRun('prod')).toMatchObject({ state: 'AwaitingApproval', reason: 'AwaitingApproval' });
  });

  it('does not let a cluster leave a wave by its labels without a quorum', async () => {
    await fleet.run(hour);
    const left = theRollout({}, { clusters: ['dev-1'] });
    const files = { ...labels, 'clusters/dev-2/cluster.yaml': 'relabelled' };
    forge.push(wishes(left, files), ['clusters/dev-2/cluster.yaml']);
    await fleet.run(hour);
    const [hold] = prod.passes.at(-1)?.holds ?? [];
    expect(hold?.reason).toBe('MergedWithoutApproval');
    expect(hold?.message).toContain('wave dev loses dev-2');
    expect(hold?.message).toContain('clusters/dev-2/cluster.yaml');
    forge.merge(wishes(left, files), ['clusters/dev-2/cluster.yaml'], { reviews: [review('alice')] });
    await fleet.run(hour);
    expect(prod.passes.at(-1)?.holds).toEqual([]);
  });
});
