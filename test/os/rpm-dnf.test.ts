// dnf on a Rocky 9 shaped node: what is chosen, what stays and why, and that it ends the same whatever happens on the way.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { must } from './commands.ts';
import type { Root } from './roots.ts';
import { rpm, versionsOf, type NodeShape, type Rpm } from './rpm-fixture.ts';
import { assemble, packagesOf, runId, start } from './script.ts';

let fixture: Rpm;
const open: Root[] = [];
const node = async (shape?: NodeShape): Promise<Root> => {
  const root = await fixture.dnfNode(shape);
  open.push(root);
  return root;
};

let shared: Root;
beforeAll(async () => {
  fixture = await rpm();
  shared = await fixture.dnfNode();
});
afterEach(async () => {
  for (const root of open.splice(0)) await root.close();
});
afterAll(async () => {
  await shared.close();
  await fixture.close();
});

/** What the last scan would install, as "name old new" lines. */
const planOf = async (root: Root): Promise<readonly string[]> =>
  (
    await root.ok(
      "rm -rf /run/scans; mv /run/os-patch /run/scans; find /run/scans -name plan.tsv -exec cut -f 1-3 {} + | tr '\\t' ' '",
    )
  )
    .split('\n')
    .filter((row) => row !== '');

/** The rpm part of the script, which only defines functions. */
const rpmPart = (script: string): string =>
  script.slice(script.indexOf("RPM_AWK='"), script.indexOf('rpm_inventory() {'));

const PENDING = [
  'containerd.io 1.7.1-1.el9 1.7.2-1.el9',
  'kernel - 99.2-1.el9',
  'kernel-core - 99.2-1.el9',
  'kubeadm 1.30.1-150500.1.1 1.30.9-150500.1.1',
  'kubectl 1.30.1-150500.1.1 1.30.9-150500.1.1',
  'kubelet 1.30.1-150500.1.1 1.30.9-150500.1.1',
  'libup 1.1-1.el9 1.2-1.el9',
  'newdep - 1.0-1.el9',
  'openssl-libs 3.0.1-1.el9 3.0.2-1.el9',
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

describe('selection', () => {
  test('scan finds the smallest fixing versions, says what stays and why, and changes nothing', async () => {
    const root = await node();
    const state =
      'cd / && find etc usr var/lib/rpm var/cache/dnf var/log -type f ! -name "rpmdb.sqlite-*" | sort | xargs md5sum; rpm -qa | sort';
    const before = await root.ok(state);
    const { result, status } = await start(root, { mode: 'scan' });
    expect(packagesOf(result)).toEqual(PENDING);
    expect(result.kept).toEqual(KEPT);
    expect(result.adv).toContain('SEC-2026:0001');
    expect(result.adv).not.toContain('BUG-2026:0002');
    expect(result.n).toMatchObject({ pending: 14, kept: 5, left: 9, protected: 4 });
    expect(status).toBe(0);
    expect(await root.ok(state)).toBe(before);
  });

  test('download, then patch without a network, then verify: exactly the plan, and a second patch has nothing to do', async () => {
    const root = await node();
    const run = runId();
    const etc = await root.ok('cd /etc && find . -type f | sort | xargs md5sum');
    const download = await start(root, { mode: 'download', run });
    expect(download.result).toMatchObject({ code: 'OK' });
    expect(packagesOf(download.result)).toEqual(PENDING);
    const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' }, host: ['unshare', '-n'] });
    expect(patch.result).toMatchObject({ status: 'Partial', code: 'KEPT_BACK', n: { applied: 6, new: 3, left: 0 } });
    expect(packagesOf(patch.result)).toEqual(PENDING.filter((line) => !/^(containerd|kube|sec-conf)/.test(line)));
    expect(patch.result.adv).toEqual([
      'SEC-2026:0001',
      'SEC-2026:0004',
      'SEC-2026:0005',
      'SEC-2026:0008',
      'SEC-2026:0009',
      'SEC-2026:0010',
    ]);
    expect(patch.result.reboot).toMatchObject({ required: true, why: ['kernel', 'needs-restarting'] });
    expect(await versionsOf(root, 'kernel-core', 'kubelet', 'openssl-libs', 'bugonly', 'oldtool')).toEqual([
      'bugonly 1.1-1.el9',
      'kernel-core 99.1-1.el9',
      'kernel-core 99.2-1.el9',
      'kubelet 1.30.1-150500.1.1',
      'oldtool 1.0-1.el9',
      'openssl-libs 3.0.2-1.el9',
    ]);
    expect(await root.ok('cd /etc && find . -type f | sort | xargs md5sum')).toBe(etc);
    const verify = await start(root, { mode: 'verify', run });
    expect(verify.result.code).toBe('OK');
    const again = await start(root, { mode: 'patch' });
    expect(again.result).toMatchObject({ n: { applied: 0, new: 0 } });
  });

  test.each([
    ['latest', { OSP_RPM_LEVEL: 'latest' }, 'openssl-libs 3.0.1-1.el9 3.0.3-1.el9', true],
    ['scope all', { OSP_SCOPE: 'all' }, 'bugonly 1.1-1.el9 1.2-1.el9', true],
    ['scope all takes what no advisory names', { OSP_SCOPE: 'all' }, 'noadv 1.1-1.el9 1.2-1.el9', true],
    ['an exclude stays', { OSP_EXCLUDE: 'sec-i*' }, 'sec-imp', false],
    ['a severity alone', { OSP_SEVERITY: 'Low' }, 'sec-low 1.1-1.el9 1.2-1.el9', true],
    ['a severity leaves the others', { OSP_SEVERITY: 'Low' }, 'sec-imp', false],
    ['CVE ids', { OSP_CVES: 'CVE-2026-2222 CVE-2026-7777' }, 'newdep - 1.0-1.el9', true],
    ['CVE ids leave the others', { OSP_CVES: 'CVE-2026-2222' }, 'openssl-libs', false],
    ['an include', { OSP_INCLUDE: 'openssl*' }, 'openssl-libs 3.0.1-1.el9 3.0.2-1.el9', true],
    ['an include leaves the others', { OSP_INCLUDE: 'openssl*' }, 'sec-imp', false],
    ['an include that matches nothing', { OSP_INCLUDE: 'nginx*' }, 'sec-imp', false],
    ['dependencies of the distribution', {}, 'libup 1.1-1.el9 1.2-1.el9', true],
    ['no dependency that is no fix', { OSP_DEPS: 'security' }, 'libup', false],
    ['what needs it stays then', { OSP_DEPS: 'security' }, 'sec-needs-libup', false],
  ] as const)('%s', async (_, env, line, there) => {
    const root = shared;
    await start(root, { mode: 'scan', env });
    const plan = await planOf(root);
    expect(plan.some((row) => row === line || row.startsWith(`${line} `))).toBe(there);
    expect(plan.some((row) => /^kube(let|adm|ctl) /.test(row))).toBe(false);
  });
});

describe('versions and kernels', () => {
  test('the order of versions is that of rpm itself', async () => {
    const list =
      '1.0-1 1.0-2 1.10-1 1.9-1 1.0~rc1-1 1.0^git1-1 1.0.1-1 1.0a-1 1.a-1 007-1 7-1 5.14.0-503.el9.x86_64 5.14.0-427.13.1.el9_4.x86_64 1.0-1.el9_4 1.0-1.el9 1.0+git-1 20240101120000000001-1 20240101120000000000-1';
    await shared.write(
      '/run/order.sh',
      `${await assemble().then(rpmPart)}
      for a in ${list}; do for b in ${list}; do if rpm_version_ge "$a" "$b"; then echo yes; else echo no; fi; done; done`,
    );
    const table = `{${list
      .split(' ')
      .map((one) => `"${one}"`)
      .join(',')}}`;
    await shared.write(
      '/run/order.lua',
      `local function part(v) return v:match("^(.*)-([^-]*)$") end
       for _, a in ipairs(${table}) do for _, b in ipairs(${table}) do
         local av, ar = part(a); local bv, br = part(b); local c = rpm.vercmp(av, bv)
         if c == 0 then c = rpm.vercmp(ar, br) end
         print((c >= 0 and "yes" or "no") .. "\\n") end end`,
    );
    const own = await shared.ok('sh /run/order.sh');
    expect(own.split('\n').length).toBe(18 * 18 + 1);
    expect(own).toBe(await shared.ok('rpm --eval \'%{lua: dofile("/run/order.lua")}\' | grep .'));
  });

  test('an epoch outranks a version, and the package is found, fetched and installed', async () => {
    const root = await node({ more: ['epoch-lib'] });
    const { result } = await start(root, { mode: 'patch' });
    expect(packagesOf(result)).toContain('epoch-lib 1:9.1-1.el9 2:1.2-1.el9');
    expect(result.adv).toContain('SEC-2026:0016');
    const lock = 'epoch-lib 2:1.2-1.el9\n';
    const other = await node({ more: ['epoch-lib'] });
    await other.write('/run/lock.txt', lock);
    const locked = await start(other, { mode: 'patch', env: { OSP_LOCK_FILE: `${other.path}/run/lock.txt` } });
    expect(packagesOf(locked.result), locked.result.msg).toEqual(['epoch-lib 1:9.1-1.el9 2:1.2-1.el9']);
  });

  test("the system's own limit for kernels holds: the oldest goes, and that is said", async () => {
    const root = await node();
    await root.ok('sed -i s/installonly_limit=3/installonly_limit=2/ /etc/dnf/dnf.conf');
    await must('cp', ['-a', `${fixture.directory}/base/noarch/.`, `${root.path}/run/`]);
    await root.ok('rpm -i --nodeps --force /run/kernel-core-99.0-*.rpm /run/kernel-99.0-*.rpm 2>&1');
    const { result } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('KEPT_BACK');
    expect(await versionsOf(root, 'kernel-core')).toEqual(['kernel-core 99.1-1.el9', 'kernel-core 99.2-1.el9']);
    expect(result.warn).toContainEqual(expect.stringContaining('OldKernelRemoved: kernel-core 99.0-1.el9'));
  });
});
