// Hooks: called once for each node, before it is disturbed and after it was verified; what fails is never called done.
import { describe, expect, it } from 'vitest';
import type { HookView } from '../../reconciler/model/observed.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;

function world(hooks: { before?: string[]; after?: string[] }, present: Record<string, Partial<HookView>> = {}) {
  const policy = aPolicy({ hooks });
  const made = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now')] }));
  made.cluster.addNode('w1', { behaviour: { rebootNeeded: true } });
  made.cluster.addNode('w2');
  made.cluster.addPod('w1', 'web');
  for (const [name, fields] of Object.entries(present)) made.cluster.addHook(name, fields);
  return made;
}

/** The kinds of actions on a node, each once in the order in which they began. */
function order(made: TinyWorld, node: string): string[] {
  const seen = made.cluster.done.flatMap((action) => {
    if (!('node' in action) || action.node !== node) return [];
    if (action.kind === 'createJob') return [action.manifest.metadata.labels['oakum.dev/step'] ?? ''];
    if (action.kind === 'createHookJob') return [`${action.hook} ${action.env['OAKUM_PHASE']}`];
    return action.kind === 'cordon' || action.kind === 'uncordon' ? [action.kind] : [];
  });
  return [...new Set(seen)];
}

function verdict(made: TinyWorld, node: string): string {
  const found = made.passes.at(-1)?.nodes.find((one) => one.node === node);
  return `${found?.phase} ${found?.reason}: ${found?.message}`;
}

describe('hooks', () => {
  it('are called once each, before the cordon and between verification and uncordon', async () => {
    const made = world(
      { before: ['warm-cache', 'silence'], after: ['smoke-test'] },
      {
        'warm-cache': {},
        silence: {},
        'smoke-test': {},
      },
    );
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched', 'w2: Patched/Patched']);
    expect(order(made, 'w1')).toEqual([
      'download',
      'warm-cache before',
      'silence before',
      'cordon',
      'patch',
      'reboot',
      'verify',
      'smoke-test after',
      'uncordon',
    ]);
    expect(made.cluster.called.sort()).toEqual([
      'w1 silence before',
      'w1 smoke-test after',
      'w1 warm-cache before',
      'w2 silence before',
      'w2 smoke-test after',
      'w2 warm-cache before',
    ]);
  });

  it('are not called for a node that has nothing to install', async () => {
    const made = world({ before: ['warm-cache'] }, { 'warm-cache': {} });
    made.cluster.machine('w1').behaviour.pending = 0;
    await made.run(2 * hour);
    expect(made.cluster.called).toEqual(['w2 warm-cache before']);
  });

  it.each([
    { what: 'is not there', present: {}, told: 'namespace oakum-hooks has no CronJob of this name' },
    { what: 'is not suspended', present: { gone: { suspended: false } }, told: 'is not suspended' },
  ])('hold the run while one $what, and no node is touched', async ({ present, told }) => {
    const made = world({ after: ['gone'] }, present);
    await made.run(hour);
    expect(verdict(made, 'w1')).toContain('Pending HookMissing: hook gone: ');
    expect(verdict(made, 'w1')).toContain(told);
    expect(order(made, 'w1')).toEqual([]);
    made.cluster.addHook('gone');
    await made.run(2 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded' });
  });

  it('that fail before leave the node as it was, and the run pauses', async () => {
    const made = world({ before: ['warm-cache'] }, { 'warm-cache': {} });
    made.cluster.hookEnd = { ms: 5_000, well: false };
    await made.run(hour);
    expect(order(made, 'w1')).toEqual(['download', 'warm-cache before']);
    expect(verdict(made, 'w1')).toMatch(
      /^Failed HookFailed: hook warm-cache: Job oakum-hooks\/oakum-hook-\w+ failed: BackoffLimitExceeded.*; the node was not touched$/,
    );
    expect(made.theRun()).toMatchObject({ state: 'Paused' });
    made.cluster.hookEnd = { ms: 5_000, well: true };
    made.change({ requests: [aRequest('now'), aRequest('again', { action: 'retry' })] });
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched', 'w2: Patched/Patched']);
    expect(made.cluster.called.filter((call) => call.startsWith('w1'))).toHaveLength(2);
  });

  it('that fail after keep the node cordoned', async () => {
    const made = world({ after: ['smoke-test'] }, { 'smoke-test': {} });
    made.cluster.hookEnd = { ms: 5_000, well: false };
    await made.run(hour);
    expect(verdict(made, 'w1')).toMatch(/^Quarantined HookFailed: .*patched and verified, and stays cordoned$/);
    expect(made.cluster.machine('w1').view.unschedulable).toBe(true);
    expect(verdict(made, 'w2')).toContain('Paused');
  });

  it('that fail after a patch without a cordon do not claim one', async () => {
    const made = world({ after: ['smoke-test'] }, { 'smoke-test': {} });
    made.change({ policy: aPolicy({ hooks: { after: ['smoke-test'] }, drain: { when: 'beforeReboot' } }) });
    made.cluster.machine('w1').behaviour.rebootNeeded = false;
    made.cluster.hookEnd = { ms: 5_000, well: false };
    await made.run(hour);
    expect(verdict(made, 'w1')).toMatch(/^Failed HookFailed: .*takes pods: it was not drained$/);
    expect(made.cluster.machine('w1').view.unschedulable).toBe(false);
  });

  it('that never end are given up after their deadline', async () => {
    const made = world({ before: ['warm-cache'] }, { 'warm-cache': { deadlineMs: 5 * minute } });
    made.cluster.hookEnd = undefined;
    await made.run(16 * minute);
    expect(verdict(made, 'w1')).toMatch(/^Failed HookFailed: .*did not end within 5m; the node was not touched$/);
  });

  it('that vanish in the middle are waited for, then named', async () => {
    const made = world({ after: ['smoke-test'] }, { 'smoke-test': {} });
    await made.run(hour, () => made.theRun().nodes['w1']?.phase === 'Patching');
    made.cluster.hooks.clear();
    await made.run(2 * hour);
    expect(verdict(made, 'w1')).toMatch(/^Quarantined HookMissing: /);
  });

  it('are called once although the drain is tried again', async () => {
    const made = world({ before: ['warm-cache'] }, { 'warm-cache': {} });
    made.change({ policy: aPolicy({ hooks: { before: ['warm-cache'] }, drain: { timeoutMs: 2 * minute } }) });
    made.cluster.addPod('w1', 'lonely', { owner: undefined });
    await made.run(10 * minute);
    made.cluster.podsByNode.set('w1', []);
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['w1: Patched/Patched', 'w2: Patched/Patched']);
    expect(made.cluster.called).toEqual(['w1 warm-cache before', 'w2 warm-cache before']);
  });
});
