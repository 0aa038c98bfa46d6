"""Reads KTAP on stdin with tap.py, which knows TAP but no nesting: each level is
handed over by itself, as KTAP says that it is a whole set of results."""

import sys

from tap.parser import Parser


def levels(lines):
    """This level, then those in each block of indented lines, with what holds points:
    whether nothing is nested in it."""
    own, blocks, block = [], [], []
    for line in [*lines, ""]:
        if line.startswith("  "):
            block.append(line[2:])
        else:
            if block:
                blocks.append(block)
                block = []
            own.append(line)
    yield own[:-1], not blocks
    for block in blocks:
        yield from levels(block)


points = failed = skipped = 0
top_failed = None
for level, is_lowest in levels(sys.stdin.read().splitlines()):
    assert level[0] == "KTAP version 1", level[0]
    # Without a version line it does not look for YAML.
    text = "\n".join(level[1:])
    parsed = list(Parser().parse_text(text))
    unknown = [line for line in parsed if line.category == "unknown"]
    assert not unknown, [str(line) for line in unknown]
    plans = [line for line in parsed if line.category == "plan"]
    tests = [line for line in parsed if line.category == "test"]
    assert len(plans) == 1 and plans[0].expected_tests == len(tests), (plans, len(tests))
    assert [test.number for test in tests] == list(range(1, len(tests) + 1))
    if is_lowest:
        points += len(tests)
        failed += sum(not test.ok for test in tests)
        skipped += sum(bool(test.skip) for test in tests)
    if top_failed is None:
        top_failed = any(not test.ok for test in tests)
assert top_failed == (failed > 0)
print(points, "points,", failed, "failed,", skipped, "skipped")
