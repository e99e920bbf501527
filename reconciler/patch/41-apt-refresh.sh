# --- apt: reading the repositories, and what their failures mean ----------------------------------------------------

apt_refresh() {
  apt_lists_need=102400
  if [ -n "$(find "$APT_STATE/cache" -maxdepth 1 -name '*.bin' | head -n 1)" ]; then apt_lists_need=20480; fi
  need_space "$APT_STATE/lists" "$apt_lists_need" DISK_FULL_VAR "package lists"
  : >"$TMP/space.tsv"
  apt_again=
  for apt_pause in 5 15 last; do
    apt_rc=0
    # shellcheck disable=SC2086 # options are words
    run_limited "$OSP_REFRESH_TIMEOUT" apt-get $APT_OPTIONS -o Dir::Log="$TMP" update </dev/null >"$TMP/update.out" 2>&1 || apt_rc=$?
    apt_targets
    apt_code=
    apt_failed_uris
    if grep -q 'list of sources could not be read' "$TMP/update.out"; then
      fail NO_SECURITY_SOURCE "apt cannot read its sources: $(grep '^E:' "$TMP/update.out" | head -n 1 | cut -c 4-160); mend that entry"
    fi
    if [ "$apt_rc" = 0 ] && [ ! -s "$TMP/failed.uris" ]; then
      # Where the snapshots of an archive are stands in its Release file: apt reads them only when it has read that one before.
      if [ ! -s "$TMP/unread.uris" ] || [ -n "$apt_again" ]; then break; fi
      apt_again=yes
      continue
    fi
    apt_judge_refresh
    [ -n "$apt_code" ] || break
    case $apt_code in REPO_SIGNATURE | REPO_EXPIRED | CLOCK_SKEW | REPO_AUTH | DISK_FULL_VAR) apt_pause=last ;; esac
    if [ "$apt_pause" = last ]; then fail "$apt_code" "$apt_words"; fi
    say "refresh failed ($apt_code); trying again in $apt_pause s"
    sleep "$apt_pause"
  done
  if [ -n "$OSP_SNAPSHOT" ]; then apt_check_snapshot; fi
  if [ "$OSP_SCOPE" = security ] && [ ! -s "$TMP/security.pairs" ]; then
    fail NO_SECURITY_SOURCE "no security archive of $OS_ID ${OS_CODENAME:-$OS_VERSION} among the apt sources; add it, or name your mirror's fields in OSP_APT_SECURITY_PINS"
  fi
}

# apt takes today's archive without a word where there is no snapshot of it.
apt_check_snapshot() {
  grep -F "$OSP_SNAPSHOT" "$TMP/read.uris" | cut -f 2 >"$TMP/snapshot.releases"
  while IFS='	' read -r snapshot_uri snapshot_release; do
    grep -qxF -- "$snapshot_uri" "$TMP/needed.uris" || continue
    if ! grep -qxF -- "$snapshot_release" "$TMP/snapshot.releases"; then
      fail USAGE "$snapshot_uri $snapshot_release has no snapshot $OSP_SNAPSHOT; leave OSP_SNAPSHOT out, or name the snapshot server in apt's configuration (Acquire::Snapshots::URI)"
    fi
  done <"$TMP/read.uris"
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
    apt_code=REPO_EXPIRED apt_words="$apt_where is out of date (its Valid-Until has passed); the mirror is no longer synchronised: mend it, or name another one"
  elif grep -q 'is not valid yet' "$1"; then
    apt_code=CLOCK_SKEW apt_words="$apt_where is dated in the future; the node's clock is behind ($(stamp)): set it"
  elif grep -qE 'Could not resolve|emporary failure resolving|wicked happened resolving' "$1"; then
    apt_code=REPO_DNS apt_words="the name of $apt_where cannot be resolved; look at the node's DNS"
  elif grep -qE 'timed out|Connection failed|imeout was reached' "$1"; then
    apt_code=REPO_TIMEOUT apt_words="$apt_where does not answer in time; look at the firewall, proxy and mirror"
  elif grep -qE 'Could not connect|Connection refused|Network is unreachable|No route to host|Unable to connect|annot initiate the connection|ertificate|handshake' "$1"; then
    apt_code=REPO_UNREACHABLE apt_words="$apt_where cannot be reached; look at the node's network, proxy and certificates"
  elif grep -qE '(429|50[0-9])  ' "$1"; then
    apt_code=REPO_HTTP apt_words="$apt_where answers with an error ($(grep -oE '(429|50[0-9]) +[A-Za-z ]*' "$1" | head -n 1 | tr -s ' ')); look at the mirror"
  else
    apt_code=REPO_METADATA
    apt_words="$apt_where has no usable metadata; does this mirror still carry the release, whole? $(grep -E '^E:|  404|Hash|unexpected' "$1" | head -n 1 | tr -s ' ' | cut -c 1-100)"
  fi
}

