"""Pools of interpreters: what one call costs, there and back, and what a pool does.

The calls are those of thread pools: `throughput` and `latency` measure them with
pools of interpreters, whose rivals are in `interpreter_rivals`.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from ..meter import Meter
from ..rivals import Rival
from . import latency, throughput
from .scenario import Scenario

# One thread after the other in the plain loop: two calls side by side are faster
# only where each has a GIL of its own.
SPIN = 20_000


def started(rival: Rival, meter: Meter) -> list[float]:
    """Make a pool of one, have it run a call, and shut it down."""

    def body() -> float:
        begin = perf_counter_ns()
        with rival.pool(1) as pool:
            rival.ping_pong(pool, throughput.noop, 1)
        return perf_counter_ns() - begin

    return meter.repeat(body)


def passed_bytes(rival: Any, meter: Meter, *, size: int) -> list[float]:
    """Have bytes handed back by a call, one at a time."""
    payload = bytes(size)
    with rival.pool(1) as pool:
        assert pool.submit(_itself, payload).result() == payload

        def body() -> float:
            begin = perf_counter_ns()
            pool.submit(_itself, payload).result()
            return perf_counter_ns() - begin

        return meter.repeat(body)


def _itself(payload: bytes) -> bytes:
    return payload


def _spin(times: int) -> int:
    total = 0
    for number in range(times):
        total += number * number
    return total


def computed(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Run calls that compute for about half a millisecond each."""
    with rival.pool(workers) as pool:

        def body() -> float:
            begin = perf_counter_ns()
            rival.results(rival.submit_each(pool, _spin, [SPIN] * tasks))
            return (perf_counter_ns() - begin) / tasks

        return meter.repeat(body)


def _scenario(
    name: str,
    title: str,
    function: Callable[..., list[float]],
    full: dict[str, Any],
    quick: dict[str, Any],
    *,
    rivals: tuple[str, ...] = ("futures_c", "standard"),
    **more: Any,
) -> Scenario:
    return Scenario(
        f"interp-{name}",
        title,
        function,
        full,
        quick,
        rivals=rivals,
        family="interpreters",
        # The standard pool takes some 50 us for each.
        by_rival={"futures_c": {"tasks": 10 * full["tasks"]}} if name in MANY else {},
        **more,
    )


MANY = ("bulk-1", "bulk-2", "map")

INTERPRETER_TABLE = [
    *(
        _scenario(
            f"bulk-{workers}",
            f"submit all, then result of each, {noun}",
            throughput.bulk,
            {"workers": workers, "tasks": 2000},
            {"tasks": 100},
        )
        for workers, noun in ((1, "1 interpreter"), (2, "2 interpreters"))
    ),
    _scenario(
        "map",
        "map over a range, 2 interpreters",
        throughput.mapped,
        {"workers": 2, "tasks": 2000},
        {"tasks": 100},
    ),
    _scenario(
        "ping-pong",
        "submit(f).result(), one at a time, 2 interpreters",
        latency.ping_pong,
        {"workers": 2, "calls": 1000},
        {"calls": 20},
        per="call",
    ),
    _scenario(
        "bytes-10M",
        "bytes of 10 MB there and back, one at a time",
        passed_bytes,
        {"size": 10_000_000},
        {"size": 10_000},
        per="trip",
    ),
    _scenario(
        "cpu",
        "calls that compute for half a ms, 2 interpreters; floor: a plain loop",
        computed,
        {"workers": 2, "tasks": 200},
        {"tasks": 4},
        rivals=("futures_c", "standard", "loop"),
    ),
    _scenario(
        "start",
        "new pool of 1, one call, shutdown",
        started,
        {},
        {},
        per="pool",
    ),
]
