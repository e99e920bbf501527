// A stand-in for systemd inside a root without one: transient units, timers, states and inhibitors, as far as the script uses them.
import type { Root } from './roots.ts';

const RUN = `#!/bin/sh
# systemd-run: a transient service in a session of its own, or a timer that is only written down.
unit= timer=
for word in "$@"; do
  case $word in
    --unit=*) unit=\${word#--unit=} ;;
    --on-active=*) timer=\${word#--on-active=} ;;
    --setenv=*) export "\${word#--setenv=}" ;;
    -*) ;;
    *) break ;;
  esac
  shift
done
state=/run/fake-systemd
mkdir -p $state
if [ -n "$timer" ]; then
  if [ -e "$state/$unit.timer" ]; then echo "Failed to start: Unit $unit.timer was already loaded" >&2; exit 1; fi
  echo "$timer $*" >"$state/$unit.timer"
  exit 0
fi
if [ -e "$state/$unit.service" ] && kill -0 "$(cat "$state/$unit.service")" 2>/dev/null; then
  echo "Failed to start transient service unit: Unit $unit.service was already loaded" >&2
  exit 1
fi
setsid sh -c 'echo $$ >"$1"; shift; "$@"' sh "$state/$unit.service" "$@" </dev/null >/dev/null 2>&1 &
while [ ! -s "$state/$unit.service" ]; do sleep 0.05; done
exit 0
`;

const CONTROL = `#!/bin/sh
# systemctl: is-active and is-enabled of what is written below /run/fake-systemd; all that it was asked for is noted.
verb=$1
shift
[ "$1" = --quiet ] && shift
state=/run/fake-systemd
echo "$verb $*" >>$state/asked
case $verb in
  is-active)
    case $1 in *.timer) [ -e "$state/$1" ] && { echo active; exit 0; } ;; esac
    if [ -s "$state/$1" ] && kill -0 "$(cat "$state/$1")" 2>/dev/null; then echo active; exit 0; fi
    grep -qx "$1" "$state/active" 2>/dev/null && { echo active; exit 0; }
    echo inactive
    exit 3
    ;;
  is-enabled) grep -qx "$1" "$state/enabled" 2>/dev/null ;;
  *) exit 1 ;;
esac
`;

const INHIBIT = '#!/bin/sh\ncat /run/fake-systemd/inhibitors 2>/dev/null\n';

/** Puts the stand-in into a root, with the units that are active and enabled from the start. */
export async function fakeSystemd(
  root: Root,
  active: readonly string[] = [],
  enabled: readonly string[] = [],
): Promise<void> {
  await root.ok('mkdir -p /run/systemd/system /run/fake-systemd');
  await root.write('/usr/bin/systemd-run', RUN, 0o755);
  await root.write('/usr/bin/systemctl', CONTROL, 0o755);
  await root.write('/usr/bin/systemd-inhibit', INHIBIT, 0o755);
  await root.write('/run/fake-systemd/active', active.map((name) => `${name}\n`).join(''));
  await root.write('/run/fake-systemd/enabled', enabled.map((name) => `${name}\n`).join(''));
}
