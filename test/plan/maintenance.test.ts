// Maintenance by hand: nodes are taken out, held out within the budget, and given back, whatever happens meanwhile.
import { describe, expect, it } from 'vitest';
import type { Request } from '../../reconciler/model/desired.ts';
import type { RunRecord } from '../../reconciler/model/ledger.ts';
import { cordonAnnotation, patchLabel, phaseLabel } from '../../reconciler/model/names.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { review, Reviewed } from '../support/reviewed.ts';
import { Killed, TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const start = Date.UTC(2026, 5, 1, 12);

function disk(given: Partial<Request> = {}): Request {
  return aRequest('disk', { action: 'maintenance', nodes: ['worker-1'], until: start + 6 * hour, ...given });
}

function world(requests: readonly Request[], policy = aPolicy()): TinyWorld {
  const made = new TinyWorld(start, aCluster({ policy, requests }));
  for (const name of ['worker-1', 'worker-2', 'worker-3']) {
    made.cluster.addNode(name);
    made.cluster.addPod(name, `web-${name}`);
  }
  return made;
}

function held(made: TinyWorld): string[] {
  return [...made.cluster.machines.values()]
    .map((machine) => machine.view)
    .filter((view) => view.unschedulable && view.annotations[cordonAnnotation] !== undefined)
    .map((view) => view.name);
}

function run(made: TinyWorld, name: string): RunRecord {
  const found = made.runs().find((one) => one.id.endsWith(`-${name}`));
  if (!found) throw new Error(`no run of ${name}`);
  return found;
}

describe('a maintenance', () => {
  it('empties the node, holds it out, and gives it back when its time is over', async () => {
    const made = world([disk()]);
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
    expect(made.cluster.podsByNode.get('worker-1')).toEqual([]);
    expect(made.cluster.machine('worker-1').view.labels[phaseLabel]).toBe('Held');
    expect(made.passes.at(-1)?.nodes[0]).toMatchObject({ phase: 'Held', reason: 'HeldOut', at: start + 6 * hour });
    await made.run(6 * hour);
    expect(held(made)).toEqual([]);
    expect(made.ends()).toEqual(['worker-1: Skipped/MaintenanceOver']);
    expect(made.theRun()).toMatchObject({ state: 'Succeeded', message: '1 held out and given back' });
    expect(made.ledger?.requests['disk']).toMatchObject({ state: 'Done' });
    expect(made.cluster.done.some((action) => action.kind === 'createJob')).toBe(false);
  });

  it('gives the node back when its file is taken away, but not while the wishes are not known', async () => {
    const made = world([disk()]);
    await made.run(hour);
    made.sourceHold = { reason: 'GitUnavailable', message: 'the server is down', until: undefined };
    made.change({ requests: [] });
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
    made.sourceHold = undefined;
    await made.run(minute);
    expect(held(made)).toEqual([]);
    expect(made.theRun().nodes['worker-1']?.message).toContain('the request disk was taken away');
  });

  it('ends in time although the config repository is down', async () => {
    const made = world([disk()]);
    await made.run(hour);
    made.sourceHold = { reason: 'GitUnavailable', message: 'the server is down', until: undefined };
    await made.run(6 * hour);
    expect(held(made)).toEqual([]);
  });

  it('of several nodes takes no more than the budget has', async () => {
    const made = world([disk({ nodes: ['worker-1', 'worker-2'] })]);
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
    expect(made.passes.at(-1)?.nodes[1]).toMatchObject({ phase: 'Pending', reason: 'NoRoomInBudget' });
    await made.run(6 * hour);
    expect(made.ends()).toEqual(['worker-1: Skipped/MaintenanceOver', 'worker-2: Skipped/Expired']);
    expect(made.theRun()).toMatchObject({ state: 'Failed', reason: 'RunFailed' });
  });

  it('counts in the budget of a run that patches, which goes on with what is left', async () => {
    const policy = aPolicy({ rollout: { concurrency: { kind: 'count', value: 2 } } });
    const made = world([disk()], policy);
    await made.run(10 * minute);
    made.change({ requests: [disk(), aRequest('now')] });
    let most = 0;
    await made.run(hour, () => {
      const working = Object.values(run(made, 'now').nodes).filter((record) => record.phase === 'Patching').length;
      most = Math.max(most, working);
      return false;
    });
    expect(most).toBe(1);
    expect(run(made, 'now').nodes).toMatchObject({
      'worker-1': { phase: 'Pending' },
      'worker-2': { phase: 'Patched' },
      'worker-3': { phase: 'Patched' },
    });
    await made.run(6 * hour);
    expect(run(made, 'now')).toMatchObject({ state: 'Succeeded', message: '3 patched, 0 up to date' });
  });

  it('waits for a node that is being patched', async () => {
    const made = world([aRequest('now')]);
    await made.run(hour, () => made.runs()[0]?.nodes['worker-1']?.phase === 'Patching');
    made.change({ requests: [aRequest('now'), disk()] });
    await made.run(1_000);
    expect(run(made, 'disk').nodes['worker-1']?.phase).toBe('Pending');
    await made.run(2 * hour);
    expect(held(made)).toEqual(['worker-1']);
  });

  it('waits under FREEZE, and while a budget has no room', async () => {
    const made = world([disk()]);
    made.change({ frozen: 'fleet' });
    await made.run(hour);
    expect(made.theRun()).toMatchObject({ state: 'Scheduled', reason: 'Frozen' });
    made.cluster.budgets.push({
      namespace: 'default',
      name: 'web',
      matchLabels: { app: 'web-worker-1' },
      matchExpressions: [],
      disruptionsAllowed: 0,
      currentHealthy: 1,
      desiredHealthy: 1,
      expectedPods: 2,
    });
    made.change({ frozen: undefined });
    await made.run(10 * minute);
    expect(made.theRun().nodes['worker-1']).toMatchObject({ phase: 'Cordoning', reason: 'DisruptionBlocked' });
    expect(held(made)).toEqual([]);
  });

  it('that never began expires with the reason that it waited for', async () => {
    const made = world([disk()]);
    made.change({ frozen: 'fleet' });
    await made.run(8 * hour);
    expect(made.theRun()).toMatchObject({ state: 'Expired' });
    expect(made.theRun().message).toContain('Frozen');
    expect(made.ledger?.requests['disk']).toMatchObject({ state: 'Expired' });
  });

  it('takes a node out that is broken', async () => {
    const made = world([disk()]);
    made.cluster.podsByNode.set('worker-1', []);
    made.cluster.change('worker-1', { ready: false, readyReason: 'NodeStatusUnknown' });
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
  });

  it('accepts that a person uncordons the node', async () => {
    const made = world([disk()]);
    await made.run(hour);
    made.cluster.change('worker-1', { unschedulable: false });
    await made.run(minute);
    expect(made.ends()).toEqual(['worker-1: Skipped/SkippedByPerson']);
    expect(held(made)).toEqual([]);
  });

  it('leaves a cordon that somebody else had made', async () => {
    const made = world([disk()]);
    made.cluster.change('worker-1', { unschedulable: true });
    await made.run(8 * hour);
    expect(made.ends()).toEqual(['worker-1: Skipped/MaintenanceOver']);
    expect(made.cluster.machine('worker-1').view.unschedulable).toBe(true);
    expect(made.cluster.podsByNode.get('worker-1')).toEqual([]);
  });

  it('is refused for the only control-plane node, and takes two of them one after another', async () => {
    const made = new TinyWorld(
      start,
      aCluster({
        policy: aPolicy({ rollout: { concurrency: { kind: 'count', value: 3 } } }),
        requests: [disk({ nodes: ['control-1', 'control-2'] })],
      }),
    );
    made.cluster.addNode('control-1', { controlPlane: true });
    await made.run(minute);
    expect(made.passes.at(-1)?.nodes[0]).toMatchObject({ reason: 'SingleControlPlane' });
    made.cluster.addNode('control-2', { controlPlane: true });
    made.change({ requests: [disk(), disk({ name: 'both', nodes: ['control-1', 'control-2'] })] });
    await made.run(hour);
    expect(held(made)).toEqual(['control-1']);
  });

  it('is judged again before its first node: an approval that was taken back holds it, and a new one lets it go', async () => {
    const file = 'clusters/prod/requests/disk.yaml';
    const policy = aPolicy({ approval: { mode: 'review', approvers: ['@alice'] } });
    const made = world([], policy);
    const forge = new Reviewed(made);
    await made.run(minute);
    forge.merge({ requests: [disk()], frozen: 'fleet' }, [file], { reviews: [review('alice')] });
    await made.run(minute);
    expect(made.theRun()).toMatchObject({ state: 'Scheduled', approval: { by: [{ name: 'alice' }] } });
    forge.amend(file, { reviews: [] });
    made.desired = { ...made.desired, frozen: undefined };
    await made.run(hour);
    expect(held(made)).toEqual([]);
    expect(made.theRun()).toMatchObject({ state: 'AwaitingApproval', reason: 'MergedWithoutApproval' });
    forge.amend(file, { reviews: [review('alice', { commit: 'head-1', at: start })] });
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
  });

  it('goes by the newest policy until its first node is taken out', async () => {
    const of = (value: number): ReturnType<typeof aPolicy> =>
      aPolicy({ rollout: { concurrency: { kind: 'count', value } } });
    const made = world([disk({ nodes: ['worker-1', 'worker-2'] })], of(2));
    made.change({ frozen: 'fleet' });
    await made.run(minute);
    made.change({ frozen: undefined, policy: of(1) });
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
    made.change({ policy: of(2) });
    await made.run(hour);
    expect(held(made)).toEqual(['worker-1']);
  });

  it('leaves a node alone that is excluded before its turn, and says that it was not taken out', async () => {
    const made = world([disk()]);
    made.change({ frozen: 'fleet' });
    await made.run(minute);
    const { labels } = made.cluster.machine('worker-1').view;
    made.cluster.change('worker-1', { labels: { ...labels, [patchLabel]: 'disabled' } });
    made.change({ frozen: undefined });
    await made.run(hour);
    expect(made.ends()).toEqual(['worker-1: Skipped/Excluded']);
    expect(made.theRun()).toMatchObject({ state: 'Failed', message: '0 held out and given back, 1 not taken out' });
  });

  it('comes to the same end wherever the controller is killed', async () => {
    const undisturbed = world([disk()]);
    let effects = 0;
    undisturbed.onEffect = () => void effects++;
    await undisturbed.run(8 * hour);
    for (let at = 1; at <= effects; at++) {
      const made = world([disk()]);
      let seen = 0;
      made.onEffect = () => {
        if (++seen === at) throw new Killed();
      };
      while (made.now < start + 8 * hour) {
        try {
          await made.run(start + 8 * hour - made.now);
        } catch (error) {
          if (!(error instanceof Killed)) throw error;
          made.restart();
        }
      }
      expect(made.ends(), `killed at effect ${at}`).toEqual(['worker-1: Skipped/MaintenanceOver']);
      expect(held(made)).toEqual([]);
    }
  });
});
