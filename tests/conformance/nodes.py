"""One pytest item for each test of CPython's suite.

    test_cpython.py::test_wait::ThreadPoolWaitTests::test_timeout

Items get their outcomes from one `Schedule`, which begins when the first of them
runs and knows from the session which tests were selected.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conformance import skips
from conformance.environment import (
    STANDARD,
    Environment,
    EnvironmentFailure,
    Listed,
    find_package,
    list_tests,
)
from conformance.runs import Limits, Outcome, Schedule

TARGET = "futures_c"

#: What the options are where nobody gives them.
DEFAULTS = {"conformance_jobs": 2, "identity": False, "later": False}


def option(config: pytest.Config, name: str) -> Any:
    """An option of ours.

    Where the command line does not name this directory, our conftest.py is found
    too late for its options to be there.
    """
    return getattr(config.option, name, DEFAULTS[name])


class Running:
    """The environment and the schedule of a session, once there are any."""

    def __init__(self, session: pytest.Session) -> None:
        """Make the environment and begin with the items of *session*."""
        config = session.config
        target = STANDARD if option(config, "identity") else TARGET
        self._environment = Environment(target)
        selected = [
            item.listed
            for item in session.items
            if isinstance(item, CPythonTest) and not item.skipped_by_us
        ]
        self.limits = Limits()
        jobs = option(config, "conformance_jobs")
        self._schedule = Schedule(self._environment, selected, jobs, self.limits)

    def outcome(self, test: Listed) -> Outcome:
        """Wait for the outcome of *test*."""
        outcome = self._schedule.outcome(test)
        if self._schedule.done:
            # The session goes on with other tests, which may kill it.
            self.close()
        return outcome

    def close(self) -> None:
        """Stop what runs and remove the environment."""
        self._schedule.close()
        self._environment.close()


running = pytest.StashKey[Running]()

#: How many tests each pattern of skips.LATER leaves out.
left_out = pytest.StashKey[Counter[str]]()


class Failure(Exception):
    """A test of CPython's failed; the text says how."""


class CPythonTest(pytest.Item):
    """One test."""

    #: For pytest-run-parallel: it is not to try.
    _parallel_custom_item = True

    def __init__(self, *, listed: Listed, **options: object) -> None:
        """Make the item of *listed*."""
        super().__init__(**options)  # type: ignore[arg-type]
        self.listed = listed
        self.outcome: Outcome | None = None
        self.skipped_by_us = False
        for skip in skips.SKIPS:
            if skip.test == listed.name and skip.applies(skips.running_version()):
                self.skipped_by_us = True
                self.add_marker(pytest.mark.skip(reason=skip.reason))
        # An item may wait for the end of another class and, after that, for as
        # long as its own limits say; the schedule keeps to those.
        self.add_marker(pytest.mark.cap(20 * 60))

    def runtest(self) -> None:
        """Wait for the outcome and raise what it says."""
        stash = self.config.stash
        if running not in stash:
            stash[running] = Running(self.session)
        self.outcome = outcome = stash[running].outcome(self.listed)
        if outcome.output.strip():
            self.add_report_section("call", "output", outcome.output)
        if outcome.outcome == "failed":
            raise Failure(outcome.text)
        if outcome.outcome == "skipped":
            pytest.skip(outcome.text)
        if outcome.outcome == "xfailed":
            pytest.xfail("CPython expects this test to fail")

    def teardown(self) -> None:
        """Raise what went wrong after the class's last test."""
        if self.outcome is not None and self.outcome.afterwards:
            raise Failure(f"after the last test:\n{self.outcome.afterwards}")

    def repr_failure(
        self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None
    ) -> str:
        """What the process wrote, without our own traceback."""
        if isinstance(excinfo.value, (Failure, EnvironmentFailure)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[os.PathLike[str] | str, int | None, str]:
        """Where the test stands."""
        name = f"{self.listed.kind}.{self.listed.method}"
        return Path(self.listed.file), self.listed.line - 1, name


class CPythonClass(pytest.Collector):
    """One class of tests, which share a process."""

    def __init__(self, *, tests: list[Listed], **options: object) -> None:
        """Collect *tests*."""
        super().__init__(**options)  # type: ignore[arg-type]
        self._tests = tests

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each test."""
        for test in self._tests:
            yield CPythonTest.from_parent(self, name=test.method, listed=test)


class CPythonModule(pytest.Collector):
    """One module of the suite."""

    def __init__(self, *, tests: list[Listed], reason: str, **options: object) -> None:
        """Collect *tests*; *reason* says why the module has none here."""
        super().__init__(**options)  # type: ignore[arg-type]
        self._tests = tests
        self._reason = reason

    def collect(self) -> Iterator[pytest.Collector]:
        """One collector for each class."""
        if self._reason:
            pytest.skip(self._reason)
        classes: dict[str, list[Listed]] = {}
        for test in self._tests:
            classes.setdefault(test.kind, []).append(test)
        for kind, tests in classes.items():
            yield CPythonClass.from_parent(self, name=kind, tests=tests)


class CPythonSuite(pytest.File):
    """The suite of the running interpreter."""

    def collect(self) -> Iterator[pytest.Collector]:
        """One collector for each module that has tests for us."""
        try:
            suite = list_tests()
            if not option(self.config, "identity"):
                find_package(TARGET)
        except EnvironmentFailure as failure:
            raise self.CollectError(str(failure)) from None
        names = {test.name for test in suite.tests}
        gone = skips.unknown(skips.SKIPS, skips.running_version(), names)
        if gone:
            raise self.CollectError(f"skips.py names no test: {', '.join(gone)}")
        modules: dict[str, list[Listed]] = {}
        waiting = self.config.stash[left_out] = Counter()
        for test in suite.tests:
            pattern = skips.later(test.kind)
            if pattern and not option(self.config, "later"):
                waiting[pattern] += 1
            else:
                modules.setdefault(test.module, []).append(test)
        for module in sorted({*modules, *suite.skipped_modules}):
            yield CPythonModule.from_parent(
                self,
                name=module.rpartition(".")[2],
                tests=modules.get(module, []),
                reason=suite.skipped_modules.get(module, ""),
            )
