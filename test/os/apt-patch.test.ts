// What a patch does to a Debian or Ubuntu node: installed exactly as planned, offline, with nothing else changed, and again harmless.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { apt, type Apt } from './apt-fixture.ts';
import { must } from './commands.ts';
import type { Root } from './roots.ts';
import { packagesOf, runId, start, type Answer } from './script.ts';

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

const APPLIED = [
  'libupd 1.0 1.1',
  'linux-image-2.0.0-2-generic - 2.0',
  'linux-image-generic 1.0 2.0',
  'newdep-main - 1.0',
  'sec-needs-upd 1.0 1.1',
  'sec-newdep 1.0 1.1',
  'sec-newer-upd 1.0 1.1',
  'sec-phased 1.0 1.1',
  'sec-simple 1.0 1.1',
];

const ETC =
  'cd / && find etc -type f | sort | xargs md5sum; dpkg --get-selections kubelet kubeadm kubectl containerd held-user; find var/lib/apt -type f | sort';

/** A fake `uname` inside the root, for what depends on the running kernel. */
async function kernel(release: string): Promise<void> {
  await root.write(
    '/usr/bin/uname',
    `#!/bin/sh\ncase $1 in -r) echo ${release} ;; -n) echo worker-1 ;; *) echo Linux ;; esac\n`,
    0o755,
  );
}

async function downloadAndPatch(run = runId(), env: Record<string, string> = {}): Promise<Answer> {
  const download = await start(root, { mode: 'download', run, env });
  expect(download.result.code).toBe('OK');
  return start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true', ...env } });
}

describe('patch', () => {
  test('installs the plan offline in an empty network, keeps all else, answers again, and finds nothing more to do', async () => {
    await kernel('1.0.0-1-generic');
    const before = await root.ok(ETC);
    const run = runId();
    const env = { OSP_EXCLUDE: 'sec-conflicts' };
    const download = await start(root, { mode: 'download', run, env });
    expect(download.result).toMatchObject({ code: 'OK', n: { left: 9 }, adv: ['CVE-2026-1002', 'CVE-2026-1001'] });
    expect(download.result.n?.['bytes']).toBeGreaterThan(5000);
    fixture.server.asked.length = 0;
    const patch = await start(root, {
      mode: 'patch',
      run,
      env: { ...env, OSP_OFFLINE: 'true' },
      host: ['/usr/bin/unshare', '-n'],
    });
    expect(fixture.server.asked).toEqual([]);
    expect(patch.status).toBe(0);
    expect(packagesOf(patch.result)).toEqual(APPLIED);
    expect(patch.result).toMatchObject({
      status: 'Partial',
      code: 'OK',
      n: { applied: 7, new: 2, left: 0, pending: 15, kept: 6, cves: 2 },
      reboot: { required: true, safe: true, why: ['kernel'], pkgs: ['kernel 2.0.0-2-generic'], state: 'none' },
      after: { kernel: '1.0.0-1-generic', kernelNext: '2.0.0-2-generic' },
      warn: [],
    });
    expect(await root.ok(ETC)).toBe(before);
    expect(await root.ok('find /var/lib/os-patch -name "*.deb"')).toBe('');
    const again = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' } });
    expect(again.result).toEqual(patch.result);
    expect(again.stdout).not.toContain('phase: install');
    // A reboot empties /run; the answer is still there.
    await root.ok('rm -rf /run/os-patch');
    const later = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' } });
    expect(later.result).toEqual(patch.result);
    expect(later.stdout).toContain('its answer again');
    const next = await downloadAndPatch(runId(), env);
    expect(next.result).toMatchObject({ status: 'Partial', code: 'OK', n: { applied: 0, new: 0 } });
    await kernel('2.0.0-2-generic');
    const verify = await start(root, { mode: 'verify', run });
    expect(verify.result).toMatchObject({ status: 'Succeeded', code: 'OK', reboot: { required: false } });
  });

  test('a node with nothing to do is UpToDate', async () => {
    await downloadAndPatch();
    await root.ok(
      'apt-mark unhold held-user >/dev/null; dpkg -r --force-depends held-user sec-conflicts containerd kubelet kubeadm kubectl >/dev/null 2>&1',
    );
    const { result, status } = await start(root, { mode: 'scan' });
    expect(status).toBe(0);
    expect(result).toMatchObject({ status: 'UpToDate', code: 'OK', n: { pending: 0 } });
  });

  test('what a fix conflicts with is not removed, and the fix that stays behind is told by exit 10', async () => {
    const { result, status } = await downloadAndPatch();
    expect(status).toBe(10);
    expect(result.code).toBe('KEPT_BACK');
    expect(result.msg).toContain('sec-conflicts');
    expect(await root.ok('dpkg-query -W old-tool sec-conflicts')).toBe('old-tool\t1.0\nsec-conflicts\t1.0\n');
  });

  test('without a download an offline patch refuses before any change, and an online one does it all', async () => {
    const refused = await start(root, { mode: 'patch', env: { OSP_OFFLINE: 'true' } });
    expect(refused).toMatchObject({ status: 30, result: { code: 'DOWNLOAD_FAILED' } });
    const whole = await start(root, { mode: 'patch' });
    expect(packagesOf(whole.result)).toEqual(APPLIED);
  });

  test('a downloaded archive that was damaged on disk is noticed before any change', async () => {
    const run = runId();
    await start(root, { mode: 'download', run });
    const file = (await root.ok('find /var/lib/os-patch/apt/archives -name "sec-simple_*.deb"')).trim();
    await root.ok('s=$(stat -c %s "$1"); head -c "$s" /dev/zero >"$1"', file);
    const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' } });
    expect(patch).toMatchObject({ status: 30, result: { code: 'DOWNLOAD_FAILED' } });
    expect(await root.ok("dpkg-query -W -f '${Version}' sec-simple")).toBe('1.0');
    await start(root, { mode: 'download', run });
    const second = await start(root, { mode: 'patch', run, attempt: 2, env: { OSP_OFFLINE: 'true' } });
    expect(packagesOf(second.result)).toEqual(APPLIED);
  });

  test("an administrator's configuration file stays, the new one lies beside it and is named; no script waits for input", async () => {
    await fixture.install(root, 'configured', 'reads-stdin', 'with-epoch');
    await root.write('/etc/configured.conf', 'setting=mine\n');
    const { result } = await downloadAndPatch();
    expect(await root.read('/etc/configured.conf')).toBe('setting=mine\n');
    expect(result.conf).toEqual(['/etc/configured.conf.dpkg-dist']);
    expect(root.has('/run/stdin-was-empty')).toBe(true);
    expect(packagesOf(result)).toContain('with-epoch 1.0 1:0.9');
  });

  test('the sentinel of a package makes the reboot required, with its name', async () => {
    await fixture.install(root, 'wants-reboot');
    const { result } = await downloadAndPatch();
    expect(result.reboot).toMatchObject({ required: true, why: ['sentinel'], pkgs: ['wants-reboot'] });
  });

  test('a failing maintainer script is named; the next attempt says that the node was broken before', async () => {
    await fixture.install(root, 'bad-postinst');
    const { result, status } = await downloadAndPatch(runId('bad'));
    expect(status).toBe(50);
    expect(result.code).toBe('SCRIPT_FAILED');
    expect(result.msg).toContain('bad-postinst');
    expect(result.n?.['applied']).toBeGreaterThan(0);
    const scan = await start(root, { mode: 'scan' });
    expect(scan.result.warn?.join()).toContain('PackageDatabase: bad-postinst');
    const again = await start(root, { mode: 'patch', run: 'bad-again' });
    expect(again).toMatchObject({ status: 40, result: { code: 'PKG_DB_BROKEN' } });
    await root.write('/var/lib/dpkg/info/bad-postinst.postinst', '#!/bin/sh\nexit 0\n', 0o755);
    const healed = await start(root, { mode: 'patch', run: 'bad-again', attempt: 2 });
    expect(healed.result.warn?.join()).toContain('RepairedPackages: bad-postinst');
    expect(healed.result.code).toBe('KEPT_BACK');
  });
});

describe('exact versions', () => {
  test('a lock installs exactly what the first node got, and refuses what is no longer there', async () => {
    const lock = [
      'libupd 1.1',
      'linux-image-2.0.0-2-generic 2.0',
      'linux-image-generic 2.0',
      'sec-needs-upd 1.1',
      'sec-newer-upd 1.1',
    ].join('\n');
    await must('sh', ['-c', 'printf "%s\\n" "$1" >"$2"', 'sh', `# run x\n${lock}`, `${root.path}.lock`]);
    const env = { OSP_LOCK_FILE: `${root.path}.lock` };
    const { result } = await downloadAndPatch(runId(), env);
    expect(packagesOf(result)).toEqual([
      'libupd 1.0 1.1',
      'linux-image-2.0.0-2-generic - 2.0',
      'linux-image-generic 1.0 2.0',
      'sec-needs-upd 1.0 1.1',
      'sec-newer-upd 1.0 1.1',
    ]);
    expect(result.kept).toContainEqual(['sec-simple', 'not-in-lock']);
    expect(result.lock?.in).toBe(result.lock?.sha);
    await must('sh', ['-c', 'echo "sec-simple 1.0.5" >"$1"', 'sh', `${root.path}.lock`]);
    const missing = await start(root, { mode: 'download', env });
    expect(missing).toMatchObject({ status: 40, result: { code: 'LOCK_VERSION_MISSING' } });
    const ceiling = await start(root, { mode: 'download', env: { ...env, OSP_LOCK_MODE: 'ceiling' } });
    expect(ceiling.result).toMatchObject({ code: 'OK', n: { left: 0 } });
    await must('sh', ['-c', 'echo "sec-newdep 1.1" >"$1"', 'sh', `${root.path}.lock`]);
    const needs = await start(root, { mode: 'download', env });
    expect(needs).toMatchObject({ status: 40, result: { code: 'LOCK_MISMATCH' } });
    await must('sh', ['-c', 'echo "libupd 1.0" >"$1"', 'sh', `${root.path}.lock`]);
    const older = await start(root, { mode: 'download', env });
    expect(older.result).toMatchObject({ code: 'OK', n: { left: 0 } });
  });
});
