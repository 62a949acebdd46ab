"""A worker thread that cannot be started.

submit() raises, the task is taken back, no future is left that never ends, and
the executor goes on as soon as threads can be started again.
"""

import threading
import weakref

import pytest

MESSAGE = "can't start new thread"


@pytest.fixture
def no_threads(monkeypatch):
    """Switch the start of threads off and on: no_threads(True) breaks it."""
    start = threading.Thread.start

    class Switch:
        broken = False
        failures = 0

        def __call__(self, broken):
            self.broken = broken

    switch = Switch()

    def patched(self):
        if switch.broken:
            switch.failures += 1
            raise RuntimeError(MESSAGE)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", patched)
    return switch


def test_submit_raises_what_start_raises(futures, no_threads):
    with futures.ThreadPoolExecutor(2) as pool:
        no_threads(True)
        with pytest.raises(RuntimeError, match=MESSAGE):
            pool.submit(abs, -1)
        assert no_threads.failures == 1
        assert not pool._threads
        no_threads(False)


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyboardInterrupt])
def test_any_error_of_start_comes_out(futures, monkeypatch, error):
    def patched(self):
        raise error("no")

    with futures.ThreadPoolExecutor(2) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", patched)
            with pytest.raises(error, match="no"):
                pool.submit(abs, -1)
        assert pool.submit(abs, -2).result(20) == 2


def test_the_executor_works_when_threads_start_again(futures, no_threads):
    with futures.ThreadPoolExecutor(2) as pool:
        no_threads(True)
        for _ in range(3):
            with pytest.raises(RuntimeError, match=MESSAGE):
                pool.submit(abs, -1)
        no_threads(False)
        assert [pool.submit(abs, -i).result(20) for i in range(5)] == list(range(5))
        assert list(pool.map(abs, range(5))) == list(range(5))
        barrier = threading.Barrier(2)
        for future in [pool.submit(barrier.wait, 20) for _ in range(2)]:
            future.result(20)


@pytest.mark.fault("PR 17615")
def test_pr17615_a_task_that_was_refused_never_runs(futures, no_threads):
    ran = []
    with futures.ThreadPoolExecutor(1) as pool:
        no_threads(True)
        with pytest.raises(RuntimeError, match=MESSAGE):
            pool.submit(ran.append, "refused")
        assert pool._work_queue.qsize() == 0
        no_threads(False)
        pool.submit(ran.append, "accepted").result(20)
    assert ran == ["accepted"]


@pytest.mark.fault("PR 17615")
def test_pr17615_a_refused_task_lets_go_of_its_arguments(futures, no_threads):
    class Argument:
        pass

    argument = Argument()
    reference = weakref.ref(argument)
    with futures.ThreadPoolExecutor(1) as pool:
        no_threads(True)
        try:
            pool.submit(id, argument)
        except RuntimeError:
            pass
        else:
            raise AssertionError("submit did not raise")
        del argument
        assert reference() is None
        no_threads(False)


def test_a_pool_with_a_worker_loses_nothing(futures, no_threads):
    """Each submit raises or gives a future that ends, whoever runs it."""
    gate = threading.Event()
    with futures.ThreadPoolExecutor(4) as pool:
        busy = pool.submit(gate.wait, 30)
        no_threads(True)
        accepted = []
        for i in range(20):
            try:
                accepted.append((i, pool.submit(abs, -i)))
            except RuntimeError as exc:
                assert str(exc) == MESSAGE
        gate.set()
        assert busy.result(20) is True
        for i, future in accepted:
            assert future.result(20) == i
        no_threads(False)
        assert pool.submit(abs, -7).result(20) == 7


@pytest.mark.fault("PR 17615")
def test_pr17615_with_a_busy_worker_refused_tasks_never_run(futures, no_threads):
    gate = threading.Event()
    ran = []
    accepted = []
    with futures.ThreadPoolExecutor(4) as pool:
        pool.submit(gate.wait, 30)
        no_threads(True)
        for i in range(20):
            try:
                pool.submit(ran.append, i)
            except RuntimeError:
                continue
            accepted.append(i)
        no_threads(False)
        gate.set()
    assert sorted(ran) == accepted


def test_map_raises_and_nothing_hangs(futures, no_threads):
    with futures.ThreadPoolExecutor(2) as pool:
        no_threads(True)
        with pytest.raises(RuntimeError, match=MESSAGE):
            list(pool.map(abs, [-1, -2]))
        no_threads(False)
        assert list(pool.map(abs, [-1, -2])) == [1, 2]


def test_map_with_a_busy_worker_raises_or_yields_everything(futures, no_threads):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(3) as pool:
        pool.submit(gate.wait, 30)
        no_threads(True)
        release = threading.Timer(0.05, gate.set)
        # The timer is a thread as well.
        no_threads(False)
        release.start()
        no_threads(True)
        try:
            found = list(pool.map(abs, range(-9, 0)))
        except RuntimeError as exc:
            assert str(exc) == MESSAGE
        else:
            assert found == list(range(9, 0, -1))
        release.join()
        no_threads(False)
        assert pool.submit(abs, -7).result(20) == 7


def test_shutdown_after_a_failed_start_does_not_hang(futures, no_threads):
    for wait in (True, False):
        pool = futures.ThreadPoolExecutor(2)
        no_threads(True)
        with pytest.raises(RuntimeError, match=MESSAGE):
            pool.submit(abs, -1)
        pool.shutdown(wait=wait, cancel_futures=not wait)
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(abs, -1)
        no_threads(False)


@pytest.mark.fault("PR 17615")
def test_pr17615_a_refused_task_is_not_taken_for_an_idle_worker(futures, no_threads):
    with futures.ThreadPoolExecutor(2, "name") as pool:
        no_threads(True)
        with pytest.raises(RuntimeError, match=MESSAGE):
            pool.submit(abs, -1)
        no_threads(False)
        pool.submit(abs, -1).result(20)
        barrier = threading.Barrier(2)
        for future in [pool.submit(barrier.wait, 20) for _ in range(2)]:
            future.result(20)
        assert sorted(t.name for t in pool._threads) == ["name_0", "name_1"]


def test_only_some_starts_fail(futures, monkeypatch):
    start = threading.Thread.start
    calls = []

    def patched(self):
        calls.append(self)
        if len(calls) % 2:
            raise RuntimeError(MESSAGE)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", patched)
    done = []
    with futures.ThreadPoolExecutor(8) as pool:
        for i in range(200):
            try:
                done.append((i, pool.submit(abs, -i)))
            except RuntimeError as exc:
                assert str(exc) == MESSAGE
        for i, future in done:
            assert future.result(20) == i
    assert done


#: Makes the system refuse threads to this process: as an unused user where
#: the script runs as root, which is exempt from the limit.
LIMIT = """
import os, resource, threading, weakref

_, hard = resource.getrlimit(resource.RLIMIT_NPROC)
with futures.ThreadPoolExecutor(1) as warm:  # Whatever is imported late.
    list(futures.as_completed([warm.submit(abs, 1)]))
    list(warm.map(abs, [1]))

def limit(on):
    resource.setrlimit(resource.RLIMIT_NPROC, (1 if on else hard, hard))

if os.geteuid() == 0:
    os.setuid(60000 + os.getpid() % 5000)
"""


def test_the_limit_of_processes_makes_submit_raise(futures, script):
    outcome = script(
        LIMIT
        + """
pool = futures.ThreadPoolExecutor(4)
limit(True)
for _ in range(3):
    try:
        pool.submit(abs, -1)
    except RuntimeError as exc:
        print(exc)
limit(False)
print([pool.submit(abs, -i).result(20) for i in range(3)])
pool.shutdown()
"""
    )
    assert outcome.check().lines == [MESSAGE] * 3 + ["[0, 1, 2]"]


@pytest.mark.fault("PR 17615")
def test_pr17615_the_limit_of_processes_loses_no_task(futures, script):
    """100 tasks, some of them under the limit: accepted ones run, no others."""
    outcome = script(
        LIMIT
        + """
ran, accepted = [], []
pool = futures.ThreadPoolExecutor(8)
barrier = threading.Barrier(2)
first = pool.submit(barrier.wait, 20)
for i in range(100):
    limit(i % 10 < 7)
    try:
        accepted.append((i, pool.submit(ran.append, i)))
    except RuntimeError:
        pass
limit(False)
barrier.wait(20)
for i, future in accepted:
    future.result(20)
pool.shutdown()
assert sorted(ran) == [i for i, _ in accepted], (ran, accepted)
assert len(accepted) >= 30
print("all accounted for")
"""
    )
    assert outcome.check().lines == ["all accounted for"]


def test_the_limit_of_processes_and_map(futures, script):
    outcome = script(
        LIMIT
        + """
pool = futures.ThreadPoolExecutor(4)
limit(True)
try:
    list(pool.map(abs, range(3)))
except RuntimeError as exc:
    print(exc)
limit(False)
print(list(pool.map(abs, range(3))))
"""
    )
    assert outcome.check().lines == [MESSAGE, "[0, 1, 2]"]


def test_exit_after_the_limit_was_met(futures, script):
    outcome = script(
        LIMIT
        + """
pool = futures.ThreadPoolExecutor(4)
limit(True)
try:
    pool.submit(print, "not run")
except RuntimeError as exc:
    print(exc)
"""
    )
    assert outcome.check().lines == [MESSAGE]


# --- failures in the middle of a start --------------------------------------------


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "MemoryError"])
def test_an_exception_at_any_line_of_a_start(futures, script, error):
    """Ctrl-C comes between any two lines: the executor is as good as before.

    Only what starts a thread is interrupted, not threading's own code, which may
    keep a lock of its own for ever.
    """
    outcome = script(
        f"""
        import sys

        executor = futures.ThreadPoolExecutor
        name = "_start_worker"
        if not hasattr(executor, name):
            name = "_adjust_thread_count"
        code = getattr(executor, name).__code__

        def raising_at(number):
            lines = iter(range(number))

            def local(frame, event, arg):
                if event == "line" and next(lines, None) is None:
                    sys.settrace(None)
                    raise {error}(number)
                return local

            return lambda frame, *_: local if frame.f_code is code else None

        raised = True
        number = 0
        while raised:
            pool = executor(1)
            sys.settrace(raising_at(number))
            try:
                pool.submit(abs, -1).result(20)
                raised = False
            except {error}:
                pass
            finally:
                sys.settrace(None)
            assert pool.submit(abs, -2).result(20) == 2
            pool.shutdown()
            assert not any(t.is_alive() for t in pool._threads)
            number += 1
        assert number > 5, number
        print("all lines")
        """
    )
    assert outcome.check().lines == ["all lines"]


@pytest.mark.fault("gh-121649", cap=1)
@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize("cancel", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_gh121649_shutdown_from_a_signal_handler_during_a_start(
    futures, script, when, wait, cancel
):
    outcome = script(
        f"""
        import signal, threading

        def start(self, start=threading.Thread.start):
            if {when!r} == "after":
                start(self)
            signal.raise_signal(signal.SIGTERM)
            if {when!r} == "before":
                start(self)

        def stop(signum, frame):
            pool.shutdown(wait={wait}, cancel_futures={cancel})
            print("shut down")

        signal.signal(signal.SIGTERM, stop)
        pool = futures.ThreadPoolExecutor(1)
        threading.Thread.start = start
        try:
            print(pool.submit(abs, -1).result(10))
        except RuntimeError as exc:
            print(exc)
        pool.shutdown()
        assert not any(thread.is_alive() for thread in pool._threads)
        print("ended")
        """,
        cap=20,
    )
    assert outcome.check().lines == [
        "shut down",
        "cannot schedule new futures after shutdown",
        "ended",
    ]


def test_a_thread_in_the_middle_of_its_start_can_be_looked_at(futures, monkeypatch):
    """By the very thread that starts it, as a signal handler may do."""
    start = threading.Thread.start
    seen = []

    def patched(self):
        seen.extend([self.is_alive(), self.ident, self.native_id])
        with pytest.raises(RuntimeError, match="before it is started"):
            self.join(1)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", patched)
    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(abs, -1).result(20) == 1
        (thread,) = pool._threads
    assert seen[1:] == [None, None]
    assert thread.ident is not None
