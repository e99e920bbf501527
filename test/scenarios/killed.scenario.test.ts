// Killed before any single action and after any write of the ledger, on the simulated API server with the real adapters: the end is the same.
import { describe, expect, it } from 'vitest';
import { kernelUpdate, ordinaryUpdates } from '../../reconciler/cli/imitated-cluster.ts';
import { seeded } from '../support/random-world.ts';
import { Scenario } from '../support/scenario.ts';
import { Killed } from '../support/tiny-world.ts';

const hour = 3_600_000;

const files = {
  'clusters/prod/policy.yaml': `apiVersion: oakum.dev/v1alpha1
kind: PatchPolicy
metadata: { name: prod }
spec: { rollout: { concurrency: 2, soak: 0s, canary: null }, reboot: { stableFor: 5s } }
`,
  'clusters/prod/requests/now.yaml': `apiVersion: oakum.dev/v1alpha1
kind: PatchRequest
metadata: { name: now }
spec: { reason: a story }
`,
};

function story(disorder: number): Scenario {
  const scenario = new Scenario();
  const { world } = scenario;
  world.add({ name: 'a-reboots', zone: 'a', rebootMs: 5_000 });
  world.add({ name: 'b-plain', zone: 'b' });
  world.system('a-reboots').pending = [...ordinaryUpdates, kernelUpdate];
  world.sim.addDeployment({ name: 'web', replicas: 2, pdb: { maxUnavailable: 1 } });
  scenario.clock.advance(3_000);
  for (const name of world.systems.keys()) firstBoots.set(name, world.sim.node(name).bootId());
  const random = seeded(disorder);
  if (disorder > 0) scenario.turns = () => Math.floor(random() * 8);
  scenario.commit(files);
  return scenario;
}

const firstBoots = new Map<string, string>();

interface Listed {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
    readonly spec: { readonly unschedulable?: boolean };
  }[];
}

function list(scenario: Scenario, path: string): Listed['items'] {
  const answer = scenario.world.sim.handle({ method: 'GET', path, headers: {} });
  return (answer as unknown as { body: Listed }).body.items;
}

/** What is left when all is done: how the run ended, what is on the nodes, and how often each was touched. */
function facts(scenario: Scenario): unknown {
  const nodes = list(scenario, '/api/v1/nodes').map(({ metadata, spec }) => ({
    name: metadata.name,
    cordoned: spec.unschedulable === true,
    labels: metadata.labels,
    pending: scenario.world.system(metadata.name).pending.length,
    rebooted: scenario.world.sim.node(metadata.name).bootId() !== firstBoots.get(metadata.name),
  }));
  const jobs = list(scenario, '/apis/batch/v1/namespaces/os-patch/jobs').map(
    ({ metadata }) => `${metadata.labels?.['oakum.dev/node-uid']} ${metadata.labels?.['oakum.dev/step']}`,
  );
  const [run] = Object.values(scenario.last?.plan.ledger.runs ?? {});
  return { ends: scenario.ends(), run: [run?.state, run?.message], nodes, jobs: jobs.sort() };
}

async function live(scenario: Scenario): Promise<void> {
  await scenario.run(2 * hour, (result) => {
    const [run] = Object.values(result.plan.ledger.runs);
    return run?.endedAt !== undefined && result.plan.actions.length === 0;
  });
}

describe('a controller that is killed', () => {
  it.each([
    { order: 'in order', every: 1 },
    { order: 'in any order', every: 5 },
  ])(
    'comes to the same end wherever that is, with answers $order',
    async ({ every }) => {
      const undisturbed = story(every - 1);
      let effects = 0;
      undisturbed.onEffect = () => void effects++;
      await live(undisturbed);
      const wanted = facts(undisturbed);
      expect(undisturbed.ends()).toEqual(['a-reboots: Patched/Patched', 'b-plain: Patched/Patched']);
      for (let at = 1; at <= effects; at += every) {
        const scenario = story(every === 1 ? 0 : at);
        let seen = 0;
        let dead = false;
        scenario.onEffect = () => {
          if (dead || ++seen === at) {
            dead = true;
            throw new Killed();
          }
        };
        const restart = scenario.restart.bind(scenario);
        scenario.restart = () => {
          dead = false;
          restart();
        };
        await live(scenario);
        expect(facts(scenario), `killed at effect ${at} of ${effects}`).toEqual(wanted);
      }
    },
    120_000,
  );
});
