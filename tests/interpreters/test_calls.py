"""Calls, their order, cancelling, shutting down; names and numbers of workers."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import threading
import weakref

import pytest
from support.waiting import until

import futures_c

from . import jobs, kit


def test_calls_run_in_an_interpreter_and_a_thread_per_worker(make):
    pool = make(2)
    here = jobs.place()
    places = {pool.submit(jobs.place).result() for _ in range(20)}
    numbers = {number for number, _ in places}
    threads = {thread for _, thread in places}
    assert 1 <= len(places) <= 2
    assert len(numbers) == len(threads) == len(places)
    assert here[0] not in numbers and here[1] not in threads
    assert pool.submit(os.getpid).result() == os.getpid()


def test_all_workers_are_used(make, tmp_path):
    pool = make(3)
    names = [str(tmp_path / name) for name in "abc"]
    pending = [
        pool.submit(jobs.announce_and_wait, names[i], names[(i + 1) % 3])
        for i in range(3)
    ]
    assert [f.result(30) for f in pending] == names[1:] + names[:1]
    assert len(pool._threads) == 3


def test_calls_of_one_worker_run_in_order(pool):
    pending = [pool.submit(jobs.mark, n) for n in range(200)]
    assert [f.result() for f in pending] == list(range(1, 201))
    assert pool.submit(jobs.read_marks).result() == list(range(200))


def test_map(make):
    pool = make(2)
    assert list(pool.map(pow, [2, 3, 4], [5, 2, 1])) == [32, 9, 4]
    assert list(pool.map(jobs.same, "abc")) == ["a", "b", "c"]
    assert jobs.number() not in set(pool.map(lambda _: 3, range(4)))
    assert list(pool.map(jobs.same, [])) == []


def test_map_raises_where_a_call_has_raised(pool):
    results = pool.map(int, ["1", "x", "3"])
    assert next(results) == 1
    with pytest.raises(ValueError, match="'x'"):
        next(results)


def test_map_and_its_timeout(pool, tmp_path):
    go = tmp_path / "go"
    results = pool.map(jobs.wait_for_file, [str(go)], timeout=0.01)
    with pytest.raises(TimeoutError):
        next(results)
    go.touch()


def test_cancelling_what_is_queued(pool, tmp_path):
    go = tmp_path / "go"
    running = pool.submit(jobs.wait_for_file, str(go))
    until(running.running)
    queued = [pool.submit(jobs.mark, n) for n in range(3)]
    assert not running.cancel()
    assert queued[1].cancel()
    go.touch()
    assert queued[0].result() == 1
    assert queued[2].result() == 2
    assert queued[1].cancelled()
    assert pool.submit(jobs.read_marks).result() == [0, 2]


def test_shutdown_waits_for_what_is_queued(make):
    pool = make(2)
    pending = [pool.submit(jobs.same, n) for n in range(50)]
    pool.shutdown()
    assert [f.result(0) for f in pending] == list(range(50))
    with pytest.raises(RuntimeError, match=kit.AFTER):
        pool.submit(abs, 1)


def test_shutdown_without_waiting(make, tmp_path):
    pool = make()
    go = tmp_path / "go"
    running = pool.submit(jobs.wait_for_file, str(go))
    queued = pool.submit(jobs.same, 3)
    pool.shutdown(wait=False)
    go.touch()
    assert running.result(30) == str(go)
    assert queued.result(30) == 3


def test_shutdown_that_cancels(make, tmp_path):
    pool = make()
    go = tmp_path / "go"
    running = pool.submit(jobs.wait_for_file, str(go))
    until(running.running)
    queued = [pool.submit(abs, n) for n in range(10)]
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(f.cancelled() for f in queued)
    go.touch()
    assert running.result(30) == str(go)
    pool.shutdown()


def test_a_pool_that_is_dropped_ends_its_interpreters(futures):
    before = kit.interpreters()
    pool = futures.InterpreterPoolExecutor(2)
    assert pool.submit(abs, -1).result() == 1
    threads = set(pool._threads)
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    until(lambda: reference() is None)
    for thread in threads:
        thread.join(30)
    kit.until_no_more_than(before)


def test_the_number_of_interpreters(futures):
    before = kit.interpreters()
    with futures.InterpreterPoolExecutor(3) as pool:
        assert kit.interpreters() == before
        assert pool.submit(abs, -1).result() == 1
        assert len(kit.interpreters()) == len(before) + 1
        list(pool.map(abs, range(30)))
        assert len(before) + 1 <= len(kit.interpreters()) <= len(before) + 3
    kit.until_no_more_than(before)


@pytest.mark.slow
def test_pools_one_after_the_other(futures):
    before = kit.interpreters()
    for _ in range(8):
        with futures.InterpreterPoolExecutor(2) as pool:
            assert list(pool.map(abs, range(-4, 0))) == [4, 3, 2, 1]
    kit.until_no_more_than(before)


def test_names_of_threads(futures):
    with futures.InterpreterPoolExecutor(1) as pool:
        pool.submit(abs, -1).result()
        (thread,) = pool._threads
        assert thread.name.startswith("InterpreterPoolExecutor-")
        assert thread.name.endswith("_0")
    with futures.InterpreterPoolExecutor(1, "mine") as pool:
        pool.submit(abs, -1).result()
        (thread,) = pool._threads
        assert thread.name == "mine_0"


def test_numbers_of_workers(futures):
    count = getattr(os, "process_cpu_count", os.cpu_count)() or 1
    pool = futures.InterpreterPoolExecutor()
    assert pool._max_workers == min(32, count + 4)
    for wrong in 0, -1:
        with pytest.raises(ValueError, match=r"^max_workers must be greater than 0$"):
            futures.InterpreterPoolExecutor(wrong)


def test_scripts_are_refused(futures):
    with futures.InterpreterPoolExecutor(1) as pool:
        with pytest.raises(TypeError, match=r"^scripts not supported$"):
            pool.submit("print('no')")
        with pytest.raises(TypeError, match=r"^scripts not supported$"):
            list(pool.map("print('no')", [1]))
    with pytest.raises(TypeError, match=r"^scripts not supported$"):
        futures.InterpreterPoolExecutor(1, initializer="print('no')")


def test_futures_are_native_and_mix_with_others(pool):
    future = pool.submit(abs, -1)
    if isinstance(pool, futures_c.ThreadPoolExecutor):
        assert type(future) is futures_c.Future
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        both = {future, other.submit(abs, -2)}
        for module in concurrent.futures, futures_c:
            assert module.wait(both, 30).done == both
            assert {f.result() for f in module.as_completed(both, 30)} == {1, 2}


def test_callbacks_run_here(pool, tmp_path):
    go = tmp_path / "go"
    called = []
    future = pool.submit(jobs.wait_for_file, str(go))
    future.add_done_callback(lambda f: called.append((f, jobs.place())))
    go.touch()
    assert future.result(30) == str(go)
    until(lambda: called)
    (thread,) = pool._threads
    assert called == [(future, (jobs.number(), thread.ident))]


def test_a_callback_may_collect_submit_and_shut_down(make):
    pool = make()
    made = []

    def callback(future):
        gc.collect()
        made.append(pool.submit(abs, -2))
        pool.shutdown(wait=False)

    gate = threading.Event()
    first = pool.submit(abs, -1)
    first.add_done_callback(lambda _: gate.wait(30))
    first.add_done_callback(callback)
    gate.set()
    assert first.result() == 1
    until(lambda: made)
    assert made[0].result(30) == 2


def test_it_can_be_submitted_to_from_many_threads(make):
    pool = make(2)
    found = []

    def submit(n):
        found.append([pool.submit(pow, n, k).result() for k in range(50)])

    threads = [threading.Thread(target=submit, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [[n**k for k in range(50)] for n in range(4)]
