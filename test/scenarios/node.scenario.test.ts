// Golden transcripts of part B of the promises, what is done to a node: checks, drain, patch, reboot, proof.
import { ordinaryUpdates } from '../../reconciler/cli/imitated-cluster.ts';
import { domain } from '../../reconciler/model/names.ts';
import { KubeVirt } from '../support/kubevirt.ts';
import type { Scenario } from '../support/scenario.ts';
import {
  cluster,
  hour,
  minute,
  plain,
  policy,
  request,
  tellNodes,
  tellTales,
  withScans,
  type Tale,
} from '../support/tale.ts';

/** What kubectl shows of the Jobs in namespace os-patch. */
function tellJobs(scenario: Scenario): void {
  const jobs = scenario.last?.observed.jobs.map(
    ({ nodeName, step, state, name }) => `${nodeName} ${step} ${state} (${name})`,
  );
  scenario.say(`— Jobs: ${jobs?.sort().join(', ') || 'none'}`);
}

/** What kubectl shows of Oakum's marks on the nodes. */
function tellMarks(scenario: Scenario): void {
  for (const node of scenario.last?.observed.nodes ?? []) {
    const ours = (fields: Readonly<Record<string, string>>): string[] =>
      Object.entries(fields)
        .filter(([key]) => key.startsWith(`${domain}/`))
        .map(([key, value]) => `${key}=${value}`)
        .sort();
    scenario.say(`— ${node.name} labels: ${ours(node.labels).join(', ') || 'none'}`);
    scenario.say(`— ${node.name} annotations: ${ours(node.annotations).join(', ') || 'none'}`);
  }
}

const tales: readonly Tale[] = [
  {
    name: 'B8 C9: a budget without room, then with',
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
    name: 'B7 C7: a full disk pauses the run, a person goes on',
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
    name: 'B9: a node that does not come back stops the run',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.node('worker-1').neverComesBack(true);
      scenario.commit({ ...policy(plain), ...request('now') });
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'B8: virtual machines move, one does not and is left in peace, and a volume is detached late',
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
    name: 'B15: hooks before and after each node, one is missing at first and a smoke test fails once',
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
    name: 'B14: the first node makes the list of versions, and the mirror moves on',
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
    name: 'B16: maintenance by hand, and a run that patches the others meanwhile',
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
    name: 'B3: one Job at a time on each node, and its state can be followed',
    tell: async () => {
      const scenario = cluster();
      scenario.commit({
        ...policy('{ rollout: { concurrency: 2, soak: 0s, canary: null } }'),
        ...request('now', '{ nodes: [worker-1, worker-2] }'),
      });
      for (let look = 0; look < 8; look++) {
        await scenario.run(4_000);
        tellJobs(scenario);
      }
      await scenario.run(2 * hour);
      tellJobs(scenario);
      return scenario;
    },
  },
  {
    name: 'B4: a system that is not supported is refused before anything is touched',
    tell: async () => {
      const scenario = cluster();
      scenario.world.system('worker-2').fault = {
        mode: 'download',
        code: 'UNSUPPORTED_OS',
        message: 'Alpine Linux 3.20 is not supported',
        exitCode: 20,
      };
      scenario.commit({
        ...policy('{ rollout: { soak: 0s, canary: null, maxFailures: 2 } }'),
        ...request('now', '{ nodes: [worker-1, worker-2] }'),
      });
      await scenario.run(2 * hour);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'B6: never, if required, always',
    tell: async () => {
      const scenario = cluster();
      const rebooting = (when: string): Record<string, string> =>
        policy(`{ reboot: { when: ${when} }, rollout: { soak: 0s, canary: null } }`);
      scenario.commit(
        { ...rebooting('never'), ...request('never', '{ nodes: [worker-1] }') },
        'reboots are not allowed',
      );
      await scenario.run(hour);
      tellNodes(scenario);
      scenario.commit(
        { ...rebooting('ifRequired'), ...request('required', '{ nodes: [worker-1, worker-2] }') },
        'if required',
      );
      await scenario.run(hour);
      scenario.commit({ ...rebooting('always'), ...request('always', '{ nodes: [worker-3] }') }, 'always');
      await scenario.run(hour);
      tellNodes(scenario);
      return scenario;
    },
  },
  {
    name: 'B10: what is written on a node while it is patched, afterwards, and after a failure',
    tell: async () => {
      const scenario = cluster();
      scenario.world.system('worker-2').fault = {
        mode: 'patch',
        code: 'INSTALL_FAILED',
        message: 'postinst of openssh-server ended with 1',
        exitCode: 50,
      };
      scenario.commit({ ...policy(plain), ...request('now', '{ nodes: [worker-1, worker-2] }') });
      await scenario.run(hour, (result) => result.plan.nodes.some((node) => node.phase === 'Rejoining'));
      await scenario.run(1);
      tellMarks(scenario);
      await scenario.run(2 * hour);
      tellMarks(scenario);
      return scenario;
    },
  },
  {
    name: 'B12: another tool patches, Oakum only reboots where that is needed',
    tell: async () => {
      const scenario = cluster();
      scenario.world.sim.addDeployment({ name: 'web', replicas: 3, pdb: { maxUnavailable: 1 } });
      scenario.clock.advance(5_000);
      scenario.world.system('worker-1').rebootRequired = true;
      scenario.commit({
        ...policy('{ strategy: RebootOnly, rollout: { soak: 0s, canary: null } }'),
        ...request('now'),
      });
      await scenario.run(2 * hour);
      return scenario;
    },
  },
];

tellTales(tales);
