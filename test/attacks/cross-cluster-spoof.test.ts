// Attack: a policy in one cluster's folder is meant for another cluster, by its name, by a twin of its folder, or by what it extends.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { jobName, runHash } from '../../reconciler/model/digest.ts';
import { emptyLedger, planCluster } from '../../reconciler/plan/plan.ts';
import { desire, object, policy } from '../desired/snapshot.ts';
import { aCluster, aFleet, someSettings } from '../support/policies.ts';

const quiet = 'spec: { suspend: true }\n';
const loud = 'spec: { rollout: { concurrency: 100% } }\n';

describe('cross-cluster spoof', () => {
  it('a policy that names another cluster holds its own folder and changes nothing there', () => {
    const { clusters } = desire({
      'clusters/prod/policy.yaml': policy('prod', quiet),
      'clusters/dev/policy.yaml': policy('prod', loud),
    });
    expect(clusters.get('prod')).toMatchObject({ problems: [], policy: { name: 'prod', suspend: true } });
    expect(clusters.get('dev')?.policy).toBeUndefined();
    expect(clusters.get('dev')?.problems.length).toBeGreaterThan(0);
  });

  it.each(['Prod', 'PROD', 'prоd', 'prod ', 'prod\u200b', 'ｐrod', '..', '.', 'prod%2f', 'prod\\x'])(
    'the folder %j is not the cluster prod',
    (twin) => {
      const { clusters, problems } = desire({
        'clusters/prod/policy.yaml': policy('prod', quiet),
        [`clusters/${twin}/policy.yaml`]: policy('prod', loud),
      });
      expect(clusters.get('prod')).toMatchObject({ problems: [], policy: { suspend: true } });
      expect(problems.filter(({ file }) => file === `clusters/${twin}/policy.yaml`).length).toBeGreaterThan(0);
      expect(clusters.get(twin)?.policy).toBeUndefined();
    },
  );

  it('whatever the tree, a cluster has the policy of its own folder or none', () => {
    const name = fc.constantFrom('prod', 'dev', 'test', 'Prod', 'prod-', 'a/b', '');
    const file = fc.constantFrom('policy.yaml', 'cluster.yaml', 'requests/now.yaml', 'policy.yml', 'FREEZE');
    const entry = fc.record({
      folder: name,
      file,
      name,
      kind: fc.constantFrom('PatchPolicy', 'PatchRequest', 'Cluster'),
    });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 6 }), (entries) => {
        const files: Record<string, string> = { 'clusters/prod/policy.yaml': policy('prod', quiet) };
        for (const one of entries) {
          const path = `clusters/${one.folder}/${one.file}`;
          if (path !== 'clusters/prod/policy.yaml') files[path] = object(one.kind, one.name);
        }
        for (const [cluster, found] of desire(files).clusters) {
          if (found.policy === undefined) continue;
          expect(found.policy.name).toBe(cluster);
          expect(files[`clusters/${cluster}/policy.yaml`]).toContain(`name: ${cluster}\n`);
        }
        const prod = desire(files).clusters.get('prod');
        expect(prod?.policy === undefined || prod.policy.suspend).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('a ledger of another cluster is never worked by', () => {
    const observed = { clusterUid: 'mine', nodes: [], jobs: [], pods: new Map(), budgets: [], freeze: undefined };
    const answers = { clockSkewMs: 0, evictions: new Map(), refusals: new Map() };
    const plan = planCluster({
      now: 1,
      commit: 'c',
      committedAt: 0,
      fleet: aFleet,
      desired: aCluster(),
      sourceHold: undefined,
      observed: { ...observed, ...answers },
      ledger: emptyLedger({ observed: { clusterUid: 'theirs' }, now: 0 }),
      settings: someSettings(),
    });
    expect(plan.holds[0]?.reason).toBe('LedgerLost');
    expect(plan.actions).toEqual([]);
  });

  it('two clusters never share a run label or the name of a Job', () => {
    expect(runHash('uid-a', '20261206-000000-schedule')).not.toBe(runHash('uid-b', '20261206-000000-schedule'));
    expect(jobName('patch', 'node-a', 'r', 1)).not.toBe(jobName('patch', 'node-b', 'r', 1));
  });
});
