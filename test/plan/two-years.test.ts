// A whole production policy over two simulated years: every monthly run happens, inside its windows and outside its freezes.
import { describe, expect, it } from 'vitest';
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import { sleepThrough } from '../support/random-world.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const text = `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec:
  schedule: { preset: monthly, timeZone: Europe/Berlin, startingDeadline: 12h }
  windows: [ { days: [Sat, Sun], start: "00:00", duration: 6h, timeZone: Europe/Berlin } ]
  freezes: [ { from: 2026-12-18, to: 2027-01-04, reason: year-end } ]
  nodes: { exclude: "dedicated=gpu" }
  updates: { scope: security, hold: [docker-ce], exclude: [] }
  reboot: { when: ifRequired, returnTimeout: 15m, stableFor: 60s }
  drain: { when: beforePatch, timeout: 15m, onTimeout: skip, gracePeriod: 60s, deleteEmptyDirData: false, force: false }
  rollout: { concurrency: 1, topologyKey: topology.kubernetes.io/zone, canary: { nodes: 1, soak: 30m }, soak: 2m,
             maxFailures: 1, controlPlane: last }
  approval: { mode: merge }
  strategy: InPlace
`;

describe('a production policy over two years', () => {
  it('runs every month, whatever weekday the 1st is, and after a freeze', async () => {
    const desired = createDesire(readSchemas())({
      commit: 'a'.repeat(40),
      committedAt: 0,
      changed: undefined,
      files: new Map([
        [
          'clusters/prod/policy.yaml',
          { path: 'clusters/prod/policy.yaml', oid: 'b'.repeat(40), kind: 'file' as const, text },
        ],
      ]),
    });
    expect(desired.problems).toEqual([]);
    const world = new TinyWorld(Date.UTC(2026, 5, 15), desired.clusters.get('prod'));
    for (const zone of ['a', 'b', 'c']) {
      world.cluster.addNode(`control-${zone}`, { zone, controlPlane: true });
      for (const number of [1, 2]) world.cluster.addNode(`worker-${zone}${number}`, { zone });
    }
    world.cluster.addNode('gpu-1', { labels: { dedicated: 'gpu' } });
    const end = Date.UTC(2028, 5, 15);
    let month = '';
    const told = new Map<string, string>();
    while (world.now < end) {
      const plan = await world.pass();
      world.passes.length = 0;
      for (const run of world.runs()) told.set(run.id, `${run.state}: ${run.message}`);
      const thisMonth = new Date(world.now - 20 * 86_400_000).toISOString().slice(0, 7);
      if (thisMonth !== month) {
        month = thisMonth;
        // What has ended was archived long ago.
        if (world.ledger && world.runs().every((run) => run.endedAt !== undefined))
          world.ledger = { ...world.ledger, runs: {} };
        for (const machine of world.cluster.machines.values()) {
          machine.behaviour.pending = 4;
          machine.behaviour.rebootNeeded = month.endsWith('3');
        }
      }
      world.now = Math.max(Math.min(sleepThrough(world, plan), world.cluster.nextAt() ?? Infinity), world.now + 1);
    }
    expect(told.size).toBe(24);
    const wanted = 'Succeeded: 9 patched, 0 up to date';
    expect([...told].filter(([, what]) => what !== wanted)).toEqual([]);
    expect(world.cluster.machine('gpu-1').behaviour.pending).toBe(4);
  }, 120_000);
});
