"""Event loops, and executors whose calls end when the test says so."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import futures_c


@pytest.fixture(params=["threads", "processes"])
def pool(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An executor of ours of either kind."""
    if request.param == "threads":
        made: Any = futures_c.ThreadPoolExecutor(2)
    else:
        made = futures_c.ProcessPoolExecutor(2)
    with made:
        yield made


@pytest.fixture(scope="session", autouse=True)
def _first_loop() -> None:
    """Have libuv open, before anybody counts them, the pipes that it keeps."""
    if importlib.util.find_spec("uvloop") is None:
        return
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        runner.run(asyncio.sleep(0))


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_class(request: pytest.FixtureRequest) -> type[Any]:
    """The class of the event loop: asyncio's own, and uvloop's."""
    if request.param == "uvloop":
        cls: type[Any] = pytest.importorskip("uvloop").Loop
        return cls
    return asyncio.SelectorEventLoop


@pytest.fixture
def run(loop_class: type[Any]) -> Callable[..., Any]:
    """Run a coroutine function in a new loop, in debug mode; a hang is cut off."""

    def run(main: Callable[..., Any], *args: Any) -> Any:
        async def capped() -> Any:
            return await asyncio.wait_for(main(*args), 30)

        with asyncio.Runner(debug=True, loop_factory=loop_class) as runner:
            return runner.run(capped())

    return run
