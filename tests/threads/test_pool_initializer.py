"""The initializer of the worker threads, and what its failure does."""

import logging
import threading

import pytest

BROKEN = "A thread initializer failed, the thread pool is not usable anymore"


def fail(error=ValueError, gate=None):
    if gate is not None:
        gate.wait(30)
    raise error("initializer")


def test_it_runs_once_in_each_thread_before_any_task(futures):
    local = threading.local()
    calls = []

    def prepare(*args):
        calls.append((threading.current_thread().name, args))
        local.ready = True

    barrier = threading.Barrier(3)

    def work():
        barrier.wait(20)
        return local.ready

    with futures.ThreadPoolExecutor(3, "init", prepare, (1, 2)) as pool:
        for _ in range(4):
            pending = [pool.submit(work) for _ in range(3)]
            assert all(future.result(20) for future in pending)
        assert list(pool.map(lambda _: local.ready, range(9))) == [True] * 9
    assert sorted(calls) == [(f"init_{i}", (1, 2)) for i in range(3)]


def test_it_is_not_called_without_a_task(futures):
    with futures.ThreadPoolExecutor(2, initializer=fail):
        pass


def test_none_means_none(futures):
    with futures.ThreadPoolExecutor(1, initializer=None, initargs=()) as pool:
        assert pool.submit(abs, -1).result() == 1


def test_what_it_returns_is_ignored(futures):
    with futures.ThreadPoolExecutor(1, initializer=abs, initargs=(-3,)) as pool:
        assert pool.submit(abs, -1).result() == 1


def test_a_slow_one_delays_and_loses_nothing(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(2, initializer=gate.wait, initargs=(30,)) as pool:
        pending = [pool.submit(abs, -i) for i in range(20)]
        mapped = pool.map(abs, range(5))
        assert not any(future.done() for future in pending)
        gate.set()
        assert [future.result(20) for future in pending] == list(range(20))
        assert list(mapped) == list(range(5))


def test_its_failure_fails_the_task(futures, caplog):
    with futures.ThreadPoolExecutor(1, initializer=fail) as pool:
        future = pool.submit(abs, -1)
        with pytest.raises(futures.thread.BrokenThreadPool) as caught:
            future.result(20)
    assert str(caught.value) == BROKEN
    assert isinstance(caught.value, futures.BrokenExecutor)
    assert isinstance(caught.value, RuntimeError)


def test_its_failure_is_logged(futures, caplog):
    with futures.ThreadPoolExecutor(1, initializer=fail) as pool:
        pool.submit(abs, -1).exception(20)
    (record,) = caplog.records
    assert record.name == "concurrent.futures"
    assert record.levelno == logging.CRITICAL
    assert record.getMessage() == "Exception in initializer:"
    kind, value, trace = record.exc_info
    assert kind is ValueError and str(value) == "initializer"
    assert trace is not None
    assert "in fail" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
def test_base_exceptions_break_the_pool_as_well(futures, caplog, error):
    arguments = {"initializer": fail, "initargs": (error,)}
    with futures.ThreadPoolExecutor(1, **arguments) as pool:
        exception = pool.submit(abs, -1).exception(20)
    assert isinstance(exception, futures.thread.BrokenThreadPool)
    assert caplog.records[0].exc_info[0] is error


def test_all_pending_tasks_fail(futures, caplog):
    gate = threading.Event()
    arguments = {"initializer": fail, "initargs": (ValueError, gate)}
    with futures.ThreadPoolExecutor(2, **arguments) as pool:
        pending = [pool.submit(abs, -i) for i in range(50)]
        gate.set()
        for future in pending:
            with pytest.raises(futures.thread.BrokenThreadPool, match=BROKEN):
                future.result(20)
        assert len({id(future.exception()) for future in pending}) == 50


def test_later_submits_raise(futures, caplog):
    with futures.ThreadPoolExecutor(2, initializer=fail) as pool:
        assert pool._broken is False
        pool.submit(abs, -1).exception(20)
        assert pool._broken == BROKEN
        for _ in range(3):
            with pytest.raises(futures.thread.BrokenThreadPool) as caught:
                pool.submit(abs, -1)
            assert str(caught.value) == BROKEN
        with pytest.raises(futures.thread.BrokenThreadPool, match=BROKEN):
            list(pool.map(abs, [1]))
        pool.shutdown()
        with pytest.raises(futures.thread.BrokenThreadPool, match=BROKEN):
            pool.submit(abs, -1)


@pytest.mark.fault("bpo-39995")
def test_bpo39995_mapped_items_fail(futures, caplog):
    gate = threading.Event()
    arguments = {"initializer": fail, "initargs": (ValueError, gate)}
    with futures.ThreadPoolExecutor(2, **arguments) as pool:
        mapped = pool.map(abs, range(5))
        gate.set()
        with pytest.raises(futures.thread.BrokenThreadPool, match=BROKEN):
            list(mapped)


def test_wait_and_as_completed_end(futures, caplog):
    gate = threading.Event()
    arguments = {"initializer": fail, "initargs": (ValueError, gate)}
    with futures.ThreadPoolExecutor(2, **arguments) as pool:
        pending = [pool.submit(abs, -i) for i in range(5)]
        gate.set()
        assert set(futures.as_completed(pending, 20)) == set(pending)
        done, rest = futures.wait(pending, 20)
        assert done == set(pending) and not rest


def test_callbacks_are_called(futures, caplog):
    gate = threading.Event()
    arguments = {"initializer": fail, "initargs": (ValueError, gate)}
    seen = []
    with futures.ThreadPoolExecutor(1, **arguments) as pool:
        for i in range(3):
            pool.submit(abs, -i).add_done_callback(seen.append)
        gate.set()
    assert [type(f.exception()) for f in seen] == [futures.thread.BrokenThreadPool] * 3


def test_a_second_thread_that_fails_breaks_a_working_pool(futures, caplog):
    """The worker that is fine ends its task; the pool is broken all the same."""
    calls = []
    gate, submitted = threading.Event(), threading.Event()

    def once():
        calls.append(1)
        if len(calls) > 1:
            # Afterwards submit() raises.
            submitted.wait(20)
            raise ValueError("second")

    with futures.ThreadPoolExecutor(2, initializer=once) as pool:
        running = pool.submit(gate.wait, 30)
        pending = [pool.submit(abs, 1) for _ in range(5)]
        submitted.set()
        for future in pending:
            assert isinstance(future.exception(20), futures.BrokenExecutor)
        assert pool._broken == BROKEN
        gate.set()
        assert running.result(20) is True
    assert len(calls) == 2


@pytest.mark.fault("bpo-39995")
def test_bpo39995_a_cancelled_task_of_a_broken_pool_stays_cancelled(futures, caplog):
    """Cancelled before the initializer failed: no error, no InvalidStateError."""
    gate = threading.Event()
    arguments = {"initializer": fail, "initargs": (ValueError, gate)}
    with futures.ThreadPoolExecutor(1, **arguments) as pool:
        pending = [pool.submit(abs, -i) for i in range(3)]
        assert pending[1].cancel()
        gate.set()
        futures.wait(pending, 10)
    assert pending[1].cancelled()
    for future in (pending[0], pending[2]):
        assert isinstance(future.exception(10), futures.BrokenExecutor)
    assert "Exception in worker" not in caplog.text


def test_threads_of_a_broken_pool_end(futures, caplog):
    gate = threading.Event()
    arguments = {"initializer": fail, "initargs": (ValueError, gate)}
    pool = futures.ThreadPoolExecutor(4, **arguments)
    for _ in range(4):
        pool.submit(abs, 1)
    threads = list(pool._threads)
    gate.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    pool.shutdown()


def test_shutdown_while_the_initializer_runs(futures, caplog):
    gate = threading.Event()
    pool = futures.ThreadPoolExecutor(1, initializer=gate.wait, initargs=(30,))
    future = pool.submit(abs, -1)
    pool.shutdown(wait=False)
    assert not future.done()
    gate.set()
    assert future.result(20) == 1


def test_an_initializer_may_submit(futures):
    """What it submits runs after it, on the worker that it prepares."""
    inner = []

    def prepare():
        inner.append(pool.submit(abs, -5))

    pool = futures.ThreadPoolExecutor(1, initializer=prepare)
    with pool:
        assert pool.submit(abs, -1).result(20) == 1
        assert inner[0].result(20) == 5


def test_an_initializer_may_shut_its_pool_down(futures):
    pool = futures.ThreadPoolExecutor(1, initializer=lambda: pool.shutdown(wait=False))
    future = pool.submit(abs, -1)
    assert future.result(20) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, 1)


def test_initargs_are_kept_as_given(futures):
    seen = []
    shared = []
    with futures.ThreadPoolExecutor(
        2, initializer=lambda box: seen.append(box is shared), initargs=(shared,)
    ) as pool:
        barrier = threading.Barrier(2)
        for future in [pool.submit(barrier.wait, 20) for _ in range(2)]:
            future.result(20)
    assert seen == [True, True]
