"""The rivals, each behind the same few verbs.

A verb handles a whole batch, with the loop inside, so that what is timed is
the calls that users write and not the adapter: a Python call more per task
would be a fifth of what is measured.  Nothing here imports a rival before it
is opened; the measured process must not load what it does not measure.
"""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

Task = Callable[..., Any]


class Rival(ABC):
    """One way to run tasks; `name` is what the command line calls it."""

    name: ClassVar[str]
    label: ClassVar[str]

    @abstractmethod
    def open(self, workers: int) -> Any:
        """Return a new pool with at most `workers` workers."""

    @abstractmethod
    def close(self, pool: Any) -> None:
        """Wait for everything queued and end the pool's workers."""

    @contextmanager
    def pool(self, workers: int) -> Iterator[Any]:
        """Open a pool for the length of a with block."""
        pool = self.open(workers)
        try:
            yield pool
        finally:
            self.close(pool)

    @abstractmethod
    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        """Call ``fn()`` `count` times in the pool; return the handles."""

    @abstractmethod
    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        """Call ``fn(arg)`` in the pool for each of `args`; return the handles."""

    @abstractmethod
    def submit_and_forget(self, pool: Any, fn: Task, arg: Any, count: int) -> None:
        """Call ``fn(arg)`` `count` times in the pool, keeping no handle."""

    @abstractmethod
    def results(self, handles: list[Any]) -> None:
        """Ask every handle for its result, in order."""

    @abstractmethod
    def wait(self, handles: list[Any]) -> None:
        """Wait until every handle is done, without asking for results."""

    @abstractmethod
    def as_completed(self, pool: Any, fn: Task, count: int) -> None:
        """Call ``fn(i)`` `count` times, taking results as they complete."""

    @abstractmethod
    def map(self, pool: Any, fn: Task, args: Iterable[Any]) -> None:
        """Take every result of a map over `args`."""

    @abstractmethod
    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        """Submit one task and wait for its result, `count` times over."""

    @abstractmethod
    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        """Call ``fn()`` `count` times with a callback on each; return handles."""


class FuturesRival(Rival):
    """A module with the interface of concurrent.futures."""

    module_name: ClassVar[str]

    def __init__(self) -> None:
        """Import the module."""
        self.module: Any = importlib.import_module(self.module_name)

    def open(self, workers: int) -> Any:
        return self.module.ThreadPoolExecutor(workers)

    def close(self, pool: Any) -> None:
        pool.shutdown()

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        submit = pool.submit
        return [submit(fn) for _ in range(count)]

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        submit = pool.submit
        return [submit(fn, arg) for arg in args]

    def submit_and_forget(self, pool: Any, fn: Task, arg: Any, count: int) -> None:
        submit = pool.submit
        for _ in range(count):
            submit(fn, arg)

    def results(self, handles: list[Any]) -> None:
        for handle in handles:
            handle.result()

    def wait(self, handles: list[Any]) -> None:
        self.module.wait(handles)

    def as_completed(self, pool: Any, fn: Task, count: int) -> None:
        submit = pool.submit
        for future in self.module.as_completed([submit(fn, i) for i in range(count)]):
            future.result()

    def map(self, pool: Any, fn: Task, args: Iterable[Any]) -> None:
        for _ in pool.map(fn, args):
            pass

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        submit = pool.submit
        for _ in range(count):
            submit(fn).result()

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        submit = pool.submit
        handles = []
        for _ in range(count):
            future = submit(fn)
            future.add_done_callback(callback)
            handles.append(future)
        return handles


class Ours(FuturesRival):
    """The package that is measured."""

    name = "futures_c"
    label = "futures_c"
    module_name = "futures_c"


class Standard(FuturesRival):
    """concurrent.futures of the running interpreter."""

    name = "standard"
    label = "concurrent.futures"
    module_name = "concurrent.futures"


class ThreadPool(Rival):
    """multiprocessing.pool.ThreadPool, by its own names for the same things.

    Its map cuts the input into about four chunks per worker by default and
    its users get that, so that is what is measured.  The nearest thing to
    as_completed is imap_unordered.
    """

    name = "threadpool"
    label = "ThreadPool"

    def __init__(self) -> None:
        """Import the module."""
        self.module: Any = importlib.import_module("multiprocessing.pool")

    def open(self, workers: int) -> Any:
        return self.module.ThreadPool(workers)

    def close(self, pool: Any) -> None:
        pool.close()
        pool.join()

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        submit = pool.apply_async
        return [submit(fn) for _ in range(count)]

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        submit = pool.apply_async
        return [submit(fn, (arg,)) for arg in args]

    def submit_and_forget(self, pool: Any, fn: Task, arg: Any, count: int) -> None:
        submit = pool.apply_async
        for _ in range(count):
            submit(fn, (arg,))

    def results(self, handles: list[Any]) -> None:
        for handle in handles:
            handle.get()

    def wait(self, handles: list[Any]) -> None:
        for handle in handles:
            handle.wait()

    def as_completed(self, pool: Any, fn: Task, count: int) -> None:
        for _ in pool.imap_unordered(fn, range(count)):
            pass

    def map(self, pool: Any, fn: Task, args: Iterable[Any]) -> None:
        for _ in pool.map(fn, args):
            pass

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        submit = pool.apply_async
        for _ in range(count):
            submit(fn).get()

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        submit = pool.apply_async
        return [submit(fn, callback=callback) for _ in range(count)]


class Loop(Rival):
    """The floor: the same work with no pool at all.

    Where a scenario is about threads as such (starting them), the floor is
    bare threading.Thread objects.
    """

    name = "loop"
    label = "plain loop"

    def open(self, workers: int) -> Any:
        return []

    def close(self, pool: Any) -> None:
        for thread in pool:
            thread.join()

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        return [fn() for _ in range(count)]

    def start_threads(self, pool: Any, fn: Task, count: int) -> list[Any]:
        """Run ``fn()`` on `count` bare threads, joined by `close`."""
        for _ in range(count):
            thread = threading.Thread(target=fn)
            thread.start()
            pool.append(thread)
        return []

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        return [fn(arg) for arg in args]

    def submit_and_forget(self, pool: Any, fn: Task, arg: Any, count: int) -> None:
        for _ in range(count):
            fn(arg)

    def results(self, handles: list[Any]) -> None:
        for _ in handles:
            pass

    def wait(self, handles: list[Any]) -> None:
        pass

    def as_completed(self, pool: Any, fn: Task, count: int) -> None:
        for result in [fn(i) for i in range(count)]:
            del result

    def map(self, pool: Any, fn: Task, args: Iterable[Any]) -> None:
        for arg in args:
            fn(arg)

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        for _ in range(count):
            fn()

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        return [callback(fn()) for _ in range(count)]


RIVALS: dict[str, type[Rival]] = {
    kind.name: kind for kind in (Ours, Standard, ThreadPool, Loop)
}
