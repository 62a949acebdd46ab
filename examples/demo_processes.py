#!/usr/bin/env python3
"""Measure how long short tasks take in a pool of processes.

    python demo_processes.py ping-pong [--module futures_c] [--quick]

One measure, one module, one figure on standard output, in microseconds:
`demo.py` runs this file once for each of its figures, so that nothing that
came before disturbs it. The pool is warm when the clock starts; what its start
costs shows where whole programs are compared.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from statistics import median
from typing import Any

WORKERS = 2
TASKS = 2000  # per measurement where many are under way at once
TURNS = 200  # per measurement where one waits for another
PAYLOAD = bytes(10_000_000)
SECONDS = 0.5  # to measure for; a median over less would jump


def same(value: object) -> object:
    """Return what comes in: the work of every task here."""
    return value


def check(found: object, sent: object) -> None:
    """End the program unless what came back is what was sent."""
    if found != sent:
        raise SystemExit(f"{str(sent)[:60]} came back as {str(found)[:60]}")


def bulk(pool: Any) -> int:
    """Submit many tasks, then ask for each result."""
    tasks = [pool.submit(same, number) for number in range(TASKS)]
    check([task.result() for task in tasks], list(range(TASKS)))
    return TASKS


def mapped(pool: Any) -> int:
    """The same by map, without a word about chunks."""
    check(list(pool.map(same, range(TASKS))), list(range(TASKS)))
    return TASKS


def ping_pong(pool: Any) -> int:
    """Wait for each result before the next task is submitted."""
    for number in range(TURNS):
        check(pool.submit(same, number).result(), number)
    return TURNS


def payload(pool: Any) -> int:
    """Send 10 MB there and get them back."""
    check(pool.submit(same, PAYLOAD).result(), PAYLOAD)
    return 1


MEASURES: dict[str, Callable[[Any], int]] = {
    "bulk": bulk,
    "map": mapped,
    "ping-pong": ping_pong,
    "payload": payload,
}


def measure(futures: Any, name: str, quick: bool) -> float:
    """Return the microseconds that one task takes, as a median."""
    with futures.ProcessPoolExecutor(WORKERS) as pool:
        # Long enough for each process to get one, and thereby to be there.
        list(pool.map(time.sleep, [0.1] * WORKERS))
        run = MEASURES[name]
        run(pool)
        times: list[float] = []
        end = time.perf_counter() + (0 if quick else SECONDS)
        while not times or time.perf_counter() < end:
            began = time.perf_counter()
            tasks = run(pool)
            times.append((time.perf_counter() - began) / tasks)
    return median(times) * 1e6


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Measure short tasks.")
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--module", default="futures_c", help="or concurrent.futures")
    parser.add_argument("--quick", action="store_true", help="only see that it works")
    options = parser.parse_args()
    futures = importlib.import_module(options.module)
    print(measure(futures, options.measure, options.quick))


# Processes that are started afresh import this file.
if __name__ == "__main__":
    main()
