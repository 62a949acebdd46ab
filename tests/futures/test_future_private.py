"""The private attributes of futures, used as other code uses them.

CPython's tests assign `_state` and the rest and then notify `_condition`;
libraries add waiters of their own to `_waiters`; and calling the standard
`Future.__init__` on a native future assigns them all.
"""

import concurrent.futures
import gc
import threading

import pytest
from future_kit import (
    LONG,
    STATES,
    Call,
    Oops,
    Waiter,
    assign_state,
    new_future,
    outcome,
    pause,
    put_in_state,
)

ATTRIBUTES = (
    "_condition",
    "_state",
    "_result",
    "_exception",
    "_waiters",
    "_done_callbacks",
)


def test_a_fresh_future(new):
    future = new()
    assert future._state == "PENDING"
    assert future._result is None
    assert future._exception is None
    assert future._waiters == []
    assert future._done_callbacks == []
    assert isinstance(future._condition, threading.Condition)


def test_what_stays_the_same_object(new):
    future = new()
    for name in ("_condition", "_waiters", "_done_callbacks"):
        assert getattr(future, name) is getattr(future, name)


@pytest.mark.parametrize("state", STATES)
def test_result_and_exception_are_readable(new, state):
    future = put_in_state(new(), state)
    assert future._result == (42 if state == "result" else None)
    if state == "exception":
        assert future._exception is future.exception()
    else:
        assert future._exception is None


def test_state_takes_every_standard_name(futures, new):
    future = new()
    for name in ("PENDING", "RUNNING", "CANCELLED", "CANCELLED_AND_NOTIFIED"):
        future._state = getattr(futures._base, name)
        assert future._state == name
    future._state = "FINISHED"
    assert future.done()
    assert future.result() is None


def test_state_equal_but_not_identical(new):
    """The name may come from elsewhere, from a file for instance."""
    future = new()
    future._state = "".join(["RUN", "NING"])
    assert future.running()
    assert future.cancel() is False


def test_assigned_and_then_completed(new):
    """A future whose state was assigned goes on by its methods."""
    future = assign_state(new(), "running")
    seen = []
    future.add_done_callback(seen.append)
    future.set_result(3)
    assert future.result() == 3
    assert seen == [future]
    assert future._state == "FINISHED"


def test_back_to_pending(new):
    future = put_in_state(new(), "result")
    future._state = "PENDING"
    assert not future.done()
    assert outcome(future.result, 0) == ("TimeoutError", "")
    future.set_result(43)
    assert future.result() == 43


@pytest.mark.parametrize("ask", ["result", "exception"])
def test_result_assigned_while_somebody_waits(new, ask):
    """As CPython's test_result_with_success does it."""
    future = new()
    call = Call(getattr(future, ask), LONG)
    pause()
    with future._condition:
        future._state = "FINISHED"
        future._result = 42
        future._condition.notify_all()
    assert call.end() == ("returned", 42 if ask == "result" else None)


def test_exception_assigned_while_somebody_waits(new):
    """As CPython's test_exception_with_success does it: the state first."""
    future = new()
    call = Call(future.exception, LONG)
    pause()
    error = Oops()
    with future._condition:
        future._state = "FINISHED"
        future._exception = error
        future._condition.notify_all()
    assert call.end() == ("returned", error)


def test_cancel_assigned_while_somebody_waits(new):
    future = new()
    call = Call(future.result, LONG)
    pause()
    with future._condition:
        future._state = "CANCELLED"
        future._condition.notify_all()
    assert call.end() == ("CancelledError", "")


def test_many_waiters_are_moved_to_the_condition(new):
    future = new()
    calls = [Call(future.result, LONG) for _ in range(10)]
    pause()
    condition = future._condition
    calls += [Call(future.result, LONG) for _ in range(10)]
    pause()
    with condition:
        future._result = "all"
        future._state = "FINISHED"
        condition.notify_all()
    assert [call.end() for call in calls] == [("returned", "all")] * 20


def test_waiters_before_and_after_the_condition_is_asked_for(new):
    future = new()
    before = [Call(future.result, LONG) for _ in range(3)]
    pause()
    future._condition  # noqa: B018 - reading it makes it.
    after = [Call(future.result, LONG) for _ in range(3)]
    pause()
    future.set_result("both")
    assert [call.end() for call in before + after] == [("returned", "both")] * 6


def test_somebody_waits_on_the_condition_itself(new):
    future = new()
    ready = threading.Event()

    def wait():
        with future._condition:
            ready.set()
            return future._condition.wait_for(future.done, 20)

    call = Call(wait)
    assert ready.wait(20)
    future.set_result(1)
    assert call.end() == ("returned", True)


@pytest.mark.parametrize("end", ["result", "exception", "cancelled"])
def test_every_end_notifies_the_condition(new, end):
    future = new()
    ready = threading.Event()

    def wait():
        with future._condition:
            ready.set()
            return future._condition.wait(20)

    call = Call(wait)
    assert ready.wait(20)
    put_in_state(future, end)
    assert call.end() == ("returned", True)


def test_held_condition_holds_back_the_end(new):
    """Whoever holds the condition sees no change of state."""
    future = new()
    with future._condition:
        call = Call(future.set_result, 5)
        pause()
        assert future._state == "PENDING"
        assert call.is_alive()
    assert call.end() == ("returned", None)
    assert future.result() == 5


def test_the_condition_may_be_held_while_asking(new):
    """It is reentrant, as the standard one is."""
    future = put_in_state(new(), "result")
    with future._condition:
        assert future.done()
        assert future.result() == 42
        assert future.exception() is None
        assert "finished" in repr(future)
        assert not future.cancel()


def test_waiting_with_the_condition_held_lets_it_go(new):
    future = new()
    with future._condition:
        call = Call(future.set_result, 6)
        assert future.result(20) == 6
    assert call.end() == ("returned", None)


def test_a_condition_can_be_assigned(new):
    future = new()
    mine = threading.Condition()
    future._condition = mine
    assert future._condition is mine
    call = Call(future.result, LONG)
    pause()
    with mine:
        future._result = "mine"
        future._state = "FINISHED"
        mine.notify_all()
    assert call.end() == ("returned", "mine")


def test_a_waiter_of_somebody_elses(new):
    for end, call in (
        ("result", "result"),
        ("exception", "exception"),
        ("notified", "cancelled"),
    ):
        future = new()
        waiter = Waiter()
        with future._condition:
            future._waiters.append(waiter)
        put_in_state(future, end)
        assert waiter.calls == [(call, future)]
        assert future._waiters == [waiter]
        future._waiters.remove(waiter)
        assert future._waiters == []


def test_a_waiter_without_asking_for_the_condition(new):
    future = new()
    waiters = [Waiter() for _ in range(3)]
    for waiter in waiters:
        future._waiters.append(waiter)
    future._waiters.remove(waiters[1])
    future.set_result(1)
    assert [len(waiter.calls) for waiter in waiters] == [1, 0, 1]


def test_cancel_alone_tells_no_waiter(new):
    future = new()
    waiter = Waiter()
    future._waiters.append(waiter)
    future.cancel()
    assert waiter.calls == []
    future.set_running_or_notify_cancel()
    assert waiter.calls == [("cancelled", future)]


def test_the_waiter_sees_the_state(new):
    future = new()
    seen = []

    class Looking(Waiter):
        def add_result(self, future):
            seen.append((future._state, future.done(), future._result))

    future._waiters.append(Looking())
    future.set_result(8)
    assert seen == [("FINISHED", True, 8)]


def test_waiters_are_told_before_callbacks_run(new):
    future = new()
    waiter = Waiter()
    order = []
    waiter.add_result = lambda f: order.append("waiter")
    future.add_done_callback(lambda f: order.append("callback"))
    future._waiters.append(waiter)
    future.set_result(1)
    assert order == ["waiter", "callback"]


def test_the_list_of_waiters_can_be_assigned(new):
    future = new()
    waiter = Waiter()
    future._waiters = [waiter]
    future.set_exception(Oops())
    assert waiter.calls == [("exception", future)]


def test_a_submitted_future_tells_a_foreign_waiter(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        waiter = Waiter()
        submitted = [
            pool.submit(abs, -3),
            pool.submit(int, "x"),
            pool.submit(abs, -4),
        ]
        for future in submitted:
            with future._condition:
                future._waiters.append(waiter)
        assert submitted[2].cancel()
        go_on.set()
    assert {(kind, submitted.index(f)) for kind, f in waiter.calls} == {
        ("result", 0),
        ("exception", 1),
        ("cancelled", 2),
    }
    assert len(waiter.calls) == 3


def test_a_submitted_future_notifies_its_condition(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        future = pool.submit(abs, -3)
        ready = threading.Event()

        def wait():
            with future._condition:
                ready.set()
                return future._condition.wait_for(future.done, 20)

        call = Call(wait)
        assert ready.wait(20)
        go_on.set()
        assert call.end() == ("returned", True)
        assert future.result() == 3


def test_the_condition_of_a_running_future(futures):
    """Asked for while the task runs and somebody waits natively."""
    with futures.ThreadPoolExecutor(1) as pool:
        started, go_on = threading.Event(), threading.Event()

        def task():
            started.set()
            return go_on.wait(20)

        future = pool.submit(task)
        assert started.wait(20)
        call = Call(future.result, LONG)
        pause()
        with future._condition:
            assert future._state == "RUNNING"
        go_on.set()
        assert call.end() == ("returned", True)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("init", ["standard", "own"])
def test_init_starts_afresh(futures, state, init):
    future = put_in_state(futures.Future(), state)
    seen = []
    if state in ("pending", "running"):
        future.add_done_callback(lambda f: seen.append("forgotten"))
    kind = concurrent.futures.Future if init == "standard" else futures.Future
    kind.__init__(future)
    assert future._state == "PENDING"
    assert future._result is None
    assert future._exception is None
    assert future._waiters == []
    assert future._done_callbacks == []
    future.add_done_callback(seen.append)
    call = Call(future.result, LONG)
    pause()
    future.set_result("again")
    assert call.end() == ("returned", "again")
    assert seen == [future]


def test_both_modules_wait_for_a_reinitialised_future(futures):
    for wait in (futures.wait, concurrent.futures.wait):
        future = new_future(futures, "reinitialised")
        call = Call(wait, [future], LONG)
        pause()
        future.set_result(1)
        assert call.end() == ("returned", ({future}, set()))


def test_assigned_falsy_and_odd_values(new):
    future = new()
    future._result = 0
    future._exception = None
    future._state = "FINISHED"
    assert future.result() == 0
    future._result = None
    assert future.result() is None
    future._exception = Oops("assigned")
    assert outcome(future.result) == ("Oops", "assigned")


@pytest.mark.parametrize("with_condition", [False, True])
def test_result_and_exception_are_assigned_apart_from_each_other(
    new, rng, with_condition
):
    """Neither assignment changes what the other attribute holds."""
    future = new()
    if with_condition:
        condition = future._condition
        future._waiters.append(waiter := Waiter())
    values = {"_result": None, "_exception": None}
    for _ in range(200):
        name = rng.choice(list(values))
        values[name] = rng.choice([None, 0, "a", Oops("b"), ["c"]])
        setattr(future, name, values[name])
        assert future._result is values["_result"]
        assert future._exception is values["_exception"]
    future._result, future._exception = "left", Oops("wins")
    future._state = "FINISHED"
    assert outcome(future.result) == ("Oops", "wins")
    assert future._result == "left"
    future._exception = None
    assert future.result() == "left"
    if with_condition:
        assert future._condition is condition
        assert future._waiters == [waiter]


def test_the_condition_and_the_waiters_are_assigned_apart_from_each_other(new):
    future = new()
    first, second = Waiter(), Waiter()
    future._waiters = [first]
    mine = threading.Condition()
    future._condition = mine
    assert future._waiters == [first]
    future._waiters = [first, second]
    assert future._condition is mine
    future._condition = another = threading.Condition()
    assert future._condition is another
    future._waiters.reverse()
    future.set_result(1)
    assert first.calls == second.calls == [("result", future)]
    assert future._waiters == [second, first]


@pytest.mark.parametrize("end", ["set_result", "set_exception"])
@pytest.mark.parametrize("before", ["assigned", "ended"])
def test_an_end_leaves_the_other_attribute(new, before, end):
    """And an exception wins, wherever it is from."""
    future = new()
    if before == "assigned":
        future._result, future._exception = "before", Oops("before")
    else:
        if end == "set_result":
            future.set_exception(Oops("before"))
        else:
            future.set_result("before")
        future._state = "PENDING"
    getattr(future, end)(Oops("after"))
    expected = ["after", "before"] if end == "set_result" else ["before", "after"]
    assert [str(future._result), str(future._exception)] == expected
    assert outcome(future.result, 20) == ("Oops", expected[1])


def test_names_of_the_private_attributes_are_found(new):
    names = dir(new())
    for name in ATTRIBUTES:
        assert name in names


@pytest.mark.stress
@pytest.mark.parametrize("end", ["result", "cancel", "assigned"])
def test_asking_for_the_condition_while_it_completes(futures, rng, fast_switch, end):
    """The waiter gets its result, whether natively or by the condition."""
    for _ in range(300):
        future = futures.Future()
        together = threading.Barrier(3)

        def ask(future=future, together=together):
            together.wait(20)
            return future.result(20)

        def touch(future=future, together=together):
            together.wait(20)
            # Without notifying: result() waits once, whatever it is woken for.
            with future._condition:
                pass

        calls = [Call(ask), Call(touch)]
        together.wait(20)
        for _ in range(rng.randrange(30)):
            pass
        if end == "result":
            future.set_result("there")
            expected = ("returned", "there")
        elif end == "cancel":
            future.cancel()
            expected = ("CancelledError", "")
        else:
            with future._condition:
                future._state = "CANCELLED"
                future._condition.notify_all()
            expected = ("CancelledError", "")
        assert calls[0].end() == expected
        assert calls[1].end() == ("returned", None)


def test_the_condition_is_made_while_a_waiter_is(futures):
    """The collector may run anything in between, on 3.11 at each allocation."""
    future = futures.Future()

    class Cycle:
        def __init__(self):
            self.me = self

        def __del__(self):
            future._condition  # noqa: B018

    def ask():
        threshold = gc.get_threshold()
        gc.disable()
        Cycle()
        gc.set_threshold(1)
        gc.enable()
        try:
            return future.result(20)
        finally:
            gc.set_threshold(*threshold)

    call = Call(ask)
    pause()
    future.cancel()
    assert call.end() == ("CancelledError", "")


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_none_of_them_can_be_deleted(ours, name):
    """With the standard module they can, and nothing works any more."""
    future = ours.Future()
    with pytest.raises(AttributeError, match="cannot delete an attribute of a Future"):
        delattr(future, name)


@pytest.mark.parametrize("name", ["_waiters", "_done_callbacks"])
def test_what_is_no_list_cannot_be_set(futures, name):
    if futures.__name__ != "futures_c":
        pytest.skip("there any value can be set")
    future = futures.Future()
    with pytest.raises(TypeError, match=f"{name} must be a list, not tuple"):
        setattr(future, name, ())
    assert getattr(future, name) == []
