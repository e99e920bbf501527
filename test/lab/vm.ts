// A machine that is emulated down to the processor: firmware, boot loader and kernel of its own; driven by the root shell on its serial line.
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './process.ts';
import { until } from './wait.ts';

/** What a command in the machine said (standard output and error as one text) and how it ended. */
export interface VmAnswer {
  readonly status: number;
  readonly output: string;
}

/** The running machine. What it writes to its disk is gone when it is stopped; a reboot inside keeps it. */
export interface VirtualMachine {
  /** Everything that came over the serial line so far. */
  console(): string;
  /** How often a shell came up: once for each boot. */
  boots(): number;
  /** Waits until the shell of the boot with this number is there. */
  booted(count: number, limitMs: number): Promise<void>;
  /** Runs one line of shell. Throws when there is no answer within the limit. */
  shell(line: string, limitMs?: number): Promise<VmAnswer>;
  stop(): Promise<void>;
}

/** The name of the emulator. */
export const emulator = 'qemu-system-x86_64';

const prompt = /root@vm:~# /g;

/**
 * Powers on. `disk` is never written to (qemu keeps changes in a file of its own); `payload` is a file that the machine sees as second
 * disk, `/dev/vdb`, for instance a tar archive.
 */
export async function startVm(disk: string, payload: string): Promise<VirtualMachine> {
  const folder = await mkdtemp(join(tmpdir(), 'oakum-vm-'));
  const serial = join(folder, 'serial');
  const drive = (file: string, more: string): string[] => ['-drive', `if=virtio,format=raw,file=${file},${more}`];
  const process = await startProcess({
    name: 'emulated machine',
    file: emulator,
    // No KVM: where tests run it is missing more often than not, and it would not run Debian's kernel everywhere.
    words: [
      ...['-machine', 'pc', '-accel', 'tcg,thread=multi,tb-size=512', '-cpu', 'max', '-smp', '2', '-m', '768'],
      ...['-nodefaults', '-display', 'none', '-vga', 'none', '-monitor', 'none'],
      ...[
        '-chardev',
        `socket,id=serial,path=${serial},server=on,wait=on,logfile=${join(folder, 'console.log')}`,
        '-serial',
        'chardev:serial',
      ],
      ...drive(disk, 'snapshot=on'),
      ...drive(payload, 'readonly=on'),
      ...['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
    ],
    logPath: join(folder, 'qemu.log'),
  });
  let text = '';
  let boots = 0;
  let socket: Socket;
  try {
    socket = await until('the serial line of the emulated machine', () => {
      if (!process.running()) throw new Error(process.tail());
      return open(serial);
    });
  } catch (error) {
    await process.stop();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
  let looked = 0;
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    prompt.lastIndex = looked;
    for (let found = prompt.exec(text); found !== null; found = prompt.exec(text)) {
      boots += 1;
      looked = prompt.lastIndex;
      // The prompt goes away with the first line, so every prompt is a boot. Kernel messages would fall into answers.
      socket.write('stty -echo -onlcr; PS1=; PS2=; dmesg -n 1\n');
    }
  });
  socket.on('error', () => undefined);
  let asked = 0;

  return {
    console: () => text,
    boots: () => boots,
    async booted(count, limitMs) {
      await until(`boot ${count} of the emulated machine`, () => boots >= count || !process.running(), limitMs).catch(
        (error: unknown) => {
          throw new Error(`the console ended with:\n${text.slice(-3_000)}`, { cause: error });
        },
      );
      if (!process.running()) throw new Error(`the emulated machine ended: ${process.tail()}`);
    },
    async shell(line, limitMs = 60_000) {
      asked += 1;
      const [before, after] = [`<answer-${asked} `, ` end-${asked}>`];
      // In base64: one long word that no other line of the console resembles. The marks are put together by the machine, so an echo is no answer.
      const run = `( ${line} ) >/tmp/answer 2>&1 </dev/null; s=$?; printf '\n<%s-%s %s %s end-%s>\n' answer ${asked} $s "$(base64 -w 0 /tmp/answer)" ${asked}\n`;
      // A line for a terminal ends at 4095 characters (termios(3)); what is longer would be cut without a word.
      if (run.length > 4_000) throw new Error('too long for one line of a terminal; put it into the payload');
      const from = text.length;
      socket.write(run);
      const answer = await until(
        `an answer to: ${line}`,
        () => {
          const start = text.indexOf(before, from);
          const end = text.indexOf(after, Math.max(start, from));
          return start >= 0 && end > start ? text.slice(start + before.length, end) : undefined;
        },
        limitMs,
      ).catch((error: unknown) => {
        throw new Error(`no answer to: ${line}\nthe console ended with:\n${text.slice(-3_000)}`, { cause: error });
      });
      const [status = '', encoded = ''] = answer.split(' ');
      return { status: Number(status), output: Buffer.from(encoded, 'base64').toString('utf8') };
    },
    async stop() {
      socket.destroy();
      await process.stop(1_000);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}
