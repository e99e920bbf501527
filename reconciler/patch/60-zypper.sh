# --- SLES and openSUSE Leap -----------------------------------------------------------------------------------------------
#
# SUSE's unit of a security update is the patch: it is chosen by its id, and only when every package that it touches may be touched.
# A private zypp.conf names a private locks file, which is the system's own locks and ours; /etc/zypp is never written.

zypper_preflight() {
  rpm_preflight zypper
  if [ "$OSP_RPM_LEVEL" = minimal ] && [ "$OSP_MODE" != verify ]; then say "zypper always takes the newest version; OSP_RPM_LEVEL has no meaning here"; fi
  {
    cat /etc/zypp/locks 2>/dev/null
    for lock_word in $PROTECTED $OSP_EXCLUDE; do
      printf '\ntype: package\nmatch_type: glob\ncase_sensitive: on\nsolvable_name: %s\n' "$lock_word"
    done
  } >"$TMP/zypp.locks"
  for zypper_conf in /etc/zypp/zypp.conf /usr/etc/zypp/zypp.conf /dev/null; do [ -r "$zypper_conf" ] && break; done
  awk -v locks="$TMP/zypp.locks" '
    function own() { print "locksfile.path = " locks; print "commit.downloadMode = DownloadInAdvance"; done = 1 }
    /^[ \t]*(locksfile\.path|commit\.downloadMode)[ \t]*=/ { next }
    { print } /^[ \t]*\[main\]/ { own() }
    END { if (!done) { print "[main]"; own() } }' "$zypper_conf" >"$TMP/zypp.conf"
  sed -n 's/^ *solvable_name: *//p' /etc/zypp/locks 2>/dev/null | tr '\n' ' ' >"$TMP/user.locks"
}

# zypper with our locks, cache and limit for waiting; its log is the system's only where something is installed.
zypper_run() { # ARGUMENT...
  ZYPP_CONF="$TMP/zypp.conf" ZYPP_LOCK_TIMEOUT="$OSP_LOCK_TIMEOUT" ZYPP_LOGFILE="${ZYPPER_LOG:-$TMP/zypper.log}" \
    zypper --non-interactive --cache-dir "$RPM_CACHE" "$@" </dev/null
}

# What a wrong ending means, by the exit codes of zypper(8).
zypper_fail() { # RC FILE CODE-OTHERWISE WORDS-OTHERWISE
  rpm_classify "$2"
  case $1 in
    6) fail NO_SECURITY_SOURCE "no repository is enabled on this node; register it or enable the distribution's repositories" ;;
    7) fail PKG_LOCK_TIMEOUT "$(grep -oE 'locked by [^.]*' "$2" | head -n 1 | sed 's/^/the package system is /') after $OSP_LOCK_TIMEOUT s; wait for it to end and try again" ;;
    106) fail "$RPM_CODE" "$RPM_WORDS" ;;
    107) fail SCRIPT_FAILED "a package script failed: $(rpm_failed_scripts "$2")- the files are in place; look at the log, then: zypper install --force" ;;
    4)
      if grep -qiE 'problem:' "$2"; then fail DEPENDENCY_CONFLICT "zypper finds no way: $(grep -i 'problem:' "$2" | head -n 1 | cut -c 1-140)"; fi
      ;;
    8)
      if grep -qiE 'no space left|needs .* on the .* filesystem|not enough disk' "$2"; then
        fail "$3" "a disk ran full: $(grep -iE 'space|filesystem' "$2" | head -n 1 | cut -c 1-120); free space and start again"
      fi
      case $RPM_CODE in REPO_SIGNATURE | REPO_DNS | REPO_TIMEOUT | REPO_AUTH) if [ "$3" = DOWNLOAD_FAILED ]; then fail "$RPM_CODE" "$RPM_WORDS"; fi ;; esac
      ;;
  esac
  fail "$3" "$4: $(grep -iE 'error|problem|fail|not found' "$2" | head -n 1 | sed 's#//[^/@ ]*@#//#g' | cut -c 1-140)"
}

# --- refresh ---------------------------------------------------------------------------------------------------------------

zypper_refresh() {
  need_space "$RPM_CACHE" 102400 DISK_FULL_VAR "package lists"
  : >"$TMP/space.tsv"
  for zypper_pause in 5 15 last; do
    zypper_rc=0
    # A function cannot be given to timeout; the shell that runs it can be watched instead.
    zypper_limited refresh >"$TMP/refresh.out" 2>&1 || zypper_rc=$?
    if [ "$zypper_rc" = 0 ] && ! grep -qE '^(Skipping repository|Some of the repositories|Could not refresh)' "$TMP/refresh.out"; then break; fi
    cat "$TMP/refresh.out"
    case $zypper_rc in 6 | 7) zypper_fail "$zypper_rc" "$TMP/refresh.out" REPO_METADATA "the repositories cannot be read" ;; esac
    if grep -qiE 'no enabled repositories|no repositories defined' "$TMP/refresh.out"; then zypper_fail 6 "$TMP/refresh.out" - -; fi
    rpm_classify "$TMP/refresh.out"
    if [ "$zypper_rc" = 124 ] || [ "$zypper_rc" = 137 ]; then
      RPM_CODE=REPO_TIMEOUT RPM_WORDS="the repositories did not answer within $OSP_REFRESH_TIMEOUT s; look at the node's network, proxy and mirror"
    fi
    case $RPM_CODE in REPO_SIGNATURE | CLOCK_SKEW | REPO_AUTH | DISK_FULL_*) zypper_pause=last ;; esac
    if [ "$zypper_pause" = last ]; then fail "$RPM_CODE" "$RPM_WORDS"; fi
    say "refresh failed ($RPM_CODE); trying again in $zypper_pause s"
    sleep "$zypper_pause"
  done
  if [ "$OSP_SCOPE" = security ] && ! zypper_run --no-refresh --xmlout list-patches --all 2>/dev/null | grep -q 'kind="patch"'; then
    fail NO_SECURITY_METADATA "the repositories of this node hold no patches, so nothing says which updates are security updates; enable the update repositories, or use scope all"
  fi
}

zypper_limited() { # ARGUMENT...
  ZYPP_CONF="$TMP/zypp.conf" ZYPP_LOCK_TIMEOUT="$OSP_LOCK_TIMEOUT" ZYPP_LOGFILE="$TMP/zypper.log" \
    run_limited "$OSP_REFRESH_TIMEOUT" zypper --non-interactive --cache-dir "$RPM_CACHE" "$@" </dev/null
}

# --- plan --------------------------------------------------------------------------------------------------------------------

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
  zypper_run --no-refresh --xmlout $ZYPPER_VERB --auto-agree-with-licenses --no-recommends --dry-run "$@" >"$TMP/resolve.xml" 2>&1
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
  if [ "$zypper_rc" != 4 ]; then zypper_fail "$zypper_rc" "$TMP/resolve.xml" DEPENDENCY_CONFLICT "zypper cannot plan"; fi
  zypper_good=
  for zypper_name in $ZYPPER_NAMES; do
    # shellcheck disable=SC2086
    if zypper_try $zypper_good "$zypper_name"; then zypper_good="$zypper_good $zypper_name"; else printf '%s\tconflict\n' "$zypper_name" >>"$TMP/left.patches"; fi
  done
  ZYPPER_NAMES=$zypper_good
  printf '' >"$TMP/resolve.xml"
  # shellcheck disable=SC2086
  if [ -n "$ZYPPER_NAMES" ]; then zypper_try $ZYPPER_NAMES || zypper_fail "$zypper_rc" "$TMP/resolve.xml" DEPENDENCY_CONFLICT "zypper cannot plan"; fi
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
      fail LOCK_MISMATCH "$(printf %s "$zypper_name" | tr '=' ' ') cannot be installed here; nothing was changed"
    fi
  done
  ZYPPER_NAMES=$zypper_good
  printf '' >"$TMP/resolve.xml"
  # shellcheck disable=SC2086
  if [ -n "$ZYPPER_NAMES" ]; then zypper_try $ZYPPER_NAMES || fail LOCK_MISMATCH "the locked versions do not fit together; nothing was changed"; fi
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

# --- download and install --------------------------------------------------------------------------------------------------------

zypper_space() {
  [ -s "$TMP/plan.tsv" ] || return 0
  sed -n 's/^<install-summary \(.*\)>$/ \1/p' "$TMP/resolve.xml" |
    awk "$ZYPPER_AWK"'{ printf "%d %d\n", attribute($0, "download-size") / 1024, attribute($0, "space-usage-diff") / 1024; exit }' >"$TMP/sizes"
  read -r size_get size_grow <"$TMP/sizes" || return 0
  if zypper_have_downloads >/dev/null; then size_get=0; fi
  need_space "$RPM_CACHE" "$((size_get + 1024))" DISK_FULL_VAR "packages to download"
  if [ "$size_grow" -lt 0 ]; then size_grow=0; fi
  need_space /usr "$((size_grow + 20480))" DISK_FULL_ROOT "packages to install"
  rpm_boot_space
}

zypper_file() { # NAME-VERSION-RELEASE.ARCH
  find "$RPM_CACHE/packages" -name "$(printf %s "$1" | sed 's/-[0-9]*:\([^:]*\)$/-\1/').rpm" 2>/dev/null | head -n 1
}
zypper_have_downloads() { rpm_have_files zypper_file; }

zypper_download() {
  [ -s "$TMP/plan.tsv" ] || return 0
  for zypper_pause in 5 15 last; do
    zypper_rc=0
    # shellcheck disable=SC2086 # options are words
    zypper_run --no-refresh $ZYPPER_VERB --auto-agree-with-licenses --no-recommends --download-only $ZYPPER_NAMES >"$TMP/download.out" 2>&1 || zypper_rc=$?
    cat "$TMP/download.out"
    if zypper_have_downloads; then
      BYTES=$(while IFS='	' read -r _ _ _ _ get_file; do wc -c <"$(zypper_file "$get_file")"; done <"$TMP/planned.tsv" 2>/dev/null | awk '{ n += $1 } END { printf "%d", n }')
      sync
      return 0
    fi
    rpm_classify "$TMP/download.out"
    case $zypper_rc,$RPM_CODE in 7,* | *,REPO_SIGNATURE | *,DISK_FULL_* | *,REPO_AUTH) zypper_pause=last ;; esac
    if [ "$zypper_pause" = last ]; then break; fi
    say "download failed; trying again in $zypper_pause s"
    sleep "$zypper_pause"
  done
  case $RPM_CODE in REPO_SIGNATURE | DISK_FULL_* | REPO_AUTH) if [ "$zypper_rc" != 7 ]; then fail "$RPM_CODE" "$RPM_WORDS"; fi ;; esac
  zypper_fail "$zypper_rc" "$TMP/download.out" DOWNLOAD_FAILED "not all packages could be fetched and verified"
}

# 102: done, reboot. 103: zypper itself was updated and asks to be started again for the rest.
zypper_install() {
  ZYPPER_LOG=/var/log/zypper.log
  for zypper_round in first again last; do
    say "zypper, $zypper_round"
    # shellcheck disable=SC2086 # options are words
    zypper_run --no-refresh $ZYPPER_VERB --auto-agree-with-licenses --no-recommends $ZYPPER_NAMES >"$TMP/install.out" 2>&1
    zypper_rc=$?
    cat "$TMP/install.out"
    if [ -n "$(rpm_failed_scripts "$TMP/install.out")" ]; then zypper_rc=107; fi
    case $zypper_rc in
      0 | 100 | 101) return 0 ;;
      102)
        touch /run/reboot-needed
        return 0
        ;;
      103) ;;
      *) zypper_fail "$zypper_rc" "$TMP/install.out" INSTALL_FAILED "zypper failed ($zypper_rc)" ;;
    esac
  done
}

# --- state, repair, reboot ---------------------------------------------------------------------------------------------------------

zypper_audit() { rpm_audit; }
zypper_inventory() { rpm_inventory; }
zypper_version_ge() { rpm_version_ge "$1" "$2"; }
zypper_kernel_next() { rpm_kernel_next; }

zypper_recover() {
  rpm_wait
  if rpm_audit >"$TMP/repair"; then return 0; fi
  say "repairing an interrupted installation: $(tr '\n' ';' <"$TMP/repair")"
  if grep -q 'cannot be read' "$TMP/repair"; then rpm --rebuilddb; else rpm_drop_duplicates; fi
  if rpm_audit >/dev/null; then warn "RepairedPackages: $(sed 's/ is there in two.*//' "$TMP/repair" | tr '\n' ' ' | cut -c 1-120)"; fi
}

zypper_reboot_signals() {
  rpm_core_signals
  zypper_run --no-refresh needs-rebooting >"$TMP/needs" 2>&1
  if [ "$?" = 102 ]; then printf 'zypper-102\t-\n'; fi
}

zypper_advisories() { # pending | applied
  if [ "$1" = applied ]; then
    rpm_applied_advisories
    return 0
  fi
  awk -F'\t' 'FILENAME ~ /plan\.tsv$/ { planned[$1]; next } FILENAME ~ /patches/ { cves[$1] = $2; next }
    ($2 in planned) && ($1 in cves) { print $1 "\t" $2 "\t" cves[$1] }' "$TMP/plan.tsv" "$TMP/patches.tsv" "$TMP/asks.tsv" | LC_ALL=C sort -u | rpm_pending_advisories
}

zypper_cleanup() {
  find "$RPM_CACHE/packages" -name '*.rpm' -exec rm -f {} + 2>/dev/null
}
