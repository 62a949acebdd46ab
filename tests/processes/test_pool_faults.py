"""What can happen to a worker, and when: the table phase x event x start method.

Each case names how the future ends and whether the executor is usable then.
Nothing hangs, and shutdown() returns whatever has happened.
"""

import contextlib
import os
import signal
import threading
from contextlib import suppress
from functools import partial

import pytest
from support.waiting import until

from . import jobs
from .kit import (
    BROKEN,
    only_worker,
    parked,
    resume_when_stopped,
    state_of,
    text_of_cause,
    usable,
)


def death(code):
    """The worker is dead: its calls end with BrokenProcessPool, the pool too."""
    return "death", code


def raises(kind):
    """The future gets the exception itself; the pool is usable."""
    return "raises", kind


def unreadable(kind):
    """The future gets a BrokenProcessPool because of the exception; usable."""
    return "unreadable", kind


#: The future gets its result; the pool is usable.
RESULT = "result", None

#: The worker has lost the means to wake the parent.  Where that sleeps it ends
#: with a traceback; otherwise, the result is seen all the same.
CLOSED = "closed", 1

KILL, SEGV = -signal.SIGKILL, -signal.SIGSEGV

#: What a worker ends with whose initializer has failed, and with a traceback.
INITIALIZER, TRACEBACK = 0, 1

#: What a worker ends with that a KeyboardInterrupt has found idle.
INTERRUPTED = 130

DEATHS = {"kill": death(KILL), "segv": death(SEGV), "_exit": death(jobs.EXIT)}
RAISED = {
    "sys.exit": SystemExit,
    "exception": jobs.Trouble,
    "memory": MemoryError,
    "interrupt": KeyboardInterrupt,
}

#: phase: event: what comes of it.
TABLE = {
    "start": {
        **DEATHS,
        **dict.fromkeys(RAISED, death(INITIALIZER)),
        "stop": RESULT,
        "close": CLOSED,
    },
    "idle": {
        **DEATHS,
        "sys.exit": death(jobs.SYS_EXIT),
        "exception": death(TRACEBACK),
        "memory": death(TRACEBACK),
        "interrupt": death(INTERRUPTED),
        "stop": RESULT,
        "close": CLOSED,
    },
    "unpickle": {
        **DEATHS,
        **{event: unreadable(kind) for event, kind in RAISED.items()},
        "stop": RESULT,
        "close": CLOSED,
    },
    "run": {
        **DEATHS,
        **{event: raises(kind) for event, kind in RAISED.items()},
        "stop": RESULT,
        "close": CLOSED,
    },
    "pickle": {
        **DEATHS,
        **{event: raises(kind) for event, kind in RAISED.items()},
        "stop": RESULT,
        "close": CLOSED,
    },
}

#: What the standard module does worse: (phase, event) -> the issue.
FAULTS = {
    **{("unpickle", event): "gh-80041" for event in RAISED},
    **{(phase, "close"): "a worker without descriptors" for phase in TABLE},
}


def cases():
    for phase, events in TABLE.items():
        for event, outcome in events.items():
            issue = FAULTS.get((phase, event))
            marks = [pytest.mark.fault(issue)] if issue else []
            yield pytest.param(
                phase, event, outcome, marks=marks, id=f"{phase}-{event}"
            )


class Starting:
    """The event happens in the initializer."""

    def __init__(self, make, event):
        self.pool = make(initializer=jobs.act, initargs=(event,))
        self.future = self.pool.submit(abs, -3)
        self.expected = 3


class Idle:
    """The event happens to the main thread of a worker that has nothing to do."""

    def __init__(self, make, event):
        self.pool = make(initializer=jobs.act_on_signal, initargs=(event,))
        pid = self.pool.submit(jobs.pid).result(30)
        until(lambda: parked(pid))
        os.kill(pid, signal.SIGUSR1)
        self.future = None


class Unpickling:
    """The event happens as the worker unpickles the call."""

    def __init__(self, make, event):
        self.pool = make()
        self.future = self.pool.submit(jobs.identity, jobs.Unpickled(event))
        self.expected = event


class Running:
    """The event happens in the call."""

    def __init__(self, make, event):
        self.pool = make()
        self.future = self.pool.submit(jobs.act, event)
        self.expected = event


class Pickling:
    """The event happens as the worker pickles the result."""

    def __init__(self, make, event):
        self.pool = make()
        self.future = self.pool.submit(jobs.give_pickled, event)
        self.expected = event


PHASES = {
    "start": Starting,
    "idle": Idle,
    "unpickle": Unpickling,
    "run": Running,
    "pickle": Pickling,
}


def names_the_death(futures, error, pid, code):
    """Fail unless the error says what has happened to whom."""
    assert type(error).__name__ == "BrokenProcessPool"
    if futures.__name__ == "futures_c":
        said = text_of_cause(error)
        assert f"Process {pid} terminated abruptly with exit code {code}" in said
        if code < 0:
            assert signal.Signals(-code).name in said


def is_broken(futures, pool):
    """Fail unless the executor takes no more calls because it is broken."""
    with pytest.raises(futures.process.BrokenProcessPool, match=f"^{BROKEN}$"):
        pool.submit(abs, -1)
    assert pool._broken == BROKEN


@pytest.mark.parametrize("phase, event, outcome", list(cases()))
def test_what_happens_to_a_worker(futures, make, phase, event, outcome):
    case = PHASES[phase](make, event)
    pool = case.pool
    pid = only_worker(pool)
    if event == "stop":
        resume_when_stopped(pid)
    kind, what = outcome
    if kind == "closed":
        probe = case.future or pool.submit(abs, -1)
        probe.exception(30)
        if probe.exception() is None:
            with contextlib.suppress(futures.process.BrokenProcessPool):
                probe = pool.submit(abs, -1)
                probe.exception(30)
        if (error := probe.exception()) is not None:
            names_the_death(futures, error, pid, what)
    elif kind == "death":
        if case.future is not None:
            names_the_death(futures, case.future.exception(30), pid, what)
        until(lambda: pool._broken)
        is_broken(futures, pool)
    else:
        if kind == "result" and case.future is not None:
            assert case.future.result(30) == case.expected
        elif kind == "raises":
            assert type(case.future.exception(30)) is what
        elif kind == "unreadable":
            error = case.future.exception(30)
            assert type(error) is futures.process.BrokenProcessPool
            assert type(error.__cause__) is what
        usable(pool)
        assert only_worker(pool) == pid
    pool.shutdown()


@pytest.mark.parametrize("event", jobs.EVENTS)
def test_what_happens_to_a_worker_that_leaves(futures, make, event):
    """Every call is done by then, and shutdown() waits until it is gone."""
    pool = make()
    future = pool.submit(jobs.act_at_exit, event)
    assert future.result(30) == event
    pid = only_worker(pool)
    resume = threading.Thread(target=resume_when_stopped, args=(pid,))
    if event == "stop":
        resume.start()
    process = pool._processes[pid]
    pool.shutdown()
    assert not process.is_alive()
    assert future.result(0) == event
    if event == "stop":
        resume.join()


# --- while the parent pickles a call ------------------


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_worker_dies_while_the_parent_pickles_a_call(futures, make, name):
    pool = make()
    pid = pool.submit(jobs.pid).result(30)
    number = signal.Signals[name]
    try:
        future = pool.submit(jobs.identity, jobs.PickledBesideSignal(pid, number))
    except futures.process.BrokenProcessPool as exc:
        assert str(exc) == BROKEN  # Then the death was seen before the call.
    else:
        names_the_death(futures, future.exception(30), pid, -number)
    until(lambda: pool._broken)
    is_broken(futures, pool)
    pool.shutdown()


def test_a_worker_is_stopped_while_the_parent_pickles_a_call(futures, make):
    pool = make()
    pid = pool.submit(jobs.pid).result(30)
    call = jobs.PickledBesideSignal(pid, signal.SIGSTOP)
    future = pool.submit(jobs.identity, call)
    resume_when_stopped(pid)
    assert future.result(30) == "pickled"
    usable(pool)
    pool.shutdown()


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(
            event,
            marks=[]
            if issubclass(kind, Exception)
            else [pytest.mark.fault("BaseException from a reducer")],
        )
        for event, kind in RAISED.items()
    ],
)
def test_what_the_parent_raises_while_it_pickles_a_call(futures, make, event):
    pool = make()
    usable(pool)
    pid = only_worker(pool)
    future = pool.submit(jobs.identity, jobs.Pickled(event))
    assert type(future.exception(20)) is RAISED[event]
    assert pool.submit(jobs.pid).result(20) == pid
    pool.shutdown()


@pytest.mark.fault("gh-80041")
@pytest.mark.parametrize("event", RAISED)
def test_what_the_parent_raises_while_it_unpickles_a_result(futures, make, event):
    pool = make()
    usable(pool)
    pid = only_worker(pool)
    future = pool.submit(jobs.give_unpickled, event)
    error = future.exception(20)
    assert type(error) is futures.process.BrokenProcessPool
    assert type(error.__cause__) is RAISED[event]
    assert pool.submit(jobs.pid).result(20) == pid
    pool.shutdown()


# --- who else is concerned ------------------


def test_each_unfinished_future_gets_an_error_of_its_own(futures, make, gate):
    pool = make(2, **gate.options)
    done = pool.submit(abs, -1)
    assert done.result(30) == 1
    held = pool.submit(jobs.hold)
    gate.wait_begun()
    dying = pool.submit(jobs.act, "kill")
    pending = []
    with suppress(futures.process.BrokenProcessPool):
        # It may be dead by now.
        for i in range(5):
            pending.append(pool.submit(abs, -i))
    unfinished = [held, dying, *pending]
    errors = [
        error for future in unfinished if (error := future.exception(30)) is not None
    ]
    kind = futures.process.BrokenProcessPool
    assert held.exception() is not None and dying.exception() is not None
    assert all(type(error) is kind for error in errors)
    if futures.__name__ == "futures_c":
        assert len({id(error) for error in errors}) == len(errors)
    assert done.result(0) == 1
    until(lambda: pool._broken)
    is_broken(futures, pool)
    pool.shutdown()


def test_the_other_workers_are_ended(futures, make, gate):
    pool = make(3, **gate.options)
    held = [pool.submit(jobs.hold) for _ in range(3)]
    gate.wait_begun(3)
    processes = dict(pool._processes)
    assert len(processes) == 3
    victim = next(iter(processes))
    os.kill(victim, signal.SIGKILL)
    for future in held:
        names_the_death(futures, future.exception(30), victim, KILL)
    pool.shutdown()
    assert not any(process.is_alive() for process in processes.values())


@pytest.mark.fault("a stopped worker beside a dead one")
def test_a_stopped_worker_is_ended_with_the_others(futures, make, gate):
    pool = make(2, **gate.options)
    held = [pool.submit(jobs.hold) for _ in range(2)]
    gate.wait_begun(2)
    victim, stopped = processes = dict(pool._processes)
    os.kill(stopped, signal.SIGSTOP)
    until(lambda: state_of(stopped) == "T")
    os.kill(victim, signal.SIGKILL)
    for future in held:
        names_the_death(futures, future.exception(30), victim, KILL)
    pool.shutdown()
    assert not any(process.is_alive() for process in processes.values())


@pytest.mark.slow
@pytest.mark.fault("a worker that ignores SIGTERM")
def test_a_worker_that_ignores_sigterm_is_ended_all_the_same(futures, make):
    pool = make(2, initializer=jobs.ignore, initargs=(signal.SIGTERM,))
    for _ in range(2):
        pool.submit(jobs.nap, 0.1)
    futures.wait([pool.submit(jobs.nap, 0.1) for _ in range(2)], 30)
    processes = dict(pool._processes)
    if len(processes) == 1:
        pytest.skip("one worker did it all")
    os.kill(next(iter(processes)), signal.SIGKILL)
    until(lambda: pool._broken)
    pool.shutdown()
    assert not any(process.is_alive() for process in processes.values())


def test_an_idle_pool_breaks_when_a_worker_dies(futures, make):
    pool = make(2)
    usable(pool)
    victim = next(iter(pool._processes))
    os.kill(victim, signal.SIGKILL)
    until(lambda: pool._broken)
    is_broken(futures, pool)
    with pytest.raises(futures.BrokenExecutor):
        list(pool.map(abs, [1]))
    pool.shutdown()


def waiting_by(name, futures, pool, future):
    """Wait for a future whose worker dies, in one of the ways there are."""
    kind = futures.process.BrokenProcessPool
    if name == "result":
        with pytest.raises(kind):
            future.result(30)
    elif name == "exception":
        assert type(future.exception(30)) is kind
    elif name == "wait":
        assert futures.wait([future], 30).done == {future}
    elif name == "as_completed":
        assert list(futures.as_completed([future], 30)) == [future]
    elif name == "callback":
        called = threading.Event()
        future.add_done_callback(lambda f: called.set())
        assert called.wait(30)
    assert type(future.exception(0)) is kind


@pytest.mark.parametrize(
    "name", ["result", "exception", "wait", "as_completed", "callback"]
)
def test_whoever_waits_is_told_of_the_death(futures, make, gate, name):
    pool = make(**gate.options)
    future = pool.submit(jobs.hold)
    gate.wait_begun()
    pid = only_worker(pool)
    shot = threading.Timer(0.05, os.kill, (pid, signal.SIGKILL))
    shot.start()
    waiting_by(name, futures, pool, future)
    shot.join()
    pool.shutdown()


@pytest.mark.parametrize("chunksize", [1, 2])
@pytest.mark.parametrize("kind", [list, iter])
def test_a_stop_iteration_does_not_end_a_map_in_silence(make, chunksize, kind):
    pool = make(2)
    inputs = kind([1, 2, 0, 4, 5])
    results = pool.map(jobs.stop_iteration, inputs, chunksize=chunksize)
    with pytest.raises(RuntimeError, match="generator raised StopIteration"):
        list(results)
    usable(pool)
    pool.shutdown()


@pytest.mark.parametrize("chunksize", [1, 3])
def test_map_raises_when_a_worker_dies(futures, make, chunksize):
    pool = make(2)
    with pytest.raises(futures.process.BrokenProcessPool):
        # map() itself, where the first one has died already.
        list(pool.map(jobs.act, ["kill"] * 6, chunksize=chunksize, timeout=30))
    until(lambda: pool._broken)
    pool.shutdown()


@pytest.mark.fault("gh-94777", cap=2)
@pytest.mark.parametrize("size", [1 << 10, 1 << 16, 24 << 20])
@pytest.mark.parametrize("job", [jobs.Unpickled, jobs.Pickled])
def test_gh94777_a_death_with_a_long_call_or_result(futures, make, job, size):
    """Nobody waits for room, or for the rest, beside a dead worker."""
    padding = bytes(size)
    pool = make()
    usable(pool)
    pid = only_worker(pool)
    if job is jobs.Unpickled:
        calls = [(jobs.identity, [jobs.Unpickled("kill"), padding])] * 3
    else:
        calls = [(jobs.give_padded, "kill", padding)] * 3
    try:
        pending = [pool.submit(*call) for call in calls]
    except futures.process.BrokenProcessPool:
        pending = []
    for future in pending:
        names_the_death(futures, future.exception(30), pid, KILL)
    until(lambda: pool._broken)
    pool.shutdown()


@pytest.mark.stress
@pytest.mark.fault("gh-94777", cap=2)
@pytest.mark.parametrize("size", [100, 1 << 20])
def test_gh107219_a_death_at_any_moment_of_the_results(futures, make, rng, size):
    for _ in range(4):
        pool = make(2)
        pending = []
        usable(pool)
        victim = rng.choice(list(pool._processes))
        shot = threading.Timer(rng.random() * 0.05, os.kill, (victim, signal.SIGKILL))
        shot.start()
        work = partial(jobs.identity, b"x" * size)
        with pytest.raises(futures.process.BrokenProcessPool):
            while True:
                pending.append(pool.submit(work))
                if len(pending) % 8 == 0:
                    pending[-4].exception(30)
        shot.join()
        done, rest = futures.wait(pending, 30)
        assert not rest
        for future in done:
            error = future.exception()
            if error is None:
                assert len(future.result()) == size
            else:
                names_the_death(futures, error, victim, KILL)
        pool.shutdown()


@pytest.mark.fault("a sentinel that a grandchild holds")
def test_a_worker_that_forked_a_child_of_its_own(futures, make):
    """Its death is seen though its child holds whatever the worker had."""
    pool = make()
    child = pool.submit(jobs.fork_a_sleeper, 20).result(30)
    pid = only_worker(pool)
    try:
        future = pool.submit(jobs.act, "kill")
        names_the_death(futures, future.exception(20), pid, KILL)
        pool.shutdown()
    finally:
        os.kill(child, signal.SIGKILL)
