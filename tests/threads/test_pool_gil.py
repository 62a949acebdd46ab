"""Workers share the interpreter: others run while a long queue is drained."""

import sys
import threading
import time

import pytest
from support.waiting import FREE_THREADED

needs_gil = pytest.mark.skipif(FREE_THREADED, reason="there is no GIL to share")


@pytest.fixture
def short_interval():
    """A switch interval of 0.1 ms, a fiftieth of the usual one."""
    previous = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    yield
    sys.setswitchinterval(previous)


def tasks_for_20_ms(futures):
    """How many calls of a builtin take well over 20 ms, 200 such intervals."""
    return 40_000 if futures.__name__ == "concurrent.futures" else 200_000


def growing(count):
    """Yield a number of tasks, and up to sixteen times as many."""
    for doublings in range(5):
        yield count << doublings


def lengths_seen_while_draining(pool, count):
    """Which lengths of the queue the main thread sees while it is drained.

    They are as many as the times that the main thread had its turn.
    """
    gate = threading.Event()
    held = [pool.submit(gate.wait, 30) for _ in range(pool._max_workers)]
    for _ in range(count):
        pool.submit(abs, -1)
    size = pool._work_queue.qsize
    assert size() >= count
    seen = set()
    gate.set()
    for future in held:
        future.result(30)
    while (length := size()) > 0:
        seen.add(length)
    return seen


@needs_gil
@pytest.mark.parametrize("workers", [1, 2])
def test_the_main_thread_has_its_turn_while_builtins_run(
    futures, short_interval, workers
):
    """A loop over C functions never reaches the interpreter's switch point.

    Hundreds of turns on a machine that has nothing else to do, none where workers
    keep the interpreter.  The busier the machine, the longer the queue has to
    be for a few: whoever gets a processor then keeps it for milliseconds.
    """
    turns = []
    with futures.ThreadPoolExecutor(workers) as pool:
        for count in growing(tasks_for_20_ms(futures)):
            turns.append(len(lengths_seen_while_draining(pool, count)))
            if turns[-1] >= 2:
                break
    assert turns[-1] >= 2, turns


@needs_gil
def test_mapped_builtins_leave_the_main_thread_its_turn(futures, short_interval):
    turns = []
    with futures.ThreadPoolExecutor(1) as pool:
        size = pool._work_queue.qsize
        # Items cost less than submitted tasks.
        for count in growing(5 * tasks_for_20_ms(futures)):
            gate = threading.Event()
            held = pool.submit(gate.wait, 30)
            mapped = pool.map(abs, range(count))
            gate.set()
            held.result(30)
            seen = set()
            while (length := size()) > 0:
                seen.add(length)
            turns.append(len(seen))
            assert sum(1 for _ in mapped) == count
            if turns[-1] >= 2:
                break
    assert turns[-1] >= 2, turns


def test_python_tasks_leave_other_threads_their_turn(futures, short_interval):
    def spin():
        end = time.monotonic() + 0.2
        count = 0
        while time.monotonic() < end:
            count += 1
        return count

    with futures.ThreadPoolExecutor(2) as pool:
        pending = [pool.submit(spin) for _ in range(2)]
        count = 0
        while not all(future.done() for future in pending):
            count += 1
    assert count > 10
    assert all(future.result() > 10 for future in pending)


@pytest.mark.thread_unsafe(reason="changes the switch interval")
def test_the_switch_interval_is_neither_read_once_nor_changed(futures):
    previous = sys.getswitchinterval()
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            for interval in (0.005, 1e-5, 0.001):
                sys.setswitchinterval(interval)
                assert list(pool.map(abs, range(1000))) == list(range(1000))
                assert sys.getswitchinterval() == pytest.approx(interval)
    finally:
        sys.setswitchinterval(previous)


@pytest.mark.parametrize("interval", [1e-6, 0.5])
def test_extreme_switch_intervals(futures, interval):
    previous = sys.getswitchinterval()
    sys.setswitchinterval(interval)
    try:
        with futures.ThreadPoolExecutor(3) as pool:
            pending = [pool.submit(abs, -i) for i in range(500)]
            assert [f.result(30) for f in futures.as_completed(pending, 30)]
            assert [pool.submit(abs, -i).result(30) for i in range(50)] == list(
                range(50)
            )
    finally:
        sys.setswitchinterval(previous)


def test_a_timer_thread_is_served_while_the_queue_is_drained(futures, short_interval):
    """Threads that only need the interpreter now and then are not starved."""
    ticks = []
    stop = threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(1)
            time.sleep(0.0001)

    ticker = threading.Thread(target=tick)
    with futures.ThreadPoolExecutor(1) as pool:
        gate = threading.Event()
        pool.submit(gate.wait, 30)
        for _ in range(tasks_for_20_ms(futures)):
            pool.submit(abs, -1)
        ticker.start()
        time.sleep(0.01)
        before = len(ticks)
        gate.set()
        pool.submit(abs, 1).result(30)
        during = len(ticks) - before
        stop.set()
        ticker.join()
    assert during >= 2


def test_waiting_calls_release_the_interpreter(futures):
    """While the main thread waits, everything else runs."""
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        for wait in (
            lambda f: f.result(30),
            lambda f: f.exception(30),
            lambda f: futures.wait([f], 30),
            lambda f: list(futures.as_completed([f], 30)),
        ):
            future = pool.submit(gate.wait, 30)
            opener = threading.Timer(0.02, gate.set)
            opener.start()
            wait(future)
            opener.join()
            assert future.done()
            gate.clear()
