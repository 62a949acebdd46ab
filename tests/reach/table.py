"""The tables of what tests reach: lines and branches of each file.

From gcovr's summary and coverage.py's report; with ``--quick`` it is also judged
what the few tests of the quick form have to reach.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple


class Reach(NamedTuple):
    """How many there are of something, and how many are reached."""

    covered: int
    total: int

    def __str__(self) -> str:
        if self.total == 0:
            return "none"
        # Rounded down: 100.0 says that nothing is missing.
        permille = 1000 * self.covered // self.total
        return f"{permille / 10:.1f} ({self.covered} of {self.total})"

    def plus(self, other: Reach) -> Reach:
        """The sum of both."""
        return Reach(self.covered + other.covered, self.total + other.total)


class Row(NamedTuple):
    """A file, or the files of a folder."""

    name: str
    lines: Reach
    branches: Reach

    def plus(self, other: Row) -> Row:
        """The sum of both, under this one's name."""
        return Row(
            self.name,
            self.lines.plus(other.lines),
            self.branches.plus(other.branches),
        )


def rows_of_c(path: Path) -> list[Row]:
    """Read what gcovr has summed up."""
    return [
        Row(
            file["filename"],
            Reach(file["line_covered"], file["line_total"]),
            Reach(file["branch_covered"], file["branch_total"]),
        )
        for file in json.loads(path.read_text())["files"]
    ]


def rows_of_python(path: Path) -> list[Row]:
    """Read what coverage.py has summed up."""
    rows = []
    for name, file in sorted(json.loads(path.read_text())["files"].items()):
        summary = file["summary"]
        rows.append(
            Row(
                name,
                Reach(summary["covered_lines"], summary["num_statements"]),
                Reach(summary["covered_branches"], summary["num_branches"]),
            )
        )
    return rows


def table(rows: list[Row]) -> list[str]:
    """Draw a table of them, each folder's sum before its files."""
    folders: dict[str, list[Row]] = {}
    for row in rows:
        folders.setdefault(row.name.rpartition("/")[0], []).append(row)
    lines = ["| file | lines, % | branches, % |", "|---|---|---|"]
    for folder, files in folders.items():
        total = Row(f"**{folder}/**", Reach(0, 0), Reach(0, 0))
        for row in files:
            total = total.plus(row)
        for row in (total, *files):
            lines.append(f"| {row.name} | {row.lines} | {row.branches} |")
    return lines


#: What the quick form has to reach, in percent of the lines.  worker_end.c runs in
#: worker processes alone: it shows that those which end by _exit() count.
FLOORS = {"src/core/": 95, "src/ipc/": 90, "src/python/worker_end.c": 50}


def judge(rows: list[Row]) -> bool:
    """Hold the rows against the floors, and say what that proves."""
    proved = []
    enough = True
    for name, floor in FLOORS.items():
        total = Row(name, Reach(0, 0), Reach(0, 0))
        for row in rows:
            if row.name.startswith(name):
                total = total.plus(row)
        proved.append(f"{total.lines} of {name}")
        if 100 * total.lines.covered < floor * max(total.lines.total, 1):
            print(f"coverage: {total.lines} of {name} is below {floor}")
            enough = False
    if enough:
        print(f"proved: few tests reach {', '.join(proved)}, in percent of the lines")
    return enough


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("c", type=Path, help="gcovr's --json-summary")
    parser.add_argument("python", type=Path, help="coverage.py's json")
    options = parser.parse_args()
    rows = rows_of_c(options.c)
    print(*table(rows), "", *table(rows_of_python(options.python)), sep="\n")
    return not (judge(rows) if options.quick else True)


if __name__ == "__main__":
    sys.exit(main())
