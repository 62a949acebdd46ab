"""A start that is interrupted: there is a process, and nobody knows of it.

Ctrl-C, or a warning that is an error, may come just after a worker was forked.  Its
seat is given to another one, and it ends by itself.
"""

import multiprocessing
import sys
import threading

import pytest
from support.waiting import until

import futures_c
from futures_c._manager import _ExecutorManagerThread
from futures_c.process import _spawn_worker

from . import jobs
from .kit import QUIET, gone, usable


class Interrupt:
    """Starts of processes that are interrupted: by number, the next one being 0."""

    def __init__(self):
        self.at = set()
        self.processes = []
        self._count = 0

    def begun(self, process):
        """Be called when the start of a process has ended."""
        self._count += 1
        if self._count - 1 in self.at:
            self.processes.append(process)
            raise KeyboardInterrupt

    def next(self, *numbers):
        """Interrupt these of the starts to come."""
        self.at = {self._count + number for number in numbers}

    def await_end(self):
        """Wait for those whose start was interrupted; they end as if all were well."""
        assert self.processes
        while self.processes:
            process = self.processes.pop()
            process.join(30)
            assert process.exitcode == 0
            process.close()


@pytest.fixture
def interrupt(monkeypatch, context):
    interrupt = Interrupt()
    start = context.Process.start

    def interrupted(self):
        start(self)
        interrupt.begun(self)

    monkeypatch.setattr(context.Process, "start", interrupted)
    return interrupt


@pytest.fixture
def pool(context):
    with futures_c.ProcessPoolExecutor(3, context) as pool:
        yield pool


def test_the_first_start(context, interrupt):
    interrupt.next(0, 1)
    with futures_c.ProcessPoolExecutor(1, context) as pool:
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                pool.submit(abs, -1)
        usable(pool)
        interrupt.await_end()
        # The one worker, whoever else there was, has done it all.
        pids = {pool.submit(jobs.pid).result(30) for _ in range(5)}
        assert pids == set(pool._processes)
        assert len(pids) == 1


def test_another_start(pool, interrupt):
    """The calls that are there are answered by the workers that are there."""
    interrupt.next(1)
    futures = []
    with pytest.raises(KeyboardInterrupt):
        for _ in range(3):
            futures.append(pool.submit(jobs.nap, 0.2, 5))
    usable(pool)
    interrupt.await_end()
    assert [future.result(30) for future in futures] == [5] * len(futures)
    assert 1 <= len(pool._processes) <= 3
    assert list(pool.map(abs, range(-50, 0))) == list(range(50, 0, -1))


def test_an_initializer_does_not_run(context, interrupt, tmp_path):
    path = tmp_path / "here"
    with futures_c.ProcessPoolExecutor(
        1, context, initializer=jobs.leave_a_mark, initargs=(str(path), 0)
    ) as pool:
        interrupt.next(0)
        with pytest.raises(KeyboardInterrupt):
            pool.submit(abs, -1)
        interrupt.await_end()
        assert not path.exists()
        usable(pool)
    assert path.exists()


def test_a_handler_has_submitted_before(monkeypatch):
    """Its call is answered, although the start in whose middle it came has failed."""
    context = multiprocessing.get_context("fork")
    start, nested, count = context.Process.start, [], 0

    def interrupted(self):
        nonlocal count
        start(self)
        count += 1
        if count == 2:
            nested.append(pool.submit(abs, -4))
            raise KeyboardInterrupt

    monkeypatch.setattr(context.Process, "start", interrupted)
    with futures_c.ProcessPoolExecutor(3, context) as pool:
        with pytest.raises(KeyboardInterrupt):
            pool.submit(abs, -1)
        assert [future.result(30) for future in nested] == [4]
        assert managers() == [pool._executor_manager_thread]
        usable(pool)
    until(lambda: not multiprocessing.active_children(), 30)


class Unhashable(futures_c.ProcessPoolExecutor):
    """An executor that can be in no set."""

    def __eq__(self, other):
        return self is other


def test_an_executor_need_not_be_hashable(context):
    """The exit knows of a pool that is being started, by its identity."""
    with Unhashable(1, context) as pool:
        usable(pool)


# --- at every line ---


class _Interruption:
    """Raise KeyboardInterrupt before line number *at* that is run of a start."""

    CODES = frozenset(
        {
            futures_c.ProcessPoolExecutor._adjust_process_count.__code__,
            futures_c.ProcessPoolExecutor._start_managing.__code__,
            futures_c.ProcessPoolExecutor._launch_some.__code__,
            futures_c.ProcessPoolExecutor._launch_processes.__code__,
            futures_c.ProcessPoolExecutor._start_worker.__code__,
            futures_c.ProcessPoolExecutor._watch.__code__,
            futures_c.ProcessPoolExecutor._enlist.__code__,
            _spawn_worker.__code__,
            # Where Thread.start() waits until the thread runs.
            threading.Event.wait.__code__,
        }
    )

    def __init__(self, at):
        self._left = at
        self.came = False

    def __enter__(self):
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _trace(self, frame, event, arg):
        if frame.f_code not in self.CODES or self.came:
            return None
        if event == "line":
            if self._left == 0:
                self.came = True
                raise KeyboardInterrupt
            self._left -= 1
        return self._trace


def managers():
    return [t for t in threading.enumerate() if isinstance(t, _ExecutorManagerThread)]


@pytest.mark.cap(120)
@pytest.mark.skipif(sys.gettrace() is not None, reason="somebody traces already")
@pytest.mark.parametrize(
    ("method", "workers", "step"),
    [("fork", 1, 1), ("fork", 3, 2), ("spawn", 1, 7), ("forkserver", 1, 7)],
)
def test_at_every_line(method, workers, step):
    """Wherever Ctrl-C comes, the next call is answered and no more is left."""
    context = multiprocessing.get_context(method)
    at = 0
    while True:
        with futures_c.ProcessPoolExecutor(workers, context) as pool:
            with _Interruption(at) as interruption:
                try:
                    pool.submit(abs, -1)
                except KeyboardInterrupt:
                    assert interruption.came
            usable(pool)
            # One that was abandoned may be about to notice.
            until(lambda pool=pool: managers() == [pool._executor_manager_thread])
            assert len(pool._processes) == workers
            assert pool._seats.keys() == pool._processes.keys()
            pids = {pool.submit(jobs.pid).result(30) for _ in range(5)}
            assert pids <= pool._processes.keys()
        until(lambda: not managers())
        until(lambda: not multiprocessing.active_children(), 30)
        assert all(map(gone, pids))
        if not interruption.came:
            break
        at += step
    assert at > 50


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_end_after_an_interrupted_start(script, method):
    """A pool that nobody uses any more does not keep the program from its end."""
    outcome = script(
        f"""
import multiprocessing, signal, sys
import futures_c

def interrupt(*args):
    raise KeyboardInterrupt

if __name__ == "__main__":
    signal.signal(signal.SIGALRM, interrupt)
    context = multiprocessing.get_context({method!r})
    kept = []
    for i in range(20):
        pool = futures_c.ProcessPoolExecutor(2, context)
        if i % 2:
            kept.append(pool)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0003 * (i + 1))
            pool.submit(abs, -1)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            pass
        if i % 3 == 0:
            pool.shutdown()
        elif i % 3 == 1:
            assert pool.submit(abs, -5).result(30) == 5
    print("end")
""",
        flags=QUIET,
        cap=50,
    )
    assert outcome.check().lines[-1:] == ["end"]


@pytest.mark.parametrize("started", [False, True])
def test_what_threading_makes_of_an_interruption(context, monkeypatch, started):
    """Ctrl-C while Thread.start() takes its lock again is still Ctrl-C."""
    pool = futures_c.ProcessPoolExecutor(1, context)
    start = threading.Thread.start

    def interrupted(thread):
        monkeypatch.setattr(threading.Thread, "start", start)
        if started:
            thread.start()
        lock = threading.Lock()
        with lock:
            lock.release()
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(abs, -1)
    with pool:
        assert [pool.submit(abs, -i).result(30) for i in range(3)] == [0, 1, 2]
        assert len(pool._processes) == 1


@pytest.mark.skipif(sys.version_info < (3, 15), reason="os.fork() does not raise")
def test_a_warning_that_is_an_error(script):
    """Since 3.15 os.fork() raises what its warning has become, and forks."""
    outcome = script(
        """
import multiprocessing, os, threading, time, warnings
import futures_c
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
pool = futures_c.ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
with warnings.catch_warnings():
    warnings.simplefilter("error")
    for _ in range(3):
        try:
            pool.submit(abs, -1)
        except DeprecationWarning as error:
            print("multi-threaded" in str(error))
warnings.simplefilter("ignore")
print([pool.submit(abs, -i).result(20) for i in range(3)], len(pool._processes))
pool.shutdown()
"""
    )
    assert outcome.check().lines == ["True"] * 3 + ["[0, 1, 2] 1"]
