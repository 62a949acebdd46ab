"""The model: what must hold of calls, callbacks, maps and pools in every program.

A `World` is what one random program works on.  Its methods act on the module
under test and note beside it what was asked for and what was answered; all of
them may be called by several threads at once.  `close()` lets everything end and
then holds the notes against what happened:

- each future has ended exactly once, and with what its call returned or raised, or
  cancelled; what was once seen of its end is so for ever, and states go forward;
- a call has begun at most once, and not at all if cancel() said yes; it is cancelled
  only if somebody has asked for that;
- with one worker, what one thread has submitted begins in that order;
- each callback was called once, with its future, and in the order of adding;
- nothing begins after shutdown(wait=True) has returned, and nobody can submit then;
- map() gives the results in order, up to the first failure.

Calls of a pool that may have broken may end with BrokenExecutor instead.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import gc
import itertools
import threading
from typing import Any

from support.waiting import until

from . import jobs
from .pools import Pool

#: The states, in the order in which a future may go through them.
STATES = ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED", "FINISHED")
ENDED = STATES[2:]

#: What submit() says when it is too late.
AFTER = "cannot schedule new futures after"

#: Seconds after which something that must end counts as hung.
CAP = 30.0


class Call:
    """A submitted call, and what was seen of it."""

    def __init__(self, number: int, pool: Pool, what: str, by: object) -> None:
        self.number = number
        self.pool = pool
        self.what = what
        #: Who has submitted it: one after another, as far as calls of one are meant.
        self.by = by
        #: None as long as it is being submitted, or if that was refused.
        self.future: Any = None
        #: What each cancel() has said.
        self.said: list[bool] = []
        #: What others than a worker have ended it with.
        self.meddled: list[tuple[str, Any]] = []
        #: The callbacks that were added: their numbers, with who has added them.
        self.added: dict[int, object] = {}
        #: The callbacks that were called: their numbers, with the thread.
        self.called: list[tuple[int, int]] = []
        #: State and end when last looked at.
        self.state = "PENDING"
        self.end: tuple[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<call {self.number}, {self.what}>"

    def expected(self) -> tuple[str, Any]:
        """How it ends if nothing happens to it."""
        failures = {"error": jobs.Trouble, "exit": SystemExit, "upset": jobs.Upset}
        if self.what in failures:
            return failures[self.what].__name__, (self.number,)
        if self.what == "large":
            return "returned", bytes([self.number % 256]) * jobs.LARGE
        return "returned", self.number

    def fits(self, end: tuple[str, Any]) -> bool:
        """Whether the worker may have ended it so."""
        if self.what.startswith("unsendable") and not self.pool.shares_memory:
            # Which error says that it cannot be pickled depends on the version.
            return end[0] not in ("returned", "cancelled")
        if self.what == "unsendable result":
            return end[0] == "returned"
        if self.what == "thread":
            prefix = self.pool.options.get("thread_name_prefix", "")
            return end[0] == "returned" and end[1].startswith(prefix)
        return end == self.expected()


def end_of(future: Any) -> tuple[str, Any]:
    """Return how a future has ended: what it is called, and the value."""
    if future.cancelled():
        return "cancelled", None
    error = future.exception(0)
    if error is not None:
        if isinstance(error, concurrent.futures.BrokenExecutor):
            return "broken", None
        return type(error).__name__, error.args
    return "returned", future.result(0)


class World:
    """The pools, calls and maps of one program."""

    def __init__(self, futures: Any, kind: str) -> None:
        self.futures = futures
        self.ours = futures is not concurrent.futures
        self.kind = kind
        self.numbers = itertools.count(1)
        self.pools: list[Pool] = []
        self.calls: list[Call] = []
        self.maps: list[Map] = []
        #: What went wrong where raising it would not be noticed.
        self.wrong: list[str] = []

    def allows(self, callback: str) -> bool:
        """Whether a callback may do that.

        The standard shutdown(cancel_futures=True) calls callbacks under the lock
        that submit() and shutdown() want, and so does a failing initializer.
        """
        return self.ours or callback not in ("submit", "shut down")

    # --- what programs do ------------------------------------------------------

    def new_pool(self, workers: int, **options: Any) -> Pool:
        """Make an executor."""
        pool = Pool(self.futures, self.kind, workers, **options)
        self.pools.append(pool)
        return pool

    def submit(self, pool: Pool, what: str, by: object = None) -> Call:
        """Submit a call, unless the pool refuses it with good reason."""
        call = Call(next(self.numbers), pool, what, by or threading.get_ident())
        arguments: list[Any] = [pool.journal, call.number, what]
        if what == "gated":
            arguments.append(pool.gate.token)
        elif what == "unsendable argument":
            arguments.append(threading.Lock())
        elif what == "large":
            arguments.append(bytes(jobs.LARGE))
        elif what == "nested":
            arguments.append(lambda: self.submit_inside(pool, call))
        elif what == "shut down":
            arguments.append(lambda: self.shut_down(pool, wait=False))
        elif what == "own pool":
            arguments.append(self.futures.__name__)
        self.calls.append(call)
        had_ended = pool.has_ended
        executor = pool.executor
        if executor is None:
            return call
        try:
            future = executor.submit(jobs.run, *arguments, initialized=pool.initialized)
        except concurrent.futures.BrokenExecutor:
            if not pool.may_break:
                raise
        except RuntimeError as error:
            if not pool.may_end or not str(error).startswith(AFTER):
                raise
        else:
            assert not had_ended, "submit() goes on after shutdown()"
            call.future = future
        return call

    def submit_inside(self, pool: Pool, outer: Call) -> None:
        """As a call or a callback of *outer*: submit to its pool or another."""
        others = self.pools[:2]
        target = others[outer.number % len(others)] if others else pool
        with contextlib.suppress(concurrent.futures.BrokenExecutor):
            self.submit(target, "value", ("inside", outer.number))

    def cancel(self, call: Call) -> None:
        """Ask for its cancellation."""
        if call.future is not None:
            call.said.append(call.future.cancel())

    def add_callback(self, call: Call, what: str = "note", by: object = None) -> None:
        """Add a callback that notes its call, and may do something else beside."""
        if call.future is None:
            return
        number = next(self.numbers)
        call.added[number] = by or threading.get_ident()

        def called(future: Any) -> None:
            call.called.append((number, threading.get_ident()))
            if future is not call.future or not future.done():
                self.wrong.append(f"{call}: callback {number} gets {future}")
            if what == "raise":
                raise jobs.Trouble("in a callback")
            if what == "add":
                self.add_callback(call, by=("callback", number))
            elif what == "cancel":
                for other in self.calls[-3:]:
                    self.cancel(other)
            elif what == "submit":
                self.submit_inside(call.pool, call)
            elif what == "shut down":
                self.shut_down(call.pool, wait=False)

        call.future.add_done_callback(called)

    def meddle(self, call: Call, how: str) -> None:
        """End the future of a call as only its worker should."""
        value = next(self.numbers)
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if how == "result":
                call.future.set_result(("meddled", value))
                call.meddled.append(("returned", ("meddled", value)))
            else:
                call.future.set_exception(jobs.Trouble("meddled", value))
                call.meddled.append(("Trouble", ("meddled", value)))

    def look(self, call: Call) -> None:
        """Look at the state of a future, which only goes forward, and its end."""
        if call.future is None:
            return
        before, ended = call.state, call.end
        state = call.future._state
        if STATES.index(state) < STATES.index(before) or (
            before == "FINISHED" != state
        ):
            self.wrong.append(f"{call}: from {before} to {state}")
        if state in ENDED:
            if state == "FINISHED" and before.startswith("CANCELLED"):
                self.wrong.append(f"{call}: from {before} to {state}")
            end = end_of(call.future)
            if ended is not None and end != ended:
                self.wrong.append(f"{call}: ended with {ended}, then with {end}")
            call.end = end
        call.state = state

    def wait(
        self, calls: list[Call], timeout: float | None, mode: str, function: Any = None
    ) -> None:
        """Wait for some of them."""
        given = {call.future for call in calls if call.future is not None}
        function = function or self.futures.wait
        # Not for ever: what never ends is to be told, not to be waited for.
        limit = CAP if timeout is None else timeout
        done, rest = function(list(given), limit, mode)
        assert done | rest == given and not done & rest
        assert all(future.done() for future in done)
        if timeout is None and given:
            assert done and not (rest and mode == "ALL_COMPLETED"), (
                f"some of these never end: {calls}"
            )

    def as_completed(
        self, calls: list[Call], timeout: float | None, take: int, function: Any = None
    ) -> None:
        """Take some of what as_completed() gives, or come to its time limit."""
        given = {call.future for call in calls if call.future is not None}
        function = function or self.futures.as_completed
        seen = []
        try:
            for future in itertools.islice(function(list(given), timeout), take):
                assert future.done()
                seen.append(future)
        except TimeoutError as error:
            assert timeout is not None
            left = len(given) - len(seen)
            assert str(error) == f"{left} (of {len(given)}) futures unfinished"
        else:
            assert len(seen) == min(take, len(given))
        assert len(set(seen)) == len(seen) and set(seen) <= given

    def map(self, pool: Pool, count: int, **options: Any) -> Map:
        """Begin a map() over so many numbers."""
        made = Map(self, pool, count, **options)
        self.maps.append(made)
        return made

    def shut_down(
        self, pool: Pool, *, wait: bool = True, cancel_futures: bool = False
    ) -> None:
        """Shut a pool down; waiting opens its gate first."""
        pool.may_end = True
        pool.may_cancel = pool.may_cancel or cancel_futures
        if wait:
            pool.gate.open()
        executor = pool.executor
        if executor is None:
            return
        pool.left_alone = pool.left_alone or not wait
        executor.shutdown(wait=wait, cancel_futures=cancel_futures)
        pool.has_ended = True
        # If somebody has left a process pool alone, there is nobody any more whom
        # a later shutdown() could wait for.
        alone = pool.left_alone and pool.kind == "processes"
        if wait and not alone and pool.begun_at_end is None:
            pool.begun_at_end = len(pool.begun())

    def drop(self, pool: Pool) -> None:
        """Let go of an executor, as a program does that forgets to shut it down."""
        pool.may_end = True
        if pool.options.get("max_tasks_per_child") is not None:
            # Nobody starts further workers.
            pool.may_break = True
        pool.executor = None
        gc.collect()

    # --- the end --------------------------------------------------------------

    def close(self) -> None:
        """Let everything end, then hold it against the model."""
        try:
            for pool in self.pools:
                pool.gate.open()
            for pool in self.pools:
                if pool.executor is not None:
                    self.shut_down(pool)
            # Calls and callbacks submit further ones while the pools end.
            with contextlib.suppress(AssertionError):
                until(lambda: not self._pending(), CAP)
            pending = self._pending()
            assert not pending, f"these never end: {pending}"
            for call in list(self.calls):
                self.look(call)
            begun = {pool: pool.begun() for pool in self.pools}
            for made in self.maps:
                made.check(begun[made.pool])
            for pool in self.pools:
                self._check_pool(pool, begun[pool])
            assert not self.wrong, self.wrong
        finally:
            self._forget()

    def _pending(self) -> list[str]:
        """What has not ended, or not called its callbacks yet."""
        return [
            f"{call}: {call.future}, {len(call.called)} of {len(call.added)} "
            f"callbacks, {vars(call.pool)}"
            for call in list(self.calls)
            if call.future is not None
            and not (call.future.done() and len(call.called) >= len(call.added))
        ]

    def _forget(self) -> None:
        for pool in self.pools:
            if pool.executor is not None:
                pool.executor.shutdown(wait=False, cancel_futures=True)
                pool.executor = None
            pool.close()
        # Tracebacks of what was logged or raised keep some of these.
        for made in self.maps:
            made.iterator = None
        for call in self.calls:
            call.future = None
        self.maps.clear()
        self.calls.clear()

    def _check_pool(self, pool: Pool, begun: list[int]) -> None:
        counts = collections.Counter(begun)
        calls = [call for call in self.calls if call.pool is pool]
        for call in calls:
            self._check_call(call, counts[call.number])
        numbers = {call.number for call in calls}
        for made in self.maps:
            if made.pool is pool:
                numbers.update(made.numbers)
        assert set(counts) <= numbers, "something began that nobody has submitted"
        if pool.begun_at_end is not None:
            late = begun[pool.begun_at_end :]
            assert not late, f"began after shutdown() had returned: {late}"
        if pool.workers == 1:
            self._check_order(calls, begun)

    def _check_order(self, calls: list[Call], begun: list[int]) -> None:
        by = {call.number: call.by for call in calls}
        for made in self.maps:
            by.update(dict.fromkeys(made.numbers, made.by))
        last: dict[object, int] = {}
        for number in begun:
            before = last.get(by[number], 0)
            assert before < number, f"{number} began after {before}, on one worker"
            last[by[number]] = number

    def _check_call(self, call: Call, began: int) -> None:
        if call.future is None:
            assert not began, f"{call} was refused, and has begun"
            assert not call.added
            return
        end = call.end
        assert end is not None, f"{call} has not ended"
        told = f"{call} ended with {end}, began {began} times, cancel(): {call.said}"
        assert began <= 1, told
        assert len(call.meddled) <= 1, (told, call.meddled)
        if end[0] == "cancelled":
            assert not began and not call.meddled, told
            assert True in call.said or call.pool.may_cancel, told
        elif call.meddled:
            assert True not in call.said, told
            assert end == call.meddled[0], (told, call.meddled)
        elif end[0] == "broken":
            assert True not in call.said, told
            assert call.pool.may_break, told
            assert not (began and call.pool.never_begins), told
        else:
            assert True not in call.said, told
            assert call.fits(end), told
            sent = call.what != "unsendable argument" or call.pool.shares_memory
            assert began == sent, told
        self._check_callbacks(call)

    def _check_callbacks(self, call: Call) -> None:
        called = [number for number, _ in call.called]
        assert sorted(called) == sorted(call.added), (
            f"{call}: callbacks {sorted(call.added)} were added, {called} called"
        )
        # One that is added to a future which has ended is called at once, perhaps
        # while another thread still calls earlier ones.
        last: dict[tuple[int, object], int] = {}
        for number, thread in call.called:
            who = thread, call.added[number]
            assert last.get(who, 0) < number, f"{call}: callbacks in order {called}"
            last[who] = number


class Map:
    """A map() over numbers, and what it has given."""

    def __init__(
        self,
        world: World,
        pool: Pool,
        count: int,
        *,
        failing: int | None = None,
        broken_input: bool = False,
        **options: Any,
    ) -> None:
        self.pool = pool
        # With a buffersize, items are submitted when results are taken.
        self.late = options.get("buffersize") is not None
        self.by: object = self if self.late else threading.get_ident()
        first = next(world.numbers)
        self.numbers = [first] + [next(world.numbers) for _ in range(count)]
        self.numbers.pop()
        self.failing = self.numbers[failing] if failing is not None else None
        self.given: list[object] = []
        self.iterator: Any = None
        self.limited = options.get("timeout") is not None
        #: Results that are lost with the one that fails, and this one.
        self.chunk = options.get("chunksize", 1) if pool.kind == "processes" else 1
        fixed = pool.journal, self.failing, pool.initialized
        inputs: tuple[Any, Any] = [fixed] * count, list(self.numbers)
        if broken_input:
            inputs = itertools.repeat(fixed), self._draw()
        if not pool.executor:
            return
        try:
            self.iterator = pool.executor.map(jobs.item, *inputs, **options)
        except jobs.Trouble:
            assert broken_input
        except concurrent.futures.BrokenExecutor:
            if not pool.may_break:
                raise
        except RuntimeError:
            if not pool.may_end:
                raise

    def _draw(self) -> Any:
        yield from self.numbers
        raise jobs.Trouble("in the input")

    def take(self, count: int | None) -> None:
        """Take so many results, or all."""
        wanted = len(self.numbers) if count is None else count
        while self.iterator is not None and len(self.given) < wanted:
            try:
                self.given.append(next(self.iterator))
            except StopIteration:
                # With a buffersize, it ends early when the executor is collected.
                if not (self.late and self.pool.executor is None):
                    assert self.given == self.numbers
                self.iterator = None
            except jobs.Trouble as error:
                self.iterator = None
                if error.args != ("in the input",):
                    assert error.args == (self.failing,)
                    place = self.numbers.index(self.failing)
                    assert place - self.chunk < len(self.given) <= place
            except TimeoutError:
                assert self.limited
                self.iterator = None
            except concurrent.futures.CancelledError:
                assert self.pool.may_cancel
                self.iterator = None
            except concurrent.futures.BrokenExecutor:
                assert self.pool.may_break
                self.iterator = None
            except RuntimeError:
                # With a buffersize, items are submitted on the way.
                assert self.pool.may_end
                self.iterator = None

    def close(self) -> None:
        """Say that no more results are wanted."""
        if self.iterator is not None:
            self.iterator.close()
        self.iterator = None

    def check(self, begun: list[int]) -> None:
        """Check what it has given."""
        assert self.given == self.numbers[: len(self.given)]
        own = [number for number in begun if number in set(self.numbers)]
        assert len(set(own)) == len(own), "an item ran twice"
        assert set(self.given) <= set(own), "a result of an item that has not run"
