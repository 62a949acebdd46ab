"""The figures to reach, and whether a run reaches them."""

from __future__ import annotations

from dataclasses import dataclass

from .results import Results, Summary
from .scenarios.process_table import METHODS


@dataclass(frozen=True)
class Figure:
    """One row: what is looked up, and the two marks it is held against.

    Looked up is the ratio against the standard module, or with `own` the value
    of futures_c, with `extra` what it noted beside it, or with `base` that value
    against the one in the scenario `base`.  With `ceiling` it must not exceed
    the marks, otherwise it must reach them.  With `always` the worst process has
    to meet `at_least`, not the median.
    """

    title: str
    scenario: str
    at_least: float
    aim: float
    own: bool = False
    base: str | None = None
    extra: str | None = None
    unit: str = "x"
    ceiling: bool = False
    always: bool = False

    def value(self, results: Results) -> Summary | None:
        """Look the figure up."""
        if self.base:
            return results.growth(self.scenario, self.base)
        if self.own:
            return results.summary(self.scenario, "futures_c", self.extra)
        return results.ratio(self.scenario)

    def verdict(self, found: Summary) -> str:
        """Return "aim", "pass" or "short"."""
        worst = found.high if self.ceiling else found.low
        if self._meets(worst if self.always else found.median, self.at_least):
            return "aim" if self._meets(found.median, self.aim) else "pass"
        return "short"

    def _meets(self, value: float, mark: float) -> bool:
        return value <= mark if self.ceiling else value >= mark


FIGURES = [
    Figure("bulk submit + result, 1 worker", "bulk-1", 20, 35),
    Figure("bulk submit + result, 4 workers", "bulk-4", 20, 35),
    Figure("bulk submit + result, 16 workers", "bulk-16", 20, 35),
    Figure("map", "map", 40, 70),
    Figure("as_completed", "as_completed", 20, 40),
    Figure("ping-pong", "ping-pong", 8, 25),
    Figure("first call after 1 ms of idling", "first-call", 2, 4),
    Figure("callbacks", "callbacks", 15, 30),
    Figure(
        "bytes per pending task",
        "bytes",
        256,
        208,
        own=True,
        unit="bytes",
        ceiling=True,
    ),
    Figure(
        "time per task, 10^6 pending against 10^3",
        "pending-1e6",
        1.5,
        1.2,
        base="pending-1e3",
        ceiling=True,
    ),
    Figure(
        "longest stall of the main thread",
        "stall",
        2,
        1.2,
        own=True,
        unit="switch intervals",
        ceiling=True,
    ),
    Figure("16 blocking tasks, time beyond the sleep", "blocking-16", 1, 2),
    Figure("map(sleep) on 20, time beyond the sleep", "map-sleep-20", 1, 2),
    Figure("ping-pong, two busy neighbours", "ping-pong-busy", 1, 5, always=True),
    Figure(
        "import, beyond concurrent.futures",
        "import",
        2,
        1,
        own=True,
        unit="ms of CPU time",
        ceiling=True,
    ),
    Figure(
        "install() itself",
        "install",
        5,
        2,
        own=True,
        unit="ms of CPU time",
        ceiling=True,
    ),
    Figure("asyncio: gather of run_in_executor()", "asyncio-gather", 4, 10),
    Figure("the same under install()", "asyncio-gather-installed", 4, 10),
    Figure("asyncio: gather of awaited submit()", "asyncio-await", 6, 15),
    Figure("asyncio: submit all, then await each", "asyncio-one-by-one", 6, 15),
    Figure("interpreters, bulk submit + result, 1 worker", "interp-bulk-1", 5, 20),
    Figure("interpreters, bulk submit + result, 2 workers", "interp-bulk-2", 5, 20),
    Figure("interpreters, ping-pong", "interp-ping-pong", 5, 20),
    Figure("free-threaded: 2 workers against 1", "scaling", 1.6, 1.9, own=True),
    *(
        Figure(
            f"processes, bulk submit + result, {method}", f"proc-bulk-{method}", 30, 70
        )
        for method in METHODS
    ),
    Figure("processes, map, chunksize 1", "proc-map-1", 40, 80),
    Figure("processes, map of 10^6, against the best chunksize", "proc-map", 1, 2),
    *(
        Figure(f"processes, ping-pong, {method}", f"proc-ping-pong-{method}", 10, 40)
        for method in METHODS
    ),
    *(
        Figure(
            f"processes, from a call's end in its worker to its {whom}",
            name,
            100e3,
            100e3,
            own=True,
            unit="ns",
            ceiling=True,
        )
        for whom, name in (
            ("callback", "proc-delivery"),
            ("await", "proc-delivery-asyncio"),
        )
    ),
    Figure("processes, 10 MB bytes there and back", "proc-bytes-10M", 3, 5),
    Figure("processes, 100 MB array there and back", "proc-array-100M", 3, 6),
    *(
        Figure(
            f"pool start, one task, shutdown, {method}", f"proc-start-{method}", 1, 1.5
        )
        for method in METHODS
    ),
    Figure(
        "mixed durations against the best schedule",
        "proc-mixed",
        1.05,
        1.02,
        own=True,
        ceiling=True,
    ),
    # What the system counts for a thread that only sleeps is not nothing.
    Figure(
        "idle pool, CPU time per second",
        "proc-idle",
        1e6,
        1e5,
        own=True,
        unit="ns",
        ceiling=True,
    ),
    Figure(
        "idle pool, wake-ups of a thread per second",
        "proc-idle",
        1,
        0,
        own=True,
        extra="wakeups_of_one",
        unit="wake-ups",
        ceiling=True,
    ),
]

# Held against the worst row of a run of process pools.
NEVER_SLOWER = Figure("against the fastest other", "", 1, 3)
