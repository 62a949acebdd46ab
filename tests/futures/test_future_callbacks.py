"""Callbacks of futures: order, thread, visible state, exceptions."""

import collections
import itertools
import threading

import pytest
from future_kit import Call, Oops, outcome, pause, put_in_state

ENDS = ("cancelled", "result", "exception")


@pytest.fixture(params=ENDS)
def end(request):
    """Each way in which a pending future ends."""
    return request.param


def test_called_once_with_the_future(new, end):
    future = new()
    seen = []
    assert future.add_done_callback(seen.append) is None
    assert seen == []
    put_in_state(future, end)
    assert seen == [future]


def test_notifying_a_cancelled_one_calls_nothing_again(new):
    future = new()
    seen = []
    future.add_done_callback(seen.append)
    future.cancel()
    assert future.cancel()
    assert not future.set_running_or_notify_cancel()
    assert future.cancel()
    assert seen == [future]


@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_in_the_order_of_registration(new, end, count):
    future = new()
    order = []
    for number in range(count):
        future.add_done_callback(lambda _, number=number: order.append(number))
    put_in_state(future, end)
    assert order == list(range(count))


def test_the_same_callback_twice_is_called_twice(new, end):
    future = new()
    seen = []
    future.add_done_callback(seen.append)
    future.add_done_callback(seen.append)
    put_in_state(future, end)
    assert seen == [future, future]


def test_on_a_done_future_it_is_called_at_once(new, end):
    future = put_in_state(new(), end)
    seen = []
    future.add_done_callback(lambda f: seen.append((f, threading.get_ident())))
    assert seen == [(future, threading.get_ident())]


def test_after_notification_it_is_called_at_once(new):
    future = put_in_state(new(), "notified")
    seen = []
    future.add_done_callback(seen.append)
    assert seen == [future]


def test_while_running_it_waits(new):
    future = put_in_state(new(), "running")
    seen = []
    future.add_done_callback(seen.append)
    assert seen == []
    future.set_result(1)
    assert seen == [future]


def test_the_state_is_visible(new, end):
    future = new()
    seen = []

    def look(future):
        seen.append((future.done(), future._state, repr(future)))
        seen.append(outcome(future.result, 0))

    future.add_done_callback(look)
    put_in_state(future, end)
    (done, state, text), result = seen
    assert done
    assert state == ("CANCELLED" if end == "cancelled" else "FINISHED")
    assert "state=" in text
    assert (
        result
        == {
            "cancelled": ("CancelledError", ""),
            "result": ("returned", 42),
            "exception": ("Oops", "no luck"),
        }[end]
    )


def test_no_lock_is_held(new, end):
    """Another thread may do anything with the future while a callback runs."""
    future = new()
    seen = []

    def use_elsewhere(future):
        def use():
            with future._condition:
                pass
            future.add_done_callback(seen.append)
            return future.done(), future.cancelled(), repr(future)

        seen.append(Call(use).end()[0])

    future.add_done_callback(use_elsewhere)
    put_in_state(future, end)
    assert seen == [future, "returned"]


def test_in_the_completing_thread(new, end):
    future = new()
    idents = []
    for _ in range(3):
        future.add_done_callback(lambda _: idents.append(threading.get_ident()))
    call = Call(put_in_state, future, end)
    assert call.end()[0] == "returned"
    assert idents == [call.ident] * 3


def test_waiters_need_not_wait_for_callbacks(new, end):
    """What waits for the future is told before its callbacks have run."""
    future = new()
    call = Call(future.exception)
    pause()
    ended = []
    future.add_done_callback(lambda _: ended.append(call.end()))
    put_in_state(future, end)
    assert len(ended) == 1


@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_exception_is_logged_and_the_others_run(new, end, log, position):
    future = new()
    order = []

    def fail(future):
        order.append("failed")
        raise Oops("in the callback")

    for number in range(3):
        if number == position:
            future.add_done_callback(fail)
        else:
            future.add_done_callback(lambda _, number=number: order.append(number))
    put_in_state(future, end)
    assert order == ["failed" if n == position else n for n in range(3)]
    [record] = log.records
    assert record.name == "concurrent.futures"
    assert record.levelname == "ERROR"
    assert record.msg == "exception calling callback for %r"
    assert record.args == (future,)
    assert record.exc_info[0] is Oops
    assert str(record.exc_info[1]) == "in the callback"
    assert record.exc_info[2] is not None


def test_an_exception_on_a_done_future_is_logged(new, end, log):
    future = put_in_state(new(), end)

    def fail(future):
        raise Oops("in the callback")

    future.add_done_callback(fail)
    [record] = log.records
    assert record.getMessage() == f"exception calling callback for {future!r}"
    assert record.exc_info[0] is Oops


@pytest.mark.parametrize("wrong", [None, 5, "text", [], object()], ids=repr)
def test_what_cannot_be_called_is_logged_when_its_time_comes(new, end, log, wrong):
    future = new()
    seen = []
    future.add_done_callback(wrong)
    future.add_done_callback(seen.append)
    assert not log.records
    put_in_state(future, end)
    assert seen == [future]
    future.add_done_callback(wrong)
    assert [record.exc_info[0] for record in log.records] == [TypeError, TypeError]
    assert "not callable" in str(log.records[0].exc_info[1])


def test_a_list_that_can_be_called_is_one_callback(new):
    class Callables(list):
        def __call__(self, future):
            self.append(future)

    future = new()
    callback = Callables()
    future.add_done_callback(callback)
    future.add_done_callback(callback)
    future.set_result(1)
    assert callback == [future, future]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_a_base_exception_goes_through(new, end, log, kind):
    future = new()
    order = []

    def leave(future):
        order.append("left")
        raise kind("now")

    future.add_done_callback(leave)
    future.add_done_callback(order.append)
    with pytest.raises(kind, match="now"):
        put_in_state(future, end)
    assert order == ["left"]
    assert future.done()
    with pytest.raises(kind, match="now"):
        future.add_done_callback(leave)
    assert not log.records


def test_a_callback_may_add_a_callback(new, end):
    future = new()
    order = []

    def add(future):
        order.append("first")
        future.add_done_callback(lambda _: order.append("added"))
        order.append("first ends")

    future.add_done_callback(add)
    future.add_done_callback(lambda _: order.append("second"))
    put_in_state(future, end)
    assert order == ["first", "added", "first ends", "second"]


def test_a_callback_cannot_change_the_end(futures, new):
    future = new()
    seen = []

    def change(future):
        seen.append(future.cancel())
        seen.append(outcome(future.set_result, 2)[0])
        seen.append(outcome(future.set_exception, Oops())[0])

    future.add_done_callback(change)
    future.set_result(1)
    assert seen == [False, "InvalidStateError", "InvalidStateError"]
    assert future.result() == 1


def test_a_callback_completes_the_next_future(futures):
    chain = [futures.Future() for _ in range(100)]
    for one, following in itertools.pairwise(chain):
        one.add_done_callback(lambda f, g=following: g.set_result(f.result() + 1))
    chain[0].set_result(0)
    assert [f.result(0) for f in chain] == list(range(100))


def test_callbacks_are_readable(new):
    future = new()
    assert future._done_callbacks == []
    assert type(future._done_callbacks) is list
    future.add_done_callback(print)
    assert future._done_callbacks == [print]
    future.add_done_callback(repr)
    future.add_done_callback(print)
    assert future._done_callbacks == [print, repr, print]
    assert future._done_callbacks is future._done_callbacks


def test_the_list_of_callbacks_can_be_changed(new):
    """As code does that unregisters a callback of its own."""
    future = new()
    seen = []
    future.add_done_callback(seen.append)
    future.add_done_callback(print)
    future._done_callbacks.remove(print)
    future._done_callbacks.insert(0, lambda f: seen.append("first"))
    future.set_result(1)
    assert seen == ["first", future]


def test_the_list_of_callbacks_can_be_assigned(new):
    future = new()
    seen = []
    future.add_done_callback(print)
    future._done_callbacks = [seen.append]
    future.add_done_callback(lambda f: seen.append("later"))
    future.set_result(1)
    assert seen == [future, "later"]


def test_callbacks_of_a_submitted_future(futures, log):
    """They run in the worker, and a failing one harms neither it nor the rest."""
    with futures.ThreadPoolExecutor(1, thread_name_prefix="calls") as pool:
        go_on = threading.Event()
        blocker = pool.submit(go_on.wait, 20)
        future = pool.submit(int, "5")
        seen = []

        def fail(future):
            raise Oops("in the worker")

        def note(future):
            seen.append((threading.current_thread().name, future.result()))

        future.add_done_callback(note)
        future.add_done_callback(fail)
        future.add_done_callback(note)
        go_on.set()
        assert future.result(20) == 5
        assert blocker.result()
        assert pool.submit(str, 1).result(20) == "1"
        assert seen == [("calls_0", 5), ("calls_0", 5)]
    [record] = log.records
    assert record.exc_info[0] is Oops


def test_callbacks_of_a_cancelled_submitted_future(futures):
    """They run once, in the thread that cancels, before cancel() returns."""
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        pool.submit(go_on.wait, 20)
        future = pool.submit(int, "5")
        seen = []
        future.add_done_callback(lambda f: seen.append(threading.get_ident()))
        assert future.cancel()
        assert seen == [threading.get_ident()]
        go_on.set()
    assert len(seen) == 1


def test_a_callback_may_submit(futures):
    with futures.ThreadPoolExecutor(2) as pool:
        last = threading.Event()
        results = []

        def again(future):
            results.append(future.result())
            if future.result() < 20:
                pool.submit(lambda x: x + 1, future.result()).add_done_callback(again)
            else:
                last.set()

        pool.submit(int, 0).add_done_callback(again)
        assert last.wait(20)
    assert results == list(range(21))


def test_a_callback_may_cancel_others(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        go_on = threading.Event()
        first = pool.submit(go_on.wait, 20)
        others = [pool.submit(abs, n) for n in range(10)]
        first.add_done_callback(lambda f: [other.cancel() for other in others])
        go_on.set()
        assert first.result(20)
        assert pool.submit(abs, -1).result(20) == 1
        assert all(other.cancelled() for other in others)


@pytest.mark.stress
def test_registering_while_it_completes(futures, rng, fast_switch):
    """Every callback is called exactly once, whoever wins the race."""
    for _ in range(300):
        future = futures.Future()
        calls = []
        together = threading.Barrier(3)
        kind = rng.choice(ENDS)

        def register(future=future, calls=calls, together=together):
            together.wait(20)
            for number in range(5):
                future.add_done_callback(lambda _, n=number: calls.append(n))

        threads = [Call(register) for _ in range(2)]
        together.wait(20)
        put_in_state(future, kind)
        for thread in threads:
            assert thread.end()[0] == "returned"
        assert sorted(calls) == sorted([0, 1, 2, 3, 4] * 2)


@pytest.mark.stress
@pytest.mark.stress
def test_threads_that_register_with_the_same_futures(futures):
    """All are kept, whoever is the first to make a future collectable."""
    count = 20_000
    threads = 2
    start = threading.Barrier(threads)
    called = []

    def register(submitted):
        start.wait(20)
        for future in submitted:
            future.add_done_callback(called.append)

    for _ in range(5):
        gate = threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(gate.wait, 20)
            submitted = [pool.submit(list) for _ in range(count)]
            registering = [
                threading.Thread(target=register, args=[submitted])
                for _ in range(threads)
            ]
            for thread in registering:
                thread.start()
            for thread in registering:
                thread.join()
            gate.set()
        assert collections.Counter(called) == dict.fromkeys(submitted, threads)
        called.clear()


def test_one_of_many_completers_wins(futures, rng, fast_switch):
    """Of racing set_result, set_exception and cancel exactly one succeeds."""
    for _ in range(200):
        future = futures.Future()
        calls = []
        future.add_done_callback(calls.append)
        together = threading.Barrier(4)

        def race(act, future=future, together=together):
            together.wait(20)
            return act()

        acts = [
            lambda f=future: f.set_result("one"),
            lambda f=future: f.set_exception(Oops("two")),
            lambda f=future: f.cancel(),
            lambda f=future: f.set_result("three"),
        ]
        rng.shuffle(acts)
        ends = [thread.end() for thread in [Call(race, act) for act in acts]]
        won = [end for end in ends if end in (("returned", None), ("returned", True))]
        assert len(won) == 1
        assert calls == [future]
        assert future.done()
