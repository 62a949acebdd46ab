"""Fixtures of the tests of futures, beside those of tests/conftest.py."""

from __future__ import annotations

import concurrent.futures
import gc
import importlib
import logging
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import future_kit
import pytest
from support.parallel import fresh


@pytest.fixture(params=future_kit.MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How a bare future came to be."""
    return request.param


@pytest.fixture
def new(futures: ModuleType, mode: str) -> Callable[[], Any]:
    """Make a pending future of the module under test, in every mode."""
    return lambda: future_kit.new_future(futures, mode)


@pytest.fixture
def ours(request: pytest.FixtureRequest) -> ModuleType:
    """futures_c, for tests that compare it with the standard module."""
    if request.config.getoption("--only") == "standard":
        pytest.skip("compares futures_c with the standard module")
    module = importlib.import_module("futures_c")
    for part in ("thread", "_base"):
        importlib.import_module(f"futures_c.{part}")
    return module


@pytest.fixture(params=["standard", "native", "mixed"])
def make(request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Make pending futures: standard ones, native ones, or in turn."""
    if request.param == "standard":
        return concurrent.futures.Future
    native = request.getfixturevalue("ours").Future
    if request.param == "native":
        return native
    made: list[Any] = []

    def alternate() -> Any:
        made.append(None)
        return native() if len(made) % 2 else concurrent.futures.Future()

    return alternate


@pytest.fixture
def no_gc() -> Iterator[None]:
    """Only reference counts free what the test drops."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
    gc.collect()


@pytest.fixture
def fast_switch() -> Iterator[None]:
    """Let threads take turns often, so that races show."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The records of the standard logger of futures."""
    caplog.set_level(logging.DEBUG, logger="concurrent.futures")
    return caplog


@fresh
def work() -> Iterator[future_kit.Work]:
    """A function for map whose item 1 blocks until it is let go."""
    work = future_kit.Work()
    yield work
    work.go_on.set()
