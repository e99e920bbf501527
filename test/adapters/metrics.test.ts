// The figures: what they are after real passes, and that they go away with what they count.
import { describe, expect, it } from 'vitest';
import { openMetrics } from '../../reconciler/adapters/metrics.ts';
import { AdapterError, InternalError } from '../../reconciler/model/failure.ts';
import { aWorld, resultOf } from '../report/built.ts';

async function lines(metrics: ReturnType<typeof openMetrics>): Promise<string[]> {
  return (await metrics.text()).split('\n').filter((line) => line.startsWith('oakum_'));
}

describe('metrics', () => {
  it('count nodes by phase, blocked nodes by reason, and cordons by age', async () => {
    const world = aWorld();
    const metrics = openMetrics();
    await world.run(3_600_000, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Rebooting');
    metrics.observePass(await resultOf(world, await world.pass()));
    const during = await lines(metrics);
    expect(during).toContain('oakum_nodes{cluster="prod",phase="Rebooting"} 1');
    expect(during).toContain('oakum_nodes{cluster="prod",phase="Pending"} 2');
    expect(during).toContain('oakum_node_blocked{cluster="prod",reason="NoRoomInBudget"} 2');
    expect(during).toContain('oakum_runs_open{cluster="prod",state="Running"} 1');
    expect(during).toContain('oakum_lease_held{cluster="prod"} 1');
    expect(
      Number(during.find((line) => line.startsWith('oakum_owned_cordon_age_seconds'))?.split(' ')[1]),
    ).toBeGreaterThan(0);

    await world.run(6 * 3_600_000);
    metrics.observePass(await resultOf(world, await world.pass()));
    const after = await lines(metrics);
    expect(after).toContain('oakum_nodes{cluster="prod",phase="Rebooting"} 0');
    expect(after).toContain('oakum_nodes{cluster="prod",phase="Quarantined"} 1');
    expect(after).toContain('oakum_runs_ended{cluster="prod",state="Failed"} 1');
    expect(after).toContain('oakum_pending_updates{cluster="prod"} 2');
    expect(after.filter((line) => line.includes('NoRoomInBudget'))).toEqual([]);
    // Figures for clusters, not for nodes: a thousand nodes are as many lines as three.
    expect(after.join('\n')).not.toContain('worker-');
  });

  it('replace the commit instead of adding one', async () => {
    const world = aWorld();
    const metrics = openMetrics();
    metrics.observePass(await resultOf(world, await world.pass()));
    world.change({});
    metrics.observePass(await resultOf(world, await world.pass()));
    const commits = (await lines(metrics)).filter((line) => line.startsWith('oakum_config_commit_info'));
    expect(commits).toEqual(['oakum_config_commit_info{cluster="prod",commit="commit-2"} 1']);
  });

  it('count failures, requests and pushes', async () => {
    const metrics = openMetrics();
    metrics.observeFailure('prod', new AdapterError('transient', 'Timeout', 'slow'));
    metrics.observeFailure('prod', new InternalError('broken'));
    metrics.observeFailure('config', new AdapterError('denied', 'GitDenied', 'no'));
    metrics.observeFailure('prod', undefined);
    metrics.countRequest('list', 'nodes', 200, 12);
    metrics.observePublish({ ok: true, changed: true, attempts: 2 });
    metrics.observePublish({ ok: false, changed: false, attempts: 1 });
    const all = await lines(metrics);
    expect(all).toEqual(
      expect.arrayContaining([
        'oakum_passes_total{cluster="prod",result="transient"} 1',
        'oakum_passes_total{cluster="prod",result="bug"} 1',
        'oakum_config_failures_total{kind="denied"} 1',
        'oakum_kubernetes_requests_total{verb="list",resource="nodes",code="200"} 1',
        'oakum_status_publish_total{result="pushed"} 1',
        'oakum_status_publish_total{result="failed"} 1',
        'oakum_status_push_attempts_total 3',
      ]),
    );
  });
});
