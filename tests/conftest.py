"""What all tests share: both modules, known faults, time caps, leftovers.

- ``futures`` is the module under test: every test that asks for it runs on
  the standard module and on futures_c (``--only=NAME`` picks one).
- ``@pytest.mark.fault("gh-87893")`` names a known fault of the standard
  module.  There the test runs in a forked child (or runs its script under a
  short cap) and its outcome is reported (xfailed or xpassed), not judged; on
  futures_c it must pass.
- Each test has a time cap.  One that hangs has the tracebacks of all threads
  dumped and fails (``@pytest.mark.cap(seconds)`` changes the cap).  The cap
  uses SIGALRM, which tests leave alone.
- After each test no thread, child process or file descriptor may be left
  beyond those that were there before it.
- With the plugin pytest-run-parallel most tests can run in several threads at
  once: see support/parallel.py.
- On a debug build they can be made to show that they leak nothing: see
  support/references.py.
"""

from __future__ import annotations

import faulthandler
import functools
import importlib
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import parallel, references, sanitizers
from support.forked import call_in_child
from support.leftovers import Census, wait_for_none
from support.subproc import Outcome, run_script

MODULES = {"standard": "concurrent.futures", "futures_c": "futures_c"}

#: Seconds that one test may take before it counts as hung.
TEST_CAP = 60.0

#: Seconds that the standard module gets to show a known fault.
FAULT_CAP = 1.0

MARKERS = (
    "fault(issue, cap=1): a known fault of the standard module; its outcome "
    "there is reported and not judged",
    "unsanitized(*names, reason): not with one of these sanitizers built in",
    "slow: takes more than a second; CI runs it all the same",
    "stress: random or racing work; prints its seed",
    "cap(seconds): the time after which this test counts as hung",
    "thread_unsafe(reason): does not run in several threads at once",
)

_leaked = pytest.StashKey[bool]()
_exit_status = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that all of our tests know."""
    parser.addoption(
        "--only",
        choices=sorted(MODULES),
        help="run the tests of both modules on this one alone",
    )
    parser.addoption(
        "--seed",
        type=int,
        help="the seed of stress tests (a random one is printed otherwise)",
    )
    references.add_option(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and prepare for what a test may need."""
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    config.stash[_leaked] = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell starts what runs in the background without it, and what the tests
        # start would inherit that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sanitizers.prepare()
    parallel.prepare(config)
    references.prepare(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that takes `futures` on the chosen modules."""
    if "futures" in metafunc.fixturenames:
        only = metafunc.config.getoption("--only")
        names = [only] if only else list(MODULES)
        metafunc.parametrize("futures", names, indirect=True)


def _on_standard(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and callspec.params.get("futures") == "standard"


def _in_child(item: pytest.Item) -> bool:
    """Whether a test is a known fault of the standard module, and runs on it."""
    return item.get_closest_marker("fault") is not None and _on_standard(item)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Do not judge what is known to fail: the standard module, sanitizers."""
    for item in items:
        for mark in item.iter_markers("unsanitized"):
            if not sanitizers.BUILT_IN.isdisjoint(mark.args):
                item.add_marker(pytest.mark.skip(reason=mark.kwargs["reason"]))
        mark = item.get_closest_marker("fault")
        if mark is not None and _in_child(item):
            item.add_marker(pytest.mark.xfail(strict=False, reason=mark.args[0]))
    parallel.arrange(items, _in_child)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a known fault of the standard module in a forked child."""
    mark = pyfuncitem.get_closest_marker("fault")
    if mark is None or not _on_standard(pyfuncitem):
        return None
    if "script" in pyfuncitem.fixturenames:
        return None  # What it runs is a process of its own already.
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    call_in_child(
        functools.partial(pyfuncitem.obj, **arguments),
        mark.kwargs.get("cap", FAULT_CAP),
    )
    return True


@pytest.fixture
def futures(request: pytest.FixtureRequest) -> ModuleType:
    """The module under test, with `thread`, `process` and `_base`."""
    name = MODULES[request.param]
    module = importlib.import_module(name)
    for part in ("thread", "process", "_base"):
        importlib.import_module(f"{name}.{part}")
    return module


def _run_capped(
    run: Callable[..., Outcome], most: float, *args: str, **options: Any
) -> Outcome:
    """Call *run* with its cap lowered to *most* seconds."""
    options["cap"] = min(most, options.get("cap", most))
    return run(*args, **options)


@pytest.fixture
def script(request: pytest.FixtureRequest) -> Callable[..., Outcome]:
    """Run a script in a fresh interpreter: see support.subproc.run_script.

    Where the test takes `futures`, the script sees that module by this name.
    """
    if "futures" not in request.fixturenames:
        return run_script
    run = functools.partial(run_script, futures=request.getfixturevalue("futures"))
    mark = request.node.get_closest_marker("fault")
    if mark is None or not _on_standard(request.node):
        return run
    return functools.partial(_run_capped, run, mark.kwargs.get("cap", FAULT_CAP))


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of a stress test; their seed is printed."""
    seed = request.config.getoption("--seed")
    if seed is None:
        seed = random.SystemRandom().randrange(2**32)
    print(f"seed: {seed} (repeat with --seed={seed})")
    return random.Random(seed)


@pytest.fixture(autouse=True)
def _no_leftovers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves threads, children or descriptors behind."""
    before = Census.take()
    yield
    left = wait_for_none(before)
    if left:
        request.config.stash[_leaked] = True
        faulthandler.dump_traceback(file=sys.__stderr__)
        pytest.fail("left behind: " + ", ".join(sorted(left)), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that hangs, after dumping the traceback of every thread."""
    mark = item.get_closest_marker("cap")
    cap = mark.args[0] if mark else TEST_CAP

    def hung(signum: int, frame: FrameType | None) -> None:
        faulthandler.dump_traceback(file=sys.__stderr__)
        pytest.fail(f"hung: no end within {cap:g} s")

    previous = signal.signal(signal.SIGALRM, hung)
    # Again every few seconds: a finalizer or a callback that hangs swallows
    # the exception.
    signal.setitimer(signal.ITIMER_REAL, cap, 5)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(
    session: pytest.Session, exitstatus: int | pytest.ExitCode
) -> None:
    """Remember how the session ended."""
    session.config.stash[_exit_status] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Do not let the threads of a hung test keep the test run alive."""
    if not config.stash.get(_leaked, False):
        return
    stuck = [
        t for t in threading.enumerate()
        if t is not threading.main_thread() and not t.daemon
    ]  # fmt: skip
    if stuck:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(_exit_status, 1) or 1)
