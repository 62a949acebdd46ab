"""Many small tasks at once: what one task costs."""

from __future__ import annotations

import threading
from time import perf_counter_ns

from ..meter import Meter
from ..rivals import Rival


def noop() -> None:
    """Do nothing, as a task."""


def noop_of(arg: object) -> None:
    """Do nothing with one argument, as a task or a callback."""


def bulk(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Submit all, then ask each for its result."""
    with rival.pool(workers) as pool:

        def body() -> float:
            start = perf_counter_ns()
            rival.results(rival.submit_all(pool, noop, tasks))
            return (perf_counter_ns() - start) / tasks

        return meter.repeat(body)


def mapped(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Map over a range and take every result."""
    with rival.pool(workers) as pool:

        def body() -> float:
            start = perf_counter_ns()
            rival.map(pool, noop_of, range(tasks))
            return (perf_counter_ns() - start) / tasks

        return meter.repeat(body)


def completed(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Submit all, then take results in the order of completion."""
    with rival.pool(workers) as pool:

        def body() -> float:
            start = perf_counter_ns()
            rival.as_completed(pool, noop_of, tasks)
            return (perf_counter_ns() - start) / tasks

        return meter.repeat(body)


def waited(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Submit all, then wait for all of them at once."""
    with rival.pool(workers) as pool:

        def body() -> float:
            start = perf_counter_ns()
            rival.wait(rival.submit_all(pool, noop, tasks))
            return (perf_counter_ns() - start) / tasks

        return meter.repeat(body)


def callbacks(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Submit with a callback on each, then ask each for its result."""
    seen: list[object] = []
    with rival.pool(workers) as pool:
        # The timed callback is a plain function, as users write them; that
        # callbacks do run is shown once, here, by one that leaves a trace.
        rival.results(rival.call_back(pool, noop, seen.append, 100))

        def body() -> float:
            start = perf_counter_ns()
            rival.results(rival.call_back(pool, noop, noop_of, tasks))
            return (perf_counter_ns() - start) / tasks

        values = meter.repeat(body)
    if len(seen) != 100:
        raise RuntimeError(f"{len(seen)} of 100 callbacks ran")
    return values


def contention(
    rival: Rival, meter: Meter, *, workers: int, submitters: int, tasks: int
) -> list[float]:
    """Let several threads submit to one pool and ask for results at once."""
    share = tasks // submitters
    with rival.pool(workers) as pool:

        def body() -> float:
            barrier = threading.Barrier(submitters + 1)

            def submitter() -> None:
                barrier.wait()
                rival.results(rival.submit_all(pool, noop, share))

            threads = [threading.Thread(target=submitter) for _ in range(submitters)]
            for thread in threads:
                thread.start()
            barrier.wait()
            start = perf_counter_ns()
            for thread in threads:
                thread.join()
            return (perf_counter_ns() - start) / (share * submitters)

        return meter.repeat(body)
