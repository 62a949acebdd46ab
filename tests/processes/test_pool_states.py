"""From PENDING to FINISHED: who runs what, and when it may still be cancelled."""

import asyncio
import multiprocessing
import os
import threading
import time

import pytest
from support.waiting import until

from . import jobs

#: The standard module marks calls as running that wait in its queue.
PREFETCH = pytest.mark.fault("prefetched calls are RUNNING")


def barrier_pool(make, context, count):
    """A pool whose workers can meet: all of them, in `jobs.meet`."""
    values = {"barrier": context.Barrier(count)}
    return make(count, initializer=jobs.keep_these, initargs=(values,))


# --- states ------------------


@PREFETCH
def test_a_call_is_pending_until_a_worker_takes_it(make, gate):
    pool = make(1, **gate.options)
    first = pool.submit(jobs.hold, "first")
    pending = [pool.submit(jobs.hold, i) for i in range(3)]
    gate.wait_begun()
    until(first.running)
    time.sleep(0.05)
    assert not any(future.running() or future.done() for future in pending)
    assert {future._state for future in pending} == {"PENDING"}
    assert "state=pending" in repr(pending[0])
    gate.open()
    assert first.result(30) == "first"
    assert [future.result(30) for future in pending] == [0, 1, 2]
    pool.shutdown()


def test_a_call_is_running_while_it_runs(make, gate):
    pool = make(2, **gate.options)
    held = [pool.submit(jobs.hold, i) for i in range(2)]
    gate.wait_begun(2)
    for future in held:
        until(future.running)
        assert not future.done() and not future.cancelled()
        assert future._state == "RUNNING"
        assert future.cancel() is False
    gate.open()
    assert [future.result(30) for future in held] == [0, 1]
    assert not any(future.running() for future in held)
    pool.shutdown()


@PREFETCH
def test_what_no_worker_has_taken_can_be_cancelled(make, gate):
    pool = make(1, **gate.options)
    first = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(jobs.hold, i) for i in range(20)]
    assert all(future.cancel() for future in pending)
    assert all(future.cancelled() and future.done() for future in pending)
    gate.open()
    first.result(30)
    assert pool.submit(abs, -1).result(30) == 1
    assert not gate.has_begun()
    pool.shutdown()


@PREFETCH
def test_those_between_cancelled_ones_run(make, gate):
    pool = make(1, **gate.options)
    first = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(jobs.hold, i) for i in range(20)]
    for future in pending[::2]:
        assert future.cancel()
    gate.open()
    assert [future.result(30) for future in pending[1::2]] == list(range(1, 20, 2))
    assert gate.wait_begun(10) == list(range(1, 20, 2))
    assert not gate.has_begun()
    first.result(0)
    pool.shutdown()


@pytest.mark.stress
@pytest.mark.fault("gh-94440", cap=5)
def test_cancel_races_the_worker(make, gate, rng):
    """Either cancel() says true and the call never runs, or it runs."""
    pool = make(2, **gate.options)
    gate.open()
    cancelled, others = [], []
    for i in range(600):
        future = pool.submit(jobs.hold, i)
        if rng.random() < 0.5:
            time.sleep(rng.random() * 0.0003)
        (cancelled if future.cancel() else others).append((i, future))
        if i % 50 == 49:
            # A pipe holds some thousand of these words, not any number.
            for number, other in others:
                assert other.result(30) == number
    begun = set(gate.wait_begun(len(others)))
    assert begun == {i for i, _ in others}
    assert all(future.cancelled() for _, future in cancelled)
    pool.shutdown()
    assert not gate.has_begun()


def test_a_callback_is_told_of_a_cancellation_at_once(make, gate):
    pool = make(1, **gate.options)
    pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(abs, 1) for _ in range(5)]
    seen = []
    pending[-1].add_done_callback(seen.append)
    assert pending[-1].cancel()
    assert seen == [pending[-1]]
    gate.open()
    pool.shutdown()


@pytest.mark.fault("gh-136655")
@pytest.mark.parametrize("when", ["ALL_COMPLETED", "FIRST_COMPLETED"])
def test_gh136655_wait_ends_after_cancel_futures(futures, make, gate, when):
    pool = make(1, **gate.options)
    pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(abs, -i) for i in range(10)]
    pool.shutdown(wait=False, cancel_futures=True)
    until(lambda: all(future.cancelled() for future in pending[2:]))
    done, rest = futures.wait(pending[2:], 20, getattr(futures, when))
    assert done == set(pending[2:]) and not rest
    gate.open()


@pytest.mark.fault("gh-136655")
def test_gh136655_as_completed_ends_after_cancel_futures(futures, make, gate):
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(abs, -i) for i in range(10)]
    pool.shutdown(wait=False, cancel_futures=True)
    gate.open()
    everything = {held, *pending}
    assert set(futures.as_completed(everything, 20)) == everything


@PREFETCH
def test_cancel_futures_cancels_all_that_no_worker_has_taken(make, gate):
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold, "held")
    gate.wait_begun()
    pending = [pool.submit(abs, -i) for i in range(10)]
    pool.shutdown(wait=False, cancel_futures=True)
    until(lambda: all(future.cancelled() for future in pending))
    gate.open()
    assert held.result(30) == "held"


@pytest.mark.fault("gh-92001")
def test_wait_and_as_completed_after_cancel(futures, make, gate):
    pool = make(1, **gate.options)
    pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(abs, -i) for i in range(5)]
    cancelled = pending[2:]
    assert all(future.cancel() for future in cancelled)
    assert futures.wait(cancelled, 5).done == set(cancelled)
    assert set(futures.as_completed(cancelled, 5)) == set(cancelled)
    gate.open()
    pool.shutdown()


# --- dispatch ------------------


@pytest.mark.parametrize("count", [1, 2, 5])
def test_blocking_calls_need_as_many_workers(make, context, count):
    """No call waits behind a running one while a worker is idle or missing."""
    pool = barrier_pool(make, context, count)
    for _ in range(4):
        met = [pool.submit(jobs.meet) for _ in range(count)]
        assert len({future.result(30) for future in met}) == count
    pool.shutdown()


@pytest.mark.stress
def test_blocking_calls_from_many_threads(make, context):
    count = 4
    pool = barrier_pool(make, context, count)
    start = threading.Barrier(count)
    pids = []

    def meet():
        for _ in range(10):
            start.wait(30)
            pids.append(pool.submit(jobs.meet, 10).result(20))

    threads = [threading.Thread(target=meet) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()
    assert len(set(pids)) == count and len(pids) == 10 * count
    pool.shutdown()


def test_a_short_call_is_not_behind_a_long_one(make, gate):
    pool = make(2, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    for i in range(200):
        assert pool.submit(abs, -i).result(20) == i
    pending = [pool.submit(abs, -i) for i in range(200)]
    assert [future.result(20) for future in pending] == list(range(200))
    assert not held.done()
    gate.open()
    pool.shutdown()


def test_long_calls_in_a_row_do_not_share_a_worker(make, gate):
    """Three long ones among short ones, on four workers: the short ones end."""
    pool = make(4, **gate.options)
    short = [pool.submit(abs, -i) for i in range(50)]
    held = [pool.submit(jobs.hold) for _ in range(3)]
    short += [pool.submit(abs, -i) for i in range(50)]
    gate.wait_begun(3)
    assert [future.result(20) for future in short] == [*range(50), *range(50)]
    assert not any(future.done() for future in held)
    gate.open()
    pool.shutdown()


def test_one_worker_runs_in_order(make, gate):
    pool = make(1, **gate.options)
    gate.open()
    pending = [pool.submit(jobs.hold, i) for i in range(200)]
    assert gate.wait_begun(200) == list(range(200))
    assert [future.result(30) for future in pending] == list(range(200))
    pool.shutdown()


def test_one_idle_worker_is_used_again(make, method):
    pool = make(4)
    for i in range(50):
        assert pool.submit(abs, -i).result(30) == i
    assert len(pool._processes) == (4 if method == "fork" else 1)
    pool.shutdown()


# --- callbacks ------------------


def test_callbacks_run_in_order_in_the_thread_of_the_pool(make, gate):
    pool = make(1, **gate.options)
    future = pool.submit(jobs.hold, 1)
    seen = []
    done = threading.Event()
    for i in range(5):
        future.add_done_callback(
            lambda f, i=i: seen.append((i, f, f.done(), threading.current_thread()))
        )
    future.add_done_callback(lambda f: done.set())
    gate.open()
    assert done.wait(30)
    assert [entry[:3] for entry in seen] == [(i, future, True) for i in range(5)]
    assert {entry[3] for entry in seen} == {pool._executor_manager_thread}
    pool.shutdown()


def test_an_error_in_a_callback_is_logged_and_harms_nobody(make, gate, caplog):
    pool = make(1, **gate.options)
    future = pool.submit(jobs.hold, 1)
    done = threading.Event()

    def fail(future):
        raise ValueError("from a callback")

    future.add_done_callback(fail)
    future.add_done_callback(lambda f: done.set())
    gate.open()
    assert done.wait(30)
    assert pool.submit(abs, -1).result(30) == 1
    assert "exception calling callback for" in caplog.text
    assert "from a callback" in caplog.text
    caplog.clear()  # A record holds frames, and these the pool's thread.
    pool.shutdown()


def test_callbacks_may_submit(make):
    pool = make(2)
    results = []
    done = threading.Event()

    def again(future):
        results.append(future.result())
        if len(results) < 50:
            pool.submit(abs, -len(results)).add_done_callback(again)
        else:
            done.set()

    pool.submit(abs, 0).add_done_callback(again)
    assert done.wait(30)
    assert results == list(range(50))
    pool.shutdown()


@pytest.mark.fault("a callback holds up everybody's results")
@pytest.mark.parametrize("how", ["result", "wait", "as_completed", "map"])
def test_a_caller_that_waits_with_a_lock_that_a_callback_takes(
    futures, make, gate, how
):
    """The waiting thread runs nobody's callback, in which it would stand."""
    pool = make(2, **gate.options)
    lock = threading.Lock()
    called = []

    def callback(future):
        with lock:
            called.append(future)

    held = pool.submit(jobs.hold)
    held.add_done_callback(callback)
    gate.wait_begun()
    with lock:
        gate.open()
        until(held.done)
        for i in range(20):
            if how == "result":
                assert pool.submit(abs, -i).result(20) == i
            elif how == "map":
                assert next(pool.map(abs, [-i], timeout=20)) == i
            elif how == "wait":
                future = pool.submit(abs, -i)
                assert futures.wait([future], 20).done == {future}
            else:
                future = pool.submit(abs, -i)
                assert list(futures.as_completed([future], 20)) == [future]
        assert called == []
    until(lambda: called == [held])
    pool.shutdown()


def test_a_waiting_caller_unpickles_nothing_of_others(make):
    pool = make(1)
    jobs.arrivals.clear()
    other = pool.submit(jobs.give_arriving)
    assert pool.submit(abs, -1).result(30) == 1
    assert threading.get_ident() not in jobs.arrivals
    assert other.result(30) == "arrived"
    assert len(jobs.arrivals) == 1
    pool.shutdown()


# --- asyncio ------------------


def test_asyncio_runs_in_the_executor(make):
    async def main(pool):
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(pool, abs, -i) for i in range(100)]
        wrapped = asyncio.wrap_future(pool.submit(abs, -100))
        results = [*await asyncio.gather(*calls), await wrapped]
        with pytest.raises(jobs.Trouble):
            await loop.run_in_executor(pool, jobs.act, "exception")
        return results

    pool = make(2)
    assert asyncio.run(main(pool)) == list(range(101))
    pool.shutdown()


def test_asyncio_cancels_what_has_not_begun(make, gate):
    async def main(pool):
        loop = asyncio.get_running_loop()
        held = loop.run_in_executor(pool, jobs.hold, 1)
        pending = [pool.submit(jobs.hold, i) for i in range(5)]
        wrapped = asyncio.wrap_future(pending[-1])
        await asyncio.to_thread(gate.wait_begun)
        wrapped.cancel()
        with pytest.raises(asyncio.CancelledError):
            await wrapped
        while not pending[-1].cancelled():  # By a callback of the loop.
            await asyncio.sleep(0)
        gate.open()
        return await held

    pool = make(1, **gate.options)
    assert asyncio.run(main(pool)) == 1
    pool.shutdown()


def test_asyncio_times_out(make, gate):
    async def main(pool):
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(pool, jobs.hold), 0.05)
        gate.open()
        return await loop.run_in_executor(pool, abs, -1)

    pool = make(1, **gate.options)
    assert asyncio.run(main(pool)) == 1
    pool.shutdown()


# --- waiting ------------------


def test_result_and_exception_time_out(futures, make, gate):
    pool = make(1, **gate.options)
    future = pool.submit(jobs.hold, 1)
    for call in future.result, future.exception:
        with pytest.raises(futures.TimeoutError):
            call(0)
        with pytest.raises(futures.TimeoutError):
            call(0.02)
    gate.open()
    assert future.result(30) == 1
    pool.shutdown()


def test_many_threads_wait_for_one_future(make, gate):
    pool = make(1, **gate.options)
    future = pool.submit(jobs.hold, {"a": [1]})
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(future.result(30)))
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert len(seen) == 6
    assert all(value is seen[0] for value in seen) and seen[0] == {"a": [1]}
    pool.shutdown()


@pytest.mark.stress
def test_many_threads_wait_each_for_its_own(make):
    """Whoever leads the reading of results hands it on when it has its own."""
    pool = make(2)
    wrong = []

    def flood(me):
        for i in range(150):
            if pool.submit(jobs.identity, (me, i)).result(30) != (me, i):
                wrong.append((me, i))

    threads = [threading.Thread(target=flood, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()
    assert wrong == []
    pool.shutdown()


@pytest.mark.parametrize("kind", [ValueError, SystemExit, MemoryError])
def test_wait_for_the_first_exception(futures, make, gate, kind):
    pool = make(2, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    good = pool.submit(abs, -1)
    bad = pool.submit(jobs.fail, kind, "text")
    done, rest = futures.wait([held, good, bad], 30, futures.FIRST_EXCEPTION)
    assert bad in done and held in rest
    assert type(bad.exception()) is kind
    gate.open()
    pool.shutdown()


@pytest.mark.fault("gh-80041")
@pytest.mark.parametrize("event", ["exception", "interrupt", "sys.exit"])
def test_wait_for_the_first_exception_of_what_does_not_unpickle(
    futures, make, gate, event
):
    pool = make(2, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    bad = pool.submit(jobs.give_unpickled, event)
    done, rest = futures.wait([held, bad], 20, futures.FIRST_EXCEPTION)
    assert done == {bad} and rest == {held}
    assert isinstance(bad.exception(), futures.process.BrokenProcessPool)
    gate.open()
    assert held.result(20) is None
    pool.shutdown()


def test_as_completed_yields_in_order_of_completion(futures, make, gate):
    pool = make(2, **gate.options)
    held = pool.submit(jobs.hold, "held")
    gate.wait_begun()
    short = [pool.submit(abs, -i) for i in range(20)]
    order = []
    for future in futures.as_completed([held, *short], 30):
        order.append(future)
        if len(order) == 20:
            gate.open()
    assert order[-1] is held and set(order) == {held, *short}
    pool.shutdown()


def test_both_modules_wait_for_each_others_futures(make):
    import concurrent.futures as standard

    pool = make(2)
    with standard.ThreadPoolExecutor(1) as threads:
        mixed = [pool.submit(abs, -1), threads.submit(abs, -1), pool.submit(abs, -2)]
        assert standard.wait(mixed, 30).done == set(mixed)
        mixed = [pool.submit(abs, -1), threads.submit(abs, -1), pool.submit(abs, -2)]
        assert set(standard.as_completed(mixed, 30)) == set(mixed)
    pool.shutdown()


def test_a_process_of_the_user_beside_the_pool(make, context):
    """multiprocessing's own children are no concern of the pool."""
    pool = make(1)
    process = context.Process(target=jobs.nap, args=(0.05,))
    process.start()
    assert pool.submit(os.getpid).result(30) != os.getpid()
    process.join(30)
    assert process.exitcode == 0
    assert pool.submit(abs, -1).result(30) == 1
    pool.shutdown()
    process.close()
    assert process not in multiprocessing.active_children()
