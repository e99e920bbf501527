// A drain beside KubeVirt, as its webhook and its API answer.
import { describe, expect, it } from 'vitest';
import { inProcessTransport } from '../../reconciler/adapters/kubernetes-in-process.ts';
import { openCluster } from '../../reconciler/adapters/kubernetes.ts';
import { silentLog } from '../../reconciler/adapters/log.ts';
import { views } from '../../reconciler/observed/views.ts';
import { virtualClock } from '../../reconciler/sim/clock.ts';
import { createSim } from '../../reconciler/sim/sim.ts';
import { KubeVirt } from '../support/kubevirt.ts';

function cluster() {
  const clock = virtualClock(Date.UTC(2026, 5, 1));
  const sim = createSim({ clock });
  sim.addNode({ name: 'w1' });
  const kubevirt = new KubeVirt(sim, (ms, run) => void clock.after(ms, run));
  kubevirt.migrationMs = undefined;
  kubevirt.add('db', 'w1');
  const transport = inProcessTransport({ handle: (request) => kubevirt.answer(request) ?? sim.handle(request) });
  const port = { now: () => clock.now(), sleep: async () => undefined };
  return { kubevirt, port: openCluster({ transport, views, clock: port, log: silentLog, watch: false }) };
}

describe('a virtual machine', () => {
  it('is seen by its pod, is marked by an eviction but not by a dry run, and let go again', async () => {
    const { kubevirt, port } = cluster();
    const look = () => port.observe({ podsOn: ['w1'], budgets: false, machinesOn: ['w1'] });
    const [pod] = (await look()).pods.get('w1') ?? [];
    expect(pod).toMatchObject({ virtualMachine: 'db', owner: { kind: 'VirtualMachineInstance', name: 'db' } });
    const evict = {
      kind: 'evict',
      node: 'w1',
      namespace: 'default',
      pod: pod?.name ?? '',
      uid: pod?.uid ?? '',
      gracePeriodSeconds: undefined,
    } as const;
    expect(await port.act({ ...evict, dryRun: true })).toMatchObject({ kind: 'blocked', reason: 'Migration' });
    expect(kubevirt.machines[0]?.evacuating).toBeUndefined();
    expect(await port.act({ ...evict, dryRun: false })).toMatchObject({ kind: 'blocked', reason: 'Migration' });
    expect((await look()).machines).toEqual([
      {
        namespace: 'default',
        name: 'db',
        node: 'w1',
        evacuating: 'w1',
        migration: { name: 'kubevirt-evacuation-db', phase: 'Scheduling' },
        trouble: '',
      },
    ]);
    const cancel = { kind: 'cancelEvacuation', namespace: 'default', machine: 'db' } as const;
    await port.act({ ...cancel, node: 'another' });
    expect(kubevirt.machines[0]?.evacuating).toBe('w1');
    await port.act({ ...cancel, node: 'w1' });
    expect(kubevirt.machines[0]?.evacuating).toBeUndefined();
  });

  it.each([
    [
      'cannot be moved',
      { conditions: [{ type: 'LiveMigratable', status: 'False', message: 'a host disk' }] },
      'it cannot be live-migrated: a host disk',
    ],
    [
      'failed to move',
      { migrationState: { failed: true, failureReason: 'no room' } },
      'its last migration failed: no room',
    ],
    ['moves', { migrationState: { completed: true } }, ''],
  ])('that %s says so', (_what, status, trouble) => {
    expect(views.virtualMachineView({ metadata: { namespace: 'a', name: 'b' }, status }, []).trouble).toBe(trouble);
  });

  it('whose migrations have all ended has none', () => {
    const machine = { metadata: { namespace: 'a', name: 'b' } };
    const ended = { metadata: { namespace: 'a', name: 'm' }, spec: { vmiName: 'b' }, status: { phase: 'Failed' } };
    expect(views.virtualMachineView(machine, [ended]).migration).toBeUndefined();
  });
});
