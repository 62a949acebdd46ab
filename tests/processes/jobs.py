"""What the tests of the process pool have workers do.

Workers that were not forked import this module by its name, so it imports
little, and nothing of pytest.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import util
from typing import Any

#: Exit codes of workers that end by os._exit() and sys.exit().
EXIT = 41
SYS_EXIT = 42

#: What the initializer has put down for the tasks of its worker.
kept: dict[str, Any] = {}


# --- events ------------------


class Trouble(Exception):
    """What an event of a fault test raises."""


def _signal(number: int) -> None:
    # Whoever tests has asked for the death: no traceback, and no core.
    faulthandler.disable()
    if number == signal.SIGSEGV:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _raise(kind: type[BaseException]) -> None:
    raise kind("on purpose")


EVENTS: dict[str, Callable[[], object]] = {
    "kill": lambda: _signal(signal.SIGKILL),
    "segv": lambda: _signal(signal.SIGSEGV),
    "_exit": lambda: os._exit(EXIT),
    "sys.exit": lambda: sys.exit(SYS_EXIT),
    "exception": lambda: _raise(Trouble),
    "memory": lambda: _raise(MemoryError),
    "interrupt": lambda: _raise(KeyboardInterrupt),
    "stop": lambda: _signal(signal.SIGSTOP),
    "close": lambda: os.closerange(0, 1 << 16),
}


def act(event: str) -> str:
    """Have *event* happen to this process; return its name if it goes on."""
    EVENTS[event]()
    return event


def act_on_signal(event: str) -> None:
    """As an initializer: have *event* happen to the main thread at SIGUSR1."""
    signal.signal(signal.SIGUSR1, lambda number, frame: act(event))


def act_at_exit(event: str) -> str:
    """As a task: have *event* happen when the process leaves."""
    # Unlike atexit, this runs in workers of every start method and version.
    util.Finalize(None, act, (event,), exitpriority=100)
    return event


class Unpickled:
    """Whoever unpickles it has *event* happen, and gets the event's name."""

    def __init__(self, event: str) -> None:
        self.event = event

    def __reduce__(self) -> tuple[Any, ...]:
        return act, (self.event,)


class Pickled:
    """Whoever pickles it has *event* happen; arrives as the event's name."""

    def __init__(self, event: str) -> None:
        self.event = event

    def __reduce__(self) -> tuple[Any, ...]:
        act(self.event)
        return str, (self.event,)


def give_pickled(event: str) -> Pickled:
    """Return what acts when the worker pickles its result."""
    return Pickled(event)


def give_unpickled(event: str) -> Unpickled:
    """Return what acts when the parent unpickles the result."""
    return Unpickled(event)


def give_padded(event: str, padding: bytes) -> tuple[object, ...]:
    """Return *padding* and, behind it, what acts when it is pickled."""
    return padding, Pickled(event)


class PickledBesideSignal:
    """Pickling it sends a signal to the process *pid*; arrives as "pickled"."""

    def __init__(self, pid: int, number: int) -> None:
        self.pid = pid
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        os.kill(self.pid, self.number)
        time.sleep(0.02)  # The death may be seen meanwhile, or not.
        return str, ("pickled",)


# --- plain tasks ------------------


def identity(value: object) -> object:
    """Return the argument."""
    return value


def pair(first: object, second: object) -> tuple[object, object]:
    """Return both."""
    return first, second


def pid(_: object = None) -> int:
    """Return the number of the worker's process."""
    return os.getpid()


def nap(seconds: float, value: object = None) -> object:
    """Sleep, then return *value*."""
    time.sleep(seconds)
    return value


def fail(kind: type[BaseException], *args: object) -> None:
    """Raise an exception."""
    raise kind(*args)


def keep(**values: object) -> None:
    """As an initializer, by partial(): put *values* down for tasks."""
    kept.update(values)


def keep_these(values: dict[str, object]) -> None:
    """As an initializer: put *values* down for tasks."""
    kept.update(values)


def meet(seconds: float = 30) -> int:
    """Wait at the barrier that the initializer has brought."""
    kept["barrier"].wait(seconds)
    return os.getpid()


def hold(value: object = None, seconds: float = 30) -> object:
    """Say that it has begun and wait for the gate that the initializer has brought."""
    kept["begun"].send(value)
    kept["gate"].poll(seconds)
    return value


def note(value: object) -> object:
    """Add *value* to the pipe that the initializer has brought."""
    kept["notes"].put(value)
    return value


def thread_names() -> list[str]:
    """Return the names of the worker's threads."""
    return [thread.name for thread in threading.enumerate()]


def ignore(number: int) -> None:
    """As an initializer: ignore a signal."""
    signal.signal(number, signal.SIG_IGN)


def fork_a_sleeper(seconds: float) -> int:
    """Fork a process that holds on to everything for a while; give its number."""
    child = os.fork()
    if child == 0:
        signal.alarm(0)
        time.sleep(seconds)
        os._exit(0)
    return child


#: The threads of this process that have unpickled an Arriving.
arrivals: list[int] = []


def _arrive() -> str:
    arrivals.append(threading.get_ident())
    return "arrived"


class Arriving:
    """Notes the thread that unpickles it; arrives as "arrived"."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, ()


def give_arriving() -> Arriving:
    """Return what notes the thread that unpickles it."""
    return Arriving()


def pid_after(seconds: float) -> int:
    """Sleep, then return the number of the worker's process."""
    time.sleep(seconds)
    return os.getpid()


def about_process() -> tuple[str, int | None, bool | None]:
    """Say the process's name, the number of its parent, and whether it is daemonic."""
    import multiprocessing

    process = multiprocessing.current_process()
    parent = multiprocessing.parent_process()
    return process.name, parent and parent.pid, process.daemon


def log_and_fail(path: str) -> None:
    """As an initializer: send the log to a file, and raise."""
    import logging

    logging.getLogger("concurrent.futures").addHandler(logging.FileHandler(path))
    raise Trouble("in the initializer")


def inner_sum(module: str, kind: str, method: str, start: int) -> int:
    """Add up *start* and five numbers in a pool of its own."""
    import importlib
    import multiprocessing

    futures = importlib.import_module(module)
    if kind == "threads":
        pool = futures.ThreadPoolExecutor(2)
    else:
        context = multiprocessing.get_context(method)
        pool = futures.ProcessPoolExecutor(2, context)
    with pool:
        return sum(pool.map(abs, [-start - i for i in range(5)], timeout=20))


def descend(module: str, method: str, levels: int) -> int:
    """Make a pool inside the pool, and one inside that."""
    import importlib
    import multiprocessing

    if levels == 0:
        return 0
    futures = importlib.import_module(module)
    context = multiprocessing.get_context(method)
    with futures.ProcessPoolExecutor(1, context) as pool:
        return 1 + int(pool.submit(descend, module, method, levels - 1).result(20))


class Thing:
    """Something that weak references can refer to."""


def make_object():
    """Return a new one."""
    return Thing()


class Noted:
    """Something whose end in the worker leaves a file; it travels as a text."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return str, ("noted",)

    def __del__(self) -> None:
        with open(self.path, "w"):
            pass


def give_noted(path: str) -> Noted:
    """Return one."""
    return Noted(path)


def raise_noted(path: str) -> None:
    """Raise an exception in whose frame one is."""
    noted = Noted(path)
    raise LookupError("noted", id(noted))


class Large:
    """Bytes that travel out of band (PEP 574)."""

    def __init__(self, buffer):
        self.buffer = buffer

    def __reduce_ex__(self, protocol):
        return Large, (pickle.PickleBuffer(self.buffer),)


def make_large(value):
    """Return a megabyte of one value."""
    return Large(bytearray([value]) * 1_000_000)


# --- what is left behind ------------------


def leave_a_mark(path: str, seconds: float) -> None:
    """Add a byte to a file, and take some time."""
    with open(path, "ab") as file:
        file.write(b"x")
    time.sleep(seconds)


def clean_up(path: str, seconds: float) -> str:
    """Nap; when that is interrupted, take *seconds* for a mark in a file."""
    try:
        leave_a_mark(path + ".begun", 0)
        time.sleep(30)
    except KeyboardInterrupt:
        time.sleep(seconds)
        leave_a_mark(path, 0)
    return "caught"


def stop_iteration(x: object) -> object:
    """Raise StopIteration for 0."""
    if x == 0:
        raise StopIteration
    return x
