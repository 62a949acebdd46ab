"""Fixtures of the tests of the interpreter pool, beside those of tests/conftest.py.

`make(workers, ...)` makes an executor of the module under test, whose interpreters
can import this package.  The standard module has it from Python 3.14 on; before,
the tests run on ours alone.
"""

from __future__ import annotations

import concurrent.futures
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from . import jobs, kit

if sys.version_info < (3, 12):
    # No pools: tests/package/test_names.py has what is said instead.
    collect_ignore_glob = ["test_*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what the standard module of this version does not have."""
    if "InterpreterPoolExecutor" in concurrent.futures.__all__:
        return

    def is_there(item: pytest.Item) -> bool:
        callspec = getattr(item, "callspec", None)
        return (
            not item.path.is_relative_to(kit.HERE)
            or callspec is None
            or callspec.params.get("futures") != "standard"
        )

    items[:] = filter(is_there, items)


@pytest.fixture
def make(futures: ModuleType) -> Iterator[Callable[..., Any]]:
    """Make executors; what is left of them at the end is ended."""
    made: list[Any] = []

    def make(workers: int = 1, *args: Any, **options: Any) -> Any:
        options.setdefault("initializer", jobs.visit)
        if options["initializer"] is jobs.visit:
            options["initargs"] = (kit.TESTS,)
        pool = futures.InterpreterPoolExecutor(workers, *args, **options)
        made.append(pool)
        return pool

    yield make
    for pool in made:
        pool.shutdown(wait=True, cancel_futures=True)


@pytest.fixture
def pool(make: Callable[..., Any]) -> Any:
    """One worker."""
    return make()


@pytest.fixture(autouse=True)
def _no_interpreters_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After each test there are as many interpreters as before."""
    before = kit.interpreters()
    yield
    # The standard pool ends some when they are collected.
    kit.until_no_more_than(before)
