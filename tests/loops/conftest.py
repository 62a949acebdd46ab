"""Event loops, and executors whose calls end when the test says so."""

from __future__ import annotations

import asyncio
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


@pytest.fixture
def run() -> Callable[..., Any]:
    """Run a coroutine function in a new loop, in debug mode; a hang is cut off."""

    def run(main: Callable[..., Any], *args: Any) -> Any:
        async def capped() -> Any:
            return await asyncio.wait_for(main(*args), 30)

        return asyncio.run(capped(), debug=True)

    return run
