"""Tests that are repeated until it is seen whether they leak: `--references=N`.

    VENV/bin/pytest --references=3 --only=futures_c tests/futures

On a debug build each test, with fresh fixtures, runs a few times until what is
cached is cached, and then N times more.  After each run the counts below are
read.  A test of which one has grown in each of the measured runs fails: a leak
grows always, whereas what fills a cache or comes from another thread does not.
Where one has grown each time, the test is given as
many runs again, and has to have grown in these as well.

- references: all counts of all objects, in all interpreters;
- blocks: what Python's allocators have given out;
- bytes: what malloc() has, on glibc, where the core's own memory comes from
  (with ``GLIBC_TUNABLES=glibc.malloc.tcache_count=0`` each single one);
- descriptors, threads, children.

A test that keeps something by design is marked ``keeps("blocks", reason="...")``.
"""

from __future__ import annotations

import abc
import collections.abc
import ctypes
import gc
import linecache
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from support.leftovers import Census

#: Runs that are not measured.
WARM = 3

MARKER = "keeps(*names, reason): of these counts, a run leaves more behind by design"


class _Mallinfo(ctypes.Structure):
    """What mallinfo2() gives back."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks",
            "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _make_malloc_bytes() -> Callable[[], int]:
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return lambda: 0  # not glibc
    mallinfo.restype = _Mallinfo

    def malloc_bytes() -> int:
        info = mallinfo()
        return int(info.uordblks + info.hblkhd)

    return malloc_bytes


#: Those that remember the classes that they have been asked about.
_classes: list[abc.ABCMeta] = []

_malloc_bytes = _make_malloc_bytes()
_references: Callable[[], int] = getattr(sys, "gettotalrefcount", lambda: 0)


def _large() -> int:
    return _references() + 10**8


class Counts(dict[str, int]):
    """How much of everything there is."""

    @classmethod
    def blank(cls) -> Counts:
        """Make one that takes as much memory as it will with its numbers.

        Those of the system are small ones, which exist anyway; each of the others
        is an object.
        """
        return cls(
            descriptors=0, threads=0, children=0,
            bytes=_large(), blocks=_large(), references=_large(),
        )  # fmt: skip

    def read(self) -> None:
        """Replace the numbers by those of this moment.

        What the reading itself makes is freed before the objects are counted.
        """
        census = Census.take()
        self["descriptors"] = len(census.descriptors)
        self["threads"] = len(census.kernel_threads)
        self["children"] = len(census.children)
        del census
        _forget()
        self["bytes"] = _malloc_bytes()
        self["blocks"] = sys.getallocatedblocks()
        self["references"] = _references()


def _abstract_classes() -> list[abc.ABCMeta]:
    found: dict[abc.ABCMeta, None] = {}
    left: list[Any] = list(vars(collections.abc).values())
    while left:
        kind = left.pop()
        if isinstance(kind, abc.ABCMeta) and kind not in found:
            found[kind] = None
            left += type.__subclasses__(kind)
    return list(found)


def forget_names() -> None:
    """Empty the interpreter's cache of attributes.

    It keeps the names that were looked up, by their addresses: pickle's, which are
    new strings each time, fill it, up to 4,096.
    """
    if hasattr(sys, "_clear_internal_caches"):
        sys._clear_internal_caches()
    else:
        sys._clear_type_cache()


def _forget() -> None:
    """Empty the caches that grow with what a test does, and collect."""
    for name in ("last_exc", "last_value", "last_type", "last_traceback"):
        if hasattr(sys, name):
            delattr(sys, name)
    for module in list(sys.modules.values()):
        registry = getattr(module, "__dict__", {}).get("__warningregistry__")
        if isinstance(registry, dict):
            registry.clear()
    re.purge()
    linecache.clearcache()
    for kind in _classes:
        kind._abc_caches_clear()  # type: ignore[attr-defined]
    typing = sys.modules.get("typing")
    for clean in getattr(typing, "_cleanups", ()):
        clean()
    for _ in range(3):
        if not gc.collect():
            break
    # Last: the collector calls methods.
    forget_names()


def grown(
    rows: list[Counts], but: frozenset[str] = frozenset()
) -> dict[str, list[int]]:
    """By how much what has grown from each row to the next has grown."""
    found = {}
    for name in rows[0]:
        steps = [after[name] - before[name] for before, after in pairwise(rows)]
        if name not in but and all(step > 0 for step in steps):
            found[name] = steps
    return found


def _run(item: pytest.Item, nextitem: Any) -> list[pytest.TestReport]:
    """Run the whole of a test as if it had never run."""
    item._report_sections.clear()
    item.user_properties.clear()
    if isinstance(item, pytest.Function):
        item._initrequest()
    return runtestprotocol(item, log=False, nextitem=nextitem)


class Plugin:
    """Repeats each test and reports it once."""

    def __init__(self, runs: int) -> None:
        """Measure *runs* runs."""
        self.runs = runs

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Spare the collector what is there before the first test."""
        _classes[:] = _abstract_classes()
        gc.collect()
        gc.freeze()

    @pytest.fixture
    def tmp_path(self) -> Iterator[Path]:
        """Give a directory, as pytest does, which keeps some objects for each."""
        with tempfile.TemporaryDirectory() as name:
            yield Path(name)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run a test until its counts tell."""
        if not isinstance(item, pytest.Function):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reports = self.repeat(item, nextitem)
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def repeat(
        self, item: pytest.Function, nextitem: pytest.Item | None
    ) -> list[pytest.TestReport]:
        """Run it; return the reports of a run that failed, or of the last."""
        keeps = frozenset(
            name for mark in item.iter_markers("keeps") for name in mark.args
        )
        rows = [Counts.blank() for _ in range(1 + 2 * self.runs)]
        parent: Any = item.parent
        for _ in range(WARM):
            # What is said to come next keeps the fixtures of module and session.
            reports = _run(item, parent)
            if not all(report.passed for report in reports):
                return self.closed(item, nextitem, reports)
        rows[0].read()
        for index in range(1, len(rows)):
            del reports
            reports = _run(item, parent)
            if not all(report.passed for report in reports):
                return self.closed(item, nextitem, reports)
            rows[index].read()
            if index == self.runs and not grown(rows[: index + 1], keeps):
                return self.closed(item, nextitem, reports)
        leaks = [f"leaked {name}: {by}" for name, by in grown(rows, keeps).items()]
        if leaks:
            call = next(report for report in reports if report.when == "call")
            call.outcome = "failed"
            call.longrepr = "\n".join(leaks)
        return self.closed(item, nextitem, reports)

    @staticmethod
    def closed(
        item: pytest.Item,
        nextitem: pytest.Item | None,
        reports: list[pytest.TestReport],
    ) -> list[pytest.TestReport]:
        """End the fixtures of module and session where no test follows there."""
        item.session._setupstate.teardown_exact(nextitem)
        return reports


def add_option(parser: pytest.Parser) -> None:
    """Add the option that turns it on."""
    parser.addoption(
        "--references",
        type=int,
        metavar="N",
        help="on a debug build: measure N runs of each test, fail it where it leaks",
    )


def prepare(config: pytest.Config) -> None:
    """Register the marker, and the plugin where it is asked for."""
    config.addinivalue_line("markers", MARKER)
    runs = config.getoption("--references")
    if runs is None:
        return
    if not hasattr(sys, "gettotalrefcount"):
        raise pytest.UsageError("--references needs a debug build of Python")
    config.pluginmanager.register(Plugin(runs), "references")
