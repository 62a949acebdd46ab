"""map of executors whose submit, or map itself, is somebody else's."""

import concurrent.futures
import contextvars

import pytest
from future_kit import Oops


def test_an_overridden_submit(futures):
    class Noting(futures.ThreadPoolExecutor):
        calls = []

        def submit(self, fn, /, *args, **kwargs):
            self.calls.append(args)
            return super().submit(lambda *a: fn(*a) + 100, *args, **kwargs)

    with Noting(2) as pool:
        assert list(pool.map(pow, [1, 2, 3], [2, 2, 2])) == [101, 104, 109]
    assert Noting.calls == [(1, 2), (2, 2), (3, 2)]


def test_a_submit_patched_on_the_instance(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        original = pool.submit
        calls = []

        def submit(fn, /, *args, **kwargs):
            calls.append(args)
            return original(fn, *args, **kwargs)

        pool.submit = submit
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert calls == [(-1,), (-2,)]
        del pool.submit
        assert list(pool.map(abs, [-3])) == [3]
        assert len(calls) == 2


def test_a_submit_patched_on_the_class(futures, monkeypatch):
    original = futures.ThreadPoolExecutor.submit
    calls = []

    def submit(self, fn, /, *args, **kwargs):
        calls.append(args)
        return original(self, fn, *args, **kwargs)

    with futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1])) == [1]
        monkeypatch.setattr(futures.ThreadPoolExecutor, "submit", submit)
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert calls == [(-1,), (-2,)]
        monkeypatch.undo()
        assert list(pool.map(abs, [-3])) == [3]
        assert len(calls) == 2


def test_a_submit_that_gives_other_futures(futures):
    """Whatever has result() and cancel() may come from it."""

    class Immediate(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            future = concurrent.futures.Future()
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as exc:
                future.set_exception(exc)
            return future

    with Immediate(1) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert len(pool._threads) == 0
        iterator = pool.map(int, ["1", "x", "2"])
        assert next(iterator) == 1
        with pytest.raises(ValueError):
            next(iterator)
        assert list(iterator) == []


def test_a_submit_that_refuses(futures):
    class Bounded(futures.ThreadPoolExecutor):
        accepted = 0

        def submit(self, fn, /, *args, **kwargs):
            if self.accepted == 3:
                raise Oops("full")
            self.accepted += 1
            return super().submit(fn, *args, **kwargs)

    ran = []
    with Bounded(1) as pool:
        with pytest.raises(Oops, match="full"):
            pool.map(ran.append, range(10))
    assert ran == [0, 1, 2]


def test_a_context_is_carried_by_submit(futures):
    """As the many ContextThreadPoolExecutor classes do it."""
    variable = contextvars.ContextVar("variable", default="unset")

    class InContext(futures.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            context = contextvars.copy_context()
            return super().submit(context.run, fn, *args, **kwargs)

    token = variable.set("set")
    try:
        with InContext(2) as pool:
            seen = list(pool.map(lambda _: variable.get(), range(5)))
            assert seen == ["set"] * 5
    finally:
        variable.reset(token)


def test_an_overridden_map(futures):
    class Listing(futures.ThreadPoolExecutor):
        def map(self, fn, *iterables, **kwargs):
            return list(super().map(fn, *iterables, **kwargs))

    with Listing(2) as pool:
        assert pool.map(abs, [-1, -2]) == [1, 2]


def test_the_standard_map_on_the_pool(futures):
    """Called unbound, it works through submit."""
    with futures.ThreadPoolExecutor(2) as pool:
        results = concurrent.futures.Executor.map(pool, abs, range(-50, 0))
        assert list(results) == list(range(50, 0, -1))
        cls = concurrent.futures.ThreadPoolExecutor
        assert list(cls.map(pool, abs, [-1, -2])) == [1, 2]


def test_a_plain_executor_has_map(futures):
    class Inline(futures.Executor):
        def submit(self, fn, /, *args, **kwargs):
            future = futures.Future()
            future.set_result(fn(*args, **kwargs))
            return future

    with Inline() as executor:
        assert list(executor.map(pow, [2, 3], [2, 2])) == [4, 9]
