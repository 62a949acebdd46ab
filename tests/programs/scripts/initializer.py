"""An initializer that gives each worker its own resource."""

import importlib
import itertools
import logging
import sys
import threading

concurrent_futures = importlib.import_module(sys.argv[1])

local = threading.local()
numbers = itertools.count(1)
lock = threading.Lock()
together = threading.Barrier(3)


def connect(prefix, start):
    with lock:
        local.connection = f"{prefix}-{next(numbers) + start}"


def use(_):
    together.wait(20)
    return local.connection


with concurrent_futures.ThreadPoolExecutor(
    max_workers=3,
    thread_name_prefix="Connected",
    initializer=connect,
    initargs=("connection", 100),
) as executor:
    first = sorted(executor.map(use, range(3)))
    second = sorted(executor.map(use, range(3)))
    print(first)
    print(first == second)
    names = {executor.submit(lambda: threading.current_thread().name).result()}
    print(all(name.startswith("Connected_") for name in names))
print(hasattr(local, "connection"))

logging.getLogger("concurrent.futures").addHandler(logging.NullHandler())
logging.getLogger("concurrent.futures").propagate = False


def broken():
    raise ValueError("no connection")


with concurrent_futures.ThreadPoolExecutor(1, initializer=broken) as executor:
    try:
        executor.submit(print, "never").result()
    except concurrent_futures.BrokenExecutor as exc:
        print(type(exc).__name__, exc)
    try:
        executor.submit(print, "never")
    except concurrent_futures.BrokenExecutor as exc:
        print(type(exc).__name__, exc)

for wrong in ({"max_workers": 0}, {"initializer": 5}):
    try:
        concurrent_futures.ThreadPoolExecutor(**wrong)
    except (TypeError, ValueError) as exc:
        print(type(exc).__name__, exc)
