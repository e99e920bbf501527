// Systems that cannot be had here: their own os-release, the fields of their repositories, and the package managers nearest to theirs.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { apt, source, type Apt } from './apt-fixture.ts';
import type { Root } from './roots.ts';
import { AMAZON_RELEASE, rpm, versionsOf, type Rpm } from './rpm-fixture.ts';
import { packagesOf, runId, start } from './script.ts';

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

/** The lines of os-release that the system itself ships, as far as they could mislead. */
const RELEASES: readonly (readonly [string, string, string])[] = [
  [
    'rhel',
    '8.10',
    'NAME="Red Hat Enterprise Linux"\nID="rhel"\nID_LIKE="fedora"\nVERSION_ID="8.10"\nPLATFORM_ID="platform:el8"',
  ],
  ['rhel', '10.0', 'NAME="Red Hat Enterprise Linux"\nID="rhel"\nID_LIKE="centos fedora"\nVERSION_ID="10.0"'],
  ['almalinux', '9.4', 'NAME="AlmaLinux"\nID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"'],
  ['ol', '9.4', 'NAME="Oracle Linux Server"\nID="ol"\nID_LIKE="fedora"\nVARIANT_ID="server"\nVERSION_ID="9.4"'],
  ['rocky', '10.0', 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="10.0"'],
  ['fedora', '40', 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=40\nVERSION_CODENAME=""\nVARIANT_ID=server'],
];

const SUSE: readonly (readonly [string, string, string])[] = [
  ['sles', '15.6', 'NAME="SLES"\nVERSION="15-SP6"\nID="sles"\nID_LIKE="suse"\nVERSION_ID="15.6"'],
  ['sles_sap', '15.6', 'NAME="SLES_SAP"\nVERSION="15-SP6"\nID="sles_sap"\nID_LIKE="suse"\nVERSION_ID="15.6"'],
  ['opensuse-leap', '15.6', 'NAME="openSUSE Leap"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.6"'],
];

describe('recognised by its os-release, and patched by its family', () => {
  test.each(RELEASES)('%s %s', async (os, osv, text) => {
    const root = await kept(rpmFixture.dnfNode({ osRelease: `${text}\n` }));
    const { result } = await start(root, { mode: 'scan' });
    expect(result, result.msg).toMatchObject({ code: 'OK', before: { os, osv }, n: { left: 9 } });
  });

  test.each(SUSE)('%s %s', async (os, osv, text) => {
    const root = await kept(rpmFixture.zypperNode('trixie', { osRelease: `${text}\n` }));
    const { result } = await start(root, { mode: 'scan' });
    expect(result, result.msg).toMatchObject({ code: 'OK', before: { os, osv }, n: { left: 9 } });
  });
});

describe('another dnf', () => {
  test('dnf 4.23, near the one of RHEL 10, plans, fetches, installs offline and reports the same as 4.14 of RHEL 9', async () => {
    const other = await kept(rpmFixture.dnfNode({}, 'trixie'));
    const usual = await kept(rpmFixture.dnfNode());
    const ends = [];
    for (const root of [usual, other]) {
      const run = runId();
      const download = await start(root, { mode: 'download', run });
      expect(download.result.code, download.stdout).toBe('OK');
      const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' }, host: ['unshare', '-n'] });
      const verify = await start(root, { mode: 'verify', run });
      const { code, status, n, kept: left, adv, reboot, warn } = patch.result;
      ends.push({
        code,
        status,
        counts: { ...n, bytes: 0 },
        left,
        adv,
        required: reboot?.required,
        warn,
        packages: packagesOf(patch.result),
        verified: verify.result.code,
      });
    }
    expect(ends[0]?.code).toBe('KEPT_BACK');
    expect(ends[1]).toEqual(ends[0]);
  });

  test.each([
    ['as dnf', 'cp /usr/bin/dnf /usr/bin/dnf5 && ln -sf dnf5 /usr/bin/dnf'],
    ['under its own name alone', 'mv "$(readlink -f /usr/bin/dnf)" /usr/bin/dnf5 && rm -f /usr/bin/dnf'],
  ])('dnf 5 is refused before anything is touched, and the ways out are named: %s', async (_, make) => {
    const root = await kept(rpmFixture.dnfNode({ osRelease: 'NAME="Fedora Linux"\nID=fedora\nVERSION_ID=42\n' }));
    await root.ok(make);
    const before = await root.ok('rpm -qa | sort');
    const { result, status } = await start(root, { mode: 'patch' });
    expect(status).toBe(20);
    expect(result).toMatchObject({ code: 'UNSUPPORTED_OS', status: 'Refused', before: { os: 'fedora', osv: '42' } });
    expect(result.msg).toMatch(/has dnf 5; dnf 4 is supported.*strategy Replace/);
    expect(await root.ok('rpm -qa | sort')).toBe(before);
  });
});

describe('Amazon Linux 2023', () => {
  const AMAZON =
    'NAME="Amazon Linux"\nVERSION="2023"\nID="amzn"\nID_LIKE="fedora"\nVERSION_ID="2023"\nPLATFORM_ID="platform:al2023"\n';
  const node = async (): Promise<Root> => {
    const root = await kept(rpmFixture.dnfNode({ osRelease: AMAZON }));
    await root.write(
      '/etc/yum.repos.d/rocky.repo',
      `[amazonlinux]\nname=Amazon Linux 2023 repository\nbaseurl=${rpmFixture.server.url}/amazon/$releasever\nenabled=1\ngpgcheck=0\n`,
    );
    return root;
  };

  test('its repositories are frozen: the release that is named decides what there is, and nothing is written for it', async () => {
    const root = await node();
    const etc = await root.ok('cd /etc && find . -type f | sort | xargs md5sum');
    const before = await start(root, { mode: 'scan', env: { OSP_RELEASEVER: '2023.6.20241010' } });
    expect(before.result, before.result.msg).toMatchObject({ code: 'OK', status: 'UpToDate', n: { left: 0 } });
    const run = runId();
    const env = { OSP_RELEASEVER: AMAZON_RELEASE };
    const download = await start(root, { mode: 'download', run, env });
    expect(download.result.n).toMatchObject({ left: 9 });
    const patch = await start(root, {
      mode: 'patch',
      run,
      env: { ...env, OSP_OFFLINE: 'true' },
      host: ['unshare', '-n'],
    });
    expect(patch.result, patch.stdout).toMatchObject({
      code: 'KEPT_BACK',
      before: { os: 'amzn', osv: '2023' },
      n: { applied: 6, new: 3 },
    });
    expect(await versionsOf(root, 'openssl-libs', 'kubelet')).toEqual([
      'kubelet 1.30.1-150500.1.1',
      'openssl-libs 3.0.2-1.el9',
    ]);
    expect((await start(root, { mode: 'verify', run })).result.code).toBe('OK');
    expect(await root.ok('cd /etc && find . -type f | sort | xargs md5sum')).toBe(etc);
  });

  test('a release that does not exist is a repository without metadata', async () => {
    const root = await node();
    const { result, status } = await start(root, { mode: 'scan', env: { OSP_RELEASEVER: '2023.99.20990101' } });
    expect(status).toBe(30);
    expect(result.code, result.msg).toBe('REPO_METADATA');
  });
});

describe('Ubuntu', () => {
  test('extended maintenance for applications is a security archive too, where it is attached', async () => {
    const root = await kept(aptFixture.node());
    await aptFixture.install(root, 'esm-app');
    await root.write(
      '/etc/apt/sources.list.d/esm-apps.sources',
      source(`${aptFixture.server.url}/esm-apps`, 'noble-apps-security'),
    );
    const { result } = await start(root, { mode: 'scan' });
    expect(packagesOf(result)).toContain('esm-app 1.0 1.0+esm2');
  });

  test.each([
    ['20.04', 'focal'],
    ['22.04', 'jammy'],
  ])('%s: only archives of its own codename count', async (version, codename) => {
    const root = await kept(aptFixture.node());
    await root.write(
      '/etc/os-release',
      `NAME="Ubuntu"\nVERSION_ID="${version}"\nVERSION_CODENAME=${codename}\nUBUNTU_CODENAME=${codename}\nID=ubuntu\nID_LIKE=debian\n`,
    );
    const { result, status } = await start(root, { mode: 'scan' });
    expect(status).toBe(20);
    expect(result).toMatchObject({ code: 'NO_SECURITY_SOURCE', before: { os: 'ubuntu', osv: version } });
    expect(result.msg).toContain(`ubuntu ${codename}`);
  });

  test('a reboot that update-notifier asks for is found, and the names of the packages that ask', async () => {
    const root = await kept(aptFixture.node());
    await root.write('/run/reboot-required', '*** System restart required ***\n');
    await root.write('/run/reboot-required.pkgs', 'linux-image-2.0.0-2-generic\nlinux-base\nlinux-base\n');
    const { result } = await start(root, { mode: 'scan' });
    expect(result.reboot).toMatchObject({
      required: true,
      why: ['sentinel'],
      pkgs: ['linux-image-2.0.0-2-generic', 'linux-base'],
    });
  });
});
