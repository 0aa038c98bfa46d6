#!/bin/sh
# Reads KTAP on stdin and reports each point to LAVA: one lava-test-set per
# experiment (kernel/experiment for several kernels), one lava-test-case per point.
# A point that could not be measured is "unknown". Also prints what it read, for
# the log.
#
# Tried: with the reports of herd and a lava-test-case that prints its arguments
# (tests/recipes.rs); not on a LAVA device.
awk '
function report(name, result) {
	# LAVA knows one level of sets.
	if (!within) {
		for (i = 1; i <= depth; i++) within = within (i > 1 ? "/" : "") subtest[i]
		if (within) system("lava-test-set start \"" within "\"")
	}
	system("lava-test-case \"" name "\" --result " result)
	points++
}
{ print; match($0, /^ */); level = RLENGTH / 2 }
$1 == "#" && $2 == "Subtest:" { subtest[depth = level] = $3 }
/^ *(not )?ok / {
	# The line of a subtest itself comes after its points, one level up.
	if (level < depth) {
		if (within) system("lava-test-set stop")
		within = ""
		depth = level
		next
	}
	bad = ($1 == "not")
	name = bad ? $4 : $3
	if ($0 ~ / # SKIP/) report(name, "skip")
	else if ($0 ~ / # ERROR/) report(name, "unknown")
	else report(name, bad ? "fail" : "pass")
}
# A check that said nothing ran nothing.
END { if (!points) report("herd-check", "fail") }
'
