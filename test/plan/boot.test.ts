// Patch on boot: a node that has just joined is patched before other work lands on it, or let go with a reason.
import { describe, expect, it } from 'vitest';
import type { RunRecord } from '../../reconciler/model/ledger.ts';
import { cordonAnnotation, unpatchedTaint } from '../../reconciler/model/names.ts';
import type { NodeBehaviour } from '../support/tiny-cluster.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { Killed, TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const onBoot = aPolicy({ onBoot: { enabled: true } });

interface Joining {
  readonly behaviour?: Partial<NodeBehaviour>;
  readonly controlPlane?: boolean;
}

function join(world: TinyWorld, name: string, { behaviour = {}, controlPlane = false }: Joining = {}): void {
  world.cluster.addNode(name, { behaviour, controlPlane });
  world.cluster.change(name, {
    createdAt: world.now,
    taints: [{ key: unpatchedTaint, value: '', effect: 'NoSchedule' }],
  });
}

function tainted(world: TinyWorld, name: string): boolean {
  return world.cluster.machine(name).view.taints.length > 0;
}

function bootRun(world: TinyWorld, node: string): RunRecord | undefined {
  return world.runs().find((run) => run.triggers.some((trigger) => trigger.kind === 'boot' && trigger.node === node));
}

function told(world: TinyWorld, node: string): string {
  const run = bootRun(world, node);
  const record = run?.nodes[node];
  return `${run?.state} ${run?.reason}, ${record?.phase}/${record?.reason}`;
}

describe('a node that joins with the taint', () => {
  it('is patched and rebooted without a cordon, outside every window, and its taint goes', async () => {
    const policy = aPolicy({
      onBoot: { enabled: true },
      windows: [{ days: ['Sun'], start: '02:00', durationMs: hour, timeZone: 'UTC' }],
    });
    const world = new TinyWorld(Date.UTC(2026, 5, 1, 12), aCluster({ policy }));
    join(world, 'new-1', { behaviour: { rebootNeeded: true } });
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('Succeeded Completed, Patched/Patched');
    expect(bootRun(world, 'new-1')?.id).toBe('20260601-120000-boot-new-1');
    expect(tainted(world, 'new-1')).toBe(false);
    expect(world.cluster.jobsOf('reboot').length).toBe(1);
    expect(world.cluster.done.some((action) => action.kind === 'cordon' || action.kind === 'evict')).toBe(false);
  });

  it('keeps its taint until it is verified', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1', { behaviour: { rebootNeeded: true } });
    await world.run(hour, () => bootRun(world, 'new-1')?.nodes['new-1']?.phase === 'Verifying');
    expect(tainted(world, 'new-1')).toBe(true);
    await world.run(hour);
    expect(tainted(world, 'new-1')).toBe(false);
  });

  it('has nothing to install and is let go', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1', { behaviour: { pending: 0 } });
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('NothingToDo NothingToDo, Skipped/UpToDate');
    expect(tainted(world, 'new-1')).toBe(false);
  });

  it('that has a pod all the same is emptied before its reboot', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1', { behaviour: { rebootNeeded: true } });
    world.cluster.addPod('new-1', 'tolerates-everything');
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('Succeeded Completed, Patched/Patched');
    expect(world.cluster.podsByNode.get('new-1')).toEqual([]);
    expect(world.cluster.machine('new-1').view.unschedulable).toBe(false);
  });

  it('is patched once in its life: a taint that comes back is taken away', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1');
    await world.run(hour);
    world.cluster.change('new-1', { taints: [{ key: unpatchedTaint, value: '', effect: 'NoSchedule' }] });
    await world.run(hour);
    expect(world.runs().length).toBe(1);
    expect(tainted(world, 'new-1')).toBe(false);
  });

  it('vanishes in the middle and leaves nothing behind', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1');
    await world.run(hour, () => bootRun(world, 'new-1')?.nodes['new-1']?.phase === 'Patching');
    world.cluster.removeNode('new-1');
    await world.run(hour);
    expect(told(world, 'new-1')).toContain('Skipped/NodeGone');
    expect(world.ledger?.history['new-1']).toBeUndefined();
  });
});

describe('many nodes that join at once', () => {
  it('are patched ten at a time beside a run under way, whose budget they do not use', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot, requests: [aRequest('now')] }));
    world.cluster.addNode('worker-1', { behaviour: { jobMs: 20 * minute } });
    await world.run(hour, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Downloading');
    for (let count = 1; count <= 12; count++) join(world, `new-${count}`, { behaviour: { rebootNeeded: true } });
    await world.run(2 * minute);
    const working = world.runs().filter((run) => run.state === 'Running');
    expect(working.length).toBe(11);
    expect(world.runs().filter((run) => run.reason === 'NoRoomInBudget').length).toBe(2);
    await world.run(4 * hour);
    expect(world.runs().map((run) => run.state)).toEqual(world.runs().map(() => 'Succeeded'));
    expect(world.cluster.machine('worker-1').behaviour.pending).toBe(0);
  });

  it('go one at a time if they are control-plane nodes, and only while the others are Ready', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    for (const name of ['control-1', 'control-2', 'control-3'])
      join(world, name, { controlPlane: true, behaviour: { rebootNeeded: true } });
    await world.run(hour);
    for (const name of ['control-1', 'control-2', 'control-3'])
      expect(told(world, name)).toBe('Succeeded Completed, Patched/Patched');
  });
});

describe('a node is let go at once, with the reason,', () => {
  const cases: { name: string; change: Parameters<TinyWorld['change']>[0]; reason: string }[] = [
    { name: 'under FREEZE', change: { frozen: 'fleet' }, reason: 'Frozen' },
    { name: 'without onBoot', change: { policy: aPolicy() }, reason: 'NotYet' },
    { name: 'when suspended', change: { policy: aPolicy({ ...onBoot, suspend: true }) }, reason: 'Suspended' },
    { name: 'without a policy', change: { policy: undefined }, reason: 'NoPolicy' },
    {
      name: 'on a platform that is not patched in place',
      change: { settings: { labels: {}, platform: 'eks', suspend: false, connection: undefined, uid: undefined } },
      reason: 'UnsupportedPlatform',
    },
  ];
  it.each(cases)('$name', async ({ change, reason }) => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    world.change(change);
    join(world, 'new-1');
    await world.run(minute);
    expect(world.runs()).toEqual([]);
    expect(tainted(world, 'new-1')).toBe(false);
    expect(world.ledger?.history['new-1']?.boot).toMatchObject({ failed: false, reason });
    expect(world.cluster.done.some((action) => action.kind === 'event' && action.reason === reason)).toBe(true);
  });

  it('when its system is not supported, whatever onFailure says', async () => {
    const policy = aPolicy({ onBoot: { enabled: true, onFailure: 'keep' } });
    const world = new TinyWorld(undefined, aCluster({ policy }));
    join(world, 'new-1', { behaviour: { fail: { download: 'UNSUPPORTED_IMMUTABLE' } } });
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('Aborted UnsupportedOS, Skipped/UnsupportedOS');
    expect(tainted(world, 'new-1')).toBe(false);
  });

  it('when it is the only control-plane node', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'control-1', { controlPlane: true });
    await world.run(minute);
    expect(world.ledger?.history['control-1']?.boot?.reason).toBe('SingleControlPlane');
    expect(tainted(world, 'control-1')).toBe(false);
  });
});

describe('a patch on boot that fails', () => {
  it('releases the node, reports it, and leaves it to the next run', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1', { behaviour: { fail: { patch: 'SCRIPT_FAILED' } } });
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('Failed BootPatchFailed, Failed/BootPatchFailed');
    expect(tainted(world, 'new-1')).toBe(false);
    const { view, behaviour } = world.cluster.machine('new-1');
    expect(view.annotations[cordonAnnotation]).toBeUndefined();
    expect(world.ledger?.history['new-1']?.lastError).toContain('BootPatchFailed: InstallFailed');
    behaviour.fail = {};
    world.change({ requests: [aRequest('next')] });
    await world.run(hour);
    expect(world.runs().at(-1)).toMatchObject({ state: 'Succeeded' });
    expect(world.ledger?.history['new-1']?.lastError).toBe('');
  });

  it('keeps the taint where the policy says keep, until a run has patched the node', async () => {
    const policy = aPolicy({ onBoot: { enabled: true, onFailure: 'keep' } });
    const world = new TinyWorld(undefined, aCluster({ policy }));
    join(world, 'new-1', { behaviour: { fail: { download: 'DISK_FULL_VAR' } } });
    await world.run(3 * hour);
    expect(world.runs().length).toBe(1);
    expect(tainted(world, 'new-1')).toBe(true);
    expect(world.passes.at(-1)?.nodes[0]).toMatchObject({ reason: 'BootPatchFailed' });
    world.cluster.machine('new-1').behaviour.fail = {};
    world.change({ requests: [aRequest('next')] });
    await world.run(hour);
    expect(tainted(world, 'new-1')).toBe(false);
  });

  it('ends when its time is over', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1', { behaviour: { jobMs: 30 * minute } });
    await world.run(21 * minute);
    expect(told(world, 'new-1')).toBe('Failed BootPatchFailed, Failed/BootPatchFailed');
    expect(bootRun(world, 'new-1')?.message).toContain('onBoot.timeout of 20m has passed in Downloading');
    expect(tainted(world, 'new-1')).toBe(false);
  });
});

describe('a node that is being patched on boot', () => {
  it('is let go by a FREEZE before its reboot', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    join(world, 'new-1', { behaviour: { rebootNeeded: true } });
    await world.run(hour, () => bootRun(world, 'new-1')?.nodes['new-1']?.phase === 'Patching');
    world.change({ frozen: 'fleet' });
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('Aborted Frozen, Skipped/Frozen');
    expect(tainted(world, 'new-1')).toBe(false);
    expect(world.cluster.jobsOf('reboot').length).toBe(0);
  });

  it('waits with its taint while the wishes are not known', async () => {
    const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
    world.cluster.addNode('worker-1');
    await world.run(minute);
    world.sourceHold = { reason: 'GitUnavailable', message: 'the server is down', until: undefined };
    join(world, 'new-1');
    await world.run(hour);
    expect(tainted(world, 'new-1')).toBe(true);
    expect(world.runs()).toEqual([]);
    world.sourceHold = undefined;
    await world.run(hour);
    expect(told(world, 'new-1')).toBe('Succeeded Completed, Patched/Patched');
  });

  it('comes to the same end wherever the controller is killed', async () => {
    const story = (): TinyWorld => {
      const world = new TinyWorld(undefined, aCluster({ policy: onBoot }));
      join(world, 'new-1', { behaviour: { rebootNeeded: true } });
      return world;
    };
    const undisturbed = story();
    let effects = 0;
    undisturbed.onEffect = () => void effects++;
    await undisturbed.run(hour);
    for (let at = 1; at <= effects; at++) {
      const world = story();
      const end = world.now + hour;
      let seen = 0;
      world.onEffect = () => {
        if (++seen === at) throw new Killed();
      };
      while (world.now < end) {
        try {
          await world.run(end - world.now);
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          world.restart();
        }
      }
      expect(told(world, 'new-1'), `killed at effect ${at}`).toBe('Succeeded Completed, Patched/Patched');
      expect(tainted(world, 'new-1')).toBe(false);
      expect(world.cluster.jobsOf('reboot').length).toBe(1);
    }
  });
});
