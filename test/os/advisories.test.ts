// Which advisories and CVE ids belong to which update: in the scan, in the download and in what the patch brought.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { apt, type Apt } from './apt-fixture.ts';
import type { Root } from './roots.ts';
import { rpm, type Rpm } from './rpm-fixture.ts';
import { runId, start, wholeOf } from './script.ts';

let aptFixture: Apt;
let rpmFixture: Rpm;
const open: Root[] = [];

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

/** What the fixture's updateinfo says of the updates that can be installed. */
const INSTALLABLE = [
  'SEC-2026:0001 openssl-libs CVE-2026-1111 CVE-2026-1112',
  'SEC-2026:0004 sec-imp CVE-2026-2222',
  'SEC-2026:0005 sec-low CVE-2026-3333',
  'SEC-2026:0008 kernel CVE-2026-6666',
  'SEC-2026:0008 kernel-core CVE-2026-6666',
  'SEC-2026:0009 sec-newdep CVE-2026-7777',
  'SEC-2026:0010 sec-needs-libup CVE-2026-8888',
  'SEC-2026:0018 served CVE-2026-1818 CVE-2026-1819',
];

/** And of those that stay: protected ones, and one that conflicts. */
const KEPT = [
  'SEC-2026:0006 kubeadm CVE-2026-4444',
  'SEC-2026:0006 kubectl CVE-2026-4444',
  'SEC-2026:0006 kubelet CVE-2026-4444',
  'SEC-2026:0007 containerd.io CVE-2026-5555',
  'SEC-2026:0011 sec-conf CVE-2026-9999',
];

const FAMILIES: readonly (readonly [string, () => Promise<Root>])[] = [
  ['dnf 4.14', () => rpmFixture.dnfNode({ more: ['served'] })],
  ['dnf 4.23', () => rpmFixture.dnfNode({ more: ['served'] }, 'trixie')],
  ['zypper 1.14.42', () => rpmFixture.zypperNode('bookworm', { more: ['served'] })],
  ['zypper 1.14.89', () => rpmFixture.zypperNode('trixie', { more: ['served'] })],
];

describe('advisories and CVE ids', () => {
  test.each(FAMILIES)('%s: of each pending update, of each that stays, and of each that came', async (_, made) => {
    const root = await made();
    open.push(root);
    const pending = [...INSTALLABLE, ...KEPT].toSorted();
    const ids = [...new Set(pending.map((line) => line.split(' ')[0] ?? ''))];
    const counts = { advisories: ids.length, cves: 12 };
    const run = runId();
    for (const mode of ['scan', 'download'] as const) {
      const answer = await start(root, { mode, run });
      expect(wholeOf(answer).advisories, answer.stdout).toEqual(pending);
      expect(answer.result.adv).toEqual(ids);
      expect(answer.result.n).toMatchObject(counts);
    }
    const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' }, host: ['unshare', '-n'] });
    expect(wholeOf(patch).advisories, patch.stdout).toEqual(INSTALLABLE);
    expect(patch.result.adv).toEqual([...new Set(INSTALLABLE.map((line) => line.split(' ')[0] ?? ''))]);
    expect(patch.result.n).toMatchObject({ advisories: 7, cves: 9 });
    // A bug fix has an advisory too, but is no security update: neither pending nor named.
    expect(JSON.stringify([patch.result.adv, wholeOf(patch).advisories])).not.toContain('BUG-');
    const after = await start(root, { mode: 'scan' });
    expect(wholeOf(after).advisories).toEqual(KEPT);
  });

  test('apt: its metadata names none; after the download they come from the changelogs of the packages, newer entries only', async () => {
    const root = await aptFixture.node();
    open.push(root);
    const scan = await start(root, { mode: 'scan' });
    expect(scan.result).toMatchObject({ adv: [], n: { advisories: 0, cves: 0 } });
    expect(wholeOf(scan).advisories).toEqual([]);
    const run = runId();
    const wanted = ['- sec-simple CVE-2026-1001 CVE-2026-1002'];
    const download = await start(root, { mode: 'download', run });
    expect(wholeOf(download).advisories).toEqual(wanted);
    expect(download.result).toMatchObject({ adv: ['CVE-2026-1002', 'CVE-2026-1001'], n: { advisories: 0, cves: 2 } });
    const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' } });
    expect(wholeOf(patch).advisories).toEqual(wanted);
    expect(patch.result).toMatchObject({ adv: ['CVE-2026-1002', 'CVE-2026-1001'], n: { cves: 2 } });
  });
});
