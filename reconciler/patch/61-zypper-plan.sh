# --- zypper: what would be installed, what stays and why ------------------------------------------------------------

# Attributes of an XML element in one line, by name; zypper's versions put them in different orders.
ZYPPER_AWK='
function attribute(text, name,   i) {
  if (!match(text, " " name "=\"[^\"]*\"")) return "-"
  i = length(name) + 3
  return substr(text, RSTART + i, RLENGTH - i - 1)
}'

# Needed patches of the selection: id cves. And what each of them asks for: id package version.
zypper_patches() {
  : >"$TMP/patches.tsv"
  : >"$TMP/asks.tsv"
  [ "$OSP_SCOPE" = security ] || return 0
  zypper_run --no-refresh --xmlout list-patches >"$TMP/list.xml" 2>"$TMP/list.err"
  zypper_rc=$?
  if [ "$zypper_rc" != 0 ] && [ "$zypper_rc" -lt 100 ]; then zypper_fail "$zypper_rc" "$TMP/list.xml" DOWNLOAD_FAILED "the patches cannot be listed; run download again"; fi
  sed 's/<update /\n<update /g' "$TMP/list.xml" | awk -v severity="$OSP_SEVERITY" -v cves=" $OSP_CVES " "$ZYPPER_AWK"'
    !/^<update .*kind="patch"/ { next }
    { head = substr($0, 1, index($0, ">")); list = ""; wanted = cves ~ /^ *$/; rest = $0
      while (match(rest, /<issue type="cve" id="[^"]*"/)) {
        id = substr(rest, RSTART + 22, RLENGTH - 23); rest = substr(rest, RSTART + RLENGTH)
        list = list (list == "" ? "" : " ") id; if (index(cves, " " id " ")) wanted = 1 }
      if (attribute(head, "category") != "security" || attribute(head, "status") != "needed" || !wanted) next
      if (severity != "" && attribute(head, "severity") != tolower(severity)) next
      print attribute(head, "name") "\t" (list == "" ? "-" : list) }' | LC_ALL=C sort -u >"$TMP/patches.tsv"
  [ -s "$TMP/patches.tsv" ] || return 0
  # shellcheck disable=SC2046 # one word per patch
  zypper_run --no-refresh info -t patch --conflicts $(cut -f 1 "$TMP/patches.tsv") 2>/dev/null | awk '
    /^Information for patch / { id = $4; sub(/:$/, "", id); asks = 0; next }
    /^Conflicts/ { asks = 1; sub(/^Conflicts *: */, "") } # one alone stands in the same line
    /^[A-Z][a-z ]*: / { asks = 0 }
    asks && $2 == "<" && $1 !~ /:/ { sub(/\.(noarch|x86_64|aarch64|ppc64le|s390x|i586|i686)$/, "", $1); print id "\t" $1 "\t" $3 }' >"$TMP/asks.tsv"
}

# Every update of the scope that there is for what is installed: name new id.
zypper_candidates() {
  if [ "$OSP_SCOPE" = all ]; then
    zypper_run --no-refresh --xmlout list-updates --all 2>/dev/null | sed 's/<update /\n<update /g' |
      awk "$ZYPPER_AWK"'/^<update .*kind="package"/ { head = substr($0, 1, index($0, ">")); print "-\t" attribute(head, "name") "\t" attribute(head, "edition") }'
  else
    cat "$TMP/asks.tsv"
  fi | awk -F'\t' "$RPM_AWK"'FILENAME != "-" { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
    ($2 in now) && rpm_compare($3, now[$2]) > 0 { print $2 "\t" $3 "\t" $1 }' "$TMP/inventory.tsv" - | LC_ALL=C sort -u
}

# What zypper is asked for: ZYPPER_VERB and ZYPPER_NAMES. Empty names with `install` mean nothing to do.
zypper_request() {
  ZYPPER_VERB='install -t patch' ZYPPER_NAMES=''
  : >"$TMP/left.patches"
  if [ -n "$LOCK" ]; then
    ZYPPER_VERB='install -t package'
    awk -F'\t' "$RPM_AWK"'FILENAME ~ /inventory/ { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
      ($1 in now) && rpm_compare($2, now[$1]) > 0 { print $1 "\t" $2 }' "$TMP/inventory.tsv" "$LOCK" >"$TMP/locked.tsv"
    while IFS='	' read -r lock_name lock_version; do
      if selected "$lock_name" && ! zypper_held "$lock_name"; then ZYPPER_NAMES="$ZYPPER_NAMES $lock_name=$lock_version"; fi
    done <"$TMP/locked.tsv"
  elif [ "$OSP_SCOPE" = all ]; then
    ZYPPER_VERB=update
    while IFS='	' read -r wanted_name _; do
      if selected "$wanted_name" && ! zypper_held "$wanted_name"; then ZYPPER_NAMES="$ZYPPER_NAMES $wanted_name"; fi
    done <"$TMP/wanted.tsv"
  else
    while IFS='	' read -r patch_id _; do
      awk -F'\t' -v id="$patch_id" '$3 == id { print $1 }' "$TMP/wanted.tsv" >"$TMP/patch.names"
      patch_fits=yes
      while read -r patch_name; do
        if ! selected "$patch_name" || zypper_held "$patch_name"; then patch_fits=no; fi
      done <"$TMP/patch.names"
      if [ ! -s "$TMP/patch.names" ] && [ -n "$OSP_INCLUDE" ]; then patch_fits=no; fi
      if [ "$patch_fits" = yes ]; then ZYPPER_NAMES="$ZYPPER_NAMES $patch_id"; else printf '%s\tdependency\n' "$patch_id" >>"$TMP/left.patches"; fi
    done <"$TMP/patches.tsv"
  fi
}

zypper_try() { # NAME...
  # shellcheck disable=SC2086 # options are words
  zypper_rehearse --no-refresh --xmlout $ZYPPER_VERB --auto-agree-with-licenses --no-recommends --dry-run "$@" >"$TMP/resolve.xml" 2>&1
  zypper_rc=$?
  case $zypper_rc in 0 | 100 | 101 | 102 | 103) return 0 ;; *) return 1 ;; esac
}

# One patch that cannot be applied stops all of them; then the largest set that can is found by adding one after the other.
zypper_resolve() {
  zypper_request
  printf '' >"$TMP/resolve.xml"
  [ -n "$ZYPPER_NAMES" ] || return 0
  # shellcheck disable=SC2086 # one word per name
  if zypper_try $ZYPPER_NAMES; then return 0; fi
  if [ -n "$LOCK" ]; then
    zypper_lock_missing
    return 0
  fi
  if [ "$zypper_rc" != 4 ]; then zypper_fail "$zypper_rc" "$TMP/resolve.xml" DEPENDENCY_CONFLICT "zypper cannot plan; exclude the package, or solve it on the node"; fi
  zypper_good=
  for zypper_name in $ZYPPER_NAMES; do
    # shellcheck disable=SC2086
    if zypper_try $zypper_good "$zypper_name"; then zypper_good="$zypper_good $zypper_name"; else printf '%s\tconflict\n' "$zypper_name" >>"$TMP/left.patches"; fi
  done
  ZYPPER_NAMES=$zypper_good
  printf '' >"$TMP/resolve.xml"
  # shellcheck disable=SC2086
  if [ -n "$ZYPPER_NAMES" ]; then zypper_try $ZYPPER_NAMES || zypper_fail "$zypper_rc" "$TMP/resolve.xml" DEPENDENCY_CONFLICT "zypper cannot plan; exclude the package, or solve it on the node"; fi
}

# Which locked versions are gone? Asked one by one; without them as a ceiling, refused when exact.
zypper_lock_missing() {
  zypper_good=
  for zypper_name in $ZYPPER_NAMES; do
    if zypper_try "$zypper_name"; then
      zypper_good="$zypper_good $zypper_name"
    elif [ "$zypper_rc" = 104 ] || grep -qiE 'not found|no provider of' "$TMP/resolve.xml"; then
      if [ "$OSP_LOCK_MODE" = exact ]; then
        fail LOCK_VERSION_MISSING "$(printf %s "$zypper_name" | tr '=' ' ') is no longer in the repositories; use a mirror that keeps old versions, or mode ceiling"
      fi
    else
      fail LOCK_MISMATCH "$(printf %s "$zypper_name" | tr '=' ' ') cannot be installed here; nothing was changed. Make a new lock"
    fi
  done
  ZYPPER_NAMES=$zypper_good
  printf '' >"$TMP/resolve.xml"
  # shellcheck disable=SC2086
  if [ -n "$ZYPPER_NAMES" ]; then zypper_try $ZYPPER_NAMES || fail LOCK_MISMATCH "the locked versions do not fit together; nothing was changed. Make a new lock"; fi
}

zypper_plan() {
  rpm_inventory >"$TMP/inventory.tsv"
  zypper_patches
  zypper_candidates >"$TMP/wanted.tsv"
  zypper_resolve
  sed 's/<solvable /\n<solvable /g' "$TMP/resolve.xml" | awk -v native="$RPM_NATIVE" "$RPM_AWK$ZYPPER_AWK"'
    /^<to-[a-z-]*>/ { section = $0; sub(/^<to-/, "", section); sub(/>.*/, "", section) }
    /^<solvable type="package"/ {
      new = attribute($0, "edition"); old = attribute($0, "edition-old"); arch = attribute($0, "arch"); file = attribute($0, "name") "-" new "." arch
      key = rpm_key(attribute($0, "name"), arch, native)
      if (section ~ /remove/) { old = new; new = "-" }
      print key "\t" old "\t" new "\t" attribute($0, "repository") "\t" file }' | LC_ALL=C sort -u >"$TMP/planned.tsv"
  cut -f 1-4 "$TMP/planned.tsv" >"$TMP/plan.tsv"
  zypper_leftovers
}

zypper_leftovers() {
  : >"$TMP/kept.tsv"
  rpm_beside >"$TMP/beside"
  awk -F'\t' "$RPM_AWK"'FILENAME ~ /beside$/ { beside[$1]; next } FILENAME ~ /plan\.tsv$/ { planned[$1]; next }
    FILENAME ~ /inventory/ { if (!($1 in now) || rpm_compare($2, now[$1]) > 0) now[$1] = $2; next }
    !($1 in planned) { if (!($1 in best) || rpm_compare($2, best[$1]) > 0) { best[$1] = $2; id[$1] = $3 } }
    END { for (name in best) print name "\t" (name in beside ? "-" : now[name]) "\t" best[name] "\t" id[name] }' \
    "$TMP/beside" "$TMP/plan.tsv" "$TMP/inventory.tsv" "$TMP/wanted.tsv" | LC_ALL=C sort >"$TMP/left.tsv"
  cp "$TMP/plan.tsv" "$TMP/pending.all"
  while IFS='	' read -r left_name left_old left_new left_patch; do
    included "$left_name" || continue
    printf '%s\t%s\t%s\t-\n' "$left_name" "$left_old" "$left_new" >>"$TMP/pending.all"
    if protected "$left_name"; then
      left_why=protected
    elif excluded "$left_name"; then
      left_why=excluded
    elif zypper_held "$left_name"; then
      left_why=held-by-user
    elif [ -n "$LOCK" ]; then
      left_why=not-in-lock
    else
      left_why=$(awk -F'\t' -v id="$left_patch" -v name="$left_name" '$1 == id || $1 == name { print $2; exit }' "$TMP/left.patches")
    fi
    printf '%s\t%s\n' "$left_name" "${left_why:-unresolved}" >>"$TMP/kept.tsv"
  done <"$TMP/left.tsv"
  LC_ALL=C sort "$TMP/pending.all" >"$TMP/pending.tsv"
}

zypper_held() { in_list "$1" "$(cat "$TMP/user.locks")"; }

zypper_check_plan() { if [ -n "$LOCK" ]; then rpm_check_lock; fi; }

