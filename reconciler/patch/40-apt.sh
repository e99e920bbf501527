# --- Debian and Ubuntu ----------------------------------------------------------------------------------------------
#
# Selection and protection are a private preferences file, private lists and private archives: /etc/apt, holds and the host's own
# lists are never touched, so there is nothing to restore. Security archives are recognised by the fields of their signed Release
# files (apt_preferences(5)), never by the text of a sources file or by the suite's name, which changes when a release ages.

apt_preflight() {
  for apt_tool in apt-get apt apt-cache dpkg dpkg-query dpkg-deb; do
    command -v "$apt_tool" >/dev/null 2>&1 || fail UNSUPPORTED_OS "$apt_tool is missing on this $OS_ID system"
  done
  if [ -n "$OSP_CVES$OSP_SEVERITY" ]; then
    fail USAGE "apt repositories do not say which update fixes which CVE or how severe it is; leave OSP_CVES and OSP_SEVERITY out on $OS_ID"
  fi
  APT_STATE=$STATE/apt
  mkdir -p "$APT_STATE/lists/partial" "$APT_STATE/archives/partial" "$APT_STATE/fetch" "$APT_STATE/cache" ||
    fail DISK_FULL_VAR "cannot write below $APT_STATE; make room there and try again"
  APT_NATIVE=$(dpkg --print-architecture)
  # Without the phasing switch apt defers a security fix whose version is also phased in -updates. An empty Default-Release undoes a
  # setting that would rank a whole suite above our pins. Error-Mode makes a repository that failed an error. Retries are ours: with its
  # own, apt 2.6 can wait for ever on a host that refused once.
  APT_OPTIONS="-o Dir::State::Lists=$APT_STATE/lists -o Dir::Cache::archives=$APT_STATE/archives -o Dir::Cache::pkgcache=$APT_STATE/cache/packages.bin \
    -o Dir::Cache::srcpkgcache=$APT_STATE/cache/sources.bin -o Acquire::GzipIndexes=true -o Acquire::Languages=none -o Dir::Etc::Preferences=$TMP/preferences \
    -o APT::Default-Release= -o APT::Get::Always-Include-Phased-Updates=true -o APT::Update::Error-Mode=any -o Acquire::Retries=0 \
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o DPkg::Lock::Timeout=$OSP_LOCK_TIMEOUT"
  if [ -n "$OSP_SNAPSHOT" ]; then
    # shellcheck disable=SC2086 # options are words
    apt-get $APT_OPTIONS --snapshot "$OSP_SNAPSHOT" indextargets >/dev/null 2>&1 ||
      fail USAGE "this apt does not know snapshots; leave OSP_SNAPSHOT out for this node"
    APT_OPTIONS="$APT_OPTIONS --snapshot $OSP_SNAPSHOT"
  fi
  apt_identities
  : >"$TMP/apt.extra"
  apt_preferences plan >"$TMP/preferences"
}

# apt without any trace outside our own directories; for everything but the installation itself.
apt_quiet() { # COMMAND ARGUMENT...
  apt_tool=$1
  shift
  # shellcheck disable=SC2086 # options are words
  "$apt_tool" $APT_OPTIONS -o Dir::Log="$TMP" "$@" </dev/null
}

# --- which archives ----------------------------------------------------------------------------------------------------

# Origin, label, suite and codename (globs) of the archives that carry security fixes for this very release, and of the distribution.
apt_identities() {
  : >"$TMP/apt.security"
  case $OS_ID in
    ubuntu)
      APT_ORIGIN=Ubuntu
      printf '%s\n' "Ubuntu|*|${OS_CODENAME:-*}-security|*" "UbuntuESM|*|${OS_CODENAME:-*}-infra-security|*" \
        "UbuntuESMApps|*|${OS_CODENAME:-*}-apps-security|*" >"$TMP/apt.security"
      ;;
    *)
      APT_ORIGIN=Debian
      printf '%s\n' "Debian|Debian-Security|*|${OS_CODENAME:-}*" >"$TMP/apt.security"
      ;;
  esac
  printf '%s\n' "$APT_ORIGIN|*|*|${OS_CODENAME:-}*" >"$TMP/apt.distribution"
  [ -n "$OSP_APT_SECURITY_PINS" ] || return 0
  printf '%s\n' "$OSP_APT_SECURITY_PINS" >"$TMP/apt.pins"
  while IFS= read -r apt_pin; do
    [ -n "$apt_pin" ] || continue
    apt_o='*' apt_l='*' apt_a='*' apt_n='*'
    case $apt_pin in release\ *) ;; *) fail USAGE "OSP_APT_SECURITY_PINS: a line must be \"release o=...,l=...,a=...,n=...\"" ;; esac
    printf '%s\n' "${apt_pin#release }" | tr ',' '\n' | sed 's/^ *//; s/ *$//' >"$TMP/apt.fields"
    while IFS= read -r apt_field; do
      case $apt_field in
        o=*) apt_o=${apt_field#o=} ;;
        l=*) apt_l=${apt_field#l=} ;;
        a=*) apt_a=${apt_field#a=} ;;
        n=*) apt_n=${apt_field#n=} ;;
        *) fail USAGE "OSP_APT_SECURITY_PINS: only o=, l=, a= and n= are known, not \"$apt_field\"" ;;
      esac
    done <"$TMP/apt.fields"
    printf '%s|%s|%s|%s\n' "$apt_o" "$apt_l" "$apt_a" "$apt_n" >>"$TMP/apt.security"
  done <"$TMP/apt.pins"
}

# Does an archive (origin label suite codename) match a line of FILE?
apt_matches() { # FILE ORIGIN LABEL SUITE CODENAME
  while IFS='|' read -r apt_o apt_l apt_a apt_n; do
    # shellcheck disable=SC2254 # the fields are globs
    case $2 in $apt_o) ;; *) continue ;; esac
    # shellcheck disable=SC2254
    case $3 in $apt_l) ;; *) continue ;; esac
    # shellcheck disable=SC2254
    case $4 in $apt_a) ;; *) continue ;; esac
    # shellcheck disable=SC2254
    case $5 in $apt_n) return 0 ;; esac
  done <"$1"
  return 1
}

# Sorts the archives that apt knows into security, distribution and other. Those without a Release file come by no-release-info only.
apt_targets() {
  apt_quiet apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(SUITE)|$(CODENAME)|$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    LC_ALL=C sort -u >"$TMP/targets"
  : >"$TMP/security.pairs"
  : >"$TMP/distribution.pairs"
  : >"$TMP/needed.uris"
  : >"$TMP/read.uris"
  while IFS='|' read -r target_o target_l target_a target_n target_uri target_release; do
    printf '%s\t%s\n' "${target_uri%/}" "$target_release" >>"$TMP/read.uris"
    if apt_matches "$TMP/apt.security" "$target_o" "$target_l" "$target_a" "$target_n"; then
      printf '%s\t%s\n' "$target_l" "$target_a" >>"$TMP/security.pairs"
      printf '%s\n' "${target_uri%/}" >>"$TMP/needed.uris"
    fi
    case $target_a in *-backports | *-backports-sloppy | *-proposed*) continue ;; esac
    if apt_matches "$TMP/apt.distribution" "$target_o" "$target_l" "$target_a" "$target_n"; then
      printf '%s\t%s\n' "$target_l" "$target_a" >>"$TMP/distribution.pairs"
      printf '%s\n' "${target_uri%/}" >>"$TMP/needed.uris"
    elif [ "$OSP_SCOPE" = all ] && [ "$target_o" != "$APT_ORIGIN" ]; then
      printf '%s\t%s\n' "$target_l" "$target_a" >>"$TMP/distribution.pairs"
    fi
  done <"$TMP/targets"
  apt_quiet apt-get indextargets --no-release-info --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' 2>/dev/null |
    sed 's#/*|#	#' | LC_ALL=C sort -u | grep -vxF -f "$TMP/read.uris" >"$TMP/unread.uris"
}

# --- preferences ---------------------------------------------------------------------------------------------------------

apt_stanza() { # PACKAGES PIN PRIORITY
  printf 'Package: %s\nPin: %s\nPin-Priority: %s\n\n' "$@"
}

# The pin expression of a line of apt.security or apt.distribution.
apt_release() { # ORIGIN LABEL SUITE CODENAME
  apt_text=
  for apt_field in "o=$1" "l=$2" "a=$3" "n=$4"; do
    case $apt_field in ?=\*) ;; *) apt_text="$apt_text${apt_text:+,}$apt_field" ;; esac
  done
  printf 'release %s' "${apt_text:-*}"
}

# FORM plan: what may be installed. Form pending: the same without what keeps packages back, to see what there would be.
# Form open: the same as plan, but the distribution may bring newer dependencies.
# Among stanzas for all packages the first that matches a version wins; 32767 is above anything that a user's own pin can have, and
# `a=now` is the installed version. Below 100 a version may come in anew, but never replaces an installed one.
apt_preferences() { # FORM
  if [ "$1" != pending ]; then
    apt_stanza "$PROTECTED" "release a=now" 32767
    if [ -n "$OSP_EXCLUDE" ]; then apt_stanza "$OSP_EXCLUDE" "release a=now" 32767; fi
    cat "$TMP/apt.extra"
  fi
  if [ -n "$LOCK" ] && [ "$1" != pending ]; then
    while IFS='	' read -r lock_name lock_version; do apt_stanza "$lock_name" "version $lock_version" 990; done <"$LOCK"
  elif [ "$OSP_SCOPE" = security ]; then
    while IFS='|' read -r pref_o pref_l pref_a pref_n; do
      apt_stanza "${OSP_INCLUDE:-*}" "$(apt_release "$pref_o" "$pref_l" "$pref_a" "$pref_n")" 500
    done <"$TMP/apt.security"
  fi
  apt_stanza '*' 'release a=*-backports' 30
  apt_stanza '*' 'release a=*-proposed*' 30
  apt_stanza '*' 'release a=now' 100
  apt_dependency=50
  if [ "$1" = open ]; then apt_dependency=500; fi
  if [ "$OSP_SCOPE" = all ] && [ -z "$LOCK" ]; then
    apt_stanza "${OSP_INCLUDE:-*}" "release o=$APT_ORIGIN,n=${OS_CODENAME:-}*" 500
    apt_stanza '*' "release o=$APT_ORIGIN,n=${OS_CODENAME:-}*" "$apt_dependency"
    # Another release of the same distribution never: that would be a release upgrade.
    apt_stanza '*' "release o=$APT_ORIGIN" -1
    if [ -z "$OSP_INCLUDE" ]; then apt_stanza '*' 'release *' 500; else apt_stanza "$OSP_INCLUDE" 'release *' 500; fi
  else
    apt_stanza '*' "release o=$APT_ORIGIN,n=${OS_CODENAME:-}*" "$apt_dependency"
    apt_stanza '*' "release o=$APT_ORIGIN" -1
  fi
  apt_stanza '*' 'release *' 40
  # Naming our own file hides the user's: what it says is said again, after ours.
  if [ "$1" != pending ] && [ -r /etc/apt/preferences ]; then cat /etc/apt/preferences; fi
}

# --- refresh ---------------------------------------------------------------------------------------------------------------

apt_refresh() {
  apt_lists_need=102400
  if [ -n "$(find "$APT_STATE/cache" -maxdepth 1 -name '*.bin' | head -n 1)" ]; then apt_lists_need=20480; fi
  need_space "$APT_STATE/lists" "$apt_lists_need" DISK_FULL_VAR "package lists"
  : >"$TMP/space.tsv"
  for apt_pause in 5 15 last; do
    apt_rc=0
    # shellcheck disable=SC2086 # options are words
    run_limited "$OSP_REFRESH_TIMEOUT" apt-get $APT_OPTIONS -o Dir::Log="$TMP" update </dev/null >"$TMP/update.out" 2>&1 || apt_rc=$?
    apt_targets
    apt_code=
    apt_failed_uris
    if [ "$apt_rc" = 0 ] && [ ! -s "$TMP/failed.uris" ]; then break; fi
    apt_judge_refresh
    [ -n "$apt_code" ] || break
    case $apt_code in REPO_SIGNATURE | REPO_EXPIRED | CLOCK_SKEW | REPO_AUTH | DISK_FULL_VAR) apt_pause=last ;; esac
    if [ "$apt_pause" = last ]; then fail "$apt_code" "$apt_words"; fi
    say "refresh failed ($apt_code); trying again in $apt_pause s"
    sleep "$apt_pause"
  done
  if [ "$OSP_SCOPE" = security ] && [ ! -s "$TMP/security.pairs" ]; then
    fail NO_SECURITY_SOURCE "no security archive of $OS_ID ${OS_CODENAME:-$OS_VERSION} among the apt sources; add it, or name your mirror's fields in OSP_APT_SECURITY_PINS"
  fi
}

apt_failed_uris() {
  grep -E '^(E|W|Err|Ign)' "$TMP/update.out" | grep -vE '^Ign' | grep -oE '(https?|ftp|file|copy|mirror[+a-z]*|tor[+a-z]*|cdrom):/?[^ '"'"']*' |
    sed 's#//[^/@]*@#//#' | LC_ALL=C sort -u >"$TMP/failed.uris"
}

# A third-party repository that failed is a warning. One that the selection needs is an error: sets apt_code and apt_words.
apt_judge_refresh() {
  : >"$TMP/failed.needed"
  while IFS= read -r failed_uri; do
    failed_kind=other
    while IFS= read -r needed_uri; do
      # A mirror:// list or a moved path has another address in the error than in the source: the host decides then.
      case $failed_uri in "$needed_uri"*) failed_kind=needed ;; esac
    done <"$TMP/needed.uris"
    while IFS='	' read -r unread_uri unread_release; do
      case $failed_uri in
        "$unread_uri"*)
          # Never read before. Without a base or security archive it must be that one that is missing.
          case $unread_release in *-security | */updates) failed_kind=needed ;; esac
          if [ ! -s "$TMP/distribution.pairs" ] || { [ "$OSP_SCOPE" = security ] && [ ! -s "$TMP/security.pairs" ]; }; then failed_kind=needed; fi
          ;;
      esac
    done <"$TMP/unread.uris"
    if [ "$failed_kind" = needed ]; then
      printf '%s\n' "$failed_uri" >>"$TMP/failed.needed"
    else
      warn "RepositoryUnavailable: $failed_uri (not needed for this selection)"
    fi
  done <"$TMP/failed.uris"
  if [ "$apt_rc" = 124 ] || [ "$apt_rc" = 137 ]; then
    apt_code=REPO_TIMEOUT apt_words="the repositories did not answer within $OSP_REFRESH_TIMEOUT s; look at the node's network, proxy and mirror"
    return 0
  fi
  if [ ! -s "$TMP/failed.needed" ] && [ -s "$TMP/failed.uris" ]; then return 0; fi
  # Reasons stand on the line of the address or on the next.
  grep -F -A1 -f "$TMP/failed.needed" "$TMP/update.out" >"$TMP/failed.text"
  if [ ! -s "$TMP/failed.needed" ]; then cp "$TMP/update.out" "$TMP/failed.text"; fi
  apt_classify "$TMP/failed.text"
}

# The text of apt to a code of the closed list, with the way out.
apt_classify() { # FILE
  apt_where=$(head -n 1 "$TMP/failed.needed" 2>/dev/null)
  apt_where=${apt_where:-a repository}
  if grep -qE 'No space left|Write error - write' "$1"; then
    apt_code=DISK_FULL_VAR apt_words="no space left for package lists below $APT_STATE; make room in /var and try again"
  elif grep -qE '(401|403|407)  |Unauthorized|Forbidden' "$1"; then
    apt_code=REPO_AUTH apt_words="$apt_where refuses access ($(grep -oE '(401|403|407) +[A-Za-z ]*' "$1" | head -n 1 | tr -s ' ')); look at credentials or subscription"
  elif grep -qE 'NO_PUBKEY|Missing key|is not signed|BADSIG|EXPKEYSIG|REVKEYSIG|signatures (were invalid|couldn)|Signing key on|OpenPGP signature verification' "$1"; then
    apt_key=$(grep -oE '(NO_PUBKEY|Missing key|EXPKEYSIG|BADSIG) *[0-9A-F]+' "$1" | head -n 1)
    apt_code=REPO_SIGNATURE
    apt_words="$apt_where cannot be verified (${apt_key:-no valid signature}); put the key into the file that Signed-By names. No key server is asked"
  elif grep -q 'is expired (invalid since' "$1"; then
    apt_code=REPO_EXPIRED apt_words="$apt_where is out of date (its Valid-Until has passed); the mirror is no longer synchronised"
  elif grep -q 'is not valid yet' "$1"; then
    apt_code=CLOCK_SKEW apt_words="$apt_where is dated in the future; the node's clock is behind ($(stamp))"
  elif grep -qE 'Could not resolve|emporary failure resolving|wicked happened resolving' "$1"; then
    apt_code=REPO_DNS apt_words="the name of $apt_where cannot be resolved; look at the node's DNS"
  elif grep -qE 'timed out|Connection failed|imeout was reached' "$1"; then
    apt_code=REPO_TIMEOUT apt_words="$apt_where does not answer in time; look at the firewall, proxy and mirror"
  elif grep -qE 'Could not connect|Connection refused|Network is unreachable|No route to host|Unable to connect|annot initiate the connection|ertificate|handshake' "$1"; then
    apt_code=REPO_UNREACHABLE apt_words="$apt_where cannot be reached; look at the node's network, proxy and certificates"
  elif grep -qE '(429|50[0-9])  ' "$1"; then
    apt_code=REPO_HTTP apt_words="$apt_where answers with an error ($(grep -oE '(429|50[0-9]) +[A-Za-z ]*' "$1" | head -n 1 | tr -s ' '))"
  else
    apt_code=REPO_METADATA
    apt_words="$apt_where has no usable metadata; does this mirror still carry the release, whole? $(grep -E '^E:|  404|Hash|unexpected' "$1" | head -n 1 | tr -s ' ' | cut -c 1-100)"
  fi
}

# --- plan --------------------------------------------------------------------------------------------------------------------

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
    fail PLAN_VIOLATION "the plan would take $(head -n 1 "$TMP/foreign.tsv" | awk -F'\t' '{ print $1 " " $3 " from " $4 }'), which is outside the selection; nothing was changed"
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
    if [ -n "$lock_planned" ]; then fail LOCK_MISMATCH "$lock_name would become $lock_planned, the lock says $lock_version; nothing was changed"; fi
    if [ "$OSP_LOCK_MODE" = ceiling ]; then continue; fi
    if apt_quiet apt-cache madison "$lock_name" 2>/dev/null | awk '{ print $3 }' | grep -qxF -- "$lock_version"; then
      fail LOCK_MISMATCH "$lock_name $lock_version cannot be installed together with the rest of the lock; nothing was changed"
    fi
    fail LOCK_VERSION_MISSING "$lock_name $lock_version is no longer in the repositories; use a snapshot or a mirror that keeps old versions, or mode ceiling"
  done <"$TMP/locked.tsv"
  [ "$OSP_LOCK_MODE" = exact ] || return 0
  cut -f 1,3 "$TMP/plan.tsv" | LC_ALL=C sort | LC_ALL=C comm -23 - "$LOCK" >"$TMP/unlocked"
  if [ -s "$TMP/unlocked" ]; then fail LOCK_MISMATCH "the plan needs $(head -n 1 "$TMP/unlocked" | tr '\t' ' '), which the lock does not name; nothing was changed"; fi
}

# --- download ------------------------------------------------------------------------------------------------------------------

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
    fail DOWNLOAD_FAILED "the lists do not name an archive for every planned package: $(grep '^E:' "$TMP/archives.err" | head -n 1)"
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
    # shellcheck disable=SC2086 # one word per package
    (cd "$APT_STATE/fetch" && run_limited "$OSP_DOWNLOAD_TIMEOUT" apt-get $APT_OPTIONS -o Dir::Log="$TMP" download $apt_missing) \
      </dev/null >"$TMP/download.out" 2>&1 || say "download: $(grep '^E:' "$TMP/download.out" | head -n 1)"
  done
  if grep -q 'No space left' "$TMP/download.out"; then fail DISK_FULL_VAR "no space left for packages below $APT_STATE; make room in /var and try again"; fi
  fail DOWNLOAD_FAILED "not all packages could be fetched and verified:$apt_missing; $(grep '^E:' "$TMP/download.out" | head -n 1 | cut -c 1-100)"
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
    fail DISK_FULL_VAR "$(grep -o 'You don.*' "$TMP/install.out" | head -n 1)"
  elif grep -q 'No space left on device' "$TMP/install.out"; then
    fail INSTALL_FAILED "a disk ran full during the installation ($apt_bad); free space and start again, the half-done is repaired first"
  elif [ -n "$apt_bad" ]; then
    fail SCRIPT_FAILED "a maintainer script failed: $apt_bad- see the log; a new attempt configures the rest again, or put the old version back"
  elif grep -qE 'nmet dependencies|remove is disabled' "$TMP/install.out"; then
    fail DEPENDENCY_CONFLICT "the plan no longer fits the installed packages; somebody changed them meanwhile"
  elif grep -q 'nable to fetch some archives' "$TMP/install.out"; then
    fail DOWNLOAD_FAILED "packages are missing that the download did not bring; run download again"
  fi
  fail INSTALL_FAILED "apt-get failed: $(grep '^E:' "$TMP/install.out" | tail -n 1)"
}

# --- state of the package database ------------------------------------------------------------------------------------------------

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
  # dpkg writes a package's file list when it unpacks it; process 1 began with the boot.
  find /var/lib/dpkg/info -newer /proc/1 \( -name 'libc6.list' -o -name 'libc6:*.list' -o -name 'systemd.list' -o -name 'dbus.list' -o -name 'dbus-daemon.list' \) \
    2>/dev/null | sed 's#^.*/##; s/\.list$//; s/:.*//' | LC_ALL=C sort -u | sed 's/^/core-libs	/'
  find /var/lib/dpkg/info -newer /proc/1 \( -name 'intel-microcode.list' -o -name 'amd64-microcode.list' \) 2>/dev/null |
    sed 's#^.*/##; s/\.list$//' | LC_ALL=C sort -u | sed 's/^/microcode	/'
}
