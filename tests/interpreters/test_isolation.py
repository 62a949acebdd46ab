"""What calls see of each other, of their interpreter and of this one."""

from __future__ import annotations

import contextvars
import importlib.util
import os
import sys
import threading

import pytest
from support.waiting import until

import futures_c

from . import jobs, kit


def test_context_variables_do_not_leak_from_call_to_call(pool):
    assert pool.submit(jobs.set_context_variable).result() is None
    assert pool.submit(jobs.set_context_variable).result() is None


def test_context_variables_of_here_are_not_there(pool):
    jobs.VARIABLE.set(5)
    try:
        assert pool.submit(jobs.set_context_variable).result() is None
        contextvars.copy_context().run(pool.submit, abs, 1).result()
    finally:
        jobs.VARIABLE.set(0)
    assert jobs.VARIABLE.get() == 0


def test_modules_are_each_interpreters_own(make):
    pools = [make(), make()]
    for n, pool in enumerate(pools):
        assert pool.submit(jobs.mark, n).result() == 1
    for n, pool in enumerate(pools):
        assert pool.submit(jobs.read_marks).result() == [n]
    assert jobs.marks == []


def test_threads_local_data_stays_in_a_worker():
    """Each call of the standard pool has a thread state of its own."""
    with our_pool() as pool:
        assert pool.submit(jobs.set_local).result() is None
        assert pool.submit(jobs.set_local).result() == 1


def our_pool(workers=1):
    return futures_c.InterpreterPoolExecutor(
        workers, initializer=jobs.visit, initargs=(kit.TESTS,)
    )


def test_a_thread_that_a_call_has_started_is_waited_for(make, tmp_path):
    path = tmp_path / "late"
    pool = make()
    assert pool.submit(jobs.start_thread, str(path)).result() is True
    pool.shutdown()
    assert path.read_text() == "written"


def test_a_thread_that_a_call_has_started_runs_between_calls(make, tmp_path):
    path = tmp_path / "late"
    pool = make()
    pool.submit(jobs.start_thread, str(path)).result()
    until(path.exists)
    assert pool.submit(abs, -1).result() == 1


def test_a_call_that_computes_leaves_this_interpreter_its_gil(pool, tmp_path):
    """It ends when this thread, which never waits, has done something."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    future = pool.submit(jobs.burn, str(mine), str(other))
    while not mine.exists():
        pass
    other.touch()
    assert future.result(30) >= 0


@pytest.mark.skipif(
    not kit.SHARES, reason="interpreters share no memory before Python 3.13"
)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="it takes two CPUs")
def test_two_calls_are_in_the_middle_of_bytecode_at_once(make):
    """A handshake through memory, hundreds of times within one switch interval.

    Under one GIL each exchange would take as long as the interval, a second here.
    """
    pool = make(2)
    memory = memoryview(bytearray(1))
    first = pool.submit(ping, memory, 0, 200)
    second = pool.submit(ping, memory, 1, 200)
    assert first.result(50) == second.result(50) == 200


def ping(memory, mine, count):
    """Take turns with another interpreter, without ever waiting for the GIL."""
    import sys

    sys.setswitchinterval(1)
    for _ in range(count):
        while memory[0] != mine:
            pass
        memory[0] = 1 - mine
    return count


def test_a_module_that_does_not_support_interpreters(pool):
    name = "_testsinglephase"
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"this interpreter comes without {name}")
    for _ in range(2):
        error = pool.submit(jobs.import_module, name).exception(30)
        assert type(error) is ImportError
        assert "does not support loading in subinterpreters" in str(error)
    assert pool.submit(abs, -1).result() == 1


def test_signals_of_here_have_handlers_here(pool):
    assert pool.submit(signal_fails).result() == "ValueError"


def signal_fails():
    """Handlers belong to the main interpreter."""
    import signal

    try:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    except ValueError as error:
        return type(error).__name__
    return None


@pytest.mark.parametrize(
    "code",
    [
        "sys.path.clear()",
        "sys.path[:] = ['.']; os.chdir('/')",
        "sys.meta_path.clear()",
        "class Refuse:\n def find_spec(*_): raise ImportError\n"
        "sys.meta_path.insert(0, Refuse())",
    ],
    ids=["no path", "another path", "no finders", "a finder that refuses"],
)
def test_calls_that_change_how_modules_are_found(make, code):
    here = os.getcwd()
    pool = make()
    try:
        pool.submit(exec, f"import os, sys\n{code}", {}).result()
        with pytest.raises(ZeroDivisionError):
            pool.submit(divmod, 1, 0).result()
        assert pool.submit(lambda: 4).result() == 4
        assert pool.submit(sorted, {3, 1}).result() == [1, 3]
    finally:
        os.chdir(here)


def test_a_call_cannot_fork(pool):
    error = pool.submit(os.fork).exception(30)
    assert type(error) is RuntimeError
    assert pool.submit(abs, -1).result() == 1


def test_a_daemon_thread_of_here_may_submit(pool):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(pool.submit(abs, -3).result()), daemon=True
    )
    thread.start()
    thread.join(30)
    assert found == [3]


def test_changes_of_the_interpreter_stay_there(pool):
    limit = sys.getrecursionlimit()
    pool.submit(sys.setrecursionlimit, limit + 50).result()
    assert sys.getrecursionlimit() == limit
    assert pool.submit(sys.getrecursionlimit).result() == limit + 50
