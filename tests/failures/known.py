"""Faults of CPython's that a failure brings out, and a choice: not judged, but printed.

Where our extension allocates, few of them are met: what enters, evaluates and leaves
Python code is not made to fail (failing.c), nor is asyncio.  There CPython 3.11 runs
for ever where an exception is handled more than 256 instructions into a function,
clears the exception of a frame that it leaves, and returns NULL without one from a
frame that it cannot enter; threading keeps its locks taken; and 3.13t corrupts its
heap, which plain Python code shows as well.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Known:
    """One fault: where it shows, and how."""

    reason: str
    #: In what was wrong.
    text: str
    #: In "group operation plan".
    where: str = ""
    #: The versions that have it end before this one.
    until: tuple[int, int] = (4, 0)


KNOWN = (
    Known(
        "a frame that cannot be entered raises nothing",
        r"returned NULL without setting an exception|^(\w+\.)?SystemError$",
        until=(3, 13),
    ),
    Known(
        "multiprocessing keeps the pipes of a process that it could not fork",
        r"left behind: \['file descriptor \d+ -> pipe:\[\d+\]'"
        r"(, 'file descriptor \d+ -> pipe:\[\d+\]')*\]$",
        where=r"^\w+ \w+ (fork|pipe) \d",
    ),
    Known(
        "pickle says that an import has failed, and not why",
        r"ended with PicklingError\(.*import of module .* failed",
        where=r"^\w+ \w+ allocation \d",
    ),
    Known(
        "a descriptor that cannot be looked at may be somebody else's: it stays open",
        r"left behind: \['file descriptor \d+ -> /memfd:futures_c \(deleted\)'\]$",
        where=r"^\w+ \w+ fstat \d",
    ),
)


def reason(group: str, operation: str, plan: str, text: str) -> str | None:
    """Why this is not ours; None: it may be."""
    for each in KNOWN:
        if (
            sys.version_info < each.until
            and re.search(each.where, f"{group} {operation} {plan}")
            and re.search(each.text, text, re.MULTILINE)
        ):
            return each.reason
    return None
