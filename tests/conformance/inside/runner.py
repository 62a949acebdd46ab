"""Run tests of one class in this process and report each as it ends.

    python -m futures_c_conformance.runner EVENTS MODULE CLASS METHOD...

EVENTS is a file to which one JSON object is appended per event:

- ``start``: a test begins; ``at`` is the size of the output so far,
- ``result``: it ended, with ``outcome`` ("passed", "failed", "skipped",
  "xfailed"), ``text``, ``seconds``, the ``executor`` that it ran on, and ``at``,
- ``fixture``: the set-up or tear-down of the class or module failed or asked to
  skip, with ``outcome`` and ``text``,
- ``end``: all has been run; the interpreter's own exit is still to come.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
import unittest
from functools import partial
from importlib import import_module
from typing import Any

from futures_c_conformance import swap
from futures_c_conformance.target import TARGET
from test import support


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _output_size() -> int:
    sys.stdout.flush()
    return os.fstat(1).st_size


class Reporter(unittest.TestResult):
    """Write what happens to the file of events."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = open(path, "a", encoding="utf-8")
        self._pid = os.getpid()
        self._test: unittest.TestCase | None = None
        self._executor: str | None = None

    def emit(self, event: str, **fields: object) -> None:
        """Append one event, unless this is a forked child of a test."""
        if os.getpid() == self._pid:
            self._file.write(json.dumps({"event": event, **fields}) + "\n")
            self._file.flush()

    def _counts(self) -> dict[str, int]:
        kinds = ("failures", "errors", "skipped", "expectedFailures")
        counts = {kind: len(getattr(self, kind)) for kind in kinds}
        counts["unexpectedSuccesses"] = len(self.unexpectedSuccesses)
        return counts

    def startTest(self, test: unittest.TestCase) -> None:
        """Announce the test and watch which executor its set-up makes."""
        super().startTest(test)
        self._test = test
        self._executor = None
        self._before = self._counts()
        self._began = time.monotonic()
        support.environment_altered = False
        # An attribute of the test, gone before its own code runs.
        watched: Any = test
        watched._callSetUp = partial(self._set_up, watched, watched._callSetUp)
        self.emit("start", test=test._testMethodName, at=_output_size())

    def _set_up(self, test: Any, set_up: Any) -> None:
        """Set up *test*, which must not have made an executor we replaced."""
        del test._callSetUp
        set_up()
        executor = getattr(test, "executor", None)
        if executor is None:
            return
        self._executor = _name(type(executor))
        if TARGET != swap.STANDARD and swap.is_of(swap.STANDARD, type(executor)):
            raise AssertionError(f"the swap did not reach {self._executor}")

    def stopTest(self, test: unittest.TestCase) -> None:
        """Report how the test ended."""
        super().stopTest(test)
        outcome, text = self._verdict()
        self.emit(
            "result",
            test=test._testMethodName,
            outcome=outcome,
            text=text,
            seconds=time.monotonic() - self._began,
            executor=self._executor,
            at=_output_size(),
        )
        self._test = None

    def _verdict(self) -> tuple[str, str]:
        """The outcome of the test that has just ended."""
        new = {
            kind: getattr(self, kind)[count:] for kind, count in self._before.items()
        }
        bad = []
        for test, text in (*new["failures"], *new["errors"]):
            # A subtest is named; the test itself is known.
            bad.append(text if test is self._test else f"{test}\n{text}")
        if new["unexpectedSuccesses"]:
            bad.append("CPython expects this test to fail, and it passed.")
        if support.environment_altered:
            bad.append("The test left threads or processes behind (see the output).")
        if bad:
            return "failed", "\n".join(bad)
        if new["skipped"]:
            return "skipped", "; ".join(reason for _, reason in new["skipped"])
        if new["expectedFailures"]:
            return "xfailed", new["expectedFailures"][0][1]
        return "passed", ""

    def addError(self, test: Any, err: Any) -> None:
        """Report errors that belong to no test at once."""
        super().addError(test, err)
        if self._test is None:
            text = f"{test.id()}\n{self.errors[-1][1]}"
            self.emit("fixture", outcome="failed", text=text)

    def addSkip(self, test: Any, reason: str) -> None:
        """Report skips of whole classes and modules at once."""
        super().addSkip(test, reason)
        if self._test is None:
            self.emit("fixture", outcome="skipped", text=reason)


def main(events: str, module: str, kind: str, *methods: str) -> None:
    """Run *methods* of the class *kind* in *module*."""
    # Tests that crash on purpose, and hung ones that are aborted, dump no core.
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    support.verbose = 0
    reporter = Reporter(events)
    case = getattr(import_module(module), kind)
    swap.check(TARGET)
    suite = unittest.TestSuite(case(method) for method in methods)
    suite.run(reporter)
    reporter.emit("end")


if __name__ == "__main__":
    main(*sys.argv[1:])
