"""What ThreadPoolExecutor and its methods make of their arguments.

Wrong types and values raise what the standard module of the running version
raises, text included: each case runs on both modules and is compared.
"""

import concurrent.futures
import copy
import functools
import os
import pickle
import sys
import threading
import weakref
from fractions import Fraction

import pytest


def outcome(call, *args):
    """What *call* returned or raised, in a form that can be compared."""
    try:
        return "returned", call(*args)
    except Exception as exc:
        return type(exc), str(exc)


def same_as_standard(futures, case):
    """Assert that *case*, given an executor class, ends as on the standard."""
    expected = outcome(case, concurrent.futures.ThreadPoolExecutor)
    assert outcome(case, futures.ThreadPoolExecutor) == expected
    return expected


class Unorderable:
    def __repr__(self):
        return "Unorderable()"


class Unboolable:
    def __bool__(self):
        raise ArithmeticError("neither true nor false")


def work_with(**arguments):
    """A case: construct with *arguments*, use it a little, look at it."""

    def case(cls):
        with cls(**arguments) as pool:
            return pool._max_workers, sorted(pool.map(abs, [-1, -2, -3]))

    return case


@pytest.mark.parametrize(
    "value",
    [0, -1, -(2**70), -0.5, 0.0, False, "4", b"4", [], {}, (), 1j, Unorderable()],
    ids=repr,
)
def test_wrong_max_workers_raise(futures, value):
    raised, text = same_as_standard(futures, lambda cls: cls(value))
    assert issubclass(raised, (TypeError, ValueError))
    raised, text = same_as_standard(futures, lambda cls: cls(max_workers=value))
    if raised is ValueError:
        assert text == "max_workers must be greater than 0"


@pytest.mark.parametrize(
    "value", [1, True, 1.5, 2.0, Fraction(3, 2), float("inf"), 2**70, None], ids=repr
)
def test_odd_max_workers_that_work(futures, value):
    same_as_standard(futures, work_with(max_workers=value))


def test_a_fractional_limit_is_rounded_up(futures):
    with futures.ThreadPoolExecutor(1.5) as pool:
        barrier = threading.Barrier(2)
        for future in [pool.submit(barrier.wait, 20) for _ in range(2)]:
            future.result()
        assert len(pool._threads) == 2


@pytest.mark.parametrize(
    "cpus, workers", [(None, 5), (1, 5), (4, 8), (28, 32), (99, 32)]
)
def test_default_max_workers(futures, monkeypatch, cpus, workers):
    name = "process_cpu_count" if sys.version_info >= (3, 13) else "cpu_count"
    monkeypatch.setattr(os, name, lambda: cpus)
    assert futures.ThreadPoolExecutor()._max_workers == workers
    assert futures.ThreadPoolExecutor(None)._max_workers == workers


@pytest.mark.parametrize(
    "prefix",
    ["", "name", None, 5, 0, b"bytes", ("a",), "100%", "%d%s", "\N{SNOWMAN}"],
    ids=repr,
)
def test_thread_name_prefix_of_any_type(futures, prefix):
    def case(cls):
        with cls(1, prefix) as pool:
            name = pool.submit(threading.current_thread).result().name
        head, _, number = name.rpartition("_")
        return number, head.rstrip("0123456789") if not prefix else head

    _ended, (number, head) = same_as_standard(futures, case)
    assert number == "0"
    if not prefix:
        assert head == "ThreadPoolExecutor-"


@pytest.mark.parametrize("value", [5, 0, "", "text", [], (), object()], ids=repr)
def test_initializer_that_is_not_callable(futures, value):
    raised = same_as_standard(futures, lambda cls: cls(1, initializer=value))
    assert raised == (TypeError, "initializer must be a callable")


@pytest.mark.parametrize(
    "initargs", [(), [], "", "ab", (1, 2), [1], range(3), {"k": 1}], ids=repr
)
def test_initargs_may_be_any_iterable(futures, initargs):
    def case(cls):
        seen = []
        with cls(1, "", lambda *args: seen.append(args), initargs) as pool:
            pool.submit(abs, 1).result()
        return seen

    _ended, seen = same_as_standard(futures, case)
    assert seen == [tuple(initargs)]


@pytest.mark.parametrize("initargs", [None, 5, object()], ids=["None", "5", "object"])
def test_initargs_are_not_looked_at_without_an_initializer(futures, initargs):
    same_as_standard(futures, work_with(max_workers=1, initargs=initargs))


@pytest.mark.parametrize("initargs", [None, 5], ids=repr)
def test_initargs_that_cannot_be_unpacked_break_the_pool(futures, initargs, caplog):
    def case(cls):
        with cls(1, initializer=print, initargs=initargs) as pool:
            pool.submit(abs, 1).result()

    raised, _text = same_as_standard(futures, case)
    assert raised is futures.thread.BrokenThreadPool
    assert "Exception in initializer:" in caplog.text


@pytest.mark.parametrize(
    "arguments, named",
    [
        ((1, "", None, (), 5), {}),
        ((), {"workers": 3}),
        ((1,), {"max_workers": 3}),
        ((1, ""), {"thread_name_prefix": ""}),
        ((), {"buffersize": 3, "fn": 2}),
    ],
)
def test_arguments_that_the_constructor_does_not_have(futures, arguments, named):
    raised, _text = same_as_standard(futures, lambda cls: cls(*arguments, **named))
    assert raised is TypeError


def test_all_constructor_arguments_by_position_and_by_name(futures):
    seen = []
    for arguments, named in (
        ((2, "pre", seen.append, (7,)), {}),
        (
            (),
            {
                "max_workers": 2,
                "thread_name_prefix": "pre",
                "initializer": seen.append,
                "initargs": (7,),
            },
        ),
    ):
        with futures.ThreadPoolExecutor(*arguments, **named) as pool:
            name = pool.submit(threading.current_thread).result().name
            assert name == "pre_0"
            assert seen == [7]
            seen.clear()


def submitted(*args, **kwargs):
    """A case: what becomes of submit() with these arguments."""

    def case(cls):
        with cls(1) as pool:
            return pool.submit(*args, **kwargs).result()

    return case


def echo(*args, **kwargs):
    return args, kwargs


@pytest.mark.parametrize(
    "case",
    [
        submitted(),
        submitted(fn=abs),
        submitted(fn=abs, x=1),
        submitted(x=1),
        submitted(5),
        submitted(None),
        submitted("text", 1),
        submitted(abs),
        submitted(abs, 1, 2),
        submitted(abs, x=1),
        submitted(len, 5),
        submitted(lambda: None, 1),
    ],
    ids=range(12),
)
def test_wrong_calls_of_submit(futures, case):
    raised, _text = same_as_standard(futures, case)
    assert raised is TypeError


@pytest.mark.parametrize(
    "case, expected",
    [
        (submitted(echo), ((), {})),
        (submitted(echo, 1, 2, a=3), ((1, 2), {"a": 3})),
        (submitted(echo, self=1, fn=2), ((), {"self": 1, "fn": 2})),
        (
            submitted(echo, 1, fn=2, args=3, kwargs=4),
            ((1,), {"fn": 2, "args": 3, "kwargs": 4}),
        ),
        (submitted(echo, timeout=1, future=2), ((), {"timeout": 1, "future": 2})),
        (submitted(echo, *range(300)), (tuple(range(300)), {})),
        (submitted(echo, **{"not a name": 1, "": 2}), ((), {"not a name": 1, "": 2})),
        (
            submitted(echo, **{f"k{i}": i for i in range(300)}),
            ((), {f"k{i}": i for i in range(300)}),
        ),
    ],
    ids=range(8),
)
def test_submit_passes_every_argument_through(futures, case, expected):
    assert same_as_standard(futures, case) == ("returned", expected)


def test_keywords_reach_the_function_in_order(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        _, named = pool.submit(echo, z=1, a=2, m=3).result()
    assert list(named) == ["z", "a", "m"]


def test_the_callers_containers_are_not_shared(futures):
    named = {"a": 1}
    positional = [1, 2]
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 20)
        future = pool.submit(echo, *positional, **named)
        named["b"] = 2
        positional.append(3)
        gate.set()
        assert future.result() == ((1, 2), {"a": 1})


def test_every_kind_of_callable(futures):
    class Callable:
        def __call__(self, x):
            return ("instance", x)

        def method(self, x):
            return ("method", x)

        @classmethod
        def of_class(cls, x):
            return ("class", x)

        @staticmethod
        def static(x):
            return ("static", x)

    with futures.ThreadPoolExecutor(1) as pool:
        call = Callable()
        assert pool.submit(call, 1).result() == ("instance", 1)
        assert pool.submit(call.method, 1).result() == ("method", 1)
        assert pool.submit(Callable.of_class, 1).result() == ("class", 1)
        assert pool.submit(Callable.static, 1).result() == ("static", 1)
        assert pool.submit(functools.partial(max, 3), 1).result() == 3
        assert pool.submit(int, "12", base=5).result() == 7
        assert pool.submit("a,b".split, ",").result() == ["a", "b"]
        assert type(pool.submit(Callable).result()) is Callable


def test_submit_without_an_executor_raises(futures):
    for case in (
        lambda cls: cls.submit(),
        lambda cls: cls.submit(5, abs),
        lambda cls: cls.submit(None),
    ):
        with pytest.raises((TypeError, AttributeError)):
            case(futures.ThreadPoolExecutor)


def mapped(*args, **kwargs):
    """A case: what becomes of map() with these arguments."""

    def case(cls):
        with cls(1) as pool:
            return list(pool.map(*args, **kwargs))

    return case


@pytest.mark.parametrize(
    "case",
    [
        mapped(),
        mapped(abs, 5),
        mapped(abs, [1], None),
        mapped(5, [1]),
        mapped(None, [1]),
        mapped(abs, [1], [2]),
        mapped(abs, ["text"]),
        mapped(abs, [1], timeout="1"),
        mapped(abs, [1], timeout=[]),
        mapped(abs, [1], nothing=1),
        mapped(fn=abs, iterables=[1]),
        mapped(abs, [1], initializer=None),
    ],
    ids=range(12),
)
def test_wrong_calls_of_map(futures, case):
    raised, _text = same_as_standard(futures, case)
    assert raised is TypeError


@pytest.mark.parametrize(
    "case, expected",
    [
        (mapped(abs), []),
        (mapped(fn=abs), []),
        (mapped(fn=abs, timeout=1, chunksize=1), []),
        (mapped(abs, []), []),
        (mapped(5, []), []),
        (mapped(abs, [-1, -2]), [1, 2]),
        (mapped(abs, {-1: "a", -2: "b"}), [1, 2]),
        (mapped(pow, [2, 3], [3, 2, 9]), [8, 9]),
        (mapped(pow, [2, 3, 9], [3, 2]), [8, 9]),
        (mapped(abs, [-1], chunksize=0), [1]),
        (mapped(abs, [-1], chunksize=-3), [1]),
        (mapped(abs, [-1], chunksize="x"), [1]),
        (mapped(abs, [-1], chunksize=None), [1]),
        (mapped(abs, [-1], timeout=None), [1]),
        (mapped(abs, [-1], timeout=20), [1]),
        (mapped(abs, [-1], timeout=20.5), [1]),
        (mapped(abs, [-1], timeout=True), [1]),
        (mapped(abs, [], timeout=-1), []),
        (mapped(echo, "ab", "cd"), [(("a", "c"), {}), (("b", "d"), {})]),
    ],
    ids=range(19),
)
def test_odd_calls_of_map_that_work(futures, case, expected):
    assert same_as_standard(futures, case) == ("returned", expected)


def needs_buffersize(futures):
    if futures is concurrent.futures and sys.version_info < (3, 14):
        pytest.skip("the standard map() has buffersize since 3.14")


@pytest.mark.parametrize(
    "value", ["1", 1.0, [], object()], ids=["str", "float", "list", "object"]
)
def test_buffersize_of_the_wrong_type(futures, value):
    needs_buffersize(futures)
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(TypeError, match=r"^buffersize must be an integer or None$"):
            pool.map(abs, [1], buffersize=value)


@pytest.mark.parametrize("value", [0, -1, False, -(2**70)], ids=repr)
def test_buffersize_of_a_wrong_value(futures, value):
    needs_buffersize(futures)
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match=r"^buffersize must be None or > 0$"):
            pool.map(abs, [1], buffersize=value)


@pytest.mark.parametrize("value", [1, 2, True, None, 1000], ids=repr)
def test_buffersize_that_works(futures, value):
    needs_buffersize(futures)
    with futures.ThreadPoolExecutor(1) as pool:
        assert list(pool.map(abs, [-1, -2, -3], buffersize=value)) == [1, 2, 3]


def stopped(*args, **kwargs):
    """A case: what becomes of shutdown() with these arguments."""

    def case(cls):
        pool = cls(1)
        future = pool.submit(abs, -1)
        try:
            return pool.shutdown(*args, **kwargs), future.result()
        finally:
            pool.shutdown()

    return case


@pytest.mark.parametrize(
    "case",
    [
        stopped(True, True),
        stopped(True, wait=True),
        stopped(cancel=True),
        stopped(True, timeout=3),
        stopped(1, 2, 3),
    ],
    ids=range(5),
)
def test_wrong_calls_of_shutdown(futures, case):
    raised, _text = same_as_standard(futures, case)
    assert raised is TypeError


@pytest.mark.parametrize(
    "case",
    [
        stopped(),
        stopped(True),
        stopped(False),
        stopped(None),
        stopped(0),
        stopped("text"),
        stopped([]),
        stopped(wait=1),
        stopped(wait=()),
        stopped(cancel_futures=0),
        stopped(cancel_futures=None),
        stopped(cancel_futures=""),
    ],
    ids=range(12),
)
def test_shutdown_takes_the_truth_of_anything(futures, case):
    assert same_as_standard(futures, case) == ("returned", (None, 1))


@pytest.mark.parametrize("name", ["wait", "cancel_futures"])
def test_shutdown_arguments_without_a_truth_value(futures, name):
    raised = same_as_standard(futures, stopped(**{name: Unboolable()}))
    assert raised == (ArithmeticError, "neither true nor false")


def test_the_class_is_a_subclass_of_the_standard_one(futures):
    assert issubclass(futures.ThreadPoolExecutor, concurrent.futures.ThreadPoolExecutor)
    pool = futures.ThreadPoolExecutor(1)
    assert isinstance(pool, concurrent.futures.ThreadPoolExecutor)
    assert isinstance(pool, concurrent.futures.Executor)
    assert isinstance(pool.submit(abs, 1), concurrent.futures.Future)
    pool.shutdown()


def test_an_executor_has_attributes_and_weak_references(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pool.note = "kept"
        assert pool.note == "kept"
        assert vars(pool)["note"] == "kept"
        assert weakref.ref(pool)() is pool
        assert hash(pool) == hash(pool) and pool == pool


def test_executors_are_not_pickled(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(
            (TypeError, AttributeError, pickle.PicklingError), match="pickle"
        ):
            pickle.dumps(pool)
        with pytest.raises((TypeError, AttributeError), match="pickle"):
            copy.deepcopy(pool)


def test_a_subclass_with_its_own_arguments(futures):
    class Named(futures.ThreadPoolExecutor):
        def __init__(self, name, *, size):
            super().__init__(size, thread_name_prefix=name)
            self.size = size

    with Named("mine", size=2) as pool:
        assert pool._max_workers == 2
        assert pool.submit(threading.current_thread).result().name == "mine_0"
        assert isinstance(pool, futures.ThreadPoolExecutor)


def test_a_constructor_that_failed_leaves_an_object_that_can_be_dropped(futures):
    class Late(futures.ThreadPoolExecutor):
        def __init__(self):
            try:
                super().__init__(0)
            except ValueError:
                pass

    pool = Late()
    with pytest.raises((AttributeError, RuntimeError)):
        pool.submit(abs, 1)
    del pool


def test_an_executor_whose_init_was_not_called_raises_and_does_not_crash(futures):
    pool = futures.ThreadPoolExecutor.__new__(futures.ThreadPoolExecutor)
    for call in (
        lambda: pool.submit(abs, 1),
        lambda: list(pool.map(abs, [1])),
        lambda: pool.shutdown(),
    ):
        with pytest.raises((AttributeError, RuntimeError)):
            call()
