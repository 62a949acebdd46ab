"""What futures keep alive, and that the collector frees every kind of cycle.

`dropped` asks for freeing by reference counts alone, `collected` for freeing
with the collector's help.
"""

import concurrent.futures
import gc
import sys
import threading
import weakref

import pytest
from future_kit import Call, Oops, Thing, free_threaded, new_future, outcome, pause
from support.waiting import FREE_THREADED, collected, dropped


class ThingError(Exception):
    """An exception that can be watched."""


def let_go(pool, *references):
    """Like dropped(), for what the one worker of *pool* made.

    On a free-threaded build an object whose last reference another thread
    dropped is freed by its maker when that next runs Python code.
    """
    if free_threaded():
        pool.submit(lambda: None).result(20)
    dropped(*references)


# --- cycles of bare futures --------------------------------------------------


def by_result(future):
    thing = Thing()
    thing.future = future
    future.set_result(thing)
    return thing


def by_its_own_result(future):
    thing = Thing()
    future.set_result((future, thing))
    return thing


def by_a_result_that_becomes_cyclic(future):
    thing = Thing()
    result = {}
    future.set_result(result)
    result["thing"] = thing
    result["future"] = future
    return thing


def by_a_list_that_becomes_cyclic(future):
    thing = Thing()
    result = []
    future.set_result(result)
    result.append(future)
    result.append(thing)
    return thing


def by_callback(future):
    thing = Thing()
    future.add_done_callback(lambda f, both=(future, thing): None)
    return thing


def by_two_callbacks(future):
    thing = Thing()
    future.add_done_callback(lambda f: None)
    future.add_done_callback(lambda f, both=(future, thing): None)
    return thing


def by_a_callback_that_ran(future):
    thing = Thing()
    future.add_done_callback(lambda f, both=(future, thing): None)
    future.set_result(1)
    return thing


def by_attribute(future):
    thing = Thing()
    future.me = (future, thing)
    return thing


def by_attribute_when_done(future):
    future.set_result(1)
    return by_attribute(future)


def by_exception(future):
    error = ThingError()
    error.future = future
    future.set_exception(error)
    return error


def by_exception_arguments(future):
    error = ThingError(future)
    future.set_exception(error)
    return error


def by_traceback(future):
    thing = Thing()

    def fail(future, local=thing):
        raise ThingError

    try:
        fail(future)
    except ThingError as exc:
        future.set_exception(exc)
    return thing


def by_condition(future):
    thing = Thing()
    future._condition.extra = (future, thing)
    return thing


def by_assigned_condition(future):
    class Condition(threading.Condition):
        pass

    condition = Condition()
    condition.future = future
    future._condition = condition
    return condition


def by_waiters(future):
    thing = Thing()
    thing.future = future
    future._waiters.append(thing)
    return thing


def by_assigned_result(future):
    thing = Thing()
    thing.future = future
    future._result = thing
    return thing


def by_assigned_exception(future):
    error = ThingError()
    error.future = future
    future._exception = error
    return error


def by_instance_method(future):
    thing = Thing()
    future.keep = (future.set_result, thing)
    return thing


CYCLES = [
    by_result,
    by_its_own_result,
    by_a_result_that_becomes_cyclic,
    by_a_list_that_becomes_cyclic,
    by_callback,
    by_two_callbacks,
    by_a_callback_that_ran,
    by_attribute,
    by_attribute_when_done,
    by_exception,
    by_exception_arguments,
    by_traceback,
    by_condition,
    by_assigned_condition,
    by_waiters,
    by_assigned_result,
    by_assigned_exception,
    by_instance_method,
]


@pytest.mark.parametrize("cycle", CYCLES, ids=lambda cycle: cycle.__name__)
def test_cycles_of_bare_futures_are_collected(new, cycle):
    def make():
        future = new()
        return weakref.ref(future), weakref.ref(cycle(future))

    collected(*make())


def test_two_futures_that_hold_each_other(new):
    def make():
        one, other = new(), new()
        one.set_result(other)
        other.set_result(one)
        return weakref.ref(one), weakref.ref(other)

    collected(*make())


@pytest.mark.skipif(
    FREE_THREADED and sys.version_info < (3, 14),
    reason="3.13t keeps every class for ever once there has been a thread",
)
def test_a_subclass_is_collected_together_with_its_futures(futures):
    """The collector may clear a class before the instances that go with it."""

    def make():
        class Sub(futures.Future):
            pass

        alive = []
        for _ in range(20):
            future = Sub()
            future.me = future
            future.set_result(future)
            alive.append(weakref.ref(future))
        Sub.latest = future
        return [weakref.ref(Sub), *alive]

    collected(*make())


def test_a_long_chain_of_results_is_freed(futures):
    """Freeing a result that is a future that has a result that is ..."""
    last = futures.Future()
    reference = weakref.ref(last)
    last.set_result(None)
    for _ in range(50_000):
        future = futures.Future()
        future.set_result(last)
        last = future
    del last, future
    collected(reference)


def test_a_long_chain_by_attributes_is_freed(futures):
    last = futures.Future()
    reference = weakref.ref(last)
    for _ in range(20_000):
        future = futures.Future()
        future.next = last
        last = future
    del last, future
    collected(reference)


# --- cycles of submitted futures ---------------------------------------------


def submitted(futures, fn, *args):
    """Have *fn* run, and return its future when nothing else holds it."""
    with futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(fn, *args)


def returned_dict(futures):
    thing = Thing()
    future = submitted(futures, dict)
    future.result()["future"] = future
    future.result()["thing"] = thing
    return future, thing


def returned_list(futures):
    thing = Thing()
    future = submitted(futures, list)
    future.result().extend([future, thing])
    return future, thing


def returned_object(futures):
    future = submitted(futures, Thing)
    future.result().future = future
    return future, future.result()


def returned_tuple(futures):
    inner = []
    thing = Thing()
    future = submitted(futures, lambda: (1, inner))
    inner.extend([future, thing])
    return future, thing


def returned_closure(futures):
    thing = Thing()
    cell = []
    future = submitted(futures, lambda: lambda: (cell, thing))
    cell.append(future)
    return future, thing


def raised(futures):
    def fail():
        raise ThingError

    future = submitted(futures, fail)
    error = future.exception()
    error.future = future
    return future, error


def raised_with_traceback(futures):
    holder = []
    thing = Thing()

    def fail(local=thing, kept=holder):
        raise ThingError

    future = submitted(futures, fail)
    holder.append(future)
    return future, thing


def given_attribute(futures):
    thing = Thing()
    future = submitted(futures, int)
    future.me = (future, thing)
    return future, thing


def given_condition(futures):
    thing = Thing()
    future = submitted(futures, int)
    future._condition.me = (future, thing)
    return future, thing


def given_callback(futures):
    thing = Thing()
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        future = pool.submit(int)
        future.add_done_callback(lambda f, both=(future, thing): None)
        go_on.set()
    return future, thing


def cancelled_with_its_arguments(futures):
    """The task's own arguments hold its future."""
    thing = Thing()
    holder = [thing]
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        future = pool.submit(len, holder)
        holder.append(future)
        future.cancel()
        go_on.set()
    return future, thing


SUBMITTED = [
    returned_dict,
    returned_list,
    returned_object,
    returned_tuple,
    returned_closure,
    raised,
    raised_with_traceback,
    given_attribute,
    given_condition,
    given_callback,
    cancelled_with_its_arguments,
]


@pytest.mark.parametrize("cycle", SUBMITTED, ids=lambda cycle: cycle.__name__)
def test_cycles_of_submitted_futures_are_collected(futures, cycle):
    def make():
        future, thing = cycle(futures)
        return weakref.ref(future), weakref.ref(thing)

    collected(*make())


def test_a_cycle_through_a_dropped_executor(futures):
    """Executor, its future and the result that holds both."""

    def make():
        pool = futures.ThreadPoolExecutor(1)
        result = pool.submit(dict).result()
        future = pool.submit(Thing)
        thing = future.result()
        thing.all = (pool, future, result)
        result["future"] = future
        return weakref.ref(future), weakref.ref(thing), weakref.ref(pool)

    collected(*make())


def test_the_collector_sees_what_a_pending_task_holds(futures):
    """A collection while tasks are queued breaks nothing."""
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        queued = [pool.submit(lambda x=[n]: x) for n in range(500)]
        gc.collect()
        for future in queued[::2]:
            future.mark = future
        gc.collect()
        for future in queued[::2]:
            del future.mark
        go_on.set()
        assert [f.result(20) for f in queued] == [[n] for n in range(500)]
        gc.collect()
        assert [f.result(20) for f in queued] == [[n] for n in range(500)]


@pytest.mark.stress
def test_collections_while_tasks_run(futures, fast_switch):
    """A thread collects while others submit, run and drop cyclic futures.

    It pauses in between: without a GIL a collection stops the other threads, and
    one that collects without end can keep them from ever being woken between
    two collections (3.13t; the standard pool takes as long).
    """
    stop = threading.Event()
    collections = 0

    def collect():
        nonlocal collections
        while not stop.wait(0.0002):
            gc.collect()
            collections += 1

    collector = Call(collect)
    alive = []
    try:
        with futures.ThreadPoolExecutor(3) as pool:
            while collections < 100:
                batch = [pool.submit(dict) for _ in range(50)]
                for future in batch:
                    future.result(20)["future"] = future
                alive.extend(weakref.ref(future) for future in batch)
                del batch, future
    finally:
        stop.set()
    assert collector.end() == ("returned", None)
    collected(*alive)


# --- what is kept, and what is not -------------------------------------------


def test_a_dropped_future_is_freed_at_once(new, no_gc):
    future = new()
    thing = Thing()
    future.set_result(thing)
    references = weakref.ref(future), weakref.ref(thing)
    del future, thing
    assert [reference() for reference in references] == [None, None]


def test_raising_makes_no_cycle(new, no_gc):
    future = new()
    future.set_exception(ThingError("x"))
    reference = weakref.ref(future)
    error = weakref.ref(future.exception())
    for _ in range(3):
        try:
            future.result()
        except ThingError:
            pass
    del future
    assert reference() is None
    assert error() is None


def test_raising_in_a_waiting_thread_makes_no_cycle(new, no_gc):
    holder = [new()]

    def ask():
        return holder[0].result()

    call = Call(ask)
    pause()
    holder[0].set_exception(ThingError("x"))
    assert call.end() == ("ThingError", "x")
    reference = weakref.ref(holder.pop())
    dropped(reference)


def test_the_traceback_shows_where_it_was_raised_and_asked_for(futures):
    def the_task():
        raise ThingError

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(the_task)

        def the_asker():
            return future.result()

        for _ in range(2):
            try:
                the_asker()
            except ThingError as exc:
                names = []
                traceback = exc.__traceback__
                while traceback is not None:
                    names.append(traceback.tb_frame.f_code.co_name)
                    traceback = traceback.tb_next
            assert names[-1] == "the_task"
            assert "the_asker" in names
            assert names.index("the_asker") < names.index("the_task")


def test_the_task_and_its_arguments_are_dropped(futures, no_gc):
    """When the result is there, function and arguments are let go."""

    class Callable:
        def __call__(self, *args, **kwargs):
            return len(args), len(kwargs)

    with futures.ThreadPoolExecutor(1) as pool:
        for keywords in ({}, {"a": 1}, {"a": 1, "b": 2, "c": 3}):
            for count in (0, 1, 2, 3, 9):
                fn = Callable()
                args = [Thing() for _ in range(count)]
                kwargs = {key: Thing() for key in keywords}
                watched = [fn, *args, *kwargs.values()]
                references = [weakref.ref(one) for one in watched]
                future = pool.submit(fn, *args, **kwargs)
                assert future.result(20) == (count, len(kwargs))
                del fn, args, kwargs, watched
                let_go(pool, *references)
                assert future.result() is not None


@pytest.mark.fault("gh-80111: from 3.14 on a frame of the traceback holds the task")
def test_the_task_and_its_arguments_are_dropped_when_it_fails(futures, no_gc):
    def fail(thing):
        del thing
        raise ThingError

    with futures.ThreadPoolExecutor(1) as pool:
        thing = Thing()
        reference = weakref.ref(thing)
        future = pool.submit(fail, thing)
        assert type(future.exception(20)) is ThingError
        del thing
        dropped(reference)


def test_the_worker_keeps_no_result(futures, no_gc):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(Thing)
        reference = weakref.ref(future.result(20))
        another = weakref.ref(future)
        del future
        let_go(pool, reference, another)


def test_the_worker_keeps_no_exception(futures, no_gc):
    def fail():
        raise ThingError

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(fail)
        reference = weakref.ref(future.exception(20))
        another = weakref.ref(future)
        del future
        let_go(pool, reference, another)


def test_a_cancelled_task_is_dropped_when_the_queue_comes_to_it(futures, no_gc):
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        thing = Thing()
        reference = weakref.ref(thing)
        future = pool.submit(len, thing)
        assert future.cancel()
        go_on.set()
        del thing
        dropped(reference)
        assert future.cancelled()


def test_callbacks_are_not_kept_by_a_worker(futures, no_gc):
    class Callback:
        def __call__(self, future):
            self.called = True

    with futures.ThreadPoolExecutor(1) as pool:
        callback = Callback()
        reference = weakref.ref(callback)
        future = pool.submit(int)
        future.add_done_callback(callback)
        future.result(20)
        del callback, future
        dropped(reference)


def test_a_future_that_nobody_keeps_runs_all_the_same(futures):
    results = []
    with futures.ThreadPoolExecutor(2) as pool:
        for number in range(200):
            pool.submit(results.append, number)
    assert sorted(results) == list(range(200))


def test_an_exception_that_was_asked_for_is_the_same_object(new):
    future = new()
    error = Oops()
    future.set_exception(error)
    assert future.exception() is error
    assert outcome(future.result)[0] == "Oops"
    assert future.exception() is error


@pytest.mark.skipif(free_threaded(), reason="reference counts are split there")
def test_reference_counts_of_results(new):
    result = object()
    before = sys.getrefcount(result)
    future = new()
    future.set_result(result)
    held = sys.getrefcount(result)
    for _ in range(100):
        assert future.result() is result
        future.exception()
        repr(future)
        future.add_done_callback(lambda f: f.result())
    assert sys.getrefcount(result) == held
    del future
    assert sys.getrefcount(result) == before


@pytest.mark.skipif(free_threaded(), reason="reference counts are split there")
def test_reference_counts_after_refused_calls(new):
    future = new()
    future.set_result(1)
    thing = object()
    before = sys.getrefcount(thing)
    for _ in range(50):
        assert outcome(future.set_result, thing)[0] == "InvalidStateError"
        assert outcome(future.set_exception, thing)[0] == "InvalidStateError"
        assert outcome(future.result, thing, thing)[0] == "TypeError"
    assert sys.getrefcount(thing) == before
    pending = new()
    for _ in range(50):
        assert outcome(pending.result, thing)[0] == "TypeError"
        assert outcome(pending.add_done_callback, thing, thing)[0] == "TypeError"
    assert sys.getrefcount(thing) == before


def test_many_rounds_leave_no_objects(futures):
    """Neither futures nor what they hold pile up over many rounds."""

    def a_round():
        for _ in range(100):
            future = futures.Future()
            future.add_done_callback(lambda f: None)
            future.cancel()
            future = futures.Future()
            outcome(future.result, 0)
            future.set_exception(Oops())
            outcome(future.result)
            future = futures.Future()
            future._condition  # noqa: B018
            futures.wait([future], 0)
            future.set_result([future])
            list(futures.as_completed([future]))
        with futures.ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(int, "x") for _ in range(100)]:
                outcome(future.result)
            list(pool.map(str, range(100)))

    def count():
        gc.collect()
        return len(gc.get_objects())

    a_round()
    counts = []
    for _ in range(4):
        a_round()
        counts.append(count())
    assert counts[-1] - counts[0] < 100


def test_a_mode_of_its_own_costs_no_other(futures):
    """A condition asked of one future gives none to the next."""
    new_future(futures, "condition")
    new_future(futures, "reinitialised")
    future = futures.Future()
    future.set_result(1)
    assert future.result() == 1
    assert concurrent.futures.wait([future]).done == {future}
