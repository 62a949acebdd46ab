"""What calls raise, with its traceback there, its notes and its kind."""

from __future__ import annotations

import traceback

import pytest

import futures_c

from . import jobs, kit


@pytest.fixture
def failed(futures):
    """The class of the cause of what a call has raised."""
    if kit.STANDARD:
        from concurrent.interpreters import ExecutionFailed
    else:
        from futures_c.interpreter import ExecutionFailed
    return ExecutionFailed


def test_an_exception_comes_back_with_its_traceback(pool, failed):
    future = pool.submit(jobs.fail_with, "lost")
    error = future.exception(30)
    assert type(error) is LookupError and error.args == ("lost",)
    with pytest.raises(LookupError, match=r"^lost$"):
        future.result()
    cause = error.__cause__
    assert type(cause) is failed
    assert cause.excinfo.type.__name__ == "LookupError"
    assert cause.excinfo.msg == "lost"
    assert str(cause).startswith("LookupError: lost\n\nUncaught in the interpreter:")
    assert "in fail_with" in str(cause)
    assert 'jobs.py", line' in cause.excinfo.errdisplay
    shown = "".join(traceback.format_exception(error))
    assert "in fail_with" in shown
    assert "The above exception was the direct cause" in shown
    assert pool.submit(abs, 1).result() == 1


def test_attributes_and_notes_come_along(pool):
    error = KeyError("k")
    error.add_note("a note")
    error.extra = [1]
    found = pool.submit(jobs.fail, error).exception(30)
    assert type(found) is KeyError and found is not error
    assert found.__notes__ == ["a note"] and found.extra == [1]


def test_exceptions_of_a_module(pool, failed):
    found = pool.submit(jobs.fail, jobs.Loud("hey", level=3)).exception(30)
    assert type(found) is jobs.Loud
    assert (found.args, found.level) == (("hey",), 3)
    assert type(found.__cause__) is failed
    assert str(found.__cause__).startswith("interpreters.jobs.Loud: hey")


def test_groups(pool):
    group = ExceptionGroup("all", [ValueError(1), jobs.Loud("two", level=2)])
    found = pool.submit(jobs.fail, group).exception(30)
    assert type(found) is ExceptionGroup and found.message == "all"
    assert [type(each) for each in found.exceptions] == [ValueError, jobs.Loud]


def test_a_cause_and_a_context_are_shown_there(pool, failed):
    found = pool.submit(fail_twice).exception(30)
    assert type(found) is ValueError
    assert type(found.__cause__) is failed
    assert "KeyError: 'first'" in found.__cause__.excinfo.errdisplay


def fail_twice():
    """Raise one exception from another."""
    try:
        raise KeyError("first")
    except KeyError as error:
        raise ValueError("second") from error


@pytest.mark.parametrize(
    "job, kind", [(jobs.leave, SystemExit), (jobs.interrupt, KeyboardInterrupt)]
)
def test_what_is_no_exception_ends_its_future_alone(pool, job, kind):
    for _ in range(2):
        error = pool.submit(job).exception(30)
        assert type(error) is kind
        with pytest.raises(kind):
            pool.submit(job).result(30)
    assert len(pool._threads) == 1
    assert pool.submit(jobs.mark, 1).result() == 1


def test_recursion_errors(pool):
    assert type(pool.submit(recur).exception(30)) is RecursionError
    assert pool.submit(abs, -1).result() == 1


def recur():
    """Call itself for ever."""

    def again(function):
        return function(function)

    return again(again)


def test_what_is_not_callable(pool, failed):
    for wrong in None, 3, ():
        error = pool.submit(wrong).exception(30)
        assert type(error) is TypeError
        assert type(error.__cause__) is failed
        assert "not callable" in str(error)


# --- ours alone: the standard module crashes or loses them ---------------------


@pytest.fixture
def our_pool():
    """One worker of ours."""
    with futures_c.InterpreterPoolExecutor(
        1, initializer=jobs.visit, initargs=(kit.TESTS,)
    ) as pool:
        yield pool


def test_an_exception_that_cannot_be_pickled(our_pool, capfd):
    error = our_pool.submit(fail_with_generator).exception(30)
    assert type(error).__name__ == "ExecutionFailed"
    assert "ValueError: m" in str(error)
    # As the standard module says it, in the other interpreter.
    assert "exception is not shareable:" in capfd.readouterr().err
    assert our_pool.submit(abs, -1).result() == 1


def fail_with_generator():
    """Raise what cannot be pickled."""
    error = ValueError("m")
    error.generator = (i for i in ())
    raise error


def test_an_exception_whose_str_raises(our_pool, capfd):
    error = our_pool.submit(fail_speechless).exception(30)
    assert type(error).__name__ == "ExecutionFailed"
    assert "<exception str() failed>" in str(error)
    assert "Speechless" in str(error)
    capfd.readouterr()


def fail_speechless():
    """Raise what cannot be shown."""

    class Speechless(Exception):
        def __str__(self):
            raise KeyError("str")

    raise Speechless


def test_an_exception_that_cannot_be_described(our_pool):
    """What the call has raised is said in any case."""
    error = our_pool.submit(fail_undescribed).exception(30)
    assert type(error).__name__ == "NotShareableError"
    text = str(error.__cause__)
    assert text.startswith("ValueError: m (not described: ModuleNotFoundError: ")
    assert our_pool.submit(abs, -1).result() == 1


def fail_undescribed():
    """Raise where tracebacks cannot be shown."""
    import sys

    sys.modules["traceback"] = None
    raise ValueError("m")


def test_an_exception_that_can_be_pickled_but_not_unpickled(our_pool):
    error = our_pool.submit(jobs.fail_with_fragile).exception(30)
    assert type(error).__name__ == "ExecutionFailed"
    assert str(error).startswith("interpreters.jobs.Fragile: frail")
    assert type(error.__cause__) is TypeError
    assert our_pool.submit(abs, -1).result() == 1


def test_no_traceback_has_memory_of_the_other_interpreter(our_pool):
    """A debugger that shows the variables of its frames would read what is freed."""
    error = our_pool.submit(jobs.fail_with_fragile).exception(30)
    frames = [frame for frame, _ in traceback.walk_tb(error.__cause__.__traceback__)]
    views = [
        value
        for frame in frames
        for value in frame.f_locals.values()
        if type(value) is memoryview
    ]
    assert views
    for view in views:
        with pytest.raises(ValueError, match="released"):
            view.tobytes()


def test_an_exception_of_a_module_that_is_not_here(our_pool):
    error = our_pool.submit(fail_with_foreign).exception(30)
    assert type(error).__name__ == "ExecutionFailed"
    assert "Foreign: from there" in str(error)


def fail_with_foreign():
    """Raise what can be found by its name there alone."""
    import sys
    import types

    module = types.ModuleType("futures_c_foreign")
    exec("class Foreign(Exception): pass", vars(module))
    sys.modules["futures_c_foreign"] = module
    module.Foreign.__module__ = "futures_c_foreign"
    raise module.Foreign("from there")


@pytest.mark.unsanitized("address", reason="it ends the process instead")
def test_memory_errors(our_pool):
    assert type(our_pool.submit(bytes, 1 << 62).exception(30)) is MemoryError
    assert our_pool.submit(abs, -1).result() == 1


@pytest.mark.parametrize("how", ["None", "closed"])
def test_the_standard_streams_of_there_may_be_gone(our_pool, capfd, how):
    our_pool.submit(close_streams, how).result(30)
    error = our_pool.submit(fail_with_generator).exception(30)
    assert type(error).__name__ == "ExecutionFailed"
    assert "ValueError: m" in str(error)
    assert our_pool.submit(abs, -1).result() == 1
    assert capfd.readouterr() == ("", "")


def close_streams(how):
    """Have no standard error any more."""
    import io
    import sys

    sys.stderr = None
    if how == "closed":
        sys.stderr = io.StringIO()
        sys.stderr.close()
