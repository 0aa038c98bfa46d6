#!/bin/sh
# herd as a kselftest: KTAP on stdout, exit code 0 (pass), 1 (fail) or 4 (skip).
#
#	contrib/kselftest.sh [NAME...] [herd check's options]
#
# HERD names the binary; without it, the one on the PATH or the one built here.
# kselftest reads 2 as "expected failure" and 3 as "unexpected pass", so a wrong
# command line and an invalid measurement become 1: neither may look harmless.
# To run it from a kernel tree, put a directory with this file and a Makefile
# that says `TEST_PROGS := kselftest.sh` and `include ../lib.mk` into
# tools/testing/selftests.
#
# Tried: here, with each of the codes (tests/recipes.rs); not in a kernel tree.
here=$(cd "$(dirname "$0")/.." && pwd)
for herd in "${HERD:-}" "$(command -v herd)" "$here/target/release/herd" "$here/target/debug/herd"; do
	[ -n "$herd" ] && [ -x "$herd" ] && break
	herd=
done
if [ -z "$herd" ]; then
	echo "KTAP version 1"
	echo "1..0 # SKIP no herd binary (set HERD, or run make build)"
	exit 4
fi
"$herd" check --quiet --format ktap "$@"
code=$?
case $code in
0 | 1 | 4) exit $code ;;
*)
	echo "# herd check ended with $code: 2 is a wrong command line, 3 an invalid measurement"
	exit 1
	;;
esac
