"""The harness itself: where the swap reaches, and what becomes of bad tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from conformance import environment, nodes, runs, skips
from conformance.environment import STANDARD, Environment, Listed
from conformance.runs import Limits, Outcome, Schedule

HERE = Path(__file__).resolve().parent
PLANTED = HERE / "planted_suite.py"

WHERE = "import concurrent.futures as f; print(f.ThreadPoolExecutor.__module__)"

WORKER = """
import concurrent.futures, multiprocessing

def where(_):
    from concurrent.futures import ThreadPoolExecutor, Future, thread
    kinds = ThreadPoolExecutor, Future, thread.ThreadPoolExecutor
    return [kind.__module__ for kind in kinds]

if __name__ == "__main__":
    with multiprocessing.get_context({method!r}).Pool(1) as pool:
        print(*pool.map(where, [0])[0])
        pool.close()
        pool.join()
"""

SUB_INTERPRETER = """
from concurrent import interpreters
interpreter = interpreters.create()
interpreter.exec({where!r})
interpreter.close()
"""


@pytest.fixture(scope="module")
def swapped(request: pytest.FixtureRequest) -> Iterator[Environment]:
    """An environment in which our module stands in for the standard one."""
    if nodes.option(request.config, "identity"):
        pytest.skip("--identity runs without our module")
    made = Environment(nodes.TARGET, PLANTED)
    yield made
    made.close()


@pytest.fixture(scope="module")
def identity() -> Iterator[Environment]:
    """An environment in which the standard module stands in for itself."""
    made = Environment(STANDARD, PLANTED)
    yield made
    made.close()


def outcomes(
    place: Environment,
    *classes: str,
    limits: Limits | None = None,
    suite: str = "planted_suite",
) -> dict[str, Outcome]:
    """Run *classes* of a suite; the outcomes by the tests' names."""
    listed = environment.list_tests(suite, HERE).tests
    chosen = [test for test in listed if test.kind in classes]
    assert {test.kind for test in chosen} == set(classes)
    schedule = Schedule(place, chosen, 2, limits or Limits())
    try:
        return {test.method: schedule.outcome(test) for test in chosen}
    finally:
        schedule.close()


# Where the swap reaches.


def test_isolated_interpreter_is_swapped(swapped: Environment) -> None:
    assert swapped.run("-I", "-c", WHERE) == "futures_c.thread\n"


def test_swap_needs_no_environment_variable(swapped: Environment) -> None:
    command = [str(swapped.python), "-c", WHERE]
    # Not where the sources are: without -I Python looks there first.
    done = subprocess.run(
        command, env={}, cwd=swapped.work, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("futures_c.thread\n", "")


def test_swap_leaves_other_interpreters_alone(swapped: Environment) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", WHERE], capture_output=True, text=True, check=True
    )
    assert done.stdout == "concurrent.futures.thread\n"


def test_nothing_is_loaded_before_it_is_imported(swapped: Environment) -> None:
    script = "import sys; print(*[n for n in sys.modules if 'futures' in n])"
    loaded = swapped.run("-I", "-c", script).split()
    assert sorted(loaded) == ["futures_c", "futures_c._startup"]


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_worker_process_is_swapped(
    swapped: Environment, tmp_path: Path, method: str
) -> None:
    script = tmp_path / "script.py"
    script.write_text(WORKER.format(method=method))
    modules = swapped.run("-I", str(script)).split()
    assert [module.split(".")[0] for module in modules] == ["futures_c"] * 3


@pytest.mark.skipif(sys.version_info < (3, 14), reason="concurrent.interpreters: 3.14")
def test_sub_interpreter_is_swapped(swapped: Environment) -> None:
    script = SUB_INTERPRETER.format(where=WHERE)
    assert swapped.run("-I", "-c", script) == "futures_c.thread\n"


def test_swap_keeps_free_threading(swapped: Environment) -> None:
    if "free-threading" not in sys.version:
        pytest.skip("this build has the GIL")
    script = "import concurrent.futures, sys; print(sys._is_gil_enabled())"
    assert swapped.run("-I", "-c", script) == "False\n"


def test_cpython_tests_run_on_our_executor(swapped: Environment) -> None:
    kind, method = "ThreadPoolWaitTests", "test_all_completed"
    for test in environment.list_tests().tests:
        if (test.kind, test.method) == (kind, method):
            break
    schedule = Schedule(swapped, [test], 1, Limits())
    try:
        outcome = schedule.outcome(test)
    finally:
        schedule.close()
    assert outcome.outcome == "passed", outcome.text
    assert outcome.executor == "futures_c.thread.ThreadPoolExecutor"


def test_run_on_the_standard_executor_is_noticed(swapped: Environment) -> None:
    (outcome,) = outcomes(swapped, "OnStandard").values()
    assert outcome.outcome == "failed"
    assert "the swap did not reach concurrent.futures.thread" in outcome.text


def test_swap_that_replaces_too_little_is_noticed(swapped: Environment) -> None:
    script = (
        "from concurrent.futures import _base; _base.wait = print; "
        "from futures_c_conformance import swap; swap.check('futures_c')"
    )
    with pytest.raises(environment.EnvironmentFailure, match=r"futures\._base\.wait"):
        swapped.run("-I", "-c", script)


def test_identity_runs_on_the_standard_module(identity: Environment) -> None:
    assert identity.run("-I", "-c", WHERE) == "concurrent.futures.thread\n"
    (outcome,) = outcomes(identity, "OnStandard").values()
    assert outcome.outcome == "passed", outcome.text
    assert outcome.executor == "concurrent.futures.thread.ThreadPoolExecutor"


# How tests end.


def test_every_outcome_is_told_apart(identity: Environment) -> None:
    found = outcomes(identity, "Plain")
    assert {name: outcome.outcome for name, outcome in found.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_raises": "failed",
        "test_fails_in_subtest": "failed",
        "test_skips": "skipped",
        "test_fails_as_expected": "xfailed",
        "test_passes_unexpectedly": "failed",
    }
    assert found["test_passes"].output == "said by test_passes\n"
    assert "planted failure" in found["test_fails"].text
    assert "LookupError: planted error" in found["test_raises"].text
    assert "number=1" in found["test_fails_in_subtest"].text
    assert found["test_skips"].text == "planted reason"
    assert "expects this test to fail" in found["test_passes_unexpectedly"].text


def test_hang_fails_one_test_with_tracebacks(identity: Environment) -> None:
    limits = Limits(test=4, grace=2)
    found = outcomes(identity, "Hangs", limits=limits)
    assert {name: outcome.outcome for name, outcome in found.items()} == {
        "test_a_passes": "passed",
        "test_b_waits_for_ever": "failed",
        "test_c_waits_for_a_script": "failed",
        "test_d_passes": "passed",
    }
    hung = found["test_b_waits_for_ever"]
    assert "hung: no end within 4 s" in hung.text
    assert "in test_b_waits_for_ever" in hung.output
    # The script's tracebacks, in the text of the test that waited for it.
    script = found["test_c_waits_for_a_script"]
    assert "hung: no end within 4 s" in script.text
    assert "in stuck" in script.text


def test_death_fails_one_test(identity: Environment) -> None:
    found = outcomes(identity, "Dies")
    assert {name: outcome.outcome for name, outcome in found.items()} == {
        "test_a_passes": "passed",
        "test_b_is_killed": "failed",
        "test_c_leaves": "failed",
        "test_d_passes": "passed",
    }
    assert found["test_b_is_killed"].text == "died of SIGSEGV"
    assert "in test_b_is_killed" in found["test_b_is_killed"].output
    assert found["test_c_leaves"].text == "ended with exit code 0"


def test_thread_left_behind_fails_the_test(identity: Environment) -> None:
    found = outcomes(identity, "LeavesThread")
    assert found["test_leaves_a_thread"].outcome == "failed"
    assert "left threads or processes behind" in found["test_leaves_a_thread"].text
    assert found["test_leaves_none"].outcome == "passed"


def test_class_that_cannot_be_set_up(identity: Environment) -> None:
    found = outcomes(identity, "SetUpClassFails")
    assert [outcome.outcome for outcome in found.values()] == ["failed", "failed"]
    assert all("planted in setUpClass" in outcome.text for outcome in found.values())


def test_class_that_skips(identity: Environment) -> None:
    (outcome,) = outcomes(identity, "SetUpClassSkips").values()
    assert (outcome.outcome, outcome.text) == ("skipped", "planted for the class")


def test_failed_tear_down_is_told_after_the_last_test(identity: Environment) -> None:
    first, last = outcomes(identity, "TearDownClassFails").values()
    assert (first.outcome, first.afterwards) == ("passed", "")
    assert last.outcome == "passed"
    assert "planted in tearDownClass" in last.afterwards


def test_bad_exit_is_told_after_the_last_test(identity: Environment) -> None:
    (outcome,) = outcomes(identity, "ExitFails").values()
    assert outcome.outcome == "passed"
    assert "ended with exit code 3" in outcome.afterwards


def test_hang_at_exit_is_told_after_the_last_test(identity: Environment) -> None:
    limits = Limits(exit=3, grace=2)
    (outcome,) = outcomes(identity, "ExitHangs", limits=limits).values()
    assert outcome.outcome == "passed"
    assert "hung: no end within 3 s" in outcome.afterwards
    assert "_shutdown" in outcome.afterwards  # of threading, from faulthandler


def test_nothing_is_left_of_a_session(identity: Environment) -> None:
    test = Listed("planted_suite", "Hangs", "test_b_waits_for_ever", "", 0)
    run = runs.Run(identity, Limits(), [test])
    run.step()
    assert run._process is not None
    child = run._process._child
    run.kill()
    assert child.returncode == -9
    assert runs._session_members(child.pid) == []


# What pytest shows.


def collected(*arguments: str, skip: str = "") -> subprocess.CompletedProcess[str]:
    """Collect in another pytest, which has *skip* in its skips.SKIPS."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from conformance import skips\n"
        "version = (skips.running_version(),)\n"
        f"skip = {skip!r} and skips.Skip({skip!r}, version, 'planted')\n"
        "skips.SKIPS = (skip,) if skip else ()\n"
        "import pytest; sys.exit(pytest.main(sys.argv[2:]))"
    )
    options = ["--collect-only", "-q", "-p", "no:cacheprovider", *arguments]
    command = [sys.executable, "-c", script, str(HERE.parent), *options]
    return subprocess.run(
        [*command, str(HERE / "test_cpython.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=HERE.parent.parent,
    )


def test_one_item_for_each_test() -> None:
    done = collected()
    assert done.returncode == 0, done.stdout
    shown = [
        tuple(line.split("::")[1:]) for line in done.stdout.splitlines() if "::" in line
    ]
    listed = environment.list_tests().tests
    expected = [
        (test.module.rpartition(".")[2], test.kind, test.method)
        for test in listed
        if not skips.later(test.kind)
    ]
    assert sorted(shown) == sorted(expected)
    assert len(expected) > 60


def test_later_adds_the_rest() -> None:
    done = collected("--later")
    shown = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(shown) == len(environment.list_tests().tests)


def test_tests_are_selected_by_name() -> None:
    done = collected("-k", "ThreadPoolWaitTests and test_timeout")
    (shown,) = [line for line in done.stdout.splitlines() if "::" in line]
    assert shown.endswith("::ThreadPoolWaitTests::test_timeout")


def test_skip_of_a_test_that_is_gone_fails_the_run() -> None:
    done = collected(skip="ThreadPoolWaitTests.test_that_is_gone")
    assert done.returncode != 0
    assert "names no test: ThreadPoolWaitTests.test_that_is_gone" in done.stdout


def test_skip_of_a_test_that_exists_is_accepted() -> None:
    done = collected(skip="ThreadPoolWaitTests.test_timeout")
    assert done.returncode == 0, done.stdout


def test_every_pattern_that_waits_names_a_class() -> None:
    kinds = {test.kind for test in environment.list_tests().tests}
    # The class came with 3.12.
    known = {"FailingInitializerResourcesTest"} if sys.version_info < (3, 12) else set()
    for pattern in set(skips.LATER) - known:
        assert any(fnmatchcase(kind, pattern) for kind in kinds), pattern
