#!/usr/bin/env python3
"""Reads results of herd: python3 read_results.py RESULT.json...

A result is a file that `herd run --output DIR` or `herd run --format json` wrote.
Prints one line per cell. Needs Python 3.9 or newer and nothing else; import it to
go on from there (herd.ipynb does).
"""

import json
import sys

SCHEMA = 1  # the newest that this file knows


class NotAResult(Exception):
    """A file that cannot be used, with the reason."""


def load(path):
    """The whole document, as ARCHITECTURE.md of herd describes it."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except OSError as error:
        raise NotAResult(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise NotAResult(f"{path} is not a JSON document: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("schema"), int) or "cells" not in document:
        raise NotAResult(f"{path} is not a herd result: it has no schema and cells")
    if document["schema"] > SCHEMA:
        raise NotAResult(f"{path} has schema {document['schema']}, this file knows up to {SCHEMA}")
    return document


def metric(cell, name):
    """A number, or None where the cell has none. An unknown name is a mistake."""
    metrics = cell.get("metrics") or {}
    if metrics and name not in metrics:
        raise KeyError(f"no metric {name!r}; `herd list --metrics` shows all")
    return metrics.get(name)


def table(document, names=("wakeups_per_event", "returns_per_event")):
    """One dict per cell: experiment, row, each axis, workers, the metrics, verdict."""
    lines = []
    for cell in document["cells"]:
        line = {"experiment": cell["experiment"], "row": cell["row"]}
        line.update({key: value for key, value in cell["axes"]})
        line["workers"] = cell["settings"]["workers"]
        line.update({name: metric(cell, name) for name in names})
        line.update(source=cell["count_source"], verdict=cell["verdict"], reason=cell.get("reason", ""))
        lines.append(line)
    return lines


def by_workers(document, name="wakeups_per_event"):
    """{row: [(workers, value), ..]}: what a plot against N needs. Cells without the
    metric (skipped, invalid) are left out."""
    rows = {}
    for line in table(document, (name,)):
        if line[name] is not None:
            rows.setdefault(line["row"], []).append((line["workers"], line[name]))
    return {row: sorted(values) for row, values in rows.items()}


def main(paths):
    if not paths:
        print("which results? python3 read_results.py RESULT.json...", file=sys.stderr)
        return 2
    for path in paths:
        try:
            document = load(path)
        except NotAResult as error:
            print(f"read_results.py: {error}", file=sys.stderr)
            return 2
        environment = document["environment"]
        print(f"{path}: Linux {environment['kernel_release']}, {environment['cpus_online']} CPUs, herd {document['herd']}")
        for line in table(document):
            wakeups, returns = line["wakeups_per_event"], line["returns_per_event"]
            figures = "      -      -" if wakeups is None else f"{wakeups:7.2f}{'-' if returns is None else round(returns, 2):>7}"
            print(f"  {line['experiment']:14} {line['row']:24} N={line['workers']:<5}{figures}  {line['verdict']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
