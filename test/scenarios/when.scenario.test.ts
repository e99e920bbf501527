// Golden transcripts of part A of the promises, when a node is patched: schedules, requests, boots, windows, ages.
import { kernelUpdate } from '../../reconciler/cli/imitated-cluster.ts';
import { iso } from '../../reconciler/model/instant.ts';
import { unpatchedTaint } from '../../reconciler/model/names.ts';
import { Scenario } from '../support/scenario.ts';
import {
  cluster,
  day,
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

/** Says when the policy's schedule is due next. */
function tellNext(scenario: Scenario): void {
  const next = scenario.last?.plan.upcoming.slice(0, 3) ?? [];
  scenario.say(`— next: ${next.map((at) => iso(at)).join(', ') || 'never'}`);
}

/** Time passes without a controller. */
function sleep(scenario: Scenario, ms: number, why: string): void {
  scenario.say(`— ${why}`);
  scenario.clock.advance(ms);
}

const tales: readonly Tale[] = [
  {
    name: 'A3 C1: on demand, one node after another',
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
    name: 'A6: a weekly run that does not fit into its window goes on in the next one',
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
    name: 'A6: FREEZE in the middle',
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
    name: 'A1: two nodes join in the middle of a run and are patched on boot',
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
    name: 'A8 B13 B16: every node is scanned, work by others is found, and old updates open a run',
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
    name: 'A2: each preset and a cron, over the night on which the clocks change, then none',
    tell: async () => {
      const scenario = new Scenario(Date.UTC(2026, 2, 28, 20));
      scenario.world.add({ name: 'worker-1', zone: 'a', system: { jobMs: 5_000, pending: [] } });
      const schedules = [
        'preset: weekly',
        'preset: biweekly, anchor: 2026-03-29',
        'preset: monthly',
        'preset: bimonthly',
        'cron: "0 2 * * 2#2"',
        'cron: "30 2 L * *"',
      ];
      for (const schedule of schedules) {
        scenario.commit(policy(`{ schedule: { ${schedule}, timeZone: Europe/Berlin } }`), schedule);
        await scenario.run(minute);
        tellNext(scenario);
        const [next = scenario.clock.now()] = scenario.last?.plan.upcoming ?? [];
        sleep(scenario, next - scenario.clock.now() - minute, 'its time comes');
        await scenario.run(10 * minute);
      }
      scenario.commit(policy('{}'), 'the schedule is taken away');
      await scenario.run(minute);
      tellNext(scenario);
      return scenario;
    },
  },
  {
    name: 'A4: a time in the past, the same file again, nothing new to install, and a request that was never carried out',
    tell: async () => {
      const scenario = cluster();
      scenario.commit({
        ...policy(plain),
        ...request('late', '{ notBefore: "2026-05-30T00:00:00Z", nodes: [worker-1] }'),
      });
      await scenario.run(10 * minute);
      scenario.commit(
        request('late', '{ notBefore: "2026-06-01T12:05:00Z", nodes: [worker-1] }'),
        'the file is edited',
      );
      await scenario.run(10 * minute);
      scenario.commit(request('again', '{ nodes: [worker-1] }'));
      await scenario.run(10 * minute);
      scenario.commit(
        { FREEZE: '', ...request('short', '{ nodes: [worker-2], expiresAfter: 1h }') },
        'a freeze and a request',
      );
      await scenario.run(2 * hour);
      scenario.commit({
        FREEZE: undefined,
        ...request('later', '{ nodes: [worker-2], notBefore: "2026-06-01T16:00:00Z" }'),
      });
      await scenario.run(3 * hour);
      return scenario;
    },
  },
  {
    name: 'A5: a schedule, two requests and a new node fall together',
    tell: async () => {
      const scenario = cluster(Date.UTC(2026, 5, 6, 23, 59));
      scenario.commit(
        policy('{ schedule: { preset: weekly, timeZone: UTC }, onBoot: true, rollout: { soak: 0s, canary: null } }'),
      );
      await scenario.run(50_000);
      scenario.commit(
        {
          ...request('all', '{ notBefore: "2026-06-07T00:00:00Z" }'),
          ...request('one', '{ notBefore: "2026-06-07T00:00:00Z", nodes: [worker-2] }'),
        },
        'two requests for the very minute of the schedule',
      );
      scenario.world.add({
        name: 'new-1',
        zone: 'b',
        taints: [{ key: unpatchedTaint, effect: 'NoSchedule' }],
        system: { jobMs: 20_000 },
      });
      scenario.say('— new-1 joins with the taint');
      await scenario.run(2 * hour);
      return scenario;
    },
  },
  {
    name: 'A7: a controller that was down catches up within the deadline, and says what it missed',
    tell: async () => {
      const scenario = cluster(Date.UTC(2026, 5, 6, 22));
      for (const name of ['worker-2', 'worker-3']) scenario.world.system(name).pending = [];
      scenario.commit(
        policy(
          '{ schedule: { preset: weekly, timeZone: UTC, startingDeadline: 4h }, rollout: { soak: 0s, canary: null } }',
        ),
      );
      await scenario.run(minute);
      sleep(scenario, 4 * hour, 'the controller is down for four hours');
      scenario.restart();
      await scenario.run(hour);
      scenario.world.system('worker-1').pending = [kernelUpdate];
      sleep(scenario, 7 * day + 2 * hour, 'and for a week and two hours');
      scenario.restart();
      await scenario.run(hour);
      tellNodes(scenario);
      tellNext(scenario);
      return scenario;
    },
  },
];

tellTales(tales);
