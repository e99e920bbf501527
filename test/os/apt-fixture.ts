// Small signed apt archives with Ubuntu's, a vendor's and the Kubernetes project's fields: every shape that a real archive has shown.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { must } from './commands.ts';
import { CACHE, cached, copyOf, debianBase, type Root } from './roots.ts';
import { serve, type Served } from './server.ts';

const execute = promisify(execFile);

/** One package of an archive. `scripts` are maintainer scripts by name; `files` go into the package; `conffiles` are listed as such. */
interface Package {
  readonly name: string;
  readonly version: string;
  readonly fields?: readonly string[];
  readonly scripts?: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly conffiles?: readonly string[];
}

type Pocket = 'release' | 'updates' | 'security' | 'vendor' | 'kubernetes' | 'esm' | 'esm-apps' | 'next';

function shipped(
  pocket: Pocket,
  name: string,
  version: string,
  more: Omit<Package, 'name' | 'version'> = {},
): readonly [Pocket, Package] {
  return [pocket, { name, version, ...more }];
}

/** A package with a fault: 1.0 in the release is sound, 1.1 in security has the fault. */
function faulty(name: string, more: Omit<Package, 'name' | 'version'>): (readonly [Pocket, Package])[] {
  return [shipped('release', name, '1.0'), shipped('security', name, '1.1', more)];
}

const changelog = (name: string): string =>
  [
    `${name} (1.1) noble-security; urgency=high\n\n  * Fix CVE-2026-1001 and CVE-2026-1002.\n\n -- T <t@example.invalid>  Mon, 02 Nov 2026 00:00:00 +0000\n`,
    `${name} (1.0) noble; urgency=low\n\n  * Fix CVE-2020-9999.\n\n -- T <t@example.invalid>  Mon, 05 Jan 2026 00:00:00 +0000\n`,
  ].join('\n');

const blob = Buffer.from(
  Array.from({ length: 6_000_000 }, (_, index) => (Math.imul(index, 2_654_435_761) >>> 13) & 255),
);

const PACKAGES: readonly (readonly [Pocket, Package])[] = [
  // The same fix in security and updates; a newer bug fix in updates; a bug fix only.
  shipped('release', 'sec-simple', '1.0'),
  shipped('security', 'sec-simple', '1.1', {
    files: { 'usr/share/doc/sec-simple/changelog.Debian': changelog('sec-simple') },
  }),
  shipped('updates', 'sec-simple', '1.1', {
    files: { 'usr/share/doc/sec-simple/changelog.Debian': changelog('sec-simple') },
  }),
  shipped('release', 'sec-newer-upd', '1.0'),
  shipped('security', 'sec-newer-upd', '1.1'),
  shipped('updates', 'sec-newer-upd', '1.2'),
  shipped('release', 'bugfix-only', '1.0'),
  shipped('updates', 'bugfix-only', '1.1'),
  // A fix that needs a package nobody has yet, and one that needs a newer library from updates.
  shipped('release', 'newdep-main', '1.0'),
  shipped('release', 'sec-newdep', '1.0'),
  shipped('security', 'sec-newdep', '1.1', { fields: ['Depends: newdep-main'] }),
  shipped('release', 'libupd', '1.0'),
  shipped('updates', 'libupd', '1.1'),
  shipped('release', 'sec-needs-upd', '1.0', { fields: ['Depends: libupd (>= 1.0)'] }),
  shipped('security', 'sec-needs-upd', '1.1', { fields: ['Depends: libupd (>= 1.1)'] }),
  // Phased at nought per cent in updates.
  shipped('release', 'sec-phased', '1.0'),
  shipped('security', 'sec-phased', '1.1'),
  shipped('updates', 'sec-phased', '1.1'),
  shipped('release', 'bug-phased', '1.0'),
  shipped('updates', 'bug-phased', '1.1'),
  // A kernel: the new one has a new name.
  shipped('release', 'linux-image-1.0.0-1-generic', '1.0'),
  shipped('release', 'linux-image-generic', '1.0', { fields: ['Depends: linux-image-1.0.0-1-generic'] }),
  shipped('security', 'linux-image-2.0.0-2-generic', '2.0'),
  shipped('security', 'linux-image-generic', '2.0', { fields: ['Depends: linux-image-2.0.0-2-generic'] }),
  // A fix that would remove something; a user's hold; the container runtime.
  shipped('release', 'old-tool', '1.0'),
  shipped('release', 'sec-conflicts', '1.0'),
  shipped('security', 'sec-conflicts', '1.1', { fields: ['Conflicts: old-tool'] }),
  shipped('release', 'held-user', '1.0'),
  shipped('security', 'held-user', '1.1'),
  shipped('release', 'containerd', '1.0'),
  shipped('security', 'containerd', '1.1'),
  shipped('release', 'in-release-only', '1.0'),
  // Other people's archives.
  shipped('release', 'vendor-agent', '1.0'),
  shipped('vendor', 'vendor-agent', '2.0'),
  shipped('vendor', 'newdep-main', '9.0'),
  ...['kubelet', 'kubeadm', 'kubectl'].flatMap((name) => [
    shipped('release', name, '1.30.1-1.1'),
    shipped('security', name, '1.30.5-1.1'),
    shipped('kubernetes', name, '1.30.9-1.1'),
  ]),
  // Extended maintenance, and the next release of the distribution among the sources.
  shipped('release', 'esm-fixed', '1.0'),
  shipped('esm', 'esm-fixed', '1.0+esm1'),
  shipped('release', 'esm-app', '1.0'),
  shipped('esm-apps', 'esm-app', '1.0+esm2'),
  shipped('next', 'sec-simple', '9.0'),
  shipped('next', 'bugfix-only', '9.0'),
  // Faults, installed by the tests that want them.
  ...faulty('bad-postinst', { scripts: { postinst: 'echo "bad-postinst: cannot configure" >&2; exit 1' } }),
  ...faulty('slow', {
    scripts: {
      postinst:
        'touch /run/slow-began; i=0; while [ ! -e /run/not-slow ] && [ $i -lt 200 ]; do sleep 0.1; i=$((i + 1)); done',
    },
  }),
  ...faulty('stops', { scripts: { preinst: 'exit 0', postinst: '[ -e /run/not-slow ] || kill -9 $PPID; sleep 1' } }),
  ...faulty('reads-stdin', {
    scripts: { postinst: 'if read -r x; then echo "got $x"; else touch /run/stdin-was-empty; fi' },
  }),
  ...faulty('wants-reboot', {
    scripts: { postinst: 'touch /run/reboot-required; echo wants-reboot >>/run/reboot-required.pkgs' },
  }),
  ...faulty('large', { files: { 'usr/share/large/blob': blob }, fields: ['Installed-Size: 10'] }),
  ...faulty('huge', { fields: ['Installed-Size: 2000000000'] }),
  ...faulty('drags-kubelet', { fields: ['Depends: kubelet (>= 1.30.5)'] }),
  shipped('release', 'configured', '1.0', {
    files: { 'etc/configured.conf': 'setting=1.0\n' },
    conffiles: ['/etc/configured.conf'],
  }),
  shipped('security', 'configured', '1.1', {
    files: { 'etc/configured.conf': 'setting=1.1\n' },
    conffiles: ['/etc/configured.conf'],
  }),
  // A library and a program that a service has in memory.
  ...(['release', 'security'] as const).map((pocket) => {
    const version = pocket === 'release' ? '1.0' : '1.1';
    return shipped(pocket, 'served', version, {
      files: { 'usr/lib/libserved.so.1': version, 'usr/sbin/served': version },
    });
  }),
  ...faulty('with-epoch', {}),
  shipped('security', 'with-epoch', '1:0.9'),
];

async function buildPackage(directory: string, item: Package): Promise<void> {
  const tree = await mkdtemp(join(CACHE, 'deb-'));
  try {
    await chmod(tree, 0o755);
    await mkdir(join(tree, 'DEBIAN'), { recursive: true });
    const control = [
      `Package: ${item.name}`,
      `Version: ${item.version}`,
      'Architecture: amd64',
      'Maintainer: T <t@example.invalid>',
      `Description: test ${item.name}`,
    ];
    await writeFile(join(tree, 'DEBIAN/control'), [...control, ...(item.fields ?? []), ''].join('\n'));
    if (item.conffiles !== undefined) await writeFile(join(tree, 'DEBIAN/conffiles'), `${item.conffiles.join('\n')}\n`);
    for (const [name, text] of Object.entries(item.scripts ?? {})) {
      await writeFile(join(tree, 'DEBIAN', name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    }
    for (const [name, content] of Object.entries({ [`usr/share/${item.name}/version`]: item.version, ...item.files })) {
      await mkdir(join(tree, name, '..'), { recursive: true });
      await writeFile(join(tree, name), content);
      if (name.endsWith('/changelog.Debian')) await must('gzip', ['-9n', join(tree, name)]);
    }
    await mkdir(directory, { recursive: true });
    const file = `${item.name}_${item.version.replace(':', '%3a')}_amd64.deb`;
    await must('dpkg-deb', ['-Znone', '-b', '--root-owner-group', tree, join(directory, file)]);
  } finally {
    await rm(tree, { recursive: true, force: true });
  }
}

/** The fields that an archive's Release file has. `validUntil` and `date` make it out of date or too new. */
interface Archive {
  readonly home: string;
  readonly suite: string;
  readonly codename: string;
  readonly origin: string;
  readonly label: string;
  readonly pool: string;
  readonly phased?: readonly string[];
}

const ARCHIVES: readonly (Archive & { readonly pocket: Pocket })[] = [
  {
    pocket: 'release',
    home: 'ubuntu',
    suite: 'noble',
    codename: 'noble',
    origin: 'Ubuntu',
    label: 'Ubuntu',
    pool: 'pool-release',
  },
  {
    pocket: 'updates',
    home: 'ubuntu',
    suite: 'noble-updates',
    codename: 'noble',
    origin: 'Ubuntu',
    label: 'Ubuntu',
    pool: 'pool-updates',
    phased: ['sec-phased', 'bug-phased'],
  },
  {
    pocket: 'security',
    home: 'ubuntu',
    suite: 'noble-security',
    codename: 'noble',
    origin: 'Ubuntu',
    label: 'Ubuntu',
    pool: 'pool-security',
  },
  {
    pocket: 'esm',
    home: 'esm',
    suite: 'noble-infra-security',
    codename: 'noble',
    origin: 'UbuntuESM',
    label: 'UbuntuESM',
    pool: 'pool',
  },
  {
    pocket: 'esm-apps',
    home: 'esm-apps',
    suite: 'noble-apps-security',
    codename: 'noble',
    origin: 'UbuntuESMApps',
    label: 'UbuntuESMApps',
    pool: 'pool',
  },
  {
    pocket: 'next',
    home: 'ubuntu',
    suite: 'plucky-security',
    codename: 'plucky',
    origin: 'Ubuntu',
    label: 'Ubuntu',
    pool: 'pool-next',
  },
  {
    pocket: 'vendor',
    home: 'vendor',
    suite: 'stable',
    codename: 'stable',
    origin: 'Vendor Inc',
    label: 'Vendor',
    pool: 'pool',
  },
  {
    pocket: 'kubernetes',
    home: 'kubernetes',
    suite: 'kubernetes',
    codename: 'kubernetes',
    origin: 'obs://build.opensuse.org/isv:kubernetes:core:stable:v1.30/deb',
    label: 'isv:kubernetes:core:stable:v1.30',
    pool: 'pool',
  },
];

/** The day of which the archives hold a snapshot, below `snapshot/`. */
export const SNAPSHOT = '20261001T000000Z';

const GNUPG = join(CACHE, 'gnupg');

async function key(): Promise<string> {
  await cached('gnupg', async (directory) => {
    await chmod(directory, 0o700);
    const gpg = (args: readonly string[]): Promise<string> =>
      must('gpg', ['--homedir', directory, '--batch', '--quiet', ...args]);
    await gpg(['--passphrase', '', '--quick-gen-key', 'Test Archive <t@example.invalid>', 'rsa3072', 'sign', 'never']);
    await writeFile(
      join(directory, 'archive.gpg'),
      (await execute('gpg', ['--homedir', directory, '--export'], { encoding: 'buffer' })).stdout,
    );
    await must('gpgconf', ['--homedir', directory, '--kill', 'all']);
  });
  return join(GNUPG, 'archive.gpg');
}

/** Writes Packages, Release and InRelease of one suite. `extra` are more Release fields, such as Valid-Until. */
async function publish(base: string, archive: Archive, extra: readonly string[] = [], signed = true): Promise<void> {
  const home = join(base, archive.home);
  const suite = join(home, 'dists', archive.suite);
  await mkdir(join(suite, 'main/binary-amd64'), { recursive: true });
  await mkdir(join(home, archive.pool), { recursive: true });
  let packages = await must('apt-ftparchive', ['packages', archive.pool], { cwd: home });
  for (const name of archive.phased ?? []) {
    packages = packages.replace(`Package: ${name}\n`, `Package: ${name}\nPhased-Update-Percentage: 0\n`);
  }
  await writeFile(join(suite, 'main/binary-amd64/Packages'), packages);
  const fields = {
    Origin: archive.origin,
    Label: archive.label,
    Suite: archive.suite,
    Codename: archive.codename,
    Version: '24.04',
    Architectures: 'amd64',
    Components: 'main',
  };
  const options = Object.entries(fields).flatMap(([name, value]) => [
    '-o',
    `APT::FTPArchive::Release::${name}=${value}`,
  ]);
  let release = await must('apt-ftparchive', [...options, 'release', suite]);
  for (const field of extra) {
    const name = field.split(':')[0] ?? '';
    release = release.replace(new RegExp(`^${name}:.*\n`, 'm'), '');
    release = `${field}\n${release}`;
  }
  await writeFile(join(suite, 'Release'), release);
  if (!signed) return;
  await key();
  await must('gpg', [
    '--homedir',
    GNUPG,
    '--batch',
    '--yes',
    '--quiet',
    '--clearsign',
    '-o',
    join(suite, 'InRelease'),
    join(suite, 'Release'),
  ]);
}

/** All archives in one directory of the cache, rebuilt when this file changes. */
async function archives(): Promise<string> {
  const own = await readFile(new URL(import.meta.url));
  const stamp = createHash('sha256').update(own).digest('hex').slice(0, 12);
  return cached(`apt-${stamp}`, async (directory) => {
    for (const [pocket, item] of PACKAGES) {
      const archive = ARCHIVES.find((one) => one.pocket === pocket);
      if (archive !== undefined) await buildPackage(join(directory, archive.home, archive.pool), item);
    }
    for (const archive of ARCHIVES) await publish(directory, archive);
    const security = ARCHIVES.find((one) => one.pocket === 'security');
    if (security === undefined) throw new Error('there is no security archive');
    // Broken twins of the security archive, each with its one fault; the packages are the same.
    for (const [home, extra, signed] of [
      ['expired', ['Valid-Until: Sat, 01 Jan 2022 00:00:00 UTC', 'Date: Sat, 01 Jan 2022 00:00:00 UTC'], true],
      ['future', ['Date: Thu, 01 Jan 2060 00:00:00 UTC'], true],
      ['unsigned', [], false],
    ] as const) {
      await mkdir(join(directory, home), { recursive: true });
      await symlink('../ubuntu/pool-security', join(directory, home, 'pool-security'));
      await publish(directory, { ...security, home }, extra, signed);
    }
    const half = join(directory, 'half');
    await must('cp', ['-a', join(directory, 'expired'), half]);
    await publish(directory, { ...security, home: 'half' });
    await writeFile(join(half, 'dists/noble-security/main/binary-amd64/Packages'), 'Package: half\n');
    // The same archive as it was on an earlier day, when only one of the fixes was there.
    const snapshot = `snapshot/${SNAPSHOT}`;
    await mkdir(join(directory, snapshot, 'pool-security'), { recursive: true });
    const fix = 'pool-security/sec-simple_1.1_amd64.deb';
    await symlink(join('../../../ubuntu', fix), join(directory, snapshot, fix));
    for (const pool of ['pool-release', 'pool-updates']) {
      await symlink(join('../../ubuntu', pool), join(directory, snapshot, pool));
    }
    for (const archive of ARCHIVES.filter((one) => one.home === 'ubuntu' && one.codename === 'noble')) {
      await publish(directory, { ...archive, home: snapshot });
    }
    await must('gpgconf', ['--homedir', GNUPG, '--kill', 'all']);
  });
}

/** The archives behind a web server, and what tests need to use them. */
export interface Apt {
  readonly server: Served;
  readonly directory: string;
  /** A root with the look of Ubuntu 24.04: everything at its release version, all archives configured as deb822. */
  readonly node: (release?: 'bullseye' | 'bookworm' | 'trixie') => Promise<Root>;
  /** Puts the release version of packages into a root, besides what is there. */
  readonly install: (root: Root, ...names: string[]) => Promise<void>;
  readonly close: () => Promise<void>;
}

const INSTALLED =
  'sec-simple sec-newer-upd bugfix-only sec-newdep libupd sec-needs-upd sec-phased bug-phased linux-image-1.0.0-1-generic ' +
  'linux-image-generic old-tool sec-conflicts held-user containerd in-release-only vendor-agent kubelet kubeadm kubectl';

/** One deb822 source. */
export function source(uri: string, suites: string, component = 'main'): string {
  return `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: ${component}\nSigned-By: /etc/apt/keyrings/test.gpg\n`;
}

const OS_RELEASE =
  'PRETTY_NAME="Ubuntu 24.04 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n';

/** Builds what is missing, and starts the server. */
export async function apt(): Promise<Apt> {
  const directory = await archives();
  const server = await serve(directory);
  const install = async (root: Root, ...names: string[]): Promise<void> => {
    const files: string[] = [];
    for (const name of names) {
      const item = PACKAGES.find(([pocket, one]) => pocket === 'release' && one.name === name)?.[1];
      if (item === undefined) throw new Error(`no package ${name} in the release archive`);
      const file = `${item.name}_${item.version}_amd64.deb`;
      await must('cp', [join(directory, 'ubuntu/pool-release', file), join(root.path, 'run')]);
      files.push(`/run/${file}`);
    }
    await root.ok(`dpkg -i ${files.join(' ')} && rm -f ${files.join(' ')}`);
  };
  return {
    server,
    directory,
    install,
    node: async (release = 'bookworm') => {
      const base = await cached(`node-${basename(directory)}-${release}`, async (part) => {
        const built = await copyOf(await debianBase(release));
        try {
          await install(built, ...INSTALLED.split(' '));
          await built.ok(
            'apt-mark hold held-user >/dev/null; rm -f /etc/apt/sources.list /etc/apt/sources.list.d/* /etc/os-release',
          );
          await built.write('/etc/os-release', OS_RELEASE);
          await built.write('/etc/apt/keyrings/test.gpg', '');
          await must('cp', [await key(), join(built.path, 'etc/apt/keyrings/test.gpg')]);
          await must('sh', [
            '-c',
            'cd "$1" && tar --one-file-system -cf - . | tar -xf - -C "$2"',
            'sh',
            built.path,
            part,
          ]);
        } finally {
          await built.close();
        }
      });
      const root = await copyOf(base);
      await root.write(
        '/etc/apt/sources.list.d/ubuntu.sources',
        source(`${server.url}/ubuntu`, 'noble noble-updates noble-security'),
      );
      await root.write('/etc/apt/sources.list.d/vendor.sources', source(`${server.url}/vendor`, 'stable'));
      await root.write('/etc/apt/sources.list.d/kubernetes.sources', source(`${server.url}/kubernetes`, 'kubernetes'));
      return root;
    },
    close: () => server.close(),
  };
}
