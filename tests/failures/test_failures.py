"""Every allocation and every system call fails in turn, in many operations.

These are in operations.py, workers.py and pools.py.

FUTURES_C_FAILURES=quick tries a sample, whose seed is printed, and each allocation
where that takes no more than seconds; =all each failure, with each error that the call
may give.  An operation that crashes or hangs does so in a process of its own and is one
failure among others.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import known
import pytest
import shim
from support import sanitizers
from support.subproc import run_command

HERE = Path(__file__).resolve().parent

FORM = os.environ.get("FUTURES_C_FAILURES", "")
EVERYTHING = FORM == "all"
#: How many failures of each operation are tried otherwise.
SAMPLE = 4
#: How many allocations: of most operations all where no process is started.
SAMPLE_OF_ALLOCATIONS = dict.fromkeys(
    ("futures", "threads", "worker", "loops", "install", "exit"), 50
) | dict.fromkeys(("fork", "there", "spawn", "forkserver"), 10)
#: Seconds for a group of operations.
CAP = 7200.0 if EVERYTHING else 240.0

pytestmark = [
    pytest.mark.skipif(
        FORM not in ("quick", "all"), reason="a step of its own: tools/prove failures"
    ),
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or "musl" in sysconfig.get_platform(),
        reason="stands between the program and glibc",
    ),
    pytest.mark.skipif(
        bool(sanitizers.BUILT_IN), reason="sanitizers stand there themselves"
    ),
    pytest.mark.cap(CAP + 30),
    pytest.mark.thread_unsafe(reason="runs for minutes"),
    pytest.mark.slow,
]

#: Who makes which calls: (group, kind, scope).
ALLOCATIONS = (
    "futures", "threads", "worker", "loops", "install", "exit", "fork", "there",
    "spawn", "forkserver",
)  # fmt: skip
OF_THREADS = (
    ("new", "pthread_create", "any"),
    ("threads", "futex_sleep", "ours"),
    ("threads", "futex_wake", "ours"),
    ("loops", "write", "any"),
    ("loops", "eventfd", "ours"),
)
OF_PROCESSES = tuple(
    ("fork", kind, scope)
    for kind, scope in (
        ("pthread_create", "any"),
        ("fork", "any"),
        ("memfd_create", "ours"),
        ("ftruncate", "ours"),
        ("fallocate", "ours"),
        ("mmap", "ours"),
        ("munmap", "ours"),
        ("eventfd", "ours"),
        ("pipe", "any"),
        ("pidfd_open", "any"),
        ("futex_sleep", "ours"),
        ("futex_wake", "ours"),
        ("poll", "ours"),
        ("read", "ours"),
        ("write", "ours"),
        ("pread", "ours"),
        ("fstat", "ours"),
        ("close", "ours"),
    )
)
#: Operations that start threads.
STARTING = ["first_submit", "first_map", "create_with_initializer"]
THERE = tuple(
    ("there", kind, "ours")
    for kind in ("futex_sleep", "futex_wake", "mmap", "fallocate", "write", "fstat")
)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """failing.c, compiled."""
    built = shim.build(tmp_path_factory.mktemp("failing"))
    if built is None:
        pytest.skip("there is no C compiler")
    return built


def results(library: Path, settings: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Run the driver; return a line for each operation."""
    outcome = run_command(
        [sys.executable, "-P", "-X", "faulthandler", str(HERE / "driver.py"),
         json.dumps(settings)],
        shim.environment(library),
        cap=CAP,
    )  # fmt: skip
    # Its last words are those of the trial that it was at.
    assert not outcome.timed_out and outcome.returncode == 0, (
        f"{outcome.returncode}: {outcome.stderr[-4000:]}"
    )
    for line in outcome.lines:
        result = json.loads(line)
        if "skip" in result:
            pytest.skip(result["skip"])
        yield result


def judge(library: Path, seed: int, **settings: Any) -> int:
    """Fail where an operation did; return how many failures were met."""
    print(f"seed: {seed} (repeat with --seed={seed})")
    settings.setdefault("limit", None if EVERYTHING else SAMPLE)
    settings["seed"] = seed
    bad = []
    met = 0
    for result in results(library, settings):
        for plan, text in result.pop("bad"):
            reason = known.reason(settings["group"], result["operation"], plan, text)
            if reason is None:
                bad.append(f"{result['operation']}, {plan}:\n{text}")
            else:
                print(f"known: {result['operation']}, {plan}: {reason}")
        met += result["met"]
        print(result)
    if bad:
        pytest.fail("\n\n".join(bad), pytrace=False)
    return met


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What the sample is chosen by."""
    given = request.config.getoption("--seed")
    return random.SystemRandom().randrange(2**32) if given is None else given


@pytest.mark.parametrize("group", ALLOCATIONS)
def test_each_allocation_of_ours_fails(library, seed, group):
    # Nobody tells a loop of an end as long as there is no memory at all; that is
    # tried where everybody gets some again by the end of the operation.
    once = False if group == "loops" else None
    limit = None if EVERYTHING else SAMPLE_OF_ALLOCATIONS[group]
    met = judge(library, seed, group=group, all=once, limit=limit)
    assert met or group in ("install", "exit"), "nothing has failed"


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no interpreter pools")
def test_each_allocation_for_interpreters_fails(library, seed):
    assert judge(library, seed, group="interpreters")


@pytest.mark.parametrize(("group", "kind", "scope"), OF_THREADS)
def test_each_call_for_threads_fails(library, seed, group, kind, scope):
    only = None
    if group == "new":
        group, only = "threads", STARTING
    judge(library, seed, group=group, kind=kind, scope=scope, only=only, all=False)


@pytest.mark.parametrize(("group", "kind", "scope"), OF_PROCESSES + THERE)
def test_each_call_for_processes_fails(library, seed, group, kind, scope):
    judge(
        library, seed, group=group, kind=kind, scope=scope, all=False,
        only=None if EVERYTHING else SHORT[group],
    )  # fmt: skip


#: What the short form makes system calls fail in.
SHORT = {
    "fork": ["create", "first_submit", "large_there_and_back", "map_plain", "drop"],
    "there": ["return_much", "map_there"],
}


# --- that it bites ------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("lose_a_future", r"never ends: <Future"),
        ("leave_a_thread", r"left behind: .*thread"),
        ("leave_a_descriptor", r"left behind: .*file descriptor"),
        ("raise_something_else", r"TypeError: planted"),
        ("keep_a_lock", r"^hung"),
        ("crash", r"^crashed \(-11\)"),
        ("break_the_pool", r"wrong"),
    ],
)
def test_planted_faults_are_found(library, operation, said):
    """Operations of planted.py that handle one failure as it must not be."""
    settings = {"group": "planted", "only": [operation], "all": False}
    (result,) = results(library, {**settings, "numbers": [0], "cap": 8.0})
    ((plan, text),) = result["bad"]
    assert "allocation 0" in plan and re.search(said, text, re.MULTILINE), text


def test_what_is_known_is_not_everything():
    for each in known.KNOWN:
        assert each.reason
    assert known.reason("fork", "first_submit", "allocation 0", "hung") is None
