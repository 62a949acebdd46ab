"""Few tasks at a time: how long until the answer is there."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter_ns, sleep
from typing import Any

from ..meter import Meter, start_workers
from ..rivals import Loop, Rival
from .throughput import noop

# Long enough for every worker to give up spinning and sleep in the kernel.
SETTLE_SECONDS = 0.02


def ping_pong(rival: Rival, meter: Meter, *, workers: int, calls: int) -> list[float]:
    """Submit one task, wait for its result, and again."""
    with rival.pool(workers) as pool:

        def body() -> float:
            start = perf_counter_ns()
            rival.ping_pong(pool, noop, calls)
            return (perf_counter_ns() - start) / calls

        return meter.repeat(body)


def burst(
    rival: Rival, meter: Meter, *, workers: int, size: int, bursts: int
) -> list[float]:
    """Submit a handful, wait for all of it, and again."""
    with rival.pool(workers) as pool:

        def body() -> float:
            start = perf_counter_ns()
            for _ in range(bursts):
                rival.results(rival.submit_all(pool, noop, size))
            return (perf_counter_ns() - start) / (bursts * size)

        return meter.repeat(body)


def first_call(rival: Rival, meter: Meter, *, workers: int, calls: int) -> list[float]:
    """Time single calls, each after the pool had nothing to do for 1 ms."""
    with rival.pool(workers) as pool:

        def body() -> float:
            times = []
            for _ in range(calls):
                sleep(0.001)
                start = perf_counter_ns()
                rival.ping_pong(pool, noop, 1)
                times.append(perf_counter_ns() - start)
            return median(times)

        return meter.repeat(body)


IMPORT = """
import time
import concurrent.futures
began = time.process_time()
import futures_c
print((time.process_time() - began) * 1e3)
"""

INSTALL = """
import time
import concurrent.futures.process, concurrent.futures.thread
import multiprocessing.spawn
began = time.process_time()
import futures_c
futures_c.install()
print((time.process_time() - began) * 1e3)
"""


def imports(
    rival: Rival, meter: Meter, *, times: int, code: str = IMPORT
) -> list[float]:
    """Import futures_c after the standard module, which it would load itself.

    What is timed is so what it adds, without the noise by which the imports of
    two interpreters differ.  A fresh interpreter for each repetition; CPU time
    rather than elapsed time, which would be the disk's.
    """
    ours = importlib.util.find_spec("futures_c")
    assert ours is not None and ours.origin is not None
    with TemporaryDirectory() as compiled:
        environment = {
            **os.environ,
            # Not from where this runs, which may be sources that are not built.
            "PYTHONPATH": str(Path(ours.origin).parents[1]),
            # Compiled beforehand, as an installed package is.
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": compiled,
        }
        command = [sys.executable, "-P", "-c", code]

        def body() -> float:
            run = subprocess.run(
                command, check=True, capture_output=True, env=environment
            )
            return float(run.stdout)

        body()
        return [body() for _ in range(times)]


def start(rival: Rival, meter: Meter, *, workers: int) -> list[float]:
    """Make a new pool and give it so many blocking tasks that all workers start.

    Timed until the last worker is inside its task.
    """
    submit = rival.start_threads if isinstance(rival, Loop) else rival.submit_all

    def body() -> float:
        arrived: list[None] = []
        complete = threading.Semaphore(0)
        leave = threading.Event()

        def task() -> None:
            arrived.append(None)
            if len(arrived) == workers:
                complete.release()
            leave.wait()

        begin = perf_counter_ns()
        with rival.pool(workers) as pool:
            try:
                submit(pool, task, workers)
                if not complete.acquire(timeout=60):
                    raise RuntimeError(f"{len(arrived)} of {workers} workers started")
                return (perf_counter_ns() - begin) / workers
            finally:
                leave.set()

    return meter.repeat(body)


def shutdown(rival: Rival, meter: Meter, *, workers: int) -> list[float]:
    """Time the shutdown, with waiting, of a pool whose workers are all idle."""

    def body() -> float:
        pool = rival.open(workers)
        try:
            start_workers(rival, pool, workers)
            sleep(SETTLE_SECONDS)
        finally:
            begin = perf_counter_ns()
            rival.close(pool)
        return float(perf_counter_ns() - begin)

    return meter.repeat(body)


def sleeps(
    rival: Rival, meter: Meter, *, workers: int, tasks: int, seconds: float
) -> list[float]:
    """Run sleeping tasks on fewer workers, from a new pool to its end."""

    def body() -> float:
        begin = perf_counter_ns()
        with rival.pool(workers) as pool:
            rival.results(rival.submit_each(pool, sleep, [seconds] * tasks))
        return float(perf_counter_ns() - begin)

    # No warm-up: a new pool is part of what is measured, and one repetition
    # lasts long enough.
    return [body()]


def _beyond(
    rival: Rival,
    meter: Meter,
    workers: int,
    seconds: float,
    sleep_all: Callable[[Any], object],
) -> list[float]:
    """Time *sleep_all* on a pool whose workers are idle, beyond the sleep itself."""
    with rival.pool(workers) as pool:
        start_workers(rival, pool, workers)

        def body() -> float:
            sleep(SETTLE_SECONDS)
            begin = perf_counter_ns()
            sleep_all(pool)
            return perf_counter_ns() - begin - seconds * 1e9

        return meter.repeat(body)


def blocking(
    rival: Rival, meter: Meter, *, workers: int, seconds: float
) -> list[float]:
    """Give each idle worker one sleep; time beyond the sleep itself."""

    def sleep_all(pool: Any) -> None:
        rival.results(rival.submit_each(pool, sleep, [seconds] * workers))

    return _beyond(rival, meter, workers, seconds, sleep_all)


def mapped_sleep(
    rival: Rival, meter: Meter, *, workers: int, seconds: float
) -> list[float]:
    """Map sleep over as many items as there are idle workers; time beyond it."""

    def sleep_all(pool: Any) -> None:
        rival.map(pool, sleep, [seconds] * workers)

    return _beyond(rival, meter, workers, seconds, sleep_all)


# A neighbour ends when its parent has gone, and after two minutes in any case.
SPIN = """
import os, sys, time
parent, end = int(sys.argv[1]), time.monotonic() + 120
while os.getppid() == parent and time.monotonic() < end:
    for _ in range(200_000):
        pass
"""


@contextmanager
def busy_neighbours(count: int) -> Iterator[None]:
    """Share `count` CPUs with as many processes that never rest."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    command = [sys.executable, "-S", "-c", SPIN, str(os.getpid())]
    neighbours = [subprocess.Popen(command) for _ in range(count)]
    try:
        sleep(0.2)
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
        os.sched_setaffinity(0, before)


def neighbours(rival: Rival, meter: Meter, *, workers: int, calls: int) -> list[float]:
    """Ping-pong while two other processes spin on the same two CPUs."""
    with busy_neighbours(2):
        return ping_pong(rival, meter, workers=workers, calls=calls)
