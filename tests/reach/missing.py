"""What tests do not reach in C, without the exits that a failure takes.

    missing.py TRACE.json ROOT    what gcovr --json has written

A stretch counts as such an exit when it hands on that something it called has
failed: nobody but injected failures gets there.  Printed is what remains, and how
many lines are which.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

#: What stands in an exit: it returns a failure, or says or undoes something first.
EXIT = re.compile(
    r"""\s*(
    return\ (NULL|-1|false|error|errno|-?E[A-Z]+|-fd);
    | return\ (PyErr|raise|fc_incoming_complain)\w*\(.*
    | goto\ \w+; | \w+: | break; | errno\ =\ error; | (status|error|put)\ =\ .*;
    | \(void\)\w+\(.* | free\(.* | (PyErr|PyMem)_\w+\(.* | Py_X?DECREF\(.*
    | Py_CLEAR\(.* | fc_(log|exception|outgoing|call|starters)_\w+\(.*
    | int\ error\ =\ .* | [}{"].*
    )""",
    re.VERBOSE,
)


def stretches(numbers: list[int]) -> Iterator[list[int]]:
    """Split ascending line numbers where more than three lie between two."""
    stretch = numbers[:1]
    for last, number in pairwise(numbers):
        if number - last > 3:
            yield stretch
            stretch = []
        stretch.append(number)
    if stretch:
        yield stretch


def main() -> None:
    """Print the stretches and the sums."""
    trace, root = (Path(name) for name in sys.argv[1:3])
    exits = others = 0
    for file in json.loads(trace.read_text())["files"]:
        reached: dict[int, bool] = {}
        for line in file["lines"]:
            number = line["line_number"]
            reached[number] = reached.get(number, False) or line["count"] > 0
        missing = sorted(number for number, yes in reached.items() if not yes)
        text = (root / file["file"]).read_text().splitlines()
        for stretch in stretches(missing):
            if all(EXIT.match(text[number - 1]) for number in stretch):
                exits += len(stretch)
                continue
            others += len(stretch)
            first, last = stretch[0], stretch[-1]
            where = f"{first}" if first == last else f"{first}-{last}"
            print(f"{file['file']}:{where}: {text[first - 1].strip()}")
    print(f"{exits} lines of exits after a failure, {others} others")


if __name__ == "__main__":
    main()
