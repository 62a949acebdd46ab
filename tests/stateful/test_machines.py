"""Random programs of one thread, found and shrunk by hypothesis.

`--seed` repeats a run.  With FUTURES_C_STRESS each test goes on for so many
minutes, with ever new seeds, and a program that fails is made as short as it may be.
"""

from __future__ import annotations

import concurrent.futures
import sys

import pytest

from .machine import InterpreterMachine, ProcessMachine, ThreadMachine
from .running import CAP, MINUTES, run_machine

pytestmark = [pytest.mark.stress, pytest.mark.cap(CAP)]


def by_hand(futures):
    """Leave the standard pool of processes alone, unless there are hours."""
    if futures is concurrent.futures and not MINUTES:
        pytest.skip("random programs come upon hangs that the standard pool has")


def test_threads(futures, rng):
    run_machine(rng, lambda: ThreadMachine(futures), 40, 30)


def test_processes(futures, rng):
    by_hand(futures)
    run_machine(rng, lambda: ProcessMachine(futures), 12, 20)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_started_otherwise(futures, rng, method):
    by_hand(futures)
    kind = type("OtherProcessMachine", (ProcessMachine,), {"methods": (method,)})
    run_machine(rng, lambda: kind(futures), 4, 15)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no interpreters before 3.12")
def test_interpreters(futures, rng):
    if futures is concurrent.futures and sys.version_info < (3, 14):
        pytest.skip("the standard module has interpreters from 3.14 on")
    run_machine(rng, lambda: InterpreterMachine(futures), 8, 15)
