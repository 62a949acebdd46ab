"""Runs scenarios for rivals in fresh processes, taking turns.

    from benchmarks.runner import run
    results = run(["bulk-4", "map"], ["futures_c", "standard"], processes=5)
    results.ratio("bulk-4", "futures_c").median

Each round measures each scenario once with each rival, A B C A B C, so that
whatever slows the machine down for a while falls on all of them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .families import FAMILIES
from .machine import ROOT, describe_machine
from .results import Results, Sample
from .scenarios import SCENARIOS, Scenario

# Starts the child with the checkout at the end of the path, so that
# `futures_c` is the installed package; the sources beside this directory have
# no compiled extension.
BOOT = (
    "import sys; root = sys.argv.pop(1); sys.path.insert(0, root); "
    "import benchmarks.child as child; sys.path.remove(root); "
    "sys.path.append(root); child.main()"
)

# These change what is measured and are easily left set in a shell.
DROPPED_VARIABLES = (
    "PYTHONDEVMODE",
    "PYTHONFAULTHANDLER",
    "PYTHONMALLOC",
    "PYTHONMALLOCSTATS",
    "PYTHONPROFILEIMPORTTIME",
    "PYTHONTRACEMALLOC",
    "PYTHONASYNCIODEBUG",
    "PYTHONWARNINGS",
    "PYTHON_GIL",
)

# What a child may take beyond its own time limit to dump its tracebacks.
GRACE_SECONDS = 15


class BenchmarkError(Exception):
    """A measured process failed; the text holds what it wrote."""


@dataclass(frozen=True)
class Progress:
    """How far a run is; handed to the `progress` callback before each process."""

    done: int
    total: int
    scenario: str
    rival: str
    round: int
    seconds: float


def ask(python: str, request: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Start a child, hand it a request and return its answer."""
    environment = {k: v for k, v in os.environ.items() if k not in DROPPED_VARIABLES}
    command = [python, "-P", "-c", BOOT, str(ROOT), json.dumps(request)]
    # Files, not pipes: a worker that outlives the child would hold a pipe open.
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        child = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            ended = _ends_within(child, timeout + GRACE_SECONDS)
        finally:
            # Nobody has waited for the child yet, so the number is still its own.
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if not ended:
            raise BenchmarkError(f"no answer within {timeout:.0f} s")
        stdout.seek(0)
        lines = stdout.read().strip().splitlines()
        stderr.seek(0)
        tail = stderr.read().strip()[-2000:]
    if child.returncode != 0 or not lines:
        raise BenchmarkError(f"exit code {child.returncode}\n{tail}")
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def _ends_within(child: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a child's end without taking note of it, and say if it came."""
    descriptor = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def describe(python: str = sys.executable) -> dict[str, Any]:
    """Return what a measured process says about itself and about futures_c."""
    return ask(python, {}, timeout=60)


def plan(
    scenarios: Sequence[Scenario], rivals: Sequence[str], processes: int
) -> Iterator[tuple[int, Scenario, str]]:
    """Yield what to measure, in order, as round, scenario and rival."""
    for number in range(processes):
        for scenario in scenarios:
            for rival in rivals:
                if rival in scenario.rivals:
                    yield number, scenario, rival


def measure(
    python: str, scenario: Scenario, rival: str, number: int, quick: bool
) -> Sample:
    """Measure once, in a fresh process."""
    request = {"scenario_name": scenario.name, "rival_name": rival, "quick": quick}
    try:
        answer = ask(python, request, scenario.timeout)
    except BenchmarkError as error:
        answer = {"error": str(error)}
    return Sample(scenario=scenario.name, rival=rival, round=number, **answer)


def run(
    scenarios: Sequence[str] | None = None,
    rivals: Sequence[str] | None = None,
    *,
    family: str = "threads",
    processes: int = 5,
    quick: bool = False,
    python: str = sys.executable,
    progress: Callable[[Progress], None] | None = None,
) -> Results:
    """Measure scenarios with rivals and return all samples.

    `scenarios` and `rivals` are names, by default all of the family.  Named
    scenarios are of one family, and say which.  `processes` is how
    many fresh processes measure each pair.  `quick` makes the figures worthless
    and the run short.  `python` is the interpreter that is measured.  A pair
    that fails or is skipped leaves a sample that says so, and is not tried again.
    """
    if scenarios:
        chosen = [SCENARIOS[name] for name in scenarios]
        family, *others = {scenario.family for scenario in chosen}
        if others:
            raise ValueError("the scenarios of a run are of one family")
    else:
        chosen = FAMILIES[family].scenarios()
    names = list(rivals or FAMILIES[family].rivals)
    description = describe(python)
    if not description["python"]["free_threaded"]:
        chosen = [scenario for scenario in chosen if not scenario.free_threaded_only]
    begin = time.monotonic()
    results = Results(
        machine=describe_machine(),
        python=description["python"],
        futures_c=description["futures_c"],
        settings={
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "processes": processes,
            "quick": quick,
            "family": family,
            "scenarios": [scenario.name for scenario in chosen],
            "rivals": names,
        },
    )
    steps = list(plan(chosen, names, processes))
    for done, (number, scenario, rival) in enumerate(steps):
        if results.problem(scenario.name, rival):
            continue
        if progress:
            elapsed = time.monotonic() - begin
            progress(Progress(done, len(steps), scenario.name, rival, number, elapsed))
        results.samples.append(measure(python, scenario, rival, number, quick))
    results.settings["seconds"] = round(time.monotonic() - begin, 1)
    results.machine["load_average_after"] = [round(load, 2) for load in os.getloadavg()]
    return results
