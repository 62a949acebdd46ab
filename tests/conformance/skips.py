"""Which of CPython's tests do not run, and why.

`SKIPS` names tests that our module cannot pass.  The only good reason is that the
test counts or patches internals of the standard implementation; what such a test
promises to users then gets a test of ours, which the reason names.  An entry whose
test does not exist on a version that it names fails the run.

`LATER` holds patterns of class names that wait for a part of ours that is not there
yet: their tests are left out (``--later`` runs them all the same).  Removing a line
switches its classes on.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Skip:
    """A test (``Class.method``) that does not run on some versions."""

    test: str
    versions: tuple[str, ...]
    reason: str

    def applies(self, version: str) -> bool:
        """Whether it is skipped on *version*, written like "3.14"."""
        return version in self.versions


_FINALIZATION = (
    "it lets the second thread fail that is started, which is the thread by which the "
    "standard pool feeds its queue; ours starts one thread only.  That a thread that "
    "cannot start breaks nothing: tests/processes/test_pool_start_failure.py"
)

SKIPS: tuple[Skip, ...] = tuple(
    Skip(
        f"ProcessPool{method}ProcessPoolExecutorTest.test_python_finalization_error",
        ("3.13", "3.14", "3.15"),
        _FINALIZATION,
    )
    for method in ("Fork", "Forkserver", "Spawn")
)

LATER: dict[str, str] = {}


def running_version() -> str:
    """The running version, as `Skip.versions` writes it."""
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


def later(kind: str) -> str | None:
    """The pattern by which the class *kind* waits for something of ours."""
    return next((pattern for pattern in LATER if fnmatchcase(kind, pattern)), None)


def unknown(skips: tuple[Skip, ...], version: str, names: set[str]) -> list[str]:
    """The tests that *skips* names for *version* and that are not in *names*."""
    named = [skip.test for skip in skips if skip.applies(version)]
    return [test for test in named if test not in names]
