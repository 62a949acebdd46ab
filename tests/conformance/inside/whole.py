"""Run a module of CPython's tests in this process and write how each test ended.

    python -m futures_c_conformance.whole OUTCOMES MODULE [PATTERN]

PATTERN chooses among the tests as ``unittest -k`` does.  OUTCOMES is the file for a
JSON object: the outcome of each test by its name.  A module that cannot run here
has one, under its own name.
"""

from __future__ import annotations

import json
import resource
import sys
import unittest
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from futures_c_conformance import swap
from futures_c_conformance.target import TARGET
from test import support


def _names(suite: unittest.TestSuite) -> Iterator[str]:
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from _names(test)
        else:
            yield test.id()


class Outcomes(unittest.TextTestResult):
    """Notes what becomes of each test; failures are also written."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.outcomes: dict[str, str] = {}

    def startTest(self, test: unittest.TestCase) -> None:
        """Expect the best: only other ends are told apart from here on."""
        super().startTest(test)
        self.outcomes[test.id()] = "passed"

    def addError(self, test: Any, err: Any) -> None:
        """Also what goes wrong before the first test or after the last one."""
        super().addError(test, err)
        self.outcomes[test.id()] = "failed"

    def addFailure(self, test: Any, err: Any) -> None:
        """Note it."""
        super().addFailure(test, err)
        self.outcomes[test.id()] = "failed"

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        """Note the failure for the test itself."""
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.outcomes[test.id()] = "failed"

    def addSkip(self, test: Any, reason: str) -> None:
        """Note it, also that of a whole class."""
        super().addSkip(test, reason)
        self.outcomes[test.id()] = "skipped"

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        """Note it."""
        super().addExpectedFailure(test, err)
        self.outcomes[test.id()] = "xfailed"

    def addUnexpectedSuccess(self, test: Any) -> None:
        """Note it."""
        super().addUnexpectedSuccess(test)
        self.outcomes[test.id()] = "xpassed"


def main(path: str, name: str, *patterns: str) -> None:
    """Run the module *name* and write the outcomes to *path*."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    support.verbose = 0
    loader = unittest.TestLoader()
    loader.testNamePatterns = list(patterns) or None
    swap.check(TARGET)
    try:
        suite = loader.loadTestsFromModule(import_module(name))
    except unittest.SkipTest:
        outcomes = {name: "skipped"}
    else:
        outcomes = dict.fromkeys(_names(suite), "not run")
        runner = unittest.TextTestRunner(verbosity=0, resultclass=Outcomes)
        result: Any = runner.run(suite)
        outcomes.update(result.outcomes)
    swap.check(TARGET)
    Path(path).write_text(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
