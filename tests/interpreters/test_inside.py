"""The package used inside interpreters: those of pools, and those that others make."""

from __future__ import annotations

import asyncio
import sys

import pytest

import futures_c

from . import jobs, kit


@pytest.fixture
def our_pool():
    """Two workers of ours."""
    with futures_c.InterpreterPoolExecutor(
        2, initializer=jobs.visit, initargs=(kit.TESTS,)
    ) as pool:
        yield pool


def test_thread_pools_inside(our_pool):
    for found in our_pool.map(jobs.use_threads, [20, 30, 40, 50]):
        assert found == [n * n for n in range(len(found))]


@pytest.mark.skipif(
    sys.version_info < (3, 13),
    reason="asyncio in any interpreter but the first crashes the exit of Python 3.12",
)
def test_asyncio_inside(our_pool):
    assert list(our_pool.map(jobs.use_loop, [5, 6])) == [
        list(range(5)), list(range(6)),
    ]  # fmt: skip


def test_pools_inside_pools(our_pool):
    before = kit.interpreters()
    found = our_pool.submit(jobs.use_pool, 2).result(50)
    assert len(found) == len(set(found)) == 3
    assert jobs.number() not in found
    kit.until_no_more_than(before | {found[0]})


def test_asyncio_over_a_pool(our_pool):
    async def main():
        loop = asyncio.get_running_loop()
        made = [loop.run_in_executor(our_pool, abs, -n) for n in range(50)]
        assert await asyncio.gather(*made) == list(range(50))
        assert await our_pool.submit(pow, 2, 5) == 32
        with pytest.raises(LookupError, match="lost"):
            await loop.run_in_executor(our_pool, jobs.fail_with, "lost")
        waiting = {our_pool.submit(abs, -n) for n in range(5)}
        found = [f.result() async for f in futures_c.as_completed(waiting)]
        assert sorted(found) == list(range(5))

    asyncio.run(main())


def test_a_process_pool_inside(script):
    """Processes that are not forked may be started there, if modules allow it."""
    ran = script(
        kit.PROLOGUE
        + """
def use_processes():
    import multiprocessing
    try:
        import _multiprocessing, _posixsubprocess
    except ImportError as error:
        return "done"
    import futures_c
    context = multiprocessing.get_context("spawn")
    with futures_c.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(abs, -1).result(40) == 1
    return "done"

with make(1) as pool:
    print(pool.submit(use_processes).result())
""",
        futures=futures_c,
        cap=50,
    )
    assert ran.check().lines == ["done"]


USE = """
import sys
sys.path[:0] = {path!r}
import futures_c

def square(n):
    return n * n

with futures_c.ThreadPoolExecutor(3) as pool:
    made = [pool.submit(square, n) for n in range(30)]
    assert {{f.result() for f in futures_c.as_completed(made)}} == {{
        n * n for n in range(30)
    }}
    done, rest = futures_c.wait(made)
    assert len(done) == 30 and not rest
    assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]
    f = futures_c.Future()
    f.add_done_callback(lambda f: seen.append(f.result()))
    seen = []
    f.set_result(1)
    assert seen == [1]
    try:
        pool.submit(int, "x").result()
    except ValueError:
        pass
"""


#: Makes an interpreter with a GIL of its own; runs code in it; ends it.
OTHERS = """
import os, sys, threading
if sys.version_info >= (3, 13):
    import _interpreters as interpreters
    def run(number, code):
        failed = interpreters.exec(number, code)
        assert failed is None, failed.errdisplay
else:
    import _xxsubinterpreters as interpreters
    run = interpreters.run_string

def once(code):
    number = interpreters.create()
    try:
        run(number, code)
    finally:
        interpreters.destroy(number)
"""


def source(body):
    code = USE.format(path=[p for p in sys.path if p])
    return f"{OTHERS}\nUSE = {code!r}\n{body}"


def test_in_an_interpreter_of_others(script):
    ran = script(source("for _ in range(4): once(USE)\nprint('done')"))
    assert ran.check().lines == ["done"]
    assert ran.stderr == ""


def test_in_several_at_once(script):
    body = """
failed = []
def loop():
    try:
        for _ in range(3):
            once(USE)
    except BaseException as error:
        failed.append(error)
        raise
threads = [threading.Thread(target=loop) for _ in range(3)]
for thread in threads: thread.start()
import futures_c
with futures_c.ThreadPoolExecutor(2) as pool:
    while any(thread.is_alive() for thread in threads):
        assert list(pool.map(abs, [-1, -2])) == [1, 2]
for thread in threads: thread.join()
print(failed or "done")
"""
    ran = script(source(body), cap=50)
    assert ran.check().lines == ["done"]
    assert ran.stderr == ""


def test_an_interpreter_that_ends_with_a_pool_left(script):
    body = """
for _ in range(3):
    once(USE + '''
left = futures_c.ThreadPoolExecutor(2)
left.submit(square, 3).result()
futures = [left.submit(square, 3) for _ in range(50)]
''')
print("done")
"""
    ran = script(source(body))
    assert ran.check().lines == ["done"]
    assert ran.stderr == ""


def test_pools_of_interpreters_in_interpreters_of_others(script):
    body = """
for _ in range(2):
    once(USE + '''
with futures_c.InterpreterPoolExecutor(2) as pool:
    assert list(pool.map(abs, [-1, -2])) == [1, 2]
    assert type(pool.submit(int, "x").exception()) is ValueError
    assert pool.submit(lambda: 3).result() == 3
''')
print("done")
"""
    ran = script(source(body))
    assert ran.check().lines == ["done"]
    assert ran.stderr == ""


def test_an_interpreter_without_a_gil_of_its_own(script):
    """As embedders and mod_wsgi make them."""
    body = """
if sys.version_info >= (3, 13):
    number = interpreters.create("legacy")
else:
    number = interpreters.create(isolated=False)
run(number, USE)
interpreters.destroy(number)
print("done")
"""
    ran = script(source(body))
    assert ran.check().lines == ["done"]
    assert ran.stderr == ""
