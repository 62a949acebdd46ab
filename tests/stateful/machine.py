"""Random programs of one thread, as state machines for hypothesis.

`PoolMachine` has the steps that there are for every kind of executor.  Its calls
run in other threads, processes and interpreters meanwhile, so a program that fails
may do so now and then only; what is drawn never depends on them.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)
from support.forked import call_in_child
from support.waiting import FREE_THREADED, until

from .model import CAP, Call, Map, World
from .pools import Pool

MODES = st.sampled_from(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"])
TIMEOUTS = st.sampled_from([0, 0.0005, 0.003])

#: What a program has made so far.
A_POOL: Bundle[Pool] = Bundle("pools")
A_CALL: Bundle[Call] = Bundle("calls")
A_MAP: Bundle[Map] = Bundle("maps")

#: How many pools one program has at most.
POOLS = 3


def run_together(*steps: Callable[[], object]) -> None:
    """Call each in a thread of its own, at once; raise what one raises."""
    barrier = threading.Barrier(len(steps))
    failed: list[BaseException] = []

    def run(step: Callable[[], object]) -> None:
        barrier.wait(CAP)
        try:
            step()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)
        assert not thread.is_alive(), "a step hangs in its thread"
    if failed:
        raise failed[0]


@contextlib.contextmanager
def handling(number: int, handler: Any) -> Iterator[None]:
    """Have a signal handled for a while."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


class PoolMachine(RuleBasedStateMachine):
    """Programs over pools of one kind."""

    kind = ""
    #: What calls may do.
    whats: tuple[str, ...] = ()
    #: What a callback may do.
    callbacks = ("note", "note", "raise", "add", "cancel", "submit", "shut down")

    def __init__(self, futures: Any) -> None:
        super().__init__()
        self.world = World(futures, self.kind)

    @property
    def ours(self) -> bool:
        """Whether it is our module, which does what is a known fault of the other."""
        return self.world.ours

    def options(self) -> st.SearchStrategy[dict[str, Any]]:
        """What executors are made with."""
        raise NotImplementedError

    def initializers(self, *names: str) -> st.SearchStrategy[str]:
        """How the initializer may be."""
        # In the standard module one that fails may leave futures pending.
        return st.sampled_from([n for n in names if self.ours or n != "fails"])

    # --- pools -----------------------------------------------------------------

    @initialize(target=A_POOL, data=st.data())
    def begin(self, data: Any) -> Pool:
        return self.world.new_pool(**data.draw(self.options()))

    @precondition(lambda self: len(self.world.pools) < POOLS)
    @rule(target=A_POOL, data=st.data())
    def make(self, data: Any) -> Pool:
        return self.world.new_pool(**data.draw(self.options()))

    @rule(pool=A_POOL, wait=st.booleans(), cancel=st.booleans(), apart=st.booleans())
    def shut_down(self, pool: Pool, wait: bool, cancel: bool, apart: bool) -> None:
        def step() -> None:
            self.world.shut_down(pool, wait=wait, cancel_futures=cancel)

        if apart:
            run_together(step)
        else:
            step()

    @rule(pool=A_POOL)
    def drop(self, pool: Pool) -> None:
        self.world.drop(pool)

    @rule(pool=A_POOL)
    def open_gate(self, pool: Pool) -> None:
        pool.gate.open()

    @rule()
    def collect(self) -> None:
        gc.collect(0)

    # --- calls -----------------------------------------------------------------

    @rule(target=A_CALL, pool=A_POOL, data=st.data())
    def submit(self, pool: Pool, data: Any) -> Call:
        return self.world.submit(pool, data.draw(st.sampled_from(self.whats)))

    @rule(target=A_CALL, pool=A_POOL, count=st.sampled_from([3, 10, 40]))
    def submit_many(self, pool: Pool, count: int) -> Any:
        made = [self.world.submit(pool, "value") for _ in range(count)]
        return multiple(made[0], made[-1])

    @rule(call=A_CALL)
    def cancel(self, call: Call) -> None:
        self.world.cancel(call)

    @rule(call=A_CALL, data=st.data())
    def add_callback(self, call: Call, data: Any) -> None:
        kinds = [kind for kind in self.callbacks if self.world.allows(kind)]
        self.world.add_callback(call, data.draw(st.sampled_from(kinds)))

    @rule(call=A_CALL, timeout=TIMEOUTS, error=st.booleans())
    def ask(self, call: Call, timeout: float, error: bool) -> None:
        if call.future is None:
            return
        ask = call.future.exception if error else call.future.result
        try:
            ask(timeout)
        except TimeoutError:
            pass
        except BaseException:
            # With what it has ended, the model looks at.
            assert call.future.done()
        else:
            assert call.future.done()

    # --- several calls -----------------------------------------------------------

    @rule(some=st.lists(A_CALL, max_size=6), timeout=TIMEOUTS, mode=MODES,
          standard=st.booleans())  # fmt: skip
    def wait(self, some: list, timeout: float, mode: str, standard: bool) -> None:
        function = concurrent.futures.wait if standard else None
        self.world.wait(some, timeout, mode, function)

    @rule(some=st.lists(A_CALL, max_size=6), mode=MODES)
    def gather(self, some: list, mode: str) -> None:
        for call in some:
            call.pool.gate.open()
        # A cancelled one has the standard module wait until a worker comes to it.
        self.world.wait([call for call in some if self.ours], None, mode)

    @rule(some=st.lists(A_CALL, max_size=6), timeout=TIMEOUTS,
          take=st.integers(0, 6), standard=st.booleans())  # fmt: skip
    def as_completed(self, some: list, timeout: float, take: int, standard: bool):
        function = concurrent.futures.as_completed if standard else None
        self.world.as_completed(some, timeout, take, function)

    @rule(target=A_MAP, pool=A_POOL, count=st.integers(0, 12),
          failing=st.none() | st.integers(0, 11), broken_input=st.booleans(),
          timeout=st.sampled_from([None, None, 0, 0.001]),
          chunksize=st.sampled_from([1, 1, 2, 5]),
          buffersize=st.sampled_from([None, None, 1, 3]))  # fmt: skip
    def map(
        self,
        pool: Pool,
        count: int,
        failing: int | None,
        broken_input: bool,
        timeout: float | None,
        chunksize: int,
        buffersize: int | None,
    ) -> Map:
        options: dict[str, Any] = {"timeout": timeout, "chunksize": chunksize}
        if self.ours:
            options["buffersize"] = buffersize
        if failing is not None and failing >= count:
            failing = None
        return self.world.map(
            pool, count, failing=failing, broken_input=broken_input, **options
        )

    @rule(made=A_MAP, count=st.none() | st.integers(0, 5))
    def take(self, made: Map, count: int | None) -> None:
        if not made.limited:
            made.pool.gate.open()
        made.take(count)

    @rule(made=A_MAP)
    def close_map(self, made: Map) -> None:
        made.close()

    # --- at once -----------------------------------------------------------------

    @rule(call=A_CALL, steps=st.lists(st.integers(0, 7), min_size=2, max_size=4))
    def race(self, call: Call, steps: list) -> None:
        world = self.world
        if call.future is None:
            return
        actions = [
            lambda: world.cancel(call),
            lambda: world.cancel(call),
            lambda: world.add_callback(call),
            lambda: world.look(call),
            lambda: world.wait([call], 0.001, "ALL_COMPLETED"),
            lambda: world.submit(call.pool, "value"),
            # In the standard module these end the worker.
            lambda: self.ours and world.meddle(call, "result"),
            lambda: self.ours and world.meddle(call, "exception"),
        ]
        run_together(*[actions[step] for step in steps])

    # In the standard module, what a handler interrupts may hold the lock that the
    # handler needs.
    @precondition(lambda self: self.ours)
    @rule(pool=A_POOL, action=st.sampled_from(["submit", "cancel", "shut down"]))
    def handle_signal(self, pool: Pool, action: str) -> None:
        world = self.world
        handled = []

        def handle(number: int, frame: object) -> None:
            handled.append(number)
            if action == "submit":
                world.submit(pool, "value", ("signal", object()))
            elif action == "cancel":
                for call in world.calls[-5:]:
                    world.cancel(call)
            else:
                world.shut_down(pool, wait=False)

        def send() -> None:
            for _ in range(3):
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)

        with handling(signal.SIGUSR1, handle):
            sender = threading.Thread(target=send)
            sender.start()
            for _ in range(20):
                world.submit(pool, "value")
            sender.join()
            until(lambda: handled)

    # In the standard module it may leave a future's lock held.
    @precondition(lambda self: self.ours)
    @rule(pool=A_POOL, how=st.sampled_from(["result", "wait", "as_completed"]))
    def interrupt(self, pool: Pool, how: str) -> None:
        """Ctrl-C ends what waits in the main thread, and nothing else."""
        world, main = self.world, threading.main_thread().ident
        call = world.submit(pool, "gated")
        if call.future is None:
            return
        interrupted = False
        with handling(signal.SIGINT, signal.default_int_handler):
            # Not in the middle of start(): threading's own locks do not stand that.
            started = threading.Lock()
            started.acquire()

            def send() -> None:
                started.acquire()
                signal.pthread_kill(main, signal.SIGINT)

            sender = threading.Thread(target=send)
            sender.start()
            try:
                started.release()
                if how == "result":
                    with contextlib.suppress(Exception):
                        call.future.result(CAP)
                elif how == "wait":
                    world.futures.wait([call.future], CAP)
                else:
                    list(world.futures.as_completed([call.future], CAP))
                until(lambda: False)
            except KeyboardInterrupt:
                interrupted = True
            sender.join()
        assert interrupted

    @precondition(lambda self: self.ours and self.can_fork())
    @rule(use=st.booleans())
    def fork(self, use: bool) -> None:
        """In a forked child nothing is pending, and pools begin afresh."""
        world = self.world

        def child() -> None:
            for call in world.calls:
                assert call.future is None or call.future.done(), call
            for pool in world.pools:
                if pool.executor is None:
                    continue
                if use and not pool.may_end and not pool.may_break:
                    assert pool.executor.submit(abs, -1).result(CAP) == 1
                pool.executor.shutdown()

        call_in_child(child, 2 * CAP)

    def can_fork(self) -> bool:
        """Whether a forked child can live."""
        # Without the GIL, what another thread has locked stays locked for ever.
        return not FREE_THREADED

    # --- what holds after each step ------------------------------------------

    @invariant()
    def look(self) -> None:
        for call in self.world.calls[-30:]:
            self.world.look(call)
        assert not self.world.wrong, self.world.wrong

    def teardown(self) -> None:
        self.world.close()


class ThreadMachine(PoolMachine):
    """Programs over pools of threads."""

    kind = "threads"
    whats = ("value", "value", "error", "exit", "upset", "gated", "gated", "large",
             "thread", "nested", "nested", "unsendable result",
             "shut down")  # fmt: skip

    def options(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {
                "workers": st.sampled_from([1, 1, 2, 3, 4]),
                "initializer": self.initializers("none", "none", "ready", "fails"),
                "thread_name_prefix": st.sampled_from(["", "stateful"]),
            }
        )


class InterpreterMachine(PoolMachine):
    """Programs over pools of interpreters."""

    kind = "interpreters"
    whats = ("value", "value", "error", "gated", "gated", "large",
             "unsendable argument", "unsendable result")  # fmt: skip

    def options(self) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries(
            {
                "workers": st.sampled_from([1, 1, 2]),
                "initializer": self.initializers("none", "none", "none", "fails"),
                "thread_name_prefix": st.sampled_from(["", "stateful"]),
            }
        )

    def can_fork(self) -> bool:
        # Python ends a child that is forked beside other interpreters.
        return False


class ProcessMachine(PoolMachine):
    """Programs over pools of processes."""

    kind = "processes"
    whats = ("value", "value", "error", "exit", "upset", "gated", "gated", "large",
             "own pool", "unsendable argument", "unsendable result")  # fmt: skip
    methods: tuple[str, ...] = ("fork",)

    def options(self) -> st.SearchStrategy[dict[str, Any]]:
        def for_method(method: str) -> st.SearchStrategy[dict[str, Any]]:
            # With "fork" it is not allowed; with the standard module calls may stay
            # pending for ever (gh-115634, gh-152967).
            most = st.sampled_from([None, 1, 3])
            if method == "fork" or not self.ours:
                most = st.none()
            return st.fixed_dictionaries(
                {
                    "workers": st.sampled_from([1, 1, 2, 3]),
                    "initializer": self.initializers("none", "none", "ready", "fails"),
                    "method": st.just(method),
                    "max_tasks_per_child": most,
                }
            )

        return st.sampled_from(self.methods).flatmap(for_method)

    # In the standard module some futures may stay pending for ever (gh-94777).
    @precondition(lambda self: self.ours)
    @rule(pool=A_POOL, which=st.integers(0, 2), wait=st.booleans())
    def kill(self, pool: Pool, which: int, wait: bool) -> None:
        pids = list(getattr(pool.executor, "_processes", None) or ())
        if not pids:
            return
        pool.may_break = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[which % len(pids)], signal.SIGKILL)
        if wait and not pool.may_end and pool.options["max_tasks_per_child"] is None:
            # With the gate closed: those that are behind it end as well.
            futures = [
                c.future for c in self.world.calls if c.pool is pool and c.future
            ]
            until(lambda: all(f is None or f.done() for f in futures), CAP)

    @precondition(lambda self: self.ours)
    @rule(pool=A_POOL, kill=st.booleans())
    def end_workers(self, pool: Pool, kill: bool) -> None:
        if pool.executor is None:
            return
        pool.may_break = pool.may_end = pool.may_cancel = True
        pool.left_alone = True
        if kill:
            pool.executor.kill_workers()
        else:
            pool.executor.terminate_workers()

    def can_fork(self) -> bool:
        # The fork server is not started again in a forked child.
        return super().can_fork() and "forkserver" not in self.methods
