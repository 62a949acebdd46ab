"""What an operation is tried in: pools that work, and what must hold afterwards."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jobs

import futures_c
from futures_c import Future

#: Seconds after which something counts as never happening; the driver changes it.
CAP = 20.0

#: A result that is not compared.
ANYTHING = object()


class Faulty(Exception):
    """Something that must hold does not."""


def demand(condition: object, text: str) -> None:
    """Raise unless it holds; not by assert, which may be switched off."""
    if not condition:
        raise Faulty(text)


class Scene:
    """A pool, or none, with the futures that an operation makes."""

    workers = 0
    #: What a broken pool's futures end with, where the operation may break it.
    broken: tuple[type[BaseException], ...] = ()

    def __init__(self) -> None:
        self.pool: Any = None
        self.futures: list[tuple[Any, Any]] = []
        self.things: list[Any] = []
        self.gates: list[Any] = []
        self.error: BaseException | None = None
        self.set_up()

    def set_up(self) -> None:
        """Make what there is before the operation."""

    def make(self) -> Any:
        """Make a pool of the scene's kind."""
        raise NotImplementedError

    def track(self, future: Any, value: Any = None) -> Any:
        """Remember a future, which must end with *value* if it ends well."""
        self.futures.append((future, value))
        return future

    def release(self) -> None:
        """Let workers go on that were told to wait."""
        while self.gates:
            self.gates.pop()()

    def close(self) -> None:
        """Let go of everything."""
        self.release()
        if self.pool is not None:
            self.pool.shutdown()
        self.pool = self.error = None
        self.futures.clear()
        self.things.clear()

    def settle(self, raises: tuple[type[BaseException], ...]) -> None:
        """Every future ends, with its value or with what is allowed."""
        for future, value in self.futures:
            end = time.monotonic() + CAP
            while not future.done():
                demand(time.monotonic() < end, f"never ends: {future!r}")
                time.sleep(0.0005)
            if future.cancelled():
                continue
            error = future.exception(CAP)
            if error is None:
                right = value is ANYTHING or future.result(CAP) == value
                demand(right, f"wrong result: {future!r}")
            else:
                demand(isinstance(error, raises), f"ended with {error!r}")

    def usable(self) -> str:
        """Run the next tasks on the pool, and on a new one; say which it was."""
        outcome = "works"
        try:
            demand(self.pool is not None, "none")
            self.try_pool(self.pool)
        except Faulty as fault:
            if str(fault) != "none":
                raise
            outcome = "none"
        except self.broken:
            outcome = "broken"
        except RuntimeError as error:
            if "after shutdown" not in str(error):
                raise
            outcome = "shut down"
        if outcome != "works":
            pool = self.make()
            try:
                self.try_pool(pool)
            finally:
                pool.shutdown()
        return outcome

    def try_pool(self, pool: Any) -> None:
        """Run tasks on a pool, one in each worker."""
        demand(pool.submit(abs, -5).result(CAP) == 5, "a wrong result")
        demand(list(pool.map(abs, range(-9, 0))) == [*range(9, 0, -1)], "wrong results")


class Bare(Scene):
    """Futures without a pool."""

    def usable(self) -> str:
        future: Future[int] = Future()
        told: list[Any] = []
        future.add_done_callback(told.append)
        future.set_result(1)
        demand(future.result(0) == 1 and told == [future], "futures do not work")
        return "works"


class Threads(Scene):
    """A pool of two threads that have been started."""

    workers = 2

    def make(self) -> Any:
        return futures_c.ThreadPoolExecutor(self.workers)

    def set_up(self) -> None:
        self.pool = self.make()
        self.try_pool(self.pool)

    def try_pool(self, pool: Any) -> None:
        super().try_pool(pool)
        # Each worker is there.
        barrier = threading.Barrier(self.workers)
        for future in [pool.submit(barrier.wait, CAP) for _ in range(self.workers)]:
            future.result(CAP)

    def occupy(self) -> None:
        """Have all workers wait for release()."""
        for _ in range(self.workers):
            gate, begun = threading.Event(), threading.Event()

            def wait(gate: Any = gate, begun: Any = begun) -> None:
                begun.set()
                gate.wait(CAP)

            self.gates.append(gate.set)
            self.track(self.pool.submit(wait))
            demand(begun.wait(CAP), "a worker does not begin")


class OneThread(Threads):
    """One thread, which takes all tasks."""

    workers = 1


class NewThreads(Threads):
    """No pool yet."""

    def set_up(self) -> None:
        pass


class Ending(Threads):
    """A pool, in a process after whose exit there is none."""

    def usable(self) -> str:
        try:
            self.pool.submit(abs, 1)
        except RuntimeError:
            return "ended"
        raise Faulty("it takes calls after the exit")


class Loops(Threads):
    """A pool, and a loop of asyncio."""

    def set_up(self) -> None:
        import asyncio

        super().set_up()
        self.loop = asyncio.new_event_loop()

    def complete(self, coroutine: Any) -> Any:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(coroutine)

    def close(self) -> None:
        import asyncio

        loop = self.loop
        for task in asyncio.all_tasks(loop):
            task.cancel()
        self.release()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        super().close()

    def usable(self) -> str:
        import asyncio

        pool: Any = self.pool

        async def main() -> list[int]:
            calls = (self.loop.run_in_executor(pool, abs, -n) for n in range(5))
            return [*await asyncio.gather(*calls), await pool.submit(abs, -5)]

        demand(self.complete(main()) == [0, 1, 2, 3, 4, 5], "the loop is confused")
        return super().usable()


class Processes(Scene):
    """A pool of processes."""

    workers = 1
    method = "fork"
    broken = (futures_c.BrokenExecutor,)

    def make(self) -> Any:
        context = multiprocessing.get_context(self.method)
        return futures_c.ProcessPoolExecutor(self.workers, context)

    def set_up(self) -> None:
        self.pool = self.make()
        self.try_pool(self.pool)

    def try_pool(self, pool: Any) -> None:
        super().try_pool(pool)
        big = b"x" * 200_000
        demand(pool.submit(jobs.same, big).result(CAP) == big, "other bytes")
        demand(pool.submit(jobs.same, [1, big]).result(CAP) == [1, big], "other data")

    def occupy(self) -> None:
        """Have the worker wait for release()."""
        read, write = os.pipe()
        os.set_inheritable(read, True)
        begun, beginner = os.pipe()
        # Of a pool of its own kind that knows the descriptors: fork only.
        self.pool.shutdown()
        self.pool = self.make()
        self.gates.append(lambda: os.write(write, b"x"))
        self.things.append((read, write, begun, beginner))
        self.track(self.pool.submit(jobs.hold, read, beginner))
        os.read(begun, 1)

    def close(self) -> None:
        held = [thing for thing in self.things if isinstance(thing, tuple)]
        super().close()
        for descriptors in held:
            for fd in descriptors:
                os.close(fd)


class NewProcesses(Processes):
    """No pool yet."""

    def set_up(self) -> None:
        pass


class Interpreters(Scene):
    """A pool of one interpreter."""

    workers = 1

    def make(self) -> Any:
        return futures_c.InterpreterPoolExecutor(self.workers)

    def set_up(self) -> None:
        self.pool = self.make()
        self.try_pool(self.pool)

    def try_pool(self, pool: Any) -> None:
        super().try_pool(pool)
        demand(pool.submit(list, (1, 2)).result(CAP) == [1, 2], "other data")


class NewInterpreters(Interpreters):
    """No pool yet; one whose interpreter cannot be made is broken."""

    broken = (futures_c.BrokenExecutor,)

    def set_up(self) -> None:
        pass


class Installed(Scene):
    """The switch of the whole process."""

    def usable(self) -> str:
        import concurrent.futures

        with contextlib.suppress(RuntimeError):
            futures_c.uninstall()
        gc.collect()
        for ours in True, False:
            (futures_c.install if ours else futures_c.uninstall)()
            kind = concurrent.futures.ThreadPoolExecutor
            demand((kind is futures_c.ThreadPoolExecutor) is ours, "not switched")
            with kind(1) as pool:
                demand(pool.submit(abs, -1).result(CAP) == 1, "a wrong result")
        return "works"


Operation = Callable[[Scene], Any]
