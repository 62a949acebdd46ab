"""Random programs over pools and futures, checked against a simple model.

A program is a list of steps drawn from a seed: submit, cancel, add callbacks,
wait, iterate, map, set results, touch private attributes, collect garbage.
Whatever the threads do in between, in the end

- each future has ended exactly once, with what its task returned or raised,
  or cancelled, and cancelled ones never ran;
- cancel() said yes exactly to those that ended cancelled;
- callbacks ran once each, and in order (those registered on a done future
  at once);
- each task and each item of a map ran at most once, and with one worker in
  the order of submission;
- wait() and as_completed() named every future, and only ended ones as done.
"""

import collections
import concurrent.futures
import contextlib
import gc
import itertools
import random
import threading
import time

import pytest
from future_kit import Call, Oops, Waiter, outcome

pytestmark = pytest.mark.stress

CONDITIONS = ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION")


class Task:
    """A submitted task and what was seen of it."""

    def __init__(self, number, kind, program):
        self.number = number
        self.kind = kind
        self.program = program
        self.runs = 0
        self.accepted = []  # What each cancel() said.
        self.expected = []  # Numbers of the callbacks, in order.
        self.called = []  # Thread and number of each callback that was called.
        self.future = None

    def __call__(self, *args, **kwargs):
        self.runs += 1
        self.program.started.append(self.number)
        if self.kind == "sleep":
            time.sleep(0.0003)
        elif self.kind == "gate":
            assert self.program.gate.wait(20)
        elif self.kind == "raise":
            raise Oops(self.number)
        elif self.kind == "exit":
            raise SystemExit(self.number)
        elif self.kind == "submit":
            self.program.submit_from_a_task()
        return self.number, len(args), len(kwargs)

    def check(self, args, kwargs):
        """Check the end of it against the model."""
        future = self.future
        assert future.done()
        if future.cancelled():
            assert self.runs == 0
            assert True in self.accepted
            assert outcome(future.result) == ("CancelledError", "")
        else:
            assert self.runs == 1
            assert True not in self.accepted
            kind, value = outcome(future.result, 0)
            if self.kind == "raise":
                assert (kind, value) == ("Oops", str(self.number))
                assert type(future.exception()) is Oops
            elif self.kind == "exit":
                assert (kind, value) == ("SystemExit", str(self.number))
            else:
                assert (kind, value) == ("returned", (self.number, args, kwargs))
                assert future.exception() is None
        assert sorted(number for _, number in self.called) == self.expected
        # A callback registered on a done future runs at once, perhaps while
        # the worker still calls earlier ones.
        for thread in {thread for thread, _ in self.called}:
            own = [number for ident, number in self.called if ident == thread]
            assert own == sorted(own)
        assert list(future._waiters) == []


class Program:
    """One random program on one pool."""

    def __init__(self, futures, rng, workers):
        self.futures = futures
        self.rng = rng
        self.workers = workers
        self.pool = futures.ThreadPoolExecutor(workers)
        self.gate = threading.Event()
        self.started = collections.deque()
        self.tasks = []
        self.inner = []
        self.shapes = {}
        self.maps = []
        self.numbers = itertools.count()

    def submit(self, kind, into):
        task = Task(next(self.numbers), kind, self)
        args = [None] * self.rng.choice([0, 0, 1, 2, 3, 7])
        kwargs = dict.fromkeys("abc"[: self.rng.choice([0, 0, 0, 1, 3])])
        self.shapes[task.number] = (len(args), len(kwargs))
        task.future = self.pool.submit(task, *args, **kwargs)
        into.append(task)
        return task

    def submit_from_a_task(self):
        with contextlib.suppress(RuntimeError):  # It has been shut down.
            self.submit("return", self.inner)

    # The steps, each drawn by its name.

    def do_submit(self):
        kinds = ["return", "return", "raise", "sleep", "exit"]
        if not self.gate.is_set():
            kinds.append("gate")
        if self.workers > 1:
            kinds.append("submit")
        self.submit(self.rng.choice(kinds), self.tasks)

    def do_submit_many(self):
        for _ in range(self.rng.randrange(30)):
            self.submit("return", self.tasks)

    def do_cancel(self):
        if self.tasks:
            task = self.rng.choice(self.tasks)
            task.accepted.append(task.future.cancel())

    def do_cancel_latest(self):
        for task in self.tasks[-3:]:
            task.accepted.append(task.future.cancel())

    def do_callback(self):
        if self.tasks:
            task = self.rng.choice(self.tasks)
            number = len(task.expected)
            task.expected.append(number)

            def note(future, task=task, number=number):
                assert future is task.future
                assert future.done()
                task.called.append((threading.get_ident(), number))
                if number % 4 == 3:
                    raise Oops("a callback that fails")

            task.future.add_done_callback(note)

    def do_wait(self):
        some = self.some()
        condition = self.rng.choice(CONDITIONS)
        wait = self.rng.choice([self.futures.wait, concurrent.futures.wait])
        done, not_done = wait(some, self.rng.choice([0, 0.0005]), condition)
        assert done | not_done == set(some)
        assert not done & not_done
        assert all(future.done() for future in done)

    def do_as_completed(self):
        some = self.some()
        take = self.rng.randrange(len(some) + 1)
        seen = []
        function = self.rng.choice(
            [self.futures.as_completed, concurrent.futures.as_completed]
        )
        try:
            for future in function(some, self.rng.choice([0, 0.0005])):
                assert future.done()
                seen.append(future)
                if len(seen) == take:
                    break
        except TimeoutError as exc:
            left = len(set(some)) - len(seen)
            assert str(exc) == f"{left} (of {len(set(some))}) futures unfinished"
        assert len(set(seen)) == len(seen)
        assert set(seen) <= set(some)

    def do_look(self):
        for task in self.rng.sample(self.tasks, min(3, len(self.tasks))):
            future = task.future
            assert "state=" in repr(future)
            state = future._state
            if future.done():
                assert not future.running()
            assert state in (
                "PENDING",
                "RUNNING",
                "CANCELLED",
                "CANCELLED_AND_NOTIFIED",
                "FINISHED",
            )

    def do_result(self):
        if self.tasks:
            task = self.rng.choice(self.tasks)
            outcome(task.future.result, self.rng.choice([0, 0.0002]))

    def do_touch(self):
        if self.tasks:
            future = self.rng.choice(self.tasks).future
            with future._condition:
                waiter = Waiter()
                future._waiters.append(waiter)
                future._waiters.remove(waiter)

    def do_attribute(self):
        if self.tasks:
            task = self.rng.choice(self.tasks)
            task.future.task = task
            task.future.me = task.future

    def do_map(self):
        ran = []
        count = self.rng.randrange(20)

        def item(number):
            ran.append(number)
            self.started.append(None)
            if number == 13:
                raise Oops(number)
            return number

        iterator = self.pool.map(item, range(count))
        self.maps.append((iterator, ran, count))

    def do_gather(self):
        if self.gate.is_set():
            futures = [task.future for task in self.tasks[-20:]]
            assert self.futures.wait(futures, 20).not_done == set()

    def do_open(self):
        self.gate.set()

    def do_collect(self):
        if self.rng.random() < 0.2:
            gc.collect()

    def do_bare(self):
        """A bare future that another thread ends while this one waits."""
        future = self.futures.Future()
        calls = []
        future.add_done_callback(calls.append)
        end = self.rng.choice(["result", "exception", "cancel"])
        act = {
            "result": lambda: future.set_result("bare"),
            "exception": lambda: future.set_exception(Oops("bare")),
            "cancel": lambda: (future.cancel(), future.set_running_or_notify_cancel()),
        }[end]
        call = Call(act)
        seen = outcome(future.result, 20)
        assert (
            seen
            == {
                "result": ("returned", "bare"),
                "exception": ("Oops", "bare"),
                "cancel": ("CancelledError", ""),
            }[end]
        )
        assert call.end()[0] == "returned"
        assert calls == [future]

    def some(self):
        chosen = self.rng.sample(
            self.tasks, self.rng.randrange(min(20, len(self.tasks) + 1))
        )
        return [task.future for task in chosen]

    STEPS = {
        do_submit: 12,
        do_submit_many: 2,
        do_cancel: 4,
        do_cancel_latest: 2,
        do_callback: 8,
        do_wait: 2,
        do_as_completed: 2,
        do_look: 3,
        do_result: 2,
        do_touch: 2,
        do_attribute: 1,
        do_map: 2,
        do_gather: 1,
        do_open: 1,
        do_collect: 1,
        do_bare: 1,
    }

    def run(self, steps):
        """Run that many steps, let everything end, and check it."""
        names, weights = zip(*self.STEPS.items(), strict=True)
        try:
            for step in self.rng.choices(names, weights, k=steps):
                step(self)
            cancel = self.rng.random() < 0.2
            if cancel:
                self.pool.shutdown(wait=False, cancel_futures=True)
        finally:
            self.gate.set()
            self.pool.shutdown()
        self.check(cancel)

    def check(self, shut_down):
        if shut_down:
            # The standard module leaves those without a last word (gh-109934),
            # but they have ended all the same.
            for task in self.tasks + self.inner:
                if task.future.cancelled():
                    task.accepted.append(True)
        for task in self.tasks + self.inner:
            task.check(*self.shapes[task.number])
        started = [number for number in self.started if number is not None]
        assert len(set(started)) == len(started)
        if self.workers == 1:
            assert started == sorted(started)
        for iterator, ran, count in self.maps:
            assert sorted(set(ran)) == sorted(ran)
            if not shut_down:
                assert sorted(ran) == list(range(count))
                expected = list(range(min(count, 13)))
                assert list(itertools.islice(iterator, 13)) == expected
                if count > 13:
                    with pytest.raises(Oops, match=r"^13$"):
                        next(iterator)
                assert list(iterator) == []


@pytest.fixture
def quiet(log):
    """Fail unless everything that was logged is a callback that failed."""
    yield
    for record in log.records:
        assert record.msg == "exception calling callback for %r", record.getMessage()


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("workers", [1, 2, 5])
def test_random_programs(futures, rng, workers):
    for _ in range(50):
        seed = rng.randrange(2**32)
        print(f"program: {seed}")
        Program(futures, random.Random(seed), workers).run(60)


@pytest.mark.usefixtures("quiet", "fast_switch")
@pytest.mark.parametrize("workers", [1, 3])
def test_random_programs_with_fast_switching(futures, rng, workers):
    for _ in range(30):
        seed = rng.randrange(2**32)
        print(f"program: {seed}")
        Program(futures, random.Random(seed), workers).run(60)


@pytest.mark.usefixtures("quiet")
def test_random_programs_side_by_side(futures, rng):
    """Several pools at once, each used by a thread of its own."""
    seeds = [rng.randrange(2**32) for _ in range(4)]
    print(f"programs: {seeds}")

    def run(seed):
        for n in range(6):
            Program(futures, random.Random(seed + n), 2).run(40)

    for call in [Call(run, seed) for seed in seeds]:
        assert call.end() == ("returned", None)


@pytest.mark.usefixtures("fast_switch")
def test_many_threads_use_one_future(futures, rng):
    """A random crowd on bare futures: it ends once, and all agree how."""
    for _ in range(60):
        future = futures.Future()
        seed = rng.randrange(2**32)
        wins, calls = [], []
        together = threading.Barrier(5)

        def crowd(number, future=future, seed=seed, together=together, wins=wins,
                  calls=calls):  # fmt: skip
            own = random.Random(seed + number)
            together.wait(20)
            for _ in range(10):
                step = own.randrange(7)
                if step == 0:
                    if outcome(future.set_result, number)[0] == "returned":
                        wins.append(("returned", number))
                elif step == 1:
                    if outcome(future.set_exception, Oops(number))[0] == "returned":
                        wins.append(("Oops", str(number)))
                elif step == 2:
                    if future._state == "PENDING" and own.random() < 0.1:
                        outcome(future.set_running_or_notify_cancel)
                elif step == 3:
                    future.add_done_callback(calls.append)
                elif step == 4:
                    outcome(future.result, 1e-5)
                elif step == 5:
                    futures.wait([future], 1e-5)
                else:
                    repr(future)
            return True

        # set_running_or_notify_cancel of two threads logs; that is no concern.
        concurrent.futures._base.LOGGER.disabled = True
        try:
            for thread in [Call(crowd, number) for number in range(5)]:
                assert thread.end() == ("returned", True)
        finally:
            concurrent.futures._base.LOGGER.disabled = False
        if outcome(future.set_result, "last")[0] == "returned":
            wins.append(("returned", "last"))
        assert len(wins) == 1
        assert outcome(future.result, 0) == wins[0]
        assert set(calls) <= {future}
