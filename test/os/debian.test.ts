// Real Debian roots with their real pending security updates of today, from the real mirror; and what the script costs over bare apt.
import { afterAll, describe, expect, test } from 'vitest';
import { must } from './commands.ts';
import { debianNode } from './debian-fixture.ts';
import { DEBIAN, mainLine, type Debian } from './roots.ts';
import { packagesOf, runId, start } from './script.ts';

const figures: string[] = [];
afterAll(() => {
  console.log(['release | pending | bare update + plan | scan | bare upgrade | patch', ...figures].join('\n'));
});

const FORMATS: Readonly<Record<Debian, readonly ('one-line' | 'deb822')[]>> = {
  bullseye: ['one-line'],
  bookworm: ['one-line', 'deb822'],
  trixie: ['deb822'],
};

const OPTIONS = '-o APT::Get::Always-Include-Phased-Updates=true -o Dpkg::Options::=--force-confold';

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

describe('Debian', () => {
  test.each(DEBIAN)(
    '%s: the same updates as bare apt takes from security, offline after the download, then up to date',
    async (release) => {
      // The reference: what apt itself would do with the security archive alone.
      const bare = await debianNode(release, 'one-line');
      const update = await bare.sh(
        `apt-get -qq update && apt-get -s ${OPTIONS} --with-new-pkgs --no-install-recommends upgrade`,
      );
      const plan = update.stdout
        .split('\n')
        .filter((line) => line.startsWith('Inst ') && line.includes('Debian-Security'))
        .map((line) => line.split(' ')[1] ?? '')
        .toSorted();
      expect(plan.length).toBeGreaterThan(0);
      const upgrade = await bare.sh(
        `DEBIAN_FRONTEND=noninteractive apt-get -y ${OPTIONS} --with-new-pkgs --no-install-recommends upgrade </dev/null`,
      );
      expect(upgrade.status, upgrade.stderr).toBe(0);
      const wanted = await bare.ok('dpkg-query -W');
      await bare.close();

      for (const format of FORMATS[release]) {
        const root = await debianNode(release, format);
        try {
          const etc = await root.ok(
            'cd / && find etc/apt -type f | sort | xargs md5sum; ls -A var/lib/apt/lists | grep -vx -e partial -e lock || true',
          );
          const scan = await start(root, { mode: 'scan' });
          expect(packagesOf(scan.result)?.map((line) => line.split(' ')[0])).toEqual(plan);
          expect(scan.result.before).toMatchObject({ os: 'debian' });
          expect(scan.result.before['osv']).toMatch(/^1[123]\.\d+$/);
          const run = runId();
          const download = await start(root, { mode: 'download', run });
          expect(download.result.code).toBe('OK');
          expect(download.result.n?.['cves']).toBeGreaterThan(0);
          const patch = await start(root, {
            mode: 'patch',
            run,
            env: { OSP_OFFLINE: 'true' },
            host: ['/usr/bin/unshare', '-n'],
          });
          expect(patch.result, patch.stdout).toMatchObject({
            code: 'OK',
            status: 'Succeeded',
            n: { left: 0, kept: 0 },
          });
          expect(packagesOf(patch.result)).toEqual(packagesOf(scan.result));
          expect(
            await root.ok(
              'cd / && find etc/apt -type f | sort | xargs md5sum; ls -A var/lib/apt/lists | grep -vx -e partial -e lock || true',
            ),
          ).toBe(etc);
          expect(await root.ok('dpkg-query -W')).toBe(wanted);
          expect(await start(root, { mode: 'verify', run })).toMatchObject({ status: 0, result: { code: 'OK' } });
          expect((await start(root, { mode: 'scan' })).result).toMatchObject({ status: 'UpToDate', n: { pending: 0 } });
          if (format === FORMATS[release][0]) {
            figures.push(
              `${release} | ${String(plan.length)} | ${seconds(update.ms)} | ${seconds(scan.ms)} | ${seconds(upgrade.ms)} (with its download) | ` +
                `${seconds(patch.ms)} after a download of ${seconds(download.ms)}`,
            );
          }
        } finally {
          await root.close();
        }
      }
    },
  );

  test('a real new kernel comes in although its name is new, and the reboot that it needs is said', async () => {
    const root = await debianNode('bookworm', 'deb822');
    try {
      // The kernel of the point release first, then the security archive's.
      await root.write('/etc/apt/sources.list', `${mainLine('bookworm')}\n`);
      await root.ok('mv /etc/apt/sources.list.d /run/aside && mkdir /etc/apt/sources.list.d && apt-get -qq update');
      await root.ok(
        'DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install linux-image-cloud-amd64 </dev/null',
      );
      await must('sh', [
        '-c',
        'rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d && mv "$1"/run/aside "$1"/etc/apt/sources.list.d',
        'sh',
        root.path,
      ]);
      const old = (await root.ok('ls /boot | sed -n "s/^vmlinuz-//p"')).trim();
      await root.write(
        '/usr/bin/uname',
        `#!/bin/sh\ncase $1 in -r) echo ${old} ;; -v) echo "#1 SMP" ;; *) echo Linux ;; esac\n`,
        0o755,
      );
      const run = runId('kernel');
      await start(root, { mode: 'download', run });
      const patch = await start(root, { mode: 'patch', run, env: { OSP_OFFLINE: 'true' } });
      expect(patch.result, patch.stdout).toMatchObject({
        code: 'OK',
        status: 'Succeeded',
        reboot: { required: true, safe: true, why: ['kernel'] },
      });
      const next = patch.result.after?.['kernelNext'] ?? '';
      expect(next).toMatch(/^6\.1\.0-\d+-cloud-amd64$/);
      expect(next).not.toBe(old);
      expect(root.has(`/boot/initrd.img-${next}`)).toBe(true);
      expect(root.has(`/boot/vmlinuz-${old}`)).toBe(true);
      expect(patch.result.n?.['cves']).toBeGreaterThan(100);
    } finally {
      await root.close();
    }
  });
});
