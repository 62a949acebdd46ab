"""What is used is given back: references, memory, and results that are kept.

The counts of references need a debug build; those of blocks are looked at
everywhere.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import weakref
from pathlib import Path

import pytest
from support.references import forget_names
from support.waiting import until

from . import jobs

#: Rounds of an operation.  In the one that grew least the counts may have grown
#: by less than one for every two repetitions.
ROUNDS = 6
REPETITIONS = 20


def results(futures, pool):
    assert [f.result(20) for f in [pool.submit(abs, i) for i in range(100)]]


def one_by_one(futures, pool):
    for i in range(20):
        pool.submit(abs, i).result(20)


def pickled(futures, pool):
    pending = [pool.submit(list, (i,)) for i in range(50)]
    futures.wait(pending)
    assert [f.result(20) for f in pending]


def never_asked(futures, pool):
    futures.wait([pool.submit(list, (i,)) for i in range(50)])


def exceptions(futures, pool):
    for future in futures.as_completed([pool.submit(divmod, 1, 0) for _ in range(20)]):
        assert future.exception(20)


def unpicklable(futures, pool):
    assert pool.submit(abs, lambda: None).exception(20)


def cancelled(futures, pool):
    pending = [pool.submit(time.sleep, 0.001) for _ in range(50)]
    for future in pending:
        future.cancel()
    futures.wait(pending)


def callbacks(futures, pool):
    told: list[object] = []
    for _ in range(20):
        pool.submit(abs, -1).add_done_callback(told.append)
    until(lambda: len(told) == 20, 20)


def mapped(futures, pool):
    assert list(pool.map(abs, range(500))) == list(range(500))


def mapped_pickled(futures, pool):
    assert [x[0] for x in pool.map(list, [(i,) for i in range(100)])] == list(
        range(100)
    )


def mapped_and_dropped(futures, pool):
    iterator = pool.map(abs, range(500))
    next(iterator)


def large(futures, pool):
    assert len(pool.submit(bytes, 300_000).result(20)) == 300_000
    assert len(pool.submit(bytearray, 300_000).result(20)) == 300_000


def counts() -> tuple[int, int]:
    gc.collect()
    forget_names()
    references = getattr(sys, "gettotalrefcount", lambda: 0)()
    return references, sys.getallocatedblocks()


@pytest.mark.parametrize(
    "operation",
    [
        results, one_by_one, pickled, never_asked, exceptions, unpicklable, cancelled,
        callbacks, mapped, mapped_pickled, mapped_and_dropped, large,
    ],
)  # fmt: skip
def test_nothing_is_kept(futures, make, method, operation):
    if futures.__name__ != "futures_c" or method != "fork":
        pytest.skip("how ours lets go does not depend on how workers start")
    pool = make(2)
    growth = []
    operation(futures, pool)
    for _ in range(ROUNDS):
        before = counts()
        for _ in range(REPETITIONS):
            operation(futures, pool)
        # The pool's thread lets go of the last one a moment later.
        time.sleep(0.05)
        growth.append([b - a for a, b in zip(before, counts())])
    least = [min(column) for column in zip(*growth)]
    assert max(least) < REPETITIONS / 2, growth
    pool.shutdown()


def test_a_result_goes_when_its_future_does(make):
    pool = make(1)
    future = pool.submit(jobs.make_object)
    result = weakref.ref(future.result(20))
    assert result() is not None
    del future
    gc.collect()
    until(lambda: result() is None, 10)
    pool.shutdown()


def test_arguments_go_when_the_call_has_been_sent(make):
    pool = make(1)
    argument = jobs.make_object()
    gone = weakref.ref(argument)
    future = pool.submit(id, argument)
    del argument
    future.result(20)
    until(lambda: gone() is None, 10)
    pool.shutdown()


def resident() -> int:
    """Bytes of memory that this process has in use."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def test_large_results_give_their_memory_back(futures, make, method):
    if futures.__name__ != "futures_c" or method != "fork":
        pytest.skip("how ours lets go does not depend on how workers start")
    pool = make(1)

    def burst():
        kept = [pool.submit(bytearray, 1_000_000).result(20) for _ in range(50)]
        assert len(kept) == 50

    burst()
    before = resident()
    for _ in range(10):
        burst()
    # Ten times as much has passed through; a burst's worth may be kept.
    assert resident() - before < 100_000_000
    pool.shutdown()


def shared(pool) -> int:
    """Bytes of the pool's shared memory that are in use."""
    return os.fstat(pool._hub.fd).st_blocks * 512


def test_blocks_of_large_results_come_back(futures, make, method):
    """Also where all requests are small, which need no block."""
    if futures.__name__ != "futures_c" or method != "fork":
        pytest.skip("the pool's shared memory is ours")
    pool = make(1)
    for _ in range(50):
        pool.submit(bytes, 1_000_000).result(20)
    before = shared(pool)
    for _ in range(300):
        pool.submit(bytes, 1_000_000).result(20)
    # What may be kept for the next ones is in use by now.
    assert shared(pool) - before < 100_000_000
    pool.shutdown()


def test_a_forked_child_keeps_the_results_that_it_inherited(make, method, futures):
    """Their memory is used again in the parent, and must not change in the child."""
    if futures.__name__ != "futures_c" or method != "fork":
        pytest.skip("only our results lie in shared memory")
    pool = make(1)
    result = pool.submit(jobs.make_large, 1).result(20)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0 if set(bytes(result.buffer)) == {1} else 1)
    os.close(read)
    del result
    for i in range(2, 40):
        pool.submit(jobs.make_large, i).result(20)
    os.close(write)
    assert os.waitpid(pid, 0)[1] == 0
    pool.shutdown()


def test_a_future_under_its_condition_lets_go_of_the_pool(futures, make, method):
    """The standard class ends it, which knows nothing of shared memory."""
    if futures.__name__ != "futures_c" or method != "fork":
        pytest.skip("the pool's shared memory is ours")
    pool = make(1)
    future = pool.submit(time.sleep, 0.05)
    assert future._condition
    assert future.result(20) is None
    until(lambda: not any(one is pool._hub for one in gc.get_referents(future)), 10)
    pool.shutdown()


# --- what waits ------------------


def test_large_calls_that_wait_take_no_shared_memory(futures, make, gate, method):
    """Beyond what workers need next, they wait as the objects that they are."""
    if futures.__name__ != "futures_c":
        pytest.skip("the pool's shared memory is ours")
    pool = make(2, **gate.options)
    held = [pool.submit(jobs.hold) for _ in range(2)]
    gate.wait_begun(2)
    data = bytes(8 << 20)
    pending = [pool.submit(len, data) for _ in range(60)]
    reserved = os.fstat(pool._hub.fd).st_blocks * 512
    assert reserved < 120 << 20, reserved
    assert pool._hub.waiting > 40
    assert pending[-1].cancel() and pending[30].cancel()
    gate.open()
    done = [future for future in pending if not future.cancelled()]
    assert [future.result(60) for future in done] == [len(data)] * 58
    for future in held:
        future.result(60)
    # And small ones after them.
    assert pool.submit(abs, -1).result(60) == 1
