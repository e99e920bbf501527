// What is chosen on Debian and Ubuntu: golden plans over archives with every shape that has gone wrong in the field.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apt, SNAPSHOT, source, type Apt } from './apt-fixture.ts';
import type { Root } from './roots.ts';
import { packagesOf, start } from './script.ts';

let fixture: Apt;
let root: Root;

beforeAll(async () => {
  fixture = await apt();
  root = await fixture.node();
});
afterAll(async () => {
  await root.close();
  await fixture.close();
});

const SECURITY = [
  'containerd 1.0 1.1',
  'held-user 1.0 1.1',
  'kubeadm 1.30.1-1.1 1.30.5-1.1',
  'kubectl 1.30.1-1.1 1.30.5-1.1',
  'kubelet 1.30.1-1.1 1.30.5-1.1',
  'libupd 1.0 1.1',
  'linux-image-2.0.0-2-generic - 2.0',
  'linux-image-generic 1.0 2.0',
  'newdep-main - 1.0',
  'sec-conflicts 1.0 1.1',
  'sec-needs-upd 1.0 1.1',
  'sec-newdep 1.0 1.1',
  'sec-newer-upd 1.0 1.1',
  'sec-phased 1.0 1.1',
  'sec-simple 1.0 1.1',
];

const KEPT = [
  ['containerd', 'protected'],
  ['held-user', 'held-by-user'],
  ['kubeadm', 'protected'],
  ['kubectl', 'protected'],
  ['kubelet', 'protected'],
  ['sec-conflicts', 'conflict'],
];

describe('selection', () => {
  test('scan finds the security updates, says what stays and why, and changes nothing', async () => {
    const state =
      'cd / && find etc usr var/lib/dpkg var/lib/apt var/cache/apt var/log -type f | sort | xargs md5sum; dpkg --get-selections';
    const before = await root.ok(state);
    const { result, status } = await start(root, { mode: 'scan' });
    expect(status).toBe(0);
    expect(packagesOf(result)).toEqual(SECURITY);
    expect(result.kept).toEqual(KEPT);
    expect(result.n).toMatchObject({ pending: 15, kept: 6, left: 9, protected: 4 });
    expect(result).toMatchObject({ status: 'Succeeded', code: 'OK', before: { os: 'ubuntu', osv: '24.04' } });
    expect(await root.ok(state)).toBe(before);
  });

  test.each(['bullseye', 'trixie'] as const)('the plan is the same with the apt of %s', async (release) => {
    const other = await fixture.node(release);
    try {
      const { result } = await start(other, { mode: 'scan' });
      expect(packagesOf(result)).toEqual(SECURITY);
      expect(result.kept).toEqual(KEPT);
    } finally {
      await other.close();
    }
  });

  test('one-line sources give the same plan as deb822', async () => {
    await root.ok('mkdir /run/aside && mv /etc/apt/sources.list.d/ubuntu.sources /run/aside/');
    const signed = `deb [signed-by=/etc/apt/keyrings/test.gpg] ${fixture.server.url}/ubuntu`;
    await root.write(
      '/etc/apt/sources.list',
      ['noble', 'noble-updates', 'noble-security'].map((suite) => `${signed} ${suite} main\n`).join(''),
    );
    const { result } = await start(root, { mode: 'scan' });
    await root.ok(
      'rm /etc/apt/sources.list && mv /run/aside/ubuntu.sources /etc/apt/sources.list.d/ && rmdir /run/aside',
    );
    expect(packagesOf(result)).toEqual(SECURITY);
  });

  test('scope all takes the other pockets and the vendor too, and leaves Kubernetes alone', async () => {
    const { result } = await start(root, { mode: 'scan', env: { OSP_SCOPE: 'all' } });
    expect(packagesOf(result)).toEqual([
      'bug-phased 1.0 1.1',
      'bugfix-only 1.0 1.1',
      'containerd 1.0 1.1',
      'held-user 1.0 1.1',
      'kubeadm 1.30.1-1.1 1.30.9-1.1',
      'kubectl 1.30.1-1.1 1.30.9-1.1',
      'kubelet 1.30.1-1.1 1.30.9-1.1',
      'libupd 1.0 1.1',
      'linux-image-2.0.0-2-generic - 2.0',
      'linux-image-generic 1.0 2.0',
      'newdep-main - 9.0',
      'sec-conflicts 1.0 1.1',
      'sec-needs-upd 1.0 1.1',
      'sec-newdep 1.0 1.1',
      'sec-newer-upd 1.0 1.2',
      'sec-phased 1.0 1.1',
      'sec-simple 1.0 1.1',
      'vendor-agent 1.0 2.0',
    ]);
    expect(result.kept).toEqual(KEPT);
  });

  test('include takes only what it names, with the dependencies that it needs', async () => {
    const { result } = await start(root, { mode: 'scan', env: { OSP_INCLUDE: 'sec-needs-* sec-simple' } });
    expect(packagesOf(result)).toEqual(['libupd 1.0 1.1', 'sec-needs-upd 1.0 1.1', 'sec-simple 1.0 1.1']);
    expect(result.kept).toEqual([]);
  });

  test('exclude leaves out, and says so', async () => {
    const { result } = await start(root, { mode: 'scan', env: { OSP_EXCLUDE: 'sec-simple linux-*' } });
    expect(result.kept).toContainEqual(['sec-simple', 'excluded']);
    expect(result.kept).toContainEqual(['linux-image-generic', 'excluded']);
    expect(result.n?.['left']).toBe(6);
  });

  test('the container runtime is taken when it is not held', async () => {
    const { result } = await start(root, { mode: 'scan', env: { OSP_HOLD_RUNTIME: 'false' } });
    expect(result.kept).not.toContainEqual(['containerd', 'protected']);
    expect(result.n?.['left']).toBe(10);
  });

  test('without dependencies from other pockets the fix that needs one is named', async () => {
    const { result } = await start(root, { mode: 'scan', env: { OSP_DEPS: 'security' } });
    expect(result.kept).toContainEqual(['sec-needs-upd', 'dependency']);
    expect(packagesOf(result)).not.toContain('libupd 1.0 1.1');
  });

  test('extended maintenance is a security archive where it is attached', async () => {
    await fixture.install(root, 'esm-fixed');
    await root.write(
      '/etc/apt/sources.list.d/esm.sources',
      source(`${fixture.server.url}/esm`, 'noble-infra-security'),
    );
    const { result } = await start(root, { mode: 'scan' });
    await root.ok('dpkg -r esm-fixed; rm /etc/apt/sources.list.d/esm.sources');
    expect(packagesOf(result)).toContain('esm-fixed 1.0 1.0+esm1');
  });

  test('a mirror with fields of its own is named by the policy, and nothing else is', async () => {
    const { result } = await start(root, {
      mode: 'scan',
      env: { OSP_APT_SECURITY_PINS: 'release o=Vendor Inc,l=Vendor' },
    });
    expect(packagesOf(result)).toContain('vendor-agent 1.0 2.0');
    const refused = await start(root, { mode: 'scan', env: { OSP_APT_SECURITY_PINS: 'origin 127.0.0.1' } });
    expect(refused.result.code).toBe('USAGE');
    expect(refused.status).toBe(20);
  });
});

describe("the administrator's own pins", () => {
  const pinned: readonly (readonly [string, string])[] = [
    ['to a version', 'Package: kubelet\nPin: version 1.30.9*\nPin-Priority: 1001\n'],
    ['to a glob at 32766', 'Package: kube*\nPin: version 1.30.9*\nPin-Priority: 32766\n'],
    ['to an origin', 'Package: *\nPin: origin "127.0.0.1"\nPin-Priority: 2000\n'],
    ['to a suite by Default-Release', 'APT::Default-Release "noble-updates";\n'],
  ];
  test.each(pinned)('%s never move a protected package or widen the selection', async (kind, text) => {
    const file = kind.includes('Default-Release') ? '/etc/apt/apt.conf.d/99test' : '/etc/apt/preferences.d/99test';
    await root.write(file, text);
    const { result } = await start(root, { mode: 'download' });
    await root.remove(file);
    expect(result.code).toBe('OK');
    expect(packagesOf(result)).toEqual(SECURITY);
    expect(result.kept).toContainEqual(['kubelet', 'protected']);
  });

  test('that keep a package back are honoured and reported', async () => {
    await root.write('/etc/apt/preferences', 'Package: sec-simple\nPin: version 1.0\nPin-Priority: 1001\n');
    const { result } = await start(root, { mode: 'scan' });
    await root.remove('/etc/apt/preferences');
    expect(result.kept).toContainEqual(['sec-simple', 'user-pin']);
  });

  test('that would bring in a version from outside the selection are overruled', async () => {
    await root.write(
      '/etc/apt/preferences.d/99test',
      'Package: bugfix-only\nPin: release a=noble-updates\nPin-Priority: 900\n',
    );
    const { result } = await start(root, { mode: 'scan' });
    await root.remove('/etc/apt/preferences.d/99test');
    expect(packagesOf(result)).toEqual(SECURITY);
  });
});

describe('what is never done', () => {
  test.each(['security', 'all'])('the next release among the sources is never taken, with scope %s', async (scope) => {
    const env = { OSP_SCOPE: scope };
    const without = await start(root, { mode: 'scan', env });
    await root.write('/etc/apt/sources.list.d/next.sources', source(`${fixture.server.url}/ubuntu`, 'plucky-security'));
    const { result } = await start(root, { mode: 'scan', env });
    await root.remove('/etc/apt/sources.list.d/next.sources');
    expect(result.code).toBe('OK');
    expect(packagesOf(result)).toEqual(packagesOf(without.result));
    expect(packagesOf(result)).toContain('sec-simple 1.0 1.1');
  });

  test('sources of another release than the one installed are no security archive', async () => {
    await root.write('/etc/os-release', (await root.read('/etc/os-release')).replace('noble', 'jammy'));
    const { result, status } = await start(root, { mode: 'scan' });
    await root.write('/etc/os-release', (await root.read('/etc/os-release')).replace('jammy', 'noble'));
    expect(status).toBe(20);
    expect(result.code).toBe('NO_SECURITY_SOURCE');
  });

  test('without a security archive nothing is taken from the others', async () => {
    const file = '/etc/apt/sources.list.d/ubuntu.sources';
    const whole = await root.read(file);
    await root.write(file, whole.replace(' noble-security', ''));
    const { result, status } = await start(root, { mode: 'download' });
    await root.write(file, whole);
    expect(status).toBe(20);
    expect(result).toMatchObject({ status: 'Refused', code: 'NO_SECURITY_SOURCE' });
  });

  test('a package whose fix needs a newer kubelet stays, with the reason', async () => {
    await fixture.install(root, 'drags-kubelet');
    const { result } = await start(root, { mode: 'download' });
    await root.ok('dpkg -r drags-kubelet');
    expect(result.code).toBe('OK');
    expect(result.kept).toContainEqual(['drags-kubelet', 'dependency']);
  });
});

describe('snapshots of the archive', () => {
  const EARLIER = ['sec-simple 1.0 1.1'];
  const known = (): string =>
    `Acquire::Snapshots::URI::Origin::Ubuntu "${fixture.server.url}/snapshot/@SNAPSHOTID@/";\n`;

  test('with an apt that knows them, the day that is named decides; where an archive has none, that is refused', async () => {
    const other = await fixture.node('trixie');
    try {
      const env = { OSP_SNAPSHOT: SNAPSHOT };
      await other.write('/etc/apt/apt.conf.d/99test', 'Acquire::Snapshots::URI::Override::Origin::Ubuntu "no";\n');
      const none = await start(other, { mode: 'scan', env });
      expect(none).toMatchObject({ status: 20, result: { code: 'USAGE' } });
      expect(none.result.msg).toMatch(/\/ubuntu noble.* has no snapshot/);
      await other.write('/etc/apt/apt.conf.d/99test', known());
      expect(packagesOf((await start(other, { mode: 'scan', env })).result)).toEqual(EARLIER);
      const patch = await start(other, { mode: 'patch', env });
      expect(patch.result, patch.stdout).toMatchObject({ code: 'OK', n: { applied: 1, left: 0 } });
      // Today's archive again: what the snapshot had not.
      const today = await start(other, { mode: 'scan' });
      expect(packagesOf(today.result)).toEqual(SECURITY.filter((line) => !EARLIER.includes(line)));
    } finally {
      await other.close();
    }
  });

  test('a snapshot that the administrator has set for apt counts from the first scan on', async () => {
    const other = await fixture.node('trixie');
    try {
      await other.write('/etc/apt/apt.conf.d/99test', `${known()}APT::Snapshot "${SNAPSHOT}";\n`);
      const { result } = await start(other, { mode: 'scan' });
      expect(packagesOf(result)).toEqual(EARLIER);
    } finally {
      await other.close();
    }
  });

  test('an apt that does not know them refuses', async () => {
    const { result, status } = await start(root, { mode: 'scan', env: { OSP_SNAPSHOT: SNAPSHOT } });
    expect(status).toBe(20);
    expect(result).toMatchObject({ code: 'USAGE' });
    expect(result.msg).toContain('does not know snapshots');
  });
});

test('sources that apt itself cannot read are refused in its own words', async () => {
  await root.write('/etc/apt/sources.list.d/typo.list', 'deb [signed-by=/x http://127.0.0.1/ noble main\n');
  const { result, status } = await start(root, { mode: 'scan' });
  await root.remove('/etc/apt/sources.list.d/typo.list');
  expect(status).toBe(20);
  expect(result.code).toBe('NO_SECURITY_SOURCE');
  expect(result.msg).toMatch(/cannot read its sources: .*typo\.list/);
});
