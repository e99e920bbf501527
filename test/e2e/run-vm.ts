// Behind `npm run test:vm`: another kernel after the boot, which needs a machine of its own; exit code 3 means "not run".
import { installed } from '../os/commands.ts';
import { emulator } from '../lab/vm.ts';
import { notRun, runVitest } from './runner.ts';

const needed = [emulator, 'mmdebstrap', 'apt-ftparchive', 'mke2fs', 'chroot', 'dd', 'tar'];

async function whatIsMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'it needs Linux on amd64.';
  if (process.getuid?.() !== 0) return 'it needs root, to build the disk of the machine.';
  const commands: string[] = [];
  for (const command of needed) if (!(await installed(command))) commands.push(command);
  if (commands.length === 0) return undefined;
  return `not installed: ${commands.join(', ')}; on Debian: apt-get install --no-install-recommends qemu-system-x86 mmdebstrap apt-utils e2fsprogs.`;
}

const missing = await whatIsMissing();
if (missing !== undefined) {
  console.error(`NOT RUN: the story of the emulated machine. ${missing}`);
  process.exit(notRun);
}
process.exit(await runVitest('vitest.vm.config.ts', process.argv.slice(2)));
