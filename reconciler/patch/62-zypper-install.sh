# --- zypper: download, space, installation, repair, advisories, signs of a reboot -----------------------------------

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
    ZYPPER_LIMIT=$OSP_DOWNLOAD_TIMEOUT
    # shellcheck disable=SC2086 # options are words
    zypper_rehearse --no-refresh $ZYPPER_VERB --auto-agree-with-licenses --no-recommends --download-only $ZYPPER_NAMES >"$TMP/download.out" 2>&1 || zypper_rc=$?
    ZYPPER_LIMIT=
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
  if [ "$zypper_rc" = 124 ] || [ "$zypper_rc" = 137 ]; then fail DOWNLOAD_FAILED "the packages did not come within $OSP_DOWNLOAD_TIMEOUT s; look at the mirror and run download again"; fi
  zypper_fail "$zypper_rc" "$TMP/download.out" DOWNLOAD_FAILED "not all packages could be fetched and verified; look at the mirror and run download again"
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
      *) zypper_fail "$zypper_rc" "$TMP/install.out" INSTALL_FAILED "zypper failed ($zypper_rc); see the log. The next attempt repairs and goes on" ;;
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
  awk -F'\t' 'FILENAME ~ /pending\.tsv$/ { pending[$1]; next } FILENAME ~ /patches/ { cves[$1] = $2; next }
    ($2 in pending) && ($1 in cves) { print $1 "\t" $2 "\t" cves[$1] }' "$TMP/pending.tsv" "$TMP/patches.tsv" "$TMP/asks.tsv" | LC_ALL=C sort -u | rpm_pending_advisories
}

zypper_cleanup() {
  find "$RPM_CACHE/packages" -name '*.rpm' -exec rm -f {} + 2>/dev/null
}
