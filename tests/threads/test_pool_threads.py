"""The worker threads: what they look like, and how many there are."""

import concurrent.futures
import queue
import sys
import threading
import time
from typing import Any

import pytest
from support.waiting import until


def occupied(pool, count, cap=30):
    """Run `count` tasks that can only end all together; return their results.

    Fails unless the pool runs them all at once, so it needs `count` workers.
    """
    barrier = threading.Barrier(count)
    pending = [pool.submit(barrier.wait, cap) for _ in range(count)]
    return [future.result(cap + 5) for future in pending]


def test_default_names_count_executors_and_threads(futures):
    with (
        futures.ThreadPoolExecutor(3) as first,
        futures.ThreadPoolExecutor(2) as second,
    ):
        occupied(first, 3)
        occupied(second, 2)
        heads = []
        for pool, count in (first, 3), (second, 2):
            parts = [t.name.rpartition("_") for t in pool._threads]
            assert sorted(number for _, _, number in parts) == [
                str(i) for i in range(count)
            ]
            (head,) = {head for head, _, _ in parts}
            heads.append(head)
    prefix = "ThreadPoolExecutor-"
    assert all(head.startswith(prefix) for head in heads)
    assert int(heads[0].removeprefix(prefix)) < int(heads[1].removeprefix(prefix))


def test_names_carry_the_given_prefix(futures):
    with futures.ThreadPoolExecutor(3, thread_name_prefix="fetch") as pool:
        occupied(pool, 3)
        assert sorted(t.name for t in pool._threads) == [
            "fetch_0",
            "fetch_1",
            "fetch_2",
        ]


def test_a_subclass_has_the_default_names_too(futures):
    class Own(futures.ThreadPoolExecutor):
        pass

    with Own(1) as pool:
        name = pool.submit(threading.current_thread).result().name
    assert name.startswith("ThreadPoolExecutor-") and name.endswith("_0")


def test_workers_are_ordinary_threads(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        worker = pool.submit(threading.current_thread).result()
        ident, native, main = pool.submit(
            lambda: (
                threading.get_ident(),
                threading.get_native_id(),
                threading.current_thread() is threading.main_thread(),
            )
        ).result()
        assert isinstance(worker, threading.Thread)
        assert worker in threading.enumerate()
        assert worker.is_alive() and not worker.daemon and not main
        assert worker.ident == ident and worker.native_id == native
        assert "started" in repr(worker) and worker.name in repr(worker)
        assert pool._threads == {worker}
    assert not worker.is_alive()
    assert worker not in threading.enumerate()


def test_workers_of_a_daemon_thread_are_not_daemons(futures):
    seen = []

    def use():
        with futures.ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(threading.current_thread).result().daemon)

    thread = threading.Thread(target=use, daemon=True)
    thread.start()
    thread.join()
    (by_daemon,) = seen
    seen.clear()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        seen.append(pool.submit(use).result())
    # Threads inherit the flag of the thread that makes them, as everywhere.
    assert by_daemon is True
    assert False in seen


def test_submit_leaves_the_started_thread_in_the_set(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(4) as pool:
        for count in range(1, 7):
            pool.submit(gate.wait, 30)
            assert len(pool._threads) == min(count, 4)
            assert all(isinstance(t, threading.Thread) for t in pool._threads)
            assert all(t.is_alive() for t in pool._threads)
        for thread in pool._threads:
            assert thread in threading.enumerate()
        gate.set()


def test_threads_found_in_the_set_can_be_joined_at_once(futures):
    for _ in range(50):
        pool = futures.ThreadPoolExecutor(2)
        pool.submit(abs, 1)
        pool.submit(abs, 1)
        pool.shutdown(wait=False)
        for thread in list(pool._threads):
            thread.join(20)
            assert not thread.is_alive()


def test_thread_locals_last_from_task_to_task(futures):
    local = threading.local()

    def count():
        local.count = getattr(local, "count", 0) + 1
        return local.count

    with futures.ThreadPoolExecutor(1) as pool:
        assert [pool.submit(count).result() for _ in range(5)] == [1, 2, 3, 4, 5]
        assert list(pool.map(lambda _: count(), range(5))) == [6, 7, 8, 9, 10]
    assert not hasattr(local, "count")


def test_thread_locals_are_dropped_with_the_worker(futures):
    class Value:
        dropped = threading.Event()

        def __del__(self):
            self.dropped.set()

    local = threading.local()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(setattr, local, "value", Value()).result()
    assert Value.dropped.wait(20)


@pytest.mark.parametrize("kind", ["settrace", "setprofile"])
@pytest.mark.thread_unsafe(reason="sets what traces all threads")
def test_trace_and_profile_functions_see_the_tasks(futures, kind):
    seen = []

    def task_function_to_be_seen():
        return threading.get_ident()

    def hook(frame, event, arg):
        seen.append((frame.f_code.co_name, event, threading.get_ident()))

    previous = getattr(threading, "get" + kind[3:])()
    getattr(threading, kind)(hook)
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            ident = pool.submit(task_function_to_be_seen).result()
            mapped = list(pool.map(lambda _: task_function_to_be_seen(), [0]))
    finally:
        getattr(threading, kind)(previous)
    assert mapped == [ident]
    assert seen.count(("task_function_to_be_seen", "call", ident)) == 2


def test_one_worker_serves_one_task_after_the_other(futures):
    with futures.ThreadPoolExecutor(8) as pool:
        for i in range(3):
            assert pool.submit(abs, -i).result() == i
            until(lambda: threads_are_idle(pool))
        assert len(pool._threads) == 1


def threads_are_idle(pool, pause=0.002):
    """Give the worker the moment that the standard one needs to go idle."""
    time.sleep(pause)
    return pool._work_queue.qsize() == 0


@pytest.mark.fault("gh-117344")
def test_gh117344_a_worker_is_idle_before_its_result_can_be_seen(futures):
    with futures.ThreadPoolExecutor(8) as pool:
        for i in range(300):
            assert pool.submit(abs, -i).result() == i
        assert len(pool._threads) == 1


@pytest.mark.fault("gh-117344")
@pytest.mark.parametrize("how", ["exception", "wait", "as_completed", "error"])
def test_gh117344_however_the_result_is_waited_for(futures, how):
    def fail():
        raise ZeroDivisionError

    with futures.ThreadPoolExecutor(8) as pool:
        for i in range(100):
            if how == "error":
                with pytest.raises(ZeroDivisionError):
                    pool.submit(fail).result()
                continue
            future = pool.submit(abs, -i)
            if how == "exception":
                assert future.exception() is None
            elif how == "wait":
                futures.wait([future])
            else:
                assert list(futures.as_completed([future])) == [future]
        assert len(pool._threads) == 1


@pytest.mark.fault("gh-117344")
def test_gh117344_a_callback_finds_its_worker_not_idle(futures):
    """A task that a callback submits may start a second worker, no third."""
    with futures.ThreadPoolExecutor(8) as pool:
        submitted: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for i in range(100):
            future = pool.submit(abs, -i)
            future.add_done_callback(lambda _: submitted.put(pool.submit(abs, -1)))
            # Its worker is idle when the result is there, whatever the other one
            # does, which may still be in the callback.
            assert submitted.get(timeout=20).result(20) == 1
            future.result()
        assert len(pool._threads) <= 2


def test_map_over_few_items_starts_few_threads(futures):
    with futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
        assert 1 <= len(pool._threads) <= 2


@pytest.mark.thread_unsafe(reason="counts threads")
def test_no_thread_is_started_before_the_first_task(futures):
    before = threading.active_count()
    with futures.ThreadPoolExecutor(8) as pool:
        assert not pool._threads
        assert list(pool.map(abs, [])) == []
        assert not pool._threads
        assert threading.active_count() == before


def test_never_more_threads_than_max_workers(futures):
    with futures.ThreadPoolExecutor(3) as pool:
        running = []
        most = []
        lock = threading.Lock()

        def work():
            with lock:
                running.append(1)
                most.append(len(running))
            time.sleep(0.001)
            with lock:
                running.pop()

        pending = [pool.submit(work) for _ in range(60)]
        futures.wait(pending)
        assert max(most) <= 3
        assert len(pool._threads) == 3
        assert sorted(int(t.name.rpartition("_")[2]) for t in pool._threads) == [
            0,
            1,
            2,
        ]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 13, 32, 64])
def test_tasks_that_wait_for_each_other_get_a_worker_each(futures, count):
    with futures.ThreadPoolExecutor(count) as pool:
        for _ in range(6):
            assert sorted(occupied(pool, count)) == list(range(count))
        assert len(pool._threads) == count


@pytest.mark.parametrize("count", [2, 3, 8, 33])
def test_mapped_calls_that_wait_for_each_other_get_a_worker_each(futures, count):
    with futures.ThreadPoolExecutor(count) as pool:
        for _ in range(6):
            barrier = threading.Barrier(count)
            indices = pool.map(lambda _, b=barrier: b.wait(30), range(count))
            assert sorted(indices) == list(range(count))


def test_every_size_of_burst_on_one_pool(futures):
    with futures.ThreadPoolExecutor(16) as pool:
        for count in [*range(1, 17), *range(16, 0, -1)]:
            occupied(pool, count)
        assert len(pool._threads) <= 16


@pytest.mark.parametrize("factory", ["submit", "map"])
def test_gh88354_a_saturated_pool_still_starts_what_is_needed(futures, factory):
    """More tasks than workers must not make later ones count on idle workers."""
    for workers in (2, 4, 9):
        with futures.ThreadPoolExecutor(workers) as pool:
            if factory == "map":
                assert len(list(pool.map(abs, range(40)))) == 40
            else:
                futures.wait([pool.submit(time.sleep, 0) for _ in range(40)])
            for _ in range(3):
                occupied(pool, workers)


@pytest.mark.stress
def test_pr133957_two_tasks_in_a_row_get_two_workers(futures, rng):
    """No moment of a worker's way to sleep makes a second task wait."""
    for _ in range(25):
        with futures.ThreadPoolExecutor(2) as pool:
            for _ in range(12):
                futures.wait([pool.submit(abs, 1) for _ in range(rng.randrange(3))])
                for _ in range(rng.randrange(200)):
                    pass
                occupied(pool, 2)


@pytest.mark.stress
def test_bursts_from_several_threads_get_their_workers(futures, rng):
    errors = []
    with futures.ThreadPoolExecutor(12) as pool:

        def submitter(sizes):
            try:
                for size in sizes:
                    occupied(pool, size)
            except Exception as exc:
                errors.append(exc)

        sizes = [[rng.randint(1, 4) for _ in range(30)] for _ in range(3)]
        threads = [threading.Thread(target=submitter, args=(s,)) for s in sizes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors


def test_a_task_behind_a_blocked_one_runs_elsewhere(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(2) as pool:
        pool.submit(abs, 1).result()
        blocked = pool.submit(gate.wait, 30)
        assert pool.submit(abs, -2).result(20) == 2
        assert [pool.submit(abs, -i).result(20) for i in range(50)] == list(range(50))
        gate.set()
        assert blocked.result() is True


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_idle_workers_wake_after_a_pause(futures, workers):
    with futures.ThreadPoolExecutor(workers) as pool:
        for pause in (0, 0.0001, 0.001, 0.02, 0.1):
            occupied(pool, workers)
            time.sleep(pause)
            assert pool.submit(abs, -1).result(20) == 1


def test_one_worker_runs_tasks_in_the_order_of_submission(futures):
    order = []
    with futures.ThreadPoolExecutor(1) as pool:
        for i in range(500):
            pool.submit(order.append, i)
        list(pool.map(order.append, range(500, 600)))
        for i in range(600, 700):
            pool.submit(order.append, i)
    assert order == list(range(700))


def test_a_patched_start_is_called(futures, monkeypatch):
    started = []
    start = threading.Thread.start

    def watched(self):
        started.append(self.name)
        start(self)

    monkeypatch.setattr(threading.Thread, "start", watched)
    with futures.ThreadPoolExecutor(2, "seen") as pool:
        occupied(pool, 2)
    assert sorted(started) == ["seen_0", "seen_1"]


def test_a_patched_run_is_called_in_the_worker(futures, monkeypatch):
    seen = []
    run = threading.Thread.run

    def watched(self):
        seen.append((self.name, threading.get_ident()))
        run(self)

    monkeypatch.setattr(threading.Thread, "run", watched)
    with futures.ThreadPoolExecutor(1, "seen") as pool:
        ident = pool.submit(threading.get_ident).result()
    assert seen == [("seen_0", ident)]


def test_the_excepthook_stays_silent(futures, monkeypatch):
    calls = []
    monkeypatch.setattr(threading, "excepthook", calls.append)
    with futures.ThreadPoolExecutor(1) as pool:
        for error in (ValueError, KeyboardInterrupt, SystemExit):
            assert isinstance(pool.submit(raiser, error).exception(), error)
    assert calls == []


def raiser(error):
    raise error


@pytest.mark.skipif(
    sys.version_info < (3, 14), reason="threads have a context since 3.14"
)
def test_a_worker_has_the_context_that_its_start_gives_it(futures):
    import contextvars

    variable = contextvars.ContextVar("variable", default="none")

    def first_use():
        variable.set("caller")
        with futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(variable.get).result()

    seen = contextvars.copy_context().run(first_use)
    assert seen == ("caller" if sys.flags.thread_inherit_context else "none")


def test_the_stack_size_setting_is_used(futures):
    previous = threading.stack_size(16 * 2**20)
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            assert pool.submit(abs, -1).result() == 1
    finally:
        threading.stack_size(previous)


def test_deep_recursion_in_a_task_is_an_exception(futures):
    def deeper(n):
        return deeper(n + 1)

    with futures.ThreadPoolExecutor(1) as pool:
        assert isinstance(pool.submit(deeper, 0).exception(), RecursionError)
        assert pool.submit(abs, -1).result() == 1
