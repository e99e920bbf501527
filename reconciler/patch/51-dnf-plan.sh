# --- dnf: what would be installed, what stays and why ---------------------------------------------------------------

# Every update of the scope that there is, whatever keeps it back: key new.
dnf_candidates() {
  if [ "$OSP_SCOPE" = all ]; then
    dnf_quiet -q --disableexcludes=all --disableplugin=versionlock repoquery --upgrades --qf '%{name}-%{epoch}:%{version}-%{release}.%{arch}'
  else
    dnf_quiet -q --disableexcludes=all --disableplugin=versionlock updateinfo list "$DNF_FILTER" | awk 'NF >= 3 { print $NF }'
  fi 2>>"$TMP/candidates.err" | awk -F'\t' -v native="$RPM_NATIVE" "$RPM_AWK"'
    FILENAME != "-" { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
    { rpm_split($0, p); key = rpm_key(p[2], p[4], native)
      if (!(key in now) || rpm_compare(p[3], now[key]) <= 0) next
      if (!(key in best) || rpm_compare(p[3], best[key]) > 0) best[key] = p[3] }
    END { for (key in best) print key "\t" best[key] }' "$TMP/inventory.tsv" - | LC_ALL=C sort
}

# What dnf is asked to do: DNF_VERB and, when only some packages are meant, DNF_NAMES.
dnf_request() {
  DNF_VERB=upgrade DNF_NAMES=''
  if [ -n "$LOCK" ]; then
    awk -F'\t' "$RPM_AWK"'FILENAME ~ /inventory/ { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
      ($1 in now) && rpm_compare($2, now[$1]) > 0 { print $1 "\t" $2 }' "$TMP/inventory.tsv" "$LOCK" >"$TMP/locked.tsv"
    # `install` would go back to an older version without a word; `upgrade` never does.
    while IFS='	' read -r lock_name lock_version; do
      if selected "$lock_name"; then DNF_NAMES="$DNF_NAMES ${lock_name%%:*}-$lock_version"; fi
    done <"$TMP/locked.tsv"
    return 0
  fi
  if [ "$OSP_SCOPE" = security ]; then
    if [ "$OSP_RPM_LEVEL" = minimal ]; then DNF_VERB=upgrade-minimal; fi
    DNF_VERB="$DNF_VERB $DNF_FILTER"
  fi
  if [ -n "$OSP_INCLUDE" ]; then DNF_NAMES=$(rpm_included | sed 's/:.*//' | LC_ALL=C sort -u | tr '\n' ' '); fi
}

# Sets DNF_BEST and writes the transaction that dnf would do to $TMP/dnf.rows. Without a name dnf would take every package.
dnf_resolve() {
  dnf_request
  : >"$TMP/dnf.rows"
  : >"$TMP/resolve.out"
  DNF_BEST=--best
  if [ -n "$LOCK$OSP_INCLUDE" ] && [ -z "$DNF_NAMES" ]; then return 0; fi
  DNF_EXCLUDE=$(printf '%s' "$PROTECTED $OSP_EXCLUDE $DNF_EXTRA" | tr -s ' ' ',' | sed 's/^,//; s/,$//')
  # With --best one conflict stops everything. Without it, rc 0 does not mean complete: the scan afterwards tells.
  for DNF_BEST in --best --nobest; do
    # shellcheck disable=SC2086 # options are words
    dnf_quiet --assumeno "$DNF_BEST" ${DNF_EXCLUDE:+"--exclude=$DNF_EXCLUDE"} $DNF_VERB $DNF_NAMES >"$TMP/resolve.out" 2>&1
    if ! grep -qE '^Error:' "$TMP/resolve.out"; then break; fi
  done
  if grep -qE '^Dependencies resolved' "$TMP/resolve.out"; then
    dnf_rows "$TMP/resolve.out" >"$TMP/dnf.rows"
  elif ! grep -qE '^Nothing to do|No packages marked for' "$TMP/resolve.out"; then
    cat "$TMP/resolve.out"
    if grep -q 'checking of packages via GPG keys' "$TMP/resolve.out"; then
      fail REPO_SIGNATURE "a repository demands signatures and this node has no key for it; import the key of $OS_ID, or name it with gpgkey= in the .repo file. No key server is asked"
    fi
    if grep -qE 'Cache-only enabled|no cache for' "$TMP/resolve.out"; then fail DOWNLOAD_FAILED "the package lists are not here; run download again"; fi
    fail DEPENDENCY_CONFLICT "dnf finds no way: $(grep -E 'Problem|Error|nothing provides|conflicts' "$TMP/resolve.out" | head -n 1 | cut -c 1-140); exclude the package, or solve it on the node"
  fi
}

# dnf's table of the transaction: kind name arch version repository. It has 80 columns, and what does not fit goes on in the next line.
dnf_rows() { # FILE
  awk '/^Transaction Summary/ { exit }
    /^[A-Z][^=]*:$/ { kind = $0; sub(/:$/, "", kind); sub(/ .*/, "", kind); if ($0 ~ /conflicts/) kind = "conflict"; else if ($0 ~ /broken dep/) kind = "dependency"; row = ""; next }
    /^ / && kind != "" {
      if ($1 == "replacing" && row == "") { name = $2; sub(/\.[^.]*$/, "", name); print "Replacing\t" name "\t-\t" $3 "\t-"; next }
      row = row " " $0
      if (split(row, part, " ") >= 5) { print kind "\t" part[1] "\t" part[2] "\t" part[3] "\t" part[4]; row = "" }
    }' "$1"
}

dnf_plan() {
  rpm_inventory >"$TMP/inventory.tsv"
  rpm_beside >"$TMP/beside"
  : >"$TMP/candidates.err"
  dnf_candidates >"$TMP/wanted.tsv"
  if [ ! -s "$TMP/wanted.tsv" ] && grep -qiE '^error|no cache' "$TMP/candidates.err"; then
    fail DOWNLOAD_FAILED "the package lists cannot be read: $(head -n 1 "$TMP/candidates.err" | cut -c 1-140); run download again"
  fi
  rm -f "$TMP/hidden"
  dnf_round=0
  while :; do
    dnf_round=$((dnf_round + 1))
    dnf_resolve
    awk -F'\t' -v native="$RPM_NATIVE" "$RPM_AWK"'
      FILENAME ~ /beside$/ { beside[$1]; next }
      FILENAME ~ /inventory/ { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
      $1 == "Installing" || $1 == "Upgrading" || $1 == "Downgrading" || $1 == "Reinstalling" || $1 == "Removing" {
        key = rpm_key($2, $3, native); new = $4; sub(/^0:/, "", new)
        if ($1 == "Removing") { if ($2 in beside) next; new = "-" }
        old = (key in now) && !($2 in beside) ? now[key] : "-"
        print key "\t" old "\t" new "\t" $5 "\t" $2 "-" $4 "." $3 }' "$TMP/beside" "$TMP/inventory.tsv" "$TMP/dnf.rows" | LC_ALL=C sort -u >"$TMP/planned.tsv"
    if [ "$OSP_DEPS" = distro ] || [ "$OSP_SCOPE" = all ] || [ -n "$LOCK" ] || [ "$dnf_round" -ge 3 ]; then break; fi
    # A dependency that is no security update itself is not drawn in: what needs it stays behind.
    dnf_drawn=$(awk -F'\t' 'FILENAME ~ /wanted/ { wanted[$1]; next } $2 != "-" && !($1 in wanted) { print $1 }' "$TMP/wanted.tsv" "$TMP/planned.tsv")
    [ -n "$dnf_drawn" ] || break
    DNF_EXTRA="$DNF_EXTRA $(printf %s "$dnf_drawn" | tr '\n' ' ')"
  done
  cut -f 1-4 "$TMP/planned.tsv" >"$TMP/plan.tsv"
  dnf_leftovers
}

# Kept back by the administrator's own excludes or versionlock: there without them, not there with them.
dnf_held() { # NAME
  if [ ! -e "$TMP/hidden" ]; then
    dnf_quiet -q --disableexcludes=all --disableplugin=versionlock repoquery --upgrades --qf '%{name}' 2>/dev/null | LC_ALL=C sort -u >"$TMP/there"
    dnf_quiet -q repoquery --upgrades --qf '%{name}' 2>/dev/null | LC_ALL=C sort -u | LC_ALL=C comm -23 "$TMP/there" - >"$TMP/hidden"
  fi
  grep -qxF -- "${1%%:*}" "$TMP/hidden"
}

# pending: the plan, and what is wanted but not planned. kept: the latter, each with its reason.
dnf_leftovers() {
  : >"$TMP/kept.tsv"
  awk -F'\t' "$RPM_AWK"'FILENAME ~ /beside$/ { beside[$1]; next } FILENAME ~ /plan\.tsv$/ { planned[$1]; next }
    FILENAME ~ /inventory/ { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
    !($1 in planned) { print $1 "\t" ($1 in beside ? "-" : now[$1]) "\t" $2 "\t-" }' \
    "$TMP/beside" "$TMP/plan.tsv" "$TMP/inventory.tsv" "$TMP/wanted.tsv" >"$TMP/left.tsv"
  cp "$TMP/plan.tsv" "$TMP/pending.all"
  while IFS='	' read -r left_name left_old left_new left_from; do
    included "$left_name" || continue
    printf '%s\t%s\t%s\t%s\n' "$left_name" "$left_old" "$left_new" "$left_from" >>"$TMP/pending.all"
    if protected "$left_name"; then
      left_why=protected
    elif excluded "$left_name"; then
      left_why=excluded
    elif dnf_held "$left_name"; then
      left_why=held-by-user
    elif [ -n "$LOCK" ]; then
      left_why=not-in-lock
    else
      left_why=$(awk -F'\t' -v name="${left_name%%:*}" '$2 == name && ($1 == "conflict" || $1 == "dependency") { print $1; exit }' "$TMP/dnf.rows")
    fi
    printf '%s\t%s\n' "$left_name" "${left_why:-unresolved}" >>"$TMP/kept.tsv"
  done <"$TMP/left.tsv"
  LC_ALL=C sort "$TMP/pending.all" >"$TMP/pending.tsv"
}

dnf_check_plan() {
  while IFS='	' read -r row_kind row_name _ row_version _; do
    case $row_kind in
      Replacing)
        if protected "$row_name"; then fail PROTECTED_PACKAGE "the plan would replace $row_name, which is protected; nothing was changed. Exclude what asks for it"; fi
        if excluded "$row_name"; then fail PLAN_VIOLATION "the plan would replace $row_name, which is excluded; nothing was changed. Exclude what asks for it"; fi
        warn "PackageReplaced: $row_name $row_version by its successor in the distribution"
        ;;
      Removing)
        # Only kernels beyond the system's own limit come here, and never the one that runs.
        case $(uname -r) in "$row_version".*) fail PLAN_VIOLATION "the plan would remove the running kernel $row_version; nothing was changed. Raise installonly_limit, or reboot first" ;; esac
        warn "OldKernelRemoved: $row_name $row_version (installonly_limit)"
        ;;
    esac
  done <"$TMP/dnf.rows"
  if [ -n "$LOCK" ]; then rpm_check_lock; fi
}

