"""No operation leaks memory blocks or, on debug builds, references.

Each operation is repeated until whatever is cached is cached, then a few
hundred times more; the interpreter's own counts must not grow with it.
"""

import concurrent.futures
import gc
import itertools
import sys

import pytest
from future_kit import ForeignFuture, Oops, Waiter, outcome, put_in_state

#: Rounds of repetitions.  In the round that grew least the counts may have
#: grown by less than one block or reference for every two repetitions.
ROUNDS = 6


class State:
    """What operations use: the module and a pool of one worker."""

    def __init__(self, futures, pool):
        self.futures = futures
        self.pool = pool

    def drain(self):
        """Wait until the worker has let go of earlier work."""
        self.pool.submit(int).result(20)


def bare(state):
    state.futures.Future()


def result(state):
    future = state.futures.Future()
    future.set_result([1])
    future.result()
    future.exception()
    repr(future)


def exception(state):
    future = state.futures.Future()
    future.set_exception(Oops("x"))
    outcome(future.result)
    outcome(future.result, 0)
    future.exception()
    repr(future)


def exception_class(state):
    future = state.futures.Future()
    future.set_exception(Oops)
    outcome(future.result)


def cancelled(state):
    future = state.futures.Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    outcome(future.result)
    outcome(future.exception)


def refused(state):
    future = state.futures.Future()
    future.set_result([1])
    outcome(future.set_result, [2])
    outcome(future.set_exception, Oops())
    outcome(future.set_result)
    outcome(future.set_result, 1, 2)
    outcome(future.set_result, value=1)
    outcome(future.result, 1, 2)
    outcome(future.result, wait=1)
    outcome(state.futures.Future().result, "soon")
    outcome(type(future), 1)


def timeout(state):
    outcome(state.futures.Future().result, 1e-7)
    outcome(state.futures.Future().exception, 0)


def callbacks(state):
    future = state.futures.Future()
    for _ in range(3):
        future.add_done_callback(lambda f: None)
    future.cancel()
    future.add_done_callback(lambda f: None)


def failing_callback(state):
    def leave(future):
        raise KeyboardInterrupt

    future = state.futures.Future()
    future.add_done_callback(leave)
    future.add_done_callback(print)
    outcome(future.set_result, 1)


def private(state):
    future = state.futures.Future()
    with future._condition:
        future._waiters.append(Waiter())
        future._done_callbacks.append(id)
        future._state = "RUNNING"
        future._result = [1]
        future._exception = Oops()
        future._condition.notify_all()
    future._waiters = []
    future._done_callbacks = []
    future._exception = None
    future.set_result([2])
    outcome(setattr, future, "_state", "PENDING")
    outcome(delattr, future, "_state")


def initialised_again(state):
    future = state.futures.Future()
    future.set_result([1])
    concurrent.futures.Future.__init__(future)
    future.set_result([2])
    future.result()


def attributes(state):
    import weakref

    future = state.futures.Future()
    future.name = [1]
    weakref.ref(future, id)
    outcome(getattr, future, "nothing")
    state.futures.Future[int]


def cycle(state):
    future = state.futures.Future()
    future.set_result({"future": future})
    future.me = future


def waits(state):
    fs = [put_in_state(state.futures.Future(), s) for s in ("result", "exception")]
    fs += [state.futures.Future(), concurrent.futures.Future(), ForeignFuture()]
    for condition in ("ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION", "NEVER"):
        outcome(state.futures.wait, fs, 0, condition)
        outcome(state.futures.wait, fs[2:], 1e-7, condition)
    outcome(state.futures.wait, [*fs, None], 0)
    outcome(state.futures.wait, [*fs, []], 0)
    outcome(state.futures.wait, 5)
    outcome(state.futures.wait, fs, "x")
    state.futures.wait(fs[:2])


def completions(state):
    fs = [put_in_state(state.futures.Future(), s) for s in ("result", "exception")]
    fs += [state.futures.Future(), concurrent.futures.Future(), ForeignFuture()]
    outcome(list, state.futures.as_completed(fs, 1e-7))
    next(state.futures.as_completed(fs))
    state.futures.as_completed(fs)
    state.futures.as_completed(fs).close()
    iterator = state.futures.as_completed(fs)
    next(iterator)
    iterator.close()
    outcome(next, state.futures.as_completed([*fs, None]))
    outcome(next, state.futures.as_completed(5))
    outcome(next, state.futures.as_completed(fs, "x"))
    list(state.futures.as_completed(fs[:2]))


def submits(state):
    pool = state.pool
    fs = [
        pool.submit(dict),
        pool.submit(int, "x"),
        pool.submit(dict, a=[1]),
        pool.submit(max, *range(10)),
        pool.submit(None),
        pool.submit(lambda *args, **kwargs: (args, kwargs), [1], [2], [3], c=[4]),
    ]
    for future in fs:
        outcome(future.result)
    outcome(pool.submit)
    outcome(pool.submit, fn=int)


def cancelled_submits(state):
    fs = [state.pool.submit(list, [1]) for _ in range(5)]
    for future in reversed(fs):
        future.cancel()
    state.drain()


def maps(state):
    pool = state.pool
    list(pool.map(str, range(5)))
    list(pool.map(pow, [1, 2], [3, 4], timeout=20))
    outcome(list, pool.map(int, ["1", "x", "2"]))
    outcome(next, pool.map(next, [iter(())]))
    iterator = pool.map(str, range(5))
    next(iterator)
    iterator.close()
    iterator = pool.map(str, range(5))
    next(iterator)
    del iterator
    pool.map(list, ([n] for n in range(5)))
    outcome(pool.map, int, 5)
    outcome(pool.map, int, (1 // n for n in (1, 0)))
    outcome(pool.map, int, [1], timeout="x")
    outcome(pool.map, int, [1], nothing=1)
    outcome(pool.map)
    state.drain()


def buffered_maps(state):
    if state.futures is concurrent.futures and sys.version_info < (3, 14):
        return
    pool = state.pool
    list(pool.map(str, range(9), buffersize=2))
    iterator = pool.map(str, range(9), buffersize=2)
    next(iterator)
    del iterator
    outcome(list, pool.map(int, ["1", "x", "2"], buffersize=1))
    outcome(list, pool.map(int, (1 // n for n in (1, 1, 0)), buffersize=1))
    outcome(pool.map, str, [1], buffersize=0)
    outcome(pool.map, str, [1], buffersize="x")
    state.drain()


OPERATIONS = [
    bare,
    result,
    exception,
    exception_class,
    cancelled,
    refused,
    timeout,
    callbacks,
    failing_callback,
    private,
    initialised_again,
    attributes,
    cycle,
    waits,
    completions,
    submits,
    cancelled_submits,
    maps,
    buffered_maps,
]


def blocks():
    """Memory blocks of the interpreter's allocator."""
    return sys.getallocatedblocks()


def references():
    """All references of all objects; 0 where nobody counts them."""
    return getattr(sys, "gettotalrefcount", int)()


def check(state, operation, repetitions, rounds=ROUNDS):
    """Fail if the counts grow in every round."""
    counts = []
    for _ in range(rounds):
        for _ in range(repetitions):
            operation(state)
        state.drain()
        gc.collect()
        counts.append((blocks(), references()))
    steps = [
        (later[0] - one[0], later[1] - one[1])
        for one, later in itertools.pairwise(counts)
    ]
    assert min(step[0] for step in steps) < repetitions // 2, steps
    assert min(step[1] for step in steps) < repetitions // 2, steps


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda call: call.__name__)
def test_nothing_leaks(futures, operation):
    """A leak grows in every round; anything else lets one round off."""
    with futures.ThreadPoolExecutor(1) as pool:
        concurrent.futures._base.LOGGER.disabled = True
        try:
            check(State(futures, pool), operation, 50)
        finally:
            concurrent.futures._base.LOGGER.disabled = False


@pytest.mark.slow
def test_pools_leak_nothing(futures):
    def a_pool(state):
        with futures.ThreadPoolExecutor(2) as pool:
            pool.submit(int).result()
            list(pool.map(str, range(3)))
        futures.ThreadPoolExecutor(1)

    with futures.ThreadPoolExecutor(1) as pool:
        check(State(futures, pool), a_pool, 20, rounds=40)
