"""Ends of futures reach a loop in batches, in their order, each once."""

from __future__ import annotations

import asyncio
import asyncio.tasks
import concurrent.futures
import gc
import logging
import threading
import weakref

import pytest
from support.parallel import fresh

import futures_c
from futures_c import Future


@pytest.fixture(params=["wrap_future", "await"])
def chain(request):
    """How an asyncio future is chained to one of ours."""
    if request.param == "wrap_future":
        return asyncio.wrap_future
    return asyncio.ensure_future


def elsewhere(function, *args):
    """Call it in another thread, and wait for that."""
    thread = threading.Thread(target=function, args=args)
    thread.start()
    thread.join()


@fresh
def counted(loop_class):
    """A loop that counts how often another thread wakes it."""

    class Counted(loop_class):
        wakes = 0

        def call_soon_threadsafe(self, *args, **kwargs):
            self.wakes += 1
            return super().call_soon_threadsafe(*args, **kwargs)

    loop = Counted()
    yield loop
    loop.close()


def test_one_wake_for_many(counted, chain):
    async def main():
        futures = [Future() for _ in range(1000)]
        waiting = [chain(future) for future in futures]
        await asyncio.sleep(0)
        before = counted.wakes
        elsewhere(lambda: [f.set_result(k) for k, f in enumerate(futures)])
        assert counted.wakes == before + 1
        assert await asyncio.gather(*waiting) == list(range(1000))
        future = Future()
        again = chain(future)
        await asyncio.sleep(0)
        elsewhere(future.set_exception, KeyError(1))
        assert counted.wakes == before + 2
        with pytest.raises(KeyError):
            await again

    counted.run_until_complete(main())


def test_they_come_in_the_order_of_their_ends(counted, chain, rng):
    async def main():
        futures = [Future() for _ in range(200)]
        ended, seen = list(range(200)), []
        rng.shuffle(ended)
        waiting = [chain(future) for future in futures]
        for k, one in enumerate(waiting):
            one.add_done_callback(lambda _, k=k: seen.append(k))
        await asyncio.sleep(0)
        for k in ended:
            if rng.random() < 0.3:
                await asyncio.sleep(0)
            kind = rng.randrange(3)
            if kind == 0:
                futures[k].set_result(k)
            elif kind == 1:
                futures[k].set_exception(KeyError(k))
            else:
                futures[k].cancel()
                futures[k].set_running_or_notify_cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0)
        assert seen == ended

    counted.run_until_complete(main())


def test_many_threads_end_them(counted, chain):
    """None is lost, whenever the loop looks."""

    async def main():
        futures = [Future() for _ in range(4000)]
        waiting = [chain(future) for future in futures]
        await asyncio.sleep(0)

        def end(start):
            for k in range(start, 4000, 4):
                futures[k].set_result(k)

        threads = [threading.Thread(target=end, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        assert await asyncio.gather(*waiting) == list(range(4000))
        for thread in threads:
            thread.join()

    counted.run_until_complete(asyncio.wait_for(main(), 60))


def test_cancelled_in_both_directions_at_once(counted, chain):
    async def main():
        for _ in range(300):
            future = Future()
            waiting = chain(future)
            await asyncio.sleep(0)
            thread = threading.Thread(target=finish, args=(future,))
            thread.start()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            thread.join()
            await asyncio.sleep(0)
            assert future.done() and waiting.done()

    def finish(future):
        if future.set_running_or_notify_cancel():
            future.set_result(1)

    counted.run_until_complete(asyncio.wait_for(main(), 60))


def test_a_wrong_result_is_reported_as_by_a_handle(counted, chain):
    """Somebody has ended the asyncio future meanwhile."""
    told = []

    async def main():
        counted.set_exception_handler(lambda loop, context: told.append(context))
        first, second = Future(), Future()
        wrapped = asyncio.wrap_future(first)
        after = chain(second)
        await asyncio.sleep(0)
        wrapped.set_result("mine")
        elsewhere(first.set_result, "ours")
        elsewhere(second.set_result, "kept")
        assert await after == "kept"
        assert await wrapped == "mine"

    counted.run_until_complete(main())
    assert len(told) == 1
    assert isinstance(told[0]["exception"], (asyncio.InvalidStateError, AssertionError))


def test_an_interrupt_loses_nothing(counted):
    """KeyboardInterrupt out of a callback goes through, as out of a handle."""

    class Loud(asyncio.Future):
        def set_result(self, result):
            super().set_result(result)
            raise KeyboardInterrupt

    futures = [Future() for _ in range(3)]

    async def chain_all():
        made = counted.create_future
        waiting = []
        for k, future in enumerate(futures):
            counted.create_future = (lambda: Loud(loop=counted)) if k == 1 else made
            waiting.append(asyncio.wrap_future(future))
        counted.create_future = made
        return waiting

    waiting = counted.run_until_complete(chain_all())
    for future in futures:
        elsewhere(future.set_result, 1)
    with pytest.raises(KeyboardInterrupt):
        counted.run_until_complete(asyncio.sleep(0.01))
    assert counted.run_until_complete(asyncio.gather(waiting[0], waiting[2])) == [1, 1]


def test_a_closed_loop_is_no_concern_of_the_future(caplog):
    """What asyncio's own callback does about it is what is done about it."""

    def log_of(future):
        async def main():
            asyncio.wrap_future(future)

        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
        caplog.clear()
        with caplog.at_level(logging.ERROR, "concurrent.futures"):
            future.set_result(1)
        return [record.getMessage().partition(" for ")[0] for record in caplog.records]

    assert log_of(Future()) == log_of(concurrent.futures.Future())


def test_loops_come_and_go(chain):
    """A new loop at an old one's address gets its own letters."""

    async def main():
        with futures_c.ThreadPoolExecutor(1) as pool:
            calls = [pool.submit(abs, -k) for k in range(5)]
            return await asyncio.gather(*map(chain, calls))

    for k in range(50):
        assert asyncio.run(main()) == [0, 1, 2, 3, 4]
        if k % 5 == 0:
            gc.collect()


@pytest.mark.thread_unsafe(reason="counts the garbage of all threads")
def test_a_loop_that_is_collected_leaves_no_garbage(chain):
    """What a program that looks for its own cycles would find."""

    async def main():
        asyncio.get_running_loop().cycle = asyncio.get_running_loop()
        with futures_c.ThreadPoolExecutor(1) as pool:
            return await chain(pool.submit(abs, -1))

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main()) == 1
        gc.collect()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_loop_that_runs_within_a_task_gets_the_letters_after_it():
    """As nest_asyncio has it; the futures have ended in the same batch."""
    first, second, third = Future(), Future(), Future()

    async def outer(inner):
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert await first == 1
        asyncio.tasks._leave_task(loop, task)
        for _ in range(20):
            loop.call_soon(int)
            loop._run_once()
        asyncio.tasks._enter_task(loop, task)
        assert inner.done()
        return await third

    async def main():
        inner = asyncio.ensure_future(asyncio.wait([asyncio.ensure_future(second)]))
        waiting = asyncio.ensure_future(outer(inner))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for k, future in enumerate([first, second, third], 1):
            future.set_result(k)
        assert await asyncio.wait_for(waiting, 30) == 3

    asyncio.run(main())


@pytest.mark.thread_unsafe(reason="other threads look at all loops")
def test_letters_do_not_keep_closed_loops(chain):
    """The last one is kept until there is another loop."""

    def close_with_a_letter_under_way():
        async def begin():
            waiting = chain(future)
            await asyncio.sleep(0)
            return waiting

        future = Future()
        loop = asyncio.new_event_loop()
        waiting = loop.run_until_complete(begin())
        future.set_result(1)
        waiting._log_destroy_pending = False
        loop.close()
        return weakref.ref(loop)

    loops = [close_with_a_letter_under_way() for _ in range(10)]
    gc.collect()
    assert not any(loop() for loop in loops[:-1])


@pytest.mark.parametrize("kind", ["ThreadPoolExecutor", "ProcessPoolExecutor"])
def test_run_in_executor(run, kind):
    async def main():
        loop = asyncio.get_running_loop()
        with getattr(futures_c, kind)(2) as pool:
            calls = [loop.run_in_executor(pool, abs, -k) for k in range(500)]
            assert await asyncio.gather(*calls) == list(range(500))
            if kind == "ThreadPoolExecutor":
                loop.set_default_executor(pool)
                assert await asyncio.to_thread(abs, -2) == 2
                await loop.shutdown_default_executor()
                with pytest.raises(RuntimeError):
                    pool.submit(abs, 1)

    run(main)
