"""The public interface, operation by operation.

Each is a generator: what stands before its first `yield` prepares, what follows is
done while something fails, and what stands after a second `yield` holds if nothing
was raised.  Where it yields HERE nothing fails in the calling thread by itself: a
task arms its own worker.
"""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import scenes
import shim

from futures_c import Future, as_completed, wait

#: The task arms its worker itself.
HERE = object()


@dataclass(frozen=True)
class Operation:
    """One operation, the scene that it is tried in, and what it may raise."""

    name: str
    run: Callable[[Any], Iterator[Any]]
    scene: type[scenes.Scene]
    raises: tuple[type[BaseException], ...]
    #: Whether it is done once before, in the process that the trials are forked from.
    rehearsed: bool


#: By group and name.
OPERATIONS: dict[str, dict[str, Operation]] = {}


def operation(
    group: str,
    scene: type[scenes.Scene],
    *raises: type[BaseException],
    rehearsed: bool = True,
) -> Callable[[Callable[[Any], Iterator[Any]]], Callable[[Any], Iterator[Any]]]:
    """Enter a generator function into the table."""

    def enter(run: Callable[[Any], Iterator[Any]]) -> Callable[[Any], Iterator[Any]]:
        name = run.__name__
        table = OPERATIONS.setdefault(group, {})
        table[name] = Operation(name, run, scene, raises, rehearsed)
        return run

    return enter


def ignore(_: object) -> None:
    """Be a callback."""


class Cause(Exception):
    """What a future is ended with."""


# --- futures alone ------------------------------------------------------------

bare = operation("futures", scenes.Bare)


@bare
def make(scene):
    yield
    scene.things.append(Future())


@bare
def make_of_a_subclass(scene):
    class Own(Future):
        pass

    yield
    future = Own()
    future.more = 1
    yield
    assert future.more == 1 and vars(future) == {"more": 1}


@bare
def cancel(scene):
    futures = [Future() for _ in range(3)]
    yield
    for future in futures:
        future.cancel()
    yield
    assert all(future.cancelled() for future in futures)


@bare
def set_result(scene):
    future, told = Future(), []
    future.add_done_callback(lambda one: told.append(one))
    scene.track(future, 7)
    yield
    try:
        future.set_result(7)
    finally:
        # Nobody else ends it.
        shim.disarm()
        if not future.done():
            future.set_result(7)
    yield
    assert told == [future] and future.result(0) == 7


@bare
def set_exception(scene):
    future = Future()
    yield
    try:
        future.set_exception(Cause())
    finally:
        shim.disarm()
        if not future.done():
            future.set_exception(Cause())
    yield
    assert isinstance(future.exception(0), Cause)


@bare
def results(scene):
    future, raised = Future(), Future()
    future.set_result(7)
    raised.set_exception(Cause())
    yield
    assert future.result() == 7 and future.result(0) == 7
    assert future.exception() is None
    try:
        raised.result()
    except Cause:
        return
    raise AssertionError("nothing was raised")


@operation("futures", scenes.Bare, TimeoutError)
def time_out(scene):
    future = Future()
    yield
    for _ in range(2):
        future.result(0.001)


@bare
def run_by_hand(scene):
    future = Future()
    yield
    future.set_running_or_notify_cancel()
    assert future.running() and not future.done() and not future.cancelled()


@bare
def callbacks(scene):
    future, told = Future(), []
    yield
    for _ in range(5):
        future.add_done_callback(told.append)
    yield
    future.set_result(1)
    assert told == [future] * 5


@bare
def callback_at_once(scene):
    future, told = Future(), []
    future.set_result(1)
    yield
    future.add_done_callback(lambda one: told.append(one))
    yield
    assert told == [future]


@bare
def represent(scene):
    futures = [Future() for _ in range(4)]
    futures[0].set_result(1)
    futures[1].set_exception(Cause())
    futures[2].cancel()
    yield
    for future in futures:
        repr(future)


@bare
def private_attributes(scene):
    future = Future()
    yield
    with future._condition:
        assert future._state == "PENDING"
    assert future._waiters == [] and future._done_callbacks == []
    assert future._result is None and future._exception is None
    future._waiters = []
    future._done_callbacks = [ignore]


@bare
def end_in_condition_mode(scene):
    future = Future()
    assert future._condition and future._waiters == []
    scene.track(future, 1)
    yield
    try:
        future.set_result(1)
    finally:
        shim.disarm()
        if not future.done():
            future.set_result(1)


@operation("futures", scenes.Bare, TypeError)
def copy_it(scene):
    future = Future()
    yield
    copy.copy(future)
    raise AssertionError("it was copied")


@bare
def subscript(scene):
    yield
    assert Future[int]


@bare
def collect(scene):
    future = Future()
    future.add_done_callback(lambda _, cycle=future: None)
    future.me = future
    gone = weakref.ref(future)
    del future
    yield
    gc.collect()
    yield
    gc.collect()
    assert gone() is None


@bare
def wait_for_done_ones(scene):
    futures = [Future() for _ in range(5)]
    for future in futures[1:]:
        future.set_result(1)
    yield
    done = wait(futures, 0.001).done
    first = wait(futures, return_when="FIRST_COMPLETED").done
    assert len(done) == len(first) == 4
    assert len(wait(futures[1:]).done) == 4


@bare
def complete_done_ones(scene):
    futures = [Future() for _ in range(5)]
    for future in futures:
        future.set_result(1)
    yield
    assert len(list(as_completed(futures))) == 5


@bare
def step_an_await(scene):
    future = Future()
    future.set_result(7)
    yield
    stepped = future.__await__()
    try:
        next(stepped)
    except StopIteration as end:
        assert end.value == 7
