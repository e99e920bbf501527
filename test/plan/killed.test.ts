// Killed after any single effect, the controller comes to the same end: the ledger is written first, and every action may be repeated.
import { describe, expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { Killed, TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;

function story(when: 'beforePatch' | 'beforeReboot'): TinyWorld {
  const hooks = { before: ['warm-cache'], after: ['smoke-test'] };
  const policy = aPolicy({ drain: { when }, rollout: { maxFailures: 9 }, hooks });
  const world = new TinyWorld(undefined, aCluster({ policy, requests: [aRequest('now')] }));
  world.cluster.addNode('a-reboots', { behaviour: { rebootNeeded: true } });
  world.cluster.addNode('b-plain', { zone: 'b' });
  world.cluster.addNode('c-broken', { behaviour: { fail: { patch: 'SCRIPT_FAILED' } } });
  world.cluster.addNode('d-current', { behaviour: { pending: 0 } });
  world.cluster.addPod('a-reboots', 'web-1');
  world.cluster.addPod('b-plain', 'web-2');
  world.cluster.addPod('a-reboots', 'db', { claims: ['data'] });
  world.cluster.addPod('a-reboots', 'virt-launcher-vm', { virtualMachine: 'vm' });
  for (const hook of [...hooks.before, ...hooks.after]) world.cluster.addHook(hook);
  return world;
}

function facts(world: TinyWorld): unknown {
  const nodes = [...world.cluster.machines.values()].map(({ view, behaviour }) => ({
    name: view.name,
    cordoned: view.unschedulable,
    labels: view.labels,
    boot: view.bootId,
    pending: behaviour.pending,
    pods: world.cluster.podsByNode.get(view.name)?.length,
  }));
  const { called, evacuating } = world.cluster;
  return { ends: world.ends(), state: world.theRun().state, nodes, hooks: [...called].sort(), moving: [...evacuating] };
}

async function live(world: TinyWorld, until: number): Promise<void> {
  for (;;) {
    try {
      await world.run(until - world.now);
      return;
    } catch (error) {
      if (!(error instanceof Killed)) throw error;
      world.restart();
    }
  }
}

describe.each(['beforePatch', 'beforeReboot'] as const)('with drain %s', (when) => {
  it('comes to the same end wherever it was killed', async () => {
    const undisturbed = story(when);
    let effects = 0;
    undisturbed.onEffect = () => void effects++;
    const end = undisturbed.now + 8 * hour;
    await undisturbed.run(8 * hour);
    const wanted = facts(undisturbed);
    expect(effects).toBeGreaterThan(50);
    for (let at = 1; at <= effects; at++) {
      const world = story(when);
      let seen = 0;
      world.onEffect = () => {
        if (++seen === at) throw new Killed();
      };
      await live(world, end);
      expect(facts(world), `killed at effect ${at} of ${effects}`).toEqual(wanted);
      const reboots = world.cluster.jobsOf('reboot').length;
      expect(reboots, `reboots when killed at effect ${at}`).toBe(1);
    }
  });
});
