"""The tables of what tests reach: lines and branches of each file.

table.py C.json PYTHON.json    gcovr's summary, and coverage.py's report
"""

from __future__ import annotations

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


def main() -> None:
    """Print both tables."""
    c, python = (Path(name) for name in sys.argv[1:3])
    print(*table(rows_of_c(c)), "", *table(rows_of_python(python)), sep="\n")


if __name__ == "__main__":
    main()
