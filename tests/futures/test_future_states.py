"""Every method of a Future in every state, with the texts that go with it.

Each test runs on bare futures in every mode of future_kit, and most of them on
futures whose state was assigned, too.
"""

import concurrent.futures
import re

import pytest
from future_kit import (
    DONE,
    STATE_NAMES,
    STATES,
    Oops,
    assign_state,
    new_future,
    outcome,
    put_in_state,
)

WAYS = {"by methods": put_in_state, "by assignment": assign_state}


@pytest.fixture(params=WAYS, ids=lambda way: way.replace(" ", "-"))
def put(request):
    """Bring a pending future to a state, by methods or by assignment."""
    return WAYS[request.param]


@pytest.fixture(params=STATES)
def state(request):
    """Each state of a future."""
    return request.param


def test_the_three_questions(new, put, state):
    future = put(new(), state)
    assert future.done() is (state in DONE)
    assert future.cancelled() is (state in ("cancelled", "notified"))
    assert future.running() is (state == "running")


def test_state_is_readable(new, put, state):
    future = put(new(), state)
    assert future._state == STATE_NAMES[state]
    assert type(future._state) is str


def test_result(new, put, state):
    future = put(new(), state)
    expected = {
        "pending": ("TimeoutError", ""),
        "running": ("TimeoutError", ""),
        "cancelled": ("CancelledError", ""),
        "notified": ("CancelledError", ""),
        "result": ("returned", 42),
        "exception": ("Oops", "no luck"),
    }[state]
    assert outcome(future.result, 0) == expected
    assert outcome(future.result, timeout=0) == expected


def test_exception(new, put, state):
    future = put(new(), state)
    kind, value = outcome(future.exception, 0)
    if state in ("pending", "running"):
        assert (kind, value) == ("TimeoutError", "")
    elif state in ("cancelled", "notified"):
        assert (kind, value) == ("CancelledError", "")
    elif state == "result":
        assert (kind, value) == ("returned", None)
    else:
        assert kind == "returned"
        assert type(value) is Oops
        assert future.exception() is value
        assert future.exception(timeout=0) is value


def test_the_exceptions_are_the_standard_ones(futures, new):
    with pytest.raises(concurrent.futures.TimeoutError) as raised:
        new().result(0)
    assert raised.type is TimeoutError
    future = put_in_state(new(), "cancelled")
    for ask in (future.result, future.exception):
        with pytest.raises(futures.CancelledError) as raised:
            ask()
        assert raised.type is concurrent.futures.CancelledError
    with pytest.raises(futures.InvalidStateError) as raised:
        future.set_result(1)
    assert raised.type is concurrent.futures.InvalidStateError


def test_cancel(new, put, state):
    future = put(new(), state)
    assert future.cancel() is (state in ("pending", "cancelled", "notified"))
    after = "CANCELLED" if state == "pending" else STATE_NAMES[state]
    assert future._state == after
    assert future.cancel() is (state in ("pending", "cancelled", "notified"))


def test_snapshot(futures, mode, put, state):
    if not hasattr(concurrent.futures.Future, "_get_snapshot"):
        if futures is concurrent.futures:
            pytest.skip("the standard future has _get_snapshot from 3.15 on")
    future = put(new_future(futures, mode), state)
    snapshot = future._get_snapshot()
    assert type(snapshot) is tuple
    error = future._exception
    assert (
        snapshot
        == {
            "pending": (False, False, None, None),
            "running": (False, False, None, None),
            "cancelled": (True, True, None, None),
            "notified": (True, True, None, None),
            "result": (True, False, 42, None),
            "exception": (True, False, None, error),
        }[state]
    )
    assert (error is None) is (state != "exception")


def test_set_result(new, put, state):
    future = put(new(), state)
    text = repr(future)
    kind, value = outcome(future.set_result, 5)
    if state in ("pending", "running"):
        assert (kind, value) == ("returned", None)
        assert future.result(0) == 5
        assert future.exception(0) is None
    else:
        assert kind == "InvalidStateError"
        assert value == f"{STATE_NAMES[state]}: {text}"
        assert repr(future) == text


def test_set_exception(new, put, state):
    future = put(new(), state)
    text = repr(future)
    error = Oops("late")
    kind, value = outcome(future.set_exception, error)
    if state in ("pending", "running"):
        assert (kind, value) == ("returned", None)
        assert future.exception(0) is error
        with pytest.raises(Oops) as raised:
            future.result(0)
        assert raised.value is error
    else:
        assert kind == "InvalidStateError"
        assert value == f"{STATE_NAMES[state]}: {text}"
        assert repr(future) == text


def test_set_running_or_notify_cancel(new, put, state, log):
    future = put(new(), state)
    kind, value = outcome(future.set_running_or_notify_cancel)
    if state == "pending":
        assert (kind, value) == ("returned", True)
        assert future._state == "RUNNING"
    elif state == "cancelled":
        assert (kind, value) == ("returned", False)
        assert future._state == "CANCELLED_AND_NOTIFIED"
    else:
        assert (kind, value) == ("RuntimeError", "Future in unexpected state")
        assert future._state == STATE_NAMES[state]
        [record] = log.records
        assert record.levelname == "CRITICAL"
        assert record.name == "concurrent.futures"
        assert record.getMessage() == (
            f"Future {id(future)} in unexpected state: {STATE_NAMES[state]}"
        )
    if state in ("pending", "cancelled"):
        assert not log.records


def test_repr(new, put, state):
    future = put(new(), state)
    tail = {
        "pending": "state=pending",
        "running": "state=running",
        "cancelled": "state=cancelled",
        "notified": "state=cancelled",
        "result": "state=finished returned int",
        "exception": "state=finished raised Oops",
    }[state]
    name = type(future).__name__
    assert repr(future) == f"<{name} at {id(future):#x} {tail}>"
    assert str(future) == repr(future)


@pytest.mark.parametrize("result", [None, (), "text", 1.5, object(), Oops("as result")])
def test_any_result(new, result):
    future = new()
    future.set_result(result)
    assert future.result() is result
    assert future._result is result
    assert future.exception() is None
    assert repr(future).endswith(f"returned {type(result).__name__}>")


def test_an_exception_class(new):
    future = new()
    future.set_exception(Oops)
    assert future.exception() is Oops
    raised = []
    for _ in range(2):
        with pytest.raises(Oops) as info:
            future.result()
        raised.append(info.value)
    assert raised[0] is not raised[1]
    assert repr(future).endswith("raised type>")


@pytest.mark.parametrize("wrong", ["text", 5, object])
def test_what_is_no_exception_cannot_be_raised(new, wrong):
    future = new()
    future.set_exception(wrong)
    assert future.exception() is wrong
    with pytest.raises(TypeError, match="exceptions must derive from BaseException"):
        future.result()


def test_none_as_exception_is_no_exception(new):
    future = new()
    future.set_exception(None)
    assert future.done()
    assert future.result() is None
    assert future.exception() is None


@pytest.mark.parametrize(
    "kind",
    [
        KeyboardInterrupt,
        SystemExit,
        GeneratorExit,
        StopIteration,
        TimeoutError,
        concurrent.futures.CancelledError,
    ],
)
def test_exceptions_that_mean_something_elsewhere(new, kind):
    future, error = new(), kind("my own")
    future.set_exception(error)
    assert not future.cancelled()
    assert future.exception() is error
    with pytest.raises(BaseException) as raised:
        future.result()
    assert raised.value is error


class Falsy(Exception):
    def __bool__(self):
        return False


class Empty(Exception):
    def __len__(self):
        return 0


@pytest.mark.fault("gh-132063")
@pytest.mark.parametrize("kind", [Falsy, Empty])
def test_a_falsy_exception_is_raised(futures, mode, kind):
    future = new_future(futures, mode)
    error = kind("false, and yet it failed")
    future.set_exception(error)
    assert future.exception() is error
    with pytest.raises(kind) as raised:
        future.result()
    assert raised.value is error


class Unboolable(Exception):
    def __bool__(self):
        raise ZeroDivisionError("asked for truth")


@pytest.mark.fault("gh-132063")
def test_the_truth_of_an_exception_is_nobodys_business(futures, mode):
    future = new_future(futures, mode)
    error = Unboolable("x")
    future.set_exception(error)
    with pytest.raises(Unboolable):
        future.result()


@pytest.mark.parametrize("kind", [Falsy, Empty])
def test_a_falsy_exception_of_a_task(futures, kind):
    error = kind("false, and yet it failed")

    def fail():
        raise error

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(fail)
        assert future.exception(10) is error
        assert futures.wait([future], return_when="FIRST_EXCEPTION").done == {future}


def test_wrong_numbers_of_arguments(new):
    future = new()
    for call in (
        lambda: type(future)(1),
        lambda: type(future)(x=1),
        lambda: future.cancel(1),
        lambda: future.cancelled(1),
        lambda: future.running(1),
        lambda: future.done(1),
        lambda: future.result(1, 2),
        lambda: future.result(wait=1),
        lambda: future.exception(1, 2),
        lambda: future.exception(wait=1),
        lambda: future.add_done_callback(),
        lambda: future.add_done_callback(print, print),
        lambda: future.add_done_callback(callback=print),
        lambda: future.set_running_or_notify_cancel(1),
        lambda: future.set_result(),
        lambda: future.set_result(1, 2),
        lambda: future.set_result(value=1),
        lambda: future.set_result(1, result=2),
        lambda: future.set_exception(),
        lambda: future.set_exception(Oops(), None),
        lambda: future.set_exception(error=Oops()),
    ):
        with pytest.raises(TypeError) as raised:
            call()
        assert re.search(r"argument|takes", str(raised.value))
    assert future._state == "PENDING"
    assert not future._done_callbacks


def test_texts_of_wrong_numbers_of_arguments(ours):
    def texts(cls):
        future = cls()
        return [
            outcome(future.set_result),
            outcome(future.set_result, 1, 2),
            outcome(future.set_result, value=1),
            outcome(future.set_exception),
            outcome(future.set_exception, 1, 2, 3),
            outcome(future.add_done_callback),
            outcome(future.add_done_callback, 1, 2),
            outcome(future.add_done_callback, callback=1),
        ]

    assert texts(ours.Future) == texts(concurrent.futures.Future)


def test_by_keyword(new):
    future = new()
    seen = []
    future.add_done_callback(fn=seen.append)
    future.set_result(result=3)
    assert seen == [future]
    assert future.result(timeout=None) == 3
    other = new()
    error = Oops()
    other.set_exception(exception=error)
    assert other.exception(timeout=1) is error


def test_methods_work_unbound(futures):
    for cls in (futures.Future, concurrent.futures.Future):
        future = futures.Future()
        assert cls.set_running_or_notify_cancel(future) is True
        assert cls.running(future)
        cls.set_result(future, 7)
        assert cls.result(future) == 7
        assert cls.exception(future) is None
        assert cls.cancel(future) is False
        assert cls.done(future)
        assert not cls.cancelled(future)
        assert cls.__repr__(future) == repr(future)


def test_methods_refuse_what_is_no_future(ours):
    native = ours.Future
    for name in ("cancel", "result", "done", "_get_snapshot", "__repr__"):
        with pytest.raises(TypeError):
            getattr(native, name)(object())
    with pytest.raises(TypeError):
        native.set_result(concurrent.futures.Future(), 1)


def test_a_submitted_future_in_its_states(futures):
    import threading

    started, go_on = threading.Event(), threading.Event()

    def task():
        started.set()
        go_on.wait(20)
        return "value"

    with futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(task)
        assert started.wait(20)
        pending = pool.submit(abs, -1)
        doomed = pool.submit(abs, -2)
        assert running.running() and running._state == "RUNNING"
        assert "state=running" in repr(running)
        assert not running.cancel()
        assert pending._state == "PENDING" and not pending.running()
        assert "state=pending" in repr(pending)
        assert doomed.cancel() and doomed.cancelled() and doomed.done()
        assert "state=cancelled" in repr(doomed)
        for future in (running, pending):
            assert outcome(future.result, 0) == ("TimeoutError", "")
            assert outcome(future.exception, 0.001) == ("TimeoutError", "")
        assert outcome(doomed.result) == ("CancelledError", "")
        assert outcome(doomed.exception) == ("CancelledError", "")
        go_on.set()
        assert running.result() == "value"
        assert pending.result() == 1
        assert "state=finished returned str" in repr(running)
        assert running._state == "FINISHED"
        assert not running.cancel()
        for future in (running, pending):
            with pytest.raises(futures.InvalidStateError, match=r"^FINISHED: <Fut"):
                future.set_result(0)
            with pytest.raises(futures.InvalidStateError, match=r"^FINISHED: <Fut"):
                future.set_exception(Oops())
    assert doomed._state == "CANCELLED_AND_NOTIFIED"


def test_a_result_set_before_the_executor_comes_to_it(futures, log):
    """Whoever sets the result of a queued future has the last word."""
    import threading

    go_on = threading.Event()
    ran = []
    with futures.ThreadPoolExecutor(1) as pool:
        blocker = pool.submit(go_on.wait, 20)
        future = pool.submit(ran.append, 1)
        future.set_result("mine")
        assert future.result() == "mine"
        go_on.set()
        blocker.result()
        assert future.result() == "mine"
    assert not ran
