"""shutdown() in all its forms, the end of the interpreter, and that of others."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest
from support.waiting import until

from . import jobs
from .kit import AFTER, PROLOGUE, QUIET, gone

# --- shutdown() ------------------


def test_waiting_shutdown_ends_after_the_last_call(make):
    pool = make(2)
    pending = [pool.submit(jobs.nap, 0.002, i) for i in range(20)]
    processes = list(pool._processes.values())
    assert pool.shutdown() is None
    assert [future.result(0) for future in pending] == list(range(20))
    assert not any(process.is_alive() for process in processes)
    assert {process.exitcode for process in processes} == {0}


def test_shutdown_without_waiting_returns_at_once_and_runs_what_is_left(make, gate):
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(abs, -i) for i in range(20)]
    processes = list(pool._processes.values())
    thread = pool._executor_manager_thread
    pool.shutdown(wait=False)
    assert not held.done()
    assert not any(future.done() for future in pending)
    gate.open()
    assert [future.result(20) for future in pending] == list(range(20))
    thread.join(20)
    assert not thread.is_alive()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize("arguments", [(), (True,), (False,)], ids=repr)
def test_shutdown_of_a_pool_that_was_never_used(make, arguments):
    pool = make(2)
    pool.shutdown(*arguments)
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)


def test_submit_and_map_after_shutdown_raise(make):
    pool = make(2)
    pool.submit(abs, 1)
    pool.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=AFTER):
            pool.submit(abs, 1)
        with pytest.raises(RuntimeError, match=AFTER):
            pool.map(abs, [1])
    assert list(pool.map(abs, [])) == []
    assert pool._shutdown_thread is True


def test_shutdown_again_and_again(make, gate):
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold, 1)
    gate.wait_begun()
    pool.shutdown(wait=False)
    pool.shutdown(False)
    pool.shutdown(wait=False, cancel_futures=True)
    gate.open()
    pool.shutdown()
    pool.shutdown(True)
    assert held.result(30) == 1


@pytest.mark.fault("shutdown() beside shutdown()", cap=3)
def test_shutdown_from_several_threads(make):
    for _ in range(5):
        pool = make(1)
        pending = [pool.submit(abs, -i) for i in range(20)]
        threads = [threading.Thread(target=pool.shutdown) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert [future.result(30) for future in pending] == list(range(20))


def test_a_context_manager_waits_and_swallows_nothing(make):
    with pytest.raises(ZeroDivisionError), make(1) as pool:
        future = pool.submit(jobs.nap, 0.02, 1)
        raise ZeroDivisionError
    assert future.result(0) == 1


def test_cancel_futures_leaves_nothing_unfinished(make, gate):
    pool = make(2, **gate.options)
    held = [pool.submit(jobs.hold, i) for i in range(2)]
    gate.wait_begun(2)
    pending = [pool.submit(abs, -i) for i in range(50)]
    stopper = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
    stopper.start()
    until(lambda: pending[-1].cancelled())
    gate.open()
    stopper.join(30)
    assert not stopper.is_alive()
    assert all(future.done() for future in pending)
    assert sum(future.cancelled() for future in pending) >= 45
    assert [future.result(0) for future in held] == [0, 1]


def test_shutdown_from_a_callback(make):
    pool = make(1)
    called = threading.Event()

    def stop(future):
        pool.shutdown(wait=False)
        called.set()

    first = pool.submit(jobs.nap, 0.05, 1)
    first.add_done_callback(stop)
    last = pool.submit(abs, -2)
    assert called.wait(30)
    assert (first.result(0), last.result(30)) == (1, 2)
    with pytest.raises(RuntimeError, match=AFTER):
        pool.submit(abs, 1)


def test_a_waiting_shutdown_from_a_callback_is_an_error(make, caplog):
    """The pool's thread would wait for itself; threading refuses that."""
    pool = make(1)
    called = threading.Event()
    first = pool.submit(jobs.nap, 0.05, 1)
    first.add_done_callback(lambda f: pool.shutdown())
    first.add_done_callback(lambda f: called.set())
    assert called.wait(30)
    assert "cannot join current thread" in caplog.text
    caplog.clear()
    pool.shutdown()
    assert first.result(0) == 1


@pytest.mark.stress
def test_submit_racing_shutdown(make, rng):
    """Every future that submit() gave ends, every refusal has its text."""
    for _ in range(5):
        pool = make(1)
        pool.submit(abs, 1).result(30)
        accepted, refused = [], []
        start = threading.Barrier(4)

        def flood(pool=pool, start=start, accepted=accepted, refused=refused):
            start.wait(30)
            while True:
                try:
                    accepted.append(pool.submit(abs, -1))
                except RuntimeError as exc:
                    refused.append(str(exc))
                    return

        threads = [threading.Thread(target=flood) for _ in range(3)]
        for thread in threads:
            thread.start()
        start.wait(30)
        time.sleep(rng.random() * 0.02)
        pool.shutdown()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert {future.result(0) for future in accepted} <= {1}
        assert refused == ["cannot schedule new futures after shutdown"] * 3


@pytest.mark.fault("gh-94440")
def test_gh94440_submit_cancel_and_shutdown(make):
    for _ in range(20):
        pool = make(1)
        pool.submit(abs, 1).cancel()
        pool.shutdown(wait=True)


@pytest.mark.parametrize("operation", ["terminate_workers", "kill_workers"])
def test_workers_that_are_ended_by_force(futures, make, gate, operation):
    if not hasattr(futures.ProcessPoolExecutor, operation):
        pytest.skip("came with Python 3.14")
    pool = make(2, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(jobs.hold) for _ in range(10)]
    thread = pool._executor_manager_thread
    processes = list(pool._processes.values())
    getattr(pool, operation)()
    assert isinstance(held.exception(30), futures.process.BrokenProcessPool)
    for future in pending:
        try:
            error = future.exception(30)
        except futures.CancelledError:
            continue
        assert isinstance(error, futures.process.BrokenProcessPool)
    thread.join(30)
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(RuntimeError):
        pool.submit(abs, 1)
    getattr(pool, operation)()


# --- collection ------------------


def test_a_dropped_executor_finishes_its_work(make, futures, context, gate):
    pool = futures.ProcessPoolExecutor(1, context, **gate.options)
    held = pool.submit(jobs.hold, "held")
    gate.wait_begun()
    pending = [pool.submit(abs, -i) for i in range(20)]
    thread = pool._executor_manager_thread
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert reference() is None
    assert not held.done()
    gate.open()
    assert held.result(30) == "held"
    assert [future.result(30) for future in pending] == list(range(20))
    thread.join(30)
    assert not thread.is_alive()


def test_a_dropped_idle_executor_lets_its_workers_leave(futures, context):
    pool = futures.ProcessPoolExecutor(1, context)
    assert pool.submit(abs, -1).result(30) == 1
    processes = list(pool._processes.values())
    thread = pool._executor_manager_thread
    del pool
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()
    assert not any(process.is_alive() for process in processes)


@pytest.mark.parametrize("way", ["shut down", "dropped"])
def test_nothing_is_computed_while_the_last_calls_run(futures, context, way):
    pool = futures.ProcessPoolExecutor(1, context)
    assert pool.submit(abs, -1).result(30) == 1
    pool.submit(time.sleep, 0.5)
    thread = pool._executor_manager_thread
    began, used = time.monotonic(), time.process_time()
    if way == "shut down":
        pool.shutdown(wait=False)
    del pool
    gc.collect()
    thread.join(30)
    assert not thread.is_alive()
    used = time.process_time() - used
    assert used < (time.monotonic() - began) / 2, used


def test_an_executor_in_a_cycle_is_collected(futures, context):
    pool = futures.ProcessPoolExecutor(1, context)
    assert pool.submit(abs, -1).result(30) == 1
    pool.itself = pool
    reference = weakref.ref(pool)
    del pool
    gc.collect()
    assert reference() is None


# --- the end of the interpreter ------------------


def run(script, source, method, **options):
    prologue = f"{PROLOGUE}\ncontext = multiprocessing.get_context({method!r})\n"
    return script(prologue + source, flags=QUIET, **options)


ENDS = {
    "nothing": "",
    "del": "del pool",
    "sys.exit": "sys.exit(0)",
    "no wait": "pool.shutdown(wait=False)",
    "an idle one": "[f.result() for f in pending]",
}


@pytest.mark.parametrize("end", ENDS)
def test_exit_runs_what_is_left(futures, script, method, end):
    outcome = run(
        script,
        f"""
pool = futures.ProcessPoolExecutor(2, context)
pending = [pool.submit(jobs.nap, 0.01, i) for i in range(6)]
for future in pending:
    future.add_done_callback(lambda f: print(f.result()))
{ENDS[end]}
""",
        method,
    )
    assert sorted(outcome.check().lines) == list("012345")
    assert outcome.stderr == ""


@pytest.mark.fault("gh-83386")
def test_gh83386_exit_after_shutdown_without_waiting(futures, script, method):
    for arguments in "wait=False", "wait=False, cancel_futures=True":
        outcome = run(
            script,
            f"""
pool = futures.ProcessPoolExecutor(1, context)
future = pool.submit(jobs.identity, 1)
pool.shutdown({arguments})
""",
            method,
        )
        outcome.check()
        assert outcome.stderr == ""


def test_exit_by_an_exception(futures, script, method):
    outcome = run(
        script,
        """
pool = futures.ProcessPoolExecutor(1, context)
pool.submit(jobs.nap, 0.05)
raise ValueError("main")
""",
        method,
    )
    outcome.check(1)
    assert outcome.stderr.rstrip().endswith("ValueError: main")
    assert outcome.stderr.count("Traceback") == 1


def test_submit_at_exit_has_its_text(futures, script, method):
    outcome = run(
        script,
        """
import atexit
def late():
    for pool in used, fresh:
        try:
            pool.submit(abs, 1)
        except RuntimeError as exc:
            print(exc)
atexit.register(late)
used = futures.ProcessPoolExecutor(1, context)
fresh = futures.ProcessPoolExecutor(1, context)
used.submit(abs, 1).result()
""",
        method,
    )
    used, fresh = outcome.check().lines
    assert fresh == "cannot schedule new futures after interpreter shutdown"
    assert used in (fresh, "cannot schedule new futures after shutdown")


def test_finalizers_that_run_early_refuse_no_calls(futures, script, method):
    """As CPython's tests run them when a module is done; the program goes on."""
    if method == "forkserver":
        pytest.skip("multiprocessing's own fork server does not survive them")
    outcome = run(
        script,
        """
import multiprocessing.util
with futures.ProcessPoolExecutor(1, context) as pool:
    print(pool.submit(abs, -1).result())
multiprocessing.util._run_finalizers()
with futures.ProcessPoolExecutor(1, context) as pool:
    print(pool.submit(abs, -2).result())
with futures.ThreadPoolExecutor(1) as threads:
    print(threads.submit(abs, -3).result())
""",
        method,
    )
    assert outcome.check().lines == ["1", "2", "3"]


def test_exit_beside_a_broken_pool(futures, script, method):
    outcome = run(
        script,
        """
pool = futures.ProcessPoolExecutor(2, context)
future = pool.submit(jobs.act, "kill")
print(type(future.exception()).__name__)
""",
        method,
    )
    assert outcome.check().lines == ["BrokenProcessPool"]


@pytest.mark.fault("gh-121649", cap=3)
def test_gh121649_shutdown_from_a_signal_handler_during_submits(
    futures, script, method
):
    outcome = run(
        script,
        """
def stop(number, frame):
    pool.shutdown(wait=False, cancel_futures=True)
signal.signal(signal.SIGALRM, stop)
for i in range(3):
    pool = futures.ProcessPoolExecutor(1, context)
    pool.submit(abs, 1).result()
    signal.setitimer(signal.ITIMER_REAL, 0.02 + i * 0.001)
    pending = []
    try:
        while True:
            pending.append(pool.submit(abs, -1))
    except RuntimeError as exc:
        print(exc)
    done, rest = futures.wait(pending, 20)
    assert not rest
""",
        method,
    )
    text = "cannot schedule new futures after shutdown"
    assert outcome.check().lines == [text] * 3


# --- Ctrl-C ------------------

INTERRUPTED = """
pool = futures.ProcessPoolExecutor(2, context)
pending = [pool.submit(jobs.nap, {seconds}) for _ in range({count})]
futures.wait(pending[:2], 0 if {seconds} else 20)
time.sleep(0.5 if {seconds} else 0)
print(*pool._processes, flush=True)
threading.Timer(0.2, os.killpg, (0, signal.SIGINT)).start()
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
pool.shutdown(cancel_futures=True)
assert all(future.done() for future in pending)
print("end")
"""


@pytest.mark.fault("gh-125886", cap=4)
@pytest.mark.parametrize("seconds, count", [(30, 6), (0, 2)], ids=["busy", "idle"])
def test_gh125886_ctrl_c_to_the_group(futures, script, method, seconds, count):
    """It ends once; nobody has to read the tracebacks of workers."""
    wait = "[f.result() for f in pending]" if seconds else "time.sleep(20)"
    source = INTERRUPTED.format(seconds=seconds, count=count, wait=wait)
    outcome = run(script, source, method)
    outcome.check()
    assert outcome.lines[-1] == "end"
    assert "interrupted" in outcome.lines or seconds
    assert "Traceback" not in outcome.stderr
    assert all(gone(int(pid)) for pid in outcome.lines[0].split())


@pytest.mark.fault("gh-125886", cap=4)
def test_ctrl_c_that_nobody_catches(futures, script, method):
    outcome = run(
        script,
        """
pool = futures.ProcessPoolExecutor(2, context)
pending = [pool.submit(jobs.nap, 30) for _ in range(5)]
time.sleep(0.5)
threading.Timer(0.1, os.killpg, (0, signal.SIGINT)).start()
with pool:
    time.sleep(20)
""",
        method,
    )
    assert not outcome.timed_out, outcome.describe()
    assert outcome.returncode in (1, -signal.SIGINT), outcome.describe()
    assert outcome.stderr.count("Traceback") == 1, outcome.describe()


@pytest.mark.fault("Ctrl-C in the middle of a wait leaves a future's lock held")
def test_ctrl_c_lets_calls_clean_up(futures, script, method, tmp_path):
    """However long others take: each ends by itself, and what it returns counts."""
    path = tmp_path / "marks"
    outcome = run(
        script,
        f"""
path = {str(path)!r}
pool = futures.ProcessPoolExecutor(3, context)
pending = [pool.submit(jobs.clean_up, path, seconds) for seconds in (0, 0.3, 0.6)]
def interrupt():
    while not os.path.exists(begun) or os.path.getsize(begun) < 3:
        time.sleep(0.01)
    time.sleep(0.1)
    os.killpg(0, signal.SIGINT)
begun = path + ".begun"
threading.Thread(target=interrupt).start()
try:
    futures.wait(pending)
    time.sleep(20)
except KeyboardInterrupt:
    pass
futures.wait(pending)
print([future.result() for future in pending])
try:
    pool.shutdown()
except KeyboardInterrupt:
    pass
""",
        method,
    )
    assert outcome.check().lines == ["['caught', 'caught', 'caught']"]
    assert path.read_bytes() == b"xxx"


# --- the parent is killed ------------------

ORPHANS = """
pool = futures.ProcessPoolExecutor(2, context)
pids = set()
while len(pids) < 2:
    pids.update(pool.map(jobs.pid_after, [0.05] * 4))
if {busy}:
    for _ in range(2):
        pool.submit(jobs.nap, {busy})
    time.sleep(0.1)
else:
    time.sleep(0.1)
print(*pids, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def shared_memory():
    """The names in /dev/shm that any pool of ours could have made."""
    return {name for name in os.listdir("/dev/shm") if "futures" in name}


@pytest.mark.fault("orphans", cap=3)
@pytest.mark.parametrize("busy", [0, 1.5], ids=["idle", "busy"])
def test_workers_leave_when_the_parent_is_killed(futures, orphans, method, busy):
    """Idle ones within a second, busy ones after their call."""
    before = shared_memory()
    start, pids = orphans(ORPHANS.format(busy=busy), method)
    until(lambda: all(gone(pid) for pid in pids), 20)
    took = time.monotonic() - start
    # Some room for a busy machine: a worker that looks too seldom takes longer.
    assert took < busy + 4, took
    assert took > busy * 0.5 - 0.1
    assert shared_memory() == before


QUEUED = """
pool = futures.ProcessPoolExecutor(2, context)
pids = set()
while len(pids) < 2:
    pids.update(pool.map(jobs.pid_after, [0.05] * 4))
if {batch}:
    pool.map(jobs.leave_a_mark, [{path!r}] * 100, [0.1] * 100)
else:
    for _ in range(100):
        pool.submit(jobs.leave_a_mark, {path!r}, 0.1)
time.sleep(0.25)
print(*pids, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.fault("orphans", cap=3)
@pytest.mark.parametrize("batch", [False, True], ids=["submit", "map"])
def test_what_is_queued_dies_with_the_parent(futures, orphans, method, batch, tmp_path):
    path = tmp_path / "marks"
    _, pids = orphans(QUEUED.format(batch=batch, path=str(path)), method)
    before = len(path.read_bytes())
    until(lambda: all(gone(pid) for pid in pids), 20)
    # One call each was running; a busy machine may be late with the killing.
    assert before >= 2
    assert len(path.read_bytes()) <= before + 10


@pytest.fixture
def orphans(futures, tmp_path):
    """Run a script that kills itself; give when, and what it printed."""
    pids = []

    def run(source, method):
        name = futures.__name__
        head = f"import {name} as futures\n{PROLOGUE}\n"
        head += f"context = multiprocessing.get_context({method!r})\n"
        process = subprocess.Popen(
            [sys.executable, "-P", *QUIET, "-c", head + source],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        with process:
            pids.extend(map(int, process.stdout.readline().split()))
            process.stdout.close()
            process.wait(30)
            start = time.monotonic()
        assert process.returncode == -signal.SIGKILL
        assert len(pids) == 2
        return start, pids

    yield run
    for pid in pids:
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)
