# --- apt: download, space, installation -----------------------------------------------------------------------------

# File name, size and hash, from the signed lists, of every archive that the plan needs.
apt_archives() {
  if [ -e "$TMP/archives.tsv" ] && cmp -s "$TMP/plan.tsv" "$TMP/archives.plan"; then return 0; fi
  cp "$TMP/plan.tsv" "$TMP/archives.plan"
  : >"$TMP/archives.tsv"
  [ -s "$TMP/plan.tsv" ] || return 0
  # shellcheck disable=SC2046 # one word per package
  apt_quiet apt-get --print-uris download $(awk -F'\t' '{ print $1 "=" $3 }' "$TMP/plan.tsv") 2>"$TMP/archives.err" |
    sed -n "s/^'[^']*' \([^ ]*\) \([0-9]*\) \([A-Z0-9]*\):\([0-9a-f]*\)\$/\1	\2	\3	\4/p" >"$TMP/archives.tsv"
  if [ "$(lines_in "$TMP/archives.tsv")" -ne "$(lines_in "$TMP/plan.tsv")" ]; then
    fail DOWNLOAD_FAILED "the lists do not name an archive for every planned package; run download again: $(grep '^E:' "$TMP/archives.err" | head -n 1)"
  fi
}

apt_intact() { # DIRECTORY FILE KIND HASH
  [ -f "$1/$2" ] || return 1
  case $3 in
    SHA256) [ "$(sha256sum <"$1/$2" | cut -d ' ' -f 1)" = "$4" ] ;;
    SHA512) [ "$(sha512sum <"$1/$2" | cut -d ' ' -f 1)" = "$4" ] ;;
    *) return 1 ;;
  esac
}

apt_have_downloads() {
  apt_archives
  while IFS='	' read -r have_file _ have_kind have_hash; do
    if ! apt_intact "$APT_STATE/archives" "$have_file" "$have_kind" "$have_hash"; then
      say "not here or damaged: $have_file"
      rm -f "$APT_STATE/archives/$have_file"
      return 1
    fi
  done <"$TMP/archives.tsv"
}

apt_download() {
  apt_archives
  BYTES=$(awk -F'\t' '{ n += $2 } END { printf "%.0f\n", n }' "$TMP/archives.tsv")
  # apt's unprivileged user fetches into a directory of its own; only what matches the signed hash moves on.
  chown _apt "$APT_STATE/fetch" 2>/dev/null || :
  for apt_pause in 5 15 last; do
    apt_missing=
    while IFS='	' read -r get_file _ get_kind get_hash; do
      if apt_intact "$APT_STATE/archives" "$get_file" "$get_kind" "$get_hash"; then continue; fi
      if apt_intact "$APT_STATE/fetch" "$get_file" "$get_kind" "$get_hash"; then
        chown root: "$APT_STATE/fetch/$get_file"
        mv -f "$APT_STATE/fetch/$get_file" "$APT_STATE/archives/$get_file"
        continue
      fi
      get_name=$(printf %s "${get_file%%_*}" | sed 's/%3a/:/')
      apt_missing="$apt_missing $(awk -F'\t' -v name="$get_name" '{ n = $1; sub(/:.*/, "", n) } n == name { print $1 "=" $3 }' "$TMP/plan.tsv")"
    done <"$TMP/archives.tsv"
    if [ -z "$apt_missing" ]; then
      keep_file "$APT_STATE/archives.tsv" <"$TMP/archives.tsv"
      sync
      return 0
    fi
    if [ "$apt_pause" = last ]; then break; fi
    if [ -n "${apt_tried:-}" ]; then sleep "$apt_pause"; fi
    apt_tried=yes
    apt_rc=0
    # shellcheck disable=SC2086 # one word per package
    (cd "$APT_STATE/fetch" && run_limited "$OSP_DOWNLOAD_TIMEOUT" apt-get $APT_OPTIONS -o Dir::Log="$TMP" download $apt_missing) \
      </dev/null >"$TMP/download.out" 2>&1 || apt_rc=$?
    if [ "$apt_rc" = 124 ] || [ "$apt_rc" = 137 ]; then echo "E: the packages did not come within $OSP_DOWNLOAD_TIMEOUT s" >>"$TMP/download.out"; fi
    if [ "$apt_rc" != 0 ]; then say "download: $(grep '^E:' "$TMP/download.out" | tail -n 1)"; fi
  done
  if grep -q 'No space left' "$TMP/download.out"; then fail DISK_FULL_VAR "no space left for packages below $APT_STATE; make room in /var and try again"; fi
  fail DOWNLOAD_FAILED "not all packages could be fetched and verified; look at the mirror and run download again: $(grep '^E:' "$TMP/download.out" | tail -n 1 | cut -c 4-100);$apt_missing"
}

apt_space() {
  [ -s "$TMP/plan.tsv" ] || return 0
  apt_archives
  apt_bytes=0
  while IFS='	' read -r space_file space_size _; do
    [ -f "$APT_STATE/archives/$space_file" ] || apt_bytes=$((apt_bytes + space_size))
  done <"$TMP/archives.tsv"
  need_space "$APT_STATE/archives" "$((apt_bytes / 1024 + 1024))" DISK_FULL_VAR "packages to download"
  # Growth, and the largest package once more: dpkg unpacks the new files beside the old ones.
  # shellcheck disable=SC2046 # one word per package
  apt_quiet apt-cache show $(awk -F'\t' '{ print $1 "=" $3 }' "$TMP/plan.tsv") 2>/dev/null |
    awk '/^Package: / { name = $2 } /^Installed-Size: / { size[name] = $2 } END { for (n in size) { sum += size[n]; if (size[n] > max) max = size[n] } printf "%.0f %.0f\n", sum, max }' >"$TMP/sizes"
  read -r size_new size_most <"$TMP/sizes"
  # shellcheck disable=SC2046
  size_old=$(dpkg-query -W -f '${Installed-Size}\n' $(awk -F'\t' '$2 != "-" { print $1 }' "$TMP/plan.tsv") 2>/dev/null | awk '{ n += $1 } END { printf "%.0f\n", n }')
  if [ "$size_new" -lt "$size_old" ]; then size_new=$size_old; fi
  need_space /usr "$((size_new - size_old + size_most + 20480))" DISK_FULL_ROOT "packages to install"
  grep -q '^linux-image' "$TMP/plan.tsv" || return 0
  # A new kernel and its initrd: as large as the newest ones here, and some more.
  boot_kib=$(find /boot -maxdepth 1 \( -name 'vmlinuz-*' -o -name 'initrd.img-*' \) -exec stat -c '%s %n' {} + 2>/dev/null |
    awk '{ kind = $2 ~ /vmlinuz/ ? "k" : "i"; if ($1 > most[kind]) most[kind] = $1 } END { printf "%.0f\n", (most["k"] + most["i"]) * 1.3 / 1024 }')
  need_space /boot "$((boot_kib + 16384))" DISK_FULL_BOOT "the new kernel and its initrd"
}

# --- install -------------------------------------------------------------------------------------------------------------------

# No question can be asked and no service is restarted by needrestart: both have hung nodes or cut their network.
apt_change() { # COMMAND ARGUMENT...
  env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l UCF_FORCE_CONFFOLD=1 HOME=/root LC_ALL=C.UTF-8 "$@" </dev/null
}

apt_install() {
  apt_log_from=$(wc -c <"$WORK_RUN/log")
  # shellcheck disable=SC2086 # options are words
  if apt_change apt-get $APT_OPTIONS -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 \
    -y --no-install-recommends --no-remove --no-download --with-new-pkgs upgrade; then return 0; fi
  tail -c +"$((apt_log_from + 1))" "$WORK_RUN/log" >"$TMP/install.out"
  apt_bad=$(sed -n 's/^.*rror processing package \([^ ]*\) .*$/\1/p' "$TMP/install.out" | LC_ALL=C sort -u | tr '\n' ' ')
  if grep -qE 'Unable to acquire the dpkg frontend lock|Could not get lock|frontend lock was locked' "$TMP/install.out"; then
    fail PKG_LOCK_TIMEOUT "$(grep -oE 'held by process [0-9]+ \([^)]*\)' "$TMP/install.out" | tail -n 1 | sed 's/^/the package lock is /') after $OSP_LOCK_TIMEOUT s; wait for it to end and try again"
  elif grep -q 'enough free space in' "$TMP/install.out"; then
    fail DISK_FULL_VAR "$(grep -o 'You don.*' "$TMP/install.out" | head -n 1 | cut -c 1-140); make room there and try again"
  elif grep -q 'No space left on device' "$TMP/install.out"; then
    fail INSTALL_FAILED "a disk ran full during the installation ($apt_bad); free space and start again, the half-done is repaired first"
  elif [ -n "$apt_bad" ]; then
    fail SCRIPT_FAILED "a maintainer script failed: $apt_bad- see the log; a new attempt configures the rest again, or put the old version back"
  elif grep -qE 'nmet dependencies|remove is disabled' "$TMP/install.out"; then
    fail DEPENDENCY_CONFLICT "the plan no longer fits the installed packages; somebody changed them meanwhile. Run download again, then patch"
  elif grep -q 'nable to fetch some archives' "$TMP/install.out"; then
    fail DOWNLOAD_FAILED "packages are missing that the download did not bring; run download again"
  fi
  fail INSTALL_FAILED "apt-get failed: $(grep '^E:' "$TMP/install.out" | tail -n 1 | cut -c 1-140); see the log. The next attempt repairs and goes on"
}

