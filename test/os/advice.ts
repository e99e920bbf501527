// What the script must tell a person with each code: the way out. Every answer of every test is held to it.

/** What an answer says, as far as it is advice. */
interface Told {
  readonly code: string;
  readonly msg: string;
  readonly status: string;
}

const space =
  /\d+ MiB needed on \S+, \d+ MiB free; make room there|make room (there|in \/var)|cannot write below .*make room there/;
const again = /look at the mirror.*run download again|[;,] (and )?run download (again|with the same run id)/;
const newLock = /nothing was changed\. Make a new lock/;
const exclude = /nothing was changed\. (Exclude (it|what asks for it)|Raise installonly_limit)/;

/** By code: its exit class, and the words of its way out. The closed list of the documentation and this one are the same (a test compares them). */
export const ADVICE: Readonly<Record<string, readonly [exit: number, words: RegExp]>> = {
  OK: [0, /^\d+ (to install|upgraded)|^verified: |reboots at \d|already scheduled|has booted since/],
  INTERNAL: [1, /look at the log|log is in|no writable scratch/],
  HOST_ACCESS: [1, /hostPID|is \/run full|look at: systemctl/],
  KEPT_BACK: [10, /still pending:( \S+)+/],
  USAGE: [20, /OSP_[A-Z_]+|proxy variable|lock|through a pipe: it carries itself/],
  UNSUPPORTED_OS: [20, /replace the node with|Use new nodes|; install it$/],
  UNSUPPORTED_IMMUTABLE: [20, /not package by package; use \S+/],
  NO_SECURITY_SOURCE: [
    20,
    /add it, or name your mirror|mend that entry|enable the distribution's|register it or enable/,
  ],
  NO_SECURITY_METADATA: [20, /use scope all|new image/],
  RUN_IN_PROGRESS: [30, /asked again later/],
  PKG_LOCK_TIMEOUT: [30, /(process|locked by|held by) .*; wait for it to end/],
  REPO_DNS: [30, /(https?:|repositor).*look at the node's DNS/],
  REPO_UNREACHABLE: [30, /(https?:|repositor).*look at the node's network, proxy and certificates/],
  REPO_TIMEOUT: [
    30,
    /repositor.*look at the node's network|(https?:|repositor).*look at the firewall|look at the mirror/,
  ],
  REPO_HTTP: [30, /(https?:|repositor).*(429|5\d\d).*; look at the mirror/],
  REPO_AUTH: [30, /(https?:|repositor).*look at credentials or subscription/],
  REPO_SIGNATURE: [30, /Signed-By names\. No key server is asked|import the key .*gpgkey=/],
  REPO_EXPIRED: [30, /https?:.*no longer synchronised: mend it, or name another/],
  REPO_METADATA: [30, /(https?:|repositor).*does this mirror still carry the release/],
  CLOCK_SKEW: [30, /clock is behind \(.*\): set it/],
  DOWNLOAD_FAILED: [30, again],
  DISK_FULL_ROOT: [40, space],
  DISK_FULL_VAR: [40, space],
  DISK_FULL_BOOT: [40, space],
  PKG_DB_BROKEN: [40, /repair it on the node: (dpkg --configure -a|dnf check|zypper verify)/],
  DEPENDENCY_CONFLICT: [40, /apt-get -f install|solve it on the node|Run download again/i],
  PROTECTED_PACKAGE: [40, exclude],
  PLAN_VIOLATION: [40, exclude],
  LOCK_VERSION_MISSING: [40, /mirror that keeps old versions, or mode ceiling/],
  LOCK_MISMATCH: [40, newLock],
  SCRIPT_FAILED: [50, /see the log; a new attempt|look at the log, then: /],
  INSTALL_FAILED: [50, /next attempt repairs|is repaired first|repairs it first/],
  DEADLINE: [50, /goes on; start the same run again to attach/],
  REBOOT_UNSAFE: [60, /update-initramfs -u -k|package database is not clean: \S+/],
  REBOOT_BLOCKED: [60, /try again|find out why/],
  REBOOT_FAILED: [60, /look at: systemctl list-jobs/],
  VERIFY_BOOT_ID: [70, /what holds a shutdown back/],
  VERIFY_KERNEL: [70, /boot loader's default entry/],
  VERIFY_PENDING: [70, /find out what, then patch again/],
  VERIFY_PACKAGES: [70, /find out who changed it/],
  VERIFY_KUBELET: [70, /look at: journalctl -u \S+/],
};

/** Throws when an answer does not tell its way out, or does not end as its code demands. */
export function checkAdvice(told: Told, exit: number): void {
  const advice = ADVICE[told.code];
  if (advice === undefined) throw new Error(`${told.code} is no code of the closed list`);
  const [wanted, words] = advice;
  if (!words.test(told.msg)) throw new Error(`${told.code} does not tell its way out (${String(words)}): ${told.msg}`);
  if (exit !== wanted) throw new Error(`${told.code} ended with ${String(exit)}, not ${String(wanted)}: ${told.msg}`);
}
