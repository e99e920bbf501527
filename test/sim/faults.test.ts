import { describe, expect, it } from 'vitest';
import { virtualClock } from '../../reconciler/sim/clock.ts';
import { CONFIG_MAPS, JOBS, NODES, PODS } from '../../reconciler/sim/kinds.ts';
import { ConnectionCut, createSim } from '../../reconciler/sim/sim.ts';
import type { WatchEvent } from '../../reconciler/sim/watching.ts';

const MAPS = '/api/v1/namespaces/default/configmaps';

describe('faults on demand', () => {
  it('throttles in plain text, fails with a Status, and then is well again', () => {
    const sim = createSim({ clock: virtualClock() });
    sim.faults.add({ fault: { kind: 'throttle' }, times: 1 });
    expect(sim.handle({ method: 'GET', path: MAPS })).toMatchObject({ status: 429, headers: { 'retry-after': '1' } });
    const remove = sim.faults.add({ fault: { kind: 'error', status: 503 }, match: (request) => request.path === MAPS });
    expect(sim.handle({ method: 'GET', path: MAPS })).toMatchObject({
      status: 503,
      body: { reason: 'ServiceUnavailable' },
    });
    expect(sim.handle({ method: 'GET', path: '/readyz' }).status).toBe(200);
    remove();
    expect(sim.handle({ method: 'GET', path: MAPS }).status).toBe(200);
  });

  it('cuts a connection before or after the work was done', () => {
    const sim = createSim({ clock: virtualClock() });
    const post = (name: string): void => {
      sim.handle({ method: 'POST', path: MAPS, body: { metadata: { name } } });
    };
    sim.faults.add({ fault: { kind: 'cut', when: 'before' }, times: 1 });
    expect(() => {
      post('lost');
    }).toThrow(ConnectionCut);
    sim.faults.add({ fault: { kind: 'cut', when: 'after' }, times: 1 });
    expect(() => {
      post('kept');
    }).toThrow(ConnectionCut);
    expect(sim.store.get(CONFIG_MAPS, 'default', 'lost')).toBeUndefined();
    expect(sim.store.get(CONFIG_MAPS, 'default', 'kept')).toBeDefined();
  });
});

describe('watches in virtual time', () => {
  it('get bookmarks every minute and end at their timeout', () => {
    const clock = virtualClock();
    const sim = createSim({ clock });
    const events: WatchEvent[] = [];
    let ended = false;
    const path = `${MAPS}?resourceVersion=${sim.store.version()}&allowWatchBookmarks=true&timeoutSeconds=150`;
    sim.watch(
      path,
      (event) => events.push(event),
      () => {
        ended = true;
      },
    );
    clock.advance(149_000);
    expect(events.map((event) => event.type)).toEqual(['BOOKMARK', 'BOOKMARK']);
    expect(ended).toBe(false);
    clock.advance(2_000);
    expect(ended).toBe(true);
    expect(sim.watchCount()).toBe(0);
  });
});

describe('machines that are broken on purpose', () => {
  const job = {
    metadata: { name: 'j' },
    spec: { template: { spec: { restartPolicy: 'Never', nodeName: 'a', containers: [{ name: 'c', image: 'i' }] } } },
  };

  it('stay away after a reboot until they are switched on', () => {
    const clock = virtualClock();
    const sim = createSim({ clock });
    const machine = sim.addNode({ name: 'a' });
    machine.neverComesBack(true);
    machine.boot();
    clock.advance(3_600_000);
    expect(machine.state()).toBe('down');
    machine.powerOn();
    expect(machine.state()).toBe('up');
  });

  it('never start a pod while pods hang, and nothing is heard from them while they are silent', () => {
    const clock = virtualClock();
    const sim = createSim({ clock });
    const machine = sim.addNode({ name: 'a' });
    machine.hangPods(true);
    sim.create('/apis/batch/v1/namespaces/default/jobs', job);
    clock.advance(600_000);
    expect(sim.store.list(PODS, 'default')[0]?.status.phase).toBe('Pending');
    sim.handle({ method: 'DELETE', path: '/apis/batch/v1/namespaces/default/jobs/j?propagationPolicy=Background' });
    clock.advance(60_000);
    expect(sim.store.count(PODS)).toBe(0);
    machine.hangPods(false);
    sim.create('/apis/batch/v1/namespaces/default/jobs', job);
    clock.advance(600);
    machine.silent(true);
    clock.advance(30_000);
    expect(sim.store.list(JOBS)[0]?.status.succeeded).toBeUndefined();
    machine.silent(false);
    clock.advance(1_000);
    expect(sim.store.list(JOBS)[0]?.status.succeeded).toBe(1);
  });

  it('leave pods behind that are collected when the node is deleted', () => {
    const clock = virtualClock();
    const sim = createSim({ clock });
    const machine = sim.addNode({ name: 'a' });
    sim.addPod({ name: 'bare', nodeName: 'a' });
    clock.advance(5_000);
    machine.powerOff();
    sim.handle({ method: 'DELETE', path: '/api/v1/nodes/a' });
    expect(sim.store.get(NODES, undefined, 'a')).toBeUndefined();
    clock.advance(60_000);
    expect(sim.store.count(PODS)).toBe(0);
  });

  it('end a namespace with all that is in it', () => {
    const clock = virtualClock();
    const sim = createSim({ clock });
    sim.addNode({ name: 'a' });
    sim.create('/api/v1/namespaces', { metadata: { name: 'team' } });
    sim.addDeployment({ namespace: 'team', name: 'web', replicas: 2 });
    clock.advance(5_000);
    sim.handle({ method: 'DELETE', path: '/api/v1/namespaces/team' });
    expect(
      sim.handle({ method: 'POST', path: '/api/v1/namespaces/team/configmaps', body: { metadata: { name: 'x' } } })
        .status,
    ).toBe(403);
    clock.advance(60_000);
    expect(sim.handle({ method: 'GET', path: '/api/v1/namespaces/team' }).status).toBe(404);
    expect(sim.store.count(PODS)).toBe(0);
  });
});
