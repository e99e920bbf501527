# --- which system is this, and is it ours to patch -----------------------------------------------------------------

# Reads the host's os-release and the signs of image-based systems; works from the pod and on the host, changes nothing.
# Sets OS_ID OS_VERSION OS_CODENAME OS_POINT OS_SIGNS HAS_SYSTEMD HOST_SHELL.
os_read() {
  os_text=$(host_sh 'for f in /etc/os-release /usr/lib/os-release; do [ -r "$f" ] && cat "$f" && break; done
    echo "OSP_POINT=$(head -n 1 /etc/debian_version 2>/dev/null)"
    signs= root= usr=
    [ -e /run/ostree-booted ] && signs="$signs ostree"
    [ -e /etc/kairos-release ] && signs="$signs kairos"
    [ -d /run/systemd/system ] && signs="$signs systemd"
    command -v snap >/dev/null 2>&1 && ! command -v dpkg >/dev/null 2>&1 && signs="$signs core"
    while read -r device mount type options rest; do
      case $mount in /) root=$options ;; /usr) usr=$options ;; esac
    done </proc/mounts
    case ,$root, in *,ro,*) signs="$signs readonly:/" ;; esac
    case ,$usr, in *,ro,*) signs="$signs readonly:/usr" ;; esac
    echo "OSP_SIGNS=$signs"' 2>/dev/null </dev/null) || os_text=
  if [ -z "$os_text" ]; then
    # No shell on the host. Its os-release can still be seen through the mounted root.
    os_text=$(cat /host/etc/os-release 2>/dev/null || cat /host/usr/lib/os-release 2>/dev/null)
    HOST_SHELL=no
  else
    HOST_SHELL=yes
  fi
  OS_ID=$(os_field ID)
  OS_VERSION=$(os_field VERSION_ID)
  OS_CODENAME=$(os_field VERSION_CODENAME)
  OS_POINT=$(os_field OSP_POINT)
  OS_SIGNS=" $(os_field OSP_SIGNS) "
  case $OS_ID in debian) ;; *) OS_POINT=$OS_VERSION ;; esac
  case $OS_POINT in '' | */*) OS_POINT=$OS_VERSION ;; esac
  case $OS_SIGNS in *' systemd '*) HAS_SYSTEMD=yes ;; *) HAS_SYSTEMD=no ;; esac
}

# One field of an os-release text; quotes go, and so does everything that has no place in such a value.
os_field() { # NAME
  printf '%s\n' "$os_text" | sed -n "s/^$1=//p" | tail -n 1 | tr -d "\"'" | tr -cd 'A-Za-z0-9._:+~()/ -'
}

# Sets FAMILY (apt, dnf or zypper), or refuses with the right way for this system.
os_judge() {
  case $OS_ID in
    talos) immutable "Talos" "talosctl upgrade --image, or strategy Replace" ;;
    flatcar | coreos) immutable "Flatcar" "its own update_engine with FLUO or kured" ;;
    bottlerocket) immutable "Bottlerocket" "its update operator brupop, or new nodes" ;;
    cos) immutable "Container-Optimized OS" "new nodes with a new image" ;;
    ubuntu-core) immutable "Ubuntu Core" "snapd" ;;
    kairos* | palette*) immutable "Kairos" "its own image upgrade" ;;
    sl-micro | sle-micro | suse-microos | opensuse-microos | opensuse-aeon | opensuse-kalpa | opensuse-leap-micro)
      immutable "$OS_ID" "transactional-update on the node, or new nodes"
      ;;
    alpine) fail NO_SECURITY_METADATA "Alpine does not mark security updates in its repositories; replace the node with a new image" ;;
    amzn)
      case $OS_VERSION in
        2023*) ;;
        *) fail UNSUPPORTED_OS "Amazon Linux $OS_VERSION has reached its end of life; replace the node with Amazon Linux 2023" ;;
      esac
      ;;
  esac
  case $OS_SIGNS in
    *' ostree '*) immutable "an ostree or bootc system" "rpm-ostree or bootc upgrade, or new nodes" ;;
    *' kairos '*) immutable "Kairos" "its own image upgrade" ;;
    *' core '*) immutable "Ubuntu Core" "snapd" ;;
    *' readonly:'*) immutable "a system with a read-only root" "its own update tool, or new nodes" ;;
  esac
  [ "$HOST_SHELL" = yes ] || fail HOST_ACCESS "the host cannot be entered: hostPID, privileged and nsenter are needed, and a shell on the host"
  case $OS_ID in
    debian) FAMILY=apt ;;
    ubuntu) FAMILY=apt ;;
    rhel | centos | rocky | almalinux | ol | fedora | amzn) FAMILY=dnf ;;
    sles | sled | sles_sap | opensuse-leap | opensuse) FAMILY=zypper ;;
    '') fail HOST_ACCESS "no os-release found on the host: is the host's mount namespace reachable (hostPID, privileged)?" ;;
    *) fail UNSUPPORTED_OS "$OS_ID ${OS_VERSION:-} is not supported (supported: Debian, Ubuntu, RHEL, Rocky, Alma, Oracle, CentOS Stream, Fedora, Amazon Linux 2023, SLES, openSUSE Leap); replace the node with a new image" ;;
  esac
  if [ "$HAS_SYSTEMD" = no ] && [ -z "$OSP_NO_UNIT" ]; then
    fail UNSUPPORTED_OS "the host does not run systemd, so the work cannot outlive its pod; replace the node with a new image"
  fi
}

immutable() { # NAME WAY
  fail UNSUPPORTED_IMMUTABLE "$1 is updated as an image, not package by package; use $2"
}

osrelease_state() { # prints what `before` and `after` of the result say; kernelNext is added when it differs
  printf '{"os":%s,"osv":%s,"kernel":%s' "$(json_text "${OS_ID:-unknown}" 32)" "$(json_text "${OS_POINT:-unknown}" 48)" "$(json_text "$(uname -r)" 64)"
  if [ -n "${KERNEL_NEXT:-}" ] && [ "$KERNEL_NEXT" != "$(uname -r)" ]; then printf ',"kernelNext":%s' "$(json_text "$KERNEL_NEXT" 64)"; fi
  printf ',"boot":"%s"}' "$(boot_id)"
}
