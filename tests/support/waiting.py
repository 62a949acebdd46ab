"""Wait for what another thread or the collector brings about."""

from __future__ import annotations

import gc
import sysconfig
import time
import weakref
from collections.abc import Callable

#: Seconds after which a condition counts as never becoming true.
CAP = 20.0


def until(condition: Callable[[], object], cap: float = CAP) -> None:
    """Return as soon as *condition* is true; fail if it is not in time."""
    deadline = time.monotonic() + cap
    pause = 0.0005
    while not condition():
        assert time.monotonic() < deadline, f"never true: {condition}"
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def collected(*references: weakref.ref) -> None:
    """Return when the collector has freed all referents; fail if it cannot.

    Workers let go of a task a moment after its result can be seen, so it may
    take more than one collection.
    """

    def gone() -> bool:
        gc.collect()
        return all(reference() is None for reference in references)

    until(gone)


#: Without the GIL, what one thread made and another dropped last is freed when
#: the first one runs again, or when the collector looks.
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def dropped(*references: weakref.ref, cap: float = 5.0) -> None:
    """Return when all referents are gone without the collector's help."""
    assert not gc.isenabled(), "the test has to disable the collector"

    def gone() -> bool:
        if FREE_THREADED:
            gc.collect()
        return all(reference() is None for reference in references)

    until(gone, cap)
