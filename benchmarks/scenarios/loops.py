"""Calls that coroutines wait for: what one costs, with its way to the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from ..meter import Meter
from ..rivals import FuturesRival
from .throughput import noop


def _repeat(
    rival: FuturesRival,
    meter: Meter,
    workers: int,
    tasks: int,
    gather: Callable[[Any, int], Any],
) -> list[float]:
    async def timed(pool: Any) -> float:
        begin = perf_counter_ns()
        await gather(pool, tasks)
        return (perf_counter_ns() - begin) / tasks

    with rival.pool(workers) as pool:
        return meter.repeat(lambda: asyncio.run(timed(pool)))


def gathered(
    rival: FuturesRival, meter: Meter, *, workers: int, tasks: int, install: bool
) -> list[float]:
    """Gather run_in_executor() of many calls, under install() or as it is."""
    if install and rival.name == "futures_c":
        rival.module.install("*")

    async def gather(pool: Any, tasks: int) -> None:
        call = asyncio.get_running_loop().run_in_executor
        await asyncio.gather(*[call(pool, noop) for _ in range(tasks)])

    return _repeat(rival, meter, workers, tasks, gather)


def awaited(
    rival: FuturesRival, meter: Meter, *, workers: int, tasks: int
) -> list[float]:
    """Gather coroutines that each await a submit(), wrapped where it has to be."""
    if rival.name == "futures_c":

        async def one(pool: Any) -> None:
            await pool.submit(noop)

    else:

        async def one(pool: Any) -> None:
            await asyncio.wrap_future(pool.submit(noop))

    async def gather(pool: Any, tasks: int) -> None:
        await asyncio.gather(*[one(pool) for _ in range(tasks)])

    return _repeat(rival, meter, workers, tasks, gather)


def one_by_one(
    rival: FuturesRival, meter: Meter, *, workers: int, tasks: int
) -> list[float]:
    """Submit all, then await each, wrapped where it has to be."""
    wrap: Callable[[Any], Any] = asyncio.wrap_future
    if rival.name == "futures_c":
        wrap = _itself

    async def gather(pool: Any, tasks: int) -> None:
        for future in [wrap(pool.submit(noop)) for _ in range(tasks)]:
            await future

    return _repeat(rival, meter, workers, tasks, gather)


def _itself(future: Any) -> Any:
    return future
