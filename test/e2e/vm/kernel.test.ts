// Another kernel after the boot: the standalone script patches an emulated machine with its own firmware, boot loader and kernel, which reboots.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveFolder } from '../../lab/serve-folder.ts';
import { startVm, type VirtualMachine, type VmAnswer } from '../../lab/vm.ts';
import { vmBase, vmHost } from '../../lab/vm-base.ts';
import { must } from '../../os/commands.ts';

const main = fileURLToPath(new URL('../../../reconciler/main.ts', import.meta.url));
/** A boot took 16 s on two idle cores. */
const bootMs = 300_000;
const patchMs = 1_700_000;

/** What the script's result says, as far as this story looks. */
interface Result {
  readonly code: string;
  readonly msg: string;
  readonly after?: { readonly kernel: string; readonly boot: string };
}

let vm: VirtualMachine;
let mirror: Awaited<ReturnType<typeof serveFolder>>;
let folder: string;
let before: { readonly kernel: string; readonly bootId: string };
/** The run of the patch by hand: its id is how `verify` finds what was there before. */
let run: string;

beforeAll(async () => {
  const base = await vmBase(console.log);
  mirror = await serveFolder(base.repository, '127.0.0.1');
  folder = mkdtempSync(join(tmpdir(), 'oakum-vm-story-'));
  // As a user gets it: oakum script > os-patch.sh
  writeFileSync(join(folder, 'os-patch.sh'), execFileSync(process.execPath, [main, 'script']));
  const source = `deb [trusted=yes] http://${vmHost}:${mirror.port}/debian-security bookworm-security main\n`;
  writeFileSync(join(folder, 'sources.list'), source);
  await must('tar', ['-C', folder, '-cf', join(folder, 'payload.tar'), 'os-patch.sh', 'sources.list']);
  vm = await startVm(base.disk, join(folder, 'payload.tar'));
  await vm.booted(1, bootMs);
  await succeeds('tar -C /root -xf /dev/vdb && cp /root/sources.list /etc/apt/sources.list');
});

afterAll(async () => {
  await vm?.stop();
  await mirror?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('an emulated machine', () => {
  it('is patched by hand, and says that it must reboot into the new kernel', async () => {
    before = await running();
    const { status, output } = await vm.shell('sh /root/os-patch.sh', patchMs);
    expect({ status, output }).toEqual({
      status: 0,
      output: expect.stringMatching(/Reboot: +required \(kernel/) as string,
    });
    console.log(output);
    // The library that was replaced is still loaded by services, which are named and not restarted.
    expect(output).toMatch(/Services still running the old code: .*systemd-[a-z]+\.service/);
    run = (await succeeds('ls /var/lib/os-patch/runs | tail -n 1')).trim();
    expect(run).toMatch(/^manual-/);
    // Installed, not running.
    expect((await running()).kernel).toBe(before.kernel);
    expect(await newestKernel()).not.toBe(before.kernel);
  });

  it('is not rebooted while the new kernel has no initrd, and says so', async () => {
    const initrd = `/boot/initrd.img-${await newestKernel()}`;
    await succeeds(`mv ${initrd} /root/initrd`);
    const { status, result } = await mode('reboot', { OSP_EXPECT_BOOT_ID: before.bootId, OSP_RUN_ID: 'unsafe' });
    await succeeds(`mv /root/initrd ${initrd}`);
    expect({ status, code: result.code }).toEqual({ status: 60, code: 'REBOOT_UNSAFE' });
    expect(result.msg).toContain(`kernel ${await newestKernel()} has no initrd`);
  });

  it('is not verified before it has rebooted', async () => {
    const { status, result } = await mode('verify', { OSP_EXPECT_BOOT_ID: before.bootId, OSP_RUN_ID: 'too-early' });
    expect({ status, code: result.code }).toEqual({ status: 70, code: 'VERIFY_BOOT_ID' });
  });

  it('reboots by hand into the new kernel, with a new boot id, and is verified', async () => {
    const wanted = await newestKernel();
    const asked = await vm.shell('sh /root/os-patch.sh --reboot', patchMs);
    expect(asked.status, asked.output).toBe(0);
    await vm.booted(2, bootMs);
    const after = await running();
    expect(after.kernel).toBe(wanted);
    expect(after.kernel).not.toBe(before.kernel);
    expect(after.bootId).not.toBe(before.bootId);
    const { status, result } = await mode('verify', { OSP_EXPECT_BOOT_ID: before.bootId, OSP_RUN_ID: run });
    expect({ status, code: result.code, msg: result.msg, after: result.after }).toEqual({
      status: 0,
      code: 'OK',
      msg: expect.stringContaining(`verified: kernel ${wanted}`) as string,
      after: expect.objectContaining({ kernel: wanted, boot: after.bootId }) as object,
    });
    console.log(`kernel ${before.kernel} -> ${after.kernel}, boot id ${before.bootId} -> ${after.bootId}`);
  });

  it('is not verified when its boot loader brings back the old kernel', async () => {
    const { bootId } = await running();
    // By the ids that update-grub gives: the entry of the old kernel in the submenu of the others.
    const entry = `$(sed -n "s/.*menuentry .*with Linux ${before.kernel}' .*menuentry_id_option '\\([^']*\\)'.*/\\1/p" /boot/grub/grub.cfg)`;
    const submenu = `$(sed -n "s/^submenu .*menuentry_id_option '\\([^']*\\)'.*/\\1/p" /boot/grub/grub.cfg)`;
    await succeeds(`echo "GRUB_DEFAULT='${submenu}>${entry}'" >> /etc/default/grub; update-grub`, patchMs);
    await vm.shell('systemctl reboot');
    await vm.booted(3, bootMs);
    expect((await running()).kernel).toBe(before.kernel);
    const { status, result } = await mode('verify', { OSP_EXPECT_BOOT_ID: bootId, OSP_RUN_ID: run, OSP_ATTEMPT: '2' });
    expect({ status, code: result.code }).toEqual({ status: 70, code: 'VERIFY_KERNEL' });
  });
});

async function succeeds(line: string, limitMs?: number): Promise<string> {
  const { status, output }: VmAnswer = await vm.shell(line, limitMs);
  if (status !== 0) throw new Error(`${line} ended with ${status}:\n${output}`);
  return output;
}

async function running(): Promise<{ readonly kernel: string; readonly bootId: string }> {
  const [kernel = '', bootId = ''] = (await succeeds('uname -r; cat /proc/sys/kernel/random/boot_id')).split('\n');
  return { kernel, bootId };
}

async function newestKernel(): Promise<string> {
  return (await succeeds("ls /boot | sed -n 's/^vmlinuz-//p' | sort -V | tail -n 1")).trim();
}

/** One mode of the script with the environment that a Job gives it. */
async function mode(name: string, environment: Readonly<Record<string, string>>) {
  const words = { OSP_MODE: name, OSP_NODE: 'vm', OSP_RESULT: '/tmp/result', ...environment };
  const given = Object.entries(words).map(([key, value]) => `${key}=${value}`);
  const { status, output } = await vm.shell(`${given.join(' ')} sh /root/os-patch.sh`, patchMs);
  const text = await succeeds('cat /tmp/result').catch(() => {
    throw new Error(`${name} left no result, exit code ${status}:\n${output}`);
  });
  return { status, result: JSON.parse(text) as Result };
}
