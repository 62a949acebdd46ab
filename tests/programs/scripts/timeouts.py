"""Timeouts of result, as_completed, wait and map, and cancelling."""

import importlib
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

go_on = threading.Event()


def blocked(name):
    go_on.wait()
    return name


with concurrent_futures.ThreadPoolExecutor(max_workers=2) as executor:
    first, second, third, fourth = [executor.submit(blocked, n) for n in "abcd"]
    while not (first.running() and second.running()):
        pass
    try:
        first.result(timeout=0.05)
    except concurrent_futures.TimeoutError:
        print("the first takes too long")
    try:
        second.exception(timeout=0.05)
    except TimeoutError as exc:
        print("so does the second", repr(str(exc)))

    print("cancel the first:", first.cancel(), first.running(), first.cancelled())
    print("cancel the fourth:", fourth.cancel(), fourth.done(), fourth.cancelled())
    try:
        fourth.result()
    except concurrent_futures.CancelledError as exc:
        print("the fourth was cancelled", type(exc).__name__)

    try:
        for future in concurrent_futures.as_completed([first, second, third], 0.05):
            print("this cannot be", future)
    except concurrent_futures.TimeoutError as exc:
        print(exc)

    done, not_done = concurrent_futures.wait([first, second, third], timeout=0.05)
    print(len(done), "done,", len(not_done), "not done")

    try:
        list(executor.map(blocked, "xyz", timeout=0.05))
    except concurrent_futures.TimeoutError:
        print("map takes too long")

    go_on.set()
    print([future.result() for future in (first, second, third)])
print(concurrent_futures.wait([first, second, third]).not_done)
