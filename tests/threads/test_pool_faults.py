"""Known faults of the standard module that have no place in another file.

Further ones are in the files of their themes: look for names that begin with
test_gh, test_bpo and test_pr.
"""

import concurrent.futures
import contextlib
import threading
import time

import pytest
from support.parallel import fresh
from support.sanitizers import FORK


@fresh
def gate():
    event = threading.Event()
    yield event
    event.set()


@pytest.mark.fault("gh-92001")
@pytest.mark.parametrize("timeout", [None, 5])
def test_gh92001_wait_for_a_cancelled_task_returns(futures, timeout):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        pending = pool.submit(abs, -1)
        assert pending.cancel()
        done, rest = futures.wait([pending], timeout)
        assert done == {pending} and not rest
        gate.set()


@pytest.mark.fault("gh-92001")
def test_gh92001_as_completed_yields_a_cancelled_task(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        pending = [pool.submit(abs, -i) for i in range(3)]
        pending[1].cancel()
        assert next(futures.as_completed(pending, 5)) is pending[1]
        gate.set()
        assert set(futures.as_completed(pending, 20)) == set(pending)


@pytest.mark.fault("gh-92001")
def test_gh92001_the_standard_wait_sees_it_as_well(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        pending = pool.submit(abs, -1)
        assert pending.cancel()
        assert concurrent.futures.wait([pending], 5).done == {pending}
        assert list(concurrent.futures.as_completed([pending], 5)) == [pending]
        gate.set()


@pytest.mark.unsanitized("thread", reason=FORK)
def test_gh89184_no_lock_is_held_across_a_fork(futures, script):
    """Children forked while other threads make, use and end executors."""
    outcome = script(
        """
        import os, select, signal, sys, threading
        stop = threading.Event()
        def churn():
            while not stop.is_set():
                with futures.ThreadPoolExecutor(2) as pool:
                    pool.submit(abs, 1)
        threads = [threading.Thread(target=churn) for _ in range(2)]
        for thread in threads:
            thread.start()
        for i in range(20):
            readable, writable = os.pipe()
            pid = os.fork()
            if pid == 0:
                with futures.ThreadPoolExecutor(1) as pool:
                    os.write(writable, b"%d" % pool.submit(abs, -5).result(5))
                os._exit(0)
            os.close(writable)
            assert select.select([readable], [], [], 8)[0], "the child hangs"
            assert os.read(readable, 10) == b"5"
            os.close(readable)
            os.waitpid(pid, 0)
        stop.set()
        for thread in threads:
            thread.join()
        print("done")
        """,
        flags=("-W", "ignore::DeprecationWarning"),
    )
    assert outcome.check().lines == ["done"]


def test_gh75964_tasks_that_submit_each_other_until_exit(futures, script):
    """The chain ends with one of the two texts when the interpreter exits."""
    outcome = script(
        """
        import threading, time
        pool = futures.ThreadPoolExecutor(2)
        def chain(_=None):
            try:
                pool.submit(time.sleep, 0.001).add_done_callback(chain)
            except RuntimeError as exc:
                print(f"{exc}\\n", end="")
        chain()
        chain()
        time.sleep(0.05)
        """
    )
    texts = {
        "cannot schedule new futures after shutdown",
        "cannot schedule new futures after interpreter shutdown",
    }
    assert set(outcome.check().lines) <= texts
    assert outcome.stderr == ""


def test_gh77278_submit_after_the_interpreter_began_to_exit(futures, script):
    outcome = script(
        """
        import atexit
        pool = futures.ThreadPoolExecutor(1)
        @atexit.register
        def late():
            try:
                pool.submit(abs, 1)
            except RuntimeError as exc:
                print(exc)
        """
    )
    assert outcome.check().lines == [
        "cannot schedule new futures after interpreter shutdown"
    ]


def test_bpo33110_a_callback_of_a_finished_future_does_not_raise(futures, caplog):
    def fail(future):
        raise ValueError("from the callback")

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(abs, -1)
        future.result(20)
        future.add_done_callback(fail)
    assert "exception calling callback for <Future at" in caplog.text
    assert "from the callback" in caplog.text


def test_a_callback_that_fails_harms_neither_worker_nor_others(futures, caplog, gate):
    seen = []

    def fail(future):
        raise ValueError("from the callback")

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(gate.wait, 30)
        for callback in (fail, seen.append, fail, seen.append):
            future.add_done_callback(callback)
        gate.set()
        assert pool.submit(abs, -1).result(20) == 1
    assert seen == [future, future]
    assert caplog.text.count("ValueError: from the callback") == 2


@pytest.mark.fault("gh-95166")
def test_gh95166_map_cancels_what_it_waited_for_in_vain(futures):
    """One worker is busy: the item that timed out must not run later."""
    gate = threading.Event()
    ran = []
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        mapped = pool.map(ran.append, [0, 1, 2], timeout=0.02)
        with contextlib.suppress(TimeoutError):
            list(mapped)
        gate.set()
    assert ran == []


@pytest.mark.stress
def test_bpo20319_wait_misses_no_completion(futures, rng):
    with futures.ThreadPoolExecutor(4) as pool:
        for _ in range(150):
            count = rng.randint(1, 12)
            made = [pool.submit(abs, -i) for i in range(count)]
            kind = rng.choice(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"])
            done, rest = futures.wait(made, 30, kind)
            assert done and done | rest == set(made)
            if kind != "FIRST_COMPLETED":
                assert not rest


@pytest.mark.stress
def test_bpo20319_many_threads_wait_for_the_same_futures(futures, rng):
    errors = []
    with futures.ThreadPoolExecutor(3) as pool:
        for _ in range(25):
            made = [pool.submit(time.sleep, rng.random() / 2000) for _ in range(6)]

            def wait(kind, made):
                try:
                    if kind == 0:
                        assert not futures.wait(made, 30).not_done
                    elif kind == 1:
                        assert len(list(futures.as_completed(made, 30))) == 6
                    elif kind == 2:
                        assert [f.result(30) for f in made] == [None] * 6
                    else:
                        assert futures.wait(made, 30, "FIRST_COMPLETED").done
                except BaseException as exc:
                    errors.append(exc)

            threads = [
                threading.Thread(target=wait, args=(i % 4, made)) for i in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(40)
                assert not thread.is_alive()
    assert errors == []


def test_gh101267_each_future_of_a_broken_pool_has_an_error_of_its_own(futures, caplog):
    gate = threading.Event()

    def fail():
        gate.wait(30)
        raise ValueError

    with futures.ThreadPoolExecutor(1, initializer=fail) as pool:
        pending = [pool.submit(abs, i) for i in range(5)]
        gate.set()
        errors = [future.exception(20) for future in pending]
    assert len(set(map(id, errors))) == 5


def test_gh117688_futures_of_many_threads_end_once(futures):
    """The waiter's event is set by one thread while another waits for it."""
    with futures.ThreadPoolExecutor(4) as pool:
        for _ in range(300):
            assert (
                len(futures.wait([pool.submit(abs, 1), pool.submit(abs, 2)]).done) == 2
            )


def test_gh146089_a_second_submit_with_tracemalloc(futures, script):
    outcome = script(
        """
        import tracemalloc
        tracemalloc.start(10)
        with futures.ThreadPoolExecutor(2) as pool:
            print(pool.submit(abs, -1).result(20), pool.submit(abs, -2).result(20))
            print(list(pool.map(abs, [-3, -4])))
        tracemalloc.take_snapshot()
        tracemalloc.stop()
        """
    )
    assert outcome.check().lines == ["1 2", "[3, 4]"]


@pytest.mark.stress
def test_cancel_racing_the_worker(futures, rng):
    """Each task either ran or was cancelled, never both, never neither."""
    with futures.ThreadPoolExecutor(2) as pool:
        for _ in range(200):
            ran = []
            made = [pool.submit(ran.append, i) for i in range(8)]
            for _ in range(rng.randrange(60)):
                pass
            cancelled = {i for i, future in enumerate(made) if future.cancel()}
            assert not futures.wait([f for f in made if not f.cancelled()], 30).not_done
            pool.submit(abs, 1).result(30)
            for i, future in enumerate(made):
                assert future.cancelled() == (i in cancelled)
            assert sorted(ran) == sorted(set(range(8)) - cancelled)


@pytest.mark.stress
@pytest.mark.fault("bpo-39995")
def test_bpo39995_cancel_racing_shutdown(futures, rng):
    """No InvalidStateError when a future is cancelled from two sides."""
    for _ in range(40):
        gate = threading.Event()
        pool = futures.ThreadPoolExecutor(1)
        pool.submit(gate.wait, 30)
        made = [pool.submit(abs, i) for i in range(50)]
        start = threading.Barrier(2)

        def cancel(start, made):
            start.wait(20)
            for future in made:
                future.cancel()

        other = threading.Thread(target=cancel, args=(start, made))
        other.start()
        start.wait(20)
        pool.shutdown(wait=False, cancel_futures=True)
        other.join(20)
        assert all(future.cancelled() for future in made)
        assert futures.wait(made, 5).not_done == set()
        gate.set()
        pool.shutdown()
