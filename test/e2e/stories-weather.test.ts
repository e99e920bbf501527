// Bad weather on a real control plane: the API server and etcd fail in the middle, and the end is the same.
import { request as httpsRequest } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { ownNamespace } from '../../reconciler/model/names.ts';
import type { ControlPlanePower } from '../lab/control-plane.ts';
import { serviceAccount } from './account.ts';
import { randomFrom } from './random.ts';
import { openStage } from './stage.ts';
import { policy, request } from './wishes.ts';

const on = openStage();

const weather: readonly {
  readonly name: string;
  readonly nodes: number;
  readonly blow: (power: ControlPlanePower) => Promise<void>;
}[] = [
  { name: 'the API server is restarted', nodes: 3, blow: (power) => power.restartApiServer() },
  {
    name: 'the API server is killed, and every watch is of a version that is forgotten',
    nodes: 3,
    blow: async (power) => {
      await power.compactEtcd();
      await power.killApiServer();
      await sleep(2_000);
      await power.startApiServer();
    },
  },
  {
    name: 'etcd hangs for twenty seconds',
    nodes: 2,
    blow: async (power) => {
      power.freezeEtcd();
      await sleep(20_000);
      power.thawEtcd();
    },
  },
];

describe('in the middle of a run', () => {
  for (const { name, nodes, blow } of weather)
    it(name, async ({ skip }) => {
      const { power } = on.stage.plane;
      if (power === undefined) return skip('this control plane is not ours to break');
      const story = await on.tell({ count: nodes });
      story.oakum();
      story.commit({ 'clusters/prod/policy.yaml': policy(), ...request('first') });
      await story.until(
        'a node is being patched',
        () => story.patch.calls.some((call) => call.mode === 'patch') === true,
      );
      story.apiServerStarts = true;
      await blow(power);
      await story.runIs('Succeeded', 420_000);
      await story.provenOnce();
      expect(story.witness.mostOut()).toBe(1);
    });

  it('the API server throttles Oakum for as long as the run lasts', async ({ skip }) => {
    if (on.stage.plane.power === undefined) return skip('a foreign cluster is not ours to throttle');
    const story = await on.tell({ count: 2 });
    const holding = await startThrottling();
    try {
      story.oakum();
      story.commit({
        'clusters/prod/policy.yaml': policy({ rollout: { concurrency: 2 } }),
        ...request('first'),
      });
      await story.runIs('Succeeded', 420_000);
    } finally {
      await holding.stop();
    }
    expect(holding.refused()).toBeGreaterThan(10);
    await story.provenOnce();
    expect(story.witness.mostOut()).toBeLessThanOrEqual(2);
  });
});

/**
 * Puts Oakum's ServiceAccount on a priority level with a single seat, and takes that seat away a third of the time. `refused` counts the answers
 * that a third user of the same level got: a witness that requests were turned away.
 */
async function startThrottling(): Promise<{ refused(): number; stop(): Promise<void> }> {
  const { admin } = on.stage.plane;
  const flows = '/apis/flowcontrol.apiserver.k8s.io/v1';
  const limits = { nominalConcurrencyShares: 0, lendablePercent: 0, borrowingLimitPercent: 0 };
  await admin.create(`${flows}/prioritylevelconfigurations`, {
    metadata: { name: 'one-seat' },
    spec: { type: 'Limited', limited: { ...limits, limitResponse: { type: 'Reject' } } },
  });
  await admin.create(`${flows}/flowschemas`, {
    metadata: { name: 'one-seat' },
    spec: {
      priorityLevelConfiguration: { name: 'one-seat' },
      matchingPrecedence: 2,
      rules: [
        {
          subjects: [{ kind: 'ServiceAccount', serviceAccount: { name: serviceAccount, namespace: ownNamespace } }],
          resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] }],
        },
      ],
    },
  });
  const access = await on.stage.plane.serviceAccountAccess(ownNamespace, serviceAccount);
  const metrics = async (): Promise<number> => {
    const text = String((await admin.request('GET', '/metrics')).body);
    const lines = text.split('\n').filter((line) => /rejected_requests_total\{.*"one-seat"/.test(line));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  };
  const random = randomFrom(7);
  let stopped = false;
  let refused = 0;
  const taking = (async () => {
    while (!stopped) {
      // The body never comes, so the request keeps its seat.
      const held = httpsRequest(`${access.url}/api/v1/namespaces/os-patch/configmaps`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${access.token ?? ''}`,
          'content-type': 'application/json',
          'content-length': 100,
        },
        ca: access.authority,
      });
      held.on('error', () => undefined);
      held.write('{');
      await sleep(400 + 500 * random());
      held.destroy();
      await sleep(800 + 1_000 * random());
    }
    refused = await metrics();
  })();
  return {
    refused: () => refused,
    async stop() {
      stopped = true;
      await taking;
      await admin.delete(`${flows}/flowschemas/one-seat`);
      await admin.delete(`${flows}/prioritylevelconfigurations/one-seat`);
    },
  };
}
