# --- by hand, on the very host it runs on ----------------------------------------------------------------------------

usage() {
  cat <<TEXT
Usage: sudo sh os-patch.sh [--scan | --dry-run | --reboot] [--all]

Brings the security updates of this system's own distribution onto it. Kubernetes packages and the container runtime are left alone.

  (nothing)   download and install; say whether a reboot is required
  --reboot    the same, and reboot afterwards if one is required
  --scan      only look; nothing is changed
  --dry-run   like --scan, with the checks of a real run
  --all       all updates of the distribution, not only security

Settings such as OSP_EXCLUDE="name glob*" are taken from the environment. Log: /var/log/os-patch.log
Exit: 0 done, 10 some fixes left, 20 refused, 30 try later, 40 precondition, 50 failed while changing, 60 reboot, 1 other.
TEXT
}

by_hand() {
  hand_action=patch hand_reboot=no
  : "${OSP_SCOPE:=security}"
  for argument in "$@"; do
    case $argument in
      --scan | --dry-run) hand_action=scan ;;
      --reboot) hand_reboot=yes ;;
      --all) OSP_SCOPE=all ;;
      --help | -h)
        usage
        exit 0
        ;;
      *)
        usage >&2
        exit 20
        ;;
    esac
  done
  if [ "$(id -u)" != 0 ]; then
    echo "os-patch: it must run as root (sudo sh os-patch.sh)" >&2
    exit 20
  fi
  hand_log=/var/log/os-patch.log
  OSP_RUN_ID="manual-$(date -u +%Y%m%d-%H%M%S)-$$"
  OSP_NODE=$(uname -n | tr -cd 'A-Za-z0-9._-')
  export OSP_RUN_ID OSP_NODE OSP_SCOPE OSP_ATTEMPT=1
  hand_class=0
  case $hand_action in
    scan) hand_step scan ;;
    patch) hand_step download && hand_step patch ;;
  esac
  if [ "$hand_reboot" = yes ] && [ "$hand_class" -le 10 ] && [ -e "$RUNTIME/$OSP_RUN_ID/patch-1/reboot-required" ]; then
    OSP_EXPECT_BOOT_ID=$(boot_id)
    export OSP_EXPECT_BOOT_ID
    hand_step reboot
  fi
  exit "$hand_class"
}

# One mode, as its own process, with its words on the terminal and in the log. Returns 0 when the next may follow.
hand_step() { # MODE
  echo "$(stamp) os-patch $1, run $OSP_RUN_ID" >>"$hand_log"
  { OSP_MODE=$1 sh "$SELF" --here; echo $? >"$RUNTIME-hand.$$"; } 2>&1 | grep -v -e '^OSPATCH ' -e '^{"v":1' | tee -a "$hand_log"
  hand_class=$(cat "$RUNTIME-hand.$$")
  rm -f "$RUNTIME-hand.$$"
  tee -a "$hand_log" 2>/dev/null <"$RUNTIME/$OSP_RUN_ID/$1-1/summary"
  [ "$hand_class" -le 10 ]
}

