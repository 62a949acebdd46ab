"""What runs before the first call of each interpreter, and what its failure breaks."""

from __future__ import annotations

import concurrent.futures
import logging
import threading

import pytest
from support.waiting import until

from . import jobs, kit


def test_an_initializer_runs_once_in_each_interpreter(make, tmp_path):
    pool = make(2, initializer=leave_mark, initargs=("here",))
    names = [str(tmp_path / name) for name in "ab"]
    pending = [pool.submit(count_marks, names[i], names[1 - i]) for i in range(2)]
    assert [f.result(30) for f in pending] == [["here"]] * 2
    assert not hasattr(threading, "futures_c_marks")


def leave_mark(value):
    """Leave a mark in this interpreter alone."""
    import threading

    if not hasattr(threading, "futures_c_marks"):
        threading.futures_c_marks = []
    threading.futures_c_marks.append(value)


def count_marks(mine, other):
    """Wait for the other worker; return the marks."""
    import os
    import threading
    import time

    with open(mine, "w"):
        pass
    while not os.path.exists(other):
        time.sleep(0.001)
    return threading.futures_c_marks


def test_arguments_of_any_kind(make):
    point = jobs.Point(1, [2])
    pool = make(initializer=keep, initargs=(kit.TESTS, [1, {"a": b"x"}]))
    assert pool.submit(kept).result() == [1, {"a": b"x"}]
    assert pool.submit(jobs.same, point).result() == point


def keep(path, value):
    """Keep a value for later calls."""
    import sys

    sys.path.insert(0, path)
    sys.futures_c_kept = value


def kept():
    """Return it."""
    import sys

    return sys.futures_c_kept


def raiser():
    """Fail."""
    raise LookupError("broken")


def bare_exit():
    """Leave."""
    raise SystemExit(3)


@pytest.mark.parametrize(
    "initializer, args, logged",
    [
        (raiser, (), "LookupError: broken"),
        (bare_exit, (), "SystemExit: 3"),
        (raiser, (1,), "TypeError"),
        (raiser, (lambda: concurrent,), "NotShareableError"),
        (jobs.read_marks, (), "NotShareableError"),
    ],
    ids=["raises", "exits", "arguments", "unsendable", "unreadable"],
)
def test_an_initializer_that_fails_breaks_the_pool(
    futures, caplog, initializer, args, logged
):
    before = kit.interpreters()
    pool = futures.InterpreterPoolExecutor(2, initializer=initializer, initargs=args)
    with caplog.at_level(logging.CRITICAL, "concurrent.futures"):
        future = pool.submit(abs, -1)
        with pytest.raises(concurrent.futures.BrokenExecutor) as caught:
            future.result(30)
        assert type(caught.value) is pool.BROKEN
        assert type(caught.value).__name__ == "BrokenInterpreterPool"
        assert str(caught.value) == (
            "A thread initializer failed, the thread pool is not usable anymore"
        )
        with pytest.raises(pool.BROKEN):
            pool.submit(abs, -1)
        pool.shutdown()
    assert "Exception in initializer:" in caplog.text
    assert logged in caplog.text
    kit.until_no_more_than(before)


@pytest.mark.fault("what is queued behind a cancelled future is not ended")
def test_what_is_queued_when_the_pool_breaks(futures, tmp_path, caplog):
    go = tmp_path / "go"
    pool = futures.InterpreterPoolExecutor(
        1, initializer=wait_and_fail, initargs=(str(go),)
    )
    pending = [pool.submit(abs, n) for n in range(10)]
    cancelled = pending[5]
    assert cancelled.cancel()
    go.touch()
    for future in pending:
        if future is not cancelled:
            assert type(future.exception(30)) is pool.BROKEN
    assert cancelled.cancelled()
    pool.shutdown()


def wait_and_fail(path):
    """Fail when there is such a file."""
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.001)
    raise LookupError("late")


def test_shutdown_while_an_initializer_runs(futures, tmp_path):
    go = tmp_path / "go"
    pool = futures.InterpreterPoolExecutor(1, initializer=wait_for, initargs=(str(go),))
    future = pool.submit(abs, -1)
    pool.shutdown(wait=False)
    assert not future.done()
    go.touch()
    assert future.result(30) == 1
    until(lambda: not any(thread.is_alive() for thread in pool._threads))


def wait_for(path):
    """Return when there is such a file."""
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.001)
