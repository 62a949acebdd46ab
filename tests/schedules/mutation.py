"""What a planted fault is."""

from __future__ import annotations

from typing import NamedTuple


class Mutation(NamedTuple):
    """A fault: texts to be replaced in a file of src, each there exactly once."""

    name: str
    file: str
    changes: list[tuple[str, str]]
    case: str  # whose name begins so
    expected: str  # in what is found
    cells: int = 1  # of a segment


# What is found, in the words of the cases.
LOST = r"taken\[i\]\[k\] == 1"
TWICE = r"\+\+taken"
FREED = r"freed"
ASLEEP = r"asleep|does not come"
BOUNDS = r"c\.searching|c\.tasks|c\.starting"
