"""The pools of random programs, with their gates and journals."""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import os
from pathlib import Path
from typing import Any

from . import jobs

_count = itertools.count()


class Gate:
    """What calls wait at: a named pipe, which other processes see as well.

    In threads, too: what waits for a `threading.Event` without a GIL is not always
    woken (gh-117688).
    """

    def __init__(self, directory: Path) -> None:
        self.token = str(directory / f"gate-{next(_count)}")
        os.mkfifo(self.token)
        self._end = os.open(self.token, os.O_RDWR | os.O_NONBLOCK)
        self._open = False

    def open(self) -> None:
        """Let all pass from now on."""
        if not self._open:
            self._open = True
            os.write(self._end, b"o")

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._end)
        os.unlink(self.token)


class Pool:
    """An executor, and what the program has done with it as a whole."""

    #: Where journals and gates are.
    directory: Path

    def __init__(
        self,
        futures: Any,
        kind: str,
        workers: int,
        *,
        initializer: str = "none",
        method: str = "fork",
        **options: Any,
    ) -> None:
        self.kind = kind
        self.workers = workers
        self.options = options
        #: Whether calls may use objects of this process.
        self.shares_memory = kind == "threads"
        self.initialized = initializer != "none" or kind == "interpreters"
        #: What the model allows, since something has happened.
        self.may_break = self.never_begins = initializer == "fails"
        self.may_cancel = False
        self.may_end = False
        #: What has happened for sure.
        self.has_ended = False
        self.left_alone = False  # By shutdown(wait=False).
        self.begun_at_end: int | None = None

        if initializer != "none":
            options["initializer"] = jobs.ready
            options["initargs"] = (initializer == "fails",)
        self.gate = Gate(self.directory)
        self.journal: Any = []
        if not self.shares_memory:
            self.journal = str(self.directory / f"journal-{next(_count)}")
            Path(self.journal).touch()
        if kind == "interpreters":
            options["initializer"] = jobs.visit
            options["initargs"] = (jobs.here(), initializer == "fails")
            make = futures.InterpreterPoolExecutor
        elif kind == "processes":
            context = multiprocessing.get_context(method)
            make = functools.partial(futures.ProcessPoolExecutor, mp_context=context)
        else:
            make = futures.ThreadPoolExecutor
        self.executor: Any = make(workers, **options)

    def begun(self) -> list[int]:
        """The numbers of the calls that have begun, in order."""
        if isinstance(self.journal, str):
            lines = Path(self.journal).read_text().splitlines()
            return [int(line) for line in lines]
        return list(self.journal)

    def close(self) -> None:
        """Let go of gate and journal."""
        self.gate.close()
        if isinstance(self.journal, str):
            os.unlink(self.journal)
