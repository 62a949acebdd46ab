"""Run classes of tests in processes of their own and collect the outcomes.

A `Run` is one class: a process that runs its tests one after the other and writes
an event for each (inside/runner.py).  A `Schedule` keeps a few of them going at
a time.  There are no threads: whoever waits for an outcome drives all runs, by
looking at their events a few dozen times a second.

What a run does about a test that does not end:

1. After `Limits.test` seconds the other processes of its session (scripts and
   workers that the test started) get SIGABRT.  All of them run with
   faulthandler, so each dumps the tracebacks of its threads, and a test that
   waits for a script fails with that script's output.
2. `Limits.grace` seconds later the process itself gets SIGABRT and dumps its own.
3. After the same time again, whatever is left of the session is killed.

The test has failed, whatever it reports afterwards; the rest of its class runs in a
new process.  The same holds for a test during which the process dies.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from conformance.environment import (
    PACKAGE,
    SLOW,
    Environment,
    Listed,
    clean_variables,
)

#: Seconds between two looks at the events.
INTERVAL = 0.02

#: Characters of a process's output that a failure shows, at most.
SHOWN = 20_000


@dataclass(frozen=True)
class Limits:
    """How long things may take, in seconds."""

    #: From the start of a process to its first test, and between two tests.
    load: float = 60.0 * SLOW
    #: From the start of a test to its end.
    test: float = 120.0 * SLOW
    #: From the end of the last test to the process's own end.
    exit: float = 60.0 * SLOW
    #: From one step against what hangs to the next.
    grace: float = 5.0


@dataclass
class Outcome:
    """How one test ended."""

    outcome: str
    text: str = ""
    output: str = ""
    seconds: float = 0.0
    executor: str | None = None
    #: What went wrong after the class's last test, on that one.
    afterwards: str = ""


def _session_of(pid: str) -> int | None:
    """The session that the process *pid* belongs to, where /proc tells it."""
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except OSError:
        return None
    # The name before it, in parentheses, may hold anything.
    state, _, _, session = stat.rpartition(")")[2].split()[:4]
    return None if state == "Z" else int(session)


def _session_members(session: int) -> list[int]:
    try:
        names = os.listdir("/proc")
    except OSError:
        return []
    return [
        int(name) for name in names if name.isdigit() and _session_of(name) == session
    ]


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _describe_exit(code: int) -> str:
    if code < 0:
        return f"died of {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


class _Process:
    """One process of a run: its files, its session, its end."""

    def __init__(self, environment: Environment, tests: list[Listed]) -> None:
        self.directory = Path(tempfile.mkdtemp(dir=environment.work))
        self._events = self.directory / "events"
        self._events.touch()
        self._output = self.directory / "output"
        self._read = 0
        first = tests[0]
        command = [
            str(environment.python),
            *("-I", "-bb", "-W", "default", "-X", "faulthandler"),
            *("-m", f"{PACKAGE}.runner", str(self._events)),
            *(first.module, first.kind, *(test.method for test in tests)),
        ]
        with open(self._output, "ab") as output:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                env=clean_variables(),
                start_new_session=True,
            )

    def new_events(self) -> list[dict[str, Any]]:
        """The events written since the last call."""
        with open(self._events, "rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        return [json.loads(line) for line in whole.splitlines()]

    def output(self, start: int, end: int | None = None) -> str:
        """What it wrote to standard output and error between two places."""
        with open(self._output, "rb") as file:
            file.seek(start)
            size = -1 if end is None else end - start
            text = file.read(size).decode(errors="replace")
        return text if len(text) <= SHOWN else "[...]\n" + text[-SHOWN:]

    def exit_code(self) -> int | None:
        """Its exit code, once it has ended."""
        return self._child.poll()

    def others(self) -> list[int]:
        """The processes that it has started and that are still there."""
        pid = self._child.pid
        return [member for member in _session_members(pid) if member != pid]

    def abort(self) -> None:
        """Abort it: faulthandler writes the tracebacks of its threads."""
        self._child.send_signal(signal.SIGABRT)

    def kill(self) -> None:
        """Kill it and what it has started, and wait for its end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        # Some have made process groups of their own.
        _signal_all(_session_members(self._child.pid), signal.SIGKILL)


class Run:
    """The tests of one class, in one process or, after a hang, in several."""

    def __init__(
        self, environment: Environment, limits: Limits, tests: list[Listed]
    ) -> None:
        """Prepare to run *tests*, all of one class."""
        self._environment = environment
        self._limits = limits
        self._tests = tests
        self._left = [test.method for test in tests]
        self._process: _Process | None = None
        self.outcomes: dict[str, Outcome] = {}

    @property
    def last(self) -> str:
        """The test that also answers for what comes after all of them."""
        return self._tests[-1].method

    @property
    def done(self) -> bool:
        """Whether every test has its outcome and no process is left."""
        return not self._left and self._process is None

    def step(self) -> None:
        """See what has happened; start a process first if there is none."""
        if self._process is None:
            tests = [test for test in self._tests if test.method in self._left]
            self._process = _Process(self._environment, tests)
            #: The test that runs, and where its output begins.
            self._current: str | None = None
            self._output_at = 0
            self._started_any = self._ended = self._discarded = False
            self._next_phase()
        code = self._process.exit_code()
        for event in self._process.new_events():
            self._take(event)
        if code is not None:
            self._exited(code)
        elif self._discarded:
            self.kill()
        elif time.monotonic() > self._since + self._allowed():
            self._too_late()

    def kill(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    # Phases: loading, a test, between two tests, and the process's exit.

    def _next_phase(self) -> None:
        self._since = time.monotonic()
        #: The last step taken against what hangs in this phase.
        self._steps = 0

    def _phase_limit(self) -> float:
        if self._current is not None:
            return self._limits.test
        return self._limits.exit if self._ended else self._limits.load

    def _allowed(self) -> float:
        """Seconds that may pass before the next step is taken."""
        return self._limits.grace if self._steps else self._phase_limit()

    def _too_late(self) -> None:
        assert self._process is not None
        self._steps += 1
        self._since = time.monotonic()
        if self._steps == 1:
            _signal_all(self._process.others(), signal.SIGABRT)
        elif self._steps == 2:
            self._process.abort()
        else:
            self._process.kill()

    def _hung(self) -> str:
        return f"hung: no end within {self._phase_limit():g} s"

    def _take(self, event: dict[str, Any]) -> None:
        """Handle what the process reports."""
        assert self._process is not None
        kind = event.pop("event")
        if kind == "start":
            self._current = event["test"]
            self._output_at = event["at"]
            self._started_any = True
        elif kind == "result":
            test, end = event.pop("test"), event.pop("at")
            output = self._process.output(self._output_at, end)
            outcome = Outcome(**event, output=output)
            if self._steps:
                outcome.outcome = "failed"
                outcome.text = f"{self._hung()}\n{outcome.text}"
                # Its children were aborted: it is no place for other tests.
                self._discarded = True
            self._finish(test, outcome)
            self._current = None
            self._output_at = end
        elif kind == "fixture":
            self._give_all(Outcome(**event))
        else:
            self._ended = True
        self._next_phase()

    def _finish(self, method: str, outcome: Outcome) -> None:
        self._left.remove(method)
        self.outcomes[method] = outcome

    def _give_all(self, outcome: Outcome) -> None:
        """Give *outcome* to all tests left, or add it to the last one."""
        if self._left:
            for method in list(self._left):
                self._finish(method, replace(outcome))
        elif outcome.outcome == "failed":
            last = self.outcomes[self.last]
            last.afterwards += f"{outcome.text}\n{outcome.output}"

    def _exited(self, code: int) -> None:
        """Judge the end of the process; go on in a new one if tests are left."""
        assert self._process is not None
        text = _describe_exit(code)
        if self._steps:
            text = f"{self._hung()}; the process {text}"
        failed = Outcome("failed", text, self._process.output(self._output_at))
        if self._current is not None:
            self._finish(self._current, failed)
        elif self._discarded:
            pass
        elif self._ended and self._left:
            failed.text = "the test did not run"
            self._give_all(failed)
        elif self._ended:
            if code or self._steps:
                self._give_all(failed)
            elif self._waits_for_others():
                return
        elif self._started_any and self._left:
            # It died between two tests: the next one is as good as any.
            self._finish(self._left[0], failed)
        else:
            self._give_all(failed)
        self.kill()

    def _waits_for_others(self) -> bool:
        """Whether what the process left behind still has time to end.

        The resource tracker of multiprocessing ends a moment later.
        """
        assert self._process is not None
        late = time.monotonic() > self._since + self._limits.grace
        return not late and bool(self._process.others())


class Schedule:
    """All runs of a session, a few at a time and in order."""

    def __init__(
        self,
        environment: Environment,
        tests: Iterable[Listed],
        jobs: int,
        limits: Limits,
    ) -> None:
        """Prepare the runs of *tests*, at most *jobs* at the same time."""
        groups: dict[tuple[str, str], list[Listed]] = {}
        for test in tests:
            groups.setdefault((test.module, test.kind), []).append(test)
        self._runs = {
            key: Run(environment, limits, group) for key, group in groups.items()
        }
        self._jobs = jobs

    @property
    def done(self) -> bool:
        """Whether every test has its outcome and no process is left."""
        return all(run.done for run in self._runs.values())

    def _step(self) -> None:
        going = [run for run in self._runs.values() if not run.done]
        for run in going[: self._jobs]:
            run.step()

    def outcome(self, test: Listed) -> Outcome:
        """Wait for the outcome of *test*, and for the end of its class if last."""
        run = self._runs[test.module, test.kind]
        last = run.last == test.method
        while test.method not in run.outcomes or (last and not run.done):
            self._step()
            time.sleep(INTERVAL)
        return run.outcomes[test.method]

    def close(self) -> None:
        """Kill what still runs."""
        for run in self._runs.values():
            run.kill()
