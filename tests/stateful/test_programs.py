"""Random programs of several threads at once, on the same pools and futures.

The state machines have one thread that asks; here each of several runs a list of
random steps of its own, and the model is asked in the end.  `--seed` repeats the lists;
which way the threads go, it does not.  With FUTURES_C_STRESS each test goes on for so
many minutes.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import gc
import os
import random
import signal
import sys
import time

import pytest

from . import jobs
from .machine import run_together
from .model import World
from .pools import Pool
from .running import CAP, MINUTES

pytestmark = [pytest.mark.stress, pytest.mark.cap(CAP)]

MODES = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")

WHATS = {
    "threads": ("value", "value", "value", "error", "exit", "upset", "gated", "large",
                "nested", "nested", "unsendable result"),
    "processes": ("value", "value", "value", "error", "exit", "gated", "large",
                  "unsendable argument", "unsendable result"),
    "interpreters": ("value", "value", "value", "error", "gated", "large",
                     "unsendable argument", "unsendable result"),
}  # fmt: skip


class Actor:
    """One of the threads of a program."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.rng = random.Random(seed)
        self.ours = world.ours

    def run(self, steps: int) -> None:
        """Run that many random steps."""
        names, weights = zip(*self.STEPS.items(), strict=True)
        for step in self.rng.choices(names, weights, k=steps):
            step(self)

    def pool(self) -> Pool:
        return self.rng.choice(self.world.pools)

    def call(self):
        calls = self.world.calls
        if not calls:
            return self.world.submit(self.pool(), "value")
        return calls[-1 - self.rng.randrange(min(len(calls), 30))]

    def some(self):
        return [self.call() for _ in range(self.rng.randrange(8))]

    def timeout(self):
        return self.rng.choice([0, 0.0005, 0.003])

    def submit(self):
        self.world.submit(self.pool(), self.rng.choice(WHATS[self.world.kind]))

    def submit_many(self):
        pool = self.pool()
        for _ in range(self.rng.randrange(20)):
            self.world.submit(pool, "value")

    def cancel(self):
        self.world.cancel(self.call())

    def callback(self):
        kinds = ["note", "note", "note", "raise", "add", "cancel", "submit"]
        kinds = [kind for kind in kinds if self.world.allows(kind)]
        self.world.add_callback(self.call(), self.rng.choice(kinds))

    def ask(self):
        future = self.call().future
        if future is not None:
            with contextlib.suppress(Exception, SystemExit, jobs.Upset):
                future.result(self.timeout())

    def wait(self):
        functions = [None, concurrent.futures.wait]
        function = self.rng.choice(functions)
        self.world.wait(self.some(), self.timeout(), self.rng.choice(MODES), function)

    def as_completed(self):
        function = self.rng.choice([None, concurrent.futures.as_completed])
        take = self.rng.randrange(8)
        self.world.as_completed(self.some(), self.timeout(), take, function)

    def gather(self):
        some = self.some()
        for call in some:
            call.pool.gate.open()
        if self.ours:  # In the standard module cancelled ones wait for a worker.
            self.world.wait(some, None, self.rng.choice(MODES))

    def map(self):
        options = {"timeout": self.rng.choice([None, None, 0, 0.001])}
        if self.ours:
            options["buffersize"] = self.rng.choice([None, 2])
        if self.rng.random() < 0.2:
            options["broken_input"] = True
        if self.rng.random() < 0.3:
            options["failing"] = 3
        pool = self.pool()
        made = self.world.map(pool, self.rng.randrange(4, 12), **options)
        if self.rng.random() < 0.5:
            pool.gate.open()
            made.take(self.rng.choice([1, 3, None]))
        if self.rng.random() < 0.5:
            made.close()

    def meddle(self):
        # In the standard module it ends the worker.
        call = self.call()
        if self.ours and call.future is not None:
            self.world.meddle(call, self.rng.choice(["result", "exception"]))

    def look(self):
        for call in self.some():
            self.world.look(call)

    def open(self):
        self.pool().gate.open()

    def collect(self):
        gc.collect(0)

    def shut_down(self):
        self.world.shut_down(
            self.pool(),
            wait=self.rng.random() < 0.5,
            cancel_futures=self.rng.random() < 0.5,
        )

    def drop(self):
        self.world.drop(self.pool())

    def kill(self):
        pool = self.pool()
        # In the standard module some futures may stay pending for ever (gh-94777).
        if self.world.kind != "processes" or not self.ours:
            return
        with contextlib.suppress(RuntimeError):  # It changes meanwhile.
            pids = list(getattr(pool.executor, "_processes", None) or ())
            if pids:
                pool.may_break = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.rng.choice(pids), signal.SIGKILL)

    STEPS = {
        submit: 14,
        submit_many: 4,
        cancel: 8,
        callback: 12,
        ask: 4,
        wait: 3,
        as_completed: 3,
        gather: 1,
        map: 3,
        meddle: 2,
        look: 4,
        open: 1,
        collect: 0.5,
        shut_down: 0.7,
        drop: 0.2,
        kill: 0.5,
    }


def run(futures, rng, kind, programs, steps, options):
    """Run so many programs, or as many as there is time for."""
    end = time.monotonic() + 60 * MINUTES
    interval = sys.getswitchinterval()
    while programs > 0 or time.monotonic() < end:
        programs -= 1
        seed = rng.randrange(2**32)
        print(f"program: {seed}")
        run_program(futures, random.Random(seed), kind, steps, options)
    assert sys.getswitchinterval() == interval


def run_program(futures, rng, kind, steps, options):
    world = World(futures, kind)
    interval = sys.getswitchinterval()
    try:
        for _ in range(2):
            workers = rng.choice([1, 1, 2, 3])
            # In the standard module one that fails may leave futures pending.
            fails = 1 if world.ours else 0
            initializer = rng.choices(["none", "ready", "fails"], [6, 3, fails])[0]
            world.new_pool(workers, initializer=initializer, **options)
        actors = [Actor(world, rng.randrange(2**32)) for _ in range(3)]
        sys.setswitchinterval(rng.choice([interval, 1e-5]))
        run_together(*[lambda actor=actor: actor.run(steps) for actor in actors])
    finally:
        sys.setswitchinterval(interval)
        world.close()


def test_threads(futures, rng):
    run(futures, rng, "threads", 25, 40, {})


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes(futures, rng, method):
    if futures is concurrent.futures:
        # Workers that two threads fork at once hold each other's sentinels, for one.
        pytest.skip("the standard module leaves descriptors and workers behind")
    run(futures, rng, "processes", 6 if method == "fork" else 2, 30, {"method": method})


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no interpreters before 3.12")
def test_interpreters(futures, rng):
    if futures is concurrent.futures and sys.version_info < (3, 14):
        pytest.skip("the standard module has interpreters from 3.14 on")
    run(futures, rng, "interpreters", 5, 30, {})
