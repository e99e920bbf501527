// Golden transcripts of part C of the promises, which nodes and in which order: budgets, canaries, failures, gates.
import { kuredRebootAnnotation, osLabel, patchLabel, runLabel } from '../../reconciler/model/names.ts';
import { Scenario } from '../support/scenario.ts';
import {
  cluster,
  hour,
  minute,
  patchNode,
  plain,
  policy,
  request,
  tellNodes,
  tellTales,
  type Tale,
} from '../support/tale.ts';

const tales: readonly Tale[] = [
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
    name: 'B8 C2: a node is cordoned by somebody else and one is deleted in the middle, another joins',
    tell: async () => {
      const scenario = cluster();
      patchNode(scenario, 'worker-2', { spec: { unschedulable: true } });
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
    name: 'C9: a gate on pods is closed until a batch has ended',
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
    name: 'C1 C8: a canary, its soak, then the rest; control plane last',
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
    name: 'kured is rebooting a node when the run begins',
    tell: async () => {
      const scenario = cluster();
      const annotate = (value: string | null): void =>
        patchNode(scenario, 'worker-1', { metadata: { annotations: { [kuredRebootAnnotation]: value } } });
      annotate('2026-06-01T11:59:00Z');
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(10 * minute);
      tellNodes(scenario);
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
      tellNodes(scenario);
      sim.handle({ method: 'DELETE', path: '/api/v1/namespaces/default/pods/apply-k3s-on-worker-1' });
      scenario.say('— the upgrade is done');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'C1: a member of etcd is missing, so no control-plane node goes',
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
      tellNodes(scenario);
      scenario.say('— the member on control-3 comes up');
      member('control-3');
      scenario.clock.advance(5_000);
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'C8: a node that is out already takes a seat of the budget, not of the canary',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.node('worker-3').notReady('container runtime is down');
      scenario.clock.advance(20_000);
      scenario.commit({
        ...policy('{ rollout: { concurrency: 2, canary: { nodes: 1, soak: 10m }, soak: 0s } }'),
        ...request('now'),
      });
      await scenario.run(hour);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'C3: nodes that are left out, and a request that matches none of the rest',
    tell: async () => {
      const scenario = cluster();
      scenario.world.add({ name: 'gpu-1', zone: 'a', labels: { dedicated: 'gpu' } });
      scenario.world.add({ name: 'windows-1', zone: 'a', labels: { [osLabel]: 'windows' } });
      patchNode(scenario, 'worker-3', { metadata: { labels: { [patchLabel]: 'disabled' } } });
      scenario.commit({
        ...policy('{ nodes: { exclude: "dedicated=gpu" }, rollout: { soak: 0s, canary: null } }'),
        ...request('now'),
        ...request('gpu', '{ selector: "dedicated=gpu" }'),
        ...request('typo', '{ nodes: [wroker-1] }'),
      });
      await scenario.run(2 * hour);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'C4 C2: a label is taken away, then a commit resets: each node is patched again',
    tell: async () => {
      const scenario = cluster();
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(hour, (result) =>
        result.plan.nodes.some((node) => node.node === 'worker-2' && node.phase === 'Patching'),
      );
      for (const name of ['worker-1', 'worker-2'])
        scenario.world.system(name).pending.push({ name: 'curl', from: '7.88.1-10+deb12u8', to: '7.88.1-10+deb12u12' });
      scenario.say('— a fix for curl comes into the mirror');
      patchNode(scenario, 'worker-1', { metadata: { labels: { [runLabel]: null } } });
      scenario.say('— a person takes the label oakum.dev/run from worker-1');
      await scenario.run(hour, (result) =>
        result.plan.nodes.some((node) => node.node === 'worker-3' && node.phase === 'Patching'),
      );
      scenario.commit(
        request('once-more', '{ action: reset, nodes: [worker-2], reason: to be sure }'),
        'a person resets worker-2',
      );
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'C5: some nodes only, by name, then by label',
    tell: async () => {
      const scenario = cluster();
      patchNode(scenario, 'worker-2', { metadata: { labels: { pool: 'web' } } });
      patchNode(scenario, 'worker-3', { metadata: { labels: { pool: 'web' } } });
      scenario.commit({ ...policy(plain), ...request('by-name', '{ nodes: [worker-1] }') });
      await scenario.run(hour);
      scenario.commit(request('by-label', '{ selector: "pool=web" }'));
      await scenario.run(hour);
      return scenario;
    },
  },
  {
    name: 'C6: a run begins on a healthy cluster only',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.node('worker-3').notReady('container runtime is down');
      scenario.clock.advance(20_000);
      scenario.commit({ ...policy(plain), ...request('now', '{ nodes: [worker-1, worker-2, worker-3] }') });
      await scenario.run(20 * minute);
      tellNodes(scenario);
      scenario.world.sim.node('worker-3').notReady(undefined);
      scenario.say('— worker-3 is well again');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'C5: some nodes are paused, the rest goes on, and a commit lets them go, too',
    tell: async () => {
      const scenario = cluster();
      scenario.world.add({ name: 'control-1', zone: 'a', controlPlane: true, system: { jobMs: 5_000 } });
      scenario.world.add({ name: 'control-2', zone: 'b', controlPlane: true, system: { jobMs: 5_000 } });
      patchNode(scenario, 'worker-2', { metadata: { labels: { pool: 'db' } } });
      scenario.commit({
        ...policy(plain),
        ...request('migration', '{ action: pause, selector: "pool=db", reason: the database is being moved }'),
        ...request('not-today', '{ action: pause, nodes: [worker-3], until: "2026-06-01T13:00:00Z" }'),
        ...request('now'),
      });
      await scenario.run(30 * minute);
      tellNodes(scenario);
      await scenario.run(hour);
      scenario.commit({ 'clusters/prod/requests/migration.yaml': undefined }, 'the database has moved');
      await scenario.run(hour);
      scenario.commit({
        ...request('again', '{ action: pause, nodes: [worker-1], reason: once more }'),
        ...request('one', '{ nodes: [worker-1] }'),
      });
      await scenario.run(10 * minute);
      scenario.commit(request('other', '{ nodes: [worker-3] }'), 'another run must not wait for a paused node');
      await scenario.run(hour);
      tellNodes(scenario);
      return scenario;
    },
  },
];

tellTales(tales);
