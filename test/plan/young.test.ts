// Minimum age: nothing is installed before it has been known in the cluster for `updates.minAge`.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const start = Date.UTC(2026, 5, 1, 12);

function world(given: Parameters<typeof aPolicy>[0] = {}, scansAtOnce = 2): TinyWorld {
  const policy = aPolicy({ scan: { everyMs: day }, ...given, updates: { minAgeMs: 3 * day, ...given.updates } });
  const made = new TinyWorld(start, aCluster({ policy }));
  made.settings = someSettings({ ceilings: { nodesPerHour: undefined, scansAtOnce } });
  return made;
}

const installed = (made: TinyWorld, node: string): string[] =>
  made.cluster.machine(node).installed.map(({ name, version }) => `${name} ${version}`);

describe('updates.minAge', () => {
  it('leaves out what was not seen long enough ago, and takes what was', async () => {
    const made = world();
    made.cluster.addNode('a', { behaviour: { updates: { openssl: '3.0.2' } } });
    await made.run(4 * day);
    made.cluster.machine('a').behaviour.updates = { openssl: '3.0.2', bash: '5.2' };
    made.change({ requests: [aRequest('now')] });
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Patched/Patched']);
    expect(installed(made, 'a')).toEqual(['openssl 3.0.2']);
    // What stays is pending, and said.
    expect(made.ledger?.history['a']?.pending?.count).toBe(1);
  });

  it('looks at a node first that nobody has looked at, and installs nothing that was first seen then', async () => {
    const made = world({}, 0);
    made.cluster.addNode('a', { behaviour: { updates: { openssl: '3.0.2' } } });
    made.change({ requests: [aRequest('now')] });
    await made.run(2 * hour);
    expect(made.cluster.jobsOf('scan')).toHaveLength(1);
    expect(made.ends()).toEqual(['a: Skipped/UpToDate']);
    expect(made.theRun().nodes['a']?.message).toMatch(
      /1 pending update stays \(openssl: younger than updates\.minAge\)/,
    );
    // The look was the first sight.
    made.now += 3 * day;
    made.change({ requests: [aRequest('again')] });
    await made.run(2 * hour);
    expect(installed(made, 'a')).toEqual(['openssl 3.0.2']);
  });

  it('counts a new version from its own first sight, also one that comes in between the look and the download', async () => {
    const made = world();
    made.cluster.addNode('a', { behaviour: { updates: { openssl: '3.0.2', bash: '5.2' } } });
    await made.run(4 * day);
    made.change({ requests: [aRequest('now')] });
    await made.run(hour, () => made.theRun().nodes['a']?.young !== undefined);
    made.cluster.machine('a').behaviour.updates = { openssl: '3.0.3', bash: '5.2' };
    await made.run(2 * hour);
    expect(installed(made, 'a')).toEqual(['bash 5.2']);
  });

  it('takes the age from the cluster: a node that joins gets what the others have known for long', async () => {
    const made = world();
    made.cluster.addNode('a', { behaviour: { updates: { openssl: '3.0.2' } } });
    await made.run(4 * day);
    made.cluster.addNode('b', { behaviour: { updates: { openssl: '3.0.2' } } });
    made.change({ requests: [aRequest('now', { nodes: ['b'] })] });
    await made.run(2 * hour);
    expect(installed(made, 'b')).toEqual(['openssl 3.0.2']);
  });

  it('refuses where the list of updates is not known', async () => {
    const made = world();
    made.cluster.addNode('a', { behaviour: { pending: 300 } });
    made.change({ requests: [aRequest('now')] });
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Failed/PackageListUnknown']);
    expect(made.cluster.jobsOf('patch')).toEqual([]);
  });

  it('never asks for anything younger, whatever comes into the repositories and whenever a run begins', async () => {
    const minAge = fc.constantFrom(hour, day, 3 * day);
    const version = fc.integer({ min: 1, max: 4 });
    const names = ['openssl', 'bash', 'linux-image', 'curl'];
    const news = fc.record({
      afterMs: fc.constantFrom(3_000, 8_000, 20_000, 10 * minute, 5 * hour, 1.5 * day),
      what: fc.constantFrom('update' as const, 'update' as const, 'run' as const, 'restart' as const),
      name: fc.constantFrom(...names),
      version,
      nodes: fc.subarray(['a', 'b'], { minLength: 1 }),
    });
    await fc.assert(
      fc.asyncProperty(
        minAge,
        fc.integer({ min: 0, max: 2 }),
        fc.array(news, { minLength: 4, maxLength: 25 }),
        async (minAgeMs, scans, story) => {
          const made = world({ updates: { minAgeMs }, rollout: { maxFailures: 99 } }, scans);
          // The witness: when each version first lay in any repository that a node reads.
          const born = new Map<string, number>();
          for (const name of ['a', 'b']) made.cluster.addNode(name, { behaviour: { updates: {} } });
          for (const [index, event] of story.entries()) {
            await made.run(event.afterMs);
            if (event.what === 'restart') made.restart();
            if (event.what === 'run') made.change({ requests: [aRequest(`r${index}`)] });
            if (event.what !== 'update') continue;
            for (const node of event.nodes) {
              const { behaviour } = made.cluster.machine(node);
              behaviour.updates = { ...behaviour.updates, [event.name]: `1.${event.version}` };
              const key = `${event.name} 1.${event.version}`;
              born.set(key, Math.min(born.get(key) ?? Infinity, made.now));
            }
          }
          await made.run(2 * hour);
          for (const node of ['a', 'b'])
            for (const { name, version: got, at } of made.cluster.machine(node).installed)
              expect(at - (born.get(`${name} ${got}`) ?? Infinity)).toBeGreaterThanOrEqual(minAgeMs);
        },
      ),
      { seed: 20261121, numRuns: 60 },
    );
  }, 120_000);
});
