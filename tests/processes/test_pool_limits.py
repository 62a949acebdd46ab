"""When the system refuses, when workers are replaced, and when rings are full."""

import contextlib
import multiprocessing
import multiprocessing.popen_fork
import multiprocessing.popen_forkserver
import multiprocessing.popen_spawn_posix
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from support.waiting import until

from . import jobs
from .kit import PROLOGUE, QUIET, usable


def run(script, source, method, **options):
    prologue = f"{PROLOGUE}\ncontext = multiprocessing.get_context({method!r})\n"
    return script(prologue + source, flags=QUIET, **options)


# --- a worker that cannot be started ------------------


@pytest.fixture
def launching(monkeypatch, method):
    """Have `launching.hook()` called before each start of a process."""
    module = {
        "fork": multiprocessing.popen_fork,
        "spawn": multiprocessing.popen_spawn_posix,
        "forkserver": multiprocessing.popen_forkserver,
    }[method]
    launch = module.Popen._launch

    class Launching:
        hook = staticmethod(lambda: None)

    def patched(self, process_obj):
        Launching.hook()
        return launch(self, process_obj)

    monkeypatch.setattr(module.Popen, "_launch", patched)
    return Launching


@pytest.fixture
def no_processes(launching):
    """Switch the start of processes off and on: no_processes(True) breaks it."""

    def refuse():
        raise OSError(11, "no more processes")

    def switch(broken):
        launching.hook = refuse if broken else lambda: None

    return switch


def test_submit_raises_when_no_worker_can_be_started(make, no_processes):
    pool = make(2)
    no_processes(True)
    with pytest.raises(OSError, match="no more processes"):
        pool.submit(abs, -1)
    no_processes(False)
    pool.shutdown()


@pytest.mark.fault("a worker that cannot be started")
def test_the_executor_works_when_workers_start_again(make, no_processes):
    pool = make(2)
    no_processes(True)
    for _ in range(3):
        with pytest.raises(OSError, match="no more processes"):
            pool.submit(abs, -1)
    no_processes(False)
    usable(pool)
    assert list(pool.map(abs, range(-5, 0), timeout=20)) == [5, 4, 3, 2, 1]
    pool.shutdown()


@pytest.mark.fault("a worker that cannot be started")
def test_a_call_that_was_refused_never_runs(make, gate, no_processes):
    pool = make(1, **gate.options)
    gate.open()
    no_processes(True)
    with pytest.raises(OSError):
        pool.submit(jobs.hold, "refused")
    no_processes(False)
    assert pool.submit(jobs.hold, "accepted").result(20) == "accepted"
    assert gate.wait_begun() == ["accepted"] and not gate.has_begun()
    pool.shutdown()


@pytest.mark.fault("a worker that cannot be started")
def test_a_pool_with_a_worker_goes_on_with_it(make, gate, no_processes, method):
    """Each submit raises, or gives a future that ends."""
    if method == "fork":
        pytest.skip("all workers are forked before the first call")
    pool = make(3, **gate.options)
    held = pool.submit(jobs.hold, "held")
    gate.wait_begun()
    no_processes(True)
    accepted = []
    for i in range(20):
        try:
            accepted.append((i, pool.submit(abs, -i)))
        except OSError as exc:
            assert "no more processes" in str(exc)
    gate.open()
    assert held.result(30) == "held"
    for i, future in accepted:
        assert future.result(20) == i
    no_processes(False)
    usable(pool)
    pool.shutdown()


def test_a_worker_whose_start_ends_after_the_pool_has_broken(
    futures, make, gate, launching, method
):
    """Nobody has told it so far that there is nothing to do."""
    if method == "fork":
        pytest.skip("all workers are forked before there is anything to break")
    pool = make(2, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    (victim,) = pool._processes

    def hook():
        os.kill(victim, signal.SIGKILL)
        with contextlib.suppress(AssertionError):
            until(lambda: pool._broken, 0.5)

    launching.hook = hook
    with contextlib.suppress(futures.BrokenExecutor):
        pool.submit(abs, -1).exception(20)
    assert isinstance(held.exception(20), futures.BrokenExecutor)
    pool.shutdown()
    left = multiprocessing.active_children()
    try:
        until(lambda: not multiprocessing.active_children(), 5)
    finally:
        for child in left:
            child.kill()
            child.join()


@pytest.mark.parametrize("end", ["shutdown", "terminate_workers"])
def test_a_worker_whose_start_ends_after_shutdown(
    futures, make, launching, method, end
):
    """Whoever started it waits for its end, since the pool's thread has gone."""
    if futures.__name__ != "futures_c":
        pytest.skip("the standard shutdown() waits for the submit()")
    if method == "fork":
        pytest.skip("all workers are forked before there is a thread")
    pool = make(2)
    if not hasattr(pool, end):
        pytest.skip(f"{end}() came with 3.14")
    assert pool.submit(abs, -1).result(60) == 1
    starting, go = threading.Event(), threading.Event()

    def hook():
        starting.set()
        go.wait(60)

    launching.hook = hook
    outcomes = []

    def submit():
        try:
            pending = [pool.submit(abs, -i) for i in range(3)]
            outcomes.extend(future.exception(60) for future in pending)
        except RuntimeError as error:
            outcomes.append(error)

    def finish():
        getattr(pool, end)()

    submitting = threading.Thread(target=submit)
    held = pool.submit(time.sleep, 0.2)
    submitting.start()
    assert starting.wait(60)
    ending = threading.Thread(target=finish)
    ending.start()
    held.exception(60)
    ending.join(0.5)
    go.set()
    ending.join(60)
    submitting.join(60)
    assert not ending.is_alive() and not submitting.is_alive()
    assert outcomes
    assert not multiprocessing.active_children()


def others_may_run(path):
    """Whether a user who is not root gets at the interpreter."""
    path = Path(path).resolve()
    return all(one.stat().st_mode & 0o001 for one in (path, *path.parents))


@pytest.mark.skipif(os.getuid() != 0, reason="sets limits for another user")
@pytest.mark.unsanitized(
    "address", reason="it looks for leaks from a process of its own"
)
@pytest.mark.fault("RLIMIT_NPROC", cap=3)
def test_no_more_processes(futures, script, method):
    """Every future ends, or submit() raises; nothing hangs."""
    if not others_may_run(sys.executable):
        pytest.skip("the interpreter is where no other user may go")
    outcome = run(
        script,
        """
import resource
pool = futures.ProcessPoolExecutor(8, context)
if context.get_start_method() == "forkserver":
    from multiprocessing.forkserver import ensure_running
    ensure_running()
resource.setrlimit(resource.RLIMIT_NPROC, (3, 3))
pending = []
for i in range(10):
    try:
        pending.append(pool.submit(abs, -i))
    except (OSError, EOFError, RuntimeError) as exc:
        pass
done, rest = futures.wait(pending, 20)
assert not rest
pool.shutdown()
print("end")
""",
        method,
        uid=12321,
        cap=25,
        env={"HOME": "/tmp", "TMPDIR": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert outcome.check().lines == ["end"]


@pytest.mark.fault("RLIMIT_NOFILE", cap=3)
@pytest.mark.parametrize("spare", range(0, 16, 3))
def test_no_more_descriptors(futures, script, method, spare):
    """Wherever they run out: an error, or a pool that works."""
    outcome = run(
        script,
        f"""
import resource
with futures.ProcessPoolExecutor(1, context) as warm:
    warm.submit(abs, -1).result()
wait = futures.wait  # What is imported later needs descriptors as well.
used = max(map(int, os.listdir("/proc/self/fd")))
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (used + {spare}, limits[1]))
pool = None
pending = []
try:
    pool = futures.ProcessPoolExecutor(2, context)
    for i in range(5):
        pending.append(pool.submit(abs, -i))
except (OSError, EOFError, RuntimeError) as exc:
    print(type(exc).__name__)
done, rest = wait(pending, 10)
assert not rest
if pool is not None:
    pool.shutdown()
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
# The fork server may have died of what it got; that is multiprocessing's.
other = multiprocessing.get_context("spawn")
with futures.ProcessPoolExecutor(1, other) as pool:
    assert pool.submit(abs, -1).result(10) == 1
print("end")
""",
        method,
        cap=25,
    )
    assert outcome.check().lines[-1] == "end"


def test_more_workers_than_anybody_needs(make, method):
    if method == "fork":
        pytest.skip("all of them would be forked")
    pool = make(1000)
    assert pool.submit(abs, -1).result(30) == 1
    assert len(pool._processes) == 1
    pool.shutdown()


# --- workers that leave after some calls ------------------

REPLACING = pytest.mark.parametrize("method", ["spawn", "forkserver"], indirect=True)


@REPLACING
@pytest.mark.parametrize("workers, tasks, calls", [(1, 1, 4), (1, 2, 6), (2, 2, 8)])
@pytest.mark.fault("gh-115634", cap=3)
def test_gh115634_all_calls_run(make, workers, tasks, calls):
    pool = make(workers, max_tasks_per_child=tasks)
    pids = list(pool.map(jobs.pid, range(calls), timeout=30))
    assert len(pids) == calls
    assert max(pids.count(pid) for pid in pids) <= tasks
    assert len(set(pids)) >= calls / tasks
    pool.shutdown()


@REPLACING
@pytest.mark.fault("gh-115634", cap=3)
def test_one_call_at_a_time_on_workers_that_leave(make):
    pool = make(1, max_tasks_per_child=2)
    pids = [pool.submit(jobs.pid).result(30) for _ in range(6)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4] == pids[5]
    pool.shutdown()


@REPLACING
@pytest.mark.fault("gh-119592", cap=3)
def test_gh119592_shutdown_without_waiting_replaces_workers(make):
    pool = make(1, max_tasks_per_child=1)
    pending = [pool.submit(jobs.identity, i) for i in range(4)]
    pool.shutdown(wait=False)
    assert [future.result(30) for future in pending] == list(range(4))


@REPLACING
@pytest.mark.fault("gh-152967", cap=3)
def test_gh152967_a_dropped_executor_says_so(futures, make, context, gate):
    pool = futures.ProcessPoolExecutor(
        1, context, max_tasks_per_child=1, **gate.options
    )
    pending = [pool.submit(jobs.hold, i) for i in range(3)]
    gate.wait_begun()
    thread = pool._executor_manager_thread
    del pool
    gate.open()
    assert pending[0].result(30) == 0
    for future in pending[1:]:
        error = future.exception(30)
        assert isinstance(error, futures.process.BrokenProcessPool)
        assert "garbage collected" in str(error)
    thread.join(30)


@REPLACING
@pytest.mark.fault("gh-132969", cap=3)
def test_gh132969_an_error_after_shutdown_without_waiting(make):
    pool = make(1, max_tasks_per_child=1)
    pending = [pool.submit(jobs.fail, ValueError, i) for i in range(3)]
    pool.shutdown(wait=False)
    assert [future.exception(30).args for future in pending] == [(0,), (1,), (2,)]


@REPLACING
@pytest.mark.fault("no replacement for a worker", cap=3)
def test_a_replacement_that_cannot_be_started(futures, make, gate, no_processes):
    pool = make(1, max_tasks_per_child=1, **gate.options)
    pending = [pool.submit(jobs.hold, i) for i in range(3)]
    gate.wait_begun()
    no_processes(True)
    gate.open()
    assert pending[0].result(30) == 0
    for future in pending[1:]:
        error = future.exception(30)
        assert isinstance(error, futures.process.BrokenProcessPool)
        assert "could not be started" in str(error)
        assert "no more processes" in str(error.__cause__)
    until(lambda: pool._broken)
    pool.shutdown()


@REPLACING
@pytest.mark.fault("gh-115634", cap=3)
def test_cancelled_and_failed_calls_on_workers_that_leave(make, gate):
    """What was cancelled does not count; what failed does."""
    pool = make(1, max_tasks_per_child=2, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    cancelled = [pool.submit(jobs.pid) for _ in range(6)]
    assert all(future.cancel() for future in cancelled)
    failed = pool.submit(jobs.act, "exception")
    pids = [pool.submit(jobs.pid) for _ in range(4)]
    gate.open()
    held.result(30)
    assert type(failed.exception(30)) is jobs.Trouble
    found = [future.result(30) for future in pids]
    assert found[0] == found[1] != found[2] == found[3]
    pool.shutdown()


# --- many calls ------------------


def test_more_pending_calls_than_the_ring_has_slots(make, gate):
    """submit() does not wait, and what cannot be pickled is no exception."""
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [
        pool.submit(jobs.identity, (lambda: None) if i % 500 == 7 else i)
        for i in range(10_000)
    ]
    cancelled = pending[3::100]
    for future in cancelled:
        future.cancel()
    gate.open()
    held.result(30)
    for i, future in enumerate(pending):
        if i % 500 == 7:
            assert future.exception(30) is not None
        elif future.cancelled():
            assert i % 100 == 3
        else:
            assert future.result(30) == i
    pool.shutdown()


def test_more_pending_bytes_than_the_segment_holds(make, gate):
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    text = bytes(100_000)
    pending = [pool.submit(len, text) for _ in range(1500)]
    gate.open()
    held.result(30)
    assert {future.result(50) for future in pending} == {100_000}
    pool.shutdown()


def test_cancel_futures_with_more_calls_than_slots(make, gate):
    pool = make(1, **gate.options)
    pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(abs, i) for i in range(9000)]
    stopper = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
    stopper.start()
    until(lambda: pending[-1].cancelled())
    gate.open()
    stopper.join(30)
    assert not stopper.is_alive()
    assert all(future.done() for future in pending)


@pytest.mark.fault("gh-105829", cap=5)
def test_gh105829_submit_and_drop(make):
    pool = make(1)
    for i in range(30_000):
        pool.submit(abs, i)
    pool.shutdown()


# --- /dev/shm ------------------

#: Runs in a mount namespace of its own, where /dev/shm is as given.
SHM = """
import ctypes
CLONE_NEWNS, MS_REC, MS_PRIVATE, MS_RDONLY = 0x20000, 0x4000, 1 << 18, 1
libc = ctypes.CDLL(None, use_errno=True)
def must(status):
    if status != 0:
        print("refused")
        sys.exit(0)
must(libc.unshare(CLONE_NEWNS))
must(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
"""

READ_ONLY = 'must(libc.mount(b"none", b"/dev/shm", b"tmpfs", MS_RDONLY, None))'
FULL = """
must(libc.mount(b"none", b"/dev/shm", b"tmpfs", 0, b"size=4096"))
with open("/dev/shm/full", "wb") as file:
    file.write(bytes(4096))
"""

USE = """
pool = futures.ProcessPoolExecutor(2, context)
assert pool.submit(abs, -1).result(20) == 1
assert len(pool.submit(bytes, 20 << 20).result(20)) == 20 << 20
pool.shutdown()
print("worked")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="mounts another /dev/shm")
@pytest.mark.fault("semaphores in /dev/shm", cap=3)
@pytest.mark.parametrize("how", [READ_ONLY, FULL], ids=["read-only", "full"])
def test_shared_memory_that_is_refused_does_not_matter(futures, script, method, how):
    outcome = run(script, SHM + how + USE, method)
    outcome.check()
    if outcome.lines == ["refused"]:
        pytest.skip("no mount namespace here")
    assert outcome.lines == ["worked"]


@pytest.mark.fault("memory that is refused", cap=3)
def test_memory_that_is_refused(futures, script, method):
    """A file size limit is what stops a segment from growing."""
    outcome = run(
        script,
        """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
pool = futures.ProcessPoolExecutor(1, context)
assert pool.submit(abs, -1).result(20) == 1
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
pending = [pool.submit(len, bytes(30 << 20)) for _ in range(3)]
for future in pending:
    try:
        assert future.result(20) == 30 << 20
    except (OSError, MemoryError, RuntimeError) as exc:
        print(type(exc).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
try:
    print(pool.submit(abs, -1).result(20))
except futures.BrokenExecutor:
    print("broken")
pool.shutdown()
""",
        method,
    )
    assert outcome.check().lines[-1] == "1"


def test_no_memory_for_a_segment(futures, script):
    """The executor is refused with an error, or works all the same."""
    outcome = run(
        script,
        """
import resource
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
try:
    with futures.ProcessPoolExecutor(1, context) as pool:
        print(pool.submit(abs, -1).result(20))
except (OSError, MemoryError) as exc:
    print(type(exc).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, limits)
with futures.ProcessPoolExecutor(1, context) as pool:
    print(pool.submit(abs, -2).result(20))
""",
        "fork",
    )
    first, second = outcome.check().lines
    assert first in ("1", "OSError", "MemoryError") and second == "2"
