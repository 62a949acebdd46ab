"""fork() beside a thread pool: the child starts afresh, the parent goes on."""

import os
import subprocess
import sys

import pytest
from support.sanitizers import FORK

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.unsanitized("thread", reason=FORK),
]

#: Python warns of every fork in a process with threads since 3.12.
QUIET = ("-W", "ignore::DeprecationWarning")

#: in_child(call) runs it in a forked child, under a time cap, and says how
#: that ended: None or the text of the exception, or "hung".
IN_CHILD = """
import faulthandler, gc, os, signal, sys, threading, time

def in_child(call, cap=5):
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
    import select
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


#: Forks again and again while four threads submit and read results.
FLOOD = """
pool = futures.ThreadPoolExecutor(3)
stop = threading.Event()
counts = [0] * 4
def flood(me):
    while not stop.is_set():
        pending = [pool.submit(abs, -i) for i in range(20)]
        assert [f.result(20) for f in pending] == list(range(20))
        counts[me] += 20
threads = [threading.Thread(target=flood, args=(i,)) for i in range(4)]
for thread in threads:
    thread.start()
def use():
    stop.set()
    assert pool.submit(abs, -1).result(4) == 1
    with futures.ThreadPoolExecutor(2) as own:
        assert own.submit(abs, -2).result(4) == 2
    assert list(pool.map(abs, range(10))) == list(range(10))
    pool.shutdown()
for i in range(int(sys.argv[1])):
    check(use)
stop.set()
for thread in threads:
    thread.join(20)
    assert not thread.is_alive()
assert all(counts)
pool.shutdown()
print("all forked")
"""


def run(script, source, **options):
    return script(IN_CHILD + source, flags=QUIET, **options)


def test_a_child_makes_a_pool_of_its_own(futures, script):
    outcome = run(
        script,
        """
pool = futures.ThreadPoolExecutor(2)
pool.submit(abs, 1).result()
def own():
    with futures.ThreadPoolExecutor(3) as inner:
        assert list(inner.map(abs, [-1, -2])) == [1, 2]
        barrier = threading.Barrier(3)
        for future in [inner.submit(barrier.wait, 4) for _ in range(3)]:
            future.result(4)
check(own)
print(pool.submit(abs, -1).result(20))
""",
    )
    assert outcome.check().lines == ["1"]


@pytest.mark.fault("the executor of a forked child", cap=1.5)
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_a_child_uses_the_inherited_pool(futures, script, workers, state):
    outcome = run(
        script,
        f"""
state = {state!r}
pool = futures.ThreadPoolExecutor({workers}, "name")
gate = threading.Event()
held = [pool.submit(gate.wait, 30) for _ in range({workers} if state == "busy" else 0)]
pending = [pool.submit(abs, -i) for i in range(3)]
if state == "idle":
    futures.wait(pending)

def use():
    assert pool.submit(abs, -5).result(4) == 5
    assert list(pool.map(abs, [-1, -2], timeout=4)) == [1, 2]
    barrier = threading.Barrier({workers})
    for future in [pool.submit(barrier.wait, 4) for _ in range({workers})]:
        future.result(4)
    assert len(pool._threads) <= {workers}
    assert all(t.is_alive() for t in pool._threads)
    pool.shutdown()
    try:
        pool.submit(abs, 1)
    except RuntimeError as exc:
        assert str(exc) == "cannot schedule new futures after shutdown"

check(use, use)
gate.set()
assert [f.result(20) for f in pending] == [0, 1, 2]
assert [f.result(20) for f in held] == [True] * len(held)
barrier = threading.Barrier({workers})
for future in [pool.submit(barrier.wait, 20) for _ in range({workers})]:
    future.result(20)
print("parent unaffected")
""",
        cap=20,
    )
    assert outcome.check().lines == ["parent unaffected"]


@pytest.mark.fault("the executor of a forked child", cap=1.5)
def test_inherited_unfinished_futures_are_cancelled_in_the_child(futures, script):
    outcome = run(
        script,
        """
pool = futures.ThreadPoolExecutor(1)
gate, entered = threading.Event(), threading.Event()
running = pool.submit(lambda: (entered.set(), gate.wait(30)) and "running")
entered.wait(20)
pending = pool.submit(abs, -1)
done = futures.ThreadPoolExecutor(1).submit(abs, -2)
done.result()

def ask(future):
    for call in future.result, future.exception:
        for arguments in (), (4,):
            try:
                call(*arguments)
            except futures.CancelledError:
                continue
            raise AssertionError("not cancelled")

def asked_running():
    ask(running)
def asked_pending():
    ask(pending)
def waited():
    finished, rest = futures.wait([running, pending, done], timeout=4)
    assert not rest, rest
def completed():
    assert len(list(futures.as_completed([running, pending, done], timeout=4))) == 3
def kept():
    assert done.result(0) == 2
def states():
    assert pending.done() and running.done()
    assert pending.cancelled() and running.cancelled()
    assert not running.running()
    repr(running), repr(pending)

check(asked_running, asked_pending, waited, completed, kept, states)
assert not running.done() and not pending.cancelled()
gate.set()
print(running.result(20), pending.result(20))
""",
        cap=20,
    )
    assert outcome.check().lines == ["running 1"]


def test_inherited_finished_futures_keep_their_results(futures, script):
    outcome = run(
        script,
        """
with futures.ThreadPoolExecutor(2) as pool:
    good = pool.submit(abs, -1)
    bad = pool.submit(int, "x")
    futures.wait([good, bad])
def look():
    assert good.result(0) == 1 and good.result() == 1
    assert isinstance(bad.exception(0), ValueError)
    assert futures.wait([good, bad], 4).not_done == set()
    seen = []
    good.add_done_callback(seen.append)
    assert seen == [good]
check(look)
""",
    )
    outcome.check()


def test_no_task_of_the_parent_runs_in_the_child(futures, script):
    outcome = run(
        script,
        """
ran = []
pool = futures.ThreadPoolExecutor(1)
gate = threading.Event()
pool.submit(gate.wait, 30)
for i in range(5):
    pool.submit(ran.append, i)
def look():
    time.sleep(0.1)
    gate.set()
    time.sleep(0.1)
    assert not ran
check(look)
gate.set()
pool.shutdown()
print(ran)
""",
    )
    assert outcome.check().lines == ["[0, 1, 2, 3, 4]"]


def test_no_callback_runs_in_the_child_hook(futures, script):
    outcome = run(
        script,
        """
ran = []
pool = futures.ThreadPoolExecutor(1)
gate = threading.Event()
futures_made = [pool.submit(gate.wait, 30)] + [pool.submit(abs, i) for i in range(5)]
for future in futures_made:
    future.add_done_callback(ran.append)
def look():
    assert not ran
check(look)
gate.set()
pool.shutdown()
print(len(ran))
""",
    )
    assert outcome.check().lines == ["6"]


def test_fork_from_a_worker(futures, script):
    outcome = run(
        script,
        """
pool = futures.ThreadPoolExecutor(2)
def own():
    with futures.ThreadPoolExecutor(2) as inner:
        assert inner.submit(abs, -1).result(4) == 1
print(pool.submit(in_child, own).result(20))
print(pool.submit(abs, -1).result(20))
""",
    )
    assert outcome.check().lines == ["None", "1"]


@pytest.mark.fault("the executor of a forked child", cap=1.5)
def test_fork_from_a_worker_whose_child_uses_the_pool(futures, script):
    outcome = run(
        script,
        """
pool = futures.ThreadPoolExecutor(1)
def use():
    assert pool.submit(abs, -1).result(4) == 1
print(pool.submit(in_child, use).result(20))
print(pool.submit(abs, -1).result(20))
""",
        cap=20,
    )
    assert outcome.check().lines == ["None", "1"]


@pytest.mark.fault("the executor of a forked child", cap=1.5)
def test_a_grandchild_uses_the_pool(futures, script):
    outcome = run(
        script,
        """
pool = futures.ThreadPoolExecutor(2)
pool.submit(abs, -1).result()
def use():
    assert pool.submit(abs, -1).result(4) == 1
def child():
    use()
    assert in_child(use) is None
    use()
check(child)
print("done")
""",
        cap=20,
    )
    assert outcome.check().lines == ["done"]


@pytest.mark.stress
@pytest.mark.slow
@pytest.mark.fault("the executor of a forked child", cap=1.5)
def test_fork_while_four_threads_submit(futures, script):
    """No lock of a pool is held for ever in the child, wherever others were."""
    outcome = script(IN_CHILD + FLOOD, "20", flags=QUIET, cap=50)
    assert outcome.check().lines == ["all forked"]


def test_a_child_drops_the_inherited_pool(futures, script):
    outcome = run(
        script,
        """
import weakref
pool = futures.ThreadPoolExecutor(2)
gate = threading.Event()
kept = [pool.submit(gate.wait, 30) for _ in range(2)] + [pool.submit(abs, 1)]
def drop():
    global pool, kept
    reference = weakref.ref(pool)
    pool = kept = None
    gc.collect()
    assert reference() is None
check(drop)
gate.set()
assert kept[-1].result(20) == 1
""",
    )
    outcome.check()


@pytest.mark.parametrize("wait", [True, False])
def test_a_child_shuts_the_inherited_pool_down(futures, script, wait):
    """shutdown does not wait for threads that are not in this process."""
    outcome = run(
        script,
        f"""
pool = futures.ThreadPoolExecutor(2)
gate = threading.Event()
held = [pool.submit(gate.wait, 30) for _ in range(2)]
def stop():
    pool.shutdown(wait={wait})
check(stop)
gate.set()
pool.shutdown()
""",
    )
    outcome.check()


@pytest.mark.fault("gh-88110")
@pytest.mark.parametrize("state", ["idle", "busy"])
def test_gh88110_a_forked_process_exits_with_0_beside_a_live_pool(
    futures, script, state
):
    """The child's own exit joins no thread that stayed in the parent."""
    outcome = run(
        script,
        f"""
import multiprocessing
pool = futures.ThreadPoolExecutor(2)
gate = threading.Event()
held = pool.submit(gate.wait, 30) if {state == "busy"} else pool.submit(abs, 1)
{"" if state == "busy" else "held.result()"}
process = multiprocessing.get_context("fork").Process(target=print, args=("child",))
process.start()
process.join(10)
print(process.exitcode, flush=True)
process.kill()
process.join()
process.close()
gate.set()
print(pool.submit(abs, -1).result(20))
""",
        cap=20,
    )
    assert outcome.check().lines == ["child", "0", "1"]


@pytest.mark.fault("the executor of a forked child", cap=1.5)
def test_a_forked_process_that_uses_the_pool_exits_with_0(futures, script):
    outcome = run(
        script,
        """
import multiprocessing
pool = futures.ThreadPoolExecutor(2)
pool.submit(abs, 1).result()
def use():
    print(pool.submit(abs, -1).result(4))
    pool.submit(print, "left behind")
process = multiprocessing.get_context("fork").Process(target=use)
process.start()
process.join(8)
print(process.exitcode)
process.kill()
""",
        cap=20,
    )
    assert outcome.check().lines == ["1", "left behind", "0"]


@pytest.mark.fault("gh-88110")
def test_gh88110_a_child_that_exits_normally(futures, script):
    """Not by os._exit: the child runs the whole end of the interpreter."""
    outcome = run(
        script,
        """
pool = futures.ThreadPoolExecutor(2)
pool.submit(abs, 1).result()
pid = os.fork()
if pid == 0:
    with futures.ThreadPoolExecutor(1) as own:
        print(own.submit(abs, -3).result(20))
    sys.exit(0)
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status), pool.submit(abs, -1).result(20))
""",
    )
    assert outcome.check().lines == ["3", "0 1"]


def test_a_subprocess_can_be_started_from_tasks(futures):
    def spawn(i):
        command = [sys.executable, "-S", "-E", "-c", f"print({i})"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    with futures.ThreadPoolExecutor(3) as pool:
        outputs = list(pool.map(spawn, range(6)))
    assert [int(output) for output in outputs] == list(range(6))


def test_a_process_pool_fed_by_threads(futures, script):
    outcome = run(
        script,
        """
import multiprocessing
with futures.ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as processes:
    with futures.ThreadPoolExecutor(4) as threads:
        def work(i):
            return processes.submit(abs, -i).result(20)
        print(sum(threads.map(work, range(20))))
""",
    )
    assert outcome.check().lines == ["190"]
