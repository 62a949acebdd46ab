"""The rivals among process pools, each behind the same few verbs.

As in `rivals`, a verb handles a whole batch with the loop inside, written as
a user of that library writes it, and nothing imports a rival before it is opened.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from .meter import Skip

Task = Callable[..., Any]


class ProcessRival(ABC):
    """One way to run tasks in processes; `name` is what the command line calls it."""

    name: ClassVar[str]
    label: ClassVar[str]
    module_name: ClassVar[str]
    pool_name: ClassVar[str]

    def __init__(self) -> None:
        """Import all of the module; skip the scenario where it is not installed.

        Some load the pool itself when its name is first asked for, and what is
        timed is no import.
        """
        try:
            self.module: Any = importlib.import_module(self.module_name)
            getattr(self.module, self.pool_name)
        except ImportError as error:
            raise Skip(f"{self.label} does not import: {error}") from None

    @abstractmethod
    def open(self, workers: int, method: str) -> Any:
        """Return a new pool whose workers are started by `method`."""

    @abstractmethod
    def close(self, pool: Any) -> None:
        """Wait for everything queued and end the pool's workers."""

    @contextmanager
    def pool(self, workers: int, method: str) -> Iterator[Any]:
        """Open a pool for the length of a with block."""
        pool = self.open(workers, method)
        try:
            yield pool
        finally:
            self.close(pool)

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        """Call ``fn()`` `count` times in the pool; return the handles."""
        raise self._unfit("submit")

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        """Call ``fn(arg)`` in the pool for each of `args`; return the handles."""
        raise self._unfit("submit")

    def results(self, handles: list[Any]) -> list[Any]:
        """Ask every handle for its result, in order."""
        raise self._unfit("result")

    def map(
        self, pool: Any, fn: Task, args: Iterable[Any], chunksize: int | None
    ) -> int:
        """Take every result of a map over `args`; return how many there were.

        None leaves *chunksize* out, whatever that means to the rival.
        """
        raise self._unfit("map")

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        """Submit one task and wait for its result, `count` times over."""
        raise self._unfit("submit")

    def send(self, pool: Any, fn: Task, payload: Any, count: int) -> Any:
        """As ping_pong, with a payload; return what came back last."""
        raise self._unfit("submit")

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        """Call ``fn()`` `count` times with a callback on each; return handles."""
        raise self._unfit("callback")

    def _unfit(self, verb: str) -> Skip:
        return Skip(f"{self.label} has nothing like {verb}")


def _context(method: str) -> Any:
    return importlib.import_module("multiprocessing").get_context(method)


def _count(results: Iterable[Any]) -> int:
    taken = 0
    for _ in results:
        taken += 1
    return taken


class FuturesProcesses(ProcessRival):
    """A process pool with the interface of concurrent.futures."""

    pool_name = "ProcessPoolExecutor"

    def open(self, workers: int, method: str) -> Any:
        return self.module.ProcessPoolExecutor(workers, mp_context=_context(method))

    def close(self, pool: Any) -> None:
        pool.shutdown()

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        submit = pool.submit
        return [submit(fn) for _ in range(count)]

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        submit = pool.submit
        return [submit(fn, arg) for arg in args]

    def results(self, handles: list[Any]) -> list[Any]:
        return [handle.result() for handle in handles]

    def map(
        self, pool: Any, fn: Task, args: Iterable[Any], chunksize: int | None
    ) -> int:
        if chunksize is None:
            return _count(pool.map(fn, args))
        return _count(pool.map(fn, args, chunksize=chunksize))

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        submit = pool.submit
        for _ in range(count):
            submit(fn).result()

    def send(self, pool: Any, fn: Task, payload: Any, count: int) -> Any:
        submit = pool.submit
        for _ in range(count):
            back = submit(fn, payload).result()
        return back

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        submit = pool.submit
        handles = []
        for _ in range(count):
            future = submit(fn)
            future.add_done_callback(callback)
            handles.append(future)
        return handles


class OurProcesses(FuturesProcesses):
    """The package that is measured."""

    name = "futures_c"
    label = "futures_c"
    module_name = "futures_c"


class StandardProcesses(FuturesProcesses):
    """concurrent.futures of the running interpreter."""

    name = "standard"
    label = "concurrent.futures"
    module_name = "concurrent.futures"


class LokyProcesses(FuturesProcesses):
    """loky's executor, on loky's own start method, which its users get.

    That does what "spawn" does; it advises against "fork".
    """

    name = "loky"
    label = "loky"
    module_name = "loky"

    def open(self, workers: int, method: str) -> Any:
        return self.module.ProcessPoolExecutor(workers)


class AsyncResults(ProcessRival):
    """What offers apply_async() and get(), as multiprocessing.Pool does."""

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        submit = pool.apply_async
        return [submit(fn) for _ in range(count)]

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        submit = pool.apply_async
        return [submit(fn, (arg,)) for arg in args]

    def results(self, handles: list[Any]) -> list[Any]:
        return [handle.get() for handle in handles]

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        submit = pool.apply_async
        for _ in range(count):
            submit(fn).get()

    def send(self, pool: Any, fn: Task, payload: Any, count: int) -> Any:
        submit = pool.apply_async
        for _ in range(count):
            back = submit(fn, (payload,)).get()
        return back

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        submit = pool.apply_async
        return [submit(fn, callback=callback) for _ in range(count)]


class MultiprocessingPool(AsyncResults):
    """multiprocessing.Pool, by its own names for the same things."""

    name = "pool"
    label = "multiprocessing.Pool"
    module_name = "multiprocessing.pool"
    pool_name = "Pool"

    def open(self, workers: int, method: str) -> Any:
        return self.module.Pool(workers, context=_context(method))

    def close(self, pool: Any) -> None:
        pool.close()
        pool.join()

    def map(
        self, pool: Any, fn: Task, args: Iterable[Any], chunksize: int | None
    ) -> int:
        return _count(pool.map(fn, args, chunksize=chunksize))


class Mpire(AsyncResults):
    """mpire's WorkerPool, told to keep its workers from one call to the next."""

    name = "mpire"
    label = "mpire"
    module_name = "mpire"
    pool_name = "WorkerPool"

    def open(self, workers: int, method: str) -> Any:
        return self.module.WorkerPool(
            n_jobs=workers, start_method=method, keep_alive=True
        )

    def close(self, pool: Any) -> None:
        pool.stop_and_join()

    def map(
        self, pool: Any, fn: Task, args: Iterable[Any], chunksize: int | None
    ) -> int:
        return _count(pool.map(fn, args, chunk_size=chunksize))


class Pebble(ProcessRival):
    """pebble's ProcessPool, whose futures are those of concurrent.futures."""

    name = "pebble"
    label = "pebble"
    module_name = "pebble"
    pool_name = "ProcessPool"

    def open(self, workers: int, method: str) -> Any:
        return self.module.ProcessPool(max_workers=workers, context=_context(method))

    def close(self, pool: Any) -> None:
        pool.close()
        pool.join()

    def submit_all(self, pool: Any, fn: Task, count: int) -> list[Any]:
        submit = pool.schedule
        return [submit(fn) for _ in range(count)]

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        submit = pool.schedule
        return [submit(fn, args=(arg,)) for arg in args]

    def results(self, handles: list[Any]) -> list[Any]:
        return [handle.result() for handle in handles]

    def map(
        self, pool: Any, fn: Task, args: Iterable[Any], chunksize: int | None
    ) -> int:
        if chunksize is None:
            return _count(pool.map(fn, args).result())
        return _count(pool.map(fn, args, chunksize=chunksize).result())

    def ping_pong(self, pool: Any, fn: Task, count: int) -> None:
        submit = pool.schedule
        for _ in range(count):
            submit(fn).result()

    def send(self, pool: Any, fn: Task, payload: Any, count: int) -> Any:
        submit = pool.schedule
        for _ in range(count):
            back = submit(fn, args=(payload,)).result()
        return back

    def call_back(self, pool: Any, fn: Task, callback: Task, count: int) -> list[Any]:
        submit = pool.schedule
        handles = []
        for _ in range(count):
            future = submit(fn)
            future.add_done_callback(callback)
            handles.append(future)
        return handles


class Joblib(ProcessRival):
    """joblib.Parallel over its copy of loky: a map, and nothing else.

    By default it sends more tasks at a time as it learns how short they are,
    and arrays above a megabyte through files that the workers map.  Workers start
    in loky's own way.
    """

    name = "joblib"
    label = "joblib"
    module_name = "joblib"
    pool_name = "Parallel"

    def open(self, workers: int, method: str) -> Any:
        self._workers = workers
        return []

    def close(self, pool: Any) -> None:
        loky = importlib.import_module("joblib.externals.loky")
        loky.get_reusable_executor().shutdown(wait=True)

    def _parallel(self, chunksize: int | None) -> Any:
        return self.module.Parallel(
            n_jobs=self._workers,
            backend="loky",
            batch_size="auto" if chunksize is None else chunksize,
        )

    def map(
        self, pool: Any, fn: Task, args: Iterable[Any], chunksize: int | None
    ) -> int:
        call = self.module.delayed(fn)
        return _count(self._parallel(chunksize)(call(arg) for arg in args))

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        """Run them all: there are no handles, the results are there."""
        call = self.module.delayed(fn)
        results: list[Any] = self._parallel(None)(call(arg) for arg in args)
        return results

    def results(self, handles: list[Any]) -> list[Any]:
        return handles

    def send(self, pool: Any, fn: Task, payload: Any, count: int) -> Any:
        call = self.module.delayed(fn)
        with self._parallel(1) as parallel:
            for _ in range(count):
                (back,) = parallel([call(payload)])
        return back


class Threads(FuturesProcesses):
    """Our thread pool, to show what processes are for."""

    name = "threads"
    label = "threads"
    module_name = "futures_c"
    pool_name = "ThreadPoolExecutor"

    def open(self, workers: int, method: str) -> Any:
        return self.module.ThreadPoolExecutor(workers)


class OneThread(ProcessRival):
    """No pool at all: the same calls in a plain loop."""

    name = "loop"
    label = "one thread"
    module_name = "builtins"
    pool_name = "map"

    def open(self, workers: int, method: str) -> Any:
        return None

    def close(self, pool: Any) -> None:
        pass

    def submit_each(self, pool: Any, fn: Task, args: Iterable[Any]) -> list[Any]:
        return [fn(arg) for arg in args]

    def results(self, handles: list[Any]) -> list[Any]:
        return handles


PROCESS_RIVALS: dict[str, type[ProcessRival]] = {
    kind.name: kind
    for kind in (
        OurProcesses,
        StandardProcesses,
        MultiprocessingPool,
        LokyProcesses,
        Joblib,
        Pebble,
        Mpire,
        Threads,
        OneThread,
    )
}
