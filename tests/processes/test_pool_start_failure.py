"""A thread of the pool that cannot be started: an error, never a hang.

This is also what test_python_finalization_error of CPython's own tests is for,
which counts the threads of the standard module's pool.
"""

import multiprocessing
import threading

import pytest
from support.waiting import until

from . import jobs
from .kit import PROLOGUE, QUIET, usable

MESSAGE = "can't start new thread"

#: What starts a thread of the system in the running version.
STARTER = (
    "_start_joinable_thread"
    if hasattr(threading, "_start_joinable_thread")
    else "_start_new_thread"
)

STANDARD = pytest.mark.fault("a thread that cannot be started", cap=3)


@pytest.fixture
def no_threads(monkeypatch):
    """Switch the start of threads off and on: no_threads(True) breaks it."""
    start = getattr(threading, STARTER)

    class Switch:
        broken = False
        failures = 0

        def __call__(self, broken):
            self.broken = broken

    switch = Switch()

    def patched(*args, **kwargs):
        if switch.broken:
            switch.failures += 1
            raise RuntimeError(MESSAGE)
        return start(*args, **kwargs)

    monkeypatch.setattr(threading, STARTER, patched)
    yield switch
    # One test asks whether workers are left; they must not harm the others.
    for child in multiprocessing.active_children():
        child.kill()
        child.join()


def raises_or_ends(pool, count=1):
    """Submit; return those whose submit() did not raise."""
    accepted = []
    for i in range(count):
        try:
            accepted.append((i, pool.submit(abs, -i)))
        except RuntimeError as exc:
            assert MESSAGE in str(exc) or type(exc) is not RuntimeError
    return accepted


@STANDARD
def test_submit_raises_or_the_pool_works(futures, make, no_threads):
    pool = make(2)
    no_threads(True)
    accepted = raises_or_ends(pool, 3)
    assert no_threads.failures
    for i, future in accepted:
        try:
            assert future.result(20) == i
        except futures.BrokenExecutor:
            pass
    no_threads(False)
    pool.shutdown()


@STANDARD
def test_the_executor_works_when_threads_start_again(make, no_threads):
    pool = make(2)
    no_threads(True)
    raises_or_ends(pool, 2)
    no_threads(False)
    usable(pool)
    assert list(pool.map(abs, [-1, -2], timeout=20)) == [1, 2]
    pool.shutdown()


@STANDARD
def test_shutdown_after_a_failed_start_leaves_no_worker(make, no_threads):
    for wait in True, False:
        pool = make(2)
        no_threads(True)
        raises_or_ends(pool)
        no_threads(False)
        pool.shutdown(wait=wait)
        until(lambda: not multiprocessing.active_children(), 5)


@STANDARD
def test_a_refused_call_never_runs(make, gate, no_threads):
    pool = make(1, **gate.options)
    gate.open()
    no_threads(True)
    with pytest.raises(RuntimeError, match=MESSAGE):
        pool.submit(jobs.hold, "refused")
    no_threads(False)
    assert pool.submit(jobs.hold, "accepted").result(20) == "accepted"
    assert gate.wait_begun() == ["accepted"] and not gate.has_begun()
    pool.shutdown()


@STANDARD
@pytest.mark.parametrize("end", ["", "pool.shutdown()", "del pool"])
def test_exit_after_a_failed_start(futures, script, method, end):
    outcome = script(
        f"""{PROLOGUE}
context = multiprocessing.get_context({method!r})
pool = futures.ProcessPoolExecutor(2, context)
start = threading.{STARTER}
def refuse(*args, **kwargs):
    raise RuntimeError({MESSAGE!r})
threading.{STARTER} = refuse
future = None
try:
    future = pool.submit(abs, -1)
except RuntimeError as exc:
    print(exc)
threading.{STARTER} = start
if future is not None:
    print(future.exception(10))
{end}
""",
        flags=QUIET,
        cap=10,
    )
    outcome.check()


@STANDARD
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_whichever_thread_it_is_nothing_hangs(futures, script, method, nth):
    """CPython's own test lets the second one fail, at the interpreter's end."""
    outcome = script(
        f"""{PROLOGUE}
context = multiprocessing.get_context({method!r})
start = threading.{STARTER}
count = 0
def refuse(*args, **kwargs):
    global count
    count += 1
    if count == {nth}:
        raise RuntimeError({MESSAGE!r})
    return start(*args, **kwargs)
threading.{STARTER} = refuse
ended = []
with futures.ProcessPoolExecutor(2, context) as pool:
    for i in range(4):
        try:
            future = pool.submit(abs, -i)
        except RuntimeError:
            ended.append(i)
            continue
        try:
            assert future.result(10) == i
        except futures.BrokenExecutor:
            pass
        ended.append(i)
print(ended)
""",
        flags=QUIET,
        cap=15,
    )
    assert outcome.check().lines == ["[0, 1, 2, 3]"]
