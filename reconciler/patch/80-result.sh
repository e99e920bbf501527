# --- the result: JSON without any tool but sh, sed, tr and awk, at most 4096 bytes ---------------------------------

RESULT_LIMIT=4096

# A JSON string of at most MAX characters. ASCII only, so that no cut can split a character.
json_text() { # TEXT MAX
  printf '"%s"' "$(printf %s "$1" | LC_ALL=C tr '\n\t' '  ' | LC_ALL=C tr -d '\000-\037\177' | LC_ALL=C tr '\200-\377' '?' |
    cut -c "1-$2" | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# Lines of text as the inside of JSON strings: ASCII without control characters, escaped.
json_plain() { # MAX
  LC_ALL=C tr '\t' ' ' | LC_ALL=C tr -d '\000-\011\013-\037\177' | LC_ALL=C tr '\200-\377' '?' | cut -c "1-$1" | sed 's/\\/\\\\/g; s/"/\\"/g'
}

# The first ITEMS lines of FILE as an array of strings.
json_lines() { # FILE ITEMS MAX
  printf '['
  if [ -s "$1" ]; then head -n "$2" "$1" | json_plain "$3" | sed 's/^/"/; s/$/"/' | paste -s -d , - | tr -d '\n'; fi
  printf ']'
}

# The first two columns of FILE as an array of pairs.
json_pairs() { # TSV ITEMS
  printf '['
  if [ -s "$1" ]; then
    head -n "$2" "$1" | awk -F'\t' '{ print substr($1, 1, 80) " " substr($2, 1, 20) }' | json_plain 101 |
      sed 's/^\([^ ]*\) \(.*\)$/["\1","\2"]/' | paste -s -d , - | tr -d '\n'
  fi
  printf ']'
}

lines_in() { # FILE
  if [ -s "$1" ]; then wc -l <"$1" | tr -d ' '; else echo 0; fi
}

# Centiseconds since boot, for durations that a changed clock cannot bend.
clock() {
  read -r clock_up _ </proc/uptime
  echo "${clock_up%.*}${clock_up#*.}"
}
seconds() { # CENTISECONDS
  printf '%d.%d' $(($1 / 100)) $(($1 % 100 / 10))
}

status_of() { # CODE
  case $(class_of "$1") in
    0)
      if [ -n "${KEPT_ON_PURPOSE:-}" ]; then
        echo Partial
      elif [ -n "${NOTHING_TO_DO:-}" ]; then
        echo UpToDate
      else
        echo Succeeded
      fi
      ;;
    10) echo Partial ;;
    20) echo Refused ;;
    *) if [ "$1" = DEADLINE ]; then echo InProgress; else echo Failed; fi ;;
  esac
}

# Packages as "name old new" lines: plain when short, gzip and base64 when that helps, else only their hash.
json_packages() { # LEVEL LIMIT-FOR-PACKAGES
  cut -f 1-3 "$PACKAGES_FILE" 2>/dev/null | tr '\t' ' ' >"$TMP/json.packages"
  if [ "$1" = full ] || { [ "$1" -lt 5 ] && [ "$(wc -c <"$TMP/json.packages")" -le 400 ]; }; then
    printf '{"enc":"plain","data":%s}' "$(json_lines "$TMP/json.packages" 100000 1000)"
  elif [ "$1" -lt 5 ] && command -v gzip >/dev/null 2>&1 && command -v base64 >/dev/null 2>&1; then
    printf '{"enc":"gz","data":"%s"}' "$(gzip -9nc <"$TMP/json.packages" | base64 | tr -d '\n')"
  else
    printf '{"enc":"omitted","sha256":"%s"}' "$(sha256sum <"$TMP/json.packages" | cut -c 1-64)"
  fi
}

# The document. LEVEL 0 has all of it within the schema's limits; each level up leaves one more part to the counts; `full` cuts nothing.
result_document() { # LEVEL
  doc_level=$1
  doc_items=20 doc_short=10
  if [ "$1" = full ]; then doc_level=0 doc_items=100000 doc_short=100000; fi
  printf '{"v":1,"run":"%s","node":%s,"mode":"%s","attempt":%s,"status":"%s","code":"%s","msg":%s' "$OSP_RUN_ID" "$(json_text "$OSP_NODE" 253)" \
    "$RESULT_MODE" "${OSP_ATTEMPT:-1}" "$(status_of "$CODE")" "$CODE" "$(json_text "$MESSAGE" 240)"
  printf ',"before":%s' "${BEFORE_STATE:-$(osrelease_state)}"
  if [ -n "${AFTER_STATE:-}" ]; then printf ',"after":%s' "$AFTER_STATE"; fi
  if [ -n "${TMP:-}" ]; then
    printf ',"n":{"pending":%s,"applied":%s,"new":%s,"kept":%s,"left":%s,"protected":%s,"cves":%s,"advisories":%s,"bytes":%s}' \
      "${N_PENDING:-0}" "${N_APPLIED:-0}" "${N_NEW:-0}" "$(lines_in "$TMP/kept.tsv")" "${N_LEFT:-0}" "${N_PROTECTED:-0}" "${N_CVES:-0}" "${N_ADVISORIES:-0}" "${BYTES:-0}"
    if [ "$doc_level" -lt 3 ]; then printf ',"kept":%s' "$(json_pairs "$TMP/kept.tsv" "$doc_items")"; fi
    if [ "$doc_level" -lt 4 ]; then printf ',"adv":%s' "$(json_lines "$TMP/adv.txt" "$doc_items" 40)"; fi
    if [ -n "${REBOOT_KNOWN:-}" ]; then
      printf ',"reboot":{"required":%s,"safe":%s,"why":%s,"pkgs":%s,"state":"%s"%s}' "$REBOOT_REQUIRED" "${REBOOT_SAFE:-true}" \
        "$(json_lines "$TMP/why.txt" 8 40)" "$(json_lines "$TMP/why-packages.txt" 10 80)" "${REBOOT_STATE:-none}" "${REBOOT_AT:+,\"at\":\"$REBOOT_AT\"}"
    fi
    if [ "$doc_level" -lt 2 ]; then printf ',"svc":%s' "$(json_lines "$TMP/svc.txt" "$doc_items" 80)"; fi
    if [ "$doc_level" -lt 1 ]; then printf ',"conf":%s' "$(json_lines "$TMP/conf.txt" "$doc_short" 160)"; fi
    printf ',"warn":%s' "$(json_lines "$TMP/warn.txt" "$doc_short" 160)"
    if [ -n "${LOCK_SHA:-}" ]; then printf ',"lock":{"in":%s,"sha":"%s"}' "${LOCK_IN:-null}" "$LOCK_SHA"; fi
    if [ -n "${PACKAGES_FILE:-}" ]; then printf ',"pkgs":%s' "$(json_packages "$1")"; fi
    if [ "$1" = full ]; then
      printf ',"plan":%s,"advisories":%s' "$(json_lines "$TMP/plan.tsv" 100000 1000)" "$(json_lines "$TMP/advisories.tsv" 100000 100000)"
    elif [ -n "${FULL_BYTES:-}" ]; then
      printf ',"full":{"bytes":%s,"sha256":"%s","path":"%s","parts":%s}' "$FULL_BYTES" "$FULL_SHA" "$FULL_PATH" "$FULL_PARTS"
    fi
  fi
  printf ',"t":{"start":"%s"' "${T_START:-$(stamp)}"
  for doc_time in refresh plan download install; do
    eval "doc_value=\${T_$doc_time:-}"
    if [ -n "$doc_value" ]; then printf ',"%s":%s' "$doc_time" "$(seconds "$doc_value")"; fi
  done
  if [ -n "${T_BEGIN:-}" ]; then printf ',"total":%s' "$(seconds $(($(clock) - T_BEGIN)))"; fi
  printf '}}\n'
}

# The longest form that fits. The order of cutting: conf, svc, kept, adv, then the packages.
result_message() {
  for message_level in 0 1 2 3 4 5; do
    message_text=$(result_document "$message_level")
    if [ "${#message_text}" -le "$RESULT_LIMIT" ]; then break; fi
  done
  printf '%s\n' "$message_text"
}

# The whole document in numbered lines for the pod's log: a container runtime splits longer ones.
result_lines() { # FILE
  gzip -9nc <"$1" | base64 | tr -d '\n' | fold -w 3000 >"$TMP/full.parts" 2>/dev/null || return 0
  echo >>"$TMP/full.parts"
  FULL_PARTS=$(lines_in "$TMP/full.parts")
  awk -v run="$OSP_RUN_ID" -v n="$FULL_PARTS" '{ print "OSPATCH", run, NR "/" n, $0 }' "$TMP/full.parts"
}

# Ends the program with a code from the closed list. Never call it in a pipe or in a command substitution.
fail() { # CODE MESSAGE
  CODE=$1
  MESSAGE=$2
  finish
}

# Every ending goes through here. The answer is complete before `exit` is written, and that file is what the front waits for.
finish() {
  trap - EXIT
  FINISH_CLASS=$(class_of "$CODE")
  if [ -n "${FINISHING:-}" ]; then exit "$FINISH_CLASS"; fi
  FINISHING=yes
  say "$RESULT_MODE: $CODE: $MESSAGE"
  case $PART in
    worker) finish_worker ;;
    *)
      finish_front "$(result_message)"
      if [ -n "$FRONT_TMP" ]; then rm -rf "$FRONT_TMP"; fi
      ;;
  esac
  exit "$FINISH_CLASS"
}

finish_worker() {
  if [ -d "${TMP:-}" ] && [ -z "${NOT_MINE:-}" ]; then
    if [ -n "${INSTALL_STARTED:-}" ] && [ -z "${COLLECTED:-}" ]; then collect_after; fi
    FULL_PATH="$WORK_RUN/full.json"
    if [ -n "${WORK:-}" ]; then FULL_PATH="$WORK/$OSP_MODE-$OSP_ATTEMPT.full.json"; fi
    result_document full >"$FULL_PATH"
    FULL_BYTES=$(wc -c <"$FULL_PATH" | tr -d ' ')
    FULL_SHA=$(sha256sum <"$FULL_PATH" | cut -c 1-64)
    FULL_PARTS=0
    if command -v gzip >/dev/null 2>&1 && command -v base64 >/dev/null 2>&1; then result_lines "$FULL_PATH" >"$WORK_RUN/full" && FULL_PARTS=$(lines_in "$WORK_RUN/full"); fi
  fi
  result_message | keep_file "$WORK_RUN/message.json"
  if [ "$OSP_MODE" = patch ] && [ -n "${WORK:-}" ] && [ "$CODE" != RUN_IN_PROGRESS ]; then
    keep_file "$WORK/patch-$OSP_ATTEMPT.json" <"$WORK_RUN/message.json"
  fi
  summary >"$WORK_RUN/summary"
  if [ -z "${NOT_MINE:-}" ]; then release; fi
  echo "$FINISH_CLASS" | keep_file "$WORK_RUN/exit"
}

finish_front() { # JSON
  printf '%s\n' "$1"
  if [ -n "$OSP_RESULT" ]; then printf '%s' "$1" >"$OSP_RESULT" 2>/dev/null || say "the result cannot be written to $OSP_RESULT"; fi
}

# The same in words, for the person who ran it by hand.
summary() {
  echo
  echo "Result:   $(status_of "$CODE") ($CODE)"
  echo "          $MESSAGE"
  if [ -n "${TMP:-}" ]; then
    if [ -s "${PACKAGES_FILE:-}" ]; then
      case $OSP_MODE in patch) echo "Updated:" ;; *) echo "Pending:" ;; esac
      awk -F'\t' '{ printf "          %-36s %s -> %s\n", $1, ($2 == "-" ? "(new)" : $2), $3 }' "$PACKAGES_FILE"
    fi
    if [ -s "$TMP/kept.tsv" ]; then
      echo "Left alone:"
      awk -F'\t' '{ printf "          %-36s %s\n", $1, $2 }' "$TMP/kept.tsv"
    fi
    if [ -s "$TMP/svc.txt" ]; then echo "Services still running the old code: $(tr '\n' ' ' <"$TMP/svc.txt")"; fi
    if [ -s "$TMP/conf.txt" ]; then echo "Configuration files kept as they were; the new version lies beside: $(tr '\n' ' ' <"$TMP/conf.txt")"; fi
    if [ -s "$TMP/warn.txt" ]; then sed 's/^/Note:     /' "$TMP/warn.txt"; fi
  fi
  if [ -n "${REBOOT_KNOWN:-}" ]; then
    if [ "$REBOOT_REQUIRED" = true ]; then echo "Reboot:   required ($(tr '\n' ' ' <"$TMP/why.txt" | sed 's/ $//'))"; else echo "Reboot:   not required"; fi
  fi
}
