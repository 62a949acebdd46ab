"""What a scenario is: a function, its parameters, and who takes part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from ..meter import Meter

EVERYONE = ("futures_c", "standard", "threadpool", "loop")


@dataclass(frozen=True)
class Scenario:
    """One row of a table.

    `unit` says what the values count: "ns" is nanoseconds for what `per`
    names.  Less is better, unless `more_is_better`.  `family` is whose rivals take
    part.  `by_rival` holds parameters that differ for one rival: a slow one gets
    fewer tasks, where the time per task counts.  What is `large` runs only when
    asked for.  `timeout` is in seconds and ends a process that hangs.
    """

    name: str
    title: str
    function: Callable[..., list[float]]
    full: Mapping[str, Any]
    quick: Mapping[str, Any] = field(default_factory=dict)
    rivals: tuple[str, ...] = EVERYONE
    unit: str = "ns"
    per: str = "task"
    more_is_better: bool = False
    free_threaded_only: bool = False
    timeout: float = 120.0
    family: str = "threads"
    by_rival: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    large: bool = False

    def measure(self, rival: Any, meter: Meter) -> tuple[float, list[float]]:
        """Measure in this process; return the median and all repetitions."""
        parameters = {
            **self.full,
            **self.by_rival.get(rival.name, {}),
            **(self.quick if meter.quick else {}),
        }
        values = self.function(rival, meter, **parameters)
        return median(values), values
