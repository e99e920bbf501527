// dnf and zypper before they change anything: disk space where it is needed, signatures, and what asks for a reboot afterwards.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { must } from './commands.ts';
import type { Root } from './roots.ts';
import { rpm, versionsOf, type NodeShape, type Rpm } from './rpm-fixture.ts';
import { start } from './script.ts';

let fixture: Rpm;
const open: Root[] = [];

beforeAll(async () => {
  fixture = await rpm();
});
afterEach(async () => {
  for (const root of open.splice(0)) await root.close();
});
afterAll(() => fixture.close());

const FAMILIES: readonly (readonly [string, (shape?: NodeShape) => Promise<Root>])[] = [
  ['dnf', (shape) => fixture.dnfNode(shape)],
  ['zypper', (shape) => fixture.zypperNode('trixie', shape)],
];

describe.each(FAMILIES)('%s', (_, made) => {
  const node = async (shape?: NodeShape): Promise<Root> => {
    const root = await made(shape);
    open.push(root);
    return root;
  };
  const mount = async (root: Root, size: string, path: string): Promise<void> => {
    await root.ok('mkdir -p "$1"', path);
    await must('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', `${root.path}${path}`]);
  };
  const untouched = async (root: Root): Promise<void> =>
    expect(await versionsOf(root, 'sec-imp', 'kernel-core')).toEqual(['kernel-core 99.1-1.el9', 'sec-imp 1.1-1.el9']);

  test('no room for lists and packages', async () => {
    const root = await node();
    await mount(root, '4m', '/var/lib/os-patch');
    const { result } = await start(root, { mode: 'download' });
    expect(result.code, result.msg).toBe('DISK_FULL_VAR');
    await untouched(root);
  });

  test('no room to install', async () => {
    const root = await node();
    // The root of the test lies on this machine's disk, so what df says of it is bent.
    await root.ok('mv /usr/bin/df /usr/bin/df.true');
    await root.write(
      '/usr/bin/df',
      '#!/bin/sh\ncase "$*" in "-Pk /usr") echo head; echo "overlay 1000000 990000 10000 99% /usr" ;; *) exec /usr/bin/df.true "$@" ;; esac\n',
      0o755,
    );
    const { result } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('DISK_FULL_ROOT');
    expect(result.msg).toMatch(/packages to install: 2\d MiB needed on \/usr, 9 MiB free/);
    await untouched(root);
  });

  test('no room in /boot for the kernel of the plan', async () => {
    const root = await node();
    await mount(root, '24M', '/boot');
    await root.ok('head -c 8000000 /dev/zero >/boot/vmlinuz-1 && head -c 4000000 /dev/zero >/boot/initrd-1');
    const { result } = await start(root, { mode: 'patch' });
    expect(result.code, result.msg).toBe('DISK_FULL_BOOT');
    expect(result.msg).toContain('on /boot');
    await untouched(root);
    // Without a kernel in the plan there is nothing to fear.
    const { result: other } = await start(root, { mode: 'patch', env: { OSP_INCLUDE: 'sec-imp' } });
    expect(other.code, other.msg).toBe('OK');
  });
});

describe('zypper', () => {
  test('a repository that is not signed where signatures are demanded is refused', async () => {
    const root = await fixture.zypperNode('trixie');
    open.push(root);
    const file = '/etc/zypp/repos.d/sles.repo';
    await root.write(file, (await root.read(file)).replace('gpgcheck=0', 'gpgcheck=1'));
    const { result, status } = await start(root, { mode: 'download' });
    expect(result.code, result.msg).toBe('REPO_SIGNATURE');
    expect(status).toBe(30);
    expect(await versionsOf(root, 'sec-imp')).toEqual(['sec-imp 1.1-1.el9']);
  });

  test.each(['bookworm', 'trixie'] as const)(
    'of %s: its own code for "reboot" counts, and only when something was installed',
    async (release) => {
      const root = await fixture.zypperNode(release);
      open.push(root);
      // The kernel of the fixture is newer than any that runs here; this one says that it is what runs.
      await root.write(
        '/usr/bin/uname',
        '#!/bin/sh\ncase $1 in -r) echo 99.2-1.el9.noarch ;; -m) echo x86_64 ;; *) echo Linux ;; esac\n',
        0o755,
      );
      // A rehearsal of a patch that would ask for a reboot is none: nothing is installed, and nothing is left behind.
      const env = { OSP_EXCLUDE: 'sec-conf' };
      const before = await start(root, { mode: 'scan', env });
      expect(before.result.reboot).toMatchObject({ required: false, why: [] });
      expect(root.has('/run/reboot-needed')).toBe(false);
      expect((await start(root, { mode: 'download', env })).result.reboot).toMatchObject({ required: false, why: [] });
      expect(root.has('/run/reboot-needed')).toBe(false);
      await root.write('/run/reboot-needed', '');
      const told = await start(root, { mode: 'scan', env });
      expect(told.result.reboot?.why).toContain('sentinel');
      expect(root.has('/run/reboot-needed')).toBe(true);
      await root.remove('/run/reboot-needed');
      const { result } = await start(root, { mode: 'patch', env });
      expect(result.code, result.msg).toBe('OK');
      expect(root.has('/run/reboot-needed')).toBe(true);
      expect(result.reboot).toMatchObject({ required: true });
      expect(result.reboot?.why).toContain('sentinel');
    },
  );
});
