"""Whether the tests of a package end on futures_c as on the standard module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ecosystem.halves import Half
from ecosystem.packages import Package

BAD = ("failed", "error")


@dataclass
class Comparison:
    """Both halves of a package."""

    package: Package
    version: str
    standard: Half
    swapped: Half

    @property
    def collected(self) -> int:
        """How many tests there were, those that skipped themselves with them."""
        return len(self.standard.outcomes)

    @property
    def passes(self) -> list[str]:
        """The tests that passed in both halves."""
        return [
            node
            for node, outcome in self.standard.outcomes.items()
            if outcome == "passed" == self.swapped.outcomes.get(node)
        ]

    @property
    def faults(self) -> list[str]:
        """What tells against futures_c, or against the run; a text for each."""
        found = []
        for name, half in (("standard", self.standard), ("swapped", self.swapped)):
            if half.trouble:
                found.append(f"{self.package.name}, {name} half: {half.trouble}")
        found += self._differing()
        if not found and len(self.passes) < self.package.least:
            found.append(
                f"{self.package.name}: only {len(self.passes)} tests passed, and"
                f" {self.package.least} should have"
            )
        return found

    def _differing(self) -> Iterator[str]:
        before, after = self.standard.outcomes, self.swapped.outcomes
        for node in dict.fromkeys([*before, *after]):
            if node in self.package.unsteady:
                continue
            was, now = before.get(node, "missing"), after.get(node, "missing")
            if was in BAD or (was == now):
                continue
            if was == "passed" or now in (*BAD, "missing"):
                text = self.swapped.texts.get(node, "")
                yield f"{self.package.name}: {node}: {was}, swapped {now}\n{text}"

    @property
    def weak(self) -> list[str]:
        """The tests that fail on the standard module as well."""
        outcomes = self.standard.outcomes
        return [node for node, outcome in outcomes.items() if outcome in BAD]
