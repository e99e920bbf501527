# --- the worker: phases of each mode -------------------------------------------------------------------------------

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

mode_scan() {
  read_plan
  timed plan after_plan
  PACKAGES_FILE=$TMP/pending.tsv
  "${FAMILY}_audit" >"$TMP/audit" || warn "PackageDatabase: $(head -n 1 "$TMP/audit") (the patch repairs it first)"
  reboot_need
  services_to_restart
  scan_answer
}

mode_download() {
  "${FAMILY}_audit" >"$TMP/audit" || warn "PackageDatabase: $(head -n 1 "$TMP/audit") (the patch repairs it first)"
  read_plan
  check_plan
  PACKAGES_FILE=$TMP/pending.tsv
  phase download
  "${FAMILY}_space"
  timed download "${FAMILY}_download"
  plan_hash | keep_file "$WORK/downloaded"
  after_plan
  keep_file "$WORK/advisories.tsv" <"$TMP/advisories.tsv"
  reboot_need
  scan_answer
  prune
}

mode_patch() {
  repair
  if [ ! -e "$WORK/before.tsv" ]; then
    "${FAMILY}_inventory" | keep_file "$WORK/before.tsv"
    osrelease_state | keep_file "$WORK/before.state"
  fi
  BEFORE_STATE=$(cat "$WORK/before.state")
  if [ -s "$WORK/downloaded" ]; then
    say "using what was downloaded for this run"
    timed plan "${FAMILY}_plan"
  elif [ "$OSP_OFFLINE" = true ]; then
    fail DOWNLOAD_FAILED "nothing was downloaded for this run, and the patch may not use the network; run download with the same run id first"
  else
    read_plan
  fi
  check_plan
  N_PENDING=$(lines_in "$TMP/pending.tsv")
  "${FAMILY}_space"
  if [ -s "$TMP/plan.tsv" ]; then
    if ! "${FAMILY}_have_downloads"; then
      if [ "$OSP_OFFLINE" = true ]; then
        fail DOWNLOAD_FAILED "the node needs packages that were not downloaded, or they are damaged; run download with the same run id again"
      fi
      phase download
      timed download "${FAMILY}_download"
    fi
    if [ ! -s "$WORK/advisories.tsv" ]; then "${FAMILY}_advisories" pending 2>/dev/null | keep_file "$WORK/advisories.tsv"; fi
    touch "$WORK/installing"
    INSTALL_STARTED=yes
    phase install
    timed install "${FAMILY}_install"
  fi
  phase check
  INSTALL_STARTED=yes
  collect_after
  "${FAMILY}_audit" >"$TMP/audit" || fail INSTALL_FAILED "after the patch the package database is not clean: $(head -n 1 "$TMP/audit")"
  patch_answer
  "${FAMILY}_inventory" | keep_file "$WORK/after.tsv"
  "${FAMILY}_cleanup"
  prune
}

# An interrupted transaction is repaired under the package manager's lock, before anything else; what was found is reported.
repair() {
  "${FAMILY}_recover"
  "${FAMILY}_audit" >"$TMP/audit" || fail PKG_DB_BROKEN "the package database is broken and could not be repaired: $(head -n 1 "$TMP/audit")"
}

read_plan() {
  phase refresh
  timed refresh "${FAMILY}_refresh"
  phase plan
  timed plan "${FAMILY}_plan"
}

# What holds for every family: no name that must not be touched, whatever the package manager wants. Then the family's own rules.
check_plan() {
  plan_guard
  "${FAMILY}_check_plan"
}

plan_guard() {
  while IFS='	' read -r plan_name plan_old plan_new _; do
    if protected "$plan_name"; then
      fail PROTECTED_PACKAGE "the plan would touch $plan_name, which is protected; nothing was changed. Look for a package that depends on a newer $plan_name"
    fi
    if excluded "$plan_name"; then fail PLAN_VIOLATION "the plan would touch $plan_name, which is excluded; nothing was changed"; fi
    if [ "$plan_new" = - ] || [ -z "$plan_new" ]; then
      fail PLAN_VIOLATION "the plan would remove $plan_name; nothing was changed"
    fi
    if [ "$plan_old" != - ] && ! "${FAMILY}_version_ge" "$plan_new" "$plan_old"; then
      fail PLAN_VIOLATION "the plan would downgrade $plan_name from $plan_old to $plan_new; nothing was changed"
    fi
  done <"$TMP/plan.tsv"
}

plan_hash() { LC_ALL=C sort "$TMP/plan.tsv" | cut -f 1,3 | sha256sum | cut -c 1-64; }

after_plan() {
  N_PENDING=$(lines_in "$TMP/pending.tsv")
  "${FAMILY}_advisories" pending >"$TMP/advisories.tsv" 2>/dev/null || :
  advisory_counts
  inventory_counts
}

# Advisory ids first; where the system knows only CVE ids (apt), those.
advisory_counts() {
  : >>"$TMP/advisories.tsv"
  cut -f 1 "$TMP/advisories.tsv" | grep -vx -e - | LC_ALL=C sort -u >"$TMP/adv.ids"
  cut -f 3 "$TMP/advisories.tsv" | tr ' ' '\n' | grep '^CVE-' | LC_ALL=C sort -u >"$TMP/adv.cves"
  N_ADVISORIES=$(lines_in "$TMP/adv.ids")
  N_CVES=$(lines_in "$TMP/adv.cves")
  if [ -s "$TMP/adv.ids" ]; then cp "$TMP/adv.ids" "$TMP/adv.txt"; else LC_ALL=C sort -r "$TMP/adv.cves" >"$TMP/adv.txt"; fi
}

inventory_counts() {
  "${FAMILY}_inventory" >"$TMP/inventory.tsv"
  N_PROTECTED=0
  while IFS='	' read -r inventory_name _; do
    if protected "$inventory_name"; then N_PROTECTED=$((N_PROTECTED + 1)); fi
  done <"$TMP/inventory.tsv"
}

# Did something selected stay behind that nobody wanted to stay? Sets KEPT_BAD (names) and KEPT_ON_PURPOSE.
judge_kept() {
  KEPT_BAD='' KEPT_ON_PURPOSE=''
  while IFS='	' read -r kept_name kept_why; do
    case $kept_why in
      conflict | dependency | unresolved) KEPT_BAD="$KEPT_BAD $kept_name" ;;
      *) KEPT_ON_PURPOSE="$KEPT_ON_PURPOSE $kept_name" ;;
    esac
  done <"$TMP/kept.tsv"
}

scan_answer() {
  judge_kept
  KEPT_ON_PURPOSE=
  NOTHING_TO_DO=
  N_LEFT=$(lines_in "$TMP/plan.tsv")
  [ "$N_LEFT" -gt 0 ] || [ -n "$KEPT_BAD" ] || NOTHING_TO_DO=yes
  CODE=OK
  MESSAGE="$N_LEFT to install, $(lines_in "$TMP/kept.tsv") left alone"
  if [ -n "$KEPT_BAD" ]; then MESSAGE="$MESSAGE ($(count_words "$KEPT_BAD") cannot be installed:$KEPT_BAD)"; fi
  reboot_words
}

count_words() { # shellcheck disable=SC2086 # words are counted
  set -- $1
  echo $#
}

reboot_words() {
  if [ "${REBOOT_REQUIRED:-false}" = true ]; then MESSAGE="$MESSAGE; reboot required ($(tr '\n' ' ' <"$TMP/why.txt" | sed 's/ $//'))"; fi
}

# What really changed since the run began, by comparing what is installed: never the plan.
applied_list() {
  "${FAMILY}_inventory" >"$TMP/after.tsv"
  LC_ALL=C comm -13 "$WORK/before.tsv" "$TMP/after.tsv" >"$TMP/came.tsv"
  LC_ALL=C comm -23 "$WORK/before.tsv" "$TMP/after.tsv" >"$TMP/went.tsv"
  awk -F'\t' 'NR == FNR { old[$1] = $2; next } { print $1 "\t" (($1 in old) ? old[$1] : "-") "\t" $2 }' \
    "$TMP/went.tsv" "$TMP/came.tsv" >"$TMP/applied.tsv"
  # With nothing gone the first file is empty and awk would take the second for it.
  if [ ! -s "$TMP/went.tsv" ]; then awk -F'\t' '{ print $1 "\t-\t" $2 }' "$TMP/came.tsv" >"$TMP/applied.tsv"; fi
  PACKAGES_FILE=$TMP/applied.tsv
  N_NEW=$(awk -F'\t' '$2 == "-"' "$TMP/applied.tsv" | wc -l | tr -d ' ')
  N_APPLIED=$(($(lines_in "$TMP/applied.tsv") - N_NEW))
}

# Everything that is known after the installation, also after one that failed.
collect_after() {
  COLLECTED=yes
  applied_list
  "${FAMILY}_advisories" applied >"$TMP/advisories.tsv" 2>/dev/null || :
  advisory_counts
  inventory_counts
  cut -f 1,3 "$TMP/applied.tsv" | LC_ALL=C sort >"$TMP/lock.out"
  LOCK_SHA=$(sha256sum <"$TMP/lock.out" | cut -c 1-16)
  config_files
  reboot_need
  services_to_restart
  AFTER_STATE=$(osrelease_state)
}

# The scan afterwards decides what is left, not the exit code of the package manager.
patch_answer() {
  PENDING_BEFORE=${N_PENDING:-0}
  "${FAMILY}_plan"
  N_PENDING=$PENDING_BEFORE
  N_LEFT=$(lines_in "$TMP/plan.tsv")
  judge_kept
  MESSAGE="$N_APPLIED upgraded, $N_NEW new"
  CODE=OK
  if [ "$N_LEFT" -gt 0 ] || [ -n "$KEPT_BAD" ]; then
    CODE=KEPT_BACK
    MESSAGE="$MESSAGE; still pending:$(cut -f 1 "$TMP/plan.tsv" | tr '\n' ' ' | sed 's/^\(.\)/ \1/; s/ $//')$KEPT_BAD"
  elif [ -n "$KEPT_ON_PURPOSE" ]; then
    MESSAGE="$MESSAGE; left alone on purpose: $(count_words "$KEPT_ON_PURPOSE")"
  fi
  NOTHING_TO_DO=
  if [ "$N_APPLIED" -eq 0 ] && [ "$N_NEW" -eq 0 ]; then NOTHING_TO_DO=yes; fi
  reboot_words
}

# Files that a package brought anew and that lie beside the administrator's own. They keep the package's time, hence the change time.
config_files() {
  [ -e "$WORK/before.tsv" ] || return 0
  find /etc -cnewer "$WORK/before.tsv" \( -name '*.dpkg-dist' -o -name '*.dpkg-new' -o -name '*.ucf-dist' -o -name '*.rpmnew' -o -name '*.rpmsave' \) \
    2>/dev/null | LC_ALL=C sort >"$TMP/conf.txt"
}

# The last ten runs stay; this one is among them.
prune() {
  # shellcheck disable=SC2010 # run ids are plain words
  ls -t "$STATE/runs" | grep -vx "$OSP_RUN_ID" | tail -n +10 >"$TMP/old-runs"
  while read -r old_run; do rm -rf "${STATE:?}/runs/${old_run:?}"; done <"$TMP/old-runs"
}

# --- the front -----------------------------------------------------------------------------------------------------

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
  look || fail HOST_ACCESS "the state of the host cannot be read"
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
        *) fail INTERNAL "the worker was killed twice in phase ${PHASE:-preflight}: $(tail -n 1 "$FRONT_TMP/start" 2>/dev/null)" ;;
      esac
    fi
    say "the worker is gone without an answer; starting another"
    launch
  done
  deliver
}

launch() {
  front_start=$((front_start + 1))
  carry_over || fail HOST_ACCESS "cannot write to $RUNTIME on the host"
  if ! start_worker; then
    if grep -qE 'already (loaded|exists)|fragment file' "$FRONT_TMP/start"; then
      fail RUN_IN_PROGRESS "other work has just begun on this node; it is asked again later"
    fi
    fail HOST_ACCESS "the host's systemd would not start the work: $(tail -n 1 "$FRONT_TMP/start")"
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
  [ -n "$deliver_text" ] || fail INTERNAL "the worker's answer cannot be read"
  deliver_class=$(host_sh 'cat "$1/exit"' answer "$WORK_RUN" </dev/null 2>/dev/null)
  host_sh 'cat "$1/full" 2>/dev/null' answer "$WORK_RUN" </dev/null 2>/dev/null
  finish_front "$deliver_text"
  exit "${deliver_class:-1}"
}

# --- by hand, on the very host it runs on ----------------------------------------------------------------------------

usage() {
  cat <<TEXT
Usage: sudo sh os-patch.sh [--scan | --dry-run | --reboot] [--all]

Brings the security updates of this system's own distribution onto it. Kubernetes packages and the container runtime are left alone.

  (nothing)   download and install; say whether a reboot is required
  --reboot    the same, and reboot afterwards if one is required
  --scan      only look; nothing is changed
  --dry-run   like --scan, with the checks of a real run
  --all       all updates of the distribution, not only security

Settings such as OSP_EXCLUDE="name glob*" are taken from the environment. Log: /var/log/os-patch.log
Exit: 0 done, 10 some fixes left, 20 refused, 30 try later, 40 precondition, 50 failed while changing, 60 reboot, 1 other.
TEXT
}

by_hand() {
  hand_action=patch hand_reboot=no
  : "${OSP_SCOPE:=security}"
  for argument in "$@"; do
    case $argument in
      --scan | --dry-run) hand_action=scan ;;
      --reboot) hand_reboot=yes ;;
      --all) OSP_SCOPE=all ;;
      --help | -h)
        usage
        exit 0
        ;;
      *)
        usage >&2
        exit 20
        ;;
    esac
  done
  if [ "$(id -u)" != 0 ]; then
    echo "os-patch: it must run as root (sudo sh os-patch.sh)" >&2
    exit 20
  fi
  hand_log=/var/log/os-patch.log
  OSP_RUN_ID="manual-$(date -u +%Y%m%d-%H%M%S)-$$"
  OSP_NODE=$(uname -n | tr -cd 'A-Za-z0-9._-')
  export OSP_RUN_ID OSP_NODE OSP_SCOPE OSP_ATTEMPT=1
  hand_class=0
  case $hand_action in
    scan) hand_step scan ;;
    patch) hand_step download && hand_step patch ;;
  esac
  if [ "$hand_reboot" = yes ] && [ "$hand_class" -le 10 ] && [ -e "$RUNTIME/$OSP_RUN_ID/patch-1/reboot-required" ]; then
    OSP_EXPECT_BOOT_ID=$(boot_id)
    export OSP_EXPECT_BOOT_ID
    hand_step reboot
  fi
  exit "$hand_class"
}

# One mode, as its own process, with its words on the terminal and in the log. Returns 0 when the next may follow.
hand_step() { # MODE
  echo "$(stamp) os-patch $1, run $OSP_RUN_ID" >>"$hand_log"
  { OSP_MODE=$1 sh "$SELF" --here; echo $? >"$RUNTIME-hand.$$"; } 2>&1 | grep -v -e '^OSPATCH ' -e '^{"v":1' | tee -a "$hand_log"
  hand_class=$(cat "$RUNTIME-hand.$$")
  rm -f "$RUNTIME-hand.$$"
  tee -a "$hand_log" 2>/dev/null <"$RUNTIME/$OSP_RUN_ID/$1-1/summary"
  [ "$hand_class" -le 10 ]
}

# --- start -----------------------------------------------------------------------------------------------------------

SELF=$0
PART=front PLACE=pod TMP='' WORK='' FRONT_TMP='' RESULT_MODE=scan CODE=INTERNAL MESSAGE=''
OS_ID='' OS_POINT='' PHASE='' OWNER=''
case ${1:-} in
  --worker)
    worker_main "$2"
    ;;
  --here)
    PLACE=here
    defaults
    OSP_RESULT=''
    front_main
    ;;
  *)
    if [ -z "${OSP_MODE:-}" ]; then
      by_hand "$@"
    else
      defaults
      front_main
    fi
    ;;
esac
