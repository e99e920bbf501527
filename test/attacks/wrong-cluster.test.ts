// Attack: the connection of one cluster leads to another one, by a mixed-up kubeconfig or by a commit; nothing may happen there.
import { describe, expect, it } from 'vitest';
import { acceptedRules } from '../../reconciler/model/accepted-rules.ts';
import { planCluster, emptyLedger } from '../../reconciler/plan/plan.ts';
import { loosens } from '../../reconciler/plan/loosening.ts';
import type { PlanInput } from '../../reconciler/plan/input.ts';
import { desire, object, policy as policyFile } from '../desired/snapshot.ts';
import { aCluster, aFleet, someSettings } from '../support/policies.ts';
import { cluster, hour, minute, plain, policy, request } from '../support/tale.ts';
import type { Scenario } from '../support/scenario.ts';

const mine = '11111111-1111-4111-8111-111111111111';
const theirs = '22222222-2222-4222-8222-222222222222';

const pin = (uid: string, name = 'prod'): Record<string, string> => ({
  [`clusters/${name}/cluster.yaml`]: object('Cluster', name, `spec: { uid: ${uid} }\n`),
});

function list(
  scenario: Scenario,
  path: string,
): { readonly metadata: { readonly name: string; readonly uid: string } }[] {
  const answer = scenario.world.sim.handle({ method: 'GET', path, headers: {} });
  return (answer as unknown as { body: { items: { metadata: { name: string; uid: string } }[] } }).body.items;
}

describe('a cluster that is another one than its folder says', () => {
  it('gets no Job, no mark and not even a ledger, until the pin is corrected', async () => {
    const scenario = cluster();
    scenario.commit({ ...policy(plain), ...request('now'), ...pin(theirs) });
    await scenario.run(10 * minute);
    expect(scenario.last?.plan.holds[0]).toMatchObject({ reason: 'WrongCluster' });
    expect(scenario.last?.plan.nodes.every(({ reason }) => reason === 'WrongCluster')).toBe(true);
    expect(list(scenario, '/apis/batch/v1/namespaces/os-patch/jobs')).toEqual([]);
    const kept = list(scenario, '/api/v1/namespaces/oakum-system/configmaps').map(({ metadata }) => metadata.name);
    expect(kept).toEqual(['kube-root-ca.crt']);
    expect(JSON.stringify(list(scenario, '/api/v1/nodes'))).not.toContain('oakum.dev/');
    const uid =
      list(scenario, '/api/v1/namespaces').find(({ metadata }) => metadata.name === 'kube-system')?.metadata.uid ?? '';
    scenario.commit(pin(uid));
    await scenario.run(hour);
    expect(scenario.ends()).toEqual([
      'worker-1: Patched/Patched',
      'worker-2: Patched/Patched',
      'worker-3: Patched/Patched',
    ]);
  });

  const input = (given: Partial<PlanInput> = {}): PlanInput => ({
    now: 1,
    commit: 'c',
    committedAt: 0,
    fleet: aFleet,
    desired: aCluster(),
    sourceHold: undefined,
    observed: {
      clusterUid: mine,
      nodes: [],
      jobs: [],
      pods: new Map(),
      budgets: [],
      freeze: undefined,
      clockSkewMs: 0,
      evictions: new Map(),
      refusals: new Map(),
    },
    ledger: emptyLedger({ observed: { clusterUid: mine }, now: 0 }),
    settings: someSettings(),
    ...given,
  });
  const pinned = (uid: string): Partial<PlanInput> => ({
    desired: aCluster({ settings: { ...aCluster().settings, uid } }),
  });

  it('is known by the name that its ledger was begun under, also without a pin', () => {
    const first = planCluster(input());
    expect(first.ledger.cluster).toBe('prod');
    expect(first.holds.map(({ reason }) => reason)).not.toContain('WrongCluster');
    const other = planCluster(input({ ledger: first.ledger, desired: aCluster({ name: 'staging' }) }));
    expect(other.holds[0]).toMatchObject({
      reason: 'WrongCluster',
      message: `the ledger of this cluster (${mine}) was begun for "prod", not for "staging"`,
    });
    expect(other.ledger).toBe(first.ledger);
    expect(other.actions).toEqual([]);
  });

  it('takes another name only when the folder names its UID', () => {
    const ledger = { ...emptyLedger({ observed: { clusterUid: mine }, now: 0 }), cluster: 'old-name' };
    expect(planCluster(input({ ledger })).holds[0]?.reason).toBe('WrongCluster');
    expect(planCluster(input({ ledger, ...pinned(theirs) })).holds[0]?.reason).toBe('WrongCluster');
    const renamed = planCluster(input({ ledger, ...pinned(mine) }));
    expect(renamed.holds.map(({ reason }) => reason)).not.toContain('WrongCluster');
    expect(renamed.ledger.cluster).toBe('prod');
  });

  it('is not let go by a commit that nobody agreed to', () => {
    const rules = (uid?: string): ReturnType<typeof acceptedRules> =>
      acceptedRules(aCluster({ settings: { ...aCluster().settings, uid } }), aFleet);
    const [free, bound, elsewhere] = [rules(), rules(mine), rules(theirs)];
    if (!free || !bound || !elsewhere) throw new Error('a cluster with a policy has rules');
    const sentence = 'the UID that the cluster is pinned to changes';
    expect(loosens(bound, free)).toEqual([sentence]);
    expect(loosens(bound, elsewhere)).toEqual([sentence]);
    expect(loosens(free, bound)).toEqual([]);
  });

  it('has one folder: two that name the same UID both hold', () => {
    const { clusters, problems } = desire({
      'clusters/prod/policy.yaml': policyFile('prod', 'spec: {}\n'),
      ...pin(mine),
      'clusters/copy/policy.yaml': policyFile('copy', 'spec: {}\n'),
      ...pin(mine, 'copy'),
      ...pin(theirs, 'dev'),
    });
    expect(clusters.get('prod')?.problems).toMatchObject([
      {
        file: 'clusters/prod/cluster.yaml',
        path: 'spec.uid',
        message: 'copy has the same uid; a cluster has one folder',
      },
    ]);
    expect(clusters.get('copy')?.problems).toHaveLength(1);
    expect(clusters.get('dev')?.problems).toEqual([]);
    expect(problems).toHaveLength(2);
  });
});
