// Rollouts in the config repository: which clusters a wave takes, whom a fault holds, and what is said about it.
import { describe, expect, test } from 'vitest';
import { rolloutWithSchedule } from '../../reconciler/model/rollout.ts';
import { desire, object, places, policy, type Files } from './snapshot.ts';

function cluster(name: string, labels: string, spec = 'spec: {}\n'): Files {
  return {
    [`clusters/${name}/cluster.yaml`]: object('Cluster', name, `spec: { labels: ${labels} }\n`),
    [`clusters/${name}/policy.yaml`]: policy(name, spec),
  };
}

const clusters: Files = {
  ...cluster('dev', '{ env: dev }', 'spec: { schedule: { preset: weekly } }\n'),
  ...cluster('stage', '{ env: stage }'),
  ...cluster('prod-a', '{ env: prod, region: eu }'),
  ...cluster('prod-b', '{ env: prod }'),
  ...cluster('lab', '{ env: lab }'),
  'clusters/home/policy.yaml': policy('home'),
};

function rollout(name: string, spec: string): Files {
  return { [`rollouts/${name}.yaml`]: object('Rollout', name, `spec:\n${spec}`) };
}

const usual = `  schedule: { preset: monthly }
  waves:
    - { name: dev, selector: env=dev, soak: 1d }
    - { name: stage, clusters: [stage] }
    - { name: prod, selector: "env in (prod)", concurrency: 1 }
`;

describe('a rollout', () => {
  const desired = desire({ ...clusters, ...rollout('monthly', usual) });

  test('takes clusters by labels and by name, in the order of their names', () => {
    expect(places(desired)).toEqual([]);
    expect(desired.rollouts?.map(({ name }) => name)).toEqual(['monthly']);
    expect(desired.rollouts?.[0]?.waves.map(({ name, clusters: taken, soakMs }) => [name, taken, soakMs])).toEqual([
      ['dev', ['dev'], 86_400_000],
      ['stage', ['stage'], 0],
      ['prod', ['prod-a', 'prod-b'], 0],
    ]);
  });

  test('is told to the clusters that it takes, and to no other', () => {
    const taken = [...desired.clusters.values()].filter(({ rollouts }) => rollouts !== undefined);
    expect(taken.map(({ name }) => name)).toEqual(['dev', 'prod-a', 'prod-b', 'stage']);
    expect(rolloutWithSchedule(desired.clusters.get('dev'))?.name).toBe('monthly');
    expect(rolloutWithSchedule(desired.clusters.get('home'))).toBeUndefined();
  });

  test('never takes a cluster without labels by a selector that everything matches', () => {
    const all = desire({ ...clusters, ...rollout('all', '  waves: [{ name: all, selector: "env!=dev" }]\n') });
    expect(all.rollouts?.[0]?.waves[0]?.clusters).toEqual(['lab', 'prod-a', 'prod-b', 'stage']);
  });

  test('does not know where a cluster belongs whose cluster.yaml is broken', () => {
    const broken = { ...clusters, ...cluster('dev', '{ env: dev }'), 'clusters/lab/cluster.yaml': 'kind: [' };
    const unclear = desire({ ...broken, ...rollout('monthly', usual) });
    expect(unclear.rollouts?.[0]?.unclear).toEqual(['lab']);
    const named = desire({ ...broken, ...rollout('monthly', '  waves: [{ name: one, clusters: [dev] }]\n') });
    expect(named.rollouts?.[0]?.unclear).toEqual([]);
  });

  test('that comes and goes changes the clusters that it takes, and no other', () => {
    const before = desire(clusters);
    expect(before.rollouts).toEqual([]);
    expect(before.clusters.get('dev')).not.toHaveProperty('rollouts');
    // Beside what it would need to tell whether a rollout that took it along lets it go.
    const { fleetFiles, ...lab } = desired.clusters.get('lab') ?? {};
    expect(Object.keys(fleetFiles ?? {})).toContain('rollouts/monthly.yaml');
    expect(lab).toEqual(before.clusters.get('lab'));
  });
});

const rows: readonly {
  readonly name: string;
  readonly files: Files;
  readonly wanted: readonly string[];
  readonly holds: readonly string[];
  readonly says?: RegExp;
}[] = [
  {
    name: 'a file that is no rollout holds every cluster that could be in a wave',
    files: { 'rollouts/monthly.yaml': object('Rollout', 'monthly', 'spec: { waves: [{ nam: dev }] }\n') },
    wanted: [
      'rollouts/monthly.yaml:5:17 spec.waves[0].name missing-field',
      'rollouts/monthly.yaml:5:19 spec.waves[0].nam unknown-field',
    ],
    holds: ['dev', 'lab', 'prod-a', 'prod-b', 'stage'],
  },
  {
    name: 'a wave that takes nobody',
    files: rollout('monthly', '  waves: [{ name: dev, selector: env=def }, { name: prod, selector: env=prod }]\n'),
    wanted: ['rollouts/monthly.yaml:6:34 spec.waves[0].selector wave'],
    holds: ['prod-a', 'prod-b'],
    says: /no cluster has these labels .* the waves after "dev" would go without it/,
  },
  {
    name: 'a cluster in two waves',
    files: rollout('monthly', '  waves: [{ name: eu, selector: region=eu }, { name: prod, selector: env=prod }]\n'),
    wanted: ['rollouts/monthly.yaml:6:70 spec.waves[1].selector wave'],
    holds: ['prod-a', 'prod-b'],
    says: /cluster prod-a is in wave "eu" already/,
  },
  {
    name: 'a cluster in two rollouts with schedules',
    files: {
      ...rollout('one', '  schedule: { preset: monthly }\n  waves: [{ name: dev, clusters: [dev] }]\n'),
      ...rollout('two', '  schedule: { preset: weekly }\n  waves: [{ name: dev, clusters: [dev] }]\n'),
    },
    wanted: ['rollouts/two.yaml:6:3 spec.schedule wave'],
    holds: ['dev'],
    says: /cluster dev is in rollout one, which has a schedule too/,
  },
  {
    name: 'a cluster with a schedule and a rollout that is started by hand',
    files: {
      ...rollout('one', '  schedule: { preset: monthly }\n  waves: [{ name: dev, clusters: [dev] }]\n'),
      ...rollout('two', '  start: 2026-12-06T22:00:00Z\n  waves: [{ name: dev, clusters: [dev] }]\n'),
    },
    wanted: [],
    holds: [],
  },
  {
    name: 'names that nobody has',
    files: rollout(
      'monthly',
      '  waves: [{ name: prod, clusters: [prod-a, prod-c, home] }]\n  approved: [{ run: 20261206-220000-monthly, wave: pord }]\n',
    ),
    wanted: ['rollouts/monthly.yaml:7:52 spec.approved[0].wave wave'],
    holds: ['dev', 'lab', 'prod-a', 'prod-b', 'stage'],
    says: /did you mean "prod"/,
  },
  {
    name: 'clusters that have no cluster.yaml',
    files: rollout(
      'monthly',
      '  waves: [{ name: prod, clusters: [prod-a, prod-c, home] }]\n  skip: [{ run: 20261206-220000-monthly, cluster: prod-b }]\n',
    ),
    wanted: [
      'rollouts/monthly.yaml:6:44 spec.waves[0].clusters[1] wave',
      'rollouts/monthly.yaml:6:52 spec.waves[0].clusters[2] wave',
      'rollouts/monthly.yaml:7:51 spec.skip[0].cluster wave',
    ],
    holds: ['home', 'prod-a'],
  },
  {
    name: 'soaks that add up to more than there is',
    files: rollout(
      'weekly',
      '  schedule: { preset: weekly }\n  waves: [{ name: a, clusters: [dev], soak: 4d }, { name: b, clusters: [stage], soak: 3d }, { name: c, clusters: [lab] }]\n',
    ),
    wanted: ['rollouts/weekly.yaml:7:10 spec.waves wave'],
    holds: ['dev', 'lab', 'prod-a', 'prod-b', 'stage'],
    says: /add up to 7d, and the time between two starts is 7d: the last wave would never begin/,
  },
  {
    name: 'a selector and names, neither, the same name twice, a taken name, no such time',
    files: rollout(
      'schedule',
      '  start: 2026-02-30T22:00:00Z\n  waves: [{ name: a, clusters: [dev], selector: env=dev }, { name: b }, { name: b, clusters: [lab] }]\n',
    ),
    wanted: [
      'rollouts/schedule.yaml:4:9 metadata.name name',
      'rollouts/schedule.yaml:6:10 spec.start date',
      'rollouts/schedule.yaml:7:11 spec.waves[0] wave',
      'rollouts/schedule.yaml:7:60 spec.waves[1] wave',
      'rollouts/schedule.yaml:7:81 spec.waves[2].name wave',
    ],
    holds: ['dev', 'lab', 'prod-a', 'prod-b', 'stage'],
  },
  {
    name: 'a path that is nearly one',
    files: {
      'rollout/monthly.yaml': '',
      'rollouts/monthly.yml': '',
      'rollouts/a/b.yaml': '',
      'rollouts/README.md': '',
    },
    wanted: [
      'rollout/monthly.yaml:1:1  not-read',
      'rollouts/a/b.yaml:1:1  not-read',
      'rollouts/monthly.yml:1:1  not-read',
    ],
    holds: ['dev', 'lab', 'prod-a', 'prod-b', 'stage'],
  },
];

describe('problems of rollouts', () => {
  test.each(rows)('$name', ({ files, wanted, holds, says }) => {
    const desired = desire({ ...clusters, ...files });
    expect(places(desired)).toEqual(wanted);
    const held = [...desired.clusters.values()].filter(({ problems }) => problems.length > 0);
    expect(held.map(({ name }) => name)).toEqual(holds);
    if (says) expect(desired.problems.map(({ message }) => message).join('\n')).toMatch(says);
  });
});
