"""Construction, and the private names that people and packages use."""

import concurrent.futures as standard
import concurrent.futures.process as standard_process
import inspect
import multiprocessing
import sys
import threading
import time
from functools import partial

import pytest
from support.waiting import until

from . import jobs
from .kit import AFTER, BROKEN

CONTEXT = multiprocessing.get_context("fork")


def refusal(call):
    """The type and the text of what a call raises."""
    try:
        call()
    except BaseException as exc:
        return type(exc), str(exc)
    raise AssertionError("it did not raise")


# --- construction ------------------

REFUSED = {
    "max_workers 0": ((0,), {}),
    "max_workers -1": ((-1,), {}),
    "max_workers text": (("two",), {}),
    "max_workers float": ((1.5,), {}),
    "initializer": ((1,), {"initializer": 5}),
    "max_tasks_per_child 0": ((1,), {"max_tasks_per_child": 0}),
    "max_tasks_per_child -1": ((1,), {"max_tasks_per_child": -1}),
    "max_tasks_per_child 1.5": ((1,), {"max_tasks_per_child": 1.5}),
    "max_tasks_per_child fork": ((1, CONTEXT), {"max_tasks_per_child": 1}),
    "unknown": ((1,), {"unknown": 1}),
    "too many": ((1, None, None, (), 1), {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_construction_refuses_has_the_standard_text(futures, case):
    args, kwargs = REFUSED[case]
    ours = refusal(lambda: futures.ProcessPoolExecutor(*args, **kwargs))
    theirs = refusal(lambda: standard.ProcessPoolExecutor(*args, **kwargs))
    assert ours == theirs


@pytest.mark.parametrize("arguments", [{"chunksize": 0}, {"chunksize": -1}])
def test_what_map_refuses_has_the_standard_text(futures, arguments):
    with (
        futures.ProcessPoolExecutor(1) as pool,
        standard.ProcessPoolExecutor(1) as other,
    ):
        ours = refusal(lambda: pool.map(abs, [1], **arguments))
        assert ours == refusal(lambda: other.map(abs, [1], **arguments))


def test_what_submit_refuses(futures):
    with futures.ProcessPoolExecutor(1) as pool:
        for call in pool.submit, partial(pool.submit, fn=abs):
            kind, text = refusal(call)
            assert kind is TypeError and "submit()" in text


def test_construction_starts_nothing(futures, context):
    before = threading.active_count(), len(multiprocessing.active_children())
    pool = futures.ProcessPoolExecutor(2, context)
    assert pool._processes == {}
    assert pool._executor_manager_thread is None
    after = threading.active_count(), len(multiprocessing.active_children())
    assert after == before
    pool.shutdown()


def test_defaults(futures):
    with futures.ProcessPoolExecutor() as pool:
        with standard.ProcessPoolExecutor() as other:
            assert pool._max_workers == other._max_workers
            method = other._mp_context.get_start_method()
            assert pool._mp_context.get_start_method() == method
            assert pool._initializer is None and pool._initargs == ()
            assert pool._max_tasks_per_child is None
    with futures.ProcessPoolExecutor(1, max_tasks_per_child=3) as pool:
        assert pool._mp_context.get_start_method() == "spawn"
        assert pool._max_tasks_per_child == 3


def test_it_is_the_standard_class_in_name_and_kind(futures):
    kind = futures.ProcessPoolExecutor
    assert issubclass(kind, standard.ProcessPoolExecutor)
    assert issubclass(kind, standard.Executor)
    assert kind.__name__ == "ProcessPoolExecutor"
    with kind(1, CONTEXT) as pool:
        assert isinstance(pool, standard.ProcessPoolExecutor)
        future = pool.submit(abs, -1)
        assert isinstance(future, standard.Future)
        assert isinstance(future, futures.Future)
    for name in "submit", "map", "shutdown":
        ours = inspect.signature(getattr(kind, name))
        theirs = inspect.signature(getattr(standard.ProcessPoolExecutor, name))
        assert set(theirs.parameters) <= set(ours.parameters)


# --- attributes ------------------


def test_the_attributes_that_people_look_at(make, method, gate):
    pool = make(2, **gate.options)
    assert pool._max_workers == 2
    assert pool._mp_context.get_start_method() == method
    assert pool._safe_to_dynamically_spawn_children is (method != "fork")
    assert pool._broken is False
    assert pool._shutdown_thread is False
    assert pool._initializer is jobs.keep_these
    assert pool._call_queue is not None
    assert len(pool._pending_work_items) == 0
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    pending = [pool.submit(jobs.hold) for _ in range(5)]
    assert len(pool._pending_work_items) == 6
    items = list(pool._pending_work_items.values())
    assert {item.future for item in items} == {held, *pending}
    thread = pool._executor_manager_thread
    assert thread.is_alive() and not thread.daemon
    assert isinstance(thread, threading.Thread)
    for pid, process in pool._processes.items():
        assert process.pid == pid and process.is_alive()
    with pool._shutdown_lock:
        pass
    gate.open()
    for future in [held, *pending]:
        future.result(30)
    until(lambda: len(pool._pending_work_items) == 0)
    pool.shutdown()


def test_what_is_none_after_shutdown(make):
    pool = make(1)
    pool.submit(abs, 1).result(30)
    queue = pool._call_queue
    pool.shutdown()
    assert pool._processes is None
    assert pool._call_queue is None
    assert pool._executor_manager_thread is None
    assert pool._executor_manager_thread_wakeup is None
    assert pool._shutdown_thread is True
    assert pool._broken is False
    queue.join_thread()


def test_what_wakes_the_manager_can_be_replaced(futures, make, monkeypatch):
    """CPython's suite does it, with a class that takes no arguments either."""
    made = []

    class Wakeup(futures.process._ThreadWakeup):
        def __init__(self):
            super().__init__()
            made.append(self)

    monkeypatch.setattr(futures.process, "_ThreadWakeup", Wakeup)
    pool = make(1)
    assert pool._executor_manager_thread_wakeup in made
    assert list(pool.map(abs, range(-3, 0))) == [3, 2, 1]
    pool._executor_manager_thread_wakeup.wakeup()
    assert pool.submit(abs, -1).result(30) == 1
    pool.shutdown()
    # The class, which is in a cycle with itself, has this list.
    made.clear()


def test_workers_are_started_as_the_running_version_does(make, gate, method):
    pool = make(3, **gate.options)
    held = [pool.submit(jobs.hold)]
    gate.wait_begun()
    assert len(pool._processes) == (3 if method == "fork" else 1)
    held.append(pool.submit(jobs.hold))
    gate.wait_begun()
    assert len(pool._processes) == (3 if method == "fork" else 2)
    gate.open()
    futures_of = [future.result(30) for future in held]
    assert futures_of == [None, None]
    pool.shutdown()


def test_workers_are_processes_of_multiprocessing(make, context):
    pool = make(1)
    name, parent, daemon = pool.submit(jobs.about_process).result(30)
    (process,) = pool._processes.values()
    assert process.name == name
    assert isinstance(process, context.Process)
    assert parent == multiprocessing.current_process().pid
    assert daemon is False
    pool.shutdown()


def test_an_initializer_that_fails_is_logged_and_breaks_the_pool(make, tmp_path):
    path = tmp_path / "log"
    pool = make(2, initializer=jobs.log_and_fail, initargs=(str(path),))
    with pytest.raises(standard_process.BrokenProcessPool):
        pool.submit(abs, 1).result(30)
    until(lambda: pool._broken)
    with pytest.raises(standard_process.BrokenProcessPool, match=f"^{BROKEN}$"):
        pool.submit(abs, 1)
    assert "Exception in initializer:" in path.read_text()
    pool.shutdown()


def test_names_of_the_module(futures):
    process = futures.process
    for name in (
        "_RemoteTraceback", "_ExceptionWithTraceback", "_ExecutorManagerThread",
        "_ThreadWakeup", "_WorkItem", "_ResultItem", "_CallItem", "_SafeQueue",
        "_check_system_limits", "_process_chunk", "_process_worker",
        "BrokenProcessPool", "ProcessPoolExecutor",
    ):  # fmt: skip
        assert hasattr(process, name), name
    assert process.EXTRA_QUEUED_CALLS == 1
    assert process._MAX_WINDOWS_WORKERS == 61
    assert process.BrokenProcessPool is standard_process.BrokenProcessPool
    assert process._RemoteTraceback is standard_process._RemoteTraceback
    assert set(dir(standard_process)) <= set(dir(process))
    with pytest.raises(AttributeError):
        _ = process.no_such_name


def test_force_shutdown_through_the_instance(make, gate, futures):
    if not hasattr(futures.ProcessPoolExecutor, "_force_shutdown"):
        pytest.skip("came with Python 3.14")
    pool = make(1, **gate.options)
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    with pytest.raises(ValueError, match="Unsupported operation: 'nothing'"):
        pool._force_shutdown(operation="nothing")
    thread = pool._executor_manager_thread
    pool._force_shutdown(operation=futures.process._TERMINATE)
    assert isinstance(held.exception(30), futures.BrokenExecutor)
    thread.join(30)


# --- subclasses and patches ------------------


def test_a_subclass_with_a_submit_of_its_own(futures, context):
    class Own(futures.ProcessPoolExecutor):
        calls = 0

        def submit(self, fn, /, *args, **kwargs):
            Own.calls += 1
            return super().submit(partial(fn), *args, **kwargs)

    with Own(1, context) as pool:
        assert pool.submit(abs, -1).result(30) == 1
        assert list(pool.map(abs, [-1, -2], timeout=30)) == [1, 2]
        assert list(pool.map(abs, [-1, -2, -3], chunksize=2)) == [1, 2, 3]
    assert Own.calls == 1 + 2 + 2


def test_a_subclass_with_attributes_of_its_own(futures, context):
    class Own(futures.ProcessPoolExecutor):
        def __init__(self, *args, name, **kwargs):
            self.before = name
            super().__init__(*args, **kwargs)
            self.name = name

        def shutdown(self, *args, **kwargs):
            self.ended = True
            super().shutdown(*args, **kwargs)

    with Own(1, context, name="own") as pool:
        assert pool.submit(abs, -1).result(30) == 1
    assert (pool.before, pool.name, pool.ended) == ("own", "own", True)


def test_submit_patched_on_the_class_and_on_the_instance(futures, monkeypatch):
    seen = []
    original = futures.ProcessPoolExecutor.submit

    def wrapper(self, fn, /, *args, **kwargs):
        seen.append(args)
        return original(self, fn, *args, **kwargs)

    with futures.ProcessPoolExecutor(1, CONTEXT) as pool:
        monkeypatch.setattr(futures.ProcessPoolExecutor, "submit", wrapper)
        assert pool.submit(abs, -1).result(30) == 1
        assert list(pool.map(abs, [-2])) == [2]
        monkeypatch.undo()
        assert pool.submit(abs, -3).result(30) == 3
        pool.submit = partial(wrapper, pool)
        assert list(pool.map(abs, [-4])) == [4]
        del pool.submit
    assert len(seen) == 3


def test_a_subclass_that_never_called_init(futures):
    class Own(futures.ProcessPoolExecutor):
        def __init__(self):
            pass

    with pytest.raises((AttributeError, RuntimeError)):
        Own().submit(abs, 1)


# --- map ------------------


@pytest.mark.parametrize("chunksize", [1, 2, 7, 1000])
def test_map_yields_in_order(make, chunksize):
    pool = make(2)
    mapped = pool.map(pow, range(100), [2] * 100, chunksize=chunksize, timeout=30)
    assert list(mapped) == [i * i for i in range(100)]
    assert list(pool.map(abs, [], chunksize=chunksize)) == []
    pool.shutdown()


@pytest.mark.parametrize("chunksize", [1, 3])
def test_map_raises_what_a_call_raised(make, chunksize):
    pool = make(2)
    mapped = pool.map(int, ["1", "x", "3"], chunksize=chunksize)
    if chunksize == 1:
        assert next(mapped) == 1
    with pytest.raises(ValueError):
        list(mapped)
    assert pool.submit(abs, -1).result(30) == 1
    pool.shutdown()


def test_map_times_out_and_cancels_the_rest(futures, make, gate):
    pool = make(1, **gate.options)
    mapped = pool.map(jobs.hold, range(10), timeout=0.3)
    with pytest.raises(futures.TimeoutError):
        list(mapped)
    gate.open()
    pool.shutdown()


def test_a_map_that_is_dropped_cancels_nothing_before_its_start(make, gate):
    pool = make(1, **gate.options)
    gate.open()
    pool.map(jobs.hold, range(5))
    pool.shutdown()
    assert gate.wait_begun(5) == list(range(5))


def test_map_with_a_buffer_draws_no_more_than_that(futures, make):
    if futures.__name__ != "futures_c" and sys.version_info < (3, 14):
        pytest.skip("came with Python 3.14")
    drawn = []

    def inputs():
        for i in range(20):
            drawn.append(i)
            yield i

    pool = make(1)
    mapped = pool.map(jobs.identity, inputs(), buffersize=3)
    time.sleep(0.02)
    assert drawn == [0, 1, 2]
    assert next(mapped) == 0 and drawn == [0, 1, 2, 3]
    assert list(mapped) == list(range(1, 20))
    for wrong in "1", 1.5:
        with pytest.raises(TypeError, match="buffersize must be an integer or None"):
            pool.map(abs, [1], buffersize=wrong)
    with pytest.raises(ValueError, match="buffersize must be None or > 0"):
        pool.map(abs, [1], buffersize=0)
    pool.shutdown()
    with pytest.raises(RuntimeError, match=AFTER):
        pool.map(abs, [1], buffersize=1)


def test_methods_that_people_override_have_the_standard_signatures(
    futures, context, method
):
    called = []

    class Mine(futures.ProcessPoolExecutor):
        def _adjust_process_count(self):
            called.append("adjust")
            return super()._adjust_process_count()

        def _start_executor_manager_thread(self):
            called.append("start")
            return super()._start_executor_manager_thread()

        def _launch_processes(self):
            called.append("launch")
            return super()._launch_processes()

    with Mine(2, mp_context=context) as pool:
        assert pool.submit(abs, -1).result(60) == 1
        assert list(pool.map(abs, range(4))) == [0, 1, 2, 3]
    assert "start" in called
    assert ("launch" if method == "fork" else "adjust") in called


@pytest.mark.parametrize("kind", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_what_is_set_by_hand_is_looked_at(futures, kind):
    if futures.__name__ != "futures_c":
        pytest.skip("there any value can be set")
    pool = getattr(futures, kind)(2)
    pool._max_workers = 10**400
    assert pool._max_workers == 10**400
    pool._max_workers = 3
    with pytest.raises(TypeError, match="max_workers must be a number, not str"):
        pool._max_workers = "3"
    assert pool._max_workers == 3
    names = {
        "ThreadPoolExecutor": ["_max_workers", "_work_queue"],
        "ProcessPoolExecutor": ["_max_workers", "_processes", "_hub"],
    }
    for name in names[kind]:
        with pytest.raises(AttributeError, match="delete"):
            delattr(pool, name)
    pool.shutdown()
