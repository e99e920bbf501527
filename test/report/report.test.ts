// The document: facts in order, cleaned, and the same whenever it is built.
import { describe, expect, it } from 'vitest';
import type { Hold } from '../../reconciler/model/reason.ts';
import { buildStatus } from '../../reconciler/report/report.ts';
import { statusYaml } from '../../reconciler/report/files.ts';
import { readStatusDocument } from '../../reconciler/report/read-status.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { aWorld, documentOf, resultOf } from './built.ts';

const hour = 3_600_000;

async function ended() {
  const world = aWorld();
  await world.run(6 * hour);
  return { world, result: await resultOf(world, await world.pass()) };
}

describe('the document of a cluster', () => {
  it('tells what became of each node, run and request', async () => {
    const { result } = await ended();
    const doc = documentOf(result);
    expect(doc.nodes.map((node) => `${node.name} ${node.phase} ${node.pendingUpdates}`)).toEqual([
      'worker-1 Idle 0',
      'worker-2 Idle 0',
      'worker-3 Quarantined 2',
    ]);
    expect(doc.nodes[0]).toMatchObject({ patchedVersion: 'debian 12.15, kernel 6.1.0-2', rebootRequired: false });
    expect(doc.runs.map((run) => `${run.state} ${JSON.stringify(run.counts)}`)).toEqual([
      'Failed {"total":3,"patched":1,"skipped":1,"failed":1,"waiting":0}',
    ]);
    expect(doc.requests).toMatchObject([{ name: 'now', state: 'Done', reason: 'RunFailed' }]);
    expect(doc.counts).toEqual({ nodes: 3, upToDate: 2, pending: 1, underWay: 0, failed: 1, excluded: 0 });
    expect(doc.conditions[0]).toMatchObject({ type: 'Ready', status: 'False' });
    expect(doc.conditions[0]?.message).toContain('worker-3');
  });

  it('has the same bytes when only the time has gone on', async () => {
    const { world, result } = await ended();
    const first = statusYaml(documentOf(result));
    world.now += 5 * 24 * hour;
    const later = documentOf(await resultOf(world, await world.pass()));
    expect(statusYaml(later)).toBe(first);
  });

  it('stays the same from minute to minute while work goes on without news', async () => {
    const world = aWorld();
    await world.run(hour, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Rebooting');
    const before = statusYaml(documentOf(await resultOf(world, await world.pass())));
    world.now += 1_000;
    expect(statusYaml(documentOf(await resultOf(world, await world.pass())))).toBe(before);
  });

  it('keeps `since` where no fact dates it and nothing has changed', async () => {
    const world = aWorld();
    const hold: Hold = { reason: 'HistoryRewritten', message: 'the tip was rewound', until: undefined };
    world.sourceHold = hold;
    const first = await resultOf(world, await world.pass());
    const doc = documentOf(first);
    expect(doc.conditions[0]).toMatchObject({ status: 'False', reason: 'HistoryRewritten' });
    world.now += hour;
    const again = await resultOf(world, await world.pass());
    const input = {
      name: 'prod',
      desired: again.desired,
      commit: again.source.commit,
      committedAt: again.source.committedAt,
      nodes: again.observed.nodes,
      ledger: again.plan.ledger,
      plan: again.plan,
      noticed: again.now,
    };
    expect(buildStatus({ ...input, previous: doc.conditions }).conditions).toEqual(doc.conditions);
    expect(buildStatus(input).conditions[0]?.since).toBe('2026-06-01T13:00:00Z');
  });

  it.each([
    [
      'a broken file',
      aCluster({
        problems: [
          {
            file: 'clusters/prod/policy.yaml',
            line: 3,
            column: 5,
            path: 'spec.windows',
            message: 'not a list',
            rule: 'type',
          },
        ],
      }),
      'ConfigInvalid',
    ],
    ['no policy', aCluster({ policy: undefined }), 'NoPolicy'],
    ['a feature that is not carried out', aCluster({ policy: aPolicy({ strategy: 'Replace' }) }), 'UnsupportedFeature'],
    [
      'another platform',
      aCluster({ settings: { labels: {}, platform: 'eks', suspend: false, connection: undefined, uid: undefined } }),
      'UnsupportedPlatform',
    ],
  ])('is not Ready with %s', async (_name, desired, reason) => {
    const world = aWorld();
    world.desired = desired;
    const doc = documentOf(await resultOf(world, await world.pass()));
    expect(doc.conditions[0]).toMatchObject({ type: 'Ready', status: 'False', reason });
    expect(doc.conditions[2]).toMatchObject({ type: 'Waiting', status: 'True' });
    expect(doc.problems).toEqual(desired.problems);
  });

  it('says that a run waits for its window, and until when', async () => {
    const world = aWorld();
    world.desired = aCluster({
      requests: [aRequest('now')],
      policy: aPolicy({ windows: [{ days: ['Sun'], start: '02:00', durationMs: 3 * hour, timeZone: 'UTC' }] }),
    });
    const doc = documentOf(await resultOf(world, await world.pass()));
    expect(doc.conditions[2]).toMatchObject({ status: 'True', reason: 'OutsideWindow' });
    expect(doc.policy?.windows).toEqual(['Sun at 02:00 for 3h UTC']);
    expect(doc.nodes.every((node) => node.reason === 'OutsideWindow')).toBe(true);
  });

  it('speaks of the run that patches although an older maintenance goes on beside it', async () => {
    const world = aWorld();
    const disk = aRequest('disk', { action: 'maintenance', nodes: ['worker-1'], until: world.now + 72 * hour });
    world.desired = aCluster({
      policy: aPolicy({ rollout: { concurrency: { kind: 'count', value: 2 } } }),
      requests: [disk],
    });
    await world.run(hour);
    const alone = documentOf(await resultOf(world, await world.pass()));
    expect(alone.conditions[1]?.message).toContain('-disk: nodes are taken out and held out');
    expect(alone.nodes[0]).toMatchObject({ phase: 'Held', reason: 'HeldOut' });
    world.change({ requests: [disk, aRequest('now')] });
    await world.run(2 * hour);
    const doc = documentOf(await resultOf(world, await world.pass()));
    expect(doc.conditions[2]).toMatchObject({ type: 'Waiting', status: 'True', reason: 'Paused' });
    expect(readStatusDocument(statusYaml(doc))).toEqual(doc);
  });

  it('survives endless freezes and times beyond every calendar', async () => {
    const { result } = await ended();
    const [first] = result.plan.nodes;
    if (!first) throw new Error('no node');
    const holds: Hold[] = [{ reason: 'Frozen', message: 'for ever', until: Number.POSITIVE_INFINITY }];
    const plan = {
      ...result.plan,
      holds,
      upcoming: [Number.POSITIVE_INFINITY, 1e18],
      nodes: [{ ...first, at: Infinity }],
    };
    const doc = documentOf({ ...result, plan });
    expect(doc.holds).toEqual([{ reason: 'Frozen', message: 'for ever', until: undefined }]);
    expect(doc.policy?.next).toEqual([]);
    expect(doc.nodes[0]?.at).toBeUndefined();
  });
});
