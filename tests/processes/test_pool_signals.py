"""Signal handlers that use the pool in the middle of anything."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from . import jobs
from .kit import PROLOGUE, QUIET


@pytest.fixture
def interval():
    """Have a handler called every few milliseconds: interval(handler)."""
    previous = signal.getsignal(signal.SIGUSR1)
    stop = threading.Event()
    threads = []

    def start(handler, seconds=0.05):
        def kick():
            while not stop.wait(seconds):
                os.kill(os.getpid(), signal.SIGUSR1)

        signal.signal(signal.SIGUSR1, handler)
        threads.append(threading.Thread(target=kick))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGUSR1, previous)


@pytest.mark.parametrize("how", ["result", "wait", "as_completed", "map"])
def test_a_handler_waits_while_the_main_thread_waits(futures, make, interval, how):
    pool = make(2)
    # Both workers are there: multiprocessing's starts are not to be interrupted.
    while len(pool._processes or ()) < 2:
        list(pool.map(jobs.nap, [0.05] * 4, timeout=20))
    answers = []
    waiting = True

    def handler(number, frame):
        if waiting:
            answers.append(pool.submit(abs, -2).result(20))

    interval(handler)
    future = pool.submit(jobs.nap, 0.5)
    if how == "result":
        future.result(20)
    elif how == "wait":
        assert not futures.wait([future], 20).not_done
    elif how == "as_completed":
        assert list(futures.as_completed([future], 20)) == [future]
    else:
        list(pool.map(jobs.nap, [0.3, 0.3], timeout=20))
    waiting = False
    assert answers and set(answers) == {2}
    pool.shutdown()


def test_others_get_their_results_while_a_handler_runs(make, interval):
    """The main thread, which fetches for all, is in the handler meanwhile."""
    pool = make(2)
    pool.submit(abs, 1).result(20)
    done = threading.Event()
    inside = threading.Event()
    times = {}

    def handler(number, frame):
        if not inside.is_set():
            inside.set()
            times["handler"] = done.wait(20)

    def other():
        inside.wait(20)
        future = pool.submit(jobs.nap, 0.05)
        future.add_done_callback(lambda future: done.set())
        future.result(20)

    thread = threading.Thread(target=other)
    thread.start()
    interval(handler)
    pool.submit(jobs.nap, 0.5).result(20)
    thread.join()
    assert times["handler"]
    pool.shutdown()


@pytest.mark.fault("a signal handler submits in the middle of submit()", cap=3)
def test_a_handler_submits_in_the_middle_of_the_first_submit(futures, script, method):
    """One thread manages the pool, and each worker has a seat of its own."""
    if method != "fork":
        pytest.skip("multiprocessing's own starts are not to be interrupted like this")
    outcome = script(
        f"""{PROLOGUE}
context = multiprocessing.get_context({method!r})
for i in range(5):
    pool = futures.ProcessPoolExecutor(3, context)
    more = []
    signal.signal(signal.SIGALRM, lambda *args: more.append(pool.submit(abs, -2)))
    signal.setitimer(signal.ITIMER_REAL, 0.0005 * (i + 1), 0.001)
    first = pool.submit(abs, -1)
    time.sleep(0.005)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert first.result(20) == 1
    assert {{future.result(20) for future in more}} <= {{2}}
    threads = [t for t in threading.enumerate() if t is not threading.main_thread()]
    assert len(threads) <= 1, threads
    pool.shutdown()
assert not multiprocessing.active_children()
print("end")
""",
        flags=QUIET,
        cap=50,
    )
    assert outcome.check().lines == ["end"]


@pytest.mark.fault("shutdown() in the middle of the first submit()", cap=3)
def test_shutdown_in_the_middle_of_the_first_submit(make, futures):
    for i in range(10):
        pool = make(4)
        began = threading.Event()

        def end(pool=pool, began=began, pause=i * 0.0005):
            began.wait(20)
            time.sleep(pause)
            pool.shutdown(wait=False)

        thread = threading.Thread(target=end)
        thread.start()
        began.set()
        try:
            assert pool.submit(abs, -1).result(20) == 1
        except RuntimeError as exc:
            assert "cannot schedule new futures" in str(exc)
        thread.join()
        # That no worker is left, the end of the test shows.
