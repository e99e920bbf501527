// An agent reads a part of the repository: it must understand its cluster as a hub does, which reads everything.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isWanted } from '../../reconciler/adapters/git-diff.ts';
import { pathsOf } from '../../reconciler/desired/layout.ts';
import { desire, object, policy, type Files } from './snapshot.ts';

const root = new URL('../../examples/fleet', import.meta.url).pathname;
const example: Files = Object.fromEntries(
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path.slice(root.length + 1), readFileSync(path, 'utf8')]),
);

function cluster(name: string, spec = `spec: { labels: { env: ${name} } }\n`): Files {
  return {
    [`clusters/${name}/cluster.yaml`]: object('Cluster', name, spec),
    [`clusters/${name}/policy.yaml`]: policy(name, 'spec: { extends: base, schedule: { preset: weekly } }\n'),
  };
}

function rollout(name: string, ...waves: readonly string[]): Files {
  return {
    [`rollouts/${name}.yaml`]: object(
      'Rollout',
      name,
      `spec: { schedule: { preset: monthly }, waves: [${waves.join(', ')}] }\n`,
    ),
  };
}

const small: Files = {
  'policies/base.yaml': policy('base'),
  ...cluster('dev'),
  ...cluster('prod'),
  'clusters/home/policy.yaml': policy('home'),
  ...rollout('all', '{ name: dev, selector: env=dev, soak: 1d }', '{ name: prod, selector: env=prod }'),
};

const uid = '6f1f2d0e-6a3c-4a53-9c0b-0d3f3a0d8b11';

test.each<readonly [string, Files]>([
  ['the example of a fleet', example],
  ['two waves', small],
  ['waves by name', { ...small, ...rollout('all', '{ name: a, clusters: [dev] }', '{ name: b, clusters: [prod] }') }],
  ['a cluster in a wave that has no cluster.yaml', { ...small, ...rollout('all', '{ name: a, clusters: [home] }') }],
  ['two rollouts for one cluster', { ...small, ...rollout('more', '{ name: a, clusters: [prod] }') }],
  ['a rollout that cannot be read', { ...small, 'rollouts/all.yaml': 'kind: [' }],
  ['labels that cannot be read', { ...small, 'clusters/dev/cluster.yaml': 'kind: [' }],
  [
    'one uid in two clusters',
    { ...small, ...cluster('dev', `spec: { uid: ${uid} }\n`), ...cluster('prod', `spec: { uid: ${uid} }\n`) },
  ],
  [
    'a freeze of all, keys and owners',
    { ...small, FREEZE: '', 'signers/allowed_signers': 'a', '.github/CODEOWNERS': '* @ann' },
  ],
  ['a shared policy with a fault', { ...small, 'policies/base.yaml': policy('base', 'spec: { schedul: {} }\n') }],
  ['settings of the fleet with a fault', { ...small, 'oakum.yaml': 'kind: [' }],
])('%s: each cluster is the same to its agent and to a hub', (_, files) => {
  const hub = desire(files);
  expect(hub.clusters.size).toBeGreaterThan(1);
  for (const [name, asHub] of hub.clusters) {
    const part = Object.fromEntries(Object.entries(files).filter(([path]) => isWanted(path, pathsOf(name))));
    const agent = desire(part);
    expect(agent.clusters.get(name), name).toEqual(asHub);
    expect({ ...agent, clusters: 0, problems: 0 }).toEqual({ ...hub, clusters: 0, problems: 0 });
  }
});

test('an agent reads nothing else of other clusters', () => {
  const others = Object.keys({ ...small, 'clusters/prod/requests/now.yaml': '' }).filter(
    (path) => path.startsWith('clusters/prod/') && isWanted(path, pathsOf('dev')),
  );
  expect(others).toEqual(['clusters/prod/cluster.yaml']);
});
