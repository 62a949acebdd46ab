"""What is freed and when: here, there, and over many calls and pools."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest
from support.waiting import FREE_THREADED, dropped, until

import futures_c

from . import jobs, kit


@pytest.fixture(autouse=True)
def no_collector():
    """Everything here is freed by reference counts alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Thing:
    """Something that can be watched by a weak reference."""

    def __reduce__(self):
        return int, (7,)


def test_arguments_are_let_go_of(pool):
    thing, named = Thing(), Thing()
    references = weakref.ref(thing), weakref.ref(named)
    first = pool.submit(jobs.same, thing)
    second = pool.submit(jobs.keywords, a=named)
    del thing, named
    assert first.result(30) == 7
    assert second.result(30) == ((), {"a": 7})
    dropped(*references)


def test_arguments_that_cannot_be_sent_are_let_go_of_with_the_exception(pool):
    thing = jobs.Unsendable()
    thing.itself = marker = Thing()
    reference = weakref.ref(marker)
    del marker
    future = pool.submit(jobs.same, thing)
    assert future.exception(30) is not None
    del thing, future
    gc.collect()  # Tracebacks and frames.
    dropped(reference)


def test_results_are_let_go_of(pool):
    future = pool.submit(jobs.Point, 3)
    reference = weakref.ref(future.result(30))
    assert reference() is not None
    del future
    dropped(reference)


@pytest.mark.fault("an exception is in a cycle with frames of the pool")
def test_exceptions_are_let_go_of(pool):
    future = pool.submit(jobs.fail, jobs.Loud("x", level=1))
    reference = weakref.ref(future.exception(30))
    assert reference() is not None
    del future
    dropped(reference)


def test_futures_and_their_functions_are_let_go_of(pool):
    def local(value):
        return value

    reference = weakref.ref(local)
    future = pool.submit(local, 3)
    del local
    assert future.result(30) == 3
    watched = weakref.ref(future)
    del future
    dropped(reference, watched)


def test_a_memoryview_is_released_there(pool):
    if not kit.SHARES:
        pytest.skip("interpreters share no memory before Python 3.13")
    memory = bytearray(10)
    view = memoryview(memory)
    assert pool.submit(jobs.fill, view, 7).result(30) == 0
    view.release()
    # What is dropped there is released here by a pending call.
    until(lambda: resized(memory))


def resized(memory):
    try:
        memory.append(1)
    except BufferError:
        return False
    return True


def make_things(count):
    """Return how many objects of a kind there are there; make some more."""
    import gc

    from interpreters import jobs

    found = sum(type(each) is jobs.Point for each in gc.get_objects())
    return found, [jobs.Point(n) for n in range(count)]


def test_nothing_is_kept_there(pool):
    for _ in range(3):
        found, made = pool.submit(make_things, 50).result(30)
        assert found == 0 and len(made) == 50
    pool.submit(len, [jobs.Point(1)]).result()
    assert pool.submit(make_things, 0).result()[0] == 0


# --- numbers -------------------------------------------------------------------


def resident():
    """Memory of this process, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.unsanitized("address", "thread", reason="it keeps what is freed")
@pytest.mark.skipif(FREE_THREADED, reason="its allocator keeps what is freed a while")
def test_large_results_are_freed_at_once():
    with futures_c.InterpreterPoolExecutor(1) as pool:
        pool.submit(bytes, 10).result()
        before = resident()
        for _ in range(4):
            future = pool.submit(bytes, 100_000_000)
            assert len(future.result(30)) == 100_000_000
            del future
            pool.submit(abs, 1).result()
            assert resident() - before < 60_000_000
            future = pool.submit(list, [bytes(50_000_000)])
            assert len(future.result(30)) == 1
            del future
            pool.submit(abs, 1).result()
            assert resident() - before < 60_000_000


CALLS = """
import gc
number = 0
def all_kinds(pool, count):
    global number
    for _ in range(count):
        number += 1
        pool.submit(abs, -1).result()
        pool.submit(jobs.same, 1.5).result()
        pool.submit(jobs.same, [1]).result()
        pool.submit(jobs.keywords, a="x" * 5000).result()
        pool.submit(bytes, 100_000).result()
        pool.submit(lambda x: x, 3).result()
        pool.submit(jobs.fail_with, "x").exception()
        pool.submit(jobs.fail, jobs.Loud("x", level=1)).exception()
        pool.submit(jobs.same, jobs.Unsendable()).exception()
        pool.submit(jobs.same, jobs.Unreadable()).exception()
        pool.submit(jobs.make, "generator").exception()
        pool.submit(jobs.make, "unreadable").exception()
        if kit.SHARES:
            pool.submit(jobs.fill, memoryview(bytearray(9)), 1).result()
        # One more function each time: the oldest are forgotten.
        names = {}
        exec(f"def f{number}(): return {number}", names)
        assert pool.submit(names[f"f{number}"]).result() == number
        list(pool.map(abs, range(3)))
"""


@pytest.mark.skipif(
    not hasattr(sys, "gettotalrefcount"), reason="needs a debug build of Python"
)
@pytest.mark.slow
def test_references_over_calls(script):
    ran = script(
        kit.PROLOGUE
        + CALLS
        + """
with make(1) as pool:
    all_kinds(pool, 300)
    counts = []
    for _ in range(5):
        all_kinds(pool, 60)
        counts.append((*jobs.counts(), *pool.submit(jobs.counts).result()))
    for kind in zip(*counts):
        # In the round that grew least, by less than one for every two calls of a
        # kind; what is cached comes and goes.
        assert min(after - before for before, after in zip(kind, kind[1:])) < 30, counts
print("flat")
""",
        futures=futures_c,
        cap=50,
    )
    assert ran.check().lines == ["flat"]


@pytest.mark.skipif(
    not hasattr(sys, "gettotalrefcount"), reason="needs a debug build of Python"
)
@pytest.mark.slow
def test_references_over_interpreters(script):
    """By contexts: threads leave things in caches, too."""
    ran = script(
        kit.PROLOGUE
        + """
import gc
create, task = futures.InterpreterPoolExecutor.prepare_context(
    jobs.visit, (kit.TESTS,)
)
def once():
    context = create()
    context.initialize()
    for call in (abs, (-1,), {}), (jobs.same, ([1],), {}), (lambda: 3, (), {}):
        context.run(call)
    for call in (jobs.fail_with, ("x",), {}), (jobs.make, ("generator",), {}):
        try:
            context.run(call)
        except Exception:
            pass
    context.finalize()

# CPython's own caches take the first hundred to fill, and one more for each
# interpreter even where nobody does anything in it.
for _ in range(100):
    once()
def counts():
    gc.collect()
    return sys.gettotalrefcount(), sys.getallocatedblocks()
before = counts()
for _ in range(50):
    once()
grown = [new - old for new, old in zip(counts(), before)]
assert max(grown) < 3 * 50, grown
print("flat")
""",
        futures=futures_c,
        cap=50,
    )
    assert ran.check().lines == ["flat"]


@pytest.mark.unsanitized("address", "thread", reason="it keeps what is freed")
@pytest.mark.slow
def test_memory_over_calls(script):
    ran = script(
        kit.PROLOGUE
        + CALLS
        + """
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

with make(1) as pool:
    all_kinds(pool, 300)
    before = resident()
    all_kinds(pool, 600)
    # 9,000 calls: a kB each would be 9 MB.
    assert resident() - before < 4_000_000, resident() - before
print("flat")
""",
        futures=futures_c,
        cap=50,
    )
    assert ran.check().lines == ["flat"]
