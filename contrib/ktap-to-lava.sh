#!/bin/sh
# Reads KTAP on stdin and reports each point to LAVA: one lava-test-set per
# experiment, one lava-test-case per point. A point that could not be measured
# is "unknown". Also prints what it read, for the log.
#
# Tried: with the reports of herd and a lava-test-case that prints its arguments
# (tests/recipes.rs); not on a LAVA device.
awk '
function report(name, result) {
	system("lava-test-case \"" name "\" --result " result)
}
{ print }
/^  # Subtest: / { system("lava-test-set start \"" $3 "\"") }
/^  (not )?ok / {
	bad = ($1 == "not")
	name = bad ? $4 : $3
	if ($0 ~ / # SKIP/) report(name, "skip")
	else if ($0 ~ / # ERROR/) report(name, "unknown")
	else report(name, bad ? "fail" : "pass")
}
/^(not )?ok / { system("lava-test-set stop") }
/^  (not )?ok / { points++ }
# A check that said nothing ran nothing.
END { if (!points) report("herd-check", "fail") }
'
