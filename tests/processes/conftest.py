"""Fixtures of the tests of the process pool, beside those of tests/conftest.py.

`make(workers, ...)` makes an executor of the module under test; a test that
takes it runs once for every start method, which is `method`.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from support.leftovers import Census

from . import kit

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(autouse=True)
def _light_main() -> Iterator[None]:
    """Spawned workers do not import pytest."""
    with kit.light_main():
        yield


@pytest.fixture(autouse=True)
def _orphans(request: pytest.FixtureRequest, _no_leftovers: None) -> Iterator[None]:
    """End the workers that the standard module leaves in its known faults.

    These run in a forked child (see tests/conftest.py), whose workers wait for
    ever when it is killed.
    """
    callspec = getattr(request.node, "callspec", None)
    if (
        request.node.get_closest_marker("fault") is None
        or callspec is None
        or callspec.params.get("futures") != "standard"
    ):
        yield
        return
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = Census.take()
    yield
    while orphans := Census.take().children_beyond(before):
        for pid in orphans:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture(params=kit.METHODS)
def method(request: pytest.FixtureRequest) -> str:
    """The start method of the workers."""
    return request.param


@pytest.fixture
def context(method: str) -> Any:
    """What multiprocessing offers for the start method."""
    return multiprocessing.get_context(method)


@pytest.fixture
def make(futures: ModuleType, context: Any) -> Iterator[Callable[..., Any]]:
    """Make executors; what is left of them at the end is ended."""
    made: list[Any] = []
    home = os.getpid()

    def make(workers: int = 1, **options: Any) -> Any:
        if os.getpid() != home:
            # The fork server of the test run is no child of this process.
            server = sys.modules.get("multiprocessing.forkserver")
            if server is not None:
                server._forkserver = server.ForkServer()
                for name in "ensure_running", "connect_to_new_process":
                    setattr(server, name, getattr(server._forkserver, name))
        pool = futures.ProcessPoolExecutor(workers, context, **options)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
def gate(context: Any) -> Iterator[kit.Gate]:
    """Tasks that wait: Executor(**gate.options), submit(jobs.hold)."""
    gate = kit.Gate(context)
    yield gate
    gate.close()
