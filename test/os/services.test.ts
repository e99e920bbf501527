// Services that run replaced code are named in the result, whatever their family, and nobody restarts them.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { apt, type Apt } from './apt-fixture.ts';
import type { Root } from './roots.ts';
import { rpm, type Rpm } from './rpm-fixture.ts';
import { runId, start } from './script.ts';

let aptFixture: Apt;
let rpmFixture: Rpm;
const groups: string[] = [];
const open: Root[] = [];

beforeAll(async () => {
  aptFixture = await apt();
  rpmFixture = await rpm();
});
afterEach(async () => {
  for (const root of open.splice(0)) await root.close();
  for (const group of groups.splice(0).toReversed()) await vanish(group);
});
afterAll(async () => {
  await aptFixture.close();
  await rpmFixture.close();
});

/** The hierarchy of control groups that names services: systemd's own of version 1, or the one of version 2. */
const HIERARCHY = existsSync('/sys/fs/cgroup/systemd') ? '/sys/fs/cgroup/systemd' : '/sys/fs/cgroup';

/** Takes a control group away as soon as its last process has ended, and its parents when they are empty. */
async function vanish(group: string): Promise<void> {
  for (let tries = 0; existsSync(join(HIERARCHY, group)); tries += 1) {
    try {
      await rmdir(join(HIERARCHY, group));
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  for (let parent = dirname(group); parent !== '/'; parent = dirname(parent)) {
    await rmdir(join(HIERARCHY, parent)).catch(() => undefined);
  }
}

/** Starts a program of the root in a control group, as systemd would a service; gives its process id when it is under way. */
async function inGroup(root: Root, group: string, command: readonly string[], library = ''): Promise<number> {
  await mkdir(join(HIERARCHY, group), { recursive: true });
  groups.push(group);
  const child = spawn(
    'sh',
    ['-c', 'echo $$ >"$1/cgroup.procs" || exit 9; shift; exec "$@"', 'sh', join(HIERARCHY, group)].concat([
      ...['chroot', root.path, '/usr/bin/env', `LD_PRELOAD=${library}`],
      ...command,
    ]),
    { stdio: 'ignore' },
  );
  const pid = child.pid ?? 0;
  for (let tries = 0; tries < 200; tries += 1) {
    const maps = await readFile(`/proc/${String(pid)}/maps`, 'utf8').catch(() => '');
    if (maps.includes(library === '' ? (command[0] ?? '') : library)) return pid;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`${command.join(' ')} does not run in ${group}`);
}

/** When a process began, in ticks since boot: with its id it names the process for good. */
const began = async (pid: number): Promise<string> =>
  (await readFile(`/proc/${String(pid)}/stat`, 'utf8')).replace(/^.*\) /, '').split(' ')[19] ?? '';

const FAMILIES: readonly (readonly [string, () => Promise<Root>])[] = [
  [
    'apt',
    async () => {
      const root = await aptFixture.node();
      await aptFixture.install(root, 'served');
      return root;
    },
  ],
  ['dnf', () => rpmFixture.dnfNode({ more: ['served'] })],
  ['zypper', () => rpmFixture.zypperNode('trixie', { more: ['served'] })],
];

describe('services that only need a restart', () => {
  test.each(FAMILIES)(
    '%s: named by library and by program, left running; pods and fresh ones are not named',
    async (_, made) => {
      const root = await made();
      open.push(root);
      const name = (what: string): string => `oakum-${what}-${String(process.pid)}.service`;
      // The fixture's files are texts; what a service has in memory must be a library and a program of this very system.
      await root.ok(
        'cp "$(find /usr/lib /lib -name "libz.so.1" | head -n 1)" /usr/lib/libserved.so.1 && cp /usr/bin/sleep /usr/sbin/served && chmod 755 /usr/sbin/served',
      );
      const library = '/usr/lib/libserved.so.1';
      const wait = ['/usr/bin/sleep', '900'];
      const stale = [
        await inGroup(root, `/system.slice/${name('library')}/main`, wait, library),
        await inGroup(root, `/system.slice/${name('program')}`, ['/usr/sbin/served', '900']),
      ];
      await inGroup(root, `/system.slice/${name('fresh')}`, wait);
      await inGroup(root, '/kubepods.slice/kubepods-burstable.slice/cri-containerd-1.scope', wait, library);
      await inGroup(root, `/system.slice/${name('runtime')}/kubepods-pod1.slice:cri-containerd:1`, wait, library);
      const since = await Promise.all(stale.map(began));
      for (const program of ['systemctl', 'service', 'invoke-rc.d', 'deb-systemd-invoke'])
        await root.write(`/usr/sbin/${program}`, `#!/bin/sh\necho "${program} $*" >>/run/asked\nexit 1\n`, 0o755);
      const before = await start(root, { mode: 'scan' });
      expect(before.result.svc, before.stdout).toEqual([]);
      const { result, stdout } = await start(root, { mode: 'patch', run: runId(), env: { OSP_EXCLUDE: 'sec-conf*' } });
      expect(result.code, stdout).toBe('OK');
      expect(result.svc).toEqual([name('library'), name('program')]);
      expect(await Promise.all(stale.map(began))).toEqual(since);
      const asked = await root.sh('cat /run/asked');
      expect(asked.stdout).not.toMatch(/restart|reload|stop|start|kill/);
      // They are still named by a later look, until somebody restarts them.
      expect((await start(root, { mode: 'scan' })).result.svc).toEqual([name('library'), name('program')]);
      for (const pid of stale) process.kill(pid, 'SIGKILL');
      await root.ok('sleep 0.3');
      expect((await start(root, { mode: 'scan' })).result.svc).toEqual([]);
    },
  );

  test('where needrestart is installed its word counts; when it hangs or fails, the look at the memory does', async () => {
    const root = await aptFixture.node();
    open.push(root);
    const say = (text: string, status = 0): Promise<void> =>
      root.write(
        '/usr/sbin/needrestart',
        `#!/bin/sh\n[ "$*" = '-b -r l' ] || exit 9\nprintf '${text}'\nexit ${String(status)}\n`,
        0o755,
      );
    const named = async (): Promise<readonly string[] | undefined> => (await start(root, { mode: 'scan' })).result.svc;
    // The lines of its batch mode (README.batch.md of needrestart).
    await say(
      'NEEDRESTART-VER: 3.6\\nNEEDRESTART-KSTA: 1\\nNEEDRESTART-SVC: ssh.service\\nNEEDRESTART-SVC: cron.service\\n',
    );
    expect(await named()).toEqual(['cron.service', 'ssh.service']);
    await say('NEEDRESTART-VER: 3.6\\nNEEDRESTART-SVC: half.service\\n', 1);
    expect(await named()).toEqual([]);
  });
});
