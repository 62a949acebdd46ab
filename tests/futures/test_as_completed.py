"""as_completed() of either module on standard, native, mixed and foreign futures."""

import collections.abc
import concurrent.futures
import threading
import time
import weakref

import pytest
from future_kit import (
    BreakingCondition,
    Call,
    ForeignFuture,
    Oops,
    Waiter,
    assign_state,
    outcome,
    pause,
    put_in_state,
    take_all,
)

ENDS = ("result", "exception", "notified")


def no_waiters(fs):
    """Tell whether no waiter is left on any of *fs*."""
    return all(list(future._waiters) == [] for future in fs)


# --- what it yields ----------------------------------------------------------


@pytest.mark.parametrize("empty", [[], (), set(), {}, iter([])], ids=repr)
def test_nothing_to_wait_for(futures, empty):
    assert list(futures.as_completed(empty)) == []
    assert list(futures.as_completed(empty, timeout=0)) == []


@pytest.mark.parametrize(
    "collect",
    [list, tuple, set, frozenset, iter, lambda fs: (f for f in fs), dict.fromkeys],
    ids=["list", "tuple", "set", "frozenset", "iter", "generator", "dict"],
)
def test_any_iterable(futures, make, collect):
    fs = [put_in_state(make(), end) for end in ENDS]
    assert set(futures.as_completed(collect(fs))) == set(fs)
    assert no_waiters(fs)


def test_done_already(futures, make):
    for end in ENDS:
        fs = {put_in_state(make(), end) for _ in range(5)}
        yielded = list(futures.as_completed(fs, timeout=0))
        assert len(yielded) == 5
        assert set(yielded) == fs
        assert no_waiters(fs)


@pytest.mark.fault("gh-64496")
def test_gh64496_what_is_done_already_gets_no_waiter(futures, make):
    done = [put_in_state(make(), end) for end in ENDS]
    pending = make()
    iterator = futures.as_completed([*done, pending])
    assert next(iterator) in done
    assert no_waiters(done)
    pending.set_result(None)
    assert set(iterator) | set(done) == {*done, pending}
    assert no_waiters([pending])


def test_states_that_were_assigned(futures, make):
    fs = [assign_state(make(), end) for end in ENDS]
    assert set(futures.as_completed(fs)) == set(fs)
    pending = [assign_state(make(), "cancelled")]
    with pytest.raises(TimeoutError):
        next(futures.as_completed(pending, timeout=0))


def test_duplicates_come_once(futures, make):
    one, other = make(), put_in_state(make(), "result")
    iterator = futures.as_completed([one, other, one, other, one])
    assert next(iterator) is other
    one.set_result(1)
    assert list(iterator) == [one]
    assert no_waiters([one, other])


def test_in_the_order_of_completion(futures, make, rng):
    fs = [make() for _ in range(40)]
    iterator = futures.as_completed(fs, timeout=20)
    call = Call(next, iterator)
    pause()
    order = rng.sample(fs, len(fs))
    for future in order:
        put_in_state(future, rng.choice(ENDS))
    assert call.end() == ("returned", order[0])
    assert list(iterator) == order[1:]
    assert no_waiters(fs)


def test_in_the_order_of_completion_one_by_one(futures, make):
    fs = [make() for _ in range(10)]
    iterator = futures.as_completed(fs, timeout=20)
    for number, future in enumerate(reversed(fs)):
        put_in_state(future, ENDS[number % 3])
        if number == 0:
            assert next(iterator) is future  # It began with this one done.
        else:
            assert next(iterator) is future
    assert list(iterator) == []


def test_done_ones_come_before_those_that_end_later(futures, make):
    early = {put_in_state(make(), "result") for _ in range(4)}
    late = [make() for _ in range(4)]
    iterator = futures.as_completed([*late, *early], timeout=20)
    first = next(iterator)
    for future in late:
        future.set_result(1)
    rest = list(iterator)
    assert {first, *rest[:3]} == early
    assert rest[3:] == late


def test_results_as_people_ask_for_them(futures):
    with futures.ThreadPoolExecutor(4) as pool:
        numbers = {pool.submit(pow, n, 2): n for n in range(100)}
        squares = {}
        for future in futures.as_completed(numbers):
            squares[numbers[future]] = future.result()
    assert squares == {n: n * n for n in range(100)}


def test_one_worker_finishes_in_order(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        fs = [pool.submit(go_on.wait, 20)]
        fs += [pool.submit(abs, n) for n in range(50)]
        iterator = futures.as_completed(fs, 20)
        call = Call(next, iterator)
        pause()
        go_on.set()
        assert call.end() == ("returned", fs[0])
        assert list(iterator) == fs[1:]


def test_all_of_a_long_list(futures, make):
    fs = [make() for _ in range(3000)]
    call = Call(list, futures.as_completed(fs, 30))
    pause()
    for number, future in enumerate(fs):
        put_in_state(future, ENDS[number % 3])
    kind, yielded = call.end()
    assert kind == "returned"
    assert len(yielded) == 3000
    assert set(yielded) == set(fs)
    assert no_waiters(fs)


# --- cancelled ones ----------------------------------------------------------


def test_a_bare_cancelled_future_has_not_ended(futures, make):
    future = put_in_state(make(), "cancelled")
    with pytest.raises(TimeoutError):
        list(futures.as_completed([future], 0.01))
    iterator = futures.as_completed([future], 20)
    call = Call(list, iterator)
    pause()
    future.set_running_or_notify_cancel()
    assert call.end() == ("returned", [future])


@pytest.mark.fault("gh-92001")
def test_a_cancelled_task_is_yielded(futures):
    go_on = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(go_on.wait, 20)
        fs = {pool.submit(abs, n) for n in range(5)}
        early = fs.pop()
        assert early.cancel()
        fs.add(early)
        call = Call(list, futures.as_completed(fs, 1))
        other = Call(list, concurrent.futures.as_completed(fs, 1))
        pause()
        for future in fs:
            assert future.cancel()
        try:
            for kind, yielded in (call.end(), other.end()):
                assert kind == "returned"
                assert len(yielded) == 5
                assert set(yielded) == fs
        finally:
            go_on.set()


# --- timeouts ----------------------------------------------------------------


def test_the_text_of_the_timeout(futures, make):
    fs = [make() for _ in range(5)]
    done = [put_in_state(make(), end) for end in ENDS[:2]]
    iterator = futures.as_completed(fs + done, timeout=0.02)
    assert {next(iterator), next(iterator)} == set(done)
    with pytest.raises(concurrent.futures.TimeoutError) as raised:
        next(iterator)
    assert str(raised.value) == "5 (of 7) futures unfinished"
    assert raised.type is TimeoutError
    assert no_waiters(fs + done)
    with pytest.raises(StopIteration):
        next(iterator)


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -0.5, False, float("-inf")])
def test_no_time_at_all(futures, make, timeout):
    fs = [make(), put_in_state(make(), "result"), make()]
    iterator = futures.as_completed(fs, timeout)
    assert next(iterator) is fs[1]
    with pytest.raises(TimeoutError, match=r"^2 \(of 3\) futures unfinished$"):
        next(iterator)
    assert no_waiters(fs)
    assert list(futures.as_completed(fs[1:2], timeout)) == fs[1:2]


def test_the_clock_starts_with_the_first_next(futures, make):
    future = make()
    iterator = futures.as_completed([future], timeout=0.1)
    time.sleep(0.12)
    call = Call(lambda: (pause(), future.set_result(1)))
    assert next(iterator) is future
    call.end()


def test_the_clock_runs_on_between_items(futures, make):
    fs = [put_in_state(make(), "result"), make()]
    iterator = futures.as_completed(fs, timeout=0.05)
    assert next(iterator) is fs[0]
    time.sleep(0.06)
    before = time.monotonic()
    with pytest.raises(TimeoutError, match=r"^1 \(of 2\) futures unfinished$"):
        next(iterator)
    assert time.monotonic() - before < 5


def test_late_but_done(futures, make):
    """What is done when the time is over comes all the same, once it was seen."""
    fs = [put_in_state(make(), "result") for _ in range(4)]
    iterator = futures.as_completed(fs, timeout=0.01)
    first = next(iterator)
    time.sleep(0.02)
    assert {first, *iterator} == set(fs)


@pytest.mark.parametrize("timeout", ["1", b"1", [], {}, 1j, object()], ids=type)
def test_wrong_timeouts(futures, make, timeout):
    future = make()
    with pytest.raises(TypeError):
        next(futures.as_completed([future], timeout))
    assert no_waiters([future])


@pytest.mark.parametrize("timeout", ["1", b"1", []], ids=repr)
def test_the_texts_of_wrong_timeouts(ours, timeout):
    def ask(module):
        return outcome(next, module.as_completed([module.Future()], timeout))

    assert ask(ours) == ask(concurrent.futures)


@pytest.mark.parametrize("timeout", [1e10, 1e300, float("inf")], ids=repr)
def test_timeouts_that_no_lock_can_wait_for(ours, make, timeout):
    def ask(module):
        done = put_in_state(make(), "result")
        pending = make()
        iterator = module.as_completed([done, pending], timeout)
        assert next(iterator) is done
        return outcome(next, iterator)

    assert ask(ours) == ask(concurrent.futures)


def test_a_timeout_that_is_no_number(ours, make):
    """NaN: whatever threading makes of it, and never a hang."""

    def ask(module):
        future = make()
        iterator = module.as_completed([future], float("nan"))
        timer = threading.Timer(0.05, future.set_result, [1])
        timer.start()
        try:
            return outcome(lambda: next(iterator) is future)
        finally:
            timer.join()

    assert ask(ours) == ask(concurrent.futures)


class Odd:
    """Adds to something that cannot be subtracted from."""

    def __add__(self, other):
        return "a text"


@pytest.mark.parametrize("timeout", [1j, Odd()], ids=["complex", "odd"])
def test_timeouts_that_are_looked_at_late(ours, make, timeout):
    """Nobody asks what is left before it comes to waiting."""

    def ask(module):
        done = put_in_state(make(), "result")
        pending = make()
        iterator = module.as_completed([done, pending], timeout)
        assert next(iterator) is done
        answer = outcome(next, iterator)
        assert no_waiters([pending])
        return answer

    assert list(ours.as_completed([], timeout)) == []
    assert ask(ours) == ask(concurrent.futures)


# --- wrong input -------------------------------------------------------------


@pytest.mark.parametrize("wrong", [5, None, 1.5, object, len], ids=repr)
def test_what_cannot_be_iterated(futures, wrong):
    iterator = futures.as_completed(wrong)
    with pytest.raises(TypeError, match="not iterable"):
        next(iterator)


def test_a_single_future_cannot_be_iterated(futures, make):
    with pytest.raises(TypeError, match="Future' object is not iterable"):
        next(futures.as_completed(make()))


@pytest.mark.parametrize("wrong", [5, "text", None], ids=repr)
def test_what_is_no_future(futures, make, wrong):
    pending = [make() for _ in range(8)]
    with pytest.raises(AttributeError) as raised:
        next(futures.as_completed([*pending, wrong]))
    kind = type(wrong).__name__
    assert str(raised.value) == f"'{kind}' object has no attribute '_condition'"
    assert no_waiters(pending)


def test_what_cannot_be_hashed(futures, make):
    with pytest.raises(TypeError, match="hash"):
        next(futures.as_completed([make(), []]))


def test_an_error_of_the_iterable_comes_through(futures, make):
    pending = make()

    def broken():
        yield pending
        raise Oops("in the input")

    with pytest.raises(Oops, match="in the input"):
        next(futures.as_completed(broken()))
    assert no_waiters([pending])


def test_wrong_numbers_of_arguments(futures):
    for call in (
        lambda: futures.as_completed(),
        lambda: futures.as_completed([], None, 1),
        lambda: futures.as_completed([], fs=[]),
        lambda: futures.as_completed([], wait=1),
    ):
        with pytest.raises(TypeError):
            call()
    assert list(futures.as_completed(fs=[], timeout=None)) == []


# --- a generator -------------------------------------------------------------


def test_nothing_happens_before_the_first_next(futures, make):
    drawn = []
    future = make()

    def draw():
        drawn.append(1)
        yield future

    iterator = futures.as_completed(draw())
    assert drawn == []
    assert no_waiters([future])
    iterator.close()
    assert drawn == []
    iterator = futures.as_completed(draw())
    future.set_result(1)
    assert list(iterator) == [future]
    assert drawn == [1]


def test_the_methods_of_an_iterator(futures, make):
    iterator = futures.as_completed([])
    assert iter(iterator) is iterator
    assert isinstance(iterator, collections.abc.Iterator)
    assert callable(iterator.close)
    assert next(iterator, "nothing") == "nothing"
    assert next(iterator, "nothing") == "nothing"


def test_close_takes_the_waiters_away(futures, make):
    fs = [make(), put_in_state(make(), "result"), make()]
    iterator = futures.as_completed(fs)
    assert next(iterator) is fs[1]
    assert iterator.close() is None
    assert no_waiters(fs)
    assert list(iterator) == []
    assert iterator.close() is None
    fs[0].set_result(1)


def breaking_future():
    future = ForeignFuture()
    future._condition = BreakingCondition()
    return future


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Oops])
@pytest.mark.parametrize("how", ["close", "timeout"])
def test_a_future_that_cannot_be_left(futures, error, how):
    """What it raises comes out, and nothing else in its place."""
    future = breaking_future()
    done = put_in_state(futures.Future(), "result")
    iterator = futures.as_completed([done, future], 0.02)
    assert next(iterator) is done
    future._condition.error = error("cannot be left")
    with pytest.raises(error, match=r"^cannot be left$") as raised:
        iterator.close() if how == "close" else next(iterator)
    assert raised.value is future._condition.error
    context = raised.value.__context__
    assert type(context) is (GeneratorExit if how == "close" else TimeoutError) or (
        how == "close" and context is None
    )
    assert list(iterator) == []


def test_the_others_are_left_all_the_same(ours):
    errors = [KeyboardInterrupt("first"), Oops("second")]
    fs = [breaking_future() for _ in range(2)]
    fs += [concurrent.futures.Future(), ours.Future(), ForeignFuture()]
    done = put_in_state(ours.Future(), "result")
    iterator = ours.as_completed([*fs, done])
    assert next(iterator) is done
    for future, error in zip(fs, errors, strict=False):
        future._condition.error = error
    with pytest.raises((KeyboardInterrupt, Oops)) as raised:
        iterator.close()
    assert raised.value in errors
    assert no_waiters(fs[2:])
    assert not any(locked(future) for future in fs[2:])


def locked(future):
    """Tell whether another thread finds the future's condition taken."""
    condition = future._condition

    def probe():
        taken = condition.acquire(blocking=False)
        if taken:
            condition.release()
        return not taken

    return Call(probe).end()[1]


def test_an_exception_is_not_its_own_context(ours):
    """A future that can be neither looked at nor left."""
    future = breaking_future()
    other = ours.Future()
    future._condition.error = Oops("gone")
    iterator = ours.as_completed([other, future])
    with pytest.raises(Oops, match=r"^gone$") as raised:
        next(iterator)
    assert raised.value.__context__ is None
    assert no_waiters([other])


def test_dropping_takes_the_waiters_away(futures, make):
    fs = [make(), put_in_state(make(), "result"), make()]
    iterator = futures.as_completed(fs)
    assert next(iterator) is fs[1]
    del iterator
    assert no_waiters(fs)
    fs[0].set_result(1)


def test_a_break_takes_the_waiters_away(futures, make):
    fs = [make() for _ in range(3)]
    fs[2].set_result(1)
    for future in futures.as_completed(fs):
        assert future is fs[2]
        break
    del future
    assert no_waiters(fs)


def test_the_waiters_are_there_meanwhile(futures, make):
    """While it is suspended, foreign waiters and ours stand side by side."""
    fs = [make(), put_in_state(make(), "result")]
    mine = Waiter()
    fs[0]._waiters.append(mine)
    iterator = futures.as_completed(fs)
    assert next(iterator) is fs[1]
    fs[0].set_result(2)
    assert next(iterator) is fs[0]
    assert mine.calls == [("result", fs[0])]
    assert fs[0]._waiters == [mine]


def test_throw(futures, make):
    fs = [make(), put_in_state(make(), "result")]
    iterator = futures.as_completed(fs)
    if not hasattr(iterator, "throw"):
        pytest.skip("this iterator is no generator")
    assert next(iterator) is fs[1]
    with pytest.raises(Oops):
        iterator.throw(Oops())
    assert no_waiters(fs)
    assert list(iterator) == []


def test_two_iterators_over_the_same_futures(futures, make):
    fs = [make() for _ in range(5)]
    iterators = [futures.as_completed(fs, 20) for _ in range(3)]
    iterators += [concurrent.futures.as_completed(fs, 20)]
    fs[0].set_result(0)
    assert [next(iterator) for iterator in iterators] == [fs[0]] * 4
    for future in fs[1:]:
        future.set_result(1)
    for iterator in iterators:
        assert list(iterator) == fs[1:]
    assert no_waiters(fs)


def test_futures_are_let_go_as_they_are_yielded(futures, make, no_gc):
    """bpo-27144: the iterator keeps no reference to what it handed out."""
    fs = [make() for _ in range(6)]
    for future in fs[:3]:
        future.set_result(1)
    references = [weakref.ref(future) for future in fs]
    late = fs[3:]
    iterator = futures.as_completed(list(fs), 20)
    fs.clear()
    del future
    for number in range(3):
        future = next(iterator)
        reference = weakref.ref(future)
        del future
        assert reference() is None, number
    while late:
        late.pop().set_result(2)
    for number in range(3):
        future = next(iterator)
        reference = weakref.ref(future)
        del future
        assert reference() is None, number
    assert [reference() for reference in references] == [None] * 6
    assert list(iterator) == []


def test_submitted_futures_are_let_go_as_they_are_yielded(futures, no_gc):
    from support.waiting import dropped

    with futures.ThreadPoolExecutor(2) as pool:
        iterator = futures.as_completed([pool.submit(abs, n) for n in range(20)])
        references = []
        for future in iterator:
            references.append(weakref.ref(future))
            del future
        del iterator
    dropped(*references)


def test_the_timeout_lets_everything_go(futures, make, no_gc):
    fs = [make(), make()]
    references = [weakref.ref(future) for future in fs]
    iterator = futures.as_completed(list(fs), 0)
    with pytest.raises(TimeoutError):
        next(iterator)
    del fs
    assert [reference() for reference in references] == [None, None]


def test_from_several_threads(futures, make):
    """Threads that share one iterator get each future once."""
    fs = [make() for _ in range(200)]
    iterator = futures.as_completed(fs, 20)
    got = []

    calls = [Call(take_all, iterator, got) for _ in range(3)]
    for future in fs:
        future.set_result(1)
    for call in calls:
        assert call.end() == ("returned", None)
    assert len(got) == 200
    assert set(got) == set(fs)


# --- foreign futures ---------------------------------------------------------


def test_foreign_futures(futures, make):
    foreign = [ForeignFuture() for _ in range(4)]
    own = [make() for _ in range(2)]
    iterator = futures.as_completed([*foreign, *own], 20)
    foreign[0].finish()
    assert next(iterator) is foreign[0]
    call = Call(list, iterator)
    pause()
    order = [own[1], foreign[2], foreign[1], own[0], foreign[3]]
    own[1].set_result(1)
    foreign[2].finish(Oops())
    foreign[1].end_cancelled()
    put_in_state(own[0], "notified")
    foreign[3].finish()
    assert call.end() == ("returned", order)
    assert no_waiters(foreign + own)


def test_foreign_futures_and_a_timeout(futures):
    foreign = [ForeignFuture(), ForeignFuture()]
    foreign[0].finish()
    iterator = futures.as_completed(foreign, 0.01)
    assert next(iterator) is foreign[0]
    with pytest.raises(TimeoutError, match=r"^1 \(of 2\) futures unfinished$"):
        next(iterator)
    assert no_waiters(foreign)


def test_the_standard_function_on_submitted_futures(futures):
    with futures.ThreadPoolExecutor(3) as pool:
        fs = [pool.submit(time.sleep, 0.001 * (n % 3)) for n in range(30)]
        yielded = list(concurrent.futures.as_completed(fs, 20))
        assert len(yielded) == 30
        assert set(yielded) == set(fs)
    assert no_waiters(fs)


def test_executors_of_both_modules(futures):
    with (
        futures.ThreadPoolExecutor(2) as one,
        concurrent.futures.ThreadPoolExecutor(2) as other,
    ):
        for function in (futures.as_completed, concurrent.futures.as_completed):
            fs = {
                pool.submit(time.sleep, 0.002) for pool in (one, other) for _ in "abc"
            }
            yielded = list(function(fs, 20))
            assert len(yielded) == 6
            assert set(yielded) == fs


# --- races -------------------------------------------------------------------


@pytest.mark.stress
def test_completing_while_waiters_are_installed(futures, make, rng, fast_switch):
    for _ in range(150):
        fs = [make() for _ in range(rng.randrange(1, 30))]
        ends = [(future, rng.choice(ENDS)) for future in rng.sample(fs, len(fs))]
        together = threading.Barrier(3)

        def finish(part, together=together):
            together.wait(20)
            for future, end in part:
                put_in_state(future, end)

        calls = [Call(finish, ends[::2]), Call(finish, ends[1::2])]
        together.wait(20)
        yielded = list(futures.as_completed(fs, 20))
        assert len(yielded) == len(fs)
        assert set(yielded) == set(fs)
        for call in calls:
            assert call.end() == ("returned", None)
        assert no_waiters(fs)


@pytest.mark.stress
def test_closing_races_with_completions(futures, make, rng, fast_switch):
    for _ in range(150):
        fs = [make() for _ in range(8)]
        fs[0].set_result(0)
        iterator = futures.as_completed(fs, 20)
        assert next(iterator) is fs[0]
        call = Call(lambda fs=fs: [future.set_result(1) for future in fs[1:]])
        for _ in range(rng.randrange(4)):
            next(iterator)
        if rng.random() < 0.5:
            iterator.close()
        else:
            del iterator
        assert call.end()[0] == "returned"
        assert no_waiters(fs)


@pytest.mark.stress
def test_timeouts_race_with_completions(futures, make, rng, fast_switch):
    for _ in range(150):
        fs = [make() for _ in range(5)]
        iterator = futures.as_completed(fs, rng.uniform(0, 5e-4))
        call = Call(lambda fs=fs: [future.set_result(1) for future in fs])
        yielded = []
        try:
            for future in iterator:
                yielded.append(future)
        except TimeoutError as exc:
            assert str(exc) == f"{5 - len(yielded)} (of 5) futures unfinished"
        else:
            assert set(yielded) == set(fs)
        assert call.end()[0] == "returned"
        assert no_waiters(fs)


def test_ctrl_c_leaves_nothing_behind(futures, script):
    script(
        """
        import signal
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        for timeout in (None, 20):
            fs = [futures.Future() for _ in range(3)]
            fs[0].set_result(1)
            iterator = futures.as_completed(fs, timeout)
            assert next(iterator) is fs[0]
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            try:
                next(iterator)
            except KeyboardInterrupt:
                pass
            else:
                raise SystemExit("not interrupted")
            assert all(f._waiters == [] for f in fs), fs[1]._waiters
            assert list(iterator) == []
            for f in fs[1:]:
                f.set_result(1)
            assert set(futures.as_completed(fs)) == set(fs)
        """
    ).check()
