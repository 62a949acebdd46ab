"""The names that futures_c offers, and which objects they are."""

from __future__ import annotations

import concurrent.futures
import concurrent.futures._base
import concurrent.futures.process
import concurrent.futures.thread
import importlib
import importlib.metadata
import sys

import pytest

import futures_c

HAS_INTERPRETERS = sys.version_info >= (3, 12)

needs_interpreters = pytest.mark.skipif(
    not HAS_INTERPRETERS, reason="interpreter pools need Python 3.12"
)
needs_standard_ones = pytest.mark.skipif(
    sys.version_info < (3, 14), reason="the standard ones came with Python 3.14"
)

EXTRAS = ["InvalidStateError", "BrokenThreadPool", "BrokenProcessPool"] + (
    ["BrokenInterpreterPool", "InterpreterPoolExecutor"] if HAS_INTERPRETERS else []
)

# DESIGN: every exception and constant is the standard object.
IDENTICAL = [
    "FIRST_COMPLETED",
    "FIRST_EXCEPTION",
    "ALL_COMPLETED",
    "CancelledError",
    "TimeoutError",
    "BrokenExecutor",
    "Executor",
]

IDENTICAL_IN_BASE = [
    *IDENTICAL,
    "InvalidStateError",
    "Error",
    "DoneAndNotDoneFutures",
    "LOGGER",
    "PENDING",
    "RUNNING",
    "CANCELLED",
    "CANCELLED_AND_NOTIFIED",
    "FINISHED",
    "_STATE_TO_DESCRIPTION_MAP",
    "_AcquireFutures",
    "_Waiter",
    "_AsCompletedWaiter",
]

# Private names of the standard modules that tests and packages import.
PRIVATE = {
    "thread": [
        "_threads_queues",
        "_global_shutdown_lock",
        "_python_exit",
        "_shutdown",
        "_worker",
        "_WorkItem",
    ],
    "process": [
        "_RemoteTraceback",
        "_ExceptionWithTraceback",
        "_ExecutorManagerThread",
        "_ThreadWakeup",
        "EXTRA_QUEUED_CALLS",
        "_MAX_WINDOWS_WORKERS",
        "_check_system_limits",
        "_process_worker",
        "_threads_wakeups",
    ],
}


@pytest.mark.parametrize("name", [*concurrent.futures.__all__, *EXTRAS])
def test_every_public_name_is_there(name):
    assert name in futures_c.__all__
    assert name in dir(futures_c)
    assert getattr(futures_c, name) is not None


def test_all_is_what_the_standard_module_has_on_this_version():
    standard = concurrent.futures.__all__
    assert type(futures_c.__all__) is type(standard)
    assert futures_c.__all__[: len(standard)] == standard
    more = set(futures_c.__all__) - set(standard)
    assert more == set(EXTRAS) - set(standard)
    assert len(set(futures_c.__all__)) == len(futures_c.__all__)


@pytest.mark.parametrize("name", IDENTICAL)
def test_identity(name):
    assert getattr(futures_c, name) is getattr(concurrent.futures, name)


def test_identity_of_the_extras():
    base = concurrent.futures._base
    assert futures_c.InvalidStateError is base.InvalidStateError
    thread, process = concurrent.futures.thread, concurrent.futures.process
    assert futures_c.BrokenThreadPool is thread.BrokenThreadPool
    assert futures_c.BrokenProcessPool is process.BrokenProcessPool


@pytest.mark.parametrize("name", IDENTICAL_IN_BASE)
def test_identity_in_base(name):
    ours = importlib.import_module("futures_c._base")
    assert getattr(ours, name) is getattr(concurrent.futures._base, name)


def test_future_states_exist_where_the_standard_module_has_them():
    ours = importlib.import_module("futures_c._base")
    standard = concurrent.futures._base
    assert hasattr(ours, "_FUTURE_STATES") == hasattr(standard, "_FUTURE_STATES")


@pytest.mark.parametrize(
    "name", ["Future", "ThreadPoolExecutor", "ProcessPoolExecutor"]
)
def test_real_subclasses(name):
    ours, standard = getattr(futures_c, name), getattr(concurrent.futures, name)
    assert issubclass(ours, standard)
    assert ours.__mro__.index(standard) >= 0


def test_future_and_thread_pool_are_ours():
    assert futures_c.Future is not concurrent.futures.Future
    assert futures_c.ThreadPoolExecutor is not concurrent.futures.ThreadPoolExecutor
    assert futures_c.wait is not concurrent.futures.wait
    assert futures_c.as_completed is not concurrent.futures.as_completed


def test_the_submodules_offer_the_same_objects():
    for name in ("Future", "wait", "as_completed", "Executor"):
        base = importlib.import_module("futures_c._base")
        assert getattr(base, name) is getattr(futures_c, name)
    thread = importlib.import_module("futures_c.thread")
    assert thread.ThreadPoolExecutor is futures_c.ThreadPoolExecutor
    process = importlib.import_module("futures_c.process")
    assert process.ProcessPoolExecutor is futures_c.ProcessPoolExecutor


@pytest.mark.parametrize("part", ["_base", "thread", "process"])
def test_every_name_of_a_standard_submodule_is_in_ours(part):
    ours = importlib.import_module(f"futures_c.{part}")
    standard = importlib.import_module(f"concurrent.futures.{part}")
    assert set(dir(ours)) >= set(dir(standard))
    assert [name for name in dir(standard) if not hasattr(ours, name)] == []


@pytest.mark.parametrize(
    ("part", "name"), [(part, name) for part in PRIVATE for name in PRIVATE[part]]
)
def test_private_names_that_people_import(part, name):
    namespace: dict[str, object] = {}
    exec(f"from futures_c.{part} import {name}", namespace)
    assert name in namespace


def test_a_name_replaced_in_the_standard_module_is_seen(monkeypatch):
    process = importlib.import_module("futures_c.process")
    replaced = object()
    monkeypatch.setattr(concurrent.futures.process, "_process_worker", replaced)
    assert process._process_worker is replaced


@pytest.mark.parametrize("part", ["", "._base", ".thread", ".process"])
def test_an_unknown_name(part):
    module = importlib.import_module(f"futures_c{part}")
    message = f"module 'futures_c{part}' has no attribute 'nothing_of_the_kind'"
    with pytest.raises(AttributeError, match=message):
        module.nothing_of_the_kind  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing_of_the_kind'"):
        exec(f"from futures_c{part} import nothing_of_the_kind")


def test_the_version_is_that_of_the_installed_package():
    assert futures_c.__version__ == importlib.metadata.version("futures_c")


def test_import_star(script):
    outcome = script("""
        before = set(globals())
        from futures_c import *
        names = set(globals()) - before - {"before"}
        import futures_c
        assert names == set(futures_c.__all__), names ^ set(futures_c.__all__)
        assert names <= set(dir(futures_c))
    """)
    outcome.check()


def test_submodules_are_found_through_an_alias(script):
    # `import futures_c as concurrent_futures` leaves no way to write
    # `import concurrent_futures.thread`.
    outcome = script("""
        import futures_c as concurrent_futures
        concurrent_futures.thread._threads_queues.clear()
        concurrent_futures.process.BrokenProcessPool
        concurrent_futures._base.LOGGER
    """)
    outcome.check()


def test_the_swap_in_the_forms_that_people_write(script):
    outcome = script("""
        import futures_c as concurrent_futures
        from futures_c import BrokenProcessPool, BrokenThreadPool
        from futures_c import ThreadPoolExecutor, as_completed, wait
        import futures_c.thread
        import futures_c.process as process
        from futures_c.thread import ThreadPoolExecutor as Pool
        from futures_c._base import Future, LOGGER, PENDING
        assert Pool is ThreadPoolExecutor is concurrent_futures.ThreadPoolExecutor
        with Pool(2) as pool:
            futures = [pool.submit(pow, 2, n) for n in range(10)]
            assert {f.result() for f in as_completed(futures)} == {
                2**n for n in range(10)
            }
            assert all(type(f) is Future for f in futures)
    """)
    outcome.check()


# --- interpreter pools ---------------------------------------------------------


@pytest.mark.skipif(HAS_INTERPRETERS, reason="this version has interpreter pools")
def test_without_interpreter_pools_the_names_are_absent():
    for name in ("InterpreterPoolExecutor", "BrokenInterpreterPool"):
        assert not hasattr(futures_c, name)
        assert name not in dir(futures_c)
        with pytest.raises(AttributeError, match=r"need Python 3\.12 or newer"):
            getattr(futures_c, name)
        with pytest.raises(ImportError, match=r"need Python 3\.12 or newer"):
            exec(f"from futures_c import {name}")
    with pytest.raises(ImportError, match=r"needs Python 3\.12 or newer"):
        importlib.import_module("futures_c.interpreter")
    with pytest.raises(ImportError, match=r"needs Python 3\.12 or newer"):
        exec("from futures_c import interpreter")
    assert "futures_c.interpreter" not in sys.modules


@needs_interpreters
def test_the_interpreter_pool_is_a_thread_pool():
    ours = futures_c.InterpreterPoolExecutor
    assert issubclass(ours, futures_c.ThreadPoolExecutor)
    assert ours.BROKEN is futures_c.BrokenInterpreterPool
    assert issubclass(futures_c.BrokenInterpreterPool, futures_c.BrokenThreadPool)
    assert futures_c.interpreter.InterpreterPoolExecutor is ours
    assert futures_c.BrokenInterpreterPool.__name__ == "BrokenInterpreterPool"


@needs_standard_ones
def test_the_interpreter_pool_is_ours_and_the_standard_one():
    ours = futures_c.InterpreterPoolExecutor
    assert issubclass(ours, concurrent.futures.InterpreterPoolExecutor)
    interpreter = importlib.import_module("concurrent.futures.interpreter")
    assert futures_c.BrokenInterpreterPool is interpreter.BrokenInterpreterPool
    module = importlib.import_module("futures_c.interpreter")
    assert issubclass(module.WorkerContext, interpreter.WorkerContext)
    names = [name for name in dir(interpreter) if not name.startswith("__")]
    assert [name for name in names if not hasattr(module, name)] == []
