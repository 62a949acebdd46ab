"""The same in worker processes, with each way to start them."""

import multiprocessing
import re
import traceback

import pytest
from processes import kit

from . import jobs

METHODS = multiprocessing.get_all_start_methods()


@pytest.fixture(params=METHODS)
def make(request, futures):
    def make(**options):
        context = multiprocessing.get_context(request.param)
        return futures.ProcessPoolExecutor(1, context, **options)

    return make


@pytest.fixture(autouse=True)
def _light_main():
    """Spawned workers do not import pytest."""
    with kit.light_main():
        yield


def test_what_is_seen_in_a_worker(make):
    """One pool for all of it: cProfile, logging, faulthandler, the stack."""
    with make() as pool:
        result, counts = pool.submit(jobs.profiled, 1).result(30)
        assert result == 3
        assert counts["outer"] == counts["inner"] == 1

        record, name, pid = pool.submit(jobs.logged).result(30)
        assert record == (name, pid, "MainThread")
        assert re.search(r"Process-\d", name)
        assert pid in pool._processes and pool._processes[pid].name == name

        text = pool.submit(jobs.dumped).result(30)
        names = re.findall(r'File "(?:.*)", line \d+ in (\w+)', text)
        assert names[0] == "dumped" and "_bootstrap" in names

        names = pool.submit(jobs.stack).result(30)
        assert names[-1] == "stack"
        # The first frames are those of the process, whatever it runs.
        assert "_bootstrap" in names and "run" in names


@pytest.mark.parametrize("hook", [jobs.set_profile, jobs.set_trace])
def test_hooks_that_an_initializer_sets(make, hook):
    with make(initializer=hook) as pool:
        assert pool.submit(jobs.outer, 1).result(30) == 3
        assert list(pool.map(jobs.outer, [1, 2])) == [3, 5]
        names = pool.submit(jobs.seen).result(30)
    assert [name for name in names if name in ("outer", "inner")] == [
        "outer",
        "inner",
    ] * 3


@pytest.mark.parametrize("way", ["submit", "map"])
def test_the_traceback_of_the_worker_is_told(make, way):
    with make() as pool, pytest.raises(LookupError) as caught:
        if way == "submit":
            pool.submit(jobs.failing, 2).result(30)
        else:
            list(pool.map(jobs.failing, [2]))
    cause = str(caught.value.__cause__)
    assert len(re.findall(r"in failing", cause)) == 3
    assert 'raise LookupError("in a worker")' in cause
    text = "".join(traceback.format_exception(caught.value))
    assert "_RemoteTraceback" in text and text.count("in failing") == 3
