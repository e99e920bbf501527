# --- dnf: download, space, installation, repair, advisories, signs of a reboot --------------------------------------

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
      dnf_have_downloads || fail DOWNLOAD_FAILED "not all packages of the plan were fetched; see the log, and run download again"
      sync
      return 0
    fi
    # What stands before is the plan with what it skips; and the remark on keys is dnf's usual one.
    sed '1,/^Transaction Summary/d' "$TMP/download.out" | grep -v '^DNF will only download' >"$TMP/download.text"
    [ -s "$TMP/download.text" ] || cp "$TMP/download.out" "$TMP/download.text"
    rpm_classify "$TMP/download.text"
    if [ "$download_rc" = 124 ] || [ "$download_rc" = 137 ]; then RPM_CODE=REPO_TIMEOUT RPM_WORDS="the packages did not come within $OSP_DOWNLOAD_TIMEOUT s"; fi
    case $RPM_CODE in REPO_SIGNATURE | DISK_FULL_* | REPO_AUTH | CLOCK_SKEW) fail "$RPM_CODE" "$RPM_WORDS" ;; esac
    if grep -qiE 'transaction (test|check) error|conflicts (with|between)' "$TMP/download.text"; then
      fail DEPENDENCY_CONFLICT "rpm refuses the transaction: $(grep -iE 'conflicts|needed by|error' "$TMP/download.text" | tail -n 1 | cut -c 1-140); nothing was changed. Exclude the package, or solve it on the node"
    fi
    if [ "$dnf_pause" = last ]; then break; fi
    say "download failed; trying again in $dnf_pause s"
    sleep "$dnf_pause"
  done
  fail DOWNLOAD_FAILED "not all packages could be fetched and verified; look at the mirror and run download again: $RPM_WORDS"
}

run_download() {
  DNF_LIMIT=$OSP_DOWNLOAD_TIMEOUT
  download_rc=0
  dnf_transaction "$TMP/download.out" --setopt=tsflags=test --setopt=logdir="$TMP" || download_rc=$?
  DNF_LIMIT=
  return "$download_rc"
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
  fail INSTALL_FAILED "dnf failed: $(grep -E '^Error|rror:' "$TMP/install.out" | tail -n 1 | cut -c 1-140); see the log. The next attempt repairs and goes on"
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
  # Also of what is kept back: that a protected package has a fix that does not come in is worth knowing.
  dnf_quiet -q --disableexcludes=all --disableplugin=versionlock updateinfo list "$DNF_FILTER" 2>/dev/null | awk 'NF >= 3 { print "a " $1 " " $NF }' >"$TMP/advisory.lines"
  dnf_quiet -q --disableexcludes=all --disableplugin=versionlock updateinfo list "$DNF_FILTER" --with-cve 2>/dev/null | awk 'NF >= 3 { print "c " $1 " " $NF }' >>"$TMP/advisory.lines"
  awk -v native="$RPM_NATIVE" "$RPM_AWK"'FILENAME ~ /pending\.tsv$/ { split($0, p, "\t"); pending[p[1]] = p[3]; next }
    { rpm_split($3, p); key = rpm_key(p[2], p[4], native); if (!(key in pending) || rpm_compare(p[3], pending[key]) > 0) next }
    $1 == "a" { row[++n] = $2 "\t" key; at[n] = $3; next }
    $2 ~ /^CVE-/ && !(($2, $3) in seen) { seen[$2, $3]; cves[$3] = cves[$3] (cves[$3] == "" ? "" : " ") $2 }
    END { for (i = 1; i <= n; i++) print row[i] "\t" (cves[at[i]] == "" ? "-" : cves[at[i]]) }' "$TMP/pending.tsv" "$TMP/advisory.lines" |
    LC_ALL=C sort -u | rpm_pending_advisories
}

dnf_cleanup() {
  find "$RPM_CACHE/cache" -path '*/packages/*' -name '*.rpm' -exec rm -f {} + 2>/dev/null
}
