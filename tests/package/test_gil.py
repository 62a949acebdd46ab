"""Free-threaded builds: the import brings no GIL back, and either way works alike."""

import os

import pytest
from support.waiting import FREE_THREADED

needs_free_threading = pytest.mark.skipif(
    not FREE_THREADED, reason="a build that always has its GIL"
)

#: Prints whether there is a GIL here, in threads and in worker processes; then
#: what comes of a program that uses everything.
PROGRAM = """
import asyncio, sys, warnings
import futures_c
from futures_c import ProcessPoolExecutor, ThreadPoolExecutor

# Of forks beside threads.
warnings.simplefilter("ignore", DeprecationWarning)

def gils():
    yield sys._is_gil_enabled()
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(sys._is_gil_enabled).result()
    import multiprocessing
    for method in "fork", "spawn", "forkserver":
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(1, context) as pool:
            yield pool.submit(sys._is_gil_enabled).result()
            yield sum(pool.map(abs, range(-100, 0), chunksize=7))

async def in_a_loop():
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(4) as pool:
        calls = [loop.run_in_executor(pool, abs, -k) for k in range(1000)]
        return sum(await asyncio.gather(*calls)), await pool.submit(len, "four")

def of_threads():
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(divmod, k, 7) for k in range(5000)]
        called = []
        for call in calls:
            call.add_done_callback(called.append)
        yield sum(sum(call.result()) for call in futures_c.as_completed(calls))
        yield sum(pool.map(pow, range(5000), [2] * 5000))
        yield pool.submit(int, "none").exception()
        barrier = __import__("threading").Barrier(4)
        yield sorted(pool.map(lambda _: barrier.wait(20), range(4)))
    yield len(called), called[0].done()

print(*gils())
print(asyncio.run(in_a_loop()))
print(*of_threads(), sep="\\n")
"""

#: What it prints after the first line.
PRINTED = [
    "(499500, 4)",
    str(sum(sum(divmod(k, 7)) for k in range(5000))),
    str(sum(k**2 for k in range(5000))),
    "invalid literal for int() with base 10: 'none'",
    "[0, 1, 2, 3]",
    "(5000, True)",
]


def test_the_import_leaves_the_gil_as_it_is(script):
    outcome = script("""
        import sys
        def gil():
            return getattr(sys, "_is_gil_enabled", lambda: True)()
        before = gil()
        import futures_c.thread, futures_c.process, futures_c._install
        assert gil() == before
        print(before)
    """).check()
    asked_for = os.environ.get("PYTHON_GIL") == "1"
    assert outcome.lines == [str(asked_for or not FREE_THREADED)]


@needs_free_threading
@pytest.mark.parametrize("gil", ["0", "1"])
@pytest.mark.parametrize("asked", ["variable", "option"])
def test_a_program_does_the_same_without_a_gil_and_with_one(script, asked, gil):
    if asked == "variable":
        outcome = script(PROGRAM, env={"PYTHON_GIL": gil}).check()
    else:
        outcome = script(PROGRAM, flags=["-X", f"gil={gil}"]).check()
    has = gil == "1"
    assert outcome.lines[0] == " ".join(map(str, [has, has, *[has, 5050] * 3]))
    assert outcome.lines[1:] == PRINTED
    assert outcome.stderr == ""
