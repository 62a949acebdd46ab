"""What the tests of futures share: futures in any state, and helper threads.

A native future has several ways to be: untouched, with a `_condition` that
somebody asked for, of a Python subclass, or re-initialised by the standard
`Future.__init__`.  `MODES` names them, and `new_future` makes one.  `STATES`
names every state, and `put_in_state` brings a future there by its methods, or
by assigning the private attributes as CPython's own tests do.
"""

from __future__ import annotations

import concurrent.futures
import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

#: How a bare future came to be; see new_future().
MODES = ("plain", "condition", "subclass", "reinitialised")

#: Every state that a future may be in, with the exception told apart.
STATES = (
    "pending",
    "running",
    "cancelled",
    "notified",
    "result",
    "exception",
)

#: The value of `_state` that goes with each of STATES.
STATE_NAMES = {
    "pending": "PENDING",
    "running": "RUNNING",
    "cancelled": "CANCELLED",
    "notified": "CANCELLED_AND_NOTIFIED",
    "result": "FINISHED",
    "exception": "FINISHED",
}

#: The states in which done() is true.
DONE = ("cancelled", "notified", "result", "exception")

#: Seconds that another thread gets to arrive where it blocks.  Tests stay
#: right if it is late; they then see less of what may go wrong.
PAUSE = 0.03

#: Seconds that anything which ought to end is waited for.
CAP = 20.0

#: Seconds given as the time limit of a call that ends long before: whoever is
#: not woken is found by CAP, and not saved by the end of its own limit.
LONG = 3600.0


class Oops(Exception):
    """The exception of futures that failed."""


@functools.cache
def _subclass(base: type) -> type:
    return type("SubFuture", (base,), {"__doc__": "A future in Python."})


def new_future(futures: ModuleType, mode: str = "plain") -> Any:
    """Make a bare future in one of MODES."""
    if mode == "subclass":
        return _subclass(futures.Future)()
    future = futures.Future()
    if mode == "condition":
        future._condition  # noqa: B018 - reading it makes it.
    elif mode == "reinitialised":
        concurrent.futures.Future.__init__(future)
    return future


def put_in_state(future: Any, state: str) -> Any:
    """Bring a pending *future* to *state* by its methods; return it."""
    if state == "running":
        future.set_running_or_notify_cancel()
    elif state == "cancelled":
        future.cancel()
    elif state == "notified":
        future.cancel()
        future.set_running_or_notify_cancel()
    elif state == "result":
        future.set_result(42)
    elif state == "exception":
        future.set_exception(Oops("no luck"))
    return future


def assign_state(future: Any, state: str) -> Any:
    """Bring *future* to *state* by assignment, as CPython's tests do."""
    future._state = STATE_NAMES[state]
    if state == "exception":
        future._exception = Oops("no luck")
    elif state == "result":
        future._result = 42
    return future


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[str, Any]:
    """Return ("returned", value), or the exception's class name and text."""
    try:
        return "returned", call(*args, **kwargs)
    except BaseException as exc:
        return type(exc).__name__, str(exc)


class Call(threading.Thread):
    """Call a function in a thread of its own and keep what came of it."""

    def __init__(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Start calling."""
        super().__init__(daemon=True)
        self._call = functools.partial(call, *args, **kwargs)
        self._outcome: tuple[str, Any] = ("never ended", None)
        self.start()

    def run(self) -> None:
        """Keep the outcome for end()."""
        self._outcome = outcome(self._call)
        del self._call

    def end(self) -> tuple[str, Any]:
        """Wait for the end of the call and return its outcome()."""
        self.join(CAP)
        assert not self.is_alive(), "the call in the thread never ended"
        return self._outcome


def pause() -> None:
    """Give other threads the time to get to where they block."""
    time.sleep(PAUSE)


class Waiter:
    """A waiter of somebody else's, as the protocol of `_waiters` has it."""

    def __init__(self) -> None:
        """Start with no calls noted."""
        self.calls: list[tuple[str, Any]] = []

    def add_result(self, future: Any) -> None:
        """Note that *future* has a result."""
        self.calls.append(("result", future))

    def add_exception(self, future: Any) -> None:
        """Note that *future* failed."""
        self.calls.append(("exception", future))

    def add_cancelled(self, future: Any) -> None:
        """Note that *future* was cancelled."""
        self.calls.append(("cancelled", future))


class ForeignFuture:
    """No Future at all, but with what the waiter protocol needs."""

    def __init__(self) -> None:
        """Begin as pending."""
        self._condition = threading.Condition()
        self._state = "PENDING"
        self._waiters: list[Any] = []
        self._error: BaseException | None = None

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        return self._state.startswith("CANCELLED")

    def exception(self) -> BaseException | None:
        """Return the error of a finished one."""
        return self._error

    def finish(self, error: BaseException | None = None) -> None:
        """End it and tell the waiters."""
        with self._condition:
            self._error = error
            self._state = "FINISHED"
            for waiter in self._waiters:
                if error is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)
            self._condition.notify_all()

    def end_cancelled(self) -> None:
        """End it as cancelled and tell the waiters."""
        with self._condition:
            self._state = "CANCELLED_AND_NOTIFIED"
            for waiter in self._waiters:
                waiter.add_cancelled(self)
            self._condition.notify_all()


class BreakingCondition:
    """A condition that raises *error* once it has been taken *left* times."""

    def __init__(self, error: BaseException | None = None, left: float = 0) -> None:
        """Begin free; without *error* it never breaks, until that is assigned."""
        self.lock = threading.RLock()
        self.error = error
        self.left = left

    def acquire(self) -> bool:
        """Take it, or raise."""
        if self.error is not None and self.left <= 0:
            raise self.error
        self.left -= 1
        return self.lock.acquire()

    def release(self) -> None:
        """Give it back."""
        self.lock.release()

    def __enter__(self) -> bool:
        """Take it, or raise."""
        return self.acquire()

    def __exit__(self, *exc_info: object) -> None:
        """Give it back."""
        self.release()


def take_all(iterator: Iterator[Any], got: list[Any]) -> None:
    """Take what is left, together with other threads."""
    while True:
        try:
            got.append(next(iterator))
        except StopIteration:
            return
        except ValueError as exc:
            # A generator tells the second thread to come back later.
            assert "already executing" in str(exc)
            time.sleep(0.0005)


class Relay:
    """Inputs that each wait until the item before has run."""

    def __init__(self, count: int) -> None:
        """Begin with none of *count* items run."""
        self.done = [threading.Event() for _ in range(count)]

    def draw(self) -> Iterator[int]:
        """Yield the inputs."""
        for number in range(len(self.done)):
            if number:
                assert self.done[number - 1].wait(20)
            yield number

    def work(self, number: int) -> int:
        """Run one item."""
        self.done[number].set()
        return number


@contextmanager
def gate() -> Iterator[threading.Event]:
    """Give an event that tasks may wait for; it is set on the way out."""
    event = threading.Event()
    try:
        yield event
    finally:
        event.set()


class Work:
    """A function whose item 1 blocks, and that notes what has begun."""

    def __init__(self) -> None:
        """Begin with the gate closed."""
        self.ran: list[int] = []
        self.blocked = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, number: int) -> int:
        """Note *number*; block at 1."""
        self.ran.append(number)
        if number == 1:
            self.blocked.set()
            assert self.go_on.wait(20)
        return number


def finish(pool: Any, work: Work) -> None:
    """Let the blocked item go and wait until the pool has nothing left."""
    work.go_on.set()
    pool.submit(abs, 1).result(CAP)


class Thing:
    """An object that can be watched, and that may be part of a cycle."""


def free_threaded() -> bool:
    """Tell whether this interpreter runs without a GIL."""
    return not getattr(sys, "_is_gil_enabled", lambda: True)()
