// What a ledger must do, whoever serves the ConfigMaps: the simulation in process or over HTTP, or a real API server.
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLedger } from '../../reconciler/adapters/ledger.ts';
import { nodesPerShard } from '../../reconciler/adapters/ledger-layout.ts';
import type { KubeRequest, Transport } from '../../reconciler/adapters/kubernetes-transport.ts';
import { canonical, digest } from '../../reconciler/model/digest.ts';
import { AdapterError } from '../../reconciler/model/failure.ts';
import type { LedgerDocument, NodeHistory, NodeRecord, RunRecord } from '../../reconciler/model/ledger.ts';
import type { Policy } from '../../reconciler/model/policy.ts';
import { readResult } from '../../reconciler/model/result-text.ts';

export interface LedgerWorld {
  readonly transport: Transport;
  close(): Promise<void>;
}

const policy = { name: 'p', suspend: false, schedule: undefined } as unknown as Policy;

export function node(name: string, phase: NodeRecord['phase'], more: Partial<NodeRecord> = {}): NodeRecord {
  return {
    node: name,
    uid: `uid-${name}`,
    phase,
    reason: 'Working',
    message: 'a sentence',
    since: 1,
    startedAt: undefined,
    endedAt: undefined,
    attempt: 1,
    scriptAttempt: 1,
    unsure: false,
    tries: 0,
    notBefore: undefined,
    cordoned: false,
    foreignCordon: false,
    zone: 'a',
    controlPlane: false,
    kernelBefore: '',
    bootIdBefore: '',
    heartbeatBefore: '',
    rebootAt: undefined,
    backSince: undefined,
    kernelAfter: '',
    download: undefined,
    patch: undefined,
    marked: false,
    drainTries: 0,
    outcome: undefined,
    ...more,
  };
}

export function run(id: string, hash: string, nodes: readonly NodeRecord[], more: Partial<RunRecord> = {}): RunRecord {
  return {
    id,
    hash,
    triggers: [{ kind: 'schedule', at: 1 }],
    action: 'patch',
    state: 'Running',
    reason: 'Working',
    message: '',
    since: 1,
    createdAt: 1,
    startedAt: 2,
    endedAt: undefined,
    validUntil: 9,
    commit: 'c1',
    digest: 'd1',
    spec: { policy, onlyNodes: [], onlySelector: undefined, why: '' },
    nodes: Object.fromEntries(nodes.map((record) => [record.node, record])),
    forgiven: 0,
    archived: false,
    ...more,
  };
}

export function fresh(more: Partial<LedgerDocument> = {}): LedgerDocument {
  return {
    version: 1,
    clusterUid: 'cluster-1',
    startedAt: 1,
    renewed: false,
    accepted: undefined,
    slot: undefined,
    requests: {},
    runs: {},
    history: {},
    ...more,
  };
}

const history = (lastRun: string): NodeHistory => ({
  uid: 'u',
  lastPatched: 5,
  lastChecked: 6,
  patchedVersion: 'Debian',
  lastRun,
  lastError: '',
  reboots: [4],
  durations: [60_000],
  pending: undefined,
  quarantine: undefined,
});

/** As JSON sees it: fields that are undefined are absent. */
const plain = (document: LedgerDocument | undefined): unknown =>
  document === undefined ? undefined : (JSON.parse(JSON.stringify(document)) as unknown);

/** Lets `writes` writes through; the process that sends the next one is dead, with or without the write having arrived. */
function dying(inner: Transport, writes: number, arrives: boolean): Transport & { readonly died: () => boolean } {
  let left = writes;
  return {
    ...inner,
    died: () => left < 0,
    request: async (request: KubeRequest) => {
      if (request.method === 'GET') return inner.request(request);
      left -= 1;
      if (left >= 0) return inner.request(request);
      if (left === -1 && arrives) await inner.request(request);
      throw new AdapterError('transient', 'ECONNRESET', 'killed');
    },
  };
}

/** The contract of the Ledger port. */
export function ledgerContract(name: string, open: () => Promise<LedgerWorld>): void {
  describe(`ledger, ${name}`, () => {
    let world: LedgerWorld;
    let count = 0;
    /** Namespaces stand for ledgers of their own, so that one server serves all tests. */
    const space = async (): Promise<string> => {
      const namespace = `ledger-${(count += 1)}`;
      const body = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
      const { status } = await world.transport.request({ method: 'POST', path: '/api/v1/namespaces', body });
      expect(status).toBe(201);
      return namespace;
    };
    const maps = async (namespace: string): Promise<{ name: string; data: Record<string, string> }[]> => {
      const { body } = await world.transport.request({
        method: 'GET',
        path: `/api/v1/namespaces/${namespace}/configmaps`,
      });
      const { items } = body as { items: { metadata: { name: string }; data?: Record<string, string> }[] };
      return items
        .map(({ metadata, data }) => ({ name: metadata.name, data: data ?? {} }))
        .filter(({ name: found }) => found.startsWith('oakum-'));
    };
    const drop = (namespace: string, map: string) =>
      world.transport.request({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/configmaps/${map}` });
    const stored = async (namespace: string): Promise<unknown> =>
      plain(await openLedger(world.transport, { namespace }).load());

    beforeAll(async () => {
      world = await open();
    });
    afterAll(() => world.close());

    it('is undefined when there is none', async () => {
      expect(await openLedger(world.transport, { namespace: await space() }).load()).toBeUndefined();
    });

    it('gives back what was saved, and undefined stays undefined', async () => {
      const namespace = await space();
      const request = {
        name: 'patch-now',
        oid: 'o',
        firstSeen: 1,
        state: 'Waiting',
        reason: 'Due',
        message: '',
        since: 1,
        run: undefined,
      } as const;
      const document = fresh({
        accepted: { commit: 'c', committedAt: 3 },
        slot: { schedule: 's', at: 4 },
        requests: { 'patch-now': request },
        runs: {
          '20261206-b': run('20261206-b', 'bbbbbbbbbb', [node('w1', 'Patched', { endedAt: 7 }), node('w2', 'Pending')]),
          '20261206-a': run('20261206-a', 'aaaaaaaaaa', []),
        },
        history: { w1: history('20261206-b') },
        sightings: { first: { 'debian openssl 3.0.2': [7, 20_000] }, lists: { abc: ['openssl 3.0.2'] } },
      });
      await openLedger(world.transport, { namespace }).save(undefined, document);
      const loaded = await openLedger(world.transport, { namespace }).load();
      expect(plain(loaded)).toEqual(plain(document));
      expect(Object.keys(loaded?.runs ?? {})).toEqual(['20261206-b', '20261206-a']);
      expect(loaded?.runs['20261206-b']?.nodes['w2']?.startedAt).toBeUndefined();
    });

    it('keeps what scans saw under a key of its own, so that the head stays small', async () => {
      const namespace = await space();
      const written: Record<string, unknown>[] = [];
      const watching: Transport = {
        ...world.transport,
        request: (request) => {
          const { data } = (request.body ?? {}) as { data?: Record<string, unknown> };
          if (request.method === 'PATCH' && data) written.push(data);
          return world.transport.request(request);
        },
      };
      const first = fresh();
      await openLedger(world.transport, { namespace }).save(undefined, first);
      const ledger = openLedger(watching, { namespace });
      await ledger.load();
      const second = { ...first, sightings: { first: { 'debian bash 5.2': [7, 20_000] as const }, lists: {} } };
      await ledger.save(first, second);
      expect(written.flatMap((data) => Object.keys(data)).filter((key) => !key.startsWith('_'))).toEqual(['sightings']);
      expect((await openLedger(world.transport, { namespace }).load())?.sightings).toEqual(second.sightings);
    });

    it('writes only what differs', async () => {
      const namespace = await space();
      const written: string[] = [];
      const watching: Transport = {
        ...world.transport,
        request: (request) => {
          if (request.method !== 'GET') written.push(JSON.stringify(request.body));
          return world.transport.request(request);
        },
      };
      const ledger = openLedger(watching, { namespace });
      const one = fresh({ runs: { r: run('r', 'cccccccccc', [node('w1', 'Pending'), node('w2', 'Pending')]) } });
      await ledger.save(undefined, one);
      written.length = 0;
      await ledger.save(one, one);
      expect(written).toEqual([]);
      const two = fresh({ runs: { r: run('r', 'cccccccccc', [node('w1', 'Cordoning'), node('w2', 'Pending')]) } });
      await ledger.save(one, two);
      expect(written).toHaveLength(2);
      expect(written[1]).toContain('"w1"');
      expect(written.join('')).not.toContain('"w2":');
    });

    it('has room for a whole ConfigMap of nodes whose results name as many packages as are taken up', async () => {
      const namespace = await space();
      // Names and versions of pure chance, which compress much worse than real ones: 12 KiB are taken up (model/result-log.ts).
      const packages = Array.from({ length: 755 }, (_, index) => {
        const mark = digest(String(index), 12);
        return `lib${mark}-${String(index)} 1.${mark.slice(0, 3)}-2+deb12u1 1.${mark.slice(0, 3)}-2+deb12u7`;
      });
      const result = readResult(
        JSON.stringify({
          v: 1,
          code: 'OK',
          kept: Array.from({ length: 20 }, (_, index) => [`kept-${String(index)}`, 'held-by-user']),
          pkgs: { enc: 'gz', data: gzipSync(packages.join('\n')).toString('base64') },
        }),
      );
      expect(result?.packages).toEqual(packages);
      const bytes = gzipSync(packages.join('\n'), { level: 9 }).length;
      expect([bytes > 12_000, bytes <= 12_288]).toEqual([true, true]);
      const names = Array.from({ length: nodesPerShard }, (_, index) => `worker-${String(index)}`);
      const records = names.map((each) => node(each, 'Patched', { download: result, patch: result }));
      const full = fresh({ runs: { r: run('r', 'eeeeeeeeee', records) } });
      const mib = 1_048_576;
      expect(JSON.stringify(records).length).toBeGreaterThan(mib);
      await openLedger(world.transport, { namespace }).save(undefined, full);
      const sizes = (await maps(namespace)).map(({ data }) => JSON.stringify(data).length);
      expect(Math.max(...sizes)).toBeLessThan(mib * 0.9);
      expect(canonical(await openLedger(world.transport, { namespace }).load())).toBe(canonical(full));
    });

    it('reads lists of packages that were written before they were packed', async () => {
      const namespace = await space();
      const packages = Array.from({ length: 40 }, (_, index) => `package-${String(index)} 1.0 1.1`);
      const result = readResult(JSON.stringify({ v: 1, code: 'OK', pkgs: { enc: 'plain', data: packages } }));
      const plain = fresh({ runs: { r: run('r', 'ffffffffff', [node('w1', 'Patched', { patch: result })]) } });
      await openLedger(world.transport, { namespace }).save(undefined, plain);
      const [shard] = (await maps(namespace)).filter(({ name: map }) => /-ffffffffff-\d+$/.test(map));
      expect(shard?.data['w1']).not.toContain('package-39');
      const unpacked = { ...shard?.data, w1: JSON.stringify(node('w1', 'Patched', { patch: result })) };
      await world.transport.request({
        method: 'PATCH',
        path: `/api/v1/namespaces/${namespace}/configmaps/${shard?.name ?? ''}`,
        body: { data: unpacked },
        contentType: 'application/merge-patch+json',
      });
      expect(canonical(await openLedger(world.transport, { namespace }).load())).toBe(canonical(plain));
    });

    it('spreads many nodes over ConfigMaps, and a node keeps its place', async () => {
      const namespace = await space();
      const names = Array.from({ length: nodesPerShard * 2 + 5 }, (_, index) => `worker-${index}`);
      const first = fresh({
        runs: {
          r: run(
            'r',
            'dddddddddd',
            names.map((each) => node(each, 'Pending')),
          ),
        },
      });
      const ledger = openLedger(world.transport, { namespace });
      await ledger.save(undefined, first);
      const places = async (): Promise<Map<string, string>> =>
        new Map((await maps(namespace)).flatMap(({ name: map, data }) => Object.keys(data).map((key) => [key, map])));
      const before = await places();
      expect((await maps(namespace)).filter(({ name: map }) => /-dddddddddd-\d+$/.test(map))).toHaveLength(3);
      const again = openLedger(world.transport, { namespace });
      const loaded = await again.load();
      const more = ['a-new-one', ...names].reverse();
      await again.save(
        loaded,
        fresh({
          runs: {
            r: run(
              'r',
              'dddddddddd',
              more.map((each) => node(each, 'Pending', { attempt: 2 })),
            ),
          },
        }),
      );
      const after = await places();
      for (const each of names) expect(after.get(each)).toBe(before.get(each));
      expect(await stored(namespace)).toMatchObject({ runs: { r: { nodes: { 'a-new-one': { attempt: 2 } } } } });
    });

    it('lets one of two writers win, and the other one read again', async () => {
      const namespace = await space();
      const base = fresh({ runs: { r: run('r', 'eeeeeeeeee', [node('w1', 'Pending')]) } });
      await openLedger(world.transport, { namespace }).save(undefined, base);
      const [left, right] = [openLedger(world.transport, { namespace }), openLedger(world.transport, { namespace })];
      const [seenLeft, seenRight] = [await left.load(), await right.load()];
      const change = (phase: NodeRecord['phase']): LedgerDocument =>
        fresh({ runs: { r: run('r', 'eeeeeeeeee', [node('w1', phase)]) } });
      await left.save(seenLeft, change('Cordoning'));
      await expect(right.save(seenRight, change('Skipped'))).rejects.toMatchObject({
        name: 'AdapterError',
        kind: 'conflict',
      });
      await expect(right.save(seenRight, change('Skipped'))).rejects.toMatchObject({ kind: 'conflict' });
      expect(await stored(namespace)).toMatchObject({ runs: { r: { nodes: { w1: { phase: 'Cordoning' } } } } });
      await right.save(await right.load(), change('Patched'));
      expect(await stored(namespace)).toMatchObject({ runs: { r: { nodes: { w1: { phase: 'Patched' } } } } });
    });

    it('refuses a writer who has read an older state, whatever part was written since', async () => {
      const namespace = await space();
      const both = (one: NodeRecord['phase'], two: NodeRecord['phase']): LedgerDocument =>
        fresh({
          runs: {
            r: run('r', 'eeeeeeeeee', [node('w1', one)]),
            s: run('s', 'ffffffffff', [node('w2', two)]),
          },
        });
      await openLedger(world.transport, { namespace }).save(undefined, both('Pending', 'Pending'));
      const [left, right] = [openLedger(world.transport, { namespace }), openLedger(world.transport, { namespace })];
      const [seenLeft, seenRight] = [await left.load(), await right.load()];
      await left.save(seenLeft, both('Cordoning', 'Pending'));
      await expect(right.save(seenRight, both('Pending', 'Cordoning'))).rejects.toMatchObject({ kind: 'conflict' });
      expect(await stored(namespace)).toEqual(plain(both('Cordoning', 'Pending')));
    });

    it('does not begin a ledger where there is one, nor go on with one that is gone', async () => {
      const namespace = await space();
      const ledger = openLedger(world.transport, { namespace });
      await ledger.save(undefined, fresh());
      const other = openLedger(world.transport, { namespace });
      await expect(other.save(undefined, fresh({ clusterUid: 'other' }))).rejects.toMatchObject({ kind: 'conflict' });
      await drop(namespace, 'oakum-ledger');
      await expect(ledger.save(fresh(), fresh({ slot: { schedule: 's', at: 9 } }))).rejects.toMatchObject({
        kind: 'conflict',
      });
    });

    it('removes the ConfigMaps of a run that is forgotten', async () => {
      const namespace = await space();
      const ledger = openLedger(world.transport, { namespace });
      const document = fresh({ runs: { r: run('r', 'ffffffffff', [node('w1', 'Patched')]) } });
      await ledger.save(undefined, document);
      await ledger.save(document, fresh());
      expect((await maps(namespace)).map(({ name: map }) => map)).toEqual(['oakum-ledger']);
    });

    it('is corrupt, and never empty, when a part is missing or unreadable', async () => {
      const document = fresh({
        runs: { r: run('r', '1111111111', [node('w1', 'Patched')]) },
        history: { w1: history('r') },
      });
      for (const map of ['oakum-ledger', 'oakum-run-1111111111', 'oakum-run-1111111111-0', 'oakum-history-0']) {
        const namespace = await space();
        await openLedger(world.transport, { namespace }).save(undefined, document);
        await drop(namespace, map);
        await expect(openLedger(world.transport, { namespace }).load(), map).rejects.toMatchObject({
          kind: 'rejected',
          code: 'LedgerCorrupt',
        });
      }
      for (const [map, key] of [
        ['oakum-ledger', 'ledger'],
        ['oakum-run-1111111111', 'run'],
        ['oakum-run-1111111111-0', 'w1'],
      ] as const) {
        const namespace = await space();
        await openLedger(world.transport, { namespace }).save(undefined, document);
        await world.transport.request({
          method: 'PATCH',
          path: `/api/v1/namespaces/${namespace}/configmaps/${map}`,
          contentType: 'application/merge-patch+json',
          body: { data: { [key]: '{"half' } },
        });
        await expect(openLedger(world.transport, { namespace }).load(), map).rejects.toMatchObject({
          code: 'LedgerCorrupt',
        });
      }
    });

    const before = fresh({
      slot: { schedule: 's', at: 1 },
      runs: {
        old: run('old', '2222222222', [node('w1', 'Patched')], { state: 'Succeeded' }),
        now: run('now', '3333333333', [node('w1', 'Uncordoning'), node('w2', 'Pending')]),
      },
      history: { w1: history('old') },
    });
    const after = fresh({
      slot: { schedule: 's', at: 2 },
      requests: {
        q: {
          name: 'q',
          oid: 'o',
          firstSeen: 1,
          state: 'Registered',
          reason: 'Due',
          message: '',
          since: 1,
          run: 'next',
        },
      },
      runs: {
        now: run('now', '3333333333', [node('w1', 'Patched', { endedAt: 8 }), node('w2', 'Cordoning')], {
          message: 'on',
        }),
        next: run('next', '4444444444', [node('w3', 'Pending')], { state: 'Scheduled' }),
      },
      history: { w1: history('now'), w2: history('old') },
    });

    for (const arrives of [false, true])
      it(`is all of a save or nothing of it, killed at any write (${arrives ? 'the last one arrived' : 'the last one did not arrive'})`, async () => {
        const outcomes: string[] = [];
        for (let writes = 0; ; writes++) {
          const namespace = await space();
          await openLedger(world.transport, { namespace }).save(undefined, before);
          const wire = dying(world.transport, writes, arrives);
          const victim = openLedger(wire, { namespace });
          const loaded = await victim.load();
          const failed = await victim.save(loaded, after).then(
            () => false,
            (error: unknown) => error instanceof AdapterError,
          );
          expect(failed).toBe(wire.died());
          const found = canonical(await stored(namespace));
          expect([canonical(before), canonical(after)]).toContain(found);
          outcomes.push(found === canonical(after) ? 'after' : 'before');
          // Whatever was left, the next one goes on from it to the same end, without rubbish.
          const heir = openLedger(world.transport, { namespace });
          await heir.save(await heir.load(), after);
          expect(await stored(namespace)).toEqual(plain(after));
          expect((await maps(namespace)).map(({ name: map }) => map).sort()).toEqual([
            'oakum-history-0',
            'oakum-ledger',
            'oakum-run-3333333333',
            'oakum-run-3333333333-0',
            'oakum-run-4444444444',
            'oakum-run-4444444444-0',
          ]);
          if (!wire.died()) break;
        }
        expect(outcomes.length).toBeGreaterThan(6);
        expect(outcomes[0]).toBe('before');
        expect(outcomes.at(-1)).toBe('after');
        // One moment decides.
        expect(outcomes.lastIndexOf('before')).toBe(outcomes.indexOf('after') - 1);
      });

    it('begins as an empty ledger or as the whole one, killed at any write', async () => {
      const found: unknown[] = [];
      for (let writes = 0; ; writes++) {
        const namespace = await space();
        const wire = dying(world.transport, writes, false);
        await openLedger(wire, { namespace })
          .save(undefined, before)
          .catch(() => undefined);
        found.push(await stored(namespace));
        if (!wire.died()) break;
      }
      expect(found[0]).toBeUndefined();
      for (const each of found.slice(1, -1)) expect(each).toEqual(plain(fresh()));
      expect(found.at(-1)).toEqual(plain(before));
    });

    it('saves more at once than one ConfigMap holds', async () => {
      const namespace = await space();
      const names = Array.from({ length: 300 }, (_, index) => `worker-${index}`);
      const large = (phase: NodeRecord['phase']): LedgerDocument =>
        fresh({
          runs: {
            r: run(
              'r',
              '5555555555',
              names.map((each) => node(each, phase, { message: `${phase} ${'x'.repeat(8_000)}` })),
            ),
          },
        });
      const ledger = openLedger(world.transport, { namespace });
      const [one, two] = [large('Pending'), large('Skipped')];
      await ledger.save(undefined, one);
      await ledger.save(one, two);
      expect(await stored(namespace)).toEqual(plain(two));
    });
  });
}
