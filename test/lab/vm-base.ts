// The disk of an emulated machine, built once into the cache: Debian with an older kernel, GRUB in its boot sector, a root shell on the serial
// line; and the updates that are pending in it, a newer kernel among them.
import { cp, mkdir, open, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { must } from '../os/commands.ts';
import { buildOnce } from '../support/build-once.ts';
import { fetchUpdates } from './node-base.ts';

/** Paths of the parts. */
export interface VmBase {
  /** Raw disk with one partition; never written to. */
  readonly disk: string;
  /** The pending updates, as folder `debian-security` with `dists` and `pool`. */
  readonly repository: string;
}

/** Address of the machine's host, as the user network of qemu shows it to the machine. */
export const vmHost = '10.0.2.2';

const packages = [
  'systemd-sysv',
  'udev',
  'dbus',
  'kmod',
  'initramfs-tools',
  'grub-pc',
  'linux-image-cloud-amd64',
  'iproute2',
];
/** What is pending: the kernel, and a library that services have loaded. All of it would take an emulated processor three times as long. */
const pending = ['linux-image-cloud-amd64', 'liblzma5'];
const rootUuid = '0a4b0000-0000-4000-8000-000000000001';
const megabyte = 1024 * 1024;
const partitionMegabytes = 1500;
const kernelWords = 'console=ttyS0,115200 net.ifnames=0 mitigations=off';

/** Builds what is missing (about a minute, needs a Debian mirror) and returns the paths. Raise the number when the recipe changes. */
export async function vmBase(say: (line: string) => void): Promise<VmBase> {
  const home = join(process.env['OAKUM_CACHE'] ?? join(homedir(), '.cache', 'oakum'), 'vm', 'v2');
  await mkdir(home, { recursive: true });
  const root = join(home, 'root');
  const mirror = process.env['OAKUM_DEBIAN_MIRROR'] ?? 'http://deb.debian.org';
  await buildOnce(root, async (part) => {
    say('building the root of the emulated machine with mmdebstrap ...');
    const line = `deb ${mirror}/debian bookworm main`;
    const options = ['--variant=minbase', `--include=${packages.join(',')}`];
    // Without the archive of security updates: those are what is pending.
    await must('mmdebstrap', [...options, '--aptopt=APT::Install-Recommends "false"', 'bookworm', part, line], {
      timeout: 900_000,
    });
    await must('chmod', ['755', part]);
    await configure(part);
  });
  const repository = join(home, 'repository');
  await buildOnce(repository, async (part) => {
    say('fetching the updates that are pending in it ...');
    await fetchUpdates(root, part, `deb ${mirror}/debian-security bookworm-security main`, pending);
  });
  const disks = join(home, 'disks');
  await buildOnce(disks, async (part) => {
    say('writing its disk ...');
    await writeDisk(root, part);
  });
  return { disk: join(disks, 'disk.img'), repository };
}

/** The kernel that a fresh root boots. */
async function installedKernel(root: string): Promise<string> {
  const names = await readdir(join(root, 'boot'));
  const [kernel, ...more] = names.filter((name) => name.startsWith('vmlinuz-')).map((name) => name.slice(8));
  if (kernel === undefined || more.length > 0) throw new Error(`${root}/boot has ${more.length + 1} kernels, not one`);
  return kernel;
}

async function configure(root: string): Promise<void> {
  const write = async (path: string, text: string): Promise<void> => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  };
  // A whole set of modules would keep an emulated processor busy for minutes at each new kernel.
  await write('etc/initramfs-tools/conf.d/lab', 'MODULES=list\nCOMPRESS=gzip\nRESUME=none\n');
  await write('etc/initramfs-tools/modules', 'virtio_pci\nvirtio_blk\next4\n');
  await must('chroot', [root, 'update-initramfs', '-u', '-k', 'all']);
  await write('etc/fstab', '/dev/vda1 / ext4 defaults 0 1\n');
  await write('etc/hostname', 'vm\n');
  await write('etc/hosts', '127.0.0.1 localhost vm\n');
  const grub = `GRUB_DEFAULT=0\nGRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="${kernelWords}"\nGRUB_TERMINAL=serial\nGRUB_DISABLE_OS_PROBER=true\n`;
  await write('etc/default/grub', grub);
  const shell = 'ExecStart=\nExecStart=-/sbin/agetty --autologin root --noissue --nohostname 115200 %I dumb\n';
  await write('etc/systemd/system/serial-getty@ttyS0.service.d/lab.conf', `[Service]\n${shell}`);
  await write('etc/systemd/network/lab.network', '[Match]\nName=eth0\n[Network]\nAddress=10.0.2.15/24\n');
  const system = join(root, 'etc/systemd/system');
  await mkdir(join(system, 'multi-user.target.wants'), { recursive: true });
  const networkd = 'systemd-networkd.service';
  await symlink(`/lib/systemd/system/${networkd}`, join(system, 'multi-user.target.wants', networkd));
  for (const unit of masked) await write(`etc/systemd/system/${unit}`, '');
}

/** Timers that would change or slow the machine by themselves. An empty unit file is a masked unit. */
const masked = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'getty@tty1.service',
  'systemd-networkd-wait-online.service',
  'systemd-timesyncd.service',
];

/**
 * A disk without mounting one: GRUB's boot sector, its core image right behind it (where boot.img looks for it), and one partition whose file
 * system is made from a folder. The first grub.cfg is ours; the machine writes its own when the new kernel is installed.
 */
async function writeDisk(root: string, folder: string): Promise<void> {
  const kernel = await installedKernel(root);
  const boot = join(root, 'boot/grub');
  const modules = join(root, 'usr/lib/grub/i386-pc');
  await cp(modules, join(boot, 'i386-pc'), { recursive: true });
  const core = [
    'biosdisk',
    'part_msdos',
    'ext2',
    'normal',
    'linux',
    'configfile',
    'search',
    'search_fs_uuid',
    'serial',
  ];
  const place = ['-O', 'i386-pc', '-o', '/boot/grub/core.img', '-p', '(hd0,msdos1)/boot/grub'];
  await must('chroot', [root, 'grub-mkimage', ...place, ...core, 'terminal', 'test', 'echo', 'loadenv', 'gzio']);
  const lines = [
    'serial --speed=115200',
    'terminal_output serial',
    `linux /boot/vmlinuz-${kernel} root=UUID=${rootUuid} ro ${kernelWords}`,
    `initrd /boot/initrd.img-${kernel}`,
    'boot',
  ];
  await writeFile(join(boot, 'grub.cfg'), `${lines.join('\n')}\n`);
  const disk = join(folder, 'disk.img');
  const partition = join(folder, 'partition.img');
  await writeFile(partition, '');
  await truncate(partition, partitionMegabytes * megabyte);
  await must('mke2fs', ['-q', '-t', 'ext4', '-U', rootUuid, '-d', root, partition]);
  await writeFile(disk, '');
  await must('dd', [`if=${join(modules, 'boot.img')}`, `of=${disk}`, 'bs=440', 'count=1', 'conv=notrunc']);
  await must('dd', [`if=${join(boot, 'core.img')}`, `of=${disk}`, 'bs=512', 'seek=1', 'conv=notrunc']);
  await must('dd', [`if=${partition}`, `of=${disk}`, 'bs=1M', 'seek=1', 'conv=notrunc,sparse']);
  await truncate(disk, (partitionMegabytes + 1) * megabyte);
  await writePartitionTable(disk);
  await rm(partition);
}

/** One bootable Linux partition from the first megabyte on, in the form of the PC's master boot record. */
async function writePartitionTable(disk: string): Promise<void> {
  const entry = Buffer.alloc(16);
  entry.writeUInt8(0x80, 0);
  entry.writeUInt8(0x83, 4);
  entry.writeUInt32LE(megabyte / 512, 8);
  entry.writeUInt32LE((partitionMegabytes * megabyte) / 512, 12);
  // Addresses by cylinder, head and sector are too small for anything today; all ones say "look at the others".
  for (const at of [1, 5]) entry.set([0xfe, 0xff, 0xff], at);
  const file = await open(disk, 'r+');
  try {
    await file.write(entry, 0, 16, 446);
    await file.write(Buffer.from([0x55, 0xaa]), 0, 2, 510);
  } finally {
    await file.close();
  }
}
