import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describe as show, validateFolder } from '../reconciler/cli/validate.ts';
import { aRollout, FleetWorld } from './support/fleet-world.ts';

const folder = fileURLToPath(new URL('../examples/', import.meta.url));

test('the schemas that files of examples name for editors are there', () => {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.yaml'));
  const named = files.flatMap((path) => {
    const [, schema] = /^# yaml-language-server: \$schema=(.+)\n/.exec(readFileSync(join(folder, path), 'utf8')) ?? [];
    return schema === undefined ? [] : [join(folder, dirname(path), schema)];
  });
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((schema) => !existsSync(schema))).toEqual([]);
});

test.each(readdirSync(folder))('the example %s is valid and says what to do', (name) => {
  const validation = validateFolder(`${folder}${name}`);
  expect(show(validation)).toMatch(/^No problems; /);
  expect(validation.desired.clusters.size).toBeGreaterThan(0);
  for (const cluster of validation.desired.clusters.values()) expect(cluster.policy?.schedule).toBeDefined();
});

test.each(readdirSync(folder))(
  'the example %s is planned: every node knows why it waits and when it is due',
  async (name) => {
    const { desired } = validateFolder(`${folder}${name}`);
    const begin = Date.UTC(2026, 10, 21, 12);
    // One clock for all: clusters of a rollout wait for each other.
    const fleet = new FleetWorld(begin, aRollout([]));
    for (const [key, cluster] of desired.clusters) {
      const world = fleet.add(key, cluster);
      for (const [index, zone] of ['a', 'b', 'c'].entries()) world.cluster.addNode(`worker-${index + 1}`, { zone });
      const plan = await world.pass();
      expect(
        plan.holds.filter((hold) => hold.reason === 'UnsupportedFeature' || hold.reason === 'ApprovalUnverifiable'),
      ).toEqual([]);
      expect(plan.nodes.map((node) => node.node)).toEqual([`${key}-worker-1`, 'worker-1', 'worker-2', 'worker-3']);
      expect(plan.upcoming.length).toBeGreaterThan(0);
      const handled = cluster.requests.map((request) => world.ledger?.requests[request.name]?.state);
      expect(handled).not.toContain(undefined);
    }
    await fleet.run(40 * 86_400_000);
    for (const key of desired.clusters.keys())
      expect(
        fleet
          .world(key)
          .runs()
          .map((run) => run.state),
      ).toContain('Succeeded');
  },
);
