// Nodes with dnf or zypper: Debian roots that say they are Rocky or SLES, with small rpm repositories and their advisories.
import { createHash } from 'node:crypto';
import { cp, mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { must } from './commands.ts';
import { cached, copyOf, mainLine, type Debian, type Root } from './roots.ts';
import { serve, type Served } from './server.ts';

/** One package of the repositories; `body` is further lines of its spec's head, `scripts` its scriptlets, `files` paths it brings. */
interface Package {
  readonly name: string;
  readonly version: string;
  readonly release?: string;
  readonly epoch?: string;
  readonly body?: string;
  readonly scripts?: string;
  readonly files?: readonly string[];
}

/** What the advisory's type and words mean for the need of a reboot or a restart. */
interface Advisory {
  readonly id: string;
  readonly type: 'security' | 'bugfix';
  readonly severity: string;
  readonly packages: readonly string[];
  readonly cves?: readonly string[];
  readonly suggests?: 'reboot' | 'restart';
}

const versions = (name: string, ...list: readonly string[]): Package[] => list.map((version) => ({ name, version }));

const kernels = ['99.1', '99.2', '99.0'].flatMap((version): Package[] => [
  {
    name: 'kernel-core',
    version,
    body: `Provides: installonlypkg(kernel)\nProvides: multiversion(kernel)\nProvides: kernel-uname-r = ${version}-1.el9.noarch`,
    files: [`/lib/modules/${version}-1.el9.noarch/vmlinuz`],
  },
  {
    name: 'kernel',
    version,
    body: `Requires: kernel-core = ${version}-1.el9\nProvides: installonlypkg(kernel)\nProvides: multiversion(kernel)`,
  },
]);

const PACKAGES: readonly Package[] = [
  {
    name: 'rocky-release',
    version: '9.4',
    body: 'Provides: system-release = 9.4\nProvides: system-release(releasever) = 9',
  },
  ...versions('openssl-libs', '3.0.1', '3.0.2', '3.0.3'),
  ...['bugonly', 'sec-imp', 'sec-low', 'noadv', 'libup', 'zypp-tools'].flatMap((name) => versions(name, '1.1', '1.2')),
  ...['kubelet', 'kubeadm', 'kubectl'].flatMap((name) =>
    ['1.30.1', '1.30.9'].map((version) => ({ name, version, release: '150500.1.1' })),
  ),
  ...versions('containerd.io', '1.7.1', '1.7.2'),
  ...kernels,
  { name: 'epoch-lib', version: '9.1', epoch: '1' },
  { name: 'epoch-lib', version: '1.2', epoch: '2' },
  ...versions('newdep', '1.0'),
  { name: 'sec-newdep', version: '1.1' },
  { name: 'sec-newdep', version: '1.2', body: 'Requires: newdep' },
  { name: 'sec-needs-libup', version: '1.1', body: 'Requires: libup >= 1.1' },
  { name: 'sec-needs-libup', version: '1.2', body: 'Requires: libup >= 1.2' },
  ...versions('oldtool', '1.0'),
  { name: 'sec-conf', version: '1.1' },
  { name: 'sec-conf', version: '1.2', body: 'Conflicts: oldtool' },
  { name: 'needs-kubelet', version: '1.1' },
  { name: 'needs-kubelet', version: '1.2', body: 'Requires: kubelet >= 1.30.9' },
  { name: 'slow', version: '1.1' },
  { name: 'slow', version: '1.2', body: 'Requires: sec-imp >= 1.2', scripts: '%post -p <lua>\nposix.sleep(8)' },
  { name: 'clash', version: '1.1' },
  { name: 'clash', version: '1.2', files: ['/usr/share/oldtool-1.0/version'] },
  // A library and a program that a service has in memory.
  ...versions('served', '1.1', '1.2').map((one) => ({
    ...one,
    files: ['/usr/lib/libserved.so.1', '/usr/sbin/served'],
  })),
  { name: 'bad-post', version: '1.1' },
  { name: 'bad-post', version: '1.2', scripts: '%post -p <lua>\nerror("it cannot be configured")' },
];

const ADVISORIES: readonly Advisory[] = [
  {
    id: 'SEC-2026:0001',
    type: 'security',
    severity: 'Important',
    packages: ['openssl-libs 3.0.2'],
    cves: ['CVE-2026-1111', 'CVE-2026-1112'],
  },
  { id: 'BUG-2026:0002', type: 'bugfix', severity: 'None', packages: ['openssl-libs 3.0.3'] },
  { id: 'BUG-2026:0003', type: 'bugfix', severity: 'None', packages: ['bugonly 1.2'] },
  { id: 'SEC-2026:0004', type: 'security', severity: 'Important', packages: ['sec-imp 1.2'], cves: ['CVE-2026-2222'] },
  { id: 'SEC-2026:0005', type: 'security', severity: 'Low', packages: ['sec-low 1.2'], cves: ['CVE-2026-3333'] },
  {
    id: 'SEC-2026:0006',
    type: 'security',
    severity: 'Critical',
    packages: ['kubelet 1.30.9', 'kubeadm 1.30.9', 'kubectl 1.30.9'],
    cves: ['CVE-2026-4444'],
  },
  {
    id: 'SEC-2026:0007',
    type: 'security',
    severity: 'Important',
    packages: ['containerd.io 1.7.2'],
    cves: ['CVE-2026-5555'],
  },
  {
    id: 'SEC-2026:0008',
    type: 'security',
    severity: 'Important',
    packages: ['kernel-core 99.2', 'kernel 99.2'],
    cves: ['CVE-2026-6666'],
    suggests: 'reboot',
  },
  {
    id: 'SEC-2026:0009',
    type: 'security',
    severity: 'Moderate',
    packages: ['sec-newdep 1.2'],
    cves: ['CVE-2026-7777'],
  },
  {
    id: 'SEC-2026:0010',
    type: 'security',
    severity: 'Moderate',
    packages: ['sec-needs-libup 1.2'],
    cves: ['CVE-2026-8888'],
  },
  { id: 'SEC-2026:0011', type: 'security', severity: 'Moderate', packages: ['sec-conf 1.2'], cves: ['CVE-2026-9999'] },
  { id: 'SEC-2026:0012', type: 'security', severity: 'Important', packages: ['slow 1.2'], cves: ['CVE-2026-1212'] },
  { id: 'SEC-2026:0017', type: 'security', severity: 'Important', packages: ['clash 1.2'], cves: ['CVE-2026-1717'] },
  { id: 'SEC-2026:0013', type: 'security', severity: 'Important', packages: ['bad-post 1.2'], cves: ['CVE-2026-1313'] },
  {
    id: 'SEC-2026:0014',
    type: 'security',
    severity: 'Important',
    packages: ['zypp-tools 1.2'],
    cves: ['CVE-2026-1414'],
    suggests: 'restart',
  },
  {
    id: 'SEC-2026:0016',
    type: 'security',
    severity: 'Important',
    packages: ['epoch-lib 1.2'],
    cves: ['CVE-2026-1616'],
  },
  {
    id: 'SEC-2026:0018',
    type: 'security',
    severity: 'Moderate',
    packages: ['served 1.2'],
    cves: ['CVE-2026-1818', 'CVE-2026-1819'],
  },
  {
    id: 'SEC-2026:0015',
    type: 'security',
    severity: 'Important',
    packages: ['needs-kubelet 1.2'],
    cves: ['CVE-2026-1515'],
  },
];

const epochOf = (name: string, version: string): string =>
  PACKAGES.find((one) => one.name === name && one.version === version)?.epoch ?? '0';

const releaseOf = (name: string, version: string): string =>
  PACKAGES.find((one) => one.name === name && one.version === version)?.release ?? '1.el9';

function spec(one: Package): string {
  const own = `/usr/share/${one.name}-${one.version}/version`;
  const files = [own, ...(one.files ?? [])];
  return [
    `Name: ${one.name}`,
    `Epoch: ${epochOf(one.name, one.version)}`,
    `Version: ${one.version}`,
    `Release: ${releaseOf(one.name, one.version)}`,
    'Summary: A package of the tests',
    'License: MIT',
    'BuildArch: noarch',
    one.body ?? '',
    '%description',
    'A package of the tests.',
    '%install',
    ...files.map((file) => `mkdir -p $(dirname %{buildroot}${file}) && echo ${one.version} > %{buildroot}${file}`),
    one.scripts ?? '',
    '%files',
    ...files,
    '',
  ].join('\n');
}

function updateinfo(advisories: readonly Advisory[]): string {
  const updates = advisories.map((one) => {
    const suggests = one.suggests === undefined ? '' : `<${one.suggests}_suggested>True</${one.suggests}_suggested>`;
    const packages = one.packages.map((text) => {
      const [name = '', version = ''] = text.split(' ');
      const release = releaseOf(name, version);
      return `<package name="${name}" version="${version}" release="${release}" epoch="${epochOf(name, version)}" arch="noarch" src="${name}.src.rpm"><filename>${name}-${version}-${release}.noarch.rpm</filename>${suggests}</package>`;
    });
    const references = (one.cves ?? []).map(
      (cve) => `<reference href="https://cve.example/${cve}" id="${cve}" type="cve" title="${cve}"/>`,
    );
    return `<update from="security@vendor.example" status="final" type="${one.type}" version="1"><id>${one.id}</id><title>${one.id}</title><issued date="2026-10-01 00:00:00"/><updated date="2026-10-01 00:00:00"/><rights/><release>9</release><severity>${one.severity}</severity><summary>s</summary><description>d</description><references>${references.join('')}</references><pkglist><collection short="9"><name>9</name>${packages.join('')}</collection></pkglist></update>`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?><updates>${updates.join('')}</updates>\n`;
}

async function bootstrap(release: Debian, packages: string, directory: string): Promise<void> {
  await must('mmdebstrap', ['--variant=minbase', `--include=${packages}`, release, directory, mainLine(release)], {
    timeout: 600_000,
  });
  await must('sh', [
    '-c',
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin && chmod 755 "$1"',
    'clean',
    directory,
  ]);
  await mkdir(join(directory, 'etc/rpm'), { recursive: true });
  await writeFile(join(directory, 'etc/rpm/macros'), '%_dbpath /var/lib/rpm\n');
}

/** A root with dnf 4 and what builds rpm repositories: bookworm has dnf 4.14, trixie 4.23. */
function dnfBase(release: Debian = 'bookworm'): Promise<string> {
  return cached(`roots/rpm-dnf-${release}`, async (directory) => {
    await bootstrap(release, 'dnf,dnf-plugins-core,rpm,createrepo-c,gawk,util-linux', directory);
    // The configuration that RHEL and its like ship; Debian's has a plugin for a local repository that no node has.
    await writeFile(
      join(directory, 'etc/dnf/dnf.conf'),
      '[main]\ngpgcheck=1\ninstallonly_limit=3\nclean_requirements_on_remove=True\nbest=True\nskip_if_unavailable=False\n',
    );
    await must('rm', ['-f', join(directory, 'etc/dnf/plugins/local.conf')]);
    // gawk and bash are what these systems have; the zypper roots have mawk and dash.
    await must('ln', ['-sf', 'bash', join(directory, 'usr/bin/sh')]);
  });
}

/** A root with zypper: bookworm has 1.14.42, trixie 1.14.89. */
function zypperBase(release: Debian): Promise<string> {
  return cached(`roots/rpm-zypper-${release}`, (directory) => bootstrap(release, 'zypper,rpm,util-linux', directory));
}

/** The release of Amazon Linux 2023 that has the updates; 2023.6.20241010 is the one before it. */
export const AMAZON_RELEASE = '2023.6.20241212';

/**
 * The repositories: `base` with advisories, `plain` the same packages without, `torn` with metadata that does not fit its hash,
 * `amazon/<release>` one frozen state after another.
 */
function repositories(): Promise<string> {
  const content = [...PACKAGES.map(spec), updateinfo(ADVISORIES), updateinfo([]), AMAZON_RELEASE].join('\0');
  return cached(
    `rpm-repositories-${createHash('sha256').update(content).digest('hex').slice(0, 8)}`,
    async (directory) => {
      const root = await copyOf(await dnfBase());
      try {
        for (const one of PACKAGES) await root.write(`/build/specs/${one.name}-${one.version}.spec`, spec(one));
        await root.write('/build/updateinfo.xml', updateinfo(ADVISORIES));
        await root.write('/build/none/updateinfo.xml', updateinfo([]));
        await root.ok(`set -e; cd /build
        rpmbuild -bb --quiet --define '_topdir /build/tree' --define '_rpmdir /build/base' --define '_build_id_links none' specs/*.spec >log 2>&1 || { cat log; exit 1; }
        cp -a base plain; createrepo_c -q plain
        createrepo_c -q base; modifyrepo_c --mdtype=updateinfo updateinfo.xml base/repodata >log 2>&1 || { cat log; exit 1; }
        cp -a base torn; for f in torn/repodata/*primary.xml*; do echo torn >>"$f"; done`);
        await root.ok(`set -e; cd /build; mkdir -p amazon; cp -a base amazon/${AMAZON_RELEASE}
        cp -a base/noarch amazon/noarch; cd amazon; mkdir -p 2023.6.20241010; mv noarch 2023.6.20241010/
        cd 2023.6.20241010; rm -f noarch/*-1.2-* noarch/*-3.0.[23]-* noarch/*-99.2-* noarch/*-1.30.9-* noarch/*-1.7.2-*
        createrepo_c -q .; modifyrepo_c --mdtype=updateinfo ../../none/updateinfo.xml repodata >log 2>&1 || { cat log; exit 1; }; rm -f log`);
        for (const name of ['base', 'plain', 'torn', 'amazon']) {
          await must('cp', ['-a', join(root.path, 'build', name), join(directory, `${name}.part`)]);
          await rename(join(directory, `${name}.part`), join(directory, name));
        }
      } finally {
        await root.close();
      }
    },
  );
}

/** What is installed on a new node, at the oldest version of each. */
const INSTALLED =
  'openssl-libs bugonly sec-imp sec-low kubelet kubeadm kubectl containerd.io kernel kernel-core sec-newdep libup sec-needs-libup oldtool sec-conf noadv'.split(
    ' ',
  );

const ROCKY = 'ID=rocky\nVERSION_ID=9.4\nNAME="Rocky Linux"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\n';
const SLES = 'ID=sles\nVERSION_ID=15.6\nNAME=SLES\nPRETTY_NAME="SUSE Linux Enterprise Server 15 SP6"\n';

/** How a node differs from the usual one. `more` are further installed packages, `repository` what stands in its .repo file. */
export interface NodeShape {
  readonly osRelease?: string;
  readonly more?: readonly string[];
  readonly without?: readonly string[];
  readonly repository?: string;
}

/** The repositories on a web server, and nodes that use them. */
export interface Rpm {
  readonly server: Served;
  readonly directory: string;
  readonly dnfNode: (shape?: NodeShape, release?: Debian) => Promise<Root>;
  readonly zypperNode: (release: 'bookworm' | 'trixie', shape?: NodeShape) => Promise<Root>;
  readonly close: () => Promise<void>;
}

/** Starts the server; builds what is not in the cache. */
export async function rpm(): Promise<Rpm> {
  const directory = await repositories();
  const server = await serve(directory);
  const definition = (path: string, lines: string): string =>
    `[distro-base]\nname=The distribution's packages\nbaseurl=${server.url}/${path}\nenabled=1\ngpgcheck=0\n${lines}`;

  const node = async (
    base: string,
    osRelease: string,
    repo: string,
    extra: string,
    shape: NodeShape,
  ): Promise<Root> => {
    const root = await copyOf(base);
    await root.write('/etc/os-release', shape.osRelease ?? osRelease);
    await cp(join(directory, 'base/noarch'), join(root.path, 'run/packages'), { recursive: true });
    const names = [...INSTALLED, 'rocky-release', ...(shape.more ?? [])].filter(
      (name) => !(shape.without ?? []).includes(name),
    );
    const files = names.map((name) => {
      const oldest = PACKAGES.find((one) => one.name === name);
      if (oldest === undefined) throw new Error(`the fixture has no package ${name}`);
      return `/run/packages/${name}-${oldest.version}-${releaseOf(name, oldest.version)}.noarch.rpm`;
    });
    await root.ok('rpm -i --nodeps "$@" 2>&1; rm -rf /run/packages', ...files);
    await root.write(repo, definition(shape.repository ?? 'base', extra));
    return root;
  };

  return {
    server,
    directory,
    dnfNode: async (shape = {}, release = 'bookworm') =>
      node(await dnfBase(release), ROCKY, '/etc/yum.repos.d/rocky.repo', '', shape),
    zypperNode: async (release, shape = {}) => {
      const root = await node(await zypperBase(release), SLES, '/etc/zypp/repos.d/sles.repo', 'type=rpm-md\n', shape);
      // What SLES ships: kernels stand beside each other.
      await root.write('/etc/zypp/zypp.conf', '[main]\nmultiversion = provides:multiversion(kernel)\n');
      return root;
    },
    close: () => server.close(),
  };
}

/** The installed versions of these packages, as "name version-release" lines; what is not installed is left out. */
export async function versionsOf(root: Root, ...names: readonly string[]): Promise<readonly string[]> {
  const said = await root.sh(
    `rpm -q --qf '%{NAME} %{VERSION}-%{RELEASE}\\n' "$@" | grep -v 'not installed' | sort`,
    ...names,
  );
  return said.stdout.split('\n').filter((line) => line !== '');
}
