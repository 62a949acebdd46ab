"""Executors under a loop: either kind, ours and the standard one, install() or not.

The expectations are those of the standard module; each test runs under asyncio's
loop and under uvloop.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import warnings

import pytest
from support.waiting import until

import futures_c

from . import jobs

KINDS = ("ThreadPoolExecutor", "ProcessPoolExecutor")


@pytest.fixture(params=["as it is", "installed"])
def installed(request, futures):
    """Whether install() is in force; the module under test is loaded before."""
    if request.param == "as it is":
        yield False
        return
    classes = {name: getattr(futures, name) for name in KINDS}
    futures_c.install("*")
    try:
        yield True
    finally:
        futures_c.uninstall()
        for name, cls in classes.items():
            assert getattr(futures, name) is cls


@pytest.fixture(params=KINDS)
def pool_class(request, futures, installed):
    """An executor's class; the standard ones have been got before install()."""
    name = request.param
    if not installed or futures is futures_c:
        return getattr(futures, name)
    # The replaced one is derived from it.
    return next(
        cls
        for cls in getattr(futures, name).__mro__
        if cls.__module__.startswith("concurrent.futures.")
    )


def wait_for(path):
    until(path.exists)


def test_many_calls(run, pool_class):
    async def main():
        loop = asyncio.get_running_loop()
        with pool_class(2) as pool:
            calls = [loop.run_in_executor(pool, abs, -k) for k in range(300)]
            assert await asyncio.gather(*calls) == list(range(300))
            wrapped = [asyncio.wrap_future(pool.submit(abs, -k)) for k in range(50)]
            assert await asyncio.gather(*wrapped) == list(range(50))

    run(main)


@pytest.mark.parametrize("name", sorted(set(jobs.ERRORS) - {"StopIteration"}))
def test_exceptions(run, pool_class, name):
    async def main():
        loop = asyncio.get_running_loop()
        with pool_class(1) as pool:
            with pytest.raises(jobs.ERRORS[name]) as caught:
                await loop.run_in_executor(pool, jobs.fail, name)
            assert caught.value.args == (name,)

    run(main)


def test_stop_iteration(run, pool_class):
    """It cannot be raised into an asyncio future, and becomes a RuntimeError.

    Before 3.12 asyncio only told the loop's handler, and the future never ended;
    ours ends it on every version where we chain them.
    """

    async def main():
        told = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: told.append(context))
        with pool_class(1) as pool:
            call = loop.run_in_executor(pool, jobs.fail, "StopIteration")
            while not (told or call.done()):
                await asyncio.sleep(0.001)
            if told:
                assert sys.version_info < (3, 12) and not call.done()
                assert "StopIteration interacts" in str(told[0]["exception"])
                call.cancel()
            else:
                with pytest.raises(RuntimeError, match="StopIteration interacts"):
                    await call
            assert await loop.run_in_executor(pool, abs, -1) == 1

    run(main)


def test_cancelling_what_waits_cancels_the_call_unless_it_runs(
    run, pool_class, tmp_path
):
    begun, go = tmp_path / "begun", tmp_path / "go"

    async def main():
        with pool_class(1) as pool:
            running = pool.submit(jobs.touch_then_wait, str(begun), str(go))
            while not begun.exists():
                await asyncio.sleep(0.001)
            # The standard pool of processes counts some as running already.
            queued = [pool.submit(abs, -k) for k in range(5)]
            waiting = [asyncio.wrap_future(one) for one in (running, queued[-1])]
            for one in waiting:
                one.cancel()
            ended = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(one) for one in ended] == [asyncio.CancelledError] * 2
            while not queued[-1].cancelled():
                await asyncio.sleep(0.001)
            assert not running.cancelled() and not running.done()
            go.touch()
            assert await asyncio.wrap_future(running) == str(go)
            assert await asyncio.wrap_future(queued[0]) == 0

    run(main)


def test_cancelling_the_call_cancels_what_waits(run, pool_class, tmp_path):
    begun, go = tmp_path / "begun", tmp_path / "go"

    async def main():
        with pool_class(1) as pool:
            pool.submit(jobs.touch_then_wait, str(begun), str(go))
            while not begun.exists():
                await asyncio.sleep(0.001)
            queued = [pool.submit(abs, -k) for k in range(5)]
            waiting = [asyncio.wrap_future(queued[-1]) for _ in range(2)]
            assert queued[-1].cancel()
            go.touch()
            for one in waiting:
                with pytest.raises(asyncio.CancelledError):
                    await one
                assert one.cancelled()

    run(main)


def test_a_loop_that_is_closed_with_calls_under_way(
    loop_class, pool_class, tmp_path, caplog
):
    """They end, and that there is nobody to tell is no matter."""
    begun, go = tmp_path / "begun", tmp_path / "go"

    async def main(pool):
        loop = asyncio.get_running_loop()
        loop.run_in_executor(pool, jobs.touch_then_wait, str(begun), str(go))
        while not begun.exists():
            await asyncio.sleep(0.001)

    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        with pool_class(1) as pool:
            loop = loop_class()
            loop.run_until_complete(main(pool))
            loop.close()
            go.touch()
            assert pool.submit(abs, -1).result(20) == 1
        gc.collect()
    assert not caplog.records


def test_two_loops_in_two_threads_share_a_pool(loop_class, pool_class):
    """Each has calls of its own, and both wait for the same ones."""
    ready = threading.Barrier(2)
    got = []

    async def main(pool, shared):
        loop = asyncio.get_running_loop()
        ready.wait(20)
        waiting = [asyncio.wrap_future(one) for one in shared]
        own = [loop.run_in_executor(pool, abs, -k) for k in range(200)]
        got.append(
            (await asyncio.gather(*waiting), await asyncio.gather(*own)),
        )

    def in_thread(pool, shared):
        loop = loop_class()
        loop.run_until_complete(asyncio.wait_for(main(pool, shared), 30))
        loop.close()

    with pool_class(2) as pool:
        shared = [pool.submit(abs, -k) for k in range(200)]
        threads = [
            threading.Thread(target=in_thread, args=(pool, shared)) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == [(list(range(200)), list(range(200)))] * 2


# --- the default executor -----------------------------------------------------------


@pytest.fixture
def threads(futures, installed):
    """A thread pool's class, without a run for processes."""
    return futures.ThreadPoolExecutor


def test_to_thread_by_the_default_executor(run, installed, loop_class):
    """It is native under install(), where the loop makes it itself."""

    def where():
        return threading.current_thread().name, type(threading.current_thread())

    async def main():
        name, kind = await asyncio.to_thread(where)
        assert name.startswith(("asyncio_", "uvloop_"))
        loop = asyncio.get_running_loop()
        assert await loop.run_in_executor(None, abs, -1) == 1
        # uvloop has kept the class of the time when it was imported: see
        # test_uvloop.py.
        if loop_class is asyncio.SelectorEventLoop:
            assert (kind.__module__ == "futures_c.thread") is installed
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="shutdown has been called"):
            await asyncio.to_thread(where)

    run(main)


def test_set_default_executor(run, threads):
    async def main():
        loop = asyncio.get_running_loop()
        pool = threads(1, "default")
        loop.set_default_executor(pool)
        names = [
            await asyncio.to_thread(lambda: threading.current_thread().name)
            for _ in range(2)
        ]
        assert names == ["default_0"] * 2
        await loop.shutdown_default_executor()
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(abs, 1)

    run(main)


def test_the_default_executor_cannot_be_of_processes(futures, installed):
    """asyncio asks for a thread pool; uvloop does not ask."""
    loop = asyncio.new_event_loop()
    with futures.ProcessPoolExecutor(1) as pool:
        with pytest.raises(TypeError, match="must be ThreadPoolExecutor instance"):
            loop.set_default_executor(pool)
    loop.close()


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="the timeout came with Python 3.12"
)
def test_shutdown_default_executor_gives_up_in_time(threads):
    """On asyncio's loop: uvloop waits for the threads, whatever the timeout."""
    go = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        pool = threads(1)
        loop.set_default_executor(pool)
        call = loop.run_in_executor(None, go.wait, 30)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await loop.shutdown_default_executor(timeout=0.02)
        assert [one.category for one in caught] == [RuntimeWarning]
        go.set()
        assert await call is True
        return pool

    pool = asyncio.run(main(), debug=True)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(abs, 1)
    pool.shutdown()


def test_shutdown_default_executor_waits(run, threads):
    """Calls under way end first, and the loop goes on meanwhile."""
    go = threading.Event()

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(threads(1))
        calls = [
            loop.run_in_executor(None, go.wait, 30),
            loop.run_in_executor(None, abs, -1),
        ]
        loop.call_later(0.01, go.set)
        await loop.shutdown_default_executor()
        assert await asyncio.gather(*calls) == [True, 1]

    run(main)
