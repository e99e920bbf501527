# --- apt: state of the package database, repair, CVE ids, signs of a reboot -----------------------------------------

apt_audit() {
  {
    dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' 2>/dev/null |
      awk 'substr($0, 2, 1) ~ /[HUFWt]/ || substr($0, 3, 1) == "R" { print $2 " is not completely installed (" $1 ")" }'
    if [ -n "$(find /var/lib/dpkg/updates -type f -name '[0-9]*' 2>/dev/null | head -n 1)" ]; then echo "dpkg was interrupted"; fi
  } >"$TMP/apt.audit"
  cat "$TMP/apt.audit"
  [ ! -s "$TMP/apt.audit" ]
}

apt_recover() {
  wait_for_lock /var/lib/dpkg/lock-frontend
  wait_for_lock /var/lib/dpkg/lock
  if apt_audit >"$TMP/repair"; then return 0; fi
  say "repairing an interrupted installation: $(tr '\n' ';' <"$TMP/repair")"
  apt_change dpkg --force-confdef --force-confold --configure -a
  if ! apt_audit >/dev/null; then
    if ! apt_reinstall && [ "$OSP_OFFLINE" = false ]; then
      # Perhaps the lists were never read on this node.
      apt_refresh
      apt_reinstall
    fi
  fi
  if apt_audit >/dev/null; then warn "RepairedPackages: $(sed -n 's/ is not completely.*//p' "$TMP/repair" | tr '\n' ' ' | cut -c 1-120)"; fi
}

# What was killed while it was being unpacked must be unpacked again; `apt-get -f install` says 0 and leaves it (apt 2.6).
apt_reinstall() {
  apt_drop_damaged
  dpkg-query -W -f '${db:Status-Abbrev} ${binary:Package}\n' 2>/dev/null |
    awk 'substr($0, 2, 1) == "H" || substr($0, 3, 1) == "R" { print $2 }' >"$TMP/reinstall"
  # shellcheck disable=SC2046,SC2086 # options and names are words
  if [ -s "$TMP/reinstall" ]; then
    apt_change apt-get $APT_OPTIONS -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 \
      -y --no-install-recommends --no-remove --reinstall install $(cat "$TMP/reinstall")
  else
    apt_change apt-get $APT_OPTIONS -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 -y --no-remove -f install
  fi
  apt_change dpkg --force-confdef --force-confold --configure -a
  apt_audit >/dev/null
}

# apt takes an archive of the right size from its cache without looking at its hash; after a crash or power loss that is not enough.
apt_drop_damaged() {
  find "$APT_STATE/archives" -maxdepth 1 -name '*.deb' | sed 's#^.*/##' >"$TMP/cached"
  : >>"$APT_STATE/archives.tsv"
  while IFS= read -r drop_file; do
    drop_hash=$(awk -F'\t' -v file="$drop_file" '$1 == file { print $3 " " $4; exit }' "$APT_STATE/archives.tsv")
    # shellcheck disable=SC2086 # kind and hash are two words
    if [ -z "$drop_hash" ] || ! apt_intact "$APT_STATE/archives" "$drop_file" $drop_hash; then rm -f "$APT_STATE/archives/$drop_file"; fi
  done <"$TMP/cached"
}

apt_inventory() {
  dpkg-query -W -f '${db:Status-Abbrev}\t${binary:Package}\t${Version}\n' |
    awk -F'\t' -v native="$APT_NATIVE" 'substr($1, 2, 1) == "i" { sub(":" native "$", "", $2); print $2 "\t" $3 }' | LC_ALL=C sort
}

apt_version_ge() { # A B
  dpkg --compare-versions "$1" ge "$2"
}

apt_cleanup() {
  find "$APT_STATE/archives" "$APT_STATE/fetch" -type f -name '*.deb' -exec rm -f {} +
}

# --- advisories: the CVE ids in the changelogs inside the fetched packages; apt's metadata has none ----------------------------------

apt_advisories() { # pending | applied
  if [ "$1" = applied ]; then
    cat "$WORK/advisories.tsv" 2>/dev/null
    return 0
  fi
  while IFS='	' read -r cve_name cve_old cve_new _; do
    cve_file=$(find "$APT_STATE/archives" -maxdepth 1 -name "${cve_name%%:*}_$(printf %s "$cve_new" | sed 's/:/%3a/g')_*.deb" | head -n 1)
    [ -n "$cve_file" ] || continue
    # A kernel comes under a new name: what it fixes counts from the newest kernel that is there.
    if [ "$cve_old" = - ]; then
      case $cve_name in linux-image-*) cve_old=$(dpkg-query -W -f '${Version}\n' "linux-image-$(uname -r)" 2>/dev/null) ;; *) continue ;; esac
      [ -n "$cve_old" ] || continue
    fi
    dpkg-deb --fsys-tarfile "$cve_file" 2>/dev/null |
      tar -xOf - --wildcards './usr/share/doc/*/changelog.Debian.gz' './usr/share/doc/*/changelog.gz' 2>/dev/null | gzip -dc 2>/dev/null >"$TMP/changelog"
    cve_end=$(lines_in "$TMP/changelog")
    awk '/^[a-z0-9][a-z0-9.+-]* \(/ { version = $2; gsub(/[()]/, "", version); print NR, version }' "$TMP/changelog" >"$TMP/changelog.versions"
    while read -r cve_line cve_version; do
      # A binary rebuild (+b1) has no changelog entry of its own.
      if apt_version_ge "${cve_old%+b[0-9]}" "$cve_version"; then
        cve_end=$((cve_line - 1))
        break
      fi
    done <"$TMP/changelog.versions"
    cve_ids=$(head -n "$cve_end" "$TMP/changelog" | grep -oE 'CVE-[0-9]{4}-[0-9]{4,}' | LC_ALL=C sort -u | tr '\n' ' ')
    if [ -n "$cve_ids" ]; then printf '%s\t%s\t%s\n' - "$cve_name" "${cve_ids% }"; fi
  done <"$TMP/plan.tsv"
}

# --- reboot ----------------------------------------------------------------------------------------------------------------------------

# Newest completely installed kernel of the running kernel's flavour (amd64, cloud-amd64, generic ...).
apt_kernel_next() {
  apt_flavour=$(uname -r | sed 's/^[0-9][^-]*-//; s/^[0-9][0-9.]*-//')
  apt_newest=
  dpkg-query -W -f '${db:Status-Abbrev}\t${Package}\n' 'linux-image-[0-9]*' 2>/dev/null |
    awk -F'\t' 'substr($1, 2, 1) == "i" && $2 !~ /-(dbg|unsigned)$/ { sub(/^linux-image-/, "", $2); print $2 }' >"$TMP/kernels"
  while read -r apt_kernel; do
    case $apt_kernel in *-"$apt_flavour") ;; *) continue ;; esac
    if [ "$(printf %s "$apt_kernel" | sed 's/^[0-9][^-]*-//; s/^[0-9][0-9.]*-//')" != "$apt_flavour" ]; then continue; fi
    if [ -z "$apt_newest" ] || dpkg --compare-versions "$apt_kernel" gt "$apt_newest"; then apt_newest=$apt_kernel; fi
  done <"$TMP/kernels"
  printf '%s' "$apt_newest"
}

apt_reboot_signals() {
  # The same kernel name may carry a newer build; Debian's kernels say their package version in `uname -v`.
  apt_build=$(uname -v | sed -n 's/^.* Debian \([^ ]*\).*$/\1/p')
  apt_image=$(dpkg-query -W -f '${Version}' "linux-image-$(uname -r)" 2>/dev/null)
  if [ -n "$apt_build" ] && [ -n "$apt_image" ] && [ "$apt_build" != "$apt_image" ]; then printf 'kernel\tlinux-image-%s\n' "$(uname -r)"; fi
  # dpkg writes a package's file list when it unpacks it. The times of /proc/1 say when somebody last looked at it first, not when it began.
  apt_boot=$(awk '$1 == "btime" { print $2 }' /proc/stat)
  find /var/lib/dpkg/info -newermt "@$apt_boot" \( -name 'libc6.list' -o -name 'libc6:*.list' -o -name 'systemd.list' -o -name 'dbus.list' -o -name 'dbus-daemon.list' \) \
    2>/dev/null | sed 's#^.*/##; s/\.list$//; s/:.*//' | LC_ALL=C sort -u | sed 's/^/core-libs	/'
  find /var/lib/dpkg/info -newermt "@$apt_boot" \( -name 'intel-microcode.list' -o -name 'amd64-microcode.list' \) 2>/dev/null |
    sed 's#^.*/##; s/\.list$//' | LC_ALL=C sort -u | sed 's/^/microcode	/'
}
