"""`await future`: what it gives, what it cancels, and in which loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import threading
import weakref

import pytest

import futures_c
from futures_c import Future


def boom():
    raise KeyError("boom")


def later(future, result, seconds=0.01):
    """End *future* from another thread."""
    timer = threading.Timer(seconds, future.set_result, [result])
    timer.start()
    return timer


def test_a_future_is_awaitable():
    assert inspect.isawaitable(Future())
    assert not inspect.isawaitable(concurrent.futures.Future())


@pytest.mark.parametrize("result", [None, 1, (1, 2), (), StopIteration(3), "x"])
@pytest.mark.parametrize("done", [True, False])
def test_it_gives_the_result(run, result, done):
    async def main():
        future = Future()
        if done:
            future.set_result(result)
        else:
            timer = later(future, result)
        got = await future
        if not done:
            timer.join()
        assert got is result
        # And again.
        assert await future is result

    run(main)


@pytest.mark.parametrize("done", [True, False])
def test_it_raises_the_exception(run, done):
    async def main():
        future, error = Future(), ValueError("x")
        if done:
            future.set_exception(error)
        else:
            asyncio.get_running_loop().call_later(0.01, future.set_exception, error)
        with pytest.raises(ValueError, match="x") as caught:
            await future
        assert caught.value is error

    run(main)


@pytest.mark.parametrize("done", [True, False])
def test_exceptions_of_the_module_become_those_of_asyncio(run, done):
    class Mine(concurrent.futures.CancelledError):
        pass

    expected = {
        concurrent.futures.InvalidStateError: asyncio.InvalidStateError,
        Mine: Mine,
    }
    if not done:
        expected[concurrent.futures.CancelledError] = asyncio.CancelledError

    async def main():
        for raised, seen in expected.items():
            future = Future()
            if done:
                future.set_exception(raised("why"))
            else:
                loop = asyncio.get_running_loop()
                loop.call_later(0.01, future.set_exception, raised("why"))
            with pytest.raises(seen) as caught:
                await future
            assert type(caught.value) is seen

    run(main)


@pytest.mark.parametrize("done", [True, False])
def test_a_cancelled_future_cancels_the_await(run, done):
    async def main():
        future = Future()
        if done:
            future.cancel()
        else:
            asyncio.get_running_loop().call_later(0.01, future.cancel)
        with pytest.raises(asyncio.CancelledError):
            await future

    run(main)


def test_a_cancelled_task_cancels_the_future(run):
    async def main():
        future = Future()
        task = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        assert not future.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert future.cancelled()

    run(main)


def test_a_running_future_is_not_cancelled(run):
    async def main():
        future = Future()
        future.set_running_or_notify_cancel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await future
        assert future.running()
        future.set_result(1)
        assert await future == 1

    run(main)


def test_calls_of_a_pool(run, pool):
    async def main():
        assert await pool.submit(abs, -1) == 1
        with pytest.raises(KeyError):
            await pool.submit(boom)
        calls = [pool.submit(abs, -k) for k in range(100)]
        assert await asyncio.gather(*calls) == list(range(100))
        done, pending = await asyncio.wait(
            [asyncio.ensure_future(pool.submit(abs, -k)) for k in range(10)]
        )
        assert {task.result() for task in done} == set(range(10)) and not pending
        assert await asyncio.wait_for(pool.submit(abs, -3), 10) == 3

    run(main)


def test_what_cannot_be_unpickled_fails_its_await(run):
    async def main():
        with futures_c.ProcessPoolExecutor(1) as pool:
            with pytest.raises(futures_c.BrokenProcessPool):
                await pool.submit(Unreadable)
            assert await pool.submit(abs, -1) == 1

    run(main)


class Unreadable:
    """Pickles, and does not come back."""

    def __reduce__(self):
        return int, ("no number",)


def test_many_wait_for_one(run):
    async def main():
        future = Future()
        waiting = [asyncio.ensure_future(future) for _ in range(50)]
        await asyncio.sleep(0)
        later(future, "all").join()
        assert await asyncio.gather(*waiting) == ["all"] * 50

    run(main)


def test_two_loops_wait_for_one():
    future = Future()
    ready = threading.Barrier(3)
    got = []

    async def main():
        waiting = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        ready.wait()
        got.append(await waiting)

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    ready.wait()
    future.set_result(7)
    for thread in threads:
        thread.join()
    assert got == [7, 7]


def test_a_subclass_is_awaited_through_its_methods(run):
    class Mine(Future):
        def result(self, timeout=None):
            return super().result(timeout) + 1

    async def main():
        future = Mine()
        future.set_result(1)
        assert await future == 2
        future = Mine()
        timer = later(future, 5)
        assert await future == 6
        timer.join()

    run(main)


def test_without_a_loop():
    waiting = Future().__await__
    with pytest.raises(RuntimeError, match="no running event loop"):
        next(waiting())
    future = Future()
    future.set_result(3)
    with pytest.raises(StopIteration) as stopped:
        next(future.__await__())
    assert stopped.value.value == 3


def test_it_is_awaited_once():
    future = Future()
    future.set_result(3)
    waiting = future.__await__()
    with pytest.raises(StopIteration):
        next(waiting)
    with pytest.raises(RuntimeError, match="cannot reuse"):
        next(waiting)


def test_a_loop_that_is_closed_is_told_nothing(caplog):
    future = Future()
    loop = asyncio.new_event_loop()

    async def main():
        waiting = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        return weakref.ref(waiting)

    waiting = loop.run_until_complete(main())
    loop.close()
    future.set_result(1)
    assert not [r for r in caplog.records if r.name == "concurrent.futures"]
    del loop
    gc.collect()
    assert waiting() is None


def test_nothing_is_kept(run):
    async def main():
        future, result = Future(), Exception("kept")
        waiting = asyncio.ensure_future(future)
        await asyncio.sleep(0)
        future.set_result(result)
        assert await waiting is result
        return weakref.ref(future)

    future = run(main)
    gc.collect()
    assert future() is None


def test_one_that_has_ended_is_not_waited_for(run):
    """As with a future of asyncio's own."""

    async def main():
        future, turns = Future(), []
        future.set_result(1)
        asyncio.get_running_loop().call_soon(turns.append, 1)
        assert await future == 1
        assert not turns

    run(main)


def test_what_takes_futures_as_they_are(run):
    async def main():
        made = []

        def future():
            made.append(Future())
            later(made[-1], 1)
            return made[-1]

        assert await asyncio.gather(future(), future()) == [1, 1]
        assert await asyncio.wait_for(future(), 30) == 1
        assert await asyncio.shield(future()) == 1
        for one in asyncio.as_completed([future()]):
            assert await one == 1
        done, pending = await asyncio.wait([asyncio.ensure_future(future())])
        assert len(done) == 1 and not pending

    run(main)
