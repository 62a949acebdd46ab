"""What cannot travel ends its own future, and the pool goes on."""

from __future__ import annotations

import sys
import threading

import pytest

import futures_c

from . import jobs, kit


@pytest.fixture
def refused(futures):
    """The class of what is raised for what cannot travel."""
    if kit.STANDARD:
        from concurrent.interpreters import NotShareableError

        return NotShareableError
    from futures_c._crossing import NotShareableError

    return NotShareableError


def local_object():
    class Local:
        pass

    return Local()


def closure():
    value = [1]
    return lambda: value


UNSENDABLE = {
    "generator": lambda: (i for i in ()),
    "lock": threading.Lock,
    "file": lambda: sys.__stderr__,
    "module": lambda: sys,
    "raises": jobs.Unsendable,
    "local": local_object,
    "frame": sys._getframe,
    "thread": threading.current_thread,
}


def test_arguments_that_cannot_be_sent(pool, refused):
    for name, make_it in UNSENDABLE.items():
        for _ in range(2):
            error = pool.submit(jobs.same, make_it()).exception(30)
            assert type(error) is refused, name
            assert str(error).endswith("does not support cross-interpreter data")
            assert error.__cause__ is not None
            assert pool.submit(abs, -1).result() == 1
        error = pool.submit(jobs.same, [make_it()]).exception(30)
        assert type(error) is refused, name


def test_functions_that_cannot_be_sent(pool, refused):
    for function in closure(), lambda x=[]: x, lambda: sys.argv, closure:
        for _ in range(2):
            error = pool.submit(function).exception(30)
            if function is not closure:
                assert type(error) is refused
                assert str(error).endswith("does not support cross-interpreter data")
    assert pool.submit(abs, -1).result() == 1


def test_results_that_cannot_be_sent(pool, refused):
    for kind in ["generator", "unsendable", "local", "exit"] * 2:
        error = pool.submit(jobs.make, kind).exception(30)
        assert type(error) is refused
        assert str(error) == "object does not support cross-interpreter data"
        assert error.__cause__ is not None
        assert pool.submit(abs, -1).result() == 1


def test_results_that_cannot_be_read(pool, refused):
    error = pool.submit(jobs.make, "unreadable").exception(30)
    assert type(error) is refused
    if isinstance(pool, futures_c.ThreadPoolExecutor):
        assert str(error) == "object could not be unpickled"
        assert type(error.__cause__) is ValueError
    assert pool.submit(abs, -1).result() == 1


def test_arguments_that_cannot_be_read(pool, refused):
    for _ in range(2):
        error = pool.submit(jobs.same, jobs.Unreadable()).exception(30)
        assert type(error) is refused
        assert str(error).endswith("args not shareable")
        assert "no number" in str(error.__cause__)
        assert pool.submit(abs, -1).result() == 1


def test_an_interpreter_that_cannot_find_the_module(futures, make, refused):
    pool = make(initializer=None)
    error = pool.submit(jobs.read_marks).exception(30)
    assert type(error) is refused
    if issubclass(type(pool), futures_c.ThreadPoolExecutor):
        assert str(error) == "func or args not shareable"
        assert "No module named 'interpreters'" in str(error.__cause__)
    # Its code can travel.
    assert pool.submit(jobs.same, 3).result() == 3


def test_keyword_arguments_and_functions_within(pool, refused):
    error = pool.submit(jobs.keywords, a=closure()).exception(30)
    assert type(error) is refused
    error = pool.submit(sorted, [1, 2], key=closure()).exception(30)
    assert type(error) is refused


# --- ours alone: the standard module crashes, loses the exception or says less ---


@pytest.fixture
def our_pool():
    """One worker of ours."""
    with futures_c.InterpreterPoolExecutor(
        1, initializer=jobs.visit, initargs=(kit.TESTS,)
    ) as pool:
        yield pool


def test_what_is_no_exception_is_raised_as_it_is(our_pool):
    error = our_pool.submit(jobs.same, jobs.Unsendable(SystemExit)).exception(30)
    assert type(error) is SystemExit
    assert our_pool.submit(abs, -1).result() == 1


def test_the_reason_is_the_cause(our_pool):
    error = our_pool.submit(jobs.same, jobs.Unsendable(KeyError)).exception(30)
    assert type(error.__cause__) is KeyError
    error = our_pool.submit(jobs.make, "unsendable").exception(30)
    assert str(error.__cause__) == "ValueError: cannot be pickled"


def test_a_task_whose_repr_raises(our_pool):
    error = our_pool.submit(jobs.same, Unspeakable()).exception(30)
    assert str(error) == "the task does not support cross-interpreter data"


class Unspeakable:
    """Neither to be pickled nor to be shown."""

    def __reduce__(self):
        raise ValueError("no")

    def __repr__(self):
        raise ValueError("no")


def test_pickling_that_uses_the_pool(our_pool):
    """Calls are pickled in the worker, which takes no other call meanwhile."""
    made = []
    jobs.Calling.call = lambda: made.append(our_pool.submit(abs, -2))
    try:
        assert our_pool.submit(jobs.same, jobs.Calling()).result(30) == 0
    finally:
        jobs.Calling.call = None
    assert [f.result(30) for f in set(made)] == [2] * len(made)


def test_pickling_that_waits_for_another_worker(make):
    with futures_c.InterpreterPoolExecutor(
        2, initializer=jobs.visit, initargs=(kit.TESTS,)
    ) as pool:
        made = []
        jobs.Calling.call = lambda: made.append(pool.submit(abs, -2).result(30))
        try:
            assert pool.submit(jobs.same, jobs.Calling()).result(30) == 0
        finally:
            jobs.Calling.call = None
        assert set(made) == {2}


def test_pickling_that_recurs(our_pool):
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    error = our_pool.submit(len, [deep]).exception(30)
    while deep:
        (deep,) = deep
    if error is not None:
        assert type(error.__cause__) is RecursionError
    assert our_pool.submit(abs, -1).result() == 1
