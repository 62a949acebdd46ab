"""InterpreterPoolExecutor: our thread pool over the standard worker contexts."""

from __future__ import annotations

import concurrent.futures
import os

import pytest

if "InterpreterPoolExecutor" not in concurrent.futures.__all__:
    pytest.skip("interpreter pools came with Python 3.14", allow_module_level=True)

import _interpreters

import futures_c


@pytest.fixture(params=["standard", "futures_c"])
def pool_class(request):
    """The interpreter pool of either module."""
    module = futures_c if request.param == "futures_c" else concurrent.futures
    return module.InterpreterPoolExecutor


# What runs in the other interpreters uses no name of this module: pytest's
# modules cannot be imported there.


def interpreter_number(*_: object) -> int:
    """The number of the interpreter that runs this."""
    import _interpreters

    return int(_interpreters.get_current()[0])


def remember(key: str, value: str) -> None:
    """Leave a mark in this interpreter alone."""
    import sys

    setattr(sys, key, value)


def recall(key: str) -> object:
    """Return the mark."""
    import sys

    return getattr(sys, key, None)


def fail(text: str) -> None:
    """Raise what a task raises."""
    raise LookupError(text)


def test_calls_run_in_interpreters_of_their_own(pool_class):
    here = int(_interpreters.get_current()[0])
    with pool_class(2) as pool:
        numbers = {pool.submit(interpreter_number).result() for _ in range(4)}
        assert here not in numbers
        assert 1 <= len(numbers) <= 2
        assert pool.submit(os.getpid).result() == os.getpid()


def test_map_goes_through_the_contexts(pool_class):
    with pool_class(2) as pool:
        assert list(pool.map(pow, [2, 3, 4], [5, 2, 1])) == [32, 9, 4]
        here = int(_interpreters.get_current()[0])
        assert here not in set(pool.map(interpreter_number, range(4)))


def test_an_exception_comes_back(pool_class):
    with pool_class(1) as pool:
        future = pool.submit(fail, "lost")
        assert type(future.exception()) is LookupError
        with pytest.raises(LookupError, match="lost"):
            future.result()
        # And the worker is still there.
        assert pool.submit(abs, -1).result() == 1


def test_an_initializer_runs_once_in_each_interpreter(pool_class):
    key = "futures_c_mark"
    with pool_class(1, initializer=remember, initargs=(key, "here")) as pool:
        assert pool.submit(recall, key).result() == "here"
    assert recall(key) is None


def test_a_failing_initializer_breaks_the_pool(pool_class, caplog):
    with pool_class(1, initializer=fail, initargs=("broken",)) as pool:
        future = pool.submit(abs, -1)
        with pytest.raises(concurrent.futures.BrokenExecutor) as caught:
            future.result()
        assert type(caught.value) is pool.BROKEN
        with pytest.raises(pool.BROKEN):
            pool.submit(abs, -1)
    assert "Exception in initializer:" in caplog.text


def test_scripts_are_refused(pool_class):
    with pool_class(1) as pool:
        with pytest.raises(TypeError, match="scripts not supported"):
            pool.submit("print('no')")
    with pytest.raises(TypeError, match="scripts not supported"):
        pool_class(1, initializer="print('no')")


def test_names_of_threads(pool_class):
    with pool_class(1) as pool:
        pool.submit(abs, -1).result()
        (thread,) = pool._threads
        assert thread.name.startswith("InterpreterPoolExecutor-")
    with pool_class(1, "mine") as pool:
        pool.submit(abs, -1).result()
        (thread,) = pool._threads
        assert thread.name == "mine_0"


def test_no_interpreter_is_left(pool_class):
    before = {number for number, *_ in _interpreters.list_all()}
    with pool_class(2) as pool:
        list(pool.map(abs, range(8)))
    assert {number for number, *_ in _interpreters.list_all()} == before


def test_results_are_native_futures():
    with futures_c.InterpreterPoolExecutor(1) as pool:
        future = pool.submit(abs, -1)
        assert type(future) is futures_c.Future
        assert future.result() == 1
