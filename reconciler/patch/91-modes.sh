# --- the worker: the phases of each mode, and the checks that hold for every family ---------------------------------

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
  "${FAMILY}_audit" >"$TMP/audit" || fail INSTALL_FAILED "after the patch the package database is not clean: $(head -n 1 "$TMP/audit" | cut -c 1-120); the next attempt repairs it first"
  patch_answer
  "${FAMILY}_inventory" | keep_file "$WORK/after.tsv"
  "${FAMILY}_cleanup"
  prune
}

# An interrupted transaction is repaired under the package manager's lock, before anything else; what was found is reported.
repair() {
  "${FAMILY}_recover"
  "${FAMILY}_audit" >"$TMP/audit" || fail PKG_DB_BROKEN "the package database is broken and could not be repaired: $(head -n 1 "$TMP/audit" | cut -c 1-120); $(repair_way)"
}

# What a person does about a package database that is broken, in the words of the family.
repair_way() {
  case $FAMILY in
    apt) echo "repair it on the node: dpkg --configure -a, apt-get -f install" ;;
    dnf) echo "repair it on the node: dnf check, dnf remove --duplicates" ;;
    *) echo "repair it on the node: zypper verify, rpm --rebuilddb" ;;
  esac
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
      fail PROTECTED_PACKAGE "the plan would touch $plan_name, which is protected; nothing was changed. Exclude what asks for it: look for a package that depends on a newer $plan_name"
    fi
    if excluded "$plan_name"; then fail PLAN_VIOLATION "the plan would touch $plan_name, which is excluded; nothing was changed. Exclude what asks for it"; fi
    if [ "$plan_new" = - ] || [ -z "$plan_new" ]; then
      fail PLAN_VIOLATION "the plan would remove $plan_name; nothing was changed. Exclude what asks for it"
    fi
    if [ "$plan_old" != - ] && ! "${FAMILY}_version_ge" "$plan_new" "$plan_old"; then
      fail PLAN_VIOLATION "the plan would downgrade $plan_name from $plan_old to $plan_new; nothing was changed. Exclude it"
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
