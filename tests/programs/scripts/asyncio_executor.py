"""asyncio with a pool: run_in_executor, to_thread, wrap_future, and back."""

import asyncio
import importlib
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])


def blocking(number):
    return number * 2


async def double(number):
    await asyncio.sleep(0)
    return number * 2


async def main():
    loop = asyncio.get_running_loop()
    with concurrent_futures.ThreadPoolExecutor(max_workers=3) as executor:
        print(await loop.run_in_executor(executor, blocking, 21))
        print(await asyncio.gather(
            *(loop.run_in_executor(executor, blocking, n) for n in range(8))
        ))
        try:
            await loop.run_in_executor(executor, int, "x")
        except ValueError as exc:
            print("ValueError", exc)
        print(await asyncio.wrap_future(executor.submit(blocking, 4)))

        results = []
        for next_one in asyncio.as_completed(
            [loop.run_in_executor(executor, blocking, n) for n in range(5)]
        ):
            results.append(await next_one)
        print(sorted(results))

        def from_a_thread():
            future = asyncio.run_coroutine_threadsafe(double(50), loop)
            return future.result(20)

        print(await loop.run_in_executor(executor, from_a_thread))

        go_on = threading.Event()
        waiting = loop.run_in_executor(executor, go_on.wait, 20)
        try:
            await asyncio.wait_for(asyncio.shield(waiting), 0.05)
        except asyncio.TimeoutError:
            print("takes too long")
        go_on.set()
        print(await waiting)

    loop.set_default_executor(concurrent_futures.ThreadPoolExecutor(2, "default"))
    print(await asyncio.to_thread(lambda: threading.current_thread().name[:7]))


asyncio.run(main())
