// What every real node is made of, built once into the cache: a Debian root, its pending security updates as a repository, a pod image.
import { cp, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { must } from '../os/commands.ts';
import { buildOnce } from '../support/build-once.ts';

/** Paths of the parts. */
export interface NodeBase {
  /** Root file system of Debian 12 without its security updates; never changed, only lain under overlays. */
  readonly root: string;
  /** The security updates that are pending in it, as flat folder `debian-security` with `dists` and `pool`. */
  readonly repository: string;
  /** docker-archive with the image of pods (busybox) and of sandboxes. */
  readonly images: string;
}

/** Name of the pod image that every real node has; no registry is ever asked. */
export const podImage = 'localhost/oakum-lab:1';
/** Name of the sandbox image. */
export const sandboxImage = 'localhost/pause:1';

const packages = [
  'systemd',
  'systemd-sysv',
  'dbus',
  'runc',
  'containernetworking-plugins',
  'iproute2',
  'openssh-server',
  'ca-certificates',
  'procps',
];

/** Builds what is missing (about two minutes, needs a Debian mirror) and returns the paths. Raise the number when the recipe changes. */
export async function nodeBase(say: (line: string) => void): Promise<NodeBase> {
  const cache = join(process.env['OAKUM_CACHE'] ?? join(homedir(), '.cache', 'oakum'), 'node', 'v1');
  await mkdir(cache, { recursive: true });
  const base = { root: join(cache, 'root'), repository: join(cache, 'repository'), images: join(cache, 'images') };
  const mirror = process.env['OAKUM_DEBIAN_MIRROR'] ?? 'http://deb.debian.org';
  await buildOnce(base.root, async (part) => {
    say('building the root of the nodes with mmdebstrap ...');
    const line = `deb ${mirror}/debian bookworm main`;
    await must('mmdebstrap', ['--variant=minbase', `--include=${packages.join(',')}`, 'bookworm', part, line], {
      timeout: 900_000,
    });
    await must('chmod', ['755', part]);
  });
  await buildOnce(base.repository, async (part) => {
    say('fetching the security updates that are pending in it ...');
    await fetchUpdates(base.root, part, `deb ${mirror}/debian-security bookworm-security main`);
  });
  await buildOnce(base.images, buildImages);
  return base;
}

/**
 * Lets apt itself choose and verify the updates against the root's package database, then publishes them with the fields of Debian's security
 * archive, so that a node knows them for what they are. `only`: these packages and what they need, not everything that is pending.
 */
export async function fetchUpdates(
  root: string,
  repository: string,
  line: string,
  only: readonly string[] = [],
): Promise<void> {
  const home = join(repository, 'debian-security');
  const pool = join(home, 'pool');
  const state = join(repository, 'apt');
  const dists = join(home, 'dists', 'bookworm-security');
  const index = join(dists, 'main', 'binary-amd64');
  for (const folder of [
    pool,
    join(state, 'lists', 'partial'),
    join(state, 'archives', 'partial'),
    join(state, 'parts'),
    index,
  ])
    await mkdir(folder, { recursive: true });
  await writeFile(join(state, 'sources.list'), `${line}\n`);
  const options = [
    ['Dir::Etc::SourceList', join(state, 'sources.list')],
    ['Dir::Etc::SourceParts', join(state, 'parts')],
    ['Dir::State', state],
    ['Dir::State::Lists', join(state, 'lists')],
    ['Dir::State::status', join(root, 'var/lib/dpkg/status')],
    ['Dir::Cache', state],
    ['Dir::Cache::archives', join(state, 'archives')],
    ['APT::Architecture', 'amd64'],
    ['APT::Sandbox::User', 'root'],
  ].flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  await must('apt-get', [...options, 'update'], { timeout: 300_000 });
  const what = only.length === 0 ? ['upgrade', '--with-new-pkgs'] : ['install', '--only-upgrade', ...only];
  await must('apt-get', [...options, '-y', '--no-install-recommends', '--download-only', ...what], {
    timeout: 600_000,
  });
  for (const name of await readdir(join(state, 'archives')))
    if (name.endsWith('.deb')) await cp(join(state, 'archives', name), join(pool, name));
  await rm(state, { recursive: true, force: true });
  await publish(home);
}

/** Writes the indexes of a repository folder anew, from what is in its pool. */
export async function publish(home: string): Promise<void> {
  const dists = join(home, 'dists', 'bookworm-security');
  const script = `cd "$1" && apt-ftparchive packages pool > "$2/main/binary-amd64/Packages" && cd "$2" && apt-ftparchive \\
    -o APT::FTPArchive::Release::Origin=Debian -o APT::FTPArchive::Release::Label=Debian-Security \\
    -o APT::FTPArchive::Release::Suite=oldstable-security -o APT::FTPArchive::Release::Codename=bookworm-security \\
    -o APT::FTPArchive::Release::Architectures=amd64 -o APT::FTPArchive::Release::Components=main \\
    release . > Release.new && mv Release.new Release`;
  await rm(join(dists, 'Release'), { force: true });
  await must('sh', ['-c', script, 'publish', home, dists]);
}

/** Two names for one tiny image: busybox, all its commands, and nothing else. */
async function buildImages(part: string): Promise<void> {
  const files = join(part, 'files');
  for (const folder of ['bin', 'etc', 'tmp', 'proc', 'sys', 'dev', 'usr/bin'])
    await mkdir(join(files, folder), { recursive: true });
  await cp('/bin/busybox', join(files, 'bin', 'busybox'), { dereference: true });
  const commands = (await must(join(files, 'bin', 'busybox'), ['--list']))
    .split('\n')
    .filter((name) => name !== '' && name !== 'busybox');
  for (const name of commands) await symlink('busybox', join(files, 'bin', name));
  await symlink('../../bin/env', join(files, 'usr/bin/env'));
  await writeFile(join(files, 'etc/passwd'), 'root:x:0:0:root:/:/bin/sh\n');
  const layer = join(part, 'layer.tar');
  await must('tar', [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '-C',
    files,
    '-cf',
    layer,
    '.',
  ]);
  const digest = (await must('sha256sum', [layer])).slice(0, 64);
  const forEver = ['/bin/sh', '-c', 'trap "exit 0" TERM INT; while :; do sleep 3600 & wait $!; done'];
  const config = {
    architecture: 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/bin'], Entrypoint: [], Cmd: forEver },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    history: [{ created: '1970-01-01T00:00:00Z', created_by: 'lab' }],
  };
  await writeFile(join(part, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [podImage, sandboxImage], Layers: ['layer.tar'] }];
  await writeFile(join(part, 'manifest.json'), JSON.stringify(manifest));
  await must('tar', ['-C', part, '-cf', join(part, 'images.tar'), 'manifest.json', 'config.json', 'layer.tar']);
  await rm(files, { recursive: true });
}
