// What the patch script says it did: the result as it is understood, and what each error code means.
import type { Reason } from './reason.ts';

/** The result of one Job, from the script's JSON (reconciler/patch/result.schema.json). */
export interface PatchResult {
  readonly mode: string;
  readonly status: string;
  readonly code: string;
  readonly message: string;
  readonly os: string;
  readonly osVersion: string;
  readonly kernel: string;
  /** The newest installed kernel when it differs from the running one. */
  readonly kernelNext: string | undefined;
  readonly bootId: string;
  /** Updates that wait to be installed (scan, download) or were left over (patch, verify). */
  readonly pending: number;
  readonly applied: number;
  readonly left: number;
  /** How many stay for a reason (held, protected, excluded, not in the lock): `kept` names the first ones only. */
  readonly keptCount?: number;
  readonly advisories: number;
  readonly cves: number;
  readonly rebootRequired: boolean;
  readonly rebootSafe: boolean;
  readonly rebootWhy: readonly string[];
  /** What the reboot mode did: none, scheduled, already-done, refused. */
  readonly rebootState: string;
  /** Changed (or pending) packages, each `name from to`; undefined when the list did not fit. */
  readonly packages: readonly string[] | undefined;
  readonly kept: readonly (readonly [string, string])[];
  readonly services: readonly string[];
  readonly warnings: readonly string[];
}

/** What may be done after an error code; the class is the tens of the script's exit code. */
export interface CodeMeaning {
  readonly reason: Reason;
  /**
   * `refused`: nothing changed, no retry, not a failure of the run · `transient`: nothing changed, try again ·
   * `working`: the script is still at work (or another call of it); attach again, never undo ·
   * `precondition`: nothing changed, a person must act · `changed`: the node is half changed · `reboot`, `verify`: patched, not proven.
   */
  readonly severity:
    | 'ok'
    | 'refused'
    | 'transient'
    | 'working'
    | 'precondition'
    | 'broken'
    | 'changed'
    | 'reboot'
    | 'verify'
    | 'internal';
}

const meanings: Readonly<Record<string, CodeMeaning>> = {
  OK: { reason: 'Patched', severity: 'ok' },
  KEPT_BACK: { reason: 'Patched', severity: 'ok' },
  USAGE: { reason: 'ScriptFault', severity: 'internal' },
  INTERNAL: { reason: 'ScriptFault', severity: 'internal' },
  HOST_ACCESS: { reason: 'UnsupportedOS', severity: 'refused' },
  UNSUPPORTED_OS: { reason: 'UnsupportedOS', severity: 'refused' },
  UNSUPPORTED_IMMUTABLE: { reason: 'UnsupportedOS', severity: 'refused' },
  NO_SECURITY_SOURCE: { reason: 'NoSecurityMetadata', severity: 'precondition' },
  NO_SECURITY_METADATA: { reason: 'NoSecurityMetadata', severity: 'precondition' },
  RUN_IN_PROGRESS: { reason: 'RetryLater', severity: 'working' },
  PKG_LOCK_TIMEOUT: { reason: 'PackageLockTimeout', severity: 'transient' },
  REPO_DNS: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_UNREACHABLE: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_TIMEOUT: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_HTTP: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_AUTH: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_EXPIRED: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_METADATA: { reason: 'RepositoryUnavailable', severity: 'transient' },
  REPO_SIGNATURE: { reason: 'SignatureInvalid', severity: 'transient' },
  CLOCK_SKEW: { reason: 'RepositoryUnavailable', severity: 'transient' },
  DOWNLOAD_FAILED: { reason: 'RepositoryUnavailable', severity: 'transient' },
  DISK_FULL_ROOT: { reason: 'DiskFull', severity: 'precondition' },
  DISK_FULL_VAR: { reason: 'DiskFull', severity: 'precondition' },
  DISK_FULL_BOOT: { reason: 'DiskFull', severity: 'precondition' },
  DEPENDENCY_CONFLICT: { reason: 'PlanRefused', severity: 'precondition' },
  PROTECTED_PACKAGE: { reason: 'PlanRefused', severity: 'precondition' },
  PLAN_VIOLATION: { reason: 'PlanRefused', severity: 'precondition' },
  LOCK_VERSION_MISSING: { reason: 'LockMismatch', severity: 'precondition' },
  LOCK_MISMATCH: { reason: 'LockMismatch', severity: 'precondition' },
  PKG_DB_BROKEN: { reason: 'PackageDatabaseBroken', severity: 'broken' },
  SCRIPT_FAILED: { reason: 'InstallFailed', severity: 'changed' },
  INSTALL_FAILED: { reason: 'InstallFailed', severity: 'changed' },
  DEADLINE: { reason: 'RetryLater', severity: 'working' },
  REBOOT_UNSAFE: { reason: 'RebootUnsafe', severity: 'reboot' },
  REBOOT_BLOCKED: { reason: 'RebootUnsafe', severity: 'reboot' },
  REBOOT_FAILED: { reason: 'RebootDidNotHappen', severity: 'reboot' },
  VERIFY_BOOT_ID: { reason: 'RebootDidNotHappen', severity: 'verify' },
  VERIFY_KERNEL: { reason: 'VerifyFailed', severity: 'verify' },
  VERIFY_PENDING: { reason: 'VerifyFailed', severity: 'verify' },
  VERIFY_PACKAGES: { reason: 'VerifyFailed', severity: 'verify' },
  VERIFY_KUBELET: { reason: 'VerifyFailed', severity: 'verify' },
};

/** Every error code that the script may give (result.schema.json has the same list; a test compares them). */
export const resultCodes: readonly string[] = Object.keys(meanings);

/** What a code means; a code that is not known counts as a fault of the script. */
export function meaningOf(code: string): CodeMeaning {
  return meanings[code] ?? { reason: 'ScriptFault', severity: 'internal' };
}
