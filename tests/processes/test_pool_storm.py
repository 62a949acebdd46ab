"""The fault storm: workers are killed at random while thousands of calls run."""

import collections
import contextlib
import faulthandler
import os
import signal
import threading
import time

import pytest

from . import jobs

#: Seconds of one storm; a minute where FUTURES_C_STORM asks for it.
SECONDS = float(os.environ.get("FUTURES_C_STORM", "4"))

#: Calls of one storm, over all its executors.
CALLS = int(10_000 * max(SECONDS / 60, 0.1))

WORKERS = 3


class Storm:
    """Kills workers of one executor after another, until it is over."""

    def __init__(self, rng):
        self.rng = rng
        self.pool = None
        self.over = threading.Event()
        self.killed = 0
        self.thread = threading.Thread(target=self.rage)
        self.thread.start()

    def rage(self):
        numbers = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV]
        while not self.over.wait(self.rng.expovariate(12)):
            processes = getattr(self.pool, "_processes", None)
            for pid in self.choose(processes):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, self.rng.choice(numbers))
                    self.killed += 1

    def choose(self, processes):
        with contextlib.suppress(RuntimeError):  # It changes meanwhile.
            pids = list(processes or ())
            return self.rng.sample(pids, min(len(pids), self.rng.choice([1, 1, 2])))
        return []

    def end(self):
        self.over.set()
        self.thread.join()


def random_call(rng):
    """A function and its arguments: mostly short ones, some long, some large."""
    kind = rng.random()
    if kind < 0.5:
        return jobs.identity, (rng.random(),)
    if kind < 0.8:
        return jobs.nap, (rng.expovariate(2000), 1)
    if kind < 0.9:
        return jobs.identity, (bytes(int(rng.random() ** 4 * 300_000)),)
    if kind < 0.95:
        return jobs.fail, (ValueError, "text")
    return jobs.identity, (lambda: None,)


@pytest.mark.slow
@pytest.mark.stress
@pytest.mark.cap(SECONDS * 4 + 60)
@pytest.mark.fault("gh-94777", cap=3)
def test_every_future_ends_whatever_dies(futures, make, rng):
    """As many end as were submitted, over many executors, and nothing hangs."""
    submitted, ends = 0, collections.Counter()
    storm = Storm(rng)
    end = time.monotonic() + SECONDS
    executors = 0
    try:
        while submitted < CALLS or time.monotonic() < end:
            # Nobody wants to read what a worker has to say of its SIGSEGV.
            pool = make(WORKERS, initializer=faulthandler.disable)
            storm.pool = pool
            executors += 1
            pending = []
            with contextlib.suppress(futures.BrokenExecutor):
                for _ in range(rng.choice([10, 100, 400])):
                    fn, args = random_call(rng)
                    pending.append(pool.submit(fn, *args))
                    if rng.random() < 0.05:
                        pending[rng.randrange(len(pending))].cancel()
            submitted += len(pending)
            if rng.random() < 0.3:
                pool.shutdown(wait=rng.random() < 0.5, cancel_futures=True)
            done, rest = futures.wait(pending, 30)
            assert not rest, f"{len(rest)} of {len(pending)} futures never end"
            for future in done:
                if future.cancelled():
                    ends["cancelled"] += 1
                else:
                    error = future.exception(0)
                    ends[type(error).__name__] += 1
            storm.pool = None
            pool.shutdown()
    finally:
        storm.end()
    print(f"{submitted} calls, {executors} executors, {storm.killed} kills: {ends}")
    assert sum(ends.values()) == submitted
    assert set(ends) <= {
        "cancelled", "NoneType", "ValueError", "BrokenProcessPool",
        "PicklingError", "AttributeError",
    }  # fmt: skip
    assert ends["NoneType"] and storm.killed


@pytest.mark.stress
@pytest.mark.fault("gh-94777", cap=3)
def test_many_threads_wait_in_a_storm(futures, make, rng):
    """Whoever reads results for all leaves nobody waiting when a worker dies."""
    for _ in range(3):
        pool = make(2)
        ended = collections.Counter()
        lock = threading.Lock()

        def flood(pool=pool, ended=ended, lock=lock):
            kind = "refused"
            while kind != "BrokenProcessPool":
                try:
                    future = pool.submit(jobs.nap, 0.0002)
                except futures.BrokenExecutor:
                    break
                kind = type(future.exception(30)).__name__
                with lock:
                    ended[kind] += 1

        threads = [threading.Thread(target=flood) for _ in range(5)]
        for thread in threads:
            thread.start()
        while not pool._processes or sum(ended.values()) < 20:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.05)
        os.kill(rng.choice(list(pool._processes)), signal.SIGKILL)
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert set(ended) <= {"NoneType", "BrokenProcessPool"}
        pool.shutdown()
