"""Trace and profile functions, debuggers and monitoring see what runs in workers."""

import bdb
import cProfile
import pstats
import sys
import threading

import pytest

HERE = __file__

needs_312 = pytest.mark.skipif(
    sys.version_info < (3, 12), reason="came with Python 3.12"
)


def inner(number):
    doubled = number * 2
    return doubled


def outer(number):
    return inner(number) + 1


def failing():
    raise KeyError("failing")


def own_frames(frame):
    """The names of this file's functions on a stack, the innermost first."""
    names = []
    while frame is not None:
        if frame.f_code.co_filename == HERE:
            names.append(frame.f_code.co_name)
        frame = frame.f_back
    return names


@pytest.fixture
def restored():
    """Put trace and profile functions of threads back."""
    before = threading.gettrace(), threading.getprofile()
    own = sys.gettrace(), sys.getprofile()
    yield
    threading.settrace(before[0])
    threading.setprofile(before[1])
    sys.settrace(own[0])
    sys.setprofile(own[1])


def use(pool):
    """Both ways to call; the ident of the only worker."""
    assert pool.submit(outer, 1).result(20) == 3
    assert list(pool.map(outer, [2])) == [5]
    with pytest.raises(KeyError):
        pool.submit(failing).result(20)
    return pool.submit(threading.get_ident).result(20)


EXPECTED = [
    *[("call", ["outer"]), ("call", ["inner", "outer"])] * 2,
    ("call", ["failing"]),
]


@pytest.mark.usefixtures("restored")
def test_profile_functions_see_the_stack(futures):
    seen = []

    def profile(frame, event, arg):
        if frame.f_code.co_filename == HERE:
            seen.append((threading.get_ident(), event, own_frames(frame)))

    threading.setprofile(profile)
    with futures.ThreadPoolExecutor(1) as pool:
        ident = use(pool)
    threading.setprofile(None)
    calls = [one[1:] for one in seen if one[1] == "call" and one[0] == ident]
    assert calls == EXPECTED
    # Each of them returns as well, the failing one too.
    returns = [one[2][0] for one in seen if one[1] == "return" and one[0] == ident]
    assert returns == ["inner", "outer", "inner", "outer", "failing"]


@pytest.mark.usefixtures("restored")
def test_trace_functions_see_lines_and_exceptions(futures):
    seen = []

    def trace(frame, event, arg):
        if frame.f_code.co_filename != HERE:
            return None
        line = frame.f_lineno - frame.f_code.co_firstlineno
        seen.append((frame.f_code.co_name, event, line))
        return trace

    threading.settrace(trace)
    with futures.ThreadPoolExecutor(1) as pool:
        use(pool)
    threading.settrace(None)
    once = [
        ("outer", "call", 0),
        ("outer", "line", 1),
        ("inner", "call", 0),
        ("inner", "line", 1),
        ("inner", "line", 2),
        ("inner", "return", 2),
        ("outer", "return", 1),
    ]
    assert seen == [
        *once,
        *once,
        ("failing", "call", 0),
        ("failing", "line", 1),
        ("failing", "exception", 1),
        ("failing", "return", 1),
    ]


@needs_312
@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("kind", ["settrace", "setprofile"])
def test_workers_that_run_already(futures, kind):
    """settrace_all_threads() and setprofile_all_threads() reach them."""
    seen = []

    def hook(frame, event, arg):
        if frame.f_code.co_filename == HERE and event == "call":
            seen.append((threading.get_ident(), own_frames(frame)))

    with futures.ThreadPoolExecutor(1) as pool:
        use(pool)
        getattr(threading, f"{kind}_all_threads")(hook)
        ident = use(pool)
        getattr(threading, f"{kind}_all_threads")(None)
        count = len(seen)
        use(pool)
    assert len(seen) == count
    stacks = [("call", stack) for thread, stack in seen if thread == ident]
    assert stacks == EXPECTED


@pytest.mark.usefixtures("restored")
def test_a_breakpoint_in_a_worker(futures):
    """A debugger stops there, and sees the call's variables and stack."""
    line = inner.__code__.co_firstlineno + 2

    class Debugger(bdb.Bdb):
        stops = []

        def user_call(self, frame, argument_list):
            self.set_continue()

        def user_line(self, frame):
            if self.break_here(frame):
                found = threading.get_ident(), frame.f_lineno, dict(frame.f_locals)
                self.stops.append((*found, own_frames(frame)))
            self.set_continue()

    debugger = Debugger()
    debugger.reset()
    assert debugger.set_break(HERE, line) is None
    threading.settrace(debugger.trace_dispatch)
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            ident = use(pool)
    finally:
        threading.settrace(None)
        debugger.clear_all_breaks()
    assert debugger.stops == [
        (ident, line, {"number": number, "doubled": 2 * number}, ["inner", "outer"])
        for number in (1, 2)
    ]


def calls_of(profiler):
    stats = pstats.Stats(profiler).stats
    return {name: counts[1] for (_, _, name), counts in stats.items()}


@pytest.mark.usefixtures("restored")
def test_cprofile_in_a_call(futures):
    profiler = cProfile.Profile()
    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(profiler.runcall, outer, 1).result(20) == 3
        assert pool.submit(outer, 1).result(20) == 3
    counts = calls_of(profiler)
    assert counts["outer"] == counts["inner"] == 1


@pytest.mark.usefixtures("restored")
def test_cprofile_around_a_pool(futures):
    """What the caller does is seen: submit and result are in the table."""
    profiler = cProfile.Profile()
    with futures.ThreadPoolExecutor(1) as pool:
        profiler.enable()
        for number in range(3):
            pool.submit(outer, number).result(20)
        profiler.disable()
    counts = calls_of(profiler)
    for method in ("submit", "result"):
        # "submit", or "<method 'submit' of ...>"
        found = [count for name, count in counts.items() if method in name.split("'")]
        # From 3.12 on it hears all threads, and counts one more.
        assert len(found) == 1 and found[0] >= 3, counts


@needs_312
def test_monitoring(futures):
    """sys.monitoring: starts, returns and exceptions, in the worker's thread."""
    monitoring = sys.monitoring
    tool, events = monitoring.PROFILER_ID, monitoring.events
    if monitoring.get_tool(tool) is not None:
        pytest.skip("somebody monitors this test run")
    seen = []

    def note(event):
        def callback(code, *args):
            if code.co_filename == HERE and code.co_name in NAMES:
                seen.append((event, code.co_name, threading.get_ident()))

        return callback

    kinds = ("PY_START", "PY_RETURN", "RAISE", "PY_UNWIND")
    monitoring.use_tool_id(tool, "test")
    try:
        for kind in kinds:
            monitoring.register_callback(tool, getattr(events, kind), note(kind))
        monitoring.set_events(tool, sum(getattr(events, kind) for kind in kinds))
        with futures.ThreadPoolExecutor(1) as pool:
            ident = use(pool)
    finally:
        monitoring.set_events(tool, 0)
        for kind in kinds:
            monitoring.register_callback(tool, getattr(events, kind), None)
        monitoring.free_tool_id(tool)
    once = [
        ("PY_START", "outer"),
        ("PY_START", "inner"),
        ("PY_RETURN", "inner"),
        ("PY_RETURN", "outer"),
    ]
    assert [one[:2] for one in seen if one[2] == ident] == [
        *once,
        *once,
        ("PY_START", "failing"),
        ("RAISE", "failing"),
        ("PY_UNWIND", "failing"),
    ]


NAMES = ("outer", "inner", "failing")
