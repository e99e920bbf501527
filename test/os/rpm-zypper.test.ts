// zypper on a SLES 15 shaped node, with an old and a new zypper: what is chosen, what stays and why, codes and locks.
import { spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Root } from './roots.ts';
import { rpm, versionsOf, type NodeShape, type Rpm } from './rpm-fixture.ts';
import { packagesOf, runId, start } from './script.ts';

let fixture: Rpm;
const open: Root[] = [];
const node = async (shape?: NodeShape, release: 'bookworm' | 'trixie' = 'trixie'): Promise<Root> => {
  const root = await fixture.zypperNode(release, shape);
  open.push(root);
  return root;
};

beforeAll(async () => {
  fixture = await rpm();
});
afterEach(async () => {
  for (const root of open.splice(0)) await root.close();
});
afterAll(() => fixture.close());

const PENDING = [
  'containerd.io 1.7.1-1.el9 1.7.2-1.el9',
  'kernel - 99.2-1.el9',
  'kernel-core - 99.2-1.el9',
  'kubeadm 1.30.1-150500.1.1 1.30.9-150500.1.1',
  'kubectl 1.30.1-150500.1.1 1.30.9-150500.1.1',
  'kubelet 1.30.1-150500.1.1 1.30.9-150500.1.1',
  'libup 1.1-1.el9 1.2-1.el9',
  'newdep - 1.0-1.el9',
  'openssl-libs 3.0.1-1.el9 3.0.3-1.el9',
  'sec-conf 1.1-1.el9 1.2-1.el9',
  'sec-imp 1.1-1.el9 1.2-1.el9',
  'sec-low 1.1-1.el9 1.2-1.el9',
  'sec-needs-libup 1.1-1.el9 1.2-1.el9',
  'sec-newdep 1.1-1.el9 1.2-1.el9',
];

const KEPT = [
  ['containerd.io', 'protected'],
  ['kubeadm', 'protected'],
  ['kubectl', 'protected'],
  ['kubelet', 'protected'],
  ['sec-conf', 'conflict'],
];

const REPO = '/etc/zypp/repos.d/sles.repo';
const repository = (url: string): string =>
  `[distro-base]\nname=base\nbaseurl=${url}\nenabled=1\ngpgcheck=0\ntype=rpm-md\n`;

describe.each(['bookworm', 'trixie'] as const)('with the zypper of %s', (release) => {
  test('scan changes nothing; download, patch without a network, verify; a second patch has nothing to do', async () => {
    const root = await node({}, release);
    const state =
      'cd / && find etc usr var/lib/rpm var/lib/zypp var/cache/zypp var/log -type f ! -name "rpmdb.sqlite-*" ! -name AnonymousUniqueId | sort | xargs md5sum; rpm -qa | sort';
    const before = await root.ok(state);
    const scan = await start(root, { mode: 'scan' });
    expect(scan.result.code, scan.result.msg).toBe('OK');
    expect(packagesOf(scan.result)).toEqual(PENDING);
    expect(scan.result.kept).toEqual(KEPT);
    expect(scan.result.n).toMatchObject({ pending: 14, kept: 5, left: 9 });
    expect(await root.ok(state)).toBe(before);

    const run = runId();
    const etc = await root.ok('cd /etc && find . -type f | sort | xargs md5sum');
    const download = await start(root, { mode: 'download', run });
    expect(download.result.code, download.result.msg).toBe('OK');
    expect(await versionsOf(root, 'sec-imp')).toEqual(['sec-imp 1.1-1.el9']);
    const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' }, host: ['unshare', '-n'] });
    expect(patch.result.code, patch.result.msg).toBe('KEPT_BACK');
    expect(packagesOf(patch.result)).toEqual(PENDING.filter((line) => !/^(containerd|kube|sec-conf)/.test(line)));
    expect(patch.result.adv).toEqual(
      ['0001', '0004', '0005', '0008', '0009', '0010'].map((number) => `SEC-2026:${number}`),
    );
    expect(patch.result.reboot?.required).toBe(true);
    expect(patch.result.reboot?.why).toContain('kernel');
    expect(await root.ok('cd /etc && find . -type f | sort | xargs md5sum')).toBe(etc);
    expect(await versionsOf(root, 'kernel-core', 'kubelet', 'bugonly', 'oldtool')).toEqual([
      'bugonly 1.1-1.el9',
      'kernel-core 99.1-1.el9',
      'kernel-core 99.2-1.el9',
      'kubelet 1.30.1-150500.1.1',
      'oldtool 1.0-1.el9',
    ]);
    expect((await start(root, { mode: 'verify', run })).result.code).toBe('OK');
    const again = await start(root, { mode: 'patch' });
    expect(again.result).toMatchObject({ n: { applied: 0, new: 0 } });
  });
});

describe('selection', () => {
  test.each([
    ['scope all', { OSP_SCOPE: 'all' }, 'noadv', true],
    ['scope all leaves protected packages', { OSP_SCOPE: 'all' }, 'kubelet', false],
    ['an exclude stays', { OSP_EXCLUDE: 'sec-i*' }, 'sec-imp', false],
    ['a severity leaves the others', { OSP_SEVERITY: 'Low' }, 'sec-imp', false],
    ['a severity alone', { OSP_SEVERITY: 'Low' }, 'sec-low', true],
    ['CVE ids', { OSP_CVES: 'CVE-2026-2222' }, 'sec-imp', true],
    ['CVE ids leave the others', { OSP_CVES: 'CVE-2026-2222' }, 'openssl-libs', false],
    ['an include leaves the others', { OSP_INCLUDE: 'openssl*' }, 'sec-imp', false],
    ['an include', { OSP_INCLUDE: 'openssl*' }, 'openssl-libs', true],
  ] as const)('%s', async (_, env, name, there) => {
    const root = await node();
    const { result } = await start(root, { mode: 'scan', env });
    expect(result.code, result.msg).toBe('OK');
    const plan = await root.ok('find /run/os-patch -name plan.tsv -exec cut -f 1 {} +');
    expect(plan.split('\n').includes(name)).toBe(there);
  });

  test("the administrator's own locks are obeyed and named", async () => {
    const root = await node();
    await root.ok('zypper --non-interactive addlock sec-imp');
    const { result } = await start(root, { mode: 'scan' });
    expect(result.kept).toContainEqual(['sec-imp', 'held-by-user']);
  });
});

describe('when things go wrong', () => {
  test.each([
    ['nobody listens', () => 'http://127.0.0.1:9/base', 'REPO_UNREACHABLE'],
    ['access refused', () => `${fixture.server.url}/403/base`, 'REPO_AUTH'],
  ] as readonly (readonly [string, () => string, string])[])('%s', async (_, url, code) => {
    const root = await node();
    await root.write(REPO, repository(url()));
    const { result } = await start(root, { mode: 'scan' });
    expect(result.code, result.msg).toBe(code);
  });

  test('repositories without patches', async () => {
    const root = await node({ repository: 'plain' });
    expect((await start(root, { mode: 'scan' })).result.code).toBe('NO_SECURITY_METADATA');
    expect((await start(root, { mode: 'scan', env: { OSP_SCOPE: 'all' } })).result.code).toBe('OK');
  });

  test('no repository', async () => {
    const root = await node();
    await root.remove(REPO);
    expect((await start(root, { mode: 'scan' })).result.code).toBe('NO_SECURITY_SOURCE');
  });

  test('a package script that fails is named', async () => {
    const root = await node({ more: ['bad-post'] });
    const { result, status } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('SCRIPT_FAILED');
    expect(status).toBe(50);
  });

  test('a patch of the update stack asks for another round, and the rest comes too', async () => {
    const root = await node({ more: ['zypp-tools'] });
    const { result } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('KEPT_BACK');
    expect(await versionsOf(root, 'zypp-tools', 'sec-imp')).toEqual(['sec-imp 1.2-1.el9', 'zypp-tools 1.2-1.el9']);
  });

  test('another zypper at work is waited for, with a limit', async () => {
    const root = await node();
    const holder = spawn('chroot', [root.path, '/bin/sh', '-c', 'exec zypper shell'], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    try {
      await new Promise((resolve) => setTimeout(resolve, 1500));
      const { result, status } = await start(root, { mode: 'scan', env: { OSP_LOCK_TIMEOUT: '2' } });
      expect(result.code, result.msg).toBe('PKG_LOCK_TIMEOUT');
      expect(status).toBe(30);
    } finally {
      holder.kill('SIGKILL');
    }
  });

  test('a patch lock: exactly these versions; one that is gone is refused, or left out as a ceiling', async () => {
    const root = await node();
    const locked = async (lines: string, env: Record<string, string> = {}): ReturnType<typeof start> => {
      await root.write('/run/lock.txt', lines);
      return start(root, { mode: 'patch', env: { OSP_LOCK_FILE: `${root.path}/run/lock.txt`, ...env } });
    };
    const gone = 'sec-low 1.1-9.el9\nsec-imp 1.2-1.el9\n';
    expect((await locked(gone)).result.code).toBe('LOCK_VERSION_MISSING');
    expect(packagesOf((await locked(gone, { OSP_LOCK_MODE: 'ceiling' })).result)).toEqual([
      'sec-imp 1.1-1.el9 1.2-1.el9',
    ]);
    const exact = await locked('openssl-libs 3.0.2-1.el9\n');
    expect(packagesOf(exact.result), exact.result.msg).toEqual(['openssl-libs 3.0.1-1.el9 3.0.2-1.el9']);
    expect((await locked('sec-needs-libup 1.2-1.el9\n')).result.code).toBe('LOCK_MISMATCH');
  });
});
