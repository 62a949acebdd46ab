"""What the worker processes run.

A worker that is not forked imports this module by its name, so it holds
nothing else and imports next to nothing: what is timed is the pool, not an
import.
"""

from __future__ import annotations

import os
from time import perf_counter, perf_counter_ns, sleep
from typing import Any


def noop() -> None:
    """Do nothing."""


def noop_of(arg: object) -> None:
    """Do nothing with one argument."""


def echo(payload: Any) -> Any:
    """Send back what came."""
    return payload


def nap(seconds: float) -> float:
    """Sleep; return how long it took, which is what the worker was taken for."""
    begin = perf_counter()
    sleep(seconds)
    return perf_counter() - begin


def nap_and_name(seconds: float) -> int:
    """Sleep; return which process did."""
    sleep(seconds)
    return os.getpid()


def nap_and_stamp(seconds: float) -> int:
    """Sleep; return when it was over, by a clock that all processes share."""
    sleep(seconds)
    return perf_counter_ns()


def burn(rounds: int) -> int:
    """Compute without pause and without memory: a CPU-heavy task."""
    state = 1
    for _ in range(rounds):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
    return state
