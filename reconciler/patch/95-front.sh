# --- the front: start, attach, watch, deliver -----------------------------------------------------------------------

front_main() {
  PART=front
  validate
  RESULT_MODE=$OSP_MODE
  [ -r "$SELF" ] || fail USAGE "start it as a file (sh os-patch.sh), not through a pipe: it carries itself to the host"
  for scratch in "${TMPDIR:-/tmp}" /dev/shm /run; do
    FRONT_TMP=$(mktemp -d "$scratch/os-patch.XXXXXX" 2>/dev/null) && break
  done
  [ -n "$FRONT_TMP" ] || fail INTERNAL "no writable scratch directory in the pod (/tmp, /dev/shm or /run)"
  trap 'rm -rf "$FRONT_TMP"' EXIT
  trap 'rm -rf "$FRONT_TMP"; say "the watch ends here; the work on the host goes on"; trap - EXIT; exit 143' TERM INT HUP
  os_read
  os_judge
  if with_units; then UNIT_LOOK=yes; else UNIT_LOOK=no; fi
  WORK_RUN=$RUNTIME/$OSP_RUN_ID/$OSP_MODE-$OSP_ATTEMPT
  LOG_SEEN=0
  replay
  front_start=0
  look || fail HOST_ACCESS "the state of the host cannot be read: hostPID, privileged and nsenter are needed"
  if [ "$LIVE" = live ]; then
    if [ "$OWNER" != "$OSP_RUN_ID/$OSP_MODE-$OSP_ATTEMPT" ]; then
      fail RUN_IN_PROGRESS "other work is under way on this node ($OWNER); it is asked again later"
    fi
    say "attached to the work under way"
  else
    launch
  fi
  while :; do
    follow
    case $? in
      0) break ;;
      2) fail DEADLINE "the work is in phase $PHASE after $OSP_DEADLINE s and goes on; start the same run again to attach to it" ;;
    esac
    # The worker was killed. What it began is repaired and finished by a second one; a third would only repeat the fate of two.
    if [ "$front_start" -ge 2 ]; then
      case $PHASE in
        install | check) fail INSTALL_FAILED "the worker was killed twice in phase $PHASE; is the node out of memory? The next attempt repairs and goes on" ;;
        *) fail INTERNAL "the worker was killed twice in phase ${PHASE:-preflight}: $(tail -n 1 "$FRONT_TMP/start" 2>/dev/null | cut -c 1-120); look at the log of the node for who killed it" ;;
      esac
    fi
    say "the worker is gone without an answer; starting another"
    launch
  done
  deliver
}

launch() {
  front_start=$((front_start + 1))
  carry_over || fail HOST_ACCESS "cannot write to $RUNTIME on the host: is /run full or read-only?"
  if ! start_worker; then
    if grep -qE 'already (loaded|exists)|fragment file' "$FRONT_TMP/start"; then
      fail RUN_IN_PROGRESS "other work has just begun on this node; it is asked again later"
    fi
    fail HOST_ACCESS "the host's systemd would not start the work: $(tail -n 1 "$FRONT_TMP/start" | cut -c 1-120); look at: systemctl --failed, journalctl -b"
  fi
}

# The same patch asked again answers again and changes nothing, also after a reboot.
replay() {
  [ "$OSP_MODE" = patch ] || return 0
  replay_text=$(host_sh 'cat "$1" 2>/dev/null' replay "$STATE/runs/$OSP_RUN_ID/patch-$OSP_ATTEMPT.json" </dev/null) || return 0
  [ -n "$replay_text" ] || return 0
  say "this attempt has already ended; its answer again"
  CODE=$(printf '%s' "$replay_text" | sed -n 's/.*"code":"\([A-Z_]*\)".*/\1/p')
  finish_front "$replay_text"
  exit "$(class_of "$CODE")"
}

deliver() {
  deliver_text=$(host_sh 'cat "$1/message.json"' answer "$WORK_RUN" </dev/null 2>/dev/null)
  [ -n "$deliver_text" ] || fail INTERNAL "the worker's answer cannot be read; its log is in $WORK_RUN on the host"
  deliver_class=$(host_sh 'cat "$1/exit"' answer "$WORK_RUN" </dev/null 2>/dev/null)
  host_sh 'cat "$1/full" 2>/dev/null' answer "$WORK_RUN" </dev/null 2>/dev/null
  finish_front "$deliver_text"
  exit "${deliver_class:-1}"
}

