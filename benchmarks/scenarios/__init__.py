"""The tables of scenarios: of threads here, the others in their own modules.

A scenario is a function that measures one rival in the process it is called
in, and the parameters for a full and for a quick run.  It returns one value
per repetition; `Scenario.measure` takes their median.
"""

from __future__ import annotations

from . import backlog, latency, loops, throughput
from .interpreters import INTERPRETER_TABLE
from .process_table import PROCESS_TABLE
from .scenario import Scenario

__all__ = ["SCENARIOS", "Scenario"]

POOLS = ("futures_c", "standard", "threadpool")
OURS = ("futures_c",)


def _bulk(workers: int) -> Scenario:
    noun = "worker" if workers == 1 else "workers"
    return Scenario(
        f"bulk-{workers}",
        f"submit all, then result of each, {workers} {noun}",
        throughput.bulk,
        {"workers": workers, "tasks": 20_000},
        {"tasks": 500},
    )


def _pending(exponent: int) -> Scenario:
    return Scenario(
        f"pending-1e{exponent}",
        f"10^{exponent} tasks queued, then run, then collected, 1 worker",
        backlog.pending,
        {"workers": 1, "tasks": 10**exponent},
        {"tasks": min(10**exponent, 2000)},
        rivals=POOLS if exponent <= 6 else OURS,
        timeout=300.0,
    )


_TABLE = [
    *(_bulk(workers) for workers in (1, 4, 16, 64)),
    Scenario(
        "map",
        "map over a range, 4 workers",
        throughput.mapped,
        {"workers": 4, "tasks": 20_000},
        {"tasks": 500},
    ),
    Scenario(
        "as_completed",
        "submit all, then as_completed and result, 4 workers",
        throughput.completed,
        {"workers": 4, "tasks": 20_000},
        {"tasks": 500},
    ),
    Scenario(
        "wait",
        "submit all, then one wait, 4 workers",
        throughput.waited,
        {"workers": 4, "tasks": 20_000},
        {"tasks": 500},
    ),
    Scenario(
        "callbacks",
        "add_done_callback on each, then result of each, 4 workers",
        throughput.callbacks,
        {"workers": 4, "tasks": 20_000},
        {"tasks": 500},
    ),
    Scenario(
        "contention",
        "4 threads submit to 4 workers, result of each",
        throughput.contention,
        {"workers": 4, "submitters": 4, "tasks": 20_000},
        {"tasks": 400},
    ),
    Scenario(
        "ping-pong",
        "submit(f).result(), one at a time, 4 workers",
        latency.ping_pong,
        {"workers": 4, "calls": 2000},
        {"calls": 50},
        per="call",
    ),
    Scenario(
        "ping-pong-busy",
        "ping-pong with two spinning processes on the same 2 CPUs",
        latency.neighbours,
        {"workers": 4, "calls": 200},
        {"calls": 5},
        rivals=POOLS,
        per="call",
    ),
    Scenario(
        "burst-16",
        "16 submits, then 16 results, again and again, 4 workers",
        latency.burst,
        {"workers": 4, "size": 16, "bursts": 500},
        {"bursts": 20},
    ),
    Scenario(
        "first-call",
        "submit(f).result() after 1 ms of idling, 4 workers",
        latency.first_call,
        {"workers": 4, "calls": 100},
        {"calls": 5},
        per="call",
    ),
    Scenario(
        "start-100",
        "new pool until 100 workers run; floor: bare threads",
        latency.start,
        {"workers": 100},
        {"workers": 8},
        per="worker",
    ),
    Scenario(
        "shutdown",
        "shutdown of 16 idle workers",
        latency.shutdown,
        {"workers": 16},
        {"workers": 4},
        rivals=POOLS,
        per="pool",
    ),
    Scenario(
        "sleep-50",
        "50 x sleep(0.1) on 20 workers (300 ms at best)",
        latency.sleeps,
        {"workers": 20, "tasks": 50, "seconds": 0.1},
        {"seconds": 0.002},
        rivals=POOLS,
        per="run",
    ),
    Scenario(
        "blocking-16",
        "16 x sleep(0.02) on 16 idle workers, time beyond the sleep",
        latency.blocking,
        {"workers": 16, "seconds": 0.02},
        rivals=POOLS,
        per="run",
    ),
    Scenario(
        "map-sleep-20",
        "map(sleep, 20 x 0.02) on 20 idle workers, time beyond the sleep",
        latency.mapped_sleep,
        {"workers": 20, "seconds": 0.02},
        rivals=POOLS,
        per="run",
    ),
    *(_pending(exponent) for exponent in range(3, 8)),
    Scenario(
        "bytes",
        "memory per pending submit(f, i), of 200,000",
        backlog.pending_bytes,
        {"tasks": 200_000},
        {"tasks": 20_000},
        rivals=POOLS,
        unit="bytes",
    ),
    Scenario(
        "stall",
        "longest stall of the main thread while abs tasks drain",
        backlog.stall,
        {"tasks": 2_000_000, "tasks_of_others": 100_000},
        {"tasks": 50_000, "tasks_of_others": 5_000},
        rivals=POOLS,
        unit="switch intervals",
        per="",
    ),
    Scenario(
        "import",
        "import in a fresh interpreter, after that of concurrent.futures",
        latency.imports,
        {"times": 15},
        {"times": 2},
        rivals=OURS,
        unit="ms of CPU time",
        per="",
    ),
    Scenario(
        "install",
        "install() in a fresh interpreter, after the imports of all that it replaces",
        latency.imports,
        {"times": 15, "code": latency.INSTALL},
        {"times": 2},
        rivals=OURS,
        unit="ms of CPU time",
        per="",
    ),
    *(
        Scenario(
            f"asyncio-{name}",
            f"{title}, 2 workers",
            function,
            {"workers": 2, "tasks": 10_000, **more},
            {"tasks": 200},
            rivals=("futures_c", "standard"),
        )
        for name, title, function, more in (
            (
                "gather",
                "gather of run_in_executor()",
                loops.gathered,
                {"install": False},
            ),
            (
                "gather-installed",
                "the same under install()",
                loops.gathered,
                {"install": True},
            ),
            ("await", "gather of coroutines that await a submit()", loops.awaited, {}),
            ("one-by-one", "submit all, then await each", loops.one_by_one, {}),
        )
    ),
    Scenario(
        "scaling",
        "draining 1 us tasks, 2 workers against 1; floor: bare threads",
        backlog.scaling,
        {"workers": 2, "tasks": 50_000},
        {"tasks": 500},
        unit="x",
        per="",
        more_is_better=True,
        free_threaded_only=True,
    ),
]

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (*_TABLE, *PROCESS_TABLE, *INTERPRETER_TABLE)
}
