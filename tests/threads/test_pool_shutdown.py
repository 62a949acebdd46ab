"""shutdown() in all its forms, and submit() beside and after it."""

import threading
import time

import pytest
from support.parallel import fresh
from support.waiting import until

AFTER = "^cannot schedule new futures after shutdown$"


@fresh
def gate():
    """An event that tasks wait for; set at the end whatever happens."""
    event = threading.Event()
    yield event
    event.set()


def busy(pool, gate, count=1):
    """Occupy `count` workers of *pool* until *gate* is set."""
    entered = [threading.Event() for _ in range(count)]

    def hold(event):
        event.set()
        return gate.wait(30)

    held = [pool.submit(hold, event) for event in entered]
    for event in entered:
        assert event.wait(20)
    return held


def test_waiting_shutdown_ends_after_the_last_task(futures):
    done = []

    def work(i):
        time.sleep(0.002)
        done.append(i)

    pool = futures.ThreadPoolExecutor(3)
    for i in range(20):
        pool.submit(work, i)
    threads = list(pool._threads)
    assert pool.shutdown() is None
    assert sorted(done) == list(range(20))
    assert not any(thread.is_alive() for thread in threads)


def test_shutdown_without_waiting_returns_at_once_and_runs_what_is_left(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    (held,) = busy(pool, gate)
    pending = [pool.submit(abs, -i) for i in range(5)]
    pool.shutdown(wait=False)
    assert not held.done()
    assert not any(future.done() for future in pending)
    gate.set()
    assert [future.result(20) for future in pending] == list(range(5))
    for thread in pool._threads:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("arguments", [(), (True,), (False,)], ids=repr)
def test_shutdown_of_a_pool_that_was_never_used(futures, arguments):
    pool = futures.ThreadPoolExecutor(2)
    pool.shutdown(*arguments)
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)


def test_submit_and_map_after_shutdown_raise(futures):
    pool = futures.ThreadPoolExecutor(2)
    pool.submit(abs, 1)
    pool.shutdown()
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)
    with pytest.raises(RuntimeError, match=AFTER):
        pool.map(abs, [1])
    assert pool._shutdown is True


def test_map_of_nothing_after_shutdown_is_empty(futures):
    pool = futures.ThreadPoolExecutor(2)
    pool.shutdown()
    assert list(pool.map(abs, [])) == []


def test_results_can_be_read_after_shutdown(futures):
    pool = futures.ThreadPoolExecutor(2)
    future = pool.submit(abs, -1)
    mapped = pool.map(abs, [-1, -2])
    pool.shutdown()
    assert future.result() == 1
    assert list(mapped) == [1, 2]


def test_shutdown_again_and_again(futures, gate):
    pool = futures.ThreadPoolExecutor(2)
    held = busy(pool, gate)
    pool.shutdown(wait=False)
    pool.shutdown(False)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    pool.shutdown()
    pool.shutdown(True)
    assert held[0].result() is True
    assert not any(thread.is_alive() for thread in pool._threads)


def test_the_second_shutdown_waits_though_the_first_did_not(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    (held,) = busy(pool, gate)
    pool.shutdown(wait=False)
    timer = threading.Timer(0.05, gate.set)
    timer.start()
    pool.shutdown(wait=True)
    assert held.done()
    timer.join()


def test_cancel_futures_cancels_what_has_not_begun(futures, gate):
    pool = futures.ThreadPoolExecutor(2)
    held = busy(pool, gate, 2)
    pending = [pool.submit(abs, -i) for i in range(50)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    assert all(not future.done() for future in held)
    for future in pending:
        with pytest.raises(futures.CancelledError):
            future.result(0)
    gate.set()
    pool.shutdown()
    assert [future.result() for future in held] == [True, True]


def test_cancel_futures_of_a_second_shutdown(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    busy(pool, gate)
    pending = [pool.submit(abs, -i) for i in range(5)]
    pool.shutdown(wait=False)
    assert not any(future.cancelled() for future in pending)
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    gate.set()


def test_cancel_futures_calls_the_callbacks(futures, gate):
    seen = []
    pool = futures.ThreadPoolExecutor(1)
    busy(pool, gate)
    pending = [pool.submit(abs, -i) for i in range(5)]
    for future in pending:
        future.add_done_callback(seen.append)
    pool.shutdown(wait=False, cancel_futures=True)
    assert seen == pending
    gate.set()


def test_cancel_futures_releases_a_waiting_thread(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    busy(pool, gate)
    pending = pool.submit(abs, -1)
    seen = []

    def wait():
        try:
            pending.result(30)
        except futures.CancelledError as exc:
            seen.append(exc)

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(0.02)
    pool.shutdown(wait=False, cancel_futures=True)
    waiter.join(20)
    assert len(seen) == 1
    gate.set()


@pytest.mark.fault("gh-87893")
def test_gh87893_as_completed_ends_after_cancel_futures(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        busy(pool, gate)
        pending = [pool.submit(abs, -i) for i in range(5)]
        pool.shutdown(wait=False, cancel_futures=True)
        assert set(futures.as_completed(pending, 10)) == set(pending)
        gate.set()


@pytest.mark.fault("gh-87893")
@pytest.mark.parametrize("when", ["ALL_COMPLETED", "FIRST_COMPLETED"])
def test_gh109934_wait_ends_after_cancel_futures(futures, when):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        busy(pool, gate)
        pending = [pool.submit(abs, -i) for i in range(5)]
        pool.shutdown(wait=False, cancel_futures=True)
        done, rest = futures.wait(pending, 5, getattr(futures, when))
        assert done == set(pending) and not rest
        gate.set()


@pytest.mark.fault("gh-87893")
def test_gh87893_a_thread_in_as_completed_is_released(futures):
    gate = threading.Event()
    seen = []
    with futures.ThreadPoolExecutor(1) as pool:
        busy(pool, gate)
        pending = [pool.submit(abs, -i) for i in range(5)]
        waiter = threading.Thread(
            target=lambda: seen.extend(futures.as_completed(pending, 10)), daemon=True
        )
        waiter.start()
        time.sleep(0.02)
        pool.shutdown(wait=False, cancel_futures=True)
        waiter.join(5)
        assert not waiter.is_alive()
        assert set(seen) == set(pending)
        gate.set()


def test_map_in_progress_and_cancel_futures(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    ran = []

    def work(i):
        ran.append(i)
        gate.wait(30)
        return i

    mapped = pool.map(work, range(5))
    until(lambda: ran)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    assert next(mapped) == 0
    with pytest.raises(futures.CancelledError):
        next(mapped)
    pool.shutdown()
    assert ran == [0]


def test_map_in_progress_and_shutdown_without_cancel(futures, gate):
    pool = futures.ThreadPoolExecutor(2)
    mapped = pool.map(lambda i: gate.wait(30) and i, range(1, 10))
    pool.shutdown(wait=False)
    gate.set()
    assert list(mapped) == list(range(1, 10))


def test_a_context_manager_waits_and_swallows_nothing(futures):
    done = []
    with pytest.raises(ZeroDivisionError), futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: (time.sleep(0.02), done.append(1)))
        raise ZeroDivisionError
    assert done == [1]
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)


def test_enter_returns_the_executor_and_exit_false(futures):
    pool = futures.ThreadPoolExecutor(1)
    assert pool.__enter__() is pool
    assert pool.__exit__(None, None, None) is False
    pool = futures.ThreadPoolExecutor(1)
    error = ValueError()
    assert pool.__exit__(ValueError, error, None) is False


def test_a_context_manager_calls_the_shutdown_of_a_subclass(futures):
    class Own(futures.ThreadPoolExecutor):
        calls = []

        def shutdown(self, *args, **kwargs):
            self.calls.append((args, kwargs))
            super().shutdown(*args, **kwargs)

    with Own(1) as pool:
        pool.submit(abs, 1)
    assert Own.calls == [((), {"wait": True})]


def test_a_context_entered_twice(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        with pool:
            future = pool.submit(abs, -1)
        with pytest.raises(RuntimeError, match=AFTER):
            pool.submit(abs, 1)
    assert future.result() == 1


def test_shutdown_from_a_worker_that_does_not_wait(futures):
    pool = futures.ThreadPoolExecutor(2)
    future = pool.submit(pool.shutdown, wait=False)
    assert future.result(20) is None
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)
    pool.shutdown()


def test_shutdown_from_a_worker_that_waits_for_itself_is_an_error(futures):
    """Joining oneself is refused by threading; the pool is shut down anyway."""
    pool = futures.ThreadPoolExecutor(1)
    exception = pool.submit(pool.shutdown).exception(20)
    assert isinstance(exception, RuntimeError)
    assert "current thread" in str(exception)
    pool.shutdown()
    assert not any(thread.is_alive() for thread in pool._threads)


def test_a_task_shuts_down_with_cancel_futures(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    (held,) = busy(pool, gate)
    stopper = pool.submit(pool.shutdown, wait=False, cancel_futures=True)
    pending = [pool.submit(abs, 1) for _ in range(5)]
    gate.set()
    assert stopper.result(20) is None
    assert all(future.cancelled() for future in pending)
    assert held.result() is True


def test_a_task_of_one_pool_shuts_another_down(futures):
    with futures.ThreadPoolExecutor(1) as outer:
        inner = futures.ThreadPoolExecutor(2)
        future = inner.submit(abs, -1)
        assert outer.submit(inner.shutdown).result(20) is None
        assert future.result() == 1


def test_a_callback_may_shut_down(futures):
    pool = futures.ThreadPoolExecutor(1)
    called = threading.Event()

    def stop(future):
        pool.shutdown(wait=False)
        called.set()

    pool.submit(abs, -1).add_done_callback(stop)
    assert called.wait(20)
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)


def test_two_threads_shut_down_at_once(futures):
    for _ in range(30):
        pool = futures.ThreadPoolExecutor(3)
        pending = [pool.submit(abs, -i) for i in range(10)]
        start = threading.Barrier(3)

        def stop(start=start, pool=pool):
            start.wait(20)
            pool.shutdown()
            assert not any(thread.is_alive() for thread in pool._threads)

        stoppers = [threading.Thread(target=stop) for _ in range(2)]
        for stopper in stoppers:
            stopper.start()
        start.wait(20)
        pool.shutdown()
        for stopper in stoppers:
            stopper.join(20)
            assert not stopper.is_alive()
        assert [future.result(0) for future in pending] == list(range(10))


def test_tasks_that_submit_while_the_pool_shuts_down(futures):
    """A task whose submit is refused gets the text, all others end."""
    results = []

    def spawn(depth):
        try:
            results.append(pool.submit(spawn, depth + 1))
        except RuntimeError as exc:
            return str(exc)
        return depth

    pool = futures.ThreadPoolExecutor(2)
    first = pool.submit(spawn, 0)
    until(lambda: len(results) > 20)
    pool.shutdown()
    ended = [future.result(0) for future in [first, *results]]
    # Two workers append to `results`, not always in the order of submission.
    assert ended.count("cannot schedule new futures after shutdown") == 1
    depths = sorted(depth for depth in ended if isinstance(depth, int))
    assert depths == list(range(len(ended) - 1))


@pytest.mark.stress
@pytest.mark.parametrize("cancel", [False, True], ids=["run", "cancel"])
def test_submit_racing_shutdown(futures, rng, cancel):
    """Every future that submit returned ends, every refusal has the text."""
    for _ in range(12):
        pool = futures.ThreadPoolExecutor(rng.randint(1, 4))
        accepted = [[] for _ in range(3)]
        refusals = []
        start = threading.Barrier(4)

        def submit(into, start=start, pool=pool, refusals=refusals):
            start.wait(20)
            try:
                while True:
                    into.append(pool.submit(abs, -len(into)))
            except RuntimeError as exc:
                refusals.append(str(exc))

        threads = [threading.Thread(target=submit, args=(into,)) for into in accepted]
        for thread in threads:
            thread.start()
        start.wait(20)
        time.sleep(rng.random() / 500)
        pool.shutdown(wait=rng.random() < 0.5, cancel_futures=cancel)
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()
        pool.shutdown()
        assert refusals == ["cannot schedule new futures after shutdown"] * 3
        for into in accepted:
            for i, future in enumerate(into):
                assert future.done()
                if not (cancel and future.cancelled()):
                    assert future.result(0) == i


@pytest.mark.stress
def test_map_racing_shutdown(futures, rng):
    for _ in range(40):
        pool = futures.ThreadPoolExecutor(2)
        ended = []

        def use(pool=pool, ended=ended):
            try:
                while True:
                    for value in pool.map(abs, range(rng.randrange(1, 20))):
                        assert value >= 0
            except (RuntimeError, futures.CancelledError) as exc:
                ended.append(exc)

        user = threading.Thread(target=use)
        user.start()
        time.sleep(rng.random() / 500)
        pool.shutdown(cancel_futures=rng.random() < 0.5)
        user.join(20)
        assert not user.is_alive()
        assert len(ended) == 1


@pytest.mark.fault("gh-121649")
@pytest.mark.parametrize(
    "wait, cancel", [("True", "True"), ("True", "False"), ("False", "True")]
)
def test_gh121649_shutdown_from_a_signal_handler_during_submit(
    futures, script, wait, cancel
):
    outcome = script(
        """
        import os, signal, sys, threading, time

        wait, cancel = (word == "True" for word in sys.argv[1:])
        pool = futures.ThreadPoolExecutor(2)

        def stop(signum, frame):
            pool.shutdown(wait=wait, cancel_futures=cancel)

        signal.signal(signal.SIGTERM, stop)

        def shoot():
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=shoot).start()
        accepted = []
        try:
            while True:
                accepted.append(pool.submit(abs, 1))
        except RuntimeError as exc:
            print(exc)
        done, rest = futures.wait(accepted, 20)
        assert not rest
        assert cancel or not any(f.cancelled() for f in done)
        print("all ended")
        """,
        wait,
        cancel,
        cap=20,
    )
    assert outcome.check().lines == [
        "cannot schedule new futures after shutdown",
        "all ended",
    ]


def test_shutdown_from_a_signal_handler_during_a_wait(futures, script):
    outcome = script(
        """
        import os, signal, threading, time

        pool = futures.ThreadPoolExecutor(2)
        gate = threading.Event()
        def stop(*_):
            pool.shutdown(wait=False)
            gate.set()

        signal.signal(signal.SIGTERM, stop)

        def shoot():
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)

        future = pool.submit(gate.wait, 20)
        threading.Thread(target=shoot).start()
        print(future.result(20))
        try:
            pool.submit(abs, 1)
        except RuntimeError as exc:
            print(exc)
        """
    )
    assert outcome.check().lines == [
        "True",
        "cannot schedule new futures after shutdown",
    ]


def test_many_executors_come_and_go(futures):
    for i in range(200):
        with futures.ThreadPoolExecutor(2) as pool:
            future = pool.submit(abs, -i)
        assert future.result(0) == i


def test_shutdown_does_not_wait_for_the_workers_of_others(futures, gate):
    other = futures.ThreadPoolExecutor(1)
    (held,) = busy(other, gate)
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(abs, 1)
    assert not held.done()
    gate.set()
    other.shutdown()


def test_shutdown_with_a_patched_join(futures, monkeypatch):
    """Threads are joined by threading.Thread.join, which tools wrap."""
    joined = []
    join = threading.Thread.join

    def watched(self, timeout=None):
        joined.append(self)
        join(self, timeout)

    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(abs, 1)
        (thread,) = pool._threads
        monkeypatch.setattr(threading.Thread, "join", watched)
    assert joined == [thread]
