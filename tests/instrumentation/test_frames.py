"""What tools that look at threads from outside find there."""

import contextvars
import faulthandler
import logging
import re
import sys
import threading
import traceback
import tracemalloc
import warnings

import pytest

HERE = __file__


class Held:
    """A call that a worker is in until it may go on."""

    def __init__(self):
        self.inside, self.go = threading.Event(), threading.Event()

    def outer_function(self):
        return self.inner_function()

    def inner_function(self):
        self.inside.set()
        assert self.go.wait(20)
        return threading.get_ident()


@pytest.fixture(params=["submit", "map"])
def held(request, futures):
    """A pool whose only worker, "held_0", is inside a call."""
    held = Held()
    with futures.ThreadPoolExecutor(1, "held") as pool:
        if request.param == "submit":
            held.future = pool.submit(held.outer_function)
        else:
            results = pool.map(lambda _: held.outer_function(), [0])
        try:
            assert held.inside.wait(20)
            held.thread = next(
                one for one in threading.enumerate() if one.name == "held_0"
            )
            yield held
        finally:
            held.go.set()
        if request.param == "map":
            assert next(results) == held.thread.ident


def own_names(frame):
    """The names of this file's functions on a stack, the outermost first."""
    stack = traceback.extract_stack(frame)
    return [one.name for one in stack if one.filename == HERE]


EXPECTED = ["outer_function", "inner_function"]


def test_current_frames_show_the_call(held):
    names = own_names(sys._current_frames()[held.thread.ident])
    assert [name for name in names if name != "<lambda>"] == EXPECTED


def test_the_stack_begins_like_any_threads(held):
    stack = traceback.extract_stack(sys._current_frames()[held.thread.ident])
    assert [one.name for one in stack[:3]] == ["_bootstrap", "_bootstrap_inner", "run"]


def test_faulthandler_shows_the_call(held, tmp_path):
    path = tmp_path / "dump"
    with path.open("w") as file:
        faulthandler.dump_traceback(file, all_threads=True)
    # The innermost frame is the first one.
    part = next(
        part
        for part in re.split(r"\n(?=(?:Current thread|Thread) )", path.read_text())
        if f"{held.thread.ident:x} " in part.partition("\n")[0]
    )
    names = re.findall(r'File "(?:.*)", line \d+ in (\w+)', part)
    here = names.index("inner_function")
    assert names[here + 1] == "outer_function"
    assert names[-3:] == ["run", "_bootstrap_inner", "_bootstrap"]


def test_a_worker_is_a_thread_like_others(held):
    thread = held.thread
    assert thread in threading.enumerate() and thread.is_alive()
    assert threading._active[thread.ident] is thread
    assert not thread.daemon
    assert "held_0" in repr(thread)


# --- exceptions -------------------------------------------------------------------


def fail_deep(depth):
    if depth:
        return fail_deep(depth - 1)
    raise LookupError("deep")


def chained():
    try:
        fail_deep(0)
    except LookupError as error:
        raise ValueError("chained") from error


def own_trace(error):
    return [
        one.name
        for one in traceback.extract_tb(error.__traceback__)
        if one.filename == HERE
    ]


def test_the_traceback_of_a_call_has_all_of_its_frames(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        error = pool.submit(fail_deep, 3).exception(20)
        assert own_trace(error) == ["fail_deep"] * 4
        assert error.__context__ is None and error.__cause__ is None
        # Locals of each frame can be looked at afterwards.
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        depths = [f.f_locals["depth"] for f in frames if f.f_code.co_filename == HERE]
        assert depths == [3, 2, 1, 0]
        error = pool.submit(chained).exception(20)
        assert own_trace(error) == ["chained"]
        assert own_trace(error.__cause__) == ["chained", "fail_deep"]


@pytest.mark.parametrize("way", ["result", "map", "as_completed"])
def test_the_traceback_at_the_caller_leads_into_the_call(futures, way):
    def ask(pool):
        if way == "map":
            return list(pool.map(fail_deep, [1]))
        future = pool.submit(fail_deep, 1)
        if way == "result":
            return future.result(20)
        return [one.result() for one in futures.as_completed([future], 20)]

    with futures.ThreadPoolExecutor(1) as pool:
        with pytest.raises(LookupError) as caught:
            ask(pool)
    names = own_trace(caught.value)
    assert [name for name in names if name != "<listcomp>"] == [
        "test_the_traceback_at_the_caller_leads_into_the_call",
        "ask",
        "fail_deep",
        "fail_deep",
    ]
    text = "".join(traceback.format_exception(caught.value))
    assert 'raise LookupError("deep")' in text


def test_excepthook_hears_nothing_of_failed_calls(futures, monkeypatch):
    heard = []
    monkeypatch.setattr(threading, "excepthook", heard.append)
    with futures.ThreadPoolExecutor(1) as pool:
        for error in (ValueError, KeyboardInterrupt, SystemExit):
            future = pool.submit(raise_it, error)
            assert type(future.exception(20)) is error
        assert pool.submit(abs, -1).result(20) == 1
    assert heard == []


def raise_it(error):
    raise error


# --- what calls leave -------------------------------------------------------------


def test_tracemalloc_knows_the_line(futures):
    def allocate():
        return bytearray(3_000_000)

    line = allocate.__code__.co_firstlineno + 1
    tracemalloc.start(10)
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            kept = (
                pool.submit(allocate).result(20),
                *pool.map(lambda _: allocate(), [0]),
            )
        snapshot = tracemalloc.take_snapshot()
    finally:
        tracemalloc.stop()
    sizes = {
        (one.traceback[0].filename, one.traceback[0].lineno): one.size
        for one in snapshot.statistics("lineno")
    }
    assert sizes[HERE, line] >= sum(map(len, kept))
    # And who called it.
    found = [t for t in snapshot.traces if t.size >= 3_000_000]
    outermost = {t.traceback[0].filename.rpartition("/")[2] for t in found}
    assert outermost == {"threading.py"}


def test_warnings_are_of_the_line_that_the_level_says(futures):
    def deprecated():
        warnings.warn("old", DeprecationWarning, stacklevel=2)

    def caller():
        deprecated()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(caller).result(20)
    (found,) = caught
    assert (found.filename, found.lineno) == (HERE, caller.__code__.co_firstlineno + 1)


def test_a_warning_that_is_an_error_fails_the_call(futures):
    with futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(warnings.warn, "loud", UserWarning)
        assert type(future.exception(20)) is UserWarning


def test_log_records_name_thread_and_function(futures, caplog):
    def log_something():
        logging.getLogger("calls").warning("something")

    with futures.ThreadPoolExecutor(1, "logging") as pool:
        pool.submit(log_something).result(20)
        (thread,) = pool._threads
        (record,) = caplog.records
        assert record.threadName == thread.name == "logging_0"
        assert record.thread == thread.ident
        assert (record.funcName, record.pathname) == ("log_something", HERE)


def test_context_variables_are_the_threads(futures):
    """What a call sets, later ones of the same worker see; the caller does not."""
    variable = contextvars.ContextVar("variable", default="nothing")
    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(variable.get).result(20) == "nothing"
        pool.submit(variable.set, "set").result(20)
        assert pool.submit(variable.get).result(20) == "set"
        assert list(pool.map(lambda _: variable.get(), [0])) == ["set"]
    assert variable.get() == "nothing"
