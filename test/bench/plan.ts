// What thinking costs: a changed file among many clusters, a pass over many nodes, each with the bare minimum beside it.
import { readSchemas } from '../../reconciler/adapters/assets.ts';
import { createDesire } from '../../reconciler/desired/desired.ts';
import type { NodeView } from '../../reconciler/model/observed.ts';
import type { PlanInput } from '../../reconciler/plan/input.ts';
import { planCluster } from '../../reconciler/plan/plan.ts';
import type { ConfigFile } from '../../reconciler/ports.ts';
import { parse } from 'yaml';
import { aCluster, aFleet, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { Scenario } from '../support/scenario.ts';
import { TinyWorld } from '../support/tiny-world.ts';
import type { GitBenchmark } from './git.ts';

/** Median of some rounds in milliseconds. */
async function median(rounds: number, work: (round: number) => unknown): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    await work(round);
    times.push(performance.now() - start);
  }
  times.sort((left, right) => left - right);
  return times[Math.floor(times.length / 2)] ?? 0;
}

function line(name: string, ours: number, baseline: number, note: string): GitBenchmark {
  const rounded = (value: number): number => Math.round(value * 100) / 100;
  return { name, ours_ms: rounded(ours), baseline_ms: rounded(baseline), ratio: rounded(ours / baseline), note };
}

const policyText = (name: string, round: number): string =>
  `apiVersion: oakum.dev/v1alpha1\nkind: PatchPolicy\nmetadata: { name: ${name} }\nspec: { schedule: { preset: weekly }, rollout: { concurrency: ${1 + (round % 5)} } }\n`;

async function benchDesire(clusters: number): Promise<GitBenchmark> {
  const desire = createDesire(readSchemas());
  const files = new Map<string, ConfigFile>();
  const put = (index: number, round: number): string => {
    const name = `c${String(index).padStart(4, '0')}`;
    const path = `clusters/${name}/policy.yaml`;
    files.set(path, { path, oid: `${index}-${round}`, kind: 'file', text: policyText(name, round) });
    return path;
  };
  for (let index = 0; index < clusters; index++) put(index, 0);
  desire({ commit: 'first', committedAt: 0, files, changed: undefined });
  const ours = await median(15, (round) => {
    const changed = [put(7, round + 1)];
    const desired = desire({ commit: `c${round}`, committedAt: round, files, changed });
    if (desired.clusters.size !== clusters || desired.problems.length > 0)
      throw new Error('every cluster was to be valid');
  });
  const bare = await median(15, (round) => parse(policyText('c0007', round)) as unknown);
  return line(
    `config: one changed file among ${clusters} clusters`,
    ours,
    bare,
    'bare minimum: parse that file as YAML',
  );
}

/** A cluster of many nodes, idle or with a run in the middle. */
async function crowd(nodes: number, underWay: boolean): Promise<PlanInput> {
  const policy = aPolicy({
    schedule: {
      schedule: { kind: 'weekly', at: '00:00', timeZone: 'Europe/Berlin' },
      startingDeadlineMs: 3_600_000,
      validForMs: undefined,
    },
    rollout: { concurrency: { kind: 'percent', value: 5 }, topologyKey: 'topology.kubernetes.io/zone' },
  });
  const world = new TinyWorld(undefined, aCluster({ policy, requests: underWay ? [aRequest('now')] : [] }));
  for (let index = 0; index < nodes; index++) world.cluster.addNode(`node-${index}`, { zone: 'abc'[index % 3] ?? 'a' });
  await world.run(underWay ? 10_000 : 1_000);
  const raw = await world.cluster.observe({ podsOn: [], budgets: false });
  return {
    now: world.now,
    commit: world.commit,
    committedAt: world.committedAt,
    fleet: aFleet,
    desired: world.desired,
    sourceHold: undefined,
    observed: { ...raw, clusterUid: 'cluster-uid', evictions: new Map(), refusals: new Map() },
    ledger: world.ledger,
    settings: someSettings(),
  };
}

async function benchPlan(underWay: boolean): Promise<GitBenchmark> {
  const inputs: PlanInput[] = [];
  for (let count = 0; count < 10; count++) inputs.push(await crowd(1_000, underWay));
  const texts = inputs.map((input) => JSON.stringify(input.observed.nodes));
  const ours = await median(9, () => inputs.map((input) => planCluster(input)));
  const bare = await median(9, () => texts.map((text) => JSON.parse(text) as readonly NodeView[]));
  return line(
    `planning 10 x 1,000 nodes, ${underWay ? 'a run under way' : 'idle'}`,
    ours,
    bare,
    'bare minimum: JSON.parse of the same node views',
  );
}

/** Four times the nodes should take four times as long. */
async function benchGrowth(): Promise<GitBenchmark> {
  const small = await crowd(1_000, true);
  const large = await crowd(4_000, true);
  const ours = await median(9, () => planCluster(large));
  const bare = await median(9, () => planCluster(small));
  return line('planning 4,000 nodes against 1,000, a run under way', ours, bare, 'a ratio of 4 is linear');
}

async function benchPass(): Promise<GitBenchmark> {
  const scenario = new Scenario();
  for (let index = 0; index < 1_000; index++)
    scenario.world.add({ name: `node-${index}`, zone: 'abc'[index % 3] ?? 'a' });
  scenario.commit({ 'clusters/prod/policy.yaml': policyText('prod', 0) });
  await scenario.pass();
  const ours = await median(5, () => scenario.pass());
  const bare = await median(5, () => {
    const answer = scenario.world.sim.handle({ method: 'GET', path: '/api/v1/nodes', headers: {} });
    return JSON.parse(JSON.stringify(answer)) as unknown;
  });
  return line(
    'one pass on the simulation of 1,000 nodes, idle',
    ours,
    bare,
    'bare minimum: list the nodes once as JSON',
  );
}

/** Measures everything; takes about half a minute. */
export async function benchPlanning(): Promise<GitBenchmark[]> {
  return [
    await benchDesire(500),
    await benchDesire(5_000),
    await benchPlan(false),
    await benchPlan(true),
    await benchGrowth(),
    await benchPass(),
  ];
}
