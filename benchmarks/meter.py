"""What a scenario measures with: repetitions, memory, and gated workers.

Everything here runs in the measured process.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from .rivals import Rival

# A repetition of the slowest scenarios takes about 0.2 s, so five of them and
# a warm-up stay near a second per process; the fast rivals stop after half a
# second or fifty repetitions, by which time their median moves by under 1 %.
FULL_SECONDS = 0.5
FULL_AT_LEAST = 5
FULL_AT_MOST = 50


class Skip(Exception):
    """The scenario makes no sense here; the text says why."""


@dataclass
class Meter:
    """Repeats a body as often as the run's effort allows."""

    quick: bool = False
    extra: dict[str, float] = field(default_factory=dict)

    def repeat(
        self,
        body: Callable[[], float],
        *,
        seconds: float = FULL_SECONDS,
        at_least: int = FULL_AT_LEAST,
        warm: bool = False,
    ) -> list[float]:
        """Return what `body` measured, once per repetition after a warm-up.

        Where it is `warm` already, the first repetition counts as well.

        The collector stays enabled, as users have it.  It runs to its end
        before each repetition, so that none pays for the one before.
        """
        if not warm:
            body()
        if self.quick:
            return [body()]
        values: list[float] = []
        end = perf_counter() + seconds
        while len(values) < at_least or (
            len(values) < FULL_AT_MOST and perf_counter() < end
        ):
            gc.collect()
            values.append(body())
        return values


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM, in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def available_bytes() -> int:
    """Return how much memory the system can still hand out, in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/meminfo has no MemAvailable")


def need_memory(wanted: int) -> None:
    """Skip the scenario unless `wanted` bytes, and half as much again, are free."""
    free = available_bytes()
    if wanted * 3 // 2 > free:
        raise Skip(f"needs {wanted / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")


class Gate:
    """Keeps workers inside a task until it opens."""

    def __init__(self) -> None:
        """Make a closed gate."""
        self._inside = threading.Semaphore(0)
        self._closed = threading.Lock()
        self._closed.acquire()

    def enter(self) -> None:
        """Report that a worker is here, then wait; the task of a held worker."""
        self._inside.release()
        with self._closed:
            pass

    def wait_for(self, workers: int) -> None:
        """Return when `workers` workers are inside."""
        for _ in range(workers):
            if not self._inside.acquire(timeout=60):
                raise RuntimeError(f"not all of {workers} workers run at the same time")

    def open(self) -> None:
        """Let everybody go."""
        self._closed.release()


@contextmanager
def held(rival: Rival, pool: Any, workers: int) -> Iterator[Gate]:
    """Hold all workers of a pool behind a gate that the block opens."""
    gate = Gate()
    handles = rival.submit_all(pool, gate.enter, workers)
    try:
        gate.wait_for(workers)
        yield gate
    except BaseException:
        # Otherwise the pool's end would wait for the gate for ever.
        if gate._closed.locked():
            gate.open()
        raise
    rival.results(handles)


def start_workers(rival: Rival, pool: Any, workers: int) -> None:
    """Make the pool start all of its workers, and leave them idle."""
    with held(rival, pool, workers) as gate:
        gate.open()
