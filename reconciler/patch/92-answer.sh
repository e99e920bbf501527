# --- the worker: counts, what changed, and the answer in words ------------------------------------------------------

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

