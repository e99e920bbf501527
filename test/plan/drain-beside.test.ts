// A drain is over when volumes are detached, too; virtual machines move by themselves and are named; what we began is taken back.
import { describe, expect, it } from 'vitest';
import type { BudgetView } from '../../reconciler/model/observed.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;

function world(drain: Partial<ReturnType<typeof aPolicy>['drain']> = {}): TinyWorld {
  const policy = aPolicy({ drain: { timeoutMs: 10 * minute, ...drain } });
  const made = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now')] }));
  made.cluster.addNode('w1');
  return made;
}

/** Where the node is in its run. */
function verdict(made: TinyWorld): string {
  const found = made.theRun().nodes['w1'];
  return `${found?.phase} ${found?.reason}: ${found?.message}`;
}

/** Passes at least every ten seconds: in this world nothing wakes the controller. */
async function live(made: TinyWorld, ms: number): Promise<void> {
  for (const end = made.now + ms; made.now < end;) await made.run(10_000);
}

const kinds = (made: TinyWorld): string[] => made.cluster.done.map((action) => action.kind);

describe('volumes', () => {
  const attached = (claim: string | undefined, trouble = '') => ({
    name: `csi-${claim}`,
    node: 'w1',
    volume: `pv-${claim}`,
    claim: claim === undefined ? undefined : `default/${claim}`,
    trouble,
  });

  function withVolume(drain = {}): TinyWorld {
    const made = world(drain);
    made.cluster.addPod('w1', 'db', { claims: ['data'] });
    made.cluster.addPod('w1', 'logs', { owner: { kind: 'DaemonSet', name: 'logs' }, claims: ['spool'] });
    made.cluster.volumes = [
      attached('data', 'rpc error: the volume is busy'),
      attached('spool'),
      attached(undefined),
      { ...attached('other'), node: 'w2' },
    ];
    return made;
  }

  it('of pods that have left are waited for by name; those of pods that stay are not', async () => {
    const made = withVolume();
    await live(made, 5 * minute);
    expect(verdict(made)).toBe(
      'Draining VolumesAttached: waits for volumes to be detached: default/data (pv-data): rpc error: the volume is busy',
    );
    made.cluster.volumes = made.cluster.volumes.slice(1);
    await made.run(hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched']);
  });

  it('that stay attached past drain.timeout are a drain that did not end', async () => {
    const made = withVolume({ onTimeout: 'fail' });
    await made.run(hour);
    expect(verdict(made)).toMatch(/^Failed DrainTimeout: waits for volumes to be detached: default\/data/);
    expect(made.cluster.machine('w1').view.unschedulable).toBe(false);
    expect(made.cluster.jobsOf('patch')).toEqual([]);
  });

  it('do not hold for ever where the policy says force', async () => {
    const made = withVolume({ onTimeout: 'force' });
    await made.run(hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched']);
  });

  it('are not read where no pod had any', async () => {
    const made = world();
    made.cluster.addPod('w1', 'web');
    made.cluster.volumes = [attached('data')];
    const asked: boolean[] = [];
    const observe = made.cluster.observe.bind(made.cluster);
    made.cluster.observe = async (interest) => {
      asked.push((interest.volumesOn?.length ?? 0) > 0);
      return observe(interest);
    };
    await made.run(hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched']);
    expect(asked).not.toContain(true);
  });
});

describe('a virtual machine', () => {
  /** KubeVirt keeps such a budget for every machine that is to be moved. */
  const budget: BudgetView = {
    namespace: 'shop',
    name: 'kubevirt-disruption-budget-x',
    matchLabels: { vm: 'db' },
    matchExpressions: [],
    disruptionsAllowed: 0,
    currentHealthy: 1,
    desiredHealthy: 1,
    expectedPods: 1,
  };

  function withMachine(drain = {}): TinyWorld {
    const made = world(drain);
    made.cluster.addPod('w1', 'virt-launcher-db-x', {
      namespace: 'shop',
      labels: { vm: 'db' },
      owner: { kind: 'VirtualMachineInstance', name: 'db' },
      virtualMachine: 'db',
      localData: true,
    });
    made.cluster.budgets.push(budget);
    return made;
  }

  it('is moved by live migration, and is named with its migration while it is', async () => {
    const made = withMachine();
    made.cluster.migrationMs = 3 * minute;
    await live(made, minute);
    expect(verdict(made)).toBe(
      'Draining WaitingForMigration: virtual machine shop/db is to move by live migration: migration kubevirt-evacuation-db is Scheduling',
    );
    await made.run(hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched']);
    expect(kinds(made)).not.toContain('cancelEvacuation');
  });

  it('that does not get on is left in peace when the drain is given up', async () => {
    const made = withMachine({ onTimeout: 'fail' });
    made.cluster.migrationMs = undefined;
    await made.run(hour);
    expect(verdict(made)).toMatch(
      /^Failed DrainTimeout: virtual machine shop\/db is to move by live migration: migration/,
    );
    expect(verdict(made)).not.toContain('still evacuates');
    expect([...made.cluster.evacuating]).toEqual([]);
    expect(made.cluster.machine('w1').view.unschedulable).toBe(false);
  });

  it('is said to be evacuated still where KubeVirt cannot be asked to stop', async () => {
    const made = withMachine({ onTimeout: 'fail' });
    made.cluster.migrationMs = undefined;
    made.cluster.cancels = false;
    await made.run(hour);
    expect(verdict(made)).toMatch(/^Failed DrainTimeout: .*; KubeVirt still evacuates shop\/db \(KubeVirt before 1\.8/);
    expect(made.cluster.machine('w1').view.unschedulable).toBe(false);
  });

  it('that somebody else was evacuating before is left to them', async () => {
    const made = withMachine({ onTimeout: 'fail' });
    made.cluster.evacuating.set('shop/db', 'w1');
    made.cluster.migrationMs = undefined;
    await made.run(hour);
    expect(verdict(made)).toMatch(/^Failed DrainTimeout: /);
    expect(kinds(made)).not.toContain('cancelEvacuation');
    expect([...made.cluster.evacuating]).toEqual([['shop/db', 'w1']]);
  });

  it('that a withdrawn maintenance had begun to move stays', async () => {
    const made = withMachine({ timeoutMs: 2 * hour });
    made.cluster.migrationMs = undefined;
    made.change({ requests: [aRequest('fan', { action: 'maintenance', nodes: ['w1'], until: made.now + 5 * hour })] });
    await live(made, 10 * minute);
    expect(verdict(made)).toContain('Draining WaitingForMigration');
    made.change({ requests: [] });
    await live(made, 10 * minute);
    expect([...made.cluster.evacuating]).toEqual([]);
    expect(made.cluster.machine('w1').view.unschedulable).toBe(false);
  });
});
