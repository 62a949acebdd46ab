"""Other suites of CPython's that come upon executors and futures, swapped.

Each runs as a whole in one process of the temporary environment.  Where a test
does not pass, the suite runs again on the standard module, and whatever ends in
another way there is a failure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance import nodes
from conformance.environment import PACKAGE, STANDARD, Environment, clean_variables
from support.subproc import run_command

#: Seconds that one of them may take.
CAP = 300.0

#: Modules of CPython's test package, with a pattern where not all tests matter.
SUITES = (
    "test_asyncio.test_base_events",
    "test_asyncio.test_events",
    "test_asyncio.test_futures",
    "test_asyncio.test_futures2",
    "test_asyncio.test_pep492",
    "test_asyncio.test_runners",
    "test_asyncio.test_sendfile",
    "test_asyncio.test_server",
    "test_asyncio.test_tasks",
    "test_asyncio.test_threads",
    "test_asyncio.test_timeouts",
    "test_asyncio.test_unix_events",
    "test_asyncio.test_waitfor",
    "test_compileall *workers*",
    "test_context",
    "test_free_threading.test_type",
    "test_genericalias",
    "test_importlib.test_threaded_import",
    "test_unittest.testmock.testthreadingmock",
)

FINE = {"passed", "skipped", "xfailed"}


@pytest.fixture(scope="module")
def swapped(request: pytest.FixtureRequest) -> Iterator[Environment]:
    """An environment in which our module stands in for the standard one."""
    if nodes.option(request.config, "identity"):
        pytest.skip("these take no interest in --identity")
    made = Environment(nodes.TARGET)
    yield made
    made.close()


@pytest.fixture(scope="module")
def identity() -> Iterator[Environment]:
    """An environment in which nothing is replaced."""
    made = Environment(STANDARD)
    yield made
    made.close()


def is_there(suite: str) -> bool:
    """Whether the interpreter's test package has it."""
    script = f"import importlib.util as u; u.find_spec({suite!r}).name"
    command = [sys._base_executable, "-I", "-c", script]
    done = subprocess.run(command, stderr=subprocess.DEVNULL, check=False)
    return done.returncode == 0


def outcomes(place: Environment, path: Path, *suite: str) -> tuple[dict[str, str], str]:
    """Run a suite; the outcome of each test, and what was written meanwhile."""
    path.mkdir()
    command = [str(place.python), "-I", "-X", "faulthandler", "-W", "default"]
    command += ["-m", f"{PACKAGE}.whole", str(path / "outcomes"), *suite]
    ended = run_command(command, clean_variables(), cap=CAP, cwd=path).check()
    return json.loads((path / "outcomes").read_text()), ended.stderr


@pytest.mark.slow
@pytest.mark.cap(2 * CAP + 60)
@pytest.mark.parametrize("name", SUITES)
def test_suite(
    swapped: Environment, identity: Environment, tmp_path: Path, name: str
) -> None:
    suite = f"test.{name}".split()
    if not is_there(suite[0]):
        pytest.skip(f"the version has no {suite[0]}")
    ours, output = outcomes(swapped, tmp_path / "ours", *suite)
    assert ours
    if set(ours.values()) <= FINE:
        return
    theirs, _ = outcomes(identity, tmp_path / "theirs", *suite)
    assert {
        test: (outcome, theirs.get(test))
        for test, outcome in ours.items()
        if outcome not in FINE and theirs.get(test) != outcome
    } == {}, output
