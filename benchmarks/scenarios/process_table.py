"""The table of scenarios for process pools.

Who starts workers how shows where they start; elsewhere every pool forks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import processes
from .scenario import Scenario

METHODS = ("fork", "spawn", "forkserver")
POOLS = ("futures_c", "standard", "pool", "loky", "pebble", "mpire")
# joblib has a map, and no handles.
MAPS = (*POOLS, "joblib")
# Those that asyncio takes.
FUTURES = ("futures_c", "standard", "loky")
# Those that differ by nothing but the start method.
PLAIN = ("futures_c", "standard", "pool")

# The standard executor takes some 50 us per task, ours one or two.
MANY = {
    "futures_c": {"tasks": 50_000},
    "pool": {"tasks": 10_000},
}


def _scenario(
    name: str,
    title: str,
    function: Callable[..., list[float]],
    full: Mapping[str, Any],
    quick: Mapping[str, Any],
    *,
    method: str = "fork",
    rivals: tuple[str, ...] = POOLS,
    **more: Any,
) -> Scenario:
    return Scenario(
        f"proc-{name}",
        title,
        function,
        {"method": method, **full},
        quick,
        rivals=rivals,
        family="processes",
        **more,
    )


def _bulk(method: str) -> Scenario:
    return _scenario(
        f"bulk-{method}",
        f"submit all, then result of each, 2 workers, {method}",
        processes.bulk,
        {"workers": 2, "tasks": 2000},
        {"tasks": 100},
        method=method,
        rivals=POOLS if method == "fork" else PLAIN,
        by_rival=MANY,
    )


def _ping_pong(method: str) -> Scenario:
    return _scenario(
        f"ping-pong-{method}",
        f"submit(f).result(), one at a time, 2 workers, {method}",
        processes.ping_pong,
        {"workers": 2, "calls": 300},
        {"calls": 10},
        method=method,
        rivals=POOLS if method == "fork" else PLAIN,
        per="call",
        by_rival={"futures_c": {"calls": 3000}},
    )


def _map(chunksize: int, tasks: int, tasks_of_ours: int) -> Scenario:
    return _scenario(
        f"map-{chunksize}",
        f"map over a range, chunksize {chunksize}, 2 workers",
        processes.mapped,
        {"workers": 2, "tasks": tasks, "chunksizes": (chunksize,)},
        {"tasks": 300},
        rivals=MAPS,
        by_rival={"futures_c": {"tasks": tasks_of_ours}},
    )


def _payload(name: str, size: int, trips: int, array: bool) -> Scenario:
    kind, noun = ("array", "numpy array") if array else ("bytes", "bytes")
    function = (
        processes.arrays_there_and_back if array else processes.bytes_there_and_back
    )
    return _scenario(
        f"{kind}-{name}",
        f"{noun} of {name[:-1]} {name[-1]}B there and back, one at a time",
        function,
        {"size": size, "trips": trips},
        {"trips": 1, "size": min(size, 1_000_000)},
        rivals=MAPS if array else POOLS,
        per="trip",
        # It sleeps for 10 ms before it looks for a result.
        by_rival={"joblib": {"trips": min(trips, 10)}},
        large=size > 10**8,
    )


def _payloads(array: bool) -> list[Scenario]:
    sizes = (
        ("1k", 10**3, 200),
        ("100k", 10**5, 50),
        ("10M", 10**7, 3),
        ("100M", 10**8, 1),
        ("1G", 10**9, 1),
    )
    return [_payload(name, size, trips, array) for name, size, trips in sizes]


def _start(method: str) -> Scenario:
    rivals = tuple(name for name in POOLS if name != "loky" or method == "spawn")
    return _scenario(
        f"start-{method}",
        f"new pool of 2, one task, shutdown, {method}",
        processes.start,
        {"workers": 2},
        {},
        method=method,
        rivals=rivals,
        per="pool",
    )


def _sleep(method: str) -> Scenario:
    return _scenario(
        f"sleep-50-{method}",
        f"50 x sleep(0.1) on 20 processes, start included, {method}",
        processes.sleeps,
        {"workers": 20, "tasks": 50, "seconds": 0.1},
        {"workers": 4, "tasks": 8, "seconds": 0.01},
        method=method,
        rivals=POOLS if method == "fork" else PLAIN,
        per="run",
    )


PROCESS_TABLE = [
    *(_bulk(method) for method in METHODS),
    _map(1, 2000, 50_000),
    _map(100, 100_000, 200_000),
    _scenario(
        "map",
        "map of 10^6 ints, chunksize left out; the standard's best",
        processes.mapped,
        {"workers": 2, "tasks": 1_000_000, "chunksizes": (None,)},
        {"tasks": 300},
        rivals=MAPS,
        by_rival={
            "standard": {"chunksizes": (1000, 5000, 20_000, 100_000)},
            # These leave it at 1, or nearly so.
            "loky": {"tasks": 2000},
            "pebble": {"tasks": 2000},
            "joblib": {"tasks": 200_000},
            "mpire": {"tasks": 200_000},
        },
    ),
    *(_ping_pong(method) for method in METHODS),
    _scenario(
        "callbacks",
        "a callback on each, until all have run, 2 workers",
        processes.callbacks,
        {"workers": 2, "tasks": 2000},
        {"tasks": 100},
        by_rival=MANY,
    ),
    *(
        _scenario(
            name,
            f"from a call's end in its worker to {whom}, main thread asleep",
            function,
            {"workers": 2, "calls": 20},
            {"calls": 2},
            rivals=rivals,
            per="call",
        )
        for name, whom, function, rivals in (
            ("delivery", "its callback", processes.delivery, POOLS),
            ("delivery-asyncio", "its await", processes.delivery_to_a_loop, FUTURES),
        )
    ),
    *_payloads(array=False),
    *_payloads(array=True),
    *(_start(method) for method in METHODS),
    _scenario(
        "mixed",
        "sleeps, 95 % of 1 ms and 5 % of 50 ms: time against the best schedule",
        processes.mixed,
        {"workers": 2, "short": 900, "long": 50},
        {"short": 30, "long": 1},
        unit="x",
        per="",
    ),
    _scenario(
        "cpu",
        "tasks of 10 ms of CPU, 2 workers; also on one thread and on threads",
        processes.cpu_heavy,
        {"workers": 2, "tasks": 16, "rounds": 150_000},
        {"tasks": 4, "rounds": 1000},
        rivals=(*MAPS, "threads", "loop"),
    ),
    *(_sleep(method) for method in METHODS),
    _scenario(
        "idle",
        "CPU time of an idle pool and its 2 workers",
        processes.idle,
        {"workers": 2, "seconds": 1.0},
        {"seconds": 0.1},
        per="second",
        # A timer of once a second, seen once and not twice.
        by_rival={"futures_c": {"seconds": 2.0}},
    ),
]
