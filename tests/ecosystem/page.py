"""The table of docs/ecosystem.md, made of what runs have measured.

A run's results go to ``results.json``, by the version of Python, and the page is
made of all that are there.  `differences` says where a later run, as CI's, does not
fit to them.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

from ecosystem.comparing import Comparison
from ecosystem.packages import PACKAGES, Package

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PAGE = HERE.parents[1] / "docs" / "ecosystem.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def _commit() -> str:
    """The commit that was measured; "unknown" outside of a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "--short=7", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE,
    )
    return done.stdout.strip() or "unknown"


def measured(comparisons: list[Comparison]) -> dict[str, Any]:
    """What the page needs of a run."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "commit": _commit(),
        "packages": {
            one.package.name: {
                "version": one.version,
                "collected": one.collected,
                "passes": len(one.passes),
                "executors": [one.standard.executors, one.swapped.executors],
                "faults": len(one.faults),
                "fail anyway": one.weak,
            }
            for one in comparisons
        },
    }


def load() -> dict[str, Any]:
    """All results that are kept, by the version of Python."""
    if not RESULTS.exists():
        return {}
    loaded: dict[str, Any] = json.loads(RESULTS.read_text())
    return loaded


def keep(new: dict[str, Any]) -> None:
    """Keep the results of a run on this Python, and write the page anew."""
    results = load() | {PYTHON: new}
    results = dict(sorted(results.items(), key=lambda item: _order(item[0])))
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    text = PAGE.read_text()
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def _order(python: str) -> tuple[int, ...]:
    return tuple(map(int, python.split(".")))


def differences(new: dict[str, Any]) -> list[str]:
    """Where a run does not fit to what is kept of this version of Python.

    How many tests there are is compared, not how many passed: some skip themselves
    on other machines.
    """
    kept = load().get(PYTHON)
    if kept is None:
        return []
    found = []
    for name, row in new["packages"].items():
        for key in ("version", "collected"):
            was = kept["packages"].get(name, {}).get(key)
            if was != row[key]:
                found.append(f"{name}: {key} is {row[key]}, in results.json {was}")
    return found


# --- the table --------------------------------------------------------------------


def _result(rows: list[dict[str, Any]]) -> str:
    faults = sum(row["faults"] for row in rows)
    return f"**{faults} differ**" if faults else "the same passes"


def _row(package: Package, results: dict[str, Any]) -> str:
    every = [one["packages"].get(package.name) for one in results.values()]
    rows = [row for row in every if row]
    counts = ["" if row is None else f"{row['passes']:,}" for row in every]
    versions = ", ".join(dict.fromkeys(row["version"] for row in rows))
    cells = [package.name, versions, package.uses, *counts, _result(rows)]
    return f"| {' | '.join(cells)} |"


def _left_out() -> list[str]:
    """The tests that are not run, or not judged, with the reasons."""
    lines = []
    for package in PACKAGES:
        for node, reason in package.left_out.items():
            lines.append(f"- {package.name}, `{node}` is not run: {reason}")
        for node, reason in package.unsteady.items():
            lines.append(f"- {package.name}, `{node}` is not judged: {reason}")
    return lines


def table(results: dict[str, Any]) -> str:
    """The page's part between the marks."""
    pythons = [f"tests on {python}" for python in results]
    heads = ["package", "version", "what of it is run", *pythons, "result"]
    made = ", ".join(
        f"CPython {one['python']} at commit {one['commit']}" for one in results.values()
    )
    systems = "; ".join(dict.fromkeys(one["system"] for one in results.values()))
    lines = [
        f"Measured on {made} ({systems}).",
        "",
        f"| {' | '.join(heads)} |",
        "|---" * len(heads) + "|",
        *(_row(package, results) for package in PACKAGES),
    ]
    left_out = _left_out()
    if left_out:
        lines += ["", "Left out:", "", *left_out]
    return "\n".join(lines)
