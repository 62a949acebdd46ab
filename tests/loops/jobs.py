"""What calls of the tests do, in threads and in worker processes."""

import os
import time


def until_exists(path):
    """Wait for a file."""
    while not os.path.exists(path):
        time.sleep(0.001)
    return path


def touch_then_wait(begun, path):
    """Say by a file that it runs, and wait for another one."""
    with open(begun, "x"):
        pass
    return until_exists(path)


class Own(Exception):
    """An exception with a result of its own."""


ERRORS = {
    cls.__name__: cls
    for cls in (ValueError, Own, StopIteration, StopAsyncIteration, TimeoutError)
}


def fail(name):
    raise ERRORS[name](name)
