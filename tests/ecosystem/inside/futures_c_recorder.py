"""A pytest plugin: writes how each test ends, and on which module it ran.

It is given to the pytest of other projects (``-p futures_c_recorder``), and writes
JSON lines to the file that the environment variable FUTURES_C_RECORD names: one for
each step of a test or file that counts, and at the end one about the module in use.
Whether that is the right one the runner judges.
"""

from __future__ import annotations

import concurrent.futures
import functools
import json
import os
import sys
from typing import Any

import pytest

FILE = os.environ["FUTURES_C_RECORD"]
EXECUTORS = ("ThreadPoolExecutor", "ProcessPoolExecutor")

#: Characters of a failure's text that are kept.
KEPT = 10_000

_made: list[str] = []


def _write(**event: Any) -> None:
    with open(FILE, "a", encoding="utf-8", errors="replace") as file:
        file.write(json.dumps(event) + "\n")


def _count(cls: Any) -> None:
    """Count the executors of a class, and of those derived from it."""
    original = cls.__init__

    @functools.wraps(original)
    def __init__(self: object, *args: Any, **kwargs: Any) -> None:
        _made.append(type(self).__name__)
        original(self, *args, **kwargs)

    cls.__init__ = __init__


def pytest_configure(config: pytest.Config) -> None:
    """Begin to count."""
    for name in EXECUTORS:
        _count(getattr(concurrent.futures, name))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note files that cannot be loaded, or do not want to be."""
    if report.outcome != "passed":
        _note(report)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test, and what fails or is skipped before or after it."""
    if report.when == "call" or report.outcome != "passed":
        _note(report)


def _note(report: pytest.CollectReport | pytest.TestReport) -> None:
    outcome: str = report.outcome
    if hasattr(report, "wasxfail"):
        outcome = "xfailed" if report.skipped else "xpassed"
    elif report.failed and report.when != "call":
        outcome = "error"
    text = str(report.longrepr)[-KEPT:] if report.failed else ""
    _write(node=report.nodeid, outcome=outcome, text=text)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Say which module it was."""
    # Importing ours where nobody else has would be no news of the run.
    ours = sys.modules.get("futures_c")
    status = ours.status() if ours is not None else None
    _write(
        installed=status is not None and status.installed,
        native=status.native if status else [],
        standard=status.standard if status else {},
        executors=len(_made),
    )
