# --- the need of a reboot, the reboot, and the look afterwards ------------------------------------------------------

# Is a reboot needed, why, and would the node come back? Sets REBOOT_REQUIRED REBOOT_SAFE KERNEL_NEXT and writes $TMP/why.txt.
reboot_need() {
  : >"$TMP/why.tsv"
  KERNEL_NEXT=$("${FAMILY}_kernel_next")
  if [ -n "$KERNEL_NEXT" ] && [ "$KERNEL_NEXT" != "$(uname -r)" ] && "${FAMILY}_version_ge" "$KERNEL_NEXT" "$(uname -r)"; then
    printf 'kernel\tkernel %s\n' "$KERNEL_NEXT" >>"$TMP/why.tsv"
  fi
  if [ -e /run/reboot-required ]; then
    printf 'sentinel\t-\n' >>"$TMP/why.tsv"
    if [ -s /run/reboot-required.pkgs ]; then sed 's/^/sentinel	/' /run/reboot-required.pkgs >>"$TMP/why.tsv"; fi
  fi
  if [ -e /run/reboot-needed ]; then printf 'sentinel\t-\n' >>"$TMP/why.tsv"; fi
  "${FAMILY}_reboot_signals" >"$TMP/signals.tsv"
  if [ "$OSP_REBOOT_POLICY" = kernel+core ]; then
    cat "$TMP/signals.tsv" >>"$TMP/why.tsv"
  else
    grep -v '^core-libs	' "$TMP/signals.tsv" >>"$TMP/why.tsv"
  fi
  cut -f 1 "$TMP/why.tsv" | awk '!seen[$0]++' >"$TMP/why.txt"
  cut -f 2 "$TMP/why.tsv" | grep -vx -e - -e '' | awk '!seen[$0]++' >"$TMP/why-packages.txt"
  REBOOT_KNOWN=yes REBOOT_REQUIRED=false REBOOT_SAFE=true
  rm -f "$WORK_RUN/reboot-required"
  if [ -s "$TMP/why.txt" ]; then
    REBOOT_REQUIRED=true
    touch "$WORK_RUN/reboot-required"
  fi
  boot_danger >"$TMP/danger"
  if [ -s "$TMP/danger" ]; then
    REBOOT_SAFE=false
    warn "RebootUnsafe: $(head -n 1 "$TMP/danger")"
  fi
}

# What speaks against a reboot: one line each. A full /boot leaves a new kernel without its initrd, and such a node may not come back.
boot_danger() {
  "${FAMILY}_audit" >"$TMP/audit" || echo "the package database is not clean: $(head -n 1 "$TMP/audit")"
  danger_initrds=$(find /boot -maxdepth 1 \( -name 'initrd*' -o -name 'initramfs*' \) 2>/dev/null | head -n 1)
  [ -n "$danger_initrds" ] || return 0
  for danger_kernel in ${KERNEL_NEXT:-}; do
    [ -e "/boot/vmlinuz-$danger_kernel" ] || continue
    if [ ! -s "/boot/initrd.img-$danger_kernel" ] && [ ! -s "/boot/initramfs-$danger_kernel.img" ] && [ ! -s "/boot/initrd-$danger_kernel" ]; then
      echo "kernel $danger_kernel has no initrd in /boot; free space there, then run: update-initramfs -u -k $danger_kernel (or dracut)"
    fi
  done
}

# Services that still run code which was replaced. They are named, never restarted: the one may be containerd, the network or the kubelet.
services_to_restart() {
  # needrestart also knows scripts whose interpreter or modules were replaced. Its word counts when it came to its end.
  if command -v needrestart >/dev/null 2>&1 && run_limited 60 needrestart -b -r l </dev/null >"$TMP/needrestart" 2>/dev/null &&
    grep -q '^NEEDRESTART-VER' "$TMP/needrestart"; then
    sed -n 's/^NEEDRESTART-SVC: *//p' "$TMP/needrestart" | LC_ALL=C sort -u >"$TMP/svc.txt"
    return 0
  fi
  # Programs and libraries in memory whose file is gone, and the service by its control group.
  find /proc -maxdepth 2 -path '/proc/[0-9]*/maps' -exec grep -lsE '^[^ ]+ ..x. .* /(usr|lib[^/]*|s?bin|opt)/.* \(deleted\)$' {} + 2>/dev/null >"$TMP/stale"
  while read -r stale_maps; do cat "${stale_maps%/maps}/cgroup" 2>/dev/null; done <"$TMP/stale" | services_of | LC_ALL=C sort -u >"$TMP/svc.txt"
}

# The service in each line of /proc/PID/cgroup. A service may have control groups below its own (systemd-udevd.service/udev); containers
# and sessions are no services, also where a runtime puts its pods below its own service.
services_of() {
  awk '/kubepods|cri-containerd|crio-|libpod|docker[-\/]|machine\.slice|lxc/ { next }
    { sub(/^[^:]*:[^:]*:/, ""); n = split($0, part, "/"); name = ""
      if (part[2] != "system.slice" && part[2] != "user.slice") next
      for (i = 3; i <= n; i++) if (part[i] ~ /\.service$/) name = part[i]; else if (part[i] ~ /\.scope$/) name = ""
      if (name != "") print name }'
}

mode_reboot() {
  if [ "$(boot_id)" != "$OSP_EXPECT_BOOT_ID" ]; then
    REBOOT_STATE=already-done CODE=OK MESSAGE="the node has booted since; nothing to do"
    reboot_need
    return 0
  fi
  reboot_need
  REBOOT_STATE=refused
  if [ "$REBOOT_SAFE" = false ]; then fail REBOOT_UNSAFE "not rebooted: $(head -n 1 "$TMP/danger")"; fi
  if systemctl is-active --quiet "$UNIT-reboot.timer" 2>/dev/null; then
    REBOOT_STATE=scheduled CODE=OK MESSAGE="the reboot is already scheduled"
    return 0
  fi
  reboot_blocked
  reboot_count
  reboot_schedule
}

# Other package work, and whoever asked systemd not to shut down.
reboot_blocked() {
  for reboot_lock in /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock; do
    reboot_holder=$(lock_holder "$reboot_lock")
    if [ -n "$reboot_holder" ]; then fail REBOOT_BLOCKED "not rebooted: process $reboot_holder is changing packages ($reboot_lock); try again when it has ended"; fi
  done
  if read -r reboot_zypp 2>/dev/null </run/zypp.pid && [ -n "$reboot_zypp" ] && [ -d "/proc/$reboot_zypp" ]; then
    fail REBOOT_BLOCKED "not rebooted: zypper is at work (process $reboot_zypp); try again when it has ended"
  fi
  reboot_inhibitor=$(run_limited 10 systemd-inhibit --list --no-pager --no-legend 2>/dev/null | grep -E 'shutdown.* block *$' | head -n 1)
  if [ -n "$reboot_inhibitor" ]; then
    fail REBOOT_BLOCKED "not rebooted: $(printf %s "$reboot_inhibitor" | tr -s ' ') holds an inhibitor; end it (systemd-inhibit --list) and try again"
  fi
}

reboot_count() {
  awk -v since="$(($(now) - 86400))" '$1 >= since' "$STATE/reboots" 2>/dev/null >"$TMP/reboots"
  if [ "$(lines_in "$TMP/reboots")" -ge "$OSP_MAX_REBOOTS" ]; then
    fail REBOOT_BLOCKED "not rebooted: $(lines_in "$TMP/reboots") reboots in 24 hours already, the limit is $OSP_MAX_REBOOTS; find out why it is needed again"
  fi
}

# A timer of the host, so that this answer is out before the node goes down. What is written here is on disk before it is asked for.
reboot_schedule() {
  REBOOT_AT=$(date -u -d "@$(($(now) + OSP_REBOOT_DELAY))" +%Y-%m-%dT%H:%M:%SZ)
  { cat "$TMP/reboots"; echo "$(now) $OSP_RUN_ID $OSP_EXPECT_BOOT_ID"; } | keep_file "$STATE/reboots"
  printf '{"boot":"%s","at":"%s"}\n' "$OSP_EXPECT_BOOT_ID" "$REBOOT_AT" | keep_file "$WORK/reboot.json"
  sync
  if ! systemd-run --quiet --on-active="${OSP_REBOOT_DELAY}s" --timer-property=AccuracySec=1s --unit="$UNIT-reboot" systemctl reboot >"$TMP/schedule" 2>&1; then
    keep_file "$STATE/reboots" <"$TMP/reboots"
    fail REBOOT_FAILED "systemd would not schedule the reboot: $(tail -n 1 "$TMP/schedule" | cut -c 1-120); look at: systemctl list-jobs, journalctl -b"
  fi
  REBOOT_STATE=scheduled CODE=OK MESSAGE="the node reboots at $REBOOT_AT"
}

mode_verify() {
  if [ -n "$OSP_EXPECT_BOOT_ID" ] && [ "$(boot_id)" = "$OSP_EXPECT_BOOT_ID" ]; then
    fail VERIFY_BOOT_ID "the node has not rebooted: its boot id is still $OSP_EXPECT_BOOT_ID; look at its console, and for what holds a shutdown back (systemctl list-jobs)"
  fi
  "${FAMILY}_audit" >"$TMP/audit" || fail PKG_DB_BROKEN "the package database is not clean: $(head -n 1 "$TMP/audit" | cut -c 1-120); $(repair_way)"
  reboot_need
  inventory_counts
  AFTER_STATE=$(osrelease_state)
  if [ -s "$WORK/before.state" ]; then BEFORE_STATE=$(cat "$WORK/before.state"); fi
  verify_packages
  if [ -n "$OSP_EXPECT_BOOT_ID" ] && grep -qx kernel "$TMP/why.txt"; then
    fail VERIFY_KERNEL "after the reboot the node runs kernel $(uname -r), not $KERNEL_NEXT; look at the boot loader's default entry"
  fi
  verify_kubelet
  CODE=OK MESSAGE="verified: kernel $(uname -r), $(lines_in "$TMP/verified.tsv") updated packages in place, protected packages unchanged"
  reboot_words
}

# Each package that the run brought is there in that version or a newer one, and no protected package differs from before the run.
verify_packages() {
  : >"$TMP/verified.tsv"
  [ -s "$WORK/before.tsv" ] && [ -s "$WORK/after.tsv" ] || return 0
  LC_ALL=C comm -13 "$WORK/before.tsv" "$WORK/after.tsv" >"$TMP/verified.tsv"
  while IFS='	' read -r verify_name verify_version; do
    verify_there=no
    awk -F'\t' -v name="$verify_name" '$1 == name { print $2 }' "$TMP/inventory.tsv" >"$TMP/verify.versions"
    while read -r verify_now; do
      if "${FAMILY}_version_ge" "$verify_now" "$verify_version"; then verify_there=yes; fi
    done <"$TMP/verify.versions"
    if [ "$verify_there" = no ]; then
      fail VERIFY_PENDING "$verify_name is no longer at $verify_version (now: $(tr '\n' ' ' <"$TMP/verify.versions")); something put it back after the patch: find out what, then patch again"
    fi
  done <"$TMP/verified.tsv"
  LC_ALL=C comm -3 "$WORK/before.tsv" "$TMP/inventory.tsv" | sed 's/^	//' >"$TMP/verify.changed"
  while IFS='	' read -r verify_name verify_version; do
    if protected "$verify_name"; then
      fail VERIFY_PACKAGES "$verify_name, which is protected, is not what it was before the patch ($verify_version differs); find out who changed it"
    fi
  done <"$TMP/verify.changed"
}

# The node agent must run again; whichever this node has.
verify_kubelet() {
  [ -d /run/systemd/system ] && command -v systemctl >/dev/null 2>&1 || return 0
  for agent in kubelet k3s k3s-agent rke2-server rke2-agent snap.microk8s.daemon-kubelite; do
    systemctl is-enabled --quiet "$agent.service" 2>/dev/null || continue
    agent_until=$(($(now) + OSP_AGENT_TIMEOUT))
    until systemctl is-active --quiet "$agent.service"; do
      if [ "$(now)" -ge "$agent_until" ]; then fail VERIFY_KUBELET "$agent.service is not active; look at: journalctl -u $agent"; fi
      sleep 2
    done
  done
}
