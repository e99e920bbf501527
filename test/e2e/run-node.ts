// Behind `npm run test:node`: makes a network namespace with a bridge, runs the stories on real nodes in it, takes it away; exit code 3 means "not run".
import { spawn } from 'node:child_process';
import { installed, must, run } from '../os/commands.ts';
import { cacheFolder, controlPlanePrograms, missingPrograms, nodePrograms } from '../lab/assets.ts';
import { bridge, gateway } from '../lab/real-nodes.ts';

/** Not run: neither passed nor failed. */
const notRun = 3;

const needed = [
  'systemd-nspawn',
  'mmdebstrap',
  'apt-ftparchive',
  'dpkg-deb',
  'ip',
  'nsenter',
  'unshare',
  'busybox',
  'openssl',
];

async function whatIsMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'real nodes need Linux.';
  if (process.getuid?.() !== 0) return 'real nodes need root.';
  const commands: string[] = [];
  for (const command of needed) if (!(await installed(command))) commands.push(command);
  if (commands.length > 0)
    return `not installed: ${commands.join(', ')}; on Debian: apt-get install systemd-container mmdebstrap apt-utils iproute2 busybox-static openssl.`;
  const programs = missingPrograms(cacheFolder(), [...controlPlanePrograms, ...nodePrograms]);
  if (programs.length > 0) return `not built: ${programs.join(', ')}; run "node test/lab/install.ts --node".`;
  return undefined;
}

const missing = await whatIsMissing();
if (missing !== undefined) {
  console.error(`NOT RUN: the stories on real nodes. ${missing}`);
  process.exit(notRun);
}

const namespace = `oakum-${process.pid}`;
await must('ip', ['netns', 'add', namespace]);
let code = 1;
try {
  await must('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  await must('ip', ['-n', namespace, 'link', 'add', bridge, 'type', 'bridge']);
  await must('ip', ['-n', namespace, 'addr', 'add', `${gateway}/24`, 'dev', bridge]);
  await must('ip', ['-n', namespace, 'link', 'set', bridge, 'up']);
  code = await runStories();
} finally {
  await run('ip', ['netns', 'delete', namespace]);
}
process.exit(code);

/**
 * Runs vitest in the network namespace (by nsenter: "ip netns exec" mounts a fresh /sys, which hides the control groups) and in a mount
 * namespace of its own, so that no mount of a machine outlives it. A signal to us ends it first.
 */
function runStories(): Promise<number> {
  const top = new URL('../..', import.meta.url).pathname;
  // Not through npx: its shell would keep a signal to itself.
  const vitest = [
    process.execPath,
    `${top}node_modules/vitest/vitest.mjs`,
    'run',
    '--config',
    'test/e2e/vitest.node.config.ts',
  ];
  const inside = ['unshare', '--mount', '--propagation', 'private', '--', ...vitest, ...process.argv.slice(2)];
  const child = spawn('nsenter', [`--net=/run/netns/${namespace}`, '--', ...inside], { stdio: 'inherit', cwd: top });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill('SIGTERM'));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (status) => resolve(status ?? 1));
  });
}
