"""map(buffersize=...), which we have on every version."""

import concurrent.futures
import gc
import itertools
import sys
import threading
import weakref

import pytest
from future_kit import Call, Oops, Relay, Thing, finish, free_threaded, gate
from support.waiting import collected, dropped

pytestmark = pytest.mark.usefixtures("has_buffersize")


@pytest.fixture
def has_buffersize(futures):
    """Skip on a standard module whose map has no buffersize."""
    if futures is concurrent.futures and sys.version_info < (3, 14):
        pytest.skip("the standard map has buffersize from 3.14 on")


@pytest.mark.parametrize("wrong", ["1", 1.5, 2.0, [], (), b"1", object()], ids=repr)
def test_wrong_types(futures, wrong):
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(TypeError) as raised:
            pool.map(abs, [1], buffersize=wrong)
        assert str(raised.value) == "buffersize must be an integer or None"


@pytest.mark.parametrize("wrong", [0, -1, -(2**70), False])
def test_wrong_values(futures, wrong):
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError) as raised:
            pool.map(abs, [1], buffersize=wrong)
        assert str(raised.value) == "buffersize must be None or > 0"


@pytest.mark.parametrize("wrong", [sys.maxsize + 1, 2**200], ids=["just", "far"])
def test_values_that_no_slice_takes(futures, wrong):
    with pytest.raises(ValueError) as expected:
        itertools.islice([], wrong)
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError) as raised:
            pool.map(abs, [1], buffersize=wrong)
        assert str(raised.value) == str(expected.value)


def test_checked_before_anything_is_drawn(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        source = iter([1, 2])
        with pytest.raises(ValueError):
            pool.map(abs, source, buffersize=0)
        with pytest.raises(TypeError):
            pool.map(abs, source, buffersize="x")
        with pytest.raises(TypeError):
            pool.map(abs, source, buffersize="x", timeout="y")
        assert list(source) == [1, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 10, 227, 1000, True, None])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 500])
def test_the_same_results(futures, size, count):
    with futures.ThreadPoolExecutor(3) as pool:
        results = pool.map(abs, range(-count, 0), buffersize=size)
        assert list(results) == list(range(count, 0, -1))


def test_several_inputs(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(pow, range(9), itertools.repeat(2), buffersize=2)
        assert list(results) == [n * n for n in range(9)]
        results = pool.map(pow, range(9), [1, 2, 3], buffersize=2)
        assert list(results) == [0, 1, 8]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_input_is_drawn_as_results_are_taken(futures, size):
    drawn = itertools.count()
    with futures.ThreadPoolExecutor(2) as pool:
        iterator = pool.map(abs, drawn, buffersize=size)
        assert next(drawn) == size
        for number in range(20):
            taken = next(iterator)
            assert taken == number + (taken > size - 1)
            # One more is drawn for each result that is handed out; this
            # test itself has drawn one in between.
            assert int(repr(drawn)[6:-1]) == size + number + 2
        iterator.close()


def test_at_most_buffersize_items_wait(futures):
    with gate() as go_on:
        with futures.ThreadPoolExecutor(1) as pool:
            started = threading.Event()

            def work(number):
                started.set()
                go_on.wait(20)
                return number

            iterator = pool.map(work, itertools.count(), buffersize=4)
            assert started.wait(20)
            assert pool._work_queue.qsize() == 3
            go_on.set()
            assert list(itertools.islice(iterator, 100)) == list(range(100))
            iterator.close()


def test_an_infinite_input(futures):
    with futures.ThreadPoolExecutor(4) as pool:
        iterator = pool.map(abs, itertools.count(), buffersize=8)
        assert list(itertools.islice(iterator, 2000)) == list(range(2000))
        iterator.close()


def test_the_input_is_drawn_by_whoever_asks(futures):
    idents = []

    def draw():
        for number in range(6):
            idents.append(threading.get_ident())
            yield number

    with futures.ThreadPoolExecutor(2) as pool:
        iterator = pool.map(abs, draw(), buffersize=2)
        call = Call(list, iterator)
        assert call.end() == ("returned", list(range(6)))
        me = threading.get_ident()
        assert idents == [me] * 2 + [call.ident] * 4


def test_an_input_that_waits_for_earlier_items(futures):
    relay = Relay(6)
    with futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.map(relay.work, relay.draw(), buffersize=3)) == list(range(6))


def test_an_error_of_the_input_comes_out_of_next(futures):
    ran = []

    def draw():
        yield 1
        yield 2
        raise Oops("in the input")

    with futures.ThreadPoolExecutor(1) as pool:
        iterator = pool.map(ran.append, draw(), buffersize=2)
        with pytest.raises(Oops, match="in the input"):
            next(iterator)
        assert list(iterator) == []


class Pausing:
    """Has no input now and then."""

    def __init__(self, *inputs):
        self.inputs = list(inputs)

    def __iter__(self):
        return self

    def __next__(self):
        value = self.inputs.pop(0) if self.inputs else None
        if value is None:
            raise StopIteration
        return value


@pytest.mark.parametrize("others", [0, 1])
def test_an_input_that_goes_on_after_its_end(futures, others):
    """It is asked at each result, as long as there are results to come."""
    more = [itertools.repeat(1)] * others
    with futures.ThreadPoolExecutor(1) as pool:
        source = Pausing(1, 2, 3, None, 5, None, None, None, 9, 10)
        results = pool.map(lambda n, *_: n, source, *more, buffersize=2)
        assert list(results) == [1, 2, 3, 5]
        assert source.inputs == [None, None, 9, 10]
        source = Pausing(1, None, 3, None, None, 5)
        results = pool.map(lambda n, *_: n, source, *more, buffersize=2)
        assert list(results) == [1, 3]
        assert source.inputs == [None, 5]
        source = Pausing(1, None, 3)
        assert list(pool.map(lambda n, *_: n, source, *more)) == [1]
        assert source.inputs == [3]


def test_an_error_of_an_item(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        source = iter(["1", "2", "x", "4", "5", "6"])
        iterator = pool.map(int, source, buffersize=2)
        assert [next(iterator), next(iterator)] == [1, 2]
        with pytest.raises(ValueError):
            next(iterator)
        assert list(iterator) == []
        assert list(source) == ["6"]


def test_the_pool_is_held_weakly(futures):
    pool = futures.ThreadPoolExecutor(1)
    source = iter(range(10))
    iterator = pool.map(abs, source, buffersize=3)
    reference = weakref.ref(pool)
    del pool
    collected(reference)
    assert list(iterator) == [0, 1, 2]
    assert list(source) == [3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("submit", ["native", "overridden"])
@pytest.mark.parametrize("end", ["used up", "closed", "dropped"])
def test_the_pool_is_held_from_the_first_result_on(futures, end, submit):
    """Nothing is lost when nobody else holds it."""

    class Overriding(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(fn, *args, **kwargs)

    kind = Overriding if submit == "overridden" else futures.ThreadPoolExecutor
    pool = kind(1)
    source = iter(range(10))
    iterator = pool.map(abs, source, buffersize=3)
    assert next(iterator) == 0
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert next(iterator) == 1
    if end == "used up":
        assert list(iterator) == [2, 3, 4, 5, 6, 7, 8, 9]
    elif end == "closed":
        iterator.close()
    else:
        del iterator
    collected(reference)


def test_a_pool_shut_down_meanwhile(futures):
    pool = futures.ThreadPoolExecutor(1)
    iterator = pool.map(abs, range(10), buffersize=2)
    assert next(iterator) == 0
    pool.shutdown()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after"):
        next(iterator)
    assert list(iterator) == []


def test_close_cancels_what_has_not_begun(futures, work):
    with futures.ThreadPoolExecutor(1) as pool:
        iterator = pool.map(work, itertools.count(), buffersize=4)
        assert next(iterator) == 0
        assert work.blocked.wait(20)
        iterator.close()
        finish(pool, work)
    assert work.ran == [0, 1]


def test_the_timeout(futures, work):
    with futures.ThreadPoolExecutor(1) as pool:
        iterator = pool.map(work, itertools.count(), timeout=0.1, buffersize=2)
        assert next(iterator) == 0
        assert work.blocked.wait(20)
        with pytest.raises(TimeoutError):
            next(iterator)
        assert list(iterator) == []
        finish(pool, work)
    assert work.ran == [0, 1]


def test_through_an_overridden_submit(futures):
    calls = []

    class Noting(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            calls.append(args)
            return super().submit(fn, *args, **kwargs)

    with Noting(2) as pool:
        iterator = pool.map(abs, itertools.count(), buffersize=3)
        assert calls == [(0,), (1,), (2,)]
        assert [next(iterator) for _ in range(5)] == list(range(5))
        assert calls == [(n,) for n in range(8)]
        iterator.close()


def test_results_are_let_go(futures, no_gc):
    with futures.ThreadPoolExecutor(1) as pool:
        iterator = pool.map(lambda _: Thing(), range(10), buffersize=2)
        for _ in range(9):
            thing = next(iterator)
            reference = weakref.ref(thing)
            del thing
            if free_threaded():
                pool.submit(lambda: None).result(20)
            dropped(reference)
        iterator.close()


def test_all_workers_take_part(futures):
    with futures.ThreadPoolExecutor(3) as pool:
        barrier = threading.Barrier(3)
        iterator = pool.map(lambda _: barrier.wait(20), range(9), buffersize=3)
        assert sorted(iterator) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
