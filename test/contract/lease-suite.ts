// What a Lease must do, whoever serves it, and in whatever time.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { microTime, openLease } from '../../reconciler/adapters/lease.ts';
import type { LeaseOptions } from '../../reconciler/adapters/lease.ts';
import type { Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { Clock, Lease } from '../../reconciler/ports.ts';
import { silent } from './kubernetes-suite.ts';
import type { ClusterWorld } from './kubernetes-suite.ts';

/** A Lease of two seconds, where time is ours; where it is real, longer by a factor that a busy machine needs. */
const shortest = { durationMs: 2_000, renewMs: 250 };

/** A wire that can be cut, and counts what goes over it. */
function fragile(inner: Transport): Transport & { cut: boolean; refuse: number | undefined } {
  const wire = {
    ...inner,
    cut: false,
    refuse: undefined as number | undefined,
    request: async (request: Parameters<Transport['request']>[0]) => {
      if (wire.cut) throw new AdapterError('transient', 'ECONNREFUSED', 'cut');
      if (wire.refuse !== undefined) return { status: wire.refuse, headers: {}, body: '' };
      return inner.request(request);
    },
  };
  return wire;
}

/** The contract of the Lease port. `slower`: by how much its times are longer than in virtual time. */
export function leaseContract(name: string, open: () => Promise<ClusterWorld>, slower = 1): void {
  const durationMs = shortest.durationMs * slower;
  const renewMs = shortest.renewMs * slower;
  const lookMs = 100 * slower;

  describe(`lease, ${name}`, () => {
    let world: ClusterWorld;
    let count = 0;
    let leases: Lease[] = [];

    beforeAll(async () => {
      world = await open();
      const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'os-patch' } };
      await world.transport.request({ method: 'POST', path: '/api/v1/namespaces', body });
    });
    afterEach(async () => {
      for (const lease of leases) await lease.release().catch(() => undefined);
      leases = [];
    });
    afterAll(() => world.close());

    const take = (
      lease: string,
      identity: string,
      transport = world.transport,
      more: Partial<LeaseOptions> = {},
    ): Lease => {
      const options = {
        identity,
        name: lease,
        clock: world.clock,
        log: silent,
        durationMs,
        renewMs,
        random: () => 0.5,
        ...more,
      };
      const taken = openLease(transport, options);
      leases.push(taken);
      return taken;
    };
    const until = async (what: () => boolean, limitMs = durationMs * 5): Promise<void> => {
      const end = world.clock.now() + limitMs;
      while (!what()) {
        if (world.clock.now() > end) throw new Error('it did not come to pass');
        await world.pass(50);
      }
    };
    const stored = async (lease: string) => {
      const path = `/apis/coordination.k8s.io/v1/namespaces/os-patch/leases/${lease}`;
      return (await world.transport.request({ method: 'GET', path })).body as {
        metadata: { annotations?: Record<string, string> };
        spec: Record<string, unknown>;
      };
    };
    const fresh = (): string => `lease-${(count += 1)}`;

    it('is taken when there is none, and renewed', async () => {
      const lease = fresh();
      const one = take(lease, 'one');
      await until(() => one.held());
      expect(one.holder()).toBe('one');
      const before = (await stored(lease)).spec;
      expect(before).toMatchObject({
        holderIdentity: 'one',
        leaseDurationSeconds: durationMs / 1000,
        leaseTransitions: 0,
      });
      expect(before['renewTime']).toMatch(/\.\d{6}Z$/);
      await world.pass(durationMs * 2);
      expect(one.held()).toBe(true);
      const after = (await stored(lease)).spec;
      expect(after['renewTime']).not.toBe(before['renewTime']);
      expect(after['acquireTime']).toBe(before['acquireTime']);
    });

    it('is held by one at a time', async () => {
      const lease = fresh();
      const [one, two, three] = [take(lease, 'one'), take(lease, 'two'), take(lease, 'three')];
      await until(() => [one, two, three].some((each) => each.held()));
      for (let look = 0; look < 20; look++) {
        await world.pass(lookMs);
        expect([one, two, three].filter((each) => each.held())).toHaveLength(1);
      }
      await until(() => new Set([one.holder(), two.holder(), three.holder()]).size === 1);
    });

    it('passes on at once when it is given back', async () => {
      const lease = fresh();
      const one = take(lease, 'one');
      await until(() => one.held());
      const two = take(lease, 'two');
      await world.pass(renewMs * 2);
      expect(two.held()).toBe(false);
      expect(two.holder()).toBe('one');
      await one.release();
      expect(one.held()).toBe(false);
      await until(() => two.held(), renewMs * 4);
      expect((await stored(lease)).spec).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 });
    });

    it('tells the holder of a standby that is alive, and of none that is gone', async () => {
      const lease = fresh();
      const one = take(lease, 'one');
      await until(() => one.held());
      await world.pass(renewMs * 4);
      expect(one.standby?.()).toBeUndefined();
      const wire = fragile(world.transport);
      const two = take(lease, 'two', wire, { node: 'worker-2' });
      let lost = false;
      await until(() => {
        lost ||= !one.held();
        return one.standby?.() !== undefined;
      });
      expect(one.standby?.()).toEqual({ identity: 'two', node: 'worker-2' });
      expect(two.standby?.()).toBeUndefined();
      for (let look = 0; look < 20; look++) {
        await world.pass(lookMs);
        expect([one.held(), one.standby?.()?.identity]).toEqual([true, 'two']);
      }
      expect(lost).toBe(false);
      wire.cut = true;
      await until(() => one.standby?.() === undefined, durationMs + renewMs * 2);
      expect(one.held()).toBe(true);
    });

    it('does not take an announcement that stays as it is for a standby', async () => {
      const lease = fresh();
      const one = take(lease, 'one');
      await until(() => one.held());
      const two = take(lease, 'two');
      await until(() => one.standby?.()?.identity === 'two');
      await two.release();
      // One that stops takes its word back: nothing is given to it any more.
      expect((await stored(lease)).metadata.annotations ?? {}).not.toHaveProperty(['oakum.dev/standby']);
      await until(() => one.standby?.() === undefined, renewMs * 4);
      const wire = fragile(world.transport);
      const dead = take(lease, 'dead', wire);
      await until(() => one.standby?.()?.identity === 'dead');
      wire.cut = true;
      await expect(dead.release()).rejects.toThrow('cut');
      await one.release();
      const three = take(lease, 'three');
      await until(() => three.held());
      expect((await stored(lease)).metadata.annotations).toHaveProperty(['oakum.dev/standby']);
      for (let look = 0; look < 10; look++) {
        await world.pass(lookMs);
        expect(three.standby?.()).toBeUndefined();
      }
      const four = take(lease, 'four');
      await until(() => three.standby?.()?.identity === 'four');
      expect(four.held()).toBe(false);
    });

    it('is handed over to a standby, which then has one itself, and is not taken back', async () => {
      const lease = fresh();
      const one = take(lease, 'one');
      await until(() => one.held());
      const two = take(lease, 'two');
      await until(() => one.standby?.() !== undefined);
      one.handOver?.();
      expect(one.held()).toBe(false);
      await until(() => {
        expect(one.held()).toBe(false);
        return two.held();
      }, renewMs * 4);
      await until(() => two.standby?.()?.identity === 'one');
      expect((await stored(lease)).spec).toMatchObject({ holderIdentity: 'two', leaseTransitions: 1 });
    });

    it('is left alone for half a minute by the one that handed it over, and taken again when nobody wants it', async () => {
      const lease = fresh();
      let ahead = 0;
      const one = take(lease, 'one', world.transport, { elapsed: () => world.clock.now() + ahead });
      await until(() => one.held());
      one.handOver?.();
      await world.pass(durationMs * 2);
      expect(one.held()).toBe(false);
      expect((await stored(lease)).spec['holderIdentity'] ?? '').toBe('');
      ahead = 30_000;
      await until(() => one.held(), renewMs * 4);
    });

    it('is given up before anybody else may take it, when the way to the server is cut', async () => {
      const lease = fresh();
      const wire = fragile(world.transport);
      const one = take(lease, 'one', wire);
      await until(() => one.held());
      const two = take(lease, 'two');
      await world.pass(renewMs * 2);
      wire.cut = true;
      let both = false;
      await until(() => {
        both ||= one.held() && two.held();
        return two.held();
      });
      expect(both).toBe(false);
      expect(one.held()).toBe(false);
      wire.cut = false;
      await world.pass(renewMs * 4);
      expect(one.held()).toBe(false);
      expect(one.holder()).toBe('two');
    });

    it('does not believe the clock of the holder', async () => {
      const lease = fresh();
      const spec = {
        holderIdentity: 'wrong-clock',
        leaseDurationSeconds: durationMs / 1000,
        renewTime: microTime(0),
        acquireTime: microTime(0),
      };
      const path = '/apis/coordination.k8s.io/v1/namespaces/os-patch/leases';
      const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: lease }, spec };
      expect((await world.transport.request({ method: 'POST', path, body })).status).toBe(201);
      const one = take(lease, 'one');
      await world.pass(durationMs / 2);
      // Its time is long past by our clock, yet it may be alive.
      expect(one.held()).toBe(false);
      await until(() => one.held(), durationMs * 2);
    });

    it('is not made longer by a clock that is set back', async () => {
      let wrong = 0;
      const clock: Clock = {
        now: () => world.clock.now() - wrong,
        sleep: (ms, signal) => world.clock.sleep(ms, signal),
      };
      const wire = fragile(world.transport);
      const one = take(fresh(), 'one', wire, { clock, elapsed: () => world.clock.now() });
      await until(() => one.held());
      wire.cut = true;
      wrong = 3_600_000;
      await until(() => !one.held(), durationMs);
    });

    it('has another term each time it is won, and the same while it is renewed', async () => {
      const wire = fragile(world.transport);
      const one = take(fresh(), 'one', wire);
      await until(() => one.held());
      expect(one.term?.()).toBe(1);
      await world.pass(renewMs * 4);
      expect([one.held(), one.term?.()]).toEqual([true, 1]);
      wire.cut = true;
      await until(() => !one.held());
      expect(one.term?.()).toBe(1);
      wire.cut = false;
      await until(() => one.held());
      expect(one.term?.()).toBe(2);
    });

    it('is lost at once when the right to it is', async () => {
      for (const status of [401, 403]) {
        const wire = fragile(world.transport);
        const heard: boolean[] = [];
        const one = take(fresh(), 'one', wire, { onChange: (held) => heard.push(held) });
        await until(() => one.held());
        wire.refuse = status;
        await until(() => !one.held(), renewMs * 3);
        expect(heard).toEqual([true, false]);
        wire.refuse = undefined;
        await until(() => one.held());
      }
    });

    it('goes on after an answer that was lost', async () => {
      const lease = fresh();
      let lost = 0;
      const wire: Transport = {
        ...world.transport,
        request: async (request) => {
          const response = await world.transport.request(request);
          if (request.method === 'PUT' && (lost += 1) === 2) throw new AdapterError('transient', '504', 'lost');
          return response;
        },
      };
      const one = take(lease, 'one', wire);
      await until(() => lost > 4);
      expect(one.held()).toBe(true);
      expect((await stored(lease)).spec).toMatchObject({ holderIdentity: 'one', leaseTransitions: 0 });
    });
  });
}
