"""Process pools: what a task, a byte, a start and an idle second cost."""

from __future__ import annotations

import asyncio
import gc
import importlib
import random
from collections.abc import Callable
from functools import partial
from statistics import median
from threading import Event
from time import perf_counter, perf_counter_ns, sleep
from typing import Any

from ..meter import Meter, Skip, need_memory
from ..process_rivals import ProcessRival
from ..usage import Usage, threads_of_pool, used_between
from ..work import burn, echo, nap, nap_and_name, nap_and_stamp, noop, noop_of

# With seven rivals a run is short only if each of them is: three repetitions
# of the slow ones, a fifth of a second of the fast ones.
SECONDS = 0.2
AT_LEAST = 3

# Above this many bytes one repetition is as long as many.
LARGE = 5 * 10**8

# What a payload needs at once: here, in the worker, on the way and in the reply.
COPIES = 6

# Long enough for whoever waits to fall asleep.
NAP = partial(nap_and_stamp, 0.002)

# Until pool and workers have found their way to sleep.
SETTLE_SECONDS = 0.3


def start_workers(rival: ProcessRival, pool: Any, workers: int) -> None:
    """Make the pool start all of its workers, and see each of them at work."""
    seen: set[int] = set()
    while len(seen) < workers:
        seen.update(
            rival.results(rival.submit_each(pool, nap_and_name, [0.01] * workers))
        )


def _repeat(
    meter: Meter, body: Callable[[], float], *, warm: bool = False
) -> list[float]:
    return meter.repeat(body, seconds=SECONDS, at_least=AT_LEAST, warm=warm)


def bulk(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int, tasks: int
) -> list[float]:
    """Submit all, then ask each for its result."""
    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)

        def body() -> float:
            begin = perf_counter_ns()
            rival.results(rival.submit_all(pool, noop, tasks))
            return (perf_counter_ns() - begin) / tasks

        return _repeat(meter, body)


def ping_pong(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int, calls: int
) -> list[float]:
    """Submit one task, wait for its result, and again."""
    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)

        def body() -> float:
            begin = perf_counter_ns()
            rival.ping_pong(pool, noop, calls)
            return (perf_counter_ns() - begin) / calls

        return _repeat(meter, body)


def callbacks(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int, tasks: int
) -> list[float]:
    """Submit with a callback on each, until every callback has run."""
    seen: list[None] = []

    def called(_: object) -> None:
        seen.append(None)

    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)

        def body() -> float:
            seen.clear()
            begin = perf_counter_ns()
            rival.results(rival.call_back(pool, noop, called, tasks))
            # Whoever has the result may be ahead of the thread that calls back.
            while len(seen) < tasks:
                sleep(0)
            return (perf_counter_ns() - begin) / tasks

        return _repeat(meter, body)


def delivery(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int, calls: int
) -> list[float]:
    """From the end of a call in its worker to the callback, nobody waiting."""
    seen: list[int] = []
    came = Event()

    def called(_: object) -> None:
        seen.append(perf_counter_ns())
        came.set()

    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)

        def once() -> float:
            seen.clear()
            came.clear()
            handles = rival.call_back(pool, NAP, called, 1)
            came.wait()
            return float(seen[0] - rival.results(handles)[0])

        return _repeat(meter, lambda: median(once() for _ in range(calls)))


def delivery_to_a_loop(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int, calls: int
) -> list[float]:
    """From the end of a call in its worker to the coroutine that awaits it."""

    async def once(pool: Any) -> float:
        loop = asyncio.get_running_loop()
        ended = await loop.run_in_executor(pool, NAP)
        return float(perf_counter_ns() - ended)

    async def several(pool: Any) -> float:
        return median([await once(pool) for _ in range(calls)])

    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)
        return _repeat(meter, lambda: asyncio.run(several(pool)))


def mapped(
    rival: ProcessRival,
    meter: Meter,
    *,
    method: str,
    workers: int,
    tasks: int,
    chunksizes: tuple[int | None, ...],
) -> list[float]:
    """Map over a range; of several chunksizes the best one counts.

    Which one that is, is found by trying each once.
    """
    with rival.pool(workers, method) as pool:

        def run(chunksize: int | None) -> float:
            begin = perf_counter_ns()
            count = rival.map(pool, noop_of, range(tasks), chunksize)
            taken = perf_counter_ns() - begin
            if count != tasks:
                raise RuntimeError(f"{count} of {tasks} results came")
            return taken / tasks

        best = chunksizes[0]
        if len(chunksizes) > 1:
            run(max(chunksizes, key=lambda size: size or 0))
            best = min(chunksizes, key=run)
            meter.extra["chunksize"] = float(best or 0)
        return _repeat(meter, lambda: run(best))


def _send(
    rival: ProcessRival,
    meter: Meter,
    method: str,
    payload: Any,
    size: int,
    trips: int,
    same: Callable[[Any, Any], bool],
) -> list[float]:
    """Time a payload's way to a worker and back, after a look at what comes back."""
    with rival.pool(2, method) as pool:
        back = rival.send(pool, echo, payload, 1)
        if not same(payload, back):
            raise RuntimeError("what came back is not what was sent")
        del back

        def body() -> float:
            begin = perf_counter_ns()
            rival.send(pool, echo, payload, trips)
            return (perf_counter_ns() - begin) / trips

        if size > LARGE:
            return [body()]
        return _repeat(meter, body, warm=True)


def bytes_there_and_back(
    rival: ProcessRival, meter: Meter, *, method: str, size: int, trips: int
) -> list[float]:
    """Send bytes to a function that returns them, one at a time."""
    need_memory(COPIES * size)
    payload = bytes(range(250)) * (size // 250)
    return _send(rival, meter, method, payload, size, trips, lambda a, b: a == b)


def arrays_there_and_back(
    rival: ProcessRival, meter: Meter, *, method: str, size: int, trips: int
) -> list[float]:
    """Send a numpy array of doubles to a function that returns it."""
    try:
        numpy = importlib.import_module("numpy")
    except ImportError as error:
        raise Skip(f"numpy does not import: {error}") from None
    need_memory(COPIES * size)
    payload = numpy.arange(size // 8, dtype=numpy.float64)
    return _send(rival, meter, method, payload, size, trips, numpy.array_equal)


def start(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int
) -> list[float]:
    """Make a new pool, run one task and shut the pool down.

    The warm-up leaves what outlives a pool, a fork server or a resource tracker.
    """

    def body() -> float:
        begin = perf_counter_ns()
        with rival.pool(workers, method) as pool:
            rival.results(rival.submit_all(pool, noop, 1))
        return float(perf_counter_ns() - begin)

    return _repeat(meter, body)


def naps(short: int, long: int) -> list[float]:
    """Return the mixed durations, in an order that is the same for everybody.

    The last ones are short: a long one there would make the end a matter of
    luck, and not of how the tasks were handed out.
    """
    mixed = [0.001] * short + [0.05] * long
    random.Random(5).shuffle(mixed)
    return mixed + [0.001] * 50


def mixed(
    rival: ProcessRival,
    meter: Meter,
    *,
    method: str,
    workers: int,
    short: int,
    long: int,
) -> list[float]:
    """Compare the time for sleeping tasks with the best that there could be.

    That is the time for which workers slept, as they measured it, divided by
    their number.
    """
    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)
        begin = perf_counter()
        slept = rival.results(rival.submit_each(pool, nap, naps(short, long)))
        taken = perf_counter() - begin
    return [taken / (sum(slept) / workers)]


def cpu_heavy(
    rival: ProcessRival,
    meter: Meter,
    *,
    method: str,
    workers: int,
    tasks: int,
    rounds: int,
) -> list[float]:
    """Run tasks that compute, each for some 10 ms."""
    with rival.pool(workers, method) as pool:

        def body() -> float:
            begin = perf_counter_ns()
            rival.results(rival.submit_each(pool, burn, [rounds] * tasks))
            return (perf_counter_ns() - begin) / tasks

        return _repeat(meter, body)


def sleeps(
    rival: ProcessRival,
    meter: Meter,
    *,
    method: str,
    workers: int,
    tasks: int,
    seconds: float,
) -> list[float]:
    """Run sleeping tasks on fewer workers, from a new pool to its end."""
    begin = perf_counter_ns()
    with rival.pool(workers, method) as pool:
        rival.results(rival.submit_each(pool, sleep, [seconds] * tasks))
    return [float(perf_counter_ns() - begin)]


def idle(
    rival: ProcessRival, meter: Meter, *, method: str, workers: int, seconds: float
) -> list[float]:
    """Leave a pool alone; the CPU time that it takes per second all the same."""
    with rival.pool(workers, method) as pool:
        start_workers(rival, pool, workers)
        gc.collect()
        sleep(SETTLE_SECONDS)
        before = threads_of_pool()
        sleep(seconds)
        after = threads_of_pool()
    used = used_between(before, after)
    total = sum(used.values(), Usage())
    meter.extra["wakeups"] = total.sleeps / seconds
    most = max((usage.sleeps for usage in used.values()), default=0)
    meter.extra["wakeups_of_one"] = most / seconds
    return [total.nanoseconds / seconds]
