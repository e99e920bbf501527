// A program for light nodes that behaves as the patch script does, on a node's system that is a few values.
import { setTimeout as sleep } from 'node:timers/promises';
import { notInLock, taken } from '../../reconciler/cli/imitation.ts';
import { environmentOf, lockOf, type Program, type ProgramEnd, type ProgramNode } from './light-program.ts';
import { exitCodeOf, osState, packageList, resultDocument, type Answer, type PendingPackage } from './patch-answer.ts';

/** The modes of the patch script. */
export const patchModes = ['scan', 'download', 'patch', 'reboot', 'verify'] as const;
export type PatchMode = (typeof patchModes)[number];

/** What goes wrong, in which mode, how often. `died`: the container ends with 137 and no message, as one that was killed. */
export interface PatchFault {
  readonly mode: PatchMode;
  readonly code: string;
  times: number;
}

/** The operating system of one light node. Tests read and change it. */
export interface NodeSystem {
  pending: PendingPackage[];
  /** What the last download saw: a patch installs nothing else, since it works without network. */
  listed: readonly PendingPackage[] | undefined;
  installed: PendingPackage[];
  /** The kernel that the next boot will run, when a newer one is installed. */
  kernelNext: string | undefined;
  /** False: the next reboot is one from which the machine does not return. */
  comesBack: boolean;
  /** How long the machine is down in a reboot. */
  downMs: number;
  /** Longer (or shorter) than the program's own times. */
  durationMs: Partial<Record<PatchMode, number>>;
  faults: PatchFault[];
}

/** One call of the script, as the lab saw it. */
export interface PatchCall {
  readonly node: string;
  readonly mode: string;
  readonly runId: string;
  readonly attempt: string;
  readonly code: string;
  readonly exitCode: number;
  readonly at: number;
}

/** A pod of a hook that ran on some node, as the lab saw it. */
export interface HookCall {
  /** Name of its image, without registry and tag. */
  readonly hook: string;
  /** What Oakum told it: the node that it is about, and when it is called. */
  readonly node: string;
  readonly phase: string;
  readonly at: number;
}

/** The program and what it did. */
export interface PatchProgram {
  readonly program: Program;
  system(node: string): NodeSystem;
  /** Every answer that was given, in order: a witness that is independent of the program under test. */
  readonly calls: readonly PatchCall[];
  /** Pods of hooks that ran, in order. */
  readonly hookCalls: readonly HookCall[];
  /** Images, named so, whose pods fail. */
  readonly failingHooks: Set<string>;
  /** How often packages were really changed on a node. */
  installs(node: string): number;
  /** How often a reboot was really asked of a node. */
  rebootsAsked(node: string): number;
}

/** What every system starts with, and how long each mode takes. */
export interface PatchProgramOptions {
  readonly pending?: readonly PendingPackage[];
  /** Set: the pending kernel image brings this kernel, so a reboot is required after the patch. */
  readonly newKernel?: string;
  readonly durationMs?: Partial<Record<PatchMode, number>>;
  readonly downMs?: number;
}

const defaultPending: readonly PendingPackage[] = [
  ['libssl3', '3.0.15-1~deb12u1', '3.0.17-1~deb12u2'],
  ['openssh-server', '1:9.2p1-2+deb12u3', '1:9.2p1-2+deb12u6'],
  ['linux-image-amd64', '6.1.123-1', '6.1.140-1'],
];

/** Makes a program; each node's system begins as `options` say. */
export function createPatchProgram(options: PatchProgramOptions = {}): PatchProgram {
  const systems = new Map<string, NodeSystem>();
  const calls: PatchCall[] = [];
  const hookCalls: HookCall[] = [];
  const failingHooks = new Set<string>();
  const installs = new Map<string, number>();
  const asked = new Map<string, number>();
  /** Work under way or done, by node, run, mode and attempt: a second pod of the same run attaches to it. */
  const works = new Map<string, Promise<Answer>>();
  const newKernel = options.newKernel ?? '6.1.0-56-amd64';

  const system = (node: string): NodeSystem => {
    let found = systems.get(node);
    if (found === undefined) {
      found = {
        pending: [...(options.pending ?? defaultPending)],
        listed: undefined,
        installed: [],
        kernelNext: undefined,
        comesBack: true,
        downMs: options.downMs ?? 500,
        durationMs: {},
        faults: [],
      };
      systems.set(node, found);
    }
    return found;
  };

  const reboot = (node: ProgramNode, delaySeconds: number): void => {
    const boot = node.bootId();
    asked.set(node.name, (asked.get(node.name) ?? 0) + 1);
    setTimeout(() => {
      // The timer lives in the machine: a boot that came sooner has wiped it.
      if (node.bootId() !== boot || !node.up()) return;
      const state = system(node.name);
      const { kernelNext } = state;
      state.kernelNext = undefined;
      node.reboot({
        downMs: state.comesBack ? state.downMs : undefined,
        ...(kernelNext === undefined ? {} : { kernel: kernelNext }),
      });
    }, delaySeconds * 1000).unref();
  };

  /** The host's part: goes on when the pod is deleted, ends when the machine loses power. */
  async function work(
    mode: PatchMode,
    node: ProgramNode,
    environment: Readonly<Record<string, string>>,
    lock: string | undefined,
  ): Promise<Answer> {
    const boot = node.bootId();
    await sleep(system(node.name).durationMs[mode] ?? options.durationMs?.[mode] ?? 100);
    if (node.bootId() !== boot || !node.up()) throw new Error('the machine lost power');
    const state = system(node.name);
    const fault = state.faults.find((entry) => entry.mode === mode && entry.times > 0);
    if (fault !== undefined) fault.times -= 1;
    if (fault !== undefined && !['SCRIPT_FAILED', 'INSTALL_FAILED'].includes(fault.code))
      return { code: fault.code, message: `the lab was asked for ${fault.code}` };
    const seen = mode === 'patch' ? (state.listed ?? state.pending) : state.pending;
    const waiting = state.pending.filter((entry) => seen.includes(entry));
    const takes = taken(environment, lock);
    const plan = waiting.filter(([name, , to]) => takes({ name, to }));
    const kept = waiting
      .filter((entry) => !plan.includes(entry))
      .map(([name]) => [name, lock === undefined ? 'excluded' : 'not-in-lock']);
    const refused = notInLock(lock, mode === 'download' ? waiting.map(([name, , to]) => ({ name, to })) : []);
    if (refused !== undefined) return { code: 'LOCK_VERSION_MISSING', message: refused };
    switch (mode) {
      case 'scan':
      case 'download':
        if (mode === 'download') state.listed = [...state.pending];
        return {
          code: 'OK',
          message: `${plan.length} to install, ${kept.length} left alone`,
          more: {
            n: { pending: waiting.length, left: plan.length, kept: kept.length },
            pkgs: packageList(waiting),
            kept: kept.slice(0, 20),
          },
        };
      case 'patch': {
        // A package that fails to configure leaves the ones before it changed.
        const changed = fault === undefined ? plan : plan.slice(0, 1);
        state.pending = state.pending.filter((entry) => !changed.includes(entry));
        state.installed.push(...changed);
        if (changed.length > 0) installs.set(node.name, (installs.get(node.name) ?? 0) + 1);
        if (changed.some(([name]) => name.startsWith('linux-image'))) state.kernelNext = newKernel;
        const left = plan.length - changed.length;
        const counts = { pending: waiting.length, applied: changed.length, left, kept: kept.length };
        return {
          code: fault?.code ?? 'OK',
          message: fault === undefined ? `${changed.length} upgraded` : 'a package failed to configure',
          more: { n: counts, pkgs: packageList(changed), kept: kept.slice(0, 20) },
        };
      }
      case 'reboot': {
        if (environment['OSP_EXPECT_BOOT_ID'] !== node.bootId())
          return { code: 'OK', message: 'the node has booted since; nothing to do', more: { state: 'already-done' } };
        reboot(node, Number(environment['OSP_REBOOT_DELAY'] ?? 1));
        return { code: 'OK', message: 'the node reboots soon', more: { state: 'scheduled' } };
      }
      case 'verify': {
        const before = environment['OSP_EXPECT_BOOT_ID'];
        if (before === node.bootId())
          return { code: 'VERIFY_BOOT_ID', message: `the node has not rebooted: its boot id is still ${before}` };
        return {
          code: 'OK',
          message: `verified: kernel ${node.kernel()}`,
          more: { n: { left: plan.length } },
        };
      }
    }
  }

  const program: Program = async (pod, node, signal) => {
    const environment = environmentOf(pod);
    const { OAKUM_NODE: about = '', OAKUM_PHASE: phase } = environment;
    if (phase !== undefined) {
      const hook = /([^/:]+)(?::[^/]*)?$/.exec(pod.spec.containers[0]?.image ?? '')?.[1] ?? '';
      hookCalls.push({ hook, node: about, phase, at: Date.now() });
      return { exitCode: failingHooks.has(hook) ? 1 : 0 };
    }
    const mode = patchModes.find((entry) => entry === environment['OSP_MODE']);
    const runId = environment['OSP_RUN_ID'] ?? '';
    const attempt = environment['OSP_ATTEMPT'] ?? '1';
    const start = new Date().toISOString();
    const before = osState(node, system(node.name).kernelNext);
    const finish = (answer: Answer): ProgramEnd => {
      const exitCode = answer.code === 'died' ? 137 : exitCodeOf(answer.code);
      calls.push({ node: node.name, mode: mode ?? '', runId, attempt, code: answer.code, exitCode, at: Date.now() });
      if (answer.code === 'died') return { exitCode };
      return {
        exitCode,
        message: JSON.stringify(
          resultDocument(
            answer,
            { mode: mode ?? 'scan', runId, attempt, start, before },
            node,
            system(node.name).kernelNext,
          ),
        ),
      };
    };
    if (mode === undefined || runId === '' || environment['OSP_NODE'] !== node.name)
      return finish({
        code: 'USAGE',
        message: 'OSP_MODE, OSP_RUN_ID and OSP_NODE are required, and the node must be this one',
      });
    if (mode === 'reboot' && environment['OSP_EXPECT_BOOT_ID'] === undefined)
      return finish({ code: 'USAGE', message: 'reboot needs OSP_EXPECT_BOOT_ID' });
    // Only a patch answers again what it said before; the other modes look at the node as it is now.
    const key = `${node.name}/${runId}/${mode}/${attempt}`;
    let under = mode === 'patch' ? works.get(key) : undefined;
    if (under === undefined) {
      under = work(mode, node, environment, lockOf(pod));
      works.set(key, under);
      // Work that power or a fault took away is begun anew by the next pod.
      under.then((answer) => answer.code !== 'OK' && works.delete(key)).catch(() => works.delete(key));
    }
    const killed = new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => reject(new Error('the container was killed')), { once: true });
    });
    return finish(await Promise.race([under, killed]));
  };

  return {
    program,
    system,
    calls,
    hookCalls,
    failingHooks,
    installs: (node) => installs.get(node) ?? 0,
    rebootsAsked: (node) => asked.get(node) ?? 0,
  };
}
