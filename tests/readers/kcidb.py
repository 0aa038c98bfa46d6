"""Validates a report on stdin as KernelCI does, by the first and the newest schema 5."""

import json
import sys

from kcidb_io import schema

report = json.load(sys.stdin)
for version in (schema.V5_0, schema.LATEST):
    assert version.is_compatible(report), version
    version.validate(report)
# Also through its upgrade: what KernelCI stores.
upgraded = schema.LATEST.upgrade(report)
print(len(upgraded["tests"]), "tests,", len({test["id"] for test in upgraded["tests"]}), "ids")
