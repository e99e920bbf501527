# --- the worker: start, lock file, other updaters -------------------------------------------------------------------

phase() { # NAME
  PHASE_NAME=$1
  echo "$1" >"$WORK_RUN/phase"
  if [ -n "${WORK:-}" ]; then echo "$OSP_MODE $1" >"$WORK/phase"; fi
  say "phase: $1"
}

# Runs one step and notes how long it took.
timed() { # NAME COMMAND...
  timed_name=$1
  shift
  timed_from=$(clock)
  "$@"
  # shellcheck disable=SC2034 # read in the next line
  timed_took=$(($(clock) - timed_from))
  eval "T_$timed_name=\$((\${T_$timed_name:-0} + timed_took))"
}

worker_main() { # DIRECTORY
  PART=worker PLACE=here
  WORK_RUN=$1
  # shellcheck disable=SC1091 # written by the front
  . "$WORK_RUN/settings" || exit 1
  defaults
  RESULT_MODE=$OSP_MODE
  exec >>"$WORK_RUN/log" 2>&1 </dev/null
  cd / || exit 1
  T_START=$(stamp) T_BEGIN=$(clock)
  CODE=INTERNAL MESSAGE="the worker ended without an answer"
  if ! claim; then
    NOT_MINE=yes
    owner_alive
    fail RUN_IN_PROGRESS "${owner_mode:-work} of run ${owner_run:-unknown} is at work on this node; it is asked again later"
  fi
  # Asked to stop (a shutdown, systemctl stop): never in the middle of a package transaction.
  trap 'say "asked to stop; the package work is finished first"' TERM HUP INT
  trap 'CODE=INTERNAL MESSAGE="the worker ended in the middle of ${PHASE_NAME:-the start}"; finish' EXIT
  TMP=$WORK_RUN/tmp
  rm -rf "$TMP"
  mkdir -p "$TMP" || fail INTERNAL "cannot write below $RUNTIME on the host"
  : >"$TMP/warn.txt"
  os_read
  os_judge
  BEFORE_STATE=$(osrelease_state)
  WORK=$STATE/runs/$OSP_RUN_ID
  if ! mkdir -p "$STATE" || ! (umask 077 && mkdir -p "$WORK" && echo "$OSP_MODE start" >"$WORK/phase"); then
    WORK=''
    fail DISK_FULL_VAR "cannot write below $STATE on the host; make room there and try again"
  fi
  if [ -n "$OSP_HTTP_PROXY" ]; then export http_proxy="$OSP_HTTP_PROXY"; fi
  if [ -n "$OSP_HTTPS_PROXY" ]; then export https_proxy="$OSP_HTTPS_PROXY"; fi
  if [ -n "$OSP_NO_PROXY" ]; then export no_proxy="$OSP_NO_PROXY"; fi
  phase preflight
  lock_read
  uncontrolled_updaters
  case $OSP_MODE in
    scan | download | patch)
      if systemctl is-active --quiet "$UNIT-reboot.timer" 2>/dev/null; then fail RUN_IN_PROGRESS "this node is about to reboot; it is asked again later"; fi
      ;;
  esac
  "${FAMILY}_preflight"
  "mode_$OSP_MODE"
  finish
}

# The lock: "name version" lines. Checked before any of it is used; put in order so that its hash does not depend on the order.
lock_read() {
  LOCK=
  [ -n "$OSP_LOCK_FILE" ] || return 0
  LOCK=$TMP/lock.tsv
  sed 's/#.*//' "$OSP_LOCK_FILE" | awk 'NF { print $1 "\t" $2 }' | LC_ALL=C sort -u >"$LOCK"
  if LC_ALL=C grep -qvE '^[A-Za-z0-9][A-Za-z0-9.+_:@-]*	[A-Za-z0-9][A-Za-z0-9.+_:~^-]*$' "$LOCK"; then
    fail USAGE "the lock holds a line that is not \"name version\""
  fi
  [ -s "$LOCK" ] || fail USAGE "the lock is empty: it would forbid every update; leave it out to patch without one"
  LOCK_IN="\"$(sha256sum <"$LOCK" | cut -c 1-16)\""
  LOCK_SHA=$(sha256sum <"$LOCK" | cut -c 1-16)
}

# Updaters that work on their own clock are named, not stopped: that is the administrator's choice. Their locks are waited for.
uncontrolled_updaters() {
  [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1 || return 0
  for updater in unattended-upgrades.service apt-daily.timer apt-daily-upgrade.timer dnf-automatic.timer dnf-automatic-install.timer \
    dnf5-automatic.timer yum-cron.service transactional-update.timer os-update.timer; do
    if systemctl is-active --quiet "$updater" 2>/dev/null; then warn "UncontrolledUpdater: $updater"; fi
  done
}

