"""`async for future in as_completed(...)`."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time

import pytest

import futures_c
from futures_c import Future, as_completed


async def collect(iterable):
    return [future async for future in iterable]


def until_exists(path):
    """As a task: wait for a file."""
    while not os.path.exists(path):
        time.sleep(0.001)


@pytest.mark.thread_unsafe(reason="needs both workers of its pool")
def test_they_come_as_they_end_and_the_loop_runs(run, pool, tmp_path):
    path = tmp_path / "go"

    async def tick(second):
        for _ in range(3):
            await asyncio.sleep(0.005)
        # A worker of its own may take longer to start.
        while not second.done():
            await asyncio.sleep(0.001)
        path.touch()

    async def main():
        first, second = pool.submit(until_exists, str(path)), pool.submit(abs, -1)
        ticking = asyncio.ensure_future(tick(second))
        assert await collect(as_completed([first, second])) == [second, first]
        await ticking

    run(main)


def test_done_ones_and_none(run):
    async def main():
        assert await collect(as_completed([])) == []
        futures = [Future() for _ in range(5)]
        for future in futures:
            future.set_result(1)
        assert set(await collect(as_completed(futures * 2))) == set(futures)

    run(main)


def test_standard_futures_among_them(run):
    async def main():
        with concurrent.futures.ThreadPoolExecutor(1) as standard:
            with futures_c.ThreadPoolExecutor(1) as ours:
                futures = [p.submit(time.sleep, 0.02) for p in (standard, ours) * 3]
                assert set(await collect(as_completed(futures))) == set(futures)

    run(main)


def test_many(run, pool):
    async def main():
        futures = [pool.submit(abs, -k) for k in range(3000)]
        got = [future.result() async for future in as_completed(futures)]
        assert sorted(got) == list(range(3000))

    run(main)


def test_the_timeout(run):
    async def main():
        first, second = Future(), Future()
        asyncio.get_running_loop().call_later(0.01, first.set_result, 1)
        seen = []
        with pytest.raises(TimeoutError, match=r"^1 \(of 2\) futures unfinished$"):
            async for future in as_completed([first, second], timeout=0.2):
                seen.append(future)
        assert seen == [first]
        with pytest.raises(TimeoutError, match=r"1 \(of 1\)"):
            await collect(as_completed([second], timeout=0))
        second.cancel()

    run(main)


def test_leaving_early(run):
    async def main():
        futures = [Future() for _ in range(3)]
        futures[1].set_result(1)
        async for future in as_completed(futures):
            assert future is futures[1]
            break
        futures[0].set_result(0)
        await asyncio.sleep(0.01)
        assert await collect(as_completed(futures[:2])) == futures[:2]
        futures[2].cancel()

    run(main)


def test_a_cancelled_loop_leaves_the_futures(run):
    async def main():
        future = Future()
        task = asyncio.ensure_future(collect(as_completed([future])))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not future.done()
        future.set_result(1)

    run(main)


def test_what_is_no_future(run):
    async def main():
        with pytest.raises(AttributeError):
            await collect(as_completed([1]))
        with pytest.raises(TypeError):
            await collect(as_completed(5))

    run(main)


def test_threads_end_them_meanwhile(run):
    async def main():
        futures = [Future() for _ in range(2000)]

        def end(k):
            for future in futures[k::4]:
                future.set_result(k)

        threads = [threading.Thread(target=end, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        assert set(await collect(as_completed(futures))) == set(futures)
        for thread in threads:
            thread.join()

    run(main)
