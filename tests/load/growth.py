"""Whether memory grows with the work: by the slope of many samples.

One figure before and one after say little: an allocator takes memory in steps,
and keeps some.  A leak goes on through the whole run.  So memory is sampled
at equal steps of the work, a line is laid through the samples after the warm-up,
and its slope is compared with its standard error.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")

#: The part of the samples, from the first on, that is warm-up.
WARM = 0.3

#: Standard errors that a slope has to differ from zero to count.  Single steps
#: of the allocator make neighbours alike, hence more than the usual two.
ERRORS = 6.0

#: Bytes that the whole run may grow by all the same: less is one step.
STEP = 512 * 1024


def resident(pids: Iterable[int] = ()) -> int:
    """Bytes of memory that this process, and others, have in use for themselves.

    Without what is shared: several would count it, each when it first touches it.
    """
    total = 0
    for pid in ("self", *pids):
        try:
            fields = Path(f"/proc/{pid}/statm").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended, and has none.
        total += int(fields[1]) - int(fields[2])
    return total * _PAGE


@dataclass(frozen=True)
class Slope:
    """A line through samples: bytes per sample, and how sure that is."""

    value: float
    error: float
    samples: int

    @property
    def growth(self) -> float:
        """Bytes from the first to the last sample, along the line."""
        return self.value * (self.samples - 1)

    @property
    def flat(self) -> bool:
        """Whether it may be taken for level."""
        return self.growth < STEP or self.value < ERRORS * self.error

    def __str__(self) -> str:
        return (
            f"growth {self.growth / 1e6:+.3f} MB, slope {self.value:+.0f}"
            f" +- {self.error:.0f} bytes a sample, {self.samples} samples"
        )


def slope(samples: Sequence[int]) -> Slope:
    """Lay a line through what comes after the warm-up."""
    ys = samples[int(len(samples) * WARM) :]
    count = len(ys)
    assert count >= 5, "too few samples"
    middle = (count - 1) / 2
    mean = sum(ys) / count
    spread = sum((x - middle) ** 2 for x in range(count))
    value = sum((x - middle) * (y - mean) for x, y in enumerate(ys)) / spread
    rest = sum((y - mean - value * (x - middle)) ** 2 for x, y in enumerate(ys))
    return Slope(value, math.sqrt(rest / (count - 2) / spread), count)
