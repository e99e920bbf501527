// What the imitated patch script answers: exit codes and the result document, as reconciler/patch/result.schema.json has them.
import type { ProgramNode } from './light-program.ts';

/** One update: name, installed version, new version. */
export type PendingPackage = readonly [name: string, from: string, to: string];

type Fields = Readonly<Record<string, unknown>>;

/** What the work came to. `more` may hold `n` (counts), `pkgs` and `state` (of the reboot). */
export interface Answer {
  readonly code: string;
  readonly message: string;
  readonly more?: Fields;
}

/** The call that is answered. */
export interface AnsweredCall {
  readonly mode: string;
  readonly runId: string;
  readonly attempt: string;
  /** RFC 3339. */
  readonly start: string;
  readonly before: Fields;
}

/** Exit code (class) of a result code. */
export function exitCodeOf(code: string): number {
  if (code === 'OK') return 0;
  if (code === 'KEPT_BACK') return 10;
  if (/^(USAGE|UNSUPPORTED_|NO_SECURITY_)/.test(code)) return 20;
  if (/^(REPO_|CLOCK_SKEW|DOWNLOAD_FAILED|PKG_LOCK_TIMEOUT|RUN_IN_PROGRESS)/.test(code)) return 30;
  if (/^(DISK_FULL_|PKG_DB_BROKEN|DEPENDENCY_|PROTECTED_|PLAN_|LOCK_)/.test(code)) return 40;
  if (/^(SCRIPT_FAILED|INSTALL_FAILED|DEADLINE)/.test(code)) return 50;
  if (code.startsWith('REBOOT_')) return 60;
  return code.startsWith('VERIFY_') ? 70 : 1;
}

/** The list of packages as the script writes a short one; undefined when there is nothing to list. */
export function packageList(list: readonly PendingPackage[]): Fields | undefined {
  return list.length === 0 ? undefined : { enc: 'plain', data: list.map((entry) => entry.join(' ')) };
}

/** System and kernel of a node at one moment. */
export function osState(node: ProgramNode, kernelNext: string | undefined): Fields {
  return {
    os: 'debian',
    osv: '12.12',
    kernel: node.kernel(),
    ...(kernelNext === undefined ? {} : { kernelNext }),
    boot: node.bootId(),
  };
}

/** The document that becomes the termination message. */
export function resultDocument(
  answer: Answer,
  call: AnsweredCall,
  node: ProgramNode,
  kernelNext: string | undefined,
): Fields {
  const pkgs = answer.more?.['pkgs'];
  const required = kernelNext !== undefined;
  const counts = { pending: 0, applied: 0, new: 0, kept: 0, left: 0, protected: 3, cves: 0, advisories: 0, bytes: 0 };
  return {
    v: 1,
    run: call.runId === '' ? 'invalid' : call.runId,
    node: node.name,
    mode: call.mode,
    attempt: Number(call.attempt),
    status: statusOf(answer, call.mode),
    code: answer.code,
    msg: answer.message.slice(0, 240),
    before: call.before,
    after: osState(node, kernelNext),
    n: { ...counts, ...(answer.more?.['n'] as Fields | undefined) },
    kept: answer.more?.['kept'] ?? [],
    adv: [],
    reboot: {
      required,
      safe: true,
      why: required ? ['kernel'] : [],
      pkgs: [],
      state: answer.more?.['state'] ?? 'none',
    },
    svc: [],
    conf: [],
    warn: [],
    ...(pkgs === undefined ? {} : { pkgs }),
    t: { start: call.start, total: (Date.now() - Date.parse(call.start)) / 1000 },
  };
}

function statusOf(answer: Answer, mode: string): string {
  switch (exitCodeOf(answer.code)) {
    case 0: {
      const lists = mode === 'scan' || mode === 'download' || mode === 'patch';
      return lists && answer.more?.['pkgs'] === undefined ? 'UpToDate' : 'Succeeded';
    }
    case 10:
      return 'Partial';
    case 20:
      return 'Refused';
    default:
      return answer.code === 'DEADLINE' ? 'InProgress' : 'Failed';
  }
}
