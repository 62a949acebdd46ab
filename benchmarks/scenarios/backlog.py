"""Long queues: what a pending task costs in time, memory and fairness."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

from ..meter import Meter, Skip, held, need_memory, resident_bytes
from ..rivals import Loop, Rival
from .throughput import noop

# Upper estimates, for deciding whether a backlog fits into memory.
BYTES_PER_TASK = {"futures_c": 260, "standard": 2400, "threadpool": 1800}


@dataclass
class Backlog:
    """What one backlog took, in seconds, and what it added, in bytes."""

    queueing: float
    running: float
    collecting: float
    grown: int


def pass_through(
    rival: Rival, pool: Any, workers: int, fn: Callable[[], object], tasks: int
) -> Backlog:
    """Queue tasks behind held workers, let them run, then collect the results.

    The three times leave out what happens once per backlog, waking workers
    and the main thread, so that short and long backlogs can be compared: a
    task at either end of the queue looks at the clock, and the main thread sleeps
    meanwhile.
    """
    stamps: list[float] = []
    complete = threading.Semaphore(0)

    def stamp() -> None:
        stamps.append(perf_counter())
        complete.release()

    with held(rival, pool, workers) as gate:
        marks = rival.submit_all(pool, stamp, 1)
        before = resident_bytes()
        start = perf_counter()
        handles = rival.submit_all(pool, fn, tasks)
        queued = perf_counter()
        grown = resident_bytes() - before
        # First in, first out: when these run, only the last tasks may still
        # be under way on other workers.
        marks += rival.submit_all(pool, stamp, workers)
        gate.open()
        for _ in range(workers + 1):
            complete.acquire()
        rival.results(marks)
    collect = perf_counter()
    rival.results(handles)
    handles.clear()
    end = perf_counter()
    return Backlog(queued - start, max(stamps) - min(stamps), end - collect, grown)


def pending(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Add up what a pending task costs: queueing, running, collecting.

    Memory is what the first backlog of the process adds.
    """
    need_memory(BYTES_PER_TASK[rival.name] * tasks)
    with rival.pool(workers) as pool:

        def body() -> float:
            log = pass_through(rival, pool, workers, noop, tasks)
            meter.extra.setdefault("bytes_per_task", log.grown / tasks)
            return (log.queueing + log.running + log.collecting) * 1e9 / tasks

        # A large backlog is its own warm-up, and fresh memory belongs to it.
        return meter.repeat(body) if tasks <= 10_000 else [body()]


def identity(arg: int) -> int:
    """Return the argument, as a task."""
    return arg


def pending_bytes(rival: Rival, meter: Meter, *, tasks: int) -> list[float]:
    """Measure what ``submit(f, i)`` adds to the process while the task waits.

    The int and the place in the list of futures are included.
    """
    need_memory(BYTES_PER_TASK[rival.name] * tasks)
    with rival.pool(1) as pool, held(rival, pool, 1) as gate:
        before = resident_bytes()
        handles = rival.submit_each(pool, identity, range(tasks))
        grown = resident_bytes() - before
        gate.open()
        rival.results(handles)
        return [grown / tasks]


def stall(
    rival: Rival, meter: Meter, *, tasks: int, tasks_of_others: int
) -> list[float]:
    """Find the longest time for which builtin tasks keep the main thread out.

    The main thread looks at the clock without pause while one worker drains a
    queue of abs calls, and notes the longest gap, in units of
    sys.getswitchinterval().  The interpreter gives up the GIL between bytecodes only,
    so a worker that runs builtins from C has to see to it itself.  The others
    are slow enough that a shorter queue lasts as long.
    """
    count = tasks if rival.name == "futures_c" else tasks_of_others
    need_memory(BYTES_PER_TASK[rival.name] * count)
    finished: list[None] = []
    with rival.pool(1) as pool:
        with held(rival, pool, 1) as gate:
            rival.submit_and_forget(pool, abs, -1, count)
            rival.submit_and_forget(pool, finished.append, None, 1)
            gate.open()
            longest = 0.0
            last = perf_counter()
            while not finished:
                now = perf_counter()
                if now - last > longest:
                    longest = now - last
                last = now
    return [longest / sys.getswitchinterval()]


def work(limit: int = 20) -> None:
    """Count to `limit` without touching anything that threads share."""
    count = 0
    while count < limit:
        count += 1


def calibrate_work(seconds: float) -> None:
    """Make one call of `work` take about `seconds`."""
    calls = 2000
    times = []
    for _ in range(5):
        start = perf_counter()
        for _ in range(calls):
            work()
        times.append((perf_counter() - start) / calls)
    (limit,) = work.__defaults__ or (20,)
    work.__defaults__ = (max(1, round(limit * seconds / median(times))),)


def threads_seconds(count: int, calls: int) -> float:
    """Return how long `count` bare threads take for `calls` calls each."""
    ends: list[float] = []
    barrier = threading.Barrier(count + 1)

    def run() -> None:
        barrier.wait()
        for _ in range(calls):
            work()
        ends.append(perf_counter())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    start = perf_counter()
    barrier.wait()
    for thread in threads:
        thread.join()
    return max(ends) - start


def drain_seconds(rival: Rival, workers: int, tasks: int) -> float:
    """Return how long `workers` workers take to drain a filled queue.

    The floor is bare threads that share the calls out beforehand: what the
    machine and the interpreter give at the moment.
    """
    if isinstance(rival, Loop):
        return threads_seconds(workers, tasks // workers)
    with rival.pool(workers) as pool:
        return pass_through(rival, pool, workers, work, tasks).running


def scaling(rival: Rival, meter: Meter, *, workers: int, tasks: int) -> list[float]:
    """Drain tasks of 1 us of Python with one worker and with several."""
    gil = getattr(sys, "_is_gil_enabled", None)
    if gil is None or gil():
        raise Skip("needs a free-threaded interpreter with the GIL off")
    calibrate_work(1e-6)

    def body() -> float:
        alone = drain_seconds(rival, 1, tasks)
        return alone / drain_seconds(rival, workers, tasks)

    return meter.repeat(body)
