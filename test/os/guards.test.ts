// The last lines of defence: a package manager that plans what it must not, dependencies that are broken, and the settings for reboots and proxies.
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { apt, source, type Apt } from './apt-fixture.ts';
import { must } from './commands.ts';
import type { Root } from './roots.ts';
import { rpm, versionsOf, type Rpm } from './rpm-fixture.ts';
import { packagesOf, start } from './script.ts';
import { fakeSystemd } from './systemd-fixture.ts';

let aptFixture: Apt;
let rpmFixture: Rpm;
const open: Root[] = [];
const kept = async (made: Promise<Root>): Promise<Root> => {
  const root = await made;
  open.push(root);
  return root;
};

beforeAll(async () => {
  aptFixture = await apt();
  rpmFixture = await rpm();
});
afterEach(async () => {
  for (const root of open.splice(0)) await root.close();
});
afterAll(async () => {
  await aptFixture.close();
  await rpmFixture.close();
});

/** Puts a program before another: it runs it and changes what that says. `filter` is a shell pipeline over its output. */
async function bend(root: Root, program: string, filter: string): Promise<void> {
  await root.ok('mv "$1" "$1.true"', program);
  await root.write(
    program,
    `#!/bin/sh\nout=$("${program}.true" "$@"); rc=$?\nprintf '%s\\n' "$out" | ${filter}\nexit $rc\n`,
    0o755,
  );
}

describe('a plan that breaks a promise is refused, whatever the package manager wants', () => {
  const APT: readonly (readonly [string, string, string, RegExp])[] = [
    [
      'a protected package',
      'Inst kubelet [1.30.1-1.1] (1.30.5-1.1 Ubuntu:24.04/noble-security [amd64])',
      'PROTECTED_PACKAGE',
      /kubelet, which is protected; nothing was changed/,
    ],
    ['a removal', 'Remv old-tool [1.0]', 'PLAN_VIOLATION', /would remove old-tool/],
    [
      'a downgrade',
      'Inst libupd [1.0] (0.9 Ubuntu:24.04/noble-security [amd64])',
      'PLAN_VIOLATION',
      /downgrade libupd from 1.0 to 0.9/,
    ],
    [
      'an excluded package',
      'Inst bugfix-only [1.0] (1.1 Ubuntu:24.04/noble-security [amd64])',
      'PLAN_VIOLATION',
      /bugfix-only, which is excluded/,
    ],
    [
      'an archive outside the selection',
      'Inst vendor-agent [1.0] (2.0 Vendor:24.04/stable [amd64])',
      'PLAN_VIOLATION',
      /vendor-agent 2.0 from .*outside the selection/,
    ],
  ];
  test.each(APT)('apt: %s', async (_, line, code, words) => {
    const root = await kept(aptFixture.node());
    const before = await root.ok('dpkg-query -W');
    await bend(root, '/usr/bin/apt-get', `{ cat; case " $* " in *' -s '*upgrade*) echo '${line}' ;; esac; }`);
    const { result, status } = await start(root, { mode: 'patch', env: { OSP_EXCLUDE: 'bugfix-only' } });
    expect(result.code, result.msg).toBe(code);
    expect(status).toBe(40);
    expect(result.msg).toMatch(words);
    expect(await root.ok('dpkg-query -W')).toBe(before);
  });

  test('dnf: a protected package', async () => {
    const root = await kept(rpmFixture.dnfNode());
    await bend(root, '/usr/bin/dnf', "sed '/^Upgrading:/a \\ kubelet noarch 1.30.9-150500.1.1 distro-base 6 k'");
    const { result, status } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('PROTECTED_PACKAGE');
    expect(status).toBe(40);
    expect(await versionsOf(root, 'kubelet', 'sec-imp')).toEqual(['kubelet 1.30.1-150500.1.1', 'sec-imp 1.1-1.el9']);
  });

  test('dnf: the removal of the kernel that runs, which would be the oldest', async () => {
    const root = await kept(rpmFixture.dnfNode());
    await root.ok('sed -i s/installonly_limit=3/installonly_limit=2/ /etc/dnf/dnf.conf');
    await must('cp', ['-a', `${rpmFixture.directory}/base/noarch/.`, `${root.path}/run/`]);
    await root.ok('rpm -i --nodeps --force /run/kernel-core-99.0-*.rpm /run/kernel-99.0-*.rpm 2>&1');
    await root.write(
      '/usr/bin/uname',
      '#!/bin/sh\ncase $1 in -r) echo 99.0-1.el9.noarch ;; -m) echo x86_64 ;; *) echo Linux ;; esac\n',
      0o755,
    );
    const { result, status } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('PLAN_VIOLATION');
    expect(status).toBe(40);
    expect(result.msg).toContain('would remove the running kernel 99.0-1.el9');
    expect(await versionsOf(root, 'kernel-core')).toEqual(['kernel-core 99.0-1.el9', 'kernel-core 99.1-1.el9']);
  });

  test('zypper: a protected package', async () => {
    const root = await kept(rpmFixture.zypperNode('trixie'));
    const solvable =
      '<solvable type="package" name="kubelet" edition="1.30.9-150500.1.1" arch="noarch" edition-old="1.30.1-150500.1.1" repository="base"/>';
    await bend(root, '/usr/bin/zypper', `sed 's#^<to-upgrade>#&${solvable}#'`);
    const { result, status } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('PROTECTED_PACKAGE');
    expect(status).toBe(40);
    expect(await versionsOf(root, 'kubelet', 'sec-imp')).toEqual(['kubelet 1.30.1-150500.1.1', 'sec-imp 1.1-1.el9']);
  });
});

describe('dependencies that are not met', () => {
  test('apt: said with the command that shows them; nothing is changed', async () => {
    const root = await kept(aptFixture.node());
    await must('cp', [`${aptFixture.directory}/ubuntu/pool-security/drags-kubelet_1.1_amd64.deb`, `${root.path}/run`]);
    await root.ok('dpkg --force-depends -i /run/drags-kubelet_1.1_amd64.deb 2>&1');
    const before = await root.ok('dpkg-query -W');
    const { result, status } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('DEPENDENCY_CONFLICT');
    expect(status).toBe(40);
    expect(result.msg).toContain('apt-get check');
    expect(await root.ok('dpkg-query -W')).toBe(before);
  });

  test("dnf: a file that belongs to another package is found by rpm's rehearsal in download, before the drain", async () => {
    const root = await kept(rpmFixture.dnfNode({ more: ['clash'] }));
    const { result, status } = await start(root, { mode: 'download' });
    expect(result.code, result.msg).toBe('DEPENDENCY_CONFLICT');
    expect(status).toBe(40);
    expect(result.msg).toContain('clash');
    expect(await versionsOf(root, 'clash', 'sec-imp')).toEqual(['clash 1.1-1.el9', 'sec-imp 1.1-1.el9']);
  });
});

describe('reboot settings', () => {
  test('a delay, a limit, and a systemd that will not: each is obeyed and said', async () => {
    const root = await kept(aptFixture.node());
    await fakeSystemd(root);
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const reboot = (env: Record<string, string>): ReturnType<typeof start> =>
      start(root, { mode: 'reboot', units: true, env: { OSP_EXPECT_BOOT_ID: boot, ...env } });
    const none = await reboot({ OSP_MAX_REBOOTS: '0' });
    expect(none).toMatchObject({ status: 60, result: { code: 'REBOOT_BLOCKED', reboot: { state: 'refused' } } });
    expect(none.result.msg).toContain('the limit is 0');
    await root.ok('cp /usr/bin/systemd-run /run/systemd-run.kept');
    await root.write(
      '/usr/bin/systemd-run',
      '#!/bin/sh\ncase "$*" in *--on-active=*) echo "Failed to start transient timer unit: Access denied" >&2; exit 1 ;; esac\nexec sh /run/systemd-run.kept "$@"\n',
      0o755,
    );
    const failed = await reboot({});
    expect(failed).toMatchObject({ status: 60, result: { code: 'REBOOT_FAILED', reboot: { state: 'refused' } } });
    expect(failed.result.msg).toContain('Access denied');
    // A reboot that was never scheduled does not count.
    expect(await root.read('/var/lib/os-patch/reboots')).toBe('');
    await root.ok('cp /run/systemd-run.kept /usr/bin/systemd-run');
    expect((await reboot({ OSP_REBOOT_DELAY: '5' })).result.reboot?.state).toBe('scheduled');
    expect(await root.read('/run/fake-systemd/os-patch-reboot.timer')).toBe('5s systemctl reboot\n');
  });

  test('a replaced libc asks for a reboot only when the policy counts it', async () => {
    const root = await kept(aptFixture.node());
    // The root is younger than this machine's boot, so everything in it would count.
    await root.ok('touch -d 2020-01-01 /var/lib/dpkg/info/*.list');
    const old = await start(root, { mode: 'scan', env: { OSP_REBOOT_POLICY: 'kernel+core' } });
    expect(old.result.reboot).toMatchObject({ required: false });
    await root.ok('touch /var/lib/dpkg/info/libc6:amd64.list');
    expect((await start(root, { mode: 'scan' })).result.reboot).toMatchObject({ required: false, why: [] });
    const core = await start(root, { mode: 'scan', env: { OSP_REBOOT_POLICY: 'kernel+core' } });
    expect(core.result.reboot).toMatchObject({ required: true, why: ['core-libs'], pkgs: ['libc6'] });
  });
});

describe('proxies and slow mirrors', () => {
  const NOWHERE = 'http://127.0.0.1:9';

  test('apt goes through the proxy, and around it where it is told to', async () => {
    const root = await kept(aptFixture.node());
    const direct = await start(root, {
      mode: 'scan',
      env: { OSP_HTTP_PROXY: NOWHERE, OSP_NO_PROXY: '127.0.0.1,localhost' },
    });
    expect(direct.result.code, direct.result.msg).toBe('OK');
    await root.write(
      '/etc/apt/sources.list.d/ubuntu.sources',
      source('http://mirror.invalid/ubuntu', 'noble noble-updates noble-security'),
    );
    aptFixture.server.asked.length = 0;
    const { result } = await start(root, { mode: 'scan', env: { OSP_HTTP_PROXY: aptFixture.server.url } });
    expect(result.code, result.msg).toBe('OK');
    expect(aptFixture.server.asked).toContain('mirror.invalid/ubuntu/dists/noble-security/InRelease');
  });

  test('dnf and zypper go through the proxy', async () => {
    const repository = '[distro-base]\nname=base\nbaseurl=http://mirror.invalid/base\nenabled=1\ngpgcheck=0\n';
    for (const [made, file] of [
      [rpmFixture.dnfNode(), '/etc/yum.repos.d/rocky.repo'],
      [rpmFixture.zypperNode('trixie'), '/etc/zypp/repos.d/sles.repo'],
    ] as const) {
      const root = await kept(made);
      await root.write(file, file.includes('zypp') ? `${repository}type=rpm-md\n` : repository);
      rpmFixture.server.asked.length = 0;
      const { result } = await start(root, { mode: 'scan', env: { OSP_HTTP_PROXY: rpmFixture.server.url } });
      expect(result, result.msg).toMatchObject({ code: 'OK', n: { left: 9 } });
      expect(rpmFixture.server.asked).toContain('mirror.invalid/base/repodata/repomd.xml');
    }
  });

  test.each(['apt', 'dnf', 'zypper'] as const)(
    '%s: a mirror that never sends the packages ends at OSP_DOWNLOAD_TIMEOUT',
    async (family) => {
      const url = family === 'apt' ? aptFixture.server.url : rpmFixture.server.url;
      const root = await kept(
        family === 'apt'
          ? aptFixture.node()
          : family === 'dnf'
            ? rpmFixture.dnfNode()
            : rpmFixture.zypperNode('trixie'),
      );
      if (family === 'apt') {
        await root.write(
          '/etc/apt/sources.list.d/ubuntu.sources',
          source(`${url}/withheld/ubuntu`, 'noble noble-updates noble-security'),
        );
      } else {
        const file = family === 'dnf' ? '/etc/yum.repos.d/rocky.repo' : '/etc/zypp/repos.d/sles.repo';
        await root.write(file, (await root.read(file)).replace(`${url}/base`, `${url}/withheld/base`));
      }
      const { result, status } = await start(root, { mode: 'download', env: { OSP_DOWNLOAD_TIMEOUT: '3' } });
      expect(result.code, result.msg).toBe('DOWNLOAD_FAILED');
      expect(result.msg).toMatch(/within 3 s/);
      expect(status).toBe(30);
      expect(packagesOf(result) ?? []).toHaveLength(family === 'apt' ? 15 : 14);
    },
  );
});
