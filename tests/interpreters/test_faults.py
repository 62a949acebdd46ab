"""Memory that runs out, interpreters that cannot be made, options."""

from __future__ import annotations

import sys

import pytest
from support.waiting import FREE_THREADED

import futures_c

from . import kit


@pytest.fixture
def run(script):
    """Run a script on ours that has a function make()."""
    return lambda source, **options: script(
        kit.PROLOGUE + source, futures=futures_c, **options
    )


@pytest.mark.skipif(FREE_THREADED, reason="3.13t does not survive it")
@pytest.mark.skipif(
    hasattr(sys, "gettotalrefcount"),
    reason="debug builds end where CPython itself loses a MemoryError",
)
def test_calls_while_allocations_fail(run):
    """Each allocation of a call fails in turn; the next call is fine."""
    pytest.importorskip("_testcapi")
    ran = run(
        """
import _testcapi

expected = Exception, SystemExit

def probe(call):
    \"\"\"Let one allocation after the other fail, until none does.\"\"\"
    failures = 0
    for start in range(400):
        _testcapi.set_nomemory(start, start + 1)
        try:
            call()
        except expected:
            failures += 1
        finally:
            _testcapi.remove_mem_hooks()
        assert context.run((abs, (-3,), {})) == 3
        assert context.run((jobs.same, ([5],), {})) == [5]
    return failures

create, task = futures.InterpreterPoolExecutor.prepare_context(jobs.visit, (kit.TESTS,))
context = create()
context.initialize()
try:
    context.run((jobs.fail_with, ("x",), {}))
except LookupError:
    pass
failed = [
    probe(lambda: context.run((abs, (-1,), {}))),
    probe(lambda: context.run((jobs.same, ("x" * 5000,), {}))),
    probe(lambda: context.run((jobs.keywords, ([1],), {"a": "b"}))),
    probe(lambda: context.run((bytes, (100_000,), {}))),
]
# (What takes code apart, and what formats tracebacks, is not sound in CPython where
# memory runs out.)
context.finalize()
print(sum(failed) > 5)
""",
        cap=55,
    )
    assert ran.check().lines == ["True"], ran.stderr


@pytest.mark.unsanitized("address", "thread", reason="it needs address space itself")
def test_an_interpreter_that_cannot_be_made(run):
    """Too little memory breaks the pool, at the worst; the program goes on."""
    ran = run(
        """
import logging, resource
logging.disable()
with make(1) as pool:
    pool.submit(abs, 1).result()
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * 4096
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
broken = done = 0
for extra in range(9_000_000, 30_000_000, 700_000):
    resource.setrlimit(resource.RLIMIT_AS, (size + extra, hard))
    try:
        with make(1) as pool:
            pool.submit(abs, 1).result()
            done += 1
    except (futures.BrokenExecutor, MemoryError, RuntimeError):
        broken += 1
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
with make(1) as pool:
    print(pool.submit(abs, -5).result())
""",
        cap=55,
    )
    if ran.returncode < 0 or ran.returncode == 1:
        # CPython itself may end the process: see docs/differences.md.
        assert "Fatal Python error" in ran.stderr or ran.returncode == -11
        pytest.skip("CPython does not survive this")
    assert ran.check().lines == ["5"]


@pytest.mark.parametrize(
    "flags",
    [("-X", "dev"), ("-X", "importtime"), ("-S",), ("-I",), ("-X", "showrefcount")],
    ids=" ".join,
)
def test_under_options_of_the_interpreter(run, flags):
    if flags == ("-S",) or flags == ("-I",):
        path = [p for p in sys.path if p]
        ran = run(f"sys.path[:0] = {path!r}", flags=())
        ran.check()
    ran = run(
        "with make(2) as pool: print(list(pool.map(abs, [-1, -2])), file=sys.stdout)",
        flags=() if flags in (("-S",), ("-I",)) else flags,
    )
    assert ran.check().lines == ["[1, 2]"]


def test_profiling_and_tracing_here_do_not_reach_there(run):
    ran = run(
        """
seen = []
def trace(frame, event, arg):
    seen.append(frame.f_code.co_name)
threading.setprofile(trace)
sys.setprofile(trace)
with make(1) as pool:
    assert pool.submit(jobs.read_marks).result() == []
sys.setprofile(None)
threading.setprofile(None)
assert "read_marks" not in seen
print("done")
"""
    )
    assert ran.check().lines == ["done"]


def test_gh146089_a_second_submit_with_tracemalloc(run):
    """Nothing hangs; what CPython does at the end is gh-125716."""
    ran = run(
        """
import tracemalloc
tracemalloc.start(10)
with make(2) as pool:
    first = pool.submit(abs, -1).result(20)
    print(first, pool.submit(abs, -2).result(20), flush=True)
    print(list(pool.map(abs, [-3, -4])), flush=True)
"""
    )
    assert not ran.timed_out, ran.describe()
    if ran.returncode < 0 and len(ran.lines) < 2:
        # gh-125716: see docs/differences.md.
        pytest.skip("CPython does not survive tracemalloc with interpreters")
    assert ran.returncode <= 0 and ran.lines == ["1 2", "[3, 4]"], ran.describe()
