"""What workers do here: they import this by its name, and little else."""

from __future__ import annotations

import os
import sys
from typing import Any


def same(value: Any) -> Any:
    """Return what was sent."""
    return value


def fail(value: Any) -> None:
    """Raise something with a traceback."""
    raise ValueError(value)


def hold(read: int, beginner: int) -> None:
    """Say that it has begun, and wait."""
    os.write(beginner, b"x")
    os.read(read, 1)


def arm_here(plan: dict[str, Any], value: Any) -> Any:
    """From here on this worker's calls fail as planned."""
    sys.path.insert(0, os.path.dirname(__file__))
    import shim

    shim.learn()
    shim.prepare(shim.Plan(**plan))
    shim.arm()
    return value


def arm_and_fail(plan: dict[str, Any], value: Any) -> None:
    """The same, and raise."""
    arm_here(plan, value)
    raise ValueError(value)


def disarm_here() -> tuple[int, int]:
    """Tell what there was."""
    import shim

    shim.disarm()
    return shim.met()


class Reduced:
    """Pickled by a reducer of its own, and made anew by a call."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return Reduced, (self.value,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reduced) and self.value == other.value

    __hash__ = None  # type: ignore[assignment]
