"""Threads that wait for futures: many of them, for one and for many."""

import itertools
import threading
import time

import pytest
from future_kit import LONG, Call, Oops, outcome, pause, put_in_state


@pytest.mark.parametrize("end", ["result", "exception", "cancelled"])
def test_many_threads_wait_for_one_future(new, end):
    future = new()
    calls = [Call(future.result, LONG if n % 2 else None) for n in range(30)]
    pause()
    put_in_state(future, end)
    expected = {
        "result": ("returned", 42),
        "exception": ("Oops", "no luck"),
        "cancelled": ("CancelledError", ""),
    }[end]
    assert [call.end() for call in calls] == [expected] * 30


def test_some_give_up_and_the_rest_is_served(new):
    future = new()
    patient = [Call(future.result, LONG) for _ in range(5)]
    hasty = [Call(future.result, 0.01 * n) for n in range(5)]
    assert [call.end() for call in hasty] == [("TimeoutError", "")] * 5
    future.set_result("late")
    assert [call.end() for call in patient] == [("returned", "late")] * 5


def test_one_thread_per_future(futures):
    pending = [futures.Future() for _ in range(40)]
    calls = [Call(future.result, LONG) for future in pending]
    pause()
    for number, future in enumerate(pending):
        future.set_result(number)
    assert [call.end() for call in calls] == [("returned", n) for n in range(40)]


def test_a_chain_of_threads(futures):
    """Each waits for the one before it and completes the next."""
    chain = [futures.Future() for _ in range(20)]

    def pass_on(one, following):
        following.set_result(one.result(20) + 1)

    calls = [Call(pass_on, *pair) for pair in itertools.pairwise(chain)]
    chain[0].set_result(0)
    assert chain[-1].result(20) == 19
    assert all(call.end() == ("returned", None) for call in calls)


def test_result_is_given_again_and_again(new):
    future = put_in_state(new(), "result")
    assert [future.result() for _ in range(3)] == [42] * 3


def test_waiting_for_submitted_futures_in_any_order(futures):
    with futures.ThreadPoolExecutor(4) as pool:
        submitted = [pool.submit(pow, n, 2) for n in range(200)]
        assert [f.result(20) for f in reversed(submitted)] == [
            n * n for n in reversed(range(200))
        ]


def test_waiting_gives_the_interpreter_to_others(futures):
    """A waiting thread does not keep others from running."""
    future = futures.Future()
    counted = []

    def count():
        deadline = time.monotonic() + 20
        while not future.done() and time.monotonic() < deadline:
            counted.append(1)
            if len(counted) == 1000:
                future.set_result("counted")

    call = Call(count)
    assert future.result(20) == "counted"
    assert call.end()[0] == "returned"
    assert len(counted) >= 1000


def test_tasks_that_wait_for_each_other(futures):
    with futures.ThreadPoolExecutor(3) as pool:
        first = futures.Future()
        one = pool.submit(lambda: first.result(20) + 1)
        two = pool.submit(lambda: one.result(20) + 1)
        first.set_result(1)
        assert two.result(20) == 3


def test_an_exception_reaches_every_waiter_as_the_same_object(new):
    future = new()
    error = Oops("shared")
    got = []

    def ask():
        try:
            future.result(20)
        except Oops as exc:
            got.append(exc)

    calls = [Call(ask) for _ in range(5)]
    pause()
    future.set_exception(error)
    for call in calls:
        call.end()
    assert len(got) == 5
    assert all(exc is error for exc in got)


def test_ctrl_c_leaves_result(futures, script):
    """KeyboardInterrupt comes out of result(), and the future works on."""
    ran = script(
        """
        import os, signal, sys, threading, time
        for ask in ("result", "exception"):
            for timeout in (None, 20):
                future = futures.Future()
                def interrupt():
                    time.sleep(0.05)
                    os.kill(os.getpid(), signal.SIGINT)
                thread = threading.Thread(target=interrupt)
                thread.start()
                before = time.monotonic()
                try:
                    getattr(future, ask)(timeout)
                except KeyboardInterrupt:
                    assert time.monotonic() - before < 10
                    print("interrupted")
                thread.join()
                assert future._state == "PENDING"
                future.set_result(1)
                assert future.result() == 1
        """
    ).check()
    assert ran.lines == ["interrupted"] * 4


def test_a_signal_handler_that_returns_does_not_end_the_wait(futures, script):
    """Its code runs while result() waits, and the wait keeps its time."""
    ran = script(
        """
        import os, signal, threading, time
        future = futures.Future()
        seen = []
        signal.signal(signal.SIGUSR1, lambda *_: seen.append(time.monotonic()))
        def send():
            for _ in range(5):
                time.sleep(0.02)
                os.kill(os.getpid(), signal.SIGUSR1)
        thread = threading.Thread(target=send)
        before = time.monotonic()
        thread.start()
        try:
            future.result(0.4)
        except TimeoutError:
            passed = time.monotonic() - before
            assert 0.39 < passed < 10, passed
        thread.join()
        assert len(seen) == 5, seen
        assert seen[0] - before < 0.3, seen[0] - before
        """
    )
    ran.check()


def test_a_signal_handler_completes_the_future_waited_for(futures, script):
    script(
        """
        import signal
        future = futures.Future()
        signal.signal(signal.SIGALRM, lambda *_: future.set_result("by signal"))
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert future.result(20) == "by signal"
        """
    ).check()


@pytest.mark.stress
def test_timeouts_race_with_results(futures, rng, fast_switch):
    """A wait ends with the result or with TimeoutError, and in no third way."""
    seen = set()
    for _ in range(300):
        future = futures.Future()
        calls = [Call(future.result, rng.uniform(0, 2e-4)) for _ in range(2)]
        time.sleep(rng.uniform(0, 2e-4))
        future.set_result("there")
        for call in calls:
            end = call.end()
            seen.add(end)
            assert end in (("returned", "there"), ("TimeoutError", ""))
        assert outcome(future.result, 0) == ("returned", "there")
    assert seen


@pytest.mark.stress
def test_many_threads_are_told_while_others_leave(futures, rng, fast_switch):
    """Nobody is passed over when waiters leave while the rest are told."""
    for _ in range(25):
        future = futures.Future()
        patient = [Call(future.result, LONG) for _ in range(12)]
        hasty = [Call(future.result, rng.uniform(1e-4, 3e-3)) for _ in range(4)]
        time.sleep(rng.uniform(0, 2e-3))
        future.set_result("all")
        assert [call.end() for call in patient] == [("returned", "all")] * 12
        for call in hasty:
            assert call.end() in (("returned", "all"), ("TimeoutError", ""))


@pytest.mark.stress
def test_ping_pong_between_threads(futures, fast_switch):
    """Two threads complete futures for each other, a thousand times."""
    there = [futures.Future() for _ in range(1000)]
    back = [futures.Future() for _ in range(1000)]

    def answer():
        for one, other in zip(there, back, strict=True):
            other.set_result(one.result(20) + 1)

    call = Call(answer)
    for number, (one, other) in enumerate(zip(there, back, strict=True)):
        one.set_result(number)
        assert other.result(20) == number + 1
    assert call.end() == ("returned", None)


@pytest.mark.thread_unsafe(reason="counts threads")
def test_threads_end_with_the_test(futures):
    """Waiting starts no thread of its own."""
    before = threading.active_count()
    future = futures.Future()
    with pytest.raises(TimeoutError):
        future.result(0.01)
    assert threading.active_count() == before
