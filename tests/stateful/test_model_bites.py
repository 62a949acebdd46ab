"""The model finds what it is there for: modules with one fault planted each."""

from __future__ import annotations

import concurrent.futures
import random
import types

import pytest

import futures_c

from . import jobs
from .machine import ThreadMachine
from .model import World
from .running import run_machine
from .test_programs import run_program

pytestmark = pytest.mark.stress


def module(**changes):
    """Our module, with other things by some names."""
    names = {name: getattr(futures_c, name) for name in futures_c.__all__}
    made = types.SimpleNamespace(**{**names, **changes})
    made.__name__ = "futures_c"
    return made


class Pool(futures_c.ThreadPoolExecutor):
    """A pool whose submit() can be told what to change."""

    def submit(self, fn, /, *args, **kwargs):
        if fn is not jobs.run:
            return super().submit(fn, *args, **kwargs)
        return self.change(super().submit, fn, args, kwargs)


def loses_a_callback(submit, fn, args, kwargs):
    future = submit(fn, *args, **kwargs)
    if args[1] % 5 == 0:
        future.__class__ = Lossy
    return future


class Lossy(futures_c.Future):
    def add_done_callback(self, fn):
        pass


def calls_a_callback_twice(submit, fn, args, kwargs):
    future = submit(fn, *args, **kwargs)
    if args[1] % 5 == 0:
        future.__class__ = Doubling
    return future


class Doubling(futures_c.Future):
    def add_done_callback(self, fn):
        super().add_done_callback(fn)
        super().add_done_callback(fn)


def calls_callbacks_backwards(submit, fn, args, kwargs):
    future = submit(fn, *args, **kwargs)
    future.__class__ = Backward
    return future


class Backward(futures_c.Future):
    def add_done_callback(self, fn):
        if self.done():
            super().add_done_callback(fn)
        elif "later" in vars(self):
            self.later.append(fn)
        else:
            self.later = [fn]
            super().add_done_callback(Backward.call_all)

    def call_all(self):
        while self.later:
            super().add_done_callback(self.later.pop())


def runs_what_is_cancelled(submit, fn, args, kwargs):
    future = submit(fn, *args, **kwargs)
    if args[2] == "value":
        future.add_done_callback(
            lambda future: future.cancelled() and fn(*args, initialized=False)
        )
    return future


def runs_twice(submit, fn, args, kwargs):
    if args[1] % 10 == 0 and args[2] == "value":
        submit(fn, *args, **kwargs)
    return submit(fn, *args, **kwargs)


def gives_a_wrong_result(submit, fn, args, kwargs):
    if args[1] % 10 == 0 and args[2] == "value":
        return submit(lambda: fn(*args, **kwargs) and None)
    return submit(fn, *args, **kwargs)


def forgets_a_future(submit, fn, args, kwargs):
    future = submit(fn, *args, **kwargs)
    return concurrent.futures.Future() if args[1] % 10 == 0 else future


#: The faults, with what the model says of them.
CHANGES = {
    loses_a_callback: "callbacks",
    calls_a_callback_twice: "callbacks",
    calls_callbacks_backwards: "callbacks in order",
    runs_what_is_cancelled: "cancelled.*began 1 times",
    runs_twice: "began 2 times|ran twice|began after|cancelled.*began 1 times",
    gives_a_wrong_result: "ended with .'returned', None",
    forgets_a_future: "never end",
}


def planted(change):
    kind = type("Planted", (Pool,), {"change": staticmethod(change)})
    return module(ThreadPoolExecutor=kind)


@pytest.fixture(autouse=True)
def _short_cap(monkeypatch):
    """What never ends is not waited for long, since that is what is expected."""
    monkeypatch.setattr("stateful.model.CAP", 1.0)


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_programs_find(rng, change):
    futures = planted(change)
    with pytest.raises(AssertionError, match=CHANGES[change]):
        for _ in range(100):
            run_program(futures, random.Random(rng.random()), "threads", 40, {})


def test_machines_find(rng):
    with pytest.raises((AssertionError, ExceptionGroup)):
        run_machine(rng, lambda: ThreadMachine(planted(runs_twice)), 300, 40)


def test_another_order_is_found():
    world = World(futures_c, "threads")
    pool = world.new_pool(1)
    for _ in range(2):
        world.submit(pool, "value")
    world.shut_down(pool)
    pool.journal.reverse()
    with pytest.raises(AssertionError, match="1 began after 2"):
        world.close()


def test_a_beginning_after_the_end_is_found():
    world = World(futures_c, "threads")
    pool = world.new_pool(1)
    call = world.submit(pool, "value")
    call.future.result(20)
    pool.journal.clear()
    world.shut_down(pool)
    pool.journal.append(call.number)
    with pytest.raises(AssertionError, match="began after shutdown"):
        world.close()
