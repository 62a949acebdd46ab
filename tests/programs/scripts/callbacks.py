"""Callbacks: on success, on failure, on cancelling, several, failing ones."""

import functools
import importlib
import logging
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

logging.basicConfig(format="%(name)s %(levelname)s", stream=sys.stdout)
go_on = threading.Event()


def report(name, future):
    if future.cancelled():
        print(name, "was cancelled")
    elif future.exception():
        print(name, "failed:", future.exception())
    else:
        print(name, "returned", future.result())


with concurrent_futures.ThreadPoolExecutor(max_workers=1) as executor:
    executor.submit(go_on.wait)
    good = executor.submit(sum, [1, 2, 3])
    bad = executor.submit(int, "seven")
    never = executor.submit(print, "never")
    for name, future in (("good", good), ("bad", bad), ("never", never)):
        future.add_done_callback(functools.partial(report, name))
        future.add_done_callback(lambda future: print("  state:", future._state[:8]))
    never.cancel()
    go_on.set()
    concurrent_futures.wait([good, bad])
    executor.submit(int).result()  # The worker has called them all by now.
    good.add_done_callback(lambda future: print("late, and called at once"))

    def fails(future):
        print("this callback fails")
        raise KeyError("callback")

    logging.getLogger("concurrent.futures").handlers = [logging.NullHandler()]
    logging.getLogger("concurrent.futures").propagate = False
    good.add_done_callback(fails)

    steps = []
    finished = threading.Event()

    def next_step(future):
        steps.append(future.result())
        if future.result() > 100:
            finished.set()
        else:
            executor.submit(lambda: future.result() * 2).add_done_callback(next_step)

    executor.submit(lambda: 1).add_done_callback(next_step)
    finished.wait(20)
    print(steps)
