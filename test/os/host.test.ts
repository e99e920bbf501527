// The way between pod and host: refusals before anything is touched, one work at a time, a pod that dies, the reboot, and by hand.
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { apt, type Apt } from './apt-fixture.ts';
import { must, run } from './commands.ts';
import type { Root } from './roots.ts';
import { assemble, packagesOf, pod, readResult, runId, start } from './script.ts';
import { fakeSystemd } from './systemd-fixture.ts';

let fixture: Apt;
let root: Root;

beforeAll(async () => {
  fixture = await apt();
});
afterAll(() => fixture.close());
beforeEach(async () => {
  root = await fixture.node();
});
afterEach(() => root.close());

const bootId = async (): Promise<string> => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();

describe('refused before anything is touched', () => {
  const systems: readonly (readonly [string, string, string, RegExp])[] = [
    ['Talos', 'ID=talos\nVERSION_ID=v1.9.0', 'UNSUPPORTED_IMMUTABLE', /talosctl/],
    ['Bottlerocket', 'ID=bottlerocket\nVERSION_ID=1.20.0', 'UNSUPPORTED_IMMUTABLE', /brupop/],
    ['Flatcar', 'ID=flatcar\nID_LIKE=coreos\nVERSION_ID=3815.2.0', 'UNSUPPORTED_IMMUTABLE', /FLUO or kured/],
    ['Container-Optimized OS', 'ID=cos\nVERSION_ID=113', 'UNSUPPORTED_IMMUTABLE', /new nodes/],
    ['Ubuntu Core', 'ID=ubuntu-core\nVERSION_ID=24', 'UNSUPPORTED_IMMUTABLE', /snapd/],
    ['openSUSE MicroOS', 'ID="opensuse-microos"\nVERSION_ID=20261101', 'UNSUPPORTED_IMMUTABLE', /transactional-update/],
    ['SUSE Linux Micro', 'ID="sl-micro"\nVERSION_ID=6.0', 'UNSUPPORTED_IMMUTABLE', /transactional-update/],
    ['Kairos', 'ID=kairos\nVERSION_ID=3', 'UNSUPPORTED_IMMUTABLE', /image/],
    ['Amazon Linux 2', 'ID="amzn"\nVERSION_ID="2"', 'UNSUPPORTED_OS', /Amazon Linux 2023/],
    ['Alpine', 'ID=alpine\nVERSION_ID=3.20.0', 'NO_SECURITY_METADATA', /new image/],
    ['Photon', 'ID=photon\nVERSION_ID=5.0', 'UNSUPPORTED_OS', /supported: Debian/],
  ];
  test.each(systems)('%s, with the right way named', async (_, release, code, way) => {
    await root.write('/etc/os-release', `${release}\n`);
    const answer = await start(root, { mode: 'patch' });
    expect(answer.result).toMatchObject({ code, status: 'Refused' });
    expect(answer.status).toBe(20);
    expect(answer.result.msg).toMatch(way);
    expect(root.has('/var/lib/os-patch')).toBe(false);
    expect(root.has('/run/os-patch')).toBe(false);
  });

  test('an ostree system, a host without systemd, and a host that cannot be entered', async () => {
    const bare = await start(root, { mode: 'scan', units: true });
    expect(bare.result).toMatchObject({ code: 'UNSUPPORTED_OS' });
    expect(bare.result.msg).toContain('systemd');
    await root.write('/run/ostree-booted', '');
    const ostree = await start(root, { mode: 'scan' });
    expect(ostree.result.msg).toContain('rpm-ostree');
    const closed = await start(root, { mode: 'scan', env: { OSP_HOST_EXEC: '/bin/false' } });
    expect(closed).toMatchObject({ status: 1, result: { code: 'HOST_ACCESS' } });
    expect(closed.result.msg).toContain('hostPID');
  });

  const wrong: readonly (readonly [string, Record<string, string>])[] = [
    ['an unknown variable', { OSP_EXCLUDES: 'x' }],
    ['a shell command as a package name', { OSP_EXCLUDE: 'x;reboot' }],
    ['a command substitution', { OSP_PROTECT_EXTRA: '$(touch /run/pwned)' }],
    ['an option as a package name', { OSP_INCLUDE: '--allow-downgrades' }],
    ['a run id that is a path', { OSP_RUN_ID: '../../etc' }],
    ['a boot id that is none', { OSP_EXPECT_BOOT_ID: "'; reboot" }],
    ['a mode that is none', { OSP_MODE: 'upgrade' }],
    ['a severity on apt', { OSP_SEVERITY: 'Critical' }],
    ['a reboot without the expected boot id', { OSP_MODE: 'reboot' }],
    ['a proxy with a quote in it', { OSP_HTTP_PROXY: "http://x'y" }],
  ];
  test.each(wrong)('%s', async (_, env) => {
    const answer = await start(root, { mode: 'scan', env });
    expect(answer).toMatchObject({ status: 20, result: { code: 'USAGE', status: 'Refused' } });
    expect(root.has('/run/pwned')).toBe(false);
  });
});

describe('in a transient unit', () => {
  test('a patch outlives its pod; a new pod attaches, and another run is told to wait', async () => {
    await fakeSystemd(root, ['apt-daily-upgrade.timer', 'unattended-upgrades.service']);
    await fixture.install(root, 'slow');
    const id = runId();
    const env = { OSP_EXCLUDE: 'sec-conflicts' };
    const made = await pod(root, { mode: 'patch', run: id, units: true, env });
    const first = spawn('/bin/busybox', ['sh', made.script], { env: made.env, stdio: 'ignore', detached: true });
    await root.ok('for i in $(seq 200); do [ -e /run/slow-began ] && exit 0; sleep 0.1; done; exit 1');
    // The whole pod at once, as the kubelet would.
    process.kill(-(first.pid ?? 0), 'SIGKILL');
    const other = await start(root, { mode: 'patch', units: true });
    expect(other).toMatchObject({ status: 30, result: { code: 'RUN_IN_PROGRESS' } });
    expect(other.result.msg).toContain(id);
    const scan = await start(root, { mode: 'scan', units: true });
    expect(scan.result.code).toBe('RUN_IN_PROGRESS');
    setTimeout(() => void root.write('/run/not-slow', ''), 3000);
    const again = await start(root, { mode: 'patch', run: id, units: true, env });
    expect(again.stdout).toContain('attached to the work under way');
    expect(again.result.code, again.stdout).toBe('OK');
    expect(packagesOf(again.result)).toContain('slow 1.0 1.1');
    expect(again.stdout).not.toContain('repairing');
    expect(again.result.warn).toEqual([
      'UncontrolledUpdater: unattended-upgrades.service',
      'UncontrolledUpdater: apt-daily-upgrade.timer',
    ]);
    // Named and waited for, but neither stopped nor masked: systemd was asked questions, and nothing else.
    const asked = (await root.read('/run/fake-systemd/asked')).trim().split('\n');
    expect(asked).toContain('is-active unattended-upgrades.service');
    expect([...new Set(asked.map((line) => line.split(' ')[0]))].toSorted()).toEqual(['is-active']);
  });

  test('at its deadline the watch ends and says so; the work goes on', async () => {
    await fakeSystemd(root);
    await fixture.install(root, 'slow');
    const id = runId();
    const answer = await start(root, { mode: 'patch', run: id, units: true, env: { OSP_DEADLINE: '4' } });
    expect(answer).toMatchObject({ status: 50, result: { code: 'DEADLINE', status: 'InProgress' } });
    expect(answer.result.msg).toMatch(/is in phase \w+ after 4 s and goes on/);
    await root.write('/run/not-slow', '');
    const end = await start(root, { mode: 'patch', run: id, units: true });
    expect(packagesOf(end.result)).toContain('slow 1.0 1.1');
  });
});

describe('reboot', () => {
  test('is scheduled on the host and answered first, once; a later boot id is already done; too many are refused', async () => {
    await fakeSystemd(root);
    const env = { OSP_EXPECT_BOOT_ID: await bootId() };
    const id = runId();
    const answer = await start(root, { mode: 'reboot', run: id, units: true, env });
    expect(answer).toMatchObject({ status: 0, result: { code: 'OK', reboot: { state: 'scheduled' } } });
    expect(await root.read('/run/fake-systemd/os-patch-reboot.timer')).toBe('20s systemctl reboot\n');
    const twice = await start(root, { mode: 'reboot', run: id, units: true, env });
    expect(twice).toMatchObject({ status: 0, result: { reboot: { state: 'scheduled' } } });
    expect((await root.read('/var/lib/os-patch/reboots')).trim().split('\n')).toHaveLength(1);
    const meanwhile = await start(root, { mode: 'patch', units: true });
    expect(meanwhile.result.code).toBe('RUN_IN_PROGRESS');
    const after = await start(root, {
      mode: 'reboot',
      run: id,
      units: true,
      env: { OSP_EXPECT_BOOT_ID: '00000000-1111-2222-3333-444444444444' },
    });
    expect(after).toMatchObject({ status: 0, result: { reboot: { state: 'already-done' } } });
    await root.remove('/run/fake-systemd/os-patch-reboot.timer');
    await start(root, { mode: 'reboot', units: true, env });
    await root.remove('/run/fake-systemd/os-patch-reboot.timer');
    const third = await start(root, { mode: 'reboot', units: true, env });
    expect(third).toMatchObject({ status: 60, result: { code: 'REBOOT_BLOCKED', reboot: { state: 'refused' } } });
    expect(third.result.msg).toContain('limit is 2');
  });

  test('is refused with a kernel that has no initrd, with a broken package database, and while somebody inhibits it', async () => {
    await fakeSystemd(root);
    const env = { OSP_EXPECT_BOOT_ID: await bootId() };
    await root.write(
      '/run/fake-systemd/inhibitors',
      'APT 0 root 812 apt-get shutdown:idle APT is installing or removing packages block\n',
    );
    const inhibited = await start(root, { mode: 'reboot', units: true, env });
    expect(inhibited).toMatchObject({ status: 60, result: { code: 'REBOOT_BLOCKED' } });
    expect(inhibited.result.msg).toContain('APT 0 root 812');
    await root.remove('/run/fake-systemd/inhibitors');
    await root.write(
      '/usr/bin/uname',
      '#!/bin/sh\ncase $1 in -r) echo 0.9.0-1-generic ;; *) echo Linux ;; esac\n',
      0o755,
    );
    await root.ok(
      'cd /boot && echo k >vmlinuz-1.0.0-1-generic && echo k >vmlinuz-0.9.0-1-generic && echo i >initrd.img-0.9.0-1-generic',
    );
    const noInitrd = await start(root, { mode: 'reboot', units: true, env });
    expect(noInitrd).toMatchObject({
      status: 60,
      result: { code: 'REBOOT_UNSAFE', reboot: { safe: false, required: true } },
    });
    expect(noInitrd.result.msg).toContain('update-initramfs -u -k 1.0.0-1-generic');
    await root.ok('echo i >/boot/initrd.img-1.0.0-1-generic');
    await root.ok(
      "sed -i '/^Package: old-tool$/,/^$/s/^Status: .*/Status: install ok half-configured/' /var/lib/dpkg/status",
    );
    const broken = await start(root, { mode: 'reboot', units: true, env });
    expect(broken).toMatchObject({ status: 60, result: { code: 'REBOOT_UNSAFE' } });
    expect(root.has('/run/fake-systemd/os-patch-reboot.timer')).toBe(false);
  });
});

describe('verify', () => {
  test('a boot id that did not change, an old kernel, a package that went back, a protected one that changed, a kubelet that is down', async () => {
    await fakeSystemd(root, ['kubelet.service'], ['kubelet.service']);
    const id = runId();
    const kernel = (name: string): Promise<void> =>
      root.write('/usr/bin/uname', `#!/bin/sh\ncase $1 in -r) echo ${name} ;; *) echo Linux ;; esac\n`, 0o755);
    await kernel('1.0.0-1-generic');
    await start(root, { mode: 'patch', run: id, env: { OSP_EXCLUDE: 'sec-conflicts' } });
    const verify = (env: Record<string, string> = {}): ReturnType<typeof start> =>
      start(root, { mode: 'verify', run: id, units: true, env });
    const old = '00000000-1111-2222-3333-444444444444';
    expect(await verify({ OSP_EXPECT_BOOT_ID: await bootId() })).toMatchObject({
      status: 70,
      result: { code: 'VERIFY_BOOT_ID' },
    });
    const kernelLeft = await verify({ OSP_EXPECT_BOOT_ID: old });
    expect(kernelLeft).toMatchObject({ status: 70, result: { code: 'VERIFY_KERNEL' } });
    expect(kernelLeft.result.msg).toContain('1.0.0-1-generic, not 2.0.0-2-generic');
    expect(await verify()).toMatchObject({ status: 0, result: { code: 'OK', reboot: { required: true } } });
    await kernel('2.0.0-2-generic');
    expect(await verify({ OSP_EXPECT_BOOT_ID: old })).toMatchObject({
      status: 0,
      result: { code: 'OK', reboot: { required: false } },
    });
    await root.write('/run/fake-systemd/active', '');
    expect(await verify({ OSP_AGENT_TIMEOUT: '3' })).toMatchObject({ status: 70, result: { code: 'VERIFY_KUBELET' } });
    await root.write('/run/fake-systemd/active', 'kubelet.service\n');
    await fixture.install(root, 'sec-simple');
    const back = await verify();
    expect(back).toMatchObject({ status: 70, result: { code: 'VERIFY_PENDING' } });
    expect(back.result.msg).toContain('sec-simple is no longer at 1.1 (now: 1.0');
    await must('cp', [
      `${fixture.directory}/ubuntu/pool-security/sec-simple_1.1_amd64.deb`,
      `${fixture.directory}/ubuntu/pool-security/kubelet_1.30.5-1.1_amd64.deb`,
      `${root.path}/run`,
    ]);
    await root.ok('dpkg -i /run/sec-simple_1.1_amd64.deb /run/kubelet_1.30.5-1.1_amd64.deb');
    expect(await verify()).toMatchObject({ status: 70, result: { code: 'VERIFY_PACKAGES' } });
  });
});

describe('by hand', () => {
  test('scans, patches and schedules the reboot on its own host; the log is in /var/log', async () => {
    await fakeSystemd(root);
    await root.write('/root/os-patch.sh', await assemble());
    await root.write(
      '/usr/bin/uname',
      '#!/bin/sh\ncase $1 in -r) echo 1.0.0-1-generic ;; -n) echo worker-1 ;; *) echo Linux ;; esac\n',
      0o755,
    );
    const by = (words: string): ReturnType<typeof root.sh> =>
      root.sh(`cd /root && OSP_EXCLUDE=sec-conflicts sh os-patch.sh ${words}`);
    const scan = await by('--scan');
    expect(scan.stdout).toMatch(/Pending:[^]*sec-simple +1\.0 -> 1\.1[^]*Left alone:[^]*kubelet +protected/);
    expect(scan.status).toBe(0);
    expect(await root.ok("dpkg-query -W -f '${Version}' sec-simple")).toBe('1.0');
    const patch = await by('--reboot');
    expect(patch.stdout, patch.stderr).toMatch(
      /Updated:[^]*linux-image-generic +1\.0 -> 2\.0[^]*Reboot: +required \(kernel\)/,
    );
    expect(patch.status).toBe(0);
    expect(await root.read('/run/fake-systemd/os-patch-reboot.timer')).toContain('systemctl reboot');
    expect(await root.read('/var/log/os-patch.log')).toContain('7 upgraded, 2 new');
    expect(patch.stdout).not.toContain('OSPATCH');
    expect((await by('--help')).stdout).toContain('Usage: sudo sh os-patch.sh');
    expect((await by('--upgrade')).status).toBe(20);
  });

  test('without --reboot it only says that one is required', async () => {
    await fakeSystemd(root);
    await fixture.install(root, 'wants-reboot');
    await root.write('/root/os-patch.sh', await assemble());
    const patch = await root.sh('cd /root && OSP_EXCLUDE=sec-conflicts sh os-patch.sh');
    expect(patch.stdout).toMatch(/Reboot: +required \(sentinel\)/);
    expect(root.has('/run/fake-systemd/os-patch-reboot.timer')).toBe(false);
  });
});

describe('the program itself', () => {
  test('is clean for shellcheck as POSIX sh, and dash, busybox and bash can read it', async () => {
    const text = await assemble();
    const checked = await run('shellcheck', ['-s', 'sh', '-'], { input: text });
    expect(checked.stdout).toBe('');
    for (const shell of [['dash'], ['busybox', 'sh'], ['bash', '--posix']]) {
      expect(await run(shell[0] ?? '', [...shell.slice(1), '-n'], { input: text })).toMatchObject({
        status: 0,
        stderr: '',
      });
    }
  });

  test('never asks a key server, never turns a signature check off, and holds no package', async () => {
    const code = (await assemble()).replace(/^ *#.*$/gm, '');
    expect(code).not.toMatch(
      /keyserver|recv-keys|apt-key|allow-unauthenticated|AllowInsecure|nogpgcheck|--no-gpg-checks|apt-mark hold|trusted=yes/,
    );
  });

  test('ends with the exit class of its code; schema, script and documentation have the same closed list', async () => {
    const home = new URL('../../', import.meta.url).pathname;
    const text = await readFile(`${home}docs/patch-script.md`, 'utf8');
    const documented = [...text.matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(
      ([, code, status]) => `${code ?? ''} ${status ?? ''}`,
    );
    const schema = JSON.parse(await readFile(`${home}reconciler/patch/result.schema.json`, 'utf8')) as {
      properties: { code: { enum: string[] } };
    };
    const parts = await readFile(`${home}reconciler/patch/10-contract.sh`, 'utf8');
    const script = schema.properties.code.enum.map(
      async (code) => `${code} ${(await must('sh', ['-c', `${parts}\nclass_of ${code}`])).trim()}`,
    );
    expect(documented.toSorted()).toEqual((await Promise.all(script)).toSorted());
  });

  test('asks for itself as a file, because it carries itself to the host', async () => {
    const made = await pod(root, { mode: 'scan' });
    const piped = await run('/bin/busybox', ['sh'], { env: made.env, input: await assemble() });
    expect(piped.status).toBe(20);
    expect(readResult(await readFile(made.result, 'utf8')).msg).toContain('not through a pipe');
  });
});
