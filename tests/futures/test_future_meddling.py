"""Others lay hands on a future while it is queued, runs or ends.

They assign its private attributes, call `__init__()` again or change its lists,
from another thread, from a callback, from a forked child: nobody crashes, no
waiter sleeps on, no callback is lost.
"""

import concurrent.futures
import itertools
import logging
import threading

import pytest
from future_kit import (
    LONG,
    BreakingCondition,
    Call,
    Oops,
    Waiter,
    gate,
    outcome,
    pause,
)
from support.sanitizers import FORK
from support.waiting import FREE_THREADED, until

# --- with a GIL or without ----------------------------------------------------


def let_go_of(future):
    """Have a queued future drop its task: it ends by other means."""
    yield "cancel", future.cancel
    yield "set_result", lambda: future.set_result(3)


def made_pending_again(future):
    yield "state", lambda: setattr(future, "_state", "PENDING")
    yield "init", future.__init__
    yield "standard", lambda: concurrent.futures.Future.__init__(future)


@pytest.mark.parametrize("with_condition", [False, True])
@pytest.mark.parametrize("how", ["state", "init", "standard"])
@pytest.mark.parametrize("end", ["cancel", "set_result"])
def test_a_queued_future_is_ended_and_made_pending_again(
    ours, end, how, with_condition
):
    """The standard module runs the task; ours may have let go of it, and says so."""
    with ours.ThreadPoolExecutor(1) as pool, gate() as go_on:
        pool.submit(go_on.wait, 20)
        future = pool.submit(dict, a=1)
        if with_condition:
            assert future._condition
        dict(let_go_of(future))[end]()
        dict(made_pending_again(future))[how]()
        assert future._state == "PENDING"
        go_on.set()
        assert outcome(future.result, 20) in [
            ("CancelledError", ""),
            ("returned", {"a": 1}),
        ]
        assert pool.submit(abs, -1).result(20) == 1


def test_init_again_leaves_the_arguments_as_they_are(futures):
    with futures.ThreadPoolExecutor(1) as pool, gate() as go_on:
        pool.submit(go_on.wait, 20)
        future = pool.submit(lambda *args, **names: (args, names), 1, x=2)
        future._state = "FINISHED"
        future.__init__()
        go_on.set()
        assert future.result(20) == ((1,), {"x": 2})


def test_init_again_forgets_what_was_assigned(new):
    future = new()
    future._result, future._exception = 1, Oops()
    future.__init__()
    assert (future._result, future._exception) == (None, None)


@pytest.mark.parametrize("change", ["assign", "clear"])
def test_result_does_not_depend_on_the_list_of_waiters(new, change):
    future = new()
    call = Call(future.result, LONG)
    pause()
    if change == "assign":
        future._waiters = []
    else:
        future._waiters.clear()
    future.set_result(1)
    assert call.end() == ("returned", 1)


@pytest.mark.parametrize("with_condition", [False, True])
def test_cancel_with_a_waiter_that_raises(futures, caplog, with_condition):
    """Everybody else is told, and what it raised is logged."""

    class Raising(Waiter):
        def add_cancelled(self, future):
            raise Oops("waiter")

    called = []
    with futures.ThreadPoolExecutor(1) as pool, gate() as go_on:
        pool.submit(go_on.wait, 20)
        future = pool.submit(int)
        if with_condition:
            assert future._condition
        call = Call(future.result, LONG)
        pause()
        future.add_done_callback(called.append)
        future._waiters.insert(0, Raising())
        assert future.cancel()
        assert call.end() == ("CancelledError", "")
        assert called == [future]
    assert [record.getMessage() for record in caplog.records] == ["Exception in worker"]


@pytest.mark.parametrize("how", ["state", "reinitialised"])
@pytest.mark.parametrize("with_condition", [False, True])
def test_a_queued_future_that_is_cancelled_in_one_step_gets_the_second(
    futures, how, with_condition
):
    """By the worker that comes to it."""
    waiter = Waiter()
    with futures.ThreadPoolExecutor(1) as pool:
        with gate() as go_on:
            pool.submit(go_on.wait, 20)
            future = pool.submit(int)
            if how == "reinitialised":
                future.cancel()
                future.__init__()
                future.cancel()
            else:
                future._state = "CANCELLED"
            if with_condition:
                future._waiters.append(waiter)
            waiting = Call(futures.wait, [future], LONG)
        pool.submit(int).result(20)
        assert future._state == "CANCELLED_AND_NOTIFIED"
        assert waiting.end() == ("returned", ({future}, set()))
    assert waiter.calls == [("cancelled", future)] * with_condition


def test_cancel_while_the_worker_waits_for_the_condition(futures, caplog):
    with futures.ThreadPoolExecutor(1) as pool:
        with gate() as go_on:
            pool.submit(go_on.wait, 20)
            future = pool.submit(int)
            condition = future._condition
        with condition:
            # By now, or a little later, the worker is in set_running...().
            pause()
            assert future.cancel()
        pool.submit(int).result(20)
    assert future._state == "CANCELLED_AND_NOTIFIED"
    assert caplog.records == []


def test_a_callback_that_makes_its_future_pending_again(futures):
    """What is added afterwards waits for the next end."""
    called = []

    def start_again(future):
        future.__init__()
        future.add_done_callback(called.append)

    with futures.ThreadPoolExecutor(1) as pool:
        with gate() as go_on:
            pool.submit(go_on.wait, 20)
            future = pool.submit(int)
            assert future._condition
            future.add_done_callback(start_again)
        pool.submit(int).result(20)
        assert (future._state, called) == ("PENDING", [])
    future.set_result(1)
    assert called == [future]


def test_no_callback_is_called_when_the_end_fails(futures, caplog):
    called = []
    with futures.ThreadPoolExecutor(1) as pool:
        with gate() as go_on:
            future = pool.submit(go_on.wait, 20)
            until(future.running)
            future.add_done_callback(called.append)
            future._condition = BreakingCondition(Oops("acquire"))
    assert called == []
    assert [r.getMessage() for r in caplog.records] == ["Exception in worker"]


def test_callbacks_run_although_a_waiter_raises_in_the_worker(ours, caplog):
    class Raising(Waiter):
        def add_result(self, future):
            raise Oops("waiter")

    called = []
    with ours.ThreadPoolExecutor(1) as pool, gate() as go_on:
        future = pool.submit(go_on.wait, 20)
        future.add_done_callback(called.append)
        future._waiters.append(Raising())
    assert called == [future]
    assert [r.getMessage() for r in caplog.records] == ["Exception in worker"]


def test_a_callback_that_appends_to_the_list_of_callbacks(new):
    future, called = new(), []

    def append(future):
        if not called:
            future._done_callbacks.append(append)
        called.append(future)

    future.add_done_callback(append)
    future.set_result(1)
    assert called == [future, future]


@pytest.mark.skipif(not FREE_THREADED, reason="a GIL lets nobody in between")
def test_no_callback_is_lost_while_somebody_holds_their_list(futures):
    """A list.extend() that goes on for long locks the list."""
    future, called = futures.Future(), []
    future._done_callbacks.append(id)
    count = 10**8
    numbers = itertools.islice(itertools.repeat(0), count, count)
    extending = Call(future._done_callbacks.extend, numbers)
    pause()
    adding = Call(future.add_done_callback, called.append)
    pause()
    future.set_result(1)
    assert adding.end() == extending.end() == ("returned", None)
    assert called == [future]


@pytest.mark.stress
def test_init_again_while_others_look(futures):
    """For sanitizers: whatever they see, nobody comes to harm."""
    stop = threading.Event()
    future = futures.Future()

    def look():
        while not stop.is_set():
            outcome(future.set_running_or_notify_cancel)
            future.done()

    call = Call(look)
    logging.disable()
    try:
        for _ in range(300):
            outcome(future.set_result, 1)
            future.__init__()
    finally:
        stop.set()
        ended = call.end()
        logging.disable(logging.NOTSET)
    assert ended == ("returned", None)


@pytest.mark.unsanitized("thread", reason=FORK)
def test_init_again_in_a_forked_child_makes_it_a_future_of_the_child(futures, script):
    script(
        """
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        go_on = threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(go_on.wait, 20)
            future = pool.submit(int)
            child = os.fork()
            if child == 0:
                future.__init__()
                future.set_result(4)
                os._exit(future.result(0) != 4)
            go_on.set()
            assert os.waitpid(child, 0)[1] == 0
        """
    ).check()


@pytest.mark.unsanitized("thread", reason=FORK)
@pytest.mark.fault("a condition that is held at a fork stays so in the child", cap=5)
def test_cancel_in_a_forked_child_needs_no_condition(futures, script):
    script(
        """
        import os, signal, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        go_on, held = threading.Event(), threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(go_on.wait, 20)
            future = pool.submit(int)
            def hold():
                with future._condition:
                    held.set()
                    go_on.wait(20)
            thread = threading.Thread(target=hold)
            thread.start()
            held.wait(20)
            pid = os.fork()
            if pid == 0:
                signal.alarm(3)
                os._exit(0 if future.cancel() and future.cancelled() else 1)
            assert os.waitpid(pid, 0)[1] == 0
            go_on.set()
            thread.join()
        """
    ).check()


# --- without a GIL: lists that others change ---------------------------------


@pytest.mark.stress
def test_the_list_of_waiters_is_changed_while_conditions_are_assigned(new, rng):
    def change(waiters, barrier):
        barrier.wait(20)
        for _ in range(300):
            waiters.append(Waiter())
        for _ in range(300):
            waiters.pop()

    for _ in range(20):
        future = new()
        barrier = threading.Barrier(2)
        call = Call(change, future._waiters, barrier)
        barrier.wait(20)
        for _ in range(rng.randrange(100)):
            future._condition = threading.Condition()
        assert call.end() == ("returned", None)
        assert future._waiters == []


@pytest.mark.skipif(not FREE_THREADED, reason="a GIL lets nobody in between")
def test_wait_while_somebody_holds_the_list_of_waiters(futures):
    """A list.extend() that goes on for long locks the list."""
    future = futures.Future()
    with future._condition:
        future._waiters.append(Waiter())
    count = 10**8
    numbers = itertools.islice(itertools.repeat(0), count, count)
    extending = Call(future._waiters.extend, numbers)
    pause()
    waiting = Call(futures.wait, [future], LONG)
    pause()
    future.set_result(1)
    assert waiting.end() == ("returned", ({future}, set()))
    assert extending.end() == ("returned", None)


@pytest.mark.stress
def test_what_others_insert_meanwhile_stays(futures):
    """A waiter that goes takes itself away and nobody else."""
    future = futures.Future()
    strangers = [Waiter() for _ in range(40)]
    stop = threading.Event()

    def insert():
        while not stop.is_set():
            future._waiters[:0] = strangers
            assert future._waiters[:40] == strangers
            del future._waiters[:40]

    call = Call(insert)
    try:
        for _ in range(300):
            assert futures.wait([future], 1e-6).done == set()
    finally:
        stop.set()
    assert call.end() == ("returned", None)
    assert future._waiters == []
