"""asyncio on our threads."""

import asyncio
import contextvars
import threading
import time

import pytest


def run(main):
    return asyncio.run(main())


def test_run_in_executor(futures):
    async def main():
        loop = asyncio.get_running_loop()
        with futures.ThreadPoolExecutor(2) as pool:
            results = [loop.run_in_executor(pool, abs, -i) for i in range(50)]
            return await asyncio.gather(*results)

    assert run(main) == list(range(50))


def test_run_in_executor_passes_exceptions_on(futures):
    async def main():
        loop = asyncio.get_running_loop()
        with futures.ThreadPoolExecutor(2) as pool:
            await loop.run_in_executor(pool, int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run(main)


def test_the_loop_goes_on_while_a_task_blocks(futures):
    async def main():
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            blocked = loop.run_in_executor(pool, gate.wait, 30)
            ticks = 0
            for _ in range(20):
                await asyncio.sleep(0.001)
                ticks += 1
            gate.set()
            return await blocked, ticks

    assert run(main) == (True, 20)


def test_wrap_future(futures):
    async def main():
        with futures.ThreadPoolExecutor(1) as pool:
            done = pool.submit(abs, -1)
            futures.wait([done])
            return (
                await asyncio.wrap_future(done),
                await asyncio.wrap_future(pool.submit(time.sleep, 0.02)),
                await asyncio.wrap_future(pool.submit(abs, -3)),
            )

    assert run(main) == (1, None, 3)


def test_cancelling_the_asyncio_side_cancels_a_pending_task(futures):
    async def main():
        gate = threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(gate.wait, 30)
            pending = pool.submit(abs, -1)
            wrapped = asyncio.wrap_future(pending)
            wrapped.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wrapped
            while not pending.cancelled():  # The loop passes it on in a moment.
                await asyncio.sleep(0.001)
            gate.set()

    run(main)


def test_cancelling_the_task_cancels_the_asyncio_side(futures):
    async def main():
        gate = threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            pool.submit(gate.wait, 30)
            pending = pool.submit(abs, -1)
            wrapped = asyncio.wrap_future(pending)
            assert pending.cancel()
            gate.set()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(wrapped, 20)

    run(main)


def test_wait_for_gives_up_in_time(futures):
    async def main():
        loop = asyncio.get_running_loop()
        gate = threading.Event()
        with futures.ThreadPoolExecutor(1) as pool:
            blocked = loop.run_in_executor(pool, gate.wait, 30)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(blocked, 0.02)
            gate.set()

    run(main)


def test_set_default_executor_and_to_thread(futures):
    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(futures.ThreadPoolExecutor(2, "default"))
        name = await asyncio.to_thread(lambda: threading.current_thread().name)
        assert name.startswith("default_")
        assert await loop.run_in_executor(None, abs, -1) == 1
        results = await asyncio.gather(*(asyncio.to_thread(abs, -i) for i in range(30)))
        await loop.shutdown_default_executor()
        return results

    assert run(main) == list(range(30))


def test_asyncio_run_shuts_the_default_executor_down(futures):
    pools = []

    async def main():
        pools.append(futures.ThreadPoolExecutor(2))
        asyncio.get_running_loop().set_default_executor(pools[0])
        return await asyncio.to_thread(abs, -1)

    assert run(main) == 1
    with pytest.raises(RuntimeError, match="after shutdown"):
        pools[0].submit(abs, 1)


def test_context_variables_reach_to_thread(futures):
    variable = contextvars.ContextVar("variable")

    async def main():
        asyncio.get_running_loop().set_default_executor(futures.ThreadPoolExecutor(1))
        variable.set("here")
        return await asyncio.to_thread(variable.get)

    assert run(main) == "here"


def test_run_coroutine_threadsafe_from_workers(futures):
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    async def main():
        loop = asyncio.get_running_loop()

        def work(i):
            return asyncio.run_coroutine_threadsafe(double(i), loop).result(20)

        with futures.ThreadPoolExecutor(4) as pool:
            jobs = [loop.run_in_executor(pool, work, i) for i in range(40)]
            return await asyncio.gather(*jobs)

    assert run(main) == [2 * i for i in range(40)]


def test_wait_on_futures_that_asyncio_made(futures):
    """run_coroutine_threadsafe gives standard futures; both waits take them."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        with futures.ThreadPoolExecutor(1) as pool:
            mixed = [
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0.02, "slept"), loop),
                pool.submit(abs, -1),
            ]
            assert {f.result() for f in futures.as_completed(mixed, 20)} == {"slept", 1}
            assert futures.wait(mixed, 20).not_done == set()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


def test_an_event_loop_in_each_worker(futures):
    async def work(i):
        await asyncio.sleep(0.001)
        return i

    with futures.ThreadPoolExecutor(4) as pool:
        pending = [pool.submit(lambda i=i: asyncio.run(work(i))) for i in range(12)]
        assert [future.result(20) for future in pending] == list(range(12))


def test_gh111358_one_ctrl_c_ends_asyncio_run(futures, script):
    """When the calls that run have ended, which nobody can interrupt.

    None more is asked for: not by the loop that shuts its executor down, nor at
    exit.
    """
    outcome = script(
        """
        import asyncio, os, signal, threading
        begun, go = threading.Event(), threading.Event()

        def work():
            begun.set()
            go.wait(20)
            print("worked", flush=True)

        def interrupt():
            begun.wait(20)
            os.kill(os.getpid(), signal.SIGINT)
            go.set()

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_default_executor(futures.ThreadPoolExecutor(2))
            threading.Thread(target=interrupt).start()
            await loop.run_in_executor(None, work)
            await asyncio.sleep(20)

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    )
    assert outcome.check().lines == ["worked", "interrupted"]
