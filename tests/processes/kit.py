"""What the tests of the process pool share."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.waiting import until

from . import jobs

#: The directory from which scripts and their workers import processes.jobs.
TESTS = str(Path(__file__).resolve().parent.parent)

#: Every start method.
METHODS = ("fork", "spawn", "forkserver")

#: Python warns of every fork in a process with threads since 3.12.
QUIET = ("-W", "ignore::DeprecationWarning")

BROKEN = "A child process terminated abruptly, the process pool is not usable anymore"
AFTER = "^cannot schedule new futures after shutdown$"

#: The first lines of a script whose workers import processes.jobs.
PROLOGUE = f"""
import multiprocessing, os, signal, sys, threading, time
sys.path.insert(0, {TESTS!r})
from processes import jobs
"""


def state_of(pid: int) -> str:
    """The state of a process, as ps shows it; "" where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rpartition(")")[2].split()[0]


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    return state_of(pid) in ("", "Z", "X")


def parked(pid: int) -> bool:
    """Whether the main thread of a process sleeps in the system."""
    return state_of(pid) == "S"


def only_worker(pool: Any) -> int:
    """The number of the pool's one worker process."""
    (pid,) = pool._processes
    return int(pid)


def resume_when_stopped(pid: int) -> None:
    """Wait until a process is stopped, then let it go on."""
    until(lambda: state_of(pid) == "T")
    os.kill(pid, signal.SIGCONT)


def text_of_cause(error: BaseException) -> str:
    """The text that stands above the traceback of an exception from a worker."""
    return str(error.__cause__)


def usable(pool: Any) -> None:
    """Fail unless the executor answers calls."""
    assert pool.submit(abs, -7).result(30) == 7
    assert not pool._broken


@contextlib.contextmanager
def light_main() -> Iterator[None]:
    """Spare spawned workers the import of what pytest was started by."""
    main = sys.modules["__main__"]
    path = main.__dict__.pop("__file__", None)
    spec, main.__spec__ = main.__spec__, None
    try:
        yield
    finally:
        main.__spec__ = spec
        if path is not None:
            main.__file__ = path


class Gate:
    """A gate for tasks: `jobs.hold` waits for it, and says when it has begun.

    Made of pipes: an Event of multiprocessing waits for ever, when it is set,
    for a process that was killed while it waited.
    """

    def __init__(self, context: Any) -> None:
        self._closed, self._opener = context.Pipe(duplex=False)
        self._begun, self._beginner = context.Pipe(duplex=False)
        self.values = {"gate": self._closed, "begun": self._beginner}
        self.options = {
            "initializer": jobs.keep_these,
            "initargs": (self.values,),
        }

    def wait_begun(self, count: int = 1) -> list[Any]:
        """Wait until so many tasks have begun; return their arguments."""
        begun = []
        for _ in range(count):
            assert self._begun.poll(30), "the task does not begin"
            begun.append(self._begun.recv())
        return begun

    def has_begun(self) -> bool:
        """Whether one more task has begun."""
        return self._begun.poll(0)

    def open(self) -> None:
        """Let the tasks go on."""
        self._opener.send(None)

    def close(self) -> None:
        """Let go of the pipes, which opens the gate as well."""
        for end in self._closed, self._opener, self._begun, self._beginner:
            end.close()
