# --- what dnf and zypper have in common: rpm itself -----------------------------------------------------------------------

# Order of rpm versions as rpmvercmp(8) has it: segments of digits or letters, ~ is older than nothing, ^ is newer.
RPM_AWK='
function rpm_segments(a, b,   x, y) {
  while (a != "" || b != "") {
    sub(/^[^A-Za-z0-9~^]+/, "", a); sub(/^[^A-Za-z0-9~^]+/, "", b)
    x = substr(a, 1, 1); y = substr(b, 1, 1)
    if (x == "~" || y == "~") { if (x != "~") return 1; if (y != "~") return -1; a = substr(a, 2); b = substr(b, 2); continue }
    if (x == "^" || y == "^") {
      if (x != "^") return x == "" ? -1 : 1
      if (y != "^") return y == "" ? 1 : -1
      a = substr(a, 2); b = substr(b, 2); continue
    }
    if (x == "" || y == "") break
    if (x ~ /[0-9]/) {
      if (y !~ /[0-9]/) return 1
      match(a, /^[0-9]+/); x = substr(a, 1, RLENGTH); a = substr(a, RLENGTH + 1); sub(/^0+/, "", x)
      match(b, /^[0-9]+/); y = substr(b, 1, RLENGTH); b = substr(b, RLENGTH + 1); sub(/^0+/, "", y)
      if (length(x) != length(y)) return length(x) > length(y) ? 1 : -1
    } else {
      if (y !~ /[A-Za-z]/) return -1
      match(a, /^[A-Za-z]+/); x = substr(a, 1, RLENGTH); a = substr(a, RLENGTH + 1)
      match(b, /^[A-Za-z]+/); y = substr(b, 1, RLENGTH); b = substr(b, RLENGTH + 1)
    }
    if (x "" != y "") return x "" > y "" ? 1 : -1
  }
  return a != "" ? 1 : (b != "" ? -1 : 0)
}
function rpm_compare(a, b,   x, y, c, i) {
  x = 0; if (i = index(a, ":")) { x = substr(a, 1, i - 1); a = substr(a, i + 1) }
  y = 0; if (i = index(b, ":")) { y = substr(b, 1, i - 1); b = substr(b, i + 1) }
  if (x + 0 != y + 0) return x + 0 > y + 0 ? 1 : -1
  x = y = ""
  if (i = index(a, "-")) { x = substr(a, i + 1); a = substr(a, 1, i - 1) }
  if (i = index(b, "-")) { y = substr(b, i + 1); b = substr(b, 1, i - 1) }
  c = rpm_segments(a, b)
  return c || x == "" || y == "" ? c : rpm_segments(x, y)
}
function rpm_key(name, arch, native) { return arch == native || arch == "noarch" || arch == "" ? name : name ":" arch }
# name-[epoch:]version-release.arch into parts: "", name, version, arch
function rpm_split(text, part,   i) {
  match(text, /\.[^.]*$/); part[4] = substr(text, RSTART + 1); text = substr(text, 1, RSTART - 1)
  match(text, /-[^-]*-[^-]*$/); part[3] = substr(text, RSTART + 1); part[2] = substr(text, 1, RSTART - 1)
  sub(/^0:/, "", part[3])
}
'

rpm_version_ge() { # A B
  [ "$1" = "$2" ] || awk -v a="$1" -v b="$2" "$RPM_AWK"'BEGIN { exit rpm_compare(a, b) < 0 }' </dev/null
}

rpm_inventory() {
  rpm -qa --qf '%{NAME}\t%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\n' |
    awk -F'\t' -v native="$RPM_NATIVE" "$RPM_AWK"'$1 != "gpg-pubkey" { sub(/^0:/, "", $3); print rpm_key($1, $2, native) "\t" $3 }' | LC_ALL=C sort
}

# Names of the packages that stand beside their older versions: kernels and their modules.
rpm_beside() {
  for beside_what in kernel 'installonlypkg(kernel)' 'installonlypkg(kernel-module)' 'installonlypkg(vm)' 'multiversion(kernel)'; do
    rpm -q --whatprovides "$beside_what" --qf '%{NAME}\n' 2>/dev/null | grep -v ' '
  done | LC_ALL=C sort -u
}

# An interrupted transaction leaves the new version of a package beside the old one.
rpm_audit() {
  if ! rpm -qa --qf '%{NAME}.%{ARCH}\t%{NAME}\n' >"$TMP/rpm.all" 2>"$TMP/rpm.err" || grep -q '^error:' "$TMP/rpm.err"; then
    echo "the rpm database cannot be read: $(head -n 1 "$TMP/rpm.err")"
    return 1
  fi
  rpm_beside >"$TMP/rpm.beside"
  awk -F'\t' 'FILENAME ~ /beside$/ { beside[$1]; next } $2 != "gpg-pubkey" && !($2 in beside) && n[$1]++ == 1 { print $1 " is there in two versions" }' \
    "$TMP/rpm.beside" "$TMP/rpm.all" >"$TMP/rpm.audit"
  cat "$TMP/rpm.audit"
  [ ! -s "$TMP/rpm.audit" ]
}

rpm_wait() {
  wait_for_lock /var/lib/rpm/.rpm.lock
  wait_for_lock /usr/lib/sysimage/rpm/.rpm.lock
}

# The last remedy for duplicates: what the interrupted transaction would have done next, taking the older version out of the database
# and off the disk. Files that the newer one has stay.
rpm_drop_duplicates() {
  rpm_audit | sed -n 's/ is there in two versions$//p' >"$TMP/duplicates"
  while read -r duplicate; do
    rpm -q "$duplicate" --qf '%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\n' | awk -F'\t' "$RPM_AWK"'
      { version[NR] = $2; full[NR] = $1 "-" $2 "." $3; sub(/-0:/, "-", full[NR]); if (NR == 1 || rpm_compare($2, version[best]) > 0) best = NR }
      END { for (i = 1; i <= NR; i++) if (i != best) print full[i] }' >"$TMP/older"
    while read -r older; do rpm -e --nodeps "$older"; done <"$TMP/older"
  done <"$TMP/duplicates"
}

# Newest kernel of the running kernel's package, by the name of its modules' directory: that is `uname -r` in every flavour.
rpm_kernel_next() {
  kernel_package=
  for kernel_file in "/lib/modules/$(uname -r)/vmlinuz" "/usr/lib/modules/$(uname -r)/vmlinuz" "/boot/vmlinuz-$(uname -r)"; do
    if [ -z "$kernel_package" ]; then kernel_package=$(rpm -qf --qf '%{NAME}\n' "$kernel_file" 2>/dev/null | grep -v ' ' | head -n 1); fi
  done
  for kernel_name in kernel-core kernel-uek-core kernel-uek kernel-default kernel; do
    if [ -z "$kernel_package" ] && rpm -q "$kernel_name" >/dev/null 2>&1; then kernel_package=$kernel_name; fi
  done
  [ -n "$kernel_package" ] || return 0
  rpm -ql "$kernel_package" 2>/dev/null | sed -n 's#^\(/usr\)*/lib/modules/\([^/]*\)/vmlinuz$#\2#p; s#^/boot/vmlinu[xz]-\(.*[^c]\)$#\1#p' |
    awk "$RPM_AWK"'NR == 1 || rpm_compare($0, best) > 0 { best = $0 } END { if (NR) printf "%s", best }'
}

# What was replaced since the boot and only a reboot brings into use.
rpm_core_signals() {
  core_boot=$(awk '$1 == "btime" { print $2 }' /proc/stat)
  rpm -q glibc systemd dbus-daemon dbus-broker dbus-1 openssl-libs libopenssl3 microcode_ctl linux-firmware ucode-intel ucode-amd \
    --qf '%{INSTALLTIME} %{NAME}\n' 2>/dev/null | grep -v 'not installed' | awk -v boot="${core_boot:-0}" '$1 > boot {
      print ($2 ~ /microcode|firmware|ucode/ ? "microcode" : "core-libs") "\t" $2 }' | LC_ALL=C sort -u
}

rpm_boot_space() {
  cut -f 1 "$TMP/plan.tsv" | grep -q '^kernel' || return 0
  boot_kib=$(find /boot -maxdepth 1 \( -name 'vmlinuz-*' -o -name 'initrd-*' -o -name 'initramfs-*' \) -exec stat -c '%s %n' {} + 2>/dev/null |
    awk '{ kind = $2 ~ /vmlinuz/ ? "k" : "i"; if ($1 > most[kind]) most[kind] = $1 } END { print int((most["k"] + most["i"]) * 1.3 / 1024) }')
  need_space /boot "$((boot_kib + 16384))" DISK_FULL_BOOT "the new kernel and its initrd"
}

# Text of librepo and curl to a code of the closed list.
rpm_classify() { # FILE
  rpm_where=$(sed -n "s/.*for repo '\([^']*\)'.*/repository \1/p; s/^Repository '\([^']*\)' is invalid.*/repository \1/p" "$1" | head -n 1)
  rpm_where=${rpm_where:-a repository}
  # What the server answered says more than the headline that there were errors.
  rpm_text=$({
    grep -iE 'curl error|status code|response: ' "$1"
    grep -iE 'error|fail|cannot|invalid' "$1"
  } | head -n 1 | sed 's#//[^/@ ]*@#//#g; s/^[ -]*//' | cut -c 1-140)
  if grep -qiE 'no space left|more space needed|not enough .*space|disk requirements' "$1"; then
    RPM_CODE=DISK_FULL_VAR RPM_WORDS="no space left: $(grep -iE 'space' "$1" | head -n 1 | cut -c 1-120); make room and try again"
    if grep -qE 'needed on the /(usr|etc|opt)?( |$)' "$1"; then RPM_CODE=DISK_FULL_ROOT; fi
    if grep -qE 'needed on the /boot' "$1"; then RPM_CODE=DISK_FULL_BOOT; fi
  elif grep -qiE 'not yet valid|is not valid yet' "$1"; then
    RPM_CODE=CLOCK_SKEW RPM_WORDS="$rpm_where has a certificate of the future; the node's clock is behind ($(stamp)): set it"
  elif grep -qiE 'GPG|signature|is not signed|public key' "$1"; then
    RPM_CODE=REPO_SIGNATURE
    RPM_WORDS="$rpm_where cannot be verified ($(grep -iE 'GPG|sign|public key' "$1" | head -n 1 | cut -c 1-100)); import the key that its gpgkey= names. No key server is asked"
  elif grep -qiE 'could ?n.t resolve|curl error .6\)|resolve host' "$1"; then
    RPM_CODE=REPO_DNS RPM_WORDS="the host name of $rpm_where cannot be resolved; look at the node's DNS"
  elif grep -qiE 'status code: (401|403|407)|response: (401|403)|permission to access|authentication' "$1"; then
    RPM_CODE=REPO_AUTH RPM_WORDS="$rpm_where refuses access ($rpm_text); look at credentials or subscription"
  elif grep -qiE 'curl error .28\)|timed? ?out|timeout' "$1"; then
    RPM_CODE=REPO_TIMEOUT RPM_WORDS="$rpm_where does not answer in time; look at the firewall, proxy and mirror"
  elif grep -qiE 'status code: (429|5[0-9][0-9])|response: 5' "$1"; then
    RPM_CODE=REPO_HTTP RPM_WORDS="$rpm_where answers with an error ($rpm_text); look at the mirror"
  elif grep -qiE 'curl error .(7|35|51|53|56|58|60|77)\)|connect|certificate|no more mirrors' "$1" && ! grep -qiE 'checksum|status code: 404' "$1"; then
    RPM_CODE=REPO_UNREACHABLE RPM_WORDS="$rpm_where cannot be reached; look at the node's network, proxy and certificates"
  else
    RPM_CODE=REPO_METADATA RPM_WORDS="$rpm_where has no usable metadata; does this mirror still carry the release, whole? $rpm_text"
  fi
}

# Only one way to choose: a package manager adds up several filters instead of narrowing by each.
rpm_preflight() {
  for rpm_tool in rpm awk "$@"; do
    command -v "$rpm_tool" >/dev/null 2>&1 || fail UNSUPPORTED_OS "$rpm_tool is missing on this $OS_ID system; install it"
  done
  if [ -n "$OSP_SEVERITY" ] && [ -n "$OSP_CVES" ]; then fail USAGE "OSP_SEVERITY and OSP_CVES together would mean either, not both; give one of them"; fi
  if [ -n "$OSP_SEVERITY$OSP_CVES" ] && [ "$OSP_SCOPE" = all ]; then fail USAGE "OSP_SEVERITY and OSP_CVES choose among security updates; they do not go with OSP_SCOPE=all"; fi
  if [ -n "$OSP_SNAPSHOT" ]; then fail USAGE "OSP_SNAPSHOT is for apt; leave it out for $OS_ID"; fi
  if [ -n "$OSP_RELEASEVER" ] && [ "$OS_ID" != amzn ]; then fail USAGE "OSP_RELEASEVER is for Amazon Linux; on $OS_ID it would be a release upgrade"; fi
  RPM_NATIVE=$(rpm --eval '%{_arch}')
  RPM_CACHE=$STATE/$FAMILY
  mkdir -p "$RPM_CACHE" || fail DISK_FULL_VAR "cannot write below $RPM_CACHE; make room there and try again"
}

# The installed packages that the selection may touch, as far as it names any.
rpm_included() {
  rpm_inventory | cut -f 1 | uniq >"$TMP/rpm.names"
  while read -r included_name; do
    if selected "$included_name"; then printf '%s\n' "$included_name"; fi
  done <"$TMP/rpm.names"
}

# Every locked package that is installed and older goes to exactly the locked version, and nothing else changes.
rpm_check_lock() {
  while IFS='	' read -r lock_name lock_version; do
    selected "$lock_name" || continue
    lock_planned=$(awk -F'\t' -v name="$lock_name" '$1 == name { print $3; exit }' "$TMP/plan.tsv")
    [ "$lock_planned" != "$lock_version" ] || continue
    if [ -n "$lock_planned" ]; then fail LOCK_MISMATCH "$lock_name would become $lock_planned, the lock says $lock_version; nothing was changed. Make a new lock"; fi
    if [ "$OSP_LOCK_MODE" = ceiling ] || "${FAMILY}_held" "$lock_name"; then continue; fi
    if grep -qF "No match for argument: ${lock_name%%:*}-$lock_version" "$TMP/resolve.out" 2>/dev/null; then
      fail LOCK_VERSION_MISSING "$lock_name $lock_version is no longer in the repositories; use a mirror that keeps old versions, or mode ceiling"
    fi
    fail LOCK_MISMATCH "$lock_name $lock_version cannot be installed together with the rest of the lock; nothing was changed. Make a new lock"
  done <"$TMP/locked.tsv"
  [ "$OSP_LOCK_MODE" = exact ] || return 0
  cut -f 1,3 "$TMP/plan.tsv" | LC_ALL=C sort | LC_ALL=C comm -23 - "$LOCK" >"$TMP/unlocked"
  if [ -s "$TMP/unlocked" ]; then fail LOCK_MISMATCH "the plan needs $(head -n 1 "$TMP/unlocked" | tr '\t' ' '), which the lock does not name; nothing was changed. Make a new lock"; fi
}

# Is every file of the plan here and intact? A damaged one is removed, so that it is fetched again.
rpm_have_files() { # FUNCTION-THAT-FINDS
  while IFS='	' read -r _ _ have_new _ have_package; do
    if [ "$have_new" = - ]; then continue; fi
    have_file=$("$1" "$have_package")
    if [ -z "$have_file" ] || ! rpm -K --nosignature "$have_file" >/dev/null 2>&1; then
      say "not here or damaged: $have_package"
      if [ -n "$have_file" ]; then rm -f "$have_file"; fi
      return 1
    fi
  done <"$TMP/planned.tsv"
}

# A run that was cut in two keeps the advisories that its first half brought.
rpm_pending_advisories() {
  cat >"$TMP/advisories.found"
  cat "$TMP/advisories.found"
  touch "$WORK/rpm.advisories"
  LC_ALL=C sort -u "$TMP/advisories.found" "$WORK/rpm.advisories" >"$TMP/advisories.all"
  keep_file "$WORK/rpm.advisories" <"$TMP/advisories.all"
}
rpm_applied_advisories() {
  awk -F'\t' 'FILENAME ~ /applied/ { applied[$1]; next } $2 in applied' "$TMP/applied.tsv" "$WORK/rpm.advisories" 2>/dev/null
}

# Packages whose own scripts failed: rpm counts those as installed.
rpm_failed_scripts() { # FILE
  {
    grep -i 'fail' "$1" | sed -n 's/^.*%[a-z]*(\([^)]*\)).*$/\1/p'
    sed -n 's/^.*[Ee]rror in .* scriptlet in rpm package \([^ ]*\).*$/\1/p' "$1"
  } | LC_ALL=C sort -u | tr '\n' ' '
}
