"""Pools inside pools, all four ways, and executors in forked children."""

import os

import pytest
from support.sanitizers import FORK

from .kit import PROLOGUE, QUIET

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.unsanitized("thread", reason=FORK),
]


def run(script, source, method, **options):
    prologue = f"{PROLOGUE}\ncontext = multiprocessing.get_context({method!r})\n"
    return script(prologue + source, flags=QUIET, **options)


WAYS = ["threads-threads", "threads-processes", "processes-threads",
        "processes-processes"]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_pools_inside_pools(futures, script, method, way):
    """The outer pool is named first: its calls make the inner one."""
    outer, inner = way.split("-")
    outcome = run(
        script,
        f"""
name = futures.__name__
if {outer!r} == "threads":
    pool = futures.ThreadPoolExecutor(2)
else:
    pool = futures.ProcessPoolExecutor(2, context)
with pool:
    calls = [
        pool.submit(jobs.inner_sum, name, {inner!r}, {method!r}, i) for i in range(4)
    ]
    print([call.result(25) for call in calls])
""",
        method,
        cap=50,
    )
    assert outcome.check().lines == ["[10, 15, 20, 25]"]
    assert outcome.stderr == ""


def test_a_process_pool_that_threads_share(futures, script, method):
    outcome = run(
        script,
        """
with futures.ProcessPoolExecutor(2, context) as processes:
    with futures.ThreadPoolExecutor(4) as threads:
        def work(i):
            return processes.submit(abs, -i).result(20)
        print(sum(threads.map(work, range(40))))
""",
        method,
    )
    assert outcome.check().lines == ["780"]


def test_three_levels_of_processes(futures, script, method):
    outcome = run(
        script,
        f"""
with futures.ProcessPoolExecutor(1, context) as pool:
    print(pool.submit(jobs.descend, futures.__name__, {method!r}, 2).result(25))
""",
        method,
        cap=50,
    )
    assert outcome.check().lines == ["2"]


#: in_child(call): runs it in a forked child and says how that ended.
IN_CHILD = """
import select
def in_child(call, cap=8):
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "none"
        try:
            call()
        except BaseException as exc:
            text = f"{type(exc).__name__}: {exc}"
        os.write(writable, text.encode())
        sys.stdout.flush()
        os._exit(0)
    os.close(writable)
    text = "hung"
    if select.select([readable], [], [], cap)[0]:
        text = os.read(readable, 10000).decode() or "died"
    os.close(readable)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None if text == "none" else text
def check(*calls):
    for call in calls:
        ended = in_child(call)
        if ended is not None:
            print(f"{call.__name__}: {ended}")
            sys.exit(1)
"""


@pytest.mark.fault("the executor of a forked child", cap=2)
@pytest.mark.parametrize("state", ["fresh", "idle", "busy"])
def test_a_child_uses_the_inherited_pool(futures, script, method, state):
    if method == "forkserver":
        pytest.skip("multiprocessing's own fork server does not survive a fork")
    outcome = run(
        script,
        IN_CHILD
        + f"""
pool = futures.ProcessPoolExecutor(2, context)
held = []
if {state!r} != "fresh":
    pool.submit(abs, 1).result()
if {state!r} == "busy":
    held = [pool.submit(jobs.nap, 1.5, i) for i in range(4)]
parent = set(pool._processes)

def use():
    assert pool.submit(abs, -5).result(6) == 5
    assert list(pool.map(abs, [-1, -2], timeout=6)) == [1, 2]
    assert not parent & set(pool._processes)
    for future in held:
        try:
            future.result(6)
        except futures.CancelledError:
            continue
        raise AssertionError("not cancelled")
    pool.shutdown()
    try:
        pool.submit(abs, 1)
    except RuntimeError as exc:
        assert str(exc) == "cannot schedule new futures after shutdown"

check(use, use)
assert [f.result(20) for f in held] == list(range(len(held)))
print(pool.submit(abs, -7).result(20))
pool.shutdown()
""",
        method,
        cap=30,
    )
    assert outcome.check().lines == ["7"]


@pytest.mark.fault("a pool left open in a process of multiprocessing", cap=2)
@pytest.mark.parametrize("whose", ["inherited", "own"])
def test_a_process_of_multiprocessing_leaves_a_pool_open(futures, script, whose):
    """Its end waits for its children, and these for the pool to close."""
    outcome = run(
        script,
        f"""
pool = futures.ProcessPoolExecutor(2, context)
pool.submit(abs, 1).result()
def use():
    global pool
    if {whose!r} == "own":
        pool = futures.ProcessPoolExecutor(2, context)
    print(pool.submit(abs, -1).result(8))
    pool.submit(print, "left behind", flush=True)
process = context.Process(target=use)
process.start()
process.join(10)
print(process.exitcode)
process.kill()
print(pool.submit(abs, -2).result(8))
""",
        "fork",
        cap=25,
    )
    assert outcome.check().lines == ["1", "left behind", "0", "2"]


@pytest.mark.parametrize("wait", [True, False])
def test_a_child_shuts_the_inherited_pool_down(futures, script, method, wait):
    """That is no concern of the parent's workers, nor does it wait for them."""
    outcome = run(
        script,
        IN_CHILD
        + f"""
pool = futures.ProcessPoolExecutor(1, context)
held = pool.submit(jobs.nap, 0.5, "held")
def stop():
    pool.shutdown(wait={wait})
def drop():
    global pool
    del pool
    import gc
    gc.collect()
check(stop, drop)
print(held.result(20), pool.submit(abs, -1).result(20))
pool.shutdown()
""",
        method,
    )
    if futures.__name__ == "concurrent.futures":
        pytest.xfail("the child waits for the parent's thread, or wakes it")
    assert outcome.check().lines == ["held 1"]


def test_a_child_makes_a_pool_of_its_own(futures, script, method):
    if method == "forkserver":
        pytest.skip("multiprocessing's own fork server does not survive a fork")
    outcome = run(
        script,
        IN_CHILD
        + """
pool = futures.ProcessPoolExecutor(1, context)
pool.submit(abs, 1).result()
def own():
    with futures.ProcessPoolExecutor(1, context) as inner:
        assert list(inner.map(abs, [-1, -2], timeout=6)) == [1, 2]
check(own, own)
print(pool.submit(abs, -1).result(20))
pool.shutdown()
""",
        method,
    )
    assert outcome.check().lines == ["1"]


@pytest.mark.parametrize("kind", ["exit", "_exit"])
def test_a_child_that_exits_beside_a_live_pool(futures, script, method, kind):
    """gh-88110's like: it joins no thread and no worker of the parent."""
    outcome = run(
        script,
        f"""
pool = futures.ProcessPoolExecutor(1, context)
held = pool.submit(jobs.nap, 0.5, "held")
pid = os.fork()
if pid == 0:
    multiprocessing.util._exit_function = lambda *a: None
    import atexit
    atexit._clear()
    {"sys.exit(0)" if kind == "exit" else "os._exit(0)"}
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), held.result(20))
pool.shutdown()
""",
        method,
    )
    if futures.__name__ == "concurrent.futures" and kind == "exit":
        pytest.xfail("gh-88110: the child joins the parent's thread")
    assert outcome.check().lines == ["0 held"]
