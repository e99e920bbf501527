// Killed after any single effect in runs with a lock, under reviews, with a paused node, that only reboot, or whose Lease goes to a standby: the end is
// the same.
import { describe, expect, it } from 'vitest';
import type { Plan } from '../../reconciler/model/plan.ts';
import { endsTheSame } from '../support/killing.ts';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { review, Reviewed } from '../support/reviewed.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;
const start = Date.UTC(2026, 5, 1, 12);

function facts(world: TinyWorld): unknown {
  const nodes = [...world.cluster.machines.values()].map(({ view, behaviour, installed }) => ({
    name: view.name,
    cordoned: view.unschedulable,
    labels: view.labels,
    boot: view.bootId,
    pending: behaviour.pending,
    installed: installed.map(({ name, version }) => `${name} ${version}`).sort(),
  }));
  const run = world.theRun();
  const requests = Object.values(world.ledger?.requests ?? {}).map(({ name, state, reason }) => [name, state, reason]);
  const steps = ['download', 'patch', 'reboot'].map(
    (step) => new Set(world.cluster.jobsOf(step).map(({ name }) => name)).size,
  );
  return {
    ends: world.ends(),
    state: run.state,
    locks: Object.values(run.locks ?? {}).map(({ node, packages }) => [node, packages]),
    nodes,
    requests,
    steps,
  };
}

function begin(policy: Parameters<typeof aPolicy>[0], names: readonly string[] = ['a', 'b']): TinyWorld {
  const world = new TinyWorld(start, aCluster({ policy: aPolicy(policy) }));
  for (const name of names) world.cluster.addNode(name);
  return world;
}

/** Somebody merges the proposal, as it is then, twelve hours after the world began. */
class ProposedWorld extends TinyWorld {
  private readonly forge: Reviewed;
  private readonly mergeAt: number;

  constructor(at: number) {
    const schedule = { kind: 'weekly', at: '00:00', timeZone: 'UTC' } as const;
    const policy = aPolicy({
      schedule: { schedule, startingDeadlineMs: 12 * hour, validForMs: 48 * hour },
      approval: { mode: 'review', minApprovals: 1, approvers: ['@alice'], leadTimeMs: 48 * hour },
    });
    super(at, aCluster({ policy }));
    for (const name of ['a', 'b']) this.cluster.addNode(name);
    this.forge = new Reviewed(this);
    this.mergeAt = at + 12 * hour;
  }

  override async pass(): Promise<Plan> {
    const [run] = this.runs();
    if (run?.proposal && this.now >= this.mergeAt && this.desired.runs.length === 0) {
      const file = `clusters/prod/runs/${run.id}.yaml`;
      const proposed = { name: run.id, file, oid: `oid-${run.digest}`, digest: run.digest, ceiling: run.proposal };
      this.forge.merge({ runs: [proposed] }, [file], { author: 'oakum-bot', reviews: [review('alice')] });
    }
    return super.pass();
  }
}

describe('a controller that is killed comes to the same end', () => {
  it('where the first node makes the list of versions', async () => {
    const effects = await endsTheSame(
      () => {
        const world = begin({ rollout: { concurrency: { kind: 'count', value: 3 } }, updates: { lock: true } }, [
          'a',
          'b',
          'c',
        ]);
        for (const name of ['a', 'b', 'c'])
          world.cluster.machine(name).behaviour.updates = { openssl: '3.0.2', bash: '5.2' };
        world.change({ requests: [aRequest('now')] });
        return world;
      },
      3 * hour,
      facts,
    );
    expect(effects).toBeGreaterThan(30);
  });

  it('where the request is reviewed', async () => {
    const effects = await endsTheSame(
      () => {
        const world = begin({ approval: { mode: 'review', minApprovals: 1, approvers: ['@alice'] } });
        const forge = new Reviewed(world);
        const request = aRequest('now');
        forge.merge({ requests: [request] }, [request.file], { author: 'dave', reviews: [review('alice')] });
        return world;
      },
      3 * hour,
      facts,
    );
    expect(effects).toBeGreaterThan(20);
  });

  it('where the scheduled run is proposed, reviewed and merged', async () => {
    const slot = Date.UTC(2026, 5, 7);
    const effects = await endsTheSame(
      () => new ProposedWorld(slot - 36 * hour),
      5 * 24 * hour,
      (world) => ({
        ...(facts(world) as object),
        approval: world.theRun().approval?.by,
        start: world.theRun().startedAt,
      }),
    );
    expect(effects).toBeGreaterThan(20);
  });

  it('where the Lease goes to a standby before the own host', async () => {
    const effects = await endsTheSame(
      () => {
        const world = begin({});
        world.settings = someSettings({ ownNode: 'b' });
        world.standby = { identity: 'oakum-2', node: 'a' };
        world.change({ requests: [aRequest('now', { action: 'reboot' })] });
        return world;
      },
      3 * hour,
      (world) => ({ ...(facts(world) as object), at: world.settings.ownNode, standby: world.standby }),
    );
    expect(effects).toBeGreaterThan(20);
  });

  it('where a node is paused for a while', async () => {
    const effects = await endsTheSame(
      () => {
        const world = begin({});
        const pause = aRequest('not-yet', { action: 'pause', nodes: ['a'], until: start + hour });
        world.change({ requests: [pause, aRequest('now')] });
        return world;
      },
      4 * hour,
      facts,
    );
    expect(effects).toBeGreaterThan(20);
  });

  it('where nodes are only rebooted', async () => {
    const effects = await endsTheSame(
      () => {
        const world = begin({});
        world.change({ requests: [aRequest('now', { action: 'reboot' })] });
        return world;
      },
      3 * hour,
      facts,
    );
    expect(effects).toBeGreaterThan(20);
  });
});
