// Golden transcripts: whole stories on the simulated API server in virtual time, with the invariants checked after every pass.
import { describe, expect, it } from 'vitest';
import { kernelUpdate, ordinaryUpdates } from '../../reconciler/cli/imitated-cluster.ts';
import { kuredRebootAnnotation, unpatchedTaint } from '../../reconciler/model/names.ts';
import { KubeVirt } from '../support/kubevirt.ts';
import { Scenario } from '../support/scenario.ts';

const minute = 60_000;
const hour = 60 * minute;

const policy = (spec: string): Record<string, string> => ({
  'clusters/prod/policy.yaml': `apiVersion: oakum.dev/v1alpha1\nkind: PatchPolicy\nmetadata: { name: prod }\nspec: ${spec}\n`,
});
const request = (name: string, spec = '{ reason: a story }'): Record<string, string> => ({
  [`clusters/prod/requests/${name}.yaml`]: `apiVersion: oakum.dev/v1alpha1\nkind: PatchRequest\nmetadata: { name: ${name} }\nspec: ${spec}\n`,
});
const plain = '{ rollout: { soak: 0s, canary: null } }';

function cluster(start?: number): Scenario {
  const scenario = new Scenario(start);
  for (const [number, zone] of ['a', 'b', 'c'].entries())
    scenario.world.add({ name: `worker-${number + 1}`, zone, rebootMs: 30_000, system: { jobMs: 5_000 } });
  scenario.world.system('worker-1').pending = [...ordinaryUpdates, kernelUpdate];
  return scenario;
}

/** The deployment allows two scans at one time. */
function withScans(scenario: Scenario): void {
  scenario.settings = { ...scenario.settings, ceilings: { ...scenario.settings.ceilings, scansAtOnce: 2 } };
  scenario.restart();
}

function tellNodes(scenario: Scenario): void {
  for (const { node, reason, message } of scenario.last?.plan.nodes ?? [])
    scenario.say(`— ${node} ${reason}: ${message}`);
}

interface Tale {
  readonly name: string;
  readonly tell: () => Promise<Scenario>;
}

const tales: readonly Tale[] = [
  {
    name: 'on demand, one node after another',
    tell: async () => {
      const scenario = cluster();
      scenario.world.system('worker-3').pending = [];
      scenario.world.sim.addDeployment({ name: 'web', replicas: 3, pdb: { maxUnavailable: 1 } });
      scenario.clock.advance(5_000);
      scenario.commit({ ...policy(plain), ...request('now') }, 'a policy and a request');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a weekly run that does not fit into its window goes on in the next one',
    tell: async () => {
      const scenario = cluster(Date.UTC(2026, 5, 6, 12));
      for (const name of ['worker-1', 'worker-2', 'worker-3']) scenario.world.system(name).jobMs = 4 * minute;
      scenario.commit(
        policy(
          '{ schedule: { preset: weekly, timeZone: UTC, validFor: 7d }, windows: [{ days: [Sun, Mon, Tue], start: "00:00", duration: 20m, timeZone: UTC }], rollout: { soak: 0s, canary: null } }',
        ),
        'a policy with a window of twenty minutes',
      );
      await scenario.run(72 * hour);
      return scenario;
    },
  },
  {
    name: 'a budget without room, then with',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.addDeployment({ name: 'web', replicas: 3, pdb: { minAvailable: 3 } });
      scenario.clock.advance(5_000);
      scenario.commit({ ...policy(plain), ...request('now', '{ reason: a story, nodes: [worker-1] }') });
      await scenario.run(3 * minute);
      scenario.say('— a person makes the budget looser');
      scenario.world.sim.handle({
        method: 'PATCH',
        path: '/apis/policy/v1/namespaces/default/poddisruptionbudgets/web',
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { spec: { minAvailable: 2 } },
      });
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a full disk pauses the run, a person goes on',
    tell: async () => {
      const scenario = cluster();
      scenario.world.system('worker-1').fault = {
        mode: 'download',
        code: 'DISK_FULL_VAR',
        message: '/var has 3 MiB free and 210 MiB are needed',
        exitCode: 40,
      };
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(30 * minute);
      scenario.world.system('worker-1').fault = undefined;
      scenario.commit(request('disk-is-free', '{ action: retry, reason: made room on worker-1 }'), 'a person retries');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a node that does not come back stops the run',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.node('worker-1').neverComesBack(true);
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'FREEZE in the middle',
    tell: async () => {
      const scenario = cluster();
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(hour, (result) => result.plan.nodes.some((node) => node.phase === 'Patching'));
      scenario.commit({ FREEZE: '' }, 'somebody stops everything');
      await scenario.run(hour);
      scenario.commit({ FREEZE: undefined }, 'and lets it go on');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a typo in the middle holds the rest, work under way ends by its own spec',
    tell: async () => {
      const scenario = cluster();
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(hour, (result) => result.plan.nodes.some((node) => node.phase === 'Patching'));
      scenario.commit(policy('{ rolout: { soak: 0s } }'), 'a typo');
      await scenario.run(hour);
      scenario.commit(policy(plain), 'corrected');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a node is cordoned by somebody else and one is deleted in the middle, another joins',
    tell: async () => {
      const scenario = cluster();
      const patchNode = (name: string, body: object): void =>
        void scenario.world.sim.handle({
          method: 'PATCH',
          path: `/api/v1/nodes/${name}`,
          headers: { 'content-type': 'application/merge-patch+json' },
          body,
        });
      patchNode('worker-2', { spec: { unschedulable: true } });
      scenario.say('— somebody cordons worker-2');
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(hour, (result) => result.plan.nodes.some((node) => node.phase === 'Patching'));
      scenario.world.sim.handle({ method: 'DELETE', path: '/api/v1/nodes/worker-1' });
      scenario.say('— worker-1 is deleted');
      scenario.world.add({ name: 'worker-4', zone: 'a', system: { jobMs: 5_000 } });
      scenario.say('— worker-4 joins');
      await scenario.run(2 * hour);
      const cordoned = (await scenario.pass()).observed.nodes
        .filter((node) => node.unschedulable)
        .map((node) => node.name);
      scenario.say(`— cordoned in the end: ${cordoned.join(', ') || 'none'}`);
      return scenario;
    },
  },
  {
    name: 'a gate on pods is closed until a batch has ended',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.addDeployment({ name: 'batch', replicas: 1 });
      scenario.clock.advance(5_000);
      scenario.commit({
        ...policy('{ gates: [{ podSelector: "app=batch" }], rollout: { soak: 0s, canary: null } }'),
        ...request('now'),
      });
      await scenario.run(hour);
      scenario.world.sim.handle({ method: 'DELETE', path: '/apis/apps/v1/namespaces/default/deployments/batch' });
      scenario.say('— the batch has ended');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'virtual machines move, one does not and is left in peace, and a volume is detached late',
    tell: async () => {
      const scenario = cluster();
      const { sim } = scenario.world;
      const kubevirt = new KubeVirt(sim, (ms, run) => void scenario.clock.after(ms, run));
      scenario.beside = kubevirt.answer;
      kubevirt.migrationMs = undefined;
      kubevirt.add('ledger-db', 'worker-1');
      sim.create('/api/v1/namespaces/default/pods', {
        metadata: { name: 'files-0' },
        spec: {
          nodeName: 'worker-1',
          containers: [{ name: 'c', image: 'files' }],
          volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data-files-0' } }],
        },
      });
      sim.create('/api/v1/persistentvolumes', {
        metadata: { name: 'pv-1' },
        spec: { claimRef: { namespace: 'default', name: 'data-files-0' } },
      });
      sim.create('/apis/storage.k8s.io/v1/volumeattachments', {
        metadata: { name: 'csi-1' },
        spec: { attacher: 'csi', nodeName: 'worker-1', source: { persistentVolumeName: 'pv-1' } },
      });
      scenario.clock.advance(5_000);
      const request1 = request('now', '{ reason: a story, nodes: [worker-1] }');
      scenario.commit({
        ...policy('{ drain: { timeout: 5m, force: true }, rollout: { soak: 0s, canary: null } }'),
        ...request1,
      });
      await scenario.run(8 * minute);
      scenario.say(`— evacuated now: ${kubevirt.machines.map((one) => one.evacuating ?? 'none').join(', ')}`);
      kubevirt.migrationMs = 40_000;
      scenario.say('— the cluster has room for the machine again');
      await scenario.run(7 * minute);
      sim.handle({ method: 'DELETE', path: '/apis/storage.k8s.io/v1/volumeattachments/csi-1' });
      scenario.say('— the volume is detached');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'hooks before and after each node, one is missing at first and a smoke test fails once',
    tell: async () => {
      const scenario = cluster();
      const { sim, programs } = scenario.world;
      sim.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'oakum-hooks' } });
      const hook = (name: string): void =>
        void sim.create('/apis/batch/v1/namespaces/oakum-hooks/cronjobs', {
          apiVersion: 'batch/v1',
          kind: 'CronJob',
          metadata: { name },
          spec: {
            schedule: '0 0 1 1 *',
            suspend: true,
            jobTemplate: {
              spec: {
                backoffLimit: 0,
                template: { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: `shop/${name}` }] } },
              },
            },
          },
        });
      hook('warm-cache');
      programs.set('shop/smoke-test', { durationMs: 4_000, exitCode: 1 });
      scenario.clock.advance(5_000);
      scenario.commit({
        ...policy('{ hooks: { before: [warm-cache], after: [smoke-test] }, rollout: { soak: 0s, canary: null } }'),
        ...request('now'),
      });
      await scenario.run(10 * minute);
      scenario.say('— an administrator puts the smoke test into the cluster');
      hook('smoke-test');
      await scenario.run(hour);
      programs.delete('shop/smoke-test');
      scenario.commit(request('mended', '{ action: retry, reason: the smoke test was wrong }'), 'a person retries');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a canary, its soak, then the rest; control plane last',
    tell: async () => {
      const scenario = cluster();
      scenario.world.add({ name: 'control-1', zone: 'a', controlPlane: true, system: { jobMs: 5_000 } });
      scenario.world.add({ name: 'control-2', zone: 'b', controlPlane: true, system: { jobMs: 5_000 } });
      scenario.commit({
        ...policy('{ rollout: { concurrency: 2, canary: { nodes: 1, soak: 10m }, soak: 0s } }'),
        ...request('now'),
      });
      await scenario.run(3 * hour);
      return scenario;
    },
  },
  {
    name: 'two nodes join in the middle of a run and are patched on boot',
    tell: async () => {
      const scenario = cluster();
      const taints = [{ key: unpatchedTaint, effect: 'NoSchedule' as const }];
      scenario.commit({ ...policy('{ onBoot: true, rollout: { soak: 0s, canary: null } }'), ...request('now') });
      await scenario.run(hour, (result) => result.plan.nodes.some((node) => node.phase === 'Patching'));
      scenario.world.add({ name: 'new-1', zone: 'b', taints, system: { jobMs: 5_000, pending: [kernelUpdate] } });
      scenario.world.add({ name: 'new-2', zone: 'c', taints, system: { jobMs: 5_000 } });
      scenario.world.system('new-2').fault = {
        mode: 'download',
        code: 'REPO_AUTH',
        message: 'the mirror says 403',
        exitCode: 30,
      };
      scenario.say('— new-1 and new-2 join with the taint');
      await scenario.run(2 * hour);
      const tainted = (await scenario.pass()).observed.nodes.filter((node) => node.taints.length > 0);
      scenario.say(`— tainted in the end: ${tainted.map((node) => node.name).join(', ') || 'none'}`);
      return scenario;
    },
  },
  {
    name: 'every node is scanned, work by others is found, and old updates open a run',
    tell: async () => {
      const scenario = cluster();
      withScans(scenario);
      scenario.commit(
        policy('{ scan: { every: 12h }, maxAge: { after: 1d, openRun: true }, rollout: { soak: 0s, canary: null } }'),
      );
      await scenario.run(hour);
      tellNodes(scenario);
      scenario.world.system('worker-3').pending = [];
      scenario.say('— somebody patches worker-3 by hand');
      await scenario.run(20 * hour);
      tellNodes(scenario);
      await scenario.run(6 * hour);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'an update that is too young is left out, and goes in when it is old enough',
    tell: async () => {
      const scenario = cluster();
      withScans(scenario);
      scenario.commit(policy('{ updates: { minAge: 1d }, rollout: { soak: 0s, canary: null } }'));
      await scenario.run(25 * hour);
      const curl = { name: 'curl', from: '7.88.1-10+deb12u8', to: '7.88.1-10+deb12u12' };
      scenario.world.system('worker-2').pending.push(curl);
      scenario.say('— a fix for curl comes into the mirror');
      scenario.commit(request('now', '{ reason: a story, nodes: [worker-2] }'));
      await scenario.run(2 * hour);
      tellNodes(scenario);
      await scenario.run(25 * hour);
      scenario.commit(request('later', '{ reason: a story, nodes: [worker-2] }'));
      await scenario.run(2 * hour);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'the first node makes the list of versions, and the mirror moves on',
    tell: async () => {
      const scenario = cluster();
      scenario.world.system('worker-1').pending = [...ordinaryUpdates];
      scenario.commit({
        ...policy('{ updates: { lock: true }, rollout: { concurrency: 3, soak: 0s, canary: null } }'),
        ...request('now'),
      });
      await scenario.run(hour, (result) => Object.values(result.plan.ledger.runs)[0]?.locks !== undefined);
      scenario.say('— worker-2 is offered one update more, worker-3 a newer version');
      scenario.world.system('worker-2').pending.push({ name: 'curl', from: '7.88.1-10', to: '7.88.1-11' });
      scenario.world.system('worker-3').pending = ordinaryUpdates.map((one) => ({ ...one, to: `${one.to}.1` }));
      await scenario.run(2 * hour);
      for (const [system, lock] of Object.entries(scenario.last?.plan.ledger.runs['20260601-120000-now']?.locks ?? {}))
        scenario.say(`— lock of ${lock.node} for ${system}: ${lock.packages.join(', ')}`);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'kured is rebooting a node when the run begins',
    tell: async () => {
      const scenario = cluster();
      const annotate = (value: string | null): void =>
        void scenario.world.sim.handle({
          method: 'PATCH',
          path: '/api/v1/nodes/worker-1',
          headers: { 'content-type': 'application/merge-patch+json' },
          body: { metadata: { annotations: { [kuredRebootAnnotation]: value } } },
        });
      annotate('2026-06-01T11:59:00Z');
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(10 * minute);
      for (const verdict of scenario.last?.plan.nodes ?? [])
        scenario.say(`— ${verdict.node} ${verdict.reason}: ${verdict.message}`);
      annotate(null);
      scenario.say('— kured is done');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'system-upgrade-controller upgrades a node when the run begins',
    tell: async () => {
      const scenario = cluster();
      const { sim } = scenario.world;
      sim.create('/api/v1/namespaces/default/pods', {
        metadata: { name: 'apply-k3s-on-worker-1', labels: { 'upgrade.cattle.io/plan': 'k3s-server' } },
        spec: { nodeName: 'worker-1', containers: [{ name: 'upgrade', image: 'rancher/k3s-upgrade' }] },
      });
      scenario.clock.advance(5_000);
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(10 * minute);
      for (const verdict of scenario.last?.plan.nodes ?? [])
        scenario.say(`— ${verdict.node} ${verdict.reason}: ${verdict.message}`);
      sim.handle({ method: 'DELETE', path: '/api/v1/namespaces/default/pods/apply-k3s-on-worker-1' });
      scenario.say('— the upgrade is done');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'maintenance by hand, and a run that patches the others meanwhile',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.addDeployment({ name: 'web', replicas: 3, pdb: { maxUnavailable: 1 } });
      scenario.clock.advance(5_000);
      scenario.commit({
        ...policy('{ rollout: { concurrency: 2, soak: 0s, canary: null } }'),
        ...request(
          'new-disk',
          '{ action: maintenance, nodes: [worker-2], until: "2026-06-01T16:00:00Z", reason: a new disk }',
        ),
      });
      await scenario.run(10 * minute);
      scenario.commit(request('now'));
      await scenario.run(hour);
      scenario.commit({ 'clusters/prod/requests/new-disk.yaml': undefined }, 'the disk is in');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'a member of etcd is missing, so no control-plane node goes',
    tell: async () => {
      const scenario = new Scenario();
      const member = (node: string): void =>
        void scenario.world.sim.handle({
          method: 'POST',
          path: '/api/v1/namespaces/kube-system/pods',
          body: {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: {
              name: `etcd-${node}`,
              namespace: 'kube-system',
              labels: { component: 'etcd', tier: 'control-plane' },
              annotations: { 'kubernetes.io/config.mirror': 'static' },
            },
            spec: {
              nodeName: node,
              tolerations: [{ operator: 'Exists' }],
              containers: [{ name: 'etcd', image: 'registry.test/etcd:3' }],
            },
          },
        });
      for (const name of ['control-1', 'control-2', 'control-3'])
        scenario.world.add({ name, zone: 'a', controlPlane: true, system: { jobMs: 5_000 } });
      member('control-1');
      member('control-2');
      scenario.clock.advance(5_000);
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(10 * minute);
      for (const verdict of scenario.last?.plan.nodes ?? [])
        scenario.say(`— ${verdict.node} ${verdict.reason}: ${verdict.message}`);
      scenario.say('— the member on control-3 comes up');
      member('control-3');
      scenario.clock.advance(5_000);
      await scenario.run(2 * hour);
      return scenario;
    },
  },
];

describe('the story of', () => {
  it.each(tales)('$name', async ({ name, tell }) => {
    const scenario = await tell();
    const page = `# ${name}\n\nHours, minutes and seconds since the beginning; a dash marks what people do.\n\n\`\`\`text\n${scenario.transcript.join('\n')}\n\`\`\`\n`;
    await expect(page).toMatchFileSnapshot(`golden/${name.replaceAll(/[^a-z0-9]+/gi, '-')}.md`);
  });
});
