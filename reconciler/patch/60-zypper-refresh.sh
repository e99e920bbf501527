# --- SLES and openSUSE Leap: options and repositories ---------------------------------------------------------------
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
    ${ZYPPER_LIMIT:+timeout -k 10 "$ZYPPER_LIMIT"} zypper --non-interactive --cache-dir "$RPM_CACHE" "$@" </dev/null
}

# The same for what installs nothing. Newer zyppers (1.14.89 was seen) touch the sign for a reboot even when they only rehearse a patch that would
# ask for one: every scan would then ask for a reboot. It happens under zypper's own lock, and a sign that was there before stays.
zypper_rehearse() { # ARGUMENT...
  rehearse_sign=new rehearse_rc=0
  if [ -e /run/reboot-needed ]; then rehearse_sign=there; fi
  zypper_run "$@" || rehearse_rc=$?
  if [ "$rehearse_sign" = new ]; then rm -f /run/reboot-needed; fi
  return "$rehearse_rc"
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
      if grep -qiE 'problem:' "$2"; then fail DEPENDENCY_CONFLICT "zypper finds no way: $(grep -i 'problem:' "$2" | head -n 1 | cut -c 1-140); exclude the package, or solve it on the node"; fi
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

