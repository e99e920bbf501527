// Imitates the patch script on simulated nodes: the same environment in, a result of the same schema out.
import { gzipSync } from 'node:zlib';

/** One update that waits on a simulated node. */
export interface ImitatedUpdate {
  readonly name: string;
  readonly from: string;
  readonly to: string;
  readonly needsReboot?: boolean;
}

/** The packages of one simulated node, and how it is broken on purpose. */
export interface ImitatedNode {
  readonly os: string;
  readonly osVersion: string;
  pending: ImitatedUpdate[];
  rebootRequired: boolean;
  /** Kernel that runs after the next boot. */
  kernelNext: string | undefined;
  /** A mode that fails, with its error code, sentence and exit code. */
  fault:
    { readonly mode: string; readonly code: string; readonly message: string; readonly exitCode: number } | undefined;
  /** How long a Job takes, milliseconds. */
  jobMs: number;
}

/** What the machine says of itself when the script asks. */
export interface ImitatedMachine {
  readonly bootId: string;
  readonly kernel: string;
}

/** What the container of a Job does. */
export interface ImitatedRun {
  readonly durationMs: number;
  readonly exitCode: number;
  /** The termination message. */
  readonly message: string;
  /** The machine goes down this long after the container has ended. */
  readonly rebootAfterMs: number | undefined;
}

/**
 * One call of the script. Decides when the container starts and changes the node's packages at once; a container that is killed before its
 * end has the same effect as in the real script, where the work runs in a unit of the host.
 */
export function imitate(
  environment: Readonly<Record<string, string>>,
  node: ImitatedNode,
  machine: ImitatedMachine,
): ImitatedRun {
  const mode = environment['OSP_MODE'] ?? '';
  const fault = node.fault?.mode === mode ? node.fault : undefined;
  const before = state(node, machine);
  const waiting = [...node.pending];
  let applied: ImitatedUpdate[] = [];
  let rebootState = 'none';
  let rebootAfterMs: number | undefined;
  if (!fault && mode === 'patch') {
    applied = waiting;
    node.pending = [];
    if (applied.some((update) => update.needsReboot)) node.rebootRequired = true;
  }
  if (!fault && mode === 'reboot') {
    if (environment['OSP_EXPECT_BOOT_ID'] === machine.bootId) {
      rebootState = 'scheduled';
      rebootAfterMs = Number(environment['OSP_REBOOT_DELAY'] ?? '0') * 1000;
      node.rebootRequired = false;
    } else rebootState = 'already-done';
  }
  const listed = mode === 'patch' ? applied : mode === 'download' || mode === 'scan' ? waiting : [];
  const why = node.rebootRequired ? ['kernel'] : [];
  const result = {
    v: 1,
    run: environment['OSP_RUN_ID'] ?? '',
    node: environment['OSP_NODE'] ?? '',
    mode,
    status: fault ? 'Failed' : listed.length === 0 && mode !== 'verify' && mode !== 'reboot' ? 'UpToDate' : 'Succeeded',
    code: fault?.code ?? 'OK',
    msg: fault?.message ?? told(mode, listed.length, rebootState),
    before,
    after: state(node, machine),
    n: {
      pending: mode === 'patch' ? waiting.length : node.pending.length,
      applied: applied.length,
      left: node.pending.length,
    },
    reboot: { required: node.rebootRequired, safe: true, why, state: rebootState },
    t: { start: '2026-01-01T00:00:00Z' },
    ...(listed.length > 0
      ? {
          pkgs: {
            enc: 'gz',
            data: gzipSync(listed.map(({ name, from, to }) => `${name} ${from} ${to}`).join('\n')).toString('base64'),
          },
        }
      : {}),
  };
  return { durationMs: node.jobMs, exitCode: fault?.exitCode ?? 0, message: JSON.stringify(result), rebootAfterMs };
}

function state(node: ImitatedNode, machine: ImitatedMachine): Record<string, string> {
  const next = node.rebootRequired && node.kernelNext !== undefined ? { kernelNext: node.kernelNext } : {};
  return { os: node.os, osv: node.osVersion, kernel: machine.kernel, boot: machine.bootId, ...next };
}

function told(mode: string, count: number, reboot: string): string {
  switch (mode) {
    case 'download':
      return count === 0 ? 'nothing to install' : `${count} updates downloaded`;
    case 'patch':
      return count === 0 ? 'nothing to install' : `${count} upgraded`;
    case 'reboot':
      return reboot === 'scheduled' ? 'reboot scheduled' : 'the boot id has changed already';
    case 'verify':
      return 'installed versions are as planned';
    default:
      return `${count} updates pending`;
  }
}
