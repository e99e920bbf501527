// Exact versions: the first node of a kind goes alone, and the later ones install what it has installed.
import { describe, expect, it } from 'vitest';
import { systemOf, withLocks } from '../../reconciler/plan/lock.ts';
import { aCluster, aPolicy, aRequest } from '../support/policies.ts';
import { TinyWorld } from '../support/tiny-world.ts';

const hour = 3_600_000;

function world(names: readonly string[], given: Parameters<typeof aPolicy>[0] = {}): TinyWorld {
  const policy = aPolicy({ rollout: { concurrency: { kind: 'count', value: 3 } }, ...given, updates: { lock: true } });
  const made = new TinyWorld(Date.UTC(2026, 5, 1, 12), aCluster({ policy, requests: [aRequest('now')] }));
  for (const name of names) made.cluster.addNode(name, { behaviour: { updates: { openssl: '3.0.2', bash: '5.2' } } });
  return made;
}

const installed = (made: TinyWorld, node: string): string[] =>
  made.cluster
    .machine(node)
    .installed.map(({ name, version }) => `${name} ${version}`)
    .sort();

describe('updates.lock', () => {
  it('lets the first node go alone and gives its versions to the others', async () => {
    const made = world(['a', 'b', 'c']);
    await made.run(30_000);
    expect(Object.values(made.theRun().nodes).map(({ node, phase }) => `${node} ${phase}`)).toContain('b Pending');
    expect(made.passes.at(-1)?.nodes.find(({ node }) => node === 'b')).toMatchObject({ reason: 'LockPending' });
    // What comes in now is not for this run.
    await made.run(hour, () => made.theRun().nodes['a']?.phase === 'Patched');
    for (const node of ['b', 'c'])
      made.cluster.machine(node).behaviour.updates = { openssl: '3.0.2', bash: '5.2', curl: '8.9' };
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Patched/Patched', 'b: Patched/Patched', 'c: Patched/Patched']);
    expect([installed(made, 'b'), installed(made, 'c')]).toEqual([installed(made, 'a'), installed(made, 'a')]);
    expect(made.theRun().locks).toMatchObject({
      'debian-gnu-linux-12/unknown': { node: 'a', packages: ['bash 5.2', 'openssl 3.0.2'] },
    });
    expect(made.ledger?.history['b']?.pending?.count).toBe(1);
  });

  it('fails a node that cannot have these versions, and changes nothing there', async () => {
    const made = world(['a', 'b']);
    await made.run(hour, () => made.theRun().nodes['a']?.phase === 'Patched');
    made.cluster.machine('b').behaviour.updates = { openssl: '3.0.3', bash: '5.2' };
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Patched/Patched', 'b: Failed/LockMismatch']);
    expect(installed(made, 'b')).toEqual([]);
  });

  it('makes a lock for each kind of system', async () => {
    const made = world(['a', 'b', 'c']);
    made.cluster.change('c', { osImage: 'Ubuntu 24.04.1 LTS' });
    made.cluster.machine('c').behaviour.updates = { openssl: '3.0.13-0ubuntu3' };
    await made.run(2 * hour);
    expect(Object.keys(made.theRun().locks ?? {}).sort()).toEqual([
      'debian-gnu-linux-12/unknown',
      'ubuntu-24.04/unknown',
    ]);
    expect(installed(made, 'c')).toEqual(['openssl 3.0.13-0ubuntu3']);
  });

  it('takes the next node for the first when the first has nothing to install', async () => {
    const made = world(['a', 'b', 'c']);
    made.cluster.machine('a').behaviour.updates = {};
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Skipped/UpToDate', 'b: Patched/Patched', 'c: Patched/Patched']);
    expect(Object.values(made.theRun().locks ?? {}).map(({ node }) => node)).toEqual(['b']);
  });

  it('stops where the list of the first node is not known', async () => {
    const made = world(['a', 'b']);
    made.cluster.machine('a').behaviour.updates = undefined;
    await made.run(2 * hour);
    expect(made.ends()).toEqual(['a: Patched/Patched', 'b: Failed/PackageListUnknown']);
    expect(made.theRun().nodes['b']?.message).toMatch(/the list of what a installed did not fit/);
  });

  it('never makes a lock of what is no package', async () => {
    const made = world(['a', 'b']);
    await made.run(2 * hour);
    const run = made.theRun();
    const first = run.nodes['a'];
    if (!first?.patch) throw new Error('a was not patched');
    const nodes = { a: { ...first, patch: { ...first.patch, packages: ["bash 1 5.2'; reboot"] } } };
    const { locks, ...bare } = run;
    expect(locks).toBeDefined();
    const [lock] = Object.values(withLocks({ ...bare, nodes }).locks ?? {});
    expect(lock?.packages).toEqual([]);
    expect(lock?.problem).toMatch(/a name or version that is none/);
  });

  it('knows kinds of systems by distribution, release and architecture', () => {
    const of = (osImage: string, arch = 'amd64') => systemOf({ osImage, labels: { 'kubernetes.io/arch': arch } });
    expect(of('Ubuntu 24.04.1 LTS')).toBe(of('Ubuntu 24.04.3 LTS'));
    expect(of('Debian GNU/Linux 12 (bookworm)')).toBe('debian-gnu-linux-12/amd64');
    const kinds = [
      'Rocky Linux 9.4 (Blue Onyx)',
      'Rocky Linux 9.5 (Blue Onyx)',
      'Debian GNU/Linux 13 (trixie)',
      'SUSE Linux Enterprise Server 15 SP5',
      'SUSE Linux Enterprise Server 15 SP6',
    ];
    expect(new Set([...kinds.map((kind) => of(kind)), of(kinds[0] ?? '', 'arm64')]).size).toBe(6);
  });
});
