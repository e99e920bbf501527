// Behind `npm run test:node`: makes a network namespace with a bridge, runs the stories on real nodes in it, takes it away; exit code 3 means "not run".
import { installed, must, run } from '../os/commands.ts';
import { cacheFolder, controlPlanePrograms, missingPrograms, nodePrograms } from '../lab/assets.ts';
import { nodeBase } from '../lab/node-base.ts';
import { bridge, bridgeAddress, gateway } from '../lab/real-nodes.ts';
import { notRun, runVitest } from './runner.ts';

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

// Before the namespace, from which no mirror can be reached.
await nodeBase(console.log);

const namespace = `oakum-${process.pid}`;
await must('ip', ['netns', 'add', namespace]);
let code = 1;
try {
  await must('ip', ['-n', namespace, 'link', 'set', 'lo', 'up']);
  // With an address of its own: else a bridge takes the lowest of its ports, another one whenever a machine boots.
  await must('ip', ['-n', namespace, 'link', 'add', bridge, 'address', bridgeAddress, 'type', 'bridge']);
  await must('ip', ['-n', namespace, 'addr', 'add', `${gateway}/24`, 'dev', bridge]);
  await must('ip', ['-n', namespace, 'link', 'set', bridge, 'up']);
  // By nsenter: "ip netns exec" mounts a fresh /sys, which hides the control groups. In namespaces of their own, so that no mount and no
  // process of a machine outlives the stories, not even when they are killed.
  const inside = [
    'nsenter',
    `--net=/run/netns/${namespace}`,
    '--',
    'unshare',
    ...['--mount', '--propagation', 'private'],
    ...['--pid', '--fork', '--kill-child', '--mount-proc'],
    '--',
  ];
  // unshare keeps any other signal to itself; with it goes everything that was started inside.
  code = await runVitest('vitest.node.config.ts', process.argv.slice(2), inside, 'SIGKILL');
} finally {
  await run('ip', ['netns', 'delete', namespace]);
}
process.exit(code);
