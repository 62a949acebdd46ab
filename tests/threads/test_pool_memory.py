"""What is freed and when, and what happens when memory runs out."""

import gc
import importlib.util
import sys
import threading
import weakref

import pytest
from support.waiting import FREE_THREADED, dropped, until


class Thing:
    """Something that can be watched by a weak reference."""

    def method(self):
        """Be a bound method that holds the instance."""


@pytest.fixture(autouse=True)
def no_collector():
    """Everything here is freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def raiser(error):
    raise error


def test_bpo16284_a_worker_keeps_neither_function_nor_arguments(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        thing, named, owner = Thing(), Thing(), Thing()
        references = [weakref.ref(x) for x in (thing, named, owner)]
        pending = [
            pool.submit(id, thing),
            pool.submit(dict, key=named),
            pool.submit(owner.method),
        ]
        del thing, named, owner
        futures.wait([pending[0], pending[2]])
        dropped(references[0], references[2])
        assert references[1]() is not None
        del pending
        dropped(*references)


def test_a_finished_future_lets_go_of_its_function(futures):
    def make():
        return lambda: 1

    with futures.ThreadPoolExecutor(1) as pool:
        function = make()
        reference = weakref.ref(function)
        future = pool.submit(function)
        del function
        assert future.result(20) == 1
        dropped(reference)


def test_a_result_is_freed_with_its_future(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(Thing)
        reference = weakref.ref(future.result(20))
        assert reference() is not None
        del future
        dropped(reference)


def test_a_result_that_nobody_asks_for_is_freed(futures):
    things = []
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: things.append(weakref.ref(t := Thing())) or t)
        until(lambda: things)
        dropped(things[0])


def test_a_future_is_freed_when_its_task_is_done(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        reference = weakref.ref(pool.submit(abs, 1))
        dropped(reference)


class ErrorWithThing(Exception):
    def __init__(self):
        self.thing = Thing()


def test_gh80111_an_exception_makes_no_cycle_with_its_future(futures):
    def fail():
        raise ErrorWithThing

    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(fail)
        try:
            future.result(20)
        except ErrorWithThing as exc:
            reference = weakref.ref(exc.thing)
        assert isinstance(future.exception(), ErrorWithThing)
        del future
        dropped(reference)


def test_gh80111_an_exception_lets_go_of_the_worker_frames_future(futures):
    """No frame of the pool's own in the traceback holds the future."""
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(raiser, ValueError())
        exception = future.exception(20)
        reference = weakref.ref(future)
        del future
        dropped(reference)
        assert exception.__traceback__ is not None


def test_bpo27144_as_completed_keeps_no_future_that_it_handed_out(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(Thing) for _ in range(5)]
        futures.wait(pending)
        references = [weakref.ref(future) for future in pending]
        iterator = futures.as_completed(list(pending))
        pending.clear()
        for count in range(1, 6):
            future = next(iterator)
            del future
            until(lambda n=count: sum(r() is None for r in references) == n, 5)


def test_bpo27144_map_keeps_no_result_that_it_handed_out(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        iterator = pool.map(lambda _: Thing(), range(5))
        for thing in iterator:
            reference = weakref.ref(thing)
            del thing
            dropped(reference)


def test_map_lets_go_of_its_inputs(futures):
    things = [Thing() for _ in range(5)]
    references = [weakref.ref(thing) for thing in things]
    with futures.ThreadPoolExecutor(1) as pool:
        iterator = pool.map(id, things)
        things.clear()
        identities = list(iterator)
        dropped(*references)
        assert len(identities) == 5


def test_bpo31249_wait_makes_no_cycle(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        pending = [pool.submit(Thing) for _ in range(5)]
        references = [weakref.ref(future) for future in pending]
        done, rest = futures.wait(pending, 20)
        assert len(done) == 5 and not rest
        del pending, done, rest
        dropped(*references)


def test_gh131701_a_timeout_makes_no_cycle(futures):
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(gate.wait, 30)
        reference = weakref.ref(future)
        for call in (
            lambda f: f.result(0.001),
            lambda f: f.exception(0.001),
            lambda f: list(futures.as_completed([f], 0.001)),
        ):
            try:
                call(future)
            except TimeoutError:
                pass
            else:
                raise AssertionError("no timeout")
        gate.set()
        until(future.done)
        del future
        dropped(reference)


def test_a_cancelled_task_lets_go_of_everything(futures):
    """At the latest when the worker has passed it by."""
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        thing = Thing()
        future = pool.submit(id, thing)
        reference = weakref.ref(thing)
        del thing
        assert future.cancel()
        gate.set()
        del future
        dropped(reference)


def test_callbacks_are_dropped_with_their_future(futures):
    thing = Thing()
    reference = weakref.ref(thing)
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(abs, 1)
        future.add_done_callback(lambda _, thing=thing: None)
        del thing
        futures.wait([future])
        del future
        dropped(reference)


def test_the_tasks_of_a_pool_that_was_shut_down_are_freed(futures):
    gate = threading.Event()
    things = [Thing() for _ in range(10)]
    references = [weakref.ref(thing) for thing in things]
    pool = futures.ThreadPoolExecutor(1)
    pool.submit(gate.wait, 30)
    for thing in things:
        pool.submit(id, thing)
    del things, thing
    pool.shutdown(wait=False, cancel_futures=True)
    gate.set()
    pool.shutdown()
    dropped(*references)


@pytest.mark.skipif(FREE_THREADED, reason="who frees an object depends on its maker")
def test_arguments_die_in_the_worker_before_the_next_task_begins(futures):
    order = []

    class Argument:
        def __del__(self):
            order.append("freed")

    with futures.ThreadPoolExecutor(1) as pool:
        gate = threading.Event()
        pool.submit(gate.wait, 30)
        pool.submit(id, Argument())
        pool.submit(order.append, "next")
        gate.set()
    assert order == ["freed", "next"]


RSS = """
import gc, os, sys, sysconfig

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    # The allocator of free-threaded builds keeps pages for each thread, for
    # longer than a test takes.  Its blocks are counted, each as 32 bytes.
    def resident():
        return sys.getallocatedblocks() * 32
"""


@pytest.mark.fault("gh-98467")
@pytest.mark.slow
@pytest.mark.unsanitized("address", "thread", reason="freed memory is kept for a while")
@pytest.mark.parametrize("what", ["submit", "map", "as_completed", "error", "pools"])
def test_gh98467_gh85754_memory_does_not_grow_with_tasks(futures, script, what):
    outcome = script(
        RSS
        + """
def fail():
    raise ValueError

def round_of(what):
    if what == "pools":
        for _ in range(150):
            with futures.ThreadPoolExecutor(4) as pool:
                for _ in range(8):
                    pool.submit(abs, 1)
        return
    with futures.ThreadPoolExecutor(2) as pool:
        if what == "map":
            for _ in pool.map(lambda i: b"x" * 100, range(6000)):
                pass
            return
        made = [pool.submit(*((fail,) if what == "error" else (bytes, 100)))
                for _ in range(6000)]
        if what == "as_completed":
            for future in futures.as_completed(made):
                future.result()
        futures.wait(made)

for _ in range(3):
    round_of(sys.argv[1])
gc.collect()
before = resident()
for _ in range(12):
    round_of(sys.argv[1])
gc.collect()
# One leaked object of 32 bytes per task would be 2.3 MB, a leaked future 10 MB;
# one more arena of the allocator, for however few objects, is 1 MB.
print((resident() - before) / 2**20)
""",
        what,
        cap=50,
    )
    assert float(outcome.check().lines[0]) < 2.0


@pytest.mark.unsanitized("address", "thread", reason="freed memory is kept for a while")
def test_pending_tasks_are_freed_to_the_last_byte(futures, script):
    """What 50,000 tasks held serves the next 50,000."""
    outcome = script(
        RSS
        + """
import threading
def fill():
    gate = threading.Event()
    with futures.ThreadPoolExecutor(1) as pool:
        pool.submit(gate.wait, 30)
        kept = [pool.submit(abs, i) for i in range(int(sys.argv[1]))]
        gate.set()
        futures.wait(kept)
fill()
fill()
gc.collect()
before = resident()
for _ in range(4):
    fill()
gc.collect()
print((resident() - before) / 2**20)
""",
        "50000" if futures.__name__ == "futures_c" else "5000",
        cap=50,
    )
    assert float(outcome.check().lines[0]) < 4.0


#: fails_at(k, call): call() with the allocations after the first k failing.
#: Threads are started before: threading itself may keep a lock of its own for
#: ever where memory runs out while it starts one.
NO_MEMORY = """
import _testcapi, gc, sys, threading

pool = futures.ThreadPoolExecutor(2)
barrier = threading.Barrier(2)
futures.wait([pool.submit(barrier.wait, 20) for _ in range(2)])
list(pool.map(abs, [1, 2]))
list(futures.as_completed([pool.submit(abs, 1)]))
MemoryError()
gc.collect()
gc.disable()

def fails_at(k, call, *args, last=0):
    _testcapi.set_nomemory(k, last)
    try:
        return call(*args)
    finally:
        _testcapi.remove_mem_hooks()
"""


#: set_nomemory() exchanges the allocators while other threads allocate, which
#: only the GIL makes safe.  Not every distribution of CPython has it.
needs_gil = pytest.mark.skipif(
    FREE_THREADED or importlib.util.find_spec("_testcapi") is None,
    reason="needs _testcapi.set_nomemory(), and that needs the GIL",
)


@needs_gil
@pytest.mark.fault("MemoryError in submit")
@pytest.mark.parametrize("last", [0, 1], ids=["all_from_there", "one"])
def test_submit_without_memory_raises_or_gives_a_future_that_ends(
    futures, script, last
):
    outcome = script(
        NO_MEMORY
        + f"""
kept = [pool.submit(abs, i) for i in range(3000)]  # Nothing is left to reuse.
futures.wait(kept)
raised = accepted = 0
for k in range(40):
    try:
        future = fails_at(k, pool.submit, abs, -k, last=(k + 1) * {last})
    except MemoryError:
        raised += 1
        continue
    accepted += 1
    kept.append(future)
    try:
        assert future.result(20) == k
    except MemoryError:
        pass  # The worker met the failure: the future says so.
assert [pool.submit(abs, -i).result(20) for i in range(50)] == list(range(50))
assert list(pool.map(abs, range(50))) == list(range(50))
barrier = threading.Barrier(2)
for future in [pool.submit(barrier.wait, 20) for _ in range(2)]:
    future.result(20)
pool.shutdown()
assert raised and accepted, (raised, accepted)
print("consistent")
""",
    )
    assert outcome.check().lines == ["consistent"]


@needs_gil
@pytest.mark.fault("MemoryError in a worker")
def test_tasks_that_meet_a_lack_of_memory(futures, script):
    """Whatever fails around a running task, the future ends and the worker lives."""
    outcome = script(
        NO_MEMORY
        + """
def work(k):
    _testcapi.set_nomemory(k, k + 1)
    return [k]

for k in range(80):
    future = pool.submit(work, k)
    try:
        assert future.result(20) == [k]
    except MemoryError:
        pass
    finally:
        _testcapi.remove_mem_hooks()
    assert future.done()
assert [pool.submit(abs, -i).result(20) for i in range(50)] == list(range(50))
pool.shutdown()
print("consistent")
""",
    )
    assert outcome.check().lines == ["consistent"]


@needs_gil
@pytest.mark.fault("MemoryError in a wait")
@pytest.mark.parametrize(
    "call",
    [
        "done.result(0)",
        "done.exception()",
        "futures.wait(made, 20)",
        "list(futures.as_completed(made, 20))",
        "list(pool.map(abs, [-1, -2, -3], timeout=20))",
        "pool.submit(abs, 1).add_done_callback(print_nothing)",
        "pool.submit(abs, 1)._condition",
        "repr(done)",
        "futures.Future().cancel()",
        "futures.Future().set_result(1)",
        "made[0].add_done_callback(print_nothing)",
        "futures.ThreadPoolExecutor(2)",
    ],
)
def test_every_call_survives_a_lack_of_memory(futures, script, call):
    outcome = script(
        NO_MEMORY
        + f"""
def print_nothing(future):
    pass

def attempt():
    {call}

import logging
logging.disable()  # Callbacks that fail are logged.
for k in range(70):
    done = pool.submit(abs, -1)
    futures.wait([done])
    made = [pool.submit(abs, -i) for i in range(4)]
    try:
        fails_at(k, attempt, last=k + 1)
    except TimeoutError:
        raise AssertionError(f"a wait met no end, {{k}}") from None
    except Exception:
        # MemoryError mostly; the interpreter turns some into others.
        pass
    assert [f.result(20) for f in made] == list(range(4))
    assert futures.wait(made, 20).not_done == set()
assert list(pool.map(abs, range(50))) == list(range(50))
pool.shutdown()
print("consistent")
""",
    )
    assert outcome.check().lines == ["consistent"]


@needs_gil
@pytest.mark.fault("MemoryError in shutdown")
@pytest.mark.parametrize("call", ["join", "shutdown", "cancel_futures"])
def test_a_pool_ends_after_a_lack_of_memory(futures, script, call):
    """threading's own locks may stay locked where memory runs out within them.

    No thread starts or ends meanwhile: it allocates without the GIL, too.
    """
    outcome = script(
        NO_MEMORY
        + f"""
import os, time

def join():
    for thread in pool._threads:
        thread.join(0)

def shutdown():
    pool.shutdown(wait=False)

def cancel_futures():
    pool.shutdown(wait=False, cancel_futures=True)

pool.shutdown()
raised = 0
for k in range(60):
    while len(os.listdir("/proc/self/task")) > 1:
        time.sleep(0.0005)
    pool = futures.ThreadPoolExecutor(2)
    gates = [threading.Lock() for _ in range(2)]
    running = []
    for gate in gates:
        gate.acquire()
        running += [pool.submit(gate.acquire, True, 20)]
    while not all(future.running() for future in running):
        pass
    queued = [pool.submit(abs, -i) for i in range(4)]
    try:
        fails_at(k, {call})
    except MemoryError:
        raised += 1
    for gate in gates:
        gate.release()
    for future in queued:
        try:
            assert future.result(20) in range(4)
        except (futures.CancelledError, MemoryError):
            pass
    pool.shutdown()
    assert not any(thread.is_alive() for thread in pool._threads)
assert raised
print("consistent")
""",
    )
    assert outcome.check().lines == ["consistent"]


@pytest.mark.skipif(not hasattr(sys, "gettotalrefcount"), reason="needs a debug build")
@pytest.mark.parametrize("what", ["submit", "map", "error", "cancel", "pool"])
def test_no_reference_is_leaked(futures, what):
    def round_of():
        with futures.ThreadPoolExecutor(1) as pool:
            if what == "submit":
                futures.wait([pool.submit(abs, i) for i in range(50)])
            elif what == "map":
                list(pool.map(abs, range(50)))
            elif what == "error":
                futures.wait([pool.submit(int, "x") for _ in range(50)])
            elif what == "cancel":
                gate = threading.Event()
                pool.submit(gate.wait, 20)
                for future in [pool.submit(abs, i) for i in range(50)]:
                    future.cancel()
                gate.set()

    counts = []
    for _ in range(6):
        round_of()
        gc.collect()
        counts.append(sys.gettotalrefcount())
    assert min(counts[-1] - counts[2], counts[-1] - counts[3]) < 50, counts
