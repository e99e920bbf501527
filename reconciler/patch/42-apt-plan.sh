# --- apt: what would be installed, what stays and why ---------------------------------------------------------------

# apt-get's simulation as rows: name, old (- when new), new (- when removed), where it comes from.
apt_rows() { # FILE
  awk -v native="$APT_NATIVE" '/^(Inst|Remv) / {
    act = $1; name = $2; rest = substr($0, length($1) + length($2) + 3); old = "-"; new = "-"; from = "-"
    sub(":" native "$", "", name)
    if (substr(rest, 1, 1) == "[") { i = index(rest, "]"); old = substr(rest, 2, i - 2); rest = substr(rest, i + 2) }
    if (act == "Inst" && substr(rest, 1, 1) == "(") {
      j = index(rest, ")"); body = substr(rest, 2, j - 2); k = index(body, " ")
      new = substr(body, 1, k - 1); from = substr(body, k + 1); sub(/ \[[^]]*\]$/, "", from)
    }
    print name "\t" old "\t" new "\t" from }' "$1"
}

apt_simulate() {
  apt_preferences plan >"$TMP/preferences"
  if ! apt_quiet apt-get --no-install-recommends -s --with-new-pkgs upgrade >"$TMP/simulate.out" 2>&1; then
    if grep -qE 'nmet dependencies|held broken packages|rror, pkgProblemResolver' "$TMP/simulate.out"; then
      fail DEPENDENCY_CONFLICT "the installed packages' dependencies are not met; nothing was changed. Look at: apt-get check, apt-get -f install"
    fi
    fail INTERNAL "apt-get cannot plan: $(grep -E '^E:' "$TMP/simulate.out" | head -n 1)"
  fi
  apt_rows "$TMP/simulate.out" >"$TMP/plan.tsv"
}

# Rows of `apt list --upgradable`: name, old, new, suites. What is pending does not depend on the administrator's pins.
apt_upgradable() { # PREFERENCES-FORM
  apt_preferences "$1" >"$TMP/preferences"
  apt_parts=/etc/apt/preferences.d
  if [ "$1" = pending ]; then
    apt_parts=$TMP/no-preferences
    mkdir -p "$apt_parts"
  fi
  apt_quiet apt -o Dir::Etc::PreferencesParts="$apt_parts" list --upgradable 2>/dev/null | awk -v native="$APT_NATIVE" '/\[upgradable from: / {
    split($1, part, "/"); name = part[1]; if ($3 != native && $3 != "all") name = name ":" $3
    old = $NF; sub(/\]$/, "", old); print name "\t" old "\t" $2 "\t" part[2] }' | LC_ALL=C sort
}

apt_plan() {
  : >"$TMP/apt.extra"
  : >"$TMP/apt.why"
  apt_targets
  dpkg-query -W -f '${db:Status-Abbrev}\t${binary:Package}\n' |
    awk -F'\t' -v native="$APT_NATIVE" '$1 ~ /^h/ { sub(":" native "$", "", $2); print $2 }' >"$TMP/held"
  apt_simulate
  apt_upgradable plan >"$TMP/candidates.tsv"
  apt_dependencies
  for apt_round in 1 2 3; do
    apt_foreign >"$TMP/foreign.tsv"
    [ -s "$TMP/foreign.tsv" ] || break
    say "round $apt_round: leaving out what is not from the chosen archives: $(cut -f 1 "$TMP/foreign.tsv" | tr '\n' ' ')"
    while IFS='	' read -r foreign_name foreign_old _; do
      if [ "$foreign_old" = - ]; then apt_stanza "$foreign_name" 'release *' -1; else apt_stanza "$foreign_name" 'release a=now' 32767; fi
      printf '%s\tuser-pin\n' "$foreign_name" >>"$TMP/apt.why"
    done <"$TMP/foreign.tsv" >>"$TMP/apt.extra"
    apt_simulate
  done
  apt_pending
  apt_preferences plan >"$TMP/preferences"
}

# Planned, but from an archive that the selection does not allow. A new package may come from anywhere in the distribution.
apt_foreign() {
  cat "$TMP/security.pairs" "$TMP/distribution.pairs" >"$TMP/all.pairs"
  if [ "$OSP_SCOPE" = all ]; then cp "$TMP/all.pairs" "$TMP/upgrade.pairs"; else cp "$TMP/security.pairs" "$TMP/upgrade.pairs"; fi
  awk -F'\t' -v deps="$TMP/deps.tsv" -v locked="${LOCK:-}" '
    BEGIN {
      while ((getline line <deps) > 0) { split(line, d, "\t"); dependency[d[1]] = d[2] }
      if (locked != "") while ((getline line <locked) > 0) { split(line, d, "\t"); dependency[d[1]] = d[2] } }
    FILENAME ~ /upgrade.pairs$/ { upgrade[$1 "|" $2] = 1; next }
    FILENAME ~ /all.pairs$/ { any[$1 "|" $2] = 1; next }
    $3 == "-" { next }
    { good = 0; n = split($4, from, /, */)
      for (i = 1; i <= n; i++) {
        label = from[i]; sub(/:[^:]*$/, "", label); suite = from[i]
        if (suite ~ /\//) sub(/^.*\//, "", suite); else sub(/^.*:/, "", suite)
        pair = label "|" suite
        if ((pair in upgrade) || (pair in any && ($2 == "-" || dependency[$1] == $3))) good = 1
      }
      if (!good) print }' "$TMP/upgrade.pairs" "$TMP/all.pairs" "$TMP/plan.tsv"
}

# A fix that needs a newer library from another pocket of the distribution: for each candidate that is not planned, what would
# installing it draw in? Those are allowed in exactly that version, and everything is planned again. Also finds why the rest stays.
apt_dependencies() {
  : >"$TMP/deps.tsv"
  LC_ALL=C join -t '	' -v 1 "$TMP/candidates.tsv" "$(sorted_names "$TMP/plan.tsv")" | head -n 40 >"$TMP/unplanned.tsv"
  [ -s "$TMP/unplanned.tsv" ] || return 0
  apt_preferences open >"$TMP/preferences"
  while IFS='	' read -r want_name _ want_version _; do
    if grep -qxF -- "$want_name" "$TMP/held" || ! selected "$want_name"; then continue; fi
    if apt_quiet apt-get --no-install-recommends -s --no-remove install "$want_name=$want_version" >"$TMP/want.out" 2>&1; then
      apt_rows "$TMP/want.out" >"$TMP/want.tsv"
      if apt_allowed_dependencies; then cat "$TMP/want.deps" >>"$TMP/deps.tsv"; else printf '%s\tdependency\n' "$want_name" >>"$TMP/apt.why"; fi
    elif grep -qE 'remove is disabled|Conflicts:|Breaks:' "$TMP/want.out"; then
      printf '%s\tconflict\n' "$want_name" >>"$TMP/apt.why"
    else
      printf '%s\tdependency\n' "$want_name" >>"$TMP/apt.why"
    fi
  done <"$TMP/unplanned.tsv"
  [ -s "$TMP/deps.tsv" ] || return 0
  while IFS='	' read -r dep_name dep_version; do apt_stanza "$dep_name" "version $dep_version" 500; done <"$TMP/deps.tsv" >>"$TMP/apt.extra"
  apt_simulate
}

# The other upgrades that one fix needs; none of them may be protected, excluded or held.
apt_allowed_dependencies() {
  : >"$TMP/want.deps"
  [ "$OSP_DEPS" = distro ] || return 1
  while IFS='	' read -r dep_name dep_old dep_version _; do
    if [ "$dep_name" = "$want_name" ]; then continue; fi
    if protected "$dep_name" || excluded "$dep_name" || grep -qxF -- "$dep_name" "$TMP/held"; then return 1; fi
    if [ "$dep_old" != - ]; then printf '%s\t%s\n' "$dep_name" "$dep_version" >>"$TMP/want.deps"; fi
  done <"$TMP/want.tsv"
}

# First columns, sorted, as a file that join accepts; prints its name.
sorted_names() { # TSV
  cut -f 1 "$1" | LC_ALL=C sort -u >"$1.names"
  echo "$1.names"
}

# What there is, planned or not, and for what is not planned: why.
apt_pending() {
  apt_upgradable pending >"$TMP/all.tsv"
  while IFS='	' read -r pending_name pending_old pending_new pending_from; do
    if included "$pending_name"; then printf '%s\t%s\t%s\t%s\n' "$pending_name" "$pending_old" "$pending_new" "$pending_from"; fi
  done <"$TMP/all.tsv" >"$TMP/upgrades.tsv"
  LC_ALL=C join -t '	' -v 1 "$TMP/upgrades.tsv" "$(sorted_names "$TMP/plan.tsv")" >"$TMP/left.tsv"
  { cat "$TMP/plan.tsv" "$TMP/left.tsv"; } | LC_ALL=C sort >"$TMP/pending.tsv"
  while IFS='	' read -r left_name _; do
    if protected "$left_name"; then
      left_why=protected
    elif excluded "$left_name"; then
      left_why=excluded
    elif grep -qxF -- "$left_name" "$TMP/held"; then
      left_why=held-by-user
    elif [ -n "$LOCK" ]; then
      left_why=not-in-lock
    else
      left_why=$(awk -F'\t' -v name="$left_name" '$1 == name { print $2; exit }' "$TMP/apt.why")
      if [ -z "$left_why" ]; then
        if cut -f 1 "$TMP/candidates.tsv" | grep -qxF -- "$left_name"; then left_why=unresolved; else left_why=user-pin; fi
      fi
    fi
    printf '%s\t%s\n' "$left_name" "$left_why"
  done <"$TMP/left.tsv" >"$TMP/kept.tsv"
}

apt_check_plan() {
  apt_foreign >"$TMP/foreign.tsv"
  if [ -s "$TMP/foreign.tsv" ]; then
    fail PLAN_VIOLATION "the plan would take $(head -n 1 "$TMP/foreign.tsv" | awk -F'\t' '{ print $1 " " $3 " from " $4 }'), which is outside the selection; nothing was changed. Exclude what asks for it"
  fi
  [ -n "$LOCK" ] || return 0
  apt_check_lock
}

# Every locked package that is installed and older goes to exactly the locked version, and nothing else changes.
apt_check_lock() {
  "${FAMILY}_inventory" >"$TMP/inventory.tsv"
  LC_ALL=C join -t '	' "$LOCK" "$TMP/inventory.tsv" >"$TMP/locked.tsv"
  while IFS='	' read -r lock_name lock_version lock_now; do
    if ! selected "$lock_name" || grep -qxF -- "$lock_name" "$TMP/held" || apt_version_ge "$lock_now" "$lock_version"; then continue; fi
    lock_planned=$(awk -F'\t' -v name="$lock_name" '$1 == name { print $3 }' "$TMP/plan.tsv")
    [ "$lock_planned" != "$lock_version" ] || continue
    if [ -n "$lock_planned" ]; then fail LOCK_MISMATCH "$lock_name would become $lock_planned, the lock says $lock_version; nothing was changed. Make a new lock"; fi
    if [ "$OSP_LOCK_MODE" = ceiling ]; then continue; fi
    if apt_quiet apt-cache madison "$lock_name" 2>/dev/null | awk '{ print $3 }' | grep -qxF -- "$lock_version"; then
      fail LOCK_MISMATCH "$lock_name $lock_version cannot be installed together with the rest of the lock; nothing was changed. Make a new lock"
    fi
    fail LOCK_VERSION_MISSING "$lock_name $lock_version is no longer in the repositories; use a snapshot or a mirror that keeps old versions, or mode ceiling"
  done <"$TMP/locked.tsv"
  [ "$OSP_LOCK_MODE" = exact ] || return 0
  cut -f 1,3 "$TMP/plan.tsv" | LC_ALL=C sort | LC_ALL=C comm -23 - "$LOCK" >"$TMP/unlocked"
  if [ -s "$TMP/unlocked" ]; then fail LOCK_MISMATCH "the plan needs $(head -n 1 "$TMP/unlocked" | tr '\t' ' '), which the lock does not name; nothing was changed. Make a new lock"; fi
}

