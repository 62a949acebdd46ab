"""What random programs have found, as plain tests."""

import contextlib
import fcntl
import multiprocessing
import os
import signal
import sys

import pytest
from processes import jobs
from processes.kit import Gate
from support.waiting import until

import futures_c
from futures_c import _manager


def stands_in(thread, name):
    """Whether a thread is in a function of that name."""
    frame = sys._current_frames().get(thread.ident)
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


def test_a_result_that_is_fetched_while_the_pool_breaks():
    """Whose end is left to the pool's thread: that has looked for the last time."""
    context = multiprocessing.get_context("fork")
    gate = Gate(context)
    try:
        with futures_c.ProcessPoolExecutor(2, context, **gate.options) as pool:
            called = []
            first = pool.submit(jobs.hold, "first")
            first.add_done_callback(called.append)
            gate.wait_begun()
            other = pool.submit(jobs.pid).result(30)
            thread = pool._executor_manager_thread
            with pool._shutdown_lock:
                os.kill(other, signal.SIGKILL)
                until(lambda: stands_in(thread, "terminate_broken"))
                second = pool.submit(jobs.identity, "second")
                gate.open()
                # This thread fetches both, and leaves the callback to the other.
                assert second.result(30) == "second"
            assert first.result(30) == "first"
            until(lambda: called)
            assert called == [first]
    finally:
        gate.close()


@pytest.mark.parametrize("how", ["submit", "map"])
def test_a_pool_that_breaks_while_it_is_asked(how):
    """That it is broken is said, not that somebody has shut it down."""

    class Pool(futures_c.ProcessPoolExecutor):
        def _start_executor_manager_thread(self):
            super()._start_executor_manager_thread()
            os.kill(next(iter(self._processes)), signal.SIGKILL)
            until(lambda: not self._executor_manager_thread.is_alive())

    with Pool(2, multiprocessing.get_context("fork")) as pool:
        with pytest.raises(futures_c.BrokenExecutor):
            if how == "map":
                pool.map(abs, [-1, -2])
            else:
                pool.submit(abs, -1)


def write_ends():
    """The descriptors of pipes that this process may write to."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").startswith("pipe:"):
                mode = fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE
                if mode == os.O_WRONLY:
                    yield int(name)


@pytest.mark.cap(20)
def test_a_death_is_seen_while_others_hold_the_sentinel(monkeypatch):
    """As workers do that another pool forks at the moment when this one does."""
    kept = []
    fork = os.fork

    def fork_and_keep():
        pid = fork()
        if pid:
            kept.extend(os.dup(end) for end in list(write_ends()))
        return pid

    monkeypatch.setattr(_manager, "_GRACE", 1000)
    monkeypatch.setattr(os, "fork", fork_and_keep)
    with futures_c.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
        try:
            assert pool.submit(abs, -1).result(10) == 1
            busy = pool.submit(jobs.nap, 30)
            os.kill(next(iter(pool._processes)), signal.SIGKILL)
            with pytest.raises(futures_c.BrokenExecutor):
                busy.result(10)
            pool.shutdown()
        finally:
            for end in kept:
                os.close(end)
