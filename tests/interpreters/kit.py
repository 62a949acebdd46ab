"""What the tests of the interpreter pool share."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

from support.waiting import until

HERE = Path(__file__).resolve().parent
#: The directory from which interpreters import interpreters.jobs.
TESTS = str(HERE.parent)

#: Whether a memoryview can be shared, and whether the standard module has a pool.
SHARES = sys.version_info >= (3, 13)
STANDARD = sys.version_info >= (3, 14)

AFTER = "^cannot schedule new futures after shutdown$"


def _list() -> Any:
    if sys.version_info >= (3, 13):
        import _interpreters

        return [number for number, *_ in _interpreters.list_all()]
    import _xxsubinterpreters  # type: ignore[import-not-found]

    return _xxsubinterpreters.list_all()


def interpreters() -> set[int]:
    """The numbers of all interpreters of this process."""
    return {int(number) for number in _list()}


def until_no_more_than(before: set[int]) -> None:
    """Wait until all other interpreters have ended."""

    def gone() -> bool:
        if not interpreters() - before:
            return True
        gc.collect()
        return not interpreters() - before

    until(gone)


#: The first lines of a script whose interpreters can import interpreters.jobs.
PROLOGUE = f"""
import os, signal, sys, threading, time
sys.path.insert(0, {TESTS!r})
from interpreters import jobs, kit

def make(workers=1, **options):
    options.setdefault("initializer", jobs.visit)
    if options["initializer"] is jobs.visit:
        options["initargs"] = (kit.TESTS,)
    return futures.InterpreterPoolExecutor(workers, **options)

"""
