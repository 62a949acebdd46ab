"""With and without the with statement."""

import importlib
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])


go_on = threading.Event()


def work(number):
    go_on.wait(20)
    return number


with concurrent_futures.ThreadPoolExecutor(max_workers=2) as executor:
    futures = [executor.submit(work, number) for number in range(6)]
    print("some are not done:", not all(future.done() for future in futures))
    threading.Timer(0.05, go_on.set).start()
print("all are done:", all(future.done() for future in futures))

executor = concurrent_futures.ThreadPoolExecutor(max_workers=2)
with executor as entered:
    print("it is the executor itself:", entered is executor)
try:
    with executor:
        executor.submit(work, 1)
except RuntimeError as exc:
    print(exc)

try:
    with concurrent_futures.ThreadPoolExecutor(1) as executor:
        future = executor.submit(work, "done all the same")
        raise KeyError("in the block")
except KeyError as exc:
    print(exc, future.done(), future.result())

executor = concurrent_futures.ThreadPoolExecutor(1)
blocker = threading.Event()
futures = [executor.submit(blocker.wait)]
while not futures[0].running():
    pass
futures += [executor.submit(work, number) for number in range(3)]
executor.shutdown(wait=False, cancel_futures=True)
print([future.cancelled() for future in futures])
blocker.set()
executor.shutdown(wait=True)
executor.shutdown()
print(futures[0].result(), threading.active_count())
