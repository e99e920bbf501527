#!/bin/sh
# shellcheck disable=SC2317,SC2016 # a family's functions are called by a composed name; scripts for the host are expanded there
# os-patch: brings the security updates of a node's own distribution onto it, and nothing else.
#
# One POSIX sh program (dash, busybox ash, bash). It plays two parts:
#   the front  runs in a pod (or, standalone, on the host), checks its input, carries itself to the host and watches;
#   the worker runs on the host in a transient systemd unit, so that the end of the pod is not the end of dpkg or rpm.
# The worker calls plain host commands. Only the front goes through on_host.
#
# Nothing below /etc is ever written. State lives in /var/lib/os-patch (survives a reboot) and /run/os-patch (does not).
# Every ending, even kill -9, leaves nothing to restore: protection and selection are private files given to the package manager.
#
# --- environment ------------------------------------------------------------------------------------------------
#  OSP_MODE            scan | download | patch | reboot | verify
#  OSP_RUN_ID          [a-z0-9.-], 1 to 63 characters; the same id is the same run: asked again, it attaches or answers again
#  OSP_ATTEMPT         1 and up; a new attempt of the same run starts anew instead of answering again
#  OSP_NODE            name of the node, only echoed in the result
#  OSP_SCOPE           security (default) | all
#  OSP_INCLUDE         only these packages (names or shell globs, separated by spaces)
#  OSP_EXCLUDE         never these packages
#  OSP_PROTECT         never these either; default: kubelet kubeadm kubectl kubernetes-cni cri-tools
#  OSP_PROTECT_EXTRA   added to the list above
#  OSP_HOLD_RUNTIME    true (default) adds the container runtimes to the protected packages
#  OSP_SEVERITY        rpm families: only advisories of this severity (Critical, Important, Moderate, Low)
#  OSP_CVES            rpm families: only these CVE ids
#  OSP_DEPS            distro (default): a fix may draw a dependency from the distribution's other pockets | security: it may not
#  OSP_APT_SECURITY_PINS  apt: further security archives, one "release o=...,l=...,a=...,n=..." per line
#  OSP_RPM_LEVEL       minimal (default): the smallest version that fixes | latest
#  OSP_RELEASEVER      Amazon Linux 2023: the release to move to, required there
#  OSP_LOCK_FILE       file with "name version" lines: install exactly these versions (lines with # are comments)
#  OSP_LOCK_MODE       exact (default) | ceiling: a version that is no longer to be had is left out instead of refused
#  OSP_SNAPSHOT        apt with snapshot support: YYYYMMDDTHHMMSSZ
#  OSP_OFFLINE         true: patch never touches the network, and refuses when `download` was not done before
#  OSP_LOCK_TIMEOUT    300   seconds to wait for another package manager
#  OSP_REFRESH_TIMEOUT 300   seconds for one try to read the repositories
#  OSP_DOWNLOAD_TIMEOUT 1800 seconds for the packages
#  OSP_DEADLINE        3300  seconds that the front watches; the work itself goes on and can be attached to again
#  OSP_EXPECT_BOOT_ID  reboot: the boot id that the caller saw (required); verify: the boot id before the reboot
#  OSP_REBOOT_DELAY    20    seconds between the answer and the reboot
#  OSP_REBOOT_POLICY   kernel (default) | kernel+core: also when libc, systemd or dbus were replaced
#  OSP_MAX_REBOOTS     2     in 24 hours
#  OSP_AGENT_TIMEOUT   60    seconds that verify waits for the kubelet (or k3s, rke2, microk8s) to be active
#  OSP_HTTP_PROXY OSP_HTTPS_PROXY OSP_NO_PROXY  handed to the package manager
#  OSP_RESULT          /dev/termination-log   where the result goes (JSON, at most 4096 bytes, result.schema.json)
#  OSP_HOST_EXEC OSP_NO_UNIT  for tests: another way to the host, and no systemd there
#
# --- exit classes ------------------------------------------------------------------------------------------------
#  0 done   1 internal   10 done, some fixes left   20 refused   30 transient   40 precondition   50 failed while changing
#  60 reboot   70 verify.  Up to 40 nothing was changed (10: changed and consistent).
#
# --- what a package family must provide (parts 40 to 62; <f> is apt, dnf or zypper) -----------
# All run in the worker, natively on the host, as root, with `set -uf` (no globbing: use find), LC_ALL=C.UTF-8, stdin /dev/null.
# They read the OSP_* variables above, and may use: say, warn, fail, in_list, protected, excluded, included, selected, run_limited,
# lock_holder, wait_for_lock, need_space.  `fail` ends the program: never call it in a pipe or in $( ).
# Scratch files go to $TMP (fresh per worker); what must outlive a reboot goes to $STATE/<f>/ (shared) or $WORK/ (this run).
#
#  <f>_preflight       tools are there, versions are known; changes nothing
#  <f>_audit           0 when the package database is clean; else prints what is wrong, one line each, and returns 1
#  <f>_recover         (patch only) waits for locks, repairs an interrupted transaction, warns RepairedPackages; cannot: fail PKG_DB_BROKEN
#  <f>_refresh         reads the repositories into private caches below $STATE/<f>; fail REPO_*, NO_SECURITY_SOURCE, NO_SECURITY_METADATA
#  <f>_plan            offline. Writes $TMP/plan.tsv     name old new origin   (what would be changed; old is - for a new package)
#                              and    $TMP/pending.tsv  name old new origin   (every selected update that exists, planned or not)
#                              and    $TMP/kept.tsv     name reason           (pending, not planned: held-by-user protected excluded
#                                                       conflict dependency user-pin not-in-lock unresolved)
#  <f>_check_plan      fails closed before any change: PROTECTED_PACKAGE, PLAN_VIOLATION, LOCK_VERSION_MISSING, LOCK_MISMATCH
#                      (plan_guard of 91-modes.sh has already refused protected, excluded and not included names, and removals)
#  <f>_space           calls need_space for what the plan needs
#  <f>_download        fetches and verifies everything in the plan; fail DOWNLOAD_FAILED or REPO_*; sets BYTES
#  <f>_have_downloads  0 when everything in the plan is here and intact
#  <f>_install         installs from what was downloaded, no network; returns 0, or fail SCRIPT_FAILED / INSTALL_FAILED / PKG_LOCK_TIMEOUT
#  <f>_inventory       prints "name<TAB>version" of every installed package, sorted by LC_ALL=C sort; several versions are several lines
#  <f>_advisories WHAT WHAT is pending or applied: prints "advisory<TAB>package<TAB>CVE CVE ..." as far as known; - for an unknown field
#  <f>_kernel_next     prints the newest installed bootable kernel in the form of `uname -r`; nothing when no kernel is packaged
#  <f>_reboot_signals  prints "why<TAB>package" (why: kernel core-libs advisory zypper-102 needs-restarting microcode; package may be -)
#  <f>_cleanup         after success: removes what was downloaded
#  <f>_version_ge A B  0 when version A is the same as B or newer
# ------------------------------------------------------------------------------------------------------------------

set -uf
umask 022
unset CDPATH
IFS=' 	
'

STATE=/var/lib/os-patch
RUNTIME=/run/os-patch
UNIT=os-patch
KNOWN_VARIABLES=" OSP_MODE OSP_RUN_ID OSP_ATTEMPT OSP_NODE OSP_SCOPE OSP_INCLUDE OSP_EXCLUDE OSP_PROTECT OSP_PROTECT_EXTRA OSP_HOLD_RUNTIME \
OSP_SEVERITY OSP_CVES OSP_DEPS OSP_APT_SECURITY_PINS OSP_RPM_LEVEL OSP_RELEASEVER OSP_LOCK_FILE OSP_LOCK_MODE OSP_SNAPSHOT OSP_OFFLINE \
OSP_LOCK_TIMEOUT OSP_REFRESH_TIMEOUT OSP_DOWNLOAD_TIMEOUT OSP_DEADLINE OSP_EXPECT_BOOT_ID OSP_REBOOT_DELAY OSP_REBOOT_POLICY \
OSP_MAX_REBOOTS OSP_AGENT_TIMEOUT OSP_HTTP_PROXY OSP_HTTPS_PROXY OSP_NO_PROXY OSP_RESULT OSP_HOST_EXEC OSP_NO_UNIT "

# The class (exit code) of each code. The list is closed: an unknown code is an internal fault.
class_of() {
  case $1 in
    OK) echo 0 ;;
    KEPT_BACK) echo 10 ;;
    USAGE | UNSUPPORTED_OS | UNSUPPORTED_IMMUTABLE | NO_SECURITY_SOURCE | NO_SECURITY_METADATA) echo 20 ;;
    REPO_DNS | REPO_UNREACHABLE | REPO_TIMEOUT | REPO_HTTP | REPO_AUTH | REPO_SIGNATURE | REPO_EXPIRED | REPO_METADATA | \
      CLOCK_SKEW | DOWNLOAD_FAILED | PKG_LOCK_TIMEOUT | RUN_IN_PROGRESS) echo 30 ;;
    DISK_FULL_ROOT | DISK_FULL_VAR | DISK_FULL_BOOT | PKG_DB_BROKEN | DEPENDENCY_CONFLICT | PROTECTED_PACKAGE | \
      PLAN_VIOLATION | LOCK_VERSION_MISSING | LOCK_MISMATCH) echo 40 ;;
    SCRIPT_FAILED | INSTALL_FAILED | DEADLINE) echo 50 ;;
    REBOOT_UNSAFE | REBOOT_BLOCKED | REBOOT_FAILED) echo 60 ;;
    VERIFY_BOOT_ID | VERIFY_KERNEL | VERIFY_PENDING | VERIFY_PACKAGES | VERIFY_KUBELET) echo 70 ;;
    *) echo 1 ;;
  esac
}

defaults() {
  : "${OSP_MODE=}" "${OSP_RUN_ID=}" "${OSP_ATTEMPT:=1}" "${OSP_NODE=}" "${OSP_SCOPE:=security}" "${OSP_INCLUDE=}" "${OSP_EXCLUDE=}"
  : "${OSP_PROTECT:=kubelet kubeadm kubectl kubernetes-cni cri-tools}" "${OSP_PROTECT_EXTRA=}" "${OSP_HOLD_RUNTIME:=true}"
  : "${OSP_SEVERITY=}" "${OSP_CVES=}" "${OSP_DEPS:=distro}" "${OSP_APT_SECURITY_PINS=}" "${OSP_RPM_LEVEL:=minimal}" "${OSP_RELEASEVER=}"
  : "${OSP_LOCK_FILE=}" "${OSP_LOCK_MODE:=exact}" "${OSP_SNAPSHOT=}" "${OSP_OFFLINE:=false}"
  : "${OSP_LOCK_TIMEOUT:=300}" "${OSP_REFRESH_TIMEOUT:=300}" "${OSP_DOWNLOAD_TIMEOUT:=1800}" "${OSP_DEADLINE:=3300}"
  : "${OSP_EXPECT_BOOT_ID=}" "${OSP_REBOOT_DELAY:=20}" "${OSP_REBOOT_POLICY:=kernel}" "${OSP_MAX_REBOOTS:=2}" "${OSP_AGENT_TIMEOUT:=60}"
  : "${OSP_HTTP_PROXY=}" "${OSP_HTTPS_PROXY=}" "${OSP_NO_PROXY=}" "${OSP_RESULT:=/dev/termination-log}" "${OSP_HOST_EXEC=}" "${OSP_NO_UNIT=}"
  PROTECTED="$OSP_PROTECT $OSP_PROTECT_EXTRA"
  if [ "$OSP_HOLD_RUNTIME" = true ]; then
    PROTECTED="$PROTECTED containerd containerd.io docker.io docker-ce* docker-engine moby-engine moby-containerd runc moby-runc cri-o* crun"
  fi
}

# A variable that must be one of a few words.
one_of() { # NAME VALUE WORD...
  one_name=$1 one_value=$2
  shift 2
  for one_word in "$@"; do [ "$one_value" = "$one_word" ] && return 0; done
  fail USAGE "$one_name must be one of: $*"
}

whole_number() { # NAME VALUE
  case $2 in '' | *[!0-9]* | ?????????*) fail USAGE "$1 must be a whole number" ;; esac
}

# Package names, globs, CVE ids: what has no meaning for a shell, a pin file or a command line. A leading - would be an option.
plain_words() { # NAME VALUE
  for plain_word in $2; do
    case $plain_word in
      -* | *[!A-Za-z0-9.+_:@~*?-]*) fail USAGE "$1 holds a word that is not a package name or glob" ;;
    esac
  done
}

plain_value() { # NAME VALUE
  case $2 in -* | *[!A-Za-z0-9.+_:@~-]*) fail USAGE "$1 holds a character that is not allowed" ;; esac
}

validate() {
  for variable in $(env | sed -n 's/^\(OSP_[A-Za-z0-9_]*\)=.*/\1/p'); do
    case $KNOWN_VARIABLES in *" $variable "*) ;; *) fail USAGE "unknown variable $variable" ;; esac
  done
  one_of OSP_MODE "$OSP_MODE" scan download patch reboot verify
  case $OSP_RUN_ID in
    '' | *[!a-z0-9.-]* | [.-]* | *[.-] | ????????????????????????????????????????????????????????????????*)
      OSP_RUN_ID=invalid
      fail USAGE "OSP_RUN_ID must be 1 to 63 characters of a-z 0-9 . - and begin and end with a letter or digit"
      ;;
  esac
  whole_number OSP_ATTEMPT "$OSP_ATTEMPT"
  plain_value OSP_NODE "$OSP_NODE"
  [ -n "$OSP_NODE" ] || fail USAGE "OSP_NODE is empty"
  one_of OSP_SCOPE "$OSP_SCOPE" security all
  one_of OSP_HOLD_RUNTIME "$OSP_HOLD_RUNTIME" true false
  one_of OSP_OFFLINE "$OSP_OFFLINE" true false
  one_of OSP_DEPS "$OSP_DEPS" distro security
  one_of OSP_RPM_LEVEL "$OSP_RPM_LEVEL" minimal latest
  one_of OSP_LOCK_MODE "$OSP_LOCK_MODE" exact ceiling
  one_of OSP_REBOOT_POLICY "$OSP_REBOOT_POLICY" kernel kernel+core
  one_of OSP_SEVERITY "$OSP_SEVERITY" '' Critical Important Moderate Low
  plain_words OSP_INCLUDE "$OSP_INCLUDE"
  plain_words OSP_EXCLUDE "$OSP_EXCLUDE"
  plain_words OSP_PROTECT "$OSP_PROTECT"
  plain_words OSP_PROTECT_EXTRA "$OSP_PROTECT_EXTRA"
  plain_words OSP_CVES "$OSP_CVES"
  plain_value OSP_RELEASEVER "$OSP_RELEASEVER"
  plain_value OSP_SNAPSHOT "$OSP_SNAPSHOT"
  whole_number OSP_LOCK_TIMEOUT "$OSP_LOCK_TIMEOUT"
  whole_number OSP_REFRESH_TIMEOUT "$OSP_REFRESH_TIMEOUT"
  whole_number OSP_DOWNLOAD_TIMEOUT "$OSP_DOWNLOAD_TIMEOUT"
  whole_number OSP_DEADLINE "$OSP_DEADLINE"
  whole_number OSP_REBOOT_DELAY "$OSP_REBOOT_DELAY"
  whole_number OSP_MAX_REBOOTS "$OSP_MAX_REBOOTS"
  whole_number OSP_AGENT_TIMEOUT "$OSP_AGENT_TIMEOUT"
  if [ -n "$(printf %s "$OSP_APT_SECURITY_PINS" | tr -d 'A-Za-z0-9.+_:@~*? =,/\n-')" ]; then
    fail USAGE "OSP_APT_SECURITY_PINS holds a character that is not allowed"
  fi
  for proxy in "$OSP_HTTP_PROXY" "$OSP_HTTPS_PROXY" "$OSP_NO_PROXY"; do
    case $proxy in *[!A-Za-z0-9.:/@_%,*\ ~-]*) fail USAGE "a proxy variable holds a character that is not allowed" ;; esac
  done
  case $OSP_EXPECT_BOOT_ID in *[!0-9a-f-]*) fail USAGE "OSP_EXPECT_BOOT_ID is not a boot id" ;; esac
  if [ "$OSP_MODE" = reboot ] && [ -z "$OSP_EXPECT_BOOT_ID" ]; then
    fail USAGE "reboot needs OSP_EXPECT_BOOT_ID, so that a second Job cannot reboot twice"
  fi
  if [ -n "$OSP_LOCK_FILE" ] && [ ! -r "$OSP_LOCK_FILE" ]; then fail USAGE "the lock file cannot be read: $OSP_LOCK_FILE"; fi
}

# --- words that every part uses -----------------------------------------------------------------------------------

now() { date +%s; }
stamp() { date -u +%Y-%m-%dT%H:%M:%SZ; }
say() { printf '%s %s\n' "$(stamp)" "$*"; }

# A remark for the result; the first word is a CamelCase reason. Said once however often it is found.
warn() {
  say "warning: $*"
  if [ -n "${TMP:-}" ]; then
    grep -qxF -- "$*" "$TMP/warn.txt" 2>/dev/null || printf '%s\n' "$*" >>"$TMP/warn.txt"
  fi
}

# Does NAME match a word of LIST (names or globs)? A foreign architecture's suffix does not matter: libc6:i386 is libc6.
in_list() { # NAME LIST
  for list_word in $2; do
    # shellcheck disable=SC2254 # the words are globs
    case ${1%%:*} in $list_word) return 0 ;; esac
  done
  return 1
}
protected() { in_list "$1" "$PROTECTED"; }
excluded() { in_list "$1" "$OSP_EXCLUDE"; }
included() { [ -z "$OSP_INCLUDE" ] || in_list "$1" "$OSP_INCLUDE"; }
selected() { included "$1" && ! excluded "$1" && ! protected "$1"; }
