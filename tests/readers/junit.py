"""Validates JUnit XML on stdin by the schema given as argument."""

import sys
import xml.etree.ElementTree as tree

import xmlschema

document = tree.parse(sys.stdin)
xmlschema.XMLSchema(sys.argv[1]).validate(document)
cases = list(document.iter("testcase"))
print(len(cases), "cases,", len({(c.get("classname"), c.get("name")) for c in cases}), "names")
