"""Executors and futures that nobody holds: what runs, and what is freed."""

import gc
import threading
import time
import weakref

import pytest
from support.parallel import fresh
from support.waiting import collected, dropped, until


class Thing:
    """Something that can be watched by a weak reference."""


@pytest.fixture
def no_collector():
    """The collector does nothing by itself during the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@fresh
def gate():
    event = threading.Event()
    yield event
    event.set()


def test_a_dropped_executor_runs_what_is_left(futures, gate):
    pool = futures.ThreadPoolExecutor(2)
    held = [pool.submit(gate.wait, 30) for _ in range(2)]
    pending = [pool.submit(abs, -i) for i in range(20)]
    threads = list(pool._threads)
    reference = weakref.ref(pool)
    del pool
    collected(reference)
    assert not any(future.done() for future in pending)
    gate.set()
    assert [future.result(20) for future in held] == [True, True]
    assert [future.result(20) for future in pending] == list(range(20))
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_a_dropped_idle_executor_is_freed_and_its_threads_end(futures, no_collector):
    pool = futures.ThreadPoolExecutor(3)
    barrier = threading.Barrier(3)
    futures.wait([pool.submit(barrier.wait, 20) for _ in range(3)])
    threads = list(pool._threads)
    reference = weakref.ref(pool)
    del pool
    dropped(reference)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def test_a_dropped_executor_without_threads_is_freed(futures, no_collector):
    reference = weakref.ref(futures.ThreadPoolExecutor(3))
    dropped(reference)


def test_an_executor_that_was_shut_down_is_freed(futures, no_collector):
    pool = futures.ThreadPoolExecutor(3)
    futures.wait([pool.submit(abs, i) for i in range(10)])
    pool.shutdown()
    reference = weakref.ref(pool)
    del pool
    dropped(reference)


def test_an_executor_in_a_cycle_is_collected_with_work_left(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    pool.itself = pool
    pool.submit(gate.wait, 30)
    pending = [pool.submit(abs, -i) for i in range(5)]
    reference = weakref.ref(pool)
    del pool
    collected(reference)
    gate.set()
    assert [future.result(20) for future in pending] == list(range(5))


def test_a_dropped_executor_runs_what_map_left(futures, gate):
    pool = futures.ThreadPoolExecutor(1)
    ran = []

    def work(i):
        gate.wait(30)
        ran.append(i)
        return i

    mapped = pool.map(work, range(5))
    del pool
    gc.collect()
    gate.set()
    assert list(mapped) == list(range(5))
    assert ran == list(range(5))


def test_map_whose_result_is_dropped_runs_everything(futures):
    ran = []
    with futures.ThreadPoolExecutor(1) as pool:
        pool.map(ran.append, range(50))
    assert ran == list(range(50))


def test_the_weak_reference_callback_of_an_executor_is_called(futures):
    seen = []
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(abs, 1).result()
    reference = weakref.ref(pool, seen.append)
    del pool
    collected(reference)
    assert seen == [reference]


def test_an_executor_dropped_by_its_own_worker(futures):
    """The last reference goes away inside a task, on the pool's own thread."""
    box = [futures.ThreadPoolExecutor(1)]
    start = threading.Event()
    reference = weakref.ref(box[0])
    threads = []

    def drop():
        start.wait(20)
        box.clear()
        gc.collect()
        return "dropped"

    future = box[0].submit(drop)
    threads.extend(box[0]._threads)
    start.set()
    assert future.result(20) == "dropped"
    collected(reference)
    threads[0].join(20)
    assert not threads[0].is_alive()


def test_an_executor_dropped_by_a_task_of_another(futures):
    box = [futures.ThreadPoolExecutor(1)]
    reference = weakref.ref(box[0])
    pending = [box[0].submit(abs, -i) for i in range(5)]
    with futures.ThreadPoolExecutor(1) as other:
        other.submit(box.clear).result(20)
    collected(reference)
    assert [future.result(20) for future in pending] == list(range(5))


#: Functions that each make a cycle and return what has to be freed once nobody
#: holds it any more.
CYCLES = []


def cycle(function, *marks):
    CYCLES.append(pytest.param(function, id=function.__name__, marks=marks))
    return function


def cycle_held_by_standard_workers(function):
    """A cycle that the frames of the standard module's workers keep alive."""
    return cycle(function, pytest.mark.fault("the worker holds its initargs"))


@cycle
def executor_in_the_arguments_of_its_task(futures):
    pool = futures.ThreadPoolExecutor(1)
    future = pool.submit(lambda *args, **named: None, pool, key=pool)
    future.result(20)
    return pool, future


@cycle
def executor_in_the_result_of_its_task(futures):
    pool = futures.ThreadPoolExecutor(1)
    future = pool.submit(lambda: pool)
    assert future.result(20) is pool
    pool.future = future
    return pool, future


@cycle
def executor_in_the_exception_of_its_task(futures):
    pool = futures.ThreadPoolExecutor(1)

    def fail():
        error = ValueError("cycle")
        error.pool = pool
        raise error

    future = pool.submit(fail)
    assert future.exception(20).pool is pool
    pool.future = future
    return pool, future


@cycle
def executor_in_a_callback_of_its_future(futures):
    pool = futures.ThreadPoolExecutor(1)
    future = pool.submit(abs, 1)
    future.add_done_callback(lambda _, pool=pool: pool)
    future.result(20)
    return pool, future


@cycle_held_by_standard_workers
def executor_in_its_own_initializer(futures):
    box = []
    pool = futures.ThreadPoolExecutor(1, initializer=lambda: box)
    box.append(pool)
    future = pool.submit(abs, 1)
    future.result(20)
    return pool, future


@cycle_held_by_standard_workers
def executor_in_its_own_initargs(futures):
    box = []
    pool = futures.ThreadPoolExecutor(1, initializer=id, initargs=(box,))
    box.append(pool)
    future = pool.submit(abs, 1)
    future.result(20)
    return pool, future


@cycle
def executor_holding_its_futures(futures):
    pool = futures.ThreadPoolExecutor(1)
    pool.kept = [pool.submit(abs, -i) for i in range(5)]
    for future in pool.kept:
        future.pool = pool
        future.result(20)
    return (pool, *pool.kept)


@cycle
def bound_method_of_the_executor_as_task(futures):
    pool = futures.ThreadPoolExecutor(1)
    future = pool.submit(pool.submit, abs, -1)
    inner = future.result(20)
    assert inner.result(20) == 1
    future.inner = inner
    inner.outer = future
    return pool, future, inner


@cycle
def executor_in_the_mapped_function(futures):
    pool = futures.ThreadPoolExecutor(1)
    pool.results = list(pool.map(lambda i: (pool, i), range(5)))
    return (pool,)


@cycle
def executor_holding_the_iterator_of_map(futures):
    pool = futures.ThreadPoolExecutor(1)
    pool.mapped = pool.map(lambda i: (pool, i), range(5))
    assert next(pool.mapped) == (pool, 0)
    return (pool,)


@cycle
def future_as_its_own_result(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        box = []
        start = threading.Event()
        box.append(pool.submit(lambda: start.wait(20) and box[0]))
        start.set()
        future = box[0]
        assert future.result(20) is future
    return (future,)


@cycle
def future_in_a_container_that_is_its_result(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(dict)
        future.result(20)["future"] = future
    return (future,)


@cycle
def future_in_a_list_result_that_was_empty(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(list)
        future.result(20).append(future)
    return (future,)


@cycle
def future_in_an_attribute_of_its_result(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(Thing)
        thing = future.result(20)
        thing.future = future
    return future, thing


@cycle
def future_in_its_own_exception(futures):
    def fail():
        raise ValueError("cycle")

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(fail)
        future.exception(20).future = future
    return (future,)


@cycle
def future_in_its_own_callback(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(abs, 1)
        future.add_done_callback(lambda _, future=future: future)
        future.result(20)
    return (future,)


@cycle
def future_as_its_own_attribute(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(abs, 1)
        future.itself = future
        future.result(20)
    return (future,)


@cycle
def future_in_its_own_arguments(futures):
    gate = threading.Event()
    box = []
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 20)
        box.append(pool.submit(len, box))
        gate.set()
        future = box[0]
        assert future.result(20) == 1
        future.box = box
    return (future,)


@cycle
def future_with_a_condition_in_a_cycle(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(abs, 1)
        future._condition.future = future
        future.result(20)
    return (future,)


@cycle
def cancelled_future_in_its_own_arguments(futures):
    gate = threading.Event()
    box = []
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 20)
        future = pool.submit(len, box)
        box.append(future)
        assert future.cancel()
        gate.set()
    return (future,)


@cycle
def two_futures_that_hold_each_other(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(list)
        second = pool.submit(list)
        first.result(20).append(second)
        second.result(20).append(first)
    return first, second


@cycle
def future_in_its_own_traceback(futures):
    def fail():
        future = box[0]
        raise ValueError(id(future))

    box = []
    start = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(start.wait, 20)
        box.append(pool.submit(fail))
        start.set()
        future = box[0]
        assert isinstance(future.exception(20), ValueError)
    return (future,)


@pytest.mark.parametrize("make", CYCLES)
def test_every_cycle_is_collected(futures, make):
    references = [weakref.ref(thing) for thing in make(futures)]
    collected(*references)


@pytest.mark.parametrize("make", CYCLES)
def test_cycles_are_not_collected_while_somebody_holds_them(futures, make):
    things = make(futures)
    references = [weakref.ref(thing) for thing in things]
    gc.collect()
    gc.collect()
    assert all(
        reference() is thing
        for reference, thing in zip(references, things, strict=True)
    )
    for thing in things:
        if isinstance(thing, futures.Future):
            assert thing.done()
            repr(thing)


def test_pending_tasks_that_hold_their_executor_run(futures, gate):
    """Such an executor lives as long as its work, and is collected after it."""
    pool = futures.ThreadPoolExecutor(1)
    ran = []
    pool.submit(gate.wait, 30)
    for i in range(5):
        pool.submit(lambda _, i=i: ran.append(i), pool)
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    gate.set()
    collected(reference)
    assert ran == list(range(5))


def test_a_pending_task_that_nobody_waits_for_runs_and_is_freed(futures, no_collector):
    thing = Thing()
    reference = weakref.ref(thing)
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(id, thing)
    del thing
    dropped(reference)
    pool.shutdown()


def test_futures_survive_collections_during_their_run(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        pending = []
        for i in range(300):
            pending.append(pool.submit(lambda i=i: [i]))
            if i % 20 == 0:
                gc.collect()
        collecting = pool.submit(gc.collect)
        assert [future.result(20) for future in pending] == [[i] for i in range(300)]
        collecting.result(20)


def test_collection_while_tasks_wait_in_a_pool_without_workers(futures):
    """A shut-down pool's refused work and unreachable pending work are freed."""
    gate = threading.Event()
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(gate.wait, 30)
    things = [Thing() for _ in range(20)]
    references = [weakref.ref(thing) for thing in things]
    pending = [pool.submit(id, thing) for thing in things]
    del things
    pool.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    collected(*references)
    gate.set()
    pool.shutdown()


@pytest.mark.fault("gh-76757")
def test_gh76757_a_weakref_callback_that_submits_inside_submit(futures):
    seen = []
    with futures.ThreadPoolExecutor(2) as pool:
        for i in range(200):
            thing = Thing()
            thing.itself = thing
            weakref.finalize(thing, lambda i=i: seen.append(pool.submit(abs, -i)))
            del thing
            pool.submit(abs, i)
        gc.collect()
        until(lambda: len(seen) == 200)
        assert sorted(future.result(20) for future in seen) == list(range(200))


@pytest.mark.fault("gh-76757")
def test_gh76757_a_finalizer_that_submits_inside_submit(futures):
    thresholds = gc.get_threshold()
    results = []

    class Cyclic:
        def __init__(self):
            self.itself = self

        def __del__(self):
            results.append(pool.submit(abs, -1))

    with futures.ThreadPoolExecutor(2) as pool:
        gc.set_threshold(5)
        try:
            for _ in range(300):
                Cyclic()
                pool.submit(Thing)
        finally:
            gc.set_threshold(*thresholds)
        gc.collect()
        until(lambda: len(results) == 300)
        assert all(future.result(20) == 1 for future in results)


def test_executors_in_a_loop_do_not_pile_up(futures, no_collector):
    references = []
    for _ in range(100):
        pool = futures.ThreadPoolExecutor(1)
        pool.submit(abs, 1)
        references.append(weakref.ref(pool))
        del pool
    dropped(*references)
    until(lambda: threading.active_count() < 10)


def test_time_passes_between_drop_and_work(futures, gate):
    """A dropped pool keeps its waiting workers until its last task has run."""
    pool = futures.ThreadPoolExecutor(2)
    pool.submit(gate.wait, 30)
    chain = pool.submit(lambda: (time.sleep(0.05), "late"))
    del pool
    gc.collect()
    assert chain.result(20)[1] == "late"
    gate.set()
