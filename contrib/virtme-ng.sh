#!/bin/sh
# Runs `herd check` inside a virtme-ng guest: the kernel under test on top of this
# machine's own files. The static herd needs nothing else there.
#
#   contrib/virtme-ng.sh KERNEL [EXPERIMENT...]      default: herd
#
# KERNEL is what `vng --run` takes: a bzImage, a release, or nothing built yet in a
# kernel tree (`.`). VNG_FLAGS adds flags; without KVM that is worth a try:
# VNG_FLAGS="--disable-kvm --disable-microvm".
#
# Tried: virtme-ng 1.42 (PyPI) with virtiofsd from crates.io, on Debian 12 without
# KVM, `--append no_timer_check`: Debian's 7.2.12 (cloud) gave 56 points, all passed,
# exit code 0. Debian's 6.12.107 and 6.19.8 came up to their root only with virtiofsd
# (they have no 9p), and 6.12.107 crashed there under emulation as it does in others.
# Not tried: a kernel configured with `vng --build`, which is what virtme-ng is for.
set -eu
[ $# -ge 1 ] || {
	echo "usage: contrib/virtme-ng.sh KERNEL [EXPERIMENT...]" >&2
	exit 2
}
command -v vng >/dev/null || {
	echo "virtme-ng.sh: no vng here (pip install virtme-ng, or your distribution's virtme-ng)" >&2
	exit 2
}
kernel=$1
shift
herd=${HERD:-target/init/$(uname -m)-unknown-linux-gnu/static/herd}
[ -x "$herd" ] || {
	echo "virtme-ng.sh: $herd is not there; make static builds it, HERD=... names another" >&2
	exit 2
}
herd=$(realpath "$herd")
# shellcheck disable=SC2086 # several flags
exec vng --run "$kernel" ${VNG_FLAGS:-} -- "$herd" check ${*:-herd}
