#!/bin/sh
# Boots the two smallest kernels that can be fetched and checks the headline in
# each: what CI runs of `herd vm`. Says SKIP and why where there is no QEMU or no
# kernel to be had; a wrong verdict in a guest fails.
#
# Tried: on Debian 12, as root, with 5.10.251 to 7.3-rc7 under TCG.
set -eu
cd "$(dirname "$0")/.."

skip() {
	echo "SKIP vm-check: $*"
	exit 0
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || skip "no qemu-system-x86_64 (Debian: qemu-system-x86)"
	(apt-get update -qq && apt-get install -y -qq --no-install-recommends qemu-system-x86) >/dev/null 2>&1 ||
		skip "qemu-system-x86 could not be installed"
fi
kernels=${HERD_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/herd/kernels}
# Twice the same release would prove less: one old suite and one new.
timeout 600 contrib/kernels.sh bullseye-security trixie-backports || skip "no kernel could be fetched"
make static
herd=target/init/$(uname -m)-unknown-linux-gnu/static/herd
# shellcheck disable=SC2046 # one word for each package
set -- $(ls -S "$kernels"/*.deb | tail -n 2)
status=0
timeout 1200 "$herd" vm herd --check --kernel "$@" >target/vm-check.ktap || status=$?
grep -E '^(not ok|ok|# Totals)' target/vm-check.ktap || true
case $status in
0) ;;
# A guest that did not come up says nothing about herd; emulators are what they are.
3 | 124) skip "a guest did not come to its end (exit code $status)" ;;
*)
	grep -B12 '^ *not ok' target/vm-check.ktap | head -n 60
	exit "$status"
	;;
esac
