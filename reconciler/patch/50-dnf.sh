# --- RHEL, Rocky, Alma, Oracle, CentOS, Fedora (dnf 4), Amazon Linux 2023 --------------------------------------------------
#
# Selection and protection are options of each dnf call and a private cache: nothing below /etc is written, and the administrator's
# own excludes and versionlock are obeyed. Metadata is read once by refresh; everything after works from the cache.

dnf_preflight() {
  rpm_preflight dnf
  case $(readlink -f "$(command -v dnf)") in
    *dnf5) fail UNSUPPORTED_OS "this $OS_ID ${OS_VERSION:-} system has dnf 5; dnf 4 is supported. Replace the node with a new image" ;;
  esac
  DNF_OPTIONS="--color=never --setopt=cachedir=$RPM_CACHE/cache --setopt=keepcache=1 --setopt=metadata_expire=-1 --setopt=exit_on_lock=1 \
    --setopt=*.skip_if_unavailable=0 --setopt=skip_if_unavailable=0 --setopt=install_weak_deps=0 --setopt=clean_requirements_on_remove=0 \
    --setopt=protect_running_kernel=1 --setopt=timeout=20 --setopt=retries=2 --setopt=*.timeout=20 --setopt=*.retries=2"
  if [ "$OS_ID" = amzn ]; then
    case $OSP_MODE,$OSP_RELEASEVER in
      verify,* | reboot,*) ;;
      *,2023.*[0-9]) DNF_OPTIONS="$DNF_OPTIONS --releasever=$OSP_RELEASEVER" ;;
      *) fail USAGE "Amazon Linux 2023 shows its updates only for a named release: set OSP_RELEASEVER to one such as 2023.6.20241212 (dnf check-release-update lists them; not \"latest\")" ;;
    esac
  fi
  if [ -s "$RPM_CACHE/skipped" ]; then DNF_OPTIONS="$DNF_OPTIONS --disablerepo=$(cat "$RPM_CACHE/skipped")"; fi
  # --security and --sec-severity together would be all security updates, not the severe ones.
  DNF_FILTER=--security
  if [ -n "$OSP_SEVERITY" ]; then DNF_FILTER=--sec-severity=$OSP_SEVERITY; fi
  if [ -n "$OSP_CVES" ]; then DNF_FILTER=--cves=$(printf %s "$OSP_CVES" | tr -s ' ' ','); fi
  DNF_EXTRA=''
}

# dnf from the cache alone, without a trace in its logs; for everything but refresh, download and installation.
dnf_quiet() { # ARGUMENT...
  # shellcheck disable=SC2086 # options are words
  dnf $DNF_OPTIONS --setopt=logdir="$TMP" --disableplugin=generate_completion_cache -C "$@" </dev/null
}

# dnf waits for another dnf without end; with exit_on_lock it says 200 and we wait with a limit.
dnf_locked() { # FILE-FOR-OUTPUT ARGUMENT...
  dnf_out=$1
  shift
  dnf_until=$(($(now) + OSP_LOCK_TIMEOUT))
  while :; do
    # shellcheck disable=SC2086 # options are words
    dnf $DNF_OPTIONS "$@" </dev/null >"$dnf_out" 2>&1
    dnf_rc=$?
    cat "$dnf_out"
    [ "$dnf_rc" = 200 ] || return "$dnf_rc"
    if [ "$(now)" -ge "$dnf_until" ]; then
      dnf_pid=$(find /var/lib/dnf /var/cache/dnf "$RPM_CACHE" -name '*lock.pid' -exec head -n 1 {} + 2>/dev/null | grep -oE '^[0-9]+' | head -n 1)
      dnf_who="process ${dnf_pid:-unknown}, $(cat "/proc/${dnf_pid:-none}/comm" 2>/dev/null || echo unknown)"
      fail PKG_LOCK_TIMEOUT "another dnf ($dnf_who) is still at work after $OSP_LOCK_TIMEOUT s; wait for it to end and try again"
    fi
    sleep 1
  done
}

# --- refresh ---------------------------------------------------------------------------------------------------------------

dnf_refresh() {
  need_space "$RPM_CACHE" 102400 DISK_FULL_VAR "package lists"
  : >"$TMP/space.tsv"
  rm -f "$RPM_CACHE/skipped"
  dnf_skip=
  for dnf_pause in 5 15 last last last; do
    dnf_rc=0
    # shellcheck disable=SC2086 # options are words
    run_limited "$OSP_REFRESH_TIMEOUT" dnf $DNF_OPTIONS $dnf_skip --setopt=logdir="$TMP" \
      --disableplugin=generate_completion_cache --refresh makecache </dev/null >"$TMP/refresh.out" 2>&1 || dnf_rc=$?
    [ "$dnf_rc" != 0 ] || break
    cat "$TMP/refresh.out"
    if grep -qi 'no enabled repositories' "$TMP/refresh.out"; then fail NO_SECURITY_SOURCE "no repository is enabled on this node; register it or enable the distribution's repositories"; fi
    rpm_classify "$TMP/refresh.out"
    if [ "$dnf_rc" = 124 ] || [ "$dnf_rc" = 137 ]; then
      RPM_CODE=REPO_TIMEOUT RPM_WORDS="the repositories did not answer within $OSP_REFRESH_TIMEOUT s; look at the node's network, proxy and mirror"
    fi
    case ${rpm_where#repository } in
      kubernetes* | k8s* | cri-o* | docker-ce*)
        # These hold nothing but what is never touched here.
        if [ "$OSP_HOLD_RUNTIME" = true ] && [ "$OSP_SCOPE" = security ]; then
          warn "RepositoryUnavailable: ${rpm_where#repository } (not needed for this selection)"
          printf '%s%s' "$(sed 's/$/,/' "$RPM_CACHE/skipped" 2>/dev/null)" "${rpm_where#repository }" | keep_file "$RPM_CACHE/skipped"
          dnf_skip="--disablerepo=$(cat "$RPM_CACHE/skipped")"
          continue
        fi
        ;;
    esac
    case $RPM_CODE in REPO_SIGNATURE | CLOCK_SKEW | REPO_AUTH | DISK_FULL_*) dnf_pause=last ;; esac
    if [ "$dnf_pause" = last ]; then fail "$RPM_CODE" "$RPM_WORDS"; fi
    say "refresh failed ($RPM_CODE); trying again in $dnf_pause s"
    sleep "$dnf_pause"
  done
  DNF_OPTIONS="$DNF_OPTIONS $dnf_skip"
  if [ "$OSP_SCOPE" = security ]; then dnf_security_metadata; fi
}

# Without advisories dnf finds "nothing to do" and means it. So the repositories that carry the base of the distribution must have them.
dnf_security_metadata() {
  dnf_quiet -q --disableexcludes=all repoquery --qf '%{repoid}' bash glibc systemd kernel kernel-core openssl-libs 2>/dev/null | LC_ALL=C sort -u >"$TMP/base.repos"
  [ -s "$TMP/base.repos" ] || fail NO_SECURITY_SOURCE "none of the enabled repositories carries the base packages of $OS_ID; enable the distribution's own"
  while read -r dnf_repo; do
    find "$RPM_CACHE/cache" -path "*/$dnf_repo-*/repodata/repomd.xml" -exec grep -l 'type="updateinfo"' {} +
  done <"$TMP/base.repos" >"$TMP/with.updateinfo"
  [ -s "$TMP/with.updateinfo" ] ||
    fail NO_SECURITY_METADATA "the repositories of $OS_ID ($(tr '\n' ' ' <"$TMP/base.repos" | sed 's/ $//')) do not say which updates are security updates; use scope all, or a mirror with updateinfo"
}

# --- plan --------------------------------------------------------------------------------------------------------------------

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
    fail DEPENDENCY_CONFLICT "dnf finds no way: $(grep -E 'Problem|Error|nothing provides|conflicts' "$TMP/resolve.out" | head -n 1 | cut -c 1-140)"
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
        if protected "$row_name"; then fail PROTECTED_PACKAGE "the plan would replace $row_name, which is protected; nothing was changed"; fi
        if excluded "$row_name"; then fail PLAN_VIOLATION "the plan would replace $row_name, which is excluded; nothing was changed"; fi
        warn "PackageReplaced: $row_name $row_version by its successor in the distribution"
        ;;
      Removing)
        # Only kernels beyond the system's own limit come here, and never the one that runs.
        case $(uname -r) in "$row_version".*) fail PLAN_VIOLATION "the plan would remove the running kernel $row_version; nothing was changed" ;; esac
        warn "OldKernelRemoved: $row_name $row_version (installonly_limit)"
        ;;
    esac
  done <"$TMP/dnf.rows"
  if [ -n "$LOCK" ]; then rpm_check_lock; fi
}

# --- download and install --------------------------------------------------------------------------------------------------------

# What the plan does, said to dnf once more; only what may differ from the plan (network, test) comes as arguments.
dnf_transaction() { # FILE-FOR-OUTPUT OPTION...
  transaction_out=$1
  shift
  # shellcheck disable=SC2086 # options are words
  dnf_locked "$transaction_out" -y "$DNF_BEST" ${DNF_EXCLUDE:+"--exclude=$DNF_EXCLUDE"} "$@" $DNF_VERB $DNF_NAMES
}

dnf_file() { # NAME-EPOCH:VERSION-RELEASE.ARCH
  find "$RPM_CACHE/cache" -path '*/packages/*' -name "$(printf %s "$1" | sed 's/-[0-9]*:\([^:]*\)$/-\1/').rpm" 2>/dev/null | head -n 1
}

dnf_space() {
  [ -s "$TMP/planned.tsv" ] || return 0
  # shellcheck disable=SC2046 # one word per package
  dnf_quiet -q repoquery --qf '%{downloadsize} %{installsize}' $(cut -f 5 "$TMP/planned.tsv") 2>/dev/null |
    awk '{ get += $1; put += $2; if ($2 > most) most = $2 } END { printf "%d %d\n", get / 1024, (put + most) / 1024 }' >"$TMP/sizes"
  read -r size_get size_put <"$TMP/sizes"
  if dnf_have_downloads >/dev/null; then size_get=0; fi
  # shellcheck disable=SC2046
  size_old=$(rpm -q --qf '%{LONGSIZE}\n' $(awk -F'\t' '$2 != "-" { sub(/:/, ".", $1); print $1 }' "$TMP/planned.tsv") 2>/dev/null |
    awk '/^[0-9]+$/ { n += $1 } END { printf "%d", n / 1024 }')
  need_space "$RPM_CACHE" "$((size_get + 1024))" DISK_FULL_VAR "packages to download"
  if [ "$size_put" -lt "$size_old" ]; then size_put=$size_old; fi
  need_space /usr "$((size_put - size_old + 20480))" DISK_FULL_ROOT "packages to install"
  rpm_boot_space
}

# With tsflags=test dnf fetches, verifies signatures and lets rpm rehearse the transaction (files, disk space) without doing it.
dnf_download() {
  [ -s "$TMP/plan.tsv" ] || return 0
  for dnf_pause in 5 15 last; do
    if run_download; then
      BYTES=$(while IFS='	' read -r _ _ _ _ get_nevra; do wc -c <"$(dnf_file "$get_nevra")"; done <"$TMP/planned.tsv" 2>/dev/null | awk '{ n += $1 } END { printf "%d", n }')
      dnf_have_downloads || fail DOWNLOAD_FAILED "not all packages of the plan were fetched; see the log"
      sync
      return 0
    fi
    rpm_classify "$TMP/download.out"
    case $RPM_CODE in REPO_SIGNATURE | DISK_FULL_* | REPO_AUTH | CLOCK_SKEW) fail "$RPM_CODE" "$RPM_WORDS" ;; esac
    if grep -qiE 'transaction (test|check) error|conflicts (with|between)' "$TMP/download.out"; then
      fail DEPENDENCY_CONFLICT "rpm refuses the transaction: $(grep -iE 'conflicts|needed by|error' "$TMP/download.out" | tail -n 1 | cut -c 1-140); nothing was changed"
    fi
    if [ "$dnf_pause" = last ]; then break; fi
    say "download failed; trying again in $dnf_pause s"
    sleep "$dnf_pause"
  done
  fail DOWNLOAD_FAILED "not all packages could be fetched and verified: $RPM_WORDS"
}

run_download() {
  dnf_transaction "$TMP/download.out" --setopt=tsflags=test --setopt=logdir="$TMP"
}

dnf_have_downloads() { rpm_have_files dnf_file; }

dnf_install() {
  if dnf_transaction "$TMP/install.out" -C; then
    dnf_bad=$(rpm_failed_scripts "$TMP/install.out")
    if [ -n "$dnf_bad" ]; then
      fail SCRIPT_FAILED "a package script failed: $dnf_bad- the files are in place; look at the log, then: dnf reinstall $dnf_bad"
    fi
    return 0
  fi
  if grep -qiE 'more space needed|no space left' "$TMP/install.out" && ! grep -q 'Running transaction$' "$TMP/install.out"; then
    rpm_classify "$TMP/install.out"
    fail "$RPM_CODE" "$RPM_WORDS"
  elif grep -qE 'GPG check FAILED|is not signed|Public key for' "$TMP/install.out"; then
    fail REPO_SIGNATURE "a package cannot be verified ($(grep -E 'signed|Public key|GPG' "$TMP/install.out" | head -n 1 | cut -c 1-120)); import the key that gpgkey= names"
  elif grep -qE 'caching enabled but no|Cache-only enabled|No such file or directory.*\.rpm' "$TMP/install.out"; then
    fail DOWNLOAD_FAILED "packages are missing that the download did not bring; run download again"
  elif [ -n "$(rpm_failed_scripts "$TMP/install.out")" ]; then
    fail SCRIPT_FAILED "a package script failed: $(rpm_failed_scripts "$TMP/install.out")- see the log; a new attempt repairs and goes on"
  elif grep -q 'no space left' "$TMP/install.out"; then
    fail INSTALL_FAILED "a disk ran full during the installation; free space and start again, the half-done is repaired first"
  fi
  fail INSTALL_FAILED "dnf failed: $(grep -E '^Error|rror:' "$TMP/install.out" | tail -n 1 | cut -c 1-140)"
}

# --- state, repair, reboot ---------------------------------------------------------------------------------------------------------

dnf_audit() { rpm_audit; }
dnf_inventory() { rpm_inventory; }
dnf_version_ge() { rpm_version_ge "$1" "$2"; }
dnf_kernel_next() { rpm_kernel_next; }

dnf_recover() {
  rpm_wait
  if rpm_audit >"$TMP/repair"; then return 0; fi
  say "repairing an interrupted installation: $(tr '\n' ';' <"$TMP/repair")"
  if grep -q 'cannot be read' "$TMP/repair"; then
    rpm --rebuilddb
  else
    # dnf also installs the newer one again, so that its scripts run. That needs the package: from the cache, or from the network.
    dnf_locked "$TMP/repair.out" -y -C remove --duplicates || [ "$OSP_OFFLINE" = true ] || dnf_locked "$TMP/repair.out" -y remove --duplicates
    if ! rpm_audit >/dev/null; then rpm_drop_duplicates; fi
  fi
  if rpm_audit >/dev/null; then warn "RepairedPackages: $(sed 's/ is there in two.*//' "$TMP/repair" | tr '\n' ' ' | cut -c 1-120)"; fi
}

dnf_reboot_signals() {
  rpm_core_signals
  # The family's own list; it knows nothing of kernel-core, which the kernel comparison covers.
  if run_limited 120 dnf --setopt=logdir="$TMP" --setopt=cachedir="$TMP/none" --disableplugin=generate_completion_cache \
    --disablerepo='*' -C needs-restarting -r </dev/null >"$TMP/needs" 2>&1; then return 0; fi
  grep -qi 'reboot is required' "$TMP/needs" || return 0
  sed -n 's/^ *\* *\([^ ]*\).*/needs-restarting	\1/p' "$TMP/needs"
}

dnf_advisories() { # pending | applied
  if [ "$1" = applied ]; then
    rpm_applied_advisories
    return 0
  fi
  dnf_quiet -q updateinfo list "$DNF_FILTER" 2>/dev/null | awk 'NF >= 3 { print "a " $1 " " $NF }' >"$TMP/advisory.lines"
  dnf_quiet -q updateinfo list "$DNF_FILTER" --with-cve 2>/dev/null | awk 'NF >= 3 { print "c " $1 " " $NF }' >>"$TMP/advisory.lines"
  awk -v native="$RPM_NATIVE" "$RPM_AWK"'FILENAME ~ /plan\.tsv$/ { split($0, p, "\t"); planned[p[1]] = p[3]; next }
    { rpm_split($3, p); key = rpm_key(p[2], p[4], native); if (!(key in planned) || rpm_compare(p[3], planned[key]) > 0) next }
    $1 == "a" { row[++n] = $2 "\t" key; at[n] = $3; next }
    $2 ~ /^CVE-/ && !(($2, $3) in seen) { seen[$2, $3]; cves[$3] = cves[$3] (cves[$3] == "" ? "" : " ") $2 }
    END { for (i = 1; i <= n; i++) print row[i] "\t" (cves[at[i]] == "" ? "-" : cves[at[i]]) }' "$TMP/plan.tsv" "$TMP/advisory.lines" |
    LC_ALL=C sort -u | rpm_pending_advisories
}

dnf_cleanup() {
  find "$RPM_CACHE/cache" -path '*/packages/*' -name '*.rpm' -exec rm -f {} + 2>/dev/null
}
