"""What map keeps, cancels and runs: closing, dropping, shutdown, buffersize."""

import gc
import itertools
import sys
import threading
import time
import weakref

import pytest
from future_kit import (
    Call,
    Oops,
    Thing,
    Work,
    finish,
    free_threaded,
    gate,
    outcome,
    pause,
)
from support.parallel import fresh
from support.sanitizers import FORK
from support.waiting import collected, dropped, until


@fresh
def single(futures):
    """A pool of one worker, which runs items in order."""
    with futures.ThreadPoolExecutor(1) as pool:
        yield pool


# --- closing and dropping ----------------------------------------------------


def test_close_cancels_what_has_not_begun(single, work):
    iterator = single.map(work, range(10))
    assert next(iterator) == 0
    assert work.blocked.wait(20)
    iterator.close()
    finish(single, work)
    assert work.ran == [0, 1]
    assert list(iterator) == []


def test_dropping_cancels_what_has_not_begun(single, work):
    iterator = single.map(work, range(10))
    assert next(iterator) == 0
    assert work.blocked.wait(20)
    del iterator
    gc.collect()
    finish(single, work)
    assert work.ran == [0, 1]


def test_a_break_cancels_what_has_not_begun(single, work):
    for number in single.map(work, range(10)):
        assert number == 0
        assert work.blocked.wait(20)
        break
    gc.collect()
    finish(single, work)
    assert work.ran == [0, 1]


def test_what_was_cancelled_leaves_the_queue(single, work):
    iterator = single.map(work, range(10))
    assert next(iterator) == 0
    assert work.blocked.wait(20)
    iterator.close()
    other = single.submit(abs, -5)
    work.go_on.set()
    assert other.result(20) == 5
    until(lambda: single._work_queue.qsize() == 0)


def test_an_iterator_that_nobody_advanced_cancels_nothing(single, work):
    single.map(work, range(10))
    gc.collect()
    assert work.blocked.wait(20)
    finish(single, work)
    assert work.ran == list(range(10))


def test_closing_one_that_nobody_advanced_cancels_nothing(single, work):
    iterator = single.map(work, range(10))
    assert work.blocked.wait(20)
    iterator.close()
    assert list(iterator) == []
    finish(single, work)
    assert work.ran == list(range(10))


def test_an_exhausted_iterator_has_nothing_to_cancel(single):
    iterator = single.map(abs, range(5))
    assert list(iterator) == list(range(5))
    iterator.close()
    assert single.submit(abs, -1).result(20) == 1


def test_ctrl_c_cancels_what_has_not_begun(futures, script):
    """gh-95166: the awaited item and all behind it."""
    script(
        """
        import signal, threading
        def interrupt(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        for timeout in (None, 20):
            go_on = threading.Event()
            ran = []
            with futures.ThreadPoolExecutor(1) as pool:
                blocker = pool.submit(go_on.wait, 20)
                iterator = pool.map(ran.append, range(10), timeout=timeout)
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                try:
                    next(iterator)
                except KeyboardInterrupt:
                    pass
                else:
                    raise SystemExit("not interrupted")
                assert list(iterator) == []
                go_on.set()
                assert pool.submit(abs, -1).result(20) == 1
            assert ran == [], ran
        """
    ).check()


# --- references --------------------------------------------------------------


def test_results_are_let_go_as_they_are_handed_out(single, no_gc):
    iterator = single.map(lambda _: Thing(), range(20))
    for _ in range(19):
        thing = next(iterator)
        reference = weakref.ref(thing)
        del thing
        if free_threaded():
            single.submit(lambda: None).result(20)
        dropped(reference)
    next(iterator)


@pytest.mark.fault("from 3.14 on the iterator keeps the last input")
def test_inputs_are_let_go_when_their_items_are_done(single, no_gc):
    things = [Thing() for _ in range(10)]
    references = [weakref.ref(thing) for thing in things]
    iterator = single.map(id, things)
    things.clear()
    if free_threaded():
        single.submit(lambda: None).result(20)
    until(lambda: all(reference() is None for reference in references), 2)
    assert len(list(iterator)) == 10


def test_the_function_is_let_go(single, no_gc):
    work = Work()
    work.go_on.set()
    reference = weakref.ref(work)
    iterator = single.map(work, range(5))
    assert list(iterator) == list(range(5))
    del work, iterator
    if free_threaded():
        single.submit(lambda: None).result(20)
    dropped(reference)


def test_errors_make_no_cycle(single, no_gc):
    def fail(number):
        raise Oops(number)

    iterator = single.map(fail, range(3))
    reference = None
    try:
        next(iterator)
    except Oops as exc:
        reference = weakref.ref(exc)
    del iterator
    if free_threaded():
        single.submit(lambda: None).result(20)
    dropped(reference)


def test_what_was_cancelled_is_let_go(single, no_gc):
    with gate() as go_on:
        things = [Thing() for _ in range(10)]
        references = [weakref.ref(thing) for thing in things]

        def work(thing):
            go_on.wait(20)

        single.submit(int).result(20)
        iterator = single.map(work, [None, None, *things])
        things.clear()
        single._work_queue  # noqa: B018 - asked for, it must not keep them.
        call = Call(next, iterator)
        pause()
        go_on.set()
        assert call.end()[0] == "returned"
        iterator.close()
        del iterator, call
        single.submit(abs, 1).result(20)
        dropped(*references)


def test_results_nobody_asks_for_are_let_go(single, no_gc):
    """A dropped iterator keeps no results, though its items run."""
    references = []

    def make(number):
        thing = Thing()
        references.append(weakref.ref(thing))
        return thing

    single.map(make, range(50))
    single.submit(abs, 1).result(20)
    assert len(references) == 50
    dropped(*references)


def test_an_iterator_in_a_cycle_is_collected(single):
    def make():
        thing = Thing()
        thing.iterator = single.map(lambda n, t=thing: t, range(5))
        single.submit(abs, 1).result(20)
        return weakref.ref(thing)

    collected(make())


def test_an_advanced_iterator_in_a_cycle_is_collected(single):
    def make():
        thing = Thing()
        thing.iterator = single.map(lambda n, t=thing: t, range(5))
        next(thing.iterator)
        single.submit(abs, 1).result(20)
        return weakref.ref(thing)

    collected(make())


def test_the_pool_may_go_before_the_iterator(futures):
    pool = futures.ThreadPoolExecutor(2)
    iterator = pool.map(pow, range(100), itertools.repeat(2))
    reference = weakref.ref(pool)
    del pool
    assert list(iterator) == [n * n for n in range(100)]
    collected(reference)


def test_a_pool_and_its_iterator_go_together(futures):
    """Everything runs, though nobody holds anything."""
    ran = []
    last = threading.Event()

    def work(number):
        ran.append(number)
        if number == 99:
            last.set()

    futures.ThreadPoolExecutor(1).map(work, range(100))
    assert last.wait(20)
    assert ran == list(range(100))


def test_reference_counts_of_inputs(single):
    if free_threaded():
        pytest.skip("reference counts are split on this build")
    thing = object()
    before = sys.getrefcount(thing)
    for _ in range(10):
        assert (
            list(single.map(lambda a, b: a is b, [thing] * 5, [thing] * 5))
            == [True] * 5
        )
        iterator = single.map(lambda a: a, [thing] * 5)
        next(iterator)
        iterator.close()
        del iterator
    single.submit(abs, 1).result(20)
    until(lambda: sys.getrefcount(thing) <= before)
    assert sys.getrefcount(thing) == before


# --- shutdown ----------------------------------------------------------------


def test_after_shutdown(futures):
    pool = futures.ThreadPoolExecutor(1)
    pool.shutdown()
    text = "^cannot schedule new futures after shutdown$"
    with pytest.raises(RuntimeError, match=text):
        pool.map(abs, [1])
    assert list(pool.map(abs, [])) == []


def test_shutdown_lets_a_map_end(futures, work):
    pool = futures.ThreadPoolExecutor(1)
    iterator = pool.map(work, range(10))
    assert work.blocked.wait(20)
    pool.shutdown(wait=False)
    work.go_on.set()
    assert list(iterator) == list(range(10))
    assert work.ran == list(range(10))


def test_cancel_futures_with_a_map_in_flight(futures, work):
    pool = futures.ThreadPoolExecutor(1)
    iterator = pool.map(work, range(10))
    assert work.blocked.wait(20)
    pool.shutdown(wait=False, cancel_futures=True)
    work.go_on.set()
    assert next(iterator) == 0
    assert next(iterator) == 1
    with pytest.raises(futures.CancelledError):
        next(iterator)
    assert list(iterator) == []
    pool.shutdown()
    assert work.ran == [0, 1]


def test_cancel_futures_while_somebody_waits_for_an_item(futures):
    with gate() as go_on:
        pool = futures.ThreadPoolExecutor(1)
        pool.submit(go_on.wait, 20)
        iterator = pool.map(abs, range(10))
        call = Call(next, iterator)
        pause()
        pool.shutdown(wait=False, cancel_futures=True)
        assert call.end() == ("CancelledError", "")
        assert list(iterator) == []
        go_on.set()
        pool.shutdown()


def test_cancel_futures_and_the_size_of_the_queue(futures, work):
    pool = futures.ThreadPoolExecutor(1)
    iterator = pool.map(work, range(10))
    assert work.blocked.wait(20)
    pool.shutdown(wait=False, cancel_futures=True)
    work.go_on.set()
    pool.shutdown()
    assert len(work.ran) == 2
    assert outcome(lambda: list(iterator)) == ("CancelledError", "")


# --- fork --------------------------------------------------------------------


@pytest.mark.unsanitized("thread", reason=FORK)
def test_map_in_a_forked_child(futures, script):
    """A pool made in the child works while the parent's is alive."""
    script(
        """
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with futures.ThreadPoolExecutor(2) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
            pid = os.fork()
            if pid == 0:
                with futures.ThreadPoolExecutor(2) as mine:
                    ok = list(mine.map(abs, range(-300, 0))) == list(range(300, 0, -1))
                os._exit(0 if ok else 1)
            assert list(pool.map(abs, [-3])) == [3]
            assert os.waitpid(pid, 0)[1] == 0
        """
    ).check()


@pytest.mark.fault("a pool used in a forked child hangs", cap=5)
@pytest.mark.unsanitized("thread", reason=FORK)
def test_map_of_an_inherited_pool_in_a_forked_child(futures, script):
    script(
        """
        import os, signal, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with futures.ThreadPoolExecutor(2) as pool:
            assert list(pool.map(abs, [-1, -2])) == [1, 2]
            pid = os.fork()
            if pid == 0:
                signal.alarm(3)
                ok = list(pool.map(abs, range(-300, 0))) == list(range(300, 0, -1))
                pool.shutdown()
                os._exit(0 if ok else 1)
            status = os.waitpid(pid, 0)[1]
            assert status == 0, status
            assert list(pool.map(abs, [-3])) == [3]
        """
    ).check()


@pytest.mark.fault("an iterator inherited by a forked child hangs", cap=5)
@pytest.mark.unsanitized("thread", reason=FORK)
def test_an_iterator_inherited_by_a_forked_child(futures, script):
    """What had not run in the parent is cancelled in the child."""
    script(
        """
        import os, signal, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        go_on = threading.Event()
        started = threading.Event()
        def work(number):
            if number == 1:
                started.set()
                go_on.wait(20)
            return number
        with futures.ThreadPoolExecutor(1) as pool:
            iterator = pool.map(work, range(5))
            assert started.wait(20)
            pid = os.fork()
            if pid == 0:
                signal.alarm(3)
                try:
                    assert next(iterator) == 0
                    next(iterator)
                except futures.CancelledError:
                    os._exit(0)
                os._exit(1)
            status = os.waitpid(pid, 0)[1]
            go_on.set()
            assert status == 0, status
            assert list(iterator) == [0, 1, 2, 3, 4]
        """
    ).check()


# --- races -------------------------------------------------------------------


@pytest.mark.stress
def test_closing_races_with_workers(futures, rng, fast_switch):
    """No item runs twice, and what was handed out has run."""
    with futures.ThreadPoolExecutor(3) as pool:
        for _ in range(100):
            ran = []
            iterator = pool.map(ran.append, range(20))
            for _ in range(rng.randrange(1, 20)):
                next(iterator)
            if rng.random() < 0.5:
                iterator.close()
            else:
                del iterator
            barrier = threading.Barrier(3)
            list(pool.map(lambda _, b=barrier: b.wait(20), range(3)))
            assert len(set(ran)) == len(ran)
            assert set(ran) <= set(range(20))


@pytest.mark.stress
def test_maps_from_several_threads(futures, rng, fast_switch):
    with futures.ThreadPoolExecutor(3) as pool:

        def use(seed):
            total = 0
            for number in range(20):
                total += sum(pool.map(abs, range(-seed - number, 0)))
            return total

        calls = [Call(use, seed) for seed in range(5)]
        for seed, call in enumerate(calls):
            assert call.end() == (
                "returned",
                sum(sum(range(seed + n + 1)) for n in range(20)),
            )


@pytest.mark.stress
def test_shutdown_races_with_a_map(futures, rng, fast_switch):
    """Each item ends: with its result or cancelled."""
    for _ in range(50):
        pool = futures.ThreadPoolExecutor(2)
        ran = []
        iterator = pool.map(ran.append, range(50))
        call = Call(lambda it=iterator: [None for _ in it])
        time.sleep(rng.uniform(0, 3e-4))
        pool.shutdown(wait=rng.random() < 0.5, cancel_futures=True)
        kind, value = call.end()
        assert kind in ("returned", "CancelledError")
        if kind == "returned":
            assert value == [None] * 50
        pool.shutdown()
        assert len(set(ran)) == len(ran)
