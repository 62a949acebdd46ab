"""Known faults of the standard module that have no place in another file.

docs/faults.md lists all of them.
"""

import os
import signal
import threading

import pytest
from support.sanitizers import FORK
from support.waiting import until

from . import jobs
from .kit import PROLOGUE, QUIET, gone, only_worker

REPLACING = pytest.mark.parametrize("method", ["spawn", "forkserver"], indirect=True)
FORKING = pytest.mark.parametrize("method", ["fork"], indirect=True)


def test_gh109047_exit_right_after_submit_says_nothing(futures, script, method):
    """The pool's thread starts nothing when the interpreter has begun to end."""
    for count in (1, 40):
        outcome = script(
            f"""{PROLOGUE}
context = multiprocessing.get_context({method!r})
pool = futures.ProcessPoolExecutor(2, context)
pending = [pool.submit(jobs.identity, i) for i in range({count})]
pending[-1].add_done_callback(lambda future: print(future.result()))
""",
            flags=QUIET,
        )
        assert outcome.check().lines == [str(count - 1)]
        assert outcome.stderr == ""


@FORKING
def test_gh125451_shutdown_while_pickling_fails(make):
    """No order of locks between who pickles and who shuts down is the wrong one."""
    for _ in range(20):
        pool = make(2)
        pool.submit(abs, 1)
        bad = [pool.submit(jobs.identity, lambda: None) for _ in range(5)]
        pool.shutdown(wait=True)
        assert all(future.exception(0) is not None for future in bad)


@pytest.mark.unsanitized("address", "thread", reason=FORK)
@FORKING
def test_gh105464_gh90622_bpo35866_forks_beside_busy_threads(futures, script, method):
    """Workers are forked while other threads allocate, log and use pools.

    A lock that one of them holds at the fork is never given back in the worker.
    """
    outcome = script(
        f"""{PROLOGUE}
import io, logging
context = multiprocessing.get_context({method!r})
stop = threading.Event()
log = logging.getLogger("busy")
log.addHandler(logging.StreamHandler(io.StringIO()))
def churn():
    while not stop.is_set():
        log.warning("%r", [bytearray(70_000) for _ in range(5)][0][:9])
        with futures.ThreadPoolExecutor(2) as pool:
            pool.submit(abs, 1).result()
threads = [threading.Thread(target=churn) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(12):
    with futures.ProcessPoolExecutor(2, context) as pool:
        assert sum(pool.map(jobs.identity, range(20), timeout=20)) == 190
stop.set()
for thread in threads:
    thread.join()
print("end")
""",
        flags=QUIET,
        cap=50,
    )
    assert outcome.check().lines == ["end"]


@pytest.mark.stress
@FORKING
@pytest.mark.fault("bpo-39995", cap=5)
def test_bpo39995_pr108974_cancel_while_the_pool_breaks(futures, make, gate, rng):
    """The pool's thread fails what is left, some of which is cancelled meanwhile.

    An exception there would be one of a thread, and those fail the test.
    """
    for _ in range(5):
        pool = make(1, **gate.options)
        held = pool.submit(jobs.hold)
        gate.wait_begun()
        pending = [pool.submit(abs, -i) for i in range(300)]
        thread = pool._executor_manager_thread
        rng.shuffle(pending)
        os.kill(only_worker(pool), signal.SIGKILL)
        for future in pending:
            future.cancel()
        thread.join(30)
        assert not thread.is_alive()
        for future in [held, *pending]:
            assert future.done()
            if not future.cancelled():
                error = future.exception(0)
                assert isinstance(error, futures.process.BrokenProcessPool)


@pytest.mark.parametrize("job", [jobs.give_noted, jobs.raise_noted])
def test_bpo35715_bpo46787_an_idle_worker_keeps_nothing(make, job, tmp_path):
    """Neither its last result, nor what the frames of an exception refer to."""
    path = tmp_path / "freed"
    pool = make(1)
    future = pool.submit(job, str(path))
    if job is jobs.give_noted:
        assert future.result(30) == "noted"
    else:
        assert type(future.exception(30)) is LookupError
    until(path.exists, 20)
    pool.shutdown()


def test_bpo43498_workers_come_while_the_pool_ends(make):
    """No walk over the workers meets one that is being added."""
    for workers in (1, 4, 9):
        pool = make(workers)
        pool.submit(abs, -1).result(30)
        start = threading.Barrier(2)

        def submit(pool=pool, start=start, workers=workers):
            start.wait(30)
            try:
                for _ in range(workers):
                    pool.submit(jobs.nap, 0.001)
            except RuntimeError as exc:
                assert "cannot schedule new futures" in str(exc)

        other = threading.Thread(target=submit)
        other.start()
        seen = list(pool._processes.values())
        start.wait(30)
        pool.shutdown()
        other.join(30)
        assert not other.is_alive()
        assert not any(process.is_alive() for process in seen)


@REPLACING
@pytest.mark.fault("no replacement for a worker", cap=3)
@pytest.mark.parametrize("operation", ["terminate_workers", "kill_workers"])
def test_no_worker_is_replaced_while_they_are_ended_by_force(futures, make, operation):
    if not hasattr(futures.ProcessPoolExecutor, operation):
        pytest.skip("came with Python 3.14")
    pool = make(2, max_tasks_per_child=1)
    pending = [pool.submit(jobs.pid_after, 0.01) for _ in range(40)]
    pids = {pending[0].result(30), pending[1].result(30)}
    thread = pool._executor_manager_thread
    pids.update(pool._processes)
    getattr(pool, operation)()
    thread.join(30)
    assert not thread.is_alive()
    done, rest = futures.wait(pending, 30)
    assert not rest
    # Whoever is left of those that came later, the end of the test finds.
    for pid in pids:
        until(lambda pid=pid: gone(pid), 30)
    for future in done:
        if not future.cancelled() and future.exception() is not None:
            assert isinstance(future.exception(), futures.process.BrokenProcessPool)
