// dnf when things go wrong: repositories, locks, a kill in the middle, scripts, patch locks, refusals. Each with its code.
import { spawn } from 'node:child_process';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { run as command } from './commands.ts';
import { killInside, type Root } from './roots.ts';
import { rpm, versionsOf, type NodeShape, type Rpm } from './rpm-fixture.ts';
import { packagesOf, runId, start } from './script.ts';

let fixture: Rpm;
const open: Root[] = [];
const node = async (shape?: NodeShape): Promise<Root> => {
  const root = await fixture.dnfNode(shape);
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

const REPO = '/etc/yum.repos.d/rocky.repo';
const repository = (url: string, lines = ''): string =>
  `[distro-base]\nname=base\nbaseurl=${url}\nenabled=1\ngpgcheck=0\n${lines}`;
const os = (id: string, version: string): string =>
  `ID=${id}\nVERSION_ID="${version}"\nNAME=${id}\nPRETTY_NAME="${id} ${version}"\n`;

/** Waits until a command succeeds in the root. */
async function until(root: Root, ready: string): Promise<void> {
  const end = Date.now() + 50_000;
  while ((await root.sh(ready)).status !== 0) {
    if (Date.now() > end) throw new Error(`never true: ${ready}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('refusals, before anything is touched', () => {
  test.each([
    ['Amazon Linux 2', os('amzn', '2'), {}, 'UNSUPPORTED_OS', 'Amazon Linux 2023'],
    ['Amazon Linux 2023 without a release', os('amzn', '2023'), {}, 'USAGE', 'OSP_RELEASEVER'],
    ['Amazon Linux 2023 with latest', os('amzn', '2023'), { OSP_RELEASEVER: 'latest' }, 'USAGE', 'OSP_RELEASEVER'],
    ['a release upgrade of another system', os('rocky', '9.4'), { OSP_RELEASEVER: '10' }, 'USAGE', 'release upgrade'],
    [
      'severity and CVEs together',
      os('rocky', '9.4'),
      { OSP_SEVERITY: 'Low', OSP_CVES: 'CVE-2026-1' },
      'USAGE',
      'either',
    ],
    ['severity with scope all', os('rocky', '9.4'), { OSP_SEVERITY: 'Low', OSP_SCOPE: 'all' }, 'USAGE', 'OSP_SCOPE'],
  ] as const)('%s', async (_, osRelease, env, code, words) => {
    const root = await node({ osRelease });
    const { result, status } = await start(root, { mode: 'scan', env });
    expect(result.code).toBe(code);
    expect(result.msg).toContain(words);
    expect(status).toBe(20);
  });

  test('CentOS Stream without advisories, unless all updates are wanted', async () => {
    const root = await node({ osRelease: os('centos', '9'), repository: 'plain' });
    const refused = await start(root, { mode: 'scan' });
    expect(refused.result).toMatchObject({ code: 'NO_SECURITY_METADATA', status: 'Refused' });
    expect(refused.status).toBe(20);
    const all = await start(root, { mode: 'scan', env: { OSP_SCOPE: 'all' } });
    expect(all.result.code).toBe('OK');
    expect(packagesOf(all.result)).toContain('noadv 1.1-1.el9 1.2-1.el9');
  });

  test('no enabled repository', async () => {
    const root = await node();
    await root.remove(REPO);
    expect((await start(root, { mode: 'scan' })).result.code).toBe('NO_SECURITY_SOURCE');
  });

  test('Amazon Linux 2023 with its release: the release is in the address that is asked', async () => {
    const root = await node({ osRelease: os('amzn', '2023') });
    await root.write(REPO, repository(`${fixture.server.url}/403/$releasever`));
    const { result } = await start(root, { mode: 'scan', env: { OSP_RELEASEVER: '2023.6.20241212' } });
    expect(fixture.server.asked).toContain('/403/2023.6.20241212/repodata/repomd.xml');
    expect(result.code).toBe('REPO_AUTH');
  });
});

describe('repositories', () => {
  const FAULTS: readonly (readonly [string, () => string, string])[] = [
    ['nobody listens', () => 'http://127.0.0.1:9/base', 'REPO_UNREACHABLE'],
    ['no such host', () => 'http://nowhere.invalid/base', 'REPO_DNS'],
    ['access refused', () => `${fixture.server.url}/403/base`, 'REPO_AUTH'],
    ['server error', () => `${fixture.server.url}/503/base`, 'REPO_HTTP'],
    ['nothing there', () => `${fixture.server.url}/gone`, 'REPO_METADATA'],
    ['half synchronised', () => `${fixture.server.url}/torn`, 'REPO_METADATA'],
  ];

  test('each fault has its code, though the repository says skip_if_unavailable', async () => {
    // Each waits for its retries; they wait together.
    const codes = await Promise.all(
      FAULTS.map(async ([name, url]) => {
        const root = await fixture.dnfNode();
        await root.write(REPO, repository(url(), 'skip_if_unavailable=1\n'));
        const { result, status } = await start(root, { mode: 'scan' });
        await root.close();
        return [name, result.code, status];
      }),
    );
    expect(codes).toEqual(FAULTS.map(([name, , code]) => [name, code, 30]));
  });

  test('an unsigned package where signatures are demanded is found by download', async () => {
    const root = await node();
    await root.write(REPO, repository(`${fixture.server.url}/base`).replace('gpgcheck=0', 'gpgcheck=1'));
    const { result } = await start(root, { mode: 'download' });
    expect(result.code, result.msg).toBe('REPO_SIGNATURE');
    expect(await versionsOf(root, 'sec-imp')).toEqual(['sec-imp 1.1-1.el9']);
  });

  test('a dead repository that only has protected packages is a warning', async () => {
    const root = await node();
    await root.write(
      '/etc/yum.repos.d/kubernetes.repo',
      '[kubernetes]\nname=k\nbaseurl=http://127.0.0.1:9/k\nenabled=1\n',
    );
    const { result } = await start(root, { mode: 'scan' });
    expect(result.code, result.msg).toBe('OK');
    expect(result.warn).toEqual([expect.stringContaining('RepositoryUnavailable: kubernetes')]);
  });

  test("the administrator's own excludes are obeyed and named", async () => {
    const root = await node();
    await root.write(REPO, repository(`${fixture.server.url}/base`, 'exclude=sec-imp\n'));
    const { result } = await start(root, { mode: 'scan' });
    expect(result.kept).toContainEqual(['sec-imp', 'held-by-user']);
  });

  test('a fix that needs a newer protected package stays behind', async () => {
    const root = await node({ more: ['needs-kubelet'] });
    const { result } = await start(root, { mode: 'scan' });
    expect(result.kept).toContainEqual(['needs-kubelet', 'dependency']);
  });
});

describe('on the way', () => {
  test('another dnf holds the lock: waited for, with a limit', async () => {
    const root = await node();
    const run = runId();
    await start(root, { mode: 'download', run });
    const holder = spawn('chroot', [
      root.path,
      '/usr/bin/python3',
      '-c',
      'import fcntl, time; f = open("/var/lib/rpm/.rpm.lock", "r+"); fcntl.lockf(f, fcntl.LOCK_EX); time.sleep(60)',
    ]);
    try {
      await new Promise((resolve) => setTimeout(resolve, 700));
      const { result, status } = await start(root, { mode: 'patch', run, env: { OSP_LOCK_TIMEOUT: '2' } });
      expect(result.code, result.msg).toBe('PKG_LOCK_TIMEOUT');
      expect(result.msg).toContain('python3');
      expect(status).toBe(30);
      expect((await start(root, { mode: 'scan' })).result.code).toBe('OK');
    } finally {
      holder.kill('SIGKILL');
    }
  });

  test("dnf's own lock, held before rpm's: waited for, with a limit, and the holder named", async () => {
    const root = await node();
    const holder = spawn('chroot', [root.path, '/bin/sleep', '60']);
    try {
      await root.write('/var/lib/dnf/rpmdb_lock.pid', String(holder.pid));
      const { result } = await start(root, { mode: 'patch', env: { OSP_LOCK_TIMEOUT: '2' } });
      expect(result.code, result.msg).toBe('PKG_LOCK_TIMEOUT');
      expect(result.msg).toContain(String(holder.pid));
      expect(await versionsOf(root, 'sec-imp')).toEqual(['sec-imp 1.1-1.el9']);
    } finally {
      holder.kill('SIGKILL');
    }
  });

  test('killed in the middle of the transaction: repaired, finished, and ends the same', async () => {
    const root = await node({ more: ['slow'] });
    const run = runId();
    await start(root, { mode: 'download', run });
    const running = start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' } });
    await until(root, 'rpm -q slow-1.2');
    const twice = await root.ok('rpm -qa --qf "%{NAME}\\n" | grep -v ^kernel | sort | uniq -d');
    await killInside(root.path, 'SIGKILL');
    const { result } = await running;
    expect(twice).toContain('sec-imp');
    expect(result.code, result.msg).toBe('KEPT_BACK');
    expect(result.warn).toEqual([expect.stringContaining('RepairedPackages: ')]);
    expect(result.n).toMatchObject({ applied: 7, new: 3, left: 0 });
    expect(await versionsOf(root, 'sec-imp', 'openssl-libs', 'slow', 'kernel-core', 'kubelet', 'sec-newdep')).toEqual([
      'kernel-core 99.1-1.el9',
      'kernel-core 99.2-1.el9',
      'kubelet 1.30.1-150500.1.1',
      'openssl-libs 3.0.2-1.el9',
      'sec-imp 1.2-1.el9',
      'sec-newdep 1.2-1.el9',
      'slow 1.2-1.el9',
    ]);
  });

  test('the half-done of somebody else is repaired without a repository', async () => {
    const root = await node();
    await command('cp', ['-a', `${fixture.directory}/base/noarch/sec-imp-1.2-1.el9.noarch.rpm`, `${root.path}/run/`]);
    await root.ok(
      'rpm -i --nodeps --force /run/sec-imp-1.2-1.el9.noarch.rpm 2>&1 && [ "$(rpm -q sec-imp | wc -l)" = 2 ]',
    );
    const scan = await start(root, { mode: 'scan' });
    expect(scan.result.warn).toContainEqual(expect.stringContaining('PackageDatabase: sec-imp'));
    expect(scan.result.reboot?.safe).toBe(false);
    const { result } = await start(root, { mode: 'patch', env: { OSP_OFFLINE: 'true' } });
    expect(result.code).toBe('DOWNLOAD_FAILED');
    expect(result.warn).toEqual([expect.stringContaining('RepairedPackages: sec-imp')]);
    expect(await versionsOf(root, 'sec-imp')).toEqual(['sec-imp 1.2-1.el9']);
    expect(root.has('/usr/share/sec-imp-1.2/version')).toBe(true);
    expect(root.has('/usr/share/sec-imp-1.1/version')).toBe(false);
  });

  test('a package script that fails is named', async () => {
    const root = await node({ more: ['bad-post'] });
    const { result, status } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('SCRIPT_FAILED');
    expect(result.msg).toContain('bad-post');
    expect(status).toBe(50);
  });

  test('no room for the packages is said before anything changes', async () => {
    const root = await node();
    await root.ok('mkdir -p /var/lib/os-patch');
    await command('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', `${root.path}/var/lib/os-patch`]);
    const { result } = await start(root, { mode: 'download' });
    expect(result.code, result.msg).toBe('DISK_FULL_VAR');
  });
});

describe('a patch lock', () => {
  const locked = async (root: Root, lines: string, env: Record<string, string> = {}): ReturnType<typeof start> => {
    await root.write('/run/lock.txt', lines);
    return start(root, { mode: 'patch', env: { OSP_LOCK_FILE: `${root.path}/run/lock.txt`, ...env } });
  };

  test('exactly these versions, also when there are newer ones', async () => {
    const root = await node();
    const { result } = await locked(root, 'openssl-libs 3.0.2-1.el9\nkernel 99.2-1.el9\nkernel-core 99.2-1.el9\n', {
      OSP_SCOPE: 'all',
    });
    expect(packagesOf(result)).toEqual([
      'kernel - 99.2-1.el9',
      'kernel-core - 99.2-1.el9',
      'openssl-libs 3.0.1-1.el9 3.0.2-1.el9',
    ]);
    expect(result.lock?.in).toBe(result.lock?.sha);
  });

  test('never an older version than the installed one', async () => {
    const root = await node();
    await start(root, { mode: 'patch', env: { OSP_RPM_LEVEL: 'latest' } });
    await locked(root, 'openssl-libs 3.0.2-1.el9\n');
    expect(await versionsOf(root, 'openssl-libs')).toEqual(['openssl-libs 3.0.3-1.el9']);
  });

  test('a version that is gone: refused when exact, left out as a ceiling', async () => {
    const root = await node();
    const lines = 'openssl-libs 3.0.1-7.el9\nsec-imp 1.2-1.el9\n';
    const exact = await locked(root, lines);
    expect(exact.result.code, exact.result.msg).toBe('LOCK_VERSION_MISSING');
    expect(await versionsOf(root, 'sec-imp')).toEqual(['sec-imp 1.1-1.el9']);
    const ceiling = await locked(root, lines, { OSP_LOCK_MODE: 'ceiling' });
    expect(packagesOf(ceiling.result)).toEqual(['sec-imp 1.1-1.el9 1.2-1.el9']);
  });

  test('a lock that needs what it does not name is refused', async () => {
    const root = await node();
    const { result } = await locked(root, 'sec-needs-libup 1.2-1.el9\n');
    expect(result.code, result.msg).toBe('LOCK_MISMATCH');
    expect(result.msg).toContain('libup');
  });
});
