"""Cases of load, each a function of a scale: 1 is the full size.

A case fails with an AssertionError where something is lost, comes twice or is
kept, and returns a line of figures otherwise.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import sysconfig
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import Any

import futures_c
from load import jobs
from load.growth import Slope, resident, slope

#: Samples of memory in a long run.
SAMPLES = 60

#: Seconds that nothing here may take; a hang ends with tracebacks.
HANG = 3600.0

#: The part of the memory that was taken which may be kept at the end, and the
#: bytes that may be whatever was taken: arenas that something small holds.
KEPT, ALWAYS = 0.05, 8_000_000


def _size(full: int, scale: float, least: int = 1) -> int:
    return max(least, int(full * scale))


def _settled(before: int, peak: int) -> int:
    """Fail unless memory is back to where it was; return what it is now."""
    gc.collect()
    allowed = before + ALWAYS + KEPT * (peak - before)
    deadline = time.monotonic() + 20
    # Threads that have been joined give their stacks back a moment later.
    while (now := resident()) > allowed and time.monotonic() < deadline:
        time.sleep(0.05)
    assert now <= allowed, f"{before} bytes before, {peak} at most, {now} after"
    return now


def _memory(before: int, peak: int, after: int) -> str:
    return f"MB before, at most, after: {before >> 20}, {peak >> 20}, {after >> 20}"


def _pend(count: int) -> tuple[float, int]:
    """Have *count* futures pend and end; seconds until they pended, and memory."""
    gate = threading.Event()
    with futures_c.ThreadPoolExecutor(2) as pool:
        held = [pool.submit(gate.wait, HANG) for _ in range(2)]
        began = time.perf_counter()
        submitted = [pool.submit(jobs.same, number) for number in range(count)]
        took = time.perf_counter() - began
        peak = resident()
        assert not any(future.done() for future in submitted[:: count // 100 + 1])
        gate.set()
        for number, future in enumerate(submitted):
            assert future.result(HANG) == number
        assert all(future.result() for future in held)
    return took, peak


def pending(scale: float = 1.0) -> str:
    """10^7 futures are pending at once; each gets its own result.

    Without a GIL twice: its allocator keeps the memory of the first ones, and uses
    it again.
    """
    count = _size(10**7, scale)
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        _pend(count)
    gc.collect()
    before = resident()
    took, peak = _pend(count)
    after = _settled(before, peak)
    return (
        f"{count} pending, {took / count * 1e6:.2f} us and"
        f" {(peak - before) / count:.0f} bytes each; {_memory(before, peak, after)}"
    )


def _meet(count: int) -> tuple[float, int]:
    """Have *count* threads meet and work; seconds until they met, and memory."""
    began = time.perf_counter()
    with futures_c.ThreadPoolExecutor(count) as pool:
        # Nobody passes before all of them are there.
        barrier = threading.Barrier(count)
        meeting = [pool.submit(barrier.wait, HANG) for _ in range(count)]
        assert sorted(f.result(HANG) for f in meeting) == list(range(count))
        assert len(pool._threads) == count
        met = time.perf_counter() - began
        peak = resident()
        numbers = list(pool.map(jobs.same, range(100 * count)))
        assert numbers == list(range(100 * count))
        workers = list(pool._threads)
    assert not any(worker.is_alive() for worker in workers)
    return met, peak


def threads(scale: float = 1.0) -> str:
    """4,000 threads all run at once, then share 100 times as many tasks.

    Twice: the C library keeps some memory of the first ones, and uses it again.
    """
    count = _size(4000, scale, 8)
    _meet(count)
    gc.collect()
    before = resident()
    began = time.perf_counter()
    met, peak = _meet(count)
    took = time.perf_counter() - began
    after = _settled(before, peak)
    return (
        f"{count} threads, all met after {met:.2f} s, all ended after"
        f" {took:.2f} s; {_memory(before, peak, after)}"
    )


def _of(pool: Any, pids: list[int]) -> int:
    """Bytes in use by this process, the workers, and what they share."""
    return resident(pids) + os.fstat(pool._hub.fd).st_blocks * 512


def _flow(
    pool: futures_c.Executor,
    function: Callable[[int], int],
    count: int,
    measure: Callable[[], int],
) -> Slope:
    """Send *count* tasks through, 1,000 at a time; how memory goes meanwhile."""
    samples = []
    step = max(1, count // SAMPLES)
    under_way: deque[Any] = deque()
    expected = 0
    for number in range(count):
        under_way.append(pool.submit(function, number))
        if len(under_way) >= 1000:
            assert under_way.popleft().result(HANG) == expected
            expected += 1
        if number % step == step - 1:
            samples.append(measure())
    for future in under_way:
        assert future.result(HANG) == expected
        expected += 1
    assert expected == count
    return slope(samples)


def thread_run(scale: float = 1.0, function: Callable[[int], int] = jobs.same) -> str:
    """10^7 tasks go through a pool of threads, with flat memory."""
    count = _size(10**7, scale, 1000)
    with futures_c.ThreadPoolExecutor(4) as pool:
        began = time.perf_counter()
        found = _flow(pool, function, count, resident)
        took = time.perf_counter() - began
    assert found.flat, f"memory grows: {found}"
    return f"{count} tasks in {took:.1f} s; {found}"


def process_run(
    scale: float = 1.0,
    method: str = "fork",
    function: Callable[[int], int] = jobs.same,
) -> str:
    """10^6 tasks go through processes; theirs and our memory is flat."""
    count = _size(10**6, scale, 1000)
    context = multiprocessing.get_context(method)
    with futures_c.ProcessPoolExecutor(4, context) as pool:
        assert list(pool.map(jobs.same, range(100))) == list(range(100))
        pids = list(pool._processes)
        began = time.perf_counter()
        found = _flow(pool, function, count, lambda: _of(pool, pids))
        took = time.perf_counter() - began
    assert found.flat, f"memory grows: {found}"
    return f"{count} tasks in {took:.1f} s; {found}"


def churn(scale: float = 1.0, method: str = "forkserver") -> str:
    """10^6 tasks, by workers that are replaced after 1 to 10 of them.

    64 of them at once, which is the most that this takes from a machine; each
    limit has the same share of the tasks.
    """
    count = _size(10**6, scale, 200)
    context = multiprocessing.get_context(method)
    workers = min(64, max(2, count // 100))
    gc.collect()
    before = resident()
    started = 0
    began = time.perf_counter()
    for limit in range(1, 11):
        share = count // 10
        with futures_c.ProcessPoolExecutor(
            workers, context, max_tasks_per_child=limit
        ) as pool:
            calls = [pool.submit(jobs.placed, number) for number in range(share)]
            seen: dict[int, int] = {}
            for number, future in enumerate(calls):
                answer, pid = future.result(HANG)
                assert answer == number
                seen[pid] = seen.get(pid, 0) + 1
        # Numbers of processes come again, but not before the others had a turn.
        assert len(seen) >= min(share // limit, workers)
        if share // limit < 10_000:
            assert max(seen.values()) <= limit
        started += -(-share // limit)
        del calls, future
    took = time.perf_counter() - began
    after = _settled(before, before)
    return (
        f"{count} tasks by some {started} workers, {workers} at once, in"
        f" {took:.1f} s; MB before, after: {before >> 20}, {after >> 20}"
    )


def rings(scale: float = 1.0, method: str = "fork") -> str:
    """10 GB go there and back through the rings, every byte checked."""
    most = _size(10**10, scale, 10**6)
    context = multiprocessing.get_context(method)
    rng = random.Random(7)
    noise = rng.randbytes(1 << 20)
    samples = []
    passed = 0
    count = 0
    under_way: deque[tuple[bytes, Any]] = deque()

    def check() -> None:
        data, future = under_way.popleft()
        checksum, back = future.result(HANG)
        assert checksum == zlib.crc32(data)
        assert back[::-1] == data

    with futures_c.ProcessPoolExecutor(4, context) as pool:
        assert list(pool.map(jobs.same, range(100))) == list(range(100))
        pids = list(pool._processes)
        # As much under way as there ever is: the memory for it is kept.
        for _ in range(100):
            under_way.append((noise, pool.submit(jobs.echo, noise)))
        while under_way:
            check()
        began = time.perf_counter()
        while passed < most:
            # As many short ones as long ones, from 1 byte to 1 MB.
            size = int(2 ** rng.uniform(0, 20))
            start = rng.randrange(len(noise) - size + 1)
            data = noise[start : start + size]
            under_way.append((data, pool.submit(jobs.echo, data)))
            passed += 2 * size
            count += 1
            if len(under_way) > 100:
                check()
            if passed > len(samples) * most / SAMPLES:
                samples.append(_of(pool, pids))
        while under_way:
            check()
    took = time.perf_counter() - began
    found = slope(samples)
    # Pieces of other sizes than ever before may be cut from what is kept, and other
    # workers may be the busy ones.
    assert found.flat or found.growth < 32_000_000, f"memory grows: {found}"
    speed = passed / took / 1e9
    return f"{passed / 1e9:.2f} GB in {count} calls, {speed:.2f} GB/s; {found}"


#: All of them by name, in the order of the command.
CASES: dict[str, Callable[..., str]] = {
    case.__name__.replace("_", "-"): case
    for case in (pending, threads, thread_run, process_run, churn, rings)
}
