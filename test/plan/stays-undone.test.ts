// What is not done is never called done, and what a person or a quarantine has stopped stays stopped.
import { describe, expect, it } from 'vitest';
import type { Request } from '../../reconciler/model/desired.ts';
import type { RunRecord } from '../../reconciler/model/ledger.ts';
import { lastPatchedAnnotation, patchLabel } from '../../reconciler/model/names.ts';
import type { BudgetView } from '../../reconciler/model/observed.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 5, 1, 12);

const now = aRequest('now');
const again = aRequest('again');
const disk = aRequest('disk', { action: 'maintenance', nodes: ['worker-1'], until: start + 6 * hour });

function worldOf(
  names: readonly string[],
  policy: Policy = aPolicy(),
  requests: readonly Request[] = [now],
): TinyWorld {
  const world = new TinyWorld(start, aCluster({ policy, requests }));
  for (const name of names) {
    world.cluster.addNode(name);
    world.cluster.addPod(name, `web-${name}`);
  }
  return world;
}

function noRoom(app: string): BudgetView {
  return {
    namespace: 'default',
    name: 'web',
    matchLabels: { app },
    matchExpressions: [],
    disruptionsAllowed: 0,
    currentHealthy: 1,
    desiredHealthy: 1,
    expectedPods: 2,
  };
}

function run(world: TinyWorld, name: string): RunRecord {
  const found = world.runs().find((one) => one.id.endsWith(`-${name}`));
  if (!found) throw new Error(`no run of ${name}`);
  return found;
}

const disable = (world: TinyWorld, name: string): void =>
  world.cluster.change(name, { labels: { ...world.cluster.machine(name).view.labels, [patchLabel]: 'disabled' } });

const rebootJobs = (world: TinyWorld): number =>
  world.cluster.done.filter(
    (action) => action.kind === 'createJob' && action.manifest.metadata.labels['oakum.dev/step'] === 'reboot',
  ).length;

describe('a node that is patched in place, and breaks off', () => {
  async function broken(): Promise<TinyWorld> {
    const world = worldOf(['worker-1'], aPolicy({ drain: { when: 'beforeReboot' } }));
    world.cluster.machine('worker-1').behaviour.fail = { patch: 'INSTALL_FAILED' };
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Quarantined/InstallFailed']);
    return world;
  }

  it('is cordoned then, and stays quarantined', async () => {
    const world = await broken();
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(true);
    expect(world.ledger?.history['worker-1']?.quarantine).toMatchObject({
      reason: 'InstallFailed',
      toCordon: undefined,
    });
    const cordons = world.cluster.done.filter(({ kind }) => kind === 'cordon');
    expect(cordons).toHaveLength(1);
  });

  it('is quarantined no more when a person uncordons it', async () => {
    const world = await broken();
    world.cluster.change('worker-1', { unschedulable: false });
    await world.run(hour);
    expect(world.ledger?.history['worker-1']?.quarantine).toBeUndefined();
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(false);
  });

  it('is proven and uncordoned by a later run, when it was repaired', async () => {
    const world = await broken();
    world.cluster.machine('worker-1').behaviour.fail = {};
    world.change({ requests: [now, again] });
    await world.run(6 * hour);
    expect(run(world, 'again').nodes['worker-1']?.phase).toBe('Patched');
    expect(world.ledger?.history['worker-1']?.quarantine).toBeUndefined();
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(false);
  });
});

describe('a quarantined node stays cordoned', () => {
  async function quarantined(): Promise<TinyWorld> {
    const world = worldOf(['worker-1']);
    world.cluster.machine('worker-1').behaviour.fail = { patch: 'INSTALL_FAILED' };
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Quarantined/InstallFailed']);
    return world;
  }

  const stays = (world: TinyWorld): void => {
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(true);
    expect(world.ledger?.history['worker-1']?.quarantine?.reason).toBe('InstallFailed');
  };

  it('when a later run cannot empty it', async () => {
    const world = await quarantined();
    world.cluster.addPod('worker-1', 'late');
    world.cluster.budgets.push(noRoom('late'));
    world.change({ requests: [now, again] });
    await world.run(6 * hour);
    expect(run(world, 'again').nodes['worker-1']).toMatchObject({ phase: 'Skipped', reason: 'DrainTimeout' });
    expect(run(world, 'again').nodes['worker-1']?.message).toContain('quarantined before (InstallFailed)');
    stays(world);
  });

  it('when a later run ends before it changes anything', async () => {
    const world = await quarantined();
    world.cluster.machine('worker-1').behaviour.fail = { patch: 'DISK_FULL_VAR' };
    world.change({ requests: [now, again] });
    await world.run(hour);
    expect(run(world, 'again').nodes['worker-1']?.phase).toBe('Failed');
    stays(world);
  });

  it('when it was held out by hand and its time is over', async () => {
    const world = await quarantined();
    world.change({ requests: [now, disk] });
    await world.run(8 * hour);
    expect(run(world, 'disk').nodes['worker-1']).toMatchObject({ phase: 'Skipped', reason: 'MaintenanceOver' });
    stays(world);
  });
});

describe('a run that was aborted', () => {
  const stop = aRequest('stop', { action: 'abort' });

  it('starts no node again whose drain did not end', async () => {
    const world = worldOf(['worker-1', 'worker-2']);
    world.cluster.budgets.push(noRoom('web-worker-1'));
    await world.run(5 * minute);
    expect(world.theRun().nodes['worker-1']?.phase).toBe('Cordoning');
    world.change({ requests: [now, stop] });
    await world.run(minute);
    const { startedAt } = world.theRun().nodes['worker-1'] ?? {};
    await world.run(6 * hour);
    expect(world.ends()).toEqual(['worker-1: Skipped/Aborted', 'worker-2: Skipped/Aborted']);
    expect(world.theRun().nodes['worker-1']?.startedAt).toBe(startedAt);
    expect(world.theRun().state).toBe('Aborted');
  });

  it('takes no node out by hand again that was on its way back', async () => {
    const world = worldOf(['worker-1'], undefined, [{ ...disk, until: start + 24 * hour }]);
    // There was room when it was asked beforehand; when the pod is to go there is none.
    world.onEffect = (what) => void (what === 'cordon' && world.cluster.budgets.push(noRoom('web-worker-1')));
    await world.run(hour, () => world.theRun().nodes['worker-1']?.phase === 'Uncordoning');
    expect(world.theRun().nodes['worker-1']?.phase).toBe('Uncordoning');
    world.change({ requests: [disk, { ...stop, run: world.theRun().id }] });
    await world.run(6 * hour);
    expect(world.ends()).toEqual(['worker-1: Skipped/Aborted']);
    expect(world.theRun().state).toBe('Aborted');
  });
});

describe('a run that only reboots', () => {
  it('leaves pending updates pending, and says nothing of a patch', async () => {
    const world = worldOf(['worker-1'], undefined, [aRequest('now', { action: 'reboot' })]);
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
    expect(world.ledger?.history['worker-1']).toMatchObject({ lastPatched: undefined, pending: { count: 3 } });
    expect(world.ledger?.history['worker-1']?.pending?.since).toBeDefined();
    expect(world.cluster.machine('worker-1').view.annotations[lastPatchedAnnotation]).toBeUndefined();
  });

  it('does not reboot a node that somebody has rebooted since it was looked at', async () => {
    const world = worldOf(['worker-1'], undefined, [aRequest('now', { action: 'reboot' })]);
    world.cluster.budgets.push(noRoom('web-worker-1'));
    await world.run(5 * minute);
    world.cluster.change('worker-1', { bootId: 'boot-of-somebody', heartbeat: 'h-of-somebody' });
    world.cluster.budgets.pop();
    await world.run(hour);
    expect(rebootJobs(world)).toBe(0);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });
});

describe('a freeze', () => {
  it('that begins before anything on the node asks for the reboot holds it, and it is asked for once afterwards', async () => {
    const world = worldOf(['worker-1']);
    world.cluster.machine('worker-1').behaviour.rebootNeeded = true;
    await world.run(hour, () => world.theRun().nodes['worker-1']?.phase === 'Rebooting');
    world.cluster.deleteJobs();
    world.change({ frozen: 'fleet' });
    await world.run(hour);
    expect(world.theRun().nodes['worker-1']).toMatchObject({ phase: 'RebootPending', reason: 'Frozen' });
    expect(rebootJobs(world)).toBe(1);
    world.change({ frozen: undefined });
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
    expect(rebootJobs(world)).toBe(2);
  });

  it('counts a reboot that came late after all', async () => {
    const world = worldOf(['worker-1']);
    world.cluster.machine('worker-1').behaviour.rebootNeeded = true;
    await world.run(hour, () => world.theRun().nodes['worker-1']?.phase === 'Rebooting');
    world.cluster.deleteJobs();
    world.change({ frozen: 'fleet' });
    await world.run(minute);
    world.cluster.change('worker-1', { bootId: 'boot-late', heartbeat: 'h-late' });
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
    expect(rebootJobs(world)).toBe(1);
  });
});

describe('a node that waits and is not meant any more', () => {
  it('is left out, and the run ends', async () => {
    const world = worldOf(['worker-1', 'worker-2']);
    await world.run(hour, () => world.theRun().nodes['worker-1']?.phase === 'Patching');
    disable(world, 'worker-2');
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched', 'worker-2: Skipped/Excluded']);
    expect(world.theRun()).toMatchObject({ state: 'Succeeded', message: '1 patched, 0 up to date, 1 not done' });
  });
});

describe('a node that was given up because it is not Ready', () => {
  it('makes the run no success', async () => {
    const policy = aPolicy({ rollout: { concurrency: { kind: 'count', value: 2 } } });
    const world = worldOf(['worker-1', 'worker-2'], policy);
    world.cluster.change('worker-2', { ready: false });
    await world.run(2 * hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched', 'worker-2: Skipped/NotReady']);
    expect(world.theRun()).toMatchObject({ state: 'Failed', message: '1 patched, 0 up to date, 1 not done' });
  });
});
