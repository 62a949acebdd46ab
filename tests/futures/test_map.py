"""Executor.map of thread pools: order, inputs, timeouts, errors, arguments."""

import collections.abc
import concurrent.futures
import gc
import itertools
import sys
import threading
import time

import pytest
from future_kit import Call, Oops, Relay, gate, outcome, pause, take_all
from support.parallel import fresh


@pytest.fixture(params=[1, 2, 4])
def pool(futures, request):
    """A pool of one, two or four workers."""
    with futures.ThreadPoolExecutor(request.param) as pool:
        yield pool


@fresh
def single(futures):
    """A pool of one worker, which runs items in order."""
    with futures.ThreadPoolExecutor(1) as pool:
        yield pool


# --- results -----------------------------------------------------------------


def test_results_come_in_the_order_of_the_input(pool, rng):
    delays = [rng.uniform(0, 0.004) for _ in range(40)]

    def wait(number):
        time.sleep(delays[number])
        return number

    assert list(pool.map(wait, range(40))) == list(range(40))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 226, 227, 228, 453, 454, 455, 5000])
def test_numbers_of_items(pool, count):
    assert list(pool.map(abs, range(-count, 0))) == list(range(count, 0, -1))


@pytest.mark.slow
def test_a_hundred_thousand_items(futures):
    with futures.ThreadPoolExecutor(4) as pool:
        results = pool.map(str, range(100_000))
        assert all(text == str(n) for n, text in enumerate(results))


def test_several_inputs(pool):
    assert list(pool.map(pow, range(10), itertools.repeat(2))) == [
        n * n for n in range(10)
    ]
    assert list(pool.map(pow, [2, 3], [3, 4], [5, 7])) == [3, 4]
    assert list(pool.map(lambda *a: a, "ab", (1, 2), [None, 0], {5: 6, 7: 8})) == [
        ("a", 1, None, 5),
        ("b", 2, 0, 7),
    ]


def test_unequal_lengths_end_with_the_shortest(pool):
    drawn = []

    def draw():
        for number in range(10):
            drawn.append(number)
            yield number

    assert list(pool.map(lambda a, b: a + b, [10, 20], draw())) == [10, 21]
    assert drawn == [0, 1]
    assert list(pool.map(lambda a, b: a, draw(), [])) == []


def test_no_inputs_no_items(pool):
    assert list(pool.map(lambda: 1)) == []
    assert list(pool.map(abs, [])) == []
    assert list(pool.map(abs, iter(()))) == []
    assert list(pool.map(pow, [], [1, 2])) == []


def test_any_results(pool):
    things = [None, (), [], object(), ValueError("returned"), int, lambda: 1]
    assert list(pool.map(lambda thing: thing, things)) == things


def test_items_that_are_tuples_stay_tuples(pool):
    assert list(pool.map(len, [(1, 2), (), (3,)])) == [2, 0, 1]
    assert list(pool.map(lambda a, b: (a, b), [(1, 2)], [()])) == [((1, 2), ())]


def test_any_callable(pool):
    class Adder:
        def __init__(self, number):
            self.number = number

        def __call__(self, other):
            return self.number + other

        def method(self, other):
            return self.number * other

    assert list(pool.map(Adder(1), [1, 2])) == [2, 3]
    assert list(pool.map(Adder(3).method, [1, 2])) == [3, 6]
    assert list(pool.map(str.upper, ["a", "b"])) == ["A", "B"]
    assert list(pool.map(complex, [1, 2], [3, 4])) == [1 + 3j, 2 + 4j]
    import functools

    assert list(pool.map(functools.partial(pow, 2), [1, 2])) == [2, 4]


def test_several_maps_at_once(pool):
    iterators = [pool.map(pow, range(50), itertools.repeat(k)) for k in range(1, 5)]
    for row in zip(range(50), *iterators, strict=True):
        n, *powers = row
        assert powers == [n, n**2, n**3, n**4]


def test_maps_and_submits_start_in_turn(single):
    """One worker takes all work in the order in which it was given."""
    order = []
    with gate() as go_on:
        single.submit(go_on.wait, 20)
        single.submit(order.append, "first")
        single.map(order.append, ["a", "b"])
        single.submit(order.append, "second")
        single.map(order.append, "cd")
        last = single.submit(order.append, "last")
        go_on.set()
        last.result(20)
    assert order == ["first", "a", "b", "second", "c", "d", "last"]


def test_all_workers_take_part(futures):
    for count in (1, 2, 5):
        with futures.ThreadPoolExecutor(count) as pool:
            barrier = threading.Barrier(count)
            for _ in range(3):
                arrived = pool.map(lambda _, b=barrier: b.wait(20), range(count))
                assert sorted(arrived) == list(range(count))


def test_no_more_threads_than_items(futures):
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(abs, []))
        assert len(pool._threads) == 0
        list(pool.map(abs, [1]))
        assert len(pool._threads) == 1
        list(pool.map(abs, [1, 2, 3]))
        assert len(pool._threads) <= 4


def test_nested_in_workers(futures):
    with (
        futures.ThreadPoolExecutor(3) as outer,
        futures.ThreadPoolExecutor(2) as inner,
    ):

        def row(n):
            return sum(inner.map(pow, range(20), itertools.repeat(n)))

        expected = [sum(k**n for k in range(20)) for n in range(10)]
        assert list(outer.map(row, range(10))) == expected


def test_nested_in_the_same_pool(futures):
    """With workers to spare a task may map on its own pool."""
    with futures.ThreadPoolExecutor(3) as pool:
        totals = pool.map(lambda n: sum(pool.map(abs, range(n))), [10, 20])
        assert list(totals) == [45, 190]


def test_pending_items_are_counted(single):
    """qsize() of the queue counts the items that nobody has begun."""
    started = threading.Event()
    with gate() as go_on:

        def wait(number):
            started.set()
            go_on.wait(20)

        iterator = single.map(wait, range(10))
        assert started.wait(20)
        assert single._work_queue.qsize() == 9
        single.submit(abs, 1)
        assert single._work_queue.qsize() == 10
        go_on.set()
        assert list(iterator) == [None] * 10
    single.submit(abs, 1).result(20)
    assert single._work_queue.qsize() == 0


# --- the iterator ------------------------------------------------------------


def test_the_methods_of_an_iterator(pool):
    iterator = pool.map(abs, [-1, -2])
    assert iter(iterator) is iterator
    assert isinstance(iterator, collections.abc.Iterator)
    assert next(iterator) == 1
    assert next(iterator) == 2
    assert next(iterator, "end") == "end"
    assert next(iterator, "end") == "end"
    assert iterator.close() is None
    assert iterator.close() is None
    assert list(iterator) == []


def test_it_is_an_iterator_and_no_sequence(pool):
    iterator = pool.map(abs, [-1])
    with pytest.raises(TypeError):
        len(iterator)
    with pytest.raises(TypeError):
        iterator[0]
    assert list(iterator) == [1]


def test_throw_ends_it(single):
    ran = []
    started = threading.Event()
    with gate() as go_on:

        def work(number):
            ran.append(number)
            if number == 1:
                started.set()
                go_on.wait(20)
            return number

        iterator = single.map(work, range(10))
        if not hasattr(iterator, "throw"):
            pytest.skip("this iterator is no generator")
        assert next(iterator) == 0
        assert started.wait(20)
        with pytest.raises(Oops):
            iterator.throw(Oops())
        assert list(iterator) == []
        go_on.set()
        single.submit(abs, 1).result(20)
    assert ran == [0, 1]


def test_results_wait_in_the_iterator(pool):
    iterator = pool.map(abs, range(100))
    pool.submit(abs, 1).result(20)
    pause()
    assert list(iterator) == list(range(100))


def test_used_after_the_with_block(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        iterator = pool.map(pow, range(100), itertools.repeat(2))
    assert list(iterator) == [n * n for n in range(100)]


def test_from_two_threads(pool):
    """Threads that share one iterator get each result once."""
    iterator = pool.map(abs, range(300))
    if hasattr(iterator, "throw") and "free-threading" in sys.version:
        pytest.skip("a generator that threads share crashes free-threaded 3.13")
    got = []

    calls = [Call(take_all, iterator, got) for _ in range(3)]
    for call in calls:
        assert call.end() == ("returned", None)
    assert sorted(got) == list(range(300))


def test_close_while_another_thread_waits(single):
    """It is refused, or ends the other's wait; it never hangs or crashes."""
    with gate() as go_on:
        iterator = single.map(lambda _: go_on.wait(20), range(3))
        call = Call(next, iterator)
        pause()
        kind, _ = outcome(iterator.close)
        assert kind in ("returned", "ValueError")
        go_on.set()
        kind, _ = call.end()
        assert kind in ("returned", "StopIteration", "CancelledError")


# --- inputs ------------------------------------------------------------------


def test_the_input_is_drawn_by_the_caller(pool):
    idents = []

    def draw():
        for number in range(5):
            idents.append(threading.get_ident())
            yield number

    iterator = pool.map(abs, draw())
    assert idents == [threading.get_ident()] * 5
    assert list(iterator) == list(range(5))


def test_items_start_as_soon_as_they_are_drawn(pool):
    """The input may wait for what earlier items do."""
    relay = Relay(5)
    assert list(pool.map(relay.work, relay.draw())) == list(range(5))


def test_the_input_may_use_the_pool(pool):
    def draw():
        for number in range(10):
            yield pool.submit(abs, -number).result(20)
            yield from pool.map(abs, [-number])

    expected = [n for n in range(10) for _ in "ab"]
    assert list(pool.map(abs, draw())) == expected


def test_an_error_of_the_input_comes_out_of_map(single):
    """What was drawn before the error runs all the same."""
    ran = []

    def draw():
        yield 1
        yield 2
        raise Oops("in the input")

    with pytest.raises(Oops, match="in the input"):
        single.map(ran.append, draw())
    single.submit(abs, 1).result(20)
    assert ran == [1, 2]
    assert list(single.map(abs, [-1])) == [1]


def test_an_error_of_one_input_among_several(pool):
    class Broken:
        def __iter__(self):
            raise Oops("not today")

    with pytest.raises(Oops, match="not today"):
        pool.map(pow, [1, 2], Broken())


@pytest.mark.parametrize("inputs", [(5,), ([1], None), ([1], 5, [2]), (len,)], ids=repr)
def test_inputs_that_cannot_be_iterated(ours, inputs):
    def ask(module):
        with module.ThreadPoolExecutor(1) as pool:
            return outcome(pool.map, abs, *inputs)

    assert ask(ours) == ask(concurrent.futures)
    assert ask(ours)[0] == "TypeError"


# --- wrong and odd arguments -------------------------------------------------


def test_wrong_arguments(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(TypeError):
            pool.map()
        with pytest.raises(TypeError):
            pool.map(abs, [1], wait=True)
        assert list(pool.map(fn=abs)) == []
        assert len(pool._threads) == 0


def test_what_cannot_be_called_fails_as_an_item(pool):
    iterator = pool.map(None, [1])
    with pytest.raises(TypeError, match="'NoneType' object is not callable"):
        next(iterator)


def test_wrong_numbers_of_arguments_fail_as_items(pool):
    iterator = pool.map(lambda a: a, [1], [2])
    with pytest.raises(TypeError, match="takes 1 positional argument but 2"):
        next(iterator)


@pytest.mark.parametrize("chunksize", [1, 7, 0, -1, None, "x", 1.5, [], object()])
def test_chunksize_means_nothing_to_threads(pool, chunksize):
    results = pool.map(abs, range(-20, 0), chunksize=chunksize)
    assert list(results) == list(range(20, 0, -1))


@pytest.mark.parametrize("timeout", ["1", b"1", [], {}, object()], ids=type)
def test_wrong_timeouts(futures, timeout):
    ran = []
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(TypeError):
            pool.map(ran.append, [1], timeout=timeout)
    assert ran == []


@pytest.mark.parametrize("timeout", ["1", b"1", []], ids=repr)
def test_texts_of_wrong_timeouts(ours, timeout):
    def ask(module):
        with module.ThreadPoolExecutor(1) as pool:
            return outcome(pool.map, abs, [1], timeout=timeout)

    assert ask(ours) == ask(concurrent.futures)


@pytest.mark.parametrize(
    "timeout", [1e10, 1e300, float("inf"), float("nan"), 1j], ids=repr
)
def test_timeouts_that_no_lock_can_wait_for(ours, timeout):
    """Refused when it comes to waiting, not before."""

    def ask(module):
        gate = threading.Event()
        with module.ThreadPoolExecutor(1) as pool:
            try:
                return outcome(list, pool.map(gate.wait, [20], timeout=timeout))
            finally:
                gate.set()

    assert ask(ours) == ask(concurrent.futures)
    with ours.ThreadPoolExecutor(1) as pool:
        done = pool.map(abs, [1], timeout=timeout)
        pool.submit(abs, 1).result()
        assert list(done) == [1]


def test_an_input_that_looks_for_the_iterator_finds_none(futures):
    class Input:
        def __iter__(self):
            found = [
                thing
                for thing in gc.get_objects()
                if type(thing).__name__ == "map_iterator"
            ]
            for iterator in found:
                next(iterator, None)
            return iter([1, 2])

    with futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.map(abs, Input())) == [1, 2]


# --- timeouts ----------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0.03, 0, -1, 0.0, False])
def test_the_timeout_ends_the_iteration(single, timeout):
    ran = []
    started = threading.Event()
    with gate() as go_on:

        def work(number):
            ran.append(number)
            started.set()
            go_on.wait(20)

        iterator = single.map(work, range(5), timeout=timeout)
        assert started.wait(20)
        before = time.monotonic()
        with pytest.raises(TimeoutError) as raised:
            next(iterator)
        assert time.monotonic() - before < 5
        assert raised.type is TimeoutError
        assert raised.value.args == ()
        assert list(iterator) == []
        go_on.set()
        single.submit(abs, 1).result(20)
    assert ran == [0]


def test_the_clock_starts_with_the_call(single):
    with gate() as go_on:
        iterator = single.map(lambda _: go_on.wait(20), range(2), timeout=0.05)
        time.sleep(0.06)
        before = time.monotonic()
        with pytest.raises(TimeoutError):
            next(iterator)
        assert time.monotonic() - before < 1
        go_on.set()


def test_done_results_come_after_the_timeout(pool):
    iterator = pool.map(abs, range(10), timeout=0.01)
    pool.submit(abs, 1).result(20)
    time.sleep(0.05)
    assert list(iterator) == list(range(10))


def test_results_before_the_timeout_come(single):
    with gate() as go_on:

        def work(number):
            if number == 3:
                go_on.wait(20)
            return number

        iterator = single.map(work, range(6), timeout=0.2)
        got = []
        with pytest.raises(TimeoutError):
            for number in iterator:
                got.append(number)
        assert got == [0, 1, 2]
        go_on.set()


@pytest.mark.parametrize("timeout", [None, 30, 30.0, True])
def test_timeouts_that_do_not_matter(pool, timeout):
    results = pool.map(abs, range(50), timeout=timeout)
    assert list(results) == list(range(50))


def test_an_items_own_timeout_error(pool):
    error = TimeoutError("my own")

    def fail(number):
        raise error

    with pytest.raises(TimeoutError) as raised:
        list(pool.map(fail, [1], timeout=30))
    assert raised.value is error


# --- errors of items ---------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        Oops("item"),
        ValueError(1, 2),
        KeyboardInterrupt("item"),
        SystemExit(5),
        GeneratorExit("item"),
        concurrent.futures.CancelledError("item"),
        concurrent.futures.InvalidStateError("item"),
        StopAsyncIteration("item"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_error_of_an_item_is_raised_in_its_turn(pool, error):
    def work(number):
        if number == 2:
            raise error
        return number

    iterator = pool.map(work, range(6))
    assert next(iterator) == 0
    assert next(iterator) == 1
    with pytest.raises(type(error)) as raised:
        next(iterator)
    assert raised.value is error
    assert list(iterator) == []
    assert list(pool.map(abs, [-1])) == [1]


def test_stop_iteration_of_an_item(pool):
    """It does not end the iteration in silence."""

    def fail(number):
        raise StopIteration("mine")

    iterator = pool.map(fail, [1, 2])
    with pytest.raises(
        RuntimeError, match=r"^generator raised StopIteration$"
    ) as raised:
        next(iterator)
    assert type(raised.value.__cause__) is StopIteration
    assert raised.value.__cause__.value == "mine"
    assert list(iterator) == []


def test_an_error_cancels_what_has_not_begun(single):
    ran = []
    started = threading.Event()
    with gate() as go_on:

        def work(number):
            ran.append(number)
            if number == 1:
                raise Oops(number)
            if number == 2:
                started.set()
                go_on.wait(20)
            return number

        iterator = single.map(work, range(10))
        assert next(iterator) == 0
        assert started.wait(20)
        with pytest.raises(Oops):
            next(iterator)
        assert list(iterator) == []
        go_on.set()
        single.submit(abs, 1).result(20)
    assert ran == [0, 1, 2]


def test_errors_that_nobody_asks_for(pool, log):
    def fail(number):
        raise Oops(number)

    pool.map(fail, range(10))
    assert pool.submit(abs, -1).result(20) == 1
    assert not log.records


def test_the_traceback_of_an_item(pool):
    def the_item(number):
        raise Oops

    with pytest.raises(Oops) as raised:
        list(pool.map(the_item, [1]))
    assert raised.traceback[-1].name == "the_item"


def test_a_failing_initializer(futures, log):
    def fail():
        raise Oops("initializer")

    with futures.ThreadPoolExecutor(2, initializer=fail) as pool:
        with pytest.raises(futures.thread.BrokenThreadPool):
            list(pool.map(abs, range(10)))
        with pytest.raises(futures.thread.BrokenThreadPool):
            list(pool.map(abs, range(10)))
