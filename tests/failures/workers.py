"""Operations on thread pools, loops, the switch and the exit."""

from __future__ import annotations

import contextlib
import copy

import scenes
import shim
from operations import HERE, Cause, ignore, operation

import futures_c
from futures_c import as_completed, wait

# --- threads ------------------------------------------------------------------

# Where no thread can be started, submit() says so.
threads = operation("threads", scenes.Threads, RuntimeError)
new = operation("threads", scenes.NewThreads, RuntimeError)


@new
def create(scene):
    yield
    scene.pool = futures_c.ThreadPoolExecutor(2)


@new
def create_with_initializer(scene):
    told = []
    yield
    scene.pool = futures_c.ThreadPoolExecutor(2, "prefix", told.append, (1,))
    scene.track(scene.pool.submit(abs, -3), 3)


@new
def first_submit(scene):
    scene.pool = scene.make()
    yield
    scene.track(scene.pool.submit(abs, -3), 3)


@new
def first_map(scene):
    scene.pool = scene.make()
    yield
    list(scene.pool.map(abs, range(-5, 0)))


@threads
def submit(scene):
    yield
    for n in range(3):
        scene.track(scene.pool.submit(abs, -n), n)


@threads
def submit_and_get(scene):
    yield
    assert scene.track(scene.pool.submit(abs, -3), 3).result(20) == 3
    assert scene.track(scene.pool.submit(abs, -4), 4).exception(20) is None


@threads
def submit_with_keywords(scene):
    yield
    scene.track(scene.pool.submit(dict, a=1, b=2), {"a": 1, "b": 2})
    scene.track(scene.pool.submit(divmod, *(7, 2)), (3, 1))


@threads
def submit_many(scene):
    scene.occupy()
    yield
    # More than a segment of the queue has.
    for n in range(700):
        scene.futures.append((scene.pool.submit(abs, -n), n))


@threads
def map_it(scene):
    yield
    assert list(scene.pool.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


@threads
def map_two(scene):
    yield
    iterator = scene.pool.map(divmod, [7, 8], [2, 3], timeout=20)
    assert list(iterator) == [(3, 1), (2, 2)]


@threads
def map_in_a_buffer(scene):
    yield
    for _ in scene.pool.map(abs, range(-9, 0), buffersize=2):
        pass


@threads
def map_and_drop(scene):
    scene.occupy()
    yield
    iterator = scene.pool.map(abs, range(-40, 0))
    del iterator


@threads
def map_and_close(scene):
    yield
    iterator = scene.pool.map(abs, range(-5, 0))
    next(iterator)
    iterator.close()


@threads
def map_by_a_subclass(scene):
    class Own(futures_c.ThreadPoolExecutor):
        def submit(self, fn, /, *args, **kwargs):
            return super().submit(fn, *args, **kwargs)

    scene.pool.shutdown()
    scene.pool = Own(2)
    scene.try_pool(scene.pool)
    yield
    list(scene.pool.map(abs, range(-5, 0)))


def some(scene, count=4):
    return [scene.track(scene.pool.submit(abs, -n), n) for n in range(count)]


@threads
def complete(scene):
    scene.occupy()
    futures = some(scene)
    yield
    iterator = as_completed(futures, 20)
    scene.release()
    assert len(list(iterator)) == 4


@threads
def wait_for_all(scene):
    scene.occupy()
    futures = some(scene)
    yield
    scene.release()
    assert len(wait(futures, 20).done) == 4


@threads
def wait_for_first(scene):
    scene.occupy()
    futures = some(scene)
    yield
    scene.release()
    for when in "FIRST_COMPLETED", "FIRST_EXCEPTION":
        assert wait(futures, 20, when).done


@threads
def call_back(scene):
    scene.occupy()
    futures, told = some(scene), []
    yield
    for future in futures:
        future.add_done_callback(lambda one: told.append(one))
        future.add_done_callback(ignore)
    scene.release()
    yield
    scene.settle(())
    scene.close()
    assert len(told) == 4, told


@threads
def cancel_queued(scene):
    scene.occupy()
    futures = some(scene)
    yield
    for future in futures:
        future.cancel()
    yield
    assert all(future.cancelled() for future in futures)


@threads
def shut_down(scene):
    some(scene)
    yield
    scene.pool.shutdown()


@threads
def shut_down_without_waiting(scene):
    scene.occupy()
    some(scene)
    yield
    scene.pool.shutdown(wait=False)


@threads
def shut_down_and_cancel(scene):
    scene.occupy()
    some(scene)
    yield
    scene.pool.shutdown(wait=False, cancel_futures=True)


@threads
def leave_the_block(scene):
    yield
    with scene.pool as pool:
        scene.track(pool.submit(abs, -1), 1)


@threads
def drop(scene):
    some(scene)
    yield
    scene.pool = None


@threads
def look_at_the_pool(scene):
    yield
    repr(scene.pool)
    assert scene.pool._work_queue.qsize() == 0 and len(scene.pool._threads) == 2
    assert scene.pool._max_workers == 2 and not scene.pool._shutdown


@threads
def submit_after_the_end(scene):
    scene.pool.shutdown()
    yield
    try:
        scene.pool.submit(abs, 1)
    except RuntimeError:
        pass


@threads
def submit_from_a_task(scene):
    def nested():
        return scene.track(scene.pool.submit(abs, -2), 2)

    yield
    scene.track(scene.pool.submit(nested), scenes.ANYTHING).result(20)


@operation("threads", scenes.Threads, RuntimeError, TypeError)
def copy_the_pool(scene):
    yield
    copy.copy(scene.pool)


# --- a thread and its tasks, where the task's own thread meets the failure ----

# The worker takes all of these in turn.
worker = operation("worker", scenes.OneThread, Cause)


def armed(value):
    shim.arm()
    return value


def armed_raising():
    shim.arm()
    raise Cause


@worker
def return_a_value(scene):
    yield HERE
    scene.track(scene.pool.submit(armed, 3), 3)
    scene.track(scene.pool.submit(abs, -4), 4)
    scene.settle((MemoryError,))


@worker
def return_an_object(scene):
    yield HERE
    scene.track(scene.pool.submit(armed, [3]), [3])
    scene.track(scene.pool.submit(dict, a=1), {"a": 1})
    scene.settle((MemoryError,))


@worker
def raise_something(scene):
    yield HERE
    scene.track(scene.pool.submit(armed_raising))
    scene.track(scene.pool.submit(divmod, 1, 2), (0, 1))
    scene.settle((MemoryError, Cause))


@worker
def call_callbacks(scene):
    told = []
    scene.occupy()
    future = scene.track(scene.pool.submit(armed, 3), 3)
    for _ in range(3):
        future.add_done_callback(told.append)
    yield HERE
    scene.release()
    scene.settle((MemoryError,))


@worker
def tell_a_waiter(scene):
    scene.occupy()
    futures = [scene.track(scene.pool.submit(armed, n), n) for n in range(3)]
    assert futures[1]._condition
    yield HERE
    scene.release()
    assert len(wait(futures, 20).done) == 3


@worker
def map_in_the_worker(scene):
    yield HERE
    with contextlib.suppress(MemoryError):
        list(scene.pool.map(armed, range(4)))


# --- loops --------------------------------------------------------------------

loops = operation("loops", scenes.Loops, RuntimeError)


@loops
def run_in_executor(scene):
    async def main():
        call = scene.loop.run_in_executor(scene.pool, abs, -3)
        assert await call == 3

    coroutine = main()
    yield
    scene.complete(coroutine)


@loops
def await_a_future(scene):
    async def main():
        assert await scene.track(scene.pool.submit(abs, -3), 3) == 3

    coroutine = main()
    yield
    scene.complete(coroutine)


@loops
def await_a_raising_one(scene):
    async def main():
        with contextlib.suppress(ZeroDivisionError):
            await scene.pool.submit(divmod, 1, 0)

    coroutine = main()
    yield
    scene.complete(coroutine)


@loops
def gather_calls(scene):
    import asyncio

    async def main():
        calls = (scene.loop.run_in_executor(scene.pool, abs, -n) for n in range(4))
        assert await asyncio.gather(*calls) == [0, 1, 2, 3]

    coroutine = main()
    yield
    scene.complete(coroutine)


@loops
def iterate(scene):
    futures = some(scene)

    async def main():
        async for future in as_completed(futures, 20):
            assert future.done()

    coroutine = main()
    yield
    scene.complete(coroutine)


@loops
def wrap(scene):
    import asyncio

    async def main():
        future = scene.pool.submit(abs, -3)
        assert await asyncio.wrap_future(future, loop=scene.loop) == 3

    coroutine = main()
    yield
    scene.complete(coroutine)


@loops
def cancel_an_await(scene):
    import asyncio

    scene.occupy()

    async def sleeper(future):
        await future

    async def main():
        tasks = [asyncio.ensure_future(sleeper(f)) for f in some(scene, 2)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    coroutine = main()
    yield
    scene.complete(coroutine)


# --- the switch ---------------------------------------------------------------


@operation("install", scenes.Installed, RuntimeError)
def install(scene):
    yield
    futures_c.install()


@operation("install", scenes.Installed, RuntimeError)
def uninstall(scene):
    futures_c.install()
    yield
    futures_c.uninstall()


@operation("install", scenes.Installed)
def status(scene):
    futures_c.install()
    yield
    str(futures_c.status())


# --- the exit -----------------------------------------------------------------


@operation("exit", scenes.Ending, rehearsed=False)
def leave_the_interpreter(scene):
    """What threading calls."""
    from futures_c import thread

    some(scene)
    yield
    try:
        thread._python_exit()
    finally:
        shim.disarm()
        thread._python_exit()
