// Real nodes without a virtual machine: systemd-nspawn machines with systemd, apt, containerd, runc and a kubelet of their own.
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must, run, type Ran } from '../os/commands.ts';
import { cacheFolder, missingPrograms, nodePrograms } from './assets.ts';
import type { ControlPlane } from './control-plane.ts';
import { nodeBase } from './node-base.ts';
import { writeNodeFiles } from './node-files.ts';
import { startProcess, type LabProcess } from './process.ts';
import { serveFolder } from './serve-folder.ts';
import { until } from './wait.ts';

/** The bridge's address in the lab's network namespace: the gateway, the API server and the package repository. */
export const gateway = '10.77.0.1';
/** The bridge itself. */
export const bridge = 'br-lab';
/** Its hardware address, of the range that is free for everybody. */
export const bridgeAddress = '02:00:0a:4d:00:01';

/** systemd-nspawn's exit code when the machine asked for a reboot. */
const rebootAsked = 133;

/** What a node is born with. */
export interface RealNodeOptions {
  readonly zone?: string;
  readonly taints?: readonly { readonly key: string; readonly value?: string; readonly effect: string }[];
  /** Run inside the root before the first boot: installs old packages, spoils a file. */
  readonly prepare?: string;
}

/** One machine. */
export interface RealNode {
  readonly name: string;
  /** The root as the host sees it. */
  readonly root: string;
  boots(): number;
  running(): boolean;
  /** Runs a shell script inside the running machine. */
  shell(script: string): Promise<Ran>;
  /** The next end of the machine is its last until `powerOn`, even when it asked for a reboot. */
  stayDown(): void;
  /** kill -9 of the machine's init: power is gone. */
  powerOff(): Promise<void>;
  powerOn(): Promise<void>;
}

/** The machines of one story, and what they have in common. */
export interface RealNodes {
  /** Folder that is served as the repository; call `publish` after a change in its pool. */
  readonly repository: string;
  add(name: string, options?: RealNodeOptions): Promise<RealNode>;
  stop(): Promise<void>;
}

/**
 * Prepares for real nodes of `plane`, which must listen on all addresses of this network namespace and name {@link gateway} in its certificate.
 * Needs root, systemd-container, mmdebstrap, apt-utils and busybox-static.
 */
export async function startRealNodes(plane: ControlPlane, say: (line: string) => void): Promise<RealNodes> {
  const { certificates } = plane;
  if (certificates === undefined)
    throw new Error('real nodes need a control plane of our own, which signs their certificates');
  const programs = cacheFolder();
  const missing = missingPrograms(programs, nodePrograms);
  if (missing.length > 0) throw new Error(`${missing.join(', ')} not built: run "node test/lab/install.ts --node"`);
  const base = await nodeBase(say);
  const home = await mkdtemp(join(tmpdir(), 'oakum-nodes-'));
  const repository = join(home, 'repository');
  await must('cp', ['-a', base.repository, repository]);
  const served = await serveFolder(repository, gateway);
  const machines: { node: RealNode; end: () => Promise<void> }[] = [];
  const apiUrl = plane.url.replace('127.0.0.1', gateway);
  let lastAddress = 10;

  async function add(name: string, options: RealNodeOptions = {}): Promise<RealNode> {
    // At once: two machines that are added at the same time must not get the same address.
    lastAddress += 1;
    const address = `10.77.0.${lastAddress}`;
    const folder = join(home, name);
    const root = join(folder, 'root');
    for (const part of ['upper', 'work', 'root']) await mkdir(join(folder, part), { recursive: true });
    const layers = `lowerdir=${base.root},upperdir=${join(folder, 'upper')},workdir=${join(folder, 'work')}`;
    await must('mount', ['-t', 'overlay', 'overlay', '-o', layers, root]);
    const identity = {
      name,
      address,
      gateway,
      apiUrl,
      repositoryUrl: `${served.url}/debian-security`,
      zone: options.zone,
      taints: options.taints ?? [],
    };
    await writeNodeFiles(root, identity, certificates as NonNullable<typeof certificates>);
    if (options.prepare !== undefined) await must('chroot', [root, '/bin/sh', '-ec', options.prepare]);

    let machine: LabProcess | undefined;
    let boots = 0;
    let down = false;
    const boot = async (): Promise<void> => {
      boots += 1;
      const binds = nodePrograms.map((program) => `--bind-ro=${join(programs, program)}:/usr/local/bin/${program}`);
      const started = await startProcess({
        name: `machine ${name}`,
        file: 'systemd-nspawn',
        words: [
          '--quiet',
          `--directory=${root}`,
          `--machine=${name}`,
          '--boot',
          '--register=no',
          '--keep-unit',
          `--network-bridge=${bridge}`,
          '--capability=all',
          '--system-call-filter=@mount @keyring bpf',
          '--link-journal=no',
          '--resolv-conf=off',
          '--timezone=off',
          '--console=pipe',
          '--bind=/dev/kmsg',
          `--bind-ro=${join(base.images, 'images.tar')}:/opt/images.tar`,
          ...binds,
        ],
        logPath: join(folder, 'console.log'),
        environment: { ...process.env, SYSTEMD_SECCOMP: '0', SYSTEMD_NSPAWN_LOCK: '0' },
      });
      machine = started;
      void started.ended.then(async ({ code }) => {
        if (code === rebootAsked && !down) await boot();
      });
    };
    const init = async (): Promise<number> => {
      if (machine === undefined) throw new Error(`${name} was never started`);
      const children = await readFile(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8');
      const pid = Number(children.trim().split(' ')[0]);
      if (!Number.isInteger(pid) || pid <= 1) throw new Error(`${name} does not run`);
      return pid;
    };
    const node: RealNode = {
      name,
      root,
      boots: () => boots,
      running: () => machine?.running() === true,
      async shell(script) {
        return run('nsenter', ['-t', String(await init()), '-a', '/bin/sh', '-c', script]);
      },
      stayDown() {
        down = true;
      },
      async powerOff() {
        down = true;
        process.kill(await init(), 'SIGKILL');
        await machine?.ended;
      },
      async powerOn() {
        down = false;
        if (machine?.running() !== true) await boot();
      },
    };
    machines.push({
      node,
      end: async () => {
        down = true;
        if (node.running()) {
          await node.powerOff().catch(() => undefined);
          await machine?.stop(2_000);
        }
        await run('umount', ['--lazy', root]);
      },
    });
    await boot();
    await until(`${name} is Ready (console: ${folder}/console.log)`, () => isReady(plane, name), 120_000, 200);
    return node;
  }

  return {
    repository: join(repository, 'debian-security'),
    add,
    async stop() {
      for (const machine of machines) await machine.end();
      await served.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}

async function isReady(plane: ControlPlane, name: string): Promise<boolean> {
  const path = `/api/v1/nodes/${name}`;
  const node = await plane.admin.find<{ status?: { conditions?: { type: string; status: string }[] } }>(path);
  return node?.status?.conditions?.find((entry) => entry.type === 'Ready')?.status === 'True';
}
