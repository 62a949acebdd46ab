"""What runs in other interpreters.  Imports little."""

from __future__ import annotations

import contextvars
import enum
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def visit(path: str) -> None:
    """Make this package importable; sent as code, since it is not yet."""
    import sys

    sys.path.insert(0, path)


def number() -> int:
    """The number of the interpreter that runs this."""
    import sys

    if sys.version_info >= (3, 13):
        import _interpreters

        return int(_interpreters.get_current()[0])
    import _xxsubinterpreters  # type: ignore[import-not-found]

    return int(_xxsubinterpreters.get_current())


def place() -> tuple[int, int]:
    """The interpreter's and the thread's number."""
    return number(), threading.get_ident()


def same(value: Any) -> Any:
    """Return the argument."""
    return value


def kind_and_text(value: Any) -> tuple[str, str]:
    """What an argument is, seen from there."""
    return type(value).__qualname__, repr(value)


def keywords(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """Return all arguments."""
    return args, kwargs


VARIABLE: contextvars.ContextVar[int] = contextvars.ContextVar("VARIABLE")
LOCAL = threading.local()

#: Marks that calls leave in their interpreter.
marks: list[Any] = []


def mark(value: Any) -> int:
    """Leave a mark; return how many there are."""
    marks.append(value)
    return len(marks)


def read_marks() -> list[Any]:
    """All marks of this interpreter."""
    return marks


def fail(error: BaseException) -> None:
    """Raise the argument."""
    raise error


def fail_with(text: str) -> None:
    """Raise what a call raises."""
    raise LookupError(text)


def fill(view: Any, value: int) -> int:
    """Write into shared memory; return what was there first."""
    before = int(view[0])
    view[:] = bytes([value]) * len(view)
    return before


def wait_for_byte(view: Any, value: int) -> int:
    """Return when the first byte of shared memory has that value."""
    while view[0] != value:
        time.sleep(0.001)
    return number()


def wait_for_file(path: str) -> str:
    """Return when there is such a file."""
    while not os.path.exists(path):
        time.sleep(0.001)
    return path


def announce_and_wait(mine: str, other: str) -> str:
    """Make the one file, wait for the other."""
    with open(mine, "w"):
        pass
    return wait_for_file(other)


def burn(mine: str, other: str) -> int:
    """As announce_and_wait(), but without ever giving up the GIL by waiting."""
    with open(mine, "w"):
        pass
    turns = 0
    while not os.path.exists(other):
        turns += 1
    return turns


@dataclass
class Point:
    """Something that is not plain."""

    x: int
    y: list[int] = field(default_factory=list)

    def moved(self, by: int) -> Point:
        """Be a method."""
        return Point(self.x + by, self.y)

    @staticmethod
    def origin() -> Point:
        """Be a static method."""
        return Point(0)

    @classmethod
    def named(cls) -> str:
        """Be a class method."""
        return cls.__name__


class Color(enum.Enum):
    """An enumeration."""

    RED = 1
    BLUE = "b"


class Shout(str):
    """A str that is not plain."""


class Loud(Exception):
    """An exception that pickle can only copy by its __reduce__."""

    def __init__(self, text: str, *, level: int) -> None:
        super().__init__(text)
        self.level = level

    def __reduce__(self) -> Any:
        return _make_loud, (*self.args, self.level)


def _make_loud(text: str, level: int) -> Loud:
    return Loud(text, level=level)


class Fragile(Exception):
    """An exception that can be pickled, and not unpickled."""

    def __init__(self, text: str, number: int) -> None:
        super().__init__(text)


def fail_with_fragile() -> None:
    """Raise it."""
    raise Fragile("frail", 1)


class Unsendable:
    """Its pickling raises."""

    def __init__(self, error: type[BaseException] = ValueError) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error("cannot be pickled")


class Unreadable:
    """Its unpickling raises."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def make(kind: str) -> Any:
    """Return something that cannot travel."""
    if kind == "generator":
        return (i for i in ())
    if kind == "unsendable":
        return Unsendable()
    if kind == "unreadable":
        return Unreadable()
    if kind == "exit":
        return Unsendable(SystemExit)

    class Local:
        pass

    return Local()


class Calling:
    """Its pickling calls a function that is there only where it was made."""

    call: Callable[[], object] | None = None

    def __reduce__(self) -> Any:
        assert Calling.call is not None
        Calling.call()
        return int, ()


def set_context_variable() -> object:
    """Return what a context variable was, and set it."""
    before = VARIABLE.get(None)
    VARIABLE.set(1)
    return before


def set_local() -> object:
    """Return what a thread's own value was, and set it."""
    before = getattr(LOCAL, "value", None)
    LOCAL.value = 1
    return before


def start_thread(path: str) -> bool:
    """Start a thread that writes a file a little later; return at once."""

    def later() -> None:
        time.sleep(0.05)
        with open(path, "w") as file:
            file.write("written")

    thread = threading.Thread(target=later)
    thread.start()
    return thread.is_alive()


def import_module(name: str) -> str:
    """Import a module."""
    import importlib

    return importlib.import_module(name).__name__


def interrupt() -> None:
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt("mine")


def leave() -> None:
    """Raise SystemExit."""
    sys.exit(7)


def use_threads(count: int) -> list[int]:
    """Use a thread pool of ours in here."""
    import futures_c

    with futures_c.ThreadPoolExecutor(2) as pool:
        made = [pool.submit(pow, n, 2) for n in range(count)]
        futures_c.wait(made)
        found = sorted(f.result() for f in futures_c.as_completed(made))
        assert found == list(pool.map(pow, range(count), [2] * count))
    return found


def use_loop(count: int) -> list[int]:
    """Use asyncio over a thread pool of ours in here."""
    import asyncio

    import futures_c

    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        with futures_c.ThreadPoolExecutor(2) as pool:
            calls = [loop.run_in_executor(pool, abs, -n) for n in range(count)]
            first = await asyncio.gather(*calls)
            assert first == [await pool.submit(abs, -n) for n in range(count)]
            return first

    return asyncio.run(main())


def use_pool(depth: int) -> list[int]:
    """The numbers of the interpreters in pools within pools."""
    import futures_c

    if depth == 0:
        return [number()]
    with futures_c.InterpreterPoolExecutor(1) as pool:
        pool.submit(visit, sys.path[0]).result()
        return [number(), *pool.submit(use_pool, depth - 1).result()]


def counts() -> tuple[int, int]:
    """References and blocks of this interpreter, on a debug build."""
    import gc

    gc.collect()
    # What is looked up by a name that pickle has made stays in it.
    if hasattr(sys, "_clear_internal_caches"):
        sys._clear_internal_caches()
    else:
        sys._clear_type_cache()
    total = getattr(sys, "gettotalrefcount", int)
    return total(), sys.getallocatedblocks()


def is_switched() -> bool:
    """Whether concurrent.futures is ours in this interpreter."""
    import concurrent.futures

    import futures_c

    pool = concurrent.futures.ThreadPoolExecutor
    return pool is futures_c.ThreadPoolExecutor
