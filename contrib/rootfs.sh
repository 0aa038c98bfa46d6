#!/bin/sh
# Makes a root file system for LAVA, KernelCI or a QEMU by hand: a static herd and
# a static busybox in an initramfs, whose /init checks and switches off. KTAP goes
# to the console, between the lines LAVA_SIGNAL_STARTRUN and ENDRUN.
#
#   contrib/rootfs.sh HERD BUSYBOX [EXPERIMENT...] >rootfs.cpio.gz
#   qemu-system-x86_64 -m 128 -nographic -no-reboot -kernel bzImage \
#       -initrd rootfs.cpio.gz -append "console=ttyS0 quiet panic=-1"
#
# Tried: as above, with Debian's busybox-static and Linux 6.19.8
# (cloud), QEMU 7.2 without KVM, 128 MB, one CPU: `herd` gave 56 points, all
# passed, with an empty environment, no /tmp, no home and a read-only root. Not
# tried on a LAVA device.
set -eu
[ $# -ge 2 ] || {
	echo "usage: contrib/rootfs.sh HERD BUSYBOX [EXPERIMENT...] >rootfs.cpio.gz" >&2
	exit 2
}
herd=$1 busybox=$2
shift 2
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
mkdir "$root/bin" "$root/proc" "$root/sys" "$root/dev"
cp "$herd" "$root/bin/herd"
cp "$busybox" "$root/bin/busybox"
cat >"$root/init" <<EOF
#!/bin/busybox sh
busybox mount -t proc proc /proc
busybox mount -t sysfs sysfs /sys
busybox mount -t devtmpfs devtmpfs /dev
busybox ip link set lo up
busybox mount -o remount,ro /
echo '<LAVA_SIGNAL_STARTRUN herd>'
busybox env -i /bin/herd check ${*:-herd}
echo "herd exit \$?"
echo '<LAVA_SIGNAL_ENDRUN herd>'
busybox poweroff -f
EOF
# /bin/busybox is the only program before anything is mounted.
chmod 755 "$root/init" "$root/bin/herd" "$root/bin/busybox"
(cd "$root" && find . | "$root/bin/busybox" cpio -o -H newc 2>/dev/null) | gzip
