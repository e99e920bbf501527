# --- Debian and Ubuntu: options, archives, preferences --------------------------------------------------------------
#
# Selection and protection are a private preferences file, private lists and private archives: /etc/apt, holds and the host's own
# lists are never touched, so there is nothing to restore. Security archives are recognised by the fields of their signed Release
# files (apt_preferences(5)), never by the text of a sources file or by the suite's name, which changes when a release ages.

apt_preflight() {
  for apt_tool in apt-get apt apt-cache dpkg dpkg-query dpkg-deb; do
    command -v "$apt_tool" >/dev/null 2>&1 || fail UNSUPPORTED_OS "$apt_tool is missing on this $OS_ID system; install it"
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

