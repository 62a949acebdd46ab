"""What a task waits for when it awaits a future of ours, as asyncio sees it."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import contextvars
import gc
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from futures_c import Future

TASKS = {"C": asyncio.Task, "Python": asyncio.tasks._PyTask}

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


@pytest.fixture(params=["plain", "debug"])
def run(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Run a coroutine function; in debug mode tasks go on by handles of their own."""

    def run(main: Any) -> Any:
        async def capped() -> Any:
            return await asyncio.wait_for(main(), 30)

        return asyncio.run(capped(), debug=request.param == "debug")

    return run


@pytest.fixture(params=sorted(TASKS))
def new_task(request):
    """Make a task of either kind."""

    def make(coroutine):
        return TASKS[request.param](coroutine, loop=asyncio.get_running_loop())

    return make


async def wait_for(future):
    return await future


async def begun(*tasks):
    """Let the tasks come to what they wait for."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


def test_both_kinds_of_tasks_wait_for_it(run, new_task):
    async def main():
        futures = [Future() for _ in range(3)]
        tasks = [new_task(wait_for(future)) for future in futures]
        await begun(*tasks)
        for number, future in enumerate(futures):
            future.set_result(number)
        assert await asyncio.gather(*tasks) == [0, 1, 2]

    run(main)


def test_several_tasks_wait_for_one_future(run, new_task):
    async def main():
        future = Future()
        tasks = [new_task(wait_for(future)) for _ in range(5)]
        await begun(*tasks)
        tasks[1].cancel()
        await asyncio.wait(tasks[1:2])
        # Its call has been cancelled with it, for it had not begun.
        assert future.cancelled()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task

    run(main)


def test_a_running_call_goes_on_when_its_task_is_cancelled(run, new_task):
    async def main():
        future = Future()
        assert future.set_running_or_notify_cancel()
        task, other = new_task(wait_for(future)), new_task(wait_for(future))
        await begun(task, other)
        assert task.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == ("enough",)
        future.set_result(7)
        assert await other == 7

    run(main)


def test_a_cancellation_may_be_refused(run, new_task):
    async def stubborn(future):
        try:
            await future
        except asyncio.CancelledError:
            return await future
        raise AssertionError("it was not cancelled")

    async def main():
        future = Future()
        assert future.set_running_or_notify_cancel()
        task = new_task(stubborn(future))
        await begun(task)
        task.cancel()
        await begun(task)
        future.set_result("late")
        assert await task == "late"

    run(main)


def test_the_end_and_a_cancellation_at_once(run, new_task):
    async def main():
        future = Future()
        task = new_task(wait_for(future))
        await begun(task)
        # The loop has been told and has not looked yet.
        future.set_result(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main)


def test_a_task_that_is_cancelled_before_it_waits(run, new_task):
    async def main():
        future = Future()
        task = new_task(wait_for(future))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not future.cancelled()

    run(main)


def test_timeout(run):
    async def main():
        future = Future()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait_for(future), 0.01)
        assert future.cancelled()

    run(main)


@pytest.mark.parametrize("done", [True, False])
def test_stop_iteration_is_an_error(run, done):
    # As with asyncio since 3.12; before, the task never ended.
    async def main():
        future = Future()
        if done:
            future.set_exception(StopIteration(5))
        task = asyncio.ensure_future(wait_for(future))
        if not done:
            await begun(task)
            future.set_exception(StopIteration(5))
        with pytest.raises(RuntimeError, match="StopIteration interacts") as caught:
            await task
        assert type(caught.value.__cause__) is StopIteration

    run(main)


def test_a_task_goes_on_in_its_own_context(run):
    async def member(future, name):
        variable.set(name)
        await future
        assert variable.get() == name
        variable.set(f"{name} later")
        await asyncio.sleep(0)
        return variable.get()

    async def main():
        future = Future()
        tasks = [asyncio.ensure_future(member(future, f"{n}")) for n in range(3)]
        await begun(*tasks)
        variable.set("main")
        future.set_result(None)
        assert await asyncio.gather(*tasks) == ["0 later", "1 later", "2 later"]
        assert variable.get() == "main"

    run(main)


def test_the_current_task_is_the_one_that_goes_on(run):
    async def member(future):
        await future
        return asyncio.current_task()

    async def main():
        future = Future()
        tasks = [asyncio.ensure_future(member(future)) for _ in range(3)]
        await begun(*tasks)
        future.set_result(None)
        assert await asyncio.gather(*tasks) == tasks

    run(main)


def test_an_exception_that_goes_through_leaves_nobody_behind():
    """A task that ends the loop, and the tasks whose futures ended with its own."""

    class Enough(SystemExit):
        pass

    async def last(future):
        await future
        raise Enough

    async def main(ended):
        future = Future()
        tasks = [asyncio.ensure_future(last(future))]
        tasks += [asyncio.ensure_future(wait_for(future)) for _ in range(3)]
        await begun(*tasks)
        future.set_result(8)
        ended += tasks
        await asyncio.sleep(3600)

    loop = asyncio.new_event_loop()
    ended: list[asyncio.Task[object]] = []
    whole = loop.create_task(main(ended))
    try:
        with pytest.raises(Enough):
            loop.run_until_complete(whole)
        first, *others = ended
        assert loop.run_until_complete(asyncio.gather(*others)) == [8, 8, 8]
        assert type(first.exception()) is Enough
        whole.cancel()
        with pytest.raises(asyncio.CancelledError):
            loop.run_until_complete(whole)
    finally:
        loop.close()


def test_debug_mode_names_the_task_that_is_slow(run, caplog):
    async def slow(future):
        await future
        done = threading.Event()
        done.wait(0.05)

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        loop.slow_callback_duration = 0.01
        future = Future()
        task = asyncio.ensure_future(slow(future))
        await begun(task)
        future.set_result(None)
        await task
        loop.set_debug(False)

    run(main)
    slowly = [r.getMessage() for r in caplog.records if "took" in r.getMessage()]
    assert any("slow" in text and "mailbox" not in text for text in slowly), slowly


def test_a_task_shows_what_it_waits_for(run):
    async def main():
        future = Future()
        task = asyncio.ensure_future(wait_for(future))
        await begun(task)
        assert f"wait_for=<await of {future!r}>" in repr(task)
        future.set_result(None)
        await task

    run(main)


def test_as_a_future(run):
    """What asyncio and its users ask a future for."""

    async def main():
        loop = asyncio.get_running_loop()
        future = Future()
        awaiter = future.__await__()
        assert asyncio.isfuture(awaiter)
        assert not awaiter.cancel()
        assert next(awaiter) is awaiter
        assert awaiter._asyncio_future_blocking
        awaiter._asyncio_future_blocking = False
        assert not awaiter._asyncio_future_blocking
        assert awaiter.get_loop() is loop
        assert not awaiter.done()
        with pytest.raises(asyncio.InvalidStateError):
            awaiter.result()
        with pytest.raises(asyncio.InvalidStateError):
            awaiter.exception()
        with pytest.raises(RuntimeError, match="await wasn't used with future"):
            next(awaiter)
        called: list[object] = []
        for number in range(4):
            awaiter.add_done_callback(
                lambda f, number=number: called.append((number, f))
            )
        unwanted = called.remove
        awaiter.add_done_callback(unwanted)
        assert awaiter.remove_done_callback(unwanted) == 1
        assert awaiter.remove_done_callback(unwanted) == 0
        future.set_result("x")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert called == [(number, awaiter) for number in range(4)]
        assert awaiter.done() and not awaiter.cancelled()
        assert awaiter.result() == "x"
        assert awaiter.exception() is None
        awaiter.add_done_callback(called.append)
        await asyncio.sleep(0)
        assert called[-1] is awaiter
        with pytest.raises(StopIteration) as stopped:
            awaiter.send(None)
        assert stopped.value.value == "x"
        with pytest.raises(RuntimeError, match="cannot reuse"):
            next(awaiter)

    run(main)


def test_throwing_into_it():
    awaiter = Future().__await__()
    error = KeyError(1)
    with pytest.raises(KeyError) as caught:
        awaiter.throw(error)
    assert caught.value is error
    with pytest.raises(KeyError, match="2"):
        awaiter.throw(KeyError, 2)
    with pytest.raises(KeyError):
        awaiter.throw(KeyError)
    with pytest.raises(TypeError, match="deriving from BaseException"):
        awaiter.throw(3)
    awaiter.close()


def test_wrong_arguments(run):
    async def main():
        awaiter = Future().__await__()
        next(awaiter)
        with pytest.raises(TypeError, match="fn"):
            awaiter.add_done_callback()
        with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
            awaiter.cancel(other=1)
        assert awaiter.cancel(msg="m")
        assert awaiter.cancelled()
        with pytest.raises(asyncio.CancelledError, match="m"):
            awaiter.result()

    run(main)


def test_another_loop_refuses_it(run):
    async def main():
        awaiter = Future().__await__()
        next(awaiter)
        loop = asyncio.new_event_loop()

        async def foreign():
            awaiter._asyncio_future_blocking = True
            await awaiter_of(awaiter)

        class awaiter_of:
            def __init__(self, it):
                self.it = it

            def __await__(self):
                yield self.it

        def other():
            with pytest.raises(RuntimeError, match="attached to a different loop"):
                loop.run_until_complete(foreign())
            loop.close()

        thread = threading.Thread(target=other)
        thread.start()
        while thread.is_alive():
            await asyncio.sleep(0.001)
        thread.join()

    run(main)


def test_nothing_is_kept(run):
    class Big:
        pass

    async def take(future):
        return await future

    async def main():
        future = Future()
        task = asyncio.ensure_future(take(future))
        await begun(task)
        big = Big()
        there = weakref.ref(big)
        future.set_result(big)
        del big
        await task
        del task, future
        # The handle that runs keeps the task, and its result.
        await asyncio.sleep(0)
        gc.collect()
        assert there() is None

    run(main)


@pytest.mark.thread_unsafe(reason="signals are the main thread's")
def test_an_interrupt_while_the_loop_is_asked_loses_nothing(run):
    """The main thread ends a future, and SIGINT comes in the middle of telling."""

    async def main():
        loop = asyncio.get_running_loop()
        future = Future()
        task = asyncio.ensure_future(wait_for(future))
        await begun(task)
        asked = loop.call_soon_threadsafe
        times = iter([True])

        def interrupted(*args, **kwargs):
            if next(times, False):
                raise KeyboardInterrupt
            return asked(*args, **kwargs)

        loop.call_soon_threadsafe = interrupted
        seen: list[int] = []
        previous = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
        try:
            future.set_result("told")
            assert await task == "told"
        finally:
            signal.signal(signal.SIGINT, previous)
            del loop.call_soon_threadsafe
        # It was raised in the name of a signal, whose handler is called again.
        assert seen == [1]

    run(main)
