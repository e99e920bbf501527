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
  /** What the last download saw: a patch installs nothing else, since it works without network. */
  listed?: readonly ImitatedUpdate[];
  rebootRequired: boolean;
  /** Kernel that runs after the next boot. */
  kernelNext: string | undefined;
  /** A mode that fails, with its error code, sentence and exit code. */
  fault:
    { readonly mode: string; readonly code: string; readonly message: string; readonly exitCode: number } | undefined;
  /** How long a Job takes, milliseconds. */
  jobMs: number;
}

/** What a call may install: not what is excluded, and with a lock nothing but what it names. */
export function taken(
  environment: Readonly<Record<string, string>>,
  lock: string | undefined,
): (update: { readonly name: string; readonly to: string }) => boolean {
  const locked = lock === undefined ? undefined : new Set(lock.split('\n'));
  const excluded = (environment['OSP_EXCLUDE'] ?? '').split(' ').filter((word) => word !== '');
  return ({ name, to }) =>
    locked === undefined
      ? !excluded.some((word) => (word.endsWith('*') ? name.startsWith(word.slice(0, -1)) : name === word))
      : locked.has(`${name} ${to}`);
}

/** An update whose locked version is not the one that is to be had: the script refuses, and nothing is changed. */
export function notInLock(
  lock: string | undefined,
  pending: readonly { readonly name: string; readonly to: string }[],
): string | undefined {
  const wanted = new Map((lock ?? '').split('\n').map((line) => [line.split(' ')[0], line.split(' ')[1]]));
  const other = pending.find(({ name, to }) => wanted.has(name) && wanted.get(name) !== to);
  return other && `${other.name} ${wanted.get(other.name)} is no longer in the repositories`;
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
  lock?: string,
): ImitatedRun {
  const mode = environment['OSP_MODE'] ?? '';
  const fault = (node.fault?.mode === mode ? node.fault : undefined) ?? lockFault(mode, node, lock);
  const before = state(node, machine);
  const { listed: seen } = node;
  const waiting = mode === 'patch' && seen ? node.pending.filter((update) => seen.includes(update)) : [...node.pending];
  const plan = waiting.filter(taken(environment, lock));
  if (!fault && mode === 'download') node.listed = [...waiting];
  let applied: ImitatedUpdate[] = [];
  let rebootState = 'none';
  let rebootAfterMs: number | undefined;
  if (!fault && mode === 'patch') {
    applied = plan;
    node.pending = node.pending.filter((update) => !plan.includes(update));
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
      left: mode === 'patch' ? 0 : plan.length,
      kept: waiting.length - plan.length,
    },
    kept: waiting
      .filter((update) => !plan.includes(update))
      .map(({ name }) => [name, lock === undefined ? 'excluded' : 'not-in-lock']),
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

function lockFault(mode: string, node: ImitatedNode, lock: string | undefined): ImitatedNode['fault'] {
  const message = mode === 'download' || mode === 'patch' ? notInLock(lock, node.pending) : undefined;
  return message === undefined ? undefined : { mode, code: 'LOCK_VERSION_MISSING', message, exitCode: 40 };
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
