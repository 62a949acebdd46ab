"""Samples of a run: stored as JSON, summed up as medians and ratios."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from .families import FAMILIES, Family
from .scenarios import SCENARIOS

SCHEMA = 1


@dataclass(frozen=True)
class Sample:
    """What one process measured: a value, or why there is none."""

    scenario: str
    rival: str
    round: int
    value: float | None = None
    values: list[float] = field(default_factory=list)
    extra: dict[str, float] = field(default_factory=dict)
    gil: bool | None = None
    skipped: str | None = None
    error: str | None = None


@dataclass(frozen=True)
class Summary:
    """Median and extremes over processes."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Summary | None:
        """Sum up `values`; return None if there are none."""
        known = list(values)
        if not known:
            return None
        return cls(median(known), min(known), max(known), len(known))


@dataclass
class Results:
    """A run: where it ran, on what, and every sample."""

    machine: dict[str, Any]
    python: dict[str, Any]
    futures_c: str | None
    settings: dict[str, Any]
    samples: list[Sample] = field(default_factory=list)

    @property
    def family(self) -> Family:
        """Whose scenarios these are; runs stored without it are of threads."""
        return FAMILIES[self.settings.get("family", "threads")]

    def by_round(
        self, scenario: str, rival: str, extra: str | None = None
    ) -> dict[int, float]:
        """Return the value, or the named extra one, of each round that has it."""
        found = {}
        for sample in self.samples:
            if sample.scenario == scenario and sample.rival == rival:
                value = sample.extra.get(extra) if extra else sample.value
                if value is not None:
                    found[sample.round] = value
        return found

    def summary(
        self, scenario: str, rival: str, extra: str | None = None
    ) -> Summary | None:
        """Sum up one rival's values over processes."""
        return Summary.of(self.by_round(scenario, rival, extra).values())

    def ratio(
        self, scenario: str, rival: str = "futures_c", against: str = "standard"
    ) -> Summary | None:
        """Say how many times better `rival` is, by the ratios within each round."""
        mine = self.by_round(scenario, rival)
        theirs = self.by_round(scenario, against)
        more = SCENARIOS[scenario].more_is_better
        pairs = [(mine[i], theirs[i]) for i in mine if i in theirs]
        # Time beyond a sleep can come out as nothing; a ratio would say nothing.
        return Summary.of(a / b if more else b / a for a, b in pairs if a > 0 and b > 0)

    def fastest(self, scenario: str) -> str | None:
        """Name the best of the others, the floors left out."""
        found = {
            rival: self.summary(scenario, rival)
            for rival in self.settings["rivals"]
            if rival != "futures_c" and rival not in self.family.floors
        }
        medians: dict[str, float] = {
            rival: value.median for rival, value in found.items() if value
        }
        if not medians:
            return None
        if SCENARIOS[scenario].more_is_better:
            return max(medians, key=lambda rival: medians[rival])
        return min(medians, key=lambda rival: medians[rival])

    def against_fastest(self, scenario: str) -> Summary | None:
        """Say how many times better futures_c is than the best of the others."""
        best = self.fastest(scenario)
        return self.ratio(scenario, against=best) if best else None

    def slowest_row(self) -> tuple[str, Summary] | None:
        """Return the scenario that does worst against the best of the others."""
        rows = [
            (name, found)
            for name in self.settings["scenarios"]
            if (found := self.against_fastest(name))
        ]
        return min(rows, key=lambda row: row[1].median, default=None)

    def growth(
        self, scenario: str, base: str, rival: str = "futures_c"
    ) -> Summary | None:
        """Say how a rival's value in one scenario relates to its value in another."""
        top = self.by_round(scenario, rival)
        bottom = self.by_round(base, rival)
        return Summary.of(top[i] / bottom[i] for i in top if i in bottom)

    def problem(self, scenario: str, rival: str) -> Sample | None:
        """Return the sample that failed or was skipped, if one was."""
        for sample in self.samples:
            if (
                sample.scenario == scenario
                and sample.rival == rival
                and sample.value is None
            ):
                return sample
        return None

    def problems(self) -> list[Sample]:
        """Return every sample without a value."""
        return [sample for sample in self.samples if sample.value is None]

    def save(self, path: Path) -> None:
        """Write the run as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"schema": SCHEMA, **self._plain()}, indent=1)
        path.write_text(text + "\n", encoding="utf-8")

    def _plain(self) -> dict[str, Any]:
        plain = asdict(self)
        plain["samples"] = [
            {key: value for key, value in sample.items() if value not in (None, [], {})}
            for sample in plain["samples"]
        ]
        return plain

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read a run that `save` has written."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("schema", None) != SCHEMA:
            raise ValueError(f"{path.name} is not a result file of schema {SCHEMA}")
        plain["samples"] = [Sample(**sample) for sample in plain["samples"]]
        return cls(**plain)
