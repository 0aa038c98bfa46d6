#!/bin/sh
# Fetches the smallest kernel of every Debian suite within reach, oldest to
# newest, for `herd vm` and `make matrix`. Downloads only; installs nothing, and
# needs no root: apt runs on a configuration of its own in the cache.
#
#   contrib/kernels.sh [--rt] [SUITE...]      default: all below
#
# With --rt the smallest PREEMPT_RT kernel of each instead. The packages go to
# $HERD_KERNELS, else ~/.cache/herd/kernels; those of --rt to rt/ in it. A suite that
# cannot be reached is named and skipped; it fails only if nothing was got.
set -eu

cache=${HERD_KERNELS:-${XDG_CACHE_HOME:-$HOME/.cache}/herd/kernels}
rt=0
case ${1:-} in
--rt)
	rt=1
	cache=$cache/rt
	shift
	;;
-*)
	echo "kernels.sh: unknown option $1; usage: contrib/kernels.sh [--rt] [SUITE...]" >&2
	exit 2
	;;
esac
suites=${*:-bullseye-security bookworm trixie trixie-backports forky experimental}
mirror=${HERD_MIRROR:-http://deb.debian.org}
architecture=amd64

command -v apt-get >/dev/null || {
	echo "kernels.sh: no apt-get here; see contrib/README.md for Fedora, Arch and your own builds" >&2
	exit 2
}
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

# apt with its own lists, cache and state; signatures are checked with the keys
# of the distribution.
apt() {
	command=$1
	shift
	"$command" -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State="$work/state" -o Dir::Cache="$work/cache" \
		-o Dir::State::status="$work/status" -o APT::Architecture=$architecture \
		-o Acquire::Languages=none -o Acquire::Retries=2 -o Acquire::http::Timeout=20 \
		-o APT::Sandbox::User= -o Debug::NoLocking=1 "$@"
}

line_of() {
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	signed=
	[ -e $keys ] && signed="[signed-by=$keys] "
	case $1 in
	*-security) echo "deb $signed$mirror/debian-security $1 main" ;;
	*) echo "deb $signed$mirror/debian $1 main" ;;
	esac
}

# The smallest package of the suite that holds a kernel. From 6.19 on the kernel
# is in linux-binary or linux-base, and linux-image only points there.
smallest() {
	apt apt-cache dumpavail | awk -v rt=$rt '
		/^Package: / { name = $2 }
		/^Version: / { version = $2 }
		/^Size: / { size = $2 }
		/^$/ {
			kernel = name ~ /^linux-(image|binary|base)-[0-9]/ && name !~ /-(dbg|unsigned)/ && (name ~ /-rt-/) == rt
			if (kernel && size > 8000000 && (best == "" || size < least)) { best = name "=" version; least = size }
		}
		END { if (best != "") print best }'
}

got=0
for suite in $suites; do
	rm -rf "$work/state" "$work/cache"
	mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
	: >"$work/status"
	line_of "$suite" >"$work/sources.list"
	if ! apt apt-get update -qq >"$work/log" 2>&1; then
		echo "kernels.sh: $suite: cannot be reached: $(grep -m1 -E '^(E|W):' "$work/log" || tail -n1 "$work/log")" >&2
		continue
	fi
	package=$(smallest)
	if [ -z "$package" ]; then
		echo "kernels.sh: $suite: has no kernel package" >&2
		continue
	fi
	if (cd "$cache" && apt apt-get download -qq "$package" >"$work/log" 2>&1); then
		name=${package%%=*}
		file=$(ls -t "$cache/${name}"_*.deb | head -n1)
		echo "$suite: $file"
		got=$((got + 1))
	else
		echo "kernels.sh: $suite: $package: $(tail -n1 "$work/log")" >&2
	fi
done
[ "$got" -gt 0 ] || {
	echo "kernels.sh: no kernel could be had" >&2
	exit 1
}
