import { describe, expect, it } from 'vitest';
import { virtualClock } from '../../reconciler/sim/clock.ts';
import type { Job, NodeObject, Pod } from '../../reconciler/sim/object.ts';
import { JOBS, NODES, PODS } from '../../reconciler/sim/kinds.ts';
import { createSim, type Sim } from '../../reconciler/sim/sim.ts';

function cluster(names: readonly string[]): { sim: Sim; clock: ReturnType<typeof virtualClock> } {
  const clock = virtualClock();
  const sim = createSim({ clock });
  for (const name of names) sim.addNode({ name });
  clock.advance(1000);
  return { sim, clock };
}

const podSpec = { containers: [{ name: 'main', image: 'registry.example/patch:1' }], restartPolicy: 'Never' };

function addJob(sim: Sim, nodeName: string, more: object = {}): void {
  sim.create('/apis/batch/v1/namespaces/default/jobs', {
    metadata: { name: 'patch' },
    spec: { backoffLimit: 0, ...more, template: { spec: { ...podSpec, nodeName } } },
  });
}

const conditionTypes = (sim: Sim): string[] =>
  (sim.store.get<Job>(JOBS, 'default', 'patch')?.status.conditions ?? []).map((condition) => condition.type);
const node = (sim: Sim, name: string): NodeObject | undefined => sim.store.get(NODES, undefined, name);
const ready = (sim: Sim, name: string): string | undefined =>
  node(sim, name)?.status.conditions?.find((one) => one.type === 'Ready')?.status;
const pods = (sim: Sim): Pod[] => sim.store.list(PODS, 'default');

function evict(sim: Sim, pod: Pod | undefined): number {
  const name = pod?.metadata.name ?? '';
  const path = `/api/v1/namespaces/default/pods/${name}/eviction`;
  return sim.handle({ method: 'POST', path, body: { metadata: { name } } }).status;
}

describe('the simulated cluster in virtual time', () => {
  it('runs a Job to its end, reboots the node afterwards, and shows the new boot', () => {
    const { sim, clock } = cluster(['a']);
    const before = sim.node('a').bootId();
    sim.program = () => ({ durationMs: 2000, exitCode: 0, message: 'done', reboot: { afterMs: 1000, kernel: '6.2' } });
    addJob(sim, 'a');
    expect(clock.runUntil(() => conditionTypes(sim).includes('Complete'), 60_000)).toBe(true);
    expect(conditionTypes(sim)).toEqual(['SuccessCriteriaMet', 'Complete']);
    expect(pods(sim)[0]?.status.containerStatuses?.[0]?.state.terminated?.message).toBe('done');
    clock.advance(40_000);
    expect(node(sim, 'a')?.status.nodeInfo).toMatchObject({ kernelVersion: '6.2', bootID: sim.node('a').bootId() });
    expect(sim.node('a').bootId()).not.toBe(before);
    expect(ready(sim, 'a')).toBe('True');
  });

  it('fails the Job whose container the reboot takes along', () => {
    const { sim, clock } = cluster(['a']);
    sim.program = () => ({ durationMs: 5000, exitCode: 0, reboot: { afterMs: -2000 } });
    addJob(sim, 'a');
    clock.advance(60_000);
    expect(conditionTypes(sim)).toEqual(['FailureTarget', 'Failed']);
    expect(pods(sim)[0]?.status.containerStatuses?.[0]?.state.terminated).toMatchObject({
      exitCode: 255,
      reason: 'Unknown',
    });
  });

  it('declares a dead node unreachable, and keeps a Job on it from ending until its pod is gone', () => {
    const { sim, clock } = cluster(['a']);
    sim.program = () => ({ durationMs: 600_000, exitCode: 0 });
    addJob(sim, 'a', { activeDeadlineSeconds: 30 });
    clock.advance(5_000);
    sim.node('a').powerOff();
    clock.advance(60_000);
    expect(ready(sim, 'a')).toBe('Unknown');
    expect(node(sim, 'a')?.spec.taints?.map((taint) => taint.key)).toContain('node.kubernetes.io/unreachable');
    expect(conditionTypes(sim)).toEqual(['FailureTarget']);
    expect(sim.store.get<Job>(JOBS, 'default', 'patch')?.status.terminating).toBe(1);
    sim.node('a').powerOn();
    clock.advance(10_000);
    expect(conditionTypes(sim)).toEqual(['FailureTarget', 'Failed']);
    expect(ready(sim, 'a')).toBe('True');
    expect(node(sim, 'a')?.spec.taints).toBeUndefined();
  });

  it('lets a budget spare one pod at a time, and puts evicted pods on other nodes', () => {
    const { sim, clock } = cluster(['a', 'b']);
    sim.addDeployment({ name: 'web', replicas: 2, pdb: { maxUnavailable: 1 } });
    clock.advance(5_000);
    const [first, second] = pods(sim);
    sim.handle({
      method: 'PATCH',
      path: `/api/v1/nodes/${first?.spec.nodeName ?? ''}`,
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { spec: { unschedulable: true } },
    });
    expect(evict(sim, first)).toBe(201);
    expect(evict(sim, second)).toBe(429);
    clock.advance(5_000);
    expect(pods(sim).map((pod) => pod.spec.nodeName)).toEqual([second?.spec.nodeName, second?.spec.nodeName]);
    expect(evict(sim, second)).toBe(201);
  });

  it('does the same things in the same order from the same seed', () => {
    const story = (): string => {
      const { sim, clock } = cluster(['a', 'b', 'c']);
      sim.addDeployment({ name: 'web', replicas: 5 });
      sim.addDaemonSet({ name: 'agent' });
      addJob(sim, 'a');
      clock.advance(120_000);
      return JSON.stringify([sim.store.list(PODS), sim.store.list(NODES), sim.store.version()]);
    };
    expect(story()).toBe(story());
  });

  it('builds ten clusters of a thousand nodes within seconds', () => {
    const sims = Array.from({ length: 10 }, () => cluster(Array.from({ length: 1000 }, (_, i) => `node-${i}`)).sim);
    expect(sims.every((sim) => sim.store.count(NODES) === 1000)).toBe(true);
  }, 10_000);
});
