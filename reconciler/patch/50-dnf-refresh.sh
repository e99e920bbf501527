# --- RHEL, Rocky, Alma, Oracle, CentOS, Fedora (dnf 4), Amazon Linux 2023: options and repositories -----------------
#
# Selection and protection are options of each dnf call and a private cache: nothing below /etc is written, and the administrator's
# own excludes and versionlock are obeyed. Metadata is read once by refresh; everything after works from the cache.

dnf_preflight() {
  # Fedora 41 and later have dnf 5 under both names; a small image may have it under its own alone.
  case $(readlink -f "$(command -v dnf || command -v dnf5)") in
    *dnf5) fail UNSUPPORTED_OS "this $OS_ID ${OS_VERSION:-} system has dnf 5; dnf 4 is supported. Use new nodes (strategy Replace), or dnf5-automatic on the node" ;;
  esac
  rpm_preflight dnf
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
    # Only a download may be ended: never dnf while it changes packages.
    # shellcheck disable=SC2086 # options are words
    ${DNF_LIMIT:+timeout -k 10 "$DNF_LIMIT"} dnf $DNF_OPTIONS "$@" </dev/null >"$dnf_out" 2>&1
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

