// Scans: which nodes are looked at, when, how many at once, and what is remembered of it.
import { describe, expect, it } from 'vitest';
import { turnOf } from '../../reconciler/plan/scan.ts';
import { aCluster, aPolicy, aRequest, someSettings } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const scans = aPolicy({ scan: { everyMs: day } });

function world(names: readonly string[], atOnce = 2): TinyWorld {
  const made = new TinyWorld(Date.UTC(2026, 5, 1, 12), aCluster({ policy: scans }));
  made.settings = someSettings({ ceilings: { nodesPerHour: undefined, scansAtOnce: atOnce } });
  for (const name of names) made.cluster.addNode(name, { behaviour: { updates: { openssl: '3.0.2', bash: '5.2' } } });
  return made;
}

const scanned = (made: TinyWorld): string[] => made.cluster.jobsOf('scan').map((job) => job.nodeName);

describe('scans', () => {
  it('look at every node soon after the first look, at most as many at once as the deployment allows', async () => {
    const made = world(['a', 'b', 'c', 'd', 'e']);
    let most = 0;
    await made.run(hour, () => {
      most = Math.max(most, made.cluster.jobsOf('scan').filter((job) => job.state === 'running').length);
      return false;
    });
    expect(scanned(made).sort()).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(most).toBe(2);
    expect(made.ledger?.history['a']?.pending).toMatchObject({ count: 2, installable: 2, reboot: false });
    // One list for five nodes that have the same.
    expect(Object.values(made.ledger?.sightings?.lists ?? {})).toEqual([['bash 5.2', 'openssl 3.0.2']]);
    expect(made.cluster.done.filter((action) => action.kind === 'cordon' || action.kind === 'evict')).toEqual([]);
  });

  it('look again once in every turn, each node at an offset of its own', async () => {
    const made = world(['a', 'b', 'c']);
    await made.run(3 * day + hour);
    const { uid } = made.cluster.machine('a').view;
    const turns = made.cluster.done.filter(
      (action) =>
        action.kind === 'createJob' &&
        action.node === 'a' &&
        action.manifest.metadata.labels['oakum.dev/step'] === 'scan',
    );
    // The first at once, then one in each turn of the node's own.
    expect(turns.length).toBeGreaterThanOrEqual(3);
    expect(turns.length).toBeLessThanOrEqual(5);
    const { begins, ends } = turnOf(uid, day, made.now);
    expect(ends - begins).toBe(day);
    expect(turnOf('another', day, made.now).begins).not.toBe(begins);
    // The first sight is the cluster's first, and is not moved by later looks.
    expect(made.ledger?.history['a']?.pending?.since).toBeLessThan(Date.UTC(2026, 5, 1, 13));
  });

  it('go on outside windows and in freezes, not under suspend and not while the namespace is frozen by hand', async () => {
    const closed = world(['a']);
    closed.change({
      frozen: 'fleet',
      policy: aPolicy({
        scan: { everyMs: day },
        windows: [{ days: ['Sun'], start: '02:00', durationMs: hour, timeZone: 'UTC' }],
      }),
    });
    await closed.run(hour);
    expect(scanned(closed)).toEqual(['a']);
    const suspended = world(['a']);
    suspended.change({ policy: aPolicy({ scan: { everyMs: day }, suspend: true }) });
    await suspended.run(hour);
    expect(scanned(suspended)).toEqual([]);
    const byHand = world(['a']);
    byHand.cluster.freeze = 'an incident';
    await byHand.run(hour);
    expect(scanned(byHand)).toEqual([]);
  });

  it('never touch a node that a run is at work on, and a run waits for the end of a scan', async () => {
    const made = world(['a', 'b'], 5);
    made.cluster.machine('a').behaviour.jobMs = 5 * minute;
    await made.pass();
    expect(scanned(made).sort()).toEqual(['a', 'b']);
    made.change({ requests: [aRequest('now')] });
    await made.run(minute);
    const { nodes } = made.theRun();
    expect(nodes['a']?.phase).toBe('Pending');
    expect(made.passes.at(-1)?.nodes.find(({ node }) => node === 'a')).toMatchObject({ reason: 'WaitingForJob' });
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Patched/Patched', 'b: Patched/Patched']);
  });

  it('leave out nodes that are excluded, not Ready, of another system, or in the hands of another tool', async () => {
    const made = world(['out', 'down', 'ok']);
    made.cluster.change('out', {
      labels: { ...made.cluster.machine('out').view.labels, 'oakum.dev/patch': 'disabled' },
    });
    made.cluster.change('down', { ready: false });
    await made.run(hour);
    expect(scanned(made)).toEqual(['ok']);
  });

  it('are tried three times, then the node waits for its next turn, and the reason stays', async () => {
    const made = world(['a']);
    made.cluster.machine('a').behaviour.fail = { scan: 'REPO_DNS' };
    await made.run(hour);
    expect(made.cluster.jobsOf('scan')).toHaveLength(3);
    expect(made.ledger?.history['a']).toMatchObject({
      pending: undefined,
      lastError: '',
      scan: { error: { reason: 'RepositoryUnavailable' } },
    });
    made.cluster.machine('a').behaviour.fail = {};
    await made.run(day);
    expect(made.ledger?.history['a']).toMatchObject({ pending: { count: 2 }, scan: { error: undefined } });
  });

  it('are not begun by a deployment that allows none, nor by a policy that says never', async () => {
    const none = world(['a'], 0);
    await none.run(2 * day);
    const never = world(['a']);
    never.change({ policy: aPolicy() });
    await never.run(2 * day);
    expect([...scanned(none), ...scanned(never)]).toEqual([]);
  });

  it('end the same when Oakum is killed at any effect', async () => {
    for (let effect = 1; effect <= 6; effect++) {
      const made = world(['a', 'b']);
      let count = 0;
      made.onEffect = () => {
        if (++count === effect) throw new Error('killed');
      };
      for (let look = 0; look < 40; look++) {
        await made.pass().catch(() => made.restart());
        made.now += 10_000;
      }
      expect(scanned(made).sort()).toEqual(['a', 'b']);
      expect(made.ledger?.history['b']?.pending?.count).toBe(2);
    }
  });

  it('find what somebody else has installed, or another kernel, and say so until a run of ours', async () => {
    const made = world(['a', 'b']);
    await made.run(hour);
    made.cluster.machine('a').behaviour.updates = { bash: '5.3' };
    made.cluster.change('b', { kernel: '6.1.0-99' });
    await made.run(2 * day);
    expect(made.ledger?.history['a']?.outside?.message).toMatch(/no longer pending: openssl 3\.0\.2; no run of Oakum/);
    expect(made.ledger?.history['b']?.outside?.message).toMatch(/it runs kernel 6\.1\.0-99 and ran 6\.1\.0-1/);
    made.change({ requests: [aRequest('now')] });
    await made.run(2 * hour);
    expect(made.ledger?.history['a']?.outside).toBeUndefined();
    // Our own work is not the work of others.
    await made.run(3 * day);
    expect(made.ledger?.history['a']?.outside).toBeUndefined();
  });
});
