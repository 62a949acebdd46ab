"""Worker contexts by themselves, and pools of subclasses that change them."""

from __future__ import annotations

import gc
import threading

import pytest

import futures_c

from . import jobs, kit


def prepare(initializer=None, initargs=()):
    """A context of ours, and what makes a task for it."""
    create, task = futures_c.InterpreterPoolExecutor.prepare_context(
        initializer, initargs
    )
    return create(), task


def test_a_context_by_itself():
    before = kit.interpreters()
    context, task = prepare(jobs.visit, (kit.TESTS,))
    assert kit.interpreters() == before
    context.initialize()
    assert context.run(task(abs, (-3,), {})) == 3
    assert context.run(task(jobs.mark, (1,), {})) == 1
    with pytest.raises(LookupError, match="lost"):
        context.run(task(jobs.fail_with, ("lost",), {}))
    assert len(kit.interpreters()) == len(before) + 1
    context.finalize()
    context.finalize()
    assert kit.interpreters() == before
    with pytest.raises(RuntimeError, match=r"^there is no interpreter$"):
        context.run(task(abs, (-3,), {}))
    # And again, with nothing left of what it was.
    context.initialize()
    assert context.run(task(jobs.mark, (1,), {})) == 1
    with pytest.raises(RuntimeError, match=r"^there is an interpreter already$"):
        context.initialize()
    context.finalize()


def test_a_context_before_it_is_initialized():
    context, task = prepare()
    with pytest.raises(RuntimeError, match=r"^there is no interpreter$"):
        context.run(task(abs, (1,), {}))
    context.finalize()


@pytest.mark.parametrize(
    "task",
    [None, (), (abs,), (abs, [1], {}), (abs, (1,), None), [abs, (1,), {}], "abs"],
)
def test_what_is_no_task(task):
    context, _ = prepare()
    context.initialize()
    try:
        with pytest.raises(futures_c.interpreter.NotShareableError) as caught:
            context.run(task)
        assert type(caught.value.__cause__) is TypeError
        assert context.run((abs, (-1,), {})) == 1
    finally:
        context.finalize()


def in_thread(call):
    """Call in another thread; return what it returns or raises."""
    found = []

    def run():
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


def test_another_thread_may_end_it_but_not_run_calls_in_it():
    before = kit.interpreters()
    context, task = prepare()
    context.initialize()
    error = in_thread(lambda: context.run(task(abs, (1,), {})))
    assert type(error) is RuntimeError
    assert str(error) == "the interpreter belongs to another thread"
    assert context.run(task(abs, (-1,), {})) == 1
    assert in_thread(context.finalize) is None
    assert kit.interpreters() == before


def test_a_context_whose_thread_has_gone():
    before = kit.interpreters()
    context, task = prepare(jobs.visit, (kit.TESTS,))

    def use():
        context.initialize()
        context.run(task(jobs.set_local, (), {}))
        return context.run(task(bytes, (100_000,), {}))

    assert in_thread(use) == bytes(100_000)
    context.finalize()
    assert kit.interpreters() == before


def test_it_cannot_be_ended_while_it_begins(script):
    """It was left without what its functions are found by: the first call crashed."""
    ran = script(
        kit.PROLOGUE
        + """
create, task = futures.InterpreterPoolExecutor.prepare_context(None, ())
context = create()
found = []
def look(event, args):
    # In the middle of making it, as another thread may be at any time.
    if event == "cpython.PyInterpreterState_New" and not found:
        for step in context.finalize, context.initialize:
            try:
                found.append(step())
            except RuntimeError as error:
                found.append(str(error))
sys.addaudithook(look)
context.initialize()
print(context.run(task(abs, (-1,), {})), *found, sep="; ")
context.finalize()
""",
        futures=futures_c,
    )
    running = "the interpreter is running"
    assert ran.check().lines == [f"1; {running}; {running}"]


@pytest.mark.parametrize("where", ["here", "in another thread"])
def test_a_context_that_is_dropped(where):
    """As the standard one, it ends its interpreter."""
    before = kit.interpreters()
    contexts = [prepare(jobs.visit, (kit.TESTS,))[0]]
    contexts[0].itself = contexts[0]
    contexts[0].initialize()
    assert contexts[0].run((jobs.mark, (1,), {})) == 1
    contexts.clear()
    if where == "here":
        gc.collect()
    else:
        in_thread(gc.collect)
    assert kit.interpreters() == before


def test_a_context_in_use_when_the_program_ends(script):
    ran = script(
        kit.PROLOGUE
        + """
create, task = futures.InterpreterPoolExecutor.prepare_context(None, ())
kept = create()
kept.initialize()
print(kept.run(task(abs, (-1,), {})))
""",
        futures=futures_c,
    )
    assert ran.check().lines == ["1"]
    assert ran.stderr == ""


def test_it_cannot_be_ended_by_its_own_call():
    context, task = prepare()
    context.initialize()
    found = []

    def call():
        for step in context.finalize, lambda: context.run(task(abs, (1,), {})):
            try:
                step()
            except RuntimeError as error:
                found.append(str(error))

    jobs.Calling.call = call
    try:
        assert context.run(task(str, (), {})) == ""
        context.run(task(jobs.visit, (kit.TESTS,), {}))
        assert context.run(task(jobs.same, (jobs.Calling(),), {})) == 0
    finally:
        jobs.Calling.call = None
        context.finalize()
    assert set(found) == {"the interpreter is running"}


# --- subclasses ----------------------------------------------------------------


def test_a_subclass_that_overrides_submit(futures):
    class Pool(futures.InterpreterPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            seen.append(fn)
            return super().submit(fn, *args, **kwargs)

    seen = []
    with Pool(1) as pool:
        assert pool.submit(abs, -1).result() == 1
        assert list(pool.map(abs, [-2, -3])) == [2, 3]
    assert seen == [abs] * 3


def test_a_subclass_that_overrides_prepare_context(futures):
    """What it makes of tasks is what runs, and its contexts are those used."""
    log = []

    class Pool(futures.InterpreterPoolExecutor):
        @classmethod
        def prepare_context(cls, initializer, initargs):
            create, resolve = super().prepare_context(initializer, initargs)

            def create_context():
                log.append("context")
                return create()

            def resolve_task(fn, args, kwargs):
                log.append(fn)
                return resolve(fn, args, kwargs)

            return create_context, resolve_task

    with Pool(1) as pool:
        assert pool.submit(abs, -1).result() == 1
        assert list(pool.map(abs, [-2])) == [2]
    assert sorted(map(str, log)) == sorted(map(str, ["context", abs, abs]))


def test_a_subclass_with_other_contexts(futures):
    """Threads without interpreters, in the manner of 3.14's contexts."""

    class Context:
        def initialize(self):
            self.calls = 0

        def finalize(self):
            ended.append(self.calls)

        def run(self, task):
            self.calls += 1
            fn, args, kwargs = task
            return fn(*args, **kwargs), jobs.number()

    class Pool(futures.InterpreterPoolExecutor):
        @classmethod
        def prepare_context(cls, initializer, initargs):
            return Context, lambda fn, args, kwargs: (fn, args, kwargs)

    ended: list[int] = []
    with Pool(1) as pool:
        assert pool.submit(abs, -1).result() == (1, jobs.number())
        assert list(pool.map(abs, [-2])) == [(2, jobs.number())]
    assert ended == [2]


def test_a_context_that_cannot_be_made(futures):
    class Pool(futures.InterpreterPoolExecutor):
        @classmethod
        def prepare_context(cls, initializer, initargs):
            def create_context():
                raise LookupError("none today")

            return create_context, lambda *task: task

    with Pool(1) as pool:
        with pytest.raises(LookupError, match="none today"):
            pool.submit(abs, -1)
