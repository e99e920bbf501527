// The way of a node: good ends, bad ends, and every wait in between.
import { describe, expect, it } from 'vitest';
import {
  cordonAnnotation,
  lastErrorAnnotation,
  lastPatchedAnnotation,
  phaseLabel,
  runLabel,
} from '../../reconciler/model/names.ts';
import type { NodeBehaviour } from '../support/tiny-cluster.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;

function worldWith(behaviour: Partial<NodeBehaviour>, policy = aPolicy()): TinyWorld {
  const world = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now')] }));
  world.cluster.addNode('worker-1', { behaviour });
  world.cluster.addPod('worker-1', 'web-1');
  return world;
}

const cases: {
  name: string;
  behaviour: Partial<NodeBehaviour>;
  policy?: ReturnType<typeof aPolicy>;
  end: string;
  cordoned: boolean;
  state: string;
}[] = [
  {
    name: 'installs and needs no reboot',
    behaviour: { pending: 3 },
    end: 'Patched/Patched',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'installs and reboots',
    behaviour: { pending: 3, rebootNeeded: true },
    end: 'Patched/Patched',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'has nothing to do and is not disturbed',
    behaviour: { pending: 0 },
    end: 'Skipped/UpToDate',
    cordoned: false,
    state: 'NothingToDo',
  },
  {
    name: 'has pending updates that all stay, and is not disturbed',
    behaviour: { pending: 2, held: 2 },
    end: 'Skipped/UpToDate',
    cordoned: false,
    state: 'NothingToDo',
  },
  {
    name: 'may not reboot and says that it should',
    behaviour: { rebootNeeded: true },
    policy: aPolicy({ reboot: { when: 'never' } }),
    end: 'Patched/RebootPending',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'always reboots',
    behaviour: { pending: 0 },
    policy: aPolicy({ reboot: { when: 'always' } }),
    end: 'Patched/Patched',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'drains only before the reboot',
    behaviour: { rebootNeeded: true },
    policy: aPolicy({ drain: { when: 'beforeReboot' } }),
    end: 'Patched/Patched',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'is an unsupported system',
    behaviour: { fail: { download: 'UNSUPPORTED_IMMUTABLE' } },
    end: 'Skipped/UnsupportedOS',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'has a full disk and is not touched',
    behaviour: { fail: { download: 'DISK_FULL_VAR' } },
    end: 'Failed/DiskFull',
    cordoned: false,
    state: 'Failed',
  },
  {
    name: 'cannot reach its repository, three times',
    behaviour: { fail: { download: 'REPO_UNREACHABLE' } },
    end: 'Failed/RepositoryUnavailable',
    cordoned: false,
    state: 'Failed',
  },
  {
    name: 'has a broken package and stays cordoned',
    behaviour: { fail: { patch: 'SCRIPT_FAILED' } },
    end: 'Quarantined/InstallFailed',
    cordoned: true,
    state: 'Failed',
  },
  {
    name: 'has a broken package and is uncordoned because the policy says so',
    behaviour: { fail: { patch: 'SCRIPT_FAILED' } },
    policy: aPolicy({ onFailure: 'uncordon' }),
    end: 'Failed/InstallFailed',
    cordoned: false,
    state: 'Failed',
  },
  {
    name: 'refuses the plan after the drain',
    behaviour: { fail: { patch: 'PROTECTED_PACKAGE' } },
    end: 'Failed/PlanRefused',
    cordoned: false,
    state: 'Failed',
  },
  {
    name: 'would not boot',
    behaviour: { rebootNeeded: true, fail: { reboot: 'REBOOT_UNSAFE' } },
    end: 'Quarantined/RebootUnsafe',
    cordoned: true,
    state: 'Failed',
  },
  {
    name: 'does not come back',
    behaviour: { rebootNeeded: true, staysDown: true },
    end: 'Quarantined/NotRejoined',
    cordoned: true,
    state: 'Failed',
  },
  {
    name: 'is not as it should be afterwards',
    behaviour: { fail: { verify: 'VERIFY_PENDING' } },
    end: 'Quarantined/VerifyFailed',
    cordoned: true,
    state: 'Failed',
  },
  {
    name: 'loses its result twice and is attached to again',
    behaviour: { lostResults: 2 },
    end: 'Patched/Patched',
    cordoned: false,
    state: 'Succeeded',
  },
  {
    name: 'loses its result for ever',
    behaviour: { lostResults: 9 },
    end: 'Quarantined/NoResult',
    cordoned: true,
    state: 'Failed',
  },
];

describe('a node that', () => {
  it.each(cases)('$name', async ({ behaviour, policy, end, cordoned, state }) => {
    const world = worldWith(behaviour, policy);
    await world.run(6 * hour);
    expect(world.ends()).toEqual([`worker-1: ${end}`]);
    expect(world.theRun().state).toBe(state);
    const node = world.cluster.machine('worker-1').view;
    expect(node.unschedulable).toBe(cordoned);
    expect(node.annotations[cordonAnnotation] !== undefined).toBe(cordoned);
  });
});

describe('services that still run replaced code', () => {
  const services = ['ssh', 'cron', 'dbus', 'chrony', 'rsyslog', 'udev'].map((name) => `${name}.service`);

  it('are named where the node is told to be patched, five of them and how many more', async () => {
    const world = worldWith({ services });
    await world.run(hour);
    const [record] = Object.values(world.theRun().nodes);
    expect(record?.message).toBe(
      '3 packages changed; until restarted, these run replaced code: ssh.service, cron.service, dbus.service, chrony.service, rsyslog.service and 1 more',
    );
  });

  it('are not named after a reboot, which has started them anew, and are when it is owed', async () => {
    const rebooted = worldWith({ services, rebootNeeded: true });
    await rebooted.run(hour);
    expect(Object.values(rebooted.theRun().nodes)[0]?.message).not.toContain('replaced code');
    const owed = worldWith({ services, rebootNeeded: true }, aPolicy({ reboot: { when: 'never' } }));
    await owed.run(hour);
    expect(Object.values(owed.theRun().nodes)[0]?.message).toMatch(/ssh.service.*; a reboot is required/);
  });
});

describe('the script, asked again', () => {
  it('is told the same attempt when only its answer was lost, so that it attaches', async () => {
    const world = worldWith({ lostResults: 1 });
    await world.run(6 * hour);
    expect(world.cluster.attemptsOf('patch')).toEqual(['1', '1']);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });

  it('is told the same attempt while the work goes on past the Job, and the node is never released', async () => {
    const world = worldWith({ patchAnswers: ['DEADLINE', 'RUN_IN_PROGRESS', 'DEADLINE', 'DEADLINE'] });
    await world.run(12 * hour);
    expect(new Set(world.cluster.attemptsOf('patch'))).toEqual(new Set(['1']));
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });

  it('is told another attempt after an answer that asks for a new beginning', async () => {
    const world = worldWith({ patchAnswers: ['SCRIPT_FAILED'] });
    await world.run(6 * hour);
    expect(world.cluster.attemptsOf('patch')).toEqual(['1', '2']);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });

  it('is called by what broke it when a second try cannot repair it', async () => {
    const world = worldWith({ patchAnswers: ['SCRIPT_FAILED', 'PKG_DB_BROKEN'] });
    await world.run(6 * hour);
    expect(world.ends()).toEqual(['worker-1: Quarantined/InstallFailed']);
    const [record] = Object.values(world.theRun().nodes);
    expect(record?.message).toMatch(/SCRIPT_FAILED\)?; then: .*PKG_DB_BROKEN/);
  });

  it('is not believed that nothing changed when an earlier call never answered: the node stays cordoned', async () => {
    const world = worldWith({ lostResults: 1, fail: { patch: 'DISK_FULL_ROOT' } });
    await world.run(6 * hour);
    expect(world.ends()).toEqual(['worker-1: Quarantined/DiskFull']);
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(true);
  });

  it('at work for ever ends as NoResult, cordoned', async () => {
    const world = worldWith({ fail: { patch: 'DEADLINE' } });
    await world.run(24 * hour);
    expect(world.ends()).toEqual(['worker-1: Quarantined/NoResult']);
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(true);
  });
});

describe('a policy that only reboots', () => {
  const only = aPolicy({ strategy: 'RebootOnly' });

  it('reboots a node that another tool left needing it, and installs nothing', async () => {
    const world = worldWith({ pending: 3 }, only);
    world.cluster.machine('worker-1').rebootRequired = true;
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
    expect(world.cluster.machine('worker-1').behaviour.pending).toBe(3);
    expect(world.cluster.jobsOf('reboot').length).toBe(1);
    expect(world.cluster.jobsOf('patch').length + world.cluster.jobsOf('download').length).toBe(0);
  });

  it('leaves a node alone that needs no reboot, whatever updates are pending', async () => {
    const world = worldWith({ pending: 3 }, only);
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Skipped/UpToDate']);
    expect(world.cluster.done.some((action) => action.kind === 'cordon')).toBe(false);
  });
});

describe('marks on the node', () => {
  it('say what happened after a success', async () => {
    const world = worldWith({ rebootNeeded: true });
    await world.run(hour);
    const { labels, annotations } = world.cluster.machine('worker-1').view;
    expect(labels[runLabel]).toBe(world.theRun().hash);
    expect(labels[phaseLabel]).toBeUndefined();
    expect(annotations[lastPatchedAnnotation]).toMatch(/^2026-06-01T12:/);
    expect(annotations[lastErrorAnnotation] ?? '').toBe('');
  });

  it('say what went wrong after a failure, and that the cordon is ours', async () => {
    const world = worldWith({ fail: { patch: 'SCRIPT_FAILED' } });
    await world.run(hour);
    const { labels, annotations } = world.cluster.machine('worker-1').view;
    expect(labels[phaseLabel]).toBe('Quarantined');
    expect(labels[runLabel]).toBeUndefined();
    expect(annotations[lastErrorAnnotation]).toContain('InstallFailed');
  });
});

describe('a settled world', () => {
  it('plans nothing and writes nothing', async () => {
    const world = worldWith({});
    await world.run(hour);
    const before = world.cluster.done.length;
    const { ledger } = world;
    await world.run(hour);
    expect(world.cluster.done.length).toBe(before);
    expect(world.ledger).toBe(ledger);
  });
});

describe('somebody else', () => {
  it('had cordoned the node: it is patched and stays cordoned', async () => {
    const world = worldWith({});
    world.cluster.change('worker-1', { unschedulable: true });
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(true);
    expect(world.cluster.done.some((action) => action.kind === 'cordon' || action.kind === 'uncordon')).toBe(false);
  });

  it('deletes the node in the middle: its seat is free and the next one goes on', async () => {
    const world = worldWith({});
    world.cluster.addNode('worker-2');
    await world.run(hour, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Patching');
    world.cluster.removeNode('worker-1');
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Skipped/NodeGone', 'worker-2: Patched/Patched']);
  });

  it('deletes the Job: it is created again', async () => {
    const world = worldWith({});
    await world.run(hour, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Patching');
    world.cluster.deleteJobs();
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });

  it('uncordons a quarantined node: it is quarantined no more', async () => {
    const world = worldWith({ fail: { verify: 'VERIFY_KERNEL' } });
    await world.run(hour);
    world.cluster.change('worker-1', { unschedulable: false });
    await world.run(hour);
    expect(world.ledger?.history['worker-1']?.quarantine).toBeUndefined();
    expect(world.cluster.machine('worker-1').view.annotations[cordonAnnotation]).toBeUndefined();
  });

  it('repairs a quarantined node and asks again: it is verified and uncordoned', async () => {
    const world = worldWith({ fail: { verify: 'VERIFY_KERNEL' } });
    await world.run(hour);
    world.cluster.machine('worker-1').behaviour.fail = {};
    world.change({ requests: [aRequest('now'), aRequest('again')] });
    await world.run(hour);
    expect(world.runs().at(-1)?.nodes['worker-1']?.phase).toBe('Patched');
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(false);
  });

  it('mends a package that is half configured and asks again: it is repaired by a patch, though nothing is pending', async () => {
    const world = worldWith({ fail: { patch: 'SCRIPT_FAILED' } });
    await world.run(hour);
    const before = world.cluster.attemptsOf('patch').length;
    const { behaviour } = world.cluster.machine('worker-1');
    behaviour.fail = {};
    behaviour.pending = 0;
    behaviour.warnings = ['PackageDatabase: nginx is not completely installed (iF) (the patch repairs it first)'];
    world.change({ requests: [aRequest('now'), aRequest('again')] });
    await world.run(hour);
    expect(world.cluster.attemptsOf('patch').length).toBe(before + 1);
    expect(world.runs().at(-1)?.nodes['worker-1']?.phase).toBe('Patched');
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(false);
  });

  it('takes the run label away while the run is under way: the node is patched again', async () => {
    const world = worldWith({});
    world.cluster.addNode('worker-2', { behaviour: { jobMs: 600_000 } });
    await world.run(
      hour,
      () =>
        world.cluster.machine('worker-1').view.labels[runLabel] !== undefined &&
        world.runs()[0]?.nodes['worker-1']?.marked === true,
    );
    world.cluster.change('worker-1', { labels: { 'kubernetes.io/os': 'linux' } });
    await world.run(3 * hour);
    expect(world.cluster.jobsOf('download').filter((job) => job.nodeName === 'worker-1').length).toBe(2);
    expect(world.theRun().state).toBe('Succeeded');
  });
});

describe('a PodDisruptionBudget', () => {
  const budget = {
    namespace: 'default',
    name: 'web',
    matchLabels: { app: 'web-1' },
    matchExpressions: [],
    currentHealthy: 2,
    desiredHealthy: 2,
    expectedPods: 3,
  };

  it('with no room holds the node before it is cordoned, and then lets it go', async () => {
    const world = worldWith({});
    world.cluster.budgets.push({ ...budget, disruptionsAllowed: 0 });
    await world.run(5 * 60_000);
    const record = world.theRun().nodes['worker-1'];
    expect(record).toMatchObject({ phase: 'Cordoning', reason: 'DisruptionBlocked' });
    expect(record?.message).toContain('needs 2 healthy pods and has 2');
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(false);
    world.cluster.budgets[0] = { ...budget, disruptionsAllowed: 1, currentHealthy: 3 };
    await world.run(hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched']);
  });

  it('that never has room ends as DrainTimeout, uncordoned, and the run is not called a success', async () => {
    const world = worldWith({});
    world.cluster.budgets.push({ ...budget, disruptionsAllowed: 0 });
    await world.run(12 * hour);
    expect(world.ends()).toEqual(['worker-1: Skipped/DrainTimeout']);
    expect(world.theRun().state).toBe('Failed');
    expect(world.cluster.machine('worker-1').view.unschedulable).toBe(false);
  });

  it('twice on one pod is named as such', async () => {
    const world = worldWith({});
    world.cluster.budgets.push(
      { ...budget, disruptionsAllowed: 1 },
      { ...budget, name: 'web-too', disruptionsAllowed: 1 },
    );
    await world.run(5 * 60_000);
    expect(world.theRun().nodes['worker-1']).toMatchObject({ phase: 'Cordoning', reason: 'TwoBudgets' });
  });
});

describe('a FREEZE', () => {
  it('is said while nothing is due, so that nobody finds out at the next slot', async () => {
    const world = new TinyWorld(undefined, aCluster({ frozen: 'cluster' }));
    world.cluster.addNode('worker-1');
    const plan = await world.pass();
    expect(plan.holds.map((hold) => hold.reason)).toEqual(['Frozen']);
    expect(plan.nodes[0]).toMatchObject({ phase: 'Idle', reason: 'Frozen' });
  });

  it('stops new nodes at once and a reboot that was not yet asked for; work goes on when it is lifted', async () => {
    const world = worldWith({ rebootNeeded: true });
    world.cluster.addNode('worker-2');
    await world.run(hour, () => world.runs()[0]?.nodes['worker-1']?.phase === 'Patching');
    world.change({ frozen: 'fleet' });
    await world.run(3 * hour);
    expect(world.theRun().nodes['worker-1']).toMatchObject({ phase: 'RebootPending', reason: 'Frozen' });
    expect(world.theRun().nodes['worker-2']?.phase).toBe('Pending');
    world.change({ frozen: undefined });
    await world.run(3 * hour);
    expect(world.ends()).toEqual(['worker-1: Patched/Patched', 'worker-2: Patched/Patched']);
  });
});
