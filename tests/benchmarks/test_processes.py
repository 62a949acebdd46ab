"""The benchmarks of process pools: the rivals do the work, and what is measured.

That every scenario runs with every rival is in test_smoke.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench_shared import ROOT, invoke, made_up

from benchmarks import cli, report, runner
from benchmarks.families import FAMILIES
from benchmarks.meter import Meter, Skip
from benchmarks.process_rivals import PROCESS_RIVALS, OneThread, StandardProcesses
from benchmarks.results import Results, Sample
from benchmarks.scenarios import SCENARIOS, processes
from benchmarks.scenarios.process_table import METHODS
from benchmarks.usage import Usage, descendants, threads_of_pool, used_between

# In a process of its own: some rivals leave helpers that end with the process.
VERBS = """
import sys
name, method, root = sys.argv[1:]
sys.path.append(root)
from benchmarks.meter import Skip
from benchmarks.process_rivals import PROCESS_RIVALS
from benchmarks.work import echo, noop

def check(expected, verb, *arguments):
    try:
        found = verb(pool, *arguments)
    except Skip:
        unfit.add(verb.__name__)
    else:
        assert found == expected, (verb, found)

def gathered(verb):
    return lambda pool, *arguments: rival.results(verb(pool, *arguments))

unfit, called_back = set(), []
try:
    rival = PROCESS_RIVALS[name]()
except Skip as reason:
    sys.exit(f"not installed: {reason}")
with rival.pool(2, method) as pool:
    check([0, 1, 2, 3, 4], gathered(rival.submit_each), echo, range(5))
    check(b"there", rival.send, echo, b"there", 2)
    check(None, rival.ping_pong, noop, 3)
    try:
        assert rival.results(rival.submit_all(pool, noop, 5)) == [None] * 5
        handles = rival.call_back(pool, noop, called_back.append, 5)
        assert rival.results(handles) == [None] * 5
    except Skip:
        unfit.add("handles")
with rival.pool(2, method) as pool:
    for chunksize in (None, 1, 3):
        check(10, rival.map, echo, range(10), chunksize)
assert len(called_back) == (0 if "handles" in unfit else 5)
print(*sorted(unfit))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", PROCESS_RIVALS)
def test_verbs_run_every_task(name: str) -> None:
    """No rival gets away without doing the work, or says what it has not."""
    missing = {"joblib": "handles ping_pong", "loop": "handles map ping_pong send"}
    assert run_verbs(name, "fork") == missing.get(name, "")


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["futures_c", "standard", "pool"])
def test_workers_find_their_functions(name: str, method: str) -> None:
    """However workers are started, they import what they are asked to call."""
    assert run_verbs(name, method) == ""


def run_verbs(name: str, method: str) -> str:
    """Run all verbs of a rival and return which it has not.

    Skips the test where the rival is not installed.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", VERBS, name, method, str(ROOT)],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if "not installed: " in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_missing_rival_is_a_note() -> None:
    """Who is not installed is skipped, with its name."""

    class Missing(StandardProcesses):
        label = "the missing one"
        module_name = "a_module_that_is_not_there"

    with pytest.raises(Skip, match="the missing one does not import"):
        Missing()


def test_missing_rival_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run goes on, and the report says who is missing."""
    boot = (
        "import sys; sys.path.append(sys.argv[1]); sys.argv.pop(1)\n"
        "from benchmarks import child, process_rivals\n"
        "process_rivals.MultiprocessingPool.module_name = 'not_there'\n"
        "child.main()\n"
    )
    monkeypatch.setattr(runner, "BOOT", boot)
    results = runner.run(["proc-map-1"], ["standard", "pool"], processes=2, quick=True)
    values = [(sample.rival, sample.value is not None) for sample in results.samples]
    assert values == [("standard", True), ("pool", False), ("standard", True)]
    assert results.settings["family"] == "processes"
    assert "skipped: multiprocessing.Pool does not import" in report.full(results)


def test_what_a_child_leaves_is_ended(tmp_path: Path) -> None:
    """A worker that outlives its pool neither delays the run nor stays."""
    note = tmp_path / "pid"
    orphan = (
        "import os, pathlib, time\n"
        "if os.fork() == 0:\n"
        f"    pathlib.Path({str(note)!r}).write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        f"while not os.path.exists({str(note)!r}) or not os.path.getsize("
        f"{str(note)!r}):\n"
        "    time.sleep(0.01)\n"
        "print('{\"value\": 1}', flush=True)\n"
        "os._exit(0)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "BOOT", orphan)
        assert runner.ask(sys.executable, {}, timeout=60) == {"value": 1}
    pid = int(note.read_text())
    end = time.monotonic() + 60
    while runs(pid):
        assert time.monotonic() < end, "the orphan is still there"
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Say whether a process is there and is no corpse that nobody has buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def test_mixed_durations() -> None:
    """One in twenty is long, the order is fixed, and the end is even."""
    durations = processes.naps(900, 50)
    assert len(durations) == 1000
    assert durations.count(0.05) == 50
    assert set(durations[-50:]) == {0.001}
    assert durations == processes.naps(900, 50)
    assert durations != sorted(durations)


class Invented(OneThread):
    """A rival whose map takes as long as its chunksize says."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[int | None] = []
        self.lost = 0

    def map(self, pool: Any, fn: Any, args: Any, chunksize: int | None) -> int:
        self.asked.append(chunksize)
        time.sleep((chunksize or 0) / 1000)
        return len(args) - self.lost


def test_best_chunksize_is_found_and_used() -> None:
    """Of several each is tried, the best is repeated and noted."""
    rival, meter = Invented(), Meter(quick=True)
    processes.mapped(
        rival, meter, method="fork", workers=2, tasks=10, chunksizes=(80, 1, 40)
    )
    assert rival.asked == [80, 80, 1, 40, 1, 1]
    assert meter.extra == {"chunksize": 1.0}


def test_results_that_do_not_come_are_missed() -> None:
    """A map that loses results is no fast one."""
    rival = Invented()
    rival.lost = 1
    with pytest.raises(RuntimeError, match="9 of 10 results"):
        processes.mapped(
            rival, Meter(), method="", workers=2, tasks=10, chunksizes=(1,)
        )


def test_payload_that_changes_is_noticed() -> None:
    """What comes back is compared with what was sent."""

    class Liar(OneThread):
        def send(self, pool: Any, fn: Any, payload: Any, count: int) -> Any:
            return payload[:-1] + b"?"

    with pytest.raises(RuntimeError, match="not what was sent"):
        processes.bytes_there_and_back(Liar(), Meter(), method="", size=1000, trips=1)


@contextmanager
def busy_thread() -> Iterator[None]:
    """A thread beside the block that computes for 50 ms and then sleeps often."""
    leave = threading.Event()
    worked = threading.Event()

    def run() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        worked.set()
        while not leave.wait(0.001):
            pass

    thread = threading.Thread(target=run)
    thread.start()
    worked.wait()
    try:
        yield
    finally:
        leave.set()
        thread.join()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="no schedstat")
def test_usage_counts_other_threads() -> None:
    """CPU time and wake-ups of a thread are seen; those of the main one are not."""
    before = threads_of_pool()
    end = time.thread_time() + 0.2
    while time.thread_time() < end:
        pass
    with busy_thread():
        time.sleep(0.1)
        used = sum(used_between(before, threads_of_pool()).values(), Usage())
    assert 40_000_000 < used.nanoseconds < 150_000_000
    assert used.sleeps >= 3


def test_descendants_are_found_at_any_depth() -> None:
    """A worker of a fork server is a grandchild, and counts."""
    script = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(['cat'], stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True)\n"
        "sys.stdin.read()\n"
        "child.communicate()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        assert {child.pid, grandchild} <= set(descendants(os.getpid()))
        child.communicate()


def test_fastest_other_and_worst_row() -> None:
    """Floors and we ourselves are no rivals; a row knows who is the fastest."""
    results = made_up(
        "proc-cpu",
        "processes",
        futures_c=[2.0],
        standard=[6.0],
        pool=[3.0],
        threads=[1.0],
        loop=[0.5],
    )
    assert results.fastest("proc-cpu") == "pool"
    results.settings["scenarios"].append("proc-map-1")
    results.samples += [
        Sample("proc-map-1", "futures_c", 0, 4.0),
        Sample("proc-map-1", "standard", 0, 3.0),
    ]
    worst = results.slowest_row()
    assert worst is not None
    assert worst[0] == "proc-map-1" and worst[1].median == 0.75
    text = report.full(results)
    assert "1.50x multiprocessing.Pool" in text
    assert "worst row (proc-map-1)" in text


def test_wakeups_are_shown_and_judged() -> None:
    """What a scenario notes beside its value has a table, and a mark."""
    results = made_up("proc-idle", "processes", standard=[5e6])
    extra = {"wakeups": 4.0, "wakeups_of_one": 2.0}
    results.settings["rivals"].append("futures_c")
    results.samples.append(Sample("proc-idle", "futures_c", 0, 0.0, extra=extra))
    lines = [line for line in report.full(results).splitlines() if "wake-ups" in line]
    assert any("wake-ups per second " in line and " 4.00 " in line for line in lines)
    assert any("of a thread" in line and "short" in line for line in lines)


def test_old_runs_are_of_threads() -> None:
    """A run that was stored before there were families reads as it did."""
    path = ROOT / "benchmarks" / "results" / "threads-3.13.json"
    results = Results.load(path)
    results.settings.pop("family", None)
    assert results.family is FAMILIES["threads"]
    assert "ThreadPool" in report.full(results)


def choice(*arguments: str) -> dict[str, list[str]]:
    """Return what the command line makes of its arguments."""
    options: argparse.Namespace = cli.parser().parse_args(arguments)
    return cli.choose(options)


def test_families_on_the_command_line() -> None:
    """Families stand for their scenarios, and each gets a run of its own."""
    assert set(choice()) == set(FAMILIES)
    assert choice("map", "proc-map", "proc-map") == {
        "threads": ["map"],
        "processes": ["proc-map"],
    }
    names = choice("processes")["processes"]
    assert all(SCENARIOS[name].family == "processes" for name in names)
    large = {"proc-bytes-1G", "proc-array-1G"}
    assert not large & set(names)
    assert set(choice("processes", "--large")["processes"]) == large | set(names)
    assert choice("proc-bytes-1G") == {"processes": ["proc-bytes-1G"]}


def test_one_file_for_two_families_is_refused() -> None:
    """Nothing is measured where the second run would replace the first."""
    done = invoke("--quick", "--output", "/nonexistent/run.json")
    assert done.returncode == 1
    assert "name one family" in done.stderr


def test_mixed_families_are_refused() -> None:
    """A run from Python is of one family as well."""
    with pytest.raises(ValueError, match="of one family"):
        runner.run(["map", "proc-map"], quick=True)
