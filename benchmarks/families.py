"""The families of scenarios, each with its own rivals.

A run is of one family: thread pools do not compete with process pools.
"""

from __future__ import annotations

from dataclasses import dataclass

from .interpreter_rivals import INTERPRETER_RIVALS
from .process_rivals import PROCESS_RIVALS, ProcessRival
from .rivals import RIVALS, Rival
from .scenarios import SCENARIOS, Scenario


@dataclass(frozen=True)
class Family:
    """Who takes part; `floors` are shown beside the others and do not compete.

    `since` is the first version of Python in which there is a standard one.
    """

    name: str
    rivals: dict[str, type[Rival]] | dict[str, type[ProcessRival]]
    floors: tuple[str, ...]
    since: tuple[int, int] = (3, 11)

    def label(self, rival: str) -> str:
        """Return the name of a rival as tables show it."""
        return self.rivals[rival].label

    def scenarios(self, large: bool = False) -> list[Scenario]:
        """Return the scenarios of this family, with the large ones if asked for."""
        return [
            scenario
            for scenario in SCENARIOS.values()
            if scenario.family == self.name and (large or not scenario.large)
        ]


FAMILIES = {
    family.name: family
    for family in (
        Family("threads", RIVALS, ("loop",)),
        Family("processes", PROCESS_RIVALS, ("threads", "loop")),
        Family("interpreters", INTERPRETER_RIVALS, ("loop",), since=(3, 14)),
    )
}
