"""wait() of either module on standard, native, mixed and foreign futures."""

import concurrent.futures
import threading
import time

import pytest
from future_kit import (
    LONG,
    BreakingCondition,
    Call,
    ForeignFuture,
    Oops,
    Waiter,
    assign_state,
    outcome,
    pause,
    put_in_state,
)

ALL = "ALL_COMPLETED"
FIRST = "FIRST_COMPLETED"
ERROR = "FIRST_EXCEPTION"
CONDITIONS = (ALL, FIRST, ERROR)


@pytest.fixture(params=CONDITIONS)
def condition(request):
    """Each value of return_when."""
    return request.param


def watched(make, count):
    """Pending futures, each seen to have no waiter left at the end."""
    return [make() for _ in range(count)]


def no_waiters(pending):
    """Tell whether no waiter is left on any of *pending*."""
    return all(list(future._waiters) == [] for future in pending)


# --- what it returns ---------------------------------------------------------


def test_the_constants(futures):
    assert (
        futures.ALL_COMPLETED,
        futures.FIRST_COMPLETED,
        futures.FIRST_EXCEPTION,
    ) == (
        ALL,
        FIRST,
        ERROR,
    )


def test_the_named_tuple(futures, make):
    done, pending = put_in_state(make(), "result"), make()
    outcome = futures.wait([done, pending], 0)
    assert type(outcome) is concurrent.futures._base.DoneAndNotDoneFutures
    assert type(outcome.done) is set
    assert type(outcome.not_done) is set
    assert outcome == ({done}, {pending})
    assert outcome._fields == ("done", "not_done")
    assert repr(outcome).startswith("DoneAndNotDoneFutures(done={")


@pytest.mark.parametrize("empty", [[], (), set(), {}, iter([]), range(0)], ids=repr)
def test_nothing_to_wait_for(futures, condition, empty):
    outcome = futures.wait(empty, return_when=condition)
    assert outcome == (set(), set())


@pytest.mark.parametrize(
    "collect",
    [list, tuple, set, frozenset, iter, lambda fs: (f for f in fs), dict.fromkeys],
    ids=["list", "tuple", "set", "frozenset", "iter", "generator", "dict"],
)
def test_any_iterable(futures, make, collect):
    fs = [put_in_state(make(), "result") for _ in range(3)]
    fs += [make()]
    outcome = futures.wait(collect(fs), 0)
    assert outcome == (set(fs[:3]), set(fs[3:]))


@pytest.mark.parametrize("state", ["result", "exception", "notified"])
def test_all_done_already(futures, make, condition, state):
    fs = {put_in_state(make(), state) for _ in range(4)}
    assert futures.wait(fs, return_when=condition) == (fs, set())
    assert no_waiters(fs)


@pytest.mark.parametrize("state", ["pending", "running", "cancelled"])
def test_not_done(futures, make, condition, state):
    """A bare cancelled future nobody was told of counts as not done."""
    fs = {put_in_state(make(), state) for _ in range(4)}
    assert futures.wait(fs, 0, return_when=condition) == (set(), fs)
    assert futures.wait(fs, 0.001, return_when=condition) == (set(), fs)
    assert no_waiters(fs)


def test_cancelled_ends_the_wait_when_told(futures, make):
    future = put_in_state(make(), "cancelled")
    call = Call(futures.wait, [future], LONG)
    pause()
    assert call.is_alive()
    future.set_running_or_notify_cancel()
    assert call.end() == ("returned", ({future}, set()))


def test_states_that_were_assigned(futures, make):
    states = ["pending", "running", "cancelled", "notified", "result", "exception"]
    fs = {state: assign_state(make(), state) for state in states}
    done, not_done = futures.wait(fs.values(), 0)
    assert done == {fs["notified"], fs["result"], fs["exception"]}
    assert not_done == {fs["pending"], fs["running"], fs["cancelled"]}


def test_duplicates_count_once(futures, make):
    one, other = make(), put_in_state(make(), "result")
    fs = [one, other, one, other, one]
    assert futures.wait(fs, 0) == ({other}, {one})
    call = Call(futures.wait, fs, LONG)
    pause()
    one.set_result(1)
    assert call.end() == ("returned", ({one, other}, set()))
    assert no_waiters(fs)


# --- when it returns ---------------------------------------------------------


@pytest.mark.parametrize("end", ["result", "exception", "notified"])
def test_all_completed(futures, make, end):
    fs = watched(make, 5)
    call = Call(futures.wait, fs, LONG)
    for future in fs[:-1]:
        put_in_state(future, end)
    pause()
    assert call.is_alive()
    put_in_state(fs[-1], end)
    assert call.end() == ("returned", (set(fs), set()))
    assert no_waiters(fs)


@pytest.mark.parametrize("end", ["result", "exception", "notified"])
def test_first_completed(futures, make, end):
    fs = watched(make, 5)
    call = Call(futures.wait, fs, LONG, FIRST)
    pause()
    assert call.is_alive()
    put_in_state(fs[3], end)
    assert call.end() == ("returned", ({fs[3]}, set(fs) - {fs[3]}))
    assert no_waiters(fs)


@pytest.mark.parametrize("end", ["result", "exception", "notified"])
def test_first_completed_when_one_is_done_already(futures, make, end):
    fs = watched(make, 5)
    put_in_state(fs[1], end)
    assert futures.wait(fs, return_when=FIRST) == ({fs[1]}, set(fs) - {fs[1]})
    assert no_waiters(fs)


def test_first_exception(futures, make):
    fs = watched(make, 6)
    call = Call(futures.wait, fs, LONG, ERROR)
    pause()
    put_in_state(fs[0], "result")
    put_in_state(fs[1], "notified")
    put_in_state(fs[2], "cancelled")
    pause()
    assert call.is_alive()
    put_in_state(fs[3], "exception")
    done = {fs[0], fs[1], fs[3]}
    assert call.end() == ("returned", (done, set(fs) - done))
    assert no_waiters(fs)


def test_first_exception_when_one_failed_already(futures, make):
    fs = watched(make, 3)
    put_in_state(fs[2], "exception")
    put_in_state(fs[1], "notified")
    assert futures.wait(fs, return_when=ERROR) == ({fs[1], fs[2]}, {fs[0]})


def test_first_exception_when_none_fails(futures, make):
    fs = watched(make, 4)
    put_in_state(fs[0], "result")
    put_in_state(fs[1], "notified")
    call = Call(futures.wait, fs, LONG, ERROR)
    pause()
    put_in_state(fs[2], "result")
    pause()
    assert call.is_alive()
    put_in_state(fs[3], "notified")
    assert call.end() == ("returned", (set(fs), set()))


MIXES = [
    ("pending", "result"),
    ("pending", "exception"),
    ("pending", "notified"),
    ("pending", "cancelled", "result"),
    ("running", "running", "exception", "exception"),
    ("running", "result", "exception", "notified", "cancelled", "pending"),
    ("cancelled", "notified"),
    ("result", "exception", "notified"),
    ("running",),
]


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_every_condition_in_mixes_of_states(futures, make, condition, mix):
    fs = [put_in_state(make(), state) for state in mix]
    ended = {
        future
        for future, state in zip(fs, mix, strict=True)
        if state in ("result", "exception", "notified")
    }
    before = time.monotonic()
    assert futures.wait(fs, 0.02, condition) == (ended, set(fs) - ended)
    passed = time.monotonic() - before
    returns_at_once = (
        len(ended) == len(fs)
        or (condition == FIRST and ended)
        or (condition == ERROR and "exception" in mix)
    )
    assert passed >= 0.019 or returns_at_once
    assert no_waiters(fs)


# --- timeouts ----------------------------------------------------------------


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, False, float("-inf")])
def test_no_time_at_all(futures, make, condition, timeout):
    pending, done = make(), put_in_state(make(), "result")
    expected = ({done}, {pending})
    assert futures.wait([pending, done], timeout, condition) == expected
    assert no_waiters([pending, done])


def test_the_timeout_is_waited_for(futures, make, condition):
    pending = make()
    before = time.monotonic()
    assert futures.wait([pending], 0.05, condition) == (set(), {pending})
    assert 0.049 <= time.monotonic() - before < 5
    assert futures.wait([pending], timeout=0.01, return_when=condition).not_done


def test_what_ends_meanwhile_is_done(futures, make):
    fs = watched(make, 3)
    call = Call(futures.wait, fs, 0.3)
    pause()
    fs[1].set_result(1)
    assert call.end() == ("returned", ({fs[1]}, {fs[0], fs[2]}))
    assert no_waiters(fs)


@pytest.mark.parametrize(
    "timeout",
    ["1", b"1", [], 1j, float("nan"), float("inf"), threading.TIMEOUT_MAX * 2, 1e300],
    ids=repr,
)
def test_wrong_timeouts_end_as_on_the_standard(ours, condition, timeout):
    def ask(module):
        future = module.Future()
        return outcome(module.wait, [future], timeout, condition)[0]

    expected = ask(concurrent.futures)
    assert ask(ours) == (expected if expected != "returned" else "returned")


@pytest.mark.parametrize("timeout", ["1", b"1", [], 1j], ids=repr)
def test_the_type_of_a_timeout_is_checked(futures, make, timeout):
    with pytest.raises(TypeError):
        futures.wait([make()], timeout)


# --- wrong input -------------------------------------------------------------


def test_an_invalid_condition(futures, make):
    for wrong in ("SOMETIMES", "", None, 5, "all_completed"):
        pending = [make(), put_in_state(make(), "result")]
        with pytest.raises(ValueError) as raised:
            futures.wait(pending, 0, wrong)
        assert str(raised.value) == f"Invalid return condition: {wrong!r}"
        assert no_waiters(pending)


def test_a_condition_that_is_equal_but_another_object(futures, make):
    fs = watched(make, 2)
    put_in_state(fs[0], "result")
    name = "".join(["FIRST", "_COMPLETED"])
    assert futures.wait(fs, 20, name) == ({fs[0]}, {fs[1]})


@pytest.mark.parametrize("wrong", [5, None, 1.5, object, len], ids=repr)
def test_what_cannot_be_iterated(futures, wrong):
    with pytest.raises(TypeError, match="not iterable"):
        futures.wait(wrong)


def test_a_single_future_cannot_be_iterated(futures, make):
    with pytest.raises(TypeError, match="Future' object is not iterable"):
        futures.wait(make())


@pytest.mark.parametrize("wrong", [5, "text", None, 1.5], ids=repr)
def test_what_is_no_future(futures, make, wrong):
    pending = [make() for _ in range(8)]
    with pytest.raises(AttributeError) as raised:
        futures.wait([*pending, wrong], 0)
    kind = type(wrong).__name__
    assert str(raised.value) == f"'{kind}' object has no attribute '_condition'"
    assert no_waiters(pending)
    for future in pending:
        assert future._condition.acquire(blocking=False)
        future._condition.release()


@pytest.mark.parametrize("wrong", [[], {}, set()], ids=repr)
def test_what_cannot_be_hashed(futures, make, wrong):
    with pytest.raises(TypeError, match="hash"):
        futures.wait([make(), wrong], 0)


def test_an_error_of_the_iterable_comes_through(futures, make):
    pending = make()

    def broken():
        yield pending
        raise Oops("in the input")

    with pytest.raises(Oops, match="in the input"):
        futures.wait(broken())
    assert no_waiters([pending])


def test_wrong_numbers_of_arguments(futures):
    for call in (
        lambda: futures.wait(),
        lambda: futures.wait([], None, ALL, 1),
        lambda: futures.wait([], fs=[]),
        lambda: futures.wait([], when=ALL),
    ):
        with pytest.raises(TypeError):
            call()


def test_by_keyword(futures, make):
    future = put_in_state(make(), "result")
    outcome = futures.wait(fs=[future], timeout=None, return_when=ERROR)
    assert outcome == ({future}, set())


# --- foreign futures ---------------------------------------------------------


def test_foreign_futures(futures, make, condition):
    foreign, own = ForeignFuture(), make()
    call = Call(futures.wait, [foreign, own], LONG, condition)
    pause()
    if condition == ALL:
        own.set_result(1)
        pause()
        assert call.is_alive()
    foreign.finish(Oops() if condition == ERROR else None)
    expected = {foreign, own} if condition == ALL else {foreign}
    assert call.end() == ("returned", (expected, {foreign, own} - expected))
    assert foreign._waiters == []
    assert no_waiters([own])


def test_a_foreign_future_that_is_cancelled(futures, make):
    foreign, own = ForeignFuture(), make()
    call = Call(futures.wait, [own, foreign], LONG)
    pause()
    foreign.end_cancelled()
    pause()
    assert call.is_alive()
    own.set_exception(Oops())
    assert call.end() == ("returned", ({foreign, own}, set()))
    assert foreign._waiters == []


def test_foreign_futures_that_are_done(futures):
    one, other, failed = ForeignFuture(), ForeignFuture(), ForeignFuture()
    one.finish()
    other.end_cancelled()
    failed.finish(Oops())
    assert futures.wait([one, other]) == ({one, other}, set())
    pending = ForeignFuture()
    fs = {one, failed, pending}
    assert futures.wait(fs, return_when=ERROR) == ({one, failed}, {pending})
    assert futures.wait(fs, 0) == ({one, failed}, {pending})
    assert pending._waiters == []


def test_a_failing_removal_leaves_nothing_locked_behind(ours):
    """What one future's condition raises comes out, and the others are left clean."""
    failing = [ForeignFuture() for _ in range(2)]
    for future in failing:
        # Taken to ask and to add the waiter, and then no more.
        future._condition = BreakingCondition(OSError("gone"), left=2)
    sound = [concurrent.futures.Future() for _ in range(3)]
    sound += [ForeignFuture() for _ in range(3)]
    with pytest.raises(OSError, match="gone"):
        ours.wait([*failing, *sound], 0.01)
    assert no_waiters(sound)
    for future in sound:
        # Asked from another thread: the conditions are reentrant.
        call = Call(future._condition.acquire, blocking=False)
        assert call.end() == ("returned", True)


def test_a_waiter_that_raises_keeps_nobody_asleep(futures):
    class Raising:
        def add_result(self, future):
            raise Oops("waiter")

    future = futures.Future()
    waiting = Call(futures.wait, [future], LONG)
    pause()
    future._waiters.append(Raising())
    with pytest.raises(Oops):
        future.set_result(1)
    assert waiting.end() == ("returned", ({future}, set()))


def test_a_foreign_future_leaves_other_waiters_alone(futures, make):
    foreign, own = ForeignFuture(), make()
    mine = Waiter()
    foreign._waiters.append(mine)
    own._waiters.append(mine)
    assert futures.wait([foreign, own], 0.001) == (set(), {foreign, own})
    assert foreign._waiters == [mine]
    assert own._waiters == [mine]


# --- submitted futures -------------------------------------------------------


def test_submitted_futures(futures, condition):
    with futures.ThreadPoolExecutor(4) as pool:
        fs = [pool.submit(time.sleep, 0.002 * (n % 5)) for n in range(40)]
        done, not_done = futures.wait(fs, 20, condition)
        assert done | not_done == set(fs)
        assert not done & not_done
        assert all(future.done() for future in done)
        assert done if condition == FIRST else not not_done


def test_the_standard_wait_on_submitted_futures(futures, condition):
    """The standard function, whichever executor the futures come from."""
    with futures.ThreadPoolExecutor(4) as pool:
        fs = [pool.submit(time.sleep, 0.002 * (n % 5)) for n in range(40)]
        done, not_done = concurrent.futures.wait(fs, 20, condition)
        assert done | not_done == set(fs)
        assert done if condition == FIRST else not not_done
        assert concurrent.futures.wait(fs, 20) == (set(fs), set())


def test_executors_of_both_modules_in_one_wait(futures):
    with (
        futures.ThreadPoolExecutor(2) as one,
        concurrent.futures.ThreadPoolExecutor(2) as other,
    ):
        fs = {pool.submit(time.sleep, 0.01) for pool in (one, other) for _ in range(4)}
        assert futures.wait(fs, 20) == (fs, set())
        fs = {pool.submit(time.sleep, 0.01) for pool in (one, other) for _ in range(4)}
        assert concurrent.futures.wait(fs, 20) == (fs, set())


@pytest.mark.fault("gh-92001")
def test_a_cancelled_task_counts_as_done(futures, condition):
    go_on = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(go_on.wait, 20)
        fs = {pool.submit(abs, n) for n in range(3)}
        for future in fs:
            assert future.cancel()
        try:
            assert futures.wait(fs, 1, condition) == (fs, set())
            assert concurrent.futures.wait(fs, 1, condition) == (fs, set())
        finally:
            go_on.set()


@pytest.mark.fault("gh-92001")
def test_cancelling_ends_a_wait(futures, condition):
    go_on = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(go_on.wait, 20)
        future = pool.submit(abs, -1)
        calls = [
            Call(wait, [future], 1, condition)
            for wait in (futures.wait, concurrent.futures.wait)
        ]
        pause()
        assert future.cancel()
        try:
            assert [call.end() for call in calls] == [
                ("returned", ({future}, set()))
            ] * 2
        finally:
            go_on.set()


# --- many of everything ------------------------------------------------------


def test_thousands(futures, make):
    fs = watched(make, 3000)
    call = Call(futures.wait, fs, LONG)
    pause()
    for number, future in enumerate(fs):
        put_in_state(future, ("result", "exception", "notified")[number % 3])
    assert call.end() == ("returned", (set(fs), set()))
    assert no_waiters(fs)


def test_many_threads_wait_for_the_same_futures(futures, make, condition):
    fs = watched(make, 10)
    calls = [Call(futures.wait, fs, LONG, condition) for _ in range(10)]
    pause()
    for future in fs:
        put_in_state(future, "exception")
    for call in calls:
        kind, (done, not_done) = call.end()
        assert kind == "returned"
        assert done | not_done == set(fs)
        assert done
        assert condition != ALL or done == set(fs)
    assert no_waiters(fs)


def test_both_functions_at_once(futures, make):
    fs = watched(make, 20)
    calls = [
        Call(wait, fs, LONG)
        for wait in (futures.wait, concurrent.futures.wait)
        for _ in range(3)
    ]
    pause()
    for future in fs:
        future.set_result(1)
    assert [call.end() for call in calls] == [("returned", (set(fs), set()))] * 6
    assert no_waiters(fs)


def test_waits_that_time_out_pile_up_nothing(futures, make):
    fs = watched(make, 5)
    for _ in range(200):
        assert futures.wait(fs, 1e-5) == (set(), set(fs))
    assert no_waiters(fs)
    for future in fs:
        future.set_result(1)
    assert futures.wait(fs) == (set(fs), set())


@pytest.mark.stress
def test_completing_while_waiters_are_installed(futures, make, rng, fast_switch):
    """No completion is missed, whichever comes first."""
    for _ in range(150):
        fs = watched(make, rng.randrange(1, 30))
        condition = rng.choice(CONDITIONS)
        order = rng.sample(fs, len(fs))
        ends = [rng.choice(["result", "exception", "notified"]) for _ in fs]
        together = threading.Barrier(3)

        def finish(part, together=together):
            together.wait(20)
            for future, end in part:
                put_in_state(future, end)

        jobs = list(zip(order, ends, strict=True))
        calls = [Call(finish, jobs[::2]), Call(finish, jobs[1::2])]
        together.wait(20)
        done, not_done = futures.wait(fs, 20, condition)
        assert done | not_done == set(fs)
        assert not done & not_done
        assert done
        if condition == ALL:
            assert done == set(fs)
        if condition == ERROR and not_done:
            assert any(not f.cancelled() and f.exception(0) for f in done)
        for call in calls:
            assert call.end() == ("returned", None)
        assert futures.wait(fs, 20) == (set(fs), set())
        assert no_waiters(fs)


@pytest.mark.stress
def test_waits_with_timeouts_race_with_completions(futures, make, rng, fast_switch):
    for _ in range(150):
        fs = watched(make, 5)
        calls = [
            Call(futures.wait, fs, rng.uniform(0, 5e-4), rng.choice(CONDITIONS))
            for _ in range(3)
        ]
        for future in fs:
            put_in_state(future, rng.choice(["result", "exception", "notified"]))
        for call in calls:
            kind, (done, not_done) = call.end()
            assert kind == "returned"
            assert done | not_done == set(fs)
        assert no_waiters(fs)


@pytest.mark.fault("KeyboardInterrupt leaves the waiter in every future")
def test_ctrl_c_leaves_nothing_behind(futures, script):
    script(
        """
        import signal
        for condition in ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"):
            for timeout in (None, 20):
                fs = [futures.Future() for _ in range(3)]
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                def interrupt(*_):
                    raise KeyboardInterrupt
                signal.signal(signal.SIGALRM, interrupt)
                try:
                    futures.wait(fs, timeout, condition)
                except KeyboardInterrupt:
                    pass
                else:
                    raise SystemExit("not interrupted")
                assert all(f._waiters == [] for f in fs), fs[0]._waiters
                for f in fs:
                    f.set_result(1)
                assert futures.wait(fs) == (set(fs), set())
        """
    ).check()


def test_no_reference_is_kept(futures, make, no_gc):
    import weakref

    fs = watched(make, 3)
    futures.wait(fs, 0.001)
    call = Call(futures.wait, list(fs), LONG)
    pause()
    references = [weakref.ref(future) for future in fs]
    while fs:
        fs.pop().set_result(1)
    assert call.end()[0] == "returned"
    del call
    assert [reference() for reference in references] == [None] * 3
