"""Executors that people derive: with context, bounded, counting."""

import contextvars
import importlib
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

request = contextvars.ContextVar("request", default="none")


class ContextThreadPoolExecutor(concurrent_futures.ThreadPoolExecutor):
    def submit(self, fn, /, *args, **kwargs):
        context = contextvars.copy_context()
        return super().submit(context.run, fn, *args, **kwargs)


class BoundedExecutor(concurrent_futures.ThreadPoolExecutor):
    def __init__(self, bound, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.semaphore = threading.BoundedSemaphore(bound)

    def submit(self, fn, /, *args, **kwargs):
        self.semaphore.acquire()
        try:
            future = super().submit(fn, *args, **kwargs)
        except BaseException:
            self.semaphore.release()
            raise
        future.add_done_callback(lambda _: self.semaphore.release())
        return future


class CountingExecutor(concurrent_futures.ThreadPoolExecutor):
    submitted = 0

    def submit(self, *args, **kwargs):
        self.submitted += 1
        return super().submit(*args, **kwargs)


request.set("number 7")
with ContextThreadPoolExecutor(max_workers=2) as executor:
    print(executor.submit(request.get).result())
    print(list(executor.map(lambda _: request.get(), range(3))))

with BoundedExecutor(4, max_workers=2) as executor:
    print(sum(future.result() for future in [
        executor.submit(pow, n, 2) for n in range(100)
    ]))

with CountingExecutor(2) as executor:
    executor.submit(print, "one").result()
    list(executor.map(abs, range(5)))
    print(executor.submitted)

print(issubclass(BoundedExecutor, concurrent_futures.Executor))


class Inline(concurrent_futures.Executor):
    def submit(self, fn, /, *args, **kwargs):
        future = concurrent_futures.Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as exc:
            future.set_exception(exc)
        return future


with Inline() as executor:
    print(list(executor.map(pow, [2, 3], [4, 5])))
    print(repr(executor.submit(int, "x").exception()))
    futures = [executor.submit(abs, -n) for n in range(4)]
    print(sorted(f.result() for f in concurrent_futures.as_completed(futures)))
