"""result() and exception() with a timeout: right, odd and wrong ones."""

import concurrent.futures
import decimal
import fractions
import threading
import time

import pytest
from future_kit import LONG, Call, Oops, outcome, pause

ASK = ("result", "exception")


@pytest.fixture(params=ASK)
def ask(request):
    """The name of each method that waits."""
    return request.param


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, -1e300, False, float("-inf")])
def test_no_time_at_all(new, ask, timeout):
    future = new()
    before = time.monotonic()
    with pytest.raises(TimeoutError) as raised:
        getattr(future, ask)(timeout)
    assert time.monotonic() - before < 5
    assert raised.type is TimeoutError
    assert raised.value.args == ()
    future.set_result(1)
    assert getattr(future, ask)(timeout) == (1 if ask == "result" else None)


@pytest.mark.parametrize("timeout", [0.02, 1 / 64, fractions.Fraction(1, 50)], ids=str)
def test_the_time_is_waited_for_and_not_much_more(futures, ask, timeout):
    future = futures.Future()
    before = time.monotonic()
    kind, _ = outcome(getattr(future, ask), timeout)
    passed = time.monotonic() - before
    if isinstance(timeout, fractions.Fraction) and kind == "TypeError":
        return  # Locks of this version take no fractions.
    assert kind == "TimeoutError"
    assert float(timeout) * 0.99 <= passed < 5


def test_whole_seconds_and_true_count(futures, ask):
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        getattr(futures.Future(), ask)(True)
    assert 0.99 <= time.monotonic() - before < 6


@pytest.mark.parametrize("timeout", [None, 30, 30.0, 10**6, threading.TIMEOUT_MAX])
def test_it_comes_in_time(new, ask, timeout):
    future = new()
    call = Call(getattr(future, ask), timeout)
    pause()
    future.set_result("there")
    assert call.end() == ("returned", "there" if ask == "result" else None)


@pytest.mark.parametrize("timeout", [None, 30])
def test_an_exception_comes_in_time(new, ask, timeout):
    future = new()
    call = Call(getattr(future, ask), timeout)
    pause()
    error = Oops("came")
    future.set_exception(error)
    expected = ("Oops", "came") if ask == "result" else ("returned", error)
    assert call.end() == expected


@pytest.mark.parametrize("timeout", [None, 30])
def test_a_cancel_comes_in_time(new, ask, timeout):
    future = new()
    call = Call(getattr(future, ask), timeout)
    pause()
    assert future.cancel()
    assert call.end() == ("CancelledError", "")


def test_running_is_not_the_end(new, ask):
    future = new()
    call = Call(getattr(future, ask), 30)
    pause()
    future.set_running_or_notify_cancel()
    pause()
    assert call.is_alive()
    future.set_result(9)
    assert call.end()[0] == "returned"


class WithIndex:
    def __index__(self):
        return 0


class WithFloat:
    def __float__(self):
        return 0.0

    def __gt__(self, other):
        return False


WRONG = [
    "1",
    b"1",
    [],
    {},
    (),
    1j,
    object,
    WithIndex(),
    WithFloat(),
    float("nan"),
    float("inf"),
    threading.TIMEOUT_MAX * 2,
    10**400,
    1e300,
    decimal.Decimal("0.01"),
    decimal.Decimal("-1"),
]


@pytest.mark.parametrize("timeout", WRONG, ids=repr)
def test_wrong_timeouts_end_as_on_the_standard(ours, ask, timeout):
    """The class of the exception is compared, and the text where it is Python's."""
    expected = outcome(getattr(concurrent.futures.Future(), ask), timeout)
    actual = outcome(getattr(ours.Future(), ask), timeout)
    assert actual == expected


@pytest.mark.parametrize("timeout", WRONG, ids=repr)
def test_wrong_timeouts_do_not_matter_when_done(new, ask, timeout):
    future = new()
    future.set_result(1)
    assert getattr(future, ask)(timeout) == (1 if ask == "result" else None)


def test_a_wrong_timeout_leaves_the_future_as_it_was(new, ask):
    future = new()
    with pytest.raises(TypeError):
        getattr(future, ask)("soon")
    assert future._state == "PENDING"
    call = Call(future.result, LONG)
    future.set_result(1)
    assert call.end() == ("returned", 1)
    assert future._condition.acquire(blocking=False)
    future._condition.release()


def test_many_timeouts_leave_nothing_behind(new, ask):
    future = new()
    for _ in range(200):
        with pytest.raises(TimeoutError):
            getattr(future, ask)(1e-6)
    future.set_result(5)
    assert future.result() == 5
    assert future._waiters == []


def test_a_task_that_takes_longer(futures, ask):
    go_on = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(go_on.wait, 20)
        with pytest.raises(TimeoutError):
            getattr(future, ask)(0.02)
        go_on.set()
        assert getattr(future, ask)(20) == (True if ask == "result" else None)
