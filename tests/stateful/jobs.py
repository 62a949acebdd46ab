"""What the calls of random programs do, in threads, processes and interpreters.

Each call notes in a journal that it has begun.  In one process that is a list;
otherwise the path of a file, to which each process and interpreter adds lines.
Gates are the path of a named pipe.
Imports little, since workers import it.
"""

from __future__ import annotations

import os
import select
import threading
from typing import Any

#: Seconds that a call waits at a gate which nobody opens.
GATE_CAP = 30.0

#: Bytes of a large argument or result: beyond what travels in a ring.
LARGE = 600_000

#: What the initializer has left in its thread.
_local = threading.local()


class Trouble(Exception):
    """What calls raise."""


class Upset(BaseException):
    """What calls raise that is no Exception."""


def visit(path: str, fails: bool) -> None:
    """As an initializer, sent as code: make this package importable, be `ready`."""
    import sys

    if path not in sys.path:
        sys.path.insert(0, path)
    from stateful import jobs

    jobs.ready(fails)


def ready(fails: bool = False) -> None:
    """As an initializer: leave a mark in the thread, or raise."""
    if fails:
        raise Trouble("in the initializer")
    _local.ready = True


def note(journal: Any, number: int) -> None:
    """Note that the call of this number has begun."""
    if not isinstance(journal, str):
        journal.append(number)
        return
    file = os.open(journal, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(file, b"%d\n" % number)
    finally:
        os.close(file)


def pass_gate(gate: str) -> None:
    """Wait until the gate is open."""
    pipe = os.open(gate, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not select.select([pipe], [], [], GATE_CAP)[0]:
            raise AssertionError("nobody opens the gate")
    finally:
        os.close(pipe)


def run(
    journal: Any, number: int, what: str, details: Any = None, *, initialized: bool
) -> object:
    """Note the beginning, then do *what*; return the number in most cases."""
    note(journal, number)
    if initialized and not getattr(_local, "ready", False):
        raise AssertionError("the initializer has not run in this thread")
    if what == "error":
        raise Trouble(number)
    if what == "exit":
        raise SystemExit(number)
    if what == "upset":
        raise Upset(number)
    if what == "gated":
        pass_gate(details)
    elif what == "large":
        return bytes([number % 256]) * LARGE
    elif what == "thread":
        return threading.current_thread().name
    elif what == "unsendable result":
        return threading.Lock()
    elif what in ("nested", "shut down"):
        details()
    elif what == "own pool":
        return own_pool(details, number)
    elif what == "item" and details is not None and number == details:
        raise Trouble(number)
    return number


def item(fixed: tuple[Any, int | None, bool], number: int) -> object:
    """One item of a map(), of which one may fail."""
    journal, failing, initialized = fixed
    return run(journal, number, "item", failing, initialized=initialized)


def own_pool(module: str, number: int) -> object:
    """Have a thread of a pool of this process return the number."""
    import importlib

    futures = importlib.import_module(module)
    with futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(abs, -number).result(GATE_CAP)


def here() -> str:
    """The directory from which workers import this package."""
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
