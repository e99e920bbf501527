# --- the host: the one way to it, the transient unit, state of a run, waiting -------------------------------------

# The only way from the pod to the host. In the worker and standalone the host is right here.
on_host() {
  case $PLACE in
    here) "$@" ;;
    *)
      if [ -n "$OSP_HOST_EXEC" ]; then
        $OSP_HOST_EXEC "$@"
      else
        nsenter -t 1 -m -u -i -n -p -- "$@"
      fi
      ;;
  esac
}

# A script on the host with a clean environment: the pod's PATH and locale mean nothing there. Arguments become $1, $2, ...
host_sh() { # SCRIPT [ARGUMENT...]
  on_host /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 /bin/sh -c "$@"
}

# Boot id and running kernel are the kernel's, the same in every namespace.
boot_id() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo 00000000-0000-0000-0000-000000000000; }

with_units() { [ -z "$OSP_NO_UNIT" ] && [ "${HAS_SYSTEMD:-no}" = yes ]; }

# Stops a command that may hang. Never for dpkg or rpm at work: those are waited for.
run_limited() { # SECONDS COMMAND...
  limit=$1
  shift
  timeout -k 10 "$limit" "$@"
}

# A file that must survive a crash: written beside, flushed, renamed.
keep_file() { # PATH  (content on stdin)
  cat >"$1.new" && sync "$1.new" 2>/dev/null
  mv -f "$1.new" "$1"
}

# Who holds a POSIX lock on FILE: "pid name"; nothing when nobody does.
lock_holder() { # FILE
  [ -e "$1" ] || return 0
  lock_inode=$(stat -c %i "$1" 2>/dev/null) || return 0
  awk -v inode="$lock_inode" '{ for (i = 1; i <= NF; i++) if (split($i, part, ":") == 3 && part[3] == inode) print $(i - 1) }' \
    /proc/locks 2>/dev/null >"$TMP/holders"
  while read -r lock_pid; do
    # Another file system may have a file of the same number.
    if [ -n "$(find -L "/proc/$lock_pid/fd" -maxdepth 1 -samefile "$1" 2>/dev/null)" ]; then
      printf '%s %s\n' "$lock_pid" "$(cat "/proc/$lock_pid/comm" 2>/dev/null || echo unknown)"
      return 0
    fi
  done <"$TMP/holders"
}

# Waits, within OSP_LOCK_TIMEOUT, until nobody holds FILE.
wait_for_lock() { # FILE
  lock_until=$(($(now) + OSP_LOCK_TIMEOUT))
  lock_said=
  while :; do
    lock_who=$(lock_holder "$1")
    [ -n "$lock_who" ] || return 0
    [ -n "$lock_said" ] || say "waiting for $1, held by process $lock_who"
    lock_said=yes
    if [ "$(now)" -ge "$lock_until" ]; then
      fail PKG_LOCK_TIMEOUT "$1 is still held by process $lock_who after $OSP_LOCK_TIMEOUT s; wait for it to end, or end it, and try again"
    fi
    sleep 1
  done
}

# Adds to what a file system must have free, and refuses when that is too much. Several needs on one file system add up.
need_space() { # DIRECTORY KIB CODE WHAT
  space_directory=$1
  while [ ! -d "$space_directory" ]; do space_directory=$(dirname "$space_directory"); done
  df -Pk "$space_directory" 2>/dev/null | awk 'NR > 1 { print $4, $6; exit }' >"$TMP/df"
  read -r space_free space_mount <"$TMP/df" || return 0
  printf '%s\t%s\n' "$space_mount" "$2" >>"$TMP/space.tsv"
  space_need=$(awk -F'\t' -v m="$space_mount" '$1 == m { n += $2 } END { printf "%.0f\n", n }' "$TMP/space.tsv")
  if [ "$space_free" -lt "$space_need" ]; then
    fail "$3" "$4: $((space_need / 1024 + 1)) MiB needed on $space_mount, $((space_free / 1024)) MiB free; make room there and try again"
  fi
}

# --- one piece of work at a time on a node ------------------------------------------------------------------------

# Start time of a process in clock ticks since boot: with its id it names the process for good.
process_start() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# The unit's name is the node-wide mutex where systemd is; this file is it everywhere, and says who works.
claim() {
  claim_mine="$RUNTIME/owner.$$"
  printf '%s %s %s %s %s\n' "$$" "$(process_start $$)" "$OSP_RUN_ID" "$OSP_MODE" "$OSP_ATTEMPT" >"$claim_mine"
  claim_try=0
  until ln "$claim_mine" "$RUNTIME/owner" 2>/dev/null; do
    claim_try=$((claim_try + 1))
    if owner_alive || [ "$claim_try" -gt 5 ]; then
      rm -f "$claim_mine"
      return 1
    fi
    rm -f "$RUNTIME/owner"
  done
  rm -f "$claim_mine"
}

owner_alive() {
  read -r owner_pid owner_start owner_run owner_mode _ <"$RUNTIME/owner" 2>/dev/null || return 1
  [ -n "$owner_start" ] && [ "$(process_start "$owner_pid")" = "$owner_start" ]
}

release() {
  if read -r owner_pid _ 2>/dev/null <"$RUNTIME/owner" && [ "$owner_pid" = "$$" ]; then rm -f "$RUNTIME/owner"; fi
}

# --- the front's side: carry over, start, watch -------------------------------------------------------------------

# What the worker needs to know, quoted so that no value can mean anything to a shell.
settings() {
  for setting in $KNOWN_VARIABLES; do
    case $setting in OSP_HOST_EXEC | OSP_RESULT | OSP_LOCK_FILE) continue ;; esac
    setting_value=''
    eval "setting_value=\${$setting}"
    printf "%s='%s'\n" "$setting" "$(printf %s "$setting_value" | sed "s/'/'\\\\''/g")"
  done
  if [ -n "$OSP_LOCK_FILE" ]; then printf "OSP_LOCK_FILE='%s/lock'\n" "$WORK_RUN"; else echo "OSP_LOCK_FILE=''"; fi
}

carry() { # FILE-ON-HOST  (content on stdin)
  host_sh 'umask 077; mkdir -p "${1%/*}" && cat >"$1.new" && mv -f "$1.new" "$1"' carry "$1"
}

carry_over() {
  host_sh 'umask 077; mkdir -p "$1" && chmod 700 "$1" && rm -f "$2/message.json" "$2/exit" "$2/summary" "$2/full" && if [ "$3" = 1 ]; then rm -f "$2/log"; fi' \
    clean "$RUNTIME" "$WORK_RUN" "$front_start" </dev/null || return 1
  carry "$WORK_RUN/os-patch.sh" <"$SELF" || return 1
  settings | carry "$WORK_RUN/settings" || return 1
  if [ -n "$OSP_LOCK_FILE" ]; then carry "$WORK_RUN/lock" <"$OSP_LOCK_FILE" || return 1; fi
}

# Starts the worker. The unit is not bound to the pod: killing the pod kills nothing.
start_worker() {
  if with_units; then
    host_sh 'exec systemd-run "$@"' start --quiet --collect --unit="$UNIT" --property=StandardInput=null --property=KillMode=process \
      --setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin --setenv=HOME=/root --setenv=LC_ALL=C.UTF-8 \
      /bin/sh "$WORK_RUN/os-patch.sh" --worker "$WORK_RUN" >"$FRONT_TMP/start" 2>&1 </dev/null
  else
    on_host /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
      /bin/sh "$WORK_RUN/os-patch.sh" --worker "$WORK_RUN" >"$FRONT_TMP/start" 2>&1 </dev/null &
  fi
}

# One look at the host: is the worker at work, for which run, and is there an answer. Sets LIVE, ANSWERED, OWNER, PHASE.
look() {
  host_sh 'state=gone
    if [ "$3" = yes ]; then
      case $(systemctl is-active "$4.service" 2>/dev/null) in active | activating | deactivating | reloading) state=live ;; esac
    fi
    if read -r pid start run mode attempt <"$1/owner" 2>/dev/null && [ -n "$start" ]; then
      [ "$(sed "s/^.*) //" "/proc/$pid/stat" 2>/dev/null | cut -d" " -f20)" = "$start" ] && state=live
    fi
    answered=no; [ -s "$2/exit" ] && answered=yes
    echo "$state $answered ${run:--}/${mode:--}-${attempt:--} $(cat "$2/phase" 2>/dev/null || echo -)"' \
    look "$RUNTIME" "$WORK_RUN" "$UNIT_LOOK" "$UNIT" >"$FRONT_TMP/look" 2>/dev/null </dev/null || return 1
  read -r LIVE ANSWERED OWNER PHASE <"$FRONT_TMP/look"
}

show_log() {
  host_sh 'tail -c +"$2" "$1" 2>/dev/null' log "$WORK_RUN/log" "$((LOG_SEEN + 1))" >"$FRONT_TMP/log" 2>/dev/null </dev/null || return 0
  [ -s "$FRONT_TMP/log" ] || return 1
  cat "$FRONT_TMP/log"
  LOG_SEEN=$((LOG_SEEN + $(wc -c <"$FRONT_TMP/log")))
}

# Follows the worker to its end, or to the deadline. Returns 0 with an answer, 1 when the worker ended without one, 2 at the deadline.
follow() {
  follow_from=$(now)
  follow_beat=$follow_from
  follow_blind=0
  follow_gone=0
  while :; do
    if show_log; then follow_beat=$(now); fi
    if look; then
      follow_blind=0
      if [ "$ANSWERED" = yes ] && [ "$LIVE" = gone ]; then
        show_log || :
        return 0
      fi
      if [ "$LIVE" = gone ]; then
        # Twice, because between the unit's start and the worker's first line there is nothing to see.
        follow_gone=$((follow_gone + 1))
        if [ "$follow_gone" -gt 3 ]; then return 1; fi
      else
        follow_gone=0
      fi
    else
      follow_blind=$((follow_blind + 1))
      [ "$follow_blind" -lt 30 ] || return 1
    fi
    if [ $(($(now) - follow_beat)) -ge 30 ]; then
      say "still at work: $PHASE, $(($(now) - follow_from)) s"
      follow_beat=$(now)
    fi
    [ $(($(now) - follow_from)) -lt "$OSP_DEADLINE" ] || return 2
    sleep 1
  done
}
